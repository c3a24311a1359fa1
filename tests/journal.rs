//! The journal keeps what it was told, whatever happens to the disk, and never stands in the way.

#![cfg(test)] // makes clippy take the helpers below for tests too

mod journal_folder;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use journal_folder::{DEADLINE, Folder, memory, said, started, transition, until};
use pointsman::core::{Effect, Generation, Held, Plan, Raised, RegionPlan, Report, Rule, WriteResult};
use pointsman::journal::{Entry, Health, Journal, JournalError, Row, read};
use pointsman::model::{
    Alarm, Fqdn, Liveness, Override, Pace, RecordKey, RecordSet, RecordType, RegionName, Ruling, Scope,
    ServiceName, Ttl, Waiting, WaitsFor, Weighed, Word,
};
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use serde_json::{Value, json};
use tokio::time::timeout;

#[tokio::test]
async fn what_happened_can_be_read_afterwards_with_the_evidence() {
    let folder = Folder::new();
    let (journal, _) = Journal::open(folder.path(), DEADLINE);
    journal.record(started());
    for effect in [Effect::Transition(transition(1)), Effect::Apply(Arc::new(plan())), held(), alarm()] {
        journal.record(Entry::of_effect(&effect).unwrap());
    }
    let demo = ServiceName::parse("demo").unwrap();
    for report in reports() {
        journal.record(Entry::of_report(&demo, &report).unwrap());
    }
    journal.record(Entry::Stopped);
    assert!(journal.close(DEADLINE).await);

    let rows = folder.rows();
    let kinds: Vec<&str> = rows.iter().map(|row| row.kind.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "started",
            "transition",
            "plan",
            "plan_held",
            "alarm_raised",
            "write_sent",
            "written",
            "in_force",
            "dry_run",
            "write_held",
            "stopped"
        ]
    );
    let [start, transition, plan, held, alarm, sent, ..] = rows.as_slice() else { panic!("too few") };
    assert_eq!(start.message, "pointsman 1.2.3 started: 0 services, 0 regions");
    assert_eq!(transition.service.as_deref(), Some("demo"));
    assert_eq!(transition.region.as_deref(), Some("region1"));
    assert_eq!(transition.message, "region1 went from suspect to down: web failing, number 1");
    assert_eq!(
        detail(transition),
        r#"{"because":"web failing, number 1","failing_for_ms":11000,"from":"suspect","to":"down"}"#
    );
    assert_eq!(plan.generation, Some(7));
    assert!(plan.message.starts_with("plan 7 for demo (demo.localdev.me. A): 192.0.2.2\n  region1 is down"));
    assert!(detail(plan).contains(r#""owned":["192.0.2.1","192.0.2.2"]"#), "{}", plan.detail);
    assert!(detail(held).contains(r#""rule":"bounded_blast""#), "{}", held.detail);
    assert!(held.message.contains("lifts when one is back"), "{}", held.message);
    assert_eq!(alarm.region.as_deref(), Some("region1"));
    assert_eq!(
        (sent.generation, &*sent.message),
        (Some(7), "sent a write of 192.0.2.2 in place of 192.0.2.1")
    );
    assert_eq!(detail(sent), r#"{"from":["192.0.2.1"],"to":["192.0.2.2"],"ttl":30}"#);
}

#[test]
fn what_somebody_else_changed_is_kept_with_both_values() {
    let addresses =
        |last: &[u8]| last.iter().map(|last| Weighed::from(IpAddr::from([192, 0, 2, *last]))).collect();
    let report = Report::Drifted { before: addresses(&[1, 2]), now: addresses(&[2, 9]) };
    let entry = Entry::of_report(&ServiceName::parse("demo").unwrap(), &report).unwrap();
    assert_eq!(
        (entry.kind(), &*entry.message(), &*entry.detail().to_string()),
        (
            "drifted",
            "somebody else changed the record set: it held 192.0.2.1, 192.0.2.2, now 192.0.2.2, 192.0.2.9",
            r#"{"before":["192.0.2.1","192.0.2.2"],"now":["192.0.2.2","192.0.2.9"]}"#
        )
    );
}

#[test]
fn what_happens_all_the_time_is_not_kept() {
    let (service, region) = (ServiceName::parse("demo").unwrap(), RegionName::parse("region1").unwrap());
    assert!(Entry::of_effect(&Effect::Pace { service: service.clone(), region, pace: Pace::Fast }).is_none());
    for report in [Report::InSync, Report::Seen { found: None }] {
        assert!(Entry::of_report(&service, &report).is_none(), "{report:?}");
    }
}

#[tokio::test]
async fn what_an_operator_said_can_be_read_afterwards_with_author_and_reason() {
    let service = ServiceName::parse("demo").unwrap();
    let region = RegionName::parse("region1").unwrap();
    let drain = Override {
        ruling: Ruling::Drain(Scope::Region(region.clone())),
        author: "ada".to_owned(),
        reason: "kernel update".to_owned(),
        until: None,
    };
    let author = "bob".to_owned();
    let release = Word::Release { scope: Scope::Service, author };
    let waiting =
        Waiting { waits_for: WaitsFor::Failback, region: Some(region), because: "serves".to_owned() };
    let effects = [
        Effect::Said { service: service.clone(), word: Word::Override(drain.clone()), heeded: true },
        Effect::Said { service: service.clone(), word: release, heeded: false },
        Effect::Ended { service: service.clone(), ended: drain, because: "its time is over" },
        Effect::Waiting { service: service.clone(), waiting: vec![waiting] },
        Effect::Waiting { service, waiting: vec![] },
    ];
    let folder = Folder::new();
    let (journal, _) = Journal::open(folder.path(), DEADLINE);
    for effect in &effects {
        journal.record(Entry::of_effect(effect).unwrap());
    }
    assert!(journal.close(DEADLINE).await);

    let rows = folder.rows();
    let lines: Vec<_> = rows.iter().map(|row| (&*row.kind, row.region.as_deref(), &*row.message)).collect();
    assert_eq!(
        lines,
        [
            ("operator", Some("region1"), "drain of region1 by ada: kernel update"),
            ("operator", None, "release of the service by bob; there was nothing to change"),
            (
                "override_ended",
                Some("region1"),
                "an override ended, its time is over: drain of region1 by ada: kernel update"
            ),
            ("waiting", None, "waits for a person: failback of region1: serves"),
            ("waits_no_more", None, "nothing waits for a person any more"),
        ]
    );
    let detail = |place: usize| serde_json::from_str::<Value>(&rows[place].detail).unwrap();
    let drained = json!({
        "kind": "drain", "region": "region1", "check": null, "author": "ada", "reason": "kernel update"
    });
    assert_eq!(detail(0), json!({ "word": "drain", "author": "ada", "heeded": true, "override": drained }));
    assert_eq!(
        detail(3),
        json!({ "waiting": [{ "waits_for": "failback", "region": "region1", "because": "serves" }] })
    );
}

#[tokio::test]
async fn only_the_latest_entries_that_were_asked_for_are_read() {
    let folder = Folder::new();
    let (journal, _) = Journal::open(folder.path(), DEADLINE);
    (1..=5).for_each(|number| journal.record(Entry::Transition(transition(number))));
    assert!(journal.close(DEADLINE).await);
    let rows = read(folder.path(), Duration::ZERO, 2).unwrap();
    assert_eq!(numbers(&rows), [4, 5]);
    let since = rows[1].at + Duration::from_micros(1);
    assert_eq!(read(folder.path(), since, 2).unwrap(), []);
}

#[tokio::test]
async fn what_is_remembered_is_there_after_a_restart_and_what_is_forgotten_is_not() {
    let folder = Folder::new();
    let (journal, before) = Journal::open(folder.path(), DEADLINE);
    assert_eq!(before, []);
    journal.remember(vec![memory("a", 1), memory("b", 1)]);
    journal.remember(vec![memory("a", 2), memory("c", 1)]);
    journal.forget(&ServiceName::parse("b").unwrap());
    assert!(journal.close(DEADLINE).await);
    drop(journal);
    let (_journal, remembered) = Journal::open(folder.path(), DEADLINE);
    assert_eq!(remembered, [memory("a", 2), memory("c", 1)]);
}

#[tokio::test]
async fn the_folder_and_its_files_are_for_their_owner_alone() {
    let folder = Folder::new();
    let dir = folder.path().join("made");
    let (journal, _) = Journal::open(&dir, DEADLINE);
    assert_eq!(journal.health(), Health::default());
    assert!(timeout(DEADLINE, journal.record_and_tell(started())).await.unwrap().is_ok());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    for file in ["journal.db", "journal.db-wal", "journal.lock"] {
        assert_eq!(mode(&dir.join(file)), 0o600, "{file}");
    }
}

#[tokio::test]
async fn a_folder_that_cannot_be_had_leaves_the_journal_in_memory_until_it_can() {
    let folder = Folder::new();
    fs::write(folder.path().join("file"), "").unwrap();
    for (missing, mend) in [("file", fs::remove_file as fn(_) -> _), ("no", |parent| fs::create_dir(parent))]
    {
        let parent = folder.path().join(missing);
        let dir = parent.join("state");
        let (journal, remembered) = Journal::open(&dir, DEADLINE);
        assert_eq!(remembered, []);
        let trouble = journal.health().trouble.unwrap();
        assert!(trouble.contains(dir.to_str().unwrap()) && trouble.contains("daemon.state_dir"), "{trouble}");
        journal.record(Entry::Transition(transition(1)));
        journal.remember(vec![memory("a", 1)]);
        let told = timeout(DEADLINE, journal.record_and_tell(Entry::Transition(transition(2)))).await;
        assert!(told.unwrap().is_err(), "it said that it is on disk");

        mend(parent.clone()).unwrap();
        fs::create_dir_all(&parent).unwrap();
        until("it heals", || journal.health().trouble.is_none());
        assert_eq!(numbers(&read(&dir, Duration::ZERO, 10).unwrap()), [1, 2]);
        assert!(journal.close(DEADLINE).await);
        drop(journal);
        assert_eq!(Journal::open(&dir, DEADLINE).1, [memory("a", 1)]);
        let said = said(&dir);
        let [warned, healed] = said.as_slice() else { panic!("{said:#?}") };
        assert!(warned.contains("WARN") && warned.contains("in memory only"), "{warned}");
        assert!(healed.contains("INFO") && healed.contains("written again"), "{healed}");
    }
}

#[tokio::test]
async fn a_second_process_on_one_folder_keeps_its_journal_in_memory_and_says_so() {
    let folder = Folder::new();
    let (first, _) = Journal::open(folder.path(), DEADLINE);
    let (second, _) = Journal::open(folder.path(), DEADLINE);
    let trouble = second.health().trouble.unwrap();
    assert!(trouble.contains("another pointsman uses the state_dir"), "{trouble}");
    second.record(Entry::Transition(transition(2)));
    first.record(Entry::Transition(transition(1)));
    assert!(first.close(DEADLINE).await);
    until("it heals", || second.health().trouble.is_none());
    assert_eq!(numbers(&folder.rows()), [2, 1]);
}

#[tokio::test]
async fn what_is_no_database_is_set_aside_and_a_new_one_is_made() {
    let folder = Folder::new();
    fs::write(folder.path().join("journal.db"), "this is no database ".repeat(500)).unwrap();
    let (journal, _) = Journal::open(folder.path(), DEADLINE);
    assert_eq!(journal.health(), Health::default());
    journal.record(started());
    assert!(journal.close(DEADLINE).await);
    assert_eq!(folder.rows().len(), 1);
    let [aside] = folder.set_aside().try_into().unwrap();
    assert!(fs::read_to_string(&aside).unwrap().starts_with("this is no database"));
    assert!(said(folder.path())[0].contains(aside.to_str().unwrap()), "nobody says where it is");
}

#[tokio::test]
async fn of_a_damaged_journal_what_can_still_be_read_is_remembered() {
    let folder = Folder::new();
    let (journal, _) = Journal::open(folder.path(), DEADLINE);
    journal.remember(vec![memory("a", 1)]);
    (1..2_000).for_each(|number| journal.record(Entry::Transition(transition(number))));
    assert!(journal.close(DEADLINE).await);
    drop(journal);
    folder.smash(|page| page == 40);

    let (journal, remembered) = Journal::open(folder.path(), DEADLINE);
    assert_eq!(remembered, [memory("a", 1)]);
    until("it is set aside", || folder.set_aside().len() == 1);
    journal.record(started());
    assert!(journal.close(DEADLINE).await);
    assert_eq!(folder.rows().len(), 1);
    drop(journal);
    assert_eq!(Journal::open(folder.path(), DEADLINE).1, [memory("a", 1)]);
}

#[tokio::test]
async fn of_a_journal_in_which_nothing_can_be_read_nothing_is_remembered() {
    let folder = Folder::new();
    let (journal, _) = Journal::open(folder.path(), DEADLINE);
    journal.remember(vec![memory("a", 1)]);
    assert!(journal.close(DEADLINE).await);
    drop(journal);
    folder.smash(|page| page > 1);
    let (journal, remembered) = Journal::open(folder.path(), DEADLINE);
    assert_eq!(remembered, []);
    journal.record(started());
    assert!(journal.close(DEADLINE).await);
    assert_eq!((folder.rows().len(), folder.set_aside().len()), (1, 1));
}

#[tokio::test]
async fn what_is_remembered_in_no_json_is_no_memory() {
    let folder = Folder::new();
    let (journal, _) = Journal::open(folder.path(), DEADLINE);
    journal.remember(vec![memory("a", 1)]);
    assert!(journal.close(DEADLINE).await);
    drop(journal);
    let connection = Connection::open(folder.path().join("journal.db")).unwrap();
    connection.execute_batch("UPDATE memory SET state = '{\"counts\": [1, 2'").unwrap();
    drop(connection);
    assert_eq!(Journal::open(folder.path(), DEADLINE).1, []);
}

#[tokio::test]
async fn no_more_than_ten_corrupt_journals_are_set_aside_and_none_is_deleted() {
    let folder = Folder::new();
    for _ in 0..11 {
        fs::write(folder.path().join("journal.db"), "no database ".repeat(500)).unwrap();
        let (journal, _) = Journal::open(folder.path(), DEADLINE);
        assert!(journal.close(DEADLINE).await);
    }
    assert_eq!(folder.set_aside().len(), 10);
    let (journal, _) = Journal::open(folder.path(), DEADLINE);
    let trouble = journal.health().trouble.unwrap();
    assert!(trouble.contains("10 such files lie beside it"), "{trouble}");
    fs::remove_file(&folder.set_aside()[0]).unwrap();
    until("it heals", || journal.health().trouble.is_none());
}

#[tokio::test]
async fn a_journal_of_a_newer_version_is_left_alone_until_it_is_moved_away() {
    let folder = Folder::new();
    let (journal, _) = Journal::open(folder.path(), DEADLINE);
    journal.record(Entry::Transition(transition(1)));
    assert!(journal.close(DEADLINE).await);
    let newer = Connection::open(folder.path().join("journal.db")).unwrap();
    newer.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
    newer.pragma_update(None, "user_version", 99).unwrap();
    drop(newer);
    let files = ["journal.db", "journal.db-wal"].map(|name| folder.path().join(name));
    let untouched = files.clone().map(|file| fs::read(file).unwrap());

    let (journal, _) = Journal::open(folder.path(), DEADLINE);
    let trouble = journal.health().trouble.unwrap();
    assert!(trouble.contains("version 99") && trouble.contains("up to 2"), "{trouble}");
    journal.record(Entry::Transition(transition(2)));
    assert_eq!(files.clone().map(|file| fs::read(file).unwrap()), untouched);
    for file in files {
        fs::remove_file(file).unwrap();
    }
    until("it heals", || journal.health().trouble.is_none());
    assert_eq!(numbers(&folder.rows()), [2]);
}

#[tokio::test]
async fn the_database_of_somebody_else_is_left_alone() {
    let folder = Folder::new();
    let path = folder.path().join("journal.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (a)").unwrap();
    let theirs = fs::read(&path).unwrap();
    let (journal, _) = Journal::open(folder.path(), DEADLINE);
    let trouble = journal.health().trouble.unwrap();
    assert!(trouble.contains("not a journal of pointsman"), "{trouble}");
    assert!(journal.close(DEADLINE).await);
    assert_eq!(fs::read(&path).unwrap(), theirs);
}

#[tokio::test]
async fn a_journal_that_is_removed_while_it_is_in_use_is_made_anew_with_what_is_remembered() {
    let folder = Folder::new();
    let (journal, _) = Journal::open(folder.path(), DEADLINE);
    journal.remember(vec![memory("a", 1)]);
    assert!(timeout(DEADLINE, journal.record_and_tell(started())).await.unwrap().is_ok());
    fs::remove_file(folder.path().join("journal.db")).unwrap();
    journal.record(Entry::Transition(transition(1)));
    until("it is made anew", || read(folder.path(), Duration::ZERO, 2).is_ok_and(|rows| rows.len() == 1));
    assert!(journal.close(DEADLINE).await);
    drop(journal);
    assert_eq!(Journal::open(folder.path(), DEADLINE).1, [memory("a", 1)]);
}

#[tokio::test]
async fn nowhere_keeps_nothing_and_is_never_in_trouble() {
    let journal = Journal::nowhere();
    journal.record(started());
    journal.remember(vec![memory("a", 1)]);
    assert!(timeout(DEADLINE, journal.record_and_tell(started())).await.unwrap().is_err());
    assert_eq!(journal.health(), Health::default());
    assert!(journal.close(Duration::ZERO).await);
}

#[test]
fn reading_where_there_is_no_journal_says_so() {
    let folder = Folder::new();
    let error = read(folder.path(), Duration::ZERO, 1).unwrap_err();
    assert!(matches!(error, JournalError::Missing { .. }), "{error:?}");
    assert!(error.to_string().contains(folder.path().to_str().unwrap()), "{error}");
}

/// What the process below is told by, to be one: the folder of its journal.
const KILLED_IN: &str = "POINTSMAN_TEST_KILLED_IN";

#[tokio::test]
async fn what_was_said_to_be_on_disk_is_there_after_a_kill() {
    let folder = Folder::new();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_process_that_is_killed_while_it_writes", "--nocapture"])
        .env(KILLED_IN, folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let told = |line: String| line.strip_prefix("on disk: ").and_then(|number| number.parse::<u32>().ok());
    lines.by_ref().filter_map(told).find(|number| *number >= 50).expect("it ended by itself");
    child.kill().unwrap();
    let last = lines.filter_map(told).last().unwrap_or(50);
    child.wait().unwrap();

    let numbers = numbers(&folder.rows());
    assert!(numbers.len() >= last as usize, "{} of {last} are there", numbers.len());
    assert!(numbers.iter().copied().eq(1..=u32::try_from(numbers.len()).unwrap()), "{numbers:?}");
    let (journal, remembered) = Journal::open(folder.path(), DEADLINE);
    assert_eq!(journal.health(), Health::default());
    assert_eq!(remembered.len(), 1);
    assert_eq!(folder.set_aside().len(), 0);
}

#[tokio::test]
async fn a_process_that_is_killed_while_it_writes() {
    let Ok(dir) = std::env::var(KILLED_IN) else { return };
    let (journal, _) = Journal::open(Path::new(&dir), DEADLINE);
    for number in 1.. {
        journal.remember(vec![memory("a", number)]);
        journal.record_and_tell(Entry::Transition(transition(number))).await.unwrap();
        println!("on disk: {number}");
    }
}

fn held() -> Effect {
    Effect::Held { service: ServiceName::parse("demo").unwrap(), held: vec![rule()] }
}

fn rule() -> Held {
    Held {
        rule: Rule::BoundedBlast,
        because: "2 of 2 regions fail".to_owned(),
        lifts_when: "one is back".to_owned(),
    }
}

fn alarm() -> Effect {
    Effect::Alarm(Raised {
        service: ServiceName::parse("demo").unwrap(),
        region: Some(RegionName::parse("region1").unwrap()),
        alarm: Alarm::Blind,
        raised: true,
        message: "nobody knows".to_owned(),
    })
}

fn plan() -> Plan {
    let region = RegionPlan {
        region: RegionName::parse("region1").unwrap(),
        liveness: Liveness::Down,
        addresses: [address(1)].into(),
        owned: [address(1)].into(),
        published: true,
        wanted: false,
        because: "web failing".to_owned(),
    };
    Plan {
        service: ServiceName::parse("demo").unwrap(),
        key: RecordKey::new(Fqdn::parse("demo.localdev.me.").unwrap(), RecordType::A),
        generation: Generation(7),
        wanted: [address(2)].into(),
        owned: [address(1), address(2)].into(),
        parts: Vec::new(),
        ttl: None,
        may_write: true,
        only_from: None,
        is_rescue: false,
        words: 0,
        regions: vec![region],
        held: vec![],
    }
}

fn reports() -> [Report; 5] {
    let (generation, from) = (Generation(7), [address(1)].into());
    let set = RecordSet::new([address(2)].into(), Ttl::from_seconds(30).unwrap()).unwrap();
    [
        Report::Sent { generation, from, set: set.clone() },
        Report::Written { generation, result: WriteResult::Applied, message: String::new(), retry_in: None },
        Report::InForce { generation },
        Report::DryRun { generation, from: [address(1)].into(), set },
        Report::Held(rule()),
    ]
}

fn address(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

/// The numbers that [`transition`] was given.
fn numbers(rows: &[Row]) -> Vec<u32> {
    let number = |row: &Row| row.message.rsplit(' ').next()?.parse().ok();
    rows.iter().filter_map(number).collect()
}

fn detail(row: &Row) -> &str {
    &row.detail
}

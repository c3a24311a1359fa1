//! What the journal costs: the caller's time for telling it something, and the disk that a month of two services with
//! daily failovers takes. `cargo bench --bench journal`; a debug build tells the second as well.
#![expect(clippy::print_stdout, reason = "printing is what a benchmark is for")]

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use pointsman::clock::{instant_now, wall_time};
use pointsman::core::{Generation, Plan, RegionPlan, Report, Transition, WriteResult};
use pointsman::journal::{Entry, Journal, Remembered, read};
use pointsman::model::{
    Fqdn, Liveness, Moment, RecordKey, RecordSet, RecordType, RegionName, ServiceName, Ttl,
};

/// No more than the queue holds, so that nothing is dropped while it is measured.
const CALLS: u32 = 10_000;
const DAYS: u64 = 30;
const SERVICES: [&str; 2] = ["demo", "other"];
/// What is remembered of a service with two regions of three checks is not longer.
const STATE_BYTES: usize = 2_000;
/// And it is remembered this often a day: at each change, and once in a while.
const MEMORIES: usize = 100;
/// What the design asks for at most.
const BOUND_MB: f64 = 50.0;
const DEADLINE: Duration = Duration::from_secs(60);

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let (went_out, came_back) = (failover("demo", 1, true)?, failover("demo", 2, false)?);
    let entries: Vec<&Entry> = went_out.iter().chain(&came_back).cycle().take(CALLS as usize).collect();

    let folder = tempfile::tempdir()?;
    let (journal, _) = Journal::open(folder.path(), DEADLINE);
    let began = instant_now();
    for entry in &entries {
        journal.record((*entry).clone());
    }
    let call = began.elapsed() / CALLS;
    anyhow::ensure!(journal.close(DEADLINE).await, "the journal does not close");
    let row = began.elapsed() / CALLS;
    anyhow::ensure!(journal.health().lost == 0, "entries were dropped");
    println!(
        "telling the journal: {:.2} us a call, {:.2} us a row until it is kept",
        micros(call),
        micros(row)
    );

    let folder = tempfile::tempdir()?;
    let (journal, _) = Journal::open(folder.path(), DEADLINE);
    for day in 0..DAYS {
        for service in SERVICES {
            for entry in failover(service, 2 * day + 1, true)? {
                journal.record(entry);
            }
            for entry in failover(service, 2 * day + 2, false)? {
                journal.record(entry);
            }
            for _ in 0..MEMORIES {
                let service = ServiceName::parse(service)?;
                let state = format!("\"{}\"", "x".repeat(STATE_BYTES));
                journal.remember(vec![Remembered { service, saved: wall_time(), state }]);
            }
        }
    }
    anyhow::ensure!(journal.close(DEADLINE).await, "the journal does not close");
    let rows = read(folder.path(), Duration::ZERO, usize::MAX)?.len();
    let bytes = size_of(folder.path())?;
    println!(
        "a month of {} services that fail over daily: {rows} rows, {:.2} MB, {:.1} % of the {BOUND_MB} MB allowed",
        SERVICES.len(),
        bytes / 1e6,
        bytes / 1e4 / BOUND_MB
    );
    Ok(())
}

/// What is told while a region goes out, or comes back.
fn failover(service: &str, generation: u64, out: bool) -> anyhow::Result<Vec<Entry>> {
    let service = ServiceName::parse(service)?;
    let both = BTreeSet::from([IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2])]);
    let one = BTreeSet::from([IpAddr::from([192, 0, 2, 2])]);
    let (from, to) = if out { (&both, &one) } else { (&one, &both) };
    let states: &[Liveness] = if out {
        &[Liveness::Up, Liveness::Suspect, Liveness::Down]
    } else {
        &[Liveness::Down, Liveness::Recovering, Liveness::Up]
    };
    let because = "web: failing, 3 of 3 looks in a row: no answer within 2 s; elb: passing; eip: passing";
    let region = |name: &str, liveness, wanted: bool| -> anyhow::Result<RegionPlan> {
        Ok(RegionPlan {
            region: RegionName::parse(name)?,
            liveness,
            addresses: one.clone(),
            owned: one.clone(),
            published: !wanted,
            wanted,
            because: because.to_owned(),
        })
    };
    let mut entries = Vec::new();
    for pair in states.windows(2) {
        let [from, to] = pair else { continue };
        entries.push(Entry::Transition(Transition {
            service: service.clone(),
            region: RegionName::parse("region1")?,
            from: *from,
            to: *to,
            because: because.to_owned(),
            first_failure: Some(Moment::START),
            at: Moment::START + Duration::from_secs(15),
        }));
    }
    let generation = Generation(generation);
    let ttl = Ttl::from_seconds(30).context("a TTL")?;
    entries.push(Entry::Plan(Arc::new(Plan {
        service: service.clone(),
        key: RecordKey::new(Fqdn::parse("demo.localdev.me.")?, RecordType::A),
        generation,
        wanted: to.clone(),
        owned: both.clone(),
        parts: Vec::new(),
        ttl: Some(ttl),
        may_write: true,
        only_from: None,
        is_rescue: false,
        words: 0,
        regions: vec![region("region1", Liveness::Down, !out)?, region("region2", Liveness::Up, true)?],
        held: vec![],
    })));
    let set = RecordSet::new(to.clone(), ttl)?;
    for report in [
        Report::Sent { generation, from: from.clone(), set },
        Report::Written { generation, result: WriteResult::Applied, message: String::new(), retry_in: None },
        Report::InForce { generation },
    ] {
        entries.extend(Entry::of_report(&service, &report));
    }
    Ok(entries)
}

fn size_of(folder: &Path) -> anyhow::Result<f64> {
    let mut bytes = 0;
    for file in std::fs::read_dir(folder)? {
        bytes += file?.metadata()?.len();
    }
    Ok(f64::from(u32::try_from(bytes)?))
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

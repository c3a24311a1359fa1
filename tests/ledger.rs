//! The ledger: every change of a record set has one line, from the first failing look to the last client, whatever happens on
//! the way; and witnesses, whatever they say, move nothing.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "test code")]

mod world;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use pointsman::core::{Cause, Course, Direction, FAILOVERS_MAX, Failover, Input, Moved, Reached};
use pointsman::model::{
    Alarm, Failback, Fetched, Fqdn, Line, Mode, Moment, Override, RecordKey, RecordType, Routing, Ruling,
    Scope, Service, Statement, Testimony, Ttl, WhenAllDown, Word,
};
use world::{Death, Look, RECOVER_AFTER, Weather, World, address, foreign, region_name, service};

use Look::{Fail, Pass};

/// Where a witness is.
type Place = ([u8; 4], u16);

const ONE: Place = ([127, 0, 0, 1], 53);
const TWO: Place = ([127, 0, 0, 2], 53);

fn both_up() -> World {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(3, &[Pass, Pass]);
    world
}

/// The line that is the newest now.
#[track_caller]
fn line(world: &World) -> Failover {
    world.steps.last().map(|(_, line)| Failover::clone(line)).expect("there is a failover")
}

fn reached(world: &World) -> Vec<Reached> {
    world.steps.iter().map(|(reached, _)| *reached).collect()
}

fn course(world: &World) -> &'static str {
    let status = world.core.service_status(&world.service.name, world.now).unwrap();
    status.failovers.last().map_or("none", |line| line.course)
}

fn seconds(failover: &Failover, at: Option<Moment>) -> Option<f64> {
    at.map(|at| at.since(failover.began()).as_secs_f64())
}

/// What each of these witnesses says now: what the zone holds, these values, or nothing.
fn witness(world: &mut World, said: &[(Place, Option<&[IpAddr]>)]) {
    let inquiry = world.inquiry.clone().expect("somebody is asked");
    let said = said.iter().map(|(witness, values)| Testimony {
        witness: SocketAddr::from(*witness),
        at: world.now,
        said: match values {
            Some(values) => Statement::Addresses { values: values.iter().copied().collect(), ttl_s: 7 },
            None => Statement::Nothing("answers SERVFAIL: it cannot find out".to_owned()),
        },
    });
    let said = said.collect();
    let service = world.service.name.clone();
    world.step(&Input::Witnessed { service, inquiry: inquiry.number, said });
}

fn zone(world: &World) -> Vec<IpAddr> {
    world.zone.values.iter().copied().collect()
}

fn client_gets(world: &mut World, served: bool) {
    let errand =
        world.inquiry.as_ref().and_then(|inquiry| inquiry.fetch.clone()).expect("there is an errand");
    let fetched = Fetched { at: world.now, address: Some(address(1)), served, saw: "status 200".to_owned() };
    let service = world.service.name.clone();
    world.step(&Input::Fetched { service, failover: errand.failover, fetched });
}

#[test]
fn a_region_that_leaves_has_every_time_from_the_first_failing_look_to_the_last_client() {
    let mut world = both_up();
    world.run(4, &[Fail, Pass]);
    let now = zone(&world);
    let before = [address(0), address(1), foreign()];
    witness(&mut world, &[(ONE, Some(&now)), (TWO, Some(&before))]);
    world.pass(Duration::from_secs(20));
    witness(&mut world, &[(ONE, Some(&now)), (TWO, Some(&now))]);
    client_gets(&mut world, true);
    let steps = [
        Reached::Sent,
        Reached::Acknowledged,
        Reached::Active,
        Reached::Witness(ONE.into()),
        Reached::Witness(TWO.into()),
        Reached::Moved,
        Reached::Fetched,
    ];
    assert_eq!(reached(&world), steps);
    let failover = line(&world);
    assert_eq!((failover.number, failover.tries, failover.course), (1, 1, Course::Moved));
    assert_eq!(failover.id(&world.service.name), "demo-1");
    let moves: Vec<_> = failover.moves.iter().map(|it| (it.region.clone(), it.direction, it.cause)).collect();
    assert_eq!(moves, [(Some(region_name(0)), Direction::Leaves, Cause::Checks)]);
    let at = |at| seconds(&failover, at);
    assert_eq!((at(failover.first), at(failover.verdict)), (Some(0.0), Some(2.0)));
    assert_eq!((at(Some(failover.sent)), at(failover.acknowledged)), (Some(2.0), Some(2.0)));
    assert_eq!(at(failover.active), Some(2.1));
    let seen: Vec<f64> = failover.witnesses.values().filter_map(|seen| at(Some(*seen))).collect();
    assert_eq!(seen, [4.0, 24.0]);
    // The TTL that was there before the write, after the last witness.
    assert_eq!(at(failover.moved.map(Moved::at)), Some(54.0));
    assert!(matches!(failover.moved, Some(Moved::Seen(_))));
    assert_eq!(
        failover.times_in_words(),
        "first failing look +0.00 s, verdict +2.00 s, sent +2.00 s, acknowledged +2.00 s, active +2.10 s, \
         witness 127.0.0.1:53 +4.00 s, witness 127.0.0.2:53 +24.00 s, clients moved +54.00 s; a client got: \
         status 200 from 198.51.100.1"
    );
}

#[test]
fn a_return_begins_with_the_first_passing_look_of_the_recovery() {
    let mut world = both_up();
    world.run(4, &[Fail, Pass]).run(40, &[Pass, Pass]);
    world.assert_published(&[0, 1]);
    let failover = line(&world);
    assert_eq!(failover.number, 2);
    let it = &failover.moves[0];
    assert_eq!((it.direction, it.cause), (Direction::Returns, Cause::Checks));
    let recovery = RECOVER_AFTER.as_secs_f64();
    assert_eq!(seconds(&failover, failover.first), Some(0.0));
    assert_eq!(seconds(&failover, failover.verdict), Some(recovery));
    assert!(
        failover.times_in_words().starts_with("first passing look +0.00 s, verdict +30.00 s, sent +30.00 s")
    );
    // The one before was not shown by anybody until then.
    assert!(world.steps.iter().any(|(reached, line)| *reached == Reached::Superseded && line.number == 1));
}

#[test]
fn without_witnesses_the_last_client_is_reckoned_from_the_zone_and_said_to_be() {
    let mut world = both_up();
    world.run(4, &[Fail, Pass]);
    witness(&mut world, &[]);
    let failover = line(&world);
    let moved = failover.active.map(|active| Moved::Reckoned(active + Duration::from_secs(30)));
    assert_eq!((failover.moved, failover.course), (moved, Course::Moved));
    assert_eq!(Reached::Moved.in_words(&failover), "in force, and no witness is asked");
    assert!(failover.times_in_words().contains("clients moved (reckoned, nobody is asked) +32.10 s"));
    let errand = world.inquiry.as_ref().and_then(|inquiry| inquiry.fetch.clone()).unwrap();
    assert_eq!((errand.failover, errand.by), (1, None));
}

#[test]
fn the_client_that_fetches_asks_the_first_witness_that_agreed_and_does_so_once() {
    let mut world = both_up();
    world.run(4, &[Fail, Pass]);
    let now = zone(&world);
    witness(&mut world, &[(ONE, None), (TWO, Some(&now))]);
    assert_eq!(world.inquiry.as_ref().and_then(|inquiry| inquiry.fetch.clone()), None);
    world.pass(Duration::from_secs(1));
    witness(&mut world, &[(ONE, Some(&now)), (TWO, Some(&now))]);
    let errand = world.inquiry.as_ref().and_then(|inquiry| inquiry.fetch.clone()).unwrap();
    assert_eq!(errand.by, Some(SocketAddr::from(TWO)));
    assert_eq!(errand.homes.get(&address(1)), Some(&region_name(1)));
    client_gets(&mut world, false);
    client_gets(&mut world, true);
    assert_eq!(line(&world).fetched.map(|fetched| fetched.served), Some(false));
    assert_eq!(world.steps.iter().filter(|(reached, _)| *reached == Reached::Fetched).count(), 1);
}

#[test]
fn a_witness_that_disagrees_is_alarmed_after_the_old_ttl_and_ten_seconds_with_both_answers_until_it_agrees() {
    let mut world = both_up();
    world.run(4, &[Fail, Pass]);
    let active = line(&world).active.unwrap();
    let (now, before) = (zone(&world), [address(0), address(1), foreign()]);
    witness(&mut world, &[(ONE, Some(&before)), (TWO, Some(&now))]);
    let alarm = |world: &World| world.alarms.get(&(Alarm::Witness, None)).cloned();
    // Nobody says anything more: time alone makes it an alarm.
    let almost = (active + Duration::from_millis(39_999)).since(world.now);
    world.pass(almost);
    assert_eq!(alarm(&world), None);
    world.pass(Duration::from_millis(1));
    assert_eq!(
        alarm(&world).unwrap(),
        "witnesses disagree: 127.0.0.1:53 answers 192.0.2.99, 198.51.100.0, 198.51.100.1 (TTL 7 s); the zone holds \
         192.0.2.99, 198.51.100.1 since longer than caches may keep the old; clients that ask there are sent \
         elsewhere; flush its cache, or see where it gets its answers"
    );
    assert_eq!(course(&world), "unconfirmed");
    // What a client gets is known all the same, by one that agreed.
    let errand = world.inquiry.as_ref().and_then(|inquiry| inquiry.fetch.clone()).unwrap();
    assert_eq!(errand.by, Some(SocketAddr::from(TWO)));
    world.pass(Duration::from_secs(30));
    witness(&mut world, &[(ONE, Some(&now)), (TWO, Some(&now))]);
    assert_eq!((alarm(&world), course(&world)), (None, "moved"));
    world.assert_writes(1);
}

#[test]
fn a_witness_that_cannot_be_asked_is_alarmed_in_other_words() {
    let mut world = both_up();
    world.run(4, &[Fail, Pass]);
    witness(&mut world, &[(ONE, None)]);
    world.pass(Duration::from_secs(60));
    let message = world.alarms.get(&(Alarm::Witness, None)).unwrap();
    assert!(message.contains("127.0.0.1:53 answers SERVFAIL: it cannot find out"), "{message}");
    assert!(
        message.ends_with("is the resolver there, may it be asked from here, does it know the zone?"),
        "{message}"
    );
}

#[test]
fn what_was_said_of_another_record_set_answers_no_inquiry_of_the_new_one() {
    let mut world = both_up();
    world.run(5, &[Fail, Pass]).run(90, &[Pass, Pass]).run(5, &[Fail, Pass]);
    let old = world.inquiry.take().unwrap();
    let mut elsewhere = Service::clone(&world.service);
    elsewhere.record.key = RecordKey::new(Fqdn::parse("other.localdev.me.").unwrap(), RecordType::A);
    world.reconfigure(elsewhere);
    world.zone.values = [address(0), address(1), foreign()].into();
    world.run(5, &[Pass, Pass]).run(5, &[Pass, Fail]);
    assert!(world.inquiry.as_ref().unwrap().number > old.number, "{:?}", world.inquiry);
}

#[test]
fn another_write_ends_the_alarm_and_asks_anew() {
    let mut world = both_up();
    world.run(4, &[Fail, Pass]);
    let first = world.inquiry.clone().unwrap();
    witness(&mut world, &[(ONE, None)]);
    world.pass(Duration::from_secs(60));
    assert!(world.alarms.contains_key(&(Alarm::Witness, None)));
    world.run(40, &[Pass, Pass]);
    world.assert_published(&[0, 1]);
    assert!(!world.alarms.contains_key(&(Alarm::Witness, None)));
    // What was said to the old question says nothing of the new one.
    let service = world.service.name.clone();
    world.step(&Input::Witnessed { service, inquiry: first.number, said: Vec::new() });
    assert_eq!(course(&world), "witnessing");
}

#[test]
fn a_resolver_that_goes_astray_without_a_write_is_alarmed_too() {
    let mut world = both_up();
    let now = zone(&world);
    witness(&mut world, &[(ONE, Some(&now))]);
    world.pass(Duration::from_secs(600));
    witness(&mut world, &[(ONE, Some(&[foreign()]))]);
    world.pass(Duration::from_millis(39_999));
    assert!(!world.alarms.contains_key(&(Alarm::Witness, None)));
    world.pass(Duration::from_millis(1));
    assert!(world.alarms.contains_key(&(Alarm::Witness, None)));
    assert_eq!(world.steps, []);
}

#[test]
fn a_write_that_fails_and_is_sent_again_is_one_failover() {
    let mut world = both_up();
    world.weather = Weather::Refuse;
    world.run(4, &[Fail, Pass]);
    world.weather = Weather::Fair;
    world.run(6, &[Fail, Pass]);
    let failover = line(&world);
    assert_eq!((failover.number, failover.course), (1, Course::Witnessing));
    assert!(failover.tries >= 2, "{failover:?}");
    assert_eq!(seconds(&failover, Some(failover.sent)), Some(2.0));
    assert!(failover.acknowledged > Some(failover.sent));
    assert!(failover.times_in_words().ends_with("times"));
}

#[test]
fn a_write_whose_answer_is_lost_is_in_force_when_a_read_shows_it() {
    let mut world = both_up();
    world.weather = Weather::LoseAnswer;
    world.run(4, &[Fail, Pass]);
    world.weather = Weather::Fair;
    world.run(6, &[Fail, Pass]);
    let failover = line(&world);
    assert_eq!((failover.number, failover.acknowledged, failover.course), (1, None, Course::Witnessing));
    assert!(failover.active.is_some());
}

#[test]
fn a_region_that_is_back_before_its_removal_could_be_written_ends_the_failover() {
    let mut world = both_up();
    world.weather = Weather::Refuse;
    world.run(4, &[Fail, Pass]);
    world.run(60, &[Pass, Pass]);
    assert_eq!(line(&world).course, Course::CalledOff);
    world.assert_published(&[0, 1]).assert_writes(0);
}

#[test]
fn several_regions_that_leave_in_one_write_are_one_failover_of_the_first_look_and_the_last_verdict() {
    let mut service = service(5);
    service.max_removed = 2;
    let mut world = World::new(service, &[0, 1, 2, 3, 4]);
    let up = [Pass; 5];
    world.run(3, &up);
    world.weather = Weather::Away;
    world.run(1, &[Fail, Pass, Pass, Pass, Pass]).run(4, &[Fail, Fail, Pass, Pass, Pass]);
    world.weather = Weather::Fair;
    world.run(15, &[Fail, Fail, Pass, Pass, Pass]);
    let failover = line(&world);
    let moves: Vec<_> = failover.moves.iter().map(|it| it.region.clone()).collect();
    assert_eq!(moves, [Some(region_name(0)), Some(region_name(1))]);
    assert_eq!(seconds(&failover, failover.verdict), Some(3.0));
}

#[test]
fn an_operators_word_makes_a_failover_without_a_look_and_with_the_word_as_its_verdict() {
    let mut world = both_up();
    world.run(40, &[Pass, Pass]);
    let drain = Override {
        ruling: Ruling::Drain(Scope::Region(region_name(0))),
        author: "ops".to_owned(),
        reason: "rack move".to_owned(),
        until: None,
    };
    world.say(Word::Override(drain)).run(1, &[Pass, Pass]);
    let failover = line(&world);
    assert_eq!(failover.moves[0].cause, Cause::Operator);
    assert_eq!((failover.first, failover.verdict), (None, Some(failover.sent)));
    let release = Word::Release { scope: Scope::Region(region_name(0)), author: "ops".to_owned() };
    world.say(release).run(40, &[Pass, Pass]);
    world.assert_published(&[0, 1]);
    let back = line(&world);
    assert_eq!((back.moves[0].direction, back.moves[0].cause), (Direction::Returns, Cause::Operator));
}

#[test]
fn a_mended_drift_is_a_failover_of_nobodys_checks() {
    let mut world = both_up();
    world.run(4, &[Fail, Pass]).run(40, &[Pass, Pass]);
    world.zone.values.remove(&address(0));
    world.run(61, &[Pass, Pass]);
    world.assert_published(&[0, 1]);
    let failover = line(&world);
    assert_eq!((failover.moves[0].direction, failover.moves[0].cause), (Direction::Returns, Cause::Other));
    assert_eq!(failover.first, None);
}

#[test]
fn what_somebody_else_makes_of_the_set_supersedes_the_failover_and_is_what_witnesses_are_held_to() {
    let mut world = both_up();
    world.run(4, &[Fail, Pass]);
    let theirs = "192.0.2.7".parse().unwrap();
    world.zone.values.insert(theirs);
    world.run(61, &[Fail, Pass]);
    assert_eq!(line(&world).course, Course::Superseded);
    assert!(world.inquiry.as_ref().unwrap().wanted.contains(&theirs));
}

#[test]
fn a_plan_that_is_superseded_in_flight_has_a_line_of_its_own_end() {
    let mut service = service(3);
    service.when_all_down = WhenAllDown::KeepLast;
    let mut world = World::new(service, &[0, 1, 2]);
    world.run(3, &[Pass; 3]).run(3, &[Fail, Pass, Pass]);
    world.run(8, &[Fail, Pass, Pass]);
    let drain = Override {
        ruling: Ruling::Drain(Scope::Region(region_name(1))),
        author: "ops".to_owned(),
        reason: "both".to_owned(),
        until: None,
    };
    world.say(Word::Override(drain)).run(2, &[Fail, Pass, Pass]);
    world.assert_published(&[2]);
    let of = |number: u64| world.steps.iter().rev().find(|(_, line)| line.number == number).unwrap();
    assert_eq!(of(1).1.course, Course::Superseded);
    assert_eq!(of(2).1.course, Course::Witnessing);
}

#[test]
fn a_failover_under_way_goes_on_after_a_restart_with_the_times_it_had() {
    let mut world = both_up();
    world.run(4, &[Fail, Pass]);
    let before = line(&world);
    world.restart(Duration::from_secs(7)).run(2, &[Fail, Pass]);
    let now = zone(&world);
    witness(&mut world, &[(ONE, Some(&now))]);
    let after = line(&world);
    assert_eq!((after.number, after.sent, after.active), (before.number, before.sent, before.active));
    assert_eq!((after.course, after.witnesses.len()), (Course::Moved, 1));
    world.assert_writes(1);
    // Numbers are never used again.
    world.run(40, &[Pass, Pass]);
    assert_eq!(line(&world).number, 2);
}

#[test]
fn a_write_that_lands_although_its_process_was_killed_is_the_same_failover() {
    let mut world = both_up();
    world.death = Some(Death { lands: true, gap: Duration::from_secs(3) });
    world.run(6, &[Fail, Pass]);
    world.assert_published(&[1]).assert_writes(1);
    let failover = line(&world);
    assert_eq!((failover.number, failover.course), (1, Course::Witnessing));
    assert_eq!(seconds(&failover, Some(failover.sent)), Some(2.0));
    assert!(failover.active > Some(failover.sent + Duration::from_secs(2)));
}

#[test]
fn witnesses_that_lie_write_nothing_and_hold_nothing_back() {
    let mut world = both_up();
    for _ in 0..200 {
        witness(&mut world, &[(ONE, Some(&[foreign()])), (TWO, None)]);
        world.run(1, &[Pass, Pass]);
    }
    world.assert_writes(0).assert_published(&[0, 1]);
    world.run(4, &[Fail, Pass]);
    world.assert_writes(1).assert_published(&[1]);
}

#[test]
fn nothing_is_in_the_ledger_of_a_service_that_is_only_observed() {
    let mut service = service(2);
    service.mode = Mode::Observe;
    let mut world = World::new(service, &[0, 1]);
    world.run(3, &[Pass, Pass]).run(10, &[Fail, Pass]);
    assert!(world.steps.is_empty());
}

#[test]
fn only_the_latest_lines_are_kept_at_hand() {
    let mut service = service(2);
    service.failback = Failback::Auto;
    service.write_budget.writes = 1_000;
    let mut world = World::new(service, &[0, 1]);
    world.run(40, &[Pass, Pass]);
    for _ in 0..FAILOVERS_MAX {
        let ruling = Ruling::Drain(Scope::Region(region_name(0)));
        let (author, reason) = ("ops".to_owned(), "drill".to_owned());
        world.say(Word::Override(Override { ruling, author, reason, until: None })).run(2, &[Pass, Pass]);
        world.say(Word::Release { scope: Scope::Region(region_name(0)), author: "ops".to_owned() });
        world.run(2, &[Pass, Pass]);
    }
    let status = world.core.service_status(&world.service.name, world.now).unwrap();
    assert_eq!(status.failovers.len(), FAILOVERS_MAX);
    let ids: BTreeSet<&str> = status.failovers.iter().map(|line| line.id.as_str()).collect();
    assert!(ids.contains("demo-32") && !ids.contains("demo-1"), "{ids:?}");
}

#[test]
fn the_ttl_that_clients_hold_is_the_one_from_before_the_write() {
    let mut service = service(2);
    service.record.ttl = Ttl::from_seconds(5);
    let mut world = World::new(service, &[0, 1]);
    world.run(3, &[Pass, Pass]).run(4, &[Fail, Pass]);
    assert_eq!(line(&world).old_ttl.as_seconds(), 30);
}

#[test]
fn witnesses_are_held_against_nothing_while_there_is_no_set() {
    let mut world = both_up();
    world.run(4, &[Fail, Pass]);
    witness(&mut world, &[(ONE, None)]);
    world.weather = Weather::Forget;
    for _ in 0..8 {
        world.run(30, &[Fail, Pass]);
        witness(&mut world, &[(ONE, None)]);
    }
    assert!(!world.alarms.contains_key(&(Alarm::Witness, None)), "{:?}", world.alarms);
    assert_eq!(line(&world).course, Course::Superseded);
    // It is there again, and they are asked for it.
    world.weather = Weather::Fair;
    for _ in 0..8 {
        world.run(30, &[Fail, Pass]);
        witness(&mut world, &[(ONE, None)]);
    }
    assert!(world.alarms.contains_key(&(Alarm::Witness, None)), "{:?}", world.alarms);
}

#[test]
fn a_write_of_a_set_that_is_gone_is_called_off_when_nothing_is_wanted_of_it_any_more() {
    let mut configured = service(2);
    configured.record.create = true;
    let mut world = World::new(configured, &[0, 1]);
    world.run(3, &[Pass, Pass]);
    world.weather = Weather::LoseWrite;
    world.run(4, &[Fail, Pass]);
    world.weather = Weather::Forget;
    world.run(1, &[Fail, Fail]).run(120, &[Fail, Fail]);
    assert_eq!(line(&world).course, Course::CalledOff);
    assert!(!world.alarms.contains_key(&(Alarm::Held, None)), "{:?}", world.alarms);
}

#[test]
fn witnesses_are_held_against_nothing_while_no_set_is_served() {
    let mut configured = service(2);
    configured.record.key.routing = Routing::Weighted(Line::everybody());
    let mut world = World::new(configured, &[0, 1]);
    world.run(3, &[Pass, Pass]).run(120, &[Fail, Fail]);
    let before = world.inquiry.as_ref().unwrap().number;
    // Somebody switches all of them off, and with nobody up there is nothing to mend that with.
    world.zone.values.clear();
    world.run(120, &[Fail, Fail]);
    witness(&mut world, &[(ONE, None)]);
    world.run(120, &[Fail, Fail]);
    assert_eq!(world.inquiry.as_ref().unwrap().number, before);
    assert!(!world.alarms.contains_key(&(Alarm::Witness, None)), "{:?}", world.alarms);
}

#[test]
fn when_the_last_client_has_moved_is_known_after_a_restart_too() {
    let mut world = both_up();
    world.run(4, &[Fail, Pass]);
    let now = zone(&world);
    witness(&mut world, &[(ONE, Some(&now)), (TWO, Some(&now))]);
    let before = line(&world);
    assert_eq!(before.course, Course::Moved);
    assert!(before.moved.is_some());
    world.steps.clear();
    world.restart(Duration::ZERO).run(1, &[Fail, Pass]);
    let fetched = Fetched { at: world.now, address: None, served: false, saw: "status 503".to_owned() };
    let service = world.service.name.clone();
    world.step(&Input::Fetched { service, failover: before.number, fetched });
    let after = line(&world);
    assert!(after.fetched.is_some());
    assert_eq!(after.moved, before.moved);
}

//! What somebody else does to the record set: it is told; what goes against the plan is mended, left, or, when it does
//! not stop, not fought.

mod world;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use pointsman::core::Report;
use pointsman::model::{Alarm, InForce, Mode, OnDrift, Weighed};
use world::Look::{Fail, Pass};
use world::{RECOVER_AFTER, Weather, World, address, foreign, service};

const FIGHT: (Alarm, Option<pointsman::model::RegionName>) = (Alarm::Fight, None);
const SECOND: Duration = Duration::from_secs(1);

fn set(values: &[IpAddr]) -> BTreeSet<IpAddr> {
    values.iter().copied().collect()
}

/// Every change by somebody else that was told.
fn told(world: &World) -> Vec<(BTreeSet<IpAddr>, BTreeSet<IpAddr>)> {
    let plain = |weighed: &BTreeSet<Weighed>| weighed.iter().map(|it| it.address).collect();
    let drifted = |report: &Report| {
        if let Report::Drifted { before, now } = report { Some((plain(before), plain(now))) } else { None }
    };
    world.reports.iter().filter_map(drifted).collect()
}

/// A set that is in sync, with the next read a resync away.
fn settled(regions: usize) -> World {
    let places: Vec<usize> = (0..regions).collect();
    let mut world = World::new(service(regions), &places);
    world.run(60, &vec![Pass; regions]);
    world
}

/// Somebody takes the region out, and a resync later it was seen to.
fn take_out(world: &mut World, place: usize) {
    world.zone.values.remove(&address(place));
    let looks = vec![Pass; world.service.regions.len()];
    world.run(61, &looks);
}

#[test]
fn a_change_of_ours_is_told_once_with_both_values_and_mended() {
    let mut world = settled(2);
    take_out(&mut world, 0);
    world.assert_published(&[0, 1]).assert_writes(1);
    let both = set(&[foreign(), address(0), address(1)]);
    assert_eq!(told(&world), [(both, set(&[foreign(), address(1)]))]);
    world.run(300, &[Pass, Pass]);
    assert_eq!(told(&world).len(), 1, "our own mending is nobody else's change");
}

#[test]
fn a_change_of_what_is_not_ours_is_told_and_never_mended_nor_a_fight() {
    let mut world = settled(2);
    for _ in 0..5 {
        world.zone.values.remove(&foreign());
        world.run(61, &[Pass, Pass]);
        world.zone.values.insert(foreign());
        world.run(61, &[Pass, Pass]);
    }
    assert_eq!(told(&world).len(), 10);
    world.assert_writes(0).assert_published(&[0, 1]);
    assert!(world.alarms.is_empty(), "{:?}", world.alarms);
}

#[test]
fn the_third_change_against_the_plan_within_a_window_is_not_mended_and_alarmed_with_both_values() {
    let mut world = settled(2);
    take_out(&mut world, 0);
    take_out(&mut world, 0);
    world.assert_published(&[0, 1]).assert_writes(2);
    take_out(&mut world, 0);
    world.assert_published(&[1]).assert_writes(2);
    let message = &world.alarms[&FIGHT];
    for part in ["198.51.100.0, 198.51.100.1", "they set 198.51.100.1;", "600s"] {
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
    assert!(!world.alarms.contains_key(&(Alarm::Held, None)), "a fight is no rule of the guard");
    world.run(300, &[Pass, Pass]).assert_published(&[1]).assert_writes(2);
}

#[test]
fn three_changes_further_apart_than_a_window_are_no_fight() {
    let mut world = settled(2);
    for mends in 1..=5 {
        take_out(&mut world, 0);
        world.run(300, &[Pass, Pass]).assert_published(&[0, 1]).assert_writes(mends);
    }
}

/// Three times, so that there is a fight.
fn fought_over(regions: usize) -> World {
    let mut world = settled(regions);
    for _ in 0..3 {
        take_out(&mut world, 0);
    }
    assert!(world.alarms.contains_key(&FIGHT), "{:?}", world.alarms);
    world.assert_writes(2);
    world
}

#[test]
fn a_fight_is_over_when_nobody_changed_anything_for_a_whole_window() {
    let mut world = fought_over(2);
    // It was seen at the last read, at most a resync ago.
    world.run(600 - 61, &[Pass, Pass]).assert_published(&[1]).assert_writes(2);
    world.run(61, &[Pass, Pass]).assert_published(&[0, 1]).assert_writes(3);
    assert!(world.alarms.is_empty(), "{:?}", world.alarms);
    // What was before it is forgotten.
    take_out(&mut world, 0);
    world.assert_published(&[0, 1]).assert_writes(4);
}

#[test]
fn whoever_goes_on_prolongs_it() {
    let mut world = fought_over(3);
    world.run(400, &[Pass; 3]);
    take_out(&mut world, 1);
    world.run(400, &[Pass; 3]).assert_published(&[2]).assert_writes(2);
    let status = world.core.service_status(&world.service.name, world.now).unwrap();
    let message = &status.alarms.iter().find(|alarm| alarm.alarm == Alarm::Fight).unwrap().message;
    assert!(message.contains("they set 198.51.100.2;"), "{message}");
}

#[test]
fn a_fight_is_over_when_what_they_set_is_what_we_want_and_comes_back_at_once() {
    let mut world = fought_over(2);
    world.zone.values.insert(address(0));
    world.run(61, &[Pass, Pass]).assert_writes(2);
    assert!(world.alarms.is_empty(), "{:?}", world.alarms);
    take_out(&mut world, 0);
    world.assert_published(&[1]).assert_writes(2);
    assert!(world.alarms.contains_key(&FIGHT), "{:?}", world.alarms);
}

#[test]
fn a_region_that_dies_during_a_fight_still_leaves_once() {
    let mut world = fought_over(3);
    world.run(3, &[Pass, Fail, Pass]).assert_published(&[0, 2]).assert_writes(3);
    assert!(!world.alarms.contains_key(&FIGHT), "{:?}", world.alarms);
    // That is toggled too.
    world.zone.values.insert(address(1));
    world.run(61, &[Pass, Fail, Pass]).assert_published(&[0, 1, 2]).assert_writes(3);
    assert!(world.alarms.contains_key(&FIGHT), "{:?}", world.alarms);
    // Back to the plan that the fight began with: once again, since it is another one by now.
    world.zone.values.remove(&address(0));
    world.run(40, &[Pass; 3]).assert_published(&[0, 1, 2]).assert_writes(4);
}

#[test]
fn what_was_fought_over_is_written_once_when_it_is_wanted_anew() {
    let mut world = fought_over(3);
    world.run(3, &[Pass, Fail, Pass]).assert_published(&[0, 2]).assert_writes(3);
    world.run(RECOVER_AFTER.as_secs() + 1, &[Pass; 3]).assert_published(&[0, 1, 2]).assert_writes(4);
}

#[test]
fn a_plan_that_waits_for_the_budget_is_no_fight() {
    let mut careful = service(3);
    careful.write_budget.writes = 2;
    let mut world = World::new(careful, &[0, 1, 2]);
    world.run(60, &[Pass; 3]);
    for _ in 0..3 {
        take_out(&mut world, 0);
    }
    assert!(world.alarms.contains_key(&FIGHT), "{:?}", world.alarms);
    world.run(3, &[Pass, Fail, Pass]).assert_writes(3);
    world.run(70, &[Pass, Pass, Pass]).assert_writes(3);
    assert!(world.alarms[&(Alarm::Held, None)].contains("BOUNDED-WRITES"), "{:?}", world.alarms);
    assert!(!world.alarms.contains_key(&FIGHT), "{:?}", world.alarms);
}

#[test]
fn whoever_is_faster_than_our_reads_is_a_fight_too() {
    let mut world = settled(2);
    world.zone.values.remove(&address(0));
    for _ in 0..300 {
        world.run(1, &[Pass, Pass]);
        // Each write of ours is undone before anybody has read it.
        world.zone.values.remove(&address(0));
    }
    assert!((1..=3).contains(&world.written.len()), "{:#?}", world.written);
    let undone = |(before, now): &(BTreeSet<IpAddr>, BTreeSet<IpAddr>)| {
        before.contains(&address(0)) && !now.contains(&address(0))
    };
    assert_eq!(told(&world).iter().filter(|change| undone(change)).count(), 3);
    assert!(world.alarms.contains_key(&FIGHT), "{:?}", world.alarms);
}

#[test]
fn with_on_drift_alarm_nothing_is_mended_and_nothing_fought() {
    let mut left = service(2);
    left.record.on_drift = OnDrift::Alarm;
    let mut world = World::new(left, &[0, 1]);
    world.run(60, &[Pass, Pass]);
    for _ in 0..4 {
        take_out(&mut world, 0);
        world.assert_published(&[1]).assert_writes(0);
        assert!(world.alarms.contains_key(&(Alarm::Drift, None)), "{:?}", world.alarms);
        assert!(!world.alarms.contains_key(&FIGHT), "{:?}", world.alarms);
        world.zone.values.insert(address(0));
        world.run(61, &[Pass, Pass]);
        assert!(world.alarms.is_empty(), "{:?}", world.alarms);
    }
}

#[test]
fn a_restart_neither_ends_a_fight_nor_begins_one() {
    let mut world = fought_over(2);
    world.save().restart(SECOND).save().restart(SECOND);
    world.run(300, &[Pass, Pass]).assert_published(&[1]).assert_writes(2);
    assert!(world.alarms.contains_key(&FIGHT), "{:?}", world.alarms);

    let mut world = settled(2);
    for mends in 1..=2 {
        take_out(&mut world, 0);
        world.restart(SECOND).run(61, &[Pass, Pass]).assert_published(&[0, 1]).assert_writes(mends);
        assert!(world.alarms.is_empty(), "{:?}", world.alarms);
    }
    take_out(&mut world, 0);
    world.assert_published(&[1]).assert_writes(2);
}

#[test]
fn our_own_writes_are_nobody_elses_however_late_they_land() {
    let mut world = settled(2);
    world.weather = Weather::LoseWrite;
    world.run(3, &[Fail, Pass]);
    world.weather = Weather::Fair;
    world.run(10, &[Fail, Pass]).assert_published(&[1]);
    // The region is back, and then the write that was lost lands.
    world.run(40, &[Pass, Pass]).assert_published(&[0, 1]);
    take_out(&mut world, 0);
    world.assert_published(&[0, 1]);
    assert_eq!(told(&world), []);
    // After so long a time nothing lands any more.
    world.run(120, &[Pass, Pass]);
    take_out(&mut world, 0);
    assert_eq!(told(&world).len(), 1);
}

#[test]
fn a_write_that_was_lost_lands_once() {
    let mut world = settled(2);
    world.run(2, &[Fail, Pass]);
    world.weather = Weather::LoseWrite;
    world.look(0, Fail);
    world.weather = Weather::Fair;
    world.zone.values.remove(&address(0));
    world.run(2, &[Fail, Pass]).run(RECOVER_AFTER.as_secs() + 1, &[Pass, Pass]).assert_published(&[0, 1]);
    assert_eq!(told(&world), []);
    world.zone.values.remove(&address(0));
    world.run(10, &[Pass, Pass]);
    assert_eq!(told(&world).len(), 1);
}

#[test]
fn what_a_refused_write_would_have_set_is_somebody_elses_doing() {
    let mut world = settled(2);
    world.weather = Weather::Refuse;
    world.run(3, &[Fail, Pass]);
    world.zone.values.remove(&address(0));
    world.run(61, &[Fail, Pass]);
    assert_eq!(told(&world).len(), 1);
}

#[test]
fn a_write_that_failed_at_the_provider_is_nobody_elses_doing() {
    let mut world = settled(2);
    take_out(&mut world, 0);
    world.run(3, &[Fail, Pass]).assert_published(&[1]).assert_writes(2);
    world.zone.values.insert(address(0));
    world.zone.in_force = InForce::Failed;
    let before = world.reports.len();
    world.run(61, &[Fail, Pass]).assert_published(&[1]);
    let blamed = |report: &Report| {
        matches!(report, Report::Drifted { .. } | Report::Alarmed { alarm: Alarm::Drift, .. })
    };
    assert!(!world.reports[before..].iter().any(blamed), "{:?}", &world.reports[before..]);
}

#[test]
fn a_set_that_somebody_deletes_is_told_and_not_made_again_and_again() {
    let mut made = service(2);
    made.record.create = true;
    let mut world = World::new(made, &[0, 1]);
    world.run(60, &[Pass, Pass]);
    // Each time that it is made, it is soon gone again.
    world.weather = Weather::Forget;
    world.run(500, &[Pass, Pass]);
    assert_eq!(world.sent.len(), 2);
    assert!(told(&world).iter().any(|(_, now)| now.is_empty()), "{:?}", told(&world));
    assert!(world.alarms.contains_key(&FIGHT), "{:?}", world.alarms);
}

#[test]
fn a_dry_run_tells_of_changes_and_fights_nobody() {
    let mut dry = service(2);
    dry.mode = Mode::Observe;
    let mut world = World::new(dry, &[0, 1]);
    world.run(60, &[Pass, Pass]);
    for _ in 0..4 {
        take_out(&mut world, 0);
        assert!(!world.alarms.contains_key(&FIGHT), "{:?}", world.alarms);
        world.zone.values.insert(address(0));
        world.run(61, &[Pass, Pass]);
    }
    assert_eq!(told(&world).len(), 8);
    assert!(world.alarms.is_empty() && world.sent.is_empty(), "{:?}", world.alarms);
}

#[test]
fn a_write_that_was_taken_and_not_carried_out_is_nobodys_drift_and_is_sent_again() {
    for on_drift in [OnDrift::Mend, OnDrift::Alarm] {
        for seconds in [4, 20, 60] {
            let mut configured = service(2);
            configured.record.on_drift = on_drift;
            let mut world = World::new(configured, &[0, 1]);
            world.run(60, &[Pass, Pass]);
            world.weather = Weather::Pretend;
            world.run(3 + seconds, &[Fail, Pass]).assert_published(&[0, 1]);
            let is_told = world.alarms.contains_key(&(Alarm::NotInForce, None));
            assert_eq!(is_told, seconds >= 20, "{on_drift:?}, {seconds} s: {:?}", world.alarms);
            world.weather = Weather::Fair;
            world.run(21, &[Fail, Pass]).assert_published(&[1]);
            assert_eq!(told(&world), []);
            world.run(30, &[Fail, Pass]);
            assert!(world.alarms.is_empty(), "{on_drift:?}, {seconds} s: {:?}", world.alarms);
        }
    }
}

#[test]
fn what_somebody_undoes_once_a_read_has_shown_it_is_a_drift() {
    let mut configured = service(2);
    configured.record.on_drift = OnDrift::Alarm;
    let mut world = World::new(configured, &[0, 1]);
    world.run(60, &[Pass, Pass]).run(4, &[Fail, Pass]).assert_published(&[1]);
    world.zone.values.insert(address(0));
    world.run(61, &[Fail, Pass]).assert_published(&[0, 1]);
    assert!(world.alarms.contains_key(&(Alarm::Drift, None)), "{:?}", world.alarms);
}

//! What the reconciler does about a provider that refuses, forgets, throttles, lags, or is used by somebody else.

mod world;

use std::sync::Arc;
use std::time::Duration;

use pointsman::core::{Call, Generation, Plan, Report, WriteResult};
use pointsman::model::{Alarm, InForce, Mode, OnDrift, ProviderError, ProviderErrorKind, Service, Ttl};
use world::Look::{Fail, Pass};
use world::{RECOVER_AFTER, Weather, World, address, dying, foreign, newer, service, whole_seconds_between};

fn results(world: &World) -> Vec<WriteResult> {
    let result = |report: &Report| {
        if let Report::Written { result, .. } = report { Some(*result) } else { None }
    };
    world.reports.iter().filter_map(result).collect()
}

#[test]
fn a_write_whose_answer_is_lost_is_settled_by_reading_and_not_sent_again() {
    let mut world = dying(Weather::LoseAnswer);
    world.assert_published(&[1]);
    world.weather = Weather::Fair;
    world.run(30, &[Fail, Pass]).assert_writes(1);
    assert_eq!(results(&world), [WriteResult::Lost]);
}

#[test]
fn a_write_that_never_arrived_is_sent_again_after_a_read() {
    let mut world = dying(Weather::LoseWrite);
    world.assert_published(&[0, 1]);
    world.weather = Weather::Fair;
    world.run(5, &[Fail, Pass]).assert_published(&[1]).assert_writes(1);
}

#[test]
fn bounded_writes_lost_ones_that_did_not_land_are_given_back_and_repeated_after_growing_pauses() {
    let mut lost = dying(Weather::LoseWrite);
    lost.run(100, &[Fail, Pass]);
    assert_eq!(whole_seconds_between(&lost.sent)[..7], [1, 2, 4, 8, 15, 15, 15]);
    assert!(!lost.alarms.contains_key(&(Alarm::Held, None)), "{:?}", lost.alarms);
    lost.weather = Weather::Fair;
    lost.run(16, &[Fail, Pass]).assert_published(&[1]);
}

#[test]
fn bounded_writes_one_that_was_lost_and_landed_counts() {
    let mut poor = service(2);
    poor.write_budget.writes = 1;
    let mut world = World::new(poor, &[0, 1]);
    world.run(5, &[Pass, Pass]);
    world.weather = Weather::LoseAnswer;
    world.run(5, &[Fail, Pass]).assert_published(&[1]);
    world.weather = Weather::Fair;
    world.run(60, &[Pass, Pass]).assert_published(&[1]);
    assert!(world.alarms[&(Alarm::Held, None)].contains("BOUNDED-WRITES"), "{:?}", world.alarms);
}

#[test]
fn bounded_writes_a_failover_waits_for_nothing_after_a_brownout_of_the_provider() {
    let mut world = dying(Weather::LoseWrite);
    world.run(25, &[Fail, Pass]);
    world.weather = Weather::Fair;
    world.run(16, &[Fail, Pass]).assert_published(&[1]);
}

#[test]
fn bounded_writes_a_set_that_failed_is_repaired_once_and_then_after_growing_pauses() {
    let mut world = World::new(service(3), &[0, 1, 2]);
    world.run(60, &[Pass; 3]);
    (world.weather, world.zone.in_force) = (Weather::Spoil, InForce::Failed);
    world.run(1_200, &[Pass; 3]);
    let pauses = whole_seconds_between(&world.sent);
    assert_eq!(pauses[..5], [15, 30, 60, 120, 240], "after the first: {pauses:?}");
    // A region that dies needs none of what the repairs used up.
    world.run(3, &[Pass, Pass, Fail]).assert_published(&[0, 1]);
}

#[test]
fn never_empty_holds_no_repair_of_a_set_with_fewer_than_min_published() {
    let mut world = World::new(Service { min_published: 2, ..service(1) }, &[0]);
    world.run(60, &[Pass]).assert_writes(0);
    world.zone.in_force = InForce::Failed;
    world.run(60, &[Pass]).assert_published(&[0]);
    assert!(!world.written.is_empty(), "{:?}", world.alarms);
}

#[test]
fn a_failed_set_with_nothing_of_ours_is_left_alone_while_there_is_nobody_to_publish() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(60, &[Pass, Pass]).run(10, &[Fail, Fail]);
    world.zone.values.retain(|value| *value == foreign());
    world.zone.in_force = InForce::Failed;
    world.run(600, &[Fail, Fail]).assert_published(&[]).assert_writes(0);
    let alarms: Vec<Alarm> = world.alarms.keys().map(|(alarm, _)| *alarm).collect();
    assert_eq!(alarms, [Alarm::AllDown], "{:?}", world.alarms);
}

#[test]
fn bounded_writes_a_lost_repair_counts_since_no_read_shows_whether_it_landed() {
    let mut poor = service(2);
    poor.write_budget.writes = 1;
    let mut world = World::new(poor, &[0, 1]);
    world.run(60, &[Pass, Pass]);
    (world.weather, world.zone.in_force) = (Weather::LoseWrite, InForce::Failed);
    world.run(300, &[Pass, Pass]);
    assert_eq!(world.sent.len(), 1, "{:?}", world.sent);
    assert!(world.alarms[&(Alarm::Held, None)].contains("BOUNDED-WRITES"), "{:?}", world.alarms);
}

#[test]
fn bounded_writes_one_region_that_flaps_never_keeps_another_ones_death_waiting() {
    let mut flappy = service(3);
    flappy.write_budget.writes = 2;
    let mut world = World::new(flappy, &[0, 1, 2]);
    world.run(5, &[Pass; 3]).run(3, &[Fail, Pass, Pass]).run(31, &[Pass; 3]).assert_writes(2);
    world.run(3, &[Fail, Pass, Pass]).run(120, &[Pass; 3]).assert_published(&[1, 2]).assert_writes(3);
    assert!(world.alarms[&(Alarm::Held, None)].contains("BOUNDED-WRITES"), "{:?}", world.alarms);
    // What waits for the budget goes along. That makes the budget, and one for each region that left.
    world.run(3, &[Pass, Fail, Pass]).assert_published(&[0, 2]).assert_writes(4);
    world.run(300, &[Pass, Pass, Pass]).assert_published(&[0, 2]).assert_writes(4);
    world.run(300, &[Pass, Pass, Pass]).assert_published(&[0, 1, 2]);
}

#[test]
fn a_write_that_stays_pending_is_waited_for_once_and_a_newer_plan_follows_as_soon_as_it_is_steady() {
    let mut world = dying(Weather::Stall);
    world.weather = Weather::Conflict;
    world.run(59, &[Fail, Pass]);
    assert!(!world.alarms.contains_key(&(Alarm::NotInForce, None)), "{:?}", world.alarms);
    world.run(3, &[Fail, Pass]);
    assert!(world.alarms.contains_key(&(Alarm::NotInForce, None)), "{:?}", world.alarms);
    world.run(40, &[Pass, Pass]).run(60, &[Pass, Fail]).assert_published(&[1]);
    (world.weather, world.zone.in_force) = (Weather::Fair, InForce::Yes);
    world.run(3, &[Pass, Fail]).assert_published(&[0]);
}

#[test]
fn while_a_region_is_to_leave_a_refused_write_is_tried_every_ten_seconds() {
    let mut world = dying(Weather::Refuse);
    world.run(300, &[Fail, Pass]);
    let pauses = whole_seconds_between(&world.tried);
    assert!(pauses.len() >= 25 && pauses.iter().all(|pause| *pause <= 10), "{pauses:?}");
    let told = |report: &Report| matches!(report, Report::Written { retry_in: Some(_), .. });
    assert!(world.reports.iter().any(told));
}

#[test]
fn the_first_read_that_fails_while_a_change_waits_is_told_with_the_next_try() {
    for weather in [Weather::Away, Weather::Garble] {
        let mut world = World::new(service(2), &[0, 1]);
        world.run(5, &[Pass, Pass]).run(2, &[Fail, Pass]);
        world.weather = weather;
        world.look(0, Fail);
        let told = |report: &&Report| matches!(report, Report::Delayed { .. });
        assert_eq!(world.reports.iter().filter(told).count(), 1);
        let begun = world.now;
        world.run(300, &[Fail, Pass]);
        assert_eq!(world.reports.iter().filter(told).count(), 1, "once in a row");
        world.weather = Weather::Fair;
        world.run(10, &[Fail, Pass]).assert_published(&[1]);
        assert!(world.now > begun);
    }
}

#[test]
fn a_plan_that_comes_while_reads_fail_is_told_to_wait_at_once() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(5, &[Pass, Pass]);
    world.weather = Weather::Away;
    world.pass(Duration::from_secs(120)).run(3, &[Fail, Pass]);
    let told = |report: &Report| matches!(report, Report::Delayed { .. });
    assert!(world.reports.iter().any(told), "the region is down, and its removal waits");
}

#[test]
fn a_plan_that_waits_for_a_pending_change_is_told_so_and_goes_out_once_that_is_steady() {
    let mut world = World::new(service(3), &[0, 1, 2]);
    world.run(60, &[Pass; 3]);
    (world.zone.in_force, world.weather) = (InForce::Pending, Weather::Refuse);
    world.run(70, &[Fail, Pass, Pass]);
    let waits = |report: &Report| matches!(report, Report::Delayed { message, .. } if message.contains("not in force yet"));
    assert!(world.reports.iter().any(waits), "{:?}", world.reports);
    assert!(!world.tried.is_empty(), "after a minute it is tried all the same");
    let alarms: Vec<_> = world.alarms.keys().map(|(alarm, _)| *alarm).collect();
    assert_eq!(alarms, [Alarm::NotInForce]);
    (world.zone.in_force, world.weather) = (InForce::Yes, Weather::Fair);
    world.run(3, &[Fail, Pass, Pass]).assert_published(&[1, 2]);
}

#[test]
fn a_reload_hastens_whatever_backs_off() {
    let mut world = dying(Weather::ThrottleFor(600));
    world.run(5, &[Fail, Pass]);
    world.weather = Weather::Fair;
    world.reconciler.handle_reload(world.now);
    world.run(1, &[Fail, Pass]).assert_published(&[1]);
}

#[test]
fn a_server_that_refuses_every_write_as_a_conflict_is_told_to_be_at_fault_itself() {
    let mut world = dying(Weather::Conflict);
    world.run(30, &[Fail, Pass]);
    let message = &world.alarms[&(Alarm::WriteRefused, None)];
    assert!(message.starts_with("Conflict; ") && message.contains("may be at fault"), "{message}");
    world.weather = Weather::Fair;
    world.run(11, &[Fail, Pass]).assert_published(&[1]);
    assert!(world.alarms.is_empty(), "{:?}", world.alarms);
}

#[test]
fn refused_writes_do_not_use_up_the_budget() {
    let mut refused = dying(Weather::Refuse);
    refused.run(1_200, &[Fail, Pass]);
    assert!(results(&refused).len() > 6, "{:?}", results(&refused));
    assert!(refused.alarms.contains_key(&(Alarm::WriteRefused, None)), "{:?}", refused.alarms);
    refused.weather = Weather::Fair;
    refused.run(200, &[Fail, Pass]).assert_published(&[1]);
    assert!(refused.alarms.is_empty(), "{:?}", refused.alarms);
}

#[test]
fn a_return_that_is_refused_again_and_again_is_sent_less_and_less_often_while_reads_go_on() {
    let mut world = dying(Weather::Fair);
    world.weather = Weather::Refuse;
    world.run(1_200, &[Pass, Pass]);
    assert!((5..25).contains(&results(&world).len()), "{} writes", results(&world).len());
    let reads = world.reports.iter().filter(|report| matches!(report, Report::Seen { .. })).count();
    assert!(reads >= 20, "a read every resync, but {reads} in 20 min");
    // A new plan is tried at once.
    world.weather = Weather::Fair;
    world.run(3, &[Pass, Fail]).assert_published(&[0]);
}

#[test]
fn a_provider_that_stays_away_is_alarmed_and_the_newest_plan_waits_for_it() {
    let mut world = dying(Weather::Away);
    world.run(20, &[Fail, Pass]).assert_published(&[0, 1]);
    assert!(world.alarms.contains_key(&(Alarm::ProviderAway, None)));
    world.weather = Weather::Fair;
    world.run(15, &[Fail, Pass]).assert_published(&[1]);
    assert!(world.alarms.is_empty(), "{:?}", world.alarms);
}

#[test]
fn nothing_is_written_on_a_read_that_cannot_be_understood() {
    let mut world = dying(Weather::Garble);
    world.run(120, &[Fail, Pass]).assert_writes(0);
    assert!(world.alarms.contains_key(&(Alarm::ProviderAway, None)));
}

#[test]
fn an_answer_to_a_write_that_cannot_be_understood_is_settled_by_reading() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(5, &[Pass, Pass]).run(2, &[Fail, Pass]);
    // The read before the write still goes well.
    world.weather = Weather::GarbleWrites;
    world.run(3, &[Fail, Pass]).assert_published(&[1]).assert_writes(1);
    assert_eq!(results(&world), [WriteResult::Lost]);
    world.weather = Weather::Fair;
    world.run(10, &[Fail, Pass]).assert_writes(1);
}

#[test]
fn a_lost_write_that_lands_late_over_a_newer_one_is_corrected_within_seconds() {
    let mut world = dying(Weather::LoseWrite);
    world.weather = Weather::Fair;
    world.run(30, &[Fail, Pass]).assert_published(&[1]);
    world.zone.values.insert(address(0));
    world.run(3, &[Fail, Pass]).assert_published(&[1]);
}

#[test]
fn a_read_from_before_a_write_that_was_answered_is_not_believed_for_long() {
    for restarts in [false, true] {
        let mut world = dying(Weather::Fair);
        if restarts {
            world.restart(Duration::from_secs(1));
        }
        let written = world.zone.values.clone();
        world.zone.values.insert(address(0));
        world.reconciler.handle_plan(world.now, newer(&world.plans[0], 1_000));
        world.pass(Duration::ZERO).zone.values = written;
        world.pass(Duration::from_secs(3)).assert_published(&[0, 1]);
    }
}

#[test]
fn a_read_that_lags_behind_a_write_does_not_cause_a_second_one() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(5, &[Pass, Pass]).run(2, &[Fail, Pass]).look(0, Fail).assert_published(&[1]);
    let written = world.zone.values.clone();
    world.zone.values.insert(address(0));
    world.pass(Duration::from_millis(500)).zone.values = written;
    world.run(10, &[Fail, Pass]).assert_published(&[1]).assert_writes(1);
}

#[test]
fn one_that_writes_once_sends_one_write_whatever_becomes_of_it() {
    let mut world = World::new(service(2), &[0, 1]);
    world.reconciler = world.reconciler.writing_once();
    world.weather = Weather::LoseWrite;
    world.run(5, &[Pass, Pass]).run(5, &[Fail, Pass]);
    world.weather = Weather::Fair;
    world.run(120, &[Fail, Pass]).assert_published(&[0, 1]);
    assert_eq!(world.tried.len(), 1);
}

#[test]
fn an_older_plan_never_takes_the_place_of_a_newer_one() {
    let mut world = dying(Weather::Fair);
    let stale = world.plans[0].clone();
    world.reconciler.handle_plan(world.now, stale);
    world.run(70, &[Fail, Pass]).assert_published(&[1]).assert_writes(1);
}

#[test]
fn no_write_leaves_fewer_than_min_published_whatever_the_plan_says() {
    let mut two = service(3);
    two.min_published = 2;
    let mut world = World::new(two, &[0, 1, 2]);
    world.run(5, &[Pass, Pass, Pass]);
    let lone = Plan { wanted: [address(0)].into(), ..Plan::clone(&world.plans[0]) };
    world.reconciler.handle_plan(world.now, newer(&lone, 1_000));
    world.pass(Duration::from_secs(5)).assert_published(&[0, 1, 2]).assert_writes(0);
    assert!(world.reports.iter().any(|report| matches!(report, Report::Held(_))));
}

#[test]
fn what_is_not_wanted_any_more_is_not_written_when_the_provider_is_back() {
    let mut world = World::new(service(1), &[]);
    world.weather = Weather::Refuse;
    world.run(RECOVER_AFTER.as_secs() + 5, &[Pass]).run(5, &[Fail]);
    world.weather = Weather::Fair;
    world.run(300, &[Fail]).assert_published(&[]).assert_writes(0);
    world.run(RECOVER_AFTER.as_secs() + 60, &[Pass]).assert_published(&[0]);
}

#[test]
fn a_list_that_forgets_the_set_once_makes_no_second_one_and_changes_no_plan() {
    let mut service = service(2);
    service.record.create = true;
    let mut world = World::new(service, &[0, 1]);
    world.run(50, &[Pass, Pass]);
    let plans = world.plans.len();
    // The read that is due at 60 s finds nothing, and the one that confirms it finds the set again.
    world.weather = Weather::Forget;
    world.pass(Duration::from_millis(10_500));
    world.weather = Weather::Fair;
    world.run(60, &[Pass, Pass]).assert_published(&[0, 1]).assert_writes(0);
    assert_eq!(world.plans.len(), plans);
}

#[test]
fn a_new_plan_does_not_make_one_list_that_forgot_the_set_count_twice() {
    let mut service = service(2);
    service.record.create = true;
    let mut world = World::new(service.clone(), &[0, 1]);
    world.run(50, &[Pass, Pass]);
    world.weather = Weather::Forget;
    world.pass(Duration::from_millis(10_050));
    service.record.ttl = Ttl::from_seconds(60);
    world.reconfigure(service);
    assert!(world.sent.is_empty(), "made within a second of the first list that lacked it");
    world.weather = Weather::Fair;
    world.run(60, &[Pass, Pass]).assert_published(&[0, 1]).assert_writes(0);
}

#[test]
fn a_list_that_forgets_the_set_after_a_write_does_not_keep_it_from_being_found_in_force() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(5, &[Pass, Pass]).run(2, &[Fail, Pass]).look(0, Fail).assert_published(&[1]);
    world.weather = Weather::Forget;
    world.pass(Duration::from_millis(500));
    world.weather = Weather::Fair;
    world.run(5, &[Fail, Pass]);
    assert!(world.reports.iter().any(|report| matches!(report, Report::InForce { .. })));
}

#[test]
fn a_set_that_is_missing_twice_is_made_when_that_is_allowed_and_alarmed_when_it_is_not() {
    for create in [true, false] {
        let mut service = service(2);
        service.record.create = create;
        let mut world = World::new(service, &[0, 1]);
        world.run(50, &[Pass, Pass]);
        world.weather = Weather::Forget;
        world.run(20, &[Pass, Pass]);
        assert_eq!(world.sent.is_empty(), !create);
        assert_eq!(world.alarms.contains_key(&(Alarm::Missing, None)), !create, "{:?}", world.alarms);
    }
}

#[test]
fn a_set_that_was_just_made_and_that_no_list_shows_yet_is_not_made_a_second_time() {
    let mut service = service(2);
    service.record.create = true;
    let mut world = World::new(service, &[0, 1]);
    world.run(50, &[Pass, Pass]);
    world.weather = Weather::Forget;
    world.run(15, &[Pass, Pass]);
    assert_eq!(world.sent.len(), 1, "made at 61 s");
    // Somebody has deleted it.
    world.run(5, &[Pass, Pass]);
    assert_eq!(world.sent.len(), 2);
}

#[test]
fn what_somebody_else_removed_is_put_back_within_resync_and_alarmed() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(65, &[Pass, Pass]);
    world.zone.values.remove(&address(0));
    world.run(60, &[Pass, Pass]).assert_published(&[0, 1]).assert_writes(1);
    let drift = |report: &&Report| matches!(report, Report::Alarmed { alarm: Alarm::Drift, .. });
    assert_eq!(world.reports.iter().filter(drift).count(), 1);
    assert!(world.alarms.is_empty(), "mended: {:?}", world.alarms);
}

#[test]
fn with_on_drift_alarm_somebody_elses_change_stays_until_the_next_plan() {
    let mut alarm = service(2);
    alarm.record.on_drift = OnDrift::Alarm;
    let mut world = World::new(alarm, &[0, 1]);
    world.run(65, &[Pass, Pass]);
    world.zone.values.remove(&address(0));
    world.run(300, &[Pass, Pass]).assert_published(&[1]).assert_writes(0);
    assert!(world.alarms.contains_key(&(Alarm::Drift, None)));
}

#[test]
fn a_foreign_value_added_by_somebody_else_is_no_drift_and_survives_the_next_write() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(65, &[Pass, Pass]);
    let theirs = "192.0.2.5".parse().unwrap();
    world.zone.values.insert(theirs);
    world.run(60, &[Pass, Pass]).assert_writes(0);
    assert!(world.alarms.is_empty(), "{:?}", world.alarms);
    world.run(3, &[Fail, Pass]).assert_published(&[1]);
    assert!(world.zone.values.contains(&theirs) && world.zone.values.contains(&foreign()));
}

#[test]
fn a_set_that_stays_pending_is_alarmed_and_one_that_failed_is_written_once_more() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(5, &[Pass, Pass]);
    world.zone.in_force = InForce::Pending;
    world.run(100, &[Fail, Pass]);
    assert!(world.alarms.contains_key(&(Alarm::NotInForce, None)), "{:?}", world.alarms);
    world.zone.in_force = InForce::Failed;
    world.run(30, &[Fail, Pass]);
    assert!(world.sent.len() >= 2, "a set whose last change failed is written again");
    world.zone.in_force = InForce::Yes;
    world.run(61, &[Fail, Pass]).assert_published(&[1]);
    assert!(world.alarms.is_empty(), "{:?}", world.alarms);
}

#[test]
fn lists_that_forgot_the_set_keep_nobody_in_for_long_who_is_to_leave() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(10, &[Pass, Pass]);
    world.weather = Weather::Forget;
    world.run(6, &[Fail, Pass]);
    assert!(world.alarms.contains_key(&(Alarm::Missing, None)), "{:?}", world.alarms);
    world.weather = Weather::Fair;
    world.run(12, &[Fail, Pass]).assert_published(&[1]);
}

#[test]
fn a_set_that_is_switched_off_is_alarmed_and_left_as_it_is() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(5, &[Pass, Pass]);
    world.zone.in_force = InForce::Withheld;
    world.run(61, &[Pass, Pass]).assert_writes(0);
    assert!(world.alarms.contains_key(&(Alarm::Withheld, None)));
}

#[test]
fn a_ttl_that_differs_is_set_with_the_next_change_and_alone_never_causes_a_write() {
    let mut short = service(2);
    short.record.ttl = Ttl::from_seconds(5);
    let mut world = World::new(short, &[0, 1]);
    world.run(120, &[Pass, Pass]).assert_writes(0);
    world.run(3, &[Fail, Pass]).assert_published(&[1]);
    let set = world.reports.iter().find_map(|report| {
        if let Report::Sent { set, .. } = report { Some(set.ttl().as_seconds()) } else { None }
    });
    assert_eq!(set, Some(5));
}

#[test]
fn a_dry_run_tells_what_it_would_write_once_and_writes_nothing() {
    let mut dry = service(2);
    dry.mode = Mode::Observe;
    let mut world = World::new(dry, &[0, 1]);
    world.run(5, &[Pass, Pass]).run(200, &[Fail, Pass]).assert_published(&[0, 1]).assert_writes(0);
    let told = world.reports.iter().filter(|report| matches!(report, Report::DryRun { .. })).count();
    assert_eq!((told, world.sent.len()), (1, 0));
}

#[test]
fn a_reload_hastens_nothing_while_all_goes_well() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(20, &[Pass, Pass]);
    let due = world.reconciler.next_wake();
    assert!(due > Some(world.now));
    world.reconciler.handle_reload(world.now);
    assert_eq!(world.reconciler.next_wake(), due);
}

#[test]
fn the_first_read_that_a_change_waits_for_has_half_the_time_of_any_other() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(20, &[Pass, Pass]);
    let deadline = |world: &World| world.reconciler.read_deadline().as_secs();
    assert_eq!(deadline(&world), 8, "nothing waits for it");
    let plan = world.plans.last().unwrap();
    let newest = Plan { generation: Generation(1_000), wanted: [address(1)].into(), ..Plan::clone(plan) };
    world.reconciler.handle_plan(world.now, Arc::new(newest));
    assert_eq!(deadline(&world), 4);
    assert_eq!(world.reconciler.poll_call(world.now), Some(Call::Read));
    let away = ProviderError { kind: ProviderErrorKind::Away, message: String::new() };
    world.reconciler.handle_read(world.now, Err(away));
    assert_eq!(deadline(&world), 8, "a slow provider has the whole time");
}

#[test]
fn a_provider_that_is_away_is_alarmed_at_the_third_read_in_a_row() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(20, &[Pass, Pass]);
    let mut now = world.now;
    let mut alarmed = Vec::new();
    while alarmed.len() < 5 {
        now = now.max(world.reconciler.next_wake().unwrap());
        if world.reconciler.poll_call(now).is_none() {
            continue;
        }
        // The third of them goes well.
        let away = ProviderError { kind: ProviderErrorKind::Away, message: String::new() };
        let answer = if alarmed.len() == 2 { Ok(Some(world.zone.clone())) } else { Err(away) };
        world.reconciler.handle_read(now, answer);
        let mut is_alarmed = false;
        while let Some(report) = world.reconciler.poll_report() {
            is_alarmed |= matches!(report, Report::Alarmed { alarm: Alarm::ProviderAway, .. });
        }
        alarmed.push(is_alarmed);
    }
    assert_eq!(alarmed, [false; 5], "no three of them in a row");
    world.weather = Weather::Away;
    world.reports.clear();
    let is_away = |world: &World| world.alarms.contains_key(&(Alarm::ProviderAway, None));
    assert!(!is_away(&world));
    world.pass(Duration::from_secs(150));
    assert!(is_away(&world));
}

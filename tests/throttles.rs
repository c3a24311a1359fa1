//! What a provider that throttles is spared, and what it is asked all the same while a region is to leave.

mod world;

use std::time::Duration;

use pointsman::core::{Call, Reconciler, Report};
use pointsman::model::{InForce, ProviderError, ProviderErrorKind, Service};
use world::Look::{Fail, Pass};
use world::{RECOVER_AFTER, Weather, World, dying, newer, service, whole_seconds_between};
#[test]
fn a_throttle_never_keeps_a_removal_from_one_try_every_fifteen_seconds() {
    let mut world = dying(Weather::ThrottleFor(600));
    world.run(60, &[Fail, Pass]).assert_published(&[0, 1]);
    world.weather = Weather::Fair;
    world.run(16, &[Fail, Pass]).assert_published(&[1]);
    // A return has time.
    world.weather = Weather::ThrottleFor(120);
    world.run(RECOVER_AFTER.as_secs() + 30, &[Pass, Pass]);
    world.weather = Weather::Fair;
    world.run(60, &[Pass, Pass]).assert_published(&[1]);
    world.run(60, &[Pass, Pass]).assert_published(&[0, 1]);
}

#[test]
fn a_throttle_holds_when_the_try_that_it_allows_a_removal_is_lost() {
    let mut world = dying(Weather::Away);
    let (zone, mut now, mut tried) = (world.zone.clone(), world.now, Vec::new());
    let throttled = ProviderErrorKind::Throttled(Some(Duration::from_secs(600)));
    for kind in [throttled, ProviderErrorKind::Lost, ProviderErrorKind::Away, ProviderErrorKind::Away] {
        let reconciler = &mut world.reconciler;
        while tried.len() < 100 {
            now = now.max(reconciler.next_wake().unwrap());
            while reconciler.poll_report().is_some() {}
            match reconciler.poll_call(now) {
                None => {}
                Some(Call::Read) => reconciler.handle_read(now, Ok(Some(zone.clone()))),
                Some(Call::Replace { .. } | Call::Create { .. }) => break,
            }
        }
        tried.push(now);
        reconciler.handle_written(now, Err(ProviderError { kind, message: String::new() }));
    }
    assert_eq!(whole_seconds_between(&tried), [15, 15, 15]);
}

#[test]
fn a_write_that_was_taken_back_uses_up_no_try_that_a_throttle_allows_a_removal() {
    let mut world = dying(Weather::Away);
    let (zone, mut now) = (world.zone.clone(), world.now);
    let newest = newer(world.plans.last().unwrap(), 1_000);
    let mut writes_at = |reconciler: &mut Reconciler| loop {
        now = now.max(reconciler.next_wake().unwrap());
        while reconciler.poll_report().is_some() {}
        match reconciler.poll_call(now) {
            None => {}
            Some(Call::Read) => reconciler.handle_read(now, Ok(Some(zone.clone()))),
            Some(Call::Replace { .. } | Call::Create { .. }) => return now,
        }
    };
    let first = writes_at(&mut world.reconciler);
    let kind = ProviderErrorKind::Throttled(Some(Duration::from_secs(600)));
    world.reconciler.handle_written(first, Err(ProviderError { kind, message: String::new() }));
    let second = writes_at(&mut world.reconciler);
    assert_eq!(whole_seconds_between(&[first, second]), [15]);
    world.reconciler.handle_plan(second, newest);
    assert!(world.reconciler.withdraw_superseded(second));
    assert_eq!(writes_at(&mut world.reconciler), second, "it was never sent, so it was no try");
}

#[test]
fn a_throttle_met_while_a_write_is_waited_for_keeps_no_removal_for_longer_either() {
    let mut world = World::new(Service { max_removed: 2, ..service(4) }, &[0, 1, 2, 3]);
    world.run(5, &[Pass; 4]);
    world.weather = Weather::Stall;
    world.run(3, &[Fail, Pass, Pass, Pass]).assert_published(&[1, 2, 3]);
    world.weather = Weather::ThrottleFor(600);
    world.run(5, &[Fail, Pass, Pass, Pass]);
    (world.weather, world.zone.in_force) = (Weather::Fair, InForce::Yes);
    world.run(16, &[Fail, Fail, Pass, Pass]).assert_published(&[2, 3]);
}

#[test]
fn a_throttle_met_while_a_write_is_waited_for_is_obeyed_once_nobody_is_to_leave_any_more() {
    let mut world = World::new(Service { max_removed: 2, ..service(4) }, &[0, 1, 2, 3]);
    world.run(5, &[Pass; 4]);
    world.weather = Weather::Stall;
    world.run(3, &[Fail, Pass, Pass, Pass]).assert_published(&[1, 2, 3]);
    world.weather = Weather::ThrottleFor(600);
    world
        .run(2, &[Fail, Pass, Pass, Pass])
        .run(3, &[Fail, Fail, Pass, Pass])
        .run(3, &[Fail, Pass, Pass, Pass]);
    (world.weather, world.zone.in_force) = (Weather::Fair, InForce::Yes);
    let reads = |world: &World| world.reports.iter().filter(|it| matches!(it, Report::Seen { .. })).count();
    let before = reads(&world);
    world.run(60, &[Fail, Pass, Pass, Pass]);
    assert_eq!(reads(&world), before, "a read although it is throttled");
}

#[test]
fn a_throttle_is_obeyed_by_a_removal_too_when_it_is_short() {
    let mut world = dying(Weather::Throttle);
    world.pass(Duration::from_secs(1));
    world.weather = Weather::Fair;
    world.run(15, &[Fail, Pass]).assert_published(&[1]).assert_writes(1);
}

#[test]
fn a_new_plan_that_removes_nobody_does_not_hasten_what_a_throttle_holds_back() {
    let mut world = World::new(service(2), &[0, 1]);
    let now = world.now + Duration::from_secs(60);
    assert_eq!(world.reconciler.poll_call(now), Some(Call::Read));
    let minute = Duration::from_secs(60);
    let kind = ProviderErrorKind::Throttled(Some(minute));
    world.reconciler.handle_read(now, Err(ProviderError { kind, message: String::new() }));
    world.reconciler.handle_plan(now, newer(&world.plans[0], 1_000));
    assert!(world.reconciler.next_wake() >= Some(now + minute), "{:?}", world.reconciler.next_wake());
}

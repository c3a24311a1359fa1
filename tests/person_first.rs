//! What waits for a person: each change under `mode = "advise"`, a return under `failback = "manual"`.

mod world;

use std::sync::Arc;
use std::time::Duration;

use pointsman::core::{Plan, Rule};
use pointsman::model::{
    Alarm, Failback, Mode, Override, PolicyKind, Region, RegionName, Ruling, Scope, Service, WaitsFor,
    WhenAllDown, Word,
};
use world::Look::{Fail, Pass};
use world::{RECOVER_AFTER, Weather, World, address, region, region_name, service};

fn advised(mut service: Service) -> Service {
    service.mode = Mode::Advise;
    service
}

fn manual(mut service: Service) -> Service {
    service.failback = Failback::Manual;
    service
}

fn approve(scope: Scope) -> Word {
    Word::Approve { scope, author: "ada".to_owned() }
}

fn failback(scope: Scope) -> Word {
    Word::Failback { scope, author: "ada".to_owned() }
}

fn of(place: usize) -> Scope {
    Scope::Region(region_name(place))
}

fn waits(world: &World) -> Vec<(WaitsFor, Option<&str>)> {
    world.waiting.iter().map(|w| (w.waits_for, w.region.as_ref().map(RegionName::as_str))).collect()
}

/// Says whether the guard holds what is planned back, not only the last look before the write.
fn is_held(world: &World) -> bool {
    let plan = world.core.plan(&world.service.name);
    let holds = |plan: &Arc<Plan>| plan.held.iter().any(|held| held.rule == Rule::NeverEmpty);
    plan.is_some_and(|plan| !plan.wanted.is_empty() && holds(plan))
}

#[test]
fn an_advised_removal_waits_and_is_written_once_approved() {
    let mut world = World::new(advised(service(2)), &[0, 1]);
    world.run(5, &[Pass, Pass]).run(20, &[Fail, Pass]).assert_published(&[0, 1]).assert_writes(0);
    assert_eq!(waits(&world), [(WaitsFor::Approve, Some("r0"))]);
    assert!(world.alarms[&(Alarm::Waiting, None)].contains("approve of r0"), "{:?}", world.alarms);
    world.say(approve(Scope::Service)).assert_published(&[1]).assert_writes(1);
    assert!(world.waiting.is_empty() && world.alarms.is_empty(), "{:?}", world.alarms);
}

#[test]
fn a_yes_is_void_once_something_else_is_wanted_and_used_up_once_it_is_done() {
    let mut world = World::new(advised(service(2)), &[0, 1]);
    world.run(5, &[Pass, Pass]).run(5, &[Fail, Pass]).run(40, &[Pass, Pass]);
    assert_eq!(waits(&world), []);
    world.say(approve(of(0)));
    assert!(!world.heeded, "nothing waits any more");
    world.run(5, &[Fail, Pass]).assert_writes(0).say(approve(of(0))).assert_published(&[1]);
    world.run(90, &[Pass, Pass]).assert_published(&[1]);
    world.say(approve(of(0))).assert_published(&[0, 1]);
    world.run(5, &[Fail, Pass]).assert_published(&[0, 1]);
    assert_eq!(waits(&world), [(WaitsFor::Approve, Some("r0"))]);
}

#[test]
fn an_approved_write_that_is_refused_is_tried_again() {
    let mut world = World::new(advised(service(2)), &[0, 1]);
    world.run(5, &[Pass, Pass]).run(5, &[Fail, Pass]);
    world.weather = Weather::Refuse;
    world.say(approve(of(0))).run(5, &[Fail, Pass]).assert_writes(0);
    world.weather = Weather::Fair;
    world.run(60, &[Fail, Pass]).assert_published(&[1]);
}

#[test]
fn somebody_elses_change_is_not_mended_without_a_yes() {
    let mut world = World::new(advised(service(2)), &[0, 1]);
    world.run(40, &[Pass, Pass]);
    world.zone.values.remove(&address(0));
    world.run(70, &[Pass, Pass]).assert_writes(0);
    assert_eq!(waits(&world), [(WaitsFor::Approve, Some("r0"))]);
    world.say(approve(of(0))).assert_published(&[0, 1]);
}

#[test]
fn a_yes_to_one_change_does_not_undo_what_somebody_else_does_meanwhile() {
    let mut world = World::new(advised(service(3)), &[0, 1]);
    world.run(40, &[Pass, Pass, Pass]);
    world.zone.values.remove(&address(1));
    world.run(70, &[Pass, Pass, Pass]).assert_published(&[0]);
    world.zone.values.insert(address(2));
    world.say(approve(of(1))).run(10, &[Pass, Pass, Pass]).assert_published(&[0, 1, 2]);
    assert_eq!(waits(&world), []);
}

#[test]
fn of_two_changes_the_one_that_alone_would_empty_the_set_is_held() {
    let mut tiers = advised(service(2));
    tiers.policy = PolicyKind::Priority;
    tiers.regions[1] = Region { tier: 2, ..region(1) }.into();
    let mut world = World::new(tiers, &[1]);
    world.run(40, &[Pass, Pass]);
    assert_eq!(waits(&world).len(), 2, "the first enters, the second leaves");
    world.say(approve(of(1))).run(10, &[Pass, Pass]).assert_published(&[1]);
    assert!(is_held(&world), "it is not planned");
    world.say(approve(of(0))).run(10, &[Pass, Pass]).assert_published(&[0]);
}

#[test]
fn of_three_changes_the_one_that_alone_would_leave_only_the_dead_is_held() {
    let mut tiers = advised(service(3));
    tiers.policy = PolicyKind::Priority;
    for place in [1, 2] {
        tiers.regions[place] = Region { tier: 2, ..region(place) }.into();
    }
    let mut world = World::new(tiers, &[1, 2]);
    world.run(40, &[Pass, Pass, Fail]);
    assert_eq!(waits(&world).len(), 3, "the first enters, the others leave");
    world.say(approve(of(1))).run(10, &[Pass, Pass, Fail]).assert_published(&[1, 2]);
    assert!(is_held(&world), "it is not planned");
    world.say(approve(of(0))).run(10, &[Pass, Pass, Fail]).assert_published(&[0, 2]);
}

#[test]
fn a_drain_that_is_approved_goes_although_another_region_is_dead() {
    let mut three = advised(service(3));
    three.min_published = 2;
    let mut world = World::new(three, &[0, 1, 2]);
    world.run(5, &[Pass; 3]).run(10, &[Pass, Fail, Pass]);
    let (author, reason) = ("ada".to_owned(), "maintenance".to_owned());
    world.say(Word::Override(Override { ruling: Ruling::Drain(of(0)), author, reason, until: None }));
    world.say(approve(of(0))).run(10, &[Pass, Fail, Pass]).assert_published(&[1, 2]);
}

#[test]
fn the_last_region_does_not_leave_before_the_fallback_is_approved() {
    let elsewhere = "203.0.113.9".parse().unwrap();
    let mut falls_back = advised(service(1));
    falls_back.when_all_down = WhenAllDown::Fallback(vec![elsewhere]);
    let mut world = World::new(falls_back, &[0]);
    world.run(5, &[Pass]).run(10, &[Fail]);
    world.say(approve(of(0))).run(10, &[Fail]).assert_published(&[0]);
    assert!(is_held(&world), "it is not planned");
    world.say(approve(Scope::Service)).assert_published(&[]);
    assert!(world.zone.values.contains(&elsewhere));
}

#[test]
fn the_fallback_waits_for_a_yes_to_the_whole_service() {
    let elsewhere = "203.0.113.9".parse().unwrap();
    let mut falls_back = advised(service(2));
    falls_back.when_all_down = WhenAllDown::Fallback(vec![elsewhere]);
    let mut world = World::new(falls_back, &[0, 1]);
    world.run(5, &[Pass, Pass]).run(10, &[Fail, Fail]).assert_writes(0);
    assert_eq!(waits(&world).len(), 3);
    world.say(approve(Scope::Service)).assert_published(&[]);
    assert!(world.zone.values.contains(&elsewhere));
}

#[test]
fn a_yes_said_while_a_freeze_holds_is_to_nothing_and_is_asked_for_when_it_ends() {
    let mut world = World::new(advised(service(2)), &[0, 1]);
    world.run(5, &[Pass, Pass]).run(3, &[Fail, Pass]);
    let freeze = Ruling::Freeze(Scope::Service);
    let (author, reason) = ("ada".to_owned(), "a release".to_owned());
    world.say(Word::Override(Override { ruling: freeze, author: author.clone(), reason, until: None }));
    world.say(approve(Scope::Service));
    assert!(!world.heeded, "nothing waits");
    world.say(Word::Release { scope: Scope::Service, author }).run(30, &[Fail, Pass]);
    world.assert_published(&[0, 1]);
    assert_eq!(waits(&world), [(WaitsFor::Approve, Some("r0"))]);
    world.say(approve(Scope::Service)).run(1, &[Fail, Pass]).assert_published(&[1]);
}

#[test]
fn a_restart_forgets_a_yes_and_asks_again() {
    let mut world = World::new(advised(service(2)), &[0, 1]);
    world.run(5, &[Pass, Pass]).run(5, &[Fail, Pass]);
    world.weather = Weather::Away;
    world.say(approve(of(0))).run(1, &[Fail, Pass]).restart(Duration::from_secs(1));
    world.weather = Weather::Fair;
    world.run(70, &[Fail, Pass]).assert_writes(0);
    assert_eq!(waits(&world), [(WaitsFor::Approve, Some("r0"))]);
}

#[test]
fn a_region_that_fell_returns_on_a_persons_word_only() {
    let mut world = World::new(manual(service(3)), &[0, 1, 2]);
    world.run(5, &[Pass, Pass, Pass]).run(5, &[Fail, Pass, Pass]).assert_published(&[1, 2]);
    world.run(20, &[Pass, Pass, Pass]).say(failback(of(0)));
    assert!(!world.heeded, "it does not wait yet: recover_after is not over");
    world.run(60, &[Pass, Pass, Pass]).assert_published(&[1, 2]);
    assert_eq!(waits(&world), [(WaitsFor::Failback, Some("r0"))]);
    world.restart(Duration::from_secs(1)).run(60, &[Pass, Pass, Pass]).assert_published(&[1, 2]);
    world.say(failback(of(0))).assert_published(&[0, 1, 2]);
    assert!(world.waiting.is_empty());
    world.run(5, &[Fail, Pass, Pass]).assert_published(&[1, 2]);
    world.run(90, &[Pass, Pass, Pass]).assert_published(&[1, 2]);
}

#[test]
fn a_word_for_a_return_outlives_the_process() {
    let mut world = World::new(manual(service(3)), &[0, 1, 2]);
    world.run(5, &[Pass, Pass, Pass]).run(5, &[Fail, Pass, Pass]).run(60, &[Pass, Pass, Pass]);
    world.weather = Weather::Away;
    world.say(failback(of(0))).restart(Duration::from_secs(1));
    world.weather = Weather::Fair;
    world.run(90, &[Pass, Pass, Pass]).assert_published(&[0, 1, 2]);
}

#[test]
fn a_word_given_too_early_is_void_when_the_region_falls_again() {
    let mut world = World::new(manual(service(3)), &[0, 1, 2]);
    world.run(5, &[Pass, Pass, Pass]).run(5, &[Fail, Pass, Pass]).run(60, &[Pass, Pass, Pass]);
    world.weather = Weather::Away;
    world.say(failback(of(0))).run(5, &[Fail, Pass, Pass]).run(90, &[Pass, Pass, Pass]);
    world.weather = Weather::Fair;
    world.run(90, &[Pass, Pass, Pass]).assert_published(&[1, 2]);
}

#[test]
fn what_somebody_else_took_out_is_mended_without_a_word() {
    let mut world = World::new(manual(service(2)), &[0, 1]);
    world.run(40, &[Pass, Pass]);
    world.zone.values.remove(&address(0));
    world.run(70, &[Pass, Pass]).assert_published(&[0, 1]);
}

#[test]
fn going_over_to_the_only_region_that_serves_is_no_failback() {
    let mut world = World::new(manual(service(2)), &[0, 1]);
    world.run(5, &[Pass, Pass]).run(5, &[Fail, Pass]).run(60, &[Pass, Pass]).assert_published(&[1]);
    world.run(5, &[Pass, Fail]).assert_published(&[0]);
}

#[test]
fn with_tiers_the_next_best_stays_in_until_the_word() {
    let mut tiers = manual(service(2));
    tiers.policy = PolicyKind::Priority;
    tiers.regions[1] = Region { tier: 2, ..region(1) }.into();
    let mut world = World::new(tiers, &[0]);
    world.run(40, &[Pass, Pass]).run(5, &[Fail, Pass]).assert_published(&[1]);
    world.run(90, &[Pass, Pass]).assert_published(&[1]);
    world.say(failback(Scope::Service)).run(2, &[Pass, Pass]).assert_published(&[0]);
}

#[test]
fn operator_rules_a_failback_said_of_a_region_that_waits_to_leave_is_to_nothing() {
    let mut world = World::new(advised(manual(service(2))), &[0, 1]);
    world.run(5, &[Pass, Pass]).run(5, &[Fail, Pass]);
    assert_eq!(waits(&world), [(WaitsFor::Approve, Some("r0"))]);
    world.say(failback(of(0)));
    assert!(!world.heeded);
    // It leaves, and whoever approves all that waits later has not ordered its return.
    world.say(approve(of(0))).run(3, &[Fail, Pass]).assert_published(&[1]);
    world.run(60, &[Pass, Pass]);
    assert_eq!(waits(&world), [(WaitsFor::Failback, Some("r0"))]);
    world.say(approve(Scope::Service)).run(3, &[Pass, Pass]).assert_published(&[1]);
}

#[test]
fn a_yes_is_void_once_none_is_needed() {
    let advising = advised(service(2));
    let mut world = World::new(advising.clone(), &[0, 1]);
    world.run(5, &[Pass, Pass]).run(20, &[Fail, Pass]);
    world.weather = Weather::Away;
    world.say(approve(of(0))).assert_published(&[0, 1]);
    assert!(world.heeded);
    world.reconfigure(Service { mode: Mode::Act, ..advising.clone() });
    world.run(5, &[Fail, Pass]).reconfigure(advising);
    world.weather = Weather::Fair;
    world.run(20, &[Fail, Pass]).assert_published(&[0, 1]);
    assert_eq!(waits(&world), [(WaitsFor::Approve, Some("r0"))]);
}

#[test]
fn who_waits_for_a_yes_comes_to_no_rescue() {
    let mut world = World::new(advised(service(2)), &[0]);
    world.run(5, &[Pass, Fail]).run(10, &[Fail, Fail]).run(RECOVER_AFTER.as_secs() + 10, &[Fail, Pass]);
    assert!(waits(&world).contains(&(WaitsFor::Approve, Some("r1"))), "{:?}", world.waiting);
    assert!(!world.plans.last().unwrap().is_rescue);
    world.say(approve(Scope::Service)).assert_published(&[1]);
    assert!(world.plans.iter().any(|plan| plan.is_rescue));
}

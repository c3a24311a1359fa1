//! OPERATOR-RULES: a drain, pin, freeze or mute outranks the checks, is outranked only by NEVER-EMPTY, and ends.

mod world;

use std::time::Duration;

use pointsman::core::{Core, Effect, Input};
use pointsman::model::{
    Alarm, CheckName, Expression, Failback, Liveness, Override, PolicyKind, Region, Ruling, Scope, Service,
    Share, WhenAllDown, WhenUnknown, Word, WriteBudget,
};
use world::Look::{Blind, Fail, Pass};
use world::{Weather, World, address, check, region, region_name, service};

const MINUTE: Duration = Duration::from_secs(60);

fn of(place: usize) -> Scope {
    Scope::Region(region_name(place))
}

fn rule(world: &mut World, ruling: Ruling, lasts: Option<Duration>) {
    let until = lasts.map(|lasts| world.now + lasts);
    let (author, reason) = ("ada".to_owned(), "maintenance".to_owned());
    world.say(Word::Override(Override { ruling, author, reason, until }));
}

fn release(scope: Scope) -> Word {
    Word::Release { scope, author: "ada".to_owned() }
}

/// So many regions, all published and up.
fn calm(regions: usize) -> World {
    settled(service(regions))
}

fn settled(service: Service) -> World {
    let places: Vec<usize> = (0..service.regions.len()).collect();
    let mut world = World::new(service, &places);
    world.run(40, &vec![Pass; places.len()]).assert_published(&places).assert_writes(0);
    world
}

#[test]
fn a_drained_region_leaves_whatever_its_checks_say_and_returns_when_released() {
    let mut world = calm(2);
    rule(&mut world, Ruling::Drain(of(0)), None);
    world.assert_published(&[1]).run(60, &[Pass, Pass]).assert_published(&[1]);
    world.say(release(of(0))).assert_published(&[0, 1]).assert_writes(2);
}

#[test]
fn a_better_region_that_is_frozen_while_it_is_out_drives_nobody_out() {
    let mut tiers = service(3);
    tiers.policy = PolicyKind::Priority;
    for (place, tier) in [(0, 1), (1, 2), (2, 2)] {
        tiers.regions[place] = Region { tier, ..region(place) }.into();
    }
    let mut world = World::new(tiers, &[1, 2]);
    rule(&mut world, Ruling::Freeze(of(0)), None);
    world.run(60, &[Pass, Pass, Pass]).assert_published(&[1, 2]).assert_writes(0);
    world.say(release(of(0))).assert_published(&[0]);
}

#[test]
fn an_override_ends_by_itself_when_its_time_is_over() {
    let mut world = calm(2);
    rule(&mut world, Ruling::Drain(of(0)), Some(MINUTE));
    world.run(59, &[Pass, Pass]).assert_published(&[1]);
    world.run(2, &[Pass, Pass]).assert_published(&[0, 1]);
    assert!(world.core.service_status(&world.service.name, world.now).unwrap().overrides.is_empty());
}

#[test]
fn an_override_outlives_the_process_and_its_time_goes_on() {
    let mut world = calm(2);
    rule(&mut world, Ruling::Drain(of(0)), Some(MINUTE));
    world.run(10, &[Pass, Pass]).restart(Duration::from_secs(10));
    world.run(35, &[Pass, Pass]).assert_published(&[1]);
    world.run(30, &[Pass, Pass]).assert_published(&[0, 1]);
    rule(&mut world, Ruling::Drain(of(0)), Some(MINUTE));
    world.restart(2 * MINUTE).run(40, &[Pass, Pass]).assert_published(&[0, 1]);
}

#[test]
fn the_last_region_is_not_drained() {
    let mut world = calm(2);
    rule(&mut world, Ruling::Drain(Scope::Service), None);
    world.run(5, &[Pass, Pass]);
    assert_eq!(world.published().len(), 1, "NEVER-EMPTY");
    assert!(world.alarms[&(Alarm::Held, None)].contains("NEVER-EMPTY"), "{:?}", world.alarms);
}

#[test]
fn a_drain_outranks_the_checks_of_the_others_and_every_limit_on_them() {
    // One region is out and another may not follow it; too many are failing as well.
    let mut world = calm(3);
    world.run(4, &[Fail, Pass, Pass]).assert_published(&[1, 2]);
    world.run(4, &[Fail, Fail, Pass]).assert_published(&[1, 2]);
    rule(&mut world, Ruling::Drain(of(2)), None);
    world.assert_published(&[1]);
}

#[test]
fn a_drained_region_does_not_count_as_failing() {
    let mut world = calm(3);
    rule(&mut world, Ruling::Drain(of(0)), None);
    world.run(10, &[Fail, Pass, Pass]).run(10, &[Fail, Fail, Pass]).assert_published(&[2]);
}

#[test]
fn with_the_rest_down_a_drained_region_has_no_part_in_what_is_published() {
    let mut all = service(3);
    all.when_all_down = WhenAllDown::PublishAll;
    let mut world = settled(all);
    rule(&mut world, Ruling::Drain(of(0)), None);
    world.run(10, &[Pass, Fail, Fail]).assert_published(&[1, 2]);
}

#[test]
fn a_pinned_region_stays_in_and_enters_whatever_its_checks_say() {
    let mut world = calm(2);
    rule(&mut world, Ruling::Pin(of(0)), None);
    world.run(10, &[Fail, Pass]).assert_published(&[0, 1]);
    world.say(release(of(0))).run(1, &[Fail, Pass]).assert_published(&[1]);
    rule(&mut world, Ruling::Pin(of(0)), None);
    world.run(1, &[Fail, Pass]).assert_published(&[0, 1]);
    // It counts as serving: the other may leave.
    world.run(10, &[Fail, Fail]).assert_published(&[0]);
}

#[test]
fn a_frozen_region_stays_out_or_in() {
    let mut world = calm(3);
    rule(&mut world, Ruling::Freeze(of(0)), None);
    world.run(10, &[Fail, Pass, Pass]).assert_published(&[0, 1, 2]);
    world.say(release(of(0))).assert_published(&[1, 2]);
    rule(&mut world, Ruling::Freeze(of(0)), None);
    world.run(60, &[Pass, Pass, Pass]).assert_published(&[1, 2]);
}

#[test]
fn nothing_is_written_for_a_frozen_service_not_even_to_mend_it() {
    let mut world = calm(2);
    rule(&mut world, Ruling::Freeze(Scope::Service), None);
    world.run(10, &[Fail, Pass]).assert_writes(0);
    assert!(world.alarms[&(Alarm::Held, None)].contains("OPERATOR-RULES"), "{:?}", world.alarms);
    world.zone.values.remove(&address(1));
    world.run(130, &[Fail, Pass]).assert_writes(0);
    rule(&mut world, Ruling::Drain(of(0)), None);
    world.run(5, &[Fail, Pass]).assert_writes(0);
    world.say(release(Scope::Service)).run(70, &[Fail, Pass]).assert_published(&[1]);
}

#[test]
fn a_freeze_does_not_lift_what_is_held_nor_start_anew() {
    let mut world = calm(2);
    rule(&mut world, Ruling::Freeze(Scope::Service), Some(MINUTE));
    world.restart(Duration::from_secs(1)).run(30, &[Fail, Pass]).assert_writes(0);
    world.run(40, &[Fail, Pass]).assert_published(&[1]).assert_writes(1);
}

#[test]
fn what_is_said_of_a_region_comes_before_what_is_said_of_all() {
    let mut world = calm(3);
    rule(&mut world, Ruling::Drain(Scope::Service), None);
    rule(&mut world, Ruling::Pin(of(1)), None);
    world.run(2, &[Pass, Fail, Pass]).assert_published(&[1]);
    // The latest about the same region counts.
    rule(&mut world, Ruling::Freeze(of(1)), None);
    world.run(10, &[Pass, Fail, Pass]).assert_published(&[1]);
    assert_eq!(world.core.service_status(&world.service.name, world.now).unwrap().overrides.len(), 2);
}

#[test]
fn with_tiers_a_drain_of_the_best_brings_the_next_in() {
    let mut tiers = service(2);
    tiers.policy = PolicyKind::Priority;
    tiers.regions[1] = Region { tier: 2, ..region(1) }.into();
    let mut world = World::new(tiers, &[0]);
    world.run(40, &[Pass, Pass]).assert_published(&[0]);
    rule(&mut world, Ruling::Drain(of(0)), None);
    world.run(2, &[Pass, Pass]).assert_published(&[1]);
    world.say(release(of(0))).run(2, &[Pass, Pass]).assert_published(&[0]);
}

#[test]
fn a_muted_check_has_no_vote_until_it_is_unmuted() {
    let mut two = service(2);
    for place in 0..2 {
        let both = ["web", "elb"].map(|name| Expression::Check(CheckName::parse(name).unwrap()));
        let checks = vec![check("web", WhenUnknown::Keep), check("elb", WhenUnknown::Ignore)];
        two.regions[place] = Region { checks, up_when: Expression::All(both.into()), ..region(place) }.into();
    }
    let mut world = settled(two);
    let look = |world: &mut World, elb| {
        world.look_with("elb", 0, elb).look_with("elb", 1, Pass).run(1, &[Pass, Pass]);
    };
    let mute = || Ruling::Mute(CheckName::parse("elb").unwrap());
    rule(&mut world, mute(), None);
    (0..5).for_each(|_| look(&mut world, Fail));
    world.assert_published(&[0, 1]);
    assert_eq!(world.liveness(0), Liveness::Up);
    let author = "ada".to_owned();
    world.say(Word::Unmute { check: CheckName::parse("elb").unwrap(), author }).assert_published(&[1]);
    assert_eq!(world.liveness(0), Liveness::Down, "it was looked at all the while");
    rule(&mut world, mute(), None);
    (0..40).for_each(|_| look(&mut world, Fail));
    world.assert_published(&[0, 1]);
}

#[test]
fn a_mute_that_ended_while_nobody_ran_is_over_for_the_first_thing_that_is_heard() {
    let mut two = service(2);
    let both = ["web", "elb"].map(|name| Expression::Check(CheckName::parse(name).unwrap()));
    let checks = vec![check("web", WhenUnknown::Keep), check("elb", WhenUnknown::Keep)];
    let (up_when, addresses) = (Expression::All(both.into()), Vec::new());
    two.regions[0] = Region { addresses, checks, up_when, ..region(0) }.into();
    let mut world = World::new(two, &[0, 1]);
    world.bind(0, &[address(0)]).look_with("elb", 0, Pass).run(5, &[Pass, Pass]);
    rule(&mut world, Ruling::Mute(CheckName::parse("elb").unwrap()), Some(Duration::from_secs(10)));
    for _ in 0..5 {
        world.look_with("elb", 0, Fail).run(1, &[Pass, Pass]);
    }
    let memory = world.core.memory(&world.service.name, world.now).unwrap();
    let (mut core, mut effects) = (Core::new(std::slice::from_ref(&world.service), world.now), Vec::new());
    core.restore(world.now, Duration::from_secs(9).into(), &memory, &mut effects);
    let (service, region) = (world.service.name.clone(), region_name(0));
    core.step(world.now, &Input::Bound { service, region, addresses: [address(0)].into() }, &mut effects);
    let is_down = |effect: &Effect| matches!(effect, Effect::Transition(it) if it.to == Liveness::Down);
    assert!(effects.iter().any(is_down), "{effects:?}");
}

#[test]
fn a_region_whose_every_check_is_muted_keeps_its_liveness() {
    let mut world = calm(2);
    rule(&mut world, Ruling::Mute(CheckName::parse("web").unwrap()), None);
    world.run(20, &[Fail, Blind]).assert_published(&[0, 1]);
    assert_eq!(world.liveness(0), Liveness::Up, "BLIND-IS-NOT-DOWN");
}

#[test]
fn an_operator_need_not_wait_for_a_budget_that_flapping_has_used_up() {
    let mut poor = service(3);
    poor.write_budget = WriteBudget { writes: 1, window: Duration::from_secs(600) };
    poor.max_removed = 3;
    poor.panic_threshold = Share::from_percent(100).unwrap();
    let mut world = settled(poor);
    world.run(5, &[Fail, Pass, Pass]).assert_published(&[1, 2]);
    rule(&mut world, Ruling::Drain(of(1)), None);
    world.assert_published(&[2]);
    // One write a word: the checks have to wait as before.
    world.run(60, &[Pass, Pass, Pass]).assert_published(&[2]).assert_writes(2);
    world.restart(Duration::from_secs(1)).run(60, &[Pass, Pass, Pass]).assert_writes(2);
    world.say(release(of(1))).assert_writes(3);
}

#[test]
fn a_word_earns_one_write_until_that_has_landed() {
    let mut poor = service(3);
    poor.write_budget = WriteBudget { writes: 1, window: Duration::from_secs(600) };
    let mut world = settled(poor);
    rule(&mut world, Ruling::Drain(of(1)), None);
    world.run(5, &[Fail, Pass, Pass]).assert_published(&[2]).assert_writes(2);
    for weather in [Weather::LoseWrite, Weather::Refuse] {
        world.weather = weather;
        world.say(release(of(1)));
        world.run(40, &[Fail, Pass, Pass]).assert_published(&[2]).assert_writes(2);
    }
    world.weather = Weather::Fair;
    world.run(200, &[Fail, Pass, Pass]).assert_published(&[1, 2]).assert_writes(3);
    world.run(60, &[Pass, Pass, Pass]).assert_published(&[1, 2]).assert_writes(3);
}

#[test]
fn a_word_about_what_is_not_there_changes_nothing_and_says_so() {
    let mut world = calm(2);
    rule(&mut world, Ruling::Drain(of(7)), None);
    assert!(!world.heeded);
    world.say(release(of(0)));
    assert!(!world.heeded);
    rule(&mut world, Ruling::Mute(CheckName::parse("none").unwrap()), None);
    assert!(!world.heeded);
    rule(&mut world, Ruling::Drain(of(0)), Some(Duration::ZERO));
    assert!(!world.heeded, "its time is over already");
    world.run(5, &[Pass, Pass]).assert_writes(0);
}

#[test]
fn an_override_of_a_region_that_leaves_the_configuration_ends() {
    let mut world = calm(3);
    rule(&mut world, Ruling::Drain(of(2)), None);
    world.assert_published(&[0, 1]);
    world.reconfigure(service(2));
    world.reconfigure(service(3));
    world.run(40, &[Pass, Pass, Pass]).assert_published(&[0, 1, 2]);
}

#[test]
fn a_region_frozen_while_its_removal_waits_stays_when_all_are_down_though_it_would_have_to_ask() {
    let all = Share::from_percent(100).unwrap();
    let mut manual = Service { panic_threshold: all, ..service(2) };
    (manual.when_all_down, manual.failback) = (WhenAllDown::PublishAll, Failback::Manual);
    let mut world = settled(manual);
    world.weather = Weather::Refuse;
    world.run(3, &[Fail, Pass]).run(3, &[Fail, Fail]);
    rule(&mut world, Ruling::Freeze(of(0)), None);
    world.weather = Weather::Fair;
    world.run(60, &[Fail, Fail]).assert_published(&[0, 1]);
}

//! What the core decides, told as stories: looks at given times in, the record set out.

mod world;

use std::time::Duration;

use pointsman::model::{
    Alarm, CheckName, Expression, Liveness, Pace, PolicyKind, Service, Share, WhenAllDown, WhenUnknown,
};
use world::Look::{Blind, Fail, Pass};
use world::{RECOVER_AFTER, World, address, check, foreign, region_name, service};

#[test]
fn a_dead_region_leaves_after_fall_and_returns_after_recover_after() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(5, &[Pass, Pass]).assert_writes(0);
    world.run(2, &[Fail, Pass]).assert_published(&[0, 1]);
    world.look(0, Fail).assert_published(&[1]).assert_writes(1);
    world.run(RECOVER_AFTER.as_secs() - 1, &[Pass, Pass]).assert_published(&[1]);
    assert_eq!(world.liveness(0), Liveness::Recovering);
    world.run(1, &[Pass, Pass]).assert_published(&[0, 1]).assert_writes(2);
}

#[test]
fn a_start_does_not_change_the_record_set_and_what_is_missing_waits_like_any_return() {
    let mut world = World::new(service(2), &[0]);
    world.run(RECOVER_AFTER.as_secs() - 1, &[Pass, Pass]).assert_writes(0);
    world.run(1, &[Pass, Pass]).assert_published(&[0, 1]).assert_writes(1);
}

#[test]
fn a_region_that_is_dead_from_the_start_leaves_on_the_same_evidence_as_any_other() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(2, &[Fail, Pass]).assert_writes(0);
    world.look(0, Fail).assert_published(&[1]);
}

#[test]
fn unknown_for_an_hour_removes_nothing() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(5, &[Pass, Pass]).run(2, &[Fail, Pass]).run(3_600, &[Blind, Pass]);
    world.assert_published(&[0, 1]).assert_writes(0);
    assert_eq!(world.liveness(0), Liveness::Suspect, "blindness moves nothing");
    assert!(world.alarms.contains_key(&(Alarm::Blind, Some(region_name(0)))), "{:?}", world.alarms);
}

#[test]
fn when_everybody_is_dead_nobody_is_taken_out_and_it_is_alarmed() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(5, &[Pass, Pass]).run(60, &[Fail, Fail]);
    world.assert_published(&[0, 1]).assert_writes(0);
    assert!(world.plans.iter().all(|plan| plan.wanted.len() == 2), "not even planned: {:?}", world.plans);
    assert!(world.alarms.contains_key(&(Alarm::AllDown, None)));
    // One is back, and the other leaves by the ordinary rules.
    world.run(RECOVER_AFTER.as_secs() + 2, &[Pass, Fail]).assert_published(&[0]);
}

#[test]
fn a_removal_waits_while_a_second_region_is_suspect_and_goes_when_that_one_is_well() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(5, &[Pass, Pass]).run(2, &[Fail, Pass]);
    world.look(1, Fail).look(0, Fail).assert_writes(0);
    assert_eq!((world.liveness(0), world.liveness(1)), (Liveness::Down, Liveness::Suspect));
    world.look(1, Pass).assert_published(&[1]);
}

#[test]
fn a_suspect_that_does_not_settle_holds_a_removal_for_one_fast_look_at_most() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(5, &[Pass, Pass]).run(2, &[Fail, Pass]);
    world.look(1, Fail).look(0, Fail).assert_writes(0);
    // fast_interval + timeout.
    world.pass(Duration::from_millis(2_999)).assert_writes(0);
    world.pass(Duration::from_millis(1)).assert_published(&[1]);
}

#[test]
fn no_more_than_max_removed_regions_are_out_at_once() {
    let mut world = World::new(service(5), &[0, 1, 2, 3, 4]);
    world.run(5, &[Pass; 5]).run(60, &[Fail, Fail, Pass, Pass, Pass]).assert_published(&[1, 2, 3, 4]);
    assert!(world.alarms.contains_key(&(Alarm::Held, None)));
    world.run(RECOVER_AFTER.as_secs() + 2, &[Pass, Fail, Pass, Pass, Pass]).assert_published(&[0, 2, 3, 4]);
}

#[test]
fn no_more_than_max_removed_regions_leave_in_one_step() {
    let mut careful = service(5);
    careful.panic_threshold = Share::from_percent(20).unwrap();
    let bold = Service { panic_threshold: Share::from_percent(50).unwrap(), ..careful.clone() };
    let mut world = World::new(careful, &[0, 1, 2, 3, 4]);
    world.run(5, &[Pass; 5]).run(10, &[Fail, Fail, Pass, Pass, Pass]).assert_published(&[0, 1, 2, 3, 4]);
    world.reconfigure(bold);
    world.assert_published(&[1, 2, 3, 4]);
}

#[test]
fn past_the_panic_threshold_nothing_is_taken_out() {
    let mut calm = service(3);
    calm.max_removed = 3;
    let mut world = World::new(calm, &[0, 1, 2]);
    world.run(5, &[Pass; 3]).run(60, &[Fail, Fail, Pass]).assert_published(&[0, 1, 2]).assert_writes(0);
    let mut bold = service(3);
    bold.max_removed = 3;
    bold.panic_threshold = Share::from_percent(90).unwrap();
    let mut world = World::new(bold, &[0, 1, 2]);
    world.run(5, &[Pass; 3]).run(60, &[Fail, Fail, Pass]).assert_published(&[2]);
}

#[test]
fn min_published_is_kept_whatever_dies() {
    let mut careful = service(3);
    careful.min_published = 3;
    let mut world = World::new(careful, &[0, 1, 2]);
    world.run(5, &[Pass; 3]).run(60, &[Fail, Pass, Pass]).assert_published(&[0, 1, 2]).assert_writes(0);
    assert!(world.plans.iter().all(|plan| plan.wanted.len() == 3), "not even planned: {:?}", world.plans);
}

#[test]
fn a_dead_region_does_not_leave_for_others_that_are_dead_too() {
    let mut one = service(3);
    one.panic_threshold = Share::from_percent(100).unwrap();
    let all = Service { max_removed: 3, ..one.clone() };
    let mut world = World::new(one, &[0, 1, 2]);
    world.run(5, &[Pass; 3]).run(3, &[Pass, Pass, Fail]).assert_published(&[0, 1]);
    world.run(5, &[Fail, Fail, Pass]).assert_published(&[0, 1]);
    world.reconfigure(all);
    world.run(5, &[Fail, Fail, Pass]).assert_published(&[0, 1]);
}

#[test]
fn of_two_that_die_together_only_as_many_leave_as_min_published_allows() {
    let mut careful = service(3);
    (careful.min_published, careful.max_removed) = (2, 2);
    careful.panic_threshold = Share::from_percent(100).unwrap();
    let mut world = World::new(careful, &[0, 1, 2]);
    world.run(5, &[Pass; 3]).run(60, &[Fail, Fail, Pass]).assert_published(&[1, 2]);
}

#[test]
fn the_last_address_stays_although_its_region_is_dead_until_another_may_enter() {
    let mut world = World::new(service(2), &[0]);
    world.run(5, &[Pass, Pass]).run(20, &[Fail, Pass]).assert_published(&[0]);
    assert!(world.alarms[&(Alarm::Held, None)].contains("NEVER-EMPTY"), "{:?}", world.alarms);
    world.run(RECOVER_AFTER.as_secs(), &[Fail, Pass]).assert_published(&[1]);
}

#[test]
fn while_one_region_is_suspect_all_are_looked_at_fast_and_one_that_recovers_alone_is() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(5, &[Pass, Pass]).look(0, Fail);
    assert_eq!((world.paces[&region_name(0)], world.paces[&region_name(1)]), (Pace::Fast, Pace::Fast));
    world.run(3, &[Fail, Pass]).run(1, &[Pass, Pass]);
    assert_eq!(world.liveness(0), Liveness::Recovering);
    assert_eq!((world.paces[&region_name(0)], world.paces[&region_name(1)]), (Pace::Fast, Pace::Normal));
    world.run(RECOVER_AFTER.as_secs(), &[Pass, Pass]);
    assert_eq!(world.paces[&region_name(0)], Pace::Normal);
}

#[test]
fn a_flapping_region_waits_twice_as_long_each_time() {
    let mut lavish = service(2);
    lavish.write_budget.writes = 100;
    let mut world = World::new(lavish, &[0, 1]);
    world.run(5, &[Pass, Pass]);
    let mut waits = Vec::new();
    for _ in 0..4 {
        world.run(5, &[Fail, Pass]).assert_published(&[1]);
        let dead_at = world.now;
        while world.published() == [1] {
            world.run(1, &[Pass, Pass]);
        }
        waits.push(world.now.since(dead_at).as_secs());
    }
    assert_eq!(waits, [30, 60, 120, 240]);
}

#[test]
fn the_best_tier_with_a_live_region_is_published_and_comes_back() {
    let mut tiers = service(2);
    tiers.policy = PolicyKind::Priority;
    let mut standby = world::region(1);
    standby.tier = 2;
    tiers.regions[1] = standby.into();
    let mut world = World::new(tiers, &[0]);
    world.run(60, &[Pass, Pass]).assert_published(&[0]).assert_writes(0);
    world.run(3, &[Fail, Pass]).assert_published(&[1]).assert_writes(1);
    world.run(RECOVER_AFTER.as_secs() + 1, &[Pass, Pass]).assert_published(&[0]).assert_writes(2);
}

#[test]
fn a_dead_standby_does_not_use_up_max_removed() {
    let mut tiers = service(3);
    tiers.policy = PolicyKind::Priority;
    tiers.panic_threshold = Share::from_percent(100).unwrap();
    let mut standby = world::region(2);
    standby.tier = 2;
    tiers.regions[2] = standby.into();
    let mut world = World::new(tiers, &[0, 1]);
    world.run(60, &[Pass, Pass, Fail]).assert_published(&[0, 1]);
    world.run(3, &[Fail, Pass, Fail]).assert_published(&[1]);
}

#[test]
fn all_down_can_publish_everybody_or_a_fallback() {
    let sorry = "203.0.113.250".parse().unwrap();
    let mut all = service(2);
    all.when_all_down = WhenAllDown::PublishAll;
    let mut world = World::new(all, &[0, 1]);
    world.run(5, &[Pass, Pass]).run(5, &[Fail, Pass]).assert_published(&[1]);
    world.run(5, &[Fail, Fail]).assert_published(&[0, 1]);

    let mut fallback = service(2);
    fallback.when_all_down = WhenAllDown::Fallback(vec![sorry]);
    let mut world = World::new(fallback, &[0, 1]);
    world.run(5, &[Pass, Pass]).run(5, &[Fail, Fail]).assert_published(&[]);
    assert!(world.zone.values.contains(&sorry));
    world.run(RECOVER_AFTER.as_secs() + 2, &[Pass, Fail]).assert_published(&[0]);
    assert!(!world.zone.values.contains(&sorry));
}

#[test]
fn a_fallback_stays_beside_the_first_regions_that_return_until_they_are_min_published() {
    let sorry: [std::net::IpAddr; 2] = ["203.0.113.8", "203.0.113.9"].map(|text| text.parse().unwrap());
    let mut fallback = service(3);
    fallback.when_all_down = WhenAllDown::Fallback(sorry.to_vec());
    fallback.min_published = 2;
    let mut world = World::new(fallback, &[0, 1, 2]);
    world.run(5, &[Pass, Pass, Pass]).run(5, &[Fail, Fail, Fail]).assert_published(&[]);
    world.run(RECOVER_AFTER.as_secs() + 2, &[Pass, Fail, Fail]).assert_published(&[0]);
    assert!(world.zone.values.contains(&sorry[0]), "one is fewer than min_published");
    world.run(RECOVER_AFTER.as_secs() + 2, &[Pass, Pass, Fail]).assert_published(&[0, 1]);
    assert!(!world.zone.values.contains(&sorry[0]));
}

#[test]
fn an_eip_that_changes_is_followed_and_the_old_one_leaves() {
    let mut followed = service(2);
    let mut region = world::region(0);
    region.addresses = Vec::new();
    followed.regions[0] = region.into();
    let mut world = World::new(followed, &[0, 1]);
    world.bind(0, &[address(0)]).run(5, &[Pass, Pass]).assert_writes(0);
    world.bind(0, &[address(7)]).assert_published(&[1]).assert_writes(1);
    assert!(world.zone.values.contains(&address(7)));
}

#[test]
fn an_eip_that_is_unbound_stays_until_the_checks_say_that_the_region_is_down() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(5, &[Pass, Pass]).bind(0, &[]).run(1, &[Pass, Pass]).assert_writes(0);
    world.run(3, &[Fail, Pass]).assert_published(&[1]);
}

#[test]
fn a_blind_check_that_may_be_ignored_leaves_the_verdict_to_the_others() {
    let mut service = service(2);
    let mut region = world::region(0);
    region.checks.push(check("elb", WhenUnknown::Ignore));
    let name = |name| Expression::Check(CheckName::parse(name).unwrap());
    region.up_when = Expression::All(vec![name("web"), name("elb")]);
    service.regions[0] = region.into();
    let mut world = World::new(service, &[0, 1]);
    for _ in 0..10 {
        world.look_with("elb", 0, Blind).run(1, &[Pass, Pass]);
    }
    assert_eq!(world.liveness(0), Liveness::Up);
    for _ in 0..3 {
        world.look_with("elb", 0, Blind).run(1, &[Fail, Pass]);
    }
    world.assert_published(&[1]);
    assert!(world.zone.values.contains(&foreign()));
}

//! What the core decides, told as stories: looks at given times in, the record set out.

mod world;

use std::sync::Arc;
use std::time::Duration;

use pointsman::core::{Plan, Rule};
use pointsman::model::{
    Alarm, CheckName, Expression, Failback, Liveness, Moment, Pace, PolicyKind, Region, Service, Share,
    WhenAllDown, WhenUnknown,
};
use world::Look::{Blind, Fail, Pass};
use world::{RECOVER_AFTER, Weather, World, address, check, foreign, region_name, service};

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
    // One has risen, and the other leaves.
    world.run(2, &[Pass, Fail]).assert_published(&[0, 1]);
    world.run(1, &[Pass, Fail]).assert_published(&[0]);
}

#[test]
fn while_nobody_who_is_published_is_alive_a_region_that_has_risen_enters_at_once() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(5, &[Pass, Pass]).run(5, &[Fail, Pass]).run(5, &[Fail, Fail]).assert_published(&[1]);
    world.run(2, &[Pass, Fail]).assert_published(&[1]);
    world.run(1, &[Pass, Fail]).assert_published(&[0]).assert_writes(2);
    assert_eq!(world.liveness(0), Liveness::Recovering, "`recover_after` is not over");
}

#[test]
fn no_damping_keeps_a_live_region_out_of_a_set_of_dead_ones() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(5, &[Pass, Pass]);
    for _ in 0..3 {
        world.run(5, &[Fail, Pass]).run(125, &[Pass, Pass]).assert_published(&[0, 1]);
    }
    world.run(5, &[Fail, Pass]).run(5, &[Fail, Fail]).assert_published(&[1]);
    world.run(3, &[Pass, Fail]).assert_published(&[0]);
}

#[test]
fn with_everybody_dead_two_that_flap_in_turns_do_not_write_without_end() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(5, &[Pass, Pass]).run(5, &[Fail, Fail]);
    for _ in 0..50 {
        world.run(5, &[Pass, Fail]).run(5, &[Fail, Pass]);
    }
    // The budget, two for each region that left and came to the rescue, and then one in half a minute.
    let (within, paced) = (world.written.len(), world.now.since(Moment::START).as_secs() / 30);
    assert!(within <= 6 + 2 * 2 + usize::try_from(paced).unwrap(), "BOUNDED-WRITES: {within}");
}

#[test]
fn no_region_that_serves_stays_out_of_a_set_of_dead_ones_for_want_of_budget() {
    let mut poor = service(3);
    (poor.write_budget.writes, poor.max_removed) = (1, 2);
    poor.panic_threshold = Share::from_percent(70).unwrap();
    let mut world = World::new(poor, &[0, 1, 2]);
    world.run(5, &[Pass; 3]);
    // The budget goes, and the one beyond it of the region that will be needed.
    world.run(3, &[Pass, Pass, Fail]).run(3, &[Fail, Pass, Fail]).assert_published(&[1]);
    world.run(3, &[Fail, Fail, Fail]).run(3, &[Pass, Fail, Fail]).assert_published(&[0]);
    // Again and again it waits for half a minute at most.
    world.run(3, &[Fail, Fail, Fail]).run(3, &[Fail, Pass, Fail]).assert_published(&[1]);
    for (dead, alive, looks) in [(1, 0, [Pass, Fail, Fail]), (0, 1, [Fail, Pass, Fail])] {
        world.assert_published(&[dead]).run(3, &[Fail; 3]).run(33, &looks).assert_published(&[alive]);
    }
}

#[test]
fn one_pass_ends_no_total_outage() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(5, &[Pass, Pass]).run(5, &[Fail, Fail]);
    let plans = world.plans.len();
    for _ in 0..20 {
        world.run(1, &[Pass, Fail]).run(1, &[Fail, Fail]);
        assert!(world.alarms.contains_key(&(Alarm::AllDown, None)), "{:?}", world.alarms);
        assert!(!world.alarms.contains_key(&(Alarm::Held, None)), "{:?}", world.alarms);
    }
    assert_eq!(world.plans.len(), plans);
    world.run(3, &[Pass, Fail]).assert_published(&[0]);
    assert!(!world.alarms.contains_key(&(Alarm::AllDown, None)), "{:?}", world.alarms);
}

#[test]
fn bounded_blast_a_region_that_has_risen_vouches_while_it_recovers() {
    let mut slow = service(3);
    slow.blast_window = Some(Duration::from_secs(15));
    for place in 0..3 {
        slow.regions[place] =
            Region { recover_after: Duration::from_secs(100), ..world::region(place) }.into();
    }
    let mut world = World::new(slow, &[0, 1, 2]);
    world.run(5, &[Pass; 3]).run(5, &[Fail; 3]).run(10, &[Fail, Pass, Fail]).assert_published(&[0, 1, 2]);
    world.run(7, &[Fail, Pass, Fail]).assert_published(&[1, 2]);
    world.run(16, &[Fail, Pass, Fail]).assert_published(&[1]);
}

#[test]
fn a_failure_below_fall_does_not_make_a_standby_wait_for_recover_after() {
    let mut tiers = service(2);
    tiers.policy = PolicyKind::Priority;
    let standby = Region { tier: 2, recover_after: Duration::from_secs(90), ..world::region(1) };
    tiers.regions[1] = standby.into();
    let mut world = World::new(tiers, &[0]);
    world.run(200, &[Pass, Pass]).run(1, &[Pass, Fail]);
    world.run(3, &[Fail, Pass]).assert_published(&[1]);
}

#[test]
fn one_failure_in_twenty_probes_does_not_restart_a_recovery() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(5, &[Pass, Pass]).run(3, &[Fail, Pass]).assert_published(&[1]);
    world.run(19, &[Pass, Pass]).run(1, &[Fail, Pass]).run(12, &[Pass, Pass]).assert_published(&[0, 1]);
    // A reached `fall` does.
    world.run(3, &[Fail, Pass]).run(40, &[Pass, Pass]).run(3, &[Fail, Pass]).run(19, &[Pass, Pass]);
    assert_eq!(world.liveness(0), Liveness::Recovering);
    world.run(3, &[Fail, Pass]);
    assert_eq!(world.liveness(0), Liveness::Down);
}

#[test]
fn before_it_has_risen_one_failure_ends_a_recovery() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(5, &[Pass, Pass]).run(3, &[Fail, Pass]).run(2, &[Pass, Pass]).run(1, &[Fail, Pass]);
    assert_eq!(world.liveness(0), Liveness::Down);
}

#[test]
fn a_suspect_that_is_blind_goes_back_to_the_normal_pace() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(5, &[Pass, Pass]).run(1, &[Fail, Pass]);
    assert_eq!(world.paces[&region_name(0)], Pace::Fast);
    world.run(3, &[Blind, Pass]);
    assert_eq!(world.liveness(0), Liveness::Suspect);
    assert_eq!((world.paces[&region_name(0)], world.paces[&region_name(1)]), (Pace::Normal, Pace::Normal));
    world.run(1, &[Fail, Pass]);
    assert_eq!(world.paces[&region_name(0)], Pace::Fast);
}

#[test]
fn a_fallback_stays_and_is_defended_while_the_first_region_recovers() {
    let sorry: std::net::IpAddr = "203.0.113.250".parse().unwrap();
    let mut fallback = service(2);
    fallback.when_all_down = WhenAllDown::Fallback(vec![sorry]);
    let mut world = World::new(fallback, &[0, 1]);
    world.run(5, &[Pass, Pass]).run(70, &[Fail, Fail]).assert_published(&[]);
    for _ in 0..35 {
        world.run(1, &[Pass, Fail]).run(1, &[Fail, Fail]);
        let status = world.core.service_status(&world.service.name, world.now).unwrap();
        assert!(status.record_set.in_sync, "at {}", world.now);
    }
    world.zone.values.remove(&sorry);
    for _ in 0..35 {
        world.run(1, &[Pass, Fail]).run(1, &[Fail, Fail]);
    }
    assert!(world.zone.values.contains(&sorry), "drift is mended");
}

#[test]
fn a_fallback_that_could_not_be_written_yet_stays_wanted_until_a_region_has_risen() {
    let sorry: std::net::IpAddr = "203.0.113.250".parse().unwrap();
    let mut fallback = service(2);
    fallback.when_all_down = WhenAllDown::Fallback(vec![sorry]);
    let mut world = World::new(fallback, &[0, 1]);
    world.run(5, &[Pass, Pass]);
    world.weather = Weather::Refuse;
    world.run(10, &[Fail, Fail]).run(1, &[Pass, Fail]);
    assert_eq!(world.liveness(0), Liveness::Recovering);
    assert!(world.plans.last().unwrap().wanted.contains(&sorry), "one pass is no region that serves");
    world.weather = Weather::Fair;
    world.run(20, &[Pass, Fail]).assert_published(&[0]);
    assert!(!world.zone.values.contains(&sorry), "{:?}", world.zone);
}

#[test]
fn what_all_down_publishes_leaves_out_who_waits_for_a_person_to_return() {
    let mut manual = service(3);
    (manual.when_all_down, manual.failback) = (WhenAllDown::PublishAll, Failback::Manual);
    let mut world = World::new(manual, &[0, 1, 2]);
    world.run(5, &[Pass; 3]).run(3, &[Fail, Pass, Pass]).run(60, &[Pass; 3]).assert_published(&[1, 2]);
    world.run(5, &[Fail, Fail, Fail]).assert_published(&[1, 2]);
}

#[test]
fn a_plan_that_stays_tells_why_as_things_stand_now() {
    let mut world = World::new(service(3), &[0, 1, 2]);
    let name = world.service.name.clone();
    let before = world.run(5, &[Pass; 3]).core.plan(&name).unwrap().clone();
    let now = world.run(60, &[Fail, Fail, Pass]).core.plan(&name).unwrap();
    assert_eq!((now.generation, &now.wanted), (before.generation, &before.wanted));
    assert_eq!(
        now.regions.iter().map(|region| region.liveness).collect::<Vec<_>>(),
        [Liveness::Down, Liveness::Down, Liveness::Up]
    );
    assert_eq!(now.held.iter().map(|held| held.rule).collect::<Vec<_>>(), [Rule::BoundedBlast]);
    assert!(before.held.is_empty(), "{:?}", before.held);
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
    // It passes now and then, and does not rise.
    for _ in 0..3 {
        world.run(1, &[Fail, Fail, Pass]).run(1, &[Fail, Fail, Fail]).assert_published(&[0, 1]);
    }
    world.reconfigure(all);
    for _ in 0..3 {
        world.run(1, &[Fail, Fail, Pass]).run(1, &[Fail, Fail, Fail]).assert_published(&[0, 1]);
    }
    world.run(3, &[Fail, Fail, Pass]).assert_published(&[2]);
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
    world.run(5, &[Pass, Blind]).run(20, &[Fail, Blind]).assert_published(&[0]);
    assert!(world.alarms[&(Alarm::Held, None)].contains("NEVER-EMPTY"), "{:?}", world.alarms);
    world.run(2, &[Fail, Pass]).assert_published(&[0]);
    world.run(1, &[Fail, Pass]).assert_published(&[1]);
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

/// Two regions, of which the first is where its load balancer is.
fn followed() -> Service {
    let region = Region { addresses: Vec::new(), ..world::region(0) };
    Service { regions: vec![Arc::new(region), Arc::new(world::region(1))], ..service(2) }
}

#[test]
fn an_eip_that_changes_is_followed_and_the_old_one_leaves() {
    let mut world = World::new(followed(), &[0, 1]);
    world.bind(0, &[address(0)]).run(5, &[Pass, Pass]).assert_writes(0);
    world.bind(0, &[address(7)]).assert_published(&[1]).assert_writes(1);
    assert!(world.zone.values.contains(&address(7)));
}

#[test]
fn never_empty_a_new_address_enters_beside_the_old_one_that_has_to_stay() {
    let mut tiers = Service { min_published: 2, policy: PolicyKind::Priority, ..followed() };
    let mut standby = world::region(1);
    standby.tier = 2;
    tiers.regions[1] = standby.into();
    let mut world = World::new(tiers, &[0]);
    world.bind(0, &[address(0)]).run(60, &[Pass, Pass]).assert_published(&[0]).assert_writes(0);
    world.bind(0, &[address(7)]).assert_published(&[0]).assert_writes(1);
    assert!(world.zone.values.contains(&address(7)), "{:?}", world.zone.values);
    world.run(600, &[Pass, Pass]).assert_published(&[0]).assert_writes(1);
    assert!(world.alarms[&(Alarm::Held, None)].contains("NEVER-EMPTY"), "{:?}", world.alarms);
    // With two where it is now the old one is needed no longer.
    world.bind(0, &[address(7), address(8)]).run(10, &[Pass, Pass]).assert_published(&[]).assert_writes(2);
    assert!(world.alarms.is_empty(), "{:?}", world.alarms);
}

#[test]
fn an_eip_that_is_unbound_stays_until_the_checks_say_that_the_region_is_down() {
    let mut world = World::new(followed(), &[0, 1]);
    world.bind(0, &[address(0)]).run(5, &[Pass, Pass]).bind(0, &[]).run(1, &[Pass, Pass]).assert_writes(0);
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

#[test]
fn what_still_does_not_pass_is_not_the_reason_of_a_recovery() {
    let mut service = service(2);
    let mut region = world::region(0);
    region.checks.push(check("elb", WhenUnknown::Ignore));
    let name = |name| Expression::Check(CheckName::parse(name).unwrap());
    region.up_when = Expression::All(vec![name("web"), name("elb")]);
    service.regions[0] = region.into();
    let mut world = World::new(service, &[0, 1]);
    for look in [Pass, Fail, Fail, Fail] {
        world.look_with("elb", 0, Blind).run(1, &[look, Pass]);
    }
    assert_eq!(world.liveness(0), Liveness::Down);
    assert!(world.because.starts_with("web: "), "{}", world.because);
    world.look_with("elb", 0, Blind).run(1, &[Pass, Pass]);
    assert_eq!(world.liveness(0), Liveness::Recovering);
    assert!(world.because.starts_with("what counts passes; besides, elb: "), "{}", world.because);
}

/// How long after something, in the words of docs/tuning.md.
fn in_words(after: Duration, what: &str) -> String {
    match after.as_secs() {
        0..=3 => "after its verdict".to_owned(),
        seconds => format!("{} min after {what}", (seconds + 30) / 60),
    }
}

#[test]
fn three_regions_leave_when_the_tuning_guide_says() {
    let guide = include_str!("../docs/tuning.md");
    let rows = guide.lines().skip_while(|line| !line.starts_with("| three regions, defaults |")).skip(2);
    let rows: Vec<[&str; 3]> = rows
        .map_while(|row| row.strip_prefix("| ")?.strip_suffix(" |"))
        .map(|row| row.split(" | ").collect::<Vec<_>>().try_into().unwrap())
        .collect();
    assert_eq!(rows.len(), 3, "{rows:?}");
    for [story, first, second] in rows {
        let apart = match story {
            "one dies, another one an hour later" => 3_600,
            "one dies, another one a minute later" => 60,
            "two die together" => 0,
            other => panic!("nobody plays {other:?}"),
        };
        let mut world = World::new(service(3), &[0, 1, 2]);
        world.run(400, &[Pass; 3]);
        let began = world.now;
        world.run(apart, &[Fail, Pass, Pass]);
        let second_began = world.now;
        world.run(700, &[Fail, Fail, Pass]).assert_published(&[2]).assert_writes(2);
        let left = [world.written[0].at, world.written[1].at];
        assert_eq!(in_words(left[0].since(began), "they fell"), first, "{story}");
        let after = match second {
            "after its verdict" => left[1].since(second_began),
            _ => left[1].since(left[0]),
        };
        assert_eq!(in_words(after, "the first one left"), second, "{story}");
    }
}

#[test]
fn a_plan_says_of_each_region_whether_it_is_in_and_that_all_are_down_only_when_they_are() {
    let mut world = World::new(Service { when_all_down: WhenAllDown::PublishAll, ..service(3) }, &[0, 1, 2]);
    world.run(5, &[Pass; 3]).run(5, &[Fail, Pass, Pass]);
    let told = |world: &World| -> Vec<(bool, bool)> {
        let plan = world.plans.last().unwrap();
        let is_last_resort = |because: &str| because.starts_with("every region is down");
        plan.regions.iter().map(|region| (region.wanted, is_last_resort(&region.because))).collect()
    };
    assert_eq!(told(&world), [(false, false), (true, false), (true, false)]);
    world.run(10, &[Fail; 3]);
    assert_eq!(told(&world), [(true, true); 3]);
    assert!(!world.plans.last().unwrap().is_rescue, "nobody has risen");
}

#[test]
fn a_region_that_is_held_in_is_no_last_resort() {
    let mut world = World::new(Service { min_published: 2, ..service(3) }, &[0, 1]);
    world.run(5, &[Pass, Pass, Fail]).run(10, &[Fail, Pass, Fail]);
    let plan = world.plans.last().unwrap();
    assert!(plan.regions[0].wanted, "too few would be left");
    assert!(!plan.regions[0].because.starts_with("every region is down"), "{}", plan.regions[0].because);
}

#[test]
fn a_fallback_that_is_found_at_a_start_stays_while_nothing_is_known() {
    let (sorry, other) = ("203.0.113.9".parse().unwrap(), "203.0.113.10".parse().unwrap());
    let mut fallback = service(2);
    fallback.when_all_down = WhenAllDown::Fallback(vec![sorry, other]);
    let mut world = World::new(fallback, &[]);
    world.zone.values.extend([sorry, other]);
    world.start_anew().run(10, &[Fail, Fail]);
    assert!(world.zone.values.contains(&sorry) && world.zone.values.contains(&other), "{:?}", world.zone);
    world.assert_writes(0);
}

#[test]
fn a_plan_that_stays_says_why_as_it_is_now() {
    let mut world = World::new(service(3), &[0, 1, 2]);
    world.run(5, &[Pass; 3]).run(5, &[Fail, Pass, Pass]);
    let plan = |world: &World| world.core.plan(&world.service.name).unwrap().clone();
    let before = plan(&world);
    world.run(5, &[Pass; 3]);
    let after = plan(&world);
    assert_eq!(after.generation, before.generation);
    assert_eq!(after.regions[0].liveness, Liveness::Recovering);
    assert_ne!(after.regions[0].because, before.regions[0].because);
    // The third one has to stay: a rule holds that.
    let held = |plan: &Plan| plan.held.iter().map(|held| held.rule).collect::<Vec<_>>();
    assert_eq!(held(&after), []);
    let mut world = World::new(Service { max_removed: 1, ..service(3) }, &[0, 1, 2]);
    world.run(5, &[Pass; 3]).run(5, &[Fail, Pass, Pass]);
    let before = plan(&world);
    world.run(5, &[Fail, Fail, Pass]);
    let after = plan(&world);
    assert_eq!((after.generation, held(&before)), (before.generation, Vec::new()));
    assert_eq!(held(&after), [Rule::BoundedBlast]);
}

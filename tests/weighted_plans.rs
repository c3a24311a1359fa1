//! What a weighted service wants, and when it is written, told as stories in virtual time: the same rules as for one set.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod world;

use std::collections::BTreeSet;
use std::time::Duration;

use pointsman::model::{Alarm, Line, OnDrift, PolicyKind, Region, Routing, Service, Weight, WhenAllDown};
use world::Look::{Fail, Pass};
use world::{Weather, World, address, foreign, region, service};

/// Regions of these weights.
fn weighted(weights: &[u16]) -> Service {
    let mut service = service(weights.len());
    service.policy = PolicyKind::Weighted;
    service.record.key.routing = Routing::Weighted(Line::everybody());
    for (place, weight) in weights.iter().enumerate() {
        let weight = Weight::from_number(*weight).unwrap();
        service.regions[place] = Region { weight, ..region(place) }.into();
    }
    service
}

/// The weight and the regions of each set in the zone that holds any of ours.
fn sets(world: &World) -> BTreeSet<(u16, Vec<usize>)> {
    let ours = |values: &BTreeSet<_>| -> Vec<usize> {
        world.places().into_iter().filter(|place| values.contains(&address(*place))).collect()
    };
    let sets =
        world.zone.parts.iter().map(|part| (part.weight.map_or(0, Weight::as_number), ours(&part.values)));
    sets.filter(|(_, places)| !places.is_empty()).collect()
}

fn settled(weights: &[u16]) -> World {
    let places: Vec<usize> = (0..weights.len()).collect();
    let mut world = World::new(weighted(weights), &places);
    world.run(60, &vec![Pass; weights.len()]);
    world
}

#[test]
fn a_plain_set_is_split_once_and_then_left_alone() {
    let mut world = settled(&[90, 10]);
    assert_eq!(sets(&world), [(90, vec![0]), (10, vec![1])].into());
    world.assert_writes(1).run(600, &[Pass, Pass]).assert_writes(1);
    assert!(world.zone.values.contains(&foreign()), "ONLY-OURS");
}

#[test]
fn a_dead_region_leaves_and_returns_and_the_others_keep_their_weights() {
    let mut world = settled(&[90, 10, 5]);
    world.run(20, &[Fail, Pass, Pass]);
    assert_eq!(sets(&world), [(10, vec![1]), (5, vec![2])].into());
    world.run(60, &[Pass, Pass, Pass]);
    assert_eq!(sets(&world), [(90, vec![0]), (10, vec![1]), (5, vec![2])].into());
}

#[test]
fn bounds_hold_for_weights_as_for_one_set() {
    let mut world = settled(&[90, 10, 5, 5, 5]);
    world.run(60, &[Fail, Fail, Pass, Pass, Pass]).assert_published(&[1, 2, 3, 4]);
    let mut world = settled(&[90, 10]);
    world.run(60, &[Fail, Fail]).assert_published(&[0, 1]);
}

#[test]
fn another_weight_in_the_configuration_is_written_alone_and_within_the_budget() {
    let mut world = settled(&[90, 10]);
    for (weight, writes) in [(20, 2), (30, 3), (40, 4), (50, 5), (60, 6), (70, 6)] {
        world.reconfigure(weighted(&[90, weight]));
        world.run(5, &[Pass, Pass]).assert_writes(writes);
    }
    world.run(700, &[Pass, Pass]).assert_writes(7);
    assert_eq!(sets(&world), [(90, vec![0]), (70, vec![1])].into());
}

#[test]
fn nothing_is_written_over_a_restart_nor_is_anything_taken_for_drift() {
    let mut world = settled(&[90, 10]);
    world.save().restart(Duration::from_secs(5)).run(120, &[Pass, Pass]).assert_writes(1);
    let drifted = |report: &_| matches!(report, pointsman::core::Report::Drifted { .. });
    assert!(!world.reports.iter().any(drifted), "{:#?}", world.reports);
}

#[test]
fn a_weight_that_somebody_else_changed_is_mended_also_when_they_did_it_while_nobody_looked() {
    for restarts in [false, true] {
        for on_drift in [OnDrift::Mend, OnDrift::Alarm] {
            let mut configured = weighted(&[90, 10]);
            configured.record.on_drift = on_drift;
            let mut world = World::new(configured, &[0, 1]);
            world.run(130, &[Pass, Pass]).save();
            world.zone.parts[0].weight = Weight::from_number(500);
            if restarts {
                world.restart(Duration::from_secs(1));
            }
            world.run(70, &[Pass, Pass]);
            let is_mended = sets(&world).contains(&(90, vec![0]));
            assert_eq!(is_mended, on_drift == OnDrift::Mend, "{restarts}");
            assert_eq!(
                world.alarms.contains_key(&(Alarm::Drift, None)),
                on_drift == OnDrift::Alarm,
                "{restarts}"
            );
        }
    }
}

#[test]
fn a_lost_answer_is_settled_by_reading() {
    for weather in [Weather::LoseAnswer, Weather::LoseWrite, Weather::Away] {
        let mut world = settled(&[90, 10]);
        world.weather = weather;
        world.run(4, &[Fail, Pass]);
        world.weather = Weather::Fair;
        world.run(120, &[Fail, Pass]);
        assert_eq!(sets(&world), [(10, vec![1])].into());
    }
}

#[test]
fn fallback_addresses_are_a_set_of_their_own() {
    let mut configured = weighted(&[90, 10]);
    configured.when_all_down = WhenAllDown::Fallback(vec![address(7)]);
    let mut world = World::new(configured, &[0, 1]);
    world.run(60, &[Pass, Pass]).run(60, &[Fail, Fail]);
    let ours = world.zone.parts.iter().find(|part| part.values.contains(&address(7))).unwrap();
    assert_eq!((ours.values.len(), ours.weight), (1, Some(Weight::DEFAULT)));
    world.assert_published(&[]);
    world.run(90, &[Pass, Pass]).assert_published(&[0, 1]);
    assert_eq!(sets(&world), [(90, vec![0]), (10, vec![1])].into());
    assert!(!world.zone.values.contains(&address(7)));
}

//! Two regions behind one load balancer, of which one follows its EIP and the other has it as an address of its own: told as
//! stories in virtual time.

#![expect(clippy::unwrap_used, reason = "test code")]

mod world;

use pointsman::model::{
    Alarm, Failback, Line, PolicyKind, Region, Routing, Service, Share, Weight, WhenAllDown,
};
use world::Look::{Fail, Pass};
use world::{RECOVER_AFTER, World, address, region, service};

/// The regions 0 and 1 are both at the address of the first, which follows it; the others are on their own.
fn shared(regions: usize) -> Service {
    let mut service = service(regions);
    for (place, addresses) in [(0, vec![]), (1, vec![address(0)])] {
        *service.regions.get_mut(place).unwrap() = Region { addresses, ..region(place) }.into();
    }
    service
}

fn world(service: Service, published: &[usize]) -> World {
    let mut world = World::new(service, published);
    world.bind(0, &[address(0)]);
    world
}

#[test]
fn an_address_stays_while_one_of_its_regions_serves_and_leaves_with_the_last() {
    let mut configured = shared(3);
    configured.max_removed = 2;
    configured.panic_threshold = Share::from_percent(100).unwrap();
    let mut world = world(configured, &[0, 2]);
    world.run(5, &[Pass, Pass, Pass]);
    for looks in [[Fail, Pass, Pass], [Pass, Pass, Pass], [Pass, Fail, Pass]] {
        world.run(100, &looks).assert_published(&[0, 2]).assert_writes(0);
    }
    world.run(20, &[Fail, Fail, Pass]).assert_published(&[2]);
    world.run(RECOVER_AFTER.as_secs() * 2, &[Fail, Pass, Pass]).assert_published(&[0, 2]);
}

#[test]
fn a_dead_region_whose_address_another_one_needs_takes_nobodys_turn_and_is_held_by_nothing() {
    let mut configured = shared(4);
    configured.blast_window = None;
    let mut world = world(configured, &[0, 2, 3]);
    world.run(5, &[Pass, Pass, Pass, Pass]).run(60, &[Pass, Fail, Pass, Pass]);
    world.run(60, &[Pass, Fail, Fail, Pass]).assert_published(&[0, 3]);
    assert!(!world.alarms.contains_key(&(Alarm::Held, None)), "{:?}", world.alarms);
    let mut configured = shared(2);
    configured.panic_threshold = Share::from_percent(0).unwrap();
    let mut world = self::world(configured, &[0]);
    world.run(5, &[Pass, Pass]).run(60, &[Pass, Fail]).assert_published(&[0]);
    assert!(!world.alarms.contains_key(&(Alarm::Held, None)), "{:?}", world.alarms);
}

#[test]
fn operator_rules_a_dead_region_whose_address_another_one_needed_has_not_left_and_needs_nobody_to_stay() {
    let mut configured = shared(2);
    configured.regions.reverse();
    configured.failback = Failback::Manual;
    configured.when_all_down = WhenAllDown::PublishAll;
    let mut world = world(configured, &[0]);
    world.run(5, &[Pass, Pass]);
    world.run(60, &[Pass, Fail]).run(60, &[Fail, Fail]).assert_published(&[0]);
    // The other one is elsewhere now, and was not published there.
    world.bind(0, &[address(2)]);
    world.run(10, &[Fail, Fail]).assert_published(&[0]).assert_writes(0);
}

#[test]
fn an_address_of_two_regions_is_served_at_the_weight_of_the_first_that_is_in() {
    let mut configured = shared(3);
    configured.policy = PolicyKind::Weighted;
    configured.record.key.routing = Routing::Weighted(Line::everybody());
    for (place, weight) in [(0, 90), (1, 10), (2, 5)] {
        let region = configured.regions.get_mut(place).unwrap();
        *region = Region { weight: Weight::from_number(weight).unwrap(), ..Region::clone(region) }.into();
    }
    let mut world = world(configured, &[0, 2]);
    let weight = |world: &World| {
        let mut parts = world.zone.parts.iter().filter(|part| part.values.contains(&address(0)));
        (parts.next().and_then(|part| part.weight).map(Weight::as_number), parts.count())
    };
    world.run(60, &[Pass, Pass, Pass]).assert_published(&[0, 2]);
    assert_eq!(weight(&world), (Some(90), 0));
    world.run(60, &[Fail, Pass, Pass]).assert_published(&[0, 2]);
    assert_eq!(weight(&world), (Some(10), 0));
    world.run(60, &[Pass, Pass, Pass]).assert_published(&[0, 2]);
    assert_eq!(weight(&world), (Some(90), 0));
}

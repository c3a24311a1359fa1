//! A configuration that changes while running: what is unchanged goes on with its counts, and the record set does not
//! change by itself (NO-JUMP-ON-START), told as stories in virtual time.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod world;

use std::sync::Arc;
use std::time::Duration;

use pointsman::core::{Call, Core, Effect, Input, Reconciler, Report, Timing, WriteRules};
use pointsman::model::{
    Alarm, Certificate, Check, CheckKind, CheckName, Expression, Found, InForce, Liveness, Mode, Moment,
    Pace, PolicyKind, ProviderName, Region, Service, ServiceName, TcpCheck, Threshold, Ttl, WhenUnknown,
    WriteBudget,
};
use world::Look::{Blind, Fail, Pass};
use world::{RECOVER_AFTER, Weather, World, address, check, region_name, service};

/// The service with something different about the region at `place`.
fn with_region(regions: usize, place: usize, edit: impl FnOnce(&mut Region)) -> Service {
    let mut edited = service(regions);
    let mut region = world::region(place);
    edit(&mut region);
    edited.regions[place] = region.into();
    edited
}

fn without(mut service: Service, place: usize) -> Service {
    service.regions.retain(|region| region.name != region_name(place));
    service
}

fn generation(world: &World) -> u64 {
    world.core.service_status(&world.service.name, world.now).unwrap().record_set.generation
}

#[test]
fn the_same_configuration_changes_nothing_at_all() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(5, &[Pass, Pass]).run(2, &[Fail, Pass]);
    let (generation_before, reports) = (generation(&world), world.reports.len());
    assert_eq!(world.reconfigure(service(2)), []);
    assert_eq!((generation(&world), world.reports.len()), (generation_before, reports));
    world.look(0, Fail).assert_published(&[1]);
}

#[test]
fn an_unchanged_check_keeps_its_counts_whatever_changes_beside_it() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(5, &[Pass, Pass]).run(2, &[Fail, Pass]);
    let mut edited = with_region(2, 0, |region| region.checks.push(check("elb", WhenUnknown::Ignore)));
    edited.max_removed = 2;
    world.reconfigure(edited);
    assert_eq!(world.liveness(0), Liveness::Suspect);
    world.look(0, Fail).assert_published(&[1]);
}

#[test]
fn other_thresholds_read_the_row_differently_and_settle_nothing_by_themselves() {
    let fall =
        |count| with_region(2, 0, |region| region.checks[0].fall = Threshold::in_a_row(count).unwrap());
    let mut world = World::new(service(2), &[0, 1]);
    world.run(5, &[Pass, Pass]).run(2, &[Fail, Pass]);
    world.reconfigure(fall(2));
    world.pass(Duration::from_secs(4)).assert_published(&[0, 1]);
    assert_eq!(world.liveness(0), Liveness::Suspect);
    world.look(0, Fail).assert_published(&[1]);

    let mut world = World::new(service(2), &[0, 1]);
    world.run(5, &[Pass, Pass]).run(2, &[Fail, Pass]);
    world.reconfigure(fall(5));
    world.run(2, &[Fail, Pass]).assert_published(&[0, 1]).look(0, Fail).assert_published(&[1]);
}

#[test]
fn a_check_that_looks_at_something_else_starts_afresh_and_its_region_goes_on() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(5, &[Pass, Pass]).run(2, &[Fail, Pass]);
    let kind = CheckKind::Tcp(TcpCheck { port: 8080, source: None });
    world.reconfigure(with_region(2, 0, |region| region.checks[0].kind = kind));
    assert_eq!(world.liveness(0), Liveness::Suspect);
    world.run(2, &[Fail, Pass]).assert_published(&[0, 1]).look(0, Fail).assert_published(&[1]);
}

#[test]
fn a_region_that_is_gone_leaves_its_address_behind_as_somebody_elses() {
    let mut world = World::new(service(3), &[0, 1, 2]);
    world.run(40, &[Pass; 3]);
    world.reconfigure(without(service(3), 1));
    world.pass(Duration::from_secs(120)).assert_writes(0);
    // It survives what is written from now on.
    for _ in 0..5 {
        world.look(0, Fail);
    }
    assert_eq!(world.written.len(), 1);
    assert!(world.zone.values.contains(&address(1)) && !world.zone.values.contains(&address(0)));
    // And it is ours again when the region is back.
    world.reconfigure(service(3));
    world.run(RECOVER_AFTER.as_secs() + 1, &[Pass; 3]).run(5, &[Pass, Fail, Pass]).assert_published(&[0, 2]);
}

#[test]
fn the_address_of_a_region_that_is_gone_stays_ours_when_another_region_has_it() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(40, &[Pass, Pass]);
    let mut renamed = service(2);
    let mut heir = world::region(2);
    heir.addresses = vec![address(1)];
    renamed.regions[1] = heir.into();
    world.reconfigure(renamed);
    world.assert_writes(0);
    for _ in 0..3 {
        world.look(0, Pass).look(2, Fail);
    }
    assert!(!world.zone.values.contains(&address(1)), "{:?}", world.zone.values);
}

#[test]
fn a_region_that_is_new_enters_like_any_other() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(40, &[Pass, Pass]);
    world.reconfigure(service(3));
    world.run(RECOVER_AFTER.as_secs() - 1, &[Pass; 3]).assert_published(&[0, 1]).assert_writes(0);
    world.run(2, &[Pass; 3]).assert_published(&[0, 1, 2]).assert_writes(1);
}

#[test]
fn a_region_with_other_addresses_starts_as_new_and_its_old_ones_stay_until_it_is_up() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(40, &[Pass, Pass]).run(2, &[Fail, Pass]);
    world.reconfigure(with_region(2, 0, |region| region.addresses = vec![address(9)]));
    assert_eq!(world.liveness(0), Liveness::Unknown);
    world.pass(Duration::from_secs(70)).assert_published(&[0, 1]).assert_writes(0);
    world.run(1, &[Pass, Pass]).assert_published(&[1]).assert_writes(1);
    assert!(world.zone.values.contains(&address(9)), "{:?}", world.zone.values);
}

#[test]
fn blind_is_not_down_addresses_that_nobody_has_seen_working_replace_none_that_worked() {
    let elsewhere = |place: usize, region: &mut Region| region.addresses = vec![address(90 + place)];
    let mut wrong = service(2);
    let regions = wrong.regions.iter().enumerate().map(|(place, region)| {
        let mut region = Region::clone(region);
        elsewhere(place, &mut region);
        Arc::new(region)
    });
    wrong.regions = regions.collect();
    let told = |world: &mut World, by_restart: bool| {
        world.run(40, &[Pass, Pass]);
        if by_restart {
            world.restart_as(wrong.clone(), Duration::from_secs(2));
        } else {
            world.reconfigure(wrong.clone());
        }
    };
    for by_restart in [false, true] {
        let mut world = World::new(service(2), &[0, 1]);
        told(&mut world, by_restart);
        world.run(120, &[Fail, Fail]).assert_published(&[0, 1]).assert_writes(0);
        // One that passes is known to work.
        world.run(1, &[Fail, Pass]).run(60, &[Fail, Pass]);
        assert!(world.zone.values.contains(&address(91)), "{:?}", world.zone.values);
        assert!(!world.zone.values.contains(&address(90)), "{:?}", world.zone.values);
    }
}

#[test]
fn an_address_that_was_seen_before_a_reload_wrote_others_down_is_no_news() {
    let mut world = World::new(with_region(2, 0, |region| region.addresses = Vec::new()), &[0, 1]);
    world.bind(0, &[address(0)]).run(40, &[Pass, Pass]);
    world.reconfigure(with_region(2, 0, |region| region.addresses = vec![address(9)]));
    world.bind(0, &[address(0)]).run(1, &[Pass, Pass]).assert_published(&[1]);
    assert!(world.zone.values.contains(&address(9)), "{:?}", world.zone.values);
}

#[test]
fn recover_after_keeps_what_has_elapsed() {
    let wait = |seconds| with_region(2, 0, |region| region.recover_after = Duration::from_secs(seconds));
    for (configured, left) in [(25, 5), (60, 40), (5, 1)] {
        let mut world = World::new(service(2), &[0, 1]);
        world.run(5, &[Pass, Pass]).run(3, &[Fail, Pass]).run(20, &[Pass, Pass]);
        world.reconfigure(wait(configured));
        let reconfigured = world.now;
        while world.published() == [1] {
            world.run(1, &[Pass, Pass]);
        }
        assert_eq!(world.now.since(reconfigured).as_secs(), left, "of {configured}");
    }
}

#[test]
fn damping_goes_on() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(5, &[Pass, Pass]);
    for _ in 0..2 {
        world.run(5, &[Fail, Pass]).assert_published(&[1]);
        while world.published() == [1] {
            world.run(1, &[Pass, Pass]);
        }
    }
    world.reconfigure(with_region(2, 0, |region| region.recover_after = Duration::from_secs(10)));
    world.run(5, &[Fail, Pass]).run(39, &[Pass, Pass]).assert_published(&[1]);
    world.run(2, &[Pass, Pass]).assert_published(&[0, 1]);
}

#[test]
fn a_smaller_write_budget_holds_at_once_and_a_larger_one_lets_go_at_once() {
    let budget = |writes| {
        let mut edited = service(2);
        edited.write_budget = WriteBudget { writes, window: Duration::from_secs(600) };
        edited
    };
    let mut world = World::new(budget(6), &[0, 1]);
    world.run(5, &[Pass, Pass]).run(3, &[Fail, Pass]).run(40, &[Pass, Pass]).assert_writes(2);
    world.reconfigure(budget(2));
    world.run(3, &[Fail, Pass]).assert_published(&[1]).assert_writes(3);
    world.run(70, &[Pass, Pass]).assert_published(&[1]).assert_writes(3);
    assert!(world.alarms[&(Alarm::Held, None)].contains("BOUNDED-WRITES"), "{:?}", world.alarms);
    world.reconfigure(budget(6));
    world.assert_published(&[0, 1]).assert_writes(4);
}

#[test]
fn bounded_writes_a_smaller_budget_with_a_longer_window_keeps_no_dead_region_in_the_set() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(5, &[Pass, Pass]).run(3, &[Fail, Pass]).assert_published(&[1]);
    world.run(RECOVER_AFTER.as_secs() + 5, &[Pass, Pass]).assert_published(&[0, 1]).assert_writes(2);
    let window = Duration::from_secs(3_600);
    world.reconfigure(Service { write_budget: WriteBudget { writes: 1, window }, ..service(2) });
    // It has left within the window already, and has its write beyond the budget all the same.
    world.run(3, &[Fail, Pass]).assert_published(&[1]).assert_writes(3);
    world.run(300, &[Pass, Pass]).assert_published(&[1]).assert_writes(3);
}

#[test]
fn writes_count_against_a_larger_budget_with_a_longer_window_too() {
    let budget = |writes, window| {
        let mut edited = service(2);
        edited.write_budget = WriteBudget { writes, window: Duration::from_secs(window) };
        edited
    };
    let mut world = World::new(budget(1, 10), &[0, 1]);
    world.run(5, &[Pass, Pass]).run(3, &[Fail, Pass]).run(40, &[Pass, Pass]).assert_writes(2);
    world.reconfigure(budget(2, 600));
    world.run(30, &[Fail, Pass]).run(70, &[Pass, Pass]).assert_published(&[1]).assert_writes(3);
}

#[test]
fn a_set_that_was_found_missing_is_not_made_once_that_is_not_allowed_any_more() {
    let may_create = |create| {
        let mut edited = service(2);
        edited.record.create = create;
        edited
    };
    let world = World::new(may_create(true), &[0, 1]);
    let now = world.now;
    let plan = world.plans[0].clone();
    let Service { record, .. } = may_create(true);
    let rules = WriteRules { min_published: 1, budget: world.service.write_budget };
    let timing = Timing { resync: Duration::from_secs(60) };
    let mut reconciler = Reconciler::new(record, rules, timing, false, now);
    reconciler.handle_plan(now, plan);
    assert_eq!(reconciler.poll_call(now), Some(Call::Read));
    reconciler.handle_read(now, Ok(None));
    let confirmed = now + Duration::from_secs(1);
    assert_eq!(reconciler.poll_call(confirmed), Some(Call::Read));
    reconciler.handle_read(confirmed, Ok(None));
    reconciler.reconfigure(confirmed, may_create(false).record, rules, timing, false);
    assert_eq!(reconciler.poll_call(confirmed), Some(Call::Read), "it is judged anew");
    reconciler.handle_read(confirmed, Ok(None));
    assert_eq!(reconciler.poll_call(confirmed), None);
}

#[test]
fn a_dry_run_that_ends_writes_what_it_told_of() {
    let mut dry = service(2);
    dry.mode = Mode::Observe;
    let mut world = World::new(dry, &[0, 1]);
    world.run(5, &[Pass, Pass]).run(3, &[Fail, Pass]).assert_published(&[0, 1]);
    world.reconfigure(service(2));
    world.assert_published(&[1]).assert_writes(1);
}

#[test]
fn another_ttl_comes_with_the_next_change_and_causes_none() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(40, &[Pass, Pass]);
    let mut short = service(2);
    short.record.ttl = Ttl::from_seconds(5);
    world.reconfigure(short);
    world.run(120, &[Pass, Pass]).assert_writes(0);
    world.zone.values.remove(&address(0));
    world.run(61, &[Pass, Pass]).assert_published(&[0, 1]).assert_writes(1);
    let sent = world.reports.iter().find_map(|report| {
        if let Report::Sent { set, .. } = report { Some(set.ttl().as_seconds()) } else { None }
    });
    assert_eq!(sent, Some(5));
}

#[test]
fn when_the_best_tier_is_gone_the_next_one_takes_over() {
    let tiers = || {
        let mut tiers = with_region(2, 1, |region| region.tier = 2);
        tiers.policy = PolicyKind::Priority;
        tiers
    };
    let mut world = World::new(tiers(), &[0]);
    world.run(60, &[Pass, Pass]).assert_writes(0);
    world.reconfigure(without(tiers(), 0));
    world.assert_published(&[1]);
    assert!(world.zone.values.contains(&address(0)), "it is for a person to take out");
}

#[test]
fn a_plan_for_a_region_that_is_gone_is_not_carried_out_any_more() {
    let mut world = World::new(service(2), &[]);
    world.weather = Weather::Refuse;
    world.run(RECOVER_AFTER.as_secs() + 5, &[Fail, Pass]);
    world.reconfigure(without(service(2), 1));
    world.weather = Weather::Fair;
    for _ in 0..300 {
        world.look(0, Fail).pass(Duration::from_secs(1));
    }
    world.assert_writes(0);
}

#[test]
fn alarms_of_what_is_gone_end() {
    let mut world = World::new(service(3), &[0, 1, 2]);
    world.run(5, &[Pass; 3]).run(5, &[Pass, Pass, Blind]);
    let blind = (Alarm::Blind, Some(region_name(2)));
    assert!(world.alarms.contains_key(&blind), "{:?}", world.alarms);
    let effects = world.reconfigure(without(service(3), 2));
    assert!(!world.alarms.contains_key(&blind), "{effects:?}");
    assert!(world.alarms.is_empty(), "{:?}", world.alarms);
}

#[test]
fn an_alarm_about_a_certificate_ends_with_the_check_that_saw_it() {
    let mut world = World::new(service(2), &[0, 1]);
    let mut look = world.observation("web", 0, Pass);
    look.certificate = Some(Certificate { expires: 0, expires_soon: true });
    world.step(&Input::Observed(look));
    let alarm = (Alarm::Certificate, Some(region_name(0)));
    world.reconfigure(with_region(2, 0, |region| region.recover_after = Duration::ZERO));
    assert!(world.alarms.contains_key(&alarm), "{:?}", world.alarms);
    let kind = CheckKind::Tcp(TcpCheck { port: 8080, source: None });
    world.reconfigure(with_region(2, 0, |region| region.checks[0].kind = kind));
    assert!(!world.alarms.contains_key(&alarm), "{:?}", world.alarms);
}

#[test]
fn an_address_that_moves_to_another_region_is_only_that_ones() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(40, &[Pass, Pass]);
    let mut moved = with_region(2, 0, |region| region.addresses = vec![address(9)]);
    let mut heir = world::region(1);
    heir.addresses.push(address(0));
    moved.regions[1] = heir.into();
    world.reconfigure(moved);
    let status = world.core.service_status(&world.service.name, world.now).unwrap();
    let published: Vec<bool> = status.regions.iter().map(|region| region.published).collect();
    assert_eq!(published, [false, true]);
}

#[test]
fn an_address_that_moves_from_a_region_with_nothing_bound_is_not_that_ones_any_more() {
    let mut followed = service(3);
    for place in [1, 2] {
        followed.regions[place] = Region { addresses: Vec::new(), ..world::region(place) }.into();
    }
    let mut world = World::new(followed, &[1, 2]);
    world.bind(1, &[address(1)]).bind(2, &[address(2)]).run(5, &[Fail, Pass, Pass]);
    // Another one takes its address over, which counts for that one from then on.
    world.bind(1, &[address(2)]).bind(2, &[]).run(5, &[Fail, Pass, Fail]).assert_published(&[2]);
    world.run(5, &[Pass, Pass, Fail]).assert_published(&[2]);
    // That one goes home: somebody serves all the while, so nobody enters before its time.
    world.bind(1, &[address(1)]).assert_published(&[1]);
    world.run(5, &[Pass, Pass, Fail]).assert_published(&[1]);
}

/// A service whose first region is up when its page or its load balancer says so.
fn either(port: u16) -> Service {
    with_region(2, 0, |region| {
        let elb = CheckKind::Tcp(TcpCheck { port, source: None });
        region.checks.push(Check { kind: elb, ..check("elb", WhenUnknown::Ignore) });
        let name = |name| Expression::Check(CheckName::parse(name).unwrap());
        region.up_when = Expression::Any(vec![name("web"), name("elb")]);
    })
}

#[test]
fn no_jump_on_start_a_check_that_is_new_is_not_left_out_before_it_has_looked() {
    let mut world = World::new(either(81), &[0, 1]);
    for _ in 0..10 {
        world.look_with("elb", 0, Pass).run(1, &[Fail, Pass]);
    }
    world.reconfigure(either(82));
    world.run(5, &[Fail, Pass]).assert_published(&[0, 1]);
    assert_eq!(world.liveness(0), Liveness::Up, "the other one alone does not decide");
    world.look_with("elb", 0, Pass).run(5, &[Fail, Pass]).assert_published(&[0, 1]);
    world.reconfigure(either(83));
    world.look_with("elb", 0, Blind).assert_published(&[1]);
}

/// What a service that lives elsewhere, or under another name, is left with.
fn moved(edit: impl FnOnce(&mut Service)) -> World {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(5, &[Pass, Pass]).run(2, &[Fail, Pass]);
    assert_eq!(world.paces[&region_name(0)], Pace::Fast);
    let before = generation(&world);
    let mut elsewhere = service(2);
    edit(&mut elsewhere);
    world.service = Arc::new(elsewhere);
    let mut effects = Vec::new();
    world.core.reconfigure(world.now, std::slice::from_ref(&world.service), &mut effects);
    assert_eq!(world.liveness(0), Liveness::Unknown);
    assert!(world.core.plan(&world.service.name).is_none());
    assert_eq!(generation(&world), before);
    let slowed = |effect: &&Effect| matches!(effect, Effect::Pace { pace: Pace::Normal, .. });
    assert_eq!(effects.iter().filter(slowed).count(), 2, "{effects:?}");
    world
}

#[test]
fn a_service_whose_record_set_is_another_one_starts_as_new_save_for_its_generation() {
    moved(|service| service.record.provider = ProviderName::parse("public").unwrap());
    moved(|service| service.record.key.name = pointsman::model::Fqdn::parse("other.localdev.me").unwrap());
}

#[test]
fn services_come_and_go_in_the_order_configured_without_touching_the_others() {
    let named = |name: &str| {
        let mut service = service(2);
        service.name = ServiceName::parse(name).unwrap();
        Arc::new(service)
    };
    let now = Moment::START + Duration::from_secs(1);
    let mut core = Core::new(&[named("a"), named("b")], Moment::START);
    let mut effects = Vec::new();
    for (name, there) in [("a", false), ("b", true)] {
        let found = Found {
            id: "1".to_owned(),
            values: [address(0), address(1)].into(),
            ttl: Ttl::from_seconds(30).unwrap(),
            in_force: InForce::Yes,
            description: None,
            parts: Vec::new(),
        };
        let service = ServiceName::parse(name).unwrap();
        let report = Report::Seen { found: Some(found).filter(|_| there) };
        core.step(now, &Input::Reported { service, report }, &mut effects);
    }
    core.take_changed();
    effects.clear();
    core.reconfigure(now, &[named("c"), named("b")], &mut effects);
    let order: Vec<String> = core.status(now).iter().map(|service| service.name.to_string()).collect();
    assert_eq!(order, ["c", "b"]);
    let ended = |effect: &Effect| matches!(effect, Effect::Alarm(raised) if raised.alarm == Alarm::Missing && !raised.raised);
    assert!(matches!(effects.as_slice(), [effect] if ended(effect)), "{effects:?}");
    assert_eq!(core.take_changed(), Vec::<ServiceName>::new());
    assert!(core.plan(&ServiceName::parse("b").unwrap()).is_some());
    assert!(core.plan(&ServiceName::parse("a").unwrap()).is_none());
}

#[test]
fn a_look_goes_on_for_another_check_unless_it_would_be_made_differently() {
    let web = || check("web", WhenUnknown::Keep);
    let same: [fn(&mut Check); 3] = [
        |check| check.fall = Threshold::in_a_row(9).unwrap(),
        |check| check.vote = false,
        |check| check.name = CheckName::parse("other").unwrap(),
    ];
    let other: [fn(&mut Check); 5] = [
        |check| check.kind = CheckKind::Tcp(TcpCheck { port: 81, source: None }),
        |check| check.interval = Duration::from_secs(9),
        |check| check.fast_interval = Duration::from_millis(9),
        |check| check.timeout = Duration::from_secs(1),
        |check| check.max_latency = Some(Duration::from_secs(1)),
    ];
    for (edits, goes_on) in [(same.as_slice(), true), (other.as_slice(), false)] {
        for edit in edits {
            let mut edited = web();
            edit(&mut edited);
            assert_eq!(web().looks_like(&edited), goes_on, "{edited:?}");
        }
    }
}

#[test]
fn another_expression_moves_a_region_with_its_next_look_at_the_earliest() {
    let name = |name| Expression::Check(CheckName::parse(name).unwrap());
    let two_checks = |up_when| {
        with_region(2, 0, |region| {
            region.checks.push(check("elb", WhenUnknown::Keep));
            region.up_when = up_when;
        })
    };
    let mut world = World::new(two_checks(name("web")), &[0, 1]);
    for _ in 0..5 {
        world.look_with("elb", 0, Fail).run(1, &[Pass, Pass]);
    }
    world.reconfigure(two_checks(Expression::All(vec![name("web"), name("elb")])));
    assert_eq!(world.liveness(0), Liveness::Up);
    world.assert_published(&[0, 1]).look(0, Pass);
    assert_eq!(world.liveness(0), Liveness::Down);
}

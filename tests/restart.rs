//! A process that ends and starts again goes on where it was, neither faster nor slower to act than the evidence
//! allows (NO-JUMP-ON-START, NEWEST-PLAN-WINS, BOUNDED-WRITES), told as stories in virtual time.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod world;

use std::time::Duration;

use pointsman::core::{Core, Effect, Gap, Generation, Input, Report, ServiceMemory};
use pointsman::model::{
    Alarm, CheckKind, CheckName, CloudName, ElbRef, Expression, InForce, Liveness, Moment, OnDrift, Pace,
    ProviderName, Region, Service, TcpCheck, Threshold, Weighed, WhenUnknown, WriteBudget,
};
use world::Look::{Blind, Fail, Pass};
use world::{Death, RECOVER_AFTER, Weather, World, address, foreign, region_name, service};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

fn generation(world: &World) -> u64 {
    world.core.service_status(&world.service.name, world.now).unwrap().record_set.generation
}

/// How long ago the region changed to the state it is in.
fn since(world: &World, place: usize) -> Duration {
    let status = world.core.service_status(&world.service.name, world.now).unwrap();
    Duration::from_secs_f64(status.regions[place].since_s)
}

/// Seconds until the set is `places`, while everybody looks once a second as `looks` says.
fn seconds_until(world: &mut World, looks: &[world::Look], places: &[usize]) -> u64 {
    let started = world.now;
    while world.published() != places {
        world.run(1, looks);
        assert!(world.now.since(started) < HOUR, "never {places:?}");
    }
    world.now.since(started).as_secs()
}

#[test]
fn failures_from_a_moment_before_the_restart_count() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(5, &[Pass, Pass]).run(2, &[Fail, Pass]).restart(SECOND);
    assert_eq!(world.liveness(0), Liveness::Suspect);
    world.assert_writes(0).look(0, Fail).assert_published(&[1]);
}

#[test]
fn failures_from_an_hour_before_the_restart_do_not() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(5, &[Pass, Pass]).run(2, &[Fail, Pass]).restart(HOUR);
    assert_eq!(world.liveness(0), Liveness::Suspect);
    world.run(2, &[Fail, Pass]).assert_published(&[0, 1]);
    world.look(0, Fail).assert_published(&[1]);
}

#[test]
fn a_gap_as_long_as_fall_looks_in_vain_keeps_the_row_and_a_longer_one_does_not() {
    for (more, kept) in [(Duration::ZERO, true), (Duration::from_micros(1), false)] {
        let mut world = World::new(service(2), &[0, 1]);
        world.run(5, &[Pass, Pass]).look(0, Fail).look(0, Fail);
        world.restart(Duration::from_secs(15) + more).look(0, Fail);
        assert_eq!(world.published(), if kept { vec![1] } else { vec![0, 1] });
    }
}

#[test]
fn bounded_blast_a_pass_before_a_restart_makes_no_failure_younger() {
    let dead = [Fail, Fail, Fail, Fail, Pass];
    let mut world = World::new(service(5), &[0, 1, 2, 3, 4]);
    world.run(10, &[Pass; 5]).run(140, &dead);
    for place in 0..3 {
        let mut looks = dead;
        looks[place] = Pass;
        world.run(1, &looks).run(1, &dead);
    }
    world.save().restart(Duration::from_secs(2));
    world.run(140, &dead).assert_published(&[0, 1, 2, 3, 4]);
    world.run(20, &dead);
    assert_eq!(world.published().len(), 4, "max_removed = 1 lets one go");
}

#[test]
fn bounded_blast_who_has_been_out_for_a_window_does_not_count_after_a_restart_either() {
    let mut world = World::new(service(3), &[0, 1, 2]);
    world.run(10, &[Pass; 3]).run(400, &[Fail, Pass, Pass]).assert_published(&[1, 2]);
    world.save().restart(Duration::from_secs(2)).run(3, &[Fail, Fail, Pass]).assert_published(&[2]);
}

#[test]
fn a_region_that_was_down_stays_out_and_returns_like_any_other() {
    for gap in [SECOND, HOUR] {
        let mut world = World::new(service(2), &[0, 1]);
        world.run(5, &[Pass, Pass]).run(10, &[Fail, Pass]).assert_published(&[1]);
        let told = world.transitions.len();
        world.restart(gap);
        assert_eq!((world.liveness(0), world.transitions.len()), (Liveness::Down, told));
        let back = seconds_until(&mut world, &[Pass, Pass], &[0, 1]);
        assert_eq!(back, RECOVER_AFTER.as_secs(), "after {gap:?}");
        world.assert_writes(2);
    }
}

#[test]
fn one_that_was_recovering_has_only_the_rest_before_it() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(5, &[Pass, Pass]).run(5, &[Fail, Pass]).run(20, &[Pass, Pass]);
    // The ten seconds of the gap are no health.
    world.save().restart(Duration::from_secs(10));
    assert_eq!(seconds_until(&mut world, &[Pass, Pass], &[0, 1]), 10);
}

#[test]
fn one_that_was_recovering_starts_afresh_when_its_looks_are_forgotten() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(5, &[Pass, Pass]).run(5, &[Fail, Pass]).run(20, &[Pass, Pass]);
    world.save().restart(HOUR);
    assert_eq!(world.liveness(0), Liveness::Recovering);
    assert_eq!(seconds_until(&mut world, &[Pass, Pass], &[0, 1]), 30);
}

#[test]
fn a_check_without_a_vote_may_forget_what_it_saw() {
    let mut watched = service(2);
    let mut region = world::region(0);
    region.checks.push(world::check("shown", WhenUnknown::Keep));
    region.checks[1].interval = SECOND;
    watched.regions[0] = region.into();
    let mut world = World::new(watched, &[0, 1]);
    world.run(5, &[Pass, Pass]).run(5, &[Fail, Pass]).run(20, &[Pass, Pass]);
    world.look_with("shown", 0, Pass).save().restart(5 * SECOND);
    assert_eq!(seconds_until(&mut world, &[Pass, Pass], &[0, 1]), 10);
}

#[test]
fn looks_in_vain_before_a_short_gap_count_and_before_a_long_one_do_not() {
    for (gap, blind) in [(SECOND, true), (HOUR, false)] {
        let mut world = World::new(service(2), &[0, 1]);
        world.run(5, &[Pass, Pass]).run(2, &[Blind, Pass]).restart(gap).look(0, Blind);
        assert_eq!(world.alarms.contains_key(&(Alarm::Blind, Some(region_name(0)))), blind, "{gap:?}");
    }
}

#[test]
fn an_hour_without_looks_makes_nobody_healthy_who_waits_to_enter() {
    let mut world = World::new(service(2), &[0]);
    world.run(20, &[Pass, Pass]).save().restart(HOUR);
    assert_eq!(seconds_until(&mut world, &[Pass, Pass], &[0, 1]), 30);
    let mut world = World::new(service(2), &[0]);
    world.run(20, &[Pass, Pass]).save().restart(SECOND);
    assert_eq!(seconds_until(&mut world, &[Pass, Pass], &[0, 1]), 10);
}

/// What the transition that a look brings about tells: the state, and when the first failing look started.
fn told_by(world: &mut World, check: &str, place: usize) -> Vec<(Liveness, Option<Moment>)> {
    let look = Input::Observed(world.observation(check, place, Fail));
    let mut effects = Vec::new();
    world.core.step(world.now, &look, &mut effects);
    let transition = |effect: &Effect| {
        if let Effect::Transition(t) = effect { Some((t.to, t.first_failure)) } else { None }
    };
    effects.iter().filter_map(transition).collect()
}

#[test]
fn what_people_see_counts_the_gap() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(5, &[Pass, Pass]).look(0, Fail);
    let first_failure = world.now;
    world.pass(SECOND).look(0, Fail).restart(4 * SECOND);
    assert_eq!(since(&world, 0), 5 * SECOND);
    assert_eq!(told_by(&mut world, "web", 0), [(Liveness::Down, Some(first_failure))]);
}

#[test]
fn a_failure_from_before_the_restart_is_told_as_the_first_of_a_later_fall() {
    let mut doubly = service(2);
    let mut region = world::region(0);
    region.checks.push(world::check("other", WhenUnknown::Keep));
    let name = |name| Expression::Check(CheckName::parse(name).unwrap());
    region.up_when = Expression::Any(vec![name("web"), name("other")]);
    doubly.regions[0] = region.into();
    let mut world = World::new(doubly, &[0, 1]);
    world.look_with("other", 0, Pass).run(5, &[Pass, Pass]).look(0, Fail);
    let first_failure = world.now;
    world.restart(SECOND);
    assert_eq!(told_by(&mut world, "other", 0), [(Liveness::Suspect, Some(first_failure))]);
}

#[test]
fn a_suspect_is_looked_at_fast_from_the_start() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(5, &[Pass, Pass]).run(1, &[Fail, Pass]).restart(SECOND);
    assert_eq!((world.paces[&region_name(0)], world.paces[&region_name(1)]), (Pace::Fast, Pace::Fast));
}

#[test]
fn a_provider_that_is_away_delays_neither_the_pace_nor_a_recovery() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(5, &[Pass, Pass]).run(5, &[Fail, Pass]).run(25, &[Pass, Pass]).save();
    world.weather = Weather::Away;
    world.restart(SECOND);
    assert_eq!(world.paces[&region_name(0)], Pace::Fast);
    assert_eq!(world.core.next_wake(), Some(world.now + 5 * SECOND));
}

#[test]
fn the_generation_goes_on() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(5, &[Pass, Pass]).run(3, &[Fail, Pass]);
    let before = generation(&world);
    world.restart(SECOND);
    assert!(generation(&world) > before, "{} after {before}", generation(&world));
    let generations: Vec<Generation> = world.plans.iter().map(|plan| plan.generation).collect();
    assert!(generations.is_sorted_by(|a, b| a < b), "{generations:?}");
}

#[test]
fn a_region_that_had_risen_is_not_down_again_by_one_failure_after_a_long_gap() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(5, &[Pass, Pass]).run(5, &[Fail, Fail]).run(5, &[Pass, Fail]).assert_published(&[0]);
    world.save().restart(Duration::from_secs(60)).run(2, &[Fail, Fail]);
    assert_eq!(world.liveness(0), Liveness::Recovering);
    world.run(1, &[Fail, Fail]);
    assert_eq!(world.liveness(0), Liveness::Down);
}

#[test]
fn a_used_up_write_budget_stays_used_up() {
    let mut poor = service(2);
    poor.write_budget.writes = 1;
    let mut world = World::new(poor, &[0, 1]);
    world.run(5, &[Pass, Pass]).run(3, &[Fail, Pass]).assert_published(&[1]);
    let first = world.sent[0];
    world.restart(SECOND).save().restart(SECOND).run(60, &[Pass, Pass]).assert_published(&[1]);
    assert!(world.alarms[&(Alarm::Held, None)].contains("BOUNDED-WRITES"), "{:?}", world.alarms);
    // Real time counts, also that of a gap.
    let left = (first + Duration::from_secs(600)).since(world.now);
    world.save().restart(left.saturating_sub(SECOND)).assert_published(&[1]);
    world.run(40, &[Pass, Pass]).assert_published(&[0, 1]);
}

#[test]
fn bounded_writes_a_wall_clock_that_went_back_makes_no_write_old() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(5, &[Pass, Pass]).run(3, &[Fail, Pass]).assert_writes(1);
    let (name, record, now) = (world.service.name.clone(), world.service.record.clone(), world.now);
    let kept = world.core.memory(&name, now).unwrap();
    let mut core = Core::new(std::slice::from_ref(&world.service), now);
    let gap = Gap { looks: 24 * HOUR, writes: Duration::ZERO };
    core.restore(now, gap, &kept, &mut Vec::new());
    // A process that ends before it has written knows no more than it was told.
    let again = core.memory(&name, now).unwrap();
    assert_eq!(again.writes(&record), kept.writes(&record));
}

#[test]
fn a_flapping_region_still_waits_longer() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(5, &[Pass, Pass]);
    for _ in 0..2 {
        world.run(5, &[Fail, Pass]).assert_published(&[1]);
        seconds_until(&mut world, &[Pass, Pass], &[0, 1]);
    }
    world.restart(SECOND).run(5, &[Fail, Pass]).assert_published(&[1]);
    world.restart(SECOND);
    assert_eq!(seconds_until(&mut world, &[Pass, Pass], &[0, 1]), 120);
}

/// A service whose first region is where its load balancer is.
fn followed() -> Service {
    let mut followed = service(2);
    let mut region = world::region(0);
    region.addresses = Vec::new();
    region.elb = Some(ElbRef {
        cloud: CloudName::parse("main").unwrap(),
        cloud_region: "cn-north-4".to_owned(),
        id: "elb-0".to_owned(),
        listener_port: 80,
    });
    followed.regions[0] = region.into();
    followed
}

#[test]
fn an_eip_that_was_unbound_before_the_start_is_known_as_ours() {
    let mut world = World::new(followed(), &[0, 1]);
    world.bind(0, &[address(0)]).run(5, &[Pass, Pass]).bind(0, &[]).restart(SECOND);
    world.bind(0, &[]).assert_writes(0);
    assert!(world.alarms.is_empty(), "{:?}", world.alarms);
    world.run(3, &[Fail, Pass]).assert_published(&[1]).assert_writes(1);
}

#[test]
fn a_region_of_which_no_address_is_known_is_still_alarmed() {
    let mut world = World::new(followed(), &[1]);
    world.bind(0, &[]).run(1, &[Fail, Pass]);
    let alarm = (Alarm::NoAddress, Some(region_name(0)));
    assert!(world.alarms.contains_key(&alarm), "{:?}", world.alarms);
    world.restart(SECOND);
    assert!(world.alarms.contains_key(&alarm), "{:?}", world.alarms);
}

#[test]
fn an_address_that_was_written_before_is_ours_although_the_load_balancer_is_another() {
    let mut world = World::new(followed(), &[0, 1]);
    world.bind(0, &[address(0)]).run(5, &[Pass, Pass]);
    let mut moved = followed();
    let mut region = Region::clone(&moved.regions[0]);
    region.elb.as_mut().unwrap().id = "elb-9".to_owned();
    moved.regions[0] = region.into();
    world.restart_as(moved, SECOND).assert_writes(0);
    assert_eq!(world.liveness(0), Liveness::Unknown, "nobody has looked there");
    world.bind(0, &[address(9)]).assert_writes(0);
    world.run(1, &[Pass, Pass]).assert_published(&[1]).assert_writes(1);
    assert!(world.zone.values.contains(&address(9)), "{:?}", world.zone.values);
}

#[test]
fn a_check_that_looks_at_something_else_starts_afresh() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(5, &[Pass, Pass]).run(2, &[Fail, Pass]);
    let mut other = service(2);
    let mut region = world::region(0);
    region.checks[0].kind = CheckKind::Tcp(TcpCheck { port: 8080, source: None });
    other.regions[0] = region.into();
    world.restart_as(other, SECOND).run(2, &[Fail, Pass]).assert_published(&[0, 1]);
    world.run(1, &[Fail, Pass]).assert_published(&[1]);
}

#[test]
fn other_thresholds_read_the_same_row_and_settle_nothing_by_themselves() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(5, &[Pass, Pass]).run(2, &[Fail, Pass]);
    let mut hasty = service(2);
    let mut region = world::region(0);
    region.checks[0].fall = Threshold::in_a_row(2).unwrap();
    hasty.regions[0] = region.into();
    world.restart_as(hasty, SECOND).run(1, &[Blind, Pass]).assert_published(&[0, 1]);
    world.look(0, Fail).assert_published(&[1]);
}

#[test]
fn memory_of_another_record_set_is_not_used_save_for_the_generation() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(5, &[Pass, Pass]).run(3, &[Fail, Pass]).assert_published(&[1]);
    let before = generation(&world);
    let mut other = service(2);
    other.record.provider = ProviderName::parse("public").unwrap();
    world.restart_as(other, SECOND).assert_writes(1);
    assert_eq!(world.liveness(0), Liveness::Unknown);
    world.run(1, &[Pass, Pass]);
    assert!(generation(&world) > before);
}

#[test]
fn memory_that_makes_no_sense_is_refused_as_a_whole() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(5, &[Pass, Pass]).run(2, &[Fail, Pass]);
    let text = serde_json::to_string(&world.saved.1).unwrap();
    let edits = [
        ("\"service\":\"demo\"", "\"service\":\"de mo\""),
        ("\"suspect\"", "\"sceptic\""),
        ("\"state\"", "\"estate\""),
        ("\"row\":[", "\"row\":[999"),
        ("\"generation\":", "\"generation\":1844674407370955161"),
        ("\"flaps\":0", "\"flaps\":-1"),
        ("\"addresses\":[\"198.", "\"addresses\":[\"298."),
        ("}", ""),
    ];
    for (old, new) in edits {
        assert!(text.contains(old), "{old} is not in {text}");
        let edited = text.replacen(old, new, 1);
        assert!(serde_json::from_str::<ServiceMemory>(&edited).is_err(), "{edited}");
    }
}

#[test]
fn a_state_of_a_newer_version_keeps_its_generation_and_its_write_budget() {
    let mut poor = service(2);
    poor.write_budget.writes = 1;
    let mut world = World::new(poor, &[0, 1]);
    world.run(5, &[Pass, Pass]);
    world.weather = Weather::LoseWrite;
    world.run(5, &[Fail, Pass]);
    world.weather = Weather::Fair;
    world.run(20, &[Fail, Pass]).assert_published(&[1]);
    let before = generation(&world);
    let mut state = serde_json::to_value(&world.save().saved.1).unwrap();
    // Each kind of object that is there has a field that this version does not know.
    for place in [
        "",
        "/writes",
        "/writes/landing/0",
        "/writes/drift",
        "/regions/0",
        "/regions/0/checks/0",
        "/failover",
    ] {
        let object = state.pointer_mut(place).unwrap().as_object_mut().unwrap();
        object.insert("of_a_newer_version".to_owned(), serde_json::json!({ "since": 7 }));
    }
    let memory: ServiceMemory = serde_json::from_value(state).unwrap();
    assert_eq!(Some(&memory), world.saved.1.as_ref(), "something else was lost with the fields");
    world.saved.1 = Some(memory);
    world.restart(SECOND).run(60, &[Pass, Pass]).assert_published(&[1]);
    assert!(world.alarms[&(Alarm::Held, None)].contains("BOUNDED-WRITES"), "{:?}", world.alarms);
    assert!(generation(&world) >= before, "{} after {before}", generation(&world));
}

#[test]
fn memory_with_an_address_that_the_set_cannot_hold_is_not_used() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(5, &[Pass, Pass]).run(2, &[Fail, Pass]);
    let text = serde_json::to_string(&world.saved.1).unwrap();
    let edited = text.replacen("\"owned\":[\"198.51.100.0", "\"owned\":[\"2001:db8::1", 1);
    assert_ne!(edited, text);
    world.saved.1 = Some(serde_json::from_str(&edited).unwrap());
    world.restart(SECOND);
    assert_eq!(world.liveness(0), Liveness::Unknown);
}

#[test]
fn the_wildest_numbers_that_parse_harm_nobody() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(5, &[Pass, Pass]).run(10, &[Fail, Pass]).run(10, &[Pass, Pass]).run(2, &[Pass, Fail]);
    let text = serde_json::to_string(&world.saved.1).unwrap();
    let number = regex::Regex::new(r#""(healthy|since|first_failure|unknown_in_a_row|flaps)":\d+"#).unwrap();
    let wild = number.replace_all(&text, |found: &regex::Captures<'_>| {
        let most =
            if matches!(&found[1], "unknown_in_a_row" | "flaps") { u64::from(u32::MAX) } else { u64::MAX };
        format!("\"{}\":{most}", &found[1])
    });
    world.saved.1 = Some(serde_json::from_str(&wild).unwrap());
    world.restart(HOUR).run(100, &[Pass, Pass]).save().restart(SECOND).run(10, &[Pass, Fail]);
    assert_eq!(world.liveness(1), Liveness::Down);
}

#[test]
fn a_write_that_was_on_its_way_is_settled_by_reading_and_not_sent_twice() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(5, &[Pass, Pass]).run(2, &[Fail, Pass]);
    world.death = Some(Death { lands: true, gap: SECOND });
    world.look(0, Fail).assert_published(&[1]).assert_writes(1);
    let reads = |world: &World| world.reports.iter().filter(|r| matches!(r, Report::Seen { .. })).count();
    let before = reads(&world);
    world.run(20, &[Fail, Pass]).assert_writes(1);
    assert!(reads(&world) >= before + 9, "it is read warily, but {} times", reads(&world) - before);
    let drifted = |report: &Report| matches!(report, Report::Drifted { .. });
    assert!(!world.reports.iter().any(drifted), "it was our own doing: {:?}", world.reports);
}

#[test]
fn a_write_that_was_on_its_way_and_lands_after_the_restart_is_nobody_elses() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(5, &[Pass, Pass]).run(2, &[Fail, Pass]);
    world.death = Some(Death { lands: false, gap: Duration::from_secs(20) });
    // Nobody remembers enough to write again when the look that settled it was forgotten.
    world.look(0, Fail).assert_published(&[0, 1]).assert_writes(0);
    world.zone.values.remove(&address(0));
    world.run(3, &[Blind, Pass]);
    let told = |report: &Report| {
        matches!(report, Report::Drifted { .. } | Report::Alarmed { alarm: Alarm::Drift, .. })
    };
    assert!(!world.reports.iter().any(told), "{:?}", world.reports);
}

#[test]
fn a_write_that_never_arrived_is_sent_again_within_the_budget() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(5, &[Pass, Pass]).run(2, &[Fail, Pass]);
    world.death = Some(Death { lands: false, gap: SECOND });
    world.look(0, Fail).assert_published(&[1]).assert_writes(1);
    assert_eq!(world.sent.len(), 2, "both count");
    world.run(60, &[Fail, Pass]).assert_writes(1);
}

#[test]
fn what_somebody_changed_meanwhile_is_told_and_left_or_mended_as_configured() {
    for on_drift in [OnDrift::Mend, OnDrift::Alarm] {
        let mut configured = service(2);
        configured.record.on_drift = on_drift;
        let mut world = World::new(configured, &[0, 1]);
        world.run(65, &[Pass, Pass]).save();
        world.zone.values.remove(&address(0));
        world.restart(SECOND).run(10, &[Pass, Pass]);
        let told = world.reports.iter().find_map(|report| {
            let Report::Drifted { before, now } = report else { return None };
            let first = Weighed::from(address(0));
            Some((before.contains(&first), now.contains(&first)))
        });
        assert_eq!(told, Some((true, false)));
        let left = if on_drift == OnDrift::Mend { vec![0, 1] } else { vec![1] };
        assert_eq!(world.published(), left);
        assert_eq!(world.alarms.contains_key(&(Alarm::Drift, None)), on_drift == OnDrift::Alarm);
    }
}

#[test]
fn without_memory_everything_starts_as_new() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(5, &[Pass, Pass]).run(2, &[Fail, Pass]).start_anew();
    assert_eq!((world.liveness(0), world.now), (Liveness::Unknown, Moment::START + 7 * SECOND));
    world.run(2, &[Fail, Pass]).assert_published(&[0, 1]).run(1, &[Fail, Pass]).assert_published(&[1]);
    assert!(world.zone.values.contains(&foreign()));
}

#[test]
fn only_what_changed_in_essence_is_to_be_remembered_again() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(70, &[Pass, Pass]);
    let saved = world.saved.0;
    world.run(300, &[Pass, Pass]);
    assert_eq!(world.saved.0, saved, "passes among passes, and reads that find nothing new");
    world.run(10, &[Fail, Pass]);
    let saved = world.saved.0;
    assert!(saved > Moment::START + Duration::from_secs(370), "a fall");
    world.run(300, &[Fail, Pass]);
    assert_eq!(world.saved.0, saved, "failures among failures");
}

#[test]
fn addresses_that_are_written_outrank_remembered_ones_that_contradict_them() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(60, &[Pass, Pass]).save();
    let kept = serde_json::to_string(&world.saved.1).unwrap();
    let changed = kept.replace(
        &format!(r#""addresses":["{}"],"unbound":false"#, address(1)),
        r#""addresses":["192.0.2.77"],"unbound":true"#,
    );
    assert_ne!(changed, kept);
    world.saved.1 = serde_json::from_str(&changed).unwrap();
    world.restart(SECOND).run(60, &[Pass, Pass]).assert_published(&[0, 1]).assert_writes(0);
}

#[test]
fn bounded_writes_a_write_that_was_not_made_is_given_back_though_the_set_is_pending_at_the_restart() {
    let budget = WriteBudget { writes: 1, window: Duration::from_secs(600) };
    let mut world = World::new(Service { write_budget: budget, ..service(2) }, &[0]);
    world.death = Some(Death { lands: false, gap: Duration::ZERO });
    world.zone.in_force = InForce::Pending;
    // One of somebody else's is on its way for a while, and shows when it is in force.
    world.run(RECOVER_AFTER.as_secs() + 60, &[Pass, Pass]).assert_published(&[0]);
    let somebodys: std::net::IpAddr = "192.0.2.1".parse().unwrap();
    world.zone.in_force = InForce::Yes;
    world.zone.values.insert(somebodys);
    assert!(world.death.is_none(), "it was killed on the way");
    world.run(60, &[Pass, Pass]).assert_published(&[0, 1]);
}

#[test]
fn bounded_writes_a_repair_of_a_killed_process_counts_since_no_read_shows_whether_it_landed() {
    let mut poor = service(2);
    poor.write_budget.writes = 1;
    let mut world = World::new(poor, &[0, 1]);
    world.run(10, &[Pass, Pass]);
    (world.weather, world.zone.in_force) = (Weather::LoseAnswer, InForce::Failed);
    while world.sent.is_empty() {
        world.pass(Duration::from_millis(100));
    }
    (world.weather, world.zone.in_force) = (Weather::Fair, InForce::Yes);
    world.restart(SECOND).run(10, &[Pass, Pass]);
    world.zone.values.remove(&address(0));
    world.run(70, &[Pass, Pass]).assert_published(&[1]);
    assert!(world.alarms[&(Alarm::Held, None)].contains("BOUNDED-WRITES"), "{:?}", world.alarms);
}

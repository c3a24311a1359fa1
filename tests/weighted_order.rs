//! Which calls of a write of several go together, and which wait for the next: a change of a set can fail, and then nobody
//! knows whether it is served.

#![expect(clippy::unwrap_used, reason = "test code")]

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use std::sync::Arc;

use pointsman::core::parts::{Stage, Step, stage};
use pointsman::core::{Call, Generation, PartCalls, Plan, Reconciler, Report, Timing, WriteRules};
use pointsman::model::{
    Found, FoundPart, Fqdn, InForce, Line, Moment, OnDrift, Part, PartState, ProviderError,
    ProviderErrorKind, ProviderName, Record, RecordKey, RecordSet, RecordType, Routing, ServiceName, Ttl,
    Weight, WriteBudget,
};

fn addresses(last: &[u8]) -> BTreeSet<IpAddr> {
    last.iter().map(|last| Ipv4Addr::new(192, 0, 2, *last).into()).collect()
}

fn weight(number: u16) -> Weight {
    Weight::from_number(number).unwrap()
}

/// The sets of the zone; the `n`th has the id `n`.
fn zone(sets: &[(u16, &[u8], PartState)]) -> Found {
    let part = |(id, (number, values, state)): (u8, &(u16, &[u8], PartState))| FoundPart {
        id: id.to_string(),
        values: addresses(values),
        weight: Some(weight(*number)),
        ttl: Ttl::DEFAULT,
        description: None,
        state: *state,
    };
    let parts: Vec<FoundPart> = (1..).zip(sets).map(part).collect();
    let values = parts.iter().filter(|part| part.state.is_served()).flat_map(|part| part.values.clone());
    let (id, values) = (String::new(), values.collect());
    Found { id, values, ttl: Ttl::DEFAULT, in_force: InForce::Yes, description: None, parts }
}

/// What is wanted of the regions; the `n`th has the addresses 1n and 2n.
fn wanted(regions: &[(u16, &[u8])]) -> RecordSet {
    let part = |(place, (number, values)): (u8, &(u16, &[u8]))| Part {
        weight: weight(*number),
        values: addresses(values),
        owned: addresses(&[10 + place, 20 + place]),
    };
    let parts: Vec<Part> = (1..).zip(regions).map(part).collect();
    let values = parts.iter().flat_map(|part| part.values.clone()).collect();
    RecordSet::new(values, Ttl::DEFAULT).unwrap().in_parts(parts, 1)
}

/// The id of the set that a call is about.
fn id(step: &Step) -> &str {
    match step {
        Step::Put { set, .. } => &set.id,
        Step::Enable { id } | Step::Disable { id } => id,
        Step::Post { .. } => "new",
    }
}

fn ids(steps: &[Step]) -> Vec<&str> {
    steps.iter().map(id).collect()
}

#[test]
fn never_empty_nobody_leaves_in_the_write_that_changes_the_set_of_the_last_other_one() {
    use PartState::{Off, Served};
    let changed: [(&str, u16, &[u8]); 2] =
        [("its weight", 50, &[12]), ("an address too many", 10, &[12, 22])];
    for (what, number, values) in changed {
        let set = wanted(&[(90, &[]), (10, &[12])]);
        let Stage { adds, takes } = stage(&zone(&[(90, &[11], Served), (number, values, Served)]), &set);
        assert!(adds.is_empty(), "{what}: {adds:?}");
        assert_eq!(takes, [Step::Disable { id: "1".to_owned() }], "{what}");
        // Then it has its turn.
        let Stage { adds, takes } = stage(&zone(&[(90, &[11], Off), (number, values, Served)]), &set);
        assert_eq!([ids(&adds), ids(&takes)].concat(), ["2"], "{what}");
    }
}

#[test]
fn never_empty_an_address_leaves_the_set_that_it_does_not_belong_in_before_its_own_gets_another_weight() {
    use PartState::Served;
    let set =
        wanted(&[(90, &[11]), (10, &[12])]).in_parts(wanted(&[(90, &[11]), (10, &[12])]).parts().to_vec(), 2);
    let Stage { adds, takes } = stage(&zone(&[(50, &[11], Served), (10, &[11, 12], Served)]), &set);
    assert_eq!((ids(&adds), ids(&takes)), (vec![], vec!["2"]), "its own may fail");
    let Stage { adds, takes } = stage(&zone(&[(50, &[11], Served), (10, &[12], Served)]), &set);
    assert_eq!((ids(&adds), ids(&takes)), (vec!["1"], vec![]));
}

#[test]
fn with_another_set_that_is_not_touched_all_goes_in_one_write() {
    use PartState::Served;
    let set = wanted(&[(90, &[]), (10, &[12]), (5, &[13])]);
    let found = zone(&[(90, &[11], Served), (50, &[12], Served), (5, &[13], Served)]);
    let Stage { adds, takes } = stage(&found, &set);
    assert_eq!((ids(&adds), ids(&takes)), (vec!["2"], vec!["1"]));
}

/// Region 2 is dead, region 1 is back and region 3 serves: a switch-off, then a switch-on.
fn one_leaves_and_one_enters() -> PartCalls {
    use PartState::{Off, Served};
    let found = zone(&[(90, &[11], Off), (10, &[12], Served), (5, &[13], Served)]);
    PartCalls::new(stage(&found, &wanted(&[(90, &[11]), (10, &[]), (5, &[13])])))
}

fn error(kind: ProviderErrorKind) -> ProviderError {
    ProviderError { kind, message: format!("{kind:?}") }
}

#[test]
fn a_dead_region_leaves_first_and_each_call_has_its_share_of_the_time() {
    let mut calls = one_leaves_and_one_enters();
    let first = Some((&Step::Disable { id: "2".to_owned() }, Duration::from_secs(5)));
    assert_eq!(calls.next(Duration::from_secs(10)), first);
    // Whatever becomes of it, the other one is sent.
    calls.answered(Err(error(ProviderErrorKind::Lost)));
    let second = Some((&Step::Enable { id: "1".to_owned() }, Duration::from_secs(4)));
    assert_eq!(calls.next(Duration::from_secs(4)), second);
    assert_eq!(calls.next(Duration::from_secs(4)), None);
}

#[test]
fn never_empty_a_write_of_which_one_call_may_land_is_lost_whatever_the_others_were_answered() {
    use ProviderErrorKind::{Away, Conflict, Lost, Refused, Throttled, Unclear};
    let become_of = |answers: [Result<(), ProviderErrorKind>; 2]| {
        let mut calls = one_leaves_and_one_enters();
        for answer in answers {
            if calls.next(Duration::from_secs(1)).is_some() {
                calls.answered(answer.map_err(error));
            }
        }
        calls.result().map_err(|error| error.kind)
    };
    assert_eq!(become_of([Ok(()), Ok(())]), Ok(()));
    for other in [Ok(()), Err(Refused), Err(Conflict), Err(Away), Err(Lost), Err(Throttled(None))] {
        assert_eq!(become_of([Err(Lost), other]), Err(Lost), "{other:?}");
    }
    for other in [Refused, Conflict, Away] {
        assert_eq!(become_of([Err(other), Err(Lost)]), Err(Lost), "{other:?}");
        assert_eq!(become_of([Err(other), Ok(())]), Err(Lost), "half of it was done, {other:?}");
        assert_eq!(become_of([Ok(()), Err(other)]), Err(Lost), "half of it was done, {other:?}");
        assert_eq!(become_of([Err(other), Err(Refused)]), Err(other), "nothing was done");
    }
    assert_eq!(become_of([Err(Refused), Err(Unclear)]), Err(Unclear));
    assert_eq!(become_of([Err(Throttled(None)), Ok(())]), Err(Throttled(None)), "the other one is not sent");
    let mut late = one_leaves_and_one_enters();
    assert_eq!(late.next(Duration::ZERO), None);
    assert_eq!(late.result().map_err(|error| error.kind), Err(Away), "nothing was sent");
    let none = PartCalls::new(Stage::default());
    assert_eq!(none.result().map_err(|error| error.kind), Err(Conflict));
}

fn key() -> RecordKey {
    let name = Fqdn::parse("demo.localdev.me.").unwrap();
    RecordKey { name, record_type: RecordType::A, routing: Routing::Weighted(Line::everybody()) }
}

/// The plan that wants this of the regions.
fn plan(generation: u64, regions: &[(u16, &[u8])]) -> Arc<Plan> {
    let set = wanted(regions);
    Arc::new(Plan {
        service: ServiceName::parse("demo").unwrap(),
        key: key(),
        generation: Generation(generation),
        wanted: set.values().clone(),
        owned: addresses(&[11, 12, 13]),
        parts: set.parts().to_vec(),
        ttl: None,
        may_write: true,
        only_from: None,
        is_rescue: false,
        words: 0,
        regions: Vec::new(),
        held: Vec::new(),
    })
}

/// What the reconciler calls for next, once it has read that.
fn call(reconciler: &mut Reconciler, now: &mut Moment, found: &Found) -> Stage {
    for _ in 0..9 {
        *now = reconciler.next_wake().unwrap().max(*now);
        if reconciler.poll_call(*now) == Some(Call::Read) {
            reconciler.handle_read(*now, Ok(Some(found.clone())));
        }
        if let Some(Call::Replace { found, set }) = reconciler.poll_call(*now) {
            return stage(&found, &set);
        }
    }
    Stage::default()
}

fn reconciler() -> (Reconciler, Moment) {
    let record = Record {
        key: key(),
        provider: ProviderName::parse("public").unwrap(),
        ttl: None,
        create: false,
        on_drift: OnDrift::Mend,
    };
    let budget = WriteBudget { writes: 9, window: Duration::from_secs(600) };
    let timing = Timing { resync: Duration::from_secs(60) };
    let now = Moment::START + Duration::from_secs(1_000);
    (Reconciler::new(record, WriteRules { min_published: 1, budget }, timing, false, now), now)
}

#[test]
fn sets_that_are_not_steady_are_so_also_before_there_is_a_plan() {
    use PartState::{Coming, Served};
    let (mut reconciler, now) = reconciler();
    let found = zone(&[(90, &[11], Served), (10, &[12], Coming)]);
    assert_eq!(reconciler.poll_call(now), Some(Call::Read));
    reconciler.handle_read(now, Ok(Some(Found { in_force: InForce::Pending, ..found })));
    let Some(Report::Seen { found: Some(found) }) = reconciler.poll_report() else { panic!("nothing seen") };
    assert_eq!(found.in_force, InForce::Pending);
}

#[test]
fn never_empty_nobody_leaves_by_a_switch_on_that_may_fail_while_another_set_may_still_be_switched_off() {
    use PartState::{Off, Served};
    let record = Record {
        key: key(),
        provider: ProviderName::parse("public").unwrap(),
        ttl: None,
        create: false,
        on_drift: OnDrift::Mend,
    };
    let rules =
        WriteRules { min_published: 1, budget: WriteBudget { writes: 9, window: Duration::from_secs(600) } };
    let timing = Timing { resync: Duration::from_secs(60) };
    let mut now = Moment::START + Duration::from_secs(1_000);
    let mut reconciler = Reconciler::new(record, rules, timing, false, now);
    // The switch-off of region 1 is lost; it is back, region 2 is dead, and region 3 comes in.
    let found = zone(&[(90, &[11], Served), (10, &[12], Served), (5, &[13], Off)]);
    reconciler.handle_plan(now, plan(1, &[(90, &[]), (10, &[12]), (5, &[])]));
    assert_eq!(ids(&call(&mut reconciler, &mut now, &found).takes), ["1"]);
    reconciler.handle_written(now, Err(error(ProviderErrorKind::Lost)));
    reconciler.handle_plan(now, plan(2, &[(90, &[11]), (10, &[]), (5, &[13])]));
    let Stage { adds, takes } = call(&mut reconciler, &mut now, &found);
    assert_eq!((ids(&adds), ids(&takes)), (vec!["3"], vec![]), "region 1 is not relied on");
    reconciler.handle_written(now, Ok(()));
    let found = zone(&[(90, &[11], Served), (10, &[12], Served), (5, &[13], Served)]);
    let Stage { adds, takes } = call(&mut reconciler, &mut now, &found);
    assert_eq!((ids(&adds), ids(&takes)), (vec![], vec!["2"]), "region 3 is in force");
}

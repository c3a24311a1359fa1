//! Which calls of a write of several go together, and which wait for the next: a change of a set can fail, and then nobody
//! knows whether it is served.

#![expect(clippy::unwrap_used, reason = "test code")]

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use pointsman::core::parts::{Stage, Step, stage};
use pointsman::model::{Found, FoundPart, InForce, Part, PartState, RecordSet, Ttl, Weight};

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

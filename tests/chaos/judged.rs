//! The judge finds what it is there for: each rule is broken in a history that was made up for that.

use std::net::IpAddr;

use crate::judge::{Life, judge};
use crate::stage::{REGIONS, Version};

const US: &str = "us";

/// A write of ours that leaves these regions, and somebody else's value.
fn write(at_ms: u64, regions: &[usize]) -> Version {
    let values = regions.iter().map(|region| IpAddr::from(REGIONS[*region].2));
    let values = values.chain([IpAddr::from([192, 0, 2, 99])]).collect();
    Version { values, ttl: 30, written_by: US.to_owned(), accepted_ms: at_ms }
}

/// The rules that are broken by these writes, after a first version with all regions.
fn found(writes: &[Version], life: &Life) -> Vec<String> {
    let first = Version { written_by: "setup".to_owned(), ..write(0, &[0, 1, 2]) };
    let history: Vec<Version> = [first].iter().chain(writes).cloned().collect();
    let name = |what: &String| what.split(':').next().unwrap().to_owned();
    judge(&history, US, life).iter().map(name).collect()
}

/// The first two regions are broken from 1 s to 5 s.
fn life() -> Life {
    let mut life = Life::default();
    for (region, ..) in &REGIONS[..2] {
        life.turned(region, 1_000, false);
        life.turned(region, 5_000, true);
    }
    life
}

#[test]
fn a_failover_breaks_nothing() {
    let writes = [write(2_000, &[1, 2]), write(7_000, &[0, 1, 2])];
    assert_eq!(found(&writes, &life()), [""; 0]);
}

#[test]
fn a_region_that_was_well_is_taken_out_by_nobody() {
    let well = ["BLIND-IS-NOT-DOWN or NO-JUMP-ON-START"];
    assert_eq!(found(&[write(2_000, &[0, 1])], &life()), well, "it was never broken");
    assert_eq!(found(&[write(900, &[1, 2])], &life()), well, "it is not yet broken");
    assert_eq!(found(&[write(30_000, &[1, 2])], &life()), well, "it has been mended for long");
}

#[test]
fn an_empty_set_and_a_second_region_are_found() {
    assert_eq!(found(&[write(2_000, &[2])], &life()), ["BOUNDED-BLAST"]);
    assert_eq!(found(&[write(2_000, &[1, 2]), write(3_000, &[2])], &life()), ["BOUNDED-BLAST"]);
    let all = ["NEVER-EMPTY", "BOUNDED-BLAST", "BLIND-IS-NOT-DOWN or NO-JUMP-ON-START"];
    assert_eq!(found(&[write(2_000, &[])], &life()), all);
}

#[test]
fn what_is_not_ours_is_nobodys_to_change() {
    let mut foreign = write(2_000, &[1, 2]);
    foreign.values.pop();
    assert_eq!(found(&[foreign.clone()], &life()), ["ONLY-OURS"]);
    let by_its_owner = Version { written_by: "its owner".to_owned(), ..foreign };
    assert_eq!(found(&[by_its_owner], &life()), [""; 0]);
    assert_eq!(found(&[Version { ttl: 60, ..write(2_000, &[1, 2]) }], &life()), ["ONLY-OURS"]);
}

#[test]
fn a_write_that_changes_nothing_is_found_unless_the_last_one_was_lost() {
    let same = [write(2_000, &[0, 1, 2])];
    assert_eq!(found(&same, &life()), ["ONLY-WHEN-DIFFERENT"]);
    let mut lost = life();
    lost.writes_are_murky(1_500);
    lost.writes_are_clear(1_600);
    assert_eq!(found(&same, &lost), [""; 0]);
}

#[test]
fn one_write_too_many_is_found_unless_the_others_were_forgotten() {
    let writes = |apart: u64| -> Vec<Version> {
        let regions: [&[usize]; 2] = [&[1, 2], &[0, 1, 2]];
        // The budget of six, one for the region that leaves, and one too many.
        (0..8).map(|at| write(2_000 + at * apart, regions[usize::from(at % 2 == 1)])).collect()
    };
    assert_eq!(found(&writes(1_000), &life()), ["BOUNDED-WRITES"]);
    assert_eq!(found(&writes(1_700), &life()), [""; 0]);
    let mut forgetful = life();
    forgetful.forgot_all(4_500);
    assert_eq!(found(&writes(1_000), &forgetful), [""; 0]);
}

#[test]
fn a_write_while_nobody_runs_is_found() {
    let mut left_alone = life();
    left_alone.nobody_watched(1_000, 9_000);
    assert_eq!(found(&[write(4_000, &[1, 2])], &left_alone), ["LEAVE-AS-IS"]);
    assert_eq!(found(&[write(1_100, &[1, 2])], &left_alone), [""; 0], "it was on its way");
}

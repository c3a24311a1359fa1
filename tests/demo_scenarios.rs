//! Every story of `pointsman demo` goes as it must, end to end through real HTTP and DNS.
//!
//! The stories are played all at once, each by a process of its own, since most of their time is waiting; each
//! has a test that looks at what its process said.

#![cfg(test)] // makes clippy take the helpers below for tests too

use std::collections::BTreeMap;
use std::process::{Command, Output};
use std::sync::LazyLock;

/// A story, and where its record set lives.
type Play = (&'static str, &'static str);

const IN_THE_CLOUD: &str = "huawei";

const PLAYS: [Play; 9] = [
    ("drill", IN_THE_CLOUD),
    ("drill", "rfc2136"),
    ("drill", "embedded"),
    ("cluster-down", IN_THE_CLOUD),
    ("eip-unbound", IN_THE_CLOUD),
    ("endpoint-503", IN_THE_CLOUD),
    ("all-down", IN_THE_CLOUD),
    ("api-outage", IN_THE_CLOUD),
    ("flap", IN_THE_CLOUD),
];

#[test]
fn a_region_that_dies_and_loses_its_eip_leaves_the_zone_and_returns() {
    let table = table_of("drill");
    assert!(
        table.contains("the ELB shows failed backends") && table.contains("region1 is put back"),
        "{table}"
    );
    assert!(table.contains("from the first failing look to the zone"), "the bound is shown: {table}");
}

#[test]
fn the_same_drill_is_followed_by_a_name_server_that_takes_updates_and_by_the_daemons_own_zone() {
    for place in ["rfc2136", "embedded"] {
        let table = said_by(("drill", place));
        assert!(table.contains("region1 is put back"), "{table}");
        let ledger = table.split("The ledger").nth(1).unwrap_or_default();
        for line in ["region1 leaves", "region1 returns"] {
            let told = ledger.lines().find(|told| told.contains(line)).unwrap_or_default();
            assert!(told.contains("status 200 from 127.0."), "{place}: {line}: {table}");
        }
    }
}

#[test]
fn a_cluster_that_stops_leaves_the_zone_and_returns() {
    assert!(table_of("cluster-down").contains("the ELB shows failed backends"));
}

#[test]
fn a_region_without_its_eip_leaves_the_zone_and_returns() {
    assert!(table_of("eip-unbound").contains("region1 is put back"));
}

#[test]
fn an_endpoint_that_answers_503_leaves_the_zone_and_returns() {
    assert!(table_of("endpoint-503").contains("region1 is put back"));
}

#[test]
fn when_all_regions_are_down_nothing_is_emptied() {
    assert!(table_of("all-down").contains("nothing is emptied"));
}

#[test]
fn when_the_api_is_out_nothing_is_removed() {
    assert!(table_of("api-outage").contains("nothing is removed"));
}

#[test]
fn a_region_that_flaps_waits_longer_each_time() {
    assert!(table_of("flap").contains("return 3: region1 is put back"));
}

fn table_of(scenario: &'static str) -> String {
    said_by((scenario, IN_THE_CLOUD))
}

/// What the process of that play printed, after making sure that it went well and is plain text.
fn said_by(play: Play) -> String {
    static PLAYED: LazyLock<BTreeMap<Play, Output>> = LazyLock::new(play_all);
    let played = &PLAYED[&play];
    let said = String::from_utf8(played.stdout.clone()).unwrap();
    let complaints = String::from_utf8(played.stderr.clone()).unwrap();
    assert!(played.status.success(), "{play:?} ended with {}:\n{said}{complaints}", played.status);
    assert!(said.contains('✓') && !said.contains('✗'), "{play:?} exited with 0 all the same:\n{said}");
    let escape = '\u{1b}';
    assert!(!said.contains(escape) && !complaints.contains(escape), "colour in a pipe:\n{said}{complaints}");
    said
}

fn play_all() -> BTreeMap<Play, Output> {
    std::thread::scope(|scope| {
        let playing = PLAYS.map(|play| (play, scope.spawn(move || run(play))));
        playing.into_iter().map(|(play, played)| (play, played.join().unwrap())).collect()
    })
}

fn run((scenario, place): Play) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pointsman"));
    let arguments = ["demo", "--scenario", scenario, "--dns", place];
    command.args(arguments).env_remove("CLICOLOR_FORCE").output().unwrap()
}

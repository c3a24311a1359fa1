//! Every story of `pointsman demo` goes as it must, end to end through real HTTP and DNS.
//!
//! The stories are played all at once, each by a process of its own, since most of their time is waiting; each
//! has a test that looks at what its process said.

#![cfg(test)] // makes clippy take the helpers below for tests too

use std::collections::BTreeMap;
use std::process::{Command, Output};
use std::sync::LazyLock;

const SCENARIOS: [&str; 7] =
    ["drill", "cluster-down", "eip-unbound", "endpoint-503", "all-down", "api-outage", "flap"];

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

/// What the scenario's process printed, after making sure that it went well and is plain text.
fn table_of(scenario: &str) -> String {
    static PLAYED: LazyLock<BTreeMap<&str, Output>> = LazyLock::new(play_all);
    let played = &PLAYED[scenario];
    let said = String::from_utf8(played.stdout.clone()).unwrap();
    let complaints = String::from_utf8(played.stderr.clone()).unwrap();
    assert!(played.status.success(), "{scenario} ended with {}:\n{said}{complaints}", played.status);
    assert!(said.contains('✓') && !said.contains('✗'), "{scenario} exited with 0 all the same:\n{said}");
    let escape = '\u{1b}';
    assert!(!said.contains(escape) && !complaints.contains(escape), "colour in a pipe:\n{said}{complaints}");
    said
}

fn play_all() -> BTreeMap<&'static str, Output> {
    std::thread::scope(|scope| {
        let playing = SCENARIOS.map(|scenario| (scenario, scope.spawn(move || play(scenario))));
        playing.into_iter().map(|(scenario, played)| (scenario, played.join().unwrap())).collect()
    })
}

fn play(scenario: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pointsman"));
    command.args(["demo", "--scenario", scenario]).env_remove("CLICOLOR_FORCE").output().unwrap()
}

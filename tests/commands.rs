//! What the commands that look once print, and the exit codes that scripts go by.

#![cfg(test)] // makes clippy take the helpers below for tests too

mod daemon_world;

use std::process::Output;

use daemon_world::{World, until};
use pointsman::sim::{Api, Effect, EndpointState, Fault};

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[track_caller]
fn assert_exit(output: &Output, code: i32, words: &[&str]) {
    let said = said(output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "no word of {word:?} in {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_with_nothing_to_do_exits_with_0() {
    let world = World::new().await;
    let eips = world.eips();
    let wanted = format!("wanted  {}, {}", eips[0], eips[1]);
    assert_exit(&world.output(&["plan"]).await, 0, &["region1", "status 200", &wanted, "nothing to do"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_with_a_dead_region_shows_why_and_exits_with_2_and_writes_nothing() {
    let world = World::new().await;
    world.cloud.region("region1").unwrap().endpoint(EndpointState::Status { status: 503 }).await.unwrap();
    let eips = world.eips();
    let now = format!("now     {}, {}", eips[0], eips[1]);
    let wanted = format!("wanted  {}\n", eips[1]);
    let words = ["status 503", "down", &now, &wanted, "region1 leaves", "a change is due"];
    assert_exit(&world.output(&["plan"]).await, 2, &words);
    assert_eq!(world.writes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_for_a_region_that_is_missing_and_well_wants_it_back() {
    let world = World::new().await;
    let eips = world.eips();
    world.cloud.write_as("somebody", &eips[1..]).unwrap();
    world.zone_is(&eips[1..]).await;
    assert_exit(&world.output(&["plan"]).await, 2, &["region1 enters", "a change is due"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_without_an_answer_from_the_api_exits_with_1_and_says_what_failed() {
    let world = World::new().await;
    world.cloud.fault(Fault::new(Api::Dns, Effect::Error { status: 403 }));
    assert_exit(&world.output(&["plan"]).await, 1, &["cannot tell", "403"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_look_shows_its_phases_and_exits_by_what_it_came_to() {
    let world = World::new().await;
    let probe = async |check: &str| world.output(&["probe", &format!("demo/{check}")]).await;
    assert_exit(&probe("region1/web").await, 0, &["connect", "head", "status 200", "pass after"]);
    assert_exit(&probe("region1/elb").await, 0, &["list members", "3 of 3 backends online"]);
    assert_exit(&probe("region1/eip").await, 0, &["bound"]);

    let region = world.cloud.region("region1").unwrap();
    region.endpoint(EndpointState::Refuse).await.unwrap();
    assert_exit(&probe("region1/web").await, 2, &["refused"]);
    region.members_offline();
    until("the load balancer has noticed", async || probe("region1/elb").await.status.code() == Some(2))
        .await;
    region.eip_unbind().await.unwrap();
    assert_exit(&probe("region1/eip").await, 2, &["unbound"]);

    world.cloud.fault(Fault::new(Api::Elb, Effect::Error { status: 503 }));
    assert_exit(&probe("region2/elb").await, 3, &["unknown", "503"]);
    assert_exit(&probe("region2/nothing").await, 1, &["has no check nothing"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_is_not_right_is_refused_by_every_command_with_its_line() {
    let world = World::new().await;
    let text = std::fs::read_to_string(&world.config).unwrap();
    std::fs::write(&world.config, text.replace("fall = 3", "fal = 3")).unwrap();
    for command in ["check", "plan", "run"] {
        assert_exit(
            &world.output(&[command]).await,
            1,
            &["pointsman.toml:", "fal = 3", "the nearest known key is fall"],
        );
    }
}

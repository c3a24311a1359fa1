//! What clients get: the daemon asks its witnesses after each write, tells every time, and alarms one that stays wrong.
#![cfg(test)] // makes clippy take the helpers below for tests too

mod daemon_world;
mod resolver;

use std::net::SocketAddr;

use daemon_world::{EIP1, EIP2, FOREIGN, Now, Reloaded, Scene, World};
use pointsman::journal;
use resolver::{Resolver, Script};
use serde_json::Value;

const SECTION: &str = "zone_type = \"private\"\n";

/// With a TTL of 3 s, so that witnesses have 13 s.
fn scene() -> Scene {
    let mut scene = Scene::with_a_foreign_value();
    scene.cloud.ttl = 3;
    scene
}

async fn world_with(witnesses: &[SocketAddr]) -> World {
    let mut world = World::set(scene()).await;
    world.edit_config(SECTION, &section(witnesses));
    world.run(&[]).await;
    world.until("all is well", Now::all_well).await;
    world
}

fn section(witnesses: &[SocketAddr]) -> String {
    let list: Vec<String> = witnesses.iter().map(|witness| format!("\"{witness}\"")).collect();
    format!("{SECTION}witnesses = [{}]\n", list.join(", "))
}

fn last(now: &Now) -> Value {
    let all = now.service["failovers"].as_array();
    all.and_then(|all| all.last()).cloned().unwrap_or(Value::Null)
}

fn is(course: &'static str) -> impl Fn(&Now) -> bool {
    move |now| last(now)["course"] == course && !last(now)["fetched"].is_null()
}

/// As the zone was when both regions served.
fn before() -> Script {
    Script::Answer(vec![FOREIGN, EIP1, EIP2])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_has_every_time_with_two_witnesses_of_which_one_is_stale_for_a_while() {
    let stale = Resolver::start(before()).await;
    let world = {
        let mut world = World::set(scene()).await;
        world.edit_config(SECTION, &section(&[world.cloud.dns_address(), stale.address]));
        world.run(&[]).await;
        world.until("all is well", Now::all_well).await;
        world
    };
    world.break_region("region1").await;
    let one_shows_it = |now: &Now| last(now)["witnesses"].as_array().is_some_and(|all| all.len() == 1);
    world.until("one witness shows it", one_shows_it).await;
    stale.play(Script::Answer(vec![EIP2, FOREIGN]));
    world.until("every witness shows it, and a client was there", is("moved")).await;
    let now = world.now().await;
    let line = last(&now);
    let ms = |key: &str| line[key].as_u64().unwrap_or_else(|| panic!("{key} is not filled in: {line:#}"));
    let witnesses: Vec<u64> =
        line["witnesses"].as_array().unwrap().iter().map(|it| it["at_ms"].as_u64().unwrap()).collect();
    let seen = (*witnesses.iter().min().unwrap(), *witnesses.iter().max().unwrap());
    let times =
        [ms("first_look_ms"), ms("verdict_ms"), ms("sent_ms"), ms("acknowledged_ms"), ms("active_ms")];
    assert!(times.is_sorted() && times[4] <= seen.0, "{line:#}");
    assert_eq!((times[0], ms("moved_ms")), (0, seen.1 + 3_000));
    assert_eq!((line["id"].as_str(), line["moves"][0]["region"].as_str()), (Some("demo-1"), Some("region1")));
    assert_eq!(
        (&line["moves"][0]["direction"], &line["moves"][0]["cause"]),
        (&"leaves".into(), &"checks".into())
    );
    // The first of the addresses in the answer, asked as the service's own check asks.
    assert_eq!(line["fetched"], "status 200 from 127.0.2.20");
    let metrics = world.metrics().await;
    for phase in ["detect", "write", "activate", "witness"] {
        let count = format!("pointsman_failover_seconds_count{{phase=\"{phase}\",service=\"demo\"}} 1");
        assert!(metrics.contains(&count), "{phase} is not counted once:\n{metrics}");
    }
    let rows = journal::read(&world.state_dir(), std::time::Duration::ZERO, 1_000).unwrap();
    let steps: Vec<String> = rows
        .iter()
        .filter(|row| row.kind == "failover")
        .map(|row| {
            serde_json::from_str::<Value>(&row.detail).unwrap()["reached"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(steps, ["sent", "acknowledged", "active", "witness", "witness", "moved", "fetched"]);
    world.assert_history_is_harmless();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_witness_that_stays_stale_is_alarmed_with_both_answers_until_a_reload_takes_it_away() {
    let stale = Resolver::start(before()).await;
    let world = world_with(&[stale.address]).await;
    world.break_region("region1").await;
    world.until("it is alarmed", |now| now.alarmed("witness", None)).await;
    world.until("a client was there all the same", is("unconfirmed")).await;
    let alarms = world.now().await.service["alarms"].to_string();
    for answer in [
        format!("{} answers 127.0.1.10, 127.0.2.20, 192.0.2.99 (TTL 17 s)", stale.address),
        "the zone holds 127.0.2.20, 192.0.2.99".to_owned(),
    ] {
        assert!(alarms.contains(&answer), "{answer} is not in {alarms}");
    }
    assert!(world.metrics().await.contains("pointsman_alarm_active{alarm=\"witness\",service=\"demo\"} 1"));
    world.edit_config(&section(&[stale.address]), SECTION);
    assert_eq!(world.reload().await, Reloaded::Taken);
    world.until("nobody is left to disagree", |now| !now.alarmed("witness", None)).await;
    assert_eq!(world.writes(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_goes_on_being_witnessed_by_the_next_process() {
    let stale = Resolver::start(before()).await;
    let mut world = world_with(&[stale.address]).await;
    world.break_region("region1").await;
    world.until("it is in force", |now| last(now)["course"] == "witnessing").await;
    let before = last(&world.now().await);
    world.stop("KILL").await;
    world.run(&[]).await;
    let asked = stale.asked();
    world.until("the next process asks", |_| stale.asked() > asked).await;
    stale.play(Script::Answer(vec![EIP2, FOREIGN]));
    world.until("clients moved", is("moved")).await;
    let after = last(&world.now().await);
    assert_eq!((&after["id"], &after["sent_ms"]), (&before["id"], &before["sent_ms"]));
    assert_eq!(world.writes(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_witness_the_ledger_ends_with_what_is_reckoned_and_what_a_client_got() {
    let world = World::watched(scene()).await;
    world.break_region("region1").await;
    world.until("clients moved", is("moved")).await;
    let line = last(&world.now().await);
    assert_eq!(line["moved_is_reckoned"], true);
    assert_eq!(line["moved_ms"].as_u64(), line["active_ms"].as_u64().map(|active| active + 3_000));
    assert_eq!(line["fetched"], "status 200 from 127.0.2.20");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_asks_nobody() {
    let witness = Resolver::start(before()).await;
    let mut world = World::set(Scene { daemon: "dry_run = true", ..scene() }).await;
    world.edit_config(SECTION, &section(&[witness.address]));
    world.run(&[]).await;
    world.until("all is well", Now::all_well).await;
    world.break_region("region1").await;
    world.until("it is down", |now| now.liveness("region1") == "down").await;
    let now = world.now().await;
    assert_eq!((now.service["failovers"].as_array().map(Vec::len), witness.asked()), (Some(0), 0));
}

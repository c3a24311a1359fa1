//! The whole daemon over real name servers: a region dies and the zone shows it; what others do to it is mended or told.
#![cfg(test)] // makes clippy take the helpers below for tests too

mod daemon_world;
mod name_server;

use std::net::IpAddr;
use std::process::Output;

use daemon_world::{EIP1, EIP2, FOREIGN, Now, Reloaded, Scene, World};
use name_server::{SECRET, Site, ZONE, deadline, demo, key};
use pointsman::dns::Provider as _;
use pointsman::model::{RecordSet, RecordType};

const RECORDS: [&str; 3] = ["demo 3 A 127.0.1.10", "demo 3 A 127.0.2.20", "demo 3 A 192.0.2.99"];

/// A world whose zone is on that name server; nobody watches it yet.
async fn set(site: &Site, service: &'static str) -> World {
    let mut scene = Scene::new();
    scene.cloud.zone = ZONE.to_owned();
    scene.cloud.record = demo(RecordType::A).name.to_string();
    scene.service = service;
    let world = World::set(scene).await;
    world.edit_config(
        "kind = \"huawei\"\ncloud = \"main\"\nzone = \"corp.example.\"\nzone_type = \"private\"",
        &format!(
            "kind = \"rfc2136\"\nserver = \"{}\"\nzone = \"{ZONE}\"\n\
             tsig = {{ name = \"pointsman.\", algorithm = \"hmac-sha256\", secret_file = \"{}\" }}",
            site.address(),
            site.key.secret_file.display()
        ),
    );
    world
}

async fn watched(site: &Site, service: &'static str) -> World {
    let mut world = set(site, service).await;
    world.run(&[]).await;
    world.until("all is well", Now::all_well).await;
    world
}

/// Waits until the server itself answers with these.
async fn until_zone_holds(world: &World, site: &Site, what: &str, values: &[IpAddr]) {
    world.until(what, |_| site.demo() == values).await;
}

/// What somebody else makes of the record set.
async fn somebody_sets(site: &Site, values: &[IpAddr]) {
    let (provider, key) = (site.provider(), demo(RecordType::A));
    loop {
        let found = provider.read(&key, deadline()).await.unwrap().unwrap();
        let set = RecordSet::new(values.iter().copied().collect(), found.ttl).unwrap();
        // A race with the daemon is lost by either.
        if provider.replace(&key, &found, &set, deadline()).await.is_ok() {
            return;
        }
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_that_dies_leaves_the_zone_and_returns_and_what_is_not_ours_stays() {
    for site in Site::both(&RECORDS).await {
        let mut world = set(&site, "").await;
        world.run_with(&[], &[("RUST_LOG", "trace")]).await;
        world.until("all is well", Now::all_well).await;
        world.break_region("region1").await;
        until_zone_holds(&world, &site, "region1 has left", &[EIP2, FOREIGN]).await;
        world.mend_region("region1").await;
        until_zone_holds(&world, &site, "region1 is back", &[EIP1, EIP2, FOREIGN]).await;
        world.until("all is well again", Now::all_well).await;
        let (log, seen) =
            (world.log(), world.get("/api/v1/status").await.unwrap().1 + &world.metrics().await);
        assert!(log.contains("TRACE") || log.contains("DEBUG"), "{log}");
        assert!(!log.contains(SECRET) && !seen.contains(SECRET), "SECRETS-STAY");
        world.stop("TERM").await;
        assert_eq!(site.demo(), [EIP1, EIP2, FOREIGN], "LEAVE-AS-IS");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_with_a_ttl_of_zero_fails_over_and_gets_the_configured_ttl_with_that() {
    for site in Site::both(&["demo 0 A 127.0.1.10", "demo 0 A 127.0.2.20"]).await {
        let world = watched(&site, "ttl = 20").await;
        let ttl_s = async || {
            let found = site.provider().read(&demo(RecordType::A), deadline()).await;
            found.unwrap().unwrap().ttl.as_seconds()
        };
        assert_eq!(ttl_s().await, 0, "a TTL alone is no reason to write");
        world.break_region("region1").await;
        until_zone_holds(&world, &site, "region1 has left", &[EIP2]).await;
        assert_eq!(ttl_s().await, 20);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_else_changes_is_mended_until_it_is_a_fight() {
    for site in Site::both(&RECORDS).await {
        let world = watched(&site, "").await;
        for round in ["first", "second"] {
            somebody_sets(&site, &[EIP2, FOREIGN]).await;
            until_zone_holds(&world, &site, round, &[EIP1, EIP2, FOREIGN]).await;
            world.until("it is told to be well", Now::all_well).await;
        }
        somebody_sets(&site, &[EIP2, FOREIGN]).await;
        world.until("the fight is alarmed", |now| now.alarmed("fight", None)).await;
        assert_eq!(site.demo(), [EIP2, FOREIGN], "nobody fights");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_else_changes_is_left_and_alarmed_where_that_was_asked_for() {
    for site in Site::both(&RECORDS).await {
        let world = watched(&site, "on_drift = \"alarm\"").await;
        somebody_sets(&site, &[EIP2, FOREIGN]).await;
        world.until("the drift is alarmed", |now| now.alarmed("drift", None)).await;
        assert_eq!(site.demo(), [EIP2, FOREIGN]);
        somebody_sets(&site, &[EIP1, EIP2, FOREIGN]).await;
        world.until("all is well", Now::all_well).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_restarts_is_waited_for_while_a_region_is_dead() {
    for mut site in Site::both(&RECORDS).await {
        let world = watched(&site, "").await;
        site.kill();
        world.break_region("region1").await;
        world.until("region1 is down", |now| now.liveness("region1") == "down").await;
        site.start_again().await;
        until_zone_holds(&world, &site, "region1 has left", &[EIP2, FOREIGN]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_was_exchanged_is_read_at_a_reload() {
    let site = Site::bind(&RECORDS).await;
    let world = watched(&site, "").await;
    let other = key(site.folder.path(), "other.", "c29tZXRoaW5nIGVsc2UgdGhhdCBpcyBhIHNlY3JldCB0b28h");
    std::fs::copy(&other.secret_file, &site.key.secret_file).unwrap();
    assert_eq!(world.reload().await, Reloaded::Taken);
    world.until("the secret is refused", |now| now.alarmed("provider_away", None)).await;
    std::fs::write(&site.key.secret_file, SECRET).unwrap();
    assert_eq!(world.reload().await, Reloaded::Taken);
    world.until("all is well", Now::all_well).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_online_finds_zone_key_permission_and_record_set_and_changes_nothing() {
    for site in Site::both(&RECORDS).await {
        let world = set(&site, "").await;
        let before = site.provider().serial(deadline()).await.unwrap();
        let said = world.outcome("check", &["--online"]).await;
        let told = text(&said);
        assert!(said.status.success(), "{told}");
        for row in [
            "zone corp.example. at 127.0.0.1:",
            "the key pointsman. is taken",
            "127.0.1.10, 127.0.2.20, 192.0.2.99, TTL 3 s",
            "updates of demo.corp.example. A",
        ] {
            assert!(told.contains(row), "{row}: {told}");
        }
        assert_eq!(site.provider().serial(deadline()).await, Ok(before));
        // The clock of this machine an hour ahead.
        let command = world.command("check", &["--online"]);
        let mut late = std::process::Command::new("faketime");
        late.args(["-f", "+1h"]).arg(command.get_program()).args(command.get_args());
        let said = tokio::task::spawn_blocking(move || late.output().unwrap()).await.unwrap();
        let told = text(&said);
        assert_eq!(said.status.code(), Some(1), "{told}");
        assert!(told.contains("s ahead of the server's (BADTIME)"), "{told}");
        site_refuses(&world, &site).await;
    }
}

/// A zone that is closed to the key, one that is not served, nobody at the port.
async fn site_refuses(world: &World, site: &Site) {
    let closed = if site.is_knot() { "grants it nothing there (BADKEY)" } else { "grant it that" };
    for (old, new, says) in [
        ("corp.example.", "closed.example.", closed),
        ("closed.example.", "none.example.", "it does not serve the zone"),
    ] {
        world.edit_config(old, new);
        let said = world.outcome("check", &["--online"]).await;
        let told = text(&said);
        assert_eq!(said.status.code(), Some(1), "{told}");
        assert!(told.contains(says), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plan_and_apply_once_work_on_it_too() {
    let site = Site::bind(&["demo 3 A 127.0.1.10", "demo 3 A 192.0.2.99"]).await;
    let world = set(&site, "").await;
    let said = world.outcome("plan", &[]).await;
    assert_eq!(said.status.code(), Some(2), "{}", text(&said));
    let said = world.outcome("apply", &["--once", "--yes"]).await;
    assert_eq!(said.status.code(), Some(0), "{}", text(&said));
    assert_eq!(site.demo(), [EIP1, EIP2, FOREIGN]);
}

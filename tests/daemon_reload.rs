//! RELOAD-OR-KEEP, and what a reload leaves alone.
#![cfg(test)] // makes clippy take the helpers below for tests too

mod daemon_world;

use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use daemon_world::{DEADLINE, EIP1, EIP2, FOREIGN, Now, Reloaded, Scene, World};
use pointsman::clock::instant_now;
use pointsman::journal;
use pointsman::sim::{Api, Effect, Fault};
use serde_json::{Value, json};

/// A service whose one region nobody serves, over an address of its own.
const ANOTHER: &str = r#"
[[service]]
name = "another"
domain = "another.localdev.me"
dns = "private"
[[service.check]]
name = "port"
kind = "tcp"
port = 9
[[service.region]]
name = "nowhere"
address = ["127.0.9.9"]
"#;

/// A row of failures so long that no test sees its end.
fn patient() -> Scene {
    Scene { service: "fall = 60", ..Scene::with_a_foreign_value() }
}

fn row(now: &Now) -> u64 {
    now.check("region1", "web")["run"].as_u64().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_that_adds_a_service_keeps_the_counts_of_all_others() {
    let world = World::watched(patient()).await;
    world.break_region("region1").await;
    let failing = |now: &Now| now.check("region1", "web")["last"] == "fail" && row(now) >= 4;
    world.until("web fails some times in a row", failing).await;
    let before = row(&world.now().await);

    world.add_to_config(ANOTHER);
    assert_eq!(world.reload().await, Reloaded::Taken);
    let after = world.now().await;
    assert!(after.check("region1", "web")["last"] == "fail" && row(&after) >= before, "{after:#?}");
    assert_eq!(after.liveness("region1"), "suspect");
    let metrics = world.metrics().await;
    let counted = |metrics: &str| {
        let of_it = |line: &str| line.contains(r#"service="another""#);
        metrics.lines().any(|line| line.starts_with("pointsman_probes_total") && of_it(line))
    };
    assert!(counted(&metrics), "the new one is not counted:\n{metrics}");

    world.edit_config(ANOTHER, "");
    assert_eq!(world.reload().await, Reloaded::Taken);
    let metrics = world.metrics().await;
    assert!(!metrics.contains(r#"service="another""#), "the old one is still shown:\n{metrics}");
    assert!(row(&world.now().await) >= before);
    assert_eq!(world.writes(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_that_is_no_good_is_refused_with_its_line_and_the_running_one_goes_on() {
    let mut world = World::watched(Scene::with_a_foreign_value()).await;
    world.edit_config("fall = 3", "fal = 3");
    assert_eq!(world.reload().await, Reloaded::Refused);
    let log = world.log();
    assert!(log.contains("pointsman.toml:") && log.contains("fal") && log.contains("fall"), "{log}");
    let is = |metrics: &str, value| {
        metrics.lines().any(|line| line == format!("pointsman_config_last_reload_success {value}"))
    };
    assert!(is(&world.metrics().await, 0));

    world.break_region("region1").await;
    world.until("region1 has left", |now| now.zone_holds(&[EIP2, FOREIGN])).await;
    world.edit_config("fal = 3", "fall = 3");
    assert_eq!(world.reload().await, Reloaded::Taken);
    assert!(is(&world.metrics().await, 1));
    assert_eq!(world.now().await.liveness("region1"), "down", "a reload forgets no verdict");

    world.stop("TERM").await;
    let rows = journal::read(&world.state_dir(), Duration::ZERO, 1_000).unwrap();
    let refused = rows.iter().find(|row| row.kind == "reload_refused").expect("it is journalled");
    assert!(refused.message.contains("fal"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_a_restart_can_change_refuses_the_reload_whole() {
    let world = World::watched(Scene::new()).await;
    let state = world.state_dir().display().to_string();
    world.edit_config(&state, &format!("{state}-elsewhere"));
    world.add_to_config(ANOTHER);
    assert_eq!(world.reload().await, Reloaded::Refused);
    let log = world.log();
    assert!(log.contains("daemon.state_dir cannot change while the daemon runs"), "{log}");
    assert!(!world.metrics().await.contains(r#"service="another""#), "half of it was applied");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_that_leaves_the_configuration_stays_in_the_record_set_and_is_watched_no_more() {
    let world = World::watched(Scene::with_a_foreign_value()).await;
    let text = std::fs::read_to_string(world.config()).unwrap();
    let table = text.split("[[service.region]]").find(|table| table.contains("\"region1\"")).unwrap();
    world.edit_config(&format!("[[service.region]]{table}"), "");
    assert_eq!(world.reload().await, Reloaded::Taken);
    let gone = |now: &Now| now.region("region1").is_null() && now.service["record_set"]["in_sync"] == true;
    world.until("region1 is gone", gone).await;
    let now = world.now().await;
    assert!(now.zone_holds(&[EIP1, EIP2, FOREIGN]), "{now:#?}");
    assert_eq!(now.service["record_set"]["foreign"], json!([EIP1, FOREIGN]), "it is nobody's of ours now");
    assert!(!world.metrics().await.contains(r#"region="region1""#));

    world.add_to_config(&format!("[[service.region]]{table}"));
    assert_eq!(world.reload().await, Reloaded::Taken);
    world.until("region1 is watched again", Now::all_well).await;
    assert_eq!(world.writes(), 0, "{:#?}", world.cloud.history());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_check_is_looked_at_as_it_is_now() {
    let world = World::watched(Scene::with_a_foreign_value()).await;
    world.edit_config(
        "name = \"web\"\nkind = \"http\"",
        "name = \"web\"\nkind = \"http\"\nexpect_status = [418]",
    );
    assert_eq!(world.reload().await, Reloaded::Taken);
    world
        .until("both fail, and stay", |now| {
            ["region1", "region2"].iter().all(|region| now.check(region, "web")["reason"] == "status")
                && now.alarmed("all_down", None)
        })
        .await;
    assert!(world.now().await.zone_holds(&[EIP1, EIP2, FOREIGN]));
    assert_eq!(world.writes(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_that_ends_a_dry_run_writes_what_is_wanted() {
    let world = World::watched(Scene { daemon: "dry_run = true", ..Scene::with_a_foreign_value() }).await;
    world.break_region("region1").await;
    world
        .until("it tells what it would write", |_| world.log().contains("dry run: would have written"))
        .await;
    assert_eq!(world.writes(), 0);

    world.edit_config("dry_run = true", "dry_run = false");
    assert_eq!(world.reload().await, Reloaded::Taken);
    world.until("region1 has left", |now| now.zone_holds(&[EIP2, FOREIGN])).await;
    assert_eq!(world.writes(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_level_of_the_log_follows_the_configuration() {
    let world = World::watched(Scene { daemon: "log = { level = \"info\" }", ..Scene::new() }).await;
    assert!(!world.log().contains("DEBUG"));
    world.edit_config("level = \"info\"", "level = \"debug\"");
    assert_eq!(world.reload().await, Reloaded::Taken);
    world.until("looks are told of", |_| world.log().contains("DEBUG")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigusr1_logs_the_whole_state() {
    let world = World::watched(Scene::with_a_foreign_value()).await;
    world.signal("USR1");
    world.until("the last check is told of", |_| world.log().contains("state of region2/eip")).await;
    let log = world.log();
    for part in [
        "state of demo.localdev.me. A: holds 127.0.1.10, 127.0.2.20, 192.0.2.99",
        "state of region1: in, with",
        "state of region1/web: ",
    ] {
        assert!(log.contains(part), "{part:?} in\n{log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_that_did_not_change_is_not_looked_at_for_a_reload() {
    // Its queue of connections answers a look; nobody has to take them.
    let endpoint = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut world = World::set(Scene::new()).await;
    world.add_to_config(&format!(
        "[[service]]\nname = \"seldom\"\ndomain = \"seldom.localdev.me\"\ndns = \"private\"\ninterval = \"1h\"\n\
         [[service.check]]\nname = \"port\"\nkind = \"tcp\"\nport = {}\n\
         [[service.region]]\nname = \"here\"\naddress = [\"127.0.0.1\"]\n",
        endpoint.local_addr().unwrap().port()
    ));
    world.run(&[]).await;
    world.until("all is well", Now::all_well).await;
    let looks = async || {
        let (_, body) = world.get("/api/v1/services/seldom").await.unwrap();
        let service: Value = serde_json::from_str(&body).unwrap();
        service["regions"][0]["checks"][0]["run"].as_u64().unwrap()
    };
    let end = instant_now() + DEADLINE;
    while looks().await == 0 {
        assert!(instant_now() < end, "it is not looked at");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    world.add_to_config(ANOTHER);
    assert_eq!(world.reload().await, Reloaded::Taken);
    let row = |now: &Now| now.check("region1", "web")["run"].as_u64().unwrap();
    let web = row(&world.now().await);
    world.until("another check has looked some more", |now| row(now) > web + 2).await;
    assert_eq!(looks().await, 1, "its task was started anew");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_that_leaves_the_configuration_looks_no_more() {
    let scene = Scene { daemon: "log = { level = \"debug\" }", ..Scene::new() };
    let world = World::watched(scene).await;
    world.edit_config("[[service.check]]\nname = \"eip\"\nkind = \"eip\"\nfast_interval = \"400ms\"\n", "");
    assert_eq!(world.reload().await, Reloaded::Taken);
    let looks = |check: &str| world.log().matches(&format!("check=demo/region1/{check} ")).count();
    let (eip, web) = (looks("eip"), looks("web"));
    world.until("the others look on", |_| looks("web") > web + 3).await;
    // One may have been under way.
    assert!(looks("eip") <= eip + 1, "{} more looks", looks("eip") - eip);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_that_changes_a_cloud_check_while_its_api_is_dead_hands_the_known_address_on() {
    let world = World::watched(Scene::with_a_foreign_value()).await;
    world.cloud.fault(Fault::new(Api::Elb, Effect::Closed));
    world.cloud.fault(Fault::new(Api::Eip, Effect::Closed));
    // No answer from before is shared any more.
    world.until("it is blind", |now| now.alarmed("blind", Some("region1"))).await;
    world.edit_config("interval = \"1s\"\nfast", "interval = \"2s\"\nfast");
    assert_eq!(world.reload().await, Reloaded::Taken);
    world.break_region("region1").await;
    world.until("region1 has left", |now| now.zone_holds(&[EIP2, FOREIGN])).await;
    world.cloud.clear_faults();
    world.mend_region("region1").await;
    world.until("region1 is back", |now| now.zone_holds(&[EIP1, EIP2, FOREIGN])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_gets_another_name_goes_on_under_it_with_the_addresses_it_has() {
    let world = World::watched(Scene { service: "create = true", ..Scene::new() }).await;
    let domain = world.cloud.setup().record.clone();
    world.edit_config(&format!("domain = \"{domain}\""), "domain = \"moved.localdev.me.\"");
    assert_eq!(world.reload().await, Reloaded::Taken);
    let set = |now: &Now| now.service["record_set"].clone();
    world
        .until("the new set holds both", |now| {
            now.service["domain"] == "moved.localdev.me."
                && set(now)["values"] == json!([EIP1, EIP2])
                && now.all_well()
        })
        .await;
    assert!(world.now().await.zone_holds(&[EIP1, EIP2]), "the old one is nobody's business any more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_on_a_disk_that_hangs_keeps_nobody_from_anything() {
    let mut world = World::watched(Scene::with_a_foreign_value()).await;
    // What reads it waits for a writer that never comes.
    std::fs::remove_file(world.config()).unwrap();
    assert!(Command::new("mkfifo").arg(world.config()).status().unwrap().success());
    world.signal("HUP");
    world.signal("HUP");
    world.break_region("region1").await;
    world.until("region1 has left", |now| now.zone_holds(&[EIP2, FOREIGN])).await;
    world.signal("USR1");
    world.until("the state is told", |_| world.log().contains("state of region2/eip")).await;
    let (status, took) = world.stop("TERM").await;
    assert_eq!(status.code(), Some(0), "{}", world.log());
    assert!(took < Duration::from_secs(5), "it took {took:?} to stop");
}

//! One daemon's life: how it starts, what it says while it runs, how it ends.
#![cfg(test)] // makes clippy take the helpers below for tests too

mod daemon_world;

use std::io::{ErrorKind, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use daemon_world::{EIP1, EIP2, FOREIGN, Now, REGIONS, Scene, World, all_at_once};
use pointsman::sim::{Api, Effect, EndpointState, Fault};
use serde_json::{Value, json};

/// What a stop may take.
const STOP_WITHIN: Duration = Duration::from_secs(5);
/// No answer for as long as a test can last.
const NEVER: Effect = Effect::Slow { delay: Duration::from_secs(3_600) };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_ends_it_soon_and_leaves_the_record_set_as_it_is() {
    all_at_once(["TERM", "INT"], |signal| async move {
        let mut world = World::watched(Scene::with_a_foreign_value()).await;
        stops_well(&mut world, signal).await;
        assert_eq!(world.writes(), 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_may_open_as_many_files_as_the_hard_limit_allows_and_warns_when_that_is_too_few() {
    for (hard, is_enough) in [(600, true), (400, false)] {
        let mut world = World::set(Scene::new()).await;
        world.run_under(&format!("ulimit -S -n 100; ulimit -H -n {hard}")).await;
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", world.process_id())).unwrap();
        let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
        let limit = hard.to_string();
        assert_eq!(files.split_whitespace().skip(3).take(2).collect::<Vec<_>>(), [&*limit, &*limit]);
        let log = world.log();
        assert!(log.contains(&format!("files_max={hard}")), "{log}");
        assert_eq!(log.contains("this process may open"), !is_enough, "{log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_waits_for_no_api_and_no_endpoint_that_hangs() {
    let mut world = World::watched(Scene::with_a_foreign_value()).await;
    for region in REGIONS {
        world.cloud.region(region).unwrap().endpoint(EndpointState::Hang).await.unwrap();
    }
    world.cloud.fault(Fault::new(Api::Elb, NEVER));
    world.cloud.fault(Fault::new(Api::Dns, NEVER));
    let hangs = |now: &Now, region| now.check(region, "web")["reason"] == "timeout";
    world.until("looks hang", |now| REGIONS.iter().all(|region| hangs(now, region))).await;
    let read_age = |now: &Now| now.service["record_set"]["read_age_s"].as_f64();
    world.until("a read of the record set hangs", |now| read_age(now) > Some(2.0)).await;
    assert_eq!(world.get("/healthz").await.unwrap(), (200, "ok\n".to_owned()));
    stops_well(&mut world, "TERM").await;
    assert_eq!(world.writes(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_gives_a_write_that_hangs_little_time() {
    let mut world = World::watched(Scene::with_a_foreign_value()).await;
    world.cloud.fault(Fault::new(Api::Dns, NEVER).writes());
    world.break_region("region1").await;
    world.until("the write is taken up, and its answer awaited", |_| world.writes() == 1).await;
    stops_well(&mut world, "TERM").await;
    assert_eq!(world.writes(), 1);
    world.assert_history_is_harmless();
}

async fn stops_well(world: &mut World, signal: &str) {
    let before = world.cloud.history().len();
    let (status, took) = world.stop(signal).await;
    let log = world.log();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(took < STOP_WITHIN, "it took {took:?} to stop:\n{log}");
    assert!(log.contains("stopping; every record set stays as it is") && log.contains("stopped"), "{log}");
    assert_eq!(world.cloud.history().len(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_says_what_it_would_write_and_writes_nothing() {
    let by_argument: (&[&str], &str) = (&["--dry-run"], "");
    all_at_once([by_argument, (&[], "dry_run = true")], |(arguments, daemon)| async move {
        let mut world = World::set(Scene { daemon, ..Scene::with_a_foreign_value() }).await;
        world.run(arguments).await;
        world.until("all is well", Now::all_well).await;
        world.break_region("region1").await;
        let line = "dry run: would have written 127.0.2.20, 192.0.2.99 in place of 127.0.1.10, 127.0.2.20, 192.0.2.99";
        world.until("it says so", |_| world.log().contains(line)).await;
        let now = world.now().await;
        assert_eq!(now.service["record_set"]["wanted"], json!(["127.0.2.20"]));
        assert!(now.zone_holds(&[EIP1, EIP2, FOREIGN]), "{now:#?}");
        let status: Value = serde_json::from_str(&world.get("/api/v1/status").await.unwrap().1).unwrap();
        assert_eq!(status["dry_run"], true);
        assert_eq!(world.stop("TERM").await.0.code(), Some(0));
        assert_eq!(world.writes(), 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_ready_once_there_is_a_verdict_on_every_region() {
    let mut world = World::set(Scene::new()).await;
    world.cloud.fault(Fault::new(Api::Iam, Effect::Closed));
    world.run(&[]).await;
    let (code, body) = world.get("/readyz").await.unwrap();
    assert_eq!(code, 503, "nothing is known of any region yet: {body}");
    let waiting: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(waiting, json!({"ready": false, "without_verdict": ["demo/region1", "demo/region2"]}));
    assert_eq!(world.get("/healthz").await.unwrap().0, 200);
    world.cloud.clear_faults();
    world.until("all is well", Now::all_well).await;
    let (code, body) = world.get("/readyz").await.unwrap();
    assert_eq!(
        (code, serde_json::from_str(&body).unwrap()),
        (200, json!({"ready": true, "without_verdict": []}))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_status_the_log_and_the_metrics_tell_of_a_failover() {
    let world = failed_over(Scene::with_a_foreign_value(), &[]).await;
    let now = world.now().await;
    let set = &now.service["record_set"];
    assert_eq!(
        (&set["values"], &set["foreign"], &set["wanted"], &set["ttl"], &set["in_sync"]),
        (
            &json!(["127.0.2.20", "192.0.2.99"]),
            &json!(["192.0.2.99"]),
            &json!(["127.0.2.20"]),
            &json!(30),
            &json!(true)
        )
    );
    let region1 = now.region("region1");
    assert_eq!((&region1["liveness"], &region1["published"]), (&json!("down"), &json!(false)));
    assert!(
        region1["because"].as_str().unwrap().starts_with("out: web: status 503 from 127.0.1.10:"),
        "{region1:#}"
    );
    let log = world.log();
    for line in [
        "region1 went from up to suspect",
        "region1 went from suspect to down",
        "planned 127.0.2.20: region1 leaves",
        "sent a write of 127.0.2.20, 192.0.2.99 in place of",
        "the provider took the write",
        "the write is in force",
    ] {
        assert!(log.contains(line), "{line:?} in\n{log}");
    }
    let metrics = world.get("/metrics").await.unwrap().1;
    for series in [
        r#"pointsman_region_liveness{region="region1",service="demo",state="down"} 1"#,
        r#"pointsman_region_published{region="region1",service="demo"} 0"#,
        r#"pointsman_record_set_writes_total{result="applied",service="demo"} 1"#,
        r#"pointsman_failover_seconds_count{phase="activate",service="demo"} 1"#,
        r#"pointsman_record_set_addresses{service="demo"} 2"#,
    ] {
        assert!(metrics.lines().any(|line| line == series), "{series} in\n{metrics}");
    }
    promtool_is_silent_on(&metrics);
}

fn promtool_is_silent_on(metrics: &str) {
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = match promtool.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            panic!("this test needs promtool; please do: apt-get install prometheus")
        }
        Err(error) => panic!("promtool does not start: {error}"),
    };
    promtool.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let said = promtool.wait_with_output().unwrap();
    assert!(said.status.success() && said.stdout.is_empty() && said.stderr.is_empty(), "{said:?}\n{metrics}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_lines_in_json_parse_and_have_fields_for_what_a_program_looks_for() {
    let scene = Scene { daemon: "log = { level = \"info\", format = \"json\" }", ..Scene::new() };
    let mut world = failed_over(scene, &[]).await;
    world.stop("TERM").await;
    let lines = every_line_is_json(&world.log());
    let down = lines.iter().find(|line| line["to"] == "down").unwrap();
    let fields = ["level", "service", "region", "from"].map(|field| &down[field]);
    assert_eq!(fields, [&json!("INFO"), &json!("demo"), &json!("region1"), &json!("suspect")], "{down:#}");
}

/// A daemon in whose world region1 has just left.
async fn failed_over(scene: Scene, environment: &[(&str, &str)]) -> World {
    let mut world = World::set(scene).await;
    world.run_with(&[], environment).await;
    world.until("all is well", Now::all_well).await;
    world.break_region("region1").await;
    let is_out =
        |now: &Now| now.liveness("region1") == "down" && now.service["record_set"]["in_sync"] == true;
    world.until("region1 has left", |now| is_out(now) && !now.zone.contains(&EIP1)).await;
    world
}

fn every_line_is_json(log: &str) -> Vec<Value> {
    let parse = |line: &str| {
        let parsed: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(parsed["timestamp"].is_string() && parsed["message"].is_string(), "{line}");
        parsed
    };
    log.lines().map(parse).collect()
}

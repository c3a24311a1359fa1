//! How the daemon starts, shows itself, and stops.

#![cfg(test)] // makes clippy take the helpers below for tests too

mod daemon_world;

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use daemon_world::{MARKED_KEY, World, get, needs, until};
use pointsman::sim::{Api, Effect, EndpointState, Fault};

/// What a stop may take.
const STOP: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_it_with_0_within_5_s_and_leaves_the_record_set_as_it_is() {
    for signal in ["TERM", "INT"] {
        let world = World::new().await;
        let mut daemon = world.daemon(&[], &[]).await;
        daemon.ready().await;
        daemon.signal(signal);
        let status = daemon.ends(STOP).await;
        assert_eq!(status.code(), Some(0), "{}", daemon.log());
        assert_eq!(world.writes(), 0, "LEAVE-AS-IS");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_does_not_wait_for_an_api_or_an_endpoint_that_hangs() {
    let world = World::new().await;
    let mut daemon = world.daemon(&[], &[]).await;
    daemon.ready().await;
    for api in [Api::Elb, Api::Dns, Api::Iam] {
        world.cloud.fault(Fault::new(api, Effect::Slow { delay: Duration::from_secs(60) }));
    }
    for region in ["region1", "region2"] {
        world.cloud.region(region).unwrap().endpoint(EndpointState::Hang).await.unwrap();
    }
    daemon.says("suspect").await;
    daemon.signal("TERM");
    assert_eq!(daemon.ends(STOP).await.code(), Some(0), "{}", daemon.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_what_it_would_write_and_writes_nothing() {
    let world = World::new().await;
    let daemon = world.daemon(&["--dry-run"], &[]).await;
    daemon.ready().await;
    world.cloud.region("region1").unwrap().endpoint(EndpointState::Refuse).await.unwrap();
    daemon.says("dry run: would have written").await;
    assert_eq!(world.writes(), 0);
    assert!(get(daemon.admin, "/api/v1/status").await.1.contains(r#""dry_run":true"#));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_ready_once_every_region_has_a_verdict_and_shows_what_it_sees() {
    let world = World::new().await;
    // Without addresses nobody can be looked at, and without the ELB's API there are none.
    let fault = world.cloud.fault(Fault::new(Api::Elb, Effect::Error { status: 503 }));
    let daemon = world.daemon(&[], &[]).await;
    assert_eq!(get(daemon.admin, "/healthz").await.0, 200);
    let (status, body) = get(daemon.admin, "/readyz").await;
    assert!(status == 503 && body.contains("demo/region1"), "{status} {body}");
    world.cloud.clear(fault);
    daemon.ready().await;

    world.cloud.region("region1").unwrap().endpoint(EndpointState::Status { status: 500 }).await.unwrap();
    let eips = world.eips();
    world.zone_is(&eips[1..]).await;
    until("the status shows it", async || {
        let (_, body) = get(daemon.admin, "/api/v1/status").await;
        let status: serde_json::Value = serde_json::from_str(&body).unwrap();
        let service = &status["services"][0];
        let region = &service["regions"][0];
        region["liveness"] == "down"
            && region["published"] == false
            && region["checks"][0]["reason"] == "status"
            && service["record_set"]["in_sync"] == true
    })
    .await;
    let (_, metrics) = get(daemon.admin, "/metrics").await;
    for series in [
        r#"pointsman_region_liveness{region="region1",service="demo",state="down"} 1"#,
        r#"pointsman_record_set_writes_total{result="applied",service="demo"} 1"#,
        r#"pointsman_record_set_in_sync{service="demo"} 1"#,
        r#"pointsman_failover_seconds_count{phase="detect",service="demo"} 1"#,
        r#"pointsman_signal_passing{check="web",region="region1",service="demo"} 0"#,
    ] {
        assert!(metrics.contains(series), "no {series} in {metrics}");
    }
    lint(&metrics);
}

/// Prometheus' own tool has nothing to say about them.
fn lint(metrics: &str) {
    let mut promtool = Command::new(needs("promtool", "prometheus"))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    promtool.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secret_key_shows_nowhere_even_at_the_finest_log_level() {
    let world = World::new().await;
    let daemon = world.daemon(&[], &[("RUST_LOG", "trace")]).await;
    daemon.ready().await;
    // Errors are where secrets like to show.
    world.cloud.fault(Fault::new(Api::Elb, Effect::Error { status: 401 }));
    world.cloud.region("region1").unwrap().endpoint(EndpointState::Refuse).await.unwrap();
    let eips = world.eips();
    world.zone_is(&eips[1..]).await;
    daemon.says("blind").await;
    let shown =
        [daemon.log(), get(daemon.admin, "/metrics").await.1, get(daemon.admin, "/api/v1/status").await.1];
    assert!(shown[0].contains("TRACE"), "the log is not as fine as this test needs it");
    assert!(shown.iter().all(|text| !text.contains(MARKED_KEY)), "SECRETS-STAY");
}

#[tokio::test(flavor = "multi_thread")]
async fn as_json_every_line_is_an_object_that_says_when_how_grave_and_what() {
    let world = World::new().await;
    let text = std::fs::read_to_string(&world.config).unwrap();
    let text = text.replace("[daemon]\n", "[daemon]\nlog = { level = \"info\", format = \"json\" }\n");
    std::fs::write(&world.config, text).unwrap();
    let daemon = world.daemon(&[], &[]).await;
    daemon.ready().await;
    daemon.says("planned").await;
    for line in daemon.log().lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        for key in ["timestamp", "level", "message"] {
            assert!(line[key].is_string(), "no {key} in {line}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_taken_is_an_error_that_names_it() {
    let world = World::new().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let text = std::fs::read_to_string(&world.config).unwrap();
    std::fs::write(&world.config, text.replace("127.0.0.1:0", &address.to_string())).unwrap();
    let output = world.output(&["run"]).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains(&address.to_string()), "{said}");
}

//! What a daemon needs to be let in by the cloud: keys of the machine's agency, which end, and the cloud's time.
//! While it is not let in it is blind, and takes no region for dead by that (BLIND-IS-NOT-DOWN).
#![cfg(test)] // makes clippy take the helpers below for tests too

mod daemon_world;

use std::time::Duration;

use daemon_world::{EIP1, EIP2, Now, REGIONS, Scene, World};
use jiff::SignedDuration;
use pointsman::huawei::sign;
use pointsman::sim::{Api, Effect, Fault};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

fn scene(credentials: &'static str, keys_last: Duration) -> Scene {
    let mut scene = Scene { credentials: Some(credentials), ..Scene::new() };
    scene.cloud.keys_last = keys_last;
    scene
}

fn asked(world: &World, api: Api) -> u64 {
    world.cloud.requests().get(&api).copied().unwrap_or(0)
}

/// Looks so far that did not pass.
async fn looks_in_vain(world: &World) -> u64 {
    let metrics = world.get("/metrics").await.unwrap().1;
    let in_vain =
        |line: &&str| line.starts_with("pointsman_probes_total{") && !line.contains("outcome=\"pass\"");
    metrics.lines().filter(in_vain).map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_last_seconds_are_renewed_and_no_look_fails_over_it() {
    let world = World::watched(scene("credentials = \"agency\"", Duration::from_secs(4))).await;
    let (before, looked, renewals) =
        (looks_in_vain(&world).await, asked(&world, Api::Elb), asked(&world, Api::Metadata));
    // The cloud makes new keys when half of the time of the last ones is over.
    world.until("ten renewals", |_| asked(&world, Api::Metadata) >= renewals + 10).await;
    assert_eq!(looks_in_vain(&world).await, before, "{}", world.log());
    assert!(asked(&world, Api::Elb) >= looked + 10);
    assert!(world.now().await.all_well());
    world.assert_nothing_happened();
    assert!(!world.log().contains("cannot renew"), "{}", world.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_end_while_none_are_to_be_had_make_blind_and_it_heals_by_itself() {
    let world = World::watched(scene("credentials = \"agency\"", Duration::from_secs(4))).await;
    world.cloud.fault(Fault::new(Api::Metadata, Effect::Closed));
    world
        .until("it says that it cannot renew", |_| world.log().contains("cannot renew the agency's keys"))
        .await;
    let blind = |now: &Now, region| {
        let elb = now.check(region, "elb");
        (&elb["signal"], &elb["reason"]) == (&Value::from("unknown"), &Value::from("credentials"))
            && now.alarmed("blind", Some(region))
    };
    world.until("it is blind", |now| REGIONS.iter().all(|region| blind(now, region))).await;
    assert!(world.log().contains("the temporary keys ended at 20"), "{}", world.log());
    let now = world.now().await;
    assert!(REGIONS.iter().all(|region| now.liveness(region) == "up"), "{now:#?}");
    world.assert_nothing_happened();

    // What is seen without the cloud is acted on as soon as the cloud lets us.
    let sent = (asked(&world, Api::Elb), asked(&world, Api::Dns));
    world.break_region("region1").await;
    world.until("region1 is down", |now| now.liveness("region1") == "down").await;
    world.until("the write is not possible", |now| now.alarmed("provider_away", None)).await;
    assert_eq!((asked(&world, Api::Elb), asked(&world, Api::Dns)), sent, "sent with keys that ended");
    assert!(world.now().await.zone_holds(&[EIP1, EIP2]));

    world.cloud.clear_faults();
    world.until("region1 has left", |now| now.zone_holds(&[EIP2])).await;
    world.until("it sees again", |now| now.check("region2", "elb")["signal"] == "passing").await;
    world.mend_region("region1").await;
    world.until("all is well", |now| now.all_well() && now.zone_holds(&[EIP1, EIP2])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn auto_ends_at_the_agency_says_so_once_and_shows_no_key() {
    let mut scene = scene("credentials = \"auto\"", Duration::from_secs(24 * 3600));
    scene.daemon = "log = { level = \"info\", format = \"json\" }";
    let mut world = World::set(scene).await;
    world.run_with(&[], &[("RUST_LOG", "trace"), ("HOME", "/nowhere")]).await;
    world.until("all is well", Now::all_well).await;

    let mut told = String::new();
    for path in ["/metrics", "/api/v1/status", "/readyz"] {
        told += &world.get(path).await.unwrap().1;
    }
    let first_token = sign::payload_hash(None, b"metadata token 1");
    let (own_token, keys) = metadata(&world).await;
    assert_eq!(own_token, sign::payload_hash(None, b"metadata token 2"), "how the simulator makes them");
    world.stop("TERM").await;
    let log = world.log();
    assert!(log.contains("\"TRACE\"") && log.contains(keys["access"].as_str().unwrap()), "{log}");
    for secret in [&*first_token, keys["secret"].as_str().unwrap(), keys["securitytoken"].as_str().unwrap()] {
        let found = log.lines().chain(told.lines()).find(|line| line.contains(secret));
        assert_eq!(found, None, "{secret} came out");
    }
    let took: Vec<&str> = log.lines().filter(|line| line.contains("took the account's keys")).collect();
    let [took] = took[..] else { panic!("{took:#?}") };
    let took: Value = serde_json::from_str(took).unwrap();
    assert_eq!((&took["level"], &took["source"]), (&Value::from("INFO"), &Value::from("the ECS's agency")));
    assert!(took["passed_over"].as_str().unwrap().contains("the environment has no HUAWEICLOUD_SDK_AK"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_an_hour_off_is_told_and_a_failover_works() {
    let mut world = World::set(Scene::new()).await;
    world.cloud.set_clock(SignedDuration::from_hours(1));
    world.run(&[]).await;
    world.until("all is well", Now::all_well).await;
    world
        .until("it is told", |_| {
            world.log().contains("WARN alarm clock_skew of main: this machine's clock is")
        })
        .await;
    world.break_region("region1").await;
    world.until("region1 has left", |now| now.zone_holds(&[EIP2])).await;
    world.assert_history_is_harmless();

    // Somebody sets the clock; here it is the cloud's that moves.
    world.cloud.set_clock(SignedDuration::ZERO);
    world
        .until("it is told", |_| {
            world.log().contains("INFO alarm clock_skew of main ended; it was: this machine's clock is")
        })
        .await;
    world.mend_region("region1").await;
    world.until("region1 is back", |now| now.all_well() && now.zone_holds(&[EIP1, EIP2])).await;
}

/// A metadata token, and the keys that the cloud's agency has now.
async fn metadata(world: &World) -> (String, Value) {
    let ask = async |request: String| {
        let host = world.cloud.endpoint().trim_start_matches("http://").to_owned();
        let mut stream = TcpStream::connect(&host).await.unwrap();
        let request = format!("{request}Host: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    };
    let token = ask("PUT /meta-data/latest/api/token HTTP/1.1\r\nContent-Length: 0\r\n".to_owned()).await;
    let keys =
        ask(format!("GET /openstack/latest/securitykey HTTP/1.1\r\nX-Metadata-Token: {token}\r\n")).await;
    (token, serde_json::from_str::<Value>(&keys).unwrap()["credential"].take())
}

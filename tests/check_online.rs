//! What `pointsman check --online` finds in the cloud, and what it makes of it.
#![cfg(test)] // makes clippy take the helpers below for tests too

mod daemon_world;
mod resolver;

use std::process::Output;
use std::time::Duration;

use daemon_world::{EIP1, EIP2, Scene, World};
use pointsman::model::Secret;
use pointsman::sim::{Api, Effect, Fault, MoreSet};
use resolver::{Resolver, Script};
use tokio::net::{TcpListener, TcpSocket};

/// All is well, down to a TTL that no failover outruns.
fn scene() -> Scene {
    let mut scene = Scene::new();
    scene.cloud.ttl = 3;
    scene
}

async fn asked(scene: Scene) -> (World, Output) {
    let world = World::set(scene).await;
    let said = world.outcome("check", &["--online"]).await;
    (world, said)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_finds_everything_where_all_is_well_and_writes_nothing() {
    let mut scene = scene();
    scene.cloud.notice = Duration::from_secs(5);
    let (world, said) = asked(scene).await;
    let text = ended_with(0, &said, &["everything that is needed was found"]);
    for (what, permission) in [
        ("credentials", ""),
        ("project of cn-north-4", "iam:projects:list"),
        ("project of cn-east-3", "iam:projects:list"),
        ("ELB ", "elb:loadbalancers:list"),
        ("ELB by its id", "elb:loadbalancers:get"),
        ("status tree", "elb:loadbalancers:get"),
        ("its EIPs by the EIP API", "vpc:publicIps:list"),
        ("listener on port ", "elb:listeners:list"),
        ("pools behind port ", "elb:pools:list"),
        ("members of the pools", "elb:members:list"),
        ("health monitor of pool web", "elb:healthmonitors:get"),
        ("health monitor of pool api", "elb:healthmonitors:get"),
        ("private zone localdev.me.", "dns:zone:list"),
        ("record set demo.localdev.me. A", "dns:recordset:list"),
    ] {
        let row = row(&text, what);
        assert!(row.contains("  found  ") && row.contains(permission), "{row}");
    }
    assert!(row(&text, "ELB ").contains("dedicated, ONLINE, EIP 127.0.1.10"), "{text}");
    assert!(row(&text, "members of").contains("3 members"), "{text}");
    assert!(row(&text, "record set demo").contains("127.0.1.10, 127.0.2.20, TTL 3 s, ACTIVE"), "{text}");
    assert!(!text.contains("warning:") && !text.contains("missing"), "{text}");
    for action in ["dns:recordset:update", "dns:recordset:get"] {
        assert_eq!(text.matches(action).count(), 1, "{action}: {text}");
    }
    assert_eq!((world.writes(), world.cloud.history().len()), (0, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_says_what_the_numbers_mean() {
    let mut scene = scene();
    scene.cloud.notice = Duration::from_secs(5);
    let (_world, said) = asked(scene).await;
    let told = [
        "region1: web notices a dead region after at most 1 s + 2 × 1 s + 1 s = 4 s",
        "notices a dead backend of pool web after 5 s × 1 = 5 s, then elb after at most 1 s + 2 × 1 s + 1 s = 4 s: 9 s in all",
        "region2: eip notices an unbound EIP after at most 1 s + 2 × 1 s + 1 s = 4 s",
        "clients follow within its TTL of 3 s",
    ];
    ended_with(0, &said, &told);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_the_cloud_does_not_take_are_told_once_with_its_words() {
    let world = World::set(scene()).await;
    let wrong = "AKeyThatTheCloudNeverGaveToAnybody";
    world.set_secret_key(&Secret::new(wrong));
    let said = world.outcome("check", &["--online"]).await;
    let text = ended_with(1, &said, &["not everything that is needed was found"]);
    let credentials = row(&text, "credentials");
    assert!(credentials.contains("  missing  ") && credentials.contains("401"), "{credentials}");
    assert!(row(&text, "project of cn-north-4").contains("cannot tell"), "{text}");
    assert_eq!(text.matches("Incorrect IAM authentication").count(), 1, "{text}");
    assert!(!text.contains(wrong), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_without_keys_is_told_before_anything_is_asked() {
    let mut scene = scene();
    scene.credentials = Some("credentials = \"environment\"");
    let (world, said) = asked(scene).await;
    let text = ended_with(1, &said, &["HUAWEICLOUD_SDK_AK"]);
    assert!(row(&text, "credentials").contains("  missing  "), "{text}");
    assert_eq!(world.cloud.requests().values().sum::<u64>(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_on_another_port_is_missing() {
    let world = World::set(scene()).await;
    let port = world.cloud.setup().regions[0].listener_port;
    world.edit_config(&format!("listener_port = {port}"), "listener_port = 1");
    let said = world.outcome("check", &["--online"]).await;
    let text = ended_with(1, &said, &["correct listener_port"]);
    assert!(row(&text, "listener on port 1 ").contains("  missing  "), "{text}");
    assert!(row(&text, "ELB ").contains("  found  "), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_balancer_that_is_not_there_is_missing() {
    let world = World::set(scene()).await;
    let id = world.cloud.setup().regions[1].elb_id.clone();
    world.edit_config(&id, "00000000-0000-0000-0000-000000000000");
    let said = world.outcome("check", &["--online"]).await;
    let text = ended_with(1, &said, &["cn-east-3 lists no load balancer of this id"]);
    assert!(row(&text, "ELB 00000000").contains("  missing  "), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_without_a_health_monitor_is_a_warning() {
    let mut scene = scene();
    scene.cloud.regions[1].health_monitor = false;
    let (_world, said) = asked(scene).await;
    let told = [
        "warning: demo/region2: pool web has no health monitor",
        "warning: demo/region2: pool api has no health monitor",
        "how soon the ELB itself notices a dead backend is not known",
    ];
    let text = ended_with(0, &said, &told);
    assert!(!text.contains("warning: demo/region1"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shared_load_balancer_is_a_warning() {
    let mut scene = scene();
    scene.cloud.regions[1].dedicated = false;
    let (world, said) = asked(scene).await;
    let id = &world.cloud.setup().regions[1].elb_id;
    let told = format!("warning: demo/region2: load balancer {id} is shared, not dedicated");
    let text = ended_with(0, &said, &[&told, "\", shared, ONLINE, EIP 127.0.2.20"]);
    assert_eq!(text.matches("warning:").count(), 1, "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_that_hangs_is_waited_for_until_the_deadline_and_cannot_be_told() {
    let world = World::set(scene()).await;
    world.cloud.fault(Fault::new(Api::Dns, Effect::Slow { delay: daemon_world::DEADLINE }));
    let text =
        ended_with(1, &world.outcome("check", &["--online"]).await, &["not everything that is needed"]);
    assert!(row(&text, "private zone").contains("  cannot tell  "), "{text}");
    assert!(row(&text, "demo/region1").contains("  found  ") && !keys_are_blamed(&text), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reference_that_does_not_answer_is_a_warning() {
    let listener = TcpListener::bind("127.0.3.1:0").await.unwrap();
    // Bound and not listening: it refuses, which on loopback is no answer.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.3.1:0".parse().unwrap()).unwrap();
    let (alive, dead) = (listener.local_addr().unwrap(), socket.local_addr().unwrap());
    let world = World::set(scene()).await;
    world.add_to_config(&format!("[vantage]\nreferences = [\"tcp://{alive}\", \"tcp://{dead}\"]\n"));
    let said = world.outcome("check", &["--online"]).await;
    let told = format!(
        "warning: vantage: connection refused by {dead}; while no reference answers, no region leaves"
    );
    let text = ended_with(0, &said, &[&told]);
    assert!(!text.contains(&format!("warning: vantage: connection refused by {alive}")), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_eip_that_is_not_in_the_record_set_is_a_warning() {
    let mut scene = scene();
    scene.cloud.values = Some(vec![EIP1]);
    let (_world, said) = asked(scene).await;
    let lacks = format!("warning: demo/region2: the record set lacks {EIP2}");
    let text = ended_with(0, &said, &[&lacks]);
    assert_eq!(text.matches("warning:").count(), 1, "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_tier_need_not_be_in_the_record_set() {
    let mut scene = scene();
    scene.cloud.values = Some(vec![EIP1]);
    scene.service = "policy = \"priority\"";
    let world = World::set(scene).await;
    world.edit_config("name = \"region2\"", "name = \"region2\"\ntier = 2");
    let text = ended_with(0, &world.outcome("check", &["--online"]).await, &[]);
    assert!(!text.contains("warning: demo/"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unbound_eip_is_a_warning() {
    let world = World::set(scene()).await;
    world.cloud.region("region1").unwrap().eip_unbind().await.unwrap();
    let said = world.outcome("check", &["--online"]).await;
    ended_with(0, &said, &["no EIP is bound", "warning: demo/region1: no EIP that a record set of type A"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_set_that_is_not_there_is_needed_unless_it_may_be_made() {
    for (service, code, told) in [
        ("", 1, "will not be made, as create = false"),
        ("create = true", 0, "will be made, as create = true"),
    ] {
        let mut scene = scene();
        scene.cloud.values = Some(Vec::new());
        scene.service = service;
        let (world, said) = asked(scene).await;
        let text = ended_with(code, &said, &[told]);
        assert!(row(&text, "record set demo").contains("  missing  "), "{text}");
        assert_eq!(world.writes(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_told_in_the_clouds_words_beside_the_permission() {
    let cases = [
        (Api::Elb, "/listeners", "listener on port", "elb:listeners:list", 1),
        (Api::Elb, "/loadbalancers/", "ELB by its id", "elb:loadbalancers:get", 1),
        (Api::Elb, "/statuses", "status tree", "elb:loadbalancers:get", 1),
        (Api::Eip, "/publicips", "its EIPs by the EIP API", "vpc:publicIps:list", 1),
        (Api::Elb, "/members", "members of the pools", "elb:members:list", 1),
        (Api::Dns, "/recordsets", "record set demo", "dns:recordset:list", 1),
        (Api::Elb, "/healthmonitors", "health monitor of pool web", "elb:healthmonitors:get", 0),
        (Api::Dns, "/zones", "private zone", "dns:zone:list", 1),
        (Api::Iam, "/projects", "project of cn-north-4", "iam:projects:list", 1),
    ];
    daemon_world::all_at_once(cases, |(api, path, what, permission, code)| async move {
        let world = World::set(scene()).await;
        world.cloud.fault(Fault::new(api, Effect::Error { status: 403 }).path(path));
        let text = ended_with(code, &world.outcome("check", &["--online"]).await, &[]);
        let row = row(&text, what);
        assert!(row.contains("  cannot tell  ") && row.contains(": 403 "), "{row}");
        assert!(row.contains(permission), "{row}");
        assert!(!keys_are_blamed(&text), "{text}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_answered_cannot_be_told_and_is_not_missing() {
    let world = World::set(scene()).await;
    world.cloud.fault(Fault::new(Api::Elb, Effect::Closed).region("region1"));
    let text = ended_with(1, &world.outcome("check", &["--online"]).await, &["the connection to"]);
    assert!(row(&text, "demo/region1").contains("  cannot tell  "), "{text}");
    assert!(row(&text, "demo/region2").contains("  found  ") && !text.contains("missing  "), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sets_of_a_weighted_service_in_a_public_zone_are_told_with_their_weights() {
    for (service, code, told) in [
        (
            "policy = \"weighted\"",
            0,
            "127.0.1.10, weight 90, TTL 3 s, ACTIVE; 127.0.2.20, weight 10, TTL 3 s, ACTIVE",
        ),
        ("", 1, "2 record sets, by lines or weights"),
        ("line = \"default_view\"", 1, "2 record sets, by lines or weights"),
        ("line = \"Dianxin\"", 1, "it is not there and will not be made"),
    ] {
        let scene = scene();
        let mut scene = Scene { cloud: scene.cloud.in_a_public_zone(), service, ..scene };
        let set = |weight, value| MoreSet {
            record_type: "A".to_owned(),
            line: "default_view".to_owned(),
            weight: Some(weight),
            values: vec![value],
        };
        scene.cloud.values = Some(Vec::new());
        scene.cloud.more_sets = vec![set(90, EIP1), set(10, EIP2)];
        let (_world, said) = asked(scene).await;
        let text = ended_with(code, &said, &[told]);
        assert!(row(&text, "record set demo").contains("dns:recordset:list"), "{text}");
        assert!(row(&text, "public zone localdev.me.").contains("  found  "), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ttl_that_outlasts_the_failover_is_a_warning() {
    let mut scene = scene();
    scene.cloud.ttl = 300;
    scene.service = "ttl = 3";
    let (_world, said) = asked(scene).await;
    let told = [
        "warning: demo: the TTL of 300 s is longer than a failover takes (noticed within 4 s)",
        "ttl = 3 takes hold with the next change",
    ];
    ended_with(0, &said, &told);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_option_the_cloud_is_not_asked_nor_with_a_wrong_configuration() {
    let world = World::set(scene()).await;
    ended_with(0, &world.outcome("check", &[]).await, &[]);
    world.edit_config("fall = 3", "fall = 0");
    ended_with(1, &world.outcome("check", &["--online"]).await, &["fall"]);
    assert_eq!(world.cloud.requests().values().sum::<u64>(), 0);
}

/// The first line that tells of `what`.
fn row(text: &str, what: &str) -> String {
    let line = text.lines().find(|line| line.contains(what));
    line.unwrap_or_else(|| panic!("no row tells of {what:?}:\n{text}")).to_owned()
}

/// Whether the credentials are taken for the culprit.
fn keys_are_blamed(text: &str) -> bool {
    row(text, "credentials").contains("  missing  ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_tells_what_each_witness_answers_and_warns_of_one_that_says_something_else() {
    let stale = Resolver::start(Script::Answer(vec![EIP1])).await;
    let world = World::set(scene()).await;
    let (zone, type_key) = (world.cloud.dns_address(), "zone_type = \"private\"\n");
    let witnesses = format!("{type_key}witnesses = [\"{zone}\", \"{}\"]\n", stale.address);
    world.edit_config(type_key, &witnesses);
    let said = world.outcome("check", &["--online"]).await;
    let told = [
        format!("witness {zone} answers 127.0.1.10, 127.0.2.20 (TTL 3 s)"),
        format!("witness {} answers 127.0.1.10 (TTL 17 s)", stale.address),
        format!(
            "warning: demo: witness {} answers 127.0.1.10 (TTL 17 s), the zone holds 127.0.1.10, 127.0.2.20;",
            stale.address
        ),
    ];
    let text = ended_with(0, &said, &told.each_ref().map(String::as_str));
    assert_eq!(text.matches("warning:").count(), 1, "{text}");
}

/// What it printed, after asserting how it ended, what it told, and that it kept its secrets.
#[track_caller]
fn ended_with(code: i32, said: &Output, told: &[&str]) -> String {
    let text = String::from_utf8(said.stdout.clone()).unwrap();
    let errors = String::from_utf8_lossy(&said.stderr).into_owned();
    assert_eq!(said.status.code(), Some(code), "{text}\n{errors}");
    for part in told {
        assert!(text.contains(part), "{part:?} is not in:\n{text}\n{errors}");
    }
    let secret = pointsman::sim::Setup::two_regions().secret_key;
    assert!(!text.contains(secret.expose()) && !errors.contains(secret.expose()), "{text}\n{errors}");
    text
}

//! What the commands that look once tell a script by their exit code, and a person by what they print.
#![cfg(test)] // makes clippy take the helpers below for tests too

mod daemon_world;

use std::fmt::Write as _;
use std::process::Output;

use daemon_world::{EIP1, EIP2, FOREIGN, Scene, World};
use pointsman::sim::{Api, Effect, EndpointState, Fault};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plan_says_that_there_is_nothing_to_do() {
    let world = World::set(Scene::with_a_foreign_value()).await;
    let said = world.outcome("plan", &[]).await;
    ended_with(0, &said, &["region1  up  127.0.1.10", "region2  up  127.0.2.20", "nothing to do"]);
    assert_eq!(world.writes(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plan_tells_a_change_that_is_due_with_its_evidence_and_makes_none() {
    let world = World::set(Scene::with_a_foreign_value()).await;
    world.break_region("region1").await;
    let said = world.outcome("plan", &[]).await;
    let told = [
        "region1  down  127.0.1.10",
        "status 503 from 127.0.1.10:",
        "3 of 3 backends",
        "now     127.0.1.10, 127.0.2.20, 192.0.2.99, TTL 30",
        "of which not ours, and kept: 192.0.2.99",
        "wanted  127.0.2.20",
        "region1 leaves: ",
        "a change is due: the set would hold 127.0.2.20, 192.0.2.99",
    ];
    ended_with(2, &said, &told);
    let now: Vec<_> = world.cloud.zone_values();
    assert_eq!((world.cloud.history().len(), now), (1, vec![EIP1, EIP2, FOREIGN]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plan_cannot_tell_without_the_api() {
    let world = World::set(Scene::new()).await;
    for api in [Api::Iam, Api::Elb, Api::Dns] {
        world.cloud.fault(Fault::new(api, Effect::Error { status: 503 }));
    }
    let said = world.outcome("plan", &[]).await;
    ended_with(1, &said, &["region1  unknown  no address", "now     not known", "cannot tell: ", "503"]);
    assert_eq!(world.writes(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probe_tells_the_phases_of_a_look_that_passes() {
    let world = World::set(Scene::new()).await;
    let web = world.outcome("probe", &["demo/region1/web"]).await;
    ended_with(
        0,
        &web,
        &[
            "list load balancers: answered",
            "connected to 127.0.1.10:",
            "sent GET /",
            "status 200",
            "pass after ",
        ],
    );
    let elb = world.outcome("probe", &["demo/region1/elb"]).await;
    ended_with(0, &elb, &["find listener and pools: answered", "list members: answered", "pass after "]);
    let eip = world.outcome("probe", &["demo/region1/eip"]).await;
    ended_with(0, &eip, &["list load balancers: answered", "pass after ", "EIP 127.0.1.10 bound"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probe_exits_with_2_for_a_failure_and_3_for_what_cannot_be_told() {
    let world = World::set(Scene::new()).await;
    let region1 = world.cloud.region("region1").unwrap();
    world.break_region("region1").await;
    let status = world.outcome("probe", &["demo/region1/web"]).await;
    ended_with(2, &status, &["fail (status) after ", "status 503 from 127.0.1.10:"]);
    region1.endpoint(EndpointState::Refuse).await.unwrap();
    ended_with(2, &world.outcome("probe", &["demo/region1/web"]).await, &["fail (refused) after "]);
    region1.eip_unbind().await.unwrap();
    ended_with(2, &world.outcome("probe", &["demo/region1/eip"]).await, &["fail (unbound) after "]);

    world.cloud.fault(Fault::new(Api::Elb, Effect::Error { status: 503 }));
    ended_with(3, &world.outcome("probe", &["demo/region1/elb"]).await, &["unknown (api) after ", "503"]);
    world.cloud.fault(Fault::new(Api::Elb, Effect::Error { status: 401 }));
    ended_with(3, &world.outcome("probe", &["demo/region1/elb"]).await, &["unknown (credentials) after "]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probe_exits_with_1_for_a_check_that_is_not_there() {
    let world = World::set(Scene::new()).await;
    for (check, complaint) in [
        ("other/region1/web", "there is no service other"),
        ("demo/region3/web", "service demo has no region region3"),
        ("demo/region1/tcp", "demo/region1 has no check tcp"),
    ] {
        let said = world.outcome("probe", &[check]).await;
        assert_eq!(said.status.code(), Some(1), "{said:?}");
        assert!(String::from_utf8_lossy(&said.stderr).contains(complaint), "{said:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_connects_to_nothing_and_says_what_run_would_refuse() {
    let world = World::set(Scene::new()).await;
    ended_with(0, &world.outcome("check", &[]).await, &["good, "]);
    assert!(world.cloud.requests().is_empty(), "{:?}", world.cloud.requests());

    let wrong = World::set(Scene { service: "polcy = \"all\"", ..Scene::new() }).await;
    let path = wrong.config();
    let text = std::fs::read_to_string(&path).unwrap();
    let line = text.lines().position(|line| line.starts_with("polcy")).unwrap() + 1;
    let told = format!("{}:{line}: ", path.display());
    ended_with(1, &wrong.outcome("check", &[]).await, &[&told, "polcy", "policy"]);
    let refused = wrong.outcome("run", &[]).await;
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains(&told), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_warns_of_looks_that_an_account_s_budget_does_not_allow() {
    let world = World::set(Scene::new()).await;
    let within = world.outcome("check", &[]).await;
    assert!(!String::from_utf8_lossy(&within.stdout).contains("warning"), "{within:?}");
    // Members and load balancers of two cloud regions, each of them every 200 ms, in two requests.
    world.edit_config("fast_interval = \"400ms\"", "fast_interval = \"200ms\"");
    let fast = "cloud \"main\": its elb and eip checks ask up to 40 times a second while a cloud region fails, and 20 are";
    let longer = "write for them a longer fast_interval, 2.1 times as long or more";
    ended_with(0, &world.outcome("check", &[]).await, &["good, ", "warning: ", fast, longer]);
    world.edit_config("= \"1s\"", "= \"200ms\"");
    let always = "ask up to 40 times a second, and 20 are allowed: they would come late";
    let longer = "write for them a longer interval, 2.1 times as long or more";
    ended_with(0, &world.outcome("check", &[]).await, &["good, ", "warning: ", always, longer]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_could_leave_a_check_without_an_answer_is_refused_by_check_and_run() {
    // Listeners of one load balancer are asked for one by one.
    let services = (0..60).fold(String::new(), |mut text, number| {
        let region = |place: &str, elb: &str, address: u8| {
            format!(
                "[[service.region]]\nname = \"{place}\"\ncloud_region = \"{place}\"\nelb = \"{elb}\"\nlistener_port = {}\n\
                 address = [\"198.51.100.{address}\"]\n",
                1_000 + number
            )
        };
        let check = "check = [{ name = \"elb\", kind = \"elb\" }]";
        write!(text, "[[service]]\nname = \"s{number}\"\ndomain = \"s{number}.localdev.me.\"\n{check}\n").unwrap();
        text.push_str(&region("cn-north-4", "6a5ae231-4375-538c-90b8-471be92ccfcf", 1));
        text.push_str(&region("cn-east-3", "20a677a3-6827-5acf-b152-d70fede13e04", 2));
        text
    });
    let world = World::set(Scene::new()).await;
    let path = world.config();
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text + &services).unwrap();
    let told = "and 200 are allowed: a check could be without an answer for more than 30 s";
    ended_with(1, &world.outcome("check", &[]).await, &["refused: ", told]);
    let refused = world.outcome("run", &[]).await;
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains(told), "{refused:?}");
}

fn ended_with(code: i32, said: &Output, told: &[&str]) {
    let text = String::from_utf8_lossy(&said.stdout);
    let complaints = String::from_utf8_lossy(&said.stderr);
    assert_eq!(said.status.code(), Some(code), "{text}{complaints}");
    for part in told {
        assert!(text.contains(part), "{part:?} is not in\n{text}{complaints}");
    }
    assert!(!text.contains('\u{1b}'), "colour in a pipe:\n{text}");
}

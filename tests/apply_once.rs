//! Break-glass: `pointsman apply --once` looks, decides and writes once, under the same guard, with nothing running.
#![cfg(test)] // makes clippy take the helpers below for tests too

mod daemon_world;

use std::net::IpAddr;
use std::process::{Output, Stdio};
use std::time::Duration;

use daemon_world::{EIP1, EIP2, FOREIGN, Scene, World};
use pointsman::sim::{Api, Effect, Fault, On};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_region_leaves_and_somebody_else_s_value_stays() {
    let world = World::set(Scene::with_a_foreign_value()).await;
    world.break_region("region1").await;
    let told = [
        "region1  down  127.0.1.10",
        "region1 leaves: ",
        "a change is due: the set would hold 127.0.2.20, 192.0.2.99",
        "demo: written, 127.0.1.10, 127.0.2.20, 192.0.2.99 -> 127.0.2.20, 192.0.2.99, in force after ",
    ];
    ended_with(0, &apply(&world, &[]).await, &told);
    assert_holds(&world, &[EIP2, FOREIGN], 1);
    world.assert_history_is_harmless();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_that_is_well_and_not_in_the_set_is_put_back() {
    let mut scene = Scene::new();
    scene.cloud.values = Some(vec![EIP2, FOREIGN]);
    let world = World::set(scene).await;
    ended_with(
        0,
        &apply(&world, &[]).await,
        &["region1 enters: ", "demo: written, 127.0.2.20, 192.0.2.99 -> "],
    );
    assert_holds(&world, &[EIP1, EIP2, FOREIGN], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_that_holds_what_is_wanted_is_left_alone_and_that_is_success() {
    let world = World::set(Scene::new()).await;
    ended_with(0, &apply(&world, &[]).await, &["nothing to do"]);
    assert_holds(&world, &[EIP1, EIP2], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_set_is_kept_when_every_region_is_down() {
    let world = World::set(Scene::new()).await;
    world.break_region("region1").await;
    world.break_region("region2").await;
    ended_with(0, &apply(&world, &[]).await, &["region1  down", "region2  down", "nothing to do"]);
    assert_holds(&world, &[EIP1, EIP2], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_rule_holds_back_is_not_written_and_said_with_what_lifts_it() {
    let world = World::set(Scene { service: "panic_threshold = \"40%\"", ..Scene::new() }).await;
    world.break_region("region1").await;
    let told = ["held by BOUNDED-BLAST: 1 of 2 regions fail together", "; lifts when no more regions fail"];
    ended_with(1, &apply(&world, &[]).await, &told);
    assert_holds(&world, &[EIP1, EIP2], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_the_api_refuses_changes_nothing_and_is_not_repeated() {
    let world = World::set(Scene::new()).await;
    world.break_region("region1").await;
    let refusal = Fault { on: On::Writes, ..Fault::new(Api::Dns, Effect::Error { status: 403 }) };
    world.cloud.fault(refusal);
    ended_with(1, &apply(&world, &[]).await, &["demo: the write was refused and changed nothing: ", "403"]);
    assert_holds(&world, &[EIP1, EIP2], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_is_settled_by_reading() {
    let world = World::set(Scene::new()).await;
    world.break_region("region1").await;
    world.cloud.fault(Fault { on: On::Writes, ..Fault::new(Api::Dns, Effect::AnswerLost) });
    let told = ["demo: written, the answer was lost, and a read shows: 127.0.1.10, 127.0.2.20 -> 127.0.2.20"];
    ended_with(0, &apply(&world, &[]).await, &told);
    assert_holds(&world, &[EIP2], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_lands_late_is_waited_for_and_not_sent_twice() {
    let world = World::set(Scene::new()).await;
    world.break_region("region1").await;
    let late = Effect::AppliedLate { delay: Duration::from_secs(3) };
    world.cloud.fault(Fault { on: On::Writes, ..Fault::new(Api::Dns, late) });
    ended_with(0, &apply(&world, &[]).await, &["demo: written, the answer was lost, and a read shows: "]);
    assert_holds(&world, &[EIP2], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_terminal_it_asks_for_yes_and_does_nothing() {
    let world = World::set(Scene::new()).await;
    world.break_region("region1").await;
    let said = world.outcome("apply", &["--once"]).await;
    refused_with(&said, "there is no terminal to ask on before writing; nothing was done. Give --yes");
    assert!(world.cloud.requests().is_empty(), "{:?}", world.cloud.requests());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_closed_the_pipe_makes_no_success_of_it() {
    let world = World::set(Scene::new()).await;
    world.break_region("region1").await;
    let mut command = world.command("apply", &["--once", "--yes"]);
    let ended = tokio::task::spawn_blocking(move || {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        child.wait().unwrap()
    });
    assert_eq!(ended.await.unwrap().code(), Some(1));
    assert_holds(&world, &[EIP1, EIP2], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn once_is_written_out() {
    let world = World::set(Scene::new()).await;
    refused_with(&world.outcome("apply", &["--yes"]).await, "--once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_service_named_is_looked_at() {
    let world = World::set(Scene::new()).await;
    world.break_region("region1").await;
    let other = "\n[[service]]\nname = \"other\"\ndomain = \"other.localdev.me.\"\ndns = \"private\"\n\
                 [[service.check]]\nname = \"port\"\nkind = \"tcp\"\nport = 1\n\
                 [[service.region]]\nname = \"r1\"\naddress = [\"127.0.0.1\"]\n";
    let text = std::fs::read_to_string(world.config()).unwrap();
    std::fs::write(world.config(), text + other).unwrap();
    let both = apply(&world, &[]).await;
    ended_with(1, &both, &["demo: written, ", "other (other.localdev.me. A)", "cannot tell: "]);
    let said = apply(&world, &["--only", "demo"]).await;
    ended_with(0, &said, &["nothing to do"]);
    assert!(!String::from_utf8_lossy(&said.stdout).contains("other"), "{said:?}");
    refused_with(
        &apply(&world, &["--only", "dmeo"]).await,
        "there is no service dmeo; there are demo, other",
    );
    assert_holds(&world, &[EIP2], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_configuration_says_not_to_write_is_not_written() {
    for scene in [
        Scene { service: "mode = \"observe\"", ..Scene::new() },
        Scene { daemon: "dry_run = true", ..Scene::new() },
    ] {
        let world = World::set(scene).await;
        world.break_region("region1").await;
        ended_with(
            1,
            &apply(&world, &[]).await,
            &["a change is due", "not written: the configuration says "],
        );
        assert_holds(&world, &[EIP1, EIP2], 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_written_by_what_could_not_be_looked_at() {
    let world = World::set(Scene::new()).await;
    world.break_region("region1").await;
    world.cloud.fault(Fault { on: On::Reads, ..Fault::new(Api::Dns, Effect::Error { status: 503 }) });
    ended_with(1, &apply(&world, &[]).await, &["cannot tell: "]);
    assert_holds(&world, &[EIP1, EIP2], 0);
}

async fn apply(world: &World, arguments: &[&str]) -> Output {
    world.outcome("apply", &[&["--once", "--yes"], arguments].concat()).await
}

fn assert_holds(world: &World, values: &[IpAddr], writes: usize) {
    let mut now = world.cloud.zone_values();
    now.sort();
    assert_eq!((now, world.writes()), (values.to_vec(), writes), "{:#?}", world.cloud.history());
}

fn ended_with(code: i32, said: &Output, told: &[&str]) {
    let text = String::from_utf8_lossy(&said.stdout);
    let complaints = String::from_utf8_lossy(&said.stderr);
    assert_eq!(said.status.code(), Some(code), "{text}{complaints}");
    for part in told {
        assert!(text.contains(part), "{part:?} is not in\n{text}{complaints}");
    }
}

fn refused_with(said: &Output, complaint: &str) {
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    assert!(String::from_utf8_lossy(&said.stderr).contains(complaint), "{said:?}");
}

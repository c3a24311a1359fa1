//! What a service manager hears of the running daemon, on a socket that the test reads in its place.
#![cfg(test)] // makes clippy take the helpers below for tests too

mod daemon_world;

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use daemon_world::{DEADLINE, EIP2, Now, Reloaded, Scene, World};
use pointsman::clock::instant_now;
use pointsman::sim::{Api, Effect, Fault};
use serde_json::Value;
use tokio::time::sleep;

/// What a stop may take.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// The service manager's end of the socket.
struct Heard {
    socket: UnixDatagram,
    path: String,
    words: Vec<String>,
}

impl Heard {
    fn beside(world: &World) -> Self {
        let path = world.config().with_file_name("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { socket, path: path.to_str().unwrap().to_owned(), words: Vec::new() }
    }

    fn listen(&mut self) {
        let mut buffer = [0; 4_096];
        while let Ok(length) = self.socket.recv(&mut buffer) {
            let message = std::str::from_utf8(&buffer[..length]).unwrap();
            self.words.extend(message.lines().map(ToOwned::to_owned));
        }
    }

    /// Waits for a word that begins so, and forgets what came before it.
    async fn until(&mut self, begins: &str) -> String {
        let end = instant_now() + DEADLINE;
        loop {
            self.listen();
            if let Some(place) = self.words.iter().position(|word| word.starts_with(begins)) {
                let heard = self.words.drain(..=place).next_back();
                return heard.unwrap();
            }
            assert!(instant_now() < end, "{begins:?} never came; heard {:?}", self.words);
            sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_hears_of_verdicts_state_reloads_and_the_stop() {
    let mut world = World::set(Scene::with_a_foreign_value()).await;
    let mut heard = Heard::beside(&world);
    world.run_with(&[], &[("NOTIFY_SOCKET", &heard.path)]).await;
    assert_eq!(heard.until("STATUS=").await, "STATUS=1 service, 2 regions: 2 unknown");
    heard.until("STATUS=1 service, 2 regions: 2 up").await;
    heard.until("READY=1").await;
    assert!(world.get("/readyz").await.unwrap().0 == 200);

    world.break_region("region1").await;
    heard.until("STATUS=1 service, 2 regions: 1 up, 1 down").await;
    for (edit, result) in [("fall = 4", Reloaded::Taken), ("fal = 4", Reloaded::Refused)] {
        world.edit_config(if result == Reloaded::Taken { "fall = 3" } else { "fall = 4" }, edit);
        assert_eq!(world.reload().await, result);
        heard.until("RELOADING=1").await;
        let at = heard.until("MONOTONIC_USEC=").await;
        assert!(at.trim_start_matches("MONOTONIC_USEC=").parse::<u64>().is_ok(), "{at}");
        heard.until("READY=1").await;
    }
    world.stop("TERM").await;
    heard.until("STOPPING=1").await;

    world.edit_config("fal = 4", "fall = 4");
    world.run_with(&[], &[("NOTIFY_SOCKET", &heard.path)]).await;
    assert_eq!(heard.until("STATUS=").await, "STATUS=1 service, 2 regions: 1 up, 1 down", "it forgot");
    heard.until("READY=1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_without_verdicts_is_over_after_a_while() {
    let mut world = World::set(Scene::new()).await;
    world.cloud.fault(Fault::new(Api::Iam, Effect::Closed));
    let mut heard = Heard::beside(&world);
    world.run_with(&[], &[("NOTIFY_SOCKET", &heard.path)]).await;
    heard.until("READY=1").await;
    assert_eq!(world.get("/readyz").await.unwrap().0, 503, "there is a verdict after all");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_nobody_reads_stops_nothing_and_what_it_loses_is_counted() {
    let mut world = World::set(Scene::new()).await;
    let mut heard = Heard::beside(&world);
    let environment =
        [("NOTIFY_SOCKET", &*heard.path), ("WATCHDOG_USEC", "3000000"), ("RUST_LOG", "pointsman=trace")];
    world.run_unread(&environment);
    world.until("all is well", Now::all_well).await;
    // The whole state, over and over: more than a pipe and the queue before it hold.
    let end = instant_now() + DEADLINE;
    while lines_dropped(&world).await == 0 {
        assert!(instant_now() < end, "no line was dropped");
        world.signal("USR1");
        heard.listen();
    }
    let status: Value = serde_json::from_str(&world.get("/api/v1/status").await.unwrap().1).unwrap();
    assert!(status["log"]["lines_dropped"].as_u64() > Some(0), "{status:#}");

    heard.listen();
    heard.words.clear();
    world.break_region("region1").await;
    world.until("the dead region leaves", |now| now.zone_holds(&[EIP2])).await;
    heard.until("WATCHDOG=1").await;

    world.read_on();
    world.until("the log says what was lost", |_| world.log().contains("log lines were dropped")).await;
    let (status, took) = world.stop("TERM").await;
    assert!(status.success() && took < STOP_WITHIN, "{status} after {took:?}");
    let log = world.log();
    assert!(log.trim_end().ends_with("stopped"), "the last lines are lost: {}", &log[log.len() - 500..]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_nobody_reads_keeps_it_from_no_end() {
    let mut world = World::set(Scene::new()).await;
    world.run_unread(&[("RUST_LOG", "trace")]);
    world.until("all is well", Now::all_well).await;
    // More than a pipe holds, so that the writer waits for room that never comes.
    for _ in 0..50 {
        world.signal("USR1");
        assert_eq!(world.get("/healthz").await.unwrap().0, 200);
    }
    let (status, took) = world.stop("TERM").await;
    assert!(status.success() && took < STOP_WITHIN, "{status} after {took:?}");
}

async fn lines_dropped(world: &World) -> u64 {
    let metrics = world.metrics().await;
    let line = metrics.lines().find_map(|line| line.strip_prefix("pointsman_log_lines_dropped_total "));
    line.unwrap().parse().unwrap()
}

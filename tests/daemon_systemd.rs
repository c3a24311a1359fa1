//! What a service manager hears of the running daemon, on a socket that the test reads in its place.
#![cfg(test)] // makes clippy take the helpers below for tests too

mod daemon_world;

use std::io::{BufRead as _, BufReader};
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::time::Duration;

use daemon_world::{DEADLINE, Reloaded, Scene, World};
use pointsman::clock::instant_now;
use pointsman::sim::{Api, Effect, Fault};
use tokio::time::sleep;

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

    fn has(&mut self, word: &str) -> bool {
        self.listen();
        self.words.iter().any(|it| it == word)
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
async fn a_loop_that_is_stuck_starves_the_watchdog() {
    let world = World::set(Scene::new()).await;
    let mut heard = Heard::beside(&world);
    let mut command = world.command("run", &[]);
    command.env("NOTIFY_SOCKET", &heard.path).env("WATCHDOG_USEC", "3000000").env("RUST_LOG", "trace");
    let mut daemon = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(daemon.stderr.take().unwrap());
    // As long as its log is read it is fed; a log that nobody takes stops whoever logs, the core's loop among them.
    let mut fed = 0;
    while fed < 2 {
        let mut line = String::new();
        assert!(log.read_line(&mut line).unwrap() > 0, "it ended");
        heard.listen();
        fed += heard.words.iter().filter(|word| *word == "WATCHDOG=1").count();
        heard.words.clear();
    }
    let end = instant_now() + DEADLINE;
    let starved = Duration::from_secs(6);
    let mut since = instant_now();
    while since.elapsed() < starved {
        assert!(instant_now() < end, "it is fed on and on");
        if heard.has("WATCHDOG=1") {
            since = instant_now();
            heard.words.clear();
        }
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(daemon.try_wait().unwrap(), None, "it is stuck, and has not ended");
    daemon.kill().unwrap();
    daemon.wait().unwrap();
}

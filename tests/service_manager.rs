//! What systemd hears: each word as its protocol spells it, and the watchdog fed only while every loop turns.
#![cfg(test)] // makes clippy take the helpers below for tests too

use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pointsman::clock::Clock;
use pointsman::daemon::service_manager::ServiceManager;
use pointsman::pulse::{Pulse, Pulses, SLACK};
use tokio::task::JoinSet;
use tokio::time::{advance, sleep, timeout};

const WATCHDOG: Duration = Duration::from_secs(30);
const SECOND: Duration = Duration::from_secs(1);
const FEED: Duration = Duration::from_secs(10);

/// A service manager's side of the socket.
struct Heard {
    socket: UnixDatagram,
    _directory: Option<tempfile::TempDir>,
}

impl Heard {
    fn start(watchdog: Option<Duration>) -> (Self, ServiceManager) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let heard = Self::on(UnixDatagram::bind(&path).unwrap(), Some(directory));
        (heard, ServiceManager::listening_at(path.as_os_str(), watchdog).unwrap())
    }

    fn on(socket: UnixDatagram, directory: Option<tempfile::TempDir>) -> Self {
        socket.set_nonblocking(true).unwrap();
        Self { socket, _directory: directory }
    }

    /// The messages since it was last asked.
    fn all(&self) -> Vec<String> {
        let mut buffer = [0; 4_096];
        let next = || self.socket.recv(&mut buffer).ok().map(|length| buffer[..length].to_vec());
        std::iter::from_fn(next).map(|message| String::from_utf8(message).unwrap()).collect()
    }

    fn feeds(&self) -> usize {
        let all = self.all();
        assert!(all.iter().all(|message| message == "WATCHDOG=1"), "{all:?}");
        all.len()
    }
}

/// Keeps what is logged by this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn start() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().map(ToOwned::to_owned).collect()
    }
}

#[test]
fn each_word_is_a_message_of_its_own_as_the_protocol_spells_it() {
    let (heard, manager) = Heard::start(None);
    manager.ready();
    manager.status("2 services,\n4 regions");
    manager.stopping();
    assert_eq!(heard.all(), ["READY=1", "STATUS=2 services, 4 regions", "STOPPING=1"]);
}

#[test]
fn a_reload_is_told_together_with_the_monotonic_time() {
    let (heard, manager) = Heard::start(None);
    manager.reloading();
    manager.reloading();
    let times: Vec<u64> = heard
        .all()
        .iter()
        .map(|message| {
            let time = message.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
            time.parse().unwrap()
        })
        .collect();
    assert_eq!(times.len(), 2);
    assert!(0 < times[0] && times[0] <= times[1], "{times:?}");
}

#[test]
fn an_abstract_socket_is_found() {
    let name = format!("pointsman-test-{}", std::process::id());
    let at = SocketAddr::from_abstract_name(&name).unwrap();
    let heard = Heard::on(UnixDatagram::bind_addr(&at).unwrap(), None);
    ServiceManager::listening_at(OsStr::new(&format!("@{name}")), None).unwrap().ready();
    assert_eq!(heard.all(), ["READY=1"]);
}

#[test]
fn a_service_manager_that_does_not_read_or_is_gone_stops_nobody() {
    let (log, _guard) = Log::start();
    let (heard, manager) = Heard::start(None);
    while log.lines().is_empty() {
        manager.ready();
    }
    drop(heard);
    manager.ready();
    assert!(log.lines().iter().all(|line| line.contains("could not tell the service manager")));
    assert_eq!(log.lines().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_watchdog_is_fed_three_times_in_its_wait_while_every_loop_turns() {
    let (heard, manager) = Heard::start(Some(WATCHDOG));
    let pulses = Pulses::new(Clock::start());
    let mut tasks = JoinSet::new();
    tasks.spawn(turn(SECOND, pulses.register("turns")));
    tasks.spawn(async move { manager.feed(&pulses).await });
    sleep(WATCHDOG * 2 + FEED * 5 / 2).await;
    assert_eq!(heard.feeds(), 9);
}

#[tokio::test(start_paused = true)]
async fn one_stuck_loop_among_others_that_turn_starves_the_watchdog_and_is_named_once() {
    let (log, _guard) = Log::start();
    let (heard, manager) = Heard::start(Some(WATCHDOG));
    let pulses = Pulses::new(Clock::start());
    let mut tasks = JoinSet::new();
    let wedged = pulses.register("check demo/region1/web");
    wedged.turns_within(Duration::from_secs(5));
    for name in ["core", "check demo/region2/web"] {
        tasks.spawn(turn(SECOND, pulses.register(name)));
    }
    tasks.spawn(async move { manager.feed(&pulses).await });

    sleep(Duration::from_secs(5) + SLACK).await;
    assert_eq!((heard.feeds(), log.lines().len()), (2, 0));
    sleep(WATCHDOG * 10).await;
    assert_eq!(heard.feeds(), 0);
    let [told] = &*log.lines() else { panic!("{:?}", log.lines()) };
    assert!(told.contains("ERROR") && told.contains("check demo/region1/web should have turned"), "{told}");

    wedged.turns_within(WATCHDOG);
    sleep(FEED).await;
    assert_eq!((heard.feeds(), log.lines().len()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_process_that_stood_still_for_an_hour_has_no_stuck_loop() {
    let (log, _guard) = Log::start();
    let (heard, manager) = Heard::start(Some(WATCHDOG));
    let pulses = Pulses::new(Clock::start());
    let mut tasks = JoinSet::new();
    let feeder = pulses.clone();
    tasks.spawn(async move { manager.feed(&feeder).await });
    // Its next turn is due after the next feed, so that the feed is the first to see the time.
    tasks.spawn(turn(FEED * 2, pulses.register("turns")));
    sleep(FEED / 2).await;
    assert_eq!(heard.feeds(), 1);
    advance(Duration::from_secs(3_600)).await;
    assert_eq!(heard.feeds(), 0);
    sleep(FEED + SECOND).await;
    assert_eq!(heard.feeds(), 1);
    assert!(log.lines().is_empty(), "{:?}", log.lines());
}

#[tokio::test(start_paused = true)]
async fn without_a_watchdog_nobody_is_fed() {
    for watchdog in [None, Some(Duration::ZERO)] {
        let (heard, manager) = Heard::start(watchdog);
        let pulses = Pulses::new(Clock::start());
        assert!(timeout(WATCHDOG, manager.feed(&pulses)).await.is_err());
        assert_eq!(heard.feeds(), 0);
    }
}

async fn turn(every: Duration, pulse: Pulse) {
    loop {
        pulse.turns_within(every);
        sleep(every).await;
    }
}

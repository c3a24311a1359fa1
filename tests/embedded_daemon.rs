//! The daemon with a zone that it serves itself: what `dig` shows while regions die, and over restarts and reloads.

#![cfg(test)] // makes clippy take the helpers below for tests too

#[expect(dead_code, reason = "each test crate uses the part it needs")]
#[path = "daemon_world/process.rs"]
mod process;

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener as StdTcpListener};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RecordType};
use pointsman::clock::instant_now;
use process::Process;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Past this, what is waited for does not come. A busy machine takes a tenth of it.
const DEADLINE: Duration = Duration::from_secs(60);
const BLINK: Duration = Duration::from_millis(20);

/// Two regions of loopback, and the daemon that serves their name.
struct World {
    folder: tempfile::TempDir,
    /// Of the zone, and a second one for later.
    addresses: [SocketAddr; 2],
    regions: [Ipv4Addr; 2],
    port: u16,
    serving: [JoinSet<()>; 2],
    daemon: Option<Process>,
}

impl World {
    /// The tests run at once: each has regions of its own.
    async fn watched(number: u8) -> Self {
        let regions = [1, 2].map(|last| Ipv4Addr::new(127, 21, number, last));
        let free = [(); 2].map(|()| StdTcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
        let addresses = free.map(|socket| socket.local_addr().unwrap());
        let first = TcpListener::bind((regions[0], 0)).await.unwrap();
        let port = first.local_addr().unwrap().port();
        let second = TcpListener::bind((regions[1], port)).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut world =
            Self { folder, addresses, regions, port, serving: [accept(first), accept(second)], daemon: None };
        world.configure(&[addresses[0]], "");
        world.start().await;
        world.until(&[0, 1]).await;
        world
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("pointsman.toml")
    }

    fn configure(&self, listen: &[SocketAddr], more_records: &str) {
        let [one, two] = self.regions;
        let (state, port) = (self.folder.path().join("state"), self.port);
        let text = format!(
            r#"
            [daemon]
            listen = "127.0.0.1:0"
            state_dir = {state:?}
            [dns.local]
            kind = "embedded"
            listen = {listen:?}
            zone = "dev.test."
            ns = ["ns1.dev.test."]
            records = ["ns1 300 A 192.0.2.53" {more_records}]
            [defaults]
            interval = "200ms"
            fast_interval = "100ms"
            timeout = "100ms"
            recover_after = "0s"
            rise = 1
            [[service]]
            name = "demo"
            domain = "demo.dev.test."
            write_budget = {{ writes = 100, window = "1s" }}
            [[service.check]]
            name = "port"
            kind = "tcp"
            port = {port}
            [[service.region]]
            name = "one"
            address = ["{one}"]
            [[service.region]]
            name = "two"
            address = ["{two}"]
            "#
        );
        let listen_as_text = listen.iter().map(|it| format!("\"{it}\"")).collect::<Vec<_>>().join(", ");
        fs::write(self.config(), text.replace(&format!("{listen:?}"), &format!("[{listen_as_text}]")))
            .unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pointsman"));
        command.args(arguments).arg("--config").arg(self.config()).env_remove("RUST_LOG");
        command
    }

    async fn outcome(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    async fn start(&mut self) {
        self.daemon = Some(Process::start(self.command(&["run"])).await);
    }

    async fn end(&mut self, signal: &str) {
        self.daemon.as_mut().unwrap().end(signal).await;
    }

    fn log(&self) -> String {
        self.daemon.as_ref().unwrap().log()
    }

    /// Has it read its configuration again, and waits until it has said so `times` times.
    async fn reload(&self, says: &str, times: usize) {
        self.daemon.as_ref().unwrap().signal("HUP");
        self.until_said(says, times).await;
    }

    /// Waits until its status tells, or does not tell, that nothing is kept.
    async fn until_status(&self, tells: bool) {
        let end = instant_now() + DEADLINE;
        loop {
            let mut stream = TcpStream::connect(self.daemon.as_ref().unwrap().listens_at()).await.unwrap();
            stream.write_all(b"GET /api/v1/status HTTP/1.0\r\nhost: localhost\r\n\r\n").await.unwrap();
            let mut status = String::new();
            stream.read_to_string(&mut status).await.unwrap();
            if status.contains("200 OK") && status.contains("zone_state") == tells {
                return;
            }
            assert!(instant_now() < end, "{status}\n{}", self.log());
            sleep(BLINK).await;
        }
    }

    async fn until_said(&self, says: &str, times: usize) {
        let end = instant_now() + DEADLINE;
        while self.log().matches(says).count() < times {
            assert!(instant_now() < end, "it never said {says:?}:\n{}", self.log());
            sleep(BLINK).await;
        }
    }

    fn kill(&mut self, region: usize) {
        self.serving[region] = JoinSet::new();
    }

    async fn raise(&mut self, region: usize) {
        let end = instant_now() + DEADLINE;
        loop {
            match TcpListener::bind((self.regions[region], self.port)).await {
                Ok(listener) => break self.serving[region] = accept(listener),
                Err(error) => assert!(instant_now() < end, "{error}"),
            }
            sleep(BLINK).await;
        }
    }

    /// Waits until the name has the addresses of these regions and no others.
    async fn until(&self, regions: &[usize]) {
        let wanted: Vec<IpAddr> = regions.iter().map(|region| self.regions[*region].into()).collect();
        let end = instant_now() + DEADLINE;
        loop {
            let has = self.published();
            if has == wanted {
                return;
            }
            assert!(instant_now() < end, "{has:?} and not {wanted:?}:\n{}", self.log());
            sleep(BLINK).await;
        }
    }

    fn published(&self) -> Vec<IpAddr> {
        let text = dig(self.addresses[0], &["demo.dev.test.", "A"]);
        let mut addresses: Vec<IpAddr> = text.lines().filter_map(|line| line.parse().ok()).collect();
        addresses.sort_unstable();
        addresses
    }

    fn serial(&self) -> u32 {
        dig(self.addresses[0], &["dev.test.", "SOA"]).split(' ').nth(2).unwrap().parse().unwrap()
    }
}

/// Takes every connection, for as long as this lives.
fn accept(listener: TcpListener) -> JoinSet<()> {
    let mut serving = JoinSet::new();
    serving.spawn(async move { while listener.accept().await.is_ok() {} });
    serving
}

fn dig(server: SocketAddr, arguments: &[&str]) -> String {
    let mut command = Command::new("dig");
    command.arg(format!("@{}", server.ip())).args(["-p", &server.port().to_string()]);
    command.args(["+short", "+norecurse", "+time=5", "+tries=1"]).args(arguments);
    let output = command.output().expect("this test needs dig; please do: apt-get install bind9-dnsutils");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dig_sees_a_region_leave_and_return() {
    let mut world = World::watched(1).await;
    let mut serial = world.serial();
    for (region, left) in [(0, [1]), (1, [0])] {
        world.kill(region);
        world.until(&left).await;
        assert!(world.serial() > serial);
        serial = world.serial();
        world.raise(region).await;
        world.until(&[0, 1]).await;
    }
    // Both at once: what is left is never nothing.
    world.kill(0);
    world.kill(1);
    let end = instant_now() + Duration::from_secs(2);
    while instant_now() < end {
        assert!(!world.published().is_empty(), "{}", world.log());
        sleep(BLINK).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_it_ends_the_next_start_serves_what_was_served_at_once() {
    let mut world = World::watched(2).await;
    world.kill(1);
    world.until(&[0]).await;
    for signal in ["KILL", "TERM", "KILL"] {
        let before = world.serial();
        world.end(signal).await;
        // The dead region seems alive to whoever only connects once it is started: it stays out all the same.
        world.start().await;
        assert_eq!(world.published(), [IpAddr::from(world.regions[0])], "{}", world.log());
        assert!(world.serial() > before, "{} after {before}", world.serial());
    }
    world.raise(1).await;
    world.until(&[0, 1]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_loses_no_question_and_one_that_is_refused_changes_nothing() {
    let mut world = World::watched(3).await;
    let [first, second] = world.addresses;
    let asking = async {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        socket.connect(first).await.unwrap();
        let mut message = Message::query();
        message.add_query(Query::query(Name::from_ascii("demo.dev.test.").unwrap(), RecordType::A));
        let (question, mut room) = (message.to_vec().unwrap(), [0; 1_232]);
        loop {
            socket.send(&question).await.unwrap();
            let length =
                timeout(DEADLINE, socket.recv(&mut room)).await.expect("a question was lost").unwrap();
            assert_eq!(Message::from_vec(&room[..length]).unwrap().answers.len(), 2);
            sleep(BLINK).await;
        }
    };
    let reloads = async {
        world.configure(&[first], ", \"new 60 A 192.0.2.77\"");
        world.reload("reloaded the configuration", 1).await;
        assert_eq!(dig(first, &["new.dev.test.", "A"]), "192.0.2.77\n");
        // A second address joins; the first is not touched.
        world.configure(&[first, second], "");
        world.reload("reloaded the configuration", 2).await;
        assert_eq!(dig(first, &["new.dev.test.", "A"]), "");
        assert_eq!(dig(second, &["ns1.dev.test.", "A"]), "192.0.2.53\n");
        // One that somebody else has is not to be had: nothing else of that configuration comes into force.
        let taken = StdTcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let serial = world.serial();
        world.configure(&[first, taken.local_addr().unwrap()], ", \"newer 60 A 192.0.2.78\"");
        world.reload("cannot serve DNS on", 1).await;
        assert_eq!(dig(first, &["newer.dev.test.", "A"]), "");
        assert_eq!(dig(second, &["ns1.dev.test.", "A"]), "192.0.2.53\n");
        assert_eq!(world.serial(), serial);
        world.configure(&[first], "");
        world.reload("reloaded the configuration", 3).await;
        let end = instant_now() + DEADLINE;
        while StdTcpListener::bind(second).is_err() {
            assert!(instant_now() < end, "what is not configured any more is still served");
            sleep(BLINK).await;
        }
    };
    tokio::select! {
        () = reloads => {}
        () = asking => {}
    }
    world.end("TERM").await;
    StdTcpListener::bind(first).expect("a stop closes the sockets");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_that_look_once_take_nothing_from_the_daemon_and_write_nothing() {
    let mut world = World::watched(4).await;
    let plan = world.outcome(&["plan"]).await;
    let said = String::from_utf8(plan.stdout).unwrap();
    assert!(plan.status.success() && said.contains("nothing to do"), "{said}");
    world.end("TERM").await;
    world.kill(1);
    let file = world.folder.path().join("state/zones/dev.test.json");
    let before = fs::read(&file).unwrap();
    let plan = world.outcome(&["plan"]).await;
    assert_eq!(plan.status.code(), Some(2), "{plan:?}");
    let apply = world.outcome(&["apply", "--once", "--yes"]).await;
    let said = String::from_utf8(apply.stdout).unwrap();
    assert!(!apply.status.success() && said.contains("pointsman run"), "{said}");
    assert_eq!(fs::read(&file).unwrap(), before);
    world.start().await;
    world.until(&[0]).await;
    // A second daemon with the same configuration is refused, and harms nobody.
    let second = world.outcome(&["run"]).await;
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(second.status.code() == Some(1) && said.contains("cannot serve DNS on"), "{said}");
    world.until(&[0]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_zone_that_cannot_be_kept_is_alarmed_until_it_can() {
    let mut world = World::watched(5).await;
    let zones = world.folder.path().join("state/zones");
    let away = world.folder.path().join("away");
    fs::rename(&zones, &away).unwrap();
    fs::write(&zones, "").unwrap();
    world.kill(1);
    world.until(&[0]).await;
    world.until_status(true).await;
    world.until_said("cannot keep what a zone holds", 1).await;
    // It is tried again by itself.
    fs::remove_file(&zones).unwrap();
    fs::rename(&away, &zones).unwrap();
    let end = instant_now() + DEADLINE;
    let holds_the_dead = || {
        let text = fs::read_to_string(zones.join("dev.test.json")).unwrap();
        text.contains(&world.regions[1].to_string())
    };
    while holds_the_dead() {
        assert!(instant_now() < end, "{}", world.log());
        sleep(BLINK).await;
    }
    world.until_status(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_online_says_whether_the_zone_can_be_served_or_is() {
    let mut world = World::watched(6).await;
    let address = world.addresses[0];
    let check = async |world: &World| {
        let output = world.outcome(&["check", "--online"]).await;
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, said) = check(&world).await;
    let serial = world.serial();
    assert!(
        code == Some(0) && said.contains(&format!("dev.test. is served there, serial {serial}")),
        "{said}"
    );
    let [one, two] = world.regions;
    assert!(said.contains(&format!("{one}, {two}, TTL 30 s")), "{said}");
    world.end("KILL").await;
    let (code, said) = check(&world).await;
    assert!(code == Some(0) && said.contains("free over UDP and TCP"), "{said}");
    let _taken = StdTcpListener::bind(address).unwrap();
    let (code, said) = check(&world).await;
    assert!(code == Some(1) && said.contains(&format!("cannot serve DNS on {address}")), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_lacks_a_living_region_is_served_as_it_is_and_mended_like_any_set() {
    let mut world = World::watched(7).await;
    let file = world.folder.path().join("state/zones/dev.test.json");
    world.kill(1);
    world.until(&[0]).await;
    let without = fs::read(&file).unwrap();
    world.raise(1).await;
    world.until(&[0, 1]).await;
    world.end("TERM").await;
    fs::write(&file, without).unwrap();
    world.start().await;
    world.until_said("planned", 1).await;
    assert!(world.log().contains(&format!("planned {}", world.regions[0])), "{}", world.log());
    world.until(&[0, 1]).await;
    // Foreign to the name, and nobody's to take out: there is no such value in a zone that nobody else writes.
    assert!(!world.log().contains("fight"), "{}", world.log());
}

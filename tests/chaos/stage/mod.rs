//! The stage: a simulated cloud in one process, the built binary in another, and what truly happens to both.
//!
//! A scene breaks something, and ends with [`Stage::settle`]: all that was broken is mended, and the daemon has to
//! get over it without a hand. [`Stage::judge`] holds the zone's whole history against what truly happened.

mod cloud;
mod configuration;
mod footprint;
mod gate;
mod http;
mod limits;
#[expect(dead_code, reason = "no scene leaves a log unread")]
#[path = "../../daemon_world/process.rs"]
mod process;

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use pointsman::clock::instant_now;
use pointsman::sim::{Api, EndpointState, Fault, On};
use serde_json::Value;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

use self::cloud::Cloud;
pub(crate) use self::cloud::{Version, be_one_if_told};
pub(crate) use self::configuration::BUDGET;
pub(crate) use self::footprint::Footprint;
use self::gate::Gate;
pub(crate) use self::gate::Way;
pub(crate) use self::limits::own_mounts;
use self::process::Process;
use crate::judge::{self, Life};

/// Past this, what is waited for does not come: longer than the pause after refused writes may get.
const DEADLINE: Duration = Duration::from_secs(150);
const BLINK: Duration = Duration::from_millis(20);
/// Above this rate, in lines a second, a log is a flood: nobody reads it, and it fills disks.
const FLOOD: u64 = 20;

/// Name, place and public address. The last one lives all along.
pub(crate) const REGIONS: [(&str, &str, Ipv4Addr); 3] = [
    ("region1", "cn-north-4", Ipv4Addr::new(127, 0, 1, 10)),
    ("region2", "cn-east-3", Ipv4Addr::new(127, 0, 2, 20)),
    ("region3", "cn-south-1", Ipv4Addr::new(127, 0, 3, 30)),
];
/// Those that may be broken.
pub(crate) const MORTAL: [&str; 2] = [REGIONS[0].0, REGIONS[1].0];
/// A value in the zone that is not ours.
const FOREIGN: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 99));
/// Another one, which comes and goes.
const GUEST: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 77));

/// How the daemon is started.
#[derive(Clone, Debug, Default)]
pub(crate) struct Launch {
    /// What a shell does before it becomes the daemon, such as to limit itself.
    pub(crate) first: Option<String>,
    /// A program that starts that shell, with its arguments, such as one that gives it a world of its own.
    pub(crate) within: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
}

/// A cloud, and a daemon that watches it.
pub(crate) struct Stage {
    pub(crate) cloud: Cloud,
    pub(crate) gate: Gate,
    pub(crate) life: Life,
    pub(crate) launch: Launch,
    pub(crate) kills: usize,
    foreign: BTreeSet<IpAddr>,
    folder: tempfile::TempDir,
    daemon: Option<Process>,
    began: tokio::time::Instant,
    footprints: Vec<Footprint>,
}

/// What a person sees who looks now.
#[derive(Debug)]
pub(crate) struct Sight {
    /// The whole status; null while nobody answers.
    pub(crate) status: Value,
    ready: bool,
    /// What clients get.
    zone: BTreeSet<IpAddr>,
    /// What of that has never been ours.
    foreign: BTreeSet<IpAddr>,
}

impl Stage {
    /// A cloud, and nobody watches it yet. `arguments` make this program be the cloud. With an acceptor the API is
    /// behind TLS, and `api` is where the daemon believes it to be, with `{port}` for the port.
    pub(crate) fn set(arguments: &[&str], tls: Option<TlsAcceptor>, api: &str) -> Self {
        let cloud = Cloud::start(arguments);
        let gate = Gate::to(cloud.api, tls);
        let folder = tempfile::tempdir().unwrap();
        let key_file = folder.path().join("secret.key");
        let mut key = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&key_file).unwrap();
        key.write_all(cloud.keys.secret_key.as_bytes()).unwrap();
        let api = api.replace("{port}", &gate.at.port().to_string());
        let state = folder.path().join("state");
        let text = configuration::text(&api, cloud.port, &cloud.keys, &key_file, &state);
        std::fs::write(folder.path().join("pointsman.toml"), text).unwrap();
        Self {
            cloud,
            gate,
            life: Life::default(),
            launch: Launch::default(),
            kills: 0,
            foreign: BTreeSet::from([FOREIGN]),
            folder,
            daemon: None,
            began: instant_now(),
            footprints: Vec::new(),
        }
    }

    /// The same with an API in plain HTTP.
    pub(crate) fn unwatched(arguments: &[&str]) -> Self {
        Self::set(arguments, None, "http://127.0.0.1:{port}")
    }

    /// With a daemon that watches it, and has found all to be well.
    pub(crate) async fn watched(arguments: &[&str]) -> Self {
        let mut stage = Self::unwatched(arguments);
        stage.start().await;
        stage.settle().await;
        stage
    }

    /// A file or folder of the stage's own.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where the daemon keeps its journal.
    pub(crate) fn state_dir(&self) -> PathBuf {
        self.path("state")
    }

    /// Starts the daemon; returns when it says where it listens.
    pub(crate) async fn start(&mut self) {
        self.daemon = Some(Process::start(self.command()).await);
        self.began = instant_now();
    }

    /// Starts the daemon and kills it before it may have said a word.
    pub(crate) async fn start_and_kill(&mut self, after: Duration) {
        let mut command = self.command();
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        sleep(after).await;
        child.kill().unwrap();
        child.wait().unwrap();
        self.kills += 1;
    }

    fn command(&self) -> Command {
        let Launch { first, within, environment } = &self.launch;
        let first = first.as_deref().unwrap_or(":");
        let shell = ["sh", "-c", &format!("{first}; exec \"$@\""), "sh"].map(str::to_owned);
        let mut words = within.iter().chain(&shell);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).arg(env!("CARGO_BIN_EXE_pointsman")).args(["run", "--config"]);
        command.arg(self.path("pointsman.toml"));
        for variable in ["RUST_LOG", "CLICOLOR_FORCE", "HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK"] {
            command.env_remove(variable);
        }
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// kill -9, and what it said until then is read for what no daemon may say.
    pub(crate) async fn kill(&mut self) {
        self.daemon.as_mut().unwrap().end("KILL").await;
        self.kills += 1;
        self.read_log();
    }

    /// Sends a signal and goes on.
    pub(crate) fn signal(&self, signal: &str) {
        self.daemon().signal(signal);
    }

    fn daemon(&self) -> &Process {
        self.daemon.as_ref().unwrap()
    }

    pub(crate) fn process_id(&self) -> String {
        self.daemon().id()
    }

    /// What the present daemon said so far.
    pub(crate) fn log(&self) -> String {
        self.daemon().log()
    }

    /// Where its read-only side is.
    pub(crate) fn admin(&self) -> std::net::SocketAddr {
        self.daemon().listens_at()
    }

    /// A region's application does this from now on.
    pub(crate) async fn turn(&mut self, region: &'static str, state: EndpointState) {
        let at = self.cloud.endpoint(region, &state).await;
        self.life.turned(region, at, state == EndpointState::Serve);
    }

    /// Switches a fault of the API on.
    pub(crate) async fn fault(&mut self, fault: Fault) {
        if fault.api == Api::Dns && fault.on != On::Reads {
            self.life.writes_are_murky(self.cloud.about().await.now_ms);
        }
        self.cloud.fault(&fault).await;
    }

    pub(crate) async fn clear_faults(&mut self) {
        self.cloud.clear_faults().await;
        self.life.writes_are_clear(self.cloud.about().await.now_ms);
    }

    /// Somebody adds a value of theirs to the record set, or takes it out again.
    pub(crate) async fn guest(&mut self) {
        if !self.foreign.remove(&GUEST) {
            self.foreign.insert(GUEST);
        }
        let ours = REGIONS.iter().map(|region| IpAddr::from(region.2));
        let values: Vec<IpAddr> = ours.chain(self.foreign.iter().copied()).collect();
        self.cloud.write_as("somebody else", &values).await;
        self.until("the guest has come or gone", Sight::all_well).await;
    }

    pub(crate) async fn sight(&self) -> Sight {
        let status = self
            .get("/api/v1/status")
            .await
            .map_or(Value::Null, |(_, body)| serde_json::from_str(&body).unwrap());
        let ready = self.get("/readyz").await.is_some_and(|(code, _)| code == 200);
        let zone = self.cloud.about().await.zone_values.into_iter().collect();
        Sight { status, ready, zone, foreign: self.foreign.clone() }
    }

    async fn get(&self, path: &str) -> Option<(u16, String)> {
        http::exchange(self.daemon().listens_at(), "GET", path, "").await
    }

    /// Waits until what is seen `holds`.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&Sight) -> bool) {
        let end = instant_now() + DEADLINE;
        loop {
            let sight = self.sight().await;
            if holds(&sight) {
                return;
            }
            assert!(instant_now() < end, "never came: {what}\n{sight:#?}\nlog:\n{}", self.log());
            sleep(BLINK).await;
        }
    }

    /// Waits until clients get the addresses of all regions but this one.
    pub(crate) async fn until_without(&self, region: &str) {
        let others: Vec<&str> = REGIONS.iter().map(|it| it.0).filter(|name| *name != region).collect();
        self.until(&format!("{region} has left"), |sight| sight.serves(&others)).await;
    }

    /// Waits until what the daemon said `holds`, when it may not be able to answer.
    pub(crate) async fn until_log(&self, what: &str, holds: impl Fn(&str) -> bool) {
        let end = instant_now() + DEADLINE;
        while !holds(&self.log()) {
            assert!(instant_now() < end, "never came: {what}\nlog:\n{}", self.log());
            sleep(BLINK).await;
        }
    }

    /// Mends all that is broken from outside, waits until all is well again, and notes what the process holds then.
    pub(crate) async fn settle(&mut self) {
        self.gate.set(Way::Open);
        self.clear_faults().await;
        for region in MORTAL {
            self.turn(region, EndpointState::Serve).await;
        }
        self.until("all is well again", Sight::all_well).await;
        self.footprints.extend(Footprint::of(&self.process_id()));
        self.read_log();
    }

    /// What the process held whenever all was well again.
    pub(crate) fn footprints(&self) -> &[Footprint] {
        &self.footprints
    }

    fn read_log(&self) {
        let log = self.log();
        assert!(!log.contains("panicked"), "it panicked:\n{log}");
        let (lines, allowed) = (log.lines().count(), FLOOD * (self.began.elapsed().as_secs() + 10));
        assert!(lines as u64 <= allowed, "{lines} lines, and {allowed} would be many:\n{log}");
    }

    /// Everything that ever happened to the zone was harmless, and the process holds no more than it did.
    pub(crate) async fn judge(&self) {
        let about = self.cloud.about().await;
        assert!(about.record_id.is_some(), "NEVER-EMPTY: the record set was deleted");
        let found = judge::judge(&about.history, &self.cloud.keys.access_key, &self.life);
        assert!(found.is_empty(), "{found:#?}\n{:#?}\n{:#?}\nlog:\n{}", about.history, self.life, self.log());
        let ours = about.history.iter().filter(|it| it.written_by == self.cloud.keys.access_key).count();
        let held = self.footprints.last().map_or("never well".to_owned(), ToString::to_string);
        println!("{} kills, {ours} writes of ours; {held}", self.kills);
    }
}

impl Sight {
    pub(crate) fn service(&self) -> &Value {
        &self.status["services"][0]
    }

    pub(crate) fn region(&self, name: &str) -> &Value {
        let regions = self.service()["regions"].as_array();
        regions.and_then(|all| all.iter().find(|region| region["name"] == name)).unwrap_or(&Value::Null)
    }

    pub(crate) fn liveness(&self, region: &str) -> &str {
        self.region(region)["liveness"].as_str().unwrap_or("not told")
    }

    pub(crate) fn check(&self, region: &str, name: &str) -> &Value {
        let checks = self.region(region)["checks"].as_array();
        checks.and_then(|all| all.iter().find(|check| check["name"] == name)).unwrap_or(&Value::Null)
    }

    /// Whether something of that name is alarmed of the daemon itself.
    pub(crate) fn alarmed(&self, alarm: &str) -> bool {
        self.status["alarms"].as_array().is_some_and(|all| all.iter().any(|it| it["alarm"] == alarm))
    }

    /// Whether the zone serves these regions, and what is not ours.
    pub(crate) fn serves(&self, regions: &[&str]) -> bool {
        let ours = REGIONS.iter().filter(|(name, ..)| regions.contains(name)).map(|it| IpAddr::from(it.2));
        self.zone == ours.chain(self.foreign.iter().copied()).collect()
    }

    /// Every region is up and in the set, which is as wanted; nothing is alarmed; it is ready, and remembers.
    pub(crate) fn all_well(&self) -> bool {
        let names = REGIONS.map(|(name, ..)| name);
        let no_alarm = |of: &Value| of["alarms"].as_array().is_some_and(Vec::is_empty);
        names.iter().all(|name| self.liveness(name) == "up")
            && self.serves(&names)
            && self.service()["record_set"]["in_sync"] == true
            && no_alarm(self.service())
            && no_alarm(&self.status)
            && self.status["journal"]["writable"] == true
            && self.ready
    }
}

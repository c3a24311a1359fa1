//! A simulated cloud, a configuration for it, and the built binary running by that, all on loopback.
//!
//! A test begins with a [`Scene`], makes a [`World`] of it, breaks something, and waits with [`World::until`]
//! for what must come of it. Waiting polls, and fails loudly past [`DEADLINE`] with the log and the status.
#![expect(dead_code, reason = "each test crate uses the part it needs")]

mod process;
mod scene;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Output};
use std::time::Duration;

use pointsman::clock::instant_now;
use pointsman::model::Secret;
use pointsman::sim::{EndpointState, SimulatedCloud};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use process::Process;
pub(crate) use scene::Scene;

/// Past this, what is waited for does not come. A busy machine takes a tenth of it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);
const BLINK: Duration = Duration::from_millis(20);
/// One question to a server on loopback.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

pub(crate) const REGIONS: [&str; 2] = ["region1", "region2"];
pub(crate) const EIP1: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 1, 10));
pub(crate) const EIP2: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 2, 20));
/// A value in the zone that is not ours.
pub(crate) const FOREIGN: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 99));

/// A cloud, and perhaps a daemon that watches it.
pub(crate) struct World {
    pub(crate) cloud: SimulatedCloud,
    folder: tempfile::TempDir,
    daemon: Option<Process>,
}

/// What came of a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reloaded {
    Taken,
    Refused,
}

/// What a person sees who looks now.
#[derive(Debug)]
pub(crate) struct Now {
    /// The first service of `/api/v1/status`; null while nobody answers.
    pub(crate) service: Value,
    /// What is alarmed of the daemon itself.
    alarms: Value,
    /// What the zone answers.
    pub(crate) zone: BTreeSet<IpAddr>,
}

impl World {
    /// The cloud and the configuration; nobody watches it yet.
    pub(crate) async fn set(scene: Scene) -> Self {
        let cloud = SimulatedCloud::start(scene.cloud.clone()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let world = Self { cloud, folder, daemon: None };
        let mut key =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(world.key_file()).unwrap();
        key.write_all(world.cloud.setup().secret_key.expose().as_bytes()).unwrap();
        let text = scene.configuration(&world.cloud, &world.key_file(), &world.state_dir());
        std::fs::write(world.config(), text).unwrap();
        world
    }

    /// With a daemon that watches it, and has found all to be well.
    pub(crate) async fn watched(scene: Scene) -> Self {
        let mut world = Self::set(scene).await;
        world.run(&[]).await;
        world.until("all is well", Now::all_well).await;
        world
    }

    /// Starts the daemon; returns when it says where it listens.
    pub(crate) async fn run(&mut self, arguments: &[&str]) {
        self.run_with(arguments, &[]).await;
    }

    /// The same with environment variables.
    pub(crate) async fn run_with(&mut self, arguments: &[&str], environment: &[(&str, &str)]) {
        let mut command = self.command("run", arguments);
        command.envs(environment.iter().copied());
        self.daemon = Some(Process::start(command).await);
    }

    /// Starts the daemon in a shell that does something first, such as to limit itself.
    pub(crate) async fn run_under(&mut self, first: &str) {
        let daemon = self.command("run", &[]);
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{first}; exec \"$@\""), "sh"]);
        command.arg(daemon.get_program()).args(daemon.get_args());
        self.daemon = Some(Process::start(command).await);
    }

    /// Starts the daemon with these environment variables and a pipe for its log that nobody reads from now on.
    pub(crate) fn run_unread(&mut self, environment: &[(&str, &str)]) {
        let mut command = self.command("run", &[]);
        command.envs(environment.iter().copied());
        self.daemon = Some(Process::start_unread(command));
    }

    /// Its log is read again.
    pub(crate) fn read_on(&mut self) {
        self.daemon.as_mut().unwrap().read_on();
    }

    /// The daemon's process.
    pub(crate) fn process_id(&self) -> String {
        self.daemon().id()
    }

    /// A command of the binary with this world's configuration.
    pub(crate) fn command(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pointsman"));
        command.arg(name).args(arguments).arg("--config").arg(self.config());
        for variable in ["RUST_LOG", "CLICOLOR_FORCE", "HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK"] {
            command.env_remove(variable);
        }
        command
    }

    /// Lets such a command run to its end while the cloud goes on.
    pub(crate) async fn outcome(&self, name: &str, arguments: &[&str]) -> Output {
        let mut command = self.command(name, arguments);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    /// Writes something else into the configuration in place of each `old`, which must be in it.
    pub(crate) fn edit_config(&self, old: &str, new: &str) {
        let text = std::fs::read_to_string(self.config()).unwrap();
        assert!(text.contains(old), "{old:?} is not in the configuration");
        std::fs::write(self.config(), text.replace(old, new)).unwrap();
    }

    /// Gives the account another secret key than the cloud knows.
    pub(crate) fn set_secret_key(&self, key: &Secret) {
        std::fs::write(self.key_file(), key.expose()).unwrap();
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.folder.path().join("pointsman.toml")
    }

    /// Where the daemon keeps its journal.
    pub(crate) fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn key_file(&self) -> PathBuf {
        self.folder.path().join("secret.key")
    }

    fn daemon(&self) -> &Process {
        self.daemon.as_ref().unwrap()
    }

    /// Waits until what is seen `holds`.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&Now) -> bool) {
        let end = instant_now() + DEADLINE;
        loop {
            let now = self.now().await;
            if holds(&now) {
                return;
            }
            assert!(
                instant_now() < end,
                "never came: {what}\nzone {:?}, status {:#}\nlog:\n{}",
                now.zone,
                now.service,
                self.daemon().log()
            );
            sleep(BLINK).await;
        }
    }

    pub(crate) async fn now(&self) -> Now {
        let answer = self.get("/api/v1/status").await;
        let status = answer.map_or(Value::Null, |(_, body)| serde_json::from_str(&body).unwrap());
        let (service, alarms) = (status["services"][0].clone(), status["alarms"].clone());
        Now { service, alarms, zone: self.cloud.zone_values().into_iter().collect() }
    }

    /// Asks the daemon's read-only side: the status and the body; none when it does not answer.
    pub(crate) async fn get(&self, path: &str) -> Option<(u16, String)> {
        get(self.daemon().listens_at(), path).await
    }

    /// Where the daemon's read-only side is.
    pub(crate) fn listens_at(&self) -> SocketAddr {
        self.daemon().listens_at()
    }

    /// Whether every fault that was to strike so many times has done so.
    pub(crate) async fn faults_are_used_up(&self) -> bool {
        let api: SocketAddr = self.cloud.endpoint().trim_start_matches("http://").parse().unwrap();
        get(api, "/sim/faults").await.unwrap().1 == "[]"
    }

    /// Everything that it shows to Prometheus.
    pub(crate) async fn metrics(&self) -> String {
        self.get("/metrics").await.unwrap().1
    }

    /// Adds to the end of the configuration.
    pub(crate) fn add_to_config(&self, more: &str) {
        let text = std::fs::read_to_string(self.config()).unwrap();
        std::fs::write(self.config(), text + more).unwrap();
    }

    /// Sends SIGHUP, and waits until the daemon has taken the configuration, or has refused it.
    pub(crate) async fn reload(&self) -> Reloaded {
        let answers = |log: &str| {
            ["reloaded the configuration", "refused to reload"].map(|answer| log.matches(answer).count())
        };
        let before = answers(&self.log());
        self.signal("HUP");
        let end = instant_now() + DEADLINE;
        loop {
            let [taken, refused] = answers(&self.log());
            if taken > before[0] {
                return Reloaded::Taken;
            }
            if refused > before[1] {
                return Reloaded::Refused;
            }
            assert!(instant_now() < end, "no answer to SIGHUP:\n{}", self.log());
            sleep(BLINK).await;
        }
    }

    /// Sends a signal and goes on.
    pub(crate) fn signal(&self, signal: &str) {
        self.daemon().signal(signal);
    }

    /// Everything that the daemon said so far.
    pub(crate) fn log(&self) -> String {
        self.daemon().log()
    }

    /// Sends a signal such as `TERM` and waits for the end: how it ended, and how long that took.
    pub(crate) async fn stop(&mut self, signal: &str) -> (ExitStatus, Duration) {
        self.daemon.as_mut().unwrap().end(signal).await
    }

    /// The region's application answers 503 from now on.
    pub(crate) async fn break_region(&self, name: &str) {
        self.cloud.region(name).unwrap().endpoint(EndpointState::Status { status: 503 }).await.unwrap();
    }

    /// It answers 200 again.
    pub(crate) async fn mend_region(&self, name: &str) {
        self.cloud.region(name).unwrap().endpoint(EndpointState::Serve).await.unwrap();
    }

    /// How many writes of ours the zone has taken up.
    pub(crate) fn writes(&self) -> usize {
        let us = &self.cloud.setup().access_key;
        self.cloud.history().iter().filter(|version| version.written_by == *us).count()
    }

    /// No version of the record set was ever empty, lost [`FOREIGN`] once it was there, or was one too many.
    pub(crate) fn assert_history_is_harmless(&self) {
        let history = self.cloud.history();
        let budget = 6;
        assert!(self.writes() <= budget, "more writes than write_budget allows: {history:#?}");
        let holds = |values: &[String], value: IpAddr| values.iter().any(|text| text.parse() == Ok(value));
        for pair in history.windows(2) {
            let [before, after] = pair else { unreachable!() };
            assert!(
                [EIP1, EIP2].iter().any(|ours| holds(&after.values, *ours)),
                "no region is left: {history:#?}"
            );
            let kept = !holds(&before.values, FOREIGN) || holds(&after.values, FOREIGN);
            assert!(kept, "somebody else's value is gone: {history:#?}");
        }
    }

    /// No region was so much as suspected, and nothing was written.
    pub(crate) fn assert_nothing_happened(&self) {
        let log = self.log();
        assert!(!log.contains("to=suspect") && !log.contains("to=down"), "a region fell:\n{log}");
        assert_eq!(self.writes(), 0, "{:#?}\n{log}", self.cloud.history());
    }
}

impl Now {
    pub(crate) fn region(&self, name: &str) -> &Value {
        let regions = self.service["regions"].as_array();
        regions.and_then(|all| all.iter().find(|region| region["name"] == name)).unwrap_or(&Value::Null)
    }

    pub(crate) fn liveness(&self, region: &str) -> &str {
        self.region(region)["liveness"].as_str().unwrap_or("not told")
    }

    pub(crate) fn check(&self, region: &str, name: &str) -> &Value {
        let checks = self.region(region)["checks"].as_array();
        checks.and_then(|all| all.iter().find(|check| check["name"] == name)).unwrap_or(&Value::Null)
    }

    /// Whether something of that name is alarmed, of that region if one is named.
    pub(crate) fn alarmed(&self, alarm: &str, region: Option<&str>) -> bool {
        let alarms = self.service["alarms"].as_array();
        alarms.is_some_and(|all| all.iter().any(|it| it["alarm"] == alarm && it["region"].as_str() == region))
    }

    /// Whether something of that name is alarmed of the daemon itself.
    pub(crate) fn daemon_alarmed(&self, alarm: &str) -> bool {
        self.alarms.as_array().is_some_and(|all| all.iter().any(|it| it["alarm"] == alarm))
    }

    /// Both regions are up, the zone holds what is wanted, and nothing is alarmed.
    pub(crate) fn all_well(&self) -> bool {
        REGIONS.iter().all(|region| self.liveness(region) == "up")
            && self.service["record_set"]["in_sync"] == true
            && self.service["alarms"].as_array().is_some_and(Vec::is_empty)
    }

    pub(crate) fn zone_holds(&self, values: &[IpAddr]) -> bool {
        self.zone == values.iter().copied().collect()
    }
}

/// Plays a story for each case, all at once since most of their time is waiting, and tells which went wrong.
pub(crate) async fn all_at_once<Case, Story>(
    cases: impl IntoIterator<Item = Case>,
    story: impl Fn(Case) -> Story,
) where
    Case: fmt::Debug,
    Story: Future<Output = ()> + Send + 'static,
{
    let mut playing = JoinSet::new();
    let mut names = BTreeMap::new();
    for case in cases {
        let name = format!("{case:?}");
        names.insert(playing.spawn(story(case)).id().to_string(), name);
    }
    let mut failed = Vec::new();
    while let Some(ended) = playing.join_next().await {
        failed.extend(ended.err().map(|error| &names[&error.id().to_string()]));
    }
    assert!(failed.is_empty(), "{} of {} stories failed, see above: {failed:#?}", failed.len(), names.len());
}

async fn get(server: SocketAddr, path: &str) -> Option<(u16, String)> {
    let exchange = async {
        let mut stream = TcpStream::connect(server).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = timeout(ANSWER_WITHIN, exchange).await.ok()?.ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

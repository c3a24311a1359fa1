//! The built daemon against the simulated cloud, each on loopback, quick enough for a test.
#![expect(dead_code, reason = "each test file uses its part of it")]

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use pointsman::clock::instant_now;
use pointsman::sim::{Setup, SimulatedCloud};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// Far more than anything here takes on an idle machine; the test machines are not always idle.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A secret key that is easy to find wherever it leaks.
pub(crate) const MARKED_KEY: &str = "MarkedSecretKeyThatNobodyMayEverSee00000";

/// Looks ten times as fast as by default.
const QUICK: &str = "interval = \"400ms\"\nfast_interval = \"100ms\"\ntimeout = \"400ms\"\nfall = 3\nrise = 2\n\
                     recover_after = \"800ms\"\n";

pub(crate) struct World {
    pub(crate) cloud: SimulatedCloud,
    pub(crate) config: PathBuf,
    folder: TempDir,
}

impl World {
    /// A cloud with two regions, and a configuration that looks at them in every way.
    pub(crate) async fn new() -> Self {
        let mut setup = Setup::two_regions();
        setup.notice = Duration::from_secs(1);
        Self::with(setup, |cloud| {
            let mut regions = String::new();
            for region in &cloud.setup().regions {
                writeln!(
                    regions,
                    "[[service.region]]\nname = \"{}\"\ncloud_region = \"{}\"\nelb = \"{}\"\nlistener_port = {}",
                    region.name, region.cloud_region, region.elb_id, region.listener_port
                )
                .unwrap();
            }
            format!("{}{}{}{regions}", check("web", "http"), check("elb", "elb"), check("eip", "eip"))
        })
        .await
    }

    /// A cloud of that setup, and a service with the checks and regions that `service` writes.
    pub(crate) async fn with(mut setup: Setup, service: impl Fn(&SimulatedCloud) -> String) -> Self {
        setup.secret_key = pointsman::model::Secret::new(MARKED_KEY);
        let cloud = SimulatedCloud::start(setup).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("pointsman.toml");
        let at = cloud.endpoint();
        let text = format!(
            "[daemon]\nlisten = \"127.0.0.1:0\"\nresync = \"2s\"\n\
             [cloud.main]\nregion = \"cn-north-4\"\n\
             endpoints = {{ iam = \"{at}\", elb = \"{at}\", eip = \"{at}\", dns = \"{at}\" }}\n\
             [dns.private]\nkind = \"huawei\"\nzone = \"{}\"\nzone_type = \"private\"\n\
             [defaults]\n{QUICK}[[service]]\nname = \"demo\"\ndomain = \"{}\"\n{}",
            cloud.setup().zone,
            cloud.setup().record,
            service(&cloud)
        );
        std::fs::write(&config, text).unwrap();
        Self { cloud, config, folder }
    }

    /// The program with this world's configuration and keys.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pointsman"));
        command
            .args(arguments)
            .args(["--config".as_ref(), self.config.as_os_str()])
            .env_remove("RUST_LOG")
            .env("HUAWEICLOUD_SDK_AK", &self.cloud.setup().access_key)
            .env("HUAWEICLOUD_SDK_SK", MARKED_KEY);
        command
    }

    /// Runs it to its end, without holding up the simulated cloud.
    pub(crate) async fn output(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap()
    }

    /// Starts the daemon and waits until it says where it listens.
    pub(crate) async fn daemon(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Daemon {
        let log = self.folder.path().join("log");
        let mut command = self.command(&["run"]);
        command.args(arguments).envs(environment.iter().copied());
        command.stderr(Stdio::from(std::fs::File::create(&log).unwrap()));
        let child = command.spawn().unwrap();
        let mut daemon = Daemon { child, log, admin: SocketAddr::from(([127, 0, 0, 1], 0)) };
        until("the daemon says where it listens", async || daemon.said("listen")).await;
        let text = daemon.log();
        let at = text.split("listen").nth(1).unwrap().trim_start_matches(['=', '"', ':']);
        let end = at.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':').unwrap_or(at.len());
        daemon.admin = at[..end].parse().unwrap();
        daemon
    }

    /// Waits until the zone holds exactly these.
    pub(crate) async fn zone_is(&self, addresses: &[IpAddr]) {
        let what = format!("the zone holds {addresses:?}");
        until(&what, async || {
            let mut there = self.cloud.zone_values();
            there.sort_unstable();
            there == addresses
        })
        .await;
    }

    /// The EIPs of the cloud's regions, in ascending order.
    pub(crate) fn eips(&self) -> Vec<IpAddr> {
        self.cloud.setup().regions.iter().map(|region| region.eip.into()).collect()
    }

    /// How many versions of the record set came after the first.
    pub(crate) fn writes(&self) -> usize {
        self.cloud.history().len() - 1
    }
}

/// A running daemon; killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    log: PathBuf,
    pub(crate) admin: SocketAddr,
}

impl Daemon {
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    fn said(&self, word: &str) -> bool {
        self.log().contains(word)
    }

    /// Waits until a line of its log has this in it.
    pub(crate) async fn says(&self, what: &str) {
        until(&format!("the daemon says {what:?}"), async || self.said(what)).await;
    }

    /// Waits until every region has a verdict.
    pub(crate) async fn ready(&self) {
        until("the daemon is ready", async || get(self.admin, "/readyz").await.0 == 200).await;
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for its end; panics when it does not come within `within`.
    pub(crate) async fn ends(&mut self, within: Duration) -> ExitStatus {
        let deadline = instant_now() + within;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(instant_now() < deadline, "still there after {within:?}: {}", self.log());
            sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A check without further keys.
pub(crate) fn check(name: &str, kind: &str) -> String {
    format!("[[service.check]]\nname = \"{name}\"\nkind = \"{kind}\"\n")
}

/// Waits for something to come true; says what it was that did not.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = instant_now() + PATIENCE;
    while !holds().await {
        assert!(instant_now() < deadline, "waited {PATIENCE:?} in vain until {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// Status and body of a GET; status 0 when nobody answers.
pub(crate) async fn get(at: SocketAddr, path: &str) -> (u16, String) {
    let exchange = async {
        let mut stream = TcpStream::connect(at).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = timeout(PATIENCE, exchange).await.unwrap().unwrap_or_default();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
}

/// A port that is free on all of these addresses.
pub(crate) fn free_port(addresses: &[IpAddr]) -> u16 {
    for _ in 0..100 {
        let first = std::net::TcpListener::bind((addresses[0], 0)).unwrap();
        let port = first.local_addr().unwrap().port();
        if addresses[1..].iter().all(|address| std::net::TcpListener::bind((*address, port)).is_ok()) {
            return port;
        }
    }
    panic!("no port is free on all of {addresses:?}");
}

/// A program that a test needs, from Debian's packages.
pub(crate) fn needs(program: &str, package: &str) -> PathBuf {
    let places = ["/usr/sbin", "/usr/bin", "/usr/local/bin"];
    let found = places.iter().map(|place| Path::new(place).join(program)).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("this test needs {program}: run ./test, or apt-get install {package}"))
}

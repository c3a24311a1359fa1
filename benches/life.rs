//! What a restart and a reload cost: how soon there are verdicts again, with a journal and without, and how long a reload of
//! 500 services takes while their looks go on. `cargo bench --bench life` takes about a minute.
#![expect(clippy::print_stdout, reason = "printing is what a benchmark is for")]

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use pointsman::clock::instant_now;
use pointsman::sim::{Setup, SimulatedCloud};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const SERVICES: usize = 500;
/// What a reload of them may take.
const RELOAD_WITHIN: Duration = Duration::from_millis(200);
/// A restart may take this and a look; a look of the default checks at loopback takes next to nothing.
const VERDICTS_WITHIN: Duration = Duration::from_secs(1);
/// Where the two regions of each service are.
const ADDRESSES: [&str; 2] = ["127.0.0.1", "127.0.0.2"];
/// A look that starts later than this was held up: the bound of the histogram's bucket that is read.
const LATE: &str = "0.1";

/// A daemon, ended whatever happens here.
struct Daemon {
    child: Child,
    log: BufReader<ChildStderr>,
    listens: String,
}

impl Daemon {
    fn start(config: &Path) -> anyhow::Result<Self> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_pointsman"))
            .args(["run".as_ref(), "--config".as_ref(), config.as_os_str()])
            .env_remove("RUST_LOG")
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start the daemon")?;
        let log = BufReader::new(child.stderr.take().context("no stderr")?);
        let mut daemon = Self { child, log, listens: String::new() };
        let line = daemon.line_with("listen=")?;
        let listens = line.split("listen=").nth(1).and_then(|rest| rest.split(' ').next());
        daemon.listens.push_str(listens.context("it does not say where it listens")?);
        Ok(daemon)
    }

    /// Reads its log up to a line that has this in it.
    fn line_with(&mut self, text: &str) -> anyhow::Result<String> {
        let mut said = String::new();
        loop {
            let mut line = String::new();
            anyhow::ensure!(self.log.read_line(&mut line)? > 0, "it ended before it said {text:?}:\n{said}");
            if line.contains(text) {
                return Ok(line);
            }
            said += &line;
        }
    }

    async fn get(&self, path: &str) -> anyhow::Result<String> {
        let answer =
            reqwest::Client::builder().no_proxy().build()?.get(format!("http://{}{path}", self.listens));
        Ok(answer.send().await?.text().await?)
    }

    fn signal(&self, signal: &str) -> anyhow::Result<()> {
        let kill = format!("kill -{signal} {}", self.child.id());
        anyhow::ensure!(
            Command::new("sh").args(["-c", &kill]).status()?.success(),
            "cannot signal the daemon"
        );
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() -> anyhow::Result<()> {
    rustls::crypto::ring::default_provider().install_default().ok();
    let cloud = SimulatedCloud::start(Setup::two_regions()).await?;
    let folder = tempfile::tempdir()?;
    restart(&cloud, folder.path())?;
    reload(&cloud, folder.path()).await
}

/// From the process's start to verdicts on every region: the first time, and after a hard end.
fn restart(cloud: &SimulatedCloud, folder: &Path) -> anyhow::Result<()> {
    let file = folder.join("restart.toml");
    let mut text = head(cloud, &folder.join("restart"))?;
    text.push_str("[[service]]\nname = \"demo\"\ndomain = \"demo.localdev.me\"\n");
    for (name, kind) in [("web", "http"), ("elb", "elb"), ("eip", "eip")] {
        write!(text, "[[service.check]]\nname = \"{name}\"\nkind = \"{kind}\"\n")?;
    }
    for region in &cloud.setup().regions {
        write!(
            text,
            "[[service.region]]\nname = \"{}\"\ncloud_region = \"{}\"\nelb = \"{}\"\nlistener_port = {}\n",
            region.name, region.cloud_region, region.elb_id, region.listener_port
        )?;
    }
    std::fs::write(&file, text)?;
    println!("from the start of the process to verdicts on both regions:");
    for what in ["the first time", "after kill -9"] {
        let began = instant_now();
        let mut daemon = Daemon::start(&file)?;
        daemon.line_with("ready:")?;
        let took = began.elapsed();
        // What it found last is on its way to the journal.
        std::thread::sleep(Duration::from_secs(1));
        let share = took.as_secs_f64() / VERDICTS_WITHIN.as_secs_f64() * 100.0;
        println!(
            "  {what:16} {:7.1} ms  {share:5.1} % of the {VERDICTS_WITHIN:?} and a look allowed",
            took.as_secs_f64() * 1e3
        );
    }
    Ok(())
}

/// How long a reload takes, and how many looks it held up.
async fn reload(cloud: &SimulatedCloud, folder: &Path) -> anyhow::Result<()> {
    let first = TcpListener::bind((ADDRESSES[0], 0)).await?;
    let port = first.local_addr()?.port();
    let second = TcpListener::bind((ADDRESSES[1], port)).await?;
    let mut tasks = JoinSet::new();
    for endpoint in [first, second] {
        tasks.spawn(async move { while endpoint.accept().await.is_ok() {} });
    }
    let file = folder.join("reload.toml");
    let head = head(cloud, &folder.join("reload"))?;
    let configuration = |services: usize| -> anyhow::Result<String> {
        let mut text = head.clone();
        for service in 0..services {
            write!(
                text,
                "[[service]]\nname = \"s{service}\"\ndomain = \"s{service}.localdev.me\"\ninterval = \"1s\"\n\
                 [[service.check]]\nname = \"port\"\nkind = \"tcp\"\nport = {port}\n"
            )?;
            for address in ADDRESSES {
                write!(text, "[[service.region]]\nname = \"r{address}\"\naddress = [\"{address}\"]\n")?;
            }
        }
        Ok(text)
    };
    std::fs::write(&file, configuration(SERVICES)?)?;
    let mut daemon = Daemon::start(&file)?;
    daemon.line_with("ready:")?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let before = Looks::of(&daemon).await?;
    println!("a reload of {SERVICES} services, {} checks that look every second:", 2 * SERVICES);
    for (what, services) in
        [("nothing changed", SERVICES), ("one service more", SERVICES + 1), ("one less again", SERVICES)]
    {
        std::fs::write(&file, configuration(services)?)?;
        let began = instant_now();
        daemon.signal("HUP")?;
        daemon.line_with("reloaded the configuration")?;
        let took = began.elapsed();
        let share = took.as_secs_f64() / RELOAD_WITHIN.as_secs_f64() * 100.0;
        println!(
            "  {what:16} {:7.1} ms  {share:5.1} % of the {RELOAD_WITHIN:?} allowed",
            took.as_secs_f64() * 1e3
        );
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    let after = Looks::of(&daemon).await?;
    println!(
        "  looks meanwhile  {:7}, {} of them started more than {LATE} s late",
        after.all - before.all,
        after.late - before.late
    );
    Ok(())
}

/// How many looks there were, and how many of them were late.
struct Looks {
    all: u64,
    late: u64,
}

impl Looks {
    async fn of(daemon: &Daemon) -> anyhow::Result<Self> {
        let metrics = daemon.get("/metrics").await?;
        let value = |name: &str| -> anyhow::Result<u64> {
            let line = metrics.lines().find_map(|line| line.strip_prefix(name)).context("no such series")?;
            Ok(line.trim().parse()?)
        };
        let all = value("pointsman_probe_lateness_seconds_count ")?;
        let early = value(&format!("pointsman_probe_lateness_seconds_bucket{{le=\"{LATE}\"}} "))?;
        Ok(Self { all, late: all - early })
    }
}

/// The daemon, the account and the zone; defaults all over, only the addresses are the simulator's.
fn head(cloud: &SimulatedCloud, state: &Path) -> anyhow::Result<String> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let (setup, at) = (cloud.setup(), cloud.endpoint());
    let key_file = state.with_extension("key");
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).mode(0o600).truncate(true).open(&key_file)?;
    std::io::Write::write_all(&mut file, setup.secret_key.expose().as_bytes())?;
    Ok(format!(
        "[daemon]\nlisten = \"127.0.0.1:0\"\nstate_dir = \"{}\"\n[cloud.main]\nregion = \"cn-north-4\"\n\
         access_key = \"{}\"\nsecret_key_file = \"{}\"\n\
         endpoints = {{ iam = \"{at}\", elb = \"{at}\", eip = \"{at}\", dns = \"{at}\" }}\n\
         [dns.private]\nkind = \"huawei\"\nzone = \"{}\"\nzone_type = \"private\"\n",
        state.display(),
        setup.access_key,
        key_file.display(),
        setup.zone
    ))
}

//! What one event costs among few services and among many: every service loses one of its two regions at once, and the CPU
//! time that the built binary takes for it is read from the system. The cost of one service must not grow with the
//! number of the others. `cargo bench --bench crowd` takes about a minute; `-- 500 5000` are the numbers of services.
#![expect(clippy::print_stdout, reason = "printing is what a benchmark is for")]

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use pointsman::sim::{Setup, SimulatedCloud};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const SERVICES: [usize; 2] = [500, 5_000];
/// Where the two regions of each service are; the first one dies.
const ADDRESSES: [&str; 2] = ["127.0.0.1", "127.0.0.2"];

/// A daemon, ended whatever happens here.
struct Daemon {
    child: Child,
    log: BufReader<ChildStderr>,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() -> anyhow::Result<()> {
    let asked: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let sizes = if asked.is_empty() { SERVICES.to_vec() } else { asked };
    let cloud = SimulatedCloud::start(Setup::two_regions()).await?;
    let mut costs = Vec::new();
    for services in sizes {
        let cost = death(&cloud, services).await?;
        println!("{services:6} services lose a region at once: {:8.3} ms of CPU a service", cost * 1e3);
        costs.push(cost);
    }
    if let (Some(few), Some(many)) = (costs.first(), costs.last()) {
        println!("among many a service costs {:.2} times what it costs among few", many / few);
    }
    Ok(())
}

/// CPU seconds a service, from the death of one region of each until the last of them is down.
async fn death(cloud: &SimulatedCloud, services: usize) -> anyhow::Result<f64> {
    let folder = tempfile::tempdir()?;
    let first = TcpListener::bind((ADDRESSES[0], 0)).await?;
    let port = first.local_addr()?.port();
    let second = TcpListener::bind((ADDRESSES[1], port)).await?;
    let mut endpoints = JoinSet::new();
    let dies = endpoints.spawn(accept(first));
    endpoints.spawn(accept(second));
    let file = folder.path().join("crowd.toml");
    fs::write(&file, configuration(cloud, folder.path(), services, port)?)?;
    let mut child = Command::new(env!("CARGO_BIN_EXE_pointsman"))
        .args(["run".as_ref(), "--config".as_ref(), file.as_os_str()])
        .env_remove("RUST_LOG")
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start the daemon")?;
    let log = BufReader::new(child.stderr.take().context("no stderr")?);
    let mut daemon = Daemon { child, log };
    let proc = PathBuf::from(format!("/proc/{}/task", daemon.child.id()));
    daemon = lines_with(daemon, "to=up", 2 * services).await?;
    let before = cpu_seconds(&proc)?;
    dies.abort();
    let _daemon = lines_with(daemon, "to=down", services).await?;
    Ok((cpu_seconds(&proc)? - before) / f64::from(u32::try_from(services)?))
}

async fn accept(endpoint: TcpListener) {
    while endpoint.accept().await.is_ok() {}
}

/// Reads its log until so many lines have this in them.
async fn lines_with(mut daemon: Daemon, text: &'static str, count: usize) -> anyhow::Result<Daemon> {
    let read = move || {
        let mut found = 0;
        while found < count {
            let mut line = String::new();
            anyhow::ensure!(daemon.log.read_line(&mut line)? > 0, "it ended with {found} lines of {text:?}");
            found += usize::from(line.contains(text));
        }
        Ok(daemon)
    };
    tokio::task::spawn_blocking(read).await?
}

fn configuration(
    cloud: &SimulatedCloud,
    folder: &Path,
    services: usize,
    port: u16,
) -> anyhow::Result<String> {
    let (setup, at, key_file) = (cloud.setup(), cloud.endpoint(), folder.join("secret.key"));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&key_file)?;
    file.write_all(setup.secret_key.expose().as_bytes())?;
    let mut text = format!(
        "[daemon]\nlisten = \"127.0.0.1:0\"\nstate_dir = \"{}\"\n[cloud.main]\nregion = \"cn-north-4\"\n\
         access_key = \"{}\"\nsecret_key_file = \"{}\"\n\
         endpoints = {{ iam = \"{at}\", elb = \"{at}\", eip = \"{at}\", dns = \"{at}\" }}\n\
         [dns.private]\nkind = \"huawei\"\nzone = \"{}\"\nzone_type = \"private\"\n",
        folder.join("state").display(),
        setup.access_key,
        key_file.display(),
        setup.zone
    );
    for service in 0..services {
        write!(
            text,
            "[[service]]\nname = \"s{service}\"\ndomain = \"s{service}.localdev.me\"\n\
             [[service.check]]\nname = \"port\"\nkind = \"tcp\"\nport = {port}\n"
        )?;
        for address in ADDRESSES {
            write!(text, "[[service.region]]\nname = \"r{address}\"\naddress = [\"{address}\"]\n")?;
        }
    }
    Ok(text)
}

/// CPU time of all its threads; finer than the ticks of `/proc/PID/stat`.
fn cpu_seconds(tasks: &Path) -> anyhow::Result<f64> {
    let mut nanoseconds = 0;
    for task in fs::read_dir(tasks)? {
        // A thread may have ended meanwhile.
        let Ok(times) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
        let ran = times.split_whitespace().next().context("an empty schedstat")?;
        nanoseconds += ran.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanoseconds).as_secs_f64())
}

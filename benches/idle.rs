//! What an idle daemon costs: the built binary watches 2 services in 2 regions of the simulated cloud, as configured
//! by default, and its memory and CPU time are read from the system. `cargo bench --bench idle` runs it for a minute and a half.
#![expect(clippy::print_stdout, reason = "printing is what a benchmark is for")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use pointsman::sim::{Setup, SimulatedCloud};

/// Past the default `recover_after`, so that nothing waits for anything any more.
const WARM_UP: Duration = Duration::from_secs(50);
const MEASURED: Duration = Duration::from_secs(40);
/// What the design asks for at most: resident MB, percent of one core, MB of binary.
const BOUNDS: (f64, f64, f64) = (25.0, 0.5, 20.0);
/// Clock ticks a second in /proc; Linux has shown 100 on every platform for twenty years.
const TICKS: f64 = 100.0;

/// Ends the daemon whatever happens here.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let cloud = SimulatedCloud::start(Setup::two_regions()).await?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("idle.toml");
    std::fs::write(&file, configuration(&cloud, folder.path())?)?;
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_pointsman"));
    let child = Command::new(&binary)
        .args(["run".as_ref(), "--config".as_ref(), file.as_os_str()])
        .env("HUAWEICLOUD_SDK_AK", &cloud.setup().access_key)
        .env("HUAWEICLOUD_SDK_SK", cloud.setup().secret_key.expose())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start the daemon")?;
    let mut running = Running(child);
    let proc = PathBuf::from(format!("/proc/{}", running.0.id()));

    tokio::time::sleep(WARM_UP).await;
    let (before, written_before) = (cpu_seconds(&proc)?, written_bytes(&proc)?);
    tokio::time::sleep(MEASURED).await;
    let cpu = (cpu_seconds(&proc)? - before) / MEASURED.as_secs_f64() * 100.0;
    let written = written_bytes(&proc)? - written_before;
    let resident = resident_mb(&proc)?;
    anyhow::ensure!(running.0.try_wait()?.is_none(), "the daemon ended by itself");
    let size = std::fs::metadata(&binary)?.len();
    let size = f64::from(u32::try_from(size)?) / 1e6;

    println!("idle, 2 services x 2 regions, 12 checks:");
    println!(
        "  resident  {resident:6.1} MB  {:5.1} % of the {} MB allowed",
        resident / BOUNDS.0 * 100.0,
        BOUNDS.0
    );
    println!(
        "  CPU       {cpu:6.2} %   {:5.1} % of the {} % of a core allowed",
        cpu / BOUNDS.1 * 100.0,
        BOUNDS.1
    );
    println!("  binary    {size:6.1} MB  {:5.1} % of the {} MB allowed", size / BOUNDS.2 * 100.0, BOUNDS.2);
    println!(
        "  disk      {written:6} B   in {} s, of 0 that an idle daemon should write in a minute",
        MEASURED.as_secs()
    );
    Ok(())
}

/// Defaults all over; only the addresses are the simulator's.
fn configuration(cloud: &SimulatedCloud, folder: &Path) -> anyhow::Result<String> {
    let (setup, at, state) = (cloud.setup(), cloud.endpoint(), folder.join("state"));
    let mut text = format!(
        "[daemon]\nlisten = \"127.0.0.1:0\"\nstate_dir = \"{}\"\n[cloud.main]\nregion = \"cn-north-4\"\n\
         endpoints = {{ iam = \"{at}\", elb = \"{at}\", eip = \"{at}\", dns = \"{at}\" }}\n\
         [dns.private]\nkind = \"huawei\"\nzone = \"{}\"\nzone_type = \"private\"\n",
        state.display(),
        setup.zone
    );
    for service in ["demo", "other"] {
        write!(
            text,
            "[[service]]\nname = \"{service}\"\ndomain = \"{service}.{}\"\ncreate = true\n",
            setup.zone
        )?;
        for (name, kind) in [("web", "http"), ("elb", "elb"), ("eip", "eip")] {
            write!(text, "[[service.check]]\nname = \"{name}\"\nkind = \"{kind}\"\n")?;
        }
        for region in &setup.regions {
            write!(
                text,
                "[[service.region]]\nname = \"{}\"\ncloud_region = \"{}\"\nelb = \"{}\"\nlistener_port = {}\n",
                region.name, region.cloud_region, region.elb_id, region.listener_port
            )?;
        }
    }
    Ok(text)
}

fn cpu_seconds(proc: &Path) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(proc.join("stat"))?;
    // The name in brackets may hold spaces; the times are the 12th and 13th fields after it.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| -> anyhow::Result<f64> { Ok(fields.get(at).context("a short stat")?.parse()?) };
    Ok((ticks(11)? + ticks(12)?) / TICKS)
}

/// What was handed to the disk so far, the journal's pages among it.
fn written_bytes(proc: &Path) -> anyhow::Result<u64> {
    let io = std::fs::read_to_string(proc.join("io"))?;
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes:")).context("no write_bytes")?;
    Ok(line.trim().parse()?)
}

fn resident_mb(proc: &Path) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(proc.join("status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib * 1.024e-3)
}

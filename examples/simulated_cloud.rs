//! Runs a simulated cloud by itself, for scripts and other languages.
//!
//! Prints one line of JSON (endpoint, DNS address, keys, ids), then runs until SIGINT, SIGTERM or the end of
//! its standard input. Turn its switches over HTTP, under `/sim`. With `--weighted` its zone is public, served at
//! 127.0.0.1:15353, and each region has a record set of its own there, of weight 90 and 10.

use std::io::{Read as _, Write as _};

use anyhow::Context as _;
use futures_util::StreamExt as _;
use pointsman::sim::{MoreSet, RegionSetup, Setup, SimulatedCloud};
use serde_json::json;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook_tokio::Signals;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let setup = match std::env::args().nth(1).as_deref() {
        None => Setup::two_regions(),
        Some("--weighted") => weighted(),
        Some(other) => anyhow::bail!("{other}: the only option is --weighted"),
    };
    let keys = json!({"access_key": setup.access_key, "secret_key": setup.secret_key.expose()});
    let cloud = SimulatedCloud::start(setup).await.context("cannot start the simulated cloud")?;
    let mut about = cloud.describe();
    if let (Some(about), Some(keys)) = (about.as_object_mut(), keys.as_object()) {
        about.extend(keys.clone());
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "{about}").and_then(|()| out.flush()).context("cannot tell where it listens")?;
    drop(out);
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("cannot wait for signals")?;
    tokio::select! {
        _ = signals.next() => {}
        () = end_of_input() => {}
    }
    cloud.stop().await;
    Ok(())
}

fn weighted() -> Setup {
    let two = Setup::two_regions().in_a_public_zone();
    let set = |(region, weight): (&RegionSetup, u16)| MoreSet {
        record_type: "A".to_owned(),
        line: "default_view".to_owned(),
        weight: Some(weight),
        values: vec![region.eip.into()],
    };
    let more_sets = two.regions.iter().zip([90, 10]).map(set).collect();
    Setup { more_sets, values: Some(Vec::new()), dns_bind: ([127, 0, 0, 1], 15_353).into(), ..two }
}

/// A thread of its own: a blocking read cannot be cancelled, and must not hold the runtime's end up.
async fn end_of_input() {
    let (ended, end) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut sink = [0; 256];
        while matches!(std::io::stdin().read(&mut sink), Ok(1..)) {}
        let _ = ended.send(());
    });
    let _ = end.await;
}

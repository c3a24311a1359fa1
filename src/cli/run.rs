use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use futures_util::StreamExt as _;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook_tokio::Signals;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::ConfigFile;
use crate::daemon::Daemon;
use crate::log;

/// Watch the regions and keep the record sets right, until stopped
///
/// Looks at every region, decides, and writes record sets when the regions that are alive change. Logs every
/// transition, plan and write to stderr; shows metrics, health and status on the address that `listen` names.
/// SIGTERM and SIGINT stop it within 5 s and leave every record set as it is.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 after SIGTERM or SIGINT, 1 an error.")]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigFile,

    /// Look, decide and log, but write nothing, whatever the configuration says
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn execute(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let (mut config, warnings) = arguments.config.load()?;
    config.daemon.dry_run |= arguments.dry_run;
    log::start(&config.daemon.log)?;
    for warning in warnings {
        warn!("{warning}");
    }
    let (services, dry_run) = (config.services.len(), config.daemon.dry_run);
    let mut signals = Signals::new([SIGTERM, SIGINT]).context("cannot listen to signals")?;
    let daemon = Daemon::new(config).await?;
    let listen = daemon.admin_address().context("cannot tell where the read-only side listens")?;
    info!(services, dry_run, %listen, version = env!("CARGO_PKG_VERSION"), "started");

    let stop = CancellationToken::new();
    let running = daemon.run(stop.clone());
    tokio::pin!(running);
    tokio::select! {
        ended = &mut running => ended?,
        Some(_) = signals.next() => {
            info!("stopping; every record set stays as it is");
            stop.cancel();
            running.await?;
        }
    }
    info!("stopped");
    Ok(ExitCode::SUCCESS)
}

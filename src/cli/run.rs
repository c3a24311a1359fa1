use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use futures_util::future::{Fuse, FusedFuture as _};
use futures_util::{FutureExt as _, StreamExt as _};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook_tokio::Signals;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{ConfigFile, budget, descriptors};
use crate::clock::instant_now;
use crate::config::{Config, LoadError, Problem};
use crate::daemon::{Daemon, Handle};
use crate::log::{self, Logging};

/// Watch the regions and keep the record sets right, until stopped
///
/// Looks at every region, decides, and writes record sets when the regions that are alive change. Logs every
/// transition, plan and write to stderr; shows metrics, health and status on the address that `listen` names.
/// SIGHUP reloads the configuration: a bad one is refused whole, and the running one stays in force. SIGUSR1 logs the
/// whole state. SIGTERM and SIGINT stop it within 5 s and leave every record set as it is.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Exit codes: 0 after SIGTERM or SIGINT, 1 an error.")]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigFile,

    /// Look, decide and log, but write nothing, whatever the configuration says
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn execute(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let (config, warnings) = arguments.load()?;
    // Dropped last, also when an error ends this: what was logged is to be read.
    let logging = log::start(&config.daemon.log)?;
    let files_max = descriptors::raise_limit();
    info!(files_max, "raised the limit of open files as far as this process may");
    tell(&config, &warnings, files_max);
    let (services, dry_run) = (config.services.len(), config.daemon.dry_run);
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR1]).context("cannot listen to signals")?;
    let daemon = Daemon::new(config, logging.dropped()).await?;
    let listen = daemon.admin_address().context("cannot tell where the read-only side listens")?;
    info!(services, dry_run, %listen, version = env!("CARGO_PKG_VERSION"), "started");

    let stop = CancellationToken::new();
    let handle = daemon.handle();
    let running = daemon.run(stop.clone());
    let obeying = async {
        obey(&mut signals, &arguments, &handle, &logging, files_max).await;
        info!("stopping; every record set stays as it is");
        stop.cancel();
    };
    futures_util::future::join(running, obeying).await;
    info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// Does what signals ask for, until one asks for the end. A reload runs beside: its files may lie on a disk that hangs, which
/// must not keep the daemon from stopping. What asks for a reload meanwhile is answered by one more after it.
async fn obey(
    signals: &mut Signals,
    arguments: &Arguments,
    handle: &Handle,
    logging: &Logging,
    files_max: Option<u64>,
) {
    let reloading = Fuse::terminated();
    tokio::pin!(reloading);
    let mut once_more = false;
    loop {
        tokio::select! {
            signal = signals.next() => match signal {
                Some(SIGHUP) if reloading.is_terminated() => {
                    reloading.set(reload(arguments, handle, logging, files_max).fuse());
                }
                Some(SIGHUP) => once_more = true,
                Some(SIGUSR1) => handle.tell_state(),
                Some(_) | None => return,
            },
            () = &mut reloading, if !reloading.is_terminated() => {
                if std::mem::take(&mut once_more) {
                    reloading.set(reload(arguments, handle, logging, files_max).fuse());
                }
            }
        }
    }
}

/// A configuration that is no good changes nothing (RELOAD-OR-KEEP); the log says what is wrong with it.
async fn reload(arguments: &Arguments, handle: &Handle, logging: &Logging, files_max: Option<u64>) {
    let began = instant_now();
    let arguments = arguments.clone();
    let reloaded = handle.reload(move || {
        let (config, warnings) = arguments.load()?;
        tell(&config, &warnings, files_max);
        Ok(config)
    });
    match reloaded.await {
        Ok(config) => {
            let (services, took_ms) = (config.services.len(), began.elapsed().as_millis());
            info!(services, took_ms, "reloaded the configuration");
            // A level that is none was found when the configuration was read.
            if let Err(error) = logging.change_level(&config.daemon.log) {
                warn!("{error}");
            }
        }
        Err(error) => {
            error!("refused to reload, the running configuration stays in force: {}", error.in_words());
        }
    }
}

fn tell(config: &Config, warnings: &[Problem], files_max: Option<u64>) {
    for warning in warnings {
        warn!("{warning}");
    }
    for warning in budget::warnings(config).into_iter().chain(descriptors::warning(config, files_max)) {
        warn!("{warning}");
    }
}

impl Arguments {
    /// The configuration as it is to run, and its warnings.
    fn load(&self) -> Result<(Config, Vec<Problem>), LoadError> {
        let (mut config, warnings) = self.config.load()?;
        config.daemon.dry_run |= self.dry_run;
        Ok((config, warnings))
    }
}

use std::process::ExitCode;

use clap::Args;

use super::ConfigFile;

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

#[expect(clippy::unused_async, reason = "whatever is built here waits for answers")]
pub(super) async fn execute(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { config, dry_run } = arguments;
    anyhow::bail!("run is not built in this binary (config {}, dry run: {dry_run})", config.path.display())
}

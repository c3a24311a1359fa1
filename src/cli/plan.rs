use std::process::ExitCode;

use clap::Args;

use super::ConfigFile;

/// Look once, and print what would be written and why
///
/// Looks at every region once, reads every record set, and prints each region's evidence, the record set
/// now, the record set wanted, and the rules that hold the plan back, if any. Writes nothing.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 nothing to do, 2 a change is due, 1 an error.")]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigFile,
}

#[expect(clippy::unused_async, reason = "whatever is built here waits for answers")]
pub(super) async fn execute(arguments: Arguments) -> anyhow::Result<ExitCode> {
    anyhow::bail!("plan is not built in this binary (config {})", arguments.config.path.display())
}

use std::process::ExitCode;

use clap::Args;

use super::ConfigFile;

/// Tell whether a configuration is right
///
/// Prints every problem at once, each with its file, its line, what is wrong and what to write instead;
/// warnings too. Connects to nothing.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 it is right, perhaps with warnings; 1 it is not, or it cannot be read."
)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigFile,
}

pub(super) fn execute(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    anyhow::bail!("check is not built in this binary (config {})", arguments.config.path.display())
}

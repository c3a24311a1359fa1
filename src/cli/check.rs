use std::io::Write as _;
use std::process::ExitCode;

use clap::Args;

use super::style::CARE;
use super::{ConfigFile, budget, online};
use crate::config;

/// Tell whether a configuration is right
///
/// Prints every problem at once, each with its file, its line, what is wrong and what to write instead;
/// warnings too. Connects to nothing unless --online asks for it.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 it is right, perhaps with warnings; 1 it is not, or it cannot be read. \
                  With --online 1 also when something needed is missing in the cloud, or that cannot be told."
)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigFile,

    /// Ask the cloud too whether everything named is there, and say what the numbers mean; writes nothing
    #[arg(long)]
    online: bool,
}

/// The problems are what was asked for, so they go to stdout: `pointsman check | less`.
pub(super) async fn execute(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let path = &arguments.config.path;
    let loaded = config::load(path);
    // The verdict holds even when nobody reads on: `check | head` must not turn a bad one into success.
    let printed = write!(anstream::stdout(), "{}", config::report(path, &loaded));
    let Ok(loaded) = loaded else { return Ok(ExitCode::FAILURE) };
    printed?;
    for warning in budget::warnings(&loaded.config) {
        writeln!(anstream::stdout(), "{CARE}warning:{CARE:#} {warning}")?;
    }
    if arguments.online {
        return online::check(&loaded.config).await;
    }
    Ok(ExitCode::SUCCESS)
}

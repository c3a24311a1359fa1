use std::io::Write as _;
use std::process::ExitCode;

use clap::Args;

use super::style::{BAD, CARE};
use super::{ConfigFile, budget, online};
use crate::config::{self, Config};
use crate::probe::shortage;
use crate::{huawei, journal};

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
    let mut code = ExitCode::SUCCESS;
    let short = shortage(&loaded.config.services).into_iter().map(|short| short.to_string());
    for refusal in too_open(&loaded.config).into_iter().chain(short) {
        writeln!(anstream::stdout(), "{BAD}refused:{BAD:#} {refusal}")?;
        code = ExitCode::FAILURE;
    }
    if code == ExitCode::SUCCESS && arguments.online {
        return online::check(&loaded.config).await;
    }
    Ok(code)
}

/// Files that the configuration names by the way, and that the daemon will not use because of who else may.
fn too_open(config: &Config) -> Vec<String> {
    let state = journal::judge_access(&config.daemon.state_dir).err();
    let state = state.map(|open| format!("daemon.state_dir: {open}"));
    let keys = config.clouds.iter().filter_map(|(name, cloud)| {
        let open = huawei::judge_credentials_file(&cloud.credentials).err()?;
        Some(format!("cloud.{name}: {open}"))
    });
    state.into_iter().chain(keys).collect()
}

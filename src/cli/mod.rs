//! What a person types, and how it answers.
//!
//! One file a command; each parses its own arguments, prints for people, and returns the exit code that the
//! outside is promised. Decides nothing about regions or records. Nothing imports this. Start at [`parse`].

mod apply;
mod budget;
mod check;
mod demo;
mod descriptors;
mod import;
mod online;
mod plan;
mod probe;
mod run;
mod schema;
pub mod style;
pub mod table;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{self, Config};
use style::{BAD, DIM};

/// Keeps a DNS name pointing at the regions that are alive
///
/// pointsman looks at every region that serves a name, decides which of them are alive, and keeps the
/// name's record set holding the addresses of those: a region that dies leaves the set, and is put back
/// when it has been healthy for a while.
///
/// New here? `pointsman demo` plays a regional failure on this machine in under a minute.
#[derive(Debug, Parser)]
#[command(name = "pointsman", version, max_term_width = 100, after_help = AFTER_HELP)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Exit codes: 0 as it should be, 1 an error. `plan` and `probe` have more; their --help lists them.
RUST_LOG, when set, decides what is logged in place of the configuration.";

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Arguments),
    Run(run::Arguments),
    Check(check::Arguments),
    Plan(plan::Arguments),
    Apply(apply::Arguments),
    Probe(probe::Arguments),
    Import(import::Arguments),
    Schema(schema::Arguments),
}

/// Where the configuration is; the same for every command that needs one.
#[derive(Clone, Debug, Args)]
struct ConfigFile {
    /// The configuration, in TOML
    #[arg(
        long = "config",
        short = 'c',
        value_name = "FILE",
        env = "POINTSMAN_CONFIG",
        default_value = "/etc/pointsman/pointsman.toml"
    )]
    path: PathBuf,
}

impl ConfigFile {
    /// The configuration and its warnings.
    fn load(&self) -> Result<(Config, Vec<config::Problem>), config::LoadError> {
        config::load(&self.path).map(|loaded| (loaded.config, loaded.warnings))
    }
}

/// What was typed.
///
/// # Errors
/// The exit code, when there is nothing more to do: help or the version was asked for and printed (0), or
/// the arguments make no sense and that was said (1, because 2 means something else to `plan` and `probe`).
pub fn parse() -> Result<Cli, ExitCode> {
    Cli::try_parse().map_err(|unusual| {
        // Whoever closed the pipe does not want the rest of the help.
        unusual.print().ok();
        if unusual.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    })
}

/// Carries the command out.
///
/// # Errors
/// Whatever kept it from being carried out; the caller hands it to [`failed`].
pub async fn execute(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Demo(arguments) => demo::execute(arguments).await,
        Command::Run(arguments) => run::execute(arguments).await,
        Command::Check(arguments) => check::execute(arguments).await,
        Command::Plan(arguments) => plan::execute(arguments).await,
        Command::Apply(arguments) => apply::execute(arguments).await,
        Command::Probe(arguments) => probe::execute(arguments).await,
        Command::Import(arguments) => import::execute(arguments),
        Command::Schema(arguments) => schema::execute(&arguments),
    }
}

/// Says on stderr what went wrong and why, and gives the exit code for it. A reader that closed the pipe
/// (`pointsman plan | head`) has seen enough, which is no failure.
#[must_use]
pub fn failed(error: &anyhow::Error) -> ExitCode {
    let closed = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
    };
    if error.chain().any(closed) {
        return ExitCode::SUCCESS;
    }
    let mut stderr = anstream::stderr().lock();
    // With stderr gone there is nobody left to tell.
    writeln!(stderr, "{BAD}error:{BAD:#} {error}").ok();
    for cause in error.chain().skip(1) {
        writeln!(stderr, "  {DIM}because:{DIM:#} {cause}").ok();
    }
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_closed_pipe_is_no_failure_however_deep_it_lies() {
        let closed =
            anyhow::Error::from(io::Error::from(io::ErrorKind::BrokenPipe)).context("cannot print the plan");
        assert_eq!(failed(&closed), ExitCode::SUCCESS);
    }

    #[test]
    fn a_check_is_named_by_service_region_and_check() {
        for good in ["demo/region1/web", "a.b/c-d/e_f"] {
            assert!(Cli::try_parse_from(["pointsman", "probe", good]).is_ok(), "{good} was refused");
        }
        for bad in ["demo", "demo/region1", "demo/region1/web/x", "demo//web", "demo/region 1/web", ""] {
            let said = Cli::try_parse_from(["pointsman", "probe", bad]).unwrap_err().to_string();
            assert!(said.contains("SERVICE/REGION/CHECK"), "{bad}: {said}");
        }
    }
}

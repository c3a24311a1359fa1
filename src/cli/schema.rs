use std::io::Write as _;
use std::process::ExitCode;

use clap::Args;

use crate::config;

/// Print the configuration's JSON Schema, for editors
///
/// An editor that knows it names the keys, says what each is for, and marks what is wrong while one types. What only
/// pointsman can tell is what `pointsman check` is for.
#[derive(Debug, Args)]
#[command(
    after_help = "For instance: pointsman schema > pointsman.schema.json, and at the top of a configuration\n\
                        #:schema ./pointsman.schema.json"
)]
pub(super) struct Arguments {}

pub(super) fn execute(_arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let schema = config::schema();
    writeln!(anstream::stdout(), "{schema:#}")?;
    Ok(ExitCode::SUCCESS)
}

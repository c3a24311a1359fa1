use std::process::ExitCode;

use clap::Args;

use super::ConfigFile;
use crate::model::{CheckKey, CheckName, RegionName, ServiceName};

/// Make one look and trace its phases
///
/// Makes the look of one check, exactly as the daemon would, and prints when each phase ended: connect, TLS,
/// request, answer; then the verdict and the reason for it. Counts nowhere and changes nothing.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 pass, 2 fail, 3 unknown, 1 an error before the look.")]
pub(super) struct Arguments {
    /// Which check: the names of service, region and check
    #[arg(value_name = "SERVICE/REGION/CHECK", value_parser = check_key)]
    check: CheckKey,

    #[command(flatten)]
    config: ConfigFile,
}

#[expect(clippy::unused_async, reason = "whatever is built here waits for answers")]
pub(super) async fn execute(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { check, config } = arguments;
    anyhow::bail!("probe is not built in this binary ({check}, config {})", config.path.display())
}

fn check_key(text: &str) -> anyhow::Result<CheckKey> {
    let mut names = text.split('/');
    let (Some(service), Some(region), Some(check), None) =
        (names.next(), names.next(), names.next(), names.next())
    else {
        anyhow::bail!("write it as SERVICE/REGION/CHECK, for instance demo/region1/web");
    };
    Ok(CheckKey {
        service: ServiceName::parse(service)?,
        region: RegionName::parse(region)?,
        check: CheckName::parse(check)?,
    })
}

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tokio::sync::mpsc;

use super::ConfigFile;
use super::style::{BAD, CARE, GOOD};
use super::table::Table;
use crate::clock::{Clock, instant_now};
use crate::daemon::Wiring;
use crate::huawei::Observe;
use crate::model::{CheckKey, CheckName, Outcome, RegionName, ServiceName};
use crate::probe::{Trace, Vantage};

/// How long the region's addresses are asked for.
const ADDRESS_DEADLINE: Duration = Duration::from_secs(5);

/// Make one look and trace its phases
///
/// Makes the look of one check, exactly as the daemon would, and prints when each phase ended: connect, TLS,
/// request, answer; then the verdict and the reason for it, and whether a reference of [vantage] answered when
/// the look failed. Counts nowhere and changes nothing.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 pass, 2 fail, 3 unknown, 1 an error before the look.")]
pub(super) struct Arguments {
    /// Which check: the names of service, region and check
    #[arg(value_name = "SERVICE/REGION/CHECK", value_parser = check_key)]
    check: CheckKey,

    #[command(flatten)]
    config: ConfigFile,
}

pub(super) async fn execute(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let (config, _warnings) = arguments.config.load()?;
    let wanted = &arguments.check;
    let service = config.services.iter().find(|service| service.name == wanted.service);
    let service = service.with_context(|| format!("there is no service {}", wanted.service))?;
    let region = service.regions.iter().find(|region| region.name == wanted.region);
    let region =
        region.with_context(|| format!("service {} has no region {}", service.name, wanted.region))?;
    let quiet: Observe = Arc::new(|_| {});
    let wiring = Wiring::new(&config, &quiet)?;
    // Room for the one thing that the follower below can tell.
    let (seen, _told) = mpsc::channel(1);
    let mut region = wiring.region(service, region, &seen)?;
    let clock = Clock::start();
    let mut out = anstream::stdout().lock();
    let mut table = Table::new(["phase", "ms", "saw"]);
    if let Some(follower) = &mut region.follower {
        let mut trace = Trace::on();
        follower.look(instant_now() + ADDRESS_DEADLINE, &mut trace).await;
        add(&mut table, "address: ", trace);
    }
    let (_, check, looker) = region
        .lookers
        .iter_mut()
        .find(|(key, ..)| **key == *wanted)
        .with_context(|| format!("{}/{} has no check {}", wanted.service, wanted.region, wanted.check))?;
    let mut trace = Trace::on();
    let started = clock.now();
    let look = looker.look(check.interval, clock.instant(started + check.timeout), &mut trace).await;
    let took = clock.now().since(started);
    let vantage = Vantage::new(&config.vantage.references);
    let look = vantage.judge(look, clock.instant(started), &mut trace).await;
    add(&mut table, "", trace);
    write!(out, "{table}")?;
    let (style, code) = match look.outcome {
        Outcome::Pass => (GOOD, 0),
        Outcome::Fail(_) => (BAD, 2),
        Outcome::Unknown(_) => (CARE, 3),
    };
    let reason = look.outcome.reason().map(|reason| format!(" ({reason})")).unwrap_or_default();
    let (word, ms) = (look.outcome.as_str(), took.as_secs_f64() * 1e3);
    writeln!(out, "{style}{word}{style:#}{reason} after {ms:.1} ms: {}", look.saw)?;
    Ok(ExitCode::from(code))
}

fn add(table: &mut Table, prefix: &str, trace: Trace) {
    for phase in trace.into_phases() {
        let ms = format!("{:.1}", phase.took.as_secs_f64() * 1e3);
        table.row([format!("{prefix}{}", phase.name).into(), ms.into(), phase.saw.into()]);
    }
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

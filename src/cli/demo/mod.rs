mod client;
mod drills;
mod place;
mod report;
mod stage;
mod timeline;

use std::process::ExitCode;

use clap::{Args, ValueEnum};

use place::PlaceKind;
use stage::Stage;

/// Play a regional failure on this machine, and report how it went
///
/// Starts a simulated cloud with two regions and a private zone that you can `dig`, runs the real daemon
/// against it, breaks things, and shows what happens as it happens. Needs no account, no network and no
/// configuration; everything is on loopback and gone afterwards.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 everything went as it must, 1 it did not, or an error.")]
pub(super) struct Arguments {
    /// What happens to the regions
    #[arg(long, value_enum, value_name = "NAME", default_value_t = Scenario::Drill)]
    scenario: Scenario,
    /// Where the record set lives
    #[arg(long, value_enum, value_name = "KIND", default_value_t = PlaceKind::Huawei)]
    dns: PlaceKind,
}

/// The stories that the demo can play.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Scenario {
    /// region1's cluster hibernates and its EIP is unbound; later both return
    Drill,
    /// region1's backends go offline and its endpoint dies
    ClusterDown,
    /// region1 loses its EIP and nothing else
    EipUnbound,
    /// region1's endpoint answers 503
    #[value(name = "endpoint-503")]
    Endpoint503,
    /// Every region dies: the record set must not be emptied
    AllDown,
    /// The cloud's API fails: nothing may be removed
    ApiOutage,
    /// region1 keeps dying and coming back: it must wait longer each time
    Flap,
}

pub(super) async fn execute(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let mut stage = Stage::set(arguments.scenario.timing(), arguments.dns).await?;
    let report = drills::play(&mut stage, arguments.scenario).await;
    stage.strike().await;
    let report = report?;
    report.print(&mut anstream::stdout().lock())?;
    Ok(if report.went_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

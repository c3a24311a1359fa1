use std::process::ExitCode;

use clap::{Args, ValueEnum};

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

#[expect(clippy::unused_async, reason = "whatever is built here waits for answers")]
pub(super) async fn execute(arguments: Arguments) -> anyhow::Result<ExitCode> {
    anyhow::bail!("demo is not built in this binary (scenario {:?})", arguments.scenario)
}

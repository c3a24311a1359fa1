use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use anstyle::Style;
use clap::Args;
use futures_util::future::join_all;

use super::ConfigFile;
use super::style::{BAD, CARE, DIM, GOOD, STRONG};
use super::table::{Cell, Table};
use crate::clock::Clock;
use crate::core::Report;
use crate::daemon::Wiring;
use crate::daemon::once::{self, Change, Outlook};
use crate::huawei::Observe;
use crate::model::{Liveness, addresses_in_words};
use crate::probe::Vantage;

/// Look once, and print what would be written and why
///
/// Looks at every region, reads every record set, and prints each region's evidence, the record set now, the
/// record set wanted, and the rules that hold the plan back, if any. Where a look fails it looks as often as
/// `fall` asks for; a region that is well and not in the set is wanted at once, though the daemon would wait
/// for `recover_after`. Writes nothing.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 nothing to do, 2 a change is due, 1 an error, or it cannot be told.")]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigFile,
}

/// A change is due: something between success and an error, for a script to tell.
const CHANGE_IS_DUE: u8 = 2;

pub(super) async fn execute(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let (config, _warnings) = arguments.config.load()?;
    let quiet: Observe = Arc::new(|_| {});
    let wiring = Wiring::new(&config, &quiet)?;
    let vantage = Vantage::new(&config.vantage.references);
    let clock = Clock::start();
    let outlooks =
        join_all(config.services.iter().map(|service| once::look(&wiring, &vantage, service, clock))).await;
    let mut out = anstream::stdout().lock();
    let mut first = true;
    let (mut due, mut unclear) = (false, false);
    for outlook in outlooks {
        let outlook = outlook?;
        if !std::mem::take(&mut first) {
            writeln!(out)?;
        }
        show(&mut out, &outlook)?;
        due |= matches!(outlook.change, Change::Due(_));
        unclear |= matches!(outlook.change, Change::Unclear(_));
    }
    Ok(match (unclear, due) {
        (true, _) => ExitCode::FAILURE,
        (false, true) => ExitCode::from(CHANGE_IS_DUE),
        (false, false) => ExitCode::SUCCESS,
    })
}

/// Shows the evidence region by region, the record set now and wanted, and what comes of it.
pub(super) fn show(out: &mut impl Write, outlook: &Outlook) -> io::Result<()> {
    let Outlook { status, plan, change } = outlook;
    writeln!(out, "{STRONG}{}{STRONG:#} ({} {})", status.name, status.domain, status.record_type)?;
    let mut table = Table::new(["region", "is", "at", "check", "look", "ms", "saw"]);
    for region in &status.regions {
        let state = Cell::new(style_of(region.liveness), region.liveness.as_str());
        let mut head = vec![region.name.as_str().into(), state, addresses_in_words(&region.addresses).into()];
        for check in &region.checks {
            let look = Cell::new(style_of_look(check.last), check.last.unwrap_or("none"));
            let ms = check.latency_ms.map(|ms| format!("{ms:.1}")).unwrap_or_default();
            head.extend([check.name.as_str().into(), look, ms.into(), check.saw.as_str().into()]);
            table.row(std::mem::replace(&mut head, vec!["".into(), "".into(), "".into()]));
        }
    }
    write!(out, "{table}")?;
    let now = status.record_set.values.as_ref().map_or_else(|| "not known".to_owned(), addresses_in_words);
    let ttl = status.record_set.ttl.map(|ttl| format!(", TTL {ttl}")).unwrap_or_default();
    writeln!(out, "now     {now}{ttl}")?;
    if !status.record_set.foreign.is_empty() {
        writeln!(
            out,
            "        of which not ours, and kept: {}",
            addresses_in_words(&status.record_set.foreign)
        )?;
    }
    if let Some(plan) = plan {
        writeln!(out, "wanted  {}", addresses_in_words(&plan.weighed()))?;
        for region in plan.regions.iter().filter(|region| region.published != region.wanted) {
            let verb = if region.wanted { "enters" } else { "leaves" };
            writeln!(out, "        {} {verb}: {}", region.region, region.because)?;
        }
        for held in &plan.held {
            writeln!(out, "        {CARE}held by {held}{CARE:#}")?;
        }
    }
    match change {
        Change::None => writeln!(out, "{GOOD}nothing to do{GOOD:#}")?,
        Change::Due(report) => {
            write!(out, "{CARE}a change is due{CARE:#}")?;
            if let Report::DryRun { set, .. } = &**report {
                write!(out, ": the set would hold {}", addresses_in_words(set.values()))?;
            }
            writeln!(out)?;
        }
        Change::Unclear(why) => writeln!(out, "{BAD}cannot tell{BAD:#}: {why}")?,
    }
    Ok(())
}

fn style_of(liveness: Liveness) -> Style {
    match liveness {
        Liveness::Up => GOOD,
        Liveness::Suspect | Liveness::Recovering => CARE,
        Liveness::Down => BAD,
        Liveness::Unknown => DIM,
    }
}

fn style_of_look(outcome: Option<&str>) -> Style {
    match outcome {
        Some("pass") => GOOD,
        Some("fail") => BAD,
        Some(_) | None => CARE,
    }
}

use std::io::{self, BufRead as _, IsTerminal as _, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook_tokio::Signals;
use tokio_util::sync::CancellationToken;

use super::ConfigFile;
use super::plan::show;
use super::style::{BAD, CARE, GOOD};
use crate::clock::Clock;
use crate::config::{Config, ProviderKind};
use crate::core::Plan;
use crate::daemon::Wiring;
use crate::daemon::once::{self, Applied, ApplyError, Change, Outlook};
use crate::huawei::Observe;
use crate::model::{Mode, Moment, Service, ServiceName, addresses_in_words};
use crate::probe::Vantage;

/// How old evidence may be when it is acted on; a person who reads and decides needs less.
const EVIDENCE_MAX: Duration = Duration::from_secs(120);

/// Look, decide and write once, without the daemon: break-glass
///
/// Needs this configuration and its keys, and no daemon, journal or admin side. Looks and decides as `plan` does, shows
/// what it would write and asks; then writes each record set once, under the same guard, waits until it is in force and
/// reads it back. A daemon that is running keeps the record sets by what it sees itself; stop it first if it is wrong.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 every record set holds what is wanted, written or not; 1 one does not, with the reason."
)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigFile,

    /// Once, and no more; written out, since nothing watches what comes after
    #[arg(long, required = true)]
    once: bool,

    /// This service alone
    #[arg(long, value_name = "SERVICE", value_parser = ServiceName::parse)]
    only: Option<ServiceName>,

    /// Write without asking
    #[arg(long, short = 'y')]
    yes: bool,
}

/// A record set that is to be written.
struct Due<'c> {
    service: &'c Service,
    plan: Arc<Plan>,
}

pub(super) async fn execute(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let closed = |error: &anyhow::Error| {
        error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    match run(arguments).await {
        // Whoever closed the pipe has seen enough; that the record sets hold what is wanted is another matter.
        Err(error) if closed(&error) => Ok(ExitCode::FAILURE),
        ended => ended,
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let (config, _warnings) = arguments.config.load()?;
    let services = chosen(&config, arguments.only.as_ref())?;
    anyhow::ensure!(
        arguments.yes || io::stdin().is_terminal(),
        "there is no terminal to ask on before writing; nothing was done. Give --yes to write without asking"
    );
    let quiet: Observe = Arc::new(|_| {});
    let wiring = Wiring::new(&config, &quiet)?;
    let vantage = Vantage::new(&config.vantage.references);
    let clock = Clock::start();
    let outlooks =
        join_all(services.iter().map(|service| once::look(&wiring, &vantage, service, clock))).await;
    let mut out = anstream::stdout();
    let mut all_right = true;
    let mut due = Vec::new();
    for (service, outlook) in services.into_iter().zip(outlooks) {
        let outlook = outlook?;
        show(&mut out, &outlook)?;
        let (plan, right) = weigh(&mut out, service, outlook, &config)?;
        all_right &= right;
        due.extend(plan.map(|plan| Due { service, plan }));
        writeln!(out)?;
    }
    if !due.is_empty() {
        all_right &= (arguments.yes || agreed(&mut out, due.len(), clock).await?)
            && write(&mut out, &wiring, &due, clock).await?;
    }
    Ok(if all_right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn chosen<'c>(config: &'c Config, only: Option<&ServiceName>) -> anyhow::Result<Vec<&'c Service>> {
    let all = config.services.iter().map(Arc::as_ref);
    let Some(name) = only else { return Ok(all.collect()) };
    let names = all.clone().map(|service| service.name.as_str()).collect::<Vec<_>>().join(", ");
    let service = all.clone().find(|service| service.name == *name);
    Ok(vec![service.with_context(|| format!("there is no service {name}; there are {names}"))?])
}

/// The plan to carry out, if any, and whether nothing speaks against all that is wanted. What was held back was shown.
fn weigh(
    out: &mut impl Write,
    service: &Service,
    outlook: Outlook,
    config: &Config,
) -> io::Result<(Option<Arc<Plan>>, bool)> {
    let dry_run = config.daemon.dry_run;
    let provider = config.providers.get(&service.record.provider).map(|provider| &provider.kind);
    let free = outlook.plan.as_ref().is_some_and(|plan| plan.held.is_empty());
    match outlook.change {
        Change::None => Ok((None, free)),
        Change::Unclear(_) => Ok((None, false)),
        Change::Due(_) if dry_run || service.mode == Mode::Observe => {
            let because = if dry_run { "dry_run = true" } else { "mode = \"observe\"" };
            writeln!(out, "{CARE}not written{CARE:#}: the configuration says {because}")?;
            Ok((None, false))
        }
        Change::Due(_) if matches!(provider, Some(ProviderKind::Embedded(_))) => {
            writeln!(
                out,
                "{CARE}not written{CARE:#}: its zone is embedded, so only the daemon that serves it changes it; start it with: \
                 pointsman run"
            )?;
            Ok((None, false))
        }
        Change::Due(_) => Ok((outlook.plan, free)),
    }
}

/// Asks on the terminal. What was seen before a long wait is no reason to write any more.
async fn agreed(out: &mut impl Write, sets: usize, clock: Clock) -> anyhow::Result<bool> {
    let shown: Moment = clock.now();
    let what = if sets == 1 { "this record set".to_owned() } else { format!("these {sets} record sets") };
    write!(out, "Write {what}? [y/N] ")?;
    out.flush()?;
    let read = || {
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer).map(|_| answer)
    };
    let answer = tokio::task::spawn_blocking(read).await.context("nobody read the answer")??;
    if !is_yes(&answer) {
        writeln!(out, "nothing was written")?;
        return Ok(false);
    }
    let age = clock.now().since(shown);
    anyhow::ensure!(
        age <= EVIDENCE_MAX,
        "what was seen is {} s old by now; nothing was written. Look again",
        age.as_secs()
    );
    Ok(true)
}

/// Whether a person said yes; anything else is no.
fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

/// Writes each record set and says what came of it; whether all hold what is wanted.
async fn write(out: &mut impl Write, wiring: &Wiring, due: &[Due<'_>], clock: Clock) -> anyhow::Result<bool> {
    // Until here a signal ends the process, and nothing is changed. From here it lets a write end that was sent.
    let mut signals = Signals::new([SIGTERM, SIGINT]).context("cannot listen to signals")?;
    let stop = CancellationToken::new();
    let apply = due.iter().map(|due| once::apply(wiring, due.service, Arc::clone(&due.plan), clock, &stop));
    let applying = join_all(apply);
    tokio::pin!(applying);
    let ends = tokio::select! {
        ends = &mut applying => ends,
        Some(_) = signals.next() => {
            stop.cancel();
            applying.await
        }
    };
    let mut all_right = true;
    for (due, end) in due.iter().zip(ends) {
        all_right &= end.is_ok();
        tell(out, &due.service.name, end)?;
    }
    Ok(all_right)
}

fn tell(out: &mut impl Write, name: &ServiceName, end: Result<Applied, ApplyError>) -> io::Result<()> {
    match end {
        Ok(Applied::Already) => {
            writeln!(out, "{GOOD}{name}{GOOD:#}: nothing to write, somebody did so meanwhile")
        }
        Ok(Applied::Written { from, set, answer_lost, took }) => {
            let lost = if answer_lost { "the answer was lost, and a read shows: " } else { "" };
            let (from, to) = (addresses_in_words(&from), addresses_in_words(set.values()));
            let seconds = took.as_secs_f64();
            writeln!(
                out,
                "{GOOD}{name}{GOOD:#}: written, {lost}{from} -> {to}, in force after {seconds:.1} s"
            )
        }
        Err(error) => writeln!(out, "{BAD}{name}{BAD:#}: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_a_yes() {
        for yes in ["y\n", "Y\n", " yes \n", "YES"] {
            assert!(is_yes(yes), "{yes:?}");
        }
        for no in ["", "\n", "n\n", "yep\n", "y y\n", "ye\n"] {
            assert!(!is_yes(no), "{no:?}");
        }
    }
}

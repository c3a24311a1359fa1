//! What happens, as it happens: a line each on stdout, in colour on a terminal, for a person to enjoy. Times are since the
//! daemon's start.

use std::io::{self, Write};
use std::time::Duration;

use anstyle::Style;

use crate::cli::style::{BAD, CARE, DIM, GOOD, STRONG};
use crate::core::{Effect, Plan, Reached, Report, WriteResult};
use crate::daemon::Event;
use crate::model::Liveness;

/// The column of times and the column of who speaks, in characters.
const TIME: usize = 7;
const WHO: usize = 9;

/// A line outside of time: a heading, an address to try.
pub(super) fn say(text: impl std::fmt::Display) -> io::Result<()> {
    writeln!(anstream::stdout(), "{text}")
}

/// Something that the demo does to the world.
pub(super) fn act(at: Duration, text: &str) -> io::Result<()> {
    line(at, "you", STRONG, text)
}

/// Something that the daemon did; most looks are not worth a line.
pub(super) fn tell(at: Duration, event: &Event) -> io::Result<()> {
    match event {
        Event::Looked(_) | Event::Own(_) => Ok(()),
        Event::Effect(effect) => effect_line(at, effect),
        Event::Reported { report, .. } => report_line(at, report),
    }
}

fn effect_line(at: Duration, effect: &Effect) -> io::Result<()> {
    match effect {
        Effect::Transition(t) => {
            let style = match t.to {
                Liveness::Up => GOOD,
                Liveness::Down => BAD,
                Liveness::Suspect | Liveness::Recovering => CARE,
                Liveness::Unknown => DIM,
            };
            // One line a check: together they are too long to read.
            let mut evidence = t.because.split("; ");
            let first = evidence.next().unwrap_or_default();
            let text = format!("{} → {style}{}{style:#}  {DIM}{first}{DIM:#}", t.from, t.to);
            line(at, t.region.as_str(), STRONG, &text)?;
            evidence.try_for_each(|more| line(at, "", STRONG, &format!("  {DIM}{more}{DIM:#}")))
        }
        Effect::Apply(plan) => match changes(plan) {
            Some(changes) => line(at, "plan", STRONG, &changes),
            None => Ok(()),
        },
        Effect::Held { held, .. } => {
            held.iter().try_for_each(|held| line(at, "guard", CARE, &format!("held by {held}")))
        }
        Effect::Alarm(alarm) if alarm.raised => {
            line(at, "alarm", BAD, &format!("{}: {}", alarm.alarm, alarm.message))
        }
        Effect::Alarm(alarm) => line(at, "alarm", GOOD, &format!("{} is over", alarm.alarm)),
        // No operator takes part in a demo.
        Effect::Ledger { failover, reached, .. } => match reached {
            Reached::Witness(witness) => line(at, "witness", GOOD, &format!("{witness} shows it")),
            Reached::Fetched => {
                let fetched = failover.fetched.as_ref();
                fetched.map_or(Ok(()), |got| {
                    let style = if got.served { GOOD } else { BAD };
                    line(at, "client", style, &format!("asks for the name and gets {got}"))
                })
            }
            Reached::Unconfirmed => line(at, "witness", BAD, "not every witness shows it in time"),
            Reached::Sent
            | Reached::Acknowledged
            | Reached::Active
            | Reached::Moved
            | Reached::CalledOff
            | Reached::Superseded => Ok(()),
        },
        Effect::Pace { .. }
        | Effect::Waiting { .. }
        | Effect::Said { .. }
        | Effect::Ended { .. }
        | Effect::Witness(_) => Ok(()),
    }
}

fn report_line(at: Duration, report: &Report) -> io::Result<()> {
    match report {
        Report::Sent { set, .. } => {
            let values: Vec<String> = set.values().iter().map(ToString::to_string).collect();
            line(at, "write", STRONG, &format!("the record set shall hold {}", values.join(", ")))
        }
        Report::Written { result: WriteResult::Applied | WriteResult::Superseded, .. } => {
            line(at, "write", DIM, "taken by the zone")
        }
        Report::Written { message, .. } => line(at, "write", BAD, message),
        Report::InForce { .. } => line(at, "write", GOOD, "in force, read back from the zone"),
        Report::Seen { .. }
        | Report::InSync
        | Report::DryRun { .. }
        | Report::Held(_)
        | Report::Drifted { .. }
        | Report::Delayed { .. }
        | Report::Remember(_)
        | Report::Alarmed { .. } => Ok(()),
    }
}

fn line(at: Duration, who: &str, style: Style, text: &str) -> io::Result<()> {
    let seconds = at.as_secs_f64();
    writeln!(anstream::stdout(), "{DIM}{seconds:TIME$.2}s{DIM:#}  {style}{who:WHO$}{style:#} {text}")
}

/// The regions that leave or enter by a plan; none for the first one, which adopts what is there.
fn changes(plan: &Plan) -> Option<String> {
    let moved = plan.regions.iter().filter(|region| region.published != region.wanted);
    let moved: Vec<String> = moved
        .map(|region| {
            if region.wanted {
                format!("{GOOD}{} enters{GOOD:#} the record set", region.region)
            } else {
                format!("{BAD}{} leaves{BAD:#} the record set", region.region)
            }
        })
        .collect();
    (!moved.is_empty()).then(|| moved.join(", "))
}

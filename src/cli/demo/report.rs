//! How a drill went: a table of what was expected and what was seen.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use crate::cli::style::{BAD, GOOD, STRONG};
use crate::cli::table::{Cell, Table};
use crate::core::{Failover, Moved};
use crate::model::Moment;

/// What was expected of each step, and what was seen.
#[derive(Debug, Default)]
pub(super) struct Report {
    rows: Vec<Row>,
    ledger: Vec<Arc<Failover>>,
}

#[derive(Debug)]
struct Row {
    step: String,
    expected: String,
    seen: String,
    took: Option<Duration>,
    well: bool,
}

impl Report {
    /// Adds a step; `took` when it is one that takes time.
    pub(super) fn step(
        &mut self,
        step: impl Into<String>,
        expected: impl Into<String>,
        seen: impl Into<String>,
        took: Option<Duration>,
        well: bool,
    ) {
        self.rows.push(Row { step: step.into(), expected: expected.into(), seen: seen.into(), took, well });
    }

    /// The failovers that there were.
    pub(super) fn ledger(&mut self, lines: impl Iterator<Item = Arc<Failover>>) {
        self.ledger = lines.collect();
    }

    /// Whether every step was as expected, and there was one.
    pub(super) fn went_well(&self) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(|row| row.well)
    }

    pub(super) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let mut table = Table::new(["", "step", "expected", "seen", "seconds"]);
        for row in &self.rows {
            let mark = if row.well { Cell::new(GOOD, "✓") } else { Cell::new(BAD, "✗") };
            let seen =
                if row.well { Cell::from(row.seen.as_str()) } else { Cell::new(BAD, row.seen.as_str()) };
            let took = row.took.map(|took| format!("{:.2}", took.as_secs_f64())).unwrap_or_default();
            table.row([mark, row.step.as_str().into(), row.expected.as_str().into(), seen, took.into()]);
        }
        let (style, verdict) = if self.went_well() {
            (GOOD, "It went as it must.")
        } else {
            (BAD, "It did not go as it must: see the lines marked ✗.")
        };
        write!(out, "\n{table}")?;
        if !self.ledger.is_empty() {
            write!(
                out,
                "\n{STRONG}The ledger, in seconds since the first look:{STRONG:#}\n{}",
                ledger(&self.ledger)
            )?;
        }
        write!(
            out,
            "\n{style}{verdict}{style:#} {STRONG}Everything was on loopback and is gone now.{STRONG:#}\n"
        )
    }
}

/// A line a failover of the only service, a column a phase.
fn ledger(lines: &[Arc<Failover>]) -> Table {
    let mut table = Table::new([
        "",
        "what",
        "look",
        "verdict",
        "sent",
        "taken",
        "in force",
        "witnessed",
        "clients moved",
        "a client got",
    ]);
    for line in lines {
        let at = |at: Option<Moment>| {
            Cell::from(
                at.map(|at| format!("{:.2}", at.since(line.began()).as_secs_f64())).unwrap_or_default(),
            )
        };
        let got = line.fetched.as_ref().map_or_else(String::new, ToString::to_string);
        table.row([
            format!("demo-{}", line.number).into(),
            line.moves_in_words().into(),
            at(line.first),
            at(line.verdict),
            at(Some(line.sent)),
            at(line.acknowledged),
            at(line.active),
            at(line.witnesses.values().max().copied()),
            at(line.moved.map(Moved::at)),
            got.into(),
        ]);
    }
    table
}

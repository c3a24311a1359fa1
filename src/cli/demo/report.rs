//! How a drill went: a table of what was expected and what was seen.

use std::io::{self, Write};
use std::time::Duration;

use crate::cli::style::{BAD, GOOD, STRONG};
use crate::cli::table::{Cell, Table};

/// What was expected of each step, and what was seen.
#[derive(Debug, Default)]
pub(super) struct Report {
    rows: Vec<Row>,
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
        write!(
            out,
            "\n{table}\n{style}{verdict}{style:#} {STRONG}Everything was on loopback and is gone now.{STRONG:#}\n"
        )
    }
}

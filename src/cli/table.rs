//! Rows and columns for a person to read: aligned, and with colour in single cells.
//!
//! Widths are counted in characters and colour takes none, so that a table looks the same with and without
//! it. Cells are never wrapped or cut: what was seen is worth a long line.

use std::fmt;

use anstyle::Style;

use super::style::{DIM, STRONG};

/// What stands between two columns.
const GAP: &str = "  ";

/// A table with a head; [`fmt::Display`] lays it out, a line feed at the end of every line.
#[derive(Clone, Debug)]
pub struct Table {
    head: Vec<Cell>,
    rows: Vec<Vec<Cell>>,
}

/// One cell: a text and how it looks.
#[derive(Clone, Debug)]
pub struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// This text in this style.
    #[must_use]
    pub fn new(style: Style, text: impl Into<String>) -> Self {
        Self { text: text.into(), style }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(Style::new(), text)
    }
}

impl Table {
    /// No rows yet under this head.
    #[must_use]
    pub fn new<const COLUMNS: usize>(head: [&str; COLUMNS]) -> Self {
        Self { head: head.map(|title| Cell::new(STRONG, title)).into(), rows: Vec::new() }
    }

    /// Adds a row; one with fewer cells than the head has is empty at its end.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) -> &mut Self {
        self.rows.push(cells.into_iter().collect());
        self
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut widths: Vec<usize> = Vec::new();
        for row in self.rows.iter().chain([&self.head]) {
            widths.resize(widths.len().max(row.len()), 0);
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.text.chars().count());
            }
        }
        write_row(f, &self.head, &widths)?;
        let rules: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
        writeln!(f, "{DIM}{}{DIM:#}", rules.join(GAP))?;
        self.rows.iter().try_for_each(|row| write_row(f, row, &widths))
    }
}

/// Pads before a cell rather than after it, so that no line ends in spaces.
fn write_row(f: &mut fmt::Formatter<'_>, row: &[Cell], widths: &[usize]) -> fmt::Result {
    let mut owed = 0;
    for (Cell { text, style }, width) in row.iter().zip(widths) {
        if !text.is_empty() {
            write!(f, "{:owed$}{style}{text}{style:#}", "")?;
            owed = 0;
        }
        owed += width - text.chars().count() + GAP.len();
    }
    writeln!(f)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::style::GOOD;

    #[test]
    fn columns_are_aligned_whatever_their_colour() {
        let mut table = Table::new(["step", "seen", "s"]);
        table.row(["EIP leaves".into(), Cell::new(GOOD, "gone"), "2.4".into()]);
        table.row(["é".into(), "".into(), "0.1".into()]);
        let plain = anstream::adapter::strip_str(&table.to_string()).to_string();
        assert_eq!(
            plain,
            "\
step        seen  s
──────────  ────  ───
EIP leaves  gone  2.4
é                 0.1
"
        );
    }
}

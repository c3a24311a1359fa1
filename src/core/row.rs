//! The latest looks of one check, a bit each in one machine word.

use serde::{Deserialize, Serialize};

use crate::model::{Kleene, Threshold};

/// The latest looks that found something out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "(u64, u32)", into = "(u64, u32)")]
pub(super) struct Row {
    /// Newest in the lowest bit, 1 for a failure; zero beyond those known.
    looks: u64,
    /// How many of the bits are meant, at most [`Threshold::WINDOW_MAX`].
    known: u32,
}

impl Row {
    pub(super) fn push(&mut self, failed: bool) {
        self.looks = (self.looks << 1) | u64::from(failed);
        self.known = (self.known + 1).min(Threshold::WINDOW_MAX);
    }

    /// Failures among the newest `window` looks, or among fewer when fewer are known.
    pub(super) fn failures(self, window: u32) -> u32 {
        self.newest(window).looks.count_ones()
    }

    /// Passes among the same.
    pub(super) fn passes(self, window: u32) -> u32 {
        let newest = self.newest(window);
        newest.known - newest.looks.count_ones()
    }

    /// Only the newest so many looks.
    pub(super) fn newest(self, window: u32) -> Self {
        let known = self.known.min(window);
        Self { looks: self.looks & mask(known), known }
    }

    /// Whether the latest look passed; unknown before the first.
    pub(super) fn leaning(self) -> Kleene {
        match (self.known, self.looks & 1) {
            (0, _) => Kleene::Unknown,
            (_, 0) => Kleene::True,
            (_, _) => Kleene::False,
        }
    }
}

impl From<Row> for (u64, u32) {
    fn from(row: Row) -> Self {
        (row.looks, row.known)
    }
}

impl TryFrom<(u64, u32)> for Row {
    type Error = &'static str;

    fn try_from((looks, known): (u64, u32)) -> Result<Self, Self::Error> {
        if known > Threshold::WINDOW_MAX || looks & !mask(known) != 0 {
            return Err("a row of looks is longer than it says");
        }
        Ok(Self { looks, known })
    }
}

/// The lowest `count` bits; `count` is at most 64.
fn mask(count: u32) -> u64 {
    1_u64.checked_shl(count).map_or(u64::MAX, |bit| bit - 1)
}

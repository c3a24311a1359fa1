//! What looks, and nothing else, say of a region: counted here in the plainest way, beside the code that is judged.

use std::collections::{BTreeSet, VecDeque};

use pointsman::model::Outcome;

use super::settings::{CheckSettings, Settings, When};

/// What one check saw.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Whether each of the latest looks passed, the newest last: of those since the last turn, and never those before
    /// it was blind.
    row: VecDeque<bool>,
    /// Whether it passes, after as many looks as it takes.
    settled: Option<bool>,
    /// The same before it was blind.
    before: Option<bool>,
    /// A first pass is believed at once; this says whether as many as `rise` were seen.
    is_earned: bool,
    blind: u32,
    /// Whether anybody looked since it knew nothing, if in vain.
    is_looked_at: bool,
}

impl Seen {
    /// Takes in a look. A first pass is believed at once, save where passing speaks against the region.
    pub(crate) fn look(&mut self, outcome: Outcome, check: &CheckSettings, is_negated: bool) {
        self.is_looked_at = true;
        let passed = match outcome {
            Outcome::Pass => true,
            Outcome::Fail(_) => false,
            Outcome::Unknown(_) => {
                self.blind += 1;
                if self.blind >= check.fall.0 {
                    self.forget();
                }
                return;
            }
        };
        self.blind = 0;
        self.row.push_back(passed);
        if self.row.len() > 64 {
            self.row.pop_front();
        }
        let (count, window) = if passed { check.rise } else { check.fall };
        let latest = self.row.iter().rev().take(window as usize);
        let is_enough = latest.filter(|look| **look == passed).count() >= count as usize;
        let at_once = passed && !is_negated && self.settled.is_none() && self.before != Some(false);
        if self.settled != Some(passed) && (is_enough || at_once) {
            self.settled = Some(passed);
            self.row.drain(..self.row.len() - 1);
            self.is_earned = is_enough;
        } else if is_enough && self.settled == Some(passed) {
            self.is_earned = true;
        }
    }

    /// What was seen is no evidence any more.
    pub(crate) fn forget(&mut self) {
        if self.settled.is_some() {
            self.before = self.settled;
        }
        self.settled = None;
        self.row.clear();
    }

    /// A process was away for so long.
    pub(crate) fn away(&mut self, gap_ms: i64, check: &CheckSettings) -> bool {
        let forgets = gap_ms > check.forgets_after_ms();
        if forgets {
            self.forget();
            self.blind = 0;
            self.is_looked_at = false;
        }
        forgets
    }

    fn latest(&self) -> Option<bool> {
        self.row.back().copied()
    }

    /// One that is configured so is left out while it cannot tell, once somebody has looked.
    fn says(&self, check: &CheckSettings, value: Option<bool>) -> Says {
        match value {
            Some(true) => Says::Yes,
            Some(false) => Says::No,
            None if check.ignores_unknown() && self.is_looked_at => Says::LeftOut,
            None => Says::Unknown,
        }
    }
}

/// Whether the region is up by the latest look of each check; none when it cannot be told.
pub(crate) fn by_latest(seen: &[Seen], settings: &Settings, muted: &BTreeSet<usize>) -> Option<bool> {
    let read = |check: usize| {
        if muted.contains(&check) {
            Says::LeftOut
        } else {
            seen[check].says(&settings.checks[check], seen[check].latest())
        }
    };
    evaluate(&settings.up_when, &read).known()
}

/// The same by all that it takes: a check counts as failing, or as passing behind a `!`, only after as many looks as
/// `fall` or `rise` ask for.
pub(crate) fn by_all(seen: &[Seen], settings: &Settings, muted: &BTreeSet<usize>) -> Option<bool> {
    let read = |check: usize| {
        if muted.contains(&check) {
            Says::LeftOut
        } else {
            seen[check].says(&settings.checks[check], seen[check].settled)
        }
    };
    evaluate(&settings.up_when, &read).known()
}

/// The same after as many passes as `rise` asks for, of every check that counts as passing.
pub(crate) fn by_earned(seen: &[Seen], settings: &Settings, muted: &BTreeSet<usize>) -> Option<bool> {
    let read = |check: usize| {
        if muted.contains(&check) {
            return Says::LeftOut;
        }
        let seen = &seen[check];
        let unearned = seen.settled == Some(true) && !seen.is_earned;
        seen.says(&settings.checks[check], if unearned { None } else { seen.settled })
    };
    evaluate(&settings.up_when, &read).known()
}

/// What a part of `up_when` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    Yes,
    No,
    /// It cannot be told.
    Unknown,
    /// As if it had not been written.
    LeftOut,
}

impl Says {
    fn known(self) -> Option<bool> {
        match self {
            Self::Yes => Some(true),
            Self::No => Some(false),
            Self::Unknown | Self::LeftOut => None,
        }
    }
}

fn evaluate(when: &When, read: &impl Fn(usize) -> Says) -> Says {
    // Of several parts, one that decides is enough, and an unknown one leaves it open otherwise.
    let join = |parts: &[When], decides: Says, otherwise: Says| {
        let says = |what: Says| parts.iter().any(|part| evaluate(part, read) == what);
        [decides, Says::Unknown, otherwise].into_iter().find(|it| says(*it)).unwrap_or(Says::LeftOut)
    };
    match when {
        When::Check(place) => read(*place),
        When::Not(inner) => match evaluate(inner, read) {
            Says::Yes => Says::No,
            Says::No => Says::Yes,
            other @ (Says::Unknown | Says::LeftOut) => other,
        },
        When::All(parts) => join(parts, Says::No, Says::Yes),
        When::Any(parts) => join(parts, Says::Yes, Says::No),
    }
}

//! How often a record set may be written (BOUNDED-WRITES), whatever flaps and whatever gets lost.

use std::collections::VecDeque;

use super::memory::Age;
use crate::model::{Moment, WriteBudget};

/// So many writes are remembered at least, also when the budget allows fewer: a reload may bring a larger one with a longer
/// window, to which they count.
const REMEMBERED: usize = 64;

/// The writes of one record set that count against its budget: those sent and not refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Writes {
    budget: WriteBudget,
    /// When the latest of them were sent, oldest first; never more than the budget allows or [`REMEMBERED`], so it stays small.
    sent: VecDeque<Moment>,
}

impl Writes {
    pub(super) fn new(budget: WriteBudget) -> Self {
        Self { budget, sent: VecDeque::new() }
    }

    /// When the next write may be sent; `now` when it may be at once.
    pub(super) fn may_send_at(&self, now: Moment) -> Moment {
        let before_those_allowed = self.sent.len().checked_sub(self.budget.writes as usize);
        let oldest = before_those_allowed.and_then(|place| self.sent.get(place));
        oldest.map_or(now, |oldest| (*oldest + self.budget.window).max(now))
    }

    /// One is being sent.
    pub(super) fn sent(&mut self, now: Moment) {
        self.sent.push_back(now);
        while self.sent.len() > REMEMBERED.max(self.budget.writes as usize) {
            self.sent.pop_front();
        }
    }

    /// The latest one was refused: it changed nothing and does not count.
    pub(super) fn refused(&mut self) {
        self.sent.pop_back();
    }

    /// Another budget for the same writes: a smaller one holds at once.
    pub(super) fn reconfigure(&mut self, budget: WriteBudget) {
        self.budget = budget;
    }

    pub(super) fn memory(&self, now: Moment) -> Vec<Age> {
        self.sent.iter().map(|sent| Age::of(*sent, now)).collect()
    }

    /// Those that were remembered at `saved`.
    pub(super) fn recall(budget: WriteBudget, sent: &[Age], saved: Moment) -> Self {
        Self { budget, sent: sent.iter().map(|age| age.before(saved)).collect() }
    }

    pub(super) fn budget(&self) -> WriteBudget {
        self.budget
    }
}

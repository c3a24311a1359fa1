//! How often a record set may be written (BOUNDED-WRITES), whatever flaps and whatever gets lost.

use std::collections::VecDeque;

use crate::model::{Moment, WriteBudget};

/// The writes of one record set that count against its budget: those sent and not refused.
#[derive(Clone, Debug)]
pub(super) struct Writes {
    budget: WriteBudget,
    /// When they were sent, oldest first; never more than the budget allows, so it stays small.
    sent: VecDeque<Moment>,
}

impl Writes {
    pub(super) fn new(budget: WriteBudget) -> Self {
        Self { budget, sent: VecDeque::new() }
    }

    /// When the next write may be sent; `now` when it may be at once.
    pub(super) fn may_send_at(&mut self, now: Moment) -> Moment {
        while self.sent.front().is_some_and(|sent| *sent + self.budget.window <= now) {
            self.sent.pop_front();
        }
        match self.sent.front() {
            Some(oldest) if self.sent.len() >= self.budget.writes as usize => *oldest + self.budget.window,
            Some(_) | None => now,
        }
    }

    /// One is being sent.
    pub(super) fn sent(&mut self, now: Moment) {
        self.sent.push_back(now);
    }

    /// The latest one was refused: it changed nothing and does not count.
    pub(super) fn refused(&mut self) {
        self.sent.pop_back();
    }

    pub(super) fn budget(&self) -> WriteBudget {
        self.budget
    }
}

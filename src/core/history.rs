//! What of a record set's past decides about its next write: how often it was written, whose doing its values are,
//! and who works against the plan. All that is remembered of a reconciler over a restart.

use super::authorship::Authorship;
use super::drift::Drift;
use super::memory::WritesMemory;
use super::write_budget::Writes;
use crate::model::{Moment, WriteBudget};

/// One record set's past.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct History {
    pub(super) writes: Writes,
    pub(super) authorship: Authorship,
    pub(super) drift: Drift,
    /// How many words of operators the set has followed.
    pub(super) words: u64,
}

impl History {
    pub(super) fn new(budget: WriteBudget) -> Self {
        Self {
            writes: Writes::new(budget),
            authorship: Authorship::default(),
            drift: Drift::default(),
            words: 0,
        }
    }

    pub(super) fn memory(&self, now: Moment) -> WritesMemory {
        let (values, landing) = self.authorship.memory(now);
        let drift = self.drift.memory(now);
        let (sent, extra, (is_open, open_before)) = self.writes.memory(now);
        WritesMemory { sent, extra, is_open, open_before, values, landing, drift, words: self.words }
    }

    /// One that goes on from what was remembered at `saved`.
    pub(super) fn recall(budget: WriteBudget, memory: &WritesMemory, saved: Moment) -> Self {
        let open = (memory.is_open, memory.open_before);
        Self {
            writes: Writes::recall(budget, &memory.sent, &memory.extra, open, saved),
            authorship: Authorship::recall(memory.values.as_ref(), &memory.landing, saved),
            drift: Drift::recall(&memory.drift, saved),
            words: memory.words,
        }
    }
}

//! What somebody else does to our addresses against what the plan wants. A drift is mended; whoever keeps at it is
//! not fought.
//!
//! The third drift within the write budget's window starts a fight: nothing is written for what the plan wants until
//! nobody has changed it for a whole window, or the plan wants something else. That is written once, and while the
//! fight lasts one drift from it is enough. Foreign values are nobody's drift. Start at [`Drift::judge`].

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::authorship::Change;
use super::memory::{Age, DriftMemory};
use super::plan::Plan;
use crate::model::{Moment, Weighed};

/// So many drifts within a window are a fight: one is an accident, two may be a person who tries again.
const A_FIGHT: usize = 3;

/// How one record set stands against what its plan wants of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Drift {
    /// Our addresses with their weights, as the set held them when it last was as wanted, while we have not changed it since: the
    /// newest last, before it those until some of them were kept from being served.
    synced: Vec<BTreeSet<Weighed>>,
    /// What the plan wanted when somebody else changed it, until the set holds what is wanted again.
    against: Option<BTreeSet<Weighed>>,
    /// When the latest drifts were seen, oldest first: those within a window, or those of a fight.
    seen: VecDeque<Moment>,
}

impl Drift {
    /// A write that leaves these addresses of ours was taken: what somebody did before is written over.
    pub(super) fn wrote(&mut self, ours: BTreeSet<Weighed>) {
        (self.synced, self.against) = (vec![ours], None);
    }

    /// The set was changed by us, or it cannot be told by whom.
    pub(super) fn excuse(&mut self) {
        self.synced.clear();
    }

    /// Judges what a read found: `ours` are the addresses of ours in it, `attainable` what of the plan can be, `change` what
    /// became of it since the last.
    pub(super) fn judge(
        &mut self,
        now: Moment,
        window: Duration,
        (plan, attainable): (&Plan, BTreeSet<Weighed>),
        ours: &BTreeSet<Weighed>,
        change: &Change,
    ) {
        let wanted = plan.weighed();
        // What the provider keeps from being served now may have been as wanted then.
        let was_as_wanted =
            |synced: &BTreeSet<Weighed>| attainable.is_subset(synced) && synced.is_subset(&wanted);
        if *ours == attainable {
            // What is kept from being served may be as somebody left it.
            self.against.take_if(|against| attainable == wanted || *against != wanted);
            self.synced.retain(was_as_wanted);
            if self.synced.last() != Some(&attainable) {
                self.synced.push(attainable);
            }
            return;
        }
        let in_a_fight = self.is_fought(now, window, plan) && change.is_theirs(plan, ours);
        if in_a_fight || self.synced.iter().any(was_as_wanted) {
            if !self.is_a_fight(now, window) {
                self.seen.retain(|seen| *seen + window > now);
            }
            self.seen.push_back(now);
            while self.seen.len() > A_FIGHT {
                self.seen.pop_front();
            }
            self.synced.clear();
            self.against = Some(wanted);
        }
    }

    /// Whether somebody else has changed what the plan wants.
    pub(super) fn is_against(&self, plan: &Plan) -> bool {
        self.against.as_ref().is_some_and(|against| *against == plan.weighed())
    }

    /// Whether there is a fight about what the plan wants.
    pub(super) fn is_fought(&self, now: Moment, window: Duration, plan: &Plan) -> bool {
        self.is_a_fight(now, window) && self.is_against(plan)
    }

    fn is_a_fight(&self, now: Moment, window: Duration) -> bool {
        self.seen.len() >= A_FIGHT && self.seen.back().is_some_and(|last| *last + window > now)
    }

    pub(super) fn memory(&self, now: Moment) -> DriftMemory {
        DriftMemory {
            synced: self.synced.first().cloned(),
            narrowed: self.synced.iter().skip(1).cloned().collect(),
            against: self.against.clone(),
            seen: self.seen.iter().map(|seen| Age::of(*seen, now)).collect(),
        }
    }

    /// One that goes on from what was remembered at `saved`.
    pub(super) fn recall(memory: &DriftMemory, saved: Moment) -> Self {
        Self {
            synced: memory.synced.iter().chain(&memory.narrowed).cloned().collect(),
            against: memory.against.clone(),
            seen: memory.seen.iter().map(|age| age.before(saved)).collect(),
        }
    }
}

//! Whose doing a change of a record set is: that of a write of ours, which may land late, or somebody else's.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use super::memory::{Age, LandingMemory};
use crate::model::Moment;

/// A write without an answer may land for so long after it was sent: longer than one is waited for and the set is then
/// read warily.
const LANDS_WITHIN: Duration = Duration::from_secs(90);

/// What one record set holds as far as is known, and which writes of ours may still change it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Authorship {
    /// As last read, or written and taken; none before the first read.
    values: Option<BTreeSet<IpAddr>>,
    /// What was sent and has neither been answered nor shown itself.
    landing: Vec<Landing>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Landing {
    sent: Moment,
    values: BTreeSet<IpAddr>,
}

/// What became of a set since it was last known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It holds what it held, or was not known before.
    None,
    /// A write of ours landed late.
    Ours,
    /// Somebody else changed it.
    Theirs {
        /// What it held before.
        before: BTreeSet<IpAddr>,
    },
}

impl Change {
    /// Whether somebody else made `ours` of what the set held of the addresses `owned`.
    pub(super) fn is_theirs(&self, owned: &BTreeSet<IpAddr>, ours: &BTreeSet<IpAddr>) -> bool {
        match self {
            Self::None | Self::Ours => false,
            Self::Theirs { before } => !before.intersection(owned).eq(ours),
        }
    }
}

impl Authorship {
    /// A write of these values is being sent.
    pub(super) fn sent(&mut self, now: Moment, values: BTreeSet<IpAddr>) {
        self.landing.push(Landing { sent: now, values });
    }

    /// The latest write was taken.
    pub(super) fn taken(&mut self) {
        if let Some(landed) = self.landing.pop() {
            self.values = Some(landed.values);
        }
    }

    /// The latest write was refused: it changed nothing.
    pub(super) fn refused(&mut self) {
        self.landing.pop();
    }

    /// The set was read. What lands is told by its values; so long after it was sent that nothing lands any more it is
    /// still told by them at the first read since, whenever that comes.
    pub(super) fn read(&mut self, now: Moment, values: &BTreeSet<IpAddr>) -> Change {
        let before = self.values.replace(values.clone()).filter(|before| before != values);
        let landed = self.landing.iter().position(|landing| landing.values == *values);
        let change = match (before, landed) {
            (None, _) => Change::None,
            (Some(_), Some(place)) => {
                self.landing.remove(place);
                Change::Ours
            }
            (Some(before), None) => Change::Theirs { before },
        };
        self.landing.retain(|landing| landing.sent + LANDS_WITHIN > now);
        change
    }

    /// The set was read, and its values are nobody's doing.
    pub(super) fn adopt(&mut self, values: &BTreeSet<IpAddr>) {
        self.values = Some(values.clone());
    }

    /// Whether a write may still land.
    pub(super) fn is_landing(&self) -> bool {
        !self.landing.is_empty()
    }

    pub(super) fn memory(&self, now: Moment) -> (Option<BTreeSet<IpAddr>>, Vec<LandingMemory>) {
        let landing = |l: &Landing| LandingMemory { sent: Age::of(l.sent, now), values: l.values.clone() };
        (self.values.clone(), self.landing.iter().map(landing).collect())
    }

    /// One that goes on from what was remembered at `saved`.
    pub(super) fn recall(
        values: Option<&BTreeSet<IpAddr>>,
        landing: &[LandingMemory],
        saved: Moment,
    ) -> Self {
        let landing =
            landing.iter().map(|l| Landing { sent: l.sent.before(saved), values: l.values.clone() });
        Self { values: values.cloned(), landing: landing.collect() }
    }
}

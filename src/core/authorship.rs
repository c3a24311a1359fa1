//! Tells whose doing a change of a record set is: a write of ours, which may land late, or somebody else. The rule is
//! told in docs/safety.md, "Whose doing a change is".

use std::collections::BTreeSet;
use std::time::Duration;

use super::memory::{Age, LandingMemory};
use super::parts::Reduction;
use super::plan::Plan;
use crate::model::{Moment, Weighed};

/// A write without an answer may land for so long after it was sent, and the set is read warily.
pub(super) const LANDS_WITHIN: Duration = Duration::from_secs(90);

/// What one record set holds as far as is known, and which writes of ours may still change it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Authorship {
    /// As last read, or written and taken; none before the first read.
    values: Option<BTreeSet<Weighed>>,
    /// What was sent and has neither been answered nor shown itself.
    landing: Vec<Landing>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Landing {
    sent: Moment,
    values: BTreeSet<Weighed>,
    /// What the set held, for a write that several calls make: it lands bit by bit.
    from: Option<BTreeSet<Weighed>>,
    /// Its calls that take away from a set.
    reductions: Vec<Reduction>,
    /// The values that it has brought and taken away since; it does each once.
    done: BTreeSet<Weighed>,
    /// True once all that was sent of it was taken: then it lands no later than the next read.
    taken: bool,
}

impl Landing {
    /// Tells what its calls may still bring, and take away: nothing that it leaves as it found it, and nothing twice. What else
    /// is in a set whose weight it changes comes along, until it has been moved.
    fn still_does(&self) -> (BTreeSet<Weighed>, BTreeSet<Weighed>) {
        let (brings, takes, along) = self.does();
        let comes = brings.union(&along).filter(|it| !self.done.contains(it));
        let came_along = along.intersection(&self.done);
        (comes.copied().collect(), takes.difference(&self.done).chain(came_along).copied().collect())
    }

    /// Tells what its calls bring and take away, and what may come along.
    fn does(&self) -> (BTreeSet<Weighed>, BTreeSet<Weighed>, BTreeSet<Weighed>) {
        let none = BTreeSet::new;
        let Some(from) = self.from.as_ref() else { return (none(), none(), none()) };
        let (brings, takes) = (&self.values - from, from - &self.values);
        let along: BTreeSet<Weighed> = from
            .iter()
            .flat_map(|found| brings.iter().map(|it| Weighed { weight: it.weight, ..*found }))
            .filter(|it| !self.values.contains(it) && !from.contains(it))
            .collect();
        (brings, takes, along)
    }
}

/// What became of a set since it was last known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It holds what it held, or was not known before.
    None,
    /// A write of ours landed late, or is on its way and has not changed what is served yet.
    Ours,
    /// Somebody else changed it.
    Theirs {
        /// What it held before.
        before: BTreeSet<Weighed>,
    },
}

impl Change {
    /// Whether somebody else made `ours` of what the set held of the plan's addresses.
    pub(super) fn is_theirs(&self, plan: &Plan, ours: &BTreeSet<Weighed>) -> bool {
        match self {
            Self::None | Self::Ours => false,
            Self::Theirs { before } => plan.ours_of(before) != *ours,
        }
    }
}

impl Authorship {
    /// The values that the set holds, as far as known; none before the first read.
    pub(super) fn known(&self) -> Option<&BTreeSet<Weighed>> {
        self.values.as_ref()
    }

    /// A write of these values is being sent; when several calls make it, with what was there and those that take away.
    pub(super) fn sent(
        &mut self,
        now: Moment,
        values: BTreeSet<Weighed>,
        in_parts: Option<(BTreeSet<Weighed>, Vec<Reduction>)>,
    ) {
        let (from, reductions) = in_parts.unzip();
        let (reductions, done) = (reductions.unwrap_or_default(), BTreeSet::new());
        self.landing.push(Landing { sent: now, values, from, reductions, done, taken: false });
    }

    /// The latest write was taken, or of one that several calls make what could be sent of it.
    pub(super) fn taken(&mut self) {
        if let Some(landed) = self.landing.pop_if(|landing| landing.from.is_none()) {
            self.values = Some(landed.values);
        } else if let Some(latest) = self.landing.last_mut() {
            latest.taken = true;
        }
    }

    /// The latest write was refused: it changed nothing.
    pub(super) fn refused(&mut self) {
        self.landing.pop();
    }

    /// The set was read. What lands is told by its values; so long after it was sent that nothing lands any more it is
    /// still told by them at the first read since, whenever that comes.
    pub(super) fn read(&mut self, now: Moment, values: &BTreeSet<Weighed>) -> Change {
        let change = match self.values.replace(values.clone()) {
            None => Change::None,
            // Of several calls the first may change nothing that is served.
            Some(before) if before == *values => {
                if self.landing.iter().any(|landing| landing.taken) {
                    Change::Ours
                } else {
                    Change::None
                }
            }
            Some(before) if self.lands(&before, values) => Change::Ours,
            Some(before) => Change::Theirs { before },
        };
        self.landing.retain(|landing| !landing.taken && landing.sent + LANDS_WITHIN > now);
        change
    }

    /// Returns true if writes of ours made this of what was there before: one as a whole, or those of several calls bit by bit.
    fn lands(&mut self, before: &BTreeSet<Weighed>, values: &BTreeSet<Weighed>) -> bool {
        let is_whole = |landing: &Landing| landing.from.is_none() && landing.values == *values;
        if let Some(place) = self.landing.iter().position(is_whole) {
            self.landing.remove(place);
            return true;
        }
        let (mut came, mut left) = (values - before, before - values);
        let mut landing = self.landing.clone();
        // What was taken lands now or never, so the newest comes first.
        for landing in landing.iter_mut().rev() {
            let (brings, takes) = landing.still_does();
            landing.done.extend(came.intersection(&brings).chain(left.intersection(&takes)));
            (came, left) = (&came - &brings, &left - &takes);
        }
        if !came.is_empty() || !left.is_empty() {
            return false;
        }
        self.landing = landing;
        true
    }

    /// The set was read, and its values are nobody's doing.
    pub(super) fn adopt(&mut self, values: &BTreeSet<Weighed>) {
        self.values = Some(values.clone());
    }

    /// True if the latest write would have changed the set, as far as that is known.
    pub(super) fn latest_changes(&self) -> bool {
        self.landing.last().is_none_or(|latest| self.values.as_ref() != Some(&latest.values))
    }

    /// True if several calls make the latest write: what is served does not show how many of them were carried out.
    pub(super) fn latest_is_in_parts(&self) -> bool {
        self.landing.last().is_some_and(|latest| latest.from.is_some())
    }

    /// Whether a write may still land.
    pub(super) fn is_landing(&self) -> bool {
        !self.landing.is_empty()
    }

    /// The calls of ours that may still take away from what a set holds by then, and until when; none when there are none. A
    /// set that is written as a whole takes with it what it leaves instead.
    pub(super) fn may_take(&self, now: Moment) -> Option<(Vec<Reduction>, Moment)> {
        let mut late = Vec::new();
        let mut until = now;
        for landing in self.landing.iter().filter(|landing| !landing.taken) {
            let ends = landing.sent + LANDS_WITHIN;
            let (_, takes, _) = landing.does();
            let may_come = |it: &&Reduction| ends > now && !it.is_over(&takes, &landing.done);
            for reduction in landing.reductions.iter().filter(may_come) {
                late.push(reduction.clone());
                until = until.max(ends);
            }
        }
        (!late.is_empty()).then_some((late, until))
    }

    pub(super) fn memory(&self, now: Moment) -> (Option<BTreeSet<Weighed>>, Vec<LandingMemory>) {
        let landing = |l: &Landing| LandingMemory {
            sent: Age::of(l.sent, now),
            values: l.values.clone(),
            from: l.from.clone(),
            reductions: l.reductions.clone(),
            done: l.done.clone(),
        };
        (self.values.clone(), self.landing.iter().map(landing).collect())
    }

    /// One that goes on from what was remembered at `saved`.
    pub(super) fn recall(
        values: Option<&BTreeSet<Weighed>>,
        landing: &[LandingMemory],
        saved: Moment,
    ) -> Self {
        let landing = landing.iter().map(|l| Landing {
            sent: l.sent.before(saved),
            values: l.values.clone(),
            from: l.from.clone(),
            reductions: l.reductions.clone(),
            done: l.done.clone(),
            taken: false,
        });
        Self { values: values.cloned(), landing: landing.collect() }
    }
}

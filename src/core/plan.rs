//! What a record set should hold now, and why: a value that can be printed, compared and held back.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use crate::model::{
    Found, Liveness, Part, RecordKey, RecordSet, RegionName, ServiceName, Ttl, Weighed, WriteBudget,
    addresses_in_words, is_split_as,
};

/// Orders plans: a later plan has a greater one (NEWEST-PLAN-WINS).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u64);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The record set wanted now.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Plan {
    /// Of which service.
    pub service: ServiceName,
    /// Which record set.
    pub key: RecordKey,
    /// Its place among the service's plans.
    pub generation: Generation,
    /// The addresses of ours that the set is to hold. Empty only when it holds none of them and none may enter any
    /// more: then it is left as it is (NEVER-EMPTY).
    pub wanted: BTreeSet<IpAddr>,
    /// Every address that is ours: whatever of it is not wanted leaves, everything else stays (ONLY-OURS).
    pub owned: BTreeSet<IpAddr>,
    /// The sets that the wanted addresses are to be split into, each with its weight; none when they are one set.
    pub parts: Vec<Part>,
    /// The TTL to set when the addresses change; none leaves it alone.
    pub ttl: Option<Ttl>,
    /// Whether it may be written: not while the service is frozen, nor while what is planned waits for approval
    /// (OPERATOR-RULES). It is followed all the same.
    pub may_write: bool,
    /// Which of our addresses the set must hold for it to be written; none: whichever. What a person approved is the change
    /// from what they saw, and not the undoing of what somebody else has done since (OPERATOR-RULES).
    pub only_from: Option<BTreeSet<IpAddr>>,
    /// True if it brings in a region that serves while no published region does: that waits for no budget
    /// (BOUNDED-WRITES).
    pub is_rescue: bool,
    /// How many words of operators it heeds. One that is new to the record set earns a write beyond the budget: a person
    /// outranks the checks that have used it up.
    pub words: u64,
    /// Why, region by region, in the order configured.
    pub regions: Vec<RegionPlan>,
    /// The rules that keep it from being what the policy asks for.
    pub held: Vec<Held>,
}

impl Plan {
    /// Each wanted address with the weight that it is wanted at.
    #[must_use]
    pub fn weighed(&self) -> BTreeSet<Weighed> {
        if self.parts.is_empty() {
            return self.wanted.iter().copied().map(Weighed::from).collect();
        }
        self.parts.iter().flat_map(Part::weighed).collect()
    }

    /// What of it can be: not what the provider keeps from being served.
    pub(super) fn attainable(&self, found: Option<&Found>) -> BTreeSet<IpAddr> {
        found.map_or_else(|| self.wanted.clone(), |found| &self.wanted - &found.withheld())
    }

    /// The same with weights.
    pub(super) fn attainable_weighed(&self, found: Option<&Found>) -> BTreeSet<Weighed> {
        let attainable = self.attainable(found);
        self.weighed().into_iter().filter(|weighed| attainable.contains(&weighed.address)).collect()
    }

    /// Whether the set holds what can be had of it, split and weighed as wanted (ONLY-WHEN-DIFFERENT).
    pub(super) fn is_met_by(&self, found: &Found) -> bool {
        let ours: BTreeSet<IpAddr> = &found.values & &self.owned;
        ours == self.attainable(Some(found)) && is_split_as(found, &self.parts)
    }

    /// The addresses of ours that a set leaves when it is written, each with its weight.
    pub(super) fn ours_in(&self, set: &RecordSet) -> BTreeSet<Weighed> {
        let held = |weighed: &Weighed| set.values().contains(&weighed.address);
        if set.parts().is_empty() {
            return set.values().intersection(&self.owned).copied().map(Weighed::from).collect();
        }
        set.parts().iter().flat_map(Part::weighed).filter(held).collect()
    }

    /// The regions that have addresses in `before` and none in `after`.
    pub(super) fn leaving(&self, before: &BTreeSet<IpAddr>, after: &BTreeSet<IpAddr>) -> Vec<RegionName> {
        let leaves =
            |region: &&RegionPlan| !region.owned.is_disjoint(before) && region.owned.is_disjoint(after);
        self.regions.iter().filter(leaves).map(|region| region.region.clone()).collect()
    }

    /// The regions that have addresses in it.
    pub(super) fn regions_in<'p>(
        &'p self,
        values: &'p BTreeSet<IpAddr>,
    ) -> impl Iterator<Item = &'p RegionName> {
        self.regions.iter().filter(|region| !region.owned.is_disjoint(values)).map(|region| &region.region)
    }

    /// Those of these addresses that are ours.
    pub(super) fn ours_of(&self, held: &BTreeSet<Weighed>) -> BTreeSet<Weighed> {
        held.iter().filter(|weighed| self.owned.contains(&weighed.address)).copied().collect()
    }
}

/// One region's part in a plan.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RegionPlan {
    /// Its name.
    pub region: RegionName,
    /// Its state.
    pub liveness: Liveness,
    /// Its addresses.
    pub addresses: BTreeSet<IpAddr>,
    /// Every address that is or was its own.
    pub owned: BTreeSet<IpAddr>,
    /// Whether it is in the set as last seen.
    pub published: bool,
    /// Whether it is to be in it.
    pub wanted: bool,
    /// Why.
    pub because: String,
}

/// The rules that can hold a plan or a write back, by the invariant each upholds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// NEVER-EMPTY.
    NeverEmpty,
    /// BOUNDED-BLAST.
    BoundedBlast,
    /// BOUNDED-WRITES.
    BoundedWrites,
    /// OPERATOR-RULES.
    OperatorRules,
}

impl Rule {
    /// The invariant's name as metrics and the API spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NeverEmpty => "never_empty",
            Self::BoundedBlast => "bounded_blast",
            Self::BoundedWrites => "bounded_writes",
            Self::OperatorRules => "operator_rules",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NeverEmpty => "NEVER-EMPTY",
            Self::BoundedBlast => "BOUNDED-BLAST",
            Self::BoundedWrites => "BOUNDED-WRITES",
            Self::OperatorRules => "OPERATOR-RULES",
        })
    }
}

/// One rule that holds something back.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Held {
    /// Which.
    pub rule: Rule,
    /// Why, with the numbers.
    pub because: String,
    /// What would lift it.
    pub lifts_when: String,
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; lifts when {}", self.rule, self.because, self.lifts_when)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "plan {} for {} ({}): {}",
            self.generation,
            self.service,
            self.key,
            addresses_in_words(&self.weighed())
        )?;
        for region in &self.regions {
            let change = match (region.published, region.wanted) {
                (true, true) => "stays in",
                (true, false) => "leaves",
                (false, true) => "enters",
                (false, false) => "stays out",
            };
            write!(
                f,
                "\n  {} is {} and {change} ({}): {}",
                region.region,
                region.liveness,
                addresses_in_words(&region.addresses),
                region.because
            )?;
        }
        for held in &self.held {
            write!(f, "\n  held by {held}")?;
        }
        Ok(())
    }
}

/// What the reconciler must know beside the plan; it changes only with the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WriteRules {
    /// The least number of our own addresses that a write may leave (NEVER-EMPTY).
    pub min_published: u32,
    /// How often may be written (BOUNDED-WRITES).
    pub budget: WriteBudget,
}

//! How one region stands at the moment of a decision: all that policy and guard may know of it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use super::overrides::Overrides;
use super::plan::Plan;
use super::region::RegionState;
use crate::model::{Liveness, Moment, Override, RegionName, Ruling};

/// How one region stands, as policy and guard see it.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    pub(super) name: RegionName,
    pub(super) tier: u32,
    pub(super) liveness: Liveness,
    /// When it came to that.
    pub(super) since: Moment,
    /// Whether an address of it is in the record set as last seen.
    pub(super) published: bool,
    /// Where it can be reached, as far as known.
    pub(super) addresses: BTreeSet<IpAddr>,
    /// True if its checks have passed there since its addresses are these.
    pub(super) has_passed: bool,
    /// Those of its addresses, present or past, that are in the set as last seen.
    pub(super) present: BTreeSet<IpAddr>,
    /// When it may be published, while that is still to come or just came.
    pub(super) returns_at: Option<Moment>,
    /// Whether its checks have passed as often as `rise` asks for.
    pub(super) risen: bool,
    /// Whether it passes and has risen: it may enter at once where nobody serves.
    pub(super) may_enter_at_once: bool,
    /// When it went down, if it has not served since.
    pub(super) fell: Option<Moment>,
    /// Since when it is out of the set, as far as seen.
    pub(super) left: Option<Moment>,
    /// Since when it has not been down; none while it is, or while nobody can tell.
    pub(super) alive_since: Option<Moment>,
    /// Whether its signals have fallen and not risen since: a region that was blind in between may be down without.
    pub(super) fallen: bool,
    /// What its checks say.
    pub(super) evidence: String,
    /// How long a suspect's next look can take to tell.
    pub(super) settles_within: Duration,
    /// Whether nobody needs to say that it may return (`failback = "manual"`).
    pub(super) may_return: bool,
    /// Whether the last plan wanted it; so while there was none.
    pub(super) was_wanted: bool,
    /// What an operator has ruled of it.
    pub(super) ruled: Option<Override>,
}

impl Standing {
    /// How `region` stands while the record set holds `present`.
    pub(super) fn of(
        region: &RegionState,
        present: &BTreeSet<IpAddr>,
        overrides: &Overrides,
        plan: Option<&Plan>,
    ) -> Self {
        // One whose address another region needs has not left with its own fall.
        let planned = plan.filter(|plan| plan.regions.iter().any(|it| it.region == region.region.name));
        let present: BTreeSet<IpAddr> = region.owned.intersection(present).copied().collect();
        Self {
            name: region.region.name.clone(),
            tier: region.region.tier,
            liveness: region.liveness(),
            since: region.since,
            published: !present.is_empty(),
            addresses: region.addresses.clone(),
            has_passed: region.has_passed(),
            present,
            returns_at: region.recovers_at().or_else(|| region.enters_at()),
            risen: region.has_risen(),
            may_enter_at_once: region.may_enter_at_once(),
            fell: region.fell(),
            left: region.left,
            alive_since: region.alive_since().filter(|_| !region.is_blind()),
            fallen: region.has_fallen(),
            evidence: region.evidence_in_words(),
            settles_within: region.settles_within(),
            may_return: region.may_return(),
            was_wanted: planned.is_none_or(|plan| !plan.wanted.is_disjoint(&region.owned)),
            ruled: overrides.of(&region.region.name).cloned(),
        }
    }

    /// Out by an operator's word: how its checks find it says nothing about the others.
    pub(super) fn is_drained(&self) -> bool {
        matches!(&self.ruled, Some(Override { ruling: Ruling::Drain(_), .. }))
    }

    /// In by an operator's word, which outranks its checks (OPERATOR-RULES).
    pub(super) fn is_pinned(&self) -> bool {
        matches!(&self.ruled, Some(Override { ruling: Ruling::Pin(_), .. }))
    }

    /// Left as it is by an operator's word.
    pub(super) fn is_frozen(&self) -> bool {
        matches!(&self.ruled, Some(Override { ruling: Ruling::Freeze(_), .. }))
    }

    /// Not serving, as far as anybody may act on that.
    pub(super) fn is_down(&self) -> bool {
        self.liveness == Liveness::Down && !self.is_pinned()
    }

    /// Out because of its checks, or not yet back after that.
    pub(super) fn is_failed(&self) -> bool {
        matches!(self.liveness, Liveness::Down | Liveness::Recovering) && !self.is_pinned()
    }

    /// Somebody may be sent to it: nothing says that it is dead. One that recovers counts once it has risen.
    pub(super) fn may_serve(&self) -> bool {
        match self.liveness {
            Liveness::Unknown | Liveness::Up | Liveness::Suspect => true,
            Liveness::Recovering => self.risen || self.is_pinned(),
            Liveness::Down => self.is_pinned(),
        }
    }

    /// The addresses the set holds for it if it is to be in: where it can be reached now, if that is known to
    /// work; else what the set holds already, for an address that nobody has seen working is no better.
    pub(super) fn target(&self) -> &BTreeSet<IpAddr> {
        match self.liveness {
            Liveness::Up | Liveness::Suspect if self.has_passed && !self.addresses.is_empty() => {
                &self.addresses
            }
            Liveness::Up | Liveness::Suspect | Liveness::Unknown | Liveness::Down | Liveness::Recovering => {
                if self.present.is_empty() {
                    &self.addresses
                } else {
                    &self.present
                }
            }
        }
    }
}

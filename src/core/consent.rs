//! What a person has to say yes to before it is planned: each change of a service in `mode = "advise"`.
//!
//! The guard judges first, so that only what could be written now waits, and once more what was approved, for of several
//! changes some may have been and others not. A yes is to one change: it is void as soon as something else is wanted, and
//! used up when the set is so. It does not outlive the process.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::shares::Shares;
use crate::model::{RegionName, Scope, Waiting, WaitsFor, addresses_in_words};

/// Whose change: a region's, or that of the addresses of `fallback`.
type Whose = Option<RegionName>;

/// What was approved, and what waits for it.
#[derive(Clone, Debug, Default)]
pub(super) struct Consent {
    approved: BTreeMap<Whose, BTreeSet<IpAddr>>,
    /// The share that each would get.
    asked: BTreeMap<Whose, BTreeSet<IpAddr>>,
}

impl Consent {
    /// Says yes to all that waits in this scope; says whether anything did.
    pub(super) fn approve(&mut self, scope: &Scope) -> bool {
        let meant = |whose: &Whose| match (scope, whose) {
            (Scope::Service, _) => true,
            (Scope::Region(named), Some(region)) => named == region,
            (Scope::Region(_), None) => false,
        };
        let asked = std::mem::take(&mut self.asked);
        let (given, still_asked) = asked.into_iter().partition(|(whose, _)| meant(whose));
        self.asked = still_asked;
        let given: BTreeMap<Whose, BTreeSet<IpAddr>> = given;
        let any = !given.is_empty();
        self.approved.extend(given);
        any
    }

    /// Nothing needs a yes: what was asked and given is void.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Nothing waits for a yes for now: what was asked is void, what was given stands.
    pub(super) fn ask_nothing(&mut self) {
        self.asked.clear();
    }

    /// Takes out of `wished` what nobody has approved; what the set holds of it stays. Returns what waits.
    pub(super) fn hold_back(
        &mut self,
        names: &[RegionName],
        found: &Shares,
        wished: &mut Shares,
    ) -> Vec<Waiting> {
        let before = std::mem::take(self);
        let mut waiting = Vec::new();
        let whose = names.iter().cloned().map(Some).chain([None]);
        let found = found.regions.iter().chain([&found.fallback]);
        let shares = wished.regions.iter_mut().chain([&mut wished.fallback]);
        for ((whose, found), share) in
            whose.zip(found).zip(shares).filter(|((_, found), share)| *found != &**share)
        {
            if before.approved.get(&whose) == Some(&*share) {
                self.approved.insert(whose, share.clone());
                continue;
            }
            let because = format!("{} in place of {}", addresses_in_words(share), addresses_in_words(found));
            waiting.push(Waiting { waits_for: WaitsFor::Approve, region: whose.clone(), because });
            self.asked.insert(whose, std::mem::replace(share, found.clone()));
        }
        waiting
    }
}

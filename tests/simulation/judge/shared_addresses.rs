//! Addresses that several regions are at: each stays while one of those may serve, and comes back with the first that may.

use std::collections::BTreeSet;
use std::net::IpAddr;

use pointsman::core::Plan;
use pointsman::model::Liveness;

use super::{Judge, Judged, View, holds};

impl Judge {
    /// The regions that are at this address now.
    fn at(&self, address: IpAddr) -> impl Iterator<Item = (usize, &View)> {
        let is_there = move |view: &View| !view.is_unbound && view.current.contains(&address);
        self.views.iter().filter(move |(_, view)| is_there(view)).map(|(place, view)| (*place, view))
    }

    /// Nobody's death takes an address that another region needs, and nobody returns behind another one's back.
    pub(super) fn plan_of_shared(&self, now: i64, plan: &Plan, seen: &BTreeSet<IpAddr>) -> Judged {
        let is_shared = |address: &&IpAddr| self.at(**address).count() > 1;
        for address in seen.difference(&plan.wanted).filter(is_shared) {
            for (place, view) in self.at(*address) {
                let is_dead = view.told == Liveness::Down && self.has_failed(view);
                let may_go = is_dead || self.words.is_drained(place) || self.is_outranked(place, plan, seen);
                holds!(
                    may_go,
                    "NEVER-EMPTY",
                    "{address} leaves {seen:?}, and r{place} is there, {}: {plan}",
                    view.told
                );
            }
        }
        let nobody_serves = self.nobody_serves(seen);
        for address in plan.wanted.difference(seen).filter(is_shared) {
            let enters = |(place, view): (usize, &View)| {
                let healthy = view.passing_since.map_or(0, |since| now - since);
                let returns = view.told == Liveness::Up && healthy >= view.waits_ms(&self.settings);
                let to_the_rescue = nobody_serves && self.has_risen(view) && self.passes(view);
                let is_in = self.is_surely_in(place, seen);
                self.words.is_pinned(place)
                    || is_in
                    || (self.may_return(place, seen) && (returns || to_the_rescue))
            };
            holds!(
                self.at(*address).any(enters),
                "BOUNDED-WRITES",
                "{address} enters {seen:?}, and none that is there may: {plan}"
            );
        }
        Ok(())
    }

    /// Whether regions of a better tier serve.
    fn is_outranked(&self, place: usize, plan: &Plan, seen: &BTreeSet<IpAddr>) -> bool {
        self.settings.tiers && self.best_tier(plan, seen).is_some_and(|best| best < self.settings.tier(place))
    }
}

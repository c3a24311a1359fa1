//! From how the regions stand to what is wanted of the record set: policy, guard, the operators' word, the plan.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use super::plan::{Generation, Held, Plan, RegionPlan, Rule};
use super::policy::Choice;
use super::service::ServiceState;
use super::shares::Shares;
use super::standing::Standing;
use super::{Effect, guard, policy};
use crate::model::{
    Liveness, Mode, Moment, Override, Part, PolicyKind, Waiting, WaitsFor, Weight, WhenAllDown,
    addresses_in_words,
};

/// What is to become of the record set.
struct Decision {
    shares: Shares,
    held: Vec<Held>,
    waiting: Vec<Waiting>,
    /// Whether it may be written.
    may_write: bool,
    /// Which of our addresses the set must hold for that.
    only_from: Option<BTreeSet<IpAddr>>,
    /// True if it brings in a region that serves while no published region does.
    is_rescue: bool,
    /// Whether `when_all_down` has decided.
    is_all_down: bool,
}

impl ServiceState {
    pub(super) fn decide(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        self.set_paces(effects);
        if let Some(seen) = &self.seen {
            let present = seen.found.as_ref().map(|found| found.values.clone()).unwrap_or_default();
            self.note_who_left(&present, now);
            let standings = self.standings(&present);
            let choices = policy::choose(&self.service, &standings, now);
            let decision = self.judge(now, &standings, &choices, &present);
            for (region, standing) in self.regions.iter_mut().zip(&standings) {
                if standing.published && standing.liveness == Liveness::Up {
                    region.has_returned();
                }
            }
            let owned = self.regions.iter().map(|region| region.owned.clone());
            let regions = standings.into_iter().zip(&decision.shares.regions).zip(choices).zip(owned);
            let regions = regions.map(|(((region, share), choice), owned)| RegionPlan {
                because: match (choice.wanted, share.is_empty()) {
                    (false, false) if decision.is_all_down => {
                        format!("every region is down, so when_all_down decides; {}", choice.because)
                    }
                    (true | false, true | false) => choice.because,
                },
                wanted: !share.is_empty(),
                region: region.name,
                liveness: region.liveness,
                addresses: region.addresses,
                owned,
                published: region.published,
            });
            let regions = regions.collect();
            self.hold(&decision.held, effects);
            self.wait(&decision.waiting, effects);
            self.plan(decision, regions, effects);
        }
        self.raise_alarms(effects);
    }

    /// Keeps since when each region is out of the set.
    fn note_who_left(&mut self, present: &BTreeSet<IpAddr>, now: Moment) {
        for region in &mut self.regions {
            let is_out = region.owned.is_disjoint(present);
            let left = is_out.then(|| region.left.unwrap_or(now));
            self.changed |= left != region.left;
            region.left = left;
        }
    }

    fn judge(
        &mut self,
        now: Moment,
        standings: &[Standing],
        choices: &[Choice],
        present: &BTreeSet<IpAddr>,
    ) -> Decision {
        let found = Shares::found(&self.service, standings, present);
        let fallback = self.published_fallback(&found);
        let verdict = guard::judge(&self.service, standings, choices, &fallback, self.patience_ends, now);
        (self.patience_ends, self.hold_ends) = (verdict.patience_ends, verdict.hold_ends);
        let is_all_down = guard::is_all_down(standings);
        let (mut shares, mut held) = if is_all_down {
            (Shares::when_all_down(&self.service, standings, &found), Vec::new())
        } else {
            (Shares::of_wanted(&self.service, standings, &verdict.wanted, &fallback), verdict.held)
        };
        let kept = shares.keep_enough(&self.service, standings);
        if !kept.is_empty() {
            held.push(too_few_without(&kept, self.service.min_published));
        }
        if let Some(freeze) = self.overrides.freeze() {
            self.consent.ask_nothing();
            if shares != found {
                held.push(frozen(freeze, &shares));
            }
            return Decision {
                shares: found,
                held,
                waiting: Vec::new(),
                may_write: false,
                only_from: None,
                is_rescue: false,
                is_all_down,
            };
        }
        let mut waiting = returns_that_wait(standings, choices);
        let (mut may_write, mut only_from) = (true, None);
        if self.service.mode == Mode::Advise {
            let names: Vec<_> = standings.iter().map(|region| region.name.clone()).collect();
            waiting.extend(self.consent.hold_back(&names, &found, &mut shares));
            if let Some(too_few) = guard::hold_part(&self.service, standings, &found, &shares) {
                held.push(too_few);
                shares.clone_from(&found);
            }
            may_write = shares != found;
            only_from = may_write.then(|| found.all());
        } else {
            self.consent.clear();
        }
        let enters = |(region, share): (&Standing, &BTreeSet<IpAddr>)| {
            !region.published && !share.is_empty() && region.risen && region.may_serve()
        };
        let is_rescue = policy::nobody_serves(standings) && standings.iter().zip(&shares.regions).any(enters);
        Decision { shares, held, waiting, may_write, only_from, is_rescue, is_all_down }
    }

    /// The whole fallback while it is published, or was to be by the last plan; else nothing.
    fn published_fallback(&self, found: &Shares) -> BTreeSet<IpAddr> {
        let fallback = self.fallback();
        let was_wanted = self.plan.as_ref().is_some_and(|plan| !plan.wanted.is_disjoint(&fallback));
        if found.fallback.is_empty() && !was_wanted { BTreeSet::new() } else { fallback }
    }

    fn standings(&self, present: &BTreeSet<IpAddr>) -> Vec<Standing> {
        let standing = |region| Standing::of(region, present, &self.overrides, self.plan.as_deref());
        self.regions.iter().map(standing).collect()
    }

    /// Every address that is ours (ONLY-OURS).
    pub(super) fn owned(&self) -> BTreeSet<IpAddr> {
        let mut owned: BTreeSet<IpAddr> = self.regions.iter().flat_map(|r| r.owned.iter().copied()).collect();
        owned.extend(self.fallback());
        owned
    }

    fn fallback(&self) -> BTreeSet<IpAddr> {
        match &self.service.when_all_down {
            WhenAllDown::Fallback(addresses) => addresses.iter().copied().collect(),
            WhenAllDown::KeepLast | WhenAllDown::PublishAll => BTreeSet::new(),
        }
    }

    /// The sets that the shares make, one a region and one of the fallback; none unless the policy weighs them. An address
    /// of two regions is the first one's of those that are to be in.
    fn parts(&self, shares: &Shares) -> Vec<Part> {
        if self.service.policy != PolicyKind::Weighted {
            return Vec::new();
        }
        let regions = self.regions.iter().zip(&shares.regions);
        let regions = regions.map(|(state, share)| (state.region.weight, share.clone(), state.owned.clone()));
        let fallback = self.fallback();
        let last = (!fallback.is_empty()).then(|| (Weight::DEFAULT, shares.fallback.clone(), fallback));
        let (mut served, mut claimed) = (BTreeSet::new(), shares.all());
        let part = |(weight, share, all): (Weight, BTreeSet<IpAddr>, BTreeSet<IpAddr>)| {
            let values = &share - &served;
            let owned = &(&all - &claimed) | &values;
            served.extend(share);
            claimed.extend(all);
            Part { weight, values, owned }
        };
        regions.chain(last).map(part).collect()
    }

    fn plan(&mut self, decision: Decision, regions: Vec<RegionPlan>, effects: &mut Vec<Effect>) {
        let Decision { shares, may_write, only_from, is_rescue, .. } = decision;
        let (wanted, parts) = (shares.all(), self.parts(&shares));
        // Without an address to want there is nothing to plan, save that an older plan must not go on to write what is
        // not wanted any more.
        if wanted.is_empty() && self.plan.is_none() {
            return;
        }
        let owned = self.owned();
        let ttl = self.service.record.ttl;
        let words = self.words;
        let same = |plan: &Arc<Plan>| {
            plan.wanted == wanted
                && plan.owned == owned
                && plan.parts == parts
                && plan.ttl == ttl
                && (plan.may_write, &plan.only_from) == (may_write, &only_from)
                // Once nobody needs rescue any more the write may be on its way: it stays what it was.
                && (plan.is_rescue || !is_rescue)
                && plan.words == words
        };
        if let Some(plan) = self.plan.as_mut().filter(|plan| same(plan)) {
            if plan.regions != regions || plan.held != self.held {
                let plan = Arc::make_mut(plan);
                plan.regions = regions;
                plan.held.clone_from(&self.held);
            }
            return;
        }
        self.generation = Generation(self.generation.0.saturating_add(1));
        self.changed = true;
        let plan = Arc::new(Plan {
            service: self.service.name.clone(),
            key: self.service.record.key.clone(),
            generation: self.generation,
            wanted,
            owned,
            parts,
            ttl,
            may_write,
            only_from,
            is_rescue,
            words,
            regions,
            held: self.held.clone(),
        });
        self.plan = Some(plan.clone());
        effects.push(Effect::Apply(plan));
    }

    fn hold(&mut self, held: &[Held], effects: &mut Vec<Effect>) {
        if self.held != held {
            self.held = held.to_vec();
            effects.push(Effect::Held { service: self.service.name.clone(), held: held.to_vec() });
        }
    }

    fn wait(&mut self, waiting: &[Waiting], effects: &mut Vec<Effect>) {
        if self.waiting != waiting {
            self.waiting = waiting.to_vec();
            effects.push(Effect::Waiting { service: self.service.name.clone(), waiting: waiting.to_vec() });
        }
    }
}

fn frozen(freeze: &Override, shares: &Shares) -> Held {
    Held {
        rule: Rule::OperatorRules,
        because: format!("{freeze}; without it {} would be wanted", addresses_in_words(&shares.all())),
        lifts_when: "the freeze is released or ends".to_owned(),
    }
}

fn too_few_without(kept: &BTreeSet<IpAddr>, min_published: u32) -> Held {
    Held {
        rule: Rule::NeverEmpty,
        because: format!(
            "a region is elsewhere now, and without {} fewer than min_published = {min_published} addresses would be left",
            addresses_in_words(kept)
        ),
        lifts_when: "another region is up and published".to_owned(),
    }
}

fn returns_that_wait(standings: &[Standing], choices: &[Choice]) -> Vec<Waiting> {
    let waits = standings.iter().zip(choices).filter(|(_, choice)| choice.waits_for_failback);
    let waiting = |(region, choice): (&Standing, &Choice)| Waiting {
        waits_for: WaitsFor::Failback,
        region: Some(region.name.clone()),
        because: choice.because.clone(),
    };
    waits.map(waiting).collect()
}

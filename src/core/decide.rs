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
}

impl ServiceState {
    pub(super) fn decide(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        self.set_paces(effects);
        if let Some(seen) = &self.seen {
            let present = seen.found.as_ref().map(|found| found.values.clone()).unwrap_or_default();
            let standings = self.standings(&present);
            let choices = policy::choose(&self.service, &standings, now);
            let Decision { shares, held, waiting, may_write, only_from } =
                self.judge(now, &standings, &choices, &present);
            for (region, standing) in self.regions.iter_mut().zip(&standings) {
                if standing.published && standing.liveness == Liveness::Up {
                    region.has_returned();
                }
            }
            let regions = standings.into_iter().zip(&shares.regions).zip(choices);
            let regions = regions.map(|((region, share), choice)| RegionPlan {
                wanted: !share.is_empty(),
                region: region.name,
                liveness: region.liveness,
                addresses: region.addresses,
                published: region.published,
                because: choice.because,
            });
            let regions = regions.collect();
            self.hold(held, effects);
            self.wait(waiting, effects);
            self.plan(&shares, (may_write, only_from), regions, effects);
        }
        self.raise_alarms(effects);
    }

    fn judge(
        &mut self,
        now: Moment,
        standings: &[Standing],
        choices: &[Choice],
        present: &BTreeSet<IpAddr>,
    ) -> Decision {
        let verdict = guard::judge(&self.service, standings, choices, self.patience_ends, now);
        self.patience_ends = verdict.wait_until;
        let found = Shares::found(&self.service, standings, present);
        let (mut shares, mut held) = if guard::is_all_down(standings) {
            (Shares::when_all_down(&self.service, standings, &found), Vec::new())
        } else {
            (Shares::of_wanted(&self.service, standings, &verdict.wanted, &found), verdict.held)
        };
        if let Some(freeze) = self.overrides.freeze() {
            if shares != found {
                held.push(frozen(freeze, &shares));
            }
            return Decision { shares: found, held, waiting: Vec::new(), may_write: false, only_from: None };
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
        Decision { shares, held, waiting, may_write, only_from }
    }

    fn standings(&self, present: &BTreeSet<IpAddr>) -> Vec<Standing> {
        let standing = |region| Standing::of(region, present, &self.overrides);
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
    /// that two regions claim is the first one's.
    fn parts(&self, shares: &Shares) -> Vec<Part> {
        if self.service.policy != PolicyKind::Weighted {
            return Vec::new();
        }
        let regions = self.regions.iter().zip(&shares.regions);
        let regions = regions.map(|(state, share)| (state.region.weight, share.clone(), state.owned.clone()));
        let fallback = self.fallback();
        let last = (!fallback.is_empty()).then(|| (Weight::DEFAULT, shares.fallback.clone(), fallback));
        let mut claimed = BTreeSet::new();
        let part = |(weight, share, all): (Weight, BTreeSet<IpAddr>, BTreeSet<IpAddr>)| {
            let part = Part { weight, values: &share - &claimed, owned: &all - &claimed };
            claimed.extend(all);
            part
        };
        regions.chain(last).map(part).collect()
    }

    fn plan(
        &mut self,
        shares: &Shares,
        (may_write, only_from): (bool, Option<BTreeSet<IpAddr>>),
        regions: Vec<RegionPlan>,
        effects: &mut Vec<Effect>,
    ) {
        let (wanted, parts) = (shares.all(), self.parts(shares));
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
                && plan.words == words
        };
        if let Some(plan) = self.plan.as_mut().filter(|plan| same(plan)) {
            if plan.regions != regions || plan.held != self.held {
                let current = Plan { regions, held: self.held.clone(), ..Plan::clone(plan) };
                *plan = Arc::new(current);
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
            words,
            regions,
            held: self.held.clone(),
        });
        self.plan = Some(plan.clone());
        effects.push(Effect::Apply(plan));
    }

    fn hold(&mut self, held: Vec<Held>, effects: &mut Vec<Effect>) {
        if self.held != held {
            self.held.clone_from(&held);
            effects.push(Effect::Held { service: self.service.name.clone(), held });
        }
    }

    fn wait(&mut self, waiting: Vec<Waiting>, effects: &mut Vec<Effect>) {
        if self.waiting != waiting {
            self.waiting.clone_from(&waiting);
            effects.push(Effect::Waiting { service: self.service.name.clone(), waiting });
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

fn returns_that_wait(standings: &[Standing], choices: &[Choice]) -> Vec<Waiting> {
    let waits = standings.iter().zip(choices).filter(|(_, choice)| choice.waits_for_failback);
    let waiting = |(region, choice): (&Standing, &Choice)| Waiting {
        waits_for: WaitsFor::Failback,
        region: Some(region.name.clone()),
        because: choice.because.clone(),
    };
    waits.map(waiting).collect()
}

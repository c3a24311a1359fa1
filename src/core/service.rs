//! One service as the core keeps it: its regions, what its record set was seen to hold, its plan.
//!
//! Every input ends in `decide`, which goes policy, guard, plan, and says what changed. Start there.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::memory::{ServiceMemory, WritesMemory};
use super::plan::{Generation, Held, Plan, RegionPlan};
use super::region::{RegionState, Step};
use super::report::Report;
use super::standing::Standing;
use super::{Effect, Transition, fingerprint, guard, policy};
use crate::model::{Alarm, Found, Liveness, Moment, Observation, Pace, RegionName, Service, WhenAllDown};

/// What is known of the record set.
#[derive(Clone, Debug)]
pub(super) struct SeenSet {
    /// What it held; none when it does not exist.
    pub(super) found: Option<Found>,
    /// When it was read.
    pub(super) at: Moment,
}

/// One service.
#[derive(Clone, Debug)]
pub(super) struct ServiceState {
    pub(super) service: Arc<Service>,
    pub(super) regions: Vec<RegionState>,
    pub(super) seen: Option<SeenSet>,
    pub(super) plan: Option<Arc<Plan>>,
    pub(super) generation: Generation,
    /// What the reconciler is at, as it last said.
    pub(super) phase: &'static str,
    /// The rules that hold the plan, and the rule that holds the write.
    pub(super) held: Vec<Held>,
    pub(super) write_held: Option<Held>,
    pub(super) alarms: BTreeMap<(Alarm, Option<RegionName>), String>,
    /// What the reconciler has alarmed, by its reports.
    pub(super) write_alarm: Option<(Alarm, String)>,
    /// When the removal that waits for suspects has waited long enough.
    patience_ends: Option<Moment>,
    /// When something is to be decided although nothing happens.
    pub(super) due: Option<Moment>,
    pub(super) paces: Vec<Pace>,
    /// What is to be remembered of the record set's writes, as of when the reconciler told.
    writes: (WritesMemory, Moment),
    /// Whether anything changed that is to be remembered.
    pub(super) changed: bool,
}

impl ServiceState {
    pub(super) fn new(service: Arc<Service>, now: Moment) -> Self {
        let regions: Vec<RegionState> =
            service.regions.iter().map(|region| RegionState::new(region.clone(), now)).collect();
        Self {
            paces: vec![Pace::Normal; regions.len()],
            regions,
            seen: None,
            plan: None,
            generation: Generation::default(),
            phase: "idle",
            held: Vec::new(),
            write_held: None,
            alarms: BTreeMap::new(),
            write_alarm: None,
            patience_ends: None,
            due: None,
            writes: (WritesMemory::default(), now),
            changed: false,
            service,
        }
    }

    /// What of it outlives the process.
    pub(super) fn memory(&self, now: Moment) -> ServiceMemory {
        let (writes, told) = &self.writes;
        ServiceMemory {
            service: self.service.name.clone(),
            record: fingerprint::of_record(&self.service.record),
            generation: self.generation.0,
            regions: self.regions.iter().map(|region| region.memory(now)).collect(),
            writes: writes.later(now.since(*told)),
        }
    }

    /// Goes on from what was remembered `gap` ago. Nothing is decided before something happens.
    pub(super) fn restore(
        &mut self,
        now: Moment,
        gap: Duration,
        memory: &ServiceMemory,
        effects: &mut Vec<Effect>,
    ) {
        self.generation = self.generation.max(Generation(memory.generation));
        let Some(writes) = memory.writes(&self.service.record) else { return };
        self.writes = (writes.later(gap), now);
        for region in &mut self.regions {
            if let Some(kept) = memory.regions.iter().find(|kept| kept.name == region.region.name) {
                *region = RegionState::recall(region.region.clone(), kept, now, gap);
            }
        }
        self.disown_what_moved();
        self.set_paces(effects);
        self.due = self.next_wake(now);
    }

    /// An address that is another region's now is not owned any more by the one that it was with before.
    pub(super) fn disown_what_moved(&mut self) {
        for place in 0..self.regions.len() {
            let Some(here) = self.regions.get(place).map(|region| region.addresses.clone()) else { return };
            for (_, other) in self.regions.iter_mut().enumerate().filter(|(other, _)| *other != place) {
                let still_there = other.addresses.clone();
                other.owned.retain(|address| !here.contains(address) || still_there.contains(address));
            }
        }
    }

    pub(super) fn observe(&mut self, now: Moment, observation: &Observation, effects: &mut Vec<Effect>) {
        let key = &observation.check;
        let Some(at) = self.regions.iter().position(|r| r.region.name == key.region) else { return };
        let Some(region) = self.regions.get_mut(at) else { return };
        let Some(place) = region.region.checks.iter().position(|check| check.name == key.check) else {
            return;
        };
        let learnt = region.observe(place, observation);
        let steps = region.advance(now);
        let moved = learnt || !steps.is_empty();
        self.changed |= moved;
        self.tell(at, &steps, now, effects);
        let certificate = observation
            .certificate
            .filter(|c| c.expires_soon)
            .map(|_| format!("the certificate that {}/{} saw ends soon; renew it", key.region, key.check));
        if observation.certificate.is_some() {
            self.alarm(Alarm::Certificate, Some(key.region.clone()), certificate, effects);
        }
        // Most looks change nothing, and then nothing is decided anew: that is what makes a look cheap here.
        if moved || self.due.is_some_and(|due| due <= now) {
            self.advance(now, effects);
        }
    }

    pub(super) fn bound(
        &mut self,
        now: Moment,
        region: &RegionName,
        addresses: BTreeSet<IpAddr>,
        effects: &mut Vec<Effect>,
    ) {
        let holds = |a: &IpAddr| self.service.record.key.record_type.holds(*a);
        let addresses: BTreeSet<IpAddr> = addresses.into_iter().filter(holds).collect();
        let Some(state) = self.regions.iter_mut().find(|r| r.region.name == *region) else { return };
        if state.bound(addresses) {
            self.changed = true;
            self.disown_what_moved();
            self.advance(now, effects);
        }
    }

    /// Takes in what the reconciler says of the record set.
    pub(super) fn report(&mut self, now: Moment, report: &Report, effects: &mut Vec<Effect>) {
        if let Some(phase) = report.phase() {
            self.phase = phase;
        }
        self.write_alarm.take_if(|(alarm, _)| report.clears(*alarm));
        match report {
            Report::Seen { found } => {
                self.seen = Some(SeenSet { found: found.clone(), at: now });
            }
            Report::InSync | Report::Sent { .. } => self.write_held = None,
            Report::Held(held) => self.write_held = Some(held.clone()),
            Report::Alarmed { alarm, message } => self.write_alarm = Some((*alarm, message.clone())),
            Report::Remember(writes) => {
                self.writes = (writes.clone(), now);
                self.changed = true;
                return;
            }
            Report::Written { .. }
            | Report::InForce { .. }
            | Report::DryRun { .. }
            | Report::Drifted { .. } => {}
        }
        self.advance(now, effects);
    }

    /// Moves every region as far as time and evidence allow, then decides.
    pub(super) fn advance(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        for at in 0..self.regions.len() {
            let steps = self.regions.get_mut(at).map(|region| region.advance(now)).unwrap_or_default();
            self.changed |= !steps.is_empty();
            self.tell(at, &steps, now, effects);
        }
        self.decide(now, effects);
        self.due = self.next_wake(now);
    }

    fn tell(&self, at: usize, steps: &[Step], now: Moment, effects: &mut Vec<Effect>) {
        let Some(region) = self.regions.get(at) else { return };
        effects.extend(steps.iter().map(|step| {
            Effect::Transition(Transition {
                service: self.service.name.clone(),
                region: region.region.name.clone(),
                from: step.from,
                to: step.to,
                because: region.evidence_in_words(),
                first_failure: region.first_failure(),
                at: now,
            })
        }));
    }

    pub(super) fn decide(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        self.set_paces(effects);
        if let Some(seen) = &self.seen {
            let present = seen.found.as_ref().map(|found| found.values.clone()).unwrap_or_default();
            let standings = self.standings(&present);
            let choices = policy::choose(self.service.policy, &standings, now);
            let verdict = guard::judge(&self.service, &standings, &choices, self.patience_ends, now);
            self.patience_ends = verdict.wait_until;
            let all_down = standings.iter().all(|region| region.liveness == Liveness::Down);
            let (wanted, held) = if all_down {
                (self.wanted_when_all_down(&standings, &present), Vec::new())
            } else {
                let into = standings.iter().zip(&verdict.wanted).filter(|(_, wanted)| **wanted);
                (into.flat_map(|(region, _)| region.target().iter().copied()).collect(), verdict.held)
            };
            let regions = standings.iter().zip(choices).map(|(region, choice)| RegionPlan {
                wanted: !wanted.is_disjoint(region.target()),
                region: region.name.clone(),
                liveness: region.liveness,
                addresses: region.addresses.clone(),
                published: region.published,
                because: choice.because,
            });
            let regions = regions.collect();
            self.hold(held, effects);
            self.plan(wanted, regions, effects);
        }
        self.raise_alarms(effects);
    }

    fn standings(&self, present: &BTreeSet<IpAddr>) -> Vec<Standing> {
        self.regions.iter().map(|region| Standing::of(region, present)).collect()
    }

    fn wanted_when_all_down(&self, standings: &[Standing], present: &BTreeSet<IpAddr>) -> BTreeSet<IpAddr> {
        match &self.service.when_all_down {
            WhenAllDown::KeepLast => self.owned().intersection(present).copied().collect(),
            WhenAllDown::PublishAll => standings.iter().flat_map(|r| r.addresses.iter().copied()).collect(),
            WhenAllDown::Fallback(addresses) => addresses.iter().copied().collect(),
        }
    }

    /// Every address that is ours (ONLY-OURS).
    pub(super) fn owned(&self) -> BTreeSet<IpAddr> {
        let mut owned: BTreeSet<IpAddr> = self.regions.iter().flat_map(|r| r.owned.iter().copied()).collect();
        if let WhenAllDown::Fallback(addresses) = &self.service.when_all_down {
            owned.extend(addresses.iter().copied());
        }
        owned
    }

    fn plan(&mut self, wanted: BTreeSet<IpAddr>, regions: Vec<RegionPlan>, effects: &mut Vec<Effect>) {
        // Without an address to want there is nothing to plan, save that an older plan must not go on to write what is
        // not wanted any more.
        if wanted.is_empty() && self.plan.is_none() {
            return;
        }
        let owned = self.owned();
        let ttl = self.service.record.ttl;
        let same = |plan: &Arc<Plan>| plan.wanted == wanted && plan.owned == owned && plan.ttl == ttl;
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
            ttl,
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

    /// A suspect is looked at fast, and so is everybody beside it: if the fault is our own network, they
    /// tell before the suspect has fallen. One that recovers is looked at fast alone.
    pub(super) fn set_paces(&mut self, effects: &mut Vec<Effect>) {
        let any_suspect = self.regions.iter().any(|r| r.liveness() == Liveness::Suspect);
        for (region, pace) in self.regions.iter().zip(&mut self.paces) {
            let fast = any_suspect || region.liveness() == Liveness::Recovering;
            let to = if fast { Pace::Fast } else { Pace::Normal };
            if *pace != to {
                *pace = to;
                let region = region.region.name.clone();
                effects.push(Effect::Pace { service: self.service.name.clone(), region, pace: to });
            }
        }
    }

    pub(super) fn next_wake(&self, now: Moment) -> Option<Moment> {
        let regions = self.regions.iter().flat_map(|region| [region.recovers_at(), region.enters_at()]);
        regions.flatten().chain(self.patience_ends).filter(|at| *at > now).min()
    }
}

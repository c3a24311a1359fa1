//! One service as the core keeps it: its regions, what its record set was seen to hold, its plan.
//!
//! Every input ends in `advance`, and that in `decide`, which goes policy, guard, plan, and says what changed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::consent::Consent;
use super::failover_memory::FailoverMemory;
use super::ledger::Ledger;
use super::memory::{Gap, ServiceMemory, WritesMemory};
use super::overrides::Overrides;
use super::plan::{Generation, Held, Plan};
use super::region::{RegionState, Step};
use super::report::Report;
use super::witnessing::Witnessing;
use super::{Effect, Transition, fingerprint};
use crate::model::{Alarm, Found, Liveness, Moment, Observation, Pace, RegionName, Service, Waiting};

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
    pub(super) overrides: Overrides,
    /// How many words of operators were heeded.
    pub(super) words: u64,
    pub(super) consent: Consent,
    /// What waits for a person.
    pub(super) waiting: Vec<Waiting>,
    pub(super) alarms: BTreeMap<(Alarm, Option<RegionName>), String>,
    /// What the reconciler has alarmed, by its reports.
    pub(super) write_alarm: Option<(Alarm, String)>,
    /// When the removal that waits for suspects has waited long enough.
    pub(super) patience_ends: Option<Moment>,
    /// When the next of what holds a removal back ends.
    pub(super) hold_ends: Option<Moment>,
    /// When something is to be decided although nothing happens.
    pub(super) due: Option<Moment>,
    pub(super) paces: Vec<Pace>,
    pub(super) ledger: Ledger,
    pub(super) witnessing: Witnessing,
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
            overrides: Overrides::default(),
            words: 0,
            consent: Consent::default(),
            waiting: Vec::new(),
            alarms: BTreeMap::new(),
            write_alarm: None,
            patience_ends: None,
            hold_ends: None,
            due: None,
            ledger: Ledger::default(),
            witnessing: Witnessing::default(),
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
            words: self.words,
            overrides: self.overrides.memory(now),
            regions: self.regions.iter().map(|region| region.memory(now)).collect(),
            writes: writes.later(now.since(*told)),
            failovers: self.ledger.count(),
            failover: self.ledger.iter().next_back().map(|line| FailoverMemory::of(line, now)),
        }
    }

    /// Goes on from what was remembered `gap` ago. Nothing is decided before something happens.
    pub(super) fn restore(
        &mut self,
        now: Moment,
        gap: Gap,
        memory: &ServiceMemory,
        effects: &mut Vec<Effect>,
    ) {
        let Gap { looks: gap, writes: writes_gap } = gap;
        self.generation = self.generation.max(Generation(memory.generation));
        self.words = self.words.max(memory.words);
        self.overrides = Overrides::recall(&memory.overrides, now - gap);
        self.leave_behind(effects);
        self.expire(now, effects);
        self.mute_checks();
        self.ledger = Ledger::recall(memory.failovers, None);
        let Some(writes) = memory.writes(&self.service.record) else { return };
        let newest = memory.failover.as_ref().map(|line| line.recall(now - gap));
        self.ledger = Ledger::recall(memory.failovers, newest);
        self.writes = (writes.later(writes_gap), now);
        for region in &mut self.regions {
            if let Some(kept) = memory.regions.iter().find(|kept| kept.name == region.region.name) {
                *region = RegionState::recall(region.region.clone(), kept, now, gap);
            }
        }
        self.disown_what_moved();
        self.mute_checks();
        self.set_paces(effects);
        self.due = self.next_wake(now);
    }

    /// An address belongs to the regions that are there now; while none is, to the one that was there last.
    pub(super) fn disown_what_moved(&mut self) {
        for place in 0..self.regions.len() {
            let Some(here) = self.regions.get(place).map(|region| region.addresses.clone()) else { return };
            for (_, other) in self.regions.iter_mut().enumerate().filter(|(other, _)| *other != place) {
                other.disown(&here);
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
        // One whose addresses are written down follows no load balancer: that was seen before a reload wrote them.
        let follows =
            |state: &&mut RegionState| state.region.name == *region && state.region.addresses.is_empty();
        let Some(state) = self.regions.iter_mut().find(follows) else { return };
        if state.bound(addresses) {
            self.changed = true;
            self.disown_what_moved();
        }
        self.advance(now, effects);
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
                // Nothing is in sync with a set that is not there; with nothing wanted of it nothing is held back either.
                if found.is_none() && self.wants_nothing() {
                    self.write_held = None;
                }
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
            | Report::Delayed { .. }
            | Report::Drifted { .. } => {}
        }
        self.follow_write(now, report, effects);
        self.advance(now, effects);
    }

    /// Returns true if the newest plan wants nobody in the set.
    pub(super) fn wants_nothing(&self) -> bool {
        self.plan.as_ref().is_some_and(|plan| plan.wanted.is_empty())
    }

    /// Moves every region as far as time and evidence allow, then decides.
    pub(super) fn advance(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        self.expire(now, effects);
        for at in 0..self.regions.len() {
            let steps = self.regions.get_mut(at).map(|region| region.advance(now)).unwrap_or_default();
            self.changed |= !steps.is_empty();
            self.tell(at, &steps, now, effects);
        }
        let generation = self.generation;
        self.decide(now, effects);
        if self.generation != generation {
            self.witnessing.planned(now, self.words);
        }
        self.heed_witnesses(now, effects);
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
                because: region.why(step.to),
                first_failure: region.first_failure(),
                at: now,
            })
        }));
    }

    /// A suspect is probed fast, and so is everybody beside it: if the fault is our own network, they
    /// tell before the suspect has fallen. One that recovers is probed fast alone. One that is blind goes back to the normal
    /// pace: an API that does not keep up would be asked even more.
    pub(super) fn set_paces(&mut self, effects: &mut Vec<Effect>) {
        let is = |liveness: Liveness, r: &RegionState| r.liveness() == liveness && !r.is_blind();
        let any_suspect = self.regions.iter().any(|region| is(Liveness::Suspect, region));
        for (region, pace) in self.regions.iter().zip(&mut self.paces) {
            let fast = any_suspect || is(Liveness::Recovering, region);
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
        let ends = self.patience_ends.into_iter().chain(self.hold_ends).chain(self.overrides.next_end());
        let ends = ends.chain(self.witnessing.patience_ends());
        regions.flatten().chain(ends).filter(|at| *at > now).min()
    }
}

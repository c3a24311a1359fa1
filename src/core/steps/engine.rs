//! The order of the core loop's steps: what is done around one step of the core, and before what.
//!
//! What is to be remembered is kept once the effects of the step are carried out, and the journal's entry about a write
//! after that, so that whoever finds the entry finds the core's state with it (NO-JUMP-ON-START). What was seen under a
//! configuration is judged by it before the next one comes. Start at [`Engine::step`]; [`Hands`] is what it works with.

use std::sync::Arc;

use super::recollection::{KnownWrites, Recollection};
use super::rounds::Rounds;
use crate::core::{Core, Effect, Input, Plan, Report};
use crate::model::{Inquiry, Moment, Observation, Pace, RegionName, Service, ServiceName};

/// What carries the core's wishes out. Nothing here may wait (KEEP-WATCHING).
pub trait Hands {
    /// Takes word of what the journal has of a report, for whoever waits for it.
    type Receipt;
    /// The journal's entry about a report.
    type Entry;

    /// Logs and counts a probe, before the core hears of it.
    fn observed(&mut self, now: Moment, observation: &Observation);
    /// Hands a driver its newest plan.
    fn plan(&mut self, plan: &Arc<Plan>);
    /// Sets how fast a region is probed.
    fn pace(&mut self, service: &ServiceName, region: &RegionName, pace: Pace);
    /// Hands the witnesses what they are asked from now on.
    fn inquire(&mut self, inquiry: &Arc<Inquiry>);
    /// Logs, counts and journals an effect; whoever carries it out has it by now.
    fn tell(&mut self, now: Moment, effect: Effect);
    /// Persists the state of these services as it is now.
    fn remember(&mut self, now: Moment, core: &Core, services: &[ServiceName]);
    /// Holds what is known of a record set's writes for the driver that is started next.
    fn known_writes(&mut self, service: &ServiceName, writes: KnownWrites);
    /// Logs and counts what a driver told, before the core hears of it.
    fn reported(
        &mut self,
        now: Moment,
        service: &ServiceName,
        report: &Report,
        receipt: Self::Receipt,
    ) -> Self::Entry;
    /// Journals what a driver told, once the core has heard of it.
    fn keep(&mut self, entry: Self::Entry);
}

/// The core with what it needs between its steps.
#[derive(Debug)]
pub struct Engine {
    core: Core,
    rounds: Rounds,
    /// Kept from step to step, so that a probe that changes nothing allocates nothing.
    effects: Vec<Effect>,
}

impl Engine {
    /// An engine whose core has seen nothing yet.
    #[must_use]
    pub fn new(services: &[Arc<Service>], now: Moment) -> Self {
        Self { core: Core::new(services, now), rounds: Rounds::new(now), effects: Vec::new() }
    }

    /// The core, to be asked.
    #[must_use]
    pub fn core(&self) -> &Core {
        &self.core
    }

    /// Goes on from what the process before left, to be called first: once `take_over` has started what is to carry the
    /// core's wishes out.
    pub fn begin<H: Hands>(
        &mut self,
        now: Moment,
        recollections: &[Recollection],
        hands: &mut H,
        take_over: impl FnOnce(&mut H),
    ) {
        take_over(hands);
        for Recollection { gap, memory } in recollections {
            self.core.restore(now, *gap, memory, &mut self.effects);
        }
        self.carry_out(now, hands);
    }

    /// Goes over to another configuration, in one step: the probes that have ended are judged by the old one, then `take_over`
    /// changes what carries the core's wishes out, then the core changes.
    pub fn change<H: Hands>(
        &mut self,
        now: Moment,
        ended: impl IntoIterator<Item = Observation>,
        services: &[Arc<Service>],
        hands: &mut H,
        take_over: impl FnOnce(&mut H),
    ) {
        for observation in ended {
            self.observed(now, observation, hands);
        }
        take_over(hands);
        self.core.reconfigure(now, services, &mut self.effects);
        self.carry_out(now, hands);
    }

    /// Takes in the result of a probe.
    pub fn observed(&mut self, now: Moment, observation: Observation, hands: &mut impl Hands) {
        hands.observed(now, &observation);
        self.step(now, &Input::Observed(observation), hands);
    }

    /// Takes in what a driver told. What is known of its writes is held before anything else: it may have to be started
    /// again.
    pub fn reported<H: Hands>(
        &mut self,
        now: Moment,
        service: ServiceName,
        report: Report,
        receipt: H::Receipt,
        hands: &mut H,
    ) {
        if let Report::Remember(memory) = &report {
            hands.known_writes(&service, KnownWrites { at: now, memory: memory.clone() });
        }
        let entry = hands.reported(now, &service, &report, receipt);
        self.step(now, &Input::Reported { service, report }, hands);
        hands.keep(entry);
    }

    /// Takes in anything else.
    pub fn step(&mut self, now: Moment, input: &Input, hands: &mut impl Hands) {
        self.core.step(now, input, &mut self.effects);
        self.carry_out(now, hands);
    }

    /// Keeps what it is time for although nothing changed; to be called every second.
    pub fn keep_house(&mut self, now: Moment, hands: &mut impl Hands) {
        let due = self.rounds.due(&self.core, now);
        if !due.is_empty() {
            hands.remember(now, &self.core, &due);
        }
    }

    /// Keeps everything, as at a stop.
    pub fn keep_all(&self, now: Moment, hands: &mut impl Hands) {
        let services: Vec<ServiceName> = self.core.services().cloned().collect();
        hands.remember(now, &self.core, &services);
    }

    fn carry_out(&mut self, now: Moment, hands: &mut impl Hands) {
        for effect in self.effects.drain(..) {
            match &effect {
                Effect::Apply(plan) => hands.plan(plan),
                Effect::Pace { service, region, pace } => hands.pace(service, region, *pace),
                Effect::Witness(inquiry) => hands.inquire(inquiry),
                Effect::Transition(_)
                | Effect::Held { .. }
                | Effect::Waiting { .. }
                | Effect::Said { .. }
                | Effect::Ended { .. }
                | Effect::Ledger { .. }
                | Effect::Alarm(_) => {}
            }
            hands.tell(now, effect);
        }
        let changed = self.core.take_changed();
        if !changed.is_empty() {
            hands.remember(now, &self.core, &changed);
        }
    }
}

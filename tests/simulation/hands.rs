//! The hands of the simulated daemon's core: what a step of it asks for is done to the world, and judged once it is over.

use std::sync::Arc;

use pointsman::core::{Core, Effect, Engine, Hands, KnownWrites, Plan, Report};
use pointsman::model::{CheckKey, Inquiry, Moment, Observation, Outcome, Pace, RegionName, ServiceName};

use super::event::Stage;
use super::judge::{Judged, holds};
use super::play::Simulation;
use super::process::Process;
use super::service::subject;
use super::settings::{place_of, place_of_check, place_of_service};

/// What one step of the core has asked for.
pub(crate) struct Asked {
    /// The service that the step was about; none if it was about all of them.
    about: Option<usize>,
    effects: Vec<Effect>,
}

impl Simulation<'_> {
    /// Lets the engine do something now, about one service or all of them, with the world as its hands.
    pub(crate) fn take_step(
        &mut self,
        about: Option<usize>,
        step: impl FnOnce(&mut Engine, Moment, &mut Self),
    ) -> Judged {
        self.asks_anew(about);
        let Some(process) = &mut self.process else { return Ok(()) };
        let (now, engine) = (process.moment(self.now), process.engine.take());
        let Some(mut engine) = engine else { return Ok(()) };
        step(&mut engine, now, self);
        self.stepped(engine)
    }

    pub(crate) fn stepped(&mut self, engine: Engine) -> Judged {
        self.judge_what_was_asked();
        if let Some(process) = &mut self.process {
            process.engine = Some(engine);
        }
        self.plan_tick();
        self.broken.take().map_or(Ok(()), Err)
    }

    /// What comes is asked for by another step than what came.
    pub(crate) fn asks_anew(&mut self, about: Option<usize>) {
        self.judge_what_was_asked();
        if let Some(process) = &mut self.process {
            process.asked = Some(Asked { about, effects: Vec::new() });
        }
    }

    /// Judges what a step of the core has asked for, once.
    fn judge_what_was_asked(&mut self) {
        let Some(asked) = self.process.as_mut().and_then(|process| process.asked.take()) else { return };
        self.coverage.effects(&asked.effects);
        let Some(when) = self.process.as_ref().map(Process::when) else { return };
        let judged = self.judge_effects(asked, &when);
        self.broken = self.broken.take().or(judged.err());
    }

    /// Each service's effects are its own judge's; a step that is about one service asks nothing of another (KEEP-WATCHING).
    fn judge_effects(&mut self, Asked { about, mut effects }: Asked, when: &dyn Fn(Moment) -> i64) -> Judged {
        let count = self.services.len();
        for service in 0..count {
            let others = if count > 1 {
                let (own, others) = effects.into_iter().partition(|it| subject(it) == service);
                effects = own;
                others
            } else {
                Vec::new()
            };
            let is_touched = about.is_some_and(|about| about != service) && !effects.is_empty();
            holds!(!is_touched, "KEEP-WATCHING", "a step about service {about:?} did {effects:?} to another");
            self.services[service].judge.effects(self.now, &effects, when)?;
            effects = others;
        }
        Ok(())
    }
}

/// What a process that is about to be killed would still do is not done.
impl Hands for Simulation<'_> {
    type Receipt = Option<u64>;
    type Entry = Option<u64>;

    fn observed(&mut self, _: Moment, observation: &Observation) {
        let CheckKey { service, region, check } = &*observation.check;
        let service = place_of_service(service);
        self.asks_anew(Some(service));
        let (place, check, outcome) = (place_of(region), place_of_check(check), observation.outcome);
        if outcome != Outcome::Pass {
            self.tell_of(service, |_| format!("  r{place}/c{check}: {outcome:?}"));
        }
        self.coverage.look(outcome);
        self.services[service].judge.looked(self.now, place, check, outcome);
    }

    fn plan(&mut self, plan: &Arc<Plan>) {
        if self.dies || self.reached(Stage::Planned) {
            return;
        }
        let service = place_of_service(&plan.service);
        if let Some(process) = &mut self.process {
            let newest = &mut process.tasks[service].plan;
            *newest = (newest.0 + 1, Some(Arc::clone(plan)));
        }
        self.wake_driver(service);
    }

    fn pace(&mut self, service: &ServiceName, region: &RegionName, pace: Pace) {
        if !self.dies {
            self.set_pace(place_of_service(service), place_of(region), pace);
        }
    }

    fn inquire(&mut self, inquiry: &Arc<Inquiry>) {
        if let Some(process) = &mut self.process {
            let service = place_of_service(&inquiry.service);
            process.tasks[service].inquiry = Some(Arc::clone(inquiry));
            self.ask_anew(service);
        }
    }

    fn tell(&mut self, _: Moment, effect: Effect) {
        if let Some(line) = self.is_told().then(|| in_words(&effect)).flatten() {
            self.tell_of(subject(&effect), |_| line);
        }
        if !self.dies && !matches!(effect, Effect::Pace { .. } | Effect::Witness(_)) {
            self.keep_entry(None);
        }
        if let Some(asked) = self.process.as_mut().and_then(|process| process.asked.as_mut()) {
            asked.effects.push(effect);
        }
    }

    fn remember(&mut self, _: Moment, core: &Core, services: &[ServiceName]) {
        // The judge's knowledge is kept with the core's, and has to be of the same step.
        self.judge_what_was_asked();
        if !self.dies {
            Simulation::remember(self, core, services);
        }
    }

    fn known_writes(&mut self, service: &ServiceName, writes: KnownWrites) {
        if let Some(process) = &mut self.process {
            process.tasks[place_of_service(service)].known_writes = Some(writes);
        }
    }

    fn reported(
        &mut self,
        _: Moment,
        service: &ServiceName,
        report: &Report,
        ticket: Option<u64>,
    ) -> Option<u64> {
        self.services[place_of_service(service)].judge.core_hears(self.now, report);
        ticket
    }

    fn keep(&mut self, ticket: Option<u64>) {
        self.keep_entry(ticket);
    }
}

/// A line of the timeline.
fn in_words(effect: &Effect) -> Option<String> {
    Some(match effect {
        Effect::Apply(plan) => format!("  {plan}").replace('\n', "\n            "),
        Effect::Transition(transition) => {
            format!("  {}: {} to {}", transition.region, transition.from, transition.to)
        }
        Effect::Said { word, heeded, .. } => format!("  heeded {heeded}: {word:?}"),
        Effect::Ended { ended, because, .. } => format!("  {ended} ended: {because}"),
        Effect::Waiting { waiting, .. } => format!("  waits for a person: {waiting:?}"),
        Effect::Held { held, .. } => format!("  held: {held:?}"),
        Effect::Ledger { failover, reached, .. } => format!("  failover {}: {reached:?}", failover.number),
        Effect::Alarm(raised) => {
            let how = if raised.raised { "raised" } else { "over" };
            format!("  alarm {} {how}: {}", raised.alarm, raised.message)
        }
        Effect::Pace { .. } | Effect::Witness(_) => return None,
    })
}

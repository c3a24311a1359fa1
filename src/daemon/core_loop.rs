//! The loop that owns the core: what happens goes in, what the core asks for is done.
//!
//! Nothing it does waits for anybody: plans and paces are replaced in place, events are dropped by listeners that
//! lag, a status is made when somebody asks. So no slow provider, reader or probe can stop it (KEEP-WATCHING).

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::chronicle::Chronicle;
use crate::admin::Questions;
use crate::clock::Clock;
use crate::core::{Core, Effect, Input, Plan};
use crate::dns::driver::Reported;
use crate::model::{Observation, Pace, RegionName, ServiceName, Status};
use crate::probe::AddressesSeen;

/// Everything the loop listens to.
pub(super) struct Inbox {
    pub(super) observed: mpsc::Receiver<Observation>,
    pub(super) reported: mpsc::Receiver<Reported>,
    pub(super) bound: mpsc::Receiver<AddressesSeen>,
    pub(super) questions: Questions,
}

/// Everything the loop can move.
#[derive(Default)]
pub(super) struct Levers {
    /// The newest plan of each service.
    pub(super) plans: BTreeMap<ServiceName, watch::Sender<Option<Arc<Plan>>>>,
    /// How fast each region is looked at.
    pub(super) paces: BTreeMap<(ServiceName, RegionName), watch::Sender<Pace>>,
}

pub(super) struct CoreLoop {
    core: Core,
    clock: Clock,
    levers: Levers,
    chronicle: Chronicle,
    dry_run: bool,
    /// Kept from step to step, so that a look that changes nothing allocates nothing.
    effects: Vec<Effect>,
}

impl CoreLoop {
    pub(super) fn new(core: Core, clock: Clock, levers: Levers, chronicle: Chronicle, dry_run: bool) -> Self {
        Self { core, clock, levers, chronicle, dry_run, effects: Vec::new() }
    }

    /// Turns until stopped.
    pub(super) async fn run(mut self, mut inbox: Inbox, stop: &CancellationToken) {
        loop {
            let due = self.core.next_wake().map(|at| self.clock.instant(at));
            let tick = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                Some(observation) = inbox.observed.recv() => {
                    self.chronicle.observed(self.clock.now(), &observation);
                    self.step(&Input::Observed(observation));
                }
                Some(reported) = inbox.reported.recv() => {
                    self.chronicle.reported(self.clock.now(), &reported);
                    let Reported { service, report } = reported;
                    self.step(&Input::Reported { service, report });
                }
                Some(seen) = inbox.bound.recv() => {
                    let AddressesSeen { service, region, addresses } = seen;
                    let addresses = addresses.into_iter().collect();
                    self.step(&Input::Bound { service, region, addresses });
                }
                asked = inbox.questions.asked() => asked.answer(self.status()),
                () = tick => self.step(&Input::Tick),
            }
        }
    }

    fn step(&mut self, input: &Input) {
        let now = self.clock.now();
        self.core.step(now, input, &mut self.effects);
        for effect in self.effects.drain(..) {
            match &effect {
                Effect::Apply(plan) => {
                    if let Some(lever) = self.levers.plans.get(&plan.service) {
                        lever.send_replace(Some(Arc::clone(plan)));
                    }
                }
                Effect::Pace { service, region, pace } => {
                    if let Some(lever) = self.levers.paces.get(&(service.clone(), region.clone())) {
                        lever.send_replace(*pace);
                    }
                }
                Effect::Transition(_) | Effect::Held { .. } | Effect::Alarm(_) => {}
            }
            self.chronicle.tell(now, effect);
        }
    }

    fn status(&self) -> Status {
        let now = self.clock.now();
        Status {
            version: env!("CARGO_PKG_VERSION"),
            dry_run: self.dry_run,
            uptime_s: now.since_start().as_secs(),
            services: self.core.status(now),
        }
    }
}

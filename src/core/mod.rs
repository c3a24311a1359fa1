//! Decides which regions live and what the record sets should hold. Pure: no I/O, no clock, no logging.
//!
//! The contract of [`Core::step`]: time never goes back, effects are carried out in order, and a step never
//! fails. The same inputs give the same effects, so the daemon, a property test and a replayed incident run
//! the very same code. The core sleeps until [`Core::next_wake`] and knows no other deadline.
//!
//! An observation goes `signal` (rise and fall) → `region` (liveness, the diagram stands there) → `policy`
//! (who should be published) → `guard` (what may go now) → [`Plan`]. `reconcile`, a machine of its own beside
//! it, brings a record set to what the newest plan wants and reports back. `parts` says which calls a write of several sets
//! is. `steps` is the order in which the daemon drives both. `memory` is what of both outlives the process,
//! `reload` takes in another configuration. Start at [`Input`] and [`Effect`].

mod agenda;
mod alarms;
mod authorship;
mod backoff;
mod consent;
mod damping;
mod decide;
mod drift;
mod failover_memory;
mod fingerprint;
mod guard;
mod history;
mod ledger;
mod ledger_words;
mod memory;
mod overrides;
pub mod parts;
mod plan;
mod policy;
mod reconcile;
mod region;
mod reload;
mod report;
mod row;
mod service;
mod shares;
mod signal;
mod standing;
mod status;
mod steps;
mod tally;
mod witnessing;
mod word;
mod write_budget;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

pub use ledger::{Cause, Course, Direction, FAILOVERS_MAX, Failover, Move, Moved, Reached};
pub use memory::{Gap, ServiceMemory, WritesMemory};
pub use plan::{Generation, Held, Plan, RegionPlan, Rule, WriteRules};
pub use reconcile::{Call, Reconciler, Timing};
pub use report::{Report, WriteResult};
pub use steps::{DriverSteps, Engine, Hands, KnownWrites, News, Orders, PartCalls, Recollection, Step};
pub use tally::Tally;

use crate::model::{
    Alarm, Fetched, Inquiry, Liveness, Moment, Observation, Override, Pace, RegionName, Service, ServiceName,
    Testimony, Waiting, Word,
};
use agenda::Agenda;
use service::ServiceState;

/// Everything the core can be told. Nothing else can move it.
#[derive(Clone, Debug)]
pub enum Input {
    /// A look ended.
    Observed(Observation),
    /// The cloud told where a region can be reached; no address means that nothing is bound.
    Bound {
        /// Of which service.
        service: ServiceName,
        /// Which region.
        region: RegionName,
        /// The addresses bound to it now.
        addresses: BTreeSet<IpAddr>,
    },
    /// The reconciler told something of a service's record set.
    Reported {
        /// Of which service.
        service: ServiceName,
        /// What.
        report: Report,
    },
    /// An operator said something.
    Said {
        /// Of which service.
        service: ServiceName,
        /// What.
        word: Word,
    },
    /// Every witness was asked.
    Witnessed {
        /// Of which service.
        service: ServiceName,
        /// The number of the inquiry.
        inquiry: u64,
        /// What each of them said; nobody is asked when there is none.
        said: Vec<Testimony>,
    },
    /// A client fetched the service through its name.
    Fetched {
        /// Which service.
        service: ServiceName,
        /// After which failover, by its number.
        failover: u64,
        /// What came of it.
        fetched: Fetched,
    },
    /// Time has passed; due at [`Core::next_wake`].
    Tick,
}

/// Everything the core can ask for.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// A region's state changed: to be logged, counted, journalled.
    Transition(Transition),
    /// A region is to be looked at at this pace from now on.
    Pace {
        /// Of which service.
        service: ServiceName,
        /// Which region.
        region: RegionName,
        /// How fast.
        pace: Pace,
    },
    /// A record set is to be brought to this plan; it replaces every older one.
    Apply(Arc<Plan>),
    /// The rules that hold a service's plan back changed; none left means that it is free.
    Held {
        /// Of which service.
        service: ServiceName,
        /// Every rule that holds.
        held: Vec<Held>,
    },
    /// What waits for a person changed; nothing left means that nothing does.
    Waiting {
        /// Of which service.
        service: ServiceName,
        /// Everything that does.
        waiting: Vec<Waiting>,
    },
    /// An operator said something: to be journalled, whatever became of it.
    Said {
        /// Of which service.
        service: ServiceName,
        /// What.
        word: Word,
        /// Whether it changed anything; not when there is no such region, or nothing to end or to wait for it.
        heeded: bool,
    },
    /// An override ended by itself.
    Ended {
        /// Of which service.
        service: ServiceName,
        /// Which.
        ended: Override,
        /// Why, as the end of a sentence.
        because: &'static str,
    },
    /// Something to know of begins or ends.
    Alarm(Raised),
    /// A failover made a step: to be logged, counted, journalled.
    Ledger {
        /// Of which service.
        service: ServiceName,
        /// As it is now.
        failover: Arc<Failover>,
        /// The step.
        reached: Reached,
        /// When it was told of.
        at: Moment,
    },
    /// Witnesses are to be asked this from now on; it replaces every older inquiry of the service.
    Witness(Arc<Inquiry>),
}

/// A change of a region's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// Of which service.
    pub service: ServiceName,
    /// Which region.
    pub region: RegionName,
    /// What it was.
    pub from: Liveness,
    /// What it is.
    pub to: Liveness,
    /// What its checks say.
    pub because: String,
    /// When the first failing look of the present or latest fall started.
    pub first_failure: Option<Moment>,
    /// When it changed.
    pub at: Moment,
}

/// An alarm that begins or ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raised {
    /// Of which service.
    pub service: ServiceName,
    /// About which region, if about one.
    pub region: Option<RegionName>,
    /// What.
    pub alarm: Alarm,
    /// Whether it begins.
    pub raised: bool,
    /// What is, or was, wrong.
    pub message: String,
}

/// All services' states. Services do not touch each other.
#[derive(Clone, Debug)]
pub struct Core {
    services: BTreeMap<ServiceName, ServiceState>,
    /// In the order configured, for people.
    order: Vec<ServiceName>,
    /// When each of them has something to decide.
    agenda: Agenda,
    /// How they stand, in numbers.
    tally: Tally,
    /// Of which something else is to be remembered than when that was last asked.
    changed: BTreeSet<ServiceName>,
}

impl Core {
    /// A core that has seen nothing yet. It plans nothing for a service before its record set was read
    /// (NO-JUMP-ON-START).
    #[must_use]
    pub fn new(services: &[Arc<Service>], now: Moment) -> Self {
        let order = services.iter().map(|service| service.name.clone()).collect();
        let services: BTreeMap<ServiceName, ServiceState> = services
            .iter()
            .map(|service| (service.name.clone(), ServiceState::new(service.clone(), now)))
            .collect();
        let tally = Tally::of(services.values());
        Self { services, order, agenda: Agenda::default(), tally, changed: BTreeSet::new() }
    }

    /// Takes in what happened, and appends to `effects` what is to be done about it. An input about something
    /// that is not configured has no effect.
    pub fn step(&mut self, now: Moment, input: &Input, effects: &mut Vec<Effect>) {
        let name = match input {
            Input::Observed(observation) => &observation.check.service,
            Input::Bound { service, .. }
            | Input::Reported { service, .. }
            | Input::Said { service, .. }
            | Input::Witnessed { service, .. }
            | Input::Fetched { service, .. } => service,
            Input::Tick => return self.tick(now, effects),
        };
        let Some(service) = self.services.get_mut(name) else { return };
        let (due, told) = (service.due, effects.len());
        match input {
            Input::Observed(observation) => service.observe(now, observation, effects),
            Input::Bound { region, addresses, .. } => service.bound(now, region, addresses.clone(), effects),
            Input::Reported { report, .. } => service.report(now, report, effects),
            Input::Said { word, .. } => service.said(now, word, effects),
            Input::Witnessed { inquiry, said, .. } => service.witnessed(now, *inquiry, said, effects),
            Input::Fetched { failover, fetched, .. } => service.fetched(now, *failover, fetched, effects),
            Input::Tick => {}
        }
        if std::mem::take(&mut service.changed) {
            self.changed.insert(service.service.name.clone());
        }
        self.agenda.moved(name, due, service.due);
        effects.iter().skip(told).for_each(|effect| self.tally.follow(effect));
    }

    /// Costs what those cost that are due, however many services there are beside them.
    fn tick(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let told = effects.len();
        for name in self.agenda.due_by(now) {
            let Some(service) = self.services.get_mut(&name) else { continue };
            let due = service.due;
            service.advance(now, effects);
            self.agenda.moved(&name, due, service.due);
            if std::mem::take(&mut service.changed) {
                self.changed.insert(name);
            }
        }
        effects.iter().skip(told).for_each(|effect| self.tally.follow(effect));
    }

    /// Makes anew what is kept of all services together; for a change of all of them.
    fn take_stock(&mut self) {
        self.agenda = Agenda::default();
        for (name, service) in &self.services {
            self.agenda.moved(name, None, service.due);
        }
        self.tally = Tally::of(self.services.values());
    }

    /// When to step with [`Input::Tick`] if nothing happens before.
    #[must_use]
    pub fn next_wake(&self) -> Option<Moment> {
        self.agenda.next()
    }

    /// The services that have something to decide although nothing happens, such as a region's return.
    pub fn waiting(&self) -> impl Iterator<Item = &ServiceName> {
        self.agenda.services()
    }

    /// The services, in the order configured.
    pub fn services(&self) -> impl Iterator<Item = &ServiceName> {
        self.order.iter()
    }

    /// How all services stand, in numbers.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The newest plan of a service; none before its record set was read or while nothing can be wanted.
    #[must_use]
    pub fn plan(&self, service: &ServiceName) -> Option<&Arc<Plan>> {
        self.services.get(service).and_then(|service| service.plan.as_ref())
    }
}

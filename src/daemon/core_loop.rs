//! The loop that owns the core: what happens goes in, what the core asks for is done, in the order of [`Engine`].
//!
//! Nothing it does waits for anybody: plans and paces are replaced in place, events are dropped by listeners that
//! lag, the journal takes what it is told without a word, a status is made when somebody asks. So no slow provider,
//! reader, disk or probe can stop it (KEEP-WATCHING).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::OwnEvent;
use super::change::Change;
use super::chronicle::Chronicle;
use super::handle::Order;
use super::memory::Memory;
use super::own_state::OwnState;
use super::readiness::Readiness;
use super::roster::Roster;
use super::service_manager::Summary;
use super::whole_state;
use crate::admin::Questions;
use crate::clock::{Clock, wall_time};
use crate::core::{self, Core, Effect, Engine, Input, KnownWrites, Plan, Recollection, Report};
use crate::dns::driver::{Receipt, Reported};
use crate::journal::{Configured, Entry};
use crate::log::DroppedLines;
use crate::model::{Inquiry, LogStatus, Moment, Observation, Pace, RegionName, ServiceName, Status};
use crate::probe::AddressesSeen;
use crate::pulse::Pulse;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How often the loop looks after itself when nothing happens: soon enough for an alarm, and nothing beside the looks.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// How long a stop waits for tasks to end before it leaves them behind; the journal, the log and threads have the rest of the
/// 5 s of the promise.
const STOP_WITHIN: Duration = Duration::from_secs(3);

/// Everything the loop listens to.
#[derive(Debug)]
pub(super) struct Inbox {
    pub(super) observed: mpsc::Receiver<Observation>,
    pub(super) reported: mpsc::Receiver<Reported>,
    pub(super) bound: mpsc::Receiver<AddressesSeen>,
    /// What witnesses and clients said.
    pub(super) heard: mpsc::Receiver<Input>,
    pub(super) questions: Questions,
    pub(super) orders: mpsc::Receiver<Order>,
}

pub(super) struct CoreLoop {
    pub(super) engine: Engine,
    pub(super) hands: Hands,
    pub(super) clock: Clock,
    pub(super) own_state: OwnState,
    pub(super) readiness: Readiness,
    pub(super) pulse: Pulse,
    pub(super) dry_run: bool,
    pub(super) dropped_lines: DroppedLines,
}

/// What carries the core's wishes out.
pub(super) struct Hands {
    pub(super) roster: Roster,
    pub(super) chronicle: Chronicle,
    pub(super) memory: Memory,
    /// Whether a region's state has changed since that was last asked.
    pub(super) moved: bool,
}

impl core::Hands for Hands {
    type Receipt = Option<Receipt>;
    type Entry = (Option<Entry>, Option<Receipt>);

    fn observed(&mut self, now: Moment, observation: &Observation) {
        self.chronicle.observed(now, observation);
    }

    fn plan(&mut self, plan: &Arc<Plan>) {
        self.roster.plan(plan);
    }

    fn pace(&mut self, service: &ServiceName, region: &RegionName, pace: Pace) {
        self.roster.pace(service, region, pace);
    }

    fn inquire(&mut self, inquiry: &Arc<Inquiry>) {
        self.roster.inquire(inquiry);
    }

    fn tell(&mut self, now: Moment, effect: Effect) {
        self.moved |= matches!(effect, Effect::Transition(_));
        self.chronicle.tell(now, effect);
    }

    fn remember(&mut self, now: Moment, core: &Core, services: &[ServiceName]) {
        self.memory.keep(core, services, now);
    }

    fn known_writes(&mut self, service: &ServiceName, writes: KnownWrites) {
        self.roster.known_writes(service, writes);
    }

    fn reported(
        &mut self,
        now: Moment,
        service: &ServiceName,
        report: &Report,
        receipt: Option<Receipt>,
    ) -> Self::Entry {
        (self.chronicle.reported(now, service, report), receipt)
    }

    fn keep(&mut self, (entry, receipt): Self::Entry) {
        self.chronicle.keep_report(entry, receipt);
    }
}

impl CoreLoop {
    /// Sets everything going by the first configuration, from where the last process left off.
    pub(super) fn begin(&mut self, change: Change, recollections: &[Recollection]) {
        let now = self.clock.now();
        let configured = Configured::new(VERSION, &change.config.services);
        self.hands.chronicle.own(now, OwnEvent::Started(configured));
        for Recollection { gap, memory } in recollections {
            let (service, gap_s) = (memory.service(), gap.looks.as_secs());
            tracing::info!(%service, gap_s, "went on from what the journal remembered");
        }
        self.watch(&change);
        self.engine
            .begin(now, recollections, &mut self.hands, |hands| hands.take_over(change, recollections));
        // What is remembered may be a verdict on every region already.
        self.tell_readiness();
    }

    /// Goes over to another configuration, in one step.
    fn change(&mut self, change: Change, ended: Vec<Observation>) {
        let now = self.clock.now();
        let services = change.config.services.clone();
        self.watch(&change);
        self.engine.change(now, ended, &services, &mut self.hands, |hands| {
            hands.chronicle.own(now, OwnEvent::Reloaded(Configured::new(VERSION, &services)));
            hands.take_over(change, &[]);
        });
        self.tell_readiness();
    }

    fn watch(&mut self, change: &Change) {
        self.dry_run = change.config.daemon.dry_run;
        self.own_state.watch(change.accounts.clone(), change.zones.clone());
    }

    /// Turns until stopped, then ends everything within [`STOP_WITHIN`].
    pub(super) async fn run(mut self, mut inbox: Inbox, stop: &CancellationToken) {
        let mut housekeeping = tokio::time::interval(HOUSEKEEPING);
        housekeeping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.pulse.turns_within(HOUSEKEEPING);
            let due = self.engine.core().next_wake().map(|at| self.clock.instant(at));
            let tick = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return self.end(inbox).await,
                Some(observation) = inbox.observed.recv() => self.observed(observation),
                Some(reported) = inbox.reported.recv() => self.reported(reported),
                Some(heard) = inbox.heard.recv() => self.step(&heard),
                Some(seen) = inbox.bound.recv() => {
                    let AddressesSeen { service, region, addresses } = seen;
                    let addresses = addresses.into_iter().collect();
                    self.step(&Input::Bound { service, region, addresses });
                }
                asked = inbox.questions.asked() => asked.answer(self.status()),
                Some(order) = inbox.orders.recv() => {
                    // What was seen by the old configuration is judged by it, and not by the one that may come now.
                    let ended = std::iter::from_fn(|| inbox.observed.try_recv().ok()).collect();
                    self.obey(order, ended);
                }
                () = tick => self.step(&Input::Tick),
                _ = housekeeping.tick() => self.keep_house(),
            }
        }
    }

    fn observed(&mut self, observation: Observation) {
        self.engine.observed(self.clock.now(), observation, &mut self.hands);
        self.look_at_readiness();
    }

    fn reported(&mut self, reported: Reported) {
        let Reported { service, report, kept } = reported;
        self.engine.reported(self.clock.now(), service, report, kept, &mut self.hands);
        self.look_at_readiness();
    }

    fn step(&mut self, input: &Input) {
        self.engine.step(self.clock.now(), input, &mut self.hands);
        self.look_at_readiness();
    }

    /// `ended` are the probes that ended before the order came.
    fn obey(&mut self, order: Order, ended: Vec<Observation>) {
        match order {
            Order::Change { change, done } => {
                self.change(change, ended);
                // Who gave the order may have gone.
                done.send(()).ok();
                return;
            }
            Order::Refused(message) => {
                self.hands.chronicle.own(self.clock.now(), OwnEvent::ReloadRefused { message });
            }
            Order::TellState => whole_state::tell(&self.status()),
        }
        for observation in ended {
            self.observed(observation);
        }
    }

    fn look_at_readiness(&mut self) {
        if std::mem::take(&mut self.hands.moved) {
            let summary = summary(self.engine.core(), &self.own_state, self.dry_run);
            self.readiness.look(&summary, self.clock.now());
        }
    }

    fn tell_readiness(&mut self) {
        let summary = summary(self.engine.core(), &self.own_state, self.dry_run);
        self.readiness.tell(&summary);
        self.readiness.look(&summary, self.clock.now());
    }

    /// What is to be seen to although nothing happens.
    fn keep_house(&mut self) {
        let now = self.clock.now();
        self.own_state.look(now, &self.hands.chronicle);
        self.engine.keep_house(now, &mut self.hands);
        self.tell_readiness();
    }

    /// What drivers still have to say of a write under way is heard, for the log and the journal.
    async fn end(mut self, mut inbox: Inbox) {
        self.readiness.end();
        self.pulse.rests();
        self.hands.roster.stop();
        let all_ended = async {
            loop {
                tokio::select! {
                    Some(reported) = inbox.reported.recv() => self.reported(reported),
                    more = self.hands.roster.one_ended() => if !more { return },
                }
            }
        };
        if tokio::time::timeout(STOP_WITHIN, all_ended).await.is_err() {
            tracing::warn!("stopped without waiting any longer for tasks that do not end");
        }
        let now = self.clock.now();
        self.engine.keep_all(now, &mut self.hands);
        self.hands.chronicle.own(now, OwnEvent::Stopped);
    }

    fn status(&self) -> Status {
        let (now, wall) = (self.clock.now(), wall_time().as_secs_f64());
        let mut services = self.engine.core().status(now);
        for failover in services.iter_mut().flat_map(|service| &mut service.failovers) {
            failover.began = Some(wall - failover.began_ago_s);
        }
        Status {
            version: VERSION,
            dry_run: self.dry_run,
            uptime_s: self.clock.since_start(now).as_secs(),
            services,
            alarms: self.own_state.alarms(),
            journal: self.own_state.journal(),
            log: LogStatus { lines_dropped: self.dropped_lines.count() },
            clouds: self.own_state.clouds(),
        }
    }
}

impl Hands {
    /// Starts and ends tasks by a configuration.
    fn take_over(&mut self, change: Change, recollections: &[Recollection]) {
        self.chronicle.configured(&change.config.services);
        self.memory.keep_only(&change.config.services);
        self.roster.apply(change, recollections);
    }
}

fn summary<'t>(core: &'t Core, own_state: &OwnState, dry_run: bool) -> Summary<'t> {
    Summary { tally: core.tally(), own_alarms: own_state.alarm_count(), dry_run }
}

//! The loop that owns the core: what happens goes in, what the core asks for is done.
//!
//! Nothing it does waits for anybody: plans and paces are replaced in place, events are dropped by listeners that
//! lag, the journal takes what it is told without a word, a status is made when somebody asks. So no slow provider,
//! reader, disk or probe can stop it (KEEP-WATCHING).

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::OwnEvent;
use super::change::Change;
use super::chronicle::Chronicle;
use super::handle::Order;
use super::memory::{Memory, Recollection};
use super::own_state::OwnState;
use super::readiness::Readiness;
use super::roster::Roster;
use super::service_manager::Summary;
use super::whole_state;
use crate::admin::Questions;
use crate::clock::{Clock, wall_time};
use crate::core::{Core, Effect, Input, Report};
use crate::dns::driver::Reported;
use crate::journal::Configured;
use crate::log::DroppedLines;
use crate::model::{LogStatus, Observation, Status};
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
    pub(super) core: Core,
    pub(super) clock: Clock,
    pub(super) roster: Roster,
    pub(super) chronicle: Chronicle,
    pub(super) memory: Memory,
    pub(super) own_state: OwnState,
    pub(super) readiness: Readiness,
    pub(super) pulse: Pulse,
    pub(super) dry_run: bool,
    pub(super) dropped_lines: DroppedLines,
    /// Kept from step to step, so that a look that changes nothing allocates nothing.
    pub(super) effects: Vec<Effect>,
}

impl CoreLoop {
    /// Sets everything going by the first configuration, from where the last process left off.
    pub(super) fn begin(&mut self, change: Change, recollections: &[Recollection]) {
        let services = change.config.services.clone();
        let configured = Configured::new(VERSION, &services);
        self.chronicle.own(self.clock.now(), OwnEvent::Started(configured));
        self.take_over(change, recollections);
        for Recollection { gap, memory, .. } in recollections {
            let (service, gap_s) = (memory.service(), gap.as_secs());
            tracing::info!(%service, gap_s, "went on from what the journal remembered");
            self.core.restore(self.clock.now(), *gap, memory, &mut self.effects);
        }
        self.carry_out();
        // What is remembered may be a verdict on every region already.
        self.tell_readiness();
    }

    /// Goes over to another configuration, in one step.
    fn change(&mut self, change: Change) {
        let services = change.config.services.clone();
        let configured = Configured::new(VERSION, &services);
        self.chronicle.own(self.clock.now(), OwnEvent::Reloaded(configured));
        self.take_over(change, &[]);
        self.core.reconfigure(self.clock.now(), &services, &mut self.effects);
        self.memory.keep_only(&services);
        self.carry_out();
        self.tell_readiness();
    }

    /// First what is to carry the core's wishes out, then the wishes.
    fn take_over(&mut self, change: Change, recollections: &[Recollection]) {
        self.dry_run = change.config.daemon.dry_run;
        self.own_state.watch(change.accounts.clone(), change.zones.clone());
        self.chronicle.configured(&change.config.services);
        self.roster.apply(change, recollections);
    }

    /// Turns until stopped, then ends everything within [`STOP_WITHIN`].
    pub(super) async fn run(mut self, mut inbox: Inbox, stop: &CancellationToken) {
        let mut housekeeping = tokio::time::interval(HOUSEKEEPING);
        housekeeping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.pulse.turns_within(HOUSEKEEPING);
            let due = self.core.next_wake().map(|at| self.clock.instant(at));
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
                    while let Ok(observation) = inbox.observed.try_recv() {
                        self.observed(observation);
                    }
                    self.obey(order);
                }
                () = tick => self.step(&Input::Tick),
                _ = housekeeping.tick() => self.keep_house(),
            }
        }
    }

    fn observed(&mut self, observation: Observation) {
        self.chronicle.observed(self.clock.now(), &observation);
        self.step(&Input::Observed(observation));
    }

    fn reported(&mut self, reported: Reported) {
        let Reported { service, report, kept } = reported;
        let now = self.clock.now();
        if let Report::Remember(writes) = &report {
            self.roster.remember_writes(&service, now, writes);
        }
        let entry = self.chronicle.reported(now, &service, &report);
        self.step(&Input::Reported { service, report });
        // After the step, so that what is kept of the write has the core's memory of it with it.
        self.chronicle.keep_report(entry, kept);
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Change { change, done } => {
                self.change(change);
                // Who gave the order may have gone.
                done.send(()).ok();
            }
            Order::Refused(message) => {
                self.chronicle.own(self.clock.now(), OwnEvent::ReloadRefused { message });
            }
            Order::TellState => whole_state::tell(&self.status()),
        }
    }

    fn step(&mut self, input: &Input) {
        self.core.step(self.clock.now(), input, &mut self.effects);
        self.carry_out();
    }

    fn carry_out(&mut self) {
        let now = self.clock.now();
        let mut moved = false;
        for effect in self.effects.drain(..) {
            match &effect {
                Effect::Apply(plan) => self.roster.plan(plan),
                Effect::Pace { service, region, pace } => self.roster.pace(service, region, *pace),
                Effect::Transition(_) => moved = true,
                Effect::Witness(inquiry) => self.roster.inquire(inquiry),
                Effect::Held { .. }
                | Effect::Waiting { .. }
                | Effect::Said { .. }
                | Effect::Ended { .. }
                | Effect::Ledger { .. }
                | Effect::Alarm(_) => {}
            }
            self.chronicle.tell(now, effect);
        }
        self.memory.keep_changed(&mut self.core, now);
        if moved {
            self.readiness.look(&summary(&self.core, &self.own_state, self.dry_run), now);
        }
    }

    fn tell_readiness(&mut self) {
        let summary = summary(&self.core, &self.own_state, self.dry_run);
        self.readiness.tell(&summary);
        self.readiness.look(&summary, self.clock.now());
    }

    /// What is to be seen to although nothing happens.
    fn keep_house(&mut self) {
        let now = self.clock.now();
        self.own_state.look(now, &self.chronicle);
        self.memory.keep_now_and_then(&self.core, now);
        self.tell_readiness();
    }

    /// What drivers still have to say of a write under way is heard, for the log and the journal.
    async fn end(mut self, mut inbox: Inbox) {
        self.readiness.end();
        self.pulse.rests();
        self.roster.stop();
        let all_ended = async {
            loop {
                tokio::select! {
                    Some(reported) = inbox.reported.recv() => self.reported(reported),
                    more = self.roster.one_ended() => if !more { return },
                }
            }
        };
        if tokio::time::timeout(STOP_WITHIN, all_ended).await.is_err() {
            tracing::warn!("stopped without waiting any longer for tasks that do not end");
        }
        self.memory.keep_all(&self.core, self.clock.now());
        self.chronicle.own(self.clock.now(), OwnEvent::Stopped);
    }

    fn status(&self) -> Status {
        let (now, wall) = (self.clock.now(), wall_time().as_secs_f64());
        let mut services = self.core.status(now);
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

fn summary<'t>(core: &'t Core, own_state: &OwnState, dry_run: bool) -> Summary<'t> {
    Summary { tally: core.tally(), own_alarms: own_state.alarm_count(), dry_run }
}

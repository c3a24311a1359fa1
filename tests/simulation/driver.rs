//! The driver of the reconciler in virtual time: the steps are the shipped ones, what lies between them is drawn.

use std::sync::Arc;

use pointsman::core::{
    Call, DriverSteps, KnownWrites, News, Orders, Plan, Report, Step as DriverStep, Timing, WriteRules,
};
use pointsman::model::{Answer, Mode, Moment, ProviderError, WriteBudget};

use std::time::Duration;

use super::event::Stage;
use super::journal::Kept;
use super::judge::{Broken, Judged};
use super::play::{Simulation, Step};
use super::process::{Message, Process};
use super::service::Tasks;
use super::settings::Settings;

pub(crate) struct Driver {
    /// Grows with each driver that is started.
    pub(crate) number: u64,
    steps: DriverSteps,
    pub(crate) at: At,
    /// Only the latest of its steps that wait in the queue counts.
    token: u64,
    /// Which plan and which orders it has taken in.
    plan: u64,
    orders: u64,
    starts_again_ms: i64,
    rests_until: i64,
}

pub(crate) enum At {
    /// It takes its next step soon.
    Stepping,
    AwaitingKept(u64),
    Calling(u64),
    Resting,
    Dead,
}

/// What there is that the driver may not have taken in; and what it took.
struct Newest {
    plan: Option<Arc<Plan>>,
    orders: Option<Orders>,
    took_plan: bool,
    took_orders: bool,
}

impl News for Newest {
    fn orders(&mut self) -> Option<Orders> {
        self.took_orders = true;
        self.orders.take()
    }

    fn plan(&mut self) -> Option<Arc<Plan>> {
        self.took_plan = true;
        self.plan.clone()
    }
}

impl Driver {
    pub(crate) fn new(
        number: u64,
        orders: Orders,
        writes: Option<&KnownWrites>,
        now: i64,
        moment: Moment,
    ) -> Self {
        Self {
            number,
            steps: DriverSteps::resume(orders, writes, moment),
            at: At::Stepping,
            token: 0,
            plan: 0,
            orders: 0,
            starts_again_ms: 100,
            rests_until: now,
        }
    }
}

/// The orders for the driver of the service at this place.
pub(crate) fn orders(service: usize, settings: &Settings) -> Orders {
    let budget = WriteBudget { writes: settings.writes, window: Duration::from_secs(settings.window_s) };
    Orders {
        record: settings.service(service).record.clone(),
        rules: WriteRules { min_published: settings.min_published, budget },
        timing: Timing { resync: Duration::from_secs(settings.resync_s) },
        dry_run: settings.mode == Mode::Observe,
    }
}

impl Simulation<'_> {
    pub(crate) fn drive_in(&mut self, service: usize, ms: i64) {
        let Some(process) = &mut self.process else { return };
        let token = process.token();
        process.tasks[service].driver.token = token;
        let process = process.number;
        self.push(self.now + ms, Step::Drive { process, service, token });
    }

    fn drive_soon(&mut self, service: usize) {
        let ms = i64::try_from(self.drawn(6) % 3).unwrap_or(0);
        self.drive_in(service, ms);
    }

    fn step_soon(&mut self, service: usize) {
        self.set_driver(service, At::Stepping);
        self.drive_soon(service);
    }

    /// There is a new plan, or there are new orders.
    pub(crate) fn wake_driver(&mut self, service: usize) {
        let Some(Driver { at: At::Resting, rests_until, .. }) = self.driver(service) else { return };
        let due = *rests_until - self.now;
        let lag = i64::try_from(self.drawn(7) % (self.lag_ms + 1)).unwrap_or(0);
        self.drive_in(service, lag.min(due).max(0));
    }

    pub(crate) fn drive(&mut self, service: usize, token: u64) -> Judged {
        let now = self.now;
        let mut newest = self.newest(service);
        let Some(process) = &mut self.process else { return Ok(()) };
        let moment = process.moment(now);
        let driver = &mut process.tasks[service].driver;
        let is_its_turn = matches!(driver.at, At::Stepping | At::Resting);
        if driver.token != token || !is_its_turn {
            return Ok(());
        }
        let step = driver.steps.next(moment, &mut newest);
        self.has_taken(service, &newest);
        match step {
            Some(DriverStep::Tell(report)) => {
                self.told(service, &report)?;
                self.send(2, service, Message::Reported { report, ticket: None });
                self.step_soon(service);
            }
            Some(DriverStep::TellAndKeep(report, within)) => {
                self.told(service, &report)?;
                let Some(process) = &mut self.process else { return Ok(()) };
                let (ticket, process) = (process.token(), process.number);
                self.set_driver(service, At::AwaitingKept(ticket));
                self.send(2, service, Message::Reported { report, ticket: Some(ticket) });
                self.push(self.now + ms(within), Step::KeptOrNot { process, ticket });
            }
            Some(DriverStep::Withdraw) => {
                self.coverage.count("a write taken back");
                self.services[service].judge.withdrawn();
                self.step_soon(service);
            }
            Some(DriverStep::Make { call, deadline }) => self.make(service, &call, ms(deadline))?,
            Some(DriverStep::Rest(due)) => self.rest(service, due),
            None => {
                let why = "the driver has nothing to wait for".to_owned();
                return Err(Broken { name: "liveness", why });
            }
        }
        Ok(())
    }

    fn driver(&self, service: usize) -> Option<&Driver> {
        self.process.as_ref().map(|process| &process.tasks[service].driver)
    }

    fn newest(&self, service: usize) -> Newest {
        let of_process = self.process.as_ref().map(|process| {
            let tasks = &process.tasks[service];
            let is_news = tasks.driver.orders != tasks.orders.0;
            (tasks.plan.1.clone(), is_news.then(|| orders(service, &tasks.orders.1)))
        });
        let (plan, orders) = of_process.unwrap_or_default();
        Newest { plan, orders, took_plan: false, took_orders: false }
    }

    fn has_taken(&mut self, service: usize, newest: &Newest) {
        let Some(process) = &mut self.process else { return };
        let tasks = &mut process.tasks[service];
        if newest.took_plan {
            tasks.driver.plan = tasks.plan.0;
        }
        if newest.took_orders && tasks.driver.orders != tasks.orders.0 {
            tasks.driver.orders = tasks.orders.0;
            self.services[service].judge.driver_reloads();
        }
    }

    fn told(&mut self, service: usize, report: &Report) -> Judged {
        if !matches!(report, Report::Remember(_)) {
            self.tell_of(service, |_| format!("    {report:?}"));
        }
        self.coverage.report(report);
        self.services[service].judge.reported(self.now, report)
    }

    /// The write's intent is on disk, or will not be, or it took too long.
    pub(crate) fn kept(&mut self, ticket: u64, kept: Kept) {
        let waits = |at: &At| matches!(at, At::AwaitingKept(awaited) if *awaited == ticket);
        let who = |process: &Process| process.tasks.iter().position(|tasks| waits(&tasks.driver.at));
        let Some(service) = self.process.as_ref().and_then(who) else { return };
        self.services[service].judge.intent_kept(kept == Kept::OnDisk);
        self.coverage.count(match kept {
            Kept::OnDisk => "an intent on disk",
            Kept::Never => "an intent that no journal takes",
            Kept::NotInTime => "an intent that was not on disk in time",
        });
        self.reached(Stage::IntentKept);
        self.step_soon(service);
    }

    fn rest(&mut self, service: usize, due: Moment) {
        let now = self.now;
        let Some(process) = &mut self.process else { return };
        let due = process.ms(due);
        let Tasks { driver, plan, orders, .. } = &mut process.tasks[service];
        driver.at = At::Resting;
        if driver.plan != plan.0 || driver.orders != orders.0 {
            return self.drive_soon(service);
        }
        driver.rests_until = due;
        self.drive_in(service, (due - now).max(0));
    }

    fn make(&mut self, service: usize, call: &Call, deadline_ms: i64) -> Judged {
        let Some(process) = &mut self.process else { return Ok(()) };
        let Tasks { driver, plan, orders, .. } = &process.tasks[service];
        let newest = plan.1.as_deref().map(|plan: &Plan| plan.generation.0);
        let (driver, settings) = (driver.number, orders.1.clone());
        self.services[service].judge.calls(self.now, call, newest, &settings)?;
        if *call != Call::Read {
            self.tell_of(service, |_| format!("    calls {call:?}"));
        }
        let id = self.call(service, driver, call, deadline_ms);
        self.set_driver(service, At::Calling(id));
        Ok(())
    }

    /// Whether the driver still waits for the answer of this call.
    fn awaits(&self, service: usize, id: u64) -> bool {
        let waits = |at: &At| matches!(at, At::Calling(waits) if *waits == id);
        self.driver(service).is_some_and(|driver| waits(&driver.at))
    }

    pub(crate) fn driver_read(&mut self, service: usize, id: u64, answer: Answer) {
        if !self.awaits(service, id) {
            return;
        }
        if let Err(error) = &answer {
            self.tell_of(service, |_| format!("    a read fails: {error}"));
        }
        let has_plan = self.process.as_ref().is_some_and(|process| process.tasks[service].plan.1.is_some());
        self.services[service].judge.read_answered(self.now, &answer, has_plan);
        let (now, mut newest) = (self.now, self.newest(service));
        if let Some(process) = &mut self.process {
            let moment = process.moment(now);
            process.tasks[service].driver.steps.read(moment, answer, &mut newest);
        }
        self.has_taken(service, &newest);
        self.step_soon(service);
    }

    pub(crate) fn driver_written(&mut self, service: usize, id: u64, result: Result<(), ProviderError>) {
        if !self.awaits(service, id) || self.reached(Stage::Answered) {
            return;
        }
        self.services[service].judge.write_answered(self.now, &result);
        let (now, mut newest) = (self.now, self.newest(service));
        if let Some(process) = &mut self.process {
            let moment = process.moment(now);
            process.tasks[service].driver.steps.written(moment, result, &mut newest);
        }
        self.has_taken(service, &newest);
        self.step_soon(service);
    }

    fn set_driver(&mut self, service: usize, at: At) {
        if let Some(process) = &mut self.process {
            process.tasks[service].driver.at = at;
        }
    }

    /// The driver's task panics; it is started again a little later, with what is known of its writes.
    pub(crate) fn driver_dies(&mut self, service: usize) {
        let Some(process) = &mut self.process else { return };
        let driver = &mut process.tasks[service].driver;
        if matches!(driver.at, At::Dead) {
            return;
        }
        driver.at = At::Dead;
        driver.number += 1;
        let (process, after) = (process.number, driver.starts_again_ms);
        self.services[service].judge.driver_died(self.now);
        self.push(self.now + after, Step::DriverStarts { process, service });
    }

    pub(crate) fn driver_starts(&mut self, service: usize) {
        let now = self.now;
        let Some(process) = &mut self.process else { return };
        let moment = process.moment(now);
        let tasks = &mut process.tasks[service];
        let starts_again_ms = (tasks.driver.starts_again_ms * 2).min(30_000);
        let orders = orders(service, &tasks.orders.1);
        let new = Driver::new(tasks.driver.number, orders, tasks.known_writes.as_ref(), now, moment);
        tasks.driver = Driver { starts_again_ms, ..new };
        self.services[service].judge.driver_starts();
        self.drive_in(service, 0);
    }
}

fn ms(of: Duration) -> i64 {
    i64::try_from(of.as_millis()).unwrap_or(i64::MAX / 2)
}

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
use super::process::Message;
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
        settings: &Settings,
        writes: Option<&KnownWrites>,
        now: i64,
        moment: Moment,
    ) -> Self {
        Self {
            number,
            steps: DriverSteps::resume(orders(settings), writes, moment),
            at: At::Stepping,
            token: 0,
            plan: 0,
            orders: 0,
            starts_again_ms: 100,
            rests_until: now,
        }
    }
}

fn orders(settings: &Settings) -> Orders {
    let budget = WriteBudget { writes: settings.writes, window: Duration::from_secs(settings.window_s) };
    Orders {
        record: settings.service().record.clone(),
        rules: WriteRules { min_published: settings.min_published, budget },
        timing: Timing { resync: Duration::from_secs(settings.resync_s) },
        dry_run: settings.mode == Mode::Observe,
    }
}

impl Simulation<'_> {
    pub(crate) fn drive_in(&mut self, ms: i64) {
        let Some(process) = &mut self.process else { return };
        let token = process.token();
        process.driver.token = token;
        let process = process.number;
        self.push(self.now + ms, Step::Drive { process, token });
    }

    fn drive_soon(&mut self) {
        let ms = i64::try_from(self.drawn(6) % 3).unwrap_or(0);
        self.drive_in(ms);
    }

    fn step_soon(&mut self) {
        self.set_driver(At::Stepping);
        self.drive_soon();
    }

    /// There is a new plan, or there are new orders.
    pub(crate) fn wake_driver(&mut self) {
        if self.process.as_ref().is_some_and(|process| matches!(process.driver.at, At::Resting)) {
            let lag = i64::try_from(self.drawn(7) % (self.lag_ms + 1)).unwrap_or(0);
            let due = self.process.as_ref().map_or(0, |process| process.driver.rests_until - self.now);
            self.drive_in(lag.min(due).max(0));
        }
    }

    pub(crate) fn drive(&mut self, token: u64) -> Judged {
        let now = self.now;
        let mut newest = self.newest();
        let Some(process) = &mut self.process else { return Ok(()) };
        let is_its_turn = matches!(process.driver.at, At::Stepping | At::Resting);
        if process.driver.token != token || !is_its_turn {
            return Ok(());
        }
        let moment = process.moment(now);
        let step = process.driver.steps.next(moment, &mut newest);
        self.has_taken(&newest);
        match step {
            Some(DriverStep::Tell(report)) => {
                self.told(&report)?;
                self.send(2, Message::Reported { report, ticket: None });
                self.step_soon();
            }
            Some(DriverStep::TellAndKeep(report, within)) => {
                self.told(&report)?;
                let Some(process) = &mut self.process else { return Ok(()) };
                let (ticket, process) = (process.token(), process.number);
                self.set_driver(At::AwaitingKept(ticket));
                self.send(2, Message::Reported { report, ticket: Some(ticket) });
                self.push(self.now + ms(within), Step::KeptOrNot { process, ticket });
            }
            Some(DriverStep::Withdraw) => {
                self.coverage.count("a write taken back");
                self.judge.withdrawn();
                self.step_soon();
            }
            Some(DriverStep::Make { call, deadline }) => self.make(&call, ms(deadline))?,
            Some(DriverStep::Rest(due)) => self.rest(due),
            None => {
                let why = "the driver has nothing to wait for".to_owned();
                return Err(Broken { name: "liveness", why });
            }
        }
        Ok(())
    }

    fn newest(&self) -> Newest {
        let process = self.process.as_ref();
        let of_process = process.and_then(|process| {
            let is_news = process.driver.orders != process.orders.0;
            Some((process.plan.1.clone(), is_news.then(|| orders(&process.orders.1))))
        });
        let (plan, orders) = of_process.unwrap_or_default();
        Newest { plan, orders, took_plan: false, took_orders: false }
    }

    fn has_taken(&mut self, newest: &Newest) {
        let Some(process) = &mut self.process else { return };
        if newest.took_plan {
            process.driver.plan = process.plan.0;
        }
        if newest.took_orders && process.driver.orders != process.orders.0 {
            process.driver.orders = process.orders.0;
            self.judge.driver_reloads();
        }
    }

    fn told(&mut self, report: &Report) -> Judged {
        if !matches!(report, Report::Remember(_)) {
            self.tell(|_| format!("    {report:?}"));
        }
        self.coverage.report(report);
        self.judge.reported(self.now, report)
    }

    /// The write's intent is on disk, or will not be, or it took too long.
    pub(crate) fn kept(&mut self, ticket: u64, kept: Kept) {
        let waits = |at: &At| matches!(at, At::AwaitingKept(awaited) if *awaited == ticket);
        if !self.process.as_ref().is_some_and(|process| waits(&process.driver.at)) {
            return;
        }
        self.judge.intent_kept(kept == Kept::OnDisk);
        self.coverage.count(match kept {
            Kept::OnDisk => "an intent on disk",
            Kept::Never => "an intent that no journal takes",
            Kept::NotInTime => "an intent that was not on disk in time",
        });
        self.reached(Stage::IntentKept);
        self.step_soon();
    }

    fn rest(&mut self, due: Moment) {
        let now = self.now;
        let Some(process) = &mut self.process else { return };
        let due = process.ms(due);
        let driver = &mut process.driver;
        driver.at = At::Resting;
        if driver.plan != process.plan.0 || driver.orders != process.orders.0 {
            return self.drive_soon();
        }
        driver.rests_until = due;
        self.drive_in((due - now).max(0));
    }

    fn make(&mut self, call: &Call, deadline_ms: i64) -> Judged {
        let Some(process) = &mut self.process else { return Ok(()) };
        let newest = process.plan.1.as_deref().map(|plan: &Plan| plan.generation.0);
        let (driver, settings) = (process.driver.number, process.orders.1.clone());
        self.judge.calls(self.now, call, newest, &settings)?;
        if *call != Call::Read {
            self.tell(|_| format!("    calls {call:?}"));
        }
        let id = self.call(driver, call, deadline_ms);
        self.set_driver(At::Calling(id));
        Ok(())
    }

    /// Whether the driver still waits for the answer of this call.
    fn awaits(&self, id: u64) -> bool {
        let waits = |at: &At| matches!(at, At::Calling(waits) if *waits == id);
        self.process.as_ref().is_some_and(|process| waits(&process.driver.at))
    }

    pub(crate) fn driver_read(&mut self, id: u64, answer: Answer) {
        if !self.awaits(id) {
            return;
        }
        if let Err(error) = &answer {
            self.tell(|_| format!("    a read fails: {error}"));
        }
        self.judge.read_answered(self.now, &answer);
        let now = self.now;
        if let Some(process) = &mut self.process {
            process.driver.steps.read(process.moment(now), answer);
        }
        self.step_soon();
    }

    pub(crate) fn driver_written(&mut self, id: u64, result: Result<(), ProviderError>) {
        if !self.awaits(id) || self.reached(Stage::Answered) {
            return;
        }
        self.judge.write_answered(self.now, &result);
        let (now, mut newest) = (self.now, self.newest());
        if let Some(process) = &mut self.process {
            process.driver.steps.written(process.moment(now), result, &mut newest);
        }
        self.has_taken(&newest);
        self.step_soon();
    }

    fn set_driver(&mut self, at: At) {
        if let Some(process) = &mut self.process {
            process.driver.at = at;
        }
    }

    /// The driver's task panics; it is started again a little later, with what is known of its writes.
    pub(crate) fn driver_dies(&mut self) {
        let Some(process) = &mut self.process else { return };
        if matches!(process.driver.at, At::Dead) {
            return;
        }
        process.driver.at = At::Dead;
        process.driver.number += 1;
        let (process, after) = (process.number, process.driver.starts_again_ms);
        self.judge.driver_died();
        self.push(self.now + after, Step::DriverStarts { process });
    }

    pub(crate) fn driver_starts(&mut self) {
        let now = self.now;
        let Some(process) = &mut self.process else { return };
        let starts_again_ms = (process.driver.starts_again_ms * 2).min(30_000);
        let number = process.driver.number;
        let moment = process.moment(now);
        let settings = process.orders.1.clone();
        let new = Driver::new(number, &settings, process.known_writes.as_ref(), now, moment);
        process.driver = Driver { starts_again_ms, ..new };
        self.drive_in(0);
    }
}

fn ms(of: Duration) -> i64 {
    i64::try_from(of.as_millis()).unwrap_or(i64::MAX / 2)
}

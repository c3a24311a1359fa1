//! The driver of the reconciler, step by step as the real one goes: `dns::driver` between any two points at which it
//! waits.

use std::time::Duration;

use pointsman::core::{Call, Plan, Reconciler, Report, Timing, WriteRules, WritesMemory};
use pointsman::model::{Answer, Mode, Moment, ProviderError, WriteBudget};

use super::event::Stage;
use super::journal::Kept;
use super::judge::{Broken, Judged};
use super::play::{Simulation, Step};
use super::process::Message;
use super::settings::Settings;

/// How long a write waits for the journal to have its intent.
const KEPT_WITHIN_MS: i64 = 250;

pub(crate) struct Driver {
    /// Grows with each driver that is started.
    pub(crate) number: u64,
    reconciler: Reconciler,
    pub(crate) at: At,
    /// Only the latest of its steps that wait in the queue counts.
    token: u64,
    /// Which plan and which orders it has taken in.
    plan: u64,
    orders: u64,
    settings: Settings,
    starts_again_ms: i64,
    rests_until: i64,
}

pub(crate) enum At {
    Turn,
    Telling(Then),
    AwaitingKept(u64, Then),
    Calling(u64),
    Resting,
    Dead,
}

/// What comes when everything is told.
pub(crate) enum Then {
    Make(Call),
    Turn,
    Rest,
}

impl Driver {
    pub(crate) fn new(
        number: u64,
        settings: &Settings,
        writes: Option<&(i64, WritesMemory)>,
        now: i64,
        moment: Moment,
    ) -> Self {
        let service = settings.service();
        let mut reconciler = Reconciler::new(
            service.record.clone(),
            rules(settings),
            timing(settings),
            is_dry(settings),
            moment,
        );
        if let Some((at, memory)) = writes {
            reconciler.restore(moment, Duration::from_millis((now - at).unsigned_abs()), memory);
        }
        Self {
            number,
            reconciler,
            at: At::Turn,
            token: 0,
            plan: 0,
            orders: 0,
            settings: settings.clone(),
            starts_again_ms: 100,
            rests_until: now,
        }
    }
}

fn rules(settings: &Settings) -> WriteRules {
    let budget = WriteBudget { writes: settings.writes, window: Duration::from_secs(settings.window_s) };
    WriteRules { min_published: settings.min_published, budget }
}

fn is_dry(settings: &Settings) -> bool {
    settings.mode == Mode::Observe
}

fn timing(settings: &Settings) -> Timing {
    Timing { resync: Duration::from_secs(settings.resync_s) }
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
        let Some(process) = &mut self.process else { return Ok(()) };
        if process.driver.token != token {
            return Ok(());
        }
        let moment = process.moment(now);
        match std::mem::replace(&mut process.driver.at, At::Resting) {
            At::Turn | At::Resting => {
                self.take_orders();
                self.take_plan();
                let Some(process) = &mut self.process else { return Ok(()) };
                let then = match process.driver.reconciler.poll_call(moment) {
                    Some(call) => Then::Make(call),
                    None => Then::Rest,
                };
                process.driver.at = At::Telling(then);
                self.drive_soon();
                Ok(())
            }
            At::Telling(then) => match process.driver.reconciler.poll_report() {
                Some(report) => self.report(report, then),
                None => self.told(then),
            },
            at @ (At::AwaitingKept(..) | At::Calling(_) | At::Dead) => {
                process.driver.at = at;
                Ok(())
            }
        }
    }

    fn report(&mut self, report: Report, then: Then) -> Judged {
        if !matches!(report, Report::Remember(_)) {
            self.tell(|_| format!("    {report:?}"));
        }
        self.coverage.report(&report);
        self.judge.reported(self.now, &report)?;
        let is_intent = matches!(report, Report::Sent { .. });
        let Some(process) = &mut self.process else { return Ok(()) };
        let ticket = is_intent.then(|| process.token());
        process.driver.at = match ticket {
            Some(ticket) => At::AwaitingKept(ticket, then),
            None => At::Telling(then),
        };
        let number = process.number;
        self.send(2, Message::Reported { report, ticket });
        match ticket {
            Some(ticket) => self.push(self.now + KEPT_WITHIN_MS, Step::KeptOrNot { process: number, ticket }),
            None => self.drive_soon(),
        }
        Ok(())
    }

    /// The write's intent is on disk, or will not be, or it took too long.
    pub(crate) fn kept(&mut self, ticket: u64, kept: Kept) {
        let Some(process) = &mut self.process else { return };
        match std::mem::replace(&mut process.driver.at, At::Dead) {
            At::AwaitingKept(awaited, then) if awaited == ticket => {
                process.driver.at = At::Telling(then);
                self.judge.intent_kept(kept == Kept::OnDisk);
                self.coverage.count(match kept {
                    Kept::OnDisk => "an intent on disk",
                    Kept::Never => "an intent that no journal takes",
                    Kept::NotInTime => "an intent that was not on disk in time",
                });
                self.reached(Stage::IntentKept);
                self.drive_soon();
            }
            at => process.driver.at = at,
        }
    }

    fn told(&mut self, then: Then) -> Judged {
        match then {
            Then::Make(call) => return self.make(&call),
            Then::Turn => {
                self.set_driver(At::Turn);
                self.drive_soon();
            }
            Then::Rest => {
                self.set_driver(At::Resting);
                let Some(process) = &self.process else { return Ok(()) };
                let driver = &process.driver;
                let is_news = driver.plan != process.plan.0 || driver.orders != process.orders.0;
                let due = driver.reconciler.next_wake().map(|due| process.ms(due));
                match due {
                    _ if is_news => self.drive_soon(),
                    Some(due) => {
                        if let Some(process) = &mut self.process {
                            process.driver.rests_until = due;
                        }
                        self.drive_in((due - self.now).max(0));
                    }
                    None => {
                        let why = "the driver has nothing to wait for".to_owned();
                        return Err(Broken { name: "liveness", why });
                    }
                }
            }
        }
        Ok(())
    }

    fn make(&mut self, call: &Call) -> Judged {
        self.take_orders();
        self.take_plan();
        let now = self.now;
        let Some(process) = &mut self.process else { return Ok(()) };
        let moment = process.moment(now);
        if process.driver.reconciler.withdraw_superseded(moment) {
            self.coverage.count("a write taken back");
            self.judge.withdrawn();
            self.set_driver(At::Telling(Then::Turn));
            self.drive_soon();
            return Ok(());
        }
        let newest = process.plan.1.as_deref().map(|plan: &Plan| plan.generation.0);
        let (driver, settings) = (process.driver.number, process.orders.1.clone());
        let deadline = process.driver.reconciler.read_deadline();
        let deadline_ms = i64::try_from(deadline.as_millis()).unwrap_or(0);
        self.judge.calls(now, call, newest, &settings)?;
        if *call != Call::Read {
            self.tell(|_| format!("    calls {call:?}"));
        }
        let id = self.call(driver, call, deadline_ms);
        self.set_driver(At::Calling(id));
        Ok(())
    }

    pub(crate) fn driver_read(&mut self, id: u64, answer: Answer) {
        let now = self.now;
        let Some(process) = &mut self.process else { return };
        if !matches!(process.driver.at, At::Calling(waits) if waits == id) {
            return;
        }
        let moment = process.moment(now);
        if let Err(error) = &answer {
            self.tell(|_| format!("    a read fails: {error}"));
        }
        self.judge.read_answered(now, &answer);
        let Some(process) = &mut self.process else { return };
        process.driver.reconciler.handle_read(moment, answer);
        process.driver.at = At::Telling(Then::Turn);
        self.drive_soon();
    }

    pub(crate) fn driver_written(&mut self, id: u64, result: Result<(), ProviderError>) {
        let now = self.now;
        let Some(process) = &mut self.process else { return };
        if !matches!(process.driver.at, At::Calling(waits) if waits == id) {
            return;
        }
        if self.reached(Stage::Answered) {
            return;
        }
        // Whether a newer plan came while the write was under way decides what is made of its answer.
        self.take_plan();
        self.judge.write_answered(now, &result);
        let Some(process) = &mut self.process else { return };
        let moment = process.moment(now);
        process.driver.reconciler.handle_written(moment, result);
        process.driver.at = At::Telling(Then::Turn);
        self.drive_soon();
    }

    fn set_driver(&mut self, at: At) {
        if let Some(process) = &mut self.process {
            process.driver.at = at;
        }
    }

    fn take_orders(&mut self) {
        let now = self.now;
        let Some(process) = &mut self.process else { return };
        let moment = process.moment(now);
        let (version, settings) = &process.orders;
        // The same ones change nothing.
        if process.driver.orders == *version && process.driver.settings == *settings {
            return;
        }
        let (rules, timing, record) = (rules(settings), timing(settings), settings.service().record.clone());
        let dry = is_dry(settings);
        process.driver.orders = *version;
        process.driver.settings.clone_from(settings);
        process.driver.reconciler.handle_reload(moment);
        process.driver.reconciler.reconfigure(moment, record, rules, timing, dry);
        self.judge.driver_reloads();
    }

    fn take_plan(&mut self) {
        let now = self.now;
        let Some(process) = &mut self.process else { return };
        let moment = process.moment(now);
        process.driver.plan = process.plan.0;
        if let Some(plan) = process.plan.1.clone() {
            process.driver.reconciler.handle_plan(moment, plan);
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

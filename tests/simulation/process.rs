//! One running daemon: its core with the steps of the loop that owns it, as shipped, and the tasks that probe. What the real
//! ones do between two points at which they wait is one step here, so a process can be killed between any two of them.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use pointsman::core::{Core, Engine, Input, Recollection, Report, ServiceMemory};
use pointsman::model::{Fetched, Moment, Observation, Outcome, Pace, Service, Statement, Testimony};

use super::driver::{Driver, orders};
use super::event::{Said, Stage};
use super::hands::Asked;
use super::journal::Outbox;
use super::judge::Judged;
use super::play::{Simulation, Step};
use super::regions::Network;
use super::service::{Beat, Tasks};
use super::settings::{FAST_S, Settings, TIMEOUT_S, check_key, region_name, service_name};

/// How far back from its start the clock of a process reaches: what is remembered has a place there.
const REMEMBERED: Duration = Duration::from_secs(400 * 86_400);
/// The wall clock reads this at its beginning, so that it can be set back.
const WALL_BEGAN_MS: i64 = 1_000 * 86_400_000;
/// So often the addresses of a load balancer are asked for.
const FOLLOWED_EVERY_MS: i64 = 4_000;

/// What the core's loop hears.
#[derive(Clone, Debug)]
pub(crate) enum Message {
    Observed(Sight),
    Bound(usize, BTreeSet<IpAddr>),
    Reported { report: Report, ticket: Option<u64> },
    Reload(Box<Settings>),
    Said(Said),
    Witnessed { inquiry: u64, said: Vec<Testimony> },
    Fetched { failover: u64, fetched: Fetched },
}

/// What one look found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sight {
    /// For which service.
    pub(crate) service: usize,
    pub(crate) place: usize,
    pub(crate) check: usize,
    pub(crate) started: i64,
    pub(crate) outcome: Outcome,
}

pub(crate) struct Process {
    pub(crate) number: u64,
    born: i64,
    /// Not there while it takes a step.
    pub(crate) engine: Option<Engine>,
    /// What the step under way has asked for, until that is judged.
    pub(crate) asked: Option<Asked>,
    /// What it runs for each service.
    pub(crate) tasks: Vec<Tasks>,
    pub(crate) outbox: Outbox,
    /// When the last message of each kind arrives: none overtakes another of its kind.
    last_arrival: [i64; 4],
    tick_at: Option<i64>,
    tokens: u64,
}

impl Process {
    pub(crate) fn moment(&self, at: i64) -> Moment {
        Moment::START + REMEMBERED + Duration::from_millis((at - self.born).unsigned_abs())
    }

    /// When a moment was or is, also before the process was born.
    pub(crate) fn when(&self) -> impl Fn(Moment) -> i64 + use<> {
        let born = self.born;
        let ms = |of: Duration| i64::try_from(of.as_millis()).unwrap_or(i64::MAX / 2);
        move |moment| born + ms(moment.since_start()) - ms((Moment::START + REMEMBERED).since_start())
    }

    /// The whole millisecond at or after a moment.
    pub(crate) fn ms(&self, moment: Moment) -> i64 {
        let micros = moment.since(Moment::START + REMEMBERED).as_micros();
        self.born + i64::try_from(micros.div_ceil(1000)).unwrap_or(i64::MAX / 2)
    }

    /// The core; none while it takes a step.
    pub(crate) fn core(&self) -> Option<&Core> {
        self.engine.as_ref().map(Engine::core)
    }

    pub(crate) fn token(&mut self) -> u64 {
        self.tokens += 1;
        self.tokens
    }
}

impl Simulation<'_> {
    /// Starts a process, from what the disk has.
    pub(crate) fn start(&mut self) -> Judged {
        if std::mem::take(&mut self.disk.is_lost) {
            self.disk.saved.clear();
        }
        self.processes += 1;
        let (now, start) = (self.now, Moment::START + REMEMBERED);
        let (mut tasks, mut recollections) = (Vec::new(), Vec::new());
        for service in 0..self.services.len() {
            let recollection = self.recollection(service);
            let settings = self.services[service].settings.clone();
            let orders = orders(service, &settings);
            let known_writes = recollection.as_ref().and_then(|it| it.writes(&orders.record, start));
            let driver = Driver::new(self.processes * 1000, orders, known_writes.as_ref(), now, start);
            let ms = |gap: Duration| i64::try_from(gap.as_millis()).unwrap_or(i64::MAX / 2);
            let gaps = recollection.as_ref().map(|it| (ms(it.gap.looks), ms(it.gap.writes)));
            self.tell_of(service, |_| match gaps {
                Some((gap, _)) => {
                    format!("a process starts, from what was remembered {gap} ms ago by the wall clock")
                }
                None => "a process starts, with no memory".to_owned(),
            });
            let saved = self.disk.saved.get(&service).map(Rc::as_ref);
            self.services[service].judge.started(now, &settings, saved.zip(gaps));
            tasks.push(Tasks::new(&settings, driver, known_writes));
            recollections.extend(recollection);
        }
        self.process = Some(Process {
            number: self.processes,
            born: now,
            engine: None,
            asked: None,
            tasks,
            outbox: Outbox::default(),
            last_arrival: [0; 4],
            tick_at: None,
            tokens: 0,
        });
        let settings: Vec<Settings> = self.services.iter().map(|service| service.settings.clone()).collect();
        let configured = configured(&settings);
        let mut engine = Engine::new(&configured, start);
        self.asks_anew(None);
        engine.begin(start, &recollections, self, |it| {
            for (service, settings) in settings.iter().enumerate() {
                it.set_up(service, settings);
            }
        });
        self.stepped(engine)?;
        for service in 0..self.services.len() {
            self.drive_in(service, 0);
        }
        self.push(now + 1000, Step::House { process: self.processes });
        Ok(())
    }

    /// What the disk has of a service, through the text that it holds.
    fn recollection(&mut self, service: usize) -> Option<Recollection> {
        let saved = Rc::clone(self.disk.saved.get(&service)?);
        let memory = saved.core.memory(&service_name(service), saved.moment);
        let text = serde_json::to_string(&memory).unwrap();
        let memory: ServiceMemory = serde_json::from_str(&text).unwrap();
        self.coverage.count("restarted from memory");
        Some(Recollection::new(memory, wall(saved.wall), wall(self.now + self.wall_ahead_ms)))
    }

    /// Starts the tasks that these settings need and that do not run yet, and ends the others.
    fn set_up(&mut self, service: usize, settings: &Settings) {
        let now = self.now;
        let Some(process) = &mut self.process else { return };
        let (number, tokens, tasks) = (process.number, &mut process.tokens, &mut process.tasks[service]);
        let mut new_token = || {
            *tokens += 1;
            *tokens
        };
        let before = std::mem::replace(&mut tasks.settings, settings.clone());
        let mut steps = Vec::new();
        for place in 0..settings.regions.len() {
            let was = before.regions.get(place).filter(|region| region.there);
            let is = Some(&settings.regions[place]).filter(|region| region.there);
            let same_source = was.zip(is).is_some_and(|(was, is)| was.fixed == is.fixed);
            if !same_source {
                tasks.followers[place] = new_token();
                let fixed = is.filter(|is| is.fixed > 0).map(|_| settings.fixed_addresses(place));
                tasks.known[place] = fixed;
                let token = tasks.followers[place];
                if is.is_some_and(|is| is.fixed == 0) {
                    steps.push((0, Step::Follow { process: number, service, place, token }));
                }
            }
            if is.is_none() {
                tasks.paces[place] = Pace::Normal;
            }
            for check in 0..settings.checks.len() {
                let looks_like = |a: &super::settings::CheckSettings, b: &super::settings::CheckSettings| {
                    (a.kind, a.interval_s, a.looks_at) == (b.kind, b.interval_s, b.looks_at)
                };
                let same_check =
                    before.checks.get(check).is_some_and(|was| looks_like(was, &settings.checks[check]));
                if is.is_some() && same_source && same_check {
                    continue;
                }
                tasks.beats.remove(&(place, check));
                if is.is_some() {
                    let token = new_token();
                    tasks.beats.insert((place, check), Beat { token, started: now, is_looking: false });
                    let phase = (place * 311 + check * 97 + service * 53) % 1000;
                    let step = Step::Look { process: number, service, place, check, token };
                    steps.push((i64::try_from(phase).unwrap_or(0), step));
                }
            }
        }
        for (after, step) in steps {
            self.push(now + after, step);
        }
    }

    /// Carries out a step of the running process.
    pub(crate) fn take_of_process(&mut self, step: Step) -> Judged {
        match step {
            Step::Look { service, place, check, token, .. } => self.look(service, place, check, token),
            Step::Looked { token, seen, .. } => self.looked(token, seen),
            Step::Follow { service, place, token, .. } => self.follow(service, place, token),
            Step::Hears { service, message, .. } => return self.hears(service, *message),
            Step::Tick { .. } => return self.tick(),
            Step::House { process } => {
                self.keep_house()?;
                self.push(self.now + 1000, Step::House { process });
            }
            Step::Drive { service, token, .. } => return self.drive(service, token),
            Step::DriverStarts { service, .. } => self.driver_starts(service),
            Step::KeptOrNot { ticket, .. } => self.kept(ticket, super::journal::Kept::NotInTime),
            Step::Committed { .. } => self.committed(),
            Step::Asks { service, token, .. } => self.asks(service, token),
            Step::WriterReads { .. }
            | Step::WriterWrites { .. }
            | Step::Act(_)
            | Step::Drops { .. }
            | Step::Start
            | Step::Arrives { .. }
            | Step::PartSent { .. }
            | Step::PartLands { .. }
            | Step::PartAnswered { .. }
            | Step::Answers { .. } => {}
        }
        Ok(())
    }

    fn look(&mut self, service: usize, place: usize, check: usize, token: u64) {
        let drawn = self.drawn(4);
        let Some(process) = &mut self.process else { return };
        let tasks = &mut process.tasks[service];
        let Some(beat) = tasks.beats.get_mut(&(place, check)).filter(|beat| beat.token == token) else {
            return;
        };
        *beat = Beat { token, started: self.now, is_looking: true };
        let known = tasks.known[place].as_ref();
        let outcome = self.regions.look(&tasks.settings, (place, check), known, self.now, drawn);
        let latency = match outcome {
            Outcome::Fail(pointsman::model::Reason::Timeout) => TIMEOUT_S * 1000,
            _ => 1 + drawn % 40,
        };
        let seen = Sight { service, place, check, started: self.now, outcome };
        let process = process.number;
        self.push(self.now + i64::try_from(latency).unwrap_or(0), Step::Looked { process, token, seen });
    }

    fn looked(&mut self, token: u64, seen: Sight) {
        let Some(process) = &mut self.process else { return };
        let (service, at) = (seen.service, (seen.place, seen.check));
        let beat = process.tasks[service].beats.get_mut(&at);
        let Some(beat) = beat.filter(|beat| beat.token == token) else { return };
        beat.is_looking = false;
        self.send(0, service, Message::Observed(seen));
        self.schedule_look(service, at);
    }

    /// Sets when a check that does not look now looks next.
    fn schedule_look(&mut self, service: usize, (place, check): (usize, usize)) {
        let Some(process) = &mut self.process else { return };
        let token = process.token();
        let tasks = &mut process.tasks[service];
        let interval = match tasks.paces[place] {
            Pace::Normal => tasks.settings.checks[check].interval_s,
            Pace::Fast => FAST_S,
        };
        let Some(beat) = tasks.beats.get_mut(&(place, check)) else { return };
        beat.token = token;
        let due = beat.started + i64::try_from(interval * 1000).unwrap_or(0);
        let process = process.number;
        self.push(due, Step::Look { process, service, place, check, token });
    }

    fn follow(&mut self, service: usize, place: usize, token: u64) {
        let sees = self.regions.network == Network::Fine
            && !self.regions.blind.iter().any(|(blind, check)| *blind == place && *check > 0);
        let Some(process) = &mut self.process else { return };
        if process.tasks[service].followers[place] != token {
            return;
        }
        let number = process.number;
        if sees && self.regions.lies.contains_key(&place) {
            self.coverage.count("lies heard");
        }
        let bound = if sees { self.regions.bound_by_two(place, self.now) } else { None };
        let known = &mut process.tasks[service].known[place];
        if let Some(bound) = bound.filter(|bound| known.as_ref() != Some(bound)).cloned() {
            *known = Some(bound.clone());
            self.send(1, service, Message::Bound(place, bound));
        }
        let step = Step::Follow { process: number, service, place, token };
        self.push(self.now + FOLLOWED_EVERY_MS, step);
    }

    /// Puts something about a service into one of the core's channels.
    pub(crate) fn send(&mut self, channel: usize, service: usize, message: Message) {
        let lag = i64::try_from(self.drawn(5) % (self.lag_ms + 1)).unwrap_or(0);
        let Some(process) = &mut self.process else { return };
        let at = (self.now + lag).max(process.last_arrival[channel]);
        process.last_arrival[channel] = at;
        let process = process.number;
        self.push(at, Step::Hears { process, service, message: Box::new(message) });
    }

    fn hears(&mut self, place: usize, message: Message) -> Judged {
        let now = self.now;
        let about = Some(place);
        match message {
            Message::Observed(seen) => {
                let Some(observation) = self.observation(seen) else { return Ok(()) };
                self.take_step(about, |engine, now, hands| engine.observed(now, observation, hands))
            }
            Message::Bound(region, addresses) => {
                self.tell_of(place, |_| format!("  r{region} is told to be at {addresses:?}"));
                self.services[place].judge.bound(now, region, &addresses);
                let (service, region) = (service_name(place), region_name(region));
                self.step(about, &Input::Bound { service, region, addresses })
            }
            Message::Reported { report, ticket } => {
                let is_intent = matches!(report, Report::Sent { .. });
                let is_read = matches!(report, Report::Seen { .. });
                self.take_step(about, |engine, now, hands| {
                    engine.reported(now, service_name(place), report, ticket, hands);
                })?;
                if is_intent {
                    self.reached(Stage::IntentTold);
                }
                if is_read { self.witnesses_speak(place) } else { Ok(()) }
            }
            Message::Said(said) => {
                self.services[place].judge.said(now, said);
                let Some(process) = &self.process else { return Ok(()) };
                let word = said.word(|seconds| process.moment(now) + Duration::from_secs(seconds));
                self.step(about, &Input::Said { service: service_name(place), word })
            }
            Message::Reload(settings) => self.reconfigure(place, *settings),
            Message::Witnessed { inquiry, said } => self.witnessed(place, inquiry, said),
            Message::Fetched { failover, fetched } => self.fetched(place, failover, fetched),
        }
    }

    /// Goes over to another configuration, in which one service is another one, in one step. Every driver hears of it.
    fn reconfigure(&mut self, changed: usize, settings: Settings) -> Judged {
        let ended = self.looks_on_their_way();
        let ended: Vec<Observation> = ended.into_iter().filter_map(|seen| self.observation(seen)).collect();
        let Some(process) = &self.process else { return Ok(()) };
        let mut all: Vec<Settings> = process.tasks.iter().map(|tasks| tasks.settings.clone()).collect();
        all[changed] = settings;
        let configured = configured(&all);
        self.take_step(None, |engine, now, hands| {
            engine.change(now, ended, &configured, hands, |it| {
                it.asks_anew(Some(changed));
                it.set_up(changed, &all[changed]);
                it.services[changed].judge.reloaded(it.now, &all[changed]);
                for (service, settings) in all.into_iter().enumerate() {
                    if let Some(tasks) = it.process.as_mut().map(|process| &mut process.tasks[service]) {
                        tasks.orders = (tasks.orders.0 + 1, settings);
                    }
                    it.wake_driver(service);
                }
                it.ask_anew(changed);
            });
        })
    }

    fn tick(&mut self) -> Judged {
        let Some(process) = &mut self.process else { return Ok(()) };
        process.tick_at = None;
        let now = process.moment(self.now);
        if process.core().and_then(Core::next_wake).is_some_and(|due| due <= now) {
            self.step(None, &Input::Tick)
        } else {
            self.plan_tick();
            Ok(())
        }
    }

    /// What witnesses say, when they say anything: of the inquiry and the time alone, so that a run repeats. The judge never
    /// hears of it: whatever it makes the core do to a region or a write is a break of an invariant.
    fn witnesses_speak(&mut self, place: usize) -> Judged {
        let Some(process) = &self.process else { return Ok(()) };
        let is_drawn = self.services[place].settings.witnesses.is_none();
        let inquiry = process.tasks[place].inquiry.clone().filter(|_| is_drawn);
        let Some(inquiry) = inquiry else { return Ok(()) };
        let chance = (self.now.unsigned_abs() ^ inquiry.number).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let at = process.moment(self.now);
        let said = |witness: u8| Testimony {
            witness: SocketAddr::from(([127, 0, 0, witness], 53)),
            at,
            said: match (chance >> (4 * witness)) % 4 {
                0 => Statement::Nothing("answers SERVFAIL".to_owned()),
                1 => Statement::Addresses { values: BTreeSet::from([[192, 0, 2, 77].into()]), ttl_s: 9 },
                _ => Statement::Addresses { values: inquiry.wanted.clone(), ttl_s: 9 },
            },
        };
        let said = (1..=u8::try_from(chance % 3).unwrap_or_default()).map(said).collect();
        self.witnessed(place, inquiry.number, said)?;
        match &inquiry.fetch {
            Some(errand) => {
                let fetched =
                    Fetched { at, address: None, served: chance.is_multiple_of(2), saw: "it".to_owned() };
                self.fetched(place, errand.failover, fetched)
            }
            None => Ok(()),
        }
    }

    pub(crate) fn step(&mut self, about: Option<usize>, input: &Input) -> Judged {
        self.take_step(about, |engine, now, hands| engine.step(now, input, hands))
    }

    fn keep_house(&mut self) -> Judged {
        self.take_step(None, Engine::keep_house)
    }

    fn observation(&self, seen: Sight) -> Option<Observation> {
        Some(Observation {
            check: check_key(seen.service, seen.place, seen.check),
            started: self.process.as_ref()?.moment(seen.started),
            late: Duration::ZERO,
            latency: Duration::from_millis(5),
            outcome: seen.outcome,
            saw: "it".into(),
            certificate: None,
        })
    }

    pub(crate) fn set_pace(&mut self, service: usize, place: usize, wanted: Pace) {
        let Some(process) = &mut self.process else { return };
        let Tasks { beats, paces, .. } = &mut process.tasks[service];
        paces[place] = wanted;
        let waiting = beats.iter().filter(|((of, _), beat)| *of == place && !beat.is_looking);
        for check in waiting.map(|(check, _)| *check).collect::<Vec<_>>() {
            self.schedule_look(service, check);
        }
    }

    pub(crate) fn plan_tick(&mut self) {
        let Some(process) = &mut self.process else { return };
        let due = process.core().and_then(Core::next_wake).map(|due| process.ms(due).max(self.now));
        if due.is_some() && due != process.tick_at {
            process.tick_at = due;
            let process = process.number;
            self.push(due.unwrap_or(self.now), Step::Tick { process });
        }
    }
}

/// As the core is told of the services.
fn configured(settings: &[Settings]) -> Vec<Arc<Service>> {
    settings.iter().enumerate().map(|(place, settings)| settings.service(place)).collect()
}

/// A reading of the wall clock.
fn wall(ms: i64) -> Duration {
    Duration::from_millis((WALL_BEGAN_MS + ms).unsigned_abs())
}

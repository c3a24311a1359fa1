//! One running daemon: its core, the loop that owns it, and the tasks that look. What the real ones do between two
//! points at which they wait is one step here, so a process can be killed between any two of them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use pointsman::core::{Core, Effect, Input, Plan, Report, ServiceMemory, WritesMemory};
use pointsman::model::{
    CheckKey, Fetched, Inquiry, Moment, Observation, Outcome, Pace, Statement, Testimony,
};

use super::driver::Driver;
use super::event::{Said, Stage};
use super::journal::Outbox;
use super::judge::Judged;
use super::play::{Simulation, Step};
use super::regions::Network;
use super::settings::{FAST_S, Settings, TIMEOUT_S, check_name, place_of, region_name, service_name};

/// How far back from its start the clock of a process reaches: what is remembered has a place there.
const REMEMBERED: Duration = Duration::from_secs(400 * 86_400);
/// After this every row of looks is forgotten: in place of a time that nobody knows.
const LONG_AGO_MS: i64 = 86_400_000;
/// So often everything is kept anew although nothing changed, and while a region waits for its return.
const KEPT_EVERY_MS: i64 = 300_000;
const KEPT_WHILE_WAITING_MS: i64 = 5_000;
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
}

/// What one look found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sight {
    pub(crate) place: usize,
    pub(crate) check: usize,
    pub(crate) started: i64,
    pub(crate) outcome: Outcome,
}

/// The task of one check.
#[derive(Clone, Copy, Debug)]
struct Beat {
    token: u64,
    started: i64,
    is_looking: bool,
}

pub(crate) struct Process {
    pub(crate) number: u64,
    born: i64,
    /// What it runs by.
    pub(crate) settings: Settings,
    pub(crate) core: Core,
    effects: Vec<Effect>,
    pub(crate) driver: Driver,
    /// The newest plan and the newest orders, each with how many there were.
    pub(crate) plan: (u64, Option<Arc<Plan>>),
    pub(crate) orders: (u64, Settings),
    /// What a driver that is started anew goes on from.
    pub(crate) known_writes: Option<(i64, WritesMemory)>,
    pub(crate) outbox: Outbox,
    beats: BTreeMap<(usize, usize), Beat>,
    followers: Vec<u64>,
    /// Where looks find each region; none before that was told.
    known: Vec<Option<BTreeSet<IpAddr>>>,
    paces: Vec<Pace>,
    /// When the last message of each kind arrives: none overtakes another of its kind.
    last_arrival: [i64; 3],
    tick_at: Option<i64>,
    /// What witnesses are asked.
    inquiry: Option<Arc<Inquiry>>,
    kept_all: i64,
    tokens: u64,
}

impl Process {
    pub(crate) fn moment(&self, at: i64) -> Moment {
        Moment::START + REMEMBERED + Duration::from_millis((at - self.born).unsigned_abs())
    }

    /// The whole millisecond at or after a moment.
    pub(crate) fn ms(&self, moment: Moment) -> i64 {
        let micros = moment.since(Moment::START + REMEMBERED).as_micros();
        self.born + i64::try_from(micros.div_ceil(1000)).unwrap_or(i64::MAX / 2)
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
            self.disk.saved = None;
        }
        self.processes += 1;
        let (settings, now, count) = (self.settings.clone(), self.now, self.settings.regions.len());
        let service = settings.service();
        let start = Moment::START + REMEMBERED;
        let mut core = Core::new(std::slice::from_ref(&service), start);
        let mut effects = Vec::new();
        let mut known_writes = None;
        let saved = self.disk.saved.clone();
        let gaps = saved.as_ref().map(|saved| match now + self.wall_ahead_ms - saved.wall {
            gap @ 0.. => (gap, gap),
            _ => (LONG_AGO_MS, 0),
        });
        if let (Some(saved), Some((gap, writes_gap))) = (&saved, gaps) {
            // Through the text that the disk holds.
            let text = serde_json::to_string(&saved.core.memory(&service_name(), saved.moment)).unwrap();
            let memory: ServiceMemory = serde_json::from_str(&text).unwrap();
            core.restore(start, Duration::from_millis(gap.unsigned_abs()), &memory, &mut effects);
            known_writes = memory.writes(&service.record).map(|writes| (now - writes_gap, writes.clone()));
            self.coverage.count("restarted from memory");
        }
        self.tell(|_| match gaps {
            Some((gap, _)) => {
                format!("a process starts, from what was remembered {gap} ms ago by the wall clock")
            }
            None => "a process starts, with no memory".to_owned(),
        });
        let driver = Driver::new(self.processes * 1000, &settings, known_writes.as_ref(), now, start);
        self.judge.started(now, &settings, saved.as_ref().map(Rc::as_ref).zip(gaps), &effects)?;
        self.process = Some(Process {
            number: self.processes,
            born: now,
            core,
            effects,
            driver,
            plan: (0, None),
            orders: (0, settings.clone()),
            known_writes,
            outbox: Outbox::default(),
            beats: BTreeMap::new(),
            followers: vec![0; count],
            known: vec![None; count],
            paces: vec![Pace::Normal; count],
            last_arrival: [0; 3],
            tick_at: None,
            inquiry: None,
            kept_all: now,
            tokens: 0,
            settings: Settings { regions: Vec::new(), checks: Vec::new(), ..settings.clone() },
        });
        self.set_up(&settings);
        self.carry_out()?;
        self.drive_in(0);
        self.push(now + 1000, Step::House { process: self.processes });
        Ok(())
    }

    /// Starts the tasks that these settings need and that do not run yet, and ends the others.
    fn set_up(&mut self, settings: &Settings) {
        let now = self.now;
        let Some(process) = &mut self.process else { return };
        let before = std::mem::replace(&mut process.settings, settings.clone());
        let number = process.number;
        let mut steps = Vec::new();
        for place in 0..settings.regions.len() {
            let was = before.regions.get(place).filter(|region| region.there);
            let is = Some(&settings.regions[place]).filter(|region| region.there);
            let same_source = was.zip(is).is_some_and(|(was, is)| was.fixed == is.fixed);
            if !same_source {
                process.followers[place] = process.token();
                let fixed = is.filter(|is| is.fixed > 0).map(|_| settings.fixed_addresses(place));
                process.known[place] = fixed;
                let token = process.followers[place];
                if is.is_some_and(|is| is.fixed == 0) {
                    steps.push((0, Step::Follow { process: number, place, token }));
                }
            }
            if is.is_none() {
                process.paces[place] = Pace::Normal;
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
                process.beats.remove(&(place, check));
                if is.is_some() {
                    let token = process.token();
                    process.beats.insert((place, check), Beat { token, started: now, is_looking: false });
                    let phase = (place * 311 + check * 97) % 1000;
                    let step = Step::Look { process: number, place, check, token };
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
            Step::Look { place, check, token, .. } => self.look(place, check, token),
            Step::Looked { token, seen, .. } => self.looked(token, seen),
            Step::Follow { place, token, .. } => self.follow(place, token),
            Step::Hears { message, .. } => return self.hears(*message),
            Step::Tick { .. } => return self.tick(),
            Step::House { process } => {
                self.keep_house();
                self.push(self.now + 1000, Step::House { process });
            }
            Step::Drive { token, .. } => return self.drive(token),
            Step::DriverStarts { .. } => self.driver_starts(),
            Step::KeptOrNot { ticket, .. } => self.kept(ticket, super::journal::Kept::NotInTime),
            Step::Committed { .. } => self.committed(),
            Step::Act(_) | Step::Drops(_) | Step::Start | Step::Arrives { .. } | Step::Answers { .. } => {}
        }
        Ok(())
    }

    fn look(&mut self, place: usize, check: usize, token: u64) {
        let drawn = self.drawn(4);
        let Some(process) = &mut self.process else { return };
        let Some(beat) = process.beats.get_mut(&(place, check)).filter(|beat| beat.token == token) else {
            return;
        };
        *beat = Beat { token, started: self.now, is_looking: true };
        let known = process.known[place].as_ref();
        let outcome = self.regions.look(&process.settings, (place, check), known, self.now, drawn);
        let latency = match outcome {
            Outcome::Fail(pointsman::model::Reason::Timeout) => TIMEOUT_S * 1000,
            _ => 1 + drawn % 40,
        };
        let seen = Sight { place, check, started: self.now, outcome };
        let process = process.number;
        self.push(self.now + i64::try_from(latency).unwrap_or(0), Step::Looked { process, token, seen });
    }

    fn looked(&mut self, token: u64, seen: Sight) {
        let Some(process) = &mut self.process else { return };
        let at = (seen.place, seen.check);
        let Some(beat) = process.beats.get_mut(&at).filter(|beat| beat.token == token) else { return };
        beat.is_looking = false;
        self.send(0, Message::Observed(seen));
        self.schedule_look(at);
    }

    /// Sets when a check that does not look now looks next.
    fn schedule_look(&mut self, (place, check): (usize, usize)) {
        let Some(process) = &mut self.process else { return };
        let token = process.token();
        let interval = match process.paces[place] {
            Pace::Normal => process.settings.checks[check].interval_s,
            Pace::Fast => FAST_S,
        };
        let Some(beat) = process.beats.get_mut(&(place, check)) else { return };
        beat.token = token;
        let due = beat.started + i64::try_from(interval * 1000).unwrap_or(0);
        let process = process.number;
        self.push(due, Step::Look { process, place, check, token });
    }

    fn follow(&mut self, place: usize, token: u64) {
        let sees = self.regions.network == Network::Fine
            && !self.regions.blind.iter().any(|(blind, check)| *blind == place && *check > 0);
        let Some(process) = &mut self.process else { return };
        if process.followers[place] != token {
            return;
        }
        let number = process.number;
        if sees && self.regions.lies.contains_key(&place) {
            self.coverage.count("lies heard");
        }
        let bound = if sees { self.regions.bound_by_two(place, self.now) } else { None };
        if let Some(bound) = bound.filter(|bound| process.known[place].as_ref() != Some(bound)) {
            process.known[place] = Some(bound.clone());
            self.send(1, Message::Bound(place, bound));
        }
        self.push(self.now + FOLLOWED_EVERY_MS, Step::Follow { process: number, place, token });
    }

    /// Puts something into one of the core's three channels.
    pub(crate) fn send(&mut self, channel: usize, message: Message) {
        let lag = i64::try_from(self.drawn(5) % (self.lag_ms + 1)).unwrap_or(0);
        let Some(process) = &mut self.process else { return };
        let at = (self.now + lag).max(process.last_arrival[channel]);
        process.last_arrival[channel] = at;
        let process = process.number;
        self.push(at, Step::Hears { process, message: Box::new(message) });
    }

    fn hears(&mut self, message: Message) -> Judged {
        let now = self.now;
        let service = service_name();
        match message {
            Message::Observed(seen) => {
                let Some(process) = &self.process else { return Ok(()) };
                let observation = Observation {
                    check: Arc::new(CheckKey {
                        service,
                        region: region_name(seen.place),
                        check: check_name(seen.check),
                    }),
                    started: process.moment(seen.started),
                    late: Duration::ZERO,
                    latency: Duration::from_millis(5),
                    outcome: seen.outcome,
                    saw: "it".into(),
                    certificate: None,
                };
                if seen.outcome != Outcome::Pass {
                    self.tell(|_| format!("  r{}/c{}: {:?}", seen.place, seen.check, seen.outcome));
                }
                self.coverage.look(seen.outcome);
                self.judge.looked(now, seen.place, seen.check, seen.outcome);
                self.step(&Input::Observed(observation))
            }
            Message::Bound(place, addresses) => {
                self.tell(|_| format!("  r{place} is told to be at {addresses:?}"));
                self.judge.bound(now, place, &addresses);
                self.step(&Input::Bound { service, region: region_name(place), addresses })
            }
            Message::Reported { report, ticket } => {
                self.judge.core_hears(now, &report);
                if let (Report::Remember(writes), Some(process)) = (&report, &mut self.process) {
                    process.known_writes = Some((now, writes.clone()));
                }
                let is_intent = matches!(report, Report::Sent { .. });
                let is_read = matches!(report, Report::Seen { .. });
                self.step(&Input::Reported { service, report })?;
                // After the step, so that what is kept of the write has the core's memory of it with it.
                self.keep_entry(ticket);
                if is_intent {
                    self.reached(Stage::IntentTold);
                }
                if is_read { self.witnesses_speak() } else { Ok(()) }
            }
            Message::Said(said) => {
                self.judge.said(now, said);
                let Some(process) = &self.process else { return Ok(()) };
                let word = said.word(|seconds| process.moment(now) + Duration::from_secs(seconds));
                self.step(&Input::Said { service, word })
            }
            Message::Reload(settings) => self.reconfigure(*settings),
        }
    }

    /// Goes over to another configuration, in one step.
    fn reconfigure(&mut self, settings: Settings) -> Judged {
        for seen in self.looks_on_their_way() {
            self.hears(Message::Observed(seen))?;
        }
        let now = self.now;
        let service = settings.service();
        self.set_up(&settings);
        self.judge.reloaded(now, &settings);
        let Some(process) = &mut self.process else { return Ok(()) };
        process.orders = (process.orders.0 + 1, settings);
        let moment = process.moment(now);
        process.core.reconfigure(moment, std::slice::from_ref(&service), &mut process.effects);
        self.wake_driver();
        self.carry_out()
    }

    fn tick(&mut self) -> Judged {
        let Some(process) = &mut self.process else { return Ok(()) };
        process.tick_at = None;
        let now = process.moment(self.now);
        if process.core.next_wake().is_some_and(|due| due <= now) {
            self.step(&Input::Tick)
        } else {
            self.plan_tick();
            Ok(())
        }
    }

    /// What witnesses say, when they say anything: of the inquiry and the time alone, so that a run repeats. The judge never
    /// hears of it: whatever it makes the core do to a region or a write is a break of an invariant.
    fn witnesses_speak(&mut self) -> Judged {
        let Some(process) = &self.process else { return Ok(()) };
        let Some(inquiry) = process.inquiry.clone() else { return Ok(()) };
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
        let (service, number) = (service_name(), inquiry.number);
        self.step(&Input::Witnessed { service, inquiry: number, said })?;
        match &inquiry.fetch {
            Some(errand) => {
                let fetched =
                    Fetched { at, address: None, served: chance.is_multiple_of(2), saw: "it".to_owned() };
                let (service, failover) = (service_name(), errand.failover);
                self.step(&Input::Fetched { service, failover, fetched })
            }
            None => Ok(()),
        }
    }

    fn step(&mut self, input: &Input) -> Judged {
        let Some(process) = &mut self.process else { return Ok(()) };
        let now = process.moment(self.now);
        process.core.step(now, input, &mut process.effects);
        self.carry_out()
    }

    /// Does what the core asks for, after the judge has seen it.
    fn carry_out(&mut self) -> Judged {
        let Some(process) = &mut self.process else { return Ok(()) };
        let effects = std::mem::take(&mut process.effects);
        self.judge.effects(self.now, &effects)?;
        self.coverage.effects(&effects);
        let planned = effects.iter().any(|effect| matches!(effect, Effect::Apply(_)));
        if planned && self.reached(Stage::Planned) {
            return Ok(());
        }
        for effect in effects {
            match effect {
                Effect::Apply(plan) => {
                    self.tell(|_| format!("  {plan}").replace('\n', "\n            "));
                    if let Some(process) = &mut self.process {
                        process.plan = (process.plan.0 + 1, Some(plan));
                    }
                    self.wake_driver();
                    self.keep_entry(None);
                }
                Effect::Pace { region, pace, .. } => self.set_pace(place_of(&region), pace),
                Effect::Transition(transition) => {
                    self.tell(|_| {
                        format!("  {}: {} to {}", transition.region, transition.from, transition.to)
                    });
                    self.keep_entry(None);
                }
                Effect::Said { word, heeded, .. } => {
                    self.tell(|_| format!("  heeded {heeded}: {word:?}"));
                    self.keep_entry(None);
                }
                Effect::Ended { ended, because, .. } => {
                    self.tell(|_| format!("  {ended} ended: {because}"));
                    self.keep_entry(None);
                }
                Effect::Waiting { waiting, .. } => {
                    self.tell(|_| format!("  waits for a person: {waiting:?}"));
                    self.keep_entry(None);
                }
                Effect::Held { held, .. } => {
                    self.tell(|_| format!("  held: {held:?}"));
                    self.keep_entry(None);
                }
                Effect::Ledger { failover, reached, .. } => {
                    self.tell(|_| format!("  failover {}: {reached:?}", failover.number));
                    self.keep_entry(None);
                }
                Effect::Witness(inquiry) => {
                    if let Some(process) = &mut self.process {
                        process.inquiry = Some(inquiry);
                    }
                }
                Effect::Alarm(raised) => {
                    self.tell(|_| {
                        let how = if raised.raised { "raised" } else { "over" };
                        format!("  alarm {} {how}: {}", raised.alarm, raised.message)
                    });
                    self.keep_entry(None);
                }
            }
        }
        if self.process.as_mut().is_some_and(|process| !process.core.take_changed().is_empty()) {
            self.remember();
        }
        self.plan_tick();
        Ok(())
    }

    fn set_pace(&mut self, place: usize, wanted: Pace) {
        let Some(process) = &mut self.process else { return };
        process.paces[place] = wanted;
        let waiting = process.beats.iter().filter(|((of, _), beat)| *of == place && !beat.is_looking);
        for check in waiting.map(|(check, _)| *check).collect::<Vec<_>>() {
            self.schedule_look(check);
        }
    }

    fn plan_tick(&mut self) {
        let Some(process) = &mut self.process else { return };
        let due = process.core.next_wake().map(|due| process.ms(due).max(self.now));
        if due.is_some() && due != process.tick_at {
            process.tick_at = due;
            let process = process.number;
            self.push(due.unwrap_or(self.now), Step::Tick { process });
        }
    }

    fn keep_house(&mut self) {
        let now = self.now;
        let Some(process) = &mut self.process else { return };
        let waits = process.core.next_wake().is_some();
        let often = if waits { KEPT_WHILE_WAITING_MS } else { KEPT_EVERY_MS };
        if now - process.kept_all >= often {
            process.kept_all = now;
            self.remember();
        }
    }
}

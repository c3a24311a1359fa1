//! One running daemon: its core with the steps of the loop that owns it, as shipped, and the tasks that probe. What the real
//! ones do between two points at which they wait is one step here, so a process can be killed between any two of them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use pointsman::core::{
    Core, Effect, Engine, Hands, Input, KnownWrites, Plan, Recollection, Report, ServiceMemory,
};
use pointsman::model::{
    CheckKey, Fetched, Inquiry, Moment, Observation, Outcome, Pace, RegionName, ServiceName, Statement,
    Testimony,
};

use super::driver::Driver;
use super::event::{Said, Stage};
use super::journal::Outbox;
use super::judge::Judged;
use super::play::{Simulation, Step};
use super::regions::Network;
use super::settings::{
    FAST_S, Settings, TIMEOUT_S, check_name, place_of, place_of_check, region_name, service_name,
};

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
    /// Not there while it takes a step.
    engine: Option<Engine>,
    /// What the step under way has asked for, until that is judged.
    asked: Option<Vec<Effect>>,
    pub(crate) driver: Driver,
    /// The newest plan and the newest orders, each with how many there were.
    pub(crate) plan: (u64, Option<Arc<Plan>>),
    pub(crate) orders: (u64, Settings),
    /// What a driver that is started anew goes on from.
    pub(crate) known_writes: Option<KnownWrites>,
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
            self.disk.saved = None;
        }
        self.processes += 1;
        let (settings, now, count) = (self.settings.clone(), self.now, self.settings.regions.len());
        let service = settings.service();
        let start = Moment::START + REMEMBERED;
        let saved = self.disk.saved.clone();
        let recollection = saved.as_ref().map(|saved| {
            // Through the text that the disk holds.
            let text = serde_json::to_string(&saved.core.memory(&service_name(), saved.moment)).unwrap();
            let memory: ServiceMemory = serde_json::from_str(&text).unwrap();
            self.coverage.count("restarted from memory");
            Recollection::new(memory, wall(saved.wall), wall(now + self.wall_ahead_ms))
        });
        let ms = |gap: Duration| i64::try_from(gap.as_millis()).unwrap_or(i64::MAX / 2);
        let gaps = recollection.as_ref().map(|it| (ms(it.gap.looks), ms(it.gap.writes)));
        let known_writes = recollection.as_ref().and_then(|it| it.writes(&service.record, start));
        self.tell(|_| match gaps {
            Some((gap, _)) => {
                format!("a process starts, from what was remembered {gap} ms ago by the wall clock")
            }
            None => "a process starts, with no memory".to_owned(),
        });
        let driver = Driver::new(self.processes * 1000, &settings, known_writes.as_ref(), now, start);
        self.judge.started(now, &settings, saved.as_ref().map(Rc::as_ref).zip(gaps));
        self.process = Some(Process {
            number: self.processes,
            born: now,
            engine: None,
            asked: None,
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
            tokens: 0,
            settings: Settings { regions: Vec::new(), checks: Vec::new(), ..settings.clone() },
        });
        let mut engine = Engine::new(std::slice::from_ref(&service), start);
        self.asks_anew();
        engine.begin(start, recollection.as_slice(), self, |it| it.set_up(&settings));
        self.stepped(engine)?;
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
                self.keep_house()?;
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
                self.take_step(|engine, now, hands| engine.observed(now, observation, hands))
            }
            Message::Bound(place, addresses) => {
                self.tell(|_| format!("  r{place} is told to be at {addresses:?}"));
                self.judge.bound(now, place, &addresses);
                self.step(&Input::Bound { service, region: region_name(place), addresses })
            }
            Message::Reported { report, ticket } => {
                let is_intent = matches!(report, Report::Sent { .. });
                let is_read = matches!(report, Report::Seen { .. });
                self.take_step(|engine, now, hands| engine.reported(now, service, report, ticket, hands))?;
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
        let ended = self.looks_on_their_way();
        let ended: Vec<Observation> = ended.into_iter().filter_map(|seen| self.observation(seen)).collect();
        let service = settings.service();
        self.take_step(|engine, now, hands| {
            engine.change(now, ended, std::slice::from_ref(&service), hands, |it| {
                it.asks_anew();
                it.set_up(&settings);
                it.judge.reloaded(it.now, &settings);
                if let Some(process) = &mut it.process {
                    process.orders = (process.orders.0 + 1, settings);
                }
                it.wake_driver();
            });
        })
    }

    fn tick(&mut self) -> Judged {
        let Some(process) = &mut self.process else { return Ok(()) };
        process.tick_at = None;
        let now = process.moment(self.now);
        if process.core().and_then(Core::next_wake).is_some_and(|due| due <= now) {
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
        self.take_step(|engine, now, hands| engine.step(now, input, hands))
    }

    fn keep_house(&mut self) -> Judged {
        self.take_step(|engine, now, hands| engine.keep_house(now, hands))
    }

    /// Lets the engine do something now, with the world as its hands.
    fn take_step(&mut self, step: impl FnOnce(&mut Engine, Moment, &mut Self)) -> Judged {
        self.asks_anew();
        let Some(process) = &mut self.process else { return Ok(()) };
        let (now, engine) = (process.moment(self.now), process.engine.take());
        let Some(mut engine) = engine else { return Ok(()) };
        step(&mut engine, now, self);
        self.stepped(engine)
    }

    fn stepped(&mut self, engine: Engine) -> Judged {
        self.judge_what_was_asked();
        if let Some(process) = &mut self.process {
            process.engine = Some(engine);
        }
        self.plan_tick();
        self.broken.take().map_or(Ok(()), Err)
    }

    /// What comes is asked for by another step than what came.
    fn asks_anew(&mut self) {
        self.judge_what_was_asked();
        if let Some(process) = &mut self.process {
            process.asked = Some(Vec::new());
        }
    }

    /// Judges what a step of the core has asked for, once.
    fn judge_what_was_asked(&mut self) {
        let Some(asked) = self.process.as_mut().and_then(|process| process.asked.take()) else { return };
        self.coverage.effects(&asked);
        let judged = self.judge.effects(self.now, &asked);
        self.broken = self.broken.take().or(judged.err());
    }

    fn observation(&self, seen: Sight) -> Option<Observation> {
        let check = Arc::new(CheckKey {
            service: service_name(),
            region: region_name(seen.place),
            check: check_name(seen.check),
        });
        Some(Observation {
            check,
            started: self.process.as_ref()?.moment(seen.started),
            late: Duration::ZERO,
            latency: Duration::from_millis(5),
            outcome: seen.outcome,
            saw: "it".into(),
            certificate: None,
        })
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
        let due = process.core().and_then(Core::next_wake).map(|due| process.ms(due).max(self.now));
        if due.is_some() && due != process.tick_at {
            process.tick_at = due;
            let process = process.number;
            self.push(due.unwrap_or(self.now), Step::Tick { process });
        }
    }
}

/// What a process that is about to be killed would still do is not done.
impl Hands for Simulation<'_> {
    type Receipt = Option<u64>;
    type Entry = Option<u64>;

    fn observed(&mut self, _: Moment, observation: &Observation) {
        self.asks_anew();
        let CheckKey { region, check, .. } = &*observation.check;
        let (place, check, outcome) = (place_of(region), place_of_check(check), observation.outcome);
        if outcome != Outcome::Pass {
            self.tell(|_| format!("  r{place}/c{check}: {outcome:?}"));
        }
        self.coverage.look(outcome);
        self.judge.looked(self.now, place, check, outcome);
    }

    fn plan(&mut self, plan: &Arc<Plan>) {
        if self.dies || self.reached(Stage::Planned) {
            return;
        }
        if let Some(process) = &mut self.process {
            process.plan = (process.plan.0 + 1, Some(Arc::clone(plan)));
        }
        self.wake_driver();
    }

    fn pace(&mut self, _: &ServiceName, region: &RegionName, pace: Pace) {
        if !self.dies {
            self.set_pace(place_of(region), pace);
        }
    }

    fn inquire(&mut self, inquiry: &Arc<Inquiry>) {
        if let Some(process) = &mut self.process {
            process.inquiry = Some(Arc::clone(inquiry));
        }
    }

    fn tell(&mut self, _: Moment, effect: Effect) {
        if let Some(line) = self.is_told().then(|| in_words(&effect)).flatten() {
            Simulation::tell(self, |_| line);
        }
        if !self.dies && !matches!(effect, Effect::Pace { .. } | Effect::Witness(_)) {
            self.keep_entry(None);
        }
        if let Some(asked) = self.process.as_mut().and_then(|process| process.asked.as_mut()) {
            asked.push(effect);
        }
    }

    fn remember(&mut self, _: Moment, core: &Core, _: &[ServiceName]) {
        // The judge's knowledge is kept with the core's, and has to be of the same step.
        self.judge_what_was_asked();
        if !self.dies {
            Simulation::remember(self, core);
        }
    }

    fn known_writes(&mut self, _: &ServiceName, writes: KnownWrites) {
        if let Some(process) = &mut self.process {
            process.known_writes = Some(writes);
        }
    }

    fn reported(&mut self, _: Moment, _: &ServiceName, report: &Report, ticket: Option<u64>) -> Option<u64> {
        self.judge.core_hears(self.now, report);
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

/// A reading of the wall clock.
fn wall(ms: i64) -> Duration {
    Duration::from_millis((WALL_BEGAN_MS + ms).unsigned_abs())
}

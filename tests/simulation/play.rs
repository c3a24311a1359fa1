//! The world in virtual time: one queue of steps, of which each is carried out whole and judged.

use std::collections::BTreeMap;

use pointsman::core::Call;
use pointsman::model::{Answer, Mode, ProviderError};

use super::cloud::{Cloud, ReadFault, WriteFault, found};
use super::coverage::Coverage;
use super::dice::drawn_for;
use super::event::{Act, Binding, Change, Death, Edit, JournalFault, Said, Stage};
use super::haste::Haste;
use super::journal::Disk;
use super::judge::{Broken, Judge, Judged};
use super::process::{Message, Process, Sight};
use super::regions::{Health, Regions};
use super::settings::{Settings, address, foreign};
use super::{Schedule, TimelineLine};

/// What is due at some time. The first number is the process that it belongs to.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Act(usize),
    /// Another program takes a region out of the set.
    Drops(usize),
    Start,
    Look {
        process: u64,
        place: usize,
        check: usize,
        token: u64,
    },
    Looked {
        process: u64,
        token: u64,
        seen: Sight,
    },
    Follow {
        process: u64,
        place: usize,
        token: u64,
    },
    Hears {
        process: u64,
        message: Box<Message>,
    },
    Tick {
        process: u64,
    },
    House {
        process: u64,
    },
    Drive {
        process: u64,
        token: u64,
    },
    DriverStarts {
        process: u64,
    },
    KeptOrNot {
        process: u64,
        ticket: u64,
    },
    Committed {
        process: u64,
    },
    Arrives {
        call: u64,
    },
    Answers {
        call: u64,
    },
}

/// A call on its way.
#[derive(Clone, Debug)]
pub(crate) struct InFlight {
    process: u64,
    driver: u64,
    call: Call,
    quick_ms: i64,
    read_fault: Option<ReadFault>,
    write_fault: Option<WriteFault>,
    read: Option<Answer>,
    written: Option<Result<(), ProviderError>>,
}

impl InFlight {
    pub(crate) fn has_fault(&self) -> bool {
        self.read_fault.is_some() || self.write_fault.is_some()
    }
}

pub(crate) struct Simulation<'s> {
    pub(crate) schedule: &'s Schedule,
    pub(crate) now: i64,
    queue: BTreeMap<(i64, u64), Step>,
    steps: u64,
    /// What the configuration file says.
    pub(crate) settings: Settings,
    pub(crate) regions: Regions,
    pub(crate) cloud: Cloud,
    /// How far the wall clock is ahead.
    pub(crate) wall_ahead_ms: i64,
    pub(crate) disk: Disk,
    pub(crate) lag_ms: u64,
    pub(crate) process: Option<Process>,
    pub(crate) processes: u64,
    pub(crate) calls: BTreeMap<u64, InFlight>,
    death: Option<(Death, u64)>,
    pub(crate) dies: bool,
    pub(crate) judge: Judge,
    pub(crate) haste: Haste,
    pub(crate) coverage: Coverage,
    /// What a step of the engine broke, until that is over.
    pub(crate) broken: Option<Broken>,
    timeline: Option<Vec<TimelineLine>>,
}

impl<'s> Simulation<'s> {
    pub(crate) fn new(schedule: &'s Schedule, told: bool) -> Self {
        let settings = schedule.settings.clone();
        let values = schedule.published.iter().map(|place| settings.home(*place)).chain([foreign(99)]);
        let cloud = Cloud::new(values.collect());
        let mut new = Self {
            now: 0,
            queue: BTreeMap::new(),
            steps: 0,
            regions: Regions::new(settings.regions.len()),
            judge: Judge::new(&settings),
            cloud,
            wall_ahead_ms: 1_000_000_000,
            disk: Disk::default(),
            lag_ms: 5,
            process: None,
            processes: 0,
            calls: BTreeMap::new(),
            death: None,
            dies: false,
            haste: Haste::default(),
            coverage: Coverage::default(),
            broken: None,
            timeline: told.then(Vec::new),
            settings,
            schedule,
        };
        new.tell(|new| format!("the zone holds {}", new.zone_in_words()));
        new.push(0, Step::Start);
        for (place, event) in schedule.events.iter().enumerate() {
            new.push(event.at_ms, Step::Act(place));
        }
        new
    }

    pub(crate) fn into_story(self) -> (Vec<TimelineLine>, Coverage) {
        (self.timeline.unwrap_or_default(), self.coverage)
    }

    /// Adds a line to the timeline, if there is one.
    pub(crate) fn tell(&mut self, line: impl FnOnce(&Self) -> String) {
        if self.timeline.is_some() {
            let line = line(self);
            let at_ms = self.now;
            if let Some(timeline) = &mut self.timeline {
                timeline.push(TimelineLine { at_ms, line });
            }
        }
    }

    /// Whether a timeline is kept.
    pub(crate) fn is_told(&self) -> bool {
        self.timeline.is_some()
    }

    /// A number for this moment and that matter.
    pub(crate) fn drawn(&self, matter: u64) -> u64 {
        drawn_for(&[self.schedule.seed, matter, self.now.unsigned_abs(), self.steps])
    }

    pub(crate) fn push(&mut self, at: i64, step: Step) {
        self.steps += 1;
        self.queue.insert((at.max(self.now), self.steps), step);
    }

    /// Carries out all that is due until then, and comes to then.
    pub(crate) fn run_until(&mut self, end: i64) -> Judged {
        while let Some(entry) = self.queue.first_entry() {
            if entry.key().0 > end {
                break;
            }
            let ((at, _), step) = entry.remove_entry();
            self.now = at;
            self.take(step)?;
            if self.dies {
                self.kill();
            }
            self.judge_haste()?;
        }
        self.now = self.now.max(end);
        Ok(())
    }

    /// Takes what looks found and the core has not heard yet out of its channel.
    pub(crate) fn looks_on_their_way(&mut self) -> Vec<Sight> {
        let observed = |step: &Step| match step {
            Step::Hears { message, .. } => match **message {
                Message::Observed(sight) => Some(sight),
                _ => None,
            },
            _ => None,
        };
        let on_their_way: Vec<((i64, u64), Sight)> =
            self.queue.iter().filter_map(|(due, step)| observed(step).map(|sight| (*due, sight))).collect();
        for (due, _) in &on_their_way {
            self.queue.remove(due);
        }
        on_their_way.into_iter().map(|(_, sight)| sight).collect()
    }

    fn take(&mut self, step: Step) -> Judged {
        let running = self.process.as_ref().map(|process| process.number);
        let of_process = match &step {
            Step::Act(place) => {
                self.act(*place);
                return Ok(());
            }
            Step::Drops(place) => {
                if self.now < self.schedule.calm_at() {
                    self.edit(Edit::Drop(*place));
                }
                return Ok(());
            }
            Step::Start => {
                if self.process.is_none() {
                    self.start()?;
                }
                return Ok(());
            }
            Step::Arrives { call } => return self.arrives(*call),
            Step::Answers { call } => {
                self.answers(*call);
                return Ok(());
            }
            Step::Look { process, .. }
            | Step::Looked { process, .. }
            | Step::Follow { process, .. }
            | Step::Hears { process, .. }
            | Step::Tick { process }
            | Step::House { process }
            | Step::Drive { process, .. }
            | Step::DriverStarts { process }
            | Step::KeptOrNot { process, .. }
            | Step::Committed { process } => *process,
        };
        if running != Some(of_process) {
            return Ok(());
        }
        self.take_of_process(step)?;
        if let Some((Death::Steps(left), _)) = &mut self.death {
            self.dies |= *left == 0;
            *left = left.saturating_sub(1);
        }
        Ok(())
    }

    /// A write has come to that place; a process may be meant to die there.
    pub(crate) fn reached(&mut self, stage: Stage) -> bool {
        let meant = matches!(self.death, Some((Death::At(at), _)) if at == stage);
        if meant && self.process.is_some() {
            self.coverage.count(match stage {
                Stage::Planned => "killed when planned",
                Stage::IntentTold => "killed when the intent was told",
                Stage::IntentKept => "killed when the intent was kept",
                Stage::Called => "killed when the write was sent",
                Stage::Landed => "killed when the write had landed",
                Stage::Answered => "killed when the write was answered",
            });
            self.dies = true;
        }
        meant
    }

    fn kill(&mut self) {
        self.dies = false;
        let Some((_, gap_ms)) = self.death.take() else { return };
        let Some(process) = self.process.take() else { return };
        self.coverage.count("killed");
        self.tell(|_| "the process is killed".to_owned());
        self.disk.killed(process, self.drawn(1));
        self.judge.killed();
        self.push(self.now + i64::try_from(gap_ms).unwrap_or(0), Step::Start);
    }

    fn act(&mut self, place: usize) {
        let act = self.schedule.events[place].act.clone();
        self.tell(|_| format!("* {act:?}"));
        self.coverage.act(&act);
        let before = place.checked_sub(1).and_then(|before| self.schedule.events.get(before));
        if let Some(before) = before.filter(|before| before.at_ms == self.schedule.events[place].at_ms) {
            self.coverage.two_at_once(&before.act, &act);
        }
        self.judge.disturbed();
        match act {
            Act::Region(place, health) => self.regions.health[place] = health,
            Act::Network(network) => self.regions.network = network,
            Act::Blind { place, check, blind } => {
                if blind {
                    self.regions.blind.insert((place, check));
                } else {
                    self.regions.blind.remove(&(place, check));
                }
            }
            Act::Bind(place, binding) => self.bind(place, binding),
            Act::Reads(fault, count) => self.cloud.reads = Some((fault, count)),
            Act::Writes(fault, count) => self.cloud.writes = Some((fault, count)),
            Act::Outage(outage, seconds) => {
                let until = self.now + i64::try_from(seconds * 1000).unwrap_or(0);
                self.cloud.outage = Some((outage, until));
            }
            Act::Lie(place, lie) => drop(self.regions.lies.insert(place, (lie, None))),
            Act::Glitch(place) => drop(self.regions.glitches.insert(place)),
            Act::Edit(edit) => self.edit(edit),
            Act::Reload(change) => self.reload(change),
            Act::Kill { when, gap_ms } => self.death = Some((when, gap_ms)),
            Act::Clock(seconds) => self.wall_ahead_ms += seconds * 1000,
            Act::Journal(fault) => {
                match fault {
                    JournalFault::Lost => self.disk.is_lost = true,
                    JournalFault::Well | JournalFault::Slow(_) | JournalFault::Away => {
                        self.disk.fault = fault;
                    }
                }
                self.write_journal();
            }
            Act::Lag(ms) => self.lag_ms = ms,
            Act::DriverDies => self.driver_dies(),
            Act::Says(said) => self.send(2, Message::Said(said)),
            Act::Quarrel { place, times, every_s } => {
                for nth in 0..i64::from(times) {
                    let after = nth * i64::try_from(every_s * 1000).unwrap_or(0);
                    self.push(self.now + after, Step::Drops(place));
                }
            }
        }
    }

    fn reload(&mut self, change: Change) {
        self.settings.change(change);
        let settings = Box::new(self.settings.clone());
        self.send(2, Message::Reload(settings));
    }

    fn bind(&mut self, place: usize, binding: Binding) {
        let bound = match binding {
            Binding::Nothing => Vec::new(),
            Binding::Own => vec![address(place, 0)],
            Binding::Another => vec![address(place, 2)],
            Binding::Both => vec![address(place, 0), address(place, 1)],
            Binding::Of(other) => std::mem::take(&mut self.regions.bound[other]).into_iter().collect(),
        };
        for other in &mut self.regions.bound {
            other.retain(|address| !bound.contains(address));
        }
        self.regions.bound[place] = bound.into_iter().collect();
    }

    fn edit(&mut self, edit: Edit) {
        let (now, settings, bound) = (self.now, &self.settings, &self.regions.bound);
        let addresses = |place: usize| {
            let fixed = settings.fixed_addresses(place);
            if fixed.is_empty() { bound[place].clone() } else { fixed }
        };
        self.cloud.change(now, |cloud| {
            if matches!(edit, Edit::MakeAnew) && cloud.held.is_some() {
                let values = cloud.held.take().map(|held| held.values).unwrap_or_default();
                cloud.make(values);
            }
            let Some(held) = &mut cloud.held else { return };
            match edit {
                Edit::AddForeign(which) => drop(held.values.insert(foreign(which))),
                Edit::DropForeign => {
                    held.values.retain(|value| (50..90).all(|which| foreign(which) != *value));
                }
                Edit::Add(place) => held.values.extend(addresses(place)),
                Edit::Drop(place) => {
                    let theirs = addresses(place);
                    held.values.retain(|value| !theirs.contains(value));
                }
                Edit::OnlyForeign => held.values = [foreign(99)].into(),
                Edit::Ttl => held.ttl = pointsman::model::Ttl::from_seconds(77).unwrap_or(held.ttl),
                Edit::Description => held.description = format!("noted at {now}"),
                Edit::Disable => held.withheld = true,
                Edit::Enable => held.withheld = false,
                Edit::Delete => cloud.held = None,
                Edit::MakeAnew => {}
            }
        });
        self.judge.edited();
        self.tell(|it| format!("  somebody left the zone at {}", it.zone_in_words()));
    }

    /// The driver's call is on its way.
    pub(crate) fn call(&mut self, driver: u64, call: &Call, read_deadline_ms: i64) -> u64 {
        let id = self.steps + 1;
        let quick_ms = 4 + i64::try_from(self.drawn(2) % 60).unwrap_or(0);
        let number = self.process.as_ref().map_or(0, |process| process.number);
        let mut flight = InFlight {
            process: number,
            driver,
            call: call.clone(),
            quick_ms,
            read_fault: None,
            write_fault: None,
            read: None,
            written: None,
        };
        match call {
            Call::Read => {
                let fault = self.cloud.take_read_fault(self.now);
                self.coverage.read_fault(fault);
                // Who answers after the deadline might as well be silent.
                let is_late = |ms: u64| i64::try_from(ms).unwrap_or(0) > read_deadline_ms;
                flight.read_fault = match fault {
                    Some(ReadFault::Slow(ms)) if is_late(ms) => Some(ReadFault::Silent),
                    fault => fault,
                };
                let there = match flight.read_fault {
                    Some(ReadFault::Silent) => read_deadline_ms,
                    Some(ReadFault::Slow(ms)) => i64::try_from(ms / 2).unwrap_or(0),
                    _ => quick_ms,
                };
                self.push(self.now + there, Step::Arrives { call: id });
            }
            Call::Replace { .. } | Call::Create { .. } => {
                let course = self.cloud.course(self.now, quick_ms);
                self.coverage.write_fault(course.fault);
                flight.write_fault = course.fault;
                let error = |kind| ProviderError { kind, message: format!("{kind:?}") };
                flight.written = Some(course.answer.map_err(error));
                if let Some(ms) = course.lands_after_ms {
                    self.push(self.now + ms, Step::Arrives { call: id });
                }
                self.push(self.now + course.answers_after_ms, Step::Answers { call: id });
                self.reached(Stage::Called);
            }
        }
        self.calls.insert(id, flight);
        id
    }

    /// The API gets to a call.
    fn arrives(&mut self, id: u64) -> Judged {
        let Some(mut flight) = self.calls.remove(&id) else { return Ok(()) };
        if flight.call == Call::Read {
            flight.read = Some(self.cloud.read(self.now, flight.read_fault));
            let back = match flight.read_fault {
                Some(ReadFault::Slow(ms)) => i64::try_from(ms / 2).unwrap_or(0),
                Some(ReadFault::Silent) => 0,
                _ => flight.quick_ms,
            };
            self.push(self.now + back, Step::Answers { call: id });
            self.calls.insert(id, flight);
            return Ok(());
        }
        let before = found(self.cloud.held.as_ref(), self.now);
        let landed = self.cloud.land(self.now, &flight.call, flight.write_fault, flight.quick_ms);
        if landed {
            self.tell(|it| format!("  the cloud carries the write out: {}", it.zone_in_words()));
            let after = found(self.cloud.held.as_ref(), self.now);
            self.judge.landed(before.as_ref(), after.as_ref())?;
            if flight.process != self.processes || self.process.is_none() {
                self.coverage.count("a write landed after its process was gone");
            }
        } else if flight.written == Some(Ok(())) {
            let kind = pointsman::model::ProviderErrorKind::Conflict;
            flight.written = Some(Err(ProviderError { kind, message: "not what was read".to_owned() }));
            self.coverage.count("a conflict of its own");
        }
        self.calls.insert(id, flight);
        self.reached(Stage::Landed);
        Ok(())
    }

    /// An answer comes back, if somebody still waits for it.
    fn answers(&mut self, id: u64) {
        // A write may still land after that.
        let Some(flight) = self.calls.get(&id).cloned() else { return };
        if flight.call == Call::Read {
            self.calls.remove(&id);
        }
        let waits =
            |process: &Process| process.number == flight.process && process.driver.number == flight.driver;
        if !self.process.as_ref().is_some_and(waits) {
            return;
        }
        match (flight.read, flight.written) {
            (Some(answer), _) => self.driver_read(id, answer),
            (None, Some(result)) => self.driver_written(id, result),
            (None, None) => {}
        }
    }

    pub(crate) fn zone_in_words(&self) -> String {
        match found(self.cloud.held.as_ref(), self.now) {
            None => "nothing".to_owned(),
            Some(found) => format!(
                "{} ttl {} {:?}",
                pointsman::model::addresses_in_words(&found.values),
                found.ttl,
                found.in_force
            ),
        }
    }

    /// Everything becomes well again, save the regions that stay dead.
    pub(crate) fn calm_down(&mut self, dead: &[usize]) {
        self.tell(|_| format!("* the faults stop; dead stay {dead:?}"));
        self.judge.disturbed();
        let count = self.settings.regions.len();
        let keep = std::mem::replace(&mut self.regions, Regions::new(count));
        for place in 0..count {
            // An address that was moved stays where it is, if that leaves nobody without.
            self.regions.health[place] = if dead.contains(&place) { Health::Dead } else { Health::Serves };
        }
        if keep.bound.iter().all(|bound| !bound.is_empty()) {
            self.regions.bound = keep.bound;
        }
        (self.cloud.reads, self.cloud.writes, self.cloud.outage) = (None, None, None);
        self.death = None;
        self.disk.fault = JournalFault::Well;
        self.lag_ms = 5;
        self.settings.alarm_on_drift = false;
        self.settings.mode = Mode::Act;
        self.settings.manual_failback = false;
        let (now, create) = (self.now, self.settings.create);
        self.cloud.change(now, |cloud| match &mut cloud.held {
            Some(held) => {
                held.withheld = false;
                held.pending_until = held.pending_until.min(now + 10_000);
            }
            None if create => {}
            None => cloud.make([foreign(99)].into()),
        });
        self.write_journal();
        let settings = Box::new(self.settings.clone());
        self.send(2, Message::Reload(settings));
    }

    /// The operator takes back whatever was ruled.
    pub(crate) fn release_all(&mut self) {
        let scopes = (0..self.settings.regions.len()).map(Some).chain([None]).map(Said::Release);
        let mutes = (0..self.settings.checks.len()).map(Said::Unmute);
        for said in scopes.chain(mutes) {
            self.send(2, Message::Said(said));
        }
    }
}

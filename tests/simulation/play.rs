//! The world in virtual time: one queue of steps, of which each is carried out whole and judged.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BinaryHeap};

use pointsman::core::Call;
use pointsman::model::{Answer, ProviderError};

use super::account::{Account, ReadFault, WriteFault};
use super::cloud::Held;
use super::coverage::Coverage;
use super::dice::drawn_for;
use super::event::{Act, Death, Edit, Stage};
use super::journal::Disk;
use super::judge::{Broken, Judged};
use super::process::{Message, Process, Sight};
use super::regions::Regions;
use super::service::OneService;
use super::settings::service_name;
use super::weighted::PartsWrite;
use super::writer::Deed;
use super::{Schedule, TimelineLine};

/// What is due at some time. The first number is the process that it belongs to.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Act(usize),
    /// Another program takes a region out of the set.
    Drops {
        service: usize,
        place: usize,
    },
    /// Another program reads a record set of ours, and writes it.
    WriterReads {
        service: usize,
        nth: u64,
    },
    WriterWrites {
        service: usize,
        read: Box<Held>,
        deed: Deed,
    },
    Start,
    Look {
        process: u64,
        service: usize,
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
        service: usize,
        place: usize,
        token: u64,
    },
    Hears {
        process: u64,
        service: usize,
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
        service: usize,
        token: u64,
    },
    DriverStarts {
        process: u64,
        service: usize,
    },
    KeptOrNot {
        process: u64,
        ticket: u64,
    },
    Committed {
        process: u64,
    },
    Asks {
        process: u64,
        service: usize,
        token: u64,
    },
    Arrives {
        call: u64,
    },
    /// One call of a write of several is sent, carried out, answered.
    PartSent {
        call: u64,
    },
    PartLands {
        call: u64,
        nth: usize,
        takes_ms: i64,
        fails: bool,
    },
    PartAnswered {
        call: u64,
    },
    Answers {
        call: u64,
    },
}

/// A step with its time, and the order of those of one time: the first of a queue is the greatest.
struct Queued {
    due: Reverse<(i64, u64)>,
    step: Step,
}

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        self.due == other.due
    }
}

impl Eq for Queued {}

impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Queued {
    fn cmp(&self, other: &Self) -> Ordering {
        self.due.cmp(&other.due)
    }
}

/// A call on its way.
#[derive(Clone, Debug)]
pub(crate) struct InFlight {
    process: u64,
    service: usize,
    driver: u64,
    call: Call,
    quick_ms: i64,
    /// Whether it is beyond what the account may.
    pub(crate) is_used_up: bool,
    read_fault: Option<ReadFault>,
    write_fault: Option<WriteFault>,
    read: Option<Answer>,
    written: Option<Result<(), ProviderError>>,
    /// Where it takes several calls.
    pub(crate) parts: Option<PartsWrite>,
}

impl InFlight {
    pub(crate) fn has_fault(&self) -> bool {
        self.read_fault.is_some() || self.write_fault.is_some()
    }

    pub(crate) fn service(&self) -> usize {
        self.service
    }

    /// A fault hits one of its calls.
    pub(crate) fn set_fault(&mut self, fault: Option<WriteFault>) {
        self.write_fault = self.write_fault.or(fault);
    }
}

pub(crate) struct Simulation<'s> {
    pub(crate) schedule: &'s Schedule,
    pub(crate) now: i64,
    queue: BinaryHeap<Queued>,
    steps: u64,
    pub(crate) services: Vec<OneService>,
    pub(crate) regions: Regions,
    pub(crate) account: Account,
    /// How far the wall clock is ahead.
    pub(crate) wall_ahead_ms: i64,
    pub(crate) disk: Disk,
    pub(crate) lag_ms: u64,
    pub(crate) process: Option<Process>,
    pub(crate) processes: u64,
    pub(crate) calls: BTreeMap<u64, InFlight>,
    pub(crate) death: Option<(Death, u64)>,
    /// When the last kill is ordered; no process starts after those that it makes.
    pub(crate) last_kill_ms: i64,
    pub(crate) dies: bool,
    pub(crate) coverage: Coverage,
    /// What a step of the engine broke, until that is over.
    pub(crate) broken: Option<Broken>,
    timeline: Option<Vec<TimelineLine>>,
}

impl<'s> Simulation<'s> {
    pub(crate) fn new(schedule: &'s Schedule, told: bool) -> Self {
        let services = schedule.services().map(|(settings, published)| OneService::new(settings, published));
        let kills = schedule.events.iter().filter(|event| matches!(event.act, Act::Kill { .. }));
        let mut new = Self {
            now: 0,
            queue: BinaryHeap::new(),
            steps: 0,
            regions: Regions::new(schedule.settings.regions.len()),
            services: services.collect(),
            account: Account::new(schedule.worlds.calls_a_minute),
            wall_ahead_ms: 1_000_000_000,
            disk: Disk::default(),
            lag_ms: 5,
            process: None,
            processes: 0,
            calls: BTreeMap::new(),
            death: None,
            last_kill_ms: kills.map(|event| event.at_ms).max().unwrap_or(i64::MIN),
            dies: false,
            coverage: Coverage::default(),
            broken: None,
            timeline: told.then(Vec::new),
            schedule,
        };
        for service in 0..new.services.len() {
            new.tell_of(service, |new| format!("the zone holds {}", new.zone_in_words(service)));
        }
        new.push(0, Step::Start);
        for (place, event) in schedule.events.iter().enumerate() {
            new.push(event.at_ms, Step::Act(place));
        }
        if schedule.worlds.writer.is_some() {
            for service in 0..new.services.len() {
                new.push(0, Step::WriterReads { service, nth: 0 });
            }
        }
        if new.services.len() > 1 {
            new.coverage.count("two services");
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

    /// The same of a service, which is named if there are several.
    pub(crate) fn tell_of(&mut self, service: usize, line: impl FnOnce(&Self) -> String) {
        self.tell(|it| match it.services.len() {
            1 => line(it),
            _ => format!("{}: {}", service_name(service), line(it)),
        });
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
        self.queue.push(Queued { due: Reverse((at.max(self.now), self.steps)), step });
    }

    /// Carries out all that is due until then, and comes to then.
    pub(crate) fn run_until(&mut self, end: i64) -> Judged {
        while self.queue.peek().is_some_and(|queued| queued.due.0.0 <= end) {
            let Some(Queued { due: Reverse((at, _)), step }) = self.queue.pop() else { break };
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
        let mut on_their_way = Vec::new();
        self.queue.retain(|queued| match &queued.step {
            Step::Hears { message, .. } => match **message {
                Message::Observed(sight) => {
                    on_their_way.push((queued.due.0, sight));
                    false
                }
                _ => true,
            },
            _ => true,
        });
        on_their_way.sort_by_key(|(due, _)| *due);
        on_their_way.into_iter().map(|(_, sight)| sight).collect()
    }

    fn take(&mut self, step: Step) -> Judged {
        let running = self.process.as_ref().map(|process| process.number);
        let of_process = match &step {
            Step::Act(place) => {
                self.act(*place);
                return Ok(());
            }
            Step::Drops { service, place } => {
                if self.now < self.schedule.calm_at() {
                    self.edit(*service, Edit::Drop(*place));
                }
                return Ok(());
            }
            Step::WriterReads { service, nth } => {
                self.writer_reads(*service, *nth);
                return Ok(());
            }
            Step::WriterWrites { service, read, deed } => {
                self.writer_writes(*service, read, *deed);
                return Ok(());
            }
            Step::Start => {
                if self.process.is_none() {
                    self.start()?;
                }
                return Ok(());
            }
            Step::Arrives { call } => return self.arrives(*call),
            Step::PartLands { call, nth, takes_ms, fails } => {
                return self.part_lands(*call, *nth, *takes_ms, *fails);
            }
            Step::PartSent { call } => {
                self.part_sent(*call);
                return Ok(());
            }
            Step::PartAnswered { call } => {
                self.part_answered(*call);
                return Ok(());
            }
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
            | Step::DriverStarts { process, .. }
            | Step::KeptOrNot { process, .. }
            | Step::Asks { process, .. }
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
        for service in &mut self.services {
            service.judge.killed();
        }
        self.push(self.now + i64::try_from(gap_ms).unwrap_or(0), Step::Start);
    }

    /// The call of a service's driver is on its way.
    pub(crate) fn call(&mut self, service: usize, driver: u64, call: &Call, read_deadline_ms: i64) -> u64 {
        let id = self.steps + 1;
        let quick_ms = 4 + i64::try_from(self.drawn(2) % 60).unwrap_or(0);
        let number = self.process.as_ref().map_or(0, |process| process.number);
        let mut flight = InFlight {
            process: number,
            service,
            driver,
            call: call.clone(),
            quick_ms,
            is_used_up: self.account.is_used_up(self.now),
            read_fault: None,
            write_fault: None,
            read: None,
            written: None,
            parts: None,
        };
        if flight.is_used_up {
            self.coverage.count("a call beyond what the account may");
        }
        match call {
            Call::Read => {
                let fault = self.account.take_read_fault(self.now);
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
            Call::Replace { .. } | Call::Create { .. } if self.services[service].cloud.parts.is_some() => {
                flight.parts = self.write_parts(id, service, call);
            }
            Call::Replace { .. } | Call::Create { .. } => {
                let course = self.account.course(self.now, quick_ms);
                self.coverage.write_fault(course.fault);
                if service > 0 {
                    self.coverage.count("writes of another service");
                }
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
        let service = flight.service;
        let OneService { cloud, judge, .. } = &mut self.services[service];
        if flight.call == Call::Read {
            flight.read = Some(cloud.read(self.now, flight.read_fault));
            let back = match flight.read_fault {
                Some(ReadFault::Slow(ms)) => i64::try_from(ms / 2).unwrap_or(0),
                Some(ReadFault::Silent) => 0,
                _ => flight.quick_ms,
            };
            self.push(self.now + back, Step::Answers { call: id });
            self.calls.insert(id, flight);
            return Ok(());
        }
        let before = cloud.found(self.now);
        let landed = cloud.land(self.now, &flight.call, flight.write_fault, flight.quick_ms);
        if landed {
            let after = cloud.found(self.now);
            let judged = judge.landed(before.as_ref(), after.as_ref());
            self.tell_of(service, |it| {
                format!("  the cloud carries the write out: {}", it.zone_in_words(service))
            });
            judged?;
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
        let service = flight.service;
        if !self.awaits_answer(&flight) {
            return;
        }
        match (flight.read, flight.written) {
            (Some(answer), _) => self.driver_read(service, id, answer),
            (None, Some(result)) => self.driver_written(service, id, result),
            (None, None) => {}
        }
    }

    /// Whether who made the call is still there.
    pub(crate) fn awaits_answer(&self, flight: &InFlight) -> bool {
        let waits = |process: &Process| {
            process.number == flight.process && process.tasks[flight.service].driver.number == flight.driver
        };
        self.process.as_ref().is_some_and(waits)
    }

    pub(crate) fn zone_in_words(&self, service: usize) -> String {
        match self.services[service].cloud.found(self.now) {
            None => "nothing".to_owned(),
            Some(found) => format!(
                "{} ttl {} {:?}",
                pointsman::model::addresses_in_words(&found.weighed()),
                found.ttl,
                found.in_force
            ),
        }
    }
}

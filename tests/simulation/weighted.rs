//! One set a region: what a zone holds in parts, and a write of several calls as the provider makes it. Which calls, and in
//! which order, is the shipped code's word; each call may go wrong, and the process may die between any two.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use pointsman::core::parts::{self, Step as PartCall};
use pointsman::core::{Call, PartCalls};
use pointsman::model::{
    Found, FoundPart, InForce, PartState, ProviderError, ProviderErrorKind, RecordSet, Ttl, Weight,
};

use super::account::{WRITE_DEADLINE_MS, WriteFault};
use super::cloud::{Cloud, Held};
use super::event::Stage;
use super::judge::Judged;
use super::play::{Simulation, Step};
use super::service::OneService;
use super::witnesses::ServedSet;

/// One of the sets under the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeldPart {
    pub(crate) id: u32,
    pub(crate) values: BTreeSet<IpAddr>,
    pub(crate) weight: Option<u16>,
    pub(crate) ttl: Ttl,
    pub(crate) description: Option<String>,
    /// Whether it is switched on.
    pub(crate) is_on: bool,
    /// What was served of it before the last change; none when it was off.
    before: BTreeSet<IpAddr>,
    pub(crate) pending_until: i64,
    pub(crate) failed: bool,
    /// The provider keeps it from being served.
    pub(crate) frozen: bool,
}

impl HeldPart {
    pub(crate) fn new(id: u32, values: BTreeSet<IpAddr>, weight: Option<u16>) -> Self {
        Self {
            id,
            values,
            weight,
            ttl: Ttl::from_seconds(60).unwrap(),
            description: None,
            is_on: true,
            before: BTreeSet::new(),
            pending_until: 0,
            failed: false,
            frozen: false,
        }
    }

    fn target(&self) -> BTreeSet<IpAddr> {
        if self.is_on { self.values.clone() } else { BTreeSet::new() }
    }

    /// All that it may serve now: one of these, and nobody can tell which while a change is on its way or has failed.
    pub(crate) fn may_serve(&self, now: i64) -> Vec<BTreeSet<IpAddr>> {
        if self.frozen {
            return vec![BTreeSet::new()];
        }
        match (self.failed, self.pending_until > now) {
            (_, true) => vec![self.before.clone(), self.target()],
            (true, false) => vec![BTreeSet::new()],
            (false, false) => vec![self.target()],
        }
    }

    /// The same with nothing but these addresses.
    pub(crate) fn only(self, ours: &BTreeSet<IpAddr>) -> Self {
        Self { values: &self.values & ours, before: &self.before & ours, ..self }
    }

    fn state(&self, now: i64) -> PartState {
        match (self.pending_until > now, self.is_on) {
            _ if self.frozen => PartState::Withheld,
            (true, true) => PartState::Coming,
            // What is written to one that is off is on its way as well.
            (true, false) => {
                if self.before.is_empty() {
                    PartState::Coming
                } else {
                    PartState::Leaving
                }
            }
            (false, _) if self.failed => PartState::Failed,
            (false, true) => PartState::Served,
            (false, false) => PartState::Off,
        }
    }

    fn found(&self, now: i64) -> FoundPart {
        FoundPart {
            id: self.id.to_string(),
            values: self.values.clone(),
            weight: self.weight.and_then(Weight::from_number),
            ttl: self.ttl,
            description: self.description.clone(),
            state: self.state(now),
        }
    }

    /// It is changed now, and that is in force a little later.
    fn changes(&mut self, now: i64, takes_ms: i64, change: impl FnOnce(&mut Self)) {
        self.before = if self.failed || self.pending_until > now { BTreeSet::new() } else { self.target() };
        change(self);
        self.failed = false;
        self.pending_until = now + takes_ms;
    }
}

/// What a read finds in the sets of one name, as the provider puts it together.
pub(crate) fn found_in(parts: &[HeldPart], now: i64) -> Option<Found> {
    let found: Vec<FoundPart> = parts.iter().map(|part| part.found(now)).collect();
    let served = || found.iter().filter(|part| part.state.is_served());
    let values: BTreeSet<IpAddr> = served().flat_map(|part| part.values.iter().copied()).collect();
    let ttl = served().map(|part| part.ttl).max().or(found.iter().map(|part| part.ttl).max())?;
    let all = values.clone();
    let (id, in_force, description) = (String::new(), InForce::Yes, None);
    Some(Found { id, values, ttl, in_force, description, parts: found }.judged_by(&all))
}

/// What is served of the sets at a time.
fn served_at(parts: &[HeldPart], then: i64) -> Vec<ServedSet> {
    let served = parts.iter().filter_map(|part| {
        let values = part.may_serve(then).into_iter().next().filter(|values| !values.is_empty())?;
        let weight = u64::from(part.weight.unwrap_or(1));
        Some(ServedSet { values, ttl_s: part.ttl.as_seconds(), weight })
    });
    served.collect()
}

impl Cloud {
    /// Splits what is held into sets of a name whose sets are served by weight.
    pub(crate) fn split(&mut self, sets: impl IntoIterator<Item = (BTreeSet<IpAddr>, Option<u16>)>) {
        let parts = sets.into_iter().filter(|(values, _)| !values.is_empty());
        self.parts =
            Some(parts.zip(1..).map(|((values, weight), id)| HeldPart::new(id, values, weight)).collect());
        self.part_ids = 100;
        self.held = self.in_parts(0);
        self.parts_served(0);
    }

    /// All sets together, as one.
    fn in_parts(&self, now: i64) -> Option<Held> {
        let parts = self.parts.as_ref()?;
        let found = found_in(parts, now)?;
        Some(Held {
            id: 0,
            values: found.values,
            ttl: found.ttl,
            description: String::new(),
            pending_until: parts.iter().map(|part| part.pending_until).max().unwrap_or(0),
            failed: parts.iter().any(|part| part.failed),
            withheld: parts.iter().any(|part| part.frozen),
        })
    }

    /// Does to the sets what somebody did to all of them together, as if they were one.
    pub(crate) fn carry_over(&mut self, now: i64, before: Option<&Held>) {
        let after = self.held.clone();
        let Some(mut parts) = self.parts.take() else { return };
        match (before, &after) {
            (_, None) => parts.clear(),
            (None, Some(after)) => {
                self.part_ids += 1;
                parts.push(HeldPart::new(self.part_ids, after.values.clone(), Some(1)));
            }
            (Some(before), Some(after)) if before.id != after.id => {
                for part in &mut parts {
                    self.part_ids += 1;
                    part.id = self.part_ids;
                }
            }
            (Some(before), Some(after)) => {
                for part in &mut parts {
                    let stays: BTreeSet<IpAddr> = part
                        .values
                        .iter()
                        .filter(|it| after.values.contains(*it) || !before.values.contains(*it))
                        .copied()
                        .collect();
                    match stays.is_empty() {
                        // No set is left without a value: it is switched off.
                        true if part.is_on => part.changes(now, 0, |part| part.is_on = false),
                        false if stays != part.values => part.changes(now, 0, |part| part.values = stays),
                        true | false => {}
                    }
                    if before.ttl != after.ttl {
                        part.ttl = after.ttl;
                    }
                    if before.withheld != after.withheld {
                        part.frozen = after.withheld;
                    }
                    if after.pending_until < before.pending_until {
                        part.pending_until = part.pending_until.min(after.pending_until);
                    }
                }
                if before.description != after.description
                    && let Some(part) = parts.first_mut()
                {
                    part.description = Some(after.description.clone());
                }
                let new: BTreeSet<IpAddr> = after.values.difference(&before.values).copied().collect();
                match parts.iter_mut().find(|part| part.is_on && !part.frozen) {
                    _ if new.is_empty() => {}
                    Some(part) => part.changes(now, 0, |part| part.values.extend(&new)),
                    None => {
                        self.part_ids += 1;
                        parts.push(HeldPart::new(self.part_ids, new, Some(1)));
                    }
                }
            }
        }
        self.parts = Some(parts);
    }

    /// What the sets that serve any of these hold.
    pub(crate) fn split_of(&self, ours: &BTreeSet<IpAddr>) -> Vec<BTreeSet<IpAddr>> {
        let parts = self.parts.iter().flatten().filter(|part| part.is_on && !part.values.is_disjoint(ours));
        parts.map(|part| part.values.clone()).collect()
    }

    /// Notes what has become of the sets: what they are as one, and what is served of them until when.
    pub(crate) fn parts_changed(&mut self, now: i64) {
        self.held = self.in_parts(now);
        self.parts_served(now);
    }

    fn parts_served(&mut self, now: i64) {
        let Some(parts) = &self.parts else { return };
        let ends = parts.iter().map(|part| part.pending_until).filter(|end| *end > now);
        let times: BTreeSet<i64> = ends.chain([now]).collect();
        let snapshots: Vec<_> = times.into_iter().map(|at| (at, served_at(parts, at))).collect();
        self.served.will_serve(now, snapshots);
    }

    /// Somebody does something to one of the sets.
    pub(crate) fn edit_part(&mut self, now: i64, which: usize, edit: PartEdit) {
        let before = self.parts.clone();
        if let Some(parts) = self.parts.as_mut().filter(|parts| !parts.is_empty()) {
            let count = parts.len();
            let place = which % count;
            match edit {
                PartEdit::Weight(weight) => parts[place].weight = Some(weight),
                PartEdit::Switch => parts[place].changes(now, 0, |part| part.is_on = !part.is_on),
                PartEdit::Freeze => parts[place].frozen = true,
                PartEdit::Merge => {
                    let values = parts[place].values.clone();
                    parts[(place + 1) % count].changes(now, 0, |part| part.values.extend(values));
                }
                PartEdit::Delete => drop(parts.remove(place)),
            }
        }
        if self.parts != before {
            self.note_past(now, self.held.clone(), before);
            self.parts_changed(now);
        }
    }

    /// The API carries one call of a write out. None when it does; else why it does not.
    fn carry_out(
        &mut self,
        now: i64,
        call: &PartCall,
        takes_ms: i64,
        fails: bool,
    ) -> Option<ProviderErrorKind> {
        let before = self.parts.clone();
        let next_id = self.part_ids + 1;
        let parts = self.parts.as_mut()?;
        let id = match call {
            PartCall::Put { set, .. } => set.id.clone(),
            PartCall::Enable { id } | PartCall::Disable { id } => id.clone(),
            PartCall::Post { values, weight, ttl } => {
                // Beside one without a weight none may be made.
                if parts.iter().any(|part| part.weight.is_none()) {
                    return Some(ProviderErrorKind::Conflict);
                }
                let mut new = HeldPart::new(next_id, BTreeSet::new(), Some(weight.as_number()));
                new.is_on = false;
                new.changes(now, takes_ms, |part| {
                    (part.values, part.ttl, part.is_on, part.description) =
                        (values.clone(), *ttl, true, None);
                });
                new.failed = fails;
                parts.push(new);
                self.part_ids = next_id;
                self.note_past(now, self.held.clone(), before);
                self.parts_changed(now);
                return None;
            }
        };
        let part = parts.iter_mut().find(|part| part.id.to_string() == id);
        // Gone, or being changed.
        let Some(part) = part.filter(|part| part.pending_until <= now) else {
            return Some(ProviderErrorKind::Conflict);
        };
        part.changes(now, takes_ms, |part| match call {
            PartCall::Put { set, values, weight, ttl } => {
                part.values.clone_from(values);
                part.ttl = *ttl;
                part.description.clone_from(&set.description);
                part.weight = weight.map(Weight::as_number).or(part.weight);
            }
            PartCall::Enable { .. } => part.is_on = true,
            PartCall::Disable { .. } => part.is_on = false,
            PartCall::Post { .. } => {}
        });
        part.failed = fails;
        self.note_past(now, self.held.clone(), before);
        self.parts_changed(now);
        None
    }
}

/// What a person does to one of several sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PartEdit {
    Weight(u16),
    Switch,
    /// The provider takes it out of service.
    Freeze,
    /// Its values are put into the next one as well.
    Merge,
    Delete,
}

/// A write on its way, of several calls.
#[derive(Clone, Debug)]
pub(crate) struct PartsWrite {
    calls: PartCalls,
    is_over: bool,
    deadline: i64,
    /// The call that a fault of the API hits.
    hit: usize,
    /// Of the latest call.
    answer: Result<(), ProviderErrorKind>,
    pub(crate) set: RecordSet,
}

impl PartsWrite {
    /// When its first call was sent.
    pub(crate) fn sent_at(&self) -> i64 {
        self.deadline - WRITE_DEADLINE_MS
    }
}

impl Simulation<'_> {
    /// A write of a service whose sets are served by weight begins.
    pub(crate) fn write_parts(&mut self, id: u64, service: usize, call: &Call) -> Option<PartsWrite> {
        let (found, set) = match call {
            Call::Replace { found, set } => (Some(found.clone()), set),
            Call::Create { set } => (None, set),
            Call::Read => return None,
        };
        self.services[service].cloud.parts.as_ref()?;
        let nothing = Found {
            id: String::new(),
            values: BTreeSet::new(),
            ttl: set.ttl(),
            in_force: InForce::Yes,
            description: None,
            parts: Vec::new(),
        };
        let stage = parts::stage(found.as_ref().unwrap_or(&nothing), set);
        let count = stage.adds.len() + stage.takes.len();
        let hit = if count == 0 { 0 } else { usize::try_from(self.drawn(30) % count as u64).unwrap_or(0) };
        self.coverage.count(match count {
            0 => "a weighted write that has to wait",
            1 => "a weighted write of one call",
            _ => "a weighted write of several calls",
        });
        if !stage.takes.is_empty() && !stage.adds.is_empty() {
            self.coverage.count("a weighted write that adds and takes away");
        }
        let OneService { cloud, judge, .. } = &mut self.services[service];
        judge.parts_written(self.now, found.as_ref(), set, cloud.parts.as_deref().unwrap_or_default());
        self.push(self.now, Step::PartSent { call: id });
        Some(PartsWrite {
            calls: PartCalls::new(stage),
            is_over: false,
            deadline: self.now + WRITE_DEADLINE_MS,
            hit,
            answer: Ok(()),
            set: set.clone(),
        })
    }

    /// Whether who made the call is still there.
    fn has_caller(&self, id: u64) -> bool {
        let flight = self.calls.get(&id);
        flight.is_some_and(|flight| self.awaits_answer(flight))
    }

    /// The next call of a write is sent, or there is none.
    pub(crate) fn part_sent(&mut self, id: u64) {
        if !self.has_caller(id) {
            return;
        }
        let now = self.now;
        let quick_ms = 4 + i64::try_from(self.drawn(31) % 60).unwrap_or(0);
        let hits_again = self.drawn(32).is_multiple_of(2);
        let Some(flight) = self.calls.get_mut(&id) else { return };
        let Some(write) = &mut flight.parts else { return };
        let nth = write.calls.sent();
        let left = Duration::from_millis(u64::try_from(write.deadline - now).unwrap_or(0));
        let Some((_, within)) = write.calls.next(left) else { return self.part_write_over(id) };
        let ends = now + i64::try_from(within.as_millis()).unwrap_or(i64::MAX / 2);
        // The API fails one call of them, or several.
        let is_hit = nth == write.hit || (nth > write.hit && hits_again);
        let course = self.account.course_of_one(now, quick_ms, is_hit);
        if is_hit || course.fault.is_some() {
            self.coverage.write_fault(course.fault);
            if course.fault.is_some() && nth > 0 {
                self.coverage.count("a later call of a weighted write goes wrong");
            }
        }
        let answers_at = (now + course.answers_after_ms).min(ends);
        let is_late = now + course.answers_after_ms > ends;
        write.answer = if is_late { Err(ProviderErrorKind::Lost) } else { course.answer };
        let fault = course.fault;
        let fails = fault == Some(WriteFault::Fails);
        let takes_ms = match fault {
            Some(WriteFault::Pending(ms)) => i64::try_from(ms).unwrap_or(0),
            _ => 3 * quick_ms,
        };
        flight.set_fault(fault);
        if let Some(ms) = course.lands_after_ms {
            self.push(now + ms, Step::PartLands { call: id, nth, takes_ms, fails });
        }
        self.push(answers_at, Step::PartAnswered { call: id });
        if nth == 0 {
            self.reached(Stage::Called);
        }
    }

    /// The API gets to one call of a write.
    pub(crate) fn part_lands(&mut self, id: u64, nth: usize, takes_ms: i64, fails: bool) -> Judged {
        let now = self.now;
        let Some(flight) = self.calls.get(&id) else { return Ok(()) };
        let (service, Some(write)) = (flight.service(), flight.parts.clone()) else { return Ok(()) };
        let Some(call) = write.calls.calls().get(nth) else { return Ok(()) };
        let is_late = write.is_over || write.calls.sent() != nth + 1 || !self.has_caller(id);
        let OneService { cloud, judge, .. } = &mut self.services[service];
        let before = cloud.parts.clone().unwrap_or_default();
        let refused = cloud.carry_out(now, call, takes_ms, fails);
        let after = cloud.parts.clone().unwrap_or_default();
        let judged = judge.part_landed(now, (&before, &after), &write, is_late);
        let told = format!("  the cloud carries out {call:?}: {}", refused.map_or("taken", |_| "refused"));
        self.tell_of(service, |_| told);
        judged?;
        if let Some(kind) = refused.filter(|_| !is_late)
            && let Some(write) = self.calls.get_mut(&id).and_then(|flight| flight.parts.as_mut())
            && write.answer.is_ok()
        {
            write.answer = Err(kind);
            self.coverage.count("a conflict of its own");
        }
        if is_late {
            self.coverage.count("a call of a weighted write lands late");
        }
        self.reached(Stage::Landed);
        Ok(())
    }

    /// One call of a write is answered.
    pub(crate) fn part_answered(&mut self, id: u64) {
        if !self.has_caller(id) {
            return;
        }
        let Some(write) = self.calls.get_mut(&id).and_then(|flight| flight.parts.as_mut()) else { return };
        let error = |kind| ProviderError { kind, message: format!("{kind:?}") };
        write.calls.answered(write.answer.map_err(error));
        self.part_sent(id);
    }

    /// The driver hears what became of the write.
    fn part_write_over(&mut self, id: u64) {
        let Some(flight) = self.calls.get_mut(&id) else { return };
        let (service, Some(write)) = (flight.service(), &mut flight.parts) else { return };
        write.is_over = true;
        let result = write.calls.clone().result();
        self.driver_written(service, id, result);
    }
}

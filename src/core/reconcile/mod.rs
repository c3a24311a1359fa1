//! Brings one record set to what the newest plan wants. A machine without I/O: it is told what was read or
//! answered, and says what to call next; `dns::driver` makes the calls, a simulation can as well.
//!
//! ```text
//! due ──> reading ──differs──> ready ──> writing ──taken──> settling ──in force──> (compare)
//!  ^         │ the same                     │ lost, refused     │ polls until in force
//!  └─────────┴──────────────────────────────┴───────────────────┘
//! ```
//! What a read found is judged in `compare`, whether to write in `write`. Carries NEWEST-PLAN-WINS, and by those two
//! NEVER-EMPTY, ONLY-OURS, ONLY-WHEN-DIFFERENT and BOUNDED-WRITES. A lost answer is settled by reading, never by guessing.
//! After each `handle_*` call, drain [`Reconciler::poll_report`], then ask [`Reconciler::poll_call`]; start there.

mod compare;
mod sent;
mod write;

use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use sent::{Pauses, Write};

use super::authorship::LANDS_WITHIN;
use super::backoff::{Backoff, FIRST, pause_after_lost, weigh};
use super::history::History;
use super::memory::WritesMemory;
use super::plan::{Generation, Plan, WriteRules};
use super::report::{Report, WriteResult};
use crate::model::{
    Alarm, Answer, Found, Moment, ProviderError, ProviderErrorKind, Record, RecordSet, Weighed,
};

/// The first read that waits for a write to be in force; each further one waits twice as long, up to [`POLL_MOST`].
const POLL_FIRST: Duration = Duration::from_millis(100);
const POLL_MOST: Duration = Duration::from_secs(1);
/// The same of somebody else's change, up to [`POLL_MOST`].
const POLL_PENDING_FIRST: Duration = Duration::from_millis(500);
/// A read shortly after a write may still be answered from before it; so long that is not held against it, and the set is
/// read every [`WARY_EVERY`].
const READ_LAG: Duration = Duration::from_secs(5);
/// A set that is missing is looked for once more after this before that is believed (BLIND-IS-NOT-DOWN).
const CONFIRM_AFTER: Duration = Duration::from_secs(1);
/// A set that is not in force after this is alarmed, and its values are taken as they are.
const SETTLE_DEADLINE: Duration = Duration::from_secs(60);
/// A write without an answer may still land; so long the set is read every [`WARY_EVERY`].
const WARY_FOR: Duration = LANDS_WITHIN;
const WARY_EVERY: Duration = Duration::from_secs(2);
/// Deadlines of a read, see [`Reconciler::read_deadline`]; both end before the next try is due.
const READ_DEADLINE_FIRST: Duration = Duration::from_secs(4);
const READ_DEADLINE: Duration = Duration::from_secs(8);
/// So many refusals in a row as a conflict, with a set that no read shows changed, are the server's fault.
const CONFLICTS_MOST: u32 = 3;
/// While a change waits, calls to a provider in trouble begin no further apart than this.
const TRY_EVERY: Duration = Duration::from_secs(10);
/// A throttle that asks for longer is obeyed, save that a region that is to leave has one try this often.
const THROTTLED_TRY_EVERY: Duration = Duration::from_secs(15);
/// The next call to make. Its answer goes to `handle_read` or `handle_written`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// Read the record set.
    Read,
    /// Replace it, as it was found, as a whole.
    Replace {
        /// What a read answered.
        found: Found,
        /// What it is to be.
        set: RecordSet,
    },
    /// Make it.
    Create {
        /// What it is to be.
        set: RecordSet,
    },
}

/// How often a record set is read although nothing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timing {
    /// Default 60 s.
    pub resync: Duration,
}

/// One record set's way to its plan.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reconciler {
    record: Record,
    rules: WriteRules,
    timing: Timing,
    dry_run: bool,
    once: bool,
    plan: Option<Arc<Plan>>,
    phase: Phase,
    history: History,
    /// As last reported.
    remembered: History,
    /// Failed reads in a row, and failed writes: a read that goes well says nothing about the next write.
    reading: Backoff,
    writing: Backoff,
    /// After a failed write the same is not sent again before this.
    write_again_at: Moment,
    /// A throttle of reads is obeyed until then, and one of writes; see [`THROTTLED_TRY_EVERY`].
    reads_throttled_until: Moment,
    writes_throttled_until: Moment,
    /// When the latest call began, and the latest write.
    called_at: Moment,
    written_at: Option<Moment>,
    /// The latest write, while no read has shown yet what became of it.
    lost: Option<Write>,
    /// Why the latest read told nothing, and for which plan it was told that it waits for that.
    trouble: Option<String>,
    told_delay: Option<Generation>,
    /// How many writes in a row were lost that a read then showed not to have landed, or refused as a conflict with a
    /// set that a read then showed unchanged.
    lost_in_a_row: u32,
    conflicts_in_a_row: u32,
    /// How many were taken in a row that no read then showed.
    undone_in_a_row: u32,
    /// Repairs of a set whose last change failed, since it was last in force; no further one before then.
    repairs: Backoff,
    repair_again_at: Moment,
    /// A write whose answer was lost may still land until then.
    wary_until: Moment,
    /// Since when every read that went well found no such set.
    missing_since: Option<Moment>,
    /// Since when somebody's change has been pending.
    pending_since: Option<Moment>,
    /// What a dry run has already told.
    told: Option<(Generation, BTreeSet<IpAddr>)>,
    reports: VecDeque<Report>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Phase {
    Due {
        at: Moment,
    },
    Reading,
    /// Differs from what the plan of this generation wants.
    Ready {
        found: Option<Found>,
        compared: Generation,
    },
    Writing {
        write: Write,
    },
    Settling {
        write: Write,
        polls: u32,
        at: Moment,
    },
    SettleReading {
        write: Write,
        polls: u32,
    },
}

impl Reconciler {
    /// One that reads at once and then waits for a plan.
    #[must_use]
    pub fn new(record: Record, rules: WriteRules, timing: Timing, dry_run: bool, now: Moment) -> Self {
        Self {
            reading: Backoff::new(&record.key),
            writing: Backoff::new(&record.key),
            repairs: Backoff::new(&record.key),
            write_again_at: Moment::START,
            repair_again_at: Moment::START,
            called_at: Moment::START,
            written_at: None,
            lost: None,
            trouble: None,
            told_delay: None,
            lost_in_a_row: 0,
            conflicts_in_a_row: 0,
            undone_in_a_row: 0,
            record,
            rules,
            timing,
            dry_run,
            once: false,
            plan: None,
            phase: Phase::Due { at: now },
            history: History::new(rules.budget),
            remembered: History::new(rules.budget),
            reads_throttled_until: Moment::START,
            writes_throttled_until: Moment::START,
            wary_until: Moment::START,
            missing_since: None,
            pending_since: None,
            told: None,
            reports: VecDeque::new(),
        }
    }

    /// The same, that sends one write at most, whatever becomes of it.
    #[must_use]
    pub fn writing_once(self) -> Self {
        Self { once: true, ..self }
    }

    /// Goes on from what was remembered `gap` ago by the wall clock; to be called before anything else. A write that was on
    /// its way then may have landed or still land, so the set is read warily.
    pub fn restore(&mut self, now: Moment, gap: Duration, memory: &WritesMemory) {
        self.history = History::recall(self.rules.budget, memory, now - gap);
        self.remembered = self.history.clone();
        // A read may still be answered from before the last write of the process that was.
        let wary_for = if self.history.authorship.is_landing() { WARY_FOR } else { READ_LAG };
        self.wary_until = now + wary_for;
    }

    /// Other settings for the same record set; one of another name, type or provider is another reconciler's. All that
    /// was counted goes on, so a smaller budget holds at once. What they may let through is looked for at once too.
    pub fn reconfigure(
        &mut self,
        now: Moment,
        record: Record,
        rules: WriteRules,
        timing: Timing,
        dry_run: bool,
    ) {
        if (&self.record, self.rules, self.timing, self.dry_run) == (&record, rules, timing, dry_run) {
            return;
        }
        (self.record, self.rules, self.timing, self.dry_run) = (record, rules, timing, dry_run);
        self.history.writes.reconfigure(rules.budget);
        self.told = None;
        match &mut self.phase {
            // What was found has been judged by the old settings.
            Phase::Ready { .. } => self.phase = Phase::Due { at: now },
            Phase::Writing { write } => write.outdated = true,
            Phase::Due { .. } | Phase::Reading | Phase::Settling { .. } | Phase::SettleReading { .. } => {}
        }
        self.hasten(now);
    }

    /// When to ask for the next call; none while one is being made.
    #[must_use]
    pub fn next_wake(&self) -> Option<Moment> {
        match self.phase {
            Phase::Due { at } | Phase::Settling { at, .. } => Some(at),
            Phase::Ready { .. } => Some(Moment::START),
            Phase::Reading | Phase::Writing { .. } | Phase::SettleReading { .. } => None,
        }
    }

    /// The next thing to tell the core; each in turn until there is none.
    pub fn poll_report(&mut self) -> Option<Report> {
        self.reports.pop_front()
    }

    /// A new plan. One that is not newer than the newest known is ignored (NEWEST-PLAN-WINS).
    pub fn handle_plan(&mut self, now: Moment, plan: Arc<Plan>) {
        if self.plan.as_ref().is_some_and(|known| known.generation >= plan.generation) {
            return;
        }
        self.plan = Some(plan);
        self.write_again_at = self.writes_pause_ends();
        self.hasten(now);
        if let (Some(trouble), Some(at)) = (self.trouble.clone(), self.next_wake()) {
            self.delayed(trouble, at.since(now));
        }
    }

    /// A change waits for that; told once a plan.
    fn delayed(&mut self, message: String, retry_in: Duration) {
        let generation = self.plan.as_ref().map(|plan| plan.generation);
        if self.change_waits() && self.told_delay != generation {
            self.told_delay = generation;
            self.reports.push_back(Report::Delayed { message, retry_in });
        }
    }

    /// Somebody has reloaded the configuration: whatever backs off is tried at once.
    pub fn handle_reload(&mut self, now: Moment) {
        (self.reads_throttled_until, self.writes_throttled_until) = (Moment::START, Moment::START);
        (self.write_again_at, self.repair_again_at) = (Moment::START, Moment::START);
        if self.reading.has_failed() || self.writing.has_failed() || self.repairs.has_failed() {
            self.hasten(now);
        }
    }

    /// Reads as soon as that may be, also while a write is waited for: a read of that may have been throttled.
    fn hasten(&mut self, now: Moment) {
        let earliest = now.max(self.reads_pause_ends());
        match &mut self.phase {
            Phase::Due { at } | Phase::Settling { at, .. } => *at = (*at).min(earliest),
            Phase::Ready { .. } | Phase::Reading | Phase::Writing { .. } | Phase::SettleReading { .. } => {}
        }
    }

    /// Until when nothing is read because of a throttle.
    fn reads_pause_ends(&self) -> Moment {
        if self.removal_waits() {
            return self.reads_throttled_until.min(self.called_at + THROTTLED_TRY_EVERY);
        }
        self.reads_throttled_until
    }

    /// The same of writes.
    fn writes_pause_ends(&self) -> Moment {
        if self.removal_waits() {
            let try_at = self.written_at.map_or(Moment::START, |at| at + THROTTLED_TRY_EVERY);
            return self.writes_throttled_until.min(try_at);
        }
        self.writes_throttled_until
    }

    /// Whether the set, as last known, is not what the plan wants and may be written.
    fn change_waits(&self) -> bool {
        let differs = |plan: &Arc<Plan>| {
            let is_met = |known: &BTreeSet<Weighed>| plan.ours_of(known) == plan.weighed();
            plan.may_write && !self.history.authorship.known().is_some_and(is_met)
        };
        !self.dry_run && self.plan.as_ref().is_some_and(differs)
    }

    /// Whether an address of ours is in the set that must leave, or one that serves is to come to the rescue.
    fn removal_waits(&self) -> bool {
        let leaves = |plan: &Arc<Plan>, known: &BTreeSet<Weighed>| {
            known.iter().any(|it| plan.owned.contains(&it.address) && !plan.wanted.contains(&it.address))
        };
        self.change_waits()
            && self.plan.as_ref().is_some_and(|plan| {
                plan.is_rescue || self.history.authorship.known().is_none_or(|known| leaves(plan, known))
            })
    }

    /// How long the next read may take: a provider that needs longer is as good as away. Shorter for the first one that a
    /// change waits for, so that one lost answer costs little and is soon told; a slow provider has the whole time after that.
    #[must_use]
    pub fn read_deadline(&self) -> Duration {
        if self.change_waits() && !self.reading.has_failed() { READ_DEADLINE_FIRST } else { READ_DEADLINE }
    }

    /// The next call to make now, if any. The plan is compared right before it (NEWEST-PLAN-WINS).
    pub fn poll_call(&mut self, now: Moment) -> Option<Call> {
        let paused_until = self.reads_pause_ends();
        match std::mem::replace(&mut self.phase, Phase::Reading) {
            // What hastened it may be no longer wanted.
            Phase::Due { at } if at <= now && paused_until > now => {
                self.phase = Phase::Due { at: paused_until };
                None
            }
            Phase::Settling { write, polls, at } if at <= now && paused_until > now => {
                self.phase = Phase::Settling { write, polls, at: paused_until };
                None
            }
            Phase::Due { at } if at <= now => {
                self.called_at = now;
                Some(Call::Read)
            }
            Phase::Settling { write, polls, at } if at <= now => {
                self.called_at = now;
                self.phase = Phase::SettleReading { write, polls };
                Some(Call::Read)
            }
            Phase::Ready { found, compared } => self.write(now, found, compared),
            phase @ (Phase::Due { .. }
            | Phase::Settling { .. }
            | Phase::Reading
            | Phase::Writing { .. }
            | Phase::SettleReading { .. }) => {
                self.phase = phase;
                None
            }
        }
    }

    /// Takes the write that was just called for back, if a newer plan (NEWEST-PLAN-WINS) or other settings have come before it
    /// was sent. Says whether it did; the call must not be made then.
    pub fn withdraw_superseded(&mut self, now: Moment) -> bool {
        let Phase::Writing { write } = &self.phase else { return false };
        let (generation, words_before, pauses) =
            (write.generation, write.words_before, write.pauses_before.clone());
        let message = if self.plan.as_ref().is_some_and(|plan| plan.generation > generation) {
            "a newer plan came before it was sent".to_owned()
        } else if write.outdated {
            "other settings came before it was sent".to_owned()
        } else {
            return false;
        };
        let result = WriteResult::Superseded;
        self.reports.push_back(Report::Written { generation, result, message, retry_in: None });
        self.history.writes.undo();
        self.history.words = words_before;
        self.history.authorship.refused();
        (self.called_at, self.written_at) = (pauses.called_at, pauses.written_at);
        (self.repairs, self.repair_again_at) = (pauses.repairs, pauses.repair_again_at);
        self.write_again_at = self.writes_pause_ends();
        self.remember(now);
        self.phase = Phase::Due { at: now };
        true
    }

    /// What a read answered.
    pub fn handle_read(&mut self, now: Moment, answer: Answer) {
        let phase = std::mem::replace(&mut self.phase, Phase::Reading);
        let (written, answer) = match (phase, answer) {
            (Phase::SettleReading { write, polls }, Ok(found)) => (Some((write, polls)), found),
            (Phase::Reading, Ok(found)) => (None, found),
            (Phase::SettleReading { write, polls }, Err(error)) => {
                let at = self.read_failed(now, &error);
                self.phase = Phase::Settling { write, polls, at };
                return;
            }
            (Phase::Reading, Err(error)) => {
                let at = self.read_failed(now, &error);
                self.phase = Phase::Due { at };
                return;
            }
            // An answer to a call that nobody made: nothing can be concluded from it.
            (
                phase @ (Phase::Due { .. }
                | Phase::Ready { .. }
                | Phase::Writing { .. }
                | Phase::Settling { .. }),
                _,
            ) => {
                self.phase = phase;
                return;
            }
        };
        self.reading.succeeded();
        self.trouble = None;
        self.reads_throttled_until = Moment::START;
        // One list that lacks the set may have forgotten it; two that do, apart in time, are believed.
        self.missing_since = if answer.is_none() { self.missing_since.or(Some(now)) } else { None };
        if let Some(since) = self.missing_since.filter(|since| now.since(*since) < CONFIRM_AFTER) {
            let at = since + CONFIRM_AFTER;
            // A write that is waited for is not forgotten over that.
            self.phase = match written {
                Some((write, polls)) => Phase::Settling { write, polls, at },
                None => Phase::Due { at },
            };
            return;
        }
        // Before there is a plan nobody can tell which sets are ours.
        let answer = match &self.plan {
            Some(plan) => answer.map(|found| found.judged_by(&plan.owned)),
            None => answer,
        };
        self.reports.push_back(Report::Seen { found: answer.clone() });
        self.phase = match written {
            Some((write, polls)) => self.settle(now, write, polls, answer),
            None => self.compare(now, answer),
        };
        self.remember(now);
    }

    /// Tells what is to be remembered when it is something else than before.
    fn remember(&mut self, now: Moment) {
        if self.history != self.remembered {
            self.remembered = self.history.clone();
            self.reports.push_back(Report::Remember(self.history.memory(now)));
        }
    }

    /// What became of a write.
    pub fn handle_written(&mut self, now: Moment, result: Result<(), ProviderError>) {
        let phase = std::mem::replace(&mut self.phase, Phase::Reading);
        let Phase::Writing { write } = phase else {
            self.phase = phase;
            return;
        };
        let generation = write.generation;
        let superseded = self.plan.as_ref().is_some_and(|plan| plan.generation > generation);
        let told = |result, message, retry_in| Report::Written { generation, result, message, retry_in };
        let error = match result {
            Ok(()) => {
                self.history.writes.stands();
                (self.lost_in_a_row, self.conflicts_in_a_row) = (0, 0);
                let result = if superseded { WriteResult::Superseded } else { WriteResult::Applied };
                self.reports.push_back(told(result, String::new(), None));
                self.writing.succeeded();
                self.writes_throttled_until = Moment::START;
                self.wary_until = self.wary_until.max(now + READ_LAG);
                // That lists lacked it before says nothing of what was made since.
                self.missing_since = None;
                self.history.authorship.taken();
                let ours = self.plan.as_ref().map(|plan| plan.ours_in(&write.set)).unwrap_or_default();
                self.history.drift.wrote(ours);
                self.remember(now);
                self.phase = Phase::Settling { write, polls: 0, at: now + POLL_FIRST };
                return;
            }
            Err(error) => error,
        };
        match error.kind {
            ProviderErrorKind::Lost | ProviderErrorKind::Unclear => {
                let pause = pause_after_lost(self.lost_in_a_row);
                self.reports.push_back(told(WriteResult::Lost, error.message, Some(pause)));
                self.wary_until = now + WARY_FOR;
                self.writing.failed();
                self.write_again_at = now + pause;
                self.lost = Some(write);
                self.phase = Phase::Due { at: now + FIRST };
            }
            ProviderErrorKind::Refused
            | ProviderErrorKind::Conflict
            | ProviderErrorKind::Away
            | ProviderErrorKind::Throttled(_) => {
                self.history.writes.undo();
                self.history.words = write.words_before;
                self.history.authorship.refused();
                self.remember(now);
                self.writing.failed();
                let (wait, alarm) = weigh(&error, &self.writing, Alarm::WriteRefused);
                let again_at = match error.kind {
                    ProviderErrorKind::Throttled(_) => {
                        self.writes_throttled_until = now + wait;
                        now.max(self.writes_pause_ends())
                    }
                    ProviderErrorKind::Away
                    | ProviderErrorKind::Refused
                    | ProviderErrorKind::Conflict
                    | ProviderErrorKind::Lost
                    | ProviderErrorKind::Unclear => self.again_at(now, wait, self.removal_waits()),
                };
                self.write_again_at = again_at;
                self.phase = Phase::Due { at: again_at.min(now + self.idle_for(now)) };
                let retry_in = Some(again_at.since(now));
                self.reports.push_back(told(WriteResult::Refused, error.message.clone(), retry_in));
                // A conflict is alarmed once a read has shown whose fault it is.
                if error.kind == ProviderErrorKind::Conflict {
                    self.conflicts_in_a_row = self.conflicts_in_a_row.saturating_add(1);
                    self.lost = Some(Write { refused_with: Some(error.message), ..write });
                } else {
                    self.conflicts_in_a_row = 0;
                    // A set that is not steady refuses writes, and is alarmed for that.
                    self.reports.extend(alarm.filter(|_| self.pending_since.is_none()));
                }
            }
        }
    }

    fn read_failed(&mut self, now: Moment, error: &ProviderError) -> Moment {
        self.reading.failed();
        let (wait, alarm) = weigh(error, &self.reading, Alarm::ProviderAway);
        let change_waits = self.change_waits();
        let again_at = match error.kind {
            ProviderErrorKind::Throttled(_) => {
                self.reads_throttled_until = now + wait;
                now.max(self.reads_pause_ends())
            }
            ProviderErrorKind::Away
            | ProviderErrorKind::Refused
            | ProviderErrorKind::Conflict
            | ProviderErrorKind::Lost
            | ProviderErrorKind::Unclear => self.again_at(now, wait, change_waits),
        };
        self.trouble = Some(error.message.clone());
        self.delayed(error.message.clone(), again_at.since(now));
        self.reports.extend(alarm);
        again_at
    }

    /// When to try again what failed: after `wait`, or soon enough where that `hastens`.
    fn again_at(&self, now: Moment, wait: Duration, hastens: bool) -> Moment {
        let soon = now.max(self.called_at + TRY_EVERY);
        if hastens { soon.min(now + wait) } else { now + wait }
    }

    fn idle_for(&self, now: Moment) -> Duration {
        if now < self.wary_until { self.timing.resync.min(WARY_EVERY) } else { self.timing.resync }
    }

    /// The same of a set that is missing: a list that forgot it keeps no change waiting for long.
    fn idle_without_a_set(&self, now: Moment) -> Duration {
        let idle = self.idle_for(now);
        if self.change_waits() { idle.min(TRY_EVERY) } else { idle }
    }

    fn alarm(&mut self, alarm: Alarm, message: String) {
        self.reports.push_back(Report::Alarmed { alarm, message });
    }
}

//! The real reconciler, driven as `dns::driver` and the daemon drive it, up to the next thing that the world decides.

use std::sync::Arc;
use std::time::Duration;

use pointsman::core::{Call, Generation, Plan, Reconciler, Report, Timing, WriteRules, WritesMemory};
use pointsman::model::{
    Answer, Fqdn, Moment, OnDrift, ProviderError, ProviderErrorKind, ProviderName, Record, RecordKey,
    RecordType, ServiceName, WriteBudget,
};

use crate::values::Values;

pub(crate) const BUDGET: WriteBudget = WriteBudget { writes: 3, window: Duration::from_secs(60) };
/// A process that was killed is there again after this.
const DOWN_FOR: Duration = Duration::from_secs(1);
/// Longer than between reads that are made for a reason.
const A_WHILE: Duration = Duration::from_secs(20);
/// More calls than any are made without time passing.
const CALLS_AT_ONCE: usize = 10;

/// What driver and daemon do around the reconciler, each on its own so that a model can do without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Habits {
    /// A write that a newer plan has come for is taken back before it is sent.
    pub(crate) withdraws: bool,
    /// What is remembered of writes is given to the next process.
    pub(crate) restores: bool,
    /// What is to be remembered of a write is on disk before it is sent.
    pub(crate) keeps_before: bool,
    /// A write without a clear answer is told as lost, not as refused.
    pub(crate) tells_of_losses: bool,
}

impl Habits {
    pub(crate) const ALL: Self =
        Self { withdraws: true, restores: true, keeps_before: true, tells_of_losses: true };
}

/// The generation of a plan and what it wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Wanted {
    pub(crate) generation: u64,
    pub(crate) values: Values,
}

/// The reconciler, what its driver is at, and what the disk keeps.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Driven {
    pub(crate) now: Moment,
    reconciler: Reconciler,
    /// What is asked for and not yet made.
    pub(crate) call: Option<Call>,
    /// Of which plan the latest write is.
    pub(crate) intent: Option<Generation>,
    /// The newest plan that there is.
    pub(crate) newest: Option<Wanted>,
    /// What this process has heard that the set holds, nothing when there is none; it plans nothing before.
    pub(crate) seen: Option<Values>,
    /// What was told last of how the set stands to the plan.
    pub(crate) is_at_rest: bool,
    kept: (WritesMemory, Moment),
    told: Option<(WritesMemory, Moment)>,
}

impl Driven {
    pub(crate) fn new(habits: Habits, resync: Duration) -> Self {
        let mut driven = Self {
            now: Moment::START,
            reconciler: reconciler(resync, Moment::START),
            call: None,
            intent: None,
            newest: None,
            seen: None,
            is_at_rest: false,
            kept: (WritesMemory::default(), Moment::START),
            told: None,
        };
        driven.turn(habits);
        driven
    }

    /// A newer plan; the driver takes it when it looks for one.
    pub(crate) fn plan(&mut self, habits: Habits, values: Values) {
        let generation = self.newest.map_or(0, |newest| newest.generation) + 1;
        self.newest = Some(Wanted { generation, values });
        // While a call is asked for or under way, the driver looks for a plan only once it has been made.
        if self.reconciler.next_wake().is_some() {
            self.turn(habits);
        }
    }

    /// Killed and started again with what the disk kept; it plans the same anew.
    pub(crate) fn restart(&mut self, habits: Habits, resync: Duration) {
        self.now = self.now + DOWN_FOR;
        self.reconciler = reconciler(resync, self.now);
        (self.call, self.intent, self.seen, self.told) = (None, None, None, None);
        if let Some(newest) = &mut self.newest {
            newest.generation += 1;
        }
        if habits.restores {
            let (memory, at) = &self.kept;
            self.reconciler.restore(self.now, self.now.since(*at), memory);
        }
        self.turn(habits);
    }

    /// When the driver would wake by itself, while it waits for nothing else.
    pub(crate) fn wakes_at(&self) -> Option<Moment> {
        self.reconciler.next_wake().filter(|_| self.call.is_none())
    }

    /// Whether it does nothing for a while.
    pub(crate) fn rests(&self) -> bool {
        self.wakes_at().is_some_and(|at| at >= self.now + A_WHILE)
    }

    pub(crate) fn wait(&mut self, habits: Habits) {
        if let Some(at) = self.wakes_at() {
            self.now = self.now.max(at);
            self.turn(habits);
        }
    }

    /// The call that is to be made, if it still is: a write that has been superseded is taken back.
    pub(crate) fn make(&mut self, habits: Habits) -> Option<Call> {
        let call = self.call.take();
        if habits.withdraws {
            self.take_plan();
            if self.reconciler.withdraw_superseded(self.now) {
                self.turn(habits);
                return None;
            }
        }
        call
    }

    pub(crate) fn was_read(&mut self, habits: Habits, answer: Answer) {
        self.reconciler.handle_read(self.now, answer);
        self.turn(habits);
    }

    pub(crate) fn was_written(&mut self, habits: Habits, result: Result<(), ProviderErrorKind>) {
        self.take_plan();
        let lost = if habits.tells_of_losses { ProviderErrorKind::Lost } else { ProviderErrorKind::Refused };
        let kind = |kind| if kind == ProviderErrorKind::Lost { lost } else { kind };
        self.reconciler.handle_written(self.now, result.map_err(|error_kind| error(kind(error_kind))));
        self.turn(habits);
    }

    /// Goes on until there is a call to make, or time has to pass.
    fn turn(&mut self, habits: Habits) {
        for _ in 0..CALLS_AT_ONCE {
            self.hear();
            self.take_plan();
            self.call = self.reconciler.poll_call(self.now);
            self.hear();
            let is_write = self.call.as_ref().is_some_and(|call| *call != Call::Read);
            if (habits.keeps_before || !is_write)
                && let Some(told) = self.told.take()
            {
                self.kept = told;
            }
            if self.call.is_some() || self.reconciler.next_wake().is_none_or(|at| at > self.now) {
                return;
            }
        }
        panic!("the reconciler does not come to rest");
    }

    fn take_plan(&mut self) {
        if let Some(plan) = self.newest.filter(|_| self.seen.is_some()) {
            self.reconciler.handle_plan(self.now, Arc::new(plan.in_full()));
        }
    }

    fn hear(&mut self) {
        while let Some(report) = self.reconciler.poll_report() {
            match report {
                Report::Seen { found } => {
                    let values = found.map(|found| Values::of(&found.values));
                    self.seen = Some(values.unwrap_or(Values::NONE));
                    self.is_at_rest = false;
                }
                Report::Sent { generation, .. } => self.intent = Some(generation),
                Report::InSync | Report::Held(_) => self.is_at_rest = true,
                Report::Remember(memory) => self.told = Some((memory, self.now)),
                Report::Written { .. }
                | Report::InForce { .. }
                | Report::DryRun { .. }
                | Report::Drifted { .. }
                | Report::Delayed { .. }
                | Report::Alarmed { .. } => {}
            }
        }
    }
}

impl Wanted {
    fn in_full(self) -> Plan {
        Plan {
            service: ServiceName::parse("demo").unwrap(),
            key: key(),
            generation: Generation(self.generation),
            wanted: self.values.addresses(),
            owned: Values::A.and(Values::B).addresses(),
            parts: Vec::new(),
            ttl: None,
            may_write: true,
            only_from: None,
            is_rescue: false,
            words: 0,
            regions: Vec::new(),
            held: Vec::new(),
        }
    }
}

pub(crate) fn error(kind: ProviderErrorKind) -> ProviderError {
    ProviderError { kind, message: String::new() }
}

fn reconciler(resync: Duration, now: Moment) -> Reconciler {
    let provider = ProviderName::parse("private").unwrap();
    let record = Record { key: key(), provider, ttl: None, create: true, on_drift: OnDrift::Mend };
    let rules = WriteRules { min_published: 1, budget: BUDGET };
    Reconciler::new(record, rules, Timing { resync }, false, now)
}

fn key() -> RecordKey {
    RecordKey::new(Fqdn::parse("demo.localdev.me.").unwrap(), RecordType::A)
}

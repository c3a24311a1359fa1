//! The reconciler with the steps of its driver, up to the next thing that the world decides.

use std::sync::Arc;
use std::time::Duration;

use pointsman::core::{
    Call, DriverSteps, Generation, KnownWrites, News, Orders, Plan, RegionPlan, Report, Rule, Step, Timing,
    WriteRules, WritesMemory,
};
use pointsman::model::{
    Answer, Fqdn, Liveness, Moment, OnDrift, ProviderError, ProviderErrorKind, ProviderName, Record,
    RecordKey, RecordType, RegionName, ServiceName, WriteBudget,
};

use crate::values::Values;

/// A process that was killed is there again after this.
const DOWN_FOR: Duration = Duration::from_secs(1);
/// Longer than between reads that are made for a reason.
const A_WHILE: Duration = Duration::from_secs(20);
/// More steps than any are made without time passing.
const STEPS_AT_ONCE: usize = 100;

/// What driver and daemon do around the reconciler, each on its own so that a model can do without it: the world hides
/// from the driver what it would need for one of them.
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
    /// Whether it brings somebody in who serves while nobody does who is published.
    pub(crate) is_rescue: bool,
}

/// What a reconciler is configured to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Rules {
    pub(crate) resync: Duration,
    pub(crate) budget: WriteBudget,
}

/// What the driver waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Awaits {
    /// Its time.
    Time(Moment),
    /// The answer of a read.
    Read,
    /// The journal to have what it told of a write, before it sends that; or the answer.
    Write,
}

/// The driver with its reconciler, what it waits for, and what the disk keeps.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Driven {
    pub(crate) now: Moment,
    steps: DriverSteps,
    pub(crate) awaits: Awaits,
    /// Of which plan the latest write is.
    pub(crate) intent: Option<Generation>,
    /// The newest plan that there is.
    pub(crate) newest: Option<Wanted>,
    /// What this process has heard that the set holds, nothing when there is none; it plans nothing before.
    pub(crate) seen: Option<Values>,
    /// What was told last of how the set stands to the plan.
    pub(crate) is_at_rest: bool,
    /// Whether the newest plan was told to wait for the write budget.
    pub(crate) is_held: bool,
    kept: (WritesMemory, Moment),
    told: Option<(WritesMemory, Moment)>,
}

/// What the driver finds when it looks for something newer.
struct Newest(Option<Arc<Plan>>);

impl News for Newest {
    fn orders(&mut self) -> Option<Orders> {
        None
    }

    fn plan(&mut self) -> Option<Arc<Plan>> {
        self.0.clone()
    }
}

impl Driven {
    pub(crate) fn new(habits: Habits, rules: Rules) -> Self {
        let now = Moment::START;
        let mut driven = Self {
            now,
            steps: DriverSteps::resume(orders(rules), None, now),
            awaits: Awaits::Time(now),
            intent: None,
            newest: None,
            seen: None,
            is_at_rest: false,
            is_held: false,
            kept: (WritesMemory::default(), now),
            told: None,
        };
        driven.turn(habits);
        driven
    }

    /// A newer plan; the driver takes it when it looks for one.
    pub(crate) fn plan(&mut self, habits: Habits, values: Values) {
        let generation = self.newest.map_or(0, |newest| newest.generation) + 1;
        let seen = self.seen.unwrap_or(Values::NONE).ours();
        let is_rescue = !seen.is_empty() && seen.without(values) == seen && !values.is_empty();
        self.newest = Some(Wanted { generation, values, is_rescue });
        self.is_held = false;
        if let Awaits::Time(_) = self.awaits {
            self.turn(habits);
        }
    }

    /// Killed and started again with what the disk kept; it plans the same anew.
    pub(crate) fn restart(&mut self, habits: Habits, rules: Rules) {
        self.now = self.now + DOWN_FOR;
        (self.intent, self.seen, self.told, self.is_held) = (None, None, None, false);
        if let Some(newest) = &mut self.newest {
            newest.generation += 1;
        }
        let (memory, at) = self.kept.clone();
        let known = habits.restores.then_some(KnownWrites { at, memory });
        self.steps = DriverSteps::resume(orders(rules), known.as_ref(), self.now);
        self.turn(habits);
    }

    /// Whether it does nothing for a while.
    pub(crate) fn rests(&self) -> bool {
        matches!(self.awaits, Awaits::Time(at) if at >= self.now + A_WHILE)
    }

    pub(crate) fn wait(&mut self, habits: Habits) {
        if let Awaits::Time(at) = self.awaits {
            self.now = self.now.max(at);
            self.turn(habits);
        }
    }

    /// The journal has what was told of a write: sends it, unless it is taken back.
    pub(crate) fn send(&mut self, habits: Habits) -> Option<Call> {
        let mut news = if habits.withdraws { self.news() } else { Newest(None) };
        match self.steps.next(self.now, &mut news) {
            Some(Step::Make { call, .. }) => Some(call),
            Some(Step::Withdraw) => {
                self.turn(habits);
                None
            }
            other => panic!("{other:?} instead of the write that was told of"),
        }
    }

    pub(crate) fn was_read(&mut self, habits: Habits, answer: Answer) {
        let mut news = self.news();
        self.steps.read(self.now, answer, &mut news);
        self.turn(habits);
    }

    pub(crate) fn was_written(&mut self, habits: Habits, result: Result<(), ProviderErrorKind>) {
        let lost = if habits.tells_of_losses { ProviderErrorKind::Lost } else { ProviderErrorKind::Refused };
        let kind = |kind| if kind == ProviderErrorKind::Lost { lost } else { kind };
        let mut news = self.news();
        self.steps.written(self.now, result.map_err(|error_kind| error(kind(error_kind))), &mut news);
        self.turn(habits);
    }

    /// Goes on until the world has a say, or time has to pass.
    fn turn(&mut self, habits: Habits) {
        for _ in 0..STEPS_AT_ONCE {
            let mut news = self.news();
            match self.steps.next(self.now, &mut news) {
                Some(Step::Tell(report)) => self.hear(report),
                Some(Step::TellAndKeep(report, _)) => {
                    self.hear(report);
                    if habits.keeps_before {
                        self.keep();
                    }
                    self.awaits = Awaits::Write;
                    return;
                }
                Some(Step::Withdraw) => {}
                Some(Step::Make { call, .. }) => {
                    assert_eq!(call, Call::Read, "a write that nobody was told of");
                    self.keep();
                    self.awaits = Awaits::Read;
                    return;
                }
                Some(Step::Rest(due)) => {
                    self.keep();
                    self.awaits = Awaits::Time(due);
                    if due > self.now {
                        return;
                    }
                }
                None => panic!("it waits for an answer that it has"),
            }
        }
        panic!("the driver does not come to rest");
    }

    fn news(&self) -> Newest {
        let plan = self.newest.filter(|_| self.seen.is_some());
        Newest(plan.map(|plan| Arc::new(plan.in_full())))
    }

    fn keep(&mut self) {
        if let Some(told) = self.told.take() {
            self.kept = told;
        }
    }

    fn hear(&mut self, report: Report) {
        match report {
            Report::Seen { found } => {
                let values = found.map(|found| Values::of(&found.values));
                self.seen = Some(values.unwrap_or(Values::NONE));
                self.is_at_rest = false;
            }
            Report::Sent { generation, .. } => (self.intent, self.is_held) = (Some(generation), false),
            Report::InSync => (self.is_at_rest, self.is_held) = (true, false),
            Report::Held(held) => {
                self.is_at_rest = true;
                self.is_held = held.rule == Rule::BoundedWrites;
            }
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
            is_rescue: self.is_rescue,
            words: 0,
            regions: vec![region("a", Values::A), region("b", Values::B)],
            held: Vec::new(),
        }
    }
}

pub(crate) fn error(kind: ProviderErrorKind) -> ProviderError {
    ProviderError { kind, message: String::new() }
}

fn region(name: &str, values: Values) -> RegionPlan {
    RegionPlan {
        region: RegionName::parse(name).unwrap(),
        liveness: Liveness::Up,
        addresses: values.addresses(),
        owned: values.addresses(),
        published: false,
        wanted: false,
        because: String::new(),
    }
}

fn orders(rules: Rules) -> Orders {
    let Rules { resync, budget } = rules;
    let provider = ProviderName::parse("private").unwrap();
    let record = Record { key: key(), provider, ttl: None, create: true, on_drift: OnDrift::Mend };
    let rules = WriteRules { min_published: 1, budget };
    Orders { record, rules, timing: Timing { resync }, dry_run: false }
}

fn key() -> RecordKey {
    RecordKey::new(Fqdn::parse("demo.localdev.me.").unwrap(), RecordType::A)
}

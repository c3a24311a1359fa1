//! The order of a driver's steps, from one point at which it waits to the next.
//!
//! ```text
//!   ┌─────────────── resting <──no call──┐
//!   v                                    │
//! turn ──orders, plan, call?──> telling ─┴─call──> calling ──answer──> telling ──> turn
//!                                  │ the newest plan forbids the write       ^
//!                                  └──────────────── withdraw ───────────────┘
//! ```
//! All that the reconciler tells is told before its call is made, and the journal is waited for before a write
//! (EXPLAINED). The newest orders and the newest plan are taken at each turn and right before a call, the newest plan also
//! before an answer is judged (NEWEST-PLAN-WINS). Start at [`DriverSteps::next`].

use std::sync::Arc;
use std::time::Duration;

use super::KnownWrites;
use crate::core::{Call, Plan, Reconciler, Report, Timing, WriteRules};
use crate::model::{Answer, Moment, ProviderError, Record};

/// Deadline of a write. Longer than that of a read, since giving up on one leaves its outcome to be found out.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);
/// How long a write waits for the journal to have its intent; a disk that is slower is not waited for (KEEP-WATCHING).
const KEPT_WITHIN: Duration = Duration::from_millis(250);

/// The configuration that a driver works by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Orders {
    /// The record set; its name and type never change.
    pub record: Record,
    /// The least that a write leaves, and how often one may happen.
    pub rules: WriteRules,
    /// How often the set is read.
    pub timing: Timing,
    /// True if nothing is ever written.
    pub dry_run: bool,
}

/// The source of the newest orders and plan of a driver.
pub trait News {
    /// The orders in force, once after each reload; none while there was no further one.
    fn orders(&mut self) -> Option<Orders>;
    /// The newest plan.
    fn plan(&mut self) -> Option<Arc<Plan>>;
}

/// The next thing that a driver does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Tell this to the core, then ask on.
    Tell(Report),
    /// Tell this to the core, and ask on once the journal has it, will not have it, or has taken so long.
    TellAndKeep(Report, Duration),
    /// Nothing: the write that was told of is not sent, since a newer plan or other settings came. Ask on.
    Withdraw,
    /// Make this call and hand its answer over: [`DriverSteps::read`] or [`DriverSteps::written`].
    Make {
        /// What.
        call: Call,
        /// How long it may take.
        deadline: Duration,
    },
    /// Ask again at this moment, or when there is news.
    Rest(Moment),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum At {
    Turn,
    Telling(Then),
    Calling,
}

/// What comes once everything is told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Then {
    Turn,
    Make(Call),
    Rest,
}

/// A reconciler, and what its driver is at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DriverSteps {
    reconciler: Reconciler,
    at: At,
}

impl DriverSteps {
    /// Begins with a turn.
    #[must_use]
    pub fn new(reconciler: Reconciler) -> Self {
        Self { reconciler, at: At::Turn }
    }

    /// Begins with what is known of the writes of the driver before it, in this process or in the one before.
    #[must_use]
    pub fn resume(orders: Orders, writes: Option<&KnownWrites>, now: Moment) -> Self {
        let Orders { record, rules, timing, dry_run } = orders;
        let mut reconciler = Reconciler::new(record, rules, timing, dry_run, now);
        if let Some(KnownWrites { at, memory }) = writes {
            reconciler.restore(now, now.since(*at), memory);
        }
        Self::new(reconciler)
    }

    /// The next step; none while a call is under way.
    pub fn next(&mut self, now: Moment, news: &mut impl News) -> Option<Step> {
        loop {
            match std::mem::replace(&mut self.at, At::Turn) {
                At::Turn => {
                    self.take_news(now, news);
                    let then = self.reconciler.poll_call(now).map_or(Then::Rest, Then::Make);
                    self.at = At::Telling(then);
                }
                At::Telling(then) => match (self.reconciler.poll_report(), then) {
                    (Some(report), then) => {
                        self.at = At::Telling(then);
                        let is_intent = matches!(report, Report::Sent { .. });
                        let step = if is_intent {
                            Step::TellAndKeep(report, KEPT_WITHIN)
                        } else {
                            Step::Tell(report)
                        };
                        return Some(step);
                    }
                    (None, Then::Turn) => {}
                    (None, Then::Rest) => return self.reconciler.next_wake().map(Step::Rest),
                    (None, Then::Make(call)) => return Some(self.make(now, call, news)),
                },
                At::Calling => {
                    self.at = At::Calling;
                    return None;
                }
            }
        }
    }

    /// The journal may have taken its time: what is written must still be the newest plan (NEWEST-PLAN-WINS), and what the
    /// configuration allows.
    fn make(&mut self, now: Moment, call: Call, news: &mut impl News) -> Step {
        self.take_news(now, news);
        if self.reconciler.withdraw_superseded(now) {
            self.at = At::Telling(Then::Turn);
            return Step::Withdraw;
        }
        self.at = At::Calling;
        let deadline = match call {
            Call::Read => self.reconciler.read_deadline(),
            Call::Replace { .. } | Call::Create { .. } => WRITE_DEADLINE,
        };
        Step::Make { call, deadline }
    }

    /// Takes the answer of a read, and holds it against a newer plan that came while it was under way: what was found is no
    /// match for one that is over.
    pub fn read(&mut self, now: Moment, answer: Answer, news: &mut impl News) {
        self.take_plan(now, news);
        self.reconciler.handle_read(now, answer);
        self.at = At::Telling(Then::Turn);
    }

    /// Takes the answer of a write; a newer plan that came while it was under way decides what is made of it.
    pub fn written(&mut self, now: Moment, result: Result<(), ProviderError>, news: &mut impl News) {
        self.take_plan(now, news);
        self.reconciler.handle_written(now, result);
        self.at = At::Telling(Then::Turn);
    }

    fn take_news(&mut self, now: Moment, news: &mut impl News) {
        if let Some(Orders { record, rules, timing, dry_run }) = news.orders() {
            self.reconciler.handle_reload(now);
            self.reconciler.reconfigure(now, record, rules, timing, dry_run);
        }
        self.take_plan(now, news);
    }

    fn take_plan(&mut self, now: Moment, news: &mut impl News) {
        if let Some(plan) = news.plan() {
            self.reconciler.handle_plan(now, plan);
        }
    }
}

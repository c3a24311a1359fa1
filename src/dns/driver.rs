//! Makes the calls that the reconciler asks for, against a provider, and brings their answers back.
//!
//! Decides nothing, and the order of its steps is [`DriverSteps`]. A plan is replaced by a newer one, never queued; what the
//! reconciler tells goes to the core in order. A write that is under way when the daemon stops is given two seconds to end,
//! so that its outcome is known to the log; the record set is left as it is (LEAVE-AS-IS).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::Provider;
use crate::clock::{Clock, instant_now};
use crate::core::{Call, DriverSteps, News, Orders, Plan, Report, Step};
use crate::model::{RecordKey, ServiceName};
use crate::pulse::Pulse;

/// How long a stop waits for a call under way; well under the 5 s that a stop may take.
const LAST_WRITE: Duration = Duration::from_secs(2);

/// Takes what tells when an entry is in the journal, or that it will not be.
pub type Receipt = oneshot::Sender<oneshot::Receiver<()>>;

/// A report of one service's record set.
#[derive(Debug)]
pub struct Reported {
    /// Of which service.
    pub service: ServiceName,
    /// What.
    pub report: Report,
    /// Wants to know when the report is in the journal: of a write that is about to be sent.
    pub kept: Option<Receipt>,
}

/// What a driver works by, and with, beside the plan. It changes with the configuration alone.
#[derive(Clone, Debug)]
pub struct Assignment {
    /// What it works by.
    pub orders: Orders,
    /// Who is called.
    pub provider: Arc<dyn Provider>,
}

/// One record set, what its reconciler is at, and its provider.
#[derive(Debug)]
pub struct Driver {
    /// Of which service.
    pub service: ServiceName,
    /// Says what to do next.
    pub steps: DriverSteps,
    /// Where everything comes from that is newer than what it has.
    pub inbox: Inbox,
    /// Where reports go.
    pub reports: mpsc::Sender<Reported>,
    /// The vantage's clock.
    pub clock: Clock,
    /// Tells whether the loop still turns.
    pub pulse: Pulse,
}

/// Where a driver's orders and plans come from.
#[derive(Debug)]
pub struct Inbox {
    /// What it works by; the record's name and type never change.
    pub assignments: watch::Receiver<Assignment>,
    /// The newest plan.
    pub plans: watch::Receiver<Option<Arc<Plan>>>,
}

impl News for Inbox {
    fn orders(&mut self) -> Option<Orders> {
        let is_news = self.assignments.has_changed().is_ok_and(|changed| changed);
        is_news.then(|| self.assignments.borrow_and_update().orders.clone())
    }

    fn plan(&mut self) -> Option<Arc<Plan>> {
        self.plans.borrow_and_update().clone()
    }
}

impl Inbox {
    /// Waits for something newer; false when nobody is there any more to send it.
    async fn changes(&mut self) -> bool {
        tokio::select! {
            changed = self.plans.changed() => changed.is_ok(),
            changed = self.assignments.changed() => {
                // It has not been taken in yet.
                self.assignments.mark_changed();
                changed.is_ok()
            }
        }
    }
}

impl Driver {
    /// Drives until stopped, or until nobody listens to its reports any more.
    pub async fn run(mut self, stop: CancellationToken) {
        while let Some(step) = self.steps.next(self.clock.now(), &mut self.inbox) {
            let goes_on = match step {
                Step::Tell(report) => self.tell(report, None).await,
                Step::TellAndKeep(report, within) => self.tell(report, Some(within)).await,
                Step::Withdraw => true,
                // Nothing is begun any more once a stop is asked for.
                Step::Make { .. } if stop.is_cancelled() => false,
                Step::Make { call, deadline } => self.make(call, deadline, &stop).await,
                Step::Rest(due) => {
                    self.pulse.turns_by(due);
                    tokio::select! {
                        () = stop.cancelled() => false,
                        goes_on = self.inbox.changes() => goes_on,
                        () = tokio::time::sleep_until(self.clock.instant(due)) => true,
                    }
                }
            };
            if !goes_on {
                return;
            }
        }
    }

    /// Tells the core. What is to be kept is waited for, so long at most; false when nobody listens.
    async fn tell(&mut self, report: Report, kept_within: Option<Duration>) -> bool {
        self.pulse.rests();
        let (kept, is_kept) = kept_within.is_some().then(oneshot::channel).unzip();
        let told = self.reports.send(Reported { service: self.service.clone(), report, kept }).await;
        if let (Some(is_kept), Some(within)) = (is_kept, kept_within) {
            let kept = async { is_kept.await?.await };
            // With no journal, or none in time, the write goes out all the same (KEEP-WATCHING).
            tokio::time::timeout(within, kept).await.ok();
        }
        self.pulse.turns_within(Duration::ZERO);
        told.is_ok()
    }

    /// Makes one call and hands the answer over; false when the daemon stopped meanwhile.
    async fn make(&mut self, call: Call, within: Duration, stop: &CancellationToken) -> bool {
        let (key, provider) = self.callee();
        let deadline = instant_now() + within;
        self.pulse.turns_within(within);
        let result = match call {
            Call::Read => {
                let answer = tokio::select! {
                    () = stop.cancelled() => return false,
                    answer = provider.read(&key, deadline) => answer,
                };
                self.steps.read(self.clock.now(), answer, &mut self.inbox);
                return true;
            }
            Call::Replace { found, set } => {
                finish(provider.replace(&key, &found, &set, deadline), stop).await
            }
            Call::Create { set } => finish(provider.create(&key, &set, deadline), stop).await,
        };
        let Some(result) = result else { return false };
        self.steps.written(self.clock.now(), result, &mut self.inbox);
        true
    }

    fn callee(&self) -> (RecordKey, Arc<dyn Provider>) {
        let assignment = self.inbox.assignments.borrow();
        (assignment.orders.record.key.clone(), Arc::clone(&assignment.provider))
    }
}

/// Waits for a write to end; after a stop only for so long.
async fn finish<T>(call: impl Future<Output = T>, stop: &CancellationToken) -> Option<T> {
    let out_of_time = async {
        stop.cancelled().await;
        tokio::time::sleep(LAST_WRITE).await;
    };
    tokio::select! {
        result = call => Some(result),
        () = out_of_time => None,
    }
}

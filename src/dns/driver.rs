//! Makes the calls that the reconciler asks for, against a provider, and brings their answers back.
//!
//! Decides nothing. A plan is replaced by a newer one, never queued; what the reconciler tells goes to the core
//! in order. A write that is under way when the daemon stops is given two seconds to end, so that its outcome
//! is known to the log; the record set is left as it is (LEAVE-AS-IS).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::Provider;
use crate::clock::{Clock, instant_now};
use crate::core::{Call, Plan, Reconciler, Report, Timing, WriteRules};
use crate::model::{ProviderError, Record, ServiceName};
use crate::pulse::Pulse;

/// Deadline of a write. Longer than that of a read, since giving up on one leaves its outcome to be found out.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);
/// How long a stop waits for a call under way; well under the 5 s that a stop may take.
const LAST_WRITE: Duration = Duration::from_secs(2);
/// How long a write waits for the journal to have its intent (EXPLAINED); a disk that is slower is not waited for.
const KEPT_WITHIN: Duration = Duration::from_millis(250);

/// A report of one service's record set.
#[derive(Debug)]
pub struct Reported {
    /// Of which service.
    pub service: ServiceName,
    /// What.
    pub report: Report,
    /// Wants what tells when the report is in the journal, or that it will not be: of a write that is about to be sent.
    pub kept: Option<oneshot::Sender<oneshot::Receiver<()>>>,
}

/// What a driver works by, beside the plan. It changes with the configuration alone.
#[derive(Clone, Debug)]
pub struct Orders {
    /// The record set.
    pub record: Record,
    /// What a write must leave, and how often it may happen.
    pub rules: WriteRules,
    /// How often it is read.
    pub timing: Timing,
    /// Whether nothing is ever written.
    pub dry_run: bool,
    /// Who is called.
    pub provider: Arc<dyn Provider>,
}

/// One record set, its reconciler and its provider.
#[derive(Debug)]
pub struct Driver {
    /// Of which service.
    pub service: ServiceName,
    /// Says what to call.
    pub reconciler: Reconciler,
    /// What it works by; the record's name and type never change.
    pub orders: watch::Receiver<Orders>,
    /// The newest plan.
    pub plans: watch::Receiver<Option<Arc<Plan>>>,
    /// Where reports go.
    pub reports: mpsc::Sender<Reported>,
    /// The vantage's clock.
    pub clock: Clock,
    /// Tells whether the loop still turns.
    pub pulse: Pulse,
}

impl Driver {
    /// Drives until stopped, or until nobody listens to its reports any more.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            self.take_orders();
            self.take_plan();
            let call = self.reconciler.poll_call(self.clock.now());
            if self.tell().await.is_err() {
                return;
            }
            if let Some(call) = call {
                // Nothing is begun any more once a stop is asked for.
                if stop.is_cancelled() || !self.make(call, &stop).await {
                    return;
                }
                continue;
            }
            let Some(due) = self.reconciler.next_wake() else { return };
            self.pulse.turns_by(due);
            tokio::select! {
                () = stop.cancelled() => return,
                changed = self.plans.changed() => if changed.is_err() { return },
                changed = self.orders.changed() => match changed {
                    Ok(()) => self.reconciler.handle_reload(self.clock.now()),
                    Err(_) => return,
                },
                () = tokio::time::sleep_until(self.clock.instant(due)) => {}
            }
        }
    }

    fn take_orders(&mut self) {
        if self.orders.has_changed().is_ok_and(|changed| changed) {
            self.reconciler.handle_reload(self.clock.now());
        }
        // Not only when they are unseen: who waited for a change has seen it by then. The same ones change nothing.
        let Orders { record, rules, timing, dry_run, .. } = self.orders.borrow_and_update().clone();
        self.reconciler.reconfigure(self.clock.now(), record, rules, timing, dry_run);
    }

    fn take_plan(&mut self) {
        let plan = self.plans.borrow_and_update().clone();
        if let Some(plan) = plan {
            self.reconciler.handle_plan(self.clock.now(), plan);
        }
    }

    /// Tells everything that there is to tell. A write that is about to be sent waits for the journal to have it.
    async fn tell(&mut self) -> Result<(), mpsc::error::SendError<Reported>> {
        self.pulse.rests();
        while let Some(report) = self.reconciler.poll_report() {
            let is_intent = matches!(report, Report::Sent { .. });
            let (kept, is_kept) = is_intent.then(oneshot::channel).unzip();
            self.reports.send(Reported { service: self.service.clone(), report, kept }).await?;
            if let Some(is_kept) = is_kept {
                let kept = async { is_kept.await?.await };
                // With no journal, or none in time, the write goes out all the same (KEEP-WATCHING).
                tokio::time::timeout(KEPT_WITHIN, kept).await.ok();
            }
        }
        self.pulse.turns_within(Duration::ZERO);
        Ok(())
    }

    /// Makes one call and hands the answer over; false when the daemon stopped meanwhile.
    async fn make(&mut self, call: Call, stop: &CancellationToken) -> bool {
        // The journal may have taken its time: what is written must still be the newest plan (NEWEST-PLAN-WINS), and what
        // the configuration allows.
        self.take_orders();
        self.take_plan();
        let Orders { record, provider, .. } = self.orders.borrow().clone();
        let key = record.key;
        if self.reconciler.withdraw_superseded(self.clock.now()) {
            return self.tell().await.is_ok();
        }
        match call {
            Call::Read => {
                let deadline = self.reconciler.read_deadline();
                self.pulse.turns_within(deadline);
                let answer = tokio::select! {
                    () = stop.cancelled() => return false,
                    answer = provider.read(&key, instant_now() + deadline) => answer,
                };
                self.reconciler.handle_read(self.clock.now(), answer);
            }
            Call::Replace { found, set } => {
                self.pulse.turns_within(WRITE_DEADLINE);
                let call = provider.replace(&key, &found, &set, instant_now() + WRITE_DEADLINE);
                let Some(result) = finish(call, stop).await else { return false };
                self.written(result);
            }
            Call::Create { set } => {
                self.pulse.turns_within(WRITE_DEADLINE);
                let call = provider.create(&key, &set, instant_now() + WRITE_DEADLINE);
                let Some(result) = finish(call, stop).await else { return false };
                self.written(result);
            }
        }
        self.tell().await.is_ok()
    }

    fn written(&mut self, result: Result<(), ProviderError>) {
        // Whether a newer plan came while the write was under way decides what is made of its answer.
        self.take_plan();
        self.reconciler.handle_written(self.clock.now(), result);
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

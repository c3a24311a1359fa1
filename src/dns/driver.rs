//! Makes the calls that the reconciler asks for, against a provider, and brings their answers back.
//!
//! Decides nothing. A plan is replaced by a newer one, never queued; what the reconciler tells goes to the core
//! in order. A write that is under way when the daemon stops is given two seconds to end, so that its outcome
//! is known to the log; the record set is left as it is (LEAVE-AS-IS).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::Provider;
use crate::clock::{Clock, instant_now};
use crate::core::{Call, Plan, Reconciler, Report};
use crate::model::{RecordKey, ServiceName};
use crate::pulse::Pulse;

/// Deadline of a read: a provider that needs longer is as good as away, and a read is soon asked again.
const READ_DEADLINE: Duration = Duration::from_secs(10);
/// Deadline of a write. Longer, since giving up on one leaves its outcome to be found out.
const WRITE_DEADLINE: Duration = Duration::from_secs(15);
/// How long a stop waits for a call under way; well under the 5 s that a stop may take.
const LAST_WRITE: Duration = Duration::from_secs(2);

/// A report of one service's record set.
#[derive(Clone, Debug)]
pub struct Reported {
    /// Of which service.
    pub service: ServiceName,
    /// What.
    pub report: Report,
}

/// One record set, its reconciler and its provider.
#[derive(Debug)]
pub struct Driver {
    /// Of which service.
    pub service: ServiceName,
    /// Which record set.
    pub key: RecordKey,
    /// Says what to call.
    pub reconciler: Reconciler,
    /// Who is called.
    pub provider: Arc<dyn Provider>,
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
                () = tokio::time::sleep_until(self.clock.instant(due)) => {}
            }
        }
    }

    fn take_plan(&mut self) {
        let plan = self.plans.borrow_and_update().clone();
        if let Some(plan) = plan {
            self.reconciler.handle_plan(self.clock.now(), plan);
        }
    }

    async fn tell(&mut self) -> Result<(), mpsc::error::SendError<Reported>> {
        self.pulse.rests();
        while let Some(report) = self.reconciler.poll_report() {
            self.reports.send(Reported { service: self.service.clone(), report }).await?;
        }
        self.pulse.turns_within(Duration::ZERO);
        Ok(())
    }

    /// Makes one call and hands the answer over; false when the daemon stopped meanwhile.
    async fn make(&mut self, call: Call, stop: &CancellationToken) -> bool {
        let provider = Arc::clone(&self.provider);
        let key = self.key.clone();
        match call {
            Call::Read => {
                self.pulse.turns_within(READ_DEADLINE);
                let answer = tokio::select! {
                    () = stop.cancelled() => return false,
                    answer = provider.read(&key, instant_now() + READ_DEADLINE) => answer,
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

    fn written(&mut self, result: Result<(), crate::model::ProviderError>) {
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

//! One call to the cloud for a whole group of checks, which lasts as long as anybody waits for it.
//!
//! Where [`SharedAnswer`](super::shared_answer::SharedAnswer) makes a call a part of one probe, here it belongs to all that
//! wait: while the budget is short it may wait for its turn longer than one probe lasts. Who comes while it waits for
//! its turn is served by it too. It keeps the latest answer, and the error after it. Start at [`SharedCall::get`].

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::{Shared, WeakShared};
use tokio::time::{Instant, timeout_at};

use super::shared_answer::{Answered, DeadlinePassed};
use crate::clock::instant_now;
use crate::huawei::{ApiError, ApiErrorKind};

/// What a call comes to: the question, and the answer with the time at which it was asked for.
pub(super) type Told<Q, T> = (Q, Result<(Instant, T), ApiError>);

/// The latest answer to a question; `Q` is what was asked.
#[derive(Debug)]
pub(super) struct SharedCall<Q, T>(Mutex<State<Q, T>>);

#[derive(Debug)]
struct State<Q, T> {
    good: Option<Arc<Answered<Q, T>>>,
    /// What came after that, when it was an error: it makes the good answer no older.
    error: Option<Arc<Answered<Q, T>>>,
    /// The call under way, if anybody still waits for it.
    pending: Option<WeakShared<Pending<Q, T>>>,
}

type Pending<Q, T> = Pin<Box<dyn Future<Output = Arc<Answered<Q, T>>> + Send>>;

impl<Q, T> SharedCall<Q, T>
where
    Q: Send + Sync + 'static,
    T: Send + Sync + 'static,
{
    /// Nothing was asked yet.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(State { good: None, error: None, pending: None })))
    }

    /// The latest answer if `usable` says so; else what the call under way brings, if that is usable; else what `call`
    /// brings. The call is dropped when nobody waits for it any more, and the next who comes asks.
    ///
    /// # Errors
    /// When `deadline` passes first.
    pub(super) async fn get<F>(
        self: &Arc<Self>,
        deadline: Instant,
        usable: impl Fn(&Answered<Q, T>) -> bool,
        call: impl FnOnce() -> F,
    ) -> Result<Arc<Answered<Q, T>>, DeadlinePassed>
    where
        F: Future<Output = Told<Q, T>> + Send + 'static,
    {
        let own = loop {
            let joined = {
                let mut state = self.state();
                if let Some(answered) = state.usable(&usable) {
                    return Ok(answered);
                }
                match state.pending.as_ref().and_then(WeakShared::upgrade) {
                    Some(pending) => pending,
                    None => break self.begin(&mut state, call()),
                }
            };
            let answered = timeout_at(deadline, joined).await.map_err(|_| DeadlinePassed)?;
            if usable(&answered) {
                return Ok(answered);
            }
        };
        timeout_at(deadline, own).await.map_err(|_| DeadlinePassed)
    }

    fn begin<F>(self: &Arc<Self>, state: &mut State<Q, T>, call: F) -> Shared<Pending<Q, T>>
    where
        F: Future<Output = Told<Q, T>> + Send + 'static,
    {
        let shared = Arc::clone(self);
        let pending: Pending<Q, T> = Box::pin(async move {
            let began = instant_now();
            let (question, result) = call.await;
            let (started, result) = match result {
                Ok((sent, answer)) => (sent, Ok(Arc::new(answer))),
                Err(error) => (began, Err(Arc::new(error))),
            };
            let answered = Arc::new(Answered { started, question, result });
            shared.state().keep(&answered);
            answered
        });
        let pending = pending.shared();
        state.pending = pending.downgrade();
        pending
    }

    fn state(&self) -> MutexGuard<'_, State<Q, T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<Q, T> State<Q, T> {
    fn usable(&self, usable: impl Fn(&Answered<Q, T>) -> bool) -> Option<Arc<Answered<Q, T>>> {
        let mut kept = self.good.iter().chain(&self.error);
        kept.find(|answered| usable(answered)).cloned()
    }

    fn keep(&mut self, answered: &Arc<Answered<Q, T>>) {
        self.pending = None;
        match &answered.result {
            Ok(_) => (self.good, self.error) = (Some(Arc::clone(answered)), None),
            // Nobody was asked.
            Err(error) if *error.kind() == ApiErrorKind::Budget => {}
            Err(_) => self.error = Some(Arc::clone(answered)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::sleep;

    use super::*;

    const S: Duration = Duration::from_secs(1);

    /// A call that waits for its turn for so long, and is answered at once.
    async fn waits(turn: Duration, number: u32) -> Told<(), u32> {
        sleep(turn).await;
        ((), Ok((instant_now(), number)))
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_outlasts_the_probe_that_began_it_while_another_waits() {
        let shared = SharedCall::new();
        let start = instant_now();
        let first = shared.get(start + 2 * S, |_| false, || waits(3 * S, 1));
        let second = async {
            sleep(S).await;
            shared.get(start + 4 * S, |answered| answered.started > start + S, || waits(3 * S, 2)).await
        };
        let (first, second) = tokio::join!(first, second);
        assert_eq!(first.unwrap_err(), DeadlinePassed);
        assert_eq!(
            second.unwrap().result.as_deref().ok(),
            Some(&1),
            "asked for after it came, by the first one's call"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_nobody_waits_for_is_dropped_and_the_next_asks() {
        let shared = SharedCall::new();
        let start = instant_now();
        assert!(shared.get(start + S, |_| false, || waits(3 * S, 1)).await.is_err());
        let next = shared.get(start + 9 * S, |_| true, || waits(3 * S, 2)).await.unwrap();
        assert_eq!((next.result.as_deref().ok(), instant_now() - start), (Some(&2), 4 * S));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_came_too_early_is_asked_for_anew() {
        let shared = SharedCall::new();
        let start = instant_now();
        let early = shared.get(start + 9 * S, |_| false, || waits(S, 1));
        let late = shared.get(start + 9 * S, |answered| answered.started > start + S, || waits(S, 2));
        let (_, late) = tokio::join!(early, late);
        assert_eq!((late.unwrap().result.as_deref().ok(), instant_now() - start), (Some(&2), 2 * S));
    }
}

//! One call to the cloud for all checks that ask the same at about the same time.
//!
//! A [`SharedAnswer`] keeps the latest answer to a question, the error after it too, and lets one
//! caller at a time ask anew while the others wait for what that brings. Which answers a look may count is
//! its [`Window`]'s rule. The [`History`] of a check sees to it that no two of its looks count one answer:
//! when `fall` looks say failing, the cloud was asked `fall` times. Start at [`SharedAnswer::get`].

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use crate::clock::instant_now;
use crate::huawei::{ApiError, ApiErrorKind};

/// The latest answer to a question; `Q` is what was asked where that varies.
#[derive(Debug)]
pub(super) struct SharedAnswer<Q, T> {
    /// Held during a call, so that the others wait for its answer.
    latest: Mutex<Latest<Q, T>>,
}

#[derive(Debug)]
struct Latest<Q, T> {
    good: Option<Arc<Answered<Q, T>>>,
    /// What came after that, when it was an error: it does not make the good one any older.
    error: Option<Arc<Answered<Q, T>>>,
}

/// What the cloud answered to what, and since when that is true.
#[derive(Debug)]
pub(super) struct Answered<Q, T> {
    /// When the request was about to be sent.
    pub(super) started: Instant,
    /// What was asked, so that it is not taken for the answer to something else.
    pub(super) question: Q,
    /// What came.
    pub(super) result: Result<Arc<T>, Arc<ApiError>>,
}

/// The deadline of a look passed while it waited for a call of another look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DeadlinePassed;

impl<Q, T> SharedAnswer<Q, T> {
    /// Nothing was asked yet.
    pub(super) fn new() -> Self {
        Self { latest: Mutex::new(Latest { good: None, error: None }) }
    }

    /// The latest answer if `usable` says so, else what `call` brings. While somebody else asks, that
    /// answer is waited for and judged in the same way. A caller that is dropped while it asks leaves no
    /// answer behind, and the next in line asks. `call` ends by the deadline of who gave it, in an error
    /// that tells more than a timer here could; those who wait share that error too, unless nothing was sent.
    ///
    /// # Errors
    /// When `deadline` passes while somebody else asks.
    pub(super) async fn get(
        &self,
        deadline: Instant,
        usable: impl Fn(&Answered<Q, T>) -> bool,
        call: impl Future<Output = (Q, Result<T, ApiError>)>,
    ) -> Result<Arc<Answered<Q, T>>, DeadlinePassed> {
        let mut latest = timeout_at(deadline, self.latest.lock()).await.map_err(|_| DeadlinePassed)?;
        let mut kept = latest.good.iter().chain(&latest.error);
        if let Some(answered) = kept.find(|answered| usable(answered)) {
            return Ok(Arc::clone(answered));
        }
        let started = instant_now();
        let (question, result) = call.await;
        let result = result.map(Arc::new).map_err(Arc::new);
        let answered = Arc::new(Answered { started, question, result });
        match &answered.result {
            Ok(_) => *latest = Latest { good: Some(Arc::clone(&answered)), error: None },
            // Nobody was asked: who has more time may still be told.
            Err(error) if *error.kind() == ApiErrorKind::Budget => {}
            // That it does not exist is an answer about it, and what was there before is out of date.
            Err(error) if error.is_not_found() => {
                *latest = Latest { good: None, error: Some(Arc::clone(&answered)) };
            }
            Err(_) => latest.error = Some(Arc::clone(&answered)),
        }
        Ok(answered)
    }
}

/// Which answers one look may count.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    /// When the look started.
    look_started: Instant,
    /// How old an answer may be then.
    age_max: Duration,
    /// The answer must have been asked for after this.
    after: Option<Instant>,
}

impl Window {
    /// Whether an answer that was asked for at `started` is news to this look and recent enough for it.
    pub(super) fn admits(&self, started: Instant) -> bool {
        self.after.is_none_or(|after| started > after) && self.is_younger(started, self.age_max)
    }

    /// Whether what was asked for at `started` was no older than `age` when the look started.
    pub(super) fn is_younger(&self, started: Instant, age: Duration) -> bool {
        self.look_started.saturating_duration_since(started) <= age
    }
}

/// What the looks of one check counted so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct History {
    /// The later of when the last look started and when the newest answer it counted was asked for.
    newest: Option<Instant>,
}

impl History {
    /// The window of a look that starts now, of a check that looks every `interval` at present: no answer
    /// that an earlier look counted, none asked for before the last look, and none older than half the
    /// interval, so that what is shared is at most that much later news than an own call.
    pub(super) fn window(&self, look_started: Instant, interval: Duration) -> Window {
        Window { look_started, age_max: interval / 2, after: self.newest }
    }

    /// Takes note of when a look started, or of when an answer that it counted was asked for.
    pub(super) fn note(&mut self, instant: Instant) {
        self.newest = self.newest.max(Some(instant));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::time::sleep;

    use super::*;

    const S: Duration = Duration::from_secs(1);

    /// A question whose answer is the number of the call, one second after it was asked.
    #[derive(Default)]
    struct Counting {
        calls: AtomicU32,
    }

    impl Counting {
        async fn call(&self) -> ((), Result<u32, ApiError>) {
            let number = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
            sleep(S).await;
            ((), Ok(number))
        }
    }

    /// One look of the check that has this history.
    async fn look(
        shared: &SharedAnswer<(), u32>,
        cloud: &Counting,
        history: &mut History,
        every: Duration,
    ) -> u32 {
        let started = instant_now();
        let window = history.window(started, every);
        let answered =
            shared.get(started + 10 * S, |a| window.admits(a.started), cloud.call()).await.unwrap();
        history.note(started);
        history.note(answered.started);
        **answered.result.as_ref().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn looks_at_the_same_time_share_one_call() {
        let (shared, cloud) = (SharedAnswer::new(), Counting::default());
        let (mut a, mut b, mut c) = (History::default(), History::default(), History::default());
        let seen = tokio::join!(
            look(&shared, &cloud, &mut a, 5 * S),
            look(&shared, &cloud, &mut b, 5 * S),
            look(&shared, &cloud, &mut c, 5 * S),
        );
        assert_eq!(seen, (1, 1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_shared_for_half_the_interval() {
        let (shared, cloud) = (SharedAnswer::new(), Counting::default());
        assert_eq!(look(&shared, &cloud, &mut History::default(), 4 * S).await, 1);
        sleep(S).await;
        assert_eq!(look(&shared, &cloud, &mut History::default(), 4 * S).await, 1);
        sleep(S / 2).await;
        assert_eq!(look(&shared, &cloud, &mut History::default(), 4 * S).await, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn no_two_looks_of_one_check_count_one_answer() {
        let (shared, cloud) = (SharedAnswer::new(), Counting::default());
        let (mut quick, mut slow) = (History::default(), History::default());
        let mut counted = Vec::new();
        for _ in 0..5 {
            let (one, _) = tokio::join!(
                look(&shared, &cloud, &mut quick, 60 * S),
                look(&shared, &cloud, &mut slow, 60 * S)
            );
            counted.push(one);
            counted.push(look(&shared, &cloud, &mut quick, 60 * S).await);
        }
        let mut once = counted.clone();
        once.dedup();
        assert_eq!(counted, once);
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_is_dropped_leaves_the_call_to_the_next() {
        let (shared, cloud) = (SharedAnswer::new(), Counting::default());
        let mut history = History::default();
        assert!(timeout_at(instant_now() + S / 2, look(&shared, &cloud, &mut history, S)).await.is_err());
        assert_eq!(look(&shared, &cloud, &mut History::default(), S).await, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_the_call_of_another_ends_at_the_own_deadline() {
        let (shared, cloud) = (SharedAnswer::new(), Counting::default());
        let (mut history, soon) = (History::default(), instant_now() + S / 2);
        let (_, waited) = tokio::join!(
            look(&shared, &cloud, &mut history, S),
            shared.get(soon, |_| true, async { unreachable!("it asked while another was asking") }),
        );
        assert_eq!(waited.unwrap_err(), DeadlinePassed);
        assert_eq!(instant_now(), soon + S / 2);
    }
}

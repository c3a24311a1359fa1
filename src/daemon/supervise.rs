//! Starts a task again that ended or panicked although nobody asked it to (KEEP-WATCHING), and says so.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::clock::instant_now;

/// The first wait before a task is started again; doubles up to [`RESTART_MOST`] and is forgotten when it ran for
/// longer than that.
const RESTART_FIRST: Duration = Duration::from_millis(100);
const RESTART_MOST: Duration = Duration::from_secs(30);

/// A task that failed is alarmed for so long: the longest wait before it starts again, and as long a run without a failure.
const ALARMED_FOR: Duration = RESTART_MOST.saturating_mul(2);

/// The tasks that were started again, as long as that is alarmed. Clones are the same; at most one entry for each task.
#[derive(Clone, Debug, Default)]
pub(super) struct Restarts(Arc<Mutex<BTreeMap<String, Restart>>>);

#[derive(Debug)]
struct Restart {
    how: &'static str,
    last: Instant,
    times: u32,
}

impl Restarts {
    /// Each task and what is wrong with it. Forgets those that have run well since.
    pub(super) fn alarms(&self) -> Vec<(String, String)> {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.retain(|task, restart| {
            let is_alarmed = restart.last.elapsed() < ALARMED_FOR;
            if !is_alarmed {
                tracing::info!(task, "the task has run well since it was started again");
            }
            is_alarmed
        });
        let message = |(task, Restart { how, times, .. }): (&String, &Restart)| {
            let times = if *times == 1 { String::new() } else { format!(", {times} times by now") };
            (
                task.clone(),
                format!(
                    "a task {how} and was started again: {task}{times}; the log has the cause, please report it"
                ),
            )
        };
        tasks.iter().map(message).collect()
    }

    fn tell(&self, task: &str, how: &'static str) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let times = tasks.get(task).map_or(0, |restart| restart.times).saturating_add(1);
        tasks.insert(task.to_owned(), Restart { how, last: instant_now(), times });
    }
}

/// Runs what `make` makes until stopped, made anew whenever it ends. `name` says in the log and the alarm what it was.
pub(super) async fn supervised<F>(
    name: String,
    restarts: Restarts,
    stop: CancellationToken,
    make: impl Fn() -> F,
) where
    F: Future<Output = ()>,
{
    let mut wait = RESTART_FIRST;
    loop {
        let started = instant_now();
        // A panicked future is dropped whole and made anew, so nothing half-done is seen again.
        let ended = AssertUnwindSafe(async { make().await }).catch_unwind().await;
        if stop.is_cancelled() {
            return;
        }
        if started.elapsed() > RESTART_MOST {
            wait = RESTART_FIRST;
        }
        let how = if ended.is_err() { "panicked" } else { "ended" };
        tracing::error!(task = name, "a task {how} that should run for ever; starting it again in {wait:?}");
        restarts.tell(&name, how);
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(wait) => wait = (wait * 2).min(RESTART_MOST),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_or_ends_is_started_again_until_stopped() {
        let stop = CancellationToken::new();
        let (runs, made) = (AtomicU32::new(0), AtomicU32::new(0));
        supervised("t".to_owned(), Restarts::default(), stop.clone(), || {
            assert!(made.fetch_add(1, Ordering::Relaxed) != 2, "once while it is made");
            async {
                match runs.fetch_add(1, Ordering::Relaxed) {
                    0 => panic!("once"),
                    1 => {}
                    _ => stop.cancel(),
                }
            }
        })
        .await;
        assert_eq!((made.into_inner(), runs.into_inner()), (4, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_was_started_again_is_alarmed_until_it_has_run_well() {
        let (restarts, stop) = (Restarts::default(), CancellationToken::new());
        let runs = AtomicU32::new(0);
        let task = supervised("the task".to_owned(), restarts.clone(), stop.clone(), || async {
            match runs.fetch_add(1, Ordering::Relaxed) {
                0 => panic!("once"),
                1 => {}
                _ => std::future::pending().await,
            }
        });
        tokio::pin!(task);
        assert!(tokio::time::timeout(Duration::from_secs(1), &mut task).await.is_err(), "it was not stopped");
        let [(subject, message)] = &*restarts.alarms() else { panic!("{:?}", restarts.alarms()) };
        assert_eq!(subject, "the task");
        assert!(message.contains("ended and was started again: the task, 2 times by now"), "{message}");
        advance(ALARMED_FOR).await;
        assert_eq!(restarts.alarms(), []);
        stop.cancel();
    }
}

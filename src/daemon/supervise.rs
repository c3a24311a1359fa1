//! Starts a task again that ended or panicked although nobody asked it to (KEEP-WATCHING).

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// The first wait before a task is started again; doubles up to [`RESTART_MOST`] and is forgotten when it ran for
/// longer than that.
const RESTART_FIRST: Duration = Duration::from_millis(100);
const RESTART_MOST: Duration = Duration::from_secs(30);

/// Runs what `make` makes until stopped, made anew whenever it ends. `name` says in the log what it was.
pub(super) async fn supervised<F>(name: String, stop: CancellationToken, make: impl Fn() -> F)
where
    F: Future<Output = ()>,
{
    let mut wait = RESTART_FIRST;
    loop {
        let started = crate::clock::instant_now();
        // A panicked future is dropped whole and made anew, so nothing half-done is seen again.
        let ended = AssertUnwindSafe(make()).catch_unwind().await;
        if stop.is_cancelled() {
            return;
        }
        if started.elapsed() > RESTART_MOST {
            wait = RESTART_FIRST;
        }
        let how = if ended.is_err() { "panicked" } else { "ended" };
        tracing::error!(task = name, "a task {how} that should run for ever; starting it again in {wait:?}");
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(wait) => wait = (wait * 2).min(RESTART_MOST),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_or_ends_is_started_again_until_stopped() {
        let stop = CancellationToken::new();
        let runs = AtomicU32::new(0);
        supervised("t".to_owned(), stop.clone(), || async {
            match runs.fetch_add(1, Ordering::Relaxed) {
                0 => panic!("once"),
                1 => {}
                _ => stop.cancel(),
            }
        })
        .await;
        assert_eq!(runs.load(Ordering::Relaxed), 3);
    }
}

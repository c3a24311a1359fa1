use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::in_words;
use super::state::{Claim, Place, State};

/// How long a change waits to be on disk before it is served: a disk takes some milliseconds. With one that hangs, the
/// zone goes on from memory.
const KEPT_WITHIN: Duration = Duration::from_millis(500);
/// How long until what could not be written is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(10);

/// Writes what a zone keeps, the newest and nothing in between, on a thread of its own: a disk that hangs holds up nobody.
#[derive(Debug)]
pub(super) struct Keeper {
    desk: Arc<Desk>,
    place: Place,
    /// None once it is dropped.
    wake: Option<SyncSender<()>>,
    /// Closed when the thread has ended and given the zone's file back.
    ended: Mutex<Receiver<()>>,
}

/// What is to be written, and what came of it.
#[derive(Debug)]
struct Desk {
    newest: Mutex<Option<(u64, State)>>,
    trouble: Mutex<Option<String>>,
    /// The number of the last version that was written, or could not be.
    done: watch::Sender<u64>,
}

impl Keeper {
    /// A keeper of the zone's file, or of nothing, because of that trouble.
    pub(super) fn start(place: Place, claim: Result<Claim, String>) -> Self {
        let (wake, woken) = sync_channel(1);
        let (ends, ended) = sync_channel(0);
        let (claim, trouble) = match claim {
            Ok(claim) => (Some(claim), None),
            Err(trouble) => (None, Some(trouble)),
        };
        let desk = Arc::new(Desk {
            newest: Mutex::default(),
            trouble: Mutex::new(trouble),
            done: watch::Sender::new(0),
        });
        if let Some(claim) = claim {
            let (at, place) = (Arc::clone(&desk), place.clone());
            let thread = thread::Builder::new().name("zone".to_owned());
            let write = move || {
                write_all(&place, &at, &woken);
                drop(claim);
                drop(ends);
            };
            if let Err(error) = thread.spawn(write) {
                *lock(&desk.trouble) = Some(format!("cannot start what writes it: {error}"));
            }
        }
        Self { desk, place, wake: Some(wake), ended: Mutex::new(ended) }
    }

    /// Hands over the newest version; its number is above all before.
    pub(super) fn keep(&self, version: u64, state: State) {
        *lock(&self.desk.newest) = Some((version, state));
        // Full: it is awake, and will see the newest. Closed: nothing is kept, and the trouble says why.
        if let Some(wake) = &self.wake {
            let _ = wake.try_send(());
        }
    }

    /// Waits until that version was written, or could not be; for half a second at most.
    pub(super) async fn has_kept(&self, version: u64) {
        if lock(&self.desk.trouble).is_some() {
            return; // It is alarmed already; each change would only wait again.
        }
        let mut done = self.desk.done.subscribe();
        if timeout(KEPT_WITHIN, done.wait_for(|done| *done >= version)).await.is_err() {
            self.desk.tell(Some(format!("the disk did not take it within {KEPT_WITHIN:?}")), &self.place);
        }
    }

    /// Why nothing is kept, while nothing is.
    pub(super) fn trouble(&self) -> Option<String> {
        lock(&self.desk.trouble).clone()
    }
}

impl Drop for Keeper {
    /// Lets it write what is still to be written, so that whoever serves the zone next finds its file free and whole.
    fn drop(&mut self) {
        self.wake = None;
        let _ = lock(&self.ended).recv_timeout(KEPT_WITHIN);
    }
}

impl Desk {
    /// From now on this is the trouble. What begins or ends is told once.
    fn tell(&self, trouble: Option<String>, place: &Place) {
        let mut was = lock(&self.trouble);
        let file = place.path();
        match (was.as_ref(), &trouble) {
            (None, Some(trouble)) => {
                tracing::error!(file = %file.display(), "cannot keep what a zone holds; it goes on from memory: {trouble}");
            }
            (Some(_), None) => tracing::info!(file = %file.display(), "kept what a zone holds again"),
            (None, None) | (Some(_), Some(_)) => {}
        }
        *was = trouble;
    }
}

/// Writes until the keeper is gone, and then what is still to be written.
fn write_all(place: &Place, desk: &Desk, woken: &Receiver<()>) {
    let mut failed = None;
    loop {
        let woke =
            if failed.is_some() { woken.recv_timeout(AGAIN_AFTER) } else { woken.recv().map_err(Into::into) };
        let newest = lock(&desk.newest).take().or(failed.take());
        if let Some((version, state)) = newest {
            let written = place.write(&state);
            let trouble = written.as_ref().err().map(|error| in_words(error));
            if written.is_err() {
                failed = Some((version, state));
            }
            desk.tell(trouble, place);
            desk.done.send_replace(version);
        }
        if woke == Err(RecvTimeoutError::Disconnected) {
            break;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Remembers across restarts: what happened and why, and how each service stood.
//!
//! A SQLite file, `journal.db` in `state_dir`, that one thread writes from a bounded queue. Nothing here blocks or
//! fails its callers: a disk that is full, slow, corrupt or not there leaves the latest entries in memory, says so
//! in [`Journal::health`], and gets all of them once it works again (KEEP-WATCHING). It decides nothing, and it
//! keeps what the core made of a service without reading it.
//! Carries EXPLAINED and SECRETS-STAY; NO-JUMP-ON-START leans on it. Start at [`Journal`] and [`Entry`].

mod entry;
mod error;
mod files;
mod history;
mod outbox;
mod retention;
mod store;
mod writer;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

pub use entry::{Change, Configured, Entry};
pub use error::JournalError;
pub use files::judge_access;
pub use history::{Row, read};

use crate::clock::wall_time;
use crate::model::ServiceName;
use files::Files;
use outbox::{Outbox, Queued};
use store::Store;
use writer::Writer;

/// A handle of the journal; copies are of the same one. The journal is closed when the last is dropped.
#[derive(Clone)]
pub struct Journal {
    /// None keeps nothing.
    hand: Option<Arc<Hand>>,
}

/// What is known of a service, to go on from after a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// Of which service.
    pub service: ServiceName,
    /// When it was so: wall time since 1970.
    pub saved: Duration,
    /// How the service stood: JSON that the core makes and reads.
    pub state: String,
}

/// How the journal itself is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Why it is in memory only, while it is: what is wrong, where, and what to do.
    pub trouble: Option<String>,
    /// How many entries were dropped because too many waited for the disk.
    pub lost: u64,
}

impl Journal {
    /// Opens the journal in `state_dir`, or makes it, and reads what was remembered. Blocks for this long at most
    /// and never fails: a journal that cannot be had is kept in memory until it can, and gives back nothing now.
    #[must_use]
    pub fn open(state_dir: &Path, within: Duration) -> (Self, Vec<Remembered>) {
        Self::open_with(state_dir, within, Store::open)
    }

    fn open_with(
        state_dir: &Path,
        within: Duration,
        open: impl Fn(&Files) -> Result<Store, JournalError> + Send + 'static,
    ) -> (Self, Vec<Remembered>) {
        let slow = JournalError::Slow { dir: state_dir.to_owned(), within }.in_words();
        let outbox = Arc::new(Outbox::new(slow.clone()));
        let (first, memories) = mpsc::sync_channel(1);
        let writer = Writer::new(state_dir.to_owned(), Arc::clone(&outbox), open, first);
        // A thread that cannot be had drops the writer, which then tells of it.
        drop(thread::Builder::new().name("journal".to_owned()).spawn(|| writer.run()));
        let memories = memories.recv_timeout(within);
        if memories == Err(mpsc::RecvTimeoutError::Timeout) {
            tracing::warn!("the journal is kept in memory only: {slow}");
        }
        (Self { hand: Some(Arc::new(Hand(outbox))) }, memories.unwrap_or_default())
    }

    /// One that keeps nothing and is never in trouble, for a demo or a test.
    #[must_use]
    pub fn nowhere() -> Self {
        Self { hand: None }
    }

    /// Keeps an entry, as of now. Never blocks: while too many wait for the disk the oldest is dropped and counted.
    pub fn record(&self, entry: Entry) {
        self.push(entry, None);
    }

    /// Keeps an entry, and tells when it is on disk such that not even a loss of power can take it: the intent of a
    /// write. An error tells at once that it will not be for now. Wait with a deadline, and go on in any case.
    #[must_use]
    pub fn record_and_tell(&self, entry: Entry) -> oneshot::Receiver<()> {
        let (tell, told) = oneshot::channel();
        self.push(entry, Some(tell));
        told
    }

    fn push(&self, entry: Entry, tell: Option<oneshot::Sender<()>>) {
        if let Some(hand) = &self.hand {
            hand.0.push(Queued { at: wall_time(), entry, tell });
        }
    }

    /// Replaces what is remembered of these services, and leaves the others. Each call comes to a write.
    pub fn remember(&self, memories: Vec<Remembered>) {
        if let Some(hand) = &self.hand {
            hand.0.remember(memories);
        }
    }

    /// Forgets a service that is gone from the configuration; its entries stay.
    pub fn forget(&self, service: &ServiceName) {
        if let Some(hand) = &self.hand {
            hand.0.forget(service);
        }
    }

    /// Whether it can be written, and what was lost.
    #[must_use]
    pub fn health(&self) -> Health {
        self.hand.as_ref().map(|hand| hand.0.health()).unwrap_or_default()
    }

    /// Writes what waits, and closes; whether that was done within this time. A disk that cannot be written is tried
    /// once more.
    pub async fn close(&self, within: Duration) -> bool {
        let Some(hand) = &self.hand else { return true };
        hand.0.close();
        timeout(within, hand.0.ended()).await.is_ok()
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("health", &self.health()).finish_non_exhaustive()
    }
}

/// Closes the journal when nobody can tell it anything any more.
struct Hand(Arc<Outbox>);

impl Drop for Hand {
    fn drop(&mut self) {
        self.0.close();
    }
}

//! How long and how much is kept.
//!
//! Looked after seldom and in small steps, with room between two for what is to be written; never by a timer of its
//! own, so that a quiet daemon lets the disk sleep.

use std::time::Duration;

use tokio::time::Instant;

use super::JournalError;
use super::store::Store;
use crate::clock::{instant_now, wall_time};

/// How long entries are kept: a year, and a month to look back at it.
const KEEP_FOR: Duration = Duration::from_secs(400 * 86_400);
/// How large the database may be, in bytes. With its write-ahead log it stays below 200 MB.
const BYTES_MAX: u64 = 190_000_000;
/// How often that is looked after, if anything is written at all.
const EVERY: Duration = Duration::from_secs(6 * 3_600);
/// And after so many entries at the latest: some 5 MB.
const EVERY_ENTRIES: usize = 10_000;
/// How much one step strikes out or gives back, in entries or pages: a few milliseconds of work.
const STEP: u32 = 500;

/// When entries have to go, and which.
#[derive(Debug)]
pub(super) struct Retention {
    keep_for: Duration,
    bytes_max: u64,
    /// When it is next looked after; none while it is being done.
    rests_until: Option<Instant>,
    entries_since: usize,
}

impl Default for Retention {
    fn default() -> Self {
        Self { keep_for: KEEP_FOR, bytes_max: BYTES_MAX, rests_until: None, entries_since: 0 }
    }
}

impl Retention {
    /// Whether there is a step to take now.
    pub(super) fn is_at_work(&self) -> bool {
        self.rests_until.is_none()
    }

    /// So many entries were written.
    pub(super) fn wrote(&mut self, entries: usize) {
        self.entries_since = self.entries_since.saturating_add(entries);
        let is_due = |until: Instant| until <= instant_now() || self.entries_since >= EVERY_ENTRIES;
        if self.rests_until.is_some_and(is_due) {
            self.rests_until = None;
        }
    }

    /// Takes one step of the work, if there is any.
    pub(super) fn step(&mut self, store: &mut Store) -> Result<(), JournalError> {
        if !self.is_at_work() || store.strike_older(self.keep_for, wall_time(), STEP)? > 0 {
            return Ok(());
        }
        let size = store.size()?;
        if size.used > self.bytes_max && store.strike_oldest(STEP)? > 0 {
            return Ok(());
        }
        if size.file > self.bytes_max && size.file > size.used {
            return store.shrink(STEP);
        }
        self.entries_since = 0;
        self.rests_until = Some(instant_now() + EVERY);
        Ok(())
    }
}

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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::files::Files;
    use super::super::outbox::{Batch, Queued};
    use super::super::{Entry, Row, read};
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn entries_leave_when_they_are_old_a_few_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let now = wall_time();
        let mut store = store(dir.path());
        keep(&mut store, (0..1_200).map(|_| days_before(11, now)));
        keep(&mut store, [days_before(9, now), now]);
        let mut retention = Retention { keep_for: 10 * DAY, ..Retention::default() };
        let mut left = vec![];
        while retention.is_at_work() {
            retention.step(&mut store).unwrap();
            left.push(rows(dir.path()).len());
        }
        assert_eq!(left, [702, 202, 2, 2]);
    }

    #[test]
    fn a_clock_that_stands_wrong_strikes_out_no_more_than_the_newest_entry_allows() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = store(dir.path());
        let then = days_before(5_000, wall_time());
        keep(&mut store, [days_before(500, then), days_before(399, then), then]);
        let mut retention = Retention::default();
        while retention.is_at_work() {
            retention.step(&mut store).unwrap();
        }
        assert_eq!(rows(dir.path()).len(), 2);
    }

    #[test]
    fn the_oldest_entries_leave_when_there_are_too_many_and_the_file_gets_smaller() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = store(dir.path());
        keep(&mut store, (0..10_000).map(Duration::from_secs));
        let before = store.size().unwrap().file;
        let mut retention = Retention { bytes_max: 1_000_000, keep_for: 999 * DAY, ..Retention::default() };
        while retention.is_at_work() {
            retention.step(&mut store).unwrap();
        }
        drop(store);
        let after = std::fs::metadata(dir.path().join("journal.db")).unwrap().len();
        assert!(before > 5_000_000 && after <= 1_000_000, "it went from {before} to {after}");
        let rows = rows(dir.path());
        assert!(rows.len() > 500, "only {} are left", rows.len());
        let kept: Vec<u64> = rows.iter().map(|row| row.at.as_secs()).collect();
        assert!(kept.iter().copied().eq(10_000 - kept.len() as u64..10_000), "{kept:?}");
    }

    #[test]
    fn it_rests_until_there_is_much_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let mut retention = Retention::default();
        retention.step(&mut store(dir.path())).unwrap();
        assert!(!retention.is_at_work());
        retention.wrote(EVERY_ENTRIES - 1);
        assert!(!retention.is_at_work());
        retention.wrote(1);
        assert!(retention.is_at_work());
    }

    fn days_before(days: u32, time: Duration) -> Duration {
        time.checked_sub(days * DAY).unwrap()
    }

    fn store(dir: &Path) -> Store {
        Store::open(&Files::claim(dir).unwrap()).unwrap()
    }

    fn keep(store: &mut Store, times: impl IntoIterator<Item = Duration>) {
        let entry = || Entry::ReloadRefused { message: "x".repeat(250) };
        let entries = times.into_iter().map(|at| Queued { at, entry: entry(), tell: None }).collect();
        store.keep(&Batch { entries, memories: vec![] }).unwrap();
    }

    fn rows(dir: &Path) -> Vec<Row> {
        read(dir, Duration::ZERO, usize::MAX).unwrap()
    }
}

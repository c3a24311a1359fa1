//! The thread that writes: one transaction for all that waits; sets a corrupt file aside; tries again, ever more
//! seldom, while the disk cannot be written.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use super::files::Files;
use super::outbox::Outbox;
use super::retention::Retention;
use super::store::Store;
use super::{JournalError, Remembered};

/// How long after a failure the disk is tried again; doubles up to [`RETRY_MOST`], and starts over once it works.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MOST: Duration = Duration::from_secs(60);

/// Writes what is in the outbox into the journal in `dir`.
pub(super) struct Writer<Open> {
    dir: PathBuf,
    outbox: Arc<Outbox>,
    open: Open,
    /// Who waits for what was remembered; answered once.
    first: Option<SyncSender<Vec<Remembered>>>,
    /// Whether a file was opened before.
    was_open: bool,
    /// Whether the file was read for damage, once in the life of a process.
    was_checked: bool,
    retry_in: Duration,
}

impl<Open: Fn(&Files) -> Result<Store, JournalError>> Writer<Open> {
    pub(super) fn new(
        dir: PathBuf,
        outbox: Arc<Outbox>,
        open: Open,
        first: SyncSender<Vec<Remembered>>,
    ) -> Self {
        let (first, retry_in) = (Some(first), RETRY_FIRST);
        Self { dir, outbox, open, first, was_open: false, was_checked: false, retry_in }
    }

    /// Writes until it is closed.
    pub(super) fn run(mut self) {
        loop {
            let is_last_try = self.outbox.is_closing();
            let Err(error) = Files::claim(&self.dir).and_then(|files| self.serve(&files)) else { return };
            degrade(&self.outbox, &error);
            self.answer(Vec::new());
            if is_last_try {
                return;
            }
            self.outbox.pause(self.retry_in);
            self.retry_in = (self.retry_in * 2).min(RETRY_MOST);
        }
    }

    /// Writes until it is closed or fails; what is corrupt is set aside, and another one made.
    fn serve(&mut self, files: &Files) -> Result<(), JournalError> {
        loop {
            match self.write(files) {
                Err(error) if error.is_corrupt() => {
                    let aside = files.set_aside()?;
                    let (why, aside) = (error.in_words(), aside.display());
                    tracing::warn!(
                        "the journal was set aside as {aside} and a new one is made; what is remembered is kept: {why}"
                    );
                }
                outcome => return outcome,
            }
        }
    }

    fn write(&mut self, files: &Files) -> Result<(), JournalError> {
        let mut store = (self.open)(files)?;
        if self.was_open {
            self.outbox.write_all_memories();
        } else {
            self.was_open = true;
            let memories = store.memories();
            self.outbox.recollect(&memories);
            if self.first.is_some() {
                // Nobody was told of trouble, save that it took long.
                self.outbox.heal();
                if !self.answer(memories) {
                    tracing::info!("the journal in {} has opened after all", self.dir.display());
                }
            }
        }
        if !self.was_checked {
            store.check()?;
            self.was_checked = true;
        }
        let mut retention = Retention::default();
        loop {
            let batch = if retention.is_at_work() && !self.outbox.is_closing() {
                self.outbox.take()
            } else {
                match self.outbox.wait() {
                    Some(batch) => batch,
                    None => return Ok(()),
                }
            };
            if !batch.is_empty() {
                if let Err(error) = store.keep(&batch) {
                    self.outbox.give_back(batch);
                    return Err(error);
                }
                retention.wrote(batch.entries.len());
                for tell in batch.entries.into_iter().filter_map(|queued| queued.tell) {
                    // Whoever asked may have stopped waiting.
                    let _ = tell.send(());
                }
            }
            self.wrote();
            retention.step(&mut store)?;
        }
    }

    /// The file was written, all that waited with it.
    fn wrote(&mut self) {
        self.retry_in = RETRY_FIRST;
        if let Some(lost) = self.outbox.heal() {
            let dir = self.dir.display();
            tracing::info!(lost, "the journal in {dir} is written again, with all that waited for it");
        }
    }

    /// Tells whoever waits what was remembered; whether somebody still did.
    fn answer(&mut self, memories: Vec<Remembered>) -> bool {
        self.first.take().is_some_and(|first| first.send(memories).is_ok())
    }
}

impl<Open> Drop for Writer<Open> {
    fn drop(&mut self) {
        if !self.outbox.is_closing() {
            degrade(&self.outbox, &JournalError::Thread);
        }
        self.outbox.end();
    }
}

fn degrade(outbox: &Outbox, error: &JournalError) {
    let trouble = error.in_words();
    if outbox.degrade(&trouble) {
        tracing::warn!("the journal is kept in memory only: {trouble}");
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt as _;
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Mutex, mpsc};
    use std::time::Duration;

    use tokio::time::timeout;

    use super::super::{Entry, Journal, Remembered, read};
    use super::*;
    use crate::clock::instant_now;
    use crate::model::ServiceName;

    const DEADLINE: Duration = Duration::from_secs(20);
    const BLINK: Duration = Duration::from_millis(5);

    #[tokio::test]
    async fn a_full_disk_loses_nothing_that_memory_can_hold_and_heals() {
        let trouble = heals_from("PRAGMA max_page_count = 40").await;
        assert!(trouble.contains("no room") && trouble.contains("free space"), "{trouble}");
    }

    #[tokio::test]
    async fn a_disk_that_can_only_be_read_loses_nothing_that_memory_can_hold_and_heals() {
        let trouble = heals_from("PRAGMA query_only = 1").await;
        assert!(trouble.contains("cannot be written"), "{trouble}");
    }

    /// The trouble that this makes.
    async fn heals_from(sabotage: &'static str) -> String {
        let dir = tempfile::tempdir().unwrap();
        let is_bad = Arc::new(AtomicBool::new(true));
        let bad = Arc::clone(&is_bad);
        let (journal, _) = Journal::open_with(dir.path(), DEADLINE, move |files| {
            let store = Store::open(files)?;
            if bad.load(Ordering::Relaxed) {
                store.run(sabotage);
            }
            Ok(store)
        });
        (1..=499).for_each(|number| journal.record(entry(number)));
        let told = journal.record_and_tell(entry(500));
        journal.remember(vec![memory()]);
        assert!(timeout(DEADLINE, told).await.unwrap().is_err(), "it said that it is on disk");
        until("it is in trouble", || journal.health().trouble.is_some());
        let trouble = journal.health().trouble.unwrap();
        (501..=1_000).for_each(|number| journal.record(entry(number)));
        assert!(timeout(DEADLINE, journal.record_and_tell(entry(1_001))).await.unwrap().is_err());

        is_bad.store(false, Ordering::Relaxed);
        until("it heals", || journal.health().trouble.is_none());
        assert_eq!(journal.health().lost, 0);
        assert!(timeout(DEADLINE, journal.record_and_tell(entry(1_002))).await.unwrap().is_ok());
        assert!(numbers(dir.path()).iter().copied().eq(1..=1_002));
        assert!(journal.close(DEADLINE).await);
        drop(journal);
        assert_eq!(Journal::open(dir.path(), DEADLINE).1, [memory()]);
        trouble
    }

    #[tokio::test]
    async fn a_file_that_is_damaged_while_it_is_in_use_is_set_aside_and_nothing_after_that_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let (journal, _) = Journal::open_with(dir.path(), DEADLINE, |files| {
            let store = Store::open(files)?;
            // What it holds in memory, it does not read again.
            store.run("PRAGMA cache_size = 1");
            Ok(store)
        });
        journal.remember(vec![memory()]);
        (1..=5_000).for_each(|number| journal.record(entry(number)));
        assert!(timeout(DEADLINE, journal.record_and_tell(entry(0))).await.unwrap().is_ok());
        let path = dir.path().join("journal.db");
        rusqlite::Connection::open(&path).unwrap().execute_batch("PRAGMA wal_checkpoint").unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.write_all_at(
            &vec![0xff; usize::try_from(file.metadata().unwrap().len()).unwrap() - 4_096],
            4_096,
        )
        .unwrap();

        assert!(timeout(DEADLINE, journal.record_and_tell(entry(5_001))).await.unwrap().is_ok());
        assert_eq!(numbers(dir.path()), [5_001]);
        assert!(journal.close(DEADLINE).await);
        drop(journal);
        let names = std::fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().file_name());
        assert_eq!(names.filter(|name| name.to_str().unwrap().contains(".corrupt-")).count(), 1);
        assert_eq!(Journal::open(dir.path(), DEADLINE).1, [memory()]);
    }

    #[tokio::test]
    async fn a_disk_that_hangs_stops_nobody_and_gets_the_latest_entries_once_it_answers() {
        let dir = tempfile::tempdir().unwrap();
        let (release, hangs) = mpsc::channel::<()>();
        let hangs = Mutex::new(hangs);
        let (journal, remembered) = Journal::open_with(dir.path(), BLINK, move |files| {
            hangs.lock().unwrap().recv().ok();
            Store::open(files)
        });
        assert_eq!(remembered, []);
        let trouble = journal.health().trouble.unwrap();
        assert!(trouble.contains("has not opened within 5ms"), "{trouble}");
        (1..=10_005).for_each(|number| journal.record(entry(number)));
        assert_eq!(journal.health().lost, 5);
        assert!(!journal.clone().close(Duration::ZERO).await, "it cannot have ended");

        drop(release);
        assert!(journal.close(DEADLINE).await);
        assert!(numbers(dir.path()).iter().copied().eq(6..=10_005));
        assert_eq!(journal.health().trouble, None);
    }

    #[tokio::test]
    async fn a_thread_that_panics_stops_nobody_and_is_told_of() {
        let dir = tempfile::tempdir().unwrap();
        let (journal, remembered) = Journal::open_with(dir.path(), DEADLINE, |_| panic!("on purpose"));
        assert_eq!(remembered, []);
        until("it is told of", || {
            journal.health().trouble.is_some_and(|trouble| trouble.contains("restart"))
        });
        assert!(timeout(DEADLINE, journal.record_and_tell(entry(1))).await.unwrap().is_err());
        assert!(journal.close(DEADLINE).await);
    }

    #[tokio::test]
    async fn a_journal_in_trouble_is_tried_once_more_when_it_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        let is_bad = AtomicBool::new(true);
        let (journal, _) = Journal::open_with(dir.path(), DEADLINE, move |files| {
            let store = Store::open(files)?;
            if is_bad.swap(false, Ordering::Relaxed) {
                store.run("PRAGMA query_only = 1");
            }
            Ok(store)
        });
        journal.record(entry(1));
        until("it is in trouble", || journal.health().trouble.is_some());
        assert!(journal.close(DEADLINE).await);
        assert_eq!(numbers(dir.path()), [1]);
    }

    fn entry(number: u32) -> Entry {
        Entry::ReloadRefused { message: format!("{}, number {number}", "x".repeat(400)) }
    }

    fn memory() -> Remembered {
        Remembered {
            service: ServiceName::parse("a").unwrap(),
            saved: Duration::from_secs(7),
            state: "{}".to_owned(),
        }
    }

    fn numbers(dir: &Path) -> Vec<u32> {
        let rows = read(dir, Duration::ZERO, usize::MAX).unwrap();
        rows.iter().map(|row| row.message.rsplit(' ').next().unwrap().parse().unwrap()).collect()
    }

    #[track_caller]
    fn until(what: &str, mut so: impl FnMut() -> bool) {
        let end = instant_now() + DEADLINE;
        while !so() {
            assert!(instant_now() < end, "waited for too long: {what}");
            std::thread::sleep(BLINK);
        }
    }
}

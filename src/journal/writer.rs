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

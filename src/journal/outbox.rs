//! What is still to be written, between those who tell and the thread that writes.
//!
//! A lock is held for as long as it takes to move a few words, never while anything is written, so that nobody
//! waits for the disk (KEEP-WATCHING). While the disk cannot be written, the queue is the journal: its latest
//! entries wait here for better times.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{Entry, Health, Remembered};
use crate::model::ServiceName;

/// How many entries wait for the disk; past that the oldest is dropped and counted. At two services that fail over
/// daily this is a year of them, and in a storm some 3 MB.
const ENTRIES_MAX: usize = 10_000;

/// An entry and when it happened.
#[derive(Debug)]
pub(super) struct Queued {
    /// Wall time since 1970.
    pub(super) at: Duration,
    pub(super) entry: Entry,
    /// Who waits for it to be on disk.
    pub(super) tell: Option<oneshot::Sender<()>>,
}

/// What is written in one transaction.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) entries: VecDeque<Queued>,
    /// What is to be remembered of a service; none forgets it.
    pub(super) memories: Vec<(ServiceName, Option<Arc<Remembered>>)>,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.memories.is_empty()
    }
}

pub(super) struct Outbox {
    inside: Mutex<Inside>,
    news: Condvar,
    ended: CancellationToken,
}

#[derive(Default)]
struct Inside {
    entries: VecDeque<Queued>,
    /// The latest of each service, written or not, for a journal that is made anew.
    memories: BTreeMap<ServiceName, Arc<Remembered>>,
    /// The services whose memory is to be written, or struck out.
    changed: BTreeSet<ServiceName>,
    lost: u64,
    trouble: Option<String>,
    closing: bool,
}

impl Inside {
    fn push(&mut self, queued: Queued) {
        if self.entries.len() >= ENTRIES_MAX {
            self.entries.pop_front();
            self.lost += 1;
        }
        self.entries.push_back(queued);
    }

    fn take(&mut self) -> Batch {
        let changed = std::mem::take(&mut self.changed);
        let latest = |service: ServiceName| {
            let memory = self.memories.get(&service).cloned();
            (service, memory)
        };
        Batch {
            memories: changed.into_iter().map(latest).collect(),
            entries: std::mem::take(&mut self.entries),
        }
    }
}

/// For those who tell.
impl Outbox {
    /// One that is in this trouble until it is known to be in none.
    pub(super) fn new(trouble: String) -> Self {
        let inside = Inside { trouble: Some(trouble), ..Inside::default() };
        Self { inside: Mutex::new(inside), news: Condvar::new(), ended: CancellationToken::new() }
    }

    pub(super) fn push(&self, mut queued: Queued) {
        let mut inside = self.lock();
        if inside.trouble.is_some() || self.ended.is_cancelled() {
            queued.tell = None;
        }
        inside.push(queued);
        self.news.notify_one();
    }

    pub(super) fn remember(&self, memories: Vec<Remembered>) {
        let mut inside = self.lock();
        for memory in memories {
            inside.changed.insert(memory.service.clone());
            inside.memories.insert(memory.service.clone(), Arc::new(memory));
        }
        self.news.notify_one();
    }

    pub(super) fn forget(&self, service: &ServiceName) {
        let mut inside = self.lock();
        inside.changed.insert(service.clone());
        inside.memories.remove(service);
        self.news.notify_one();
    }

    pub(super) fn health(&self) -> Health {
        let inside = self.lock();
        Health { trouble: inside.trouble.clone(), lost: inside.lost }
    }

    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.news.notify_one();
    }

    /// Waits until the thread that writes has ended.
    pub(super) async fn ended(&self) {
        self.ended.cancelled().await;
    }
}

/// For the thread that writes.
impl Outbox {
    /// Tells that the thread has ended.
    pub(super) fn end(&self) {
        self.ended.cancel();
    }

    /// What there is now, if anything.
    pub(super) fn take(&self) -> Batch {
        self.lock().take()
    }

    /// Waits until there is something to write; none when nothing more will come.
    pub(super) fn wait(&self) -> Option<Batch> {
        let nothing =
            |inside: &mut Inside| inside.entries.is_empty() && inside.changed.is_empty() && !inside.closing;
        let inside = self.news.wait_while(self.lock(), nothing);
        let batch = inside.unwrap_or_else(PoisonError::into_inner).take();
        (!batch.is_empty()).then_some(batch)
    }

    /// Waits this long, or until it is closed.
    pub(super) fn pause(&self, how_long: Duration) {
        let open = |inside: &mut Inside| !inside.closing;
        drop(self.news.wait_timeout_while(self.lock(), how_long, open));
    }

    pub(super) fn is_closing(&self) -> bool {
        self.lock().closing
    }

    /// Takes in what an earlier process remembered, unless there is word of the service since.
    pub(super) fn recollect(&self, memories: &[Remembered]) {
        let mut inside = self.lock();
        for memory in memories {
            if !inside.changed.contains(&memory.service) {
                inside.memories.entry(memory.service.clone()).or_insert_with(|| Arc::new(memory.clone()));
            }
        }
    }

    /// All that is remembered is to be written once more: the file may be another one.
    pub(super) fn write_all_memories(&self) {
        let mut inside = self.lock();
        let all: Vec<ServiceName> = inside.memories.keys().cloned().collect();
        inside.changed.extend(all);
    }

    /// Puts back what could not be written. What came since is newer; if it is too much, the oldest goes.
    pub(super) fn give_back(&self, batch: Batch) {
        let mut inside = self.lock();
        let since = std::mem::replace(&mut inside.entries, batch.entries);
        for queued in since {
            inside.push(queued);
        }
        inside.changed.extend(batch.memories.into_iter().map(|(service, _)| service));
    }

    /// The disk cannot be written: whoever waits for it waits no longer. Whether that is news.
    pub(super) fn degrade(&self, trouble: &str) -> bool {
        let mut inside = self.lock();
        inside.entries.iter_mut().for_each(|queued| queued.tell = None);
        let before = inside.trouble.replace(trouble.to_owned());
        before.as_deref() != Some(trouble)
    }

    /// The disk can be written. Whether that is news, with the number of entries that were lost until now.
    pub(super) fn heal(&self) -> Option<u64> {
        let mut inside = self.lock();
        inside.trouble.take().map(|_| inside.lost)
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        // Nothing under the lock can fail half-way, so what a panic elsewhere left is whole.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_there_is_no_room_the_oldest_entries_give_way_and_are_counted() {
        let outbox = Outbox::new("the disk is full".to_owned());
        for at in 0..ENTRIES_MAX + 2 {
            let at = Duration::from_secs(u64::try_from(at).unwrap());
            outbox.push(Queued { at, entry: Entry::Stopped, tell: None });
        }
        assert_eq!(outbox.health().lost, 2);
        let entries = outbox.take().entries;
        assert_eq!((entries.len(), entries[0].at), (ENTRIES_MAX, Duration::from_secs(2)));
    }
}

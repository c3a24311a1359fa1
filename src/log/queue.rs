//! Lines on their way to stderr: a bounded queue, so that nobody who logs waits for whoever reads (KEEP-WATCHING).
//!
//! A thread of its own writes. A line that finds no room is dropped and counted; once there is room again, a line says how
//! many were. `tracing-appender` does the like, but its end prints to the very pipe that nobody reads, and hangs there.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// What waits for a reader at most: 4 MiB, the 20,000 lines of 5,000 regions that die at once.
const BYTES_MAX: usize = 4 << 20;

/// How many log lines were lost since the start. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct DroppedLines(Arc<AtomicU64>);

impl DroppedLines {
    /// The number of lines until now.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn one_more(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Takes lines and returns at once. Clones are the same.
#[derive(Clone)]
pub(super) struct Queue {
    shared: Arc<Shared>,
    dropped: DroppedLines,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// There is a line to write.
    news: Condvar,
    /// Every line is written.
    done: Condvar,
}

#[derive(Default)]
struct Waiting {
    lines: VecDeque<Box<[u8]>>,
    /// Of all lines, the one that is being written among them.
    bytes: usize,
}

impl Queue {
    /// Starts the thread that writes to `sink`.
    ///
    /// # Errors
    /// When the system has no thread for it.
    pub(super) fn start(sink: impl Write + Send + 'static) -> io::Result<Self> {
        let queue = Self { shared: Arc::default(), dropped: DroppedLines::default() };
        let (shared, dropped) = (Arc::clone(&queue.shared), queue.dropped.clone());
        thread::Builder::new().name("log".to_owned()).spawn(move || shared.write_all(sink, &dropped))?;
        Ok(queue)
    }

    /// The lines that were lost.
    pub(super) fn dropped(&self) -> DroppedLines {
        self.dropped.clone()
    }

    /// Waits until every line is written, or for so long.
    pub(super) fn flush(&self, within: Duration) {
        let unwritten = |waiting: &mut Waiting| waiting.bytes > 0;
        drop(self.shared.done.wait_timeout_while(self.shared.lock(), within, unwritten));
    }
}

impl Write for Queue {
    /// Takes one whole line, or drops it: whoever logs can do nothing about it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut waiting = self.shared.lock();
        if waiting.bytes.saturating_add(line.len()) > BYTES_MAX {
            self.dropped.one_more();
        } else {
            waiting.bytes += line.len();
            waiting.lines.push_back(line.into());
            self.shared.news.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    /// Writes for as long as the process lives. A line that the sink does not take is lost like one without room.
    fn write_all(&self, mut sink: impl Write, dropped: &DroppedLines) {
        let mut told = 0;
        loop {
            let line = self.next();
            let is_written = sink.write_all(&line).is_ok();
            if !is_written {
                dropped.one_more();
            }
            let lost = dropped.count();
            // With the queue nearly full, or a sink that takes nothing, this line would be lost itself.
            if self.written(line.len()) < BYTES_MAX / 2 && is_written && lost > told {
                tracing::warn!(lines = lost - told, "log lines were dropped: nobody read them in time");
                told = lost;
            }
        }
    }

    fn next(&self) -> Box<[u8]> {
        let mut waiting = self.lock();
        loop {
            if let Some(line) = waiting.lines.pop_front() {
                return line;
            }
            waiting = self.news.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// So many bytes are written. Returns how many more wait.
    fn written(&self, bytes: usize) -> usize {
        let mut waiting = self.lock();
        waiting.bytes = waiting.bytes.saturating_sub(bytes);
        if waiting.bytes == 0 {
            self.done.notify_all();
        }
        waiting.bytes
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing under the lock can fail half-way, so what a panic elsewhere left is whole.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};

    use super::*;

    #[test]
    fn a_sink_that_nobody_reads_holds_up_nobody_and_gets_what_there_was_room_for_afterwards() {
        let (reader, sink) = io::pipe().unwrap();
        let mut queue = Queue::start(sink).unwrap();
        let line = [&[b'x'; 1_023][..], b"\n"].concat();
        let lines = 2 * BYTES_MAX / line.len();
        for _ in 0..lines {
            queue.write_all(&line).unwrap();
        }
        // A pipe takes some as well.
        let lost = usize::try_from(queue.dropped().count()).unwrap();
        assert!(0 < lost && lost <= lines / 2, "{lost} of {lines} were dropped");
        Write::flush(&mut queue).unwrap();
        let kept = BufReader::new(reader).lines().take(lines - lost);
        assert!(kept.map(Result::unwrap).all(|read| read.len() == line.len() - 1));
        Queue::flush(&queue, Duration::from_secs(60));
        assert_eq!(queue.shared.lock().bytes, 0);
    }

    #[test]
    fn a_flush_waits_for_nobody_who_does_not_read_for_longer_than_it_may() {
        let (_reader, sink) = io::pipe().unwrap();
        let mut queue = Queue::start(sink).unwrap();
        queue.write_all(&vec![b'x'; BYTES_MAX]).unwrap();
        Queue::flush(&queue, Duration::from_millis(1));
        assert!(queue.shared.lock().bytes > 0);
    }

    #[test]
    fn lines_that_the_sink_refuses_are_counted() {
        let (reader, sink) = io::pipe().unwrap();
        drop(reader);
        let mut queue = Queue::start(sink).unwrap();
        for _ in 0..3 {
            queue.write_all(b"to nobody\n").unwrap();
        }
        Queue::flush(&queue, Duration::from_secs(60));
        assert_eq!(queue.dropped().count(), 3, "and nothing more is said to nobody");
    }
}

//! The journal as far as a restart depends on it: what is remembered of each service, and when that is on disk.
//!
//! As in the daemon, a thread takes all that waits into one transaction and then the next; what it had not
//! committed when the process is killed is lost.

use std::collections::BTreeMap;
use std::rc::Rc;

use pointsman::core::Core;
use pointsman::model::{Moment, ServiceName};

use super::event::JournalFault;
use super::judge::Remembered;
use super::play::{Simulation, Step};
use super::process::Process;
use super::settings::place_of_service;

/// What is to be remembered of a service: the core itself, since its memory is made into a text only when somebody reads that.
#[derive(Debug)]
pub(crate) struct Saved {
    pub(crate) core: Rc<Core>,
    pub(crate) moment: Moment,
    pub(crate) at: i64,
    pub(crate) wall: i64,
    /// What the judge knew then.
    pub(crate) judge: Remembered,
}

/// What outlives the process.
#[derive(Debug)]
pub(crate) struct Disk {
    /// By the place of the service.
    pub(crate) saved: BTreeMap<usize, Rc<Saved>>,
    pub(crate) fault: JournalFault,
    /// The file is gone when somebody looks for it next.
    pub(crate) is_lost: bool,
}

impl Default for Disk {
    fn default() -> Self {
        Self { saved: BTreeMap::new(), fault: JournalFault::Well, is_lost: false }
    }
}

/// What waits for the disk.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    waiting: Batch,
    committing: Option<Batch>,
}

#[derive(Debug, Default)]
struct Batch {
    saved: BTreeMap<usize, Rc<Saved>>,
    tickets: Vec<u64>,
    entries: u64,
}

impl Disk {
    /// A transaction that was under way when the process was killed is whole, or it is not there.
    pub(crate) fn killed(&mut self, process: Process, drawn: u64) {
        if let Some(batch) = process.outbox.committing.filter(|_| drawn.is_multiple_of(2)) {
            self.saved.extend(batch.saved);
        }
    }
}

impl Simulation<'_> {
    /// Keeps these services' memory as it is now. Where no process can start any more, that takes its time all the same, and
    /// nothing is kept: nobody would ever read it.
    pub(crate) fn remember(&mut self, core: &Core, services: &[ServiceName]) {
        let Some(process) = &mut self.process else { return };
        if self.now > self.last_kill_ms && self.death.is_none() {
            process.outbox.waiting.entries += 1;
            return self.write_journal();
        }
        let core = Rc::new(core.clone());
        let (moment, at, wall) = (process.moment(self.now), self.now, self.now + self.wall_ahead_ms);
        for service in services.iter().map(place_of_service) {
            let judge = self.services[service].judge.remember();
            let saved = Saved { core: Rc::clone(&core), moment, at, wall, judge };
            process.outbox.waiting.saved.insert(service, Rc::new(saved));
        }
        self.write_journal();
    }

    /// Keeps an entry; who holds the ticket wants to know when it is on disk.
    pub(crate) fn keep_entry(&mut self, ticket: Option<u64>) {
        let is_away = self.disk.fault == JournalFault::Away;
        let Some(process) = &mut self.process else { return };
        process.outbox.waiting.entries += 1;
        match ticket {
            // A journal in trouble tells nobody to wait.
            Some(ticket) if is_away => self.kept(ticket, Kept::Never),
            Some(ticket) => process.outbox.waiting.tickets.push(ticket),
            None => {}
        }
        self.write_journal();
    }

    /// Begins a transaction if there is something to write and none is under way.
    pub(crate) fn write_journal(&mut self) {
        let takes_ms = match self.disk.fault {
            JournalFault::Well | JournalFault::Lost => 2 + i64::try_from(self.drawn(3) % 20).unwrap_or(0),
            JournalFault::Slow(ms) => i64::try_from(ms).unwrap_or(0),
            JournalFault::Away => return,
        };
        let Some(process) = &mut self.process else { return };
        let outbox = &mut process.outbox;
        let is_idle = outbox.waiting.saved.is_empty() && outbox.waiting.entries == 0;
        if outbox.committing.is_none() && !is_idle {
            outbox.committing = Some(std::mem::take(&mut outbox.waiting));
            let process = process.number;
            self.push(self.now + takes_ms, Step::Committed { process });
        }
    }

    pub(crate) fn committed(&mut self) {
        let Some(batch) = self.process.as_mut().and_then(|process| process.outbox.committing.take()) else {
            return;
        };
        self.disk.saved.extend(batch.saved);
        for ticket in batch.tickets {
            self.kept(ticket, Kept::OnDisk);
        }
        self.write_journal();
    }
}

/// What became of an entry that somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    OnDisk,
    /// The journal says that it will not be.
    Never,
    /// It took too long.
    NotInTime,
}

//! What outlives the process of each service: handed to the journal when it changes, taken back at the start.
//!
//! A start goes on from here (NO-JUMP-ON-START). What the journal does not have starts as new.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::wall_time;
use crate::core::{Core, ServiceMemory};
use crate::journal::{Journal, Remembered};
use crate::model::{Moment, Service, ServiceName};

/// So often everything is kept anew although nothing changed, so that a start after a hard end knows how long ago the
/// last look was. Five minutes leave an idle disk asleep.
const NOW_AND_THEN: Duration = Duration::from_secs(5 * 60);
/// The same while a region waits for its return: what it has waited is not to be waited again.
const WHILE_WAITING: Duration = Duration::from_secs(5);

/// After this every row of looks is forgotten: in place of a time that nobody knows.
const LONG_AGO: Duration = Duration::from_secs(24 * 60 * 60);

/// What the journal knew of one service at the start.
#[derive(Debug)]
pub(super) struct Recollection {
    /// How long ago it was so, for what looks saw.
    pub(super) gap: Duration,
    /// The same for how often was written.
    pub(super) writes_gap: Duration,
    pub(super) memory: ServiceMemory,
}

/// Keeps what is to be remembered.
#[derive(Debug)]
pub(super) struct Memory {
    journal: Journal,
    services: Vec<ServiceName>,
    kept_all: Moment,
}

/// What the journal gave back, as far as it makes sense.
pub(super) fn recollect(remembered: Vec<Remembered>) -> Vec<Recollection> {
    let now = wall_time();
    let understood = remembered.into_iter().filter_map(|Remembered { service, saved, state }| {
        match serde_json::from_str::<ServiceMemory>(&state) {
            Ok(memory) => {
                let (gap, writes_gap) = gaps(saved, now);
                Some(Recollection { gap, writes_gap, memory })
            }
            Err(error) => {
                tracing::warn!(%service, "the journal's memory of the service makes no sense, it starts as new: {error}");
                None
            }
        }
    });
    understood.collect()
}

/// How long ago `saved` is. When the wall clock went back nobody knows: then what looks saw is no evidence any more, and every
/// write has just been made, so that neither makes anything sooner than it may be (NO-JUMP-ON-START).
fn gaps(saved: Duration, now: Duration) -> (Duration, Duration) {
    match now.checked_sub(saved) {
        Some(gap) => (gap, gap),
        None => (LONG_AGO, Duration::ZERO),
    }
}

impl Memory {
    pub(super) fn new(journal: Journal, services: &[Arc<Service>], now: Moment) -> Self {
        Self { journal, services: names(services), kept_all: now }
    }

    /// These services are watched from now on; the others are forgotten.
    pub(super) fn keep_only(&mut self, services: &[Arc<Service>]) {
        let after = names(services);
        for gone in self.services.iter().filter(|name| !after.contains(name)) {
            self.journal.forget(gone);
        }
        self.services = after;
    }

    /// Whatever changed since last time.
    pub(super) fn keep_changed(&self, core: &mut Core, now: Moment) {
        let changed = core.take_changed();
        if !changed.is_empty() {
            self.keep(core, &changed, now);
        }
    }

    /// Everything, if it is time.
    pub(super) fn keep_now_and_then(&mut self, core: &Core, now: Moment) {
        let often = if core.next_wake().is_some() { WHILE_WAITING } else { NOW_AND_THEN };
        if now.since(self.kept_all) >= often {
            self.keep_all(core, now);
        }
    }

    /// Everything, as it is now.
    pub(super) fn keep_all(&mut self, core: &Core, now: Moment) {
        self.kept_all = now;
        self.keep(core, &self.services, now);
    }

    fn keep(&self, core: &Core, services: &[ServiceName], now: Moment) {
        let saved = wall_time();
        let memories = services.iter().filter_map(|service| {
            // Plain values always have a text.
            let state = serde_json::to_string(&core.memory(service, now)?).ok()?;
            Some(Remembered { service: service.clone(), saved, state })
        });
        self.journal.remember(memories.collect());
    }
}

fn names(services: &[Arc<Service>]) -> Vec<ServiceName> {
    services.iter().map(|service| service.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wall_clock_that_went_back_makes_old_looks_no_evidence_and_old_writes_new() {
        let at = Duration::from_secs;
        assert_eq!(gaps(at(100), at(103)), (at(3), at(3)));
        assert_eq!(gaps(at(100), at(99)), (LONG_AGO, at(0)));
    }
}

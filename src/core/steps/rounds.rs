//! When what is to be remembered of services is kept anew although nothing changed.

use std::time::Duration;

use crate::core::Core;
use crate::model::{Moment, ServiceName};

/// So often everything is kept anew although nothing changed, so that a start after a hard end knows how long ago the
/// last probe was. Five minutes leave an idle disk asleep.
const NOW_AND_THEN: Duration = Duration::from_secs(5 * 60);
/// The same of a service that waits for a time, as for the return of a region: what it has waited is not to be waited again.
const WHILE_WAITING: Duration = Duration::from_secs(5);
/// A round of keeping takes several turns, of this many services at least: some 5 ms. Few services are kept in one turn, so
/// that the disk sleeps again.
const BATCH: usize = 100;

/// Both rounds of keeping; one turn of each a second.
#[derive(Clone, Debug)]
pub(super) struct Rounds {
    everything: Round,
    waiting: Round,
}

impl Rounds {
    pub(super) fn new(now: Moment) -> Self {
        Self { everything: Round::new(NOW_AND_THEN, now), waiting: Round::new(WHILE_WAITING, now) }
    }

    /// The services that are to be kept now.
    pub(super) fn due(&mut self, core: &Core, now: Moment) -> Vec<ServiceName> {
        let mut due = self.everything.turn(now, || core.services().cloned().collect());
        due.extend(self.waiting.turn(now, || core.waiting().cloned().collect()));
        due
    }
}

/// Keeps services anew every so often, a few each second.
#[derive(Clone, Debug)]
struct Round {
    every: Duration,
    began: Moment,
    left: Vec<ServiceName>,
    /// How many are kept in one turn: all of them are within `every`.
    at_once: usize,
}

impl Round {
    fn new(every: Duration, now: Moment) -> Self {
        Self { every, began: now, left: Vec::new(), at_once: BATCH }
    }

    /// The services whose turn it is now; a new round is of those who are `due`.
    fn turn(&mut self, now: Moment, due: impl FnOnce() -> Vec<ServiceName>) -> Vec<ServiceName> {
        if self.left.is_empty() && now.since(self.began) >= self.every {
            self.began = now;
            self.left = due();
            let turns = usize::try_from(self.every.as_secs()).unwrap_or(usize::MAX).max(1);
            self.at_once = self.left.len().div_ceil(turns).max(BATCH);
        }
        self.left.split_off(self.left.len().saturating_sub(self.at_once))
    }
}

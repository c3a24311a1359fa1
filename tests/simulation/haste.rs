//! How soon a region that is down leaves the set, and one that comes to the rescue enters it, while the faults go on:
//! within [`BOUND_MS`] of an API that is well. `judge` says what is due by what was told, in its own words.

use std::collections::BTreeMap;

use super::driver::At;
use super::judge::{Due, Judged, holds};
use super::play::Simulation;

/// After a throttle a removal has a try every 15 s, after other trouble every 10 s; then it is read, kept and written.
const BOUND_MS: i64 = 15_000 + 2_000;
/// So often is looked.
const LOOKED_EVERY_MS: i64 = 500;

/// What is due, and since when the API has been well meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Haste {
    looked_at: i64,
    due: BTreeMap<Due, i64>,
}

impl Simulation<'_> {
    pub(crate) fn judge_haste(&mut self) -> Judged {
        if self.now - self.haste.looked_at < LOOKED_EVERY_MS {
            return Ok(());
        }
        self.haste.looked_at = self.now;
        let due = if self.api_is_well() { self.due() } else { Vec::new() };
        self.haste.due.retain(|it, _| due.contains(it));
        for due in due {
            let since = *self.haste.due.entry(due).or_insert_with(|| {
                self.coverage.count(match due {
                    Due::Leaves(_) => "removals that were due",
                    Due::Enters(_) => "rescues that were due",
                });
                self.now
            });
            let waits_ms = self.now - since;
            holds!(waits_ms <= BOUND_MS, "no death missed", "{due:?} for {waits_ms} ms of a well API");
        }
        Ok(())
    }

    fn due(&self) -> Vec<Due> {
        self.cloud.held.as_ref().map(|held| self.judge.due(&held.values)).unwrap_or_default()
    }

    /// Whether nothing is wrong between the core and the zone.
    fn api_is_well(&self) -> bool {
        let Some((process, held)) = self.process.as_ref().zip(self.cloud.held.as_ref()) else { return false };
        let calls_well = match process.driver.at {
            At::Dead => false,
            // It began in the trouble that is over.
            At::Calling(id) => self.calls.get(&id).is_none_or(|flight| !flight.has_fault()),
            At::Stepping | At::AwaitingKept(_) | At::Resting => true,
        };
        let cloud = &self.cloud;
        calls_well
            && (cloud.reads, cloud.writes, cloud.outage(self.now)) == (None, None, None)
            && !(held.withheld || held.failed || held.pending_until > self.now)
            && self.lag_ms <= 5
    }
}

//! How soon a region that is down leaves the set, and one that comes to the rescue enters it, while the faults go on:
//! within [`BOUND_MS`] of an API that is well. `judge` says what is due by what was told, in its own words.

use std::collections::BTreeMap;

use super::driver::At;
use super::judge::{Due, Judged, holds};
use super::play::Simulation;
use super::service::OneService;

/// After a throttle a removal has a try every 15 s, after other trouble every 10 s; then it is read, kept and written.
const BOUND_MS: i64 = 15_000 + 2_000;
/// Where calls of all services use up what the account may in a minute, it takes up to a minute more.
const USED_UP_MS: i64 = 60_000;
/// A change of somebody's takes so long to be in force, which keeps no write waiting.
const A_MOMENT_MS: i64 = 200;
/// So often is looked.
const LOOKED_EVERY_MS: i64 = 500;

/// What is due, and since when the API has been well meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Haste {
    looked_at: i64,
    due: BTreeMap<Due, i64>,
}

impl Haste {
    /// Another program undid what was written: what is due then is due anew.
    pub(crate) fn is_undone(&mut self) {
        self.due.clear();
    }
}

impl Simulation<'_> {
    pub(crate) fn judge_haste(&mut self) -> Judged {
        for service in 0..self.services.len() {
            if self.now - self.services[service].haste.looked_at >= LOOKED_EVERY_MS {
                self.judge_haste_of(service)?;
            }
        }
        Ok(())
    }

    fn judge_haste_of(&mut self, service: usize) -> Judged {
        let due = if self.api_is_well(service) { self.due(service) } else { Vec::new() };
        let haste = &mut self.services[service].haste;
        haste.looked_at = self.now;
        haste.due.retain(|it, _| due.contains(it));
        for due in due {
            let since = *haste.due.entry(due).or_insert_with(|| {
                self.coverage.count(match due {
                    Due::Leaves(_) => "removals that were due",
                    Due::Enters(_) => "rescues that were due",
                });
                self.now
            });
            let waits_ms = self.now - since;
            let bound_ms = if self.account.is_limited() { BOUND_MS + USED_UP_MS } else { BOUND_MS };
            holds!(waits_ms <= bound_ms, "no death missed", "{due:?} for {waits_ms} ms of a well API");
        }
        Ok(())
    }

    fn due(&self, service: usize) -> Vec<Due> {
        let OneService { cloud, judge, .. } = &self.services[service];
        cloud.held.as_ref().map(|held| judge.due(&held.values)).unwrap_or_default()
    }

    /// Whether nothing is wrong between the core and the record set of this service.
    fn api_is_well(&self, service: usize) -> bool {
        let held = self.services[service].cloud.held.as_ref();
        let Some((process, held)) = self.process.as_ref().zip(held) else { return false };
        let calls_well = match process.tasks[service].driver.at {
            At::Dead => false,
            // It began in the trouble that is over.
            At::Calling(id) => {
                self.calls.get(&id).is_none_or(|flight| flight.is_used_up || !flight.has_fault())
            }
            At::Stepping | At::AwaitingKept(_) | At::Resting => true,
        };
        let account = &self.account;
        calls_well
            && (account.reads, account.writes, account.outage(self.now)) == (None, None, None)
            && !(held.withheld || held.failed || held.pending_until > self.now + A_MOMENT_MS)
            && self.lag_ms <= 5
    }
}

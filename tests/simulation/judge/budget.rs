//! How often the record set is written, held against its budget (BOUNDED-WRITES).

use std::collections::BTreeSet;
use std::net::IpAddr;

use pointsman::model::{Found, InForce};

use super::writes::TURNS_MS;
use super::{Judge, Judged, Planned, Remembered, holds};
use crate::simulation::settings::Settings;

/// What the driver tells may take so long to be heard, and counts from then when the driver is started anew.
const LATE_MS: i64 = 3_000;
/// A region that is to leave, or to come to the rescue, waits for so long after the latest write at most.
const URGENT_MS: i64 = 30_000;

/// A write that counts against the budget.
#[derive(Clone, Debug)]
struct Counted {
    at: i64,
    generation: u64,
    /// Whether its intent was on disk before it was sent.
    is_kept: bool,
    /// How many times the driver had told by then what is to be remembered of its writes.
    remembers: u64,
}

/// A write that the journal may know of although it was not made.
#[derive(Clone, Debug)]
struct Maybe {
    at: i64,
    /// After how many times that the driver told what to remember the journal has it, and has it no more.
    from: u64,
    until: u64,
}

/// A write that is sent.
pub(super) struct Sent<'s> {
    /// When it was meant to be sent.
    pub(super) at: i64,
    pub(super) generation: u64,
    /// What the set holds before and after it.
    pub(super) before: &'s BTreeSet<IpAddr>,
    pub(super) after: &'s BTreeSet<IpAddr>,
}

/// The writes that count.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    /// How many times the driver told what to remember of its writes, and how often the core heard that.
    pub(super) remembers: u64,
    pub(super) remembers_heard: u64,
    counted: Vec<Counted>,
    /// Those that count only as far as the journal knows: meant when the process died, or refused and not told of.
    maybe: Vec<Maybe>,
    /// The generation of the last write and what was there before it, while it is on its way or its answer is lost, and
    /// no read was answered since. None for one that leaves the same values: no read can show that it did not land.
    pub(super) lost: Option<(u64, BTreeSet<IpAddr>)>,
    /// Which regions left by a write, or came to the rescue, and when.
    claimed: Vec<(i64, (usize, bool))>,
    /// Budgets that a reload replaced, and when.
    pub(super) replaced: Vec<(i64, u32)>,
    /// When a write was sent that a word of an operator may have earned.
    worded: Vec<i64>,
}

impl Budget {
    /// A write that was meant at that time will not be made: the journal may know of it.
    pub(super) fn meant_in_vain(&mut self, at: i64) {
        self.maybe.push(Maybe { at, from: self.remembers, until: u64::MAX });
    }

    /// How many writes count at most.
    fn most_within(&self, now: i64, window: i64) -> usize {
        let counted = self.counted.iter().map(|write| write.at);
        let maybe = self.maybe.iter().filter(|write| write.until == u64::MAX).map(|write| write.at);
        counted.chain(maybe).filter(|at| now - at < window).count()
    }

    /// The greatest generation of a write that was on disk before it was sent.
    pub(super) fn newest_kept(&self) -> u64 {
        let kept = self.counted.iter().filter(|write| write.is_kept).map(|write| write.generation);
        kept.max().unwrap_or(0)
    }

    /// A process starts: what its journal knows of counts, by the age that its wall clock gives it.
    pub(super) fn started(&mut self, now: i64, saved: Option<(i64, i64, &Remembered)>) {
        // What the dead process told and nobody heard is lost.
        self.remembers_heard = self.remembers;
        let Some((at, gap, then)) = saved else {
            self.counted.clear();
            self.maybe.clear();
            self.lost = None;
            return;
        };
        let heard = then.remembers_heard;
        self.counted.retain(|write| write.is_kept || write.remembers <= heard);
        for write in &mut self.counted {
            write.at = now - gap - (at - write.at);
        }
        self.maybe.retain(|write| (write.from..write.until).contains(&heard));
        for write in &mut self.maybe {
            *write = Maybe { at: now - gap - (at - write.at), until: u64::MAX, ..*write };
        }
    }

    /// The driver is started anew with what the core has heard of its writes.
    pub(super) fn driver_died(&mut self) {
        let heard = self.remembers_heard;
        for write in self.maybe.iter_mut().filter(|write| write.until > heard) {
            write.until = u64::MAX;
        }
        self.counted.retain(|write| write.remembers <= heard);
    }

    /// The latest write was refused: nothing was changed, so it does not count.
    pub(super) fn refused(&mut self) {
        self.lost = None;
        let refused = self.counted.pop();
        self.does_not_count(refused);
    }

    /// Takes in what a read found that is believed. Says whether that shows that the lost write did not land: then it does
    /// not count.
    pub(super) fn shows(&mut self, found: Option<&Found>) -> bool {
        let values = found.map(|found| found.values.clone()).unwrap_or_default();
        let has_failed = found.is_some_and(|found| found.in_force == InForce::Failed);
        let lost = self.lost.take().filter(|(_, before)| *before == values && !has_failed);
        let Some((generation, _)) = lost else { return false };
        let place = self.counted.iter().rposition(|it| it.generation == generation);
        let lost = place.map(|place| self.counted.remove(place));
        self.does_not_count(lost);
        true
    }

    fn does_not_count(&mut self, write: Option<Counted>) {
        let until = self.remembers + 1;
        self.maybe.extend(write.map(|it| Maybe { at: it.at, from: it.remembers, until }));
    }
}

impl Judge {
    /// A write is told to wait for the budget.
    pub(super) fn is_used_up(&self, now: i64) -> Judged {
        let (budget, window) = (self.settings.writes as usize, self.settings.window_s * 1000);
        let window = i64::try_from(window).unwrap_or(i64::MAX) + LATE_MS;
        let within = self.writes.budget.most_within(now, window);
        holds!(
            within >= budget || self.is_news,
            "BOUNDED-WRITES",
            "held though only {within} of {budget} writes count within {window} ms: {:?}",
            self.writes.budget.counted
        );
        Ok(())
    }

    /// A write is sent, and counts.
    pub(super) fn is_within_budget(&mut self, sent: &Sent, plan: &Planned, settings: &Settings) -> Judged {
        let Sent { at: intended, generation, before, after } = *sent;
        let window = i64::try_from(settings.window_s * 1000).unwrap_or(i64::MAX);
        let goes = |place: &usize, from: &BTreeSet<IpAddr>, to: &BTreeSet<IpAddr>| {
            self.is_in(*place, from) && !self.is_surely_in(*place, to)
        };
        let leave = self.views.keys().filter(|place| goes(place, before, after));
        let enter = self.views.keys().filter(|place| plan.is_rescue && goes(place, after, before));
        let claims = leave.map(|place| (*place, false)).chain(enter.map(|place| (*place, true)));
        let claims: Vec<(usize, bool)> = claims.collect();
        let is_kept = std::mem::take(&mut self.writes.is_kept);
        let writes = &mut self.writes.budget;
        writes.lost = (after != before).then(|| (generation, before.clone()));
        // By when it was meant to be sent, which is up to 250 ms before it is: the journal is waited for. It is told a
        // few milliseconds after it was meant.
        let is_recent = |at: i64| intended - at + TURNS_MS < window;
        let within = writes.counted.iter().filter(|write| is_recent(write.at)).count();
        // A budget that a reload has made smaller holds at once, save for those that have a write beyond it.
        writes.replaced.retain(|(until, _)| is_recent(*until));
        let larger = writes.replaced.iter().map(|(_, writes)| *writes).max().unwrap_or(0);
        let budget = if claims.is_empty() { settings.writes } else { settings.writes.max(larger) };
        // Beyond the budget there is one write for each region that left, and for each that came to the rescue. That one
        // goes in any case, also when a reload has made the budget smaller than what was written; and one may make the
        // window longer.
        let mut claimed: BTreeSet<(usize, bool)> =
            writes.claimed.iter().filter(|(at, _)| is_recent(*at)).map(|(_, claim)| *claim).collect();
        let is_first = claims.iter().any(|claim| !claimed.contains(claim));
        claimed.extend(&claims);
        writes.claimed.extend(claims.iter().map(|claim| (intended, *claim)));
        // A person's word is worth a write beyond the budget; and such a region waits half a minute at most.
        let latest = writes.counted.iter().map(|write| write.at).max();
        let is_paced = !claims.is_empty() && latest.is_none_or(|at| intended - at + TURNS_MS >= URGENT_MS);
        let is_worded = within >= settings.writes as usize && (plan.words > self.words.followed || is_paced);
        writes.worded.extend(is_worded.then_some(intended));
        let worded = writes.worded.iter().filter(|at| is_recent(**at)).count();
        holds!(
            is_worded || is_first || within < budget as usize + claimed.len() + worded,
            "BOUNDED-WRITES",
            "a write after {within} within {window} ms, for {claims:?}: {:?}",
            writes.counted
        );
        let remembers = writes.remembers;
        writes.counted.push(Counted { at: intended, generation, is_kept, remembers });
        Ok(())
    }
}

//! What somebody else does to our addresses: whose doing a change is, and whether it may be undone.

use std::collections::BTreeSet;
use std::net::IpAddr;

use pointsman::model::{Answer, Found, InForce, RecordSet};

use super::weighted::{is_split_otherwise, touched};
use super::writes::{READ_LAG_MS, TURNS_MS};
use super::{Judge, Judged, holds};
use crate::simulation::settings::Settings;

/// A write may land so long after it was told.
const LANDS_WITHIN_MS: i64 = 90_000;
/// A list that lacks the set is believed when another one so much later does too.
pub(super) const CONFIRM_MS: i64 = 1_000;
/// What has been pending for so long is taken as it is.
const PENDING_MS: i64 = 60_000;
/// So many changes against us within a window are not fought over any more.
const A_FIGHT: usize = 3;

/// What is known of the set, so that somebody else's change of it is told.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// What it held when a read was last compared with what was known, or a write was last taken.
    known: Option<BTreeSet<IpAddr>>,
    /// What was told to be sent, and when, while nobody knows what became of it: its landing is nobody else's change. Of what
    /// an earlier driver told a later one knows from its first read on.
    landing: Vec<(Option<i64>, Change)>,
    /// All that this driver told lately.
    sent: Vec<(i64, Change)>,
    /// Whether the last write was taken and no read was compared since.
    settles: bool,
    /// What somebody else changed, while that is not told.
    untold: Option<BTreeSet<IpAddr>>,
}

/// What a write is to leave.
#[derive(Clone, Debug)]
struct Change {
    values: BTreeSet<IpAddr>,
    /// What was there, when several calls make it: any part of it may be carried out.
    from: Option<BTreeSet<IpAddr>>,
    /// What those calls are about.
    brings: BTreeSet<IpAddr>,
    /// Whether all calls of several were taken: the next read shows what came of them.
    is_taken: bool,
}

impl Change {
    /// Whether it may have made this of what was there `before`; half-way it undoes nothing of its own, brings nothing that it
    /// leaves as it found it, and takes away nothing that it did not find.
    fn explains(&self, before: &BTreeSet<IpAddr>, found: &BTreeSet<IpAddr>) -> bool {
        let is_between = |from: &BTreeSet<IpAddr>| {
            (from & &self.values).is_subset(found)
                && found.is_subset(&(from | &self.values))
                && (found - before).is_subset(&self.brings)
                && (before - found).is_subset(&(from - &self.values))
        };
        self.values == *found || self.from.as_ref().is_some_and(is_between)
    }
}

impl Changes {
    /// The driver is another one: what became of a write may not have been remembered.
    pub(super) fn forget(&mut self) {
        let untaken = |change| Change { is_taken: false, ..change };
        self.landing.extend(self.sent.drain(..).map(|(_, change)| (None, untaken(change))));
        (self.known, self.untold, self.settles) = (None, None, false);
    }

    /// A process starts: what may land is so old as the wall clock says, and never older than it is.
    pub(super) fn started(&mut self, now: i64, saved: i64, gap: i64) {
        let slept = (now - saved - gap).max(0);
        self.landing.iter_mut().filter_map(|(at, _)| at.as_mut()).for_each(|at| *at += slept);
    }

    /// A write is told, of what was found before it.
    pub(super) fn sent(&mut self, now: i64, set: &RecordSet, found: Option<&Found>) {
        let before = || found.map(|found| found.values.clone()).unwrap_or_default();
        let change = Change {
            values: set.values().clone(),
            from: (!set.parts().is_empty()).then(before),
            brings: touched(found, set),
            is_taken: false,
        };
        self.landing.push((Some(now), change.clone()));
        self.sent.push((now, change));
    }

    pub(super) fn taken(&mut self) {
        self.settles = true;
        match self.landing.last_mut() {
            Some((_, latest)) if latest.from.is_some() => latest.is_taken = true,
            _ => self.known = self.landing.pop().map(|(_, change)| change.values),
        }
    }

    pub(super) fn refused(&mut self) {
        self.landing.pop();
    }

    pub(super) fn told(&mut self, values: BTreeSet<IpAddr>) {
        (self.known, self.untold, self.settles) = (Some(values), None, false);
    }

    fn read(&mut self, now: i64, found: &Found) {
        self.settles = false;
        let before = self.known.replace(found.values.clone()).filter(|before| *before != found.values);
        // Nobody can tell whose doing the values of a change that failed are.
        if found.in_force == InForce::Failed {
            return;
        }
        // Of one that several calls make the weights may still come, so it may land on.
        let is_whole = |change: &Change| change.from.is_none() && change.values == found.values;
        let landed = self.landing.iter().position(|(_, change)| is_whole(change));
        if let Some(landed) = landed.filter(|_| before.is_some()) {
            self.landing.remove(landed);
        } else {
            let explains = |before: &BTreeSet<IpAddr>| {
                self.landing.iter().any(|(_, change)| change.explains(before, &found.values))
            };
            self.untold = before.filter(|before| !explains(before));
        }
        self.landing.retain(|(_, change)| !change.is_taken);
        self.sent.retain(|(at, _)| now - at < LANDS_WITHIN_MS);
        self.landing.retain_mut(|(at, _)| now - *at.get_or_insert(now) < LANDS_WITHIN_MS);
    }
}

impl Judge {
    /// What somebody else did to our addresses is undone.
    pub(super) fn undoes(&mut self, now: i64, wanted: &BTreeSet<IpAddr>, settings: &Settings) -> Judged {
        holds!(
            !settings.alarm_on_drift,
            "on_drift = alarm leaves it",
            "{wanted:?} is written against somebody"
        );
        let window = i64::try_from(settings.window_s * 1000).unwrap_or(i64::MAX);
        let mends = &mut self.writes.mends;
        mends.retain(|(at, _)| now - at < window - 1_000);
        mends.push((self.writes.drift_at.take().unwrap_or(now), wanted.clone()));
        let times = mends.len();
        holds!(
            times < A_FIGHT,
            "BOUNDED-WRITES",
            "{wanted:?} is fought over, {times} times within {window} ms"
        );
        Ok(())
    }

    /// Somebody changed the set by hand.
    pub(crate) fn edited(&mut self) {
        (self.writes.is_changed, self.writes.is_as_read) = (true, false);
    }

    /// Somebody else's change is told before anything is called.
    pub(super) fn change_is_told(&self) -> Judged {
        let Changes { known, untold, .. } = &self.writes.changes;
        holds!(untold.is_none(), "EXPLAINED", "{untold:?} became {known:?}, and nobody is told");
        Ok(())
    }

    /// For how long the set has been pending, with what a read found.
    pub(super) fn note_pending(&mut self, now: i64, answer: &Answer) {
        let writes = &mut self.writes;
        let is_believed = writes.missing_since.is_some_and(|since| now - since >= CONFIRM_MS);
        match answer {
            Ok(Some(found)) if found.in_force == InForce::Pending => {
                writes.pending_since.get_or_insert(now);
            }
            // One that may be answered from before a write does not show what that left.
            Ok(Some(found))
                if found.values == writes.called_from && now - writes.written_at < READ_LAG_MS => {}
            Ok(Some(_)) => writes.pending_since = None,
            Ok(None) if is_believed => writes.pending_since = None,
            Ok(None) | Err(_) => {}
        }
    }

    /// Takes in what a read found.
    pub(super) fn compare(&mut self, now: i64, found: &Found) {
        let pending_ms = self.writes.pending_ms(now, found);
        let writes = &mut self.writes;
        // A read soon after a write may be answered from before it, and a pending set is not compared yet.
        let age = now - writes.written_at;
        let is_as_before = writes.changes.settles && found.values == writes.called_from;
        let at_the_turn = |end: i64, ms: i64| (end - TURNS_MS..end + TURNS_MS).contains(&ms);
        let may_lag = is_as_before && at_the_turn(READ_LAG_MS, age);
        if may_lag || pending_ms.is_some_and(|ms| at_the_turn(PENDING_MS, ms)) {
            writes.changes.known = None;
        } else if pending_ms.is_none_or(|ms| ms >= PENDING_MS) && !(is_as_before && age < READ_LAG_MS) {
            writes.changes.read(now, found);
        }
    }

    /// Finds out from a read whether somebody changed the set.
    pub(super) fn whose_change(&mut self, now: i64, answer: &Answer) {
        let ours = self.ours();
        let writes = &mut self.writes;
        // A pending set is not compared yet.
        let compared = answer.as_ref().ok().and_then(Option::as_ref);
        let is_compared = |found: &&Found| writes.pending_ms(now, found).is_none_or(|ms| ms >= PENDING_MS);
        if let Some(found) = compared.filter(is_compared) {
            // Of a write of several calls that was taken the next read may show any part.
            if let Some((from, to)) = writes.half_way.take() {
                let is_between =
                    (&from & &to).is_subset(&found.values) && found.values.is_subset(&(&from | &to));
                let differs = |synced: &mut BTreeSet<IpAddr>| found.values.intersection(&ours).ne(&*synced);
                let is_split = |(set, _): &(RecordSet, Option<String>)| !is_split_otherwise(Some(found), set);
                if is_between {
                    writes.synced.take_if(differs);
                    writes.synced.take_if(|_| !writes.sent.last().is_some_and(is_split));
                    writes.is_changed = false;
                }
            }
            // Nobody can tell it from a write of ours that lands late.
            let is_changed = writes.known.replace(found.values.clone()).is_some_and(|it| it != found.values);
            let lands = writes.unsettled.iter().position(|(_, values)| *values == found.values);
            if let Some(place) = lands.filter(|_| is_changed) {
                writes.unsettled.remove(place);
                writes.is_changed = false;
                // What the set holds now is our own doing, so nobody changes it from what was wanted.
                writes.synced.take_if(|synced| found.values.intersection(&ours).ne(&*synced));
            }
            writes.unsettled.retain(|(at, _)| now - at < LANDS_WITHIN_MS);
        }
        // A list that lacks the set shows a drift as well, when it is believed: nobody can tell that it lies.
        let is_believed = |found: &Option<Found>| {
            found.is_some() || writes.missing_since.is_some_and(|since| now - since >= CONFIRM_MS)
        };
        if let (Some(found), Some(synced)) =
            (answer.as_ref().ok().filter(|it| is_believed(it)), &writes.synced)
        {
            let held = found.as_ref().map(Found::weighed).unwrap_or_default();
            let held: BTreeSet<_> = held.into_iter().filter(|it| ours.contains(&it.address)).collect();
            let differs = !held.iter().map(|it| &it.address).eq(synced) || held != writes.weighed;
            writes.drift_at = if differs { writes.drift_at.or(Some(now)) } else { None };
        }
    }
}

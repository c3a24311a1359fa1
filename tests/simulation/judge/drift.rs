//! What somebody else does to our addresses: whose doing a change is, and whether it may be undone.

use std::collections::BTreeSet;
use std::net::IpAddr;

use pointsman::model::{Answer, Found};

use super::{Judge, Judged, holds};
use crate::simulation::settings::Settings;

/// A write may land so long after it was told.
const LANDS_WITHIN_MS: i64 = 90_000;
/// A list that lacks the set is believed when another one so much later does too.
pub(super) const CONFIRM_MS: i64 = 1_000;
/// So many changes against us within a window are not fought over any more.
const A_FIGHT: usize = 3;

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
        self.writes.is_changed = true;
    }

    /// Finds out from a read whether somebody changed the set.
    pub(super) fn whose_change(&mut self, now: i64, answer: &Answer) {
        let ours = self.ours();
        let writes = &mut self.writes;
        if let Ok(Some(found)) = answer {
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
            let values = found.as_ref().map(|found| found.values.clone()).unwrap_or_default();
            let differs = values.intersection(&ours).ne(synced);
            writes.drift_at = if differs { writes.drift_at.or(Some(now)) } else { None };
        }
    }
}

//! What becomes of the sets of a name that are served by weight, held against the promises after each call of a write.

use std::collections::BTreeSet;
use std::net::IpAddr;

use pointsman::model::{Found, FoundPart, RecordSet, Weight};

use super::{Judge, Judged, holds};
use crate::simulation::weighted::{HeldPart, PartsWrite, found_in};

/// The values and weights of the sets that hold any of these addresses and are served, in order.
fn served(found: &Found, owned: &BTreeSet<IpAddr>) -> Vec<(BTreeSet<IpAddr>, Option<Weight>)> {
    let ours = |part: &&FoundPart| part.state.is_served() && !part.values.is_disjoint(owned);
    let mut sets: Vec<_> =
        found.parts.iter().filter(ours).map(|part| (part.values.clone(), part.weight)).collect();
    sets.sort();
    sets
}

/// Whether the sets are not yet split and weighed as a write of this wants them.
pub(super) fn is_split_otherwise(found: Option<&Found>, set: &RecordSet) -> bool {
    let Some(found) = found.filter(|_| !set.parts().is_empty()) else { return false };
    let owned = set.parts().iter().flat_map(|part| part.owned.iter().copied()).collect();
    let withheld = found.withheld();
    let wanted = set.parts().iter().map(|part| (&part.values - &withheld, Some(part.weight)));
    let mut wanted: Vec<_> = wanted.filter(|(values, _)| !values.is_empty()).collect();
    wanted.sort();
    served(found, &owned) != wanted
}

/// Whether a write starts from what was read. With several sets whether that is in force is judged by those of ours.
pub(super) fn same_set(read: Option<&Found>, found: Option<&Found>) -> bool {
    match (read, found) {
        (Some(read), Some(found)) if !read.parts.is_empty() => {
            *found == Found { in_force: found.in_force, ..read.clone() }
        }
        (read, found) => read == found,
    }
}

/// The least that may be served of ours, whichever of its two states each set is in.
fn least_served(parts: &[HeldPart], ours: &BTreeSet<IpAddr>, now: i64) -> usize {
    fn of(rest: &[HeldPart], so_far: &BTreeSet<IpAddr>, now: i64) -> usize {
        let Some((part, rest)) = rest.split_first() else { return so_far.len() };
        part.may_serve(now).iter().map(|values| of(rest, &(so_far | values), now)).min().unwrap_or(0)
    }
    let relevant: Vec<HeldPart> = parts
        .iter()
        .cloned()
        .map(|part| part.only(ours))
        .filter(|part| part.may_serve(now).iter().any(|values| !values.is_empty()))
        .collect();
    of(&relevant, &BTreeSet::new(), now)
}

/// What is known of the calls that may still be carried out.
#[derive(Debug, Default)]
pub(super) struct LateCalls {
    /// As the latest call left the sets.
    left: Option<Vec<Kept>>,
    /// When they were last found otherwise, or written by who could not know of what was sent before.
    disturbed_at: i64,
    /// The writes sent, how many they were to leave at least, and whether their intents were on disk.
    sent: Vec<(i64, usize, bool)>,
}

/// What stays of a set until somebody changes it.
type Kept = (u32, BTreeSet<IpAddr>, Option<u16>, bool, bool);

impl LateCalls {
    fn kept(parts: &[HeldPart]) -> Vec<Kept> {
        parts.iter().map(|it| (it.id, it.values.clone(), it.weight, it.is_on, it.frozen)).collect()
    }

    /// The sets are found to be this.
    fn finds(&mut self, now: i64, parts: &[HeldPart]) {
        if self.left.as_ref().is_some_and(|left| *left != Self::kept(parts)) {
            self.disturbed_at = now;
        }
        self.left = Some(Self::kept(parts));
    }

    /// A driver starts: what it knows of the writes before it is what was on disk, or nothing.
    pub(super) fn started(&mut self, now: i64, knows: bool) {
        if !knows || self.sent.iter().any(|(_, _, is_kept)| !is_kept) {
            self.disturbed_at = now;
        }
    }

    /// How many a call that was sent then must leave now at least; none if nobody could see to it.
    fn least(&self, sent: i64, now: i64) -> Option<usize> {
        let foreseen = sent > self.disturbed_at && now - sent < LANDS_WITHIN_MS;
        let least = self.sent.iter().filter(|(at, ..)| *at >= sent).map(|(_, least, _)| *least).min();
        least.filter(|_| foreseen)
    }
}

/// Nobody reckons with a call for longer than this.
const LANDS_WITHIN_MS: i64 = 90_000;

/// How many of ours are switched on.
fn count_on(parts: &[HeldPart], ours: &BTreeSet<IpAddr>) -> usize {
    let on = parts.iter().filter(|part| part.is_on && !part.frozen);
    on.flat_map(|part| part.values.intersection(ours)).collect::<BTreeSet<_>>().len()
}

impl Judge {
    /// A call of a write was carried out, or refused. `is_late` when nobody waits for it any more.
    pub(crate) fn part_landed(
        &mut self,
        now: i64,
        (before, after): (&[HeldPart], &[HeldPart]),
        write: &PartsWrite,
        is_late: bool,
    ) -> Judged {
        let owned: BTreeSet<IpAddr> =
            write.set.parts().iter().flat_map(|part| part.owned.iter().copied()).collect();
        let is_deleted = |was: &&HeldPart| !after.iter().any(|is| is.id == was.id);
        let deleted = before.iter().find(is_deleted);
        holds!(deleted.is_none(), "LEAVE-AS-IS", "a set is deleted: {deleted:?}");
        // What somebody else did since it was read, or a read that was answered from long ago, is nobody's doing here.
        self.writes.late_calls.finds(now, before);
        let least = self.writes.late_calls.least(write.sent_at(), now);
        self.writes.late_calls.left = Some(LateCalls::kept(after));
        if let Some(least) = least.filter(|_| is_late) {
            let ours = &self.ours() | &owned;
            let (were, left) = (count_on(before, &ours), count_on(after, &ours));
            holds!(
                left >= least.min(were),
                "NEVER-EMPTY",
                "a late call of a write leaves {left} of ours switched on, and {were} were: {before:?} becomes {after:?}"
            );
        }
        if is_late {
            // What is on its way now was decided on before that.
            self.writes.is_as_read &= before == after;
            return Ok(());
        }
        if !self.writes.is_as_read {
            return Ok(());
        }
        for was in before {
            let is = after.iter().find(|is| is.id == was.id);
            let Some(is) = is else { continue };
            let foreign = &was.values - &owned;
            holds!(
                foreign == &is.values - &owned,
                "ONLY-OURS",
                "values of somebody else's change: {was:?} becomes {is:?}"
            );
            holds!(
                was.description == is.description,
                "ONLY-OURS",
                "a description changes: {was:?} becomes {is:?}"
            );
            let same = (was.weight, was.is_on, was.frozen) == (is.weight, is.is_on, is.frozen);
            holds!(
                foreign.is_empty() || same,
                "ONLY-OURS",
                "a set of somebody else's changes: {was:?} becomes {is:?}"
            );
        }
        let least = (write.set.least() as usize).min(least_served(before, &owned, now));
        let left = least_served(after, &owned, now);
        holds!(
            left >= least,
            "NEVER-EMPTY",
            "a call of a write leaves {left} of ours in force, and {least} were: {before:?} becomes {after:?}"
        );
        Ok(())
    }

    /// A write of several calls is sent while the zone holds this.
    pub(crate) fn parts_written(
        &mut self,
        now: i64,
        found: Option<&Found>,
        set: &RecordSet,
        held: &[HeldPart],
    ) {
        let key = |found: Option<Found>| found.map(|found| found.parts).unwrap_or_default();
        self.writes.is_as_read = key(found.cloned()) == key(found_in(held, now));
        let is_kept = self.writes.budget.latest_is_kept();
        let late_calls = &mut self.writes.late_calls;
        late_calls.finds(now, held);
        if !self.writes.is_as_read {
            late_calls.disturbed_at = now;
        }
        late_calls.sent.retain(|(at, ..)| now - at < LANDS_WITHIN_MS);
        late_calls.sent.push((now, set.least() as usize, is_kept));
    }
}

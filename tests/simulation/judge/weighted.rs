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
        let is_as_read = self.writes.is_as_read;
        if is_late || !is_as_read {
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
    pub(crate) fn parts_written(&mut self, now: i64, found: Option<&Found>, held: &[HeldPart]) {
        let key = |found: Option<Found>| found.map(|found| found.parts).unwrap_or_default();
        self.writes.is_as_read = key(found.cloned()) == key(found_in(held, now));
    }
}

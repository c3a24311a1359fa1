//! What somebody else does to our addresses: whose doing a change is, and whether it may be undone.

use std::collections::BTreeSet;
use std::net::IpAddr;

use pointsman::core::WritesMemory;
use pointsman::model::{Answer, Found, InForce, Part, RecordSet, Weighed};
use serde::Deserialize;

use super::weighted::is_split_otherwise;
use super::writes::{READ_LAG_MS, TURNS_MS, Writes};
use super::{Judge, Judged, holds};
use crate::simulation::settings::Settings;

/// A write may land so long after it was told.
const LANDS_WITHIN_MS: i64 = 90_000;
/// A list that lacks the set is believed when another one so much later does too.
pub(super) const CONFIRM_MS: i64 = 1_000;
/// What has been pending for so long is taken as it is.
pub(super) const PENDING_MS: i64 = 60_000;
/// A driver knows of a plan so long after it was made.
const KNOWN_WITHIN_MS: i64 = 100;
/// So many changes against us within a window are not fought over any more.
const A_FIGHT: usize = 3;

/// What is known of the set, so that somebody else's change of it is told.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// What it held when a read was last compared with what was known, or a write was last taken.
    known: Option<BTreeSet<Weighed>>,
    /// What was told to be sent, and when, while nobody knows what became of it: its landing is nobody else's change. Of what
    /// an earlier driver told a later one knows from its first read on.
    landing: Vec<(Option<i64>, Change)>,
    /// All that this driver told lately.
    sent: Vec<(i64, Change)>,
    /// The last write that was taken, while no read was compared since.
    settles: Option<Settles>,
    /// What somebody else changed, while that is not told.
    untold: Option<BTreeSet<Weighed>>,
}

/// What a write does.
#[derive(Clone, Debug)]
struct Change {
    /// What a whole set that it writes holds.
    whole: Option<BTreeSet<Weighed>>,
    /// What each of several calls may bring or take away, and has not yet.
    brings: BTreeSet<Weighed>,
    takes: BTreeSet<Weighed>,
    /// What is in a set with what it gives another weight, and has that weight too for a while: not yet, and by now.
    along: BTreeSet<Weighed>,
    came_along: BTreeSet<Weighed>,
    /// Whether all calls of several were taken: the next read shows what came of them.
    is_taken: bool,
}

#[derive(Debug)]
struct Settles {
    at: i64,
    found: Option<Found>,
    set: RecordSet,
}

/// Whose doing it is what a read found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// It is as it was, or nobody can tell.
    Nobodys,
    Ours,
    Theirs,
}

impl Change {
    /// What a write of several calls does that leaves this of what was found. What is in a set that gets another weight has that
    /// weight too for a while.
    fn in_parts(held: &BTreeSet<Weighed>, leaves: &BTreeSet<Weighed>) -> Self {
        let brings = leaves - held;
        let along =
            brings.iter().flat_map(|it| held.iter().map(|held| Weighed { weight: it.weight, ..*held }));
        let along = along.filter(|it| !held.contains(it) && !leaves.contains(it)).collect();
        let came_along = BTreeSet::new();
        Self { whole: None, brings, takes: held - leaves, along, came_along, is_taken: false }
    }

    /// What a write does that makes it a set of this.
    fn whole(leaves: BTreeSet<Weighed>) -> Self {
        let none = BTreeSet::new();
        Self { whole: Some(leaves), ..Self::in_parts(&none, &none) }
    }
}

/// A write as it is remembered before it is sent.
#[derive(Deserialize)]
struct Meant {
    values: BTreeSet<Weighed>,
    from: Option<BTreeSet<Weighed>>,
}

/// What the set held by what was remembered; none if that was not known.
pub(super) fn held_by(remembered: &WritesMemory) -> Option<BTreeSet<IpAddr>> {
    #[derive(Deserialize)]
    struct Memory {
        values: Option<BTreeSet<Weighed>>,
    }
    let text = serde_json::to_string(remembered).unwrap_or_default();
    let Memory { values } = serde_json::from_str(&text).ok()?;
    values.map(|values| values.into_iter().map(|it| it.address).collect())
}

/// What the latest write does that is in what was remembered.
fn latest_meant(remembered: &str) -> Option<Change> {
    #[derive(Deserialize)]
    struct Memory {
        landing: Vec<Meant>,
    }
    let Meant { values, from } = serde_json::from_str::<Memory>(remembered).ok()?.landing.pop()?;
    let Some(from) = from else { return Some(Change::whole(values)) };
    Some(Change::in_parts(&from, &values))
}

impl Changes {
    /// The driver is another one: what became of a write may not have been remembered. One that the one before remembered,
    /// and did not come to tell of, may have been sent as far as anybody knows.
    pub(super) fn forget(&mut self, untold: Option<&str>) {
        let untaken = |change| Change { is_taken: false, ..change };
        self.landing.extend(self.sent.drain(..).map(|(_, change)| (None, untaken(change))));
        self.landing.extend(untold.and_then(latest_meant).map(|change| (None, change)));
        (self.known, self.untold, self.settles) = (None, None, None);
    }

    /// A process starts: what may land is so old as the wall clock says, and never older than it is.
    pub(super) fn started(&mut self, now: i64, saved: i64, gap: i64) {
        let slept = (now - saved - gap).max(0);
        self.landing.iter_mut().filter_map(|(at, _)| at.as_mut()).for_each(|at| *at += slept);
    }

    /// A write is told, of what was found before it.
    pub(super) fn sent(&mut self, now: i64, set: &RecordSet, found: Option<&Found>) {
        let held = found.map(Found::weighed).unwrap_or_default();
        let leaves = left_by(set, &held);
        let is_whole = set.parts().is_empty();
        let change = if is_whole { Change::whole(leaves) } else { Change::in_parts(&held, &leaves) };
        self.landing.push((Some(now), change.clone()));
        self.sent.push((now, change));
    }

    /// The last write, called at this time, of what was found then, is taken.
    pub(super) fn taken(&mut self, at: i64, set: RecordSet, found: Option<Found>) {
        self.settles = Some(Settles { at, found, set });
        match self.landing.last_mut() {
            Some((_, latest)) if latest.whole.is_none() => latest.is_taken = true,
            _ => self.known = self.landing.pop().and_then(|(_, change)| change.whole),
        }
    }

    pub(super) fn refused(&mut self) {
        self.landing.pop();
    }

    pub(super) fn told(&mut self, values: BTreeSet<Weighed>) {
        (self.known, self.untold, self.settles) = (Some(values), None, None);
    }

    /// When the write was called that this may be answered from before; none if it is not.
    pub(super) fn may_lag(&self, found: Option<&Found>) -> Option<i64> {
        let Settles { at, found: before, set } = self.settles.as_ref()?;
        let shows = |found: Option<&Found>| {
            found.map(|found| (found.values.clone(), found.parts.clone())).unwrap_or_default()
        };
        let is_as_before = shows(found) == shows(before.as_ref());
        let is_there =
            found.is_some_and(|found| found.values == *set.values() && !is_split_otherwise(Some(found), set));
        (is_as_before && !is_there).then_some(*at)
    }

    fn read(&mut self, now: i64, found: Option<&Found>) -> Whose {
        let held = found.map(Found::weighed).unwrap_or_default();
        // A write that was taken and that no read has shown was not carried out, as far as anybody can tell.
        let is_undone = self.may_lag(found).is_some();
        let is_settled = self.settles.take().is_some();
        let before = self.known.replace(held.clone());
        // Nobody can tell whose doing the values of a change that failed are.
        if found.is_some_and(|found| found.in_force == InForce::Failed) {
            return Whose::Nobodys;
        }
        let whose = match before {
            // What is there may have come along before.
            None => {
                for (_, change) in &mut self.landing {
                    change.came_along.extend(change.along.intersection(&held));
                }
                Whose::Nobodys
            }
            // Of several calls the first may change nothing that is served.
            Some(before) if before == held && is_settled => Whose::Ours,
            Some(before) if before == held => Whose::Nobodys,
            Some(_) if is_undone => Whose::Ours,
            Some(before) if self.lands(&before, &held) => Whose::Ours,
            Some(before) => {
                self.untold = Some(before);
                Whose::Theirs
            }
        };
        self.landing.retain(|(_, change)| !change.is_taken);
        self.sent.retain(|(at, _)| now - at < LANDS_WITHIN_MS);
        self.landing.retain_mut(|(at, _)| now - *at.get_or_insert(now) < LANDS_WITHIN_MS);
        whose
    }

    /// Whether all that came and left is the doing of writes that may land; each does it once.
    fn lands(&mut self, before: &BTreeSet<Weighed>, held: &BTreeSet<Weighed>) -> bool {
        let is_it = |(_, change): &(Option<i64>, Change)| change.whole.as_ref() == Some(held);
        if let Some(landed) = self.landing.iter().position(is_it) {
            self.landing.remove(landed);
            return true;
        }
        let mut does = Vec::new();
        let came = (held - before).into_iter().map(|it| (true, it));
        for (comes, what) in came.chain((before - held).into_iter().map(|it| (false, it))) {
            let may = |(_, change): &(Option<i64>, Change)| {
                let (does, along) =
                    if comes { (&change.brings, &change.along) } else { (&change.takes, &change.came_along) };
                does.contains(&what) || along.contains(&what)
            };
            let Some(place) = self.landing.iter().rposition(may) else { return false };
            does.push((place, comes, what));
        }
        for (place, comes, what) in does {
            let (_, change) = &mut self.landing[place];
            if !comes {
                change.takes.remove(&what);
            } else if !change.brings.remove(&what) && change.along.remove(&what) {
                change.came_along.insert(what);
            }
        }
        true
    }
}

/// What a write of this leaves of a name that holds that.
pub(super) fn left_by(set: &RecordSet, held: &BTreeSet<Weighed>) -> BTreeSet<Weighed> {
    if set.parts().is_empty() {
        return set.values().iter().copied().map(Weighed::from).collect();
    }
    let is_foreign = |it: &&Weighed| set.parts().iter().all(|part| !part.owned.contains(&it.address));
    let ours = set.parts().iter().flat_map(Part::weighed);
    let ours = ours.filter(|it| set.values().contains(&it.address));
    held.iter().filter(is_foreign).copied().chain(ours).collect()
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
    pub(crate) fn edited(&mut self, now: i64) {
        (self.writes.changed_at, self.writes.is_as_read) = (Some(now), false);
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
                if writes.changes.may_lag(Some(found)).is_some_and(|at| now - at < READ_LAG_MS) => {}
            Ok(Some(_)) => writes.pending_since = None,
            Ok(None) if is_believed => writes.pending_since = None,
            Ok(None) | Err(_) => {}
        }
    }

    /// Finds out from a read whether somebody changed the set, and whether that is against what is wanted.
    pub(super) fn compare(&mut self, now: i64, answer: &Answer) {
        let Ok(found) = answer else { return };
        let found = found.as_ref();
        let writes = &mut self.writes;
        let missing_ms = found.is_none().then(|| writes.missing_since.map_or(0, |since| now - since));
        let pending_ms = found.and_then(|found| writes.pending_ms(now, found));
        let lag_ms = writes.changes.may_lag(found).map(|at| now - at);
        // One list that lacks the set may lie, a pending set is not compared yet, and a read soon after a write may be answered
        // from before it.
        let waits = [(missing_ms, CONFIRM_MS), (pending_ms, PENDING_MS), (lag_ms, READ_LAG_MS)];
        let left_ms = waits.iter().filter_map(|(ms, end)| ms.map(|ms| end - ms)).max().unwrap_or(i64::MIN);
        if left_ms > TURNS_MS {
            return;
        }
        if left_ms > -TURNS_MS {
            (writes.changes.known, writes.synced) = (None, Vec::new());
            return;
        }
        let whose = writes.changes.read(now, found);
        self.drifts(now, found, whose);
    }

    /// Holds what a read found against what is wanted.
    fn drifts(&mut self, now: i64, found: Option<&Found>, whose: Whose) {
        let ours = self.ours();
        // The driver may not know yet of a plan that was just made.
        let is_sure = self.plans.last_key_value().is_some_and(|(_, plan)| now - plan.at > KNOWN_WITHIN_MS);
        let writes = &mut self.writes;
        let held = found.map(Found::weighed).unwrap_or_default();
        let held: BTreeSet<_> = held.into_iter().filter(|it| ours.contains(&it.address)).collect();
        let can_be = as_far_as_served(&writes.weighed, found);
        // Nobody can tell whose doing the values of a change that failed are.
        let is_excused = whose == Whose::Ours || found.is_some_and(|found| found.in_force == InForce::Failed);
        if is_excused {
            writes.synced.clear();
        }
        if is_excused || held == can_be {
            writes.is_as_left(now);
        }
        let was_as_wanted =
            |synced: &BTreeSet<Weighed>| can_be.is_subset(synced) && synced.is_subset(&writes.weighed);
        if held == can_be {
            writes.against.take_if(|against| can_be == writes.weighed || *against != writes.weighed);
            // One that lasts goes on from when it was seen.
            writes.drift_at.take_if(|_| writes.against.is_none());
            writes.synced.retain(was_as_wanted);
            if is_sure && writes.synced.last() != Some(&can_be) {
                writes.synced.push(can_be);
            }
        } else if writes.changed_at.is_some() && writes.synced.iter().any(was_as_wanted) {
            writes.against = is_sure.then(|| writes.weighed.clone());
            writes.drift_at = Some(now);
            writes.synced.clear();
        }
    }
}

impl Writes {
    /// A read shows nothing of what somebody changed: that is written over, unless the read may be answered from before it.
    pub(super) fn is_as_left(&mut self, now: i64) {
        self.changed_at.take_if(|at| now - *at >= READ_LAG_MS);
    }
}

/// What the provider does not keep from being served.
pub(super) fn as_far_as_served(wanted: &BTreeSet<Weighed>, found: Option<&Found>) -> BTreeSet<Weighed> {
    let withheld = found.map(Found::withheld).unwrap_or_default();
    wanted.iter().filter(|it| !withheld.contains(&it.address)).copied().collect()
}

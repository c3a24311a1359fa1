//! The judge: holds every write that the zone has ever taken from us against what truly happened meanwhile.
//!
//! It knows nothing of how the daemon decides. All times are the cloud's own, in milliseconds since its start.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::stage::{BUDGET, REGIONS, Version};

/// A region that has been well for so long gives nobody a reason to take it out: longer than a write of ours may
/// wait for its budget, be on its way, and have been decided by looks of before, all together.
const WELL_FOR_MS: u64 = 20_000;
/// How much later than it was sent a write may be taken up: the longest delay that a scene gives one.
const LATE_MS: u64 = 1_500;

/// What truly happened.
#[derive(Debug, Default)]
pub(crate) struct Life {
    /// When a region's application broke or was mended.
    turns: Vec<(u64, &'static str, bool)>,
    /// From when until when writes could end in ways that nobody is told of.
    murky: Vec<(u64, u64)>,
    /// From when until when no daemon ran.
    dead: Vec<(u64, u64)>,
    /// When a daemon started whose journal had been destroyed: it cannot know what was written before.
    forgot: Vec<u64>,
}

impl Life {
    pub(crate) fn turned(&mut self, region: &'static str, at_ms: u64, serves: bool) {
        self.turns.push((at_ms, region, serves));
    }

    pub(crate) fn writes_are_murky(&mut self, from_ms: u64) {
        self.murky.push((from_ms, u64::MAX));
    }

    pub(crate) fn writes_are_clear(&mut self, from_ms: u64) {
        for (_, until) in &mut self.murky {
            *until = (*until).min(from_ms);
        }
    }

    pub(crate) fn nobody_watched(&mut self, from_ms: u64, until_ms: u64) {
        self.dead.push((from_ms, until_ms));
    }

    pub(crate) fn forgot_all(&mut self, at_ms: u64) {
        self.forgot.push(at_ms);
    }

    /// Whether the region served all the time from `from_ms` until `until_ms`.
    fn served(&self, region: &str, from_ms: u64, until_ms: u64) -> bool {
        let turns = || self.turns.iter().filter(|(_, name, _)| *name == region);
        let at_first = turns().rfind(|(at, ..)| *at <= from_ms).is_none_or(|(.., serves)| *serves);
        let later = turns().filter(|(at, ..)| (from_ms..=until_ms).contains(at)).all(|(.., serves)| *serves);
        at_first && later
    }

    fn was_murky(&self, at_ms: u64) -> bool {
        self.murky.iter().any(|(from, until)| *from <= at_ms && at_ms <= until.saturating_add(WELL_FOR_MS))
    }
}

/// Every invariant that a write of ours broke, by name.
pub(crate) fn judge(history: &[Version], us: &str, life: &Life) -> Vec<String> {
    let mut found = Vec::new();
    for pair in history.windows(2) {
        let [before, after] = pair else { continue };
        if after.written_by == us {
            found.extend(broken(before, after, life).into_iter().map(|what| format!("{what}: {pair:?}")));
        }
    }
    let ours: Vec<u64> = history
        .iter()
        .filter(|version| version.written_by == us)
        .map(|version| version.accepted_ms)
        .collect();
    found.extend(beyond_the_budget(history, us, life));
    for (from, until) in &life.dead {
        for at in ours.iter().filter(|at| from + LATE_MS < **at && *at < until) {
            found.push(format!("LEAVE-AS-IS: a write at {at} ms, and nobody ran from {from} to {until}"));
        }
    }
    found
}

/// Within any window there are as many writes as the budget allows, and one for each region that left by one of them. A
/// repeat of a write whose answer was lost, which changes nothing, does not count.
fn beyond_the_budget(history: &[Version], us: &str, life: &Life) -> Option<String> {
    let (most, window) = (BUDGET.0, u64::try_from(BUDGET.1.as_millis()).unwrap());
    let changes = history.windows(2).filter(|pair| pair[1].written_by == us);
    let changes = changes.map(|pair| (pair[1].accepted_ms, values(&pair[0]), values(&pair[1])));
    let changes: Vec<_> = changes.filter(|(_, was, is)| was != is).collect();
    for (place, (first, ..)) in changes.iter().enumerate() {
        let within = changes[place..].iter().take_while(|(at, ..)| at + LATE_MS < first + window);
        let (mut count, mut left) = (0, BTreeSet::new());
        for (at, was, is) in within {
            count += 1;
            left.extend(was - is);
            let knew = !life.forgot.iter().any(|forgot| (first..=at).contains(&forgot));
            if knew && count > most + left.len() {
                return Some(format!("BOUNDED-WRITES: {count} writes between {first} and {at} ms"));
            }
        }
    }
    None
}

fn broken(before: &Version, after: &Version, life: &Life) -> Vec<String> {
    let mut found = Vec::new();
    let at = after.accepted_ms;
    let (was, is) = (values(before), values(after));
    let holds = |values: &BTreeSet<IpAddr>, region: &Region| values.contains(&IpAddr::from(region.2));
    let count = |values: &BTreeSet<IpAddr>| REGIONS.iter().filter(|region| holds(values, region)).count();
    if count(&is) == 0 {
        found.push("NEVER-EMPTY".to_owned());
    }
    let foreign = |values: &BTreeSet<IpAddr>| {
        let is_ours = |value: &&IpAddr| REGIONS.iter().any(|region| IpAddr::from(region.2) == **value);
        values.iter().filter(|value| !is_ours(value)).copied().collect::<Vec<_>>()
    };
    if foreign(&was) != foreign(&is) || before.ttl != after.ttl {
        found.push("ONLY-OURS".to_owned());
    }
    if was == is && !life.was_murky(at) {
        found.push("ONLY-WHEN-DIFFERENT".to_owned());
    }
    let removed: Vec<&Region> =
        REGIONS.iter().filter(|region| holds(&was, region) && !holds(&is, region)).collect();
    if !removed.is_empty() && count(&is) + 1 < REGIONS.len() {
        found.push(format!("BOUNDED-BLAST: {} regions are left", count(&is)));
    }
    for (name, ..) in removed {
        if life.served(name, at.saturating_sub(WELL_FOR_MS), at) {
            found.push(format!("BLIND-IS-NOT-DOWN or NO-JUMP-ON-START: {name} was well, and is taken out"));
        }
    }
    found
}

type Region = (&'static str, &'static str, std::net::Ipv4Addr);

fn values(version: &Version) -> BTreeSet<IpAddr> {
    version.values.iter().copied().collect()
}

//! One set for each region: which calls bring the sets of one name and line to what is wanted, and which of them can go now.
//!
//! Pure. What takes away goes with what adds only as far as enough of what is wanted is served by sets that
//! are in force and that no call of the same write changes, since a change can fail. Else it goes in a later write, when a
//! read has shown that the rest is in force; a change of what is served already, as of its weight, waits for it in turn
//! (NEVER-EMPTY). A set left with nothing is switched off, never deleted, and never emptied; one that holds anything of
//! somebody else's keeps that, and its weight, TTL and description (ONLY-OURS). Start at [`stage`]; what a call does that lands
//! late is a [`Reduction`].

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::model::{Found, FoundPart, Part, PartState, RecordSet, Ttl, Weighed, Weight};

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Replaces a set's values and, when one is given, its weight.
    Put {
        /// The set as it was found.
        set: FoundPart,
        /// Its values then.
        values: BTreeSet<IpAddr>,
        /// Its weight then; none: as it is.
        weight: Option<Weight>,
        /// Its TTL then.
        ttl: Ttl,
    },
    /// Switches a set on.
    Enable {
        /// Its id.
        id: String,
    },
    /// Makes a set.
    Post {
        /// Its values.
        values: BTreeSet<IpAddr>,
        /// Its weight.
        weight: Weight,
        /// Its TTL.
        ttl: Ttl,
    },
    /// Switches a set off.
    Disable {
        /// Its id.
        id: String,
    },
}

/// The calls that can be made now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stage {
    /// Those that let more be served, or the same otherwise; in this order.
    pub adds: Vec<Step>,
    /// Those that take away, and may go whatever became of the others.
    pub takes: Vec<Step>,
}

/// A call that takes away from one set, as far as it holds more than this then.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Reduction {
    /// The id of the set.
    set: String,
    /// Its values when the call was sent.
    held: BTreeSet<Weighed>,
    /// The values that the call leaves in it.
    leaves: BTreeSet<IpAddr>,
}

impl Reduction {
    /// True if its calls are over, by what those of its whole write have taken away since. One that nobody could see never is.
    pub(super) fn is_over(&self, takes: &BTreeSet<Weighed>, done: &BTreeSet<Weighed>) -> bool {
        let shows = &self.held & takes;
        !shows.is_empty() && shows.is_subset(done)
    }
}

impl Stage {
    /// The calls that take away from a set, or would from what somebody puts into it before they land.
    pub(super) fn reductions(&self, found: &Found) -> Vec<Reduction> {
        let reduction = |step: &Step| {
            let (id, leaves) = match step {
                Step::Put { set, values, .. } => (&set.id, values.clone()),
                Step::Disable { id } => (id, BTreeSet::new()),
                Step::Enable { .. } | Step::Post { .. } => return None,
            };
            let set = found.parts.iter().find(|set| set.id == *id)?;
            Some(Reduction { set: set.id.clone(), held: set.weighed().collect(), leaves })
        };
        self.adds.iter().chain(&self.takes).filter_map(reduction).collect()
    }

    /// The values that are served once all of it that takes away is carried out and nothing that adds, since that may fail; and
    /// those of them that are left when these are carried out after that too.
    pub(super) fn keeps(&self, found: &Found, late: &[Reduction]) -> (BTreeSet<IpAddr>, BTreeSet<IpAddr>) {
        let none = BTreeSet::new();
        let mut kept: BTreeMap<&str, BTreeSet<IpAddr>> = BTreeMap::new();
        for set in found.parts.iter().filter(|set| set.state.is_served()) {
            kept.insert(&set.id, set.values.clone());
        }
        for step in self.adds.iter().chain(&self.takes) {
            let (id, leaves) = match step {
                Step::Put { set, values, .. } => (&set.id, values),
                Step::Disable { id } => (id, &none),
                Step::Enable { .. } | Step::Post { .. } => continue,
            };
            kept.entry(id).and_modify(|held| held.retain(|value| leaves.contains(value)));
        }
        let left = kept.iter().flat_map(|(id, values)| {
            let stays =
                |value: &&IpAddr| late.iter().all(|late| late.set != *id || late.leaves.contains(*value));
            values.iter().filter(stays)
        });
        let left = left.copied().collect();
        (kept.into_values().flatten().collect(), left)
    }
}

/// A part that is to be served, and the set that is its own.
struct Housed<'a> {
    part: &'a Part,
    /// Its values, as far as they can be served.
    wants: BTreeSet<IpAddr>,
    home: Option<usize>,
}

/// What brings `found` nearer to `set`. When all of it is taken and in force, another call says what is left.
#[must_use]
pub fn stage(found: &Found, set: &RecordSet) -> Stage {
    let owned: BTreeSet<IpAddr> = set.parts().iter().flat_map(|part| part.owned.iter().copied()).collect();
    let housed = house(found, set, &owned);
    let wanted: BTreeSet<IpAddr> = housed.iter().flat_map(|it| it.wants.iter().copied()).collect();
    // Wanted addresses that are served by the set they belong in, which keeps them whatever is done here.
    let firm: BTreeMap<IpAddr, usize> = housed.iter().flat_map(|it| firm_in(found, it)).collect();
    // What an earlier call may still take away is not relied on.
    let enough = (set.least().saturating_add(set.at_risk()) as usize).min(wanted.len()).max(1);
    let ttl_of = |part: &FoundPart| if set.ttl() == found.ttl { part.ttl } else { set.ttl() };

    let (mut puts, mut enables, mut posts, mut takes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    // Changes of sets that serve what is wanted, and the sets.
    let (mut changes, mut reductions) = (Vec::new(), Vec::new());
    for Housed { part, wants, home } in &housed {
        let weight = part.weight;
        let Some((place, home)) = home.and_then(|place| Some((place, found.parts.get(place)?))) else {
            posts.push(Step::Post { values: wants.clone(), weight, ttl: set.ttl() });
            continue;
        };
        let put = |values| Step::Put { set: home.clone(), values, weight: Some(weight), ttl: ttl_of(home) };
        let same_weight = home.weight == Some(weight);
        if !home.state.is_served() {
            if home.values == *wants && same_weight {
                enables.push(Step::Enable { id: home.id.clone() });
            } else {
                puts.push(put(wants.clone()));
            }
            continue;
        }
        // What belongs in other sets stays until it is served by those; and what is to leave, while too little would be left.
        let elsewhere = firm.values().filter(|other| **other != place).count();
        let leaves = elsewhere + wants.len() >= enough;
        let stays = |value: &&IpAddr| {
            if wanted.contains(value) { !is_firm_beside(&firm, value, place) } else { !leaves }
        };
        let values: BTreeSet<IpAddr> = home.values.iter().filter(stays).chain(wants).copied().collect();
        if values == home.values && same_weight && home.state != PartState::Failed {
            continue;
        }
        let only_takes = values.is_subset(&home.values) && same_weight && home.state == PartState::Served;
        match firm.values().any(|firm| *firm == place) {
            _ if only_takes => reductions.push((place, put(values))),
            true => changes.push((place, put(values))),
            false => puts.push(put(values)),
        }
    }
    let homes: BTreeSet<usize> = housed.iter().filter_map(|it| it.home).collect();
    for (place, other) in found.parts.iter().enumerate() {
        if homes.contains(&place) || !other.state.is_served() || other.values.is_disjoint(&owned) {
            continue;
        }
        let stays = |value: &&IpAddr| {
            !owned.contains(value) || (wanted.contains(value) && !is_firm_beside(&firm, value, place))
        };
        let values: BTreeSet<IpAddr> = other.values.iter().filter(stays).copied().collect();
        if values.is_empty() {
            takes.push(Step::Disable { id: other.id.clone() });
        } else if values != other.values {
            takes.push(Step::Put { set: other.clone(), values, weight: None, ttl: other.ttl });
        }
    }
    let is_in = |of: &[(usize, Step)], home: &usize| of.iter().any(|(place, _)| place == home);
    let unchanged = |home: &&usize| !is_in(&changes, home);
    let untouched = |home: &&usize| unchanged(home) && !is_in(&reductions, home);
    let (unchanged, untouched) =
        (firm.values().filter(unchanged).count(), firm.values().filter(untouched).count());
    if firm.len() < enough {
        takes.clear();
        reductions.clear();
    } else if !takes.is_empty() && untouched < enough {
        changes.clear();
        reductions.clear();
    } else if !reductions.is_empty() && unchanged < enough {
        changes.clear();
    }
    let calls = |of: Vec<(usize, Step)>| of.into_iter().map(|(_, step)| step).collect();
    Stage {
        adds: [calls(changes), puts, enables, posts].concat(),
        takes: [calls(reductions), takes].concat(),
    }
}

/// Finds each part that is to be served the set that is its own: one that holds nothing but its addresses, rather one that
/// is served; else a served one that our regions share.
fn house<'a>(found: &Found, set: &'a RecordSet, owned: &BTreeSet<IpAddr>) -> Vec<Housed<'a>> {
    let wanted =
        set.parts().iter().map(|part| Housed { part, wants: &part.values & set.values(), home: None });
    let mut housed: Vec<Housed<'_>> = wanted.filter(|it| !it.wants.is_empty()).collect();
    let mut taken = BTreeSet::new();
    for shared in [false, true] {
        for it in housed.iter_mut().filter(|it| it.home.is_none()) {
            let may_be = |set: &FoundPart| match set.state {
                PartState::Withheld => false,
                _ if shared => set.state.is_served() && set.values.is_subset(owned),
                PartState::Served
                | PartState::Coming
                | PartState::Failed
                | PartState::Leaving
                | PartState::Off => set.values.is_subset(&it.part.owned),
            };
            let rank = |set: &FoundPart| {
                let is_home = set.values.intersection(&it.wants).count();
                (set.state.is_served(), is_home, set.weight == Some(it.part.weight))
            };
            let fits = |(place, set): &(usize, &FoundPart)| {
                !taken.contains(place) && !set.values.is_disjoint(&it.part.owned) && may_be(set)
            };
            // The first of equals.
            let sets = found.parts.iter().enumerate().rev().filter(fits);
            it.home = sets.max_by_key(|(_, set)| rank(set)).map(|(place, _)| place);
            taken.extend(it.home);
        }
    }
    housed
}

fn firm_in(found: &Found, housed: &Housed<'_>) -> Vec<(IpAddr, usize)> {
    let home = housed.home.and_then(|place| Some((place, found.parts.get(place)?)));
    let Some((place, home)) = home.filter(|(_, home)| home.state == PartState::Served) else {
        return Vec::new();
    };
    home.values.intersection(&housed.wants).map(|value| (*value, place)).collect()
}

/// Whether the value is served for good by another set than this one.
fn is_firm_beside(firm: &BTreeMap<IpAddr, usize>, value: &IpAddr, place: usize) -> bool {
    firm.get(value).is_some_and(|home| *home != place)
}

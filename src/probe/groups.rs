//! Which of the watched things are asked about together, in one request for each group.
//!
//! A group holds as many as one request can name. What the cloud refuses for one of them it refuses for all, so a group
//! that is refused is split in halves until the bad one is alone; after a while all are tried together again. It knows
//! nothing of what is asked. Start at [`Groups::of`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::shared_call::SharedCall;
use crate::clock::instant_now;
use crate::huawei::IDS_A_CALL;

/// How long groups stay split. Short, because halves cost more requests and a service in trouble may have refused all of
/// them; long enough that an id that stays bad costs one request a second or less.
const SPLIT_FOR: Duration = Duration::from_secs(30);

/// All groups of one kind of question `Q` with answers `T`.
#[derive(Debug)]
pub(super) struct Groups<W, Q, T>(Mutex<State<W, Q, T>>);

#[derive(Debug)]
struct State<W, Q, T> {
    groups: Vec<Arc<Group<W, Q, T>>>,
    /// By number of the thing.
    of: BTreeMap<u64, Arc<Group<W, Q, T>>>,
    /// Some are split, since then.
    split_at: Option<Instant>,
    numbers: u32,
}

/// Things that are asked about together.
#[derive(Debug)]
pub(super) struct Group<W, Q, T> {
    number: u32,
    things: Mutex<BTreeMap<u64, Thing<W>>>,
    /// Takes no more things: the rest of a split.
    is_split: bool,
    pace: Mutex<Option<(Duration, Instant)>>,
    /// The latest answer about all of them.
    pub(super) answer: Arc<SharedCall<Q, T>>,
}

/// A thing that can be asked about.
#[derive(Debug)]
pub(super) struct Thing<W> {
    /// Tells it apart from all others.
    pub(super) number: u64,
    /// No two things with the same text here come into one group.
    pub(super) apart: Option<Arc<str>>,
    /// The thing.
    pub(super) watched: Weak<W>,
}

impl<W> Clone for Thing<W> {
    fn clone(&self) -> Self {
        Self { number: self.number, apart: self.apart.clone(), watched: Weak::clone(&self.watched) }
    }
}

impl<W, Q: Send + Sync + 'static, T: Send + Sync + 'static> Groups<W, Q, T> {
    /// None yet.
    pub(super) fn new() -> Self {
        let state = State { groups: Vec::new(), of: BTreeMap::new(), split_at: None, numbers: 0 };
        Self(Mutex::new(state))
    }

    /// The group of a thing, which enters one if it is new.
    pub(super) fn of(&self, thing: impl FnOnce() -> Thing<W>, number: u64) -> Arc<Group<W, Q, T>> {
        let mut state = self.state();
        let now = instant_now();
        if state.split_at.is_some_and(|at| now.saturating_duration_since(at) >= SPLIT_FOR) {
            state.join_again();
        }
        match state.of.get(&number) {
            Some(group) => Arc::clone(group),
            None => state.enter(thing()),
        }
    }

    /// The thing is not watched any more.
    pub(super) fn forget(&self, number: u64) {
        let mut state = self.state();
        if let Some(group) = state.of.remove(&number) {
            group.things().remove(&number);
        }
        state.groups.retain(|group| !group.things().is_empty());
    }

    /// Splits a group whose question was refused. False when there is one thing in it: then it is that one.
    pub(super) fn split(&self, group: &Group<W, Q, T>) -> bool {
        let things: Vec<Thing<W>> = group.things().values().cloned().collect();
        if things.len() < 2 {
            // Perhaps because somebody else has split it meanwhile.
            return things.is_empty();
        }
        let halves = things.split_at(things.len() / 2);
        let mut state = self.state();
        // Not twice, by two that were told of one refusal.
        let still =
            |thing: &Thing<W>| state.of.get(&thing.number).is_some_and(|of| of.number == group.number);
        if things.iter().any(still) {
            group.things().clear();
            for half in [halves.0, halves.1] {
                state.open(half.to_vec(), true);
            }
            state.split_at.get_or_insert_with(instant_now);
        }
        true
    }

    /// Puts a thing into a group of its own, because what is answered about it cannot be told from the rest.
    pub(super) fn set_apart(&self, thing: Thing<W>) {
        let mut state = self.state();
        if let Some(group) = state.of.get(&thing.number) {
            group.things().remove(&thing.number);
        }
        state.open(vec![thing], true);
        state.split_at.get_or_insert_with(instant_now);
    }

    fn state(&self) -> MutexGuard<'_, State<W, Q, T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W, Q: Send + Sync + 'static, T: Send + Sync + 'static> State<W, Q, T> {
    fn enter(&mut self, thing: Thing<W>) -> Arc<Group<W, Q, T>> {
        let takes = |group: &&Arc<Group<W, Q, T>>| {
            let things = group.things();
            let is_apart =
                || thing.apart.is_none() || things.values().all(|other| other.apart != thing.apart);
            !group.is_split && things.len() < IDS_A_CALL && is_apart()
        };
        let Some(group) = self.groups.iter().find(takes).cloned() else {
            return self.open(vec![thing], false);
        };
        self.of.insert(thing.number, Arc::clone(&group));
        group.things().insert(thing.number, thing);
        group
    }

    fn open(&mut self, things: Vec<Thing<W>>, is_split: bool) -> Arc<Group<W, Q, T>> {
        self.numbers = self.numbers.wrapping_add(1);
        let things: BTreeMap<u64, Thing<W>> = things.into_iter().map(|thing| (thing.number, thing)).collect();
        let numbers: Vec<u64> = things.keys().copied().collect();
        let group = Arc::new(Group {
            number: self.numbers,
            things: Mutex::new(things),
            is_split,
            pace: Mutex::default(),
            answer: SharedCall::new(),
        });
        for number in numbers {
            self.of.insert(number, Arc::clone(&group));
        }
        self.groups.retain(|group| !group.things().is_empty());
        self.groups.push(Arc::clone(&group));
        group
    }

    fn join_again(&mut self) {
        self.split_at = None;
        for group in std::mem::take(&mut self.groups) {
            if group.is_split {
                let things = std::mem::take(&mut *group.things());
                for thing in things.into_values() {
                    self.enter(thing);
                }
            } else {
                self.groups.push(group);
            }
        }
    }
}

impl<W, Q, T> Group<W, Q, T> {
    /// Tells it apart from the other groups of its kind.
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// What is in it and still watched.
    pub(super) fn watched(&self) -> Vec<Arc<W>> {
        self.things().values().filter_map(|thing| thing.watched.upgrade()).collect()
    }

    /// Takes note that it is asked at that interval. Returns the shortest interval at which it was asked lately.
    pub(super) fn pace(&self, interval: Duration) -> Duration {
        let now = instant_now();
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = pace.filter(|(every, at)| {
            *every < interval && now.saturating_duration_since(*at) < *every + PACE_KEPT
        });
        let (every, _) = *pace.insert(kept.unwrap_or((interval, now)));
        every
    }

    fn things(&self) -> MutexGuard<'_, BTreeMap<u64, Thing<W>>> {
        self.things.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long after a probe at the fast pace its group counts as asked at that pace: what waits for a probe at the normal
/// pace to ask must not be held up by that.
const PACE_KEPT: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    type Plain = Groups<(), (), ()>;

    fn thing(number: u64, apart: Option<&str>, watched: &Arc<()>) -> Thing<()> {
        Thing { number, apart: apart.map(Arc::from), watched: Arc::downgrade(watched) }
    }

    fn sizes(groups: &Plain) -> Vec<usize> {
        groups.state().groups.iter().map(|group| group.watched().len()).collect()
    }

    fn entered(count: u64, apart: impl Fn(u64) -> Option<&'static str>, watched: &Arc<()>) -> Plain {
        let groups = Plain::new();
        for number in 0..count {
            groups.of(|| thing(number, apart(number), watched), number);
        }
        groups
    }

    #[test]
    fn a_group_is_as_large_as_a_request_can_be() {
        let watched = Arc::new(());
        assert_eq!(sizes(&entered(250, |_| None, &watched)), [100, 100, 50]);
    }

    #[test]
    fn what_must_be_apart_is_in_groups_of_its_own() {
        let watched = Arc::new(());
        // Every tenth has the same load balancer.
        let groups = entered(40, |number| (number % 10 == 0).then_some("one"), &watched);
        assert_eq!(sizes(&groups), [37, 1, 1, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_bad_one_ends_up_alone_and_is_tried_with_the_others_again() {
        let watched = Arc::new(());
        let groups = entered(100, |_| None, &watched);
        let of = |number| groups.of(|| thing(number, None, &watched), number);
        let mut refused = 0;
        while groups.split(&of(42)) {
            refused += 1;
        }
        assert_eq!((of(42).watched().len(), refused), (1, 7));
        assert_eq!(sizes(&groups).iter().sum::<usize>(), 100);
        tokio::time::sleep(SPLIT_FOR).await;
        assert_eq!(of(42).watched().len(), 100);
    }

    #[test]
    fn what_is_not_watched_any_more_leaves_its_place() {
        let watched = Arc::new(());
        let groups = entered(101, |_| None, &watched);
        groups.forget(100);
        groups.forget(7);
        assert_eq!(sizes(&groups), [99]);
        groups.of(|| thing(200, None, &watched), 200);
        assert_eq!(sizes(&groups), [100]);
    }
}

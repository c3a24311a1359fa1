//! How often a record set may be written (BOUNDED-WRITES), whatever flaps and whatever gets lost.
//!
//! Every write counts within the window. Beyond the budget a write is sent only for a region that leaves, or that comes to
//! the rescue while nobody serves: once a window for each region, and else at a pace of one in [`URGENT_EVERY`]. A region
//! that has had its write beyond the budget keeps one of the budget's in reserve when it returns, so that its next removal
//! never waits for returns or repairs. A write that changed nothing, refused or shown by a read not to have landed, does
//! not count. Start at [`Writes::admit`].

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::memory::{Age, ExtraMemory};
use crate::model::{Moment, RegionName, WriteBudget};

/// So many writes are kept at least, also when the budget allows fewer, and so many beyond it: a reload may bring a larger
/// one with a longer window, to which they count.
const REMEMBERED: usize = 64;

/// However often a region has left or come to the rescue within the window: nobody stays dead in the set, or alive out of a
/// set of dead ones, for longer than this after the latest write.
const URGENT_EVERY: Duration = Duration::from_secs(30);

/// What a write does to the regions, as far as its budget goes.
#[derive(Clone, Debug, Default)]
pub(super) struct Claim {
    /// The regions that leave by it.
    pub(super) leave: Vec<RegionName>,
    /// The regions that it brings in while nobody serves.
    pub(super) rescue: Vec<RegionName>,
    /// The regions that are in the set after it.
    pub(super) after: Vec<RegionName>,
}

impl Claim {
    fn urgent(&self) -> impl Iterator<Item = Urgent> {
        let leave = self.leave.iter().cloned().map(Urgent::Leaves);
        leave.chain(self.rescue.iter().cloned().map(Urgent::Rescues))
    }
}

/// Why a write waits for no budget.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Urgent {
    /// This region leaves.
    Leaves(RegionName),
    /// This one comes in while nobody serves.
    Rescues(RegionName),
}

/// Whether a write may be sent now.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Admission {
    /// It may, and counts.
    Counted,
    /// It may, beyond the budget, for this reason.
    Extra(Urgent),
    /// Not before then; so many of the budget are kept in reserve.
    NotBefore(Moment, u32),
}

/// The writes of one record set.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Writes {
    budget: WriteBudget,
    /// When the latest of those that count were sent, oldest first; never more than the budget allows or [`REMEMBERED`],
    /// so it stays small.
    sent: VecDeque<Moment>,
    /// When a write was last sent beyond the budget, for each reason.
    extra: BTreeMap<Urgent, Moment>,
    /// How the latest write was admitted, until it is known what became of it; and when there was one like it before.
    open: Option<(Admission, Option<Moment>)>,
}

impl Writes {
    pub(super) fn new(budget: WriteBudget) -> Self {
        Self { budget, sent: VecDeque::new(), extra: BTreeMap::new(), open: None }
    }

    /// Whether a write that makes this claim may be sent now.
    pub(super) fn admit(&self, now: Moment, claim: &Claim) -> Admission {
        let most = self.budget.writes;
        let fits = |at: Moment| self.used(at) + self.reserved(at, claim) < most;
        if fits(now) {
            return Admission::Counted;
        }
        if let Some(urgent) = claim.urgent().find(|urgent| !self.had_extra(urgent, now)) {
            return Admission::Extra(urgent);
        }
        let Some(urgent) = claim.urgent().next() else {
            // Only what was sent, or given beyond the budget, can run out of the window and make room. It does not fit now,
            // so it did not fit before.
            let fit = self.all().map(|at| *at + self.budget.window).filter(|end| fits(*end)).min();
            return Admission::NotBefore(fit.unwrap_or(now + self.budget.window), self.reserved(now, claim));
        };
        let paced = self.all().max().map_or(now, |latest| *latest + URGENT_EVERY);
        if self.used(now) < most {
            Admission::Counted
        } else if paced <= now {
            Admission::Extra(urgent)
        } else {
            Admission::NotBefore(paced, 0)
        }
    }

    /// A write is being sent as it was admitted.
    pub(super) fn sent(&mut self, now: Moment, admission: Admission) {
        let before = match &admission {
            Admission::Extra(urgent) => self.extra.insert(urgent.clone(), now),
            Admission::Counted | Admission::NotBefore(..) => {
                self.sent.push_back(now);
                None
            }
        };
        while self.sent.len() > REMEMBERED.max(self.budget.writes as usize) {
            self.sent.pop_front();
        }
        if self.extra.len() > REMEMBERED {
            let window = self.budget.window;
            self.extra.retain(|_, at| *at + window > now);
        }
        self.open = Some((admission, before));
    }

    /// The latest write may have changed the set: it counts for good.
    pub(super) fn stands(&mut self) {
        self.open = None;
    }

    /// The latest write changed nothing: it was refused or taken back, or a read shows that it did not land.
    pub(super) fn undo(&mut self) {
        match self.open.take() {
            Some((Admission::Extra(urgent), before)) => {
                self.extra.remove(&urgent);
                self.extra.extend(before.map(|at| (urgent, at)));
            }
            Some((Admission::Counted | Admission::NotBefore(..), _)) => drop(self.sent.pop_back()),
            None => {}
        }
    }

    /// Whether it is not known yet what became of the latest write.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Another budget for the same writes: a smaller one holds at once.
    pub(super) fn reconfigure(&mut self, budget: WriteBudget) {
        self.budget = budget;
    }

    /// How many writes were sent within the window, those beyond the budget included, as far as they are kept.
    pub(super) fn within_window(&self, now: Moment) -> usize {
        self.all().filter(|at| **at + self.budget.window > now).count()
    }

    fn all(&self) -> impl Iterator<Item = &Moment> {
        self.sent.iter().chain(self.extra.values())
    }

    /// How many of them count against the budget.
    fn used(&self, now: Moment) -> u32 {
        let counts = self.sent.iter().filter(|sent| **sent + self.budget.window > now).count();
        u32::try_from(counts).unwrap_or(u32::MAX)
    }

    fn reserved(&self, now: Moment, claim: &Claim) -> u32 {
        let left = |region: &&RegionName| self.had_extra(&Urgent::Leaves((*region).clone()), now);
        u32::try_from(claim.after.iter().filter(left).count()).unwrap_or(u32::MAX)
    }

    fn had_extra(&self, urgent: &Urgent, now: Moment) -> bool {
        self.extra.get(urgent).is_some_and(|at| *at + self.budget.window > now)
    }

    /// All that is to be remembered of them; of the latest write, if it is open, and when there was one like it before.
    pub(super) fn memory(&self, now: Moment) -> (Vec<Age>, Vec<ExtraMemory>, (bool, Option<Age>)) {
        let sent = self.sent.iter().map(|sent| Age::of(*sent, now)).collect();
        let extra = self.extra.iter().map(|(urgent, at)| {
            let sent = Age::of(*at, now);
            match urgent.clone() {
                Urgent::Leaves(region) => ExtraMemory { region, sent, is_rescue: false },
                Urgent::Rescues(region) => ExtraMemory { region, sent, is_rescue: true },
            }
        });
        let before = self.open.as_ref().and_then(|(_, before)| *before);
        (sent, extra.collect(), (self.open.is_some(), before.map(|at| Age::of(at, now))))
    }

    /// Those that were persisted at `saved`. A write that was open then is the latest one.
    pub(super) fn recall(
        budget: WriteBudget,
        sent: &[Age],
        extra: &[ExtraMemory],
        (is_open, before): (bool, Option<Age>),
        saved: Moment,
    ) -> Self {
        let sent: VecDeque<Moment> = sent.iter().map(|age| age.before(saved)).collect();
        let extra: BTreeMap<Urgent, Moment> = extra
            .iter()
            .map(|ExtraMemory { region, sent, is_rescue }| {
                let why = if *is_rescue { Urgent::Rescues } else { Urgent::Leaves };
                (why(region.clone()), sent.before(saved))
            })
            .collect();
        let latest = extra.iter().max_by_key(|(_, at)| **at);
        let admission = match latest {
            Some((urgent, at)) if sent.back().is_none_or(|sent| at > sent) => {
                Admission::Extra(urgent.clone())
            }
            Some(_) | None => Admission::Counted,
        };
        let before = before.map(|age| age.before(saved));
        Self { budget, sent, extra, open: is_open.then_some((admission, before)) }
    }

    pub(super) fn budget(&self) -> WriteBudget {
        self.budget
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(600);

    fn name(name: &str) -> RegionName {
        RegionName::parse(name).unwrap()
    }

    fn claim(leave: &[&str], after: &[&str]) -> Claim {
        let names = |of: &[&str]| of.iter().map(|it| name(it)).collect();
        Claim { leave: names(leave), rescue: Vec::new(), after: names(after) }
    }

    fn at(seconds: u64) -> Moment {
        Moment::START + Duration::from_secs(1_000 + seconds)
    }

    /// Sends what is admitted; says whether it was.
    fn send(writes: &mut Writes, seconds: u64, claim: &Claim) -> bool {
        let admission = writes.admit(at(seconds), claim);
        let may = !matches!(admission, Admission::NotBefore(..));
        if may {
            writes.sent(at(seconds), admission);
            writes.stands();
        }
        may
    }

    #[test]
    fn beyond_the_budget_each_region_leaves_once_a_window_and_nothing_else_is_written() {
        let mut writes = Writes::new(WriteBudget { writes: 2, window: WINDOW });
        assert!(send(&mut writes, 0, &claim(&["a"], &["b"])));
        assert!(send(&mut writes, 1, &claim(&[], &["a", "b"])));
        assert!(!send(&mut writes, 2, &claim(&[], &["a", "b"])), "a repair waits");
        assert!(send(&mut writes, 3, &claim(&["b"], &["a"])));
        assert!(send(&mut writes, 4, &claim(&["a"], &[])));
        assert!(!send(&mut writes, 5, &claim(&["a"], &[])), "once a window");
        assert!(!send(&mut writes, 33, &claim(&["a"], &[])), "or half a minute after the latest write");
        assert!(send(&mut writes, 34, &claim(&["a"], &[])));
        assert!(!send(&mut writes, 300, &claim(&[], &["a", "b"])), "which is for no repair");
    }

    #[test]
    fn a_region_that_left_beyond_the_budget_comes_to_the_rescue_beyond_it_too() {
        let mut writes = Writes::new(WriteBudget { writes: 1, window: WINDOW });
        assert!(send(&mut writes, 0, &claim(&[], &["a", "b"])));
        assert!(send(&mut writes, 1, &claim(&["a"], &["b"])));
        let rescue = Claim { rescue: vec![name("a")], ..claim(&[], &["a", "b"]) };
        assert!(send(&mut writes, 2, &rescue));
        assert!(!send(&mut writes, 3, &rescue), "once a window");
        assert!(send(&mut writes, 32, &rescue), "or half a minute after the latest write");
    }

    #[test]
    fn a_return_leaves_one_for_the_next_removal_of_a_region_that_had_its_extra_write() {
        let mut writes = Writes::new(WriteBudget { writes: 2, window: WINDOW });
        for second in [0, 1] {
            assert!(send(&mut writes, second, &claim(&[], &["b"])));
        }
        assert!(send(&mut writes, 100, &claim(&["a"], &["b"])));
        // The first two have left the window at 601, and a has had its extra write until 700.
        assert!(send(&mut writes, 602, &claim(&[], &["a", "b"])));
        assert!(!send(&mut writes, 603, &claim(&[], &["a", "b"])), "it would take the last one");
        assert!(send(&mut writes, 604, &claim(&["a"], &["b"])));
    }

    #[test]
    fn a_longer_window_counts_what_was_sent_beyond_the_budget_before_it_came() {
        let short = Duration::from_secs(20);
        let mut writes = Writes::new(WriteBudget { writes: 1, window: short });
        assert!(send(&mut writes, 0, &claim(&[], &["a", "b"])));
        assert!(send(&mut writes, 1, &claim(&["a"], &["b"])));
        assert!(send(&mut writes, 21, &claim(&[], &["a", "b"])));
        writes.reconfigure(WriteBudget { writes: 1, window: WINDOW });
        assert!(
            !send(&mut writes, 22, &claim(&["a"], &["b"])),
            "it had its write beyond the budget 21 s ago"
        );
        assert!(send(&mut writes, 23, &claim(&["b"], &["a"])));
    }

    #[test]
    fn what_is_kept_of_writes_beyond_the_budget_is_bounded_by_the_window() {
        let mut writes = Writes::new(WriteBudget { writes: 1, window: WINDOW });
        for number in 0..2_000 {
            assert!(send(&mut writes, number, &claim(&[&format!("r{number}")], &["b"])));
        }
        assert!(writes.extra.len() <= 601, "{}", writes.extra.len());
    }

    #[test]
    fn what_is_kept_in_reserve_is_there_for_every_removal() {
        let mut writes = Writes::new(WriteBudget { writes: 2, window: WINDOW });
        for second in [0, 1] {
            assert!(send(&mut writes, second, &claim(&[], &["a", "b"])));
        }
        assert!(send(&mut writes, 100, &claim(&["a"], &["b"])));
        assert!(send(&mut writes, 101, &claim(&["b"], &["a"])));
        for second in [602, 603] {
            assert!(send(&mut writes, second, &claim(&["a"], &["b"])), "although one is kept for b");
        }
        assert!(!send(&mut writes, 604, &claim(&["a"], &["b"])));
    }

    #[test]
    fn a_write_that_changed_nothing_is_given_back_and_only_once() {
        let mut writes = Writes::new(WriteBudget { writes: 1, window: WINDOW });
        for second in 0..20 {
            let admission = writes.admit(at(second), &claim(&[], &["a"]));
            assert_eq!(admission, Admission::Counted);
            writes.sent(at(second), admission);
            writes.undo();
            writes.undo();
        }
        assert!(send(&mut writes, 30, &claim(&[], &["a"])));
        writes.undo();
        assert_eq!(writes.admit(at(31), &claim(&[], &["a"])), Admission::NotBefore(at(630), 0));
    }

    #[test]
    fn a_write_counts_until_it_is_as_old_as_the_window() {
        let mut writes = Writes::new(WriteBudget { writes: 1, window: WINDOW });
        assert!(send(&mut writes, 0, &claim(&["a"], &["b"])));
        assert!(send(&mut writes, 1, &claim(&["a"], &["b"])), "beyond the budget");
        assert_eq!([599, 600, 601].map(|second| writes.within_window(at(second))), [2, 1, 0]);
        assert_eq!(writes.admit(at(600), &claim(&[], &["b"])), Admission::Counted);
        assert_eq!(writes.admit(at(600), &claim(&[], &["a"])), Admission::NotBefore(at(601), 1));
        assert_eq!(writes.admit(at(601), &claim(&[], &["a"])), Admission::Counted);
    }

    #[test]
    fn of_a_large_budget_every_write_counts() {
        let most = u32::try_from(REMEMBERED).unwrap();
        let mut writes = Writes::new(WriteBudget { writes: most, window: WINDOW });
        assert!((0..u64::from(most)).all(|second| send(&mut writes, second, &claim(&[], &["a"]))));
        assert!(!send(&mut writes, u64::from(most), &claim(&[], &["a"])));
    }

    #[test]
    fn the_next_process_gives_back_the_write_that_was_open_and_no_other() {
        let restart = |writes: &Writes, seconds: u64| {
            let (sent, extra, open) = writes.memory(at(seconds));
            Writes::recall(writes.budget(), &sent, &extra, open, at(seconds))
        };
        let leaves = claim(&["a"], &["b"]);
        let mut writes = Writes::new(WriteBudget { writes: 1, window: WINDOW });
        assert!(send(&mut writes, 0, &claim(&[], &["a", "b"])));
        writes.sent(at(1), writes.admit(at(1), &leaves));
        let mut next = restart(&writes, 2);
        assert!(next.is_open());
        next.undo();
        assert_eq!(next.admit(at(2), &claim(&[], &["b"])), Admission::NotBefore(at(600), 0));
        assert!(send(&mut next, 2, &leaves), "the one beyond the budget was given back");

        assert_eq!(next.admit(at(602), &claim(&[], &["b"])), Admission::Counted);
        next.sent(at(602), Admission::Counted);
        let mut next = restart(&next, 603);
        next.undo();
        assert_eq!(next.admit(at(603), &claim(&[], &["b"])), Admission::Counted);
        assert!(!restart(&next, 604).is_open());

        let mut writes = Writes::new(WriteBudget { writes: 1, window: WINDOW });
        assert!([0, 1].into_iter().all(|second| send(&mut writes, second, &leaves)));
        writes.sent(at(40), writes.admit(at(40), &leaves));
        let mut next = restart(&writes, 41);
        next.undo();
        assert!(send(&mut next, 42, &claim(&["b"], &["a"])));
        assert!(!send(&mut next, 43, &leaves), "the one beyond the budget that was sent before it counts");
    }
}

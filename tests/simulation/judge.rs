//! Holds everything that happens against every invariant, by rules of its own that are far simpler than the code that
//! upholds them. It is told what the outside can see: looks, what the core asks for, what the driver tells and calls,
//! what the zone holds; it never looks into the core.
//!
//! `plans` judges what the core asks for, `words` what operators have said, `writes` what is called and what the zone
//! becomes, `budget` how often that is, `drift` whose doing that is. Each service has a judge of its own; that they leave each
//! other alone (KEEP-WATCHING) is judged where effects are handed out. Not judged here, since it has no place in this world:
//! RELOAD-OR-KEEP, READ-ONLY-OUTSIDE and SECRETS-STAY.

mod budget;
mod drift;
mod ledger;
mod plans;
mod shared_addresses;
mod weighted;
mod witnesses;
mod words;
mod writes;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use pointsman::core::Held;
use pointsman::model::{Alarm, Liveness, Mode, Outcome, RegionName};

use super::evidence::{Seen, by_all, by_earned, by_latest};
use super::journal::Saved;
use super::settings::Settings;

/// An invariant that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    /// Its name.
    pub(crate) name: &'static str,
    pub(crate) why: String,
}

pub(crate) type Judged = Result<(), Broken>;

/// Fails with the invariant's name unless something holds.
macro_rules! holds {
    ($condition:expr, $name:expr, $($why:tt)+) => {
        if !$condition {
            return Err($crate::simulation::judge::Broken { name: $name, why: format!($($why)+) });
        }
    };
}
pub(crate) use holds;

/// What is known of one region.
#[derive(Clone, Debug)]
pub(crate) struct View {
    checks: Vec<Seen>,
    /// Since when it passes; once it serves or has risen, failures below `fall` do not count.
    passing_since: Option<i64>,
    /// Whether it rose while it was recovering.
    rose: bool,
    /// When it fell, and since when it is out of the set as the core was told.
    fell: Option<i64>,
    left: Option<i64>,
    /// As the core told, and since when.
    told: Liveness,
    told_at: i64,
    /// When it last came back, and how many times in a row it fell soon after that.
    returned: Option<i64>,
    flaps: i32,
    /// Where it is, or was before nothing was bound to it, as it was told last.
    current: BTreeSet<IpAddr>,
    is_unbound: bool,
    /// The addresses that are its own: where it is, and where it was last and nobody else is.
    owns: BTreeSet<IpAddr>,
    /// Whether it fell and has not returned since, nor did anybody say that it may.
    has_to_ask: bool,
}

impl View {
    fn new(settings: &Settings, place: usize, now: i64) -> Self {
        let fixed = settings.fixed_addresses(place);
        Self {
            current: fixed.clone(),
            is_unbound: false,
            owns: fixed,
            checks: vec![Seen::default(); settings.checks.len()],
            passing_since: None,
            rose: false,
            fell: None,
            left: None,
            told: Liveness::Unknown,
            told_at: now,
            returned: None,
            flaps: 0,
            has_to_ask: false,
        }
    }

    /// Takes in what its checks say together.
    fn weigh(&mut self, now: i64, settings: &Settings, muted: &BTreeSet<usize>) {
        let settled = by_all(&self.checks, settings, muted);
        match by_latest(&self.checks, settings, muted) {
            Some(true) => {
                self.passing_since.get_or_insert(now);
                self.rose |= self.told == Liveness::Recovering && settled == Some(true);
            }
            Some(false) => {
                let serves = match self.told {
                    Liveness::Up | Liveness::Suspect => settled != Some(false),
                    Liveness::Recovering => self.rose && settled != Some(false),
                    Liveness::Unknown | Liveness::Down => false,
                };
                if settled != Some(true) && !serves {
                    self.passing_since = None;
                }
            }
            None => {}
        }
    }

    /// How long it must be healthy before it is published again.
    fn waits_ms(&self, settings: &Settings) -> i64 {
        let base = Duration::from_secs(settings.recover_after_s);
        let (_, factor, most) = settings.flap;
        let grown = base.mul_f64(factor.powi(self.flaps.min(20)));
        i64::try_from(grown.min(Duration::from_secs(most).max(base)).as_millis()).unwrap_or(i64::MAX)
    }
}

/// What outlives a process that the journal has.
#[derive(Clone, Debug)]
pub(crate) struct Remembered {
    settings: Settings,
    views: BTreeMap<usize, View>,
    generation: u64,
    remembers_heard: u64,
    /// What the set held as far as the driver had told to remember.
    steady: Option<BTreeSet<IpAddr>>,
    words: words::Words,
}

/// What was planned.
#[derive(Clone, Debug)]
struct Planned {
    at: i64,
    wanted: BTreeSet<IpAddr>,
    owned: BTreeSet<IpAddr>,
    /// What was ours then, by the judge's own account, and whose.
    ours: BTreeSet<IpAddr>,
    owns: BTreeMap<usize, BTreeSet<IpAddr>>,
    may_write: bool,
    /// How many words of operators it heeds.
    words: u64,
    /// Whether it brought somebody in who serves while nobody did who was published.
    is_rescue: bool,
}

#[derive(Debug)]
pub(crate) struct Judge {
    settings: Settings,
    views: BTreeMap<usize, View>,
    /// What the set holds as the core was told; none before the first time.
    seen: Option<BTreeSet<IpAddr>>,
    /// Whether it exists, and whether the provider keeps some of it from being served, as the core was told.
    is_there: bool,
    is_withheld: bool,
    held: Vec<Held>,
    pub(crate) alarms: BTreeMap<(Alarm, Option<RegionName>), String>,
    looked: Option<usize>,
    generation: u64,
    plans: BTreeMap<u64, Planned>,
    writes: writes::Writes,
    words: words::Words,
    witnesses: witnesses::Witnesses,
    /// Whether what is asked for next is the start's own doing. What follows for regions is taken in with the first thing
    /// that is heard.
    starts: bool,
    /// Whether the driver may not have heard of the newest configuration yet.
    is_news: bool,
    pub(crate) calm: bool,
    /// A rule that is wrong on purpose, to see what a failure looks like.
    pub(crate) trap: Option<Trap>,
}

/// What has to become of the record set, by the newest plan and by what was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Due {
    /// The region at this place is down, and is to leave.
    Leaves(usize),
    /// It serves while nobody does who is published, and is to enter.
    Enters(usize),
}

/// Rules that are wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trap {
    /// No region may ever be taken out.
    NobodyLeaves,
}

impl Judge {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            settings: settings.clone(),
            views: BTreeMap::new(),
            seen: None,
            is_there: false,
            is_withheld: false,
            held: Vec::new(),
            alarms: BTreeMap::new(),
            looked: None,
            generation: 0,
            plans: BTreeMap::new(),
            writes: writes::Writes::default(),
            words: words::Words::default(),
            witnesses: witnesses::Witnesses::default(),
            starts: false,
            is_news: false,
            calm: false,
            trap: None,
        }
    }

    pub(crate) fn remember(&self) -> Remembered {
        Remembered {
            settings: self.settings.clone(),
            views: self.views.clone(),
            generation: self.generation,
            remembers_heard: self.writes.budget.remembers_heard,
            steady: self.writes.steady_heard.clone(),
            words: self.words.clone(),
        }
    }

    /// A process starts, with what the disk had and how long ago that was by the wall clock: for looks, and for writes.
    pub(crate) fn started(&mut self, now: i64, settings: &Settings, saved: Option<(&Saved, (i64, i64))>) {
        self.settings = settings.clone();
        self.starts = true;
        self.forget_witnesses();
        (self.seen, self.held, self.looked) = (None, Vec::new(), None);
        self.alarms.clear();
        self.plans.clear();
        self.views = settings.places().map(|place| (place, View::new(settings, place, now))).collect();
        self.generation = 0;
        self.words = words::Words::default();
        if let Some((saved, (gap, _))) = saved {
            self.recall(now, gap, saved);
            self.leave_words_behind();
        }
        self.writes.started(now, saved.map(|(saved, (_, writes_gap))| (saved.at, writes_gap, &saved.judge)));
    }

    fn recall(&mut self, now: i64, gap: i64, saved: &Saved) {
        let then = &saved.judge;
        self.generation = then.generation;
        self.words = then.words.later(|until| now - gap + (until - saved.at));
        let settings = &self.settings;
        for (place, view) in &mut self.views {
            let Some(kept) = then.views.get(place) else { continue };
            let same_source = settings.regions[*place].fixed == then.settings.regions[*place].fixed;
            view.owns.extend(&kept.owns);
            if !same_source {
                continue;
            }
            *view = kept.clone();
            let mut forgot = false;
            for (check, seen) in view.checks.iter_mut().enumerate() {
                let (is, was) = (&settings.checks[check], &then.settings.checks[check]);
                if (is.kind, is.looks_at) == (was.kind, was.looks_at) {
                    forgot |= seen.away(gap, is);
                } else {
                    *seen = Seen::default();
                }
            }
            // Nobody is healthy while nobody looks; the rest is so long ago as the wall clock says.
            let healthy = |since: i64| if forgot { now } else { now - (saved.at - since) };
            view.passing_since = view.passing_since.map(healthy);
            let long_ago = |at: i64| now - gap - (saved.at - at);
            view.returned = view.returned.map(long_ago);
            (view.fell, view.left) = (view.fell.map(long_ago), view.left.map(long_ago));
            view.told_at = now - gap - (saved.at - view.told_at);
        }
        self.disown_what_moved();
    }

    /// What is one region's now is not another one's that is not there.
    fn disown_what_moved(&mut self) {
        for place in self.views.keys().copied().collect::<Vec<_>>() {
            let here = self.views.get(&place).filter(|view| !view.is_unbound);
            let here = here.map(|view| view.current.clone()).unwrap_or_default();
            for (_, other) in self.views.iter_mut().filter(|(other, _)| **other != place) {
                let is_there = |address: &IpAddr| !other.is_unbound && other.current.contains(address);
                let stays = |address: &IpAddr| !here.contains(address) || is_there(address);
                let current = other.current.iter().copied().filter(stays).collect();
                other.owns = other.owns.iter().copied().filter(stays).collect();
                other.current = current;
            }
        }
    }

    /// What was ruled of a region that is gone is over.
    fn leave_words_behind(&mut self) {
        let views = &self.views;
        self.words.leave_behind(|subject| match subject {
            words::Subject::Region(place) => views.contains_key(&place),
            words::Subject::Service | words::Subject::Check(_) => true,
        });
    }

    pub(crate) fn reloaded(&mut self, now: i64, settings: &Settings) {
        let before = std::mem::replace(&mut self.settings, settings.clone());
        self.is_news = (before.writes, before.window_s) != (settings.writes, settings.window_s);
        let mut views = std::mem::take(&mut self.views);
        for place in settings.places() {
            let mut view = views.remove(&place).unwrap_or_else(|| View::new(settings, place, now));
            if before.regions[place].fixed != settings.regions[place].fixed {
                let owns = view.owns;
                view = View::new(settings, place, now);
                view.owns.extend(owns);
            }
            for (check, seen) in view.checks.iter_mut().enumerate() {
                let (is, was) = (&settings.checks[check], &before.checks[check]);
                if (is.kind, is.looks_at) != (was.kind, was.looks_at) {
                    *seen = Seen::default();
                }
            }
            self.views.insert(place, view);
        }
        // What is gone leaves its addresses behind as somebody else's.
        self.leave_words_behind();
        self.disown_what_moved();
        self.note_who_left(now);
        // What is forgotten has no say any more.
        self.reconsider(now);
    }

    /// Keeps since when each region is out of the set, as the core knows it.
    fn note_who_left(&mut self, now: i64) {
        let Some(seen) = self.seen.clone() else { return };
        for view in self.views.values_mut() {
            let is_out = view.owns.is_disjoint(&seen);
            view.left = is_out.then(|| view.left.unwrap_or(now));
        }
    }

    pub(crate) fn looked(&mut self, now: i64, place: usize, check: usize, outcome: Outcome) {
        let settings = &self.settings;
        let Some(view) = self.views.get_mut(&place) else { return };
        view.checks[check].look(outcome, &settings.checks[check], settings.up_when.negates(check));
        view.weigh(now, settings, &self.words.muted());
        self.looked = Some(place);
    }

    pub(crate) fn bound(&mut self, now: i64, place: usize, addresses: &BTreeSet<IpAddr>) {
        self.reconsider(now);
        // One with fixed addresses follows no load balancer: what was seen before a reload fixed them is no news.
        let follows = self.settings.regions[place].fixed == 0;
        let Some(view) = self.views.get_mut(&place).filter(|_| follows) else { return };
        view.is_unbound = addresses.is_empty();
        if !view.is_unbound {
            view.current.clone_from(addresses);
            view.owns.extend(addresses);
        }
        self.disown_what_moved();
        self.note_who_left(now);
    }

    /// Something is done to the world.
    pub(crate) fn disturbed(&mut self) {
        self.calm = false;
    }

    pub(crate) fn killed(&mut self) {
        self.writes.killed();
    }

    /// Every address of ours, by the judge's own account.
    pub(crate) fn ours(&self) -> BTreeSet<IpAddr> {
        let own = self.views.values().flat_map(|view| view.owns.iter().copied());
        own.chain(self.settings.fallback()).collect()
    }

    /// Whether an address of the region's own is among these.
    fn is_in(&self, place: usize, set: &BTreeSet<IpAddr>) -> bool {
        !self.views[&place].owns.is_disjoint(set)
    }

    /// The same of addresses that are nobody else's: one that two regions are told to be at may count as either's.
    fn is_surely_in(&self, place: usize, set: &BTreeSet<IpAddr>) -> bool {
        let others = || self.views.iter().filter(|(other, _)| **other != place);
        let own = |address: &IpAddr| others().all(|(_, other)| !other.owns.contains(address));
        self.views[&place].owns.iter().any(|address| set.contains(address) && own(address))
    }

    fn is_all_down(&self) -> bool {
        let mut taking_part =
            self.views.iter().filter(|(place, _)| !self.words.is_drained(**place)).peekable();
        // One that passes again and has not risen ends no total outage.
        taking_part.peek().is_some() && taking_part.all(|(place, view)| !self.may_serve(*place, view))
    }

    /// Whether it passes as often as `rise` asks for.
    fn has_risen(&self, view: &View) -> bool {
        by_earned(&view.checks, &self.settings, &self.words.muted()) == Some(true)
    }

    fn passes(&self, view: &View) -> bool {
        by_latest(&view.checks, &self.settings, &self.words.muted()) == Some(true)
    }

    /// Whether somebody may be sent to it.
    fn may_serve(&self, place: usize, view: &View) -> bool {
        match view.told {
            Liveness::Unknown | Liveness::Up | Liveness::Suspect => true,
            Liveness::Recovering => self.words.is_pinned(place) || view.rose || self.has_risen(view),
            Liveness::Down => self.words.is_pinned(place),
        }
    }

    /// Whether none of the regions in this set may serve.
    fn nobody_serves(&self, set: &BTreeSet<IpAddr>) -> bool {
        self.views.iter().all(|(place, view)| !self.is_in(*place, set) || !self.may_serve(*place, view))
    }

    /// What the newest plan wants of the set that holds these values, and what nothing that was told holds back: who is
    /// down leaves, and who has risen enters while nobody serves.
    pub(crate) fn due(&self, zone: &BTreeSet<IpAddr>) -> Vec<Due> {
        let ruled = !self.words.are_none() || self.settings.mode != Mode::Act || self.settings.alarm_on_drift;
        let Some((_, plan)) = self.plans.last_key_value().filter(|(_, plan)| plan.may_write && !ruled) else {
            return Vec::new();
        };
        // The core has to know what is there of ours; where it saw no set at all it does not know of one.
        let is_same = |seen: &BTreeSet<IpAddr>| {
            let ours = self.ours();
            seen.intersection(&ours).eq(zone.intersection(&ours))
        };
        let knows = |seen: &BTreeSet<IpAddr>| seen == zone || !seen.is_empty() && is_same(seen);
        // What the provider is seen to keep from being served cannot enter.
        if self.writes.is_held || self.is_withheld || !self.seen.as_ref().is_some_and(knows) {
            return Vec::new();
        }
        let due = |(place, view): (&usize, &View)| {
            if self.is_in(*place, &plan.wanted) {
                let may_enter = !self.is_in(*place, zone) && self.may_serve(*place, view);
                let enters = may_enter && self.has_risen(view) && self.nobody_serves(zone);
                enters.then_some(Due::Enters(*place))
            } else {
                let leaves = view.told == Liveness::Down && self.has_failed(view);
                (leaves && self.is_surely_in(*place, zone)).then_some(Due::Leaves(*place))
            }
        };
        self.views.iter().filter_map(due).collect()
    }

    /// Whether its looks say that it does not serve, after as many as it takes.
    fn has_failed(&self, view: &View) -> bool {
        by_all(&view.checks, &self.settings, &self.words.muted()) == Some(false)
    }
}

/// What the second half of a run asks.
impl Judge {
    pub(crate) fn writes_sent(&self) -> usize {
        self.writes.sent_count()
    }

    /// Whether anything that operators ruled holds.
    pub(crate) fn is_ruled(&self) -> bool {
        !self.words.are_none()
    }

    pub(crate) fn told(&self, place: usize) -> Option<Liveness> {
        self.views.get(&place).map(|view| view.told)
    }

    /// The addresses of a region.
    pub(crate) fn own(&self, place: usize) -> BTreeSet<IpAddr> {
        self.views.get(&place).map(|view| view.owns.clone()).unwrap_or_default()
    }
}

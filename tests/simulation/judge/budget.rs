//! How often the record set is written, held against its budget (BOUNDED-WRITES).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use pointsman::model::{Found, FoundPart, InForce};

use super::writes::TURNS_MS;
use super::{Judge, Judged, Planned, Remembered, holds};
use crate::simulation::settings::Settings;

/// What the driver tells may take so long to be heard, and counts from then when the driver is started anew.
const LATE_MS: i64 = 3_000;
/// A region that is to leave, or to come to the rescue, waits for so long after the latest write at most.
const URGENT_MS: i64 = 30_000;

/// So many readings of the writes are tried at most.
const TRIES_MOST: u32 = 100_000;

/// The region at this place leaves, or it comes to the rescue.
type Claim = (usize, bool);

/// When something was, by the wall clocks of the processes that went on from it.
#[derive(Clone, Debug)]
struct Aged {
    at: i64,
    /// What that was before a process started, and when it did.
    before: Vec<(i64, i64)>,
    /// How much later than that it may count from.
    late_ms: i64,
}

impl Aged {
    fn new(at: i64) -> Self {
        Self { at, before: Vec::new(), late_ms: 0 }
    }

    /// A process starts, from what was kept at `saved`, which seems to be `gap` ago.
    fn restarted(&mut self, now: i64, gap: i64, saved: i64) {
        let then = self.before.iter().find(|(started, _)| *started > saved).map_or(self.at, |(_, at)| *at);
        self.before.push((now, self.at));
        self.at = now - gap - (saved - then);
    }
}

/// A write that counts against the budget.
#[derive(Clone, Debug)]
struct Counted {
    number: u64,
    at: Aged,
    generation: u64,
    /// Whether its intent was on disk before it was sent.
    is_kept: bool,
    /// How many times the driver had told by then what is to be remembered of its writes.
    remembers: u64,
    /// For each of these there is one write beyond the budget in a window. An address that was moved may be either region's,
    /// so there may be more than it has.
    claims: Vec<Claim>,
    /// Those of them that it has for certain.
    sure: Vec<Claim>,
    /// The budget of then: so many writes in so many milliseconds.
    budget: (usize, i64),
    /// Whether a person's word earned it, and whether the latest one before it was half a minute ago.
    is_earned: bool,
    is_paced: bool,
    standing: Standing,
}

/// Why a write was right when it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// The budget had room for it.
    Within,
    /// It was the write beyond the budget that one of its claims has.
    Beyond,
    /// A person's word earned it, or it had waited for half a minute.
    Earned,
}

/// A write that the journal may know of although it was not made.
#[derive(Clone, Debug)]
struct Maybe {
    at: Aged,
    /// After how many times that the driver told what to remember the journal has it, and has it no more.
    from: u64,
    until: u64,
}

/// A write that is sent.
pub(super) struct Sent<'s> {
    /// When it was meant to be sent.
    pub(super) at: i64,
    pub(super) generation: u64,
    /// What the set holds before and after it.
    pub(super) before: &'s BTreeSet<IpAddr>,
    pub(super) after: &'s BTreeSet<IpAddr>,
    /// What was read before it, and whether it is to make something else of that.
    pub(super) found: Option<&'s Found>,
    pub(super) changes: bool,
    pub(super) in_parts: bool,
}

/// A write of which a read may show that it did not land: none that leaves what was there.
#[derive(Clone, Debug)]
struct Lost {
    number: u64,
    before: BTreeSet<IpAddr>,
    parts_before: Vec<FoundPart>,
    /// Whether it takes several calls: what is served does not show a later process how many of them were carried out.
    in_parts: bool,
    remembers: u64,
}

/// The writes that count.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    /// How many times the driver told what to remember of its writes, and how often the core heard that.
    pub(super) remembers: u64,
    pub(super) remembers_heard: u64,
    counted: Vec<Counted>,
    /// Those that count only as far as the journal knows: meant when the process died, or refused and not told of.
    maybe: Vec<Maybe>,
    /// How many were sent.
    sent: u64,
    /// The latest write that was not refused.
    latest: Option<Lost>,
    /// The same while it is on its way or its answer is lost, and no read was answered since.
    lost: Option<Lost>,
}

impl Budget {
    /// A write that was meant at that time will not be made: the journal may know of it.
    pub(super) fn meant_in_vain(&mut self, at: i64) {
        self.maybe.push(Maybe { at: Aged::new(at), from: self.remembers, until: u64::MAX });
    }

    /// The same of one that was taken back: until that is told.
    pub(super) fn taken_back(&mut self, at: i64) {
        self.maybe.push(Maybe { at: Aged::new(at), from: self.remembers, until: self.remembers + 1 });
    }

    /// How many writes count at most.
    fn most_within(&self, now: i64, window: i64) -> usize {
        let counted = self.counted.iter().map(|write| &write.at);
        let maybe = self.maybe.iter().filter(|write| write.until == u64::MAX).map(|write| &write.at);
        counted.chain(maybe).filter(|aged| now - aged.at < window + aged.late_ms).count()
    }

    /// Whether the intent of the latest write was on disk before it was sent.
    pub(super) fn latest_is_kept(&self) -> bool {
        self.counted.last().is_some_and(|write| write.is_kept)
    }

    /// The greatest generation of a write that was on disk before it was sent.
    pub(super) fn newest_kept(&self) -> u64 {
        let kept = self.counted.iter().filter(|write| write.is_kept).map(|write| write.generation);
        kept.max().unwrap_or(0)
    }

    /// A process starts: what its journal knows of counts, by the age that its wall clock gives it.
    pub(super) fn started(&mut self, now: i64, saved: Option<(i64, i64, &Remembered)>) {
        // What the dead process told and nobody heard is lost.
        let remembers = self.remembers;
        self.remembers_heard = remembers;
        let Some((at, gap, then)) = saved else {
            *self = Self { remembers, remembers_heard: remembers, sent: self.sent, ..Self::default() };
            return;
        };
        let heard = then.remembers_heard;
        self.counted.retain(|write| write.is_kept || write.remembers <= heard);
        self.maybe.retain(|write| (write.from..write.until).contains(&heard));
        self.ages().for_each(|aged| aged.restarted(now, gap, at));
        self.goes_on(heard);
    }

    /// The driver is started anew with what the core has heard of its writes.
    pub(super) fn driver_starts(&mut self) {
        let (heard, until) = (self.remembers_heard, self.remembers + 1);
        let (known, unheard) =
            std::mem::take(&mut self.counted).into_iter().partition(|it| it.remembers <= heard);
        self.counted = known;
        self.goes_on(heard);
        // What the dead one told of them is heard yet, and kept until the new one tells what it knows.
        let unheard: Vec<Counted> = unheard;
        self.maybe.extend(unheard.into_iter().map(|it| Maybe { at: it.at, from: it.remembers, until }));
    }

    /// A driver goes on from what was heard.
    fn goes_on(&mut self, heard: u64) {
        for write in self.maybe.iter_mut().filter(|write| write.until > heard) {
            write.until = u64::MAX;
        }
        self.ages().for_each(|aged| aged.late_ms += LATE_MS);
        // What the latest write was answered is not known any more.
        let forgot = |latest: &&Lost| heard <= latest.remembers;
        self.lost = self.latest.as_ref().filter(forgot).cloned().or(self.lost.take());
        self.lost.take_if(|lost| lost.in_parts);
    }

    fn ages(&mut self) -> impl Iterator<Item = &mut Aged> {
        let counted = self.counted.iter_mut().map(|write| &mut write.at);
        counted.chain(self.maybe.iter_mut().map(|write| &mut write.at))
    }

    /// The latest write was taken.
    pub(super) fn taken(&mut self) {
        self.lost = None;
    }

    /// The latest write was refused: nothing was changed, so it does not count.
    pub(super) fn refused(&mut self) {
        (self.lost, self.latest) = (None, None);
        let refused = self.counted.pop();
        self.does_not_count(refused);
    }

    /// Takes in what a read found that is believed. Says whether that shows that the lost write did not land: then it does
    /// not count.
    pub(super) fn shows(&mut self, found: Option<&Found>) -> bool {
        let values = found.map(|found| found.values.clone()).unwrap_or_default();
        let has_failed = found.is_some_and(|found| found.in_force == InForce::Failed);
        let parts = found.map(|found| found.parts.clone()).unwrap_or_default();
        let is_as_before = |lost: &Lost| lost.before == values && lost.parts_before == parts;
        let lost = self.lost.take().filter(|lost| is_as_before(lost) && !has_failed);
        let Some(lost) = lost else { return false };
        let place = self.counted.iter().rposition(|it| it.number == lost.number);
        let lost = place.map(|place| self.counted.remove(place));
        self.does_not_count(lost);
        true
    }

    fn does_not_count(&mut self, write: Option<Counted>) {
        let until = self.remembers + 1;
        let maybe = |it: Counted| Maybe { at: it.at, from: it.remembers, until };
        self.maybe.extend(write.map(maybe));
    }
}

impl Judge {
    /// A write is told to wait for the budget.
    pub(super) fn is_used_up(&self, now: i64) -> Judged {
        let (budget, window) = (self.settings.writes as usize, self.settings.window_s * 1000);
        let window = i64::try_from(window).unwrap_or(i64::MAX) + TURNS_MS;
        let within = self.writes.budget.most_within(now, window);
        holds!(
            within >= budget || self.is_news,
            "BOUNDED-WRITES",
            "held though only {within} of {budget} writes count within {window} ms: {:?}",
            self.writes.budget.counted
        );
        Ok(())
    }

    /// A write is sent, and counts.
    pub(super) fn is_within_budget(&mut self, sent: &Sent, plan: &Planned, settings: &Settings) -> Judged {
        let Sent { at: intended, generation, before, after, found, changes, in_parts } = *sent;
        let window = i64::try_from(settings.window_s * 1000).unwrap_or(i64::MAX);
        // By whose the addresses are, or were when it was planned.
        let went = |place: &usize, from: &BTreeSet<IpAddr>, to: &BTreeSet<IpAddr>| {
            plan.owns.get(place).is_some_and(|owns| !owns.is_disjoint(from) && owns.is_disjoint(to))
        };
        let goes = |place: &usize, from: &BTreeSet<IpAddr>, to: &BTreeSet<IpAddr>| {
            self.is_in(*place, from) && !self.is_surely_in(*place, to) || went(place, from, to)
        };
        let leave = self.views.keys().filter(|place| goes(place, before, after));
        let enter = self.views.keys().filter(|place| plan.is_rescue && goes(place, after, before));
        let claims = leave.map(|place| (*place, false)).chain(enter.map(|place| (*place, true)));
        let claims: Vec<Claim> = claims.collect();
        let surely = |(place, comes): &Claim| {
            let (from, to) = if *comes { (after, before) } else { (before, after) };
            self.is_surely_in(*place, from) && !self.is_in(*place, to)
        };
        let sure = claims.iter().copied().filter(surely).collect();
        let is_kept = std::mem::take(&mut self.writes.is_kept);
        let budget = &mut self.writes.budget;
        // By when it was meant to be sent, which is up to 250 ms before it is: the journal is waited for. It is told a
        // few milliseconds after it was meant.
        let recent = || budget.counted.iter().filter(|write| intended - write.at.at + TURNS_MS < window);
        let those = |standing: Standing| recent().filter(move |write| write.standing == standing);
        let most = settings.writes as usize;
        // What was right under another budget was right; a smaller one, or a longer window, holds at once for what comes.
        let has_room = those(Standing::Within).count() < most;
        // Each claim has one write beyond the budget, whether it had another one within it or not.
        let of_claims = |write: &'_ Counted| write.claims.clone();
        let beyond = those(Standing::Beyond).map(of_claims).chain([claims.clone()]).collect::<Vec<_>>();
        let has_a_claim = matched(&beyond) == beyond.len();
        // A person's word is worth a write too; and such a region waits half a minute at most.
        let latest = budget.counted.iter().map(|write| write.at.at).max();
        let is_paced = !claims.is_empty() && latest.is_none_or(|at| intended - at + TURNS_MS >= URGENT_MS);
        let has_word = plan.words > self.words.followed;
        let is_earned = has_word || is_paced;
        // The driver may have taken a write beyond the budget for what had room in it.
        let counting = recent().filter(|write| write.standing != Standing::Earned);
        let counting = counting.map(of_claims).chain([claims.clone()]).collect::<Vec<_>>();
        let fits = counting.len() - matched(&counting) <= most;
        let number = budget.sent + 1;
        let mut write = Counted {
            number,
            at: Aged::new(intended),
            generation,
            is_kept,
            remembers: budget.remembers,
            claims: claims.clone(),
            sure,
            budget: (most, window),
            is_earned: has_word,
            is_paced,
            standing: Standing::Within,
        };
        let is_right = has_room || has_a_claim || is_earned || fits || {
            let all: Vec<&Counted> = budget.counted.iter().chain([&write]).collect();
            reads(&all, &mut Vec::new(), &mut { TRIES_MOST })
        };
        holds!(
            is_right,
            "BOUNDED-WRITES",
            "a write after {} within {window} ms, for {claims:?}: {:?}",
            recent().count(),
            budget.counted
        );
        write.standing = match (has_room, has_a_claim, is_earned) {
            (true, _, _) | (false, false, false) => Standing::Within,
            (false, true, _) => Standing::Beyond,
            (false, false, true) => Standing::Earned,
        };
        budget.sent = number;
        let parts_before = found.map(|found| found.parts.clone()).unwrap_or_default();
        let remembers = budget.remembers;
        let lost = Lost { number, before: before.clone(), parts_before, in_parts, remembers };
        budget.latest = changes.then_some(lost);
        budget.lost.clone_from(&budget.latest);
        budget.counted.push(write);
        Ok(())
    }
}

/// Whether the newest of the writes that are remembered is of this moment.
pub(super) fn counts_one_of_now(remembered: &str) -> bool {
    let ages = remembered.split("\"sent\":[").nth(1).and_then(|rest| rest.split(']').next());
    ages.and_then(|ages| ages.rsplit(',').next()) == Some("0")
}

/// What one write was in a reading of all: within the budget, or beyond it by a claim; none if it was earned.
type Part = (i64, Option<Option<Claim>>);

/// Whether there is a reading of these writes, each after those before it, by which every one was right: within the budget of
/// then, or the one beyond it that a claim of its own has in a window, or half a minute after the latest, or earned. Nobody
/// sees from outside which of them it was. `read` is what was made of those before.
fn reads(writes: &[&Counted], read: &mut Vec<Part>, tries: &mut u32) -> bool {
    let Some((write, rest)) = writes.split_first() else { return true };
    *tries = tries.saturating_sub(1);
    if *tries == 0 {
        return false;
    }
    let (at, (most, window)) = (write.at.at, write.budget);
    let recent = || read.iter().filter(|(then, _)| at - then + TURNS_MS < window);
    let mut may_be = Vec::new();
    if recent().filter(|(_, part)| *part == Some(None)).count() < most {
        may_be.push(Some(None));
    }
    let is_free = |claim: &&Claim| recent().all(|(_, part)| *part != Some(Some(**claim)));
    may_be.extend(write.claims.iter().filter(is_free).map(|claim| Some(Some(*claim))));
    // The pace is for whom no claim is left; one that it may not have is no claim that it has to take first.
    if write.is_earned || write.is_paced && !write.sure.iter().any(|claim| is_free(&claim)) {
        may_be.push(None);
        // It may count from now for one of them, though that had another one.
        may_be.extend(write.claims.iter().filter(|_| write.is_paced).map(|claim| Some(Some(*claim))));
    }
    may_be.into_iter().any(|part| {
        read.push((at, part));
        let is_right = reads(rest, read, tries);
        read.pop();
        is_right
    })
}

/// How many writes can have a claim of their own, if each claim goes to one of them.
fn matched(writes: &[Vec<Claim>]) -> usize {
    let mut holders: BTreeMap<Claim, usize> = BTreeMap::new();
    let found =
        (0..writes.len()).filter(|write| finds_one(*write, writes, &mut holders, &mut BTreeSet::new()));
    found.count()
}

/// Finds a claim for this write, and another one for who held it.
fn finds_one(
    write: usize,
    writes: &[Vec<Claim>],
    holders: &mut BTreeMap<Claim, usize>,
    tried: &mut BTreeSet<Claim>,
) -> bool {
    writes[write].iter().any(|claim| {
        let is_free = tried.insert(*claim)
            && holders.get(claim).copied().is_none_or(|holder| finds_one(holder, writes, holders, tried));
        if is_free {
            holders.insert(*claim, write);
        }
        is_free
    })
}

//! A region's liveness, from the signals of its checks.
//!
//! ```text
//! unknown ──first pass──> up ──fail──> suspect ──fall reached──> down ──pass──> recovering
//!    │                    ^ ^             │ ^                      ^               │
//!    └──fail──────────────┼─┼─────────────┼─┘                      └──────fail─────┤
//!                         │ └────pass─────┘         before rise: a failure;        │
//!                         │                         after it: fall reached         │
//!                         └────────rise reached and recover_after over─────────────┘
//! ```
//! An unknown evidence moves nothing (BLIND-IS-NOT-DOWN). Once a region has risen, only a reached `fall` counts against
//! it. Start at [`next`].

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::damping::Damping;
use super::fingerprint;
use super::memory::{Age, CheckMemory, RegionMemory, StateMemory};
use super::signal::Signal;
use crate::model::{
    Check, CheckName, Kleene, Liveness, Moment, Observation, Outcome, Reason, Region, WhenUnknown,
};

/// Where a region stands; each variant carries what is true only there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing decided yet.
    Unknown,
    /// Healthy since then: a region that is missing from the set enters only after `recover_after` of that.
    Up { healthy_since: Moment },
    /// Its latest probes fail, not yet often enough. Healthy since then until they did; none if never.
    Suspect { healthy_since: Option<Moment> },
    /// Not serving since then.
    Down { since: Moment },
    /// Passing since then; once it has risen only a reached `fall` counts.
    Recovering { since: Moment, risen: bool },
}

impl State {
    pub(super) fn liveness(self) -> Liveness {
        match self {
            Self::Unknown => Liveness::Unknown,
            Self::Up { .. } => Liveness::Up,
            Self::Suspect { .. } => Liveness::Suspect,
            Self::Down { .. } => Liveness::Down,
            Self::Recovering { .. } => Liveness::Recovering,
        }
    }
}

/// What the signals, taken together, say of a region now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Evidence {
    /// It cannot be told.
    Unknown,
    /// The latest probes pass.
    Pass,
    /// They do, and the signals have risen.
    Risen,
    /// They have, and `recover_after` is over.
    Recovered,
    /// The latest probes fail, while the signals still pass: below `fall`.
    Dip,
    /// The latest probes fail, not yet often enough, and the signals did not pass before.
    Fail,
    /// They do, and the signals have fallen.
    FallReached,
}

/// The diagram, an arrow a line.
fn next(state: State, saw: Evidence, now: Moment) -> State {
    use Evidence::{Dip, Fail, FallReached, Pass, Recovered, Risen};
    match (state, saw) {
        (state, Evidence::Unknown) => state,
        (State::Unknown, Pass | Risen | Recovered) => State::Up { healthy_since: now },
        (State::Unknown, Dip | Fail | FallReached) => State::Suspect { healthy_since: None },
        (State::Up { healthy_since }, Dip | Fail | FallReached) => {
            State::Suspect { healthy_since: Some(healthy_since) }
        }
        (State::Suspect { healthy_since }, Pass | Risen | Recovered) => {
            State::Up { healthy_since: healthy_since.unwrap_or(now) }
        }
        (State::Suspect { .. } | State::Recovering { .. }, FallReached)
        | (State::Recovering { risen: false, .. }, Fail) => State::Down { since: now },
        (State::Down { .. }, Pass | Risen | Recovered) => State::Recovering { since: now, risen: false },
        (State::Recovering { since, .. }, Recovered) => State::Up { healthy_since: since },
        (State::Recovering { since, .. }, Risen) => State::Recovering { since, risen: true },
        (State::Up { .. }, Pass | Risen | Recovered)
        | (State::Suspect { .. }, Dip | Fail)
        | (State::Down { .. }, Dip | Fail | FallReached)
        | (State::Recovering { .. }, Pass | Dip)
        // Its signals have forgotten that they rose, while nobody looked.
        | (State::Recovering { risen: true, .. }, Fail) => state,
    }
}

/// A region as the core keeps it.
#[derive(Clone, Debug)]
pub(super) struct RegionState {
    pub(super) region: Arc<Region>,
    pub(super) signals: Vec<Signal>,
    state: State,
    /// When it came to that state.
    pub(super) since: Moment,
    damping: Damping,
    /// When it last went down after it had served, or had risen.
    fell: Option<Moment>,
    /// Since when it is out of the record set, as far as seen.
    pub(super) left: Option<Moment>,
    /// When the first failing look of the present or latest fall started.
    first_failure: Option<Moment>,
    /// Where it can be reached now; the last that were known while none is bound.
    pub(super) addresses: BTreeSet<IpAddr>,
    /// Whether the cloud says that nothing is bound.
    pub(super) unbound: bool,
    /// Every address that is or was its own (ONLY-OURS).
    pub(super) owned: BTreeSet<IpAddr>,
    /// Whether it may return without anybody's word, once it serves: it has not fallen since it last was in the set, or
    /// somebody has said so.
    may_return: bool,
    /// Checks that have no vote now, by an operator's word.
    pub(super) muted: BTreeSet<CheckName>,
}

/// A change of a region's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) from: Liveness,
    pub(super) to: Liveness,
}

impl RegionState {
    pub(super) fn new(region: Arc<Region>, now: Moment) -> Self {
        let signal = |check: &Check| {
            Signal::new(check.fall, check.rise).trusting_first_pass(!region.up_when.negates(&check.name))
        };
        let signals = region.checks.iter().map(signal).collect();
        let addresses: BTreeSet<IpAddr> = region.addresses.iter().copied().collect();
        Self {
            signals,
            state: State::Unknown,
            since: now,
            damping: Damping::new(region.recover_after, region.flap),
            fell: None,
            left: None,
            first_failure: None,
            owned: addresses.clone(),
            addresses,
            unbound: false,
            may_return: false,
            muted: BTreeSet::new(),
            region,
        }
    }

    /// What of it outlives the process.
    pub(super) fn memory(&self, now: Moment) -> RegionMemory {
        let age = |at: Moment| Age::of(at, now);
        let (returned, flaps) = self.damping.history();
        RegionMemory {
            name: self.region.name.clone(),
            source: fingerprint::of_addresses(&self.region),
            state: match self.state {
                State::Unknown => StateMemory::Unknown,
                State::Up { healthy_since } => StateMemory::Up { healthy: age(healthy_since) },
                State::Suspect { .. } => StateMemory::Suspect,
                State::Down { .. } => StateMemory::Down,
                State::Recovering { since, .. } => StateMemory::Recovering { healthy: age(since) },
            },
            since: age(self.since),
            healthy: match self.state {
                State::Suspect { healthy_since } => healthy_since.map(age),
                State::Unknown | State::Up { .. } | State::Down { .. } | State::Recovering { .. } => None,
            },
            risen: matches!(self.state, State::Recovering { risen: true, .. }),
            fell: self.fell.map(age),
            left: self.left.map(age),
            first_failure: self.first_failure.map(age),
            returned: returned.map(age),
            flaps,
            addresses: self.addresses.clone(),
            unbound: self.unbound,
            may_return: self.may_return,
            owned: self.owned.clone(),
            checks: self.region.checks.iter().zip(&self.signals).map(|(c, s)| s.memory(c, now)).collect(),
        }
    }

    /// A region that goes on from what was remembered of it `gap` ago. Health does not accrue over the gap, and starts
    /// afresh when a check that it rests on has forgotten what it saw.
    pub(super) fn recall(region: Arc<Region>, memory: &RegionMemory, now: Moment, gap: Duration) -> Self {
        let mut new = Self::new(region, now);
        new.owned.extend(&memory.owned);
        if memory.source != fingerprint::of_addresses(&new.region) {
            return new;
        }
        new.owned.extend(&memory.addresses);
        let saved = now - gap;
        let mut forgot = false;
        for (check, signal) in new.region.checks.iter().zip(&mut new.signals) {
            let of_it = |kept: &&CheckMemory| {
                kept.name == check.name && kept.fingerprint == fingerprint::of_check(check)
            };
            if let Some(kept) = memory.checks.iter().find(of_it) {
                let trusts = !new.region.up_when.negates(&check.name);
                *signal = Signal::recall(check, kept, saved, gap).trusting_first_pass(trusts);
                let votes = new.region.up_when.names(&check.name);
                forgot |= votes && gap > Signal::forgets_after(check);
            }
        }
        let healthy_since = |age: Age| if forgot { now } else { age.before(now) };
        let since = memory.since.before(saved);
        Self {
            state: match memory.state {
                StateMemory::Unknown => State::Unknown,
                StateMemory::Up { healthy } => State::Up { healthy_since: healthy_since(healthy) },
                StateMemory::Suspect => State::Suspect { healthy_since: memory.healthy.map(healthy_since) },
                StateMemory::Down => State::Down { since },
                StateMemory::Recovering { healthy } => {
                    State::Recovering { since: healthy_since(healthy), risen: memory.risen }
                }
            },
            since,
            fell: memory.fell.map(|age| age.before(saved)),
            left: memory.left.map(|age| age.before(saved)),
            damping: Damping::recall(
                new.region.recover_after,
                new.region.flap,
                memory.returned.map(|age| age.before(saved)),
                memory.flaps,
            ),
            first_failure: memory.first_failure.map(|age| age.before(saved)),
            // What is written outranks what is remembered, which nobody would ever correct.
            unbound: new.addresses.is_empty() && memory.unbound,
            addresses: if new.addresses.is_empty() { memory.addresses.clone() } else { new.addresses },
            may_return: memory.may_return,
            ..new
        }
    }

    /// The same region by another configuration. One that gets its addresses from elsewhere starts as new; what it had
    /// is still its own.
    pub(super) fn reconfigured(self, region: Arc<Region>, now: Moment) -> Self {
        let moved = fingerprint::of_addresses(&self.region) != fingerprint::of_addresses(&region);
        let mut new = Self::new(region, now);
        new.owned.extend(&self.owned);
        if moved {
            return new;
        }
        for (check, signal) in new.region.checks.iter().zip(&mut new.signals) {
            let same = |old: &&Check| old.name == check.name && old.judges_like(check);
            let mut old = self.region.checks.iter().zip(&self.signals);
            if let Some((_, kept)) = old.find(|(old, _)| same(old)) {
                let trusts = !new.region.up_when.negates(&check.name);
                *signal = kept.clone().trusting_first_pass(trusts);
                signal.reconfigure(check.fall, check.rise);
            }
        }
        let mut damping = self.damping;
        damping.reconfigure(new.region.recover_after, new.region.flap);
        Self { region: new.region, signals: new.signals, owned: new.owned, damping, ..self }
    }

    pub(super) fn liveness(&self) -> Liveness {
        self.state.liveness()
    }

    /// Takes in one look of the check at `place` in the region's list; says whether anything that counts changed.
    pub(super) fn observe(&mut self, place: usize, observation: &Observation) -> bool {
        let Some(signal) = self.signals.get_mut(place) else { return false };
        let was_hidden = is_hidden(signal);
        let learnt = signal.observe(observation);
        // A blind check learns nothing more, and yet an alarm may begin or end.
        learnt || is_hidden(signal) != was_hidden
    }

    /// Takes in what the cloud says is bound; says whether that changed anything.
    pub(super) fn bound(&mut self, addresses: BTreeSet<IpAddr>) -> bool {
        let unbound = addresses.is_empty();
        let changed = unbound != self.unbound || (!unbound && addresses != self.addresses);
        self.unbound = unbound;
        if !unbound {
            self.owned.extend(addresses.iter().copied());
            self.addresses = addresses;
        }
        changed
    }

    /// These addresses are another region's now: they stay its own only as far as it is there too.
    pub(super) fn disown(&mut self, elsewhere: &BTreeSet<IpAddr>) {
        if self.unbound {
            self.addresses.retain(|address| !elsewhere.contains(address));
        }
        let Self { owned, addresses, .. } = self;
        owned.retain(|address| !elsewhere.contains(address) || addresses.contains(address));
    }

    /// Follows the diagram as far as the evidence goes, an arrow at a time, and lists the arrows taken.
    pub(super) fn advance(&mut self, now: Moment) -> Vec<Step> {
        let mut steps = Vec::new();
        // Each arrow leaves its state for good under the same evidence, so the states bound the walk; recovering is two.
        for _ in 0..=Liveness::ALL.len() {
            let to = next(self.state, self.evidence(now), now);
            if to == self.state {
                break;
            }
            let step = Step { from: self.state.liveness(), to: to.liveness() };
            match (self.state, to) {
                (_, State::Suspect { .. }) => self.first_failure = self.earliest_failure(),
                (State::Suspect { .. }, State::Down { .. }) => {
                    self.damping.fell(now);
                    self.fell = Some(now);
                    self.may_return = false;
                }
                (State::Recovering { risen: true, .. }, State::Down { .. }) => {
                    self.first_failure = self.earliest_failure();
                    self.fell = Some(now);
                }
                (State::Recovering { .. }, State::Up { .. }) => self.damping.returned(now),
                (_, State::Unknown | State::Up { .. } | State::Down { .. } | State::Recovering { .. }) => {}
            }
            self.state = to;
            if step.from != step.to {
                self.since = now;
                steps.push(step);
            }
        }
        steps
    }

    fn evidence(&self, now: Moment) -> Evidence {
        let settled = self.evaluate(Signal::settled);
        let leaning = self.evaluate(Signal::leaning);
        match (leaning, settled) {
            (Kleene::Unknown, _) => Evidence::Unknown,
            (Kleene::False, Kleene::False) => Evidence::FallReached,
            (Kleene::False, Kleene::True) => Evidence::Dip,
            (Kleene::False, Kleene::Unknown) => Evidence::Fail,
            (Kleene::True, Kleene::True) if self.recovers_at().is_none_or(|at| at <= now) => {
                Evidence::Recovered
            }
            (Kleene::True, Kleene::True) => Evidence::Risen,
            (Kleene::True, Kleene::False | Kleene::Unknown) => Evidence::Pass,
        }
    }

    /// True if it is up, or was before its latest probes failed: its addresses are known to work.
    pub(super) fn has_passed(&self) -> bool {
        match self.state {
            State::Up { .. } => true,
            State::Suspect { healthy_since } => healthy_since.is_some(),
            State::Unknown | State::Down { .. } | State::Recovering { .. } => false,
        }
    }

    /// Whether its checks cannot tell how it is now.
    pub(super) fn is_blind(&self) -> bool {
        self.evaluate(Signal::leaning) == Kleene::Unknown
    }

    /// Whether its checks have passed as often as `rise` asks for.
    fn passes_for_long(&self) -> bool {
        self.evaluate(Signal::risen) == Kleene::True
    }

    /// Whether they have, and it has not fallen since.
    pub(super) fn has_risen(&self) -> bool {
        matches!(self.state, State::Recovering { risen: true, .. }) || self.passes_for_long()
    }

    /// Whether it may enter a set of which nobody serves, without waiting for `recover_after` (BOUNDED-WRITES).
    pub(super) fn may_enter_at_once(&self) -> bool {
        match self.state {
            State::Up { .. } | State::Recovering { .. } => {
                self.passes_for_long() && self.evaluate(Signal::leaning) == Kleene::True
            }
            State::Unknown | State::Suspect { .. } | State::Down { .. } => false,
        }
    }

    /// Whether the signals, after rise and fall, say that it does not serve.
    pub(super) fn has_fallen(&self) -> bool {
        self.evaluate(Signal::settled) == Kleene::False
    }

    fn evaluate(&self, read: fn(&Signal) -> Kleene) -> Kleene {
        let (region, muted) = (&self.region, &self.muted);
        let verdict = region.up_when.evaluate(&mut |name| {
            let mut pairs = region.checks.iter().zip(&self.signals);
            let (check, signal) = pairs.find(|(check, _)| check.name == *name)?;
            if muted.contains(name) {
                return None;
            }
            match (read(signal), check.when_unknown) {
                // Not before somebody looked: the others alone do not decide what it may be about to tell.
                (Kleene::Unknown, WhenUnknown::Ignore) if signal.is_looked_at() => None,
                (value, WhenUnknown::Ignore | WhenUnknown::Keep) => Some(value),
            }
        });
        verdict.unwrap_or(Kleene::Unknown)
    }

    fn earliest_failure(&self) -> Option<Moment> {
        self.signals.iter().filter(|s| s.leaning() == Kleene::False).filter_map(Signal::first_failure).min()
    }

    /// Whether it may return without anybody's word (`failback = "manual"`).
    pub(super) fn may_return(&self) -> bool {
        self.may_return
    }

    /// Somebody says that it may; says whether that was needed.
    pub(super) fn let_return(&mut self) -> bool {
        !std::mem::replace(&mut self.may_return, true)
    }

    /// It serves and is in the set.
    pub(super) fn has_returned(&mut self) {
        self.may_return = true;
    }

    /// When the first failing look of the present or latest fall started.
    pub(super) fn first_failure(&self) -> Option<Moment> {
        self.first_failure
    }

    /// Since when a region that is up passes, save for failures below `fall`.
    pub(super) fn healthy_since(&self) -> Option<Moment> {
        match self.state {
            State::Up { healthy_since } => Some(healthy_since),
            State::Unknown | State::Suspect { .. } | State::Down { .. } | State::Recovering { .. } => None,
        }
    }

    /// The same, also of a suspect, and of one that recovers and has risen.
    pub(super) fn alive_since(&self) -> Option<Moment> {
        match self.state {
            State::Up { healthy_since } => Some(healthy_since),
            State::Suspect { healthy_since } => healthy_since,
            State::Recovering { since, risen: true } => Some(since),
            State::Unknown | State::Down { .. } | State::Recovering { risen: false, .. } => None,
        }
    }

    /// When it went down, if it has not served since.
    pub(super) fn fell(&self) -> Option<Moment> {
        match self.state {
            State::Down { since } => Some(self.fell.unwrap_or(since)),
            State::Recovering { .. } => self.fell,
            State::Unknown | State::Up { .. } | State::Suspect { .. } => None,
        }
    }

    /// When a recovering region may be up, if its signals have risen by then.
    pub(super) fn recovers_at(&self) -> Option<Moment> {
        match self.state {
            State::Recovering { since, .. } => Some(since + self.damping.recover_after()),
            State::Unknown | State::Up { .. } | State::Suspect { .. } | State::Down { .. } => None,
        }
    }

    /// When a region that is up may enter a set that lacks it; none in any other state.
    pub(super) fn enters_at(&self) -> Option<Moment> {
        match self.state {
            State::Up { healthy_since } => Some(healthy_since + self.damping.recover_after()),
            State::Unknown | State::Suspect { .. } | State::Down { .. } | State::Recovering { .. } => None,
        }
    }

    /// The longest that a suspect's next look can take to tell: a fast interval and a timeout.
    pub(super) fn settles_within(&self) -> Duration {
        self.region.checks.iter().map(|check| check.fast_interval + check.timeout).max().unwrap_or_default()
    }

    /// Which of its checks have looked in vain for so long that their signals are unknown, as a sentence; none when all
    /// see.
    pub(super) fn blind(&self) -> Option<String> {
        self.sentence(Signal::is_blind).map(|words| format!("cannot be looked at by {words}"))
    }

    /// Which checks say that an object of the region does not exist, or is not shown to us, as a sentence; none when none
    /// does.
    pub(super) fn gone(&self) -> Option<String> {
        self.sentence(says_gone)
    }

    /// What its checks say, as a sentence: those that do not pass first and foremost.
    pub(super) fn evidence_in_words(&self) -> String {
        let not_passing = |signal: &Signal| signal.last().is_some_and(|last| last.outcome != Outcome::Pass);
        let looked = self.signals.iter().any(|signal| signal.last().is_some());
        let all_well = if looked { "all looks pass" } else { "not looked at since the start" };
        self.sentence(not_passing).unwrap_or_else(|| all_well.to_owned())
    }

    /// Why it went there. What still does not pass is no reason for a recovery.
    pub(super) fn why(&self, to: Liveness) -> String {
        let evidence = self.evidence_in_words();
        let not_passing = |signal: &Signal| signal.last().is_some_and(|last| last.outcome != Outcome::Pass);
        let recovers = matches!(to, Liveness::Recovering | Liveness::Up);
        if recovers && self.signals.iter().any(not_passing) {
            format!("what counts passes; besides, {evidence}")
        } else {
            evidence
        }
    }

    fn sentence(&self, picked: impl Fn(&Signal) -> bool) -> Option<String> {
        let mut words = String::new();
        for (check, signal) in self.region.checks.iter().zip(&self.signals).filter(|(_, s)| picked(s)) {
            let Some(last) = signal.last() else { continue };
            let gap = if words.is_empty() { "" } else { "; " };
            let times = if last.run > 1 { format!(", {} in a row", last.run) } else { String::new() };
            let reason = last.outcome.reason().map_or("pass", Reason::as_str);
            let muted = if self.muted.contains(&check.name) { ", muted" } else { "" };
            let _ = write!(words, "{gap}{}: {} ({reason}{times}{muted})", check.name, last.saw);
        }
        (!words.is_empty()).then_some(words)
    }
}

/// Whether its latest look found that the cloud does not show an object of the region.
fn is_hidden(signal: &Signal) -> bool {
    signal.last().is_some_and(|last| last.outcome == Outcome::Unknown(Reason::Gone))
}

fn says_gone(signal: &Signal) -> bool {
    signal.last().is_some_and(|last| last.outcome.reason() == Some(Reason::Gone))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arrows_are_those_of_the_diagram_and_no_others() {
        use Evidence::{Dip, Fail, FallReached, Pass, Recovered, Risen, Unknown};
        use Liveness as L;
        let now = Moment::START + Duration::from_secs(9);
        let was = Moment::START;
        let states = [
            State::Unknown,
            State::Up { healthy_since: was },
            State::Suspect { healthy_since: None },
            State::Down { since: was },
            State::Recovering { since: was, risen: false },
        ];
        let table = states.map(|state| {
            let to = [Unknown, Pass, Risen, Recovered, Dip, Fail, FallReached]
                .map(|saw| next(state, saw, now).liveness());
            (state.liveness(), to)
        });
        assert_eq!(
            table,
            [
                (L::Unknown, [L::Unknown, L::Up, L::Up, L::Up, L::Suspect, L::Suspect, L::Suspect]),
                (L::Up, [L::Up, L::Up, L::Up, L::Up, L::Suspect, L::Suspect, L::Suspect]),
                (L::Suspect, [L::Suspect, L::Up, L::Up, L::Up, L::Suspect, L::Suspect, L::Down]),
                (L::Down, [L::Down, L::Recovering, L::Recovering, L::Recovering, L::Down, L::Down, L::Down]),
                (
                    L::Recovering,
                    [L::Recovering, L::Recovering, L::Recovering, L::Up, L::Recovering, L::Down, L::Down]
                ),
            ]
        );
    }

    #[test]
    fn a_failure_below_fall_leaves_the_time_of_health_alone() {
        let (was, now) = (Moment::START, Moment::START + Duration::from_secs(9));
        let up = State::Up { healthy_since: was };
        let suspect = next(up, Evidence::Dip, now);
        assert_eq!(next(suspect, Evidence::Risen, now), up);
        let recovering = State::Recovering { since: was, risen: true };
        assert_eq!(next(recovering, Evidence::Dip, now), recovering);
    }
}

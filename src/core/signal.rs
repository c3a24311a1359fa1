//! A check's looks over time, reduced by rise and fall to passing, failing or unknown.
//!
//! A [`Row`] holds the latest looks. A look that found nothing out neither counts nor breaks a row; as many
//! of them in a row as `fall` asks for make the signal unknown, for what was seen before them is stale by then
//! (BLIND-IS-NOT-DOWN). Start at [`Signal::observe`].

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::fingerprint::of_check as fingerprint;
use super::memory::{Age, CheckMemory};
use super::row::Row;
use crate::model::{Check, Kleene, Moment, Observation, Outcome, Threshold};

/// One check's signal.
#[derive(Clone, Debug)]
pub(super) struct Signal {
    fall: Threshold,
    rise: Threshold,
    /// Whether a first pass is believed at once: not where passing speaks against the region, for no single look may
    /// take one out (BLIND-IS-NOT-DOWN).
    trusts_first_pass: bool,
    state: State,
    row: Row,
    /// Whether `rise` passes were seen since it last failed or was blind: more than the one pass that is believed at the
    /// start.
    risen: bool,
    unknown_in_a_row: u32,
    /// True once anybody looked since it knew nothing, if in vain.
    is_looked_at: bool,
    /// When the first look of the failures that count now started.
    first_failure: Option<Moment>,
    last: Option<Last>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// Not enough seen; `before` is what it was when it was last known.
    Unknown {
        before: Option<Settled>,
    },
    Known(Settled),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Settled {
    Passing,
    Failing,
}

/// The latest look, for explanations.
#[derive(Clone, Debug)]
pub(super) struct Last {
    pub(super) outcome: Outcome,
    pub(super) saw: Cow<'static, str>,
    pub(super) latency: Duration,
    /// Looks in a row that ended like it.
    pub(super) run: u32,
    /// When the latest look that was not unknown started.
    pub(super) known_at: Option<Moment>,
}

impl Signal {
    pub(super) fn new(fall: Threshold, rise: Threshold) -> Self {
        Self {
            fall,
            rise,
            trusts_first_pass: true,
            state: State::Unknown { before: None },
            row: Row::default(),
            risen: false,
            unknown_in_a_row: 0,
            is_looked_at: false,
            first_failure: None,
            last: None,
        }
    }

    /// The same, believing a first pass at once or not.
    pub(super) fn trusting_first_pass(self, trusts_first_pass: bool) -> Self {
        Self { trusts_first_pass, ..self }
    }

    /// A signal that goes on from what was remembered of it at `saved`, `gap` ago. The gap is no evidence: one that is
    /// no longer than looks in vain may take keeps the row, a longer one is as good as such looks.
    pub(super) fn recall(check: &Check, memory: &CheckMemory, saved: Moment, gap: Duration) -> Self {
        let mut signal = Self {
            state: memory.state,
            row: memory.row,
            risen: memory.risen,
            unknown_in_a_row: memory.unknown_in_a_row,
            is_looked_at: memory.unknown_in_a_row > 0 || memory.row.leaning() != Kleene::Unknown,
            first_failure: memory.first_failure.map(|age| age.before(saved)),
            ..Self::new(check.fall, check.rise)
        };
        if gap > Self::forgets_after(check) {
            signal.forget();
            // Nobody has looked in vain, so nothing is alarmed.
            signal.unknown_in_a_row = 0;
            signal.is_looked_at = false;
        }
        signal
    }

    /// How long a check may go without a look before what it saw is stale: as `fall` looks in vain take.
    pub(super) fn forgets_after(check: &Check) -> Duration {
        check.interval.saturating_mul(check.fall.count())
    }

    /// What of it outlives the process.
    pub(super) fn memory(&self, check: &Check, now: Moment) -> CheckMemory {
        CheckMemory {
            name: check.name.clone(),
            fingerprint: fingerprint(check),
            state: self.state,
            row: self.row,
            risen: self.risen,
            unknown_in_a_row: self.unknown_in_a_row,
            first_failure: self.first_failure.map(|at| Age::of(at, now)),
        }
    }

    /// Other thresholds read the same row differently from the next look on, and settle nothing by themselves.
    pub(super) fn reconfigure(&mut self, fall: Threshold, rise: Threshold) {
        (self.fall, self.rise) = (fall, rise);
    }

    /// What counts of it: a look that leaves this as it is need not be remembered.
    fn essence(&self) -> (State, Row, bool, u32, bool, Option<Moment>) {
        let window = self.fall.window().max(self.rise.window());
        let in_vain = self.unknown_in_a_row.min(self.fall.count());
        (self.state, self.row.newest(window), self.risen, in_vain, self.is_looked_at, self.first_failure)
    }

    /// Takes in one look; says whether that changed anything that counts.
    pub(super) fn observe(&mut self, observation: &Observation) -> bool {
        let before = self.essence();
        self.is_looked_at = true;
        let known_before = self.last.as_ref().and_then(|last| last.known_at);
        let run = match &self.last {
            Some(last) if last.outcome.as_str() == observation.outcome.as_str() => last.run.saturating_add(1),
            Some(_) | None => 1,
        };
        let known_at = match observation.outcome {
            Outcome::Pass | Outcome::Fail(_) => Some(observation.started),
            Outcome::Unknown(_) => known_before,
        };
        self.last = Some(Last {
            outcome: observation.outcome,
            saw: observation.saw.clone(),
            latency: observation.latency,
            run,
            known_at,
        });
        match observation.outcome {
            Outcome::Pass => self.passed(),
            Outcome::Fail(_) => self.failed(observation.started),
            Outcome::Unknown(_) => self.saw_nothing(),
        }
        self.essence() != before
    }

    fn passed(&mut self) {
        self.unknown_in_a_row = 0;
        if self.fall.count() == self.fall.window() {
            self.first_failure = None;
        }
        self.row.push(false);
        let was_not_failing = matches!(self.state, State::Unknown { before: None | Some(Settled::Passing) });
        let at_once = self.trusts_first_pass && was_not_failing;
        let rises = self.row.passes(self.rise.window()) >= self.rise.count();
        self.risen |= rises;
        if at_once || (self.state != State::Known(Settled::Passing) && rises) {
            self.settle(Settled::Passing);
        }
    }

    fn failed(&mut self, started: Moment) {
        self.unknown_in_a_row = 0;
        if self.fails() == 0 || self.first_failure.is_none() {
            self.first_failure = Some(started);
        }
        self.row.push(true);
        if self.state != State::Known(Settled::Failing) && self.fails() >= self.fall.count() {
            self.settle(Settled::Failing);
        }
    }

    fn saw_nothing(&mut self) {
        self.unknown_in_a_row = self.unknown_in_a_row.saturating_add(1);
        if self.unknown_in_a_row < self.fall.count() {
            return;
        }
        self.forget();
    }

    fn forget(&mut self) {
        if let State::Known(settled) = self.state {
            self.state = State::Unknown { before: Some(settled) };
        }
        self.row = Row::default();
        self.risen = false;
        self.first_failure = None;
    }

    /// Failures among the latest looks that `fall` counts over.
    fn fails(&self) -> u32 {
        self.row.failures(self.fall.window())
    }

    /// A settled signal starts to count afresh, or a window still full of failures would undo a rise at once.
    /// The newest look stays: it is the way the signal leans.
    fn settle(&mut self, settled: Settled) {
        self.state = State::Known(settled);
        self.row = self.row.newest(1);
        match settled {
            Settled::Passing => self.first_failure = None,
            Settled::Failing => self.risen = false,
        }
    }

    /// Whether it is passing, after rise and fall.
    pub(super) fn settled(&self) -> Kleene {
        match self.state {
            State::Known(Settled::Passing) => Kleene::True,
            State::Known(Settled::Failing) => Kleene::False,
            State::Unknown { .. } => Kleene::Unknown,
        }
    }

    /// Whether it is passing after as many passes as `rise` asks for; unknown while it passes by fewer.
    pub(super) fn risen(&self) -> Kleene {
        if self.risen || self.settled() == Kleene::False { self.settled() } else { Kleene::Unknown }
    }

    /// Whether the latest look that found anything out passed.
    pub(super) fn leaning(&self) -> Kleene {
        self.row.leaning()
    }

    /// Whether it was looked at, and so often in vain that it is unknown now.
    pub(super) fn is_blind(&self) -> bool {
        self.unknown_in_a_row >= self.fall.count()
    }

    /// True once anybody looked since it knew nothing, if in vain.
    pub(super) fn is_looked_at(&self) -> bool {
        self.is_looked_at
    }

    /// When the first of the failures that count now started.
    pub(super) fn first_failure(&self) -> Option<Moment> {
        self.first_failure
    }

    /// The latest look; none before the first.
    pub(super) fn last(&self) -> Option<&Last> {
        self.last.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{CheckKey, CheckName, Reason, RegionName, ServiceName};

    fn signal(fall: Threshold, rise: Threshold) -> impl FnMut(&str) -> String {
        signals(Signal::new(fall, rise))
    }

    fn signals(signal: Signal) -> impl FnMut(&str) -> String {
        let mut run = looks(signal, |signal| match signal.settled() {
            Kleene::True => '+',
            Kleene::False => '-',
            Kleene::Unknown => '?',
        });
        move |looks| run(looks).into_iter().collect()
    }

    /// Takes in looks as letters, one a second; tells `of` the signal after each.
    fn looks<T>(mut signal: Signal, of: impl Fn(&Signal) -> T) -> impl FnMut(&str) -> Vec<T> {
        let key = Arc::new(CheckKey {
            service: ServiceName::parse("s").unwrap(),
            region: RegionName::parse("r").unwrap(),
            check: CheckName::parse("c").unwrap(),
        });
        let mut at = Moment::START;
        move |looks| {
            looks
                .chars()
                .map(|look| {
                    at = at + Duration::from_secs(1);
                    let outcome = match look {
                        'p' => Outcome::Pass,
                        'f' => Outcome::Fail(Reason::Refused),
                        _ => Outcome::Unknown(Reason::Api),
                    };
                    signal.observe(&Observation {
                        check: key.clone(),
                        started: at,
                        late: Duration::ZERO,
                        latency: Duration::ZERO,
                        outcome,
                        saw: "".into(),
                        certificate: None,
                    });
                    of(&signal)
                })
                .collect()
        }
    }

    fn row(count: u32) -> Threshold {
        Threshold::in_a_row(count).unwrap()
    }

    #[test]
    fn the_first_pass_settles_and_later_it_takes_rise_and_fall_in_a_row() {
        let mut run = signal(row(3), row(2));
        assert_eq!(run("p"), "+");
        assert_eq!(run("ffpfff"), "+++++-");
        assert_eq!(run("pfpp"), "---+");
    }

    #[test]
    fn a_fresh_signal_fails_only_after_as_many_failures_as_any_other() {
        assert_eq!(signal(row(3), row(3))("fff"), "??-");
    }

    #[test]
    fn looks_that_found_nothing_out_neither_count_nor_break_a_row() {
        let mut run = signal(row(3), row(3));
        assert_eq!(run("pffuf"), "++++-");
        assert_eq!(run("ppup"), "---+");
    }

    #[test]
    fn fall_unknown_looks_in_a_row_make_it_unknown_and_stale_failures_are_forgotten() {
        let mut run = signal(row(3), row(3));
        assert_eq!(run("pffuuuff"), "+++++???");
        assert_eq!(run("f"), "-");
    }

    #[test]
    fn a_signal_that_was_failing_before_it_was_blind_still_has_to_rise() {
        let mut run = signal(row(2), row(3));
        assert_eq!(run("pffuu"), "++--?");
        assert_eq!(run("ppp"), "??+");
        assert_eq!(run("uup"), "+?+", "one that was passing is passing again at once");
    }

    #[test]
    fn a_pass_that_speaks_against_the_region_takes_rise_looks_from_the_first_one_on() {
        let mut run = signals(Signal::new(row(3), row(3)).trusting_first_pass(false));
        assert_eq!(run("pp"), "??");
        assert_eq!(run("p"), "+");
        assert_eq!(run("uuup"), "++??", "and after it was blind");
    }

    #[test]
    fn five_of_ten_counts_over_a_window_and_starts_afresh_once_settled() {
        let mut run = signal(Threshold::of(3, 5).unwrap(), row(2));
        assert_eq!(run("p"), "+");
        assert_eq!(run("fpfpf"), "++++-");
        assert_eq!(run("pp"), "-+");
        assert_eq!(run("fpf"), "+++", "failures from before the rise do not count");
    }

    #[test]
    fn a_window_is_counted_over_whatever_comes_between() {
        let mut run = signal(row(2), Threshold::of(3, 5).unwrap());
        assert_eq!(run("pff"), "++-");
        assert_eq!(run("ppffp"), "----+", "two failures end no rise");
        let mut run = signal(Threshold::of(3, 5).unwrap(), row(2));
        assert_eq!(run("pfppff"), "+++++-", "two passes end no fall");
    }

    #[test]
    fn the_first_failure_is_the_oldest_of_those_that_count() {
        let mut run = looks(Signal::new(row(3), row(3)), Signal::first_failure);
        let second = |seconds| Some(Moment::START + Duration::from_secs(seconds));
        assert_eq!(run("pff"), [None, second(2), second(2)]);
        assert_eq!(run("pf"), [None, second(5)], "a pass ended those before");
        let of_window = Signal::new(Threshold::of(3, 5).unwrap(), row(9));
        let mut run = looks(of_window, Signal::first_failure);
        assert_eq!(run("pfpf").last(), Some(&second(2)));
        assert_eq!(run("pppppf").last(), Some(&second(10)), "the window has left those before behind");
    }

    #[test]
    fn sixty_four_looks_are_the_longest_window() {
        let mut run = signal(row(64), row(1));
        assert_eq!(run("p"), "+");
        assert!(run(&"f".repeat(63)).ends_with('+'));
        assert_eq!(run("f"), "-");
    }
}

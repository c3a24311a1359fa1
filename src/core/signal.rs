//! A check's looks over time, reduced by rise and fall to passing, failing or unknown.
//!
//! One word holds the latest looks. A look that found nothing out neither counts nor breaks a row; as many
//! of them in a row as `fall` asks for make the signal unknown, for what was seen before them is stale by then
//! (BLIND-IS-NOT-DOWN). Start at [`Signal::observe`].

use std::borrow::Cow;
use std::time::Duration;

use crate::model::{Kleene, Moment, Observation, Outcome, Threshold};

/// One check's signal.
#[derive(Clone, Debug)]
pub(super) struct Signal {
    fall: Threshold,
    rise: Threshold,
    state: State,
    /// The latest looks that were not unknown, newest in the lowest bit, 1 for a failure.
    looks: u64,
    /// How many of those bits are meant.
    known: u32,
    unknown_in_a_row: u32,
    /// When the first look of the failures that count now started.
    first_failure: Option<Moment>,
    last: Option<Last>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Not enough seen; `before` is what it was when it was last known.
    Unknown {
        before: Option<Settled>,
    },
    Known(Settled),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Settled {
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
            state: State::Unknown { before: None },
            looks: 0,
            known: 0,
            unknown_in_a_row: 0,
            first_failure: None,
            last: None,
        }
    }

    /// Takes in one look.
    pub(super) fn observe(&mut self, observation: &Observation) {
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
    }

    fn passed(&mut self) {
        self.unknown_in_a_row = 0;
        if self.fall.count() == self.fall.window() {
            self.first_failure = None;
        }
        self.push(0);
        let at_once = matches!(self.state, State::Unknown { before: None | Some(Settled::Passing) });
        let enough = self.known.min(self.rise.window());
        let passes = enough - (self.looks & mask(enough)).count_ones();
        if at_once || (self.state != State::Known(Settled::Passing) && passes >= self.rise.count()) {
            self.settle(Settled::Passing);
        }
    }

    fn failed(&mut self, started: Moment) {
        self.unknown_in_a_row = 0;
        if self.fails() == 0 || self.first_failure.is_none() {
            self.first_failure = Some(started);
        }
        self.push(1);
        if self.state != State::Known(Settled::Failing) && self.fails() >= self.fall.count() {
            self.settle(Settled::Failing);
        }
    }

    fn saw_nothing(&mut self) {
        self.unknown_in_a_row = self.unknown_in_a_row.saturating_add(1);
        if self.unknown_in_a_row < self.fall.count() {
            return;
        }
        if let State::Known(settled) = self.state {
            self.state = State::Unknown { before: Some(settled) };
        }
        self.looks = 0;
        self.known = 0;
        self.first_failure = None;
    }

    fn push(&mut self, bit: u64) {
        self.looks = (self.looks << 1) | bit;
        self.known = (self.known + 1).min(Threshold::WINDOW_MAX);
    }

    /// Failures among the latest looks that `fall` counts over.
    fn fails(&self) -> u32 {
        (self.looks & mask(self.known.min(self.fall.window()))).count_ones()
    }

    /// A settled signal starts to count afresh, or a window still full of failures would undo a rise at once.
    /// The newest look stays: it is the way the signal leans.
    fn settle(&mut self, settled: Settled) {
        self.state = State::Known(settled);
        self.looks &= 1;
        self.known = 1;
        if settled == Settled::Passing {
            self.first_failure = None;
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

    /// Whether the latest look that found anything out passed.
    pub(super) fn leaning(&self) -> Kleene {
        match (self.known, self.looks & 1) {
            (0, _) => Kleene::Unknown,
            (_, 0) => Kleene::True,
            (_, _) => Kleene::False,
        }
    }

    /// Whether it was looked at, and so often in vain that it is unknown now.
    pub(super) fn is_blind(&self) -> bool {
        self.unknown_in_a_row >= self.fall.count()
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

/// The lowest `count` bits; `count` is at most 64.
fn mask(count: u32) -> u64 {
    1_u64.checked_shl(count).map_or(u64::MAX, |bit| bit - 1)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{CheckKey, CheckName, Reason, RegionName, ServiceName};

    fn signal(fall: Threshold, rise: Threshold) -> impl FnMut(&str) -> String {
        let key = Arc::new(CheckKey {
            service: ServiceName::parse("s").unwrap(),
            region: RegionName::parse("r").unwrap(),
            check: CheckName::parse("c").unwrap(),
        });
        let mut signal = Signal::new(fall, rise);
        let mut at = Moment::START;
        // Looks as letters, the settled state after each as a sign.
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
                    match signal.settled() {
                        Kleene::True => '+',
                        Kleene::False => '-',
                        Kleene::Unknown => '?',
                    }
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
    fn five_of_ten_counts_over_a_window_and_starts_afresh_once_settled() {
        let mut run = signal(Threshold::of(3, 5).unwrap(), row(2));
        assert_eq!(run("p"), "+");
        assert_eq!(run("fpfpf"), "++++-");
        assert_eq!(run("pp"), "-+");
        assert_eq!(run("fpf"), "+++", "failures from before the rise do not count");
    }

    #[test]
    fn sixty_four_looks_are_the_longest_window() {
        let mut run = signal(row(64), row(1));
        assert_eq!(run("p"), "+");
        assert!(run(&"f".repeat(63)).ends_with('+'));
        assert_eq!(run("f"), "-");
    }
}

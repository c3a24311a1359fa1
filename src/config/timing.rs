//! When and how often, inherited from the most specific table that says it.
//!
//! The rules between these keys are here. A default never breaks a rule by itself: it gives way to what
//! is written.

use std::time::Duration;

use super::duration::{Positive, written};
use super::raw::TimingKeys;
use super::report::{At, Mark, Rank, Report};
use crate::model::{Flap, Threshold};

const INTERVAL: Duration = Duration::from_secs(5);
const FAST_INTERVAL: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(2);
const LOOKS: u32 = 3;
const RECOVER_AFTER: Duration = Duration::from_secs(30);
const FLAP_WINDOW: Duration = Duration::from_secs(600);
const FLAP_FACTOR: f64 = 2.0;
const FLAP_MAX: Duration = Duration::from_secs(1_800);

/// When a check looks, and how many looks make a signal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Looks {
    /// From start to start.
    pub(super) interval: Duration,
    /// The same while suspect or recovering.
    pub(super) fast_interval: Duration,
    /// Deadline of one look.
    pub(super) timeout: Duration,
    /// Looks until failing.
    pub(super) fall: Threshold,
    /// Looks until passing.
    pub(super) rise: Threshold,
}

/// When a region that was down returns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Damping {
    /// The shortest wait.
    pub(super) recover_after: Duration,
    /// How it grows.
    pub(super) flap: Flap,
}

/// The looks that the keys ask for. `timeout` and `fast_interval` are at most `interval`.
pub(super) fn looks(keys: &TimingKeys, report: &mut Report<'_>) -> Looks {
    let interval = Side::new("interval", keys.interval.as_ref(), INTERVAL);
    let timeout = Side::new("timeout", keys.timeout.as_ref(), TIMEOUT.min(interval.value));
    let fast_interval =
        Side::new("fast_interval", keys.fast_interval.as_ref(), FAST_INTERVAL.min(interval.value));
    not_longer(&timeout, &interval, report);
    not_longer(&fast_interval, &interval, report);
    let default_threshold = || Threshold::in_a_row(LOOKS);
    #[expect(clippy::expect_used, reason = "3 is within 1 to 64")]
    let threshold = |key: &Option<At<Threshold>>| {
        key.as_ref().map(|at| at.value).or_else(default_threshold).expect("the default is a threshold")
    };
    Looks {
        interval: interval.value,
        fast_interval: fast_interval.value,
        timeout: timeout.value,
        fall: threshold(&keys.fall),
        rise: threshold(&keys.rise),
    }
}

/// The damping that the keys ask for. `flap.max` is at least `recover_after`.
pub(super) fn damping(keys: &TimingKeys, report: &mut Report<'_>) -> Damping {
    let recover_after = keys.recover_after.as_ref();
    let wait = Side {
        key: "recover_after",
        value: recover_after.map_or(RECOVER_AFTER, |at| at.value),
        mark: recover_after.map(|at| &at.mark),
    };
    let max = Side::new("flap.max", keys.flap_max.as_ref(), FLAP_MAX.max(wait.value));
    not_longer(&wait, &max, report);
    Damping {
        recover_after: wait.value,
        flap: Flap {
            window: keys.flap_window.as_ref().map_or(FLAP_WINDOW, |at| at.value.0),
            factor: keys.flap_factor.as_ref().map_or(FLAP_FACTOR, |at| at.value.0),
            max: max.value,
        },
    }
}

impl Damping {
    /// A region waits as long as the most cautious of its checks asks.
    pub(super) fn most_cautious(self, other: Self) -> Self {
        Self {
            recover_after: self.recover_after.max(other.recover_after),
            flap: Flap {
                window: self.flap.window.max(other.flap.window),
                factor: self.flap.factor.max(other.flap.factor),
                max: self.flap.max.max(other.flap.max),
            },
        }
    }
}

/// A duration that a rule compares: what it is called, how long it is, and where that stands. What stands
/// nowhere is a default.
pub(super) struct Side<'k> {
    key: &'static str,
    value: Duration,
    mark: Option<&'k Mark>,
}

impl<'k> Side<'k> {
    /// A key's value, or its default.
    pub(super) fn new(key: &'static str, at: Option<&'k At<Positive>>, default: Duration) -> Self {
        Self { key, value: at.map_or(default, |at| at.value.0), mark: at.map(|at| &at.mark) }
    }

    fn rank(&self) -> Option<Rank> {
        self.mark.map(|mark| mark.place.rank)
    }

    /// As messages show it that mark something else: with where it stands, when that is elsewhere.
    fn shown(&self, marked: &Mark, report: &Report<'_>) -> String {
        match self.mark {
            None => format!("{} = \"{}\" (the default)", self.key, written(self.value)),
            Some(mark) if mark.place.rank < marked.place.rank => {
                let whence = report.whence(mark.span.start, marked.span.start);
                format!("{} ({whence})", report.shown(mark))
            }
            Some(mark) => report.shown(mark),
        }
    }
}

/// Refuses `short` when it is longer than `long`.
pub(super) fn not_longer(short: &Side<'_>, long: &Side<'_>, report: &mut Report<'_>) {
    if short.value > long.value {
        let hint =
            format!("write a {} of at most \"{}\", or a longer {}", short.key, written(long.value), long.key);
        contradict(short, "is longer than", long, hint, report);
    }
}

/// Refuses `short` unless it is shorter than `long`.
pub(super) fn shorter(short: &Side<'_>, long: &Side<'_>, report: &mut Report<'_>) {
    if short.value >= long.value {
        let hint =
            format!("write a {} below \"{}\", or a longer {}", short.key, written(long.value), long.key);
        contradict(short, "is not shorter than", long, hint, report);
    }
}

/// Marks the more specific of the two: the other one holds elsewhere too.
fn contradict(short: &Side<'_>, verb: &str, long: &Side<'_>, hint: String, report: &mut Report<'_>) {
    let marked = if long.rank() > short.rank() { long.mark } else { short.mark };
    let Some(marked) = marked.filter(|_| !report.is_bad(short.key) && !report.is_bad(long.key)) else {
        return;
    };
    let (short, long) = (short.shown(marked, report), long.shown(marked, report));
    report.value(marked, format_args!("{short} {verb} {long}"), hint);
}

//! When and how often, inherited from the most specific table that says it.
//!
//! The rules between these keys are here. A default never breaks a rule by itself: it gives way to what
//! is written.

use std::time::Duration;

use super::duration::{Positive, written};
use super::raw::TimingKeys;
use super::report::{At, Report};
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
    let interval = keys.interval.as_ref().map_or(INTERVAL, |at| at.value.0);
    for short in [&keys.timeout, &keys.fast_interval].into_iter().flatten() {
        not_longer(short, keys.interval.as_ref(), ("interval", INTERVAL), report);
    }
    let default_threshold = || Threshold::in_a_row(LOOKS);
    #[expect(clippy::expect_used, reason = "3 is within 1 to 64")]
    let threshold = |key: &Option<At<Threshold>>| {
        key.as_ref().map(|at| at.value).or_else(default_threshold).expect("the default is a threshold")
    };
    Looks {
        interval,
        fast_interval: keys.fast_interval.as_ref().map_or(FAST_INTERVAL.min(interval), |at| at.value.0),
        timeout: keys.timeout.as_ref().map_or(TIMEOUT.min(interval), |at| at.value.0),
        fall: threshold(&keys.fall),
        rise: threshold(&keys.rise),
    }
}

/// The damping that the keys ask for. `flap.max` is at least `recover_after`.
pub(super) fn damping(keys: &TimingKeys, report: &mut Report<'_>) -> Damping {
    let recover_after = keys.recover_after.as_ref().map_or(RECOVER_AFTER, |at| at.value);
    if let (Some(wait), Some(max)) = (&keys.recover_after, &keys.flap_max) {
        let wait = At { value: Positive(wait.value), mark: wait.mark.clone() };
        not_longer(&wait, Some(max), ("flap.max", FLAP_MAX), report);
    } else if let Some(max) = keys.flap_max.as_ref().filter(|max| max.value.0 < recover_after) {
        let message = format!(
            "{} is shorter than recover_after = \"{}\" (the default)",
            report.shown(&max.mark),
            written(recover_after)
        );
        report.value(&max.mark, message, "write a longer flap.max, or a shorter recover_after");
    }
    Damping {
        recover_after,
        flap: Flap {
            window: keys.flap_window.as_ref().map_or(FLAP_WINDOW, |at| at.value.0),
            factor: keys.flap_factor.as_ref().map_or(FLAP_FACTOR, |at| at.value.0),
            max: keys.flap_max.as_ref().map_or(FLAP_MAX.max(recover_after), |at| at.value.0),
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

/// Whether `short` is at most `long`, or its default. If not, the more specific of the two is marked.
pub(super) fn not_longer(
    short: &At<Positive>,
    long: Option<&At<Positive>>,
    (long_key, default): (&str, Duration),
    report: &mut Report<'_>,
) -> bool {
    let limit = long.map_or(default, |at| at.value.0);
    if short.value.0 <= limit || report.is_bad(long_key) {
        return true;
    }
    let short_key = short.mark.key;
    let (mut short_text, mut marked) = (report.shown(&short.mark), &short.mark);
    let long_text = match long {
        None => format!("{long_key} = \"{}\" (the default)", written(default)),
        Some(long) if long.mark.place.rank > short.mark.place.rank => {
            short_text = format!("{short_text} (line {})", report.line(short.mark.span.start));
            marked = &long.mark;
            report.shown(&long.mark)
        }
        Some(long) if long.mark.place.rank < short.mark.place.rank => {
            format!("{} (line {})", report.shown(&long.mark), report.line(long.mark.span.start))
        }
        Some(long) => report.shown(&long.mark),
    };
    let hint = format!("write a {short_key} of at most \"{}\", or a longer {long_key}", written(limit));
    report.value(marked, format_args!("{short_text} is longer than {long_text}"), hint);
    false
}

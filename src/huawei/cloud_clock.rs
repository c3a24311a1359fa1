//! What time it is in the cloud, by the `Date` of its answers: for signatures, and for the end of temporary
//! keys. The cloud refuses what is signed at another time than its own.
//!
//! Wall time and a correction, which two answers in a row must agree on, so that an odd one does nothing. A
//! `Date` that lies cannot break signing: [`other_time`] is tried once when a request is refused,
//! and a correction without which the request was taken is dropped. A wall clock that is set is a new one.
//! Start at [`CloudClock::now`].

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use jiff::SignedDuration;
use tokio::time::Instant;

use crate::clock::{instant_now, wall_time};
use crate::model::CloudName;

/// From here on the clocks are so far apart that somebody should know, and that a refusal may be due to it. The
/// cloud allows for 15 min; a clock that is kept is never this far off.
const FAR: Duration = Duration::from_secs(60);

/// Up to here there is nothing to correct: a `Date` has whole seconds, and an answer takes its time.
const NEAR: Duration = Duration::from_secs(2);

/// What a `Date` leaves open: it is cut to whole seconds.
const RESOLUTION: Duration = Duration::from_secs(1);

/// An answer that took longer says too little of when its `Date` was written.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// A `Date` before 2025 or after 2099 is nobody's clock. Seconds since 1970.
const SENSE: std::ops::Range<u64> = 1_735_689_600..4_102_444_800;

/// How long no `Date` is believed after a correction was found to be wrong. What costs a refusal each time is
/// then rare; a clock that really is off meanwhile costs each request one.
const DISTRUST: Duration = Duration::from_secs(10 * 60);

/// The clock of one account's cloud.
pub(super) struct CloudClock {
    cloud: CloudName,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    newest: Option<Sample>,
    /// The cloud's time less ours, as two answers in a row had it.
    correction: SignedDuration,
    /// Both of our clocks when the newest answer came.
    read: Option<(Instant, Duration)>,
    distrusted_until: Option<Instant>,
}

/// What one answer says.
#[derive(Clone, Copy, Debug)]
struct Sample {
    /// The cloud's time less ours.
    ahead: SignedDuration,
    /// It may be so much more or less.
    unsure: Duration,
}

impl Sample {
    fn agrees(&self, other: &Self) -> bool {
        (self.ahead - other.ahead).unsigned_abs() <= self.unsure + other.unsure + RESOLUTION
    }
}

impl State {
    /// Where the wall clock was set, or the machine slept, what was measured before is of another clock.
    fn notice_a_jump(&mut self, now: Instant, wall: Duration) {
        let jumped = self.read.is_some_and(|(then, at)| {
            let should_be = at + now.saturating_duration_since(then);
            should_be.abs_diff(wall) > NEAR
        });
        if jumped {
            *self = Self { distrusted_until: self.distrusted_until, ..Self::default() };
        }
    }

    /// The cloud's time.
    fn cloud_time(&mut self, now: Instant, wall: Duration) -> Duration {
        self.notice_a_jump(now, wall);
        if self.correction.unsigned_abs() <= NEAR { wall } else { shifted(wall, self.correction) }
    }

    fn measured(&mut self, now: Instant, wall: Duration, took: Duration, date: Duration) {
        self.notice_a_jump(now, wall);
        if took > ANSWER_MAX || !makes_sense(date) || self.distrusted_until.is_some_and(|until| now < until) {
            return;
        }
        let (half_way, written) = (wall.saturating_sub(took / 2), date + RESOLUTION / 2);
        let sample = Sample { ahead: less(written, half_way), unsure: (took + RESOLUTION) / 2 };
        if self.newest.is_some_and(|before| before.agrees(&sample))
            && (sample.ahead - self.correction).unsigned_abs() > RESOLUTION
        {
            self.correction = sample.ahead;
        }
        (self.newest, self.read) = (Some(sample), Some((now, wall)));
    }

    fn is_far(&self) -> bool {
        self.correction.unsigned_abs() >= FAR
    }
}

impl CloudClock {
    pub(super) fn new(cloud: CloudName) -> Self {
        Self { cloud, state: Mutex::default() }
    }

    /// The cloud's time, since 1970; this machine's own while nothing else is known.
    pub(super) fn now(&self) -> Duration {
        self.change(State::cloud_time)
    }

    /// An answer came, `took` so long, and is dated so. An answer to a request that was refused says as much.
    pub(super) fn measured(&self, took: Duration, date: Duration) {
        self.change(|state, now, wall| state.measured(now, wall, took, date));
    }

    /// A request that was refused with one time was taken with another. When that is this machine's own, the
    /// correction is wrong: whoever dates the answers does not check the signatures.
    pub(super) fn taken(&self, refused: Duration, taken: Duration) {
        self.change(|state, now, wall| {
            if taken.abs_diff(wall) <= FAR && refused.abs_diff(wall) > FAR {
                let until = Some(now + DISTRUST);
                *state = State { distrusted_until: until, ..State::default() };
            }
        });
    }

    /// What somebody should know: the clocks are far apart.
    pub(super) fn alarm(&self) -> Option<String> {
        self.skew().map(|skew| {
            format!(
                "this machine's clock is {skew}: start chrony or ntpd; requests are signed with the cloud's time meanwhile"
            )
        })
    }

    /// How this machine's clock is wrong: `1h 2m behind the cloud's`. None while it is not known to be.
    fn skew(&self) -> Option<String> {
        self.change(|state, now, wall| {
            state.notice_a_jump(now, wall);
            state.is_far().then(|| apart(state.correction))
        })
    }

    /// Reads both clocks and changes the state. That the clocks are far apart is told by the alarm.
    fn change<T>(&self, change: impl FnOnce(&mut State, Instant, Duration) -> T) -> T {
        let (now, wall) = (instant_now(), wall_time());
        let mut state = self.state();
        change(&mut state, now, wall)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for CloudClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloudClock").field("cloud", &self.cloud).finish_non_exhaustive()
    }
}

/// The clocks of the accounts in use: what tells that this machine's own is wrong. Clones are the same; an account that
/// nobody uses any more leaves by itself.
#[derive(Clone, Debug, Default)]
pub struct CloudClocks {
    clocks: Arc<Mutex<Vec<Weak<CloudClock>>>>,
}

impl CloudClocks {
    /// Takes in an account's clock.
    pub(super) fn add(&self, clock: &Arc<CloudClock>) {
        let mut clocks = self.clocks.lock().unwrap_or_else(PoisonError::into_inner);
        clocks.retain(|known| known.strong_count() > 0);
        clocks.push(Arc::downgrade(clock));
    }

    /// How this machine's clock is wrong by one of them, a minute or more: `1h 2m behind the cloud's`. None while nobody
    /// knows that it is.
    #[must_use]
    pub fn skew(&self) -> Option<String> {
        let clocks = self.clocks.lock().unwrap_or_else(PoisonError::into_inner).clone();
        clocks.iter().filter_map(Weak::upgrade).find_map(|clock| clock.skew())
    }
}

/// When to sign a request anew that was refused, perhaps for its time: at the time that the refusal names when it
/// is another; else at this machine's own, when that is another. None when neither would help.
pub(super) fn other_time(signed: Duration, refused_at: Option<Duration>) -> Option<Duration> {
    let candidates = [refused_at.filter(|date| makes_sense(*date)), Some(wall_time())];
    candidates.into_iter().flatten().find(|other| other.abs_diff(signed) > FAR)
}

/// For people: `1h 2m behind the cloud's`, in whole seconds, from an hour on in whole minutes: a `Date` tells no more than seconds.
fn apart(cloud_less_ours: SignedDuration) -> String {
    let seconds = cloud_less_ours.unsigned_abs().as_secs();
    let minutes = (seconds + 30) / 60;
    let whole = Duration::from_secs(if minutes < 60 { seconds } else { minutes * 60 });
    let side = if cloud_less_ours.is_positive() { "behind" } else { "ahead of" };
    format!("{} {side} the cloud's", in_words(whole))
}

/// `1h 2m`, and from a day on `1 day 2h`, without what is less than an hour.
pub(super) fn in_words(duration: Duration) -> String {
    let hours = duration.as_secs() / 3600;
    let (days, hours) = (hours / 24, hours % 24);
    let days = match days {
        0 => return humantime::format_duration(duration).to_string(),
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    };
    if hours == 0 { days } else { format!("{days} {hours}h") }
}

fn makes_sense(date: Duration) -> bool {
    SENSE.contains(&date.as_secs())
}

fn less(a: Duration, b: Duration) -> SignedDuration {
    let apart = SignedDuration::try_from(a.abs_diff(b)).unwrap_or(SignedDuration::MAX);
    if a >= b { apart } else { -apart }
}

fn shifted(wall: Duration, by: SignedDuration) -> Duration {
    let apart = by.unsigned_abs();
    if by.is_positive() { wall.saturating_add(apart) } else { wall.saturating_sub(apart) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const TOOK: Duration = Duration::from_millis(40);

    /// A state, and our two clocks as a test moves them.
    struct Bench {
        state: State,
        now: Instant,
        wall: Duration,
    }

    impl Bench {
        fn new() -> Self {
            Self {
                state: State::default(),
                now: instant_now(),
                wall: Duration::from_millis(1_795_500_000_400),
            }
        }

        /// A second passes.
        fn tick(&mut self) -> &mut Self {
            self.now += Duration::from_secs(1);
            self.wall += Duration::from_secs(1);
            self
        }

        /// A second later an answer comes whose `Date` is our time so much later, cut to seconds.
        fn answered(&mut self, ahead_s: i64) -> &mut Self {
            self.tick();
            let date = shifted(self.wall, SignedDuration::from_secs(ahead_s));
            self.state.measured(self.now, self.wall, TOOK, Duration::from_secs(date.as_secs()));
            self
        }

        fn corrects_by_s(&mut self) -> i64 {
            let time = self.state.cloud_time(self.now, self.wall);
            less(time, self.wall).as_millis().try_into().map(|ms: i64| (ms + 500).div_euclid(1000)).unwrap()
        }
    }

    #[test]
    fn two_answers_in_a_row_must_agree() {
        let mut bench = Bench::new();
        assert_eq!(bench.answered(3600).corrects_by_s(), 0);
        assert_eq!(bench.answered(3600).corrects_by_s(), 3600);
        assert_eq!(bench.answered(0).corrects_by_s(), 3600, "an odd answer");
        assert_eq!(bench.answered(3600).corrects_by_s(), 3600);
        assert_eq!(bench.answered(-90).answered(-90).corrects_by_s(), -90);
        assert_eq!(bench.answered(0).answered(0).corrects_by_s(), 0);
    }

    #[test]
    fn two_answerers_that_never_agree_change_nothing() {
        let mut bench = Bench::new();
        for _ in 0..20 {
            assert_eq!(bench.answered(0).answered(1200).corrects_by_s(), 0);
        }
    }

    #[test]
    fn a_second_or_two_are_not_corrected() {
        let mut bench = Bench::new();
        for ahead in [-1, 0, 1] {
            assert_eq!(bench.answered(ahead).answered(ahead).answered(ahead).corrects_by_s(), 0);
        }
        assert_eq!(bench.answered(4).answered(4).corrects_by_s(), 4);
    }

    #[test]
    fn nonsense_and_slow_answers_say_nothing() {
        let mut bench = Bench::new();
        for (took, date) in [
            (TOOK, Duration::ZERO),
            (TOOK, Duration::from_secs(9_000_000_000)),
            (Duration::from_secs(60), bench.wall + HOUR),
        ] {
            for _ in 0..3 {
                bench.tick();
                bench.state.measured(bench.now, bench.wall, took, date);
            }
        }
        assert_eq!(bench.corrects_by_s(), 0);
    }

    #[test]
    fn a_clock_of_1970_is_corrected_too() {
        let mut bench = Bench::new();
        bench.wall = Duration::from_millis(17_400);
        let ahead = 1_795_500_000;
        assert_eq!(bench.answered(ahead).answered(ahead).corrects_by_s(), ahead);
    }

    #[test]
    fn a_wall_clock_that_was_set_is_measured_anew() {
        let mut bench = Bench::new();
        assert_eq!(bench.answered(3600).answered(3600).corrects_by_s(), 3600);
        bench.wall += HOUR;
        assert_eq!(bench.corrects_by_s(), 0, "it was set right");
        assert!(bench.answered(0).state.newest.is_some());
    }

    #[test]
    fn the_alarm_does_not_flutter_at_its_threshold() {
        let mut bench = Bench::new();
        let mut changes = 0;
        for turn in 0..60_u64 {
            let far = bench.state.is_far();
            // As in life: the answers meet our clock at any part of a second.
            bench.wall += Duration::from_millis(turn * 7 % 10);
            bench.answered(60);
            changes += u32::from(bench.state.is_far() != far);
        }
        assert!(changes <= 1, "{changes} changes");
    }

    #[test]
    fn what_was_taken_without_the_correction_disproves_it() {
        let clock = CloudClock::new(CloudName::parse("main").unwrap());
        let lie = || wall_time() + HOUR;
        for _ in 0..2 {
            clock.measured(TOOK, lie());
        }
        let signed = clock.now();
        assert!(signed > wall_time() + HOUR / 2 && clock.alarm().unwrap().contains(" behind the cloud's"));
        let other = other_time(signed, Some(lie())).unwrap();
        assert!(
            other < wall_time() + FAR,
            "the refusal is dated as it was signed: our own time is left to try"
        );
        clock.taken(signed, other);
        for _ in 0..5 {
            clock.measured(TOOK, lie());
        }
        assert!(clock.now() < wall_time() + FAR && clock.alarm().is_none());
    }

    #[test]
    fn a_wrong_clock_is_known_as_long_as_an_account_is_used_that_says_so() {
        let clocks = CloudClocks::default();
        let account = |name| Arc::new(CloudClock::new(CloudName::parse(name).unwrap()));
        let (right, wrong) = (account("right"), account("wrong"));
        clocks.add(&right);
        clocks.add(&wrong);
        for _ in 0..2 {
            right.measured(TOOK, wall_time());
            assert_eq!(clocks.skew(), None);
            wrong.measured(TOOK, wall_time() + HOUR);
        }
        assert_eq!(clocks.skew().as_deref(), Some("1h behind the cloud's"));
        drop(wrong);
        assert_eq!(clocks.skew(), None);
    }

    #[test]
    fn a_refusal_is_answered_with_another_time_only_where_there_is_one() {
        let (ours, theirs) = (wall_time(), wall_time() + HOUR);
        assert_eq!(other_time(ours, Some(theirs)), Some(theirs));
        assert_eq!(other_time(ours, Some(ours + FAR / 2)), None);
        assert_eq!(other_time(ours, Some(Duration::ZERO)), None);
        assert_eq!(other_time(ours, None), None);
    }

    #[test]
    fn how_far_apart_is_said_from_this_machines_side() {
        assert_eq!(apart(SignedDuration::from_secs(3722)), "1h 2m behind the cloud's");
        assert_eq!(apart(SignedDuration::from_secs(-86_399)), "1 day ahead of the cloud's");
        assert_eq!(apart(SignedDuration::from_secs(51 * 3600 + 1200)), "2 days 3h behind the cloud's");
        assert_eq!(apart(SignedDuration::from_millis(-61_400)), "1m 1s ahead of the cloud's");
    }
}

//! When looks start: the beat, the paces, and what happens when a look or the taker is slow.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use pointsman::clock::Clock;
use pointsman::model::{
    Check, CheckKey, CheckKind, CheckName, Moment, Observation, Outcome, Pace, Reason, RegionName,
    ServiceName, TcpCheck, Threshold, WhenUnknown,
};
use pointsman::probe::schedule::{self, CanLook, Scheduled, phase_of};
use pointsman::probe::{Look, Vantage};
use pointsman::pulse::{Pulses, SLACK};
use tokio::net::TcpSocket;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, advance, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

const INTERVAL: Duration = Duration::from_secs(5);
const FAST: Duration = Duration::from_secs(1);

/// Looks that take these times, one after the other, and then no time at all.
struct Takes(Vec<u64>);

impl CanLook for Takes {
    async fn look(&mut self, _interval: Duration, deadline: Instant) -> Look {
        let took = if self.0.is_empty() { 0 } else { self.0.remove(0) };
        sleep(Duration::from_millis(took)).await;
        let saw = Cow::Owned(format!("{}ms left", (deadline.duration_since(now())).as_millis()));
        Look { outcome: Outcome::Pass, saw, certificate: None }
    }
}

/// Looks that take a second, and fail.
struct Fails;

impl CanLook for Fails {
    async fn look(&mut self, _interval: Duration, _deadline: Instant) -> Look {
        sleep(Duration::from_secs(1)).await;
        Look { outcome: Outcome::Fail(Reason::Timeout), saw: Cow::Borrowed("silence"), certificate: None }
    }
}

/// Looks that wait until their deadline and see nothing.
struct Waits;

impl CanLook for Waits {
    async fn look(&mut self, _interval: Duration, deadline: Instant) -> Look {
        sleep_until(deadline).await;
        Look {
            outcome: Outcome::Unknown(Reason::Throttled),
            saw: Cow::Borrowed("nothing"),
            certificate: None,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_was_blind_until_its_deadline_is_followed_by_the_next_at_once() {
    let mut waits = Loop::start(Waits);
    assert_eq!(waits.take(3).await, [(300, 0), (2_300, 0), (4_300, 0)]);
}

fn now() -> Instant {
    pointsman::clock::instant_now()
}

/// One check on its loop, in paused time, with a phase of 2.3 s: its beats are at 2.3 s, 7.3 s, 12.3 s, …,
/// and its first look is at 0.3 s.
struct Loop {
    observations: mpsc::Receiver<Observation>,
    pace: watch::Sender<Pace>,
    stop: CancellationToken,
    clock: Clock,
    pulses: Pulses,
    tasks: JoinSet<()>,
}

impl Loop {
    fn start(looker: impl CanLook + 'static) -> Self {
        Self::with(looker, 2_300, 100)
    }

    fn with(looker: impl CanLook + 'static, phase: u64, room: usize) -> Self {
        Self::from_vantage(Vantage::default(), looker, phase, room)
    }

    fn from_vantage(vantage: Vantage, looker: impl CanLook + 'static, phase: u64, room: usize) -> Self {
        let (sender, observations) = mpsc::channel(room);
        let (pace, paced) = watch::channel(Pace::Normal);
        let (clock, stop) = (Clock::start(), CancellationToken::new());
        let pulses = Pulses::new(clock);
        let scheduled = Scheduled {
            key: Arc::new(CheckKey {
                service: ServiceName::parse("demo").unwrap(),
                region: RegionName::parse("r").unwrap(),
                check: CheckName::parse("web").unwrap(),
            }),
            check: check(),
            looker,
            pace: paced,
            vantage,
            observations: sender,
            clock,
            phase,
            pulse: pulses.register("check demo/r/web"),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(schedule::run(scheduled, stop.clone()));
        Self { observations, pace, stop, clock, pulses, tasks }
    }

    /// The next observation's start and lateness, in milliseconds.
    async fn next(&mut self) -> (u128, u128) {
        let seen = self.observations.recv().await.unwrap();
        (seen.started.since_start().as_millis(), seen.late.as_millis())
    }

    /// The next looks' starts and latenesses, in milliseconds.
    async fn take(&mut self, count: usize) -> Vec<(u128, u128)> {
        let mut looks = Vec::new();
        for _ in 0..count {
            looks.push(self.next().await);
        }
        looks
    }

    /// Sleeps until so many milliseconds after the start.
    async fn until(&self, ms: u64) {
        sleep_until(self.clock.instant(Moment::after_start(Duration::from_millis(ms)))).await;
    }
}

fn check() -> Check {
    Check {
        name: CheckName::parse("web").unwrap(),
        kind: CheckKind::Tcp(TcpCheck { port: 80, source: None }),
        interval: INTERVAL,
        fast_interval: FAST,
        timeout: Duration::from_secs(2),
        max_latency: None,
        fall: Threshold::in_a_row(3).unwrap(),
        rise: Threshold::in_a_row(3).unwrap(),
        vote: true,
        when_unknown: WhenUnknown::Keep,
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_look_comes_soon_and_the_others_on_the_beat() {
    let mut looks = Loop::start(Takes(vec![]));
    assert_eq!(looks.take(4).await, [(300, 0), (7_300, 0), (12_300, 0), (17_300, 0)]);
}

#[tokio::test(start_paused = true)]
async fn the_interval_is_from_start_to_start() {
    let mut looks = Loop::start(Takes(vec![0, 1_900, 1_900, 1_900]));
    assert_eq!(looks.take(4).await, [(300, 0), (7_300, 0), (12_300, 0), (17_300, 0)]);
}

#[tokio::test(start_paused = true)]
async fn a_look_is_over_its_timeout_after_its_start() {
    let mut looks = Loop::start(Takes(vec![700]));
    let first = looks.observations.recv().await.unwrap();
    assert_eq!((first.latency, &*first.saw), (Duration::from_millis(700), "1300ms left"));
}

#[tokio::test(start_paused = true)]
async fn after_a_look_that_took_longer_than_the_interval_the_next_starts_at_once_and_none_is_made_up_for() {
    let mut looks = Loop::start(Takes(vec![0, 12_000]));
    // Due at 12.3 s and 17.3 s while it lasted: only one is looked, at its end, and then it is on its beat.
    assert_eq!(looks.take(4).await, [(300, 0), (7_300, 0), (19_300, 7_000), (22_300, 0)]);
}

#[tokio::test(start_paused = true)]
async fn looks_that_all_take_longer_than_the_interval_follow_each_other() {
    let mut looks = Loop::start(Takes(vec![0, 6_000, 6_000, 6_000, 6_000]));
    looks.next().await;
    let starts = [(7_300, 0), (13_300, 1_000), (19_300, 1_000), (25_300, 1_000), (31_300, 1_000)];
    assert_eq!(looks.take(5).await, starts);
}

#[tokio::test(start_paused = true)]
async fn a_fast_pace_counts_from_the_last_start() {
    let mut looks = Loop::start(Takes(vec![]));
    assert_eq!(looks.take(2).await, [(300, 0), (7_300, 0)]);
    looks.until(7_800).await;
    looks.pace.send_replace(Pace::Fast);
    assert_eq!(looks.take(2).await, [(8_300, 0), (9_300, 0)]);
    looks.pace.send_replace(Pace::Normal);
    assert_eq!(looks.take(2).await, [(12_300, 0), (17_300, 0)]);
}

#[tokio::test(start_paused = true)]
async fn a_fast_pace_that_was_due_already_looks_at_once_and_is_not_late() {
    let mut looks = Loop::start(Takes(vec![]));
    assert_eq!(looks.take(2).await, [(300, 0), (7_300, 0)]);
    looks.until(10_500).await;
    looks.pace.send_replace(Pace::Fast);
    assert_eq!(looks.take(2).await, [(10_500, 0), (11_500, 0)]);
}

#[tokio::test(start_paused = true)]
async fn looks_that_take_longer_than_the_fast_interval_follow_each_other() {
    let mut looks = Loop::start(Takes(vec![0, 2_000, 2_000, 2_000]));
    looks.next().await;
    looks.pace.send_replace(Pace::Fast);
    assert_eq!(looks.take(4).await, [(1_300, 0), (3_300, 1_000), (5_300, 1_000), (7_300, 1_000)]);
}

#[tokio::test(start_paused = true)]
async fn the_last_pace_stays_when_nobody_sets_it_any_more() {
    let mut looks = Loop::start(Takes(vec![]));
    looks.next().await;
    looks.pace.send_replace(Pace::Fast);
    drop(std::mem::replace(&mut looks.pace, watch::channel(Pace::Normal).0));
    assert_eq!(looks.take(2).await, [(1_300, 0), (2_300, 0)]);
}

#[tokio::test(start_paused = true)]
async fn while_observations_are_not_taken_no_look_is_made_and_the_next_is_late() {
    let mut looks = Loop::with(Takes(vec![]), 2_300, 1);
    looks.until(30_000).await;
    // One lies in the channel, one waits for room since 7.3 s; the third starts when there is.
    assert_eq!(looks.take(3).await, [(300, 0), (7_300, 0), (30_000, 17_700)]);
}

#[tokio::test(start_paused = true)]
async fn a_look_that_does_not_end_is_a_stuck_loop_and_an_observation_that_is_not_taken_is_not() {
    let looks = Loop::with(Takes(vec![]), 2_300, 1);
    looks.until(1_000_000).await;
    assert_eq!(looks.pulses.stuck(), None);

    let looks = Loop::start(Takes(vec![0, 1_000_000]));
    // Its second look begins at 7.3 s, is over 2 s later, and the slack after that.
    looks.until(9_300).await;
    sleep(SLACK).await;
    assert_eq!(looks.pulses.stuck(), None);
    sleep(Duration::from_millis(1)).await;
    assert_eq!(looks.pulses.stuck().map(|stuck| stuck.name).as_deref(), Some("check demo/r/web"));
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_turns_is_never_stuck_whatever_its_pace() {
    let mut looks = Loop::start(Takes(vec![0, 1_900, 6_000, 0]));
    for pace in [Pace::Normal, Pace::Fast, Pace::Normal].into_iter().cycle().take(30) {
        looks.next().await;
        looks.pace.send_replace(pace);
        assert_eq!(looks.pulses.stuck(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_drops_the_look_in_flight() {
    let mut looks = Loop::start(Takes(vec![1_000_000]));
    looks.until(400).await;
    looks.stop.cancel();
    timeout(Duration::from_millis(1), looks.tasks.join_next()).await.unwrap().unwrap().unwrap();
    assert!(looks.observations.recv().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn the_loop_ends_when_nobody_takes_observations() {
    let mut looks = Loop::start(Takes(vec![]));
    looks.observations.close();
    timeout(INTERVAL, looks.tasks.join_next()).await.unwrap().unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_look_is_seen_by_the_supervisor() {
    struct Panics;
    impl CanLook for Panics {
        async fn look(&mut self, _interval: Duration, _deadline: Instant) -> Look {
            panic!("a bug in a look");
        }
    }
    let mut looks = Loop::start(Panics);
    assert!(looks.tasks.join_next().await.unwrap().unwrap_err().is_panic());
}

#[tokio::test(start_paused = true)]
async fn a_look_that_started_between_milliseconds_is_followed_by_one_due_on_a_whole_millisecond() {
    let mut looks = Loop::start(Takes(vec![]));
    looks.next().await;
    advance(Duration::from_micros(3_456_789)).await;
    looks.pace.send_replace(Pace::Fast);
    let between = looks.observations.recv().await.unwrap();
    assert_eq!(between.started.since_start(), Duration::from_micros(3_756_789));
    let next = looks.observations.recv().await.unwrap();
    assert_eq!((next.late.as_micros(), next.started.since_start().as_micros()), (789, 4_756_789));
}

#[test]
fn phases_spread_evenly_over_the_interval() {
    let mut tenths = [0; 10];
    for service in 0..1_000 {
        for region in 0..4 {
            let phase = phase_of(&format!("service{service}/region{region}/web")) % 5_000;
            tenths[usize::try_from(phase / 500).unwrap()] += 1;
        }
    }
    assert!(tenths.iter().all(|count| (320..=480).contains(count)), "{tenths:?}");
    assert_eq!(phase_of("a/b/c"), phase_of("a/b/c"));
}

#[tokio::test(start_paused = true)]
async fn a_look_that_fails_while_no_reference_answers_is_told_as_unknown_and_its_latency_is_its_own() {
    // A port that nobody listens at, kept from others; on loopback its refusal is no answer.
    let port = TcpSocket::new_v4().unwrap();
    port.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let vantage = Vantage::new(&[port.local_addr().unwrap()]);
    let mut looks = Loop::from_vantage(vantage, Fails, 2_300, 100);
    let seen = looks.observations.recv().await.unwrap();
    assert_eq!(seen.outcome, Outcome::Unknown(Reason::Vantage));
    assert_eq!(seen.latency, Duration::from_secs(1));
}

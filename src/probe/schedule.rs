//! When to look: one loop a check, one look at a time.
//!
//! On its normal pace a check keeps its own beat: looks start at the moments that leave the remainder
//! `phase` when divided by `interval`, so that thousands of checks spread over it, also after a stall of the
//! whole process. Starts lie on whole milliseconds, so that looks of the same millisecond share a wake-up of
//! the runtime. A look that takes longer than the interval is followed by the next at once, and so is one that has
//! waited in vain until its deadline; nothing piles up.
//! It never judges what a look found, and a panic in a look is the supervisor's (KEEP-WATCHING).
//! Start at [`run`].

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{JUDGED_WITHIN, Look, Looker, Trace, Vantage};
use crate::clock::Clock;
use crate::model::{Check, CheckKey, Moment, Observation, Outcome, Pace};
use crate::pulse::Pulse;

/// Whatever can look. [`Looker`] does; a test has its own.
pub trait CanLook: Send {
    /// One look of a check that looks every `interval` at present, over at `deadline` at the latest; may be
    /// dropped half-way.
    fn look(&mut self, interval: Duration, deadline: Instant) -> impl Future<Output = Look> + Send;
}

impl CanLook for Looker {
    async fn look(&mut self, interval: Duration, deadline: Instant) -> Look {
        Self::look(self, interval, deadline, &mut Trace::off()).await
    }
}

impl<L: CanLook> CanLook for &mut L {
    async fn look(&mut self, interval: Duration, deadline: Instant) -> Look {
        L::look(self, interval, deadline).await
    }
}

/// A check with all that its loop needs.
#[derive(Debug)]
pub struct Scheduled<L = Looker> {
    /// Whose observations these are.
    pub key: Arc<CheckKey>,
    /// Its intervals and its timeout.
    pub check: Check,
    /// What looks.
    pub looker: L,
    /// The pace that the core wants; a change takes effect at once.
    pub pace: watch::Receiver<Pace>,
    /// Asked about each look that fails, before anybody hears of it.
    pub vantage: Vantage,
    /// Where observations go. While it is full the loop waits, and the next look is late.
    pub observations: mpsc::Sender<Observation>,
    /// The vantage's clock.
    pub clock: Clock,
    /// The check's place within its interval: any number that is well spread over checks, see [`phase_of`].
    pub phase: u64,
    /// Tells whether the loop still turns.
    pub pulse: Pulse,
}

/// A phase for the check with this source, such as its key: the same in every run, and well spread.
#[must_use]
pub fn phase_of(source: &str) -> u64 {
    // FNV-1a, whose high bits are the better ones, then MurmurHash3's finalizer to bring them down.
    let hash = source.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}

/// Looks until `stop` is cancelled, which drops a look in flight, or until nobody takes observations.
pub async fn run<L: CanLook>(mut scheduled: Scheduled<L>, stop: CancellationToken) {
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = scheduled.look_forever() => {}
    }
}

impl<L: CanLook> Scheduled<L> {
    async fn look_forever(&mut self) {
        // The first look comes soon, whatever the interval, and still spread.
        let mut due = self.beat_from(self.clock.now(), self.check.fast_interval);
        self.pulse.turns_by(due);
        sleep_until(self.clock.instant(due)).await;
        loop {
            let started = self.clock.now();
            let over = started + self.check.timeout;
            self.pulse.turns_by(over);
            let deadline = self.clock.instant(over);
            let interval = self.interval();
            let look = self.looker.look(interval, deadline).await;
            let looked = self.clock.now();
            // It was blind to the end, as while it is not its turn to ask the cloud: it waits on in another look, or the same
            // check could always be looking the other way when an answer comes.
            let waits_on = matches!(look.outcome, Outcome::Unknown(_)) && looked >= over;
            self.pulse.turns_by(looked + JUDGED_WITHIN);
            let began = self.clock.instant(started);
            let Look { outcome, saw, certificate } = self.vantage.judge(look, began, &mut Trace::off()).await;
            let finished = self.clock.now();
            let observation = Observation {
                check: Arc::clone(&self.key),
                started,
                late: started.since(due),
                latency: looked.since(started),
                outcome,
                saw,
                certificate,
            };
            self.pulse.rests();
            if self.observations.send(observation).await.is_err() {
                return;
            }
            due = if waits_on { finished } else { self.wait(started, finished).await };
        }
    }

    fn interval(&self) -> Duration {
        match *self.pace.borrow() {
            Pace::Normal => self.check.interval,
            Pace::Fast => self.check.fast_interval,
        }
    }

    /// Waits for the look after the one that `started` and `finished` then; returns when it was due.
    async fn wait(&mut self, started: Moment, finished: Moment) -> Moment {
        let pace = *self.pace.borrow_and_update();
        let mut due = self.due(started, finished, pace);
        while due > self.clock.now() {
            self.pulse.turns_by(due);
            tokio::select! {
                () = sleep_until(self.clock.instant(due)) => return due,
                // Never again once its sender is gone: the last pace stays.
                Ok(()) = self.pace.changed() => {
                    let pace = *self.pace.borrow_and_update();
                    due = self.due(started, finished, pace).max(self.clock.now());
                }
            }
        }
        due
    }

    fn due(&self, started: Moment, finished: Moment, pace: Pace) -> Moment {
        let interval = self.check.interval;
        match pace {
            Pace::Fast => whole_ms(started + self.check.fast_interval),
            Pace::Normal if finished.since(started) >= interval => whole_ms(started + interval),
            // Half an interval of grace takes the look back onto its beat after a late start or a fast pace.
            Pace::Normal => self.beat_from(started + interval / 2, interval),
        }
    }

    /// The first beat at or after `from`, in whole milliseconds.
    fn beat_from(&self, from: Moment, interval: Duration) -> Moment {
        let interval = ms(interval).max(1);
        let remainder = self.phase % interval;
        let from = from.since_start().as_micros().div_ceil(1_000);
        let from = u64::try_from(from).unwrap_or(u64::MAX);
        let ahead = (remainder + interval - from % interval) % interval;
        Moment::after_start(Duration::from_millis(from.saturating_add(ahead)))
    }
}

fn whole_ms(moment: Moment) -> Moment {
    Moment::after_start(Duration::from_millis(ms(moment.since_start())))
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

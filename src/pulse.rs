//! Whether every loop really turns: each promises when it will turn next, and who broke its promise is stuck.
//!
//! A task that ended or panicked is the supervisor's; this finds the one that is still there and does
//! nothing. It only tells: what comes of it is `daemon`'s (KEEP-WATCHING). A promise costs one atomic store, no
//! lock and no allocation, so that thousands of checks can make some at each look.
//!
//! Promises are on the monotonic clock, which on Linux stands still while the machine is suspended: after that they
//! are as good as before. A process that was stopped finds them broken until each loop has turned once: ask
//! again before acting. Start at [`Pulses::register`].

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Clock;
use crate::model::Moment;

/// How late a loop may be before it is stuck. Longer than a crowded machine, or one that is moved to other hardware
/// while it runs, makes anything late: to end a process that is merely slow makes it slower. Short beside the
/// minutes that pass until a person looks.
pub const SLACK: Duration = Duration::from_secs(10);

/// In place of a time: nothing is promised.
const NOTHING: u64 = u64::MAX;

/// All loops that promise to turn. Clones are the same.
#[derive(Clone, Debug)]
pub struct Pulses {
    clock: Clock,
    loops: Arc<Mutex<Loops>>,
}

#[derive(Debug, Default)]
struct Loops {
    /// How many have ever been, which numbers them.
    registered: u64,
    turning: BTreeMap<u64, Arc<Promise>>,
}

#[derive(Debug)]
struct Promise {
    name: String,
    /// When it will turn next, in microseconds of the clock; or [`NOTHING`].
    due_us: AtomicU64,
}

/// One loop's word on when it will turn next; the newest counts. Dropped, the loop is gone and not missed.
#[derive(Debug)]
pub struct Pulse {
    pulses: Pulses,
    number: u64,
    promise: Arc<Promise>,
}

/// A loop that broke its promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// As it was registered.
    pub name: String,
    /// How long ago it should have turned; more than [`SLACK`].
    pub overdue: Duration,
    /// How many more are stuck, none of them for longer.
    pub others: usize,
}

impl Pulses {
    /// No loops yet. Their promises are on this clock.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, loops: Arc::default() }
    }

    /// A loop that begins to turn now: this is its first promise. `name` tells people which it is.
    #[must_use]
    pub fn register(&self, name: impl Into<String>) -> Pulse {
        let due_us = AtomicU64::new(micros(self.clock.now()));
        let promise = Arc::new(Promise { name: name.into(), due_us });
        let mut loops = self.lock();
        let number = loops.registered;
        loops.registered += 1;
        loops.turning.insert(number, Arc::clone(&promise));
        drop(loops);
        Pulse { pulses: self.clone(), number, promise }
    }

    /// The loop that is stuck for longest, when one is.
    #[must_use]
    pub fn stuck(&self) -> Option<Stuck> {
        let now = self.clock.now();
        let loops = self.lock();
        let overdue = |promise: &Arc<Promise>| {
            let due = Moment::after_start(Duration::from_micros(promise.due_us.load(Ordering::Relaxed)));
            now.since(due)
        };
        let late = || loops.turning.values().filter(|promise| overdue(promise) > SLACK);
        let longest = late().max_by_key(|promise| overdue(promise))?;
        let others = late().count().saturating_sub(1);
        Some(Stuck { name: longest.name.clone(), overdue: overdue(longest), others })
    }

    fn lock(&self) -> MutexGuard<'_, Loops> {
        self.loops.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pulse {
    /// Promises to turn by then at the latest: what it waits for has this deadline.
    pub fn turns_by(&self, due: Moment) {
        self.promise.due_us.store(micros(due), Ordering::Relaxed);
    }

    /// Promises to turn within this time; zero says that it is at work and waits for nothing.
    pub fn turns_within(&self, wait: Duration) {
        self.turns_by(self.pulses.clock.now() + wait);
    }

    /// Promises nothing until its next word: it waits for what has no deadline, such as an event, or room in a
    /// queue that another loop empties. That one is stuck then, not both.
    pub fn rests(&self) {
        self.promise.due_us.store(NOTHING, Ordering::Relaxed);
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.pulses.lock().turning.remove(&self.number);
    }
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} should have turned {} s ago", self.name, self.overdue.as_secs())?;
        match self.others {
            0 => Ok(()),
            others => write!(f, ", and {others} more loops are stuck"),
        }
    }
}

fn micros(moment: Moment) -> u64 {
    u64::try_from(moment.since_start().as_micros()).unwrap_or(NOTHING)
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const WAIT: Duration = Duration::from_secs(5);
    const MOMENT: Duration = Duration::from_millis(1);

    #[tokio::test(start_paused = true)]
    async fn a_loop_is_stuck_once_it_is_late_by_more_than_the_slack_and_until_it_turns() {
        let pulses = Pulses::new(Clock::start());
        let pulse = pulses.register("core");
        pulse.turns_within(WAIT);
        advance(WAIT + SLACK).await;
        assert_eq!(pulses.stuck(), None);
        advance(MOMENT).await;
        let stuck = Stuck { name: "core".to_owned(), overdue: SLACK + MOMENT, others: 0 };
        assert_eq!(pulses.stuck(), Some(stuck));
        pulse.turns_within(Duration::ZERO);
        assert_eq!(pulses.stuck(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_rests_or_is_gone_is_not_missed_and_one_that_never_turned_is() {
        let pulses = Pulses::new(Clock::start());
        let (never_turned, rests, gone) =
            (pulses.register("never turned"), pulses.register("rests"), pulses.register("gone"));
        rests.rests();
        drop(gone);
        advance(SLACK + MOMENT).await;
        assert_eq!(pulses.stuck().map(|stuck| stuck.name).as_deref(), Some("never turned"));
        drop(never_turned);
        assert_eq!(pulses.stuck(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn of_several_the_one_that_is_stuck_for_longest_is_named() {
        let (clock, mut loops) = (Clock::start(), Vec::new());
        let pulses = Pulses::new(clock);
        for (name, due) in [("check a", 3), ("core", 1), ("check b", 2), ("turns", 60)] {
            let pulse = pulses.register(name);
            pulse.turns_by(clock.now() + Duration::from_secs(due));
            loops.push(pulse);
        }
        advance(Duration::from_secs(20)).await;
        let told = pulses.stuck().map(|stuck| stuck.to_string());
        assert_eq!(told.as_deref(), Some("core should have turned 19 s ago, and 2 more loops are stuck"));
    }
}

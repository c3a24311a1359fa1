//! The one place that asks what time it is.
//!
//! Inside, time is monotonic: a [`Moment`] since the start, unmoved by a jump of the wall clock. Wall
//! time, in Unix seconds, is for people and for the cloud's signatures only.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::model::Moment;

/// Tells the time of one vantage. Copies agree.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
    start: Moment,
}

impl Clock {
    /// A clock whose [`Moment::START`] is now.
    #[must_use]
    pub fn start() -> Self {
        Self::start_at(Moment::START)
    }

    /// A clock on which it is `start` now: what was remembered from before then has a place in front of it.
    #[must_use]
    pub fn start_at(start: Moment) -> Self {
        Self { started: instant_now(), start }
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Moment {
        self.start + instant_now().duration_since(self.started)
    }

    /// How long it had been running at that moment; zero before it started.
    #[must_use]
    pub fn since_start(&self, moment: Moment) -> Duration {
        moment.since(self.start)
    }

    /// The runtime's name for a moment, to sleep until; its start for one before that.
    #[must_use]
    pub fn instant(&self, moment: Moment) -> Instant {
        self.started + self.since_start(moment)
    }
}

/// Now, for deadlines and measurements that never meet the core.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn instant_now() -> Instant {
    Instant::now()
}

/// Wall time since 1970, for people and signatures; zero when the clock stands before that.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn wall_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

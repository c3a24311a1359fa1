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
}

impl Clock {
    /// A clock whose [`Moment::START`] is now.
    #[must_use]
    pub fn start() -> Self {
        Self { started: instant_now() }
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Moment {
        Moment::after_start(instant_now().duration_since(self.started))
    }

    /// The runtime's name for a moment, to sleep until.
    #[must_use]
    pub fn instant(&self, moment: Moment) -> Instant {
        self.started + moment.since_start()
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

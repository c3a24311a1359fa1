//! How long a region must stay healthy before it is published again, and how that grows while it flaps.
//!
//! A flap is a fall within `flap.window` of the region's last return. Each one multiplies the time by
//! `flap.factor`, up to `flap.max`; a region that stays up for a whole window starts over (BOUNDED-WRITES).

use std::time::Duration;

use crate::model::{Flap, Moment};

/// One region's damping.
#[derive(Clone, Debug)]
pub(super) struct Damping {
    base: Duration,
    flap: Flap,
    returned: Option<Moment>,
    recover_after: Duration,
}

impl Damping {
    pub(super) fn new(base: Duration, flap: Flap) -> Self {
        Self { base, flap, returned: None, recover_after: base }
    }

    /// The region went down.
    pub(super) fn fell(&mut self, now: Moment) {
        let flapped = self.returned.is_some_and(|returned| now.since(returned) <= self.flap.window);
        self.recover_after = if flapped {
            let grown = self.recover_after.as_secs_f64() * self.flap.factor;
            let most = self.flap.max.max(self.base);
            Duration::try_from_secs_f64(grown).unwrap_or(most).clamp(self.base, most)
        } else {
            self.base
        };
    }

    /// The region came back up.
    pub(super) fn returned(&mut self, now: Moment) {
        self.returned = Some(now);
    }

    /// How long it must stay healthy before it is published again.
    pub(super) fn recover_after(&self) -> Duration {
        self.recover_after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    #[test]
    fn each_fall_soon_after_a_return_doubles_the_wait_up_to_the_cap_and_a_quiet_window_resets_it() {
        let flap = Flap { window: seconds(600), factor: 2.0, max: seconds(100) };
        let mut damping = Damping::new(seconds(30), flap);
        let mut waits = Vec::new();
        for at in [10, 100, 200, 300, 2_000] {
            damping.fell(Moment::START + seconds(at));
            waits.push(damping.recover_after().as_secs());
            damping.returned(Moment::START + seconds(at + 50));
        }
        assert_eq!(waits, [30, 60, 100, 100, 30]);
    }
}

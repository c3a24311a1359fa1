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
    /// How many times in a row it fell within the window of its return.
    flaps: u32,
}

impl Damping {
    pub(super) fn new(base: Duration, flap: Flap) -> Self {
        Self { base, flap, returned: None, flaps: 0 }
    }

    /// The region went down.
    pub(super) fn fell(&mut self, now: Moment) {
        let flapped = self.returned.is_some_and(|returned| now.since(returned) <= self.flap.window);
        self.flaps = if flapped { self.flaps.saturating_add(1) } else { 0 };
    }

    /// The region came back up.
    pub(super) fn returned(&mut self, now: Moment) {
        self.returned = Some(now);
    }

    /// How long it must stay healthy before it is published again.
    pub(super) fn recover_after(&self) -> Duration {
        let grown = self.flap.factor.powi(i32::try_from(self.flaps).unwrap_or(i32::MAX)).min(f64::MAX);
        let most = self.flap.max.max(self.base);
        let wait = Duration::try_from_secs_f64(self.base.as_secs_f64() * grown).unwrap_or(most);
        wait.clamp(self.base, most)
    }

    /// Other settings, the same history.
    pub(super) fn reconfigure(&mut self, base: Duration, flap: Flap) {
        (self.base, self.flap) = (base, flap);
    }

    /// When it last came back up, and how many times in a row it fell soon after that.
    pub(super) fn history(&self) -> (Option<Moment>, u32) {
        (self.returned, self.flaps)
    }

    /// One that goes on from such a history.
    pub(super) fn recall(base: Duration, flap: Flap, returned: Option<Moment>, flaps: u32) -> Self {
        Self { base, flap, returned, flaps }
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

//! How long to wait before a call is made again. Pure; chance comes in as a number.

use std::time::Duration;

/// How often a read is sent at most, the first time included.
pub(super) const TRIES_MAX: u32 = 4;

/// Before the second try. Short, since a look's deadline is a few seconds.
const FIRST: Duration = Duration::from_millis(200);

/// However often it failed.
const LONGEST: Duration = Duration::from_secs(5);

/// The wait after try number `tries` (from 1): doubling, and between half and the whole of that by
/// `chance` (0 to 1), so that many who failed together do not come back together.
pub(super) fn backoff(tries: u32, chance: f64) -> Duration {
    spread(doubled(FIRST, tries.saturating_sub(1), LONGEST), chance)
}

/// `first`, doubled so many times, at most `longest`.
pub(super) fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    first.saturating_mul(2_u32.saturating_pow(times)).min(longest)
}

/// Between half of it and all of it.
pub(super) fn spread(whole: Duration, chance: f64) -> Duration {
    whole.mul_f64(0.5 + 0.5 * chance.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_limit_and_are_spread() {
        let whole: Vec<u128> = (1..=8).map(|tries| backoff(tries, 1.0).as_millis()).collect();
        assert_eq!(whole, [200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
        assert_eq!(backoff(1, 0.0).as_millis(), 100);
        assert_eq!(backoff(u32::MAX, 0.5), LONGEST.mul_f64(0.75));
    }
}

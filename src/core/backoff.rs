//! How long to wait after a failed call to a provider, and when to alarm.

use std::time::Duration;

use super::report::Report;
use crate::model::{Alarm, ProviderError, ProviderErrorKind, RecordKey};

/// After a failed call; doubles with each further one in a row, up to [`MOST`].
pub(super) const FIRST: Duration = Duration::from_millis(500);
/// Long enough to leave a provider in trouble alone, short enough for a plan that waits.
const MOST: Duration = Duration::from_secs(10);
/// The same after a refusal: the same request will most likely be refused again.
const REFUSED_MOST: Duration = Duration::from_secs(120);
/// A write whose answer was lost is not sent again at once, for it may still land: after 1 s, 2 s, 4 s, … up to this.
const AFTER_LOST_MOST: Duration = Duration::from_secs(15);
/// A set whose last change failed is written once more at once, then after so long, doubling up to [`REPAIR_MOST`].
const REPAIR_FIRST: Duration = Duration::from_secs(15);
const REPAIR_MOST: Duration = Duration::from_secs(300);
/// So many failed calls in a row are no blip any more.
const NO_BLIP: u32 = 3;

/// Failed calls in a row, for one record set.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Backoff {
    failures: u32,
    seed: u64,
}

impl Backoff {
    /// The jitter keeps many record sets from knocking together. It is drawn from the name, so that the same
    /// inputs give the same times.
    pub(super) fn new(key: &RecordKey) -> Self {
        let spread = |hash: u64, byte: u8| hash.wrapping_mul(0x0100_0000_01b3) ^ u64::from(byte);
        Self { failures: 0, seed: key.name.as_str().bytes().fold(0, spread) }
    }

    pub(super) fn failed(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }

    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
    }

    pub(super) fn is_no_blip(&self) -> bool {
        self.failures >= NO_BLIP
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failures > 0
    }

    /// Until the next repair of a set whose last change failed.
    pub(super) fn until_repair(&self) -> Duration {
        let doublings = self.failures.saturating_sub(1).min(16);
        REPAIR_FIRST.saturating_mul(1 << doublings).min(REPAIR_MOST)
    }

    /// Until the next call: up to half as long again as the doubled first wait, and that at most `most`.
    pub(super) fn wait(&self, most: Duration) -> Duration {
        let doublings = self.failures.saturating_sub(1).min(16);
        let wait = FIRST.saturating_mul(1 << doublings).min(most);
        let eighths = u32::try_from(self.seed.wrapping_add(u64::from(self.failures)) % 5).unwrap_or_default();
        wait + wait / 8 * eighths
    }
}

/// How long a write is not repeated whose answer was lost, after `before` that were lost in a row.
pub(super) fn pause_after_lost(before: u32) -> Duration {
    Duration::from_secs(1 << before.min(8)).min(AFTER_LOST_MOST)
}

/// How long to wait after a failed call, and what to alarm: a refusal at once, anything else when it is no blip
/// any more.
pub(super) fn weigh(error: &ProviderError, backoff: &Backoff, alarm: Alarm) -> (Duration, Option<Report>) {
    let report = Report::Alarmed { alarm, message: error.message.clone() };
    let unless_blip = backoff.is_no_blip().then(|| report.clone());
    match error.kind {
        ProviderErrorKind::Throttled(after) => {
            (after.unwrap_or_default().max(backoff.wait(MOST)), unless_blip)
        }
        ProviderErrorKind::Refused => (backoff.wait(REFUSED_MOST), Some(report)),
        ProviderErrorKind::Unclear => (backoff.wait(MOST), Some(report)),
        ProviderErrorKind::Away | ProviderErrorKind::Lost | ProviderErrorKind::Conflict => {
            (backoff.wait(MOST), unless_blip)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Fqdn, RecordType};

    #[test]
    fn waits_double_up_to_the_most_and_start_over_after_a_success() {
        let name = Fqdn::parse("demo.localdev.me.").unwrap();
        let mut backoff = Backoff::new(&RecordKey::new(name, RecordType::A));
        let mut last = Duration::ZERO;
        for failure in 1..40 {
            backoff.failed();
            let wait = backoff.wait(MOST);
            let plain = FIRST.saturating_mul(1 << (failure - 1).min(16)).min(MOST);
            assert!(plain <= wait && wait <= plain * 3 / 2, "{wait:?} after {failure} failures");
            last = wait;
        }
        assert!(last >= MOST);
        backoff.succeeded();
        backoff.failed();
        assert!(backoff.wait(MOST) < FIRST * 2);
    }
}

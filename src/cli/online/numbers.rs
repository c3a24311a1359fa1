//! What the configured numbers mean: how soon a death is noticed, at worst.

use std::time::Duration;

use crate::huawei::HealthMonitor;
use crate::model::{Check, CheckKind, Region};

/// From a region's death to the verdict of one check, at worst: the death comes right after a look, and every
/// look takes its whole timeout.
pub(super) fn worst(check: &Check) -> Duration {
    check.interval + pace(check) * (check.fall.count() - 1) + check.timeout
}

/// From one look at a dead region to the next, at worst.
fn pace(check: &Check) -> Duration {
    check.fast_interval.max(check.timeout)
}

/// The same as a sum: `5 s + 2 × 2 s + 2 s = 11 s`.
fn sum(check: &Check) -> String {
    let Check { interval, timeout, fall, .. } = check;
    format!(
        "{} + {} × {} + {} = {}",
        seconds(*interval),
        fall.count() - 1,
        seconds(pace(check)),
        seconds(*timeout),
        seconds(worst(check))
    )
}

/// How soon the load balancer itself takes a dead backend for offline.
fn notice(monitor: &HealthMonitor) -> Duration {
    Duration::from_secs(u64::from(monitor.delay_s) * u64::from(monitor.max_retries_down))
}

/// How soon a dead region is noticed, at worst: by the checks that ask it directly where there are any, else by
/// those that ask the cloud, and the slowest of them. None: what the cloud takes is not known.
pub(super) fn detection(region: &Region, monitors: &[(String, HealthMonitor)]) -> Option<Duration> {
    let voting = || region.checks.iter().filter(|check| check.vote);
    let direct = voting().filter(|check| matches!(check.kind, CheckKind::Http(_) | CheckKind::Tcp(_)));
    if let Some(slowest) = direct.map(worst).max() {
        return Some(slowest);
    }
    let elb = voting().filter(|check| matches!(check.kind, CheckKind::Elb(_))).map(worst).max()?;
    Some(monitors.iter().map(|(_, monitor)| notice(monitor)).max()? + elb)
}

/// A sentence for each check of a region.
pub(super) fn sentences(region: &Region, monitors: &[(String, HealthMonitor)]) -> Vec<String> {
    // The first of equals: a listener's default pool comes before those of its policies.
    let slowest = monitors.iter().rev().max_by_key(|(_, monitor)| notice(monitor));
    let sentence = |check: &Check| {
        let name = &check.name;
        match (&check.kind, slowest) {
            (CheckKind::Http(_) | CheckKind::Tcp(_), _) => {
                format!("{name} notices a dead region after at most {}", sum(check))
            }
            (CheckKind::Eip(_), _) => format!("{name} notices an unbound EIP after at most {}", sum(check)),
            (CheckKind::Elb(_), Some((pool, monitor))) => format!(
                "the ELB itself notices a dead backend of pool {pool} after {} s × {} = {}, then {name} after at \
                 most {}: {} in all",
                monitor.delay_s,
                monitor.max_retries_down,
                seconds(notice(monitor)),
                sum(check),
                seconds(notice(monitor) + worst(check)),
            ),
            (CheckKind::Elb(_), None) => format!(
                "how soon the ELB itself notices a dead backend is not known; then {name} after at most {}",
                sum(check)
            ),
        }
    };
    region.checks.iter().map(sentence).collect()
}

/// For a sentence: `0.1 s`, `15 s`.
pub(super) fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CheckName, TcpCheck, Threshold, WhenUnknown};

    fn check(fast: u64, fall: Threshold) -> Check {
        Check {
            name: CheckName::parse("web").unwrap(),
            kind: CheckKind::Tcp(TcpCheck { port: 80, source: None }),
            interval: Duration::from_secs(5),
            fast_interval: Duration::from_secs(fast),
            timeout: Duration::from_secs(2),
            max_latency: None,
            fall,
            rise: fall,
            vote: true,
            when_unknown: WhenUnknown::Keep,
        }
    }

    #[test]
    fn the_next_look_waits_for_the_longer_of_pace_and_timeout() {
        let three = Threshold::in_a_row(3).unwrap();
        assert_eq!(sum(&check(1, three)), "5 s + 2 × 2 s + 2 s = 11 s");
        assert_eq!(sum(&check(4, three)), "5 s + 2 × 4 s + 2 s = 15 s");
    }

    #[test]
    fn a_dead_region_fails_every_look_so_only_the_count_matters() {
        assert_eq!(worst(&check(1, Threshold::of(3, 10).unwrap())), Duration::from_secs(11));
        assert_eq!(worst(&check(1, Threshold::in_a_row(1).unwrap())), Duration::from_secs(7));
    }
}

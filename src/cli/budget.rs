//! Whether the looks of a configuration fit the request budget of each account.

use crate::config::Config;
use crate::huawei::LOOKS_A_SECOND;
use crate::probe::{Demand, demand};

/// What to say of every account that is asked more often than its budget allows.
pub(super) fn warnings(config: &Config) -> Vec<String> {
    let budget = f64::from(LOOKS_A_SECOND);
    // What is counted is no finer than one.
    let exceeds = |rate: f64| rate >= budget + 1.0;
    demand(&config.services)
        .into_iter()
        .filter_map(|(cloud, Demand { normal, fast, .. })| {
            let (when, rate, key) = if exceeds(normal) {
                ("", normal, "interval")
            } else if exceeds(fast) {
                (" while a cloud region fails", fast, "fast_interval")
            } else {
                return None;
            };
            Some(format!(
                "cloud \"{cloud}\": its elb and eip checks ask up to {rate:.0} times a second{when}, and {LOOKS_A_SECOND} are \
                 allowed: they would come late\n  write for them a longer {key}, {:.1} times as long or more",
                // Rounded up, so that what is advised is enough.
                (rate / budget * 10.0).ceil() / 10.0
            ))
        })
        .collect()
}

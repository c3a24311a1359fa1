//! Holds the lines of the ledger against time: whatever happens to a write and to those who tell of it, no time of a failover
//! is before one that must have come first.

use std::time::Duration;

use pointsman::core::{Failover, Reached};

use super::{Judged, holds};

/// A client is told of when the TTL from before is over, and not a moment sooner.
const NO_TTL: Duration = Duration::ZERO;

pub(super) fn line(failover: &Failover, reached: Reached) -> Judged {
    let last = failover.witnesses.values().max().copied();
    let in_order = [
        failover.first,
        failover.verdict,
        Some(failover.sent),
        failover.acknowledged,
        failover.active,
        failover.witnesses.values().min().copied(),
        last,
        failover.moved.map(pointsman::core::Moved::at),
    ];
    let times: Vec<_> = in_order.into_iter().flatten().collect();
    holds!(
        times.is_sorted(),
        "EXPLAINED",
        "a time of the ledger is before one that came first: {failover:?}"
    );
    if let (Some(moved), Some(from)) = (failover.moved, last.or(failover.active)) {
        let waits = moved.at().since(from);
        let ttl = failover.old_ttl.as_duration();
        holds!(
            waits == ttl && ttl > NO_TTL,
            "EXPLAINED",
            "clients moved before the TTL was over: {failover:?}"
        );
    }
    let is_in_force = failover.active.is_some();
    let needs_it =
        matches!(reached, Reached::Active | Reached::Witness(_) | Reached::Moved | Reached::Unconfirmed);
    holds!(
        is_in_force || !needs_it,
        "EXPLAINED",
        "a failover is {reached:?} before it is in force: {failover:?}"
    );
    Ok(())
}

//! When the start is over, and the line of state that the service manager shows.
//!
//! Whoever waits for this service wants verdicts, not a process: ready is said once there is one on every region, or
//! when there will be none soon because a region cannot be looked at. A restart that remembers is ready at once. Both are
//! made of counts, so that their cost does not grow with the number of services.

use std::sync::Arc;
use std::time::Duration;

use super::service_manager::{ServiceManager, Summary};
use crate::model::{Liveness, Moment, Service};

/// The longest that a start may take; below the 90 s that systemd gives it by default.
const READY_WITHIN_MOST: Duration = Duration::from_secs(60);

/// Whether the start is over.
#[derive(Debug)]
pub(super) struct Readiness {
    manager: ServiceManager,
    /// When the start is over in any case; none once it is over.
    deadline: Option<Moment>,
    line: String,
}

impl Readiness {
    /// A start at `now` with these services.
    pub(super) fn new(manager: ServiceManager, services: &[Arc<Service>], now: Moment) -> Self {
        let regions = services.iter().flat_map(|service| &service.regions);
        let first_looks =
            regions.flat_map(|region| &region.checks).map(|check| check.fast_interval + check.timeout);
        let within = first_looks.max().unwrap_or_default().min(READY_WITHIN_MOST);
        Self { manager, deadline: Some(now + within), line: String::new() }
    }

    /// Whether the start has lasted long enough.
    fn is_due(&self, now: Moment) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// Ends the start if it is over.
    pub(super) fn look(&mut self, summary: &Summary<'_>, now: Moment) {
        let every_verdict = summary.tally.regions_that_are(Liveness::Unknown) == 0;
        if self.deadline.is_some() && (every_verdict || self.is_due(now)) {
            self.deadline = None;
            self.tell(summary);
            self.manager.ready();
            tracing::info!(every_verdict, "ready: {}", self.line);
        }
    }

    /// Tells the service manager how things stand, if that is news. For now and then: each telling may take a moment.
    pub(super) fn tell(&mut self, summary: &Summary<'_>) {
        let line = summary.to_string();
        if line != self.line {
            self.manager.status(&line);
            self.line = line;
        }
    }

    /// The stop begins.
    pub(super) fn end(&self) {
        self.manager.stopping();
    }
}

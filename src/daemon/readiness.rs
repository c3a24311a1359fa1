//! When the start is over, and the line of state that the service manager shows.
//!
//! Whoever waits for this service wants verdicts, not a process: ready is said once there is one on every region, or
//! when there will be none soon because a region cannot be looked at. A restart that remembers is ready at once.

use std::sync::Arc;
use std::time::Duration;

use super::service_manager::{ServiceManager, summary};
use crate::model::{Liveness, Moment, Service, Status};

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

    /// Whether there is something to find out although no region moved.
    pub(super) fn is_due(&self, now: Moment) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// Takes in how things stand now.
    pub(super) fn look(&mut self, status: &Status, now: Moment) {
        let line = summary(status);
        if line != self.line {
            self.manager.status(&line);
            self.line = line;
        }
        let mut regions = status.services.iter().flat_map(|service| &service.regions);
        let every_verdict = regions.all(|region| region.liveness != Liveness::Unknown);
        if self.deadline.is_some() && (every_verdict || self.is_due(now)) {
            self.deadline = None;
            self.manager.ready();
            tracing::info!(every_verdict, "ready: {}", self.line);
        }
    }

    /// The stop begins.
    pub(super) fn end(&self) {
        self.manager.stopping();
    }
}

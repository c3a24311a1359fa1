//! What outlives the process of each service: handed to the journal when it changes, taken back at the start.
//!
//! A start goes on from here (NO-JUMP-ON-START). What the journal does not have starts as new.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use crate::clock::wall_time;
use crate::core::{Core, Recollection, ServiceMemory};
use crate::journal::{Journal, Remembered};
use crate::model::{Moment, Region, Service, ServiceName};
use crate::probe::Addresses;

/// Where a region was when the journal last heard of it; not known when it does not follow its load balancer's addresses.
pub(super) fn remembered_addresses(
    recollections: &[Recollection],
    service: &Service,
    region: &Region,
) -> Addresses {
    let of_service = recollections.iter().find(|it| *it.memory.service() == service.name);
    let addresses = of_service.and_then(|it| it.memory.addresses(&service.record, region));
    let addresses: Vec<IpAddr> = addresses.into_iter().flatten().copied().collect();
    Addresses::from(&*addresses)
}

/// Keeps what is to be remembered.
#[derive(Debug)]
pub(super) struct Memory {
    journal: Journal,
    services: Vec<ServiceName>,
}

/// What the journal gave back, as far as it makes sense.
pub(super) fn recollect(remembered: Vec<Remembered>) -> Vec<Recollection> {
    let now = wall_time();
    let understood = remembered.into_iter().filter_map(|Remembered { service, saved, state }| {
        match serde_json::from_str::<ServiceMemory>(&state) {
            Ok(memory) => Some(Recollection::new(memory, saved, now)),
            Err(error) => {
                tracing::warn!(%service, "the journal's memory of the service makes no sense, it starts as new: {error}");
                None
            }
        }
    });
    understood.collect()
}

impl Memory {
    pub(super) fn new(journal: Journal, services: &[Arc<Service>]) -> Self {
        Self { journal, services: names(services) }
    }

    /// These services are watched from now on; the others are forgotten.
    pub(super) fn keep_only(&mut self, services: &[Arc<Service>]) {
        let after: BTreeSet<&ServiceName> = services.iter().map(|service| &service.name).collect();
        for gone in self.services.iter().filter(|name| !after.contains(name)) {
            self.journal.forget(gone);
        }
        self.services = names(services);
    }

    /// Keeps these as they are now.
    pub(super) fn keep(&self, core: &Core, services: &[ServiceName], now: Moment) {
        let saved = wall_time();
        let memories = services.iter().filter_map(|service| {
            // Plain values always have a text.
            let state = serde_json::to_string(&core.memory(service, now)?).ok()?;
            Some(Remembered { service: service.clone(), saved, state })
        });
        self.journal.remember(memories.collect());
    }
}

fn names(services: &[Arc<Service>]) -> Vec<ServiceName> {
    services.iter().map(|service| service.name.clone()).collect()
}

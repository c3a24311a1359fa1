//! What there is to start so that a configuration runs, given what runs already.
//!
//! A start is a change from nothing. Everything that can fail is done here, before anything that runs is touched,
//! so that a configuration which cannot be carried out is refused whole (RELOAD-OR-KEEP). What is configured as
//! before is not prepared anew and will not be touched. Start at [`Layout::change_to`].

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::memory::remembered_addresses;
use super::wiring::{Wiring, WiringError, check_key, known};
use crate::config::{Config, LoadError};
use crate::core::Recollection;
use crate::dns::{EmbeddedServer, Provider};
use crate::huawei::{Account, Observe};
use crate::model::{Check, CheckKey, CheckKind, Region, RegionName, Service, ServiceName};
use crate::probe::{AddressFollower, Addresses, AddressesSeen, Looker, Shortage, shortage};

/// What runs: a configuration, and what was set up for it.
#[derive(Clone, Debug, Default)]
pub(super) struct Layout {
    /// None runs before the start.
    config: Option<Arc<Config>>,
    wiring: Arc<Wiring>,
    /// Where each region can be reached, as its looks see it.
    addresses: BTreeMap<(ServiceName, RegionName), watch::Sender<Addresses>>,
}

/// Everything that has to be started, set up and idle; what it does not name goes on or, gone from the configuration,
/// ends.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) config: Arc<Config>,
    pub(super) services: Vec<ServiceChange>,
    /// Every account, new or not.
    pub(super) accounts: Vec<Account>,
    /// Every zone that is served here, new or not, with what is new about it.
    pub(super) zones: Vec<EmbeddedServer>,
}

#[derive(Debug)]
pub(super) struct ServiceChange {
    pub(super) service: Arc<Service>,
    pub(super) provider: Arc<dyn Provider>,
    pub(super) regions: Vec<RegionChange>,
}

#[derive(Debug)]
pub(super) struct RegionChange {
    pub(super) name: RegionName,
    pub(super) addresses: AddressChange,
    /// The checks to start; a running one of the same name ends.
    pub(super) lookers: Vec<(Arc<CheckKey>, Check, Looker)>,
}

/// What becomes of the task that follows a region's addresses.
#[derive(Debug)]
pub(super) enum AddressChange {
    /// It goes on, or there is still none.
    Unchanged,
    /// It ends, and this one starts; none for addresses that are fixed.
    Now(Option<Box<AddressFollower>>),
}

/// Why a good configuration cannot take the place of the one that runs.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// It cannot be read, or is not right.
    #[error(transparent)]
    Configuration(#[from] LoadError),
    /// It changes what is settled when the process starts.
    #[error("{key} cannot change while the daemon runs; restart it, or set it back to {was}")]
    NeedsRestart {
        /// Which key.
        key: &'static str,
        /// What it is while the daemon runs.
        was: String,
    },
    /// Something that is configured cannot be set up.
    #[error(transparent)]
    Wiring(#[from] WiringError),
    /// Its checks ask an account for more than it may send.
    #[error(transparent)]
    Shortage(#[from] Shortage),
    /// The daemon is stopping.
    #[error("the daemon is stopping")]
    Stopping,
}

impl ReloadError {
    /// With all its causes, in one text.
    #[must_use]
    pub fn in_words(&self) -> String {
        let causes = std::iter::successors(Some(self as &dyn std::error::Error), |error| error.source());
        causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
    }
}

impl Layout {
    /// Sets up what `config` needs and does not have yet. Reads files that checks name; nothing that runs is touched. A region
    /// that is followed anew begins with the addresses that the running one has, or at a start with those recollected.
    ///
    /// # Errors
    /// When it changes what only a restart can change, something cannot be set up, or an account is asked for too much.
    pub(super) fn change_to(
        &self,
        config: Arc<Config>,
        recollections: &[Recollection],
        observe: &Observe,
        seen: &mpsc::Sender<AddressesSeen>,
    ) -> Result<(Self, Change), ReloadError> {
        if let Some(before) = &self.config {
            needs_no_restart(before, &config)?;
        }
        if let Some(shortage) = shortage(&config.services).into_iter().next() {
            return Err(shortage.into());
        }
        let wiring = Arc::new(self.wiring.renewed(&config, observe)?);
        let before: BTreeMap<&ServiceName, &Arc<Service>> =
            self.config.iter().flat_map(|c| &c.services).map(|service| (&service.name, service)).collect();
        let mut addresses = BTreeMap::new();
        let mut services = Vec::with_capacity(config.services.len());
        for service in &config.services {
            let mut regions = Vec::with_capacity(service.regions.len());
            for region in &service.regions {
                let before = before.get(&service.name).copied();
                let remembered = remembered_addresses(recollections, service, region);
                let (known, change) = self.region(before, service, region, remembered, &wiring, seen)?;
                addresses.insert((service.name.clone(), region.name.clone()), known);
                regions.push(change);
            }
            let provider = wiring.provider(&service.record.provider)?;
            services.push(ServiceChange { service: Arc::clone(service), provider, regions });
        }
        let (accounts, zones) = (wiring.accounts(), wiring.servers());
        let layout = Self { config: Some(Arc::clone(&config)), wiring, addresses };
        Ok((layout, Change { config, services, accounts, zones }))
    }

    fn region(
        &self,
        before: Option<&Arc<Service>>,
        service: &Service,
        region: &Region,
        remembered: Addresses,
        wiring: &Wiring,
        seen: &mpsc::Sender<AddressesSeen>,
    ) -> Result<(watch::Sender<Addresses>, RegionChange), WiringError> {
        let was = before
            // With another record set the core starts as new, and has to be told the addresses anew.
            .filter(|before| before.record.key == service.record.key)
            .filter(|before| before.record.provider == service.record.provider)
            .and_then(|before| before.regions.iter().find(|was| was.name == region.name))
            .filter(|was| was.elb == region.elb && was.addresses == region.addresses);
        let kept = self.addresses.get(&(service.name.clone(), region.name.clone())).filter(|_| was.is_some());
        let known = kept.cloned().unwrap_or_else(|| known(region, remembered));
        let goes_on =
            was.is_some_and(|was| followed_as_before(was, region) && self.wiring.shares_views(wiring, was));
        let addresses = if goes_on {
            AddressChange::Unchanged
        } else {
            let follower = wiring.follower(service, region, &known, seen)?;
            AddressChange::Now(follower.map(Box::new))
        };
        let mut lookers = Vec::new();
        for check in &region.checks {
            let is_as_before =
                was.and_then(|was| was.checks.iter().find(|was| was.name == check.name)).is_some_and(|was| {
                    was.looks_like(check) && !reads_files(check) && wiring.shares_views(&self.wiring, region)
                });
            if !is_as_before {
                let key = check_key(service, region, check);
                let looker = wiring.looker(check, &key, &known.subscribe())?;
                lookers.push((key, check.clone(), looker));
            }
        }
        Ok((known, RegionChange { name: region.name.clone(), addresses, lookers }))
    }
}

fn needs_no_restart(before: &Config, after: &Config) -> Result<(), ReloadError> {
    let (was, is) = (&before.daemon, &after.daemon);
    let needs = |key, was: String| Err(ReloadError::NeedsRestart { key, was });
    if was.listen != is.listen {
        return needs("daemon.listen", was.listen.to_string());
    }
    if was.control != is.control {
        return needs("daemon.control", was.control.display().to_string());
    }
    if was.state_dir != is.state_dir {
        return needs("daemon.state_dir", was.state_dir.display().to_string());
    }
    if was.log.format != is.log.format {
        return needs("daemon.log.format", was.log.format.as_str().to_owned());
    }
    Ok(())
}

/// Whether what follows the region's addresses goes on: it asks as often, and proves new ones by the same checks.
fn followed_as_before(was: &Region, region: &Region) -> bool {
    let as_before = |(was, check): (&Check, &Check)| was.name == check.name && was.looks_like(check);
    was.up_when == region.up_when
        && was.checks.len() == region.checks.len()
        && was.checks.iter().zip(&region.checks).all(as_before)
}

/// Whether the check reads files when it is set up: they may hold something else by now, which is what a reload is
/// often for.
fn reads_files(check: &Check) -> bool {
    match &check.kind {
        CheckKind::Http(http) => http.tls.ca_file.is_some() || http.tls.client_cert.is_some(),
        CheckKind::Tcp(_) | CheckKind::Elb(_) | CheckKind::Eip(_) => false,
    }
}

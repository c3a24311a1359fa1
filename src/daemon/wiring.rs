//! From a configuration to what looks and what writes: accounts, views of the cloud, lookers, providers.
//!
//! Sets up and decides nothing; the commands that look once use it just as the daemon does. Start at
//! [`Wiring::new`] and [`Wiring::region`].

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::supervise::supervised;
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::dns::{HuaweiProvider, Provider};
use crate::huawei::{Account, AccountError, Observe};
use crate::model::{
    Check, CheckKey, CheckKind, CloudName, ElbRef, Observation, Pace, ProviderName, Region, Service,
};
use crate::probe::{
    AddressFollower, Addresses, AddressesSeen, CloudView, EipLooker, ElbLooker, HttpLooker, Looker,
    LookerError, TcpLooker, schedule,
};
use crate::pulse::Pulses;

/// Why something that is configured cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum WiringError {
    /// An account.
    #[error("cannot set up the account cloud.{cloud}")]
    Account {
        /// Which.
        cloud: CloudName,
        /// Why.
        source: AccountError,
    },
    /// A check.
    #[error("cannot set up the check {check}")]
    Check {
        /// Which.
        check: CheckKey,
        /// Why.
        source: Box<LookerError>,
    },
    /// Something refers to an account or provider that is not configured; a checked configuration never does.
    #[error("{who} refers to {what}, which is not configured")]
    Dangling {
        /// What refers.
        who: String,
        /// To what.
        what: String,
    },
}

/// Everything that looks and writes, set up and idle.
#[derive(Debug)]
pub struct Wiring {
    providers: BTreeMap<ProviderName, Arc<dyn Provider>>,
    views: BTreeMap<(CloudName, String), Arc<CloudView>>,
}

/// One region, ready to be looked at.
#[derive(Debug)]
pub struct RegionWiring {
    /// Follows its addresses, when they are those of a load balancer.
    pub follower: Option<AddressFollower>,
    /// What looks, check by check in the order configured.
    pub lookers: Vec<(Arc<CheckKey>, Check, Looker)>,
}

/// What a running daemon adds to a region's looks.
#[derive(Debug)]
pub(super) struct Watching {
    /// How fast to look.
    pub(super) paces: watch::Receiver<Pace>,
    /// Where looks go.
    pub(super) observations: mpsc::Sender<Observation>,
    /// Where changes of address go.
    pub(super) addresses: mpsc::Sender<AddressesSeen>,
    /// The vantage's clock.
    pub(super) clock: Clock,
    /// Tell whether its loops still turn.
    pub(super) pulses: Pulses,
    /// Ends it all.
    pub(super) stop: CancellationToken,
}

impl Wiring {
    /// Sets up accounts, views and providers. No I/O but the reading of configured files.
    ///
    /// # Errors
    /// When an account cannot be set up, or something refers to what is not there.
    pub fn new(config: &Config, observe: &Observe) -> Result<Self, WiringError> {
        let mut accounts = BTreeMap::new();
        for (name, settings) in &config.clouds {
            let account = Account::new(name.clone(), settings, Arc::clone(observe))
                .map_err(|source| WiringError::Account { cloud: name.clone(), source })?;
            accounts.insert(name.clone(), account);
        }
        let account = |who: &dyn std::fmt::Display, cloud: &CloudName| {
            let dangling = || WiringError::Dangling { who: who.to_string(), what: format!("cloud.{cloud}") };
            accounts.get(cloud).cloned().ok_or_else(dangling)
        };
        let mut providers: BTreeMap<ProviderName, Arc<dyn Provider>> = BTreeMap::new();
        for (name, provider) in &config.providers {
            let config::Provider::Huawei(zone) = provider;
            let account = account(&format!("dns.{name}"), &zone.cloud)?;
            providers.insert(name.clone(), Arc::new(HuaweiProvider::new(account, zone.clone())));
        }
        let mut views = BTreeMap::new();
        for service in &config.services {
            for elb in service.regions.iter().flat_map(|region| elbs(region)) {
                let place = (elb.cloud.clone(), elb.cloud_region.clone());
                if let std::collections::btree_map::Entry::Vacant(vacant) = views.entry(place) {
                    let account = account(&format!("service {}", service.name), &elb.cloud)?;
                    vacant.insert(CloudView::new(account, &elb.cloud_region));
                }
            }
        }
        Ok(Self { providers, views })
    }

    /// The provider of that name.
    ///
    /// # Errors
    /// When there is none.
    pub fn provider(&self, name: &ProviderName) -> Result<Arc<dyn Provider>, WiringError> {
        let dangling = || WiringError::Dangling { who: "a service".to_owned(), what: format!("dns.{name}") };
        self.providers.get(name).cloned().ok_or_else(dangling)
    }

    /// Sets up everything that looks at one region. Changes of its addresses go to `seen`.
    ///
    /// # Errors
    /// When a check cannot be set up: its certificate's file cannot be read, say.
    pub fn region(
        &self,
        service: &Service,
        region: &Region,
        seen: &mpsc::Sender<AddressesSeen>,
    ) -> Result<RegionWiring, WiringError> {
        let follower = match &region.elb {
            Some(elb) => {
                let record_type = service.record.key.record_type;
                AddressFollower::new(&self.view(elb)?, &service.name, region, record_type, seen.clone())
            }
            None => None,
        };
        let (follower, addresses) = match follower {
            Some((follower, addresses)) => (Some(follower), addresses),
            None => (None, fixed(region)),
        };
        let mut lookers = Vec::new();
        for check in &region.checks {
            let key = Arc::new(CheckKey {
                service: service.name.clone(),
                region: region.name.clone(),
                check: check.name.clone(),
            });
            let looker = self.looker(check, &key, &addresses)?;
            lookers.push((key, check.clone(), looker));
        }
        Ok(RegionWiring { follower, lookers })
    }

    fn looker(
        &self,
        check: &Check,
        key: &CheckKey,
        addresses: &watch::Receiver<Addresses>,
    ) -> Result<Looker, WiringError> {
        let at = |source| WiringError::Check { check: key.clone(), source: Box::new(source) };
        let addresses = addresses.clone();
        Ok(match &check.kind {
            CheckKind::Http(http) => {
                Looker::Http(HttpLooker::new(Arc::clone(http), check.max_latency, addresses).map_err(at)?)
            }
            CheckKind::Tcp(tcp) => Looker::Tcp(TcpLooker::new(tcp.clone(), check.max_latency, addresses)),
            CheckKind::Elb(elb) => Looker::Elb(ElbLooker::new(&self.view(&elb.elb)?, elb)),
            CheckKind::Eip(eip) => Looker::Eip(EipLooker::new(&self.view(&eip.elb)?, eip)),
        })
    }

    fn view(&self, elb: &ElbRef) -> Result<Arc<CloudView>, WiringError> {
        let place = (elb.cloud.clone(), elb.cloud_region.clone());
        let dangling = || WiringError::Dangling {
            who: format!("load balancer {}", elb.id),
            what: elb.cloud.to_string(),
        };
        self.views.get(&place).cloned().ok_or_else(dangling)
    }

    /// Looks at a region for as long as the daemon runs: a task a check, and one that follows its addresses.
    ///
    /// # Errors
    /// As [`Wiring::region`].
    pub(super) fn watch_region(
        self: &Arc<Self>,
        tasks: &mut JoinSet<()>,
        service: &Service,
        region: &Region,
        watching: &Watching,
    ) -> Result<(), WiringError> {
        let RegionWiring { follower, lookers } = self.region(service, region, &watching.addresses)?;
        if let Some(follower) = follower {
            let name = format!("addresses of {}/{}", service.name, region.name);
            // After a panic it goes on with what it knew: it holds what the looks read addresses from.
            let follower = Arc::new(tokio::sync::Mutex::new(follower));
            let (pulses, stop) = (watching.pulses.clone(), watching.stop.clone());
            tasks.spawn(supervised(name.clone(), watching.stop.clone(), move || {
                let (follower, stop) = (Arc::clone(&follower), stop.clone());
                let pulse = pulses.register(name.clone());
                async move {
                    let mut follower = follower.lock().await;
                    stop.run_until_cancelled(follower.run(pulse)).await;
                }
            }));
        }
        for (key, check, looker) in lookers {
            let name = format!("check {key}");
            let looker = Arc::new(tokio::sync::Mutex::new(looker));
            let Watching { paces, observations, clock, pulses, stop, .. } = watching;
            let (paces, observations, clock, pulses, stop) =
                (paces.clone(), observations.clone(), *clock, pulses.clone(), stop.clone());
            tasks.spawn(supervised(name.clone(), watching.stop.clone(), move || {
                let (key, check, looker) = (Arc::clone(&key), check.clone(), Arc::clone(&looker));
                let (pace, observations, stop) = (paces.clone(), observations.clone(), stop.clone());
                let pulse = pulses.register(name.clone());
                async move {
                    let phase = schedule::phase_of(&key.to_string());
                    let mut looker = looker.lock().await;
                    let scheduled = schedule::Scheduled {
                        key,
                        check,
                        looker: &mut *looker,
                        pace,
                        observations,
                        clock,
                        phase,
                        pulse,
                    };
                    schedule::run(scheduled, stop).await;
                }
            }));
        }
        Ok(())
    }
}

fn elbs(region: &Region) -> impl Iterator<Item = &ElbRef> {
    let of_checks = region.checks.iter().filter_map(|check| match &check.kind {
        CheckKind::Elb(elb) => Some(&elb.elb),
        CheckKind::Eip(eip) => Some(&eip.elb),
        CheckKind::Http(_) | CheckKind::Tcp(_) => None,
    });
    of_checks.chain(&region.elb)
}

/// Addresses that nobody needs to follow. A region with none is not known to be anywhere.
fn fixed(region: &Region) -> watch::Receiver<Addresses> {
    let known = match region.addresses.as_slice() {
        [] => Addresses::NotKnown,
        fixed => Addresses::Known(fixed.into()),
    };
    watch::channel(known).1
}

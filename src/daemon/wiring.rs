//! From a configuration to what looks and what writes: accounts, views of the cloud, lookers, providers.
//!
//! Sets up, runs and decides nothing; the commands that look once use it just as the daemon does. Start at
//! [`Wiring::new`] and [`Wiring::region`].

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::config::{self, Config, EmbeddedZone, ProviderKind};
use crate::dns::{
    EmbeddedError, EmbeddedReader, EmbeddedServer, HuaweiProvider, Provider, Rfc2136Provider, TsigKeyError,
};
use crate::file_access::TooOpen;
use crate::huawei::{Account, AccountError, CloudClocks, Observe, judge_credentials_file};
use crate::model::{
    Check, CheckKey, CheckKind, CloudName, ElbRef, ProviderName, RecordKey, RecordSet, Region, Service, Ttl,
};
use crate::probe::{
    AddressFollower, Addresses, AddressesSeen, CloudView, EipLooker, ElbLooker, HttpLooker, Looker,
    LookerError, TcpLooker,
};

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
    /// The file of keys that an account would use.
    #[error("the credentials file of the account cloud.{cloud} is refused")]
    Keys {
        /// Which account.
        cloud: CloudName,
        /// Why.
        source: TooOpen,
    },
    /// A zone that the daemon serves itself.
    #[error("cannot serve dns.{provider}")]
    Embedded {
        /// Which.
        provider: ProviderName,
        /// Why.
        source: Box<EmbeddedError>,
    },
    /// The key of a zone's updates.
    #[error("cannot set up dns.{provider}")]
    TsigKey {
        /// Which.
        provider: ProviderName,
        /// Why.
        source: TsigKeyError,
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

/// What becomes of the zones that are served by the daemon itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Zones {
    /// This is the daemon: it serves them.
    #[default]
    Served,
    /// They are only looked at.
    Read,
}

/// Everything that looks and writes, set up and idle.
#[derive(Debug, Default)]
pub struct Wiring {
    zones: Zones,
    servers: BTreeMap<ProviderName, EmbeddedServer>,
    accounts: BTreeMap<CloudName, (config::Cloud, Account)>,
    providers: BTreeMap<ProviderName, (ProviderKind, Arc<dyn Provider>)>,
    views: BTreeMap<(CloudName, String), Arc<CloudView>>,
    /// The clocks of all accounts, over all reloads: a probe that is not set up anew knows of those that come later.
    clocks: CloudClocks,
}

/// One region, ready to be looked at.
#[derive(Debug)]
pub struct RegionWiring {
    /// Follows its addresses, when they are those of a load balancer.
    pub follower: Option<AddressFollower>,
    /// What looks, check by check in the order configured.
    pub lookers: Vec<(Arc<CheckKey>, Check, Looker)>,
}

impl Wiring {
    /// Sets up accounts, views and providers for somebody who looks and is not the daemon. No I/O but the reading of
    /// configured files.
    ///
    /// # Errors
    /// When an account cannot be set up, others can read its keys, or something refers to what is not there.
    pub fn new(config: &Config, observe: &Observe) -> Result<Self, WiringError> {
        Self { zones: Zones::Read, ..Self::default() }.renewed(config, observe)
    }

    /// The same for another configuration. An account that is configured as before stays the one it is, with its budget
    /// and what it has learnt, and so does what is asked and written through it. The daemon binds here what it will serve.
    ///
    /// # Errors
    /// As [`Wiring::new`].
    pub fn renewed(&self, config: &Config, observe: &Observe) -> Result<Self, WiringError> {
        let mut renewed = Self { zones: self.zones, clocks: self.clocks.clone(), ..Self::default() };
        for (name, settings) in &config.clouds {
            judge_credentials_file(&settings.credentials)
                .map_err(|source| WiringError::Keys { cloud: name.clone(), source })?;
            let account = match self.accounts.get(name) {
                Some((before, account)) if before == settings => account.clone(),
                Some(_) | None => {
                    let account = Account::new(name.clone(), settings, Arc::clone(observe))
                        .map_err(|source| WiringError::Account { cloud: name.clone(), source })?;
                    account.tell_the_time_to(&renewed.clocks);
                    account
                }
            };
            renewed.accounts.insert(name.clone(), (settings.clone(), account));
        }
        for (name, provider) in &config.providers {
            let made = match &provider.kind {
                ProviderKind::Embedded(zone) => self.renewed_zone(&mut renewed, name, zone, config)?,
                kind @ (ProviderKind::Huawei(_) | ProviderKind::Rfc2136(_)) => {
                    self.renewed_provider(&renewed, name, kind)?
                }
            };
            renewed.providers.insert(name.clone(), (provider.kind.clone(), made));
        }
        for service in &config.services {
            for elb in service.regions.iter().flat_map(|region| elbs(region)) {
                let place = (elb.cloud.clone(), elb.cloud_region.clone());
                if renewed.views.contains_key(&place) {
                    continue;
                }
                let view = match self.views.get(&place) {
                    Some(view) if self.shares_account(&renewed, &elb.cloud) => Arc::clone(view),
                    Some(_) | None => {
                        let account = renewed.account(&format!("service {}", service.name), &elb.cloud)?;
                        CloudView::new(account, &elb.cloud_region)
                    }
                };
                renewed.views.insert(place, view);
            }
        }
        Ok(renewed)
    }

    /// The provider that is there, when nothing about it has changed, or a new one.
    fn renewed_provider(
        &self,
        renewed: &Self,
        name: &ProviderName,
        kind: &ProviderKind,
    ) -> Result<Arc<dyn Provider>, WiringError> {
        let before = self.providers.get(name).filter(|(before, _)| before == kind).map(|(_, made)| made);
        match kind {
            ProviderKind::Huawei(zone) => match before {
                Some(made) if self.shares_account(renewed, &zone.cloud) => Ok(Arc::clone(made)),
                Some(_) | None => {
                    let account = renewed.account(&format!("dns.{name}"), &zone.cloud)?;
                    Ok(Arc::new(HuaweiProvider::new(account, zone.clone())))
                }
            },
            // Anew each time: that its secret was exchanged may be why somebody reloads.
            ProviderKind::Rfc2136(zone) => {
                let made = Rfc2136Provider::new(zone.clone())
                    .map_err(|source| WiringError::TsigKey { provider: name.clone(), source })?;
                Ok(Arc::new(made))
            }
            // An embedded zone is set up by itself.
            ProviderKind::Embedded(_) => {
                Err(WiringError::Dangling { who: format!("dns.{name}"), what: "its kind".to_owned() })
            }
        }
    }

    /// The zone that is served already, with what is new about it prepared, or one to begin with.
    fn renewed_zone(
        &self,
        renewed: &mut Self,
        name: &ProviderName,
        zone: &EmbeddedZone,
        config: &Config,
    ) -> Result<Arc<dyn Provider>, WiringError> {
        let first = first_sets(name, config);
        let state_dir = &config.daemon.state_dir;
        if self.zones == Zones::Read {
            return Ok(Arc::new(EmbeddedReader::new(state_dir, &zone.zone, first)));
        }
        let running: Vec<_> = self.servers.values().collect();
        let prepared: Vec<_> = renewed.servers.values().collect();
        let server = EmbeddedServer::prepare(zone, first, state_dir, &running, &prepared)
            .map_err(|source| WiringError::Embedded { provider: name.clone(), source: Box::new(source) })?;
        let provider = server.provider();
        renewed.servers.insert(name.clone(), server);
        Ok(provider)
    }

    /// Every zone that the daemon serves itself.
    pub(super) fn servers(&self) -> Vec<EmbeddedServer> {
        self.servers.values().cloned().collect()
    }

    /// Every account.
    pub(super) fn accounts(&self) -> Vec<Account> {
        self.accounts.values().map(|(_, account)| account.clone()).collect()
    }

    fn account(&self, who: &str, cloud: &CloudName) -> Result<Account, WiringError> {
        let dangling = || WiringError::Dangling { who: who.to_owned(), what: format!("cloud.{cloud}") };
        self.accounts.get(cloud).map(|(_, account)| account.clone()).ok_or_else(dangling)
    }

    fn shares_account(&self, other: &Self, cloud: &CloudName) -> bool {
        match (self.accounts.get(cloud), other.accounts.get(cloud)) {
            (Some((one, _)), Some((two, _))) => one == two,
            (None, _) | (_, None) => false,
        }
    }

    /// The provider of that name.
    ///
    /// # Errors
    /// When there is none.
    pub fn provider(&self, name: &ProviderName) -> Result<Arc<dyn Provider>, WiringError> {
        let dangling = || WiringError::Dangling { who: "a service".to_owned(), what: format!("dns.{name}") };
        self.providers.get(name).map(|(_, provider)| Arc::clone(provider)).ok_or_else(dangling)
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
        let known = known(region, Addresses::NotKnown);
        let follower = self.follower(service, region, &known, seen)?;
        let addresses = known.subscribe();
        let mut lookers = Vec::new();
        for check in &region.checks {
            let key = check_key(service, region, check);
            let looker = self.looker(check, &key, &addresses)?;
            lookers.push((key, check.clone(), looker));
        }
        Ok(RegionWiring { follower, lookers })
    }

    /// What follows the addresses of a region's load balancer, beginning with those `known` and keeping them there. Changes
    /// go to `seen`. None for a region with fixed addresses.
    ///
    /// # Errors
    /// When its load balancer's account is not configured.
    pub(super) fn follower(
        &self,
        service: &Service,
        region: &Region,
        known: &watch::Sender<Addresses>,
        seen: &mpsc::Sender<AddressesSeen>,
    ) -> Result<Option<AddressFollower>, WiringError> {
        let Some(elb) = &region.elb else { return Ok(None) };
        let (view, record_type) = (self.view(elb)?, service.record.key.record_type);
        let (known, seen) = (known.clone(), seen.clone());
        Ok(AddressFollower::new(view, &service.name, region, record_type, known, seen))
    }

    /// What makes one check's looks, at these addresses.
    ///
    /// # Errors
    /// As [`Wiring::region`].
    pub(super) fn looker(
        &self,
        check: &Check,
        key: &CheckKey,
        addresses: &watch::Receiver<Addresses>,
    ) -> Result<Looker, WiringError> {
        let at = |source| WiringError::Check { check: key.clone(), source: Box::new(source) };
        let addresses = addresses.clone();
        Ok(match &check.kind {
            CheckKind::Http(http) => {
                let looker = HttpLooker::new(Arc::clone(http), check.max_latency, addresses).map_err(at)?;
                Looker::Http(looker.with_clocks(self.clocks.clone()))
            }
            CheckKind::Tcp(tcp) => Looker::Tcp(TcpLooker::new(tcp.clone(), check.max_latency, addresses)),
            CheckKind::Elb(elb) => Looker::Elb(ElbLooker::new(self.view(&elb.elb)?, elb, addresses)),
            CheckKind::Eip(eip) => Looker::Eip(EipLooker::new(self.view(&eip.elb)?, eip, addresses)),
        })
    }

    fn view(&self, elb: &ElbRef) -> Result<&Arc<CloudView>, WiringError> {
        let place = (elb.cloud.clone(), elb.cloud_region.clone());
        let dangling = || WiringError::Dangling {
            who: format!("load balancer {}", elb.id),
            what: elb.cloud.to_string(),
        };
        self.views.get(&place).ok_or_else(dangling)
    }

    /// Whether `other` sees every load balancer of the region through the very same view.
    pub(super) fn shares_views(&self, other: &Self, region: &Region) -> bool {
        elbs(region).all(|elb| match (self.view(elb), other.view(elb)) {
            (Ok(one), Ok(two)) => Arc::ptr_eq(one, two),
            (Err(_), _) | (_, Err(_)) => false,
        })
    }
}

/// The name that observations of a check carry.
pub(super) fn check_key(service: &Service, region: &Region, check: &Check) -> Arc<CheckKey> {
    Arc::new(CheckKey {
        service: service.name.clone(),
        region: region.name.clone(),
        check: check.name.clone(),
    })
}

/// What the sets of a provider's services hold as long as nothing is known of them: the fixed addresses of all regions. A service
/// whose regions have none yet has no set yet.
fn first_sets(provider: &ProviderName, config: &Config) -> BTreeMap<RecordKey, RecordSet> {
    let services = config.services.iter().filter(|service| service.record.provider == *provider);
    let sets = services.filter_map(|service| {
        let key = service.record.key.clone();
        let addresses = service.regions.iter().flat_map(|region| &region.addresses).copied();
        let values = addresses.filter(|address| key.record_type.holds(*address)).collect();
        let ttl = service.record.ttl.unwrap_or(Ttl::DEFAULT);
        Some((key, RecordSet::new(values, ttl).ok()?))
    });
    sets.collect()
}

fn elbs(region: &Region) -> impl Iterator<Item = &ElbRef> {
    let of_checks = region.checks.iter().filter_map(|check| match &check.kind {
        CheckKind::Elb(elb) => Some(&elb.elb),
        CheckKind::Eip(eip) => Some(&eip.elb),
        CheckKind::Http(_) | CheckKind::Tcp(_) => None,
    });
    of_checks.chain(&region.elb)
}

/// Where a region is known to be to begin with: at its fixed addresses, else where it was `before`.
pub(super) fn known(region: &Region, before: Addresses) -> watch::Sender<Addresses> {
    let known = if region.addresses.is_empty() { before } else { Addresses::from(&*region.addresses) };
    watch::Sender::new(known)
}

//! Follows the EIPs of a region that has no fixed addresses.
//!
//! Asks through the same [`CloudView`] as the checks, so that it adds no calls to theirs while nothing changes. What is
//! known stays until something else is known: no answer, one that does not tell, or a load balancer that is not shown changes
//! nothing (BLIND-IS-NOT-DOWN). Another address takes the place of a known one only when the EIP API agrees and the region's own
//! direct checks pass there. While nothing is bound the last known address stays the one that is probed.
//! Start at [`AddressFollower::run`].

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};

use super::Addresses;
use super::cloud_view::{CloudView, Sight, WatchedElb};
use super::eip::{Bound, bound, confirm, in_words};
use super::proof::proved;
use super::shared_answer::History;
use super::trace::Trace;
use crate::clock::instant_now;
use crate::model::{CheckKind, ElbRef, RecordType, Region, RegionName, ServiceName};
use crate::pulse::Pulse;

/// How often addresses are asked for when none of the region's checks asks the cloud; the default
/// `interval`.
const INTERVAL: Duration = Duration::from_secs(5);

/// How long an answer is waited for. Longer than a check's timeout: nobody waits for a verdict, and a slow
/// answer is as good.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The addresses of a region became known, or changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressesSeen {
    /// Whose region.
    pub service: ServiceName,
    /// Which region.
    pub region: RegionName,
    /// All that are bound and can be values of the service's record set, in ascending order; empty when none is, by two
    /// answers.
    pub addresses: Vec<IpAddr>,
}

/// The load balancer whose addresses are followed; none for a region without one, or with fixed addresses.
pub(super) fn followed(region: &Region) -> Option<&ElbRef> {
    region.elb.as_ref().filter(|_| region.addresses.is_empty())
}

/// How often: as often as the most frequent of the region's checks that ask the cloud.
pub(super) fn interval(region: &Region) -> Duration {
    let cloud_checks = region.checks.iter().filter(|check| match check.kind {
        CheckKind::Elb(_) | CheckKind::Eip(_) => true,
        CheckKind::Http(_) | CheckKind::Tcp(_) => false,
    });
    cloud_checks.map(|check| check.interval).min().unwrap_or(INTERVAL)
}

/// Follows the addresses of one region.
#[derive(Debug)]
pub struct AddressFollower {
    elb: Arc<WatchedElb>,
    service: ServiceName,
    region: Region,
    record_type: RecordType,
    known: watch::Sender<Addresses>,
    seen: mpsc::Sender<AddressesSeen>,
    /// What was told last; none before anything was.
    told: Option<Vec<IpAddr>>,
    /// Other addresses than the known ones, by the cloud's latest answer, not taken yet.
    candidate: Option<Vec<IpAddr>>,
    history: History,
}

impl AddressFollower {
    /// A follower for `region` of `service` that begins with what is `known` and keeps it: the addresses that a record set of
    /// that type can hold, since the others are published nowhere and this machine may have no way to them. `None` for a region without a load balancer or with fixed addresses. The load balancer must be
    /// of the view's account and cloud region. Each change is told to `seen` before looks can meet it; when `seen` is full,
    /// both wait.
    #[must_use]
    pub fn new(
        view: &Arc<CloudView>,
        service: &ServiceName,
        region: &Region,
        record_type: RecordType,
        known: watch::Sender<Addresses>,
        seen: mpsc::Sender<AddressesSeen>,
    ) -> Option<Self> {
        let elb = followed(region)?;
        Some(Self {
            elb: view.watch(&elb.id),
            service: service.clone(),
            region: region.clone(),
            record_type,
            known,
            seen,
            told: None,
            candidate: None,
            history: History::default(),
        })
    }

    /// Looks at once, and then as often as the most frequent of the region's cloud checks. Never returns.
    /// `pulse` tells whether it still turns.
    pub async fn run(&mut self, pulse: Pulse) {
        let interval = interval(&self.region);
        let longest_probe = self.region.checks.iter().map(|check| check.timeout).max().unwrap_or_default();
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            pulse.turns_within(interval);
            ticks.tick().await;
            pulse.turns_within(TIMEOUT + longest_probe);
            // Boxed, since followers by the thousand wait for ticks.
            Box::pin(self.look(instant_now() + TIMEOUT, &mut Trace::off())).await;
        }
    }

    /// Asks once, and makes known what changed. Asking ends by `deadline`; probing new addresses takes a timeout of the
    /// region's checks more.
    pub async fn look(&mut self, deadline: Instant, trace: &mut Trace) {
        let mut history = self.history;
        let mut sight = Sight::begin(&mut history, interval(&self.region), deadline, trace);
        let known = self.known.subscribe();
        let bound = bound(&self.elb, self.record_type, &known, &mut sight).await;
        let (service, region) = (&self.service, &self.region.name);
        tracing::debug!(%service, %region, ?bound, "asked for the region's addresses");
        match bound {
            Ok(Bound::Addresses(addresses)) => self.named(addresses, &mut sight).await,
            Ok(Bound::Nothing) => {
                self.candidate = None;
                self.tell(Vec::new()).await;
            }
            Ok(Bound::NotTold(_) | Bound::NotShown) | Err(_) => {}
        }
        self.history = history;
    }

    /// The cloud names these addresses, by one answer.
    async fn named(&mut self, addresses: Vec<IpAddr>, sight: &mut Sight<'_>) {
        let (service, region) = (&self.service, &self.region.name);
        let known = self.known.borrow().known().to_vec();
        if known.is_empty() || known == addresses {
            if self.candidate.take().is_some() {
                tracing::info!(%service, %region, known = in_words(&known), "the cloud names the known EIP again");
            }
            return self.learn(addresses).await;
        }
        let (was, now) = (in_words(&known), in_words(&addresses));
        if self.candidate.as_ref() != Some(&addresses) {
            tracing::warn!(
                %service, %region, known = was, named = now,
                "the cloud names another EIP: it is taken once the EIP API agrees and a probe of it passes"
            );
            self.candidate = Some(addresses.clone());
        }
        // Boxed, both, since few ever come here.
        let confirmed = Box::pin(confirm(&self.elb, self.record_type, &addresses, sight));
        if let Err(unseen) = confirmed.await {
            tracing::debug!(%service, %region, named = now, "the other EIP is not confirmed: {unseen}");
            return;
        }
        if let Err(saw) = Box::pin(proved(&self.region, Addresses::from(&*addresses))).await {
            tracing::debug!(%service, %region, named = now, "the other EIP does not serve yet: {saw}");
            return;
        }
        tracing::info!(%service, %region, known = was, named = now, "took the other EIP");
        self.candidate = None;
        self.learn(addresses).await;
    }

    async fn learn(&mut self, addresses: Vec<IpAddr>) {
        let learnt = Addresses::from(&*addresses);
        self.tell(addresses).await;
        self.known.send_if_modified(|known| {
            let differs = *known != learnt;
            if differs {
                *known = learnt;
            }
            differs
        });
    }

    async fn tell(&mut self, addresses: Vec<IpAddr>) {
        if self.told.as_ref() == Some(&addresses) {
            return;
        }
        let (service, region) = (self.service.clone(), self.region.name.clone());
        // An error means that the daemon is stopping, and nobody needs to know.
        let _ = self.seen.send(AddressesSeen { service, region, addresses: addresses.clone() }).await;
        self.told = Some(addresses);
    }
}

//! Follows the EIPs of a region that has no fixed addresses.
//!
//! Asks through the same [`CloudView`] as the checks, so that it adds no calls to theirs. What is known
//! stays until something else is known: no answer, or one that does not tell, changes nothing
//! (BLIND-IS-NOT-DOWN). It judges nothing: that nothing is bound, or that the load balancer is gone, is
//! known, and then the region has no address. Start at [`AddressFollower::run`].

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};

use super::cloud_view::{CloudView, Sight, WatchedElb};
use super::eip::{Bound, bound, verdict};
use super::shared_answer::History;
use super::trace::Trace;
use super::{Addresses, Look};
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
    /// All that are bound and can be values of the service's record set, in ascending order; empty when none is.
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
    region: RegionName,
    interval: Duration,
    record_type: RecordType,
    known: watch::Sender<Addresses>,
    seen: mpsc::Sender<AddressesSeen>,
    history: History,
}

impl AddressFollower {
    /// A follower for `region` of `service`, and where its looks find the addresses: those that a record set of that
    /// type can hold, since the others are published nowhere and this machine may have no way to them. `None` for a region
    /// without a load balancer or with fixed addresses. The load balancer must be of the view's account
    /// and cloud region. Each change is told to `seen` before looks can meet it; when `seen` is full, both
    /// wait.
    #[must_use]
    pub fn new(
        view: &Arc<CloudView>,
        service: &ServiceName,
        region: &Region,
        record_type: RecordType,
        seen: mpsc::Sender<AddressesSeen>,
    ) -> Option<(Self, watch::Receiver<Addresses>)> {
        let elb = followed(region)?;
        let (known, looks) = watch::channel(Addresses::NotKnown);
        let follower = Self {
            elb: view.watch(&elb.id),
            service: service.clone(),
            region: region.name.clone(),
            interval: interval(region),
            record_type,
            known,
            seen,
            history: History::default(),
        };
        Some((follower, looks))
    }

    /// Looks at once, and then as often as the most frequent of the region's cloud checks. Never returns.
    /// `pulse` tells whether it still turns.
    pub async fn run(&mut self, pulse: Pulse) {
        let mut ticks = tokio::time::interval(self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            pulse.turns_within(self.interval);
            ticks.tick().await;
            pulse.turns_within(TIMEOUT);
            let look = self.look(instant_now() + TIMEOUT, &mut Trace::off()).await;
            let (service, region) = (&self.service, &self.region);
            tracing::debug!(%service, %region, saw = %look.saw, "asked for the region's addresses");
        }
    }

    /// Asks once, and makes known what changed. Returns what was seen, as the `eip` check would judge it.
    /// Ends by `deadline`, or when `seen` has room again.
    pub async fn look(&mut self, deadline: Instant, trace: &mut Trace) -> Look {
        let mut sight = Sight::begin(&mut self.history, self.interval, deadline, trace);
        let bound = match bound(&self.elb, self.record_type, &mut sight).await {
            Ok(bound) => bound,
            Err(unseen) => return unseen.into(),
        };
        let look = verdict(&self.elb, self.record_type, &bound);
        match bound {
            Bound::Addresses(addresses) => self.learn(addresses).await,
            Bound::Gone => self.learn(Vec::new()).await,
            Bound::NotTold(_) => {}
        }
        look
    }

    async fn learn(&self, addresses: Vec<IpAddr>) {
        let learnt = Addresses::Known(addresses.as_slice().into());
        if *self.known.borrow() == learnt {
            return;
        }
        let (service, region) = (self.service.clone(), self.region.clone());
        // An error means that the daemon is stopping, and nobody needs to know.
        let _ = self.seen.send(AddressesSeen { service, region, addresses }).await;
        self.known.send_replace(learnt);
    }
}

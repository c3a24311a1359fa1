//! The `eip` check: whether the region's load balancer still has an EIP.
//!
//! One call a look, shared by all load balancers of the account and cloud region. Only lists that are
//! there and empty mean unbound; an answer that does not tell, or lacks the load balancer, is unknown, and
//! what the list lacks fails only when the load balancer's own call says that it does not exist
//! (BLIND-IS-NOT-DOWN). Of a load balancer that has EIPs of both families those count that the service's record set can hold.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Look;
use super::cloud_view::{CloudView, Sight, Unseen, WatchedElb};
use super::shared_answer::History;
use super::trace::Trace;
use crate::huawei::LoadBalancer;
use crate::model::{EipCheck, Outcome, Reason, RecordType};

/// Looks at the EIPs of one region's load balancer for one check.
#[derive(Debug)]
pub struct EipLooker {
    elb: Arc<WatchedElb>,
    record_type: RecordType,
    history: History,
}

impl EipLooker {
    /// A looker for `check`, whose load balancer must be of the view's account and cloud region. The view
    /// watches it from now until the looker is dropped.
    #[must_use]
    pub fn new(view: &Arc<CloudView>, check: &EipCheck) -> Self {
        Self { elb: view.watch(&check.elb.id), record_type: check.record_type, history: History::default() }
    }

    /// One look, for a check that looks every `interval` at present. Ends by `deadline`.
    pub async fn look(&mut self, interval: Duration, deadline: Instant, trace: &mut Trace) -> Look {
        let mut sight = Sight::begin(&mut self.history, interval, deadline, trace);
        match bound(&self.elb, self.record_type, &mut sight).await {
            Ok(bound) => verdict(&self.elb, self.record_type, &bound),
            Err(unseen) => unseen.into(),
        }
    }
}

/// What is bound to a load balancer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    /// These addresses of the family, in ascending order; perhaps none.
    Addresses(Vec<IpAddr>),
    /// The answer does not tell, or what it tells cannot be, for this reason.
    NotTold(Option<String>),
    /// The load balancer does not exist.
    Gone,
}

/// Asks what is bound to the load balancer.
pub(super) async fn bound(
    elb: &WatchedElb,
    record_type: RecordType,
    sight: &mut Sight<'_>,
) -> Result<Bound, Unseen> {
    if let Some(listed) = elb.listed(sight).await? {
        return Ok(of(&listed, record_type));
    }
    match elb.shown(sight).await {
        Ok(shown) => Ok(of(&shown, record_type)),
        Err(unseen) if unseen.is_not_found() => Ok(Bound::Gone),
        Err(unseen) => Err(unseen),
    }
}

fn of(elb: &LoadBalancer, record_type: RecordType) -> Bound {
    let Some(mut addresses) = elb.eips.clone() else { return Bound::NotTold(elb.untold.clone()) };
    addresses.retain(|address| record_type.holds(*address));
    addresses.sort_unstable();
    addresses.dedup();
    Bound::Addresses(addresses)
}

/// What that means for the check.
pub(super) fn verdict(elb: &WatchedElb, record_type: RecordType, bound: &Bound) -> Look {
    let id = elb.id();
    let eip = match record_type {
        RecordType::A => "EIP",
        RecordType::Aaaa => "IPv6 EIP",
    };
    match bound {
        Bound::Addresses(addresses) if addresses.is_empty() => {
            Look::new(Outcome::Fail(Reason::Unbound), format!("no {eip} is bound to load balancer {id}"))
        }
        Bound::Addresses(addresses) => {
            let plural = if addresses.len() == 1 { "" } else { "s" };
            let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            Look::new(Outcome::Pass, format!("{eip}{plural} {} bound", addresses.join(", ")))
        }
        Bound::NotTold(why) => Look::new(
            Outcome::Unknown(Reason::Api),
            match why {
                Some(why) => format!("load balancer {id} {why}"),
                None => format!("the answer does not tell which EIPs load balancer {id} has"),
            },
        ),
        Bound::Gone => elb.gone(),
    }
}

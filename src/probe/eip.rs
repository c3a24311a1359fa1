//! The `eip` check: whether the region's load balancer still has an EIP.
//!
//! One call a look while it passes, shared by all load balancers of the account and cloud region. Lists that are there and
//! empty mean unbound only when the EIP API agrees: nothing is associated with the load balancer, and no known address of the
//! region is bound to it or about to change. Anything else is unknown (BLIND-IS-NOT-DOWN); a load balancer that is not shown is
//! `gone`'s business. Of a load balancer that has EIPs of both families those count that the service's record set can hold.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::cloud_view::{AGREED_AGE_MAX, CloudView, Sight, Unseen, WatchedElb};
use super::gone::gone;
use super::shared_answer::History;
use super::trace::Trace;
use super::{Addresses, Look};
use crate::huawei::{Binding, Eip, LoadBalancer};
use crate::model::{EipCheck, Outcome, Reason, RecordType};

/// Looks at the EIPs of one region's load balancer for one check.
#[derive(Debug)]
pub struct EipLooker {
    elb: Arc<WatchedElb>,
    record_type: RecordType,
    addresses: watch::Receiver<Addresses>,
    history: History,
}

impl EipLooker {
    /// A looker for `check`, whose load balancer must be of the view's account and cloud region. The view
    /// watches it from now until the looker is dropped. `addresses` are the region's, as far as known.
    #[must_use]
    pub fn new(view: &Arc<CloudView>, check: &EipCheck, addresses: watch::Receiver<Addresses>) -> Self {
        let elb = view.watch(&check.elb.id);
        Self { elb, record_type: check.record_type, addresses, history: History::default() }
    }

    /// One look, for a check that looks every `interval` at present. Ends by `deadline`.
    pub async fn look(&mut self, interval: Duration, deadline: Instant, trace: &mut Trace) -> Look {
        let mut sight = Sight::begin(&mut self.history, interval, deadline, trace);
        let (elb, id) = (&self.elb, self.elb.id());
        let eip = match self.record_type {
            RecordType::A => "EIP",
            RecordType::Aaaa => "IPv6 EIP",
        };
        match bound(elb, self.record_type, &self.addresses, &mut sight).await {
            Ok(Bound::Addresses(addresses)) => {
                let plural = if addresses.len() == 1 { "" } else { "s" };
                Look::new(Outcome::Pass, format!("{eip}{plural} {} bound", in_words(&addresses)))
            }
            Ok(Bound::Nothing) => {
                let saw = format!("no {eip} is bound to load balancer {id}: the EIP API agrees");
                Look::new(Outcome::Fail(Reason::Unbound), saw)
            }
            Ok(Bound::NotTold(why)) => {
                let saw = match why {
                    Some(why) => format!("load balancer {id} {why}"),
                    None => format!("the answer does not tell which EIPs load balancer {id} has"),
                };
                Look::new(Outcome::Unknown(Reason::Api), saw)
            }
            Ok(Bound::NotShown) => Box::pin(gone(elb, &self.addresses, &mut sight)).await,
            Err(unseen) => unseen.into(),
        }
    }
}

/// What is bound to a load balancer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    /// These addresses of the family by one answer, in ascending order; at least one.
    Addresses(Vec<IpAddr>),
    /// None, by two answers of two APIs.
    Nothing,
    /// The answer does not tell, or what it tells cannot be, for this reason.
    NotTold(Option<String>),
    /// Neither the list nor its own call shows the load balancer.
    NotShown,
}

/// Asks what is bound to the load balancer of a region that was last known at `known`.
pub(super) async fn bound(
    elb: &WatchedElb,
    record_type: RecordType,
    known: &watch::Receiver<Addresses>,
    sight: &mut Sight<'_>,
) -> Result<Bound, Unseen> {
    let told = match elb.listed(sight).await? {
        Some(listed) => of(&listed, record_type),
        None => match elb.shown(sight).await {
            Ok(shown) => of(&shown, record_type),
            Err(unseen) if unseen.is_not_found() => return Ok(Bound::NotShown),
            Err(unseen) => return Err(unseen),
        },
    };
    if told == Bound::Nothing {
        let known = known.borrow().known().to_vec();
        // Boxed, since it is seldom called, and thousands of looks would carry its state.
        Box::pin(confirm_none(elb, record_type, &known, sight)).await?;
    }
    Ok(told)
}

fn of(elb: &LoadBalancer, record_type: RecordType) -> Bound {
    let Some(mut addresses) = elb.eips.clone() else { return Bound::NotTold(elb.untold.clone()) };
    addresses.retain(|address| record_type.holds(*address));
    addresses.sort_unstable();
    addresses.dedup();
    if addresses.is_empty() { Bound::Nothing } else { Bound::Addresses(addresses) }
}

/// Whether the EIP API agrees that no EIP of the family is bound to the load balancer. An address that it does not have
/// was released, or is that of a global EIP.
async fn confirm_none(
    elb: &WatchedElb,
    record_type: RecordType,
    known: &[IpAddr],
    sight: &mut Sight<'_>,
) -> Result<(), Unseen> {
    let associated = elb.eips(sight, AGREED_AGE_MAX).await?;
    let mut of_family = associated.iter().filter(|eip| eip.address.is_none_or(|a| record_type.holds(a)));
    if let Some(eip) = of_family.next() {
        return Err(disagree(elb, eip));
    }
    if known.is_empty() {
        return Ok(());
    }
    let told = elb.eips_at(known, sight).await?;
    let is_elsewhere = |eip: &&Eip| match eip.binding() {
        Binding::Nothing => true,
        Binding::To(id) => id != elb.id(),
        Binding::InDoubt => false,
    };
    told.iter().find(|eip| !is_elsewhere(eip)).map_or(Ok(()), |eip| Err(disagree(elb, eip)))
}

fn disagree(elb: &WatchedElb, eip: &Eip) -> Unseen {
    let (id, address) = (elb.id(), eip.address.map_or_else(|| eip.id.clone(), |address| address.to_string()));
    let status = &eip.status;
    Unseen::Contradiction(format!(
        "load balancer {id} is said to have no EIP, and the EIP API has {address} with it or in doubt (status {status})"
    ))
}

/// Whether the EIP API agrees that exactly these addresses are bound to the load balancer. It does not have global EIPs: of
/// those the load balancer's own call has to be a second answer.
pub(super) async fn confirm(
    elb: &WatchedElb,
    record_type: RecordType,
    addresses: &[IpAddr],
    sight: &mut Sight<'_>,
) -> Result<(), Unseen> {
    let id = elb.id();
    let associated = elb.eips(sight, Duration::ZERO).await?;
    let mut confirmed = Vec::new();
    for eip in associated.iter().filter(|eip| eip.address.is_none_or(|a| record_type.holds(a))) {
        let is_bound = eip.binding() == Binding::To(id);
        let Some(address) = eip.address.filter(|address| is_bound && addresses.contains(address)) else {
            let (found, status) = (eip.address.map(|a| a.to_string()).unwrap_or_default(), &eip.status);
            return Err(Unseen::Contradiction(format!(
                "the EIP API does not agree on the EIPs of load balancer {id}: it has {found} (status {status})"
            )));
        };
        confirmed.push(address);
    }
    let rest: Vec<IpAddr> =
        addresses.iter().copied().filter(|address| !confirmed.contains(address)).collect();
    if rest.is_empty() {
        return Ok(());
    }
    let shown = elb.shown(sight).await?;
    if of(&shown, record_type) == Bound::Addresses(addresses.to_vec())
        && rest.iter().all(|address| shown.global_eips.contains(address))
    {
        return Ok(());
    }
    let missing = in_words(&rest);
    Err(Unseen::Contradiction(format!("the EIP API does not have {missing} bound to load balancer {id}")))
}

/// Addresses in a row.
pub(super) fn in_words(addresses: &[IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

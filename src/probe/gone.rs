//! A load balancer that the cloud does not show: deleted, in another enterprise project, or hidden by a permission.
//!
//! That the list lacks it and that its own call answers 404 come from one and the same permission layer, so they are one
//! piece of evidence (BLIND-IS-NOT-DOWN). It fails only when another API, that of EIPs, shows the region's known
//! addresses, and none of them bound to it; else it is unknown. The alarm `gone` stands for both.

use std::net::IpAddr;

use tokio::sync::watch;

use super::cloud_view::{Sight, WatchedElb};
use super::{Addresses, Look};
use crate::huawei::{Binding, Eip};
use crate::model::{Outcome, Reason};

/// The look that finds the load balancer neither in the list nor by a call of its own.
pub(super) async fn gone(
    elb: &WatchedElb,
    known: &watch::Receiver<Addresses>,
    sight: &mut Sight<'_>,
) -> Look {
    let id = elb.id();
    let known = known.borrow().known().to_vec();
    let doubt = if known.is_empty() {
        "no address of the region is known by which the EIP API could confirm it".to_owned()
    } else {
        match elb.eips_at(&known, sight).await {
            Err(unseen) => format!("the EIP API does not confirm it: {unseen}"),
            Ok(told) => {
                let mut held = known.iter().filter(|address| !is_lost(**address, &told, id));
                let Some(address) = held.next() else {
                    let saw = format!(
                        "load balancer {id} does not exist: the EIP API agrees, its EIP is no longer bound to it"
                    );
                    return Look::new(Outcome::Fail(Reason::Gone), saw);
                };
                format!("the EIP API does not show {address} as unbound")
            }
        }
    };
    let saw = format!(
        "load balancer {id} is not shown: it is deleted, in another enterprise project, or hidden by a permission; {doubt}"
    );
    Look::new(Outcome::Unknown(Reason::Gone), saw)
}

/// Whether the EIP API shows the address, and as bound to nothing or to something else. That it does not show it may be
/// for the same reason as with the load balancer.
fn is_lost(address: IpAddr, told: &[Eip], elb: &str) -> bool {
    let mut of_it = told.iter().filter(|eip| eip.address == Some(address)).peekable();
    of_it.peek().is_some()
        && of_it.all(|eip| match eip.binding() {
            Binding::Nothing => true,
            Binding::To(id) => id != elb,
            Binding::InDoubt => false,
        })
}

//! Fetches a service once as a client does: through its name, as a witness resolves it, with the request of the service's
//! own check.
//!
//! It is no look: it judges no region, and its end is told and nothing more.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::{Clock, instant_now};
use crate::dns::witness;
use crate::model::{
    Check, CheckKind, Errand, Fetched, Inquiry, Outcome, Region, Service, Statement, TcpCheck,
    addresses_in_words,
};
use crate::probe::{Addresses, Look, Looker, Trace};

/// How long a client waits for the service, once it has an address; longer than that nobody does.
pub(super) const FETCH_WITHIN: Duration = Duration::from_secs(10);

/// One fetch of `service`, over within [`witness::ANSWER_WITHIN`] and [`FETCH_WITHIN`].
pub(super) async fn fetch(service: &Service, inquiry: &Inquiry, errand: &Errand, clock: Clock) -> Fetched {
    let address = match resolve(inquiry, errand).await {
        Ok(address) => address,
        Err(saw) => return Fetched { at: clock.now(), address: None, served: false, saw },
    };
    let home = errand.homes.get(&address);
    let region = service.regions.iter().find(|region| Some(&region.name) == home);
    let look = match request(service, region.map(Arc::as_ref)) {
        Some(kind) => look_at(kind, address).await,
        None => Err("it has no check that asks the address itself, so nothing was fetched".to_owned()),
    };
    let (served, saw) = match look {
        Ok(look) => (look.outcome == Outcome::Pass, look.saw.into_owned()),
        Err(saw) => (false, saw),
    };
    Fetched { at: clock.now(), address: Some(address), served, saw }
}

/// The first address that the name gives. The system's own resolver is not asked: on the daemon's host it may be pointed
/// elsewhere, which says nothing of clients.
async fn resolve(inquiry: &Inquiry, errand: &Errand) -> Result<IpAddr, String> {
    let Some(by) = errand.by else {
        return inquiry.wanted.first().copied().ok_or_else(|| "the zone holds no address".to_owned());
    };
    match witness::ask(by, &inquiry.key).await {
        Statement::Addresses { values, .. } => {
            let first = values.first().copied();
            first.ok_or_else(|| format!("{by} answers {}", addresses_in_words(&values)))
        }
        Statement::Nothing(what) => Err(format!("{by} {what}")),
    }
}

/// How the service is asked: as by the first voting HTTP check of the region, or else by opening a connection as its first
/// voting TCP check does. An address of no region is asked like those of the first.
fn request(service: &Service, region: Option<&Region>) -> Option<CheckKind> {
    let region = region.or_else(|| service.regions.first().map(Arc::as_ref))?;
    let votes = |check: &&Check| region.up_when.names(&check.name);
    let kinds = || region.checks.iter().filter(votes).map(|check| &check.kind);
    let http = kinds().find(|kind| matches!(kind, CheckKind::Http(_)));
    let tcp = || kinds().find(|kind| matches!(kind, CheckKind::Tcp(_)));
    let port = || region.elb.as_ref().map(|elb| TcpCheck { port: elb.listener_port, source: None });
    http.or_else(tcp).cloned().or_else(|| port().map(CheckKind::Tcp))
}

async fn look_at(kind: CheckKind, address: IpAddr) -> Result<Look, String> {
    let (_stays, addresses) = watch::channel(Addresses::Known(Arc::from([address])));
    // It may read certificates from files.
    let made = tokio::task::spawn_blocking(move || Looker::direct(&kind, None, addresses));
    let mut looker = match made.await {
        Ok(Ok(Some(looker))) => looker,
        Ok(Ok(None)) | Err(_) => return Err("the request could not be set up".to_owned()),
        Ok(Err(error)) => return Err(error.to_string()),
    };
    Ok(looker.look(FETCH_WITHIN, instant_now() + FETCH_WITHIN, &mut Trace::off()).await)
}

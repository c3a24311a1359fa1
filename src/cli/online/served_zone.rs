//! Whether a zone that the daemon serves itself can be served, what it holds, and what its secondaries have of it.

use std::path::Path;
use std::sync::Arc;

use super::ServiceSide;
use super::finding::{Finding, Patience, Verdict};
use super::zone::RecordSide;
use crate::config::EmbeddedZone;
use crate::dns::{EmbeddedReader, Provider as _, can_serve, serial_at};
use crate::model::{ProviderName, Service, addresses_in_words};

/// Looks at the addresses and the file of `[dns.NAME]`, and asks its secondaries.
pub(super) async fn ask(
    name: &ProviderName,
    zone: &EmbeddedZone,
    state_dir: &Path,
    services: &[Arc<Service>],
    patience: Patience,
) -> (Vec<Finding>, Vec<ServiceSide>) {
    let of = format!("dns.{name}");
    let mut findings = Vec::new();
    for address in &zone.listen {
        let (verdict, saw) = match can_serve(*address) {
            Ok(()) => (Verdict::Found, "free over UDP and TCP".to_owned()),
            Err(error) => match serial_at(*address, &zone.zone).await {
                Some(serial) => (Verdict::Found, format!("{} is served there, serial {serial}", zone.zone)),
                None => (Verdict::Missing, error.to_string()),
            },
        };
        findings.push(Finding::of_no_cloud(&of, &format!("address {address}"), verdict, saw));
    }
    for secondary in &zone.secondaries {
        let address = secondary.address;
        let (verdict, saw) = match serial_at(address, &zone.zone).await {
            Some(serial) => (Verdict::Found, format!("serial {serial}")),
            None => {
                (Verdict::Unclear, format!("it does not answer for {} with authority over UDP", zone.zone))
            }
        };
        // The zone is served without it.
        let found = Finding::of_no_cloud(&of, &format!("secondary {address}"), verdict, saw);
        findings.push(Finding { needed: false, ..found });
    }
    let reader = EmbeddedReader::new(state_dir, &zone.zone, [].into());
    let mut sides = Vec::new();
    for service in services {
        let key = &service.record.key;
        let what = format!("record set {key}");
        let (verdict, saw, needed, side) = match reader.read(key, patience.deadline()).await {
            Ok(Some(found)) => {
                let saw = format!("{}, TTL {}", addresses_in_words(&found.values), found.ttl);
                let side = RecordSide::Seen { values: found.values, ttl_s: found.ttl.as_seconds() };
                (Verdict::Found, saw, true, side)
            }
            Ok(None) => {
                let saw = "nothing is kept of it: the start will make it of the regions' addresses";
                (Verdict::Missing, saw.to_owned(), false, RecordSide::Missing)
            }
            Err(error) => (Verdict::Unclear, error.to_string(), true, RecordSide::NotKnown),
        };
        let found = Finding::of_no_cloud(service.name.as_str(), &what, verdict, saw);
        findings.push(Finding { needed, ..found });
        sides.push((Arc::clone(service), side));
    }
    (findings, sides)
}

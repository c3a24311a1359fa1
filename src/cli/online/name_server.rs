//! Asks a name server for its zone and the record sets in it, and whether the key may change them.

use std::error::Error as _;
use std::sync::Arc;

use super::ServiceSide;
use super::finding::{Finding, Patience, Verdict};
use super::zone::RecordSide;
use crate::config::Rfc2136Zone;
use crate::dns::{Provider as _, Rfc2136Provider};
use crate::model::{ProviderErrorKind, ProviderName, Service, addresses_in_words};

/// Asks for the zone of `[dns.NAME]` and for what these services keep in it; a question that needs an earlier one's
/// answer is left out without it.
pub(super) async fn ask(
    name: &ProviderName,
    zone: &Rfc2136Zone,
    services: &[Arc<Service>],
    patience: Patience,
) -> (Vec<Finding>, Vec<ServiceSide>) {
    let not_known = || services.iter().map(|service| (Arc::clone(service), RecordSide::NotKnown)).collect();
    let of = format!("dns.{name}");
    let provider = match Rfc2136Provider::new(zone.clone()) {
        Ok(provider) => provider,
        Err(error) => {
            let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            let saw = format!("{error}{cause}");
            return (vec![Finding::of_no_cloud(&of, "TSIG key", Verdict::Unclear, saw)], not_known());
        }
    };
    let what = format!("zone {} at {}", zone.zone, zone.server);
    let serial = provider.serial(patience.deadline()).await;
    let key = &zone.tsig.name;
    let (verdict, saw) = match &serial {
        Ok(serial) => (Verdict::Found, format!("serial {serial}; the key {key} is taken")),
        Err(error) => (Verdict::Unclear, error.to_string()),
    };
    let mut findings = vec![Finding::of_no_cloud(&of, &what, verdict, saw)];
    if serial.is_err() {
        return (findings, not_known());
    }
    let mut sides = Vec::new();
    for service in services {
        let (of_service, side) = record_set(&provider, service, patience).await;
        findings.push(of_service);
        findings.push(updates(&provider, service, zone, patience).await);
        sides.push((Arc::clone(service), side));
    }
    (findings, sides)
}

async fn record_set(
    provider: &Rfc2136Provider,
    service: &Service,
    patience: Patience,
) -> (Finding, RecordSide) {
    let record = &service.record;
    let what = format!("record set {}", record.key);
    let of = service.name.as_str();
    match provider.read(&record.key, patience.deadline()).await {
        Ok(Some(found)) => {
            let saw = format!("{}, TTL {}", addresses_in_words(&found.values), found.ttl);
            let side = RecordSide::Seen { values: found.values, ttl_s: found.ttl.as_seconds() };
            (Finding::of_no_cloud(of, &what, Verdict::Found, saw), side)
        }
        Ok(None) if record.create => {
            let saw = "will be made, as create = true".to_owned();
            let missing = Finding::of_no_cloud(of, &what, Verdict::Missing, saw);
            (Finding { needed: false, ..missing }, RecordSide::Missing)
        }
        Ok(None) => {
            let saw =
                "it is not there and will not be made, as create = false; make it, or set create = true";
            (Finding::of_no_cloud(of, &what, Verdict::Missing, saw.to_owned()), RecordSide::Missing)
        }
        Err(error) => {
            (Finding::of_no_cloud(of, &what, Verdict::Unclear, error.to_string()), RecordSide::NotKnown)
        }
    }
}

async fn updates(
    provider: &Rfc2136Provider,
    service: &Service,
    zone: &Rfc2136Zone,
    patience: Patience,
) -> Finding {
    let key = &service.record.key;
    let (verdict, saw) = match provider.may_update(key, patience.deadline()).await {
        Ok(()) => (
            Verdict::Found,
            format!("the key {} may; asked with an update that cannot be made", zone.tsig.name),
        ),
        Err(error) if error.kind == ProviderErrorKind::Refused => (Verdict::Missing, error.to_string()),
        Err(error) => (Verdict::Unclear, error.to_string()),
    };
    Finding::of_no_cloud(service.name.as_str(), &format!("updates of {key}"), verdict, saw)
}

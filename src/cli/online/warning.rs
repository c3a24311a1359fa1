//! What is there and yet not as it should be.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use super::numbers::{detection, seconds};
use super::witness::Heard;
use super::zone::RecordSide;
use super::{Answers, Balancer};
use crate::model::{PolicyKind, Region, Service, Ttl, addresses_in_words};

/// All of them: of load balancers first, then service by service, then of witnesses and references.
pub(super) fn all(answers: &Answers) -> Vec<String> {
    let mut warnings: Vec<String> =
        answers.balancers.iter().flat_map(|balancer| balancer.warnings.clone()).collect();
    for (service, side) in &answers.services {
        for region in &service.regions {
            warnings.extend(address(answers, service, region, side));
        }
        warnings.extend(ttl(answers, service, side));
    }
    warnings.extend(answers.witnesses.iter().filter_map(Heard::warning));
    warnings.extend(
        answers
            .unreached
            .iter()
            .map(|saw| format!("vantage: {saw}; while no reference answers, no region leaves")),
    );
    warnings
}

/// Where a region is, as far as known: its own addresses, or the EIPs of its load balancer.
fn addresses(balancer: Option<&Balancer>, region: &Region) -> Option<BTreeSet<IpAddr>> {
    if region.addresses.is_empty() {
        Some(balancer?.eips.as_ref()?.iter().copied().collect())
    } else {
        Some(region.addresses.iter().copied().collect())
    }
}

fn address(answers: &Answers, service: &Service, region: &Region, side: &RecordSide) -> Option<String> {
    let record_type = service.record.key.record_type;
    let of = format!("{}/{}", service.name, region.name);
    let mut lacking = addresses(answers.balancer(region), region)?;
    lacking.retain(|address| record_type.holds(*address));
    if lacking.is_empty() {
        return Some(format!(
            "{of}: no EIP that a record set of type {record_type} can hold is bound to its load balancer, so it \
             is nowhere to be published"
        ));
    }
    let RecordSide::Seen { values, .. } = side else { return None };
    lacking.retain(|address| !values.contains(address));
    (is_wanted_when_well(service, region) && !lacking.is_empty()).then(|| {
        format!(
            "{of}: the record set lacks {}; right while the region is out, else `pointsman plan` tells why",
            addresses_in_words(&lacking)
        )
    })
}

/// A region of a tier that is not the best one is out of the set while all is well.
fn is_wanted_when_well(service: &Service, region: &Region) -> bool {
    match service.policy {
        PolicyKind::All | PolicyKind::Weighted => true,
        PolicyKind::Priority => service.regions.iter().all(|other| other.tier >= region.tier),
    }
}

fn ttl(answers: &Answers, service: &Service, side: &RecordSide) -> Option<String> {
    let configured = service.record.ttl;
    let ttl = match side {
        RecordSide::Seen { ttl_s, .. } => Ttl::found(*ttl_s),
        RecordSide::Missing => configured.unwrap_or(Ttl::DEFAULT),
        RecordSide::NotKnown => return None,
    };
    let monitors = |region: &Region| answers.balancer(region).map_or(&[][..], |balancer| &balancer.monitors);
    let failover: Duration =
        service.regions.iter().filter_map(|region| detection(region, monitors(region))).max()?;
    (ttl.as_duration() > failover).then(|| {
        let what_to_do = match configured {
            Some(configured) if configured < ttl => {
                format!("ttl = {} takes hold with the next change of addresses only", configured.as_seconds())
            }
            Some(_) | None => "a shorter ttl lets them follow sooner".to_owned(),
        };
        format!(
            "{}: the TTL of {ttl} is longer than a failover takes (noticed within {}): clients may ask a dead \
             region for that long; {what_to_do}",
            service.name,
            seconds(failover)
        )
    })
}

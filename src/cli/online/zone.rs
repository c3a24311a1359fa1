//! Asks for a zone, and for the record sets in it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::finding::{Finding, Patience, Question, Verdict};
use crate::config::{HuaweiZone, ZoneType};
use crate::huawei::{Account, DnsRecordSet};
use crate::model::{ProviderName, Routing, Service};

/// Asks for the zone of `[dns.NAME]`: the row, and its id when there is exactly one.
pub(super) async fn ask_zone(
    account: &Account,
    name: &ProviderName,
    zone: &HuaweiZone,
    patience: Patience,
) -> (Finding, Option<String>) {
    let HuaweiZone { cloud, cloud_region, zone, zone_type } = zone;
    let answer = account.zones(cloud_region, *zone_type, zone, patience.deadline()).await;
    let kind = match zone_type {
        ZoneType::Private => "private",
        ZoneType::Public => "public",
    };
    let question = Question {
        cloud,
        of: &format!("dns.{name}"),
        what: format!("{kind} zone {zone}"),
        permission: "dns:zone:list",
        needed: true,
    };
    let finding = question.answered(&answer, |zones| match zones.as_slice() {
        [] => (Verdict::Missing, format!("{cloud_region} lists no such zone; check zone and zone_type")),
        [one] => (Verdict::Found, format!("{}, id {}", one.status, one.id)),
        several => {
            let ids: Vec<&str> = several.iter().map(|zone| zone.id.as_str()).collect();
            (Verdict::Unclear, format!("{} zones bear the name: {}", several.len(), ids.join(", ")))
        }
    });
    let id = match answer.as_deref() {
        Ok([one]) => Some(one.id.clone()),
        Ok(_) | Err(_) => None,
    };
    (finding, id)
}

/// A record set, as far as it was seen.
#[derive(Clone, Debug)]
pub(super) enum RecordSide {
    /// It is there, once.
    Seen { values: BTreeSet<IpAddr>, ttl_s: u32 },
    /// It is surely not there.
    Missing,
    /// It was not asked for, or not understood.
    NotKnown,
}

/// Asks for a service's record set.
pub(super) async fn ask_record_set(
    account: &Account,
    service: &Service,
    zone: &HuaweiZone,
    zone_id: &str,
    patience: Patience,
) -> (Finding, RecordSide) {
    let record = &service.record;
    let (region, key) = (&zone.cloud_region, &record.key);
    let answer = match key.routing.line() {
        None => account.record_sets(region, zone_id, key, patience.deadline()).await,
        Some(line) => account.record_sets_of_line(region, zone_id, key, line, patience.deadline()).await,
    };
    let is_weighted = matches!(key.routing, Routing::Weighted(_));
    let question = Question {
        cloud: &zone.cloud,
        of: service.name.as_str(),
        what: format!("record set {}", record.key),
        permission: "dns:recordset:list",
        // A refused question leaves nothing to keep; one that is missing may be made.
        needed: !record.create || !answer.as_ref().is_ok_and(Vec::is_empty),
    };
    let finding = question.answered(&answer, |sets| match sets.as_slice() {
        [] if record.create => (Verdict::Missing, "will be made, as create = true".to_owned()),
        [] => (
            Verdict::Missing,
            "it is not there and will not be made, as create = false; make it, or set create = true"
                .to_owned(),
        ),
        sets if is_weighted || sets.len() == 1 => {
            (Verdict::Found, sets.iter().map(in_words).collect::<Vec<_>>().join("; "))
        }
        several => {
            let count = several.len();
            let hint = "without `line` or `policy = \"weighted\"` pointsman keeps a name that has one";
            (Verdict::Unclear, format!("{count} record sets, by lines or weights: {hint}"))
        }
    });
    let side = match answer.as_deref() {
        Ok([]) => RecordSide::Missing,
        Ok(sets) if is_weighted || sets.len() == 1 => RecordSide::Seen {
            values: sets
                .iter()
                .filter(|set| !is_weighted || set.status != "DISABLE")
                .flat_map(|set| set.records.iter().filter_map(|value| value.parse().ok()))
                .collect(),
            ttl_s: sets.iter().map(|set| set.ttl).max().unwrap_or_default(),
        },
        Ok(_) | Err(_) => RecordSide::NotKnown,
    };
    (finding, side)
}

fn in_words(set: &DnsRecordSet) -> String {
    let DnsRecordSet { records, ttl, status, weight, .. } = set;
    let weight = weight.map_or_else(String::new, |weight| format!(", weight {weight}"));
    format!("{}{weight}, TTL {ttl} s, {status}", records.join(", "))
}

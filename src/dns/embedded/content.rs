//! What a zone holds at one serial: its SOA and NS, the records of the configuration, the sets that services keep.
//!
//! Never changed once it is made: a change makes another, which takes its place at once, so that an answer is wholly
//! of before or wholly of after. Knows no message and no socket. Start at [`Content::new`].

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

use hickory_proto::ProtoError;
use hickory_proto::rr::rdata::{A, AAAA, NS, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::serial::Serial;
use crate::config::EmbeddedZone;
use crate::model::{Fqdn, RecordKey, RecordSet};

/// The TTL of the SOA, and how long a resolver may remember that a name is not there: a name that comes into being
/// is seen within this (RFC 2308).
pub(super) const NEGATIVE_TTL_S: u32 = 30;
/// The TTL of the zone's own NS records; they change with the configuration alone.
const NS_TTL_S: u32 = 300;
/// How often a secondary that was not told of a change asks for one, and again when it gets no answer, in seconds.
const REFRESH_S: i32 = 60;
const RETRY_S: i32 = 10;
/// How long a secondary goes on answering when it reaches us no more: a week, longer than any outage of ours.
const EXPIRE_S: i32 = 604_800;

/// The sets that services keep, by name and type.
pub(super) type Sets = BTreeMap<RecordKey, RecordSet>;

/// The records of one type under one name; at least one, all of one TTL.
type RrSet = Vec<Record>;

/// A zone at one serial.
#[derive(Debug)]
pub(super) struct Content {
    origin: Name,
    serial: Serial,
    soa: Record,
    names: BTreeMap<Name, BTreeMap<RecordType, RrSet>>,
}

impl Content {
    /// The zone of this configuration with these sets. Where a record of the configuration and a set have the same name
    /// and type, or either is a CNAME, the configuration's is served.
    ///
    /// # Errors
    /// When a name is none that a message can carry.
    pub(super) fn new(zone: &EmbeddedZone, sets: &Sets, serial: Serial) -> Result<Self, ProtoError> {
        let origin = dns_name(&zone.zone)?;
        let servers = zone.ns.iter().map(dns_name).collect::<Result<Vec<_>, _>>()?;
        let primary = servers.first().cloned().unwrap_or_else(|| origin.clone());
        let mail = origin.prepend_label("hostmaster")?;
        let soa = SOA::new(primary, mail, serial.0, REFRESH_S, RETRY_S, EXPIRE_S, NEGATIVE_TTL_S);
        let soa = Record::from_rdata(origin.clone(), NEGATIVE_TTL_S, RData::SOA(soa));
        let mut content = Self { origin: origin.clone(), serial, soa: soa.clone(), names: BTreeMap::new() };
        content.add(soa);
        for server in servers {
            content.add(Record::from_rdata(origin.clone(), NS_TTL_S, RData::NS(NS(server))));
        }
        for record in &zone.records {
            let name = dns_name(&record.name)?;
            content.add(Record::from_rdata(name, record.ttl.as_seconds(), record.data.clone()));
        }
        for (key, set) in sets.iter().filter(|(key, _)| !is_configured(zone, key)) {
            let name = dns_name(&key.name)?;
            for value in set.values() {
                let data = match value {
                    IpAddr::V4(address) => RData::A(A(*address)),
                    IpAddr::V6(address) => RData::AAAA(AAAA(*address)),
                };
                content.add(Record::from_rdata(name.clone(), set.ttl().as_seconds(), data));
            }
        }
        Ok(content)
    }

    /// Adds a record once. The TTL of a set is the least of its records' (RFC 2181, 5.2).
    fn add(&mut self, mut record: Record) {
        let types = self.names.entry(record.name.clone()).or_default();
        let set = types.entry(record.record_type()).or_default();
        if set.iter().any(|there| there.data == record.data) {
            return;
        }
        let ttl = set.iter().map(|there| there.ttl).chain([record.ttl]).min().unwrap_or(record.ttl);
        record.ttl = ttl;
        set.push(record);
        for there in set {
            there.ttl = ttl;
        }
    }

    /// The zone's name.
    pub(super) fn origin(&self) -> &Name {
        &self.origin
    }

    pub(super) fn serial(&self) -> Serial {
        self.serial
    }

    pub(super) fn soa(&self) -> &Record {
        &self.soa
    }

    /// The records of this name and type, none when there are none.
    pub(super) fn set(&self, name: &Name, record_type: RecordType) -> &[Record] {
        let set = self.names.get(name).and_then(|types| types.get(&record_type));
        set.map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether the name is there, with records of its own or of names below it alone.
    pub(super) fn has(&self, name: &Name) -> bool {
        // Names are ordered as a tree is walked, so that what is below a name comes right after it.
        self.names.range(name..).next().is_some_and(|(next, _)| name.zone_of(next))
    }

    /// Every record but the SOA.
    pub(super) fn records(&self) -> impl Iterator<Item = &Record> {
        let all = self.names.values().flat_map(BTreeMap::values).flatten();
        all.filter(|record| record.record_type() != RecordType::SOA)
    }

    /// Whether the SOAs are the same but for the serial.
    pub(super) fn has_soa_like(&self, other: &Self) -> bool {
        match (&self.soa.data, &other.soa.data) {
            (RData::SOA(ours), RData::SOA(theirs)) => ours.mname == theirs.mname,
            _ => false,
        }
    }

    /// What this has that `other` has not, but for the SOA.
    pub(super) fn beyond(&self, other: &Self) -> Vec<Record> {
        let theirs: HashSet<Line<'_>> = other.records().map(line).collect();
        self.records().filter(|record| !theirs.contains(&line(record))).cloned().collect()
    }
}

/// What makes a record the same as another for whoever copies a zone: the TTL too.
type Line<'r> = (&'r Name, u32, &'r RData);

fn line(record: &Record) -> Line<'_> {
    (&record.name, record.ttl, &record.data)
}

/// Whether the configuration has something that no set can stand beside.
pub(super) fn is_configured(zone: &EmbeddedZone, key: &RecordKey) -> bool {
    let record_type = match key.record_type {
        crate::model::RecordType::A => RecordType::A,
        crate::model::RecordType::Aaaa => RecordType::AAAA,
    };
    let mut there = zone.records.iter().filter(|record| record.name == key.name);
    there.any(|record| matches!(record.data.record_type(), found if found == record_type || found == RecordType::CNAME))
}

/// The name as messages carry it.
pub(super) fn dns_name(name: &Fqdn) -> Result<Name, ProtoError> {
    Name::from_ascii(name.as_str())
}

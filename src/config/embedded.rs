//! `[dns.NAME]` of the kind `embedded`: a zone that is served here, and the rules between its records.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;

use hickory_proto::rr::{RData, RecordType as Type};
use hickory_proto::serialize::binary::BinEncodable as _;
use toml::Spanned;
use toml::de::DeTable;

use super::provider::at_most;
use super::raw::{EmbeddedKeys, SecondaryKeys};
use super::report::{At, Mark, Place, Report};
use super::table::Table;
use super::tsig::{refuse_inline_secret, tsig_key};
use super::value::Wrong;
use super::{EmbeddedZone, Secondary, StaticRecord, TsigKey, static_record};
use crate::model::{Fqdn, RecordKey};

/// A zone with more addresses to listen on than a machine has ways in was made by a mistake.
const LISTEN_MAX: usize = 8;

/// Each is told of every change.
const SECONDARIES_MAX: usize = 8;

/// Far more than a small zone has; what has more wants a name server of its own, and `rfc2136`.
const RECORDS_MAX: usize = 1_000;

/// So many bytes of data of one name and type fit into an answer, with room for names and types: a message of DNS has 65,535.
const SET_BYTES_MAX: usize = 48_000;

/// More name servers of a zone are no use: an answer that names them has to be short.
const NS_MAX: usize = 16;

/// What embedded zones must not share: a listener serves one zone, and a zone is served once. With where each stands.
#[derive(Default)]
pub(super) struct Listeners {
    zones: BTreeMap<Fqdn, usize>,
    /// By port, so that those that could be in each other's way lie together.
    addresses: BTreeMap<(u16, IpAddr), usize>,
}

/// The zone, when all of it is good.
pub(super) fn embedded(
    keys: EmbeddedKeys,
    secondaries: Vec<(Range<usize>, DeTable<'_>)>,
    zone: Option<At<Fqdn>>,
    place: &Place,
    listeners: &mut Listeners,
    report: &mut Report<'_>,
) -> Option<EmbeddedZone> {
    if keys.listen.is_none() {
        report.missing(place, "listen", "write where it is served: listen = [\"127.0.0.1:5353\"]");
    }
    if keys.ns.is_none() {
        report.missing(place, "ns", "write the zone's own name servers: ns = [\"ns1.localdev.me.\"]");
    }
    if let Some(listen) = &keys.listen {
        listeners.take(listen, report);
    }
    let secondaries = read_secondaries(secondaries, place, report);
    let zone = zone?;
    listeners.take_zone(&zone, report);
    let records = keys.records.as_ref().map_or_else(Vec::new, |at| read_records(at, &zone.value, report));
    if let Some(ns) = &keys.ns {
        name_servers(ns, &zone.value, &records, report);
    }
    Some(EmbeddedZone {
        listen: keys.listen?.value.iter().map(|at| *at.get_ref()).collect(),
        zone: zone.value,
        ns: keys.ns?.value.into_iter().map(Spanned::into_inner).collect(),
        records,
        secondaries: secondaries?,
    })
}

impl Listeners {
    fn take(&mut self, listen: &At<Vec<Spanned<SocketAddr>>>, report: &mut Report<'_>) {
        at_most(listen.value.len(), LISTEN_MAX, &listen.mark, "listen on fewer addresses", report);
        for address in listen.value.iter().take(LISTEN_MAX) {
            let (span, address) = (address.span(), *address.get_ref());
            if let Some((other, at)) = self.in_the_way(address) {
                let whence = report.whence(at, span.start);
                let message = if other == address {
                    format!("listen: {address} is taken ({whence})")
                } else {
                    format!("listen: {address} and {other} ({whence}) cannot both be listened on")
                };
                let hint = "a listener serves one zone: give each an address or a port of its own";
                report.error(&listen.mark.place, span.clone(), message, hint);
            }
            self.addresses.entry((address.port(), address.ip())).or_insert(span.start);
        }
    }

    /// What keeps the system from listening on the address too. Port 0 is a different one each time.
    fn in_the_way(&self, address: SocketAddr) -> Option<(SocketAddr, usize)> {
        let (port, ip) = (address.port(), address.ip());
        let (all_v4, all_v6) = (IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        let last_v4 = IpAddr::V4(Ipv4Addr::BROADCAST);
        let last_v6 = IpAddr::V6(Ipv6Addr::from(u128::MAX));
        let known = |ip: IpAddr| self.addresses.get_key_value(&(port, ip));
        let among = |first, last| self.addresses.range((port, first)..=(port, last)).next();
        // An IPv6 socket on all addresses takes IPv4 in as well.
        let found = known(ip)
            .or_else(|| known(all_v6))
            .or_else(|| known(all_v4).filter(|_| ip.is_ipv4()))
            .or_else(|| among(all_v4, last_v6).filter(|_| ip == all_v6))
            .or_else(|| among(all_v4, last_v4).filter(|_| ip == all_v4));
        found.filter(|_| port != 0).map(|((port, ip), at)| (SocketAddr::new(*ip, *port), *at))
    }

    fn take_zone(&mut self, zone: &At<Fqdn>, report: &mut Report<'_>) {
        let at = zone.mark.span.start;
        if let Some(other) = self.zones.get(&zone.value) {
            let message =
                format!("the zone {} is served already ({})", zone.value, report.whence(*other, at));
            report.value(&zone.mark, message, "serve it once, on all the addresses");
        }
        self.zones.entry(zone.value.clone()).or_insert(at);
    }
}

fn read_secondaries(
    tables: Vec<(Range<usize>, DeTable<'_>)>,
    place: &Place,
    report: &mut Report<'_>,
) -> Option<Vec<Secondary>> {
    let mut all_good = true;
    let mut secondaries: Vec<(Secondary, Mark)> = Vec::new();
    if let Some((head, _)) = tables.get(SECONDARIES_MAX) {
        let message = format!("secondaries has {} entries; it takes {SECONDARIES_MAX} at most", tables.len());
        report.error(place, head.clone(), message, "let one secondary pass the zone on to the others");
    }
    for (number, (head, entries)) in (1..).zip(tables).take(SECONDARIES_MAX) {
        let place =
            Place { name: format!("{}, secondary {number}", place.name).into(), rank: place.rank, head };
        let mut table = Table::new(entries, place.clone());
        refuse_inline_secret(&mut table, report);
        let keys = SecondaryKeys::take(&mut table, report);
        table.finish(report);
        if keys.address.is_none() {
            report.missing(
                &place,
                "address",
                "write where it is told of changes: address = \"10.0.0.54:53\"",
            );
        }
        let name_mark = keys.name.as_ref().map(|at| at.mark.clone());
        let tsig = tsig_key(keys.name, keys.algorithm, keys.secret_file, &place, report);
        let (Some(At { value: address, mark }), Some(tsig), Some(name_mark)) =
            (keys.address, tsig, name_mark)
        else {
            all_good = false;
            continue;
        };
        let address = address.0;
        if let Some((_, other)) = secondaries.iter().find(|(other, _)| other.address == address) {
            let whence = report.whence(other.span.start, mark.span.start);
            report.value(
                &mark,
                format_args!("{} is there already ({whence})", report.shown(&mark)),
                "remove it",
            );
        }
        let contradicts = |key: &TsigKey| key.name == tsig.name && *key != tsig;
        if let Some((_, other)) = secondaries.iter().find(|(other, _)| contradicts(&other.tsig)) {
            let whence = report.whence(other.span.start, name_mark.span.start);
            let message =
                format!("{} is another key for the secondary of {whence}", report.shown(&name_mark));
            report.value(&name_mark, message, "give each key a name of its own");
        }
        secondaries.push((Secondary { address, tsig }, mark));
    }
    all_good.then(|| secondaries.into_iter().map(|(secondary, _)| secondary).collect())
}

/// The records that are good, with the rules between them.
fn read_records(
    at: &At<Vec<Spanned<super::words::RecordText>>>,
    zone: &Fqdn,
    report: &mut Report<'_>,
) -> Vec<StaticRecord> {
    at_most(
        at.value.len(),
        RECORDS_MAX,
        &at.mark,
        "keep a zone of that size on a name server of its own",
        report,
    );
    let mut by_name: BTreeMap<Fqdn, Vec<(StaticRecord, usize)>> = BTreeMap::new();
    let mut records = Vec::with_capacity(at.value.len());
    for text in at.value.iter().take(RECORDS_MAX) {
        let span = text.span();
        match static_record::parse(&text.get_ref().0, zone) {
            Ok(record) => {
                let others = by_name.entry(record.name.clone()).or_default();
                if let Some(wrong) = beside(&record, others, zone, |at| report.whence(at, span.start)) {
                    tell(at, &span, wrong, report);
                }
                others.push((record.clone(), span.start));
                records.push(record);
            }
            Err(wrong) => tell(at, &span, wrong, report),
        }
    }
    records
}

fn tell(
    at: &At<Vec<Spanned<super::words::RecordText>>>,
    span: &Range<usize>,
    wrong: Wrong,
    report: &mut Report<'_>,
) {
    let message = match report.text(span) {
        Some(text) => format!("records: {text} {}", wrong.what),
        None => format!("records: this {}", wrong.what),
    };
    report.error(&at.mark.place, span.clone(), message, wrong.hint);
}

/// What keeps a record from standing beside those of its name.
fn beside(
    record: &StaticRecord,
    others: &[(StaticRecord, usize)],
    zone: &Fqdn,
    whence: impl Fn(usize) -> String,
) -> Option<Wrong> {
    let kind = record.data.record_type();
    if kind == Type::CNAME && record.name == *zone {
        let hint = "write A or AAAA records there, or the CNAME at a name below";
        return Some(Wrong::new("is a CNAME of the zone itself, which has SOA and NS", hint));
    }
    if let Some((_, at)) = others.iter().find(|(other, _)| other.data == record.data) {
        return Some(Wrong::new(format!("is there already ({})", whence(*at)), "keep one of the two"));
    }
    let is_cname = |other: &StaticRecord| other.data.record_type() == Type::CNAME;
    if let Some((_, at)) = others.iter().find(|(other, _)| kind == Type::CNAME || is_cname(other)) {
        let message = format!("stands beside another record of that name ({})", whence(*at));
        return Some(Wrong::new(message, "a name that has a CNAME has nothing else: remove one of the two"));
    }
    let set = || others.iter().filter(|(other, _)| other.data.record_type() == kind);
    if let Some((other, at)) = set().find(|(other, _)| other.ttl != record.ttl) {
        let message = format!("has another TTL than the same name and type has ({})", whence(*at));
        return Some(Wrong::new(message, format!("write {} in both", other.ttl.as_seconds())));
    }
    let bytes = |data: &RData| data.to_bytes().map_or(SET_BYTES_MAX, |bytes| bytes.len() + 12);
    let whole: usize = set().map(|(other, _)| bytes(&other.data)).sum();
    if whole + bytes(&record.data) > SET_BYTES_MAX {
        let message = "makes all of that name and type too long for an answer";
        return Some(Wrong::new(message, format!("keep to {SET_BYTES_MAX} bytes")));
    }
    None
}

/// The zone's own name servers: each once, and found by those who look for them.
fn name_servers(ns: &At<Vec<Spanned<Fqdn>>>, zone: &Fqdn, records: &[StaticRecord], report: &mut Report<'_>) {
    at_most(ns.value.len(), NS_MAX, &ns.mark, "name those that are asked first", report);
    for (number, server) in ns.value.iter().take(NS_MAX).enumerate() {
        let (span, name) = (server.span(), server.get_ref());
        let place = &ns.mark.place;
        let has =
            |kind| records.iter().any(|record| record.name == *name && record.data.record_type() == kind);
        if ns.value.iter().take(number).any(|other| other.get_ref() == name) {
            report.error(place, span, format_args!("ns: {name} is there twice"), "remove it");
        } else if !name.host().contains('.') {
            let hint = format!("write a whole name: \"{}.{zone}\"", name.host());
            report.error(place, span, format_args!("ns: {name} is a name at the top of DNS"), hint);
        } else if has(Type::CNAME) {
            let hint = "give it A or AAAA records in place of the CNAME";
            report.error(
                place,
                span,
                format_args!("ns: {name} is a CNAME, which a name server is not"),
                hint,
            );
        } else if name.is_within(zone)
            && !has(Type::A)
            && !has(Type::AAAA)
            && !report.is_bad_in(place, "records")
        {
            let relative = name.as_str().strip_suffix(zone.as_str()).and_then(|name| name.strip_suffix('.'));
            let message = format!("ns: {name} has no address: secondaries and resolvers cannot find it");
            let hint = format!("add to records: \"{} 300 A 192.0.2.53\"", relative.unwrap_or("@"));
            report.warning(place, span, message, hint);
        }
    }
}

/// What keeps a service from keeping a record set in the zone: what stands there already.
pub(super) fn occupied(zone: &EmbeddedZone, key: &RecordKey) -> Option<Wrong> {
    let kind = match key.record_type {
        crate::model::RecordType::A => Type::A,
        crate::model::RecordType::Aaaa => Type::AAAA,
    };
    zone.records.iter().find_map(|record| {
        let (name, theirs) = (&record.name, record.data.record_type());
        if *name == key.name && (theirs == kind || theirs == Type::CNAME) {
            let article = if theirs == Type::CNAME { "a" } else { "an" };
            let what = format!("has {article} {theirs} record among the zone's records");
            return Some(Wrong::new(what, "remove it there: a service keeps all values of its record set"));
        }
        if theirs == Type::NS && key.name.is_within(name) {
            let what = format!("is given away by an NS record of {name}");
            return Some(Wrong::new(what, "remove that record, or write a name that is served here"));
        }
        None
    })
}

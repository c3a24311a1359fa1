//! `[dns.NAME]`: where record sets live, whatever its kind.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use toml::Spanned;

use super::account::resolve_cloud;
use super::embedded::{Listeners, embedded};
use super::named::{Named, named};
use super::raw::{EmbeddedKeys, HuaweiZoneKeys, ProviderKeys, Rfc2136Keys};
use super::report::{At, Mark, Place, Report};
use super::server::Server;
use super::table::Table;
use super::tsig::{refuse_inline_secret, tsig_key};
use super::words::ProviderKindWord;
use super::{Cloud, HuaweiZone, Provider, ProviderKind, Rfc2136Zone};
use crate::model::{CloudName, Fqdn, ProviderName};

/// All of them are asked at once after each write; a few on different ways to clients tell all that there is to know.
const WITNESSES_MAX: usize = 8;

/// All places where record sets live, of all files.
pub(super) fn providers(
    files: &mut [Table<'_>],
    clouds: &Named<CloudName, Cloud>,
    report: &mut Report<'_>,
) -> Named<ProviderName, Provider> {
    let mut listeners = Listeners::default();
    let read = |table: Table<'_>, report: &mut Report<'_>| provider(table, clouds, &mut listeners, report);
    named(files, "dns", "private", ProviderName::parse, read, report)
}

fn provider(
    mut table: Table<'_>,
    clouds: &Named<CloudName, Cloud>,
    listeners: &mut Listeners,
    report: &mut Report<'_>,
) -> Option<Provider> {
    let place = table.place.clone();
    let ProviderKeys { kind, zone, witnesses } = ProviderKeys::take(&mut table, report);
    if report.is_bad_in(&place, "kind") {
        // What else is written there belongs to a kind that is not known here.
        return None;
    }
    refuse_inline_secret(&mut table, report);
    let huawei_keys = HuaweiZoneKeys::take(&mut table, report);
    let rfc2136_keys = Rfc2136Keys::take(&mut table, report);
    let embedded_keys = EmbeddedKeys::take(&mut table, report);
    let secondaries_mark = table.mark("secondaries");
    let secondaries = table.take_list("secondaries", report);
    table.finish(report);
    let witnesses = each_once(witnesses.as_ref(), WITNESSES_MAX, "keep those that clients ask", report);
    let Some(kind) = kind.map(|at| at.value) else {
        report.missing(&place, "kind", "write kind = \"huawei\", \"rfc2136\" or \"embedded\"");
        return None;
    };
    if zone.is_none() {
        report.missing(&place, "zone", "write the zone's name: zone = \"localdev.me.\"");
    }
    refuse_others(huawei_keys.marks(), ProviderKindWord::Huawei, kind, report);
    refuse_others(rfc2136_keys.marks(), ProviderKindWord::Rfc2136, kind, report);
    let embedded_marks = embedded_keys.marks().chain(secondaries_mark.as_ref());
    refuse_others(embedded_marks, ProviderKindWord::Embedded, kind, report);
    let kind = match kind {
        ProviderKindWord::Huawei => {
            huawei(huawei_keys, zone, &place, clouds, report).map(ProviderKind::Huawei)
        }
        ProviderKindWord::Rfc2136 => rfc2136(rfc2136_keys, zone, &place, report).map(ProviderKind::Rfc2136),
        ProviderKindWord::Embedded => {
            embedded(embedded_keys, secondaries, zone, &place, listeners, report).map(ProviderKind::Embedded)
        }
    };
    Some(Provider { kind: kind?, witnesses })
}

/// Keys that another kind has would have no effect.
fn refuse_others<'m>(
    marks: impl Iterator<Item = &'m Mark>,
    theirs: ProviderKindWord,
    kind: ProviderKindWord,
    report: &mut Report<'_>,
) {
    if theirs == kind {
        return;
    }
    let mut told = BTreeSet::new();
    for mark in marks {
        // An inline table is told of once, and not key by key.
        let key = mark.key.split('.').next().unwrap_or(mark.key);
        if told.insert(key) {
            let message =
                format!("{key} is a key of kind = \"{}\", not of \"{}\"", theirs.as_str(), kind.as_str());
            report.key(mark, message, "remove it");
        }
    }
}

fn huawei(
    keys: HuaweiZoneKeys,
    zone: Option<At<Fqdn>>,
    place: &Place,
    clouds: &Named<CloudName, Cloud>,
    report: &mut Report<'_>,
) -> Option<HuaweiZone> {
    if keys.zone_type.is_none() {
        let hint =
            "write zone_type = \"private\" or zone_type = \"public\": both may have a zone of that name";
        report.missing(place, "zone_type", hint);
    }
    let (cloud, account) = resolve_cloud(keys.cloud.as_ref(), place, clouds, report)?;
    Some(HuaweiZone {
        cloud,
        cloud_region: keys.cloud_region.map(|at| at.value.0).or_else(|| Some(account?.region.clone()))?,
        zone: zone?.value,
        zone_type: keys.zone_type?.value,
    })
}

fn rfc2136(
    keys: Rfc2136Keys,
    zone: Option<At<Fqdn>>,
    place: &Place,
    report: &mut Report<'_>,
) -> Option<Rfc2136Zone> {
    if keys.server.is_none() {
        report.missing(place, "server", "write the zone's primary server: server = \"10.0.0.53:53\"");
    }
    let tsig = tsig_key(keys.name, keys.algorithm, keys.secret_file, place, report);
    Some(Rfc2136Zone { server: keys.server?.value.0, zone: zone?.value, tsig: tsig? })
}

/// The servers that a key names, when each is there once and there are not too many.
pub(super) fn each_once(
    given: Option<&At<Vec<Spanned<Server>>>>,
    most: usize,
    which: &str,
    report: &mut Report<'_>,
) -> Vec<SocketAddr> {
    let Some(At { value, mark }) = given else { return Vec::new() };
    at_most(value.len(), most, mark, which, report);
    let mut seen = BTreeSet::new();
    for server in value {
        let at = server.get_ref().0;
        if !seen.insert(at) {
            let message = format!("{} names {at} twice", mark.key);
            report.error(&mark.place, server.span(), message, "remove it");
        }
    }
    value.iter().map(|server| server.get_ref().0).collect()
}

/// A list has so many entries at most.
pub(super) fn at_most(count: usize, most: usize, mark: &Mark, which: &str, report: &mut Report<'_>) {
    if count > most {
        report.value(mark, format_args!("{} has {count} entries; it takes {most} at most", mark.key), which);
    }
}

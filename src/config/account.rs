//! `[cloud.NAME]` and `[dns.NAME]`: accounts, and where record sets live.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;

use super::raw::{CloudKeys, HuaweiZoneKeys, IDLE_PROVIDER_KEYS, ProviderKeys};
use super::report::{At, Place, Rank, Report};
use super::suggest::nearest;
use super::table::Table;
use super::value::Id;
use super::words::CredentialsWord;
use super::{Cloud, CredentialsFrom, Endpoints, HuaweiZone, Provider, ProviderKind};
use crate::model::{CloudName, NameError, ProviderName};

/// What is known by name. `None` is one that is there and not good: a reference to it is no mistake.
pub(super) type Named<N, T> = BTreeMap<N, Option<T>>;

/// All accounts, of all files.
pub(super) fn clouds(files: &mut [Table<'_>], report: &mut Report<'_>) -> Named<CloudName, Cloud> {
    named(files, "cloud", "main", CloudName::parse, cloud, report)
}

/// The sections `[section.NAME]` of all files; each name may be there once.
fn named<'i, N: Ord, T>(
    files: &mut [Table<'i>],
    section: &'static str,
    example: &str,
    parse: impl Fn(&str) -> Result<N, NameError>,
    mut read: impl FnMut(Table<'i>, &mut Report<'_>) -> Option<T>,
    report: &mut Report<'_>,
) -> Named<N, T> {
    let mut named = Named::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for (name, head, entries) in
        files.iter_mut().flat_map(|file| file.take_named(section, report)).collect::<Vec<_>>()
    {
        let place = place(section, &name, head);
        if let Some(other) = places.get(name.get_ref()) {
            let message =
                format!("there is a section of that name ({})", report.whence(*other, name.span().start));
            report.error(&place, name.span(), message, "keep one of the two, or give each a name of its own");
            continue;
        }
        places.insert(name.get_ref().clone(), name.span().start);
        let section_read = read(Table::new(entries, place.clone()), report);
        match parse(name.get_ref()) {
            Ok(good) => {
                named.insert(good, section_read);
            }
            Err(error) => {
                let (message, hint) =
                    (format!("the name {}", error.problem), format!("write [{section}.{example}]"));
                report.error(&place, name.span(), message, hint);
            }
        }
    }
    named
}

fn cloud(mut table: Table<'_>, report: &mut Report<'_>) -> Option<Cloud> {
    for (key, file) in [("secret_key", "secret_key_file"), ("security_token", "security_token_file")] {
        if let Some(mark) = table.take_mark(key) {
            let hint =
                format!("write it into a file that only pointsman reads: {file} = \"/etc/pointsman/{key}\"");
            report.key(&mark, format_args!("{key} would be a secret within the configuration"), hint);
        }
    }
    let keys = CloudKeys::take(&mut table, report);
    let place = table.place.clone();
    table.finish(report);
    if keys.region.is_none() {
        report.missing(&place, "region", "write the account's home region: region = \"cn-north-4\"");
    }
    let credentials = credentials(&keys, report);
    for file in [&keys.secret_key_file, &keys.security_token_file].into_iter().flatten() {
        report.secret_file(file);
    }
    let endpoint = |at: Option<At<super::endpoint::Endpoint>>| at.map(|at| at.value.0);
    let id = |at: Option<At<Id>>| at.map(|at| at.value.0);
    Some(Cloud {
        credentials: credentials?,
        region: id(keys.region)?,
        project_id: id(keys.project_id),
        domain_id: id(keys.domain_id),
        endpoints: Endpoints {
            iam: endpoint(keys.iam),
            elb: endpoint(keys.elb),
            eip: endpoint(keys.eip),
            dns: endpoint(keys.dns),
            metadata: endpoint(keys.metadata),
        },
    })
}

fn credentials(keys: &CloudKeys, report: &mut Report<'_>) -> Option<CredentialsFrom> {
    let from = keys.credentials.as_ref().map_or(CredentialsWord::Auto, |at| at.value);
    match (&keys.access_key, &keys.secret_key_file) {
        (Some(access_key), Some(secret_key_file)) => {
            if let Some(at) = keys.credentials.as_ref().filter(|at| at.value != CredentialsWord::Auto) {
                let message = format!("{}, and access_key names other credentials", report.shown(&at.mark));
                report.value(&at.mark, message, "remove one of the two");
            }
            Some(CredentialsFrom::Keys {
                access_key: access_key.value.clone(),
                secret_key_file: secret_key_file.value.clone(),
                security_token_file: keys.security_token_file.as_ref().map(|at| at.value.clone()),
            })
        }
        (Some(access_key), None) => {
            let hint =
                "write the secret key into a file, and add secret_key_file = \"/etc/pointsman/secret_key\"";
            report.lacks(&access_key.mark, "secret_key_file", hint);
            None
        }
        (None, Some(file)) => {
            report.lacks(&file.mark, "access_key", "add access_key = \"…\", the id of that key");
            None
        }
        (None, None) => {
            if let Some(token) = &keys.security_token_file {
                report.lacks(&token.mark, "access_key", "add access_key and secret_key_file");
            }
            Some(match from {
                CredentialsWord::Auto => CredentialsFrom::Auto,
                CredentialsWord::Environment => CredentialsFrom::Environment,
                CredentialsWord::File => CredentialsFrom::File,
                CredentialsWord::Agency => CredentialsFrom::Agency,
            })
        }
    }
}

/// All places where record sets live, of all files.
pub(super) fn providers(
    files: &mut [Table<'_>],
    clouds: &Named<CloudName, Cloud>,
    report: &mut Report<'_>,
) -> Named<ProviderName, Provider> {
    let read = |table: Table<'_>, report: &mut Report<'_>| provider(table, clouds, report);
    named(files, "dns", "private", ProviderName::parse, read, report)
}

/// Keys of the kinds that this version lacks, with the kind.
const OTHER_KINDS: [(&str, &str); 6] = [
    ("server", "rfc2136"),
    ("tsig", "rfc2136"),
    ("listen", "embedded"),
    ("ns", "embedded"),
    ("records", "embedded"),
    ("secondaries", "embedded"),
];

fn provider(
    mut table: Table<'_>,
    clouds: &Named<CloudName, Cloud>,
    report: &mut Report<'_>,
) -> Option<Provider> {
    let place = table.place.clone();
    let kind = ProviderKeys::take(&mut table, report).kind;
    if report.is_bad_in(&place, "kind") {
        // What else is written there belongs to a kind that is not known here.
        return None;
    }
    if kind.is_none() {
        report.missing(&place, "kind", "write kind = \"huawei\"");
    }
    table.take_idle(&IDLE_PROVIDER_KEYS, report);
    for (key, kind) in OTHER_KINDS {
        if let Some(mark) = table.take_mark(key) {
            let message = format!("{key} is a key of kind = \"{kind}\", not of \"huawei\"");
            report.key(&mark, message, "remove it");
        }
    }
    let keys = HuaweiZoneKeys::take(&mut table, report);
    table.finish(report);
    if keys.zone.is_none() {
        report.missing(&place, "zone", "write the zone's name: zone = \"localdev.me.\"");
    }
    if keys.zone_type.is_none() {
        let hint =
            "write zone_type = \"private\" or zone_type = \"public\": both may have a zone of that name";
        report.missing(&place, "zone_type", hint);
    }
    let (cloud, account) = resolve_cloud(keys.cloud.as_ref(), &place, clouds, report)?;
    kind?;
    let zone = HuaweiZone {
        cloud,
        cloud_region: keys.cloud_region.map(|at| at.value.0).or_else(|| Some(account?.region.clone()))?,
        zone: keys.zone?.value,
        zone_type: keys.zone_type?.value,
    };
    Some(Provider { kind: ProviderKind::Huawei(zone), witnesses: Vec::new() })
}

/// The account that is named, or the only one there is; itself when it is good.
pub(super) fn resolve_cloud<'c>(
    given: Option<&At<CloudName>>,
    place: &Place,
    clouds: &'c Named<CloudName, Cloud>,
    report: &mut Report<'_>,
) -> Option<(CloudName, Option<&'c Cloud>)> {
    let (name, cloud) = resolve(given, ("cloud", "cloud"), place, clouds, CloudName::as_str, report)?;
    Some((name, cloud.as_ref()))
}

/// What is named by the key, or the only one of the section that there is.
pub(super) fn resolve<'n, N: Ord + Clone, T>(
    given: Option<&At<N>>,
    (key, section): (&str, &str),
    place: &Place,
    named: &'n Named<N, T>,
    as_str: impl Fn(&N) -> &str,
    report: &mut Report<'_>,
) -> Option<(N, &'n Option<T>)> {
    let known = || named.keys().map(&as_str).collect::<Vec<_>>();
    if let Some(at) = given {
        if let Some((name, found)) = named.get_key_value(&at.value) {
            return Some((name.clone(), found));
        }
        let hint = match nearest(as_str(&at.value), known()) {
            Some(near) => format!("the nearest known name is \"{near}\""),
            None if named.is_empty() => format!("add a section [{section}.{}]", as_str(&at.value)),
            None => format!("known names: {}", known().join(", ")),
        };
        let message =
            format!("{} names no section [{section}.{}]", report.shown(&at.mark), as_str(&at.value));
        report.unresolved(&at.mark, message, hint);
        return None;
    }
    let mut all = named.iter();
    match (all.next(), all.next()) {
        (Some((name, found)), None) => Some((name.clone(), found)),
        (None, _) => {
            report.missing(place, key, format!("add a section [{section}.NAME]"));
            None
        }
        (Some(_), Some(_)) => {
            let hint = format!("there are several; write {key} = one of {}", known().join(", "));
            report.missing(place, key, hint);
            None
        }
    }
}

fn place(section: &str, name: &Spanned<String>, head: Range<usize>) -> Place {
    Place { name: format!("{section} {:?}", name.get_ref()).into(), rank: Rank::General, head }
}

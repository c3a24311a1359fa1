//! One service: its record set, its regions, and the rules between them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::check::{RawCheck, read_list};
use super::embedded::occupied;
use super::named::{Named, resolve};
use super::raw::{IdleServiceKeys, ServiceKeys, TimingKeys};
use super::region::{self, Read, Within, fits};
use super::report::{At, Mark, Place, Rank, Report};
use super::table::Table;
use super::words::WhenAllDownWord;
use super::{Cloud, Provider, ProviderKind};
use crate::model::{
    CloudName, Expression, Failback, Fqdn, Line, Mode, OnDrift, PolicyKind, ProviderName, Record, RecordKey,
    RecordType, RegionName, Routing, Service, ServiceName, Share, Ttl, WhenAllDown, WriteBudget,
};

/// The TTL of a set that the daemon serves itself: clients follow within half a minute, and nobody pays for their questions.
const EMBEDDED_TTL_S: u32 = 30;
const MAX_REMOVED: u32 = 1;
const PANIC_PERCENT: u8 = 50;
const BLAST_WINDOW: Duration = Duration::from_secs(300);
const WRITES: u32 = 6;
const WRITE_WINDOW: Duration = Duration::from_secs(600);

/// What services refer to.
pub(super) struct Sections<'a> {
    /// `[defaults]`.
    pub(super) defaults: TimingKeys,
    /// `[cloud.NAME]`.
    pub(super) clouds: &'a Named<CloudName, Cloud>,
    /// `[dns.NAME]`.
    pub(super) providers: &'a Named<ProviderName, Provider>,
}

/// All services of all files, in the order written; each that is good.
pub(super) fn services(
    files: &mut [Table<'_>],
    sections: &Sections<'_>,
    report: &mut Report<'_>,
) -> Vec<Arc<Service>> {
    let mut services = Vec::new();
    let mut names: BTreeMap<ServiceName, Mark> = BTreeMap::new();
    let mut records: BTreeMap<(Fqdn, RecordType), Vec<(Record, Mark)>> = BTreeMap::new();
    let mut projects = BTreeMap::new();
    let tables: Vec<_> = files.iter_mut().flat_map(|file| file.take_list("service", report)).collect();
    if let (true, Some(main)) = (tables.is_empty(), files.first()) {
        report.missing(&main.place, "service", "add a [[service]]: there is nothing to keep alive");
    }
    for (number, (head, entries)) in (1..).zip(tables) {
        let mut table = Table::new(entries, Place { name: "".into(), rank: Rank::Service, head });
        let name = table.peek("name").map_or_else(|| number.to_string(), |name| format!("{name:?}"));
        table.place.name = format!("service {name}").into();
        let place = table.place.clone();
        let keys = ServiceKeys::take(&mut table, report);
        let record = record(&keys, &place, sections, report);
        if let Some(name) = &keys.name {
            match names.get(&name.value) {
                Some(other) => taken(&name.mark, other, report),
                None => {
                    names.insert(name.value.clone(), name.mark.clone());
                }
            }
        } else {
            report.missing(&place, "name", "give it a name: name = \"demo\"");
        }
        if let (Some(record), Some(domain)) = (&record, &keys.domain) {
            let others = records.entry((record.key.name.clone(), record.key.record_type)).or_default();
            fights(record, &domain.mark, others, sections, report);
            others.push((record.clone(), domain.mark.clone()));
        }
        services.extend(service(table, keys, record, sections, &mut projects, report).map(Arc::new));
    }
    services
}

/// The same name twice.
fn taken(name: &Mark, other: &Mark, report: &mut Report<'_>) {
    let whence = report.whence(other.span.start, name.span.start);
    let message = format!("{} is taken ({whence})", report.shown(name));
    report.value(name, message, "give each a name of its own");
}

/// Two services that keep the same record set would undo each other's work. The others are of the same name and type.
fn fights(
    record: &Record,
    mark: &Mark,
    others: &[(Record, Mark)],
    sections: &Sections<'_>,
    report: &mut Report<'_>,
) {
    let kind = |record: &Record| {
        sections.providers.get(&record.provider).and_then(Option::as_ref).map(|provider| &provider.kind)
    };
    let same_zone = |other: &Record| match (kind(record), kind(other)) {
        (Some(ProviderKind::Huawei(a)), Some(ProviderKind::Huawei(b))) => {
            (&a.cloud, &a.zone, a.zone_type) == (&b.cloud, &b.zone, b.zone_type)
        }
        (Some(ProviderKind::Rfc2136(a)), Some(ProviderKind::Rfc2136(b))) => {
            (a.server, &a.zone) == (b.server, &b.zone)
        }
        (Some(_) | None, _) => record.provider == other.provider,
    };
    let lines_differ = |other: &Record| match (record.key.routing.line(), other.key.routing.line()) {
        (Some(line), Some(other)) => line != other,
        (None, _) | (_, None) => false,
    };
    let clash = others.iter().find(|(other, _)| same_zone(other) && !lines_differ(other));
    if let Some((other_record, other)) = clash {
        let whence = report.whence(other.span.start, mark.span.start);
        if other_record.key.routing.line().is_some() != record.key.routing.line().is_some() {
            let message = format!(
                "{} keeps record sets of that name and type too ({whence}), and only one of the two names a line",
                other.place.name
            );
            let hint = "write line in both; that of everybody is line = \"default_view\"";
            report.value(mark, message, hint);
            return;
        }
        let message =
            format!("the record set {} is kept by {} already ({whence})", record.key, other.place.name);
        report.value(mark, message, "let one service keep it, and give that one all the regions");
    }
}

fn record(
    keys: &ServiceKeys,
    place: &Place,
    sections: &Sections<'_>,
    report: &mut Report<'_>,
) -> Option<Record> {
    if keys.domain.is_none() {
        report.missing(place, "domain", "write the name to keep: domain = \"demo.localdev.me.\"");
    }
    let (provider, zone) =
        resolve(keys.dns.as_ref(), ("dns", "dns"), place, sections.providers, ProviderName::as_str, report)?;
    if let Some(zone) = &zone {
        needs_routing(keys, &provider, zone, report);
    }
    let domain = keys.domain.as_ref()?;
    if let Some(zone) = zone.as_ref().map(Provider::zone)
        && !domain.value.is_within(zone)
    {
        let message =
            format!("{} is not within {zone}, the zone of dns \"{provider}\"", report.shown(&domain.mark));
        report.value(&domain.mark, message, format!("write a name that ends in {zone}, or another dns"));
    }
    let key =
        RecordKey { name: domain.value.clone(), record_type: record_type(keys), routing: routing(keys) };
    let mut create = keys.create.as_ref().is_some_and(|at| at.value);
    let mut ttl = keys.ttl.as_ref().map(|at| at.value);
    if let Some(ProviderKind::Embedded(zone)) = zone.as_ref().map(|provider| &provider.kind) {
        if let Some(wrong) = occupied(zone, &key) {
            report.value(
                &domain.mark,
                format_args!("{} {}", report.shown(&domain.mark), wrong.what),
                wrong.hint,
            );
        }
        if let Some(at) = keys.create.as_ref().filter(|at| !at.value) {
            let message = format!(
                "create has no effect: nobody else makes record sets in the zone of dns \"{provider}\""
            );
            report.warning(place, at.mark.span.clone(), message, "remove it, or write create = true");
        }
        create = true;
        ttl = ttl.or(Ttl::from_seconds(EMBEDDED_TTL_S));
    }
    Some(Record {
        key,
        provider,
        ttl,
        create,
        on_drift: keys.on_drift.as_ref().map_or(OnDrift::Mend, |at| at.value),
    })
}

fn routing(keys: &ServiceKeys) -> Routing {
    let line = keys.line.as_ref().map(|at| at.value.clone());
    match line {
        line if is_weighted(keys) => Routing::Weighted(line.unwrap_or_else(Line::everybody)),
        Some(line) => Routing::Line(line),
        None => Routing::Only,
    }
}

fn is_weighted(keys: &ServiceKeys) -> bool {
    keys.policy.as_ref().is_some_and(|at| at.value == PolicyKind::Weighted)
}

/// Lines and weights are a zone's own, and only some kinds of zones have them.
fn needs_routing(keys: &ServiceKeys, provider: &ProviderName, zone: &Provider, report: &mut Report<'_>) {
    match &zone.kind {
        ProviderKind::Huawei(_) => {}
        ProviderKind::Rfc2136(_) | ProviderKind::Embedded(_) => {
            let lacks =
                |what: &str| format!("dns \"{provider}\" has no {what}; only zones of kind \"huawei\" have");
            if let Some(policy) = keys.policy.as_ref().filter(|_| is_weighted(keys)) {
                let message = format!("{}: {}", report.shown(&policy.mark), lacks("weights"));
                report.value(&policy.mark, message, "write \"all\" or \"priority\"");
            }
            if let Some(line) = &keys.line {
                let message = format!("{}: {}", report.shown(&line.mark), lacks("lines"));
                report.value(&line.mark, message, "remove it");
            }
        }
    }
}

fn record_type(keys: &ServiceKeys) -> RecordType {
    keys.record_type.as_ref().map_or(RecordType::A, |at| at.value)
}

fn service(
    mut table: Table<'_>,
    keys: ServiceKeys,
    record: Option<Record>,
    sections: &Sections<'_>,
    projects: &mut Projects,
    report: &mut Report<'_>,
) -> Option<Service> {
    let place = table.place.clone();
    let timing = TimingKeys::take(&mut table, report).over(&sections.defaults);
    let checks = table.take_list("check", report);
    let checks = read_list(checks, &place, Rank::Check, report);
    let region_tables = table.take_list("region", report);
    IdleServiceKeys::take(&mut table, report);
    if let Some(mark) = table.take_mark("record") {
        let hint = "write domain, type, dns and ttl in the service; a service for each further record set";
        report.key(&mark, "[[service.record]] is not available in this version", hint);
    }
    table.finish(report);

    let within = Within {
        service: keys.name.as_ref().map(|at| &at.value),
        domain: keys.domain.as_ref().map(|at| &at.value),
        record_type: record_type(&keys),
        is_weighted: is_weighted(&keys),
        checks: &checks,
        up_when: keys.up_when.as_ref(),
        timing: &timing,
        clouds: sections.clouds,
    };
    let mut regions: Vec<Read> = Vec::with_capacity(region_tables.len());
    for (number, (head, entries)) in (1..).zip(region_tables) {
        let mut table = Table::new(entries, Place { name: "".into(), rank: Rank::Region, head });
        let name = table.peek("name").map_or_else(|| number.to_string(), |name| format!("{name:?}"));
        table.place.name = format!("{}, region {name}", place.name).into();
        let read = region::read(table, &within, report);
        let same = |other: &&At<RegionName>| read.name.as_ref().is_some_and(|name| name.value == other.value);
        if let (Some(name), Some(other)) =
            (&read.name, regions.iter().filter_map(|region| region.name.as_ref()).find(same))
        {
            taken(&name.mark, &other.mark, report);
        }
        regions.push(read);
    }
    if regions.is_empty() {
        report.missing(&place, "region", "add at least one [[service.region]]");
    }
    voiceless(&checks, keys.up_when.as_ref(), report);
    shared_addresses(&regions, report);
    one_project(&regions, sections.clouds, projects, report);
    different_ports(&regions, &place, report);
    for_a_person(&keys, report);
    let bounds = Bounds::of(&keys, &regions, report);
    let when_all_down = when_all_down(&keys, bounds.min_published, report);
    Some(Service {
        name: keys.name?.value,
        record: record?,
        policy: keys.policy.map_or(PolicyKind::All, |at| at.value),
        min_published: bounds.min_published,
        when_all_down: when_all_down?,
        max_removed: bounds.max_removed,
        panic_threshold: bounds.panic_threshold?,
        blast_window: keys.blast_window.map_or(Some(BLAST_WINDOW), |at| at.value.0),
        write_budget: WriteBudget {
            writes: keys.writes.map_or(WRITES, |at| at.value.get()),
            window: keys.write_window.map_or(WRITE_WINDOW, |at| at.value.0),
        },
        mode: keys.mode.map_or(Mode::Act, |at| at.value),
        failback: keys.failback.map_or(Failback::Auto, |at| at.value),
        regions: regions.into_iter().map(|read| read.region.map(Arc::new)).collect::<Option<_>>()?,
    })
    .filter(|service| !service.regions.is_empty())
}

/// What waits for a person's word, which this version has no command for.
fn for_a_person(keys: &ServiceKeys, report: &mut Report<'_>) {
    let mode = keys.mode.as_ref().filter(|at| at.value == Mode::Advise).map(|at| (&at.mark, "every change"));
    let failback = keys.failback.as_ref().filter(|at| at.value == Failback::Manual);
    let failback = failback.map(|at| (&at.mark, "a region that fell"));
    for (mark, what) in mode.into_iter().chain(failback) {
        let message =
            format!("{} makes {what} wait for a word that no command gives yet", report.shown(mark));
        let hint = "until there is one, `pointsman apply --once` asks a person and does what waits";
        report.warning(&mark.place, mark.span.clone(), message, hint);
    }
}

/// The numbers that bound what checks may do.
struct Bounds {
    min_published: u32,
    max_removed: u32,
    panic_threshold: Option<Share>,
}

impl Bounds {
    fn of(keys: &ServiceKeys, regions: &[Read], report: &mut Report<'_>) -> Self {
        if let Some(least) = &keys.min_published {
            // A region that follows its EIPs has at least one while it serves.
            let addresses: usize = regions.iter().map(|region| region.addresses.len().max(1)).sum();
            let addresses = u32::try_from(addresses).unwrap_or(u32::MAX);
            if addresses > 0 && least.value.get() > addresses {
                let message =
                    format!("{} is more than its regions have: {addresses}", report.shown(&least.mark));
                report.value(&least.mark, message, format!("write at most {addresses}"));
            }
        }
        if let Some(removed) = keys.max_removed.as_ref().filter(|at| at.value == 0) {
            let message =
                format!("{} would keep every region published, dead or alive", report.shown(&removed.mark));
            report.value(
                &removed.mark,
                message,
                "write 1 or more; to write nothing at all, mode = \"observe\"",
            );
        }
        let panic_threshold = keys.panic_threshold.as_ref().map(|at| at.value);
        let count = u32::try_from(regions.len()).unwrap_or(u32::MAX);
        if let Some(at) =
            keys.panic_threshold.as_ref().filter(|at| count > 1 && at.value.is_exceeded_by(1, count))
        {
            let message = format!(
                "{} is less than one region of {count}: no region would ever leave",
                report.shown(&at.mark)
            );
            let hint = format!("write at least \"{}%\"", 100_u32.div_ceil(count));
            report.warning(&at.mark.place, at.mark.span.clone(), message, hint);
        }
        Self {
            min_published: keys.min_published.as_ref().map_or(1, |at| at.value.get()),
            max_removed: keys.max_removed.as_ref().map_or(MAX_REMOVED, |at| at.value),
            panic_threshold: panic_threshold.or_else(|| Share::from_percent(PANIC_PERCENT)),
        }
    }
}

fn when_all_down(keys: &ServiceKeys, min_published: u32, report: &mut Report<'_>) -> Option<WhenAllDown> {
    let word = keys.when_all_down.as_ref();
    if let Some(fallback) = &keys.fallback {
        fits(&fallback.value, &fallback.mark, record_type(keys), report);
        if word.is_none_or(|at| at.value != WhenAllDownWord::Fallback) && !report.is_bad("when_all_down") {
            let message = "fallback has no effect: when_all_down is not \"fallback\"";
            report.key(&fallback.mark, message, "write when_all_down = \"fallback\", or remove it");
        }
    }
    match word.map_or(WhenAllDownWord::KeepLast, |at| at.value) {
        WhenAllDownWord::KeepLast => Some(WhenAllDown::KeepLast),
        WhenAllDownWord::PublishAll => Some(WhenAllDown::PublishAll),
        WhenAllDownWord::Fallback => {
            if let (Some(at), None) = (word, &keys.fallback) {
                report.lacks(&at.mark, "fallback", "write which addresses: fallback = [\"203.0.113.9\"]");
            }
            let list = keys.fallback.as_ref()?;
            let count = u32::try_from(list.value.len()).unwrap_or(u32::MAX);
            if count < min_published {
                let message = format!(
                    "fallback has {count} of the {min_published} addresses that min_published asks for: it would never be published"
                );
                report.value(&list.mark, message, "add addresses, or lower min_published");
            }
            Some(WhenAllDown::Fallback(list.value.iter().map(|at| *at.get_ref()).collect()))
        }
    }
}

/// Checks that mean to vote, where an expression decides without them.
fn voiceless(checks: &[RawCheck], up_when: Option<&At<Expression>>, report: &mut Report<'_>) {
    let Some(up_when) = up_when else { return };
    for check in checks.iter().filter(|check| check.votes()) {
        let mut named = false;
        up_when.value.for_each_check(&mut |name| named |= check.name() == Some(name));
        if !named && check.name().is_some() {
            let message = "up_when does not name it, so that it decides nothing";
            let hint = "add it to up_when, or write vote = false here";
            report.warning(&check.place, check.place.head.clone(), message, hint);
        }
    }
}

/// Two regions with one address cannot leave or return one without the other.
fn shared_addresses(regions: &[Read], report: &mut Report<'_>) {
    for (place, region) in regions.iter().enumerate() {
        let others = || regions.iter().take(place);
        for address in &region.addresses {
            let holds = |other: &&Read| other.addresses.iter().any(|held| held == address);
            if let Some(other) = others().find(holds) {
                let address_text: IpAddr = *address.get_ref();
                let message = format!("address: {address_text} is an address of {} too", other.place.name);
                report.error(&region.place, address.span(), message, "give each region addresses of its own");
            }
        }
        let followed = |read: &&Read| read.addresses.is_empty() && read.elb_ref.is_some();
        let same = |other: &&Read| match (&region.elb_ref, &other.elb_ref) {
            (Some(a), Some(b)) => (&a.cloud, &a.cloud_region, &a.id) == (&b.cloud, &b.cloud_region, &b.id),
            (None, _) | (_, None) => false,
        };
        if followed(&region)
            && let Some(mark) = &region.elb
            && let Some(other) = others().find(|other| followed(other) && same(other))
        {
            let message = format!("elb is that of {} too, so that both have the same EIPs", other.place.name);
            report.value(mark, message, "give each region a load balancer or addresses of its own");
        }
    }
}

/// The cloud region of each account whose `project_id` is written, and the load balancer that is there.
type Projects = BTreeMap<CloudName, (String, Mark)>;

/// A project belongs to one cloud region.
fn one_project(
    regions: &[Read],
    clouds: &Named<CloudName, Cloud>,
    projects: &mut Projects,
    report: &mut Report<'_>,
) {
    for region in regions {
        let (Some(elb), Some(mark)) = (&region.elb_ref, &region.elb) else { continue };
        let account = clouds.get(&elb.cloud).and_then(Option::as_ref);
        if account.is_none_or(|account| account.project_id.is_none()) {
            continue;
        }
        let (there, other) =
            projects.entry(elb.cloud.clone()).or_insert_with(|| (elb.cloud_region.clone(), mark.clone()));
        if *there != elb.cloud_region {
            let (cloud, here) = (&elb.cloud, &elb.cloud_region);
            let whence = report.whence(other.span.start, mark.span.start);
            let message = format!(
                "elb is in {here}, and another one of cloud.{cloud} is in {there} ({whence}), but its project_id is of one region"
            );
            let hint = format!(
                "remove project_id from [cloud.{cloud}], so that each region's project is looked up, or give each region an account of its own: [cloud.NAME]"
            );
            report.value(mark, message, hint);
        }
    }
}

/// A name carries no port.
fn different_ports(regions: &[Read], place: &Place, report: &mut Report<'_>) {
    let listening: Vec<(&Read, u16)> =
        regions.iter().filter_map(|read| Some((read, read.elb_ref.as_ref()?.listener_port))).collect();
    let Some((first, port)) = listening.first() else { return };
    let Some((other, other_port)) = listening.iter().find(|(_, other)| other != port) else { return };
    let marked = other.port_mark.as_ref().or(first.port_mark.as_ref());
    let name = |read: &Read| read.name.as_ref().map_or_else(String::new, |at| at.value.to_string());
    let message = format!(
        "its regions listen on different ports ({} on {port}, {} on {other_port})",
        name(first),
        name(other)
    );
    let hint = "a name carries no port, so clients reach all regions on one; use one port";
    report.warning(place, marked.map_or_else(|| place.head.clone(), |mark| mark.span.clone()), message, hint);
}

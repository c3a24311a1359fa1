//! One region of a service: where it is, what looks at it, and when it is up.

use std::net::IpAddr;

use super::Cloud;
use super::account::resolve_cloud;
use super::check::{Around, RawCheck, merge, read_list};
use super::named::Named;
use super::raw::{RegionKeys, TimingKeys};
use super::report::{At, Mark, Place, Rank, Report};
use super::suggest::nearest;
use super::table::Table;
use super::timing::{Damping, damping};
use crate::model::{
    Check, CheckName, CloudName, ElbRef, Expression, Fqdn, RecordType, Region, RegionName, ServiceName,
    Weight,
};

/// The port of a listener when the region does not say.
const LISTENER_PORT: u16 = 80;

/// What a region must know of its service.
pub(super) struct Within<'a> {
    /// The service, when its name is good.
    pub(super) service: Option<&'a ServiceName>,
    /// The name that clients ask for, when it is good.
    pub(super) domain: Option<&'a Fqdn>,
    /// The family of addresses.
    pub(super) record_type: RecordType,
    /// Whether its regions are weighed.
    pub(super) is_weighted: bool,
    /// The service's checks.
    pub(super) checks: &'a [RawCheck],
    /// When its regions are up, if that is written.
    pub(super) up_when: Option<&'a At<Expression>>,
    /// Its timing, with all that it inherits.
    pub(super) timing: &'a TimingKeys,
    /// The accounts.
    pub(super) clouds: &'a Named<CloudName, Cloud>,
}

/// A region, and what the rules between regions need.
pub(super) struct Read {
    /// What messages call it.
    pub(super) place: Place,
    /// Its name, when it is good.
    pub(super) name: Option<At<RegionName>>,
    /// Its load balancer, as written.
    pub(super) elb: Option<Mark>,
    /// The load balancer, when all about it is good.
    pub(super) elb_ref: Option<ElbRef>,
    /// Where its listener's port is written.
    pub(super) port_mark: Option<Mark>,
    /// Its addresses, as written.
    pub(super) addresses: Vec<toml::Spanned<IpAddr>>,
    /// Itself, when all is good.
    pub(super) region: Option<Region>,
}

/// Reads one region.
pub(super) fn read(mut table: Table<'_>, within: &Within<'_>, report: &mut Report<'_>) -> Read {
    let place = table.place.clone();
    let keys = RegionKeys::take(&mut table, report);
    let own_timing = TimingKeys::take(&mut table, report);
    let own_checks = table.take_list("check", report);
    let own_checks = read_list(own_checks, &place, Rank::RegionCheck, report);
    if let Some(weight) = keys.weight.as_ref().filter(|_| !within.is_weighted) {
        let message = "weight has no effect: the service's policy is not \"weighted\"";
        report.warning(
            &place,
            weight.mark.key_span.clone(),
            message,
            "write policy = \"weighted\" in the service, or remove it",
        );
    }
    table.finish(report);

    let timing = own_timing.over(within.timing);
    let elb_ref = elb_ref(&keys, &place, within, report);
    let addresses = addresses(&keys, &place, within.record_type, report);
    let around = Around {
        service: within.service,
        domain: within.domain,
        record_type: within.record_type,
        region: &place,
        has_elb: keys.elb.is_some(),
        elb: elb_ref.as_ref(),
        listener_port: keys.listener_port.as_ref().map(|at| at.value.0),
        timing: &timing,
    };
    let raw = merge(within.checks, own_checks, report);
    let checked: Vec<_> = raw.iter().map(|check| check.checked(&around, report)).collect();
    let up_when = up_when(&raw, within.up_when, &place, report);
    let damping = region_damping(&raw, &checked, up_when.as_ref(), &timing, report);
    if keys.name.is_none() {
        report.missing(&place, "name", "give it a name: name = \"region1\"");
    }
    let checks: Option<Vec<Check>> = checked.into_iter().map(|(check, _)| check).collect();
    let elb_is_good = keys.elb.is_none() || elb_ref.is_some();
    let region = (|| {
        Some(Region {
            name: keys.name.as_ref()?.value.clone(),
            tier: keys.tier.as_ref().map_or(1, |at| at.value.get()),
            weight: keys.weight.as_ref().map_or(Weight::DEFAULT, |at| at.value),
            elb: elb_ref.clone(),
            addresses: addresses.iter().map(|at| *at.get_ref()).collect(),
            checks: checks?,
            up_when: up_when?,
            recover_after: damping.recover_after,
            flap: damping.flap,
        })
    })();
    Read {
        place,
        name: keys.name,
        elb: keys.elb.map(|at| at.mark),
        elb_ref,
        port_mark: keys.listener_port.map(|at| at.mark),
        addresses,
        region: region.filter(|_| elb_is_good),
    }
}

fn elb_ref(keys: &RegionKeys, place: &Place, within: &Within<'_>, report: &mut Report<'_>) -> Option<ElbRef> {
    let Some(elb) = &keys.elb else {
        let useless = [keys.cloud.as_ref().map(|at| &at.mark), keys.cloud_region.as_ref().map(|at| &at.mark)];
        for mark in
            useless.into_iter().flatten().filter(|_| !report.is_bad_in(place, "elb")).collect::<Vec<_>>()
        {
            let message = format!("{} has no effect without elb", mark.key);
            report.warning(place, mark.key_span.clone(), message, "remove it, or add elb = \"ID\"");
        }
        return None;
    };
    let (cloud, account) = resolve_cloud(keys.cloud.as_ref(), place, within.clouds, report)?;
    let home = || account.map(|account| account.region.clone());
    Some(ElbRef {
        cloud,
        cloud_region: keys.cloud_region.as_ref().map(|at| at.value.0.clone()).or_else(home)?,
        id: elb.value.0.clone(),
        listener_port: keys.listener_port.as_ref().map_or(LISTENER_PORT, |at| at.value.0),
    })
}

fn addresses(
    keys: &RegionKeys,
    place: &Place,
    record_type: RecordType,
    report: &mut Report<'_>,
) -> Vec<toml::Spanned<IpAddr>> {
    let Some(addresses) = &keys.address else {
        let elb_is_bad = report.is_bad_in(place, "elb");
        if keys.elb.is_none() && !elb_is_bad {
            let hint = "add elb = \"ID\", whose EIPs are followed, or address = [\"198.51.100.10\"]";
            report.missing(place, "address", hint);
        }
        return Vec::new();
    };
    let list = &addresses.value;
    fits(list, &addresses.mark, record_type, report);
    list.clone()
}

/// Whether each address is of the type and there once.
pub(super) fn fits(
    list: &[toml::Spanned<IpAddr>],
    mark: &Mark,
    record_type: RecordType,
    report: &mut Report<'_>,
) {
    for (place, address) in list.iter().enumerate() {
        let family = if record_type == RecordType::A { "IPv4" } else { "IPv6" };
        if !record_type.holds(*address.get_ref()) {
            let message = format!(
                "{}: {} is not an {family} address, and type is \"{record_type}\"",
                mark.key,
                address.get_ref()
            );
            report.error(&mark.place, address.span(), message, format!("write an {family} address"));
        }
        if list.iter().take(place).any(|other| other == address) {
            let message = format!("{}: {} is there twice", mark.key, address.get_ref());
            report.error(&mark.place, address.span(), message, "keep one of the two");
        }
    }
}

/// The expression that is written, or all checks that vote.
fn up_when(
    checks: &[RawCheck],
    written: Option<&At<Expression>>,
    place: &Place,
    report: &mut Report<'_>,
) -> Option<Expression> {
    let Some(written) = written else {
        if report.is_bad("up_when") {
            return None;
        }
        let mut votes = checks.iter().filter(|check| check.votes()).peekable();
        if votes.peek().is_none() {
            let (message, hint) = if checks.is_empty() {
                ("no check looks at it", "add a [[service.check]]")
            } else {
                ("none of its checks votes", "remove vote = false from one of them")
            };
            report.head(place, message, hint);
            return None;
        }
        let names: Option<Vec<_>> = votes.map(|check| check.name().cloned().map(Expression::Check)).collect();
        let mut names = names?;
        return if names.len() == 1 { names.pop() } else { Some(Expression::All(names)) };
    };
    let names: Option<Vec<&CheckName>> = checks.iter().map(RawCheck::name).collect();
    let names = names?;
    let mut all_there = true;
    let mut unknown = Vec::new();
    written.value.for_each_check(&mut |name| {
        if !names.contains(&name) {
            all_there = false;
            unknown.push(name.clone());
        }
    });
    for name in unknown {
        let known = names.iter().map(|name| name.as_str());
        let hint = match nearest(name.as_str(), known.clone()) {
            Some(near) => format!("the nearest check is {near}"),
            None if matches!(name.as_str(), "and" | "or" | "not") => {
                "write && || ! in place of words".to_owned()
            }
            None => format!("the checks are {}", known.collect::<Vec<_>>().join(", ")),
        };
        let span = name_span(&written.mark, &name, report);
        let message = format!("up_when names {name}, and not every region has such a check");
        report.error(&written.mark.place, span, message, hint);
    }
    all_there.then(|| written.value.clone())
}

/// Where in the expression a name is first written.
fn name_span(mark: &Mark, name: &CheckName, report: &Report<'_>) -> std::ops::Range<usize> {
    let part_of_name = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
    let text = report.source(&mark.span);
    let found = text.match_indices(name.as_str()).find(|(at, word)| {
        let before = text.get(..*at).and_then(|before| before.chars().next_back());
        let after = text.get(at + word.len()..).and_then(|after| after.chars().next());
        !part_of_name(before) && !part_of_name(after)
    });
    match found {
        Some((at, word)) => mark.span.start + at..mark.span.start + at + word.len(),
        None => mark.span.clone(),
    }
}

/// A region returns as slowly as the most cautious check that has a part in its verdict asks.
fn region_damping(
    raw: &[RawCheck],
    checked: &[(Option<Check>, Damping)],
    up_when: Option<&Expression>,
    timing: &TimingKeys,
    report: &mut Report<'_>,
) -> Damping {
    let mut named: Vec<CheckName> = Vec::new();
    if let Some(up_when) = up_when {
        up_when.for_each_check(&mut |name| named.push(name.clone()));
    }
    let counts = |check: &RawCheck| check.name().is_some_and(|name| named.contains(name));
    let asked = raw.iter().zip(checked).filter(|(check, _)| counts(check)).map(|(_, (_, damping))| *damping);
    asked.reduce(Damping::most_cautious).unwrap_or_else(|| damping(timing, report))
}

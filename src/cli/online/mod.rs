//! Asks the cloud and name servers whether everything that a configuration names is there: `pointsman check --online`.
//!
//! Reads, and never writes. Questions that hang together are asked in turn,
//! others at once; each has a deadline, and all together have one. Start at [`check`].

mod balancer;
mod finding;
mod name_server;
mod numbers;
mod served_zone;
mod warning;
mod witness;
mod zone;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::stream::{self, StreamExt as _};

use super::style::{BAD, CARE, DIM, GOOD, STRONG};
use super::table::{Cell, Table};
use crate::config::{Config, HuaweiZone, ProviderKind};
use crate::huawei::Account;
use crate::model::{Check, CheckKind, CloudName, ElbRef, ProviderName, Region, Service, quoted};
use crate::probe::unreached;
use balancer::{Balancer, Wanted};
use finding::{Finding, Keys, PROJECTS, Patience, Question, Verdict};
use witness::Heard;
use zone::RecordSide;

/// All questions together. Some 20 a second go out, so that even a hundred load balancers are through by then.
const WHOLE: Duration = Duration::from_secs(120);

/// So many chains of questions at once: a few wait for the cloud, none for long for the account's request budget.
const AT_ONCE: usize = 8;

/// A permission that people expect among the others, and no call of ours asks for: record sets are read by name.
const NOT_NEEDED: &str = "not needed, as nothing here asks for it: dns:recordset:get";

/// A service and what was seen of its record set.
type ServiceSide = (Arc<Service>, RecordSide);

/// Everything that was found out.
#[derive(Debug, Default)]
struct Answers {
    findings: Vec<Finding>,
    balancers: Vec<Balancer>,
    services: Vec<ServiceSide>,
    witnesses: Vec<Heard>,
    /// What was seen of each reference that does not answer.
    unreached: Vec<String>,
}

impl Answers {
    fn balancer(&self, region: &Region) -> Option<&Balancer> {
        let elb = elb_of(region)?;
        self.balancers.iter().find(|balancer| balancer.elb == *elb)
    }
}

/// Asks, prints what was found, and says by the exit code whether all that is needed was.
pub(super) async fn check(config: &Config) -> anyhow::Result<ExitCode> {
    let mut accounts = BTreeMap::new();
    for (name, settings) in &config.clouds {
        let account = Account::new(name.clone(), settings, Arc::new(|_| {}))
            .with_context(|| format!("cannot set up the account cloud.{name}"))?;
        accounts.insert(name.clone(), account);
    }
    let patience = Patience::of(WHOLE);
    let answers = ask(config, &accounts, patience).await;
    print(config, &answers)
}

async fn ask(config: &Config, accounts: &BTreeMap<CloudName, Account>, patience: Patience) -> Answers {
    let zones = zones(config);
    let wanted = balancers(config);
    let places: BTreeSet<(&CloudName, &str)> = zones
        .values()
        .map(|zone| (&zone.cloud, zone.cloud_region.as_str()))
        .chain(wanted.iter().map(|wanted| (&wanted.elb.cloud, wanted.elb.cloud_region.as_str())))
        .collect();
    // First, so that everything after it knows the projects' ids.
    let projects = stream::iter(places)
        .filter_map(async |(cloud, region)| Some((accounts.get(cloud)?, cloud, region)))
        .map(|(account, cloud, region)| project(account, cloud, region, config, patience))
        .buffered(AT_ONCE)
        .collect::<Vec<Finding>>()
        .await;
    let balancers = stream::iter(wanted)
        .filter_map(async |wanted| Some((accounts.get(&wanted.elb.cloud)?, wanted)))
        .map(|(account, wanted)| balancer::ask(account, wanted, patience))
        .buffered(AT_ONCE)
        .collect::<Vec<Balancer>>();
    let records = records(config, accounts, zones, patience);
    let references = unreached(&config.vantage.references);
    let name_servers = name_servers(config, patience);
    let (balancers, (of_zones, mut services), (of_servers, others), unreached) =
        futures_util::join!(balancers, records, name_servers, references);
    for (service, side) in others {
        // The cloud knows nothing of it.
        if let Some(known) = services.iter_mut().find(|(known, _)| known.name == service.name) {
            *known = (service, side);
        }
    }

    let of_balancers = balancers.iter().flat_map(|balancer| balancer.findings.clone());
    let rest: Vec<Finding> =
        projects.into_iter().chain(of_balancers).chain(of_zones).chain(of_servers).collect();
    let mut findings: Vec<Finding> =
        config.clouds.keys().filter_map(|cloud| credentials(cloud, &rest)).collect();
    findings.extend(rest);
    let witnesses = witness::ask_all(config, &services).await;
    Answers { findings, balancers, services, witnesses, unreached }
}

/// The zones that services keep record sets in.
fn zones(config: &Config) -> BTreeMap<&ProviderName, &HuaweiZone> {
    let used = |name: &ProviderName| config.services.iter().any(|service| service.record.provider == *name);
    let zones = config.providers.iter().filter_map(|(name, provider)| match &provider.kind {
        ProviderKind::Huawei(zone) => Some((name, zone)),
        ProviderKind::Rfc2136(_) | ProviderKind::Embedded(_) => None,
    });
    zones.filter(|(name, _)| used(name)).collect()
}

/// The zones on name servers that services keep record sets in, each server asked in turn, and all of them at once; and the zones
/// that the daemon serves itself.
async fn name_servers(config: &Config, patience: Patience) -> (Vec<Finding>, Vec<ServiceSide>) {
    let in_zone = |name: &ProviderName| -> Vec<Arc<Service>> {
        config.services.iter().filter(|service| service.record.provider == *name).map(Arc::clone).collect()
    };
    let zones = config.providers.iter().filter_map(|(name, provider)| match &provider.kind {
        ProviderKind::Rfc2136(zone) => Some((name, zone, in_zone(name))),
        ProviderKind::Huawei(_) | ProviderKind::Embedded(_) => None,
    });
    let served = config.providers.iter().filter_map(|(name, provider)| match &provider.kind {
        ProviderKind::Embedded(zone) => Some((name, zone, in_zone(name))),
        ProviderKind::Huawei(_) | ProviderKind::Rfc2136(_) => None,
    });
    let state_dir = &config.daemon.state_dir;
    let served = stream::iter(served)
        .map(async |(name, zone, services)| {
            served_zone::ask(name, zone, state_dir, &services, patience).await
        })
        .buffered(AT_ONCE);
    let asked = stream::iter(zones.filter(|(.., services)| !services.is_empty()))
        .map(async |(name, zone, services)| name_server::ask(name, zone, &services, patience).await)
        .buffered(AT_ONCE)
        .chain(served)
        .collect::<Vec<_>>()
        .await;
    let (findings, services): (Vec<_>, Vec<_>) = asked.into_iter().unzip();
    (findings.into_iter().flatten().collect(), services.into_iter().flatten().collect())
}

/// Every load balancer and port once, with what the checks need of it.
fn balancers(config: &Config) -> Vec<Wanted> {
    let mut all: Vec<Wanted> = Vec::new();
    for service in &config.services {
        for region in &service.regions {
            let of = format!("{}/{}", service.name, region.name);
            let backends = region.checks.iter().filter_map(backends_of);
            let eips = region.checks.iter().filter_map(|check| match &check.kind {
                CheckKind::Eip(eip) => Some(&eip.elb),
                CheckKind::Http(_) | CheckKind::Tcp(_) | CheckKind::Elb(_) => None,
            });
            for elb in region.elb.iter().chain(backends).chain(eips) {
                let backends_needed = region.checks.iter().filter_map(backends_of).any(|other| other == elb);
                let listener_needed = backends_needed || goes_through(region, elb);
                match all.iter_mut().find(|wanted| wanted.elb == *elb) {
                    Some(wanted) => {
                        wanted.listener_needed |= listener_needed;
                        wanted.backends_needed |= backends_needed;
                        if !wanted.regions.contains(&of) {
                            wanted.regions.push(of.clone());
                        }
                    }
                    None => all.push(Wanted {
                        elb: elb.clone(),
                        regions: vec![of.clone()],
                        listener_needed,
                        backends_needed,
                    }),
                }
            }
        }
    }
    all
}

fn backends_of(check: &Check) -> Option<&ElbRef> {
    match &check.kind {
        CheckKind::Elb(elb) => Some(&elb.elb),
        CheckKind::Http(_) | CheckKind::Tcp(_) | CheckKind::Eip(_) => None,
    }
}

/// Whether a check asks the region itself at that listener's port.
fn goes_through(region: &Region, elb: &ElbRef) -> bool {
    region.elb.as_ref() == Some(elb)
        && region.checks.iter().any(|check| match &check.kind {
            CheckKind::Http(http) => http.port == elb.listener_port,
            CheckKind::Tcp(tcp) => tcp.port == elb.listener_port,
            CheckKind::Elb(_) | CheckKind::Eip(_) => false,
        })
}

/// The load balancer that a region stands behind: its own, or the one that its checks ask for.
fn elb_of(region: &Region) -> Option<&ElbRef> {
    region.elb.as_ref().or_else(|| region.checks.iter().find_map(backends_of))
}

async fn project(
    account: &Account,
    cloud: &CloudName,
    region: &str,
    config: &Config,
    patience: Patience,
) -> Finding {
    let answer = account.project_id(region, patience.deadline()).await;
    let of = format!("cloud.{cloud}");
    let what = format!("project of {region}");
    let question = Question { cloud, of: &of, what, permission: PROJECTS, needed: true };
    let finding = question.answered(&answer, |id| (Verdict::Found, id.to_string()));
    if config.clouds.get(cloud).is_some_and(|settings| settings.project_id.is_some()) {
        let saw = format!("{}, as configured; not asked for", finding.saw);
        return Finding { saw, keys: Keys::NotTold, permission: "", ..finding };
    }
    finding
}

/// Whether the account's keys are any good, by what every other question told of them; none when it was not used.
fn credentials(cloud: &CloudName, findings: &[Finding]) -> Option<Finding> {
    let of_cloud: Vec<&Finding> =
        findings.iter().filter(|finding| finding.cloud.as_ref() == Some(cloud)).collect();
    let one = of_cloud.first()?;
    let refused = of_cloud.iter().find_map(|finding| match &finding.keys {
        Keys::NotTaken(words) => Some(words.clone()),
        Keys::Taken | Keys::NotTold => None,
    });
    let taken = of_cloud.iter().any(|finding| matches!(finding.keys, Keys::Taken));
    let (verdict, saw) = match refused {
        Some(words) => (Verdict::Missing, words),
        None if taken => (Verdict::Found, "the cloud takes them".to_owned()),
        None => (Verdict::Unclear, "no question was answered".to_owned()),
    };
    let of = format!("cloud.{cloud}");
    Some(Finding {
        of,
        what: "credentials".to_owned(),
        verdict,
        saw,
        permission: "",
        needed: true,
        ..Finding::clone(one)
    })
}

/// The zones, each asked for once, and the record sets in them.
async fn records(
    config: &Config,
    accounts: &BTreeMap<CloudName, Account>,
    zones: BTreeMap<&ProviderName, &HuaweiZone>,
    patience: Patience,
) -> (Vec<Finding>, Vec<ServiceSide>) {
    let asked = stream::iter(zones)
        .filter_map(async |(name, zone)| Some((name, zone, accounts.get(&zone.cloud)?)))
        .map(async |(name, zone, account)| {
            let (finding, id) = zone::ask_zone(account, name, zone, patience).await;
            (finding, name, zone, account, id)
        })
        .buffered(AT_ONCE)
        .collect::<Vec<_>>()
        .await;
    let of_service = async |service: &Arc<Service>| {
        let place = asked.iter().find(|(_, name, ..)| **name == service.record.provider);
        let Some((_, _, zone, account, Some(id))) = place else {
            return (None, (Arc::clone(service), RecordSide::NotKnown));
        };
        let (finding, side) = zone::ask_record_set(account, service, zone, id, patience).await;
        (Some(finding), (Arc::clone(service), side))
    };
    let (of_sets, services): (Vec<Option<Finding>>, Vec<ServiceSide>) = stream::iter(&config.services)
        .map(of_service)
        .buffered(AT_ONCE)
        .collect::<Vec<_>>()
        .await
        .into_iter()
        .unzip();
    let of_zones = asked.iter().map(|(finding, ..)| finding.clone());
    (of_zones.chain(of_sets.into_iter().flatten()).collect(), services)
}

/// Names, states and values in it are the cloud's.
fn shown(text: &str) -> String {
    quoted(text, 1_000)
}

fn print(config: &Config, answers: &Answers) -> anyhow::Result<ExitCode> {
    let mut out = anstream::stdout().lock();
    let mut table = Table::new(["of", "what", "is", "permission", "saw"]);
    for finding in &answers.findings {
        let Finding { of, what, verdict, saw, permission, .. } = finding;
        let verdict = Cell::new(finding.style(), verdict.as_str());
        table.row([of.as_str().into(), shown(what).into(), verdict, (*permission).into(), shown(saw).into()]);
    }
    write!(out, "\n{table}")?;
    let create = config.services.iter().any(|service| service.record.create);
    let create = if create { ", dns:recordset:create" } else { "" };
    if !config.clouds.is_empty() {
        writeln!(out, "{DIM}not tried, since it would write: dns:recordset:update{create}{DIM:#}")?;
        writeln!(out, "{DIM}{NOT_NEEDED}{DIM:#}")?;
    }

    for (service, side) in &answers.services {
        writeln!(out, "\n{STRONG}{}{STRONG:#}: what the numbers mean", service.name)?;
        for region in &service.regions {
            let monitors = answers.balancer(region).map(|balancer| balancer.monitors.as_slice());
            for sentence in numbers::sentences(region, monitors.unwrap_or_default()) {
                writeln!(out, "  {}: {}", region.name, shown(&sentence))?;
            }
        }
        if let RecordSide::Seen { ttl_s, .. } = side {
            writeln!(
                out,
                "  then the record set is written, and clients follow within its TTL of {ttl_s} s"
            )?;
        }
        for heard in answers.witnesses.iter().filter(|heard| heard.service.name == service.name) {
            writeln!(out, "  {}", shown(&heard.sentence()))?;
        }
    }

    let warnings = warning::all(answers);
    if !warnings.is_empty() {
        writeln!(out)?;
    }
    for warning in &warnings {
        writeln!(out, "{CARE}warning:{CARE:#} {}", shown(warning))?;
    }
    let lacking = answers.findings.iter().filter(|finding| finding.is_lacking()).count();
    writeln!(out)?;
    if lacking > 0 {
        writeln!(
            out,
            "{BAD}not everything that is needed was found{BAD:#}: {lacking} of {} is missing or cannot be told",
            answers.findings.len()
        )?;
        return Ok(ExitCode::FAILURE);
    }
    writeln!(out, "{GOOD}everything that is needed was found{GOOD:#}")?;
    Ok(ExitCode::SUCCESS)
}

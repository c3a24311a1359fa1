//! How often the looks of a configuration ask an account, to be held against its budget before anything runs.
//!
//! Counts what passing looks cost, and how answers are shared: `elb`, one list of members a listener, and what is behind
//! it now and then; `eip` and whoever follows addresses, one list of load balancers a cloud region for each hundred.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::addresses;
use super::elb::TOPOLOGY_AGE_MAX;
use crate::huawei::IDS_A_CALL;
use crate::model::{CheckKind, CloudName, ElbRef, Pace, Service};

/// What the looks of one account ask, in requests a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Demand {
    /// While all is well.
    pub normal: f64,
    /// While every region of it is suspect or recovering.
    pub fast: f64,
}

/// The demand on each account that looks go through.
#[must_use]
pub fn demand(services: &[Arc<Service>]) -> BTreeMap<CloudName, Demand> {
    let mut demands: BTreeMap<CloudName, Demand> = BTreeMap::new();
    for (cloud, rate) in rates(services, Pace::Normal) {
        demands.entry(cloud).or_default().normal += rate;
    }
    for (cloud, rate) in rates(services, Pace::Fast) {
        demands.entry(cloud).or_default().fast += rate;
    }
    demands
}

/// Those who ask for the list of one cloud region's load balancers.
#[derive(Default)]
struct Listing<'s> {
    /// Whoever lists asks for all that are watched.
    ids: BTreeSet<&'s str>,
    intervals: Vec<Duration>,
}

/// The rates at which single questions are asked.
fn rates(services: &[Arc<Service>], pace: Pace) -> Vec<(CloudName, f64)> {
    let mut listeners: BTreeMap<&ElbRef, Vec<Duration>> = BTreeMap::new();
    let mut watched: Vec<(&ElbRef, Option<Duration>)> = Vec::new();
    for region in services.iter().flat_map(|service| &service.regions) {
        for check in &region.checks {
            let interval = match pace {
                Pace::Normal => check.interval,
                Pace::Fast => check.fast_interval,
            };
            match &check.kind {
                CheckKind::Elb(elb) => {
                    listeners.entry(&elb.elb).or_default().push(interval);
                    watched.push((&elb.elb, None));
                }
                CheckKind::Eip(eip) => watched.push((&eip.elb, Some(interval))),
                CheckKind::Http(_) | CheckKind::Tcp(_) => {}
            }
        }
        if let Some(elb) = addresses::followed(region) {
            watched.push((elb, Some(addresses::interval(region))));
        }
    }
    let mut lists: BTreeMap<(&CloudName, &str), Listing<'_>> = BTreeMap::new();
    for (elb, lists_every) in watched {
        let list = lists.entry((&elb.cloud, &elb.cloud_region)).or_default();
        list.ids.insert(&elb.id);
        list.intervals.extend(lists_every);
    }
    let members = listeners.into_iter().map(|(elb, intervals)| {
        let topology = 2.0 / TOPOLOGY_AGE_MAX.as_secs_f64();
        (elb.cloud.clone(), shared(&intervals) + topology)
    });
    let lists = lists.into_iter().map(|((cloud, _), list)| {
        let requests = u32::try_from(list.ids.len().div_ceil(IDS_A_CALL)).unwrap_or(u32::MAX);
        (cloud.clone(), shared(&list.intervals) * f64::from(requests))
    });
    members.chain(lists).collect()
}

/// How often a question is asked that looks at these intervals share. An answer serves every look for which it is news and
/// no older than half its interval: so one call an interval is enough
/// for two looks, and two are for any number. A look at
/// twice the interval of another always finds an answer.
fn shared(intervals: &[Duration]) -> f64 {
    let Some(shortest) = intervals.iter().min() else { return 0.0 };
    let rivals = intervals.iter().filter(|interval| **interval < *shortest * 2).count();
    let calls = if rivals <= 2 { 1.0 } else { 2.0 };
    calls / shortest.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::path::Path;

    use super::*;
    use crate::config;

    const HEAD: &str = r#"
        [cloud.main]
        region = "cn-north-4"
        [dns.private]
        kind = "huawei"
        zone = "localdev.me."
        zone_type = "private"
    "#;

    const CHECKS: &str = r#"check = [{ name = "elb", kind = "elb" }, { name = "eip", kind = "eip" }]"#;

    #[test]
    fn two_regions_in_two_cloud_regions_ask_for_members_and_lists_of_their_own() {
        // Each second: two lists of members, two of load balancers; and what is behind two listeners every 5 minutes.
        let text = service("demo", CHECKS, &["cn-north-4", "cn-east-3"]);
        assert_demand(&text, 4.0 / 5.0 + 4.0 / 300.0, 4.0 + 4.0 / 300.0);
    }

    #[test]
    fn load_balancers_of_one_cloud_region_are_listed_together_a_hundred_at_a_time() {
        let eip = r#"check = [{ name = "eip", kind = "eip", interval = "5s", fast_interval = "2s" }]"#;
        let many = |count: usize| {
            (0..count).fold(String::new(), |mut text, number| {
                text.push_str(&service(&format!("s{number}"), eip, &["cn-north-4"]));
                text
            })
        };
        // One service: its check and who follows its address. More: two calls an interval.
        assert_demand(&many(1), 1.0 / 5.0, 1.0 / 2.0);
        assert_demand(&many(100), 2.0 / 5.0, 2.0 / 2.0);
        assert_demand(&many(101), 4.0 / 5.0, 4.0 / 2.0);
    }

    #[test]
    fn one_listener_is_asked_for_once_by_all_services_behind_it() {
        let elb = r#"check = [{ name = "elb", kind = "elb", interval = "10s", fast_interval = "1s" }]"#;
        let same = |name: &str| service(name, elb, &["cn-north-4"]).replace(&format!("{name}-cn"), "one");
        // Who follows the two addresses asks every 10 s at either pace.
        assert_demand(&(same("a") + &same("b")), 2.0 / 10.0 + 2.0 / 300.0, 1.0 + 1.0 / 10.0 + 2.0 / 300.0);
    }

    #[test]
    fn direct_looks_ask_nobody() {
        let text = r#"
            [[service]]
            name = "demo"
            domain = "demo.localdev.me."
            check = [{ name = "web", kind = "http", interval = "1ms" }]
            region = [{ name = "a", address = ["192.0.2.1"] }]
        "#;
        assert!(demand_of(text).is_empty());
    }

    fn service(name: &str, checks: &str, places: &[&str]) -> String {
        let mut text =
            format!("[[service]]\nname = \"{name}\"\ndomain = \"{name}.localdev.me.\"\n{checks}\n");
        for (number, place) in places.iter().enumerate() {
            write!(
                text,
                "[[service.region]]\nname = \"r{number}\"\ncloud_region = \"{place}\"\nelb = \"{name}-{place}\"\n"
            )
            .unwrap();
        }
        text
    }

    fn demand_of(services: &str) -> BTreeMap<CloudName, Demand> {
        let loaded = config::parse(&format!("{HEAD}{services}"), Path::new("c.toml"));
        demand(&loaded.unwrap_or_else(|error| panic!("{error}")).config.services)
    }

    fn assert_demand(services: &str, normal: f64, fast: f64) {
        let demands = demand_of(services);
        let [demand] = demands.values().collect::<Vec<_>>()[..] else { panic!("{demands:?}") };
        let near = |a: f64, b: f64| (a - b).abs() < 1e-6;
        assert!(
            near(demand.normal, normal) && near(demand.fast, fast),
            "{demand:?}, not {normal} and {fast}"
        );
    }
}

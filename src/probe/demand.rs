//! How often the looks of a configuration ask an account, to be held against its budget before anything runs.
//!
//! Counts how answers are shared: the members of a hundred listeners in one list, what is behind them now and then, and
//! the load balancers of a cloud region a hundred in one list; and every list twice, since the cloud may say of the last
//! page that there is another. [`shortage`] refuses what could leave a check without an answer for too long.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::addresses;
use super::elb::{TOPOLOGY_AGE_MAX, TOPOLOGY_AGE_MAX_IN_DOUBT};
use crate::huawei::{IDS_A_CALL, LOOKS_A_SECOND};
use crate::model::{CheckKind, CloudName, ElbRef, Pace, Region, Service};

/// The requests that one list takes: a `next_marker` may stand on the last page, and then another is asked for.
const REQUESTS_A_LIST: f64 = 2.0;

/// The lists that tell what is behind listeners: those themselves, and their pools.
const LISTS_OF_TOPOLOGY: f64 = 2.0;

/// The longest that the requests for one answer to every question may take, by the rate of the budget. A check is without
/// an answer for three times that at most, 30 s: it has waited for one round, its first failing look asks what is behind
/// the listener, and the one after it counts.
const ROUND_MAX: Duration = Duration::from_secs(10);

/// What the looks of one account ask.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Demand {
    /// Requests a second while all is well.
    pub normal: f64,
    /// Requests a second while the regions in one cloud region fail, and all regions of the services that have one there are
    /// probed at the fast pace; in whichever cloud region that takes most.
    pub fast: f64,
    /// Requests for one answer to every question, then.
    pub round: f64,
}

/// An account is asked so much that a check could be without an answer for more than 30 s.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error(
    "cloud \"{cloud}\": the elb and eip checks need {requests:.0} requests for one answer to each of them while a cloud \
     region fails, and {most} are allowed: a check could be without an answer for more than 30 s\n  leave cloud checks \
     out of some services, or divide the services between accounts or between instances of pointsman"
)]
pub struct Shortage {
    /// The account.
    pub cloud: CloudName,
    /// What they need.
    pub requests: f64,
    /// What its budget has within the time.
    pub most: u64,
}

/// The demand on each account that looks go through.
#[must_use]
pub fn demand(services: &[Arc<Service>]) -> BTreeMap<CloudName, Demand> {
    let mut demands: BTreeMap<CloudName, Demand> = BTreeMap::new();
    for (cloud, asked) in asked(services, None) {
        demands.entry(cloud).or_default().normal = asked.rate;
    }
    let places: BTreeSet<Place<'_>> =
        services.iter().flat_map(|service| &service.regions).flat_map(|region| places_of(region)).collect();
    for place in places {
        for (cloud, asked) in asked(services, Some(place)) {
            let demand = demands.entry(cloud).or_default();
            demand.fast = demand.fast.max(asked.rate);
            demand.round = demand.round.max(asked.round);
        }
    }
    demands
}

/// The accounts that are asked for more than they can answer in time.
#[must_use]
pub fn shortage(services: &[Arc<Service>]) -> Vec<Shortage> {
    let most = u64::from(LOOKS_A_SECOND) * ROUND_MAX.as_secs();
    let short = |(cloud, demand): (CloudName, Demand)| {
        let is_short = demand.round > f64::from(LOOKS_A_SECOND) * ROUND_MAX.as_secs_f64();
        is_short.then_some(Shortage { cloud, requests: demand.round, most })
    };
    demand(services).into_iter().filter_map(short).collect()
}

/// An account and one of the cloud's regions.
type Place<'s> = (&'s CloudName, &'s str);

fn place(elb: &ElbRef) -> Place<'_> {
    (&elb.cloud, &elb.cloud_region)
}

/// Where a region is, as far as that is known: where its load balancer is.
fn places_of(region: &Region) -> impl Iterator<Item = Place<'_>> {
    let of_checks = region.checks.iter().filter_map(|check| match &check.kind {
        CheckKind::Elb(elb) => Some(&elb.elb),
        CheckKind::Eip(eip) => Some(&eip.elb),
        CheckKind::Http(_) | CheckKind::Tcp(_) => None,
    });
    region.elb.iter().chain(of_checks).map(place)
}

/// What is asked of one account.
#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    /// Requests a second.
    rate: f64,
    /// Requests for one answer to every question.
    round: f64,
}

/// What is watched in one cloud region of an account.
#[derive(Default)]
struct Watched<'s> {
    listeners: BTreeSet<&'s ElbRef>,
    /// At which those who look at members do.
    members: Vec<Duration>,
    /// Whoever lists asks for all load balancers that are watched.
    elbs: BTreeSet<&'s str>,
    /// At which those who look at the list do.
    lists: Vec<Duration>,
}

/// What is asked of each account while the regions in that place fail, or nothing does.
fn asked(services: &[Arc<Service>], fails: Option<Place<'_>>) -> BTreeMap<CloudName, Asked> {
    let mut all: BTreeMap<Place<'_>, Watched<'_>> = BTreeMap::new();
    for service in services {
        let is_suspect =
            service.regions.iter().flat_map(|region| places_of(region)).any(|place| fails == Some(place));
        let pace = if is_suspect { Pace::Fast } else { Pace::Normal };
        for region in &service.regions {
            for check in &region.checks {
                let interval = match pace {
                    Pace::Normal => check.interval,
                    Pace::Fast => check.fast_interval,
                };
                match &check.kind {
                    CheckKind::Elb(elb) => {
                        let watched = all.entry(place(&elb.elb)).or_default();
                        watched.listeners.insert(&elb.elb);
                        watched.members.push(interval);
                        watched.elbs.insert(&elb.elb.id);
                    }
                    CheckKind::Eip(eip) => {
                        let watched = all.entry(place(&eip.elb)).or_default();
                        watched.elbs.insert(&eip.elb.id);
                        watched.lists.push(interval);
                    }
                    CheckKind::Http(_) | CheckKind::Tcp(_) => {}
                }
            }
            if let Some(elb) = addresses::followed(region) {
                let watched = all.entry(place(elb)).or_default();
                watched.elbs.insert(&elb.id);
                watched.lists.push(addresses::interval(region));
            }
        }
    }
    let mut asked: BTreeMap<CloudName, Asked> = BTreeMap::new();
    for (place, watched) in all {
        let of_place = watched.asked(fails == Some(place));
        let of_cloud = asked.entry(place.0.clone()).or_default();
        of_cloud.rate += of_place.rate;
        of_cloud.round += of_place.round;
    }
    asked
}

impl Watched<'_> {
    fn asked(&self, fails: bool) -> Asked {
        let members = groups(self.listeners.len());
        // Listeners of one load balancer are asked for apart.
        let mut of_elb: BTreeMap<&str, usize> = BTreeMap::new();
        for listener in &self.listeners {
            *of_elb.entry(listener.id.as_str()).or_default() += 1;
        }
        let most = of_elb.values().max().copied().unwrap_or_default();
        let topologies = members + groups(most.saturating_sub(1) * IDS_A_CALL);
        let age_max = if fails { TOPOLOGY_AGE_MAX_IN_DOUBT } else { TOPOLOGY_AGE_MAX };
        let lists = if self.lists.is_empty() { 0.0 } else { groups(self.elbs.len()) };

        let members = members * REQUESTS_A_LIST;
        let topologies = topologies * REQUESTS_A_LIST * LISTS_OF_TOPOLOGY;
        let lists = lists * REQUESTS_A_LIST;
        Asked {
            rate: members * shared(&self.members)
                + topologies / age_max.as_secs_f64()
                + lists * shared(&self.lists),
            round: members + lists + if fails { topologies } else { 0.0 },
        }
    }
}

/// The requests that name so many things.
fn groups(things: usize) -> f64 {
    u32::try_from(things.div_ceil(IDS_A_CALL)).map_or(f64::INFINITY, f64::from)
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

    const ELB_ALONE: &str = r#"check = [{ name = "elb", kind = "elb" }]"#;

    const CHECKS: &str = r#"check = [{ name = "elb", kind = "elb" }, { name = "eip", kind = "eip" }]"#;

    #[test]
    fn two_regions_in_two_cloud_regions_ask_for_members_and_lists_of_their_own() {
        // In each: a list of members, one of load balancers, and what is behind a listener every 5 minutes, every 15 s where
        // all fails. Each list is two requests.
        let text = service("demo", CHECKS, &["cn-north-4", "cn-east-3"]);
        assert_demand(&text, 8.0 / 5.0 + 8.0 / 300.0, 8.0 + 4.0 / 15.0 + 4.0 / 300.0);
    }

    #[test]
    fn only_the_services_that_have_a_region_where_all_fails_are_probed_fast() {
        let text = service("a", CHECKS, &["cn-north-4"]) + &service("b", CHECKS, &["cn-east-3"]);
        assert_demand(&text, 8.0 / 5.0 + 8.0 / 300.0, 4.0 + 4.0 / 15.0 + 4.0 / 5.0 + 4.0 / 300.0);
    }

    #[test]
    fn members_of_a_hundred_listeners_are_one_list() {
        let many = |count: usize| {
            (0..count).fold(String::new(), |mut text, number| {
                text.push_str(&service(&format!("s{number}"), ELB_ALONE, &["cn-north-4"]));
                text
            })
        };
        // Two lists of members and two of load balancers an interval.
        assert_demand(&many(100), 8.0 / 5.0 + 4.0 / 300.0, 4.0 + 4.0 / 5.0 + 4.0 / 15.0);
        assert_demand(&many(101), 16.0 / 5.0 + 8.0 / 300.0, 8.0 + 8.0 / 5.0 + 8.0 / 15.0);
    }

    #[test]
    fn listeners_of_one_load_balancer_are_resolved_one_by_one() {
        let ports = (80..90).fold(String::new(), |mut text, port| {
            let one = service(&format!("s{port}"), ELB_ALONE, &["cn-north-4"]);
            text.push_str(
                &one.replace(&format!("\"s{port}-cn-north-4\""), &format!("\"one\"\nlistener_port = {port}")),
            );
            text
        });
        assert_demand(&ports, 8.0 / 5.0 + 40.0 / 300.0, 4.0 + 4.0 / 5.0 + 40.0 / 15.0);
    }

    #[test]
    fn what_could_leave_a_check_without_an_answer_is_refused() {
        let many = |count: usize| {
            let services = (0..count).fold(String::new(), |mut text, number| {
                text.push_str(&service(&format!("s{number}"), ELB_ALONE, &["cn-north-4", "cn-east-3"]));
                text
            });
            let loaded = config::parse(&format!("{HEAD}{}", with_ids(&services)), Path::new("c.toml"));
            shortage(&loaded.unwrap_or_else(|error| panic!("{error}")).config.services)
        };
        // For each hundred: members and load balancers in both cloud regions, and what is behind the listeners of one.
        assert_eq!(many(1600), []);
        let short = many(1601);
        assert_eq!((short.len(), short[0].requests, short[0].most), (1, 204.0, 200));
        assert!(short[0].to_string().contains("cloud \"main\""), "{}", short[0]);
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
        assert_demand(&many(1), 2.0 / 5.0, 2.0 / 2.0);
        assert_demand(&many(100), 4.0 / 5.0, 4.0 / 2.0);
        assert_demand(&many(101), 8.0 / 5.0, 8.0 / 2.0);
    }

    #[test]
    fn one_listener_is_asked_for_once_by_all_services_behind_it() {
        let elb = r#"check = [{ name = "elb", kind = "elb", interval = "10s", fast_interval = "1s" }]"#;
        let same = |name: &str| service(name, elb, &["cn-north-4"]).replace(&format!("{name}-cn"), "one");
        // Who follows the two addresses asks every 10 s at either pace.
        assert_demand(&(same("a") + &same("b")), 4.0 / 10.0 + 4.0 / 300.0, 2.0 + 2.0 / 10.0 + 4.0 / 15.0);
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
        let loaded = config::parse(&format!("{HEAD}{}", with_ids(services)), Path::new("c.toml"));
        demand(&loaded.unwrap_or_else(|error| panic!("{error}")).config.services)
    }

    /// Each load balancer's name becomes an id.
    fn with_ids(services: &str) -> String {
        let mut names = Vec::new();
        let mut text = String::new();
        for line in services.lines() {
            match line.strip_prefix("elb = ") {
                Some(name) => {
                    let known = names.iter().position(|known| *known == name);
                    let number = known.unwrap_or(names.len());
                    if known.is_none() {
                        names.push(name);
                    }
                    writeln!(text, "elb = \"3f1c5a60-0000-4000-8000-{number:012}\"").unwrap();
                }
                None => writeln!(text, "{line}").unwrap(),
            }
        }
        text
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

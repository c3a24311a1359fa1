//! Asks for a load balancer, and for what stands behind its listener.

use std::net::IpAddr;

use futures_util::future::join_all;

use super::finding::{Finding, Patience, Question, Verdict};
use crate::huawei::{Account, ApiError, HealthMonitor, Listener, Pool};
use crate::model::{CloudName, ElbRef};

/// A load balancer to ask for.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) elb: ElbRef,
    /// The regions that stand behind it, as `SERVICE/REGION`; at least one.
    pub(super) regions: Vec<String>,
    /// Whether a check looks at its listener, or through it.
    pub(super) listener_needed: bool,
    /// Whether a check looks at its backends.
    pub(super) backends_needed: bool,
}

impl Wanted {
    /// Whose it is, in words: hundreds of services may share one.
    fn of(&self) -> String {
        match self.regions.as_slice() {
            [first, more @ ..] if !more.is_empty() => format!("{first} and {} more", more.len()),
            few => few.concat(),
        }
    }
}

/// What was found out about it.
#[derive(Clone, Debug)]
pub(super) struct Balancer {
    pub(super) elb: ElbRef,
    pub(super) findings: Vec<Finding>,
    pub(super) warnings: Vec<String>,
    /// The addresses bound to it; none when that is not known.
    pub(super) eips: Option<Vec<IpAddr>>,
    /// The health monitors that are switched on, each with its pool's name.
    pub(super) monitors: Vec<(String, HealthMonitor)>,
}

/// Asks all there is to ask, as far as each answer leads.
pub(super) async fn ask(account: &Account, wanted: Wanted, patience: Patience) -> Balancer {
    let asking = Asking { account, wanted: &wanted, of: wanted.of(), patience };
    let mut found = Balancer {
        elb: wanted.elb.clone(),
        findings: Vec::new(),
        warnings: Vec::new(),
        eips: None,
        monitors: Vec::new(),
    };
    if asking.load_balancer(&mut found).await {
        asking.second_opinions(&mut found).await;
        for listener in asking.listeners(&mut found).await {
            asking.backends(&listener, &mut found).await;
        }
    }
    found
}

struct Asking<'a> {
    account: &'a Account,
    wanted: &'a Wanted,
    of: String,
    patience: Patience,
}

impl Asking<'_> {
    fn question(&self, what: String, permission: &'static str, needed: bool) -> Question<'_> {
        Question { cloud: self.cloud(), of: &self.of, what, permission, needed }
    }

    fn cloud(&self) -> &CloudName {
        &self.wanted.elb.cloud
    }

    /// Whether it is there.
    async fn load_balancer(&self, found: &mut Balancer) -> bool {
        let ElbRef { cloud_region, id, .. } = &self.wanted.elb;
        let ids = std::slice::from_ref(id);
        let answer = self.account.load_balancers(cloud_region, ids, self.patience.deadline()).await;
        let question = self.question(format!("ELB {id}"), "elb:loadbalancers:list", true);
        found.findings.push(question.answered(&answer, |listed| match listed.first() {
            None => (Verdict::Missing, format!("{cloud_region} lists no load balancer of this id")),
            Some(elb) => {
                let kind = if elb.guaranteed { "dedicated" } else { "shared" };
                let bound = match &elb.eips {
                    None => elb.untold.clone().unwrap_or_else(|| "its EIPs are not told".to_owned()),
                    Some(eips) if eips.is_empty() => "no EIP is bound".to_owned(),
                    Some(eips) => format!("EIP {}", in_words(eips)),
                };
                (Verdict::Found, format!("{:?}, {kind}, {}, {bound}", elb.name, elb.operating_status))
            }
        }));
        let Some(elb) = answer.ok().and_then(|listed| listed.into_iter().next()) else { return false };
        if !elb.guaranteed {
            found.warnings.push(format!(
                "{}: load balancer {id} is shared, not dedicated: pointsman was made for dedicated ones",
                self.of
            ));
        }
        found.eips = elb.eips;
        true
    }

    /// Asks as the daemon does before it believes that something is not there, or is something else.
    async fn second_opinions(&self, found: &mut Balancer) {
        let ElbRef { cloud_region, id, .. } = &self.wanted.elb;
        let shown = self.account.load_balancer(cloud_region, id, self.patience.deadline());
        let tree = self.account.load_balancer_statuses(cloud_region, id, self.patience.deadline());
        let eips = self.account.eips_of_elb(cloud_region, id, self.patience.deadline());
        let (shown, tree, eips) = futures_util::join!(shown, tree, eips);
        let question = |what: &str| self.question(what.to_owned(), "elb:loadbalancers:get", true);
        let told = "second opinion on what a list lacks";
        let shown = question("ELB by its id").answered(&shown, |_| (Verdict::Found, told.to_owned()));
        found.findings.push(shown);
        let tree = question("status tree")
            .answered(&tree, |tree| (Verdict::Found, format!("{}, {told}", tree.operating_status)));
        found.findings.push(tree);
        let of_eips = self.question("its EIPs by the EIP API".to_owned(), "vpc:publicIps:list", true);
        let told = "second opinion on an EIP that is unbound or another one";
        found.findings.push(of_eips.answered(&eips, |_| (Verdict::Found, told.to_owned())));
    }

    async fn listeners(&self, found: &mut Balancer) -> Vec<Listener> {
        let ElbRef { cloud_region, id, listener_port, .. } = &self.wanted.elb;
        let answer = self.account.listeners(cloud_region, id, *listener_port, self.patience.deadline()).await;
        let what = format!("listener on port {listener_port}");
        let question = self.question(what, "elb:listeners:list", self.wanted.listener_needed);
        found.findings.push(question.answered(&answer, |listeners| match listeners.as_slice() {
            [] => (
                Verdict::Missing,
                "the load balancer has no listener on this port; correct listener_port".to_owned(),
            ),
            listeners => {
                let protocols: Vec<&str> =
                    listeners.iter().map(|listener| listener.protocol.as_str()).collect();
                (Verdict::Found, protocols.join(", "))
            }
        }));
        answer.unwrap_or_default()
    }

    async fn backends(&self, listener: &Listener, found: &mut Balancer) {
        let region = &self.wanted.elb.cloud_region;
        let needed = self.wanted.backends_needed;
        let answer = self.account.pools(region, &listener.id, self.patience.deadline()).await;
        let what = format!("pools behind port {}", listener.protocol_port);
        found.findings.push(self.question(what, "elb:pools:list", needed).answered(&answer, |pools| {
            if pools.is_empty() {
                return (Verdict::Missing, "the listener sends to no pool".to_owned());
            }
            let names: Vec<&str> = pools.iter().map(|pool| pool.name.as_str()).collect();
            (Verdict::Found, names.join(", "))
        }));
        let pools = answer.unwrap_or_default();
        if pools.is_empty() {
            return;
        }
        let ids: Vec<String> = pools.iter().map(|pool| pool.id.clone()).collect();
        let members = self.account.members(region, &ids, self.patience.deadline());
        let monitors = join_all(pools.iter().map(|pool| self.monitor(pool)));
        let (members, monitors) = futures_util::join!(members, monitors);
        let what = "members of the pools".to_owned();
        found.findings.push(self.question(what, "elb:members:list", needed).answered(&members, |members| {
            match members.len() {
                0 => (Verdict::Missing, "no pool has a member".to_owned()),
                1 => (Verdict::Found, "1 member".to_owned()),
                several => (Verdict::Found, format!("{several} members")),
            }
        }));
        for (pool, monitor) in pools.iter().zip(monitors) {
            self.take_monitor(pool, &monitor, found);
        }
    }

    /// The health monitor of a pool; none when it has none.
    async fn monitor(&self, pool: &Pool) -> Result<Option<HealthMonitor>, ApiError> {
        let Some(id) = &pool.healthmonitor_id else { return Ok(None) };
        let region = &self.wanted.elb.cloud_region;
        self.account.health_monitor(region, id, self.patience.deadline()).await.map(Some)
    }

    /// The daemon reads what health monitors found, not the monitors themselves, so none is needed here.
    fn take_monitor(
        &self,
        pool: &Pool,
        answer: &Result<Option<HealthMonitor>, ApiError>,
        found: &mut Balancer,
    ) {
        let what = format!("health monitor of pool {}", pool.name);
        let question = self.question(what, "elb:healthmonitors:get", false);
        let finding = question.answered(answer, |monitor| match monitor {
            None => (Verdict::Missing, "the pool has none".to_owned()),
            Some(HealthMonitor { kind, delay_s, timeout_s, max_retries_down, admin_state_up, .. }) => {
                let on = if *admin_state_up { "" } else { ", switched off" };
                let saw = format!(
                    "{kind} every {delay_s} s, timeout {timeout_s} s, offline after {max_retries_down}{on}"
                );
                (Verdict::Found, saw)
            }
        });
        found.warnings.extend(warning(&self.of, &pool.name, answer));
        if let Ok(Some(monitor)) = answer
            && monitor.admin_state_up
        {
            found.monitors.push((pool.name.clone(), monitor.clone()));
        }
        found.findings.push(finding);
    }
}

/// What is to be said of a pool's health monitor; none when it is there and on.
fn warning(of: &str, pool: &str, monitor: &Result<Option<HealthMonitor>, ApiError>) -> Option<String> {
    let nobody_knows = "nothing notices a dead backend there, and elb checks are unknown";
    match monitor {
        Ok(Some(monitor)) if monitor.admin_state_up => None,
        Ok(Some(_)) => {
            Some(format!("{of}: the health monitor of pool {pool} is switched off: {nobody_knows}"))
        }
        Ok(None) => Some(format!("{of}: pool {pool} has no health monitor: {nobody_knows}")),
        Err(_) => Some(format!("{of}: whether the health monitor of pool {pool} is on cannot be told")),
    }
}

/// Addresses in a row.
fn in_words(addresses: &[IpAddr]) -> String {
    addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_health_monitor_that_is_switched_off_is_as_good_as_none() {
        let monitor = |admin_state_up| HealthMonitor {
            id: "m".to_owned(),
            delay_s: 5,
            max_retries_down: 3,
            timeout_s: 3,
            kind: "TCP".to_owned(),
            admin_state_up,
        };
        assert_eq!(warning("demo/a", "web", &Ok(Some(monitor(true)))), None);
        let off = warning("demo/a", "web", &Ok(Some(monitor(false)))).unwrap();
        assert!(off.starts_with("demo/a: the health monitor of pool web is switched off"), "{off}");
    }

    #[test]
    fn a_load_balancer_of_many_is_named_after_the_first() {
        let elb = ElbRef {
            cloud: CloudName::parse("main").unwrap(),
            cloud_region: "cn-north-4".to_owned(),
            id: "e".to_owned(),
            listener_port: 80,
        };
        let of = |regions: &[&str]| {
            let regions = regions.iter().map(|&region| region.to_owned()).collect();
            Wanted { elb: elb.clone(), regions, listener_needed: true, backends_needed: true }.of()
        };
        assert_eq!(of(&["a/x"]), "a/x");
        assert_eq!(of(&["a/x", "b/x", "c/x"]), "a/x and 2 more");
    }
}

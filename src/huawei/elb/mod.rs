//! ELB v3: load balancers, and what stands behind their listeners.
//!
//! Calls and their answers as types; what a state means for a region is not said here. Start at
//! [`Account::members`](super::Account::members) and [`Member::state_for`].
mod backend;
mod load_balancer;
mod status_tree;

use std::collections::BTreeSet;

use serde::Deserialize;
use tokio::time::Instant;

pub use backend::{HealthMonitor, Listener, ListenerEntry, Member, MemberState, Pool};
pub use load_balancer::LoadBalancer;
use load_balancer::Origin;
pub use status_tree::{StatusListener, StatusMember, StatusPool, StatusTree};

use super::account::Account;
use super::call::{Call, segment};
use super::line::Pacing;
use super::page::{Told, marker_list};
use super::{Api, ApiError};
use crate::clock::instant_now;

/// How many ids one GET carries: some 40 bytes each, so that its URL stays below the 8 KiB that
/// gateways commonly take.
pub const IDS_A_CALL: usize = 100;

marker_list!(LoadBalancers { loadbalancers: LoadBalancer });
marker_list!(Listeners { listeners: Listener });
marker_list!(Pools { pools: Pool });
marker_list!(Members { members: Member });

#[derive(Deserialize)]
struct LoadBalancerAnswer {
    loadbalancer: LoadBalancer,
}

#[derive(Deserialize)]
struct StatusesAnswer {
    statuses: Statuses,
}

#[derive(Deserialize)]
struct Statuses {
    loadbalancer: StatusTree,
}

#[derive(Deserialize)]
struct HealthMonitorAnswer {
    healthmonitor: HealthMonitor,
}

impl Account {
    /// The load balancer `id`.
    ///
    /// # Errors
    /// As every call; [`ApiError::is_not_found`] when the service itself says that there is none.
    pub async fn load_balancer(
        &self,
        region: &str,
        id: &str,
        deadline: Instant,
    ) -> Result<LoadBalancer, ApiError> {
        let call =
            self.elb_get(region, "show load balancer", &["loadbalancers", id], Vec::new(), deadline).await?;
        let answer: LoadBalancerAnswer = self.call(&call, deadline).await?;
        call.must_be(id, &answer.loadbalancer.id)?;
        Ok(answer.loadbalancer.judged(self.origin(region)))
    }

    /// Those of the load balancers `ids` that are there, in one request for each hundred and all its
    /// pages. Asking for none is answered without a request.
    ///
    /// # Errors
    /// As every call.
    pub async fn load_balancers(
        &self,
        region: &str,
        ids: &[String],
        deadline: Instant,
    ) -> Result<Vec<LoadBalancer>, ApiError> {
        let mut found = Vec::new();
        for ids in ids.chunks(IDS_A_CALL) {
            let query = ids.iter().map(|id| ("id", id.clone())).collect();
            let call =
                self.elb_get(region, "list load balancers", &["loadbalancers"], query, deadline).await?;
            let listed = self.pages::<LoadBalancers>(call, deadline).await?;
            let asked = listed.into_iter().filter(|one| ids.contains(&one.id));
            found.extend(asked.map(|one| one.judged(self.origin(region))));
        }
        Ok(found)
    }

    fn origin(&self, region: &str) -> Origin {
        if self.is_on_this_machine(Api::Elb, region) { Origin::ThisMachine } else { Origin::Elsewhere }
    }

    /// The load balancer's tree of states: its listeners, their pools, their members.
    ///
    /// # Errors
    /// As every call; a tree with a list missing is an error, since an absent list is not an empty one.
    pub async fn load_balancer_statuses(
        &self,
        region: &str,
        id: &str,
        deadline: Instant,
    ) -> Result<StatusTree, ApiError> {
        let path = ["loadbalancers", id, "statuses"];
        let call = self.elb_get(region, "show load balancer statuses", &path, Vec::new(), deadline).await?;
        let answer: StatusesAnswer = self.call(&call, deadline).await?;
        Ok(answer.statuses.loadbalancer)
    }

    /// The load balancer's listeners on exactly this port; several when they differ in protocol.
    ///
    /// # Errors
    /// As every call.
    pub async fn listeners(
        &self,
        region: &str,
        load_balancer: &str,
        port: u16,
        deadline: Instant,
    ) -> Result<Vec<Listener>, ApiError> {
        let of = [(load_balancer.to_owned(), port)];
        Ok(self.listeners_of(region, &of, Pacing::default(), deadline).await?.items)
    }

    /// The listeners of at most [`IDS_A_CALL`] load balancers on those ports, in one request and all its pages. Each of them
    /// says whose it is, unless only one load balancer was named.
    ///
    /// # Errors
    /// As every call.
    pub async fn listeners_of(
        &self,
        region: &str,
        of: &[(String, u16)],
        pacing: Pacing,
        deadline: Instant,
    ) -> Result<Told<Listener>, ApiError> {
        let load_balancers: BTreeSet<&str> = of.iter().map(|(id, _)| id.as_str()).collect();
        let ports: BTreeSet<u16> = of.iter().map(|(_, port)| *port).collect();
        let query = load_balancers.into_iter().map(|id| ("loadbalancer_id", id.to_owned()));
        let query = query.chain(ports.iter().map(|port| ("protocol_port", port.to_string()))).collect();
        let call =
            self.elb_get(region, "list listeners", &["listeners"], query, deadline).await?.paced(pacing);
        let mut told = self.pages_told::<Listeners>(call, deadline).await?;
        if let Some(error) = told.missing {
            return Err(error);
        }
        told.items.retain(|listener| ports.contains(&listener.protocol_port));
        Ok(told)
    }

    /// The pools behind a listener: its default one, and those that its forwarding policies name.
    ///
    /// # Errors
    /// As every call.
    pub async fn pools(
        &self,
        region: &str,
        listener: &str,
        deadline: Instant,
    ) -> Result<Vec<Pool>, ApiError> {
        self.pools_of(region, &[listener.to_owned()], Pacing::default(), deadline).await
    }

    /// The pools behind at most [`IDS_A_CALL`] listeners, in one request and all its pages. Asking for none is answered
    /// without a request.
    ///
    /// # Errors
    /// As every call.
    pub async fn pools_of(
        &self,
        region: &str,
        listeners: &[String],
        pacing: Pacing,
        deadline: Instant,
    ) -> Result<Vec<Pool>, ApiError> {
        if listeners.is_empty() {
            return Ok(Vec::new());
        }
        let query = listeners.iter().map(|id| ("listener_id", id.clone())).collect();
        let call = self.elb_get(region, "list pools", &["pools"], query, deadline).await?.paced(pacing);
        self.pages::<Pools>(call, deadline).await
    }

    /// All members of these pools, in one request for each hundred pools and all its pages. Asking for
    /// none is answered without a request.
    ///
    /// # Errors
    /// As every call.
    pub async fn members(
        &self,
        region: &str,
        pools: &[String],
        deadline: Instant,
    ) -> Result<Vec<Member>, ApiError> {
        self.members_told(region, pools, Pacing::default(), deadline).await?.whole()
    }

    /// The same, as far as it is answered: what one request lacks takes nothing from the others.
    ///
    /// # Errors
    /// When nothing is answered.
    pub async fn members_told(
        &self,
        region: &str,
        pools: &[String],
        pacing: Pacing,
        deadline: Instant,
    ) -> Result<Told<Member>, ApiError> {
        let mut all = Told { asked: instant_now(), items: Vec::new(), missing: None };
        for (number, chunk) in pools.chunks(IDS_A_CALL).enumerate() {
            let query = chunk.iter().map(|id| ("pool_id", id.clone())).collect();
            let call =
                self.elb_get(region, "list members", &["members"], query, deadline).await?.paced(pacing);
            match self.pages_told::<Members>(call, deadline).await {
                Ok(told) => {
                    if number == 0 {
                        all.asked = told.asked;
                    }
                    all.items.extend(told.items);
                    all.missing = all.missing.or(told.missing);
                }
                Err(error) if pools.len() <= IDS_A_CALL => return Err(error),
                Err(error) => all.missing = all.missing.or(Some(error)),
            }
        }
        if all.items.is_empty() { all.missing.take().map_or(Ok(all), Err) } else { Ok(all) }
    }

    /// How the load balancer itself checks a pool's members.
    ///
    /// # Errors
    /// As every call; [`ApiError::is_not_found`] when the service itself says that there is none.
    pub async fn health_monitor(
        &self,
        region: &str,
        id: &str,
        deadline: Instant,
    ) -> Result<HealthMonitor, ApiError> {
        let path = ["healthmonitors", id];
        let call = self.elb_get(region, "show health monitor", &path, Vec::new(), deadline).await?;
        let answer: HealthMonitorAnswer = self.call(&call, deadline).await?;
        call.must_be(id, &answer.healthmonitor.id)?;
        Ok(answer.healthmonitor)
    }

    async fn elb_get(
        &self,
        region: &str,
        what: &'static str,
        path: &[&str],
        query: Vec<(&'static str, String)>,
        deadline: Instant,
    ) -> Result<Call, ApiError> {
        let project = self.project_id(region, deadline).await?;
        let path: Vec<String> = path.iter().map(|part| segment(part)).collect();
        let path = format!("/v3/{}/elb/{}", segment(&project), path.join("/"));
        Ok(Call::get(Api::Elb, region, what, path, query).in_project(project))
    }
}

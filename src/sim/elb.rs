//! Load balancers as the API tells them: v3, read only.
//!
//! Each region has one, with a listener at its port, a default pool, a second pool that a forwarding policy
//! sends to, and a listener of another port with nothing behind it.

use serde_json::{Value, json};
use tokio::time::Instant;

use super::answer::{Call, Refusal};
use super::http::{Query, Reply};
use super::page;
use super::state::{Member, Pool, RegionState, State};
use crate::clock;

/// The API's own limit, and what it takes when none is asked for.
const MAX_PAGE: usize = 2000;
/// Where members serve.
const MEMBER_PORT: u16 = 8080;
const CREATED: &str = "2026-09-14T06:21:08Z";

/// Answers `GET /v3/{project}/elb/…`.
pub(super) fn answer(state: &State, project: &str, path: &[&str], call: &Call<'_>) -> Result<Reply, Refusal> {
    if call.request.method != "GET" {
        return Err(Refusal::no_such_call());
    }
    let look = Look { state, project, now: clock::instant_now() };
    let query = call.query;
    match path {
        ["loadbalancers"] => look.load_balancers(query).reply(call),
        ["loadbalancers", id] => {
            one("loadbalancer", look.regions().map(|region| look.load_balancer(region)), id, call)
        }
        ["loadbalancers", id, "statuses"] => look.statuses(id, call),
        ["listeners"] => look.listeners(query).reply(call),
        ["listeners", id] => one("listener", look.regions().flat_map(listeners), id, call),
        ["pools"] => look.pools(query).reply(call),
        ["pools", id] => one("pool", look.regions().flat_map(pools), id, call),
        ["pools", id, "members"] => look.members_of_pool(id, query)?.reply(call),
        ["members"] => look.members(query).reply(call),
        ["healthmonitors"] => {
            let mut items: Vec<Value> =
                look.regions().flat_map(|region| look.health_monitors(region)).collect();
            page::keep(&mut items, query, &["id", "name", "type", "delay"]);
            List { key: "healthmonitors", items }.reply(call)
        }
        ["healthmonitors", id] => {
            one("healthmonitor", look.regions().flat_map(|region| look.health_monitors(region)), id, call)
        }
        _ => Err(Refusal::no_such_call()),
    }
}

struct List {
    key: &'static str,
    items: Vec<Value>,
}

impl List {
    fn reply(self, call: &Call<'_>) -> Result<Reply, Refusal> {
        let page = page::cut(self.items, call.query, MAX_PAGE)?;
        let mut info = json!({"current_count": page.items.len()});
        for (key, value) in [("previous_marker", page.first()), ("next_marker", page.next)] {
            if let (Some(value), Some(info)) = (value, info.as_object_mut()) {
                info.insert(key.to_owned(), value.into());
            }
        }
        let body = json!({self.key: page.items, "page_info": info, "request_id": call.request_id});
        Ok(Reply::json(200, &body))
    }
}

fn one(
    key: &'static str,
    mut items: impl Iterator<Item = Value>,
    id: &str,
    call: &Call<'_>,
) -> Result<Reply, Refusal> {
    let found = items.find(|item| item.get("id").and_then(Value::as_str) == Some(id));
    let found = found.ok_or_else(|| Refusal::not_found(key, id))?;
    Ok(Reply::json(200, &json!({key: found, "request_id": call.request_id})))
}

/// One moment's view of one project.
struct Look<'a> {
    state: &'a State,
    project: &'a str,
    now: Instant,
}

impl Look<'_> {
    fn regions(&self) -> impl Iterator<Item = &RegionState> {
        self.state.regions.iter().filter(|region| region.setup.project_id == self.project)
    }

    fn load_balancers(&self, query: &Query) -> List {
        let mut items: Vec<Value> = self.regions().map(|region| self.load_balancer(region)).collect();
        page::keep(&mut items, query, &["id", "name", "vpc_id", "vip_address", "operating_status"]);
        List { key: "loadbalancers", items }
    }

    fn load_balancer(&self, region: &RegionState) -> Value {
        let bound: Vec<_> = self.state.eips_of(&region.setup.elb_id).collect();
        let eips: Vec<Value> = bound
            .iter()
            .map(|eip| json!({"eip_id": eip.id, "eip_address": eip.address, "ip_version": eip.ip_version()}))
            .collect();
        let publicips: Vec<Value> = bound
            .iter()
            .map(|eip| {
                json!({
                    "publicip_id": eip.id, "publicip_address": eip.address, "ip_version": eip.ip_version(),
                })
            })
            .collect();
        json!({
            "id": region.setup.elb_id, "name": format!("mci-{}", region.setup.name),
            "description": "", "project_id": region.setup.project_id, "provider": "vlb",
            "provisioning_status": "ACTIVE", "operating_status": "ONLINE", "admin_state_up": true,
            "guaranteed": region.setup.dedicated, "vpc_id": region.id("vpc"), "vip_address": "10.20.0.37",
            "vip_port_id": region.id("vip port"), "vip_subnet_cidr_id": region.id("subnet"),
            "ipv6_vip_address": null, "ipv6_vip_virsubnet_id": null, "ipv6_vip_port_id": null,
            "listeners": listeners(region).iter().map(only_id).collect::<Vec<_>>(),
            "pools": pools(region).iter().map(only_id).collect::<Vec<_>>(),
            "eips": eips, "publicips": publicips, "global_eips": [], "tags": [],
            "availability_zone_list": [format!("{}a", region.setup.cloud_region)],
            "enterprise_project_id": "0", "billing_info": "", "charge_mode": "flavor",
            "l4_flavor_id": region.id("l4 flavor"), "l7_flavor_id": region.id("l7 flavor"),
            "elb_virsubnet_ids": [region.id("virsubnet")], "elb_virsubnet_type": "ipv4",
            "ip_target_enable": true, "frozen_scene": null, "deletion_protection_enable": true,
            "autoscaling": {"enable": false, "min_l7_flavor_id": ""}, "public_border_group": "center",
            "created_at": CREATED, "updated_at": CREATED,
        })
    }

    fn listeners(&self, query: &Query) -> List {
        let wanted: Vec<&str> = query.all("loadbalancer_id").collect();
        let of_elb = |region: &&RegionState| wanted.is_empty() || wanted.contains(&&*region.setup.elb_id);
        let mut items: Vec<Value> = self.regions().filter(of_elb).flat_map(listeners).collect();
        page::keep(&mut items, query, &["id", "name", "protocol", "protocol_port", "default_pool_id"]);
        List { key: "listeners", items }
    }

    /// By listener, the pool behind its forwarding policy comes too, though it does not name the listener.
    fn pools(&self, query: &Query) -> List {
        let by_elb: Vec<&str> = query.all("loadbalancer_id").collect();
        let by_listener: Vec<&str> = query.all("listener_id").collect();
        let wanted = |region: &&RegionState| {
            (by_elb.is_empty() || by_elb.contains(&&*region.setup.elb_id))
                && (by_listener.is_empty() || by_listener.contains(&&*listener_id(region)))
        };
        let mut items: Vec<Value> = self.regions().filter(wanted).flat_map(pools).collect();
        page::keep(&mut items, query, &["id", "name", "protocol", "healthmonitor_id"]);
        List { key: "pools", items }
    }

    fn members(&self, query: &Query) -> List {
        let by_elb: Vec<&str> = query.all("loadbalancer_id").collect();
        let by_pool: Vec<&str> = query.all("pool_id").collect();
        let mut items = Vec::new();
        for region in self.regions() {
            if !by_elb.is_empty() && !by_elb.contains(&&*region.setup.elb_id) {
                continue;
            }
            for member in &region.members {
                let pool_id = region.pool_id(member.pool);
                if by_pool.is_empty() || by_pool.contains(&&*pool_id) {
                    let mut item = self.member(region, member);
                    if let Some(item) = item.as_object_mut() {
                        item.insert("pool_id".to_owned(), pool_id.into());
                        item.insert("loadbalancer_id".to_owned(), Value::Null);
                        item.insert("loadbalancers".to_owned(), json!([]));
                    }
                    items.push(item);
                }
            }
        }
        page::keep(&mut items, query, MEMBER_KEYS);
        List { key: "members", items }
    }

    fn members_of_pool(&self, id: &str, query: &Query) -> Result<List, Refusal> {
        let of_pool = |region: &&RegionState| POOLS.iter().any(|pool| region.pool_id(*pool) == id);
        let region = self.regions().find(of_pool).ok_or_else(|| Refusal::not_found("pool", id))?;
        let members = region.members.iter().filter(|member| region.pool_id(member.pool) == id);
        let mut items: Vec<Value> = members.map(|member| self.member(region, member)).collect();
        page::keep(&mut items, query, MEMBER_KEYS);
        Ok(List { key: "members", items })
    }

    fn member(&self, region: &RegionState, member: &Member) -> Value {
        let status = self.member_status(region, member);
        let reason = (status == "OFFLINE").then(
            || json!({"reason_code": "CONNECT_REFUSED", "expected_response": null, "healthcheck_response": null}),
        );
        json!({
            "id": member.id, "name": member.name, "project_id": region.setup.project_id,
            "address": member.address, "protocol_port": MEMBER_PORT, "weight": 1, "admin_state_up": true,
            "ip_version": "v4", "member_type": "ip", "instance_id": "", "subnet_cidr_id": null,
            "availability_zone": "", "operating_status": status, "reason": reason,
            "status": [{"listener_id": listener_id(region), "operating_status": status, "reason": reason,
                "created_at": CREATED, "updated_at": CREATED}],
            "created_at": CREATED, "updated_at": CREATED,
        })
    }

    fn member_status(&self, region: &RegionState, member: &Member) -> &'static str {
        if !region.setup.health_monitor {
            "NO_MONITOR"
        } else if member.passes_checks(self.now, self.state.notice) {
            "ONLINE"
        } else {
            "OFFLINE"
        }
    }

    /// Detection takes about delay × `max_retries_down`; the shortest delay the API knows is a second.
    fn health_monitors(&self, region: &RegionState) -> Vec<Value> {
        let of_pool = |pool: &Pool| {
            json!({
                "id": monitor_id(region, *pool), "name": "check", "type": "HTTP", "admin_state_up": true,
                "delay": self.state.notice.as_secs().clamp(1, 50), "timeout": 1, "max_retries": 1,
                "max_retries_down": 1, "url_path": "/", "http_method": "GET", "expected_codes": "200",
                "domain_name": null, "monitor_port": null, "pools": [{"id": region.pool_id(*pool)}],
                "project_id": region.setup.project_id, "created_at": CREATED, "updated_at": CREATED,
            })
        };
        if region.setup.health_monitor { POOLS.iter().map(of_pool).collect() } else { Vec::new() }
    }

    fn statuses(&self, id: &str, call: &Call<'_>) -> Result<Reply, Refusal> {
        let region = self.regions().find(|region| region.setup.elb_id == id);
        let region = region.ok_or_else(|| Refusal::not_found("loadbalancer", id))?;
        let mut pools = Vec::new();
        let mut worst = "ONLINE";
        for pool in POOLS {
            let mut status = "ONLINE";
            let mut members = Vec::new();
            for member in region.members_of(pool) {
                let of_member = self.member_status(region, member);
                if of_member == "OFFLINE" {
                    (status, worst) = ("DEGRADED", "DEGRADED");
                }
                members
                    .push(json!({"id": member.id, "address": member.address, "protocol_port": MEMBER_PORT,
                    "operating_status": of_member, "provisioning_status": "ACTIVE"}));
            }
            let mut item = json!({"id": region.pool_id(pool), "name": pool_name(pool),
                "provisioning_status": "ACTIVE", "operating_status": status, "members": members});
            if let (true, Some(item)) = (region.setup.health_monitor, item.as_object_mut()) {
                let monitor = json!({"id": monitor_id(region, pool), "name": "check", "type": "HTTP",
                    "provisioning_status": "ACTIVE"});
                item.insert("healthmonitor".to_owned(), monitor);
            }
            pools.push(item);
        }
        let policy = json!({"id": region.id("l7policy"), "name": "host-api", "action": "REDIRECT_TO_POOL",
            "provisioning_status": "ACTIVE", "rules": [{"id": region.id("l7rule"), "type": "PATH",
            "provisioning_status": "ACTIVE"}]});
        let tree = json!({"loadbalancer": {
            "id": id, "name": format!("mci-{}", region.setup.name), "provisioning_status": "ACTIVE",
            "operating_status": worst, "pools": pools, "listeners": [
                {"id": listener_id(region), "name": "mci", "provisioning_status": "ACTIVE",
                    "operating_status": worst, "pools": pools, "l7policies": [policy]},
                {"id": region.id("other listener"), "name": "other", "provisioning_status": "ACTIVE",
                    "operating_status": "ONLINE", "pools": [], "l7policies": []},
            ],
        }});
        Ok(Reply::json(200, &json!({"statuses": tree, "request_id": call.request_id})))
    }
}

const POOLS: [Pool; 2] = [Pool::Web, Pool::Api];
const MEMBER_KEYS: &[&str] =
    &["id", "name", "address", "protocol_port", "weight", "operating_status", "admin_state_up", "ip_version"];

fn listeners(region: &RegionState) -> Vec<Value> {
    let port = region.setup.listener_port;
    let mine = (listener_id(region), "mci", port, Some(region.pool_id(Pool::Web)));
    let other = (region.id("other listener"), "other", port.checked_add(1).unwrap_or(1), None);
    let tell = |(id, name, port, pool): (String, &str, u16, Option<String>)| {
        json!({
            "id": id, "name": name, "description": "", "project_id": region.setup.project_id,
            "protocol": "HTTP", "protocol_port": port, "default_pool_id": pool, "admin_state_up": true,
            "loadbalancers": [{"id": region.setup.elb_id}], "port_ranges": [], "connection_limit": -1,
            "insert_headers": {"X-Forwarded-Host": true}, "http2_enable": false, "sni_container_refs": [],
            "tags": [], "keepalive_timeout": 60, "client_timeout": 60, "member_timeout": 60,
            "enhance_l7policy_enable": true, "enterprise_project_id": "0",
            "created_at": CREATED, "updated_at": CREATED,
        })
    };
    [mine, other].into_iter().map(tell).collect()
}

fn pools(region: &RegionState) -> Vec<Value> {
    let tell = |pool: &Pool| {
        let members: Vec<Value> = region.members_of(*pool).map(|member| json!({"id": member.id})).collect();
        let listeners = match pool {
            Pool::Web => json!([{"id": listener_id(region)}]),
            Pool::Api => json!([]),
        };
        let monitor = region.setup.health_monitor.then(|| monitor_id(region, *pool));
        json!({
            "id": region.pool_id(*pool), "name": pool_name(*pool), "description": "",
            "project_id": region.setup.project_id, "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN",
            "admin_state_up": true, "healthmonitor_id": monitor, "members": members, "listeners": listeners,
            "loadbalancers": [{"id": region.setup.elb_id}], "pool_health": {"minimum_healthy_member_count": 0},
            "session_persistence": null, "ip_version": "dualstack", "type": "ip", "vpc_id": "",
            "slow_start": {"enable": false, "duration": 30}, "any_port_enable": false,
            "enterprise_project_id": "0", "created_at": CREATED, "updated_at": CREATED,
        })
    };
    POOLS.iter().map(tell).collect()
}

fn listener_id(region: &RegionState) -> String {
    region.id("listener")
}

fn monitor_id(region: &RegionState, pool: Pool) -> String {
    region.id(&format!("monitor {}", pool_name(pool)))
}

fn pool_name(pool: Pool) -> &'static str {
    match pool {
        Pool::Web => "web",
        Pool::Api => "api",
    }
}

fn only_id(item: &Value) -> Value {
    json!({"id": item.get("id")})
}

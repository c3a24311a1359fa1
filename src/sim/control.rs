//! The switches of the simulated cloud over HTTP, for another process: under `/sim`, unsigned, JSON.
//!
//! `GET /sim` tells everything, times in milliseconds since the start. `POST /sim/regions/{name}` takes
//! `members_alive` (a number), `eip` (`bound`, `unbound` or an address) and `endpoint` (an
//! [`EndpointState`]). `POST /sim/faults` switches a [`Fault`] on, `GET /sim/faults` lists them,
//! `DELETE /sim/faults[/{id}]` clears. `POST /sim/record` with `by` and `values` writes as somebody else.
//! `POST /sim/forget-tokens` makes metadata tokens worthless.

use std::net::Ipv4Addr;

use serde::Deserialize;
use serde_json::{Value, json};

use super::SimError;
use super::cloud::Cloud;
use super::fault::{Fault, FaultId};
use super::http::{Reply, Request};
use super::region::EndpointState;
use crate::clock;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RegionOrder {
    members_alive: Option<usize>,
    eip: Option<EipOrder>,
    endpoint: Option<EndpointState>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum EipOrder {
    Bound,
    Unbound,
    #[serde(untagged)]
    Address(Ipv4Addr),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordOrder {
    by: String,
    values: Vec<String>,
}

/// Answers a request under `/sim`.
pub(super) async fn answer(cloud: &Cloud, path: &[&str], request: &Request) -> Reply {
    match carry_out(cloud, path, request).await {
        Ok(body) => Reply::json(200, &body),
        Err(error) => Reply::json(400, &json!({"error": error.to_string()})),
    }
}

async fn carry_out(cloud: &Cloud, path: &[&str], request: &Request) -> Result<Value, SimError> {
    match (request.method.as_str(), path) {
        ("GET", []) => Ok(describe(cloud)),
        ("POST", ["regions", name]) => {
            let order: RegionOrder = parse(request)?;
            let region = cloud.find(name)?;
            if let Some(count) = order.members_alive {
                cloud.keep_alive(region, count);
            }
            match order.eip {
                Some(EipOrder::Bound) => cloud.bind_again(region).await?,
                Some(EipOrder::Unbound) => cloud.unbind(region).await?,
                Some(EipOrder::Address(address)) => cloud.change_eip(region, address).await?,
                None => {}
            }
            if let Some(endpoint) = order.endpoint {
                cloud.set_endpoint(region, endpoint).await?;
            }
            Ok(describe(cloud))
        }
        ("GET", ["faults"]) => Ok(faults(cloud)),
        ("POST", ["faults"]) => {
            let fault: Fault = parse(request)?;
            Ok(json!({"id": cloud.add_fault(fault)}))
        }
        ("DELETE", ["faults"]) => {
            cloud.clear_faults();
            Ok(faults(cloud))
        }
        ("DELETE", ["faults", id]) => {
            let id: FaultId = id.parse().map_err(|_| SimError::Request(format!("{id} is no fault's id")))?;
            Ok(json!({"was_on": cloud.clear_fault(id)}))
        }
        ("POST", ["record"]) => {
            let RecordOrder { by, values } = parse(request)?;
            cloud.write_as(&by, values)?;
            Ok(describe(cloud))
        }
        ("POST", ["forget-tokens"]) => {
            cloud.state().agency.forget_tokens();
            Ok(json!({}))
        }
        _ => Err(SimError::Request(format!("{} {} is no switch", request.method, request.path))),
    }
}

/// Everything there is to know from outside, but the keys.
pub(super) fn describe(cloud: &Cloud) -> Value {
    let (zone_values, history) = (cloud.zone_values(), cloud.history());
    let state = cloud.state();
    let regions: Vec<Value> = state
        .regions
        .iter()
        .map(|region| {
            let setup = &region.setup;
            let eip = state.eip_of(&setup.elb_id).map(|eip| eip.address);
            json!({
                "name": setup.name, "cloud_region": setup.cloud_region, "project_id": setup.project_id,
                "elb": setup.elb_id, "listener_port": setup.listener_port, "eip": eip,
                "members": region.members.len(), "endpoint": region.endpoint,
                "members_alive": region.members.iter().filter(|member| member.alive).count(),
            })
        })
        .collect();
    let history: Vec<Value> = history
        .iter()
        .map(|version| {
            json!({
                "values": version.values, "ttl": version.ttl, "written_by": version.written_by,
                "accepted_ms": version.accepted.as_millis(),
                "in_force_ms": version.in_force.map(|after| after.as_millis()),
            })
        })
        .collect();
    let sets: Vec<Value> = state
        .records
        .sets(&cloud.zone_id)
        .filter(|set| set.name.eq_ignore_ascii_case(&cloud.setup.record))
        .map(|set| {
            json!({
                "id": set.id, "type": set.record_type, "line": set.line, "weight": set.weight,
                "status": set.status, "records": set.values, "ttl": set.ttl, "description": set.description,
            })
        })
        .collect();
    let set = state.records.find(&cloud.zone_id, &cloud.setup.record, "A");
    json!({
        "endpoint": format!("http://{}", cloud.api_address), "dns": cloud.dns_address,
        "now_ms": clock::instant_now().duration_since(cloud.started).as_millis(),
        "zone": cloud.setup.zone, "zone_id": cloud.zone_id, "record": cloud.setup.record,
        "record_id": set.map(|set| &set.id), "record_status": set.map(|set| set.status),
        "zone_values": zone_values, "record_sets": sets, "history": history, "regions": regions, "requests": state.requests,
    })
}

fn faults(cloud: &Cloud) -> Value {
    let state = cloud.state();
    state.faults.list().iter().map(|(id, fault)| json!({"id": id, "fault": fault})).collect()
}

fn parse<T: serde::de::DeserializeOwned>(request: &Request) -> Result<T, SimError> {
    serde_json::from_slice(&request.body).map_err(|error| SimError::Request(error.to_string()))
}

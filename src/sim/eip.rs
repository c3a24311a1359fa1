//! Public addresses as the API tells them: v3, and v1 in its older form; bound and unbound here.

use serde_json::{Value, json};

use super::answer::{Call, Refusal};
use super::http::Reply;
use super::state::{Eip, RegionState, State};
use super::{ids, page};

/// What a site allows for a page; sites differ, and this is a small one.
const MAX_PAGE: usize = 200;
const MAX_PAGE_V1: usize = 2000;
const CREATED: &str = "2026-09-14T06:10:43Z";
const CREATED_V1: &str = "2026-09-14 06:10:43";

/// Answers `/v3/{project}/eip/…`.
pub(super) fn answer(
    state: &mut State,
    project: &str,
    path: &[&str],
    call: &Call<'_>,
) -> Result<Reply, Refusal> {
    match (call.request.method.as_str(), path) {
        ("GET", ["publicips"]) => list(state, project, call),
        ("GET", ["publicips", id]) => show(state, project, id, call),
        ("POST", ["publicips", id, "disassociate-instance"]) => {
            let eip = find(state, project, id)?;
            if eip.elb.take().is_none() {
                return Err(Refusal::usual(409, format!("Publicip {id} is not bound.")));
            }
            show(state, project, id, call)
        }
        ("POST", ["publicips", id, "associate-instance"]) => {
            associate(state, project, id, call)?;
            show(state, project, id, call)
        }
        _ => Err(Refusal::no_such_call()),
    }
}

/// Answers `GET /v1/{project}/publicips[/{id}]`.
pub(super) fn answer_v1(
    state: &State,
    project: &str,
    path: &[&str],
    call: &Call<'_>,
) -> Result<Reply, Refusal> {
    let of_project = state.eips.iter().filter(|eip| eip.project_id == project);
    match (call.request.method.as_str(), path) {
        ("GET", []) => {
            let mut items: Vec<Value> = of_project.map(|eip| tell_v1(state, eip)).collect();
            page::keep(&mut items, call.query, &["id", "public_ip_address", "port_id", "ip_version"]);
            let page = page::cut(items, call.query, MAX_PAGE_V1)?;
            Ok(Reply::json(200, &json!({"publicips": page.items})))
        }
        ("GET", [id]) => {
            let eip = of_project.into_iter().find(|eip| eip.id == *id);
            let eip = eip.ok_or_else(|| Refusal::not_found("publicip", id))?;
            Ok(Reply::json(200, &json!({"publicip": tell_v1(state, eip)})))
        }
        _ => Err(Refusal::no_such_call()),
    }
}

fn list(state: &State, project: &str, call: &Call<'_>) -> Result<Reply, Refusal> {
    let of_project = state.eips.iter().filter(|eip| eip.project_id == project);
    let mut items: Vec<Value> = of_project.map(|eip| tell(state, eip)).collect();
    let keys = ["id", "ip_version", "public_ip_address", "status", "associate_instance_type"];
    page::keep(&mut items, call.query, &keys);
    page::keep(&mut items, call.query, &["associate_instance_id", "alias", "public_ipv6_address"]);
    let page = page::cut(items, call.query, MAX_PAGE)?;
    let info = json!({"previous_marker": page.first(), "next_marker": page.next,
        "current_count": page.items.len()});
    let body = json!({"publicips": page.items, "page_info": info, "total_count": page.total,
        "request_id": call.request_id});
    Ok(Reply::json(200, &body))
}

fn show(state: &State, project: &str, id: &str, call: &Call<'_>) -> Result<Reply, Refusal> {
    let eip = state.eips.iter().find(|eip| eip.project_id == project && eip.id == id);
    let eip = eip.ok_or_else(|| Refusal::not_found("publicip", id))?;
    Ok(Reply::json(200, &json!({"publicip": tell(state, eip), "request_id": call.request_id})))
}

fn associate(state: &mut State, project: &str, id: &str, call: &Call<'_>) -> Result<(), Refusal> {
    let body: Value =
        serde_json::from_slice(&call.request.body).map_err(|error| Refusal::bad(error.to_string()))?;
    let option = |key| body.pointer(&format!("/publicip/{key}")).and_then(Value::as_str);
    let (Some("ELB"), Some(elb_id)) = (option("associate_instance_type"), option("associate_instance_id"))
    else {
        return Err(Refusal::bad("associate_instance_type must be ELB, associate_instance_id an id"));
    };
    let known = |region: &RegionState| region.setup.elb_id == elb_id && region.setup.project_id == project;
    if !state.regions.iter().any(known) {
        return Err(Refusal::not_found("loadbalancer", elb_id));
    }
    let version = find(state, project, id)?.ip_version();
    if find(state, project, id)?.elb.is_some() || state.eips_of(elb_id).any(|eip| eip.ip_version() == version)
    {
        return Err(Refusal::usual(409, "The publicip or the instance is bound already."));
    }
    state.bind(id, elb_id);
    Ok(())
}

fn find<'a>(state: &'a mut State, project: &str, id: &str) -> Result<&'a mut Eip, Refusal> {
    let found = state.eips.iter_mut().find(|eip| eip.project_id == project && eip.id == id);
    found.ok_or_else(|| Refusal::not_found("publicip", id))
}

fn tell(state: &State, eip: &Eip) -> Value {
    let region = state.regions.iter().find(|region| Some(&region.setup.elb_id) == eip.elb.as_ref());
    let vnic = region.map(|region| {
        json!({
            "private_ip_address": "10.20.0.37", "device_id": region.setup.elb_id,
            "device_owner": "neutron:LOADBALANCERV3", "vpc_id": region.id("vpc"),
            "port_id": region.id("vip port"), "port_profile": "", "mac": "fa:16:3e:00:00:01",
            "vtep": null, "vni": null, "instance_id": region.setup.elb_id, "instance_type": "elb",
        })
    });
    json!({
        "id": eip.id, "project_id": eip.project_id, "ip_version": eip.ip_version(),
        "public_ip_address": (eip.ip_version() == 4).then_some(eip.address),
        "public_ipv6_address": (eip.ip_version() == 6).then_some(eip.address), "status": if region.is_some() { "ELB" } else { "DOWN" },
        "description": "", "type": "EIP", "vnic": vnic, "lock_status": null,
        "associate_instance_type": region.map(|_| "ELB"), "associate_instance_id": eip.elb,
        "alias": format!("eip-{}", eip.address), "enterprise_project_id": "0", "billing_info": "",
        "bandwidth": {"id": ids::uuid(&format!("bandwidth {}", eip.address)), "size": 200,
            "share_type": "PER", "charge_mode": "traffic", "name": "bw-web", "billing_info": ""},
        "publicip_pool_id": ids::uuid("publicip pool"), "publicip_pool_name": "5_bgp",
        "public_border_group": "center", "allow_share_bandwidth_types": ["share"],
        "created_at": CREATED, "updated_at": CREATED,
    })
}

fn tell_v1(state: &State, eip: &Eip) -> Value {
    let region = state.regions.iter().find(|region| Some(&region.setup.elb_id) == eip.elb.as_ref());
    let mut item = json!({
        "id": eip.id, "tenant_id": eip.project_id, "ip_version": eip.ip_version(),
        "public_ip_address": (eip.ip_version() == 4).then_some(eip.address),
        "public_ipv6_address": (eip.ip_version() == 6).then_some(eip.address),
        "status": if region.is_some() { "ELB" } else { "DOWN" }, "type": "5_bgp", "alias": "", "tags": [],
        "bandwidth_id": ids::uuid(&format!("bandwidth {}", eip.address)), "bandwidth_name": "bw-web",
        "bandwidth_share_type": "PER", "bandwidth_size": 200, "enterprise_project_id": "0",
        "profile": {"order_id": "", "product_id": "", "region_id": "", "user_id": ""},
        "public_border_group": "center", "allow_share_bandwidth_types": ["share"], "create_time": CREATED_V1,
    });
    if let (Some(region), Some(item)) = (region, item.as_object_mut()) {
        item.insert("port_id".to_owned(), region.id("vip port").into());
        item.insert("private_ip_address".to_owned(), "10.20.0.37".into());
    }
    item
}

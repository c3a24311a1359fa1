//! Zones and record sets in the API's forms: v2, and v2.1 with lines and weights.

use serde_json::{Value, json};
use tokio::time::Instant;

use super::answer::{Call, Refusal};
use super::http::{Query, Reply};
use super::record_set::{Change, Set, with_dot};
use super::records::{self, Fate, Records, Write, WriteKind, Zone};
use super::setup::ZoneType;
use super::{ids, page, stamp};
use crate::clock;

/// The API's own limit, and what it takes when none is asked for.
const MAX_PAGE: usize = 500;

/// Which form of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    V2,
    V21,
}

/// When an accepted write is taken up.
#[derive(Clone, Copy, Debug)]
pub(super) enum TakenUp {
    /// As it arrives.
    Now,
    /// Later, and nobody is told.
    At(Instant),
}

/// Answers `/v2/zones…`, `/v2/recordsets` and their forms under `/v2.1`.
pub(super) fn answer(
    records: &mut Records,
    project: &str,
    path: &[&str],
    call: &Call<'_>,
    fate: Fate,
    taken_up: TakenUp,
) -> Result<Reply, Refusal> {
    let (form, path) = match path {
        ["v2", rest @ ..] => (Form::V2, rest),
        ["v2.1", rest @ ..] => (Form::V21, rest),
        _ => return Err(Refusal::no_such_call()),
    };
    let own = |zone: &&Zone| zone.project_id == project;
    let zone = |records: &Records, id: &str| {
        let found = records.zones.iter().filter(own).find(|zone| zone.id == id);
        found.map(|zone| zone.id.clone()).ok_or_else(records::zone_not_found)
    };
    let kind = match (call.request.method.as_str(), path, form) {
        ("GET", ["zones"], Form::V2) => return zones(records, project, call),
        ("GET", ["zones", id], Form::V2) => {
            let id = zone(records, id)?;
            let found = records.zones.iter().find(|zone| zone.id == id);
            let found = found.ok_or_else(records::zone_not_found)?;
            return Ok(Reply::json(200, &tell_zone(records, found, call)));
        }
        ("GET", ["zones", id, "recordsets"], _) => {
            let id = zone(records, id)?;
            return sets(records, &[id], form, call);
        }
        ("GET", ["recordsets"], _) => {
            let asked = zone_type(call.query.one("zone_type"));
            let of_type = records.zones.iter().filter(own).filter(|zone| zone.seen == asked);
            let zones: Vec<String> = of_type.map(|zone| zone.id.clone()).collect();
            return sets(records, &zones, form, call);
        }
        ("GET", ["zones", zone_id, "recordsets", id], _) => {
            let zone_id = zone(records, zone_id)?;
            let set = records.set(id).filter(|set| set.zone_id == zone_id);
            let set = set.ok_or_else(records::set_not_found)?;
            return Ok(Reply::json(200, &tell_set(records, set, form, call)));
        }
        ("POST", ["zones", id, "recordsets"], _) => {
            (zone(records, id)?, WriteKind::Create(change(call, form)?))
        }
        ("PUT", ["zones", zone_id, "recordsets", id], _) => {
            (zone(records, zone_id)?, WriteKind::Update((*id).to_owned(), change(call, form)?))
        }
        ("DELETE", ["zones", zone_id, "recordsets", id], _) => {
            (zone(records, zone_id)?, WriteKind::Delete((*id).to_owned()))
        }
        ("PUT", ["recordsets", id, "statuses", "set"], Form::V21) => {
            let zone_id = records.set(id).ok_or_else(records::set_not_found)?.zone_id.clone();
            (zone(records, &zone_id)?, switch(id, call)?)
        }
        _ => return Err(Refusal::no_such_call()),
    };
    let write = Write { zone_id: kind.0, kind: kind.1, by: call.caller.to_owned(), fate };
    match taken_up {
        TakenUp::Now => {
            let set = records.write(write, clock::instant_now())?;
            Ok(Reply::json(202, &tell_set(records, &set, form, call)))
        }
        TakenUp::At(at) => {
            records.write_late(write, at);
            Ok(Reply::json(202, &json!({})))
        }
    }
}

fn change(call: &Call<'_>, form: Form) -> Result<Change, Refusal> {
    let mut body: Value =
        serde_json::from_slice(&call.request.body).map_err(|error| Refusal::bad(error.to_string()))?;
    if let (Form::V2, Some(body)) = (form, body.as_object_mut()) {
        body.remove("line");
        body.remove("weight");
    }
    serde_json::from_value(body).map_err(|error| Refusal::bad(error.to_string()))
}

fn switch(id: &str, call: &Call<'_>) -> Result<WriteKind, Refusal> {
    let body: Value =
        serde_json::from_slice(&call.request.body).map_err(|error| Refusal::bad(error.to_string()))?;
    match body.get("status").and_then(Value::as_str) {
        Some("DISABLE") => Ok(WriteKind::Disable(id.to_owned())),
        Some("ENABLE") => Ok(WriteKind::Enable(id.to_owned())),
        _ => Err(Refusal::bad("status must be ENABLE or DISABLE")),
    }
}

fn zones(records: &Records, project: &str, call: &Call<'_>) -> Result<Reply, Refusal> {
    let query = call.query;
    let asked = zone_type(query.one("type"));
    let router = query.one("router_id");
    let found = records.zones.iter().filter(|zone| {
        zone.project_id == project
            && zone.seen == asked
            && is_named(&zone.name, query)
            && router.is_none_or(|router| zone.routers.iter().any(|(id, _)| id == router))
    });
    let mut items: Vec<Value> = found.map(|zone| tell_zone(records, zone, call)).collect();
    page::keep(&mut items, query, &["id", "status"]);
    list("zones", items, call)
}

fn sets(records: &Records, zones: &[String], form: Form, call: &Call<'_>) -> Result<Reply, Refusal> {
    let line = call.query.one("line_id");
    let found = zones
        .iter()
        .flat_map(|zone| records.sets(zone))
        .filter(|set| is_named(&set.name, call.query) && line.is_none_or(|line| set.line == line));
    let mut items: Vec<Value> = found.map(|set| tell_set(records, set, form, call)).collect();
    page::keep(&mut items, call.query, &["id", "type", "status", "zone_id"]);
    list("recordsets", items, call)
}

/// A name that contains the asked-for one is found too, unless the search is to be exact.
fn is_named(name: &str, query: &Query) -> bool {
    let name = name.to_ascii_lowercase();
    match query.one("name").map(str::to_ascii_lowercase) {
        None => true,
        Some(wanted) if query.one("search_mode") == Some("equal") => name == with_dot(&wanted),
        Some(wanted) => name.contains(&wanted),
    }
}

fn list(key: &str, items: Vec<Value>, call: &Call<'_>) -> Result<Reply, Refusal> {
    let page = page::cut(items, call.query, MAX_PAGE)?;
    let here = url(call, &call.request.path);
    let with_query = |query: &str| if query.is_empty() { here.clone() } else { format!("{here}?{query}") };
    let mut links = json!({"self": with_query(&call.request.raw_query)});
    if let (Some(next), Some(links)) = (&page.next, links.as_object_mut()) {
        let others = call.request.raw_query.split('&');
        let others = others.filter(|pair| !pair.starts_with("marker=") && !pair.starts_with("offset="));
        let marker = format!("marker={next}");
        let query: Vec<&str> = others.filter(|pair| !pair.is_empty()).chain([marker.as_str()]).collect();
        links.insert("next".to_owned(), with_query(&query.join("&")).into());
    }
    Ok(Reply::json(200, &json!({"links": links, key: page.items, "metadata": {"total_count": page.total}})))
}

fn tell_zone(records: &Records, zone: &Zone, call: &Call<'_>) -> Value {
    let mut item = json!({
        "id": zone.id, "name": zone.name, "description": "", "email": "hostmaster@example.com",
        "zone_type": match zone.seen { ZoneType::Private => "private", ZoneType::Public => "public" },
        "ttl": 300, "serial": 1, "status": "ACTIVE", "record_num": records.sets(&zone.id).count(),
        "pool_id": ids::plain("dns pool"), "project_id": zone.project_id, "tags": [], "masters": [],
        "enterprise_project_id": "0", "created_at": "2026-09-14T06:21:08.137",
        "updated_at": "2026-09-14T06:21:08.137",
        "links": {"self": url(call, &format!("/v2/zones/{}", zone.id))},
    });
    if let (ZoneType::Private, Some(item)) = (zone.seen, item.as_object_mut()) {
        let tell = |(id, region): &(String, String)| json!({"status": "ACTIVE", "router_id": id, "router_region": region});
        item.insert("routers".to_owned(), zone.routers.iter().map(tell).collect());
        item.insert("proxy_pattern".to_owned(), "AUTHORITY".into());
    }
    item
}

fn tell_set(records: &Records, set: &Set, form: Form, call: &Call<'_>) -> Value {
    let zone = records.zones.iter().find(|zone| zone.id == set.zone_id);
    let (version, created, updated) = match form {
        Form::V2 => ("v2", "create_at", "update_at"),
        Form::V21 => ("v2.1", "created_at", "updated_at"),
    };
    let mut item = json!({
        "id": set.id, "name": set.name, "description": set.description, "zone_id": set.zone_id,
        "zone_name": zone.map(|zone| &zone.name), "type": set.record_type, "ttl": set.ttl,
        "records": set.values, "status": set.status, "default": set.system,
        "project_id": zone.map(|zone| &zone.project_id),
        created: stamp::millis(set.created), updated: set.updated.map(stamp::millis),
        "links": {"self": url(call, &format!("/{version}/zones/{}/recordsets/{}", set.zone_id, set.id))},
    });
    if let (Form::V21, Some(item)) = (form, item.as_object_mut()) {
        item.insert("line".to_owned(), set.line.clone().into());
        item.insert("weight".to_owned(), set.weight.into());
        item.insert("health_check_id".to_owned(), Value::Null);
        item.insert("alias_target".to_owned(), Value::Null);
        item.insert("tags".to_owned(), set.tags.clone());
    }
    item
}

fn zone_type(asked: Option<&str>) -> ZoneType {
    if asked == Some("private") { ZoneType::Private } else { ZoneType::Public }
}

fn url(call: &Call<'_>, path: &str) -> String {
    format!("http://{}{path}", call.request.header("host").unwrap_or_default())
}

//! Projects and the account, as IAM tells them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::answer::{Call, Refusal};
use super::http::Reply;
use super::state::State;
use super::{ids, page};

/// Answers `GET /v3/projects` and `GET /v3/auth/domains`.
pub(super) fn answer(state: &State, path: &[&str], call: &Call<'_>) -> Result<Reply, Refusal> {
    let domain = ids::plain("domain");
    let host = call.request.header("host").unwrap_or_default();
    let base = format!("http://{host}{}", call.request.path);
    let links = json!({"self": base, "previous": null, "next": null});
    match (call.request.method.as_str(), path) {
        ("GET", ["projects"]) => {
            let projects: BTreeMap<&str, &str> = state
                .regions
                .iter()
                .map(|region| (region.setup.cloud_region.as_str(), region.setup.project_id.as_str()))
                .collect();
            let tell = |(name, id): (&str, &str)| {
                json!({"id": id, "name": name, "domain_id": domain, "parent_id": domain, "enabled": true,
                    "is_domain": false, "description": "", "links": {"self": format!("{base}/{id}")}})
            };
            let mut items: Vec<Value> = projects.into_iter().map(tell).collect();
            page::keep(&mut items, call.query, &["name", "domain_id", "parent_id", "enabled", "is_domain"]);
            Ok(Reply::json(200, &json!({"projects": items, "links": links})))
        }
        ("GET", ["auth", "domains"]) => {
            let account = json!({"id": domain, "name": "simulated", "enabled": true, "description": "",
                "links": {"self": format!("http://{host}/v3/domains/{domain}")}});
            Ok(Reply::json(200, &json!({"domains": [account], "links": links})))
        }
        _ => Err(Refusal::no_such_call()),
    }
}

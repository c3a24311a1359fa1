//! DNS: what a zone's provider makes of the cloud's answers, reading and writing.
//!
//! That there is no record set is only believed of a list that came whole; a set that cannot be understood is none that is
//! acted on (BLIND-IS-NOT-DOWN); no write is without an address (NEVER-EMPTY).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use pointsman::clock::instant_now;
use pointsman::config::{HuaweiZone, ZoneType};
use pointsman::dns::{HuaweiProvider, Provider as _};
use pointsman::model::{
    CloudName, Found, Fqdn, Line, Part, ProviderError, ProviderErrorKind, RecordKey, RecordSet, RecordType,
    Routing, Ttl, Weight,
};
use serde_json::Value;

use super::script::{REGION, Script, assert_tells_no_key, in_virtual_time};

const TIMEOUT: Duration = Duration::from_secs(5);

pub(super) fn run(input: &[u8]) {
    let script = Script::read(input);
    if !script.is_plain() {
        return;
    }
    in_virtual_time(async {
        for record_type in [RecordType::A, RecordType::Aaaa] {
            let name = Fqdn::parse("demo.localdev.me.").unwrap();
            for routing in
                [Routing::Only, Routing::Line(Line::everybody()), Routing::Weighted(Line::everybody())]
            {
                let key = RecordKey { name: name.clone(), record_type, routing };
                read_and_write(&script, &key, input).await;
            }
        }
    });
}

async fn read_and_write(script: &Arc<Script>, key: &RecordKey, input: &[u8]) {
    let zone = HuaweiZone {
        cloud: CloudName::parse("main").unwrap(),
        cloud_region: REGION.to_owned(),
        zone: Fqdn::parse("localdev.me.").unwrap(),
        zone_type: ZoneType::Private,
    };
    let provider = HuaweiProvider::new(script.account(), zone);
    let answer = provider.read(key, instant_now() + TIMEOUT).await;
    if answer.is_ok() {
        let both = script.lists("zones", "zones") && script.lists("recordsets", "recordsets");
        assert!(both, "read without a list: {answer:?}");
    }
    match answer {
        Ok(found) => {
            if let Some(found) = &found {
                assert_is_told(script, key, found);
            }
            write(&provider, key, found.as_ref(), script, input).await;
        }
        Err(ProviderError { kind, message }) => {
            assert_tells_no_key(&message, input);
            assert!(
                !matches!(kind, ProviderErrorKind::Lost | ProviderErrorKind::Conflict),
                "{kind:?}: {message}"
            );
        }
    }
}

/// Every value is of the set that some answer has under this name and type.
fn assert_is_told(script: &Script, key: &RecordKey, found: &Found) {
    if !found.parts.is_empty() {
        return assert_are_told(script, key, found);
    }
    assert!(!found.values.is_empty(), "an empty set was understood");
    assert!(found.values.iter().all(|value| key.record_type.holds(*value)), "{found:?}");
    let is_it = |set: &Value| {
        let value = |value: &IpAddr| {
            let same = |text: &Value| text.as_str().and_then(|t| t.parse::<IpAddr>().ok()) == Some(*value);
            set["records"].as_array().is_some_and(|records| records.iter().any(same))
        };
        set["id"] == found.id.as_str()
            && set["type"] == key.record_type.as_str()
            && found.values.iter().all(value)
    };
    let answers = script.understood("recordsets");
    let told = answers.iter().filter_map(|a| a["recordsets"].as_array()).flatten().any(is_it);
    assert!(told, "{found:?} was not told");
}

/// The same of each of several sets.
fn assert_are_told(script: &Script, key: &RecordKey, found: &Found) {
    for part in &found.parts {
        let (id, ttl, description) = (part.id.clone(), part.ttl, part.description.clone());
        let values = part.values.clone();
        let alone = Found { id, ttl, description, values, in_force: found.in_force, parts: Vec::new() };
        assert_is_told(script, key, &alone);
        assert!(!part.state.is_served() || part.values.is_subset(&found.values), "{found:?}");
    }
}

async fn write(
    provider: &HuaweiProvider,
    key: &RecordKey,
    found: Option<&Found>,
    script: &Script,
    input: &[u8],
) {
    let address: IpAddr = match key.record_type {
        RecordType::A => [203, 0, 113, 20].into(),
        RecordType::Aaaa => [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into(),
    };
    let mut set = RecordSet::new([address].into(), found.map_or(Ttl::DEFAULT, |found| found.ttl)).unwrap();
    let is_weighted = matches!(key.routing, Routing::Weighted(_));
    if is_weighted {
        // All that was found is ours, and leaves.
        let ours = found.map(|found| found.values.clone()).unwrap_or_default();
        let part =
            Part { weight: Weight::DEFAULT, values: [address].into(), owned: &ours | &[address].into() };
        set = set.in_parts(vec![part], 1);
    }
    let deadline = instant_now() + TIMEOUT;
    let before = script.asked.lock().unwrap().len();
    let written = match found {
        Some(found) => provider.replace(key, found, &set, deadline).await,
        None => provider.create(key, &set, deadline).await,
    };
    let calls = if is_weighted { found.map_or(1, |found| found.parts.len() + 1) } else { 1 };
    assert!(
        script.asked.lock().unwrap().len() <= before + 2 * calls,
        "a call of a write is sent once, and once more when it was refused"
    );
    match written {
        // A clear answer is one that is about the set.
        Ok(()) => {
            let last = script.last.lock().unwrap().clone().unwrap();
            assert_ne!(last.method, "GET");
            let body: Value = serde_json::from_slice(&last.body).unwrap();
            if is_weighted {
                let is_empty = |records: &Value| records.as_array().is_some_and(Vec::is_empty);
                assert!(!body.get("records").is_some_and(is_empty), "NEVER-EMPTY: {body}");
                return;
            }
            assert_eq!(body["records"], serde_json::json!([address.to_string()]));
        }
        Err(ProviderError { message, .. }) => assert_tells_no_key(&message, input),
    }
}

//! Record sets in a zone of Huawei Cloud DNS, end to end over loopback: what is read, written and refused.
#![cfg(test)] // makes clippy take the helpers below for tests too

mod cloud_double;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use cloud_double::{CloudDouble, REGION, read, what_of};
use pointsman::clock::instant_now;
use pointsman::config::{HuaweiZone, ZoneType};
use pointsman::dns::{HuaweiProvider, Provider};
use pointsman::model::{
    Answer, CloudName, Found, Fqdn, InForce, Line, Part, PartState, ProviderErrorKind, RecordKey, RecordSet,
    RecordType, Routing, Ttl, Weight,
};
use serde_json::{Value, json};

const ZONES: &str = "dns-list_private_zones-with-routers";
const SETS: &str = "dns-list_record_sets_by_zone-exact";
const UPDATED: &str = "dns-update_record_set-accepted";
const CREATED: &str = "dns-create_record_set-accepted";
const CONFLICT: &str = "dns-update_record_set-error-conflict";
const NOT_FOUND: &str = "dns-show_record_set-error-not-found";

fn key() -> RecordKey {
    RecordKey::new(Fqdn::parse("demo.localdev.me.").unwrap(), RecordType::A)
}

fn values(texts: &[&str]) -> BTreeSet<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// The zone with the record set of the samples in it.
async fn zone() -> (CloudDouble, HuaweiProvider) {
    let cloud = CloudDouble::start().await;
    for sample in [ZONES, SETS, UPDATED, CREATED] {
        cloud.plays(sample);
    }
    let zone = HuaweiZone {
        cloud: CloudName::parse("main").unwrap(),
        cloud_region: REGION.to_owned(),
        zone: Fqdn::parse("localdev.me.").unwrap(),
        zone_type: ZoneType::Private,
    };
    let provider = HuaweiProvider::new(cloud.account(), zone);
    (cloud, provider)
}

async fn read_set(provider: &HuaweiProvider) -> Answer {
    provider.read(&key(), instant_now() + Duration::from_secs(5)).await
}

async fn refusal(provider: &HuaweiProvider) -> (ProviderErrorKind, String) {
    let error = read_set(provider).await.unwrap_err();
    (error.kind, error.message)
}

/// Replaces what a read found by one address, and says how that went.
async fn replace(provider: &HuaweiProvider, found: &Found) -> Result<(), ProviderErrorKind> {
    let set = RecordSet::new(values(&["203.0.113.20"]), found.ttl).unwrap();
    let deadline = instant_now() + Duration::from_secs(5);
    provider.replace(&key(), found, &set, deadline).await.map_err(|error| error.kind)
}

#[tokio::test]
async fn a_set_is_read_by_exact_name_and_type() {
    let (cloud, provider) = zone().await;
    let found = read_set(&provider).await.unwrap().unwrap();
    assert_eq!(found.values, values(&["198.51.100.10", "203.0.113.20"]));
    assert_eq!((found.ttl.as_seconds(), found.in_force, found.description), (30, InForce::Yes, None));
    let asked = cloud.asked();
    assert!(
        asked[0].query.contains("search_mode=equal") && asked[0].query.contains("type=private"),
        "{asked:?}"
    );
    assert!(asked[1].query.contains("search_mode=equal") && asked[1].query.contains("type=A"), "{asked:?}");
    read_set(&provider).await.unwrap();
    assert_eq!(cloud.asked_for(), ["recordsets"], "the zone is known by now");
}

#[tokio::test]
async fn near_names_are_passed_over() {
    let (cloud, provider) = zone().await;
    cloud.plays("dns-list_private_zones-fuzzy-near-names");
    cloud.plays("dns-list_record_sets_by_zone-fuzzy-near-names");
    let found = read_set(&provider).await.unwrap().unwrap();
    assert_eq!(found.id, "ff8080745e3055a9a7f1f3d0b6ef1fad");
    assert_eq!(found.values, values(&["198.51.100.10", "203.0.113.20"]));
}

#[tokio::test]
async fn a_zone_that_is_ambiguous_is_refused_with_the_ids() {
    let (cloud, provider) = zone().await;
    cloud.plays("dns-list_private_zones-two-of-one-name");
    let (kind, message) = refusal(&provider).await;
    assert_eq!(kind, ProviderErrorKind::Refused);
    for id in ["ff808062079350e0a71d71df1c65edfc", "ff80800ebfdf5c1197178d27109286e8"] {
        assert!(message.contains(id), "{message}");
    }
}

#[tokio::test]
async fn a_zone_that_is_not_there_is_refused_and_looked_for_again_next_time() {
    let (cloud, provider) = zone().await;
    cloud.plays_as(ZONES, |body| body["zones"] = json!([]));
    let (kind, message) = refusal(&provider).await;
    assert_eq!(kind, ProviderErrorKind::Refused);
    assert!(message.contains("private zone localdev.me. in cn-north-4"), "{message}");
    cloud.plays(ZONES);
    assert!(read_set(&provider).await.unwrap().is_some());
}

#[tokio::test]
async fn a_zone_made_anew_under_another_id_is_found_again() {
    let (cloud, provider) = zone().await;
    read_set(&provider).await.unwrap();
    cloud.plays_in_place_of(NOT_FOUND, &what_of(&read(SETS)));
    cloud.plays_as(ZONES, |body| body["zones"][0]["id"] = json!("ff80another"));
    cloud.plays_in_place_of(SETS, "GET /v2/zones/ff80another/recordsets");
    assert!(read_set(&provider).await.unwrap().is_some());
}

#[tokio::test]
async fn several_sets_of_one_name_and_type_are_refused_with_the_ids() {
    let (cloud, provider) = zone().await;
    cloud.plays_as(SETS, |body| {
        let mut second = body["recordsets"][0].clone();
        second["id"] = json!("ff80second");
        body["recordsets"].as_array_mut().unwrap().push(second);
    });
    let (kind, message) = refusal(&provider).await;
    assert_eq!(kind, ProviderErrorKind::Refused);
    assert!(message.contains("ff80second"), "{message}");
}

#[tokio::test]
async fn only_a_list_that_was_answered_empty_means_that_there_is_no_set() {
    let (cloud, provider) = zone().await;
    cloud.plays_as(SETS, |body| body["recordsets"] = json!([]));
    assert_eq!(read_set(&provider).await, Ok(None));
    cloud.plays_as(SETS, |body| body["recordsets"] = Value::Null);
    assert_eq!(refusal(&provider).await.0, ProviderErrorKind::Unclear);
}

#[tokio::test]
async fn values_that_are_no_addresses_of_the_type_are_unclear() {
    for records in [json!([]), json!(["198.51.100.10", "2001:db8::1"]), json!(["elsewhere.example."])] {
        let (cloud, provider) = zone().await;
        cloud.plays_as(SETS, |body| body["recordsets"][0]["records"] = records.clone());
        assert_eq!(refusal(&provider).await.0, ProviderErrorKind::Unclear, "{records}");
    }
}

#[tokio::test]
async fn more_values_than_a_set_can_have_are_unclear_and_none_is_repeated() {
    let values = |count: usize| (0..count).map(|n| format!("10.0.{}.{}", n / 250, n % 250));
    for (count, is_too_many) in [(1_000, false), (1_001, true)] {
        let (cloud, provider) = zone().await;
        let records: Vec<String> = values(count).collect();
        cloud.plays_as(SETS, |body| body["recordsets"][0]["records"] = json!(records));
        if is_too_many {
            let (kind, said) = refusal(&provider).await;
            assert_eq!(kind, ProviderErrorKind::Unclear);
            assert!(said.contains("has 1001 values, and none has more than 1000"), "{said}");
        } else {
            assert_eq!(read_set(&provider).await.unwrap().unwrap().values.len(), 1_000);
        }
    }
}

#[tokio::test]
async fn what_is_said_of_a_set_is_short_and_on_one_line_whatever_stands_in_it() {
    let (cloud, provider) = zone().await;
    let long = "\u{1b}[2J\nline".repeat(10_000);
    cloud.plays_as(SETS, |body| {
        body["recordsets"][0]["id"] = json!(long);
        body["recordsets"][0]["records"] = json!([long]);
    });
    let (_, said) = refusal(&provider).await;
    assert!(said.chars().count() < 1_300 && !said.contains(char::is_control), "{said:?}");
}

#[tokio::test]
async fn every_status_says_whether_the_values_are_served() {
    let (cloud, provider) = zone().await;
    for (status, in_force) in [
        ("ACTIVE", InForce::Yes),
        ("PENDING_CREATE", InForce::Pending),
        ("PENDING_UPDATE", InForce::Pending),
        ("PENDING_SOMETHING_NEW", InForce::Pending),
        ("ERROR", InForce::Failed),
        ("DISABLE", InForce::Withheld),
        ("FREEZE", InForce::Withheld),
        ("ILLEGAL", InForce::Withheld),
        ("POLICE", InForce::Withheld),
        ("PENDING_DISABLE", InForce::Withheld),
        ("PENDING_FREEZE", InForce::Withheld),
        ("PENDING_DELETE", InForce::Withheld),
    ] {
        cloud.plays_as(SETS, |body| body["recordsets"][0]["status"] = json!(status));
        assert_eq!(read_set(&provider).await.unwrap().unwrap().in_force, in_force, "{status}");
    }
}

#[tokio::test]
async fn errors_of_a_read_say_what_may_come_next() {
    let sets = what_of(&read(SETS));
    for (sample, kind) in [
        ("elb-list_all_members-error-throttled", ProviderErrorKind::Throttled(Some(Duration::from_secs(7)))),
        ("elb-list_all_members-error-forbidden", ProviderErrorKind::Refused),
        ("elb-list_all_members-error-bad-signature", ProviderErrorKind::Refused),
        ("elb-list_all_members-error-gateway-html", ProviderErrorKind::Away),
        ("dns-show_record_set-error-empty-body", ProviderErrorKind::Away),
        ("elb-list_all_members-truncated-json", ProviderErrorKind::Unclear),
        ("elb-list_all_members-html-with-200", ProviderErrorKind::Unclear),
        (NOT_FOUND, ProviderErrorKind::Refused),
    ] {
        let (cloud, provider) = zone().await;
        read_set(&provider).await.unwrap();
        cloud.plays_in_place_of(sample, &sets);
        let error = provider.read(&key(), instant_now() + Duration::from_secs(1)).await.unwrap_err();
        assert_eq!(error.kind, kind, "{sample}: {error}");
    }
}

#[tokio::test]
async fn a_write_sends_the_whole_list_and_the_description_as_it_was_read() {
    let (cloud, provider) = zone().await;
    cloud.plays_as(SETS, |body| body["recordsets"][0]["description"] = json!("keep me\u{2026} as I am "));
    let mut found = read_set(&provider).await.unwrap().unwrap();
    let set = RecordSet::new(values(&["203.0.113.20", "192.0.2.7"]), Ttl::from_seconds(60).unwrap()).unwrap();
    let deadline = instant_now() + Duration::from_secs(5);
    let _ = cloud.asked();
    provider.replace(&key(), &found, &set, deadline).await.unwrap();
    let asked = cloud.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].what, what_of(&read(UPDATED)));
    assert_eq!(
        asked[0].body,
        json!({
            "name": "demo.localdev.me.", "type": "A", "ttl": 60,
            "records": ["192.0.2.7", "203.0.113.20"], "description": "keep me\u{2026} as I am ",
        })
    );
    // Where none was read, none is sent, and the API keeps what is there.
    found.description = None;
    provider.replace(&key(), &found, &set, deadline).await.unwrap();
    assert_eq!(cloud.asked()[0].body.get("description"), None);
}

#[tokio::test]
async fn a_ttl_of_zero_is_read_and_written_as_one_that_every_site_of_the_cloud_takes() {
    let (cloud, provider) = zone().await;
    cloud.plays_as(SETS, |body| body["recordsets"][0]["ttl"] = json!(0));
    let found = read_set(&provider).await.unwrap().unwrap();
    assert_eq!(found.ttl.as_seconds(), 0);
    let set = RecordSet::new(found.values.clone(), found.ttl).unwrap();
    let _ = cloud.asked();
    provider.replace(&key(), &found, &set, instant_now() + Duration::from_secs(5)).await.unwrap();
    assert_eq!(cloud.asked()[0].body["ttl"], 300);
}

#[tokio::test]
async fn a_set_is_made_with_all_that_it_needs() {
    let (cloud, provider) = zone().await;
    let set = RecordSet::new(values(&["203.0.113.20"]), Ttl::DEFAULT).unwrap();
    provider.create(&key(), &set, instant_now() + Duration::from_secs(5)).await.unwrap();
    let asked = cloud.asked();
    let made = asked.last().unwrap();
    assert_eq!(made.what, what_of(&read(CREATED)));
    assert_eq!(
        made.body,
        json!({ "name": "demo.localdev.me.", "type": "A", "ttl": 300, "records": ["203.0.113.20"] })
    );
}

#[tokio::test]
async fn errors_of_a_write_say_what_became_of_it_and_none_is_sent_twice() {
    let put = what_of(&read(UPDATED));
    for (sample, kind) in [
        (CONFLICT, ProviderErrorKind::Conflict),
        (NOT_FOUND, ProviderErrorKind::Conflict),
        ("elb-list_all_members-error-forbidden", ProviderErrorKind::Refused),
        ("elb-show_load_balancer-error-camel-case-nested", ProviderErrorKind::Refused),
        ("elb-list_all_members-error-throttled", ProviderErrorKind::Throttled(Some(Duration::from_secs(7)))),
        ("elb-list_all_members-error-gateway-html", ProviderErrorKind::Lost),
        ("dns-show_record_set-error-empty-body", ProviderErrorKind::Lost),
        ("dns-show_record_set-error-json-not-an-object", ProviderErrorKind::Lost),
        ("elb-list_all_members-truncated-json", ProviderErrorKind::Lost),
        ("elb-list_all_members-html-with-200", ProviderErrorKind::Lost),
    ] {
        let (cloud, provider) = zone().await;
        let found = read_set(&provider).await.unwrap().unwrap();
        cloud.plays_in_place_of(sample, &put);
        let _ = cloud.asked();
        assert_eq!(replace(&provider, &found).await, Err(kind), "{sample}");
        assert_eq!(cloud.asked().len(), 1, "{sample}");
    }
}

#[tokio::test]
async fn after_a_write_to_what_is_not_there_the_zone_is_looked_for_again() {
    let (cloud, provider) = zone().await;
    let found = read_set(&provider).await.unwrap().unwrap();
    cloud.plays_in_place_of(NOT_FOUND, &what_of(&read(UPDATED)));
    assert_eq!(replace(&provider, &found).await, Err(ProviderErrorKind::Conflict));
    let _ = cloud.asked();
    read_set(&provider).await.unwrap();
    assert_eq!(cloud.asked_for(), ["zones", "recordsets"]);
}

#[tokio::test]
async fn a_write_that_is_not_answered_in_time_is_lost() {
    let (cloud, provider) = zone().await;
    let found = read_set(&provider).await.unwrap().unwrap();
    cloud.takes(Duration::from_secs(60));
    let set = RecordSet::new(values(&["203.0.113.20"]), found.ttl).unwrap();
    let written = provider.replace(&key(), &found, &set, instant_now() + Duration::from_millis(500)).await;
    assert_eq!(written.unwrap_err().kind, ProviderErrorKind::Lost);
    assert_eq!(cloud.asked_for().iter().filter(|what| *what == &found.id).count(), 1);
}

#[tokio::test]
async fn a_write_that_never_left_is_away_and_not_lost() {
    let (cloud, provider) = zone().await;
    let found = read_set(&provider).await.unwrap().unwrap();
    cloud.stop().await;
    assert_eq!(replace(&provider, &found).await, Err(ProviderErrorKind::Away));
}

const LINES: &str = "dns-show_record_set_by_zone-lines-and-weights";
const WEIGHED: &str = "dns-update_record_sets-weight";

/// The public zone of the samples with lines and weights in it.
async fn public_zone() -> (CloudDouble, HuaweiProvider) {
    let cloud = CloudDouble::start().await;
    for sample in ["dns-list_public_zones-one", LINES, WEIGHED, "dns-set_record_sets_status-disable"] {
        cloud.plays(sample);
    }
    let zone = HuaweiZone {
        cloud: CloudName::parse("main").unwrap(),
        cloud_region: REGION.to_owned(),
        zone: Fqdn::parse("localdev.me.").unwrap(),
        zone_type: ZoneType::Public,
    };
    let provider = HuaweiProvider::new(cloud.account(), zone);
    (cloud, provider)
}

fn routed(routing: Routing) -> RecordKey {
    RecordKey { routing, ..key() }
}

#[tokio::test]
async fn the_sets_of_a_line_are_one_by_weights_and_others_are_passed_over() {
    let (cloud, provider) = public_zone().await;
    let weighted = routed(Routing::Weighted(Line::everybody()));
    let deadline = instant_now() + Duration::from_secs(5);
    let found = provider.read(&weighted, deadline).await.unwrap().unwrap();
    let weights: Vec<_> = found.parts.iter().map(|part| part.weight.map(Weight::as_number)).collect();
    assert_eq!(weights, [Some(90), Some(10), Some(0)]);
    assert_eq!(found.values, values(&["198.51.100.10", "203.0.113.20", "192.0.2.80"]));
    let asked = cloud.asked().pop().unwrap();
    assert!(
        asked.query.contains("line_id=default_view") && asked.query.contains("search_mode=equal"),
        "{asked:?}"
    );
    // Alone by its line, and refused by a line that has several.
    let dianxin = routed(Routing::Line(Line::parse("Dianxin").unwrap()));
    let found = provider.read(&dianxin, deadline).await.unwrap().unwrap();
    assert_eq!((found.values, found.parts.len()), (values(&["198.51.100.11"]), 0));
    let several = provider.read(&routed(Routing::Line(Line::everybody())), deadline).await.unwrap_err();
    assert_eq!(several.kind, ProviderErrorKind::Refused);
}

#[tokio::test]
async fn a_weight_is_sent_with_the_whole_set_and_a_dead_regions_set_is_switched_off_and_not_emptied() {
    let (cloud, provider) = public_zone().await;
    let weighted = routed(Routing::Weighted(Line::everybody()));
    let deadline = instant_now() + Duration::from_secs(5);
    let mut found = provider.read(&weighted, deadline).await.unwrap().unwrap();
    let part = |weight, address: &str, is_in: bool| Part {
        weight: Weight::from_number(weight).unwrap(),
        values: if is_in { values(&[address]) } else { values(&[]) },
        owned: values(&[address]),
    };
    let write =
        |parts: Vec<Part>, all: &[&str]| RecordSet::new(values(all), found.ttl).unwrap().in_parts(parts, 1);
    let heavier =
        write(vec![part(70, "198.51.100.10", true)], &["198.51.100.10", "203.0.113.20", "192.0.2.80"]);
    let _ = cloud.asked();
    provider.replace(&weighted, &found, &heavier, deadline).await.unwrap();
    let asked = cloud.asked();
    assert_eq!((asked.len(), &asked[0].what), (1, &what_of(&read(WEIGHED))));
    let body = json!({
        "name": "demo.localdev.me.", "type": "A", "ttl": 30, "records": ["198.51.100.10"], "weight": 70,
    });
    assert_eq!(asked[0].body, body);

    let parts = vec![part(90, "198.51.100.10", false), part(10, "203.0.113.20", true)];
    let leaves = write(parts, &["203.0.113.20", "192.0.2.80"]);
    provider.replace(&weighted, &found, &leaves, deadline).await.unwrap();
    let asked = cloud.asked();
    assert_eq!((asked.len(), &asked[0].body), (1, &json!({ "status": "DISABLE" })));
    assert_eq!(asked[0].what, what_of(&read("dns-set_record_sets_status-disable")));
    // With the other set not in force it stays, and nothing is sent.
    found.parts[1].state = PartState::Coming;
    let nothing = provider.replace(&weighted, &found, &leaves, deadline).await.unwrap_err();
    assert_eq!((nothing.kind, cloud.asked().len()), (ProviderErrorKind::Conflict, 0));
}

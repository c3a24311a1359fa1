//! What the cloud says is repeated in errors, briefly, on one line and without the keys (SECRETS-STAY), whatever it is.

#![cfg(test)] // makes clippy take the helpers below for tests too

use std::sync::Arc;
use std::time::Duration;

use pointsman::clock::instant_now;
use pointsman::config::{Cloud, CredentialsFrom, Endpoints, HuaweiZone, ZoneType};
use pointsman::dns::{HuaweiProvider, Provider as _};
use pointsman::huawei::{Account, Answer, ApiError, ApiErrorKind, Outside};
use pointsman::model::{CloudName, Fqdn, RecordKey, RecordType};
use serde_json::json;

const REGION: &str = "cn-north-4";
const SECRET: &str = "MARKEDsecretKEY";
/// As long as the vendor's are, which is longer than any message is shown.
fn token() -> String {
    "MARKEDtokenTOKEN".repeat(100)
}

/// An account to whose every request this is the answer.
fn told(status: u16, headers: &[(&str, &str)], body: String) -> Account {
    let settings = Cloud {
        credentials: CredentialsFrom::Environment,
        region: REGION.to_owned(),
        project_id: Some("p".to_owned()),
        domain_id: None,
        endpoints: Endpoints { iam: None, elb: None, eip: None, dns: None, metadata: None },
    };
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let answer = Answer { status, headers, body: body.into_bytes() };
    let world = Outside {
        variables: Arc::new(|name| match name {
            "HUAWEICLOUD_SDK_AK" => Some("AK".to_owned()),
            "HUAWEICLOUD_SDK_SK" => Some(SECRET.to_owned()),
            "HUAWEICLOUD_SDK_SECURITY_TOKEN" => Some(token()),
            _ => None,
        }),
        script: Arc::new(move |_| Some(answer.clone())),
    };
    Account::within(CloudName::parse("main").unwrap(), &settings, Arc::new(|_| ()), world).unwrap()
}

async fn refusal(status: u16, headers: &[(&str, &str)], body: String) -> ApiError {
    let account = told(status, headers, body);
    account.load_balancer(REGION, "lb1", instant_now() + Duration::from_secs(20)).await.unwrap_err()
}

fn assert_fit(text: &str) {
    assert!(text.len() < 2_000, "{} bytes", text.len());
    assert!(!text.chars().any(char::is_control), "{text:?}");
    assert!(!text.contains("MARKED"), "{text}");
}

#[tokio::test]
async fn a_token_longer_than_what_is_shown_of_a_message_is_blotted_out_whole() {
    let body = json!({ "error_code": "X.1", "error_msg": format!("bad token {}", token()) });
    let error = refusal(403, &[], body.to_string()).await;
    assert_eq!(error.message(), "bad token …");
    let page = format!("<title>{} {}</title>", "sorry ".repeat(60), token());
    assert_fit(&refusal(502, &[], page).await.to_string());
}

#[tokio::test]
async fn a_key_in_a_requests_id_or_a_code_is_blotted_out() {
    let body = json!({ "code": SECRET, "message": "no", "request_id": token() }).to_string();
    assert_fit(&refusal(400, &[], body.clone()).await.to_string());
    let error = refusal(400, &[("x-request-id", SECRET)], body).await;
    assert_eq!((error.request_id(), error.code()), (Some("…"), Some("…")));
}

#[tokio::test]
async fn an_object_that_repeats_a_key_is_not_taken() {
    for body in [json!({ "loadbalancer": { "id": token(), "operating_status": "ONLINE" } }), json!(SECRET)] {
        let error = refusal(200, &[], body.to_string()).await;
        assert_eq!(*error.kind(), ApiErrorKind::Malformed);
        assert_fit(&error.to_string());
    }
}

#[tokio::test]
async fn whatever_an_answer_says_is_told_briefly_and_on_one_line() {
    let long = "x\u{1b}[2J\r\n".repeat(100_000);
    for (status, body) in [
        (400, json!({ "code": long, "message": long, "request_id": long }).to_string()),
        (500, long.clone()),
        (200, json!({ "loadbalancer": long }).to_string()),
        (200, json!({ "loadbalancer": { "id": long, "operating_status": "ONLINE" } }).to_string()),
    ] {
        assert_fit(&refusal(status, &[], body).await.to_string());
    }
}

#[tokio::test]
async fn a_zone_with_ten_thousand_sets_of_one_name_is_told_of_in_a_sentence() {
    let set = |id: usize, value: &str| {
        json!({ "id": format!("set{id}"), "name": "demo.localdev.me.", "type": "A", "ttl": 30,
            "records": [value], "status": "ACTIVE" })
    };
    let odd = "\u{1b}]0;title\u{7}".repeat(10_000);
    for sets in [(0..10_000).map(|id| set(id, "198.51.100.10")).collect(), vec![set(1, &odd)]] {
        let zones = json!([{ "id": "z1", "name": "localdev.me.", "zone_type": "private" }]);
        let account = told(200, &[], json!({ "zones": zones, "recordsets": sets }).to_string());
        let zone = HuaweiZone {
            cloud: CloudName::parse("main").unwrap(),
            cloud_region: REGION.to_owned(),
            zone: Fqdn::parse("localdev.me.").unwrap(),
            zone_type: ZoneType::Private,
        };
        let key = RecordKey::new(Fqdn::parse("demo.localdev.me.").unwrap(), RecordType::A);
        let provider = HuaweiProvider::new(account, zone);
        let error = provider.read(&key, instant_now() + Duration::from_secs(20)).await.unwrap_err();
        assert_fit(&error.message);
        assert!(error.message.contains("demo.localdev.me."), "{}", error.message);
    }
}

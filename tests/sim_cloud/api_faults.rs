//! Each fault of an answer, at each API.

use std::time::Duration;

use pointsman::clock::Clock;
use pointsman::sim::{Api, Effect, Fault, SimulatedCloud};
use serde_json::Value;

use crate::client::{Came, call_with, get, start, unsigned};

const SIGNED: [Api; 4] = [Api::Iam, Api::Elb, Api::Eip, Api::Dns];

/// A list that each API answers, and the key its items stand under.
fn list(cloud: &SimulatedCloud, api: Api) -> (String, &'static str) {
    let project = &cloud.setup().regions[0].project_id;
    match api {
        Api::Iam => ("/v3/projects".to_owned(), "projects"),
        Api::Elb => (format!("/v3/{project}/elb/loadbalancers"), "loadbalancers"),
        Api::Eip => (format!("/v3/{project}/eip/publicips"), "publicips"),
        Api::Dns => ("/v2/zones?type=private".to_owned(), "zones"),
        Api::Metadata => ("/openstack/latest/securitykey".to_owned(), "credential"),
    }
}

async fn ask(cloud: &SimulatedCloud, api: Api) -> Came {
    get(cloud, &list(cloud, api).0).await
}

/// Code and message, wherever the API writes them.
fn error(api: Api, body: &Value) -> (String, String) {
    let (code, message) = match api {
        Api::Iam => (&body["error"]["code"], &body["error"]["message"]),
        Api::Dns if body["code"].is_string() => (&body["code"], &body["message"]),
        Api::Dns | Api::Elb | Api::Eip | Api::Metadata => (&body["error_code"], &body["error_msg"]),
    };
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    (text(code), text(message))
}

#[tokio::test]
async fn a_list_is_answered_and_the_request_named() {
    let cloud = start().await;
    for api in SIGNED {
        let answer = ask(&cloud, api).await.answer();
        assert_eq!(answer.status, 200, "{api:?}");
        assert!(!answer.json()[list(&cloud, api).1].as_array().unwrap().is_empty(), "{api:?}");
        let id = if api == Api::Iam { "X-IAM-Trace-Id" } else { "X-Request-Id" };
        assert!(answer.header(id).is_some(), "{api:?}");
        assert_eq!(cloud.requests()[&api], 1);
    }
}

#[tokio::test]
async fn an_error_is_written_in_each_services_own_way() {
    let cloud = start().await;
    for api in SIGNED {
        for status in [400, 401, 403, 404, 429, 500, 503] {
            cloud.fault(Fault::new(api, Effect::Error { status }).times(1));
            let answer = ask(&cloud, api).await.answer();
            assert_eq!(answer.status, status, "{api:?}");
            let (code, message) = error(api, &answer.json());
            let expected = match (api, status) {
                (Api::Iam, _) => status.to_string(),
                (_, 401) => "APIGW.0301".to_owned(),
                (_, 403) => "PAP5.0011".to_owned(),
                (_, 429) => "APIGW.0308".to_owned(),
                _ => code.clone(),
            };
            assert_eq!(code, expected, "{api:?} {status}");
            assert!(
                !code.is_empty() && code != "null" && !message.is_empty(),
                "{api:?} {status}: {code} {message}"
            );
        }
        assert_eq!(ask(&cloud, api).await.answer().status, 200, "used up at {api:?}");
    }
}

#[tokio::test]
async fn a_throttle_says_when_to_come_back_only_when_told_to() {
    let cloud = start().await;
    for api in SIGNED {
        cloud.fault(Fault::new(api, Effect::Throttle { retry_after: None }).times(1));
        cloud.fault(Fault::new(api, Effect::Throttle { retry_after: Some(7) }).times(1));
        let told = ask(&cloud, api).await.answer();
        assert_eq!((told.status, told.header("Retry-After")), (429, Some("7")), "{api:?}");
        let silent = ask(&cloud, api).await.answer();
        assert_eq!((silent.status, silent.header("Retry-After")), (429, None), "{api:?}");
    }
}

#[tokio::test]
async fn a_gateways_page_is_no_json_and_names_no_request() {
    let cloud = start().await;
    for api in SIGNED {
        for status in [200, 502] {
            cloud.fault(Fault::new(api, Effect::Html { status }).times(1));
            let answer = ask(&cloud, api).await.answer();
            assert_eq!(answer.status, status);
            assert_eq!(answer.header("Content-Type"), Some("text/html"));
            assert_eq!((answer.header("X-Request-Id"), answer.header("X-IAM-Trace-Id")), (None, None));
            assert!(answer.body.starts_with("<html>"), "{api:?}: {}", answer.body);
        }
    }
}

#[tokio::test]
async fn an_answer_can_be_cut_off_or_empty() {
    let cloud = start().await;
    for api in SIGNED {
        cloud.fault(Fault::new(api, Effect::Truncated).times(1));
        let cut = ask(&cloud, api).await.answer();
        assert_eq!(cut.status, 200);
        assert!(
            serde_json::from_str::<Value>(&cut.body).is_err() && cut.body.starts_with('{'),
            "{}",
            cut.body
        );
        cloud.fault(Fault::new(api, Effect::Empty).times(1));
        let empty = ask(&cloud, api).await.answer();
        assert_eq!((empty.status, empty.body.as_str()), (200, "{}"));
    }
}

#[tokio::test]
async fn lists_can_lack_one_object_or_all() {
    let cloud = start().await;
    for api in SIGNED {
        let key = list(&cloud, api).1;
        let all = ask(&cloud, api).await.answer().json()[key].as_array().unwrap().clone();
        let id = all[0]["id"].as_str().unwrap().to_owned();
        cloud.fault(Fault::new(api, Effect::Missing { id: Some(id) }).times(1));
        let without = ask(&cloud, api).await.answer();
        assert_eq!((without.status, without.json()[key].as_array().unwrap().as_slice()), (200, &all[1..]));
        cloud.fault(Fault::new(api, Effect::Missing { id: None }).times(1));
        assert_eq!(ask(&cloud, api).await.answer().json()[key], Value::Array(Vec::new()), "{api:?}");
    }
}

#[tokio::test]
async fn an_answer_can_be_slow_or_never_come() {
    let cloud = start().await;
    let delay = Duration::from_millis(120);
    for api in SIGNED.into_iter().chain([Api::Metadata]) {
        cloud.fault(Fault::new(api, Effect::Slow { delay }).times(1));
        let clock = Clock::start();
        ask(&cloud, api).await.answer();
        assert!(clock.now().since_start() >= delay, "{api:?}");
        for effect in [Effect::Closed, Effect::AnswerLost] {
            cloud.fault(Fault::new(api, effect).times(1));
            assert!(matches!(ask(&cloud, api).await, Came::Closed), "{api:?}");
        }
    }
}

#[tokio::test]
async fn a_fault_of_one_region_or_path_leaves_the_others_alone() {
    let cloud = start().await;
    let [one, two] = [0, 1].map(|at| format!("/v3/{}/elb", cloud.setup().regions[at].project_id));
    let fault = Fault::new(Api::Elb, Effect::Error { status: 500 }).region("region1").path("/members");
    let fault = cloud.fault(fault);
    let status = async |target: String| get(&cloud, &target).await.answer().status;
    assert_eq!(status(format!("{one}/members")).await, 500);
    assert_eq!(status(format!("{one}/pools")).await, 200);
    assert_eq!(status(format!("{two}/members")).await, 200);
    cloud.clear(fault);
    assert_eq!(status(format!("{one}/members")).await, 200);
}

#[tokio::test]
async fn wrong_keys_and_unsigned_requests_are_refused() {
    let cloud = start().await;
    let key = cloud.setup().access_key.clone();
    for api in SIGNED {
        let (target, _) = list(&cloud, api);
        let wrong = call_with(&cloud, &key, "wrong", ("GET", &target), None).await.answer();
        let without = unsigned(&cloud, "GET", &target, "", "").await.answer();
        for answer in [wrong, without] {
            assert_eq!(answer.status, 401, "{api:?}");
            let code = error(api, &answer.json()).0;
            assert!(code == "APIGW.0301" || (api, code.as_str()) == (Api::Iam, "401"), "{api:?}: {code}");
        }
    }
}

#[tokio::test]
async fn metadata_gives_keys_for_a_good_token_only() {
    let cloud = start().await;
    let (keys, _) = list(&cloud, Api::Metadata);
    assert_eq!(unsigned(&cloud, "GET", &keys, "", "").await.answer().status, 401);
    let ttl = "X-Metadata-Token-Ttl-Seconds: 21600\r\n";
    let token = unsigned(&cloud, "PUT", "/meta-data/latest/api/token", ttl, "").await.answer();
    let header = format!("X-Metadata-Token: {}\r\n", token.body);
    let answer = unsigned(&cloud, "GET", &keys, &header, "").await.answer();
    assert_eq!(answer.status, 200);
    for part in ["access", "secret", "securitytoken", "expires_at"] {
        assert!(answer.json()["credential"][part].is_string(), "{part}");
    }
    cloud.forget_metadata_tokens();
    assert_eq!(unsigned(&cloud, "GET", &keys, &header, "").await.answer().status, 401);
}

#[tokio::test]
async fn a_machine_can_lack_token_mode_or_an_agency() {
    let setup = pointsman::sim::Setup { agency: false, metadata_tokens: false, ..crate::client::quick() };
    let cloud = SimulatedCloud::start(setup).await.unwrap();
    assert_eq!(unsigned(&cloud, "PUT", "/meta-data/latest/api/token", "", "").await.answer().status, 404);
    let answer = unsigned(&cloud, "GET", "/openstack/latest/securitykey", "", "").await.answer();
    assert_eq!((answer.status, answer.body.contains("configure Cloud Service Agency first")), (401, true));
}

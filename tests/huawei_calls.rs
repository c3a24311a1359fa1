//! What the account does when the cloud throttles, breaks, lies or stays silent. Over real HTTP.

#![cfg(test)] // the helpers below are of tests too

mod huawei_server;

use std::time::Duration;

use huawei_server::{
    DOMAIN, PROJECT, Projects, REGION, Reply, SECRET_KEY, Server, TOKEN, customer, customer_with, within,
};
use pointsman::clock::instant_now;
use pointsman::config::ZoneType;
use pointsman::huawei::{Account, Api, ApiError, ApiErrorKind, DnsRecordSet, Member, NewRecordSet};
use pointsman::model::Fqdn;
use tokio::task::JoinSet;

const MEMBERS: &str = r#"{"members": [{"id": "m1", "weight": 1, "operating_status": "ONLINE"}]}"#;
const RECORD_SET: &str = r#"{"id": "set", "name": "demo.localdev.me.", "type": "A", "ttl": 30,
    "records": ["203.0.113.20"], "status": "PENDING_UPDATE"}"#;
const ONE_PROJECT: &str =
    r#"{"projects": [{"id": "0123456789abcdef0123456789abcdef", "name": "cn-north-4", "enabled": true}]}"#;
const REFUSED: &str =
    r#"{"error": {"code": 403, "message": "You are not authorized", "title": "Forbidden"}}"#;

/// Longer than anything here takes.
const LONG: u64 = 30_000;

async fn look_in(account: &Account, region: &str, ms: u64) -> Result<Vec<Member>, ApiError> {
    account.members(region, &["p1".to_owned()], within(ms)).await
}

async fn look(account: &Account, ms: u64) -> Result<Vec<Member>, ApiError> {
    look_in(account, REGION, ms).await
}

async fn write(account: &Account, ms: u64) -> Result<DnsRecordSet, ApiError> {
    let body = NewRecordSet {
        name: "demo.localdev.me.".to_owned(),
        record_type: "A".to_owned(),
        ttl: 30,
        records: vec!["203.0.113.20".to_owned()],
        description: None,
        line: None,
        weight: None,
    };
    account.update_record_set(REGION, "zone", "set", &body, within(ms)).await
}

// ---- what is sent again, and what is not ----

#[tokio::test]
async fn a_look_that_met_a_busy_or_broken_server_is_made_again() {
    for trouble in [Reply::json(500, ""), Reply::json(503, ""), Reply::Close, Reply::CutShort] {
        let first = trouble.clone();
        let server = Server::start(move |_, before| match before {
            0 => first.clone(),
            _ => Reply::json(200, MEMBERS),
        })
        .await;
        let customer = customer(&server.url(), Projects::Configured);
        let members = look(&customer.account, LONG).await.unwrap();
        assert_eq!((members.len(), server.received().len()), (1, 2), "{trouble:?}");
    }
}

#[tokio::test]
async fn a_look_is_not_made_again_for_ever() {
    let server = Server::start(|_, _| Reply::json(503, "")).await;
    let customer = customer(&server.url(), Projects::Configured);
    let error = look(&customer.account, LONG).await.unwrap_err();
    assert_eq!((error.status(), server.received().len()), (Some(503), 4));
}

#[tokio::test]
async fn a_look_that_was_refused_is_not_made_again() {
    for status in [400, 403, 404, 409, 501] {
        let server = Server::start(move |_, _| Reply::json(status, "")).await;
        let customer = customer(&server.url(), Projects::Configured);
        let error = look(&customer.account, LONG).await.unwrap_err();
        assert_eq!((error.status(), server.received().len()), (Some(status), 1));
    }
}

#[tokio::test]
async fn a_write_is_sent_once_whatever_happens_and_its_error_says_whether_it_may_have_been_done() {
    let html = "<html><title>200 OK</title></html>";
    for (reply, unknown) in [
        (Reply::json(503, ""), true),
        (Reply::json(500, ""), true),
        (Reply::json(302, "").with("Location", "/elsewhere"), true),
        (Reply::json(202, html), true),
        (Reply::json(202, r#"{"id": "set", "name": "#), true),
        (Reply::json(202, &RECORD_SET.replace("\"set\"", "\"other\"")), true),
        (Reply::CutShort, true),
        (Reply::Close, true),
        (Reply::Hang, true),
        (Reply::json(429, "").with("Retry-After", "0"), false),
        (Reply::json(400, ""), false),
        (Reply::json(409, r#"{"code": "DNS.0312", "message": "conflict"}"#), false),
    ] {
        let answer = reply.clone();
        let server = Server::start(move |_, _| answer.clone()).await;
        let customer = customer(&server.url(), Projects::Configured);
        let deadline = if matches!(reply, Reply::Hang) { 300 } else { LONG };
        let error = write(&customer.account, deadline).await.unwrap_err();
        assert_eq!(error.outcome_unknown(), unknown, "{reply:?}: {error}");
        assert_eq!(server.received().len(), 1, "{reply:?}");
    }
}

#[tokio::test]
async fn a_write_that_found_no_connection_was_not_sent() {
    let closed = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let customer = customer(&format!("http://{closed}"), Projects::Configured);
    let error = write(&customer.account, LONG).await.unwrap_err();
    assert_eq!(*error.kind(), ApiErrorKind::Connect);
    assert!(!error.outcome_unknown());
    assert!(error.to_string().contains("Connection refused"), "{error}");
    assert_eq!(customer.finished.lock().unwrap()[0].code, "refused");
}

#[tokio::test]
async fn a_deadline_holds_when_nothing_ever_comes() {
    let server = Server::start(|_, _| Reply::Hang).await;
    let customer = customer(&server.url(), Projects::Configured);
    let error = look(&customer.account, 200).await.unwrap_err();
    assert_eq!(*error.kind(), ApiErrorKind::Timeout);
    assert_eq!(server.received().len(), 1);
    assert_eq!(customer.finished.lock().unwrap()[0].code, "timeout");
}

#[tokio::test]
async fn a_deadline_during_another_try_leaves_the_first_ones_error() {
    let server =
        Server::start(|_, before| if before == 0 { Reply::json(502, "") } else { Reply::Hang }).await;
    let customer = customer(&server.url(), Projects::Configured);
    let error = look(&customer.account, 1500).await.unwrap_err();
    assert_eq!((error.status(), server.received().len()), (Some(502), 2));
}

// ---- throttles and the budget ----

#[tokio::test]
async fn a_retry_after_is_obeyed() {
    let server = Server::start(|_, before| match before {
        0 => Reply::json(429, r#"{"error_code": "APIGW.0308"}"#).with("Retry-After", "1"),
        _ => Reply::json(200, MEMBERS),
    })
    .await;
    let customer = customer(&server.url(), Projects::Configured);
    let start = instant_now();
    look(&customer.account, LONG).await.unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert_eq!(server.received().len(), 2);
}

#[tokio::test]
async fn a_retry_after_past_the_deadline_ends_the_call_and_pauses_that_api_in_that_region() {
    let server = Server::start(|request, _| match request.path.as_str() {
        path if path.contains("/elb/members") && request.headers["x-project-id"] == PROJECT => {
            Reply::json(429, r#"{"error_code": "APIGW.0308", "error_msg": "slow down"}"#)
                .with("Retry-After", "600")
        }
        path if path.contains("/recordsets/") => Reply::json(202, RECORD_SET),
        other => panic!("nobody asks for {other}"),
    })
    .await;
    let customer = customer(&server.url(), Projects::Configured);
    let throttled = look(&customer.account, LONG).await.unwrap_err();
    assert_eq!((throttled.status(), throttled.code()), (Some(429), Some("APIGW.0308")));
    assert_eq!(throttled.retry_after(), Some(Duration::from_secs(600)));

    let held = look(&customer.account, LONG).await.unwrap_err();
    assert_eq!(*held.kind(), ApiErrorKind::Budget);
    assert!(held.is_throttle() && held.retry_after() > Some(Duration::from_secs(500)), "{held}");
    assert_eq!(server.received().len(), 1, "a paused API was asked");

    write(&customer.account, LONG).await.unwrap();
    let elsewhere = look_in(&customer.account, "cn-east-3", LONG).await.unwrap_err();
    assert_eq!((elsewhere.status(), server.received().len()), (Some(429), 3));
}

#[tokio::test]
async fn two_regions_share_one_budget_and_looks_never_starve_a_write() {
    let server = Server::start(|request, _| {
        if request.method == "PUT" { Reply::json(202, RECORD_SET) } else { Reply::json(200, MEMBERS) }
    })
    .await;
    let customer = customer(&server.url(), Projects::Configured);
    let mut looks = JoinSet::new();
    // One moment for all: by then 40 and one for each 50 ms may have gone, whatever the machine is like.
    let deadline = within(200);
    for turn in 0..200 {
        let account = customer.account.clone();
        let region = if turn % 2 == 0 { REGION } else { "cn-east-3" };
        looks.spawn(async move { account.members(region, &["p1".to_owned()], deadline).await });
    }
    let outcomes = looks.join_all().await;
    let held = outcomes
        .iter()
        .filter_map(|outcome| outcome.as_ref().err())
        .filter(|error| *error.kind() == ApiErrorKind::Budget && error.is_throttle());
    assert!(held.count() >= 200 - 45, "more went than one budget allows");
    write(&customer.account, LONG).await.unwrap();
}

// ---- answers that are none ----

#[tokio::test]
async fn a_200_that_is_not_the_list_it_must_be_is_an_error_and_not_an_empty_list() {
    for body in [
        "",
        "{}",
        "null",
        "[]",
        "<html></html>",
        r#"{"members": null}"#,
        r#"{"members": {}}"#,
        r#"{"members": [{"weight": 1}]}"#,
        r#"{"members": [{"id": "m1"}"#,
        r#"{"loadbalancers": []}"#,
    ] {
        let server = Server::start(move |_, _| Reply::json(200, body).with("X-Request-Id", "r1")).await;
        let customer = customer(&server.url(), Projects::Configured);
        let error = look(&customer.account, LONG).await.unwrap_err();
        assert_eq!(*error.kind(), ApiErrorKind::Malformed, "{body}");
        assert_eq!((error.request_id(), server.received().len()), (Some("r1"), 1), "{body}");
    }
}

#[tokio::test]
async fn an_answer_about_another_object_is_an_error() {
    let body = r#"{"loadbalancer": {"id": "other", "operating_status": "ONLINE", "eips": []}}"#;
    let server = Server::start(move |_, _| Reply::json(200, body)).await;
    let customer = customer(&server.url(), Projects::Configured);
    let error = customer.account.load_balancer(REGION, "mine", within(LONG)).await.unwrap_err();
    assert_eq!(*error.kind(), ApiErrorKind::Malformed, "{error}");
}

#[tokio::test]
async fn load_balancers_that_were_not_asked_for_are_left_out() {
    let body = r#"{"loadbalancers": [{"id": "other", "operating_status": "ONLINE", "eips": []},
        {"id": "mine", "operating_status": "ONLINE", "eips": []}]}"#;
    let server = Server::start(move |_, _| Reply::json(200, body)).await;
    let customer = customer(&server.url(), Projects::Configured);
    let found = customer.account.load_balancers(REGION, &["mine".to_owned()], within(LONG)).await.unwrap();
    assert_eq!(found.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["mine"]);
}

#[tokio::test]
async fn asking_for_nothing_asks_nobody() {
    let server = Server::start(|_, _| Reply::Hang).await;
    let customer = customer(&server.url(), Projects::LookedUp);
    assert_eq!(customer.account.members(REGION, &[], within(LONG)).await.unwrap(), []);
    assert_eq!(customer.account.load_balancers(REGION, &[], within(LONG)).await.unwrap(), []);
    assert!(server.received().is_empty());
}

#[tokio::test]
async fn an_answer_too_large_to_be_one_is_an_error() {
    let server = Server::start(|_, _| Reply::json(200, &" ".repeat(9 * 1024 * 1024))).await;
    let customer = customer(&server.url(), Projects::Configured);
    let error = look(&customer.account, LONG).await.unwrap_err();
    assert_eq!(*error.kind(), ApiErrorKind::Malformed, "{error}");
}

#[tokio::test]
async fn a_list_that_never_ends_is_an_error_and_one_that_repeats_itself_ends() {
    let endless = Server::start(|_, before| {
        let body =
            format!(r#"{{"members": [{{"id": "m{before}"}}], "page_info": {{"next_marker": "m{before}"}}}}"#);
        Reply::json(200, &body)
    })
    .await;
    let customer_of = |server: &Server| customer(&server.url(), Projects::Configured);
    let error = look(&customer_of(&endless).account, LONG).await.unwrap_err();
    assert_eq!((*error.kind(), endless.received().len()), (ApiErrorKind::Malformed, 20));

    let same = r#"{"members": [{"id": "m1"}], "page_info": {"next_marker": "m1"}}"#;
    let repeating = Server::start(move |_, _| Reply::json(200, same)).await;
    let members = look(&customer_of(&repeating).account, LONG).await.unwrap();
    assert_eq!((members.len(), repeating.received().len()), (1, 2));
}

#[tokio::test]
async fn many_ids_are_asked_for_a_hundred_at_a_time() {
    let server =
        Server::start(|_, before| Reply::json(200, &format!(r#"{{"members": [{{"id": "m{before}"}}]}}"#)))
            .await;
    let customer = customer(&server.url(), Projects::Configured);
    let pools: Vec<String> = (0..250).map(|n| format!("p{n}")).collect();
    let members = customer.account.members(REGION, &pools, within(LONG)).await.unwrap();
    let asked: Vec<usize> = server.received().iter().map(|request| request.query.len()).collect();
    assert_eq!((members.len(), asked), (3, vec![100, 100, 50]));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let server = Server::start(|request, _| match request.path.as_str() {
        "/elsewhere" => Reply::json(200, MEMBERS),
        _ => Reply::json(302, "").with("Location", "/elsewhere"),
    })
    .await;
    let customer = customer(&server.url(), Projects::Configured);
    let error = look(&customer.account, LONG).await.unwrap_err();
    assert_eq!((error.status(), server.received().len()), (Some(302), 1));
}

// ---- keys and projects ----

#[tokio::test]
async fn secrets_are_in_no_error_and_no_debug_output() {
    let parrot = format!("you sent {SECRET_KEY} and {TOKEN}");
    for reply in [
        Reply::json(401, &format!(r#"{{"error_code": "{TOKEN}", "error_msg": "{parrot}"}}"#)),
        Reply::json(400, &parrot),
        Reply::json(400, &format!("<title>{parrot}</title>")),
        Reply::json(200, &format!(r#"{{"members": "{parrot}"}}"#)),
        Reply::Close,
        Reply::Hang,
    ] {
        let answer = reply.clone();
        let server = Server::start(move |_, _| answer.clone()).await;
        let customer = customer(&server.url(), Projects::Configured);
        let error = look(&customer.account, 500).await.unwrap_err();
        let told = customer.finished.lock().unwrap().clone();
        let shown = format!("{error} {error:?} {:?} {:?} {told:?}", error.code(), customer.account);
        assert!(!shown.contains("MARKED"), "{reply:?}: {shown}");
    }
}

#[tokio::test]
async fn keys_that_were_exchanged_are_taken_up_without_a_restart() {
    let server = Server::start(|_, _| Reply::json(200, MEMBERS)).await;
    let customer = customer_with(&server.url(), Projects::Configured, "MARKEDold");
    let error = look(&customer.account, LONG).await.unwrap_err();
    assert!(error.is_credentials() && error.is_refusal(), "{error}");
    std::fs::write(customer.keys.path().join("sk"), SECRET_KEY).unwrap();
    look(&customer.account, LONG).await.unwrap();
}

#[tokio::test]
async fn without_keys_nothing_is_sent_and_keys_that_appear_are_found() {
    let server = Server::start(|_, _| Reply::json(200, MEMBERS)).await;
    let customer = customer(&server.url(), Projects::Configured);
    std::fs::rename(customer.keys.path().join("sk"), customer.keys.path().join("kept")).unwrap();
    let error = look(&customer.account, LONG).await.unwrap_err();
    assert!(error.is_credentials() && *error.kind() == ApiErrorKind::Credentials, "{error}");
    assert!(error.to_string().contains("cannot read the secret key file"), "{error}");
    assert!(server.received().is_empty());
    std::fs::rename(customer.keys.path().join("kept"), customer.keys.path().join("sk")).unwrap();
    look(&customer.account, LONG).await.unwrap();
}

#[tokio::test]
async fn a_project_is_looked_up_once_for_all_who_ask() {
    let server = Server::start(|request, _| match request.path.as_str() {
        "/v3/projects" => Reply::json(200, ONE_PROJECT),
        _ => Reply::json(200, MEMBERS),
    })
    .await;
    let customer = customer(&server.url(), Projects::LookedUp);
    let mut looks = JoinSet::new();
    for _ in 0..20 {
        let account = customer.account.clone();
        looks.spawn(async move { look(&account, LONG).await.unwrap().len() });
    }
    assert_eq!(looks.join_all().await, [1; 20]);
    let received = server.received();
    let (iam, elb): (Vec<_>, Vec<_>) = received.iter().partition(|request| request.path == "/v3/projects");
    assert_eq!((iam.len(), elb.len()), (1, 20));
    assert_eq!(iam[0].query("name"), Some(REGION));
    assert_eq!(iam[0].headers.get("x-domain-id").map(String::as_str), Some(DOMAIN));
    assert!(!iam[0].headers.contains_key("x-project-id"));
    assert!(elb.iter().all(|request| request.path == format!("/v3/{PROJECT}/elb/members")));
    assert!(elb.iter().all(|request| request.headers["x-project-id"] == PROJECT));
}

#[tokio::test]
async fn a_refused_lookup_is_told_to_all_and_a_lost_one_is_made_again() {
    let refusing = Server::start(|_, _| Reply::json(403, REFUSED)).await;
    let customer_of = |server: &Server| customer(&server.url(), Projects::LookedUp);
    let asks = customer_of(&refusing);
    for _ in 0..3 {
        let error = look(&asks.account, LONG).await.unwrap_err();
        assert_eq!((error.api(), error.status()), (Api::Iam, Some(403)), "{error}");
    }
    assert_eq!(refusing.received().len(), 1);

    let slow = Server::start(|request, before| match (request.path.as_str(), before) {
        ("/v3/projects", 0) => Reply::Hang,
        ("/v3/projects", _) => Reply::json(200, ONE_PROJECT),
        _ => Reply::json(200, MEMBERS),
    })
    .await;
    let asks = customer_of(&slow);
    let error = look(&asks.account, 200).await.unwrap_err();
    assert_eq!((error.api(), *error.kind()), (Api::Iam, ApiErrorKind::Timeout));
    look(&asks.account, LONG).await.unwrap();
}

#[tokio::test]
async fn the_region_is_put_into_an_endpoint_that_names_it() {
    let server = Server::start(|_, _| Reply::json(200, r#"{"zones": []}"#)).await;
    let customer = customer(&format!("{}/of/{{region}}/", server.url()), Projects::Configured);
    let name = Fqdn::parse("localdev.me").unwrap();
    let zones = customer.account.zones("cn-east-3", ZoneType::Private, &name, within(LONG)).await.unwrap();
    assert!(zones.is_empty());
    assert_eq!(server.received()[0].path, "/of/cn-east-3/v2/zones");
}

#[tokio::test]
async fn every_exchange_is_told_to_the_observer() {
    let server = Server::start(|_, before| match before {
        0 => Reply::json(503, ""),
        _ => Reply::json(200, MEMBERS),
    })
    .await;
    let customer = customer(&server.url(), Projects::Configured);
    look(&customer.account, LONG).await.unwrap();
    let told = customer.finished.lock().unwrap();
    let told: Vec<_> = told.iter().map(|one| (one.cloud.as_str(), one.api, one.code.as_str())).collect();
    assert_eq!(told, [("main", Api::Elb, "503"), ("main", Api::Elb, "200")]);
}

//! An account whose keys come from its machine's agency: taken, renewed, kept, ended, healed. Against the
//! simulated metadata service over real HTTP.

#![cfg(test)] // the helpers below are of tests too

#[expect(dead_code, reason = "each test takes the part of it that it needs")]
mod huawei_server;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use huawei_server::{Received, Reply, Server, within};
use pointsman::clock::{instant_now, wall_time};
use pointsman::config::{Cloud, CredentialsFrom, Endpoints};
use pointsman::huawei::{Account, ApiError, ApiErrorKind};
use pointsman::model::{Alarm, CloudName};
use pointsman::sim::{Api, Effect, Fault, Setup, SimulatedCloud};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Longer than anything here takes.
const LONG: u64 = 30_000;
/// What is waited for and does not come by then, does not come.
const DEADLINE: Duration = Duration::from_secs(60);
const BLINK: Duration = Duration::from_millis(20);

fn account_at(url: &str, credentials: CredentialsFrom) -> Account {
    let here = || Some(url.to_owned());
    let settings = Cloud {
        credentials,
        region: "cn-north-4".to_owned(),
        project_id: None,
        domain_id: None,
        endpoints: Endpoints { iam: here(), elb: here(), eip: here(), dns: here(), metadata: here() },
    };
    Account::new(CloudName::parse("main").unwrap(), &settings, Arc::new(|_| {})).unwrap()
}

async fn cloud(change: impl FnOnce(&mut Setup)) -> (SimulatedCloud, Account) {
    let mut setup = Setup::two_regions();
    change(&mut setup);
    let cloud = SimulatedCloud::start(setup).await.unwrap();
    let account = account_at(&cloud.endpoint(), CredentialsFrom::Agency);
    (cloud, account)
}

/// A signed call.
async fn ask(account: &Account) -> Result<(), ApiError> {
    account.load_balancers("cn-north-4", &["any".to_owned()], within(LONG)).await.map(|_| ())
}

fn asked(cloud: &SimulatedCloud, api: Api) -> u64 {
    cloud.requests().get(&api).copied().unwrap_or(0)
}

fn alarm(account: &Account) -> Option<String> {
    let mut alarms = account.alarms();
    let message = alarms.pop().map(|(alarm, message)| {
        assert_eq!(alarm, Alarm::Credentials);
        message
    });
    assert!(alarms.is_empty());
    message
}

/// Calls on until something holds of what a call came to.
async fn calling_until(account: &Account, what: &str, holds: impl Fn(&Result<(), ApiError>) -> bool) {
    let end = instant_now() + DEADLINE;
    loop {
        let outcome = ask(account).await;
        if holds(&outcome) {
            return;
        }
        assert!(instant_now() < end, "never came: {what}; last: {outcome:?}");
        sleep(BLINK).await;
    }
}

#[tokio::test]
async fn temporary_keys_and_their_token_sign_with_and_without_token_mode() {
    for metadata_tokens in [true, false] {
        let (cloud, account) = cloud(|setup| setup.metadata_tokens = metadata_tokens).await;
        assert_eq!(account.keys_expire(), None, "no keys were needed yet");
        ask(&account).await.unwrap();
        let (ends, lasted) = (account.keys_expire().unwrap(), cloud.setup().keys_last);
        assert!(ends <= wall_time() + lasted && ends + DEADLINE > wall_time() + lasted, "{ends:?}");
        assert_eq!((asked(&cloud, Api::Metadata), alarm(&account)), (2, None));
    }
}

#[tokio::test]
async fn many_calls_that_need_the_first_keys_ask_for_them_once() {
    let (cloud, account) = cloud(|_| ()).await;
    let mut calls = JoinSet::new();
    for _ in 0..30 {
        let account = account.clone();
        calls.spawn(async move { ask(&account).await });
    }
    assert!(calls.join_all().await.iter().all(Result::is_ok));
    assert_eq!(asked(&cloud, Api::Metadata), 2, "a token and keys");
}

#[tokio::test]
async fn keys_are_renewed_before_they_end_and_no_call_fails_over_it() {
    let (cloud, account) = cloud(|setup| setup.keys_last = Duration::from_secs(5)).await;
    let (mut ends, mut calls) = (BTreeSet::new(), 0_u64);
    while ends.len() < 4 {
        ask(&account).await.unwrap();
        calls += 1;
        if ends.insert(account.keys_expire().unwrap()) {
            cloud.forget_metadata_tokens(); // each renewal needs a new token
        }
        assert_eq!(alarm(&account), None);
        sleep(BLINK).await;
    }
    let asked = asked(&cloud, Api::Metadata);
    assert!(asked < calls / 5, "{asked} requests for the keys of {calls} calls");
}

#[tokio::test]
async fn a_renewal_that_takes_long_holds_no_call_up() {
    let (cloud, account) = cloud(|setup| setup.keys_last = Duration::from_secs(8)).await;
    ask(&account).await.unwrap();
    cloud.fault(Fault::new(Api::Metadata, Effect::Slow { delay: Duration::from_secs(3600) }));
    let under_way = |outcome: &Result<(), ApiError>| {
        outcome.as_ref().unwrap();
        asked(&cloud, Api::Metadata) > 2
    };
    calling_until(&account, "a renewal", under_way).await;
    // It takes until its limit of 3 s, which is more than these calls have.
    for _ in 0..10 {
        account.load_balancers("cn-north-4", &["any".to_owned()], within(1_000)).await.unwrap();
    }
}

#[tokio::test]
async fn keys_are_used_to_their_end_while_none_can_be_had_and_it_heals() {
    let (cloud, account) = cloud(|setup| setup.keys_last = Duration::from_secs(4)).await;
    ask(&account).await.unwrap();
    let first = account.keys_expire().unwrap();
    cloud.fault(Fault::new(Api::Metadata, Effect::Closed));
    calling_until(&account, "the alarm", |outcome| {
        outcome.as_ref().unwrap();
        alarm(&account).is_some()
    })
    .await;
    let told = alarm(&account).unwrap();
    for part in ["cannot renew the agency's keys: the connection to the metadata service at", "good until 20"]
    {
        assert!(told.contains(part), "{told}");
    }
    assert_eq!(account.keys_expire(), Some(first));

    let ended = |outcome: &Result<(), ApiError>| outcome.is_err();
    calling_until(&account, "the end of the keys", ended).await;
    assert!(wall_time() >= first, "they were given up before their end");
    let sent = asked(&cloud, Api::Elb);
    for _ in 0..20 {
        let error = ask(&account).await.unwrap_err();
        assert_eq!(*error.kind(), ApiErrorKind::Credentials);
        assert!(error.to_string().contains("the temporary keys ended at 20"), "{error}");
        assert!(!error.outcome_unknown() && error.is_credentials());
    }
    assert_eq!(asked(&cloud, Api::Elb), sent, "something was sent with keys that ended");
    assert!(alarm(&account).unwrap().contains("the temporary keys ended at"), "{:?}", alarm(&account));

    cloud.clear_faults();
    calling_until(&account, "new keys", Result::is_ok).await;
    assert_eq!(alarm(&account), None);
    assert!(account.keys_expire() > Some(first));
}

#[tokio::test]
async fn a_machine_without_an_agency_is_told_so() {
    let (cloud, account) = cloud(|setup| setup.agency = false).await;
    let error = ask(&account).await.unwrap_err();
    assert_eq!(*error.kind(), ApiErrorKind::Credentials);
    assert!(error.to_string().contains("this ECS has no agency: choose one"), "{error}");
    assert!(alarm(&account).unwrap().contains("no call can be made"), "{:?}", alarm(&account));
    assert_eq!((asked(&cloud, Api::Metadata), asked(&cloud, Api::Iam)), (2, 0), "a new token would not help");
}

#[tokio::test]
async fn keys_that_the_cloud_refuses_are_asked_for_anew_early_and_not_without_end() {
    let (cloud, account) = cloud(|_| ()).await;
    ask(&account).await.unwrap();
    assert_eq!(asked(&cloud, Api::Metadata), 2);
    cloud.fault(Fault::new(Api::Elb, Effect::Error { status: 401 }));
    let early = |_: &Result<(), ApiError>| asked(&cloud, Api::Metadata) > 2;
    calling_until(&account, "an early renewal", early).await;
    // Some hundred refusals later the same keys have been asked for a few times: after 1, 2 and 4 s at most.
    let began = instant_now();
    while began.elapsed() < Duration::from_secs(3) {
        ask(&account).await.unwrap_err();
    }
    let asked = asked(&cloud, Api::Metadata);
    assert!(asked <= 2 + 4, "{asked} requests");
    cloud.clear_faults();
    ask(&account).await.unwrap();
}

#[tokio::test]
async fn odd_answers_of_the_metadata_service_are_followed_or_told() {
    let keys = r#"{"credential": {"access": "TESTACCESSKEY", "secret": "MARKEDsecretKEY",
        "securitytoken": "MARKEDtokenTOKEN", "expires_at": "2126-11-24T08:15:00.000000Z"}}"#;
    let script = |token: Reply, key: Reply| {
        move |request: &Received, _: usize| match request.path.as_str() {
            "/meta-data/latest/api/token" => {
                assert_eq!(request.headers["x-metadata-token-ttl-seconds"], "21600");
                token.clone()
            }
            "/openstack/latest/securitykey" => key.clone(),
            "/v3/projects" => {
                assert_eq!(request.headers["x-security-token"], "MARKEDtokenTOKEN");
                Reply::json(200, r#"{"projects": [{"id": "p", "name": "cn-north-4"}]}"#)
            }
            _ => Reply::json(200, r#"{"loadbalancers": []}"#),
        }
    };
    for status in [404, 405, 503] {
        let server = Server::start(script(Reply::json(status, "no"), Reply::json(200, keys))).await;
        ask(&account_at(&server.url(), CredentialsFrom::Agency)).await.unwrap();
        assert!(!server.received()[1].headers.contains_key("x-metadata-token"));
    }
    let server = Server::start(script(Reply::json(200, "TOKEN==\n"), Reply::json(200, keys))).await;
    ask(&account_at(&server.url(), CredentialsFrom::Agency)).await.unwrap();
    assert_eq!(server.received()[1].headers["x-metadata-token"], "TOKEN==");

    let token = || Reply::json(200, "MARKEDmetadata");
    for (token, key, told) in [
        (Reply::json(500, "broken"), token(), "answered 500 to the request for a token: broken"),
        (Reply::json(200, "<html>\n</html>"), token(), "the metadata service's token cannot be understood"),
        (token(), Reply::json(404, ""), "answered 404 to the request for keys"),
        (token(), Reply::json(500, keys), "answered 500 to the request for keys"),
        (token(), Reply::json(401, "MARKEDmetadata?"), "answered 401 to the request for keys: …?"),
        (token(), Reply::json(200, &keys.replace("secret\":", "secrt\":")), "cannot be understood"),
        (token(), Reply::json(200, &keys.replace("2126", "2016")), "keys that ended at 2016"),
        (token(), Reply::CutShort, "broke"),
        (token(), Reply::Close, "broke"),
        (Reply::Hang, token(), "no answer within 3 s"),
    ] {
        let server = Server::start(script(token.clone(), key.clone())).await;
        let account = account_at(&server.url(), CredentialsFrom::Agency);
        let error = ask(&account).await.unwrap_err();
        let shown = format!("{error} {error:?} {:?} {account:?}", account.alarms());
        assert!(error.to_string().contains(told), "{error}");
        assert!(!shown.contains("MARKED"), "{shown}");
        assert_eq!(*error.kind(), ApiErrorKind::Credentials);
        assert!(server.received().iter().all(|request| !request.path.starts_with("/v3")));
    }
}

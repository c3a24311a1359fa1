//! The samples of the metadata service: what an account with an agency makes of them.

use std::sync::Arc;

use pointsman::config::{Cloud, CredentialsFrom, Endpoints};
use pointsman::huawei::Account;
use pointsman::huawei::sign::{self, Canonical};
use pointsman::model::{CloudName, Secret};
use serde_json::{Map, Value, json};

use super::Sample;
use crate::huawei_server::{PROJECT, REGION, Received, Reply, Server, within};

const TOKEN: &str = "/meta-data/latest/api/token";
const KEYS: &str = "/openstack/latest/securitykey";
/// An hour before the samples' keys end, as every answer is dated.
const DATE: &str = "Tue, 24 Nov 2026 07:15:00 GMT";

/// The facts of the sample's `expect`, as found by serving it to an account that needs keys for a call.
pub(crate) async fn facts_of(sample: &Sample) -> Map<String, Value> {
    let (path, status, reply) = (sample.path.clone(), sample.status, sample.reply());
    let server = Server::start(move |request, _| {
        let answer = match request.path.as_str() {
            asked if asked == path => reply.clone(),
            TOKEN => Reply::json(200, "any"),
            KEYS => Reply::json(
                200,
                r#"{"credential": {"access": "TESTACCESSKEY", "secret": "MARKEDsecretKEY", "securitytoken": "t",
                    "expires_at": "2026-11-24T08:15:00.000000Z"}}"#,
            ),
            _ => Reply::json(200, r#"{"members": []}"#),
        };
        answer.with("Date", DATE)
    })
    .await;
    let here = || Some(server.url());
    let settings = Cloud {
        credentials: CredentialsFrom::Agency,
        region: REGION.to_owned(),
        project_id: Some(PROJECT.to_owned()),
        domain_id: None,
        endpoints: Endpoints { iam: here(), elb: here(), eip: here(), dns: here(), metadata: here() },
    };
    let account = Account::new(CloudName::parse("main").unwrap(), &settings, Arc::new(|_| {})).unwrap();
    let called = account.members(REGION, &["p1".to_owned()], within(10_000)).await;
    let received = server.received();
    let asked = |path: &str| received.iter().filter(|request| request.path == path).collect::<Vec<_>>();
    assert_eq!(asked(&sample.path)[0].method, sample.method, "{}", sample.name);

    let mut facts = Map::new();
    if sample.path == TOKEN {
        assert!(called.is_ok(), "{}: {called:?}", sample.name);
        facts.insert("token".to_owned(), json!(asked(KEYS)[0].headers.get("x-metadata-token")));
        if status != 200 {
            facts.insert("status".to_owned(), json!(status));
        }
    } else if status == 200 {
        let request = received.last().unwrap();
        let access = request.headers["authorization"].split(['=', ',']).nth(1).unwrap();
        facts.insert("access".to_owned(), json!(access));
        let told = sample.expect["secret"].as_str().unwrap();
        facts.insert("secret".to_owned(), json!(is_signed_with(request, told).then_some(told)));
        facts.insert("security_token".to_owned(), json!(request.headers["x-security-token"]));
        let ends = account.keys_expire().unwrap().as_micros().try_into().unwrap();
        let ends = jiff::Timestamp::from_microsecond(ends).unwrap();
        facts.insert("expires_at".to_owned(), json!(ends.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()));
    } else {
        assert!(called.unwrap_err().is_credentials(), "{}", sample.name);
        facts.insert("status".to_owned(), json!(status));
        facts.insert("renew_token".to_owned(), json!(asked(TOKEN).len() == 2));
        assert_eq!(asked(KEYS).len(), asked(TOKEN).len(), "{}", sample.name);
    }
    facts
}

fn is_signed_with(request: &Received, secret: &str) -> bool {
    let authorization = &request.headers["authorization"];
    let (_, rest) = authorization.split_once("SignedHeaders=").unwrap();
    let (names, signature) = rest.split_once(", Signature=").unwrap();
    let headers: Vec<(&str, &str)> =
        names.split(';').map(|name| (name, request.headers[name].as_str())).collect();
    let query: Vec<(&str, &str)> = request.query.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let hash = sign::payload_hash(None, &request.body);
    let canonical = Canonical::of(&request.method, &request.path, &query, &headers, &hash);
    sign::signature(&Secret::new(secret), &canonical.string_to_sign(&request.headers["x-sdk-date"]))
        == signature
}

//! A loopback server that plays prepared answers of the cloud, and remembers what it was asked.
//!
//! It knows nothing of the cloud's rules and checks no signature: a test says what each path answers,
//! mostly by the name of a sample in `tests/data/huawei/samples`. A path without an answer is a 404 that
//! is not the API's.
#![expect(dead_code, reason = "each test crate uses the part it needs")]

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use pointsman::config::{Cloud, CredentialsFrom, Endpoints};
use pointsman::huawei::Account;
use pointsman::model::CloudName;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// The project of all samples.
pub(crate) const PROJECT: &str = "0123456789abcdef0123456789abcdef";
/// The cloud's region that tests ask about.
pub(crate) const REGION: &str = "cn-north-4";
/// The load balancer of most samples.
pub(crate) const ELB: &str = "6a5ae231-4375-538c-90b8-471be92ccfcf";
/// The second load balancer of the samples that list two.
pub(crate) const OTHER_ELB: &str = "20a677a3-6827-5acf-b152-d70fede13e04";

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Method and path: `GET /v3/…/elb/members`.
    pub(crate) what: String,
    /// The query as sent, empty when there was none.
    pub(crate) query: String,
    /// The JSON body, null when there was none.
    pub(crate) body: Value,
}

/// The server; it stops when dropped.
pub(crate) struct CloudDouble {
    base: String,
    state: Arc<Mutex<Prepared>>,
    keys: tempfile::NamedTempFile,
    server: JoinSet<()>,
}

/// Status, headers and body.
type Answer = (u16, Vec<(String, String)>, String);

/// In place of the method and path of what is refused.
const REFUSED: &str = "refused";

#[derive(Default)]
struct Prepared {
    answers: BTreeMap<String, Answer>,
    delay: Duration,
    asked: Vec<Asked>,
    /// What in the query, with which status and code.
    refused: Option<(String, u16, &'static str)>,
}

impl CloudDouble {
    pub(crate) async fn start() -> Self {
        let state = Arc::<Mutex<Prepared>>::default();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(Arc::clone(&state));
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        let keys = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(keys.path(), "not-a-real-secret-key").unwrap();
        Self { base, state, keys, server }
    }

    /// An account whose every endpoint is this server.
    pub(crate) fn account(&self) -> Account {
        let here = || Some(self.base.clone());
        let settings = Cloud {
            credentials: CredentialsFrom::Keys {
                access_key: "EXAMPLEACCESSKEY".to_owned(),
                secret_key_file: self.keys.path().to_owned(),
                security_token_file: None,
            },
            region: REGION.to_owned(),
            project_id: Some(PROJECT.to_owned()),
            domain_id: None,
            endpoints: Endpoints { iam: here(), elb: here(), eip: here(), dns: here(), metadata: here() },
        };
        Account::new(CloudName::parse("main").unwrap(), &settings, Arc::new(|_| ())).unwrap()
    }

    /// From now on the sample's path answers as the sample does.
    pub(crate) fn plays(&self, sample: &str) {
        self.plays_as(sample, |_| ());
    }

    /// The same, with the body changed first.
    pub(crate) fn plays_as(&self, sample: &str, change: impl FnOnce(&mut Value)) {
        let mut sample = read(sample);
        change(&mut sample["body"]);
        let what = what_of(&sample);
        self.plays_at(&what, &sample);
    }

    /// From now on that method and path answer as the sample does, whatever was asked for in it.
    pub(crate) fn plays_in_place_of(&self, sample: &str, what: &str) {
        self.plays_at(what, &read(sample));
    }

    fn plays_at(&self, what: &str, sample: &Value) {
        let status = u16::try_from(sample["status"].as_u64().unwrap()).unwrap();
        let headers = sample["headers"].as_object().unwrap();
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()));
        let body = &sample["body"];
        let body = body.as_str().map_or_else(|| body.to_string(), str::to_owned);
        self.lock().answers.insert(what.to_owned(), (status, headers.collect(), body));
    }

    /// From now on each answer comes so much later.
    pub(crate) fn takes(&self, delay: Duration) {
        self.lock().delay = delay;
    }

    /// From now on lists of load balancers that are asked for with this in their query are refused as a wrong request.
    pub(crate) fn refuses_lists_with(&self, part: &str) {
        self.refuses_lists_with_code(part, 400, "ELB.8902");
    }

    /// The same with this status and code.
    pub(crate) fn refuses_lists_with_code(&self, part: &str, status: u16, code: &'static str) {
        self.lock().refused = Some((part.to_owned(), status, code));
    }

    /// Stops it: from now on connections to it are refused.
    pub(crate) async fn stop(mut self) {
        self.server.shutdown().await;
    }

    /// All requests so far, and forgets them.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.lock().asked)
    }

    /// The last parts of the paths asked for so far, in order; and forgets them.
    pub(crate) fn asked_for(&self) -> Vec<String> {
        let last = |asked: Asked| asked.what.rsplit('/').next().unwrap_or_default().to_owned();
        self.asked().into_iter().map(last).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Prepared> {
        self.state.lock().unwrap()
    }
}

/// Everything that is no answer: errors of the API and of gateways, and what cannot be understood.
pub(crate) const ERROR_SAMPLES: &[&str] = &[
    "elb-list_all_members-error-bad-signature",
    "elb-list_all_members-error-forbidden",
    "elb-list_all_members-error-gateway-html",
    "elb-list_all_members-error-throttled",
    "elb-list_all_members-html-with-200",
    "elb-list_all_members-truncated-json",
    "elb-show_load_balancer-error-camel-case-nested",
    "elb-show_load_balancer-error-not-found",
    "dns-show_record_set-error-empty-body",
    "dns-show_record_set-error-json-not-an-object",
    "iam-keystone_list_projects-error-unauthorized",
];

/// A sample as it is in its file.
pub(crate) fn read(sample: &str) -> Value {
    let path = format!("{}/tests/data/huawei/samples/{sample}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap()
}

/// The method and path that a sample answers.
pub(crate) fn what_of(sample: &Value) -> String {
    let request = &sample["request"];
    format!("{} {}", request["method"].as_str().unwrap(), request["path"].as_str().unwrap())
}

async fn answer(State(state): State<Arc<Mutex<Prepared>>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, 65_536).await.unwrap();
    let what = format!("{} {}", head.method, head.uri.path());
    let asked = Asked {
        what: what.clone(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    let (prepared, delay) = {
        let mut state = state.lock().unwrap();
        let refused = state
            .refused
            .clone()
            .filter(|(part, ..)| what.ends_with("/loadbalancers") && asked.query.contains(part));
        state.asked.push(asked);
        let what = if refused.is_some() { REFUSED } else { &*what };
        if let Some((_, status, code)) = refused {
            let refusal = format!(r#"{{"error_code": "{code}", "error_msg": "refused"}}"#);
            state.answers.insert(REFUSED.to_owned(), (status, Vec::new(), refusal));
        }
        (state.answers.get(what).cloned(), state.delay)
    };
    tokio::time::sleep(delay).await;
    let (status, headers, body) =
        prepared.unwrap_or_else(|| (404, Vec::new(), format!("no answer is prepared for {what}")));
    // No connection is kept, so that a server that was stopped is stopped.
    let mut response = Response::builder().status(status).header("connection", "close");
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response.body(Body::from(body)).unwrap()
}

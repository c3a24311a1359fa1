//! What a cloud, or whoever answers in its place, cannot do to us with bytes: hold a call past its deadline, fill the memory,
//! lead us elsewhere with our keys, or pass for the cloud. Over real sockets.
#![cfg(test)] // makes clippy take the helpers below for tests too

mod daemon_world;
#[expect(dead_code, reason = "what is asked for here has no answers")]
mod huawei_server;

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use daemon_world::{Now, Scene, World};
use huawei_server::{
    ACCESS_KEY, Customer, PROJECT, Projects, REGION, Reply, SECRET_KEY, Server, TOKEN, customer, within,
};
use pointsman::clock::instant_now;
use pointsman::config::{Cloud, CredentialsFrom, Endpoints};
use pointsman::huawei::{Account, ApiError, ApiErrorKind, Member, NewRecordSet};
use pointsman::model::{CloudName, Fqdn, RecordKey, RecordType};
use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

/// What is not to be reached.
const LONG: u64 = 30_000;
/// A deadline that is.
const SHORT: u64 = 700;
/// Between two bytes of what trickles: many of them until the deadline, and never a pause as long as it.
const DRIP: Duration = Duration::from_millis(50);

/// A chunk of a body.
const CHUNK: &str = concat!("40\r\n                                ", "                                \r\n");

/// A server that begins its answer to whatever comes, and goes on with more of the same for ever.
struct Endless {
    address: SocketAddr,
    /// In bytes.
    sent: Arc<AtomicU64>,
    _tasks: JoinSet<()>,
}

impl Endless {
    async fn answering(first: &'static str, more: impl Into<Vec<u8>>, pause: Option<Duration>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, sent) = (listener.local_addr().unwrap(), Arc::new(AtomicU64::new(0)));
        let (count, more) = (Arc::clone(&sent), Arc::new(more.into()));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(go_on(stream, first, Arc::clone(&more), pause, Arc::clone(&count)));
            }
        });
        Self { address, sent, _tasks: tasks }
    }

    fn customer(&self) -> Customer {
        customer(&format!("http://{}", self.address), Projects::Configured)
    }
}

async fn go_on(
    mut stream: TcpStream,
    first: &'static str,
    more: Arc<Vec<u8>>,
    pause: Option<Duration>,
    sent: Arc<AtomicU64>,
) {
    let _ = stream.read(&mut [0; 4096]).await;
    let mut next = stream.write_all(first.as_bytes()).await;
    while next.is_ok() {
        next = stream.write_all(&more).await;
        sent.fetch_add(more.len() as u64, Ordering::Relaxed);
        if let Some(pause) = pause {
            sleep(pause).await;
        }
    }
}

async fn look(account: &Account, ms: u64) -> Result<Vec<Member>, ApiError> {
    account.members(REGION, &["p1".to_owned()], within(ms)).await
}

async fn write(account: &Account) -> ApiError {
    let body = NewRecordSet {
        name: "demo.localdev.me.".to_owned(),
        record_type: "A".to_owned(),
        ttl: 30,
        records: vec!["203.0.113.20".to_owned()],
        description: None,
        line: None,
        weight: None,
    };
    account.update_record_set(REGION, "zone", "set", &body, within(LONG)).await.unwrap_err()
}

#[tokio::test]
async fn an_answer_that_trickles_ends_with_the_call_s_deadline() {
    for (first, more) in [
        ("HTTP/1.1 200 OK\r\nX: ", "x"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", " "),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\n \r\n"),
        ("HTTP/1.1 200 OK\r\n\r\n{\"members\": [", " "),
        ("HTTP/1.1 500 No\r\nContent-Length: 1000000\r\n\r\n", " "),
    ] {
        let server = Endless::answering(first, more, Some(DRIP)).await;
        let customer = server.customer();
        let began = instant_now();
        let error = look(&customer.account, SHORT).await.unwrap_err();
        assert_eq!(*error.kind(), ApiErrorKind::Timeout, "{first}: {error}");
        assert!(began.elapsed() < Duration::from_millis(LONG), "{first}");
    }
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off_long_before_it_fills_the_memory() {
    for (first, more, kind) in [
        ("HTTP/1.1 200 OK\r\n", "X-More: and more\r\n", ApiErrorKind::Broken),
        ("HTTP/1.1 200 OK\r\nX: ", "and more", ApiErrorKind::Broken),
        ("", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", ApiErrorKind::Timeout),
        ("HTTP/1.1 200 OK\r\n\r\n{\"members\": [", "       ", ApiErrorKind::Malformed),
        ("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", "       ", ApiErrorKind::Malformed),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", CHUNK, ApiErrorKind::Malformed),
    ] {
        let server = Endless::answering(first, more.repeat(2_000), None).await;
        let customer = server.customer();
        let ms = if kind == ApiErrorKind::Timeout { SHORT } else { LONG };
        let error = look(&customer.account, ms).await.unwrap_err();
        assert_eq!(*error.kind(), kind, "{first} {more}: {error}");
        // What four tries at a head, or one at a body, have taken, and what the kernel has room for. Heads that are none are
        // thrown away as they come.
        let sent = server.sent.load(Ordering::Relaxed);
        assert!(sent < 64 << 20 || kind == ApiErrorKind::Timeout, "{first} {more}: {sent} bytes were taken");
    }
}

#[tokio::test]
async fn what_is_packed_is_not_unpacked() {
    // A megabyte of spaces, in a form that few bytes of gzip would come to; the head alone is enough to see that nobody looks.
    let packed = [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3][..], &[0; 64]].concat();
    let body = packed.clone();
    let server = Server::start(move |_, _| {
        let headers = vec![("Content-Encoding".to_owned(), "gzip".to_owned())];
        Reply::Answer { status: 200, headers, body: body.clone() }
    })
    .await;
    let customer = customer(&server.url(), Projects::Configured);
    let error = look(&customer.account, LONG).await.unwrap_err();
    assert_eq!(*error.kind(), ApiErrorKind::Malformed, "{error}");
    assert!(error.to_string().contains("expected value at line 1 column 1"), "{error}");
    assert!(server.received().iter().all(|request| !request.headers.contains_key("accept-encoding")));
}

#[tokio::test]
async fn keys_are_not_taken_elsewhere_by_a_redirect() {
    let elsewhere = Server::start(|_, _| Reply::json(200, r#"{"members": []}"#)).await;
    for status in [301, 302, 303, 307, 308] {
        let away = format!("{}/v3/{PROJECT}/elb/members", elsewhere.url());
        let server = Server::start(move |_, _| Reply::json(status, "").with("Location", &away)).await;
        let customer = customer(&server.url(), Projects::Configured);
        let error = look(&customer.account, LONG).await.unwrap_err();
        assert_eq!(error.status(), Some(status));
        let error = write(&customer.account).await;
        assert_eq!((error.status(), error.outcome_unknown()), (Some(status), true));
    }
    assert!(elsewhere.received().is_empty(), "the keys were sent to somebody else");
}

#[tokio::test]
async fn lists_too_long_and_answers_too_deep_are_none() {
    let many: Vec<String> = (0..=40_000).map(|n| format!(r#"{{"id": "m{n}"}}"#)).collect();
    let many = format!(r#"{{"members": [{}]}}"#, many.join(","));
    let deep = format!(r#"{{"members": {}"#, "[".repeat(1_000_000));
    let deep_error = format!(r#"{{"error": {}"#, r#"{"a":"#.repeat(200_000));
    for (status, body) in [(200, many), (200, deep), (403, deep_error)] {
        let server = Server::start(move |_, _| Reply::json(status, &body)).await;
        let customer = customer(&server.url(), Projects::Configured);
        let error = look(&customer.account, LONG).await.unwrap_err();
        let kind = if status == 200 { ApiErrorKind::Malformed } else { ApiErrorKind::Status(403) };
        assert_eq!(*error.kind(), kind, "{error}");
        assert!(error.to_string().chars().count() < 1_200, "{error}");
    }
}

#[tokio::test]
async fn numbers_out_of_range_are_no_answer() {
    let key = RecordKey::new(Fqdn::parse("demo.localdev.me.").unwrap(), RecordType::A);
    for ttl in ["-1", "4294967296", "1e400", "30.5", "\"30\"", "99999999999999999999999", "null"] {
        let body = format!(
            r#"{{"recordsets": [{{"id": "s", "name": "demo.localdev.me.", "type": "A", "ttl": {ttl},
                "records": ["203.0.113.20"], "status": "ACTIVE"}}]}}"#
        );
        let server = Server::start(move |_, _| Reply::json(200, &body)).await;
        let customer = customer(&server.url(), Projects::Configured);
        let error = customer.account.record_sets(REGION, "zone", &key, within(LONG)).await.unwrap_err();
        assert_eq!(*error.kind(), ApiErrorKind::Malformed, "{ttl}: {error}");
    }
}

#[tokio::test]
async fn who_cannot_prove_to_be_the_cloud_gets_no_request() {
    let key = KeyPair::generate().unwrap();
    let itself = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![itself.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let customer = customer(&format!("https://{}", listener.local_addr().unwrap()), Projects::Configured);
    let mut impostor = JoinSet::new();
    impostor.spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let _ =
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{\"members\": []}").await;
            }
        }
    });
    let error = look(&customer.account, LONG).await.unwrap_err();
    assert_eq!(*error.kind(), ApiErrorKind::Connect, "{error}");
    let error = write(&customer.account).await;
    assert!(*error.kind() == ApiErrorKind::Connect && !error.outcome_unknown(), "{error}");
}

/// A server's first word in TLS 1.1, which is no longer safe.
const TLS_1_1_HELLO: [u8; 47] = {
    let mut hello = [7; 47];
    // A handshake record of 42 bytes; in it a hello of 38; a version, 32 random bytes, no session, a cipher, no compression.
    let (record, message, end) = ([22, 3, 2, 0, 42], [2, 0, 0, 38, 3, 2], [0, 0xc0, 0x13, 0]);
    let mut at = 0;
    while at < 5 {
        hello[at] = record[at];
        at += 1;
    }
    while at < 11 {
        hello[at] = message[at - 5];
        at += 1;
    }
    at = 43;
    while at < 47 {
        hello[at] = end[at - 43];
        at += 1;
    }
    hello
};

#[tokio::test]
async fn tls_that_is_old_broken_or_endless_leads_to_no_request() {
    for (answer, goes_on) in [
        (TLS_1_1_HELLO.to_vec(), false),
        (b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), false),
        // A record that ends after 16 KiB, of a message that ends after 16 MiB.
        ([&[22, 3, 3, 0x40, 0, 11, 0xff, 0xff, 0xff][..], &[0; 0x4000 - 4]].concat(), true),
        (vec![22, 3, 3, 0xff, 0xff], true),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let customer = customer(&format!("https://{}", listener.local_addr().unwrap()), Projects::Configured);
        let mut server = JoinSet::new();
        let first = answer.clone();
        server.spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let _ = stream.read(&mut [0; 4096]).await;
                while stream.write_all(&first).await.is_ok() && goes_on {}
                let _ = stream.read_to_end(&mut Vec::new()).await;
            }
        });
        let error = look(&customer.account, LONG).await.unwrap_err();
        assert_eq!(*error.kind(), ApiErrorKind::Connect, "{error}");
    }
}

#[tokio::test]
async fn a_metadata_service_that_trickles_or_never_ends_holds_no_call_up_and_is_not_believed() {
    for (first, more, pause) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", "x", Some(DRIP)),
        ("HTTP/1.1 200 OK\r\n\r\n", "xxxxxxxxxxxxxxxx", None),
        ("HTTP/1.1 307 Away\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", "", Some(DRIP)),
    ] {
        let server =
            Endless::answering(first, more.repeat(if pause.is_none() { 1_000 } else { 1 }), pause).await;
        let url = format!("http://{}", server.address);
        let settings = Cloud {
            credentials: CredentialsFrom::Agency,
            region: REGION.to_owned(),
            project_id: Some(PROJECT.to_owned()),
            domain_id: None,
            endpoints: Endpoints { elb: Some(url.clone()), metadata: Some(url), ..Endpoints::default() },
        };
        let account = Account::new(CloudName::parse("main").unwrap(), &settings, Arc::new(|_| {})).unwrap();
        let error = look(&account, SHORT).await.unwrap_err();
        assert_eq!(*error.kind(), ApiErrorKind::Credentials, "{first}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_proxy_that_the_environment_names_is_asked() {
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", proxy.local_addr().unwrap());
    let mut world = World::set(Scene::new()).await;
    let variables = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
    world.run_with(&[], &variables.map(|name| (name, url.as_str()))).await;
    world.until("all is well", Now::all_well).await;
    let asked = proxy.into_std().unwrap().accept();
    assert!(asked.is_err(), "somebody else was shown what goes to the cloud");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn words_of_the_cloud_begin_no_line_and_steer_no_terminal() {
    let server = Server::start(|request, _| {
        let word = r"\u001b[2J\u0007\u009b31m\u202e\nFAKE INFO all is well\r\nFAKE\u0000";
        if request.path.ends_with("/elb/loadbalancers") {
            let of = request.query("id").unwrap_or_default();
            let body = format!(
                r#"{{"loadbalancers": [{{"id": "{of}", "name": "{word}", "operating_status": "{word}", "eips": []}}]}}"#
            );
            return Reply::json(200, &body);
        }
        Reply::json(403, &format!(r#"{{"error_code": "{word}", "error_msg": "{word}", "request_id": "{word}"}}"#))
    })
    .await;
    let mut world = World::set(Scene { credentials: Some("KEYS"), ..Scene::new() }).await;
    let files = [("sk", SECRET_KEY), ("token", TOKEN)].map(|(name, text)| {
        let path = world.config().with_file_name(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    });
    let keys = format!(
        "project_id = \"{PROJECT}\"\naccess_key = \"{ACCESS_KEY}\"\nsecret_key_file = \"{}\"\nsecurity_token_file = \"{}\"",
        files[0].display(),
        files[1].display()
    );
    world.edit_config("KEYS", &keys);
    world.edit_config("cn-east-3", "cn-north-4");
    world.edit_config(&world.cloud.endpoint(), &server.url());
    let mut told = String::new();
    for (command, arguments) in [
        ("check", &["--online"][..]),
        ("plan", &[]),
        ("probe", &["demo/region1/elb"]),
        ("probe", &["demo/region1/eip"]),
        ("apply", &["--once", "--yes"]),
    ] {
        let output = world.outcome(command, arguments).await;
        told += &[output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    }
    world.run_with(&[], &[("RUST_LOG", "trace")]).await;
    world.until("it says so", |now| now.alarmed("provider_away", None)).await;
    world.signal("USR1");
    world.until("the dump is there", |_| world.log().contains("state of region2/eip: ")).await;
    told += &world.metrics().await;
    let status: Value = serde_json::from_str(&world.get("/api/v1/status").await.unwrap().1).unwrap();
    texts(&status, &mut told);
    world.stop("TERM").await;
    told += &world.log();

    assert!(told.contains("FAKE"), "its words did not come through at all");
    for line in told.lines() {
        assert!(!line.trim_start().starts_with("FAKE"), "{line:?}");
        assert!(!line.contains(|c: char| c.is_control() || c == '\u{202e}'), "{line:?}");
    }
}

/// Every text in it, a line each; one with a line's end in it is told as it is.
fn texts(value: &Value, told: &mut String) {
    match value {
        Value::String(text) => told.extend([text, "\n"]),
        Value::Array(items) => items.iter().for_each(|item| texts(item, told)),
        Value::Object(fields) => fields.values().for_each(|field| texts(field, told)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

//! READ-ONLY-OUTSIDE, and KEEP-WATCHING as far as readers go: over real sockets.

#![cfg(test)] // makes clippy take the helpers below for tests too

mod admin_samples;

use std::io::Read as _;
use std::net::SocketAddr;
use std::time::Duration;

use admin_samples::status;
use pointsman::admin::{
    CONNECTION_WITHIN, CONNECTIONS_MAX, LARGE_ANSWERS_MAX, Metrics, Questions, StatusHandle, serve,
    status_channel,
};
use pointsman::model::Liveness;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const PATHS: [&str; 6] = ["/", "/healthz", "/readyz", "/metrics", "/api/v1/status", "/api/v1/services/demo"];

/// Far above what anything here takes, so that a hang fails rather than hangs.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn every_page_answers_and_a_head_request_gets_no_body() {
    let site = Site::serving(Liveness::Down);
    for path in PATHS {
        let got = site.ask("GET", path).await;
        assert_eq!(got.code, 200, "{path}: {}", got.body);
        assert!(!got.body.is_empty(), "{path} is empty");
        let head = site.ask("HEAD", path).await;
        assert_eq!((head.code, head.body.as_str()), (200, ""), "HEAD {path}");
    }
}

#[tokio::test]
async fn nothing_but_get_and_head_gets_in_on_any_path() {
    let site = Site::serving(Liveness::Down);
    for path in PATHS.into_iter().chain(["/nowhere", "/api/v1/services/nobody"]) {
        for method in [
            "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PRI", "INVENTED", "get", "Head",
        ] {
            let got = site.ask(method, path).await;
            assert_eq!(got.code, 405, "{method} {path}");
            assert!(got.head.contains("allow: GET, HEAD"), "{method} {path}: {}", got.head);
        }
    }
}

#[tokio::test]
async fn a_request_behind_another_or_within_its_body_is_never_read() {
    let site = Site::serving(Liveness::Down);
    let second = "POST /healthz HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n";
    let length = second.len();
    for (what, head) in [
        ("pipelined", String::new()),
        ("a body", format!("content-length: {length}\r\n")),
        ("a chunked body", "transfer-encoding: chunked\r\n".to_owned()),
        ("a body of two lengths", format!("content-length: 0\r\ncontent-length: {length}\r\n")),
        ("a body of two kinds", "content-length: 0\r\ntransfer-encoding: chunked\r\n".to_owned()),
        ("asking for more", "connection: keep-alive\r\n".to_owned()),
        ("an upgrade", "connection: upgrade\r\nupgrade: h2c\r\n".to_owned()),
    ] {
        let mut stream = site.connect().await;
        let both = format!("GET /healthz HTTP/1.1\r\nhost: x\r\n{head}\r\n{second}");
        stream.write_all(both.as_bytes()).await.unwrap();
        let mut got = Vec::new();
        // What was not read may reset the connection behind the answer.
        timeout(PATIENCE, stream.read_to_end(&mut got)).await.expect("the connection ends").ok();
        let got = String::from_utf8(got).unwrap();
        assert_eq!(got.matches("HTTP/1.1 ").count(), 1, "{what}: {got}");
        assert!(!got.contains(" 405 ") && !got.contains(" 101 "), "{what}: {got}");
    }
}

#[tokio::test]
async fn a_request_for_something_else_than_a_path_is_no_way_past_the_door() {
    let site = Site::serving(Liveness::Down);
    for (line, code) in [
        ("OPTIONS * HTTP/1.1", "405"),
        ("CONNECT elsewhere.invalid:443 HTTP/1.1", "405"),
        ("POST http://elsewhere.invalid/healthz HTTP/1.1", "405"),
        ("DELETE //healthz HTTP/1.1", "405"),
        ("PRI * HTTP/2.0", "400"),
        ("GET /healthz\0 HTTP/1.1", "400"),
        ("GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1", "404"),
    ] {
        let mut stream = site.connect().await;
        stream.write_all(format!("{line}\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
        let got = Answer::read(stream).await;
        assert_eq!(got.code.to_string(), code, "{line}: {}", got.head);
    }
}

#[tokio::test]
async fn what_does_not_exist_is_said_in_json() {
    let site = Site::serving(Liveness::Down);
    for path in ["/nowhere", "/api/v1/services/nobody", "/api/v1/services/", "/api/v2/status"] {
        let got = site.ask("GET", path).await;
        assert_eq!(got.code, 404, "{path}");
        assert!(got.json()["error"].is_string(), "{path}: {}", got.body);
    }
}

#[tokio::test]
async fn it_is_not_ready_until_every_region_has_a_verdict() {
    let site = Site::serving(Liveness::Unknown);
    let got = site.ask("GET", "/readyz").await;
    assert_eq!(got.code, 503);
    assert_eq!(got.json(), json!({ "ready": false, "without_verdict": ["demo/region2"] }));

    let site = Site::serving(Liveness::Suspect);
    let got = site.ask("GET", "/readyz").await;
    assert_eq!((got.code, got.json()), (200, json!({ "ready": true, "without_verdict": [] })));
}

#[tokio::test]
async fn the_status_has_the_shape_that_programs_rely_on() {
    let site = Site::serving(Liveness::Down);
    let service = json!({
        "name": "demo", "domain": "demo.localdev.me.", "type": "A", "mode": "advise",
        "record_set": {
            "values": ["198.51.100.10", "203.0.113.9"], "foreign": ["203.0.113.9"], "wanted": ["198.51.100.10"],
            "ttl": 30, "in_sync": true, "generation": 4, "read_age_s": 1.5, "phase": "idle",
        },
        "regions": [{
            "name": "region1", "liveness": "up", "since_s": 60.0, "published": true,
            "addresses": ["198.51.100.10"], "because": "it is what it is", "recovers_in_s": null,
            "checks": [{
                "name": "web", "kind": "http", "signal": "passing", "votes": true, "muted": false, "last": "pass",
                "reason": null, "saw": "status 200", "latency_ms": 2.5, "run": 3, "age_s": 0.25,
            }],
        }, {
            "name": "region2", "liveness": "down", "since_s": 60.0, "published": false,
            "addresses": [], "because": "it is what it is", "recovers_in_s": null,
            "checks": [{
                "name": "web", "kind": "http", "signal": "unknown", "votes": true, "muted": false, "last": "unknown",
                "reason": "no_address", "saw": "status 200", "latency_ms": 2.5, "run": 3, "age_s": null,
            }],
        }],
        "held": [{
            "rule": "bounded_blast", "because": "2 of 2 regions fail, more than 50%",
            "lifts_when": "one of them passes",
        }],
        "overrides": [{
            "kind": "mute", "region": null, "check": "web", "author": "ada", "reason": "it lies", "ends_in_s": 60.0,
        }],
        "waiting": [{ "waits_for": "failback", "region": "region2", "because": "serves again" }],
        "alarms": [{ "alarm": "no_address", "region": "region2", "message": "region2 has no EIP" }],
        "failovers": [{
            "id": "demo-1", "course": "moved", "from": ["198.51.100.10"], "to": ["198.51.100.10"],
            "moves": [{ "region": "region2", "direction": "leaves", "cause": "checks" }],
            "began_ago_s": 60.0, "began": 1_800_000_000.0, "first_look_ms": 0, "verdict_ms": 2_010, "sent_ms": 2_011,
            "tries": 1, "acknowledged_ms": 2_100, "active_ms": 2_300,
            "witnesses": [{ "address": "127.0.0.1:53", "at_ms": 2_500 }], "moved_ms": 32_500,
            "moved_is_reckoned": false, "fetched": "status 200 from 198.51.100.10",
        }],
    });
    let all = json!({
        "version": "0.0.0", "dry_run": false, "uptime_s": 61, "services": [service.clone()],
        "alarms": [{ "alarm": "journal", "region": null, "message": "the disk is full" }],
        "journal": { "writable": false, "trouble": "the disk is full", "lost": 2 },
        "log": { "lines_dropped": 3 },
        "clouds": [{ "name": "main", "keys_expire": 1_800_000_000 }, { "name": "other", "keys_expire": null }],
    });
    assert_eq!(site.ask("GET", "/api/v1/status").await.json(), all);
    assert_eq!(site.ask("GET", "/api/v1/services/demo").await.json(), service);
}

#[tokio::test]
async fn a_core_loop_that_does_not_answer_is_said_and_does_not_hang_the_page() {
    let (handle, _never_answered) = status_channel();
    let site = Site::over(handle, JoinSet::new());
    let mut asked = Vec::new();
    for path in PATHS {
        asked.push((path, site.send("GET", path).await));
    }
    for (path, stream) in asked {
        let got = Answer::read(stream).await;
        assert_eq!(got.code, if path == "/" { 200 } else { 503 }, "{path}");
    }
}

#[tokio::test]
async fn a_core_loop_that_has_ended_is_said_too() {
    let (handle, questions) = status_channel();
    drop(questions);
    let site = Site::over(handle, JoinSet::new());
    assert_eq!(site.ask("GET", "/healthz").await.code, 503);
}

#[tokio::test]
async fn a_client_that_sends_a_byte_at_a_time_is_cut_off() {
    let site = Site::serving(Liveness::Down);
    let (mut reading, mut writing) = site.connect().await.into_split();
    let mut dripping = JoinSet::new();
    dripping.spawn(async move {
        writing.write_all(b"GET /metrics HTTP/1.1\r\nx: ").await.ok();
        while writing.write_all(b"x").await.is_ok() {
            tokio::time::sleep(CONNECTION_WITHIN / 50).await;
        }
    });
    let mut got = Vec::new();
    let ended = timeout(PATIENCE, reading.read_to_end(&mut got)).await;
    assert!(ended.is_ok(), "the connection is still open");
    assert_eq!(String::from_utf8_lossy(&got), "");
}

#[tokio::test]
async fn a_request_that_is_too_large_is_refused_and_the_next_one_served() {
    let site = Site::serving(Liveness::Down);
    let mut stream = site.connect().await;
    let huge = format!("GET /healthz HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "x".repeat(64 * 1024));
    stream.write_all(huge.as_bytes()).await.ok();
    let mut got = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut got)).await.expect("the connection ends").ok();
    assert!(!String::from_utf8_lossy(&got).contains("200 OK"));
    assert_eq!(site.ask("GET", "/healthz").await.code, 200);
}

#[tokio::test]
async fn a_body_that_never_comes_does_not_hold_the_answer_back() {
    let site = Site::serving(Liveness::Down);
    let mut stream = site.connect().await;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n").await.unwrap();
    assert_eq!(Answer::read(stream).await.code, 200);
}

#[tokio::test]
async fn idle_connections_do_not_block_a_scrape_not_even_a_full_house() {
    let site = Site::serving(Liveness::Down);
    let mut idle = Vec::new();
    for _ in 0..200 {
        idle.push(site.connect().await);
    }
    assert_eq!(site.ask("GET", "/metrics").await.code, 200);
    for _ in 200..CONNECTIONS_MAX + 20 {
        idle.push(site.connect().await);
    }
    assert_eq!(site.ask("GET", "/metrics").await.code, 200);
    // It was not the end of their time that made room, for then most would be gone.
    let is_closed = |c: TcpStream| c.into_std().unwrap().read(&mut [0]).is_ok_and(|bytes| bytes == 0);
    let closed = idle.into_iter().map(is_closed).collect::<Vec<_>>();
    assert!(closed[0], "more connections than {CONNECTIONS_MAX} were served at once");
    assert!(!closed[CONNECTIONS_MAX - 1], "the oldest is not the one to go: {closed:?}");
}

#[tokio::test]
async fn slow_readers_of_large_answers_hold_few_of_them_in_memory() {
    let mut large = status(Liveness::Down);
    let service = large.services[0].clone();
    large.services.extend((0..1_000).map(|_| service.clone()));
    let (handle, mut questions) = status_channel();
    let mut core = JoinSet::new();
    core.spawn(async move {
        loop {
            questions.asked().await.answer(large.clone());
        }
    });
    let site = Site::over(handle, core);
    let mut readers = Vec::new();
    for _ in 0..=LARGE_ANSWERS_MAX {
        let mut reader = site.send("GET", "/api/v1/status").await;
        let mut first = [0; 1024];
        let read = timeout(PATIENCE, reader.read(&mut first)).await.expect("an answer in time").unwrap();
        readers.push((reader, String::from_utf8_lossy(&first[..read]).into_owned()));
    }
    let mut whole = Vec::new();
    for (mut reader, first) in readers {
        let (head, _) = first.split_once("\r\n\r\n").expect("a head");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let told = head.len() + 4 + length.parse::<usize>().unwrap();
        let mut rest = Vec::new();
        timeout(PATIENCE, reader.read_to_end(&mut rest)).await.expect("the connection ends").ok();
        whole.push(first.len() + rest.len() == told);
    }
    assert!(
        !whole[0] && whole[LARGE_ANSWERS_MAX],
        "the oldest is not the one that was broken off: {whole:?}"
    );
    assert_eq!(site.ask("GET", "/healthz").await.code, 200);
}

#[tokio::test]
async fn it_stops_within_its_bound_whatever_clients_do() {
    let mut site = Site::serving(Liveness::Down);
    let _idle = site.connect().await;
    let mut half_way = site.connect().await;
    half_way.write_all(b"GET /metrics HT").await.unwrap();
    assert_eq!(site.ask("GET", "/healthz").await.code, 200);

    site.stop.cancel();
    // Below the deadline of a connection: it must not be that which ends it.
    let stopped = timeout(CONNECTION_WITHIN / 2, site.server.join_next()).await;
    assert!(stopped.is_ok(), "it still serves");
    assert!(TcpStream::connect(site.address).await.is_err(), "it still listens");
}

#[tokio::test]
async fn all_who_wait_get_one_answer_of_one_turn() {
    let (handle, mut questions) = status_channel();
    let (one, other) = (handle.clone(), handle);
    let mut waiting = JoinSet::new();
    waiting.spawn(async move { one.ask().await });
    waiting.spawn(async move { other.ask().await });
    tokio::task::yield_now().await;
    questions.asked().await.answer(status(Liveness::Down));
    drop(questions);
    for answer in waiting.join_all().await {
        assert_eq!(answer.unwrap().uptime_s, 61);
    }
}

/// A running admin side, what feeds it, and a plain client of it.
struct Site {
    address: SocketAddr,
    stop: CancellationToken,
    server: JoinSet<()>,
    _core: JoinSet<()>,
}

impl Site {
    fn serving(region2: Liveness) -> Self {
        let (handle, questions) = status_channel();
        let mut core = JoinSet::new();
        core.spawn(answering(questions, region2));
        Self::over(handle, core)
    }

    fn over(handle: StatusHandle, core: JoinSet<()>) -> Self {
        // The kernel keeps little of an answer, so that it is seen what the server keeps.
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_send_buffer_size(16 * 1024).unwrap();
        socket.set_recv_buffer_size(64 * 1024).unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let listener = socket.listen(1024).unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let mut server = JoinSet::new();
        let stopping = stop.clone();
        server.spawn(async move {
            serve(&listener, handle, Metrics::new("0.0.0").unwrap().0, stopping).await;
        });
        Self { address, stop, server, _core: core }
    }

    async fn connect(&self) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(64 * 1024).unwrap();
        timeout(PATIENCE, socket.connect(self.address)).await.expect("in time").expect("it listens")
    }

    async fn ask(&self, method: &str, path: &str) -> Answer {
        Answer::read(self.send(method, path).await).await
    }

    async fn send(&self, method: &str, path: &str) -> TcpStream {
        let mut stream = self.connect().await;
        stream.write_all(format!("{method} {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
        stream
    }
}

async fn answering(mut questions: Questions, region2: Liveness) {
    loop {
        questions.asked().await.answer(status(region2));
    }
}

struct Answer {
    code: u16,
    head: String,
    body: String,
}

impl Answer {
    async fn read(mut stream: TcpStream) -> Self {
        let mut bytes = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("an answer in time").unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let code = head.split(' ').nth(1).expect("a status line").parse().unwrap();
        Self { code, head: head.to_owned(), body: body.to_owned() }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

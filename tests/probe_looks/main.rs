//! What a direct look finds, over real sockets on loopback.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod connection;
mod hostile;
mod http;
mod keep_alive;
mod server;
mod tls;
mod trust;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use pointsman::clock::instant_now;
use pointsman::model::{HttpCheck, Outcome, Reason, Scheme, StatusSet, TlsSettings};
use pointsman::probe::{Addresses, HttpLooker, Look, Phase, Trace};
use tokio::sync::watch;

/// Longer than any look here takes, unless it waits for ever.
const PATIENCE: Duration = Duration::from_secs(20);

/// Long enough to be reached by any machine's loopback, short enough to be waited for.
const SHORT: Duration = Duration::from_millis(500);

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// `GET /` at `port`, expecting 200.
fn get(port: u16) -> HttpCheck {
    HttpCheck {
        scheme: Scheme::Http,
        port,
        method: "GET".to_owned(),
        path: "/".to_owned(),
        host: "demo.localdev.me".to_owned(),
        headers: Vec::new(),
        user_agent: "pointsman/0 (demo)".to_owned(),
        expect_status: StatusSet::new(vec![200..=200]).unwrap(),
        expect_body: None,
        expect_body_regex: None,
        max_body: 65_536,
        keep_alive: false,
        source: None,
        tls: TlsSettings {
            verify: true,
            ca_file: None,
            server_name: None,
            client_cert: None,
            expires_within: Duration::from_secs(14 * 86_400),
        },
    }
}

fn at(ips: &[IpAddr]) -> watch::Receiver<Addresses> {
    watch::channel(Addresses::Known(Arc::from(ips))).1
}

fn looker(check: HttpCheck) -> HttpLooker {
    HttpLooker::new(Arc::new(check), None, at(&[LOOPBACK])).unwrap()
}

async fn look_within(check: HttpCheck, timeout: Duration) -> Look {
    looker(check).look(instant_now() + timeout, &mut Trace::off()).await
}

async fn look(check: HttpCheck) -> Look {
    look_within(check, PATIENCE).await
}

async fn traced(check: HttpCheck) -> (Look, Vec<Phase>) {
    let mut trace = Trace::on();
    let look = looker(check).look(instant_now() + PATIENCE, &mut trace).await;
    (look, trace.into_phases())
}

#[track_caller]
fn assert_pass(look: &Look) {
    assert_eq!(look.outcome, Outcome::Pass, "{}", look.saw);
}

/// Failing for `reason`, and the sentence holds `words`.
#[track_caller]
fn assert_fail(look: &Look, reason: Reason, words: &str) {
    assert_eq!(look.outcome, Outcome::Fail(reason), "{}", look.saw);
    assert!(look.saw.contains(words), "{:?} lacks {words:?}", look.saw);
}

#[track_caller]
fn assert_unknown(look: &Look, reason: Reason) {
    assert_eq!(look.outcome, Outcome::Unknown(reason), "{}", look.saw);
}

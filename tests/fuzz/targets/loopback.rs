//! Sockets on loopback for what is read from a connection, in a time that passes at once when nobody has more to send.
//!
//! A machine under load may let a deadline pass that way before bytes have come, so a look that ends in a timeout
//! says nothing here: see [`in_time`].

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use pointsman::model::{HttpCheck, Outcome, Reason, Scheme, StatusSet, TlsSettings};
use pointsman::probe::{Addresses, Look};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;

pub(super) const DEADLINE: Duration = Duration::from_secs(1);

thread_local! {
    static LOOPBACK: (Runtime, TcpListener) = {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
        (runtime, listener)
    };
}

/// Runs with the listener of this thread.
pub(super) fn with<T>(run: impl AsyncFnOnce(&TcpListener) -> T) -> T {
    LOOPBACK.with(|(runtime, listener)| runtime.block_on(run(listener)))
}

/// `GET /` at the listener, expecting 200.
pub(super) fn check(listener: &TcpListener) -> HttpCheck {
    HttpCheck {
        scheme: Scheme::Http,
        port: listener.local_addr().unwrap().port(),
        method: "GET".to_owned(),
        path: "/".to_owned(),
        host: "demo.localdev.me".to_owned(),
        headers: Vec::new(),
        user_agent: "pointsman/0 (demo)".to_owned(),
        expect_status: StatusSet::new(vec![200..=200]).unwrap(),
        expect_body: None,
        expect_body_regex: None,
        max_body: 4_096,
        keep_alive: false,
        source: None,
        tls: TlsSettings {
            verify: false,
            ca_file: None,
            server_name: None,
            client_cert: None,
            expires_within: Duration::from_secs(14 * 86_400),
        },
    }
}

/// Where the listener is.
pub(super) fn here() -> watch::Receiver<Addresses> {
    watch::channel(Addresses::Known(Arc::from([IpAddr::V4(Ipv4Addr::LOCALHOST)]))).1
}

/// Whether time let the look say something.
pub(super) fn in_time(look: &Look) -> bool {
    !matches!(look.outcome, Outcome::Fail(Reason::Timeout) | Outcome::Unknown(Reason::Local))
}

/// Reads one request; false when the other side closed instead.
pub(super) async fn request(stream: &mut (impl AsyncRead + Unpin)) -> bool {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut request).await.unwrap_or_default() == 0 {
            return false;
        }
    }
    true
}

/// Sends each piece by itself, whether or not anybody listens.
pub(super) async fn send(stream: &mut (impl AsyncWrite + Unpin), pieces: &[Vec<u8>]) {
    for piece in pieces {
        let _ = stream.write_all(piece).await;
        let _ = stream.flush().await;
        for _ in 0..5 {
            tokio::task::yield_now().await; // it is read before the next one is sent
        }
    }
}

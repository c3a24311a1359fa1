//! What a region's endpoint cannot do to a look with bytes: hold it past its timeout, fill the memory, lead it elsewhere.

use std::time::Duration;

use pointsman::model::{HttpCheck, Outcome, Reason, Scheme};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::sleep;

use super::server::Server;
use super::{PATIENCE, SHORT, assert_fail, get, look, look_within};

/// Begins with `first`, and goes on with `more` until the look is gone.
async fn endless(first: &'static str, more: &'static str, pause: Duration) -> Server {
    Server::doing(move |mut peer| async move {
        peer.request().await;
        peer.send(first.as_bytes()).await;
        let more = if pause.is_zero() { more.repeat(1_000) } else { more.to_owned() };
        while peer.stream.write_all(more.as_bytes()).await.is_ok() {
            sleep(pause).await;
        }
    })
    .await
}

#[tokio::test]
async fn an_answer_that_trickles_ends_with_the_look_s_timeout() {
    let drip = SHORT / 20;
    for (first, more, words) in [
        ("HTTP/1.1 200 OK\r\nX: ", "x", "did not answer within 500ms"),
        ("", "HTTP/1.1 103 Early\r\n\r\n", "did not answer within 500ms"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", "x", "did not finish the answer's body"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "1\r\nx\r\n",
            "did not finish the answer's body",
        ),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", "x", "did not finish the answer's body"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
            "X: x\r\n",
            "did not finish the answer's body",
        ),
    ] {
        let server = endless(first, more, drip).await;
        let check = HttpCheck { expect_body: Some("expected".to_owned()), ..get(server.port()) };
        assert_fail(&look_within(check, SHORT).await, Reason::Timeout, words);
    }
}

#[tokio::test]
async fn an_answer_without_end_is_given_up_and_not_kept() {
    for (first, more, outcome, words) in [
        ("HTTP/1.1 200 OK\r\n", "X: x\r\n", Outcome::Unknown(Reason::Protocol), "longer than 65536 bytes"),
        (
            "",
            "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n",
            Outcome::Unknown(Reason::Protocol),
            "longer than 65536 bytes",
        ),
        ("", "\r\n", Outcome::Unknown(Reason::Protocol), "longer than 65536 bytes"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;",
            "xxxxxxxxxxxxxxxx",
            Outcome::Fail(Reason::Timeout),
            "did not finish the answer's body",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
            "X-Trailer: x\r\n",
            Outcome::Fail(Reason::Timeout),
            "did not finish the answer's body",
        ),
    ] {
        let server = endless(first, more, Duration::ZERO).await;
        let patience = if outcome == Outcome::Fail(Reason::Timeout) { SHORT } else { PATIENCE };
        let check = HttpCheck { expect_body: Some("expected".to_owned()), ..get(server.port()) };
        let look = look_within(check, patience).await;
        assert_eq!(look.outcome, outcome, "{}", look.saw);
        assert!(look.saw.contains(words), "{}", look.saw);
    }
}

#[tokio::test]
async fn what_is_packed_is_not_unpacked() {
    // What "expected" comes to in gzip is not asked for, not understood and not blown up.
    let server =
        Server::answering(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 10\r\n\r\n\x1f\x8b\x08\0\0\0\0\0\0\x03".to_vec())
            .await;
    let check = HttpCheck { expect_body: Some("expected".to_owned()), ..get(server.port()) };
    assert_fail(&look(check).await, Reason::Body, "(10 bytes) lacks what is expected");
    assert!(!server.seen().requests[0].to_ascii_lowercase().contains("accept-encoding"));
}

#[tokio::test]
async fn tls_that_is_old_broken_or_endless_fails_as_tls() {
    // A hello of TLS 1.1: version, random bytes, no session, a cipher, no compression.
    let mut old = vec![22, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2];
    old.extend([7; 32]);
    old.extend([0, 0xc0, 0x13, 0]);
    // A record as long as can be, of a message longer than any certificate: 16 MiB.
    let mut long = vec![22, 3, 3, 0x40, 0, 11, 0xff, 0xff, 0xff];
    long.extend([0; 0x4000 - 4]);
    for answer in [old, long, b"\x16\x03\x03\xff\xff".to_vec(), b"\x15\x03\x03\x00\x02\x02\x28".to_vec()] {
        let server = Server::doing(move |mut peer| {
            let answer = answer.clone();
            async move {
                let _ = peer.stream.read(&mut [0; 4096]).await;
                while peer.stream.write_all(&answer).await.is_ok() {
                    sleep(Duration::from_millis(1)).await;
                }
            }
        })
        .await;
        let check = HttpCheck { scheme: Scheme::Https, ..get(server.port()) };
        assert_fail(&look(check).await, Reason::Tls, &server.at.to_string());
    }
}

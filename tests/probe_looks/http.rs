use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use pointsman::clock::instant_now;
use pointsman::model::{HttpCheck, Reason, Secret, StatusSet};
use pointsman::probe::{HttpLooker, Stage, Trace};
use regex::bytes::Regex;

use super::server::Server;
use super::*;

/// A look at a server that answers with these bytes and closes.
async fn look_at(answer: impl Into<Vec<u8>>, change: impl FnOnce(HttpCheck) -> HttpCheck) -> Look {
    let server = Server::answering(answer).await;
    look(change(get(server.port()))).await
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn the_expected_status_passes() {
    let look = look_at(ok("hello"), |check| check).await;
    assert_pass(&look);
    assert_eq!(look.saw, "status 200");
    assert_eq!(look.certificate, None);
}

#[tokio::test]
async fn another_status_fails_and_is_told_before_its_body_came() {
    let server = Server::doing(|mut peer| async move {
        peer.request().await;
        peer.send(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 9\r\n\r\n").await;
        peer.wait_for_close().await;
    })
    .await;
    let look = look(get(server.port())).await;
    assert_fail(&look, Reason::Status, &format!("status 503 from 127.0.0.1:{}, expected 200", server.port()));
}

#[tokio::test]
async fn a_set_of_statuses_can_be_expected() {
    let expect_status = StatusSet::new(vec![204..=204, 400..=499]).unwrap();
    for (status, passes) in [(204, true), (404, true), (200, false), (500, false)] {
        let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
        let look = look_at(answer, |check| HttpCheck { expect_status: expect_status.clone(), ..check }).await;
        assert_eq!(look.outcome == Outcome::Pass, passes, "{}", look.saw);
    }
}

#[tokio::test]
async fn a_redirect_is_a_status_and_not_followed() {
    let elsewhere = Server::answering(ok("")).await;
    let answer =
        format!("HTTP/1.1 302 Found\r\nLocation: http://{}/\r\nContent-Length: 0\r\n\r\n", elsewhere.at);
    let look = look_at(answer.clone(), |check| check).await;
    assert_fail(&look, Reason::Status, "status 302");
    let expect_status = StatusSet::new(vec![302..=302]).unwrap();
    assert_pass(&look_at(answer, |check| HttpCheck { expect_status, ..check }).await);
    assert!(elsewhere.seen().requests.is_empty());
}

#[tokio::test]
async fn the_request_names_the_host_and_says_who_looks() {
    let server = Server::answering(ok("")).await;
    let headers = vec![("X-Probe".to_owned(), Secret::new("1"))];
    assert_pass(&look(HttpCheck { path: "/live?x=1".to_owned(), headers, ..get(server.port()) }).await);
    assert_eq!(
        server.seen().requests,
        ["GET /live?x=1 HTTP/1.1\r\nHost: demo.localdev.me\r\nUser-Agent: pointsman/0 (demo)\r\n\
          X-Probe: 1\r\nConnection: close\r\n\r\n"]
    );
}

#[tokio::test]
async fn an_expected_text_or_expression_must_be_in_the_body() {
    let text = |text: &str| Some(text.to_owned());
    let expression = |text: &str| Some(Regex::new(text).unwrap());
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                   6\r\nstatus\r\n4;x\r\n: UP\r\n0\r\n\r\n";
    let until_close = "HTTP/1.1 200 OK\r\n\r\nstatus: UP";
    for answer in [&ok("status: UP"), chunked, until_close] {
        for (expect_body, expect_body_regex, passes) in [
            (text("us: UP"), None, true),
            (text("s.*UP"), None, false),
            (None, expression("^s.*UP$"), true),
            (None, expression("DOWN"), false),
            (text("status"), expression("UP"), true),
            (text("status"), expression("DOWN"), false),
            (text("DOWN"), expression("UP"), false),
        ] {
            let look = look_at(answer, |check| HttpCheck { expect_body, expect_body_regex, ..check }).await;
            if passes {
                assert_pass(&look);
                assert_eq!(look.saw, "status 200 and the expected body");
            } else {
                assert_fail(&look, Reason::Body, "(10 bytes) lacks what is expected");
            }
        }
    }
}

#[tokio::test]
async fn no_more_than_max_body_is_read() {
    let endless = || {
        Server::doing(|mut peer| async move {
            peer.request().await;
            peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\nfirst").await;
            peer.send(&vec![b'x'; 4 << 20]).await;
            peer.wait_for_close().await;
        })
    };
    let server = endless().await;
    let check = HttpCheck { max_body: 100_000, ..get(server.port()) };
    assert_pass(&look(check.clone()).await);
    assert_pass(&look(HttpCheck { expect_body: Some("first".to_owned()), ..check.clone() }).await);
    let look = look(HttpCheck { expect_body: Some("second".to_owned()), ..check }).await;
    assert_fail(&look, Reason::Body, "the first 100000 bytes of the body");
}

#[tokio::test]
async fn a_body_of_just_max_body_is_whole_and_the_match_must_lie_within_it() {
    let expect = |text: &str, max_body| {
        let expect_body = Some(text.to_owned());
        move |check| HttpCheck { expect_body, max_body, ..check }
    };
    assert_pass(&look_at(ok("0123456789"), expect("789", 10)).await);
    assert_fail(&look_at(ok("0123456789"), expect("789", 9)).await, Reason::Body, "the first 9 bytes");
}

#[tokio::test]
async fn large_bodies_are_read_whole() {
    let long = format!("{}end", "x".repeat(60_000));
    let expect_body = Some("xend".to_owned());
    assert_pass(&look_at(ok(&long), |check| HttpCheck { expect_body, ..check }).await);
    assert_pass(&look_at(ok(&long), |check| check).await);
}

#[tokio::test]
async fn an_answer_that_never_comes_times_out_in_the_phase_it_is_in() {
    for (sent, words) in [
        ("", "did not answer within 500ms"),
        ("HTTP/1.1 200 OK\r\nContent-", "did not answer within 500ms"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", "did not finish the answer's body within 500ms"),
    ] {
        let server = Server::doing(move |mut peer| async move {
            peer.request().await;
            peer.send(sent.as_bytes()).await;
            peer.wait_for_close().await;
        })
        .await;
        assert_fail(&look_within(get(server.port()), SHORT).await, Reason::Timeout, words);
    }
}

#[tokio::test]
async fn a_right_answer_that_took_longer_than_allowed_is_slow() {
    let server = Server::answering(ok("")).await;
    let check = Arc::new(get(server.port()));
    for (allowed, slow) in [(Duration::from_nanos(1), true), (PATIENCE, false)] {
        let mut looker = HttpLooker::new(Arc::clone(&check), Some(allowed), at(&[LOOPBACK])).unwrap();
        let look = looker.look(instant_now() + PATIENCE, &mut Trace::off()).await;
        if slow {
            assert_fail(&look, Reason::Slow, "allowed are 1ns");
        } else {
            assert_pass(&look);
        }
    }
}

#[tokio::test]
async fn a_connection_closed_before_the_answer_is_whole_fails() {
    for (sent, words) in [
        ("", "before it answered"),
        ("HTTP/1.1 200 OK\r\nContent-", "within the answer's head"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", "after 3 bytes of the body"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "after 3 bytes of the body"),
    ] {
        assert_fail(&look_at(sent, |check| check).await, Reason::Closed, words);
    }
}

#[tokio::test]
async fn a_reset_connection_fails() {
    let server = Server::doing(|mut peer| async move {
        peer.request().await;
        socket2::SockRef::from(&peer.stream).set_linger(Some(Duration::ZERO)).unwrap();
    })
    .await;
    assert_fail(&look(get(server.port())).await, Reason::Closed, "reset the connection");
}

#[tokio::test]
async fn an_answer_that_is_not_http_fails_even_if_the_connection_stays_open() {
    for garbage in [
        "SSH-2.0-OpenSSH_9.2p1\r\n",
        "\u{15}\u{3}\u{1}\0\u{2}\u{2}\u{16}",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ] {
        let server = Server::doing(move |mut peer| async move {
            peer.send(garbage.as_bytes()).await;
            peer.wait_for_close().await;
        })
        .await;
        assert_fail(&look(get(server.port())).await, Reason::Protocol, &server.at.to_string());
    }
}

#[tokio::test]
async fn a_head_without_end_fails() {
    let long = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(20_000));
    assert_fail(&look_at(long, |check| check).await, Reason::Protocol, "longer than 16384 bytes");
    let mut many = "HTTP/1.1 200 OK\r\n".to_owned();
    for number in 0..65 {
        write!(many, "X-{number}: x\r\n").unwrap();
    }
    assert_fail(&look_at(many + "\r\n", |check| check).await, Reason::Protocol, "more than 64 headers");
}

#[tokio::test]
async fn interim_answers_are_not_the_answer() {
    let answer = format!("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n{}", ok("hello"));
    let expect_body = Some("hello".to_owned());
    assert_pass(&look_at(answer, |check| HttpCheck { expect_body, ..check }).await);
}

#[tokio::test]
async fn an_answer_to_head_has_no_body() {
    let server = Server::doing(|mut peer| async move {
        peer.request().await;
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n").await;
        peer.wait_for_close().await;
    })
    .await;
    assert_pass(&look(HttpCheck { method: "HEAD".to_owned(), ..get(server.port()) }).await);
}

#[tokio::test]
async fn an_answer_in_small_pieces_is_read_like_any_other() {
    let server = Server::doing(|mut peer| async move {
        peer.request().await;
        for byte in b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" {
            peer.send(&[*byte]).await;
            tokio::task::yield_now().await;
        }
        peer.wait_for_close().await;
    })
    .await;
    assert_pass(&look(HttpCheck { expect_body: Some("hello".to_owned()), ..get(server.port()) }).await);
}

#[tokio::test]
async fn every_phase_is_traced() {
    let server = Server::answering(ok("hello")).await;
    let (look, phases) = traced(get(server.port())).await;
    assert_pass(&look);
    let told: Vec<(Stage, &str)> = phases.iter().map(|phase| (phase.name, &*phase.saw)).collect();
    assert_eq!(
        told,
        [
            (Stage::Connect, &*format!("connected to {}", server.at)),
            (Stage::Request, "sent GET /"),
            (Stage::Head, "status 200"),
            (Stage::Body, "read 5 bytes"),
            (Stage::Verdict, "pass: status 200"),
        ]
    );
}

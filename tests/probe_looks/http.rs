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
    assert_unknown(&look, Reason::Body);
    assert!(look.saw.contains("the first 100000 bytes of the body"), "{}", look.saw);
}

#[tokio::test]
async fn a_body_of_just_max_body_is_whole_and_what_lies_behind_it_is_unknown() {
    let expect = |text: &str, max_body| {
        let expect_body = Some(text.to_owned());
        move |check| HttpCheck { expect_body, max_body, ..check }
    };
    assert_pass(&look_at(ok("0123456789"), expect("789", 10)).await);
    assert_fail(&look_at(ok("0123456789"), expect("798", 10)).await, Reason::Body, "(10 bytes) lacks");
    assert_unknown(&look_at(ok("0123456789"), expect("789", 9)).await, Reason::Body);
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
    let expect_body = || Some("abcd".to_owned());
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
        let check = HttpCheck { expect_body: expect_body(), ..get(server.port()) };
        assert_fail(&look_within(check, SHORT).await, Reason::Timeout, words);
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
async fn a_connection_closed_before_the_status_or_the_expected_body_came_fails() {
    let expecting = |check| HttpCheck { expect_body: Some("abcd".to_owned()), ..check };
    for (sent, words) in [
        ("", "before it answered"),
        ("HTTP/1.1 20", "within the answer's head"),
        ("HTTP/1.1 200 OK\r\nContent-", "within the answer's head"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", "after 3 bytes of the body"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "after 3 bytes of the body"),
    ] {
        assert_fail(&look_at(sent, expecting).await, Reason::Closed, words);
    }
    assert_fail(&look_at("HTTP/1.1 20", |check| check).await, Reason::Closed, "within the answer's head");
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
    for (garbage, words) in [
        ("SSH-2.0-OpenSSH_9.2p1\r\n", "is not HTTP: it begins with \"SSH-2.0-OpenSSH_9.2p1\""),
        ("\u{15}\u{3}\u{1}\0\u{2}\u{2}\u{16}", "is not HTTP: it speaks TLS; write kind = \"https\""),
        ("HTTP/1.1 OK 200\r\n\r\n", "is not HTTP: its status line is \"HTTP/1.1 OK 200\""),
        ("\0\u{1}binary", "is not HTTP: it begins with the bytes 00 01 62 69 6e"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "chunks of the body"),
    ] {
        let server = Server::doing(move |mut peer| async move {
            peer.send(garbage.as_bytes()).await;
            peer.wait_for_close().await;
        })
        .await;
        let look = look(HttpCheck { expect_body: Some("ok".to_owned()), ..get(server.port()) }).await;
        assert_fail(&look, Reason::Protocol, words);
        assert!(look.saw.contains(&server.at.to_string()), "{}", look.saw);
    }
}

#[tokio::test]
async fn a_server_that_speaks_http_2_only_fails_and_is_told() {
    // SETTINGS and GOAWAY, as servers of HTTP/2 answer what is no preface of theirs; each in pieces too.
    for frames in
        [&b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64"[..], b"\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\x01"]
    {
        for first in [3, frames.len()] {
            let server = Server::doing(move |mut peer| async move {
                peer.request().await;
                peer.send(&frames[..first]).await;
                tokio::task::yield_now().await;
                peer.send(&frames[first..]).await;
            })
            .await;
            let words = "speaks HTTP/2 only, pointsman probes with HTTP/1.1";
            assert_fail(&look(get(server.port())).await, Reason::Protocol, words);
        }
    }
}

#[tokio::test]
async fn an_answer_that_browsers_and_curl_accept_passes() {
    let mut many = "HTTP/1.1 200 OK\r\n".to_owned();
    for number in 0..256 {
        write!(many, "X-{number}: x\r\n").unwrap();
    }
    let headers = |text: &str| format!("HTTP/1.1 200 OK\r\n{text}Content-Length: 2\r\n\r\nok");
    for answer in [
        many + "Content-Length: 2\r\n\r\nok",
        headers(&format!("Set-Cookie: {}\r\n", "x".repeat(17_000))),
        headers(&format!("Set-Cookie: {}\r\n", "x".repeat(63_000))),
        headers("X-Folded: one,\r\n two,\r\n\tthree\r\n"),
        headers("Server : old\r\n"),
        headers(
            "<br />\n<b>Warning</b>:  Undefined variable $x in <b>/index.php</b> on line <b>3</b><br />\n",
        ),
        headers("PHP Notice\r\n"),
        headers("X-Items[0]: a\r\n"),
        headers("X-Größe: 1\r\n"),
        headers(": nameless\r\n"),
        headers("X-Nul: \0\r\n"),
        headers("Server: bare line feeds\r\n").replace("\r\n", "\n"),
        "HTTP/1.1  200  OK\r\nContent-Length: 2\r\n\r\nok".to_owned(),
        "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok".to_owned(),
        "HTTP/1.1 200OK\r\nContent-Length: 2\r\n\r\nok".to_owned(),
        "\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_owned(),
        "HTTP/1.0 200 OK\nContent-Type: text/plain\n\nok".to_owned(),
    ] {
        let shown = answer.chars().take(90).collect::<String>();
        for expect_body in [None, Some("o".to_owned())] {
            let look = look_at(answer.clone(), |check| HttpCheck { expect_body, ..check }).await;
            assert_eq!(look.outcome, Outcome::Pass, "{shown:?}: {}", look.saw);
        }
    }
}

#[tokio::test]
async fn without_an_expected_body_the_status_alone_decides() {
    for body in [
        "Content-Type: text/event-stream\r\n\r\ndata: 1\n\n",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        "Content-Length: 9\r\n\r\nabc",
        "Content-Length: -1\r\n\r\nabc",
        "Content-Length: 1\r\nContent-Length: 2\r\n\r\nabc",
    ] {
        for keep_alive in [false, true] {
            let answer = |status: &str| format!("HTTP/1.1 {status}\r\n{body}");
            let (good, bad) = (answer("200 OK"), answer("503 Service Unavailable"));
            let server = Server::doing(move |mut peer| {
                let answer = if peer.number < 2 { good.clone() } else { bad.clone() };
                async move {
                    peer.request().await;
                    peer.send(answer.as_bytes()).await;
                    peer.wait_for_close().await;
                }
            })
            .await;
            let mut looker = looker(HttpCheck { keep_alive, ..get(server.port()) });
            for passes in [true, true, false] {
                let look = looker.look(instant_now() + PATIENCE, &mut Trace::off()).await;
                let passed = look.outcome == Outcome::Pass;
                assert_eq!(passed, passes, "{body:?} {keep_alive}: {}", look.saw);
            }
        }
    }
}

#[tokio::test]
async fn the_look_ends_as_soon_as_the_expected_text_is_there() {
    let text = |text: &str| Some(text.to_owned());
    let expression = |text: &str| Some(Regex::new(text).unwrap());
    for head in
        ["Content-Type: text/event-stream\r\n", "Transfer-Encoding: chunked\r\n", "Content-Length: 999\r\n"]
    {
        let body = if head.starts_with('T') { "b\r\nstatus: UP\n\r\n" } else { "status: UP\n" };
        let answer = format!("HTTP/1.1 200 OK\r\n{head}\r\n{body}");
        for (expect_body, expect_body_regex) in [
            (text("status: UP"), None),
            (None, expression("status: (UP|OK)")),
            (text("UP"), expression("^status")),
        ] {
            let answer = answer.clone();
            let server = Server::doing(move |mut peer| {
                let answer = answer.clone();
                async move {
                    peer.request().await;
                    peer.send(answer.as_bytes()).await;
                    peer.wait_for_close().await;
                }
            })
            .await;
            let look = look(HttpCheck { expect_body, expect_body_regex, ..get(server.port()) }).await;
            assert_pass(&look);
            assert_eq!(look.saw, "status 200 and the expected body");
        }
    }
}

#[tokio::test]
async fn an_expression_about_the_end_of_the_body_waits_for_it() {
    let at_the_end = Regex::new("UP$").unwrap();
    for (rest, passes) in [("", true), (" but not really", false)] {
        let server = Server::doing(move |mut peer| async move {
            peer.request().await;
            let length = "all is UP".len() + rest.len();
            peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\nall is UP").as_bytes())
                .await;
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            peer.send(rest.as_bytes()).await;
            peer.wait_for_close().await;
        })
        .await;
        let expect_body_regex = Some(at_the_end.clone());
        let look = look(HttpCheck { expect_body_regex, ..get(server.port()) }).await;
        if passes {
            assert_pass(&look);
        } else {
            assert_fail(&look, Reason::Body, "lacks what is expected");
        }
    }
}

#[tokio::test]
async fn a_limit_of_ours_is_no_evidence_against_a_region() {
    let long = |status: &str| format!("HTTP/1.1 {status}\r\nX: {}", "x".repeat(70_000));
    assert_pass(&look_at(long("200 OK"), |check| check).await);
    assert_fail(&look_at(long("503 No"), |check| check).await, Reason::Status, "status 503");
    let expect_body = Some("x".to_owned());
    let look = look_at(long("200 OK"), |check| HttpCheck { expect_body, ..check }).await;
    assert_unknown(&look, Reason::Protocol);
    assert!(look.saw.contains("longer than 65536 bytes"), "{}", look.saw);
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(2_000);
    assert_unknown(&look_at(interim, |check| check).await, Reason::Protocol);
}

#[tokio::test]
async fn a_server_that_answers_without_reading_the_request_is_judged_by_its_answer() {
    for (answer, passes) in [
        ("HTTP/1.0 200 OK\r\n\r\n", true),
        ("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nok", true),
        ("HTTP/1.0 200 OK\n", true),
        ("HTTP/1.0 200 OK", true),
        ("HTTP/1.0 503 No\r\n\r\n", false),
    ] {
        // A reset follows in both: by what it has not read when it closes, or by what comes after that.
        for waits_for_the_request in [true, false] {
            let server = Server::doing(move |mut peer| async move {
                if waits_for_the_request {
                    peer.stream.readable().await.unwrap();
                }
                peer.send(answer.as_bytes()).await;
            })
            .await;
            for _ in 0..20 {
                let look = look(get(server.port())).await;
                if passes {
                    assert_pass(&look);
                } else {
                    assert_fail(&look, Reason::Status, "status 503");
                }
            }
        }
    }
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
            (Stage::Verdict, "pass: status 200"),
        ]
    );
    let (_, phases) = traced(HttpCheck { expect_body: Some("hello".to_owned()), ..get(server.port()) }).await;
    let told: Vec<(Stage, &str)> = phases.iter().skip(3).map(|phase| (phase.name, &*phase.saw)).collect();
    let verdict = (Stage::Verdict, "pass: status 200 and the expected body");
    assert_eq!(told, [(Stage::Body, "read 5 bytes"), verdict]);
}

use std::net::IpAddr;
use std::sync::Arc;

use pointsman::clock::instant_now;
use pointsman::model::{HttpCheck, Reason};
use pointsman::probe::{Addresses, HttpLooker, Trace};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::timeout;

use super::server::Server;
use super::*;

const DOWN: &[u8] = b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

fn keeping(port: u16) -> HttpCheck {
    HttpCheck { keep_alive: true, ..get(port) }
}

/// Three looks by one looker, one after the other.
async fn three_looks(check: HttpCheck) -> [Look; 3] {
    let mut looker = looker(check);
    let mut looks = Vec::new();
    for _ in 0..3 {
        looks.push(looker.look(instant_now() + PATIENCE, &mut Trace::off()).await);
    }
    looks.try_into().unwrap()
}

async fn server_that_keeps(answer: &'static [u8]) -> Server {
    Server::doing(move |mut peer| async move {
        while peer.request().await {
            peer.send(answer).await;
        }
    })
    .await
}

#[tokio::test]
async fn a_kept_connection_serves_the_next_looks() {
    let server = server_that_keeps(OK).await;
    three_looks(keeping(server.port())).await.iter().for_each(assert_pass);
    let seen = server.seen();
    assert_eq!((seen.peers.len(), seen.requests.len()), (1, 3));
    assert!(!seen.requests[0].contains("Connection"), "{}", seen.requests[0]);
}

#[tokio::test]
async fn without_keep_alive_every_look_has_a_connection_of_its_own() {
    let server = server_that_keeps(OK).await;
    three_looks(get(server.port())).await.iter().for_each(assert_pass);
    assert_eq!(server.seen().peers.len(), 3);
}

#[tokio::test]
async fn a_connection_is_not_kept_when_the_server_closes_it_or_sent_more_than_its_answer() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"[..],
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi and more",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        // Where the body ends is in doubt.
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nPHP Notice\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nContent-Length :2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhi",
    ] {
        let server = server_that_keeps(answer).await;
        three_looks(keeping(server.port())).await.iter().for_each(assert_pass);
        assert_eq!(server.seen().peers.len(), 3, "{}", String::from_utf8_lossy(answer));
    }
}

#[tokio::test]
async fn a_body_that_comes_behind_the_verdict_is_passed_over_by_the_next_look() {
    // It looks like an answer that would pass.
    let late = String::from_utf8_lossy(OK).repeat(40);
    let (half, all) = (late.len() / 2, late.len());
    for (sent, peers) in [(all, 1), (half, 2), (0, 2)] {
        let (go, went) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (goes, has_gone) = (Arc::clone(&go), Arc::clone(&went));
        let late = late.clone();
        let server = Server::doing(move |mut peer| {
            let (goes, has_gone, late) = (Arc::clone(&goes), Arc::clone(&has_gone), late.clone());
            async move {
                if peer.number == 0 {
                    peer.request().await;
                    let length = late.len();
                    peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes())
                        .await;
                    goes.notified().await;
                    peer.send(late.as_bytes().get(..sent).unwrap()).await;
                    has_gone.notify_one();
                }
                while peer.request().await {
                    peer.send(DOWN).await;
                }
            }
        })
        .await;
        let mut looker = looker(keeping(server.port()));
        assert_pass(&looker.look(instant_now() + PATIENCE, &mut Trace::off()).await);
        go.notify_one();
        went.notified().await;
        // By the time that others have been answered, what was sent before has come.
        let other = Server::answering(DOWN).await;
        assert_fail(&look(get(other.port())).await, Reason::Status, "503");
        let second = looker.look(instant_now() + PATIENCE, &mut Trace::off()).await;
        assert_fail(&second, Reason::Status, "503");
        assert_eq!(server.seen().peers.len(), peers, "{sent} of {all} bytes");
    }
}

#[tokio::test]
async fn a_stream_without_end_neither_holds_a_look_nor_serves_the_next() {
    let server = Server::doing(|mut peer| async move {
        peer.request().await;
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        while peer.stream.write_all(b"5\r\nevent\r\n").await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let check = HttpCheck { expect_body: Some("event".to_owned()), ..keeping(server.port()) };
    for check in [keeping(server.port()), check] {
        let before = server.seen().peers.len();
        three_looks(check).await.iter().for_each(assert_pass);
        assert_eq!(server.seen().peers.len(), before + 3);
    }
}

#[tokio::test]
async fn a_kept_connection_that_the_server_closed_meanwhile_is_replaced_within_the_same_look() {
    let server = Server::doing(|mut peer| async move {
        peer.request().await;
        peer.send(OK).await;
    })
    .await;
    three_looks(keeping(server.port())).await.iter().for_each(assert_pass);
    let seen = server.seen();
    assert_eq!((seen.peers.len(), seen.requests.len()), (3, 3));
}

#[tokio::test]
async fn a_fresh_connection_that_the_server_closes_is_not_tried_again() {
    let server = Server::doing(|mut peer| async move {
        if peer.number == 0 {
            peer.request().await;
            peer.send(OK).await;
        }
    })
    .await;
    let [first, second, third] = three_looks(keeping(server.port())).await;
    assert_pass(&first);
    assert_fail(&second, Reason::Closed, "");
    assert_fail(&third, Reason::Closed, "");
    assert_eq!(server.seen().peers.len(), 3, "one more a look: none was retried but the kept one");
}

#[tokio::test]
async fn what_comes_unasked_on_a_kept_connection_is_not_taken_for_the_next_answer() {
    let (go, went) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (goes, sent) = (Arc::clone(&go), Arc::clone(&went));
    let server = Server::doing(move |mut peer| {
        let (goes, sent) = (Arc::clone(&goes), Arc::clone(&sent));
        async move {
            peer.request().await;
            peer.send(if peer.number == 0 { OK } else { DOWN }).await;
            if peer.number == 0 {
                goes.notified().await;
                peer.send(OK).await;
                sent.notify_one();
                peer.wait_for_close().await;
            }
        }
    })
    .await;
    let mut looker = looker(keeping(server.port()));
    assert_pass(&looker.look(instant_now() + PATIENCE, &mut Trace::off()).await);
    go.notify_one();
    went.notified().await;
    // By the time that others have been answered, what was sent before has come.
    assert_fail(&look(get(server.port())).await, Reason::Status, "503");
    let look = looker.look(instant_now() + PATIENCE, &mut Trace::off()).await;
    assert_fail(&look, Reason::Status, "503");
}

#[tokio::test]
async fn an_answer_cut_off_on_a_kept_connection_is_a_failure() {
    let server = Server::doing(|mut peer| async move {
        peer.request().await;
        peer.send(OK).await;
        peer.request().await;
        peer.send(b"HTTP/1.1 2").await;
    })
    .await;
    let [first, second, _] = three_looks(keeping(server.port())).await;
    assert_pass(&first);
    assert_fail(&second, Reason::Closed, "within the answer's head");
}

#[tokio::test]
async fn a_connection_to_an_address_that_the_region_has_no_longer_is_closed() {
    let (closed, mut was_closed) = mpsc::channel(1);
    let server = Server::doing(move |mut peer| {
        let closed = closed.clone();
        async move {
            while peer.request().await {
                peer.send(OK).await;
            }
            closed.send(()).await.unwrap();
        }
    })
    .await;
    let (addresses, watched) = watch::channel(Addresses::Known(Arc::from([LOOPBACK])));
    let mut looker = HttpLooker::new(Arc::new(keeping(server.port())), None, watched).unwrap();
    assert_pass(&looker.look(instant_now() + PATIENCE, &mut Trace::off()).await);
    assert!(was_closed.try_recv().is_err());
    addresses.send_replace(Addresses::Known(Arc::from([IpAddr::from([127, 0, 0, 8])])));
    assert_fail(
        &looker.look(instant_now() + PATIENCE, &mut Trace::off()).await,
        Reason::Refused,
        "127.0.0.8",
    );
    timeout(PATIENCE, was_closed.recv()).await.unwrap().unwrap();
}

use std::net::IpAddr;
use std::sync::Arc;

use pointsman::clock::instant_now;
use pointsman::model::{HttpCheck, Reason};
use pointsman::probe::{Addresses, HttpLooker, Trace};
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
    ] {
        let server = server_that_keeps(answer).await;
        three_looks(keeping(server.port())).await.iter().for_each(assert_pass);
        assert_eq!(server.seen().peers.len(), 3, "{}", String::from_utf8_lossy(answer));
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

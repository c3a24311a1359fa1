use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use pointsman::clock::instant_now;
use pointsman::model::{HttpCheck, Outcome, Reason, TcpCheck};
use pointsman::probe::{Addresses, HttpLooker, Look, Stage, TcpLooker, Trace};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

use super::server::{Server, closed_port};
use super::*;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

async fn tcp(check: TcpCheck, ips: &[IpAddr], within: Duration) -> Look {
    TcpLooker::new(check, None, at(ips)).look(instant_now() + within, &mut Trace::off()).await
}

#[tokio::test]
async fn an_accepted_connection_passes_and_is_closed_in_the_orderly_way() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let look = tcp(TcpCheck { port, source: None }, &[LOOPBACK], PATIENCE).await;
    assert_pass(&look);
    let (stream, _peer) = listener.accept().await.unwrap();
    stream.readable().await.unwrap();
    assert_eq!(stream.try_read(&mut [0; 1]).unwrap(), 0, "an end, not a reset");
}

#[tokio::test]
async fn a_refused_connection_fails_and_names_the_address() {
    let port = closed_port().await;
    let words = format!("connection refused by 127.0.0.1:{port}");
    assert_fail(&tcp(TcpCheck { port, source: None }, &[LOOPBACK], PATIENCE).await, Reason::Refused, &words);
    let (look, phases) = traced(get(port)).await;
    assert_fail(&look, Reason::Refused, &words);
    let names: Vec<Stage> = phases.iter().map(|phase| phase.name).collect();
    assert_eq!(names, [Stage::Connect, Stage::Verdict]);
    assert_eq!(phases[0].saw, words);
}

#[tokio::test]
async fn a_connection_that_nobody_accepts_times_out() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let at = listener.local_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(stream) = timeout(SHORT, TcpStream::connect(at)).await {
        queued.push(stream.unwrap());
    }
    let look = tcp(TcpCheck { port: at.port(), source: None }, &[LOOPBACK], SHORT).await;
    assert_fail(&look, Reason::Timeout, "did not accept the connection within 500ms");
}

#[tokio::test]
async fn an_address_that_is_not_known_yet_is_unknown() {
    let check = TcpCheck { port: 80, source: None };
    let (_sender, nothing) = watch::channel(Addresses::NotKnown);
    let look = TcpLooker::new(check, None, nothing).look(instant_now(), &mut Trace::off()).await;
    assert_unknown(&look, Reason::NoAddress);
}

#[tokio::test]
async fn a_region_without_any_address_is_unknown() {
    let look = tcp(TcpCheck { port: 80, source: None }, &[], PATIENCE).await;
    assert_unknown(&look, Reason::NoAddress);
}

#[tokio::test]
async fn a_change_of_address_is_followed_by_the_next_look() {
    let server = Server::answering(OK).await;
    let (addresses, watched) = watch::channel(Addresses::NotKnown);
    let mut looker = HttpLooker::new(Arc::new(get(server.port())), None, watched).unwrap();
    assert_unknown(&looker.look(instant_now() + PATIENCE, &mut Trace::off()).await, Reason::NoAddress);
    addresses.send_replace(Addresses::Known(Arc::from([LOOPBACK])));
    assert_pass(&looker.look(instant_now() + PATIENCE, &mut Trace::off()).await);
}

#[tokio::test]
async fn what_this_machine_cannot_do_is_unknown_not_failing() {
    let nobody = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    for source in [nobody, IpAddr::V6(Ipv6Addr::LOCALHOST)] {
        let check = TcpCheck { port: 80, source: Some(source) };
        assert_unknown(&tcp(check, &[LOOPBACK], PATIENCE).await, Reason::Local);
    }
    // To a multicast group no connection can be sent, as with no route at all.
    let group = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 1));
    assert_unknown(&tcp(TcpCheck { port: 80, source: None }, &[group], PATIENCE).await, Reason::Local);
}

#[tokio::test]
async fn a_look_goes_out_from_the_configured_source() {
    let server = Server::answering(OK).await;
    let source = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9));
    assert_pass(&look(HttpCheck { source: Some(source), ..get(server.port()) }).await);
    assert_pass(&tcp(TcpCheck { port: server.port(), source: Some(source) }, &[LOOPBACK], PATIENCE).await);
    let accepted = async {
        while server.seen().peers.len() < 2 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, accepted).await.unwrap();
    assert!(server.seen().peers.iter().all(|peer| peer.ip() == source));
}

#[tokio::test]
async fn every_address_must_pass_and_the_worst_counts() {
    let server = Server::answering(OK).await;
    let port = server.port();
    let dead = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 8));
    let blind = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 1));
    for (ips, outcome, words) in [
        (vec![LOOPBACK, LOOPBACK], Outcome::Pass, "status 200 from each of 2 addresses"),
        (vec![LOOPBACK, dead], Outcome::Fail(Reason::Refused), "127.0.0.8"),
        (vec![blind, LOOPBACK, dead], Outcome::Fail(Reason::Refused), "127.0.0.8"),
        (vec![LOOPBACK, blind, LOOPBACK], Outcome::Unknown(Reason::Local), "224.0.0.1"),
    ] {
        let mut looker = HttpLooker::new(Arc::new(get(port)), None, at(&ips)).unwrap();
        let look = looker.look(instant_now() + PATIENCE, &mut Trace::off()).await;
        assert_eq!(look.outcome, outcome, "{}", look.saw);
        assert!(look.saw.contains(words), "{}", look.saw);
    }
}

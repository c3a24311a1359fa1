//! The secondaries of an embedded zone get copies of it and follow its changes; nobody else gets one.

use std::net::SocketAddr;
use std::path::Path;

use base64::Engine as _;
use hickory_proto::op::{Message, OpCode, ResponseCode};
use hickory_proto::rr::rdata::TXT;
use hickory_proto::rr::rdata::tsig::{TsigAlgorithm, TsigError};
use hickory_proto::rr::{RData, RecordType, TSigResponseContext, TSigner};
use pointsman::clock::{instant_now, wall_time};
use pointsman::config::{EmbeddedZone, Secondary};
use tokio::net::UdpSocket;
use tokio::time::{sleep, timeout};

use crate::name_server::{self, Knot, KnotZone, SECRET};
use crate::served::{
    BLINK, DEADLINE, Served, ask, dig, fqdn, key, name, question, record, section, set, zone,
};

const OTHER_SECRET: &str = "YW5vdGhlciBrZXksIHRoYXQgaXMgbm90IHRoZSBzYW1lIQ==";
const KEY: &str = "hmac-sha256:pointsman.:dGhpcyBrZXkgaXMgZm9yIHRlc3RzIG9uIGxvb3BiYWNrIQ==";

/// A secondary that nobody is at, and its key.
fn secondary(folder: &Path, address: SocketAddr) -> Secondary {
    Secondary { address, tsig: name_server::key(folder, "pointsman.", SECRET) }
}

fn with_secondary(folder: &Path) -> EmbeddedZone {
    zone(vec![secondary(folder, "127.0.0.1:9".parse().unwrap())])
}

fn signer(key: &str, secret: &str) -> TSigner {
    let secret = base64::engine::general_purpose::STANDARD.decode(secret).unwrap();
    TSigner::new(secret, TsigAlgorithm::HmacSha256, name(key), 300).unwrap()
}

/// The records of a transfer as `dig` prints them, one a line, and what it says beside them.
fn transfer(address: SocketAddr, arguments: &[&str]) -> (Vec<String>, String) {
    let text = dig(address, &[&["dev.test.", "+onesoa", "+nocrypto"], arguments].concat());
    let is_record = |line: &&str| !line.starts_with(';') && !line.is_empty() && !line.contains("TSIG");
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    (text.lines().filter(is_record).map(words).collect(), text)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_signs_with_the_key_of_a_secondary_gets_the_zone_and_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(&folder.path().join("state"), &with_secondary(folder.path())).unwrap();
    let (records, text) = transfer(served.address, &["AXFR", "-y", KEY]);
    assert!(!text.contains("verify"), "{text}");
    assert!(records[0].contains("IN SOA ns1.dev.test."), "{records:?}");
    assert_eq!(records.len(), 12, "{records:?}"); // SOA, NS, eight of the configuration, a set of two
    assert!(records.contains(&"demo.dev.test. 30 IN A 192.0.2.2".to_owned()), "{records:?}");
    let wrong = format!("hmac-sha256:pointsman.:{OTHER_SECRET}");
    let unknown = format!("hmac-sha256:nobody.:{SECRET}");
    let other_algorithm = format!("hmac-sha512:pointsman.:{SECRET}");
    for signed in [&[][..], &["-y", &wrong], &["-y", &unknown], &["-y", &other_algorithm]] {
        let (records, text) = transfer(served.address, &[&["AXFR"][..], signed].concat());
        assert!(records.is_empty(), "{signed:?}: {text}");
    }
    // The key opens the zone, not a name in it.
    let text = dig(served.address, &["demo.dev.test.", "AXFR", "-y", KEY]);
    assert!(text.contains("Transfer failed"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_signature_is_said_as_it_should_be() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(&folder.path().join("state"), &with_secondary(folder.path())).unwrap();
    let now = wall_time().as_secs();
    for (signer, at, wanted, is_signed) in [
        (signer("pointsman.", SECRET), now, None, true),
        (signer("nobody.", SECRET), now, Some(TsigError::BadKey), false),
        (signer("pointsman.", OTHER_SECRET), now, Some(TsigError::BadSig), false),
        (signer("pointsman.", SECRET), now - 1_000, Some(TsigError::BadTime), true),
        (signer("pointsman.", SECRET), now + 1_000, Some(TsigError::BadTime), true),
        (signer("pointsman.", SECRET), 1, Some(TsigError::BadTime), true),
    ] {
        let mut request = question("demo.dev.test.", RecordType::A);
        request.finalize(&signer, at).unwrap();
        let answer = ask(served.address, &request.to_vec().unwrap()).await.unwrap();
        let answer = Message::from_vec(&answer).unwrap();
        let signature = &answer.signature.as_ref().unwrap().data;
        assert_eq!(signature.error, wanted);
        assert_eq!(!signature.mac.is_empty(), is_signed, "{wanted:?}");
        let code = if wanted.is_some() { ResponseCode::NotAuth } else { ResponseCode::NoError };
        assert_eq!((answer.metadata.response_code, answer.answers.is_empty()), (code, wanted.is_some()));
        if wanted == Some(TsigError::BadTime) {
            let ours = signature.other.iter().fold(0, |time, byte| time << 8 | u64::from(*byte));
            assert!(ours.abs_diff(now) < 60, "{ours} and not {now}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secondary_gets_what_changed_since_its_copy() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(&folder.path().join("state"), &with_secondary(folder.path())).unwrap();
    let before = served.serial();
    served.replace(&key("demo.dev.test."), &set(&[1], 30)).await;
    let between = served.serial();
    served.replace(&key("demo.dev.test."), &set(&[1, 3], 30)).await;
    let after = served.serial();
    let soa =
        |serial| format!("dev.test. 30 IN SOA ns1.dev.test. hostmaster.dev.test. {serial} 60 10 604800 30");
    let address = |last| format!("demo.dev.test. 30 IN A 192.0.2.{last}");
    let ixfr = |serial: u32| {
        let text = dig(served.address, &["dev.test.", &format!("IXFR={serial}"), "-y", KEY, "+nocrypto"]);
        assert!(!text.contains("verify"), "{text}");
        let is_record = |line: &&str| !line.starts_with(';') && !line.is_empty() && !line.contains("TSIG");
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        text.lines().filter(is_record).map(words).collect::<Vec<_>>()
    };
    let all =
        [soa(after), soa(before), address(2), soa(between), soa(between), soa(after), address(3), soa(after)];
    assert_eq!(ixfr(before), all);
    assert_eq!(ixfr(between), [soa(after), soa(between), soa(after), address(3), soa(after)]);
    assert_eq!(ixfr(after), [soa(after)]);
    // Of a serial that is not remembered the zone is given whole.
    let whole = ixfr(before.wrapping_sub(1_000));
    assert_eq!(whole.len(), 13, "{whole:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn over_udp_a_secondary_is_told_to_come_by_tcp() {
    let folder = tempfile::tempdir().unwrap();
    let zone = with_secondary(folder.path());
    let served = Served::start(&folder.path().join("state"), &zone).unwrap();
    let before = served.serial();
    served.replace(&key("demo.dev.test."), &set(&[1], 30)).await;
    let text =
        dig(served.address, &["dev.test.", &format!("IXFR={before}"), "+notcp", "-y", KEY, "+nocrypto"]);
    assert_eq!(text.lines().filter(|line| line.contains("SOA")).count(), 1, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_that_needs_several_messages_is_signed_through_all_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut zone = with_secondary(folder.path());
    for number in 0..2_000 {
        let text = RData::TXT(TXT::new(vec![format!("the text of number {number}, a long one")]));
        zone.records.push(record(&format!("text{number}.dev.test."), 60, text));
    }
    let served = Served::start(&folder.path().join("state"), &zone).unwrap();
    let (records, text) = transfer(served.address, &["AXFR", "-y", KEY]);
    assert_eq!(records.len(), 2_012);
    let messages = text.lines().find(|line| line.contains("XFR size")).unwrap();
    assert!(!messages.contains("messages 1,") && !text.contains("verify"), "{messages}");
}

#[tokio::test(flavor = "multi_thread")]
async fn knot_follows_a_change_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut zone = zone(Vec::new());
    let primary = zone.listen[0];
    let knot =
        Knot::start(&[("pointsman.", SECRET)], &[KnotZone::Secondary { zone: "dev.test.", primary }]).await;
    zone.secondaries.push(secondary(folder.path(), knot.address));
    let served = Served::start(&folder.path().join("state"), &zone).unwrap();
    let name = fqdn("demo.dev.test.");
    let follows = async |wanted: &[&str]| {
        let wanted: Vec<std::net::IpAddr> = wanted.iter().map(|it| it.parse().unwrap()).collect();
        let (started, deadline) = (instant_now(), instant_now() + DEADLINE);
        loop {
            let has = name_server::addresses(knot.address, &name, "A");
            if has == wanted {
                println!("the secondary had {wanted:?} after {:?}", started.elapsed());
                return;
            }
            assert!(instant_now() < deadline, "{has:?}: {}", knot.log());
            sleep(BLINK).await;
        }
    };
    follows(&["192.0.2.1", "192.0.2.2"]).await;
    served.replace(&key("demo.dev.test."), &set(&[1], 30)).await;
    follows(&["192.0.2.1"]).await;
    let log = knot.log();
    assert!(log.contains("IXFR, incoming") && !log.contains("fallback to AXFR"), "{log}");
    served.replace(&key("demo.dev.test."), &set(&[1, 2, 3], 30)).await;
    follows(&["192.0.2.1", "192.0.2.2", "192.0.2.3"]).await;
    // A restart begins without a past, and the secondary takes it whole.
    served.stop().await;
    let served = Served::start(&folder.path().join("state"), &zone).unwrap();
    served.replace(&key("demo.dev.test."), &set(&[3], 30)).await;
    follows(&["192.0.2.3"]).await;
    assert_eq!(section(&dig(served.address, &["dev.test.", "SOA"]), "ANSWER").len(), 1);
}

/// The next NOTIFY that comes, with the serial that it tells, and who sent it.
async fn notified(socket: &UdpSocket) -> (Message, u32, SocketAddr) {
    let mut room = [0; 4_096];
    let (length, from) = timeout(DEADLINE, socket.recv_from(&mut room)).await.unwrap().unwrap();
    let message = Message::from_vec(&room[..length]).unwrap();
    assert_eq!((message.metadata.op_code, message.metadata.authoritative), (OpCode::Notify, true));
    let RData::SOA(soa) = &message.answers[0].data else { panic!("{message}") };
    let serial = soa.serial;
    (message, serial, from)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secondary_is_told_again_until_it_says_so_under_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let zone = zone(vec![secondary(folder.path(), socket.local_addr().unwrap())]);
    let served = Served::start(&folder.path().join("state"), &zone).unwrap();
    let (first, serial, from) = notified(&socket).await;
    assert_eq!(serial, served.serial());
    // Anybody can say that it was heard; it is told again.
    let unsigned = Message::response(first.metadata.id, OpCode::Notify);
    socket.send_to(&unsigned.to_vec().unwrap(), from).await.unwrap();
    let (again, told, from) = notified(&socket).await;
    assert_eq!(told, serial);
    let mut answer = Message::response(again.metadata.id, OpCode::Notify);
    let mac = again.signature.unwrap().data.mac;
    let signer = signer("pointsman.", SECRET);
    let context = TSigResponseContext::new(answer.metadata.id, wall_time().as_secs(), signer, mac, None);
    answer.set_signature(context.sign(&answer.to_vec().unwrap()).unwrap());
    socket.send_to(&answer.to_vec().unwrap(), from).await.unwrap();
    // What is told next is the next change.
    served.replace(&key("demo.dev.test."), &set(&[1], 30)).await;
    let (_, told, _) = notified(&socket).await;
    assert_eq!(told, served.serial());
    assert_ne!(told, serial);
}

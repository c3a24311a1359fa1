//! The real name servers that tests and the demo stand on do what they are started for.
#![cfg(test)] // makes clippy take the helpers below for tests too

mod name_server;

use name_server::{Bind, Knot, KnotZone, SECRET, addresses, dig, primary};
use pointsman::model::Fqdn;

fn demo() -> Fqdn {
    Fqdn::parse("demo.corp.example.").unwrap()
}

#[tokio::test]
async fn bind_serves_its_zones_with_authority_and_keeps_them_over_a_crash() {
    let mut bind = Bind::start(&[
        primary("corp.example.", &["demo 30 A 192.0.2.1"]),
        primary("other.example.", &["demo 30 AAAA 2001:db8::1"]),
    ])
    .await;
    let address = bind.server.address();
    assert_eq!(addresses(address, &demo(), "A"), [std::net::IpAddr::from([192, 0, 2, 1])]);
    assert!(dig(address, &["demo.other.example.", "AAAA"]).contains("flags: qr aa"));
    bind.server.kill().unwrap();
    bind.server.start_again().await.unwrap();
    assert_eq!(bind.server.address(), address);
    assert_eq!(addresses(address, &demo(), "A"), [std::net::IpAddr::from([192, 0, 2, 1])]);
}

#[tokio::test]
async fn several_servers_run_at_once_and_a_secondary_copies_its_primary() {
    let acl = ["key: pointsman.", "action: transfer"];
    let zone = KnotZone::Primary { zone: "corp.example.", records: &["demo 30 A 192.0.2.1"], acl: &acl };
    let first = Knot::start(&[("pointsman.", SECRET)], &[zone]).await;
    let zone = KnotZone::Secondary { zone: "corp.example.", primary: first.address };
    let second = Knot::start(&[("pointsman.", SECRET)], &[zone]).await;
    let deadline = pointsman::clock::instant_now() + std::time::Duration::from_secs(20);
    while !dig(second.address, &["+short", "demo.corp.example.", "A"]).contains("192.0.2.1") {
        assert!(pointsman::clock::instant_now() < deadline, "{}", second.log());
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_ne!(first.address, second.address);
}

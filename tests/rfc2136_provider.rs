//! Record sets on real name servers, BIND's and Knot's, by signed dynamic updates: what is read, written and refused.
#![cfg(test)] // makes clippy take the helpers below for tests too

mod name_server;

use std::collections::BTreeSet;
use std::net::IpAddr;

use name_server::{CLOSED, Site, ZONE, addresses, deadline, demo, dig, key, primary};
use pointsman::config::{Rfc2136Zone, TsigAlgorithm, TsigKey};
use pointsman::dns::{Provider as _, Rfc2136Provider};
use pointsman::model::{
    Answer, Found, Fqdn, InForce, ProviderError, ProviderErrorKind, RecordKey, RecordSet, RecordType,
    Routing, Ttl,
};
use pointsman::sim::NameServer;

const ONE: &str = "192.0.2.1";
const TWO: &str = "192.0.2.2";
const FOREIGN: &str = "192.0.2.99";

fn values(texts: &[&str]) -> BTreeSet<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn set(texts: &[&str], ttl_s: u32) -> RecordSet {
    RecordSet::new(values(texts), Ttl::from_seconds(ttl_s).unwrap()).unwrap()
}

async fn read(provider: &Rfc2136Provider, key: &RecordKey) -> Answer {
    provider.read(key, deadline()).await
}

async fn found(provider: &Rfc2136Provider) -> Found {
    read(provider, &demo(RecordType::A)).await.unwrap().unwrap()
}

async fn replace(provider: &Rfc2136Provider, found: &Found, set: &RecordSet) -> Result<(), ProviderError> {
    provider.replace(&demo(RecordType::A), found, set, deadline()).await
}

fn told<T: std::fmt::Debug>(result: Result<T, ProviderError>) -> (ProviderErrorKind, String) {
    let error = result.unwrap_err();
    assert!(error.message.contains("zone") && error.message.contains("at 127.0.0.1:"), "{error}");
    (error.kind, error.message)
}

#[tokio::test]
async fn a_set_that_is_missing_is_made_and_read_back_in_either_type() {
    for site in Site::both(&[]).await {
        let provider = site.provider();
        for (record_type, address) in [(RecordType::A, ONE), (RecordType::Aaaa, "2001:db8::1")] {
            let key = demo(record_type);
            assert_eq!(read(&provider, &key).await, Ok(None));
            provider.create(&key, &set(&[address], 30), deadline()).await.unwrap();
            let found = read(&provider, &key).await.unwrap().unwrap();
            assert_eq!((found.values, found.ttl.as_seconds()), (values(&[address]), 30));
            assert_eq!((found.in_force, found.description), (InForce::Yes, None));
            assert_eq!(
                addresses(site.address(), &key.name, record_type.as_str()),
                [address.parse::<IpAddr>().unwrap()]
            );
        }
    }
}

#[tokio::test]
async fn a_set_is_replaced_as_a_whole_with_its_ttl_and_nothing_else_changes() {
    let records =
        ["demo 300 A 192.0.2.1", "demo 300 A 192.0.2.99", "demo 60 TXT \"theirs\"", "www 300 A 192.0.2.7"];
    for site in Site::both(&records).await {
        let provider = site.provider();
        let before = found(&provider).await;
        assert_eq!((before.values.clone(), before.ttl.as_seconds()), (values(&[ONE, FOREIGN]), 300));
        replace(&provider, &before, &set(&[TWO, FOREIGN], 30)).await.unwrap();
        let after = found(&provider).await;
        assert_eq!((after.values, after.ttl.as_seconds()), (values(&[TWO, FOREIGN]), 30));
        let text = dig(site.address(), &["demo.corp.example.", "TXT"]);
        assert!(text.contains("60\tIN\tTXT\t\"theirs\""), "{text}");
        assert!(dig(site.address(), &["+short", "www.corp.example.", "A"]).contains("192.0.2.7"));
    }
}

#[tokio::test]
async fn a_lost_race_changes_nothing_and_is_a_conflict() {
    for site in Site::both(&["demo 30 A 192.0.2.1"]).await {
        let provider = site.provider();
        let before = found(&provider).await;
        replace(&site.provider(), &before, &set(&[ONE, FOREIGN], 30)).await.unwrap();
        let (kind, message) = told(replace(&provider, &before, &set(&[TWO], 30)).await);
        assert_eq!(kind, ProviderErrorKind::Conflict, "{message}");
        let says = "the server says NXRRSET to an update that requires it to hold 192.0.2.1";
        assert!(message.ends_with(says), "{message}");
        assert_eq!(found(&provider).await.values, values(&[ONE, FOREIGN]));
        // And one that was found missing was made by somebody.
        let created = provider.create(&demo(RecordType::A), &set(&[TWO], 30), deadline()).await;
        let (kind, message) = told(created);
        assert_eq!(kind, ProviderErrorKind::Conflict, "{message}");
        let says = "the server says YXRRSET to an update that requires no A and no CNAME record there";
        assert!(message.ends_with(says), "{message}");
        assert_eq!(found(&provider).await.values, values(&[ONE, FOREIGN]));
    }
}

#[tokio::test]
async fn an_alias_at_the_name_is_told_and_never_written_over() {
    for site in Site::both(&["demo 30 CNAME www", "www 30 A 192.0.2.7"]).await {
        let provider = site.provider();
        let (kind, message) = told(read(&provider, &demo(RecordType::A)).await);
        assert_eq!(kind, ProviderErrorKind::Refused);
        assert!(message.contains("alias for www.corp.example. (CNAME)"), "{message}");
        let created = provider.create(&demo(RecordType::A), &set(&[TWO], 30), deadline()).await;
        assert_eq!(told(created).0, ProviderErrorKind::Conflict, "or it would be passed over without a word");
        assert_eq!(
            dig(site.address(), &["+short", "demo.corp.example.", "CNAME"]).trim(),
            "www.corp.example."
        );
    }
}

#[tokio::test]
async fn a_key_that_is_not_known_and_one_with_another_secret_are_told_apart() {
    for site in Site::both(&["demo 30 A 192.0.2.1"]).await {
        let before = found(&site.provider()).await;
        let unknown = key(site.folder.path(), "nobody.", name_server::SECRET);
        let other = "c29tZXRoaW5nIGVsc2UgdGhhdCBpcyBhIHNlY3JldCB0b28h";
        std::fs::create_dir(site.folder.path().join("other")).unwrap();
        let wrong = key(&site.folder.path().join("other"), "pointsman.", other);
        for (tsig, says) in [(unknown, "BADKEY"), (wrong, "BADSIG")] {
            let provider = site.provider_with(ZONE, tsig.clone());
            let reading = told(read(&provider, &demo(RecordType::A)).await);
            let writing = told(replace(&provider, &before, &set(&[TWO], 30)).await);
            let serial = told(provider.serial(deadline()).await);
            for (kind, message) in [reading, writing, serial] {
                assert_eq!(kind, ProviderErrorKind::Refused, "{message}");
                assert!(message.contains(says) && message.contains(tsig.name.as_str()), "{message}");
                assert!(!message.contains(other) && !message.contains(name_server::SECRET), "{message}");
            }
        }
        assert_eq!(found(&site.provider()).await, before);
    }
}

#[tokio::test]
async fn a_zone_that_is_closed_to_the_key_is_read_and_not_written() {
    for site in Site::both(&["demo 30 A 192.0.2.1"]).await {
        let provider = site.provider_with(CLOSED, site.key.clone());
        let key = RecordKey {
            name: Fqdn::parse("demo.closed.example.").unwrap(),
            record_type: RecordType::A,
            routing: Routing::Only,
        };
        let before = read(&provider, &key).await.unwrap().unwrap();
        provider.serial(deadline()).await.unwrap();
        let written = told(provider.replace(&key, &before, &set(&[TWO], 30), deadline()).await);
        let rehearsed = told(provider.may_update(&key, deadline()).await);
        for (kind, message) in [written, rehearsed] {
            assert_eq!(kind, ProviderErrorKind::Refused, "{message}");
            let says =
                if site.is_knot() { "grants it nothing there (BADKEY)" } else { "(REFUSED); grant it that" };
            assert!(message.contains(says), "{message}");
        }
        assert_eq!(read(&provider, &key).await.unwrap().unwrap(), before);
    }
}

#[tokio::test]
async fn whether_a_key_may_write_is_found_out_without_writing() {
    for site in Site::both(&["demo 30 A 192.0.2.1"]).await {
        let provider = site.provider();
        let serial = provider.serial(deadline()).await.unwrap();
        for record_type in [RecordType::A, RecordType::Aaaa] {
            provider.may_update(&demo(record_type), deadline()).await.unwrap();
        }
        assert_eq!(provider.serial(deadline()).await, Ok(serial), "nothing was changed");
    }
}

#[tokio::test]
async fn a_zone_that_is_not_served_is_refused_with_what_to_name_instead() {
    for site in Site::both(&["demo 30 A 192.0.2.1"]).await {
        let provider = site.provider_with("none.example.", site.key.clone());
        let key = RecordKey {
            name: Fqdn::parse("demo.none.example.").unwrap(),
            record_type: RecordType::A,
            routing: Routing::Only,
        };
        let reading = told(read(&provider, &key).await);
        let serial = told(provider.serial(deadline()).await);
        for (kind, message) in [reading, serial] {
            assert_eq!(kind, ProviderErrorKind::Refused, "{message}");
            assert!(message.contains("it does not serve the zone"), "{message}");
        }
        let (kind, message) = told(provider.create(&key, &set(&[TWO], 30), deadline()).await);
        // Knot says it without a signature: then anybody may have said it.
        let expected = if site.is_knot() { ProviderErrorKind::Lost } else { ProviderErrorKind::Refused };
        assert_eq!(kind, expected, "{message}");
        assert!(message.contains("NOTAUTH") || message.contains("not signed"), "{message}");
    }
}

#[tokio::test]
async fn a_zone_below_or_above_the_one_that_is_served_is_not_taken_for_it() {
    for site in Site::both(&["demo 30 A 192.0.2.1", "sub NS ns1.sub", "ns1.sub A 127.0.0.1"]).await {
        // The zone's parent is not served; the name is, and the zone of the configuration is none.
        let below = site.provider_with("demo.corp.example.", site.key.clone());
        let (kind, message) = told(below.serial(deadline()).await);
        assert_eq!(kind, ProviderErrorKind::Refused, "{message}");
        assert!(message.contains("has no zone of that name"), "{message}");
        let nobody = RecordKey {
            name: Fqdn::parse("x.demo.corp.example.").unwrap(),
            record_type: RecordType::A,
            routing: Routing::Only,
        };
        let (kind, message) = told(read(&below, &nobody).await);
        assert_eq!(kind, ProviderErrorKind::Unclear, "that the served zone has none says nothing: {message}");
        // A name that the zone has given away.
        let away = RecordKey {
            name: Fqdn::parse("demo.sub.corp.example.").unwrap(),
            record_type: RecordType::A,
            routing: Routing::Only,
        };
        let (kind, message) = told(read(&site.provider(), &away).await);
        assert_eq!(kind, ProviderErrorKind::Refused, "{message}");
        assert!(message.contains("without authority"), "{message}");
    }
}

#[tokio::test]
async fn a_server_that_is_gone_is_away_and_its_zone_is_as_it_was_once_it_is_back() {
    for mut site in Site::both(&["demo 30 A 192.0.2.1"]).await {
        let provider = site.provider();
        let before = found(&provider).await;
        replace(&provider, &before, &set(&[ONE, TWO], 60)).await.unwrap();
        let written = found(&provider).await;
        site.kill();
        let reading = told(read(&provider, &demo(RecordType::A)).await);
        let writing = told(replace(&provider, &written, &set(&[ONE], 60)).await);
        for (kind, message) in [reading, writing] {
            assert_eq!(kind, ProviderErrorKind::Away, "{message}");
            assert!(message.contains("no connection"), "{message}");
        }
        site.start_again().await;
        assert_eq!(found(&provider).await, written);
        replace(&provider, &written, &set(&[ONE], 60)).await.unwrap();
        assert_eq!(site.demo(), [ONE.parse::<IpAddr>().unwrap()]);
    }
}

#[tokio::test]
async fn a_set_with_a_ttl_of_zero_is_read_and_written_with_that_or_with_another_one() {
    for site in Site::both(&["demo 0 A 192.0.2.1", "demo 0 A 192.0.2.99"]).await {
        let provider = site.provider();
        let before = found(&provider).await;
        assert_eq!((before.values.clone(), before.ttl.as_seconds()), (values(&[ONE, FOREIGN]), 0));
        let kept = RecordSet::new(values(&[TWO, FOREIGN]), before.ttl).unwrap();
        replace(&provider, &before, &kept).await.unwrap();
        let after = found(&provider).await;
        assert_eq!((after.values.clone(), after.ttl.as_seconds()), (values(&[TWO, FOREIGN]), 0));
        replace(&provider, &after, &set(&[ONE, FOREIGN], 30)).await.unwrap();
        let last = found(&provider).await;
        assert_eq!((last.values, last.ttl.as_seconds()), (values(&[ONE, FOREIGN]), 30));
    }
}

fn many(network: u16, count: u16) -> RecordSet {
    let address = |n| IpAddr::from([0x2001, 0xdb8, network, 0, 0, 0, 0, n]);
    RecordSet::new((0..count).map(address).collect(), Ttl::from_seconds(30).unwrap()).unwrap()
}

#[tokio::test]
async fn as_many_values_as_a_set_may_have_are_replaced_in_one_update() {
    for site in Site::both(&[]).await {
        let provider = site.provider();
        let key = demo(RecordType::Aaaa);
        // BIND itself takes no more of one type.
        let count = if site.is_knot() { 700 } else { 100 };
        provider.create(&key, &many(1, count), deadline()).await.unwrap();
        let found = read(&provider, &key).await.unwrap().unwrap();
        provider.replace(&key, &found, &many(2, count), deadline()).await.unwrap();
        assert_eq!(read(&provider, &key).await.unwrap().unwrap().values, *many(2, count).values());
        let written = provider.replace(&key, &found, &many(1, 2_500), deadline()).await;
        let (kind, message) = told(written);
        assert_eq!(kind, ProviderErrorKind::Refused, "{message}");
        assert!(message.contains("do not fit into one message"), "{message}");
    }
}

#[tokio::test]
async fn more_values_than_any_set_has_are_not_understood() {
    let many: Vec<String> = (0..1_001).map(|n| format!("demo 30 A 10.0.{}.{}", n / 256, n % 256)).collect();
    let site = Site::knot(&many.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let (kind, message) = told(read(&site.provider(), &demo(RecordType::A)).await);
    assert_eq!(kind, ProviderErrorKind::Unclear);
    assert!(message.contains("1001 values"), "{message}");
}

#[tokio::test]
async fn what_a_wildcard_answers_is_never_replaced() {
    for site in Site::both(&["* 30 A 192.0.2.1"]).await {
        let provider = site.provider();
        let before = found(&provider).await;
        let (kind, message) = told(replace(&provider, &before, &set(&[TWO], 30)).await);
        assert_eq!(kind, ProviderErrorKind::Conflict);
        assert!(message.contains("wildcard"), "{message}");
        assert_eq!(site.demo(), [ONE.parse::<IpAddr>().unwrap()]);
    }
}

#[tokio::test]
async fn each_algorithm_signs_and_another_one_than_the_servers_is_refused() {
    let all = [TsigAlgorithm::HmacSha256, TsigAlgorithm::HmacSha384, TsigAlgorithm::HmacSha512];
    for (algorithm, other) in all.into_iter().zip([all[1], all[2], all[0]]) {
        let folder = tempfile::tempdir().unwrap();
        let tsig = TsigKey { algorithm, ..key(folder.path(), "pointsman.", name_server::SECRET) };
        let server = NameServer::start(folder.path(), &[primary(ZONE, &[])], &tsig).await.unwrap();
        let zone = Rfc2136Zone { server: server.address(), zone: Fqdn::parse(ZONE).unwrap(), tsig };
        let provider = Rfc2136Provider::new(zone.clone()).unwrap();
        provider.create(&demo(RecordType::A), &set(&[ONE], 30), deadline()).await.unwrap();
        assert_eq!(found(&provider).await.values, values(&[ONE]));
        let tsig = TsigKey { algorithm: other, ..zone.tsig.clone() };
        let wrong = Rfc2136Provider::new(Rfc2136Zone { tsig, ..zone }).unwrap();
        let (kind, message) = told(read(&wrong, &demo(RecordType::A)).await);
        assert_eq!(kind, ProviderErrorKind::Refused, "{message}");
        assert!(message.contains("BADKEY") && message.contains("algorithm"), "{message}");
    }
}

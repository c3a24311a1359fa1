//! What is made of answers that are late, missing, cut, altered or somebody else's, on the way from a real name server.
#![cfg(test)] // makes clippy take the helpers below for tests too

mod name_server;

use std::time::Duration;

use hickory_proto::op::ResponseCode;
use name_server::{Between, Contrary, SECRET, Site, Trouble, ZONE, deadline, demo, key};
use pointsman::clock::instant_now;
use pointsman::config::Rfc2136Zone;
use pointsman::dns::{Provider as _, Rfc2136Provider};
use pointsman::model::{Fqdn, ProviderErrorKind, RecordSet, RecordType, Ttl};

const TROUBLES: [(Trouble, ProviderErrorKind, &str); 10] = [
    (Trouble::Silence, ProviderErrorKind::Away, "did not answer by the deadline"),
    (Trouble::Closed, ProviderErrorKind::Away, "closed the connection without an answer"),
    (Trouble::ClosedEarly, ProviderErrorKind::Away, "closed the connection without an answer"),
    (Trouble::Garbage, ProviderErrorKind::Unclear, "no DNS answer"),
    (Trouble::Cut, ProviderErrorKind::Unclear, "no DNS answer"),
    (Trouble::MarkedAsCut, ProviderErrorKind::Unclear, "signature does not hold"),
    (Trouble::ForeignId, ProviderErrorKind::Unclear, "answers another request"),
    (Trouble::Unsigned, ProviderErrorKind::Unclear, "is not signed"),
    (Trouble::Altered, ProviderErrorKind::Unclear, "signature does not hold"),
    (Trouble::Echo, ProviderErrorKind::Unclear, "answers another request"),
];

/// Long enough for a server on loopback, and waited for in whole when nothing comes.
fn soon(trouble: Trouble) -> tokio::time::Instant {
    if trouble == Trouble::Silence { instant_now() + Duration::from_millis(1_500) } else { deadline() }
}

async fn between(site: &Site) -> (Between, Rfc2136Provider) {
    let between = Between::start(site.address()).await;
    let zone =
        Rfc2136Zone { server: between.address, zone: Fqdn::parse(ZONE).unwrap(), tsig: site.key.clone() };
    (between, Rfc2136Provider::new(zone).unwrap())
}

#[tokio::test]
async fn a_read_is_only_believed_whole_signed_and_to_the_very_question() {
    for records in [&["demo 30 A 192.0.2.1"][..], &[]] {
        for site in Site::both(records).await {
            let (between, provider) = between(&site).await;
            let key = demo(RecordType::A);
            for (trouble, kind, says) in TROUBLES {
                between.makes(trouble);
                let error = provider.read(&key, soon(trouble)).await.unwrap_err();
                assert_eq!(error.kind, kind, "{trouble:?}: {error}");
                assert!(
                    error.message.contains(says) && !error.message.contains(SECRET),
                    "{trouble:?}: {error}"
                );
            }
            between.makes(Trouble::None);
            assert_eq!(provider.read(&key, deadline()).await.unwrap().is_some(), !records.is_empty());
        }
    }
}

#[tokio::test]
async fn a_write_without_a_clear_answer_is_lost_whether_it_was_made_or_not() {
    for site in Site::both(&["demo 30 A 192.0.2.1"]).await {
        let (between, provider) = between(&site).await;
        let key = demo(RecordType::A);
        for (round, (trouble, _, says)) in (10_u8..).zip(TROUBLES) {
            between.makes(Trouble::None);
            let found = provider.read(&key, deadline()).await.unwrap().unwrap();
            let values = [[192, 0, 2, round].into()];
            let set = RecordSet::new(values.into(), Ttl::from_seconds(30).unwrap()).unwrap();
            between.makes(trouble);
            let error = provider.replace(&key, &found, &set, soon(trouble)).await.unwrap_err();
            assert_eq!(error.kind, ProviderErrorKind::Lost, "{trouble:?}: {error}");
            assert!(
                error.message.contains(says) && error.message.contains("all the same"),
                "{trouble:?}: {error}"
            );
            let made = site.demo() == values;
            assert_eq!(made, trouble != Trouble::ClosedEarly, "{trouble:?}");
        }
    }
}

#[tokio::test]
async fn an_update_that_is_refused_by_what_it_requires_is_told_in_the_servers_own_words() {
    let value = [192, 0, 2, 1].into();
    for (code, said) in [
        (ResponseCode::NXRRSet, "NXRRSET"),
        (ResponseCode::YXRRSet, "YXRRSET"),
        (ResponseCode::YXDomain, "YXDOMAIN"),
        (ResponseCode::NXDomain, "NXDOMAIN"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let server = Contrary::start(&[value], code).await;
        let tsig = key(folder.path(), "pointsman.", SECRET);
        let zone = Rfc2136Zone { server: server.address, zone: Fqdn::parse(ZONE).unwrap(), tsig };
        let provider = Rfc2136Provider::new(zone).unwrap();
        let key = demo(RecordType::A);
        let found = provider.read(&key, deadline()).await.unwrap().unwrap();
        let set = RecordSet::new([[192, 0, 2, 2].into()].into(), found.ttl).unwrap();
        let error = provider.replace(&key, &found, &set, deadline()).await.unwrap_err();
        assert_eq!(error.kind, ProviderErrorKind::Conflict, "{error}");
        let says = format!("the server says {said} to an update that requires it to hold 192.0.2.1");
        assert!(error.message.contains(&says), "{error}");
        assert!(error.message.contains(&format!("at {}", server.address)), "{error}");
        assert_eq!(provider.read(&key, deadline()).await.unwrap(), Some(found));
        assert_eq!(server.updates(), 1);
    }
}

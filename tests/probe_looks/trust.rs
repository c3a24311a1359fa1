//! Which certificates a probe takes, and what it says of those that it does not.

use std::sync::Arc;

use pointsman::clock::{instant_now, wall_time};
use pointsman::config::{Cloud, CredentialsFrom, Endpoints};
use pointsman::huawei::{Account, Answer, CloudClocks, Outside};
use pointsman::model::{CloudName, Reason};
use pointsman::probe::Trace;
use rcgen::{BasicConstraints, CertificateParams, IsCa, date_time_ymd};
use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SignatureAlgorithm, SignatureScheme};
use tokio_rustls::TlsAcceptor;

use super::server::Server;
use super::tls::{Authority, END, assert_is_in_plain_words, issued, leaf, serve};
use super::*;

/// Answers 200 over TLS.
async fn answering(acceptor: TlsAcceptor) -> Server {
    Server::doing(move |peer| {
        let acceptor = acceptor.clone();
        async move {
            let Some(mut peer) = peer.within_tls(acceptor).await else { return };
            while peer.request().await {
                peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
            }
        }
    })
    .await
}

/// An account in use, and its clocks: its cloud is so many seconds ahead of this machine.
async fn clocks(ahead: i64) -> (Account, CloudClocks) {
    let settings = Cloud {
        credentials: CredentialsFrom::Environment,
        region: "cn-north-4".to_owned(),
        project_id: Some("p".to_owned()),
        domain_id: None,
        endpoints: Endpoints { iam: None, elb: None, eip: None, dns: None, metadata: None },
    };
    let answer = move || {
        let now = jiff::Timestamp::from_second(wall_time().as_secs().try_into().unwrap()).unwrap();
        let date = now + jiff::SignedDuration::from_secs(ahead);
        let date = date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        Answer { status: 404, headers: vec![("Date".to_owned(), date)], body: b"{}".to_vec() }
    };
    let world = Outside {
        variables: Arc::new(|name| name.starts_with("HUAWEICLOUD_SDK_").then(|| "key".to_owned())),
        script: Arc::new(move |_| Some(answer())),
    };
    let name = CloudName::parse("main").unwrap();
    let account = Account::within(name, &settings, Arc::new(|_| ()), world).unwrap();
    let clocks = CloudClocks::default();
    account.tell_the_time_to(&clocks);
    for _ in 0..3 {
        let _ = account.load_balancer("cn-north-4", "lb1", instant_now() + PATIENCE).await;
    }
    (account, clocks)
}

#[tokio::test]
async fn by_a_clock_that_is_known_to_be_wrong_a_certificate_that_fails_by_its_dates_alone_is_unknown() {
    let authority = Authority::new();
    let expired = |params: &mut CertificateParams| {
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(2020, 1, 1);
    };
    let early = |params: &mut CertificateParams| params.not_before = date_time_ymd(2089, 1, 1);
    let by_dates = [
        serve(authority.issue("demo.localdev.me", expired), None).await,
        serve(authority.issue("demo.localdev.me", early), None).await,
    ];
    let wrong_anyway = [
        (serve(authority.issue("other.example", expired), None).await, "but for other.example"),
        (serve(Authority::new().issue("demo.localdev.me", early), None).await, "not trusted"),
    ];
    for (ahead, wrong) in [(0, false), (30, false), (3_600, true), (-90, true)] {
        let (_in_use, clocks) = clocks(ahead).await;
        let look = async |server: &Server| {
            let mut looker = looker(authority.check(server.port())).with_clocks(clocks.clone());
            looker.look(instant_now() + PATIENCE, &mut Trace::off()).await
        };
        for server in &by_dates {
            let look = look(server).await;
            let outcome = if wrong { Outcome::Unknown(Reason::Local) } else { Outcome::Fail(Reason::Tls) };
            assert_eq!(look.outcome, outcome, "{ahead}: {}", look.saw);
            assert_eq!(look.saw.contains("the cloud's: start chrony or ntpd"), wrong, "{}", look.saw);
        }
        for (server, words) in &wrong_anyway {
            assert_fail(&look(server).await, Reason::Tls, words);
        }
    }
}

/// A key that nobody here can verify: it signs nothing and says it does.
#[derive(Debug)]
struct Impostor(SignatureScheme);

impl SigningKey for Impostor {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&self.0).then(|| Box::new(Self(self.0)) as Box<dyn Signer>)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

impl Signer for Impostor {
    fn sign(&self, _message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        Ok(b"signed".to_vec())
    }

    fn scheme(&self) -> SignatureScheme {
        self.0
    }
}

/// Shows the same to everybody.
#[derive(Debug)]
struct Shows(Arc<CertifiedKey>);

impl ResolvesServerCert for Shows {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

#[tokio::test]
async fn without_verification_any_certificate_passes_with_which_a_handshake_can_be_made() {
    let authority = Authority::new();
    let certificate = authority.certificate.der().to_vec();
    // The version of a certificate is its first field: [0] 2. It is made 1, and then another kind of field.
    let version = certificate.windows(5).position(|five| five == [0xa0, 3, 2, 1, 2]).unwrap();
    let changed = |place: usize, byte: u8| {
        let mut changed = certificate.clone();
        changed[place] = byte;
        changed
    };
    let (version_1, malformed) = (changed(version + 4, 0), changed(version, 4));
    for certificate in
        [certificate.clone(), version_1, malformed, b"no certificate at all".to_vec(), Vec::new()]
    {
        for (scheme, versions) in [
            (SignatureScheme::ECDSA_NISTP256_SHA256, &[&TLS12, &TLS13][..]),
            (SignatureScheme::ECDSA_NISTP521_SHA512, &[&TLS13]),
            (SignatureScheme::ECDSA_NISTP521_SHA512, &[&TLS12]),
            (SignatureScheme::ED448, &[&TLS13]),
        ] {
            let shown = CertifiedKey::new(vec![certificate.clone().into()], Arc::new(Impostor(scheme)));
            let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
                .with_protocol_versions(versions)
                .unwrap()
                .with_no_client_auth()
                .with_cert_resolver(Arc::new(Shows(Arc::new(shown))));
            let server = answering(TlsAcceptor::from(Arc::new(config))).await;
            let mut check = authority.check(server.port());
            check.tls.verify = false;
            let found = look(check.clone()).await;
            assert_eq!(found.outcome, Outcome::Pass, "{scheme:?}: {}", found.saw);
            check.tls.verify = true;
            let found = look(check).await;
            assert!(matches!(found.outcome, Outcome::Fail(_)), "{scheme:?}: {}", found.saw);
            assert_is_in_plain_words(&found.saw);
        }
    }
}

#[tokio::test]
async fn a_self_signed_certificate_that_is_its_own_ca_file_passes_as_with_curl() {
    let authority = Authority::new();
    let trusting = |name: &str, change: &dyn Fn(&mut CertificateParams)| {
        let (params, key) = leaf(name, |params| {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            change(params);
        });
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(authority.file("own.pem"), certificate.pem()).unwrap();
        issued(&certificate, &key)
    };
    let look = async |issued| {
        let server = serve(issued, None).await;
        let mut check = authority.check(server.port());
        check.tls.ca_file = Some(authority.file("own.pem"));
        look(check).await
    };
    let of_an_authority = look(trusting("demo.localdev.me", &|_| ())).await;
    assert_pass(&of_an_authority);
    assert_eq!(of_an_authority.certificate.unwrap().expires, END);
    assert_pass(&look(trusting("demo.localdev.me", &|params| params.is_ca = IsCa::NoCa)).await);
    assert_pass(&look(trusting("demo.localdev.me", &|params| params.is_ca = IsCa::ExplicitNoCa)).await);
    let expired = look(trusting("demo.localdev.me", &|params| {
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(2020, 1, 1);
    }));
    assert_fail(&expired.await, Reason::Tls, "expired at 2020-01-01");
    let other = look(trusting("other.example", &|_| ())).await;
    assert_fail(&other, Reason::Tls, "is not for demo.localdev.me, but for other.example");
}

#[tokio::test]
async fn a_self_signed_certificate_that_is_not_trusted_fails_and_the_message_names_the_cure() {
    let authority = Authority::new();
    for is_ca in [IsCa::Ca(BasicConstraints::Unconstrained), IsCa::NoCa] {
        let (params, key) = leaf("demo.localdev.me", |params| params.is_ca = is_ca);
        let server = serve(issued(&params.self_signed(&key).unwrap(), &key), None).await;
        let look = look(authority.check(server.port())).await;
        assert_fail(&look, Reason::Tls, "tls.ca_file");
        assert_is_in_plain_words(&look.saw);
    }
}

//! Which certificates a probe takes, and what it says of those that it does not.

use std::sync::Arc;

use pointsman::model::Reason;
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

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pointsman::clock::instant_now;
use pointsman::model::{ClientCertificate, HttpCheck, Reason, Scheme, TlsSettings};
use pointsman::probe::{HttpLooker, LookerError, Stage, Trace};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType, date_time_ymd,
};
use regex::bytes::Regex;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio_rustls::TlsAcceptor;

use super::server::Server;
use super::*;

/// 1 January 2090, when the certificates here end unless they say otherwise.
pub(crate) const END: i64 = 3_786_912_000;

/// A certificate authority with its PEM file, and room for more files.
pub(crate) struct Authority {
    pub(crate) certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
    files: TempDir,
}

pub(crate) struct Issued {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let files = TempDir::new().unwrap();
        // A name of its own: else an unknown authority is taken for a known one whose signature is bad.
        params.distinguished_name.push(DnType::CommonName, files.path().to_str().unwrap());
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(files.path().join("ca.pem"), certificate.pem()).unwrap();
        Self { certificate, issuer: Issuer::new(params, key), files }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// A certificate for `name`, changed before it is signed; in files too.
    pub(crate) fn issue(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Issued {
        let (params, key) = leaf(name, change);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.file("client.pem"), certificate.pem()).unwrap();
        std::fs::write(self.file("client.key"), key.serialize_pem()).unwrap();
        issued(&certificate, &key)
    }

    /// A look that trusts this authority.
    pub(crate) fn check(&self, port: u16) -> HttpCheck {
        let check = get(port);
        let tls = TlsSettings { ca_file: Some(self.file("ca.pem")), ..check.tls };
        HttpCheck { scheme: Scheme::Https, tls, ..check }
    }
}

pub(crate) fn leaf(name: &str, change: impl FnOnce(&mut CertificateParams)) -> (CertificateParams, KeyPair) {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.not_after = date_time_ymd(2090, 1, 1);
    change(&mut params);
    (params, KeyPair::generate().unwrap())
}

pub(crate) fn issued(certificate: &Certificate, key: &KeyPair) -> Issued {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    Issued { chain: vec![certificate.der().clone()], key }
}

/// Answers 200 over TLS, and tells in the body what the handshake was.
pub(crate) async fn serve(issued: Issued, clients_from: Option<&Authority>) -> Server {
    let acceptor = acceptor(issued, clients_from);
    Server::doing(move |peer| {
        let acceptor = acceptor.clone();
        async move {
            let Some(mut peer) = peer.within_tls(acceptor).await else { return };
            while peer.request().await {
                let session = peer.stream.get_ref().1;
                let shown = session.peer_certificates().is_some();
                let name = session.server_name().unwrap_or("none");
                let kind = session.handshake_kind().unwrap();
                let protocol = String::from_utf8_lossy(session.alpn_protocol().unwrap());
                let body = format!("name={name} client={shown} handshake={kind:?} protocol={protocol}");
                let length = body.len();
                peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}").as_bytes())
                    .await;
            }
        }
    })
    .await
}

fn acceptor(issued: Issued, clients_from: Option<&Authority>) -> TlsAcceptor {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients_from {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.certificate.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let mut config = builder.with_single_cert(issued.chain, issued.key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

#[tokio::test]
async fn a_good_certificate_passes_and_its_end_is_read() {
    let authority = Authority::new();
    let server = serve(authority.issue("demo.localdev.me", |_| ()), None).await;
    let expect_body = Some("name=demo.localdev.me client=false handshake=Full protocol=http/1.1".to_owned());
    let check = HttpCheck { expect_body, ..authority.check(server.port()) };
    let (look, phases) = traced(check).await;
    assert_pass(&look);
    let certificate = look.certificate.unwrap();
    assert_eq!((certificate.expires, certificate.expires_soon), (END, false));
    let names: Vec<Stage> = phases.iter().map(|phase| phase.name).collect();
    assert_eq!(names, [Stage::Connect, Stage::Tls, Stage::Request, Stage::Head, Stage::Body, Stage::Verdict]);
    assert!(phases[1].saw.contains("TLSv1_3") && phases[1].saw.contains("2090-01-01"), "{}", phases[1].saw);
    assert!(server.seen().requests[0].contains("Host: demo.localdev.me\r\n"));
}

#[tokio::test]
async fn a_certificate_that_ends_soon_passes_and_says_so() {
    let authority = Authority::new();
    let server = serve(authority.issue("demo.localdev.me", |_| ()), None).await;
    let mut check = authority.check(server.port());
    check.tls.expires_within = Duration::from_secs(100 * 365 * 86_400);
    let look = look(check).await;
    assert_pass(&look);
    assert!(look.certificate.unwrap().expires_soon);
}

#[tokio::test]
async fn a_certificate_is_told_also_when_the_answer_is_wrong() {
    let authority = Authority::new();
    let server = serve(authority.issue("demo.localdev.me", |_| ()), None).await;
    let expect_body = Some("something else".to_owned());
    let look = look(HttpCheck { expect_body, ..authority.check(server.port()) }).await;
    assert_fail(&look, Reason::Body, "lacks");
    assert_eq!(look.certificate.unwrap().expires, END);
}

#[tokio::test]
async fn the_configured_server_name_is_asked_for_and_verified() {
    let authority = Authority::new();
    let server = serve(authority.issue("inner.example", |_| ()), None).await;
    let mut check = authority.check(server.port());
    check.expect_body = Some("name=inner.example ".to_owned());
    check.tls.server_name = Some("inner.example".to_owned());
    assert_pass(&look(check).await);
    assert!(server.seen().requests[0].contains("Host: demo.localdev.me\r\n"));
}

#[tokio::test]
async fn a_port_in_the_host_is_not_part_of_the_name_asked_for() {
    let authority = Authority::new();
    let server = serve(authority.issue("demo.localdev.me", |_| ()), None).await;
    let host = "demo.localdev.me:8443".to_owned();
    assert_pass(&look(HttpCheck { host, ..authority.check(server.port()) }).await);
    assert!(server.seen().requests[0].contains("Host: demo.localdev.me:8443\r\n"));
}

#[tokio::test]
async fn an_expired_certificate_fails_and_its_end_is_still_told() {
    let authority = Authority::new();
    let expired = authority.issue("demo.localdev.me", |params| {
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(2020, 1, 1);
    });
    let server = serve(expired, None).await;
    let look = look(authority.check(server.port())).await;
    assert_fail(&look, Reason::Tls, "expired at 2020-01-01T00:00:00Z; by this machine's clock it is 20");
    let certificate = look.certificate.unwrap();
    assert_eq!((certificate.expires, certificate.expires_soon), (1_577_836_800, true));
}

#[tokio::test]
async fn a_certificate_that_is_not_valid_yet_fails() {
    let authority = Authority::new();
    let early = |params: &mut CertificateParams| params.not_before = date_time_ymd(2089, 1, 1);
    let server = serve(authority.issue("demo.localdev.me", early), None).await;
    let look = look(authority.check(server.port())).await;
    let words = "not valid before 2089-01-01T00:00:00Z; by this machine's clock it is 20";
    assert_fail(&look, Reason::Tls, words);
}

#[tokio::test]
async fn an_address_that_a_certificate_has_as_a_name_only_is_told() {
    let authority = Authority::new();
    let name_only = |params: &mut CertificateParams| {
        params.subject_alt_names = vec![SanType::DnsName("127.77.0.1".try_into().unwrap())];
    };
    let common_name_only = |params: &mut CertificateParams| {
        params.subject_alt_names = Vec::new();
        params.distinguished_name.push(DnType::CommonName, "127.77.0.1");
    };
    let other = |params: &mut CertificateParams| {
        params.subject_alt_names = vec![SanType::IpAddress([192, 0, 2, 1].into())];
    };
    let right = |params: &mut CertificateParams| {
        params.subject_alt_names = vec![SanType::IpAddress([127, 77, 0, 1].into())];
    };
    let look = async |issued| {
        let server = serve(issued, None).await;
        look(HttpCheck { host: "127.77.0.1".to_owned(), ..authority.check(server.port()) }).await
    };
    for (found, words) in [
        (
            look(authority.issue("x", name_only)).await,
            "is not for the IP address 127.77.0.1: it has it as a DNS name, and it must be an IP address in \
             subjectAltName",
        ),
        (
            look(authority.issue("x", common_name_only)).await,
            "is not for 127.77.0.1, but for no name: it has no subjectAltName, and a common name does not count",
        ),
        (look(authority.issue("x", other)).await, "is not for 127.77.0.1, but for 192.0.2.1"),
    ] {
        assert_fail(&found, Reason::Tls, words);
    }
    assert_pass(&look(authority.issue("x", right)).await);
}

#[tokio::test]
async fn a_certificate_for_another_name_fails_and_says_for_which() {
    let authority = Authority::new();
    let server = serve(authority.issue("other.example", |_| ()), None).await;
    let look = look(authority.check(server.port())).await;
    assert_fail(&look, Reason::Tls, "is not for demo.localdev.me, but for");
    assert!(look.saw.contains("but for other.example"), "{}", look.saw);
}

#[tokio::test]
async fn of_a_certificate_for_a_hundred_other_names_the_first_few_are_told() {
    let authority = Authority::new();
    let names = |params: &mut CertificateParams| {
        let name = |number| SanType::DnsName(format!("shop{number}.example").try_into().unwrap());
        params.subject_alt_names = (0..100).map(name).collect();
    };
    let server = serve(authority.issue("other.example", names), None).await;
    let look = look(authority.check(server.port())).await;
    assert_fail(&look, Reason::Tls, "but for shop0.example, shop1.example, ");
    assert!(look.saw.ends_with("shop4.example and 95 more"), "{}", look.saw);
}

#[tokio::test]
async fn a_certificate_from_an_unknown_authority_or_from_nobody_fails() {
    let authority = Authority::new();
    let server = serve(Authority::new().issue("demo.localdev.me", |_| ()), None).await;
    let look_at_foreign = look(authority.check(server.port())).await;
    assert_fail(&look_at_foreign, Reason::Tls, "an authority that is not trusted");

    let (params, key) = leaf("demo.localdev.me", |_| ());
    let server = serve(issued(&params.self_signed(&key).unwrap(), &key), None).await;
    assert_fail(&look(authority.check(server.port())).await, Reason::Tls, "the certificate of 127.0.0.1:");
}

#[tokio::test]
async fn without_verification_any_certificate_passes_and_its_end_is_read() {
    let authority = Authority::new();
    let (params, key) = leaf("other.example", |params| {
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(2020, 1, 1);
    });
    let server = serve(issued(&params.self_signed(&key).unwrap(), &key), None).await;
    let mut check = authority.check(server.port());
    check.tls.verify = false;
    let look = look(check).await;
    assert_pass(&look);
    let certificate = look.certificate.unwrap();
    assert_eq!((certificate.expires, certificate.expires_soon), (1_577_836_800, true));
}

/// No name of a type or variant of the library.
#[track_caller]
pub(crate) fn assert_is_in_plain_words(saw: &str) {
    let is_a_name = |word: &str| {
        let inner = word.trim_matches(|c: char| !c.is_alphanumeric()).chars().skip(1);
        inner.clone().zip(inner.skip(1)).any(|(one, next)| one.is_lowercase() && next.is_uppercase())
    };
    let ours = ["subjectAltName", "serverAuth"];
    let odd = saw.split(' ').find(|word| is_a_name(word) && !ours.iter().any(|our| word.contains(our)));
    assert!(odd.is_none() && !saw.contains("Error("), "{saw}");
}

#[tokio::test]
async fn what_server_and_probe_have_not_in_common_is_told_in_plain_words() {
    let alert = |description: u8| vec![0x15, 3, 3, 0, 2, 2, description];
    // A hello of TLS 1.1: version, random bytes, no session, a cipher, no compression.
    let mut old = vec![22, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2];
    old.extend([7; 32]);
    old.extend([0, 0xc0, 0x13, 0]);
    let authority = Authority::new();
    for (answer, words) in [
        (alert(40), "no TLS version or cipher suite in common (it may offer only TLS 1.1 or older"),
        (alert(70), "no TLS version in common (it may offer only TLS 1.1 or older"),
        (old, "it offers only TLS 1.1 or older"),
        (alert(120), "it speaks HTTP/2 only, pointsman probes with HTTP/1.1"),
        (alert(112), "it does not know the name that was asked for"),
        (alert(42), "it does not take the client certificate (bad certificate)"),
        (alert(80), "the alert \"internal error\""),
        (alert(250), "the alert"),
    ] {
        let server = Server::doing(move |mut peer| {
            let answer = answer.clone();
            async move {
                let _ = peer.stream.read(&mut [0; 4096]).await;
                peer.send(&answer).await;
                peer.wait_for_close().await;
            }
        })
        .await;
        let look = look(authority.check(server.port())).await;
        assert_fail(&look, Reason::Tls, words);
        assert_is_in_plain_words(&look.saw);
    }
}

#[tokio::test]
async fn a_certificate_that_we_show_is_taken() {
    let authority = Authority::new();
    let server = serve(authority.issue("demo.localdev.me", |_| ()), Some(&authority)).await;
    authority.issue("pointsman.example", |_| ());
    let mut check = authority.check(server.port());
    check.expect_body = Some("client=true".to_owned());
    check.tls.client_cert = Some(ClientCertificate {
        cert_file: authority.file("client.pem"),
        key_file: authority.file("client.key"),
    });
    assert_pass(&look(check).await);
}

#[tokio::test]
async fn a_server_that_asks_for_a_certificate_in_vain_fails_the_look() {
    let authority = Authority::new();
    let server = serve(authority.issue("demo.localdev.me", |_| ()), Some(&authority)).await;
    let look = look(authority.check(server.port())).await;
    assert_fail(&look, Reason::Tls, "it wants a client certificate; see tls.client_cert_file");
}

#[tokio::test]
async fn tls_to_a_plain_port_fails_as_tls() {
    let authority = Authority::new();
    let server = Server::doing(|mut peer| async move {
        peer.send(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").await;
        peer.wait_for_close().await;
    })
    .await;
    let look = look(authority.check(server.port())).await;
    assert_fail(&look, Reason::Tls, "does not speak TLS");
}

#[tokio::test]
async fn plain_http_to_a_tls_port_fails_as_protocol() {
    let authority = Authority::new();
    let server = serve(authority.issue("demo.localdev.me", |_| ()), None).await;
    assert_fail(&look(get(server.port())).await, Reason::Protocol, "is not HTTP");
}

#[tokio::test]
async fn a_handshake_that_hangs_times_out_and_one_cut_off_is_closed() {
    let authority = Authority::new();
    let hanging = Server::doing(|mut peer| async move { peer.wait_for_close().await }).await;
    let look = look_within(authority.check(hanging.port()), SHORT).await;
    assert_fail(&look, Reason::Timeout, "did not finish the TLS handshake within 500ms");
    let closing = Server::doing(|peer| async move {
        peer.stream.readable().await.unwrap();
        peer.stream.try_read(&mut [0; 4096]).unwrap();
    })
    .await;
    assert_fail(&super::look(authority.check(closing.port())).await, Reason::Closed, "closed the connection");
}

#[tokio::test]
async fn every_handshake_is_a_full_one_so_that_the_certificate_is_judged_anew() {
    let authority = Authority::new();
    let server = serve(authority.issue("demo.localdev.me", |_| ()), None).await;
    let expect_body = Some("handshake=Full".to_owned());
    let mut looker = looker(HttpCheck { expect_body, ..authority.check(server.port()) });
    for _ in 0..3 {
        assert_pass(&looker.look(instant_now() + PATIENCE, &mut Trace::off()).await);
    }
    assert_eq!(server.seen().peers.len(), 3);
}

#[tokio::test]
async fn a_server_that_leaves_out_the_farewell_of_tls_is_judged_by_its_answer() {
    let authority = Authority::new();
    let at_the_end = Regex::new("it$").unwrap();
    for (answer, passes) in [
        ("HTTP/1.1 200 OK\r\n\r\nall of it", true),
        ("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nall of it", false),
    ] {
        let acceptor = acceptor(authority.issue("demo.localdev.me", |_| ()), None);
        let server = Server::doing(move |peer| {
            let acceptor = acceptor.clone();
            async move {
                let mut peer = peer.within_tls(acceptor).await.unwrap();
                peer.request().await;
                peer.send(answer.as_bytes()).await;
            }
        })
        .await;
        let expect_body_regex = Some(at_the_end.clone());
        let look = look(HttpCheck { expect_body_regex, ..authority.check(server.port()) }).await;
        if passes {
            assert_pass(&look);
        } else {
            assert_fail(&look, Reason::Closed, "after 9 bytes of the body");
        }
    }
}

#[tokio::test]
async fn a_kept_tls_connection_still_tells_its_certificate() {
    let authority = Authority::new();
    let server = serve(authority.issue("demo.localdev.me", |_| ()), None).await;
    let mut looker = looker(HttpCheck { keep_alive: true, ..authority.check(server.port()) });
    for _ in 0..2 {
        let look = looker.look(instant_now() + PATIENCE, &mut Trace::off()).await;
        assert_pass(&look);
        assert_eq!(look.certificate.unwrap().expires, END);
    }
    assert_eq!(server.seen().peers.len(), 1);
}

#[test]
fn files_and_names_that_cannot_be_used_are_refused_when_the_check_is_set_up() {
    let authority = Authority::new();
    authority.issue("demo.localdev.me", |_| ());
    std::fs::write(authority.file("empty.pem"), "").unwrap();
    std::fs::write(authority.file("other.key"), KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let refusal = |change: &dyn Fn(&mut TlsSettings)| {
        let mut check = authority.check(443);
        change(&mut check.tls);
        HttpLooker::new(Arc::new(check), None, at(&[])).unwrap_err()
    };
    let client = |cert: &str, key: &str| {
        let files = ClientCertificate { cert_file: authority.file(cert), key_file: authority.file(key) };
        refusal(&|tls| tls.client_cert = Some(files.clone()))
    };
    for file in ["empty.pem", "missing.pem", "client.key"] {
        let error = refusal(&|tls| tls.ca_file = Some(authority.file(file)));
        assert!(matches!(&error, LookerError::Pem { path, .. } if path.ends_with(file)), "{error}");
    }
    assert!(matches!(client("missing.pem", "client.key"), LookerError::Pem { what: "certificates", .. }));
    assert!(matches!(client("client.pem", "empty.pem"), LookerError::Pem { what: "a private key", .. }));
    assert!(matches!(client("client.pem", "other.key"), LookerError::Tls { .. }));
    let error = refusal(&|tls| tls.server_name = Some("no name".to_owned()));
    assert!(matches!(error, LookerError::ServerName { .. }), "{error}");
}

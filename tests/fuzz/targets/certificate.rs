//! A certificate, in DER, that an endpoint shows: judged for its end without being verified; and read as an authority.
//!
//! Whatever is told of its end stands in it; unverified any passes; and one that is verified passes for nobody but whom it is for.

use std::sync::Arc;

use pointsman::clock::instant_now;
use pointsman::model::{HttpCheck, Outcome, Scheme, TlsSettings};
use pointsman::probe::{HttpLooker, Look, Trace};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::loopback::{self, DEADLINE, in_time};
use super::sentence;

/// An Ed25519 key in PKCS #8 up to its 32 bytes, which are all the same: the key of the certificates in the corpus, no secret.
const KEY_HEAD: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// The endpoint's key.
pub(super) fn key() -> PrivateKeyDer<'static> {
    PrivatePkcs8KeyDer::from([&KEY_HEAD[..], &[7; 32]].concat()).into()
}

pub(super) fn run(input: &[u8]) {
    let (shown, verified) = loopback::with(async |listener| {
        let plain = loopback::check(listener);
        let shown = look(listener, input, HttpCheck { scheme: Scheme::Https, ..plain.clone() }).await;
        let authority = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(authority.path(), pem(input)).unwrap();
        let tls =
            TlsSettings { verify: true, ca_file: Some(authority.path().to_owned()), ..plain.tls.clone() };
        let verified = look(listener, input, HttpCheck { scheme: Scheme::Https, tls, ..plain }).await;
        (shown.expect("a look that verifies nothing needs no file"), verified)
    });
    sentence::assert_good(&shown.saw);
    if let Some(certificate) = shown.certificate {
        let end = jiff::Timestamp::from_second(certificate.expires).expect("an end that is a time");
        let written = ["%y%m%d%H%M", "%Y%m%d%H%M"].map(|form| end.strftime(form).to_string());
        let stands = written.iter().any(|text| sentence::contains(input, text.as_bytes()));
        assert!(stands || has_offset(input), "it ends at {end}, which is not in it");
    }
    if in_time(&shown) {
        assert_eq!(shown.outcome, Outcome::Pass, "it is not verified: {}", shown.saw);
    }
    if let Some(verified) = verified {
        sentence::assert_good(&verified.saw);
        let for_us =
            sentence::contains(input, b"demo.localdev.me") || sentence::contains(input, b"*.localdev.me");
        assert!(for_us || verified.outcome != Outcome::Pass, "passes for somebody else: {}", verified.saw);
    }
}

/// Times of a zone other than UTC are written in another way than they are told.
fn has_offset(input: &[u8]) -> bool {
    input.windows(5).any(|five| matches!(five[0], b'+' | b'-') && five[1..].iter().all(u8::is_ascii_digit))
}

async fn look(listener: &TcpListener, certificate: &[u8], check: HttpCheck) -> Option<Look> {
    let mut looker = HttpLooker::new(Arc::new(check), None, loopback::here()).ok()?;
    let acceptor = acceptor(certificate);
    let serving = async {
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            if loopback::request(&mut stream).await {
                loopback::send(&mut stream, &[b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec()])
                    .await;
            }
        }
    };
    let mut trace = Trace::off();
    tokio::select! {
        look = looker.look(instant_now() + DEADLINE, &mut trace) => Some(look),
        () = serving => unreachable!("it serves for ever"),
    }
}

fn acceptor(certificate: &[u8]) -> TlsAcceptor {
    let key = ring::sign::any_supported_type(&key()).unwrap();
    let shown = CertifiedKey::new(vec![CertificateDer::from(certificate.to_vec())], key);
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Shown(Arc::new(shown))));
    TlsAcceptor::from(Arc::new(config))
}

/// Shows it to everybody.
#[derive(Debug)]
struct Shown(Arc<CertifiedKey>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

fn pem(certificate: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in certificate.chunks(3) {
        let bits = three.iter().fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte))
            << (8 * (3 - three.len()));
        for place in 0..4 {
            text.push(if place > three.len() {
                '='
            } else {
                char::from(DIGITS[bits >> (18 - 6 * place) & 63])
            });
        }
    }
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

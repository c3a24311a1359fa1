//! TLS of the looks: whom to trust, what to present, and what an error or a certificate says.
//!
//! Never resumes a session, since a resumed one is not verified anew. Start at [`Tls`].

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{self, CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, InvalidMessage, RootCertStore,
    SignatureScheme,
};
use rustls_platform_verifier::Verifier;

use super::LookerError;
use super::endpoint::Fault;
use crate::clock;
use crate::model::{Certificate, ClientCertificate, HttpCheck, Reason, TlsSettings, first_in_words};

/// How one check does TLS: set up once, used by every look.
#[derive(Clone, Debug)]
pub(super) struct Tls {
    /// What is trusted and presented.
    pub(super) config: Arc<ClientConfig>,
    /// The name asked for and verified.
    pub(super) server_name: ServerName<'static>,
}

impl Tls {
    /// Reads the files that the check names.
    pub(super) fn new(check: &HttpCheck) -> Result<Self, LookerError> {
        let settings = &check.tls;
        let name = settings.server_name.as_deref().unwrap_or_else(|| without_port(&check.host));
        let server_name = ServerName::try_from(name.to_owned())
            .map_err(|_invalid| LookerError::ServerName { name: name.to_owned() })?;
        let provider = Arc::new(ring::default_provider());
        let verifier = verifier(settings, &provider)?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|source| LookerError::Tls { what: "TLS 1.2 and 1.3".to_owned(), source })?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match &settings.client_cert {
            None => builder.with_no_client_auth(),
            Some(ClientCertificate { cert_file, key_file }) => {
                let chain = certificates(cert_file)?;
                let key = PrivateKeyDer::from_pem_file(key_file).map_err(|source| LookerError::Pem {
                    what: "a private key",
                    path: key_file.clone(),
                    source,
                })?;
                builder.with_client_auth_cert(chain, key).map_err(|source| LookerError::Tls {
                    what: format!("the certificate in {} and its key", cert_file.display()),
                    source,
                })?
            }
        };
        // A resumed session does not show the certificate again, so it would not be judged again.
        config.resumption = Resumption::disabled();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config), server_name })
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') && port.bytes().all(|b| b.is_ascii_digit()) => name,
        Some(_) | None => host,
    }
}

fn verifier(
    settings: &TlsSettings,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, LookerError> {
    if !settings.verify {
        return Ok(Arc::new(AnyCertificate(Arc::clone(provider))));
    }
    let Some(file) = &settings.ca_file else {
        return system_verifier(provider);
    };
    let what = || format!("the authorities in {}", file.display());
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(|source| LookerError::Tls { what: what(), source })?;
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| LookerError::Tls {
            what: what(),
            source: rustls::Error::Other(rustls::OtherError(Arc::new(error))),
        })?;
    Ok(verifier)
}

/// The system's authorities, read once for all checks that live at the same time: a bundle holds some 150
/// certificates, too many for each of thousands of checks. Read anew when the last user is gone.
fn system_verifier(provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, LookerError> {
    static SHARED: Mutex<Weak<Verifier>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(verifier) = shared.upgrade() {
        return Ok(verifier);
    }
    let verifier = Verifier::new(Arc::clone(provider)).map_err(|source| LookerError::Tls {
        what: "the system's certificate authorities".to_owned(),
        source,
    })?;
    let verifier = Arc::new(verifier);
    *shared = Arc::downgrade(&verifier);
    Ok(verifier)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, LookerError> {
    let failed = |source| LookerError::Pem { what: "certificates", path: file.to_owned(), source };
    let certificates: Vec<_> =
        CertificateDer::pem_file_iter(file).and_then(Iterator::collect).map_err(failed)?;
    if certificates.is_empty() { Err(failed(pem::Error::NoItemsFound)) } else { Ok(certificates) }
}

/// When the certificate that a server showed ends, in Unix seconds.
pub(super) fn end_of(certificates: Option<&[CertificateDer<'_>]>) -> Option<i64> {
    let shown = certificates?.first()?;
    let (_rest, parsed) = x509_parser::parse_x509_certificate(shown).ok()?;
    Some(parsed.validity().not_after.timestamp())
}

/// Judges the end of a certificate against the wall clock.
pub(super) fn judged(expires: i64, expires_within: Duration) -> Certificate {
    let alarm_from = clock::wall_time().saturating_add(expires_within).as_secs();
    Certificate { expires, expires_soon: i64::try_from(alarm_from).is_ok_and(|from| expires <= from) }
}

/// A session as a trace tells it: version, cipher suite, the certificate's end.
pub(super) struct Session<'a>(pub(super) &'a ClientConnection);

impl fmt::Display for Session<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let session = self.0;
        if let (Some(version), Some(suite)) = (session.protocol_version(), session.negotiated_cipher_suite())
        {
            write!(f, "{version:?}, {:?}", suite.suite())?;
        }
        if let Some(end) = end_of(session.peer_certificates()) {
            write!(f, ", a certificate until {}", date(end))?;
        }
        Ok(())
    }
}

/// The TLS error inside an I/O error, if that is what it is.
pub(super) fn error_within(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// When the certificate ended, if that is what the handshake failed of.
pub(super) fn expired(error: &rustls::Error) -> Option<i64> {
    if let rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. }) = error {
        return Some(seconds(*not_after));
    }
    None
}

/// A failure of TLS with `at`, for a person to read.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "rustls' lists are open; the rest is told in its own words"
)]
pub(super) fn fault(error: &rustls::Error, at: SocketAddr) -> Fault {
    let saw = match error {
        rustls::Error::InvalidCertificate(problem) => match problem {
            CertificateError::ExpiredContext { not_after, .. } => {
                format!("the certificate of {at} expired at {}", date(seconds(*not_after)))
            }
            CertificateError::NotValidYetContext { not_before, .. } => {
                format!("the certificate of {at} is not valid before {}", date(seconds(*not_before)))
            }
            CertificateError::NotValidForNameContext { expected, presented } => format!(
                "the certificate of {at} is not for {}, but for {}",
                expected.to_str(),
                if presented.is_empty() { "no name".to_owned() } else { names(presented) },
            ),
            CertificateError::UnknownIssuer => {
                format!("the certificate of {at} is signed by an authority that is not trusted")
            }
            other => format!("the certificate of {at} is not good: {other}"),
        },
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            format!("{at} does not speak TLS")
        }
        rustls::Error::AlertReceived(alert) => format!("{at} ended TLS with the alert {alert:?}"),
        other => format!("TLS with {at} failed: {other}"),
    };
    Fault::fail(Reason::Tls, saw)
}

/// The names as people write them; rustls tells `DnsName("www.example.com")`.
fn names(presented: &[String]) -> String {
    first_in_words(presented.iter().map(|name| match name.strip_prefix("DnsName(\"") {
        Some(rest) => rest.strip_suffix("\")").unwrap_or(rest),
        None => name,
    }))
}

fn seconds(time: UnixTime) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

fn date(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| format!("second {seconds}"), |at| at.to_string())
}

/// Takes any certificate, but still makes sure that the server holds its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

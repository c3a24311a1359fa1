//! TLS of the looks: whom to trust, what to present, and what a certificate says of its end.
//!
//! Never resumes a session, since a resumed one is not verified anew. Start at [`Tls`].

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection};

use super::LookerError;
use super::tls_fault::date;
use super::verifier::verifier;
use crate::clock;
use crate::model::{Certificate, ClientCertificate, HttpCheck};

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

/// The certificates in a PEM file; at least one.
pub(super) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, LookerError> {
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

//! Verifies the certificates that endpoints show, as the check asks for.
//!
//! A certificate that fails only by its dates is told from one that fails anyway, since dates are judged by this machine's
//! clock. Without verification any certificate passes. Start at [`verifier`].

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_platform_verifier::Verifier;

use super::LookerError;
use super::tls::certificates;
use crate::model::TlsSettings;

/// What verifies for one check.
pub(super) fn verifier(
    settings: &TlsSettings,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, LookerError> {
    if !settings.verify {
        return Ok(Arc::new(AnyCertificate(Arc::clone(provider))));
    }
    let Some(file) = &settings.ca_file else {
        return Ok(Arc::new(Trusted { authorities: system_verifier(provider)?, themselves: Vec::new() }));
    };
    let what = || format!("the authorities in {}", file.display());
    let mut roots = RootCertStore::empty();
    let themselves = certificates(file)?;
    for certificate in &themselves {
        roots.add(certificate.clone()).map_err(|source| LookerError::Tls { what: what(), source })?;
    }
    let authorities = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| LookerError::Tls {
            what: what(),
            source: rustls::Error::Other(rustls::OtherError(Arc::new(error))),
        })?;
    Ok(Arc::new(Trusted { authorities, themselves }))
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

/// Takes what an authority has signed, and the trusted certificates themselves.
#[derive(Debug)]
struct Trusted {
    authorities: Arc<dyn ServerCertVerifier>,
    /// What `ca_file` holds. A server may show one of them, as self-signed ones do: curl takes it, too.
    themselves: Vec<CertificateDer<'static>>,
}

impl Trusted {
    fn verify_at(
        &self,
        moment: UnixTime,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
    ) -> Result<ServerCertVerified, rustls::Error> {
        if !self.themselves.contains(end_entity) {
            return self.authorities.verify_server_cert(
                end_entity,
                intermediates,
                server_name,
                ocsp_response,
                moment,
            );
        }
        let parsed = ParsedCertificate::try_from(end_entity)?;
        verify_dates(moment, end_entity)?;
        verify_server_name(&parsed, server_name)?;
        Ok(ServerCertVerified::assertion())
    }
}

fn verify_dates(moment: UnixTime, certificate: &CertificateDer<'_>) -> Result<(), CertificateError> {
    let (_rest, parsed) = x509_parser::parse_x509_certificate(certificate)
        .map_err(|_malformed| CertificateError::BadEncoding)?;
    let at = |time: x509_parser::time::ASN1Time| {
        UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(time.timestamp()).unwrap_or(0)))
    };
    let (not_before, not_after) = (at(parsed.validity().not_before), at(parsed.validity().not_after));
    if moment < not_before {
        Err(CertificateError::NotValidYetContext { time: moment, not_before })
    } else if moment > not_after {
        Err(CertificateError::ExpiredContext { time: moment, not_after })
    } else {
        Ok(())
    }
}

impl ServerCertVerifier for Trusted {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verify = |moment| self.verify_at(moment, end_entity, intermediates, server_name, ocsp_response);
        let found = verify(now);
        // Dates are judged first. What else is wrong is wrong by any clock, so it is told in their place.
        match found.as_ref().err().and_then(date_that_fits) {
            Some(moment) => match verify(moment) {
                Err(other) if date_that_fits(&other).is_none() => Err(other),
                Ok(_) | Err(_) => found,
            },
            None => found,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.authorities.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.authorities.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}

/// When a certificate was valid that failed by its dates; none when it failed for another reason.
#[expect(clippy::wildcard_enum_match_arm, reason = "rustls' lists are open; the rest is about no date")]
fn date_that_fits(error: &rustls::Error) -> Option<UnixTime> {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. }) => {
            Some(*not_after)
        }
        rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. }) => {
            Some(*not_before)
        }
        _ => None,
    }
}

/// Takes any certificate, and any signature: it may be of a kind that nobody here can verify, and who asks for no
/// verification does not ask who holds the key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

/// Kinds of signatures beside those that we verify, so that servers with such keys answer: P-521, Ed448, keys for RSA-PSS
/// alone (RFC 8446, 4.2.3), and SHA-1 of TLS 1.2.
const UNVERIFIED: [SignatureScheme; 7] = [
    SignatureScheme::ECDSA_NISTP521_SHA512,
    SignatureScheme::ED448,
    SignatureScheme::Unknown(0x0809),
    SignatureScheme::Unknown(0x080a),
    SignatureScheme::Unknown(0x080b),
    SignatureScheme::RSA_PKCS1_SHA1,
    SignatureScheme::ECDSA_SHA1_Legacy,
];

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
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let mut schemes = self.0.signature_verification_algorithms.supported_schemes();
        schemes.extend(UNVERIFIED);
        schemes
    }
}

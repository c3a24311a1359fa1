//! Tells in plain words what an error of TLS says, and of whom.
//!
//! What the library leaves in names of its own is spelt out as words, so that no message has a name of a type in it.

use std::io;
use std::net::SocketAddr;

use rustls::pki_types::{ServerName, UnixTime};
use rustls::{AlertDescription, CertificateError, InvalidMessage, OtherError, PeerIncompatible};

use super::endpoint::Fault;
use crate::model::{Reason, first_in_words};

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

/// Whether the certificate failed by its dates alone, so by this machine's clock.
pub(super) fn is_by_the_clock(error: &rustls::Error) -> bool {
    use CertificateError::{ExpiredContext, NotValidYetContext};
    matches!(error, rustls::Error::InvalidCertificate(ExpiredContext { .. } | NotValidYetContext { .. }))
}

/// A failure of TLS with `at`, for a person to read.
#[expect(clippy::wildcard_enum_match_arm, reason = "rustls' list is open; the rest is told in its own words")]
pub(super) fn fault(error: &rustls::Error, at: SocketAddr) -> Fault {
    let saw = match error {
        rustls::Error::InvalidCertificate(problem) => {
            format!("the certificate of {at} {}", certificate(problem))
        }
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            format!("{at} does not speak TLS")
        }
        rustls::Error::AlertReceived(alert) => format!("{at} ended TLS: {}", told_by_alert(*alert)),
        rustls::Error::PeerIncompatible(what) => format!("TLS with {at} failed: {}", incompatible(what)),
        rustls::Error::NoCertificatesPresented => format!("{at} shows no certificate"),
        rustls::Error::PeerMisbehaved(what) => {
            format!(
                "TLS with {at} failed: it does not follow the protocol ({})",
                in_words(&format!("{what:?}"))
            )
        }
        rustls::Error::InvalidMessage(what) => {
            format!(
                "TLS with {at} failed: it sent a message that is none ({})",
                in_words(&format!("{what:?}"))
            )
        }
        rustls::Error::InappropriateMessage { .. } | rustls::Error::InappropriateHandshakeMessage { .. } => {
            format!("TLS with {at} failed: it sent a message out of turn")
        }
        rustls::Error::PeerSentOversizedRecord => {
            format!("TLS with {at} failed: it sent a record that is too long")
        }
        rustls::Error::DecryptError => format!("TLS with {at} failed: what it sent cannot be decrypted"),
        rustls::Error::FailedToGetCurrentTime | rustls::Error::FailedToGetRandomBytes => {
            return Fault::local(format!("this machine cannot speak TLS with {at}: {error}"));
        }
        rustls::Error::Other(OtherError(other)) => {
            format!("TLS with {at} failed: {}", in_words(&other.to_string()))
        }
        other => format!("TLS with {at} failed: {other}"),
    };
    Fault::fail(Reason::Tls, saw)
}

/// What is wrong with a certificate, as the end of a sentence.
#[expect(clippy::wildcard_enum_match_arm, reason = "rustls' list is open; the rest is told in its own words")]
fn certificate(problem: &CertificateError) -> String {
    match problem {
        CertificateError::ExpiredContext { time, not_after } => format!(
            "expired at {}; by this machine's clock it is {}",
            date(seconds(*not_after)),
            date(seconds(*time))
        ),
        CertificateError::NotValidYetContext { time, not_before } => format!(
            "is not valid before {}; by this machine's clock it is {}",
            date(seconds(*not_before)),
            date(seconds(*time))
        ),
        CertificateError::Expired => "ends before it begins".to_owned(),
        CertificateError::NotValidForNameContext { expected, presented } => another_name(expected, presented),
        CertificateError::UnknownIssuer => {
            "is signed by an authority that is not trusted; name the authority's certificate in tls.ca_file".to_owned()
        }
        CertificateError::BadSignature => {
            "has a signature that is not its issuer's; is tls.ca_file of an older authority of the same name, or \
             the issuer's key too short (RSA below 2048 bits)?".to_owned()
        }
        CertificateError::BadEncoding => "cannot be read; tls.verify = false would take it".to_owned(),
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "has a key or a signature of a kind that cannot be verified here; use RSA, P-256, P-384 or Ed25519, or \
             write tls.verify = false"
                .to_owned()
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "is not for servers: its extended key usage lacks serverAuth".to_owned()
        }
        CertificateError::Revoked => "is revoked".to_owned(),
        CertificateError::Other(OtherError(other)) => match other.to_string().as_str() {
            "CaUsedAsEndEntity" => "is that of an authority (CA:TRUE) and not of a server; name this very certificate in \
                                    tls.ca_file, or issue one with CA:FALSE"
                .to_owned(),
            "UnsupportedCertVersion" => {
                "is not of version 3, so it has no names; issue one of version 3, or write tls.verify = false".to_owned()
            }
            other => format!("is not good: {}", in_words(other)),
        },
        other => format!("is not good: {}", in_words(&other.to_string())),
    }
}

/// It is for other names than the one that was asked for.
fn another_name(expected: &ServerName<'_>, presented: &[String]) -> String {
    let wanted = expected.to_str();
    let as_a_name = format!("DnsName(\"{wanted}\")");
    if presented.is_empty() {
        return format!(
            "is not for {wanted}, but for no name: it has no subjectAltName, and a common name does not count"
        );
    }
    if matches!(expected, ServerName::IpAddress(_)) && presented.contains(&as_a_name) {
        return format!(
            "is not for the IP address {wanted}: it has it as a DNS name, and it must be an IP address in subjectAltName"
        );
    }
    format!("is not for {wanted}, but for {}", names(presented))
}

/// The names as people write them; the library tells `DnsName("www.example.com")` and `IpAddress(192.0.2.1)`.
fn names(presented: &[String]) -> String {
    first_in_words(presented.iter().map(|name| {
        let inner = name.split_once('(').and_then(|(_kind, rest)| rest.strip_suffix(')'));
        inner.map_or(name.as_str(), |inner| inner.trim_matches('"'))
    }))
}

/// What a server means by an alert.
#[expect(clippy::wildcard_enum_match_arm, reason = "an open list; the rest is told by its name")]
fn told_by_alert(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity => {
            "no TLS version or cipher suite in common (it may offer only TLS 1.1 or older, CBC suites or those \
             without forward secrecy, or a key that only tls.verify = false takes; pointsman speaks TLS 1.2 and 1.3), or it wants a \
             client certificate"
                .to_owned()
        }
        AlertDescription::ProtocolVersion => {
            "no TLS version in common (it may offer only TLS 1.1 or older; pointsman speaks TLS 1.2 and 1.3)".to_owned()
        }
        AlertDescription::NoApplicationProtocol => {
            "no protocol in common: it speaks HTTP/2 only, pointsman probes with HTTP/1.1".to_owned()
        }
        AlertDescription::UnrecognisedName => {
            "it does not know the name that was asked for; see host and tls.server_name".to_owned()
        }
        AlertDescription::CertificateRequired => {
            "it wants a client certificate; see tls.client_cert_file".to_owned()
        }
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnknownCA
        | AlertDescription::AccessDenied => {
            let alert = in_words(&format!("{alert:?}"));
            format!("it does not take the client certificate ({alert}); see tls.client_cert_file")
        }
        AlertDescription::Unknown(number) => format!("the alert {number}"),
        other => format!("the alert \"{}\"", in_words(&format!("{other:?}"))),
    }
}

/// What server and client have not in common.
#[expect(clippy::wildcard_enum_match_arm, reason = "an open list; the rest is told by its name")]
fn incompatible(what: &PeerIncompatible) -> String {
    match what {
        PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig => {
            "it offers only TLS 1.1 or older; pointsman speaks TLS 1.2 and 1.3".to_owned()
        }
        other => format!("nothing in common ({})", in_words(&format!("{other:?}"))),
    }
}

/// Words out of a name such as `NoCipherSuitesInCommon`; other text stays as it is.
fn in_words(name: &str) -> String {
    if !name.chars().all(char::is_alphanumeric) {
        return name.to_owned();
    }
    let mut words = String::with_capacity(name.len() + 8);
    let mut is_within_a_word = false;
    for character in name.chars() {
        if character.is_uppercase() && is_within_a_word {
            words.push(' ');
        }
        is_within_a_word = !character.is_uppercase();
        words.extend(character.to_lowercase());
    }
    words
}

fn seconds(time: UnixTime) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

/// A moment in Unix seconds, as people read it.
pub(super) fn date(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| format!("second {seconds}"), |at| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_library_are_told_as_words() {
        for (name, words) in [
            ("CaUsedAsEndEntity", "ca used as end entity"),
            ("NoCipherSuitesInCommon", "no cipher suites in common"),
            ("UnknownCA", "unknown ca"),
            ("UnexpectedMessage", "unexpected message"),
            ("invalid peer certificate: Expired", "invalid peer certificate: Expired"),
        ] {
            assert_eq!(in_words(name), words);
        }
    }
}

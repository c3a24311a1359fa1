//! The rules between the keys of an `http` or `https` check.

use std::sync::Arc;
use std::time::Duration;

use super::check::{Around, RawCheck};
use super::report::{At, Report};
use super::words::CheckKindWord;
use crate::model::{ClientCertificate, HttpCheck, Scheme, StatusSet, TlsSettings};

/// How much of a body is read when the check does not say, in bytes: a health page is far smaller.
const MAX_BODY: usize = 65_536;

/// Time enough for a person to renew a certificate.
const EXPIRES_WITHIN: Duration = Duration::from_secs(14 * 86_400);

/// The request and what its answer must be.
pub(super) fn checked(
    raw: &RawCheck,
    kind: &At<CheckKindWord>,
    around: &Around<'_>,
    report: &mut Report<'_>,
) -> Option<Arc<HttpCheck>> {
    let scheme = scheme(raw, kind, report);
    let source = raw.source(around, report);
    let method = raw.http.method.as_ref().map_or("GET", |at| &at.value.0).to_owned();
    if method == "HEAD" {
        let body = [
            raw.http.expect_body.as_ref().map(|at| &at.mark),
            raw.http.expect_body_regex.as_ref().map(|at| &at.mark),
        ];
        for mark in body.into_iter().flatten() {
            let message = format!("{} can never match: the answer to HEAD has no body", mark.key);
            report.key(mark, message, "remove it, or write method = \"GET\"");
        }
    }
    let default_port = match scheme {
        Scheme::Http => 80,
        Scheme::Https => 443,
    };
    let port = raw.port(around, default_port);
    let host = host(raw, around, (port != default_port).then_some(port), report);
    let tls = tls(raw, scheme, report);
    let host = host?;
    Some(Arc::new(HttpCheck {
        scheme,
        port,
        method,
        path: raw.http.path.as_ref().map_or("/", |at| &at.value.0).to_owned(),
        host,
        headers: raw.http.headers.as_ref().map(|at| at.value.0.clone()).unwrap_or_default(),
        user_agent: match &raw.http.user_agent {
            Some(at) => at.value.0.clone(),
            None => format!("pointsman/{} ({})", env!("CARGO_PKG_VERSION"), around.service?),
        },
        expect_status: match &raw.http.expect_status {
            Some(at) => at.value.clone(),
            None => StatusSet::new(vec![200..=200])?,
        },
        expect_body: raw.http.expect_body.as_ref().map(|at| at.value.clone()),
        expect_body_regex: raw.http.expect_body_regex.as_ref().map(|at| at.value.0.clone()),
        max_body: match &raw.http.max_body {
            Some(at) => usize::try_from(at.value.get()).ok()?,
            None => MAX_BODY,
        },
        keep_alive: raw.http.keep_alive.as_ref().is_some_and(|at| at.value),
        source,
        tls,
    }))
}

fn scheme(raw: &RawCheck, kind: &At<CheckKindWord>, report: &mut Report<'_>) -> Scheme {
    match (kind.value, raw.http.scheme.as_ref()) {
        (CheckKindWord::Https, Some(scheme)) if scheme.value == Scheme::Http => {
            let message = format!("{} contradicts kind = \"https\"", report.shown(&scheme.mark));
            report.value(&scheme.mark, message, "remove it, or write kind = \"http\"");
            Scheme::Https
        }
        (CheckKindWord::Https, _) => Scheme::Https,
        (_, scheme) => scheme.map_or(Scheme::Http, |at| at.value),
    }
}

/// The check's own host as it is written, else the service's domain, with the port when that is not the scheme's own
/// (RFC 9110, 7.2).
fn host(raw: &RawCheck, around: &Around<'_>, port: Option<u16>, report: &mut Report<'_>) -> Option<String> {
    if let Some(host) = &raw.http.host {
        return Some(host.value.0.clone());
    }
    let domain = around.domain?;
    if domain.as_str().starts_with('*') {
        report.missing(
            &raw.place,
            "host",
            "the domain is a wildcard; write which name to ask for: host = \"…\"",
        );
        return None;
    }
    Some(match port {
        Some(port) => format!("{}:{port}", domain.host()),
        None => domain.host().to_owned(),
    })
}

fn tls(raw: &RawCheck, scheme: Scheme, report: &mut Report<'_>) -> TlsSettings {
    if scheme == Scheme::Http {
        for mark in raw.tls.marks() {
            let message = format!("{} has no effect on a look without TLS", mark.key);
            report.key(mark, message, "remove it, or write kind = \"https\"");
        }
    }
    let client_cert = match (&raw.tls.client_cert_file, &raw.tls.client_key_file) {
        (Some(cert), Some(key)) => {
            report.secret_file(key);
            Some(ClientCertificate { cert_file: cert.value.clone(), key_file: key.value.clone() })
        }
        (Some(cert), None) => {
            report.lacks(&cert.mark, "tls.client_key_file", "add the file of the certificate's key");
            None
        }
        (None, Some(key)) => {
            report.lacks(&key.mark, "tls.client_cert_file", "add the file of the key's certificate");
            None
        }
        (None, None) => None,
    };
    // A host may have a port; a certificate has none.
    let host = raw.http.host.as_ref().filter(|at| at.value.0.contains(':'));
    let server_name = raw.tls.server_name.as_ref().or(host).map(|at| at.value.name().to_owned());
    TlsSettings {
        verify: raw.tls.verify.as_ref().is_none_or(|at| at.value),
        ca_file: raw.tls.ca_file.as_ref().map(|at| at.value.clone()),
        server_name,
        client_cert,
        expires_within: raw.tls.expires_within.as_ref().map_or(EXPIRES_WITHIN, |at| at.value),
    }
}

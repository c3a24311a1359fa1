//! SDK-HMAC-SHA256, the cloud's request signing.
//!
//! Pure: everything that goes into a signature is an argument. [`sign`] is for who sends a request;
//! [`Canonical`] and [`signature`] are also for who receives one and has to check it.

use std::borrow::Cow;
use std::fmt::Write;

use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha2::{Digest, Sha256};

use crate::model::Secret;

/// The algorithm's name, as it opens the string to sign and the `Authorization` header.
pub const ALGORITHM: &str = "SDK-HMAC-SHA256";

/// The payload hash of a body that is neither JSON nor BSON: such a body is not signed.
pub const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// What `X-Sdk-Date` looks like, as a format of `strftime`: `20261124T081500Z`.
pub const DATE_FORMAT: &str = "%Y%m%dT%H%M%SZ";

/// Every octet but `A-Za-z0-9-_.~` is encoded, in paths and queries alike.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A request to be signed.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// In any case.
    pub method: &'a str,
    /// With the port where it is not the scheme's own. A `Host` among `headers` outranks it.
    pub host: &'a str,
    /// As it will be sent.
    pub path: &'a str,
    /// Keys and values as they mean, not encoded, in any order; keys may repeat.
    pub query: &'a [(&'a str, &'a str)],
    /// All that is to be signed, in any order and case; names with a `_` are left out of the signature.
    pub headers: &'a [(&'a str, &'a str)],
    /// Empty when there is none.
    pub body: &'a [u8],
}

/// What a signed request has in addition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// Headers to send beside those given: `X-Sdk-Date` and `Host` where they were not, and
    /// `X-Sdk-Content-Sha256` for a body that is not signed. In the order they were added.
    pub headers: Vec<(&'static str, String)>,
    /// The value of `Authorization`; holds the access key and no secret.
    pub authorization: String,
    /// The query as it must be sent, without the `?`.
    pub query: String,
    /// What was signed; to be held against what a server expected.
    pub canonical: Canonical,
}

/// Signs a request as of `date`, in the form of [`DATE_FORMAT`]; an `X-Sdk-Date` among its headers outranks it.
#[must_use]
pub fn sign(request: &Request<'_>, access_key: &str, secret_key: &Secret, date: &str) -> Signed {
    let given = |name: &str| {
        request.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    };
    let date = given("x-sdk-date").unwrap_or(date);
    let payload_hash = payload_hash(given("content-type"), request.body);

    let mut added = Vec::new();
    if given("x-sdk-date").is_none() {
        added.push(("X-Sdk-Date", date.to_owned()));
    }
    if payload_hash == UNSIGNED_PAYLOAD {
        added.push(("X-Sdk-Content-Sha256", UNSIGNED_PAYLOAD.to_owned()));
    }
    if given("host").is_none() {
        added.push(("Host", request.host.to_owned()));
    }

    let headers: Vec<(&str, &str)> = request
        .headers
        .iter()
        .copied()
        .chain(added.iter().map(|(name, value)| (*name, value.as_str())))
        .filter(|(name, _)| !name.contains('_'))
        .collect();
    let canonical = Canonical::of(request.method, request.path, request.query, &headers, &payload_hash);
    let signature = signature(secret_key, &canonical.string_to_sign(date));
    let authorization = format!(
        "{ALGORITHM} Access={access_key}, SignedHeaders={}, Signature={signature}",
        canonical.signed_headers
    );
    Signed { headers: added, authorization, query: canonical_query(request.query), canonical }
}

/// A request in the one form that both sides hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canonical {
    /// The canonical request.
    pub request: String,
    /// The names of its headers, lower case, sorted, joined by `;`.
    pub signed_headers: String,
}

impl Canonical {
    /// The canonical form of a request of which exactly `signed_headers` were signed.
    ///
    /// `path` is as sent, `query` decoded; `payload_hash` is that of [`payload_hash`].
    #[must_use]
    pub fn of(
        method: &str,
        path: &str,
        query: &[(&str, &str)],
        signed_headers: &[(&str, &str)],
        payload_hash: &str,
    ) -> Self {
        let mut headers: Vec<(String, &str)> =
            signed_headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.trim())).collect();
        headers.sort();
        let mut lines = String::new();
        for (name, value) in &headers {
            lines.extend([name, ":", value, "\n"]);
        }
        let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
        let signed_headers = names.join(";");
        let request = [
            &method.to_ascii_uppercase(),
            &canonical_path(path),
            &canonical_query(query),
            &lines,
            &signed_headers,
            payload_hash,
        ]
        .join("\n");
        Self { request, signed_headers }
    }

    /// What the secret key signs.
    #[must_use]
    pub fn string_to_sign(&self, date: &str) -> String {
        format!("{ALGORITHM}\n{date}\n{}", hex(&Sha256::digest(self.request.as_bytes())))
    }
}

/// The signature in lower-case hex.
#[must_use]
#[expect(clippy::missing_panics_doc, reason = "it cannot: see below")]
pub fn signature(secret_key: &Secret, string_to_sign: &str) -> String {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length; the error is of the trait")]
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(secret_key.expose().as_bytes())
        .expect("a key of any length will do");
    mac.update(string_to_sign.as_bytes());
    hex(&mac.finalize().into_bytes())
}

/// The hash that a body enters the canonical request with, by its content type.
#[must_use]
pub fn payload_hash(content_type: Option<&str>, body: &[u8]) -> Cow<'static, str> {
    let signed = |kind: &str| kind.starts_with("application/json") || kind.starts_with("application/bson");
    if body.is_empty() || content_type.is_none_or(signed) {
        Cow::Owned(hex(&Sha256::digest(body)))
    } else {
        Cow::Borrowed(UNSIGNED_PAYLOAD)
    }
}

/// The path decoded, each segment encoded anew, with a final `/`. An encoded `/` becomes a separator.
fn canonical_path(path: &str) -> String {
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    let segments: Vec<String> = decoded.split('/').map(encode).collect();
    let path = segments.join("/");
    if path.ends_with('/') { path } else { path + "/" }
}

/// The pairs sorted by key, then value, as they are before encoding; then encoded. An empty value keeps its `=`.
#[must_use]
pub fn canonical_query(query: &[(&str, &str)]) -> String {
    let mut pairs = query.to_vec();
    pairs.sort_unstable();
    let pairs: Vec<String> =
        pairs.into_iter().map(|(key, value)| format!("{}={}", encode(key), encode(value))).collect();
    pairs.join("&")
}

/// The text with every octet but `A-Za-z0-9-_.~` percent-encoded: fit for a path's segment and for a query.
#[must_use]
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to a String cannot fail
        text
    })
}

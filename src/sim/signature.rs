//! Checks a request's SDK-HMAC-SHA256 signature the way the cloud's gateway does.
//!
//! Written from the scheme's description and tested with requests the vendor's SDK signed; it shares no
//! line with our own client's signing, so that each is a witness for the other. Start at [`verify`].

use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::{civil::DateTime, tz::TimeZone};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use sha2::Sha256;

use super::http::Request;
use super::ids;
use crate::model::Secret;

/// A request's date may be this far from the cloud's clock.
pub(super) const MAX_SKEW: Duration = Duration::from_secs(15 * 60);

const ALGORITHM: &str = "SDK-HMAC-SHA256";
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
/// What stays as it is in a path segment or a query: letters, digits and `-_.~`.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A pair of keys the cloud knows.
#[derive(Clone, Debug)]
pub(super) struct KnownKey {
    pub(super) secret: Secret,
    /// For temporary keys: what must be in `X-Security-Token`.
    pub(super) token: Option<Secret>,
}

/// Why a request is not accepted.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum Refused {
    #[error("Incorrect IAM authentication information: no {ALGORITHM} authorization header")]
    NotSigned,
    #[error("Incorrect IAM authentication information: {0} must be among the signed headers")]
    HeaderNotSigned(&'static str),
    #[error("Incorrect IAM authentication information: X-Sdk-Date is missing or unreadable")]
    Date,
    #[error("Incorrect IAM authentication information: x-sdk-date expired")]
    Skewed,
    #[error("Incorrect IAM authentication information: Get secretKey failed, ak {0} not exist")]
    UnknownKey(String),
    #[error("Incorrect IAM authentication information: security token is missing or wrong")]
    Token,
    #[error("Incorrect IAM authentication information: verify aksk signature fail")]
    Signature,
}

/// Whose request it is: the access key, when everything about the signature is right.
///
/// `now` is wall time since 1970; `find` looks an access key up.
///
/// # Errors
/// The first thing found wrong.
pub(super) fn verify(
    request: &Request,
    now: Duration,
    find: impl Fn(&str) -> Option<KnownKey>,
) -> Result<String, Refused> {
    let authorization = request.header("authorization").ok_or(Refused::NotSigned)?;
    let parts = authorization.strip_prefix(ALGORITHM).ok_or(Refused::NotSigned)?;
    let (mut access, mut signed, mut signature) = ("", "", "");
    for part in parts.split(',') {
        match part.trim().split_once('=') {
            Some(("Access", value)) => access = value,
            Some(("SignedHeaders", value)) => signed = value,
            Some(("Signature", value)) => signature = value,
            _ => return Err(Refused::NotSigned),
        }
    }
    for needed in ["host", "x-sdk-date"] {
        if !signed.split(';').any(|name| name == needed) {
            return Err(Refused::HeaderNotSigned(needed));
        }
    }
    let date = request.header("x-sdk-date").ok_or(Refused::Date)?;
    if seconds_since_1970(date).ok_or(Refused::Date)?.abs_diff(now.as_secs()) > MAX_SKEW.as_secs() {
        return Err(Refused::Skewed);
    }
    let key = find(access).ok_or_else(|| Refused::UnknownKey(access.to_owned()))?;
    if let Some(token) = &key.token {
        let sent = request.header("x-security-token");
        if sent != Some(token.expose()) || !signed.split(';').any(|name| name == "x-security-token") {
            return Err(Refused::Token);
        }
    }
    let canonical = canonical_request(request, signed).ok_or(Refused::Signature)?;
    let to_sign = format!("{ALGORITHM}\n{date}\n{}", ids::sha256(canonical.as_bytes()));
    if hmac(key.secret.expose().as_bytes(), to_sign.as_bytes()).as_deref() == Some(signature) {
        Ok(access.to_owned())
    } else {
        Err(Refused::Signature)
    }
}

/// Nothing when a header that is said to be signed is not there, or the body is not what its hash says.
fn canonical_request(request: &Request, signed: &str) -> Option<String> {
    let mut headers = String::new();
    for name in signed.split(';') {
        headers.extend([name, ":", request.header(name)?, "\n"]);
    }
    let actual = ids::sha256(&request.body);
    let body = match request.header("x-sdk-content-sha256") {
        Some(told) if !request.body.is_empty() => {
            (told == UNSIGNED || told == actual).then(|| told.to_owned())?
        }
        _ => actual,
    };
    let (path, query) = (canonical_path(&request.path), canonical_query(request));
    Some([request.method.as_str(), &path, &query, &headers, signed, &body].join("\n"))
}

fn canonical_path(path: &str) -> String {
    let decoded: Vec<u8> = percent_decode_str(path).collect();
    let mut text: String = decoded
        .split(|byte| *byte == b'/')
        .map(|segment| percent_encode(segment, ENCODED).to_string())
        .collect::<Vec<_>>()
        .join("/");
    if !text.ends_with('/') {
        text.push('/');
    }
    text
}

fn canonical_query(request: &Request) -> String {
    let mut pairs = request.query().0;
    pairs.sort();
    let encode = |text: &str| percent_encode(text.as_bytes(), ENCODED).to_string();
    pairs
        .iter()
        .map(|(key, value)| format!("{}={}", encode(key), encode(value)))
        .collect::<Vec<_>>()
        .join("&")
}

fn hmac(key: &[u8], text: &[u8]) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(text);
    Some(ids::hex(&mac.finalize().into_bytes()))
}

fn seconds_since_1970(date: &str) -> Option<u64> {
    let civil = DateTime::strptime("%Y%m%dT%H%M%SZ", date).ok()?;
    u64::try_from(TimeZone::UTC.to_timestamp(civil).ok()?.as_second()).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const SIGNED: &str = include_str!("../../tests/data/sim/signed-requests.json");

    fn signed() -> (Value, Vec<(String, Request)>) {
        let file: Value = serde_json::from_str(SIGNED).unwrap();
        let requests = file["requests"].as_array().unwrap().iter().map(|one| {
            let (path, query) =
                one["uri"].as_str().unwrap().split_once('?').unwrap_or((one["uri"].as_str().unwrap(), ""));
            let headers = one["headers"].as_object().unwrap().iter();
            let mut headers: Vec<(String, String)> = headers
                .map(|(name, value)| (name.to_lowercase(), value.as_str().unwrap().to_owned()))
                .collect();
            headers.push(("authorization".into(), one["authorization"].as_str().unwrap().into()));
            let request = Request {
                method: one["method"].as_str().unwrap().into(),
                path: path.into(),
                raw_query: query.into(),
                headers,
                body: one["body"].as_str().unwrap_or_default().into(),
                keep_alive: true,
            };
            (one["name"].as_str().unwrap().to_owned(), request)
        });
        (file.clone(), requests.collect())
    }

    fn check(request: &Request, skew: Duration, token: Option<&str>) -> Result<String, Refused> {
        let (file, _) = signed();
        let date = request.header("x-sdk-date").and_then(seconds_since_1970).unwrap();
        verify(request, Duration::from_secs(date) + skew, |access| {
            let secret = Secret::new(file["secret_key"].as_str().unwrap());
            (file["access_key"] == access).then_some(KnownKey { secret, token: token.map(Secret::new) })
        })
    }

    #[test]
    fn what_the_vendors_sdk_signed_is_accepted() {
        let (_, requests) = signed();
        assert!(requests.len() >= 20);
        for (name, request) in requests {
            assert!(check(&request, Duration::ZERO, None).is_ok(), "{name}: {request:?}");
        }
    }

    #[test]
    fn a_change_to_anything_signed_is_found() {
        for (name, request) in signed().1 {
            let changed = |change: fn(&mut Request)| {
                let mut request = Request {
                    headers: request.headers.clone(),
                    body: request.body.clone(),
                    method: request.method.clone(),
                    path: request.path.clone(),
                    raw_query: request.raw_query.clone(),
                    keep_alive: true,
                };
                change(&mut request);
                check(&request, Duration::ZERO, None)
            };
            let ruined: [fn(&mut Request); 4] = [
                |request| request.path.push_str("/x"),
                |request| request.raw_query.push_str("&zz=1"),
                |request| request.method = "OPTIONS".into(),
                |request| {
                    request.headers.iter_mut().filter(|it| it.0 == "host").for_each(|it| it.1.push('0'));
                },
            ];
            for change in ruined {
                assert_eq!(changed(change), Err(Refused::Signature), "{name}");
            }
            if name == "put record set" {
                assert_eq!(changed(|request| request.body.push(b' ')), Err(Refused::Signature));
            }
        }
    }

    #[test]
    fn a_date_more_than_fifteen_minutes_off_is_refused() {
        let (_, request) = signed().1.swap_remove(0);
        assert!(check(&request, MAX_SKEW, None).is_ok());
        assert_eq!(check(&request, MAX_SKEW + Duration::from_secs(1), None), Err(Refused::Skewed));
    }

    #[test]
    fn temporary_keys_need_their_token() {
        let (_, request) =
            signed().1.into_iter().find(|(name, _)| name == "security token with body").unwrap();
        let token = request.header("x-security-token").unwrap().to_owned();
        assert!(check(&request, Duration::ZERO, Some(&token)).is_ok());
        assert_eq!(check(&request, Duration::ZERO, Some("another")), Err(Refused::Token));
    }

    #[test]
    fn an_unknown_key_and_an_unsigned_request_are_refused() {
        let (_, mut request) = signed().1.swap_remove(0);
        let nobody = verify(&request, Duration::from_secs(1_795_421_700), |_| None);
        assert!(matches!(nobody, Err(Refused::UnknownKey(_))), "{nobody:?}");
        request.headers.retain(|(name, _)| name != "authorization");
        assert_eq!(verify(&request, Duration::ZERO, |_| None), Err(Refused::NotSigned));
    }
}

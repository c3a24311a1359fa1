//! Signing: who receives a request as it was sent, and knows the key, finds the same signature.
//!
//! The input is a request in lines: method, host, path, the query's pairs as `?key=value`, headers as `name: value`, and
//! after an empty line the body.

use percent_encoding::percent_decode_str;
use pointsman::huawei::sign::{self, Canonical, Request, Signed};
use pointsman::model::Secret;

use super::script::SECRET;
use super::sentence;

const DATE: &str = "20261124T081500Z";

pub(super) fn run(input: &[u8]) {
    let (head, body) = match input.windows(2).position(|two| two == b"\n\n") {
        Some(end) => (&input[..end], &input[end + 2..]),
        None => (input, &b""[..]),
    };
    let Ok(head) = std::str::from_utf8(head) else { return };
    let mut lines = head.lines();
    let [method, host, path] = [(); 3].map(|()| lines.next().unwrap_or_default());
    let (mut query, mut headers) = (Vec::new(), Vec::new());
    for line in lines {
        match line.strip_prefix('?') {
            Some(pair) => query.push(pair.split_once('=').unwrap_or((pair, ""))),
            None => headers.push(line.split_once(": ").unwrap_or((line, ""))),
        }
    }
    let request = Request { method, host, path, query: &query, headers: &headers, body };
    let signed = sign::sign(&request, "AK", &Secret::new(SECRET), DATE);
    assert_eq!(sign::sign(&request, "AK", &Secret::new(SECRET), DATE), signed, "by the same, another");

    let (names, signature) = signed.authorization.split_once(", Signature=").unwrap();
    assert_eq!(signature, received(&request, &signed), "{request:?}");
    assert_ne!(signature, sign::signature(&Secret::new("another"), &signed.canonical.string_to_sign(DATE)));
    assert!(names.ends_with(&signed.canonical.signed_headers) && signature.len() == 64);
    for told in [&signed.authorization, &signed.query, &signed.canonical.request] {
        sentence::assert_lacks(told, SECRET, input);
    }
}

/// The signature that a server finds, to which pairs and headers come in another order and names in another case.
fn received(request: &Request<'_>, signed: &Signed) -> String {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8().unwrap().into_owned();
    let pairs = signed.query.split('&').filter(|pair| !pair.is_empty());
    let mut query: Vec<(String, String)> = pairs
        .map(|pair| {
            let (key, value) = pair.split_once('=').expect("an empty value keeps its =");
            (decoded(key), decoded(value))
        })
        .collect();
    query.reverse();
    let query: Vec<(&str, &str)> = query.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let sent: Vec<(String, &str)> = request
        .headers
        .iter()
        .copied()
        .chain(signed.headers.iter().map(|(name, value)| (*name, value.as_str())))
        .filter(|(name, _)| !name.contains('_'))
        .map(|(name, value)| (name.to_ascii_uppercase(), value))
        .collect();
    let headers: Vec<(&str, &str)> = sent.iter().rev().map(|(name, value)| (name.as_str(), *value)).collect();
    let of = |name: &str| {
        let found = request.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim())
    };
    let hash = sign::payload_hash(of("content-type"), request.body);
    let canonical = Canonical::of(request.method, request.path, &query, &headers, &hash);
    assert_eq!(canonical, signed.canonical);
    sign::signature(&Secret::new(SECRET), &canonical.string_to_sign(of("x-sdk-date").unwrap_or(DATE)))
}

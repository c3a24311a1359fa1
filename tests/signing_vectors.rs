//! Every request that the vendor's own SDK signed is signed the same way here, and a server that checks a
//! signature with the same functions comes to the same canonical request.

#![cfg(test)] // the helpers below are of tests too

use pointsman::huawei::sign::{self, Canonical, Request};
use pointsman::model::Secret;
use serde_json::Value;

const VECTORS: &str = include_str!("data/huawei/signing-vectors.json");

struct Vector {
    name: String,
    method: String,
    host: String,
    path: String,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    body: String,
    expected: Value,
}

struct Vectors {
    access_key: String,
    secret_key: Secret,
    all: Vec<Vector>,
}

fn vectors() -> Vectors {
    let file: Value = serde_json::from_str(VECTORS).unwrap();
    let all: Vec<Vector> = file["vectors"].as_array().unwrap().iter().map(vector).collect();
    assert_eq!(all.len(), 78, "a vector is missing");
    Vectors { access_key: text(&file["access_key"]), secret_key: Secret::new(text(&file["secret_key"])), all }
}

fn vector(vector: &Value) -> Vector {
    let request = &vector["request"];
    let mut query = Vec::new();
    for pair in request["query"].as_array().unwrap() {
        let values = pair[1].as_array().map_or(std::slice::from_ref(&pair[1]), Vec::as_slice);
        query.extend(values.iter().map(|value| (text(&pair[0]), text(value))));
    }
    let headers = request["headers"].as_object().unwrap();
    Vector {
        name: text(&vector["name"]),
        method: text(&request["method"]),
        host: text(&request["host"]),
        path: text(&request["path"]),
        query,
        headers: headers.iter().map(|(name, value)| (name.clone(), text(value))).collect(),
        body: request["body"].as_str().unwrap_or_default().to_owned(),
        expected: vector.clone(),
    }
}

/// Numbers and switches as they stand in a URL.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn pairs(of: &[(String, String)]) -> Vec<(&str, &str)> {
    of.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

/// Runs `check` on every vector and names all that differ, not the first alone.
fn for_each(check: impl Fn(&Vectors, &Vector) -> Vec<(&'static str, String, String)>) {
    let vectors = vectors();
    let mut differ = Vec::new();
    for vector in &vectors.all {
        for (what, got, expected) in check(&vectors, vector) {
            if got != expected {
                differ
                    .push(format!("{:?}: {what}\n       got {got:?}\n  expected {expected:?}", vector.name));
            }
        }
    }
    assert!(differ.is_empty(), "{} differ:\n{}", differ.len(), differ.join("\n"));
}

#[test]
fn every_vector_is_signed_as_the_vendors_sdk_signs_it() {
    for_each(|vectors, vector| {
        let (query, headers) = (pairs(&vector.query), pairs(&vector.headers));
        let request = Request {
            method: &vector.method,
            host: &vector.host,
            path: &vector.path,
            query: &query,
            headers: &headers,
            body: vector.body.as_bytes(),
        };
        let signed = sign::sign(&request, &vectors.access_key, &vectors.secret_key, "never used");
        let date = &vector.expected["request"]["headers"]["X-Sdk-Date"];
        let added: serde_json::Map<String, Value> = signed
            .headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Value::String(value.clone())))
            .collect();
        let uri = if signed.query.is_empty() {
            vector.path.clone()
        } else {
            format!("{}?{}", vector.path, signed.query)
        };
        let expected = &vector.expected;
        vec![
            ("canonical request", signed.canonical.request.clone(), text(&expected["canonical_request"])),
            (
                "string to sign",
                signed.canonical.string_to_sign(&text(date)),
                text(&expected["string_to_sign"]),
            ),
            ("authorization", signed.authorization, text(&expected["authorization"])),
            ("headers added", Value::Object(added).to_string(), expected["headers_added"].to_string()),
            ("request URI", uri, text(&expected["request_uri"])),
        ]
    });
}

#[test]
fn a_server_can_check_every_vector_with_the_same_functions() {
    for_each(|vectors, vector| {
        let authorization = text(&vector.expected["authorization"]);
        let (_, rest) = authorization.split_once("SignedHeaders=").unwrap();
        let (names, signature) = rest.split_once(", Signature=").unwrap();

        let mut received = vector.headers.clone();
        for (name, value) in vector.expected["headers_added"].as_object().unwrap() {
            received.push((name.clone(), text(value)));
        }
        received.retain(|(name, _)| names.split(';').any(|signed| signed.eq_ignore_ascii_case(name)));
        let header = |wanted: &str| {
            received
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
                .map(|(_, value)| value.as_str())
        };
        let hash = sign::payload_hash(header("content-type"), vector.body.as_bytes());
        let canonical =
            Canonical::of(&vector.method, &vector.path, &pairs(&vector.query), &pairs(&received), &hash);
        let to_sign = canonical.string_to_sign(header("x-sdk-date").unwrap());
        vec![
            ("signed headers", canonical.signed_headers, names.to_owned()),
            ("signature", sign::signature(&vectors.secret_key, &to_sign), signature.to_owned()),
        ]
    });
}

#[test]
fn a_request_without_a_date_is_signed_as_of_the_date_given() {
    let request = Request {
        method: "GET",
        host: "elb.cn-north-4.myhuaweicloud.com",
        path: "/",
        query: &[],
        headers: &[],
        body: b"",
    };
    let signed = sign::sign(&request, "AK", &Secret::new("SK"), "20261124T081500Z");
    assert!(signed.headers.contains(&("X-Sdk-Date", "20261124T081500Z".to_owned())));
    assert!(signed.canonical.request.contains("x-sdk-date:20261124T081500Z\n"));
}

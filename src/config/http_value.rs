//! The parts of an HTTP request, each fit to be put on the wire as it is.

use serde_json::{Value, json};
use toml::Spanned;
use toml::de::DeValue;

use super::value::{FromToml, Wrong, keep, text, texts};
use crate::model::{Fqdn, Secret};

/// A request method in upper case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Method(pub(super) String);

/// An origin-form target: path and query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target(pub(super) String);

/// A host, with or without a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostHeader(pub(super) String);

/// What a look calls itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UserAgent(pub(super) String);

/// An expression over bytes.
#[derive(Clone, Debug)]
pub(super) struct Pattern(pub(super) regex::bytes::Regex);

/// Further headers, in the order written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Headers(pub(super) Vec<(String, Secret)>);

texts! {
    Method: "\"GET\"" like "^[A-Z]+$" => |text| {
        let hint = "write a method in capitals: \"GET\" or \"HEAD\"";
        let good = text.bytes().all(|b| b.is_ascii_uppercase()) && text != "CONNECT";
        good.then(|| Self(text.to_owned())).ok_or_else(|| Wrong::new("is not a method of a look", hint))
    };
    Target: "\"/\"" like "^/[!-~]*$" => |text| {
        let hint = "write a path from its first slash, spaces and other such as %20: \"/healthz?full=1\"";
        let good = text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
        good.then(|| Self(text.to_owned())).ok_or_else(|| Wrong::new("is not a path", hint))
    };
    HostHeader: "\"demo.localdev.me\"" like r"^[^/\s]+$" => |text| {
        let hint = "write a name or an address, with or without a port: \"demo.localdev.me\"";
        is_host(text).then(|| Self(text.to_owned())).ok_or_else(|| Wrong::new("is not a host", hint))
    };
    UserAgent: "\"pointsman\"" like "^[ -~]+$" => |text| {
        let hint = "write printable ASCII characters only";
        let good = text.bytes().all(|b| b.is_ascii_graphic() || b == b' ') && text.trim() == text;
        good.then(|| Self(text.to_owned())).ok_or_else(|| Wrong::new("is not fit for a header", hint))
    };
    Pattern: "\"status: (ok|green)\"" => |text| {
        // The last line says what is wrong; those above it draw the expression.
        let explain = |error: &regex::Error| {
            error.to_string().lines().last().unwrap_or_default().replace("error: ", "")
        };
        let wrong = |error: regex::Error| Wrong::new(
            format!("is not a regular expression: {}", explain(&error)),
            "write it in single quotes, where \\ needs no doubling: 'ready: \\d+'",
        );
        regex::bytes::Regex::new(text).map(Self).map_err(wrong)
    };
}

impl HostHeader {
    /// Without its port and brackets: what a certificate is asked for.
    pub(super) fn name(&self) -> &str {
        match self.0.strip_prefix('[') {
            Some(bracketed) => bracketed.split(']').next().unwrap_or_default(),
            None => self.0.split(':').next().unwrap_or_default(),
        }
    }
}

fn is_host(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let named = if text.starts_with('[') {
        host.parse::<std::net::Ipv6Addr>().is_ok() && (text.ends_with(']') || port.is_some())
    } else {
        host.parse::<std::net::Ipv4Addr>().is_ok() || Fqdn::parse(host).is_ok_and(|_| !host.contains('*'))
    };
    named && port.is_none_or(|port| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok())
}

impl FromToml for Headers {
    fn from_toml(value: &Spanned<DeValue<'_>>, wrong: &mut Vec<Wrong>) -> Option<Self> {
        let DeValue::Table(entries) = value.get_ref() else {
            wrong.push(Wrong::new("is not a table", "write { \"X-Name\" = \"value\" }"));
            return None;
        };
        let mut entries: Vec<_> = entries.iter().collect();
        entries.sort_by_key(|(name, _)| name.span().start);
        let mut headers: Vec<(String, Secret)> = Vec::with_capacity(entries.len());
        for (name, value) in entries {
            let at_name =
                |what: &str, hint: &str| Wrong { span: Some(name.span()), ..Wrong::new(what, hint) };
            // A header's value may be a secret: messages name the header and never quote what it holds.
            let at_value = |what: &str| Wrong {
                span: Some(name.span()),
                ..Wrong::new(what, "write printable ASCII characters, no space at either end")
            };
            let text = name.get_ref().as_ref();
            if let Some(hint) = reserved(text) {
                wrong.push(at_name("is not a header to set here", hint));
            } else if text.is_empty() || !text.bytes().all(is_token) {
                wrong.push(at_name("is not a header's name", "use letters, digits and '-'"));
            } else if headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(text)) {
                wrong.push(at_name("is there twice", "keep one of the two"));
            }
            match value.get_ref().as_str() {
                None => wrong.push(at_value("has a value that is not a text")),
                Some(held)
                    if held.trim() != held || !held.bytes().all(|b| b.is_ascii_graphic() || b == b' ') =>
                {
                    wrong.push(at_value("has a value that is not fit for a header"));
                }
                Some(held) => headers.push((text.to_owned(), Secret::new(held))),
            }
        }
        wrong.is_empty().then_some(Self(headers))
    }

    fn schema() -> Value {
        // The set is open: names are the server's.
        json!({ "type": "object", "additionalProperties": { "type": "string", "pattern": "^[ -~]*$" } })
    }
}

/// What to do in place of setting a header that a look sets itself.
fn reserved(name: &str) -> Option<&'static str> {
    match name.to_ascii_lowercase().as_str() {
        "host" => Some("set the key host of the check"),
        "user-agent" => Some("set the key user_agent of the check"),
        "connection" => Some("set the key keep_alive of the check"),
        "content-length" | "transfer-encoding" => Some("remove it; a look has no body"),
        _ => None,
    }
}

/// RFC 9110, 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_with_or_without_a_port() {
        for (good, name) in [
            ("demo.localdev.me", "demo.localdev.me"),
            ("demo:8080", "demo"),
            ("192.0.2.1:80", "192.0.2.1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
        ] {
            assert!(is_host(good), "{good}");
            assert_eq!(HostHeader(good.to_owned()).name(), name);
        }
        for bad in
            ["*.localdev.me", "a b", "a/b", "a:b", "a:70000", "2001:db8::1", "[2001:db8::1]x", "[::1", ""]
        {
            assert!(!is_host(bad), "{bad}");
        }
    }
}

//! Builds a check's HTTP request once, and refuses what would break its syntax.

use std::fmt;

use zeroize::Zeroizing;

use super::LookerError;
use crate::model::HttpCheck;

/// The request of a check, byte for byte as every look sends it. Its headers may hold secrets (SECRETS-STAY).
pub(super) struct Request(Zeroizing<Vec<u8>>);

impl Request {
    /// What is sent.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Request(…)")
    }
}

/// Builds the request of a check.
pub(super) fn build(check: &HttpCheck) -> Result<Request, LookerError> {
    let HttpCheck { method, path, host, user_agent, .. } = check;
    require("method", method, |method| is_token(method.as_bytes()), "write a method such as GET")?;
    require("path", path, is_target, "write an absolute path, anything but visible ASCII as %XX")?;
    require("host", host, is_target, "write a host name")?;
    require("user_agent", user_agent, is_header_value, "write one line of text")?;
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {user_agent}\r\n");
    for (name, value) in &check.headers {
        require("header name", name, |name| is_token(name.as_bytes()), "write letters, digits and '-'")?;
        if !is_header_value(value.expose()) {
            // Whose value, but not which.
            let (what, hint) = ("the value of header", "write one line of text");
            return Err(LookerError::Request { what, value: name.clone(), hint });
        }
        request.extend([name, ": ", value.expose(), "\r\n"]);
    }
    // Methods that usually carry a body must say that this one has none (RFC 9110, 8.6).
    if matches!(method.as_str(), "POST" | "PUT" | "PATCH") {
        request.push_str("Content-Length: 0\r\n");
    }
    if !check.keep_alive {
        request.push_str("Connection: close\r\n");
    }
    request.push_str("\r\n");
    Ok(Request(Zeroizing::new(request.into_bytes())))
}

fn require(
    what: &'static str,
    value: &str,
    fits: fn(&str) -> bool,
    hint: &'static str,
) -> Result<(), LookerError> {
    if fits(value) { Ok(()) } else { Err(LookerError::Request { what, value: value.to_owned(), hint }) }
}

/// Whether it can name a method or a header (RFC 9110, 5.6.2).
pub(super) fn is_token(text: &[u8]) -> bool {
    let fits = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
    !text.is_empty() && text.iter().all(fits)
}

fn is_target(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())
}

fn is_header_value(text: &str) -> bool {
    !text.bytes().any(|b| b.is_ascii_control() && b != b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Secret;

    fn built(check: &HttpCheck) -> String {
        String::from_utf8(build(check).unwrap().bytes().to_vec()).unwrap()
    }

    #[test]
    fn the_request_says_host_and_who_looks_and_asks_to_close() {
        assert_eq!(
            built(&HttpCheck::plain()),
            "GET / HTTP/1.1\r\nHost: demo.localdev.me\r\nUser-Agent: pointsman/0 (demo)\r\n\
             Connection: close\r\n\r\n"
        );
    }

    #[test]
    fn configured_headers_keep_their_order_and_an_empty_post_says_so() {
        let headers = vec![("X-B".to_owned(), Secret::new("2 3")), ("X-A".to_owned(), Secret::new("ä"))];
        let post = HttpCheck {
            method: "POST".to_owned(),
            path: "/p?q=%20".to_owned(),
            headers,
            keep_alive: true,
            ..HttpCheck::plain()
        };
        assert_eq!(
            built(&post),
            "POST /p?q=%20 HTTP/1.1\r\nHost: demo.localdev.me\r\nUser-Agent: pointsman/0 (demo)\r\n\
             X-B: 2 3\r\nX-A: ä\r\nContent-Length: 0\r\n\r\n"
        );
    }

    #[test]
    fn what_would_smuggle_a_second_request_is_refused() {
        let smuggled = "x\r\nX: y".to_owned();
        for (bad, named) in [
            (HttpCheck { path: "/a b".to_owned(), ..HttpCheck::plain() }, "path"),
            (HttpCheck { method: "GE T".to_owned(), ..HttpCheck::plain() }, "method"),
            (HttpCheck { host: smuggled.clone(), ..HttpCheck::plain() }, "host"),
            (HttpCheck { user_agent: smuggled.clone(), ..HttpCheck::plain() }, "user_agent"),
            (
                HttpCheck { headers: vec![("A".to_owned(), Secret::new(smuggled))], ..HttpCheck::plain() },
                "the value of header",
            ),
            (
                HttpCheck { headers: vec![("A:".to_owned(), Secret::new(""))], ..HttpCheck::plain() },
                "header name",
            ),
        ] {
            let error = build(&bad).unwrap_err().to_string();
            assert!(error.starts_with(named), "{error}");
            assert!(named != "the value of header" || !error.contains("X: y"), "{error}");
        }
    }
}

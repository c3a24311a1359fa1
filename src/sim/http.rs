//! HTTP/1.1 on the wire, as little as a cloud that must misbehave needs.
//!
//! Written out because a fault lives below what a web framework shows: an answer that never comes, a
//! connection that closes instead of answering, a request exactly as it was sent (signatures cover its
//! bytes). Bodies have a length; chunked requests are refused. Start at [`converse`].

use std::io;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::stamp;
use crate::clock;

/// A request's head may be this long, in bytes: security tokens are long, attacks are longer.
const MAX_HEAD: usize = 32 * 1024;
/// A request's body may be this long, in bytes; the largest real one is a few hundred.
const MAX_BODY: usize = 1024 * 1024;
/// A request may have this many headers.
const MAX_HEADERS: usize = 64;
/// A connection without a request is kept this long.
const IDLE: Duration = Duration::from_secs(60);

/// A request as it came.
#[derive(Debug, Default)]
pub(super) struct Request {
    pub(super) method: String,
    /// Not decoded, without the query.
    pub(super) path: String,
    /// Not decoded, without the question mark.
    pub(super) raw_query: String,
    /// Names in lower case, values trimmed.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    pub(super) keep_alive: bool,
}

impl Request {
    /// The value of a header, by its lower-case name.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether it wants to change something.
    pub(super) fn is_write(&self) -> bool {
        self.method != "GET" && self.method != "HEAD"
    }

    /// The query, decoded.
    pub(super) fn query(&self) -> Query {
        let pairs = self.raw_query.split('&').filter(|pair| !pair.is_empty());
        Query(pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(decode_pair).collect())
    }
}

/// Decoded pairs of a query, in the order sent.
#[derive(Debug, Default)]
pub(super) struct Query(pub(super) Vec<(String, String)>);

impl Query {
    /// The first value of a key.
    pub(super) fn one(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    /// Every value of a key.
    pub(super) fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == key).map(|(_, value)| value.as_str())
    }
}

/// An answer to be sent.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
}

impl Reply {
    /// A JSON document.
    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self::text(status, "application/json;charset=UTF-8", body.to_string())
    }

    /// Any text.
    pub(super) fn text(status: u16, content_type: &str, body: impl Into<String>) -> Self {
        let headers = vec![("Content-Type", content_type.to_owned())];
        Self { status, headers, body: body.into().into_bytes() }
    }

    /// With one more header.
    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// What becomes of a request.
#[derive(Debug)]
pub(super) enum Action {
    /// It is answered.
    Answer(Reply),
    /// The connection is closed instead.
    Close,
    /// Nothing comes, for as long as the peer waits.
    Silence,
}

/// Answers a connection's requests, one after the other, until either side has enough.
pub(super) async fn converse<F, A>(mut stream: TcpStream, answer: F)
where
    F: Fn(Request) -> A + Send,
    A: Future<Output = Action> + Send,
{
    let mut buffer = Vec::new();
    let _ = stream.set_nodelay(true);
    while let Ok(Ok(Some(request))) = timeout(IDLE, read(&mut stream, &mut buffer)).await {
        let (keep_alive, head_only) = (request.keep_alive, request.method == "HEAD");
        match answer(request).await {
            Action::Answer(reply) => {
                let sent = stream.write_all(&wire(&reply, keep_alive, head_only)).await;
                if sent.is_err() || !keep_alive {
                    break;
                }
            }
            Action::Close => break,
            Action::Silence => {
                swallow(&mut stream).await;
                break;
            }
        }
    }
}

/// Reads what comes and says nothing, until the peer goes away.
pub(super) async fn swallow(stream: &mut TcpStream) {
    let mut sink = [0; 1024];
    while matches!(stream.read(&mut sink).await, Ok(1..)) {}
}

async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<Request>> {
    let (mut request, head, body) = loop {
        if let Some(parsed) = parse_head(buffer)? {
            break parsed;
        }
        if buffer.len() > MAX_HEAD {
            return Err(io::Error::other("the request's head is too long"));
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    };
    if body > MAX_BODY {
        return Err(io::Error::other("the request's body is too long"));
    }
    while buffer.len() < head + body {
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
    let rest = buffer.split_off(head + body);
    request.body = buffer.split_off(head);
    *buffer = rest;
    Ok(Some(request))
}

/// The request without its body, the head's length and the body's.
fn parse_head(buffer: &[u8]) -> io::Result<Option<(Request, usize, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let head = match parsed.parse(buffer).map_err(io::Error::other)? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial => return Ok(None),
    };
    let target = parsed.path.unwrap_or("/");
    let (path, raw_query) = target.split_once('?').unwrap_or((target, ""));
    let headers = parsed.headers.iter().map(|header| {
        let value = String::from_utf8_lossy(header.value);
        (header.name.to_ascii_lowercase(), value.trim().to_owned())
    });
    let mut request = Request {
        method: parsed.method.unwrap_or_default().to_owned(),
        path: path.to_owned(),
        raw_query: raw_query.to_owned(),
        headers: headers.collect(),
        body: Vec::new(),
        keep_alive: parsed.version == Some(1),
    };
    if request.header("transfer-encoding").is_some() {
        return Err(io::Error::other("chunked requests are not understood"));
    }
    if let Some(connection) = request.header("connection") {
        let connection = connection.to_ascii_lowercase();
        request.keep_alive = connection != "close" && (request.keep_alive || connection == "keep-alive");
    }
    let body = request.header("content-length").unwrap_or("0").parse().map_err(io::Error::other)?;
    Ok(Some((request, head, body)))
}

fn wire(reply: &Reply, keep_alive: bool, head_only: bool) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {} {}\r\n", reply.status, reason(reply.status));
    let fixed = [
        ("Content-Length", reply.body.len().to_string()),
        ("Connection", if keep_alive { "keep-alive" } else { "close" }.to_owned()),
    ];
    for (name, value) in fixed.iter().chain(&reply.headers) {
        head.extend([name, ": ", value, "\r\n"]);
    }
    if !reply.headers.iter().any(|(name, _)| *name == "Date") {
        head.extend(["Date: ", &stamp::http(clock::wall_time()), "\r\n"]);
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    if !head_only {
        bytes.extend_from_slice(&reply.body);
    }
    bytes
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        202 => "Accepted",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Status",
    }
}

fn decode_pair((key, value): (&str, &str)) -> (String, String) {
    (decode(key), decode(value))
}

/// Percent-decoded; a plus sign stays one.
pub(super) fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

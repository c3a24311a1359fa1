//! Looks over HTTP and HTTPS: one request to each of the region's own addresses.
//!
//! Its own few lines instead of a client: the request is built once, the answer is parsed where it was read,
//! and redirects, cookies, compression and pools do not exist. Start at [`HttpLooker`].

use std::borrow::Cow;
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use regex::bytes::Regex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::answer::{self, Head};
use super::connect::{broken, connect};
use super::endpoint::{Endpoint, Fault, look_at_each};
use super::framing::Framing;
use super::request::{self, Request};
use super::tls::{self, Tls};
use super::trace::{Stage, Trace};
use super::{Addresses, Look, LookerError};
use crate::model::{Certificate, HttpCheck, Reason, Scheme};

/// What the buffer starts with, in bytes: room for most answers to a look.
const FIRST_READ: usize = 2 * 1024;

/// How much the buffer grows at most when one read has filled it, in bytes: fewer reads of a long body.
const GROW_MOST: usize = 16 * 1024;

/// A buffer that grew beyond this, in bytes, is given back after the look, since 10,000 checks keep theirs.
const KEPT_BUFFER: usize = 2 * FIRST_READ;

/// Looks by one HTTP request to each of the region's own addresses. Redirects are not followed.
#[derive(Debug)]
pub struct HttpLooker {
    addresses: watch::Receiver<Addresses>,
    max_latency: Option<Duration>,
    asker: Asker,
}

impl HttpLooker {
    /// Builds the request and reads the TLS files. An answer that took longer than `max_latency` fails.
    ///
    /// # Errors
    /// When a part of the request would break its syntax, `expect_body` is too large, a TLS file cannot be read or used, the name to
    /// verify is none, or the system has no certificate authorities.
    pub fn new(
        check: Arc<HttpCheck>,
        max_latency: Option<Duration>,
        addresses: watch::Receiver<Addresses>,
    ) -> Result<Self, LookerError> {
        let tls = match check.scheme {
            Scheme::Http => None,
            Scheme::Https => Some(Tls::new(&check)?),
        };
        let mut expect_body = Vec::from_iter(check.expect_body_regex.clone());
        if let Some(text) = &check.expect_body {
            let literal = Regex::new(&regex::escape(text));
            expect_body.push(literal.map_err(|source| LookerError::ExpectBody { source })?);
        }
        let asker = Asker {
            request: request::build(&check)?,
            check,
            tls,
            expect_body,
            buffer: Vec::new(),
            kept: Vec::new(),
        };
        Ok(Self { addresses, max_latency, asker })
    }

    /// One look at every address, over at `deadline`.
    pub async fn look(&mut self, deadline: Instant, trace: &mut Trace) -> Look {
        let Self { addresses, max_latency, asker } = self;
        let look = look_at_each(asker, addresses, *max_latency, deadline, trace).await;
        if asker.buffer.capacity() > KEPT_BUFFER {
            asker.buffer = Vec::new();
        }
        look
    }
}

/// What looks at one address.
#[derive(Debug)]
struct Asker {
    check: Arc<HttpCheck>,
    request: Request,
    tls: Option<Tls>,
    expect_body: Vec<Regex>,
    /// What came and is not done with: the head, then the body as far as it is needed.
    buffer: Vec<u8>,
    /// Open connections for the next look, with `keep_alive`.
    kept: Vec<Connection>,
}

#[derive(Debug)]
struct Connection {
    at: SocketAddr,
    stream: Stream,
    /// When the server's certificate ends, in Unix seconds.
    certificate_end: Option<i64>,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    /// Boxed: it is a kilobyte, which plain looks shall not carry.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Endpoint for Asker {
    fn port(&self) -> u16 {
        self.check.port
    }

    async fn look_at(
        &mut self,
        at: SocketAddr,
        trace: &mut Trace,
        certificate: &mut Option<Certificate>,
    ) -> Result<Cow<'static, str>, Fault> {
        if let Some(place) = self.kept.iter().position(|kept| kept.at == at) {
            trace.enter(Stage::Connect);
            let mut connection = self.kept.swap_remove(place);
            if connection.is_quiet() {
                trace.leave(format_args!("the connection to {at} was kept from the last look"));
                match self.ask(connection, trace, certificate).await {
                    // The server may close an idle connection at any time: that says nothing of its health.
                    Err(fault) if fault.is(Reason::Closed) && self.buffer.is_empty() => {
                        trace.leave(format_args!("{}, as it may; once more on a fresh one", fault.saw));
                    }
                    found => return found,
                }
            } else {
                trace.leave(format_args!("{at} closed the kept connection or sent what was not asked for"));
            }
        }
        let connection = self.open(at, trace, certificate).await?;
        self.ask(connection, trace, certificate).await
    }

    fn forget_all_but(&mut self, at: impl Fn(SocketAddr) -> bool) {
        self.kept.retain(|kept| at(kept.at));
    }
}

impl Asker {
    async fn open(
        &mut self,
        at: SocketAddr,
        trace: &mut Trace,
        certificate: &mut Option<Certificate>,
    ) -> Result<Connection, Fault> {
        trace.enter(Stage::Connect);
        let stream = connect(at, self.check.source).await?;
        trace.leave(format_args!("connected to {at}"));
        let Some(tls) = &self.tls else {
            return Ok(Connection { at, stream: Stream::Plain(stream), certificate_end: None });
        };
        trace.enter(Stage::Tls);
        // The request follows our last handshake message at once, without waiting for its acknowledgement.
        stream.set_nodelay(true).map_err(|error| broken(&error, at))?;
        let connecting = TlsConnector::from(Arc::clone(&tls.config)).connect(tls.server_name.clone(), stream);
        let stream = Box::pin(connecting).await.map_err(|error| {
            if let Some(end) = tls::error_within(&error).and_then(tls::expired) {
                *certificate = Some(tls::judged(end, self.check.tls.expires_within));
            }
            broken(&error, at)
        })?;
        let session = stream.get_ref().1;
        let certificate_end = tls::end_of(session.peer_certificates());
        trace.leave(format_args!("{}", tls::Session(session)));
        Ok(Connection { at, stream: Stream::Tls(Box::new(stream)), certificate_end })
    }

    /// Sends the request over `connection` and judges the answer.
    async fn ask(
        &mut self,
        mut connection: Connection,
        trace: &mut Trace,
        certificate: &mut Option<Certificate>,
    ) -> Result<Cow<'static, str>, Fault> {
        let at = connection.at;
        *certificate = connection.certificate_end.map(|end| tls::judged(end, self.check.tls.expires_within));
        self.buffer.clear();

        trace.enter(Stage::Request);
        connection.stream.send(self.request.bytes()).await.map_err(|error| broken(&error, at))?;
        trace.leave(format_args!("sent {} {}", self.check.method, self.check.path));

        trace.enter(Stage::Head);
        let Head { status, framing, keeps, length } = self.read_head(&mut connection).await?;
        trace.leave(format_args!("status {status}"));
        self.judge_status(status, at)?;
        self.buffer.drain(..length);

        trace.enter(Stage::Body);
        let body = self.read_body(&mut connection, framing).await?;
        trace.leave(format_args!("{body}"));
        if self.check.keep_alive && keeps && body.reusable {
            self.kept.push(connection);
        }
        self.judge_body(&body, at)?;
        Ok(passing(status, !self.expect_body.is_empty()))
    }

    async fn read_head(&mut self, connection: &mut Connection) -> Result<Head, Fault> {
        let at = connection.at;
        loop {
            if connection.read_more(&mut self.buffer).await? == 0 {
                let when =
                    if self.buffer.is_empty() { "before it answered" } else { "within the answer's head" };
                return Err(Fault::fail(Reason::Closed, format!("{at} closed the connection {when}")));
            }
            match answer::parse(&self.buffer, &self.check.method) {
                Ok(Some(head)) => return Ok(head),
                Ok(None) => {}
                Err(problem) => {
                    let saw = format!("the answer of {at} is not HTTP: {problem}");
                    return Err(Fault::fail(Reason::Protocol, saw));
                }
            }
        }
    }

    /// Reads the body to its end or beyond `max_body`. It is left in the buffer when one is expected, and
    /// else only counted.
    async fn read_body(&mut self, connection: &mut Connection, mut framing: Framing) -> Result<Body, Fault> {
        let (at, most, wanted) = (connection.at, self.check.max_body, !self.expect_body.is_empty());
        let mut body = Body::default();
        loop {
            let kept = if wanted { body.length } else { 0 };
            let raw = self.buffer.get_mut(kept..).unwrap_or_default();
            let decoded = framing.decode(raw).map_err(|_malformed| {
                Fault::fail(Reason::Protocol, format!("the chunks of the body from {at} are malformed"))
            })?;
            body.length += decoded.body;
            self.buffer.truncate(if wanted { body.length } else { 0 });
            if decoded.end || body.length > most {
                body.reusable = decoded.end && !decoded.surplus;
                break;
            }
            if connection.read_more(&mut self.buffer).await? == 0 {
                if framing == Framing::UntilClose {
                    break;
                }
                let saw = format!("{at} closed the connection after {} bytes of the body", body.length);
                return Err(Fault::fail(Reason::Closed, saw));
            }
        }
        body.longer = body.length > most;
        self.buffer.truncate(most);
        Ok(body)
    }

    fn judge_status(&self, status: u16, at: SocketAddr) -> Result<(), Fault> {
        let expected = &self.check.expect_status;
        if expected.contains(status) {
            return Ok(());
        }
        let redirect = if (300..400).contains(&status) { "; redirects are not followed" } else { "" };
        let saw = format!("status {status} from {at}, expected {expected}{redirect}");
        Err(Fault::fail(Reason::Status, saw))
    }

    fn judge_body(&self, body: &Body, at: SocketAddr) -> Result<(), Fault> {
        if self.expect_body.iter().all(|expected| expected.is_match(&self.buffer)) {
            return Ok(());
        }
        let saw = if body.longer {
            format!("the first {} bytes of the body from {at} lack what is expected", self.buffer.len())
        } else {
            format!("the body from {at} ({} bytes) lacks what is expected", body.length)
        };
        Err(Fault::fail(Reason::Body, saw))
    }
}

/// What a pass saw, allocated for the rarer statuses only.
fn passing(status: u16, with_body: bool) -> Cow<'static, str> {
    match (status, with_body) {
        (200, false) => Cow::Borrowed("status 200"),
        (200, true) => Cow::Borrowed("status 200 and the expected body"),
        (204, false) => Cow::Borrowed("status 204"),
        (301, false) => Cow::Borrowed("status 301"),
        (302, false) => Cow::Borrowed("status 302"),
        (status, false) => Cow::Owned(format!("status {status}")),
        (status, true) => Cow::Owned(format!("status {status} and the expected body")),
    }
}

/// What is known of a body that was read.
#[derive(Debug, Default)]
struct Body {
    /// In bytes, as far as it was read.
    length: usize,
    /// Whether it is longer than `max_body`.
    longer: bool,
    /// Whether the next answer on the connection would start right behind it.
    reusable: bool,
}

impl fmt::Display for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = if self.longer { ", and did not wait for the rest" } else { "" };
        write!(f, "read {} bytes{more}", self.length)
    }
}

impl Connection {
    /// Whether nothing has come since the last answer, not even the end. What comes unasked would be taken for the
    /// next answer.
    fn is_quiet(&mut self) -> bool {
        let mut byte = [0];
        let read = match &mut self.stream {
            Stream::Plain(plain) => plain.read(&mut byte).now_or_never(),
            Stream::Tls(tls) => tls.read(&mut byte).now_or_never(),
        };
        read.is_none()
    }

    /// Appends what comes next; 0 at the end. A server that leaves out TLS' farewell ended, too: whether the
    /// answer was whole, its own framing tells.
    async fn read_more(&mut self, buffer: &mut Vec<u8>) -> Result<usize, Fault> {
        if buffer.capacity() == buffer.len() {
            buffer.reserve(buffer.len().clamp(FIRST_READ, GROW_MOST));
        }
        let read = match &mut self.stream {
            Stream::Plain(plain) => plain.read_buf(buffer).await,
            Stream::Tls(tls) => tls.read_buf(buffer).await,
        };
        match read {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(0),
            read => read.map_err(|error| broken(&error, self.at)),
        }
    }
}

impl Stream {
    async fn send(&mut self, request: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(plain) => plain.write_all(request).await,
            Self::Tls(tls) => {
                tls.write_all(request).await?;
                tls.flush().await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use tokio::task::JoinSet;

    use super::*;

    #[tokio::test]
    async fn the_room_that_a_long_body_took_is_given_back() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut server = JoinSet::new();
        server.spawn(async move {
            let (mut stream, _peer) = listener.accept().await.unwrap();
            let body = "x".repeat(60_000);
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.read_to_end(&mut Vec::new()).await
        });
        let check = HttpCheck { port, expect_body: Some("x".to_owned()), ..HttpCheck::plain() };
        let here = Addresses::Known(Arc::from([std::net::IpAddr::from([127, 0, 0, 1])]));
        let mut looker = HttpLooker::new(Arc::new(check), None, watch::channel(here).1).unwrap();
        let deadline = crate::clock::instant_now() + Duration::from_secs(20);
        let look = looker.look(deadline, &mut Trace::off()).await;
        assert_eq!(look.saw, "status 200 and the expected body");
        assert!(looker.asker.buffer.capacity() <= KEPT_BUFFER);
    }
}

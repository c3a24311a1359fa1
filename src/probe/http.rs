//! Looks over HTTP and HTTPS: one request to each of the region's own addresses.
//!
//! Its own few lines instead of a client: the request is built once, the answer is parsed where it was read,
//! and redirects, cookies, compression and pools do not exist. The status decides; the body is evidence only when one is
//! expected, and a limit of ours never is (BLIND-IS-NOT-DOWN). Start at [`HttpLooker`].

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use super::answer::{self, Head, MAX_HEAD};
use super::connect::{broken, connect};
use super::connection::{Connection, FIRST_READ, Stream};
use super::endpoint::{Endpoint, Fault, look_at_each};
use super::expected::Expected;
use super::framing::{Framing, Then};
use super::request::{self, Request};
use super::tls::{self, Tls};
use super::tls_fault;
use super::trace::{Stage, Trace};
use super::{Addresses, Look, LookerError};
use crate::huawei::CloudClocks;
use crate::model::{Certificate, HttpCheck, Reason, Scheme};

/// A buffer that grew beyond this, in bytes, is given back after the look, since 10,000 checks keep theirs.
const KEPT_BUFFER: usize = 2 * FIRST_READ;

/// How many bytes are searched in a body that is not whole yet, in total. Each read searches the whole buffer again, so
/// a body that trickles would cost a search for each byte. Beyond this only the end of the body is searched for.
const SEARCHED_MOST: usize = 16 * 1024 * 1024;

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
        let asker = Asker {
            request: request::build(&check)?,
            expected: Expected::new(&check)?,
            check,
            tls,
            clocks: CloudClocks::default(),
            buffer: Vec::new(),
            kept: Vec::new(),
        };
        Ok(Self { addresses, max_latency, asker })
    }

    /// The same probe, which takes no certificate to have ended by a clock that `clocks` know to be wrong.
    #[must_use]
    pub fn with_clocks(mut self, clocks: CloudClocks) -> Self {
        self.asker.clocks = clocks;
        self
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
    clocks: CloudClocks,
    expected: Expected,
    /// What came and is not done with: the head, then the body as far as it is needed.
    buffer: Vec<u8>,
    /// Open connections for the next look, with `keep_alive`.
    kept: Vec<Connection>,
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
            if connection.is_free(&mut self.buffer, self.check.max_body) {
                trace.leave(format_args!("the connection to {at} was kept from the last look"));
                match self.ask(connection, trace, certificate).await {
                    // The server may close an idle connection at any time: that says nothing of its health.
                    Err(fault) if fault.is(Reason::Closed) && self.buffer.is_empty() => {
                        trace.leave(format_args!("{}, as it may; once more on a fresh one", fault.saw));
                    }
                    found => return found,
                }
            } else {
                trace.leave(format_args!(
                    "{at} closed the kept connection, has not ended its last answer, or sent what was not asked for"
                ));
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
            return Ok(fresh(at, Stream::Plain(stream), None));
        };
        trace.enter(Stage::Tls);
        // The request follows our last handshake message at once, without waiting for its acknowledgement.
        stream.set_nodelay(true).map_err(|error| broken(&error, at))?;
        let connecting = TlsConnector::from(Arc::clone(&tls.config)).connect(tls.server_name.clone(), stream);
        let stream = Box::pin(connecting).await.map_err(|error| {
            let problem = tls_fault::error_within(&error);
            if let Some(end) = problem.and_then(tls_fault::expired) {
                *certificate = Some(tls::judged(end, self.check.tls.expires_within));
            }
            let fault = broken(&error, at);
            match problem
                .filter(|problem| tls_fault::is_by_the_clock(problem))
                .and_then(|_| self.clocks.skew())
            {
                // A date is no evidence by a clock that is wrong (BLIND-IS-NOT-DOWN).
                Some(skew) => {
                    Fault::local(format!("{}, and that is {skew}: start chrony or ntpd", fault.saw))
                }
                None => fault,
            }
        })?;
        let session = stream.get_ref().1;
        let certificate_end = tls::end_of(session.peer_certificates());
        trace.leave(format_args!("{}", tls::Session(session)));
        Ok(fresh(at, Stream::Tls(Box::new(stream)), certificate_end))
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
        let unsent =
            match connection.stream.send(self.request.bytes()).await.map_err(|error| broken(&error, at)) {
                Ok(()) => None,
                // Some servers answer and close without reading the request, so what it answered is read first.
                Err(fault) if fault.is(Reason::Closed) => Some(fault),
                Err(fault) => return Err(fault),
            };
        trace.leave(format_args!("sent {} {}", self.check.method, self.check.path));

        trace.enter(Stage::Head);
        let answer = self.read_head(&mut connection).await;
        let answer = answer.map_err(|fault| match unsent {
            Some(unsent) if self.buffer.is_empty() => unsent,
            Some(_) | None => fault,
        })?;
        trace.leave(format_args!("status {}", answer.status));
        self.judge_status(answer.status, at)?;

        if self.expected.is_nothing() {
            // The body is no evidence. It is passed over as far as it came, for the next probe on the connection.
            if let (Ok(mut framing), true) = (answer.framing, answer.keeps) {
                let then = framing.decode(&mut self.buffer).then;
                self.keep(connection, framing, then);
            }
        } else {
            trace.enter(Stage::Body);
            let mut framing = answer.framing?;
            let (length, then) = self.find_in_body(&mut connection, &mut framing).await?;
            trace.leave(format_args!("read {length} bytes"));
            if answer.keeps {
                self.keep(connection, framing, then);
            }
        }
        Ok(passing(answer.status, !self.expected.is_nothing()))
    }

    /// Reads the answer's head, and leaves in the buffer what came behind it. Once there is a status, it decides: neither
    /// a head that is longer than we read nor a connection that ended within it is held against the status.
    async fn read_head(&mut self, connection: &mut Connection) -> Result<Answer, Fault> {
        let at = connection.at;
        let mut reader = answer::Reader::default();
        let fault = loop {
            let ended = match connection.read_more(&mut self.buffer).await {
                Ok(0) => Some(self.closed_within_head(at)),
                Ok(_) => None,
                Err(fault) => Some(fault),
            };
            let head =
                reader.read(&self.buffer, &self.check.method).map_err(|problem| not_http(&problem, at))?;
            if let Some(Head { status, framing, keeps, length }) = head.filter(|head| head.length <= MAX_HEAD)
            {
                self.buffer.drain(..length);
                let framing = framing.map_err(|problem| not_http(&problem, at));
                return Ok(Answer { status, framing, keeps });
            }
            if self.buffer.len() >= MAX_HEAD {
                let saw = format!(
                    "the head of the answer of {at} is longer than {MAX_HEAD} bytes, and no more is read"
                );
                break Fault::unknown(Reason::Protocol, saw);
            }
            if let Some(fault) = ended {
                if reader.status().is_none() {
                    reader.ended(&self.buffer).map_err(|problem| not_http(&problem, at))?;
                }
                break fault;
            }
        };
        match reader.status() {
            Some(status) => Ok(Answer { status, framing: Err(fault), keeps: false }),
            None => Err(fault),
        }
    }

    fn closed_within_head(&self, at: SocketAddr) -> Fault {
        let when = if self.buffer.is_empty() { "before it answered" } else { "within the answer's head" };
        Fault::fail(Reason::Closed, format!("{at} closed the connection {when}"))
    }

    /// Reads the body until what is expected is there. Tells how much was read, and what follows it.
    async fn find_in_body(
        &mut self,
        connection: &mut Connection,
        framing: &mut Framing,
    ) -> Result<(usize, Then), Fault> {
        let (at, most) = (connection.at, self.check.max_body);
        let (mut length, mut searched) = (0, 0);
        loop {
            let decoded = framing.decode(self.buffer.get_mut(length..).unwrap_or_default());
            length += decoded.body;
            self.buffer.truncate(length);
            let is_cut = length > most;
            let is_whole = !is_cut && matches!(decoded.then, Then::End | Then::Surplus);
            let body = self.buffer.get(..most).unwrap_or(&self.buffer);
            let is_there = if is_whole {
                self.expected.is_in_the_whole(body)
            } else {
                (is_cut || searched <= SEARCHED_MOST) && self.expected.is_in(body)
            };
            searched += body.len();
            if is_there {
                return Ok((length, decoded.then));
            }
            if is_cut {
                let saw = format!(
                    "the first {most} bytes of the body from {at} lack what is expected, and no more is read; raise max_body"
                );
                return Err(Fault::unknown(Reason::Body, saw));
            }
            let lacks = || {
                let saw = format!("the body from {at} ({length} bytes) lacks what is expected");
                Fault::fail(Reason::Body, saw)
            };
            match decoded.then {
                Then::End | Then::Surplus => return Err(lacks()),
                Then::Malformed => {
                    let saw = format!("the chunks of the body from {at} are malformed");
                    return Err(Fault::fail(Reason::Protocol, saw));
                }
                Then::More => {}
            }
            if connection.read_more(&mut self.buffer).await? == 0 {
                return match framing {
                    Framing::UntilClose if self.expected.is_in_the_whole(&self.buffer) => {
                        Ok((length, Then::More))
                    }
                    Framing::UntilClose => Err(lacks()),
                    Framing::Length(_) | Framing::Chunked(_) => {
                        let saw = format!("{at} closed the connection after {length} bytes of the body");
                        Err(Fault::fail(Reason::Closed, saw))
                    }
                };
            }
        }
    }

    /// Keeps the connection for the next probe, which finds out whether the answer has ended by then.
    fn keep(&mut self, connection: Connection, rest: Framing, then: Then) {
        let too_long = matches!(rest, Framing::Length(left) if left > self.check.max_body as u64);
        if self.check.keep_alive && !too_long && matches!(then, Then::More | Then::End) {
            self.kept.push(Connection { rest, ..connection });
        }
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
}

/// An answer as far as a probe reads it.
struct Answer {
    status: u16,
    /// How the body ends, or why none can be read.
    framing: Result<Framing, Fault>,
    /// Whether the connection may be used again.
    keeps: bool,
}

fn not_http(problem: &dyn fmt::Display, at: SocketAddr) -> Fault {
    Fault::fail(Reason::Protocol, format!("the answer of {at} is not HTTP: {problem}"))
}

fn fresh(at: SocketAddr, stream: Stream, certificate_end: Option<i64>) -> Connection {
    Connection { at, stream, certificate_end, rest: Framing::Length(0) }
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
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

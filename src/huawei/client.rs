//! One HTTP exchange: a request out, a bounded answer in before a deadline. Knows nothing of what it carries.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::DateTime;
use jiff::fmt::rfc2822::DateTimeParser;
use jiff::tz::TimeZone;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Url};
use tokio::time::{Instant, timeout_at};

use super::outside::{self, Network};
use super::resolver::Resolver;

/// As many bytes of an answer as are read. A full page of ELB members is some 2 MB.
const BODY_MAX: usize = 8 * 1024 * 1024;

/// A cloud endpoint that takes longer to connect to is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Kept connections are closed by us before gateways do so (60 s is common), so that no request meets a
/// connection that has just been closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(45);

/// A client that talks to who it is told to and to nobody else: no proxy, no redirects.
pub(super) fn build() -> Result<Client, reqwest::Error> {
    // Err: somebody has installed one already, which will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let resolver = Resolver::new();
    let builder = || {
        Client::builder()
            .user_agent(concat!("pointsman/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .no_proxy()
            .dns_resolver(Arc::new(resolver.clone()))
            .redirect(Policy::none())
            .referer(false)
    };
    builder().build().or_else(|error| {
        // A machine without a bundle of CA certificates can still reach plain HTTP on loopback.
        let client = builder().tls_certs_only([]).build()?;
        tracing::warn!(
            cause = root_cause(&error),
            "trusts no certificate: https endpoints cannot be reached"
        );
        Ok(client)
    })
}

/// A request, ready to be sent.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Option<Vec<u8>>,
}

/// An answer, whatever its status.
pub(super) struct Incoming {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Incoming {
    /// A header as text; none when it is not there, is empty or is not text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok().filter(|value| !value.is_empty())
    }

    /// When the server says that it answered, as time since 1970.
    pub(super) fn date(&self) -> Option<Duration> {
        self.header("date").and_then(http_date)
    }
}

/// An HTTP date, in any of the three forms that there are, as time since 1970.
pub(super) fn http_date(text: &str) -> Option<Duration> {
    static PARSER: DateTimeParser = DateTimeParser::new();
    const OLD: [&str; 2] = ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y"];
    let old = || {
        let civil = OLD.iter().find_map(|form| DateTime::strptime(form, text).ok())?;
        TimeZone::UTC.to_timestamp(civil).ok()
    };
    let timestamp = PARSER.parse_timestamp(text).ok().or_else(old)?;
    u64::try_from(timestamp.as_second()).ok().map(Duration::from_secs)
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// No connection came about; nothing was sent.
    Connect { cause: String, code: &'static str },
    /// The deadline passed; something may have been sent.
    Timeout,
    /// The connection broke, or what came was not HTTP; something was sent.
    Broken { cause: String },
    /// The body is longer than an answer can be.
    TooLarge { limit: usize },
}

impl Failure {
    /// As a metric's label.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Connect { code, .. } => code,
            Self::Timeout => "timeout",
            Self::Broken { .. } | Self::TooLarge { .. } => "error",
        }
    }
}

/// Sends a request and reads its answer.
pub(super) async fn exchange(
    network: &Network,
    outgoing: Outgoing,
    deadline: Instant,
) -> Result<Incoming, Failure> {
    match network {
        Network::Sockets(client) => {
            timeout_at(deadline, send(client, outgoing)).await.unwrap_or(Err(Failure::Timeout))
        }
        Network::Script(script) => outside::ask(script, outgoing)
            .and_then(|answer| if answer.body.len() > BODY_MAX { Err(too_large()) } else { Ok(answer) }),
    }
}

fn too_large() -> Failure {
    Failure::TooLarge { limit: BODY_MAX }
}

async fn send(client: &Client, outgoing: Outgoing) -> Result<Incoming, Failure> {
    let mut request = client.request(outgoing.method, outgoing.url);
    for (name, value) in outgoing.headers {
        request = request.header(name, value);
    }
    if let Some(body) = outgoing.body {
        request = request.body(body);
    }
    let mut answer = request.send().await.map_err(failure)?;
    // In one piece where the length is told, so that no copies of it are left behind: it may hold keys.
    let told = answer.content_length().and_then(|told| usize::try_from(told).ok());
    let mut body = Vec::with_capacity(told.unwrap_or_default().min(BODY_MAX));
    while let Some(chunk) = answer.chunk().await.map_err(failure)? {
        if body.len() + chunk.len() > BODY_MAX {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Incoming { status: answer.status().as_u16(), headers: answer.headers().clone(), body })
}

fn failure(error: reqwest::Error) -> Failure {
    let error = error.without_url();
    let cause = root_cause(&error);
    if !error.is_connect() {
        return Failure::Broken { cause };
    }
    let code = if error.is_timeout() {
        "timeout"
    } else if is_refused(&error) {
        "refused"
    } else {
        "error"
    };
    Failure::Connect { cause, code }
}

fn is_refused(error: &(dyn Error + 'static)) -> bool {
    chain(error).any(|error| {
        error
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    })
}

/// What really happened: the last of the chain, which the errors above it do not show.
pub(super) fn root_cause(error: &(dyn Error + 'static)) -> String {
    chain(error).last().unwrap_or(error).to_string()
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (**error).source())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_dates_have_three_forms() {
        let time = Some(Duration::from_secs(1_795_423_277));
        for text in [
            "Mon, 23 Nov 2026 08:41:17 GMT",
            "Mon, 23 Nov 2026 08:41:17 +0000",
            "Monday, 23-Nov-26 08:41:17 GMT",
            "Mon Nov 23 08:41:17 2026",
        ] {
            assert_eq!(http_date(text), time, "{text}");
        }
        assert_eq!(http_date("Sun Nov  1 08:41:17 2026"), Some(Duration::from_secs(1_793_522_477)));
        assert_eq!(http_date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(Duration::ZERO));
        for text in ["", "now", "Thu, 01 Jan 1960 00:00:00 GMT"] {
            assert_eq!(http_date(text), None, "{text}");
        }
    }
}

//! What an account gets from outside of the process: variables of the environment, and answers to its requests.
//!
//! The real ones, or those of a world that is made up, where bytes that no server would send are at hand and
//! nothing waits. All else of a call is the same: keys, signature, budget, retries, limits, what is understood.

use std::fmt;
use std::sync::Arc;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::client::{self, Failure, Incoming, Outgoing};
use super::credentials::Environment;

/// A request as it would go out, for who answers in place of the network.
#[derive(Clone, Debug)]
pub struct Request {
    /// In upper case.
    pub method: String,
    /// Whole, with its query.
    pub url: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Empty when there is none.
    pub body: Vec<u8>,
}

/// An HTTP answer, whatever it says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// 100 to 999.
    pub status: u16,
    /// Those that no header can be are left out.
    pub headers: Vec<(String, String)>,
    /// Of any length; beyond what is read of one, it counts as too long.
    pub body: Vec<u8>,
}

/// Answers in place of the network; none: the connection breaks.
pub type Script = Arc<dyn Fn(&Request) -> Option<Answer> + Send + Sync>;

/// Looks a variable of the environment up.
pub type Variables = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// A world that is made up.
#[derive(Clone)]
pub struct Outside {
    /// In place of the environment.
    pub variables: Variables,
    /// In place of the network, the machine's metadata service included.
    pub script: Script,
}

/// How requests get out.
#[derive(Clone)]
pub(super) enum Network {
    Sockets(reqwest::Client),
    Script(Script),
}

impl Network {
    /// The real one.
    pub(super) fn sockets() -> Result<Self, reqwest::Error> {
        client::build().map(Self::Sockets)
    }
}

/// The process's own variables.
pub(super) fn environment() -> Environment {
    Box::new(|name: &str| std::env::var(name).ok())
}

impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Outside")
    }
}

/// What the script says to a request.
pub(super) fn ask(script: &Script, outgoing: Outgoing) -> Result<Incoming, Failure> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let request = Request {
        method: outgoing.method.to_string(),
        url: outgoing.url.into(),
        headers: outgoing.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
        body: outgoing.body.unwrap_or_default(),
    };
    let answer = script(&request).ok_or_else(|| Failure::Broken { cause: "it was closed".to_owned() })?;
    let header = |(name, value): &(String, String)| {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        Some((name, HeaderValue::from_str(value).ok()?))
    };
    let headers: HeaderMap = answer.headers.iter().filter_map(header).collect();
    Ok(Incoming { status: answer.status, headers, body: answer.body })
}

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::{CheckKey, Moment};

/// What one look found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Which check looked.
    pub check: Arc<CheckKey>,
    /// When the look started.
    pub started: Moment,
    /// How much later than planned it started.
    pub late: Duration,
    /// How long it took.
    pub latency: Duration,
    /// What it came to.
    pub outcome: Outcome,
    /// What was seen, as a sentence for a person: "connection refused by 198.51.100.10:80".
    pub saw: Cow<'static, str>,
    /// The certificate that the endpoint showed, if it showed one.
    pub certificate: Option<Certificate>,
}

/// What a look read of an endpoint's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// When it ends, in Unix seconds.
    pub expires: i64,
    /// Whether that is within the check's `expires_within`: alarmed, and no failure, since it still serves.
    pub expires_soon: bool,
}

/// What a look came to. Unknown is never failing (BLIND-IS-NOT-DOWN).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The region answered as it should.
    Pass,
    /// The region was looked at and is not as it should be.
    Fail(Reason),
    /// The region could not be looked at.
    Unknown(Reason),
}

impl Outcome {
    /// `pass`, `fail` or `unknown`, as metrics and the API spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail(_) => "fail",
            Self::Unknown(_) => "unknown",
        }
    }

    /// Why it is not a pass; `None` for a pass.
    #[must_use]
    pub fn reason(self) -> Option<Reason> {
        match self {
            Self::Pass => None,
            Self::Fail(reason) | Self::Unknown(reason) => Some(reason),
        }
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// Why a look failed or could not be made: a closed list, used as a metric's label.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {$($(#[$doc])* $name,)*}

        impl Reason {
            /// All of them, in the order of their declaration.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// As metrics, logs and the API spell it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {$(Self::$name => $text,)*}
            }
        }
    };
}

reasons! {
    /// The address refused the connection.
    Refused = "refused",
    /// The deadline of the look passed.
    Timeout = "timeout",
    /// No route to the address, or the network said so.
    Unreachable = "unreachable",
    /// The connection was reset or closed before the answer was whole.
    Closed = "closed",
    /// The TLS handshake failed, or the certificate is not good.
    Tls = "tls",
    /// The answer is not the protocol that was asked for; unknown, its head is longer than is read.
    Protocol = "protocol",
    /// The HTTP status is not among those expected.
    Status = "status",
    /// The body lacks what was expected; unknown, the part of it that was read does.
    Body = "body",
    /// The answer was right and slower than `max_latency`.
    Slow = "slow",
    /// Fewer backends are online than `min_healthy`.
    Backends = "backends",
    /// No EIP is bound to the load balancer.
    Unbound = "unbound",
    /// The object does not exist, and a second, different call confirmed it.
    Gone = "gone",
    /// The backends have no health monitor, or it has no result yet.
    Unmonitored = "unmonitored",
    /// A name could not be resolved.
    Dns = "dns",
    /// The cloud's API answered with an error, not at all, or in a form not understood.
    Api = "api",
    /// The cloud's API is throttling us, or our own request budget is used up.
    Throttled = "throttled",
    /// No usable credentials, or the API refused them.
    Credentials = "credentials",
    /// The region's address is not known yet, so there is nothing to look at.
    NoAddress = "no_address",
    /// This machine could not look: no socket, no file descriptor, no memory, no source address.
    Local = "local",
    /// It failed while none of the vantage's references answered: it may be our own network.
    Vantage = "vantage",
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Reason {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

//! Looks at regions, one file a check; when to look is `schedule`'s business.
//!
//! A look has one deadline for everything, ends in a [`Look`], and never fails in any other way. What
//! could not be looked at is unknown, never failing (BLIND-IS-NOT-DOWN): a failing look means that the
//! region, or the network on the way to it, answered wrongly or not at all. Nothing here decides or touches
//! DNS. A look spawns no task, and allocates next to nothing while it passes. Start at [`Looker`], then
//! [`schedule::run`].

mod addresses;
mod answer;
mod backends;
mod cloud_view;
mod connect;
mod connection;
mod demand;
mod eip;
mod elb;
mod endpoint;
mod expected;
mod framing;
mod gone;
mod groups;
mod http;
mod listeners;
mod proof;
mod reference;
mod refused_ids;
mod request;
pub mod schedule;
mod shared_answer;
mod shared_call;
mod tcp;
mod tls;
mod tls_fault;
mod trace;
mod vantage;
mod verifier;

use std::borrow::Cow;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::model::{Certificate, CheckKind, Outcome};

pub use addresses::{AddressFollower, AddressesSeen};
pub use cloud_view::CloudView;
pub use demand::{Demand, Shortage, demand, shortage};
pub use eip::EipLooker;
pub use elb::ElbLooker;
pub use http::HttpLooker;
pub use reference::unreached;
pub use tcp::TcpLooker;
pub use trace::{Phase, Stage, Trace};
pub use vantage::{JUDGED_WITHIN, Vantage};

/// As many characters as are told of what was seen: a certificate may bear a hundred names.
const SAW_MAX: usize = 600;

/// What one look came to. Who looked, when and how long is added by the schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// Pass, fail or unknown, with the reason.
    pub outcome: Outcome,
    /// What was seen, as a sentence for a person.
    pub saw: Cow<'static, str>,
    /// The certificate that the endpoint showed, if it showed one.
    pub certificate: Option<Certificate>,
}

/// Where a region can be reached, as far as known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Addresses {
    /// Nothing was learnt yet: a look at it is unknown (`no_address`).
    #[default]
    NotKnown,
    /// Configured, told by the cloud or remembered; the last that were known while none is bound. Never empty.
    Known(Arc<[IpAddr]>),
}

impl Addresses {
    /// Those that are known, perhaps none.
    #[must_use]
    pub fn known(&self) -> &[IpAddr] {
        match self {
            Self::NotKnown => &[],
            Self::Known(addresses) => addresses,
        }
    }
}

impl From<&[IpAddr]> for Addresses {
    /// No address at all is none that is known.
    fn from(addresses: &[IpAddr]) -> Self {
        if addresses.is_empty() { Self::NotKnown } else { Self::Known(addresses.into()) }
    }
}

/// Whatever makes one check's looks, with all that it keeps from one look to the next.
#[derive(Debug)]
pub enum Looker {
    /// An HTTP request.
    Http(HttpLooker),
    /// A TCP connection.
    Tcp(TcpLooker),
    /// The backends behind a load balancer.
    Elb(ElbLooker),
    /// The EIP of a load balancer.
    Eip(EipLooker),
}

impl Looker {
    /// What looks at the region itself, at whatever `addresses` holds; `None` for a check that asks the cloud.
    ///
    /// # Errors
    /// When it cannot be set up: its certificate's file cannot be read, say.
    pub fn direct(
        kind: &CheckKind,
        max_latency: Option<Duration>,
        addresses: watch::Receiver<Addresses>,
    ) -> Result<Option<Self>, LookerError> {
        Ok(match kind {
            CheckKind::Http(http) => {
                Some(Self::Http(HttpLooker::new(Arc::clone(http), max_latency, addresses)?))
            }
            CheckKind::Tcp(tcp) => Some(Self::Tcp(TcpLooker::new(tcp.clone(), max_latency, addresses))),
            CheckKind::Elb(_) | CheckKind::Eip(_) => None,
        })
    }

    /// One look of a check that looks every `interval` at present, over at `deadline` at the latest. May be dropped
    /// half-way; the next one starts afresh.
    pub async fn look(&mut self, interval: Duration, deadline: Instant, trace: &mut Trace) -> Look {
        match self {
            Self::Http(http) => http.look(deadline, trace).await,
            Self::Tcp(tcp) => tcp.look(deadline, trace).await,
            Self::Elb(elb) => elb.look(interval, deadline, trace).await,
            Self::Eip(eip) => eip.look(interval, deadline, trace).await,
        }
    }
}

/// Why a check cannot be looked at as configured.
#[derive(Debug, thiserror::Error)]
pub enum LookerError {
    /// A part of the request would break its syntax.
    #[error("{what} {value:?} cannot be sent in an HTTP request; {hint}")]
    Request {
        /// Which part of the check.
        what: &'static str,
        /// Its value.
        value: String,
        /// What to write instead.
        hint: &'static str,
    },
    /// The expected text is too large to search for.
    #[error("cannot search for expect_body; write a shorter text")]
    ExpectBody {
        /// What went wrong.
        source: regex::Error,
    },
    /// The name to verify is none.
    #[error("{name:?} is not a name a certificate can be for; write the right one as tls.server_name")]
    ServerName {
        /// The name.
        name: String,
    },
    /// A PEM file could not be read.
    #[error("cannot read {what} from {path}; write the path of a PEM file that pointsman may read")]
    Pem {
        /// What was looked for in it.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: rustls::pki_types::pem::Error,
    },
    /// TLS cannot be set up with what the files hold, or the system has no certificate authorities.
    #[error("cannot set up TLS with {what}; see the cause, or name other files under tls")]
    Tls {
        /// What was being set up.
        what: String,
        /// What went wrong.
        source: rustls::Error,
    },
}

//! Huawei Cloud's API, no more of it than is called.
//!
//! Knows accounts, requests and answers; knows nothing of services or regions of ours. Every call has a
//! deadline, a share of the account's request budget, and an error that keeps status, code, message and
//! request id. An answer that cannot be understood is an error, never an empty answer (BLIND-IS-NOT-DOWN);
//! keys never leave as text (SECRETS-STAY); a write is sent once. Start at [`Account`].
mod account;
mod agency;
mod budget;
mod call;
mod class;
mod client;
mod cloud_clock;
mod code;
mod credentials;
mod dns;
mod dns_lines;
mod eip;
mod elb;
mod error;
mod error_body;
mod keys;
mod line;
mod metadata;
mod outside;
mod page;
mod project;
mod resolver;
mod retry;
pub mod sign;
mod signed_request;
mod wire;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use account::{Account, AccountError, judge_credentials_file};
pub use budget::LOOKS_A_SECOND;
pub use class::{Class, Then};
pub use cloud_clock::CloudClocks;
pub use code::{CodeRow, ERROR_CODES};
pub use dns::{DnsRecordSet, NewRecordSet, Zone};
pub use dns_lines::Switch;
pub use eip::{Binding, Eip};
pub use elb::{
    HealthMonitor, IDS_A_CALL, Listener, ListenerEntry, LoadBalancer, Member, MemberState, Pool,
    StatusListener, StatusMember, StatusPool, StatusTree,
};
pub use error::{ApiError, ApiErrorKind};
pub use line::{Pacing, Rank};
pub use outside::{Answer, Outside, Request, Script, Variables};
pub use page::Told;

use crate::model::CloudName;

/// Which of the cloud's services a request goes to; a metric's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Api {
    /// Projects.
    Iam,
    /// Load balancers.
    Elb,
    /// Public addresses; the vendor's host names say `vpc`.
    Eip,
    /// Zones and record sets.
    Dns,
}

impl Api {
    /// `iam`, `elb`, `eip` or `dns`: for labels, and the key of an endpoint in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Iam => "iam",
            Self::Elb => "elb",
            Self::Eip => "eip",
            Self::Dns => "dns",
        }
    }
}

impl fmt::Display for Api {
    /// In capitals, for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Iam => "IAM",
            Self::Elb => "ELB",
            Self::Eip => "EIP",
            Self::Dns => "DNS",
        })
    }
}

/// Is told of every HTTP exchange when it is over, for metrics and debug logs. Called on the task that
/// made the call: must not block.
pub type Observe = Arc<dyn Fn(&Finished) + Send + Sync>;

/// An HTTP exchange that is over, well or not. Waiting for the budget is not part of it.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The account.
    pub cloud: CloudName,
    /// Which service was asked.
    pub api: Api,
    /// The answer's status (`200`, `429`), or `timeout`, `refused` (no connection was taken) or `error`.
    pub code: String,
    /// From the start of connecting, or of sending on a kept connection, to the end of the body.
    pub duration: Duration,
}

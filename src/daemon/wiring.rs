//! From a configuration to what looks and what writes: accounts, views of the cloud, lookers, providers.
//!
//! Sets up and decides nothing; the commands that look once use it just as the daemon does. Start at
//! [`Wiring::new`] and [`Wiring::region`].

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::supervise::supervised;
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::dns::{HuaweiProvider, Provider};
use crate::huawei::{Account, AccountError, Observe};
use crate::model::{
    Check, CheckKey, CheckKind, CloudName, ElbRef, Observation, Pace, ProviderName, Region, Service,
};
use crate::probe::{
    AddressFollower, Addresses, AddressesSeen, CloudView, EipLooker, ElbLooker, HttpLooker, Looker, LookerError,
    TcpLooker, schedule,
};

/// Why something that is configured cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum WiringError {
    /// An account.
    #[error("cannot set up the account cloud.{cloud}")]
    Account {
        /// Which.
        cloud: CloudName,
        /// Why.
        source: AccountError,
    },
    /// A check.
    #[error("cannot set up the check {check}")]
    Check {
        /// Which.
        check: CheckKey,
        /// Why.
        source: LookerError,
    },
    /// Something refers to an account or provider that is not configured; a checked configuration never does.
    #[error("{who} refers to {what}, which is not configured")]
    Dangling {
        /// What refers.
        who: String,
        /// To what.
        what: String,
    },
}

/// Everything that looks and writes, set up and idle.
#[derive(Debug)]
pub struct Wiring {
    providers: BTreeMap<ProviderName, Arc<dyn Provider>>,
    views: BTreeMap<(CloudName, String), Arc<CloudView>>,
}

/// One region, ready to be looked at.
#[derive(Debug)]
pub struct RegionWiring {
    /// Follows its addresses, when they are those of a load balancer.
    pub follower: Option<AddressFollower>,
    /// What looks, check by check in the order configured.
    pub lookers: Vec<(Arc<CheckKey>, Check, Looker)>,
}

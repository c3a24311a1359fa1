//! Looks at regions, one file a check; when to look is `schedule`'s business.
//!
//! A look has one deadline for everything, ends in a [`Look`], and never fails in any other way. What
//! could not be looked at is unknown, never failing (BLIND-IS-NOT-DOWN). Nothing here decides or touches DNS.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use crate::model::{Certificate, Outcome};

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
    /// Configured, or told by the cloud. Empty: nothing is bound, so a look at it fails (`unbound`).
    Known(Arc<[IpAddr]>),
}

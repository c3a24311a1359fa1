//! Huawei Cloud's API, no more of it than is called.
//!
//! Knows accounts, requests and answers; knows nothing of services or regions of ours. Every call has a
//! deadline, a share of the account's request budget, and an error that keeps status, code, message and
//! request id. An answer that cannot be understood is an error, never an empty answer (BLIND-IS-NOT-DOWN).
//! Start at [`Account`].
mod error;
pub mod sign;

pub use error::{ApiError, ApiErrorKind};

/// Which of the cloud's services a request goes to; a metric's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

/// One account: keys, project ids, request budget and connections, shared by all who use it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Account {}

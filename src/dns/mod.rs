//! Where record sets live, and the driver that carries the reconciler's wishes to them.
//!
//! A [`Provider`] knows record sets, not regions: it reads one, it replaces one as a whole, and it says
//! plainly what it does not know. It never decides. Start at [`Provider`].

pub mod driver;
mod embedded;
mod huawei;
mod rfc2136;
mod tsig;
pub mod witness;

use std::fmt;

use futures_util::future::BoxFuture;
use tokio::time::Instant;

pub use embedded::{
    BindError, EmbeddedError, EmbeddedReader, EmbeddedServer, StateError, Transport, ZoneTask, can_serve,
    serial_at,
};
pub use huawei::HuaweiProvider;
pub use rfc2136::{Rfc2136Call, Rfc2136Provider};
pub use tsig::TsigKeyError;

use crate::model::{Answer, Found, ProviderError, RecordKey, RecordSet};

/// A place where record sets live. Calls end by their deadline, whatever happens.
pub trait Provider: Send + Sync + fmt::Debug {
    /// What the place holds under `key` now; `Ok(None)` only when it surely holds nothing.
    ///
    /// # Errors
    /// Any kind but `Lost` and `Conflict`.
    fn read<'a>(&'a self, key: &'a RecordKey, deadline: Instant) -> BoxFuture<'a, Answer>;

    /// Replaces `found`, which a read answered before, by `set` as a whole; never retried in here. What is
    /// not in `set` (description, tags, lines) stays.
    ///
    /// # Errors
    /// Any kind; `Lost` whenever the request may have been applied without a clear answer.
    fn replace<'a>(
        &'a self,
        key: &'a RecordKey,
        found: &'a Found,
        set: &'a RecordSet,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<(), ProviderError>>;

    /// Makes the set that a read found missing.
    ///
    /// # Errors
    /// As for [`Provider::replace`]; `Conflict` when it exists by now.
    fn create<'a>(
        &'a self,
        key: &'a RecordKey,
        set: &'a RecordSet,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<(), ProviderError>>;
}

use std::time::Duration;

/// Why a call to the cloud's API has no usable answer.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{kind:?}")]
pub struct ApiError {
    /// What happened.
    pub kind: ApiErrorKind,
}

/// What happened to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiErrorKind {
    /// An answer with a status other than 2xx.
    Status(u16),
}

impl ApiError {
    /// The API says that the object does not exist: a real 404 of the service, not of a gateway.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        false
    }
    /// A throttle, or our own budget.
    #[must_use]
    pub fn is_throttle(&self) -> bool {
        false
    }
    /// How long it asks us to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        None
    }
    /// The request may have been carried out although no clear answer came.
    #[must_use]
    pub fn outcome_unknown(&self) -> bool {
        false
    }
}

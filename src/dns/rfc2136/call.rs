use std::fmt;
use std::net::SocketAddr;

use hickory_proto::op::Message;
use tokio::time::Instant;

use super::answer::{self, AnswerError};
use super::exchange::{ExchangeError, exchange};
use super::request::Request;

/// A signed request, and what its answer comes to. It does no I/O until it is made.
pub struct Rfc2136Call<'a, T> {
    pub(super) request: Request,
    pub(super) read: Box<dyn FnOnce(Result<Message, Failure>) -> T + Send + 'a>,
}

/// Why there is no answer that can be believed to be the server's.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// None came.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// Another one came.
    #[error(transparent)]
    Answer(#[from] AnswerError),
}

impl<T> Rfc2136Call<'_, T> {
    /// The request as it is sent, without the two bytes of its length.
    #[must_use]
    pub fn request(&self) -> &[u8] {
        &self.request.bytes
    }

    /// What it comes to when these bytes are what comes back.
    pub fn answered(self, bytes: &[u8]) -> T {
        (self.read)(answer::read(self.request, bytes).map_err(Failure::from))
    }

    /// Sends the request, once, and waits for its answer.
    pub(super) async fn make(self, server: SocketAddr, deadline: Instant) -> T {
        match exchange(server, &self.request.bytes, deadline).await {
            Ok(bytes) => self.answered(&bytes),
            Err(error) => (self.read)(Err(error.into())),
        }
    }
}

impl<T> fmt::Debug for Rfc2136Call<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rfc2136Call({})", self.request.query)
    }
}

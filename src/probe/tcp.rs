//! Looks by opening a TCP connection.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::connect::connect;
use super::endpoint::{Endpoint, Fault, look_at_each};
use super::trace::{Stage, Trace};
use super::{Addresses, Look};
use crate::model::{Certificate, TcpCheck};

/// Looks by opening a TCP connection and closing it again, in the orderly way unless the server spoke first.
#[derive(Debug)]
pub struct TcpLooker {
    check: TcpCheck,
    max_latency: Option<Duration>,
    addresses: watch::Receiver<Addresses>,
}

impl TcpLooker {
    /// Looks at `check.port` of whatever `addresses` holds at the time; a connection that took longer than
    /// `max_latency` to open fails.
    #[must_use]
    pub fn new(
        check: TcpCheck,
        max_latency: Option<Duration>,
        addresses: watch::Receiver<Addresses>,
    ) -> Self {
        Self { check, max_latency, addresses }
    }

    /// One look at every address, over at `deadline`.
    pub async fn look(&mut self, deadline: Instant, trace: &mut Trace) -> Look {
        look_at_each(&mut self.check, &self.addresses, self.max_latency, deadline, trace).await
    }
}

impl Endpoint for TcpCheck {
    fn port(&self) -> u16 {
        self.port
    }

    async fn look_at(
        &mut self,
        at: SocketAddr,
        trace: &mut Trace,
        _certificate: &mut Option<Certificate>,
    ) -> Result<Cow<'static, str>, Fault> {
        trace.enter(Stage::Connect);
        connect(at, self.source).await?;
        trace.leave(format_args!("connected to {at}"));
        Ok(Cow::Borrowed("connected"))
    }

    fn forget_all_but(&mut self, _known: impl Fn(SocketAddr) -> bool) {}
}

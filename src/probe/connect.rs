//! Opens TCP connections, and tells what an error on one says about whom.
//!
//! An error of this machine is unknown, one of the region or the way to it is failing (BLIND-IS-NOT-DOWN).

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::task::Poll;

use tokio::net::{TcpSocket, TcpStream};

use super::endpoint::Fault;
use super::tls_fault;
use crate::model::Reason;

/// Opens a connection to `at`, from `source` when one is configured.
pub(super) async fn connect(at: SocketAddr, source: Option<IpAddr>) -> Result<TcpStream, Fault> {
    let socket = socket(at, source)?;
    let mut connecting = pin!(socket.connect(at));
    // What the first poll says, our own kernel said before any answer could come: no route, no free port,
    // a local filter. That is blindness. Only what the other end says is never our own: it may be as quick.
    let at_once = poll_fn(|context| Poll::Ready(connecting.as_mut().poll(context))).await;
    match at_once {
        Poll::Ready(Ok(stream)) => Ok(stream),
        Poll::Ready(Err(error)) => Err(broken_at_once(&error, at)),
        Poll::Pending => connecting.await.map_err(|error| broken(&error, at)),
    }
}

/// What an error says that came before the first wait.
fn broken_at_once(error: &io::Error, at: SocketAddr) -> Fault {
    let is_the_other_ends = matches!(
        error.kind(),
        ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
    );
    if is_the_other_ends {
        broken(error, at)
    } else {
        Fault::local(format!("this machine cannot send to {at}: {error}"))
    }
}

fn socket(at: SocketAddr, source: Option<IpAddr>) -> Result<TcpSocket, Fault> {
    let socket = if at.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let socket = socket.map_err(|error| Fault::local(format!("this machine has no socket left: {error}")))?;
    if let Some(source) = source {
        socket.bind(SocketAddr::new(source, 0)).map_err(|error| {
            Fault::local(format!("this machine cannot look at {at} from {source}: {error}"))
        })?;
    }
    Ok(socket)
}

/// What an error on the way to or from `at` says about it. An error of an unexpected kind says nothing.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "an open list; what is not known to be the region's fault is not held against it"
)]
pub(super) fn broken(error: &io::Error, at: SocketAddr) -> Fault {
    if let Some(tls) = tls_fault::error_within(error) {
        return tls_fault::fault(tls, at);
    }
    let kind = error.kind();
    match kind {
        ErrorKind::ConnectionRefused => Fault::fail(Reason::Refused, format!("connection refused by {at}")),
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => {
            Fault::fail(Reason::Closed, format!("{at} reset the connection"))
        }
        ErrorKind::UnexpectedEof => Fault::fail(Reason::Closed, format!("{at} closed the connection")),
        ErrorKind::TimedOut => Fault::fail(Reason::Timeout, format!("{at} stopped answering")),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
            Fault::fail(Reason::Unreachable, format!("{at} cannot be reached: {error}"))
        }
        _ => Fault::local(format!("the connection to {at} broke in an unexpected way: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Outcome;

    #[test]
    fn what_comes_before_the_first_wait_is_our_own_fault_unless_the_other_end_said_it() {
        for (kind, outcome) in [
            (ErrorKind::ConnectionRefused, Outcome::Fail(Reason::Refused)),
            (ErrorKind::ConnectionReset, Outcome::Fail(Reason::Closed)),
            (ErrorKind::ConnectionAborted, Outcome::Fail(Reason::Closed)),
            (ErrorKind::BrokenPipe, Outcome::Fail(Reason::Closed)),
            (ErrorKind::NetworkUnreachable, Outcome::Unknown(Reason::Local)),
            (ErrorKind::HostUnreachable, Outcome::Unknown(Reason::Local)),
            (ErrorKind::AddrNotAvailable, Outcome::Unknown(Reason::Local)),
            (ErrorKind::PermissionDenied, Outcome::Unknown(Reason::Local)),
        ] {
            let fault = broken_at_once(&io::Error::from(kind), SocketAddr::from(([127, 0, 0, 1], 80)));
            assert_eq!(fault.outcome, outcome, "{kind}");
        }
    }

    #[test]
    fn an_error_is_held_against_the_region_only_when_it_is_known_to_be_its_own() {
        for (kind, outcome) in [
            (ErrorKind::ConnectionRefused, Outcome::Fail(Reason::Refused)),
            (ErrorKind::ConnectionReset, Outcome::Fail(Reason::Closed)),
            (ErrorKind::BrokenPipe, Outcome::Fail(Reason::Closed)),
            (ErrorKind::UnexpectedEof, Outcome::Fail(Reason::Closed)),
            (ErrorKind::TimedOut, Outcome::Fail(Reason::Timeout)),
            (ErrorKind::HostUnreachable, Outcome::Fail(Reason::Unreachable)),
            (ErrorKind::NetworkUnreachable, Outcome::Fail(Reason::Unreachable)),
            (ErrorKind::NetworkDown, Outcome::Unknown(Reason::Local)),
            (ErrorKind::PermissionDenied, Outcome::Unknown(Reason::Local)),
            (ErrorKind::OutOfMemory, Outcome::Unknown(Reason::Local)),
            (ErrorKind::Other, Outcome::Unknown(Reason::Local)),
        ] {
            let fault = broken(&io::Error::from(kind), SocketAddr::from(([127, 0, 0, 1], 80)));
            assert_eq!(fault.outcome, outcome, "{kind}");
            assert!(fault.saw.contains("127.0.0.1:80"), "{}", fault.saw);
        }
    }
}

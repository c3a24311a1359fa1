use std::io;
use std::net::{SocketAddr, TcpListener as StdTcpListener, UdpSocket as StdUdpSocket};

use tokio::net::{TcpListener, UdpSocket};

/// Where a zone is served: one address, bound over UDP and TCP.
#[derive(Debug)]
pub(super) struct Sockets {
    pub(super) address: SocketAddr,
    pub(super) udp: UdpSocket,
    pub(super) tcp: TcpListener,
}

/// An address cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("cannot serve DNS on {address}; {}", hint(source))]
pub struct BindError {
    /// Which.
    pub address: SocketAddr,
    /// Why.
    pub source: io::Error,
}

fn hint(error: &io::Error) -> &'static str {
    if error.kind() == io::ErrorKind::AddrInUse {
        "stop what listens there, or choose another address in `listen`"
    } else if error.kind() == io::ErrorKind::PermissionDenied {
        "ports below 1024 need the capability CAP_NET_BIND_SERVICE, for which docs/providers.md has a drop-in"
    } else {
        "it has to be an address of this machine"
    }
}

impl Sockets {
    /// Binds the address. Within a runtime, which the sockets belong to from then on.
    ///
    /// # Errors
    /// When it is taken, not ours, or not allowed.
    pub(super) fn bind(address: SocketAddr) -> Result<Self, BindError> {
        let bound = || {
            let udp = StdUdpSocket::bind(address)?;
            let tcp = StdTcpListener::bind(address)?;
            udp.set_nonblocking(true)?;
            tcp.set_nonblocking(true)?;
            Ok(Self { address, udp: UdpSocket::from_std(udp)?, tcp: TcpListener::from_std(tcp)? })
        };
        bound().map_err(|source| BindError { address, source })
    }
}

//! A gate between the daemon and the cloud's API, which can be shut in the ways in which networks fail.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// Connections that the kernel takes before anybody accepts them; beyond, what asks for one is swallowed.
const BACKLOG: i32 = 1;

/// What the gate does with connections, those that are open among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// All goes through.
    Open,
    /// Connections are taken, and nothing that is sent is ever answered.
    Silent,
    /// Not even a connection comes about, save for a few that hang.
    Swallowing,
    /// Refused, and those that were open are closed.
    Shut,
}

/// A running gate.
pub(crate) struct Gate {
    pub(crate) at: SocketAddr,
    way: watch::Sender<Way>,
    _tasks: JoinSet<()>,
}

impl Gate {
    /// Opens a gate to `cloud`, on a port of its own; with an acceptor, whoever passes has to speak TLS.
    pub(crate) fn to(cloud: SocketAddr, tls: Option<TlsAcceptor>) -> Self {
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let at = listener.local_addr().unwrap();
        let (way, turns) = watch::channel(Way::Open);
        let mut tasks = JoinSet::new();
        tasks.spawn(keep(listener, at, cloud, tls.map(Arc::new), turns));
        Self { at, way, _tasks: tasks }
    }

    pub(crate) fn set(&self, way: Way) {
        self.way.send_replace(way);
    }
}

fn listen(at: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&at.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

async fn keep(
    listener: TcpListener,
    at: SocketAddr,
    cloud: SocketAddr,
    tls: Option<Arc<TlsAcceptor>>,
    mut turns: watch::Receiver<Way>,
) {
    let mut listener = Some(listener);
    let mut open = JoinSet::new();
    loop {
        let way = *turns.borrow_and_update();
        match way {
            Way::Shut => listener = None,
            Way::Open | Way::Silent | Way::Swallowing => {
                listener = listener.or_else(|| Some(listen(at).unwrap()));
            }
        }
        let accepting = matches!(way, Way::Open | Way::Silent);
        tokio::select! {
            turned = turns.changed() => if turned.is_err() { return },
            Some(_) = open.join_next() => {}
            accepted = accept(listener.as_ref()), if accepting => {
                if let Ok(stream) = accepted {
                    open.spawn(carry(stream, cloud, tls.clone(), turns.clone()));
                }
            }
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(stream, _)| stream),
        None => std::future::pending().await,
    }
}

/// One connection: carried while the gate is open, stuck while it is not, and closed when that is over.
async fn carry(
    stream: TcpStream,
    cloud: SocketAddr,
    tls: Option<Arc<TlsAcceptor>>,
    mut turns: watch::Receiver<Way>,
) {
    if *turns.borrow_and_update() == Way::Open {
        let through = async {
            match tls {
                Some(tls) => pass(tls.accept(stream).await?, cloud).await,
                None => pass(stream, cloud).await,
            }
        };
        // Pinned out here, so that the connection outlives the turn.
        let mut through = std::pin::pin!(through);
        tokio::select! {
            _ = &mut through => return,
            _ = turns.changed() => {}
        }
        stuck(turns).await;
    } else {
        stuck(turns).await;
        drop(stream);
    }
}

async fn stuck(mut turns: watch::Receiver<Way>) {
    let _ = turns.wait_for(|way| matches!(way, Way::Open | Way::Shut)).await;
}

async fn pass(mut stream: impl AsyncRead + AsyncWrite + Unpin, cloud: SocketAddr) -> io::Result<()> {
    let mut onward = TcpStream::connect(cloud).await?;
    copy_bidirectional(&mut stream, &mut onward).await.map(drop)
}

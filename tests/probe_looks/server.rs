use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// A server on loopback that does the same to every connection, and notes what it was asked.
pub(crate) struct Server {
    pub(crate) at: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    _tasks: JoinSet<()>,
}

#[derive(Clone, Default)]
pub(crate) struct Seen {
    /// Who connected.
    pub(crate) peers: Vec<SocketAddr>,
    /// The request heads that came.
    pub(crate) requests: Vec<String>,
}

/// A connection, from the server's side.
pub(crate) struct Peer<S> {
    pub(crate) stream: S,
    /// 0 for the first connection that was accepted.
    pub(crate) number: usize,
    seen: Arc<Mutex<Seen>>,
}

impl Server {
    /// Does `serve` to each connection, one after the other, which stays open until `serve` drops it.
    pub(crate) async fn doing<F>(serve: impl Fn(Peer<TcpStream>) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let mut tasks = JoinSet::new();
        let noted = Arc::clone(&seen);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            for number in 0.. {
                let (stream, peer) = listener.accept().await.unwrap();
                noted.lock().unwrap().peers.push(peer);
                connections.spawn(serve(Peer { stream, number, seen: Arc::clone(&noted) }));
            }
        });
        Self { at, seen, _tasks: tasks }
    }

    /// Answers one request a connection with these bytes, then closes it.
    pub(crate) async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::doing(move |mut peer| {
            let answer = answer.clone();
            async move {
                peer.request().await;
                peer.send(&answer).await;
            }
        })
        .await
    }

    pub(crate) fn port(&self) -> u16 {
        self.at.port()
    }

    pub(crate) fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }
}

impl Peer<TcpStream> {
    /// The same connection within TLS, if the handshake succeeds.
    pub(crate) async fn within_tls(self, acceptor: TlsAcceptor) -> Option<Peer<TlsStream<TcpStream>>> {
        let stream = acceptor.accept(self.stream).await.ok()?;
        Some(Peer { stream, number: self.number, seen: self.seen })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    /// Reads one request; false when the other side closed instead.
    pub(crate) async fn request(&mut self) -> bool {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            match self.stream.read_u8().await {
                Ok(byte) => request.push(byte),
                Err(_closed) => return false,
            }
        }
        self.seen.lock().unwrap().requests.push(String::from_utf8(request).unwrap());
        true
    }

    /// Sends, whether or not the other side still listens.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
        let _ = self.stream.flush().await;
    }

    /// Waits for the other side to close.
    pub(crate) async fn wait_for_close(&mut self) {
        while self.request().await {}
    }
}

/// A port of loopback where nothing listens.
pub(crate) async fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

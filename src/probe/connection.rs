//! An open connection of an HTTP probe, plain or within TLS, and whether the next probe may use it again.
//!
//! One answer's leftover bytes must never be taken for the next answer. Judges no answer.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use futures_util::FutureExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::unconstrained;
use tokio_rustls::client::TlsStream;

use super::connect::broken;
use super::endpoint::Fault;
use super::framing::{Framing, Then};

/// What the buffer starts with, in bytes: room for most answers to a probe.
pub(super) const FIRST_READ: usize = 2 * 1024;

/// How much the buffer grows at most when one read has filled it, in bytes: fewer reads of a long body.
const GROW_MOST: usize = 16 * 1024;

/// A connection to one address.
#[derive(Debug)]
pub(super) struct Connection {
    /// The other end.
    pub(super) at: SocketAddr,
    /// What is read and written.
    pub(super) stream: Stream,
    /// When the server's certificate ends, in Unix seconds.
    pub(super) certificate_end: Option<i64>,
    /// What the newest answer has still to come: its probe needed no more of it.
    pub(super) rest: Framing,
}

/// With TLS or without.
#[derive(Debug)]
pub(super) enum Stream {
    /// Without.
    Plain(TcpStream),
    /// Boxed: it is a kilobyte, which plain probes shall not carry.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connection {
    /// Whether the newest answer is over and nothing came behind it, not even the end: what comes unasked would be
    /// taken for the next answer. Passes over what came of the answer's body, `most` bytes of it, and waits for nothing.
    pub(super) fn is_free(&mut self, buffer: &mut Vec<u8>, most: usize) -> bool {
        let mut passed_over = 0;
        loop {
            buffer.clear();
            // Unconstrained: else a task that used up its turn would be told that nothing came.
            let read = unconstrained(self.read_more(buffer)).now_or_never();
            match read {
                None => return self.rest.decode(&mut []).then == Then::End,
                Some(Ok(0) | Err(_)) => return false,
                Some(Ok(read)) => passed_over += read,
            }
            let then = self.rest.decode(buffer).then;
            if passed_over > most || matches!(then, Then::Surplus | Then::Malformed) {
                return false;
            }
        }
    }

    /// Appends what comes next; 0 at the end. A server that leaves out TLS' farewell ended, too: whether the
    /// answer was whole, its own framing tells.
    pub(super) async fn read_more(&mut self, buffer: &mut Vec<u8>) -> Result<usize, Fault> {
        if buffer.capacity() == buffer.len() {
            buffer.reserve(buffer.len().clamp(FIRST_READ, GROW_MOST));
        }
        let read = match &mut self.stream {
            Stream::Plain(plain) => plain.read_buf(buffer).await,
            Stream::Tls(tls) => tls.read_buf(buffer).await,
        };
        match read {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(0),
            read => read.map_err(|error| broken(&error, self.at)),
        }
    }
}

impl Stream {
    /// Sends all of it.
    pub(super) async fn send(&mut self, request: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(plain) => plain.write_all(request).await,
            Self::Tls(tls) => {
                tls.write_all(request).await?;
                tls.flush().await
            }
        }
    }
}

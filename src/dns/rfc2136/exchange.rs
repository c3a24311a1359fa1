use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, error::Elapsed, timeout_at};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExchangeError {
    /// Nothing was sent.
    #[error("no connection: {0}")]
    Unsent(io::Error),
    /// Nothing was sent, and the deadline has passed.
    #[error("no connection by the deadline")]
    UnsentInTime,
    /// All of the request or a part of it was sent.
    #[error("it closed the connection without an answer: {0}")]
    Unanswered(io::Error),
    /// The same, and the deadline has passed.
    #[error("it took the request and did not answer by the deadline")]
    UnansweredInTime,
}

/// Sends one message over a connection of its own, and gives back the first that comes; at most 65,535 bytes, by the
/// two bytes that say how long it is.
pub(super) async fn exchange(
    server: SocketAddr,
    message: &[u8],
    deadline: Instant,
) -> Result<Vec<u8>, ExchangeError> {
    let connected = timeout_at(deadline, TcpStream::connect(server)).await;
    let mut stream = match connected {
        Ok(connected) => connected.map_err(ExchangeError::Unsent)?,
        Err(Elapsed { .. }) => return Err(ExchangeError::UnsentInTime),
    };
    match timeout_at(deadline, over(&mut stream, message)).await {
        Ok(answer) => answer.map_err(ExchangeError::Unanswered),
        Err(Elapsed { .. }) => Err(ExchangeError::UnansweredInTime),
    }
}

async fn over(stream: &mut TcpStream, message: &[u8]) -> io::Result<Vec<u8>> {
    let length = u16::try_from(message.len()).map_err(io::Error::other)?;
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend_from_slice(message);
    stream.write_all(&framed).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; length.into()];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

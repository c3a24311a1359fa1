use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::answer::{REQUEST_MAX, Transport};
use super::room::{Place, Room, State};
use super::zone::Zone;

/// How long a connection waits for its next request to be there as a whole: a client that reuses one asks again within a
/// second or two (RFC 7766, 6.2.3).
const IDLE_MAX: Duration = Duration::from_secs(5);
/// How long an answer waits to be taken.
const SEND_WITHIN: Duration = Duration::from_secs(5);
/// How long is waited when no connection can be taken: there is no descriptor left, and must not make this loop spin.
const AFTER_ERROR: Duration = Duration::from_millis(100);

/// Answers what comes over TCP. The connections end with this.
pub(super) async fn serve(zone: &Arc<Zone>, listener: &TcpListener) {
    let room = Room::default();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok((stream, client)) => {
                let (zone, place) = (Arc::clone(zone), room.enter(client.ip()));
                connections.spawn(async move {
                    // However it ends, it is the client's own connection alone.
                    let _ = place.gives_way().run_until_cancelled(converse(&zone, stream, place)).await;
                });
            }
            Err(error) => {
                tracing::debug!(%error, "failed to take a connection");
                sleep(AFTER_ERROR).await;
            }
        }
    }
}

/// Answers one request after the other until the client ends, says nothing for long, or says what is too long.
async fn converse(zone: &Zone, mut stream: TcpStream, mut place: Place) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut room = vec![0; REQUEST_MAX];
    loop {
        let length = usize::from(timeout(IDLE_MAX, stream.read_u16()).await??);
        let Some(request) = room.get_mut(..length) else { return Ok(()) };
        timeout(IDLE_MAX, stream.read_exact(request)).await??;
        place.is_now(State::Busy);
        let answers = zone.answers(request, Transport::Tcp);
        if answers.is_empty() {
            return Ok(());
        }
        for answer in answers {
            let Ok(length) = u16::try_from(answer.len()) else { return Ok(()) };
            let framed = [&length.to_be_bytes(), answer.as_slice()].concat();
            timeout(SEND_WITHIN, stream.write_all(&framed)).await??;
        }
        place.is_now(State::Idle);
    }
}

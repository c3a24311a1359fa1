use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::answer::{REQUEST_MAX, Transport};
use super::rate::network;
use super::zone::Zone;

/// So many connections are served at once; each is a file descriptor of the process that also looks. A connection that finds no
/// room is closed, and its client tries again.
const CONNECTIONS_MAX: usize = 128;
/// So many of one network of clients, so that it cannot take the room of the secondaries.
const CONNECTIONS_OF_ONE_MAX: usize = 32;
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
                if let Some(place) = room.take(client.ip()) {
                    let zone = Arc::clone(zone);
                    connections.spawn(async move {
                        let _place = place;
                        // However it ends, it is the client's own connection alone.
                        let _ = converse(&zone, stream).await;
                    });
                }
            }
            Err(error) => {
                tracing::debug!(%error, "failed to take a connection");
                sleep(AFTER_ERROR).await;
            }
        }
    }
}

/// Answers one request after the other until the client ends, says nothing for long, or says what is too long.
async fn converse(zone: &Zone, mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut room = vec![0; REQUEST_MAX];
    loop {
        let length = usize::from(timeout(IDLE_MAX, stream.read_u16()).await??);
        let Some(request) = room.get_mut(..length) else { return Ok(()) };
        timeout(IDLE_MAX, stream.read_exact(request)).await??;
        let answers = zone.answers(request, Transport::Tcp);
        if answers.is_empty() {
            return Ok(());
        }
        for answer in answers {
            let Ok(length) = u16::try_from(answer.len()) else { return Ok(()) };
            let framed = [&length.to_be_bytes(), answer.as_slice()].concat();
            timeout(SEND_WITHIN, stream.write_all(&framed)).await??;
        }
    }
}

/// Who has how many connections.
#[derive(Clone, Debug, Default)]
struct Room(Arc<Mutex<BTreeMap<[u8; 8], usize>>>);

/// A connection's place, given back when dropped.
struct Place {
    room: Room,
    network: [u8; 8],
}

impl Room {
    fn take(&self, client: IpAddr) -> Option<Place> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.values().sum::<usize>() >= CONNECTIONS_MAX {
            return None;
        }
        let network = network(client);
        let of_this = taken.entry(network).or_default();
        if *of_this >= CONNECTIONS_OF_ONE_MAX {
            return None;
        }
        *of_this += 1;
        Some(Place { room: self.clone(), network })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.room.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_this) = taken.get_mut(&self.network) {
            *of_this = of_this.saturating_sub(1);
            if *of_this == 0 {
                taken.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_network_cannot_take_all_connections_and_gives_its_own_back() {
        let room = Room::default();
        let places: Vec<_> =
            (0..=255).filter_map(|last| room.take(IpAddr::from([192, 0, 2, last]))).collect();
        assert_eq!(places.len(), CONNECTIONS_OF_ONE_MAX);
        let others: Vec<_> = (0..=255).filter_map(|net| room.take(IpAddr::from([10, 0, net, 1]))).collect();
        assert_eq!(others.len(), CONNECTIONS_MAX - CONNECTIONS_OF_ONE_MAX);
        drop(places);
        assert!(room.take(IpAddr::from([192, 0, 2, 1])).is_some());
        drop(others);
        assert!(room.0.lock().unwrap().is_empty());
    }
}

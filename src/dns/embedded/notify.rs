use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::ProtoError;
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::RecordType;
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::answer::REQUEST_MAX;
use super::served::Served;
use super::zone::Zone;
use crate::clock::wall_time;
use crate::dns::tsig::Signer;

/// How long each try waits for its answer: five tries in 31 s. A secondary that was away for longer asks by itself every
/// minute, as the SOA tells it to.
const TRIES_S: [u64; 5] = [1, 2, 4, 8, 16];

/// Why a secondary was not told.
#[derive(Debug, thiserror::Error)]
enum NotifyError {
    #[error("it cannot be reached")]
    Socket(#[from] io::Error),
    #[error("it said nothing")]
    Silent,
    #[error("it answered {0}")]
    Refused(ResponseCode),
    #[error("cannot make the message")]
    Message(#[from] ProtoError),
}

/// Tells one secondary of each version of the zone, the one that is there first (NOTIFY, RFC 1996).
pub(super) async fn serve(zone: &Zone, secondary: SocketAddr) {
    let mut versions = zone.versions();
    loop {
        let served = versions.borrow_and_update().clone();
        tokio::select! {
            told = tell(zone, secondary, &served) => {
                let serial = served.content().serial().0;
                match told {
                    Ok(()) => tracing::info!(zone = %zone.name(), %secondary, serial, "told a secondary of the zone"),
                    Err(error) => tracing::warn!(zone = %zone.name(), %secondary, serial,
                        "could not tell a secondary of the zone; it will ask by itself: {}", super::in_words(&error)),
                }
                if versions.changed().await.is_err() {
                    return;
                }
            }
            // The newer one is told in its place.
            Ok(()) = versions.changed() => {}
        }
    }
}

async fn tell(zone: &Zone, secondary: SocketAddr, served: &Served) -> Result<(), NotifyError> {
    let Some((key, listen)) = zone.secondary(secondary) else { return Ok(()) };
    let mut last = NotifyError::Silent;
    for wait in TRIES_S.map(Duration::from_secs) {
        let started = crate::clock::instant_now();
        match timeout(wait, try_once(served, secondary, &key, &listen)).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => {
                last = error;
                tokio::time::sleep_until(started + wait).await;
            }
            Err(_) => last = NotifyError::Silent,
        }
    }
    Err(last)
}

async fn try_once(
    served: &Served,
    secondary: SocketAddr,
    key: &Signer,
    listen: &[SocketAddr],
) -> Result<(), NotifyError> {
    let socket = UdpSocket::bind((source(secondary.ip(), listen), 0)).await?;
    socket.connect(secondary).await?;
    let content = served.content();
    let mut message = Message::new(rand::random(), MessageType::Query, OpCode::Notify);
    message.metadata.authoritative = true;
    message.add_query(Query::query(content.origin().clone(), RecordType::SOA));
    message.add_answer(content.soa().clone());
    let mut verifier = message.finalize(key.get(), wall_time().as_secs())?;
    socket.send(&message.to_vec()?).await?;
    let mut room = vec![0; REQUEST_MAX];
    loop {
        let length = socket.recv(&mut room).await?;
        let bytes = room.get(..length).unwrap_or_default();
        let Ok(answer) = Message::from_vec(bytes) else { continue };
        let is_to_this = answer.metadata.id == message.metadata.id
            && answer.metadata.message_type == MessageType::Response
            && answer.metadata.op_code == OpCode::Notify;
        if !is_to_this {
            continue;
        }
        if answer.metadata.response_code != ResponseCode::NoError {
            // A refusal of the key is not signed. Whoever forges one gains that the secondary asks a minute later.
            return Err(NotifyError::Refused(answer.metadata.response_code));
        }
        if verifier.as_mut().is_some_and(|verifier| verifier.verify(bytes).is_ok()) {
            return Ok(());
        }
    }
}

/// From where a secondary is spoken to: where it knows us, an address that we are served on; else whatever leads there.
fn source(secondary: IpAddr, listen: &[SocketAddr]) -> IpAddr {
    let fits = |ours: &IpAddr| {
        ours.is_ipv4() == secondary.is_ipv4()
            && ours.is_loopback() == secondary.is_loopback()
            && !ours.is_unspecified()
    };
    let any = if secondary.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    listen.iter().map(SocketAddr::ip).find(fits).unwrap_or(any)
}

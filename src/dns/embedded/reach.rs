use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, Query};
use hickory_proto::rr::{RData, RecordType};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::answer::REQUEST_MAX;
use super::content::dns_name;
use super::sockets::{BindError, Sockets};
use crate::model::Fqdn;

/// How long a server is given to answer: one that is there takes a round trip.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Whether an address could be served now. It is bound for a moment, and given back.
///
/// # Errors
/// Why not.
pub fn can_serve(address: SocketAddr) -> Result<(), BindError> {
    Sockets::bind(address).map(drop)
}

/// The serial under which a server has the zone with authority; none when it does not say so within 2 s.
pub async fn serial_at(server: SocketAddr, zone: &Fqdn) -> Option<u32> {
    timeout(ANSWER_WITHIN, ask(server, zone)).await.ok()?.ok()?
}

async fn ask(server: SocketAddr, zone: &Fqdn) -> io::Result<Option<u32>> {
    let zone = dns_name(zone).map_err(io::Error::other)?;
    let any = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await?;
    socket.connect(server).await?;
    let mut question = Message::query();
    question.metadata.recursion_desired = false;
    question.add_query(Query::query(zone.clone(), RecordType::SOA));
    socket.send(&question.to_vec().map_err(io::Error::other)?).await?;
    let mut room = vec![0; REQUEST_MAX];
    loop {
        let length = socket.recv(&mut room).await?;
        let Ok(answer) = Message::from_vec(room.get(..length).unwrap_or_default()) else { continue };
        let head = &answer.metadata;
        if head.id != question.metadata.id || head.message_type != MessageType::Response {
            continue;
        }
        let soa = answer.answers.iter().filter(|record| head.authoritative && record.name == zone);
        let serials =
            soa.filter_map(|record| if let RData::SOA(soa) = &record.data { Some(soa.serial) } else { None });
        return Ok(serials.max());
    }
}

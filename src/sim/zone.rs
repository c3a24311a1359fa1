//! The private zone, served by a real DNS server over UDP and TCP.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::rr::rdata::{A, AAAA, CNAME, NS, SOA};
use hickory_proto::rr::{LowerName, Name, RData, Record, RecordSet, RecordType, RrKey};
use hickory_server::Server;
use hickory_server::store::in_memory::InMemoryZoneHandler;
use hickory_server::zone_handler::{AxfrPolicy, Catalog, ZoneHandler, ZoneType};
use tokio::net::{TcpListener, UdpSocket};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// A TCP connection without a question is closed after this long.
const TCP_IDLE: Duration = Duration::from_secs(10);
/// How long a stop waits for open TCP connections.
const TCP_CLOSE: Duration = Duration::from_millis(500);
/// Answers that one TCP connection may have waiting; more than any client asks for at once.
const TCP_ANSWERS: usize = 64;
/// How often a port free for UDP is looked for that is free for TCP too.
const PORT_TRIES: usize = 20;

/// A zone that is being served.
pub(super) struct ServedZone {
    origin: Name,
    handler: Arc<InMemoryZoneHandler>,
}

/// The sockets of a zone, before it is served.
#[derive(Debug)]
pub(super) struct Sockets {
    udp: UdpSocket,
    tcp: TcpListener,
}

impl Sockets {
    /// UDP and TCP at one address; port 0 takes one that is free for both.
    ///
    /// # Errors
    /// What the system says.
    pub(super) async fn bind(address: SocketAddr) -> io::Result<Self> {
        let mut tries = 0;
        loop {
            let udp = UdpSocket::bind(address).await?;
            match TcpListener::bind(udp.local_addr()?).await {
                Ok(tcp) => return Ok(Self { udp, tcp }),
                Err(_) if address.port() == 0 && tries < PORT_TRIES => tries += 1,
                Err(error) => return Err(error),
            }
        }
    }

    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.udp.local_addr()
    }

    /// Serves the zone until `stop`.
    pub(super) async fn serve(self, zone: Arc<ServedZone>, stop: CancellationToken) {
        let mut catalog = Catalog::new();
        let handler: Arc<dyn ZoneHandler> = Arc::clone(&zone.handler) as _;
        catalog.upsert(LowerName::from(&zone.origin), vec![handler]);
        let mut server = Server::new(catalog);
        server.register_socket(self.udp);
        server.register_listener(self.tcp, TCP_IDLE, TCP_ANSWERS);
        stop.cancelled().await;
        // A peer that keeps its connection open must not keep the zone.
        let _ = timeout(TCP_CLOSE, server.shutdown_gracefully()).await;
    }
}

impl std::fmt::Debug for ServedZone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServedZone").field("origin", &self.origin).finish_non_exhaustive()
    }
}

impl ServedZone {
    /// A zone that holds its SOA and NS alone.
    ///
    /// # Errors
    /// A name that is none.
    pub(super) fn new(name: &str) -> io::Result<Self> {
        let origin = Name::from_ascii(name).map_err(io::Error::other)?;
        let server =
            Name::from_ascii("ns1").and_then(|ns| ns.append_domain(&origin)).map_err(io::Error::other)?;
        let soa = SOA::new(server.clone(), server.clone(), 1, 7200, 900, 1_209_600, 0);
        let records: BTreeMap<RrKey, RecordSet> = [
            (RecordType::SOA, 300, vec![RData::SOA(soa)]),
            (RecordType::NS, 300, vec![RData::NS(NS(server))]),
        ]
        .into_iter()
        .map(|(kind, ttl, data)| (key(&origin, kind), record_set(&origin, kind, ttl, data)))
        .collect();
        let handler =
            InMemoryZoneHandler::new(origin.clone(), records, ZoneType::Primary, AxfrPolicy::AllowAll)
                .map_err(io::Error::other)?;
        Ok(Self { origin, handler: Arc::new(handler) })
    }

    /// What a name answers for a type from now on; nothing: neither. A type that no client of ours asks for
    /// is not served. The SOA's serial grows.
    pub(super) async fn put(&self, name: &str, record_type: &str, served: Option<(u32, Vec<String>)>) {
        let (Ok(name), Ok(kind)) = (Name::from_ascii(name), record_type.parse::<RecordType>()) else {
            return;
        };
        if !matches!(kind, RecordType::A | RecordType::AAAA | RecordType::CNAME) {
            return;
        }
        let data = |values: &[String]| values.iter().filter_map(|value| parse(kind, value)).collect();
        let mut records = self.handler.records_mut().await;
        match served {
            Some((ttl, values)) => {
                let set = record_set(&name, kind, ttl, data(&values));
                records.insert(key(&name, kind), Arc::new(set));
            }
            None => {
                records.remove(&key(&name, kind));
            }
        }
        let soa_key = key(&self.origin, RecordType::SOA);
        let old = records.get(&soa_key).and_then(|set| set.records_without_rrsigs().next().cloned());
        if let Some(Record { data: RData::SOA(mut soa), ttl, .. }) = old {
            soa.serial = soa.serial.wrapping_add(1);
            let set = record_set(&self.origin, RecordType::SOA, ttl, vec![RData::SOA(soa)]);
            records.insert(soa_key, Arc::new(set));
        }
    }
}

fn key(name: &Name, kind: RecordType) -> RrKey {
    RrKey::new(LowerName::from(name), kind)
}

fn record_set(name: &Name, kind: RecordType, ttl: u32, data: Vec<RData>) -> RecordSet {
    let mut set = RecordSet::with_ttl(name.clone(), kind, ttl);
    for one in data {
        set.insert(Record::from_rdata(name.clone(), ttl, one), 0);
    }
    set
}

fn parse(kind: RecordType, value: &str) -> Option<RData> {
    if kind == RecordType::A {
        value.parse().ok().map(|address| RData::A(A(address)))
    } else if kind == RecordType::AAAA {
        value.parse().ok().map(|address| RData::AAAA(AAAA(address)))
    } else {
        Name::from_ascii(value).ok().map(|name| RData::CNAME(CNAME(name)))
    }
}

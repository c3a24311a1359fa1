//! The zone that matters, served by a real DNS server over UDP and TCP.
//!
//! Of several sets of one name each question is answered from one, as often as its weight says: evenly mixed, the same in
//! every run.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use hickory_net::runtime::Time;
use hickory_proto::rr::rdata::{A, AAAA, CNAME, NS, SOA};
use hickory_proto::rr::{LowerName, Name, RData, Record, RecordSet, RecordType, RrKey};
use hickory_server::Server;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::store::in_memory::InMemoryZoneHandler;
use hickory_server::zone_handler::{AxfrPolicy, Catalog, ZoneHandler, ZoneType};
use tokio::net::{TcpListener, UdpSocket};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::record_set::Served;

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
    /// The sets that questions are answered from in turn, where there are several.
    turns: Mutex<BTreeMap<RrKey, Vec<Turn>>>,
}

/// One of several sets, and how much it is owed: each question owes every set its weight, and the one that is owed most is
/// answered and pays for all.
struct Turn {
    weight: i64,
    owed: i64,
    set: Arc<RecordSet>,
}

/// Answers from the zone, after taking turns.
struct Desk {
    catalog: Catalog,
    zone: Arc<ServedZone>,
}

impl RequestHandler for Desk {
    fn handle_request<'desk, 'request, 'answer, R, T>(
        &'desk self,
        request: &'request Request,
        response_handle: R,
    ) -> BoxFuture<'answer, ResponseInfo>
    where
        'desk: 'answer,
        'request: 'answer,
        R: ResponseHandler + 'answer,
        T: Time + 'answer,
        Self: 'answer,
    {
        async move {
            if let Ok(asked) = request.request_info() {
                let key = RrKey::new(asked.query.name().clone(), asked.query.query_type());
                self.zone.take_turn(key).await;
            }
            self.catalog.handle_request::<R, T>(request, response_handle).await
        }
        .boxed()
    }
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
        let mut server = Server::new(Desk { catalog, zone });
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
        Ok(Self { origin, handler: Arc::new(handler), turns: Mutex::default() })
    }

    /// The sets that a name answers from for a type from now on; none: it has not the type. A type that no client of ours
    /// asks for is not served. The SOA's serial grows.
    pub(super) async fn put(&self, name: &str, record_type: &str, served: &[Served]) {
        let (Ok(name), Ok(kind)) = (Name::from_ascii(name), record_type.parse::<RecordType>()) else {
            return;
        };
        if !matches!(kind, RecordType::A | RecordType::AAAA | RecordType::CNAME) {
            return;
        }
        let data = |values: &[String]| values.iter().filter_map(|value| parse(kind, value)).collect();
        let turn = |served: &Served| Turn {
            weight: served.weight.unwrap_or(1).max(1).into(),
            owed: 0,
            set: Arc::new(record_set(&name, kind, served.ttl, data(&served.values))),
        };
        let turns: Vec<Turn> = served.iter().map(turn).collect();
        let mut records = self.handler.records_mut().await;
        match turns.first() {
            Some(first) => records.insert(key(&name, kind), Arc::clone(&first.set)),
            None => records.remove(&key(&name, kind)),
        };
        self.turns(|all| all.insert(key(&name, kind), turns));
        let soa_key = key(&self.origin, RecordType::SOA);
        let old = records.get(&soa_key).and_then(|set| set.records_without_rrsigs().next().cloned());
        if let Some(Record { data: RData::SOA(mut soa), ttl, .. }) = old {
            soa.serial = soa.serial.wrapping_add(1);
            let set = record_set(&self.origin, RecordType::SOA, ttl, vec![RData::SOA(soa)]);
            records.insert(soa_key, Arc::new(set));
        }
    }

    /// Puts the set in the zone that the next question is answered from, where there are several.
    async fn take_turn(&self, key: RrKey) {
        let next = self.turns(|all| {
            let turns = all.get_mut(&key).filter(|turns| turns.len() > 1)?;
            let sum: i64 = turns.iter().map(|turn| turn.weight).sum();
            for turn in turns.iter_mut() {
                turn.owed += turn.weight;
            }
            let next = turns.iter_mut().max_by_key(|turn| turn.owed)?;
            next.owed -= sum;
            Some(Arc::clone(&next.set))
        });
        if let Some(set) = next {
            self.handler.records_mut().await.insert(key, set);
        }
    }

    fn turns<T>(&self, change: impl FnOnce(&mut BTreeMap<RrKey, Vec<Turn>>) -> T) -> T {
        change(&mut self.turns.lock().unwrap_or_else(PoisonError::into_inner))
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

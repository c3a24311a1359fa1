//! A zone served within the test, on a free port of loopback, and questions to it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::rdata::{A, CNAME, NS};
use hickory_proto::rr::{Name, RData, RecordType as Type};
use pointsman::clock::instant_now;
use pointsman::config::{EmbeddedZone, Secondary, StaticRecord};
use pointsman::dns::{EmbeddedError, EmbeddedServer, Provider};
use pointsman::model::{Fqdn, RecordKey, RecordSet, RecordType, Routing, Ttl};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Past this nothing comes any more.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// Between two looks at what is waited for.
pub(crate) const BLINK: Duration = Duration::from_millis(20);

/// A zone that is served until dropped.
pub(crate) struct Served {
    pub(crate) server: EmbeddedServer,
    pub(crate) address: SocketAddr,
    tasks: JoinSet<()>,
}

pub(crate) fn fqdn(name: &str) -> Fqdn {
    Fqdn::parse(name).unwrap()
}

pub(crate) fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

pub(crate) fn key(name: &str) -> RecordKey {
    RecordKey { name: fqdn(name), record_type: RecordType::A, routing: Routing::Only }
}

/// The set of those addresses of 192.0.2.0/24.
pub(crate) fn set(last: &[u8], ttl: u32) -> RecordSet {
    let values = last.iter().map(|last| Ipv4Addr::new(192, 0, 2, *last).into()).collect();
    RecordSet::new(values, Ttl::from_seconds(ttl).unwrap()).unwrap()
}

pub(crate) fn record(name: &str, ttl: u32, data: RData) -> StaticRecord {
    StaticRecord { name: fqdn(name), ttl: Ttl::from_seconds(ttl).unwrap(), data }
}

/// Below the ports that systems give to clients, which one may be given while a zone is stopped and started again.
static NEXT_PORT: AtomicU16 = AtomicU16::new(21_000);

/// An address of loopback that nobody has, nor is given.
fn free() -> SocketAddr {
    loop {
        let address: SocketAddr = (Ipv4Addr::LOCALHOST, NEXT_PORT.fetch_add(1, Ordering::Relaxed)).into();
        assert!(address.port() < 32_000, "no port is free");
        if TcpListener::bind(address).is_ok() && std::net::UdpSocket::bind(address).is_ok() {
            return address;
        }
    }
}

/// `dev.test.` with a few records, on a port that nobody has.
pub(crate) fn zone(secondaries: Vec<Secondary>) -> EmbeddedZone {
    let free = free();
    let address = |last| RData::A(A(Ipv4Addr::new(192, 0, 2, last)));
    EmbeddedZone {
        listen: vec![free],
        zone: fqdn("dev.test."),
        ns: vec![fqdn("ns1.dev.test.")],
        records: vec![
            record("ns1.dev.test.", 300, address(53)),
            record("www.dev.test.", 300, RData::CNAME(CNAME(name("demo.dev.test.")))),
            record("away.dev.test.", 300, RData::CNAME(CNAME(name("www.elsewhere.test.")))),
            record("loop.dev.test.", 300, RData::CNAME(CNAME(name("loop.dev.test.")))),
            record("*.apps.dev.test.", 300, address(80)),
            record("deep.tree.dev.test.", 300, address(81)),
            record("child.dev.test.", 300, RData::NS(NS(name("ns.child.dev.test.")))),
            record("ns.child.dev.test.", 300, address(54)),
        ],
        secondaries,
    }
}

/// The sets that services of the configuration begin with.
pub(crate) fn first() -> BTreeMap<RecordKey, RecordSet> {
    [(key("demo.dev.test."), set(&[1, 2], 30))].into()
}

impl Served {
    pub(crate) fn start(state_dir: &Path, zone: &EmbeddedZone) -> Result<Self, EmbeddedError> {
        Self::start_with(state_dir, zone, first())
    }

    pub(crate) fn start_with(
        state_dir: &Path,
        zone: &EmbeddedZone,
        first: BTreeMap<RecordKey, RecordSet>,
    ) -> Result<Self, EmbeddedError> {
        let server = EmbeddedServer::prepare(zone, first, state_dir, &[], &[])?;
        server.take_effect();
        let mut tasks = JoinSet::new();
        for task in server.tasks() {
            tasks.spawn(async move { task.run().await });
        }
        Ok(Self { server, address: zone.listen[0], tasks })
    }

    /// As a stop of the process ends it: the sockets are closed when this returns.
    pub(crate) async fn stop(mut self) {
        self.tasks.shutdown().await;
    }

    pub(crate) fn provider(&self) -> Arc<dyn Provider> {
        self.server.provider()
    }

    /// Puts this set in the place of what is there.
    pub(crate) async fn replace(&self, key: &RecordKey, set: &RecordSet) {
        let (provider, deadline) = (self.provider(), instant_now() + DEADLINE);
        let found = provider.read(key, deadline).await.unwrap().unwrap();
        provider.replace(key, &found, set, deadline).await.unwrap();
    }

    pub(crate) fn serial(&self) -> u32 {
        let soa = dig(self.address, &["+short", "dev.test.", "SOA"]);
        soa.split(' ').nth(2).unwrap().parse().unwrap()
    }
}

/// What `dig` prints.
pub(crate) fn dig(server: SocketAddr, arguments: &[&str]) -> String {
    let mut command = Command::new("dig");
    command.arg(format!("@{}", server.ip())).args(["-p", &server.port().to_string()]);
    command.args(["+norecurse", "+time=5", "+tries=1"]).args(arguments);
    let output = command.output().expect("this test needs dig; please do: apt-get install bind9-dnsutils");
    String::from_utf8(output.stdout).unwrap()
}

/// The lines of a section of what `dig` printed, with single spaces.
pub(crate) fn section(text: &str, name: &str) -> Vec<String> {
    let head = format!(";; {name} SECTION:");
    let lines = text.lines().skip_while(|line| *line != head).skip(1).take_while(|line| !line.is_empty());
    lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

pub(crate) fn question(text: &str, record_type: Type) -> Message {
    let mut message = Message::query();
    message.add_query(Query::query(name(text), record_type));
    message
}

/// Sends these bytes in a datagram of its own; what comes back, if anything does.
pub(crate) async fn ask(server: SocketAddr, request: &[u8]) -> Option<Vec<u8>> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    socket.send_to(request, server).await.unwrap();
    let mut room = vec![0; 65_535];
    let length = timeout(Duration::from_secs(2), socket.recv(&mut room)).await.ok()?.unwrap();
    room.truncate(length);
    Some(room)
}

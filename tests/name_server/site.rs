use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use pointsman::clock::instant_now;
use pointsman::config::{Rfc2136Zone, TsigKey};
use pointsman::dns::Rfc2136Provider;
use pointsman::model::{Fqdn, RecordKey, RecordType, Routing};
use pointsman::sim::{NameServer, PrimaryZone, Updates};

use super::{Knot, KnotZone, SECRET, addresses, key};

pub(crate) const ZONE: &str = "corp.example.";
/// Served, and closed to updates.
pub(crate) const CLOSED: &str = "closed.example.";
pub(crate) const WITHIN: Duration = Duration::from_secs(20);

/// A real server, of either make, that serves [`ZONE`] and [`CLOSED`], each with the same records.
pub(crate) struct Site {
    server: Server,
    pub(crate) key: TsigKey,
    pub(crate) folder: tempfile::TempDir,
}

enum Server {
    Bind(NameServer),
    Knot(Knot),
}

impl Site {
    pub(crate) async fn bind(records: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = key(folder.path(), "pointsman.", SECRET);
        let zone = |zone, updates| PrimaryZone {
            zone: Fqdn::parse(zone).unwrap(),
            records: records.iter().map(ToString::to_string).collect(),
            updates,
        };
        let zones = [zone(ZONE, Updates::Signed), zone(CLOSED, Updates::Refused)];
        let server = Server::Bind(NameServer::start(folder.path(), &zones, &key).await.unwrap());
        Self { server, key, folder }
    }

    pub(crate) async fn knot(records: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = key(folder.path(), "pointsman.", SECRET);
        let acl = ["key: pointsman.", "action: update", "update-type: [A, AAAA]"];
        let zones = [
            KnotZone::Primary { zone: ZONE, records, acl: &acl },
            // Without any, Knot does not even take the key for questions.
            KnotZone::Primary {
                zone: CLOSED,
                records,
                acl: &["key: pointsman.", "action: update", "update-type: TXT"],
            },
        ];
        let server = Server::Knot(Knot::start(&[("pointsman.", SECRET)], &zones).await);
        Self { server, key, folder }
    }

    /// One of each make.
    pub(crate) async fn both(records: &[&str]) -> [Self; 2] {
        [Self::bind(records).await, Self::knot(records).await]
    }

    pub(crate) fn address(&self) -> SocketAddr {
        match &self.server {
            Server::Bind(server) => server.address(),
            Server::Knot(server) => server.address,
        }
    }

    pub(crate) fn is_knot(&self) -> bool {
        matches!(self.server, Server::Knot(_))
    }

    pub(crate) fn kill(&mut self) {
        match &mut self.server {
            Server::Bind(server) => drop(server.kill().unwrap()),
            Server::Knot(server) => server.kill(),
        }
    }

    pub(crate) async fn start_again(&mut self) {
        match &mut self.server {
            Server::Bind(server) => server.start_again().await.unwrap(),
            Server::Knot(server) => server.start_again().await,
        }
    }

    pub(crate) fn log(&self) -> String {
        match &self.server {
            Server::Bind(server) => server.log().unwrap(),
            Server::Knot(server) => server.log(),
        }
    }

    /// What it answers for `demo` in [`ZONE`].
    pub(crate) fn demo(&self) -> Vec<IpAddr> {
        addresses(self.address(), &demo(RecordType::A).name, "A")
    }

    pub(crate) fn provider(&self) -> Rfc2136Provider {
        self.provider_with(ZONE, self.key.clone())
    }

    pub(crate) fn provider_with(&self, zone: &str, tsig: TsigKey) -> Rfc2136Provider {
        let zone = Rfc2136Zone { server: self.address(), zone: Fqdn::parse(zone).unwrap(), tsig };
        Rfc2136Provider::new(zone).unwrap()
    }
}

pub(crate) fn demo(record_type: RecordType) -> RecordKey {
    RecordKey { name: Fqdn::parse("demo.corp.example.").unwrap(), record_type, routing: Routing::Only }
}

pub(crate) fn deadline() -> tokio::time::Instant {
    instant_now() + WITHIN
}

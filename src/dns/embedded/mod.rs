//! Zones that the daemon serves itself: an authoritative server for a few names, over UDP and TCP.
//!
//! Answers from one immutable version of the zone, which a change replaces as a whole; hands copies to its secondaries
//! and tells them of changes. Knows record sets, not regions, and recurses for nobody. What all can fail is done when a server
//! is prepared, before anything that runs is touched (RELOAD-OR-KEEP). Start at [`EmbeddedServer::prepare`]; then
//! `answer.rs` for what becomes of a request, `zone.rs` for what becomes of a change.

mod answer;
mod content;
mod keeper;
mod lookup;
mod notify;
mod provider;
mod rate;
mod reach;
mod room;
mod serial;
mod served;
mod signature;
mod sockets;
mod state;
mod tcp;
mod transfer;
mod udp;
mod zone;

use std::collections::BTreeMap;
use std::error::Error;
use std::iter::successors;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

pub use answer::Transport;
pub use provider::EmbeddedReader;
pub use reach::{can_serve, serial_at};
pub use sockets::BindError;
pub use state::StateError;

use super::{Provider, TsigKeyError};
use crate::config::EmbeddedZone;
use crate::model::{RecordKey, RecordSet};
use provider::EmbeddedProvider;
use sockets::Sockets;
use zone::{Settings, Zone};

/// Why a zone cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// An address to serve it on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A secondary's key.
    #[error(transparent)]
    Key(#[from] TsigKeyError),
    /// Where it keeps what outlives the process.
    #[error(transparent)]
    State(#[from] StateError),
    /// A name that no message can carry.
    #[error("one of its names cannot be put into a message")]
    Name(#[from] hickory_proto::ProtoError),
}

/// A zone with its settings and sockets, ready to be served.
#[derive(Clone, Debug)]
pub struct EmbeddedServer {
    zone: Arc<Zone>,
    provider: Arc<EmbeddedProvider>,
    settings: Arc<Settings>,
    sockets: Vec<Arc<Sockets>>,
}

/// One of the tasks that serve a zone; it runs until it is dropped.
#[derive(Clone, Debug)]
pub struct ZoneTask {
    /// What it does for which zone and where; a task of the same name does the same.
    pub name: String,
    zone: Arc<Zone>,
    work: Work,
}

#[derive(Clone, Debug)]
enum Work {
    Udp(Arc<Sockets>),
    Tcp(Arc<Sockets>),
    Notify(SocketAddr),
}

impl EmbeddedServer {
    /// Reads keys and state and binds what is not bound yet; what `running` servers have is used again. Serves nothing of it yet.
    /// `first` is what sets hold of which nothing is known.
    ///
    /// # Errors
    /// When an address is not to be had, a key cannot be used, or another process serves the zone.
    pub fn prepare(
        zone: &EmbeddedZone,
        first: BTreeMap<RecordKey, RecordSet>,
        state_dir: &Path,
        running: &[&Self],
        prepared: &[&Self],
    ) -> Result<Self, EmbeddedError> {
        let settings = Arc::new(Settings::read(zone, first)?);
        let mut sockets = Vec::with_capacity(zone.listen.len());
        for address in &zone.listen {
            let has = |servers: &[&Self]| {
                let mut all = servers.iter().flat_map(|server| &server.sockets);
                all.find(|sockets| sockets.address == *address).cloned()
            };
            if has(prepared).is_some() {
                let source = std::io::ErrorKind::AddrInUse.into();
                return Err(BindError { address: *address, source }.into());
            }
            sockets.push(match has(running) {
                Some(bound) => bound,
                None => Arc::new(Sockets::bind(*address)?),
            });
        }
        let of_this = running.iter().find(|server| *server.zone.name() == zone.zone);
        let (zone, provider) = if let Some(server) = of_this {
            (Arc::clone(&server.zone), Arc::clone(&server.provider))
        } else {
            let zone = Arc::new(Zone::open(state_dir, &settings)?);
            (Arc::clone(&zone), Arc::new(EmbeddedProvider(zone)))
        };
        Ok(Self { zone, provider, settings, sockets })
    }

    /// Where the zone's record sets are read and written.
    #[must_use]
    pub fn provider(&self) -> Arc<dyn Provider> {
        Arc::clone(&self.provider) as Arc<dyn Provider>
    }

    /// What is answered to these bytes, as on any of the sockets but for the rate: none for what is no request, several for a
    /// copy of the zone.
    #[must_use]
    pub fn answers(&self, request: &[u8], over: Transport) -> Vec<Vec<u8>> {
        self.zone.answers(request, over)
    }

    /// From now on the zone is what it was prepared to be.
    pub fn take_effect(&self) {
        self.zone.configure(&self.settings);
    }

    /// The zone that is served.
    #[must_use]
    pub fn zone(&self) -> &crate::model::Fqdn {
        self.zone.name()
    }

    /// Why nothing of the zone is kept over a restart, while nothing is.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        let zone = self.zone.name();
        self.zone.trouble().map(|why| format!("what the zone {zone} holds is not kept over a restart: {why}"))
    }

    /// All that has to run for the zone.
    #[must_use]
    pub fn tasks(&self) -> Vec<ZoneTask> {
        let zone = self.zone.name();
        let task = |name, work| ZoneTask { name, zone: Arc::clone(&self.zone), work };
        let mut tasks = Vec::new();
        for sockets in &self.sockets {
            let address = sockets.address;
            tasks.push(task(format!("{zone} on {address} over UDP"), Work::Udp(Arc::clone(sockets))));
            tasks.push(task(format!("{zone} on {address} over TCP"), Work::Tcp(Arc::clone(sockets))));
        }
        for secondary in &self.settings.zone.secondaries {
            let address = secondary.address;
            tasks.push(task(format!("{zone} to its secondary {address}"), Work::Notify(address)));
        }
        tasks
    }
}

impl ZoneTask {
    /// Serves until dropped.
    pub async fn run(&self) {
        match &self.work {
            Work::Udp(sockets) => udp::serve(&self.zone, &sockets.udp).await,
            Work::Tcp(sockets) => tcp::serve(&self.zone, &sockets.tcp).await,
            Work::Notify(secondary) => notify::serve(&self.zone, *secondary).await,
        }
    }
}

/// An error with all its causes, in one text.
fn in_words(error: &(dyn Error + 'static)) -> String {
    let causes = successors(Some(error), |error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

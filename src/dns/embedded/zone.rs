//! One zone while it is served: what it holds now, how that changes, and what is kept of it.
//!
//! A change is on disk before it is served, unless the disk does not take it in time; so after a restart the zone
//! serves what it served before (NO-JUMP-ON-START), under a serial that is after. Start at [`Zone::open`].

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hickory_proto::ProtoError;
use tokio::sync::watch;

use super::answer::{self, Transport};
use super::content::{Content, Sets, is_configured};
use super::keeper::Keeper;
use super::serial::Serial;
use super::served::Served;
use super::state::{Place, State, StateError};
use super::{EmbeddedError, in_words};
use crate::clock::wall_time;
use crate::config::EmbeddedZone;
use crate::dns::tsig::Signer;
use crate::model::{Found, Fqdn, InForce, RecordKey, RecordSet};

/// What the configuration says of a zone, with the keys read.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) zone: EmbeddedZone,
    /// What the sets of its services hold until something is known of them.
    pub(super) first: Sets,
    /// In the order of the secondaries.
    pub(super) keys: Arc<[Signer]>,
}

/// A zone that is served.
#[derive(Debug)]
pub(super) struct Zone {
    name: Fqdn,
    inner: Mutex<Inner>,
    served: watch::Sender<Arc<Served>>,
    keeper: Keeper,
}

#[derive(Debug)]
struct Inner {
    settings: Arc<Settings>,
    sets: Sets,
    /// What is served, or will be once it is kept.
    newest: Arc<Served>,
    /// Counts the changes since the start.
    version: u64,
}

/// Why a set was not written.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error("it is not what was read by now")]
    Changed,
    #[error("a record of the configuration has that name")]
    Configured,
    #[error(transparent)]
    Name(#[from] ProtoError),
}

impl Settings {
    /// Reads the keys, and sees whether a zone can be made of it.
    ///
    /// # Errors
    /// When a key cannot be used, or a name is none.
    pub(super) fn read(zone: &EmbeddedZone, first: Sets) -> Result<Self, EmbeddedError> {
        let keys = zone.secondaries.iter().map(|secondary| Signer::load(&secondary.tsig));
        let keys = keys.collect::<Result<Arc<[_]>, _>>()?;
        Content::new(zone, &first, Serial(0))?;
        Ok(Self { zone: zone.clone(), first, keys })
    }
}

impl Zone {
    /// The zone as it was served before, or as the configuration has it where nothing is known of before.
    ///
    /// # Errors
    /// When another process serves it from there. What cannot be read is told, and the zone begins as new.
    pub(super) fn open(state_dir: &Path, settings: &Arc<Settings>) -> Result<Self, EmbeddedError> {
        let name = settings.zone.zone.clone();
        let place = Place::new(state_dir, &name);
        let claim = match place.claim() {
            Err(error @ StateError::InUse { .. }) => return Err(error.into()),
            Err(error) => Err(in_words(&error)),
            Ok(claim) => Ok(claim),
        };
        let (kept, claim) = match (claim, place.read()) {
            (Ok(claim), Err(error @ StateError::Damaged { .. })) => {
                let aside = place.set_aside();
                let aside = aside.map_err(|error| StateError::File { path: place.path(), source: error });
                let now = aside.as_ref().map(|aside| aside.display().to_string()).unwrap_or_default();
                tracing::error!(zone = %name, set_aside = now, "found the state of a zone damaged, and began as new: {error}");
                (None, aside.map(|_| claim).map_err(|error| in_words(&error)))
            }
            (Ok(_), Err(error)) => (None, Err(in_words(&error))),
            (claim, kept) => (kept.unwrap_or_default(), claim),
        };
        if let Err(trouble) = &claim {
            tracing::error!(zone = %name, "cannot keep the state of a zone; it goes on from memory: {trouble}");
        }
        let now = wall_time().as_secs();
        let (serial, mut sets) = match kept {
            Some(State { serial, sets }) => (serial.next(now), sets),
            None => (Serial::at(now), BTreeMap::new()),
        };
        add_first(&mut sets, settings);
        let content = Content::new(&settings.zone, &sets, serial)?;
        let newest = Arc::new(Served::new(content, Arc::clone(&settings.keys)));
        let served = watch::Sender::new(Arc::clone(&newest));
        let keeper = Keeper::start(place, claim);
        let inner = Mutex::new(Inner { settings: Arc::clone(settings), sets, newest, version: 0 });
        Ok(Self { name, inner, served, keeper })
    }

    pub(super) fn name(&self) -> &Fqdn {
        &self.name
    }

    /// What is served now.
    pub(super) fn served(&self) -> Arc<Served> {
        Arc::clone(&self.served.borrow())
    }

    /// What is answered to these bytes now.
    pub(super) fn answers(&self, request: &[u8], over: Transport) -> Vec<Vec<u8>> {
        answer::answers(&self.served(), request, over, wall_time().as_secs(), rand::random())
    }

    /// Tells of every version that is served from now on.
    pub(super) fn versions(&self) -> watch::Receiver<Arc<Served>> {
        self.served.subscribe()
    }

    /// Why nothing of it is kept, while nothing is.
    pub(super) fn trouble(&self) -> Option<String> {
        self.keeper.trouble()
    }

    /// The key of the secondary at this address, and from where it is spoken to.
    pub(super) fn secondary(&self, address: SocketAddr) -> Option<(Signer, Vec<SocketAddr>)> {
        let settings = Arc::clone(&self.inner().settings);
        let place = settings.zone.secondaries.iter().position(|it| it.address == address)?;
        Some((settings.keys.get(place)?.clone(), settings.zone.listen.clone()))
    }

    /// The set under this key.
    pub(super) fn read(&self, key: &RecordKey) -> Option<Found> {
        self.inner().sets.get(key).map(|set| found(key, set))
    }

    /// Puts a set in the place of what was found, and serves it.
    pub(super) async fn write(
        &self,
        key: &RecordKey,
        before: Option<&Found>,
        set: &RecordSet,
    ) -> Result<(), WriteError> {
        let version = {
            let mut inner = self.inner();
            let there = inner.sets.get(key).map(|set| found(key, set));
            if there.as_ref() != before {
                return Err(WriteError::Changed);
            }
            if is_configured(&inner.settings.zone, key) {
                return Err(WriteError::Configured);
            }
            let mut sets = inner.sets.clone();
            sets.insert(key.clone(), set.clone());
            let settings = Arc::clone(&inner.settings);
            self.change(&mut inner, settings, sets)?
        };
        self.keeper.has_kept(version).await;
        self.publish(&self.inner());
        Ok(())
    }

    /// From now on this is what the configuration says. Serves it at once.
    pub(super) fn configure(&self, settings: &Arc<Settings>) {
        let mut inner = self.inner();
        let mut sets = inner.sets.clone();
        sets.retain(|key, _| {
            let stays = !is_configured(&settings.zone, key);
            if !stays {
                tracing::warn!(zone = %self.name, record_set = %key, "a configured record took a set's place");
            }
            stays
        });
        add_first(&mut sets, settings);
        // All that could fail was tried with these settings before; a set's name was a name before.
        if let Err(error) = self.change(&mut inner, Arc::clone(settings), sets) {
            tracing::error!(zone = %self.name, "cannot serve what is configured now: {error}");
        }
        self.publish(&inner);
    }

    /// Makes the version that holds these sets under these settings, and has it kept.
    fn change(&self, inner: &mut Inner, settings: Arc<Settings>, sets: Sets) -> Result<u64, ProtoError> {
        let before = &inner.newest;
        let content = Content::new(&settings.zone, &sets, before.content().serial())?;
        let is_the_same = content.beyond(before.content()).is_empty()
            && before.content().beyond(&content).is_empty()
            && content.has_soa_like(before.content());
        inner.newest = Arc::new(if is_the_same {
            before.with_keys(Arc::clone(&settings.keys))
        } else {
            let serial = before.content().serial().next(wall_time().as_secs());
            let content = Content::new(&settings.zone, &sets, serial)?;
            before.changed_to(content, Arc::clone(&settings.keys))
        });
        (inner.settings, inner.sets) = (settings, sets);
        inner.version += 1;
        let state = State { serial: inner.newest.content().serial(), sets: inner.sets.clone() };
        self.keeper.keep(inner.version, state);
        Ok(inner.version)
    }

    fn publish(&self, inner: &Inner) {
        self.served.send_if_modified(|served| {
            let differs = !Arc::ptr_eq(served, &inner.newest);
            if differs {
                *served = Arc::clone(&inner.newest);
            }
            differs
        });
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A set of which nothing is known holds all that is configured for it: not known is not dead (BLIND-IS-NOT-DOWN).
pub(super) fn add_first(sets: &mut Sets, settings: &Settings) {
    for (key, set) in &settings.first {
        sets.entry(key.clone()).or_insert_with(|| set.clone());
    }
}

/// A set as a read finds it.
pub(super) fn found(key: &RecordKey, set: &RecordSet) -> Found {
    Found {
        id: key.to_string(),
        values: set.values().clone(),
        ttl: set.ttl(),
        in_force: InForce::Yes,
        description: None,
        parts: Vec::new(),
    }
}

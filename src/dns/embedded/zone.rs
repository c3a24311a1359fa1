//! One zone while it is served: what it holds now, how that changes, and what is kept of it.
//!
//! A change is on disk before it is served, unless the disk does not take it in time; so after a restart the zone
//! serves what it served before (NO-JUMP-ON-START), under a serial that is after. Writes are committed in groups: all
//! that came while one version was made and kept go into the next. So a region that dies under a thousand services
//! costs a few versions, not a thousand. Start at [`Zone::open`].

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hickory_proto::ProtoError;
use tokio::sync::watch;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};

use super::answer::{self, Transport};
use super::content::{Content, Sets, dns_name, is_configured};
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
    /// The number of the newest change that a write saw kept and served. Locked by the write that commits.
    committed: tokio::sync::Mutex<u64>,
}

#[derive(Debug)]
struct Inner {
    settings: Arc<Settings>,
    /// With every write, also those that no version holds yet.
    sets: Arc<Sets>,
    /// What is served, or will be once it is kept.
    newest: Arc<Served>,
    /// Counts the changes since the start.
    changes: u64,
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
    #[error("it was not in force by the deadline; read it again")]
    Late(#[from] Elapsed),
    #[error("making the zone's next version failed; read it again")]
    Failed(#[from] JoinError),
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
            None => (Serial::at(now), Arc::default()),
        };
        add_first(Arc::make_mut(&mut sets), settings);
        let content = Content::new(&settings.zone, &sets, serial)?;
        let newest = Arc::new(Served::new(content, Arc::clone(&settings.keys)));
        let served = watch::Sender::new(Arc::clone(&newest));
        let keeper = Keeper::start(place, claim);
        let inner = Mutex::new(Inner { settings: Arc::clone(settings), sets, newest, changes: 0 });
        Ok(Self { name, inner, served, keeper, committed: tokio::sync::Mutex::new(0) })
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

    /// Puts a set in the place of what was found, and waits until it is served.
    pub(super) async fn write(
        &self,
        key: &RecordKey,
        before: Option<&Found>,
        set: &RecordSet,
        deadline: Instant,
    ) -> Result<(), WriteError> {
        let change = self.stage(key, before, set)?;
        timeout_at(deadline, self.commit(change)).await?
    }

    /// Has a set go into the next version, and says which change it is.
    fn stage(&self, key: &RecordKey, before: Option<&Found>, set: &RecordSet) -> Result<u64, WriteError> {
        dns_name(&key.name)?; // Else the whole group would fail.
        let mut inner = self.inner();
        let there = inner.sets.get(key).map(|set| found(key, set));
        if there.as_ref() != before {
            return Err(WriteError::Changed);
        }
        if is_configured(&inner.settings.zone, key) {
            return Err(WriteError::Configured);
        }
        Arc::make_mut(&mut inner.sets).insert(key.clone(), set.clone());
        inner.changes += 1;
        Ok(inner.changes)
    }

    /// Waits until this change is kept and served. Of the writes that wait, one makes a version for all of them; those
    /// that come meanwhile go into the next.
    async fn commit(&self, change: u64) -> Result<(), WriteError> {
        let mut committed = self.committed.lock().await;
        if *committed >= change {
            return Ok(());
        }
        let (settings, sets, before, changes) = {
            let inner = self.inner();
            let (settings, sets) = (Arc::clone(&inner.settings), Arc::clone(&inner.sets));
            (settings, sets, Arc::clone(&inner.newest), inner.changes)
        };
        let made = {
            let (sets, before) = (Arc::clone(&sets), Arc::clone(&before));
            spawn_blocking(move || make(&before, &settings, &sets)).await??
        };
        {
            let mut inner = self.inner();
            // Otherwise it was configured anew meanwhile, and that version holds these sets too.
            if Arc::ptr_eq(&inner.newest, &before) {
                inner.newest = Arc::new(made);
                self.keep(&inner, changes, sets);
            }
        }
        self.keeper.has_kept(changes).await;
        self.publish(&self.inner());
        *committed = changes;
        Ok(())
    }

    /// From now on this is what the configuration says. Serves it at once.
    pub(super) fn configure(&self, settings: &Arc<Settings>) {
        let mut inner = self.inner();
        let mut sets = Sets::clone(&inner.sets);
        sets.retain(|key, _| {
            let stays = !is_configured(&settings.zone, key);
            if !stays {
                tracing::warn!(zone = %self.name, record_set = %key, "a configured record took a set's place");
            }
            stays
        });
        add_first(&mut sets, settings);
        match make(&inner.newest, settings, &sets) {
            Ok(made) => {
                (inner.settings, inner.sets, inner.newest) =
                    (Arc::clone(settings), Arc::new(sets), Arc::new(made));
                inner.changes += 1;
                self.keep(&inner, inner.changes, Arc::clone(&inner.sets));
            }
            // All that could fail was tried with these settings before; a set's name was a name before.
            Err(error) => {
                tracing::error!(zone = %self.name, "cannot serve what is configured now: {error}");
            }
        }
        self.publish(&inner);
    }

    /// Has the newest version kept, which holds these sets.
    fn keep(&self, inner: &Inner, changes: u64, sets: Arc<Sets>) {
        self.keeper.keep(changes, State { serial: inner.newest.content().serial(), sets });
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

/// The version after this one that holds these sets under these settings.
fn make(before: &Served, settings: &Settings, sets: &Sets) -> Result<Served, ProtoError> {
    let serial = before.content().serial().next(wall_time().as_secs());
    let content = Content::new(&settings.zone, sets, serial)?;
    Ok(before.changed_to(content, Arc::clone(&settings.keys)))
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::future::join_all;
    use tokio::select;

    use super::*;
    use crate::clock::instant_now;
    use crate::model::{RecordType, Routing, Ttl};

    fn set(addresses: &[&str]) -> RecordSet {
        let values = addresses.iter().map(|address| address.parse().unwrap()).collect();
        RecordSet::new(values, Ttl::DEFAULT).unwrap()
    }

    #[tokio::test]
    async fn writes_that_come_together_are_built_and_kept_as_one() {
        let folder = tempfile::tempdir().unwrap();
        let origin = Fqdn::parse("dev.test").unwrap();
        let key = |number| {
            let name = Fqdn::parse(&format!("s{number}.dev.test")).unwrap();
            RecordKey { name, record_type: RecordType::A, routing: Routing::Only }
        };
        let (all, one) = (set(&["192.0.2.1", "192.0.2.2"]), set(&["192.0.2.2"]));
        let zone = EmbeddedZone {
            listen: Vec::new(),
            zone: origin.clone(),
            ns: vec![Fqdn::parse("ns1.dev.test").unwrap()],
            records: Vec::new(),
            secondaries: Vec::new(),
        };
        let first = (0..500).map(|number| (key(number), all.clone())).collect();
        let settings = Arc::new(Settings::read(&zone, first).unwrap());
        let zone = Zone::open(folder.path(), &settings).unwrap();
        let deadline = instant_now() + Duration::from_secs(60);
        let writes = join_all((0..500).map(|number| {
            let (zone, key, before, one) = (&zone, key(number), found(&key(number), &all), &one);
            async move { zone.write(&key, Some(&before), one, deadline).await }
        }));
        // Each commit publishes a version of its own, after one build and one write of the file.
        let mut versions = zone.versions();
        let mut commits = 0;
        let count = async {
            while versions.changed().await.is_ok() {
                commits += 1;
            }
        };
        let results = select! {
            results = writes => results,
            () = count => Vec::new(),
        };
        assert_eq!(results.len(), 500);
        assert!(results.iter().all(Result::is_ok), "{results:?}");
        assert!(commits <= 10, "500 writes took {commits} commits");
        let kept = Place::new(folder.path(), &origin).read().unwrap().unwrap();
        assert!((0..500).all(|number| kept.sets.get(&key(number)) == Some(&one)));
        assert_eq!(zone.served().content().serial(), kept.serial);
    }
}

//! What a zone keeps over restarts: its serial, and the sets that services keep. One small file, replaced as a whole.
//!
//! A file that is not as it was written is set aside under another name and told of; what others can write is neither
//! read nor written. Two processes never keep one zone. Start at [`Folder::claim`].

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::content::Sets;
use super::serial::Serial;
use crate::clock::wall_time;
use crate::file_access::{FileAccess, TooOpen};
use crate::model::{Fqdn, RecordKey, RecordSet, RecordType, Routing, Ttl};

/// As many bytes of a file are read; a thousand sets of ten addresses are 150 kB.
const FILE_MAX: u64 = 16 << 20;
/// The mode of what is made here.
const FOR_US_ALONE: u32 = 0o600;

/// Why what a zone keeps cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Another process has it.
    #[error("another process serves {zone} from {path}; stop it, or give this one another daemon.state_dir")]
    InUse {
        /// Which zone.
        zone: Fqdn,
        /// Its file.
        path: PathBuf,
    },
    /// The file or its folder.
    #[error("cannot use {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others can write there.
    #[error(transparent)]
    TooOpen(#[from] TooOpen),
    /// It is not what was written.
    #[error("{path} is damaged: {problem}")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// In which way.
        problem: String,
    },
}

/// What a zone keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) serial: Serial,
    pub(super) sets: Arc<Sets>,
}

/// As it stands in the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    /// Of `zone` as it stands here, in base64.
    sha256: String,
    zone: StoredZone,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredZone {
    name: String,
    serial: u32,
    sets: Vec<StoredSet>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredSet {
    name: String,
    #[serde(rename = "type")]
    record_type: String,
    ttl: u32,
    values: Vec<IpAddr>,
}

/// Where the zones of a `state_dir` are kept, and one zone's file there.
#[derive(Clone, Debug)]
pub(super) struct Place {
    zone: Fqdn,
    folder: PathBuf,
}

/// A zone's file that is ours as long as this lives.
#[derive(Debug)]
pub(super) struct Claim {
    /// Locked; the system unlocks it however this process ends.
    _lock: File,
}

impl Place {
    pub(super) fn new(state_dir: &Path, zone: &Fqdn) -> Self {
        Self { zone: zone.clone(), folder: state_dir.join("zones") }
    }

    /// The file.
    pub(super) fn path(&self) -> PathBuf {
        self.folder.join(format!("{}.json", self.zone.host()))
    }

    /// Makes the folder where it is missing, and keeps other processes from this zone.
    ///
    /// # Errors
    /// `InUse` when one has it already; anything else when nothing can be kept there.
    pub(super) fn claim(&self) -> Result<Claim, StateError> {
        let failed = |source| StateError::File { path: self.folder.clone(), source };
        for folder in self.folder.parent().into_iter().chain([self.folder.as_path()]) {
            match DirBuilder::new().mode(0o700).create(folder) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
                Ok(()) | Err(_) => {}
            }
        }
        FileAccess::of(&self.folder).map_err(failed)?.is_ours_alone()?;
        let lock = self.folder.join(format!("{}.lock", self.zone.host()));
        let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(FOR_US_ALONE).open(lock);
        let lock = lock.map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Claim { _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                Err(StateError::InUse { zone: self.zone.clone(), path: self.path() })
            }
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// What is kept; none when nothing is.
    ///
    /// # Errors
    /// When it cannot be read, others can write it, or it is damaged.
    pub(super) fn read(&self) -> Result<Option<State>, StateError> {
        let path = self.path();
        let failed = |source| StateError::File { path: path.clone(), source };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        FileAccess::from_metadata(&path, &file.metadata().map_err(failed)?).is_ours_alone()?;
        let mut bytes = Vec::new();
        file.take(FILE_MAX).read_to_end(&mut bytes).map_err(failed)?;
        self.parse(&bytes).map(Some).map_err(|problem| StateError::Damaged { path, problem })
    }

    fn parse(&self, bytes: &[u8]) -> Result<State, String> {
        let Stored { sha256, zone } = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if digest(&zone).map_err(|error| error.to_string())? != sha256 {
            return Err("its checksum is not that of what it holds".to_owned());
        }
        if zone.name != self.zone.as_str() {
            return Err("it is of another zone".to_owned());
        }
        let sets = zone.sets.into_iter().map(|set| {
            let StoredSet { name, record_type, ttl, values } = set;
            let record_type = match record_type.as_str() {
                "A" => RecordType::A,
                "AAAA" => RecordType::Aaaa,
                _ => return None,
            };
            let key = RecordKey { name: Fqdn::parse(&name).ok()?, record_type, routing: Routing::Only };
            let fits = key.name.is_within(&self.zone) && values.iter().all(|it| record_type.holds(*it));
            let set = RecordSet::new(values.into_iter().collect(), Ttl::from_seconds(ttl)?).ok()?;
            fits.then_some((key, set))
        });
        let sets = sets.collect::<Option<Sets>>().ok_or("it holds a set that none could be")?;
        Ok(State { serial: Serial(zone.serial), sets: Arc::new(sets) })
    }

    /// Renames a file that cannot be used, and says to what. Nothing is overwritten.
    ///
    /// # Errors
    /// When it cannot be renamed.
    pub(super) fn set_aside(&self) -> io::Result<PathBuf> {
        let path = self.path();
        let seconds = wall_time().as_secs();
        for count in 0..100 {
            let aside = path.with_extension(format!("json.damaged-{seconds}-{count}"));
            if !aside.try_exists()? {
                fs::rename(&path, &aside)?;
                return Ok(aside);
            }
        }
        Err(io::Error::other("there is no free name beside it"))
    }

    /// Replaces the file as a whole; on disk when this returns.
    ///
    /// # Errors
    /// When it cannot be written. What was there before is there still.
    pub(super) fn write(&self, state: &State) -> Result<(), StateError> {
        let path = self.path();
        let failed = |source| StateError::File { path: path.clone(), source };
        let sets = state.sets.iter().map(|(key, set)| StoredSet {
            name: key.name.to_string(),
            record_type: key.record_type.to_string(),
            ttl: set.ttl().as_seconds(),
            values: set.values().iter().copied().collect(),
        });
        let zone = StoredZone { name: self.zone.to_string(), serial: state.serial.0, sets: sets.collect() };
        let bytes = digest(&zone).and_then(|sha256| serde_json::to_vec_pretty(&Stored { sha256, zone }));
        let bytes = bytes.map_err(|error| failed(error.into()))?;
        let new = path.with_extension("json.new");
        let write = || {
            let mut file =
                OpenOptions::new().create(true).truncate(true).write(true).mode(FOR_US_ALONE).open(&new)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            File::open(&self.folder)?.sync_all()
        };
        write().map_err(failed)
    }
}

fn digest(zone: &StoredZone) -> serde_json::Result<String> {
    let bytes = serde_json::to_vec(zone)?;
    Ok(STANDARD.encode(Sha256::digest(&bytes)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn place() -> (tempfile::TempDir, Place) {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::new(&folder.path().join("state"), &Fqdn::parse("dev.me").unwrap());
        (folder, place)
    }

    fn state() -> State {
        let set = |values: &[&str], ttl| {
            let values = values.iter().map(|value| value.parse().unwrap()).collect();
            RecordSet::new(values, Ttl::from_seconds(ttl).unwrap()).unwrap()
        };
        let key = |name, record_type| RecordKey {
            name: Fqdn::parse(name).unwrap(),
            record_type,
            routing: Routing::Only,
        };
        let sets = [
            (key("a.dev.me", RecordType::A), set(&["192.0.2.1", "192.0.2.2"], 30)),
            (key("a.dev.me", RecordType::Aaaa), set(&["2001:db8::1"], 60)),
        ];
        State { serial: Serial(7), sets: Arc::new(sets.into()) }
    }

    #[test]
    fn what_was_written_is_read_again() {
        let (_folder, place) = place();
        let _claim = place.claim().unwrap();
        assert_eq!(place.read().unwrap(), None);
        place.write(&state()).unwrap();
        assert_eq!(place.read().unwrap(), Some(state()));
    }

    #[test]
    fn a_file_that_differs_by_anything_is_damaged_and_set_aside_as_it_is() {
        let (_folder, place) = place();
        let _claim = place.claim().unwrap();
        place.write(&state()).unwrap();
        let good = fs::read_to_string(place.path()).unwrap();
        let cut = good.split_at(good.len() / 2).0;
        for bad in [&good.replace("192.0.2.2", "192.0.2.3"), &good.replace(": 7", ": 8"), cut, "", "{}"] {
            fs::write(place.path(), bad).unwrap();
            assert!(matches!(place.read(), Err(StateError::Damaged { .. })), "{bad}");
            let aside = place.set_aside().unwrap();
            assert_eq!(fs::read_to_string(aside).unwrap(), *bad);
            assert_eq!(place.read().unwrap(), None);
        }
    }

    #[test]
    fn a_zone_has_one_process() {
        let (_folder, place) = place();
        let claim = place.claim().unwrap();
        let error = place.claim().unwrap_err();
        assert!(matches!(error, StateError::InUse { .. }), "{error}");
        drop(claim);
        place.claim().unwrap();
    }

    #[test]
    fn what_others_can_write_is_not_believed() {
        let (_folder, place) = place();
        let _claim = place.claim().unwrap();
        place.write(&state()).unwrap();
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o666)).unwrap();
        assert!(matches!(place.read(), Err(StateError::TooOpen(_))));
    }
}

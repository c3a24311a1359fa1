//! The files in `state_dir`: who may use them, and where a corrupt journal goes.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::JournalError;
use crate::clock::wall_time;
use crate::file_access::{FileAccess, TooOpen};

/// A folder that a person has left with this many corrupt journals has a cause that another one will not mend.
const SET_ASIDE_MAX: usize = 10;
/// The mode of what is made here.
const FOR_US_ALONE: u32 = 0o600;
/// What SQLite appends to the name of a database for its write-ahead log and that log's index.
const COMPANIONS: [&str; 2] = ["-wal", "-shm"];

/// Where the journal of this folder is.
pub(super) fn journal_in(dir: &Path) -> PathBuf {
    dir.join("journal.db")
}

/// Whether a `state_dir` and the journal in it, where they are there, are such that it will be used.
///
/// # Errors
/// When others can write it, which may be anybody.
pub fn judge_access(state_dir: &Path) -> Result<(), TooOpen> {
    for path in [state_dir, &journal_in(state_dir)] {
        // What is not there will be made as it must be; what cannot be seen is for the user that it belongs to.
        if let Ok(access) = FileAccess::of(path) {
            access.is_ours_alone()?;
        }
    }
    Ok(())
}

/// A `state_dir` that is ours as long as this lives.
#[derive(Debug)]
pub(super) struct Files {
    dir: PathBuf,
    /// Locked; the system unlocks it however this process ends.
    _lock: File,
}

impl Files {
    /// Makes the folder if only it is missing, and locks it against other processes.
    pub(super) fn claim(dir: &Path) -> Result<Self, JournalError> {
        let folder = |source| JournalError::Folder { dir: dir.to_owned(), source };
        match DirBuilder::new().mode(0o700).create(dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(folder(error)),
            Ok(()) | Err(_) => {}
        }
        FileAccess::of(dir).map_err(folder)?.is_ours_alone()?;
        let lock = dir.join("journal.lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(FOR_US_ALONE).open(lock);
        let lock = lock.map_err(folder)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { dir: dir.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(JournalError::InUse { dir: dir.to_owned() }),
            Err(TryLockError::Error(error)) => Err(folder(error)),
        }
    }

    /// The journal's file, made when it is missing: SQLite would let others read it. One that is there is not
    /// opened, for closing it again would take SQLite's locks on it from the whole process.
    pub(super) fn journal(&self) -> Result<PathBuf, JournalError> {
        let path = journal_in(&self.dir);
        match OpenOptions::new().create_new(true).write(true).mode(FOR_US_ALONE).open(&path) {
            Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
                Err(JournalError::Folder { dir: self.dir.clone(), source })
            }
            Ok(_) => Ok(path),
            Err(_) => {
                // One that others can write says of our past, and of what is ours, what they like.
                let folder = |source| JournalError::Folder { dir: self.dir.clone(), source };
                FileAccess::of(&path).map_err(folder)?.is_ours_alone()?;
                Ok(path)
            }
        }
    }

    /// Renames the journal with all that belongs to it, and says to what. Nothing is deleted or overwritten.
    pub(super) fn set_aside(&self) -> Result<PathBuf, JournalError> {
        let path = journal_in(&self.dir);
        let failed = |source| JournalError::SetAside { path: path.clone(), source };
        let count = self.count_set_aside().map_err(failed)?;
        if count >= SET_ASIDE_MAX {
            return Err(JournalError::TooManySetAside { path, count });
        }
        let aside = self.free_name();
        // The database first: a log that is left behind alone is of no use to anybody, a database without its log
        // could pass for a sound one of some time ago.
        fs::rename(&path, &aside).map_err(failed)?;
        for companion in COMPANIONS {
            match fs::rename(with(&path, companion), with(&aside, companion)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(aside)
    }

    fn count_set_aside(&self) -> io::Result<usize> {
        let mut count = 0;
        for entry in fs::read_dir(&self.dir)? {
            let name = entry?.file_name();
            let name = name.to_string_lossy();
            let companion = COMPANIONS.iter().any(|companion| name.ends_with(companion));
            count += usize::from(name.starts_with("journal.db.corrupt-") && !companion);
        }
        Ok(count)
    }

    fn free_name(&self) -> PathBuf {
        let seconds = i64::try_from(wall_time().as_secs()).unwrap_or(i64::MAX);
        let now = Timestamp::from_second(seconds).unwrap_or_default().strftime("%Y%m%dT%H%M%SZ").to_string();
        let name = self.dir.join(format!("journal.db.corrupt-{now}"));
        let mut free = name.clone();
        let mut more = 2;
        while free.symlink_metadata().is_ok() {
            free = with(&name, &format!(".{more}"));
            more += 1;
        }
        free
    }
}

fn with(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::file_access::TooOpen;

/// Why the journal cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The folder cannot be made or used.
    #[error(
        "cannot use the state_dir {dir}; make it a folder that pointsman may write to, or change daemon.state_dir"
    )]
    Folder {
        /// The `state_dir`.
        dir: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others can write it, and with it what we remember.
    #[error(transparent)]
    Open(#[from] TooOpen),
    /// Another process has it.
    #[error("another pointsman uses the state_dir {dir}; stop it, or give this one a state_dir of its own")]
    InUse {
        /// The `state_dir`.
        dir: PathBuf,
    },
    /// A newer program wrote it. It is left alone.
    #[error(
        "{path} is of version {found}, written by a newer pointsman, and this one knows versions up to {known}; \
         run the newer one, or move the file away with its -wal"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest that this program knows.
        known: usize,
    },
    /// Something else's database has its name. It is left alone.
    #[error("{path} is a database, and not a journal of pointsman; move it away")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// SQLite cannot read it.
    #[error("{path} is corrupt")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What it met.
        source: rusqlite::Error,
    },
    /// SQLite's own check found damage.
    #[error("{path} is corrupt: {found}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The first thing that the check found.
        found: String,
    },
    /// So many corrupt ones are there already that something else must be wrong.
    #[error(
        "{path} is corrupt, and {count} such files lie beside it already; see what damages them, and move them away"
    )]
    TooManySetAside {
        /// The file.
        path: PathBuf,
        /// How many.
        count: usize,
    },
    /// The corrupt one cannot be renamed.
    #[error("cannot set the corrupt {path} aside; see that pointsman may rename files in its folder")]
    SetAside {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no room.
    #[error("there is no room to write {path}; free space on its file system")]
    Full {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// It can be read only.
    #[error("{path} cannot be written; see that file, folder and file system are writable for pointsman")]
    ReadOnly {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// There is none to read.
    #[error("there is no journal in {dir}; see that daemon.state_dir is right and that pointsman has run")]
    Missing {
        /// The `state_dir`.
        dir: PathBuf,
    },
    /// Anything else.
    #[error("cannot use {path}; see that it belongs to pointsman and that its disk works")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// Somebody took it away from under us.
    #[error("{path} was moved or removed while it was in use; a new one is made")]
    Moved {
        /// The file.
        path: PathBuf,
    },
    /// The disk does not answer.
    #[error("the journal in {dir} has not opened within {within:?}; see that its disk works")]
    Slow {
        /// The `state_dir`.
        dir: PathBuf,
        /// How long was waited.
        within: Duration,
    },
    /// The thread that writes cannot be had, or is gone.
    #[error("the thread that writes the journal is not there; restart pointsman")]
    Thread,
}

impl JournalError {
    /// What an answer of SQLite about the file at `path` comes to.
    pub(super) fn of(path: &Path, source: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as Code;
        let (path, code) = (path.to_owned(), source.sqlite_error_code());
        match code {
            Some(Code::DatabaseCorrupt | Code::NotADatabase) => Self::Corrupt { path, source },
            Some(Code::DiskFull) => Self::Full { path, source },
            Some(Code::ReadOnly | Code::PermissionDenied) => Self::ReadOnly { path, source },
            Some(_) | None => Self::Sqlite { path, source },
        }
    }

    /// Whether the file is to be set aside and made anew.
    pub(super) fn is_corrupt(&self) -> bool {
        matches!(self, Self::Corrupt { .. } | Self::Damaged { .. })
    }

    /// In one sentence, with its causes.
    pub(super) fn in_words(&self) -> String {
        let mut words = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            words = format!("{words} ({error})");
            cause = error.source();
        }
        words
    }
}

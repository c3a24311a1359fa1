//! Who else may use a file: the one place that asks the system about owners and modes.
//!
//! Links are followed, and what they lead to is judged. The owner may do anything, and so may root; a group is trusted,
//! since somebody chose it, save where a file is said to be ours alone. Every refusal names the command that mends it.
//! Start at [`FileAccess::of`].

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

const ROOT: u32 = 0;
/// Names in such a folder can be taken away by their owners alone.
const STICKY: u32 = 0o1000;

/// Who may use a file or folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileAccess {
    path: PathBuf,
    owner: u32,
    /// With the bits beyond the nine.
    mode: u32,
    /// The user that asks.
    us: u32,
}

/// Others may do more with a file than they must.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}; {hint}")]
pub struct TooOpen {
    /// What is wrong, with which file.
    pub message: String,
    /// What to do: a command.
    pub hint: String,
}

impl FileAccess {
    /// Of what the path leads to.
    ///
    /// # Errors
    /// When there is nothing, or the way to it is closed.
    pub fn of(path: &Path) -> io::Result<Self> {
        Ok(Self::from_metadata(path, &std::fs::metadata(path)?))
    }

    /// Of a file that was looked at already.
    #[must_use]
    pub fn from_metadata(path: &Path, found: &Metadata) -> Self {
        let us = rustix::process::geteuid().as_raw();
        Self { path: path.to_owned(), owner: found.uid(), mode: found.permissions().mode() & 0o7777, us }
    }

    /// Nobody but its owner and group reads or writes it, and the owner is root or us.
    ///
    /// # Errors
    /// When that is not so.
    pub fn is_secret(&self) -> Result<(), TooOpen> {
        self.is_ours()?;
        self.lacks(0o007, "is open to others", "600")
    }

    /// Nobody but its owner and group writes it, and the owner is root or us: it decides what is done.
    ///
    /// # Errors
    /// When that is not so.
    pub fn is_trusted(&self) -> Result<(), TooOpen> {
        self.is_ours()?;
        if self.mode & STICKY != 0 { Ok(()) } else { self.lacks(0o002, "can be written by others", "o-w") }
    }

    /// Nobody but us and root writes it, a group neither.
    ///
    /// # Errors
    /// When that is not so.
    pub fn is_ours_alone(&self) -> Result<(), TooOpen> {
        self.is_ours()?;
        self.lacks(0o022, "can be written by others", "go-w")
    }

    /// Root asks for whoever the file is for, so to root any owner is right.
    fn is_ours(&self) -> Result<(), TooOpen> {
        if [ROOT, self.us].contains(&self.owner) || self.us == ROOT {
            return Ok(());
        }
        let (path, owner, us) = (self.path.display(), self.owner, self.us);
        Err(TooOpen {
            message: format!("{path} belongs to user {owner}, who is neither root nor this user ({us})"),
            hint: format!("run: chown root {path}"),
        })
    }

    fn lacks(&self, bits: u32, what: &str, chmod: &str) -> Result<(), TooOpen> {
        if self.mode & bits == 0 {
            return Ok(());
        }
        let (path, mode, owner) = (self.path.display(), self.mode, self.owner);
        Err(TooOpen {
            message: format!("{path} {what} (mode {mode:04o}, of user {owner})"),
            hint: format!("run: chmod {chmod} {path}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: u32 = 998;
    const SOMEBODY: u32 = 1000;

    fn file(owner: u32, mode: u32) -> FileAccess {
        FileAccess { path: "/f".into(), owner, mode, us: US }
    }

    fn refused(judged: Result<(), TooOpen>) -> Option<String> {
        judged.err().map(|error| error.to_string())
    }

    #[test]
    fn owner_and_mode_are_those_of_the_file_that_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        std::fs::write(&real, "").unwrap();
        std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let us = rustix::process::geteuid().as_raw();
        // Only root can give a file away.
        let owner = if us == ROOT { SOMEBODY } else { us };
        std::os::unix::fs::chown(&real, Some(owner), None).unwrap();
        let access = FileAccess::of(&link).unwrap();
        assert_eq!(access, FileAccess { path: link, owner, mode: 0o640, us });
        assert_eq!(FileAccess { us: US, ..access }.is_secret().is_err(), owner != US);
        assert!(FileAccess::of(&folder.path().join("none")).is_err());
    }

    #[test]
    fn a_secret_is_read_by_its_owner_and_group_alone() {
        for mode in [0o600, 0o400, 0o440, 0o660] {
            assert_eq!(file(US, mode).is_secret(), Ok(()), "{mode:o}");
        }
        for mode in [0o604, 0o644, 0o601, 0o602] {
            let said = refused(file(ROOT, mode).is_secret()).unwrap();
            assert_eq!(said, format!("/f is open to others (mode {mode:04o}, of user 0); run: chmod 600 /f"));
        }
    }

    #[test]
    fn what_decides_what_is_done_is_written_by_its_owner_and_group_alone() {
        for mode in [0o644, 0o664, 0o600, 0o777 | STICKY] {
            assert_eq!(file(ROOT, mode).is_trusted(), Ok(()), "{mode:o}");
        }
        let said = refused(file(US, 0o646).is_trusted()).unwrap();
        assert_eq!(said, "/f can be written by others (mode 0646, of user 998); run: chmod o-w /f");
    }

    #[test]
    fn what_is_ours_alone_is_written_by_no_group() {
        for mode in [0o700, 0o755, 0o600] {
            assert_eq!(file(US, mode).is_ours_alone(), Ok(()), "{mode:o}");
        }
        for mode in [0o720, 0o702, 0o1777] {
            assert!(refused(file(US, mode).is_ours_alone()).unwrap().ends_with("run: chmod go-w /f"));
        }
    }

    #[test]
    fn somebody_else_s_file_is_refused_save_by_root() {
        for judge in [FileAccess::is_secret, FileAccess::is_trusted, FileAccess::is_ours_alone] {
            let said = refused(judge(&file(SOMEBODY, 0o600))).unwrap();
            let owner = "belongs to user 1000, who is neither root nor this user (998)";
            assert_eq!(said, format!("/f {owner}; run: chown root /f"));
            assert_eq!(judge(&FileAccess { us: ROOT, ..file(SOMEBODY, 0o600) }), Ok(()));
            assert_eq!(judge(&file(US, 0o600)), Ok(()));
        }
    }
}

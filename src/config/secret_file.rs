//! Whether the files that hold secrets can be used, so that nobody finds out when keys are first needed.

use std::fs::File;
use std::path::PathBuf;

use super::report::{At, Report};
use crate::file_access::{FileAccess, TooOpen};

/// Refuses the file that a key names unless it can be read, and by nobody but its owner and group. A group is allowed:
/// that is how a service manager hands over a file of root's. What stands in it is not read.
pub(super) fn judge(file: &At<PathBuf>, report: &mut Report<'_>) {
    let path = file.value.display();
    // A file is opened, since only that tells whether this user may; what is none could make that wait for ever.
    let opened = std::fs::metadata(&file.value)
        .and_then(|found| if found.is_file() { File::open(&file.value)?.metadata() } else { Ok(found) });
    let (message, hint) = match &opened {
        Err(error) => (
            format!("cannot read {path}: {error}"),
            "write the secret into it, and let this user read it".to_owned(),
        ),
        Ok(found) if !found.is_file() => {
            (format!("{path} is not a file"), "write the name of the file that holds the secret".to_owned())
        }
        Ok(found) => match FileAccess::from_metadata(&file.value, found).is_secret() {
            Err(TooOpen { message, hint }) => (message, hint),
            Ok(()) if found.len() == 0 => (format!("{path} is empty"), "write the secret into it".to_owned()),
            Ok(()) => return,
        },
    };
    report.value(&file.mark, format_args!("{}: {message}", file.mark.key), hint);
}

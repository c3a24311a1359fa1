//! `include`: which further files a configuration takes in, and what stands in them.
//!
//! Patterns are relative to the file that names them; `*` and `?` stand in a file's name only, so that nobody has to
//! guess which folders are walked. What is taken in cannot take in more, so there are no cycles.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::load::is_trusted;
use super::raw::RootKeys;
use super::report::Report;
use crate::file_access::TooOpen;

/// As many services as one instance is built for, each in a file of its own.
const FILES_MAX: usize = 1_000;

/// How long a file may be, in bytes: as many services as one instance is built for, all in one, with much to say of each.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What stands in a file, unless it is too long to be a configuration.
pub(super) fn read_whole(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let length = File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if u64::try_from(length).is_ok_and(|length| length <= FILE_BYTES_MAX) {
        Ok(bytes)
    } else {
        let message = format!("it is longer than {FILE_BYTES_MAX} bytes, which no configuration is");
        Err(io::Error::new(io::ErrorKind::FileTooLarge, message))
    }
}

/// A file that was taken in.
#[derive(Debug)]
pub(super) struct Included {
    /// Relative to where the first file's own path is relative to.
    pub(super) path: PathBuf,
    /// What stands in it.
    pub(super) text: String,
}

/// Why an entry of `include` takes in nothing: what is wrong, and what to write instead.
#[derive(Debug)]
struct Refusal(String, Cow<'static, str>);

/// Reads the files that `main` takes in: those of each pattern in the order of their names, each file once.
pub(super) fn included(keys: &RootKeys, main: &Path, report: &mut Report<'_>) -> Vec<Included> {
    let mut files = Vec::new();
    let Some(patterns) = &keys.include else { return files };
    let folder = main.parent().unwrap_or(Path::new(""));
    let mut taken: BTreeSet<PathBuf> = main.canonicalize().into_iter().collect();
    for pattern in &patterns.value {
        let mut refuse = |Refusal(message, hint): Refusal, span: Range<usize>| {
            report.incomplete();
            report.error(&patterns.mark.place, span, format_args!("include: {message}"), hint);
        };
        let paths = match matching(&folder.join(pattern.get_ref())) {
            Ok(paths) => paths,
            Err(refusal) => {
                refuse(refusal, pattern.span());
                continue;
            }
        };
        for path in paths {
            // One file has many names, so it is known by what it really is.
            if !taken.insert(path.canonicalize().unwrap_or_else(|_| path.clone())) {
                continue;
            }
            if files.len() == FILES_MAX {
                let message = format!("more than {FILES_MAX} files, {} and others", path.display());
                refuse(Refusal(message, "put several services into one file".into()), pattern.span());
                return files;
            }
            match read(&path) {
                Ok(text) => files.push(Included { path, text }),
                Err(refusal) => refuse(refusal, pattern.span()),
            }
        }
    }
    files
}

/// The files that a pattern stands for, in the order of their names; a plain name stands for itself.
fn matching(pattern: &Path) -> Result<Vec<PathBuf>, Refusal> {
    let wild = |part: &str| part.contains(['*', '?']);
    let name = pattern.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let folder = pattern.parent().unwrap_or(Path::new(""));
    if wild(&folder.to_string_lossy()) {
        let message = format!("{} has a * or ? in the name of a folder", pattern.display());
        return Err(Refusal(
            message,
            "write one pattern for each folder: [\"shop/*.toml\", \"search/*.toml\"]".into(),
        ));
    }
    if !wild(name) {
        return Ok(vec![pattern.to_owned()]);
    }
    let here = if folder == Path::new("") { Path::new(".") } else { folder };
    let entries = match here.read_dir() {
        Ok(entries) => entries,
        // A pattern that matches nothing is as good as one whose folder is not there yet.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(cannot_read(here, &error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| cannot_read(here, &error))?;
        let found = entry.file_name();
        let Some(found) = found.to_str() else { continue };
        // Editors keep half-written copies under such names.
        let hidden = found.starts_with('.') && !name.starts_with('.');
        let path = folder.join(found);
        if !hidden && matches(name.as_bytes(), found.as_bytes()) && !path.is_dir() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Whether a name fits a pattern: `*` stands for any bytes, `?` for one. After a mismatch only the latest `*` needs
/// to stand for one byte more, so the time is bounded by the product of both lengths.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut seen) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(byte) = name.get(seen) {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at + 1, seen));
                at += 1;
            }
            Some(sign) if *sign == b'?' || sign == byte => {
                at += 1;
                seen += 1;
            }
            Some(_) | None => {
                let Some((after, from)) = star else { return false };
                star = Some((after, from + 1));
                (at, seen) = (after, from + 1);
            }
        }
    }
    pattern.iter().skip(at).all(|sign| *sign == b'*')
}

fn read(path: &Path) -> Result<String, Refusal> {
    let is_file = path.metadata().map_err(|error| cannot_read(path, &error))?.is_file();
    if !is_file {
        let message = format!("{} is not a file", path.display());
        return Err(Refusal(message, "write files: \"conf.d/*.toml\"".into()));
    }
    if let Err(TooOpen { message, hint }) = is_trusted(path).map_err(|error| cannot_read(path, &error))? {
        return Err(Refusal(message, hint.into()));
    }
    let bytes = read_whole(path).map_err(|error| cannot_read(path, &error))?;
    String::from_utf8(bytes).map_err(|error| {
        let line = not_text_at(error.as_bytes(), &error.utf8_error());
        Refusal(format!("{}:{line} is not UTF-8 text", path.display()), "save it as UTF-8".into())
    })
}

/// The line, from 1, of the first byte that is no UTF-8.
pub(super) fn not_text_at(bytes: &[u8], error: &std::str::Utf8Error) -> usize {
    bytes.get(..error.valid_up_to()).unwrap_or_default().split(|byte| *byte == b'\n').count()
}

fn cannot_read(path: &Path, error: &io::Error) -> Refusal {
    let message = format!("cannot read {}: {error}", path.display());
    Refusal(message, "correct the name, or let pointsman's user read it".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_bytes_and_a_question_mark_for_one() {
        for (pattern, good, bad) in [
            ("*.toml", ["a.toml", ".toml"], ["a.toml~", "toml"]),
            ("shop-?.toml", ["shop-1.toml", "shop-b.toml"], ["shop-.toml", "shop-12.toml"]),
            ("*a*b*", ["ab", "xaxbx"], ["ba", "xbxax"]),
        ] {
            for name in good {
                assert!(matches(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
            }
            for name in bad {
                assert!(!matches(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
            }
        }
    }

    #[test]
    fn a_pattern_made_to_take_long_does_not() {
        let pattern = "*a".repeat(100);
        assert!(!matches(pattern.as_bytes(), "a".repeat(5_000).replace("aa", "ab").as_bytes()));
    }
}

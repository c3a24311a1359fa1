//! From a file, and those that it takes in, to a [`Config`], or to everything that is wrong with them.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::account::clouds;
use super::daemon::daemon;
use super::include::{Included, included, not_text_at, read_whole};
use super::named::Named;
use super::problem::{Problem, Problems, Severity};
use super::provider::providers;
use super::raw::{IDLE_ROOT_KEYS, RootKeys, TimingKeys};
use super::report::{Place, Rank, Report};
use super::service::{Sections, services};
use super::source::based;
use super::table::Table;
use super::vantage::vantage;
use super::{Config, secret_file};
use crate::file_access::{FileAccess, TooOpen};
use crate::model::count_in_words;

/// A configuration that can be used, and what somebody should look at.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The files that it was read from: the one named, then those that it takes in, in the order read.
    pub files: Vec<PathBuf>,
    /// Its warnings, in the order of its lines.
    pub warnings: Vec<Problem>,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}; does it exist, and may this user read it?", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not text.
    #[error("{}:{line}: the configuration is not UTF-8 text; save it as UTF-8", .path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// The line, from 1, of the first byte that is none.
        line: usize,
    },
    /// Others can write it, or the folder it lies in: they decide where names point.
    #[error("refused the configuration: {0}")]
    Open(TooOpen),
    /// What is written in it is not a configuration.
    #[error(transparent)]
    Problems(#[from] Problems),
}

/// Reads a configuration file, and those that it takes in, none of which others may write; files that hold secrets must
/// be there, and closed to others. Blocks while the disk does.
///
/// # Errors
/// When the file cannot be read or is not text, and as [`parse`].
pub fn load(path: &Path) -> Result<Loaded, LoadError> {
    let cannot = |source| LoadError::Read { path: path.to_owned(), source };
    is_trusted(path).map_err(cannot)?.map_err(LoadError::Open)?;
    let bytes = read_whole(path).map_err(cannot)?;
    match std::str::from_utf8(&bytes) {
        Ok(source) => Ok(read(source, path, SecretFiles::Judged)?),
        Err(error) => Err(LoadError::NotText { path: path.to_owned(), line: not_text_at(&bytes, &error) }),
    }
}

/// Whether nobody can write a file, or put another in its place, who must not: it, its folder, and where a link
/// leads to that folder.
pub(super) fn is_trusted(path: &Path) -> io::Result<Result<(), TooOpen>> {
    let real = path.canonicalize()?;
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    for judged in [Some(path), Some(folder), real.parent()].into_iter().flatten() {
        if let Err(open) = FileAccess::of(judged)?.is_trusted() {
            return Ok(Err(open));
        }
    }
    Ok(Ok(()))
}

/// Reads a configuration from text; `file` is what problems call it, and where `include` starts from. Files that hold
/// secrets are not looked at.
///
/// # Errors
/// All that is wrong with it, file by file in the order of their lines, and never the first alone.
pub fn parse(source: &str, file: &Path) -> Result<Loaded, Problems> {
    read(source, file, SecretFiles::LeftAlone)
}

/// What is made of files that hold secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SecretFiles {
    /// One that cannot be used is a problem.
    Judged,
    /// They may be on another machine.
    LeftAlone,
}

fn read(source: &str, file: &Path, secret_files: SecretFiles) -> Result<Loaded, Problems> {
    let others = OnceCell::new();
    let mut report = Report::new(file, source);
    let mut main = document(source, 0, &mut report);
    let keys = RootKeys::take(&mut main, &mut report);
    let mut files = vec![main];
    for Included { path, text } in others.get_or_init(|| included(&keys, file, &mut report)) {
        let base = report.add(path, text);
        files.push(document(text, base, &mut report));
    }
    let config = assemble(files, &mut report);
    let named = report.take_secret_files();
    for file in named.iter().filter(|_| secret_files == SecretFiles::Judged) {
        secret_file::judge(file, &mut report);
    }
    let files = report.files();
    let problems = report.draw();
    match config {
        Some(config) if problems.iter().all(|problem| problem.severity == Severity::Warning) => {
            Ok(Loaded { config, files, warnings: problems })
        }
        Some(_) | None => Err(Problems(problems)),
    }
}

/// The top of a file that starts at `base`.
fn document<'s>(text: &'s str, base: usize, report: &mut Report<'_>) -> Table<'s> {
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        report.syntax(error, base);
    }
    let place = Place { name: "".into(), rank: Rank::General, head: base..base };
    Table::new(based(document.into_inner(), base), place)
}

/// One configuration from the tops of all files, the first of which takes in the others.
fn assemble(mut files: Vec<Table<'_>>, report: &mut Report<'_>) -> Option<Config> {
    for file in &mut files {
        refuse_later(file, report);
    }
    let (main, others) = files.split_first_mut()?;
    let daemon = daemon(main, report);
    let defaults = defaults(main, report);
    for file in others {
        refuse_from_included(file, report);
    }
    let clouds = clouds(&mut files, report);
    let providers = providers(&mut files, &clouds, report);
    let sections = Sections { defaults, clouds: &clouds, providers: &providers };
    let services = services(&mut files, &sections, report);
    let vantage = vantage(files.first_mut()?, &services, report);
    for file in files {
        file.finish(report);
    }
    Some(Config { daemon, vantage, clouds: all(clouds)?, providers: all(providers)?, services })
}

/// What holds for everything stands where everybody looks for it: in the first file.
fn refuse_from_included(file: &mut Table<'_>, report: &mut Report<'_>) {
    for (key, hint) in [
        ("daemon", "move it into the file that has the include"),
        ("vantage", "move it into the file that has the include"),
        ("defaults", "move it into the file that has the include, or write its keys in each service here"),
        ("include", "add its files to the include that takes in this one"),
    ] {
        if let Some(mark) = file.take_mark(key) {
            report.key(&mark, format_args!("{key} cannot stand in a file that another one includes"), hint);
        }
    }
}

/// What is promised and not built yet: refused where it would be unsafe to go on without it.
fn refuse_later(root: &mut Table<'_>, report: &mut Report<'_>) {
    if let Some(mark) = root.take_mark("cluster") {
        let hint = "remove it, and run one instance only: two would write over each other";
        report.key(&mark, "cluster is not available in this version", hint);
    }
    root.take_idle(&IDLE_ROOT_KEYS, report);
}

fn defaults(root: &mut Table<'_>, report: &mut Report<'_>) -> TimingKeys {
    let (head, entries) = root.take_table("defaults", report).unwrap_or_default();
    let mut table = Table::new(entries, Place { name: "defaults".into(), rank: Rank::General, head });
    let keys = TimingKeys::take(&mut table, report);
    table.finish(report);
    keys
}

/// All of them, when all are good.
fn all<N: Ord, T>(named: Named<N, T>) -> Option<BTreeMap<N, T>> {
    named.into_iter().map(|(name, good)| Some((name, good?))).collect()
}

/// What `pointsman check` prints: every problem and warning, and what it comes to.
#[must_use]
pub fn report(path: &Path, result: &Result<Loaded, LoadError>) -> String {
    let mut text = String::new();
    let (problems, verdict): (&[Problem], String) = match result {
        Ok(Loaded { config, files, warnings }) => {
            for file in files.iter().skip(1) {
                let _ = writeln!(text, "includes {}", file.display());
            }
            (warnings, summary(config, warnings.len()))
        }
        Err(LoadError::Problems(Problems(problems))) => (problems, count(problems)),
        Err(error @ LoadError::Read { source, .. }) => return format!("{error}\n  {source}\n"),
        Err(error @ (LoadError::NotText { .. } | LoadError::Open(_))) => return format!("{error}\n"),
    };
    for problem in problems {
        let _ = writeln!(text, "{problem}\n");
    }
    let _ = writeln!(text, "{}: {verdict}", path.display());
    text
}

fn summary(config: &Config, warnings: usize) -> String {
    let regions: usize = config.services.iter().map(|service| service.regions.len()).sum();
    let checks: usize =
        config.services.iter().flat_map(|service| &service.regions).map(|region| region.checks.len()).sum();
    let parts = [
        count_in_words(config.services.len(), "service"),
        count_in_words(regions, "region"),
        count_in_words(checks, "check"),
    ];
    let warned =
        if warnings > 0 { format!(", {}", count_in_words(warnings, "warning")) } else { String::new() };
    format!("good, {}{warned}", parts.join(", "))
}

fn count(problems: &[Problem]) -> String {
    let warnings = problems.iter().filter(|problem| problem.severity == Severity::Warning).count();
    let errors = count_in_words(problems.len() - warnings, "problem");
    if warnings > 0 { format!("{errors}, {}", count_in_words(warnings, "warning")) } else { errors }
}

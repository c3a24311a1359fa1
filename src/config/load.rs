//! From a file to a [`Config`], or to everything that is wrong with it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::Config;
use super::account::{Named, clouds, providers};
use super::daemon::daemon;
use super::problem::{Problem, Problems, Severity};
use super::raw::TimingKeys;
use super::report::{Place, Rank, Report};
use super::service::{Sections, services};
use super::table::Table;

/// A configuration that can be used, and what somebody should look at.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
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
    /// What is written in it is not a configuration.
    #[error(transparent)]
    Problems(#[from] Problems),
}

/// Reads a configuration file. Blocks while the disk does.
///
/// # Errors
/// When the file cannot be read or is not text, and as [`parse`].
pub fn load(path: &Path) -> Result<Loaded, LoadError> {
    let bytes = std::fs::read(path).map_err(|source| LoadError::Read { path: path.to_owned(), source })?;
    match std::str::from_utf8(&bytes) {
        Ok(source) => Ok(parse(source, path)?),
        Err(error) => {
            let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let line = good.split(|byte| *byte == b'\n').count();
            Err(LoadError::NotText { path: path.to_owned(), line })
        }
    }
}

/// Reads a configuration from text; `file` is what problems call it.
///
/// # Errors
/// All that is wrong with it, in the order of its lines, and never the first alone.
pub fn parse(source: &str, file: &Path) -> Result<Loaded, Problems> {
    let mut report = Report::new(source);
    let (document, errors) = DeTable::parse_recoverable(source);
    for error in &errors {
        report.syntax(error);
    }
    let place = Place { name: "".into(), rank: Rank::General, head: 0..0 };
    let config = root(Table::new(document.into_inner(), place), &mut report);
    let problems = report.draw(file);
    match config {
        Some(config) if problems.iter().all(|problem| problem.severity == Severity::Warning) => {
            Ok(Loaded { config, warnings: problems })
        }
        Some(_) | None => Err(Problems(problems)),
    }
}

fn root(mut root: Table<'_>, report: &mut Report<'_>) -> Option<Config> {
    refuse_later(&mut root, report);
    let daemon = daemon(&mut root, report);
    let clouds = clouds(&mut root, report);
    let providers = providers(&mut root, &clouds, report);
    let defaults = defaults(&mut root, report);
    let sections = Sections { defaults, clouds: &clouds, providers: &providers };
    let services = services(&mut root, &sections, report);
    root.finish(report);
    Some(Config { daemon, clouds: all(clouds)?, providers: all(providers)?, services })
}

/// What is promised and not built yet: refused where it would be unsafe to go on without it.
fn refuse_later(root: &mut Table<'_>, report: &mut Report<'_>) {
    for (key, hint) in [
        ("cluster", "remove it, and run one instance only: two would write over each other"),
        ("include", "write everything into this file"),
    ] {
        if let Some(mark) = root.take_mark(key) {
            report.key(&mark, format_args!("{key} is not available in this version"), hint);
        }
    }
    for (key, hint) in [
        ("notify", "nobody is told of anything; watch the log and the metrics"),
        ("vantage", "nothing tells yet whether it is this machine's own network that fails"),
    ] {
        if let Some(mark) = root.take_mark(key) {
            let message = format!("{key} has no effect in this version");
            report.warning(&mark.place.clone(), mark.key_span, message, hint);
        }
    }
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
        Ok(Loaded { config, warnings }) => (warnings, summary(config, warnings.len())),
        Err(LoadError::Problems(Problems(problems))) => (problems, count(problems)),
        Err(error @ LoadError::Read { source, .. }) => return format!("{error}\n  {source}\n"),
        Err(error @ LoadError::NotText { .. }) => return format!("{error}\n"),
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
    let parts =
        [plural(config.services.len(), "service"), plural(regions, "region"), plural(checks, "check")];
    let warned = if warnings > 0 { format!(", {}", plural(warnings, "warning")) } else { String::new() };
    format!("good, {}{warned}", parts.join(", "))
}

fn count(problems: &[Problem]) -> String {
    let warnings = problems.iter().filter(|problem| problem.severity == Severity::Warning).count();
    let errors = plural(problems.len() - warnings, "problem");
    if warnings > 0 { format!("{errors}, {}", plural(warnings, "warning")) } else { errors }
}

fn plural(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

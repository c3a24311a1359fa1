//! Collects what is wrong with a configuration's files and draws it as [`Problem`]s.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::problem::{Problem, Severity};
use super::source::{Source, moved, printable};

/// How many errors are told, and how many warnings: far more than anybody mends before looking again, and no more than
/// can be drawn in a moment.
const TOLD_MAX: usize = 500;

/// The part of a configuration that something was written in.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// As messages name it: `service "demo", check "web"`. Empty for the top of the file.
    pub(super) name: Arc<str>,
    /// How specific it is: the higher rank's value is the one in force.
    pub(super) rank: Rank,
    /// Its head, `[[service]]`, in bytes.
    pub(super) head: Range<usize>,
}

/// Places from the most general to the most specific.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// The top of the file, and sections that inherit nothing.
    General,
    /// `[[service]]`.
    Service,
    /// `[[service.region]]`.
    Region,
    /// `[[service.check]]`.
    Check,
    /// `[[service.region.check]]`.
    RegionCheck,
}

/// Where a value stands.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    /// Its key, dotted when it is within an inline table: `flap.window`.
    pub(super) key: &'static str,
    /// The key's own span, in bytes.
    pub(super) key_span: Range<usize>,
    /// The value's span, in bytes.
    pub(super) span: Range<usize>,
    /// What it was written in.
    pub(super) place: Place,
}

/// A good value, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    /// The value.
    pub(super) value: T,
    /// Where.
    pub(super) mark: Mark,
}

/// Everything found so far.
#[derive(Debug)]
pub(super) struct Report<'s> {
    /// The files, in the order read; at least one.
    sources: Vec<Source<'s>>,
    broken: bool,
    /// Keys whose value is wrong, with the start of their place's head: they are there, and not missing.
    bad: Vec<(usize, &'static str)>,
    found: Vec<Found>,
    /// The files that hold secrets.
    secret_files: Vec<At<PathBuf>>,
}

/// One problem, not drawn yet.
#[derive(Debug)]
struct Found {
    span: Range<usize>,
    severity: Severity,
    /// Whether the parser of TOML says so.
    syntax: bool,
    message: String,
    hint: Option<String>,
}

impl<'s> Report<'s> {
    /// An empty one for this file.
    pub(super) fn new(path: &'s Path, text: &'s str) -> Self {
        let sources = vec![Source::after(None, path, text)];
        Self { sources, broken: false, bad: Vec::new(), found: Vec::new(), secret_files: Vec::new() }
    }

    /// Takes in a further file; says where it starts.
    pub(super) fn add(&mut self, path: &'s Path, text: &'s str) -> usize {
        let source = Source::after(self.sources.last(), path, text);
        let base = source.base();
        self.sources.push(source);
        base
    }

    /// A file that holds a secret.
    pub(super) fn secret_file(&mut self, file: &At<PathBuf>) {
        self.secret_files.push(file.clone());
    }

    /// The files that hold secrets, each time one is named.
    pub(super) fn take_secret_files(&mut self) -> Vec<At<PathBuf>> {
        std::mem::take(&mut self.secret_files)
    }

    /// The files, in the order read.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        self.sources.iter().map(|source| source.path.to_owned()).collect()
    }

    /// Not all is known of what is written. What is missing is not reported any more: it may be missing only
    /// because it was not understood.
    pub(super) fn incomplete(&mut self) {
        self.broken = true;
    }

    /// What the parser of TOML did not understand in the file that starts at `base`.
    pub(super) fn syntax(&mut self, error: &toml::de::Error, base: usize) {
        self.incomplete();
        let (what, expected) = match error.message().split_once(", expected ") {
            Some((what, expected)) => (what, Some(format!("expected {expected}"))),
            None => (error.message(), None),
        };
        let hint = match what {
            "duplicate key" => Some("it was given before; keep one of the two".to_owned()),
            "string values must be quoted" => Some("put it in quotes: \"…\"".to_owned()),
            _ => expected,
        };
        let span = moved(&error.span().unwrap_or_default(), base);
        let message = format!("not TOML: {what}");
        self.found.push(Found { span, severity: Severity::Error, syntax: true, message, hint });
    }

    /// The value is wrong.
    pub(super) fn value(&mut self, mark: &Mark, message: impl Display, hint: impl Into<String>) {
        self.error(&mark.place, mark.span.clone(), message, hint);
    }

    /// The key should not be there at all.
    pub(super) fn key(&mut self, mark: &Mark, message: impl Display, hint: impl Into<String>) {
        self.error(&mark.place, mark.key_span.clone(), message, hint);
    }

    /// The place as a whole is wrong.
    pub(super) fn head(&mut self, place: &Place, message: impl Display, hint: impl Into<String>) {
        self.error(place, place.head.clone(), message, hint);
    }

    /// The place lacks a key that it must have.
    pub(super) fn missing(&mut self, place: &Place, key: &str, hint: impl Into<String>) {
        if !self.broken && !self.is_bad_in(place, key) {
            self.head(place, format_args!("{key} is missing"), hint);
        }
    }

    /// The key is of no use without another one of its place.
    pub(super) fn lacks(&mut self, mark: &Mark, key: &str, hint: impl Into<String>) {
        if !self.broken && !self.is_bad_in(&mark.place, key) {
            self.key(mark, format_args!("{} needs {key}", mark.key), hint);
        }
    }

    /// Remembers that the key is there, though its value cannot be used.
    pub(super) fn bad(&mut self, mark: &Mark) {
        self.bad.push((mark.place.head.start, mark.key));
    }

    /// Whether the key is there in this place, with a value that cannot be used.
    pub(super) fn is_bad_in(&self, place: &Place, key: &str) -> bool {
        self.bad.iter().any(|(head, bad)| *head == place.head.start && *bad == key)
    }

    /// Whether the key is somewhere with a value that cannot be used, so that rules on it say nothing.
    pub(super) fn is_bad(&self, key: &str) -> bool {
        self.bad.iter().any(|(_, bad)| *bad == key)
    }

    /// The value names something that is not there.
    pub(super) fn unresolved(&mut self, mark: &Mark, message: impl Display, hint: impl Into<String>) {
        if !self.broken {
            self.value(mark, message, hint);
        }
    }

    /// What stands at `span` of the place is wrong.
    pub(super) fn error(
        &mut self,
        place: &Place,
        span: Range<usize>,
        message: impl Display,
        hint: impl Into<String>,
    ) {
        self.push(place, span, Severity::Error, &message, hint.into());
    }

    /// It works, and somebody should look at what stands at `span`.
    pub(super) fn warning(
        &mut self,
        place: &Place,
        span: Range<usize>,
        message: impl Display,
        hint: impl Into<String>,
    ) {
        self.push(place, span, Severity::Warning, &message, hint.into());
    }

    fn push(
        &mut self,
        place: &Place,
        span: Range<usize>,
        severity: Severity,
        message: &dyn Display,
        hint: String,
    ) {
        let colon = if place.name.is_empty() { "" } else { ": " };
        let message = format!("{}{colon}{message}", place.name);
        self.found.push(Found { span, severity, syntax: false, message, hint: Some(hint) });
    }

    /// The key with its value as written, `timeout = "6s"`, or the key alone when the value is long or secret.
    pub(super) fn shown(&self, mark: &Mark) -> String {
        match self.text(&mark.span) {
            Some(text) => format!("{} = {text}", mark.key),
            None => mark.key.to_owned(),
        }
    }

    /// What is written at `span`, when it is short enough to be quoted, and no secret.
    pub(super) fn text(&self, span: &Range<usize>) -> Option<&'s str> {
        const QUOTED_MAX: usize = 60;
        let source = self.source_of(span.start)?;
        let text = source.text(span);
        let short = !text.is_empty() && text.len() <= QUOTED_MAX && !text.contains('\n');
        (short && !source.hides(span)).then_some(text)
    }

    /// All that is written at `span`.
    pub(super) fn source(&self, span: &Range<usize>) -> &'s str {
        self.source_of(span.start).map(|source| source.text(span)).unwrap_or_default()
    }

    /// Where a byte stands, for a message about another one: `line 12`, or `conf.d/shop.toml:12` when that is in
    /// another file.
    pub(super) fn whence(&self, at: usize, seen_from: usize) -> String {
        let Some(source) = self.source_of(at) else { return String::new() };
        let line = source.line(at);
        let same = self.source_of(seen_from).is_some_and(|other| other.base() == source.base());
        if same { format!("line {line}") } else { format!("{}:{line}", source.path.display()) }
    }

    fn source_of(&self, at: usize) -> Option<&Source<'s>> {
        let after = self.sources.partition_point(|source| source.base() <= at);
        self.sources.get(after.checked_sub(1)?)
    }

    /// All problems in the order of the files, each once; of very many errors and warnings the first ones.
    pub(super) fn draw(mut self) -> Vec<Problem> {
        self.found.sort_by_key(|found| (found.span.start, found.severity));
        let mut drawn: Vec<(bool, Problem)> = Vec::new();
        let mut told = BTreeMap::from([(Severity::Error, 0), (Severity::Warning, 0)]);
        for found in &self.found {
            let Some(told) = told.get_mut(&found.severity).filter(|told| **told < TOLD_MAX) else { continue };
            let Some(problem) = self.draw_one(found) else { continue };
            // What is inherited is judged once for each region that inherits it.
            let same_line = |other: &Problem| (other.line, &other.file) == (problem.line, &problem.file);
            if !drawn.iter().rev().take_while(|(_, p)| same_line(p)).any(|(_, p)| *p == problem) {
                drawn.push((found.syntax, problem));
                *told += 1;
            }
        }
        // What stands on a line that was not understood may not have been meant.
        let place = |problem: &Problem| (problem.file.clone(), problem.line);
        let broken: BTreeSet<_> = drawn.iter().filter(|(syntax, _)| *syntax).map(|(_, p)| place(p)).collect();
        drawn.retain(|(syntax, problem)| *syntax || !broken.contains(&place(problem)));
        drawn.into_iter().map(|(_, problem)| problem).collect()
    }

    fn draw_one(&self, found: &Found) -> Option<Problem> {
        let source = self.source_of(found.span.start)?;
        let (text, span) = source.draw(found.span.clone());
        // The top of a file as a whole has no line to show.
        let top = found.span == (source.base()..source.base()) && !found.syntax;
        Some(Problem {
            severity: found.severity,
            file: source.path.to_owned(),
            line: source.line(found.span.start),
            text: if top { String::new() } else { text },
            span: if top { (0, 1) } else { span },
            message: found.message.chars().map(printable).collect(),
            hint: found.hint.as_ref().map(|hint| hint.chars().map(printable).collect()),
        })
    }
}

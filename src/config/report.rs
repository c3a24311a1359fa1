//! Collects what is wrong with one source and draws it as [`Problem`]s.
//!
//! Every line shown goes through here, so secrets are masked here and nowhere else (SECRETS-STAY).

use std::cell::OnceCell;
use std::fmt::Display;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::problem::{Problem, Severity};
use super::secrets;

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
    source: &'s str,
    /// Where each line starts, in bytes.
    lines: Vec<usize>,
    /// What must not be shown of it; looked for when there is something to show.
    masks: OnceCell<Vec<Range<usize>>>,
    broken: bool,
    /// Keys whose value is wrong, with the start of their place's head: they are there, and not missing.
    bad: Vec<(usize, &'static str)>,
    found: Vec<Found>,
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
    /// An empty one.
    pub(super) fn new(source: &'s str) -> Self {
        let lines = std::iter::once(0).chain(source.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { source, lines, masks: OnceCell::new(), broken: false, bad: Vec::new(), found: Vec::new() }
    }

    /// What the parser of TOML did not understand. What is missing is not reported any more: it may be
    /// missing only because it was not understood.
    pub(super) fn syntax(&mut self, error: &toml::de::Error) {
        self.broken = true;
        let (what, expected) = match error.message().split_once(", expected ") {
            Some((what, expected)) => (what, Some(format!("expected {expected}"))),
            None => (error.message(), None),
        };
        let hint = match what {
            "duplicate key" => Some("it was given before; keep one of the two".to_owned()),
            "string values must be quoted" => Some("put it in quotes: \"…\"".to_owned()),
            _ => expected,
        };
        let span = error.span().unwrap_or_default();
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
        let text = self.source.get(span.clone())?;
        let secret = || self.masks().iter().any(|mask| mask.start < span.end && span.start < mask.end);
        let short = !text.is_empty() && text.len() <= QUOTED_MAX && !text.contains('\n');
        (short && !secret()).then_some(text)
    }

    fn masks(&self) -> &[Range<usize>] {
        self.masks.get_or_init(|| secrets::masks(self.source))
    }

    /// All that is written at `span`.
    pub(super) fn source(&self, span: &Range<usize>) -> &'s str {
        self.source.get(span.clone()).unwrap_or_default()
    }

    /// The line, from 1, that holds a byte of the source.
    pub(super) fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|start| *start <= at)
    }

    /// All problems in the order of the source, each once.
    pub(super) fn draw(mut self, file: &Path) -> Vec<Problem> {
        self.found.sort_by_key(|found| (found.span.start, found.severity));
        let mut drawn: Vec<(bool, Problem)> = Vec::with_capacity(self.found.len());
        for found in &self.found {
            let problem = self.draw_one(found, file);
            // What is inherited is judged once for each region that inherits it.
            if !drawn.iter().rev().take_while(|(_, p)| p.line == problem.line).any(|(_, p)| *p == problem) {
                drawn.push((found.syntax, problem));
            }
        }
        // What stands on a line that was not understood may not have been meant.
        let broken: Vec<usize> = drawn.iter().filter(|(syntax, _)| *syntax).map(|(_, p)| p.line).collect();
        drawn.retain(|(syntax, problem)| *syntax || broken.binary_search(&problem.line).is_err());
        drawn.into_iter().map(|(_, problem)| problem).collect()
    }

    fn draw_one(&self, found: &Found, file: &Path) -> Problem {
        let start = found.span.start.min(self.source.len());
        let number = self.line(start);
        let line_start = self.lines.get(number - 1).copied().unwrap_or_default();
        let line = self.source.get(line_start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
        // The top of the file as a whole has no line to show.
        let line = if found.span == (0..0) && !found.syntax { "" } else { line };
        let (text, span) = draw_line(line, line_start, start..found.span.end, self.masks());
        Problem {
            severity: found.severity,
            file: file.to_owned(),
            line: number,
            text,
            span,
            message: found.message.chars().map(printable).collect(),
            hint: found.hint.as_ref().map(|hint| hint.chars().map(printable).collect()),
        }
    }
}

/// A line without what must not be shown, and where in it the span is, in characters.
fn draw_line(
    line: &str,
    line_start: usize,
    span: Range<usize>,
    masks: &[Range<usize>],
) -> (String, (usize, usize)) {
    let mut text = String::with_capacity(line.len());
    let (mut shown, mut from, mut to) = (0, None, None);
    let mut hidden = false;
    for (place, character) in line.char_indices() {
        let at = line_start + place;
        if at >= span.start && from.is_none() {
            from = Some(shown);
        }
        if at >= span.end && to.is_none() {
            to = Some(shown);
        }
        let hide = masks.iter().any(|mask| mask.contains(&at));
        if !hide {
            text.push(printable(character));
            shown += 1;
        } else if !hidden {
            text.push_str("***");
            shown += 3;
        }
        hidden = hide;
    }
    let from = from.unwrap_or(shown);
    let to = to.unwrap_or(shown);
    (text, (from, to.saturating_sub(from).max(1)))
}

/// The character, or what stands for one that would move a terminal's cursor or colours.
fn printable(character: char) -> char {
    match character {
        '\t' => ' ',
        control if control.is_control() => '\u{fffd}',
        plain => plain,
    }
}

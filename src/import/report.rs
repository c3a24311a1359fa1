//! What is wrong with manifests, drawn as the problems of a configuration are.

use std::path::Path;

use super::tree::Spot;
use crate::config::{Problem, Severity};
use crate::model::quoted;

/// How many problems are told, and how many notes: far more than anybody mends before looking again.
const TOLD_MAX: usize = 100;

/// As many characters of a file's name are shown.
const PATH_MAX: usize = 200;

/// One of the files.
pub(super) struct Source<'f> {
    pub(super) path: &'f Path,
    pub(super) text: &'f str,
}

/// Where something stands: the number of the file, and the place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At {
    pub(super) file: usize,
    pub(super) spot: Spot,
}

/// Everything found so far.
pub(super) struct Report<'f> {
    sources: &'f [Source<'f>],
    found: Vec<(At, Severity, String, String)>,
    notes: Vec<String>,
    failed: bool,
}

impl<'f> Report<'f> {
    pub(super) fn new(sources: &'f [Source<'f>]) -> Self {
        Self { sources, found: Vec::new(), notes: Vec::new(), failed: false }
    }

    /// It cannot work.
    pub(super) fn error(&mut self, at: At, message: impl Into<String>, hint: impl Into<String>) {
        // The first error is kept even among very many warnings.
        if !self.failed || self.found.len() < TOLD_MAX {
            self.found.push((at, Severity::Error, message.into(), hint.into()));
        }
        self.failed = true;
    }

    /// It works, and somebody should look at it.
    pub(super) fn warning(&mut self, at: At, message: impl Into<String>, hint: impl Into<String>) {
        if self.found.len() < TOLD_MAX {
            self.found.push((at, Severity::Warning, message.into(), hint.into()));
        }
    }

    /// Something is no part of the result, and need not be.
    pub(super) fn note(&mut self, at: At, what: &str) {
        if self.notes.len() < TOLD_MAX {
            self.notes.push(format!("{}: {what}", self.whence(at)));
        }
    }

    /// The file and line, for a message about another place.
    pub(super) fn whence(&self, at: At) -> String {
        let path = self.sources.get(at.file).map(|source| source.path.display().to_string());
        format!("{}:{}", quoted(&path.unwrap_or_default(), PATH_MAX), at.spot.line)
    }

    /// All of it, in the order of the files and their lines.
    pub(super) fn finish(mut self) -> (Vec<Problem>, Vec<String>) {
        self.found.sort_by_key(|(at, severity, ..)| (at.file, at.spot.line, *severity));
        let drawn = self.found.iter().filter_map(|(at, severity, message, hint)| {
            let source = self.sources.get(at.file)?;
            let text = line(source.text, at.spot.line);
            let span = (at.spot.from, at.spot.length);
            Some(Problem::on_line(*severity, (source.path, at.spot.line), text, span, message, hint))
        });
        (drawn.collect(), self.notes)
    }
}

/// A line by its number, from 1. To YAML a carriage return alone ends one too.
fn line(text: &str, number: usize) -> &str {
    let ends = |text: &str| text.find(['\r', '\n']).unwrap_or(text.len());
    let mut rest = text;
    for _ in 1..number {
        let after = rest.get(ends(rest)..).unwrap_or_default();
        let ended = after.strip_prefix("\r\n").or_else(|| after.strip_prefix(['\r', '\n']));
        rest = ended.unwrap_or_default();
    }
    rest.get(..ends(rest)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_where_yaml_says_so() {
        let lines: Vec<_> = (1..8).map(|number| line("a\rb\r\nc\n\nd", number)).collect();
        assert_eq!(lines, ["a", "b", "c", "", "d", "", ""]);
    }
}

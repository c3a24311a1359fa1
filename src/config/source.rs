//! The files of one configuration, laid end to end: one number says where something stands in all of them.
//!
//! Every line shown is drawn here, so secrets are masked here and nowhere else (SECRETS-STAY).

use std::cell::OnceCell;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::secrets;

/// One of the files.
#[derive(Debug)]
pub(super) struct Source<'s> {
    /// As problems name it.
    pub(super) path: &'s Path,
    text: &'s str,
    /// Where its first byte stands.
    base: usize,
    /// Where each line starts.
    lines: Vec<usize>,
    /// What must not be shown of it; looked for when there is something to show.
    masks: OnceCell<Vec<Range<usize>>>,
}

impl<'s> Source<'s> {
    /// The file after `before`, if there is one; a byte lies between, so that the end of one is no part of the next.
    pub(super) fn after(before: Option<&Self>, path: &'s Path, text: &'s str) -> Self {
        let base = before.map_or(0, |before| before.base + before.text.len() + 1);
        let breaks = text.match_indices('\n').map(|(at, _)| base + at + 1);
        let lines = std::iter::once(base).chain(breaks).collect();
        Self { path, text, base, lines, masks: OnceCell::new() }
    }

    /// Where it starts.
    pub(super) fn base(&self) -> usize {
        self.base
    }

    /// The line, from 1, that holds the byte.
    pub(super) fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|start| *start <= at)
    }

    /// All that is written at `span`.
    pub(super) fn text(&self, span: &Range<usize>) -> &'s str {
        let within = |at: usize| at.checked_sub(self.base);
        let range = within(span.start).zip(within(span.end));
        range.and_then(|(start, end)| self.text.get(start..end)).unwrap_or_default()
    }

    /// Whether a part of it must not be shown.
    pub(super) fn hides(&self, span: &Range<usize>) -> bool {
        self.masks().iter().any(|mask| mask.start < span.end && span.start < mask.end)
    }

    /// The line that the span starts on without what must not be shown, and where in it the span is, in characters. Of
    /// a long line the part around the span's start.
    pub(super) fn draw(&self, span: Range<usize>) -> (String, (usize, usize)) {
        let start = self.lines.get(self.line(span.start) - 1).copied().unwrap_or(self.base);
        let rest = self.text.get(start - self.base..).unwrap_or_default();
        let line = rest.lines().next().unwrap_or_default();
        let part = around(line, span.start - start);
        let (from, to) = (start + part.start, start + part.end);
        let hidden: Vec<_> =
            self.masks().iter().filter(|mask| mask.start < to && from < mask.end).cloned().collect();
        draw_line(line.get(part).unwrap_or_default(), from, span, &hidden)
    }

    fn masks(&self) -> &[Range<usize>] {
        let masks = || secrets::masks(self.text).into_iter().map(|mask| moved(&mask, self.base)).collect();
        self.masks.get_or_init(masks)
    }
}

/// A table whose spans count from its own file's start, with spans that count from `base`.
pub(super) fn based(table: DeTable<'_>, base: usize) -> DeTable<'_> {
    if base == 0 {
        return table;
    }
    let entry = |(key, value)| (spanned(key, base), based_value(value, base));
    table.into_iter().map(entry).collect()
}

fn based_value(value: Spanned<DeValue<'_>>, base: usize) -> Spanned<DeValue<'_>> {
    let span = value.span();
    let inner = match value.into_inner() {
        DeValue::Table(table) => DeValue::Table(based(table, base)),
        DeValue::Array(items) => {
            DeValue::Array(items.into_iter().map(|item| based_value(item, base)).collect())
        }
        plain @ (DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)) => plain,
    };
    Spanned::new(moved(&span, base), inner)
}

fn spanned<T>(part: Spanned<T>, base: usize) -> Spanned<T> {
    Spanned::new(moved(&part.span(), base), part.into_inner())
}

/// A span within a file as one over all files.
pub(super) fn moved(span: &Range<usize>, base: usize) -> Range<usize> {
    span.start + base..span.end + base
}

/// The part of a line that is drawn for what stands at `place` in it: all of a line that a person would write.
fn around(line: &str, place: usize) -> Range<usize> {
    const BEFORE: usize = 500;
    const BEHIND: usize = 1_500;
    let boundary = |mut at: usize| {
        while !line.is_char_boundary(at) {
            at -= 1; // 0 is one
        }
        at
    };
    let place = place.min(line.len());
    boundary(place.saturating_sub(BEFORE))..boundary((place + BEHIND).min(line.len()))
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
pub(super) fn printable(character: char) -> char {
    match character {
        '\t' => ' ',
        control if control.is_control() => '\u{fffd}',
        plain => plain,
    }
}

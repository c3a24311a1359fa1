//! Reads the keys of one table, each once, and says what is wrong with them.
//!
//! Serde stops at a table's first mistake; people want all of them. So a table is emptied key by key,
//! and what is left at the end was not known.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::report::{At, Mark, Place, Report};
use super::suggest::nearest;
use super::value::{FromToml, Wrong, what};

/// A table that is being read.
#[derive(Debug)]
pub(super) struct Table<'i> {
    /// What messages call it.
    pub(super) place: Place,
    entries: DeTable<'i>,
    known: Vec<&'static str>,
}

/// A key that is in the table, and its value.
struct Entry<'i> {
    mark: Mark,
    value: Spanned<DeValue<'i>>,
}

impl<'i> Table<'i> {
    /// Reads these entries, which stand in `place`.
    pub(super) fn new(entries: DeTable<'i>, place: Place) -> Self {
        Self { place, entries, known: Vec::new() }
    }

    /// The value of a key, if it is there and good. A dotted key is one of an inline table: `flap.window`.
    pub(super) fn take<T: FromToml>(&mut self, key: &'static str, report: &mut Report<'_>) -> Option<At<T>> {
        let Entry { mark, value } = self.entry(key, report)?;
        let mut wrongs = Vec::new();
        let good = T::from_toml(&value, &mut wrongs);
        for wrong in wrongs {
            report_wrong(&mark, wrong, report);
        }
        if good.is_none() {
            report.bad(&mark);
        }
        Some(At { value: good?, mark })
    }

    /// The tables of `[[key]]`, or of `key = [{…}]`, in the order written.
    pub(super) fn take_list(
        &mut self,
        key: &'static str,
        report: &mut Report<'_>,
    ) -> Vec<(Range<usize>, DeTable<'i>)> {
        let Some(Entry { mark, value }) = self.entry(key, report) else { return Vec::new() };
        let mut tables = Vec::new();
        let hint = if self.place.name.is_empty() {
            format!("write [[{key}]] above the keys of each")
        } else {
            format!("write a list of tables: {key} = [{{ … }}, {{ … }}]")
        };
        let DeValue::Array(items) = value.get_ref() else {
            report.value(
                &mark,
                format_args!("{key} is {}, not a list of tables", what(value.get_ref())),
                hint,
            );
            report.bad(&mark);
            return tables;
        };
        for item in items {
            if let Some(table) = item.get_ref().as_table() {
                tables.push((item.span(), table.clone()));
            } else {
                let message = format!("{key} holds {}, not tables only", what(item.get_ref()));
                report.error(&mark.place, item.span(), message, hint.clone());
            }
        }
        tables
    }

    /// The tables of `[key.NAME]`, with their names.
    pub(super) fn take_named(
        &mut self,
        key: &'static str,
        report: &mut Report<'_>,
    ) -> Vec<(Spanned<String>, Range<usize>, DeTable<'i>)> {
        let Some(Entry { mark, value }) = self.entry(key, report) else { return Vec::new() };
        let hint = format!("write [{key}.NAME] above the keys of each");
        let DeValue::Table(tables) = value.get_ref() else {
            report.value(&mark, format_args!("{key} is {}, not a table", what(value.get_ref())), hint);
            return Vec::new();
        };
        let mut named = Vec::new();
        for (name, value) in tables {
            if let Some(table) = value.get_ref().as_table() {
                let name = Spanned::new(name.span(), name.get_ref().clone().into_owned());
                named.push((name, value.span(), table.clone()));
            } else {
                let message = format!("{key}.{} is {}, not a table", name.get_ref(), what(value.get_ref()));
                report.error(&mark.place, value.span(), message, hint.clone());
            }
        }
        named.sort_by_key(|(name, ..)| name.span().start);
        named
    }

    /// The table of `[key]`.
    pub(super) fn take_table(
        &mut self,
        key: &'static str,
        report: &mut Report<'_>,
    ) -> Option<(Range<usize>, DeTable<'i>)> {
        let Entry { mark, value } = self.entry(key, report)?;
        let table = value.get_ref().as_table().cloned();
        if table.is_none() {
            let message = format!("{key} is {}, not a table", what(value.get_ref()));
            report.value(&mark, message, format!("write [{key}] above its keys"));
        }
        Some((value.span(), table?))
    }

    /// Where a key stands that is refused or has no effect; its value is not read, and nobody is told to
    /// write it.
    pub(super) fn take_mark(&mut self, key: &'static str) -> Option<Mark> {
        let (found, value) = match key.split_once('.') {
            None => self.entries.remove_entry(key)?,
            Some((outer, inner)) => {
                let DeValue::Table(table) = self.entries.get_mut(outer)?.get_mut() else { return None };
                table.remove_entry(inner)?
            }
        };
        Some(Mark { key, key_span: found.span(), span: value.span(), place: self.place.clone() })
    }

    /// Where a key stands, which is left to be taken.
    pub(super) fn mark(&self, key: &'static str) -> Option<Mark> {
        let (found, value) = self.entries.get_key_value(key)?;
        Some(Mark { key, key_span: found.span(), span: value.span(), place: self.place.clone() })
    }

    /// Warns of keys that have no effect in this version.
    pub(super) fn take_idle(&mut self, keys: &[(&'static str, &str)], report: &mut Report<'_>) {
        for (key, meaning) in keys {
            if let Some(mark) = self.take_mark(key) {
                let message = format!("{key} has no effect in this version");
                report.warning(&self.place, mark.key_span, message, *meaning);
            }
        }
    }

    /// The text of a key, whether good or not, for messages.
    pub(super) fn peek(&self, key: &str) -> Option<&str> {
        self.entries.get(key)?.get_ref().as_str()
    }

    /// Reports every key that nobody took.
    pub(super) fn finish(self, report: &mut Report<'_>) {
        let Self { place, entries, known } = self;
        for (key, value) in &entries {
            let name = key.get_ref().as_ref();
            let prefix = format!("{name}.");
            let within: Vec<&str> = known.iter().filter_map(|k| k.strip_prefix(&prefix)).collect();
            match value.get_ref().as_table() {
                Some(inner) if !within.is_empty() => {
                    for key in inner.keys() {
                        report_unknown(&place, &prefix, key, &within, report);
                    }
                }
                Some(_) | None => report_unknown(&place, "", key, &top_level(&known), report),
            }
        }
    }

    fn entry(&mut self, key: &'static str, report: &mut Report<'_>) -> Option<Entry<'i>> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        let (found, value) = match key.split_once('.') {
            None => self.entries.remove_entry(key)?,
            Some((outer, inner)) => {
                if let DeValue::Table(table) = self.entries.get_mut(outer)?.get_mut() {
                    table.remove_entry(inner)?
                } else {
                    self.report_not_a_table(outer, inner, report);
                    return None;
                }
            }
        };
        let mark = Mark { key, key_span: found.span(), span: value.span(), place: self.place.clone() };
        Some(Entry { mark, value })
    }

    /// Once: what is not a table is taken away, so that its other keys are not looked for.
    fn report_not_a_table(&mut self, outer: &'static str, inner: &str, report: &mut Report<'_>) {
        if let Some((key, value)) = self.entries.remove_entry(outer) {
            let message = format!("{outer} is {}, not a table", what(value.get_ref()));
            report.error(&self.place, value.span(), message, format!("write {outer} = {{ {inner} = … }}"));
            let place = self.place.clone();
            report.bad(&Mark { key: outer, key_span: key.span(), span: value.span(), place });
        }
    }
}

fn report_wrong(mark: &Mark, wrong: Wrong, report: &mut Report<'_>) {
    let message = match &wrong.span {
        None => format!("{} {}", report.shown(mark), wrong.what),
        Some(span) => match report.text(span) {
            Some(text) => format!("{}: {text} {}", mark.key, wrong.what),
            None => format!("{} {}", mark.key, wrong.what),
        },
    };
    report.error(&mark.place, wrong.span.unwrap_or_else(|| mark.span.clone()), message, wrong.hint);
}

fn report_unknown<K: AsRef<str>>(
    place: &Place,
    prefix: &str,
    key: &Spanned<K>,
    known: &[&str],
    report: &mut Report<'_>,
) {
    let name = key.get_ref().as_ref();
    let hint = match nearest(name, known.iter().copied()) {
        Some(known) => format!("the nearest known key is {known}"),
        None => format!("known here: {}", known.join(", ")),
    };
    report.error(place, key.span(), format_args!("there is no key {prefix}{name}"), hint);
}

/// The keys of the table itself, an inline table's named once.
fn top_level(known: &[&'static str]) -> Vec<&'static str> {
    let mut names: Vec<&str> = Vec::new();
    for key in known {
        let name = key.split('.').next().unwrap_or(key);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

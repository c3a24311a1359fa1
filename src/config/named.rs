//! Sections that have names, and what refers to them by name.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;

use super::report::{At, Place, Rank, Report};
use super::suggest::nearest;
use super::table::Table;
use crate::model::NameError;

/// What is known by name. `None` is one that is there and not good: a reference to it is no mistake.
pub(super) type Named<N, T> = BTreeMap<N, Option<T>>;

/// The sections `[section.NAME]` of all files; each name may be there once.
pub(super) fn named<'i, N: Ord, T>(
    files: &mut [Table<'i>],
    section: &'static str,
    example: &str,
    parse: impl Fn(&str) -> Result<N, NameError>,
    mut read: impl FnMut(Table<'i>, &mut Report<'_>) -> Option<T>,
    report: &mut Report<'_>,
) -> Named<N, T> {
    let mut named = Named::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for (name, head, entries) in
        files.iter_mut().flat_map(|file| file.take_named(section, report)).collect::<Vec<_>>()
    {
        let place = place(section, &name, head);
        if let Some(other) = places.get(name.get_ref()) {
            let message =
                format!("there is a section of that name ({})", report.whence(*other, name.span().start));
            report.error(&place, name.span(), message, "keep one of the two, or give each a name of its own");
            continue;
        }
        places.insert(name.get_ref().clone(), name.span().start);
        let section_read = read(Table::new(entries, place.clone()), report);
        match parse(name.get_ref()) {
            Ok(good) => {
                named.insert(good, section_read);
            }
            Err(error) => {
                let (message, hint) =
                    (format!("the name {}", error.problem), format!("write [{section}.{example}]"));
                report.error(&place, name.span(), message, hint);
            }
        }
    }
    named
}

/// What is named by the key, or the only one of the section that there is.
pub(super) fn resolve<'n, N: Ord + Clone, T>(
    given: Option<&At<N>>,
    (key, section): (&str, &str),
    place: &Place,
    named: &'n Named<N, T>,
    as_str: impl Fn(&N) -> &str,
    report: &mut Report<'_>,
) -> Option<(N, &'n Option<T>)> {
    let known = || named.keys().map(&as_str).collect::<Vec<_>>();
    if let Some(at) = given {
        if let Some((name, found)) = named.get_key_value(&at.value) {
            return Some((name.clone(), found));
        }
        let hint = match nearest(as_str(&at.value), known()) {
            Some(near) => format!("the nearest known name is \"{near}\""),
            None if named.is_empty() => format!("add a section [{section}.{}]", as_str(&at.value)),
            None => format!("known names: {}", known().join(", ")),
        };
        let message =
            format!("{} names no section [{section}.{}]", report.shown(&at.mark), as_str(&at.value));
        report.unresolved(&at.mark, message, hint);
        return None;
    }
    let mut all = named.iter();
    match (all.next(), all.next()) {
        (Some((name, found)), None) => Some((name.clone(), found)),
        (None, _) => {
            report.missing(place, key, format!("add a section [{section}.NAME]"));
            None
        }
        (Some(_), Some(_)) => {
            let hint = format!("there are several; write {key} = one of {}", known().join(", "));
            report.missing(place, key, hint);
            None
        }
    }
}

fn place(section: &str, name: &Spanned<String>, head: Range<usize>) -> Place {
    Place { name: format!("{section} {:?}", name.get_ref()).into(), rank: Rank::General, head }
}

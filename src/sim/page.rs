//! Picking the asked-for items of a list, and cutting the list into pages.

use serde_json::Value;

use super::answer::Refusal;
use super::http::Query;

/// Keeps the items whose fields are among the asked-for values, for each of `keys` that is in the query.
pub(super) fn keep(items: &mut Vec<Value>, query: &Query, keys: &[&str]) {
    for key in keys {
        let wanted: Vec<&str> = query.all(key).collect();
        if !wanted.is_empty() {
            items.retain(|item| item.get(key).is_some_and(|field| wanted.contains(&as_text(field).as_str())));
        }
    }
}

/// One page, and what stands around it.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) items: Vec<Value>,
    /// The last id of the page, when the list goes on behind it.
    pub(super) next: Option<String>,
    /// How many items the whole list has.
    pub(super) total: usize,
}

impl Page {
    /// The first id of the page.
    pub(super) fn first(&self) -> Option<String> {
        self.items.first().map(id)
    }
}

/// The page that the query's `limit`, `marker` and `offset` ask for, of at most `max` items.
///
/// # Errors
/// A limit that is no number or out of range, a marker that names nothing.
pub(super) fn cut(items: Vec<Value>, query: &Query, max: usize) -> Result<Page, Refusal> {
    let total = items.len();
    let limit = number(query, "limit")?.unwrap_or(max);
    if limit == 0 || limit > max {
        return Err(Refusal::bad(format!("limit must be between 1 and {max}")));
    }
    let start = match query.one("marker") {
        Some(marker) => {
            let at = items.iter().position(|item| id(item) == marker);
            at.ok_or_else(|| Refusal::bad(format!("marker {marker:?} is not the id of an item")))? + 1
        }
        None => number(query, "offset")?.unwrap_or(0),
    };
    let items: Vec<Value> = items.into_iter().skip(start).take(limit).collect();
    let next = items.last().map(id).filter(|_| start + limit < total);
    Ok(Page { items, next, total })
}

fn number(query: &Query, key: &str) -> Result<Option<usize>, Refusal> {
    let parse = |text: &str| text.parse().map_err(|_| Refusal::bad(format!("{key} must be a number")));
    query.one(key).map(parse).transpose()
}

fn id(item: &Value) -> String {
    item.get("id").map(as_text).unwrap_or_default()
}

fn as_text(field: &Value) -> String {
    field.as_str().map_or_else(|| field.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn query(pairs: &[(&str, &str)]) -> Query {
        Query(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    fn items() -> Vec<Value> {
        (1..=5).map(|n| json!({"id": format!("i{n}"), "port": n, "up": n % 2 == 0})).collect()
    }

    fn ids(page: &Page) -> Vec<String> {
        page.items.iter().map(id).collect()
    }

    #[test]
    fn pages_follow_each_other_and_end_without_a_marker() {
        let first = cut(items(), &query(&[("limit", "2")]), 2000).unwrap();
        assert_eq!((ids(&first), first.next.as_deref()), (vec!["i1".into(), "i2".into()], Some("i2")));
        let last = cut(items(), &query(&[("limit", "2"), ("marker", "i4")]), 2000).unwrap();
        assert_eq!((ids(&last), last.next.as_deref(), last.total), (vec!["i5".into()], None, 5));
    }

    #[test]
    fn a_list_that_fills_its_last_page_ends_there() {
        let page = cut(items(), &query(&[("limit", "5")]), 2000).unwrap();
        assert_eq!((page.items.len(), page.next), (5, None));
    }

    #[test]
    fn a_limit_out_of_range_and_an_empty_or_unknown_marker_are_refused() {
        for bad in [("limit", "0"), ("limit", "501"), ("limit", "x"), ("marker", ""), ("marker", "i9")] {
            assert_eq!(cut(items(), &query(&[bad]), 500).unwrap_err().status, 400, "{bad:?}");
        }
    }

    #[test]
    fn several_values_of_a_key_widen_and_several_keys_narrow() {
        let mut kept = items();
        keep(&mut kept, &query(&[("port", "2"), ("port", "3"), ("up", "true")]), &["port", "up"]);
        assert_eq!(kept.len(), 1);
        assert_eq!(kept[0]["id"], "i2");
    }
}

//! Reads a list to its end, page by page.

use std::collections::HashSet;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::ApiError;
use super::account::Account;
use super::call::Call;
use super::line::Rank;
use crate::clock::instant_now;

/// More pages than any list that pointsman asks for has: 40,000 members, 10,000 record sets of one name. A
/// server that never says "last" is cut off here, with an error, since half a list is no answer.
const PAGES_MAX: usize = 20;

/// More items than all those pages together have where the server keeps to what we ask of a page.
const ITEMS_MAX: usize = 40_000;

/// What the next page's request has in addition to the first one's: a marker, an offset.
pub(super) type Cursor = Vec<(&'static str, String)>;

/// One page.
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    /// Where the next one starts; none: this was the last.
    pub(super) next: Option<Cursor>,
}

/// The body of an answer that is a page.
pub(super) trait Listing: DeserializeOwned {
    /// What it lists.
    type Item;

    /// What tells two items apart.
    fn id(item: &Self::Item) -> &str;

    /// The page; `before` items were on the pages before it.
    fn into_page(self, before: usize) -> Page<Self::Item>;
}

/// The `page_info` of ELB and EIP.
#[derive(Deserialize)]
pub(super) struct PageInfo {
    next_marker: Option<String>,
}

impl PageInfo {
    /// A missing next marker is the end; a page shorter than it could be is not.
    pub(super) fn next(info: Option<Self>) -> Option<Cursor> {
        let marker = info?.next_marker.filter(|marker| !marker.is_empty())?;
        Some(vec![("marker", marker)])
    }
}

/// A list of ELB or EIP, under its own key beside `page_info`.
macro_rules! marker_list {
    ($name:ident { $key:ident: $item:ty }) => {
        #[derive(serde::Deserialize)]
        struct $name {
            $key: Vec<$item>,
            page_info: Option<crate::huawei::page::PageInfo>,
        }

        impl crate::huawei::page::Listing for $name {
            type Item = $item;

            fn id(item: &$item) -> &str {
                &item.id
            }

            fn into_page(self, _before: usize) -> crate::huawei::page::Page<$item> {
                crate::huawei::page::Page {
                    items: self.$key,
                    next: crate::huawei::page::PageInfo::next(self.page_info),
                }
            }
        }
    };
}
pub(super) use marker_list;

/// What the pages so far have brought, each item once.
struct Gathered<T> {
    items: Vec<T>,
    ids: HashSet<String>,
}

impl<T> Gathered<T> {
    /// Takes a page in. Says where to go on: nowhere after the last page, nor after one that brought
    /// nothing new, since a server that repeats itself would do so for ever.
    fn add<L: Listing<Item = T>>(&mut self, body: L) -> Option<Cursor> {
        let page = body.into_page(self.items.len());
        let before = self.items.len();
        for item in page.items {
            if self.ids.insert(L::id(&item).to_owned()) {
                self.items.push(item);
            }
        }
        page.next.filter(|_| self.items.len() > before)
    }
}

/// A list as far as it was answered.
#[derive(Clone, Debug)]
pub struct Told<T> {
    /// When the request for its first page was sent.
    pub asked: Instant,
    /// Each once.
    pub items: Vec<T>,
    /// Why the rest was not answered; none when this is all.
    pub missing: Option<ApiError>,
}

impl<T> Told<T> {
    /// The list, if this is all of it.
    pub(super) fn whole(self) -> Result<Vec<T>, ApiError> {
        self.missing.map_or(Ok(self.items), Err)
    }
}

impl Account {
    /// All items of the list that `call` asks for.
    pub(super) async fn pages<L: Listing>(
        &self,
        call: Call,
        deadline: Instant,
    ) -> Result<Vec<L::Item>, ApiError> {
        // On the heap, or the futures of all who list would be as large as a request's.
        Box::pin(self.pages_told::<L>(call, deadline)).await?.whole()
    }

    /// The items of the list that `call` asks for, up to the first page that is not answered.
    ///
    /// # Errors
    /// When the first page is not.
    pub(super) async fn pages_told<L: Listing>(
        &self,
        mut call: Call,
        deadline: Instant,
    ) -> Result<Told<L::Item>, ApiError> {
        let (query, mut deadline) = (call.query.clone(), deadline);
        let mut gathered = Gathered { items: Vec::new(), ids: HashSet::new() };
        let mut first = None;
        let mut missing = None;
        for page in 1.. {
            let answer = self.call_timed(&call, &mut deadline).await;
            let (sent, body): (Instant, L) = match (answer, first) {
                (Ok(answer), _) => answer,
                (Err(error), None) => return Err(error),
                (Err(error), Some(_)) => {
                    missing = Some(error);
                    break;
                }
            };
            first.get_or_insert(sent);
            let next = gathered.add(body);
            if gathered.items.len() > ITEMS_MAX {
                missing = Some(call.malformed(format!("the list has more than {ITEMS_MAX} items")));
                break;
            }
            let Some(cursor) = next else { break };
            if page == PAGES_MAX {
                missing = Some(call.malformed(format!("the list does not end within {PAGES_MAX} pages")));
                break;
            }
            call.query = query.iter().cloned().chain(cursor).collect();
            call.pacing.rank = Rank::FinishesList;
        }
        let asked = first.unwrap_or_else(instant_now);
        Ok(Told { asked, items: gathered.items, missing })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Thing {
        id: String,
    }

    marker_list!(Things { things: Thing });

    fn gather(pages: &[&str]) -> (Vec<String>, Option<Cursor>) {
        let mut gathered = Gathered { items: Vec::new(), ids: HashSet::new() };
        let mut next = None;
        for page in pages {
            next = gathered.add(serde_json::from_str::<Things>(page).unwrap());
        }
        (gathered.items.into_iter().map(|thing| thing.id).collect(), next)
    }

    #[test]
    fn a_short_page_with_a_next_marker_is_not_the_end() {
        let (ids, next) = gather(&[r#"{"things": [{"id": "a"}], "page_info": {"next_marker": "a"}}"#]);
        assert_eq!((ids, next), (vec!["a".to_owned()], Some(vec![("marker", "a".to_owned())])));
    }

    #[test]
    fn a_missing_null_or_empty_next_marker_is_the_end() {
        for info in ["", r#", "page_info": {}"#, r#", "page_info": {"next_marker": null}"#] {
            assert_eq!(gather(&[&format!(r#"{{"things": [{{"id": "a"}}]{info}}}"#)]).1, None, "{info}");
        }
        assert_eq!(gather(&[r#"{"things": [{"id": "a"}], "page_info": {"next_marker": ""}}"#]).1, None);
    }

    #[test]
    fn a_page_that_only_repeats_ids_is_the_end() {
        let page = r#"{"things": [{"id": "a"}, {"id": "b"}], "page_info": {"next_marker": "b"}}"#;
        let (ids, next) = gather(&[page, page]);
        assert_eq!((ids.len(), next), (2, None));
    }

    #[test]
    fn a_null_list_is_no_list() {
        assert!(serde_json::from_str::<Things>(r#"{"things": null}"#).is_err());
        assert!(serde_json::from_str::<Things>(r#"{"page_info": {}}"#).is_err());
    }
}

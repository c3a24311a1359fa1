//! DNS v2: zones and record sets.
//!
//! Names are absolute, and its filters are fuzzy by default: what comes back is compared again here. A
//! write replaces a set's values whole and is sent once; whether it took is for the caller to read.

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::account::Account;
use super::call::{Call, segment};
use super::page::{Cursor, Listing, Page};
use super::wire::or_default;
use super::{Api, ApiError};
use crate::config::ZoneType;
use crate::model::{Fqdn, RecordKey};

/// A zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: Fqdn,
    /// `private` or `public`.
    pub zone_type: String,
    /// `ACTIVE`, `PENDING_…`, `DISABLE`, …
    pub status: String,
}

#[derive(Deserialize)]
struct ZoneWire {
    id: String,
    name: String,
    zone_type: String,
    #[serde(default, deserialize_with = "or_default")]
    status: String,
}

/// A record set as the API tells it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct DnsRecordSet {
    /// Its id.
    pub id: String,
    /// Its name, absolute.
    pub name: String,
    /// Its type: `A`, `AAAA`, …
    #[serde(rename = "type")]
    pub record_type: String,
    /// Its TTL in seconds.
    pub ttl: u32,
    /// Its values as text.
    pub records: Vec<String>,
    /// `ACTIVE`, `PENDING_CREATE`, `PENDING_UPDATE`, `ERROR`, `DISABLE`, `FREEZE`, …
    pub status: String,
    /// What somebody wrote about it.
    pub description: Option<String>,
    /// Its line; told by v2.1 alone.
    pub line: Option<String>,
    /// Its weight, 0 to 1000; told by v2.1 alone, and none where sets have none.
    pub weight: Option<u16>,
}

/// A record set as it is to be: the body of a create or an update.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewRecordSet {
    /// Its name, absolute.
    pub name: String,
    /// Its type: `A` or `AAAA`.
    #[serde(rename = "type")]
    pub record_type: String,
    /// Its TTL in seconds, 1 to 2,147,483,647.
    pub ttl: u32,
    /// All its values; never none (NEVER-EMPTY).
    pub records: Vec<String>,
    /// Left out when none: an update then keeps the one that is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its line, which only a create may say, and only to v2.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
    /// Its weight, only to v2.1. Left out when none: an update then keeps the one that is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u16>,
}

impl DnsRecordSet {
    /// Whether it has exactly this name and type.
    pub(super) fn is_of(&self, key: &RecordKey) -> bool {
        self.record_type == key.record_type.as_str() && self.name.eq_ignore_ascii_case(key.name.as_str())
    }
}

impl Account {
    /// The zones of exactly this name and type. Several private ones may bear one name.
    ///
    /// # Errors
    /// As every call.
    pub async fn zones(
        &self,
        region: &str,
        zone_type: ZoneType,
        name: &Fqdn,
        deadline: Instant,
    ) -> Result<Vec<Zone>, ApiError> {
        let zone_type = match zone_type {
            ZoneType::Private => "private",
            ZoneType::Public => "public",
        };
        let query = vec![
            ("type", zone_type.to_owned()),
            ("name", name.as_str().to_owned()),
            ("search_mode", "equal".to_owned()),
        ];
        let project = self.project_id(region, deadline).await?;
        let call =
            Call::get(Api::Dns, region, "list zones", "/v2/zones".to_owned(), query).in_project(project);
        let listed = self.pages::<ZonesAnswer>(call, deadline).await?;
        Ok(listed
            .into_iter()
            .filter(|zone| zone.zone_type == zone_type && zone.name.eq_ignore_ascii_case(name.as_str()))
            .map(|zone| Zone {
                id: zone.id,
                name: name.clone(),
                zone_type: zone.zone_type,
                status: zone.status,
            })
            .collect())
    }

    /// The record sets of exactly this name and type; several where lines or weights tell them apart.
    ///
    /// # Errors
    /// As every call.
    pub async fn record_sets(
        &self,
        region: &str,
        zone_id: &str,
        key: &RecordKey,
        deadline: Instant,
    ) -> Result<Vec<DnsRecordSet>, ApiError> {
        let query = vec![
            ("type", key.record_type.as_str().to_owned()),
            ("name", key.name.as_str().to_owned()),
            ("search_mode", "equal".to_owned()),
        ];
        let project = self.project_id(region, deadline).await?;
        let path = record_sets_path(zone_id);
        let call = Call::get(Api::Dns, region, "list record sets", path, query).in_project(project);
        let listed = self.pages::<RecordSetsAnswer>(call, deadline).await?;
        Ok(listed.into_iter().filter(|set| set.is_of(key)).collect())
    }

    /// The record set `id`.
    ///
    /// # Errors
    /// As every call; [`ApiError::is_not_found`] when the service itself says that there is none.
    pub async fn record_set(
        &self,
        region: &str,
        zone_id: &str,
        id: &str,
        deadline: Instant,
    ) -> Result<DnsRecordSet, ApiError> {
        let project = self.project_id(region, deadline).await?;
        let path = record_set_path(zone_id, id);
        let call = Call::get(Api::Dns, region, "show record set", path, Vec::new()).in_project(project);
        let set: DnsRecordSet = self.call(&call, deadline).await?;
        call.must_be(id, &set.id)?;
        Ok(set)
    }

    /// Makes a record set; sent once. What comes back is accepted, not yet in force.
    ///
    /// # Errors
    /// As every call; [`ApiError::outcome_unknown`] tells whether it may have been made all the same.
    pub async fn create_record_set(
        &self,
        region: &str,
        zone_id: &str,
        body: &NewRecordSet,
        deadline: Instant,
    ) -> Result<DnsRecordSet, ApiError> {
        self.post_record_set(region, record_sets_path(zone_id), body, deadline).await
    }

    /// Replaces a record set's values and TTL whole; sent once. What comes back is accepted, not yet in force.
    ///
    /// # Errors
    /// As every call; [`ApiError::outcome_unknown`] tells whether it may have been done all the same.
    pub async fn update_record_set(
        &self,
        region: &str,
        zone_id: &str,
        id: &str,
        body: &NewRecordSet,
        deadline: Instant,
    ) -> Result<DnsRecordSet, ApiError> {
        let path = record_set_path(zone_id, id);
        self.put_record_set(region, ("update record set", path), id, body, deadline).await
    }

    /// Makes a record set by whichever version of the API has this path.
    pub(super) async fn post_record_set(
        &self,
        region: &str,
        path: String,
        body: &NewRecordSet,
        deadline: Instant,
    ) -> Result<DnsRecordSet, ApiError> {
        let project = self.project_id(region, deadline).await?;
        let call = Call::post(Api::Dns, region, "create record set", path, body)?.in_project(project);
        self.call(&call, deadline).await
    }

    /// Changes the record set `id` by whichever version of the API has this path.
    pub(super) async fn put_record_set(
        &self,
        region: &str,
        (what, path): (&'static str, String),
        id: &str,
        body: &impl Serialize,
        deadline: Instant,
    ) -> Result<DnsRecordSet, ApiError> {
        let project = self.project_id(region, deadline).await?;
        let call = Call::put(Api::Dns, region, what, path, body)?.in_project(project);
        let set: DnsRecordSet = self.call(&call, deadline).await?;
        call.must_be(id, &set.id)?;
        Ok(set)
    }
}

fn record_sets_path(zone_id: &str) -> String {
    format!("/v2/zones/{}/recordsets", segment(zone_id))
}

fn record_set_path(zone_id: &str, id: &str) -> String {
    format!("{}/{}", record_sets_path(zone_id), segment(id))
}

#[derive(Deserialize)]
struct ZonesAnswer {
    zones: Vec<ZoneWire>,
    links: Option<Links>,
    metadata: Option<Metadata>,
}

#[derive(Deserialize)]
pub(super) struct RecordSetsAnswer {
    recordsets: Vec<DnsRecordSet>,
    links: Option<Links>,
    metadata: Option<Metadata>,
}

#[derive(Deserialize)]
struct Links {
    next: Option<String>,
}

#[derive(Deserialize)]
struct Metadata {
    total_count: Option<usize>,
}

impl Listing for ZonesAnswer {
    type Item = ZoneWire;

    fn id(item: &ZoneWire) -> &str {
        &item.id
    }

    fn into_page(self, before: usize) -> Page<ZoneWire> {
        let last = self.zones.last().map(|zone| zone.id.clone());
        let next = next_page(self.links, self.metadata, before + self.zones.len(), last);
        Page { items: self.zones, next }
    }
}

impl Listing for RecordSetsAnswer {
    type Item = DnsRecordSet;

    fn id(item: &DnsRecordSet) -> &str {
        &item.id
    }

    fn into_page(self, before: usize) -> Page<DnsRecordSet> {
        let last = self.recordsets.last().map(|set| set.id.clone());
        let next = next_page(self.links, self.metadata, before + self.recordsets.len(), last);
        Page { items: self.recordsets, next }
    }
}

/// Where the next page starts. Of `links.next` only marker and offset are taken: where to ask and for what
/// is ours to say. Without such a link the last id leads on while `total_count` says that more is there.
fn next_page(
    links: Option<Links>,
    metadata: Option<Metadata>,
    seen: usize,
    last: Option<String>,
) -> Option<Cursor> {
    let linked = links.and_then(|links| links.next).filter(|next| !next.is_empty());
    let total = metadata.and_then(|metadata| metadata.total_count);
    let cursor = linked.as_deref().map(cursor_of).unwrap_or_default();
    if !cursor.is_empty() {
        return Some(cursor);
    }
    let more = linked.is_some() || total.is_some_and(|total| total > seen);
    last.filter(|_| more).map(|last| vec![("marker", last)])
}

/// The marker and offset of a link, whether absolute or not.
fn cursor_of(link: &str) -> Cursor {
    let query = link.split_once('?').map_or("", |(_, query)| query);
    let query = query.split_once('#').map_or(query, |(query, _)| query);
    let mut cursor = Vec::new();
    for pair in query.split('&') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = percent_encoding::percent_decode_str(value).decode_utf8_lossy().into_owned();
        match key {
            "marker" if !value.is_empty() => cursor.push(("marker", value)),
            "offset" if !value.is_empty() => cursor.push(("offset", value)),
            _ => {}
        }
    }
    cursor
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(link: Option<&str>, total: Option<usize>, seen: usize) -> Option<Cursor> {
        let links = Some(Links { next: link.map(str::to_owned) });
        next_page(links, Some(Metadata { total_count: total }), seen, Some("last".to_owned()))
    }

    #[test]
    fn the_next_page_starts_where_the_link_says() {
        let link = "https://elsewhere.invalid/v2/zones?limit=2&marker=a%2Fb&offset=4#x";
        assert_eq!(
            next(Some(link), Some(9), 2),
            Some(vec![("marker", "a/b".to_owned()), ("offset", "4".to_owned())])
        );
    }

    #[test]
    fn without_a_link_the_total_says_whether_more_is_there() {
        assert_eq!(next(None, Some(3), 3), None);
        assert_eq!(next(None, None, 3), None);
        assert_eq!(next(None, Some(4), 3), Some(vec![("marker", "last".to_owned())]));
        assert_eq!(next(Some("/v2/zones?limit=2"), None, 3), Some(vec![("marker", "last".to_owned())]));
    }

    #[test]
    fn a_description_that_is_none_is_left_out_of_the_body() {
        let mut set = NewRecordSet {
            name: "demo.localdev.me.".to_owned(),
            record_type: "A".to_owned(),
            ttl: 30,
            records: vec!["203.0.113.20".to_owned()],
            description: None,
            line: None,
            weight: None,
        };
        let text = serde_json::to_string(&set).unwrap();
        assert_eq!(text, r#"{"name":"demo.localdev.me.","type":"A","ttl":30,"records":["203.0.113.20"]}"#);
        set.description = Some(String::new());
        assert!(serde_json::to_string(&set).unwrap().ends_with(r#","description":""}"#));
    }
}

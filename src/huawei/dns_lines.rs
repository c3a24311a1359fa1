//! DNS v2.1: record sets that differ by line and weight, and that are switched on and off.
//!
//! The same objects as v2 tells, with `line` and `weight`. A line is fixed when a set is made.

use serde::Serialize;
use tokio::time::Instant;

use super::account::Account;
use super::call::{Call, segment};
use super::dns::{DnsRecordSet, NewRecordSet, RecordSetsAnswer};
use super::{Api, ApiError};
use crate::model::{Line, RecordKey};

/// What becomes of a set that is switched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Switch {
    /// It is served.
    Enable,
    /// It stays as it is, and is not served.
    Disable,
}

#[derive(Serialize)]
struct Status {
    status: Switch,
}

impl Account {
    /// The record sets of exactly this name, type and line; several where weights tell them apart.
    ///
    /// # Errors
    /// As every call.
    pub async fn record_sets_of_line(
        &self,
        region: &str,
        zone_id: &str,
        key: &RecordKey,
        line: &Line,
        deadline: Instant,
    ) -> Result<Vec<DnsRecordSet>, ApiError> {
        let query = vec![
            ("type", key.record_type.as_str().to_owned()),
            ("name", key.name.as_str().to_owned()),
            ("search_mode", "equal".to_owned()),
            ("line_id", line.as_str().to_owned()),
        ];
        let project = self.project_id(region, deadline).await?;
        let path = sets_path(zone_id);
        let call = Call::get(Api::Dns, region, "list record sets", path, query).in_project(project);
        let listed = self.pages::<RecordSetsAnswer>(call, deadline).await?;
        // A set that names no line is that of everybody.
        let of_line = |set: &DnsRecordSet| match &set.line {
            Some(named) => named == line.as_str(),
            None => *line == Line::everybody(),
        };
        Ok(listed.into_iter().filter(|set| set.is_of(key) && of_line(set)).collect())
    }

    /// Makes a record set with its line and weight; sent once. What comes back is accepted, not yet in force.
    ///
    /// # Errors
    /// As every call; [`ApiError::outcome_unknown`] tells whether it may have been made all the same.
    pub async fn create_record_set_of_line(
        &self,
        region: &str,
        zone_id: &str,
        body: &NewRecordSet,
        deadline: Instant,
    ) -> Result<DnsRecordSet, ApiError> {
        self.post_record_set(region, sets_path(zone_id), body, deadline).await
    }

    /// Replaces a record set's values and TTL whole, and its weight when one is given; sent once. What comes back is
    /// accepted, not yet in force.
    ///
    /// # Errors
    /// As every call; [`ApiError::outcome_unknown`] tells whether it may have been done all the same.
    pub async fn update_record_set_of_line(
        &self,
        region: &str,
        zone_id: &str,
        id: &str,
        body: &NewRecordSet,
        deadline: Instant,
    ) -> Result<DnsRecordSet, ApiError> {
        let path = format!("{}/{}", sets_path(zone_id), segment(id));
        self.put_record_set(region, ("update record set", path), id, body, deadline).await
    }

    /// Switches a record set on or off, whatever it holds; sent once. What comes back is accepted, not yet in force.
    ///
    /// # Errors
    /// As every call; [`ApiError::outcome_unknown`] tells whether it may have been done all the same.
    pub async fn switch_record_set(
        &self,
        region: &str,
        id: &str,
        to: Switch,
        deadline: Instant,
    ) -> Result<DnsRecordSet, ApiError> {
        let path = format!("/v2.1/recordsets/{}/statuses/set", segment(id));
        self.put_record_set(region, ("switch record set", path), id, &Status { status: to }, deadline).await
    }
}

fn sets_path(zone_id: &str) -> String {
    format!("/v2.1/zones/{}/recordsets", segment(zone_id))
}

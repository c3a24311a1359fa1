//! Record sets in a zone of Huawei Cloud DNS.
//!
//! Finds the zone and the record set by exact name and type, refuses what is ambiguous, replaces a set as
//! a whole, and says which way a write failed. A write is sent once and never repeated here: there is no
//! version to compare, so what a lost one did is found out by reading. Foreign text stays: the description
//! is sent as it was read, tags are not sent (ONLY-OURS); no empty list can be sent, as a [`RecordSet`]
//! has none (NEVER-EMPTY). Without a line or weights in the configuration it speaks v2, else v2.1; several sets that are
//! one by weights are `weighted`'s. Start at [`HuaweiProvider`].

mod weighted;

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use super::Provider;
use crate::config::{HuaweiZone, ZoneType};
use crate::huawei::{Account, ApiError, ApiErrorKind, Class, DnsRecordSet, NewRecordSet, Then, Zone};
use crate::model::{
    Answer, Found, InForce, ProviderError, ProviderErrorKind, RecordKey, RecordSet, Routing, Ttl,
    first_in_words, quoted,
};

/// More values than any record set has. A list beyond it would be written back, logged and journalled whole.
const VALUES_MAX: usize = 1_000;

/// As many characters of an id as are told.
const ID_MAX: usize = 100;

/// As many characters of an error as are told; ids in it are the provider's.
const MESSAGE_MAX: usize = 1_200;

/// One zone of Huawei Cloud DNS, through one account.
#[derive(Debug)]
pub struct HuaweiProvider {
    account: Account,
    zone: HuaweiZone,
    /// The zone's id once it was found; held while it is looked for, so that services of one zone look
    /// once.
    zone_id: Mutex<Option<Arc<str>>>,
}

impl HuaweiProvider {
    /// The zone, through its account. No I/O here.
    #[must_use]
    pub fn new(account: Account, zone: HuaweiZone) -> Self {
        Self { account, zone, zone_id: Mutex::new(None) }
    }

    async fn find(&self, key: &RecordKey, deadline: Instant) -> Answer {
        let zone_id = self.zone_id(deadline).await?;
        let mut listed = self.list(key, &zone_id, deadline).await;
        if listed.as_ref().is_err_and(ApiError::is_not_found) {
            // The zone was deleted; perhaps it was made anew under another id.
            self.forget(&zone_id);
            let other = self.zone_id(deadline).await?;
            if other != zone_id {
                listed = self.list(key, &other, deadline).await;
            }
        }
        let sets = listed.map_err(|error| read_error(format_args!("read {key} in {self}"), &error))?;
        match &key.routing {
            Routing::Only | Routing::Line(_) => self.only_one(key, &sets),
            Routing::Weighted(_) => self.in_parts(key, &sets),
        }
    }

    async fn list(
        &self,
        key: &RecordKey,
        zone_id: &str,
        deadline: Instant,
    ) -> Result<Vec<DnsRecordSet>, ApiError> {
        // By name, not by the id of an earlier answer: a set made anew under another id is found too.
        let region = &self.zone.cloud_region;
        match key.routing.line() {
            None => self.account.record_sets(region, zone_id, key, deadline).await,
            Some(line) => self.account.record_sets_of_line(region, zone_id, key, line, deadline).await,
        }
    }

    /// The set out of the list of its name and type, of which a zone with lines or weights has several.
    fn only_one(&self, key: &RecordKey, sets: &[DnsRecordSet]) -> Answer {
        match sets {
            [] => Ok(None),
            [one] => self.understand(key, one).map(Some),
            several => {
                let ids: Vec<&str> = several.iter().map(|set| set.id.as_str()).collect();
                Err(failed(
                    ProviderErrorKind::Refused,
                    format_args!(
                        "{key} in {self} is {} record sets, by lines or weights, and without `line` or \
                         `policy = \"weighted\"` pointsman keeps a name that has one: {}",
                        several.len(),
                        first_in_words(ids)
                    ),
                ))
            }
        }
    }

    fn understand(&self, key: &RecordKey, set: &DnsRecordSet) -> Result<Found, ProviderError> {
        let (values, ttl) = self.values_and_ttl(key, set)?;
        Ok(Found {
            id: set.id.clone(),
            values,
            ttl,
            in_force: in_force(&set.status),
            description: set.description.clone(),
            parts: Vec::new(),
        })
    }

    fn values_and_ttl(
        &self,
        key: &RecordKey,
        set: &DnsRecordSet,
    ) -> Result<(BTreeSet<IpAddr>, Ttl), ProviderError> {
        let unclear = |what: fmt::Arguments<'_>| {
            let id = quoted(&set.id, ID_MAX);
            failed(ProviderErrorKind::Unclear, format_args!("{key} in {self} (id {id}) {what}"))
        };
        if set.records.len() > VALUES_MAX {
            let count = set.records.len();
            return Err(unclear(format_args!("has {count} values, and none has more than {VALUES_MAX}")));
        }
        let mut values = BTreeSet::new();
        for text in &set.records {
            let value: Option<IpAddr> = text.parse().ok().filter(|value| key.record_type.holds(*value));
            values.insert(
                value.ok_or_else(|| unclear(format_args!("has a value that is no address: {text:?}")))?,
            );
        }
        if values.is_empty() {
            return Err(unclear(format_args!("has no values, so it is none that pointsman can keep")));
        }
        Ok((values, Ttl::found(set.ttl)))
    }

    /// The id of the zone, found by name and type when it is not known.
    async fn zone_id(&self, deadline: Instant) -> Result<Arc<str>, ProviderError> {
        let mut known = timeout_at(deadline, self.zone_id.lock()).await.map_err(|_| ProviderError {
            kind: ProviderErrorKind::Away,
            message: format!("cannot find {self}: the deadline passed while another call looked for it"),
        })?;
        if let Some(id) = &*known {
            return Ok(Arc::clone(id));
        }
        let HuaweiZone { cloud_region, zone, zone_type, .. } = &self.zone;
        let zones = self
            .account
            .zones(cloud_region, *zone_type, zone, deadline)
            .await
            .map_err(|error| read_error(format_args!("find {self}"), &error))?;
        let refused = |what: fmt::Arguments<'_>| failed(ProviderErrorKind::Refused, what);
        match zones.as_slice() {
            [Zone { id, .. }] => Ok(Arc::clone(known.insert(id.as_str().into()))),
            [] => Err(refused(format_args!(
                "there is no {self}; check zone, zone_type and cloud_region, \
                 and whether the account may list zones"
            ))),
            several => {
                let ids: Vec<&str> = several.iter().map(|zone| zone.id.as_str()).collect();
                Err(refused(format_args!(
                    "{self} is ambiguous: {} zones of different VPCs bear the name: {}",
                    several.len(),
                    first_in_words(ids)
                )))
            }
        }
    }

    /// Drops that id, unless another was found meanwhile.
    fn forget(&self, zone_id: &str) {
        if let Ok(mut known) = self.zone_id.try_lock() {
            known.take_if(|id| **id == *zone_id);
        } // else another call looks for it anew already
    }

    async fn write(
        &self,
        key: &RecordKey,
        found: Option<&Found>,
        set: &RecordSet,
        deadline: Instant,
    ) -> Result<(), ProviderError> {
        let body = NewRecordSet {
            name: key.name.to_string(),
            record_type: key.record_type.to_string(),
            ttl: ttl_s(set.ttl()),
            records: set.values().iter().map(ToString::to_string).collect(),
            description: found.and_then(|found| found.description.clone()),
            line: None,
            weight: None,
        };
        let zone_id = self.zone_id(deadline).await?;
        let (region, line) = (&self.zone.cloud_region, key.routing.line());
        let account = &self.account;
        let written = match (found, line) {
            (Some(found), None) => {
                account.update_record_set(region, &zone_id, &found.id, &body, deadline).await
            }
            (Some(found), Some(_)) => {
                account.update_record_set_of_line(region, &zone_id, &found.id, &body, deadline).await
            }
            (None, None) => account.create_record_set(region, &zone_id, &body, deadline).await,
            (None, Some(line)) => {
                let body = NewRecordSet { line: Some(line.to_string()), ..body };
                account.create_record_set_of_line(region, &zone_id, &body, deadline).await
            }
        };
        written.map(|_| ()).map_err(|error| self.not_written(key, &zone_id, &error))
    }

    fn not_written(&self, key: &RecordKey, zone_id: &str, error: &ApiError) -> ProviderError {
        if error.is_not_found() {
            self.forget(zone_id); // The zone, or the set: the read that follows will tell.
        }
        write_error(format_args!("write {key} in {self}"), error)
    }
}

impl fmt::Display for HuaweiProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zone_type = match self.zone.zone_type {
            ZoneType::Private => "private",
            ZoneType::Public => "public",
        };
        let HuaweiZone { cloud, cloud_region, zone, .. } = &self.zone;
        write!(f, "{zone_type} zone {zone} in {cloud_region} of cloud {cloud}")
    }
}

impl Provider for HuaweiProvider {
    fn read<'a>(&'a self, key: &'a RecordKey, deadline: Instant) -> BoxFuture<'a, Answer> {
        self.find(key, deadline).boxed()
    }

    fn replace<'a>(
        &'a self,
        key: &'a RecordKey,
        found: &'a Found,
        set: &'a RecordSet,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        match &key.routing {
            Routing::Only | Routing::Line(_) => self.write(key, Some(found), set, deadline).boxed(),
            Routing::Weighted(line) => self.write_parts((key, line), found, set, deadline).boxed(),
        }
    }

    fn create<'a>(
        &'a self,
        key: &'a RecordKey,
        set: &'a RecordSet,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        match &key.routing {
            Routing::Only | Routing::Line(_) => self.write(key, None, set, deadline).boxed(),
            Routing::Weighted(line) => self.create_parts((key, line), set, deadline).boxed(),
        }
    }
}

/// What a status says of being served. One that is not known counts as on its way: neither believed to be
/// served nor taken for a person's doing, and alarmed when it stays.
fn in_force(status: &str) -> InForce {
    match status {
        "ACTIVE" => InForce::Yes,
        "ERROR" => InForce::Failed,
        "DISABLE" | "FREEZE" | "ILLEGAL" | "POLICE" | "PENDING_DISABLE" | "PENDING_FREEZE"
        | "PENDING_DELETE" => InForce::Withheld,
        _ => InForce::Pending, // PENDING_CREATE and PENDING_UPDATE among them
    }
}

/// The TTL as the cloud takes it, 1 s or more. A set that was found with zero gets the cloud's default: some of its sites
/// refuse a short one.
fn ttl_s(ttl: Ttl) -> u32 {
    match ttl.as_seconds() {
        0 => Ttl::DEFAULT.as_seconds(),
        seconds => seconds,
    }
}

/// What a provider's own text is part of.
fn failed(kind: ProviderErrorKind, what: fmt::Arguments<'_>) -> ProviderError {
    ProviderError { kind, message: quoted(&what.to_string(), MESSAGE_MAX) }
}

fn read_error(what: fmt::Arguments<'_>, error: &ApiError) -> ProviderError {
    let kind = match error.class().map(Class::after_read) {
        Some(Then::Pause) => ProviderErrorKind::Throttled(error.retry_after()),
        Some(Then::Retry | Then::Unknown) => ProviderErrorKind::Away,
        Some(Then::Alarm | Then::Gone | Then::ReadAgain) => ProviderErrorKind::Refused,
        None => unanswered(error),
    };
    failed(kind, format_args!("cannot {what}: {error}"))
}

fn write_error(what: fmt::Arguments<'_>, error: &ApiError) -> ProviderError {
    let kind = match error.class().map(Class::after_write) {
        Some(Then::Pause) => ProviderErrorKind::Throttled(error.retry_after()),
        Some(Then::Unknown) => ProviderErrorKind::Lost,
        // Gone, being changed, or made by another: what was read before is not what is there.
        Some(Then::ReadAgain | Then::Gone) => ProviderErrorKind::Conflict,
        Some(Then::Retry) => ProviderErrorKind::Away,
        Some(Then::Alarm) => ProviderErrorKind::Refused,
        None if error.outcome_unknown() => ProviderErrorKind::Lost,
        None => unanswered(error),
    };
    failed(kind, format_args!("cannot {what}: {error}"))
}

/// The kind of a failure that is no answer with an error, where nobody doubts what it did.
fn unanswered(error: &ApiError) -> ProviderErrorKind {
    match error.kind() {
        ApiErrorKind::Budget => ProviderErrorKind::Throttled(error.retry_after()),
        ApiErrorKind::Malformed => ProviderErrorKind::Unclear,
        ApiErrorKind::Status(_)
        | ApiErrorKind::Credentials
        | ApiErrorKind::Project
        | ApiErrorKind::Request
        | ApiErrorKind::Connect
        | ApiErrorKind::Timeout
        | ApiErrorKind::Broken => ProviderErrorKind::Away,
    }
}

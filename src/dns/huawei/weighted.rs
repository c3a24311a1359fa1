//! Several record sets of one name and line as one: what a read finds in them, and the calls that the core's `parts` asks for, in turn.
//!
//! A write of which part was taken, or may have been, is told as lost and found out by reading.

use std::collections::BTreeSet;
use std::net::IpAddr;

use tokio::time::Instant;

use super::{HuaweiProvider, failed, ttl_s};
use crate::clock::instant_now;
use crate::core::PartCalls;
use crate::core::parts::{Step, stage};
use crate::huawei::{ApiError, DnsRecordSet, NewRecordSet, Switch};
use crate::model::{
    Answer, Found, FoundPart, InForce, Line, PartState, ProviderError, ProviderErrorKind, RecordKey,
    RecordSet, Ttl, Weight, first_in_words,
};

/// More sets than a name has on one line; each is a call to write.
const SETS_MAX: usize = 100;

impl HuaweiProvider {
    /// All sets of the key's name, type and line as one.
    pub(super) fn in_parts(&self, key: &RecordKey, sets: &[DnsRecordSet]) -> Answer {
        let unclear = |what: std::fmt::Arguments<'_>| {
            failed(ProviderErrorKind::Unclear, format_args!("{key} in {self} {what}"))
        };
        if sets.is_empty() {
            return Ok(None);
        }
        if sets.len() > SETS_MAX {
            return Err(unclear(format_args!(
                "is {} record sets, and none has more than {SETS_MAX}: {}",
                sets.len(),
                first_in_words(sets.iter().map(|set| set.id.as_str()).collect::<Vec<_>>())
            )));
        }
        let mut parts = Vec::with_capacity(sets.len());
        for set in sets {
            let (values, ttl) = self.values_and_ttl(key, set)?;
            let weight = match set.weight.map(|weight| (weight, Weight::from_number(weight))) {
                Some((weight, None)) => return Err(unclear(format_args!("has a set of weight {weight}"))),
                Some((_, weight)) => weight,
                None => None,
            };
            let (id, description) = (set.id.clone(), set.description.clone());
            parts.push(FoundPart { id, values, weight, ttl, description, state: state(&set.status) });
        }
        let served = || parts.iter().filter(|part| part.state.is_served());
        let values = served().flat_map(|part| part.values.iter().copied()).collect();
        // The longest: clients may keep what they have for so long.
        let ttl = served().map(|part| part.ttl).max().or(parts.iter().map(|part| part.ttl).max());
        let ttl = ttl.ok_or_else(|| unclear(format_args!("has no TTL")))?;
        let found =
            Found { id: String::new(), values, ttl, in_force: InForce::Yes, description: None, parts };
        let all = found.values.clone();
        Ok(Some(found.judged_by(&all)))
    }

    pub(super) async fn create_parts(
        &self,
        (key, line): (&RecordKey, &Line),
        set: &RecordSet,
        deadline: Instant,
    ) -> Result<(), ProviderError> {
        let nothing = Found {
            id: String::new(),
            values: BTreeSet::new(),
            ttl: set.ttl(),
            in_force: InForce::Yes,
            description: None,
            parts: Vec::new(),
        };
        self.write_parts((key, line), &nothing, set, deadline).await
    }

    /// Does what can be done now of what brings the sets that were found to what is wanted.
    pub(super) async fn write_parts(
        &self,
        (key, line): (&RecordKey, &Line),
        found: &Found,
        set: &RecordSet,
        deadline: Instant,
    ) -> Result<(), ProviderError> {
        let mut calls = PartCalls::new(stage(found, set));
        if calls.calls().is_empty() {
            let result = calls.result();
            return result
                .map_err(|error| failed(error.kind, format_args!("write {key} in {self}: {error}")));
        }
        let zone_id = self.zone_id(deadline).await?;
        while let Some((step, within)) = calls.next(deadline.saturating_duration_since(instant_now())) {
            let answer = self.take_step((key, line), &zone_id, step, instant_now() + within).await;
            calls.answered(answer.map_err(|error| self.not_written(key, &zone_id, &error)));
        }
        calls.result()
    }

    async fn take_step(
        &self,
        (key, line): (&RecordKey, &Line),
        zone_id: &str,
        step: &Step,
        deadline: Instant,
    ) -> Result<(), ApiError> {
        let (account, region) = (&self.account, self.zone.cloud_region.as_str());
        let body = |values: &BTreeSet<IpAddr>, ttl: Ttl| NewRecordSet {
            name: key.name.to_string(),
            record_type: key.record_type.to_string(),
            ttl: ttl_s(ttl),
            records: values.iter().map(ToString::to_string).collect(),
            description: None,
            line: None,
            weight: None,
        };
        match step {
            Step::Put { set, values, weight, ttl } => {
                let weight = weight.map(Weight::as_number);
                let body =
                    NewRecordSet { description: set.description.clone(), weight, ..body(values, *ttl) };
                account.update_record_set_of_line(region, zone_id, &set.id, &body, deadline).await
            }
            Step::Post { values, weight, ttl } => {
                let (line, weight) = (Some(line.to_string()), Some(weight.as_number()));
                let body = NewRecordSet { line, weight, ..body(values, *ttl) };
                account.create_record_set_of_line(region, zone_id, &body, deadline).await
            }
            Step::Enable { id } => account.switch_record_set(region, id, Switch::Enable, deadline).await,
            Step::Disable { id } => account.switch_record_set(region, id, Switch::Disable, deadline).await,
        }
        .map(|_| ())
    }
}

/// What a status says of one of several sets being served. One that is not known counts as on its way.
fn state(status: &str) -> PartState {
    match status {
        "ACTIVE" => PartState::Served,
        "ERROR" => PartState::Failed,
        "DISABLE" => PartState::Off,
        "PENDING_DISABLE" | "PENDING_DELETE" => PartState::Leaving,
        "FREEZE" | "PENDING_FREEZE" | "ILLEGAL" | "POLICE" => PartState::Withheld,
        _ => PartState::Coming, // PENDING_CREATE and PENDING_UPDATE among them
    }
}

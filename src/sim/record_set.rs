//! One record set: what is shown, what is in force, what is on its way, and what a write may say.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::answer::Refusal;

/// A record set may hold this many values; the real number is not published.
const MAX_VALUES: usize = 50;
/// The largest TTL, in seconds.
const MAX_TTL: i64 = 2_147_483_647;
/// Seconds, when a new record set names none.
pub(super) const DEFAULT_TTL: u32 = 300;
/// The line of everybody.
pub(super) const DEFAULT_LINE: &str = "default_view";

/// One version of a record set: a write that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The values, as asked for.
    pub values: Vec<String>,
    /// The TTL, in seconds.
    pub ttl: u32,
    /// The access key that wrote it; `setup` for what was there at the start.
    pub written_by: String,
    /// When the write was taken up, since the cloud's start.
    pub accepted: Duration,
    /// When it was in force, since the cloud's start; none for a write that never was, or is not yet.
    pub in_force: Option<Duration>,
}

/// A record set as it is shown.
#[derive(Clone, Debug)]
pub(super) struct Set {
    pub(super) id: String,
    pub(super) zone_id: String,
    pub(super) name: String,
    pub(super) record_type: String,
    pub(super) ttl: u32,
    pub(super) values: Vec<String>,
    pub(super) description: Option<String>,
    pub(super) tags: Value,
    pub(super) line: String,
    pub(super) weight: Option<u16>,
    pub(super) status: &'static str,
    /// Made by the cloud itself, and not to be changed.
    pub(super) system: bool,
    /// Wall time since 1970.
    pub(super) created: Duration,
    pub(super) updated: Option<Duration>,
    /// What is served of it.
    pub(super) in_force: Option<Served>,
    pub(super) pending: Option<Pending>,
    /// Every accepted write, oldest first.
    pub(super) versions: Vec<Version>,
}

/// What clients get of one record set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Served {
    pub(super) ttl: u32,
    pub(super) values: Vec<String>,
    pub(super) weight: Option<u16>,
}

/// A write that is not in force yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    /// Never, when stuck.
    pub(super) due: Option<Instant>,
    pub(super) ending: Ending,
}

/// What a record set is when a write is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Active,
    Error,
    Disabled,
    Gone,
    /// Served, and still PENDING afterwards.
    ServedButPending,
}

/// What a write asks for; what it leaves out stays as it is.
#[derive(Clone, Debug, Default, serde::Deserialize)]
pub(super) struct Change {
    pub(super) name: Option<String>,
    #[serde(rename = "type")]
    pub(super) record_type: Option<String>,
    pub(super) ttl: Option<i64>,
    pub(super) records: Option<Vec<String>>,
    pub(super) description: Option<String>,
    pub(super) tags: Option<Value>,
    pub(super) line: Option<String>,
    pub(super) weight: Option<i64>,
}

impl Change {
    /// New values, and nothing else.
    pub(super) fn values(values: Vec<String>) -> Self {
        Self { records: Some(values), ..Self::default() }
    }
}

impl Set {
    /// Takes over what the change says, all of it or nothing.
    pub(super) fn change(&mut self, change: &Change, zone_name: &str) -> Result<(), Refusal> {
        let mut next = self.clone();
        if let Some(name) = &change.name
            && !with_dot(name).eq_ignore_ascii_case(&self.name)
        {
            return Err(Refusal::bad("name cannot be changed"));
        }
        if !self.name.eq_ignore_ascii_case(zone_name) && !self.name.ends_with(&format!(".{zone_name}")) {
            return Err(Refusal::bad(format!("{} is not in zone {zone_name}", self.name)));
        }
        if change.record_type.as_ref().is_some_and(|changed| *changed != self.record_type) {
            return Err(Refusal::bad("type cannot be changed"));
        }
        if change.line.as_ref().is_some_and(|changed| *changed != self.line) {
            return Err(Refusal::bad("line cannot be changed"));
        }
        if let Some(ttl) = change.ttl {
            let in_range = (1..=MAX_TTL).contains(&ttl).then(|| u32::try_from(ttl).ok()).flatten();
            next.ttl = in_range.ok_or_else(|| Refusal::bad("ttl must be between 1 and 2147483647"))?;
        }
        if let Some(values) = &change.records {
            check_values(values, &self.record_type)?;
            next.values.clone_from(values);
        }
        if let Some(weight) = change.weight {
            let in_range = (0..=1000).contains(&weight).then(|| u16::try_from(weight).ok()).flatten();
            next.weight = Some(in_range.ok_or_else(|| Refusal::bad("weight must be between 0 and 1000"))?);
        }
        if let Some(description) = &change.description {
            if description.chars().count() > 255 {
                return Err(Refusal::bad("description is longer than 255 characters"));
            }
            next.description = Some(description.clone());
        }
        if let Some(tags) = &change.tags {
            next.tags = tags.clone();
        }
        *self = next;
        Ok(())
    }
}

fn check_values(values: &[String], record_type: &str) -> Result<(), Refusal> {
    if values.is_empty() {
        return Err(Refusal::bad("records must not be empty"));
    }
    if values.len() > MAX_VALUES {
        return Err(Refusal::bad(format!("records holds more than {MAX_VALUES} values")));
    }
    for (at, value) in values.iter().enumerate() {
        let readable = match record_type {
            "A" => value.parse::<std::net::Ipv4Addr>().is_ok(),
            "AAAA" => value.parse::<std::net::Ipv6Addr>().is_ok(),
            _ => !value.is_empty(),
        };
        if !readable {
            return Err(Refusal::bad(format!("{value:?} is not a value of type {record_type}")));
        }
        if values.iter().take(at).any(|earlier| earlier == value) {
            return Err(Refusal::bad(format!("{value} is there twice")));
        }
    }
    Ok(())
}

pub(super) fn with_dot(name: &str) -> String {
    if name.ends_with('.') { name.to_owned() } else { format!("{name}.") }
}

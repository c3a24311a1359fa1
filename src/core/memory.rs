//! What of a service outlives the process: with ages in place of moments, since the next process's clock starts anew.
//!
//! A value that the caller stores and gives back to [`Core::restore`] and [`Reconciler::restore`]; both say what they
//! make of it. Carries NO-JUMP-ON-START: a restart goes on where it was, neither faster nor slower to act than the
//! evidence allows. A text that makes no sense does not parse. A field that is not known is ignored: after a downgrade the
//! generation and the write budget go on. Start at [`ServiceMemory`].
//!
//! [`Reconciler::restore`]: super::Reconciler::restore

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, de};

use super::failover_memory::FailoverMemory;
use super::parts::Reduction;
use super::row::Row;
use super::{Core, Effect, fingerprint, signal};
use crate::model::{CheckName, Moment, Record, Region, RegionName, Ruling, ServiceName, Weighed};

/// What is remembered of one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceMemory {
    pub(super) service: ServiceName,
    /// Which record set, and where it lives.
    pub(super) record: String,
    #[serde(deserialize_with = "generation")]
    pub(super) generation: u64,
    /// How many words of operators were heeded.
    #[serde(default)]
    pub(super) words: u64,
    #[serde(default)]
    pub(super) overrides: Vec<OverrideMemory>,
    pub(super) regions: Vec<RegionMemory>,
    pub(super) writes: WritesMemory,
    /// How many failovers there have been, and the newest of them.
    #[serde(default)]
    pub(super) failovers: u64,
    #[serde(default)]
    pub(super) failover: Option<FailoverMemory>,
}

impl ServiceMemory {
    /// Of which service.
    #[must_use]
    pub fn service(&self) -> &ServiceName {
        &self.service
    }

    /// Where a region of the service was last known to be; none when it has fixed addresses, or when the memory is about
    /// another record set or another source of addresses.
    #[must_use]
    pub fn addresses(&self, record: &Record, region: &Region) -> Option<&BTreeSet<IpAddr>> {
        let followed = self.is_about(record) && region.addresses.is_empty();
        let mut remembered = self.regions.iter().filter(|kept| followed && kept.name == region.name);
        let of_it = remembered.find(|kept| kept.source == fingerprint::of_addresses(region))?;
        Some(&of_it.addresses)
    }

    /// What is remembered of the writes of this record set; none when it is about another one.
    #[must_use]
    pub fn writes(&self, record: &Record) -> Option<&WritesMemory> {
        self.is_about(record).then_some(&self.writes)
    }

    /// Whether it is about this record set and could have been saved from it.
    pub(super) fn is_about(&self, record: &Record) -> bool {
        let fits = |address: &IpAddr| record.key.record_type.holds(*address);
        let mut addresses = self.regions.iter().flat_map(|region| region.addresses.union(&region.owned));
        self.record == fingerprint::of_record(record) && addresses.all(fits)
    }
}

/// What is remembered of a record set's writes, and of what somebody else did to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WritesMemory {
    /// When those that count against the budget were sent, oldest first.
    pub(super) sent: Vec<Age>,
    /// When each region last had its write beyond the budget.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) extra: Vec<ExtraMemory>,
    /// Whether it is not known yet what became of the latest of them.
    #[serde(default)]
    pub(super) is_open: bool,
    /// When there was one before that for the same reason, beyond the budget: it counts if that one does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) open_before: Option<Age>,
    /// What the set held as far as known.
    pub(super) values: Option<BTreeSet<Weighed>>,
    /// What was sent and may still land.
    pub(super) landing: Vec<LandingMemory>,
    pub(super) drift: DriftMemory,
    /// How many words of operators the record set has followed.
    #[serde(default)]
    pub(super) words: u64,
}

/// A region's write beyond the budget.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct ExtraMemory {
    pub(super) region: RegionName,
    pub(super) sent: Age,
    /// Whether it came in by it while nobody served; else it left.
    #[serde(default)]
    pub(super) is_rescue: bool,
}

/// A write without an answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct LandingMemory {
    pub(super) sent: Age,
    pub(super) values: BTreeSet<Weighed>,
    /// What was there, when several calls make the write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) from: Option<BTreeSet<Weighed>>,
    /// Its calls that take away from a set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) reductions: Vec<Reduction>,
    /// The values that it has brought and taken away since.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) done: BTreeSet<Weighed>,
}

/// What somebody else did to our addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct DriftMemory {
    pub(super) synced: Option<BTreeSet<Weighed>>,
    /// The same of later times, as more and more of it was kept from being served.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) narrowed: Vec<BTreeSet<Weighed>>,
    pub(super) against: Option<BTreeSet<Weighed>>,
    /// When the latest drifts were seen, oldest first.
    pub(super) seen: Vec<Age>,
}

/// How long ago a memory was kept, by the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// For what checks saw, and all else.
    pub looks: Duration,
    /// For the writes of the record set: nothing when nobody knows, so that none ceases to count too soon (BOUNDED-WRITES).
    pub writes: Duration,
}

impl From<Duration> for Gap {
    fn from(gap: Duration) -> Self {
        Self { looks: gap, writes: gap }
    }
}

impl WritesMemory {
    /// The same, so much later.
    pub(super) fn later(&self, by: Duration) -> Self {
        let mut aged = self.clone();
        let landing = aged.landing.iter_mut().map(|landing| &mut landing.sent);
        let extra = aged.extra.iter_mut().map(|extra| &mut extra.sent);
        let sent = aged.sent.iter_mut().chain(&mut aged.open_before);
        for age in sent.chain(extra).chain(landing).chain(&mut aged.drift.seen) {
            *age = age.later(by);
        }
        aged
    }
}

/// What is remembered of one region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RegionMemory {
    pub(super) name: RegionName,
    /// Where its addresses come from.
    pub(super) source: String,
    pub(super) state: StateMemory,
    pub(super) since: Age,
    /// Since when a suspect was healthy before.
    #[serde(default)]
    pub(super) healthy: Option<Age>,
    /// Whether it had risen while it was recovering.
    #[serde(default)]
    pub(super) risen: bool,
    /// When it last fell, and since when it is out of the set.
    #[serde(default)]
    pub(super) fell: Option<Age>,
    #[serde(default)]
    pub(super) left: Option<Age>,
    pub(super) first_failure: Option<Age>,
    /// When it last came back up, and how many times in a row it fell soon after that.
    pub(super) returned: Option<Age>,
    pub(super) flaps: u32,
    pub(super) addresses: BTreeSet<IpAddr>,
    pub(super) unbound: bool,
    #[serde(default)]
    pub(super) may_return: bool,
    pub(super) owned: BTreeSet<IpAddr>,
    pub(super) checks: Vec<CheckMemory>,
}

/// Where a region stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum StateMemory {
    Unknown,
    Up { healthy: Age },
    Suspect,
    Down,
    Recovering { healthy: Age },
}

/// What is remembered of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CheckMemory {
    pub(super) name: CheckName,
    /// What it looks at.
    pub(super) fingerprint: String,
    pub(super) state: signal::State,
    pub(super) row: Row,
    /// Whether `rise` passes were seen since it last failed or was blind.
    #[serde(default)]
    pub(super) risen: bool,
    pub(super) unknown_in_a_row: u32,
    pub(super) first_failure: Option<Age>,
}

/// An operator's word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OverrideMemory {
    pub(super) ruling: Ruling,
    pub(super) author: String,
    pub(super) reason: String,
    /// How long it still holds; none when it does not end by itself.
    pub(super) left: Option<Left>,
}

/// How long after the memory was taken something ends, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Left(u64);

impl Left {
    pub(super) fn of(until: Moment, now: Moment) -> Self {
        Self(u64::try_from(until.since(now).as_micros()).unwrap_or(u64::MAX))
    }

    /// The moment so long after `at`.
    pub(super) fn after(self, at: Moment) -> Moment {
        at + Duration::from_micros(self.0)
    }
}

/// How long before the memory was taken something happened, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Age(u64);

impl Age {
    pub(super) fn of(at: Moment, now: Moment) -> Self {
        Self::from(now.since(at))
    }

    /// The moment so long before `at`.
    pub(super) fn before(self, at: Moment) -> Moment {
        at - Duration::from_micros(self.0)
    }

    fn later(self, by: Duration) -> Self {
        Self::from(Duration::from_micros(self.0).saturating_add(by))
    }
}

impl From<Duration> for Age {
    fn from(age: Duration) -> Self {
        Self(u64::try_from(age.as_micros()).unwrap_or(u64::MAX))
    }
}

/// A generation that leaves room to grow: at a plan a microsecond it would take ages to get to half of them.
fn generation<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let generation = u64::deserialize(from)?;
    let sane = generation <= u64::MAX / 2;
    sane.then_some(generation).ok_or_else(|| de::Error::custom("no plan has such a generation"))
}

impl Core {
    /// What of a service is to outlive the process; none when it is not configured. Ages are as of `now`, so what
    /// is saved long before the process ends makes the next one slower: save it again while something waits.
    #[must_use]
    pub fn memory(&self, service: &ServiceName, now: Moment) -> Option<ServiceMemory> {
        self.services.get(service).map(|service| service.memory(now))
    }

    /// The services of which something else is to be remembered than when this was last asked. Mere time does not
    /// count, nor does a look that changes nothing.
    pub fn take_changed(&mut self) -> Vec<ServiceName> {
        std::mem::take(&mut self.changed).into_iter().collect()
    }

    /// Lets a service go on from what was remembered of it `gap` ago by the wall clock; to be called before the first
    /// input. Memory of a service that is not configured has no effect, and of one whose record set is another now only
    /// the generation counts.
    ///
    /// The gap is no evidence. Liveness is kept. What a check saw is kept over a gap no longer than `fall` looks in
    /// vain take, and forgotten over a longer one, as after such looks (BLIND-IS-NOT-DOWN). Nobody is healthy for
    /// the gap's time. What is unknown now, or another thing than it was, starts afresh.
    pub fn restore(&mut self, now: Moment, gap: Gap, memory: &ServiceMemory, effects: &mut Vec<Effect>) {
        if let Some(service) = self.services.get_mut(&memory.service) {
            let due = service.due;
            self.tally.take_away(service);
            service.restore(now, gap, memory, effects);
            self.tally.add(service);
            self.agenda.moved(&memory.service, due, service.due);
        }
    }
}

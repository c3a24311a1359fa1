//! Zones and record sets: what is asked for, what is shown, and what is in force.
//!
//! A write is shown at once and in force later; until then the record set is PENDING. This is the machine
//! behind the API's forms ([`super::dns`]) and the served zone ([`super::zone`]); it waits for nothing,
//! and whoever drives it calls [`Records::take_due`] and [`Records::settled`]. Start at [`Records`].

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::answer::Refusal;
use super::ids;
use super::record_set::{Change, DEFAULT_LINE, DEFAULT_TTL, Ending, Pending, Served, Set, Version, with_dot};
use super::setup::{PendingWrites, Setup, ZoneType};
use crate::clock;

/// A zone.
#[derive(Debug)]
pub(super) struct Zone {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) seen: ZoneType,
    pub(super) project_id: String,
    /// The VPCs that see it and their cloud regions; for private zones.
    pub(super) routers: Vec<(String, String)>,
}

/// How a write ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fate {
    /// In force after this long.
    Settles(Duration),
    /// PENDING until freed; served after the duration, if there is one.
    Stuck(Option<Duration>),
    /// In status ERROR after this long.
    Fails(Duration),
}

/// A write that somebody makes.
#[derive(Clone, Debug)]
pub(super) struct Write {
    pub(super) zone_id: String,
    pub(super) kind: WriteKind,
    pub(super) by: String,
    pub(super) fate: Fate,
}

#[derive(Clone, Debug)]
pub(super) enum WriteKind {
    Create(Change),
    Update(String, Change),
    Delete(String),
    Enable(String),
    Disable(String),
}

/// What is to be served now, and how to say that it is.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) zone_id: String,
    pub(super) name: String,
    pub(super) record_type: String,
    /// The sets to answer from, by their weights. None: the name loses the type.
    pub(super) serve: Vec<Served>,
    set: String,
    version: usize,
    ending: Ending,
}

/// All zones and record sets.
#[derive(Debug)]
pub(super) struct Records {
    pub(super) zones: Vec<Zone>,
    sets: Vec<Set>,
    late: Vec<(Instant, Write)>,
    pending_writes: PendingWrites,
    started: Instant,
    made: usize,
    /// What was served of the record that matters, each time that something came into force.
    history: Vec<Vec<String>>,
    record: String,
}

impl Records {
    pub(super) fn new(setup: &Setup, started: Instant) -> Self {
        let mut records = Self {
            zones: Vec::new(),
            sets: Vec::new(),
            late: Vec::new(),
            pending_writes: setup.pending_writes,
            started,
            made: 0,
            history: Vec::new(),
            record: setup.record.clone(),
        };
        let zone = records.add_zone(setup, &setup.zone, setup.zone_type);
        for other in &setup.other_zones {
            records.add_zone(setup, &other.name, other.zone_type);
        }
        for neighbour in &setup.neighbours {
            let (name, values) = (&neighbour.name, neighbour.values.clone());
            records.add_set(&zone, name, &neighbour.record_type, DEFAULT_TTL, values);
        }
        let eips = || setup.regions.iter().map(|region| region.eip.to_string()).collect();
        let values: Vec<String> = setup
            .values
            .as_ref()
            .map_or_else(eips, |values| values.iter().map(ToString::to_string).collect());
        if !values.is_empty() {
            records.add_set(&zone, &setup.record, "A", setup.ttl, values);
        }
        for more in &setup.more_sets {
            let values = more.values.iter().map(ToString::to_string).collect();
            records.add_set(&zone, &setup.record, &more.record_type, setup.ttl, values);
            if let Some(set) = records.sets.last_mut() {
                (set.line, set.weight) = (more.line.clone(), more.weight);
                if let Some(served) = &mut set.in_force {
                    served.weight = more.weight;
                }
            }
        }
        records
    }

    /// Carries a write out: accepted now, in force later.
    ///
    /// # Errors
    /// What the API says to a write that it does not accept.
    pub(super) fn write(&mut self, write: Write, now: Instant) -> Result<Set, Refusal> {
        let zone = self.zones.iter().find(|zone| zone.id == write.zone_id);
        let zone_name = zone.ok_or_else(zone_not_found)?.name.clone();
        let at = match &write.kind {
            WriteKind::Create(change) => {
                let set = self.fresh(&write.zone_id, &zone_name, change)?;
                self.sets.push(set);
                self.sets.len() - 1
            }
            WriteKind::Update(id, _)
            | WriteKind::Delete(id)
            | WriteKind::Enable(id)
            | WriteKind::Disable(id) => {
                let of_zone = |set: &Set| set.id == *id && set.zone_id == write.zone_id;
                let at = self.sets.iter().position(of_zone).ok_or_else(set_not_found)?;
                self.allow(at)?;
                at
            }
        };
        let Some(set) = self.sets.get_mut(at) else { return Err(set_not_found()) };
        let (status, ending) = match write.kind {
            WriteKind::Create(_) => ("PENDING_CREATE", Ending::Active),
            WriteKind::Update(_, change) => {
                // One that is switched off stays so, whatever is written to it.
                let ending = if set.status == "DISABLE" { Ending::Disabled } else { Ending::Active };
                set.change(&change, &zone_name)?;
                set.updated = Some(clock::wall_time());
                ("PENDING_UPDATE", ending)
            }
            WriteKind::Delete(_) => ("PENDING_DELETE", Ending::Gone),
            WriteKind::Enable(_) => ("PENDING_UPDATE", Ending::Active),
            WriteKind::Disable(_) => ("PENDING_DISABLE", Ending::Disabled),
        };
        let (due, ending) = match write.fate {
            Fate::Settles(after) => (Some(now + after), ending),
            Fate::Stuck(None) => (None, ending),
            Fate::Stuck(Some(after)) => (Some(now + after), Ending::ServedButPending),
            Fate::Fails(after) => (Some(now + after), Ending::Error),
        };
        set.status = status;
        set.pending = Some(Pending { due, ending });
        set.versions.push(Version {
            values: set.values.clone(),
            ttl: set.ttl,
            written_by: write.by,
            accepted: now.duration_since(self.started),
            in_force: None,
        });
        Ok(set.clone())
    }

    /// Carries a write out later, over whatever is there by then; a refusal then is nobody's to hear.
    pub(super) fn write_late(&mut self, write: Write, at: Instant) {
        self.late.push((at, write));
    }

    /// When there is something to do next.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let pending = self.sets.iter().filter_map(|set| set.pending.and_then(|pending| pending.due));
        pending.chain(self.late.iter().map(|(at, _)| *at)).min()
    }

    /// The next thing to be served, if its time has come.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Step> {
        while let Some(at) = self.late.iter().position(|(at, _)| *at <= now) {
            let (_, write) = self.late.remove(at);
            let pending_writes = std::mem::replace(&mut self.pending_writes, PendingWrites::Accepted);
            let _ = self.write(write, now);
            self.pending_writes = pending_writes;
        }
        let is_due = |set: &Set| set.pending.is_some_and(|it| it.due.is_some_and(|due| due <= now));
        let set = self.sets.iter_mut().find(|set| is_due(set))?;
        let pending = set.pending.as_mut()?;
        pending.due = None;
        let ending = pending.ending;
        match ending {
            Ending::Active | Ending::ServedButPending => {
                set.in_force = Some(Served { ttl: set.ttl, values: set.values.clone(), weight: set.weight });
            }
            Ending::Disabled | Ending::Gone => set.in_force = None,
            Ending::Error => {}
        }
        let set = set.clone();
        if set.name.eq_ignore_ascii_case(&self.record) && set.record_type == "A" {
            let now = self.union(&set.zone_id, &set.name, "A");
            self.history.push(now);
        }
        Some(Step {
            serve: self.served(&set.zone_id, &set.name, &set.record_type),
            zone_id: set.zone_id,
            name: set.name,
            record_type: set.record_type,
            set: set.id,
            version: set.versions.len(),
            ending,
        })
    }

    /// A step is served by now: the record set says so, unless it was written again meanwhile.
    pub(super) fn settled(&mut self, step: &Step, now: Instant) {
        let started = self.started;
        let Some(set) = self.sets.iter_mut().find(|set| set.id == step.set) else { return };
        let is_newest = set.versions.len() == step.version;
        if let (true, Some(version)) = (
            step.ending != Ending::Error,
            step.version.checked_sub(1).and_then(|at| set.versions.get_mut(at)),
        ) {
            version.in_force.get_or_insert(now.duration_since(started));
        }
        if !is_newest {
            return;
        }
        let status = match step.ending {
            Ending::Active => "ACTIVE",
            Ending::Disabled => "DISABLE",
            Ending::Error => "ERROR",
            Ending::ServedButPending => {
                set.pending = Some(Pending { due: None, ending: Ending::Active });
                return;
            }
            Ending::Gone => {
                self.sets.retain(|set| set.id != step.set);
                return;
            }
        };
        (set.status, set.pending) = (status, None);
    }

    /// What is stuck goes on.
    pub(super) fn free(&mut self, now: Instant) {
        for pending in self.sets.iter_mut().filter_map(|set| set.pending.as_mut()) {
            pending.due = pending.due.or(Some(now));
        }
    }

    /// The sets that the zone answers a name and type from, of the line of everybody: those in force, without those of weight
    /// 0 while there are others.
    pub(super) fn served(&self, zone_id: &str, name: &str, record_type: &str) -> Vec<Served> {
        let alike = |set: &&Set| {
            set.zone_id == zone_id
                && set.name.eq_ignore_ascii_case(name)
                && set.record_type == record_type
                && set.line == DEFAULT_LINE
        };
        let mut sets: Vec<Served> =
            self.sets.iter().filter(alike).filter_map(|set| set.in_force.clone()).collect();
        if sets.iter().any(|set| set.weight != Some(0)) {
            sets.retain(|set| set.weight != Some(0));
        }
        sets
    }

    /// All values that clients may get for a name and type.
    pub(super) fn union(&self, zone_id: &str, name: &str, record_type: &str) -> Vec<String> {
        self.served(zone_id, name, record_type).into_iter().flat_map(|set| set.values).collect()
    }

    /// What was served of the record that matters after each change that came into force, oldest first.
    pub(super) fn history(&self) -> &[Vec<String>] {
        &self.history
    }

    /// Every name and type that a zone serves now, and the sets that it answers from.
    pub(super) fn all_served(&self, zone_id: &str) -> Vec<(String, String, Vec<Served>)> {
        let of_zone = self.sets.iter().filter(|set| set.zone_id == zone_id);
        let mut all: Vec<_> = of_zone
            .map(|set| {
                let sets = self.served(zone_id, &set.name, &set.record_type);
                (set.name.clone(), set.record_type.clone(), sets)
            })
            .collect();
        all.dedup();
        all
    }

    /// Gives a set another status; none when it is not there.
    pub(super) fn set_status(&mut self, id: &str, status: &'static str) -> Option<()> {
        let set = self.sets.iter_mut().find(|set| set.id == id)?;
        set.status = status;
        if status != "ACTIVE" {
            set.in_force = None;
        }
        Some(())
    }

    /// The record sets of a zone, oldest first.
    pub(super) fn sets(&self, zone_id: &str) -> impl Iterator<Item = &Set> {
        self.sets.iter().filter(move |set| set.zone_id == zone_id)
    }

    /// A record set of any zone.
    pub(super) fn set(&self, id: &str) -> Option<&Set> {
        self.sets.iter().find(|set| set.id == id)
    }

    /// The record set of that name and type in a zone.
    pub(super) fn find(&self, zone_id: &str, name: &str, record_type: &str) -> Option<&Set> {
        self.sets(zone_id).find(|set| set.name.eq_ignore_ascii_case(name) && set.record_type == record_type)
    }

    fn add_zone(&mut self, setup: &Setup, name: &str, zone_type: ZoneType) -> String {
        let id = ids::dns(&format!("zone {zone_type:?} {name}"));
        let router = |region: &super::setup::RegionSetup| {
            (ids::uuid(&format!("vpc {}", region.name)), region.cloud_region.clone())
        };
        self.zones.push(Zone {
            id: id.clone(),
            name: name.to_owned(),
            seen: zone_type,
            project_id: setup.regions.first().map(|region| region.project_id.clone()).unwrap_or_default(),
            routers: setup.regions.iter().map(router).collect(),
        });
        let soa = "ns1.private.myhuaweicloud.com. hostmaster.example.com. (1 7200 900 1209600 300)";
        self.add_set(&id, name, "SOA", DEFAULT_TTL, vec![soa.to_owned()]);
        self.add_set(&id, name, "NS", 172_800, vec!["ns1.private.myhuaweicloud.com.".to_owned()]);
        id
    }

    /// One that is there from the start.
    fn add_set(&mut self, zone_id: &str, name: &str, record_type: &str, ttl: u32, values: Vec<String>) {
        let mut set = self.empty(zone_id, name, record_type);
        set.status = "ACTIVE";
        set.in_force = Some(Served { ttl, values: values.clone(), weight: set.weight });
        set.system = record_type == "SOA" || record_type == "NS";
        set.versions.push(Version {
            values: values.clone(),
            ttl,
            written_by: "setup".to_owned(),
            accepted: Duration::ZERO,
            in_force: Some(Duration::ZERO),
        });
        (set.ttl, set.values) = (ttl, values);
        self.sets.push(set);
    }

    /// Of a set that is made without one: 1 in public zones, none in private ones.
    fn usual_weight(&self, zone_id: &str) -> Option<u16> {
        let zone = self.zones.iter().find(|zone| zone.id == zone_id);
        zone.is_some_and(|zone| zone.seen == ZoneType::Public).then_some(1)
    }

    fn empty(&mut self, zone_id: &str, name: &str, record_type: &str) -> Set {
        self.made += 1;
        Set {
            id: ids::dns(&format!("set {} {name} {record_type}", self.made)),
            zone_id: zone_id.to_owned(),
            name: name.to_owned(),
            record_type: record_type.to_owned(),
            ttl: DEFAULT_TTL,
            values: Vec::new(),
            description: None,
            tags: Value::Array(Vec::new()),
            line: DEFAULT_LINE.to_owned(),
            weight: self.usual_weight(zone_id),
            status: "PENDING_CREATE",
            system: false,
            created: clock::wall_time(),
            updated: None,
            in_force: None,
            pending: None,
            versions: Vec::new(),
        }
    }

    /// A record set from a request to create one, not yet among the others.
    fn fresh(&mut self, zone_id: &str, zone_name: &str, change: &Change) -> Result<Set, Refusal> {
        let name = with_dot(change.name.as_deref().ok_or_else(|| Refusal::bad("name is missing"))?);
        let record_type = change.record_type.clone().ok_or_else(|| Refusal::bad("type is missing"))?;
        if change.records.is_none() {
            return Err(Refusal::bad("records is missing"));
        }
        let line = change.line.as_deref().unwrap_or(DEFAULT_LINE);
        let alike = self.sets(zone_id).filter(|set| {
            set.name.eq_ignore_ascii_case(&name) && set.record_type == record_type && set.line == line
        });
        // Sets of one name, type and line may stand beside each other only when weights tell them apart.
        if alike.into_iter().any(|set| set.weight.is_none() || change.weight.is_none()) {
            return Err(Refusal::new(409, "DNS.0335", "The recordset already exists."));
        }
        let mut set = self.empty(zone_id, &name, &record_type);
        line.clone_into(&mut set.line);
        set.change(&Change { line: None, ..change.clone() }, zone_name)?;
        Ok(set)
    }

    fn allow(&self, at: usize) -> Result<(), Refusal> {
        let Some(set) = self.sets.get(at) else { return Err(set_not_found()) };
        if set.system {
            return Err(Refusal::new(403, "DNS.0316", "A default recordset cannot be changed."));
        }
        match self.pending_writes {
            PendingWrites::Refused if set.pending.is_some() => {
                Err(Refusal::usual(409, "The recordset is being changed, try later."))
            }
            PendingWrites::Refused | PendingWrites::Accepted => Ok(()),
        }
    }
}

pub(super) fn zone_not_found() -> Refusal {
    Refusal::new(404, "DNS.0302", "This zone does not exist.")
}

pub(super) fn set_not_found() -> Refusal {
    Refusal::new(404, "DNS.0313", "Can not find the recordset.")
}

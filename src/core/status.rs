//! The core's state at one moment, for a person or a program to read.

use std::collections::BTreeSet;

use super::Core;
use super::plan::Held;
use super::region::RegionState;
use super::service::ServiceState;
use super::signal::Signal;
use crate::model::{
    AlarmStatus, Check, CheckStatus, HeldStatus, Kleene, Moment, Outcome, Override, OverrideStatus,
    RecordStatus, RegionStatus, Scope, ServiceName, ServiceStatus, Waiting, WaitingStatus,
    addresses_in_words,
};

impl Core {
    /// Every service as it is now, in the order configured.
    #[must_use]
    pub fn status(&self, now: Moment) -> Vec<ServiceStatus> {
        self.order.iter().filter_map(|name| self.service_status(name, now)).collect()
    }

    /// One service as it is now.
    #[must_use]
    pub fn service_status(&self, name: &ServiceName, now: Moment) -> Option<ServiceStatus> {
        self.services.get(name).map(|service| status(service, now))
    }
}

fn status(state: &ServiceState, now: Moment) -> ServiceStatus {
    let record = &state.service.record;
    let held = state.held.iter().chain(&state.write_held).map(held_status).collect();
    let alarms = state.alarms.iter().map(|((alarm, region), message)| AlarmStatus {
        alarm: *alarm,
        region: region.clone(),
        subject: None,
        message: message.clone(),
    });
    ServiceStatus {
        name: state.service.name.clone(),
        domain: record.key.name.clone(),
        record_type: record.key.record_type,
        mode: state.service.mode.as_str(),
        record_set: record_status(state, now),
        regions: state.regions.iter().map(|region| region_status(state, region, now)).collect(),
        held,
        overrides: state.overrides.iter().map(|held| override_status(held, now)).collect(),
        waiting: state.waiting.iter().map(waiting_status).collect(),
        alarms: alarms.collect(),
        failovers: state.ledger.iter().map(|line| line.status(&state.service.name, now)).collect(),
    }
}

fn held_status(held: &Held) -> HeldStatus {
    HeldStatus {
        rule: held.rule.as_str(),
        because: held.because.clone(),
        lifts_when: held.lifts_when.clone(),
    }
}

fn override_status(held: &Override, now: Moment) -> OverrideStatus {
    OverrideStatus {
        kind: held.ruling.as_str(),
        region: held.ruling.scope().and_then(Scope::region).cloned(),
        check: held.ruling.check().cloned(),
        author: held.author.clone(),
        reason: held.reason.clone(),
        ends_in_s: held.until.map(|until| until.since(now).as_secs_f64()),
    }
}

fn waiting_status(waiting: &Waiting) -> WaitingStatus {
    let Waiting { waits_for, region, because } = waiting.clone();
    WaitingStatus { waits_for, region, because }
}

fn record_status(state: &ServiceState, now: Moment) -> RecordStatus {
    let found = state.seen.as_ref().and_then(|seen| seen.found.as_ref());
    let values = found.map(|found| found.values.clone());
    let wanted = state.plan.as_ref().map(|plan| plan.wanted.clone());
    let owned = state.owned();
    let foreign = values.iter().flatten().filter(|value| !owned.contains(value)).copied().collect();
    let ours = values.as_ref().map(|values| values.intersection(&owned).copied().collect::<BTreeSet<_>>());
    RecordStatus {
        in_sync: wanted.is_some()
            && wanted == ours
            && found.is_some_and(|f| f.in_force == crate::model::InForce::Yes),
        values,
        foreign,
        wanted,
        ttl: found.map(|found| found.ttl),
        generation: state.generation.0,
        read_age_s: state.seen.as_ref().map(|seen| now.since(seen.at).as_secs_f64()),
        phase: state.phase,
    }
}

fn region_status(state: &ServiceState, region: &RegionState, now: Moment) -> RegionStatus {
    let seen = state.seen.as_ref().and_then(|seen| seen.found.as_ref());
    let name = &region.region.name;
    let because = state.plan.as_ref().and_then(|plan| plan.regions.iter().find(|r| r.region == *name));
    let evidence = region.evidence_in_words();
    RegionStatus {
        name: name.clone(),
        liveness: region.liveness(),
        since_s: now.since(region.since).as_secs_f64(),
        published: seen.is_some_and(|found| !found.values.is_disjoint(&region.owned)),
        because: match because {
            Some(plan) if plan.wanted => {
                format!("in, with {}: {evidence}", addresses_in_words(&region.addresses))
            }
            Some(_) => format!("out: {evidence}"),
            None => evidence,
        },
        addresses: region.addresses.clone(),
        recovers_in_s: region.recovers_at().map(|at| at.since(now).as_secs_f64()),
        checks: region
            .region
            .checks
            .iter()
            .zip(&region.signals)
            .map(|(c, s)| check_status(region, c, s, now))
            .collect(),
    }
}

fn check_status(region: &RegionState, check: &Check, signal: &Signal, now: Moment) -> CheckStatus {
    let last = signal.last();
    CheckStatus {
        name: check.name.clone(),
        kind: check.kind.as_str(),
        signal: match signal.settled() {
            Kleene::True => "passing",
            Kleene::False => "failing",
            Kleene::Unknown => "unknown",
        },
        votes: region.region.up_when.names(&check.name),
        muted: region.muted.contains(&check.name),
        last: last.map(|last| last.outcome.as_str()),
        reason: last.and_then(|last| Outcome::reason(last.outcome)),
        saw: last.map(|last| last.saw.to_string()).unwrap_or_default(),
        latency_ms: last.map(|last| last.latency.as_secs_f64() * 1e3),
        run: last.map_or(0, |last| last.run),
        age_s: last.and_then(|last| last.known_at).map(|at| now.since(at).as_secs_f64()),
    }
}

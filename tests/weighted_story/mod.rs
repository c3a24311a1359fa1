//! A reconciler of two sets by weight, told read by read what it finds.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use pointsman::core::{Call, Generation, Plan, Reconciler, Report, Timing, WriteRules};
use pointsman::model::{
    Alarm, Found, FoundPart, Fqdn, InForce, Line, Moment, OnDrift, Part, PartState, ProviderError,
    ProviderErrorKind, ProviderName, Record, RecordKey, RecordType, Routing, ServiceName, Ttl, Weight,
    WriteBudget,
};

pub(super) fn address(last: u8) -> IpAddr {
    Ipv4Addr::new(198, 51, 100, last).into()
}

pub(super) fn key() -> RecordKey {
    let name = Fqdn::parse("demo.localdev.me.").unwrap();
    RecordKey { name, record_type: RecordType::A, routing: Routing::Weighted(Line::everybody()) }
}

/// Two regions, `1` and `2`, each at its weight; in or out.
pub(super) fn plan(generation: u64, regions: [(u16, bool); 2]) -> Arc<Plan> {
    let part = |(last, (weight, is_in)): (u8, (u16, bool))| Part {
        weight: Weight::from_number(weight).unwrap(),
        values: if is_in { [address(last)].into() } else { BTreeSet::new() },
        owned: [address(last)].into(),
    };
    let parts: Vec<Part> = (1..).zip(regions).map(part).collect();
    Arc::new(Plan {
        service: ServiceName::parse("demo").unwrap(),
        key: key(),
        generation: Generation(generation),
        wanted: parts.iter().flat_map(|part| part.values.clone()).collect(),
        owned: [address(1), address(2)].into(),
        parts,
        ttl: None,
        may_write: true,
        only_from: None,
        is_rescue: false,
        words: 0,
        regions: Vec::new(),
        held: Vec::new(),
    })
}

/// The sets of the two regions.
pub(super) fn zone(sets: [(u16, PartState); 2]) -> Found {
    let part = |(last, (weight, state)): (u8, (u16, PartState))| FoundPart {
        id: last.to_string(),
        values: [address(last)].into(),
        weight: Weight::from_number(weight),
        ttl: Ttl::DEFAULT,
        description: None,
        state,
    };
    let parts: Vec<FoundPart> = (1..).zip(sets).map(part).collect();
    let served = parts.iter().filter(|part| part.state.is_served());
    Found {
        id: String::new(),
        values: served.flat_map(|part| part.values.clone()).collect(),
        ttl: Ttl::DEFAULT,
        in_force: InForce::Yes,
        description: None,
        parts,
    }
}

pub(super) struct Story {
    pub(super) reconciler: Reconciler,
    pub(super) now: Moment,
    pub(super) reports: Vec<Report>,
}

impl Story {
    pub(super) fn new(on_drift: OnDrift, writes: u32) -> Self {
        let record = Record {
            key: key(),
            provider: ProviderName::parse("public").unwrap(),
            ttl: None,
            create: false,
            on_drift,
        };
        let budget = WriteBudget { writes, window: Duration::from_secs(600) };
        let rules = WriteRules { min_published: 1, budget };
        let timing = Timing { resync: Duration::from_secs(60) };
        let reconciler = Reconciler::new(record, rules, timing, false, Moment::START);
        Self { reconciler, now: Moment::START + Duration::from_secs(1_000), reports: Vec::new() }
    }

    /// The next read finds that; says whether a write follows.
    pub(super) fn reads(&mut self, found: &Found) -> bool {
        self.finds(Some(found))
    }

    /// The same of a read that may find nothing.
    pub(super) fn finds(&mut self, found: Option<&Found>) -> bool {
        loop {
            self.now = self.reconciler.next_wake().unwrap().max(self.now);
            match self.reconciler.poll_call(self.now) {
                Some(Call::Read) => break,
                Some(call) => panic!("no read: {call:?}"),
                None => {}
            }
        }
        self.reconciler.handle_read(self.now, Ok(found.cloned()));
        let call = self.reconciler.poll_call(self.now);
        while let Some(report) = self.reconciler.poll_report() {
            self.reports.push(report);
        }
        call.is_some()
    }

    pub(super) fn is_taken(&mut self) {
        self.now = self.now + Duration::from_millis(20);
        self.reconciler.handle_written(self.now, Ok(()));
    }

    pub(super) fn is_lost(&mut self) {
        self.now = self.now + Duration::from_millis(20);
        let lost = ProviderError { kind: ProviderErrorKind::Lost, message: String::new() };
        self.reconciler.handle_written(self.now, Err(lost));
    }

    pub(super) fn wants(&mut self, plan: &Arc<Plan>) {
        self.reconciler.handle_plan(self.now, Arc::clone(plan));
    }

    /// The same 2 s later, in `next`, another process.
    pub(super) fn restarted(&self, mut next: Self) -> Self {
        let of = |it: &Report| if let Report::Remember(it) = it { Some(it.clone()) } else { None };
        let memory = self.reports.iter().rev().find_map(of);
        next.now = self.now + Duration::from_secs(2);
        next.reconciler.restore(next.now, Duration::from_secs(2), &memory.unwrap());
        next
    }

    pub(super) fn is_told_of_drift(&self) -> bool {
        let tells = |report: &Report| {
            matches!(report, Report::Drifted { .. } | Report::Alarmed { alarm: Alarm::Drift, .. })
        };
        self.reports.iter().any(tells)
    }
}

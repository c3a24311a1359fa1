//! What outlives the process of each service: handed to the journal when it changes, taken back at the start.
//!
//! A start goes on from here (NO-JUMP-ON-START). What the journal does not have starts as new.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::wall_time;
use crate::core::{Core, ServiceMemory};
use crate::journal::{Journal, Remembered};
use crate::model::{Moment, Region, Service, ServiceName};
use crate::probe::Addresses;

/// So often everything is kept anew although nothing changed, so that a start after a hard end knows how long ago the
/// last look was. Five minutes leave an idle disk asleep.
const NOW_AND_THEN: Duration = Duration::from_secs(5 * 60);
/// The same of a service that waits for a time, as for the return of a region: what it has waited is not to be waited again.
const WHILE_WAITING: Duration = Duration::from_secs(5);
/// A round of keeping takes several turns, of this many services at least: some 5 ms. Few services are kept in one turn, so
/// that the disk sleeps again.
const BATCH: usize = 100;

/// After this every row of looks is forgotten: in place of a time that nobody knows.
const LONG_AGO: Duration = Duration::from_secs(24 * 60 * 60);

/// What the journal knew of one service at the start.
#[derive(Debug)]
pub(super) struct Recollection {
    /// How long ago it was so, for what looks saw.
    pub(super) gap: Duration,
    /// The same for how often was written.
    pub(super) writes_gap: Duration,
    pub(super) memory: ServiceMemory,
}

/// Where a region was when the journal last heard of it; not known when it does not follow its load balancer's addresses.
pub(super) fn remembered_addresses(
    recollections: &[Recollection],
    service: &Service,
    region: &Region,
) -> Addresses {
    let of_service = recollections.iter().find(|it| *it.memory.service() == service.name);
    let addresses = of_service.and_then(|it| it.memory.addresses(&service.record, region));
    let addresses: Vec<IpAddr> = addresses.into_iter().flatten().copied().collect();
    Addresses::from(&*addresses)
}

/// Keeps what is to be remembered.
#[derive(Debug)]
pub(super) struct Memory {
    journal: Journal,
    services: Vec<ServiceName>,
    everything: Round,
    waiting: Round,
}

/// Keeps services anew every so often, a few each second.
#[derive(Debug)]
struct Round {
    every: Duration,
    began: Moment,
    left: Vec<ServiceName>,
    /// How many are kept in one turn: all of them are within `every`.
    at_once: usize,
}

impl Round {
    fn new(every: Duration, now: Moment) -> Self {
        Self { every, began: now, left: Vec::new(), at_once: BATCH }
    }

    /// The services whose turn it is now; a new round is of those who are `due`.
    fn turn(&mut self, now: Moment, due: impl FnOnce() -> Vec<ServiceName>) -> Vec<ServiceName> {
        if self.left.is_empty() && now.since(self.began) >= self.every {
            self.began = now;
            self.left = due();
            let turns = usize::try_from(self.every.as_secs()).unwrap_or(usize::MAX).max(1);
            self.at_once = self.left.len().div_ceil(turns).max(BATCH);
        }
        self.left.split_off(self.left.len().saturating_sub(self.at_once))
    }
}

/// What the journal gave back, as far as it makes sense.
pub(super) fn recollect(remembered: Vec<Remembered>) -> Vec<Recollection> {
    let now = wall_time();
    let understood = remembered.into_iter().filter_map(|Remembered { service, saved, state }| {
        match serde_json::from_str::<ServiceMemory>(&state) {
            Ok(memory) => {
                let (gap, writes_gap) = gaps(saved, now);
                Some(Recollection { gap, writes_gap, memory })
            }
            Err(error) => {
                tracing::warn!(%service, "the journal's memory of the service makes no sense, it starts as new: {error}");
                None
            }
        }
    });
    understood.collect()
}

/// How long ago `saved` is. When the wall clock went back nobody knows: then what looks saw is no evidence any more, and every
/// write has just been made, so that neither makes anything sooner than it may be (NO-JUMP-ON-START).
fn gaps(saved: Duration, now: Duration) -> (Duration, Duration) {
    match now.checked_sub(saved) {
        Some(gap) => (gap, gap),
        None => (LONG_AGO, Duration::ZERO),
    }
}

impl Memory {
    pub(super) fn new(journal: Journal, services: &[Arc<Service>], now: Moment) -> Self {
        let (everything, waiting) = (Round::new(NOW_AND_THEN, now), Round::new(WHILE_WAITING, now));
        Self { journal, services: names(services), everything, waiting }
    }

    /// These services are watched from now on; the others are forgotten.
    pub(super) fn keep_only(&mut self, services: &[Arc<Service>]) {
        let after: BTreeSet<&ServiceName> = services.iter().map(|service| &service.name).collect();
        for gone in self.services.iter().filter(|name| !after.contains(name)) {
            self.journal.forget(gone);
        }
        self.services = names(services);
    }

    /// Whatever changed since last time.
    pub(super) fn keep_changed(&self, core: &mut Core, now: Moment) {
        let changed = core.take_changed();
        if !changed.is_empty() {
            self.keep(core, &changed, now);
        }
    }

    /// What it is time for although nothing changed; to be called every second.
    pub(super) fn keep_now_and_then(&mut self, core: &Core, now: Moment) {
        let due = self.due(core, now);
        if !due.is_empty() {
            self.keep(core, &due, now);
        }
    }

    fn due(&mut self, core: &Core, now: Moment) -> Vec<ServiceName> {
        let services = &self.services;
        let mut due = self.everything.turn(now, || services.clone());
        due.extend(self.waiting.turn(now, || core.waiting().cloned().collect()));
        due
    }

    /// Everything, as it is now.
    pub(super) fn keep_all(&self, core: &Core, now: Moment) {
        self.keep(core, &self.services, now);
    }

    fn keep(&self, core: &Core, services: &[ServiceName], now: Moment) {
        let saved = wall_time();
        let memories = services.iter().filter_map(|service| {
            // Plain values always have a text.
            let state = serde_json::to_string(&core.memory(service, now)?).ok()?;
            Some(Remembered { service: service.clone(), saved, state })
        });
        self.journal.remember(memories.collect());
    }
}

fn names(services: &[Arc<Service>]) -> Vec<ServiceName> {
    services.iter().map(|service| service.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::path::Path;

    use super::*;
    use crate::config;
    use crate::core::Input;
    use crate::model::{CheckKey, Observation, Outcome, Reason};

    #[test]
    fn a_wall_clock_that_went_back_makes_old_looks_no_evidence_and_old_writes_new() {
        let at = Duration::from_secs;
        assert_eq!(gaps(at(100), at(103)), (at(3), at(3)));
        assert_eq!(gaps(at(100), at(99)), (LONG_AGO, at(0)));
    }

    #[test]
    fn one_event_among_thousands_of_services_is_kept_for_one_and_so_is_its_wait() {
        const SERVICES: usize = 2_000;
        let mut text = "[cloud.main]\nregion = \"cn-north-4\"\n[dns.private]\nkind = \"huawei\"\n\
                        zone = \"localdev.me.\"\nzone_type = \"private\"\n"
            .to_owned();
        for service in 0..SERVICES {
            write!(
                text,
                "[[service]]\nname = \"s{service}\"\ndomain = \"s{service}.localdev.me.\"\n[[service.check]]\n\
                 name = \"web\"\nkind = \"tcp\"\nport = 80\n[[service.region]]\nname = \"here\"\n\
                 address = [\"198.51.100.10\"]\n"
            )
            .unwrap();
        }
        let services = config::parse(&text, Path::new("pointsman.toml")).unwrap().config.services;
        let mut now = Moment::START;
        let mut core = Core::new(&services, now);
        let mut memory = Memory::new(Journal::nowhere(), &services, now);
        let service = &services[SERVICES / 2];
        let [pass, fail] = [Outcome::Pass, Outcome::Fail(Reason::Refused)];
        for outcome in [pass, fail, fail, fail, pass] {
            now = now + Duration::from_secs(1);
            let check = CheckKey {
                service: service.name.clone(),
                region: service.regions[0].name.clone(),
                check: service.regions[0].checks[0].name.clone(),
            };
            let (check, started, saw) = (Arc::new(check), now, "".into());
            let (late, latency, certificate) = (Duration::ZERO, Duration::ZERO, None);
            let look = Observation { check, started, late, latency, outcome, saw, certificate };
            let mut effects = Vec::new();
            core.step(now, &Input::Observed(look), &mut effects);
            assert_eq!(core.take_changed(), std::slice::from_ref(&service.name));
        }
        // It recovers: that alone is kept every 5 s, and every service once in 5 min, some at a time.
        let mut kept = 0;
        for second in 0..300 {
            let due = memory.due(&core, now);
            let waited = due.iter().filter(|name| **name == service.name).count();
            assert!(due.len() <= BATCH + 1 && waited <= 2, "{} of them in second {second}", due.len());
            kept += due.len();
            now = now + Duration::from_secs(1);
        }
        assert!(kept >= 59, "its wait was kept {kept} times");
        assert!(kept <= 60 + 6 * BATCH, "{kept} were kept before all of them were due");
        let rest: usize = (0..SERVICES / BATCH).map(|_| memory.everything.turn(now, Vec::new).len()).sum();
        assert_eq!(kept - 60 + rest, SERVICES, "each is kept once");
    }
}

//! Another configuration while running: what is unchanged goes on with its counts and timers, what is new starts
//! afresh, what is gone leaves its addresses where they are.
//!
//! Carries NO-JUMP-ON-START: no region changes its state here, and what is decided is decided by the ordinary rules over
//! what was seen before. Start at [`Core::reconfigure`].

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ledger::Ledger;
use super::region::RegionState;
use super::service::ServiceState;
use super::witnessing::Witnessing;
use super::{Core, Effect, fingerprint};
use crate::model::{Alarm, Moment, Pace, RegionName, Service};

impl Core {
    /// Takes in another configuration; a service that is as it was is not touched.
    ///
    /// A service whose record set is another one, or lives elsewhere, starts as new, save that its generation goes on.
    /// So does a region that gets its addresses from elsewhere, save that the old ones remain ours; and a check that
    /// looks at something else. Other thresholds read the same looks differently from the next one on. Addresses of a
    /// region that is gone are not ours any more and stay in the set. Alarms about what is gone end.
    pub fn reconfigure(&mut self, now: Moment, services: &[Arc<Service>], effects: &mut Vec<Effect>) {
        let mut before = std::mem::take(&mut self.services);
        for service in services {
            let new = ServiceState::new(Arc::clone(service), now);
            let mut state = match before.remove(&service.name) {
                Some(state) if state.keeps(service) => state,
                Some(old) => new.in_place_of(old, effects),
                None => new,
            };
            state.reconfigure(now, service, effects);
            if std::mem::take(&mut state.changed) {
                self.changed.insert(service.name.clone());
            }
            self.services.insert(service.name.clone(), state);
        }
        for mut gone in before.into_values() {
            gone.end_alarms(|_, _| true, effects);
        }
        self.order = services.iter().map(|service| service.name.clone()).collect();
        self.changed.retain(|name| self.services.contains_key(name));
        self.take_stock();
    }
}

impl ServiceState {
    /// Whether it is still about the same record set.
    fn keeps(&self, service: &Service) -> bool {
        fingerprint::of_record(&self.service.record) == fingerprint::of_record(&service.record)
    }

    /// Starts as new where `old` was. Its regions may still be looked at as fast as before.
    fn in_place_of(mut self, mut old: Self, effects: &mut Vec<Effect>) -> Self {
        old.end_alarms(|_, _| true, effects);
        self.generation = old.generation;
        (self.words, self.overrides) = (old.words, std::mem::take(&mut old.overrides));
        self.ledger = Ledger::recall(old.ledger.count(), None);
        self.witnessing = Witnessing::in_place_of(&old.witnessing);
        self.leave_behind(effects);
        self.mute_checks();
        let paces = old.paces_by_region();
        self.set_known_paces(&paces);
        self.set_paces(effects);
        self.changed = true;
        self
    }

    fn reconfigure(&mut self, now: Moment, service: &Arc<Service>, effects: &mut Vec<Effect>) {
        if self.service == *service {
            return;
        }
        let paces = self.paces_by_region();
        let mut before: BTreeMap<RegionName, RegionState> =
            self.regions.drain(..).map(|region| (region.region.name.clone(), region)).collect();
        let looked_at = self.service.clone();
        self.service = Arc::clone(service);
        for region in &service.regions {
            self.regions.push(match before.remove(&region.name) {
                Some(state) => state.reconfigured(Arc::clone(region), now),
                None => RegionState::new(Arc::clone(region), now),
            });
        }
        let same_checks = |name: &RegionName| {
            let checks = |service: &Service| {
                service.regions.iter().find(|region| region.name == *name).map(|region| region.checks.clone())
            };
            checks(&looked_at) == checks(service)
        };
        let over = |alarm: Alarm, name: &RegionName| {
            before.contains_key(name) || (alarm == Alarm::Certificate && !same_checks(name))
        };
        self.end_alarms(|alarm, region| region.is_some_and(|name| over(alarm, name)), effects);
        self.set_known_paces(&paces);
        self.disown_what_moved();
        self.leave_behind(effects);
        self.mute_checks();
        self.decide(now, effects);
        self.due = self.next_wake(now);
        self.changed = true;
    }

    /// Ends the alarms that are `over`.
    fn end_alarms(&mut self, over: impl Fn(Alarm, Option<&RegionName>) -> bool, effects: &mut Vec<Effect>) {
        let raised: Vec<(Alarm, Option<RegionName>)> = self.alarms.keys().cloned().collect();
        for (alarm, region) in raised {
            if over(alarm, region.as_ref()) {
                self.alarm(alarm, region, None, effects);
            }
        }
    }

    fn paces_by_region(&self) -> BTreeMap<RegionName, Pace> {
        self.regions.iter().map(|region| region.region.name.clone()).zip(self.paces.iter().copied()).collect()
    }

    fn set_known_paces(&mut self, paces: &BTreeMap<RegionName, Pace>) {
        let pace = |region: &RegionState| paces.get(&region.region.name).copied().unwrap_or_default();
        self.paces = self.regions.iter().map(pace).collect();
    }
}

//! How all services stand, in numbers that each event changes by what it did: nobody counts all of them for one.

use std::collections::BTreeMap;

use super::service::ServiceState;
use super::{Effect, Transition};
use crate::model::Liveness;

/// How many services, regions in each state and alarms there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    services: usize,
    regions: BTreeMap<Liveness, usize>,
    alarms: usize,
}

impl Tally {
    /// One that no core has counted.
    #[cfg(test)]
    pub(crate) fn made_up(services: usize, regions: &[Liveness], alarms: usize) -> Self {
        let mut tally = Self { services, alarms, ..Self::default() };
        for region in regions {
            *tally.regions.entry(*region).or_default() += 1;
        }
        tally
    }

    /// Of all these services.
    pub(super) fn of<'s>(services: impl IntoIterator<Item = &'s ServiceState>) -> Self {
        let mut tally = Self::default();
        services.into_iter().for_each(|service| tally.add(service));
        tally
    }

    pub(super) fn add(&mut self, service: &ServiceState) {
        self.services += 1;
        self.alarms += service.alarms.len();
        for region in &service.regions {
            *self.regions.entry(region.liveness()).or_default() += 1;
        }
    }

    pub(super) fn take_away(&mut self, service: &ServiceState) {
        self.services = self.services.saturating_sub(1);
        self.alarms = self.alarms.saturating_sub(service.alarms.len());
        service.regions.iter().for_each(|region| self.one_less(region.liveness()));
    }

    /// Takes in what became of a step. Every change of a liveness and of an alarm is told by an effect.
    pub(super) fn follow(&mut self, effect: &Effect) {
        match effect {
            Effect::Transition(Transition { from, to, .. }) => {
                self.one_less(*from);
                *self.regions.entry(*to).or_default() += 1;
            }
            Effect::Alarm(raised) if raised.raised => self.alarms += 1,
            Effect::Alarm(_) => self.alarms = self.alarms.saturating_sub(1),
            Effect::Pace { .. }
            | Effect::Apply(_)
            | Effect::Held { .. }
            | Effect::Waiting { .. }
            | Effect::Said { .. }
            | Effect::Ended { .. }
            | Effect::Ledger { .. }
            | Effect::Witness(_) => {}
        }
    }

    fn one_less(&mut self, liveness: Liveness) {
        let count = self.regions.entry(liveness).or_default();
        *count = count.saturating_sub(1);
    }

    /// The number of services.
    #[must_use]
    pub fn services(&self) -> usize {
        self.services
    }

    /// The number of regions.
    #[must_use]
    pub fn regions(&self) -> usize {
        self.regions.values().sum()
    }

    /// The number of regions in this state.
    #[must_use]
    pub fn regions_that_are(&self, liveness: Liveness) -> usize {
        self.regions.get(&liveness).copied().unwrap_or_default()
    }

    /// The number of alarms of services.
    #[must_use]
    pub fn alarms(&self) -> usize {
        self.alarms
    }
}

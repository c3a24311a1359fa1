//! What a person should know of while it lasts: raised once, cleared once, told by the core's effects.

use super::region::RegionState;
use super::report::Report;
use super::service::ServiceState;
use super::{Effect, Raised};
use crate::model::{Alarm, Liveness, RegionName, WhenAllDown};

impl ServiceState {
    /// Raises and clears whatever follows from how things stand.
    pub(super) fn raise_alarms(&mut self, effects: &mut Vec<Effect>) {
        let is_dead = |region: &RegionState| match region.liveness() {
            Liveness::Down => true,
            Liveness::Recovering => !region.has_risen(),
            Liveness::Unknown | Liveness::Up | Liveness::Suspect => false,
        };
        let all_down = self.regions.iter().all(is_dead);
        let what = match self.service.when_all_down {
            WhenAllDown::KeepLast => "what was published last stays",
            WhenAllDown::PublishAll => "all of them are published",
            WhenAllDown::Fallback(_) => "the fallback is published",
        };
        let message = all_down.then(|| format!("every region is down; {what}"));
        self.alarm(Alarm::AllDown, None, message, effects);

        let held = self.held.first().or(self.write_held.as_ref()).map(ToString::to_string);
        self.alarm(Alarm::Held, None, held, effects);

        let waits: Vec<String> = self.waiting.iter().map(ToString::to_string).collect();
        let message = (!waits.is_empty()).then(|| format!("waits for a person: {}", waits.join("; ")));
        self.alarm(Alarm::Waiting, None, message, effects);

        let missing =
            self.seen.as_ref().is_some_and(|seen| seen.found.is_none()) && !self.service.record.create;
        let message = missing
            .then(|| format!("{} does not exist; make it, or set create = true", self.service.record.key));
        self.alarm(Alarm::Missing, None, message, effects);

        for alarm in Report::ALARMS {
            let message =
                self.write_alarm.as_ref().filter(|(which, _)| which == alarm).map(|(_, m)| m.clone());
            self.alarm(*alarm, None, message, effects);
        }
        for place in 0..self.regions.len() {
            self.raise_region_alarms(place, effects);
        }
    }

    fn raise_region_alarms(&mut self, place: usize, effects: &mut Vec<Effect>) {
        let Some(region) = self.regions.get(place) else { return };
        let name = region.region.name.clone();
        let no_address = (region.addresses.is_empty() && region.unbound).then(|| {
            "no EIP is bound to its load balancer and none was seen before, or it is another region's now: an \
                 address of it in the record set cannot be told from a foreign one, and stays"
                .to_owned()
        });
        let gone = region.gone();
        let blind = region.blind();
        self.alarm(Alarm::NoAddress, Some(name.clone()), no_address, effects);
        self.alarm(Alarm::Gone, Some(name.clone()), gone, effects);
        self.alarm(Alarm::Blind, Some(name), blind, effects);
    }

    /// Raises, keeps or clears one alarm; a changed message alone is kept and not told again.
    pub(super) fn alarm(
        &mut self,
        alarm: Alarm,
        region: Option<RegionName>,
        message: Option<String>,
        effects: &mut Vec<Effect>,
    ) {
        let raised = message.is_some();
        let key = (alarm, region);
        let message = match message {
            Some(message) => match self.alarms.insert(key.clone(), message.clone()) {
                Some(_) => return,
                None => message,
            },
            None => match self.alarms.remove(&key) {
                Some(was) => was,
                None => return,
            },
        };
        let (service, (alarm, region)) = (self.service.name.clone(), key);
        effects.push(Effect::Alarm(Raised { service, region, alarm, raised, message }));
    }
}

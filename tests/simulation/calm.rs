//! The second half of a run: the faults stop, and within a bound the record set holds what is wanted, the alarms are
//! over, and nothing is written any more. What is wanted is said here anew, without the code that decides it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use pointsman::model::Alarm;

use super::judge::{Broken, Judged};
use super::play::Simulation;
use super::service::OneService;
use super::settings::{AllDown, Settings};
use super::weighted::HeldPart;

/// How often is looked whether all is well.
const LOOKED_EVERY_MS: i64 = 5_000;

/// A set is read within a minute, and then it is told what another program did to it.
const TOLD_WITHIN_MS: i64 = 75_000;

/// What the set may hold of our addresses in the end.
struct Wanted {
    least: BTreeSet<IpAddr>,
    most: BTreeSet<IpAddr>,
    /// Alarms that may stay.
    alarms: Vec<Alarm>,
}

impl Simulation<'_> {
    /// Lets the faults stop, and waits for all to be well.
    pub(crate) fn calm(&mut self, dead: &[usize]) -> Judged {
        self.calm_down(dead);
        let bound = self.settings().map(bound_ms).max().unwrap_or(0);
        let first_deadline = self.now + bound;
        let resync_s = self.settings().map(|settings| settings.resync_s).max().unwrap_or(0);
        let quiet_ms = i64::try_from(2 * resync_s * 1000).unwrap_or(0) + 10_000;
        let (mut well_since, mut writes) = (None, 0);
        loop {
            self.run_until(self.now + LOOKED_EVERY_MS)?;
            for service in 0..self.services.len() {
                if self.services[service].judge.is_ruled() {
                    self.release_all(service);
                }
            }
            let is_late = self.now + 2 * LOOKED_EVERY_MS > first_deadline;
            let trouble = (0..self.services.len()).find_map(|service| self.trouble(service, dead, is_late));
            let sent = self.services.iter().map(|service| service.judge.writes_sent()).sum();
            if trouble.is_some() || sent != writes {
                (well_since, writes) = (None, sent);
            }
            let since = *well_since.get_or_insert(self.now);
            if trouble.is_none() && self.now - since >= quiet_ms {
                return Ok(());
            }
            // What another program undoes comes about so much later.
            let undone = self.services.iter().filter_map(|service| service.undone_at).max();
            let deadline = first_deadline.max(undone.map_or(0, |at| at + bound));
            if trouble.is_some() && self.now > first_deadline {
                self.undone_is_told(dead)?;
            }
            if self.now > deadline + quiet_ms {
                let why = trouble.unwrap_or_else(|| "it is still written".to_owned());
                return Err(Broken {
                    name: "liveness",
                    why: format!("long after the faults stopped, {why}"),
                });
            }
        }
    }

    /// Whoever waits for what another program has undone is told why.
    fn undone_is_told(&self, dead: &[usize]) -> Judged {
        for (place, service) in self.services.iter().enumerate() {
            let has_time = service.undone_at.is_none_or(|at| self.now - at <= TOLD_WITHIN_MS);
            let trouble =
                self.trouble(place, dead, true).filter(|_| !has_time && service.judge.alarms.is_empty());
            if let Some(trouble) = trouble {
                let why = format!("another program undid a write, nobody is alarmed, and {trouble}");
                return Err(Broken { name: "liveness", why });
            }
        }
        Ok(())
    }

    /// What each service is configured to be.
    fn settings(&self) -> impl Iterator<Item = &Settings> {
        self.services.iter().map(|service| &service.settings)
    }

    /// What is not as it should be with a service in the end.
    fn trouble(&self, service: usize, dead: &[usize], is_late: bool) -> Option<String> {
        let Some(process) = &self.process else { return Some("no process runs".to_owned()) };
        let wanted = self.wanted(service, dead);
        let OneService { judge, cloud, .. } = &self.services[service];
        let ours = judge.ours();
        let holds: BTreeSet<IpAddr> = match cloud.found(self.now) {
            Some(held) => held.values.intersection(&ours).copied().collect(),
            // With nobody to publish none is made.
            None if wanted.least.is_empty() => BTreeSet::new(),
            None => return Some("the set does not exist".to_owned()),
        };
        if !wanted.least.is_subset(&holds) || !holds.is_subset(&wanted.most) {
            let (least, most) = (wanted.least, wanted.most);
            return Some(format!(
                "the set holds {holds:?} of ours, wanted is {least:?} at least, {most:?} at most"
            ));
        }
        if let Some(parts) = cloud.parts.as_ref().filter(|_| wanted.least == wanted.most) {
            let otherwise = self.split_otherwise(service, dead, parts, &wanted.least);
            if otherwise.is_some() {
                return otherwise;
            }
        }
        // That somebody deleted the set is told for as long as there is none.
        let is_deleted = |alarm: Alarm| alarm == Alarm::Drift && cloud.held.is_none();
        // Witnesses that are no resolvers speak by chance, for ever, and no resolver agrees with a set that another program
        // changes all the time: their alarm is waited for, and not in vain.
        let agree =
            self.services[service].settings.witnesses.is_some() && self.schedule.worlds.writer.is_none();
        let by_chance = is_late && !agree;
        let is_chance = |alarm: Alarm| alarm == Alarm::Witness && by_chance;
        let alarm = judge.alarms.iter().find(|((alarm, _), _)| {
            !(wanted.alarms.contains(alarm) || is_deleted(*alarm) || is_chance(*alarm))
        });
        if let Some(((alarm, region), message)) = alarm {
            return Some(format!("the alarm {alarm} of {region:?} is not over: {message}"));
        }
        let unfinished = judge.unfinished().filter(|_| self.services[service].settings.witnesses.is_some());
        if unfinished.is_some() {
            return unfinished;
        }
        let name = super::settings::service_name(service);
        let status = process.core()?.service_status(&name, process.moment(self.now))?;
        let told = |place: usize| judge.told(place).map(pointsman::model::Liveness::as_str);
        let other = status
            .regions
            .iter()
            .find(|region| told(super::settings::place_of(&region.name)) != Some(region.liveness.as_str()));
        other.map(|region| format!("{} is {}, and that was never told", region.name, region.liveness))
    }

    /// How what is wanted is split into sets and weighed, where that is not as it should be.
    fn split_otherwise(
        &self,
        service: usize,
        dead: &[usize],
        parts: &[HeldPart],
        wanted: &BTreeSet<IpAddr>,
    ) -> Option<String> {
        let OneService { settings, judge, .. } = &self.services[service];
        let mut left = wanted.clone();
        let mut sets: Vec<(BTreeSet<IpAddr>, Option<u16>)> = Vec::new();
        // An address of two is served at the weight of the first that is in.
        let (out, live): (Vec<usize>, Vec<usize>) = settings.places().partition(|place| dead.contains(place));
        for place in live.into_iter().chain(out) {
            let own: BTreeSet<IpAddr> = judge.own(place).intersection(&left).copied().collect();
            left = &left - &own;
            sets.push((own, Some(settings.regions[place].weight)));
        }
        sets.push((left, Some(100)));
        sets.retain(|(values, _)| !values.is_empty());
        sets.sort();
        let ours = judge.ours();
        let is_served = |part: &&HeldPart| part.is_on && !part.values.is_disjoint(&ours);
        let mut are: Vec<_> =
            parts.iter().filter(is_served).map(|part| (part.values.clone(), part.weight)).collect();
        are.sort();
        (are != sets).then(|| format!("ours is served in {are:?}, and is to be in {sets:?}"))
    }

    fn wanted(&self, service: usize, dead: &[usize]) -> Wanted {
        let OneService { settings, judge, .. } = &self.services[service];
        let all: Vec<usize> = settings.places().collect();
        let (dead, live): (Vec<usize>, Vec<usize>) = all.iter().partition(|place| dead.contains(place));
        let best = live.iter().map(|place| settings.tier(*place)).min();
        let best: Vec<usize> =
            live.iter().copied().filter(|p| !settings.tiers || Some(settings.tier(*p)) == best).collect();
        let addresses = |places: &[usize]| -> BTreeSet<IpAddr> {
            places
                .iter()
                .flat_map(|place| {
                    let fixed = settings.fixed_addresses(*place);
                    if fixed.is_empty() { self.regions.bound[*place].clone() } else { fixed }
                })
                .collect()
        };
        let ours = judge.ours();
        if live.is_empty() {
            let (least, most) = match settings.when_all_down {
                AllDown::KeepLast => (BTreeSet::new(), ours),
                AllDown::PublishAll => (addresses(&all), ours),
                AllDown::Fallback => (settings.fallback(), settings.fallback()),
            };
            let mut alarms = vec![Alarm::AllDown, Alarm::Gone];
            if settings.when_all_down == AllDown::PublishAll && least.len() < settings.min_published as usize
            {
                // What was there before may have to stay.
                alarms.push(Alarm::Held);
            }
            return Wanted { least, most, alarms };
        }
        let least = addresses(&best);
        let is_enough = least.len() >= settings.min_published as usize;
        let panics = dead.len() * 100 > usize::from(settings.panic_percent) * all.len();
        // With one whose addresses are another one's too nothing leaves.
        let leave = dead.iter().filter(|place| !addresses(&[**place]).is_subset(&least)).count();
        let may_go = is_enough && !panics && leave <= settings.max_removed as usize;
        let mut most = least.clone();
        let mut alarms = vec![Alarm::Gone];
        if !is_enough {
            most.clone_from(&ours);
        }
        if !dead.is_empty() && !may_go {
            // What was bound to them before may stay as well.
            most.extend(dead.iter().flat_map(|place| judge.own(*place)));
        }
        if most != least {
            alarms.push(Alarm::Held);
        }
        Wanted { least, most, alarms }
    }
}

/// How long it may take until all is well: everything that may have to be waited for, one after the other.
fn bound_ms(settings: &Settings) -> i64 {
    let looks = settings.checks.iter().map(|check| u64::from(check.fall.1 + check.rise.1) * check.interval_s);
    let (_, _, flap_max) = settings.flap;
    let waits = flap_max.max(settings.recover_after_s);
    let windows = (settings.regions.len() as u64 + 4).div_ceil(u64::from(settings.writes)) + 1;
    let restart = 100;
    let throttle_and_backoff = 30 + 180;
    let landing_and_settling = 60 + 90 + 60;
    let repairs = 300;
    let blast = settings.blast_s.unwrap_or(0) * (settings.regions.len() as u64 + 1);
    let seconds = restart
        + 3 * looks.sum::<u64>()
        + waits
        + windows * settings.window_s
        + throttle_and_backoff
        + landing_and_settling
        + repairs
        + blast
        + 3 * settings.resync_s;
    i64::try_from(seconds * 1000).unwrap_or(i64::MAX)
}

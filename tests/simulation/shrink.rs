//! Makes a failing schedule as short and as plain as it gets: it still breaks the same invariant.

use pointsman::model::Mode;

use super::judge::{Broken, Trap};
use super::settings::{AllDown, Settings, When};
use super::worlds::{Configured, Worlds};
use super::{Schedule, run};

/// So many runs at most; a schedule is small by then.
const RUNS_MAX: u32 = 1_000;

/// The plainest schedule found that breaks what `broken` names.
pub(crate) fn shrink(schedule: &Schedule, broken: &Broken, trap: Option<Trap>) -> Schedule {
    let mut shrinker = Shrinker { best: schedule.clone(), name: broken.name, trap, runs: 0 };
    loop {
        let before = shrinker.best.clone();
        shrinker.leave_worlds();
        shrinker.drop_events();
        shrinker.simplify();
        shrinker.hasten();
        if shrinker.best == before || shrinker.runs >= RUNS_MAX {
            return shrinker.best;
        }
    }
}

struct Shrinker {
    best: Schedule,
    name: &'static str,
    trap: Option<Trap>,
    runs: u32,
}

impl Shrinker {
    /// Takes the candidate if it still breaks the same.
    fn try_it(&mut self, candidate: Schedule) -> bool {
        if self.runs >= RUNS_MAX || candidate == self.best {
            return false;
        }
        self.runs += 1;
        let still = run(&candidate, false, self.trap).broken.is_some_and(|broken| broken.name == self.name);
        if still {
            self.best = candidate;
        }
        still
    }

    /// Leaves out halves, then quarters, down to single events.
    fn drop_events(&mut self) {
        let mut size = self.best.events.len().div_ceil(2).max(1);
        loop {
            let mut from = 0;
            while from < self.best.events.len() {
                let mut candidate = self.best.clone();
                let to = (from + size).min(candidate.events.len());
                candidate.events.drain(from..to);
                if !self.try_it(candidate) {
                    from += size;
                }
            }
            if size == 1 {
                return;
            }
            size = size.div_ceil(2);
        }
    }

    /// Leaves out one world after the other.
    fn leave_worlds(&mut self) {
        let edits: [fn(&mut Worlds); 3] = [
            |worlds| worlds.other = None,
            |worlds| worlds.calls_a_minute = None,
            |worlds| worlds.writer = None,
        ];
        for edit in edits {
            let mut candidate = self.best.clone();
            edit(&mut candidate.worlds);
            let services = candidate.services().count();
            candidate.events.retain(|event| event.service < services);
            self.try_it(candidate);
        }
        // What breaks in the second service alone may break in the first.
        let mut alone = self.best.clone();
        if let Some(Configured { settings, published }) = alone.worlds.other.take() {
            (alone.settings, alone.published) = (settings, published);
            alone.events.retain(|event| event.service > 0 || !event.is_of_a_service());
            alone.events.iter_mut().for_each(|event| event.service = 0);
            self.try_it(alone);
        }
    }

    /// Sets one setting after the other to what is plainest.
    fn simplify(&mut self) {
        let edits: [fn(&mut Settings); 20] = [
            |s| s.witnesses = None,
            |s| s.weighted = false,
            |s| s.regions.iter_mut().for_each(|region| region.shares = None),
            |s| (s.checks.truncate(1), s.up_when = When::Check(0)).1,
            |s| s.checks.iter_mut().for_each(|check| check.fall = (check.fall.0, check.fall.0)),
            |s| s.checks.iter_mut().for_each(|check| check.rise = (check.rise.0, check.rise.0)),
            |s| s.checks.iter_mut().for_each(|check| check.fall = (3, 3)),
            |s| s.checks.iter_mut().for_each(|check| check.rise = (1, 1)),
            |s| s.tiers = false,
            |s| s.min_published = 1,
            |s| s.when_all_down = AllDown::KeepLast,
            |s| s.max_removed = 1,
            |s| s.panic_percent = 50,
            |s| (s.writes, s.window_s) = (6, 600),
            |s| s.ttl = None,
            |s| s.create = false,
            |s| (s.alarm_on_drift, s.mode, s.manual_failback) = (false, Mode::Act, false),
            |s| s.recover_after_s = 0,
            |s| s.regions.iter_mut().for_each(|region| region.fixed = 1),
            |s| s.regions.iter_mut().for_each(|region| region.tier = 1),
        ];
        for edit in edits {
            let mut candidate = self.best.clone();
            edit(&mut candidate.settings);
            if let Some(other) = &mut candidate.worlds.other {
                edit(&mut other.settings);
            }
            self.try_it(candidate);
        }
        let mut without_last = self.best.clone();
        let last = without_last.settings.regions.len() - 1;
        if last > 1 {
            without_last.settings.regions.pop();
            without_last.published.retain(|place| *place != last);
            without_last.dead.retain(|place| *place != last);
            if let Some(other) = &mut without_last.worlds.other {
                other.settings.regions.pop();
                other.published.retain(|place| *place != last);
            }
            if without_last.events.iter().all(|event| !event.is_about(last)) {
                self.try_it(without_last);
            }
        }
        let mut none_dead = self.best.clone();
        none_dead.dead.clear();
        self.try_it(none_dead);
    }

    /// Lets what happens come sooner.
    fn hasten(&mut self) {
        let ends = self.best.events.last().map_or(0, |event| event.at_ms) + 1_000;
        let mut sooner = self.best.clone();
        sooner.calm_at_ms = sooner.calm_at_ms.min(ends);
        self.try_it(sooner);
        for place in 0..self.best.events.len() {
            for shorten in [|gap: i64| (gap - 1_000).max(0), |gap: i64| gap / 2] {
                let mut candidate = self.best.clone();
                let before = if place == 0 { 0 } else { candidate.events[place - 1].at_ms };
                let gap = candidate.events[place].at_ms - before;
                let sooner_ms = gap - shorten(gap);
                for event in &mut candidate.events[place..] {
                    event.at_ms -= sooner_ms;
                }
                candidate.calm_at_ms -= sooner_ms;
                self.try_it(candidate);
            }
        }
    }
}

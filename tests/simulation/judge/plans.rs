//! What the core asks for, held against what looks said and what it told before.

use std::collections::BTreeSet;
use std::net::IpAddr;

use pointsman::core::{Effect, Plan, Transition};
use pointsman::model::{Liveness, Mode, Moment};

use super::{Judge, Judged, Planned, Trap, View, holds, ledger};
use crate::simulation::evidence::{by_all, by_latest};
use crate::simulation::settings::{AllDown, FAST_S, TIMEOUT_S, place_of};

impl Judge {
    /// Judges what one step of the core asked for.
    pub(crate) fn effects(&mut self, now: i64, effects: &[Effect], when: &dyn Fn(Moment) -> i64) -> Judged {
        if self.starts {
            let acts = |effect: &&Effect| !matches!(effect, Effect::Pace { .. } | Effect::Ended { .. });
            let acts = effects.iter().find(acts);
            holds!(acts.is_none(), "NO-JUMP-ON-START", "the start itself did {acts:?}");
        }
        for effect in effects {
            self.of_witnesses(now, effect, when)?;
            match effect {
                Effect::Transition(transition) => self.transition(now, transition)?,
                Effect::Apply(plan) => self.plan(now, plan)?,
                Effect::Held { held, .. } => {
                    holds!(*held != self.held, "EXPLAINED", "told twice that {held:?} holds");
                    self.held.clone_from(held);
                }
                Effect::Alarm(raised) => {
                    let key = (raised.alarm, raised.region.clone());
                    let was = self.alarms.remove(&key).is_some();
                    holds!(was != raised.raised, "EXPLAINED", "an alarm was told twice: {raised:?}");
                    if raised.raised {
                        self.alarms.insert(key, raised.message.clone());
                    }
                }
                Effect::Said { .. } | Effect::Ended { .. } | Effect::Waiting { .. } => {
                    self.told_of_words(now, effect)?;
                }
                Effect::Ledger { failover, reached, .. } => ledger::line(failover, *reached)?,
                // What witnesses are asked binds nobody: what they say moves no region and no write.
                Effect::Pace { .. } | Effect::Witness(_) => {}
            }
        }
        self.starts = false;
        self.after_words(now)?;
        self.after_witnesses(now)?;
        // Who is up in the set need not ask to return to it.
        for view in self.views.values_mut().filter(|view| view.has_to_ask && view.told == Liveness::Up) {
            view.has_to_ask = self.seen.as_ref().is_none_or(|seen| view.owns.is_disjoint(seen));
        }
        match self.looked.take() {
            Some(place) => self.after_a_look(now, place),
            None => Ok(()),
        }
    }

    /// What the looks say is what was told, no less.
    fn after_a_look(&self, now: i64, place: usize) -> Judged {
        let Some(view) = self.views.get(&place) else { return Ok(()) };
        let has_risen = by_all(&view.checks, &self.settings, &self.words.muted()) == Some(true);
        let latest = by_latest(&view.checks, &self.settings, &self.words.muted());
        if let (Liveness::Recovering, true, Some(true), Some(since)) =
            (view.told, has_risen, latest, view.passing_since)
        {
            let (healthy, waits) = (now - since, view.waits_ms(&self.settings));
            holds!(healthy <= waits, "BOUNDED-WRITES", "r{place} waits on after {healthy} of {waits} ms");
        }
        let fits: &[Liveness] = match (latest, self.has_failed(view)) {
            (Some(false), true) => &[Liveness::Down],
            // Once it has risen, a failure below `fall` does not end a recovery.
            (Some(false), false) if has_risen || view.rose => {
                &[Liveness::Suspect, Liveness::Down, Liveness::Recovering]
            }
            (Some(false), false) => &[Liveness::Suspect, Liveness::Down],
            (Some(true), _) => &[Liveness::Up, Liveness::Recovering],
            (None, _) => &Liveness::ALL,
        };
        holds!(
            fits.contains(&view.told),
            "EXPLAINED",
            "the looks at r{place} make it {fits:?}, told was {}",
            view.told
        );
        let ruled = !self.words.are_none() || self.settings.mode == Mode::Advise;
        // While nobody serves who is published, who has risen is wanted at once, or another one who may serve.
        let nobody_serves = || self.seen.as_ref().is_some_and(|seen| self.nobody_serves(seen));
        if !ruled
            && latest == Some(true)
            && nobody_serves()
            && self.has_risen(view)
            && !view.current.is_empty()
        {
            let plan = self.plans.last_key_value();
            let serves = |(place, view): (&usize, &View)| {
                plan.is_some_and(|(_, plan)| self.is_in(*place, &plan.wanted)) && self.may_serve(*place, view)
            };
            holds!(
                self.views.iter().any(serves),
                "BOUNDED-WRITES",
                "r{place} has risen, nobody who is published serves, and nobody who does is wanted"
            );
        }
        let failed = view.told == Liveness::Down && self.has_failed(view) && !ruled;
        let stays = |set: &BTreeSet<IpAddr>| self.is_surely_in(place, set);
        let wanted = || self.plans.last_key_value().is_some_and(|(_, plan)| stays(&plan.wanted));
        if failed && self.seen.as_ref().is_some_and(stays) && wanted() && !self.is_all_down() {
            holds!(
                !self.held.is_empty(),
                "EXPLAINED",
                "r{place} is down, stays, and no rule is told to hold it"
            );
        }
        Ok(())
    }

    fn transition(&mut self, now: i64, transition: &Transition) -> Judged {
        let place = place_of(&transition.region);
        let settings = self.settings.clone();
        let view = self.views.get(&place);
        holds!(view.is_some(), "EXPLAINED", "r{place} is not configured: {transition:?}");
        let Some(view) = view else { return Ok(()) };
        let (from, to) = (transition.from, transition.to);
        holds!(
            view.told == from,
            "EXPLAINED",
            "r{place} was told to be {}, now it comes from {from}",
            view.told
        );
        let muted = self.words.muted();
        let latest = by_latest(&view.checks, &settings, &muted);
        match (from, to) {
            (Liveness::Suspect, Liveness::Down) => {
                holds!(
                    self.has_failed(view),
                    "BLIND-IS-NOT-DOWN",
                    "r{place} is told to be down without enough failing looks"
                );
            }
            (Liveness::Recovering, Liveness::Down) => {
                let settled = by_all(&view.checks, &settings, &muted);
                let has_fallen = if view.rose { settled == Some(false) } else { settled != Some(true) };
                holds!(
                    latest == Some(false) && has_fallen,
                    "BLIND-IS-NOT-DOWN",
                    "r{place} is down again though it does not fail, or had risen and has not fallen"
                );
            }
            (Liveness::Unknown | Liveness::Up, Liveness::Suspect) => {
                holds!(
                    latest == Some(false),
                    "BLIND-IS-NOT-DOWN",
                    "r{place} becomes {to} though its latest looks do not fail"
                );
            }
            (Liveness::Recovering, Liveness::Up) => {
                let healthy = view.passing_since.map_or(0, |since| now - since);
                let waits = view.waits_ms(&settings);
                holds!(
                    by_all(&view.checks, &settings, &self.words.muted()) == Some(true),
                    "BOUNDED-WRITES",
                    "r{place} is up before it rose"
                );
                holds!(healthy >= waits, "BOUNDED-WRITES", "r{place} is up after {healthy} of {waits} ms");
            }
            (Liveness::Unknown | Liveness::Suspect, Liveness::Up)
            | (Liveness::Down, Liveness::Recovering) => {
                holds!(
                    latest == Some(true),
                    "EXPLAINED",
                    "r{place} becomes {to} though its latest looks do not pass"
                );
            }
            _ => holds!(false, "EXPLAINED", "there is no arrow from {from} to {to}"),
        }
        if let Some(view) = self.views.get_mut(&place) {
            match (from, to) {
                (Liveness::Suspect, Liveness::Down) => {
                    let (window, _, _) = settings.flap;
                    let window = i64::try_from(window * 1000).unwrap_or(i64::MAX);
                    let flapped = view.returned.is_some_and(|returned| now - returned <= window);
                    view.has_to_ask = true;
                    view.fell = Some(now);
                    view.flaps = if flapped { view.flaps + 1 } else { 0 };
                }
                (Liveness::Recovering, Liveness::Down) if view.rose => view.fell = Some(now),
                (Liveness::Recovering, Liveness::Up) => view.returned = Some(now),
                _ => {}
            }
            (view.told, view.told_at) = (to, now);
            if (from, to) == (Liveness::Down, Liveness::Recovering) {
                view.rose = false;
                view.weigh(now, &settings, &muted);
            }
        }
        Ok(())
    }

    fn plan(&mut self, now: i64, plan: &Plan) -> Judged {
        let generation = plan.generation.0;
        holds!(
            generation > self.generation,
            "NEWEST-PLAN-WINS",
            "plan {generation} comes after {}",
            self.generation
        );
        self.generation = generation;
        let seen = self.seen.clone();
        holds!(seen.is_some(), "NO-JUMP-ON-START", "there is a plan before the set was read: {plan}");
        let seen = seen.unwrap_or_default();
        let ours = self.ours();
        holds!(plan.owned.is_subset(&ours), "ONLY-OURS", "not ours: {:?}", plan.owned.difference(&ours));
        holds!(plan.wanted.is_subset(&ours), "ONLY-OURS", "not ours: {:?}", plan.wanted.difference(&ours));
        self.plan_heeds_words(plan, &seen)?;
        let ruled = !self.words.are_none() || self.settings.mode == Mode::Advise;
        if !self.is_all_down() {
            self.plan_by_checks(now, plan, &seen)?;
        } else if !ruled {
            self.plan_when_all_down(plan, &seen)?;
        }
        let planned = Planned {
            at: now,
            wanted: plan.wanted.clone(),
            owned: plan.owned.clone(),
            ours,
            owns: self.views.iter().map(|(place, view)| (*place, view.owns.clone())).collect(),
            may_write: plan.may_write && !self.words.is_all_frozen(),
            words: self.words.count,
            is_rescue: self.is_rescue(plan, &seen),
        };
        self.writes.planned(plan.weighed());
        self.plans.insert(generation, planned);
        Ok(())
    }

    /// Whether it brings in somebody who serves while nobody does who is published. An address that was moved may count as
    /// either region's.
    fn is_rescue(&self, plan: &Plan, seen: &BTreeSet<IpAddr>) -> bool {
        let serves = |place: usize, view: &View| self.may_serve(place, view);
        let nobody_serves =
            self.views.iter().all(|(place, view)| !self.is_surely_in(*place, seen) || !serves(*place, view));
        let enters = |place: usize| !self.is_surely_in(place, seen) && self.is_in(place, &plan.wanted);
        nobody_serves && self.views.iter().any(|(place, view)| enters(*place) && serves(*place, view))
    }

    fn plan_when_all_down(&self, plan: &Plan, seen: &BTreeSet<IpAddr>) -> Judged {
        match self.settings.when_all_down {
            AllDown::KeepLast => {
                let kept: BTreeSet<IpAddr> = seen.intersection(&self.ours()).copied().collect();
                holds!(
                    plan.wanted == kept,
                    "BOUNDED-BLAST",
                    "all are down, and not what was there stays: {plan}"
                );
            }
            AllDown::PublishAll => {
                // Who is out until an operator lets it return stays out, save for want of others.
                let planned = self.plans.last_key_value().map(|(_, plan)| plan.wanted.clone());
                let is_out = |place: usize| {
                    let was_wanted = planned.as_ref().is_none_or(|wanted| self.is_in(place, wanted));
                    !self.is_in(place, seen) || !was_wanted
                };
                let waits = |place: usize| {
                    self.settings.manual_failback && self.views[&place].has_to_ask && is_out(place)
                };
                let of_others = |place: usize| {
                    plan.wanted.iter().filter(|it| !self.views[&place].owns.contains(*it)).count()
                };
                for (place, view) in &self.views {
                    let is_in = self.is_in(*place, &plan.wanted);
                    holds!(
                        view.current.is_empty() || is_in || waits(*place),
                        "BOUNDED-BLAST",
                        "all are down, and r{place} is not published: {plan}"
                    );
                    holds!(
                        !waits(*place)
                            || !self.is_surely_in(*place, &plan.wanted)
                            || of_others(*place) < self.settings.min_published.max(1) as usize,
                        "OPERATOR-RULES",
                        "all are down, and r{place} returns, though nobody said so: {plan}"
                    );
                }
            }
            AllDown::Fallback => {
                let fallback = self.settings.fallback();
                holds!(
                    plan.wanted == fallback,
                    "BOUNDED-BLAST",
                    "all are down, and not the fallback: {plan}"
                );
            }
        }
        Ok(())
    }

    /// The best tier of those that are to serve.
    pub(super) fn best_tier(&self, plan: &Plan, seen: &BTreeSet<IpAddr>) -> Option<u32> {
        let serves = |(place, view): &(&usize, &View)| {
            (self.is_in(**place, &plan.wanted) || self.words.asks(**place) && !self.is_in(**place, seen))
                && (self.words.is_pinned(**place) || !matches!(view.told, Liveness::Unknown | Liveness::Down))
        };
        self.views.iter().filter(serves).map(|(place, _)| self.settings.tier(*place)).min()
    }

    fn plan_by_checks(&self, now: i64, plan: &Plan, seen: &BTreeSet<IpAddr>) -> Judged {
        let places = || self.views.iter();
        let is_failed = |told: Liveness| matches!(told, Liveness::Down | Liveness::Recovering);
        let nobody_serves = self.nobody_serves(seen);
        let leaving: Vec<usize> = places()
            .map(|(place, _)| *place)
            .filter(|place| self.is_surely_in(*place, seen) && !self.is_in(*place, &plan.wanted))
            .collect();
        holds!(self.trap != Some(Trap::NobodyLeaves) || leaving.is_empty(), "TRAP", "{leaving:?} leave");
        self.plan_of_shared(now, plan, seen)?;
        let best = self.best_tier(plan, seen);
        let mut by_checks = Vec::new();
        for place in &leaving {
            let view = &self.views[place];
            if self.words.is_drained(*place) {
                continue;
            }
            let outranked = self.settings.tiers && best.is_some_and(|best| best < self.settings.tier(*place));
            if view.told == Liveness::Down && self.has_failed(view) {
                by_checks.push(*place);
            } else {
                holds!(
                    outranked && view.told != Liveness::Unknown,
                    "BLIND-IS-NOT-DOWN",
                    "r{place}, {} by what was told, leaves {seen:?} without enough failing looks: {plan}",
                    view.told
                );
            }
        }
        for (place, view) in places() {
            if self.is_in(*place, seen) || !self.is_surely_in(*place, &plan.wanted) {
                continue;
            }
            if self.words.is_pinned(*place) {
                continue;
            }
            holds!(
                self.may_return(*place, seen),
                "OPERATOR-RULES",
                "r{place} returns, and nobody said so: {plan}"
            );
            let healthy = view.passing_since.map_or(0, |since| now - since);
            let waits = view.waits_ms(&self.settings);
            let to_the_rescue = nobody_serves && self.has_risen(view) && self.passes(view);
            holds!(
                (view.told == Liveness::Up && healthy >= waits) || to_the_rescue,
                "BOUNDED-WRITES",
                "r{place}, {} by what was told, enters {seen:?} after {healthy} of {waits} ms: {plan}",
                view.told
            );
        }
        for (place, view) in places() {
            let was_never_seen_working = view.told == Liveness::Suspect && view.passing_since.is_none();
            if !was_never_seen_working || self.words.is_pinned(*place) || self.is_all_down() {
                continue;
            }
            let new = &plan.wanted - seen;
            holds!(
                !self.is_surely_in(*place, &new),
                "BLIND-IS-NOT-DOWN",
                "r{place} has not passed yet, and {new:?} enter: {plan}"
            );
        }
        if leaving.is_empty() {
            return Ok(());
        }
        let drains = leaving.iter().any(|place| self.words.is_drained(*place));
        // The fallback is there to serve for want of regions.
        let fallback = self.settings.fallback();
        let left = plan.wanted.iter().filter(|address| {
            let may_serve = |(place, view): (&usize, &View)| drains || self.may_serve(*place, view);
            fallback.contains(*address)
                || self.views.iter().any(|it| it.1.owns.contains(*address) && may_serve(it))
        });
        let (left, least) = (left.count(), self.settings.min_published.max(1) as usize);
        holds!(
            left >= least,
            "NEVER-EMPTY",
            "{leaving:?} leave, and {left} addresses are not of failed regions"
        );
        if by_checks.is_empty() {
            return Ok(());
        }
        // What an operator has taken out says nothing about the others.
        let takes_part = |place: usize| !self.words.is_drained(place);
        let window = self.settings.blast_ms();
        let is_over = |since: i64| window.is_some_and(|window| since + window <= now);
        let long_out = |view: &View| view.left.is_some_and(is_over);
        let out = places()
            .filter(|(place, view)| {
                takes_part(**place)
                    && is_failed(view.told)
                    && !self.words.is_pinned(**place)
                    && !self.is_in(**place, &plan.wanted)
                    && !long_out(view)
            })
            .filter(|(place, _)| !self.settings.tiers || by_checks.contains(place))
            .count();
        let most = self.settings.max_removed as usize;
        holds!(out <= most, "BOUNDED-BLAST", "{by_checks:?} leave, and {out} are out because of checks");
        let counted = || places().filter(|(place, _)| takes_part(**place));
        let is_vouched_for = places().any(|(_, view)| {
            (matches!(view.told, Liveness::Up | Liveness::Suspect)
                || view.told == Liveness::Recovering && view.rose)
                && by_latest(&view.checks, &self.settings, &self.words.muted()).is_some()
                && view.passing_since.is_some_and(is_over)
        });
        let together = |view: &View| !(long_out(view) || is_vouched_for && view.fell.is_some_and(is_over));
        let count = |counts: &dyn Fn(usize, &View) -> bool| {
            counted().filter(|(place, view)| counts(**place, view)).count() * 100
        };
        let most = usize::from(self.settings.panic_percent) * counted().count();
        let down = count(&|place, view| !self.may_serve(place, view) && together(view));
        holds!(down <= most, "BOUNDED-BLAST", "{by_checks:?} leave past panic_threshold");
        let suspect =
            |place: usize, view: &View| view.told == Liveness::Suspect && !self.words.is_pinned(place);
        if down + count(&suspect) > most {
            let fell = by_checks.iter().map(|place| self.views[place].told_at).max().unwrap_or(now);
            let waits = i64::try_from((FAST_S + TIMEOUT_S) * 1000).unwrap_or(0);
            holds!(
                now - fell >= waits,
                "BOUNDED-BLAST",
                "{by_checks:?} leave before the suspects have settled"
            );
        }
        Ok(())
    }
}

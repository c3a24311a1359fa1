//! Whether what differs is written now: the last look before a write, which judges by what the set holds now, while the
//! guard judged by what it held when the plan was made.
//!
//! Carries NEVER-EMPTY, ONLY-OURS and BOUNDED-WRITES.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::{Call, Pauses, Phase, Reconciler, Write};
use crate::core::authorship::LANDS_WITHIN;
use crate::core::parts::{Reduction, Stage, stage};
use crate::core::plan::{Generation, Held, Plan, Rule};
use crate::core::report::Report;
use crate::core::write_budget::{Admission, Claim};
use crate::model::{Found, InForce, Moment, RecordSet, Ttl, Weighed, addresses_in_words, is_split_as};

impl Reconciler {
    pub(super) fn write(&mut self, now: Moment, answer: Option<Found>, compared: Generation) -> Option<Call> {
        self.phase = Phase::Due { at: now + self.idle_for(now) };
        let plan = self.plan.clone()?;
        // A plan that came since has not been compared with the set: the next read tells that it is met, or whether somebody
        // has changed what it wants.
        if plan.generation != compared {
            self.phase = Phase::Due { at: now };
            return None;
        }
        let before = answer.as_ref().map(|found| found.values.clone()).unwrap_or_default();
        let values = values_wanted(answer.as_ref(), &before, &plan);
        let failed = answer.as_ref().is_some_and(|found| found.in_force == InForce::Failed);
        let is_split = answer.as_ref().is_none_or(|found| is_split_as(found, &plan.parts));
        if values == before && is_split && !failed {
            return None;
        }
        // What was approved or released brings a plan of its own.
        if !plan.may_write {
            return None;
        }
        // Somebody has changed it since it was approved: the core hears of it, and asks anew.
        let differs = |from: &BTreeSet<IpAddr>| !before.intersection(&plan.owned).eq(from);
        if plan.only_from.as_ref().is_some_and(differs) {
            return None;
        }
        if let Some(held) = self.never_empty(&plan, &before, &values) {
            self.reports.push_back(Report::Held(held));
            return None;
        }
        let ttl = plan.ttl.or(answer.as_ref().map(|found| found.ttl)).unwrap_or(Ttl::DEFAULT);
        let Ok(set) = RecordSet::new(values, ttl) else { return None };
        let mut set = set.in_parts(plan.parts.clone(), self.rules.min_published);
        let weighed = answer.as_ref().map(Found::weighed).unwrap_or_default();
        let is_in_parts = !set.parts().is_empty();
        let mut reductions = Vec::new();
        if let Some(found) = answer.as_ref().filter(|_| is_in_parts) {
            let late = self.history.authorship.may_take(now);
            set = set.with_at_risk(late.as_ref().map_or(0, |(late, _)| at_risk(&plan, found, late)));
            let stage = stage(found, &set);
            if let Some(held) =
                late.and_then(|late| self.never_empty_if_late(now, &plan, found, &stage, &late))
            {
                self.reports.push_back(Report::Held(held));
                return None;
            }
            reductions = stage.reductions(found);
        }
        if self.dry_run {
            let telling = Some((plan.generation, before.clone()));
            if self.told != telling {
                self.told = telling;
                self.reports.push_back(Report::DryRun { generation: plan.generation, from: before, set });
            }
            return None;
        }
        let is_repair = *set.values() == before && is_split;
        // A throttle holds also when the try that it allowed meanwhile was lost, or refused for another reason.
        let again_at = self.write_again_at.max(self.writes_pause_ends());
        let again_at = if is_repair { again_at.max(self.repair_again_at) } else { again_at };
        if again_at > now {
            self.phase = Phase::Due { at: again_at.min(now + self.idle_for(now)) };
            return None;
        }
        let claim = claim(&plan, &before, set.values());
        let admission = self.history.writes.admit(now, &claim);
        if self.once && self.written_at.is_some() {
            self.hold_for_budget(now, now + self.rules.budget.window, 0);
            return None;
        }
        if let (Admission::NotBefore(lifts, reserved), true) = (&admission, plan.words <= self.history.words)
        {
            self.hold_for_budget(now, *lifts, *reserved);
            return None;
        }
        let pauses_before = Pauses {
            called_at: self.called_at,
            written_at: self.written_at,
            repairs: self.repairs.clone(),
            repair_again_at: self.repair_again_at,
        };
        if is_repair {
            self.repairs.failed();
            self.repair_again_at = now + self.repairs.until_repair();
        }
        (self.called_at, self.written_at) = (now, Some(now));
        self.history.writes.sent(now, admission);
        let words_before = std::mem::replace(&mut self.history.words, plan.words);
        let leaves = weighed_wanted(&weighed, &set, &plan);
        self.history.authorship.sent(now, leaves, is_in_parts.then_some((weighed, reductions)));
        self.remember(now);
        let generation = plan.generation;
        self.reports.push_back(Report::Sent { generation, from: before.clone(), set: set.clone() });
        self.phase = Phase::Writing {
            write: Write {
                generation,
                set: set.clone(),
                before,
                parts_before: answer.as_ref().map(|found| found.parts.clone()).unwrap_or_default(),
                sent: now,
                outdated: false,
                is_repair,
                words_before,
                pauses_before,
                refused_with: None,
            },
        };
        Some(match answer {
            Some(found) => Call::Replace { found, set },
            None => Call::Create { set },
        })
    }

    /// The last look before a write. The guard has judged the plan by what the set held when it was made; this
    /// judges the write by what it holds now.
    fn never_empty(&self, plan: &Plan, before: &BTreeSet<IpAddr>, values: &BTreeSet<IpAddr>) -> Option<Held> {
        let left: BTreeSet<IpAddr> = values & &plan.owned;
        let least = self.rules.min_published.max(1) as usize;
        // Also a repair takes nothing away, or other weights for what is there.
        let takes_nothing = !left.is_empty() && values.is_superset(before);
        if takes_nothing {
            return None;
        }
        if left.len() < least {
            return Some(Held {
                rule: Rule::NeverEmpty,
                because: format!(
                    "the write would leave {} of our addresses, fewer than min_published = {least}",
                    left.len()
                ),
                lifts_when: "the plan wants more addresses".to_owned(),
            });
        }
        None
    }

    /// The same for what is left if earlier calls, whose answers were lost, land until then: they may take away whatever is in
    /// a set by then. Nothing is held that takes nothing away.
    fn never_empty_if_late(
        &mut self,
        now: Moment,
        plan: &Plan,
        found: &Found,
        stage: &Stage,
        (late, until): &(Vec<Reduction>, Moment),
    ) -> Option<Held> {
        let least = self.rules.min_published.max(1) as usize;
        let (served, left) = stage.keeps(found, late);
        let (_, left_before) = Stage::default().keeps(found, late);
        let [served, left, left_before] = [served, left, left_before].map(|them| &them & &plan.owned);
        if left.len() >= least || left == left_before {
            return None;
        }
        self.phase = Phase::Due { at: (*until).min(now + self.idle_for(now)) };
        Some(Held {
            rule: Rule::NeverEmpty,
            because: format!(
                "an earlier write, whose answer was lost, may still take {} away, and then {} of our addresses would be \
                 left, fewer than min_published = {least}",
                addresses_in_words(&(&served - &left)),
                left.len()
            ),
            lifts_when: format!("that write can not land any more, {LANDS_WITHIN:?} after it was sent"),
        })
    }

    fn hold_for_budget(&mut self, now: Moment, lifts: Moment, reserved: u32) {
        let (budget, used) = (self.history.writes.budget(), self.history.writes.within_window(now));
        let kept = match reserved {
            0 => String::new(),
            _ => format!(", and of {} writes {reserved} are kept for removals", budget.writes),
        };
        let held = Held {
            rule: Rule::BoundedWrites,
            because: format!("{} was written {used} times within {:?}{kept}", self.record.key, budget.window),
            lifts_when: format!("the oldest of them is so long ago, in {} s", lifts.since(now).as_secs()),
        };
        self.reports.push_back(Report::Held(held));
        self.phase = Phase::Due { at: lifts.min(now + self.idle_for(now)) };
    }
}

/// How many of the wanted addresses that are served now these calls may still take away.
fn at_risk(plan: &Plan, found: &Found, late: &[Reduction]) -> u32 {
    let (served, left) = Stage::default().keeps(found, late);
    let at_risk = served.intersection(&plan.wanted).filter(|value| !left.contains(*value)).count();
    u32::try_from(at_risk).unwrap_or(u32::MAX)
}

/// What the write does to the regions, as far as its budget goes.
fn claim(plan: &Plan, before: &BTreeSet<IpAddr>, after: &BTreeSet<IpAddr>) -> Claim {
    Claim {
        leave: plan.leaving(before, after),
        rescue: if plan.is_rescue { plan.leaving(after, before) } else { Vec::new() },
        after: plan.regions_in(after).cloned().collect(),
    }
}

/// What the set is to hold: all that is not ours stays, and of ours what the plan wants (ONLY-OURS), as far as the provider
/// lets it be served.
fn values_wanted(found: Option<&Found>, before: &BTreeSet<IpAddr>, plan: &Plan) -> BTreeSet<IpAddr> {
    before.difference(&plan.owned).chain(&plan.attainable(found)).copied().collect()
}

/// The same with weights, when `before` is what was served.
fn weighed_wanted(before: &BTreeSet<Weighed>, set: &RecordSet, plan: &Plan) -> BTreeSet<Weighed> {
    let foreign = before.iter().filter(|weighed| !plan.owned.contains(&weighed.address)).copied();
    foreign.chain(plan.ours_in(set)).collect()
}

//! What a read found, held against what the plan wants: in sync, on its way, somebody else's doing, or to be written.

use std::collections::BTreeSet;

use super::{
    CONFLICTS_MOST, POLL_FIRST, POLL_MOST, POLL_PENDING_FIRST, Phase, READ_LAG, Reconciler, SETTLE_DEADLINE,
    WARY_EVERY, Write, pause_after_lost,
};
use crate::core::authorship::Change;
use crate::core::plan::Plan;
use crate::core::report::Report;
use crate::model::{Alarm, Found, InForce, Moment, OnDrift, Weighed, addresses_in_words, is_split_as};

impl Reconciler {
    /// A set that was written is in force, or on its way, or something else happened to it.
    pub(super) fn settle(&mut self, now: Moment, write: Write, polls: u32, answer: Option<Found>) -> Phase {
        let again = |write: Write| {
            let wait = POLL_FIRST.saturating_mul(1 << (polls + 1).min(8)).min(POLL_MOST);
            Phase::Settling { write, polls: polls + 1, at: now + wait }
        };
        let waited = now.since(write.sent);
        // What has been waited for here is not waited for a second time.
        self.pending_since = Some(write.sent);
        let Some(found) = &answer else {
            // One that was just made may be missing in a list yet: made again it would be there twice.
            let is_made = write.before.is_empty() && write.parts_before.is_empty();
            return if is_made && waited < READ_LAG { again(write) } else { self.compare(now, answer) };
        };
        if found.in_force == InForce::Pending && waited < SETTLE_DEADLINE {
            self.delayed(self.still_pending(), POLL_MOST);
            return again(write);
        }
        let is_there = found.values == *write.set.values() && is_split_as(found, write.set.parts());
        let as_before = found.values == write.before && found.parts == write.parts_before;
        if as_before && !is_there && waited < READ_LAG {
            return again(write);
        }
        if as_before && !is_there {
            self.not_carried_out(now, &found.weighed());
        }
        if is_there && found.in_force == InForce::Yes {
            self.undone_in_a_row = 0;
            self.reports.push_back(Report::InForce { generation: write.generation });
        }
        self.compare(now, answer)
    }

    /// A write was taken, and no read has shown it: as far as anybody can tell it was not carried out, and nobody's change is
    /// found. It is written again, as one that was lost.
    fn not_carried_out(&mut self, now: Moment, values: &BTreeSet<Weighed>) {
        self.history.authorship.adopt(values);
        self.history.drift.excuse();
        self.write_again_at = now + pause_after_lost(self.undone_in_a_row);
        self.undone_in_a_row = self.undone_in_a_row.saturating_add(1);
        if self.undone_in_a_row > 1 {
            let message = format!(
                "{} writes of {} in a row were taken, and every read shows it as before: the provider does not carry them out, \
                 or somebody undoes each at once",
                self.undone_in_a_row, self.record.key
            );
            self.alarm(Alarm::NotInForce, message);
        }
    }

    fn still_pending(&self) -> String {
        format!(
            "the last change of {} is not in force yet, and until then it takes no other",
            self.record.key
        )
    }

    pub(super) fn compare(&mut self, now: Moment, answer: Option<Found>) -> Phase {
        let idle = Phase::Due { at: now + self.idle_for(now) };
        let values = answer.as_ref().map(Found::weighed).unwrap_or_default();
        self.settle_lost(now, answer.as_ref());
        self.settle_recalled(answer.as_ref(), &values);
        let is_pending = answer.as_ref().is_some_and(|found| found.in_force == InForce::Pending);
        if is_pending {
            let since = *self.pending_since.get_or_insert(now);
            if now.since(since) < SETTLE_DEADLINE {
                // Soon at first: who writes once a second would make it pending again for each of the others.
                let wait = now.since(since).clamp(POLL_PENDING_FIRST, POLL_MOST);
                self.delayed(self.still_pending(), wait);
                return Phase::Due { at: now + wait };
            }
            let message = format!("a change of {} has been pending for {SETTLE_DEADLINE:?}", self.record.key);
            self.alarm(Alarm::NotInForce, message);
        } else if self.pending_since.take().is_some() {
            // Refused was what came too early.
            self.write_again_at = self.writes_pause_ends();
        }
        let change = self.whose_change(now, answer.as_ref(), &values);
        let Some(plan) = self.plan.clone() else { return idle };
        let ours = plan.ours_of(&values);
        let attainable = plan.attainable_weighed(answer.as_ref());
        self.history.drift.judge(now, self.rules.budget.window, (&plan, attainable), &ours, &change);
        match &answer {
            None if !self.record.create => return Phase::Due { at: now + self.idle_without_a_set(now) },
            Some(found) if plan.is_met_by(found) => match found.in_force {
                InForce::Yes if plan.attainable(Some(found)) != plan.wanted => {
                    let withheld = addresses_in_words(&(&found.withheld() & &plan.wanted));
                    let message = format!(
                        "{withheld} of {} is not served: the provider keeps it out of service",
                        self.record.key
                    );
                    self.alarm(Alarm::Withheld, message);
                    return idle;
                }
                InForce::Yes => return self.in_sync(&plan, idle),
                // Nothing of ours is there, nor to be there: somebody's change of the rest is not ours to repair.
                InForce::Failed if plan.wanted.is_empty() => return self.in_sync(&plan, idle),
                InForce::Pending => return idle,
                InForce::Withheld => {
                    let message = format!("{} is not served: it is disabled or frozen", self.record.key);
                    self.alarm(Alarm::Withheld, message);
                    return idle;
                }
                // What is served is not known then, so the same values are written once more, and again after growing
                // pauses.
                InForce::Failed => {
                    self.alarm(Alarm::NotInForce, format!("the last change of {} failed", self.record.key));
                }
            },
            None | Some(_) => {}
        }
        // A set that is not steady refuses writes; as soon as it is, the plan is tried.
        if is_pending && self.write_again_at > now {
            return Phase::Due { at: self.write_again_at.min(now + WARY_EVERY) };
        }
        let compared = plan.generation;
        self.leave_drift(now, &plan, &ours).unwrap_or(Phase::Ready { found: answer, compared })
    }

    fn in_sync(&mut self, plan: &Plan, idle: Phase) -> Phase {
        self.writing.succeeded();
        self.repairs.succeeded();
        self.repair_again_at = Moment::START;
        self.history.words = plan.words;
        self.reports.push_back(Report::InSync);
        idle
    }

    /// Finds out what became of a write whose answer was lost, or that was refused as a conflict: a set that is as it was
    /// before shows that it did not land (BOUNDED-WRITES). One that failed shows nothing, nor does any after a repair of the
    /// same values.
    fn settle_lost(&mut self, now: Moment, answer: Option<&Found>) {
        let Some(write) = self.lost.take() else { return };
        // Sets that were there, and served nothing, are not as before when there is none any more.
        let none_before = write.before.is_empty() && write.parts_before.is_empty();
        let as_before = answer
            .map_or(none_before, |found| found.values == write.before && found.parts == write.parts_before);
        match write.refused_with {
            Some(words) if as_before && self.conflicts_in_a_row >= CONFLICTS_MOST => {
                let key = &self.record.key;
                let message = format!(
                    "{words}; {} writes of {key} in a row were refused so, and every read shows it unchanged: the \
                     server may be at fault",
                    self.conflicts_in_a_row
                );
                self.alarm(Alarm::WriteRefused, message);
            }
            Some(_) if as_before => {}
            Some(words) => {
                self.conflicts_in_a_row = 0;
                if self.writing.is_no_blip() {
                    self.alarm(Alarm::WriteRefused, words);
                }
            }
            None if as_before => {
                self.lost_in_a_row = self.lost_in_a_row.saturating_add(1);
                if write.is_repair || is_failed(answer) {
                    self.history.writes.stands();
                } else {
                    self.history.writes.undo();
                    self.history.words = write.words_before;
                }
            }
            None => {
                self.lost_in_a_row = 0;
                self.write_again_at = now;
                self.history.writes.stands();
            }
        }
    }

    /// The same of a write that an earlier process sent.
    fn settle_recalled(&mut self, answer: Option<&Found>, values: &BTreeSet<Weighed>) {
        if !self.history.writes.is_open() {
            return;
        }
        let as_before = self.history.authorship.known().is_none_or(|known| known == values);
        let authorship = &self.history.authorship;
        let may_show = authorship.latest_changes() && !authorship.latest_is_in_parts();
        if as_before && !is_failed(answer) && may_show {
            self.history.writes.undo();
        } else {
            self.history.writes.stands();
        }
    }

    /// Whose doing it is that the set holds these values; tells it when it is somebody else's.
    fn whose_change(&mut self, now: Moment, found: Option<&Found>, values: &BTreeSet<Weighed>) -> Change {
        if is_failed(found) {
            self.history.authorship.adopt(values);
            self.history.drift.excuse();
            return Change::None;
        }
        let change = self.history.authorship.read(now, values);
        match &change {
            Change::None => {}
            Change::Ours => self.history.drift.excuse(),
            Change::Theirs { before } => {
                self.reports.push_back(Report::Drifted { before: before.clone(), now: values.clone() });
            }
        }
        change
    }

    /// What to do when somebody else's change of our addresses is not to be mended now; none when it is, or there is
    /// none.
    fn leave_drift(&mut self, now: Moment, plan: &Plan, ours: &BTreeSet<Weighed>) -> Option<Phase> {
        if !self.history.drift.is_against(plan) {
            return None;
        }
        let (key, wanted, theirs) =
            (&self.record.key, addresses_in_words(&plan.weighed()), addresses_in_words(ours));
        let window = self.rules.budget.window;
        let fought = self.history.drift.is_fought(now, window, plan) && !self.dry_run;
        let leave = match self.record.on_drift {
            OnDrift::Mend if fought => {
                let message = format!(
                    "somebody else keeps changing {key}: we want {wanted}, they set {theirs}; nothing is written until \
                     theirs is ours, nobody has changed it for {window:?}, or the plan wants something else. A server that carries \
                     writes out and takes them back looks the same"
                );
                self.alarm(Alarm::Fight, message);
                true
            }
            on_drift @ (OnDrift::Mend | OnDrift::Alarm) => {
                let message =
                    format!("somebody else changed {key}: our addresses in it were {wanted}, now {theirs}");
                self.alarm(Alarm::Drift, message);
                on_drift == OnDrift::Alarm
            }
        };
        leave.then(|| Phase::Due { at: now + self.idle_for(now) })
    }
}

fn is_failed(found: Option<&Found>) -> bool {
    found.is_some_and(|found| found.in_force == InForce::Failed)
}

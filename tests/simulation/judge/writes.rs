//! What is called, held against what was planned, told and read before; and what the zone becomes by it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use pointsman::core::{Call, Report, Rule, WriteResult};
use pointsman::model::{
    Alarm, Answer, Found, InForce, Mode, ProviderError, ProviderErrorKind, RecordSet, Weighed,
};

use super::budget::{Budget, Sent, counts_one_of_now};
use super::drift::{CONFIRM_MS, Changes, PENDING_MS, held_by, left_by};
use super::weighted::{LateCalls, is_split_otherwise, same_set};
use super::{Judge, Judged, Planned, Remembered, holds};
use crate::simulation::settings::Settings;

/// How old the read may be that a write starts from: the journal is waited for so long, and tasks take their turns.
const FRESH_MS: i64 = 400;

/// A write that was told and not called yet.
#[derive(Clone, Debug)]
struct Intent {
    at: i64,
    generation: u64,
    from: BTreeSet<IpAddr>,
    set: RecordSet,
}

/// The driver's tasks take their turns: so late may something be told.
pub(super) const TURNS_MS: i64 = 10;
/// A throttle that asks for longer does not keep a region from leaving for longer than this.
const THROTTLED_TRY_MS: i64 = 15_000;
/// So long after a write a read that shows what was there before it is not believed.
pub(super) const READ_LAG_MS: i64 = 5_000;
/// By the wall clock a write may be so much older than it is.
const CLOCKS_MS: i64 = 1_000;
/// While a lost write may still land the set is read so often.
const WARY_FOR_MS: i64 = 90_000;
const WARY_EVERY_MS: i64 = 2_000;

/// What is known of the calls.
#[derive(Debug, Default)]
pub(crate) struct Writes {
    in_flight: bool,
    /// What was told to be written next, until that is called or taken back.
    intent: Option<Intent>,
    pub(super) is_kept: bool,
    /// The landing writes that the driver last told to remember, as text.
    remembered: String,
    /// When a write was remembered, until it is told.
    untold: Option<i64>,
    pub(super) budget: Budget,
    /// The greatest generation that an earlier process had on disk before it wrote.
    floor: u64,
    /// What the last read that was answered found, and when; none once something was written.
    read: Option<(i64, Option<Found>)>,
    /// Since when every read that was answered found nothing.
    pub(super) missing_since: Option<i64>,
    /// When the write was meant that is on its way, if it makes the set; and that was taken, while no list shows the set.
    making: Option<i64>,
    made_at: Option<i64>,
    /// Since when the set may be pending: as it was first read so, or the last write that was taken was meant.
    pub(super) pending_since: Option<i64>,
    /// A throttle of a read holds everything back until then, one of a write the next write.
    throttled_until: i64,
    write_throttled_until: i64,
    called_at: i64,
    pub(super) written_at: i64,
    /// What the last write was answered, until that is told.
    answered: Option<Result<(), ProviderErrorKind>>,
    withdrawn: bool,
    /// How many words of operators were followed before the last write.
    followed_before: u64,
    /// Until when a write whose answer was lost may land, and when the last read went well with nothing called since.
    wary_until: i64,
    quiet_since: Option<i64>,
    /// What the set held of ours when it was as wanted, as far as that could be served, and was not written since; when
    /// somebody changed it since, and what was wanted when a read showed that.
    pub(super) synced: Vec<BTreeSet<Weighed>>,
    pub(super) changed_at: Option<i64>,
    pub(super) against: Option<BTreeSet<Weighed>>,
    /// When a read first showed that.
    pub(super) drift_at: Option<i64>,
    /// Whether the driver told, of the newest plan, that it may not be written now.
    pub(super) is_held: bool,
    /// What the last write leaves of ours, and what was found before it.
    called: BTreeSet<Weighed>,
    called_from: Option<Found>,
    pub(super) changes: Changes,
    /// When what somebody else did was undone, and what was wanted.
    pub(super) mends: Vec<(i64, BTreeSet<IpAddr>)>,
    /// What the set held when it was last read and taken as it is; and by what the core last heard to remember.
    steady: Option<BTreeSet<IpAddr>>,
    pub(super) steady_heard: Option<BTreeSet<IpAddr>>,
    /// What the last write that was taken left, while a read may still be answered from before it or that is pending.
    pub(super) left: Option<BTreeSet<IpAddr>>,
    /// At which weights the newest plan wants what it does.
    pub(super) weighed: BTreeSet<Weighed>,
    /// Whether the sets were as read when the last write of several calls was sent.
    pub(super) is_as_read: bool,
    pub(super) late_calls: LateCalls,
    /// All that was ever sent, each with the description that was read before it.
    pub(super) sent: Vec<(RecordSet, Option<String>)>,
}

impl Writes {
    pub(super) fn sent_count(&self) -> usize {
        self.sent.len()
    }

    /// What somebody did against another plan is no matter any more.
    pub(super) fn planned(&mut self, weighed: BTreeSet<Weighed>) {
        self.weighed = weighed;
        self.is_held = false;
    }

    /// For how long what was found has been pending; none if it is not.
    pub(super) fn pending_ms(&self, now: i64, found: &Found) -> Option<i64> {
        let is_pending = found.in_force == InForce::Pending;
        is_pending.then(|| self.pending_since.map_or(0, |since| now - since))
    }

    /// The driver is gone; a write that was meant will not be made.
    fn forget_calls(&mut self) {
        let untold = self.untold.take();
        if let Some(at) = self.intent.as_ref().map(|intent| intent.at).or(untold) {
            self.budget.meant_in_vain(at);
        }
        self.changes.forget(untold.map(|_| self.remembered.as_str()));
        (self.in_flight, self.intent, self.is_kept, self.withdrawn) = (false, None, false, false);
        (self.read, self.missing_since, self.answered, self.made_at) = (None, None, None, None);
        (self.throttled_until, self.write_throttled_until) = (0, 0);
        (self.wary_until, self.quiet_since) = (0, None);
        (self.synced, self.changed_at, self.against) = (Vec::new(), None, None);
        self.pending_since = None;
        self.mends.clear();
    }

    pub(super) fn killed(&mut self) {
        self.forget_calls();
        self.floor = self.budget.newest_kept().max(self.floor);
    }

    /// A process starts: what its journal knows of counts, by the age that its wall clock gives it.
    pub(super) fn started(&mut self, now: i64, saved: Option<(i64, i64, &Remembered)>) {
        self.budget.started(now, saved);
        let knows = saved.is_some_and(|(at, gap, _)| gap <= now - at + CLOCKS_MS);
        self.late_calls.started(now, knows);
        self.steady = saved.and_then(|(_, _, remembered)| remembered.steady.clone());
        self.steady_heard.clone_from(&self.steady);
        if let Some((at, gap, _)) = saved {
            self.changes.started(now, at, gap);
        } else {
            (self.left, self.floor) = (None, 0);
        }
    }
}

impl Judge {
    /// The driver tells something.
    pub(crate) fn reported(&mut self, now: i64, report: &Report) -> Judged {
        let writes = &mut self.writes;
        match report {
            Report::Held(_) | Report::Alarmed { alarm: Alarm::Fight, .. } => writes.is_held = true,
            Report::Sent { .. } | Report::InSync => writes.is_held = false,
            _ => {}
        }
        match report {
            Report::Remember(memory) => {
                writes.budget.remembers += 1;
                writes.remembered = serde_json::to_string(memory).unwrap_or_default();
                // It counts from then on, told or not.
                let is_new = counts_one_of_now(&writes.remembered);
                writes.untold = (is_new && writes.intent.is_none()).then_some(now);
            }
            Report::Sent { generation, from, set } => {
                writes.untold = None;
                holds!(writes.intent.is_none(), "EXPLAINED", "two writes are told at once: {set:?}");
                let (from, set) = (from.clone(), set.clone());
                let found = writes.read.as_ref().and_then(|(_, found)| found.as_ref());
                writes.changes.sent(now, &set, found);
                writes.intent = Some(Intent { at: now, generation: generation.0, from, set: set.clone() });
                let landing = writes.remembered.split("\"landing\":").nth(1).unwrap_or_default();
                let landing = landing.split("\"drift\"").next().unwrap_or_default();
                let values = serde_json::to_string(set.values()).unwrap_or_default();
                // With weights each has its own beside it.
                let is_told = |it: &IpAddr| landing.contains(&format!("\"{it} weight "));
                let is_weighed = !set.parts().is_empty() && set.values().iter().all(is_told);
                holds!(
                    landing.contains(&values) || is_weighed,
                    "NO-JUMP-ON-START",
                    "a write is told that is not remembered first"
                );
            }
            Report::Written { generation, result, message, .. } => {
                let answered = writes.answered.take();
                let fits = match (result, answered) {
                    (WriteResult::Applied, Some(Ok(())))
                    | (WriteResult::Lost, Some(Err(ProviderErrorKind::Lost | ProviderErrorKind::Unclear))) => {
                        true
                    }
                    (WriteResult::Superseded, Some(Ok(()))) => message.is_empty(),
                    (WriteResult::Superseded, None) => std::mem::take(&mut writes.withdrawn),
                    (WriteResult::Refused, Some(Err(kind))) => {
                        !matches!(kind, ProviderErrorKind::Lost | ProviderErrorKind::Unclear)
                    }
                    (
                        WriteResult::Applied
                        | WriteResult::Superseded
                        | WriteResult::Lost
                        | WriteResult::Refused,
                        _,
                    ) => false,
                };
                holds!(
                    fits,
                    "EXPLAINED",
                    "the write of {generation} is told to be {result:?}, answered {answered:?}"
                );
            }
            Report::Drifted { before, now: after } => {
                holds!(before != after, "EXPLAINED", "a drift that changes nothing at {now}");
                writes.changes.told(after.clone());
            }
            Report::InSync => {
                // The driver may not know the newest plan yet, and tell of an older one.
                let newest = self.plans.last_key_value().map(|(_, plan)| plan);
                let found = writes.read.as_ref().and_then(|(_, found)| found.as_ref());
                let held = found.map(Found::weighed).unwrap_or_default();
                let holds_just_that = |plan: &&Planned| {
                    held.iter().filter(|it| plan.owned.contains(&it.address)).eq(&writes.weighed)
                };
                writes.synced =
                    newest.filter(holds_just_that).map(|_| writes.weighed.clone()).into_iter().collect();
                writes.against = None;
                writes.is_as_left(now);
            }
            Report::Held(held) if held.rule == Rule::BoundedWrites => self.is_used_up(now)?,
            Report::Seen { .. }
            | Report::InForce { .. }
            | Report::DryRun { .. }
            | Report::Delayed { .. }
            | Report::Alarmed { .. }
            | Report::Held(_) => {}
        }
        Ok(())
    }

    /// The core hears what the driver told.
    pub(crate) fn core_hears(&mut self, now: i64, report: &Report) {
        // The first that a process hears may show it what was forgotten while none ran. Nothing is decided by what is only
        // to be remembered.
        if !matches!(report, Report::Remember(_)) {
            self.reconsider(now);
        }
        match report {
            Report::Seen { found } => {
                self.is_there = found.is_some();
                self.is_withheld = found.as_ref().is_some_and(|found| !found.withheld().is_empty());
                if let Some(found) = found {
                    self.sees_ttl(found.ttl.as_seconds());
                }
                self.seen = Some(found.as_ref().map(|found| found.values.clone()).unwrap_or_default());
                self.note_who_left(now);
            }
            Report::Remember(memory) => {
                self.writes.budget.remembers_heard += 1;
                self.writes.steady_heard = held_by(memory);
                self.words.followed_heard = self.words.followed;
            }
            Report::Drifted { .. } if self.serves_nothing() => self.hears_of_no_set(),
            Report::InSync if self.is_there && self.serves_nothing() => self.hears_of_no_set(),
            Report::InSync
            | Report::Sent { .. }
            | Report::Written { .. }
            | Report::InForce { .. }
            | Report::DryRun { .. }
            | Report::Drifted { .. }
            | Report::Delayed { .. }
            | Report::Held(_)
            | Report::Alarmed { .. } => {}
        }
    }

    /// The driver need not wait any longer for the intent to be on disk.
    pub(crate) fn intent_kept(&mut self, is_kept: bool) {
        self.writes.is_kept = is_kept;
    }

    /// The write that was told will not be made.
    pub(crate) fn withdrawn(&mut self) {
        if let Some(intent) = self.writes.intent.take() {
            self.writes.budget.taken_back(intent.at);
        }
        self.writes.changes.refused();
        self.writes.withdrawn = true;
    }

    /// The driver has heard of a reload: nothing backs off any more.
    pub(crate) fn driver_reloads(&mut self) {
        (self.writes.throttled_until, self.writes.write_throttled_until) = (0, 0);
    }

    /// Whether, as far as the driver knows, somebody is to leave or to come to the rescue.
    fn removal_waits(&self, newest: Option<u64>) -> bool {
        let Some(plan) = newest.and_then(|generation| self.plans.get(&generation)) else { return false };
        let surplus = |values: &BTreeSet<IpAddr>| {
            values.iter().any(|it| plan.owned.contains(it) && !plan.wanted.contains(it))
        };
        let read = self.writes.read.as_ref().and_then(|(_, found)| found.as_ref());
        let waits = read.is_none_or(|found| surplus(&found.values))
            || self.writes.left.as_ref().is_some_and(surplus)
            || self.writes.steady.as_ref().is_none_or(surplus);
        plan.may_write && (plan.is_rescue || waits)
    }

    /// The driver's task panics.
    pub(crate) fn driver_died(&mut self, now: i64) {
        self.writes.forget_calls();
        self.writes.late_calls.started(now, true);
        // What the dead one told and nobody has heard is in the channel, and will be heard.
    }

    /// The driver is started anew with what the core has heard of its writes.
    pub(crate) fn driver_starts(&mut self) {
        self.writes.budget.driver_starts();
    }

    /// A call is made. `newest` is the newest plan that the driver could know of, `settings` what it runs by.
    pub(crate) fn calls(
        &mut self,
        now: i64,
        call: &Call,
        newest: Option<u64>,
        settings: &Settings,
    ) -> Judged {
        self.is_news &=
            (settings.writes, settings.window_s) != (self.settings.writes, self.settings.window_s);
        self.change_is_told()?;
        // A throttle keeps nobody in who is to leave for longer than 15 s.
        // A call that was decided on is made, also when a plan that removes nobody comes a moment before it.
        let is_new = |plan: &Planned| now - plan.at <= TURNS_MS;
        let newer = newest.filter(|it| self.plans.get(it).is_some_and(is_new));
        let older = newer.and_then(|it| self.plans.range(..it).next_back()).map(|(it, _)| *it);
        let removal_waits = self.removal_waits(newest) || (older.is_some() && self.removal_waits(older));
        let hastens = |since: i64| removal_waits && now - since >= THROTTLED_TRY_MS - TURNS_MS;
        let writes = &mut self.writes;
        holds!(!writes.in_flight, "ONE-WRITER", "two calls at once: {call:?}");
        writes.in_flight = true;
        // A write is meant up to 250 ms before it is called.
        let meant = writes.intent.as_ref().filter(|_| *call != Call::Read).map_or(now, |intent| intent.at);
        let called_at = std::mem::replace(&mut writes.called_at, meant);
        let follows_a_read = now - called_at <= FRESH_MS && *call != Call::Read;
        holds!(
            now >= writes.throttled_until || hastens(called_at) || follows_a_read,
            "throttles are obeyed",
            "called at {now}: {call:?}"
        );
        let (found, set) = match call {
            Call::Read => {
                let quiet_ms = writes.quiet_since.take().map_or(0, |since| now - since);
                let is_wary = now < writes.wary_until;
                holds!(
                    !is_wary || quiet_ms <= WARY_EVERY_MS + 5 * TURNS_MS,
                    "NEWEST-PLAN-WINS",
                    "a write was lost and may land, and the set was not read for {quiet_ms} ms"
                );
                return Ok(());
            }
            Call::Replace { found, set } => (Some(found), set),
            Call::Create { set } => (None, set),
        };
        writes.quiet_since = None;
        let written_at = std::mem::replace(&mut writes.written_at, meant);
        holds!(
            now >= writes.write_throttled_until || hastens(written_at),
            "throttles are obeyed",
            "called at {now}: {call:?}"
        );
        holds!(
            settings.mode != Mode::Observe,
            "OPERATOR-RULES",
            "written though only to be observed: {call:?}"
        );
        let before = found.map(|found| found.values.clone()).unwrap_or_default();
        let intent = writes.intent.take();
        holds!(
            intent.as_ref().is_some_and(|intent| intent.from == before && intent.set == *set),
            "EXPLAINED",
            "told was {intent:?}, called is {call:?}"
        );
        let Some(Intent { at: intended, generation, .. }) = intent else { return Ok(()) };
        holds!(
            newest == Some(generation),
            "NEWEST-PLAN-WINS",
            "written is {generation} though {newest:?} is known"
        );
        holds!(
            generation > writes.floor,
            "NEWEST-PLAN-WINS",
            "written is {generation} though {} was written before the restart",
            writes.floor
        );
        let Some((at, read)) = writes.read.take() else {
            holds!(false, "NEWEST-PLAN-WINS", "a write that follows no read: {call:?}");
            return Ok(());
        };
        holds!(
            same_set(read.as_ref(), found) && now - at <= FRESH_MS,
            "NEWEST-PLAN-WINS",
            "read {} ms ago: {read:?}",
            now - at
        );
        if found.is_none() {
            let missing_ms = writes.missing_since.map_or(0, |since| at - since);
            holds!(settings.create, "a set is made only with create = true", "{call:?}");
            holds!(
                missing_ms >= 1000,
                "BLIND-IS-NOT-DOWN",
                "a set is made that was missed for {missing_ms} ms"
            );
            let made_ms = writes.made_at.map(|made| intended - made);
            holds!(
                made_ms.is_none_or(|ms| ms >= READ_LAG_MS - TURNS_MS),
                "BLIND-IS-NOT-DOWN",
                "a set is made that was made {made_ms:?} ms ago"
            );
        }
        let plan = self.plans.get(&generation);
        holds!(plan.is_some(), "EXPLAINED", "plan {generation} was never told");
        let Some(plan) = plan.cloned() else { return Ok(()) };
        let withheld = found.map(Found::withheld).unwrap_or_default();
        let attainable = plan.wanted.difference(&withheld);
        let expected: BTreeSet<IpAddr> = before.difference(&plan.owned).chain(attainable).copied().collect();
        holds!(
            *set.values() == expected,
            "ONLY-OURS",
            "plan {generation} wants {expected:?}, called is {call:?}"
        );
        let mut touched = set.values().symmetric_difference(&before);
        holds!(
            touched.all(|value| plan.ours.contains(value)),
            "ONLY-OURS",
            "{call:?} changes what is not ours"
        );
        let is_failed = found.is_some_and(|found| found.in_force == InForce::Failed);
        let changes = *set.values() != before || is_split_otherwise(found, set);
        holds!(changes || is_failed, "ONLY-WHEN-DIFFERENT", "{call:?}");
        let own = |values: &BTreeSet<IpAddr>| values.intersection(&plan.ours).count();
        // A repair of a set that failed takes nothing away either.
        let takes_nothing = set.values().is_superset(&before) && own(set.values()) > 0;
        holds!(
            own(set.values()) >= settings.min_published.max(1) as usize || takes_nothing,
            "NEVER-EMPTY",
            "{call:?} leaves {} of ours",
            own(set.values())
        );
        holds!(plan.may_write, "OPERATOR-RULES", "plan {generation} is not to be written: {call:?}");
        self.write_is_approved(&before, set.values())?;
        let words = plan.words;
        // A plan that wants something else may be written, whatever was fought over before.
        self.writes.mends.retain(|(_, then)| *then == plan.wanted);
        let held = found.map(Found::weighed).unwrap_or_default();
        let of_ours = |them: &BTreeSet<Weighed>| -> BTreeSet<Weighed> {
            them.iter().filter(|it| plan.ours.contains(&it.address)).copied().collect()
        };
        let leaves = of_ours(&left_by(set, &held));
        if self.writes.against.as_ref() == Some(&self.writes.weighed) && of_ours(&held) != leaves {
            self.undoes(now, &plan.wanted, settings)?;
        }
        self.is_within_budget(
            &Sent {
                at: intended,
                generation,
                before: &before,
                after: set.values(),
                found,
                changes,
                in_parts: !set.parts().is_empty(),
            },
            &plan,
            settings,
        )?;
        let writes = &mut self.writes;
        writes.synced.clear();
        (writes.called, writes.changed_at, writes.against) = (leaves, None, None);
        writes.drift_at = None;
        writes.making = found.is_none().then_some(intended);
        writes.called_from = found.cloned();
        writes.followed_before = std::mem::replace(&mut self.words.followed, words);
        writes.sent.push((set.clone(), found.and_then(|found| found.description.clone())));
        let ttl = self.settings.ttl;
        let stays = found.is_none_or(|found| found.ttl == set.ttl());
        holds!(
            stays || settings.ttl == Some(set.ttl().as_seconds()) || ttl == Some(set.ttl().as_seconds()),
            "ONLY-OURS",
            "the TTL is not the configured one: {call:?}"
        );
        Ok(())
    }

    pub(crate) fn read_answered(&mut self, now: i64, answer: &Answer, has_plan: bool) {
        // Of several sets those of ours count, which no driver knows without a plan.
        let ours = self.ours();
        let by_ours = |found: Found| if has_plan { found.judged_by(&ours) } else { found };
        let judged = answer.clone().map(|found| found.map(by_ours));
        let answer = &judged;
        self.note_pending(now, answer);
        self.compare(now, answer);
        let writes = &mut self.writes;
        writes.in_flight = false;
        if let Some(found) = answer.as_ref().ok().and_then(Option::as_ref) {
            // A set that has been pending for long is taken as it is; nobody can tell at the very end of that time.
            let pending_ms = writes.pending_ms(now, found).unwrap_or(i64::MAX);
            if pending_ms >= PENDING_MS - TURNS_MS {
                let is_sure = pending_ms >= PENDING_MS + TURNS_MS;
                writes.steady = is_sure.then(|| found.values.clone());
            }
        }
        match answer {
            Ok(found) => {
                let is_believed =
                    found.is_some() || writes.missing_since.is_some_and(|at| now - at >= CONFIRM_MS);
                if is_believed && writes.budget.shows(found.as_ref()) {
                    self.words.followed = writes.followed_before;
                }
                let is_as_before = found.as_ref().map(|found| &found.values)
                    == Some(&writes.called_from.as_ref().map(|it| it.values.clone()).unwrap_or_default());
                let may_lag = is_as_before && now - writes.written_at < READ_LAG_MS;
                let is_pending = found.as_ref().is_some_and(|found| found.in_force == InForce::Pending);
                writes.left.take_if(|_| !may_lag && !is_pending);
                writes.throttled_until = 0;
                writes.made_at.take_if(|_| found.is_some());
                writes.missing_since = match found {
                    Some(_) => None,
                    None => writes.missing_since.or(Some(now)),
                };
                writes.read = Some((now, found.clone()));
                writes.quiet_since = Some(now);
            }
            Err(error) => writes.throttled_until = throttled_until(now, error.kind),
        }
    }

    pub(crate) fn write_answered(&mut self, now: i64, result: &Result<(), ProviderError>) {
        let kind = result.as_ref().copied().map_err(|error| error.kind);
        self.writes.in_flight = false;
        self.writes.answered = Some(kind);
        match kind {
            Ok(()) => {
                // What lists lacked before says nothing of it.
                (self.writes.made_at, self.writes.missing_since) = (self.writes.making.take(), None);
                self.writes.pending_since = Some(self.writes.written_at);
                self.writes.budget.taken();
                self.writes.write_throttled_until = 0;
                self.writes.synced = vec![self.writes.called.clone()];
                let Some((set, _)) = self.writes.sent.last().cloned() else { return };
                self.writes.left = Some(set.values().clone());
                self.writes.changes.taken(self.writes.written_at, set, self.writes.called_from.clone());
            }
            Err(ProviderErrorKind::Lost | ProviderErrorKind::Unclear) => {
                self.writes.wary_until = now + WARY_FOR_MS;
            }
            Err(kind) => {
                self.writes.changes.refused();
                self.writes.budget.refused();
                self.words.followed = self.writes.followed_before;
                self.writes.write_throttled_until = throttled_until(now, kind);
            }
        }
    }

    /// The zone became something else by a write of ours.
    pub(crate) fn landed(&mut self, before: Option<&Found>, after: Option<&Found>) -> Judged {
        holds!(
            after.is_some_and(|after| !after.values.is_empty()),
            "NEVER-EMPTY",
            "{before:?} became {after:?}"
        );
        let Some(after) = after else { return Ok(()) };
        let sent = self.writes.sent.iter().any(|(set, description)| {
            let described = description.clone().or(Some(String::new()));
            *set.values() == after.values && set.ttl() == after.ttl && described == after.description
        });
        holds!(sent, "LEAVE-AS-IS", "nobody sent {after:?}");
        Ok(())
    }
}

/// Until when an answer asks not to be called.
fn throttled_until(now: i64, kind: ProviderErrorKind) -> i64 {
    match kind {
        ProviderErrorKind::Throttled(Some(after)) => now + i64::try_from(after.as_millis()).unwrap_or(0),
        _ => 0,
    }
}

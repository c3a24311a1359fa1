//! What becomes of a write once it is on its way: the ledger's line, what witnesses are asked, and their alarm.
//!
//! What witnesses say moves no region and no plan: it is written down, and alarmed when it stays wrong for longer than
//! caches may. Start at [`ServiceState::follow_write`] and [`ServiceState::witnessed`].

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::Effect;
use super::ledger::{Cause, Direction, Failover, Move, Reached, Sending, patience};
use super::region::RegionState;
use super::report::{Report, WriteResult};
use super::service::ServiceState;
use crate::model::{
    Alarm, Errand, Fetched, Found, InForce, Inquiry, Liveness, Moment, Override, Ruling, Statement,
    Testimony, Ttl, addresses_in_words,
};

/// So many witnesses are named in an alarm; the rest are counted.
const NAMED_MAX: usize = 3;

/// What witnesses are asked, and what they said.
#[derive(Clone, Debug)]
pub(super) struct Witnessing {
    /// None before the set was read, and while there is none that is served.
    inquiry: Option<Arc<Inquiry>>,
    /// How many inquiries there have been, which numbers them.
    inquiries: u64,
    /// Those that said something else when they were last asked.
    disagree: Vec<Testimony>,
    /// Since when not all of them agree.
    since: Option<Moment>,
    /// How long that may be so.
    patience: Duration,
    /// The TTL that the set has now, or had when it was there last.
    ttl: Option<Ttl>,
    /// When the newest plan was made, and whether by an operator's word.
    planned: Option<(Moment, Cause)>,
    /// How many words of operators were heeded until then.
    words: u64,
}

impl Default for Witnessing {
    fn default() -> Self {
        Self {
            inquiry: None,
            inquiries: 0,
            disagree: Vec::new(),
            since: None,
            patience: Duration::ZERO,
            ttl: None,
            planned: None,
            words: 0,
        }
    }
}

impl Witnessing {
    /// Of a service that starts as new where another was: what was said to that one's inquiries says nothing to its own.
    pub(super) fn in_place_of(old: &Self) -> Self {
        Self { inquiries: old.inquiries, ..Self::default() }
    }

    /// When disagreement is to be alarmed, while there is some.
    pub(super) fn patience_ends(&self) -> Option<Moment> {
        self.since.filter(|_| !self.disagree.is_empty()).map(|since| since + self.patience)
    }

    /// There is a new plan; so many words of operators were heeded by now.
    pub(super) fn planned(&mut self, now: Moment, words: u64) {
        let cause = if words > self.words { Cause::Operator } else { Cause::Other };
        (self.planned, self.words) = (Some((now, cause)), words);
    }

    fn is_about(&self, values: &BTreeSet<IpAddr>) -> bool {
        self.inquiry.as_ref().is_some_and(|inquiry| inquiry.wanted == *values)
    }

    /// What those that disagree say, beside what the zone holds, and what to do.
    fn complaint(&self) -> Option<String> {
        let inquiry = self.inquiry.as_ref()?;
        let says = |it: &Testimony| format!("{} {}", it.witness, it.said);
        let mut said: Vec<String> = self.disagree.iter().take(NAMED_MAX).map(says).collect();
        if self.disagree.len() > NAMED_MAX {
            said.push(format!("{} more say something else", self.disagree.len() - NAMED_MAX));
        }
        let unusable = |it: &Testimony| matches!(it.said, Statement::Nothing(_));
        let what_to_do = if self.disagree.iter().all(unusable) {
            "is the resolver there, may it be asked from here, does it know the zone?"
        } else {
            "clients that ask there are sent elsewhere; flush its cache, or see where it gets its answers"
        };
        Some(format!(
            "witnesses disagree: {}; the zone holds {} since longer than caches may keep the old; {what_to_do}",
            said.join("; "),
            addresses_in_words(&inquiry.wanted)
        ))
    }
}

impl ServiceState {
    /// Takes in what the reconciler tells, before anything is decided by it: the ledger's times are its times.
    pub(super) fn follow_write(&mut self, now: Moment, report: &Report, effects: &mut Vec<Effect>) {
        match report {
            Report::Sent { from, set, .. } => {
                let old = self.seen.as_ref().and_then(|seen| seen.found.as_ref()).map(|found| found.ttl);
                let sending = Sending {
                    moves: self.moves(from, set.values()),
                    from: from.clone(),
                    to: set.values().clone(),
                    old_ttl: old.unwrap_or(set.ttl()),
                };
                let steps = self.ledger.sent(now, sending);
                // Another try changes a count alone, which is to be remembered too.
                self.changed = true;
                self.told(now, steps, effects);
            }
            Report::Written { result: WriteResult::Superseded, message, .. } if !message.is_empty() => {
                self.ledger.withdrawn();
            }
            Report::Written { result: WriteResult::Applied | WriteResult::Superseded, .. } => {
                let step = self.ledger.acknowledged(now);
                self.told(now, step, effects);
            }
            Report::Seen { found: Some(found) } if found.in_force == InForce::Yes => {
                if let Some(step) = self.ledger.in_force(now, &found.values) {
                    self.told(now, [step], effects);
                    self.inquire_of_failover(found, effects);
                }
            }
            // Nothing more is written to a set that is not there when nothing is wanted of it.
            Report::Seen { found: None } if self.wants_nothing() => {
                let step = self.ledger.in_sync();
                self.told(now, step, effects);
            }
            Report::InSync => {
                let found = self.seen.as_ref().and_then(|seen| seen.found.clone());
                let step = self.ledger.in_sync();
                self.told(now, step, effects);
                if let Some(found) = found {
                    self.inquire_at_rest(now, &found, effects);
                }
            }
            Report::Drifted { .. } => {
                let found = self.seen.as_ref().and_then(|seen| seen.found.clone());
                match found {
                    Some(found) if found.in_force == InForce::Yes || found.values.is_empty() => {
                        self.inquire_at_rest(now, &found, effects);
                    }
                    Some(_) => {}
                    None => self.inquire_no_more(now, effects),
                }
            }
            Report::Seen { .. }
            | Report::Written { result: WriteResult::Refused | WriteResult::Lost, .. }
            | Report::InForce { .. }
            | Report::DryRun { .. }
            | Report::Delayed { .. }
            | Report::Held(_)
            | Report::Alarmed { .. }
            | Report::Remember(_) => {}
        }
    }

    /// What witnesses said to an inquiry, each once; none when there are no witnesses.
    pub(super) fn witnessed(
        &mut self,
        now: Moment,
        number: u64,
        said: &[Testimony],
        effects: &mut Vec<Effect>,
    ) {
        let Some(inquiry) = self.witnessing.inquiry.clone().filter(|inquiry| inquiry.number == number) else {
            return;
        };
        let (agree, disagree): (Vec<&Testimony>, Vec<&Testimony>) =
            said.iter().partition(|testimony| inquiry.agrees(&testimony.said));
        let steps = self.ledger.witnessed(agree.iter().copied());
        self.told(now, steps, effects);
        self.witnessing.disagree = disagree.into_iter().cloned().collect();
        if self.witnessing.disagree.is_empty() {
            self.witnessing.since = None;
            self.witnessing.patience = patience(self.witnessing.ttl.unwrap_or(Ttl::DEFAULT));
            if let Some(step) = self.ledger.moved() {
                self.end_of_asking(now, step, effects);
            }
        } else {
            self.witnessing.since.get_or_insert(now);
        }
        self.heed_witnesses(now, effects);
        self.due = self.next_wake(now);
    }

    /// What a client got.
    pub(super) fn fetched(
        &mut self,
        now: Moment,
        failover: u64,
        fetched: &Fetched,
        effects: &mut Vec<Effect>,
    ) {
        let step = self.ledger.fetched(failover, fetched.clone());
        self.told(now, step, effects);
    }

    /// Alarms disagreement that has outlasted the caches, and ends that when it is over.
    pub(super) fn heed_witnesses(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let is_late = self.witnessing.patience_ends().is_some_and(|ends| ends <= now);
        if is_late && let Some(step) = self.ledger.unconfirmed() {
            self.end_of_asking(now, step, effects);
        }
        let message = is_late.then(|| self.witnessing.complaint()).flatten();
        self.alarm(Alarm::Witness, None, message, effects);
    }

    /// The newest failover is in force: its set is asked for until all show it.
    fn inquire_of_failover(&mut self, found: &Found, effects: &mut Vec<Effect>) {
        let Some((since, old_ttl)) =
            self.ledger.awaiting().and_then(|line| Some((line.active?, line.old_ttl)))
        else {
            return;
        };
        self.inquire(since, old_ttl, found, effects);
    }

    /// The set holds what nobody is asked about yet: after a start, or by somebody else's doing.
    fn inquire_at_rest(&mut self, now: Moment, found: &Found, effects: &mut Vec<Effect>) {
        if found.values.is_empty() {
            return self.inquire_no_more(now, effects);
        }
        if self.witnessing.is_about(&found.values) {
            self.witnessing.ttl = Some(found.ttl);
            return;
        }
        // A failover from before a restart goes on where it was.
        if self.ledger.awaiting().is_some_and(|line| line.to == found.values) {
            return self.inquire_of_failover(found, effects);
        }
        let step = self.ledger.overtaken();
        self.told(now, step, effects);
        let old_ttl = self.witnessing.ttl.map_or(found.ttl, |old| old.max(found.ttl));
        self.inquire(now, old_ttl, found, effects);
    }

    /// There is no set any more, or none that is served: nobody can say what they ought to answer.
    fn inquire_no_more(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let step = self.ledger.overtaken();
        self.told(now, step, effects);
        (self.witnessing.inquiry, self.witnessing.since) = (None, None);
        self.witnessing.disagree.clear();
    }

    fn inquire(&mut self, since: Moment, old_ttl: Ttl, found: &Found, effects: &mut Vec<Effect>) {
        let witnessing = &mut self.witnessing;
        witnessing.inquiries += 1;
        witnessing.disagree.clear();
        witnessing.since = Some(since);
        witnessing.patience = patience(old_ttl);
        witnessing.ttl = Some(found.ttl);
        let inquiry = Arc::new(Inquiry {
            service: self.service.name.clone(),
            number: witnessing.inquiries,
            key: self.service.record.key.clone(),
            wanted: found.values.clone(),
            since,
            patience_ends: since + witnessing.patience,
            fetch: None,
        });
        witnessing.inquiry = Some(Arc::clone(&inquiry));
        effects.push(Effect::Witness(inquiry));
        self.alarm(Alarm::Witness, None, None, effects);
    }

    /// Witnesses agree, or are waited for no longer: a client fetches the service, by the first of them that agreed. It is
    /// told with the inquiry, so that another one takes its place.
    fn end_of_asking(&mut self, now: Moment, step: (Failover, Reached), effects: &mut Vec<Effect>) {
        let (failover, has_fetched) = (step.0.number, step.0.fetched.is_some());
        let by = step.0.witnesses.iter().min_by_key(|(_, at)| **at).map(|(witness, _)| *witness);
        self.told(now, [step], effects);
        let Some(inquiry) = self.witnessing.inquiry.as_ref().filter(|it| it.fetch.is_none() && !has_fetched)
        else {
            return;
        };
        let homes = self
            .regions
            .iter()
            .flat_map(|region| region.owned.iter().map(|address| (*address, region.region.name.clone())));
        let fetch = Some(Errand { failover, by, homes: homes.collect() });
        let inquiry = Arc::new(Inquiry { fetch, ..Inquiry::clone(inquiry) });
        self.witnessing.inquiry = Some(Arc::clone(&inquiry));
        effects.push(Effect::Witness(inquiry));
    }

    fn told(
        &mut self,
        now: Moment,
        steps: impl IntoIterator<Item = (Failover, Reached)>,
        effects: &mut Vec<Effect>,
    ) {
        for (failover, reached) in steps {
            self.changed = true;
            let (service, failover) = (self.service.name.clone(), Arc::new(failover));
            effects.push(Effect::Ledger { service, failover, reached, at: now });
        }
    }

    /// Which regions a write moves, and what moved them.
    fn moves(&self, from: &BTreeSet<IpAddr>, to: &BTreeSet<IpAddr>) -> Vec<Move> {
        let mut moves: Vec<Move> =
            self.regions.iter().filter_map(|region| self.region_moves(region, from, to)).collect();
        let of_regions = |address: &&IpAddr| !self.regions.iter().any(|it| it.owned.contains(*address));
        let rest = |set: &BTreeSet<IpAddr>| set.iter().filter(of_regions).copied().collect();
        moves.extend(direction(&rest(from), &rest(to)).map(|direction| Move {
            region: None,
            direction,
            cause: Cause::Other,
            first: None,
            verdict: None,
        }));
        moves
    }

    fn region_moves(
        &self,
        region: &RegionState,
        from: &BTreeSet<IpAddr>,
        to: &BTreeSet<IpAddr>,
    ) -> Option<Move> {
        let share = |set: &BTreeSet<IpAddr>| region.owned.intersection(set).copied().collect();
        let direction = direction(&share(from), &share(to))?;
        let ruled = self.overrides.of(&region.region.name);
        let ruled = ruled.is_some_and(|Override { ruling, .. }| match ruling {
            Ruling::Drain(_) => direction == Direction::Leaves,
            Ruling::Pin(_) => direction == Direction::Returns,
            Ruling::Freeze(_) | Ruling::Mute(_) => false,
        });
        let (planned, by) = self.witnessing.planned.map_or((None, Cause::Other), |(at, by)| (Some(at), by));
        let returned = region.healthy_since().filter(|_| !region.may_return());
        let (cause, first, verdict) = match (direction, region.liveness(), returned) {
            _ if ruled => (Cause::Operator, None, planned),
            (Direction::Leaves, Liveness::Down, _) => {
                (Cause::Checks, region.first_failure(), Some(region.since))
            }
            (Direction::Returns, Liveness::Up, Some(healthy)) => {
                (Cause::Checks, Some(healthy), Some(region.since))
            }
            (Direction::Leaves | Direction::Returns | Direction::Changes, _, _) => (by, None, planned),
        };
        Some(Move { region: Some(region.region.name.clone()), direction, cause, first, verdict })
    }
}

fn direction(before: &BTreeSet<IpAddr>, after: &BTreeSet<IpAddr>) -> Option<Direction> {
    match (before.is_empty(), after.is_empty()) {
        _ if before == after => None,
        (false, true) => Some(Direction::Leaves),
        (true, false) => Some(Direction::Returns),
        (true, true) | (false, false) => Some(Direction::Changes),
    }
}

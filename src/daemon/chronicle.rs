//! Tells what happens: a line in the log, a count in the metrics, a row in the journal, an event for whoever listens
//! (EXPLAINED).
//!
//! A line is a past-tense sentence with fields named like the metrics' labels. info: a transition, plan or write;
//! warn: something to look into in working hours; error: a promise is at risk; debug: a look.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::{broadcast, oneshot};
use tracing::{debug, error, info, warn};

use super::{Event, OwnEvent};
use crate::admin::{Phase, Recorder};
use crate::core::{
    Cause, Effect, Failover, Held, Plan, Raised, Reached, Report, Rule, Transition, WriteResult,
};
use crate::journal::{Entry, Journal};
use crate::model::{
    Alarm, AlarmStatus, Moment, Observation, Service, ServiceName, Waiting, addresses_in_words,
};

/// Keeps log, metrics and listeners up to date.
pub(super) struct Chronicle {
    recorder: Recorder,
    events: broadcast::Sender<(Moment, Event)>,
    journal: Journal,
    /// The rule that holds the write of a service back: told once, though each attempt finds it.
    held: BTreeMap<ServiceName, Rule>,
}

impl Chronicle {
    pub(super) fn new(
        recorder: Recorder,
        events: broadcast::Sender<(Moment, Event)>,
        journal: Journal,
    ) -> Self {
        Self { recorder, events, journal, held: BTreeMap::new() }
    }

    /// Something happened to the daemon itself; the log has it already.
    pub(super) fn own(&self, now: Moment, event: OwnEvent) {
        self.journal.record(event.entry());
        self.publish(now, Event::Own(event));
    }

    /// The same of a report; a driver may want to know when it is on disk.
    pub(super) fn keep_report(
        &self,
        entry: Option<Entry>,
        kept: Option<oneshot::Sender<oneshot::Receiver<()>>>,
    ) {
        match (entry, kept) {
            // Who wanted to know may have given up.
            (Some(entry), Some(kept)) => drop(kept.send(self.journal.record_and_tell(entry))),
            (Some(entry), None) => self.journal.record(entry),
            (None, _) => {}
        }
    }

    /// These services are watched from now on, and no others.
    pub(super) fn configured(&mut self, services: &[Arc<Service>]) {
        self.recorder.configured(services);
        let stay: BTreeSet<&ServiceName> = services.iter().map(|service| &service.name).collect();
        self.held.retain(|name, _| stay.contains(name));
    }

    /// A look ended.
    pub(super) fn observed(&mut self, now: Moment, observation: &Observation) {
        self.recorder.observed(observation);
        if self.events.receiver_count() > 0 {
            self.publish(now, Event::Looked(observation.clone()));
        }
        debug!(
            check = %observation.check,
            outcome = observation.outcome.as_str(),
            latency_ms = observation.latency.as_secs_f64() * 1e3,
            "looked: {}",
            observation.saw
        );
    }

    /// The core asked for something.
    pub(super) fn tell(&mut self, now: Moment, effect: Effect) {
        if let Some(entry) = Entry::of_effect(&effect) {
            self.journal.record(entry);
        }
        match &effect {
            Effect::Transition(transition) => self.transition(transition),
            Effect::Apply(plan) => {
                info!(service = %plan.service, generation = plan.generation.0, "planned {}", summary(plan));
            }
            Effect::Held { service, held } => tell_held(service, held),
            Effect::Waiting { service, waiting } => tell_waiting(service, waiting),
            Effect::Said { service, word, heeded: true } => {
                info!(%service, word = word.as_str(), author = word.author(), "heeded an operator's word: {word}");
            }
            Effect::Said { service, word, heeded: false } => {
                warn!(%service, word = word.as_str(), author = word.author(), "found nothing to change by an operator's word: {word}");
            }
            Effect::Ended { service, ended, because } => {
                info!(%service, kind = ended.ruling.as_str(), "an override ended, {because}: {ended}");
            }
            Effect::Alarm(raised) => tell_alarm(raised),
            Effect::Ledger { service, failover, reached, .. } => self.failover(service, failover, *reached),
            Effect::Witness(inquiry) => {
                let (service, values) = (&inquiry.service, addresses_in_words(&inquiry.wanted));
                debug!(%service, values, "asks the witnesses for what the zone holds");
            }
            Effect::Pace { service, region, pace } => {
                debug!(%service, %region, ?pace, "changed the pace of looks");
            }
        }
        self.publish(now, Event::Effect(effect));
    }

    fn transition(&mut self, transition: &Transition) {
        let Transition { service, region, from, to, because, .. } = transition;
        self.recorder.transition(service, region, *to);
        info!(%service, %region, %from, %to, "{region} went from {from} to {to}: {because}");
    }

    /// A failover made a step. What a write's own lines tell already is told quietly; the times that the metrics show are
    /// the ledger's.
    fn failover(&self, service: &ServiceName, failover: &Failover, reached: Reached) {
        let took = |phase, from: Option<Moment>, to: Option<Moment>| {
            if let (Some(from), Some(to)) = (from, to) {
                self.recorder.failover(service, phase, to.since(from));
            }
        };
        let (id, moves, times) = (failover.id(service), failover.moves_in_words(), failover.times_in_words());
        match reached {
            Reached::Sent => {
                let fell = failover.leaves() && failover.moves.iter().any(|it| it.cause == Cause::Checks);
                took(Phase::Detect, failover.first.filter(|_| fell), failover.verdict);
            }
            Reached::Acknowledged => took(Phase::Write, Some(failover.sent), failover.acknowledged),
            Reached::Active => took(Phase::Activate, failover.acknowledged, failover.active),
            Reached::Moved => {
                took(Phase::Witness, failover.active, failover.witnesses.values().max().copied());
            }
            Reached::Witness(_)
            | Reached::Unconfirmed
            | Reached::Fetched
            | Reached::CalledOff
            | Reached::Superseded => {}
        }
        let is_served = failover.fetched.as_ref().is_none_or(|fetched| fetched.served);
        let reached_words = reached.in_words(failover);
        match reached {
            Reached::Sent | Reached::Acknowledged | Reached::Active => {
                debug!(%service, failover = id, "{id} ({moves}) is {reached_words}: {times}");
            }
            Reached::Fetched if !is_served => {
                warn!(%service, failover = id, "{id} ({moves}): a client was not served: {times}");
            }
            Reached::Unconfirmed => {
                warn!(%service, failover = id, "{id} ({moves}) is {reached_words}: {times}");
            }
            Reached::Witness(_)
            | Reached::Moved
            | Reached::Fetched
            | Reached::CalledOff
            | Reached::Superseded => {
                info!(%service, failover = id, "{id} ({moves}) is {reached_words}: {times}");
            }
        }
    }

    /// An alarm of the daemon itself begins or ends.
    pub(super) fn own_alarm(&self, now: Moment, status: AlarmStatus, raised: bool) {
        let AlarmStatus { alarm, subject, message, .. } = &status;
        let of = subject.as_ref().map(|subject| format!(" of {subject}")).unwrap_or_default();
        if raised {
            warn!(%alarm, subject, "alarm {alarm}{of}: {message}");
        } else {
            info!(%alarm, subject, "alarm {alarm}{of} ended; it was: {message}");
        }
        self.own(now, OwnEvent::Alarm { status, raised });
    }

    /// The reconciler told something. Returns what the journal is to keep of it, by [`Chronicle::keep_report`].
    pub(super) fn reported(&mut self, now: Moment, service: &ServiceName, report: &Report) -> Option<Entry> {
        let is_old_news = self.is_old_news(service, report);
        match report {
            Report::Seen { found } => {
                let values =
                    found.as_ref().map(|found| addresses_in_words(&found.values)).unwrap_or_default();
                debug!(%service, values, "read the record set");
            }
            Report::InSync => debug!(%service, "found the record set in sync"),
            Report::Sent { generation, from, set } => {
                let (from, to) = (addresses_in_words(from), addresses_in_words(&set.weighed()));
                let ttl = set.ttl().as_seconds();
                if from == to {
                    info!(%service, generation = generation.0, ttl, "sent {to} once more, since the last change of it failed");
                } else {
                    info!(%service, generation = generation.0, ttl, "sent a write of {to} in place of {from}");
                }
            }
            Report::Written { generation, result, message, retry_in } => {
                self.recorder.written(service, *result);
                let generation = generation.0;
                let retry_in_s = retry_in.map(|wait| wait.as_secs_f64());
                match result {
                    WriteResult::Superseded if !message.is_empty() => {
                        info!(%service, generation, "the write was not sent: {message}");
                    }
                    WriteResult::Applied | WriteResult::Superseded => {
                        let result = result.as_str();
                        info!(%service, generation, result, "the provider took the write");
                    }
                    WriteResult::Refused => {
                        warn!(%service, generation, retry_in_s, "the write was refused: {message}");
                    }
                    WriteResult::Lost => {
                        warn!(%service, generation, retry_in_s, "the write's answer was lost, a read will tell: {message}");
                    }
                }
            }
            Report::InForce { generation } => {
                info!(%service, generation = generation.0, "the write is in force");
            }
            Report::DryRun { generation, from, set } => {
                let (from, to) = (addresses_in_words(from), addresses_in_words(&set.weighed()));
                info!(%service, generation = generation.0, "dry run: would have written {to} in place of {from}");
            }
            Report::Drifted { before, now } => {
                let (before, now) = (addresses_in_words(before), addresses_in_words(now));
                warn!(%service, before, now, "somebody else changed the record set from {before} to {now}");
            }
            Report::Delayed { message, retry_in } => {
                let retry_in_s = retry_in.as_secs_f64();
                warn!(%service, retry_in_s, "a change waits for the record set: {message}");
            }
            Report::Held(held) if is_old_news => debug!(%service, "still held back by {held}"),
            Report::Held(held) => tell_held(service, std::slice::from_ref(held)),
            Report::Alarmed { alarm, message } => {
                debug!(%service, %alarm, "the reconciler alarmed: {message}");
            }
            Report::Remember(_) => {}
        }
        self.publish(now, Event::Reported { service: service.clone(), report: report.clone() });
        if is_old_news { None } else { Entry::of_report(service, report) }
    }

    /// Whether it only says once more that a rule holds the write back.
    fn is_old_news(&mut self, service: &ServiceName, report: &Report) -> bool {
        match report {
            Report::Held(held) => self.held.insert(service.clone(), held.rule) == Some(held.rule),
            Report::Sent { .. } | Report::InSync => {
                self.held.remove(service);
                false
            }
            Report::Seen { .. }
            | Report::Written { .. }
            | Report::InForce { .. }
            | Report::DryRun { .. }
            | Report::Drifted { .. }
            | Report::Delayed { .. }
            | Report::Alarmed { .. }
            | Report::Remember(_) => false,
        }
    }

    fn publish(&self, now: Moment, event: Event) {
        // No listener is the usual case, and no failure.
        let _ = self.events.send((now, event));
    }
}

/// What a plan changes, for a line: the regions that leave or enter, with why.
fn summary(plan: &Plan) -> String {
    let changes = plan.regions.iter().filter(|region| region.published != region.wanted).map(|region| {
        let verb = if region.wanted { "enters" } else { "leaves" };
        format!("{} {verb}: {}", region.region, region.because)
    });
    let changes: Vec<String> = changes.collect();
    let why = if changes.is_empty() { "as it is".to_owned() } else { changes.join("; ") };
    format!("{}: {why}", addresses_in_words(&plan.wanted))
}

fn tell_held(service: &ServiceName, held: &[Held]) {
    if held.is_empty() {
        info!(%service, "no rule holds the plan back any more");
    }
    for held in held {
        warn!(%service, rule = held.rule.as_str(), "held back by {held}");
    }
}

fn tell_waiting(service: &ServiceName, waiting: &[Waiting]) {
    if waiting.is_empty() {
        info!(%service, "nothing waits for a person any more");
    }
    for Waiting { waits_for, region, because } in waiting {
        let region = region.as_ref().map(ToString::to_string);
        warn!(%service, region, kind = waits_for.as_str(), "waits for a person: {because}");
    }
}

fn tell_alarm(raised: &Raised) {
    let Raised { service, region, alarm, raised, message } = raised;
    let region = region.as_ref().map(ToString::to_string);
    if !raised {
        info!(%service, region, %alarm, "alarm {alarm} ended; it was: {message}");
    } else if matches!(alarm, Alarm::AllDown | Alarm::WriteRefused | Alarm::Missing | Alarm::Fight) {
        error!(%service, region, %alarm, "alarm {alarm}: {message}");
    } else {
        warn!(%service, region, %alarm, "alarm {alarm}: {message}");
    }
}

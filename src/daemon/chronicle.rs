//! Tells what happens: a line in the log, a count in the metrics, an event for whoever listens.
//!
//! A line is a past-tense sentence with fields named like the metrics' labels. info: a transition, plan or write;
//! warn: something to look into in working hours; error: a promise is at risk; debug: a look.

use std::collections::BTreeMap;

use tokio::sync::broadcast;
use tracing::{debug, error, info, warn};

use super::Event;
use crate::admin::{Phase, Recorder};
use crate::core::{Effect, Held, Plan, Raised, Report, Transition, WriteResult};
use crate::dns::driver::Reported;
use crate::model::{Alarm, Liveness, Moment, Observation, ServiceName, addresses_in_words};

/// Keeps log, metrics and listeners up to date.
pub(super) struct Chronicle {
    recorder: Recorder,
    events: broadcast::Sender<(Moment, Event)>,
    writes: BTreeMap<ServiceName, WriteTimes>,
}

/// When the newest write of a service went through its phases.
#[derive(Default)]
struct WriteTimes {
    sent: Option<Moment>,
    taken: Option<Moment>,
}

impl Chronicle {
    pub(super) fn new(recorder: Recorder, events: broadcast::Sender<(Moment, Event)>) -> Self {
        Self { recorder, events, writes: BTreeMap::new() }
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
        match &effect {
            Effect::Transition(transition) => self.transition(transition),
            Effect::Apply(plan) => {
                info!(service = %plan.service, generation = plan.generation.0, "planned {}", summary(plan));
            }
            Effect::Held { service, held } => tell_held(service, held),
            Effect::Alarm(raised) => tell_alarm(raised),
            Effect::Pace { service, region, pace } => {
                debug!(%service, %region, ?pace, "changed the pace of looks");
            }
        }
        self.publish(now, Event::Effect(effect));
    }

    fn transition(&mut self, transition: &Transition) {
        let Transition { service, region, from, to, because, first_failure, at } = transition;
        self.recorder.transition(service, region, *to);
        if let (Liveness::Down, Some(first)) = (to, first_failure) {
            self.recorder.failover(service, Phase::Detect, at.since(*first));
        }
        info!(%service, %region, %from, %to, "{region} went from {from} to {to}: {because}");
    }

    /// The reconciler told something.
    pub(super) fn reported(&mut self, now: Moment, reported: &Reported) {
        let service = &reported.service;
        let times = self.writes.entry(service.clone()).or_default();
        match &reported.report {
            Report::Seen { found } => {
                let values =
                    found.as_ref().map(|found| addresses_in_words(&found.values)).unwrap_or_default();
                debug!(%service, values, "read the record set");
            }
            Report::InSync => debug!(%service, "found the record set in sync"),
            Report::Sent { generation, from, set } => {
                *times = WriteTimes { sent: Some(now), taken: None };
                let (from, to) = (addresses_in_words(from), addresses_in_words(set.values()));
                info!(%service, generation = generation.0, ttl = set.ttl().as_seconds(), "sent a write of {to} in place of {from}");
            }
            Report::Written { generation, result, message } => {
                self.recorder.written(service, *result);
                let generation = generation.0;
                match result {
                    WriteResult::Applied | WriteResult::Superseded => {
                        times.taken = Some(now);
                        if let Some(sent) = times.sent {
                            self.recorder.failover(service, Phase::Write, now.since(sent));
                        }
                        let result = result.as_str();
                        info!(%service, generation, result, "the provider took the write");
                    }
                    WriteResult::Refused => warn!(%service, generation, "the write was refused: {message}"),
                    WriteResult::Lost => {
                        warn!(%service, generation, "the write's answer was lost, a read will tell: {message}");
                    }
                }
            }
            Report::InForce { generation } => {
                if let Some(taken) = times.taken {
                    self.recorder.failover(service, Phase::Activate, now.since(taken));
                }
                let took_ms = times.sent.map(|sent| now.since(sent).as_millis());
                info!(%service, generation = generation.0, took_ms, "the write is in force");
            }
            Report::DryRun { generation, from, set } => {
                let (from, to) = (addresses_in_words(from), addresses_in_words(set.values()));
                info!(%service, generation = generation.0, "dry run: would have written {to} in place of {from}");
            }
            Report::Drifted { before, now } => {
                let (before, now) = (addresses_in_words(before), addresses_in_words(now));
                warn!(%service, before, now, "somebody else changed the record set from {before} to {now}");
            }
            Report::Held(held) => tell_held(service, std::slice::from_ref(held)),
            Report::Alarmed { alarm, message } => {
                debug!(%service, %alarm, "the reconciler alarmed: {message}");
            }
            Report::Remember(_) => {}
        }
        self.publish(now, Event::Reported(reported.clone()));
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

fn tell_alarm(raised: &Raised) {
    let Raised { service, region, alarm, raised, message } = raised;
    let region = region.as_ref().map(ToString::to_string);
    if !raised {
        info!(%service, region, %alarm, "alarm {alarm} ended: {message}");
    } else if matches!(alarm, Alarm::AllDown | Alarm::WriteRefused | Alarm::Missing | Alarm::Fight) {
        error!(%service, region, %alarm, "alarm {alarm}: {message}");
    } else {
        warn!(%service, region, %alarm, "alarm {alarm}: {message}");
    }
}

//! What the journal keeps: made of the core's own types, which hold no secret (SECRETS-STAY), and put into words
//! only by the thread that writes, so that telling costs its callers a clone.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::core::{
    Effect, Failover, Generation, Held, Plan, Raised, Reached, Report, Transition, WriteResult,
};
use crate::model::{
    Alarm, Moment, Override, RecordSet, RegionName, Scope, Service, ServiceName, Waiting, Weighed, Word,
    addresses_in_words, count_in_words,
};

/// One thing that happened, with the evidence it came from (EXPLAINED).
#[derive(Clone, Debug)]
pub enum Entry {
    /// The daemon runs.
    Started(Configured),
    /// The daemon ended because it was asked to. None of these before a start tells of a hard end.
    Stopped,
    /// Another configuration came into force.
    Reloaded(Configured),
    /// Another configuration was refused; the running one stays.
    ReloadRefused {
        /// Why, with the line that is wrong.
        message: String,
    },
    /// A region's state changed.
    Transition(Transition),
    /// There is a new plan.
    Plan(Arc<Plan>),
    /// The rules that hold a service's plan back changed; none left means that it is free.
    PlanHeld {
        /// Of which service.
        service: ServiceName,
        /// Every rule that holds.
        held: Vec<Held>,
    },
    /// What waits for a person changed; none left means that nothing does.
    Waiting {
        /// Of which service.
        service: ServiceName,
        /// Everything that does.
        waiting: Vec<Waiting>,
    },
    /// An operator said something.
    Said {
        /// Of which service.
        service: ServiceName,
        /// What.
        word: Word,
        /// Whether it changed anything.
        heeded: bool,
    },
    /// An override ended by itself.
    OverrideEnded {
        /// Of which service.
        service: ServiceName,
        /// Which.
        ended: Override,
        /// Why, as the end of a sentence.
        because: &'static str,
    },
    /// A rule holds a write back.
    WriteHeld {
        /// Of which service.
        service: ServiceName,
        /// Which, why, and what lifts it.
        held: Held,
    },
    /// An alarm began or ended.
    Alarm(Raised),
    /// An alarm of the daemon itself began or ended: of its keys, its clock, its journal.
    OwnAlarm {
        /// What.
        alarm: Alarm,
        /// The account, zone or task that it is about, if it is about one.
        subject: Option<String>,
        /// Whether it began.
        raised: bool,
        /// What is, or was, wrong.
        message: String,
    },
    /// A write is on its way: its intent.
    Sent(Change),
    /// A dry run would write this.
    DryRun(Change),
    /// A write was answered, or its answer is lost.
    Written {
        /// Of which service.
        service: ServiceName,
        /// Of which plan.
        generation: Generation,
        /// What became of it.
        result: WriteResult,
        /// What the provider said, when it did not say yes.
        message: String,
    },
    /// Somebody else changed what the record set holds.
    Drifted {
        /// Of which service.
        service: ServiceName,
        /// What it held.
        before: BTreeSet<Weighed>,
        /// What it holds now.
        now: BTreeSet<Weighed>,
    },
    /// A failover made a step: its whole line.
    Failover {
        /// Of which service.
        service: ServiceName,
        /// As it was then.
        failover: Arc<Failover>,
        /// The step.
        reached: Reached,
        /// When it was told of.
        at: Moment,
    },
    /// What was written is in force.
    InForce {
        /// Of which service.
        service: ServiceName,
        /// Of which plan.
        generation: Generation,
    },
}

/// What runs: the program, its services and their regions.
#[derive(Clone, Debug)]
pub struct Configured {
    version: &'static str,
    services: Vec<(ServiceName, Vec<RegionName>)>,
}

/// What a write changes a record set from and to.
#[derive(Clone, Debug)]
pub struct Change {
    service: ServiceName,
    generation: Generation,
    from: BTreeSet<IpAddr>,
    set: RecordSet,
}

impl Configured {
    /// By this version of the program, with these services.
    #[must_use]
    pub fn new(version: &'static str, services: &[Arc<Service>]) -> Self {
        let regions = |service: &Service| service.regions.iter().map(|region| region.name.clone()).collect();
        let services = services.iter().map(|service| (service.name.clone(), regions(service))).collect();
        Self { version, services }
    }

    fn in_words(&self) -> String {
        let regions: usize = self.services.iter().map(|(_, regions)| regions.len()).sum();
        format!("{}, {}", count_in_words(self.services.len(), "service"), count_in_words(regions, "region"))
    }

    fn detail(&self) -> Value {
        let services: Map<String, Value> =
            self.services.iter().map(|(name, regions)| (name.to_string(), json!(regions))).collect();
        json!({ "version": self.version, "services": services })
    }
}

impl Entry {
    /// What is kept of what the core asked for; none of a pace, nor of what witnesses are asked.
    #[must_use]
    pub fn of_effect(effect: &Effect) -> Option<Self> {
        match effect {
            Effect::Transition(transition) => Some(Self::Transition(transition.clone())),
            Effect::Apply(plan) => Some(Self::Plan(Arc::clone(plan))),
            Effect::Held { service, held } => {
                Some(Self::PlanHeld { service: service.clone(), held: held.clone() })
            }
            Effect::Waiting { service, waiting } => {
                Some(Self::Waiting { service: service.clone(), waiting: waiting.clone() })
            }
            Effect::Said { service, word, heeded } => {
                Some(Self::Said { service: service.clone(), word: word.clone(), heeded: *heeded })
            }
            Effect::Ended { service, ended, because } => {
                Some(Self::OverrideEnded { service: service.clone(), ended: ended.clone(), because })
            }
            Effect::Alarm(raised) => Some(Self::Alarm(raised.clone())),
            Effect::Ledger { service, failover, reached, at } => Some(Self::Failover {
                service: service.clone(),
                failover: Arc::clone(failover),
                reached: *reached,
                at: *at,
            }),
            Effect::Pace { .. } | Effect::Witness(_) => None,
        }
    }

    /// What is kept of what the reconciler told; none of a read that changes nothing, and none of what it
    /// alarms at every attempt: the core's alarm tells that once.
    #[must_use]
    pub fn of_report(service: &ServiceName, report: &Report) -> Option<Self> {
        let service = service.clone();
        match report {
            Report::Sent { generation, from, set } => Some(Self::Sent(Change {
                service,
                generation: *generation,
                from: from.clone(),
                set: set.clone(),
            })),
            Report::DryRun { generation, from, set } => Some(Self::DryRun(Change {
                service,
                generation: *generation,
                from: from.clone(),
                set: set.clone(),
            })),
            Report::Written { generation, result, message, .. } => Some(Self::Written {
                service,
                generation: *generation,
                result: *result,
                message: message.clone(),
            }),
            Report::InForce { generation } => Some(Self::InForce { service, generation: *generation }),
            Report::Held(held) => Some(Self::WriteHeld { service, held: held.clone() }),
            Report::Drifted { before, now } => {
                Some(Self::Drifted { service, before: before.clone(), now: now.clone() })
            }
            Report::Seen { .. }
            | Report::InSync
            | Report::Delayed { .. }
            | Report::Alarmed { .. }
            | Report::Remember(_) => None,
        }
    }

    /// Its kind, as the journal spells it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Started(_) => "started",
            Self::Stopped => "stopped",
            Self::Reloaded(_) => "reloaded",
            Self::ReloadRefused { .. } => "reload_refused",
            Self::Transition(_) => "transition",
            Self::Plan(_) => "plan",
            Self::PlanHeld { held, .. } if held.is_empty() => "released",
            Self::PlanHeld { .. } => "plan_held",
            Self::Waiting { waiting, .. } if waiting.is_empty() => "waits_no_more",
            Self::Waiting { .. } => "waiting",
            Self::Said { .. } => "operator",
            Self::OverrideEnded { .. } => "override_ended",
            Self::WriteHeld { .. } => "write_held",
            Self::Alarm(Raised { raised: true, .. }) | Self::OwnAlarm { raised: true, .. } => "alarm_raised",
            Self::Alarm(_) | Self::OwnAlarm { .. } => "alarm_cleared",
            Self::Sent(_) => "write_sent",
            Self::DryRun(_) => "dry_run",
            Self::Written { .. } => "written",
            Self::Drifted { .. } => "drifted",
            Self::Failover { .. } => "failover",
            Self::InForce { .. } => "in_force",
        }
    }

    /// The service that it is about, if it is about one.
    #[must_use]
    pub fn service(&self) -> Option<&ServiceName> {
        match self {
            Self::Started(_)
            | Self::Stopped
            | Self::Reloaded(_)
            | Self::ReloadRefused { .. }
            | Self::OwnAlarm { .. } => None,
            Self::Transition(Transition { service, .. })
            | Self::PlanHeld { service, .. }
            | Self::Waiting { service, .. }
            | Self::Said { service, .. }
            | Self::OverrideEnded { service, .. }
            | Self::WriteHeld { service, .. }
            | Self::Alarm(Raised { service, .. })
            | Self::Sent(Change { service, .. })
            | Self::DryRun(Change { service, .. })
            | Self::Written { service, .. }
            | Self::Drifted { service, .. }
            | Self::Failover { service, .. }
            | Self::InForce { service, .. } => Some(service),
            Self::Plan(plan) => Some(&plan.service),
        }
    }

    /// The region that it is about, if it is about one.
    #[must_use]
    pub fn region(&self) -> Option<&RegionName> {
        match self {
            Self::Transition(transition) => Some(&transition.region),
            Self::Alarm(raised) => raised.region.as_ref(),
            Self::Said { word, .. } => word.region(),
            Self::OverrideEnded { ended, .. } => ended.ruling.scope().and_then(Scope::region),
            Self::Failover { failover, .. } => match failover.moves.as_slice() {
                [only] => only.region.as_ref(),
                _ => None,
            },
            Self::Started(_)
            | Self::Stopped
            | Self::Reloaded(_)
            | Self::ReloadRefused { .. }
            | Self::OwnAlarm { .. }
            | Self::Plan(_)
            | Self::PlanHeld { .. }
            | Self::Waiting { .. }
            | Self::WriteHeld { .. }
            | Self::Sent(_)
            | Self::DryRun(_)
            | Self::Written { .. }
            | Self::Drifted { .. }
            | Self::InForce { .. } => None,
        }
    }

    /// The plan that it is about, if it is about one.
    #[must_use]
    pub fn generation(&self) -> Option<Generation> {
        match self {
            Self::Plan(plan) => Some(plan.generation),
            Self::Sent(Change { generation, .. })
            | Self::DryRun(Change { generation, .. })
            | Self::Written { generation, .. }
            | Self::InForce { generation, .. } => Some(*generation),
            Self::Started(_)
            | Self::Stopped
            | Self::Reloaded(_)
            | Self::ReloadRefused { .. }
            | Self::OwnAlarm { .. }
            | Self::Transition(_)
            | Self::PlanHeld { .. }
            | Self::Waiting { .. }
            | Self::Said { .. }
            | Self::OverrideEnded { .. }
            | Self::WriteHeld { .. }
            | Self::Drifted { .. }
            | Self::Failover { .. }
            | Self::Alarm(_) => None,
        }
    }

    /// In a sentence, for a person.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::Started(what) => format!("pointsman {} started: {}", what.version, what.in_words()),
            Self::Stopped => "pointsman stopped".to_owned(),
            Self::Reloaded(what) => format!("another configuration came into force: {}", what.in_words()),
            Self::ReloadRefused { message } => format!("another configuration was refused: {message}"),
            Self::Transition(Transition { region, from, to, because, .. }) => {
                format!("{region} went from {from} to {to}: {because}")
            }
            Self::Plan(plan) => plan.to_string(),
            Self::PlanHeld { held, .. } if held.is_empty() => {
                "no rule holds the plan back any more".to_owned()
            }
            Self::PlanHeld { held, .. } => {
                let held: Vec<String> = held.iter().map(ToString::to_string).collect();
                format!("the plan is held back by {}", held.join("; and by "))
            }
            Self::Waiting { waiting, .. } if waiting.is_empty() => {
                "nothing waits for a person any more".to_owned()
            }
            Self::Waiting { waiting, .. } => {
                let waiting: Vec<String> = waiting.iter().map(ToString::to_string).collect();
                format!("waits for a person: {}", waiting.join("; "))
            }
            Self::Said { word, heeded: true, .. } => word.to_string(),
            Self::Said { word, .. } => format!("{word}; there was nothing to change"),
            Self::OverrideEnded { ended, because, .. } => format!("an override ended, {because}: {ended}"),
            Self::WriteHeld { held, .. } => format!("the write is held back by {held}"),
            Self::Alarm(Raised { alarm, raised: true, message, .. })
            | Self::OwnAlarm { alarm, subject: None, raised: true, message } => {
                format!("alarm {alarm}: {message}")
            }
            Self::Alarm(Raised { alarm, message, .. })
            | Self::OwnAlarm { alarm, subject: None, raised: false, message } => {
                format!("alarm {alarm} ended: {message}")
            }
            Self::OwnAlarm { alarm, subject: Some(subject), raised: true, message } => {
                format!("alarm {alarm} of {subject}: {message}")
            }
            Self::OwnAlarm { alarm, subject: Some(subject), raised: false, message } => {
                format!("alarm {alarm} of {subject} ended: {message}")
            }
            Self::Sent(change) => format!("sent a write of {}", change.in_words()),
            Self::DryRun(change) => format!("dry run: would have written {}", change.in_words()),
            Self::Written { result, message, .. } => match result {
                WriteResult::Applied => "the provider took the write".to_owned(),
                WriteResult::Superseded if message.is_empty() => {
                    "the provider took the write, and there is a newer plan".to_owned()
                }
                WriteResult::Superseded => format!("the write was not sent: {message}"),
                WriteResult::Refused => format!("the write was refused: {message}"),
                WriteResult::Lost => format!("the write's answer was lost, a read will tell: {message}"),
            },
            Self::Drifted { before, now, .. } => format!(
                "somebody else changed the record set: it held {}, now {}",
                addresses_in_words(before),
                addresses_in_words(now)
            ),
            Self::Failover { service, failover, reached, .. } => format!(
                "{} ({}) is {}: {}",
                failover.id(service),
                failover.moves_in_words(),
                reached.in_words(failover),
                failover.times_in_words()
            ),
            Self::InForce { .. } => "the write is in force".to_owned(),
        }
    }

    /// The evidence, for a program.
    #[must_use]
    pub fn detail(&self) -> Value {
        match self {
            Self::Started(what) | Self::Reloaded(what) => what.detail(),
            Self::Stopped | Self::InForce { .. } => json!({}),
            Self::ReloadRefused { message } => json!({ "problem": message }),
            Self::Transition(Transition { from, to, because, first_failure, at, .. }) => json!({
                "from": from,
                "to": to,
                "because": because,
                // The core's times are on the daemon's own clock; only how far they are apart lasts.
                "failing_for_ms": first_failure.map(|first| milliseconds(at.since(first))),
            }),
            Self::Plan(plan) => plan_detail(plan),
            Self::PlanHeld { held, .. } => json!({ "held": held.iter().map(rule).collect::<Vec<_>>() }),
            Self::Waiting { waiting, .. } => {
                json!({ "waiting": waiting.iter().map(waiting_detail).collect::<Vec<_>>() })
            }
            Self::Said { word, heeded, .. } => json!({
                "word": word.as_str(),
                "author": word.author(),
                "heeded": heeded,
                "override": match word {
                    Word::Override(given) => override_detail(given),
                    Word::Release { .. } | Word::Unmute { .. } | Word::Approve { .. } | Word::Failback { .. } => Value::Null,
                },
            }),
            Self::OverrideEnded { ended, because, .. } => {
                json!({ "override": override_detail(ended), "because": because })
            }
            Self::WriteHeld { held, .. } => json!({ "held": [rule(held)] }),
            Self::Alarm(Raised { alarm, message, .. })
            | Self::OwnAlarm { alarm, subject: None, message, .. } => {
                json!({ "alarm": alarm, "what": message })
            }
            Self::OwnAlarm { alarm, subject: Some(subject), message, .. } => {
                json!({ "alarm": alarm, "subject": subject, "what": message })
            }
            Self::Sent(change) | Self::DryRun(change) => {
                json!({ "from": change.from, "to": change.set.values(), "ttl": change.set.ttl() })
            }
            Self::Drifted { before, now, .. } => json!({ "before": before, "now": now }),
            Self::Failover { service, failover, reached, at } => json!({
                "reached": reached.as_str(),
                "failover": failover.status(service, *at),
            }),
            Self::Written { result, message, .. } => {
                json!({ "result": result.as_str(), "provider": message })
            }
        }
    }
}

impl Change {
    fn in_words(&self) -> String {
        let (from, to) = (addresses_in_words(&self.from), addresses_in_words(&self.set.weighed()));
        format!("{to} in place of {from}")
    }
}

fn plan_detail(plan: &Plan) -> Value {
    let region = |region: &crate::core::RegionPlan| {
        json!({
            "region": region.region,
            "liveness": region.liveness,
            "addresses": region.addresses,
            "published": region.published,
            "wanted": region.wanted,
            "because": region.because,
        })
    };
    json!({
        "domain": plan.key.name,
        "type": plan.key.record_type,
        "wanted": plan.wanted,
        "owned": plan.owned,
        "ttl": plan.ttl,
        "regions": plan.regions.iter().map(region).collect::<Vec<_>>(),
        "held": plan.held.iter().map(rule).collect::<Vec<_>>(),
    })
}

fn override_detail(held: &Override) -> Value {
    let Override { ruling, author, reason, .. } = held;
    json!({
        "kind": ruling.as_str(),
        "region": ruling.scope().and_then(Scope::region),
        "check": ruling.check(),
        "author": author,
        "reason": reason,
    })
}

fn waiting_detail(waiting: &Waiting) -> Value {
    let Waiting { waits_for, region, because } = waiting;
    json!({ "waits_for": waits_for, "region": region, "because": because })
}

fn rule(held: &Held) -> Value {
    json!({ "rule": held.rule.as_str(), "because": held.because, "lifts_when": held.lifts_when })
}

fn milliseconds(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

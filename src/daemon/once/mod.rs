//! Looks once and decides, without a daemon: what `pointsman plan` shows and `pointsman apply --once` writes.
//!
//! The same core, guard and reconciler as ever, the latter on a dry run. At a region that fails it looks as often
//! as `fall` asks for, at its fast interval, since a plan after a single failing look would say nothing. What
//! waits for `recover_after` is shown as wanted: nobody can wait for that here. Start at [`look`].
//! Looking writes nothing; [`apply()`] is the one way from here to a record set.

mod apply;

use std::sync::Arc;
use std::time::Duration;

pub use apply::{Applied, ApplyError, apply};
use futures_util::future::join_all;

use crate::clock::{Clock, instant_now};
use crate::core::{Call, Core, Input, Plan, Reconciler, Report, Timing, WriteRules};
use crate::daemon::wiring::{RegionWiring, Wiring, WiringError};
use crate::dns::Provider;
use crate::model::{
    Check, Failback, Liveness, Mode, Observation, Region, Service, ServiceName, ServiceStatus,
};
use crate::probe::{AddressesSeen, Trace, Vantage};

/// Deadline of a read of the record set.
const READ_DEADLINE: Duration = Duration::from_secs(10);
/// Deadline of asking for a region's addresses.
const ADDRESS_DEADLINE: Duration = Duration::from_secs(5);

/// What was found out about one service.
#[derive(Clone, Debug)]
pub struct Outlook {
    /// Evidence, region by region and check by check.
    pub status: ServiceStatus,
    /// The plan, if there is one.
    pub plan: Option<Arc<Plan>>,
    /// What would be done about the record set.
    pub change: Change,
}

/// What would be done about a record set.
#[derive(Clone, Debug)]
pub enum Change {
    /// It holds what is wanted.
    None,
    /// It would be written: what the report says.
    Due(Box<Report>),
    /// It cannot be told, or a rule holds the write back: why.
    Unclear(String),
}

/// Looks at one service's regions and record set, from this vantage.
///
/// # Errors
/// When something that is configured cannot be set up.
pub async fn look(
    wiring: &Wiring,
    vantage: &Vantage,
    service: &Service,
    clock: Clock,
) -> Result<Outlook, WiringError> {
    let impatient = Arc::new(without_waiting(service));
    let name = &impatient.name;
    let provider = wiring.provider(&impatient.record.provider)?;
    let mut core = Core::new(std::slice::from_ref(&impatient), clock.now());
    let rules = WriteRules { min_published: impatient.min_published, budget: impatient.write_budget };
    let timing = Timing { resync: Duration::from_secs(60) };
    let mut reconciler = Reconciler::new(impatient.record.clone(), rules, timing, true, clock.now());
    let mut told = Told { core: &mut core, clock, reports: Vec::new(), trouble: None };

    told.follow(&mut reconciler, provider.as_ref(), &impatient).await;
    let (seen, mut addresses) = tokio::sync::mpsc::channel(1.max(impatient.regions.len()));
    let mut regions = Vec::new();
    for region in &impatient.regions {
        regions.push(wiring.region(&impatient, region, &seen)?);
    }
    join_all(regions.iter_mut().map(find_addresses)).await;
    while let Ok(AddressesSeen { service, region, addresses }) = addresses.try_recv() {
        told.tell(&Input::Bound { service, region, addresses: addresses.into_iter().collect() });
    }
    for round in 0..rounds(&impatient) {
        if round > 0 {
            tokio::time::sleep(pause(&impatient)).await;
        }
        for observation in look_around(&mut regions, vantage, clock).await {
            told.tell(&Input::Observed(observation));
        }
        if told.is_settled(name) {
            break;
        }
    }
    if let Some(plan) = told.core.plan(name) {
        reconciler.handle_plan(clock.now(), Arc::clone(plan));
    }
    told.reports.clear();
    told.follow(&mut reconciler, provider.as_ref(), &impatient).await;
    let change = match told.trouble {
        Some(trouble) => Change::Unclear(trouble),
        None => change(told.reports, told.core.plan(name).is_some()),
    };
    let plan = core.plan(name).cloned();
    core.service_status(name, clock.now())
        .map(|status| Outlook { status, plan, change })
        .ok_or_else(|| WiringError::Dangling { who: "plan".to_owned(), what: format!("service {name}") })
}

/// The core, told things in order.
struct Told<'a> {
    core: &'a mut Core,
    clock: Clock,
    reports: Vec<Report>,
    /// Why the last read of the record set failed, if it did.
    trouble: Option<String>,
}

impl Told<'_> {
    fn tell(&mut self, input: &Input) {
        // What the core asks for is read off it at the end; there is nobody here to carry it out.
        self.core.step(self.clock.now(), input, &mut Vec::new());
    }

    /// Reads the record set, and lets the reconciler say what it makes of it: at once, or after the read that confirms
    /// that the set is missing.
    async fn follow(&mut self, reconciler: &mut Reconciler, provider: &dyn Provider, service: &Service) {
        for _ in 0..2 {
            let Some(Call::Read) = reconciler.poll_call(self.clock.now()) else { return };
            let answer = provider.read(&service.record.key, instant_now() + READ_DEADLINE).await;
            self.trouble = answer.as_ref().err().map(ToString::to_string);
            reconciler.handle_read(self.clock.now(), answer);
            // On a dry run this makes no call; it says what it would have called.
            let _none = reconciler.poll_call(self.clock.now());
            while let Some(report) = reconciler.poll_report() {
                self.reports.push(report.clone());
                self.tell(&Input::Reported { service: service.name.clone(), report });
            }
            match reconciler.next_wake() {
                Some(at) if self.reports.is_empty() && self.trouble.is_none() => {
                    tokio::time::sleep_until(self.clock.instant(at)).await;
                }
                Some(_) | None => return,
            }
        }
    }

    fn is_settled(&self, name: &ServiceName) -> bool {
        let status = self.core.service_status(name, self.clock.now());
        status.is_some_and(|status| {
            status.regions.iter().all(|region| matches!(region.liveness, Liveness::Up | Liveness::Down))
        })
    }
}

/// The service with nothing to wait for.
fn without_waiting(service: &Service) -> Service {
    let hurry =
        |region: &Arc<Region>| Arc::new(Region { recover_after: Duration::ZERO, ..Region::clone(region) });
    let mode = match service.mode {
        // What would wait for a person is shown to one here.
        Mode::Act | Mode::Advise => Mode::Act,
        Mode::Observe => Mode::Observe,
    };
    Service {
        regions: service.regions.iter().map(hurry).collect(),
        mode,
        failback: Failback::Auto,
        ..service.clone()
    }
}

fn checks(service: &Service) -> impl Iterator<Item = &Check> {
    service.regions.iter().flat_map(|region| &region.checks)
}

/// As many looks as it can take to settle a signal.
fn rounds(service: &Service) -> u32 {
    checks(service).map(|check| check.fall.window().max(check.rise.window())).max().unwrap_or(1)
}

fn pause(service: &Service) -> Duration {
    checks(service).map(|check| check.fast_interval).max().unwrap_or_default()
}

async fn find_addresses(region: &mut RegionWiring) {
    if let Some(follower) = &mut region.follower {
        follower.look(instant_now() + ADDRESS_DEADLINE, &mut Trace::off()).await;
    }
}

async fn look_around(regions: &mut [RegionWiring], vantage: &Vantage, clock: Clock) -> Vec<Observation> {
    let looks =
        regions.iter_mut().flat_map(|region| &mut region.lookers).map(|(key, check, looker)| async move {
            let started = clock.now();
            let look = looker
                .look(check.fast_interval, clock.instant(started + check.timeout), &mut Trace::off())
                .await;
            let latency = clock.now().since(started);
            let look = vantage.judge(look, clock.instant(started), &mut Trace::off()).await;
            Observation {
                check: Arc::clone(key),
                started,
                late: Duration::ZERO,
                latency,
                outcome: look.outcome,
                saw: look.saw,
                certificate: look.certificate,
            }
        });
    join_all(looks).await
}

fn change(reports: Vec<Report>, planned: bool) -> Change {
    let mut change = None;
    for report in reports {
        match report {
            Report::DryRun { .. } => return Change::Due(Box::new(report)),
            Report::InSync => change = Some(Change::None),
            Report::Held(held) => change = Some(Change::Unclear(held.to_string())),
            Report::Alarmed { alarm, message } => {
                change = Some(Change::Unclear(format!("{alarm}: {message}")));
            }
            Report::Seen { found: None } => {
                change =
                    Some(Change::Unclear("the record set does not exist, and create is false".to_owned()));
            }
            Report::Seen { found: Some(_) }
            | Report::Sent { .. }
            | Report::Written { .. }
            | Report::InForce { .. }
            | Report::Drifted { .. }
            | Report::Delayed { .. }
            | Report::Remember(_) => {}
        }
    }
    let nothing = if planned {
        "the record set could not be read"
    } else {
        "there is nothing to plan: no region can be wanted"
    };
    change.unwrap_or_else(|| Change::Unclear(nothing.to_owned()))
}

//! What runs for the configuration: one task a check, one a region whose addresses are followed, one a record set.
//!
//! Each has a guard that ends it when dropped, and each is supervised, as is what runs beside them. A change starts what is new, ends what is
//! gone, and leaves the rest alone, timers and all. The core's wishes, plans and paces, reach the tasks from here.
//! Nothing waits. Start at [`Roster::apply`].

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::change::{AddressChange, Change, RegionChange, ServiceChange};
use super::supervise::{Restarts, supervised};
use super::witnesses::{Panel, Witnesses};
use crate::clock::Clock;
use crate::config::Config;
use crate::core::{DriverSteps, Input, KnownWrites, Orders, Plan, Recollection, Timing, WriteRules};
use crate::dns::driver::{Assignment, Driver, Inbox, Reported};
use crate::dns::{EmbeddedServer, ZoneTask};
use crate::model::{
    Check, CheckKey, CheckName, Inquiry, Mode, Observation, Pace, RecordKey, RegionName, Service, ServiceName,
};
use crate::probe::{AddressFollower, Looker, Vantage, schedule};
use crate::pulse::Pulses;

/// Where what the tasks find goes, and what they live by.
#[derive(Clone, Debug)]
pub(super) struct Outlets {
    pub(super) observations: mpsc::Sender<Observation>,
    pub(super) reports: mpsc::Sender<Reported>,
    /// What witnesses and clients say.
    pub(super) heard: mpsc::Sender<Input>,
    pub(super) clock: Clock,
    /// What every look that fails is judged by.
    pub(super) vantage: Vantage,
    /// Tell whether the loops still turn.
    pub(super) pulses: Pulses,
    /// Tell which tasks had to be started again.
    pub(super) restarts: Restarts,
    /// Ends every task.
    pub(super) stop: CancellationToken,
}

/// Everything that runs.
#[derive(Debug)]
pub(super) struct Roster {
    outlets: Outlets,
    tasks: JoinSet<()>,
    services: BTreeMap<ServiceName, ServiceTasks>,
    /// What serves the embedded zones, by what it does.
    zones: BTreeMap<String, DropGuard>,
}

#[derive(Debug)]
struct ServiceTasks {
    /// Dropped first, so that the driver knows why its plans end.
    _driver: DropGuard,
    _witnesses: DropGuard,
    panel: watch::Sender<Panel>,
    inquiry: watch::Sender<Option<Arc<Inquiry>>>,
    record: RecordKey,
    plan: watch::Sender<Option<Arc<Plan>>>,
    assignment: watch::Sender<Assignment>,
    writes: watch::Sender<Option<KnownWrites>>,
    regions: BTreeMap<RegionName, RegionTasks>,
}

#[derive(Debug)]
struct RegionTasks {
    pace: watch::Sender<Pace>,
    follower: Option<DropGuard>,
    checks: BTreeMap<CheckName, DropGuard>,
}

impl Default for RegionTasks {
    fn default() -> Self {
        Self { pace: watch::Sender::new(Pace::Normal), follower: None, checks: BTreeMap::new() }
    }
}

impl Roster {
    pub(super) fn new(outlets: Outlets) -> Self {
        Self { outlets, tasks: JoinSet::new(), services: BTreeMap::new(), zones: BTreeMap::new() }
    }

    /// Starts what the change brings, and ends what the configuration has no more. A record set whose writes are recollected
    /// goes on from there.
    pub(super) fn apply(&mut self, change: Change, recollections: &[Recollection]) {
        self.outlets.vantage.refer_to(&change.config.vantage.references);
        self.serve(&change.zones);
        let recollections: BTreeMap<&ServiceName, &Recollection> =
            recollections.iter().map(|recollection| (recollection.memory.service(), recollection)).collect();
        let mut before = std::mem::take(&mut self.services);
        for ServiceChange { service, provider, regions } in change.services {
            let assignment = assignment(&change.config, &service, provider);
            let panel = panel(&change.config, &service);
            let recollection = recollections.get(&service.name).copied();
            let going_on = before.remove(&service.name);
            let mut tasks = match going_on.filter(|tasks| tasks.writes(&service)) {
                Some(tasks) => {
                    tasks.panel.send_if_modified(|running| {
                        let differs = *running != panel;
                        if differs {
                            *running = panel;
                        }
                        differs
                    });
                    // Also the same ones: a reload hastens what backs off.
                    tasks.assignment.send_replace(assignment);
                    tasks
                }
                None => self.start_service(&service, assignment, panel, recollection),
            };
            let mut regions_before = std::mem::take(&mut tasks.regions);
            for region in regions {
                let name = region.name.clone();
                let going_on = regions_before.remove(&name).unwrap_or_default();
                let configured = service.regions.iter().find(|configured| configured.name == name);
                let checks = configured.map(|region| region.checks.as_slice()).unwrap_or_default();
                tasks.regions.insert(name, self.change_region(going_on, region, checks, &service.name));
            }
            self.services.insert(service.name.clone(), tasks);
        }
        // What has ended by now is forgotten, so that reloads leave nothing behind.
        while self.tasks.try_join_next().is_some() {}
    }

    fn change_region(
        &mut self,
        mut tasks: RegionTasks,
        change: RegionChange,
        checks: &[Check],
        service: &ServiceName,
    ) -> RegionTasks {
        match change.addresses {
            AddressChange::Unchanged => {}
            AddressChange::Now(follower) => {
                let name = format!("addresses of {service}/{}", change.name);
                tasks.follower = follower.map(|follower| self.follow(name, *follower));
            }
        }
        tasks.checks.retain(|name, _| checks.iter().any(|check| check.name == *name));
        for (key, check, looker) in change.lookers {
            let name = check.name.clone();
            let guard = self.look(key, check, looker, tasks.pace.subscribe());
            tasks.checks.insert(name, guard);
        }
        tasks
    }

    /// Serves these zones as they are configured now, and no others. What goes on being served misses no question.
    fn serve(&mut self, zones: &[EmbeddedServer]) {
        let mut before = std::mem::take(&mut self.zones);
        for zone in zones {
            zone.take_effect();
            for task in zone.tasks() {
                let name = task.name.clone();
                let guard = before.remove(&name).unwrap_or_else(|| self.serve_one(task));
                self.zones.insert(name, guard);
            }
        }
    }

    fn serve_one(&mut self, task: ZoneTask) -> DropGuard {
        let stop = self.outlets.stop.child_token();
        let (name, ends) = (format!("zone {}", task.name), stop.clone());
        self.supervise(name, stop.clone(), move || {
            let (task, ends) = (task.clone(), ends.clone());
            async move {
                ends.run_until_cancelled(task.run()).await;
            }
        });
        stop.drop_guard()
    }

    fn start_service(
        &mut self,
        service: &Arc<Service>,
        assignment: Assignment,
        panel: Panel,
        recollection: Option<&Recollection>,
    ) -> ServiceTasks {
        let now = self.outlets.clock.now();
        let writes = recollection.and_then(|it| it.writes(&service.record, now));
        let (writes, known_writes) = watch::channel(writes);
        let (plan, plans) = watch::channel(None);
        let (assignment, assignments) = watch::channel(assignment);
        let stop = self.outlets.stop.child_token();
        let Outlets { reports, clock, pulses, .. } = self.outlets.clone();
        let (name, ends) = (service.name.clone(), stop.clone());
        let task = format!("record set of {name}");
        self.supervise(task.clone(), stop.clone(), move || {
            let orders = assignments.borrow().orders.clone();
            let steps = DriverSteps::resume(orders, known_writes.borrow().as_ref(), clock.now());
            let inbox = Inbox { assignments: assignments.clone(), plans: plans.clone() };
            let pulse = pulses.register(task.clone());
            let driver =
                Driver { service: name.clone(), steps, inbox, reports: reports.clone(), clock, pulse };
            driver.run(ends.clone())
        });
        let (panel, inquiry) = (watch::Sender::new(panel), watch::Sender::new(None));
        ServiceTasks {
            _driver: stop.drop_guard(),
            _witnesses: self.witness(&service.name, &panel, &inquiry),
            panel,
            inquiry,
            record: service.record.key.clone(),
            plan,
            assignment,
            writes,
            regions: BTreeMap::new(),
        }
    }

    fn witness(
        &mut self,
        service: &ServiceName,
        panel: &watch::Sender<Panel>,
        inquiry: &watch::Sender<Option<Arc<Inquiry>>>,
    ) -> DropGuard {
        let stop = self.outlets.stop.child_token();
        let Outlets { heard, clock, pulses, .. } = self.outlets.clone();
        let (panel, inquiries, ends) = (panel.subscribe(), inquiry.subscribe(), stop.clone());
        let task = format!("witnesses of {service}");
        self.supervise(task.clone(), stop.clone(), move || {
            let (panel, inquiries, heard) = (panel.clone(), inquiries.clone(), heard.clone());
            let witnesses =
                Witnesses { panel, inquiries, heard, clock, pulse: pulses.register(task.clone()) };
            witnesses.run(ends.clone())
        });
        stop.drop_guard()
    }

    fn follow(&mut self, name: String, follower: AddressFollower) -> DropGuard {
        let stop = self.outlets.stop.child_token();
        // After a panic it goes on with what it knew: it holds what the looks read addresses from.
        let follower = Arc::new(Mutex::new(follower));
        let (pulses, ends) = (self.outlets.pulses.clone(), stop.clone());
        self.supervise(name.clone(), stop.clone(), move || {
            let (follower, ends) = (Arc::clone(&follower), ends.clone());
            let pulse = pulses.register(name.clone());
            async move {
                let mut follower = follower.lock().await;
                ends.run_until_cancelled(follower.run(pulse)).await;
            }
        });
        stop.drop_guard()
    }

    fn look(
        &mut self,
        key: Arc<CheckKey>,
        check: Check,
        looker: Looker,
        pace: watch::Receiver<Pace>,
    ) -> DropGuard {
        let stop = self.outlets.stop.child_token();
        let Outlets { observations, vantage, clock, pulses, .. } = self.outlets.clone();
        let looker = Arc::new(Mutex::new(looker));
        let ends = stop.clone();
        let task = format!("check {key}");
        self.supervise(task.clone(), stop.clone(), move || {
            let (key, check, looker) = (Arc::clone(&key), check.clone(), Arc::clone(&looker));
            let (pace, observations, ends) = (pace.clone(), observations.clone(), ends.clone());
            let vantage = vantage.clone();
            let pulse = pulses.register(task.clone());
            async move {
                let phase = schedule::phase_of(&key.to_string());
                let mut looker = looker.lock().await;
                let scheduled = schedule::Scheduled {
                    key,
                    check,
                    looker: &mut *looker,
                    pace,
                    vantage,
                    observations,
                    clock,
                    phase,
                    pulse,
                };
                schedule::run(scheduled, ends).await;
            }
        });
        stop.drop_guard()
    }

    /// Looks at the vantage's references while none of them answers.
    pub(super) fn watch_the_vantage(&mut self) {
        let Outlets { vantage, pulses, stop, .. } = self.outlets.clone();
        self.supervise("vantage".to_owned(), stop.clone(), move || {
            let (vantage, stop) = (vantage.clone(), stop.clone());
            let pulse = pulses.register("vantage");
            async move {
                stop.run_until_cancelled(vantage.watch(pulse)).await;
            }
        });
    }

    /// Runs something beside them that belongs to no service, until everything ends.
    pub(super) fn run_beside<F>(&mut self, name: &str, make: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.supervise(name.to_owned(), self.outlets.stop.clone(), make);
    }

    fn supervise<F>(
        &mut self,
        name: String,
        stop: CancellationToken,
        make: impl Fn() -> F + Send + Sync + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tasks.spawn(supervised(name, self.outlets.restarts.clone(), stop, make));
    }

    /// The newest plan of a service.
    pub(super) fn plan(&self, plan: &Arc<Plan>) {
        if let Some(tasks) = self.services.get(&plan.service) {
            tasks.plan.send_replace(Some(Arc::clone(plan)));
        }
    }

    /// What the witnesses of a service are asked from now on.
    pub(super) fn inquire(&self, inquiry: &Arc<Inquiry>) {
        if let Some(tasks) = self.services.get(&inquiry.service) {
            tasks.inquiry.send_replace(Some(Arc::clone(inquiry)));
        }
    }

    /// What the driver told of its writes.
    pub(super) fn known_writes(&self, service: &ServiceName, writes: KnownWrites) {
        if let Some(tasks) = self.services.get(service) {
            tasks.writes.send_replace(Some(writes));
        }
    }

    /// How fast a region is looked at from now on.
    pub(super) fn pace(&self, service: &ServiceName, region: &RegionName, pace: Pace) {
        if let Some(tasks) = self.services.get(service).and_then(|tasks| tasks.regions.get(region)) {
            tasks.pace.send_replace(pace);
        }
    }

    /// Asks all of them to end.
    pub(super) fn stop(&self) {
        self.outlets.stop.cancel();
    }

    /// Waits until one of them has ended; false when there is none left.
    pub(super) async fn one_ended(&mut self) -> bool {
        self.tasks.join_next().await.is_some()
    }
}

impl ServiceTasks {
    /// Whether its driver writes the record set that the service has.
    fn writes(&self, service: &Service) -> bool {
        let orders = &self.assignment.borrow().orders;
        self.record == service.record.key && orders.record.provider == service.record.provider
    }
}

/// Nobody is asked where nothing is written.
fn panel(config: &Config, service: &Arc<Service>) -> Panel {
    let dry_run = config.daemon.dry_run || service.mode == Mode::Observe;
    let provider = config.providers.get(&service.record.provider).filter(|_| !dry_run);
    let witnesses = provider.map(|provider| provider.witnesses.clone()).unwrap_or_default();
    Panel { service: Arc::clone(service), witnesses }
}

fn assignment(config: &Config, service: &Service, provider: Arc<dyn crate::dns::Provider>) -> Assignment {
    let orders = Orders {
        record: service.record.clone(),
        rules: WriteRules { min_published: service.min_published, budget: service.write_budget },
        timing: Timing { resync: config.daemon.resync },
        dry_run: config.daemon.dry_run || service.mode == Mode::Observe,
    };
    Assignment { orders, provider }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::IpAddr;
    use std::path::Path;
    use std::sync::Mutex as StdMutex;

    use futures_util::FutureExt as _;
    use futures_util::future::{BoxFuture, ready};
    use tokio::time::Instant;

    use super::*;
    use crate::config;
    use crate::core::{Generation, Report};
    use crate::dns::Provider;
    use crate::model::{Answer, Found, InForce, ProviderError, RecordSet, Ttl};

    /// A zone that takes each write, and then loses its mind at the next read.
    #[derive(Debug)]
    struct Fragile {
        holds: StdMutex<BTreeSet<IpAddr>>,
        panics: StdMutex<bool>,
    }

    impl Provider for Fragile {
        fn read<'a>(&'a self, _: &'a RecordKey, _: Instant) -> BoxFuture<'a, Answer> {
            assert!(!std::mem::take(&mut *self.panics.lock().unwrap()), "as ordered");
            let values = self.holds.lock().unwrap().clone();
            let (id, ttl, in_force) = ("1".to_owned(), Ttl::DEFAULT, InForce::Yes);
            ready(Ok(Some(Found { id, values, ttl, in_force, description: None, parts: Vec::new() }))).boxed()
        }

        fn replace<'a>(
            &'a self,
            key: &'a RecordKey,
            _: &'a Found,
            set: &'a RecordSet,
            deadline: Instant,
        ) -> BoxFuture<'a, Result<(), ProviderError>> {
            self.create(key, set, deadline)
        }

        fn create<'a>(
            &'a self,
            _: &'a RecordKey,
            set: &'a RecordSet,
            _: Instant,
        ) -> BoxFuture<'a, Result<(), ProviderError>> {
            self.holds.lock().unwrap().clone_from(set.values());
            *self.panics.lock().unwrap() = true;
            ready(Ok(())).boxed()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_driver_that_panics_goes_on_with_the_budget_it_had() {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/pointsman.toml");
        let config = config::load(&example).unwrap().config;
        let mut service = Service::clone(&config.services[0]);
        service.write_budget.writes = 1;
        let service = Arc::new(service);
        let all = addresses(&[1, 2]);
        let zone = Arc::new(Fragile { holds: StdMutex::new(all.clone()), panics: StdMutex::default() });
        let clock = Clock::start();
        let (reports, mut reported) = mpsc::channel(100);
        let mut roster = Roster::new(Outlets {
            observations: mpsc::channel(1).0,
            reports,
            heard: mpsc::channel(1).0,
            vantage: Vantage::default(),
            clock,
            pulses: Pulses::new(clock),
            restarts: Restarts::default(),
            stop: CancellationToken::new(),
        });
        let change = ServiceChange { service: Arc::clone(&service), provider: zone, regions: Vec::new() };
        let (config, services) = (Arc::new(config), vec![change]);
        roster.apply(Change { config, services, accounts: Vec::new(), zones: Vec::new() }, &[]);
        let plan = |generation, wanted: &[u8]| {
            Arc::new(Plan {
                service: service.name.clone(),
                key: service.record.key.clone(),
                generation: Generation(generation),
                wanted: addresses(wanted),
                owned: all.clone(),
                parts: Vec::new(),
                ttl: None,
                may_write: true,
                only_from: None,
                is_rescue: false,
                words: 0,
                regions: Vec::new(),
                held: Vec::new(),
            })
        };
        roster.plan(&plan(1, &[2]));
        let mut writes = 0;
        let held = loop {
            let Reported { service, report, .. } = reported.recv().await.unwrap();
            if let Report::Remember(memory) = &report {
                let known = KnownWrites { at: clock.now(), memory: memory.clone() };
                roster.known_writes(&service, known);
            }
            writes += usize::from(matches!(report, Report::Sent { .. }));
            if report == Report::InSync {
                // The panic is behind it: what it wants now, the budget of one write forbids.
                roster.plan(&plan(2, &[1]));
            }
            if let Report::Held(held) = report {
                break held;
            }
        };
        assert!(held.to_string().contains("BOUNDED-WRITES"), "{held}");
        assert_eq!(writes, 1);
    }

    fn addresses(last: &[u8]) -> BTreeSet<IpAddr> {
        last.iter().map(|last| IpAddr::from([192, 0, 2, *last])).collect()
    }
}

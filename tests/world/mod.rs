//! A small world in virtual time for the core and the reconciler: one service, a zone that can misbehave, and
//! a history of what was written. What must hold is checked here, outside of the code that upholds it.
#![expect(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code; each file uses its part of it"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use pointsman::core::{
    Call, Core, Effect, Failover, Generation, Input, Plan, Reached, Reconciler, Report, ServiceMemory,
    Timing, WriteRules,
};
use pointsman::model::{
    Alarm, Check, CheckKey, CheckKind, CheckName, Expression, Failback, Flap, Found, FoundPart, Fqdn,
    InForce, Inquiry, Liveness, Mode, Moment, Observation, OnDrift, Outcome, Pace, PartState, PolicyKind,
    ProviderError, ProviderErrorKind, ProviderName, Reason, Record, RecordKey, RecordSet, RecordType, Region,
    RegionName, Service, ServiceName, Share, TcpCheck, Threshold, Ttl, Waiting, Weight, WhenAllDown,
    WhenUnknown, Word, WriteBudget,
};

pub(crate) const FALL: u32 = 3;
pub(crate) const RECOVER_AFTER: Duration = Duration::from_secs(30);

/// A value in the zone that is not ours.
pub(crate) fn foreign() -> IpAddr {
    Ipv4Addr::new(192, 0, 2, 99).into()
}

/// The address of the region at `place`.
pub(crate) fn address(place: usize) -> IpAddr {
    Ipv4Addr::new(198, 51, 100, u8::try_from(place).unwrap()).into()
}

/// The service that the tests are about, with `regions` regions `r0`, `r1`, … and a check `web` each.
pub(crate) fn service(regions: usize) -> Service {
    Service {
        name: ServiceName::parse("demo").unwrap(),
        record: Record {
            key: RecordKey::new(Fqdn::parse("demo.localdev.me.").unwrap(), RecordType::A),
            provider: ProviderName::parse("private").unwrap(),
            ttl: None,
            create: false,
            on_drift: OnDrift::Mend,
        },
        regions: (0..regions).map(|place| Arc::new(region(place))).collect(),
        policy: PolicyKind::All,
        min_published: 1,
        when_all_down: WhenAllDown::KeepLast,
        max_removed: 1,
        panic_threshold: Share::from_percent(50).unwrap(),
        blast_window: Some(Duration::from_secs(300)),
        write_budget: WriteBudget { writes: 6, window: Duration::from_secs(600) },
        mode: Mode::Act,
        failback: Failback::Auto,
    }
}

pub(crate) fn region(place: usize) -> Region {
    Region {
        name: region_name(place),
        tier: 1,
        weight: Weight::DEFAULT,
        elb: None,
        addresses: vec![address(place)],
        checks: vec![check("web", WhenUnknown::Keep)],
        up_when: Expression::Check(CheckName::parse("web").unwrap()),
        recover_after: RECOVER_AFTER,
        flap: Flap { window: Duration::from_secs(600), factor: 2.0, max: Duration::from_secs(1800) },
    }
}

pub(crate) fn check(name: &str, when_unknown: WhenUnknown) -> Check {
    Check {
        name: CheckName::parse(name).unwrap(),
        kind: CheckKind::Tcp(TcpCheck { port: 80, source: None }),
        interval: Duration::from_secs(5),
        fast_interval: Duration::from_secs(1),
        timeout: Duration::from_secs(2),
        max_latency: None,
        fall: Threshold::in_a_row(FALL).unwrap(),
        rise: Threshold::in_a_row(3).unwrap(),
        vote: true,
        when_unknown,
    }
}

pub(crate) fn region_name(place: usize) -> RegionName {
    RegionName::parse(&format!("r{place}")).unwrap()
}

/// What a check of the region at `place` found.
pub(crate) fn observation(
    service: &Service,
    check: &str,
    place: usize,
    started: Moment,
    outcome: Outcome,
) -> Observation {
    Observation {
        check: Arc::new(CheckKey {
            service: service.name.clone(),
            region: region_name(place),
            check: CheckName::parse(check).unwrap(),
        }),
        started,
        late: Duration::ZERO,
        latency: Duration::from_millis(2),
        outcome,
        saw: "it".into(),
        certificate: None,
    }
}

/// A world of two regions, in that weather as soon as the first of them has died.
pub(crate) fn dying(weather: Weather) -> World {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(5, &[Look::Pass, Look::Pass]);
    world.weather = weather;
    world.run(3, &[Look::Fail, Look::Pass]);
    world
}

/// The pauses between them, in whole seconds.
pub(crate) fn whole_seconds_between(moments: &[Moment]) -> Vec<u64> {
    let pairs = moments.iter().zip(moments.iter().skip(1));
    pairs.map(|(one, next)| (next.since(*one) + Duration::from_millis(500)).as_secs()).collect()
}

/// The same plan under a greater generation.
pub(crate) fn newer(plan: &Plan, generation: u64) -> Arc<Plan> {
    Arc::new(Plan { generation: Generation(generation), ..plan.clone() })
}

/// How the zone answers writes and reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Weather {
    #[default]
    Fair,
    /// Nobody answers.
    Away,
    /// A write is refused.
    Refuse,
    /// A write is carried out and its answer lost.
    LoseAnswer,
    /// A write is not carried out and its answer lost.
    LoseWrite,
    /// Everything is throttled.
    Throttle,
    /// Everything is throttled, for so many seconds.
    ThrottleFor(u64),
    /// A write is taken, and not carried out.
    Pretend,
    /// A write is carried out, and ends in failure: nobody can tell what is served.
    Spoil,
    /// A write is refused, for the set is said to have changed since it was read.
    Conflict,
    /// A write is carried out, and stays on its way.
    Stall,
    /// A read cannot be understood.
    Garble,
    /// A write is carried out, and what is answered cannot be understood.
    GarbleWrites,
    /// A read finds no such set.
    Forget,
}

/// What a look finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    Pass,
    Fail,
    Blind,
}

/// A process that is killed while a write of it is on its way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Death {
    /// Whether the write is carried out all the same.
    pub(crate) lands: bool,
    /// How long it is until the next process starts.
    pub(crate) gap: Duration,
}

/// A write that the zone carried out.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) at: Moment,
    pub(crate) before: BTreeSet<IpAddr>,
    pub(crate) after: BTreeSet<IpAddr>,
}

pub(crate) struct World {
    pub(crate) now: Moment,
    pub(crate) service: Arc<Service>,
    pub(crate) core: Core,
    pub(crate) reconciler: Reconciler,
    pub(crate) zone: Found,
    pub(crate) weather: Weather,
    pub(crate) written: Vec<Written>,
    /// Every write that was sent and not refused.
    pub(crate) sent: Vec<Moment>,
    /// Every write that was called for.
    pub(crate) tried: Vec<Moment>,
    pub(crate) transitions: Vec<(RegionName, Liveness)>,
    /// Why the latest of them happened.
    pub(crate) because: String,
    pub(crate) plans: Vec<Arc<Plan>>,
    pub(crate) reports: Vec<Report>,
    pub(crate) paces: BTreeMap<RegionName, Pace>,
    pub(crate) alarms: BTreeMap<(Alarm, Option<RegionName>), String>,
    /// What waits for a person.
    pub(crate) waiting: Vec<Waiting>,
    /// Whether the latest word of an operator changed anything.
    pub(crate) heeded: bool,
    /// What the disk remembers, and since when.
    pub(crate) saved: (Moment, Option<ServiceMemory>),
    /// When it was restarted with what the disk remembered, and since when that was.
    pub(crate) restarted: Vec<(Moment, Duration)>,
    /// The next write kills the process.
    pub(crate) death: Option<Death>,
    /// Every step of a failover.
    pub(crate) steps: Vec<(Reached, Arc<Failover>)>,
    /// What witnesses are asked.
    pub(crate) inquiry: Option<Arc<Inquiry>>,
}

impl World {
    /// A world whose zone holds the addresses of the regions at `published`, and one that is not ours.
    pub(crate) fn new(service: Service, published: &[usize]) -> Self {
        let service = Arc::new(service);
        let values = published.iter().map(|place| address(*place)).chain([foreign()]).collect();
        let mut world = Self {
            now: Moment::START,
            core: Core::new(std::slice::from_ref(&service), Moment::START),
            reconciler: reconciler(&service, Moment::START),
            service,
            zone: Found {
                id: "1".to_owned(),
                values,
                ttl: Ttl::from_seconds(30).unwrap(),
                in_force: InForce::Yes,
                description: None,
                parts: Vec::new(),
            },
            weather: Weather::Fair,
            written: Vec::new(),
            sent: Vec::new(),
            tried: Vec::new(),
            transitions: Vec::new(),
            because: String::new(),
            plans: Vec::new(),
            reports: Vec::new(),
            paces: BTreeMap::new(),
            alarms: BTreeMap::new(),
            waiting: Vec::new(),
            heeded: false,
            saved: (Moment::START, None),
            restarted: Vec::new(),
            death: None,
            steps: Vec::new(),
            inquiry: None,
        };
        world.save().turn();
        world
    }

    /// The daemon is killed, its disk is lost, and it is started anew; the zone stays.
    pub(crate) fn start_anew(&mut self) -> &mut Self {
        self.start(Duration::ZERO);
        self.save().turn();
        self
    }

    /// The daemon is killed, and started after `gap` with what the disk remembers.
    pub(crate) fn restart(&mut self, gap: Duration) -> &mut Self {
        self.restart_as(Service::clone(&self.service), gap)
    }

    /// The same, by another configuration.
    pub(crate) fn restart_as(&mut self, service: Service, gap: Duration) -> &mut Self {
        self.service = Arc::new(service);
        self.start(gap);
        let (at, memory) = &self.saved;
        let text = serde_json::to_string(memory).unwrap();
        let (gap, memory) = (self.now.since(*at), serde_json::from_str::<ServiceMemory>(&text).unwrap());
        self.restarted.push((self.now, gap));
        let mut effects = Vec::new();
        self.core.restore(self.now, gap.into(), &memory, &mut effects);
        let acts = |effect: &&Effect| matches!(effect, Effect::Apply(_) | Effect::Transition(_));
        assert_eq!(effects.iter().find(acts), None, "a restart decides nothing by itself");
        if let Some(writes) = memory.writes(&self.service.record) {
            self.reconciler.restore(self.now, gap, writes);
        }
        self.carry_out(effects);
        self.turn();
        self
    }

    fn start(&mut self, gap: Duration) {
        self.now = self.now + gap;
        self.core = Core::new(std::slice::from_ref(&self.service), self.now);
        self.reconciler = reconciler(&self.service, self.now);
        self.alarms.clear();
        self.waiting.clear();
        self.paces.clear();
    }

    /// The disk remembers everything as it is now, as once in a while and at a stop.
    pub(crate) fn save(&mut self) -> &mut Self {
        self.saved = (self.now, self.core.memory(&self.service.name, self.now));
        self
    }

    /// Another configuration is taken in while running.
    pub(crate) fn reconfigure(&mut self, service: Service) -> Vec<Effect> {
        self.service = Arc::new(service);
        let mut effects = Vec::new();
        self.core.reconfigure(self.now, std::slice::from_ref(&self.service), &mut effects);
        let Service { record, mode, .. } = Service::clone(&self.service);
        self.reconciler.reconfigure(self.now, record, rules(&self.service), TIMING, mode == Mode::Observe);
        self.carry_out(effects.clone());
        self.turn();
        effects
    }

    /// The check `web` of the region at `place` looks.
    pub(crate) fn look(&mut self, place: usize, look: Look) -> &mut Self {
        self.look_with("web", place, look)
    }

    pub(crate) fn look_with(&mut self, check: &str, place: usize, look: Look) -> &mut Self {
        let observation = self.observation(check, place, look);
        self.step(&Input::Observed(observation))
    }

    pub(crate) fn observation(&self, check: &str, place: usize, look: Look) -> Observation {
        let outcome = match look {
            Look::Pass => Outcome::Pass,
            Look::Fail => Outcome::Fail(Reason::Refused),
            Look::Blind => Outcome::Unknown(Reason::Api),
        };
        observation(&self.service, check, place, self.now, outcome)
    }

    pub(crate) fn bind(&mut self, place: usize, addresses: &[IpAddr]) -> &mut Self {
        let (service, region) = (self.service.name.clone(), region_name(place));
        self.step(&Input::Bound { service, region, addresses: addresses.iter().copied().collect() })
    }

    /// An operator says something.
    pub(crate) fn say(&mut self, word: Word) -> &mut Self {
        let service = self.service.name.clone();
        self.step(&Input::Said { service, word })
    }

    /// Every region looks once a second, each as `looks` says by its place, for so many seconds.
    pub(crate) fn run(&mut self, seconds: u64, looks: &[Look]) -> &mut Self {
        for _ in 0..seconds {
            for (place, look) in looks.iter().enumerate() {
                self.look(place, *look);
            }
            self.pass(Duration::from_secs(1));
        }
        self
    }

    /// Time passes; what is due on the way is done when it is due.
    pub(crate) fn pass(&mut self, time: Duration) -> &mut Self {
        let end = self.now + time;
        while let Some(due) = self.due().filter(|due| *due <= end) {
            self.now = due.max(self.now);
            self.step(&Input::Tick);
        }
        self.now = self.now.max(end);
        self.step(&Input::Tick)
    }

    fn due(&self) -> Option<Moment> {
        let after = |at: &Moment| *at > self.now;
        self.core.next_wake().into_iter().chain(self.reconciler.next_wake()).filter(after).min()
    }

    /// What the core counts event by event is what there is.
    fn assert_counted(&self) {
        let (tally, status) = (self.core.tally(), self.core.status(self.now));
        for liveness in Liveness::ALL {
            let regions = status.iter().flat_map(|service| &service.regions);
            let there_are = regions.filter(|region| region.liveness == liveness).count();
            assert_eq!(tally.regions_that_are(liveness), there_are, "{liveness}: {tally:?}");
        }
        let alarms = status.iter().map(|service| service.alarms.len()).sum::<usize>();
        assert_eq!((tally.services(), tally.alarms()), (status.len(), alarms), "{tally:?}");
    }

    pub(crate) fn step(&mut self, input: &Input) -> &mut Self {
        let mut effects = Vec::new();
        self.core.step(self.now, input, &mut effects);
        self.carry_out(effects);
        self.turn();
        self
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        self.assert_counted();
        if !self.core.take_changed().is_empty() {
            self.save();
        }
        for effect in effects {
            match effect {
                Effect::Transition(t) => {
                    self.transitions.push((t.region, t.to));
                    self.because = t.because;
                }
                Effect::Apply(plan) => {
                    self.plans.push(plan.clone());
                    self.reconciler.handle_plan(self.now, plan);
                }
                Effect::Alarm(raised) if raised.raised => {
                    self.alarms.insert((raised.alarm, raised.region), raised.message);
                }
                Effect::Alarm(raised) => drop(self.alarms.remove(&(raised.alarm, raised.region))),
                Effect::Pace { region, pace, .. } => drop(self.paces.insert(region, pace)),
                Effect::Waiting { waiting, .. } => self.waiting = waiting,
                Effect::Said { heeded, .. } => self.heeded = heeded,
                Effect::Ledger { failover, reached, .. } => self.steps.push((reached, failover)),
                Effect::Witness(inquiry) => self.inquiry = Some(inquiry),
                Effect::Held { .. } | Effect::Ended { .. } => {}
            }
        }
    }

    /// Lets the reconciler go as far as it can go now.
    fn turn(&mut self) {
        for _ in 0..100 {
            self.hear();
            let call = self.reconciler.poll_call(self.now);
            self.hear();
            match call {
                // A last report may have brought a new plan.
                None if self.reconciler.next_wake().is_none_or(|at| at > self.now) => return,
                None => {}
                Some(Call::Read) => {
                    let answer = match self.weather {
                        Weather::Away => Err(error(ProviderErrorKind::Away)),
                        Weather::Throttle => Err(error(ProviderErrorKind::Throttled(None))),
                        Weather::ThrottleFor(seconds) => Err(throttled_for(seconds)),
                        Weather::Garble => Err(error(ProviderErrorKind::Unclear)),
                        Weather::Forget => Ok(None),
                        Weather::Fair
                        | Weather::Refuse
                        | Weather::LoseAnswer
                        | Weather::LoseWrite
                        | Weather::Pretend
                        | Weather::Spoil
                        | Weather::Conflict
                        | Weather::Stall
                        | Weather::GarbleWrites => Ok(Some(self.zone.clone())),
                    };
                    self.reconciler.handle_read(self.now, answer);
                }
                Some(Call::Replace { set, .. } | Call::Create { set }) => {
                    if let Some(Death { lands, gap }) = self.death.take() {
                        self.weather = if lands { Weather::LoseAnswer } else { Weather::LoseWrite };
                        let _nobody_hears = self.write(&set);
                        self.weather = Weather::Fair;
                        self.restart(gap);
                        return;
                    }
                    let result = self.write(&set);
                    self.reconciler.handle_written(self.now, result);
                }
            }
        }
        panic!("the reconciler does not come to rest at {}", self.now);
    }

    /// The core hears what the reconciler tells.
    fn hear(&mut self) {
        while let Some(report) = self.reconciler.poll_report() {
            self.reports.push(report.clone());
            let (service, mut effects) = (self.service.name.clone(), Vec::new());
            self.core.step(self.now, &Input::Reported { service, report }, &mut effects);
            self.carry_out(effects);
        }
    }

    fn write(&mut self, set: &RecordSet) -> Result<(), ProviderError> {
        let (carried_out, result) = match self.weather {
            Weather::Fair | Weather::Garble | Weather::Forget | Weather::Spoil | Weather::Stall => {
                (true, Ok(()))
            }
            Weather::Pretend => (false, Ok(())),
            Weather::Conflict => (false, Err(error(ProviderErrorKind::Conflict))),
            Weather::ThrottleFor(seconds) => (false, Err(throttled_for(seconds))),
            Weather::GarbleWrites => (true, Err(error(ProviderErrorKind::Unclear))),
            Weather::Away => (false, Err(error(ProviderErrorKind::Away))),
            Weather::Refuse => (false, Err(error(ProviderErrorKind::Refused))),
            Weather::Throttle => (false, Err(error(ProviderErrorKind::Throttled(None)))),
            Weather::LoseAnswer => (true, Err(error(ProviderErrorKind::Lost))),
            Weather::LoseWrite => (false, Err(error(ProviderErrorKind::Lost))),
        };
        if carried_out || self.weather == Weather::LoseWrite {
            self.sent.push(self.now);
        }
        self.tried.push(self.now);
        if carried_out {
            let before = std::mem::replace(&mut self.zone.values, set.values().clone());
            self.zone.parts = in_parts(set);
            if self.weather == Weather::Spoil {
                self.zone.in_force = InForce::Failed;
            } else if self.weather == Weather::Stall {
                self.zone.in_force = InForce::Pending;
            }
            self.written.push(Written { at: self.now, before, after: self.zone.values.clone() });
        }
        result
    }

    pub(crate) fn liveness(&self, place: usize) -> Liveness {
        let status = self.core.service_status(&self.service.name, self.now).unwrap();
        status.regions[place].liveness
    }

    /// The places of the regions that are configured.
    pub(crate) fn places(&self) -> Vec<usize> {
        self.service.regions.iter().map(|region| region.name.as_str()[1..].parse().unwrap()).collect()
    }

    /// The places of those whose address the zone holds.
    pub(crate) fn published(&self) -> Vec<usize> {
        self.places().into_iter().filter(|place| self.zone.values.contains(&address(*place))).collect()
    }

    #[track_caller]
    pub(crate) fn assert_published(&mut self, places: &[usize]) -> &mut Self {
        assert_eq!(self.published(), places, "at {}: {:?}", self.now, self.zone.values);
        assert!(self.zone.values.contains(&foreign()), "ONLY-OURS");
        self
    }

    #[track_caller]
    pub(crate) fn assert_writes(&mut self, count: usize) -> &mut Self {
        assert_eq!(self.written.len(), count, "{:#?}", self.written);
        self
    }
}

const TIMING: Timing = Timing { resync: Duration::from_secs(60) };

fn rules(service: &Service) -> WriteRules {
    WriteRules { min_published: service.min_published, budget: service.write_budget }
}

fn reconciler(service: &Service, now: Moment) -> Reconciler {
    Reconciler::new(service.record.clone(), rules(service), TIMING, service.mode == Mode::Observe, now)
}

fn error(kind: ProviderErrorKind) -> ProviderError {
    ProviderError { kind, message: format!("{kind:?}") }
}

fn throttled_for(seconds: u64) -> ProviderError {
    error(ProviderErrorKind::Throttled(Some(Duration::from_secs(seconds))))
}

/// The sets that a provider makes of one that is wanted in parts: each at its weight, and what is foreign in another.
fn in_parts(set: &RecordSet) -> Vec<FoundPart> {
    if set.parts().is_empty() {
        return Vec::new();
    }
    let owned: BTreeSet<IpAddr> = set.parts().iter().flat_map(|part| part.owned.clone()).collect();
    let ours = set.parts().iter().map(|part| (Some(part.weight), &part.values & set.values()));
    let sets = ours.chain([(None, set.values() - &owned)]).filter(|(_, values)| !values.is_empty());
    let found = |(weight, values): (Option<Weight>, BTreeSet<IpAddr>)| FoundPart {
        id: format!("{values:?}"),
        values,
        weight,
        ttl: set.ttl(),
        description: None,
        state: PartState::Served,
    };
    sets.map(found).collect()
}

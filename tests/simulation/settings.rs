//! What a simulated service is configured to be: drawn from the seed, changed by reloads, made simpler by the shrinker.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use pointsman::model::{
    Check, CheckKey, CheckKind, CheckName, CloudName, EipCheck, ElbCheck, ElbRef, Expression, Failback, Flap,
    Fqdn, Line, MinHealthy, Mode, OnDrift, PolicyKind, ProviderName, Record, RecordKey, RecordType, Region,
    RegionName, Routing, Service, ServiceName, Share, TcpCheck, Threshold, Ttl, Weight, WhenAllDown,
    WhenUnknown, WriteBudget,
};

use super::dice::Dice;
use super::witnesses::Resolver;

/// So many looks out of so many.
pub(crate) type Count = (u32, u32);

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    pub(crate) regions: Vec<RegionSettings>,
    pub(crate) checks: Vec<CheckSettings>,
    pub(crate) up_when: When,
    pub(crate) tiers: bool,
    pub(crate) min_published: u32,
    pub(crate) when_all_down: AllDown,
    pub(crate) max_removed: u32,
    pub(crate) panic_percent: u8,
    /// How long failures count as together; none: for ever.
    pub(crate) blast_s: Option<u64>,
    pub(crate) writes: u32,
    pub(crate) window_s: u64,
    pub(crate) ttl: Option<u32>,
    pub(crate) create: bool,
    pub(crate) alarm_on_drift: bool,
    pub(crate) mode: Mode,
    pub(crate) manual_failback: bool,
    pub(crate) recover_after_s: u64,
    pub(crate) flap: (u64, f64, u64),
    pub(crate) resync_s: u64,
    /// Whether each region has a set of its own, at its weight.
    pub(crate) weighted: bool,
    /// Whether all of that is one set at the start.
    pub(crate) starts_in_one: bool,
    /// The resolvers that are asked what clients get; without a list what witnesses say is drawn.
    pub(crate) witnesses: Option<Vec<Resolver>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RegionSettings {
    /// Whether it is configured at present.
    pub(crate) there: bool,
    pub(crate) tier: u32,
    /// So many fixed addresses; none: those bound to its load balancer are followed.
    pub(crate) fixed: u8,
    pub(crate) weight: u16,
    /// What it shares with the region at that place while its addresses are fixed.
    pub(crate) shares: Option<(SharedPart, usize)>,
}

/// What two regions have in common. Two that follow one load balancer, and two of one fixed address, are refused by the
/// configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SharedPart {
    /// The load balancer alone: each has addresses of its own.
    Balancer,
    /// The load balancer, and as an address of its own the one that the other follows.
    Address,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CheckSettings {
    pub(crate) kind: Kind,
    pub(crate) fall: Count,
    pub(crate) rise: Count,
    pub(crate) interval_s: u64,
    /// Another number looks at something else.
    pub(crate) looks_at: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A look at the region's own address.
    Web,
    /// A page that is there while the region must not serve: it fails while all is well.
    Closed,
    Elb,
    Eip,
}

/// `up_when`, over the places of checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Check(usize),
    Not(Box<When>),
    All(Vec<When>),
    Any(Vec<When>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AllDown {
    KeepLast,
    PublishAll,
    Fallback,
}

pub(crate) const TIMEOUT_S: u64 = 2;
pub(crate) const FAST_S: u64 = 1;

impl RegionSettings {
    fn draw(dice: &mut Dice) -> Self {
        Self {
            there: true,
            tier: dice.between(1_u32, 2),
            fixed: dice.pick(&[0, 0, 1, 1, 2]),
            weight: Weight::DEFAULT.as_number(),
            shares: None,
        }
    }
}

impl CheckSettings {
    pub(crate) fn ignores_unknown(&self) -> bool {
        matches!(self.kind, Kind::Elb | Kind::Eip)
    }

    /// How long it may go without a look before what it saw is stale.
    pub(crate) fn forgets_after_ms(&self) -> i64 {
        i64::try_from(self.interval_s * 1000).unwrap_or(i64::MAX) * i64::from(self.fall.0)
    }
}

impl Settings {
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        let count = |dice: &mut Dice| {
            let count = dice.between(1_u32, 4);
            (count, if dice.percent(25) { count + dice.between(1_u32, 3) } else { count })
        };
        let several = dice.percent(50);
        let kinds = match (several, dice.place(4)) {
            (false, _) => vec![Kind::Web],
            (true, 0) => vec![Kind::Web, Kind::Elb],
            (true, 1) => vec![Kind::Web, Kind::Elb, Kind::Eip],
            (true, 2) => vec![Kind::Web, Kind::Closed],
            (true, _) => vec![Kind::Elb, Kind::Web],
        };
        let interval_s = dice.between(3_u64, 8);
        let checks: Vec<CheckSettings> = kinds
            .iter()
            .map(|kind| CheckSettings {
                kind: *kind,
                fall: count(dice),
                rise: count(dice),
                interval_s,
                looks_at: 80,
            })
            .collect();
        let plain = |place: usize| When::Check(place);
        let all = When::All((0..kinds.len()).map(plain).collect());
        let up_when = match (kinds.as_slice(), dice.place(2)) {
            ([Kind::Web, Kind::Closed], _) => When::All(vec![plain(0), When::Not(Box::new(plain(1)))]),
            ([_, _, _], 0) => When::All(vec![plain(2), When::Any(vec![plain(0), plain(1)])]),
            ([_, _], 0) => When::Any(vec![plain(0), plain(1)]),
            _ => all,
        };
        let regions: Vec<RegionSettings> =
            (0..dice.pick(&[2, 2, 3, 3, 4, 5])).map(|_| RegionSettings::draw(dice)).collect();
        let budget = (dice.between(1_u32, 6), dice.pick(&[20, 60, 120, 240]));
        let mut settings = Self {
            checks,
            up_when,
            tiers: dice.percent(25),
            min_published: if regions.len() > 2 && dice.percent(30) { 2 } else { 1 },
            regions,
            when_all_down: dice.pick(&[AllDown::KeepLast, AllDown::PublishAll, AllDown::Fallback]),
            max_removed: dice.between(1_u32, 3),
            panic_percent: dice.pick(&[0, 25, 34, 50, 50, 67, 100, 100]),
            writes: budget.0,
            window_s: budget.1,
            ttl: dice.pick(&[None, None, Some(30), Some(600)]),
            create: dice.percent(50),
            alarm_on_drift: dice.percent(20),
            mode: dice.pick(&[Mode::Act, Mode::Act, Mode::Act, Mode::Act, Mode::Act, Mode::Advise]),
            manual_failback: dice.percent(15),
            recover_after_s: dice.between(0_u64, 40),
            flap: (dice.pick(&[60, 180, 300]), dice.pick(&[1.0, 2.0, 3.0]), dice.between(10_u64, 100)),
            resync_s: dice.between(10_u64, 60),
            blast_s: None,
            weighted: false,
            starts_in_one: false,
            witnesses: None,
        };
        // No draw of its own: a seed goes on to be the schedule that it was before there was this key.
        let mixed = settings.resync_s + settings.recover_after_s;
        settings.blast_s = [None, Some(20), Some(60), Some(300)][usize::try_from(mixed % 4).unwrap()];
        settings
    }

    /// The same of so many regions.
    pub(crate) fn with_regions(mut self, dice: &mut Dice, count: usize) -> Self {
        self.regions.resize_with(count, || RegionSettings::draw(dice));
        if count < 3 {
            self.min_published = 1;
        }
        self
    }

    /// The faults stop: nobody's word is waited for.
    pub(crate) fn calm_down(&mut self) {
        self.alarm_on_drift = false;
        self.mode = Mode::Act;
        self.manual_failback = false;
    }

    pub(crate) fn blast_ms(&self) -> Option<i64> {
        self.blast_s.map(|seconds| i64::try_from(seconds * 1000).unwrap())
    }

    /// The places of the regions that are configured.
    pub(crate) fn places(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.regions.len()).filter(|place| self.regions[*place].there)
    }

    pub(crate) fn tier(&self, place: usize) -> u32 {
        self.regions[place].tier
    }

    pub(crate) fn fixed_addresses(&self, place: usize) -> BTreeSet<IpAddr> {
        (0..self.regions[place].fixed)
            .map(|which| match self.shares(place) {
                Some((SharedPart::Address, other)) if which == 0 => address(other, 0),
                Some(_) | None => address(place, 4 + which),
            })
            .collect()
    }

    /// What it shares now.
    pub(crate) fn shares(&self, place: usize) -> Option<(SharedPart, usize)> {
        let RegionSettings { fixed, shares, .. } = self.regions.get(place)?;
        shares.filter(|(_, other)| *fixed > 0 && *other < self.regions.len())
    }

    /// The load balancer that is the region's, and the port of its listener.
    fn elb(&self, place: usize) -> ElbRef {
        match self.shares(place) {
            Some((_, other)) => ElbRef { listener_port: 8080, ..elb(other) },
            None => elb(place),
        }
    }

    /// Where a region is when nobody moved it.
    pub(crate) fn home(&self, place: usize) -> IpAddr {
        self.fixed_addresses(place).first().copied().unwrap_or_else(|| address(place, 0))
    }

    pub(crate) fn fallback(&self) -> BTreeSet<IpAddr> {
        // As many as are ever asked for at least.
        let count = if self.when_all_down == AllDown::Fallback { 2 } else { 0 };
        (0..count).map(|which| Ipv4Addr::new(203, 0, 113, which).into()).collect()
    }

    fn routing(&self) -> Routing {
        if self.weighted { Routing::Weighted(Line::everybody()) } else { Routing::Only }
    }

    pub(crate) fn on_drift(&self) -> OnDrift {
        if self.alarm_on_drift { OnDrift::Alarm } else { OnDrift::Mend }
    }

    /// As the core is told of the service at this place.
    pub(crate) fn service(&self, place: usize) -> Arc<Service> {
        let fallback = self.fallback().into_iter().collect();
        Arc::new(Service {
            name: service_name(place),
            record: Record {
                key: RecordKey { routing: self.routing(), ..record_key(place) },
                provider: ProviderName::parse("private").unwrap(),
                ttl: self.ttl.and_then(Ttl::from_seconds),
                create: self.create,
                on_drift: self.on_drift(),
            },
            regions: self.places().map(|place| Arc::new(self.region(place))).collect(),
            policy: match (self.weighted, self.tiers) {
                (true, _) => PolicyKind::Weighted,
                (false, true) => PolicyKind::Priority,
                (false, false) => PolicyKind::All,
            },
            min_published: self.min_published,
            when_all_down: match self.when_all_down {
                AllDown::KeepLast => WhenAllDown::KeepLast,
                AllDown::PublishAll => WhenAllDown::PublishAll,
                AllDown::Fallback => WhenAllDown::Fallback(fallback),
            },
            max_removed: self.max_removed,
            panic_threshold: Share::from_percent(self.panic_percent).unwrap(),
            blast_window: self.blast_s.map(Duration::from_secs),
            write_budget: WriteBudget { writes: self.writes, window: Duration::from_secs(self.window_s) },
            mode: self.mode,
            failback: if self.manual_failback { Failback::Manual } else { Failback::Auto },
        })
    }

    fn region(&self, place: usize) -> Region {
        let (window, factor, max) = self.flap;
        Region {
            name: region_name(place),
            tier: self.tier(place),
            weight: Weight::from_number(self.regions[place].weight).unwrap(),
            elb: Some(self.elb(place)),
            addresses: self.fixed_addresses(place).into_iter().collect(),
            checks: (0..self.checks.len()).map(|check| self.check(place, check)).collect(),
            up_when: self.up_when.as_configured(),
            recover_after: Duration::from_secs(self.recover_after_s),
            flap: Flap { window: Duration::from_secs(window), factor, max: Duration::from_secs(max) },
        }
    }

    fn check(&self, place: usize, check: usize) -> Check {
        let settings = &self.checks[check];
        let balancer = self.elb(place);
        // Another port than the first is another listener, or another look at the same.
        let port = balancer.listener_port - 80 + settings.looks_at;
        let elb = ElbRef { listener_port: port, ..balancer };
        Check {
            name: check_name(check),
            kind: match settings.kind {
                Kind::Web => CheckKind::Tcp(TcpCheck { port: settings.looks_at, source: None }),
                Kind::Closed => CheckKind::Tcp(TcpCheck { port: settings.looks_at + 1, source: None }),
                Kind::Elb => CheckKind::Elb(ElbCheck { elb, min_healthy: MinHealthy::Count(1) }),
                Kind::Eip => CheckKind::Eip(EipCheck { elb, record_type: RecordType::A }),
            },
            interval: Duration::from_secs(settings.interval_s),
            fast_interval: Duration::from_secs(FAST_S),
            timeout: Duration::from_secs(TIMEOUT_S),
            max_latency: None,
            fall: Threshold::of(settings.fall.0, settings.fall.1).unwrap(),
            rise: Threshold::of(settings.rise.0, settings.rise.1).unwrap(),
            vote: true,
            when_unknown: if settings.ignores_unknown() { WhenUnknown::Ignore } else { WhenUnknown::Keep },
        }
    }
}

impl When {
    /// Whether passing speaks against the region: of an odd number of `!` before the check.
    pub(crate) fn negates(&self, check: usize) -> bool {
        match self {
            Self::Check(_) => false,
            Self::Not(inner) => inner.names(check) && !inner.negates(check),
            Self::All(parts) | Self::Any(parts) => parts.iter().any(|part| part.negates(check)),
        }
    }

    fn names(&self, check: usize) -> bool {
        match self {
            Self::Check(place) => *place == check,
            Self::Not(inner) => inner.names(check),
            Self::All(parts) | Self::Any(parts) => parts.iter().any(|part| part.names(check)),
        }
    }

    fn as_configured(&self) -> Expression {
        let each = |parts: &[Self]| parts.iter().map(Self::as_configured).collect();
        match self {
            Self::Check(place) => Expression::Check(check_name(*place)),
            Self::Not(inner) => Expression::Not(Box::new(inner.as_configured())),
            Self::All(parts) => Expression::All(each(parts)),
            Self::Any(parts) => Expression::Any(each(parts)),
        }
    }
}

/// The services, and their record sets in one zone.
const SERVICES: [&str; 2] = ["demo", "other"];

/// So many regions, each with so many checks, are the most that a service may have.
const REGIONS_MAX: usize = 25;
const CHECKS_MAX: usize = 3;

/// Every name that there is, made once.
struct Names {
    services: Vec<ServiceName>,
    regions: Vec<RegionName>,
    checks: Vec<CheckName>,
    /// By service, region and check.
    keys: Vec<Vec<Vec<Arc<CheckKey>>>>,
}

thread_local! {
    static NAMES: Names = Names::new();
}

impl Names {
    fn new() -> Self {
        let services: Vec<_> = SERVICES.iter().map(|name| ServiceName::parse(name).unwrap()).collect();
        let region = |place| RegionName::parse(&format!("r{place}")).unwrap();
        let regions: Vec<_> = (0..REGIONS_MAX).map(region).collect();
        let check = |place| CheckName::parse(&format!("c{place}")).unwrap();
        let checks: Vec<_> = (0..CHECKS_MAX).map(check).collect();
        let key = |service: &ServiceName, region: &RegionName, check: &CheckName| {
            Arc::new(CheckKey { service: service.clone(), region: region.clone(), check: check.clone() })
        };
        let of_region = |service: &ServiceName, region: &RegionName| {
            checks.iter().map(|check| key(service, region, check)).collect()
        };
        let of_service =
            |service: &ServiceName| regions.iter().map(|region| of_region(service, region)).collect();
        let keys = services.iter().map(of_service).collect();
        Self { services, regions, checks, keys }
    }
}

pub(crate) fn service_name(place: usize) -> ServiceName {
    NAMES.with(|names| names.services[place].clone())
}

/// The place of the service of that name.
pub(crate) fn place_of_service(name: &ServiceName) -> usize {
    usize::from(name.as_str() != SERVICES[0])
}

fn record_key(place: usize) -> RecordKey {
    let name = format!("{}.localdev.me.", SERVICES[place]);
    RecordKey::new(Fqdn::parse(&name).unwrap(), RecordType::A)
}

pub(crate) fn region_name(place: usize) -> RegionName {
    NAMES.with(|names| names.regions[place].clone())
}

/// The place of the region of that name.
pub(crate) fn place_of(region: &RegionName) -> usize {
    region.as_str().trim_start_matches('r').parse().unwrap()
}

pub(crate) fn check_name(place: usize) -> CheckName {
    NAMES.with(|names| names.checks[place].clone())
}

pub(crate) fn check_key(service: usize, region: usize, check: usize) -> Arc<CheckKey> {
    NAMES.with(|names| Arc::clone(&names.keys[service][region][check]))
}

/// The place of the check of that name.
pub(crate) fn place_of_check(check: &CheckName) -> usize {
    check.as_str().trim_start_matches('c').parse().unwrap()
}

/// One of the addresses that the region at `place` may have.
pub(crate) fn address(place: usize, which: u8) -> IpAddr {
    Ipv4Addr::new(198, 51, 100, u8::try_from(place).unwrap() * 10 + which).into()
}

/// A value that is nobody's of ours.
pub(crate) fn foreign(which: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, which).into()
}

fn elb(place: usize) -> ElbRef {
    ElbRef {
        cloud: CloudName::parse("main").unwrap(),
        cloud_region: format!("region-{place}"),
        id: format!("elb-{place}"),
        listener_port: 80,
    }
}

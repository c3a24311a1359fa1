use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::{Check, ElbRef, Expression, ProviderName, RecordKey, RegionName, ServiceName, Ttl, Weight};

/// One DNS name and type kept pointing at live regions, with every default filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Its name.
    pub name: ServiceName,
    /// The record set it keeps.
    pub record: Record,
    /// The regions that serve it; at least one, names unique.
    pub regions: Vec<Arc<Region>>,
    /// Which live regions are published.
    pub policy: PolicyKind,
    /// The least number of its own regions' addresses that a write may leave. Default 1; never 0 (NEVER-EMPTY).
    pub min_published: u32,
    /// What is published when every region is down. Default keep-last.
    pub when_all_down: WhenAllDown,
    /// How many regions may be out of the set at once because of checks; one that has been out for `blast_window` does
    /// not count. Default 1 (BOUNDED-BLAST).
    pub max_removed: u32,
    /// More than this share of the regions fell within `blast_window`: hold, and alarm. Default 50 % (BOUNDED-BLAST).
    pub panic_threshold: Share,
    /// How long failures count as "together" for `max_removed` and `panic_threshold`; none: until a person ends it.
    /// Default 5 min.
    pub blast_window: Option<Duration>,
    /// How often its record set may be written. Default 6 in 10 min (BOUNDED-WRITES).
    pub write_budget: WriteBudget,
    /// What becomes of its plans. Default act.
    pub mode: Mode,
    /// How a region that fell returns. Default auto.
    pub failback: Failback,
}

/// What becomes of a service's plans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// They are written.
    Act,
    /// Each change of a region waits for a person's approval.
    Advise,
    /// They are shown and journalled, never written.
    Observe,
}

impl Mode {
    /// As the configuration and the API spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Act => "act",
            Self::Advise => "advise",
            Self::Observe => "observe",
        }
    }
}

/// How a region that fell returns to the record set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failback {
    /// When it has been healthy for `recover_after`.
    Auto,
    /// When a person says so after that. While no other live region is published it returns without: going over to it
    /// is no failback.
    Manual,
}

/// The record set that a service keeps.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    /// Its name and type.
    pub key: RecordKey,
    /// Where it lives.
    pub provider: ProviderName,
    /// The TTL to set with the next change of addresses. Default: the TTL that is there stays.
    pub ttl: Option<Ttl>,
    /// Whether it may be made when it is missing. Default no.
    pub create: bool,
    /// What becomes of our addresses when somebody else changed them. Default mend.
    pub on_drift: OnDrift,
}

/// What to do when somebody else changed our addresses in the record set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OnDrift {
    /// Put them back.
    Mend,
    /// Alarm, and wait for the next change of plan.
    Alarm,
}

/// One place that serves a service.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    /// Its name within the service.
    pub name: RegionName,
    /// Its rank for `policy = "priority"`; 1, the default, is best.
    pub tier: u32,
    /// Its share for `policy = "weighted"`: this in the sum of those that are published; 1 to 1000. Default 100.
    pub weight: Weight,
    /// The load balancer whose EIPs are its addresses, when it has one.
    pub elb: Option<ElbRef>,
    /// Fixed addresses; empty when they are those bound to the load balancer, followed when they change.
    pub addresses: Vec<IpAddr>,
    /// The checks that look at it; at least one votes.
    pub checks: Vec<Check>,
    /// When it is up, over those checks.
    pub up_when: Expression,
    /// How long it must stay healthy before it is published again. Default 30 s; zero publishes on `rise`.
    pub recover_after: Duration,
    /// How that time grows while it keeps flapping.
    pub flap: Flap,
}

/// Which of the live regions are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyKind {
    /// Every live region.
    All,
    /// The live regions of the best tier that has any.
    Priority,
    /// Every live region, each in a set of its own that is answered by its weight.
    Weighted,
}

/// What is published when every region is down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhenAllDown {
    /// What was published last.
    KeepLast,
    /// The addresses of all regions: some may work for some clients.
    PublishAll,
    /// These addresses instead; not empty.
    Fallback(Vec<IpAddr>),
}

/// How often a record set may be written (BOUNDED-WRITES).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WriteBudget {
    /// So many writes, at least 1.
    pub writes: u32,
    /// Within any stretch of time this long.
    pub window: Duration,
}

/// How `recover_after` grows for a region that keeps going down (BOUNDED-WRITES).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flap {
    /// How far back a fall is remembered. Default 10 min.
    pub window: Duration,
    /// What each further fall within it multiplies the time by, at least 1. Default 2.
    pub factor: f64,
    /// The longest it gets; never shorter than `recover_after` itself. Default 30 min.
    pub max: Duration,
}

/// A share in whole percent, 0 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u8);

impl Share {
    /// So many percent; none above 100.
    #[must_use]
    pub fn from_percent(percent: u8) -> Option<Self> {
        (percent <= 100).then_some(Self(percent))
    }

    /// In percent.
    #[must_use]
    pub fn as_percent(self) -> u8 {
        self.0
    }

    /// Whether this share is greater than `part` of `whole`.
    #[must_use]
    pub fn exceeds(self, part: u32, whole: u32) -> bool {
        u64::from(self.0) * u64::from(whole) > u64::from(part) * 100
    }

    /// Whether `part` of `whole` is greater than this share.
    #[must_use]
    pub fn is_exceeded_by(self, part: u32, whole: u32) -> bool {
        u64::from(part) * 100 > u64::from(self.0) * u64::from(whole)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

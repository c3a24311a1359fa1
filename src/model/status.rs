use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use serde::{Serialize, Serializer};

use super::{Alarm, CheckName, CloudName, Fqdn, Reason, RecordType, RegionName, ServiceName, Ttl, WaitsFor};

/// A region's state. See the diagram in `core`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Liveness {
    /// Not enough seen yet.
    Unknown,
    /// It serves.
    Up,
    /// It was up and its latest looks fail, fewer than `fall`.
    Suspect,
    /// It does not serve.
    Down,
    /// It was down and passes again, not for long enough yet.
    Recovering,
}

impl Liveness {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Unknown, Self::Up, Self::Suspect, Self::Down, Self::Recovering];

    /// As metrics, logs and the API spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Suspect => "suspect",
            Self::Down => "down",
            Self::Recovering => "recovering",
        }
    }
}

impl fmt::Display for Liveness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Liveness {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

/// Everything at one moment, for a person or a program to read: the answer of `/api/v1/status`.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// Of the running program.
    pub version: &'static str,
    /// Whether nothing is ever written.
    pub dry_run: bool,
    /// Seconds since it started.
    pub uptime_s: u64,
    /// Every service, in the order configured.
    pub services: Vec<ServiceStatus>,
    /// What is alarmed of the daemon itself: its journal, its keys, its clock.
    pub alarms: Vec<AlarmStatus>,
    /// Where transitions, plans and writes are kept.
    pub journal: JournalStatus,
    /// Where log lines go.
    pub log: LogStatus,
    /// The accounts, by name.
    pub clouds: Vec<CloudStatus>,
}

/// The journal at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JournalStatus {
    /// Whether what happens is kept on disk.
    pub writable: bool,
    /// Why it is not, and what to do.
    pub trouble: Option<String>,
    /// Entries that are lost since the start, because there was no room for them anywhere.
    pub lost: u64,
}

/// The log at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LogStatus {
    /// Lines that were dropped since the start, because nobody read them in time.
    pub lines_dropped: u64,
}

/// An account at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CloudStatus {
    /// Its name.
    pub name: CloudName,
    /// When its keys end, in Unix seconds; absent for keys that do not end, and before any were needed.
    pub keys_expire: Option<u64>,
}

/// One service at one moment.
#[derive(Clone, Debug, Serialize)]
pub struct ServiceStatus {
    /// Its name.
    pub name: ServiceName,
    /// The name of its record set.
    pub domain: Fqdn,
    /// The type of its record set.
    #[serde(rename = "type")]
    pub record_type: RecordType,
    /// What becomes of its plans: `act`, `advise` or `observe`.
    pub mode: &'static str,
    /// What is known of its record set.
    pub record_set: RecordStatus,
    /// Its regions, in the order configured.
    pub regions: Vec<RegionStatus>,
    /// The rules that hold its plan back now.
    pub held: Vec<HeldStatus>,
    /// What operators have ruled and still holds.
    pub overrides: Vec<OverrideStatus>,
    /// What waits for a person.
    pub waiting: Vec<WaitingStatus>,
    /// What is alarmed now.
    pub alarms: Vec<AlarmStatus>,
    /// The latest changes of the record set and how they got to clients, oldest first; at most 16.
    pub failovers: Vec<FailoverStatus>,
}

/// A service's record set at one moment.
#[derive(Clone, Debug, Serialize)]
pub struct RecordStatus {
    /// The values it was last seen to hold; absent until it was read, or when it does not exist.
    pub values: Option<BTreeSet<IpAddr>>,
    /// Those values that are not ours.
    pub foreign: BTreeSet<IpAddr>,
    /// Our addresses that the newest plan wants in it; absent until there is one.
    pub wanted: Option<BTreeSet<IpAddr>>,
    /// Its TTL, in seconds.
    pub ttl: Option<Ttl>,
    /// Whether it was last seen to hold, in force, what the newest plan wants.
    pub in_sync: bool,
    /// Generation of the newest plan; 0 when there is none yet.
    pub generation: u64,
    /// Seconds since it was last read.
    pub read_age_s: Option<f64>,
    /// What the reconciler is at: "idle", "reading", "writing", "settling", "waiting".
    pub phase: &'static str,
}

/// One region at one moment.
#[derive(Clone, Debug, Serialize)]
pub struct RegionStatus {
    /// Its name.
    pub name: RegionName,
    /// Its state.
    pub liveness: Liveness,
    /// Seconds since it changed to that state.
    pub since_s: f64,
    /// Whether an address of it is in the record set, as last seen.
    pub published: bool,
    /// Its addresses, as far as known.
    pub addresses: BTreeSet<IpAddr>,
    /// Why it is in or out of what is wanted: a sentence.
    pub because: String,
    /// Seconds until it may be published, while it is recovering.
    pub recovers_in_s: Option<f64>,
    /// Its checks, in the order configured.
    pub checks: Vec<CheckStatus>,
}

/// One check of one region at one moment.
#[derive(Clone, Debug, Serialize)]
pub struct CheckStatus {
    /// Its name.
    pub name: CheckName,
    /// `http`, `https`, `tcp`, `elb` or `eip`.
    pub kind: &'static str,
    /// `passing`, `failing` or `unknown`.
    pub signal: &'static str,
    /// Whether it has a part in `up_when`.
    pub votes: bool,
    /// Whether an operator has taken its vote away for now.
    pub muted: bool,
    /// What the last look came to: `pass`, `fail` or `unknown`; absent before the first.
    pub last: Option<&'static str>,
    /// Why the last look was not a pass.
    pub reason: Option<Reason>,
    /// What the last look saw.
    pub saw: String,
    /// How long the last look took, in milliseconds.
    pub latency_ms: Option<f64>,
    /// Looks in a row that ended like the last one.
    pub run: u32,
    /// Seconds since the last look that was not unknown.
    pub age_s: Option<f64>,
}

/// A rule that holds a plan back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HeldStatus {
    /// The invariant's name in lower case: `bounded_blast`.
    pub rule: &'static str,
    /// Why, with the numbers.
    pub because: String,
    /// What would lift it.
    pub lifts_when: String,
}

/// An operator's word that holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OverrideStatus {
    /// `drain`, `pin`, `freeze` or `mute`.
    pub kind: &'static str,
    /// The region it is about; absent when it is about the whole service, or a check.
    pub region: Option<RegionName>,
    /// The check that is muted.
    pub check: Option<CheckName>,
    /// Who said so.
    pub author: String,
    /// Why.
    pub reason: String,
    /// Seconds until it ends by itself; absent when it does not.
    pub ends_in_s: Option<f64>,
}

/// Something that waits for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WaitingStatus {
    /// For which word: `approve` or `failback`.
    pub waits_for: WaitsFor,
    /// The region it is about; absent for the addresses of `fallback`.
    pub region: Option<RegionName>,
    /// What would happen, and why.
    pub because: String,
}

/// A change of a record set. Times are in milliseconds since the first that is known of it; absent before they have come,
/// and where there is none.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FailoverStatus {
    /// Its name: the service's, and a number that is never used again.
    pub id: String,
    /// How far it is: `writing`, `witnessing`, `moved`, `unconfirmed`, `called_off` or `superseded`.
    pub course: &'static str,
    /// What leaves and what returns.
    pub moves: Vec<MoveStatus>,
    /// What the set held.
    pub from: BTreeSet<IpAddr>,
    /// What it was to hold.
    pub to: BTreeSet<IpAddr>,
    /// How many seconds ago the first time was; all others count from it.
    pub began_ago_s: f64,
    /// The first time by the wall clock, in Unix seconds; absent where nobody knows it.
    pub began: Option<f64>,
    /// The start of the first failing look, or the first passing one of a return: 0, when there is one.
    pub first_look_ms: Option<u64>,
    /// When the region was down, or up again; of an operator's word, when it was planned.
    pub verdict_ms: Option<u64>,
    /// When the write was first sent.
    pub sent_ms: u64,
    /// How many times it was sent.
    pub tries: u32,
    /// When the provider took it.
    pub acknowledged_ms: Option<u64>,
    /// When a read showed it in force.
    pub active_ms: Option<u64>,
    /// The witnesses that showed it.
    pub witnesses: Vec<WitnessStatus>,
    /// When the last client moves: the TTL from before, after the last witness.
    pub moved_ms: Option<u64>,
    /// Whether that was reckoned from the zone alone, since there is no witness.
    pub moved_is_reckoned: bool,
    /// What a client got that fetched the service through its name then: a sentence.
    pub fetched: Option<String>,
}

/// One region's part in a change of a record set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MoveStatus {
    /// Which; absent for addresses that are no region's.
    pub region: Option<RegionName>,
    /// `leaves`, `returns` or `changes`.
    pub direction: &'static str,
    /// `checks`, `operator` or `other`.
    pub cause: &'static str,
}

/// A witness that showed a change of a record set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WitnessStatus {
    /// Where it is asked.
    pub address: SocketAddr,
    /// When.
    pub at_ms: u64,
}

/// Something alarmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AlarmStatus {
    /// Its name.
    pub alarm: Alarm,
    /// The region it is about, when it is about one.
    pub region: Option<RegionName>,
    /// The account, zone or task, for an alarm of the daemon itself that is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What is wrong, to what, and what to do.
    pub message: String,
}

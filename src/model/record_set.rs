use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::{FoundPart, Fqdn, Line, Part, Weighed};

/// The types of record sets that pointsman manages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum RecordType {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    #[serde(rename = "AAAA")]
    Aaaa,
}

impl RecordType {
    /// `A` or `AAAA`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
        }
    }

    /// Whether an address can be a value of this type.
    #[must_use]
    pub fn holds(self, address: IpAddr) -> bool {
        match self {
            Self::A => address.is_ipv4(),
            Self::Aaaa => address.is_ipv6(),
        }
    }
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Which record set: its name and type, and which of those that a provider may hold under them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKey {
    /// The name, absolute.
    pub name: Fqdn,
    /// The type.
    pub record_type: RecordType,
    /// Which of several sets of that name and type.
    pub routing: Routing,
}

impl RecordKey {
    /// The only set of a name and type.
    #[must_use]
    pub fn new(name: Fqdn, record_type: RecordType) -> Self {
        Self { name, record_type, routing: Routing::Only }
    }
}

impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.record_type)?;
        match self.routing.line().filter(|line| **line != Line::everybody()) {
            Some(line) => write!(f, " on line {line}"),
            None => Ok(()),
        }
    }
}

/// Which of several sets of one name and type is meant, where a provider tells them apart by line and weight.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Routing {
    /// The only one there is.
    #[default]
    Only,
    /// The only one of this line.
    Line(Line),
    /// All those of this line together, one of each region, each at a weight of its own.
    Weighted(Line),
}

impl Routing {
    /// The line, when one is named.
    #[must_use]
    pub fn line(&self) -> Option<&Line> {
        match self {
            Self::Only => None,
            Self::Line(line) | Self::Weighted(line) => Some(line),
        }
    }
}

/// A time to live in seconds, at most 2,147,483,647. Zero forbids caching: a set may be found with it, and none is configured
/// with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ttl(u32);

impl Ttl {
    /// What a record set that we create gets when the configuration names none; the cloud's own default.
    pub const DEFAULT: Self = Self(300);

    /// The TTL to write, of so many seconds; none outside of 1 to 2,147,483,647, the cloud's range.
    #[must_use]
    pub fn from_seconds(seconds: u32) -> Option<Self> {
        (1..=2_147_483_647).contains(&seconds).then_some(Self(seconds))
    }

    /// The TTL that a record set was found with. One beyond the range counts as zero (RFC 2181, section 8).
    #[must_use]
    pub fn found(seconds: u32) -> Self {
        Self::from_seconds(seconds).unwrap_or(Self(0))
    }

    /// In seconds.
    #[must_use]
    pub fn as_seconds(self) -> u32 {
        self.0
    }

    /// As a duration.
    #[must_use]
    pub fn as_duration(self) -> Duration {
        Duration::from_secs(u64::from(self.0))
    }
}

impl fmt::Display for Ttl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.0)
    }
}

impl Serialize for Ttl {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u32(self.0)
    }
}

/// All values of a record set as they are to be written. Cannot be built empty (NEVER-EMPTY).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RecordSet {
    values: BTreeSet<IpAddr>,
    ttl: Ttl,
    parts: Vec<Part>,
    least: u32,
    at_risk: u32,
}

/// A record set without an address was asked for (NEVER-EMPTY).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record set is never written without an address (NEVER-EMPTY)")]
pub struct EmptyRecordSet;

impl RecordSet {
    /// The set of these values.
    ///
    /// # Errors
    /// When there is none.
    pub fn new(values: BTreeSet<IpAddr>, ttl: Ttl) -> Result<Self, EmptyRecordSet> {
        let set = Self { values, ttl, parts: Vec::new(), least: 1, at_risk: 0 };
        if set.values.is_empty() { Err(EmptyRecordSet) } else { Ok(set) }
    }

    /// The same, its values of ours served in these parts. Carried out in several calls, `least` of ours are served all
    /// the while, or as many as are now.
    #[must_use]
    pub fn in_parts(self, parts: Vec<Part>, least: u32) -> Self {
        Self { parts, least, ..self }
    }

    /// The same, when so many of its values of ours that are served now may still be taken away by an earlier write: they
    /// count for nothing that is to be served all the while.
    #[must_use]
    pub fn with_at_risk(self, at_risk: u32) -> Self {
        Self { at_risk, ..self }
    }

    /// Its values; at least one.
    #[must_use]
    pub fn values(&self) -> &BTreeSet<IpAddr> {
        &self.values
    }

    /// Its TTL.
    #[must_use]
    pub fn ttl(&self) -> Ttl {
        self.ttl
    }

    /// The parts that its values of ours are served in, those of regions that are out among them; none when all values are
    /// one set.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Each value, with the weight of the part that it is in.
    #[must_use]
    pub fn weighed(&self) -> BTreeSet<Weighed> {
        let part = |address: &IpAddr| self.parts.iter().find(|part| part.values.contains(address));
        let weighed =
            |address: &IpAddr| Weighed { address: *address, weight: part(address).map(|part| part.weight) };
        self.values.iter().map(weighed).collect()
    }

    /// How many addresses of ours are to be served at any moment while it is written; at least 1.
    #[must_use]
    pub fn least(&self) -> u32 {
        self.least.max(1)
    }

    /// How many of those that are served now an earlier write may still take away.
    #[must_use]
    pub fn at_risk(&self) -> u32 {
        self.at_risk
    }
}

/// Addresses in a row, for a sentence: "198.51.100.10, 203.0.113.20", or "no address".
#[must_use]
pub fn addresses_in_words<A: fmt::Display>(addresses: &BTreeSet<A>) -> String {
    if addresses.is_empty() {
        return "no address".to_owned();
    }
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A record set as a provider holds it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Found {
    /// The provider's id of the set, opaque here; given back to it with a write.
    pub id: String,
    /// The values it holds, ours and others'.
    pub values: BTreeSet<IpAddr>,
    /// Its TTL.
    pub ttl: Ttl,
    /// Whether that is what is served.
    pub in_force: InForce,
    /// The description that must survive a write, where the provider has one.
    pub description: Option<String>,
    /// The sets that it is made of, for [`Routing::Weighted`]; otherwise none.
    pub parts: Vec<FoundPart>,
}

impl Found {
    /// Each value with the weight that it is served at.
    #[must_use]
    pub fn weighed(&self) -> BTreeSet<Weighed> {
        if self.parts.is_empty() {
            return self.values.iter().copied().map(Weighed::from).collect();
        }
        self.parts.iter().filter(|part| part.state.is_served()).flat_map(FoundPart::weighed).collect()
    }
}

/// Whether a provider serves what it says that a record set holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InForce {
    /// Served.
    Yes,
    /// On its way.
    Pending,
    /// The last change failed: what is served is not known from this.
    Failed,
    /// The set exists and is not served (switched off, frozen): a person's or the provider's doing.
    Withheld,
}

/// What a provider said to a read: the set, or that there is none.
pub type Answer = Result<Option<Found>, ProviderError>;

/// Why a call to a provider did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ProviderError {
    /// What it means for what comes next.
    pub kind: ProviderErrorKind,
    /// What happened, to what, with status, code and request id: for a person.
    pub message: String,
}

/// What a provider's error means for what comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProviderErrorKind {
    /// It surely changed nothing and may go through later: no connection, an error of the server to a read.
    Away,
    /// It surely changed nothing; ask again after this long, if it said how long.
    Throttled(Option<Duration>),
    /// It was understood and refused (a 4xx); nothing was changed. The same request will be refused again.
    Refused,
    /// The set was changed by somebody since it was read: read again. Nothing was written.
    Conflict,
    /// A write was sent and no clear answer came: it may have been applied. Only a read can tell.
    Lost,
    /// The answer could not be understood, so what is there is unknown.
    Unclear,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Weight;

    #[test]
    fn a_set_without_a_value_cannot_be_built() {
        assert_eq!(RecordSet::new(BTreeSet::new(), Ttl::DEFAULT), Err(EmptyRecordSet));
    }

    #[test]
    fn every_ttl_that_is_found_can_be_kept_and_zero_cannot_be_configured() {
        let found = [0, 1, 2_147_483_647, 2_147_483_648, u32::MAX].map(|it| Ttl::found(it).as_seconds());
        assert_eq!(found, [0, 1, 2_147_483_647, 0, 0]);
        assert_eq!([0, 2_147_483_648].map(Ttl::from_seconds), [None, None]);
    }

    #[test]
    fn a_set_in_parts_tells_its_values_with_their_weights_and_somebody_elses_without() {
        let [ours, theirs]: [IpAddr; 2] = ["198.51.100.10", "192.0.2.99"].map(|it| it.parse().unwrap());
        let part =
            Part { weight: Weight::from_number(90).unwrap(), values: [ours].into(), owned: [ours].into() };
        let set = RecordSet::new([ours, theirs].into(), Ttl::DEFAULT).unwrap();
        assert_eq!(addresses_in_words(&set.weighed()), "192.0.2.99, 198.51.100.10");
        let set = set.in_parts(vec![part], 1);
        assert_eq!(addresses_in_words(&set.weighed()), "192.0.2.99, 198.51.100.10 weight 90");
    }
}

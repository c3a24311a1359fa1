use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::{Moment, RecordKey, RegionName, ServiceName, addresses_in_words, quoted};

/// As many characters of addresses are shown: a dozen and more, and a resolver may answer thousands.
const SHOWN_MAX: usize = 300;

/// What witnesses are asked of one record set, until something else is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inquiry {
    /// Of which service.
    pub service: ServiceName,
    /// Orders a service's inquiries; what was said to an older one counts no more.
    pub number: u64,
    /// Which record set.
    pub key: RecordKey,
    /// What the zone holds, in force.
    pub wanted: BTreeSet<IpAddr>,
    /// Since when.
    pub since: Moment,
    /// Until then caches may hold what was there before: it is asked often, and no disagreement is held against anybody.
    pub patience_ends: Moment,
    /// What is to be fetched once, as a client would.
    pub fetch: Option<Errand>,
}

/// The service is to be fetched once through its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errand {
    /// After which failover, by its number.
    pub failover: u64,
    /// Who resolves the name; without a witness that agreed, what the zone holds is taken.
    pub by: Option<SocketAddr>,
    /// Whose each address is; one of nobody's is not in it.
    pub homes: BTreeMap<IpAddr, RegionName>,
}

/// What one witness said, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Testimony {
    /// Who.
    pub witness: SocketAddr,
    /// When its answer came, or was waited for no longer.
    pub at: Moment,
    /// What.
    pub said: Statement,
}

/// What a resolver answers for a name and type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// These addresses; at least one.
    Addresses {
        /// Which.
        values: BTreeSet<IpAddr>,
        /// For how many more seconds it may be cached, by the record that ends first.
        ttl_s: u32,
    },
    /// No address, or nothing that could be understood: what, in words.
    Nothing(String),
}

impl Inquiry {
    /// Whether that is what the zone holds; order and TTL do not count.
    #[must_use]
    pub fn agrees(&self, said: &Statement) -> bool {
        match said {
            Statement::Addresses { values, .. } => *values == self.wanted,
            Statement::Nothing(_) => false,
        }
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Addresses { values, ttl_s } => {
                let values = quoted(&addresses_in_words(values), SHOWN_MAX);
                write!(f, "answers {values} (TTL {ttl_s} s)")
            }
            Self::Nothing(what) => f.write_str(what),
        }
    }
}

/// What a client got that fetched the service through its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// When it was over.
    pub at: Moment,
    /// The address that was used; none when the name gave none.
    pub address: Option<IpAddr>,
    /// Whether it was served as the service's own check expects.
    pub served: bool,
    /// The status, or what went wrong: a sentence.
    pub saw: String,
}

impl fmt::Display for Fetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) => write!(f, "{} from {address}", self.saw),
            None => f.write_str(&self.saw),
        }
    }
}

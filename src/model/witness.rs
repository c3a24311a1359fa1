use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::{Moment, RecordKey, RegionName, Routing, ServiceName, addresses_in_words, quoted};

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
    /// Whether that is what the zone holds.
    #[must_use]
    pub fn agrees(&self, said: &Statement) -> bool {
        said.shows(&self.key, &self.wanted)
    }
}

impl Statement {
    /// Whether it is what clients get while the zone holds `wanted` under `key`; order and TTL do not count. Of sets that are
    /// answered by weight each answer is a part: it shows nothing that has left.
    #[must_use]
    pub fn shows(&self, key: &RecordKey, wanted: &BTreeSet<IpAddr>) -> bool {
        match (self, &key.routing) {
            (Self::Addresses { values, .. }, Routing::Only | Routing::Line(_)) => values == wanted,
            (Self::Addresses { values, .. }, Routing::Weighted(_)) => {
                !values.is_empty() && values.is_subset(wanted)
            }
            (Self::Nothing(_), _) => false,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Fqdn, Line, RecordType};

    #[test]
    fn an_answer_shows_all_of_a_set_or_of_weighted_ones_a_part_and_never_what_has_left() {
        let of = |all: &[u8]| all.iter().map(|last| IpAddr::from([192, 0, 2, *last])).collect();
        let said = |all: &[u8]| Statement::Addresses { values: of(all), ttl_s: 9 };
        let only = RecordKey::new(Fqdn::parse("demo.example.").unwrap(), RecordType::A);
        let weighted = RecordKey { routing: Routing::Weighted(Line::everybody()), ..only.clone() };
        let wanted: BTreeSet<IpAddr> = of(&[1, 2]);
        let shows = [&[1, 2][..], &[1], &[1, 3], &[3], &[]].map(|all| {
            let said = said(all);
            (said.shows(&only, &wanted), said.shows(&weighted, &wanted))
        });
        assert_eq!(shows, [(true, true), (false, true), (false, false), (false, false), (false, false)]);
        assert!(!Statement::Nothing(String::new()).shows(&weighted, &wanted));
    }
}

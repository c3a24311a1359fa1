//! What a record set holds in a model: two addresses of ours and one of somebody else's are enough to tell apart
//! every way of mixing them up.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

/// A set of the three addresses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Values(u8);

impl Values {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const A: Self = Self(1);
    pub(crate) const B: Self = Self(2);
    pub(crate) const FOREIGN: Self = Self(4);

    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(crate) const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The addresses in it that the writers own.
    pub(crate) const fn ours(self) -> Self {
        self.without(Self::FOREIGN)
    }

    pub(crate) const fn foreign(self) -> Self {
        self.without(self.ours())
    }

    /// The same as addresses.
    pub(crate) fn addresses(self) -> BTreeSet<IpAddr> {
        let address = |value: Self| IpAddr::from(Ipv4Addr::new(192, 0, 2, value.0));
        let values = [Self::A, Self::B, Self::FOREIGN];
        values.into_iter().filter(|value| self.contains(*value)).map(address).collect()
    }

    /// What [`Values::addresses`] made these of.
    pub(crate) fn of(addresses: &BTreeSet<IpAddr>) -> Self {
        let value = |address: &IpAddr| match address {
            IpAddr::V4(address) => address.octets()[3],
            IpAddr::V6(_) => unreachable!("there are none"),
        };
        Self(addresses.iter().map(value).sum())
    }

    pub(crate) fn count(self) -> usize {
        self.0.count_ones() as usize
    }

    pub(crate) fn is_empty(self) -> bool {
        self == Self::NONE
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [(Self::A, "a"), (Self::B, "b"), (Self::FOREIGN, "foreign")];
        let names: Vec<&str> =
            names.into_iter().filter(|(one, _)| self.contains(*one)).map(|(_, name)| name).collect();
        write!(f, "{{{}}}", names.join(", "))
    }
}

//! A record set in parts: several sets of one name, each served at a weight, that are one to whoever decides.
//!
//! A [`Part`] is one region's share as it is wanted, a [`FoundPart`] one set as a provider holds it; a [`Weighed`] address
//! is what both come to, and what is remembered. Carries ONLY-WHEN-DIFFERENT: [`is_split_as`] says whether they agree.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{Found, InForce, Ttl};

/// How often a set is answered, among all of one name: this in their sum; 0 to 1000. What 0 means beside others only the
/// provider knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weight(u16);

impl Weight {
    /// Of a region that names none: twice as much and a half can both be said beside it.
    pub const DEFAULT: Self = Self(100);

    /// This weight; none above 1000.
    #[must_use]
    pub fn from_number(weight: u16) -> Option<Self> {
        (weight <= 1000).then_some(Self(weight))
    }

    /// As a number.
    #[must_use]
    pub fn as_number(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A served address, and the weight of the set that it is in, where sets have one. As text `198.51.100.10 weight 90`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weighed {
    /// The address.
    pub address: IpAddr,
    /// The weight; none where sets have none.
    pub weight: Option<Weight>,
}

impl From<IpAddr> for Weighed {
    fn from(address: IpAddr) -> Self {
        Self { address, weight: None }
    }
}

impl fmt::Display for Weighed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.weight {
            Some(weight) => write!(f, "{} weight {weight}", self.address),
            None => write!(f, "{}", self.address),
        }
    }
}

impl FromStr for Weighed {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (address, weight) = match text.split_once(" weight ") {
            Some((address, weight)) => {
                let weight = weight.parse().ok().and_then(Weight::from_number);
                (address, Some(weight.ok_or("is no weight from 0 to 1000")?))
            }
            None => (text, None),
        };
        Ok(Self { address: address.parse().map_err(|_| "is no address")?, weight })
    }
}

impl Serialize for Weighed {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Weighed {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(|wrong| de::Error::custom(format!("{text:?} {wrong}")))
    }
}

/// Addresses that are served together, as they are to be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Part {
    /// At which weight.
    pub weight: Weight,
    /// Which; none while they are not to be served.
    pub values: BTreeSet<IpAddr>,
    /// All addresses, past ones too, by which a set is known to be this part's.
    pub owned: BTreeSet<IpAddr>,
}

impl Part {
    /// Its values, weighed.
    pub fn weighed(&self) -> impl Iterator<Item = Weighed> {
        self.values.iter().map(|address| Weighed { address: *address, weight: Some(self.weight) })
    }
}

/// One of the sets that a provider holds under one name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FoundPart {
    /// The provider's id of it.
    pub id: String,
    /// Its values.
    pub values: BTreeSet<IpAddr>,
    /// Its weight; none where it has none.
    pub weight: Option<Weight>,
    /// Its TTL.
    pub ttl: Ttl,
    /// The description that must survive a write.
    pub description: Option<String>,
    /// Whether it is served.
    pub state: PartState,
}

/// Whether a provider serves one of several sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PartState {
    /// It is.
    Served,
    /// It soon is, or what it holds is about to change.
    Coming,
    /// The last change failed: whether it is served, and with what, is not known.
    Failed,
    /// It still is, and soon is not.
    Leaving,
    /// It is switched off, and can be switched on again.
    Off,
    /// The provider keeps it from being served, and whoever may lift that is not us.
    Withheld,
}

impl PartState {
    /// Whether its values count as held: not those of a set that is or will be out of service.
    #[must_use]
    pub fn is_served(self) -> bool {
        match self {
            Self::Served | Self::Coming | Self::Failed => true,
            Self::Leaving | Self::Off | Self::Withheld => false,
        }
    }
}

impl FoundPart {
    /// Its values, weighed.
    pub fn weighed(&self) -> impl Iterator<Item = Weighed> {
        self.values.iter().map(|address| Weighed { address: *address, weight: self.weight })
    }

    fn holds_any(&self, addresses: &BTreeSet<IpAddr>) -> bool {
        !self.values.is_disjoint(addresses)
    }
}

impl Found {
    /// The same, with whether it is in force judged by the sets that hold any of our addresses: what becomes of somebody
    /// else's set holds up nothing of ours.
    #[must_use]
    pub fn judged_by(mut self, owned: &BTreeSet<IpAddr>) -> Self {
        if self.parts.is_empty() {
            return self;
        }
        let mut in_force = InForce::Yes;
        for part in self.parts.iter().filter(|part| part.holds_any(owned)) {
            in_force = match (in_force, part.state) {
                (_, PartState::Coming | PartState::Leaving) => InForce::Pending,
                (InForce::Yes, PartState::Failed) => InForce::Failed,
                (so_far, _) => so_far,
            };
        }
        self.in_force = in_force;
        self
    }

    /// The addresses that are held and that the provider keeps from being served, whatever is written.
    #[must_use]
    pub fn withheld(&self) -> BTreeSet<IpAddr> {
        let withheld = self.parts.iter().filter(|part| part.state == PartState::Withheld);
        withheld.flat_map(|part| &part.values).filter(|value| !self.values.contains(value)).copied().collect()
    }
}

/// Whether what is served of the parts' addresses is split and weighed as they say; true of any when there are no parts.
/// What the provider withholds is left out of account.
#[must_use]
pub fn is_split_as(found: &Found, parts: &[Part]) -> bool {
    if parts.is_empty() {
        return true;
    }
    let owned: BTreeSet<IpAddr> = parts.iter().flat_map(|part| part.owned.iter().copied()).collect();
    let withheld = found.withheld();
    let served = found.parts.iter().filter(|part| part.state.is_served() && part.holds_any(&owned));
    let mut are: Vec<(BTreeSet<IpAddr>, Option<Weight>)> =
        served.map(|part| (part.values.clone(), part.weight)).collect();
    let wanted = parts.iter().map(|part| (&part.values - &withheld, Some(part.weight)));
    let mut wanted: Vec<_> = wanted.filter(|(values, _)| !values.is_empty()).collect();
    are.sort();
    wanted.sort();
    are == wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> BTreeSet<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn weight(number: u16) -> Weight {
        Weight::from_number(number).unwrap()
    }

    fn found(parts: &[(&[&str], Option<u16>, PartState)]) -> Found {
        let part = |(values, number, state): &(&[&str], Option<u16>, PartState)| FoundPart {
            id: "id".to_owned(),
            values: addresses(values),
            weight: number.map(weight),
            ttl: Ttl::DEFAULT,
            description: None,
            state: *state,
        };
        let parts: Vec<FoundPart> = parts.iter().map(part).collect();
        let served = parts.iter().filter(|part| part.state.is_served());
        let values = served.flat_map(|part| part.values.clone()).collect();
        Found {
            id: String::new(),
            values,
            ttl: Ttl::DEFAULT,
            in_force: InForce::Yes,
            description: None,
            parts,
        }
    }

    fn part(number: u16, values: &[&str], owned: &[&str]) -> Part {
        Part { weight: weight(number), values: addresses(values), owned: addresses(owned) }
    }

    #[test]
    fn a_weighed_address_is_read_back_from_its_text_and_a_plain_one_is_an_address() {
        for text in ["198.51.100.10", "2001:db8::1 weight 0", "198.51.100.10 weight 1000"] {
            let weighed: Weighed = text.parse().unwrap();
            assert_eq!(weighed.to_string(), text);
            assert_eq!(serde_json::from_value::<Weighed>(serde_json::json!(text)).unwrap(), weighed);
        }
        for bad in
            ["", "198.51.100.10 weight", "198.51.100.10 weight 1001", "x weight 1", "198.51.100.10 weight -1"]
        {
            assert!(bad.parse::<Weighed>().is_err(), "{bad}");
        }
    }

    #[test]
    fn sets_are_split_as_wanted_only_with_each_region_alone_at_its_weight() {
        let wanted = [part(90, &["10.0.0.1"], &["10.0.0.1"]), part(10, &["10.0.0.2"], &["10.0.0.2"])];
        let served = PartState::Served;
        let split = |parts: &[(&[&str], Option<u16>, PartState)]| is_split_as(&found(parts), &wanted);
        assert!(split(&[(&["10.0.0.1"], Some(90), served), (&["10.0.0.2"], Some(10), served)]));
        // Somebody else's set is nobody's business.
        let theirs: (&[&str], _, _) = (&["192.0.2.7"], None, PartState::Failed);
        assert!(split(&[(&["10.0.0.2"], Some(10), served), (&["10.0.0.1"], Some(90), served), theirs]));
        assert!(!split(&[(&["10.0.0.1"], Some(90), served), (&["10.0.0.2"], Some(11), served)]));
        assert!(!split(&[(&["10.0.0.1", "10.0.0.2"], Some(90), served)]));
        assert!(!split(&[(&["10.0.0.1", "192.0.2.7"], Some(90), served), (&["10.0.0.2"], Some(10), served)]));
        let twice: (&[&str], _, _) = (&["10.0.0.1"], Some(90), served);
        assert!(!split(&[twice, twice, (&["10.0.0.2"], Some(10), served)]));
        assert!(!split(&[twice, (&["10.0.0.2"], Some(10), PartState::Off)]));
        // What the provider withholds cannot be helped.
        assert!(split(&[twice, (&["10.0.0.2"], Some(10), PartState::Withheld)]));
    }

    #[test]
    fn a_region_that_is_out_is_as_wanted_with_its_set_switched_off_or_gone() {
        let wanted = [part(90, &["10.0.0.1"], &["10.0.0.1"]), part(10, &[], &["10.0.0.2"])];
        let first: (&[&str], _, _) = (&["10.0.0.1"], Some(90), PartState::Served);
        assert!(is_split_as(&found(&[first]), &wanted));
        assert!(is_split_as(&found(&[first, (&["10.0.0.2"], Some(10), PartState::Off)]), &wanted));
        assert!(!is_split_as(&found(&[first, (&["10.0.0.2"], Some(10), PartState::Failed)]), &wanted));
    }

    #[test]
    fn whether_it_is_in_force_is_judged_by_our_sets_alone() {
        let ours = addresses(&["10.0.0.1"]);
        let judged = |state, theirs| {
            let parts: [(&[&str], _, _); 2] =
                [(&["10.0.0.1"], Some(1), state), (&["192.0.2.7"], Some(1), theirs)];
            found(&parts).judged_by(&ours).in_force
        };
        assert_eq!(judged(PartState::Served, PartState::Failed), InForce::Yes);
        assert_eq!(judged(PartState::Served, PartState::Coming), InForce::Yes);
        assert_eq!(judged(PartState::Coming, PartState::Served), InForce::Pending);
        assert_eq!(judged(PartState::Leaving, PartState::Served), InForce::Pending);
        assert_eq!(judged(PartState::Failed, PartState::Served), InForce::Failed);
        assert_eq!(judged(PartState::Off, PartState::Failed), InForce::Yes);
    }
}

//! The regions as they really are, and what a look at one finds.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use pointsman::model::{Outcome, Reason};

use super::settings::{Kind, Settings, address};

/// How a region really is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    Serves,
    Dead,
    /// So many percent of its looks fail.
    Half(u64),
    /// Dead for so many seconds, then serving for as many, and so on.
    Flaps(u64),
    /// Only what the check at this place looks at is broken.
    Lacks(usize),
}

/// Our own way to the regions and to the cloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Network {
    Fine,
    /// Packets vanish: direct looks fail, the cloud cannot be asked.
    Lost,
    /// This machine says that it cannot look.
    Local,
}

/// What one answer of the list of load balancers says wrongly of a region's EIPs. The list of EIPs tells the truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    NoEip,
    AnotherEip,
}

/// One answer serves all who ask within this time.
const SHARED_MS: i64 = 2_000;

#[derive(Clone, Debug)]
pub(crate) struct Regions {
    pub(crate) health: Vec<Health>,
    /// Which check of which region cannot look.
    pub(crate) blind: BTreeSet<(usize, usize)>,
    pub(crate) network: Network,
    /// What is bound to each one's load balancer.
    pub(crate) bound: Vec<BTreeSet<IpAddr>>,
    /// Lies about a region, each from when it was first heard.
    pub(crate) lies: BTreeMap<usize, (Lie, Option<i64>)>,
    /// Regions whose next look fails, that one alone.
    pub(crate) glitches: BTreeSet<usize>,
}

impl Regions {
    pub(crate) fn new(count: usize) -> Self {
        Self {
            health: vec![Health::Serves; count],
            blind: BTreeSet::new(),
            network: Network::Fine,
            bound: (0..count).map(|place| BTreeSet::from([address(place, 0)])).collect(),
            lies: BTreeMap::new(),
            glitches: BTreeSet::new(),
        }
    }

    /// What two different calls say together about the addresses of a region: the list of load balancers and the one of
    /// EIPs. None while they do not agree.
    pub(crate) fn bound_by_two(&mut self, place: usize, now_ms: i64) -> Option<&BTreeSet<IpAddr>> {
        let lie = self.lie(place, now_ms);
        let truth = &self.bound[place];
        let is_listed = match lie {
            None => true,
            Some(Lie::NoEip) => truth.is_empty(),
            Some(Lie::AnotherEip) => *truth == BTreeSet::from([address(place, 9)]),
        };
        is_listed.then_some(truth)
    }

    fn lie(&mut self, place: usize, now_ms: i64) -> Option<Lie> {
        let (lie, heard) = self.lies.get_mut(&place)?;
        if now_ms - *heard.get_or_insert(now_ms) <= SHARED_MS {
            return Some(*lie);
        }
        self.lies.remove(&place);
        None
    }

    /// What one look finds. `known` is where the looks think that the region is; none before that was told. `drawn` is
    /// the chance of this look.
    pub(crate) fn look(
        &mut self,
        settings: &Settings,
        (place, check): (usize, usize),
        known: Option<&BTreeSet<IpAddr>>,
        now_ms: i64,
        drawn: u64,
    ) -> Outcome {
        let kind = settings.checks[check].kind;
        let is_direct = matches!(kind, Kind::Web | Kind::Closed);
        if self.blind.contains(&(place, check)) {
            return Outcome::Unknown(if is_direct { Reason::Local } else { Reason::Api });
        }
        match (self.network, is_direct) {
            (Network::Fine, _) => {}
            (Network::Lost, true) => return Outcome::Fail(Reason::Timeout),
            (Network::Local, true) => return Outcome::Unknown(Reason::Local),
            (Network::Lost | Network::Local, false) => return Outcome::Unknown(Reason::Api),
        }
        match (is_direct, known) {
            (true, None) => return Outcome::Unknown(Reason::NoAddress),
            (true, Some(known)) if known.is_empty() => return Outcome::Fail(Reason::Unbound),
            (_, _) => {}
        }
        let has_glitch = kind != Kind::Eip && self.glitches.remove(&place);
        let is_well = match self.health[place] {
            _ if has_glitch => false,
            Health::Serves => true,
            Health::Dead => false,
            Health::Half(percent) => drawn % 100 >= percent,
            Health::Flaps(seconds) => now_ms / 1000 / i64::try_from(seconds).unwrap_or(1).max(1) % 2 == 1,
            Health::Lacks(broken) => broken != check,
        };
        let is_bound = settings.regions[place].fixed > 0 || !self.bound[place].is_empty();
        match kind {
            Kind::Eip if self.bound_by_two(place, now_ms).is_none() => Outcome::Unknown(Reason::Api),
            Kind::Web | Kind::Elb if is_well => Outcome::Pass,
            Kind::Web => Outcome::Fail(Reason::Refused),
            Kind::Closed if is_well => Outcome::Fail(Reason::Status),
            Kind::Closed => Outcome::Pass,
            Kind::Elb => Outcome::Fail(if drawn.is_multiple_of(5) { Reason::Gone } else { Reason::Backends }),
            Kind::Eip if is_bound && self.health[place] != Health::Lacks(check) => Outcome::Pass,
            Kind::Eip => Outcome::Fail(Reason::Unbound),
        }
    }
}

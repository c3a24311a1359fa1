//! What belongs to one service of the simulated daemon: what outlives a process, and what a process runs for it. What
//! services share is in `play` and in `process`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use pointsman::core::{Effect, KnownWrites, Plan};
use pointsman::model::{Inquiry, Pace};

use super::cloud::Cloud;
use super::driver::Driver;
use super::haste::Haste;
use super::judge::Judge;
use super::settings::{Settings, foreign, place_of_service};
use super::witnesses::{Asking, Resolvers};

/// A service with its record set and its judge.
pub(crate) struct OneService {
    /// What the configuration file says.
    pub(crate) settings: Settings,
    pub(crate) cloud: Cloud,
    pub(crate) judge: Judge,
    pub(crate) haste: Haste,
    pub(crate) resolvers: Resolvers,
    /// When another program last undid a write of ours.
    pub(crate) undone_at: Option<i64>,
}

impl OneService {
    /// One whose record set holds the addresses of the regions at these places.
    pub(crate) fn new(settings: &Settings, published: &[usize]) -> Self {
        let values = published.iter().map(|place| settings.home(*place)).chain([foreign(99)]);
        let mut cloud = Cloud::new(values.clone().collect());
        if settings.weighted && settings.starts_in_one {
            cloud.split([(values.collect(), Some(1))]);
        } else if settings.weighted {
            let mut homes = BTreeSet::new();
            let weight = |place: &usize| Some(settings.regions[*place].weight);
            let own = published.iter().filter(|place| homes.insert(settings.home(**place)));
            let own: Vec<_> = own.map(|place| ([settings.home(*place)].into(), weight(place))).collect();
            cloud.split(own.into_iter().chain([([foreign(99)].into(), Some(7))]));
        }
        Self {
            cloud,
            judge: Judge::new(settings),
            haste: Haste::default(),
            resolvers: Resolvers::default(),
            undone_at: None,
            settings: settings.clone(),
        }
    }
}

/// What a process runs for one service.
pub(crate) struct Tasks {
    /// What it runs by.
    pub(crate) settings: Settings,
    pub(crate) driver: Driver,
    /// The newest plan and the newest orders, each with how many there were.
    pub(crate) plan: (u64, Option<Arc<Plan>>),
    pub(crate) orders: (u64, Settings),
    /// What a driver that is started anew goes on from.
    pub(crate) known_writes: Option<KnownWrites>,
    pub(crate) beats: BTreeMap<(usize, usize), Beat>,
    pub(crate) followers: Vec<u64>,
    /// Where looks find each region; none before that was told.
    pub(crate) known: Vec<Option<BTreeSet<IpAddr>>>,
    pub(crate) paces: Vec<Pace>,
    /// What witnesses are asked, where what they say is drawn; elsewhere a task asks them.
    pub(crate) inquiry: Option<Arc<Inquiry>>,
    pub(crate) asking: Asking,
}

/// The task of one check.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beat {
    pub(crate) token: u64,
    pub(crate) started: i64,
    pub(crate) is_looking: bool,
}

impl Tasks {
    /// Nothing but the driver: no region is looked at before it is set up.
    pub(crate) fn new(settings: &Settings, driver: Driver, known_writes: Option<KnownWrites>) -> Self {
        let count = settings.regions.len();
        Self {
            settings: Settings { regions: Vec::new(), checks: Vec::new(), ..settings.clone() },
            driver,
            plan: (0, None),
            orders: (0, settings.clone()),
            known_writes,
            beats: BTreeMap::new(),
            followers: vec![0; count],
            known: vec![None; count],
            paces: vec![Pace::Normal; count],
            inquiry: None,
            asking: Asking::default(),
        }
    }
}

/// Which service it is about.
pub(crate) fn subject(effect: &Effect) -> usize {
    place_of_service(match effect {
        Effect::Transition(transition) => &transition.service,
        Effect::Apply(plan) => &plan.service,
        Effect::Alarm(raised) => &raised.service,
        Effect::Witness(inquiry) => &inquiry.service,
        Effect::Pace { service, .. }
        | Effect::Held { service, .. }
        | Effect::Waiting { service, .. }
        | Effect::Said { service, .. }
        | Effect::Ended { service, .. }
        | Effect::Ledger { service, .. } => service,
    })
}

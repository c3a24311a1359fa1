//! What the simulated cloud holds: its regions' load balancers, members and public addresses.
//!
//! Plain data behind one lock, never held while waiting. Who is alive, what health monitors have noticed, and
//! which address leads where are decided here; how it is told is each service's own file. Start at [`State`].

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use jiff::SignedDuration;
use tokio::time::Instant;

use super::fault::{Api, Faults};
use super::metadata::Agency;
use super::records::Records;
use super::region::EndpointState;
use super::setup::{RegionSetup, Setup};
use super::{ids, region::Path};
use crate::clock;

/// Everything that changes.
#[derive(Debug)]
pub(super) struct State {
    pub(super) regions: Vec<RegionState>,
    pub(super) eips: Vec<Eip>,
    pub(super) records: Records,
    pub(super) faults: Faults,
    pub(super) agency: Agency,
    pub(super) requests: BTreeMap<Api, u64>,
    /// How many requests a fault holds now.
    pub(super) held: usize,
    /// How long health monitors take to notice.
    pub(super) notice: Duration,
    /// The cloud's clock less the machine's.
    pub(super) clock_ahead: SignedDuration,
}

/// One region: its load balancer and what stands behind it.
#[derive(Debug)]
pub(super) struct RegionState {
    pub(super) setup: RegionSetup,
    pub(super) members: Vec<Member>,
    pub(super) endpoint: EndpointState,
    /// The ids of the EIPs that were bound last, one of each family, to be bound again.
    pub(super) last_eips: Vec<String>,
}

/// Which pool of a load balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pool {
    /// The listener's default pool.
    Web,
    /// The one a forwarding policy of the listener sends to.
    Api,
}

/// A member of a pool.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) pool: Pool,
    pub(super) address: Ipv4Addr,
    /// Whether it really answers.
    pub(super) alive: bool,
    /// What health monitors found before they could notice the last change.
    noticed_before: bool,
    changed: Option<Instant>,
}

/// A public address.
#[derive(Debug)]
pub(super) struct Eip {
    pub(super) id: String,
    pub(super) project_id: String,
    pub(super) address: IpAddr,
    /// The load balancer it is bound to.
    pub(super) elb: Option<String>,
}

impl State {
    pub(super) fn new(setup: &Setup, records: Records) -> Self {
        Self {
            regions: setup.regions.iter().map(RegionState::new).collect(),
            eips: setup.regions.iter().flat_map(Eip::all_of).collect(),
            records,
            faults: Faults::default(),
            agency: Agency::new(setup),
            requests: BTreeMap::new(),
            held: 0,
            notice: setup.notice,
            clock_ahead: SignedDuration::ZERO,
        }
    }

    /// What time it is in the cloud, since 1970: for signatures, the end of keys, and the `Date` of answers.
    pub(super) fn wall_time(&self) -> Duration {
        let wall = clock::wall_time();
        let apart = self.clock_ahead.unsigned_abs();
        if self.clock_ahead.is_negative() { wall.saturating_sub(apart) } else { wall.saturating_add(apart) }
    }

    /// The IPv4 EIP bound to a load balancer.
    pub(super) fn eip_of(&self, elb_id: &str) -> Option<&Eip> {
        self.eips_of(elb_id).find(|eip| eip.address.is_ipv4())
    }

    /// The EIPs bound to a load balancer, of both families.
    pub(super) fn eips_of(&self, elb_id: &str) -> impl Iterator<Item = &Eip> {
        self.eips.iter().filter(move |eip| eip.elb.as_deref() == Some(elb_id))
    }

    /// Binds an EIP that is there to a load balancer that is there.
    pub(super) fn bind(&mut self, eip: &str, elb_id: &str) {
        let is_v4 = |id: &str| self.eips.iter().any(|eip| eip.id == id && eip.address.is_ipv4());
        let family = is_v4(eip);
        for region in self.regions.iter_mut().filter(|region| region.setup.elb_id == elb_id) {
            region.last_eips.retain(|last| {
                self.eips.iter().any(|eip| eip.id == *last && eip.address.is_ipv4() != family)
            });
            region.last_eips.push(eip.to_owned());
        }
        for eip in self.eips.iter_mut().filter(|known| known.id == eip) {
            eip.elb = Some(elb_id.to_owned());
        }
    }

    /// Binds the EIPs again that a region had last, unless it has one.
    pub(super) fn bind_again(&mut self, region: usize) {
        let Some(region) = self.regions.get(region) else { return };
        let (elb, eips) = (region.setup.elb_id.clone(), region.last_eips.clone());
        if self.eips_of(&elb).next().is_none() {
            for eip in eips {
                self.bind(&eip, &elb);
            }
        }
    }

    /// A region's load balancer has no EIP any more.
    pub(super) fn unbind(&mut self, region: usize) {
        let Some(region) = self.regions.get(region) else { return };
        for eip in self.eips.iter_mut().filter(|eip| eip.elb.as_ref() == Some(&region.setup.elb_id)) {
            eip.elb = None;
        }
    }

    /// Where traffic to a public address ends.
    pub(super) fn path(&self, address: IpAddr, now: Instant) -> Path {
        let eip = self.eips.iter().find(|eip| eip.address == address);
        let elb = eip.and_then(|eip| eip.elb.as_deref());
        let Some(region) = self.regions.iter().find(|region| Some(region.setup.elb_id.as_str()) == elb)
        else {
            return Path::Nowhere;
        };
        let web = || region.members.iter().filter(|member| member.pool == Pool::Web);
        if matches!(region.endpoint, EndpointState::Hang) {
            Path::Nowhere
        } else if web().any(|member| member.alive) {
            Path::Served { region: region.setup.clone(), endpoint: region.endpoint.clone() }
        } else if web().any(|member| member.passes_checks(now, self.notice)) {
            Path::NoBackendAnswers
        } else {
            Path::NoBackendLeft
        }
    }
}

impl RegionState {
    fn new(setup: &RegionSetup) -> Self {
        let web = (0..setup.members).map(|at| Member::new(setup, Pool::Web, at));
        let api = (0..setup.members.min(1)).map(|at| Member::new(setup, Pool::Api, at));
        Self {
            members: web.chain(api).collect(),
            endpoint: EndpointState::Serve,
            last_eips: Eip::all_of(setup).map(|eip| eip.id).collect(),
            setup: setup.clone(),
        }
    }

    /// The first `count` members live, the others do not.
    pub(super) fn keep_alive(&mut self, count: usize, now: Instant, notice: Duration) {
        for (at, member) in self.members.iter_mut().enumerate() {
            member.turn(at < count, now, notice);
        }
    }

    pub(super) fn members_of(&self, pool: Pool) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(move |member| member.pool == pool)
    }

    pub(super) fn pool_id(&self, pool: Pool) -> String {
        let name = match pool {
            Pool::Web => "web",
            Pool::Api => "api",
        };
        self.id(&format!("pool {name}"))
    }

    /// The id of something that belongs to the region.
    pub(super) fn id(&self, what: &str) -> String {
        ids::uuid(&format!("{what} {}", self.setup.name))
    }
}

impl Member {
    fn new(setup: &RegionSetup, pool: Pool, at: usize) -> Self {
        let (kind, subnet) = match pool {
            Pool::Web => ("web", 1),
            Pool::Api => ("api", 2),
        };
        let name = format!("{kind}-{at}");
        Self {
            id: ids::uuid(&format!("member {name} {}", setup.name)),
            name,
            pool,
            address: Ipv4Addr::new(10, 20, subnet, u8::try_from(11 + at).unwrap_or(u8::MAX)),
            alive: true,
            noticed_before: true,
            changed: None,
        }
    }

    /// What the load balancer's health monitors say of it now.
    pub(super) fn passes_checks(&self, now: Instant, notice: Duration) -> bool {
        let noticed = self.changed.is_none_or(|changed| now.duration_since(changed) >= notice);
        if noticed { self.alive } else { self.noticed_before }
    }

    fn turn(&mut self, alive: bool, now: Instant, notice: Duration) {
        if self.alive != alive {
            self.noticed_before = self.passes_checks(now, notice);
            self.alive = alive;
            self.changed = Some(now);
        }
    }
}

impl Eip {
    /// Those that a region starts with.
    fn all_of(region: &RegionSetup) -> impl Iterator<Item = Self> {
        let v6 = region.eip6.map(IpAddr::V6);
        [IpAddr::V4(region.eip)].into_iter().chain(v6).map(|address| Self::bound(region, address))
    }

    /// 4 or 6.
    pub(super) fn ip_version(&self) -> u8 {
        if self.address.is_ipv4() { 4 } else { 6 }
    }

    pub(super) fn bound(region: &RegionSetup, address: IpAddr) -> Self {
        Self {
            id: ids::uuid(&format!("eip {address}")),
            project_id: region.project_id.clone(),
            address,
            elb: Some(region.elb_id.clone()),
        }
    }
}

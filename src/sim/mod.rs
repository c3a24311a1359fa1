//! A simulated Huawei Cloud on loopback, for `pointsman demo` and for tests.
//!
//! ELB, EIP, DNS, IAM and metadata answer over real HTTP at one base URL and check signatures; each region
//! has an HTTP endpoint on a loopback address of its own; the private zone is served over real DNS; and
//! everything can be made to go wrong. It follows the vendor's API, not our client, and knows nothing of
//! what pointsman does. Start at [`SimulatedCloud::start`].

mod answer;
mod api;
mod cloud;
mod control;
mod dns;
mod eip;
mod elb;
mod fault;
mod http;
mod iam;
mod ids;
mod metadata;
mod name_server;
mod page;
mod record_set;
mod records;
mod region;
mod setup;
mod signature;
mod stamp;
mod state;
mod zone;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::cloud::Cloud;
pub use self::fault::{Api, Effect, Fault, FaultId, On, When};
pub use self::name_server::{NameServer, NameServerError, PrimaryZone, Updates};
pub use self::record_set::Version;
pub use self::region::EndpointState;
pub use self::setup::{MoreSet, Neighbour, OtherZone, PendingWrites, RegionSetup, Setup, ZoneType};
use crate::clock;

/// How often a port is looked for that is free on every region's address.
const PORT_TRIES: usize = 50;
/// Doors waiting to be served: one a region at the start, one a changed EIP later.
const NEW_DOORS: usize = 16;

/// What can go wrong when somebody turns the simulated cloud's switches.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// There is no region of that name.
    #[error("the simulated cloud has no region named {0}")]
    UnknownRegion(String),
    /// The record set that matters is not there.
    #[error("the simulated zone has no record set {0} A")]
    NoRecordSet(String),
    /// The simulated API refused a write.
    #[error("the simulated DNS refused the write: {0}")]
    Refused(String),
    /// A request under `/sim` that makes no sense.
    #[error("not understood: {0}")]
    Request(String),
    /// An address or port cannot be served.
    #[error("a region's address cannot be served")]
    Io(#[from] io::Error),
    /// The cloud has been stopped.
    #[error("the simulated cloud has stopped")]
    Stopped,
}

/// A running simulated cloud. Dropped, it is gone at once; [`SimulatedCloud::stop`] waits until it is.
#[derive(Debug)]
pub struct SimulatedCloud {
    cloud: Arc<Cloud>,
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

impl SimulatedCloud {
    /// Starts it; when this returns, everything answers.
    ///
    /// # Errors
    /// A setup that makes no sense, an address or a port that cannot be had.
    pub async fn start(mut setup: Setup) -> io::Result<Self> {
        check(&setup)?;
        let doors = bind_regions(&mut setup).await?;
        let listener = TcpListener::bind(setup.bind).await?;
        let sockets = zone::Sockets::bind(setup.dns_bind).await?;
        let served = Arc::new(zone::ServedZone::new(&setup.zone)?);
        let started = clock::instant_now();
        let state = state::State::new(&setup, records::Records::new(&setup, started));
        let addresses = (listener.local_addr()?, sockets.address()?);
        let (new_doors, inbox) = mpsc::channel(NEW_DOORS);
        let cloud = Arc::new(Cloud::new(setup, addresses, started, Arc::clone(&served), state, new_doors));
        let initially = cloud.state().records.all_served(&cloud.zone_id);
        for (name, record_type, sets) in initially {
            served.put(&name, &record_type, &sets).await;
        }
        let (mut tasks, stop) = (JoinSet::new(), CancellationToken::new());
        tasks.spawn(cloud::keep_doors(Arc::clone(&cloud), inbox, stop.clone()));
        tasks.spawn(cloud::settle(Arc::clone(&cloud), stop.clone()));
        tasks.spawn(api::serve(Arc::clone(&cloud), listener, stop.clone()));
        tasks.spawn(sockets.serve(served, stop.clone()));
        for (listener, address) in doors {
            cloud.add_door(listener, address).await.map_err(io::Error::other)?;
        }
        Ok(Self { cloud, tasks, stop })
    }

    /// Stops it and waits until every port is free again.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }

    /// The base URL of every API, such as `http://127.0.0.1:40123`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.cloud.api_address)
    }

    /// Where the private zone is served, UDP and TCP.
    #[must_use]
    pub fn dns_address(&self) -> SocketAddr {
        self.cloud.dns_address
    }

    /// The setup it runs with, ports filled in.
    #[must_use]
    pub fn setup(&self) -> &Setup {
        &self.cloud.setup
    }

    /// What clients got for the record that matters after each change that came into force, oldest first; all that any of
    /// them may get, where sets have weights.
    #[must_use]
    pub fn served_history(&self) -> Vec<Vec<IpAddr>> {
        let parse = |values: &Vec<String>| values.iter().filter_map(|value| value.parse().ok()).collect();
        self.cloud.state().records.history().iter().map(parse).collect()
    }

    /// What the zone answers for the record that matters, of all its sets in force, in the order written; empty when there is
    /// none.
    #[must_use]
    pub fn zone_values(&self) -> Vec<IpAddr> {
        self.cloud.zone_values().iter().filter_map(|value| value.parse().ok()).collect()
    }

    /// Every version of the record set that matters, oldest first.
    #[must_use]
    pub fn history(&self) -> Vec<Version> {
        self.cloud.history()
    }

    /// How long it has been running: the clock that [`Version`]'s times are read from.
    #[must_use]
    pub fn since_start(&self) -> Duration {
        clock::instant_now().duration_since(self.cloud.started)
    }

    /// How many requests each API has got, answered or not.
    #[must_use]
    pub fn requests(&self) -> BTreeMap<Api, u64> {
        self.cloud.state().requests.clone()
    }

    /// How many requests a fault holds now ([`Effect::Held`]).
    #[must_use]
    pub fn held(&self) -> usize {
        self.cloud.state().held
    }

    /// All of it but the keys, as the control API tells it.
    #[must_use]
    pub fn describe(&self) -> serde_json::Value {
        control::describe(&self.cloud)
    }

    /// A region, to look at and to break.
    ///
    /// # Errors
    /// There is no region of that name.
    pub fn region(&self, name: &str) -> Result<SimulatedRegion<'_>, SimError> {
        self.cloud.find(name).map(|at| SimulatedRegion { cloud: &self.cloud, at })
    }

    /// Switches a fault on, until it is used up or cleared.
    #[expect(
        clippy::must_use_candidate,
        reason = "switching it on is the point; the id is for clearing it early"
    )]
    pub fn fault(&self, fault: Fault) -> FaultId {
        self.cloud.add_fault(fault)
    }

    /// Switches a fault off, if it still is on, and frees what is stuck.
    pub fn clear(&self, fault: FaultId) {
        self.cloud.clear_fault(fault);
    }

    /// Switches every fault off and frees what is stuck.
    pub fn clear_faults(&self) {
        self.cloud.clear_faults();
    }

    /// Writes the record set that matters as somebody else would; in force after the usual delay.
    ///
    /// # Errors
    /// There is no such record set, or the write is refused as one of the account's would be.
    pub fn write_as(&self, by: &str, values: &[IpAddr]) -> Result<(), SimError> {
        self.cloud.write_as(by, values.iter().map(ToString::to_string).collect())
    }

    /// Gives a record set of the zone that matters another status, as the vendor does: `FREEZE`, `POLICE`, `ACTIVE`. What is
    /// not `ACTIVE` is not served, though a name asked for keeps its last answer until the next write.
    ///
    /// # Errors
    /// There is no such record set.
    pub fn set_status(&self, id: &str, status: &'static str) -> Result<(), SimError> {
        let done = self.cloud.state().records.set_status(id, status);
        done.ok_or_else(|| SimError::NoRecordSet(id.to_owned()))
    }

    /// Sets the cloud's clock so much ahead of this machine's, or behind when negative; at first they agree. It
    /// is what signatures' dates and the ends of temporary keys are held against, and what answers are dated by.
    pub fn set_clock(&self, ahead: SignedDuration) {
        self.cloud.state().clock_ahead = ahead;
    }

    /// Makes every metadata token handed out so far worthless.
    pub fn forget_metadata_tokens(&self) {
        self.cloud.state().agency.forget_tokens();
    }
}

/// One region of a running simulated cloud.
#[derive(Clone, Copy, Debug)]
pub struct SimulatedRegion<'a> {
    cloud: &'a Cloud,
    at: usize,
}

impl SimulatedRegion<'_> {
    /// Every member stops answering; the load balancer notices after [`Setup::notice`].
    pub fn members_offline(&self) {
        self.members_alive(0);
    }

    /// Every member answers again; the load balancer notices after [`Setup::notice`].
    pub fn members_online(&self) {
        self.members_alive(usize::MAX);
    }

    /// The first `count` members answer, those of the default pool first; the others do not.
    pub fn members_alive(&self, count: usize) {
        self.cloud.keep_alive(self.at, count);
    }

    /// The EIP that is bound.
    #[must_use]
    pub fn eip(&self) -> Option<Ipv4Addr> {
        self.cloud.eip(self.at)
    }

    /// The EIP leads nowhere: traffic to its address is swallowed, kept connections with it.
    ///
    /// # Errors
    /// The cloud has stopped.
    pub async fn eip_unbind(&self) -> Result<(), SimError> {
        self.cloud.unbind(self.at).await
    }

    /// The EIP that was bound last is bound again, unless one is.
    ///
    /// # Errors
    /// The cloud has stopped.
    pub async fn eip_rebind(&self) -> Result<(), SimError> {
        self.cloud.bind_again(self.at).await
    }

    /// Another EIP takes the place of the one that is bound; the old one leads nowhere.
    ///
    /// # Errors
    /// The address cannot be served at the region's port.
    pub async fn eip_change(&self, address: Ipv4Addr) -> Result<(), SimError> {
        self.cloud.change_eip(self.at, address).await
    }

    /// How the region's application behaves from now on.
    ///
    /// # Errors
    /// The port is taken by somebody else when the endpoint is to serve again after refusing.
    pub async fn endpoint(&self, state: EndpointState) -> Result<(), SimError> {
        self.cloud.set_endpoint(self.at, state).await
    }
}

fn check(setup: &Setup) -> io::Result<()> {
    let wrong = |text: String| Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    if setup.regions.is_empty() {
        return wrong("a simulated cloud needs a region".to_owned());
    }
    // The switches under `/sim` are for everybody who reaches them.
    if !setup.bind.ip().is_loopback() {
        return wrong(format!("the API must listen on a loopback address, not on {}", setup.bind));
    }
    for (at, region) in setup.regions.iter().enumerate() {
        if !region.eip.is_loopback() {
            return wrong(format!("{}: {} is not a loopback address", region.name, region.eip));
        }
        let earlier = setup.regions.iter().take(at);
        let same = |other: &RegionSetup| {
            let same_v6 = other.eip6.is_some() && other.eip6 == region.eip6;
            other.name == region.name || other.eip == region.eip || same_v6
        };
        if earlier.into_iter().any(same) {
            return wrong(format!("{}: another region has that name or address", region.name));
        }
    }
    Ok(())
}

/// A listener on every region's address; ports that are 0 become one that is free on all of them.
async fn bind_regions(setup: &mut Setup) -> io::Result<Vec<(TcpListener, SocketAddr)>> {
    let mut tries = 0;
    loop {
        match try_bind_regions(setup).await {
            Ok(doors) => {
                for (region, (_, address)) in setup.regions.iter_mut().zip(&doors) {
                    region.listener_port = address.port();
                }
                return Ok(doors);
            }
            Err(_) if tries < PORT_TRIES && setup.regions.iter().all(|it| it.listener_port == 0) => {
                tries += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

async fn try_bind_regions(setup: &Setup) -> io::Result<Vec<(TcpListener, SocketAddr)>> {
    let mut doors = Vec::new();
    let mut free = 0;
    for region in &setup.regions {
        let port = if region.listener_port == 0 { free } else { region.listener_port };
        let listener = TcpListener::bind((region.eip, port)).await?;
        let port = listener.local_addr()?.port();
        if region.listener_port == 0 {
            free = port;
        }
        doors.push((listener, SocketAddr::new(region.eip.into(), port)));
    }
    // After all the others, whose order is the regions'.
    let ports: Vec<u16> = doors.iter().map(|(_, address)| address.port()).collect();
    for (region, port) in setup.regions.iter().zip(ports) {
        let Some(address) = region.eip6.filter(Ipv6Addr::is_loopback) else { continue };
        doors.push((TcpListener::bind((address, port)).await?, SocketAddr::new(address.into(), port)));
    }
    Ok(doors)
}

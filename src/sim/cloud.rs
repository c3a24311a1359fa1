//! What all parts of the simulated cloud share: the state, the served zone, the doors, and the one task that
//! brings record sets into force.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::SimError;
use super::fault::{Fault, FaultId};
use super::ids;
use super::record_set::{Change, Version};
use super::records::{Fate, Write, WriteKind};
use super::region::{Door, DoorOrder, EndpointState, serve_door};
use super::setup::Setup;
use super::state::{Eip, RegionState, State};
use super::zone::ServedZone;
use crate::clock;

/// Shared by every task of one simulated cloud.
#[derive(Debug)]
pub(super) struct Cloud {
    /// As it started, with the ports it got.
    pub(super) setup: Setup,
    pub(super) api_address: SocketAddr,
    pub(super) dns_address: SocketAddr,
    pub(super) started: Instant,
    pub(super) zone: Arc<ServedZone>,
    /// The id of the zone that is served.
    pub(super) zone_id: String,
    state: Mutex<State>,
    /// Rung when the records have something new to do.
    pub(super) bell: Notify,
    doors: tokio::sync::Mutex<Vec<Door>>,
    new_doors: mpsc::Sender<NewDoor>,
    answered: AtomicU64,
}

/// A door that is to be served.
#[derive(Debug)]
pub(super) struct NewDoor {
    listener: TcpListener,
    address: SocketAddr,
    inbox: mpsc::Receiver<DoorOrder>,
}

impl Cloud {
    /// A cloud whose doors have yet to be served from `NewDoor`s.
    pub(super) fn new(
        setup: Setup,
        (api_address, dns_address): (SocketAddr, SocketAddr),
        started: Instant,
        zone: Arc<ServedZone>,
        state: State,
        new_doors: mpsc::Sender<NewDoor>,
    ) -> Self {
        let zone_id = state.records.zones.first().map(|zone| zone.id.clone()).unwrap_or_default();
        Self {
            setup,
            api_address,
            dns_address,
            started,
            zone,
            zone_id,
            state: Mutex::new(state),
            bell: Notify::new(),
            doors: tokio::sync::Mutex::new(Vec::new()),
            new_doors,
            answered: AtomicU64::new(0),
        }
    }

    /// The state, for as long as the guard lives; never across an await.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A name for the next request, the same in every run.
    pub(super) fn request_id(&self) -> String {
        let number = self.answered.fetch_add(1, Ordering::Relaxed);
        ids::plain(&format!("request {number}"))
    }

    /// Serves an address from now on.
    pub(super) async fn add_door(&self, listener: TcpListener, address: SocketAddr) -> Result<(), SimError> {
        let (door, inbox) = Door::new(address.ip());
        self.doors.lock().await.push(door);
        self.new_doors.send(NewDoor { listener, address, inbox }).await.map_err(|_| SimError::Stopped)
    }

    /// Opens and shuts the doors so that they agree with the state.
    pub(super) async fn align_doors(&self) -> io::Result<()> {
        let doors = self.doors.lock().await;
        for door in doors.iter() {
            let shut = {
                let state = self.state();
                let eip = state.eips.iter().find(|eip| eip.address == door.address);
                let elb = eip.and_then(|eip| eip.elb.as_ref());
                let refuses = |region: &RegionState| {
                    Some(&region.setup.elb_id) == elb && region.endpoint == EndpointState::Refuse
                };
                state.regions.iter().any(refuses)
            };
            door.set_open(!shut).await?;
        }
        Ok(())
    }

    /// Which region has that name: its place in the setup and in the state.
    pub(super) fn find(&self, region: &str) -> Result<usize, SimError> {
        let at = self.setup.regions.iter().position(|known| known.name == region);
        at.ok_or_else(|| SimError::UnknownRegion(region.to_owned()))
    }

    /// The EIP bound to a region's load balancer.
    pub(super) fn eip(&self, region: usize) -> Option<Ipv4Addr> {
        let state = self.state();
        let elb = &state.regions.get(region)?.setup.elb_id;
        match state.eip_of(elb)?.address {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        }
    }

    pub(super) fn keep_alive(&self, region: usize, count: usize) {
        let mut state = self.state();
        let notice = state.notice;
        if let Some(region) = state.regions.get_mut(region) {
            region.keep_alive(count, clock::instant_now(), notice);
        }
    }

    pub(super) async fn unbind(&self, region: usize) -> Result<(), SimError> {
        self.state().unbind(region);
        Ok(self.align_doors().await?)
    }

    pub(super) async fn bind_again(&self, region: usize) -> Result<(), SimError> {
        self.state().bind_again(region);
        Ok(self.align_doors().await?)
    }

    pub(super) async fn change_eip(&self, region: usize, address: Ipv4Addr) -> Result<(), SimError> {
        let address = IpAddr::V4(address);
        let Some(setup) = self.setup.regions.get(region) else { return Ok(()) };
        let known = self.state().eips.iter().any(|eip| eip.address == address);
        if !known {
            let at = SocketAddr::new(address, setup.listener_port);
            let listener = TcpListener::bind(at).await?;
            self.state().eips.push(Eip { elb: None, ..Eip::bound(setup, address) });
            self.add_door(listener, at).await?;
        }
        {
            let mut state = self.state();
            for eip in state.eips.iter_mut().filter(|eip| eip.elb.as_ref() == Some(&setup.elb_id)) {
                eip.elb.take_if(|_| eip.address.is_ipv4());
            }
            let eip = state.eips.iter().find(|eip| eip.address == address).map(|eip| eip.id.clone());
            state.bind(&eip.unwrap_or_default(), &setup.elb_id);
        }
        Ok(self.align_doors().await?)
    }

    pub(super) async fn set_endpoint(&self, region: usize, endpoint: EndpointState) -> Result<(), SimError> {
        if let Some(region) = self.state().regions.get_mut(region) {
            region.endpoint = endpoint;
        }
        Ok(self.align_doors().await?)
    }

    pub(super) fn add_fault(&self, fault: Fault) -> FaultId {
        self.state().faults.add(fault)
    }

    /// Whether it was on. What was stuck goes on.
    pub(super) fn clear_fault(&self, id: FaultId) -> bool {
        let mut state = self.state();
        state.records.free(clock::instant_now());
        self.bell.notify_one();
        state.faults.clear(id)
    }

    pub(super) fn clear_faults(&self) {
        let mut state = self.state();
        state.records.free(clock::instant_now());
        self.bell.notify_one();
        state.faults.clear_all();
    }

    /// A write by somebody who is not the account, to the record set that matters.
    pub(super) fn write_as(&self, by: &str, values: Vec<String>) -> Result<(), SimError> {
        let mut state = self.state();
        let found = state.records.find(&self.zone_id, &self.setup.record, "A").map(|set| set.id.clone());
        let id = found.ok_or_else(|| SimError::NoRecordSet(self.setup.record.clone()))?;
        let write = Write {
            zone_id: self.zone_id.clone(),
            kind: WriteKind::Update(id, Change::values(values)),
            by: by.to_owned(),
            fate: Fate::Settles(self.setup.settle),
        };
        state
            .records
            .write(write, clock::instant_now())
            .map_err(|refusal| SimError::Refused(refusal.message))?;
        self.bell.notify_one();
        Ok(())
    }

    /// What the zone answers for the name that matters.
    pub(super) fn zone_values(&self) -> Vec<String> {
        self.state().records.union(&self.zone_id, &self.setup.record, "A")
    }

    pub(super) fn history(&self) -> Vec<Version> {
        let state = self.state();
        let set = state.records.find(&self.zone_id, &self.setup.record, "A");
        set.map(|set| set.versions.clone()).unwrap_or_default()
    }
}

/// Serves doors as they come, until `stop`.
pub(super) async fn keep_doors(
    cloud: Arc<Cloud>,
    mut new_doors: mpsc::Receiver<NewDoor>,
    stop: CancellationToken,
) {
    let mut doors = JoinSet::new();
    while let Some(Some(door)) = stop.run_until_cancelled(new_doors.recv()).await {
        let NewDoor { listener, address, inbox } = door;
        doors.spawn(serve_door(Arc::clone(&cloud), listener, address, inbox, stop.clone()));
    }
    doors.join_all().await;
}

/// Brings accepted writes into force as they fall due, until `stop`: served first, then shown as such.
pub(super) async fn settle(cloud: Arc<Cloud>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let (due, next) = {
            let mut state = cloud.state();
            let due = state.records.take_due(clock::instant_now());
            (due, state.records.next_due())
        };
        if let Some(due) = due {
            if due.zone_id == cloud.zone_id {
                cloud.zone.put(&due.name, &due.record_type, &due.serve).await;
            }
            cloud.state().records.settled(&due, clock::instant_now());
            continue;
        }
        let until = async {
            match next {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = cloud.bell.notified() => {}
            () = until => {}
        }
    }
}

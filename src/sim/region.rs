//! A region as its clients meet it: an address that answers, refuses, or swallows what is sent to it.
//!
//! Each EIP is a loopback address of its own with a listener at the region's port, a *door*. What a
//! connection meets behind it is decided anew for each request, so a kept connection dies with its region.
//! Start at [`Path`] and [`serve_door`].

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::cloud::Cloud;
use super::fault::as_text;
use super::http::{Action, Reply, Request, converse};
use super::setup::RegionSetup;
use crate::clock;

/// Connections one address keeps at a time; further ones wait. A look is one connection.
const MAX_CONNECTIONS: usize = 1024;

/// How a region's application behaves while its load balancer has members alive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum EndpointState {
    /// 200, with the region's name in the body.
    #[default]
    Serve,
    /// This status.
    Status {
        /// The HTTP status.
        status: u16,
    },
    /// 200, later.
    Slow {
        /// How much later.
        #[serde(with = "as_text")]
        delay: Duration,
    },
    /// Connections are taken and never answered.
    Hang,
    /// Connections are refused.
    Refuse,
}

/// Where traffic to an address ends.
#[derive(Debug)]
pub(super) enum Path {
    /// The EIP leads to no load balancer, or what is behind is silent.
    Nowhere,
    /// No member is alive, and the health monitors have not noticed.
    NoBackendAnswers,
    /// No member is alive, and the load balancer knows.
    NoBackendLeft,
    /// A member answers.
    Served { region: RegionSetup, endpoint: EndpointState },
}

/// Opens or shuts a door, and tells when that is done.
#[derive(Debug)]
pub(super) struct DoorOrder {
    open: bool,
    done: oneshot::Sender<io::Result<()>>,
}

/// The handle of a door.
#[derive(Clone, Debug)]
pub(super) struct Door {
    pub(super) address: IpAddr,
    orders: mpsc::Sender<DoorOrder>,
}

impl Door {
    /// A handle, and where its orders arrive.
    pub(super) fn new(address: IpAddr) -> (Self, mpsc::Receiver<DoorOrder>) {
        // One order at a time: whoever gives one waits for it.
        let (orders, inbox) = mpsc::channel(1);
        (Self { address, orders }, inbox)
    }

    /// Opens or shuts it; afterwards connections are taken, or refused and the old ones closed.
    ///
    /// # Errors
    /// The port is taken by somebody else, or the cloud has stopped.
    pub(super) async fn set_open(&self, open: bool) -> io::Result<()> {
        let (done, answer) = oneshot::channel();
        let stopped = || io::Error::other("the simulated cloud has stopped");
        self.orders.send(DoorOrder { open, done }).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}

/// Serves one address until `stop`.
pub(super) async fn serve_door(
    cloud: Arc<Cloud>,
    listener: TcpListener,
    address: SocketAddr,
    mut inbox: mpsc::Receiver<DoorOrder>,
    stop: CancellationToken,
) {
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    loop {
        let has_room = connections.len() < MAX_CONNECTIONS;
        tokio::select! {
            () = stop.cancelled() => break,
            Some(order) = inbox.recv() => {
                let result = match (order.open, &listener) {
                    (true, None) => TcpListener::bind(address).await.map(|opened| listener = Some(opened)),
                    (true, Some(_)) => Ok(()),
                    (false, _) => {
                        listener = None;
                        connections.shutdown().await;
                        Ok(())
                    }
                };
                let _ = order.done.send(result);
            }
            Some(_) = connections.join_next() => {}
            accepted = accept(listener.as_ref()), if has_room && listener.is_some() => {
                if let Ok(stream) = accepted {
                    let cloud = Arc::clone(&cloud);
                    let ip = address.ip();
                    connections.spawn(async move {
                        converse(stream, |request| answer(&cloud, ip, request)).await;
                    });
                }
            }
        }
    }
    connections.shutdown().await;
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<tokio::net::TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(stream, _)| stream),
        None => std::future::pending().await,
    }
}

async fn answer(cloud: &Cloud, address: IpAddr, _request: Request) -> Action {
    let path = cloud.state().path(address, clock::instant_now());
    match path {
        Path::Nowhere => Action::Silence,
        Path::NoBackendAnswers => Action::Answer(elb_page(502, "Bad Gateway")),
        Path::NoBackendLeft => Action::Answer(elb_page(503, "Service Temporarily Unavailable")),
        Path::Served { region, endpoint } => match endpoint {
            EndpointState::Serve => Action::Answer(page(&region, 200)),
            EndpointState::Status { status } => Action::Answer(page(&region, status)),
            EndpointState::Slow { delay } => {
                sleep(delay).await;
                Action::Answer(page(&region, 200))
            }
            EndpointState::Hang | EndpointState::Refuse => Action::Silence,
        },
    }
}

fn page(region: &RegionSetup, status: u16) -> Reply {
    let text = format!("{} ({}) says {status}\n", region.name, region.cloud_region);
    Reply::text(status, "text/plain; charset=utf-8", text).header("X-Region", region.name.clone())
}

fn elb_page(status: u16, title: &str) -> Reply {
    let html = format!("<html><head><title>{status} {title}</title></head><body>elb</body></html>\r\n");
    Reply::text(status, "text/html", html).header("Server", "elb")
}

//! File descriptors run out, and connections to the read-only side that do nothing.

use std::net::SocketAddr;
use std::time::Duration;

use pointsman::sim::EndpointState;
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::fails_over;
use crate::dice::Dice;
use crate::stage::{Footprint, MORTAL, Stage, Way};

/// So long nothing can be opened: some times longer than the looks take that `fall` asks for.
const BLIND_FOR: Duration = Duration::from_secs(4);
/// As many connections as somebody may open who means no good: some times what are taken at once.
const IDLE: usize = 600;
/// Room for the connections that are taken at once, and for little beside.
const SCARCE: &str = "310";

/// Not one more can be opened, whatever for. Regions that cannot be looked at are not down, and the one that
/// died meanwhile leaves afterwards.
pub(crate) async fn none_left(stage: &mut Stage, dice: &mut Dice) {
    let open = Footprint::of(&stage.process_id()).unwrap().descriptors;
    let before = stage.log().len();
    stage.limit("nofile", &open.min(4).to_string());
    // What is kept open to the cloud must be opened anew too.
    stage.gate.set(Way::Shut);
    sleep(Duration::from_millis(100)).await;
    stage.gate.set(Way::Open);
    let blind = |log: &str| log.matches("alarm=blind").count();
    stage.until_log("every region is blind", |log| blind(&log[before..]) >= 3).await;
    // Somebody asks, and is not let in; the configuration is to be read, and cannot be.
    let asking = connect(stage.admin(), 1).await;
    stage.signal("HUP");
    sleep(BLIND_FOR).await;
    let region = dice.pick(&MORTAL);
    let log = stage.log();
    let since = &log[before..];
    assert!(!since.contains("to=suspect") && !since.contains("to=down"), "a region fell:\n{since}");
    assert!(since.contains("refused to reload"), "nobody answers SIGHUP:\n{since}");
    let told = since.matches("could not accept").count();
    assert!(told <= 3, "it says {told} times that nobody can be let in:\n{since}");

    stage.turn(region, EndpointState::Status { status: 503 }).await;
    stage.limit("nofile", "1024");
    drop(asking);
    stage.until_without(region).await;
    stage.settle().await;
}

/// Somebody opens connections to the read-only side and sends nothing, while descriptors are scarce.
pub(crate) async fn idle_connections(stage: &mut Stage, dice: &mut Dice) {
    stage.limit("nofile", SCARCE);
    let idle = connect(stage.admin(), IDLE).await;
    let before = stage.log().len();
    fails_over(stage, dice).await;
    let log = stage.log();
    assert!(!log[before..].contains("alarm=blind"), "idle connections made it blind:\n{}", &log[before..]);
    drop(idle);
    stage.limit("nofile", "1024");
    stage.settle().await;
}

/// So many connections, as far as they come about.
pub(super) async fn connect(to: SocketAddr, count: usize) -> Vec<TcpStream> {
    let mut open = Vec::new();
    for _ in 0..count {
        let connecting = tokio::time::timeout(Duration::from_millis(100), TcpStream::connect(to));
        open.extend(connecting.await.into_iter().flatten());
    }
    open
}

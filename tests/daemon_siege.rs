//! Clients that hold connections to the read-only side, and answers that do not end, cost no failover (KEEP-WATCHING).
#![cfg(test)] // makes clippy take the helpers below for tests too

mod daemon_world;

use std::net::SocketAddr;
use std::time::Duration;

use daemon_world::{EIP1, EIP2, FOREIGN, Now, Scene, World};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// More than there is room for, and all of them come back at once when they are sent away.
const BESIEGERS: usize = 400;

/// What one of them does, again and again.
async fn besieges(at: SocketAddr, number: usize) {
    loop {
        let Ok(mut stream) = TcpStream::connect(at).await else {
            sleep(Duration::from_millis(50)).await;
            continue;
        };
        let begun: &[u8] = match number % 4 {
            0 => b"",
            1 => b"GET /metrics HTTP/1.1\r\nhost: x\r\nx: ",
            2 => b"POST /healthz HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\nx",
            _ => b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n",
        };
        stream.write_all(begun).await.ok();
        if number.is_multiple_of(2) {
            stream.read_to_end(&mut Vec::new()).await.ok();
        } else {
            while stream.write_all(b"x").await.is_ok() {
                sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_that_dies_under_siege_leaves_and_the_daemon_says_that_it_works() {
    let world = World::watched(Scene::with_a_foreign_value()).await;
    let mut siege = JoinSet::new();
    for number in 0..BESIEGERS {
        siege.spawn(besieges(world.listens_at(), number));
    }
    world.break_region("region1").await;
    world.until("region1 has left", |now| now.zone_holds(&[EIP2, FOREIGN])).await;
    world.until("the status is told", |now| now.liveness("region1") == "down").await;
    let well = world.get("/healthz").await.expect("it answers under siege");
    assert_eq!(well, (200, "ok\n".to_owned()));
    assert!(world.metrics().await.contains("pointsman_build_info"));

    siege.shutdown().await;
    world.mend_region("region1").await;
    world.until("region1 is back", |now| now.zone_holds(&[EIP1, EIP2, FOREIGN])).await;
    world.until("all is well", Now::all_well).await;
    world.assert_history_is_harmless();
}

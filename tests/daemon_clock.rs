//! A wall clock that jumps, and a process or machine that stood still, neither make nor lose a verdict.
#![cfg(test)] // makes clippy take the helpers below for tests too

mod daemon_world;

use std::path::{Path, PathBuf};
use std::time::Duration;

use daemon_world::{EIP1, EIP2, FOREIGN, Scene, World, all_at_once};
use tokio::time::sleep;

/// Longer than any interval, timeout and `fall` of the scene together.
const STOOD_STILL: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_stood_still_takes_that_for_nobodys_failure() {
    let world = World::watched(Scene::with_a_foreign_value()).await;
    for _ in 0..2 {
        world.signal("STOP");
        sleep(STOOD_STILL).await;
        world.signal("CONT");
        let looked = |now: &daemon_world::Now| {
            now.check("region1", "web")["age_s"].as_f64().is_some_and(|age| age < 1.0) && now.all_well()
        };
        world.until("looks go on, and pass", looked).await;
    }
    world.assert_nothing_happened();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_failed_while_the_process_stood_still_is_noticed_after_it() {
    let world = World::watched(Scene::with_a_foreign_value()).await;
    world.signal("STOP");
    world.break_region("region1").await;
    sleep(STOOD_STILL).await;
    world.signal("CONT");
    world.until("region1 has left", |now| now.zone_holds(&[EIP2, FOREIGN])).await;
    assert_eq!(world.writes(), 1);
}

/// By how much the wall clock jumps, in the words of libfaketime.
const JUMPS: [&str; 4] = ["+1h", "-1h", "+400d", "-10y"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wall_clock_that_jumps_changes_nothing_and_a_failover_goes_on_as_ever() {
    let library = libfaketime();
    all_at_once(JUMPS, move |jump| {
        let library = library.clone();
        async move {
            let mut world = World::set(Scene::with_a_foreign_value()).await;
            let times = world.state_dir().with_file_name("faketime");
            std::fs::write(&times, "+0").unwrap();
            let environment = [
                ("LD_PRELOAD", library.to_str().unwrap()),
                ("FAKETIME_TIMESTAMP_FILE", times.to_str().unwrap()),
                ("FAKETIME_NO_CACHE", "1"),
                ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
                // The name of the same in older versions.
                ("DONT_FAKE_MONOTONIC", "1"),
            ];
            world.run_with(&[], &environment).await;
            world.until("all is well", daemon_world::Now::all_well).await;
            std::fs::write(&times, jump).unwrap();
            let skewed = |now: &daemon_world::Now| now.daemon_alarmed("clock_skew") && now.all_well();
            world.until("the skew is alarmed, and all is well", skewed).await;
            world.assert_nothing_happened();

            world.break_region("region1").await;
            world.until("region1 has left", |now| now.zone_holds(&[EIP2, FOREIGN])).await;
            world.mend_region("region1").await;
            world.until("region1 is back", |now| now.zone_holds(&[EIP1, EIP2, FOREIGN])).await;
            assert_eq!(world.writes(), 2);
            std::fs::write(&times, "+0").unwrap();
            world.until("the skew is over", |now| !now.daemon_alarmed("clock_skew")).await;
        }
    })
    .await;
}

/// Debian's, whatever the architecture.
fn libfaketime() -> PathBuf {
    let installed = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let found =
        installed.map(|folder| folder.path().join("faketime/libfaketime.so.1")).find(|p| Path::exists(p));
    found.unwrap_or_else(|| panic!("this test needs libfaketime; please do: apt-get install faketime"))
}

//! A journal in trouble costs no look and no write, is told of, and heals without a hand (KEEP-WATCHING).
#![cfg(test)] // makes clippy take the helpers below for tests too

mod daemon_world;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use daemon_world::{EIP1, EIP2, FOREIGN, Now, Scene, World};
use pointsman::journal;

fn rows(world: &World) -> Vec<journal::Row> {
    journal::read(&world.state_dir(), Duration::ZERO, 10_000).unwrap_or_default()
}

async fn fails_over(world: &World) {
    world.break_region("region1").await;
    world.until("region1 has left", |now| now.zone_holds(&[EIP2, FOREIGN])).await;
    world.mend_region("region1").await;
    world.until("region1 is back", |now| now.zone_holds(&[EIP1, EIP2, FOREIGN])).await;
}

async fn shows(world: &World, writable: u32) {
    let line = format!("pointsman_journal_writable {writable}");
    let metrics = world.metrics().await;
    assert!(metrics.lines().any(|it| it == line), "{line} in\n{metrics}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_dir_that_is_none_is_told_of_and_heals_with_nothing_lost() {
    let mut world = World::set(Scene::with_a_foreign_value()).await;
    std::fs::write(world.state_dir(), "in the way").unwrap();
    world.run(&[]).await;
    world.until("all is well but the journal", |now| now.all_well() && now.daemon_alarmed("journal")).await;
    shows(&world, 0).await;
    fails_over(&world).await;
    assert!(world.log().contains("the journal is kept in memory only"), "{}", world.log());

    std::fs::remove_file(world.state_dir()).unwrap();
    world.until("it heals", |now| !now.daemon_alarmed("journal")).await;
    shows(&world, 1).await;
    let is_told = |kind: &str| rows(&world).iter().any(|row| row.kind == kind);
    world.until("what happened before is kept", |_| is_told("started") && is_told("in_force")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_full_is_told_of_and_heals_when_there_is_room() {
    let mut world = World::set(Scene::with_a_foreign_value()).await;
    // A limit on the size of files is a full disk that needs no other disk.
    world.run_under("trap '' XFSZ; ulimit -S -f 8").await;
    world.until("the journal has no room", |now| now.all_well() && now.daemon_alarmed("journal")).await;
    fails_over(&world).await;
    let roomy = Command::new("prlimit").args(["--fsize=unlimited", "--pid", &world.process_id()]).status();
    assert!(roomy.unwrap().success());
    world.until("it heals", |now| !now.daemon_alarmed("journal")).await;
    let is_told = |kind: &str| rows(&world).iter().any(|row| row.kind == kind);
    world.until("what happened before is kept", |_| is_told("started") && is_told("in_force")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_that_is_smashed_is_set_aside_and_a_new_one_is_begun() {
    let mut world = World::watched(Scene::with_a_foreign_value()).await;
    world.break_region("region1").await;
    world.until("region1 has left", |now| now.zone_holds(&[EIP2, FOREIGN])).await;
    world.stop("KILL").await;
    let file = world.state_dir().join("journal.db");
    std::fs::write(&file, vec![b'x'; 50_000]).unwrap();
    // With its log of changes SQLite would make it whole again.
    std::fs::remove_file(world.state_dir().join("journal.db-wal")).unwrap();

    world.run(&[]).await;
    let out = |now: &Now| now.liveness("region1") == "down" && now.zone_holds(&[EIP2, FOREIGN]);
    world.until("region1 is found down again, by looking", out).await;
    shows(&world, 1).await;
    assert!(rows(&world).iter().any(|row| row.kind == "started"));
    let mut files = std::fs::read_dir(world.state_dir()).unwrap().flatten().map(|entry| entry.path());
    let is_it = |path: &PathBuf| std::fs::read(path).is_ok_and(|text| text == vec![b'x'; 50_000]);
    let aside = files.find(is_it).expect("the old one is gone");
    assert!(aside.to_string_lossy().contains("journal.db.corrupt-"), "{aside:?}");
    world.assert_history_is_harmless();
    assert_eq!(world.writes(), 1, "a start without a memory wrote something");
}

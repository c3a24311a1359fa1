//! Chaos over real sockets: the built binary against a simulated cloud in a process of its own. After each scene the
//! zone's whole history is held against what truly happened, and the daemon is well again without a hand.
//!
//! What is drawn comes from one seed, so that a failure is a change's doing; `POINTSMAN_CHAOS_SEED` gives another one. Fresh
//! seeds are for the long run: `cargo bench --bench chaos`.
#![cfg(test)] // makes clippy take the helpers below for tests too

mod dice;
mod judge;
mod judged;
mod scenes;
mod stage;

use dice::Dice;
use scenes::disk::{self, Damage};
use scenes::kills::{self, While};
use scenes::resolver::Named;
use scenes::{clock, descriptors, long_run, signals, silence};
use stage::{Footprint, Launch, Stage, Way, own_mounts};
use tokio::join;

const SEED: u64 = 13;

/// With these arguments this program runs [`the_cloud_is_a_process_of_its_own`] alone.
const CLOUD: [&str; 3] = ["--exact", "the_cloud_is_a_process_of_its_own", "--nocapture"];

/// Is the simulated cloud when one of the tests below starts this program once more, and else does nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cloud_is_a_process_of_its_own() {
    stage::be_one_if_told().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_fifty_moments_it_goes_on_where_it_was_and_harms_nothing() {
    let killed = async |what| {
        let (mut stage, mut dice) = (Stage::watched(&CLOUD).await, Dice::new(SEED));
        kills::killed_at_any_moment(&mut stage, &mut dice, 25, what).await;
        stage.judge().await;
    };
    join!(killed(While::Flapping), killed(While::AllInTrouble));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_damaged_in_any_way_costs_no_look_and_no_write() {
    let damaged = async |while_running| {
        let (mut stage, mut dice) = (Stage::watched(&CLOUD).await, Dice::new(SEED));
        for damage in Damage::ALL {
            disk::journal_damaged(&mut stage, &mut dice, damage, while_running).await;
        }
        stage.judge().await;
    };
    join!(damaged(false), damaged(true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_full_or_read_only_costs_no_look_and_no_write() {
    let limited = async {
        let (mut stage, mut dice) = (Stage::unwatched(&CLOUD), Dice::new(SEED));
        stage.launch = Launch { first: Some("trap '' XFSZ".to_owned()), ..Launch::default() };
        stage.start().await;
        stage.settle().await;
        disk::disk_full(&mut stage, &mut dice).await;
        stage.judge().await;
    };
    let full = async {
        let (mut stage, mut dice) = (Stage::unwatched(&CLOUD), Dice::new(SEED));
        let within = own_mounts();
        if let Some(within) = &within {
            stage.launch = disk::small_disk(&stage, within.clone());
        }
        stage.start().await;
        stage.settle().await;
        match within {
            Some(_) => disk::small_disk_full(&mut stage, &mut dice).await,
            None => disk::state_dir_gone(&mut stage, &mut dice).await,
        }
        stage.judge().await;
    };
    let read_only = async {
        let (mut stage, mut dice) = (Stage::watched(&CLOUD).await, Dice::new(SEED));
        match own_mounts() {
            Some(_) => disk::read_only(&mut stage, &mut dice).await,
            None => disk::state_dir_gone(&mut stage, &mut dice).await,
        }
        stage.judge().await;
    };
    join!(limited, full, read_only);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_descriptor_left_it_is_blind_and_takes_nobody_for_dead() {
    let (mut stage, mut dice) = (Stage::watched(&CLOUD).await, Dice::new(SEED));
    descriptors::none_left(&mut stage, &mut dice).await;
    descriptors::idle_connections(&mut stage, &mut dice).await;
    stage.judge().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wall_clock_that_jumps_over_kills_takes_nobody_out_and_nobody_back() {
    let (mut stage, mut dice) = (Stage::unwatched(&CLOUD), Dice::new(SEED));
    stage.launch = clock::settable(&stage);
    stage.start().await;
    stage.settle().await;
    for _ in 0..4 {
        clock::jumps_about(&mut stage, &mut dice).await;
    }
    stage.judge().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_resolver_makes_blind_and_takes_nobody_down() {
    let (mut named, mut dice) = (Named::set(&CLOUD), Dice::new(SEED));
    named.dies(&mut dice).await;
    named.stage.judge().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_that_dies_while_the_api_is_silent_leaves_when_it_speaks_again() {
    let silent = async |way| {
        let (mut stage, mut dice) = (Stage::watched(&CLOUD).await, Dice::new(SEED));
        silence::while_a_region_dies(&mut stage, &mut dice, way, silence::SILENT_FOR).await;
        stage.judge().await;
    };
    join!(silent(Way::Silent), silent(Way::Swallowing), silent(Way::Shut));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_stands_still_or_is_told_to_reload_for_ever_does_its_work() {
    let (mut stage, mut dice) = (Stage::watched(&CLOUD).await, Dice::new(SEED));
    for _ in 0..2 {
        signals::stood_still(&mut stage, &mut dice).await;
        signals::storm(&mut stage, &mut dice).await;
    }
    stage.judge().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_many_rounds_of_trouble_it_holds_no_more_than_after_few() {
    let (mut stage, mut dice) = (Stage::watched(&CLOUD).await, Dice::new(SEED));
    for _ in 0..15 {
        long_run::round(&mut stage, &mut dice).await;
    }
    stage.judge().await;
    assert_eq!(Footprint::leak(stage.footprints()), None);
}

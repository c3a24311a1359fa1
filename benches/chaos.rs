//! The scenes of `tests/chaos/` in random order for as long as wanted: `cargo bench --bench chaos -- --minutes 30`.
//!
//! Prints a line a scene, and stops at the first thing that did not hold. `POINTSMAN_CHAOS_SEED` gives the same order
//! again. A daemon is either killed now and then, or lives through a whole act and must hold no more at its end.
#![cfg(test)] // makes clippy take the helpers below for tests too

#[path = "../tests/chaos/dice.rs"]
mod dice;
#[path = "../tests/chaos/judge.rs"]
mod judge;
#[path = "../tests/chaos/scenes/mod.rs"]
mod scenes;
#[path = "../tests/chaos/stage/mod.rs"]
mod stage;

use std::time::Duration;

use clap::Parser;
use pointsman::clock::{instant_now, wall_time};
use tokio::time::Instant;

use dice::Dice;
use scenes::disk::{self, Damage};
use scenes::kills::{self, While};
use scenes::resolver::Named;
use scenes::{clock, descriptors, long_run, signals, silence};
use stage::{Footprint, Launch, Stage, Way, own_mounts};

/// So long one cloud and its history last.
const ACT: Duration = Duration::from_secs(5 * 60);

#[derive(Parser)]
struct Arguments {
    /// How long, in minutes
    #[arg(long, default_value_t = 30)]
    minutes: u64,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// Something to play; what kills is no matter for a daemon that is to live long.
#[derive(Clone, Copy, Debug)]
enum Scene {
    Kills,
    Damage,
    JournalGone,
    DiskFull,
    NoDescriptors,
    IdleConnections,
    Silence,
    StandsStill,
    Storm,
    Round,
    SmallDisk,
    ReadOnly,
    Clock,
    Resolver,
}

const HARMLESS_TO_LIFE: [Scene; 8] = [
    Scene::JournalGone,
    Scene::DiskFull,
    Scene::NoDescriptors,
    Scene::IdleConnections,
    Scene::Silence,
    Scene::StandsStill,
    Scene::Storm,
    Scene::Round,
];
const ALL: [Scene; 8] = [
    Scene::Kills,
    Scene::Damage,
    Scene::Silence,
    Scene::Round,
    Scene::SmallDisk,
    Scene::ReadOnly,
    Scene::Clock,
    Scene::Resolver,
];

#[tokio::main]
async fn main() {
    stage::be_one_if_told().await;
    let Arguments { minutes, bench: _ } = Arguments::parse();
    let end = instant_now() + Duration::from_secs(60 * minutes);
    let mut dice = Dice::new(u64::from(wall_time().subsec_nanos()));
    let mut lives_long = true;
    while instant_now() < end {
        act(&mut dice, end.min(instant_now() + ACT), lives_long).await;
        lives_long = !lives_long;
    }
    println!("all held");
}

async fn act(dice: &mut Dice, end: Instant, lives_long: bool) {
    let mut stage = Stage::unwatched(&[]);
    // The journal's disk is full by a limit on the size of files, which else would kill.
    stage.launch = Launch { first: Some("trap '' XFSZ".to_owned()), ..Launch::default() };
    stage.start().await;
    stage.settle().await;
    while instant_now() < end {
        let scene = dice.pick(if lives_long { &HARMLESS_TO_LIFE } else { &ALL });
        let began = instant_now();
        play(&mut stage, dice, scene).await;
        print!("{scene:?} in {:.1} s: ", began.elapsed().as_secs_f64());
        stage.judge().await;
    }
    if lives_long {
        assert_eq!(Footprint::leak(stage.footprints()), None);
    }
}

/// On this stage, or on one of its own.
async fn play(stage: &mut Stage, dice: &mut Dice, scene: Scene) {
    match scene {
        Scene::Kills => {
            let what = dice.pick(&[While::Flapping, While::AllInTrouble]);
            kills::killed_at_any_moment(stage, dice, 10, what).await;
        }
        Scene::Damage => {
            let (damage, while_running) = (dice.pick(&Damage::ALL), dice.one_in(2));
            disk::journal_damaged(stage, dice, damage, while_running).await;
        }
        Scene::JournalGone => disk::state_dir_gone(stage, dice).await,
        Scene::DiskFull => disk::disk_full(stage, dice).await,
        Scene::NoDescriptors => descriptors::none_left(stage, dice).await,
        Scene::IdleConnections => descriptors::idle_connections(stage, dice).await,
        Scene::Silence => {
            let way = dice.pick(&[Way::Silent, Way::Swallowing, Way::Shut]);
            let lasts = silence::SILENT_FOR + dice.within_ms(60_000);
            silence::while_a_region_dies(stage, dice, way, lasts).await;
        }
        Scene::StandsStill => signals::stood_still(stage, dice).await,
        Scene::Storm => signals::storm(stage, dice).await,
        Scene::Round => long_run::round(stage, dice).await,
        Scene::SmallDisk | Scene::ReadOnly if own_mounts().is_none() => {}
        Scene::SmallDisk => {
            let mut own = Stage::unwatched(&[]);
            own.launch = disk::small_disk(&own, own_mounts().unwrap());
            own.start().await;
            own.settle().await;
            disk::small_disk_full(&mut own, dice).await;
            own.judge().await;
        }
        Scene::ReadOnly => {
            let mut own = Stage::watched(&[]).await;
            disk::read_only(&mut own, dice).await;
            own.judge().await;
        }
        Scene::Clock => {
            let mut own = Stage::unwatched(&[]);
            own.launch = clock::settable(&own);
            own.start().await;
            own.settle().await;
            clock::jumps_about(&mut own, dice).await;
            own.judge().await;
        }
        Scene::Resolver => {
            let mut own = Named::set(&[]);
            own.dies(dice).await;
            own.stage.judge().await;
        }
    }
}

//! NO-JUMP-ON-START and NEWEST-PLAN-WINS over a hard end: a daemon that is killed and started again goes on where it was.
#![cfg(test)] // makes clippy take the helpers below for tests too

mod daemon_world;

use std::time::Duration;

use daemon_world::{EIP1, EIP2, FOREIGN, Now, Scene, World, all_at_once};
use pointsman::journal;
use pointsman::sim::{Api, Effect, Fault, When};

/// Where in a write the world stops, and with it the daemon.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The plan is made, and the record set cannot be read.
    ToRead,
    /// The write has arrived and is carried out only after the restart.
    Sent,
    /// It is carried out, and nobody hears of it.
    CarriedOut,
    /// It was taken, and is not in force yet.
    Taken,
    /// It is in force, and the read that would tell hangs.
    InForce,
}

impl Step {
    const ALL: [Self; 5] = [Self::ToRead, Self::Sent, Self::CarriedOut, Self::Taken, Self::InForce];

    /// What stops it there.
    fn fault(self) -> Fault {
        let held = |when| Fault::new(Api::Dns, Effect::Held { when });
        match self {
            Self::ToRead | Self::InForce => held(When::Before).reads(),
            Self::Sent => held(When::Before).writes(),
            Self::CarriedOut => held(When::After).writes(),
            Self::Taken => {
                Fault::new(Api::Dns, Effect::SlowToSettle { delay: Duration::from_secs(3) }).writes()
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_step_of_a_write_is_taken_up_where_it_was() {
    all_at_once(Step::ALL, |step| async move {
        let mut world = World::watched(Scene::with_a_foreign_value()).await;
        let before = generation(&world.now().await);
        let taken = |world: &World| world.log().contains("the provider took the write");
        if matches!(step, Step::InForce) {
            world.break_region("region1").await;
            world.until("the write is taken", |_| taken(&world)).await;
            world.cloud.fault(step.fault());
        } else {
            world.cloud.fault(step.fault());
            world.break_region("region1").await;
        }
        match step {
            Step::ToRead => {
                world.until("region1 is to leave", |now| wants(now, &["127.0.2.20"])).await;
                world.until("the read hangs", |_| world.cloud.held() > 0).await;
            }
            Step::Sent | Step::CarriedOut => {
                world.until("the write hangs", |_| world.cloud.held() > 0).await;
            }
            Step::Taken => {
                world.until("the write is taken", |_| taken(&world)).await;
            }
            Step::InForce => {
                let in_force = |now: &Now| now.zone_holds(&[EIP2, FOREIGN]);
                world
                    .until("the write is in force, and read", |now| in_force(now) && world.cloud.held() > 0)
                    .await;
            }
        }
        let planned = generation(&world.now().await);
        world.stop("KILL").await;

        world.run(&[]).await;
        world.cloud.clear_faults();
        world.until("region1 has left", |now| now.zone_holds(&[EIP2, FOREIGN]) && in_sync(now)).await;
        let after = generation(&world.now().await);
        assert!(before < planned && planned <= after, "{before}, {planned}, {after}");
        assert!(world.writes() <= 2, "{:#?}", world.cloud.history());
        world.assert_history_is_harmless();
        assert!(
            !world.log().contains("went from unknown"),
            "it forgot how the regions were:\n{}",
            world.log()
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_that_is_down_stays_down_and_out_over_a_restart_and_returns_when_it_is_well() {
    all_at_once(["TERM", "KILL"], |signal| async move {
        let mut world = World::watched(Scene::with_a_foreign_value()).await;
        world.break_region("region1").await;
        world.until("region1 has left", |now| now.zone_holds(&[EIP2, FOREIGN]) && in_sync(now)).await;
        world.stop(signal).await;

        world.run(&[]).await;
        world.until("it is looked at again", |now| now.check("region1", "web")["last"] == "fail").await;
        assert_eq!(world.now().await.liveness("region1"), "down");
        let log = world.log();
        assert!(!log.contains("region1 went from") && !log.contains("sent a write"), "{log}");
        world.mend_region("region1").await;
        world.until("region1 is back", |now| now.zone_holds(&[EIP1, EIP2, FOREIGN])).await;
        assert_eq!(world.writes(), 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_from_before_a_kill_count_after_it_and_a_used_up_budget_stays_used_up() {
    let service = "fall = 8\nfast_interval = \"500ms\"\nwrite_budget = { writes = 1, window = \"10m\" }";
    let mut world = World::watched(Scene { service, ..Scene::with_a_foreign_value() }).await;
    world.break_region("region1").await;
    let some = |now: &Now| now.check("region1", "web")["run"].as_u64().is_some_and(|run| run >= 4);
    world
        .until("web fails some times", |now| now.check("region1", "web")["last"] == "fail" && some(now))
        .await;
    world.stop("KILL").await;
    world.run(&[]).await;
    world.until("region1 has left", |now| now.zone_holds(&[EIP2, FOREIGN]) && in_sync(now)).await;
    let run = world.now().await.check("region1", "web")["run"].as_u64().unwrap();
    assert!(run < 8, "all eight failures were counted anew: {run}");

    world.stop("KILL").await;
    world.mend_region("region1").await;
    world.run(&[]).await;
    let held = |now: &Now| now.service["held"][0]["rule"] == "bounded_writes";
    world.until("the return is held by the budget", held).await;
    let reads = || world.cloud.requests()[&Api::Dns];
    let before = reads();
    world.until("the set is read some more times", |_| reads() > before + 6).await;
    let told = world.log().matches("held back by BOUNDED-WRITES").count();
    assert_eq!(told, 1, "it is told once, not at every read:\n{}", world.log());
    assert!(world.now().await.zone_holds(&[EIP2, FOREIGN]));
    assert_eq!(world.writes(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_eip_that_was_unbound_while_nobody_watched_is_known_to_be_ours() {
    let mut world = World::watched(Scene::with_a_foreign_value()).await;
    world.stop("KILL").await;
    world.cloud.region("region1").unwrap().eip_unbind().await.unwrap();
    world.run(&[]).await;
    world.until("region1 has left", |now| now.zone_holds(&[EIP2, FOREIGN])).await;
    world.assert_history_is_harmless();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_that_dies_with_its_regional_api_while_nobody_watches_is_seen_dead_after_the_restart() {
    let mut world = World::watched(Scene::with_a_foreign_value()).await;
    world.stop("KILL").await;
    world.cloud.fault(Fault::new(Api::Elb, Effect::Closed));
    world.cloud.fault(Fault::new(Api::Eip, Effect::Closed));
    world.break_region("region1").await;
    world.run(&[]).await;
    world.until("region1 has left", |now| now.zone_holds(&[EIP2, FOREIGN])).await;
    assert_eq!(world.now().await.check("region1", "web")["reason"], "status", "by what its probe found");
    world.assert_history_is_harmless();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_journal_tells_the_whole_story_of_a_failover() {
    let mut world = World::watched(Scene::with_a_foreign_value()).await;
    world.break_region("region1").await;
    world.until("region1 has left", |now| now.zone_holds(&[EIP2, FOREIGN]) && in_sync(now)).await;
    world.stop("TERM").await;
    let rows = journal::read(&world.state_dir(), Duration::ZERO, 1_000).unwrap();
    let kinds: Vec<&str> = rows.iter().map(|row| row.kind.as_str()).collect();
    let mut told = kinds.iter();
    for kind in ["started", "plan", "transition", "plan", "write_sent", "written", "in_force", "stopped"] {
        assert!(told.any(|it| *it == kind), "{kind} is missing, or not in order: {kinds:?}");
    }
    let down = rows.iter().find(|row| row.message.contains("from suspect to down")).unwrap();
    assert!(down.message.contains("web: status 503"), "{down:?}");
    let sent = rows.iter().find(|row| row.kind == "write_sent").unwrap();
    assert!(sent.message.contains("127.0.2.20, 192.0.2.99 in place of 127.0.1.10"), "{sent:?}");
    let key = world.cloud.setup().secret_key.expose().to_owned();
    assert!(!format!("{rows:?}").contains(&key));
}

fn generation(now: &Now) -> u64 {
    now.service["record_set"]["generation"].as_u64().unwrap()
}

fn wants(now: &Now, addresses: &[&str]) -> bool {
    now.service["record_set"]["wanted"].as_array().is_some_and(|wanted| wanted == addresses)
}

fn in_sync(now: &Now) -> bool {
    now.service["record_set"]["in_sync"] == true
}

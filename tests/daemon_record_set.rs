//! Whatever happens to reads and writes of the record set, it ends up holding what is wanted, is never emptied on
//! the way, and never loses what is not ours (NEVER-EMPTY, ONLY-OURS, BOUNDED-WRITES).
#![cfg(test)] // makes clippy take the helpers below for tests too

mod daemon_world;

use std::time::Duration;

use daemon_world::{EIP1, EIP2, FOREIGN, Now, Scene, World, all_at_once};
use pointsman::sim::{Api, Effect, Fault};

const LATER: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_goes_wrong_twice_is_made_good() {
    let errors = [400, 401, 403, 404, 409, 500, 503].map(|status| Effect::Error { status });
    let pages = [200, 502].map(|status| Effect::Html { status });
    let throttles = [None, Some(1)].map(|retry_after| Effect::Throttle { retry_after });
    let others = [
        Effect::Truncated,
        Effect::Empty,
        Effect::Slow { delay: LATER },
        Effect::Closed,
        Effect::AnswerLost,
        Effect::AppliedLate { delay: LATER },
        Effect::SlowToSettle { delay: LATER },
        Effect::EndsInError,
    ];
    let troubles = errors.into_iter().chain(pages).chain(throttles).chain(others);
    all_at_once(troubles, written_through).await;
}

/// A region leaves and returns while writes go wrong: the first two that are made, whichever they are.
async fn written_through(trouble: Effect) {
    let world = World::watched(Scene::with_a_foreign_value()).await;
    world.cloud.fault(Fault::new(Api::Dns, trouble).writes().times(2));
    world.break_region("region1").await;
    world.until("region1 has left", |now| now.zone_holds(&[EIP2, FOREIGN])).await;
    world.mend_region("region1").await;
    world.until("region1 is back", |now| now.zone_holds(&[EIP1, EIP2, FOREIGN]) && now.all_well()).await;
    assert!(world.faults_are_used_up().await, "the trouble was not met:\n{}", world.log());
    world.assert_history_is_harmless();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_goes_wrong_delays_a_write_and_misleads_nobody() {
    let errors = [401, 403, 404, 500, 503].map(|status| Effect::Error { status });
    let pages = [200, 502].map(|status| Effect::Html { status });
    let throttles = [None, Some(1)].map(|retry_after| Effect::Throttle { retry_after });
    let others = [Effect::Truncated, Effect::Empty, Effect::Closed, Effect::AnswerLost];
    let troubles = errors.into_iter().chain(pages).chain(throttles).chain(others);
    all_at_once(troubles, read_through).await;
}

/// A region falls while the zone cannot be read.
async fn read_through(trouble: Effect) {
    let world = World::watched(Scene::with_a_foreign_value()).await;
    world.cloud.fault(Fault::new(Api::Dns, trouble).reads());
    world.break_region("region1").await;
    let unread = |now: &Now| now.service["record_set"]["read_age_s"].as_f64() > Some(4.0);
    world
        .until("region1 is down, and the zone unread", |now| now.liveness("region1") == "down" && unread(now))
        .await;
    assert_eq!(world.writes(), 0, "nobody knows what the set holds by now");
    world.cloud.clear_faults();
    world.until("region1 has left", |now| now.zone_holds(&[EIP2, FOREIGN])).await;
    world.assert_history_is_harmless();
    assert_eq!(world.writes(), 1, "{:#?}", world.cloud.history());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_is_slow_is_waited_for() {
    let world = World::watched(Scene::with_a_foreign_value()).await;
    world.cloud.fault(Fault::new(Api::Dns, Effect::Slow { delay: LATER }).reads());
    world.break_region("region1").await;
    world.until("region1 has left", |now| now.zone_holds(&[EIP2, FOREIGN])).await;
    world.assert_history_is_harmless();
    assert_eq!(world.writes(), 1, "{:#?}", world.cloud.history());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_that_a_list_forgot_is_missing_and_not_made_a_second_time() {
    all_at_once(["create = false", "create = true"], |service| async move {
        let world = World::watched(Scene { service, ..Scene::with_a_foreign_value() }).await;
        world.cloud.fault(Fault::new(Api::Dns, Effect::Missing { id: None }).reads().path("/recordsets"));
        world.break_region("region1").await;
        let alarm = if service.ends_with("true") { "write_refused" } else { "missing" };
        let told = |now: &Now| now.liveness("region1") == "down" && now.alarmed(alarm, None);
        world.until("region1 is down, and the set told as missing", told).await;
        assert_eq!(world.writes(), 0, "{:#?}", world.cloud.history());
        assert!(!world.log().contains("wrote"), "what was refused was not written:\n{}", world.log());
        world.cloud.clear_faults();
        world.until("region1 has left", |now| now.zone_holds(&[EIP2, FOREIGN])).await;
        world.assert_history_is_harmless();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_is_stuck_is_followed_and_what_comes_after_it_is_right() {
    all_at_once([true, false], |in_force| async move {
        let world = World::watched(Scene::with_a_foreign_value()).await;
        world.cloud.fault(Fault::new(Api::Dns, Effect::StuckPending { in_force }).writes());
        world.break_region("region1").await;
        world
            .until("the write is stuck", |_| world.cloud.describe()["record_status"] == "PENDING_UPDATE")
            .await;
        // What it overtakes waits for it: region1 is well again before the write is in force.
        world.mend_region("region1").await;
        world.until("region1 is up", |now| now.liveness("region1") == "up").await;
        world.cloud.clear_faults();
        world.until("region1 is back", |now| now.zone_holds(&[EIP1, EIP2, FOREIGN]) && now.all_well()).await;
        world.assert_history_is_harmless();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_lands_long_after_it_was_given_up_is_corrected() {
    let world = World::watched(Scene::with_a_foreign_value()).await;
    let late = Effect::AppliedLate { delay: Duration::from_secs(8) };
    world.cloud.fault(Fault::new(Api::Dns, late).writes().times(1));
    world.break_region("region1").await;
    world.until("region1 has left by a second write", |now| now.zone_holds(&[EIP2, FOREIGN])).await;
    world.mend_region("region1").await;
    world.until("region1 is back", |now| now.zone_holds(&[EIP1, EIP2, FOREIGN])).await;
    world.until("the first write has landed", |now| now.zone_holds(&[EIP2, FOREIGN])).await;
    world.until("it is corrected", |now| now.zone_holds(&[EIP1, EIP2, FOREIGN]) && now.all_well()).await;
    world.assert_history_is_harmless();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_elses_edit_of_our_address_is_mended() {
    let world = World::watched(Scene::with_a_foreign_value()).await;
    world.cloud.write_as("somebody", &[EIP2, FOREIGN]).unwrap();
    world.until("it is taken up", |now| now.zone_holds(&[EIP2, FOREIGN])).await;
    world.until("it is mended", |now| now.zone_holds(&[EIP1, EIP2, FOREIGN]) && now.all_well()).await;
    assert!(world.log().contains("drift"), "it is told:\n{}", world.log());
    assert_eq!(world.writes(), 1, "{:#?}", world.cloud.history());
    world.assert_history_is_harmless();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_keeps_changing_our_addresses_is_told_of_and_not_fought() {
    let world = World::watched(Scene::with_a_foreign_value()).await;
    let theirs = [EIP2, FOREIGN];
    for _ in 0..2 {
        world.cloud.write_as("somebody", &theirs).unwrap();
        world.until("it is taken up", |now| now.zone_holds(&theirs)).await;
        world.until("it is mended", |now| now.zone_holds(&[EIP1, EIP2, FOREIGN]) && now.all_well()).await;
    }
    world.cloud.write_as("somebody", &theirs).unwrap();
    world.until("it is a fight", |now| now.zone_holds(&theirs) && now.alarmed("fight", None)).await;
    assert_eq!(world.writes(), 2, "{:#?}", world.cloud.history());
    let told = world.log().matches("somebody else changed the record set from").count();
    assert_eq!(told, 3, "{}", world.log());
    // A region that dies leaves all the same.
    world.break_region("region2").await;
    world.until("region2 has left", |now| now.zone_holds(&[EIP1, FOREIGN])).await;
    world.until("the fight is over", |now| !now.alarmed("fight", None)).await;
    world.assert_history_is_harmless();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_value_added_before_a_failover_survives_it() {
    let world = World::watched(Scene::new()).await;
    world.cloud.write_as("somebody", &[EIP1, EIP2, FOREIGN]).unwrap();
    world.until("it is there", |now| now.zone_holds(&[EIP1, EIP2, FOREIGN])).await;
    world.break_region("region1").await;
    world.until("region1 has left, alone", |now| now.zone_holds(&[EIP2, FOREIGN])).await;
    world.mend_region("region1").await;
    world.until("region1 is back", |now| now.zone_holds(&[EIP1, EIP2, FOREIGN])).await;
    world.assert_history_is_harmless();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_that_is_not_there_is_made_only_when_asked_to() {
    all_at_once([false, true], |create| async move {
        let mut scene = Scene::new();
        scene.cloud.values = Some(Vec::new());
        scene.service = if create { "create = true\nttl = 20" } else { "" };
        let mut world = World::set(scene).await;
        world.run(&[]).await;
        if create {
            world.until("it is made", |now| now.zone_holds(&[EIP1, EIP2]) && now.all_well()).await;
            assert!(world.cloud.history().iter().all(|version| version.ttl == 20));
        } else {
            let both_up =
                |now: &Now| ["region1", "region2"].iter().all(|region| now.liveness(region) == "up");
            world.until("it is told", |now| both_up(now) && now.alarmed("missing", None)).await;
            assert_eq!(world.cloud.history(), []);
        }
    })
    .await;
}

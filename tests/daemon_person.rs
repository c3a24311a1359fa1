//! What waits for a person is written by nobody else, is seen by everybody, and a person at hand can do it.
#![cfg(test)] // makes clippy take the helpers below for tests too

mod daemon_world;

use daemon_world::{EIP1, EIP2, Now, Scene, World, all_at_once};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_or_a_return_that_waits_is_told_and_written_on_a_persons_word_only() {
    let advise = ("mode = \"advise\"", "approve");
    let manual = ("failback = \"manual\"", "failback");
    all_at_once([advise, manual], |(service, kind)| async move {
        let mut world = World::watched(Scene { service, ..Scene::new() }).await;
        world.break_region("region1").await;
        let (before, after) = if kind == "approve" {
            ([EIP1, EIP2].as_slice(), [EIP2].as_slice())
        } else {
            world.until("it has left by itself", |now| now.zone_holds(&[EIP2])).await;
            world.mend_region("region1").await;
            ([EIP2].as_slice(), [EIP1, EIP2].as_slice())
        };
        world.until("it waits", |now| waits(now, kind) && now.alarmed("waiting", None)).await;
        let metric = format!("pointsman_waiting{{kind=\"{kind}\",region=\"region1\",service=\"demo\"}} 1");
        assert!(world.metrics().await.contains(&metric), "{}", world.metrics().await);
        assert!(world.now().await.zone_holds(before));
        let writes = world.writes();

        let outcome = world.outcome("apply", &["--once", "--yes"]).await;
        assert!(outcome.status.success(), "{outcome:?}");
        world
            .until("nothing waits any more", |now| {
                now.service["waiting"] == json!([]) && now.zone_holds(after) && !now.alarmed("waiting", None)
            })
            .await;
        assert_eq!(world.writes(), writes + 1, "the daemon wrote nothing of its own");
        assert_eq!(world.stop("TERM").await.0.code(), Some(0));
    })
    .await;
}

fn waits(now: &Now, kind: &str) -> bool {
    let waiting = &now.service["waiting"][0];
    waiting["waits_for"] == kind && waiting["region"] == "region1"
}

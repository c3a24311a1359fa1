//! BLIND-IS-NOT-DOWN when it may be our own network: while no reference of the vantage answers, no failure counts.
#![cfg(test)] // makes clippy take the helpers below for tests too

mod daemon_world;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use daemon_world::{EIP1, EIP2, FOREIGN, Now, REGIONS, Reloaded, Scene, World};
use pointsman::clock::instant_now;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// From one look at the references to the next, at least.
const APART_MS: u128 = 50;

/// Something that answers whatever becomes of the regions, on a loopback address of its own. Dead it refuses, and being
/// of this machine that proves nothing.
struct Reference {
    at: SocketAddr,
    seen: Arc<AtomicUsize>,
    answers: JoinSet<()>,
}

impl Reference {
    async fn alive() -> Self {
        let listener = TcpListener::bind("127.0.3.1:0").await.unwrap();
        let (at, seen) = (listener.local_addr().unwrap(), Arc::default());
        let mut reference = Self { at, seen, answers: JoinSet::new() };
        reference.serve(listener);
        reference
    }

    fn serve(&mut self, listener: TcpListener) {
        let seen = Arc::clone(&self.seen);
        self.answers.spawn(async move {
            loop {
                listener.accept().await.unwrap();
                seen.fetch_add(1, Ordering::Relaxed);
            }
        });
    }

    async fn die(&mut self) {
        self.answers.shutdown().await;
    }

    async fn revive(&mut self) {
        self.serve(TcpListener::bind(self.at).await.unwrap());
    }

    fn seen(&self) -> usize {
        self.seen.load(Ordering::Relaxed)
    }

    fn section(&self) -> String {
        format!("\n[vantage]\nreferences = [\"tcp://{}\"]\n", self.at)
    }
}

/// A world that is well, whose daemon has this reference.
async fn watched_with(reference: &Reference) -> World {
    let mut world = World::set(Scene::with_a_foreign_value()).await;
    world.add_to_config(&reference.section());
    world.run(&[]).await;
    world.until("all is well", Now::all_well).await;
    world
}

/// Whether its HTTP looks have been taken for our own network's fault twice as often as a fall takes.
fn is_doubted(now: &Now, region: &str) -> bool {
    let web = now.check(region, "web");
    web["last"] == "unknown" && web["reason"] == "vantage" && web["run"].as_u64() >= Some(6)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_every_region_and_the_reference_die_nothing_moves_and_it_is_alarmed() {
    let mut reference = Reference::alive().await;
    let world = watched_with(&reference).await;
    reference.die().await;
    for region in REGIONS {
        world.break_region(region).await;
    }
    let doubted = |now: &Now| REGIONS.iter().all(|region| is_doubted(now, region));
    world.until("all failures are doubted", doubted).await;
    world.until("it is alarmed", |now| now.daemon_alarmed("vantage")).await;
    let now = world.now().await;
    assert!(REGIONS.iter().all(|region| now.liveness(region) == "up"), "{now:#?}");
    let saw = now.check("region1", "web")["saw"].as_str().unwrap().to_owned();
    assert!(saw.ends_with("and none of the vantage's references answered, so it may be us"), "{saw}");
    let metrics = world.metrics().await;
    assert!(metrics.contains("pointsman_alarm_active{alarm=\"vantage\",service=\"\"} 1"), "{metrics}");

    for region in REGIONS {
        world.mend_region(region).await;
    }
    world
        .until("the looks pass again", |now| !is_doubted(now, "region1") && !is_doubted(now, "region2"))
        .await;
    assert!(world.now().await.daemon_alarmed("vantage"), "no reference has answered yet");
    reference.revive().await;
    world.until("the alarm ends though nothing fails", |now| !now.daemon_alarmed("vantage")).await;
    world.until("all is well", Now::all_well).await;
    assert!(world.now().await.zone_holds(&[EIP1, EIP2, FOREIGN]));
    world.assert_nothing_happened();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_reference_answers_a_region_that_dies_leaves_and_returns_as_ever() {
    let reference = Reference::alive().await;
    let world = watched_with(&reference).await;
    world.break_region("region1").await;
    world.until("region1 has left", |now| now.zone_holds(&[EIP2, FOREIGN])).await;
    assert!(reference.seen() >= 3, "not every failing look asked");
    assert!(!world.now().await.daemon_alarmed("vantage"));
    world.mend_region("region1").await;
    world.until("region1 is back", |now| now.zone_holds(&[EIP1, EIP2, FOREIGN])).await;
    world.assert_history_is_harmless();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_that_dies_while_the_reference_is_dead_leaves_once_that_returns() {
    let mut reference = Reference::alive().await;
    let world = watched_with(&reference).await;
    reference.die().await;
    world.break_region("region1").await;
    world.until("its failures are doubted", |now| is_doubted(now, "region1")).await;
    let now = world.now().await;
    assert!(now.liveness("region1") == "up" && now.zone_holds(&[EIP1, EIP2, FOREIGN]), "{now:#?}");
    world.assert_nothing_happened();
    reference.revive().await;
    world.until("region1 has left", |now| now.zone_holds(&[EIP2, FOREIGN])).await;
    world.until("the alarm has ended", |now| !now.daemon_alarmed("vantage")).await;
    world.assert_history_is_harmless();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_asks_other_references_without_touching_a_check() {
    let (mut old, new) = (Reference::alive().await, Reference::alive().await);
    let world = watched_with(&old).await;
    old.die().await;
    world.break_region("region1").await;
    world.until("its failures are doubted", |now| is_doubted(now, "region1")).await;
    let run = |now: &Now| now.check("region2", "web")["run"].as_u64();
    let before = run(&world.now().await);

    world.edit_config(&old.section(), "\n[vantage]\nreferences = [\"tcp://localhost:53\"]\n");
    assert_eq!(world.reload().await, Reloaded::Refused);
    assert!(world.now().await.daemon_alarmed("vantage"));
    world.edit_config("tcp://localhost:53", &format!("tcp://{}", new.at));
    assert_eq!(world.reload().await, Reloaded::Taken);
    world.until("region1 has left", |now| now.zone_holds(&[EIP2, FOREIGN])).await;
    world.until("the alarm has ended", |now| !now.daemon_alarmed("vantage")).await;
    assert!(run(&world.now().await) >= before, "the looks of region2 were counted anew");
    world.assert_history_is_harmless();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_many_checks_fail_the_reference_is_asked_every_so_often_only() {
    let reference = Reference::alive().await;
    let mut regions = String::new();
    for place in 1..=100 {
        let address = format!("127.0.9.{place}");
        write!(regions, "[[service.region]]\nname = \"r{place}\"\naddress = [\"{address}\"]\n").unwrap();
    }
    let checks = "[[service.check]]\nname = \"port\"\nkind = \"tcp\"\nport = 9\n";
    let mut world = World::set(Scene { checks, regions: Some(regions), ..Scene::new() }).await;
    world.add_to_config(&reference.section());
    let started = instant_now();
    world.run(&[]).await;
    // Ten looks a second of each, all of them refused.
    world.until("every region is down", |now| now.service["regions"][99]["liveness"] == "down").await;
    let long_row = |now: &Now| now.service["regions"][0]["checks"][0]["run"].as_u64() >= Some(20);
    world.until("they have failed for a while", long_row).await;
    let (seen, most) = (reference.seen(), instant_now().duration_since(started).as_millis() / APART_MS + 1);
    assert!(seen > 0 && seen as u128 <= most, "asked {seen} times, allowed are {most}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commands_that_look_once_ask_the_references_too() {
    let mut reference = Reference::alive().await;
    let world = World::set(Scene::with_a_foreign_value()).await;
    world.add_to_config(&reference.section());
    world.break_region("region1").await;
    let probe = || world.outcome("probe", &["demo/region1/web"]);
    let said = |output: &std::process::Output| String::from_utf8(output.stdout.clone()).unwrap();

    let fails = probe().await;
    assert_eq!(fails.status.code(), Some(2), "{fails:?}");
    let line = format!("the reference {} answered", reference.at);
    assert!(
        said(&fails).lines().any(|told| told.starts_with("vantage") && told.contains(&line)),
        "{fails:?}"
    );
    assert_eq!(world.outcome("plan", &[]).await.status.code(), Some(2), "region1 is to leave");

    reference.die().await;
    let unknown = probe().await;
    assert_eq!(unknown.status.code(), Some(3), "{unknown:?}");
    let line = format!("no reference answered: connection refused by {}", reference.at);
    assert!(
        said(&unknown).lines().any(|told| told.starts_with("vantage") && told.contains(&line)),
        "{unknown:?}"
    );
    let passes = world.outcome("probe", &["demo/region2/web"]).await;
    assert!(passes.status.success() && !said(&passes).contains("vantage"), "{passes:?}");
    for (command, arguments) in [("plan", &[][..]), ("apply", &["--once", "--yes"][..])] {
        let output = world.outcome(command, arguments).await;
        assert!(said(&output).contains("so it may be us"), "{output:?}");
    }
    assert_eq!(world.writes(), 0, "{:#?}", world.cloud.history());
}

//! Whatever the cloud's API does while the daemon looks through it, no region is taken for dead by that: what
//! cannot be seen is unknown (BLIND-IS-NOT-DOWN). What the API truly says is followed.
#![cfg(test)] // makes clippy take the helpers below for tests too

mod daemon_world;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use daemon_world::{EIP1, EIP2, Now, REGIONS, Scene, World, all_at_once};
use pointsman::sim::{Api, Effect, Fault};
use serde_json::Value;

/// Longer than the timeout of a look.
const TOO_SLOW: Duration = Duration::from_millis(1_500);

/// Everything that can become of an answer to a look. Lists that lack everything are in this table too: the elb
/// check sees them, the eip check asks for the load balancer itself and goes on.
fn troubles() -> Vec<Effect> {
    let errors = [401, 403, 404, 500, 503].map(|status| Effect::Error { status });
    let pages = [200, 502, 503].map(|status| Effect::Html { status });
    let throttles = [None, Some(1)].map(|retry_after| Effect::Throttle { retry_after });
    let others = [
        Effect::Truncated,
        Effect::Empty,
        Effect::Missing { id: None },
        Effect::Slow { delay: TOO_SLOW },
        Effect::Closed,
        Effect::AnswerLost,
    ];
    errors.into_iter().chain(pages).chain(throttles).chain(others).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_elb_api_in_trouble_makes_blind_and_takes_no_region_down() {
    all_at_once(troubles(), blinded_by).await;
}

async fn blinded_by(trouble: Effect) {
    let world = World::watched(Scene::new()).await;
    world.cloud.fault(Fault::new(Api::Elb, trouble));
    let blind = |now: &Now| REGIONS.iter().all(|region| now.alarmed("blind", Some(region)));
    world.until("it says that it is blind", blind).await;
    let in_vain = |now: &Now, region: &str| {
        let elb = now.check(region, "elb");
        elb["signal"] == "unknown" && elb["last"] == "unknown" && elb["run"].as_u64() >= Some(6)
    };
    let twice_as_long = |now: &Now| REGIONS.iter().all(|region| in_vain(now, region));
    world.until("it has looked in vain for twice as long as fall asks", twice_as_long).await;
    let now = world.now().await;
    assert!(
        REGIONS.iter().all(|region| now.liveness(region) == "up") && now.zone_holds(&[EIP1, EIP2]),
        "{now:#?}"
    );
    world.cloud.clear_faults();
    world.until("it sees again", Now::all_well).await;
    world.assert_nothing_happened();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_iam_that_is_away_at_the_start_is_waited_for() {
    let is_only_late = |trouble: &Effect| matches!(trouble, Effect::Slow { .. });
    all_at_once(troubles().into_iter().filter(|it| !is_only_late(it)), started_without_iam).await;
}

async fn started_without_iam(trouble: Effect) {
    let mut world = World::set(Scene::new()).await;
    world.cloud.fault(Fault::new(Api::Iam, trouble));
    world.run(&[]).await;
    let blind = |now: &Now, region| now.liveness(region) == "unknown" && now.alarmed("blind", Some(region));
    world.until("it says that it is blind", |now| REGIONS.iter().all(|region| blind(now, region))).await;
    assert_eq!(world.get("/readyz").await.unwrap().0, 503, "there is no verdict");
    world.cloud.clear_faults();
    world.until("all is well without a restart", Now::all_well).await;
    world.assert_nothing_happened();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_iam_that_answers_later_than_a_look_may_take_is_no_trouble() {
    let mut world = World::set(Scene::new()).await;
    world.cloud.fault(Fault::new(Api::Iam, Effect::Slow { delay: TOO_SLOW }));
    world.run(&[]).await;
    world.until("all is well", Now::all_well).await;
    world.assert_nothing_happened();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_dies_while_the_elb_api_is_out_leaves_all_the_same() {
    let world = World::watched(Scene::new()).await;
    world.cloud.fault(Fault::new(Api::Elb, Effect::Error { status: 503 }));
    world.until("it is blind", |now| now.alarmed("blind", Some("region1"))).await;
    world.break_region("region1").await;
    world.until("region1 has left", |now| now.zone_holds(&[EIP2])).await;
    world.assert_history_is_harmless();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_eip_that_is_unbound_while_the_eip_api_is_out_is_in_doubt_and_leaves_by_the_direct_check() {
    let world = World::watched(Scene::new()).await;
    world.cloud.fault(Fault::new(Api::Eip, Effect::Closed));
    let region1 = world.cloud.region("region1").unwrap();
    region1.eip_unbind().await.unwrap();
    world.until("region1 has left", |now| now.zone_holds(&[EIP2])).await;
    let now = world.now().await;
    assert_eq!(now.check("region1", "eip")["last"], "unknown", "one API is one word: {now:#?}");
    region1.eip_rebind().await.unwrap();
    world.until("region1 is back", |now| now.zone_holds(&[EIP1, EIP2])).await;
    world.assert_history_is_harmless();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_eip_that_both_apis_call_unbound_fails_its_check() {
    let scene = Scene { service: "up_when = \"eip\"", ..Scene::new() };
    let world = World::watched(scene).await;
    world.cloud.region("region1").unwrap().eip_unbind().await.unwrap();
    world.until("region1 has left", |now| now.zone_holds(&[EIP2])).await;
    assert_eq!(world.now().await.check("region1", "eip")["reason"], "unbound");
    world.assert_history_is_harmless();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_lies_about_eips_moves_and_writes_nothing() {
    let elsewhere = IpAddr::V4(Ipv4Addr::new(127, 0, 1, 77));
    all_at_once([None, Some(elsewhere)], lied_to).await;
}

async fn lied_to(address: Option<IpAddr>) {
    let world = World::watched(Scene::new()).await;
    world.cloud.fault(Fault::new(Api::Elb, Effect::OtherEip { address }).region("region1"));
    let asked = world.cloud.requests()[&Api::Elb];
    let eips = || world.cloud.requests().get(&Api::Eip).copied().unwrap_or_default();
    world.until("the EIP API was asked, for some looks", |_| eips() > 5).await;
    assert!(world.cloud.requests()[&Api::Elb] > asked);
    let now = world.now().await;
    assert_eq!((now.liveness("region1"), now.check("region1", "web")["last"].as_str()), ("up", Some("pass")));
    assert!(now.zone_holds(&[EIP1, EIP2]), "{now:#?}");
    let log = world.log();
    let told = log.matches("the cloud names another EIP").count();
    assert_eq!(told, usize::from(address.is_some()), "{log}");
    world.cloud.clear_faults();
    world.until("all is well", Now::all_well).await;
    world.assert_nothing_happened();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_that_the_list_refuses_blinds_its_own_region_alone() {
    let mut scene = Scene::new();
    let first = scene.cloud.regions[0].clone();
    (scene.cloud.regions[1].cloud_region, scene.cloud.regions[1].project_id) =
        (first.cloud_region, first.project_id);
    let world = World::watched(scene).await;
    let id = world.cloud.setup().regions[0].elb_id.clone();
    world.cloud.fault(Fault::new(Api::Elb, Effect::RefusedId { id: id.clone() }));
    let says = |now: &Now, region, saw: &str| now.check(region, "eip")["saw"].as_str().unwrap().contains(saw);
    world.until("it is named", |now| says(now, "region1", &id) && says(now, "region1", "correct elb")).await;
    let sees = |now: &Now| now.check("region2", "eip")["last"] == "pass";
    world.until("the other one is seen", sees).await;
    let run = |now: &Now| now.check("region2", "eip")["run"].as_u64().unwrap();
    let before = run(&world.now().await);
    world.until("and seen again and again", |now| sees(now) && run(now) > before + 3).await;
    world.assert_nothing_happened();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_balancer_that_a_list_forgot_is_asked_for_itself() {
    let world = World::watched(Scene::new()).await;
    let id = world.cloud.setup().regions[0].elb_id.clone();
    world.cloud.fault(Fault::new(Api::Elb, Effect::Missing { id: Some(id) }).path("/elb/loadbalancers"));
    let asked = world.cloud.requests()[&Api::Elb];
    // Some looks later: each of them needs a call or two.
    world.until("it has looked on", |_| world.cloud.requests()[&Api::Elb] >= asked + 30).await;
    assert!(world.now().await.all_well());
    world.assert_nothing_happened();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_balancer_that_is_hidden_from_us_is_alarmed_as_gone_and_its_region_stays() {
    let world = World::watched(Scene::new()).await;
    let id = world.cloud.setup().regions[0].elb_id.clone();
    world.cloud.fault(Fault::new(Api::Elb, Effect::Hidden { id }));
    world.until("it is alarmed", |now| now.alarmed("gone", Some("region1"))).await;
    let eip_says_gone = |now: &Now| {
        let eip = now.check("region1", "eip");
        eip["last"] == "unknown" && eip["reason"] == "gone" && eip["run"].as_u64() > Some(6)
    };
    world.until("its check is blind for twice as long as fall asks", eip_says_gone).await;
    let now = world.now().await;
    assert_eq!((now.liveness("region1"), now.check("region1", "web")["last"].as_str()), ("up", Some("pass")));
    world.cloud.clear_faults();
    world.until("it is shown again, and all is well", Now::all_well).await;
    world.assert_nothing_happened();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_balancer_that_is_deleted_is_alarmed_as_gone_and_leaves() {
    let world = World::watched(Scene::new()).await;
    let id = world.cloud.setup().regions[0].elb_id.clone();
    let region1 = world.cloud.region("region1").unwrap();
    // What names it is not found, its lists are empty, and its EIP is bound to nothing.
    region1.eip_unbind().await.unwrap();
    world.cloud.fault(Fault::new(Api::Elb, Effect::Missing { id: None }).region("region1"));
    world.cloud.fault(Fault::new(Api::Elb, Effect::Error { status: 404 }).region("region1").path(&id));
    world.until("it is alarmed", |now| now.alarmed("gone", Some("region1"))).await;
    world.until("region1 has left", |now| now.zone_holds(&[EIP2])).await;
    let says_gone = |check: &Value| check["signal"] == "failing" && check["reason"] == "gone";
    let both = |now: &Now| ["elb", "eip"].iter().all(|name| says_gone(now.check("region1", name)));
    world.until("both of its checks say why", both).await;
    world.cloud.clear_faults();
    region1.eip_rebind().await.unwrap();
    world.until("it is made anew, and back", |now| now.all_well() && now.zone_holds(&[EIP1, EIP2])).await;
    world.assert_history_is_harmless();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_eip_that_is_changed_is_followed() {
    let world = World::watched(Scene::new()).await;
    let other = Ipv4Addr::new(127, 0, 1, 11);
    world.cloud.region("region1").unwrap().eip_change(other).await.unwrap();
    world.until("the new one is in", |now| now.zone_holds(&[IpAddr::V4(other), EIP2])).await;
    world.until("all is well", Now::all_well).await;
    world.assert_history_is_harmless();
}

//! Zones beyond a private one with one set of IPv4 addresses: public ones, weights, tiers, lines, and AAAA beside A, each
//! with the built binary through the fall and the return of a region.
#![cfg(test)] // makes clippy take the helpers below for tests too

mod daemon_world;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv6Addr};

use daemon_world::{EIP1, EIP2, FOREIGN, Scene, World};
use pointsman::sim::{MoreSet, Setup};
use serde_json::{Value, json};

const NOWHERE: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x20));
const HERE: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

fn public() -> Scene {
    let scene = Scene::new();
    Scene { cloud: scene.cloud.in_a_public_zone(), ..scene }
}

/// The regions' tables, each with further lines.
fn regions(setup: &Setup, more: [&str; 2]) -> String {
    let mut text = String::new();
    for (region, more) in setup.regions.iter().zip(more) {
        let (name, place, elb) = (&region.name, &region.cloud_region, &region.elb_id);
        write!(text, "[[service.region]]\nname = \"{name}\"\ncloud_region = \"{place}\"\nelb = \"{elb}\"\n")
            .unwrap();
        write!(text, "listener_port = PORT\n{more}\n\n").unwrap();
    }
    text
}

/// A world whose regions' port is put where the scene left room for it.
async fn watched(scene: Scene) -> World {
    let mut world = World::set(scene).await;
    world.edit_config("PORT", &world.cloud.setup().regions[0].listener_port.to_string());
    world.run(&[]).await;
    world
}

/// Type, line, weight and status of each set of the name, with its values.
fn sets(world: &World) -> Vec<Value> {
    let told = world.cloud.describe()["record_sets"].clone();
    let short = |set: &Value| json!([set["type"], set["line"], set["weight"], set["status"], set["records"]]);
    let addresses = |set: &&Value| set["type"] != "TXT";
    told.as_array().unwrap().iter().filter(addresses).map(short).collect()
}

fn a_set(weight: u16, status: &str, value: IpAddr) -> Value {
    json!(["A", "default_view", weight, status, [value]])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_weighted_service_splits_the_set_and_a_dead_regions_part_is_switched_off_and_on() {
    let scene = Scene { service: "policy = \"weighted\"", ..public() };
    let regions = regions(&scene.cloud, ["weight = 300", ""]);
    let world = watched(Scene { regions: Some(regions), ..scene }).await;
    let split = [a_set(300, "ACTIVE", EIP1), a_set(100, "ACTIVE", EIP2)];
    world.until("each region has a set", |_| sets(&world) == split).await;
    world.break_region("region1").await;
    let out = [a_set(300, "DISABLE", EIP1), a_set(100, "ACTIVE", EIP2)];
    world.until("its set is off", |_| sets(&world) == out).await;
    world.mend_region("region1").await;
    world.until("its set is on", |now| sets(&world) == split && now.all_well()).await;
    for served in world.cloud.served_history() {
        assert!(served.contains(&EIP1) || served.contains(&EIP2), "NEVER-EMPTY: {served:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tiers_work_in_a_public_zone_and_the_sets_weight_stays() {
    let mut scene = Scene { service: "policy = \"priority\"", ..public() };
    scene.cloud.values = Some(Vec::new());
    scene.cloud.more_sets = vec![MoreSet {
        record_type: "A".to_owned(),
        line: "default_view".to_owned(),
        weight: Some(7),
        values: vec![EIP1],
    }];
    let regions = regions(&scene.cloud, ["tier = 1", "tier = 2"]);
    let world = watched(Scene { regions: Some(regions), ..scene }).await;
    world.until("the best tier serves", |_| sets(&world) == [a_set(7, "ACTIVE", EIP1)]).await;
    world.break_region("region1").await;
    world.until("the next tier serves", |_| sets(&world) == [a_set(7, "ACTIVE", EIP2)]).await;
    world.mend_region("region1").await;
    world.until("the best is back", |_| sets(&world) == [a_set(7, "ACTIVE", EIP1)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_else_changes_in_a_public_zone_is_mended_and_their_own_values_stay() {
    let world = World::watched(public()).await;
    world.cloud.write_as("somebody", &[EIP2, FOREIGN]).unwrap();
    let mended = json!(["A", "default_view", 1, "ACTIVE", [EIP1, EIP2, FOREIGN]]);
    world.until("our address is back", |_| sets(&world) == [mended.clone()]).await;
    assert!(world.log().to_lowercase().contains("somebody else"), "the drift was not told: {}", world.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_set_of_the_services_line_is_kept() {
    let mut scene = Scene { service: "line = \"Dianxin\"", ..public() };
    let of = |line: &str| MoreSet {
        record_type: "A".to_owned(),
        line: line.to_owned(),
        weight: Some(1),
        values: vec![EIP1, EIP2],
    };
    scene.cloud.values = Some(Vec::new());
    scene.cloud.more_sets = vec![of("default_view"), of("Dianxin")];
    let world = World::watched(scene).await;
    let before = sets(&world)[0].clone();
    world.break_region("region1").await;
    let left = json!(["A", "Dianxin", 1, "ACTIVE", [EIP2]]);
    world.until("region1 has left the line", |_| sets(&world)[1] == left).await;
    assert_eq!(sets(&world)[0], before, "ONLY-OURS");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aaaa_beside_a_follows_the_ipv6_eips() {
    let mut scene = Scene::new();
    for (region, eip) in scene.cloud.regions.iter_mut().zip([HERE, NOWHERE]) {
        region.eip6 = if let IpAddr::V6(eip) = eip { Some(eip) } else { None };
    }
    scene.cloud.more_sets = vec![MoreSet {
        record_type: "AAAA".to_owned(),
        line: "default_view".to_owned(),
        weight: None,
        values: vec![HERE, NOWHERE],
    }];
    let setup = &scene.cloud;
    let web = "[[service.region.check]]\nname = \"web6\"\nkind = \"http\"\n";
    let cloud_checks = "[[service.check]]\nname = \"elb\"\nkind = \"elb\"\nfast_interval = \"200ms\"\n\
        [[service.check]]\nname = \"eip\"\nkind = \"eip\"\n";
    let text = format!(
        "{}[[service]]\nname = \"demo6\"\ndomain = \"{}\"\ntype = \"AAAA\"\n{cloud_checks}{}",
        regions(setup, ["", ""]),
        setup.record,
        regions(setup, [web, ""]),
    );
    let world = watched(Scene { regions: Some(text), ..scene }).await;
    let values_of = |record_type: &str| -> BTreeSet<String> {
        let of_type = |set: &&Value| set[0] == record_type;
        let values = sets(&world).iter().find(of_type).map(|set| set[4].clone()).unwrap_or_default();
        values.as_array().unwrap().iter().map(|value| value.as_str().unwrap().to_owned()).collect()
    };
    let hold = |v4: &[IpAddr], v6: &[IpAddr]| {
        let texts = |all: &[IpAddr]| -> BTreeSet<String> { all.iter().map(ToString::to_string).collect() };
        values_of("A") == texts(v4) && values_of("AAAA") == texts(v6)
    };
    world.until("all is well", |now| now.all_well() && hold(&[EIP1, EIP2], &[HERE, NOWHERE])).await;
    world.break_region("region1").await;
    world.until("region1 has left both", |_| hold(&[EIP2], &[NOWHERE])).await;
    world.mend_region("region1").await;
    world.until("region1 is back in both", |_| hold(&[EIP1, EIP2], &[HERE, NOWHERE])).await;
    let metrics = world.metrics().await;
    let parts = ["service=\"demo6\"", "region=\"region1\"", "check=\"web6\"", "outcome=\"pass\""];
    let passed =
        |line: &str| line.starts_with("pointsman_probes_total") && parts.iter().all(|p| line.contains(p));
    assert!(metrics.lines().any(passed), "the IPv6 address was never looked at: {metrics}");
}

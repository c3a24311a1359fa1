//! Writes of record sets: when they are in force, and each way in which they can go wrong.

use std::time::Duration;

use pointsman::sim::{Effect, Fault, PendingWrites, Setup, SimulatedCloud};
use serde_json::{Value, json};

use crate::client::{Answer, Came, call, dig, get, quick, start, until};

const BOTH: [&str; 2] = ["127.0.1.10", "127.0.2.20"];
const ONE: [&str; 1] = ["127.0.2.20"];
/// Longer than a test lasts.
const NEVER: Duration = Duration::from_secs(3600);

/// The path of the record set that matters.
fn path(cloud: &SimulatedCloud) -> String {
    let about = cloud.describe();
    let text = |key: &str| about[key].as_str().unwrap_or("none").to_owned();
    format!("/v2/zones/{}/recordsets/{}", text("zone_id"), text("record_id"))
}

async fn write(cloud: &SimulatedCloud, values: &[&str]) -> Came {
    call(cloud, "PUT", &path(cloud), Some(&json!({"records": values}))).await
}

async fn shown(cloud: &SimulatedCloud) -> Value {
    let set = get(cloud, &path(cloud)).await.answer().json();
    json!([set["status"], set["records"]])
}

fn in_zone(cloud: &SimulatedCloud) -> Vec<String> {
    cloud.zone_values().iter().map(ToString::to_string).collect()
}

async fn active(cloud: &SimulatedCloud, values: &[&str]) {
    until("ACTIVE", || async { shown(cloud).await == json!(["ACTIVE", values]) }).await;
}

fn dns(effect: Effect) -> Fault {
    Fault::new(pointsman::sim::Api::Dns, effect)
}

#[tokio::test]
async fn a_write_is_shown_at_once_and_in_force_when_active() {
    let cloud = start().await;
    let fault = cloud.fault(dns(Effect::StuckPending { in_force: false }));
    let answer = write(&cloud, &ONE).await.answer();
    assert_eq!((answer.status, &answer.json()["status"]), (202, &json!("PENDING_UPDATE")));
    assert_eq!(shown(&cloud).await, json!(["PENDING_UPDATE", ONE]));
    assert_eq!(in_zone(&cloud), BOTH);
    cloud.clear(fault);
    active(&cloud, &ONE).await;
    assert_eq!(in_zone(&cloud), ONE);
}

#[tokio::test]
async fn history_tells_every_version_its_writer_and_when() {
    let cloud = start().await;
    write(&cloud, &ONE).await.answer();
    active(&cloud, &ONE).await;
    cloud.write_as("somebody", &[[192, 0, 2, 7].into()]).unwrap();
    active(&cloud, &["192.0.2.7"]).await;
    let history = cloud.history();
    let told: Vec<(&str, &str)> =
        history.iter().map(|version| (version.written_by.as_str(), version.values[0].as_str())).collect();
    let key = cloud.setup().access_key.as_str();
    assert_eq!(told, [("setup", BOTH[0]), (key, ONE[0]), ("somebody", "192.0.2.7")]);
    let settle = cloud.setup().settle;
    for version in &history[1..] {
        assert!(version.in_force.unwrap() >= version.accepted + settle, "{version:?}");
    }
    assert!(history[2].in_force.unwrap() <= cloud.since_start());
}

#[tokio::test]
async fn a_write_while_pending_is_refused_or_replaces_the_other() {
    let cloud = start().await;
    cloud.fault(dns(Effect::StuckPending { in_force: false }).times(1));
    write(&cloud, &ONE).await.answer();
    let refused = write(&cloud, &BOTH).await.answer();
    assert_eq!((refused.status, &refused.json()["code"]), (409, &json!("DNS.0312")));
    cloud.clear_faults();
    active(&cloud, &ONE).await;

    let setup = Setup { pending_writes: PendingWrites::Accepted, ..quick() };
    let cloud = SimulatedCloud::start(setup).await.unwrap();
    cloud.fault(dns(Effect::StuckPending { in_force: false }).times(1));
    write(&cloud, &ONE).await.answer();
    assert_eq!(write(&cloud, &BOTH).await.answer().status, 202);
    active(&cloud, &BOTH).await;
}

#[tokio::test]
async fn an_answer_lost_is_a_write_applied() {
    let cloud = start().await;
    cloud.fault(dns(Effect::AnswerLost).writes().times(1));
    assert!(matches!(write(&cloud, &ONE).await, Came::Closed));
    active(&cloud, &ONE).await;
}

#[tokio::test]
async fn a_connection_closed_is_a_write_not_applied() {
    let cloud = start().await;
    cloud.fault(dns(Effect::Closed).writes().times(1));
    assert!(matches!(write(&cloud, &ONE).await, Came::Closed));
    assert_eq!(shown(&cloud).await, json!(["ACTIVE", BOTH]));
    assert_eq!(cloud.history().len(), 1);
}

#[tokio::test]
async fn a_write_refused_changes_nothing() {
    let cloud = start().await;
    for status in [400, 403, 409, 429, 503] {
        cloud.fault(dns(Effect::Error { status }).writes().times(1));
        assert_eq!(write(&cloud, &ONE).await.answer().status, status);
    }
    assert_eq!(shown(&cloud).await, json!(["ACTIVE", BOTH]));
}

#[tokio::test]
async fn a_write_can_be_taken_up_late_over_a_newer_one() {
    let cloud = start().await;
    cloud.fault(dns(Effect::AppliedLate { delay: Duration::from_secs(2) }).times(1));
    assert!(matches!(write(&cloud, &ONE).await, Came::Closed));
    assert_eq!(shown(&cloud).await, json!(["ACTIVE", BOTH]));
    let three = ["127.0.1.10", "127.0.2.20", "192.0.2.1"];
    assert_eq!(write(&cloud, &three).await.answer().status, 202);
    active(&cloud, &three).await;
    active(&cloud, &ONE).await;
    assert_eq!(in_zone(&cloud), ONE);
}

#[tokio::test]
async fn a_write_can_be_slow_to_settle() {
    let cloud = start().await;
    let delay = Duration::from_millis(250);
    cloud.fault(dns(Effect::SlowToSettle { delay }).times(1));
    write(&cloud, &ONE).await.answer();
    active(&cloud, &ONE).await;
    let version = cloud.history().pop().unwrap();
    assert!(version.in_force.unwrap() >= version.accepted + delay);
}

#[tokio::test]
async fn a_write_can_stay_pending_and_yet_be_in_force() {
    let cloud = start().await;
    cloud.fault(dns(Effect::StuckPending { in_force: true }).times(1));
    write(&cloud, &ONE).await.answer();
    until("in force", || async { dig(&cloud, "demo.localdev.me.").await.1.len() == 1 }).await;
    assert_eq!(shown(&cloud).await, json!(["PENDING_UPDATE", ONE]));
    cloud.clear_faults();
    active(&cloud, &ONE).await;
}

#[tokio::test]
async fn a_write_can_end_in_error_without_being_in_force_and_be_mended() {
    let cloud = start().await;
    cloud.fault(dns(Effect::EndsInError).times(1));
    write(&cloud, &ONE).await.answer();
    until("ERROR", || async { shown(&cloud).await == json!(["ERROR", ONE]) }).await;
    assert_eq!(in_zone(&cloud), BOTH);
    assert_eq!(cloud.history().pop().unwrap().in_force, None);
    write(&cloud, &ONE).await.answer();
    active(&cloud, &ONE).await;
}

#[tokio::test]
async fn faults_of_writes_do_not_strike_reads() {
    let cloud = start().await;
    cloud.fault(dns(Effect::AppliedLate { delay: NEVER }).times(1));
    assert_eq!(shown(&cloud).await, json!(["ACTIVE", BOTH]));
    assert!(matches!(write(&cloud, &ONE).await, Came::Closed));
}

#[tokio::test]
async fn a_record_set_that_is_missing_can_be_made_and_keeps_what_it_was_made_with() {
    let cloud = SimulatedCloud::start(Setup { values: Some(Vec::new()), ..quick() }).await.unwrap();
    assert_eq!((in_zone(&cloud).len(), cloud.history().len()), (0, 0));
    let zone = format!("/v2/zones/{}/recordsets", cloud.describe()["zone_id"].as_str().unwrap());
    let body = json!({"name": "demo.localdev.me.", "type": "A", "ttl": 30, "records": BOTH,
        "description": "kept", "tags": [{"key": "owner", "value": "pointsman"}]});
    cloud.fault(dns(Effect::StuckPending { in_force: false }).times(1));
    let made: Answer = call(&cloud, "POST", &zone, Some(&body)).await.answer();
    assert_eq!((made.status, &made.json()["status"]), (202, &json!("PENDING_CREATE")));
    assert_eq!(in_zone(&cloud).len(), 0);
    cloud.clear_faults();
    active(&cloud, &BOTH).await;
    let again = call(&cloud, "POST", &zone, Some(&body)).await.answer();
    assert_eq!(again.status, 409);
    call(&cloud, "PUT", &path(&cloud), Some(&json!({"records": ONE, "description": null, "ttl": null})))
        .await;
    active(&cloud, &ONE).await;
    let told = get(&cloud, &path(&cloud).replace("/v2/", "/v2.1/")).await.answer().json();
    assert_eq!((&told["ttl"], &told["description"]), (&json!(30), &json!("kept")));
    assert_eq!(told["tags"], json!([{"key": "owner", "value": "pointsman"}]));
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_changes_nothing() {
    let cloud = start().await;
    let many: Vec<String> = (0..51).map(|n| format!("10.0.0.{n}")).collect();
    for body in [
        json!({"records": []}),
        json!({"records": many}),
        json!({"records": ["10.0.0.1", "10.0.0.1"]}),
        json!({"records": ["2001:db8::1"]}),
        json!({"ttl": 0}),
        json!({"ttl": 2_147_483_648_u32}),
        json!({"type": "AAAA"}),
        json!({"name": "other.localdev.me."}),
        json!("no object"),
    ] {
        let refused = call(&cloud, "PUT", &path(&cloud), Some(&body)).await.answer();
        assert_eq!(refused.status, 400, "{body}");
        assert!(refused.json()["code"].as_str().unwrap().starts_with("DNS."), "{body}");
    }
    assert_eq!(shown(&cloud).await, json!(["ACTIVE", BOTH]));
    assert_eq!(cloud.history().len(), 1);
}

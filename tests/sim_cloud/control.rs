//! The switches over HTTP do what the methods do.

use pointsman::sim::SimulatedCloud;
use serde_json::{Value, json};

use crate::client::{Answer, get, is_silent, look, start, unsigned, until};

async fn turn(cloud: &SimulatedCloud, method: &str, path: &str, body: &Value) -> Answer {
    unsigned(cloud, method, path, "", &body.to_string()).await.answer()
}

#[tokio::test]
async fn a_region_is_broken_and_mended() {
    let cloud = start().await;
    let eip1 = cloud.setup().regions[0].eip;
    let path = "/sim/regions/region1";
    let told = turn(&cloud, "POST", path, &json!({"members_alive": 0, "eip": "unbound"})).await;
    assert_eq!((told.status, &told.json()["regions"][0]["members_alive"]), (200, &json!(0)));
    assert!(told.json()["regions"][0]["eip"].is_null());
    assert!(is_silent(&cloud, eip1).await);
    let order = json!({"members_alive": 9, "eip": "bound", "endpoint": {"kind": "status", "status": 500}});
    turn(&cloud, "POST", path, &order).await;
    assert_eq!(look(&cloud, eip1).await.answer().status, 500);
    turn(&cloud, "POST", path, &json!({"eip": "127.0.1.77", "endpoint": {"kind": "serve"}})).await;
    assert_eq!(look(&cloud, [127, 0, 1, 77].into()).await.answer().status, 200);
}

#[tokio::test]
async fn faults_are_switched_on_listed_and_cleared() {
    let cloud = start().await;
    let fault = json!({"api": "iam", "effect": {"kind": "error", "status": 503}});
    let id = turn(&cloud, "POST", "/sim/faults", &fault).await.json()["id"].as_u64().unwrap();
    assert_eq!(get(&cloud, "/v3/projects").await.answer().status, 503);
    let list = turn(&cloud, "GET", "/sim/faults", &Value::Null).await.json();
    assert_eq!((&list[0]["id"], &list[0]["fault"]["effect"]), (&json!(id), &fault["effect"]));
    turn(&cloud, "DELETE", &format!("/sim/faults/{id}"), &Value::Null).await;
    assert_eq!(get(&cloud, "/v3/projects").await.answer().status, 200);
    turn(&cloud, "POST", "/sim/faults", &fault).await;
    turn(&cloud, "DELETE", "/sim/faults", &Value::Null).await;
    assert_eq!(get(&cloud, "/v3/projects").await.answer().status, 200);
}

#[tokio::test]
async fn somebody_else_can_write_the_record_set() {
    let cloud = start().await;
    turn(&cloud, "POST", "/sim/record", &json!({"by": "a colleague", "values": ["192.0.2.9"]})).await;
    until("in force", || async {
        let about = turn(&cloud, "GET", "/sim", &Value::Null).await.json();
        about["zone_values"] == json!(["192.0.2.9"]) && about["history"][1]["written_by"] == "a colleague"
    })
    .await;
}

#[tokio::test]
async fn an_order_that_is_not_understood_is_refused_with_a_reason() {
    let cloud = start().await;
    for (path, body) in [
        ("/sim/regions/region9", json!({})),
        ("/sim/regions/region1", json!({"memebrs_alive": 1})),
        ("/sim/faults", json!({"api": "elb", "effect": {"kind": "no such"}})),
        ("/sim/record", json!({"by": "x", "values": []})),
        ("/sim/nothing", json!({})),
    ] {
        let refused = turn(&cloud, "POST", path, &body).await;
        assert_eq!(refused.status, 400, "{path} {body}");
        assert!(!refused.json()["error"].as_str().unwrap().is_empty());
    }
}

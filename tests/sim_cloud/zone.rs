//! The served zone follows the record sets, over UDP and TCP.

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use pointsman::sim::SimulatedCloud;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::{call, dig, start, until};

const BOTH: [(&str, u32); 2] = [("127.0.1.10", 30), ("127.0.2.20", 30)];

fn owned(answers: &[(&str, u32)]) -> Vec<(String, u32)> {
    answers.iter().map(|(address, ttl)| ((*address).to_owned(), *ttl)).collect()
}

#[tokio::test]
async fn the_zone_answers_with_what_is_in_force_and_its_ttl() {
    let cloud = start().await;
    assert_eq!(dig(&cloud, "demo.localdev.me.").await, (ResponseCode::NoError, owned(&BOTH)));
    cloud.write_as("somebody", &[[127, 0, 2, 20].into()]).unwrap();
    until("the zone follows", || async { dig(&cloud, "demo.localdev.me.").await.1 == owned(&BOTH[1..]) })
        .await;
}

#[tokio::test]
async fn active_is_said_only_when_the_zone_answers_so() {
    let cloud = start().await;
    for last in 1..=20 {
        cloud.write_as("somebody", &[[192, 0, 2, last].into()]).unwrap();
        until("ACTIVE", || async { cloud.describe()["record_status"] == "ACTIVE" }).await;
        assert_eq!(dig(&cloud, "demo.localdev.me.").await.1, [(format!("192.0.2.{last}"), 30)]);
    }
}

#[tokio::test]
async fn a_name_that_is_not_there_does_not_exist() {
    let cloud = start().await;
    assert_eq!(dig(&cloud, "nobody.localdev.me.").await, (ResponseCode::NXDomain, Vec::new()));
    assert_eq!(dig(&cloud, "my-demo.localdev.me.").await.1, [("192.0.2.2".to_owned(), 300)]);
}

#[tokio::test]
async fn a_record_set_that_is_deleted_or_disabled_is_not_served() {
    let cloud = start().await;
    let about = cloud.describe();
    let (zone, id) = (about["zone_id"].as_str().unwrap(), about["record_id"].as_str().unwrap());
    let switch = format!("/v2.1/recordsets/{id}/statuses/set");
    call(&cloud, "PUT", &switch, Some(&serde_json::json!({"status": "DISABLE"}))).await.answer();
    until("out of service", || async { dig(&cloud, "demo.localdev.me.").await.1.is_empty() }).await;
    until("DISABLE", || async { cloud.describe()["record_status"] == "DISABLE" }).await;
    call(&cloud, "PUT", &switch, Some(&serde_json::json!({"status": "ENABLE"}))).await.answer();
    until("in service", || async { dig(&cloud, "demo.localdev.me.").await.1.len() == 2 }).await;
    until("ACTIVE", || async { cloud.describe()["record_status"] == "ACTIVE" }).await;
    call(&cloud, "DELETE", &format!("/v2/zones/{zone}/recordsets/{id}"), None).await.answer();
    until("gone", || async { dig(&cloud, "demo.localdev.me.").await.1.is_empty() }).await;
}

#[tokio::test]
async fn the_zone_answers_over_tcp_and_its_serial_grows() {
    let cloud = start().await;
    let before = serial(&cloud).await;
    cloud.write_as("somebody", &[[192, 0, 2, 1].into()]).unwrap();
    until("a newer serial", || async { serial(&cloud).await > before }).await;
}

async fn serial(cloud: &SimulatedCloud) -> u32 {
    let mut question = Message::query();
    question.add_query(Query::query(Name::from_ascii("localdev.me.").unwrap(), RecordType::SOA));
    let bytes = question.to_vec().unwrap();
    let mut stream = TcpStream::connect(cloud.dns_address()).await.unwrap();
    stream.write_u16(u16::try_from(bytes.len()).unwrap()).await.unwrap();
    stream.write_all(&bytes).await.unwrap();
    let mut answer = vec![0; stream.read_u16().await.unwrap().into()];
    stream.read_exact(&mut answer).await.unwrap();
    let answer = Message::from_vec(&answer).unwrap();
    let RData::SOA(soa) = &answer.answers[0].data else { panic!("no SOA: {answer}") };
    soa.serial
}

//! The regions' own addresses, and what the load balancers say of what stands behind them.

use std::net::Ipv4Addr;
use std::time::Duration;

use pointsman::sim::{EndpointState, RegionSetup, Setup, SimulatedCloud};
use serde_json::Value;
use tokio::net::TcpStream;

use crate::client::{Came, ask_again, ask_in_vain, get, is_silent, look, quick, start, until, until_closed};

const EIP1: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 10);
const EIP2: Ipv4Addr = Ipv4Addr::new(127, 0, 2, 20);

fn elb(cloud: &SimulatedCloud, rest: &str) -> String {
    format!("/v3/{}/elb/{rest}", cloud.setup().regions[0].project_id)
}

async fn member_states(cloud: &SimulatedCloud) -> Vec<String> {
    let members = get(cloud, &elb(cloud, "members")).await.answer().json();
    let state = |member: &Value| {
        assert_eq!(member["operating_status"], member["status"][0]["operating_status"]);
        member["operating_status"].as_str().unwrap().to_owned()
    };
    members["members"].as_array().unwrap().iter().map(state).collect()
}

async fn eips_of_elb(cloud: &SimulatedCloud) -> Vec<String> {
    let one = get(cloud, &elb(cloud, &format!("loadbalancers/{}", cloud.setup().regions[0].elb_id))).await;
    let balancer = one.answer().json()["loadbalancer"].clone();
    let eips: Vec<&Value> =
        balancer["eips"].as_array().unwrap().iter().map(|eip| &eip["eip_address"]).collect();
    let publicips = balancer["publicips"].as_array().unwrap().iter();
    assert_eq!(eips, publicips.map(|eip| &eip["publicip_address"]).collect::<Vec<_>>());
    eips.iter().map(|eip| eip.as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn each_region_answers_at_its_own_address_and_names_itself() {
    let cloud = start().await;
    for (address, name) in [(EIP1, "region1"), (EIP2, "region2")] {
        let answer = look(&cloud, address).await.answer();
        assert_eq!((answer.status, answer.header("X-Region")), (200, Some(name)));
        assert!(answer.body.contains(name), "{}", answer.body);
    }
}

#[tokio::test]
async fn an_endpoint_can_fail_in_each_way_and_serve_again() {
    let cloud = start().await;
    let region = cloud.region("region1").unwrap();
    region.endpoint(EndpointState::Status { status: 503 }).await.unwrap();
    assert_eq!(look(&cloud, EIP1).await.answer().status, 503);
    region.endpoint(EndpointState::Hang).await.unwrap();
    assert!(is_silent(&cloud, EIP1).await);
    region.endpoint(EndpointState::Refuse).await.unwrap();
    assert!(matches!(look(&cloud, EIP1).await, Came::Refused));
    region.endpoint(EndpointState::Slow { delay: Duration::from_secs(60) }).await.unwrap();
    assert!(is_silent(&cloud, EIP1).await);
    region.endpoint(EndpointState::Serve).await.unwrap();
    assert_eq!(look(&cloud, EIP1).await.answer().status, 200);
    assert_eq!(look(&cloud, EIP2).await.answer().status, 200);
}

#[tokio::test]
async fn an_eip_unbound_swallows_traffic_and_the_api_says_so() {
    let cloud = start().await;
    let region = cloud.region("region1").unwrap();
    assert_eq!(eips_of_elb(&cloud).await, ["127.0.1.10"]);
    region.eip_unbind().await.unwrap();
    assert!(is_silent(&cloud, EIP1).await);
    assert_eq!((region.eip(), eips_of_elb(&cloud).await.len()), (None, 0));
    region.eip_rebind().await.unwrap();
    assert_eq!(look(&cloud, EIP1).await.answer().status, 200);
    assert_eq!((region.eip(), eips_of_elb(&cloud).await.len()), (Some(EIP1), 1));
}

#[tokio::test]
async fn an_unbound_eip_swallows_even_what_the_endpoint_would_refuse() {
    let cloud = start().await;
    let region = cloud.region("region1").unwrap();
    region.endpoint(EndpointState::Refuse).await.unwrap();
    region.eip_unbind().await.unwrap();
    assert!(is_silent(&cloud, EIP1).await);
    region.eip_rebind().await.unwrap();
    assert!(matches!(look(&cloud, EIP1).await, Came::Refused));
}

#[tokio::test]
async fn an_eip_changed_serves_at_the_new_address_alone() {
    let cloud = start().await;
    let (region, new) = (cloud.region("region1").unwrap(), Ipv4Addr::new(127, 0, 1, 99));
    region.eip_change(new).await.unwrap();
    assert_eq!(look(&cloud, new).await.answer().header("X-Region"), Some("region1"));
    assert!(is_silent(&cloud, EIP1).await);
    assert_eq!((region.eip(), eips_of_elb(&cloud).await), (Some(new), vec!["127.0.1.99".to_owned()]));
    region.eip_unbind().await.unwrap();
    region.eip_rebind().await.unwrap();
    assert_eq!(region.eip(), Some(new), "the last one is bound again");
    region.eip_change(EIP1).await.unwrap();
    assert_eq!(look(&cloud, EIP1).await.answer().status, 200);
    assert!(is_silent(&cloud, new).await);
}

#[tokio::test]
async fn a_kept_connection_dies_with_its_region() {
    let cloud = start().await;
    let region = cloud.region("region1").unwrap();
    let mut stream = TcpStream::connect((EIP1, cloud.setup().regions[0].listener_port)).await.unwrap();
    for _ in 0..2 {
        assert_eq!(ask_again(&mut stream).await.status, 200);
    }
    region.eip_unbind().await.unwrap();
    assert!(ask_in_vain(&mut stream).await);
    region.eip_rebind().await.unwrap();

    let mut stream = TcpStream::connect((EIP1, cloud.setup().regions[0].listener_port)).await.unwrap();
    assert_eq!(ask_again(&mut stream).await.status, 200);
    region.endpoint(EndpointState::Refuse).await.unwrap();
    until_closed(&mut stream).await;
}

#[tokio::test]
async fn without_members_the_load_balancer_answers_itself() {
    let cloud = start().await;
    let region = cloud.region("region1").unwrap();
    assert_eq!(member_states(&cloud).await, ["ONLINE"; 3]);
    region.members_offline();
    let answer = look(&cloud, EIP1).await.answer();
    assert_eq!((answer.status, answer.header("X-Region")), (503, None));
    assert_eq!(member_states(&cloud).await, ["OFFLINE"; 3]);
    region.members_alive(1);
    assert_eq!(look(&cloud, EIP1).await.answer().status, 200);
    assert_eq!(member_states(&cloud).await, ["ONLINE", "OFFLINE", "OFFLINE"]);
    region.members_online();
    assert_eq!(member_states(&cloud).await, ["ONLINE"; 3]);
}

#[tokio::test]
async fn until_health_checks_notice_clients_meet_dead_members() {
    let setup = Setup { notice: Duration::from_secs(3600), ..quick() };
    let cloud = SimulatedCloud::start(setup).await.unwrap();
    cloud.region("region1").unwrap().members_offline();
    assert_eq!(member_states(&cloud).await, ["ONLINE"; 3]);
    assert_eq!(look(&cloud, EIP1).await.answer().status, 502);
}

#[tokio::test]
async fn health_checks_notice_after_their_time() {
    let setup = Setup { notice: Duration::from_millis(200), ..quick() };
    let cloud = SimulatedCloud::start(setup).await.unwrap();
    cloud.region("region1").unwrap().members_offline();
    until("noticed", || async { member_states(&cloud).await == ["OFFLINE"; 3] }).await;
    assert_eq!(look(&cloud, EIP1).await.answer().status, 503);
}

#[tokio::test]
async fn without_a_health_monitor_nothing_is_ever_noticed() {
    let mut setup = quick();
    setup.regions[0].health_monitor = false;
    let cloud = SimulatedCloud::start(setup).await.unwrap();
    cloud.region("region1").unwrap().members_offline();
    assert_eq!(member_states(&cloud).await, ["NO_MONITOR"; 3]);
    let pools = get(&cloud, &elb(&cloud, "pools")).await.answer().json();
    assert!(pools["pools"][0]["healthmonitor_id"].is_null());
}

#[tokio::test]
async fn a_setup_that_makes_no_sense_does_not_start() {
    let with = |change: fn(&mut Setup)| {
        let mut setup = quick();
        change(&mut setup);
        setup
    };
    for setup in [
        with(|setup| setup.regions.clear()),
        with(|setup| setup.regions[0].eip = Ipv4Addr::new(198, 51, 100, 10)),
        with(|setup| setup.regions[1].eip = setup.regions[0].eip),
        with(|setup| setup.regions[1].name = setup.regions[0].name.clone()),
        with(|setup| setup.bind = ([0, 0, 0, 0], 0).into()),
    ] {
        let error = SimulatedCloud::start(setup).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput, "{error}");
    }
    assert!(start().await.region("region9").is_err());
}

#[tokio::test]
async fn more_regions_than_two_and_two_in_one_project_are_fine() {
    let mut setup = quick();
    setup.regions.push(RegionSetup::new("region3", "cn-north-4", Ipv4Addr::new(127, 0, 3, 30)));
    let cloud = SimulatedCloud::start(setup).await.unwrap();
    assert_eq!(look(&cloud, Ipv4Addr::new(127, 0, 3, 30)).await.answer().header("X-Region"), Some("region3"));
    let all = get(&cloud, &elb(&cloud, "loadbalancers")).await.answer().json();
    assert_eq!(all["loadbalancers"].as_array().unwrap().len(), 2);
    assert_eq!(cloud.zone_values().len(), 3);
}

#[tokio::test]
async fn after_a_stop_every_port_is_free_again() {
    let cloud = start().await;
    let mut setup = cloud.setup().clone();
    setup.bind = cloud.endpoint().trim_start_matches("http://").parse().unwrap();
    setup.dns_bind = cloud.dns_address();
    cloud.stop().await;
    let again = SimulatedCloud::start(setup).await.unwrap();
    assert_eq!(look(&again, EIP1).await.answer().status, 200);
}

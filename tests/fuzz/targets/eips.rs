//! EIPs: what is bound to a load balancer by its own lists, and what the EIP API says of addresses.
//!
//! Only lists that are there and empty mean unbound, and only when the EIP API agrees (BLIND-IS-NOT-DOWN).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use pointsman::clock::instant_now;
use pointsman::model::{CloudName, EipCheck, ElbRef, Outcome, Reason, RecordType};
use pointsman::probe::{Addresses, CloudView, EipLooker, Trace};
use serde_json::Value;
use tokio::sync::watch;

use super::script::{REGION, Script, assert_tells_no_key, in_virtual_time};

const SECOND: Duration = Duration::from_secs(1);
const BOUND: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 10));

pub(super) fn run(input: &[u8]) {
    let script = Script::read(input);
    if !script.is_plain() {
        return;
    }
    in_virtual_time(look(&script, input));
}

async fn look(script: &Arc<Script>, input: &[u8]) {
    let account = script.account();
    let view = CloudView::new(account.clone(), REGION);
    let elb = ElbRef {
        cloud: CloudName::parse("main").unwrap(),
        cloud_region: REGION.to_owned(),
        id: "lb1".to_owned(),
        listener_port: 80,
    };
    let (_stays, known) = watch::channel(Addresses::Known([BOUND].into()));
    let mut looker = EipLooker::new(&view, &EipCheck { elb, record_type: RecordType::A }, known);
    let look = looker.look(5 * SECOND, instant_now() + 2 * SECOND, &mut Trace::off()).await;
    assert_tells_no_key(&look.saw, input);
    let listed = script.lists("loadbalancers", "loadbalancers");
    let agrees = script.lists("publicips", "publicips");
    match look.outcome {
        Outcome::Pass => assert!(has_lists(script), "{}", look.saw),
        Outcome::Fail(Reason::Unbound) => assert!(has_lists(script) && agrees, "{}", look.saw),
        Outcome::Fail(Reason::Gone) => {
            assert!(listed && script.denies("loadbalancer") && agrees, "{}", look.saw);
        }
        Outcome::Fail(other) => panic!("an eip check cannot fail for {other:?}: {}", look.saw),
        Outcome::Unknown(_) => {}
    }

    let told = script.lists("publicips", "publicips");
    match account.eips_by_address(REGION, BOUND, instant_now() + 2 * SECOND).await {
        Ok(eips) => assert!(told && eips.iter().all(|eip| eip.address == Some(BOUND)), "{eips:?}"),
        Err(error) => assert_tells_no_key(&error.to_string(), input),
    }
    match account.eips_of_elb(REGION, "lb1", instant_now() + 2 * SECOND).await {
        Ok(eips) => {
            let ours = eips.iter().all(|eip| eip.associate_instance_id.as_deref() == Some("lb1"));
            assert!(told && ours, "{eips:?}");
        }
        Err(error) => assert_tells_no_key(&error.to_string(), input),
    }
}

/// Whether an answer about the load balancer has one of the two lists that tell.
fn has_lists(script: &Script) -> bool {
    let tells = |elb: &Value| elb["id"] == "lb1" && (elb["eips"].is_array() || elb["publicips"].is_array());
    let listed = script.understood("loadbalancers");
    listed.iter().filter_map(|answer| answer["loadbalancers"].as_array()).flatten().any(tells)
        || script.understood("loadbalancer").iter().any(|answer| tells(&answer["loadbalancer"]))
}

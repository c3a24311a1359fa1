//! The `eip` check and the follower of addresses, end to end over loopback.
#![cfg(test)] // makes clippy take the helpers below for tests too

mod cloud_double;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use cloud_double::{CloudDouble, ELB, ERROR_SAMPLES, OTHER_ELB, REGION, read, what_of};
use pointsman::clock::instant_now;
use pointsman::model::{
    Check, CheckKind, CheckName, CloudName, EipCheck, ElbRef, Expression, Flap, Outcome, Reason, RecordType,
    Region, RegionName, ServiceName, Threshold, Weight, WhenUnknown,
};
use pointsman::probe::{AddressFollower, Addresses, AddressesSeen, CloudView, EipLooker, Look, Trace};
use serde_json::json;
use tokio::sync::{mpsc, watch};

const TWO: &str = "elb-list_load_balancers-two-by-id";
const ONE_GONE: &str = "elb-list_load_balancers-one-gone";
const NOT_FOUND: &str = "elb-show_load_balancer-error-not-found";
const INTERVAL: Duration = Duration::from_secs(3600);

fn elb(id: &str) -> ElbRef {
    let (cloud, cloud_region) = (CloudName::parse("main").unwrap(), REGION.to_owned());
    ElbRef { cloud, cloud_region, id: id.to_owned(), listener_port: 80 }
}

async fn look(looker: &mut EipLooker) -> Look {
    looker.look(INTERVAL, instant_now() + Duration::from_secs(5), &mut Trace::off()).await
}

/// A look that is not given the time for many retries, where the answers cannot make it anything but
/// unknown.
async fn short_look(looker: &mut EipLooker) -> Look {
    looker.look(INTERVAL, instant_now() + Duration::from_millis(300), &mut Trace::off()).await
}

/// Two regions' lookers through one view.
async fn watched() -> (CloudDouble, Arc<CloudView>, EipLooker, EipLooker) {
    let cloud = CloudDouble::start().await;
    cloud.plays(TWO);
    let view = CloudView::new(cloud.account(), REGION);
    let looker = |id| EipLooker::new(&view, &EipCheck { elb: elb(id), record_type: RecordType::A });
    let (one, other) = (looker(ELB), looker(OTHER_ELB));
    (cloud, view, one, other)
}

#[tokio::test]
async fn one_call_tells_of_all_load_balancers_which_has_an_eip() {
    let (cloud, _view, mut bound, mut unbound) = watched().await;
    let look_at = look(&mut bound).await;
    assert_eq!((look_at.outcome, &*look_at.saw), (Outcome::Pass, "EIP 198.51.100.10 bound"));
    assert_eq!(look(&mut unbound).await.outcome, Outcome::Fail(Reason::Unbound));
    let asked = cloud.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    for id in [ELB, OTHER_ELB] {
        assert!(asked[0].query.contains(&format!("id={id}")), "{asked:?}");
    }
}

#[tokio::test]
async fn a_service_of_type_aaaa_looks_for_an_ipv6_eip_and_one_of_type_a_for_an_ipv4_one() {
    let cloud = CloudDouble::start().await;
    cloud.plays(TWO);
    let view = CloudView::new(cloud.account(), REGION);
    let looker = |record_type| EipLooker::new(&view, &EipCheck { elb: elb(ELB), record_type });
    let (mut v4, mut v6) = (looker(RecordType::A), looker(RecordType::Aaaa));
    let unbound = look(&mut v6).await;
    assert_eq!(unbound.outcome, Outcome::Fail(Reason::Unbound));
    assert!(unbound.saw.starts_with("no IPv6 EIP is bound"), "{}", unbound.saw);
    assert_eq!(look(&mut v4).await.outcome, Outcome::Pass);
    let both = read("elb-show_load_balancer-ipv6")["body"]["loadbalancer"]["eips"].clone();
    cloud.plays_as(TWO, |body| body["loadbalancers"][0]["eips"] = both.clone());
    assert_eq!(look(&mut v6).await.saw, "IPv6 EIP 2001:db8:14::37 bound");
    assert_eq!(look(&mut v4).await.saw, "EIP 198.51.100.10 bound");
    cloud.plays_as(TWO, |body| {
        body["loadbalancers"][0]["eips"] = json!([both[1]]);
        body["loadbalancers"][0]["publicips"] = json!([]);
    });
    assert_eq!(look(&mut v6).await.outcome, Outcome::Pass);
    assert_eq!(look(&mut v4).await.outcome, Outcome::Fail(Reason::Unbound));
}

#[tokio::test]
async fn no_look_counts_the_answer_of_the_look_before() {
    let (cloud, _view, mut bound, mut unbound) = watched().await;
    for calls in [1, 1, 1] {
        look(&mut bound).await;
        look(&mut unbound).await;
        assert_eq!(cloud.asked().len(), calls);
    }
    look(&mut unbound).await;
    look(&mut unbound).await;
    assert_eq!(cloud.asked().len(), 2);
}

#[tokio::test]
async fn lists_that_are_not_there_are_unknown_and_empty_ones_are_unbound() {
    let (cloud, _view, mut looker, _other) = watched().await;
    let with = |lists: serde_json::Value| {
        cloud.plays_as(TWO, move |body| {
            for list in ["eips", "publicips", "global_eips"] {
                body["loadbalancers"][0][list] = lists.clone();
            }
        });
    };
    with(json!(null));
    assert_eq!(look(&mut looker).await.outcome, Outcome::Unknown(Reason::Api));
    with(json!([]));
    assert_eq!(look(&mut looker).await.outcome, Outcome::Fail(Reason::Unbound));
}

#[tokio::test]
async fn what_the_list_lacks_is_gone_only_by_its_own_real_404() {
    let (cloud, _view, mut absent, mut listed) = watched().await;
    cloud.plays_as(TWO, |body| drop(body["loadbalancers"].as_array_mut().unwrap().remove(0)));
    // Its own call has it: then that counts.
    cloud.plays("elb-show_load_balancer-eip-unbound");
    assert_eq!(look(&mut absent).await.outcome, Outcome::Fail(Reason::Unbound));
    cloud.plays_in_place_of(NOT_FOUND, &what_of(&read("elb-show_load_balancer-eip-unbound")));
    let gone = look(&mut absent).await;
    assert_eq!(gone.outcome, Outcome::Fail(Reason::Gone));
    assert!(gone.saw.contains(ELB), "{}", gone.saw);
    assert_eq!(look(&mut listed).await.outcome, Outcome::Fail(Reason::Unbound));
}

#[tokio::test]
async fn what_the_list_lacks_is_unknown_while_its_own_call_has_no_answer() {
    for error in ERROR_SAMPLES.iter().filter(|sample| **sample != NOT_FOUND) {
        let (cloud, _view, _there, mut absent) = watched().await;
        cloud.plays(ONE_GONE);
        cloud.plays_in_place_of(error, &what_of(&read(NOT_FOUND)));
        let look = short_look(&mut absent).await;
        assert!(matches!(look.outcome, Outcome::Unknown(_)), "{error}: {look:?}");
    }
    // No word of the API's own in it: a gateway's 404.
    let (cloud, _view, _there, mut absent) = watched().await;
    cloud.plays(ONE_GONE);
    assert_eq!(look(&mut absent).await.outcome, Outcome::Unknown(Reason::Api));
}

#[tokio::test]
async fn what_cannot_be_looked_at_is_unknown() {
    for error in ERROR_SAMPLES {
        let (cloud, _view, mut looker, _other) = watched().await;
        cloud.plays_in_place_of(error, &what_of(&read(TWO)));
        let look = short_look(&mut looker).await;
        assert!(matches!(look.outcome, Outcome::Unknown(_)), "{error}: {look:?}");
    }
}

#[tokio::test]
async fn a_list_that_was_not_asked_for_a_load_balancer_says_nothing_of_it() {
    let cloud = CloudDouble::start().await;
    cloud.plays(TWO);
    let view = CloudView::new(cloud.account(), REGION);
    let mut first = EipLooker::new(&view, &EipCheck { elb: elb(ELB), record_type: RecordType::A });
    look(&mut first).await;
    let mut later = EipLooker::new(&view, &EipCheck { elb: elb(OTHER_ELB), record_type: RecordType::A });
    assert_eq!(look(&mut later).await.outcome, Outcome::Fail(Reason::Unbound));
    let asked = cloud.asked();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(!asked[0].query.contains(OTHER_ELB) && asked[1].query.contains(OTHER_ELB), "{asked:?}");
}

#[tokio::test]
async fn a_load_balancer_that_is_watched_no_more_is_asked_for_no_more() {
    let (cloud, _view, mut looker, other) = watched().await;
    drop(other);
    look(&mut looker).await;
    assert!(!cloud.asked()[0].query.contains(OTHER_ELB));
}

fn region() -> Region {
    let name = CheckName::parse("eip").unwrap();
    Region {
        name: RegionName::parse("region1").unwrap(),
        tier: 1,
        weight: Weight::DEFAULT,
        elb: Some(elb(ELB)),
        addresses: Vec::new(),
        checks: vec![Check {
            name: name.clone(),
            kind: CheckKind::Eip(EipCheck { elb: elb(ELB), record_type: RecordType::A }),
            interval: INTERVAL,
            fast_interval: INTERVAL,
            timeout: Duration::from_secs(2),
            max_latency: None,
            fall: Threshold::in_a_row(3).unwrap(),
            rise: Threshold::in_a_row(3).unwrap(),
            vote: true,
            when_unknown: WhenUnknown::Ignore,
        }],
        up_when: Expression::Check(name),
        recover_after: Duration::from_secs(30),
        flap: Flap { window: INTERVAL, factor: 2.0, max: INTERVAL },
    }
}

/// A follower of the first region, where looks find its addresses, and where changes are told.
fn following(
    view: &Arc<CloudView>,
) -> (AddressFollower, watch::Receiver<Addresses>, mpsc::Receiver<AddressesSeen>) {
    let (told, tellings) = mpsc::channel(4);
    let service = ServiceName::parse("demo").unwrap();
    let (follower, looks) = AddressFollower::new(view, &service, &region(), RecordType::A, told).unwrap();
    (follower, looks, tellings)
}

async fn follow(follower: &mut AddressFollower) {
    follower.look(instant_now() + Duration::from_secs(5), &mut Trace::off()).await;
}

#[tokio::test]
async fn addresses_are_followed_and_told_once_a_change() {
    let (cloud, view, _looker, _other) = watched().await;
    let (mut follower, looks, mut tellings) = following(&view);
    assert_eq!(*looks.borrow(), Addresses::NotKnown);
    // What is bound, and what of it an A record can hold.
    let cases: [(&[&str], &[&str]); 4] = [
        (&["198.51.100.10"], &["198.51.100.10"]),
        (&["198.51.100.99", "198.51.100.10", "2001:db8::7"], &["198.51.100.10", "198.51.100.99"]),
        (&["2001:db8::7"], &[]),
        (&["198.51.100.12"], &["198.51.100.12"]),
    ];
    for (bound, known) in cases {
        cloud.plays_as(TWO, |body| {
            let eips: Vec<_> = bound.iter().map(|eip| json!({ "eip_address": eip })).collect();
            body["loadbalancers"][0]["eips"] = json!(eips);
            body["loadbalancers"][0]["publicips"] = json!([]);
        });
        let sorted: Vec<IpAddr> = known.iter().map(|address| address.parse().unwrap()).collect();
        for _ in 0..2 {
            follow(&mut follower).await;
            assert_eq!(*looks.borrow(), Addresses::Known(sorted.as_slice().into()));
        }
        let told = tellings.try_recv().unwrap();
        assert_eq!((told.region.as_str(), told.addresses), ("region1", sorted));
        assert!(tellings.try_recv().is_err(), "told although nothing changed");
    }
}

#[tokio::test]
async fn what_is_known_of_addresses_stays_while_the_cloud_tells_nothing() {
    for error in ERROR_SAMPLES.iter().chain(&["not told", "lacking"]) {
        let (cloud, view, _looker, _other) = watched().await;
        let (mut follower, looks, _tellings) = following(&view);
        follow(&mut follower).await;
        match *error {
            "not told" => cloud.plays_as(TWO, |body| {
                body["loadbalancers"][0]["eips"] = json!(null);
                body["loadbalancers"][0]["publicips"] = json!(null);
            }),
            "lacking" => cloud.plays_as(TWO, |body| body["loadbalancers"] = json!([])),
            error => cloud.plays_in_place_of(error, &what_of(&read(TWO))),
        }
        follower.look(instant_now() + Duration::from_millis(300), &mut Trace::off()).await;
        assert_eq!(*looks.borrow(), Addresses::Known(["198.51.100.10".parse().unwrap()].into()), "{error}");
    }
}

#[tokio::test]
async fn an_address_that_no_client_can_be_sent_to_is_unknown_and_followed_nowhere() {
    for bogus in ["0.0.0.0", "224.0.0.1", "255.255.255.255", "169.254.169.254", "::", "::ffff:198.51.100.1"] {
        let (cloud, view, mut looker, mut other) = watched().await;
        let (mut follower, looks, mut tellings) = following(&view);
        follow(&mut follower).await;
        assert!(tellings.try_recv().is_ok());
        cloud.plays_as(TWO, |body| {
            body["loadbalancers"][0]["eips"] =
                json!([{ "eip_address": "198.51.100.10" }, { "eip_address": bogus }]);
        });
        follow(&mut follower).await;
        assert_eq!(*looks.borrow(), Addresses::Known(["198.51.100.10".parse().unwrap()].into()), "{bogus}");
        assert!(tellings.try_recv().is_err(), "{bogus} was told of");
        let seen = look(&mut looker).await;
        assert_eq!(seen.outcome, Outcome::Unknown(Reason::Api), "{}", seen.saw);
        assert!(seen.saw.contains("which no client can be sent to"), "{}", seen.saw);
        assert_eq!(
            look(&mut other).await.outcome,
            Outcome::Fail(Reason::Unbound),
            "another's list is its own"
        );
    }
}

#[tokio::test]
async fn a_load_balancer_that_is_gone_has_no_address() {
    let (cloud, view, _looker, _other) = watched().await;
    let (mut follower, looks, _tellings) = following(&view);
    follow(&mut follower).await;
    cloud.plays_as(TWO, |body| body["loadbalancers"] = json!([]));
    cloud.plays_in_place_of(NOT_FOUND, &what_of(&read("elb-show_load_balancer-eip-bound")));
    follow(&mut follower).await;
    assert_eq!(*looks.borrow(), Addresses::Known([].into()));
}

#[tokio::test]
async fn following_adds_no_call_to_those_of_the_check() {
    let (cloud, view, mut looker, _other) = watched().await;
    let (mut follower, _looks, _tellings) = following(&view);
    look(&mut looker).await;
    follow(&mut follower).await;
    assert_eq!(cloud.asked().len(), 1);
}

#[tokio::test]
async fn fixed_addresses_are_not_followed() {
    let (_cloud, view, _looker, _other) = watched().await;
    let (told, _tellings) = mpsc::channel(4);
    let mut region = region();
    region.addresses.push("198.51.100.10".parse().unwrap());
    assert!(
        AddressFollower::new(&view, &ServiceName::parse("demo").unwrap(), &region, RecordType::A, told)
            .is_none()
    );
}

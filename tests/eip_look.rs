//! The `eip` check and the follower of addresses, end to end over loopback.
#![cfg(test)] // makes clippy take the helpers below for tests too

mod cloud_double;

use std::net::{IpAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use cloud_double::{CloudDouble, ELB, ERROR_SAMPLES, OTHER_ELB, REGION, read, what_of};
use pointsman::clock::instant_now;
use pointsman::model::{
    Check, CheckKind, CheckName, CloudName, EipCheck, ElbRef, Expression, Flap, Outcome, Reason, RecordType,
    Region, RegionName, ServiceName, TcpCheck, Threshold, Weight, WhenUnknown,
};
use pointsman::probe::{AddressFollower, Addresses, AddressesSeen, CloudView, EipLooker, Look, Trace};
use serde_json::json;
use tokio::sync::{mpsc, watch};

const TWO: &str = "elb-list_load_balancers-two-by-id";
const ONE_GONE: &str = "elb-list_load_balancers-one-gone";
const NOT_FOUND: &str = "elb-show_load_balancer-error-not-found";
/// What the EIP API says: of a load balancer's EIPs, and of an address.
const NO_EIPS: &str = "eip-list_publicips-none";
const EIP_IS_BOUND: &str = "eip-list_publicips-by-instance";
const EIP_IS_FREE: &str = "eip-list_publicips-unbound";
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

/// Two regions' lookers through one view; the EIP of the first is known, and the EIP API has none.
async fn watched() -> (CloudDouble, Arc<CloudView>, EipLooker, EipLooker) {
    let cloud = CloudDouble::start().await;
    cloud.plays(TWO);
    cloud.plays(NO_EIPS);
    let view = CloudView::new(cloud.account(), REGION);
    let (one, other) = (looker_at(&view, ELB, &["198.51.100.10"]), looker_at(&view, OTHER_ELB, &[]));
    (cloud, view, one, other)
}

fn looker_at(view: &Arc<CloudView>, id: &str, known: &[&str]) -> EipLooker {
    let check = EipCheck { elb: elb(id), record_type: RecordType::A };
    EipLooker::new(view, &check, watch::channel(at(known)).1)
}

fn at(addresses: &[&str]) -> Addresses {
    let addresses: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
    Addresses::from(&*addresses)
}

/// The list tells these EIPs of the first load balancer.
fn binds(cloud: &CloudDouble, eips: &[&str]) {
    cloud.plays_as(TWO, |body| {
        let eips: Vec<_> = eips.iter().map(|eip| json!({ "eip_address": eip })).collect();
        body["loadbalancers"][0]["eips"] = json!(eips);
        body["loadbalancers"][0]["publicips"] = json!([]);
    });
}

/// The EIP API tells this EIP as bound to the first load balancer, in that status.
fn associates(cloud: &CloudDouble, address: &str, status: &str) {
    cloud.plays_as(EIP_IS_BOUND, |body| {
        body["publicips"][0]["public_ip_address"] = json!(address);
        body["publicips"][0]["status"] = json!(status);
    });
}

#[tokio::test]
async fn one_call_tells_of_all_load_balancers_which_has_an_eip() {
    let (cloud, _view, mut bound, mut unbound) = watched().await;
    let look_at = look(&mut bound).await;
    assert_eq!((look_at.outcome, &*look_at.saw), (Outcome::Pass, "EIP 198.51.100.10 bound"));
    assert_eq!(look(&mut unbound).await.outcome, Outcome::Fail(Reason::Unbound));
    let asked = cloud.asked();
    assert_eq!(asked.len(), 2, "the list, and the EIP API about the second: {asked:?}");
    for id in [ELB, OTHER_ELB] {
        assert!(asked[0].query.contains(&format!("id={id}")), "{asked:?}");
    }
}

#[tokio::test]
async fn a_service_of_type_aaaa_looks_for_an_ipv6_eip_and_one_of_type_a_for_an_ipv4_one() {
    let cloud = CloudDouble::start().await;
    cloud.plays(TWO);
    let view = CloudView::new(cloud.account(), REGION);
    cloud.plays(NO_EIPS);
    let known = watch::channel(Addresses::NotKnown).1;
    let looker = |record_type| EipLooker::new(&view, &EipCheck { elb: elb(ELB), record_type }, known.clone());
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
    let lists = || cloud.asked_for().iter().filter(|asked| *asked == "loadbalancers").count();
    for calls in [1, 1, 1] {
        look(&mut bound).await;
        look(&mut unbound).await;
        assert_eq!(lists(), calls);
    }
    look(&mut unbound).await;
    look(&mut unbound).await;
    assert_eq!(lists(), 2);
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
async fn an_empty_list_is_unbound_only_when_the_eip_api_agrees() {
    let unknown = Outcome::Unknown(Reason::Api);
    let unbound = Outcome::Fail(Reason::Unbound);
    for (case, outcome) in [
        (NO_EIPS, unbound),
        (EIP_IS_FREE, unbound),
        ("eip-list_publicips-bound-elsewhere", unbound),
        (EIP_IS_BOUND, unknown),
        ("BINDING", unknown),
        ("A_WORD_OF_TOMORROW", unknown),
        ("elb-list_all_members-error-forbidden", Outcome::Unknown(Reason::Api)),
        ("elb-list_all_members-html-with-200", unknown),
    ] {
        let (cloud, _view, mut looker, _other) = watched().await;
        binds(&cloud, &[]);
        match case {
            sample if sample.starts_with("eip") => cloud.plays(sample),
            sample if sample.starts_with("elb") => {
                cloud.plays_in_place_of(sample, &what_of(&read(EIP_IS_BOUND)));
            }
            status => cloud.plays_as(EIP_IS_FREE, |body| {
                for eip in body["publicips"].as_array_mut().unwrap() {
                    eip["status"] = json!(status);
                }
            }),
        }
        let look = look(&mut looker).await;
        assert_eq!(look.outcome, outcome, "{case}: {}", look.saw);
    }
}

#[tokio::test]
async fn a_load_balancer_that_is_not_shown_is_gone_only_when_the_eip_api_shows_its_eip_unbound() {
    let (cloud, view, mut absent, mut listed) = watched().await;
    cloud.plays_as(TWO, |body| drop(body["loadbalancers"].as_array_mut().unwrap().remove(0)));
    // Its own call has it: then that counts.
    cloud.plays("elb-show_load_balancer-eip-bound");
    assert_eq!(look(&mut absent).await.outcome, Outcome::Pass);
    cloud.plays_in_place_of(NOT_FOUND, &what_of(&read("elb-show_load_balancer-eip-bound")));
    for eips in [EIP_IS_BOUND, NO_EIPS] {
        cloud.plays(eips);
        let hidden = look(&mut absent).await;
        assert_eq!(hidden.outcome, Outcome::Unknown(Reason::Gone), "{eips}: {}", hidden.saw);
        assert!(hidden.saw.contains(ELB) && hidden.saw.contains("permission"), "{}", hidden.saw);
    }
    cloud.plays(EIP_IS_FREE);
    assert_eq!(look(&mut absent).await.outcome, Outcome::Fail(Reason::Gone));
    let mut nowhere = looker_at(&view, ELB, &[]);
    assert_eq!(look(&mut nowhere).await.outcome, Outcome::Unknown(Reason::Gone), "no address to ask about");
    assert_eq!(look(&mut listed).await.outcome, Outcome::Fail(Reason::Unbound));
}

#[tokio::test]
async fn an_id_that_the_list_refuses_is_named_and_the_others_are_listed_without_it() {
    let (cloud, view, mut bound, mut unbound) = watched().await;
    let mut bad = looker_at(&view, "not-an-id", &[]);
    cloud.refuses_lists_with("not-an-id");
    for search in [true, false, false] {
        assert_eq!(look(&mut bound).await.outcome, Outcome::Pass);
        assert_eq!(look(&mut unbound).await.outcome, Outcome::Fail(Reason::Unbound));
        let named = look(&mut bad).await;
        assert_eq!(named.outcome, Outcome::Unknown(Reason::Api));
        assert!(named.saw.contains("not-an-id") && named.saw.contains("ELB.8902"), "{}", named.saw);
        let lists = cloud.asked_for().iter().filter(|asked| *asked == "loadbalancers").count();
        assert!(if search { (2..=6).contains(&lists) } else { lists == 1 }, "{lists} lists");
    }
}

#[tokio::test]
async fn an_id_that_the_keys_may_not_see_is_named_and_the_others_are_listed_without_it() {
    for code in ["PAP5.0011", "ELB.9802", "ELB.9803", "ELB.9804"] {
        let (cloud, view, mut bound, mut unbound) = watched().await;
        let mut hidden = looker_at(&view, "another-project-s", &[]);
        cloud.refuses_lists_with_code("another-project-s", 403, code);
        assert_eq!(look(&mut bound).await.outcome, Outcome::Pass, "{code}");
        assert_eq!(look(&mut unbound).await.outcome, Outcome::Fail(Reason::Unbound), "{code}");
        let named = look(&mut hidden).await;
        assert_eq!(named.outcome, Outcome::Unknown(Reason::Api));
        for part in ["another-project-s", code, "permission", "enterprise project"] {
            assert!(named.saw.contains(part), "{part}: {}", named.saw);
        }
    }
}

#[tokio::test]
async fn what_a_gateway_or_a_limit_denies_is_no_word_about_an_id() {
    for code in ["APIGW.0302", "APIG.0308", "DNS.0014", "ELB.1102"] {
        let (cloud, view, mut bound, _other) = watched().await;
        let _bad = looker_at(&view, "not-it", &[]);
        cloud.refuses_lists_with_code("not-it", 403, code);
        let refused = short_look(&mut bound).await;
        assert!(matches!(refused.outcome, Outcome::Unknown(_)), "{code}: {refused:?}");
        let queries: std::collections::BTreeSet<String> =
            cloud.asked().into_iter().map(|asked| asked.query).collect();
        assert_eq!(queries.len(), 1, "{code}: nothing is searched: {queries:?}");
    }
}

#[tokio::test]
async fn a_list_that_refuses_every_id_is_no_word_about_any() {
    for (status, code) in [(400, "ELB.8902"), (403, "PAP5.0011")] {
        let (cloud, _view, mut bound, _other) = watched().await;
        cloud.refuses_lists_with_code("-", status, code);
        let refused = look(&mut bound).await;
        assert_eq!(refused.outcome, Outcome::Unknown(Reason::Api));
        assert!(!refused.saw.contains("left out"), "{}", refused.saw);
        let _search = cloud.asked();
        look(&mut bound).await;
        let queries: std::collections::BTreeSet<String> =
            cloud.asked().into_iter().map(|asked| asked.query).collect();
        assert_eq!(queries.len(), 1, "{code}: it is not searched at each look");
        cloud.refuses_lists_with("nothing any more");
        assert_eq!(look(&mut bound).await.outcome, Outcome::Pass);
    }
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
    cloud.plays(NO_EIPS);
    let mut first = looker_at(&view, ELB, &[]);
    look(&mut first).await;
    let mut later = looker_at(&view, OTHER_ELB, &[]);
    assert_eq!(look(&mut later).await.outcome, Outcome::Fail(Reason::Unbound));
    let asked = cloud.asked();
    assert_eq!(asked.len(), 3, "two lists, and the EIP API: {asked:?}");
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
    following_by(view, &region(), Addresses::NotKnown)
}

fn following_by(
    view: &Arc<CloudView>,
    region: &Region,
    known: Addresses,
) -> (AddressFollower, watch::Receiver<Addresses>, mpsc::Receiver<AddressesSeen>) {
    let (told, tellings) = mpsc::channel(4);
    let (known, looks) = watch::channel(known);
    let service = ServiceName::parse("demo").unwrap();
    let follower = AddressFollower::new(view, &service, region, RecordType::A, known, told).unwrap();
    (follower, looks, tellings)
}

async fn follow(follower: &mut AddressFollower) {
    follower.look(instant_now() + Duration::from_secs(5), &mut Trace::off()).await;
}

#[tokio::test]
async fn the_first_address_is_learnt_by_one_answer_and_told_once() {
    let (cloud, view, _looker, _other) = watched().await;
    let (mut follower, looks, mut tellings) = following(&view);
    assert_eq!(*looks.borrow(), Addresses::NotKnown);
    // What is bound, and what of it an A record can hold.
    binds(&cloud, &["198.51.100.99", "198.51.100.10", "2001:db8::7"]);
    for _ in 0..2 {
        follow(&mut follower).await;
        assert_eq!(*looks.borrow(), at(&["198.51.100.10", "198.51.100.99"]));
    }
    let told = tellings.try_recv().unwrap();
    assert_eq!(told.region.as_str(), "region1");
    assert_eq!(Addresses::from(&*told.addresses), at(&["198.51.100.10", "198.51.100.99"]));
    assert!(tellings.try_recv().is_err(), "told although nothing changed");
}

#[tokio::test]
async fn an_eip_is_told_as_unbound_only_by_two_apis_and_the_last_known_one_stays_for_the_probes() {
    let (cloud, view, _looker, _other) = watched().await;
    let (mut follower, looks, mut tellings) = following(&view);
    follow(&mut follower).await;
    assert!(tellings.try_recv().is_ok());
    // One answer of the list lies, and the EIP API has it.
    binds(&cloud, &["2001:db8::7"]);
    associates(&cloud, "198.51.100.10", "ELB");
    follow(&mut follower).await;
    assert!(tellings.try_recv().is_err(), "one answer is one piece of evidence");
    cloud.plays(EIP_IS_FREE);
    for _ in 0..2 {
        follow(&mut follower).await;
        assert_eq!(*looks.borrow(), at(&["198.51.100.10"]));
    }
    assert!(tellings.try_recv().unwrap().addresses.is_empty());
    assert!(tellings.try_recv().is_err(), "told although nothing changed");
    cloud.plays(TWO);
    follow(&mut follower).await;
    assert_eq!(tellings.try_recv().unwrap().addresses.len(), 1, "it is bound again");
}

/// The first region with a check of this port too, which alone says whether it serves.
fn region_with_port(port: u16) -> Region {
    let mut region = region();
    let name = CheckName::parse("port").unwrap();
    let kind = CheckKind::Tcp(TcpCheck { port, source: None });
    region.checks.push(Check { name: name.clone(), kind, ..region.checks[0].clone() });
    region.up_when = Expression::All(vec![region.up_when.clone(), Expression::Check(name)]);
    region
}

#[tokio::test]
async fn another_eip_is_taken_only_when_the_eip_api_agrees_and_a_probe_of_it_passes() {
    let (cloud, view, _looker, _other) = watched().await;
    let somebody = TcpListener::bind("127.0.0.3:0").unwrap();
    let port = somebody.local_addr().unwrap().port();
    let region = region_with_port(port);
    let (mut follower, looks, mut tellings) = following_by(&view, &region, at(&["127.0.0.2"]));
    binds(&cloud, &["127.0.0.3"]);
    // One answer, and the probe would pass.
    associates(&cloud, "127.0.0.2", "ELB");
    follow(&mut follower).await;
    assert_eq!(*looks.borrow(), at(&["127.0.0.2"]), "one answer is one piece of evidence");
    // Two answers, one of a change under way.
    associates(&cloud, "127.0.0.3", "BINDING");
    follow(&mut follower).await;
    assert_eq!(*looks.borrow(), at(&["127.0.0.2"]), "its status is of a change under way");
    // Two answers, and nobody there.
    drop(somebody);
    associates(&cloud, "127.0.0.3", "ELB");
    follow(&mut follower).await;
    assert_eq!(*looks.borrow(), at(&["127.0.0.2"]), "nobody has seen it serve");
    assert!(tellings.try_recv().is_err(), "it was told of");
    // Two answers and a passing probe.
    let _somebody = TcpListener::bind(("127.0.0.3", port)).unwrap();
    follow(&mut follower).await;
    assert_eq!(*looks.borrow(), at(&["127.0.0.3"]));
    assert_eq!(Addresses::from(&*tellings.try_recv().unwrap().addresses), at(&["127.0.0.3"]));
}

#[tokio::test]
async fn without_a_direct_check_two_answers_of_two_apis_are_enough_for_another_eip() {
    let (cloud, view, _looker, _other) = watched().await;
    let (mut follower, looks, _tellings) = following(&view);
    follow(&mut follower).await;
    binds(&cloud, &["198.51.100.12"]);
    follow(&mut follower).await;
    assert_eq!(*looks.borrow(), at(&["198.51.100.10"]), "the EIP API does not have it");
    associates(&cloud, "198.51.100.12", "ACTIVE");
    follow(&mut follower).await;
    assert_eq!(*looks.borrow(), at(&["198.51.100.12"]));
}

#[tokio::test]
async fn a_global_eip_which_the_eip_api_does_not_have_takes_the_load_balancer_s_own_call() {
    let (cloud, view, _looker, _other) = watched().await;
    let (mut follower, looks, _tellings) = following(&view);
    follow(&mut follower).await;
    let global = |elb: &mut serde_json::Value| {
        elb["eips"] = json!([]);
        elb["publicips"] = json!([]);
        elb["global_eips"] = json!([{ "global_eip_address": "198.51.100.77" }]);
    };
    cloud.plays_as(TWO, |body| global(&mut body["loadbalancers"][0]));
    cloud.plays("elb-show_load_balancer-eip-bound");
    follow(&mut follower).await;
    assert_eq!(*looks.borrow(), at(&["198.51.100.10"]), "its own call disagrees");
    cloud.plays_as("elb-show_load_balancer-eip-bound", |body| global(&mut body["loadbalancer"]));
    follow(&mut follower).await;
    assert_eq!(*looks.borrow(), at(&["198.51.100.77"]));
}

#[tokio::test]
async fn what_was_known_before_is_where_the_following_begins_and_is_told_once_it_is_seen() {
    let (_cloud, view, _looker, _other) = watched().await;
    let (mut follower, looks, mut tellings) = following_by(&view, &region(), at(&["198.51.100.10"]));
    assert_eq!(*looks.borrow(), at(&["198.51.100.10"]));
    follow(&mut follower).await;
    assert_eq!(Addresses::from(&*tellings.try_recv().unwrap().addresses), at(&["198.51.100.10"]));
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
async fn a_load_balancer_that_is_not_shown_says_nothing_of_the_region_s_address() {
    let (cloud, view, _looker, _other) = watched().await;
    let (mut follower, looks, mut tellings) = following(&view);
    follow(&mut follower).await;
    assert!(tellings.try_recv().is_ok());
    cloud.plays_as(TWO, |body| body["loadbalancers"] = json!([]));
    cloud.plays_in_place_of(NOT_FOUND, &what_of(&read("elb-show_load_balancer-eip-bound")));
    cloud.plays(EIP_IS_FREE);
    follow(&mut follower).await;
    assert_eq!(*looks.borrow(), at(&["198.51.100.10"]));
    assert!(tellings.try_recv().is_err(), "it was told of");
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
    let (known, service) = (watch::Sender::new(Addresses::NotKnown), ServiceName::parse("demo").unwrap());
    assert!(AddressFollower::new(&view, &service, &region, RecordType::A, known, told).is_none());
}

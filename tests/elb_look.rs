//! The `elb` check, end to end over loopback: what each answer of the cloud comes to.
#![cfg(test)] // makes clippy take the helpers below for tests too

mod cloud_double;

use std::time::Duration;

use cloud_double::{CloudDouble, ELB, ERROR_SAMPLES, REGION, read, what_of};
use pointsman::clock::instant_now;
use pointsman::model::{CloudName, ElbCheck, ElbRef, MinHealthy, Outcome, Reason, Share};
use pointsman::probe::{Addresses, CloudView, ElbLooker, Look, Trace};
use serde_json::json;
use tokio::sync::watch;

const LISTENERS: &str = "elb-list_listeners-by-port";
const POOLS: &str = "elb-list_pools-default-and-l7policy";
const ALL_ONLINE: &str = "elb-list_all_members-all-online";
const EMPTY: &str = "elb-list_all_members-empty";
const TREE: &str = "elb-show_load_balancer_status-online";
const TWO_ELBS: &str = "elb-list_load_balancers-two-by-id";

/// Every look of a test may share all that was not counted: sharing is then told by the calls alone.
const INTERVAL: Duration = Duration::from_secs(3600);

fn check(min_healthy: MinHealthy) -> ElbCheck {
    let (cloud, cloud_region) = (CloudName::parse("main").unwrap(), REGION.to_owned());
    ElbCheck { elb: ElbRef { cloud, cloud_region, id: ELB.to_owned(), listener_port: 80 }, min_healthy }
}

/// A looker at the default pool and the one of a policy, that wants one backend online.
async fn watched() -> (CloudDouble, ElbLooker) {
    watched_by(MinHealthy::Count(1)).await
}

async fn watched_by(min_healthy: MinHealthy) -> (CloudDouble, ElbLooker) {
    let cloud = CloudDouble::start().await;
    for sample in [LISTENERS, POOLS, ALL_ONLINE, TREE] {
        cloud.plays(sample);
    }
    let (_, known) = watch::channel(Addresses::Known(["198.51.100.10".parse().unwrap()].into()));
    let looker = ElbLooker::new(&CloudView::new(cloud.account(), REGION), &check(min_healthy), known);
    (cloud, looker)
}

async fn look(looker: &mut ElbLooker) -> Look {
    looker.look(INTERVAL, instant_now() + Duration::from_secs(5), &mut Trace::off()).await
}

/// A look that is not given the time for many retries, where the answers cannot make it anything but
/// unknown.
async fn short_look(looker: &mut ElbLooker) -> Look {
    looker.look(INTERVAL, instant_now() + Duration::from_millis(300), &mut Trace::off()).await
}

fn members(sample: &str) -> String {
    what_of(&read(sample))
}

#[tokio::test]
async fn backends_online_behind_the_listener_pass() {
    let (_cloud, mut looker) = watched().await;
    let look = look(&mut looker).await;
    assert_eq!((look.outcome, &*look.saw), (Outcome::Pass, "3 of 3 backends online behind listener 80"));
}

#[tokio::test]
async fn a_look_that_passes_costs_one_call_once_the_pools_are_known() {
    let (cloud, mut looker) = watched().await;
    look(&mut looker).await;
    assert_eq!(cloud.asked_for(), ["listeners", "pools", "members"]);
    look(&mut looker).await;
    let asked = cloud.asked();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].query.contains("pool_id=1e7da20b-7a99-5d66-916c-2b4c55efd868"), "{asked:?}");
    assert!(asked[0].query.contains("pool_id=92dda350-b4e0-5983-9b50-7c575d8373ac"), "{asked:?}");
}

#[tokio::test]
async fn each_sample_of_members_comes_to_its_verdict() {
    let all = MinHealthy::Share(Share::from_percent(100).unwrap());
    let backends = Outcome::Fail(Reason::Backends);
    for (sample, least, outcome, online_of_able) in [
        // One in each state, one of them offline.
        ("every-state", MinHealthy::Count(1), Outcome::Pass, "1 of 5"),
        ("every-state", MinHealthy::Count(2), Outcome::Unknown(Reason::Unmonitored), "1 of 5"),
        ("every-state", MinHealthy::Count(5), backends, "1 of 5"),
        // What our listener sees outranks the outer state.
        ("listener-status-contradicts", MinHealthy::Count(2), Outcome::Pass, "2 of 4"),
        ("listener-status-contradicts", MinHealthy::Count(3), backends, "2 of 4"),
        // Healthy, and takes no requests.
        ("weight-zero", MinHealthy::Count(1), backends, "0 of 1"),
        // One off, one online, and one that a pool lists is not in the answer.
        ("switched-off-and-ipv6", MinHealthy::Count(1), Outcome::Pass, "1 of 2"),
        ("switched-off-and-ipv6", all, Outcome::Unknown(Reason::Api), "1 of 2"),
        // A state that no list knows is not a healthy one, and not an unhealthy one.
        ("unknown-state", MinHealthy::Count(1), Outcome::Pass, "1 of 3"),
    ] {
        let (cloud, mut looker) = watched_by(least).await;
        cloud.plays(&format!("elb-list_all_members-{sample}"));
        let look = look(&mut looker).await;
        assert_eq!(look.outcome, outcome, "{sample}, {least}: {}", look.saw);
        assert!(look.saw.starts_with(online_of_able), "{sample}, {least}: {}", look.saw);
    }
}

#[tokio::test]
async fn a_failure_names_the_offline_backends_and_why() {
    let (cloud, mut looker) = watched().await;
    cloud.plays("elb-list_all_members-weight-zero");
    let saw = look(&mut looker).await.saw;
    assert!(saw.starts_with("0 of 1 backends online behind listener 80, 2 more switched off"), "{saw}");
    assert!(saw.contains(":8080 CONNECT_") || saw.contains(":9090 "), "{saw}");
}

#[tokio::test]
async fn what_cannot_be_looked_at_is_unknown_whichever_call_it_is() {
    for error in ERROR_SAMPLES {
        for call in [LISTENERS, POOLS, ALL_ONLINE] {
            let (cloud, mut looker) = watched().await;
            cloud.plays_in_place_of(error, &what_of(&read(call)));
            let look = short_look(&mut looker).await;
            assert!(matches!(look.outcome, Outcome::Unknown(_)), "{error} to {call}: {look:?}");
        }
    }
}

#[tokio::test]
async fn blindness_after_failures_is_unknown_too() {
    for error in ERROR_SAMPLES {
        for call in [ALL_ONLINE, TREE] {
            let (cloud, mut looker) = watched().await;
            look(&mut looker).await;
            cloud.plays(EMPTY);
            cloud.plays_as(POOLS, |body| {
                body["pools"][0]["members"] = json!([]);
                body["pools"][1]["members"] = json!([]);
            });
            cloud.plays_in_place_of(error, &what_of(&read(call)));
            let look = short_look(&mut looker).await;
            assert!(matches!(look.outcome, Outcome::Unknown(_)), "{error} to {call}: {look:?}");
        }
    }
}

#[tokio::test]
async fn members_that_the_keys_may_not_see_are_named_by_their_pool_and_the_permission_is_hinted_at() {
    let (cloud, mut looker) = watched().await;
    cloud.plays("elb-list_all_members-error-forbidden");
    let denied = look(&mut looker).await;
    assert_eq!(denied.outcome, Outcome::Unknown(Reason::Api));
    for part in ["asked for pool ", "403 PAP5.0011", "permission", "enterprise project"] {
        assert!(denied.saw.contains(part), "{part}: {}", denied.saw);
    }
}

#[tokio::test]
async fn throttles_and_bad_keys_have_reasons_of_their_own() {
    for (error, reason) in [
        ("elb-list_all_members-error-throttled", Reason::Throttled),
        ("elb-list_all_members-error-bad-signature", Reason::Credentials),
        ("elb-list_all_members-error-forbidden", Reason::Api),
        ("elb-list_all_members-truncated-json", Reason::Api),
    ] {
        let (cloud, mut looker) = watched().await;
        cloud.plays_in_place_of(error, &members(ALL_ONLINE));
        assert_eq!(look(&mut looker).await.outcome, Outcome::Unknown(reason), "{error}");
    }
}

/// The listener forwards to one other pool from now on.
fn switch_pools(cloud: &CloudDouble) {
    let id = "00000000-0000-0000-0000-00000000b10e";
    cloud.plays_as(LISTENERS, |body| body["listeners"][0]["default_pool_id"] = json!(id));
    cloud.plays_as(POOLS, |body| {
        body["pools"].as_array_mut().unwrap().truncate(1);
        body["pools"][0]["id"] = json!(id);
        body["pools"][0]["members"] = json!([]);
    });
}

/// Lets that much time pass at once.
async fn later(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn pools_switched_under_the_listener_are_asked_for_before_a_look_fails() {
    for old_pools in ["elb-list_all_members-weight-zero", EMPTY] {
        let (cloud, mut looker) = watched().await;
        look(&mut looker).await;
        switch_pools(&cloud);
        cloud.plays(old_pools);
        later(Duration::from_secs(16)).await;
        let _ = cloud.asked();
        look(&mut looker).await;
        let asked = cloud.asked();
        let members = asked.iter().filter(|asked| asked.what == members(EMPTY));
        let of_new_pool: Vec<bool> = members.map(|asked| asked.query.contains("b10e")).collect();
        assert_eq!(of_new_pool, [false, true], "{old_pools}: {asked:?}");
    }
}

#[tokio::test]
async fn members_that_left_a_pool_are_not_counted_for_long() {
    let (cloud, mut looker) = watched().await;
    look(&mut looker).await;
    later(Duration::from_secs(16)).await;
    cloud.plays("elb-list_all_members-switched-off-and-ipv6");
    cloud.plays_as(POOLS, |body| body["pools"][1]["members"] = json!([]));
    let look = look(&mut looker).await;
    assert_eq!(look.outcome, Outcome::Pass);
    assert_eq!(look.saw, "1 of 1 backends online behind listener 80, 1 more switched off or of weight 0");
}

#[tokio::test]
async fn a_region_that_stays_down_costs_one_call_a_look() {
    let (cloud, mut looker) = watched().await;
    cloud.plays("elb-list_all_members-weight-zero");
    look(&mut looker).await;
    assert_eq!(cloud.asked_for(), ["listeners", "pools", "members"]);
    look(&mut looker).await;
    assert_eq!(cloud.asked_for(), ["members"]);
}

#[tokio::test]
async fn pools_are_asked_for_again_every_few_minutes_while_all_is_well() {
    let (cloud, mut looker) = watched().await;
    for asked in
        [&["listeners", "pools", "members"] as &[&str], &["members"], &["listeners", "pools", "members"]]
    {
        look(&mut looker).await;
        assert_eq!(cloud.asked_for(), asked);
        later(Duration::from_secs(200)).await;
    }
}

#[tokio::test]
async fn no_member_at_all_fails_only_when_the_pools_and_the_tree_agree() {
    let empty_pools = |cloud: &CloudDouble| {
        cloud.plays_as(POOLS, |body| {
            for pool in body["pools"].as_array_mut().unwrap() {
                pool["members"] = json!([]);
            }
        });
    };
    let empty_tree = |cloud: &CloudDouble| {
        cloud.plays_as(TREE, |body| {
            for pool in body["statuses"]["loadbalancer"]["listeners"][0]["pools"].as_array_mut().unwrap() {
                pool["members"] = json!([]);
            }
        });
    };
    let unknown = Outcome::Unknown(Reason::Api);
    for (pools_agree, tree_agrees, outcome) in [
        (true, true, Outcome::Fail(Reason::Backends)),
        (true, false, unknown),
        (false, true, unknown),
        (false, false, unknown),
    ] {
        let (cloud, mut looker) = watched().await;
        cloud.plays(EMPTY);
        if pools_agree {
            empty_pools(&cloud);
        }
        if tree_agrees {
            empty_tree(&cloud);
        }
        let look = look(&mut looker).await;
        assert_eq!(look.outcome, outcome, "pools {pools_agree}, tree {tree_agrees}: {}", look.saw);
    }
}

#[tokio::test]
async fn a_listener_never_seen_is_unknown_while_the_tree_has_one() {
    let (cloud, mut looker) = watched().await;
    cloud.plays_in_place_of("elb-list_listeners-none", &members(LISTENERS));
    assert_eq!(look(&mut looker).await.outcome, Outcome::Unknown(Reason::Api));
}

#[tokio::test]
async fn a_listener_that_the_tree_lost_too_is_gone() {
    let (cloud, mut looker) = watched().await;
    look(&mut looker).await;
    cloud.plays_in_place_of("elb-list_listeners-none", &members(LISTENERS));
    cloud.plays(EMPTY);
    assert_eq!(look(&mut looker).await.outcome, Outcome::Unknown(Reason::Api), "the tree still has it");
    cloud.plays_as(TREE, |body| body["statuses"]["loadbalancer"]["listeners"][0]["id"] = json!("another"));
    assert_eq!(look(&mut looker).await.outcome, Outcome::Fail(Reason::Gone));
}

#[tokio::test]
async fn a_listener_that_comes_back_under_another_id_is_found_at_once() {
    let (cloud, mut looker) = watched().await;
    look(&mut looker).await;
    cloud.plays_in_place_of("elb-list_listeners-none", &members(LISTENERS));
    cloud.plays(EMPTY);
    look(&mut looker).await;
    cloud.plays_as(LISTENERS, |body| body["listeners"][0]["id"] = json!("another"));
    cloud.plays(ALL_ONLINE);
    assert_eq!(look(&mut looker).await.outcome, Outcome::Pass);
}

#[tokio::test]
async fn a_load_balancer_that_list_and_tree_lack_is_gone_only_when_the_eip_api_shows_its_eip_unbound() {
    let tree = what_of(&read(TREE));
    let gone = "elb-show_load_balancer-error-not-found";
    let (cloud, mut looker) = watched().await;
    for call in [LISTENERS, POOLS, ALL_ONLINE, TREE] {
        cloud.plays_in_place_of(gone, &what_of(&read(call)));
    }
    // The list still has it.
    cloud.plays(TWO_ELBS);
    assert_eq!(look(&mut looker).await.outcome, Outcome::Unknown(Reason::Api));
    // The list has it no more.
    cloud.plays_as(TWO_ELBS, |body| body["loadbalancers"].as_array_mut().unwrap().clear());
    let hidden = look(&mut looker).await;
    assert_eq!(hidden.outcome, Outcome::Unknown(Reason::Gone), "it may be hidden from us: {}", hidden.saw);
    cloud.plays("eip-list_publicips-none");
    assert_eq!(look(&mut looker).await.outcome, Outcome::Unknown(Reason::Gone), "its EIP may be too");
    cloud.plays("eip-list_publicips-by-instance");
    assert_eq!(look(&mut looker).await.outcome, Outcome::Unknown(Reason::Gone), "the EIP is bound to it");
    cloud.plays("eip-list_publicips-unbound");
    assert_eq!(look(&mut looker).await.outcome, Outcome::Fail(Reason::Gone));
    // A gateway's 404 is not the API's.
    cloud.plays_in_place_of("elb-list_all_members-error-gateway-html", &tree);
    assert!(matches!(short_look(&mut looker).await.outcome, Outcome::Unknown(_)));
}

#[tokio::test]
async fn a_listener_without_pools_has_no_backends_to_judge() {
    let (cloud, mut looker) = watched().await;
    cloud.plays_as(LISTENERS, |body| body["listeners"][0]["default_pool_id"] = json!(null));
    cloud.plays_as(POOLS, |body| body["pools"] = json!([]));
    assert_eq!(look(&mut looker).await.outcome, Outcome::Unknown(Reason::Unmonitored));
}

#[tokio::test]
async fn an_answer_without_the_default_pool_is_unknown_and_asked_for_again() {
    let (cloud, mut looker) = watched().await;
    cloud.plays_as(POOLS, |body| drop(body["pools"].as_array_mut().unwrap().remove(0)));
    for _ in 0..2 {
        cloud.plays("elb-list_all_members-weight-zero");
        assert_eq!(look(&mut looker).await.outcome, Outcome::Unknown(Reason::Api));
        assert_eq!(cloud.asked_for(), ["listeners", "pools", "members"]);
    }
    // Its members are asked for all the same, and pass when they are online.
    cloud.plays(ALL_ONLINE);
    assert_eq!(look(&mut looker).await.outcome, Outcome::Pass);
    let asked = cloud.asked();
    let members = asked.iter().find(|asked| asked.what == members(ALL_ONLINE)).unwrap();
    assert!(members.query.contains("1e7da20b-7a99-5d66-916c-2b4c55efd868"), "{asked:?}");
}

#[tokio::test]
async fn of_two_listeners_on_the_port_the_one_that_talks_tcp_counts() {
    let (cloud, mut looker) = watched().await;
    cloud.plays_as(LISTENERS, |body| {
        let mut udp = body["listeners"][0].clone();
        udp["id"] = json!("udp");
        udp["protocol"] = json!("UDP");
        body["listeners"].as_array_mut().unwrap().insert(0, udp);
    });
    look(&mut looker).await;
    let asked = cloud.asked();
    assert!(asked[1].query.contains("listener_id=ef8a3a19-ca75-51f6-b663-6c5bc9f6298a"), "{asked:?}");
}

#[tokio::test]
async fn checks_of_one_listener_share_a_call_and_no_check_counts_an_answer_twice() {
    let cloud = CloudDouble::start().await;
    for sample in [LISTENERS, POOLS, ALL_ONLINE] {
        cloud.plays(sample);
    }
    cloud.takes(Duration::from_millis(20));
    let view = CloudView::new(cloud.account(), REGION);
    let check = check(MinHealthy::Count(1));
    let (_, known) = watch::channel(Addresses::NotKnown);
    let mut lookers: Vec<ElbLooker> = (0..3).map(|_| ElbLooker::new(&view, &check, known.clone())).collect();
    let [a, b, c] = lookers.as_mut_slice() else { unreachable!() };
    for round in 0..3 {
        let looks = tokio::join!(look(a), look(b), look(c));
        assert_eq!([looks.0.outcome, looks.1.outcome, looks.2.outcome], [Outcome::Pass; 3]);
        let calls = cloud.asked_for().iter().filter(|what| *what == "members").count();
        assert_eq!(calls, 1, "in round {round}");
    }
    look(a).await;
    look(a).await;
    assert_eq!(cloud.asked_for(), ["members", "members"]);
}

#[tokio::test]
async fn the_trace_tells_each_question_and_what_came() {
    let (cloud, mut looker) = watched().await;
    cloud.plays_in_place_of("elb-list_all_members-error-forbidden", &members(ALL_ONLINE));
    let mut trace = Trace::on();
    looker.look(INTERVAL, instant_now() + Duration::from_secs(5), &mut trace).await;
    let saw: Vec<String> = trace.into_phases().into_iter().map(|phase| phase.saw).collect();
    assert_eq!(saw.len(), 2, "{saw:?}");
    assert_eq!(saw[0], "find listener and pools: answered");
    assert!(saw[1].contains("PAP5.0011"), "{saw:?}");
}

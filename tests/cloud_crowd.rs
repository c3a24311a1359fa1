//! However many services ask the cloud through one account, none is blind for long and each sees a region die.
#![cfg(test)] // makes clippy take the helpers below for tests too

mod crowd;

use std::collections::BTreeSet;
use std::time::Duration;

use crowd::{Behind, Crowd, PLACES, Seen, configured, elb_id};
use pointsman::clock::instant_now;
use pointsman::config::Config;
use pointsman::probe::shortage;

const S: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn forty_five_services_by_elb_alone_see_a_region_die_at_once() {
    for behind in [Behind::Own, Behind::One] {
        // At most one and a half `interval`s to the first failure and two more at the fast pace; and what is behind forty-five listeners of
        // one load balancer has to be asked for one by one.
        let seen_within = if behind == Behind::Own { 10 * S } else { 25 * S };
        assert_all_see_it_die(&configured(45, behind, ""), 30 * S, seen_within).await;
    }
}

#[tokio::test(start_paused = true)]
async fn at_the_most_services_that_are_accepted_nobody_is_blind_for_long() {
    // Calmer than the defaults, so that fewer probes have to be played; it takes as many requests to answer all.
    let calm = "interval = \"15s\"\nfast_interval = \"5s\"\ntimeout = \"10s\"";
    assert_all_see_it_die(&most_accepted(Behind::Own, calm), 16 * S, 60 * S).await;
}

#[tokio::test(start_paused = true)]
async fn at_the_most_listeners_of_one_load_balancer_nobody_is_blind_for_long() {
    assert_all_see_it_die(&most_accepted(Behind::One, ""), 20 * S, 60 * S).await;
}

/// As many services as `check` accepts.
fn most_accepted(behind: Behind, timing: &str) -> Config {
    let (mut accepted, mut refused) = (1, 4_000);
    while refused - accepted > 1 {
        let count = usize::midpoint(accepted, refused);
        let is_accepted = shortage(&configured(count, behind, timing).services).is_empty();
        *(if is_accepted { &mut accepted } else { &mut refused }) = count;
    }
    configured(accepted, behind, timing)
}

#[tokio::test(start_paused = true)]
async fn one_id_that_is_refused_blinds_nobody_else() {
    for is_denied in [false, true] {
        let crowd = Crowd::start(&configured(45, Behind::Own, ""));
        crowd.run_for(20 * S).await;
        let pool = format!("pool:{}:80", elb_id(0, 17));
        {
            let mut cloud = crowd.cloud.lock().unwrap();
            (if is_denied { &mut cloud.denied } else { &mut cloud.refused }).insert(pool);
        }
        let began = instant_now();
        crowd.run_for(60 * S).await;
        let blind: BTreeSet<String> = crowd
            .seen(0)
            .into_iter()
            .filter(|(_, seen)| seen.longest_blind(began, instant_now()) > 8 * S)
            .map(|(service, _)| service)
            .collect();
        assert_eq!(blind, BTreeSet::from(["s17".to_owned()]), "denied: {is_denied}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_that_fails_takes_nothing_from_what_the_others_tell() {
    let crowd = Crowd::start(&configured(45, Behind::Own, ""));
    crowd.run_for(20 * S).await;
    let began = instant_now();
    crowd.cloud.lock().unwrap().broken_page.insert("members");
    crowd.run_for(30 * S).await;
    for (service, seen) in crowd.seen(0) {
        let blind = seen.longest_blind(began, instant_now());
        assert!(blind <= 8 * S, "{service}: {blind:?}");
    }
    let died = instant_now();
    crowd.cloud.lock().unwrap().dead.insert(PLACES[0].to_owned());
    crowd.run_for(30 * S).await;
    let fell: Vec<_> = crowd.seen(0).into_values().map(|seen| seen.fell()).collect();
    assert!(fell.iter().all(|fell| fell.is_some_and(|fell| fell - died <= 15 * S)), "{fell:?}");
}

#[tokio::test(start_paused = true)]
async fn members_of_many_pools_are_asked_for_in_one_request() {
    let crowd = Crowd::start(&configured(45, Behind::Own, ""));
    crowd.run_for(20 * S).await;
    crowd.cloud.lock().unwrap().asked.clear();
    crowd.run_for(60 * S).await;
    let asked = crowd.cloud.lock().unwrap().asked.clone();
    // In each of two cloud regions twice an interval of 5 s, and each time for the page after the last one too.
    assert!(asked.keys().all(|list| list == "members") && asked["members"] <= 2 * 2 * 2 * 12, "{asked:?}");
}

/// Lets the first region's backends die. Nobody may be blind for more than 30 s, before or after, and each check must have
/// seen three failures within that time.
async fn assert_all_see_it_die(config: &Config, alive: Duration, within: Duration) {
    let crowd = Crowd::start(config);
    crowd.run_for(alive).await;
    crowd.cloud.lock().unwrap().dead.insert(PLACES[0].to_owned());
    let (began, died) = (instant_now() - alive, instant_now());
    crowd.run_for(within).await;
    let count = config.services.len();
    for place in 0..PLACES.len() {
        let blind = |seen: Seen| seen.longest_blind(began, instant_now());
        let worst =
            crowd.seen(place).into_iter().map(|(service, seen)| (blind(seen), service)).max().unwrap();
        assert!(worst.0 <= 30 * S, "of {count}, in place {place}: {worst:?}");
    }
    let late: Vec<String> = crowd
        .seen(0)
        .into_iter()
        .filter(|(_, seen)| seen.fell().is_none_or(|fell| fell - died > within))
        .map(|(service, _)| service)
        .collect();
    assert!(late.is_empty(), "{} of {count} do not see it within {within:?}: {late:?}", late.len());
}

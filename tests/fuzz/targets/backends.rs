//! ELB: what a look at the backends behind a listener makes of the cloud's answers.
//!
//! Nothing that was not understood makes it fail (BLIND-IS-NOT-DOWN), and nobody online, nobody passes.

use std::sync::Arc;
use std::time::Duration;

use pointsman::clock::instant_now;
use pointsman::model::{CloudName, ElbCheck, ElbRef, MinHealthy, Outcome, Reason};
use pointsman::probe::{Addresses, CloudView, ElbLooker, Trace};
use tokio::sync::watch;

use super::script::{REGION, Script, assert_tells_no_key, in_virtual_time};

const SECOND: Duration = Duration::from_secs(1);

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
    let (_stays, known) = watch::channel(Addresses::NotKnown);
    let mut looker = ElbLooker::new(&view, &ElbCheck { elb, min_healthy: MinHealthy::Count(1) }, known);
    for _ in 0..3 {
        let look = looker.look(5 * SECOND, instant_now() + 2 * SECOND, &mut Trace::off()).await;
        assert_tells_no_key(&look.saw, input);
        match look.outcome {
            Outcome::Pass => assert_somebody_is_online(script),
            Outcome::Fail(reason) => assert_is_no_blindness(script, reason, &look.saw),
            Outcome::Unknown(_) => {}
        }
        tokio::time::sleep(20 * SECOND).await;
    }
    let monitor = account.health_monitor(REGION, "hm1", instant_now() + SECOND).await;
    match monitor {
        Ok(monitor) => assert_eq!(monitor.id, "hm1"),
        Err(error) => assert_tells_no_key(&error.to_string(), input),
    }
}

fn assert_somebody_is_online(script: &Script) {
    assert!(script.lists("members", "members"), "passes without a list of members");
    let said = script.understood("members").iter().any(|answer| answer.to_string().contains("\"ONLINE\""));
    assert!(said, "passes while nobody is said to be online");
}

#[expect(clippy::wildcard_enum_match_arm, reason = "no other one is known to be possible")]
fn assert_is_no_blindness(script: &Script, reason: Reason, saw: &str) {
    let tree =
        script.understood("statuses").iter().any(|a| a["statuses"]["loadbalancer"]["listeners"].is_array());
    let lists = |word| script.lists(word, word);
    match reason {
        Reason::Backends => {
            let seen = lists("listeners") && lists("pools") && lists("members");
            let offline = script.understood("members").iter().any(|a| a.to_string().contains("\"OFFLINE\""));
            assert!(seen && (offline || tree), "fails for what was not told: {saw}");
        }
        Reason::Gone => {
            let said = |word| lists(word) || script.denies(word);
            let opinions = [
                said("listeners") || said("pools") || said("members"),
                tree || script.denies("statuses"),
                said("loadbalancers") || script.denies("loadbalancer"),
            ];
            let agree = opinions.into_iter().filter(|told| *told).count();
            assert!(agree >= 2, "gone by {agree} opinions: {saw}");
        }
        _ => panic!("an elb check cannot fail for {reason:?}: {saw}"),
    }
}

//! The cloud's API is silent, or cannot even be connected to, while a region really dies.

use std::time::Duration;

use pointsman::sim::EndpointState;
use tokio::time::sleep;

use crate::dice::Dice;
use crate::stage::{Footprint, MORTAL, REGIONS, Stage, Way};

/// Longer than every deadline and interval together, some times over.
pub(crate) const SILENT_FOR: Duration = Duration::from_secs(6);
/// What may wait at once for answers that do not come, in descriptors: a call of each kind for each region, and a
/// second that was begun when the first was given up.
const WAITING: usize = 20;

/// No region is down by the silence; the one that died is seen to have, and leaves as soon as it can be written.
pub(crate) async fn while_a_region_dies(stage: &mut Stage, dice: &mut Dice, way: Way, lasts: Duration) {
    let footprint = Footprint::of(&stage.process_id()).unwrap();
    let before = stage.cloud.about().await.history.len();
    stage.gate.set(way);
    let region = dice.pick(&MORTAL);
    stage.turn(region, EndpointState::Status { status: 503 }).await;
    stage.until("it is seen to be down", |sight| sight.liveness(region) == "down").await;
    sleep(lasts).await;
    let waiting = Footprint::of(&stage.process_id()).unwrap();
    assert!(
        waiting.descriptors <= footprint.descriptors + WAITING,
        "calls pile up: {footprint}, then {waiting}"
    );
    let sight = stage.sight().await;
    for (name, ..) in REGIONS {
        let liveness = sight.liveness(name);
        assert_eq!(liveness, if name == region { "down" } else { "up" }, "{name}: {sight:#?}");
        assert_eq!(sight.check(name, "elb")["signal"], "unknown", "{name}: {sight:#?}");
    }
    assert_eq!(stage.cloud.about().await.history.len(), before, "a write went through a gate that is shut");
    stage.gate.set(Way::Open);
    stage.until_without(region).await;
    stage.settle().await;
}

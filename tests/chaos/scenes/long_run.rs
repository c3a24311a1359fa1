//! One daemon through round after round of everything that leaves it running: what it holds must stay what it was.

use pointsman::sim::EndpointState;
use tokio::time::sleep;

use super::{descriptors, trouble};
use crate::dice::Dice;
use crate::stage::{MORTAL, Stage, Way};

/// One round: some trouble at once, and after it all is well.
pub(crate) async fn round(stage: &mut Stage, dice: &mut Dice) {
    if dice.one_in(3) {
        stage.guest().await;
    }
    for _ in 0..3 {
        trouble::befalls(stage, dice).await;
    }
    let idle = descriptors::connect(stage.admin(), 20).await;
    stage.gate.set(dice.pick(&[Way::Open, Way::Silent, Way::Swallowing, Way::Shut]));
    for _ in 0..5 {
        stage.signal("HUP");
        sleep(dice.within_ms(500)).await;
    }
    stage.turn(dice.pick(&MORTAL), EndpointState::Refuse).await;
    sleep(dice.within_ms(1_000)).await;
    drop(idle);
    stage.settle().await;
}

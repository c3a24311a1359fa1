//! The process is stopped for longer than a region takes to fall, and signals come in storms.

use std::fs;
use std::time::Duration;

use pointsman::sim::EndpointState;
use tokio::time::sleep;

use super::{fails_over, trouble};
use crate::dice::Dice;
use crate::stage::{MORTAL, Stage};

/// Longer than `fall` looks and their timeouts take at the fast pace.
const STOOD_STILL: Duration = Duration::from_secs(4);
/// So many of a kind, some milliseconds apart.
const STORM: usize = 60;

/// Stopped while the API is in trouble; a region dies meanwhile, another dies and returns.
pub(crate) async fn stood_still(stage: &mut Stage, dice: &mut Dice) {
    let fault = trouble::fault(dice);
    stage.fault(fault).await;
    sleep(dice.within_ms(500)).await;
    stage.signal("STOP");
    let [dies, blinks] = if dice.one_in(2) { MORTAL } else { [MORTAL[1], MORTAL[0]] };
    stage.turn(dies, EndpointState::Refuse).await;
    stage.turn(blinks, EndpointState::Hang).await;
    sleep(STOOD_STILL).await;
    stage.turn(blinks, EndpointState::Serve).await;
    stage.signal("CONT");
    stage.clear_faults().await;
    stage.until_without(dies).await;
    stage.settle().await;
}

/// Reloads and questions for the state by the dozen, of a configuration that is good or is not, while a region dies.
pub(crate) async fn storm(stage: &mut Stage, dice: &mut Dice) {
    let file = stage.path("pointsman.toml");
    let good = fs::read_to_string(&file).unwrap();
    let fault = trouble::fault(dice);
    stage.fault(fault).await;
    let before = stage.log().len();
    for _ in 0..STORM {
        let text = if dice.one_in(4) { "[daemon" } else { &good };
        fs::write(&file, text).unwrap();
        stage.signal(if dice.one_in(8) { "USR1" } else { "HUP" });
        sleep(dice.within_ms(20)).await;
    }
    stage.clear_faults().await;
    fs::write(&file, &good).unwrap();
    stage.signal("HUP");
    fails_over(stage, dice).await;
    let reloads = stage.log()[before..].matches("reloaded the configuration").count();
    assert!(reloads > 0, "no reload was taken:\n{}", &stage.log()[before..]);
    stage.settle().await;
}

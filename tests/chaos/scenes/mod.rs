//! What is done to the daemon, a file a kind. Each scene begins and ends with all being well.

pub(crate) mod clock;
pub(crate) mod descriptors;
pub(crate) mod disk;
pub(crate) mod kills;
pub(crate) mod long_run;
pub(crate) mod resolver;
pub(crate) mod signals;
pub(crate) mod silence;
mod trouble;

use pointsman::sim::EndpointState;

use crate::dice::Dice;
use crate::stage::{MORTAL, REGIONS, Stage};

/// A region dies, leaves, and returns, whatever else goes on.
async fn fails_over(stage: &mut Stage, dice: &mut Dice) {
    let region = dice.pick(&MORTAL);
    stage.turn(region, EndpointState::Status { status: 503 }).await;
    stage.until_without(region).await;
    stage.turn(region, EndpointState::Serve).await;
    stage.until("it is back", |sight| sight.serves(&REGIONS.map(|it| it.0))).await;
}

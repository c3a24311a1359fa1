//! kill -9 at any moment, also while it starts, and started again at once.

use std::time::Duration;

use tokio::time::sleep;

use super::trouble;
use crate::dice::Dice;
use crate::stage::Stage;

/// One in so many times it is killed before it has said where it listens.
const YOUNG: u64 = 6;
/// One in so many times nobody starts it again for this long, and the zone must stay as it is.
const LEFT_ALONE: u64 = 10;
const ALONE_FOR: Duration = Duration::from_millis(2_500);

/// What else goes on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum While {
    /// Regions flap.
    Flapping,
    /// Regions flap, and the API is in trouble.
    AllInTrouble,
}

impl While {
    async fn goes_on(self, stage: &mut Stage, dice: &mut Dice) {
        match self {
            Self::Flapping => trouble::flaps(stage, dice).await,
            Self::AllInTrouble => trouble::befalls(stage, dice).await,
        }
    }
}

/// So many times.
pub(crate) async fn killed_at_any_moment(stage: &mut Stage, dice: &mut Dice, kills: usize, what: While) {
    stage.guest().await;
    for _ in 0..kills {
        what.goes_on(stage, dice).await;
        // A life of less than `recover_after` brings no region back: some are longer.
        let longest = if dice.one_in(3) { 3_500 } else { 800 };
        sleep(dice.within_ms(longest)).await;
        let from = stage.cloud.about().await.now_ms;
        stage.kill().await;
        if dice.one_in(YOUNG) {
            let age = dice.within_ms(80);
            stage.start_and_kill(age).await;
        } else if dice.one_in(LEFT_ALONE) {
            what.goes_on(stage, dice).await;
            sleep(ALONE_FOR).await;
            stage.life.nobody_watched(from, stage.cloud.about().await.now_ms);
        }
        stage.start().await;
    }
    stage.settle().await;
}

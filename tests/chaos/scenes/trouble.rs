//! Trouble of every kind, drawn by dice: what an API may answer, and how a region may fail.

use std::time::Duration;

use pointsman::sim::{Api, Effect, EndpointState, Fault};

use crate::dice::Dice;
use crate::stage::{MORTAL, Stage};

/// Longer than the timeout of a look.
const TOO_SLOW: Duration = Duration::from_millis(1_500);

/// Breaks or mends a region, or makes the API misbehave, or lets it be.
pub(crate) async fn befalls(stage: &mut Stage, dice: &mut Dice) {
    match dice.below(5) {
        0 | 1 => flaps(stage, dice).await,
        2 => {
            let fault = fault(dice);
            stage.fault(fault).await;
        }
        _ => stage.clear_faults().await,
    }
}

/// Breaks or mends a region.
pub(crate) async fn flaps(stage: &mut Stage, dice: &mut Dice) {
    let (region, next) = (dice.pick(&MORTAL), endpoint(dice));
    stage.turn(region, next).await;
}

/// How a region's application may be; well half of the time.
fn endpoint(dice: &mut Dice) -> EndpointState {
    match dice.below(8) {
        0 | 1 => EndpointState::Status { status: 503 },
        2 => EndpointState::Refuse,
        3 => EndpointState::Hang,
        _ => EndpointState::Serve,
    }
}

/// What may become of requests to an API: some of them, or all until it is cleared.
pub(crate) fn fault(dice: &mut Dice) -> Fault {
    let api = dice.pick(&[Api::Elb, Api::Dns, Api::Dns, Api::Iam]);
    let delay = dice.within_ms(1_000);
    let effects = [
        Effect::Slow { delay },
        Effect::Slow { delay: TOO_SLOW },
        Effect::AnswerLost,
        Effect::AppliedLate { delay },
        Effect::SlowToSettle { delay },
        Effect::EndsInError,
        Effect::Throttle { retry_after: None },
        Effect::Throttle { retry_after: Some(1) },
        Effect::Error { status: 500 },
        Effect::Error { status: 503 },
        Effect::Error { status: 403 },
        Effect::Error { status: 404 },
        Effect::Html { status: 200 },
        Effect::Html { status: 502 },
        Effect::Truncated,
        Effect::Empty,
        Effect::Missing { id: None },
        Effect::Closed,
    ];
    let fault = Fault::new(api, dice.pick(&effects));
    if dice.one_in(3) { fault } else { fault.times(1 + u32::try_from(dice.below(6)).unwrap()) }
}

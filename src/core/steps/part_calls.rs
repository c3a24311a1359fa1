//! The calls of one write of several sets, in the order in which they are sent, and what became of all together.
//!
//! Calls that take away go first: a region that is dead waits for no other set, and a [`Stage`] takes nothing away that
//! rests on what the same write adds (NEVER-EMPTY). Each call is sent once, and may take its share of the time that is
//! left, so that one which hangs keeps none of the others from being sent. Start at [`PartCalls::next`].

use std::time::Duration;

use crate::core::parts::{Stage, Step};
use crate::model::{ProviderError, ProviderErrorKind};

/// A write of several sets on its way.
#[derive(Clone, Debug)]
pub struct PartCalls {
    calls: Vec<Step>,
    sent: usize,
    taken: usize,
    /// The first failure, and the first of those that may have changed something all the same.
    failure: Option<ProviderError>,
    lost: Option<ProviderError>,
    is_throttled: bool,
}

impl PartCalls {
    /// The calls of what can be done now.
    #[must_use]
    pub fn new(stage: Stage) -> Self {
        let calls = [stage.takes, stage.adds].concat();
        Self { calls, sent: 0, taken: 0, failure: None, lost: None, is_throttled: false }
    }

    /// The call to send now, and how long it may take of the time that is `left` for all; none when there is none, nor time
    /// for it, or after a throttle. Its answer goes to [`PartCalls::answered`].
    pub fn next(&mut self, left: Duration) -> Option<(&Step, Duration)> {
        let calls_left = u32::try_from(self.calls.len() - self.sent).unwrap_or(u32::MAX);
        let call = self.calls.get(self.sent).filter(|_| !self.is_throttled && !left.is_zero())?;
        self.sent += 1;
        Some((call, left / calls_left))
    }

    /// The latest call was answered so, or not in time.
    pub fn answered(&mut self, answer: Result<(), ProviderError>) {
        let Err(error) = answer else {
            self.taken += 1;
            return;
        };
        match error.kind {
            ProviderErrorKind::Lost | ProviderErrorKind::Unclear => {
                self.lost.get_or_insert_with(|| error.clone());
            }
            ProviderErrorKind::Throttled(_) => self.is_throttled = true,
            ProviderErrorKind::Away | ProviderErrorKind::Refused | ProviderErrorKind::Conflict => {}
        }
        self.failure.get_or_insert(error);
    }

    /// All calls.
    #[must_use]
    pub fn calls(&self) -> &[Step] {
        &self.calls
    }

    /// How many were sent.
    #[must_use]
    pub fn sent(&self) -> usize {
        self.sent
    }

    /// The outcome of the write: lost, if part of it was done or may be.
    ///
    /// # Errors
    /// When not all calls were taken. One that changed nothing for certain is told by its first failure, one without calls
    /// is a conflict.
    pub fn result(self) -> Result<(), ProviderError> {
        let count = self.calls.len();
        if count == 0 {
            let message = "nothing can be written before what is wanted is in force somewhere".to_owned();
            return Err(ProviderError { kind: ProviderErrorKind::Conflict, message });
        }
        match (self.lost.or(self.failure), self.taken) {
            (None, taken) if taken == count => Ok(()),
            (Some(failure), 0) => Err(failure),
            (failure, taken) => {
                let why = failure.map_or_else(|| "there was no time left".to_owned(), |it| it.message);
                let message = format!("{why}; {taken} of {count} calls of the write were taken");
                let kind = if taken == 0 { ProviderErrorKind::Away } else { ProviderErrorKind::Lost };
                Err(ProviderError { kind, message })
            }
        }
    }
}

//! What the journal gave back of one service, with how long ago that was.

use std::time::Duration;

use crate::core::{Gap, ServiceMemory, WritesMemory};
use crate::model::{Moment, Record};

/// In place of a time that nobody knows: after this every row of probes is forgotten.
const LONG_AGO: Duration = Duration::from_secs(24 * 60 * 60);

/// Persisted state of one service, as a start finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recollection {
    /// How long ago it was saved.
    pub gap: Gap,
    /// The state.
    pub memory: ServiceMemory,
}

impl Recollection {
    /// State that was saved at `saved` by the wall clock, and is read at `now` by it.
    ///
    /// When the wall clock went back nobody knows how long ago that is: then what probes saw is no evidence any more, and
    /// every write has just been made, so that neither makes anything sooner than it may be (NO-JUMP-ON-START).
    #[must_use]
    pub fn new(memory: ServiceMemory, saved: Duration, now: Duration) -> Self {
        let unknown = Gap { looks: LONG_AGO, writes: Duration::ZERO };
        Self { gap: now.checked_sub(saved).map_or(unknown, Gap::from), memory }
    }

    /// What is known of the writes of this record set, for its first driver; none when the state is about another one.
    #[must_use]
    pub fn writes(&self, record: &Record, now: Moment) -> Option<KnownWrites> {
        let memory = self.memory.writes(record)?.clone();
        Some(KnownWrites { at: now - self.gap.writes, memory })
    }
}

/// What is known of the writes of a record set, for the driver that is started next: after a panic or a restart the budget
/// goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownWrites {
    /// When it was so.
    pub at: Moment,
    /// What was told.
    pub memory: WritesMemory,
}

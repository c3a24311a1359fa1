//! What the reconciler tells of a record set: the driver brings it to the core, the log and the metrics.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use super::memory::WritesMemory;
use super::plan::{Generation, Held};
use crate::model::{Alarm, Found, RecordSet, Weighed};

/// One thing that happened to a record set.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Report {
    /// It was read; none when it does not exist.
    Seen {
        /// What it holds.
        found: Option<Found>,
    },
    /// It was read, and it holds, in force, what the newest plan wants.
    InSync,
    /// A write is on its way.
    Sent {
        /// Of which plan.
        generation: Generation,
        /// What it held before.
        from: BTreeSet<IpAddr>,
        /// What it is to hold.
        set: RecordSet,
    },
    /// The write was answered, or its answer is lost.
    Written {
        /// Of which plan.
        generation: Generation,
        /// What became of it.
        result: WriteResult,
        /// What the provider said, when it did not say yes.
        message: String,
        /// When it is tried again, if need be and nothing hastens it.
        retry_in: Option<Duration>,
    },
    /// A read showed that what was written is in force.
    InForce {
        /// Of which plan.
        generation: Generation,
    },
    /// A dry run would write this.
    DryRun {
        /// Of which plan.
        generation: Generation,
        /// What it holds.
        from: BTreeSet<IpAddr>,
        /// What it would hold.
        set: RecordSet,
    },
    /// Somebody else changed what it holds since it was last known.
    Drifted {
        /// What it held.
        before: BTreeSet<Weighed>,
        /// What it holds now; nothing when it does not exist any more.
        now: BTreeSet<Weighed>,
    },
    /// A rule holds the write back.
    Held(Held),
    /// A change waits, because the record set cannot be read, or is not steady. Told once a plan.
    Delayed {
        /// Why: what the provider said.
        message: String,
        /// When it is read again.
        retry_in: Duration,
    },
    /// Something is wrong; the next `InSync` clears it, and what follows a fight clears that.
    Alarmed {
        /// What.
        alarm: Alarm,
        /// In words.
        message: String,
    },
    /// Something else is to be remembered of it from now on. Told of a write before the write is made.
    Remember(WritesMemory),
}

impl Report {
    /// What can stand in `Alarmed`.
    pub(super) const ALARMS: &'static [Alarm] = &[
        Alarm::ProviderAway,
        Alarm::WriteRefused,
        Alarm::NotInForce,
        Alarm::Withheld,
        Alarm::Drift,
        Alarm::Fight,
    ];

    /// Whether this alarm, raised by an earlier report, is over.
    pub(super) fn clears(&self, alarm: Alarm) -> bool {
        match self {
            Self::InSync => true,
            Self::Seen { .. } => alarm == Alarm::ProviderAway,
            Self::Sent { .. } | Self::Held(_) => alarm == Alarm::Fight,
            Self::Written { .. }
            | Self::InForce { .. }
            | Self::DryRun { .. }
            | Self::Drifted { .. }
            | Self::Delayed { .. }
            | Self::Alarmed { .. }
            | Self::Remember(_) => false,
        }
    }

    /// What the reconciler is at after this, in a word for people; none when this says nothing of it.
    pub(super) fn phase(&self) -> Option<&'static str> {
        Some(match self {
            Self::Seen { .. } => "comparing",
            Self::InSync | Self::InForce { .. } | Self::DryRun { .. } => "idle",
            Self::Sent { .. } => "writing",
            Self::Written { result: WriteResult::Applied, .. } => "settling",
            Self::Written {
                result: WriteResult::Refused | WriteResult::Lost | WriteResult::Superseded,
                ..
            }
            | Self::Delayed { .. }
            | Self::Alarmed { .. } => "waiting",
            Self::Held(_) => "held",
            Self::Drifted { .. } | Self::Remember(_) => return None,
        })
    }
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WriteResult {
    /// The provider took it.
    Applied,
    /// The provider refused it, or it never got there; nothing was changed.
    Refused,
    /// It was sent and no clear answer came; a read will tell.
    Lost,
    /// A newer plan exists by now. The provider took it all the same, or it was not sent: then the message says so. A read
    /// and, if need be, a correction follow.
    Superseded,
}

impl WriteResult {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Applied, Self::Refused, Self::Lost, Self::Superseded];

    /// As metrics, logs and the API spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Refused => "refused",
            Self::Lost => "lost",
            Self::Superseded => "superseded",
        }
    }
}

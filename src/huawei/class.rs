//! The classes of the cloud's errors, and the consequences of each: the one place for both.

/// The meaning of an answer with an error. `code::classify` finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Too many requests.
    Throttled,
    /// The object is being changed, is not steady, or was made or changed by somebody else.
    Conflict,
    /// The keys were not taken.
    Keys,
    /// The keys are locked for a while, since they were refused too often.
    Locked,
    /// The signature's time is not the cloud's.
    Clock,
    /// The keys' user may not do that.
    Permission,
    /// The object does not exist: the service itself says so.
    Missing,
    /// A 404 that says nothing of the object: no such API here, or a gateway's answer.
    NotSaid,
    /// A quota of the account is used up.
    Quota,
    /// The request is wrong in itself.
    Malformed,
    /// The service failed, whatever the status is.
    Fault,
    /// The account or the object is frozen, or forbidden by the vendor.
    Frozen,
}

/// The consequence of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The API is left alone for a while, then asked again.
    Pause,
    /// It is asked again soon, and alarmed when it goes on.
    Retry,
    /// It is alarmed at once and asked again, ever more seldom.
    Alarm,
    /// The object is gone, once a second and different call says so too.
    Gone,
    /// The set is read anew, and the write decided anew from that.
    ReadAgain,
    /// Nobody knows whether the write was carried out: the set is read before anything else.
    Unknown,
}

impl Class {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 12] = [
        Self::Throttled,
        Self::Conflict,
        Self::Keys,
        Self::Locked,
        Self::Clock,
        Self::Permission,
        Self::Missing,
        Self::NotSaid,
        Self::Quota,
        Self::Malformed,
        Self::Fault,
        Self::Frozen,
    ];

    /// The consequence for a read.
    #[must_use]
    pub fn after_read(self) -> Then {
        match self {
            Self::Throttled => Then::Pause,
            Self::Conflict | Self::Fault => Then::Retry,
            Self::Missing => Then::Gone,
            Self::Keys
            | Self::Locked
            | Self::Clock
            | Self::Permission
            | Self::NotSaid
            | Self::Quota
            | Self::Malformed
            | Self::Frozen => Then::Alarm,
        }
    }

    /// The consequence for a write.
    #[must_use]
    pub fn after_write(self) -> Then {
        if self == Self::Fault {
            return Then::Unknown;
        }
        if matches!(self, Self::Conflict | Self::Missing) {
            return Then::ReadAgain;
        }
        self.after_read()
    }

    /// For people, in one row of docs/troubleshooting.md: what it means, and what to do.
    #[must_use]
    pub fn in_words(self) -> (&'static str, &'static str) {
        match self {
            Self::Throttled => {
                ("too many requests", "Nothing. Other tools of the same user share the limit.")
            }
            Self::Conflict => (
                "being changed, not steady, or changed by somebody else",
                "Nothing, unless it lasts: then the message names what is in the way.",
            ),
            Self::Keys => ("the keys were not taken", "Give the account keys that hold, and reload."),
            Self::Locked => (
                "the keys are locked for 5 minutes after too many refusals",
                "Find which tool uses them wrongly. Do not exchange them for that.",
            ),
            Self::Clock => ("the signature's time is not the cloud's", "Set this machine's clock."),
            Self::Permission => (
                "not allowed",
                "Give the keys' user the action that the message names, also for the enterprise project.",
            ),
            Self::Missing => ("does not exist", "Correct the configuration, or make it anew."),
            Self::NotSaid => (
                "no such API here, which says nothing of the object",
                "Check the endpoint, the region and the project.",
            ),
            Self::Quota => ("a quota is used up", "Ask the vendor for more, or remove what is not needed."),
            Self::Malformed => ("the request is wrong in itself", "Correct what the message names."),
            Self::Fault => {
                ("the service failed", "Nothing, unless it lasts: ask the vendor with the request id.")
            }
            Self::Frozen => ("the account or the object is frozen", "Settle it with the vendor."),
        }
    }
}

impl Then {
    /// For people.
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Retry => "retry soon",
            Self::Alarm => "alarm, retry ever more seldom",
            Self::Gone => "gone, once a second call agrees",
            Self::ReadAgain => "read again, then decide",
            Self::Unknown => "outcome unknown: read first",
        }
    }
}

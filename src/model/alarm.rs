use std::fmt;

use serde::{Serialize, Serializer};

macro_rules! alarms {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// What somebody should know of while it lasts: a closed list, used as a metric's label.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Alarm {$($(#[$doc])* $name,)*}

        impl Alarm {
            /// All of them, in the order of their declaration.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// As metrics, logs and the API spell it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {$(Self::$name => $text,)*}
            }
        }
    };
}

alarms! {
    /// Every region is down; `when_all_down` decides what is published.
    AllDown = "all_down",
    /// A rule of the guard holds a plan back.
    Held = "held",
    /// A change or a return waits for a person's word.
    Waiting = "waiting",
    /// The provider cannot be reached, throttles, or answers what cannot be understood.
    ProviderAway = "provider_away",
    /// The provider refused a write.
    WriteRefused = "write_refused",
    /// The provider took a write and does not bring it into force.
    NotInForce = "not_in_force",
    /// The record set does not exist and `create` is false.
    Missing = "missing",
    /// The record set exists and is not served: disabled, frozen, or its last change failed.
    Withheld = "withheld",
    /// Somebody else changed our addresses.
    Drift = "drift",
    /// Somebody else keeps changing our addresses; nothing is written against them.
    Fight = "fight",
    /// A resolver that is asked what clients get has said something else than the zone for longer than caches may.
    Witness = "witness",
    /// A region has no address that we know.
    NoAddress = "no_address",
    /// An object of a region, its load balancer, does not exist any more.
    Gone = "gone",
    /// A region's check has been unknown for a while: it is not being watched.
    Blind = "blind",
    /// An endpoint's certificate ends soon.
    Certificate = "certificate",
    /// The journal cannot be written; what happens is kept in memory for as long as there is room.
    Journal = "journal",
    /// What a zone that is served here holds cannot be kept over a restart; it is served from memory.
    ZoneState = "zone_state",
    /// An account has no keys, or its temporary ones cannot be renewed.
    Credentials = "credentials",
    /// This machine's clock and the cloud's are far apart.
    ClockSkew = "clock_skew",
    /// None of the vantage's references answers: it may be our own network, and looks that fail are unknown.
    Vantage = "vantage",
    /// A task of the daemon panicked or ended, and was started again.
    Task = "task",
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Alarm {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

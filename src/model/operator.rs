use std::fmt;

use serde::{Deserialize, Serialize};

use super::{CheckName, Moment, RegionName};

/// How far an operator's word reaches.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Every region of the service.
    Service,
    /// This region of it.
    Region(RegionName),
}

impl Scope {
    /// The region, when it is about one.
    #[must_use]
    pub fn region(&self) -> Option<&RegionName> {
        match self {
            Self::Service => None,
            Self::Region(region) => Some(region),
        }
    }

    /// Whether it reaches this region.
    #[must_use]
    pub fn reaches(&self, region: &RegionName) -> bool {
        self.region().is_none_or(|named| named == region)
    }
}

/// What an override rules.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ruling {
    /// Out of the record set, whatever the checks say.
    Drain(Scope),
    /// In the record set, whatever the checks say.
    Pin(Scope),
    /// As it is: a region stays in or out, of a service nothing is written.
    Freeze(Scope),
    /// The check has no vote in any region of the service.
    Mute(CheckName),
}

impl Ruling {
    /// As metrics, logs and the API spell it.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Drain(_) => "drain",
            Self::Pin(_) => "pin",
            Self::Freeze(_) => "freeze",
            Self::Mute(_) => "mute",
        }
    }

    /// How far it reaches; none of a mute, which is about a check.
    #[must_use]
    pub fn scope(&self) -> Option<&Scope> {
        match self {
            Self::Drain(scope) | Self::Pin(scope) | Self::Freeze(scope) => Some(scope),
            Self::Mute(_) => None,
        }
    }

    /// The check that a mute is about.
    #[must_use]
    pub fn check(&self) -> Option<&CheckName> {
        match self {
            Self::Mute(check) => Some(check),
            Self::Drain(_) | Self::Pin(_) | Self::Freeze(_) => None,
        }
    }

    /// Whether one takes the other's place: both about the same check, or of the same scope.
    #[must_use]
    pub fn replaces(&self, other: &Self) -> bool {
        self.scope() == other.scope() && self.check() == other.check()
    }
}

impl fmt::Display for Ruling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.as_str();
        match self {
            Self::Drain(Scope::Service) | Self::Pin(Scope::Service) | Self::Freeze(Scope::Service) => {
                write!(f, "{kind} of the service")
            }
            Self::Drain(Scope::Region(region))
            | Self::Pin(Scope::Region(region))
            | Self::Freeze(Scope::Region(region)) => write!(f, "{kind} of {region}"),
            Self::Mute(check) => write!(f, "{kind} of {check}"),
        }
    }
}

/// An operator's word on a region, a service or a check, while it holds (OPERATOR-RULES).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// What.
    pub ruling: Ruling,
    /// Who said so.
    pub author: String,
    /// Why.
    pub reason: String,
    /// When it ends by itself; none lasts until somebody ends it.
    pub until: Option<Moment>,
}

impl fmt::Display for Override {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {}: {}", self.ruling, self.author, self.reason)
    }
}

/// What an operator says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// From now on. Takes the place of an earlier one about the same.
    Override(Override),
    /// The drain, pin or freeze of exactly this scope ends.
    Release {
        /// Of what.
        scope: Scope,
        /// Who says so.
        author: String,
    },
    /// The check's mute ends.
    Unmute {
        /// Which check.
        check: CheckName,
        /// Who says so.
        author: String,
    },
    /// What waits for approval (`mode = "advise"`) may be written, as long as nothing else is wanted.
    Approve {
        /// Of which regions.
        scope: Scope,
        /// Who says so.
        author: String,
    },
    /// Regions that wait for it (`failback = "manual"`) may return, unless they fall before they have.
    Failback {
        /// Which regions.
        scope: Scope,
        /// Who says so.
        author: String,
    },
}

impl Word {
    /// As the journal spells it.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Override(given) => given.ruling.as_str(),
            Self::Release { .. } => "release",
            Self::Unmute { .. } => "unmute",
            Self::Approve { .. } => "approve",
            Self::Failback { .. } => "failback",
        }
    }

    /// Who said it.
    #[must_use]
    pub fn author(&self) -> &str {
        match self {
            Self::Override(Override { author, .. })
            | Self::Release { author, .. }
            | Self::Unmute { author, .. }
            | Self::Approve { author, .. }
            | Self::Failback { author, .. } => author,
        }
    }

    /// The region that it is about, if about one.
    #[must_use]
    pub fn region(&self) -> Option<&RegionName> {
        match self {
            Self::Override(given) => given.ruling.scope().and_then(Scope::region),
            Self::Release { scope, .. } | Self::Approve { scope, .. } | Self::Failback { scope, .. } => {
                scope.region()
            }
            Self::Unmute { .. } => None,
        }
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let about = |scope: &Scope| match scope {
            Scope::Service => "the service".to_owned(),
            Scope::Region(region) => region.to_string(),
        };
        match self {
            Self::Override(given) => write!(f, "{given}"),
            Self::Unmute { check, author } => write!(f, "unmute of {check} by {author}"),
            Self::Release { scope, author }
            | Self::Approve { scope, author }
            | Self::Failback { scope, author } => {
                write!(f, "{} of {} by {author}", self.as_str(), about(scope))
            }
        }
    }
}

/// Why something is not done before a person says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitsFor {
    /// `mode = "advise"`: a change that is planned.
    Approve,
    /// `failback = "manual"`: the return of a region that serves again.
    Failback,
}

impl WaitsFor {
    /// As metrics, logs and the API spell it, and the command is called.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Failback => "failback",
        }
    }
}

/// Something that waits for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// For what word.
    pub waits_for: WaitsFor,
    /// Which region; none for addresses that belong to none, those of `fallback`.
    pub region: Option<RegionName>,
    /// What would happen, and why.
    pub because: String,
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whose = self.region.as_ref().map_or("the fallback", RegionName::as_str);
        write!(f, "{} of {whose}: {}", self.waits_for.as_str(), self.because)
    }
}

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// What the cloud calls the line of everybody.
const EVERYBODY: &str = "default_view";

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} {problem}")]
pub struct NameError {
    /// The text as it was given.
    pub given: String,
    /// What is wrong with it, as the end of a sentence: "is longer than 63 characters".
    pub problem: String,
}

impl NameError {
    fn new(given: &str, problem: impl Into<String>) -> Self {
        Self { given: given.to_owned(), problem: problem.into() }
    }
}

/// 1 to 63 characters out of `A-Za-z0-9_.-`, the first a letter or digit: fit for a metric's label,
/// a path of the API and an argument of a command without quoting. A `/` would be read as a separator.
fn plain_name(text: &str) -> Result<Arc<str>, NameError> {
    if text.is_empty() {
        return Err(NameError::new(text, "is empty"));
    }
    if text.len() > 63 {
        return Err(NameError::new(text, "is longer than 63 characters"));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if let Some(bad) = text.chars().find(|c| !plain(*c)) {
        return Err(NameError::new(
            text,
            format!("has a {bad:?}; allowed are letters, digits, '_', '.' and '-'"),
        ));
    }
    if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Err(NameError::new(text, "does not start with a letter or a digit"));
    }
    Ok(text.into())
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name that `text` spells.
            ///
            /// # Errors
            /// When it is empty, longer than 63 characters, or has characters other than `A-Za-z0-9_.-`.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                plain_name(text).map(Self)
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = String::deserialize(from)?;
                Self::parse(&text).map_err(de::Error::custom)
            }
        }
    )*};
}

names! {
    /// The name of a service: one DNS name and type kept pointing at live regions.
    ServiceName;
    /// The name of a region within its service.
    RegionName;
    /// The name of a check within its region; what `up_when` refers to.
    CheckName;
    /// The name of a cloud account: the `main` of `[cloud.main]`.
    CloudName;
    /// The name of a place where record sets live: the `private` of `[dns.private]`.
    ProviderName;
    /// The id of a resolution line: by it a zone answers clients of different networks from different record sets.
    Line;
}

impl Line {
    /// The line of all clients that no other line is for.
    #[must_use]
    pub fn everybody() -> Self {
        Self(EVERYBODY.into())
    }
}

/// Which check of which region of which service; printed as `SERVICE/REGION/CHECK`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CheckKey {
    /// The service it is part of.
    pub service: ServiceName,
    /// The region it looks at.
    pub region: RegionName,
    /// Its own name.
    pub check: CheckName,
}

impl fmt::Display for CheckKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.service, self.region, self.check)
    }
}

/// An absolute DNS name in lower case, with its final dot: `demo.localdev.me.`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fqdn(Arc<str>);

impl Fqdn {
    /// The name that `text` spells; a missing final dot is added, since nothing here is relative.
    ///
    /// # Errors
    /// When a label is empty or longer than 63 octets, the whole is longer than 253, or a character is
    /// none of `a-z0-9-_` (`*` alone may be the first label). RFC 1035, 2.3.4.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let bare = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        if bare.is_empty() {
            return Err(NameError::new(text, "is not a DNS name: it is empty"));
        }
        if bare.len() > 253 {
            return Err(NameError::new(text, "is not a DNS name: it is longer than 253 characters"));
        }
        for (place, label) in bare.split('.').enumerate() {
            if label.is_empty() {
                return Err(NameError::new(text, "is not a DNS name: it has an empty label"));
            }
            if label.len() > 63 {
                return Err(NameError::new(text, "is not a DNS name: a label is longer than 63 characters"));
            }
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            let wildcard = place == 0 && label == "*";
            if !wildcard && !label.chars().all(plain) {
                return Err(NameError::new(
                    text,
                    "is not a DNS name: labels hold letters, digits, '-' and '_' only",
                ));
            }
        }
        Ok(Self(format!("{bare}.").into()))
    }

    /// With the final dot, as DNS APIs want it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Without the final dot, as Host headers and SNI want it.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.strip_suffix('.').unwrap_or(&self.0)
    }

    /// Whether this name is `zone` or below it.
    #[must_use]
    pub fn is_within(&self, zone: &Self) -> bool {
        self == zone || self.0.strip_suffix(&*zone.0).is_some_and(|rest| rest.ends_with('.'))
    }
}

impl fmt::Display for Fqdn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Fqdn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl Serialize for Fqdn {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_final_dot_is_added_and_case_does_not_matter() {
        let name = Fqdn::parse("Demo.LocalDev.me").unwrap();
        assert_eq!(name.as_str(), "demo.localdev.me.");
        assert_eq!(name.host(), "demo.localdev.me");
        assert_eq!(name, Fqdn::parse("demo.localdev.me.").unwrap());
    }

    #[test]
    fn a_name_is_within_its_zone_by_whole_labels() {
        let zone = Fqdn::parse("dev.me.").unwrap();
        assert!(Fqdn::parse("a.dev.me.").unwrap().is_within(&zone));
        assert!(zone.is_within(&zone));
        assert!(!Fqdn::parse("localdev.me.").unwrap().is_within(&zone));
    }

    #[test]
    fn names_that_would_need_quoting_are_refused() {
        for bad in ["", "a b", "a/b", "-a", "ä", &"x".repeat(64)] {
            assert!(ServiceName::parse(bad).is_err(), "{bad:?} was taken");
        }
        for bad in ["", ".", "a..b", "a b.", &"x".repeat(64), &"abcd.".repeat(60)] {
            assert!(Fqdn::parse(bad).is_err(), "{bad:?} was taken");
        }
    }
}

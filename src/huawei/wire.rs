//! How the cloud's JSON is read where it is not plain: null in place of what is simply not there.

use serde::{Deserialize, Deserializer};

/// Null is the type's default, like an absent field: with `#[serde(default, deserialize_with = …)]`.
///
/// Not for lists whose emptiness means something: a null list does not say that there is nothing.
pub(super) fn or_default<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// Null is yes: a switch that an answer does not mention is on.
pub(super) fn or_true<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(true))
}

/// The default of a switch that is absent.
pub(super) fn yes() -> bool {
    true
}

/// An object that is told by its id alone.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Reference {
    pub(super) id: String,
}

/// The ids of a list of references.
pub(super) fn ids(references: Vec<Reference>) -> Vec<String> {
    references.into_iter().map(|reference| reference.id).collect()
}

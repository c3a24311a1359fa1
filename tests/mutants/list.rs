//! The mutants of our own: `list.toml`, for what `cargo mutants` cannot express (docs/mutants.md).

use serde::Deserialize;

/// One broken variant of the code.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mutant {
    /// The invariant that it breaks.
    pub(crate) invariant: String,
    /// The change, in a few words joined by hyphens.
    pub(crate) name: String,
    /// The test target that must notice: a file under `tests/`, or `lib` for the unit tests.
    pub(crate) test: String,
    /// The test in it, with its modules.
    pub(crate) filter: String,
    /// Why somebody might make that change, or what becomes of it.
    pub(crate) why: String,
    /// The places that are changed.
    pub(crate) edit: Vec<Edit>,
}

/// One place that is changed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Edit {
    /// The file, from the root.
    pub(crate) file: String,
    /// The text as it is, which stands there once.
    pub(crate) text: String,
    /// The text in its place.
    pub(crate) broken: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    mutant: Vec<Mutant>,
}

/// Reads all of them.
///
/// # Errors
/// When the list is not as it should be.
pub(crate) fn read() -> Result<Vec<Mutant>, toml::de::Error> {
    toml::from_str::<List>(include_str!("list.toml")).map(|list| list.mutant)
}

//! The mutants: deliberately broken variants of the code, each with the test that must notice. One file an invariant, under
//! `mutants/`; `cargo run --example mutants` tries them.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;

/// One broken variant.
#[derive(Clone, Debug)]
pub(crate) struct Mutant {
    /// The invariant that it breaks.
    pub(crate) invariant: String,
    /// What was done, in a few words joined by hyphens.
    pub(crate) name: String,
    /// The test target that must notice: a file under `tests/`, or `lib` for the unit tests.
    pub(crate) test: String,
    /// The test in it, with its modules.
    pub(crate) filter: String,
    /// Why somebody might do that, or what becomes of it.
    pub(crate) why: String,
    /// What is changed.
    pub(crate) edits: Vec<Edit>,
}

/// One place that is changed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Edit {
    /// The file, from the root.
    pub(crate) file: String,
    /// The text as it is, which stands there once.
    pub(crate) text: String,
    /// What is put in its place.
    pub(crate) broken: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfInvariant {
    mutant: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    test: String,
    filter: String,
    why: String,
    edit: Vec<Edit>,
}

/// All of them, by invariant.
///
/// # Errors
/// When a file cannot be read or is not as it should be.
pub(crate) fn read(root: &Path) -> anyhow::Result<Vec<Mutant>> {
    let mut files = fs::read_dir(root.join("mutants")).context("cannot list mutants/")?;
    let mut paths = files.try_fold(Vec::new(), |mut paths, file| -> anyhow::Result<_> {
        paths.push(file?.path());
        Ok(paths)
    })?;
    paths.retain(|path| path.extension().is_some_and(|it| it == "toml") && !path.ends_with("Cargo.toml"));
    paths.sort();
    let mut all = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let file: OfInvariant =
            toml::from_str(&text).with_context(|| format!("{} is not as it should be", path.display()))?;
        let invariant = path.file_stem().unwrap_or_default().to_string_lossy().to_uppercase();
        all.extend(file.mutant.into_iter().map(|entry| Mutant {
            invariant: invariant.clone(),
            name: entry.name,
            test: entry.test,
            filter: entry.filter,
            why: entry.why,
            edits: entry.edit,
        }));
    }
    Ok(all)
}

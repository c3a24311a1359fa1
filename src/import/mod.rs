//! A configuration from what others wrote: manifests of `MultiClusterIngress`.
//!
//! Text in, text out; reads and writes nothing itself. What cannot become a service is an error with its line, what works
//! and bites a warning and a comment, and what the manifests do not say is marked for a person to decide. The result
//! passes `pointsman check` as it stands. Start at [`mci`].

mod documents;
mod json;
mod manifest;
mod report;
mod services;
mod text;
mod tree;
mod yaml;

use std::path::Path;

use crate::config::{Problem, Problems, Severity};
use manifest::Found;
use report::{Report, Source};

/// What a file may hold, in bytes: as much as a configuration.
pub const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What came of the manifests.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The configuration.
    pub config: String,
    /// What works, and what somebody should look at.
    pub warnings: Vec<Problem>,
    /// What was passed over, each in a sentence.
    pub notes: Vec<String>,
}

/// Makes a configuration from manifests of `MultiClusterIngress`; each file with what it is called.
///
/// # Errors
/// All that keeps the manifests from being a configuration, file by file, with the warnings among them.
pub fn mci(files: &[(&Path, &str)]) -> Result<Imported, Problems> {
    let sources: Vec<Source<'_>> = files.iter().map(|(path, text)| Source { path, text }).collect();
    let mut report = Report::new(&sources);
    let mut found = Found::default();
    for (number, source) in sources.iter().enumerate() {
        manifest::read(number, source.text, &mut found, &mut report);
    }
    found.judge(&mut report);
    let services = services::merged(&found.manifests, &mut report);
    let (problems, notes) = report.finish();
    if problems.iter().any(|problem| problem.severity == Severity::Error) {
        return Err(Problems(problems));
    }
    let names: Vec<String> = files.iter().map(|(path, _)| path.display().to_string()).collect();
    Ok(Imported { config: text::write(&services, found.manifests.len(), &names), warnings: problems, notes })
}

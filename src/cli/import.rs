use std::fs::File;
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::style::{BAD, CARE, DIM};
use crate::config::{Problem, Severity};
use crate::import::{self, Imported};
use crate::model::count_in_words;

/// Begin a configuration from what there is already
///
/// Prints a configuration with a mark wherever a person must decide. What cannot work is an error with its line, and then
/// nothing is printed; what works and bites is a warning.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    from: From,
}

#[derive(Debug, Subcommand)]
enum From {
    /// From manifests of UCS's multi-cluster ingress, one or more a file
    ///
    /// Each host becomes a service; manifests for the same host, one a region, become its regions.
    #[command(
        after_help = "Exit codes: 0 a configuration was printed, perhaps with warnings; 1 something cannot work.\n\
                      For instance: pointsman import mci region1.yaml region2.yaml > pointsman.toml\n\
                      or: kubectl get multiclusteringress -A -o yaml | pointsman import mci -"
    )]
    Mci {
        /// Manifests in YAML; - is the standard input
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

pub(super) fn execute(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let From::Mci { files } = arguments.from;
    let mut texts = Vec::with_capacity(files.len());
    for path in &files {
        texts.push(read(path).with_context(|| format!("cannot read {}", shown(path).display()))?);
    }
    let sources: Vec<(&Path, &str)> =
        files.iter().zip(&texts).map(|(path, text)| (shown(path), text.as_str())).collect();
    let mut stderr = anstream::stderr().lock();
    match import::mci(&sources) {
        Ok(Imported { config, warnings, notes }) => {
            for note in notes {
                writeln!(stderr, "{DIM}{note}{DIM:#}")?;
            }
            tell(&mut stderr, &warnings)?;
            // Nobody may take half of a configuration for one.
            write!(anstream::stdout(), "{config}")?;
            Ok(ExitCode::SUCCESS)
        }
        Err(problems) => {
            tell(&mut stderr, &problems.0)?;
            let errors = problems.0.iter().filter(|problem| problem.severity == Severity::Error).count();
            writeln!(stderr, "{BAD}nothing imported:{BAD:#} {}", count_in_words(errors, "problem"))?;
            Ok(ExitCode::FAILURE)
        }
    }
}

fn tell(out: &mut impl io::Write, problems: &[Problem]) -> io::Result<()> {
    for problem in problems {
        let style = if problem.severity == Severity::Error { BAD } else { CARE };
        let text = problem.to_string();
        let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
        writeln!(out, "{style}{first}{style:#}\n{rest}\n")?;
    }
    Ok(())
}

/// What messages call it.
fn shown(path: &Path) -> &Path {
    if path == Path::new("-") { Path::new("stdin") } else { path }
}

fn read(path: &Path) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    let most = import::FILE_BYTES_MAX;
    let length = if path == Path::new("-") {
        io::stdin().lock().take(most + 1).read_to_end(&mut bytes)?
    } else {
        File::open(path)?.take(most + 1).read_to_end(&mut bytes)?
    };
    anyhow::ensure!(
        u64::try_from(length).is_ok_and(|length| length <= most),
        "it is longer than {most} bytes, which no manifests are"
    );
    String::from_utf8(bytes).context("it is not UTF-8 text; save it as UTF-8")
}

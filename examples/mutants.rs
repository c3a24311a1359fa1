//! Breaks the code on purpose, one mutant of `tests/mutants/list.toml` at a time, and runs the test that must notice. For
//! what `cargo mutants` cannot express: docs/mutants.md.
//!
//! Works on a copy under `target/own_mutants`, with a build of its own there: some minutes for the first, then seconds a mutant.
//! Prints who was caught and how long building and the test took; ends in 1 when one survives, when one does not build, or
//! when a test fails on the code as it is.
//!
//! ```sh
//! cargo run --example mutants
//! cargo run --example mutants -- --only min-published alias
//! ```
#![expect(clippy::print_stdout, reason = "an example talks to people")]

#[path = "../tests/mutants/list.rs"]
mod list;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use list::Mutant;
use pointsman::clock::instant_now;
use serde::Deserialize;

/// A test that has not ended by then hangs, which no test does on the code as it is.
const TEST_WITHIN: Duration = Duration::from_secs(180);
/// Between two looks at whether it has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What cargo says of one thing that it has built.
#[derive(Deserialize)]
struct Built {
    target: BuiltTarget,
    profile: BuiltProfile,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct BuiltTarget {
    name: String,
}

#[derive(Deserialize)]
struct BuiltProfile {
    test: bool,
}

/// What became of a mutant.
enum Verdict {
    Caught,
    Hung,
    Survived,
    DoesNotBuild(String),
}

fn main() -> anyhow::Result<ExitCode> {
    let only = only()?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mutants = list::read()?;
    let mutants: Vec<Mutant> = mutants
        .into_iter()
        .filter(|mutant| only.is_empty() || only.iter().any(|only| mutant.name.contains(only)))
        .collect();
    if mutants.is_empty() {
        bail!("no mutant is named so");
    }
    let yard = Yard::set_up(root)?;
    println!("building, and running the tests on the code as it is");
    let tests: BTreeSet<(&str, &str)> =
        mutants.iter().map(|m| (m.test.as_str(), m.filter.as_str())).collect();
    for (test, filter) in tests {
        let binary = match yard.build(test)? {
            Ok(binary) => binary,
            Err(errors) => bail!("{test} does not build on the code as it is: {errors}"),
        };
        if !matches!(yard.run(&binary, filter)?, Verdict::Survived) {
            let said = yard.said();
            bail!("{test} {filter} fails on the code as it is; what it said is in {}", said.display());
        }
    }
    let mut bad = 0;
    for mutant in &mutants {
        bad += u32::from(!yard.tries(mutant)?);
    }
    println!("{} mutants, {bad} not caught", mutants.len());
    Ok(if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Parts of the names of those to try; none for all.
fn only() -> anyhow::Result<Vec<String>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        None => Ok(Vec::new()),
        Some((flag, names)) if flag == "--only" && !names.is_empty() => Ok(names.to_vec()),
        Some(_) => bail!("usage: mutants [--only NAME…]"),
    }
}

/// Takes away what is no part of the tree any more: it would be built.
fn forget_others(folder: &Path, known: &BTreeSet<PathBuf>) -> anyhow::Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) }; // nothing was copied yet
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            forget_others(&path, known)?;
        } else if !known.contains(&path) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// Where mutants are tried: a copy of the tree, and a build of it.
struct Yard {
    folder: PathBuf,
}

impl Yard {
    /// Copies what git knows of, as it is now. What is the same there already is not touched, so that it is not built anew.
    fn set_up(root: &Path) -> anyhow::Result<Self> {
        let yard = Self { folder: root.join("target/own_mutants") };
        let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root).output();
        let listed = listed.context("cannot run git, which knows what belongs to the tree")?.stdout;
        let listed = String::from_utf8(listed).context("a file's name is no UTF-8")?;
        let known: BTreeSet<PathBuf> =
            listed.split_terminator('\0').map(|name| yard.tree().join(name)).collect();
        forget_others(&yard.tree(), &known)?;
        for name in listed.split_terminator('\0') {
            let Ok(wanted) = fs::read(root.join(name)) else { continue };
            let copy = yard.tree().join(name);
            if fs::read(&copy).ok().as_ref() != Some(&wanted) {
                fs::create_dir_all(copy.parent().unwrap_or(&copy))?;
                fs::copy(root.join(name), &copy).with_context(|| format!("cannot copy {name}"))?;
            }
        }
        Ok(yard)
    }

    fn tree(&self) -> PathBuf {
        self.folder.join("tree")
    }

    /// Where the output of the latest test is.
    fn said(&self) -> PathBuf {
        self.folder.join("said.txt")
    }

    /// Tries one mutant, tells what became of it, and puts the code back; false when it was not caught.
    fn tries(&self, mutant: &Mutant) -> anyhow::Result<bool> {
        let began = instant_now();
        let whole = mutant.edit.iter().map(|edit| {
            let path = self.tree().join(&edit.file);
            Ok((fs::read_to_string(&path)?, path))
        });
        let whole = whole.collect::<anyhow::Result<Vec<(String, PathBuf)>>>()?;
        for edit in &mutant.edit {
            let path = self.tree().join(&edit.file);
            let text = fs::read_to_string(&path)?;
            if text.matches(&edit.text).count() != 1 {
                bail!("{}: what it breaks does not stand in {} once", mutant.name, edit.file);
            }
            fs::write(path, text.replace(&edit.text, &edit.broken))?;
        }
        let built = self.build(&mutant.test);
        let (built_within, began) = (began.elapsed(), instant_now());
        let verdict = match built {
            Ok(Ok(binary)) => self.run(&binary, &mutant.filter),
            Ok(Err(errors)) => Ok(Verdict::DoesNotBuild(errors)),
            Err(error) => Err(error),
        };
        for (text, path) in whole {
            fs::write(path, text)?;
        }
        let Mutant { invariant, name, test, filter, why, .. } = mutant;
        let times = format!("{:.0} s + {:.1} s", built_within.as_secs_f64(), began.elapsed().as_secs_f64());
        let (is_caught, how) = match verdict? {
            Verdict::Caught => (true, format!("caught by {test} {filter}, {times}")),
            Verdict::Hung => (true, format!("caught by {test} {filter}, which hung, {times}")),
            Verdict::Survived => (false, format!("SURVIVED {test} {filter}: {why}")),
            Verdict::DoesNotBuild(errors) => (false, format!("DOES NOT BUILD: {errors}")),
        };
        println!("{invariant:<20} {name:<44} {how}");
        Ok(is_caught)
    }

    /// The test's binary, or why there is none.
    fn build(&self, test: &str) -> anyhow::Result<Result<PathBuf, String>> {
        let target = if test == "lib" { vec!["--lib"] } else { vec!["--test", test] };
        let built = Command::new(env!("CARGO"))
            .args(["test", "--locked", "--no-run", "--message-format=json-render-diagnostics"])
            .args(target)
            .current_dir(self.tree())
            .env("CARGO_TARGET_DIR", self.folder.join("build"))
            .output()
            .context("cannot run cargo")?;
        let errors = String::from_utf8_lossy(&built.stderr);
        if !built.status.success() {
            return Ok(Err(errors
                .lines()
                .filter(|line| line.starts_with("error"))
                .collect::<Vec<_>>()
                .join("; ")));
        }
        let messages = String::from_utf8_lossy(&built.stdout);
        let messages = messages.lines().filter_map(|line| serde_json::from_str::<Built>(line).ok());
        let name = if test == "lib" { "pointsman" } else { test };
        let is_it = |built: &Built| built.profile.test && built.target.name == name;
        let binary = messages.filter(is_it).find_map(|built| built.executable);
        Ok(Ok(binary.context("cargo named no binary of the test")?))
    }

    /// Runs one test, and ends all that it started when it hangs.
    fn run(&self, binary: &Path, filter: &str) -> anyhow::Result<Verdict> {
        let said = File::create(self.said())?;
        let mut running = Command::new(binary)
            .args(["--exact", filter])
            .current_dir(self.tree())
            .stdin(Stdio::null())
            .stdout(said.try_clone()?)
            .stderr(said)
            .process_group(0)
            .spawn()
            .context("cannot run the test")?;
        let ends = instant_now() + TEST_WITHIN;
        loop {
            if let Some(status) = running.try_wait()? {
                let said = fs::read_to_string(self.said()).unwrap_or_default();
                if !said.contains("running 1 test") {
                    bail!("there is no test {filter}, or several");
                }
                return Ok(if status.success() { Verdict::Survived } else { Verdict::Caught });
            }
            if instant_now() > ends {
                let group = format!("-{}", running.id());
                Command::new("kill").args(["-KILL", "--", &group]).status()?;
                running.wait()?;
                return Ok(Verdict::Hung);
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }
}

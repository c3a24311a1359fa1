//! The bounded run of the fuzz targets: the whole corpus, then mutated inputs, the same ones every time.
//!
//! `cargo test --test fuzz -- [TARGET…] [--inputs N] [--seed N]`; see `docs/fuzzing.md`. It has no harness, so that the
//! counts are printed.

#![cfg(test)] // makes clippy take the helpers below for tests too

mod mutator;
mod targets;

use std::cell::{Cell, RefCell};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use mutator::{Chance, mutated};
use targets::{ALL, Target};

/// What a target's run came to.
struct Outcome {
    corpus: usize,
    mutated: u32,
    took: Duration,
    slowest: Duration,
    finding: Option<(String, PathBuf)>,
}

struct Wanted {
    names: Vec<String>,
    inputs: Option<u32>,
    seed: u64,
}

thread_local! {
    /// Whether a target runs: then a panic is a finding.
    static TRYING: Cell<bool> = const { Cell::new(false) };
    static LAST_PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

fn main() -> ExitCode {
    let wanted = wanted();
    let chosen: Vec<&Target> = ALL
        .iter()
        .filter(|target| {
            wanted.names.is_empty() || wanted.names.iter().any(|name| target.name.contains(name))
        })
        .collect();
    std::panic::set_hook(Box::new(|panic| {
        if TRYING.get() {
            LAST_PANIC.set(panic.to_string());
        } else {
            eprintln!("{panic}");
        }
    }));
    // Two at a time: as many cores as any machine has.
    let next = AtomicUsize::new(0);
    let good = std::thread::scope(|scope| {
        let work = || {
            let mut good = true;
            while let Some(target) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
                let outcome = run(target, &wanted);
                good &= outcome.finding.is_none();
                print(target, &outcome);
            }
            good
        };
        let workers = [scope.spawn(work), scope.spawn(work)];
        workers.map(|worker| worker.join().unwrap()).into_iter().all(|good| good)
    });
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Of the harness that this has not got, only names are understood.
fn wanted() -> Wanted {
    let mut wanted = Wanted { names: Vec::new(), inputs: None, seed: 0 };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--inputs" => wanted.inputs = arguments.next().and_then(|number| number.parse().ok()),
            "--seed" => {
                wanted.seed = arguments.next().and_then(|number| number.parse().ok()).unwrap_or_default();
            }
            name if !name.starts_with('-') => wanted.names.push(name.to_owned()),
            _ => {}
        }
    }
    wanted
}

fn run(target: &Target, wanted: &Wanted) -> Outcome {
    assert_known_everywhere(target.name);
    let corpus = corpus_of(target.name);
    assert!(!corpus.is_empty(), "fuzz/corpus/{} has no input", target.name);
    let inputs = wanted.inputs.unwrap_or(target.inputs);
    let mut outcome = Outcome {
        corpus: corpus.len(),
        mutated: 0,
        took: Duration::ZERO,
        slowest: Duration::ZERO,
        finding: None,
    };
    let started = now();
    let take = |input: &[u8], outcome: &mut Outcome| {
        let started = now();
        TRYING.set(true);
        let good = catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_ok();
        TRYING.set(false);
        outcome.slowest = outcome.slowest.max(now() - started);
        if !good {
            outcome.finding = Some(kept(target.name, input));
        }
        good
    };
    let mut chance = Chance(
        wanted.seed
            ^ target.name.bytes().fold(0, |seed: u64, byte| seed.wrapping_mul(31).wrapping_add(byte.into())),
    );
    let replayed = corpus.iter().all(|input| take(input, &mut outcome));
    while replayed && outcome.mutated < inputs && take(&mutated(&corpus, &mut chance), &mut outcome) {
        outcome.mutated += 1;
    }
    outcome.took = now() - started;
    outcome
}

/// It has a program for libFuzzer, and a line in the documentation.
fn assert_known_everywhere(name: &str) {
    for (file, says) in [
        ("fuzz/Cargo.toml".to_owned(), format!("name = \"{name}\"")),
        (format!("fuzz/fuzz_targets/{name}.rs"), format!("run(\"{name}\", bytes)")),
        ("docs/fuzzing.md".to_owned(), format!("| `{name}` |")),
    ] {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&file)).unwrap_or_default();
        assert!(text.contains(&says), "{file} lacks {says}");
    }
}

#[expect(clippy::disallowed_methods, reason = "it is only told how long a run took")]
fn now() -> Instant {
    Instant::now()
}

/// The inputs of a target, in the order of their names.
fn corpus_of(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// What was found, and the input that found it in a file.
fn kept(name: &str, input: &[u8]) -> (String, PathBuf) {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{name}"));
    fs::write(&path, input).unwrap();
    (LAST_PANIC.take(), path)
}

fn print(target: &Target, outcome: &Outcome) {
    let Outcome { corpus, mutated, took, slowest, finding } = outcome;
    println!(
        "{:14} {corpus:4} of the corpus, {mutated:6} mutated, {:5.1} s, slowest {:4} ms",
        target.name,
        took.as_secs_f64(),
        slowest.as_millis()
    );
    if let Some((panic, input)) = finding {
        println!("FINDING in {}, with the input in {}:\n{panic:.3000}", target.name, input.display());
    }
}

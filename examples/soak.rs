//! Plays as many seeds of the deterministic simulation as wanted, on all cores, and stops at the first that breaks an
//! invariant: `cargo run --release --example soak -- --seeds 1000000`. With `--keep-going` it plays them all and ends
//! with a table of what broke. One seed with its timeline: `-- --seed 42`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it talks to people")]

#[path = "../tests/simulation/mod.rs"]
mod simulation;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::Parser;
use pointsman::clock::instant_now;
use simulation::{Failing, Schedule, hunt, play, run};

/// Progress is printed so often.
const TOLD_EVERY_S: u64 = 10;

#[derive(Parser)]
#[command(about = "Plays seeds of the deterministic simulation until one breaks an invariant")]
struct Arguments {
    /// How many seeds to play.
    #[arg(long, default_value_t = 100_000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Plays this one alone and prints its timeline.
    #[arg(long)]
    seed: Option<u64>,
    /// Goes on past a seed that breaks an invariant, and ends with a table of kinds and seeds.
    #[arg(long)]
    keep_going: bool,
    /// Default: every core.
    #[arg(long)]
    threads: Option<usize>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.seed {
        Some(seed) => replay(seed),
        None => soak(&arguments),
    }
}

fn replay(seed: u64) -> ExitCode {
    let schedule = Schedule::of(seed);
    println!("{schedule}\n{}", run(&schedule, true, None).story());
    match play(seed, None) {
        Ok(_) => {
            println!("every invariant held");
            ExitCode::SUCCESS
        }
        Err(failing) => fail(&failing),
    }
}

fn fail(failing: &Failing) -> ExitCode {
    let failure = failing.shrink();
    println!("{failure}");
    eprintln!("an invariant does not hold; {} events are enough to show it", failure.shrunk.events.len());
    ExitCode::FAILURE
}

fn soak(arguments: &Arguments) -> ExitCode {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = arguments.threads.unwrap_or(cores);
    let began = instant_now();
    let told_s = AtomicU64::new(0);
    let progress = |done: u64| {
        let elapsed_s = began.elapsed().as_secs();
        let told = told_s.load(Ordering::Relaxed);
        let is_due = elapsed_s >= told + TOLD_EVERY_S;
        if is_due && told_s.compare_exchange(told, elapsed_s, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            eprintln!("{done} schedules, {} a second", done / elapsed_s.max(1));
        }
    };
    let end = arguments.from.saturating_add(arguments.seeds);
    let found = hunt(arguments.from..end, threads, arguments.keep_going, progress);
    match found.failing.first() {
        Some(first) if !arguments.keep_going => return fail(first),
        _ => {}
    }
    for (what, times) in &found.coverage.0 {
        println!("{times:>12} {what}");
    }
    let holes = found.coverage.holes();
    if !holes.is_empty() {
        println!("never happened: {}", holes.join(", "));
    }
    print_kinds(&found.failing);
    let elapsed = began.elapsed().max(Duration::from_millis(1)).as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = arguments.seeds as f64 / elapsed;
    let failing = found.failing.len();
    let verdict = match failing {
        0 => "every invariant held".to_owned(),
        failing => format!("{failing} seeds broke an invariant"),
    };
    println!("{} schedules in {elapsed:.0} s, {rate:.0} a second: {verdict}", arguments.seeds);
    if failing == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A line for each kind, the most frequent first, with its seeds.
fn print_kinds(failing: &[Failing]) {
    let mut kinds: BTreeMap<String, Vec<&Failing>> = BTreeMap::new();
    for failing in failing {
        kinds.entry(kind(failing)).or_default().push(failing);
    }
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by_key(|(_, failing)| std::cmp::Reverse(failing.len()));
    for (kind, failing) in kinds {
        let seeds: Vec<String> = failing.iter().map(|failing| failing.seed.to_string()).collect();
        println!("{:>6} {kind}\n       seeds {}", failing.len(), seeds.join(", "));
    }
}

/// What is the same in all failures that look alike: the invariant and what was wrong, without the values.
fn kind(failing: &Failing) -> String {
    let what = failing.broken.why.split(": ").next().unwrap_or_default();
    let mut kind = format!("{}: ", failing.broken.name);
    let mut depth = 0_u32;
    for letter in what.trim().chars() {
        match letter {
            '[' | '{' => {
                if depth == 0 {
                    kind.push('…');
                }
                depth += 1;
            }
            ']' | '}' => depth = depth.saturating_sub(1),
            _ if depth > 0 => {}
            '0'..='9' if kind.ends_with('#') => {}
            '0'..='9' => kind.push('#'),
            _ => kind.push(letter),
        }
    }
    kind
}

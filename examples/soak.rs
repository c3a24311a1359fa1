//! Plays as many seeds of the deterministic simulation as wanted, on all cores, and stops at the first that breaks an
//! invariant: `cargo run --release --example soak -- --seeds 1000000`. One seed with its timeline: `-- --seed 42`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it talks to people")]

#[path = "../tests/simulation/mod.rs"]
mod simulation;

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::Parser;
use pointsman::clock::instant_now;
use simulation::{Failure, Schedule, hunt, play, run};

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
        Err(failure) => fail(&failure),
    }
}

fn fail(failure: &Failure) -> ExitCode {
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
    match hunt(arguments.from..end, threads, progress) {
        Ok(coverage) => {
            for (what, times) in &coverage.0 {
                println!("{times:>12} {what}");
            }
            let elapsed = began.elapsed().max(Duration::from_millis(1)).as_secs_f64();
            #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
            let rate = arguments.seeds as f64 / elapsed;
            println!(
                "{} schedules in {elapsed:.0} s, {rate:.0} a second: every invariant held",
                arguments.seeds
            );
            let holes = coverage.holes();
            if !holes.is_empty() {
                println!("never happened: {}", holes.join(", "));
            }
            ExitCode::SUCCESS
        }
        Err(failure) => fail(&failure),
    }
}

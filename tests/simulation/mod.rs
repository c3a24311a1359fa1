//! A deterministic simulation: the real core and the real reconciler in a world of regions, a cloud, a zone, a journal
//! and an operator that go wrong in every way that a seed can think of, with a judge that asserts every invariant after
//! every step.
//!
//! A seed makes a [`Schedule`]: settings and a list of events. Seeds from 200,000 on have scenes as well, drawn by dice of
//! their own: an API that is out for a time, a list that lies, two faults at once. Those from 300,000 on have worlds: two
//! services, other writers (`worlds`). What earlier seeds draw never changes, so that a seed that ever failed goes on to be that schedule. [`run`] plays it in virtual time; the same schedule gives
//! the same run. `play` is the world and its queue of steps, `service` what belongs to one service, `acts` what is done to
//! the world. `process`, `hands` and `driver` are the daemon around the core and the reconciler, step by step as the real
//! one goes. `judge` has the invariants, `haste` how soon what is planned is written while nothing is wrong with the API,
//! `calm` what must come of it when the faults stop; `shrink` makes a failure short. Start at [`hunt`].

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "test code"
)]

mod account;
mod acts;
mod calm;
mod cloud;
mod coverage;
mod dice;
mod driver;
mod event;
mod evidence;
mod hands;
mod haste;
mod journal;
mod judge;
mod play;
mod process;
mod regions;
mod service;
mod settings;
mod shrink;
mod weighted;
mod witnesses;
mod worlds;
mod writer;

use std::fmt::{self, Write as _};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) use coverage::Coverage;
use dice::{Dice, drawn_for};
use event::Event;
pub(crate) use judge::{Broken, Trap};
use play::Simulation;
use settings::Settings;
use worlds::{Configured, WORLDS_FROM, Worlds};

/// All that a run depends on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Schedule {
    seed: u64,
    /// The first service; the others are in the worlds.
    settings: Settings,
    /// The regions whose address the zone holds at the start.
    published: Vec<usize>,
    worlds: Worlds,
    pub(crate) events: Vec<Event>,
    /// When the faults stop.
    calm_at_ms: i64,
    /// The regions that stay dead then.
    dead: Vec<usize>,
}

impl Schedule {
    pub(crate) fn calm_at(&self) -> i64 {
        self.calm_at_ms
    }

    /// Each service, with the regions whose address its record set holds at the start.
    fn services(&self) -> impl Iterator<Item = (&Settings, &[usize])> {
        let other = self.worlds.other.iter();
        let others = other.map(|Configured { settings, published }| (settings, published.as_slice()));
        std::iter::once((&self.settings, self.published.as_slice())).chain(others)
    }

    pub(crate) fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let mut settings = Settings::draw(&mut dice);
        let mut some =
            |chance| -> Vec<usize> { (0..settings.regions.len()).filter(|_| dice.percent(chance)).collect() };
        let (published, dead) = (some(80), some(20));
        let mut events = event::draw(&mut dice, &settings);
        if seed >= event::SCENES_FROM {
            event::add_scenes(&mut Dice::new(drawn_for(&[seed])), &settings, &mut events);
        }
        let worlds = if seed >= WORLDS_FROM {
            worlds::draw(seed, &mut settings, &mut events)
        } else {
            Worlds::default()
        };
        let last = events.last().map_or(0, |event| event.at_ms);
        let calm_at_ms = last + dice.pick(&[100, 3_000, 20_000]);
        Self { seed, settings, published, worlds, events, calm_at_ms, dead }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?}", self.settings)?;
        writeln!(f, "published at the start {:?}, dead in the end {:?}", self.published, self.dead)?;
        if self.worlds != Worlds::default() {
            writeln!(f, "{:?}", self.worlds)?;
        }
        for Event { at_ms, service, act } in &self.events {
            let whose =
                if *service == 0 { String::new() } else { format!("{}: ", settings::service_name(*service)) };
            writeln!(f, "{} {whose}{act:?}", seconds(*at_ms))?;
        }
        writeln!(f, "{} the faults stop", seconds(self.calm_at_ms))
    }
}

fn seconds(ms: i64) -> String {
    format!("{:>5}.{:03}s", ms / 1000, ms % 1000)
}

/// One line of what happened.
#[derive(Clone, Debug)]
pub(crate) struct TimelineLine {
    at_ms: i64,
    line: String,
}

/// What became of a schedule.
pub(crate) struct Run {
    pub(crate) broken: Option<Broken>,
    pub(crate) coverage: Coverage,
    timeline: Vec<TimelineLine>,
}

impl Run {
    /// The whole story as a text; empty when it was not asked for.
    pub(crate) fn story(&self) -> String {
        self.timeline.iter().fold(String::new(), |mut story, TimelineLine { at_ms, line }| {
            let _ = writeln!(story, "{} {line}", seconds(*at_ms));
            story
        })
    }
}

/// Plays a schedule; `told` keeps its timeline.
pub(crate) fn run(schedule: &Schedule, told: bool, trap: Option<Trap>) -> Run {
    let mut simulation = Simulation::new(schedule, told);
    for service in &mut simulation.services {
        service.judge.trap = trap;
    }
    let played = catch_unwind(AssertUnwindSafe(|| {
        simulation.run_until(schedule.calm_at_ms)?;
        simulation.calm(&schedule.dead)
    }));
    let broken = match played {
        Ok(judged) => judged.err(),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Some(Broken { name: "nothing panics", why: text.unwrap_or_default() })
        }
    };
    let virtual_s = u64::try_from(simulation.now / 1000).unwrap_or(0);
    let (timeline, mut coverage) = simulation.into_story();
    coverage.count("schedules");
    coverage.add("events", schedule.events.len() as u64);
    coverage.add("virtual seconds", virtual_s);
    Run { broken, coverage, timeline }
}

/// A seed whose run broke an invariant.
#[derive(Clone, Debug)]
pub(crate) struct Failing {
    pub(crate) seed: u64,
    pub(crate) broken: Broken,
    trap: Option<Trap>,
}

impl Failing {
    /// Shrinks its schedule and tells the story of that.
    pub(crate) fn shrink(&self) -> Failure {
        let Self { seed, broken, trap } = self;
        let schedule = Schedule::of(*seed);
        let shrunk = shrink::shrink(&schedule, broken, *trap);
        let again = run(&shrunk, true, *trap);
        let why = again.broken.as_ref().unwrap_or(broken);
        let text = format!(
            "{} does not hold, seed {seed}: {}\n\nas drawn ({} events): {} {}\n\nshrunk to {} events:\n{shrunk}\n{}\n\
             {} does not hold, seed {seed}: {}\nreplay it: cargo run --example soak -- --seed {seed}\n",
            why.name,
            why.why,
            schedule.events.len(),
            broken.name,
            broken.why,
            shrunk.events.len(),
            again.story(),
            why.name,
            why.why,
        );
        Failure { shrunk, text }
    }
}

/// A run that broke an invariant, with the plainest schedule that does.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) shrunk: Schedule,
    text: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Plays one seed.
pub(crate) fn play(seed: u64, trap: Option<Trap>) -> Result<Coverage, Failing> {
    let Run { broken, coverage, .. } = run(&Schedule::of(seed), false, trap);
    broken.map_or(Ok(coverage), |broken| Err(Failing { seed, broken, trap }))
}

/// What came of many seeds.
#[derive(Default)]
pub(crate) struct Hunt {
    /// Of the seeds that held.
    pub(crate) coverage: Coverage,
    /// By seed.
    pub(crate) failing: Vec<Failing>,
}

/// Plays seeds on so many threads, until one fails unless it is to keep going. `progress` is told after each how many
/// are done.
pub(crate) fn hunt(
    seeds: Range<u64>,
    threads: usize,
    keeps_going: bool,
    progress: impl Fn(u64) + Sync,
) -> Hunt {
    let next = AtomicU64::new(seeds.start);
    let total = Mutex::new(Hunt::default());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut coverage = Coverage::default();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let is_over = !keeps_going && !total.lock().unwrap().failing.is_empty();
                    if seed >= seeds.end || is_over {
                        break;
                    }
                    match play(seed, None) {
                        Ok(one) => coverage.join(&one),
                        Err(failing) => total.lock().unwrap().failing.push(failing),
                    }
                    progress(seed - seeds.start + 1);
                }
                total.lock().unwrap().coverage.join(&coverage);
            });
        }
    });
    let mut hunt = total.into_inner().unwrap();
    hunt.failing.sort_by_key(|failing| failing.seed);
    hunt
}

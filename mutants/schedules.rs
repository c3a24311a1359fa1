//! Plays a quarter of the schedules of `tests/simulated_schedules.rs`: as many as a mutant may cost.

#![expect(dead_code, reason = "a failure is not shrunk here")]

#[path = "../tests/simulation/mod.rs"]
mod simulation;

use std::ops::Range;

const SEEDS: [Range<u64>; 3] = [0..750, 200_000..200_250, 300_000..300_250];

#[test]
fn no_schedule_of_faults_breaks_an_invariant() {
    for seeds in SEEDS {
        let hunt = simulation::hunt(seeds, 1, false, |_| {});
        assert!(hunt.failing.is_empty(), "{:?}", hunt.failing);
    }
}

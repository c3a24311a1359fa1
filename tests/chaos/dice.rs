//! What happens next, drawn from a seed that is printed.

use std::fmt;
use std::time::Duration;

/// Where a seed is given, to play the same again.
const SEED: &str = "POINTSMAN_CHAOS_SEED";

/// The same seed throws the same.
pub(crate) struct Dice {
    seed: u64,
    state: u64,
}

impl Dice {
    /// By the seed in the environment, or else by this one.
    pub(crate) fn new(otherwise: u64) -> Self {
        let given = std::env::var(SEED).ok().map(|seed| seed.parse().expect("the seed is a number"));
        let seed = given.unwrap_or(otherwise);
        println!("{SEED}={seed}");
        Self { seed, state: seed }
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        // splitmix64: enough for choosing, and the same everywhere and for ever.
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    /// Whether one of `of` throws is this one.
    pub(crate) fn one_in(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }

    pub(crate) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.below(from.len() as u64)).unwrap()].clone()
    }

    /// So many milliseconds at most.
    pub(crate) fn within_ms(&mut self, most: u64) -> Duration {
        Duration::from_millis(self.below(most + 1))
    }
}

impl fmt::Display for Dice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SEED}={}", self.seed)
    }
}

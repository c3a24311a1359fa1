//! Chance that comes from a seed: the same numbers on every machine and in every run.

/// A row of numbers that look drawn (splitmix64).
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// From `least` to `most`, both included.
    pub(crate) fn between<N: TryFrom<u64> + Into<u64>>(&mut self, least: N, most: N) -> N {
        let (least, most) = (least.into(), most.into());
        N::try_from(least + self.roll() % (most - least + 1)).unwrap_or_else(|_| unreachable!())
    }

    pub(crate) fn percent(&mut self, chance: u64) -> bool {
        self.roll() % 100 < chance
    }

    pub(crate) fn place(&mut self, of: usize) -> usize {
        usize::try_from(self.roll() % of as u64).unwrap_or_default()
    }

    pub(crate) fn pick<T: Clone>(&mut self, among: &[T]) -> T {
        among[self.place(among.len())].clone()
    }
}

/// A number for these numbers, as if drawn; what is drawn so stays the same when something else is left out.
pub(crate) fn drawn_for(parts: &[u64]) -> u64 {
    parts.iter().fold(0x51_7c_c1_b7, |hash, part| mix(hash ^ part.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}

fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

use std::fmt;

/// How many looks of one kind it takes to change a signal: `3` in a row, or `5 of 10`.
///
/// Both numbers are 1 to 64, so that a window fits one machine word per signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold {
    count: u32,
    window: u32,
}

impl Threshold {
    /// The longest window, in looks.
    pub const WINDOW_MAX: u32 = 64;

    /// `count` looks in a row; none when it is not within 1 to 64.
    #[must_use]
    pub fn in_a_row(count: u32) -> Option<Self> {
        Self::of(count, count)
    }

    /// `count` of the last `window` looks; none unless 1 ≤ count ≤ window ≤ 64.
    #[must_use]
    pub fn of(count: u32, window: u32) -> Option<Self> {
        (1 <= count && count <= window && window <= Self::WINDOW_MAX).then_some(Self { count, window })
    }

    /// Looks of the kind that are needed.
    #[must_use]
    pub fn count(self) -> u32 {
        self.count
    }

    /// Among how many of the latest looks they are counted; equal to the count when in a row.
    #[must_use]
    pub fn window(self) -> u32 {
        self.window
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.count == self.window {
            write!(f, "{} in a row", self.count)
        } else {
            write!(f, "{} of {}", self.count, self.window)
        }
    }
}

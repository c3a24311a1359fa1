/// Which version of a zone: secondaries copy one whose serial is after theirs (RFC 1982).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Serial(pub(super) u32);

impl Serial {
    /// Whether this is after `other` on the circle of serials. Of two that are half of it apart neither is.
    pub(super) fn is_after(self, other: Self) -> bool {
        let ahead = self.0.wrapping_sub(other.0);
        ahead != 0 && ahead < 1 << 31
    }

    /// The serial of the next version: the wall time in seconds, or one more where that is not after this one. So it
    /// goes on growing also when what was kept of it is lost, as long as a zone changes less than once a second for long.
    pub(super) fn next(self, wall_time_s: u64) -> Self {
        let by_time = Self::at(wall_time_s);
        if by_time.is_after(self) { by_time } else { Self(self.0.wrapping_add(1)) }
    }

    /// The serial of a zone that is made now.
    pub(super) fn at(wall_time_s: u64) -> Self {
        let on_the_circle = wall_time_s % (1 << 32);
        Self(u32::try_from(on_the_circle).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serials_are_compared_on_a_circle() {
        assert!(Serial(2).is_after(Serial(1)));
        assert!(Serial(0).is_after(Serial(u32::MAX)));
        assert!(!Serial(u32::MAX).is_after(Serial(0)));
        assert!(!Serial(7).is_after(Serial(7)));
        assert!(!Serial(1 << 31).is_after(Serial(0)) && !Serial(0).is_after(Serial(1 << 31)));
    }

    #[test]
    fn the_next_serial_is_after_the_last_whatever_the_clock_says() {
        for last in [0, 1, 1_800_000_000, (1 << 31) - 1, 1 << 31, u32::MAX] {
            for now in [0, 1, 1_700_000_000, 1_800_000_000, u64::from(u32::MAX), u64::MAX] {
                let next = Serial(last).next(now);
                assert!(next.is_after(Serial(last)), "{last} at {now} became {next:?}");
            }
        }
        assert_eq!(Serial(1_700_000_000).next(1_800_000_000), Serial(1_800_000_000));
        assert_eq!(Serial(1_900_000_000).next(1_800_000_000), Serial(1_900_000_001));
    }
}

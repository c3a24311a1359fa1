//! Finds the end of an HTTP answer's body, and takes chunks out of their wrapping in place.
//!
//! Takes bytes as they come, does no I/O, buffers nothing.

/// How the end of an answer's body is found (RFC 9112, 6.3), and how much of it is still to come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// This many bytes are left.
    Length(u64),
    /// In chunks, each with its length.
    Chunked(Chunked),
    /// Until the server closes.
    UntilClose,
}

/// Where a chunked body stands (RFC 9112, 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunked {
    /// Within a chunk's length in hexadecimal, with so many digits read.
    Size { size: u64, digits: u8 },
    /// Between a chunk's length and the end of its line.
    Extension { size: u64 },
    /// Within a chunk, with this many bytes left.
    Data { left: u64 },
    /// At the line end after a chunk.
    DataEnd,
    /// Within the trailers, at the start of a line or not.
    Trailers { line_start: bool },
    /// Behind the last line.
    End,
}

impl Chunked {
    /// Before the first chunk.
    pub(super) const START: Self = Self::Size { size: 0, digits: 0 };
}

/// What [`Framing::decode`] made of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Decoded {
    /// Bytes of the body, now at the front.
    pub(super) body: usize,
    /// What follows them.
    pub(super) then: Then,
}

/// What follows some bytes of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// More is to come.
    More,
    /// The body is whole.
    End,
    /// The body is whole, and something came behind its end.
    Surplus,
    /// What came is not a chunk.
    Malformed,
}

/// The chunks are not well-formed.
struct Malformed;

impl Framing {
    /// Takes in the bytes that came next, all of them, and moves those of the body to the front.
    pub(super) fn decode(&mut self, raw: &mut [u8]) -> Decoded {
        match self {
            Self::UntilClose => Decoded { body: raw.len(), then: Then::More },
            Self::Length(left) => {
                let body = at_most(*left, raw.len());
                *left -= body as u64;
                let then = match raw.len() > body {
                    true => Then::Surplus,
                    false if *left == 0 => Then::End,
                    false => Then::More,
                };
                Decoded { body, then }
            }
            Self::Chunked(state) => dechunk(state, raw),
        }
    }
}

fn dechunk(state: &mut Chunked, raw: &mut [u8]) -> Decoded {
    let (mut read, mut body) = (0, 0);
    while let Some(&byte) = raw.get(read) {
        if let Chunked::Data { left } = *state {
            let take = at_most(left, raw.len() - read);
            raw.copy_within(read..read + take, body);
            (read, body) = (read + take, body + take);
            let left = left - take as u64;
            *state = if left == 0 { Chunked::DataEnd } else { Chunked::Data { left } };
            continue;
        }
        if *state == Chunked::End {
            return Decoded { body, then: Then::Surplus };
        }
        match state.after(byte) {
            Ok(next) => *state = next,
            Err(Malformed) => return Decoded { body, then: Then::Malformed },
        }
        read += 1;
    }
    Decoded { body, then: if *state == Chunked::End { Then::End } else { Then::More } }
}

impl Chunked {
    /// The state after one byte that is not of the body. A bare line feed ends a line too, as many servers'
    /// home-grown chunks do.
    fn after(self, byte: u8) -> Result<Self, Malformed> {
        match (self, byte) {
            (Self::Size { digits: 0, .. }, b'\r' | b'\n' | b';') => Err(Malformed),
            (Self::Size { size, .. } | Self::Extension { size }, b'\n') => Ok(Self::line_end(size)),
            (Self::Extension { size }, _) | (Self::Size { size, .. }, b'\r' | b';' | b' ' | b'\t') => {
                Ok(Self::Extension { size })
            }
            (Self::Size { size, digits }, digit) => {
                let value = char::from(digit).to_digit(16).ok_or(Malformed)?;
                // 15 digits are more than any body, and fit.
                if digits == 15 {
                    return Err(Malformed);
                }
                Ok(Self::Size { size: size * 16 + u64::from(value), digits: digits + 1 })
            }
            (Self::DataEnd, b'\r') => Ok(Self::DataEnd),
            (Self::DataEnd, b'\n') => Ok(Self::START),
            (Self::DataEnd, _) => Err(Malformed),
            (Self::Trailers { line_start }, b'\r') => Ok(Self::Trailers { line_start }),
            (Self::Trailers { line_start: true }, b'\n') => Ok(Self::End),
            (Self::Trailers { .. }, byte) => Ok(Self::Trailers { line_start: byte == b'\n' }),
            (Self::Data { .. } | Self::End, _) => Ok(self),
        }
    }

    fn line_end(size: u64) -> Self {
        if size == 0 { Self::Trailers { line_start: true } } else { Self::Data { left: size } }
    }
}

fn at_most(left: u64, available: usize) -> usize {
    usize::try_from(left).unwrap_or(usize::MAX).min(available)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    /// Decodes pieces one after the other; the body, and what was said last.
    fn decode(mut framing: Framing, pieces: &[&[u8]]) -> (Vec<u8>, Then) {
        let (mut body, mut then) = (Vec::new(), Then::More);
        for piece in pieces {
            let mut piece = piece.to_vec();
            let decoded = framing.decode(&mut piece);
            body.extend_from_slice(&piece[..decoded.body]);
            then = decoded.then;
        }
        (body, then)
    }

    fn chunked(text: &str) -> (Vec<u8>, Then) {
        decode(Framing::Chunked(Chunked::START), &[text.as_bytes()])
    }

    #[test]
    fn a_length_ends_the_body_and_what_follows_is_surplus() {
        assert_eq!(decode(Framing::Length(3), &[b"ab"]), (b"ab".to_vec(), Then::More));
        assert_eq!(decode(Framing::Length(3), &[b"ab", b"c"]), (b"abc".to_vec(), Then::End));
        assert_eq!(decode(Framing::Length(3), &[b"abcd"]), (b"abc".to_vec(), Then::Surplus));
        assert_eq!(decode(Framing::Length(0), &[b""]), (Vec::new(), Then::End));
    }

    #[test]
    fn chunks_with_extensions_and_trailers_are_read() {
        let text = "3;a=\"b\"\r\nabc\r\nA \r\n0123456789\r\n0\r\nT: v\r\n\r\n";
        assert_eq!(chunked(text), (b"abc0123456789".to_vec(), Then::End));
        assert_eq!(chunked("1\na\n0\n\n"), (b"a".to_vec(), Then::End));
    }

    #[test]
    fn chunks_end_only_behind_the_last_line() {
        assert_eq!(chunked("1\r\na\r\n0\r\n"), (b"a".to_vec(), Then::More));
        assert_eq!(chunked("1\r\na\r\n0\r\n\r\nX"), (b"a".to_vec(), Then::Surplus));
        assert_eq!(chunked("5\r\nab"), (b"ab".to_vec(), Then::More));
    }

    #[test]
    fn chunks_that_are_none_are_malformed() {
        for bad in ["", "\r\n", "x\r\n", ";a\r\n", "-1\r\n", "1\r\nab\r\n", "1000000000000000\r\n"] {
            let (body, then) = chunked(&format!("{bad}zz"));
            assert_eq!(then, Then::Malformed, "{bad:?}");
            assert_eq!(
                body,
                if bad.ends_with("ab\r\n") { &b"a"[..] } else { b"" },
                "{bad:?}: what came before it"
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            rng_seed: RngSeed::Fixed(13),
            ..ProptestConfig::default()
        })]

        #[test]
        fn chunks_decode_the_same_however_they_are_cut(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let mut wire = Vec::new();
            for chunk in &chunks {
                wire.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                wire.extend_from_slice(chunk);
                wire.extend_from_slice(b"\r\n");
            }
            wire.extend_from_slice(b"0\r\n\r\n");
            let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(wire.len() + 1)).collect();
            places.extend([0, wire.len()]);
            places.sort_unstable();
            let pieces: Vec<&[u8]> = places.windows(2).map(|pair| &wire[pair[0]..pair[1]]).collect();
            let found = decode(Framing::Chunked(Chunked::START), &pieces);
            prop_assert_eq!(found, (chunks.concat(), Then::End));
        }

        #[test]
        fn nothing_that_is_sent_makes_it_panic(mut raw in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut framing = Framing::Chunked(Chunked::START);
            let decoded = framing.decode(&mut raw);
            prop_assert!(decoded.body <= raw.len());
        }
    }
}

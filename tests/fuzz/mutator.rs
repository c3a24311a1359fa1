//! Makes new inputs of old ones: by bits, by words, by whole parts of JSON and TOML. The same ones for the same seed.

/// What breaks parsers, and what ours know.
const WORDS: &[&str] = &[
    "null",
    "[]",
    "{}",
    "\"\"",
    "true",
    "0",
    "-1",
    "1e309",
    "65536",
    "4294967296",
    "18446744073709551616",
    "999999999999999999999999",
    "NaN",
    "\\u0000",
    "\\ud800",
    "\u{1b}[2J",
    "\u{202e}",
    "\u{feff}",
    "{token}",
    "{secret}",
    "\r\n",
    "\n\n",
    "\n====\n",
    "\n# file: a.toml\n",
    "\"\"\"",
    "'''",
    "&&",
    "||",
    "!",
    "(",
    ")",
    "%",
    "50%",
    "5 of 10",
    "500ms",
    "366d",
    "../",
    "{region}",
    "Transfer-Encoding: chunked\r\n",
    "Content-Length: 1\r\n",
    "ffffffffffffffff\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.1 500 No\r\n\r\n",
    "404",
    "200",
    "OFFLINE",
    "ONLINE",
    "next_marker",
    "Date: Thu, 01 Jan 1970 00:00:00 GMT\n",
    "Retry-After: 18446744073709551615\n",
    "[[service]]\n",
    "secret_key = ",
];

/// Longer inputs tell nothing that these do not, except for slowness, which has tests of its own.
const LENGTH_MAX: usize = 64 * 1024;

/// A source of chance that anybody can repeat (splitmix64).
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// 0 to `end` - 1.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap()).unwrap()
    }

    fn one<'o, T>(&mut self, of: &'o [T]) -> &'o T {
        &of[self.below(of.len())]
    }
}

/// One of the corpus, changed one to six times.
pub(crate) fn mutated(corpus: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    let mut input = chance.one(corpus).clone();
    for _ in 0..=chance.below(6) {
        change(&mut input, corpus, chance);
    }
    input.truncate(LENGTH_MAX);
    input
}

fn change(input: &mut Vec<u8>, corpus: &[Vec<u8>], chance: &mut Chance) {
    let at = chance.below(input.len() + 1);
    let end = (at + 1 + chance.below(16)).min(input.len());
    match chance.below(12) {
        0 => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << chance.below(8);
            }
        }
        1 => drop(input.drain(at.min(end)..end)),
        2 => {
            let part = input[at.min(end)..end].to_vec();
            for _ in 0..=chance.below(40) {
                put(input, at, &part);
            }
        }
        3 | 4 => put(input, at, chance.one(WORDS).as_bytes()),
        5 => {
            let other = chance.one(corpus);
            let from = chance.below(other.len() + 1);
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
        6 => input.truncate(at),
        7 => put(input, at, &[b'['; 200][..chance.below(200)]),
        8 => {
            // A number becomes another one.
            if let Some(digits) = run_of(input, at, |b| b.is_ascii_digit()) {
                input.splice(digits, chance.one(&WORDS[5..12]).bytes());
            }
        }
        9 => {
            if let Some(value) = value_at(input, at) {
                input.splice(value, chance.one(&WORDS[..6]).bytes());
            }
        }
        10 => {
            if let Some(part) = part_at(input, at) {
                input.drain(part);
            }
        }
        _ => {
            // A whole line, here or once more somewhere else.
            if let Some(line) = run_of(input, at, |b| b != b'\n') {
                let text = input[line.clone()].to_vec();
                if chance.below(2) == 0 {
                    input.drain(line);
                }
                let elsewhere = chance.below(input.len() + 1);
                put(input, elsewhere, &[&text[..], b"\n"].concat());
            }
        }
    }
}

fn put(input: &mut Vec<u8>, at: usize, part: &[u8]) {
    if input.len() < LENGTH_MAX {
        input.splice(at..at, part.iter().copied());
    }
}

/// The run of such bytes that is at or after that place.
fn run_of(input: &[u8], at: usize, is: impl Fn(u8) -> bool) -> Option<std::ops::Range<usize>> {
    let start = at + input.get(at..)?.iter().position(|byte| is(*byte))?;
    let before = input[..start].iter().rev().take_while(|byte| is(**byte)).count();
    let length = input[start..].iter().take_while(|byte| is(**byte)).count();
    Some(start - before..start + length)
}

/// The value that begins after the next `:` or `=`: a text, a list or table with all that is in it, or a word.
fn value_at(input: &[u8], at: usize) -> Option<std::ops::Range<usize>> {
    let sign = at + input.get(at..)?.iter().position(|byte| matches!(byte, b':' | b'='))? + 1;
    let start = sign + input[sign..].iter().position(|byte| !byte.is_ascii_whitespace())?;
    let rest = &input[start..];
    let length = match rest.first()? {
        b'"' => 2 + rest[1..].iter().position(|byte| *byte == b'"')?,
        b'[' | b'{' => {
            let mut depth = 0;
            1 + rest.iter().position(|byte| {
                depth += match byte {
                    b'[' | b'{' => 1,
                    b']' | b'}' => -1,
                    _ => 0,
                };
                depth == 0
            })?
        }
        _ => rest.iter().take_while(|byte| !b",]}\n".contains(byte)).count(),
    };
    Some(start..start + length)
}

/// A member of a list or table with its comma, as far as commas tell.
fn part_at(input: &[u8], at: usize) -> Option<std::ops::Range<usize>> {
    let start = at + input.get(at..)?.iter().position(|byte| matches!(byte, b',' | b'\n'))?;
    let length = input[start + 1..].iter().position(|byte| matches!(byte, b',' | b'\n' | b']' | b'}'))?;
    Some(start..start + 1 + length)
}

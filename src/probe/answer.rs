//! Reads the status line and headers of an HTTP answer, where they lie, as leniently as browsers do.
//!
//! Takes bytes, returns what a probe needs of them; does no I/O and keeps nothing. The status decides what a probe
//! finds, so no header can spoil an answer: a line that is no header is passed over. It makes the end of the body
//! doubtful, and then the connection is not used again. Start at [`Reader`].

use std::fmt;

use super::framing::{Chunked, Framing};
use super::request::is_token;
use crate::model::quoted;

/// How long an answer's head may be, in bytes, interim answers included. Browsers allow for 256 KiB and more; servers
/// send 8 KiB by default and 64 KiB at most.
pub(super) const MAX_HEAD: usize = 64 * 1024;

/// Within so many bytes of the first line the status must be found.
const STATUS_WITHIN: usize = 256;

/// How every answer begins.
const BEGINNING: &[u8; 5] = b"HTTP/";

/// How many characters are shown of a line that is no status line.
const SHOWN: usize = 80;

/// What a probe needs of an answer's status line and headers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// The status, 100 to 999.
    pub(super) status: u16,
    /// How its body ends, or why that cannot be told.
    pub(super) framing: Result<Framing, &'static str>,
    /// Whether the server keeps the connection open behind it, and the end of the body is beyond doubt.
    pub(super) keeps: bool,
    /// The head's own length, in bytes, with interim answers.
    pub(super) length: usize,
}

/// Why an answer is not HTTP, as the end of a sentence.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotHttp(String);

impl fmt::Display for NotHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads the head of one final answer while it comes, past interim ones such as 103.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// Where the head starts that is being read.
    start: usize,
    /// How far its end was searched for.
    searched: usize,
    status: Option<u16>,
}

impl Reader {
    /// The head at the front of `bytes`, all that came so far. `None` when more must come.
    pub(super) fn read(&mut self, bytes: &[u8], method: &str) -> Result<Option<Head>, NotHttp> {
        loop {
            // Empty lines before an answer are no part of it (RFC 9112, 2.2).
            while bytes.get(self.start).is_some_and(u8::is_ascii_whitespace) {
                self.start += 1;
            }
            self.searched = self.searched.max(self.start);
            let Some(line) = StatusLine::at(bytes.get(self.start..).unwrap_or_default())? else {
                return Ok(None);
            };
            // 101 is final: the server has left HTTP (RFC 9110, 15.2.2).
            let interim = (100..200).contains(&line.status) && line.status != 101;
            self.status = Some(line.status).filter(|_| !interim);
            let Some(end) = self.end(bytes) else { return Ok(None) };
            if interim {
                self.start = end;
                continue;
            }
            let head = bytes.get(self.start..end).unwrap_or_default();
            return Ok(Some(Head { length: end, ..line.head(head, method) }));
        }
    }

    /// The status of the final answer, once it has come: it may be known before the head is whole.
    pub(super) fn status(&self) -> Option<u16> {
        self.status
    }

    /// What `bytes` are that ended before there was a status: the beginning of an answer, or no HTTP at all.
    pub(super) fn ended(&self, bytes: &[u8]) -> Result<(), NotHttp> {
        let line = bytes.get(self.start..).unwrap_or_default();
        let same = line.len().min(BEGINNING.len());
        if begins(line, same) { Ok(()) } else { Err(no_status_line(line)) }
    }

    /// Behind the empty line.
    fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        loop {
            let rest = bytes.get(self.searched..)?;
            let Some(line_end) = rest.iter().position(|byte| *byte == b'\n') else {
                self.searched = bytes.len();
                return None;
            };
            let line_end = self.searched + line_end;
            match bytes.get(line_end + 1..)? {
                [b'\n', ..] => return Some(line_end + 2),
                [b'\r', b'\n', ..] => return Some(line_end + 3),
                [] | [b'\r'] => {
                    self.searched = line_end;
                    return None;
                }
                _ => self.searched = line_end + 1,
            }
        }
    }
}

/// What the first line says.
struct StatusLine {
    status: u16,
    /// HTTP/1.1: the server keeps the connection unless it says otherwise.
    keeps: bool,
}

impl StatusLine {
    /// The one at the front of `bytes`; its reason need not have come. `None` when more must come. Blanks may be more than
    /// one, and after the status there may be none: browsers and curl take both.
    fn at(bytes: &[u8]) -> Result<Option<Self>, NotHttp> {
        let within = bytes.get(..STATUS_WITHIN).unwrap_or(bytes);
        let line = within.iter().position(|byte| *byte == b'\n');
        if let Some(found) = Self::parse(line.and_then(|end| within.get(..=end)).unwrap_or(within)) {
            return Ok(Some(found));
        }
        let same = bytes.len().min(BEGINNING.len());
        let may_begin = begins(bytes, same);
        let decided = line.is_some()
            || bytes.len() >= STATUS_WITHIN
            || !may_begin && same == BEGINNING.len() && is_binary(bytes);
        if decided { Err(no_status_line(bytes)) } else { Ok(None) }
    }

    fn parse(line: &[u8]) -> Option<Self> {
        if !begins(line, BEGINNING.len()) {
            return None;
        }
        let rest = line.get(BEGINNING.len()..)?;
        let is_of_a_version = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
        let (version, rest) = rest.split_at(rest.iter().position(|byte| !is_of_a_version(byte))?);
        let blanks = rest.iter().position(|byte| !matches!(byte, b' ' | b'\t'))?;
        if version.is_empty() || blanks == 0 {
            return None;
        }
        // What follows the digits must have come, or they may be more.
        let [a, b, c, next] = *rest.get(blanks..)?.first_chunk()?;
        let digits = [a, b, c];
        if !digits.iter().all(u8::is_ascii_digit) || next.is_ascii_digit() || a == b'0' {
            return None;
        }
        let status = digits.iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0'));
        Some(Self { status, keeps: version == b"1.1" })
    }

    fn head(&self, head: &[u8], method: &str) -> Head {
        let Self { status, keeps } = *self;
        let mut says = Says { length: Ok(None), encoded: None, keeps, doubtful: false };
        let status_line = head.iter().position(|byte| *byte == b'\n').unwrap_or(head.len());
        for line in Lines(head.get(status_line + 1..).unwrap_or_default()) {
            says.take_in(line);
        }
        let bodiless = method == "HEAD" || status < 200 || status == 204 || status == 304;
        let framing = match (says.encoded, says.length) {
            _ if bodiless => Ok(Framing::Length(0)),
            (Some(Encoding::Chunked), _) => Ok(Framing::Chunked(Chunked::START)),
            (Some(Encoding::Other), _) | (None, Ok(None)) => Ok(Framing::UntilClose),
            (None, Ok(Some(length))) => Ok(Framing::Length(length)),
            (None, Err(problem)) => Err(problem),
        };
        // A length beside chunks is how answers are smuggled (RFC 9112, 6.3).
        let two_ends = says.encoded.is_some() && says.length != Ok(None);
        let is_told = !matches!(framing, Ok(Framing::UntilClose) | Err(_)) && !two_ends && !says.doubtful;
        Head { status, framing, keeps: says.keeps && is_told && status != 101, length: 0 }
    }
}

/// Whether `bytes` begin with as many bytes of `HTTP/`, in letters of any case.
fn begins(bytes: &[u8], as_many: usize) -> bool {
    match (bytes.get(..as_many), BEGINNING.get(..as_many)) {
        (Some(one), Some(other)) => one.eq_ignore_ascii_case(other),
        (None, _) | (_, None) => false,
    }
}

/// Whether the first bytes are none that a text begins with.
fn is_binary(bytes: &[u8]) -> bool {
    let first = bytes.iter().take(BEGINNING.len());
    first.into_iter().any(|byte| byte.is_ascii_control() && !byte.is_ascii_whitespace())
}

/// What `bytes` are in place of a status line. Says the same however they were cut on their way.
fn no_status_line(bytes: &[u8]) -> NotHttp {
    let within = bytes.get(..STATUS_WITHIN).unwrap_or(bytes);
    let line = within.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let shown = || quoted(&String::from_utf8_lossy(line), SHOWN);
    NotHttp(match line {
        // A record of TLS: a handshake message or an alert.
        [0x15 | 0x16, 3, ..] => "it speaks TLS; write kind = \"https\"".to_owned(),
        // A frame of HTTP/2: SETTINGS, or GOAWAY.
        [0, 0, _, 4 | 7, ..] => "it speaks HTTP/2 only, pointsman probes with HTTP/1.1".to_owned(),
        _ if line.len() >= BEGINNING.len() && is_binary(line) => {
            let first = line.iter().take(BEGINNING.len()).map(|byte| format!(" {byte:02x}"));
            format!("it begins with the bytes{}", first.collect::<String>())
        }
        _ if begins(line, BEGINNING.len()) => format!("its status line is \"{}\"", shown()),
        _ => format!("it begins with \"{}\"", shown()),
    })
}

/// The lines of a head without their ends. One that begins with a blank goes on with the one before it.
struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let mut end = 0;
        loop {
            end += self.0.get(end..)?.iter().position(|byte| *byte == b'\n')?;
            if !matches!(self.0.get(end + 1), Some(b' ' | b'\t')) {
                break;
            }
            end += 1;
        }
        let (line, rest) = self.0.split_at_checked(end)?;
        self.0 = rest.get(1..).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        Some(line).filter(|line| !line.is_empty())
    }
}

#[derive(Clone, Copy, Debug)]
struct Says {
    length: Result<Option<u64>, &'static str>,
    encoded: Option<Encoding>,
    keeps: bool,
    /// Somebody else may read the headers in another way.
    doubtful: bool,
}

#[derive(Clone, Copy, Debug)]
enum Encoding {
    Chunked,
    Other,
}

impl Says {
    fn take_in(&mut self, line: &[u8]) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            self.doubtful = true;
            return;
        };
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default();
        self.doubtful |= !is_token(name) || line.contains(&b'\n');
        let name = name.trim_ascii_end();
        if name.eq_ignore_ascii_case(b"content-length") {
            self.take_in_length(value);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            let last = value.rsplit(|b| *b == b',').next().unwrap_or_default().trim_ascii();
            let chunked = last.eq_ignore_ascii_case(b"chunked");
            self.encoded = Some(if chunked { Encoding::Chunked } else { Encoding::Other });
        } else if name.eq_ignore_ascii_case(b"connection") {
            let mut options = value.split(|b| *b == b',').map(<[u8]>::trim_ascii);
            if options.any(|option| option.eq_ignore_ascii_case(b"close")) {
                self.keeps = false;
            }
        }
    }

    fn take_in_length(&mut self, value: &[u8]) {
        let text = std::str::from_utf8(value).unwrap_or_default();
        // The same length said twice is tolerated (RFC 9110, 8.6).
        for item in text.split(',') {
            let digits = item.trim();
            let length: Option<u64> = digits.parse().ok().filter(|_| !digits.starts_with('+'));
            self.length = match (self.length, length) {
                (Ok(None), Some(length)) => Ok(Some(length)),
                (Ok(Some(before)), Some(length)) if before == length => Ok(Some(length)),
                (Ok(_) | Err(_), _) => Err("its Content-Length is not one number"),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    fn parse(bytes: &[u8], method: &str) -> Result<Option<Head>, NotHttp> {
        Reader::default().read(bytes, method)
    }

    fn head(text: &str) -> Head {
        parse(text.as_bytes(), "GET").unwrap().unwrap()
    }

    #[test]
    fn the_end_of_the_body_is_found_as_the_standard_says() {
        let chunked = || Framing::Chunked(Chunked::START);
        for (status, headers, framing) in [
            ("200 OK", "Content-Length: 5\r\n", Framing::Length(5)),
            ("200 OK", "content-length: 5, 5\r\nContent-Length: 5\r\n", Framing::Length(5)),
            ("200 OK", "", Framing::UntilClose),
            ("200 OK", "Transfer-Encoding: Chunked\r\n", chunked()),
            ("200 OK", "Transfer-Encoding: gzip, chunked\r\nContent-Length: 5\r\n", chunked()),
            ("200 OK", "Transfer-Encoding: gzip\r\n", Framing::UntilClose),
            ("204 No Content", "Content-Length: 5\r\n", Framing::Length(0)),
            ("304 Not Modified", "Content-Length: 5\r\n", Framing::Length(0)),
        ] {
            let found = head(&format!("HTTP/1.1 {status}\r\n{headers}\r\n"));
            assert_eq!(found.framing, Ok(framing), "{status} {headers}");
        }
        let to_head = parse(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HEAD").unwrap().unwrap();
        assert_eq!(to_head.framing, Ok(Framing::Length(0)));
    }

    #[test]
    fn a_length_that_is_not_one_number_is_told_and_no_reason_to_refuse_the_answer() {
        for headers in [
            "Content-Length: -1\r\n",
            "Content-Length: +1\r\n",
            "Content-Length: 1\r\n 2\r\n",
            "Content-Length:\r\n",
            "Content-Length: 1\r\nContent-Length: 2\r\nContent-Length: 2\r\n",
        ] {
            let found = head(&format!("HTTP/1.1 200 OK\r\n{headers}\r\n"));
            assert_eq!((found.status, found.keeps), (200, false), "{headers}");
            assert_eq!(found.framing, Err("its Content-Length is not one number"), "{headers}");
        }
    }

    #[test]
    fn interim_answers_are_passed_over() {
        let text = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(head(text).status, 404);
        assert_eq!(head(text).length, text.len());
        assert_eq!(parse(b"HTTP/1.1 100 Continue\r\n\r\n", "GET"), Ok(None));
        assert_eq!(head("HTTP/1.1 101 Switching Protocols\r\n\r\n").status, 101);
    }

    #[test]
    fn a_connection_is_kept_only_when_both_sides_can_tell_where_the_body_ends() {
        for (text, keeps) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\n\r\n", false),
            ("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", false),
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: x, Close\r\n\r\n", false),
            ("HTTP/1.1  200  OK\nContent-Length: 0\n\n", true),
            ("HTTP/2 200\r\nContent-Length: 0\r\n\r\n", false),
            ("HTTP/1.1 101 Switching Protocols\r\n\r\n", false),
            // Somebody else may read these in another way.
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", false),
            ("HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n", false),
            ("HTTP/1.1 200 OK\r\nContent-Length:\r\n 0\r\n\r\n", false),
            ("HTTP/1.1 200 OK\r\n x: y\r\nContent-Length: 0\r\n\r\n", false),
            ("HTTP/1.1 200 OK\r\nPHP Notice\r\nContent-Length: 0\r\n\r\n", false),
            ("HTTP/1.1 200 OK\r\nX[0]: a\r\nContent-Length: 0\r\n\r\n", false),
        ] {
            assert_eq!(head(text).keeps, keeps, "{text}");
        }
    }

    #[test]
    fn what_is_not_http_is_told_at_once() {
        for (bad, told) in [
            (&b"SSH-2.0-OpenSSH_9.2\r\n"[..], "it begins with \"SSH-2.0-OpenSSH_9.2\""),
            (b"HTTP/1.1 2x0 OK\r\n\r\n", "its status line is \"HTTP/1.1 2x0 OK\""),
            (b"HTTP/1.1 2000 OK\r\n", "its status line is \"HTTP/1.1 2000 OK\""),
            (b"HTTP/1.1 020 OK\r\n", "its status line is \"HTTP/1.1 020 OK\""),
            (b"HTTP/1.1\r\n", "its status line is \"HTTP/1.1\""),
            (b"HTTP/1.1200 OK\r\n", "its status line is \"HTTP/1.1200 OK\""),
            (b"\x15\x03\x01\0\x02", "it speaks TLS; write kind = \"https\""),
            (b"\0\0\x12\x04\0", "it speaks HTTP/2 only, pointsman probes with HTTP/1.1"),
            (b"\x05\0\0\x01\x02", "it begins with the bytes 05 00 00 01 02"),
        ] {
            assert_eq!(parse(bad, "GET"), Err(NotHttp(told.to_owned())));
        }
        assert_eq!(parse(&[b'x'; STATUS_WITHIN - 1], "GET"), Ok(None), "the line may end");
        assert!(parse(&[b'x'; STATUS_WITHIN], "GET").is_err());
    }

    #[test]
    fn the_status_is_known_before_the_head_is_whole() {
        for (text, status) in [
            ("HTTP/1.0 200 OK", Some(200)),
            ("HTTP/1.0 200\n", Some(200)),
            ("HTTP/1.0 200", None),
            ("HTTP/1.1 103 Early Hints\r\nLink: x", None),
            ("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 503 ", Some(503)),
        ] {
            let mut reader = Reader::default();
            assert_eq!(reader.read(text.as_bytes(), "GET"), Ok(None), "{text}");
            assert_eq!((reader.status(), reader.ended(text.as_bytes())), (status, Ok(())), "{text}");
        }
        assert!(Reader::default().ended(b"220 mail").is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            rng_seed: RngSeed::Fixed(13),
            ..ProptestConfig::default()
        })]

        #[test]
        fn a_head_reads_the_same_however_it_is_cut(
            bytes in prop::collection::vec(prop::sample::select(&b"HTTP/1. 2013\r\n\t:aContent-Length\0\x15\x03"[..]), 0..80),
            begins in any::<bool>(),
        ) {
            let wire = if begins { [b"HTTP/1.1 200 OK\r\n", &*bytes, b"\r\n\r\n"].concat() } else { bytes };
            let mut reader = Reader::default();
            let mut pieces = (0..=wire.len()).map(|end| reader.read(&wire[..end], "GET"));
            let first_told = pieces.find(|found| *found != Ok(None)).unwrap_or(Ok(None));
            prop_assert_eq!(first_told, parse(&wire, "GET"));
        }

        #[test]
        fn nothing_that_is_sent_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes, "GET");
            let _ = parse(&[b"HTTP/1.1 200 OK\r\n", &*bytes].concat(), "GET");
        }
    }
}

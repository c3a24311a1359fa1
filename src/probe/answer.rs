//! Reads the status line and headers of an HTTP answer, where they lie.
//!
//! Takes bytes, returns what a look needs of them or what is wrong; does no I/O and keeps nothing.

use std::borrow::Cow;

use super::framing::{Chunked, Framing};

/// How long an answer's head may be, in bytes, interim answers included.
pub(super) const MAX_HEAD: usize = 16 * 1024;

/// How many headers it may have.
const MAX_HEADERS: usize = 64;

/// What a look needs of an answer's status line and headers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// The status, 100 to 999.
    pub(super) status: u16,
    /// How its body ends.
    pub(super) framing: Framing,
    /// Whether the server keeps the connection open behind it.
    pub(super) keeps: bool,
    /// The head's own length, in bytes.
    pub(super) length: usize,
}

/// Reads the head of the final answer at the front of `bytes`, past interim ones such as 103. `None` when
/// more must come; an error tells what is wrong with it.
pub(super) fn parse(bytes: &[u8], method: &str) -> Result<Option<Head>, Cow<'static, str>> {
    let mut skipped = 0;
    loop {
        let rest = bytes.get(skipped..).unwrap_or_default();
        match parse_one(rest, method)? {
            // 101 is final: the server has left HTTP (RFC 9110, 15.2.2).
            Some(head) if (100..200).contains(&head.status) && head.status != 101 => skipped += head.length,
            Some(head) => return Ok(Some(Head { length: skipped + head.length, ..head })),
            None if bytes.len() >= MAX_HEAD => {
                return Err(format!("its head is longer than {MAX_HEAD} bytes").into());
            }
            None => return Ok(None),
        }
    }
}

fn parse_one(bytes: &[u8], method: &str) -> Result<Option<Head>, Cow<'static, str>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut answer = httparse::Response::new(&mut headers);
    let length = match answer.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(format!("it has more than {MAX_HEADERS} headers").into());
        }
        Err(error) => return Err(error.to_string().into()),
    };
    let status = answer.code.unwrap_or_default();
    let mut says = Says { keeps: answer.version == Some(1), ..Says::default() };
    for header in &*answer.headers {
        says.take_in(header.name, header.value)?;
    }
    let bodiless = method == "HEAD" || status < 200 || status == 204 || status == 304;
    let framing = match (says.encoded, says.length) {
        _ if bodiless => Framing::Length(0),
        (Some(Encoding::Chunked), _) => Framing::Chunked(Chunked::START),
        (None, Some(length)) => Framing::Length(length),
        (Some(Encoding::Other), _) | (None, None) => Framing::UntilClose,
    };
    let keeps = says.keeps && framing != Framing::UntilClose;
    Ok(Some(Head { status, framing, keeps, length }))
}

#[derive(Clone, Copy, Debug, Default)]
struct Says {
    length: Option<u64>,
    encoded: Option<Encoding>,
    keeps: bool,
}

#[derive(Clone, Copy, Debug)]
enum Encoding {
    Chunked,
    Other,
}

impl Says {
    fn take_in(&mut self, name: &str, value: &[u8]) -> Result<(), Cow<'static, str>> {
        if name.eq_ignore_ascii_case("content-length") {
            let text = std::str::from_utf8(value).unwrap_or_default();
            // The same length said twice is tolerated (RFC 9110, 8.6).
            for item in text.split(',') {
                let digits = item.trim();
                let length = digits.parse().ok().filter(|_| !digits.starts_with('+'));
                if length.is_none() || self.length.is_some_and(|before| Some(before) != length) {
                    return Err("its Content-Length is not one number".into());
                }
                self.length = length;
            }
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            let last = value.rsplit(|b| *b == b',').next().unwrap_or_default().trim_ascii();
            let chunked = last.eq_ignore_ascii_case(b"chunked");
            self.encoded = Some(if chunked { Encoding::Chunked } else { Encoding::Other });
        } else if name.eq_ignore_ascii_case("connection") {
            let mut options = value.split(|b| *b == b',').map(<[u8]>::trim_ascii);
            if options.any(|option| option.eq_ignore_ascii_case(b"close")) {
                self.keeps = false;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
            assert_eq!(found.framing, framing, "{status} {headers}");
        }
        let to_head = parse(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HEAD").unwrap().unwrap();
        assert_eq!(to_head.framing, Framing::Length(0));
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
        ] {
            assert_eq!(head(text).keeps, keeps, "{text}");
        }
    }

    #[test]
    fn what_is_not_http_is_told_at_once() {
        for bad in [
            "SSH-2.0-OpenSSH_9.2\r\n",
            "HTTP/1.1 2x0 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        ] {
            assert!(parse(bad.as_bytes(), "GET").is_err(), "{bad}");
        }
    }

    #[test]
    fn a_head_has_bounds() {
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(MAX_HEADERS + 1));
        assert!(parse(many.as_bytes(), "GET").is_err());
        let long = format!("HTTP/1.1 200 OK\r\nA: {}", "b".repeat(MAX_HEAD));
        assert!(parse(long.as_bytes(), "GET").is_err());
        assert_eq!(parse(&long.as_bytes()[..MAX_HEAD - 1], "GET"), Ok(None));
    }

    proptest! {
        #[test]
        fn nothing_that_is_sent_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes, "GET");
            let _ = parse(&[b"HTTP/1.1 200 OK\r\n", &*bytes].concat(), "GET");
        }
    }
}

//! JSON as a tree: objects one after the other, as kubectl reads a stream of them.

use std::rc::Rc;

use serde_json::Value as Json;

use super::tree::{Collection, Node, Refusal, Spot, Tree, Value, refusal};

/// A part of the text that holds no end of a line, with its place: a bracket, a comma, a colon, a text with its quotes, a word.
type Token<'t> = (Spot, &'t str);

/// The objects of a file, which lines `---` may divide.
///
/// # Errors
/// The first thing that is not JSON, or beyond a bound.
pub(super) fn documents(text: &str) -> Result<Vec<Rc<Node>>, Refusal> {
    let mut reader = Reader { rest: text, line: 1, column: 0, tree: Tree::default() };
    while let Some(token) = reader.next() {
        match token {
            (_, "{") => reader.value(token)?,
            (Spot { from: 0, .. }, "---") => {}
            other => return Err(unexpected(other)),
        }
    }
    Ok(reader.tree.finish())
}

struct Reader<'t> {
    rest: &'t str,
    line: usize,
    column: usize,
    tree: Tree,
}

impl<'t> Reader<'t> {
    fn value(&mut self, token: Token<'t>) -> Result<(), Refusal> {
        match token {
            (at, "{") => {
                self.tree.begin(at, Collection::Map)?;
                self.items(Collection::Map, "}")
            }
            (at, "[") => {
                self.tree.begin(at, Collection::List)?;
                self.items(Collection::List, "]")
            }
            other => self.scalar(other),
        }
    }

    /// What is in a collection, up to its end.
    fn items(&mut self, what: Collection, end: &str) -> Result<(), Refusal> {
        let mut token = self.more()?;
        let mut is_first = true;
        while token.1 != end {
            if !is_first {
                expect(token, ",")?;
                token = self.more()?;
            }
            is_first = false;
            if what == Collection::Map {
                if !token.1.starts_with('"') {
                    return Err(unexpected(token));
                }
                self.scalar(token)?;
                let colon = self.more()?;
                expect(colon, ":")?;
                token = self.more()?;
            }
            self.value(token)?;
            token = self.more()?;
        }
        self.tree.end(token.0).map(drop)
    }

    fn scalar(&mut self, (at, text): Token<'t>) -> Result<(), Refusal> {
        let value = match serde_json::from_str(text) {
            Ok(Json::String(text)) => Value::Scalar(text),
            Ok(Json::Bool(_) | Json::Number(_)) => Value::Scalar(text.to_owned()),
            Ok(Json::Null) => Value::Null,
            Ok(Json::Array(_) | Json::Object(_)) | Err(_) => return Err(unexpected((at, text))),
        };
        self.tree.add(at, value).map(drop)
    }

    /// The next token, where there has to be one.
    fn more(&mut self) -> Result<Token<'t>, Refusal> {
        self.next().ok_or_else(|| {
            let at = Spot { line: self.line, from: self.column, length: 1 };
            refusal(at, "not JSON: the file ends within an object".to_owned(), "add what is missing")
        })
    }

    fn next(&mut self) -> Option<Token<'t>> {
        self.skip_white();
        let first = self.rest.chars().next()?;
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
        let length = match first {
            '"' => text_length(self.rest),
            _ if is_word(first) => self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len()),
            _ => first.len_utf8(),
        };
        let (token, rest) = self.rest.split_at_checked(length)?;
        let at = Spot { line: self.line, from: self.column, length: token.chars().count() };
        self.rest = rest;
        self.column += at.length;
        Some((at, token))
    }

    fn skip_white(&mut self) {
        loop {
            let (length, ends_line) = match self.rest.as_bytes() {
                [b' ' | b'\t', ..] => (1, false),
                [b'\r', b'\n', ..] => (2, true),
                [b'\r' | b'\n', ..] => (1, true),
                _ => return,
            };
            self.rest = self.rest.get(length..).unwrap_or_default();
            self.column += 1;
            if ends_line {
                (self.line, self.column) = (self.line + 1, 0);
            }
        }
    }
}

/// How long the text is that begins here, in bytes, with its quotes; up to what can be in none, when it does not end.
fn text_length(rest: &str) -> usize {
    let mut is_escaped = true; // the quote that begins it
    for (place, c) in rest.char_indices() {
        match c {
            _ if c < ' ' => return place,
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return place + 1,
            _ => {}
        }
    }
    rest.len()
}

fn expect(token: Token<'_>, wanted: &str) -> Result<(), Refusal> {
    if token.1 == wanted { Ok(()) } else { Err(unexpected(token)) }
}

fn unexpected((at, token): Token<'_>) -> Refusal {
    let what =
        if token.starts_with('"') { "a text that is broken, or is none here" } else { "it is broken here" };
    refusal(at, format!("not JSON: {what}"), "mend it there, or just before")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(json: &str) -> Vec<String> {
        let documents = documents(json).unwrap_or_else(|refusal| panic!("{json}: {refusal:?}"));
        documents.iter().map(|document| document.get("a").unwrap().text().unwrap().to_owned()).collect()
    }

    #[test]
    fn objects_follow_each_other_with_or_without_a_line_between() {
        let four = "{\"a\":1}{\"a\":true}\r\n{ \"a\" : \"x\" }\n---\n\t{\"a\":-1.5e3}\n";
        assert_eq!(texts(four), ["1", "true", "x", "-1.5e3"]);
        assert!(documents("").unwrap().is_empty());
    }

    #[test]
    fn a_surrogate_pair_is_one_character_and_other_escapes_are_theirs() {
        assert_eq!(texts(r#"{"a":"\ud83d\ude80 \"\\\/\u00e9\n"}"#), ["🚀 \"\\/é\n"]);
        assert!(documents(r#"{"a":"\ud83d"}"#).is_err(), "half of one is none");
    }

    #[test]
    fn a_value_knows_where_it_stands() {
        let documents = documents("{}\r{\n  \"é\": [null, \"x y\"]}").unwrap();
        let (key, list) = documents[1].entry("é").unwrap();
        assert_eq!(key.at, Spot { line: 3, from: 2, length: 3 });
        let items: Vec<_> = list.items().map(|item| (item.text(), item.at.from, item.at.length)).collect();
        assert_eq!(items, [(None, 8, 4), (Some("x y"), 14, 5)]);
    }

    #[test]
    fn what_is_not_json_is_refused_where_it_is_and_nesting_without_end_is_not_followed() {
        for (json, line, from) in [
            ("{\"a\":1,}", 1, 7),
            ("{\"a\" 1}", 1, 5),
            ("{a: 1}", 1, 1),
            ("{\"a\":01}", 1, 5),
            ("{\"a\":\"x\ny\"}", 1, 5),
            ("{\"a\":[1 2]}", 1, 8),
            ("{\"a\":1}\n[]", 2, 0),
            ("{\"a\":1} ---", 1, 8),
            ("{\"a\":{", 1, 6),
            ("{\"a\":é}", 1, 5),
        ] {
            let at = documents(json).unwrap_err().at;
            assert_eq!((at.line, at.from), (line, from), "{json}");
        }
        for deep in ["{\"a\":", "[", "{\"a\":["] {
            assert!(documents(&format!("{{\"a\":{}", deep.repeat(200_000))).is_err());
        }
        let twice = documents("{\"a\":1,\"a\":2}").unwrap_err();
        assert_eq!((twice.at.from, twice.message.as_str()), (7, "a key that this map has already"));
    }
}

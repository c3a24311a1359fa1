//! The parser of `up_when`: names of checks with `&&`, `||`, `!` and brackets.

use std::ops::Range;

use serde_json::Value;
use toml::Spanned;
use toml::de::DeValue;

use super::value::{FromToml, Wrong, text, text_schema};
use crate::model::{CheckName, Expression};

/// How deep brackets and `!` may nest, also those that it is printed with; far more than anybody can read, far less than
/// a stack holds.
const DEPTH_MAX: usize = 32;

/// How long one may be, in bytes: a hundred names.
const LENGTH_MAX: usize = 4_096;

/// What is wrong with an expression, and where in it, in bytes.
#[derive(Debug, PartialEq, Eq)]
struct Mistake {
    at: Range<usize>,
    what: String,
    hint: String,
}

impl FromToml for Expression {
    fn from_toml(value: &Spanned<DeValue<'_>>, wrong: &mut Vec<Wrong>) -> Option<Self> {
        let written = match text(value, "\"eip && elb && web\"") {
            Ok(written) => written,
            Err(mistake) => {
                wrong.push(mistake);
                return None;
            }
        };
        match parse(written) {
            Ok(expression) => Some(expression),
            Err(Mistake { at, what, hint }) => {
                let column = written.get(..at.start).unwrap_or(written).chars().count() + 1;
                let what = format!("{what} at column {column}");
                // A plain string is its text between two quotes; where it has escapes, the whole is marked.
                let plain = value.span().len() == written.len() + 2;
                let first = value.span().start + 1;
                let span = plain.then(|| first + at.start..first + at.end);
                wrong.push(Wrong { span, what, hint });
                None
            }
        }
    }

    fn schema() -> Value {
        text_schema(None)
    }
}

fn parse(text: &str) -> Result<Expression, Mistake> {
    if text.len() > LENGTH_MAX {
        let (what, hint) =
            (format!("is longer than {LENGTH_MAX} characters"), "name fewer checks".to_owned());
        return Err(Mistake { at: 0..text.len(), what, hint });
    }
    let mut parser = Parser { text, at: 0, depth: 0 };
    let expression = parser.any()?;
    match parser.peek() {
        None if depth(&expression) > DEPTH_MAX => {
            let (what, hint) = ("nests too deeply".to_owned(), "write it with fewer brackets".to_owned());
            Err(Mistake { at: 0..text.len(), what, hint })
        }
        None => Ok(expression),
        Some(')') => Err(parser.mistake("closes a bracket that was not opened", "remove it")),
        Some(_) => Err(parser.unconnected()),
    }
}

/// How deep it nests when it is printed: `&&` within `||` stands in brackets there.
fn depth(expression: &Expression) -> usize {
    match expression {
        Expression::Check(_) => 1,
        Expression::Not(inner) => 1 + depth(inner),
        Expression::All(parts) | Expression::Any(parts) => 1 + parts.iter().map(depth).max().unwrap_or(0),
    }
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    /// `all || all || …`
    fn any(&mut self) -> Result<Expression, Mistake> {
        let first = self.all()?;
        let mut parts = vec![first];
        while self.sign('|')? {
            parts.push(self.all()?);
        }
        Ok(single(parts, Expression::Any))
    }

    /// `one && one && …`
    fn all(&mut self) -> Result<Expression, Mistake> {
        let first = self.one()?;
        let mut parts = vec![first];
        while self.sign('&')? {
            parts.push(self.one()?);
        }
        Ok(single(parts, Expression::All))
    }

    /// A name, `!one` or `(any)`.
    fn one(&mut self) -> Result<Expression, Mistake> {
        if self.depth == DEPTH_MAX {
            return Err(self.mistake("nests too deeply", "write it with fewer brackets"));
        }
        self.depth += 1;
        let one = match self.peek() {
            Some('!') => {
                self.at += 1;
                Expression::Not(Box::new(self.one()?))
            }
            Some('(') => {
                let open = self.at;
                self.at += 1;
                let inner = self.any()?;
                if self.peek() != Some(')') {
                    let (what, hint) =
                        ("opens a bracket that is not closed".to_owned(), "add a )".to_owned());
                    return Err(Mistake { at: open..open + 1, what, hint });
                }
                self.at += 1;
                inner
            }
            Some(_) | None => Expression::Check(self.name()?),
        };
        self.depth -= 1;
        Ok(one)
    }

    fn name(&mut self) -> Result<CheckName, Mistake> {
        self.peek();
        let (word, hint) = (self.word(), "write names of checks with && || ! ( )");
        let length = word.len();
        if word.is_empty() {
            let what = match self.rest() {
                "" => "ends where a check's name should be",
                _ => "is not a check's name",
            };
            return Err(self.mistake(what, hint));
        }
        let name = CheckName::parse(word).map_err(|e| Mistake {
            at: self.at..self.at + length,
            what: e.problem,
            hint: hint.to_owned(),
        })?;
        self.at += length;
        Ok(name)
    }

    /// The mistake of two names with no sign between them.
    fn unconnected(&self) -> Mistake {
        let word = self.word();
        let hint = match word.to_ascii_lowercase().as_str() {
            "and" => "write && in place of the word",
            "or" => "write || in place of the word",
            _ => "write \"eip && (elb || web)\"",
        };
        let end = self.at + word.len().max(self.rest().chars().next().map_or(0, char::len_utf8));
        Mistake { at: self.at..end, what: "needs && or || before it".to_owned(), hint: hint.to_owned() }
    }

    /// What could be a name here; perhaps nothing.
    fn word(&self) -> &str {
        let rest = self.rest();
        let other = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
        rest.get(..rest.find(other).unwrap_or(rest.len())).unwrap_or_default()
    }

    /// Whether the sign, doubled, comes next; it is taken.
    fn sign(&mut self, sign: char) -> Result<bool, Mistake> {
        if self.peek() != Some(sign) {
            return Ok(false);
        }
        if !self.rest().starts_with(&[sign, sign].iter().collect::<String>()) {
            return Err(self.mistake("is half a sign", format!("write {sign}{sign}")));
        }
        self.at += 2;
        Ok(true)
    }

    /// The next character that is not a space; where it stands is where the parser stands.
    fn peek(&mut self) -> Option<char> {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
        self.rest().chars().next()
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// What stands here is wrong.
    fn mistake(&self, what: &str, hint: impl Into<String>) -> Mistake {
        let length = self.rest().chars().next().map_or(0, char::len_utf8);
        Mistake { at: self.at..self.at + length, what: what.to_owned(), hint: hint.into() }
    }
}

fn single(mut parts: Vec<Expression>, many: fn(Vec<Expression>) -> Expression) -> Expression {
    match (parts.len(), parts.pop()) {
        (1, Some(one)) => one,
        (_, last) => {
            parts.extend(last);
            many(parts)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn and_binds_closer_than_or_and_brackets_closest() {
        for (written, printed) in [
            ("web", "web"),
            ("  eip&&elb  && web", "eip && elb && web"),
            ("a && b || c", "(a && b) || c"),
            ("a && (b || !c)", "a && (b || !c)"),
            ("!(a || b)", "!(a || b)"),
            ("!!a", "!!a"),
            ("!!(a || !!b)", "!!(a || !!b)"),
        ] {
            assert_eq!(parse(written).unwrap().to_string(), printed, "{written}");
        }
    }

    #[test]
    fn a_mistake_is_named_where_it_stands() {
        for (written, at, what) in [
            ("", 0..0, "ends where a check's name should be"),
            ("a &&", 4..4, "ends where a check's name should be"),
            ("a & b", 2..3, "is half a sign"),
            ("a b", 2..3, "needs && or || before it"),
            ("(a", 0..1, "opens a bracket that is not closed"),
            ("a)", 1..2, "closes a bracket that was not opened"),
            ("a && ü", 5..7, "is not a check's name"),
            ("-a", 0..2, "does not start with a letter or a digit"),
        ] {
            let mistake = parse(written).unwrap_err();
            assert_eq!((mistake.at, mistake.what.as_str()), (at, what), "{written}");
        }
    }

    #[test]
    fn what_is_printed_can_be_read_again_however_deep_it_is() {
        for levels in 1..40 {
            for (open, close) in [("!", ""), ("(", ")"), ("a && b || c && (", ")"), ("!(a || b && ", ")")] {
                let written = format!("{}a{}", open.repeat(levels), close.repeat(levels));
                let Ok(expression) = parse(&written) else { continue };
                assert_eq!(parse(&expression.to_string()), Ok(expression), "{written}");
            }
        }
    }

    #[test]
    fn nesting_without_end_is_refused_and_not_followed() {
        assert_eq!(parse(&"(".repeat(4_000)).unwrap_err().what, "nests too deeply");
        assert_eq!(parse(&"!".repeat(4_000)).unwrap_err().what, "nests too deeply");
        assert_eq!(parse(&"a||".repeat(100_000)).unwrap_err().what, "is longer than 4096 characters");
    }
}

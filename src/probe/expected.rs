//! What a body must contain, and whether a part of the body is enough to tell.

use regex::bytes::Regex;

use super::LookerError;
use crate::model::HttpCheck;

/// As many bytes behind a match settle it whatever comes after them: an expression sees one character ahead.
const CHARACTER: usize = 4;

/// What a body must contain, all of it. Nothing when no body is expected.
#[derive(Debug)]
pub(super) struct Expected {
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    expression: Regex,
    /// It may be about what follows the match: the end of the body, of a line, of a word.
    sees_ahead: bool,
}

impl Expected {
    /// What the check expects.
    pub(super) fn new(check: &HttpCheck) -> Result<Self, LookerError> {
        let mut parts = Vec::new();
        if let Some(expression) = &check.expect_body_regex {
            parts.push(Part { expression: expression.clone(), sees_ahead: sees_ahead(expression.as_str()) });
        }
        if let Some(text) = &check.expect_body {
            let expression =
                Regex::new(&regex::escape(text)).map_err(|source| LookerError::ExpectBody { source })?;
            parts.push(Part { expression, sees_ahead: false });
        }
        Ok(Self { parts })
    }

    /// Whether no body is expected, so that it is no evidence.
    pub(super) fn is_nothing(&self) -> bool {
        self.parts.is_empty()
    }

    /// Whether all of it is in `body`, whatever may come after it.
    pub(super) fn is_in(&self, body: &[u8]) -> bool {
        self.parts.iter().all(|part| match part.expression.find(body) {
            Some(found) => !part.sees_ahead || found.end() + CHARACTER <= body.len(),
            None => false,
        })
    }

    /// Whether all of it is in `body`, and that is the whole one.
    pub(super) fn is_in_the_whole(&self, body: &[u8]) -> bool {
        self.parts.iter().all(|part| part.expression.is_match(body))
    }
}

/// Whether an expression may depend on what follows its match. Some that do not are taken for ones that do, which
/// costs a little waiting.
fn sees_ahead(expression: &str) -> bool {
    ["$", r"\b", r"\B", r"\z", r"\<", r"\>"].iter().any(|sign| expression.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_match_counts_at_once_unless_what_follows_could_undo_it() {
        for (expression, at_once, with_more) in [
            ("UP", true, true),
            ("^all .* UP", true, true),
            ("UP$", false, false),
            (r"UP\b", false, true),
            (r"UP\z", false, false),
            ("(?m)UP$", false, false),
            ("all$|is", false, true),
            ("DOWN", false, false),
        ] {
            let check =
                HttpCheck { expect_body_regex: Some(Regex::new(expression).unwrap()), ..HttpCheck::plain() };
            let expected = Expected::new(&check).unwrap();
            assert_eq!(expected.is_in(b"all is UP"), at_once, "{expression}");
            assert_eq!(expected.is_in(b"all is UP, so far"), with_more, "{expression}");
            assert_eq!(expected.is_in_the_whole(b"all is UP"), expression != "DOWN", "{expression}");
        }
    }

    #[test]
    fn both_text_and_expression_must_be_there() {
        let check = HttpCheck {
            expect_body: Some("a.b".to_owned()),
            expect_body_regex: Some(Regex::new("c").unwrap()),
            ..HttpCheck::plain()
        };
        let expected = Expected::new(&check).unwrap();
        assert!(expected.is_in(b"a.bc") && !expected.is_in(b"a.b") && !expected.is_in(b"axbc"));
        assert!(Expected::new(&HttpCheck::plain()).unwrap().is_nothing());
    }
}

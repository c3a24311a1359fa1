//! YAML as a tree. Built from the parser's events; what an alias stands for is shared and never copied, so that no file is larger in
//! memory than on disk by more than a factor.

use std::collections::BTreeMap;
use std::rc::Rc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span};

use super::tree::{Collection, Node, Refusal, Spot, Tree, Value, refusal};

/// Aliases save typing in files that people write; more of them were made by a program, or to do harm.
const ALIASES_MAX: usize = 1_000;

/// The key that takes over the entries of its value, where it is written without quotes and tag.
const MERGE: &str = "<<";

/// The documents of a file.
///
/// # Errors
/// The first thing that is not YAML, or beyond a bound.
pub(super) fn documents(text: &str) -> Result<Vec<Rc<Node>>, Refusal> {
    let mut reader = Reader::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let hint = "mend it there, or on the line before";
            refusal(spot(*error.marker(), None), format!("not YAML: {}", error.info()), hint)
        })?;
        reader.take(event, span)?;
    }
    Ok(reader.tree.finish())
}

#[derive(Default)]
struct Reader {
    tree: Tree,
    anchors: BTreeMap<usize, Rc<Node>>,
    /// The anchor of each collection whose end has not come; 0 for none.
    open: Vec<usize>,
    aliases: usize,
}

impl Reader {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Refusal> {
        let at = spot(span.start, Some(span.end));
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd => Ok(()),
            Event::DocumentStart(_) | Event::DocumentEnd => {
                self.anchors.clear();
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                let is_plain = style == ScalarStyle::Plain;
                if is_plain && tag.is_none() && text == MERGE {
                    self.tree.merges_next();
                }
                let is_null = is_plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                let value = if is_null { Value::Null } else { Value::Scalar(text.into_owned()) };
                let node = self.tree.add(at, value)?;
                self.anchored(anchor, node);
                Ok(())
            }
            Event::SequenceStart(anchor, _) => self.begin(at, anchor, Collection::List),
            Event::MappingStart(anchor, _) => self.begin(at, anchor, Collection::Map),
            Event::SequenceEnd | Event::MappingEnd => {
                let node = self.tree.end(at)?;
                let anchor = self.open.pop().unwrap_or_default();
                self.anchored(anchor, node);
                Ok(())
            }
            Event::Alias(anchor) => {
                self.aliases += 1;
                if self.aliases > ALIASES_MAX {
                    let message = format!("more than {ALIASES_MAX} aliases, which no manifest needs");
                    return Err(refusal(at, message, "write in full what they stand for"));
                }
                let Some(node) = self.anchors.get(&anchor).map(Rc::clone) else {
                    let message = "an alias of what it stands in".to_owned();
                    return Err(refusal(at, message, "write in full what it stands for"));
                };
                self.tree.put(node, at)
            }
        }
    }

    fn begin(&mut self, at: Spot, anchor: usize, what: Collection) -> Result<(), Refusal> {
        self.open.push(anchor);
        self.tree.begin(at, what)
    }

    fn anchored(&mut self, anchor: usize, node: Rc<Node>) {
        if anchor > 0 {
            self.anchors.insert(anchor, node);
        }
    }
}

fn spot(start: Marker, end: Option<Marker>) -> Spot {
    let on_line = end.filter(|end| end.line() == start.line());
    let length = on_line.map_or(1, |end| end.col().saturating_sub(start.col()).max(1));
    Spot { line: start.line().max(1), from: start.col(), length }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::tree::VALUES_MAX;

    fn refused(text: &str) -> String {
        documents(text).expect_err("it is beyond a bound").message
    }

    #[test]
    fn a_value_knows_where_it_stands() {
        let documents = documents("a: 1\n---\nb:\n  - \"x y\"\n  - ~\n").unwrap();
        assert_eq!(documents.len(), 2);
        let (key, list) = documents[1].entry("b").unwrap();
        assert_eq!(key.at, Spot { line: 3, from: 0, length: 1 });
        let items: Vec<_> = list.items().map(|item| (item.text(), item.at.line, item.at.from)).collect();
        assert_eq!(items, [(Some("x y"), 4, 4), (None, 5, 4)]);
    }

    #[test]
    fn an_alias_is_what_it_stands_for() {
        let documents = documents("a: &x {port: 80}\nb: *x\n").unwrap();
        assert_eq!(documents[0].get("b").unwrap().get("port").unwrap().text(), Some("80"));
        assert_eq!(refused("a: &x [*x]"), "an alias of what it stands in");
    }

    #[test]
    fn a_merge_key_takes_over_what_a_map_has_not_itself_and_of_several_the_first() {
        let text = "a: &a {x: 1, y: 1}\nb: &b {x: 2, z: 2, <<: *a}\nc: {y: 3, <<: [*b, *a, {w: 4, z: 4}]}\n\
                    d: {<<: *a, x: 5}\ne: {<<: *a}\nf: {g: <<, h: [<<]}\n";
        let documents = documents(text).unwrap();
        let entries = |key: &str| {
            let entries = documents[0].get(key).unwrap().entries();
            let entries = entries.map(|(key, value)| (key.text().unwrap(), value.text().unwrap_or("…")));
            entries.map(|(key, value)| format!("{key}{value}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            ["b", "c", "d", "e", "f"].map(entries),
            ["x2 z2 y1", "y3 x2 z2 w4", "x5 y1", "x1 y1", "g<< h…"]
        );
    }

    #[test]
    fn what_a_merge_key_cannot_take_over_is_refused_and_a_quoted_one_is_none() {
        for (text, what) in [("a: {<<: b}", "a text"), ("a: {<<: }", "nothing"), ("a: {<<: [[]]}", "a list")]
        {
            let says = format!("`<<` takes over a map or a list of maps, and this is {what}");
            assert_eq!(refused(text), says);
        }
        assert_eq!(refused("a: &x {<<: *x}"), "an alias of what it stands in");
        assert_eq!(refused("a: {<<: {}, <<: {}}"), "a key that this map has already");
        let quoted = documents("{\"<<\": x}").unwrap();
        assert_eq!(quoted[0].get("<<").unwrap().text(), Some("x"));
    }

    #[test]
    fn a_bomb_of_merge_keys_is_refused() {
        let keys = (0..1_000).map(|key| format!("k{key}: x")).collect::<Vec<_>>().join(", ");
        let maps = "- {<<: *a}\n".repeat(600);
        let says = "more than 500000 values, which no manifests have";
        assert_eq!(refused(&format!("- &a {{{keys}}}\n{maps}")), says);
        let same = vec!["*a"; 600].join(", ");
        assert_eq!(refused(&format!("- &a {{{keys}}}\n- <<: [{same}]\n")), says);
    }

    #[test]
    fn a_bomb_of_aliases_is_as_small_in_memory_as_on_disk() {
        // Each line stands for ten of the line before: 10^60 values if they were copied, and none that is.
        let bomb = |lines: usize| {
            let line = |line: usize| {
                format!("a{line}: &a{line} [{}]\n", vec![format!("*a{}", line - 1); 10].join(", "))
            };
            let lines: Vec<String> = (1..lines).map(line).collect();
            format!("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n{}", lines.concat())
        };
        assert_eq!(documents(&bomb(60)).unwrap()[0].entries().count(), 60);
        assert_eq!(refused(&bomb(70)), "nested more than 64 deep, which no manifest is");
        let many = format!("a: &a x\nb: [{}]\n", vec!["*a"; 1_001].join(", "));
        assert_eq!(refused(&many), "more than 1000 aliases, which no manifest needs");
    }

    #[test]
    fn nesting_and_length_without_end_are_refused_and_not_followed() {
        let deep = 200_000;
        for text in ["- ".repeat(deep), "[".repeat(deep), "{a: ".repeat(deep), "? ".repeat(deep)] {
            refused(&text);
        }
        assert_eq!(refused(&"- a\n".repeat(VALUES_MAX)), "more than 500000 values, which no manifests have");
    }

    #[test]
    fn a_key_that_is_there_twice_is_refused() {
        let refusal = documents("a: 1\nb: 2\na: 3\n").unwrap_err();
        assert_eq!((refusal.at.line, refusal.message.as_str()), (3, "a key that this map has already"));
    }
}

//! YAML as a tree whose every value knows where it stands.
//!
//! Built from the parser's events, within bounds: depth, values, aliases. What an alias stands for is shared and never
//! copied, so that no file is larger in memory than on disk by more than a factor.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span};

/// Manifests nest about ten deep; trees are walked and dropped by recursion.
const DEPTH_MAX: usize = 64;

/// What the longest file would have if a value took eight bytes; some 50 MB of memory.
const VALUES_MAX: usize = 500_000;

/// Aliases save typing in files that people write; more of them were made by a program, or to do harm.
const ALIASES_MAX: usize = 1_000;

/// Where something stands in its file: the line from 1, and in it the first character from 0 and how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) line: usize,
    pub(super) from: usize,
    pub(super) length: usize,
}

/// A value with its place.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) at: Spot,
    pub(super) value: Value,
    /// How deep it is nested in itself, at least 1.
    height: usize,
}

/// A value.
#[derive(Debug)]
pub(super) enum Value {
    /// A text, a number, a truth: as it is written.
    Scalar(String),
    /// Nothing: `~`, `null`, or no text at all.
    Null,
    /// In the order written.
    List(Vec<Rc<Node>>),
    /// In the order written; each key is there once.
    Map(Vec<(Rc<Node>, Rc<Node>)>),
}

/// Why a file is not YAML that is taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) at: Spot,
    pub(super) message: String,
    pub(super) hint: &'static str,
}

impl Node {
    /// The value of a key, when this is a map that has it.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|(_, value)| value)
    }

    /// The key and its value, when this is a map that has it.
    pub(super) fn entry(&self, key: &str) -> Option<(&Self, &Self)> {
        self.entries().find(|(found, _)| found.text() == Some(key))
    }

    /// Keys and values of a map; none of anything else.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&Self, &Self)> {
        let entries = if let Value::Map(entries) = &self.value { entries.as_slice() } else { &[] };
        entries.iter().map(|(key, value)| (&**key, &**value))
    }

    /// The items of a list; none of anything else.
    pub(super) fn items(&self) -> impl Iterator<Item = &Self> {
        let items = if let Value::List(items) = &self.value { items.as_slice() } else { &[] };
        items.iter().map(|item| &**item)
    }

    /// The text of a scalar.
    pub(super) fn text(&self) -> Option<&str> {
        if let Value::Scalar(text) = &self.value { Some(text) } else { None }
    }

    /// What it is, with its article.
    pub(super) fn what(&self) -> &'static str {
        match self.value {
            Value::Scalar(_) => "a text",
            Value::Null => "nothing",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }
}

/// The documents of a file.
///
/// # Errors
/// The first thing that is not YAML, or beyond a bound.
pub(super) fn documents(text: &str) -> Result<Vec<Rc<Node>>, Refusal> {
    let mut tree = Tree::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let hint = "mend it there, or on the line before";
            refusal(spot(*error.marker(), None), format!("not YAML: {}", error.info()), hint)
        })?;
        tree.take(event, span)?;
    }
    Ok(tree.documents)
}

/// A collection whose end has not come.
struct Open {
    at: Spot,
    anchor: usize,
    is_map: bool,
    items: Vec<Rc<Node>>,
    height: usize,
}

#[derive(Default)]
struct Tree {
    documents: Vec<Rc<Node>>,
    open: Vec<Open>,
    anchors: BTreeMap<usize, Rc<Node>>,
    values: usize,
    aliases: usize,
}

impl Tree {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Refusal> {
        let at = spot(span.start, Some(span.end));
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd => Ok(()),
            Event::DocumentStart(_) | Event::DocumentEnd => {
                self.anchors.clear();
                Ok(())
            }
            Event::Scalar(text, style, anchor, _) => {
                let is_null =
                    style == ScalarStyle::Plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                let value = if is_null { Value::Null } else { Value::Scalar(text.into_owned()) };
                self.add(Node { at, value, height: 1 }, anchor)
            }
            Event::SequenceStart(anchor, _) => self.begin(at, anchor, false),
            Event::MappingStart(anchor, _) => self.begin(at, anchor, true),
            Event::SequenceEnd | Event::MappingEnd => self.end(at),
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
                self.put(node, at)
            }
        }
    }

    fn begin(&mut self, at: Spot, anchor: usize, is_map: bool) -> Result<(), Refusal> {
        if self.open.len() >= DEPTH_MAX {
            return Err(too_deep(at));
        }
        self.open.push(Open { at, anchor, is_map, items: Vec::new(), height: 0 });
        Ok(())
    }

    fn end(&mut self, at: Spot) -> Result<(), Refusal> {
        let Some(open) = self.open.pop() else {
            return Err(refusal(at, "not YAML: an end without a beginning".to_owned(), "remove it"));
        };
        let value = if open.is_map { map(open.items)? } else { Value::List(open.items) };
        self.add(Node { at: open.at, value, height: open.height + 1 }, open.anchor)
    }

    fn add(&mut self, node: Node, anchor: usize) -> Result<(), Refusal> {
        let at = node.at;
        let node = Rc::new(node);
        if anchor > 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        self.put(node, at)
    }

    /// Puts a value where it belongs: into what is open, or under the documents.
    fn put(&mut self, node: Rc<Node>, at: Spot) -> Result<(), Refusal> {
        self.values += 1;
        if self.values > VALUES_MAX {
            let message = format!("more than {VALUES_MAX} values, which no manifests have");
            return Err(refusal(at, message, "import fewer of them at a time"));
        }
        if self.open.len() + node.height > DEPTH_MAX {
            return Err(too_deep(at));
        }
        match self.open.last_mut() {
            Some(open) => {
                open.height = open.height.max(node.height);
                open.items.push(node);
            }
            None => self.documents.push(node),
        }
        Ok(())
    }
}

/// A map of keys and values in turn.
fn map(items: Vec<Rc<Node>>) -> Result<Value, Refusal> {
    let mut entries = Vec::with_capacity(items.len() / 2);
    let mut items = items.into_iter();
    let mut known = BTreeSet::new();
    while let (Some(key), Some(value)) = (items.next(), items.next()) {
        if let Some(text) = key.text()
            && !known.insert(text.to_owned())
        {
            let message = "not YAML: a key that this map has already".to_owned();
            return Err(refusal(key.at, message, "keep one of the two"));
        }
        entries.push((key, value));
    }
    Ok(Value::Map(entries))
}

fn too_deep(at: Spot) -> Refusal {
    refusal(at, format!("nested more than {DEPTH_MAX} deep, which no manifest is"), "remove it")
}

fn refusal(at: Spot, message: String, hint: &'static str) -> Refusal {
    Refusal { at, message, hint }
}

fn spot(start: Marker, end: Option<Marker>) -> Spot {
    let on_line = end.filter(|end| end.line() == start.line());
    let length = on_line.map_or(1, |end| end.col().saturating_sub(start.col()).max(1));
    Spot { line: start.line().max(1), from: start.col(), length }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(
            (refusal.at.line, refusal.message.as_str()),
            (3, "not YAML: a key that this map has already")
        );
    }
}

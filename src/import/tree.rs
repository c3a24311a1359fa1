//! What a file says, as a tree whose every value knows where it stands. Built in the order of the text, within bounds: depth and
//! values.

use std::collections::BTreeSet;
use std::rc::Rc;

/// Manifests nest about ten deep; trees are walked and dropped by recursion.
const DEPTH_MAX: usize = 64;

/// What the longest file would have if a value took eight bytes; some 50 MB of memory.
pub(super) const VALUES_MAX: usize = 500_000;

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
    Map(Entries),
}

/// Why a file is not taken.
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

/// A list or a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Collection {
    List,
    Map,
}

/// A tree of which more is to come.
#[derive(Default)]
pub(super) struct Tree {
    documents: Vec<Rc<Node>>,
    open: Vec<Open>,
    values: usize,
}

/// A collection whose end has not come.
struct Open {
    at: Spot,
    what: Collection,
    items: Vec<Rc<Node>>,
    /// Which item is a key that stands for the entries of its value.
    merge: Option<usize>,
    height: usize,
}

impl Tree {
    /// A scalar or nothing, where the text is.
    pub(super) fn add(&mut self, at: Spot, value: Value) -> Result<Rc<Node>, Refusal> {
        self.put_new(Node { at, value, height: 1 })
    }

    /// The values up to the end are this collection's; of a map keys and values in turn.
    pub(super) fn begin(&mut self, at: Spot, what: Collection) -> Result<(), Refusal> {
        if self.open.len() >= DEPTH_MAX {
            return Err(too_deep(at));
        }
        self.open.push(Open { at, what, items: Vec::new(), merge: None, height: 0 });
        Ok(())
    }

    /// The end of the collection that began last.
    pub(super) fn end(&mut self, at: Spot) -> Result<Rc<Node>, Refusal> {
        let Some(Open { at, what, items, merge, height }) = self.open.pop() else {
            return Err(refusal(at, "not YAML: an end without a beginning".to_owned(), "remove it"));
        };
        let value = match what {
            Collection::List => Value::List(items),
            Collection::Map => Value::Map(self.entries(items, merge)?),
        };
        self.put_new(Node { at, value, height: height + 1 })
    }

    fn put_new(&mut self, node: Node) -> Result<Rc<Node>, Refusal> {
        let (at, node) = (node.at, Rc::new(node));
        self.put(Rc::clone(&node), at)?;
        Ok(node)
    }

    /// Puts a value where it belongs: into what is open, or under the documents.
    pub(super) fn put(&mut self, node: Rc<Node>, at: Spot) -> Result<(), Refusal> {
        self.count(at)?;
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

    /// When a key comes next: it stands for the entries of its value, a map or a list of maps.
    pub(super) fn merges_next(&mut self) {
        if let Some(open) = self.open.last_mut()
            && open.what == Collection::Map
            && open.items.len().is_multiple_of(2)
        {
            open.merge = open.merge.or(Some(open.items.len()));
        }
    }

    /// The documents, when nothing is open any more.
    pub(super) fn finish(self) -> Vec<Rc<Node>> {
        self.documents
    }

    fn count(&mut self, at: Spot) -> Result<(), Refusal> {
        self.values += 1;
        if self.values > VALUES_MAX {
            let message = format!("more than {VALUES_MAX} values, which no manifests have");
            return Err(refusal(at, message, "import fewer of them at a time"));
        }
        Ok(())
    }

    /// The entries of a map of keys and values in turn. What it has itself comes before what it takes over, and of that
    /// the first.
    fn entries(&mut self, items: Vec<Rc<Node>>, merge: Option<usize>) -> Result<Entries, Refusal> {
        let mut entries = Vec::with_capacity(items.len() / 2);
        let mut known = BTreeSet::new();
        let mut merged = None;
        let mut items = (0..).zip(items);
        while let (Some((place, key)), Some((_, value))) = (items.next(), items.next()) {
            if let Some(text) = key.text()
                && !known.insert(text.to_owned())
            {
                let message = "a key that this map has already".to_owned();
                return Err(refusal(key.at, message, "keep one of the two"));
            }
            if merge == Some(place) {
                merged = Some(value);
            } else {
                entries.push((key, value));
            }
        }
        let Some(merged) = merged else { return Ok(entries) };
        let sources = match &merged.value {
            Value::List(sources) => sources.as_slice(),
            Value::Scalar(_) | Value::Null | Value::Map(_) => std::slice::from_ref(&merged),
        };
        for source in sources {
            let Value::Map(theirs) = &source.value else {
                let message =
                    format!("`<<` takes over a map or a list of maps, and this is {}", source.what());
                return Err(refusal(source.at, message, "name a map there: <<: *NAME"));
            };
            for (key, value) in theirs {
                // Each counts, or a few aliases of a large map would make a larger one.
                self.count(key.at)?;
                if key.text().is_some_and(|text| known.insert(text.to_owned())) {
                    entries.push((Rc::clone(key), Rc::clone(value)));
                }
            }
        }
        Ok(entries)
    }
}

type Entries = Vec<(Rc<Node>, Rc<Node>)>;

fn too_deep(at: Spot) -> Refusal {
    refusal(at, format!("nested more than {DEPTH_MAX} deep, which no manifest is"), "remove it")
}

pub(super) fn refusal(at: Spot, message: String, hint: &'static str) -> Refusal {
    Refusal { at, message, hint }
}

//! The configuration as a JSON Schema (2020-12), for editors.
//!
//! Keys, values and what is said of them come from their declarations in `raw`; only which table stands in which is
//! written here, and a test holds that against the parser. Takes every configuration that the parser takes, and refuses
//! unknown keys, wrong types, words and units; the rules between keys are the parser's alone. Start at [`schema`].

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::raw::{
    CheckKeys, CloudKeys, ConnectKeys, DaemonKeys, ElbKeys, EmbeddedKeys, HttpKeys, HuaweiZoneKeys,
    IDLE_ROOT_KEYS, IdleServiceKeys, Key, ProviderKeys, RegionKeys, Rfc2136Keys, RootKeys, SecondaryKeys,
    ServiceKeys, TimingKeys, TlsKeys, VantageKeys,
};
use super::value::NAME;

/// The schema of a configuration's files, the first and those that it includes.
#[must_use]
pub fn schema() -> Value {
    let root = Shape::of([RootKeys::all()])
        .with("daemon", "The process itself.", Shape::of([DaemonKeys::all()]).value())
        .with("vantage", "Is it them or us?", Shape::of([VantageKeys::all()]).value())
        .with("cloud", "Accounts of Huawei Cloud, by name.", named(Shape::of([CloudKeys::all()])))
        .with("dns", "Where record sets live, by name.", named(provider()))
        .with("defaults", "What holds where nothing more specific says otherwise.", timing().value())
        .with("service", "What is kept alive.", list(service()))
        .idle(&IDLE_ROOT_KEYS);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "pointsman configuration",
        "type": "object",
        "properties": root.keys,
        "additionalProperties": false,
    })
}

fn provider() -> Shape {
    Shape::of([ProviderKeys::all(), HuaweiZoneKeys::all(), Rfc2136Keys::all(), EmbeddedKeys::all()]).with(
        "secondaries",
        "Who may copy an embedded zone, and is told of every change; 8 at most.",
        list(Shape::of([SecondaryKeys::all()])),
    )
}

fn timing() -> Shape {
    Shape::of([TimingKeys::all()])
}

fn service() -> Shape {
    Shape::of([ServiceKeys::all(), IdleServiceKeys::all(), TimingKeys::all()])
        .with("check", "How to look at each region.", list(check()))
        .with("region", "The places that serve it.", list(region()))
}

fn region() -> Shape {
    Shape::of([RegionKeys::all(), TimingKeys::all()]).with(
        "check",
        "Checks of this region alone; one of the name of a service's check is laid over it.",
        list(check()),
    )
}

fn check() -> Shape {
    Shape::of([
        CheckKeys::all(),
        ConnectKeys::all(),
        HttpKeys::all(),
        TlsKeys::all(),
        ElbKeys::all(),
        TimingKeys::all(),
    ])
}

/// `[[key]]`.
fn list(item: Shape) -> Value {
    json!({ "type": "array", "items": item.value() })
}

/// `[key.NAME]`.
fn named(item: Shape) -> Value {
    json!({ "type": "object", "propertyNames": { "pattern": NAME }, "additionalProperties": item.value() })
}

/// The keys of one table.
#[derive(Default)]
struct Shape {
    keys: Map<String, Value>,
}

impl Shape {
    fn of(groups: impl IntoIterator<Item = Vec<Key>>) -> Self {
        let mut shape = Self::default();
        let mut inline: BTreeMap<&str, Self> = BTreeMap::new();
        for Key { name, doc, values } in groups.into_iter().flatten() {
            match name.split_once('.') {
                None => shape.insert(name, &doc, values),
                Some((outer, inner)) => inline.entry(outer).or_default().insert(inner, &doc, values),
            }
        }
        for (name, table) in inline {
            shape.keys.insert(name.to_owned(), table.value());
        }
        shape
    }

    fn insert(&mut self, name: &str, doc: &str, mut values: Value) {
        if let Value::Object(values) = &mut values {
            values.insert("description".to_owned(), json!(doc));
        }
        self.keys.insert(name.to_owned(), values);
    }

    fn with(mut self, name: &str, doc: &str, values: Value) -> Self {
        self.insert(name, doc, values);
        self
    }

    /// Keys that are taken and have no effect in this version.
    fn idle(mut self, keys: &[(&'static str, &str)]) -> Self {
        for (name, meaning) in keys {
            let doc = format!("Has no effect in this version: {meaning}.");
            self.keys.insert((*name).to_owned(), json!({ "description": doc, "deprecated": true }));
        }
        self
    }

    fn value(self) -> Value {
        json!({ "type": "object", "properties": self.keys, "additionalProperties": false })
    }
}

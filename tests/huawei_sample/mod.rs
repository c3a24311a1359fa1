//! The sample answers, as files and as a server that gives them.

pub(crate) mod metadata;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::huawei_server::{Received, Reply};

pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) sent: Value,
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) expect: serde_json::Map<String, Value>,
}

impl Sample {
    pub(crate) fn all() -> BTreeMap<String, Self> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/huawei/samples");
        let mut samples = BTreeMap::new();
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "json") {
                let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
                let sample = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
                samples.insert(name.clone(), Self::read(name, &sample));
            }
        }
        samples
    }

    fn read(name: String, sample: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let request = &sample["request"];
        let query = request["query"].as_array().unwrap();
        let body = &sample["body"];
        let body = if name == "eip-show_publicip-elb" {
            // The one call that shows a single address is not made: the same object is found by a list.
            json!({"publicips": [body["publicip"]]}).to_string()
        } else {
            body.as_str().map_or_else(|| body.to_string(), str::to_owned)
        };
        Self {
            method: text(&request["method"]),
            path: text(&request["path"]),
            query: query.iter().map(|pair| (text(&pair[0]), text(&pair[1]))).collect(),
            sent: request["body"].clone(),
            status: u16::try_from(sample["status"].as_u64().unwrap()).unwrap(),
            headers: sample["headers"]
                .as_object()
                .unwrap()
                .iter()
                .map(|(name, value)| (name.clone(), text(value)))
                .collect(),
            body: body.into_bytes(),
            expect: sample["expect"].as_object().unwrap().clone(),
            name,
        }
    }

    pub(crate) fn is(&self, prefix: &str) -> bool {
        self.name.starts_with(prefix)
    }

    pub(crate) fn reply(&self) -> Reply {
        Reply::Answer { status: self.status, headers: self.headers.clone(), body: self.body.clone() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The sample to every request; of two pages the second one to who asks with the first one's marker.
    pub(crate) fn script(
        &self,
        samples: &BTreeMap<String, Self>,
    ) -> impl Fn(&Received, usize) -> Reply + Send + Sync + use<> {
        let stem = self.name.strip_suffix("-page1").or(self.name.strip_suffix("-page2"));
        let pages = stem.map(|stem| {
            let first = &samples[&format!("{stem}-page1")];
            let marker = first.expect["next_marker"].as_str().unwrap().to_owned();
            (first.reply(), marker, samples[&format!("{stem}-page2")].reply())
        });
        let only = self.reply();
        move |request, _| match (&pages, request.query("marker")) {
            (None, _) => only.clone(),
            (Some((first, _, _)), None) => first.clone(),
            (Some((_, marker, second)), Some(asked)) if asked == marker => second.clone(),
            (Some(_), Some(_)) => {
                Reply::json(400, r#"{"error_code": "TEST.400", "error_msg": "no such marker"}"#)
            }
        }
    }

    /// The values of a key of the query.
    pub(crate) fn asked(&self, key: &str) -> Vec<String> {
        self.query.iter().filter(|(name, _)| name == key).map(|(_, value)| value.clone()).collect()
    }

    /// The part of the path after `word`.
    pub(crate) fn after(&self, word: &str) -> String {
        let mut parts = self.path.split('/').skip_while(|part| *part != word);
        parts.nth(1).unwrap_or_default().to_owned()
    }
}

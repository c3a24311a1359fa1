//! What is fuzzed: plain functions over bytes, each of which reads them as pointsman would and asserts what must hold
//! whatever they are. A panic is a finding. Two programs run them: `tests/fuzz/main.rs` and `fuzz/`.
//!
//! To add one, write such a function in a file here and add its row to [`ALL`]; `docs/fuzzing.md` says the rest.

mod admin;
mod backends;
mod certificate;
mod configuration;
mod dns_request;
mod eips;
mod errors;
mod expression;
mod http_answer;
mod keys;
mod loopback;
mod manifest;
mod memory;
mod metadata;
mod names;
mod projects;
mod record_sets;
mod script;
mod secret_file;
mod sentence;
mod signing;
mod update_answers;
mod value;
mod witness_answer;

/// A way for bytes to come in.
pub(crate) struct Target {
    /// Also of its corpus, `fuzz/corpus/NAME`, and of its program, `fuzz/fuzz_targets/NAME.rs`.
    pub(crate) name: &'static str,
    /// Reads them, and panics when something does not hold.
    pub(crate) run: fn(&[u8]),
    /// How many mutated inputs a bounded run makes, so that all targets together take some 20 s in a debug build.
    pub(crate) inputs: u32,
}

/// All of them.
pub(crate) const ALL: &[Target] = &[
    Target { name: "configuration", run: configuration::run, inputs: 300 },
    Target { name: "manifest", run: manifest::run, inputs: 1_500 },
    Target { name: "value", run: value::run, inputs: 2_000 },
    Target { name: "expression", run: expression::run, inputs: 1_500 },
    Target { name: "secret_file", run: secret_file::run, inputs: 2_000 },
    Target { name: "names", run: names::run, inputs: 20_000 },
    Target { name: "signing", run: signing::run, inputs: 4_000 },
    Target { name: "backends", run: backends::run, inputs: 300 },
    Target { name: "eips", run: eips::run, inputs: 500 },
    Target { name: "record_sets", run: record_sets::run, inputs: 400 },
    Target { name: "update_answers", run: update_answers::run, inputs: 8_000 },
    Target { name: "projects", run: projects::run, inputs: 800 },
    Target { name: "errors", run: errors::run, inputs: 1_000 },
    Target { name: "keys", run: keys::run, inputs: 3_000 },
    Target { name: "metadata", run: metadata::run, inputs: 3_000 },
    Target { name: "http_answer", run: http_answer::run, inputs: 1_200 },
    Target { name: "certificate", run: certificate::run, inputs: 600 },
    Target { name: "memory", run: memory::run, inputs: 8_000 },
    Target { name: "dns_request", run: dns_request::run, inputs: 2_000 },
    Target { name: "admin", run: admin::run, inputs: 1_600 },
    Target { name: "witness_answer", run: witness_answer::run, inputs: 20_000 },
];

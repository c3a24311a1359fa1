//! The schema that editors read follows the parser: what is good is good to both, what is built wrongly to neither, and
//! both know the same keys.

#![cfg(test)] // makes clippy take the helpers below for tests too

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use pointsman::config;
use regex::Regex;
use serde_json::{Value, json};

/// Good in every key by itself, and broken by a rule between keys, by what a key means, or by what is not there: the
/// parser's alone to find.
const BEYOND_A_SCHEMA: &str = "
    access-key-without-secret address-of-another-region address-of-many address-of-other-family
    address-twice check-missing check-name-taken check-without-kind check-without-name cloud-none
    cloud-not-named cloud-unknown cloud-without-region credentials-two-ways dns-key-of-another-kind
    dns-not-named dns-unknown dns-without-kind domain-missing domain-not-a-name domain-outside-zone
    duration-too-long elb-check-without-elb elb-of-another-region embedded-key-of-another-kind
    embedded-listen-of-another-zone embedded-listen-on-all-after-one embedded-listen-too-many
    embedded-listen-twice embedded-listen-within-another embedded-ns-not-whole embedded-ns-of-a-cname
    embedded-ns-too-many embedded-ns-twice embedded-without-listen embedded-without-ns embedded-zone-twice
    endpoint-unencrypted fall-window-too-small fallback-below-min-published fallback-of-other-family
    fallback-without-addresses fallback-without-effect fast-interval-above-interval
    flap-max-below-default-recover-after flap-max-below-recover-after headers-reserved headers-twice
    host-of-a-wildcard include-names-no-file key-of-another-kind line-beside-none line-kept-twice
    line-kept-twice-by-weight log-filter-wrong max-latency-above-timeout max-latency-as-long-as-timeout
    max-latency-of-the-cloud max-removed-zero method-head-with-body min-healthy-zero-share
    min-published-above-regions no-check-votes project-of-two-cloud-regions record-beside-cname record-cname-beside-another
    record-cname-of-a-service record-cname-of-zone record-cname-to-address record-data-of-several
    record-data-wrong record-delegates-a-service record-of-a-service record-of-soa record-of-unknown-type
    record-of-zone-ns record-outside-zone record-set-kept-twice record-text-too-long
    record-text-without-quotes record-twice record-with-another-ttl reference-twice references-too-many
    regex-wrong region-check-of-another-kind region-missing region-name-taken region-without-elb-or-address
    region-without-name rfc2136-key-of-another-kind rfc2136-without-server rfc2136-without-tsig
    rfc2136-without-zone rise-window-too-long routing-of-embedded scheme-contradicts-kind
    secondaries-too-many secondary-key-of-another secondary-twice secondary-without-address
    secondary-without-tsig secret-without-access-key service-missing service-name-taken service-without-name
    source-of-other-family timeout-above-default-interval timeout-above-interval
    timeout-inherited-above-own-interval timeout-own-above-inherited-interval tls-certificate-without-key
    tls-key-without-certificate tls-without-tls token-without-keys tsig-name-not-a-name
    tsig-without-secret-file up-when-bracket up-when-ends-early up-when-half-sign up-when-unknown-check
    up-when-word witness-twice witnesses-too-many zone-missing zone-type-missing
    zone-written-twice-record-kept-twice
";

#[test]
fn every_good_configuration_fits_the_schema() {
    let schema = config::schema();
    let mut files = files("config");
    files.extend(self::files("tests/data/config/warned"));
    files.push("tests/data/config/interface.toml".into());
    assert!(files.len() > 9);
    for file in files {
        let mut wrong = faults(&schema, &read(&file).unwrap());
        // Examples wait for somebody to put ids in.
        wrong.retain(|wrong| !wrong.starts_with("\"ID-OF-THE-"));
        assert!(wrong.is_empty(), "{}: {wrong:#?}", file.display());
    }
}

#[test]
fn every_configuration_that_is_built_wrongly_is_refused() {
    let schema = config::schema();
    let mut beyond = BTreeSet::new();
    let mut refused = 0;
    for file in files("tests/data/config/broken") {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        match read(&file) {
            Some(value) if faults(&schema, &value).is_empty() => {
                beyond.insert(name);
            }
            Some(_) => refused += 1,
            None => assert!(name.starts_with("syntax-") || name == "secret-not-closed", "{name} is not TOML"),
        }
    }
    assert!(refused > 50, "only {refused} were refused");
    assert_eq!(beyond, BEYOND_A_SCHEMA.split_whitespace().map(str::to_owned).collect());
}

#[test]
fn the_schema_names_every_key_that_the_parser_knows_and_no_other() {
    let schema = config::schema();
    for (path, head) in [
        ("", ""),
        ("daemon", "[daemon]"),
        ("daemon.log", "[daemon.log]"),
        ("vantage", "[vantage]"),
        ("cloud.*", "[cloud.main]"),
        ("cloud.*.endpoints", "[cloud.main.endpoints]"),
        ("dns.*", "[dns.private]"),
        ("dns.*.tsig", "[dns.onprem]\nkind = 'rfc2136'\n[dns.onprem.tsig]"),
        ("dns.*.secondaries[]", "[dns.local]\nkind = 'embedded'\n[[dns.local.secondaries]]"),
        (
            "dns.*.secondaries[].tsig",
            "[dns.local]\nkind = 'embedded'\n[[dns.local.secondaries]]\n[dns.local.secondaries.tsig]",
        ),
        ("defaults", "[defaults]"),
        ("defaults.flap", "[defaults.flap]"),
        ("service[]", "[[service]]"),
        ("service[].flap", "[[service]]\n[service.flap]"),
        ("service[].write_budget", "[[service]]\n[service.write_budget]"),
        ("service[].check[]", "[[service]]\n[[service.check]]"),
        ("service[].check[].flap", "[[service]]\n[[service.check]]\n[service.check.flap]"),
        ("service[].check[].tls", "[[service]]\n[[service.check]]\n[service.check.tls]"),
        ("service[].region[]", "[[service]]\n[[service.region]]"),
        ("service[].region[].flap", "[[service]]\n[[service.region]]\n[service.region.flap]"),
        ("service[].region[].check[]", "[[service]]\n[[service.region]]\n[[service.region.check]]"),
    ] {
        assert_eq!(named_by(&schema, path), known_to_the_parser(head), "{path:?}");
    }
    let tables = tables(&schema);
    assert_eq!(tables, 23, "a table is new; add it above");
}

#[test]
fn every_key_is_explained() {
    fn look(schema: &Value, path: &str) {
        for (key, inner) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{key}");
            let leaf = inner.get("properties").is_none();
            let explained = inner["description"].as_str().is_some_and(|text| text.ends_with('.'));
            assert!(!leaf || explained, "{path} is not explained");
            look(inner, &path);
            look(&inner["items"], &path);
            look(&inner["additionalProperties"], &path);
        }
    }
    look(&config::schema(), "");
}

#[test]
fn the_command_prints_the_schema() {
    let output = Command::new(env!("CARGO_BIN_EXE_pointsman")).arg("schema").output().unwrap();
    assert!(output.status.success());
    assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap(), config::schema());
}

/// The keys of a table: what is told to somebody who writes one that nobody knows.
fn known_to_the_parser(head: &str) -> BTreeSet<String> {
    let source = format!("{head}\nqqqqqqqqqqqqqqq = 1\n");
    let problems = config::parse(&source, Path::new("c.toml")).unwrap_err().0;
    let unknown = problems.iter().find(|problem| problem.message.contains("qqqqqqqqqqqqqqq"));
    let hint =
        unknown.and_then(|problem| problem.hint.clone()).unwrap_or_else(|| panic!("{head}: {problems:?}"));
    let known = hint.strip_prefix("known here: ").unwrap_or_else(|| panic!("{hint}"));
    known.split(", ").map(str::to_owned).collect()
}

/// The keys that the schema names for the table at that path, without those that have no effect.
fn named_by(schema: &Value, path: &str) -> BTreeSet<String> {
    let mut at = schema;
    for step in path.split('.').filter(|step| !step.is_empty()) {
        at = match (step, step.strip_suffix("[]")) {
            ("*", _) => &at["additionalProperties"],
            (_, Some(list)) => &at["properties"][list]["items"],
            (table, None) => &at["properties"][table],
        };
    }
    assert_eq!(at["additionalProperties"], json!(false), "{path} takes any key");
    let keys = at["properties"].as_object().unwrap_or_else(|| panic!("{path} is not in the schema"));
    keys.iter().filter(|(_, key)| key["deprecated"] != true).map(|(name, _)| name.clone()).collect()
}

/// How many tables of named keys there are.
fn tables(schema: &Value) -> usize {
    let keys = schema["properties"].as_object();
    usize::from(keys.is_some())
        + keys.into_iter().flat_map(|keys| keys.values()).map(tables).sum::<usize>()
        + schema.get("items").map_or(0, tables)
        + schema.get("additionalProperties").map_or(0, tables)
}

fn files(folder: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    files
}

/// The file as JSON; none when it is no TOML.
fn read(file: &Path) -> Option<Value> {
    let table: toml::Table = std::fs::read_to_string(file).unwrap().parse().ok()?;
    Some(serde_json::to_value(table).unwrap())
}

/// Everything in which a value does not fit a schema; knows the words that ours has, and no other.
fn faults(schema: &Value, value: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    for (word, says) in schema.as_object().unwrap() {
        let fits = match word.as_str() {
            "$schema" | "title" | "description" | "examples" | "deprecated" => true,
            "type" => match says.as_str().unwrap() {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "boolean" => value.is_boolean(),
                "integer" => value.is_i64() || value.is_u64(),
                "number" => value.is_number(),
                other => panic!("the type {other}"),
            },
            "enum" => says.as_array().unwrap().contains(value),
            "minimum" => value.as_f64().is_none_or(|number| number >= says.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|number| number <= says.as_f64().unwrap()),
            "minLength" => {
                value.as_str().is_none_or(|text| text.chars().count() as u64 >= says.as_u64().unwrap())
            }
            "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= says.as_u64().unwrap()),
            "pattern" => {
                value.as_str().is_none_or(|text| Regex::new(says.as_str().unwrap()).unwrap().is_match(text))
            }
            "anyOf" => says.as_array().unwrap().iter().any(|one| self::faults(one, value).is_empty()),
            "items" => {
                faults
                    .extend(value.as_array().into_iter().flatten().flat_map(|item| self::faults(says, item)));
                true
            }
            "propertyNames" => {
                let keys = value.as_object().into_iter().flatten();
                keys.flat_map(|(key, _)| self::faults(says, &json!(key))).next().is_none()
            }
            "properties" => {
                for (key, inner) in value.as_object().into_iter().flatten() {
                    faults.extend(says.get(key).into_iter().flat_map(|says| self::faults(says, inner)));
                }
                true
            }
            "additionalProperties" => {
                let named = |key: &str| schema["properties"].get(key).is_some();
                for (key, inner) in value.as_object().into_iter().flatten().filter(|(key, _)| !named(key)) {
                    if *says == json!(false) {
                        faults.push(format!("there is no key {key}"));
                    } else {
                        faults.extend(self::faults(says, inner));
                    }
                }
                true
            }
            other => panic!("the word {other}"),
        };
        if !fits {
            faults.push(format!("{value} does not fit {word} = {says}"));
        }
    }
    faults
}

//! The examples that users start from are right.

#![cfg(test)] // makes clippy take the helpers below for tests too

use std::path::Path;
use std::time::Duration;

use pointsman::config::{self, Config, CredentialsFrom, LoadError, ProviderKind};
use pointsman::model::{CheckKind, PolicyKind, Scheme};
use serde_json::Value;

/// What stands in examples in place of ids that nobody else knows.
const PLACEHOLDERS: [&str; 4] =
    ["ID-OF-THE-FIRST-ELB", "ID-OF-THE-SECOND-ELB", "ID-OF-THE-MAIN-ELB", "ID-OF-THE-STANDBY-ELB"];

#[test]
fn an_id_that_nobody_has_put_in_is_refused_with_what_to_write() {
    for name in ["two-regions", "priority"] {
        let loaded = config::load(Path::new(&format!("config/{name}.toml")));
        let Err(LoadError::Problems(problems)) = loaded else { panic!("{name}: {loaded:?}") };
        assert_eq!(problems.0.len(), 2, "{problems}");
        let text = problems.to_string();
        assert_eq!(text.matches("is not the id of a load balancer").count(), 2, "{text}");
        assert_eq!(text.matches("write the id that the console shows").count(), 2, "{text}");
    }
}

#[test]
fn the_commented_example_is_good_without_a_warning() {
    let config = example("pointsman");
    let demo = &config.services[0];
    assert_eq!(demo.record.key.to_string(), "demo.localdev.me. A");
    assert_eq!(demo.regions.len(), 2);
    for region in &demo.regions {
        assert_eq!(region.up_when.to_string(), "eip && elb && web");
    }
    let paths: Vec<_> = demo
        .regions
        .iter()
        .map(|region| {
            let CheckKind::Http(http) = &region.checks[0].kind else { panic!("the first check is web") };
            (http.path.as_str(), region.recover_after)
        })
        .collect();
    assert_eq!(paths, [("/", Duration::from_secs(30)), ("/healthz", Duration::from_secs(60))]);
}

#[test]
fn two_regions_names_only_what_it_must() {
    let config = example("two-regions");
    let demo = &config.services[0];
    let elb = demo.regions[0].elb.as_ref().unwrap();
    assert_eq!(
        (elb.cloud.as_str(), elb.cloud_region.as_str(), elb.listener_port),
        ("main", "cn-north-4", 80)
    );
    assert_eq!(demo.regions[1].elb.as_ref().unwrap().cloud_region, "cn-east-3");
    assert!(matches!(config.clouds.values().next().unwrap().credentials, CredentialsFrom::Auto));
}

#[test]
fn priority_has_a_tier_for_each_region_and_looks_where_clients_go() {
    let config = example("priority");
    let shop = &config.services[0];
    assert_eq!(shop.policy, PolicyKind::Priority);
    assert_eq!(shop.regions.iter().map(|region| region.tier).collect::<Vec<_>>(), [1, 2]);
    for region in &shop.regions {
        let CheckKind::Http(web) = &region.checks[0].kind else { panic!("the first check is web") };
        assert_eq!((web.scheme, web.port, web.host.as_str()), (Scheme::Https, 443, "shop.example.com"));
    }
}

#[test]
fn on_prem_asks_the_cloud_for_nothing_but_its_record_set() {
    let config = example("on-prem");
    let intranet = &config.services[0];
    assert!(intranet.regions.iter().all(|region| region.elb.is_none() && region.addresses.len() == 1));
    assert_eq!(pointsman::probe::demand(&config.services).len(), 0);
    assert!(matches!(config.clouds.values().next().unwrap().credentials, CredentialsFrom::Auto));
}

#[test]
fn local_needs_neither_a_cloud_nor_another_name_server_nor_the_rights_of_root() {
    let config = example("local");
    assert!(config.clouds.is_empty() && config.daemon.state_dir.is_relative());
    let demo = &config.services[0];
    let provider = &config.providers[&demo.record.provider];
    let ProviderKind::Embedded(zone) = &provider.kind else { panic!("it is served here") };
    assert!(zone.listen.iter().all(|address| address.port() >= 1_024 && address.ip().is_loopback()));
    assert!(demo.record.create && demo.record.ttl.is_some());
    assert!(demo.regions.iter().all(|region| region.elb.is_none() && region.addresses.len() == 1));
}

#[test]
fn every_example_says_for_whom_it_is_and_which_three_lines_to_change() {
    for name in ["two-regions", "priority", "on-prem", "local"] {
        let text = std::fs::read_to_string(format!("config/{name}.toml")).unwrap();
        assert!(text.starts_with("# For a service ") && text.contains("hange three lines: "), "{name}");
        let numbered =
            |number: usize| text.lines().filter(|line| line.ends_with(&format!("# {number}"))).count();
        assert_eq!([1, 2, 3, 4].map(numbered), [1, 1, 1, 0], "{name}");
        assert!(text.contains(&format!("--config {name}.toml")), "{name}");
    }
}

#[test]
fn every_key_that_is_commented_out_in_the_example_is_known() {
    let Err(problems) = config::parse(&uncommented(), Path::new("all.toml")) else {
        panic!("the alternatives do not contradict each other")
    };
    for problem in &problems.0 {
        let known = !problem.message.contains("there is no key") && !problem.message.contains("not TOML");
        assert!(known, "{problem}");
    }
}

#[test]
fn every_key_that_is_known_is_in_the_example() {
    let all: toml::Table = uncommented().parse().unwrap();
    let example = serde_json::to_value(all).unwrap();
    let mut missing = Vec::new();
    lacks(&config::schema(), &[&example], "", &mut missing);
    // Shown once, in [defaults], and explained there.
    let timing = &config::schema()["properties"]["defaults"]["properties"];
    let inherited = |path: &str| path.rsplit('.').next().is_some_and(|key| timing.get(key).is_some());
    missing.retain(|path| path.starts_with(".defaults") || !inherited(path));
    // A check of a region has the keys of any check.
    missing.retain(|path| !path.starts_with(".service.region.check"));
    assert_eq!(missing, [""; 0]);
}

/// The keys of a schema that none of these values has.
fn lacks(schema: &Value, values: &[&Value], path: &str, missing: &mut Vec<String>) {
    for (key, inner) in schema["properties"].as_object().into_iter().flatten() {
        if inner["deprecated"] == true {
            continue;
        }
        let path = format!("{path}.{key}");
        let found: Vec<&Value> = values.iter().filter_map(|value| value.get(key)).collect();
        if found.is_empty() {
            missing.push(path);
            continue;
        }
        let items: Vec<&Value> = found.iter().filter_map(|value| value.as_array()).flatten().collect();
        let named: Vec<&Value> =
            found.iter().filter_map(|value| value.as_object()).flat_map(|table| table.values()).collect();
        lacks(inner, &found, &path, missing);
        lacks(&inner["items"], &items, &path, missing);
        lacks(&inner["additionalProperties"], &named, &path, missing);
    }
}

/// An example that is good without a warning.
/// The example with the ids of load balancers that somebody has put in.
fn example(name: &str) -> Config {
    let path = format!("config/{name}.toml");
    let mut text = std::fs::read_to_string(&path).unwrap();
    for (number, placeholder) in (1..).zip(PLACEHOLDERS) {
        text = text.replace(placeholder, &format!("3f1c5a60-0000-4000-8000-00000000000{number}"));
    }
    let loaded = config::parse(&text, Path::new(&path)).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(loaded.warnings, []);
    loaded.config
}

/// The commented example with all that is commented out in force.
fn uncommented() -> String {
    let source = std::fs::read_to_string("config/pointsman.toml").unwrap();
    source.lines().map(without_comment).collect::<Vec<_>>().join("\n")
}

/// The line with its key in force. Prose has no `=` after its first word.
fn without_comment(line: &str) -> &str {
    let Some(rest) = line.strip_prefix("# ") else { return line };
    let first = rest.split_whitespace().next().unwrap_or_default();
    let is_key = rest.contains(&format!("{first} = ")) || first.starts_with('[') || first.is_empty();
    if is_key || rest.starts_with("        client_cert_file") { rest } else { line }
}

//! The examples that users start from are right.

#![cfg(test)] // makes clippy take the helpers below for tests too

use std::path::Path;
use std::time::Duration;

use pointsman::config::{self, CredentialsFrom};
use pointsman::model::CheckKind;

#[test]
fn the_commented_example_is_good_without_a_warning() {
    let loaded = config::load(Path::new("config/pointsman.toml")).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(loaded.warnings, []);
    let demo = &loaded.config.services[0];
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
fn the_small_example_is_good_and_names_only_what_it_must() {
    let loaded = config::load(Path::new("config/two-regions.toml")).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(loaded.warnings, []);
    let demo = &loaded.config.services[0];
    let elb = demo.regions[0].elb.as_ref().unwrap();
    assert_eq!(
        (elb.cloud.as_str(), elb.cloud_region.as_str(), elb.listener_port),
        ("main", "cn-north-4", 80)
    );
    assert_eq!(demo.regions[1].elb.as_ref().unwrap().cloud_region, "cn-east-3");
    assert!(matches!(loaded.config.clouds.values().next().unwrap().credentials, CredentialsFrom::Auto));
}

#[test]
fn every_key_that_is_commented_out_in_the_example_is_known() {
    let source = std::fs::read_to_string("config/pointsman.toml").unwrap();
    let uncommented = source.lines().map(without_comment).collect::<Vec<_>>().join("\n");
    for key in ["max_latency", "security_token_file", "endpoints", "tls", "cloud_region", "fallback"] {
        assert!(uncommented.contains(&format!("\n{key} = ")), "{key} is not in the example");
    }
    let Err(problems) = config::parse(&uncommented, Path::new("all.toml")) else {
        panic!("the alternatives do not contradict each other")
    };
    for problem in &problems.0 {
        let known = !problem.message.contains("there is no key") && !problem.message.contains("not TOML");
        assert!(known, "{problem}");
    }
}

/// The line with its key in force. Prose has no `=` after its first word.
fn without_comment(line: &str) -> &str {
    let Some(rest) = line.strip_prefix("# ") else { return line };
    let first = rest.split_whitespace().next().unwrap_or_default();
    let is_key = rest.contains(&format!("{first} = ")) || first.starts_with("[[") || first.is_empty();
    if is_key || rest.starts_with("        client_cert_file") { rest } else { line }
}

//! One value of a key: durations, thresholds, shares, statuses, endpoints, addresses, hosts, expressions over bytes, …
//!
//! The input is `KEY = VALUE`, put where that key belongs in a configuration that is good without it.

use std::path::Path;

use pointsman::config;

/// What the keys that are not a service's own belong to, and the rest of that.
const SERVICE: &str = "domain = \"demo.localdev.me.\"";
const KEYS: &[(&str, Place)] = &[
    ("listen", Place::Daemon),
    ("resync", Place::Daemon),
    ("log", Place::Daemon),
    ("dry_run", Place::Daemon),
    ("endpoints", Place::Cloud),
    ("access_key", Place::Cloud),
    ("project_id", Place::Cloud),
    ("zone", Place::Dns),
    ("interval", Place::Service),
    ("timeout", Place::Service),
    ("fall", Place::Service),
    ("rise", Place::Service),
    ("recover_after", Place::Service),
    ("flap", Place::Service),
    ("ttl", Place::Service),
    ("policy", Place::Service),
    ("panic_threshold", Place::Service),
    ("max_removed", Place::Service),
    ("write_budget", Place::Service),
    ("min_published", Place::Service),
    ("labels", Place::Service),
    ("when_all_down", Place::Service),
    ("port", Place::Check),
    ("path", Place::Check),
    ("method", Place::Check),
    ("host", Place::Check),
    ("headers", Place::Check),
    ("expect_status", Place::Check),
    ("expect_body", Place::Check),
    ("expect_body_regex", Place::Check),
    ("max_body", Place::Check),
    ("user_agent", Place::Check),
    ("source", Place::Check),
    ("max_latency", Place::Check),
    ("address", Place::Region),
    ("tier", Place::Region),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Daemon,
    Cloud,
    Dns,
    Service,
    Check,
    Region,
}

pub(super) fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let key = text.split(['=', ' ', '.']).next().unwrap_or_default();
    let Some((_, place)) = KEYS.iter().find(|(known, _)| *known == key) else { return };
    let whole = with(text, *place);
    match config::parse(&whole, Path::new("pointsman.toml")) {
        Ok(loaded) => {
            let again = config::parse(&format!("{whole}\n# no more\n"), Path::new("pointsman.toml")).unwrap();
            assert_eq!(format!("{:?}", again.config), format!("{:?}", loaded.config));
        }
        Err(problems) => {
            for problem in &problems.0 {
                assert!(
                    !problem.message.is_empty() && problem.message.len() < 1_500,
                    "{}",
                    problem.message.len()
                );
                assert!(problem.hint.as_ref().is_none_or(|hint| hint.len() < 1_500), "a long hint");
                assert!(!problem.to_string().chars().any(|c| c.is_control() && c != '\n'), "{problem:?}");
            }
        }
    }
}

/// A good configuration with the line in that place.
fn with(line: &str, place: Place) -> String {
    let at = |here: Place| if here == place { line } else { "" };
    let has = |key: &str| line.trim_start().starts_with(key);
    let zone = if has("zone") { "" } else { "zone = \"localdev.me.\"" };
    let address = if has("address") { "" } else { "address = [\"198.51.100.10\"]" };
    format!(
        "[daemon]\n{}\n[cloud.main]\nregion = \"cn-north-4\"\n{}\n[dns.private]\nkind = \"huawei\"\n{zone}\n\
         zone_type = \"private\"\n{}\n[[service]]\nname = \"demo\"\n{SERVICE}\n{}\n[[service.check]]\nname = \"web\"\n\
         kind = \"http\"\n{}\n[[service.region]]\nname = \"region1\"\n{address}\n{}\n",
        at(Place::Daemon),
        at(Place::Cloud),
        at(Place::Dns),
        at(Place::Service),
        at(Place::Check),
        at(Place::Region),
    )
}

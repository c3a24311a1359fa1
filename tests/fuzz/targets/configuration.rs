//! A whole configuration, with the files that it includes.
//!
//! The first file is the text up to a line `# file: NAME`, which begins another one in the folder beside it. A secret that
//! stands in a configuration by mistake is in no message (SECRETS-STAY); a configuration that is refused is so for a
//! reason with a line (RELOAD-OR-KEEP); what is good in TOML of another hand is the same.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use pointsman::config::{self, Loaded, Problems, Provider, ProviderKind, Severity, TsigKey};
use pointsman::model::CheckKind;
use tempfile::TempDir;

const FILE: &str = "\n# file: ";
const YEAR: Duration = Duration::from_secs(366 * 86_400);
const SECRET: &str = "MARKEDsecretKEY";

pub(super) fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut files = text.split(FILE);
    let main = files.next().unwrap_or_default();
    let others: Vec<(&str, &str)> = files.filter_map(|file| file.split_once('\n')).collect();
    // Only files of the input are read: a folder of its own where there are some, else one that is not there.
    let folder = (!others.is_empty()).then(|| TempDir::new().unwrap());
    if main.contains("include") && ["/", "..", "\\"].iter().any(|outside| main.contains(outside)) {
        return;
    }
    if let Some(folder) = &folder {
        for (name, text) in others {
            if !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'.') {
                let _ = fs::write(folder.path().join(name), text);
            }
        }
    }
    let path = folder.as_ref().map_or(Path::new("nowhere"), TempDir::path).join("pointsman.toml");
    let read = config::parse(main, &path);
    match &read {
        Ok(loaded) => {
            assert_bounded(loaded);
            assert_same_in_other_words(main, &path, loaded);
        }
        Err(problems) => assert_told(problems, main),
    }
    assert_hides_a_secret(main, &path);
}

/// Each problem has its line, and a sentence.
fn assert_told(problems: &Problems, text: &str) {
    assert!(problems.0.iter().any(|problem| problem.severity == Severity::Error), "refused without a reason");
    let lines = text.lines().count().max(1);
    for problem in &problems.0 {
        let in_main = problem.file.ends_with("pointsman.toml");
        assert!(problem.line >= 1 && (!in_main || problem.line <= lines + 1), "{problem:?}");
        assert!(!problem.message.is_empty() && !problem.message.contains('\n'), "{problem:?}");
        let shown = problem.to_string();
        assert!(shown.len() < 4_000, "a problem of {} bytes: {shown:.500}", shown.len());
        assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
        assert!(shown.lines().count() <= 4, "{shown}");
    }
    assert!(problems.0.len() <= 20 * (lines + 10), "{} problems in {lines} lines", problems.0.len());
}

/// Nothing good is without bounds.
fn assert_bounded(loaded: &Loaded) {
    assert!(loaded.warnings.iter().all(|warning| warning.severity == Severity::Warning));
    let config = &loaded.config;
    assert!(!config.services.is_empty() && config.daemon.resync <= YEAR);
    for provider in config.providers.values() {
        assert_zone_bounded(provider);
    }
    for service in &config.services {
        if let ProviderKind::Embedded(zone) = &config.providers[&service.record.provider].kind {
            let key = &service.record.key;
            let kept = |record: &&config::StaticRecord| {
                record.name == key.name && record.data.record_type().to_string() == key.record_type.as_str()
            };
            assert!(service.record.create && !zone.records.iter().any(|record| kept(&record)), "{service:?}");
        }
        assert!(service.min_published >= 1 && service.max_removed >= 1, "{service:?}");
        assert!(service.write_budget.writes >= 1 && !service.regions.is_empty(), "{service:?}");
        for region in &service.regions {
            assert!(region.recover_after <= YEAR && !region.checks.is_empty(), "{region:?}");
            for check in &region.checks {
                assert!(!check.interval.is_zero() && check.interval <= YEAR, "{check:?}");
                assert!(!check.timeout.is_zero() && check.timeout <= check.interval, "{check:?}");
                assert!(!check.fast_interval.is_zero() && check.fast_interval <= check.interval, "{check:?}");
                assert!(check.fall.count() >= 1 && check.fall.window() <= 64 && check.rise.window() <= 64);
                if let CheckKind::Http(http) = &check.kind {
                    assert!(http.path.bytes().all(|b| b.is_ascii_graphic()), "{check:?}");
                    let lines = http.headers.iter().flat_map(|(name, value)| [name.as_str(), value.expose()]);
                    assert!(
                        !lines
                            .chain([http.user_agent.as_str(), http.host.as_str()])
                            .any(|line| line.contains(['\r', '\n']))
                    );
                }
            }
        }
    }
}

/// Addresses are there once, keys have a file, and the records of a zone can be served.
fn assert_zone_bounded(provider: &Provider) {
    let once = |list: &[std::net::SocketAddr]| {
        list.iter().collect::<BTreeSet<_>>().len() == list.len() && list.len() <= 8
    };
    let signs = |key: &TsigKey| !key.secret_file.as_os_str().is_empty();
    assert!(once(&provider.witnesses), "{provider:?}");
    match &provider.kind {
        ProviderKind::Huawei(_) => {}
        ProviderKind::Rfc2136(zone) => assert!(signs(&zone.tsig) && zone.server.port() > 0, "{zone:?}"),
        ProviderKind::Embedded(zone) => {
            assert!(!zone.listen.is_empty() && once(&zone.listen) && !zone.ns.is_empty(), "{zone:?}");
            assert!(zone.secondaries.iter().all(|secondary| signs(&secondary.tsig)), "{zone:?}");
            assert!(zone.records.len() <= 1_000, "{} records", zone.records.len());
            for (number, record) in zone.records.iter().enumerate() {
                assert!(record.name.is_within(&zone.zone), "{record:?}");
                let kind = record.data.record_type().to_string();
                assert!(kind != "SOA" && (kind != "NS" || record.name != zone.zone), "{record:?}");
                let others = zone.records.iter().take(number).filter(|other| other.name == record.name);
                for other in others {
                    let theirs = other.data.record_type().to_string();
                    assert!(kind != "CNAME" && theirs != "CNAME" && other.data != record.data, "{record:?}");
                }
            }
        }
    }
}

/// TOML has many ways to write one thing.
fn assert_same_in_other_words(text: &str, path: &Path, loaded: &Loaded) {
    // The order of headers is theirs as written; a table put into words again is sorted.
    if text.contains("headers") || text.contains("include") {
        return;
    }
    let table: toml::Table = toml::from_str(text).expect("TOML");
    let other = toml::to_string(&table).expect("a table has a text");
    let again = config::parse(&other, path).unwrap_or_else(|problems| panic!("{problems}\n{other}"));
    assert_eq!(format!("{:?}", again.config), format!("{:?}", loaded.config), "{other}");
}

/// A secret in a line of its own, at the end or above a section, is refused and shown nowhere.
fn assert_hides_a_secret(text: &str, path: &Path) {
    if text.contains("\"\"\"") || text.contains("'''") || text.contains("MARKED") {
        return; // there a line may be part of a value
    }
    let places: Vec<usize> = text.match_indices("\n[").map(|(at, _)| at + 1).chain([text.len()]).collect();
    let place = places[text.len() % places.len()];
    let (before, after) = text.split_at(place);
    for key in ["secret_key", "password", "\"security-token\"", "tsig.secret"] {
        let with = format!("{before}\n{key} = \"{SECRET}\" # {SECRET}\n{after}");
        match config::parse(&with, path) {
            Ok(loaded) => assert!(!format!("{:?}", loaded.config).contains(SECRET), "a secret was taken in"),
            Err(problems) => assert!(!problems.to_string().contains(SECRET), "{problems}"),
        }
    }
}

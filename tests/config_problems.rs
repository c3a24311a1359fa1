//! A configuration that is not right is refused with everything that is wrong with it: line, marker, hint.
//!
//! Each file in `data/config/broken` breaks one rule, each in `data/config/warned` deserves one warning;
//! what must be said of it stands at its end, after `#>`.

#![cfg(test)] // makes clippy take the helpers below for tests too

use std::fmt::Display;
use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use pointsman::config::{self, LoadError, Problems};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// What stands in files in place of secrets.
const MARKED: &str = "HUNTER2";

#[test]
fn each_broken_file_is_refused_with_the_line_a_marker_and_a_hint() {
    compare("broken", |source, file| match config::parse(source, file) {
        Ok(_) => "accepted".to_owned(),
        Err(problems) => problems.to_string(),
    });
}

#[test]
fn each_file_that_deserves_a_warning_is_taken_with_that_warning() {
    compare("warned", |source, file| match config::parse(source, file) {
        Ok(loaded) => lines(&loaded.warnings),
        Err(problems) => format!("refused\n{problems}"),
    });
}

#[test]
fn several_mistakes_are_reported_at_once_in_the_order_of_their_lines() {
    let source = "\
[daemon]
lisen = \"127.0.0.1:80\"
[cloud.main]
region = \"cn-north-4\"
[dns.private]
kind = \"huawei\"
zone = \"localdev.me.\"
zone_type = \"private\"
[[service]]
name = \"demo\"
ttl = 0
interval = 5s
domain = \"demo.example.com.\"
[[service.region]]
name = \"a\"
address = [\"192.0.2.1\"]
[[service.check]]
name = \"web\"
kind = \"htp\"
";
    let problems = refused(source);
    let places: Vec<_> = problems.0.iter().map(|problem| problem.line).collect();
    assert_eq!(places, [2, 11, 12, 13, 19], "{problems}");
}

#[test]
fn the_interface_s_example_is_good_without_what_comes_later() {
    let source = std::fs::read_to_string("tests/data/config/interface.toml").unwrap();
    let loaded = config::parse(&source, Path::new("interface.toml")).unwrap_or_else(|e| panic!("{e}"));
    let warnings: Vec<_> = loaded.warnings.iter().map(|w| w.message.as_str()).collect();
    assert_eq!(
        warnings,
        [
            "service \"demo\": its regions listen on different ports (region1 on 80, region2 on 801)",
            "notify has no effect in this version",
        ]
    );
}

#[test]
fn no_secret_of_a_configuration_is_shown() {
    let mut marked = 0;
    for (name, source, _) in files("broken") {
        if !source.contains(MARKED) {
            continue;
        }
        marked += 1;
        let problems = refused(&source);
        let shown = format!("{problems} {problems:?}");
        assert!(!shown.contains("HUNTER"), "{}: {shown}", name.display());
    }
    assert!(marked >= 4, "the files with a secret in them are gone");
}

#[test]
fn a_file_that_cannot_be_read_and_one_that_is_no_text_are_named() {
    let missing = config::load(Path::new("tests/data/config/none.toml")).unwrap_err();
    assert!(missing.to_string().starts_with("cannot read the configuration tests/data/config/none.toml"));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("latin1.toml");
    std::fs::write(&path, b"[daemon]\n# caf\xe9\n").unwrap();
    let error = config::load(&path).unwrap_err().to_string();
    assert!(
        error.ends_with("latin1.toml:2: the configuration is not UTF-8 text; save it as UTF-8"),
        "{error}"
    );
}

#[test]
fn a_secret_s_file_that_is_not_there_or_open_to_others_is_refused_before_anybody_needs_it() {
    let dir = tempfile::tempdir().unwrap();
    let (secret, token) = (dir.path().join("secret"), dir.path().join("token"));
    let keys = format!(
        "access_key = \"AK\"\nsecret_key_file = \"{}\"\nsecurity_token_file = \"{}\"\n[dns.private]",
        secret.display(),
        token.display()
    );
    let text = std::fs::read_to_string("config/pointsman.toml").unwrap().replace("[dns.private]", &keys);
    let path = dir.path().join("c.toml");
    std::fs::write(&path, &text).unwrap();
    let set = |file: &Path, mode| {
        std::fs::write(file, MARKED).unwrap();
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let refusals = || match config::load(&path) {
        Ok(_) => Vec::new(),
        Err(LoadError::Problems(problems)) => {
            let first_key = text.lines().position(|line| line.starts_with("secret_key_file")).unwrap() + 1;
            let told =
                problems.0.iter().map(|p| (p.line - first_key, p.message.clone(), p.hint.clone().unwrap()));
            told.collect::<Vec<_>>()
        }
        Err(error) => panic!("{error}"),
    };

    set(&token, 0o604);
    let told = refusals();
    assert_eq!(told.iter().map(|(line, ..)| *line).collect::<Vec<_>>(), [0, 1]);
    let missing = format!("secret_key_file: cannot read {}: No such file", secret.display());
    assert!(told[0].1.contains(&missing), "{}", told[0].1);
    let open = format!("security_token_file: {} is open to others (mode 0604, of user ", token.display());
    assert!(told[1].1.contains(&open), "{}", told[1].1);
    assert_eq!(told[1].2, format!("run: chmod 600 {}", token.display()));
    assert!(config::parse(&text, &path).is_ok(), "a text alone may be for another machine");

    // As a service manager hands them over: root's, for one group.
    set(&secret, 0o440);
    set(&token, 0o440);
    assert_eq!(refusals(), []);
    std::fs::remove_file(&secret).unwrap();
    File::create(&secret).unwrap().set_permissions(std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(refusals()[0].1.ends_with("is empty"), "{:?}", refusals());
}

#[test]
fn nesting_without_end_is_refused_and_not_followed() {
    let depth = 10_000;
    for source in [
        format!("a = {}", "[".repeat(depth)),
        format!("a = {}", "{ a = ".repeat(depth)),
        format!("{}a = 1", "a.".repeat(depth)),
        format!("[{}a]", "service.".repeat(depth)),
        format!("[[{}a]]", "a.".repeat(depth)),
    ] {
        refused(&source);
    }
}

#[test]
fn what_check_prints_ends_in_a_count() {
    let path = Path::new("config/pointsman.toml");
    let good = config::report(path, &config::load(path));
    assert_eq!(good, "config/pointsman.toml: good, 1 service, 2 regions, 6 checks\n");
    let path = Path::new("tests/data/config/broken/timeout-above-interval.toml");
    let bad = config::report(path, &config::load(path));
    assert!(bad.ends_with("broken/timeout-above-interval.toml: 1 problem\n"), "{bad}");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 256,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(13),
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_text_is_taken_or_refused_with_problems_inside_of_it(source in ".{0,200}") {
        holds(&source);
    }

    #[test]
    fn any_text_of_toml_s_signs_is_taken_or_refused(source in "[a-c\\[\\]{}=\"'\n.,#! 0-9\\\\]{0,80}") {
        holds(&source);
    }

    #[test]
    fn an_example_with_bytes_lost_or_put_in_is_taken_or_refused(
        which in 0_usize..3,
        cuts in prop::collection::vec((0_usize..4_000, 0_usize..40, "[a-z\\[\\]{}=\"'\n.,#é0-9 \\\\]{0,4}"), 1..5),
    ) {
        let examples = ["config/two-regions.toml", "config/pointsman.toml", "tests/data/config/interface.toml"];
        let mut text: Vec<char> = std::fs::read_to_string(examples[which]).unwrap().chars().collect();
        for (at, lost, put) in cuts {
            let at = at % (text.len() + 1);
            let end = (at + lost).min(text.len());
            text.splice(at..end, put.chars());
        }
        holds(&text.into_iter().collect::<String>());
    }
}

/// Whatever the text, what is said of it is within it, in order, and can be drawn.
fn holds(source: &str) {
    let problems = match config::parse(source, Path::new("any.toml")) {
        Ok(loaded) => {
            assert!(!loaded.config.services.is_empty());
            loaded.warnings
        }
        Err(Problems(problems)) => {
            assert!(problems.iter().any(|p| p.severity == config::Severity::Error), "refused for no reason");
            problems
        }
    };
    let lines = source.lines().count().max(1) + 1;
    let mut last = 0;
    for problem in problems {
        assert!(problem.line >= last.max(1) && problem.line <= lines, "{problem}");
        last = problem.line;
        let (start, length) = problem.span;
        assert!(length >= 1 && start + length <= problem.text.chars().count() + 1, "{problem:?}");
        assert!(!problem.to_string().chars().any(|c| c.is_control() && c != '\n'), "{problem:?}");
    }
}

fn refused(source: &str) -> Problems {
    config::parse(source, Path::new("c.toml")).expect_err("it is not right")
}

/// Every file of the directory against what stands at its end.
fn compare(dir: &str, said: impl Fn(&str, &Path) -> String) {
    let files = files(dir);
    assert!(!files.is_empty());
    let wrong: Vec<_> = files
        .iter()
        .filter_map(|(name, source, expected)| {
            let said = said(source, name);
            let wrong = format!("=== {}\n--- expected\n{expected}\n--- said\n{said}", name.display());
            (said != *expected).then_some(wrong)
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Name, source and what must be said of it.
fn files(dir: &str) -> Vec<(PathBuf, String, String)> {
    let mut files: Vec<_> = std::fs::read_dir(Path::new("tests/data/config").join(dir))
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let source = std::fs::read_to_string(&path).unwrap();
            let expected: Vec<_> = source
                .lines()
                .filter_map(|line| line.strip_prefix("#>"))
                .map(|line| line.strip_prefix(' ').unwrap_or(line))
                .collect();
            let expected = expected.join("\n");
            (PathBuf::from(path.file_name().unwrap()), source, expected)
        })
        .collect();
    files.sort();
    files
}

fn lines<T: Display>(problems: &[T]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

//! What the documents say is so: paths, commands, configuration, permissions, and what can be wrong.

#![cfg(test)] // makes clippy take the helpers below for tests too

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use pointsman::cli::Cli;
use pointsman::config;
use pointsman::huawei::{Class, ERROR_CODES};
use pointsman::model::Alarm;
use regex::Regex;
use serde_json::Value;

/// What only some need: they stand in the README, and not in the least policy.
const OPTIONAL: [&str; 2] = ["elb:healthmonitors:get", "dns:recordset:create"];

#[test]
fn every_path_and_link_leads_somewhere() {
    let link = Regex::new(r"\]\(([^)#:\s]+)\)").unwrap();
    let ours = Regex::new(
        r"(?:^|[\s`(])((?:src|tests|docs|config|systemd|benches|examples)/[\w./-]*\w|[A-Z]+\.md)\b",
    )
    .unwrap();
    for page in pages() {
        let beside = page.path.parent().unwrap();
        for (number, line) in page.lines() {
            for found in link.captures_iter(line) {
                assert!(beside.join(&found[1]).exists(), "{}:{number}: {}", page.name(), &found[1]);
            }
            for found in ours.captures_iter(line) {
                assert!(Path::new(&found[1]).exists(), "{}:{number}: {}", page.name(), &found[1]);
            }
        }
    }
}

#[test]
fn the_table_of_the_clouds_errors_is_the_codes_own() {
    let row = |cells: [&str; 5]| format!("| {} |\n", cells.join(" | "));
    let mut table = row(["the cloud says", "by code", "after a read", "after a write", "do"]);
    table += &row(["---"; 5]);
    for class in Class::ALL {
        let (means, to_do) = class.in_words();
        let codes = ERROR_CODES.iter().filter(|row| row.class == class).flat_map(|row| row.codes);
        let codes: BTreeSet<String> = codes.map(|code| format!("`{code}`")).collect();
        let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
        let (read, write) = (class.after_read().in_words(), class.after_write().in_words());
        table += &row([means, &codes.join(" "), read, write, to_do]);
    }
    let page = fs::read_to_string("docs/troubleshooting.md").unwrap();
    assert!(page.contains(&table), "docs/troubleshooting.md lacks this table:\n{table}");
}

#[test]
fn every_command_and_option_is_known() {
    let cli = Cli::command();
    let call =
        Regex::new(r"(?:^|[\s`])(?:/usr/bin/pointsman|pointsman|cargo run --release --) ([a-z]+)([\s`].*|$)")
            .unwrap();
    let option = Regex::new(r"--[a-z-]+").unwrap();
    let mut calls = 0;
    for page in pages() {
        for (number, code) in page.code() {
            let at = format!("{}:{number}: {code}", page.name());
            if let Some(found) = call.captures(&code) {
                let command = cli.find_subcommand(&found[1]).unwrap_or_else(|| panic!("{at}"));
                let typed = found[2].split(" #").next().unwrap_or_default();
                assert!(option.find_iter(typed).all(|option| knows(command, option.as_str())), "{at}");
                calls += 1;
            } else if code.starts_with("--") {
                let option = option.find(&code).unwrap().as_str();
                let anywhere = || cli.get_subcommands().any(|command| knows(command, option));
                assert!(anywhere() || option == "--version", "{at}");
            }
        }
    }
    assert!(calls > 20, "only {calls} were found");
}

fn knows(command: &clap::Command, option: &str) -> bool {
    let long = option.trim_start_matches('-');
    long == "help" || command.get_arguments().any(|argument| argument.get_long() == Some(long))
}

#[test]
fn every_piece_of_configuration_has_keys_that_are_known() {
    let mut pieces = 0;
    for page in pages() {
        for (number, piece) in page.fenced("toml") {
            let known = |message: &str| !message.contains("there is no key") && !message.contains("not TOML");
            // A check alone is a part of some service.
            let head = if piece.starts_with("[[service.") { "[[service]]\n" } else { "" };
            let piece = format!("{head}{piece}");
            if let Err(problems) = config::parse(&piece, Path::new("piece.toml")) {
                for problem in &problems.0 {
                    assert!(known(&problem.message), "{}:{number}: {problem}", page.name());
                }
            }
            pieces += 1;
        }
    }
    assert!(pieces > 4, "only {pieces} were found");
}

#[test]
fn the_readme_shows_the_first_example_as_it_is() {
    let (_, shown) = Page::read("README.md").fenced("toml").swap_remove(0);
    let example = fs::read_to_string("config/two-regions.toml").unwrap();
    assert_eq!(shown.parse::<toml::Table>().unwrap(), example.parse::<toml::Table>().unwrap());
}

#[test]
fn the_policies_allow_what_is_asked_for_and_nothing_else() {
    let global = actions("docs/iam-policy-global.json");
    assert!(global.iter().all(|action| action.starts_with("iam:")), "{global:?}");
    let regional = actions("docs/iam-policy.json");
    assert!(regional.iter().all(|action| !action.starts_with("iam:")), "IAM takes no policy of both");

    let (mut tried, mut not_needed) = (BTreeSet::new(), BTreeSet::new());
    for file in fs::read_dir("src/cli/online").unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        tried.extend(permissions(&text));
        if let Some((_, rest)) = text.split_once("const NOT_NEEDED") {
            not_needed.extend(permissions(rest.split(';').next().unwrap()));
        }
    }
    assert!(!not_needed.is_empty());
    let needed = tried.into_iter().filter(|action| !not_needed.contains(action));
    let (optional, needed): (BTreeSet<String>, _) = needed.partition(|action| OPTIONAL.contains(&&**action));
    assert_eq!(regional.union(&global).cloned().collect::<BTreeSet<_>>(), needed);
    let readme = permissions(&fs::read_to_string("README.md").unwrap());
    assert_eq!((readme, OPTIONAL.len()), (optional.clone(), optional.len()));
}

/// What a policy allows.
fn actions(file: &str) -> BTreeSet<String> {
    let policy: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let [statement] = policy["Statement"].as_array().unwrap().as_slice() else { panic!("{policy}") };
    assert_eq!((&policy["Version"], &statement["Effect"]), (&"1.1".into(), &"Allow".into()));
    statement["Action"].as_array().unwrap().iter().map(|action| action.as_str().unwrap().to_owned()).collect()
}

fn permissions(text: &str) -> BTreeSet<String> {
    let permission = Regex::new(r"\b[a-z]+:[a-zA-Z]+:[a-z]+\b").unwrap();
    permission.find_iter(text).map(|found| found.as_str().to_owned()).collect()
}

#[test]
fn for_every_alarm_and_rule_there_is_something_to_do() {
    let page = Page::read("docs/troubleshooting.md");
    let names = Alarm::ALL.iter().map(|alarm| alarm.as_str());
    for name in names.chain(["never_empty", "bounded_blast", "bounded_writes", "operator_rules"]) {
        assert!(page.text.contains(&format!("\n| `{name}` | ")), "{name}");
    }
}

#[test]
fn every_kind_of_entry_in_the_journal_is_told_of() {
    let source = fs::read_to_string("src/journal/entry.rs").unwrap();
    let body = source.split_once("fn kind(&self)").unwrap().1.split_once("\n    }\n").unwrap().0;
    let kinds: Vec<String> =
        Regex::new(r#""([a-z_]+)""#).unwrap().captures_iter(body).map(|found| found[1].to_owned()).collect();
    let page = Page::read("docs/journal.md");
    assert!(
        kinds.len() > 10 && kinds.iter().all(|kind| page.text.contains(&format!("`{kind}`"))),
        "{kinds:?}"
    );
}

#[test]
fn every_promise_of_security_names_a_test_that_there_is() {
    let head = Regex::new(r"(?m)^\s*#\[(?:tokio::)?test\b[^\n]*\n(?:\s*#\[[^\n]*\n)*\s*(?:async )?fn (\w+)")
        .unwrap();
    let mut tests = BTreeSet::new();
    let mut folders = vec![PathBuf::from("src"), PathBuf::from("tests")];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                let text = fs::read_to_string(path).unwrap();
                tests.extend(head.captures_iter(&text).map(|found| found[1].to_owned()));
            }
        }
    }
    let page = Page::read("docs/security.md");
    let test_name = Regex::new("`([a-z0-9]+(?:_[a-z0-9]+){3,})`").unwrap();
    let mut promises = 0;
    for (number, line) in page.lines().filter(|(_, line)| line.starts_with("| ")) {
        let shown_by = line.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        if shown_by == "shown by" || shown_by.starts_with("---") {
            continue;
        }
        let names: Vec<&str> =
            test_name.captures_iter(shown_by).map(|found| found.get(1).unwrap().as_str()).collect();
        assert!(!names.is_empty(), "{number}: no test shows it: {line}");
        for name in names {
            assert!(tests.contains(name), "{number}: there is no test {name}");
        }
        promises += 1;
    }
    assert!(promises > 30, "only {promises} were found");
}

/// A document.
struct Page {
    path: PathBuf,
    text: String,
}

impl Page {
    fn read(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let text = fs::read_to_string(&path).unwrap();
        Self { path, text }
    }

    fn name(&self) -> std::path::Display<'_> {
        self.path.display()
    }

    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines())
    }

    /// What a person could type: spans between backticks, and lines that are fenced or indented.
    fn code(&self) -> Vec<(usize, String)> {
        let span = Regex::new("`([^`]+)`").unwrap();
        let mut code = Vec::new();
        let mut fenced = false;
        for (number, line) in self.lines() {
            if line.trim_start().starts_with("```") {
                fenced = !fenced;
            } else if fenced || line.starts_with("    ") {
                code.push((number, line.trim().to_owned()));
            } else {
                code.extend(span.captures_iter(line).map(|found| (number, found[1].to_owned())));
            }
        }
        code
    }

    /// Fenced blocks of a language, with the line that they begin on.
    fn fenced(&self, language: &str) -> Vec<(usize, String)> {
        let mut blocks: Vec<(usize, String)> = Vec::new();
        let mut inside = false;
        for (number, line) in self.lines() {
            match (line.trim_start().strip_prefix("```"), inside) {
                (Some(opened), false) if opened == language => {
                    inside = true;
                    blocks.push((number, String::new()));
                }
                (Some(_), _) => inside = false,
                (None, true) => {
                    let block = &mut blocks.last_mut().unwrap().1;
                    block.push_str(line);
                    block.push('\n');
                }
                (None, false) => {}
            }
        }
        blocks
    }
}

/// Every document for people.
fn pages() -> Vec<Page> {
    let files = [".", "docs"].into_iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let paths = files.map(|file| file.unwrap().path());
    let pages: Vec<Page> =
        paths.filter(|path| path.extension().is_some_and(|it| it == "md")).map(Page::read).collect();
    assert!(pages.len() > 7);
    pages
}

#[test]
fn every_invariant_has_its_row_of_proofs_and_each_names_what_there_is() {
    let (map, page) = (Page::read("ARCHITECTURE.md"), Page::read("docs/safety.md"));
    let name = Regex::new("`([a-z_0-9]+)`").unwrap();
    let invariant = Regex::new(r"(?m)^\| [A-Z][A-Z-]+ \| ").unwrap();
    let invariants: Vec<&str> = invariant.find_iter(&map.text).map(|found| found.as_str()).collect();
    assert!(invariants.len() > 10, "the map lists the invariants: {invariants:?}");
    for invariant in invariants {
        let row = page.text.lines().find(|line| line.starts_with(invariant));
        let row = row.unwrap_or_else(|| panic!("docs/safety.md has no row of {invariant}"));
        for test in name.captures_iter(row).map(|found| found[1].to_owned()) {
            let is_there = |path: String| Path::new(&path).exists();
            assert!(
                is_there(format!("tests/{test}.rs")) || is_there(format!("tests/{test}/main.rs")),
                "{test}"
            );
        }
    }
}

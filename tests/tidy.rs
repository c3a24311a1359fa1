//! The house rules, as far as a program can tell. Each failure names the file, the line and what to do.

#![cfg(test)] // makes clippy take the helpers below for tests too

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

/// Which top-level module may import which others: ARCHITECTURE.md's "who may import whom", and no more
/// than is needed. `core` stays pure by it, and a provider that decides or a probe that writes cannot be built.
const MAY_IMPORT: [(&str, &[&str]); 16] = [
    ("model", &[]),
    ("clock", &["model"]),
    ("pulse", &["model", "clock"]),
    ("core", &["model"]),
    ("file_access", &[]),
    ("config", &["model", "file_access"]),
    ("import", &["model", "config"]),
    ("log", &["config"]),
    ("huawei", &["model", "clock", "config", "file_access"]),
    ("probe", &["model", "clock", "pulse", "config", "huawei"]),
    ("dns", &["model", "clock", "pulse", "config", "core", "huawei", "file_access"]),
    ("admin", &["model", "clock", "config", "core"]),
    ("journal", &["model", "clock", "core", "file_access"]),
    (
        "daemon",
        &[
            "model",
            "clock",
            "pulse",
            "config",
            "core",
            "huawei",
            "probe",
            "dns",
            "admin",
            "journal",
            "log",
            "file_access",
        ],
    ),
    ("sim", &["model", "clock", "config", "huawei"]),
    (
        "cli",
        &[
            "model", "clock", "config", "core", "huawei", "probe", "dns", "admin", "journal", "log",
            "import", "daemon", "sim",
        ],
    ),
];

/// Past this a file holds a second idea.
const LINES_MAX: usize = 600;

/// Longer module docs are not read.
const MODULE_DOC_LINES_MAX: usize = 15;

/// Names of files that hold whatever nobody found a word for.
const NO_WORD: [&str; 8] = ["util", "utils", "common", "helper", "helpers", "misc", "shared", "stuff"];

/// Synonyms, and the word of the vocabulary that is meant.
const SYNONYMS: [(&str, &str); 7] = [
    (r"ping(s|ed|ing)?", "a look"),
    (r"health[ _-]?checks?", "a check, or a health monitor where the cloud's is meant"),
    (r"target[ _]regions?", "a region"),
    (r"backend[ _]pools?", "a pool"),
    (r"data[ _]?cent(er|re)s?", "a region"),
    (r"(nodes?|hosts?|regions?) (is|are) unhealthy", "failing (a signal) or down (a liveness)"),
    (r"fail(ed)?[ _-]over[ _-]groups?", "a service"),
];

#[test]
fn modules_import_downwards_only() {
    let allowed: BTreeMap<_, _> = MAY_IMPORT.into_iter().collect();
    let mut broken = Vec::new();
    for file in rust_files("src") {
        let module = file.top_module();
        if module == "lib" {
            continue;
        }
        let may: &[&str] = if module == "main" {
            &["cli"]
        } else {
            allowed
                .get(module.as_str())
                .unwrap_or_else(|| panic!("module {module} is new: say in tests/tidy.rs what it may import"))
        };
        for (line, imported) in file.imports() {
            if imported != module && allowed.contains_key(&*imported) && !may.contains(&&*imported) {
                broken.push(format!("{}:{line}: {module} may not import {imported}", file.name));
            }
        }
    }
    none(&broken, "turn the dependency round, or pass a value in");
}

#[test]
fn every_module_opens_with_what_it_is_for_and_briefly() {
    let mut broken = Vec::new();
    for file in rust_files("src") {
        let docs = file.text.lines().take_while(|line| line.starts_with("//!")).count();
        if docs == 0 && file.is_module_root() {
            broken.push(format!("{}:1: no module docs", file.name));
        }
        if docs > MODULE_DOC_LINES_MAX {
            broken.push(format!("{}:{docs}: {docs} lines of module docs", file.name));
        }
    }
    none(&broken, "purpose, what it may not do, invariants by name, where to start; in at most 15 lines");
}

#[test]
fn files_hold_one_idea_and_are_named_after_it() {
    let mut broken = Vec::new();
    for file in ["src", "tests", "benches", "mutants"].into_iter().flat_map(rust_files) {
        let lines = file.text.lines().count();
        if lines > LINES_MAX {
            broken.push(format!("{}:{lines}: more than {LINES_MAX} lines", file.name));
        }
        let mut words =
            Path::new(&file.name).components().filter_map(|c| Path::new(c.as_os_str()).file_stem());
        if words.any(|word| NO_WORD.iter().any(|no| OsStr::new(no) == word)) {
            broken.push(format!("{}:1: the name says nothing", file.name));
        }
    }
    none(&broken, "find the second idea and give it a file with its name");
}

#[test]
fn nothing_names_the_machine_that_it_was_written_on() {
    // Put together here, so that this file passes.
    let places = ["work/", "root/", "tmp/pm"].map(|place| format!(r"(^|[^\w.])/{place}")).join("|");
    let forbidden = Regex::new(&format!("{places}|index{}url", '-')).unwrap();
    let broken = lines_of(&all_files(), |line| {
        forbidden.find(line).map(|found| format!("{:?} is of one machine", found.as_str().trim()))
    });
    none(&broken, "use a relative path or a name that works for everyone");
}

#[test]
fn dependencies_come_from_the_public_registry() {
    for lock in ["Cargo.lock", "fuzz/Cargo.lock"] {
        let lock = read(&root().join(lock)).unwrap();
        let sources: BTreeSet<_> = lock.lines().filter(|line| line.starts_with("source = ")).collect();
        let public = r#"source = "registry+https://github.com/rust-lang/crates.io-index""#;
        assert_eq!(sources, BTreeSet::from([public]));
    }
}

#[test]
fn one_thing_has_one_word() {
    let synonyms = SYNONYMS.map(|(no, yes)| (Regex::new(&format!(r"(?i)\b{no}\b")).unwrap(), yes));
    let files: Vec<File> = ["src", "docs", "config"].into_iter().flat_map(files_below).collect();
    let broken = lines_of(&files, |line| {
        // The name that a manifest's annotation has is not ours to choose.
        let line = &line.replace("elb.health-check-", "");
        let (found, yes) = synonyms.iter().find_map(|(no, yes)| Some((no.find(line)?, yes)))?;
        Some(format!("{:?}: say {yes}", found.as_str()))
    });
    none(&broken, "the words are in ARCHITECTURE.md");
}

#[test]
fn every_metric_named_in_the_code_is_documented() {
    let documented = read(&root().join("docs/metrics.md")).unwrap();
    let name = Regex::new(r#""(pointsman_[a-z_]+)""#).unwrap();
    let broken = lines_of(&rust_files("src"), |line| {
        let name = name.captures(line)?.get(1)?.as_str();
        (!documented.contains(&format!("`{name}`"))).then(|| format!("{name} is not in docs/metrics.md"))
    });
    none(&broken, "add a row to src/admin/series.rs, then: BLESS=1 cargo test --lib admin::series");
}

#[test]
fn no_test_is_switched_off() {
    let ignore = Regex::new(r"#\[(cfg_attr\(.*)?ignore\b").unwrap();
    let files: Vec<File> = ["src", "tests"].into_iter().flat_map(rust_files).collect();
    let broken = lines_of(&files, |line| ignore.is_match(line).then(|| "a test is ignored".to_owned()));
    none(&broken, "repair it, or assert the wrong behaviour that must stay for now");
}

#[test]
fn every_path_named_in_the_map_exists() {
    let map = read(&root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md is there");
    let named = Regex::new(r"`([\w./-]+)`|\]\(([^)#\s]+)").unwrap();
    let path =
        Regex::new(r"^[\w.-]+(/[\w.-]+)*(/|\.(rs|md|toml|sh|py|json|service))$|^(src|tests|docs|config)/")
            .unwrap();
    let mut broken = Vec::new();
    for (number, line) in numbered(&map) {
        for found in named.captures_iter(line) {
            let word = found.get(1).or(found.get(2)).unwrap().as_str();
            let there = |base: &str| root().join(base).join(word).exists();
            if path.is_match(word) && !there(".") && !there("src") {
                broken.push(format!("ARCHITECTURE.md:{number}: {word} does not exist"));
            }
        }
    }
    none(&broken, "correct the map");
}

struct File {
    /// Relative to the root, with `/`.
    name: String,
    text: String,
}

impl File {
    /// `probe` for `src/probe/http.rs`, `clock` for `src/clock.rs`.
    fn top_module(&self) -> String {
        let below = self.name.strip_prefix("src/").unwrap();
        below.split(['/', '.']).next().unwrap().to_owned()
    }

    /// How many modules lie between the file's own and the crate's root, itself included.
    fn depth(&self) -> usize {
        let below = self.name.strip_prefix("src/").unwrap();
        below.split('/').filter(|part| *part != "mod.rs").count()
    }

    /// Whether it stands for a whole top-level module.
    fn is_module_root(&self) -> bool {
        self.depth() == 1
    }

    /// The top-level modules that its code names, with the line.
    fn imports(&self) -> Vec<(usize, String)> {
        let here = if self.name == "src/main.rs" { "pointsman" } else { "crate" };
        let paths = format!(r"\b{here}::(\{{[^;]*\}}|\w+)|\b((?:super::)+)(\w+)");
        let paths = Regex::new(&paths).unwrap();
        let code = self.code();
        let mut imports = Vec::new();
        for found in paths.captures_iter(&code) {
            let line = code[..found.get(0).unwrap().start()].lines().count().max(1);
            if let Some(group) = found.get(1) {
                imports.extend(first_names(group.as_str()).into_iter().map(|name| (line, name)));
            } else if found[2].matches("super").count() >= self.depth() {
                imports.push((line, found[3].to_owned()));
            }
        }
        imports
    }

    /// The text without its comments, line for line.
    fn code(&self) -> String {
        let bare = |line: &str| line.split("//").next().unwrap_or_default().to_owned() + "\n";
        self.text.lines().map(bare).collect()
    }
}

/// `{model::{A, B}, clock}` names `model` and `clock`; `model` names itself.
fn first_names(group: &str) -> Vec<String> {
    let Some(inside) = group.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
        return vec![group.to_owned()];
    };
    let (mut depth, mut names, mut name) = (0_usize, Vec::new(), String::new());
    for c in inside.chars().chain([',']) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(std::mem::take(&mut name)),
            _ if depth == 0 => name.push(c),
            _ => {}
        }
    }
    let first = |name: &String| name.trim().split("::").next().unwrap_or_default().to_owned();
    names.iter().map(first).filter(|name| !name.is_empty()).collect()
}

#[test]
fn imports_are_found_however_they_are_written() {
    let found = |name: &str, text: &str| -> Vec<(usize, String)> {
        File { name: name.into(), text: text.into() }.imports()
    };
    let one = |line: usize, name: &str| (line, name.to_owned());
    assert_eq!(found("src/a.rs", "\nuse crate::core::X;"), [one(2, "core")]);
    assert_eq!(found("src/a.rs", "use crate::{core, model::{A, B}};"), [one(1, "core"), one(1, "model")]);
    assert_eq!(found("src/a/b.rs", "use super::core;\nuse super::super::core;"), [one(2, "core")]);
    assert_eq!(found("src/a/mod.rs", "let x = super::core::y();"), [one(1, "core")]);
    assert_eq!(found("src/a.rs", "// crate::core\n"), []);
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// As text; none when it is not.
fn read(path: &Path) -> Option<String> {
    fs::read(path).ok().and_then(|bytes| String::from_utf8(bytes).ok())
}

fn rust_files(below: &str) -> Vec<File> {
    let is_rust = |file: &File| Path::new(&file.name).extension() == Some(OsStr::new("rs"));
    files_below(below).into_iter().filter(is_rust).collect()
}

/// All text files that could be committed.
fn all_files() -> Vec<File> {
    files_below(".")
}

fn files_below(below: &str) -> Vec<File> {
    let (root, mut found, mut left) = (root(), Vec::new(), vec![PathBuf::from(below)]);
    while let Some(directory) = left.pop() {
        // Not every folder is there yet.
        let Ok(entries) = fs::read_dir(root.join(&directory)) else { continue };
        for entry in entries {
            let entry = entry.unwrap();
            let path = directory.join(entry.file_name());
            let name = path.to_str().unwrap().trim_start_matches("./").to_owned();
            let kind = entry.file_type().unwrap();
            let built = matches!(&*name, "target" | "fuzz/target" | "fuzz/artifacts" | ".git");
            if kind.is_dir() && !built {
                left.push(path);
            } else if kind.is_file()
                && name != ".git"
                && let Some(text) = read(&entry.path())
            {
                found.push(File { name, text });
            }
        }
    }
    assert!(below != "src" || !found.is_empty(), "src/ was not found");
    found
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(at, line)| (at + 1, line))
}

fn lines_of(files: &[File], wrong: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut broken = Vec::new();
    for file in files {
        for (number, line) in numbered(&file.text) {
            broken.extend(wrong(line).map(|what| format!("{}:{number}: {what}", file.name)));
        }
    }
    broken
}

#[track_caller]
fn none(broken: &[String], what_to_do: &str) {
    assert!(broken.is_empty(), "\n{}\n{what_to_do}\n", broken.join("\n"));
}

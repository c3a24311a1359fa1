//! Keeps the list of mutants true to the code, so that the run which tries them finds each where it is said to be.

#![cfg(test)] // makes clippy take the helpers below for tests too

mod list;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use list::Mutant;
use regex::Regex;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn mutants() -> Vec<Mutant> {
    list::read(&root()).unwrap()
}

#[track_caller]
fn none(broken: &[String]) {
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

#[test]
fn the_text_that_a_mutant_breaks_stands_there_once() {
    let mut broken = Vec::new();
    for mutant in mutants() {
        for edit in &mutant.edits {
            let text = fs::read_to_string(root().join(&edit.file)).unwrap_or_default();
            let times = text.matches(&edit.text).count();
            if times != 1 || edit.text == edit.broken {
                broken.push(format!(
                    "{}: {} times in {}: {:?}; say in mutants/ what stands there now",
                    mutant.name, times, edit.file, edit.text
                ));
            }
        }
    }
    none(&broken);
}

#[test]
fn the_test_that_must_notice_a_mutant_exists() {
    let mut broken = Vec::new();
    for Mutant { name, test, filter, .. } in mutants() {
        let (folders, test_name) = filter.rsplit_once("::").unwrap_or(("", &filter));
        let places = if test == "lib" {
            let module = folders.trim_end_matches("::tests").replace("::", "/");
            [format!("src/{module}.rs"), format!("src/{module}/mod.rs")]
        } else if folders.is_empty() {
            [format!("tests/{test}.rs"), format!("tests/{test}/main.rs")]
        } else {
            [format!("tests/{test}/{folders}.rs"), String::new()]
        };
        let is_there = places.iter().any(|place| {
            let text = fs::read_to_string(root().join(place)).unwrap_or_default();
            text.contains(&format!("fn {test_name}("))
        });
        if !is_there {
            broken.push(format!("{name}: there is no test {filter} in {}", places.join(" or ")));
        }
    }
    none(&broken);
}

#[test]
fn every_invariant_that_the_code_upholds_has_mutants_and_every_mutant_a_name_of_its_own() {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let row = Regex::new(r"(?m)^\| ([A-Z][A-Z-]+) \|").unwrap();
    let upheld: BTreeSet<String> = row.captures_iter(&map).map(|row| row[1].to_owned()).collect();
    assert!(upheld.len() > 10, "the map lists the invariants: {upheld:?}");
    let broken: BTreeSet<String> = mutants().into_iter().map(|mutant| mutant.invariant).collect();
    assert_eq!(broken, upheld);
    let mut names = BTreeMap::new();
    for mutant in mutants() {
        assert!(!mutant.why.is_empty(), "{}: say why", mutant.name);
        *names.entry(mutant.name).or_insert(0) += 1;
    }
    assert_eq!(names.iter().find(|(_, times)| **times > 1), None);
}

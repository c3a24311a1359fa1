//! Keeps the list of our own mutants true to the code, so that the run which tries them finds each where it is said to be.

#![cfg(test)] // makes clippy take the helpers below for tests too

mod list;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use list::Mutant;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn mutants() -> Vec<Mutant> {
    list::read().unwrap()
}

#[track_caller]
fn none(broken: &[String]) {
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

#[test]
fn the_text_that_a_mutant_breaks_stands_there_once() {
    let mut broken = Vec::new();
    for mutant in mutants() {
        for edit in &mutant.edit {
            let text = fs::read_to_string(root().join(&edit.file)).unwrap_or_default();
            let times = text.matches(&edit.text).count();
            if times != 1 || edit.text == edit.broken {
                broken.push(format!(
                    "{}: {} times in {}: {:?}; say in tests/mutants/list.toml what stands there now",
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
fn the_list_stays_short_and_each_of_it_has_an_invariant_a_reason_and_a_name_of_its_own() {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let mutants = mutants();
    assert!(mutants.len() <= 30, "what cargo mutants can express does not belong here");
    let mut names = BTreeSet::new();
    for Mutant { invariant, name, why, .. } in &mutants {
        assert!(map.contains(&format!("\n| {invariant} |")), "{name}: {invariant} is no invariant");
        assert!(!why.is_empty(), "{name}: say why");
        assert!(names.insert(name), "{name} stands there twice");
    }
}

#[test]
fn the_table_of_proofs_tells_which_invariants_the_list_breaks() {
    let table = fs::read_to_string(root().join("docs/safety.md")).unwrap();
    let broken: BTreeSet<String> = mutants().into_iter().map(|mutant| mutant.invariant).collect();
    let told = table.lines().filter(|row| row.ends_with("list |")).filter_map(|row| row.split(' ').nth(1));
    assert_eq!(told.map(str::to_owned).collect::<BTreeSet<_>>(), broken);
}

#[test]
fn every_test_that_drives_the_core_alone_runs_for_each_mutant() {
    let package = fs::read_to_string(root().join("mutants/core_tests.rs")).unwrap();
    let mut broken = Vec::new();
    for file in fs::read_dir(root().join("tests")).unwrap() {
        let file = file.unwrap();
        let name = file.file_name().into_string().unwrap();
        let text = fs::read_to_string(file.path()).unwrap_or_default(); // it may be a folder
        if text.contains("\nmod world;\n") && !package.contains(&format!("../tests/{name}")) {
            broken.push(format!("tests/{name} is not in mutants/core_tests.rs"));
        }
    }
    none(&broken);
}

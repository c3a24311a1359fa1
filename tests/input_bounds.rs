//! What is read is bounded, however long, deep or wrong it is; and what is told of it.

#![cfg(test)] // makes clippy take the helpers below for tests too

use std::fmt::Write as _;
use std::path::Path;

use pointsman::config::{self, LoadError, Problems};

const HEAD: &str = "[cloud.main]\nregion = \"cn-north-4\"\n[dns.private]\nkind = \"huawei\"\nzone = \"localdev.me.\"\n\
    zone_type = \"private\"\n[[service]]\nname = \"demo\"\ndomain = \"demo.localdev.me.\"\n";
const CHECK: &str = "[[service.check]]\nname = \"web\"\nkind = \"tcp\"\nport = 80\n";

fn problems(text: &str) -> Problems {
    config::parse(text, Path::new("pointsman.toml")).unwrap_err()
}

fn many(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).fold(String::new(), |mut text, number| {
        let _ = writeln!(text, "{}", line(number));
        text
    })
}

#[test]
fn of_very_many_problems_the_first_are_told() {
    let told = problems(&format!("{HEAD}{}{CHECK}", many(2_000, |number| format!("key{number} = 1"))));
    assert_eq!(told.0.len(), 500);
    assert!(told.0[1].message.contains("key0"), "{}", told.0[1]);
    assert!(told.to_string().len() < 200_000);
}

#[test]
fn of_a_very_long_line_the_part_around_the_mistake_is_kept() {
    let addresses = "\"198.51.100.10\", ".repeat(5_000);
    let region = format!("[[service.region]]\nname = \"r\"\naddress = [{addresses}\"x\", {addresses}]\n");
    let told = problems(&format!("{HEAD}{CHECK}{region}"));
    assert!(told.0.iter().all(|problem| problem.text.len() <= 2_000), "a whole line is kept");
    let wrong = told.0.iter().find(|problem| problem.message.contains("\"x\" ")).expect("it is told");
    let (at, length) = wrong.span;
    assert_eq!(wrong.text.chars().skip(at).take(length).collect::<String>(), "\"x\"");
}

#[test]
fn a_secret_in_a_very_long_line_is_hidden_wherever_the_mistake_is() {
    let spaces = " ".repeat(3_000);
    let told = problems(&format!("{HEAD}log = {{ secret = \"MARKED\",{spaces}level = 1,{spaces} x = 1 }}\n"));
    assert!(!told.0.is_empty());
    assert!(!format!("{told:?} {told}").contains("MARKED"), "{told}");
}

#[test]
fn a_file_that_is_too_long_for_a_configuration_is_not_read_to_its_end() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(1 << 40).unwrap(); // a hole: it takes no room
    let error = config::load(file.path()).unwrap_err();
    let LoadError::Read { source, .. } = error else { panic!("{error}") };
    assert!(source.to_string().contains("longer than 4194304 bytes"), "{source}");
}

#[test]
fn nesting_without_end_is_a_problem_and_no_end_of_the_process() {
    for open in ["[", "{a=", "a."] {
        let told = problems(&format!("{HEAD}x = {}", open.repeat(100_000)));
        assert!(told.to_string().contains("not TOML"), "{told}");
    }
    let dotted = format!("{HEAD}{}a = 1\n", "a.".repeat(100_000));
    assert!(!problems(&dotted).0.is_empty());
}

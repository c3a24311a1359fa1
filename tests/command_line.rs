//! The exit codes and streams that scripts rely on, of the real binary.

#![cfg(test)] // makes clippy take the helpers below for tests too

use std::process::{Command, Output, Stdio};

#[test]
fn a_good_configuration_is_said_to_be_good() {
    let said = pointsman(&["check", "--config", "config/pointsman.toml"]);
    assert_eq!(said.status.code(), Some(0), "{said:?}");
    assert!(stdout(&said).contains("good, "), "{said:?}");
}

#[test]
fn a_bad_configuration_fails_with_every_problem_and_its_line() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[daemon]\nlisten = \"x\"\nresync = 5\n").unwrap();
    let path = file.path().to_str().unwrap();
    let said = pointsman(&["check", "--config", path]);
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    for line in [2, 3] {
        assert!(stdout(&said).contains(&format!("{path}:{line}: ")), "{said:?}");
    }
}

#[test]
fn a_configuration_that_is_not_there_fails() {
    let said = pointsman(&["check", "--config", "no/such/file.toml"]);
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    assert!(stdout(&said).contains("no/such/file.toml"), "{said:?}");
}

/// 2 would tell a script that a look failed or that a change is due.
#[test]
fn a_command_line_that_makes_no_sense_exits_with_1() {
    for arguments in [&["probe", "nonsense"][..], &["run", "--no-such-option"], &["invented"], &[]] {
        let said = pointsman(arguments);
        assert_eq!(said.status.code(), Some(1), "{arguments:?}: {said:?}");
        assert!(said.stdout.is_empty() && !said.stderr.is_empty(), "{arguments:?}: {said:?}");
    }
}

#[test]
fn help_and_version_succeed_on_stdout() {
    for arguments in [&["--help"][..], &["--version"], &["probe", "--help"]] {
        let said = pointsman(arguments);
        assert_eq!(said.status.code(), Some(0), "{arguments:?}: {said:?}");
        assert!(!said.stdout.is_empty() && said.stderr.is_empty(), "{arguments:?}: {said:?}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = command(&["check", "--config", "config/pointsman.toml"]);
    let said = command.stdout(writer).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(said.status.code(), Some(0), "{said:?}");
    assert!(said.stderr.is_empty(), "{said:?}");
}

fn pointsman(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pointsman"));
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).env_remove("POINTSMAN_CONFIG");
    command
}

fn stdout(said: &Output) -> String {
    String::from_utf8_lossy(&said.stdout).into_owned()
}

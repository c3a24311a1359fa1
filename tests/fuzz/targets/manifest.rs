//! Manifests of `MultiClusterIngress`, in one file or several, which a line `# file` divides.
//!
//! What is refused is so for a reason with a line, and fit for a terminal; what is imported is a configuration that the
//! parser of configurations takes, with no load balancer, port or host that the manifests do not have.

use std::path::Path;

use pointsman::config::{self, Problem, Problems, Severity};
use pointsman::import::{self, Imported};

const FILE: &str = "\n# file\n";

pub(super) fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let names: Vec<String> =
        (1..).take(text.split(FILE).count()).map(|number| format!("{number}.yaml")).collect();
    let files: Vec<(&Path, &str)> = names.iter().map(Path::new).zip(text.split(FILE)).collect();
    match import::mci(&files) {
        Ok(imported) => {
            assert_drawn(&imported.warnings, &files);
            assert!(imported.warnings.iter().all(|problem| problem.severity == Severity::Warning));
            assert!(
                imported.notes.len() <= 100 && imported.notes.iter().all(|note| is_plain(note)),
                "{imported:?}"
            );
            assert_right(&imported, text);
            let again = import::mci(&files).expect("it was imported before");
            assert_eq!(again.config, imported.config);
        }
        Err(Problems(problems)) => {
            assert!(
                problems.iter().any(|problem| problem.severity == Severity::Error),
                "refused without a reason"
            );
            assert_drawn(&problems, &files);
        }
    }
}

/// A configuration that is taken, and says what the manifests say.
fn assert_right(imported: &Imported, text: &str) {
    assert!(imported.config.lines().all(is_plain), "{}", imported.config);
    let loaded = config::parse(&imported.config, Path::new("pointsman.toml"))
        .unwrap_or_else(|problems| panic!("{problems}\n{}", imported.config));
    for service in &loaded.config.services {
        // Escapes of YAML write a name in other words.
        if !text.contains(['\\', '\n', '&']) {
            let host = service.record.key.name.host();
            assert!(text.to_ascii_lowercase().contains(host), "{host} is from nowhere");
        }
        for region in &service.regions {
            let elb = region.elb.as_ref().expect("each region has a load balancer");
            let is_written = text.contains(&elb.id) || text.contains('\\');
            assert!(is_written && elb.listener_port > 0, "{elb:?} is from nowhere");
        }
    }
}

/// Each problem is within its file, in few words, and moves no cursor.
fn assert_drawn(problems: &[Problem], files: &[(&Path, &str)]) {
    assert!(problems.len() <= 101, "{} problems", problems.len());
    for problem in problems {
        let (_, text) = files.iter().find(|(path, _)| *path == problem.file).expect("one of the files");
        let lines = text.replace("\r\n", "\n").replace('\r', "\n").lines().count();
        assert!(problem.line >= 1 && problem.line <= lines.max(1) + 1, "{problem:?}");
        let shown = problem.to_string();
        assert!(shown.lines().all(is_plain) && shown.lines().count() <= 4 && shown.len() < 4_000, "{shown}");
        let (from, length) = problem.span;
        assert!(length >= 1 && from + length <= problem.text.chars().count() + 1, "{problem:?}");
    }
}

fn is_plain(line: &str) -> bool {
    !line.chars().any(char::is_control)
}

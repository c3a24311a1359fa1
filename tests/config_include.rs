//! A configuration may lie in several files; what is said of one of them names that file and its line.

#![cfg(test)] // makes clippy take the helpers below for tests too

use std::fmt::Write as _;
use std::path::Path;

use pointsman::config::{self, LoadError, Loaded};
use tempfile::TempDir;

const CLOUD: &str = "[cloud.main]\nregion = \"cn-north-4\"\n";
const ZONE: &str = "[dns.private]\nkind = \"huawei\"\nzone = \"localdev.me.\"\nzone_type = \"private\"\n";

#[test]
fn services_clouds_and_zones_join_in_the_order_of_patterns_and_names() {
    let files = [
        ("main.toml", format!("include = [\"last.toml\", \"conf.d/*.toml\"]\n{CLOUD}{}", service("first"))),
        ("conf.d/20.toml", service("twenty")),
        ("conf.d/10.toml", format!("{ZONE}{}", service("ten"))),
        ("conf.d/10.toml~", "half written".to_owned()),
        ("conf.d/.#10.toml", "half written".to_owned()),
        ("last.toml", service("second")),
    ];
    let folder = folder(&files);
    let loaded = load(&folder).unwrap();
    let names: Vec<_> = loaded.config.services.iter().map(|service| service.name.as_str()).collect();
    assert_eq!(names, ["first", "second", "ten", "twenty"]);
    let read: Vec<_> = loaded.files.iter().map(|file| file.strip_prefix(folder.path()).unwrap()).collect();
    assert_eq!(read, ["main.toml", "last.toml", "conf.d/10.toml", "conf.d/20.toml"].map(Path::new));
    assert_eq!(loaded.config.providers.len(), 1);
}

#[test]
fn check_names_the_files_it_read() {
    let main = format!("include = [\"conf.d/*.toml\"]\n{CLOUD}{ZONE}");
    let folder = folder(&[("main.toml", main), ("conf.d/shop.toml", service("shop"))]);
    assert_eq!(report(&folder), "includes conf.d/shop.toml\nmain.toml: good, 1 service, 1 region, 1 check\n");
}

#[test]
fn defaults_of_the_first_file_hold_in_all_and_a_contradiction_names_both_files() {
    let main = format!("include = [\"shop.toml\"]\n[defaults]\ninterval = \"7s\"\n{CLOUD}{ZONE}");
    let good = folder(&[("main.toml", main.clone()), ("shop.toml", service("shop"))]);
    let check = load(&good).unwrap().config.services[0].regions[0].checks[0].clone();
    assert_eq!(check.interval.as_secs(), 7);

    let slow = service("shop").replace("name = \"shop\"", "name = \"shop\"\ntimeout = \"9s\"");
    let bad = folder(&[("main.toml", main), ("shop.toml", slow)]);
    said(
        &bad,
        &["shop.toml:3: service \"shop\": timeout = \"9s\" is longer than interval = \"7s\" (main.toml:3)"],
    );
}

#[test]
fn a_name_given_twice_is_an_error_that_names_both_places() {
    let main =
        format!("include = [\"*.d/x.toml\"]\n{CLOUD}{ZONE}{}", service("shop")).replace("*.d", "conf.d");
    let other = format!("\n{CLOUD}\n{ZONE}\n{}", service("shop"));
    let folder = folder(&[("main.toml", main), ("conf.d/x.toml", other)]);
    said(
        &folder,
        &[
            "conf.d/x.toml:2: cloud \"main\": there is a section of that name (main.toml:2)",
            "conf.d/x.toml:5: dns \"private\": there is a section of that name (main.toml:4)",
            "conf.d/x.toml:11: service \"shop\": name = \"shop\" is taken (main.toml:9)",
            "conf.d/x.toml:12: service \"shop\": the record set shop.localdev.me. A is kept by service \"shop\" \
             already (main.toml:10)",
        ],
    );
}

#[test]
fn every_problem_of_every_file_is_shown_at_once_each_with_its_own_line() {
    let broken = service("b").replace("kind = \"tcp\"", "kind = \"tcp\"\nprot = 80");
    let folder = folder(&[
        ("main.toml", format!("include = [\"?.toml\"]\n{CLOUD}{ZONE}[daemon]\nlisen = 1\n")),
        ("a.toml", format!("{}ttl = 0\n", service("a").replace("ttl = 30\n", ""))),
        ("b.toml", broken),
        ("c.toml", "[[service]\n".to_owned()),
    ]);
    said(
        &folder,
        &[
            "main.toml:9: daemon: there is no key lisen",
            "a.toml:11: service \"a\", check \"port\": there is no key ttl",
            "b.toml:11: service \"b\", check \"port\": there is no key prot",
            "c.toml:1: not TOML: unclosed array table",
        ],
    );
}

#[test]
fn what_holds_for_all_stands_in_the_first_file_only() {
    let other = format!(
        "include = [\"y.toml\"]\n[daemon]\ndry_run = true\n[defaults]\nfall = 1\n[vantage]\n{}",
        service("x")
    );
    let folder =
        folder(&[("main.toml", format!("include = [\"x.toml\"]\n{CLOUD}{ZONE}")), ("x.toml", other)]);
    said(
        &folder,
        &[
            "x.toml:1: include cannot stand in a file that another one includes",
            "x.toml:2: daemon cannot stand in a file that another one includes",
            "x.toml:4: defaults cannot stand in a file that another one includes",
            "x.toml:6: vantage cannot stand in a file that another one includes",
        ],
    );
}

#[test]
fn a_name_that_is_no_file_is_an_error_and_a_pattern_that_matches_nothing_is_none() {
    let include =
        "include = [\"none/*.toml\", \"none-*.toml\", \"none.toml\", \".\", \"*/x.toml\", \"latin.toml\"]";
    let folder = folder(&[("main.toml", format!("{include}\n{CLOUD}{ZONE}"))]);
    std::fs::write(folder.path().join("latin.toml"), b"# a\n# \xe9\n").unwrap();
    said(
        &folder,
        &[
            "main.toml:1: include: cannot read none.toml: No such file or directory (os error 2)",
            "main.toml:1: include: . is not a file",
            "main.toml:1: include: */x.toml has a * or ? in the name of a folder",
            "main.toml:1: include: latin.toml:2 is not UTF-8 text",
        ],
    );
}

#[test]
fn a_file_is_taken_in_once_however_often_it_is_named_and_never_by_itself() {
    let main = format!("include = [\"*.toml\", \"./shop.toml\", \"shop.toml\"]\n{CLOUD}{ZONE}");
    let folder = folder(&[("main.toml", main), ("shop.toml", service("shop"))]);
    assert_eq!(load(&folder).unwrap().config.services.len(), 1);
}

#[test]
fn more_files_than_anybody_has_are_refused() {
    let folder = folder(&[("main.toml", format!("include = [\"d/*.toml\"]\n{CLOUD}{ZONE}"))]);
    std::fs::create_dir(folder.path().join("d")).unwrap();
    for number in 0..1_001 {
        std::fs::write(folder.path().join(format!("d/{number:04}.toml")), "").unwrap();
    }
    said(&folder, &["main.toml:1: include: more than 1000 files, d/1000.toml and others"]);
}

#[test]
fn no_secret_of_an_included_file_is_shown() {
    let main = format!("include = [\"x.toml\"]\n{ZONE}{}", service("a"));
    let folder = folder(&[
        ("main.toml", main),
        ("x.toml", format!("\n\n{CLOUD}secret_key = \"HUNTER2\"\nregoin = 1\n")),
    ]);
    let text = report(&folder);
    assert!(
        text.contains("x.toml:5: cloud \"main\": secret_key would be a secret") && text.contains("regoin")
    );
    assert!(!text.contains("HUNTER2"), "{text}");
}

fn service(name: &str) -> String {
    format!(
        "[[service]]\nname = \"{name}\"\ndomain = \"{name}.localdev.me.\"\nttl = 30\n\
         [[service.region]]\nname = \"r1\"\naddress = [\"192.0.2.1\"]\n\
         [[service.check]]\nname = \"port\"\nkind = \"tcp\"\nport = 80\n"
    )
}

fn folder(files: &[(&str, String)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

fn load(folder: &TempDir) -> Result<Loaded, LoadError> {
    config::load(&folder.path().join("main.toml"))
}

/// What `check` prints, without the folder.
fn report(folder: &TempDir) -> String {
    let text = config::report(&folder.path().join("main.toml"), &load(folder));
    text.replace(&format!("{}/", folder.path().display()), "")
}

/// The configuration is refused with these messages and no others.
fn said(folder: &TempDir, expected: &[&str]) {
    let Err(LoadError::Problems(problems)) = load(folder) else { panic!("it was taken") };
    let text = problems.0.iter().fold(String::new(), |mut text, problem| {
        let head = problem.to_string().lines().next().unwrap_or_default().to_owned();
        writeln!(text, "{head}").unwrap();
        text
    });
    let text = text.replace(&format!("{}/", folder.path().display()), "");
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
}

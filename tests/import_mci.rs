//! Manifests of `MultiClusterIngress` become a configuration that `pointsman check` accepts, or are refused with the line.
//!
//! Each file in `data/mci/broken` cannot work, each in `data/mci/warned` works and bites; what must be said of it stands
//! at its end, after `#>`.

#![cfg(test)] // makes clippy take the helpers below for tests too

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use pointsman::config::{self, Config, Problem};
use pointsman::import::{self, Imported};
use pointsman::model::{CheckKind, HttpCheck, Region, Scheme, Service};

const TWO: [&str; 2] = ["tests/data/mci/region1.yaml", "tests/data/mci/region2.yaml"];

#[test]
fn each_manifest_that_cannot_work_is_refused_with_the_line_a_marker_and_a_hint() {
    compare("broken", |name, text| match import::mci(&[(name, text)]) {
        Ok(imported) => format!("imported:\n{}", imported.config),
        Err(problems) => problems.to_string(),
    });
}

#[test]
fn each_manifest_that_bites_is_taken_with_a_warning_and_stands_in_the_result() {
    compare("warned", |name, text| match import::mci(&[(name, text)]) {
        Ok(Imported { config, warnings, .. }) => {
            config_of(&config);
            lines(&warnings)
        }
        Err(problems) => format!("refused\n{problems}"),
    });
}

#[test]
fn two_manifests_for_one_host_are_one_service_with_two_regions() {
    let said = import_files(&TWO);
    assert_eq!(said.status.code(), Some(0), "{said:?}");
    let printed = text(&said.stdout);
    let expected = std::fs::read_to_string("tests/data/mci/two-regions.toml").unwrap();
    assert_eq!(printed, expected, "what a person reads first has changed");
    assert!(text(&said.stderr).contains("region2.yaml:8: warning: demo.localdev.me: its regions listen on"));

    let config = config_of(&printed);
    let [demo] = config.services.as_slice() else { panic!("{config:?}") };
    assert_eq!(demo.record.key.to_string(), "demo.localdev.me. A");
    assert_eq!(config.providers.values().next().unwrap().zone().as_str(), "localdev.me.");
    let regions: Vec<_> = demo.regions.iter().map(|region| elb(region)).collect();
    assert_eq!(
        regions,
        [
            ("region1", "3f1c5a60-0000-4000-8000-000000000001", "REGION-1", 80),
            ("region2", "9b7a5a60-0000-4000-8000-000000000002", "REGION-2", 801),
        ]
    );
    for region in &demo.regions {
        assert_eq!(region.up_when.to_string(), "web && elb && eip");
    }
    assert_eq!(ports(demo), [80, 801]);
}

#[test]
fn check_accepts_what_was_printed() {
    let dir = tempfile::tempdir().unwrap();
    for files in [&TWO[..], &["tests/data/mci/several.yaml"], &["tests/data/mci/list.yaml"]] {
        let path = dir.path().join("pointsman.toml");
        std::fs::write(&path, import_files(files).stdout).unwrap();
        let said = pointsman().args(["check", "--config"]).arg(&path).output().unwrap();
        assert_eq!(said.status.code(), Some(0), "{said:?}");
    }
}

#[test]
fn each_host_is_a_service_and_other_documents_are_passed_over() {
    let said = import_files(&["tests/data/mci/several.yaml"]);
    let notes: Vec<_> = text(&said.stderr).lines().map(str::to_owned).collect();
    assert_eq!(
        notes,
        [
            "tests/data/mci/several.yaml:3: passed over a document of kind Service",
            "tests/data/mci/several.yaml:42: passed over a text without a kind",
        ]
    );
    let config = config_of(&text(&said.stdout));
    let services: Vec<_> = config
        .services
        .iter()
        .map(|service| {
            let look = look(&service.regions[0]);
            (
                service.name.as_str(),
                service.record.key.name.host(),
                service.record.provider.as_str(),
                look.scheme,
                look.path.as_str(),
            )
        })
        .collect();
    assert_eq!(
        services,
        [
            ("www", "www.shop.example.com", "shop-example-com", Scheme::Https, "/index"),
            ("api", "api.shop.example.com", "shop-example-com", Scheme::Https, "/"),
            ("www.localdev.me", "www.localdev.me", "localdev-me", Scheme::Http, "/x"),
        ]
    );
    assert!(text(&said.stdout).contains("# NOTE: Nothing looks at /exact, /a b."));
}

#[test]
fn a_list_as_kubectl_prints_it_is_taken_and_so_is_the_standard_input() {
    let list = std::fs::read("tests/data/mci/list.yaml").unwrap();
    let mut child = pointsman()
        .args(["import", "mci", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&list).unwrap();
    let said = child.wait_with_output().unwrap();
    assert_eq!(said.status.code(), Some(0), "{said:?}");
    assert!(text(&said.stdout).contains("# From demo2 (stdin:"), "{}", text(&said.stdout));
    let config = config_of(&text(&said.stdout));
    let regions: Vec<_> = config.services[0].regions.iter().map(|region| elb(region).1).collect();
    assert_eq!(regions, ["3f1c5a60-0000-4000-8000-000000000001", "9b7a5a60-0000-4000-8000-000000000002"]);
}

#[test]
fn what_a_merge_key_takes_over_is_read_as_if_it_were_written_there() {
    let head = "apiVersion: networking.karmada.io/v1alpha1\nkind: MultiClusterIngress\n";
    let items = "kind: List
items:
- &one
  apiVersion: networking.karmada.io/v1alpha1
  kind: MultiClusterIngress
  metadata: {name: demo1, annotations: &port {karmada.io/elb.port: '80', karmada.io/elb.health-check-flag: 'on', karmada.io/elb.id: 00000001-0000-4000-8000-000000000000}}
  spec: {rules: [{host: demo.localdev.me}]}
- <<: *one
  metadata: {name: demo2, annotations: {karmada.io/elb.id: 00000002-0000-4000-8000-000000000000, <<: [{karmada.io/elb.port: '801'}, *port]}}
";
    let config = import(&[items]);
    let [demo] = config.services.as_slice() else { panic!("{config:?}") };
    let regions: Vec<_> = demo.regions.iter().map(|region| (elb(region).1, elb(region).3)).collect();
    assert_eq!(
        regions,
        [("00000001-0000-4000-8000-000000000000", 80), ("00000002-0000-4000-8000-000000000000", 801)]
    );
    let wrong = format!("{head}metadata: {{<<: demo}}\n");
    let told = import::mci(&[(Path::new("a.yaml"), &wrong)]).unwrap_err().to_string();
    assert!(
        told.starts_with("a.yaml:3: `<<` takes over a map or a list of maps, and this is a text"),
        "{told}"
    );
}

#[test]
fn json_is_taken_as_kubectl_takes_it_several_objects_in_a_file_and_characters_in_two_escapes() {
    let manifest = |number: u8| {
        let annotations = format!(
            r#"{{"karmada.io/elb.id": "0000000{number}-0000-4000-8000-000000000000", "karmada.io/elb.port": "80", "karmada.io/elb.health-check-flag": "on"}}"#
        );
        format!(
            r#"{{"apiVersion": "networking.karmada.io/v1alpha1", "kind": "MultiClusterIngress",
                "metadata": {{"name": "demo{number} \ud83d\ude80", "annotations": {annotations}}},
                "spec": {{"rules": [{{"host": "demo.localdev.me", "http": {{"paths": [{{"path": "/"}}]}}}}]}}}}"#
        )
    };
    let list = format!(r#"{{"kind": "List", "items": [{}, {}]}}"#, manifest(3), manifest(4));
    let text = format!("{}\n{}{list}\n---\n{}\n", manifest(1), manifest(2), manifest(5));
    let Imported { config, warnings, .. } = import::mci(&[(Path::new("a.json"), &text)]).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    for (number, line) in [(1, 1), (2, 4), (5, 12)] {
        assert!(config.contains(&format!("# From demo{number} 🚀 (a.json:{line}).")), "{config}");
    }
    let regions: Vec<_> =
        config_of(&config).services[0].regions.iter().map(|it| elb(it).1.to_owned()).collect();
    assert_eq!(
        regions,
        [
            "00000001-0000-4000-8000-000000000000",
            "00000002-0000-4000-8000-000000000000",
            "00000003-0000-4000-8000-000000000000",
            "00000004-0000-4000-8000-000000000000",
            "00000005-0000-4000-8000-000000000000"
        ]
    );
    let broken = format!("{}\n{}", manifest(1), manifest(2).replace(r#""spec":"#, r#""spec""#));
    let told = import::mci(&[(Path::new("a.json"), &broken)]).unwrap_err().to_string();
    assert!(told.starts_with("a.json:6: not JSON: "), "{told}");
}

#[test]
fn a_file_without_a_manifest_is_no_mistake_beside_others() {
    let said = import_files(&[TWO[0], "tests/data/mci/broken/other-kind.yaml"]);
    assert_eq!(said.status.code(), Some(0), "{said:?}");
    assert_eq!(
        text(&said.stderr),
        "tests/data/mci/broken/other-kind.yaml:2: passed over a document of kind Ingress\n"
    );
}

#[test]
fn regions_of_one_project_stand_for_one_cloud_region() {
    let one = std::fs::read_to_string(TWO[0]).unwrap();
    let second = one.replace("3f1c5a60", "9b7a5a60");
    let third = one.replace("3f1c5a60", "aaaa5a60").replace("0a1b2c3d", "ffff2c3d");
    let config = import(&[&one, &second, &third]);
    let regions: Vec<_> = config.services[0].regions.iter().map(|region| elb(region).2).collect();
    assert_eq!(regions, ["REGION-1", "REGION-1", "REGION-2"]);
}

#[test]
fn a_region_that_alone_speaks_tls_is_looked_at_so() {
    let text = std::fs::read_to_string("tests/data/mci/warned/tls-in-one-region.yaml").unwrap();
    let config = import(&[&text]);
    let schemes: Vec<_> = config.services[0].regions.iter().map(|region| look(region).scheme).collect();
    assert_eq!(schemes, [Scheme::Https, Scheme::Http]);
}

#[test]
fn a_wildcard_is_looked_at_under_one_of_its_names() {
    let text = std::fs::read_to_string("tests/data/mci/warned/wildcard.yaml").unwrap();
    let config = import(&[&text]);
    assert_eq!(config.services[0].record.key.name.as_str(), "*.localdev.me.");
    assert_eq!(look(&config.services[0].regions[0]).host, "www.localdev.me");
}

#[test]
fn what_bites_stands_in_the_result_too() {
    for (name, note) in [
        ("flag-off", "health-check-flag is not \"on\""),
        ("flag-left-out", "health-check-flag is left out"),
        ("port-left-out", "karmada.io/elb.port is left out; 80 is assumed"),
        ("port-left-out-with-tls", "karmada.io/elb.port is left out; 443 is assumed"),
        ("port-443-without-tls", "spec.tls does not name the host"),
        ("different-ports", "listen on different ports (region1 on 80, region2 on 801)"),
        ("unknown-annotation", "karmada.io/elb.weight = 10 is not known here"),
        ("default-backend", "default backend of its manifest has no host"),
        ("same-load-balancer-twice", "Several manifests say so"),
        ("tls-in-one-region", "It speaks TLS in some of its regions only"),
    ] {
        let text = std::fs::read_to_string(format!("tests/data/mci/warned/{name}.yaml")).unwrap();
        let Imported { config, .. } = import::mci(&[(Path::new("a.yaml"), &text)]).unwrap();
        let notes: Vec<_> = config.lines().filter(|line| line.starts_with("# NOTE: ")).collect();
        assert!(notes.iter().any(|line| line.contains(note)), "{name}: {notes:?}");
    }
}

#[test]
fn what_cannot_work_prints_nothing_and_fails() {
    let said = import_files(&[TWO[0], "tests/data/mci/broken/elb-id-missing.yaml"]);
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    assert!(said.stdout.is_empty(), "{said:?}");
    assert!(text(&said.stderr).contains("elb-id-missing.yaml:5: demo has no karmada.io/elb.id"), "{said:?}");
    assert!(text(&said.stderr).ends_with("nothing imported: 1 problem\n"), "{said:?}");
}

#[test]
fn a_file_that_is_not_there_too_long_or_no_text_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        std::fs::write(dir.path().join(name), bytes).unwrap();
        dir.path().join(name).to_str().unwrap().to_owned()
    };
    let length = usize::try_from(import::FILE_BYTES_MAX).unwrap() + 1;
    let long = write("long.yaml", &vec![b'#'; length]);
    let latin = write("latin.yaml", b"kind: caf\xe9\n");
    for (file, why) in [
        ("no/such.yaml", "No such file"),
        (&long, "it is longer than 4194304 bytes"),
        (&latin, "it is not UTF-8 text"),
    ] {
        let said = import_files(&[file]);
        assert_eq!(said.status.code(), Some(1), "{said:?}");
        assert!(said.stdout.is_empty(), "{said:?}");
        let told = text(&said.stderr);
        assert!(told.contains(&format!("cannot read {file}")) && told.contains(why), "{told}");
    }
}

#[test]
fn very_many_hosts_and_manifests_are_refused_before_the_result_is_too_long_to_be_read() {
    let one = std::fs::read_to_string(TWO[0]).unwrap();
    let hosts = |count: usize| {
        let host = |number: usize| format!("    - host: h{number}.localdev.me\n");
        (0..count).map(host).collect::<Vec<_>>().concat()
    };
    let head = one.split("    - host").next().unwrap();
    let told = |texts: &str| import::mci(&[(Path::new("a.yaml"), texts)]).unwrap_err().to_string();
    assert!(told(&format!("{head}{}", hosts(2_001))).contains("more than 2000 regions in all"));
    assert!(told(&vec![one.as_str(); 1_001].join("---\n")).contains("more than 1000 manifests"));
    let all = import::mci(&[(Path::new("a.yaml"), &format!("{head}{}", hosts(2_000)))]).unwrap().config;
    assert!(u64::try_from(all.len()).unwrap() < import::FILE_BYTES_MAX, "{}", all.len());
    assert_eq!(config_of(&all).services.len(), 2_000);
}

#[test]
fn the_documentation_shows_what_is_printed() {
    let page = std::fs::read_to_string("docs/import.md").unwrap();
    let printed = std::fs::read_to_string("tests/data/mci/two-regions.toml").unwrap();
    let shown = printed.replace("tests/data/mci/", "");
    assert!(page.contains(&shown), "put this into docs/import.md:\n{shown}");
}

fn pointsman() -> Command {
    Command::new(env!("CARGO_BIN_EXE_pointsman"))
}

fn import_files(files: &[&str]) -> Output {
    pointsman().args(["import", "mci"]).args(files).output().unwrap()
}

/// The configuration that manifests become, each a file of its own.
fn import(texts: &[&str]) -> Config {
    let files: Vec<(&Path, &str)> = texts.iter().map(|text| (Path::new("a.yaml"), *text)).collect();
    config_of(&import::mci(&files).unwrap_or_else(|e| panic!("{e}")).config)
}

fn config_of(text: &str) -> Config {
    config::parse(text, Path::new("out.toml")).unwrap_or_else(|e| panic!("{e}\n{text}")).config
}

fn elb(region: &Region) -> (&str, &str, &str, u16) {
    let elb = region.elb.as_ref().unwrap();
    (region.name.as_str(), elb.id.as_str(), elb.cloud_region.as_str(), elb.listener_port)
}

fn look(region: &Region) -> &HttpCheck {
    let http = region.checks.iter().find_map(|check| match &check.kind {
        CheckKind::Http(http) => Some(&**http),
        CheckKind::Tcp(_) | CheckKind::Elb(_) | CheckKind::Eip(_) => None,
    });
    http.expect("a region has a look over HTTP")
}

fn ports(service: &Service) -> Vec<u16> {
    service.regions.iter().map(|region| look(region).port).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Every file of the folder against what stands at its end.
fn compare(folder: &str, said: impl Fn(&Path, &str) -> String) {
    let mut files: Vec<PathBuf> = std::fs::read_dir(Path::new("tests/data/mci").join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() > 9);
    let mut wrong = Vec::new();
    for path in files {
        let source = std::fs::read_to_string(&path).unwrap();
        let expected = source.lines().filter_map(|line| line.strip_prefix("#>"));
        let expected: Vec<_> = expected.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
        let (expected, name) = (expected.join("\n"), Path::new(path.file_name().unwrap()));
        let said = said(name, &source);
        if said != expected {
            wrong.push(format!("=== {}\n--- expected\n{expected}\n--- said\n{said}", name.display()));
        }
    }
    assert!(wrong.is_empty(), "{}\n===", wrong.join("\n"));
}

//! The numbers of `docs/tuning.md` are those that the code comes to, and its keys are those that there are.
#![cfg(test)] // makes clippy take the helpers below for tests too

mod daemon_world;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use clap::CommandFactory as _;
use daemon_world::{Scene, World, all_at_once};
use pointsman::cli::Cli;
use pointsman::config::{self, Config};
use pointsman::probe::{Demand, demand, shortage};
use regex::Regex;
use serde_json::Value;

const CHECKS: &str = r#"
[[service.check]]
name = "web"
kind = "http"
[[service.check]]
name = "elb"
kind = "elb"
[[service.check]]
name = "eip"
kind = "eip"
"#;

/// A row of the first table: name, `interval`, `fast_interval`, `timeout`, `fall`; silent at most and on average, refusing
/// at most and on average.
type Setting = [String; 9];

#[test]
fn the_table_of_settings_is_what_the_sums_come_to() {
    for setting in settings() {
        let service = &configured(&timing(&setting), 1).services[0];
        let check = &service.regions[0].checks[0];
        let (pace, more) = (check.fast_interval.max(check.timeout), check.fall.count() - 1);
        let silent = check.interval + pace * more + check.timeout;
        let refusing = check.interval + check.fast_interval * more;
        let [silent, refusing, half] = [silent, refusing, check.interval / 2].map(|time| time.as_secs_f64());
        let sums = [silent, silent - half, refusing, refusing - half];
        assert_eq!(setting[5..], sums.map(|sum| sum.to_string()), "{setting:?}");
        if setting[0] == "default" {
            assert_eq!(configured("", 1).services[0], *service);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_online_comes_to_the_same_when_a_region_is_silent() {
    all_at_once(settings(), |setting| async move {
        // A scene is told in texts that outlive it; the test is over soon.
        let scene = Scene { service: timing(&setting).leak(), checks: CHECKS, ..Scene::new() };
        let said = World::set(scene).await.outcome("check", &["--online"]).await;
        let (said, worst) = (String::from_utf8(said.stdout).unwrap(), &setting[5]);
        // The simulated monitors need 1 s, before the check that asks for what they found.
        let in_all = 1.0 + worst.parse::<f64>().unwrap();
        for sum in [
            format!(r"region1: web notices a dead region after at most .* = {worst} s\n"),
            format!(r"region1: eip notices an unbound EIP after at most .* = {worst} s\n"),
            format!(r"= 1 s, then elb after at most .* = {worst} s: {in_all} s in all\n"),
        ] {
            assert!(Regex::new(&sum).unwrap().is_match(&said), "{sum} is not in\n{said}");
        }
    })
    .await;
}

#[test]
fn the_last_client_leaves_after_verdict_zone_and_ttl() {
    let rows = table("| | verdict, at most | zone | `ttl` | last client |");
    for [name, verdict, zone, ttl, last] in &rows {
        let setting = settings().into_iter().find(|setting| setting[0] == *name).unwrap();
        assert_eq!(setting[5], *verdict, "{name}");
        let sum = number(verdict) + number(zone) + number(ttl);
        assert_eq!(sum.to_string(), *last, "{name}");
    }
    let [_, verdict, zone, ttl, last] = rows.iter().find(|[name, ..]| name == "default").unwrap();
    assert!(page().contains(&format!("silent region after {verdict} + {zone} + {ttl} = {last} s")));
    let by_elb = 15.0 + number(verdict);
    assert!(page().contains(&format!("with the defaults 15 + {verdict} = {by_elb} s at most")));
}

#[test]
fn the_cloud_is_asked_as_often_as_it_says() {
    let rows = table("| | while all is well | while a cloud region fails |");
    for [name, normal, fast] in &rows {
        let setting = settings().into_iter().find(|setting| setting[0] == *name).unwrap();
        let asked = asked(&configured(&timing(&setting), 1));
        let told = [asked.normal, asked.fast].map(|rate| format!("{rate:.1}"));
        assert_eq!([normal, fast], [&told[0], &told[1]], "{name}");
    }
    assert!(page().contains("A hundred such services, each with load balancers of its own, come to 16 with the defaults; twice as many to 32"));
    assert_eq!(asked(&configured("", 100)).fast.floor().to_string(), "16");
    assert_eq!(asked(&configured("", 200)).fast.floor().to_string(), "32");
    assert!(page().contains("1600 such services are\naccepted"));
    assert_eq!(shortage(&configured("", 1_600).services), []);
    assert_eq!(shortage(&configured("", 1_601).services).len(), 1);
}

#[test]
fn every_key_has_the_default_that_the_schema_tells() {
    let mut docs = Vec::new();
    keys(&config::schema(), "", &mut docs);
    for [key, default, _, _] in table("| key | default | protects from | choose |") {
        let end = format!(".{}", key.trim_matches('`'));
        let told: Vec<_> = docs.iter().filter(|(path, _)| path.ends_with(&end)).collect();
        let default = match default.trim_matches('`') {
            "none" => "Left out: ".to_owned(),
            value => format!("Default {value}."),
        };
        assert!(!told.is_empty() && told.iter().all(|(_, doc)| doc.contains(&default)), "{key}: {told:?}");
    }
}

#[test]
fn every_word_that_is_typed_is_a_word_of_ours() {
    let mut docs = Vec::new();
    keys(&config::schema(), "", &mut docs);
    let mut known: BTreeSet<String> =
        docs.iter().flat_map(|(path, _)| path.split('.')).map(str::to_owned).collect();
    known.extend(Cli::command().get_subcommands().map(|command| command.get_name().to_owned()));
    // Values, reasons, series: in backticks, or in quotes as the schema lists them.
    let listed = fs::read_to_string("docs/metrics.md").unwrap() + &config::schema().to_string();
    let word = Regex::new(r#"[`"]([a-z_]+)[`"]"#).unwrap();
    known.extend(word.captures_iter(&listed).map(|found| found[1].to_owned()));
    let typed = Regex::new(r"`([a-z_.]+)(?: = [^`]+)?`").unwrap();
    for found in typed.captures_iter(&page()) {
        assert!(found[1].split('.').all(|word| known.contains(word)), "{}", &found[0]);
    }
}

/// Every key, as a path with points, and what is said of it.
fn keys(schema: &Value, path: &str, found: &mut Vec<(String, String)>) {
    for (key, inner) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{key}");
        found.push((path.clone(), inner["description"].as_str().unwrap_or_default().to_owned()));
        for deeper in [inner, &inner["items"], &inner["additionalProperties"]] {
            keys(deeper, &path, found);
        }
    }
}

fn asked(config: &Config) -> Demand {
    demand(&config.services).into_values().next().unwrap()
}

/// So many services, each behind load balancers of its own in two cloud regions.
fn configured(timing: &str, services: usize) -> Config {
    let mut text = "[cloud.main]\nregion = \"cn-north-4\"\n[dns.private]\nkind = \"huawei\"\n\
        zone = \"localdev.me.\"\nzone_type = \"private\"\n"
        .to_owned();
    for number in 0..services {
        write!(
            text,
            "[[service]]\nname = \"s{number}\"\ndomain = \"s{number}.localdev.me.\"\n{timing}{CHECKS}"
        )
        .unwrap();
        for region in ["cn-north-4", "cn-east-3"] {
            let id = format!("3f1c5a60-{:04}-4000-8000-{number:012}", region.len());
            let elb = format!("elb = \"{id}\"\ncloud_region = \"{region}\"");
            writeln!(text, "[[service.region]]\nname = \"{region}\"\n{elb}").unwrap();
        }
    }
    config::parse(&text, Path::new("tuning.toml")).unwrap_or_else(|problems| panic!("{problems}")).config
}

fn timing([_, interval, fast, timeout, fall, ..]: &Setting) -> String {
    format!("interval = \"{interval}\"\nfast_interval = \"{fast}\"\ntimeout = \"{timeout}\"\nfall = {fall}\n")
}

fn settings() -> Vec<Setting> {
    table("| | `interval` | `fast_interval` | `timeout` | `fall` |")
}

/// The rows of the table whose head begins so.
fn table<const N: usize>(head: &str) -> Vec<[String; N]> {
    let page = page();
    let rows = page
        .lines()
        .skip_while(|line| !line.starts_with(head))
        .skip(2)
        .map_while(|line| line.strip_prefix("| "));
    let cells = |row: &str| row.trim_end_matches(" |").split(" | ").map(str::to_owned).collect::<Vec<_>>();
    let rows: Vec<[String; N]> = rows.map(|row| cells(row).try_into().unwrap()).collect();
    assert!(rows.len() > 2, "there is no table {head}");
    rows
}

fn number(cell: &str) -> f64 {
    cell.parse().unwrap()
}

fn page() -> String {
    fs::read_to_string("docs/tuning.md").unwrap()
}

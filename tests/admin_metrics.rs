//! What Prometheus is told is what happened, about what is configured, in a form that its own checker likes.

#![cfg(test)] // makes clippy take the helpers below for tests too

mod admin_samples;

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use admin_samples::status;
use pointsman::admin::{CloudCode, Metrics, Phase, Recorder};
use pointsman::core::WriteResult;
use pointsman::model::{
    Certificate, Check, CheckKey, CheckKind, CheckName, CloudName, Expression, Failback, Flap, Fqdn,
    JournalStatus, Liveness, LogStatus, Mode, Moment, Observation, OnDrift, Outcome, PolicyKind,
    ProviderName, Reason, Record, RecordKey, RecordType, Region, RegionName, Service, ServiceName, Share,
    Status, TcpCheck, Threshold, Weight, WhenAllDown, WhenUnknown, WriteBudget,
};

#[test]
fn a_look_is_counted_by_outcome_and_reason_and_timed() {
    let (metrics, mut recorder) = watching_demo();
    recorder.observed(&observation("demo/region1/web", Outcome::Pass));
    recorder.observed(&observation("demo/region1/web", Outcome::Fail(Reason::Refused)));
    recorder.observed(&observation("demo/region1/web", Outcome::Fail(Reason::Refused)));
    recorder.observed(&observation("demo/region1/web", Outcome::Unknown(Reason::Dns)));

    let page = page(&metrics);
    let of = r#"check="web""#;
    page.has(&format!(
        r#"pointsman_probes_total{{{of},outcome="pass",reason="none",region="region1",service="demo"}} 1"#
    ));
    page.has(&format!(
        r#"pointsman_probes_total{{{of},outcome="fail",reason="refused",region="region1",service="demo"}} 2"#
    ));
    page.has(&format!(
        r#"pointsman_probes_total{{{of},outcome="unknown",reason="dns",region="region1",service="demo"}} 1"#
    ));
    let bucket =
        |le: &str| format!(r#"_duration_seconds_bucket{{{of},region="region1",service="demo",le="{le}"}}"#);
    page.has(&format!("pointsman_probe{} 0", bucket("0.025")));
    page.has(&format!("pointsman_probe{} 4", bucket("0.1")));
    page.has(r#"pointsman_probe_lateness_seconds_bucket{le="0.001"} 0"#);
    page.has(r#"pointsman_probe_lateness_seconds_bucket{le="0.002"} 4"#);
}

#[test]
fn a_certificate_shows_its_end_and_an_endpoint_without_one_shows_none() {
    let (metrics, mut recorder) = watching_demo();
    let mut look = observation("demo/region1/web", Outcome::Pass);
    look.certificate = Some(Certificate { expires: 1_900_000_000, expires_soon: false });
    recorder.observed(&look);
    recorder.observed(&observation("demo/region2/web", Outcome::Pass));

    let page = page(&metrics);
    let name = "pointsman_tls_certificate_expire_timestamp_seconds";
    page.has(&format!(r#"{name}{{check="web",region="region1",service="demo"}} 1900000000"#));
    assert_eq!(page.lines_of(name).len(), 1);
}

#[test]
fn what_is_configured_counts_from_zero_before_anything_happens() {
    let (metrics, _recorder) = watching_demo();
    let page = page(&metrics);
    page.has(r#"pointsman_region_transitions_total{region="region2",service="demo",to="down"} 0"#);
    page.has(r#"pointsman_record_set_writes_total{result="lost",service="demo"} 0"#);
    page.has(r#"pointsman_failover_seconds_count{phase="activate",service="demo"} 0"#);
    page.has("pointsman_config_last_reload_success 1");
    page.has("pointsman_leader 1");
    page.has(r#"pointsman_build_info{version="9.8.7"} 1"#);
}

#[test]
fn transitions_writes_and_phases_are_counted_where_they_belong() {
    let (metrics, recorder) = watching_demo();
    let demo = ServiceName::parse("demo").unwrap();
    recorder.transition(&demo, &RegionName::parse("region1").unwrap(), Liveness::Down);
    recorder.written(&demo, WriteResult::Applied);
    recorder.failover(&demo, Phase::Detect, Duration::from_millis(2_500));

    let page = page(&metrics);
    page.has(r#"pointsman_region_transitions_total{region="region1",service="demo",to="down"} 1"#);
    page.has(r#"pointsman_region_transitions_total{region="region1",service="demo",to="up"} 0"#);
    page.has(r#"pointsman_record_set_writes_total{result="applied",service="demo"} 1"#);
    page.has(r#"pointsman_failover_seconds_sum{phase="detect",service="demo"} 2.5"#);
}

#[test]
fn what_is_gone_from_the_configuration_loses_its_series_and_does_not_come_back_late() {
    let (metrics, mut recorder) = watching_demo();
    recorder.observed(&observation("demo/region1/web", Outcome::Pass));
    recorder.observed(&observation("demo/region2/web", Outcome::Fail(Reason::Timeout)));

    recorder.configured(&[service("demo", &["region1"], &["web"])]);
    recorder.observed(&observation("demo/region2/web", Outcome::Pass));
    let region2 = RegionName::parse("region2").unwrap();
    recorder.transition(&ServiceName::parse("demo").unwrap(), &region2, Liveness::Up);
    let text = page(&metrics);
    assert_eq!(text.about("region2"), Vec::<&str>::new());
    text.has(
        r#"pointsman_probes_total{check="web",outcome="pass",reason="none",region="region1",service="demo"} 1"#,
    );

    recorder.configured(&[service("other", &["region1"], &["web"])]);
    recorder.written(&ServiceName::parse("demo").unwrap(), WriteResult::Applied);
    recorder.failover(&ServiceName::parse("demo").unwrap(), Phase::Write, Duration::ZERO);
    assert_eq!(page(&metrics).about(r#"service="demo""#), Vec::<&str>::new());
}

#[test]
fn facts_of_the_moment_are_those_of_the_status() {
    let (metrics, _recorder) = Metrics::new("9.8.7").unwrap();
    let page = Page(metrics.render(&status(Liveness::Down)).unwrap());
    page.has(r#"pointsman_signal_passing{check="web",region="region1",service="demo"} 1"#);
    page.has(r#"pointsman_signal_age_seconds{check="web",region="region1",service="demo"} 0.25"#);
    assert_eq!(page.lines_of("pointsman_signal_passing").len(), 1, "an unknown signal has a value");
    page.has(r#"pointsman_region_liveness{region="region2",service="demo",state="down"} 1"#);
    page.has(r#"pointsman_region_liveness{region="region2",service="demo",state="up"} 0"#);
    page.has(r#"pointsman_region_published{region="region1",service="demo"} 1"#);
    page.has(r#"pointsman_region_published{region="region2",service="demo"} 0"#);
    page.has(r#"pointsman_record_set_addresses{service="demo"} 2"#);
    page.has(r#"pointsman_record_set_in_sync{service="demo"} 1"#);
    page.has(r#"pointsman_guard_held{rule="bounded_blast",service="demo"} 1"#);
    page.has(r#"pointsman_alarm_active{alarm="no_address",service="demo"} 1"#);
    page.has(r#"pointsman_alarm_active{alarm="journal",service=""} 1"#);
    page.has("pointsman_journal_writable 0");
    page.has("pointsman_log_lines_dropped_total 3");
    page.has(r#"pointsman_credentials_expire_timestamp_seconds{cloud="main"} 1800000000"#);
    assert!(!page.0.contains(r#"cloud="other""#), "keys that do not end have no end:\n{}", page.0);

    let later = Page(metrics.render(&nothing_configured()).unwrap());
    assert_eq!(later.about("demo"), Vec::<&str>::new());
}

#[test]
fn requests_to_the_cloud_are_counted_by_what_they_came_to() {
    let (metrics, _recorder) = Metrics::new("9.8.7").unwrap();
    let main = CloudName::parse("main").unwrap();
    metrics.cloud_request(&main, "elb", CloudCode::Status(429), Duration::from_millis(40));
    metrics.cloud_request(&main, "dns", CloudCode::None("timeout"), Duration::from_secs(3));
    let page = page(&metrics);
    page.has(r#"pointsman_cloud_requests_total{api="elb",cloud="main",code="429"} 1"#);
    page.has(r#"pointsman_cloud_requests_total{api="dns",cloud="main",code="timeout"} 1"#);
    page.has(r#"pointsman_cloud_request_duration_seconds_sum{api="dns",cloud="main",code="timeout"} 3"#);
}

#[test]
fn promtool_has_nothing_to_say_about_any_of_it() {
    let (metrics, mut recorder) = watching_demo();
    let mut look = observation("demo/region1/web", Outcome::Fail(Reason::Tls));
    look.certificate = Some(Certificate { expires: 1_900_000_000, expires_soon: true });
    recorder.observed(&look);
    let main = CloudName::parse("main").unwrap();
    metrics.cloud_request(&main, "iam", CloudCode::Status(200), Duration::from_millis(40));
    let text = metrics.render(&status(Liveness::Down)).unwrap();

    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is needed here: apt-get install prometheus");
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let said = promtool.wait_with_output().unwrap();
    let words = [said.stdout, said.stderr].concat();
    assert!(said.status.success() && words.is_empty(), "{}", String::from_utf8_lossy(&words));
}

fn watching_demo() -> (Metrics, Recorder) {
    let (metrics, mut recorder) = Metrics::new("9.8.7").unwrap();
    recorder.configured(&[service("demo", &["region1", "region2"], &["web"])]);
    (metrics, recorder)
}

fn nothing_configured() -> Status {
    Status {
        version: "9.8.7",
        dry_run: false,
        uptime_s: 0,
        services: vec![],
        alarms: vec![],
        journal: JournalStatus { writable: true, trouble: None, lost: 0 },
        log: LogStatus { lines_dropped: 0 },
        clouds: vec![],
    }
}

/// A service with these regions, each with these checks.
fn service(name: &str, regions: &[&str], checks: &[&str]) -> Arc<Service> {
    Arc::new(Service {
        name: ServiceName::parse(name).unwrap(),
        record: Record {
            key: RecordKey::new(Fqdn::parse("demo.localdev.me.").unwrap(), RecordType::A),
            provider: ProviderName::parse("private").unwrap(),
            ttl: None,
            create: false,
            on_drift: OnDrift::Mend,
        },
        regions: regions.iter().map(|region| Arc::new(region_of(region, checks))).collect(),
        policy: PolicyKind::All,
        min_published: 1,
        when_all_down: WhenAllDown::KeepLast,
        max_removed: 1,
        panic_threshold: Share::from_percent(50).unwrap(),
        blast_window: Some(Duration::from_secs(300)),
        write_budget: WriteBudget { writes: 6, window: Duration::from_secs(600) },
        mode: Mode::Act,
        failback: Failback::Auto,
    })
}

fn region_of(name: &str, checks: &[&str]) -> Region {
    Region {
        name: RegionName::parse(name).unwrap(),
        tier: 1,
        weight: Weight::DEFAULT,
        elb: None,
        addresses: vec!["198.51.100.10".parse().unwrap()],
        checks: checks.iter().map(|check| check_of(check)).collect(),
        up_when: Expression::Check(CheckName::parse("web").unwrap()),
        recover_after: Duration::from_secs(30),
        flap: Flap { window: Duration::from_secs(600), factor: 2.0, max: Duration::from_secs(1800) },
    }
}

fn check_of(name: &str) -> Check {
    Check {
        name: CheckName::parse(name).unwrap(),
        kind: CheckKind::Tcp(TcpCheck { port: 80, source: None }),
        interval: Duration::from_secs(5),
        fast_interval: Duration::from_secs(1),
        timeout: Duration::from_secs(2),
        max_latency: None,
        fall: Threshold::in_a_row(3).unwrap(),
        rise: Threshold::in_a_row(3).unwrap(),
        vote: true,
        when_unknown: WhenUnknown::Keep,
    }
}

/// A look of 30 ms, 1.5 ms late, by `SERVICE/REGION/CHECK`.
fn observation(key: &str, outcome: Outcome) -> Observation {
    let [service, region, check] = key.split('/').collect::<Vec<_>>().try_into().unwrap();
    Observation {
        check: Arc::new(CheckKey {
            service: ServiceName::parse(service).unwrap(),
            region: RegionName::parse(region).unwrap(),
            check: CheckName::parse(check).unwrap(),
        }),
        started: Moment::START,
        late: Duration::from_micros(1500),
        latency: Duration::from_millis(30),
        outcome,
        saw: "something".into(),
        certificate: None,
    }
}

fn page(metrics: &Metrics) -> Page {
    Page(metrics.render(&nothing_configured()).unwrap())
}

struct Page(String);

impl Page {
    #[track_caller]
    fn has(&self, line: &str) {
        let name = line.split(['{', ' ']).next().unwrap();
        assert!(self.0.lines().any(|l| l == line), "no {line} among {:#?}", self.lines_of(name));
    }

    fn lines_of(&self, name: &str) -> Vec<&str> {
        self.0.lines().filter(|line| line.split(['{', ' ']).next() == Some(name)).collect()
    }

    fn about(&self, words: &str) -> Vec<&str> {
        self.0.lines().filter(|line| !line.starts_with('#') && line.contains(words)).collect()
    }
}

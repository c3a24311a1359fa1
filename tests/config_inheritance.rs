//! What is not written is inherited from the next more general table, or has its documented default.

#![cfg(test)] // makes clippy take the helpers below for tests too

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pointsman::config::{self, Config, CredentialsFrom, LogFormat, ProviderKind};
use pointsman::model::{
    Check, CheckKind, HttpCheck, MinHealthy, Mode, OnDrift, PolicyKind, Region, Scheme, Share, Threshold,
    WhenAllDown, WhenUnknown,
};

const HEAD: &str = "
[cloud.main]
region = 'cn-north-4'
[dns.private]
kind = 'huawei'
zone = 'localdev.me.'
zone_type = 'private'
";

#[test]
fn the_most_specific_value_is_in_force() {
    let source = "
[defaults]
interval = '10s'
timeout = '3s'
fall = 7
[[service]]
name = 'demo'
domain = 'demo.localdev.me.'
timeout = '4s'
fall = 6
[[service.check]]
name = 'web'
kind = 'tcp'
fall = 4
[[service.check]]
name = 'other'
kind = 'tcp'
[[service.region]]
name = 'a'
address = ['192.0.2.1']
fall = 5
[[service.region.check]]
name = 'web'
fall = '3 of 9'
[[service.region]]
name = 'b'
address = ['192.0.2.2']
fall = 5
";
    let config = good(source);
    let [a, b] = regions(&config);
    let falls =
        |region: &Region| -> Vec<String> { region.checks.iter().map(|c| c.fall.to_string()).collect() };
    assert_eq!(falls(a), ["3 of 9", "5 in a row"]);
    assert_eq!(falls(b), ["4 in a row", "5 in a row"]);
    for check in a.checks.iter().chain(&b.checks) {
        assert_eq!((check.interval, check.timeout), (seconds(10), seconds(4)));
    }
}

#[test]
fn a_rule_is_held_by_what_is_in_force_and_not_by_what_nobody_inherits() {
    let source = one_check("kind = 'tcp'\ninterval = '10s'", "address = ['192.0.2.1']");
    let config = good(&format!("[defaults]\ntimeout = '8s'\n{source}"));
    assert_eq!(regions(&config)[0].checks[0].timeout, seconds(8));
}

#[test]
fn the_parts_of_flap_are_inherited_one_by_one() {
    let config = good(
        "
[defaults]
flap = { window = '5m' }
[[service]]
name = 'demo'
domain = 'demo.localdev.me.'
flap = { factor = 3 }
[[service.check]]
name = 'web'
kind = 'tcp'
[[service.region]]
name = 'a'
address = ['192.0.2.1']
flap = { max = '2h' }
[[service.region]]
name = 'b'
address = ['192.0.2.2']
",
    );
    let [a, b] = regions(&config);
    assert_eq!((a.flap.window, a.flap.factor, a.flap.max), (seconds(300), 3.0, seconds(7_200)));
    assert_eq!((b.flap.window, b.flap.factor, b.flap.max), (seconds(300), 3.0, seconds(1_800)));
}

#[test]
fn a_region_waits_as_long_as_the_most_cautious_check_of_its_verdict_asks() {
    let checks = |up_when: &str| {
        good(&format!(
            "
[[service]]
name = 'demo'
domain = 'demo.localdev.me.'
recover_after = '10s'
{up_when}
[[service.check]]
name = 'web'
kind = 'tcp'
recover_after = '1m'
[[service.check]]
name = 'slow'
kind = 'tcp'
recover_after = '1h'
vote = false
[[service.region]]
name = 'a'
address = ['192.0.2.1']
[[service.region]]
name = 'b'
address = ['192.0.2.2']
"
        ))
    };
    let [a, _] = regions(&checks("")).map(|region| region.recover_after);
    assert_eq!(a, seconds(60));
    let config = checks("up_when = 'web || slow'");
    let [a, _] = regions(&config);
    assert_eq!(a.recover_after, seconds(3_600));
    assert_eq!(a.flap.max, seconds(3_600), "the cap is never below the wait itself");
}

#[test]
fn what_is_left_out_has_its_documented_default() {
    let config = good(
        "
[[service]]
name = 'demo'
domain = 'Demo.localdev.me'
[[service.check]]
name = 'web'
kind = 'http'
[[service.check]]
name = 'elb'
kind = 'elb'
[[service.check]]
name = 'eip'
kind = 'eip'
[[service.region]]
name = 'a'
elb = '3f1c5a60-0000-4000-8000-000000000001'
[[service.region]]
name = 'b'
elb = '9b7a5a60-0000-4000-8000-000000000002'
",
    );
    assert_eq!(config.daemon.listen.to_string(), "127.0.0.1:9753");
    assert_eq!(config.daemon.control, Path::new("/run/pointsman/control.sock"));
    assert_eq!(config.daemon.state_dir, Path::new("/var/lib/pointsman"));
    assert_eq!((config.daemon.dry_run, config.daemon.resync), (false, seconds(60)));
    assert_eq!((config.daemon.log.level.as_str(), config.daemon.log.format), ("info", LogFormat::Text));
    assert!(matches!(config.clouds.values().next().unwrap().credentials, CredentialsFrom::Auto));
    let ProviderKind::Huawei(zone) = &config.providers.values().next().unwrap().kind else {
        panic!("the only zone is one of the cloud")
    };
    assert_eq!((zone.cloud.as_str(), zone.cloud_region.as_str()), ("main", "cn-north-4"));

    let demo = &config.services[0];
    assert_eq!(demo.record.key.to_string(), "demo.localdev.me. A");
    assert_eq!((demo.record.ttl, demo.record.create, demo.record.on_drift), (None, false, OnDrift::Mend));
    assert_eq!((demo.policy, demo.when_all_down.clone()), (PolicyKind::All, WhenAllDown::KeepLast));
    assert_eq!((demo.min_published, demo.max_removed, demo.mode), (1, 1, Mode::Act));
    assert_eq!(
        (Some(demo.panic_threshold), demo.blast_window),
        (Share::from_percent(50), Some(seconds(300)))
    );
    assert_eq!((demo.write_budget.writes, demo.write_budget.window), (6, seconds(600)));

    let [a, _] = regions(&config);
    assert_eq!((a.tier, a.recover_after), (1, seconds(30)));
    assert_eq!((a.flap.window, a.flap.factor, a.flap.max), (seconds(600), 2.0, seconds(1_800)));
    assert_eq!(a.up_when.to_string(), "web && elb && eip");
    assert_eq!(a.elb.as_ref().unwrap().listener_port, 80);
    let three = Threshold::in_a_row(3).unwrap();
    for check in &a.checks {
        assert_eq!(
            (check.interval, check.fast_interval, check.timeout),
            (seconds(5), seconds(1), seconds(2))
        );
        assert_eq!((check.fall, check.rise, check.vote, check.max_latency), (three, three, true, None));
    }
    let unknown: Vec<_> = a.checks.iter().map(|check| check.when_unknown).collect();
    assert_eq!(unknown, [WhenUnknown::Keep, WhenUnknown::Ignore, WhenUnknown::Ignore]);
    let CheckKind::Elb(elb) = &a.checks[1].kind else { panic!("it is an elb check") };
    assert_eq!(elb.min_healthy, MinHealthy::Count(1));
    let http = http(&a.checks[0]);
    assert_eq!(
        (http.scheme, http.port, http.method.as_str(), http.path.as_str()),
        (Scheme::Http, 80, "GET", "/")
    );
    assert_eq!(http.host, "demo.localdev.me");
    assert_eq!(http.user_agent, format!("pointsman/{} (demo)", env!("CARGO_PKG_VERSION")));
    assert_eq!((http.expect_status.to_string().as_str(), http.max_body), ("200", 65_536));
    assert_eq!(
        (http.keep_alive, http.tls.verify, http.tls.expires_within),
        (false, true, seconds(14 * 86_400))
    );
}

#[test]
fn a_default_gives_way_to_what_is_written() {
    let config = good(&one_check("kind = 'tcp'\ninterval = '500ms'", "address = ['192.0.2.1']"));
    let check = &regions(&config)[0].checks[0];
    let half = Duration::from_millis(500);
    assert_eq!((check.interval, check.fast_interval, check.timeout), (half, half, half));
}

#[test]
fn a_check_s_port_is_its_own_or_the_listener_s_or_the_scheme_s() {
    for (check, region, port) in [
        ("kind = 'http'", "elb = '3f1c5a60-0000-4000-8000-000000000001'", 80),
        ("kind = 'http'", "elb = '3f1c5a60-0000-4000-8000-000000000001'\nlistener_port = 8080", 8080),
        (
            "kind = 'http'\nport = 81",
            "elb = '3f1c5a60-0000-4000-8000-000000000001'\nlistener_port = 8080",
            81,
        ),
        ("kind = 'https'", "elb = '3f1c5a60-0000-4000-8000-000000000001'\nlistener_port = 8443", 8443),
        ("kind = 'https'", "address = ['192.0.2.1']", 443),
        ("kind = 'http'\nscheme = 'https'", "address = ['192.0.2.1']", 443),
    ] {
        let config = good(&one_check(check, region));
        assert_eq!(http(&regions(&config)[0].checks[0]).port, port, "{check} {region}");
    }
}

#[test]
fn the_host_has_the_port_unless_it_is_the_scheme_s_and_one_that_is_written_is_sent_as_it_is() {
    for (check, host) in [
        ("kind = 'http'", "demo.localdev.me"),
        ("kind = 'http'\nport = 801", "demo.localdev.me:801"),
        ("kind = 'http'\nport = 443", "demo.localdev.me:443"),
        ("kind = 'https'", "demo.localdev.me"),
        ("kind = 'https'\nport = 8443", "demo.localdev.me:8443"),
        ("kind = 'http'\nport = 801\nhost = 'shop.example.com'", "shop.example.com"),
        ("kind = 'http'\nport = 801\nhost = 'shop.example.com:80'", "shop.example.com:80"),
    ] {
        let config = good(&one_check(check, "address = ['192.0.2.1']"));
        assert_eq!(http(&regions(&config)[0].checks[0]).host, host, "{check}");
    }
}

#[test]
fn a_host_with_a_port_is_asked_for_without_it_in_tls() {
    let config =
        good(&one_check("kind = 'https'\nhost = 'shop.example.com:8443'", "address = ['192.0.2.1']"));
    let http = http(&regions(&config)[0].checks[0]).clone();
    assert_eq!(http.host, "shop.example.com:8443");
    assert_eq!(http.tls.server_name.as_deref(), Some("shop.example.com"));
}

#[test]
fn a_region_s_own_check_changes_only_the_keys_it_names_and_a_new_name_adds_one() {
    let config = good(
        "
[[service]]
name = 'demo'
domain = 'demo.localdev.me.'
[[service.check]]
name = 'web'
kind = 'http'
path = '/a'
expect_body = 'ok'
[[service.region]]
name = 'a'
address = ['192.0.2.1']
[[service.region.check]]
name = 'web'
path = '/b'
[[service.region.check]]
name = 'port'
kind = 'tcp'
port = 22
[[service.region]]
name = 'b'
address = ['192.0.2.2']
",
    );
    let [a, b] = regions(&config);
    let paths = [a, b]
        .map(|region| (http(&region.checks[0]).path.clone(), http(&region.checks[0]).expect_body.clone()));
    assert_eq!(paths, [("/b".to_owned(), Some("ok".to_owned())), ("/a".to_owned(), Some("ok".to_owned()))]);
    assert_eq!((a.up_when.to_string().as_str(), b.up_when.to_string().as_str()), ("web && port", "web"));
}

#[test]
fn observe_makes_a_service_dry_and_keys_come_from_where_they_are_named() {
    let source = one_check("kind = 'tcp'", "address = ['192.0.2.1']")
        .replace("name = 'demo'", "name = 'demo'\nmode = 'observe'");
    assert_eq!(good(&source).services[0].mode, Mode::Observe);

    let keys = "access_key = 'AK'\nsecret_key_file = '/etc/sk'\nsecurity_token_file = '/etc/token'\n";
    let source = format!(
        "{}{}",
        HEAD.replace("[dns.private]", &format!("{keys}[dns.private]")),
        one_check("kind = 'tcp'", "address = ['192.0.2.1']")
    );
    let loaded = config::parse(&source, Path::new("c.toml")).unwrap_or_else(|e| panic!("{e}"));
    let CredentialsFrom::Keys { access_key, secret_key_file, security_token_file } =
        &loaded.config.clouds.values().next().unwrap().credentials
    else {
        panic!("keys are named")
    };
    assert_eq!((access_key.as_str(), secret_key_file.as_path()), ("AK", Path::new("/etc/sk")));
    assert_eq!(security_token_file.as_deref(), Some(Path::new("/etc/token")));
}

fn one_check(check: &str, region: &str) -> String {
    let other = region.replace("192.0.2.1", "192.0.2.2").replace("3f1c5a60", "9b7a5a60");
    format!(
        "
[[service]]
name = 'demo'
domain = 'demo.localdev.me.'
[[service.check]]
name = 'web'
{check}
[[service.region]]
name = 'a'
{region}
[[service.region]]
name = 'b'
{other}
"
    )
}

fn good(services: &str) -> Config {
    let loaded =
        config::parse(&format!("{HEAD}{services}"), Path::new("c.toml")).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(loaded.warnings, []);
    loaded.config
}

fn regions(config: &Config) -> [&Region; 2] {
    let regions: Vec<&Region> = config.services[0].regions.iter().map(|region| &**region).collect();
    regions.try_into().expect("the service has two regions")
}

fn http(check: &Check) -> &Arc<HttpCheck> {
    let CheckKind::Http(http) = &check.kind else { panic!("{} is no http check", check.name) };
    http
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

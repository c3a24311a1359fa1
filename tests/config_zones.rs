//! What is written of the places where record sets live arrives, whatever their kind.

#![cfg(test)] // makes clippy take the helpers below for tests too

use std::path::{Path, PathBuf};

use pointsman::config::{
    self, Config, EmbeddedZone, LoadError, Problems, Provider, ProviderKind, TsigAlgorithm, ZoneType,
};
use pointsman::model::{Fqdn, Ttl};

const SERVICE: &str = "
[[service]]
name = 'demo'
domain = 'demo.localdev.me.'
[[service.check]]
name = 'web'
kind = 'tcp'
[[service.region]]
name = 'a'
address = ['192.0.2.1']
";

const RFC2136: &str = "
[dns.onprem]
kind = 'rfc2136'
server = '[2001:db8::53]:5300'
zone = 'localdev.me'
tsig = { name = 'Pointsman', algorithm = 'hmac-sha384', secret_file = '/etc/pointsman/tsig.key' }
witnesses = ['100.125.1.250:53', '[2001:db8::1]:53']
";

const EMBEDDED: &str = r#"
[dns.local]
kind = 'embedded'
listen = ['127.0.0.1:5353', '[::1]:5353']
zone = 'localdev.me.'
ns = ['ns1.localdev.me.', 'ns.example.com.']
records = ['ns1 300 A 192.0.2.53', 'www 60 CNAME demo', '@ 60 TXT "v=spf1; -all" "b"', 'www.sub.localdev.me. 5 MX 10 @']
witnesses = ['100.125.1.250:53']
[[dns.local.secondaries]]
address = '10.0.0.54:53'
tsig = { name = 'xfer.', algorithm = 'hmac-sha256', secret_file = '/etc/pointsman/xfer.key' }
[[dns.local.secondaries]]
address = '10.0.0.55:53'
tsig = { name = 'other.', algorithm = 'hmac-sha512', secret_file = '/etc/pointsman/other.key' }
"#;

#[test]
fn a_zone_of_a_server_that_takes_updates_arrives_as_it_is_written() {
    let Provider { kind, witnesses } = only_zone(&good(RFC2136));
    let ProviderKind::Rfc2136(zone) = kind else { panic!("{kind:?}") };
    assert_eq!(
        (zone.server.to_string().as_str(), zone.zone.as_str()),
        ("[2001:db8::53]:5300", "localdev.me.")
    );
    assert_eq!((zone.tsig.name.as_str(), zone.tsig.algorithm), ("pointsman.", TsigAlgorithm::HmacSha384));
    assert_eq!(zone.tsig.secret_file, PathBuf::from("/etc/pointsman/tsig.key"));
    assert_eq!(witnesses, ["100.125.1.250:53".parse().unwrap(), "[2001:db8::1]:53".parse().unwrap()]);
}

#[test]
fn an_embedded_zone_arrives_as_it_is_written() {
    let Provider { kind, witnesses } = only_zone(&good(EMBEDDED));
    let ProviderKind::Embedded(EmbeddedZone { listen, zone, ns, records, secondaries }) = kind else {
        panic!("{kind:?}")
    };
    assert_eq!(listen, ["127.0.0.1:5353".parse().unwrap(), "[::1]:5353".parse().unwrap()]);
    assert_eq!(zone.as_str(), "localdev.me.");
    assert_eq!(ns.iter().map(Fqdn::as_str).collect::<Vec<_>>(), ["ns1.localdev.me.", "ns.example.com."]);
    let records: Vec<_> = records
        .iter()
        .map(|r| format!("{} {} {} {}", r.name, r.ttl.as_seconds(), r.data.record_type(), r.data))
        .collect();
    assert_eq!(
        records,
        [
            "ns1.localdev.me. 300 A 192.0.2.53",
            "www.localdev.me. 60 CNAME demo.localdev.me.",
            "localdev.me. 60 TXT v=spf1; -allb",
            "www.sub.localdev.me. 5 MX 10 localdev.me.",
        ]
    );
    let [one, other] = secondaries.as_slice() else { panic!("{secondaries:?}") };
    assert_eq!((one.address.to_string().as_str(), one.tsig.name.as_str()), ("10.0.0.54:53", "xfer."));
    assert_eq!((other.tsig.name.as_str(), other.tsig.algorithm), ("other.", TsigAlgorithm::HmacSha512));
    assert_eq!(other.tsig.secret_file, PathBuf::from("/etc/pointsman/other.key"));
    assert_eq!(witnesses, ["100.125.1.250:53".parse().unwrap()]);
}

#[test]
fn a_zone_of_the_cloud_has_witnesses_too() {
    let zone = "
[cloud.main]
region = 'cn-north-4'
[dns.private]
kind = 'huawei'
zone = 'localdev.me.'
zone_type = 'public'
witnesses = ['100.125.1.250:53']
";
    let Provider { kind, witnesses } = only_zone(&good(zone));
    assert!(matches!(kind, ProviderKind::Huawei(zone) if zone.zone_type == ZoneType::Public));
    assert_eq!(witnesses, ["100.125.1.250:53".parse().unwrap()]);
}

#[test]
fn a_service_of_an_embedded_zone_makes_its_record_set_whatever_is_written() {
    for (zone, create, made) in [
        (EMBEDDED, "", true),
        (EMBEDDED, "create = true", true),
        (EMBEDDED, "create = false", true),
        (RFC2136, "", false),
        (RFC2136, "create = true", true),
    ] {
        let service = SERVICE.replace("[[service]]", &format!("[[service]]\n{create}"));
        let loaded = config::parse(&format!("{zone}{service}"), Path::new("c.toml")).unwrap();
        assert_eq!(loaded.config.services[0].record.create, made, "{create}");
        // Elsewhere the TTL that is there stays; here nobody else can have set one.
        let ttl = loaded.config.services[0].record.ttl.map(Ttl::as_seconds);
        assert_eq!(ttl, (zone == EMBEDDED).then_some(30));
        assert_eq!(loaded.warnings.len(), usize::from(zone == EMBEDDED && create.ends_with("false")));
    }
}

#[test]
fn a_service_may_keep_the_zone_s_own_name_and_stand_beside_other_types() {
    let zone = EMBEDDED.replace("'@ 60 TXT", "'demo 30 AAAA 2001:db8::1', '@ 60 TXT");
    for domain in ["localdev.me.", "demo.localdev.me."] {
        let service = SERVICE.replace("demo.localdev.me.", domain);
        let loaded = config::parse(&format!("{zone}{service}"), Path::new("c.toml")).unwrap();
        assert_eq!(loaded.config.services[0].record.key.name.as_str(), domain);
    }
}

#[test]
fn records_and_their_sets_are_bounded() {
    let with = |records: &[String]| {
        let list: Vec<_> = records.iter().map(|record| format!("'{record}'")).collect();
        let old = EMBEDDED.lines().find(|line| line.starts_with("records")).unwrap();
        let zone = EMBEDDED.replace(old, &format!("records = ['ns1 300 A 192.0.2.53', {}]", list.join(", ")));
        config::parse(&format!("{zone}{SERVICE}"), Path::new("c.toml"))
    };
    let record = |number: usize| format!("r{number} 300 A 192.0.2.1");
    assert!(with(&(0..999).map(record).collect::<Vec<_>>()).is_ok());
    let told = |refused: Result<_, Problems>| {
        let problems: Vec<_> = refused.unwrap_err().0;
        assert_eq!(problems.len(), 1, "{problems:?}");
        problems[0].message.clone()
    };
    let many = told(with(&(0..1_000).map(record).collect::<Vec<_>>()).map(|_| ()));
    assert_eq!(many, "dns \"local\": records has 1001 entries; it takes 1000 at most");
    let text = |number: usize| format!("t 300 TXT \"{number:0255}\"");
    assert!(with(&(0..179).map(text).collect::<Vec<_>>()).is_ok());
    let long = told(with(&(0..180).map(text).collect::<Vec<_>>()).map(|_| ()));
    assert!(long.ends_with("makes all of that name and type too long for an answer"), "{long}");
}

#[test]
fn the_secret_of_a_key_is_judged_as_any_other() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.toml");
    for zone in [RFC2136, EMBEDDED] {
        std::fs::write(&path, format!("{zone}{SERVICE}")).unwrap();
        let Err(LoadError::Problems(problems)) = config::load(&path) else { panic!("its file is not there") };
        for problem in &problems.0 {
            assert!(problem.message.contains("tsig.secret_file: cannot read /etc/pointsman/"), "{problem}");
        }
        assert_eq!(problems.0.len(), if zone == EMBEDDED { 2 } else { 1 });
    }
}

fn good(zone: &str) -> Config {
    let loaded =
        config::parse(&format!("{zone}{SERVICE}"), Path::new("c.toml")).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(loaded.warnings, []);
    loaded.config
}

fn only_zone(config: &Config) -> Provider {
    assert_eq!(config.providers.len(), 1);
    config.providers.values().next().unwrap().clone()
}

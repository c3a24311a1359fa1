//! What a check or a region looks at and what a record set is, as short texts that stay the same over restarts and
//! versions: memory under another text is about something else and is not used.
//!
//! A check's text is a hash, since it goes to the disk, and no header's value is part of it (SECRETS-STAY).

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::model::{Check, CheckKind, ElbRef, HttpCheck, Record, RecordType, Region, Routing};

/// So many bytes of the hash tell a check from the one that it was before an edit.
const BYTES: usize = 8;

/// What a check looks at and what it expects there.
pub(super) fn of_check(check: &Check) -> String {
    let mut text = check.kind.as_str().to_owned();
    match &check.kind {
        CheckKind::Http(http) => add_http(&mut text, http),
        CheckKind::Tcp(tcp) => add(&mut text, &[&tcp.port, &tcp.source]),
        CheckKind::Elb(elb) => {
            add_elb(&mut text, &elb.elb);
            add(&mut text, &[&elb.min_healthy.to_string()]);
        }
        CheckKind::Eip(eip) => {
            add_elb(&mut text, &eip.elb);
            if eip.record_type == RecordType::Aaaa {
                add(&mut text, &[&eip.record_type]);
            }
        }
    }
    add(&mut text, &[&check.max_latency.map(|most| most.as_micros())]);
    let mut hex = String::with_capacity(2 * BYTES);
    for byte in Sha256::digest(text).iter().take(BYTES) {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

/// Where a region's addresses come from.
pub(super) fn of_addresses(region: &Region) -> String {
    match &region.elb {
        Some(elb) if region.addresses.is_empty() => {
            format!("elb {}/{}/{}", elb.cloud, elb.cloud_region, elb.id)
        }
        Some(_) | None => {
            let mut text = "fixed".to_owned();
            for address in &region.addresses {
                let _ = write!(text, " {address}");
            }
            text
        }
    }
}

/// Which record set, and where it lives.
pub(super) fn of_record(record: &Record) -> String {
    let spread = match &record.key.routing {
        Routing::Only | Routing::Line(_) => "",
        Routing::Weighted(_) => ", weighted,",
    };
    format!("{}{spread} in {}", record.key, record.provider)
}

/// Not the user agent, which names the version, and not what only changes how the look is made.
fn add_http(text: &mut String, http: &HttpCheck) {
    let names: Vec<&String> = http.headers.iter().map(|(name, _)| name).collect();
    let regex = http.expect_body_regex.as_ref().map(regex::bytes::Regex::as_str);
    add(text, &[&http.port, &http.method, &http.path, &http.host, &names, &http.source]);
    add(text, &[&http.expect_status.to_string(), &http.expect_body, &regex]);
    let tls = &http.tls;
    let client = tls.client_cert.as_ref().map(|client| &client.cert_file);
    add(text, &[&tls.verify, &tls.ca_file, &tls.server_name, &client]);
}

fn add_elb(text: &mut String, elb: &ElbRef) {
    add(text, &[&elb.cloud, &elb.cloud_region, &elb.id, &elb.listener_port]);
}

/// Each part quoted as `Debug` does, so that no two lists of parts make one text.
fn add(text: &mut String, parts: &[&dyn std::fmt::Debug]) {
    for part in parts {
        let _ = write!(text, " {part:?}");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::model::{
        CheckName, CloudName, EipCheck, ElbCheck, Expression, Flap, MinHealthy, RegionName, Scheme, Secret,
        StatusSet, TcpCheck, Threshold, Weight, WhenUnknown,
    };

    fn check(kind: CheckKind) -> Check {
        let three = Threshold::in_a_row(3).unwrap();
        Check {
            name: CheckName::parse("web").unwrap(),
            kind,
            interval: Duration::from_secs(5),
            fast_interval: Duration::from_secs(1),
            timeout: Duration::from_secs(2),
            max_latency: None,
            fall: three,
            rise: three,
            vote: true,
            when_unknown: WhenUnknown::Keep,
        }
    }

    fn web(edit: impl FnOnce(&mut HttpCheck)) -> String {
        let headers = vec![("Authorization".to_owned(), Secret::new("Bearer hunter2"))];
        let mut http = HttpCheck { headers, ..HttpCheck::plain() };
        edit(&mut http);
        of_check(&check(CheckKind::Http(Arc::new(http))))
    }

    #[test]
    fn a_text_is_the_same_in_every_version() {
        let tcp = check(CheckKind::Tcp(TcpCheck { port: 80, source: None }));
        assert_eq!(of_check(&tcp), "b1700af0082267a9");
        assert_eq!(web(|_| {}), web(|http| http.user_agent = "pointsman/9.9.9 (demo)".to_owned()));
    }

    #[test]
    fn another_thing_to_look_at_or_to_expect_makes_another_text() {
        let edits: [fn(&mut HttpCheck); 7] = [
            |http| http.port = 81,
            |http| http.path = "/ready".to_owned(),
            |http| http.host = "other.localdev.me".to_owned(),
            |http| http.scheme = Scheme::Https,
            |http| http.expect_status = StatusSet::new(vec![200..=299]).unwrap(),
            |http| http.expect_body = Some("ok".to_owned()),
            |http| http.tls.verify = false,
        ];
        for (place, edit) in edits.into_iter().enumerate() {
            assert_ne!(web(edit), web(|_| {}), "the edit at {place}");
        }
    }

    fn elb(id: &str, listener_port: u16) -> ElbRef {
        let (cloud, cloud_region) = (CloudName::parse("main").unwrap(), "cn-north-4".to_owned());
        ElbRef { cloud, cloud_region, id: id.to_owned(), listener_port }
    }

    #[test]
    fn another_load_balancer_listener_count_or_family_makes_another_text() {
        let backends = |elb, least| of_check(&check(CheckKind::Elb(ElbCheck { elb, min_healthy: least })));
        let eip = |elb, record_type| of_check(&check(CheckKind::Eip(EipCheck { elb, record_type })));
        let texts = [
            backends(elb("a", 80), MinHealthy::Count(1)),
            backends(elb("a", 80), MinHealthy::Count(2)),
            backends(elb("a", 81), MinHealthy::Count(1)),
            backends(elb("b", 80), MinHealthy::Count(1)),
            eip(elb("a", 80), RecordType::A),
            eip(elb("b", 80), RecordType::A),
            eip(elb("a", 80), RecordType::Aaaa),
        ];
        let apart: std::collections::BTreeSet<&String> = texts.iter().collect();
        assert_eq!(apart.len(), texts.len(), "{texts:?}");
        assert_eq!(texts[4], "816f255980498f84", "the same in every version");
    }

    #[test]
    fn addresses_that_are_configured_are_where_a_regions_come_from() {
        let region = |elb: Option<ElbRef>, addresses: &[&str]| Region {
            name: RegionName::parse("r1").unwrap(),
            tier: 1,
            weight: Weight::DEFAULT,
            elb,
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
            checks: Vec::new(),
            up_when: Expression::Check(CheckName::parse("web").unwrap()),
            recover_after: Duration::ZERO,
            flap: Flap { window: Duration::ZERO, factor: 1.0, max: Duration::ZERO },
        };
        let found = of_addresses(&region(Some(elb("a", 80)), &[]));
        assert_eq!(found, "elb main/cn-north-4/a");
        let fixed = of_addresses(&region(Some(elb("a", 80)), &["192.0.2.1", "192.0.2.2"]));
        assert_eq!(fixed, "fixed 192.0.2.1 192.0.2.2");
        assert_eq!(of_addresses(&region(None, &["192.0.2.1", "192.0.2.2"])), fixed);
    }

    #[test]
    fn a_headers_value_cannot_be_guessed_from_it() {
        let other = |http: &mut HttpCheck| http.headers[0].1 = Secret::new("Bearer swordfish");
        assert_eq!(web(other), web(|_| {}), "SECRETS-STAY");
    }
}

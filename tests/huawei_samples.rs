//! Every sample answer, served over real HTTP to the call it is for, yields the facts that a client must get
//! out of it. A fact that is neither compared nor listed as none of ours fails the test.

#![cfg(test)] // the helpers below are of tests too

mod huawei_sample;
#[expect(dead_code, reason = "each test takes the part of it that it needs")]
mod huawei_server;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use huawei_sample::{Sample, metadata};
use huawei_server::{Customer, PROJECT, Projects, REGION, Received, Server, customer, within};
use pointsman::config::ZoneType;
use pointsman::huawei::{
    ApiError, ApiErrorKind, Class, DnsRecordSet, Eip, LoadBalancer, Member, MemberState, NewRecordSet,
};
use pointsman::model::{Fqdn, RecordKey, RecordType};
use serde_json::{Value, json};

/// Samples of a service that is not called yet: notifications.
const LATER: [&str; 1] = ["smn-"];

/// All samples, without those [`LATER`].
const COVERED: usize = 90;

/// Facts that pointsman takes no decision on, and so does not read.
const NOT_OURS: [&str; 42] = [
    // Of load balancers, listeners, pools, members, health monitors.
    "provisioning_status",
    "vip_address",
    "vpc_id",
    "frozen_scene",
    "ipv6_vip_address",
    "loadbalancer_ids",
    "port_ranges",
    "minimum_healthy",
    "member_types",
    "reason_detail",
    "listener_status",
    "pool_status",
    "pools_without_healthmonitor",
    "l7policies",
    "url_path",
    "expected_codes",
    "domain_name",
    "max_retries",
    // Of what this file calls by another name: a pool's listeners, a monitor's pools, a switch of theirs.
    "listener_ids of pools",
    "pool_ids of monitors",
    "admin_state_up of others",
    // Passed over, as the sample's having been understood shows.
    "unknown_fields",
    // What the vendor's own decoder is for.
    "encoded_authorization_message",
    // Of addresses.
    "private_ip_address",
    // Of zones and record sets: VPCs, lines and weights come later, times and owners never.
    "routers",
    "proxy_pattern",
    "line",
    "weight",
    "updated",
    "default",
    "zone_id",
    "zone_name",
    "zone_ids of sets",
    "system_made",
    "types",
    "names",
    // Of projects.
    "enabled",
    "domain_ids",
    // Shown by the ids that are compared.
    "current_count",
    "total_count",
    "absent_ids",
    "publicips of balancers",
];

#[tokio::test]
async fn every_sample_yields_its_facts_through_the_call_it_is_for() {
    let samples = Sample::all();
    assert_eq!(samples.len(), 91, "a sample is missing");
    let mut covered = 0;
    for sample in samples.values() {
        if LATER.iter().any(|group| sample.name.starts_with(group)) {
            continue;
        }
        covered += 1;
        if sample.is("metadata-") {
            assert_eq!(metadata::facts_of(sample).await, sample.expect, "{}", sample.name);
        } else {
            check(sample, &samples).await;
        }
    }
    assert_eq!(covered, COVERED);
}

async fn check(sample: &Sample, samples: &BTreeMap<String, Sample>) {
    let server = Server::start(sample.script(samples)).await;
    let projects = if sample.is("iam-") { Projects::LookedUp } else { Projects::Configured };
    let customer = customer(&server.url(), projects);
    let facts = Facts::of(sample);
    match facts.call(&customer).await {
        Ok(()) => assert!(!facts.expects_error(), "{}: there is no error", sample.name),
        Err(error) => facts.compare_error(&error),
    }
    let received = server.received();
    facts.compare_requests(&received);
    facts.nothing_is_left();
}

// ---- the facts ----

/// A sample's facts, and which of them have been compared.
struct Facts<'a> {
    sample: &'a Sample,
    compared: RefCell<BTreeSet<String>>,
}

impl<'a> Facts<'a> {
    fn of(sample: &'a Sample) -> Self {
        Self { sample, compared: RefCell::default() }
    }

    fn fact(&self, key: &str) -> Option<&'a Value> {
        let fact = self.sample.expect.get(key)?;
        self.compared.borrow_mut().insert(key.to_owned());
        Some(fact)
    }

    /// The fact, where the sample has it, is this.
    fn is(&self, key: &str, got: impl Into<Value>) {
        if let Some(expected) = self.fact(key) {
            assert_eq!(&got.into(), expected, "{}: {key}", self.sample.name);
        }
    }

    /// What the sample calls so is none of ours, under this entry of [`NOT_OURS`].
    fn not_ours(&self, key: &str, entry: &str) {
        assert!(NOT_OURS.contains(&entry), "{entry}");
        let _ = self.fact(key);
    }

    fn map(&self, key: &str) -> Vec<(&'a str, &'a Value)> {
        let map = self.fact(key).and_then(Value::as_object);
        map.into_iter().flatten().map(|(name, value)| (name.as_str(), value)).collect()
    }

    fn expects_error(&self) -> bool {
        ["status", "malformed"].iter().any(|key| {
            self.sample.expect.get(*key).is_some_and(|fact| fact.is_number() || *fact == Value::Bool(true))
        }) || ["iam-keystone_list_projects-none", "iam-keystone_list_projects-several"]
            .contains(&self.sample.name.as_str())
    }

    fn nothing_is_left(&self) {
        let compared = self.compared.borrow();
        for key in self.sample.expect.keys() {
            assert!(
                compared.contains(key) || NOT_OURS.contains(&key.as_str()),
                "{}: the fact {key} is not compared",
                self.sample.name
            );
        }
    }

    /// Makes the call that the sample is for.
    async fn call(&self, customer: &Customer) -> Result<(), ApiError> {
        let Customer { account, .. } = customer;
        let sample = self.sample;
        // A Retry-After must not fit, so that the test need not wait for it.
        let retry_after = sample.header("Retry-After").map_or(60, |after| after.parse().unwrap());
        let deadline = within((retry_after * 1000).min(30_000) - 500);
        let pools = || match sample.after("pools") {
            pool if pool.is_empty() => sample.asked("pool_id"),
            pool => vec![pool],
        };
        match sample.name.split('-').take(2).collect::<Vec<_>>().join("-").as_str() {
            "elb-list_all_members" | "elb-list_members" => {
                self.members(&account.members(REGION, &pools(), deadline).await?);
            }
            "elb-list_listeners" => {
                let balancer = &sample.asked("loadbalancer_id")[0];
                let mut expected = self.map("listeners");
                if expected.is_empty() {
                    let port = sample.asked("protocol_port")[0].parse().unwrap();
                    assert_eq!(account.listeners(REGION, balancer, port, deadline).await?, []);
                }
                expected.sort_by_key(|(_, listener)| listener["protocol_port"].as_u64());
                for (id, listener) in expected {
                    let port = u16::try_from(listener["protocol_port"].as_u64().unwrap()).unwrap();
                    let found = account.listeners(REGION, balancer, port, deadline).await?;
                    assert_eq!(found.len(), 1, "{}", sample.name);
                    assert_eq!(found[0].id, id);
                    assert_eq!(found[0].protocol, listener["protocol"].as_str().unwrap());
                    assert_eq!(found[0].protocol_port, port);
                    assert_eq!(found[0].default_pool_id.as_deref(), listener["default_pool_id"].as_str());
                }
            }
            "elb-list_load_balancers" => {
                // Pages are told apart by marker alone: whoever asks for all three gets both.
                let mut ids = sample.asked("id");
                ids.extend(
                    ["6a5ae231-4375-538c-90b8-471be92ccfcf", "4067e2d5-dd1c-5ea2-99c4-3a803f2b2286"]
                        .map(str::to_owned),
                );
                ids.push("20a677a3-6827-5acf-b152-d70fede13e04".to_owned());
                let found = account.load_balancers(REGION, &ids, deadline).await?;
                self.page_of_ids("ids", found.iter().map(|one| one.id.as_str()));
                for (id, eips) in self.map("eips_by_id") {
                    let one = found.iter().find(|one| one.id == id).unwrap();
                    assert_eq!(&json!(one.eips), eips, "{}", sample.name);
                }
                for id in self.fact("absent_ids").and_then(Value::as_array).into_iter().flatten() {
                    assert!(!found.iter().any(|one| one.id == id.as_str().unwrap()));
                }
            }
            "elb-show_load_balancer" => {
                self.load_balancer(
                    &account.load_balancer(REGION, &sample.after("loadbalancers"), deadline).await?,
                );
            }
            "elb-show_load_balancer_status" => {
                let id = sample.after("loadbalancers");
                let tree = account.load_balancer_statuses(REGION, &id, deadline).await?;
                self.is("loadbalancer_status", tree.operating_status);
                for (listener, pools) in self.map("listener_pools") {
                    let found = tree.listeners.iter().find(|one| one.id == listener).unwrap();
                    let ids: Vec<_> = found.pools.iter().map(|pool| &pool.id).collect();
                    assert_eq!(&json!(ids), pools, "{}", sample.name);
                }
                for (pool, members) in self.map("member_status") {
                    let mut pools = tree.listeners.iter().flat_map(|listener| &listener.pools);
                    let found = pools.find(|one| one.id == pool).unwrap();
                    let got: BTreeMap<_, _> =
                        found.members.iter().map(|member| (member.id.as_str(), member.state)).collect();
                    assert_eq!(got, states(members), "{}", sample.name);
                }
            }
            "elb-list_pools" => {
                let listener = sample.asked("listener_id").pop().unwrap_or_default();
                let found = account.pools(REGION, &listener, deadline).await?;
                let by_id = |id: &str| found.iter().find(|pool| pool.id == id).unwrap();
                self.is("pool_ids", found.iter().map(|pool| pool.id.clone()).collect::<Vec<_>>());
                for (id, monitor) in self.map("healthmonitor") {
                    assert_eq!(by_id(id).healthmonitor_id.as_deref(), monitor.as_str());
                }
                for (id, members) in self.map("member_ids") {
                    assert_eq!(&json!(by_id(id).member_ids), members);
                }
                self.not_ours("listener_ids", "listener_ids of pools");
            }
            "elb-show_health_monitor" => {
                let found = account.health_monitor(REGION, &sample.after("healthmonitors"), deadline).await?;
                self.is("id", found.id);
                self.is("type", found.kind);
                self.is("delay_s", found.delay_s);
                self.is("timeout_s", found.timeout_s);
                self.is("max_retries_down", found.max_retries_down);
                self.is("detection_s", found.delay_s * found.max_retries_down);
                self.is("admin_state_up", found.admin_state_up);
                self.not_ours("pool_ids", "pool_ids of monitors");
            }
            "eip-list_publicips" | "eip-list_publicips_v1" | "eip-show_publicip" => {
                let expected = self.map("publicips");
                if let Some(balancer) = sample.asked("associate_instance_id").first() {
                    let found = account.eips_of_elb(REGION, balancer, deadline).await?;
                    assert_eq!(found.len(), expected.len(), "{}", sample.name);
                    for (id, eip) in expected {
                        self.eip(found.iter().find(|one| one.id == id).unwrap(), eip);
                    }
                } else {
                    for (id, eip) in expected {
                        let address: IpAddr = eip["address"].as_str().unwrap().parse().unwrap();
                        let found = account.eips_by_address(REGION, address, deadline).await?;
                        assert_eq!(found.len(), 1, "{}", sample.name);
                        assert_eq!(found[0].id, id);
                        self.eip(&found[0], eip);
                    }
                }
            }
            "dns-list_private_zones" | "dns-list_public_zones" => {
                let public = sample.is("dns-list_public");
                let zone_type = if public { ZoneType::Public } else { ZoneType::Private };
                let name = Fqdn::parse(&sample.asked("name")[0]).unwrap();
                let found = account.zones(REGION, zone_type, &name, deadline).await?;
                let ids: Vec<_> = found.iter().map(|zone| zone.id.clone()).collect();
                self.is("exact_ids", ids.clone());
                self.is("zone_ids", ids);
                assert!(found.iter().all(|zone| zone.name == name));
                let by_id = |id: &str| found.iter().find(|zone| zone.id == id).unwrap();
                for (id, zone_type) in self.map("zone_type") {
                    assert_eq!(by_id(id).zone_type, zone_type.as_str().unwrap());
                }
                for (id, status) in self.map("status") {
                    assert_eq!(by_id(id).status, status.as_str().unwrap());
                }
            }
            "dns-list_record_sets_by_zone"
            | "dns-list_record_sets_with_line"
            | "dns-show_record_set_by_zone" => {
                let zone = sample.after("zones");
                let key = RecordKey::new(Fqdn::parse("demo.localdev.me.").unwrap(), RecordType::A);
                let found = account.record_sets(REGION, &zone, &key, deadline).await?;
                self.is("exact_ids", found.iter().map(|set| set.id.clone()).collect::<Vec<_>>());
                assert!(!found.is_empty());
                assert!(found.iter().all(|set| set.name == "demo.localdev.me." && set.record_type == "A"));
                let all = |key: &str, of: fn(&DnsRecordSet) -> Value| {
                    let expected: BTreeMap<_, _> = self.map(key).into_iter().collect();
                    for set in found.iter().filter(|_| !expected.is_empty()) {
                        assert_eq!(Some(&&of(set)), expected.get(set.id.as_str()), "{}: {key}", sample.name);
                    }
                };
                all("records", |set| json!(set.records));
                all("ttl", |set| json!(set.ttl));
                all("status", |set| json!(set.status));
                self.not_ours("zone_ids", "zone_ids of sets");
            }
            "dns-show_record_set" => {
                let (zone, id) = (sample.after("zones"), sample.after("recordsets"));
                self.record_set(&account.record_set(REGION, &zone, &id, deadline).await?);
            }
            "dns-create_record_set" => {
                let zone = sample.after("zones");
                self.record_set(
                    &account.create_record_set(REGION, &zone, &self.body_sent(), deadline).await?,
                );
            }
            "dns-update_record_set" | "dns-update_record_sets" | "dns-set_record_sets_status" => {
                let (zone, id) = (sample.after("zones"), sample.after("recordsets"));
                let body = self.body_sent();
                self.record_set(&account.update_record_set(REGION, &zone, &id, &body, deadline).await?);
            }
            "iam-keystone_list_projects" => {
                let id = account.project_id(REGION, deadline).await?;
                self.is("project_ids", vec![&*id]);
            }
            other => panic!("no call is known for {other}"),
        }
        Ok(())
    }

    // ---- what single answers hold ----

    /// Ids that are this page's, of a list that was read to its end.
    fn page_of_ids<'b>(&self, key: &str, got: impl Iterator<Item = &'b str>) {
        let Some(expected) = self.fact(key) else { return };
        let expected: Vec<&str> =
            expected.as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
        let got: Vec<&str> = got.collect();
        let own = match self.sample.name.rsplit_once('-').unwrap().1 {
            "page1" => &got[..expected.len()],
            "page2" => &got[got.len() - expected.len()..],
            _ => &got[..],
        };
        assert_eq!(own, expected, "{}: {key}", self.sample.name);
    }

    fn members(&self, found: &[Member]) {
        let name = &self.sample.name;
        self.page_of_ids("ids", found.iter().map(|member| member.id.as_str()));
        let by_id = |id: &str| found.iter().find(|member| member.id == id).unwrap();
        for (id, state) in self.map("operating_status") {
            assert_eq!(by_id(id).operating_status, state_of(state), "{name}");
        }
        for (listener, members) in self.map("effective_status") {
            let got: BTreeMap<_, _> =
                found.iter().map(|member| (member.id.as_str(), member.state_for(listener).0)).collect();
            assert_eq!(got, states(members), "{name}");
        }
        for (listener, online) in self.map("online_with_weight") {
            let got: Vec<_> = found
                .iter()
                .filter(|member| member.state_for(listener).0 == MemberState::Online)
                .filter(|member| member.weight > 0 && member.admin_state_up)
                .map(|member| &member.id)
                .collect();
            assert_eq!(&json!(got), online, "{name}");
        }
        for (id, weight) in self.map("weights") {
            assert_eq!(u64::from(by_id(id).weight), weight.as_u64().unwrap(), "{name}");
        }
        for (id, address) in self.map("addresses") {
            let member = by_id(id);
            let got = std::net::SocketAddr::new(member.address.parse().unwrap(), member.protocol_port);
            assert_eq!(got.to_string(), address.as_str().unwrap(), "{name}");
        }
        if let Some(expected) = self.fact("reason_codes") {
            let got: BTreeMap<_, _> = found
                .iter()
                .filter_map(|member| Some((&member.id, member.by_listener.first()?.reason_code.as_ref()?)))
                .collect();
            assert_eq!(&json!(got), expected, "{name}");
        }
        if let Some(expected) = self.fact("admin_down") {
            let got: Vec<_> =
                found.iter().filter(|member| !member.admin_state_up).map(|member| &member.id).collect();
            assert_eq!(&json!(got), expected, "{name}");
        }
    }

    fn load_balancer(&self, found: &LoadBalancer) {
        self.is("id", found.id.clone());
        self.is("name", found.name.clone());
        self.is("operating_status", found.operating_status.clone());
        self.is("guaranteed", found.guaranteed);
        self.is("listener_ids", found.listener_ids.clone());
        self.is("pool_ids", found.pool_ids.clone());
        self.not_ours("publicips", "publicips of balancers");
        self.not_ours("admin_state_up", "admin_state_up of others");
        let global = self.fact("global_eips").and_then(Value::as_array).cloned().unwrap_or_default();
        if let Some(eips) = self.fact("eips") {
            let all = eips.as_array().map(|eips| [eips.clone(), global].concat());
            assert_eq!(json!(found.eips), json!(all), "{}: eips", self.sample.name);
        }
        for (key, of_family) in
            [("eips_v4", IpAddr::is_ipv4 as fn(&IpAddr) -> bool), ("eips_v6", IpAddr::is_ipv6)]
        {
            let addresses: Vec<_> = found.eips.iter().flatten().filter(|one| of_family(one)).collect();
            self.is(key, json!(addresses));
        }
    }

    fn eip(&self, found: &Eip, expected: &Value) {
        for (key, fact) in expected.as_object().unwrap() {
            let got = match key.as_str() {
                "address" => json!(found.address),
                "status" => json!(found.status),
                "associate_instance_type" => json!(found.associate_instance_type),
                "associate_instance_id" => json!(found.associate_instance_id),
                "lock_status" => json!(found.lock_status),
                other => {
                    assert!(
                        NOT_OURS.contains(&other),
                        "{}: the fact {other} is not compared",
                        self.sample.name
                    );
                    continue;
                }
            };
            assert_eq!(&got, fact, "{}: {key}", self.sample.name);
        }
    }

    fn record_set(&self, found: &DnsRecordSet) {
        self.is("id", found.id.clone());
        self.is("name", found.name.clone());
        self.is("type", found.record_type.clone());
        self.is("ttl", found.ttl);
        self.is("records", found.records.clone());
        self.is("status", found.status.clone());
        self.is("description", found.description.clone());
    }

    /// The body of the sample's request, as far as it is one of ours.
    fn body_sent(&self) -> NewRecordSet {
        let sent = &self.sample.sent;
        let text = |value: &Value| value.as_str().unwrap_or("any").to_owned();
        let records = sent["records"]
            .as_array()
            .map_or(vec!["192.0.2.1".to_owned()], |all| all.iter().map(text).collect());
        NewRecordSet {
            name: text(&sent["name"]),
            record_type: text(&sent["type"]),
            ttl: sent["ttl"].as_u64().map_or(300, |ttl| u32::try_from(ttl).unwrap()),
            records,
            description: sent["description"].as_str().map(str::to_owned),
            line: None,
            weight: None,
        }
    }

    // ---- errors and requests ----

    fn compare_error(&self, error: &ApiError) {
        let name = &self.sample.name;
        assert!(self.expects_error(), "{name}: {error}");
        if self.sample.is("iam-") && self.sample.status == 200 {
            assert_eq!(*error.kind(), ApiErrorKind::Project, "{name}");
            for id in self.fact("project_ids").unwrap().as_array().unwrap() {
                assert!(error.message().contains(id.as_str().unwrap()), "{name}: {error}");
            }
            assert!(error.message().contains("project_id in [cloud.main]"), "{name}: {error}");
            return;
        }
        if self.fact("malformed").is_some() {
            assert_eq!(*error.kind(), ApiErrorKind::Malformed, "{name}: {error}");
            return;
        }
        self.is("status", error.status());
        self.is("error_code", error.code());
        self.is("error_msg", error.message());
        self.is("request_id", error.request_id());
        self.is("trace_id", error.request_id());
        let id = self.sample.header("X-Request-Id").or(self.sample.header("X-IAM-Trace-Id"));
        assert_eq!(error.request_id(), id, "{name}");
        self.is("retry_after", error.retry_after().map(|after| after.as_secs().to_string()));
        if self.fact("date").is_some() {
            assert!(error.to_string().contains("this machine's clock is"), "{name}: {error}");
        }
        let status = self.sample.status;
        assert_eq!(error.is_not_found(), status == 404, "{name}");
        self.is("class", error.class().map(in_the_samples_words));
        let (throttled, failed) = (Some(Class::Throttled), Some(Class::Fault));
        assert!(status != 429 || error.class() == throttled, "{name}");
        assert_eq!(error.is_throttle(), error.class() == throttled, "{name}");
        assert_eq!(error.is_credentials(), status == 401, "{name}");
        let is_refusal = (400..500).contains(&status) && ![throttled, failed].contains(&error.class());
        assert_eq!(error.is_refusal(), is_refusal, "{name}");
        let is_write = self.sample.method != "GET";
        assert_eq!(error.outcome_unknown(), is_write && error.class() == failed, "{name}");
    }

    /// What was asked is what the sample's own request asks, and no more often than it must be.
    fn compare_requests(&self, received: &[Received]) {
        let sample = self.sample;
        let name = &sample.name;
        // These answers belong to calls that are not made; another call's answer has the same shape.
        let borrowed =
            ["_v1-", "show_publicip", "elb-list_members", "with_line", "set_by_zone", "sets-weight"]
                .iter()
                .chain(&["status-disable", "no-health-monitor"])
                .any(|part| sample.name.contains(part));
        let paged = sample.name.ends_with("-page1") || sample.name.ends_with("-page2");
        for request in received {
            assert_eq!(request.method, sample.method, "{name}");
            assert_eq!(request.headers.contains_key("x-project-id"), !sample.is("iam-"), "{name}");
            assert_eq!(request.headers["x-security-token"], huawei_server::TOKEN, "{name}");
            if borrowed {
                continue;
            }
            assert_eq!(request.path, sample.path, "{name}");
            for (key, value) in
                sample.query.iter().filter(|(key, _)| !matches!(key.as_str(), "limit" | "marker"))
            {
                let same =
                    |(k, v): &(String, String)| k == key && (v == value || name.contains("by-address"));
                assert!(
                    request.query.iter().any(same),
                    "{name}: {key}={value} is not in {:?}",
                    request.query
                );
            }
            if !sample.sent.is_null() {
                let mut sent = sample.sent.clone();
                sent.as_object_mut().unwrap().remove("tags"); // none are set by us
                assert_eq!(serde_json::from_slice::<Value>(&request.body).unwrap(), sent, "{name}");
            }
        }
        if let Some(marker) = self.fact("next_marker") {
            let asked = received.iter().filter_map(|request| request.query("marker")).collect::<Vec<_>>();
            match marker.as_str() {
                Some(marker) => assert_eq!(asked, [marker], "{name}"),
                None => {
                    assert_eq!((received.len(), asked.len()), if paged { (2, 1) } else { (1, 0) }, "{name}");
                }
            }
        }
        if let Some(retryable) = self.fact("retryable") {
            let again = *retryable == Value::Bool(true) && sample.header("Retry-After").is_none()
                || sample.header("Date").is_some(); // refused for its time, perhaps: signed anew once
            assert_eq!(received.len() > 1, again, "{name}: sent {} times", received.len());
        }
        if sample.expect.contains_key("malformed") {
            assert_eq!(received.len(), 1, "{name}");
        }
        assert_eq!(sample.path.contains(PROJECT), sample.is("elb-") || sample.is("eip-"), "{name}");
    }
}

fn in_the_samples_words(class: Class) -> &'static str {
    match class {
        Class::Throttled => "throttle",
        Class::Conflict => "conflict",
        Class::Keys => "keys",
        Class::Locked => "locked",
        Class::Clock => "clock",
        Class::Permission => "permission",
        Class::Missing => "missing",
        Class::NotSaid => "not said",
        Class::Quota => "quota",
        Class::Malformed => "malformed",
        Class::Fault => "service",
        Class::Frozen => "account",
    }
}

fn state_of(word: &Value) -> MemberState {
    MemberState::from(word.as_str().unwrap().to_owned())
}

fn states(members: &Value) -> BTreeMap<&str, MemberState> {
    members.as_object().unwrap().iter().map(|(id, state)| (id.as_str(), state_of(state))).collect()
}

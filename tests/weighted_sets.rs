//! `policy = "weighted"` in a public zone: the real reconciler and provider against the simulated cloud, with every call of
//! a write failing in every way. Clients always get some address of ours, and in the end what is wanted (NEVER-EMPTY).
#![cfg(test)] // makes clippy take the helpers below for tests too

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use pointsman::clock::instant_now;
use pointsman::config::{Cloud, CredentialsFrom, Endpoints, HuaweiZone, ZoneType};
use pointsman::core::{Call, Generation, Plan, Reconciler, Report, Timing, WriteRules};
use pointsman::dns::{HuaweiProvider, Provider};
use pointsman::huawei::{Account, NewRecordSet, Switch};
use pointsman::model::{
    Alarm, CloudName, Fqdn, Line, Moment, OnDrift, Part, ProviderName, Record, RecordKey, RecordType,
    Routing, ServiceName, Weight, WriteBudget,
};
use pointsman::sim::{Api, Effect, Fault, MoreSet, Setup, SimulatedCloud};
use serde_json::Value;

const CLOUD_REGION: &str = "cn-north-4";
/// No schedule of these takes more turns to settle.
const TURNS: usize = 400;
const FOREIGN: u8 = 99;
/// Most of their time they wait.
const AT_ONCE: usize = 16;

fn address(last: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, last).into()
}

fn addresses(last: &[u8]) -> BTreeSet<IpAddr> {
    last.iter().copied().map(address).collect()
}

fn key() -> RecordKey {
    let name = Fqdn::parse("demo.localdev.me.").unwrap();
    RecordKey { name, record_type: RecordType::A, routing: Routing::Weighted(Line::everybody()) }
}

/// A set as it stands in the zone at first.
fn set(weight: u16, values: &[u8]) -> MoreSet {
    let values = values.iter().copied().map(address).collect();
    MoreSet { record_type: "A".to_owned(), line: "default_view".to_owned(), weight: Some(weight), values }
}

/// Region `n` has the addresses 1n and, from before, 2n.
fn plan(generation: u64, regions: &[(u16, &[u8])]) -> Arc<Plan> {
    let part = |(place, (weight, values)): (u8, &(u16, &[u8]))| Part {
        weight: Weight::from_number(*weight).unwrap(),
        values: addresses(values),
        owned: addresses(&[10 + place, 20 + place]),
    };
    let parts: Vec<Part> = (1..).zip(regions).map(part).collect();
    let all = |of: fn(&Part) -> &BTreeSet<IpAddr>| parts.iter().flat_map(of).copied().collect();
    Arc::new(Plan {
        service: ServiceName::parse("demo").unwrap(),
        key: key(),
        generation: Generation(generation),
        wanted: all(|part| &part.values),
        owned: all(|part| &part.owned),
        parts,
        ttl: None,
        may_write: true,
        only_from: None,
        is_rescue: false,
        words: 0,
        regions: Vec::new(),
        held: Vec::new(),
    })
}

/// A zone, and what is driven against it.
struct Zone {
    cloud: SimulatedCloud,
    account: Account,
    provider: HuaweiProvider,
    reconciler: Reconciler,
    now: Moment,
    reports: Vec<Report>,
    _keys: tempfile::NamedTempFile,
}

impl Zone {
    async fn start(sets: Vec<MoreSet>) -> Self {
        Self::start_with(sets, OnDrift::Mend, 1).await
    }

    async fn start_with(more_sets: Vec<MoreSet>, on_drift: OnDrift, min_published: u32) -> Self {
        let two = Setup::two_regions().in_a_public_zone();
        let settle = Duration::from_millis(5);
        let setup = Setup { settle, values: Some(Vec::new()), more_sets, neighbours: Vec::new(), ..two };
        let cloud = SimulatedCloud::start(setup).await.unwrap();
        let mut keys = tempfile::NamedTempFile::new().unwrap();
        keys.write_all(cloud.setup().secret_key.expose().as_bytes()).unwrap();
        let here = || Some(cloud.endpoint());
        let settings = Cloud {
            credentials: CredentialsFrom::Keys {
                access_key: cloud.setup().access_key.clone(),
                secret_key_file: keys.path().to_owned(),
                security_token_file: None,
            },
            region: CLOUD_REGION.to_owned(),
            project_id: None,
            domain_id: None,
            endpoints: Endpoints { iam: here(), elb: here(), eip: here(), dns: here(), metadata: here() },
        };
        let name = CloudName::parse("main").unwrap();
        let account = Account::new(name.clone(), &settings, Arc::new(|_| ())).unwrap();
        let zone = HuaweiZone {
            cloud: name,
            cloud_region: CLOUD_REGION.to_owned(),
            zone: Fqdn::parse("localdev.me.").unwrap(),
            zone_type: ZoneType::Public,
        };
        let record = Record {
            key: key(),
            provider: ProviderName::parse("public").unwrap(),
            ttl: None,
            create: false,
            on_drift,
        };
        let budget = WriteBudget { writes: 100, window: Duration::from_secs(600) };
        let rules = WriteRules { min_published, budget };
        let timing = Timing { resync: Duration::from_secs(60) };
        let provider = HuaweiProvider::new(account.clone(), zone);
        let reconciler = Reconciler::new(record, rules, timing, false, Moment::START);
        Self { cloud, account, provider, reconciler, now: Moment::START, reports: Vec::new(), _keys: keys }
    }

    /// Follows the plan until the sets are as they should be and nothing is to be done for a resync.
    async fn follow(&mut self, plan: &Arc<Plan>) {
        self.reconciler.handle_plan(self.now, Arc::clone(plan));
        let from = self.reports.len();
        for _ in 0..TURNS {
            self.turn().await;
            let tells = |report: &&Report| {
                matches!(report, Report::InSync | Report::Sent { .. } | Report::Alarmed { .. })
            };
            if self.reports[from..].iter().rfind(tells) == Some(&Report::InSync) {
                return;
            }
        }
        panic!("not settled: {:#?}\n{:#}", &self.reports[from..], self.sets());
    }

    /// One call, or the wait for it.
    async fn turn(&mut self) {
        let deadline = instant_now() + Duration::from_secs(10);
        match self.reconciler.poll_call(self.now) {
            Some(Call::Read) => {
                let answer = self.provider.read(&key(), deadline).await;
                self.reconciler.handle_read(self.now, answer);
            }
            Some(Call::Replace { found, set }) => {
                let result = self.provider.replace(&key(), &found, &set, deadline).await;
                self.reconciler.handle_written(self.now, result);
            }
            Some(Call::Create { set }) => {
                let result = self.provider.create(&key(), &set, deadline).await;
                self.reconciler.handle_written(self.now, result);
            }
            None => {
                // Time flies here; the cloud's does not.
                tokio::time::sleep(Duration::from_millis(8)).await;
                self.now = self.reconciler.next_wake().unwrap().max(self.now);
            }
        }
        while let Some(report) = self.reconciler.poll_report() {
            self.reports.push(report);
        }
    }

    /// A resync later.
    async fn resync(&mut self) {
        self.now = self.now + Duration::from_secs(61);
        self.turn().await;
    }

    fn sets(&self) -> Value {
        self.cloud.describe()["record_sets"].clone()
    }

    /// What is served: weight and last parts of the addresses of each set in service.
    fn served(&self) -> BTreeSet<(u64, Vec<String>)> {
        let sets = self.sets();
        let active = sets.as_array().unwrap().iter().filter(|set| set["status"] == "ACTIVE");
        let last = |value: &Value| value.as_str().unwrap().rsplit('.').next().unwrap().to_owned();
        active
            .map(|set| {
                let mut values: Vec<String> = set["records"].as_array().unwrap().iter().map(last).collect();
                values.sort();
                (set["weight"].as_u64().unwrap(), values)
            })
            .collect()
    }

    fn id_of(&self, last: u8) -> String {
        let sets = self.sets();
        let holds =
            |set: &&Value| set["records"].as_array().unwrap().contains(&address(last).to_string().into());
        sets.as_array().unwrap().iter().find(holds).unwrap()["id"].as_str().unwrap().to_owned()
    }

    async fn somebody_writes(&self, id: &str, values: &[u8], weight: u16) {
        let body = NewRecordSet {
            name: "demo.localdev.me.".to_owned(),
            record_type: "A".to_owned(),
            ttl: 30,
            records: values.iter().map(|last| address(*last).to_string()).collect(),
            description: None,
            line: None,
            weight: Some(weight),
        };
        let zone = self.cloud.describe()["zone_id"].as_str().unwrap().to_owned();
        let deadline = instant_now() + Duration::from_secs(10);
        self.account.update_record_set_of_line(CLOUD_REGION, &zone, id, &body, deadline).await.unwrap();
        self.settled().await;
    }

    async fn somebody_switches(&self, id: &str, to: Switch) {
        let deadline = instant_now() + Duration::from_secs(10);
        self.account.switch_record_set(CLOUD_REGION, id, to, deadline).await.unwrap();
        self.settled().await;
    }

    async fn settled(&self) {
        let pending = || {
            self.sets()
                .as_array()
                .unwrap()
                .iter()
                .any(|set| set["status"].as_str().unwrap().starts_with("PENDING"))
        };
        let deadline = instant_now() + Duration::from_secs(10);
        while pending() {
            assert!(instant_now() < deadline, "still pending");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    fn writes(&self) -> usize {
        self.reports.iter().filter(|report| matches!(report, Report::Sent { .. })).count()
    }

    fn drifts(&self) -> usize {
        self.reports.iter().filter(|report| matches!(report, Report::Drifted { .. })).count()
    }

    fn never_empty(&self, owned: &BTreeSet<IpAddr>, context: &str) {
        for served in self.cloud.served_history() {
            assert!(served.iter().any(|value| owned.contains(value)), "{context}: {served:?}");
        }
    }
}

fn wanted(sets: &[(u64, &[&str])]) -> BTreeSet<(u64, Vec<String>)> {
    sets.iter().map(|(weight, values)| (*weight, values.iter().map(|&v| v.to_owned()).collect())).collect()
}

/// A way from what is there to what is wanted.
struct Way {
    name: &'static str,
    from: fn() -> Vec<MoreSet>,
    /// Sets that hold these are switched off before.
    off: &'static [u8],
    to: &'static [(u16, &'static [u8])],
    served: &'static [(u64, &'static [&'static str])],
}

const WAYS: &[Way] = &[
    Way {
        name: "one plain set is split",
        from: || vec![set(1, &[11, 12])],
        off: &[],
        to: &[(90, &[11]), (10, &[12])],
        served: &[(90, &["11"]), (10, &["12"])],
    },
    Way {
        name: "a set without a weight is split",
        from: || vec![MoreSet { weight: None, ..set(0, &[11, 12]) }],
        off: &[],
        to: &[(90, &[11]), (10, &[12])],
        served: &[(90, &["11"]), (10, &["12"])],
    },
    Way {
        name: "a dead region leaves",
        from: || vec![set(90, &[11]), set(10, &[12]), set(5, &[13])],
        off: &[],
        to: &[(90, &[]), (10, &[12]), (5, &[13])],
        served: &[(10, &["12"]), (5, &["13"])],
    },
    Way {
        name: "a dead region leaves and somebody has changed the weight of the other",
        from: || vec![set(90, &[11]), set(50, &[12])],
        off: &[],
        to: &[(90, &[]), (10, &[12])],
        served: &[(10, &["12"])],
    },
    Way {
        name: "a dead region leaves and the other has an address too many",
        from: || vec![set(90, &[11]), set(10, &[12, 22])],
        off: &[],
        to: &[(90, &[]), (10, &[12])],
        served: &[(10, &["12"])],
    },
    Way {
        name: "one returns while another leaves",
        from: || vec![set(90, &[11]), set(10, &[12])],
        off: &[11],
        to: &[(90, &[11]), (10, &[])],
        served: &[(90, &["11"])],
    },
    Way {
        name: "all goes over to a region that has no set yet",
        from: || vec![set(90, &[11])],
        off: &[],
        to: &[(90, &[]), (10, &[12])],
        served: &[(10, &["12"])],
    },
    Way {
        name: "one returns at another address and another weight",
        from: || vec![set(50, &[21]), set(10, &[12])],
        off: &[21],
        to: &[(90, &[11]), (10, &[])],
        served: &[(90, &["11"])],
    },
    Way {
        name: "weights and an address change",
        from: || vec![set(90, &[21]), set(10, &[12])],
        off: &[],
        to: &[(60, &[11]), (40, &[12])],
        served: &[(60, &["11"]), (40, &["12"])],
    },
    Way {
        name: "a set is shared with somebody else, and another is theirs",
        from: || vec![set(7, &[11, 12, FOREIGN]), set(3, &[98])],
        off: &[],
        to: &[(90, &[11]), (10, &[12])],
        served: &[(90, &["11"]), (10, &["12"]), (7, &["99"]), (3, &["98"])],
    },
    Way {
        name: "one region has two sets",
        from: || vec![set(90, &[11]), set(90, &[11]), set(10, &[12])],
        off: &[],
        to: &[(90, &[11]), (10, &[12])],
        served: &[(90, &["11"]), (10, &["12"])],
    },
];

async fn go(way: &Way, fault: Option<Fault>, context: &str) -> Zone {
    let mut zone = Zone::start((way.from)()).await;
    for last in way.off {
        zone.somebody_switches(&zone.id_of(*last), Switch::Disable).await;
    }
    let plan = plan(1, way.to);
    if let Some(fault) = fault {
        zone.cloud.fault(fault);
    }
    zone.follow(&plan).await;
    zone.settled().await;
    let mut served = zone.served();
    // A write that fails on a set which holds nothing of ours any more leaves it to whose it is.
    if context.contains("EndsInError") && zone.sets()[0]["records"] == serde_json::json!(["192.0.2.99"]) {
        served.insert((7, vec!["99".to_owned()]));
    }
    assert_eq!(served, wanted(way.served), "{context}: {:#}", zone.sets());
    zone.never_empty(&plan.owned, context);
    zone
}

#[tokio::test]
async fn every_way_ends_in_what_is_wanted_and_is_then_left_alone() {
    for way in WAYS {
        let mut zone = go(way, None, way.name).await;
        let writes = zone.writes();
        assert!((1..=3).contains(&writes), "{}: {writes} writes", way.name);
        assert_eq!(zone.drifts(), 0, "{}: our own doing is nobody's drift: {:#?}", way.name, zone.reports);
        for _ in 0..5 {
            zone.resync().await;
        }
        assert_eq!(zone.writes(), writes, "{}: ONLY-WHEN-DIFFERENT", way.name);
        zone.cloud.stop().await;
    }
}

#[tokio::test]
async fn whichever_call_fails_in_whichever_way_clients_are_served_and_all_ends_well() {
    let late = Effect::AppliedLate { delay: Duration::from_millis(40) };
    let effects = [
        Effect::AnswerLost,
        Effect::Closed,
        Effect::Error { status: 409 },
        Effect::Error { status: 503 },
        Effect::Throttle { retry_after: Some(1) },
        Effect::EndsInError,
        Effect::SlowToSettle { delay: Duration::from_millis(40) },
        late,
    ];
    let mut goes = Vec::new();
    for way in WAYS {
        for effect in &effects {
            goes.extend((0..4).map(|call| async move {
                let context = format!("{}, {effect:?} at call {call}", way.name);
                let fault = Fault::new(Api::Dns, effect.clone()).writes().after(call).times(1);
                go(way, Some(fault), &context).await.cloud.stop().await;
            }));
        }
    }
    futures_util::stream::iter(goes).buffer_unordered(AT_ONCE).count().await;
}

#[tokio::test]
async fn a_set_that_does_not_come_into_force_drives_nobody_out() {
    let way = WAYS.iter().find(|way| way.name.starts_with("all goes over")).unwrap();
    for effect in [Effect::EndsInError, Effect::SlowToSettle { delay: Duration::from_millis(60) }] {
        // Only what makes or changes sets: switching works.
        let fault = Fault::new(Api::Dns, effect.clone()).writes().path("/zones/").times(3);
        go(way, Some(fault), &format!("{effect:?} three times")).await.cloud.stop().await;
    }
}

#[tokio::test]
async fn a_call_that_is_always_refused_keeps_no_dead_region_in_the_zone() {
    let mut zone = Zone::start(vec![set(90, &[11]), set(10, &[12])]).await;
    // Region 3 may not be made; region 1 is dead.
    zone.cloud.fault(
        Fault { on: pointsman::sim::On::Writes, ..Fault::new(Api::Dns, Effect::Error { status: 403 }) }
            .path("/zones/"),
    );
    zone.reconciler.handle_plan(zone.now, plan(1, &[(90, &[]), (10, &[12]), (5, &[13])]));
    for _ in 0..60 {
        zone.turn().await;
    }
    zone.settled().await;
    assert_eq!(zone.served(), wanted(&[(10, &["12"])]), "{:#?}", zone.reports);
}

#[tokio::test]
async fn a_weight_or_a_switch_that_somebody_else_changed_is_mended_or_alarmed() {
    for on_drift in [OnDrift::Mend, OnDrift::Alarm] {
        let mut zone = Zone::start_with(vec![set(90, &[11]), set(10, &[12])], on_drift, 1).await;
        let both = plan(1, &[(90, &[11]), (10, &[12])]);
        zone.follow(&both).await;
        let good = zone.served();
        for by_switch in [false, true] {
            let id = zone.id_of(11);
            if by_switch {
                zone.somebody_switches(&id, Switch::Disable).await;
            } else {
                zone.somebody_writes(&id, &[11], 500).await;
            }
            let (changed, drifts) = (zone.served(), zone.drifts());
            for _ in 0..40 {
                zone.turn().await;
            }
            zone.settled().await;
            assert_eq!(zone.drifts(), drifts + 1, "{on_drift:?} {by_switch}");
            let says = |report: &Report| {
                let Report::Alarmed { alarm: Alarm::Drift, message } = report else { return false };
                message.contains("weight 90")
            };
            assert!(zone.reports.iter().any(says), "{:#?}", zone.reports);
            assert_eq!(zone.served(), if on_drift == OnDrift::Mend { good.clone() } else { changed });
            zone.somebody_switches(&id, Switch::Enable).await;
            zone.somebody_writes(&id, &[11], 90).await;
            zone.resync().await;
        }
    }
}

#[tokio::test]
async fn whoever_keeps_changing_a_weight_is_not_fought() {
    let mut zone = Zone::start(vec![set(90, &[11]), set(10, &[12])]).await;
    zone.follow(&plan(1, &[(90, &[11]), (10, &[12])])).await;
    let id = zone.id_of(11);
    for weight in [500, 501, 502, 503] {
        zone.somebody_writes(&id, &[11], weight).await;
        for _ in 0..12 {
            zone.turn().await;
        }
        zone.settled().await;
    }
    assert_eq!(zone.writes(), 2);
    let fight = |report: &Report| matches!(report, Report::Alarmed { alarm: Alarm::Fight, .. });
    assert!(zone.reports.iter().any(fight), "{:#?}", zone.reports);
    assert!(zone.served().contains(&(503, vec!["11".to_owned()])));
}

#[tokio::test]
async fn somebody_elses_set_and_what_stands_in_it_stay() {
    let mut zone = Zone::start(vec![set(7, &[11, FOREIGN]), set(0, &[98])]).await;
    let before = zone.sets();
    zone.follow(&plan(1, &[(90, &[11])])).await;
    zone.settled().await;
    let after = zone.sets();
    assert_eq!(before[1], after[1], "ONLY-OURS");
    assert_eq!((&after[0]["weight"], &after[0]["records"]), (&7.into(), &serde_json::json!(["192.0.2.99"])));
}

#[tokio::test]
async fn min_published_holds_while_sets_are_moved_one_by_one() {
    let mut zone = Zone::start_with(vec![set(1, &[11, 12])], OnDrift::Mend, 2).await;
    let to = plan(1, &[(90, &[]), (10, &[12]), (20, &[13])]);
    zone.follow(&to).await;
    for served in zone.cloud.served_history() {
        let ours: BTreeSet<&IpAddr> = served.iter().filter(|value| to.owned.contains(value)).collect();
        assert!(ours.len() >= 2, "{served:?}");
    }
}

#[tokio::test]
async fn a_set_that_the_cloud_freezes_is_alarmed_and_nothing_is_written_about_it() {
    let mut zone = Zone::start(vec![set(90, &[11]), set(10, &[12])]).await;
    zone.follow(&plan(1, &[(90, &[11]), (10, &[12])])).await;
    zone.cloud.set_status(&zone.id_of(11), "FREEZE").unwrap();
    let writes = zone.writes();
    for _ in 0..10 {
        zone.resync().await;
    }
    assert_eq!(zone.writes(), writes);
    let withheld = |report: &Report| matches!(report, Report::Alarmed { alarm: Alarm::Withheld, .. });
    assert!(zone.reports.iter().any(withheld), "{:#?}", zone.reports);
    // Region 2 dies: nothing else would be served, so it stays.
    zone.reconciler.handle_plan(zone.now, plan(2, &[(90, &[11]), (10, &[])]));
    for _ in 0..10 {
        zone.resync().await;
    }
    assert_eq!(zone.writes(), writes, "NEVER-EMPTY");
}

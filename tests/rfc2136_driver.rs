//! The real driver over real name servers: a lost race is read again and planned anew, a lost answer is settled by reading, and
//! a race that is lost again and again against nobody is alarmed.
#![cfg(test)] // makes clippy take the helpers below for tests too

mod name_server;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use hickory_proto::op::ResponseCode;
use name_server::{Between, Contrary, SECRET, Site, Trouble, WITHIN, ZONE, deadline, demo, key};
use pointsman::clock::Clock;
use pointsman::config::{self, Rfc2136Zone};
use pointsman::core::{DriverSteps, Generation, Orders, Plan, Report, Timing, WriteResult, WriteRules};
use pointsman::dns::driver::{Assignment, Driver, Inbox, Reported};
use pointsman::dns::{Provider, Rfc2136Provider};
use pointsman::model::{
    Alarm, Answer, Found, Fqdn, ProviderError, Record, RecordKey, RecordSet, RecordType, ServiceName, Ttl,
    WriteBudget,
};
use pointsman::pulse::Pulses;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

fn addresses(last: &[u8]) -> BTreeSet<IpAddr> {
    last.iter().map(|last| IpAddr::from([192, 0, 2, *last])).collect()
}

/// A zone in which somebody else adds 192.0.2.99 just before our first update, after our read.
#[derive(Debug)]
struct Raced {
    ours: Rfc2136Provider,
    theirs: Rfc2136Provider,
    rival_came: AtomicBool,
}

impl Provider for Raced {
    fn read<'a>(&'a self, key: &'a RecordKey, deadline: Instant) -> BoxFuture<'a, Answer> {
        self.ours.read(key, deadline)
    }

    fn replace<'a>(
        &'a self,
        key: &'a RecordKey,
        found: &'a Found,
        set: &'a RecordSet,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        async move {
            if !self.rival_came.swap(true, Ordering::Relaxed) {
                let more = found.values.iter().copied().chain(addresses(&[99])).collect();
                let more = RecordSet::new(more, found.ttl).unwrap();
                self.theirs.replace(key, found, &more, deadline).await.unwrap();
            }
            self.ours.replace(key, found, set, deadline).await
        }
        .boxed()
    }

    fn create<'a>(
        &'a self,
        _: &'a RecordKey,
        _: &'a RecordSet,
        _: Instant,
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        unreachable!("the set is there")
    }
}

/// A driver at work on `demo`, with a plan to publish 192.0.2.1 and 2, both of them ours.
struct Driven {
    reports: mpsc::Receiver<Reported>,
    _ends: (watch::Sender<Option<Arc<Plan>>>, watch::Sender<Assignment>),
    _tasks: JoinSet<()>,
}

impl Driven {
    fn start(provider: Arc<dyn Provider>) -> Self {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/pointsman.toml");
        let service = config::load(&example).unwrap().config.services.remove(0);
        let clock = Clock::start();
        let budget = WriteBudget { writes: 3, window: Duration::from_secs(600) };
        let rules = WriteRules { min_published: 1, budget };
        let record = Record { key: demo(RecordType::A), ..service.record.clone() };
        let timing = Timing { resync: Duration::from_secs(60) };
        let orders = Orders { record: record.clone(), rules, timing, dry_run: false };
        let steps = DriverSteps::resume(orders.clone(), None, clock.now());
        let plan = plan(service.name.clone(), record.key.clone());
        let (orders, assignments) = watch::channel(Assignment { orders, provider });
        let (plans, planned) = watch::channel(Some(Arc::new(plan)));
        let (reporter, reports) = mpsc::channel(100);
        let driver = Driver {
            service: service.name.clone(),
            steps,
            inbox: Inbox { assignments, plans: planned },
            reports: reporter,
            clock,
            pulse: Pulses::new(clock).register("driver"),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(driver.run(CancellationToken::new()));
        Self { reports, _ends: (plans, orders), _tasks: tasks }
    }

    /// How each write went, until the set is in sync.
    async fn in_sync(&mut self) -> Vec<WriteResult> {
        let mut results = Vec::new();
        let all = async {
            loop {
                let report = self.reports.recv().await.unwrap().report;
                if let Report::Written { result, .. } = report {
                    results.push(result);
                } else if matches!(report, Report::InSync | Report::InForce { .. }) {
                    return;
                }
            }
        };
        timeout(WITHIN, all).await.unwrap();
        results
    }
}

impl Driven {
    /// The alarm that the server may be at fault, which has to come with the fifth update that it refuses at the latest.
    async fn server_at_fault(&mut self) -> String {
        let alarm = async {
            let mut refused = 0;
            loop {
                let report = self.reports.recv().await.unwrap().report;
                if let Report::Alarmed { alarm: Alarm::WriteRefused, message } = &report
                    && message.contains("may be at fault")
                {
                    return message.clone();
                }
                if let Report::Written { result, message, .. } = report {
                    assert_eq!(result, WriteResult::Refused, "{message}");
                    refused += 1;
                    assert!(refused <= 5, "not alarmed: {message}");
                }
            }
        };
        timeout(WITHIN, alarm).await.unwrap()
    }
}

fn plan(service: ServiceName, key: RecordKey) -> Plan {
    Plan {
        service,
        key,
        generation: Generation(1),
        wanted: addresses(&[1, 2]),
        owned: addresses(&[1, 2, 3]),
        ttl: Ttl::from_seconds(60),
        may_write: true,
        only_from: None,
        is_rescue: false,
        words: 0,
        regions: Vec::new(),
        held: Vec::new(),
        parts: Vec::new(),
    }
}

#[tokio::test]
async fn a_lost_race_is_read_again_and_the_rivals_value_stays() {
    for site in Site::both(&["demo 30 A 192.0.2.1", "demo 30 A 192.0.2.3"]).await {
        let (ours, theirs) = (site.provider(), site.provider());
        let raced = Arc::new(Raced { ours, theirs, rival_came: AtomicBool::new(false) });
        let results = Driven::start(Arc::clone(&raced) as _).in_sync().await;
        let expected = [WriteResult::Refused, WriteResult::Applied];
        assert_eq!(results, expected, "one lost the race, one was made");
        let wanted: Vec<IpAddr> = addresses(&[1, 2, 99]).into_iter().collect();
        assert_eq!(site.demo(), wanted, "3 is ours and not wanted, 99 is somebody else's");
    }
}

#[tokio::test]
async fn a_lost_answer_is_settled_by_reading_and_nothing_is_written_twice() {
    for site in Site::both(&["demo 30 A 192.0.2.1", "demo 30 A 192.0.2.99"]).await {
        let between = Between::start(site.address()).await;
        let zone =
            Rfc2136Zone { server: between.address, zone: Fqdn::parse(ZONE).unwrap(), tsig: site.key.clone() };
        let provider = Rfc2136Provider::new(zone).unwrap();
        let before = site.provider().serial(deadline()).await.unwrap();
        between.makes(Trouble::UpdatesClosed);
        let results = Driven::start(Arc::new(provider)).in_sync().await;
        assert_eq!(results, [WriteResult::Lost], "it was made, and found by a read");
        assert_eq!(site.demo(), addresses(&[1, 2, 99]).into_iter().collect::<Vec<_>>());
        assert_ne!(site.provider().serial(deadline()).await.unwrap(), before);
    }
}

#[tokio::test]
async fn a_server_that_refuses_every_update_of_a_set_that_stays_is_alarmed_in_its_own_words() {
    let folder = tempfile::tempdir().unwrap();
    let held: Vec<IpAddr> = addresses(&[1, 3]).into_iter().collect();
    let server = Contrary::start(&held, ResponseCode::NXRRSet).await;
    let tsig = key(folder.path(), "pointsman.", SECRET);
    let zone = Rfc2136Zone { server: server.address, zone: Fqdn::parse(ZONE).unwrap(), tsig };
    let message = Driven::start(Arc::new(Rfc2136Provider::new(zone).unwrap())).server_at_fault().await;
    let says = "the server says NXRRSET to an update that requires it to hold 192.0.2.1, 192.0.2.3";
    assert!(message.contains(says), "{message}");
    assert!(message.contains(&format!("at {}", server.address)), "{message}");
}

#[tokio::test]
async fn a_wildcard_that_answers_for_the_name_is_alarmed_in_the_servers_own_words() {
    for site in Site::both(&["* 30 A 192.0.2.1", "* 30 A 192.0.2.3"]).await {
        let message = Driven::start(Arc::new(site.provider())).server_at_fault().await;
        assert!(message.contains("or a wildcard of the zone answers for it"), "{message}");
        assert!(message.contains("the server says NXRRSET"), "{message}");
        assert_eq!(site.demo(), addresses(&[1, 3]).into_iter().collect::<Vec<_>>());
    }
}

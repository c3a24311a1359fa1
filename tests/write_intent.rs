//! A write is journalled before it is sent, waits for that no longer than it may, and is still the newest plan then.
#![cfg(test)] // makes clippy take the helpers below for tests too

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use pointsman::clock::{Clock, instant_now};
use pointsman::config;
use pointsman::core::{DriverSteps, Generation, Orders, Plan, Report, Timing, WriteResult, WriteRules};
use pointsman::dns::Provider;
use pointsman::dns::driver::{Assignment, Driver, Inbox, Reported};
use pointsman::model::{
    Answer, Found, InForce, ProviderError, RecordKey, RecordSet, Service, Ttl, WriteBudget,
};
use pointsman::pulse::Pulses;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The longest that a write waits for the journal.
const KEPT_WITHIN: Duration = Duration::from_millis(250);

/// A zone that takes every write at once.
#[derive(Debug)]
struct Zone {
    holds: Mutex<BTreeSet<IpAddr>>,
    written: Mutex<Vec<(Instant, BTreeSet<IpAddr>)>>,
}

impl Provider for Zone {
    fn read<'a>(&'a self, _: &'a RecordKey, _: Instant) -> BoxFuture<'a, Answer> {
        let values = self.holds.lock().unwrap().clone();
        let (id, ttl, in_force) = ("1".to_owned(), Ttl::DEFAULT, InForce::Yes);
        ready(Ok(Some(Found { id, values, ttl, in_force, description: None, parts: Vec::new() }))).boxed()
    }

    fn replace<'a>(
        &'a self,
        key: &'a RecordKey,
        _: &'a Found,
        set: &'a RecordSet,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        self.create(key, set, deadline)
    }

    fn create<'a>(
        &'a self,
        _: &'a RecordKey,
        set: &'a RecordSet,
        _: Instant,
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        self.holds.lock().unwrap().clone_from(set.values());
        self.written.lock().unwrap().push((instant_now(), set.values().clone()));
        ready(Ok(())).boxed()
    }
}

/// A driver at work, and the other ends of all that it has.
struct Driven {
    zone: Arc<Zone>,
    service: Arc<Service>,
    plans: watch::Sender<Option<Arc<Plan>>>,
    reports: mpsc::Receiver<Reported>,
    orders: watch::Sender<Assignment>,
    _tasks: JoinSet<()>,
}

impl Driven {
    /// The set holds all three addresses, and may be written once.
    fn start() -> Self {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/pointsman.toml");
        let service = config::load(&example).unwrap().config.services.remove(0);
        let zone = Arc::new(Zone { holds: Mutex::new(addresses(&[1, 2, 3])), written: Mutex::default() });
        let clock = Clock::start();
        let budget = WriteBudget { writes: 1, window: Duration::from_secs(600) };
        let (record, rules) = (service.record.clone(), WriteRules { min_published: 1, budget });
        let timing = Timing { resync: Duration::from_secs(60) };
        let orders = Orders { record, rules, timing, dry_run: false };
        let steps = DriverSteps::resume(orders.clone(), None, clock.now());
        let provider = Arc::clone(&zone) as _;
        let (orders, assignments) = watch::channel(Assignment { orders, provider });
        let (plans, planned) = watch::channel(None);
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
        Self { zone, service, plans, reports, orders, _tasks: tasks }
    }

    fn plan(&self, generation: u64, wanted: &[u8]) {
        let plan = Plan {
            service: self.service.name.clone(),
            key: self.service.record.key.clone(),
            generation: Generation(generation),
            wanted: addresses(wanted),
            owned: addresses(&[1, 2, 3]),
            parts: Vec::new(),
            ttl: None,
            may_write: true,
            only_from: None,
            is_rescue: false,
            words: 0,
            regions: Vec::new(),
            held: Vec::new(),
        };
        self.plans.send_replace(Some(Arc::new(plan)));
    }

    /// The intent of the next write, and who wants to know that it is kept.
    async fn intent(&mut self) -> (Generation, oneshot::Sender<oneshot::Receiver<()>>) {
        loop {
            let reported = self.reports.recv().await.unwrap();
            if let Report::Sent { generation, .. } = reported.report {
                return (generation, reported.kept.expect("nobody waits for the intent to be kept"));
            }
        }
    }

    async fn until_written(&mut self) -> (Generation, WriteResult) {
        loop {
            if let Report::Written { generation, result, .. } = self.reports.recv().await.unwrap().report {
                return (generation, result);
            }
        }
    }

    fn written(&self) -> Vec<(Instant, BTreeSet<IpAddr>)> {
        self.zone.written.lock().unwrap().clone()
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_before_its_intent_is_kept() {
    let mut driven = Driven::start();
    driven.plan(1, &[2, 3]);
    let (_, wants_to_know) = driven.intent().await;
    let (keep, kept) = oneshot::channel();
    wants_to_know.send(kept).unwrap();
    tokio::time::sleep(KEPT_WITHIN / 2).await;
    assert_eq!(driven.written(), []);
    keep.send(()).unwrap();
    assert_eq!(driven.until_written().await, (Generation(1), WriteResult::Applied));
    assert_eq!(driven.written().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_does_not_answer_is_not_waited_for_any_longer() {
    let mut driven = Driven::start();
    driven.plan(1, &[2, 3]);
    let (_, wants_to_know) = driven.intent().await;
    let (_keep, kept) = oneshot::channel();
    let since = instant_now();
    wants_to_know.send(kept).unwrap();
    driven.until_written().await;
    assert_eq!(driven.written(), [(since + KEPT_WITHIN, addresses(&[2, 3]))]);
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_was_superseded_while_its_intent_was_kept_is_not_sent_and_costs_no_budget() {
    let mut driven = Driven::start();
    driven.plan(1, &[2, 3]);
    let (generation, wants_to_know) = driven.intent().await;
    assert_eq!(generation, Generation(1));
    let since = instant_now();
    driven.plan(2, &[1, 3]);
    drop(wants_to_know);
    assert_eq!(driven.until_written().await, (Generation(1), WriteResult::Superseded));
    let (generation, wants_to_know) = driven.intent().await;
    assert_eq!(generation, Generation(2));
    drop(wants_to_know);
    driven.until_written().await;
    let sets: Vec<BTreeSet<IpAddr>> = driven.written().into_iter().map(|(_, set)| set).collect();
    assert_eq!(sets, [addresses(&[1, 3])], "the older plan was written");
    assert!(since.elapsed() < Duration::from_secs(1), "the budget of one write was taken for used up");
}

#[tokio::test(start_paused = true)]
async fn what_other_settings_forbid_is_not_sent_although_its_intent_is_kept() {
    let mut driven = Driven::start();
    driven.plan(1, &[2, 3]);
    let (_, wants_to_know) = driven.intent().await;
    driven.orders.send_modify(|assignment| assignment.orders.dry_run = true);
    drop(wants_to_know);
    assert_eq!(driven.until_written().await, (Generation(1), WriteResult::Superseded));
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(driven.written(), []);
    driven.orders.send_modify(|assignment| assignment.orders.dry_run = false);
    drop(driven.intent().await);
    assert_eq!(driven.until_written().await, (Generation(1), WriteResult::Applied));
}

fn addresses(last: &[u8]) -> BTreeSet<IpAddr> {
    last.iter().map(|last| IpAddr::from([192, 0, 2, *last])).collect()
}

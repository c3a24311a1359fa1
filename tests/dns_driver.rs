//! Whether a record set's driver keeps its promise to turn, whatever its provider does.
#![cfg(test)] // makes clippy take the helpers below for tests too

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, pending, ready};
use pointsman::clock::Clock;
use pointsman::config;
use pointsman::core::{DriverSteps, Orders, Timing, WriteRules};
use pointsman::dns::Provider;
use pointsman::dns::driver::{Assignment, Driver, Inbox, Reported};
use pointsman::model::{Answer, Found, ProviderError, RecordKey, RecordSet};
use pointsman::pulse::{Pulses, SLACK};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// What a read may take, as the driver sets its deadline.
const READ_DEADLINE: Duration = Duration::from_secs(8);

/// Answers that nothing is there; or never, whatever the deadline, as no provider may.
#[derive(Debug)]
enum Reads {
    Answered,
    Never,
}

impl Provider for Reads {
    fn read<'a>(&'a self, _: &'a RecordKey, _: Instant) -> BoxFuture<'a, Answer> {
        match self {
            Self::Answered => ready(Ok(None)).boxed(),
            Self::Never => pending().boxed(),
        }
    }

    fn replace<'a>(
        &'a self,
        _: &'a RecordKey,
        _: &'a Found,
        _: &'a RecordSet,
        _: Instant,
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        unreachable!("nothing is planned")
    }

    fn create<'a>(
        &'a self,
        _: &'a RecordKey,
        _: &'a RecordSet,
        _: Instant,
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        unreachable!("nothing is planned")
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_outstays_its_deadline_makes_a_stuck_loop_and_one_that_answers_does_not() {
    let (answered, reports, _tasks) = drive(Reads::Answered, 1_000);
    let (never, _reports_, _tasks_) = drive(Reads::Never, 1_000);
    sleep(READ_DEADLINE + SLACK).await;
    assert_eq!(never.stuck(), None);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(never.stuck().map(|stuck| stuck.name).as_deref(), Some("record set of demo"));
    sleep(Duration::from_secs(3_600)).await;
    assert!((1..1_000).contains(&reports.capacity()), "it goes on reading");
    assert_eq!(answered.stuck(), None);
}

#[tokio::test(start_paused = true)]
async fn a_driver_whose_reports_nobody_takes_is_not_the_one_that_is_stuck() {
    let (pulses, reports, _tasks) = drive(Reads::Answered, 20);
    sleep(Duration::from_secs(36_000)).await;
    assert_eq!((reports.capacity(), pulses.stuck()), (0, None));
}

/// Drives the record set of the first example; its reports are taken by nobody, and there is `room` for so many.
fn drive(reads: Reads, room: usize) -> (Pulses, mpsc::Receiver<Reported>, JoinSet<()>) {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/pointsman.toml");
    let config = config::load(&example).unwrap().config;
    let service = &config.services[0];
    let (clock, record) = (Clock::start(), service.record.clone());
    let pulses = Pulses::new(clock);
    let rules = WriteRules { min_published: service.min_published, budget: service.write_budget };
    let timing = Timing { resync: config.daemon.resync };
    let (sender, reports) = mpsc::channel(room);
    let (planner, plans) = watch::channel(None);
    let orders = Orders { record, rules, timing, dry_run: false };
    let steps = DriverSteps::resume(orders.clone(), None, clock.now());
    let (orderer, assignments) = watch::channel(Assignment { orders, provider: Arc::new(reads) });
    let driver = Driver {
        service: service.name.clone(),
        steps,
        inbox: Inbox { assignments, plans },
        reports: sender,
        clock,
        pulse: pulses.register("record set of demo"),
    };
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        driver.run(CancellationToken::new()).await;
        drop((planner, orderer));
    });
    (pulses, reports, tasks)
}

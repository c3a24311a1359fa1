//! The order of a driver's steps: what is told before what is called, and when the newest plan and orders are taken.

mod world;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use pointsman::core::{
    Call, DriverSteps, Generation, News, Orders, Plan, Report, Step, Timing, WriteResult, WriteRules,
};
use pointsman::model::{Found, InForce, Moment, Service, Ttl};
use world::{address, service};

/// What the driver finds when it looks for something newer.
#[derive(Default)]
struct Newest {
    plan: Option<Arc<Plan>>,
    orders: Option<Orders>,
}

impl News for Newest {
    fn orders(&mut self) -> Option<Orders> {
        self.orders.take()
    }

    fn plan(&mut self) -> Option<Arc<Plan>> {
        self.plan.clone()
    }
}

fn at(ms: u64) -> Moment {
    Moment::START + Duration::from_millis(ms)
}

fn addresses(places: &[usize]) -> BTreeSet<IpAddr> {
    places.iter().map(|place| address(*place)).collect()
}

fn plan(service: &Service, generation: u64, wanted: &[usize]) -> Arc<Plan> {
    Arc::new(Plan {
        service: service.name.clone(),
        key: service.record.key.clone(),
        generation: Generation(generation),
        wanted: addresses(wanted),
        owned: addresses(&[0, 1]),
        parts: Vec::new(),
        ttl: None,
        may_write: true,
        only_from: None,
        is_rescue: false,
        words: 0,
        regions: Vec::new(),
        held: Vec::new(),
    })
}

fn holds(places: &[usize]) -> Found {
    let (id, ttl, in_force) = ("1".to_owned(), Ttl::DEFAULT, InForce::Yes);
    Found { id, values: addresses(places), ttl, in_force, description: None, parts: Vec::new() }
}

fn orders(service: &Service, dry_run: bool) -> Orders {
    Orders {
        record: service.record.clone(),
        rules: WriteRules { min_published: 1, budget: service.write_budget },
        timing: Timing { resync: Duration::from_secs(60) },
        dry_run,
    }
}

/// A driver that has read both addresses, with a plan to remove the first of them, right after it told of the write.
fn about_to_write() -> (Service, DriverSteps, Newest) {
    let service = service(2);
    let mut steps = DriverSteps::resume(orders(&service, false), None, at(0));
    let mut news = Newest { plan: Some(plan(&service, 1, &[1])), orders: None };
    assert!(matches!(steps.next(at(0), &mut news), Some(Step::Make { call: Call::Read, .. })));
    steps.read(at(1), Ok(Some(holds(&[0, 1]))), &mut news);
    let (before, told) = told(&mut steps, at(1), &mut news);
    assert!(matches!(before.last(), Some(Report::Remember(_))), "{before:?}");
    let within = Duration::from_millis(250);
    assert!(matches!(&told, Some(Step::TellAndKeep(Report::Sent { .. }, w)) if *w == within), "{told:?}");
    (service, steps, news)
}

/// Everything that it tells until it does something else.
fn told(steps: &mut DriverSteps, now: Moment, news: &mut Newest) -> (Vec<Report>, Option<Step>) {
    let mut told = Vec::new();
    loop {
        match steps.next(now, news) {
            Some(Step::Tell(report)) => told.push(report),
            other => return (told, other),
        }
    }
}

#[test]
fn explained_a_write_is_called_only_after_its_intent_was_told_and_waited_for() {
    let (_, mut steps, mut news) = about_to_write();
    let call = steps.next(at(2), &mut news);
    let Some(Step::Make { call: Call::Replace { set, .. }, deadline }) = call else { panic!("{call:?}") };
    assert_eq!((set.values(), deadline), (&addresses(&[1]), Duration::from_secs(10)));
    assert_eq!(steps.next(at(3), &mut news), None, "nothing is done while a call is under way");
}

#[test]
fn newest_plan_wins_a_plan_that_comes_while_the_journal_is_waited_for_takes_the_write_back() {
    let (service, mut steps, mut news) = about_to_write();
    news.plan = Some(plan(&service, 2, &[0]));
    assert_eq!(steps.next(at(200), &mut news), Some(Step::Withdraw));
    let (told, then) = told(&mut steps, at(200), &mut news);
    let superseded =
        |report: &Report| matches!(report, Report::Written { result: WriteResult::Superseded, .. });
    assert!(told.iter().any(superseded), "{told:?}");
    assert!(matches!(then, Some(Step::Make { call: Call::Read, .. })), "{then:?}");
}

#[test]
fn reload_or_keep_a_reload_that_forbids_writes_takes_back_the_one_that_is_about_to_be_sent() {
    let (service, mut steps, mut news) = about_to_write();
    news.orders = Some(orders(&service, true));
    assert_eq!(steps.next(at(200), &mut news), Some(Step::Withdraw));
}

#[test]
fn newest_plan_wins_a_plan_that_came_while_a_write_was_under_way_decides_what_its_answer_means() {
    let (service, mut steps, mut news) = about_to_write();
    assert!(matches!(steps.next(at(2), &mut news), Some(Step::Make { .. })));
    news.plan = Some(plan(&service, 2, &[0, 1]));
    steps.written(at(50), Ok(()), &mut news);
    let (told, _) = told(&mut steps, at(50), &mut news);
    let Some(Report::Written { result, .. }) = told.first() else { panic!("{told:?}") };
    assert_eq!(*result, WriteResult::Superseded);
}

#[test]
fn a_plan_that_came_while_the_set_was_read_and_is_met_by_it_is_told_to_be_met_at_once() {
    let service = service(2);
    let mut steps = DriverSteps::resume(orders(&service, false), None, at(0));
    let mut news = Newest { plan: Some(plan(&service, 1, &[1])), orders: None };
    assert!(matches!(steps.next(at(0), &mut news), Some(Step::Make { call: Call::Read, .. })));
    news.plan = Some(plan(&service, 2, &[0, 1]));
    steps.read(at(1), Ok(Some(holds(&[0, 1]))), &mut news);
    let (told, then) = told(&mut steps, at(1), &mut news);
    assert!(told.contains(&Report::InSync), "{told:?}");
    assert_eq!(then, Some(Step::Rest(at(60_001))));
}

#[test]
fn a_plan_that_comes_right_after_the_set_was_read_and_is_met_by_it_is_told_to_be_met_at_once() {
    let service = service(2);
    let mut steps = DriverSteps::resume(orders(&service, false), None, at(0));
    let mut news = Newest { plan: Some(plan(&service, 1, &[1])), orders: None };
    assert!(matches!(steps.next(at(0), &mut news), Some(Step::Make { call: Call::Read, .. })));
    steps.read(at(1), Ok(Some(holds(&[0, 1]))), &mut news);
    news.plan = Some(plan(&service, 2, &[0, 1]));
    let (_, then) = told(&mut steps, at(1), &mut news);
    assert_eq!(then, Some(Step::Rest(at(1))), "it is read once more, without a pause");
    assert!(matches!(steps.next(at(1), &mut news), Some(Step::Make { call: Call::Read, .. })));
    steps.read(at(2), Ok(Some(holds(&[0, 1]))), &mut news);
    let (told, then) = told(&mut steps, at(2), &mut news);
    assert!(told.contains(&Report::InSync), "{told:?}");
    assert_eq!(then, Some(Step::Rest(at(60_002))));
}

#[test]
fn a_driver_that_has_no_more_to_do_rests_until_the_next_resync() {
    let service = service(2);
    let mut steps = DriverSteps::resume(orders(&service, false), None, at(0));
    let mut news = Newest { plan: Some(plan(&service, 1, &[0, 1])), orders: None };
    assert!(matches!(steps.next(at(0), &mut news), Some(Step::Make { .. })));
    steps.read(at(1), Ok(Some(holds(&[0, 1]))), &mut news);
    let (told, then) = told(&mut steps, at(1), &mut news);
    assert!(told.contains(&Report::InSync), "{told:?}");
    assert_eq!(then, Some(Step::Rest(at(60_001))));
}

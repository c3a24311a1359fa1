//! The order in which the core loop does things around one step of the core, and when it keeps what outlives the process.

mod world;

use std::sync::Arc;
use std::time::Duration;

use pointsman::core::{
    Core, Effect, Engine, Hands, Input, KnownWrites, Plan, Recollection, Report, ServiceMemory,
};
use pointsman::model::{
    Found, InForce, Inquiry, Moment, Observation, Outcome, Pace, Reason, RegionName, Service, ServiceName,
    Ttl,
};
use world::{address, observation, service};

/// Writes down what is asked of it.
#[derive(Default)]
struct Notes {
    done: Vec<String>,
    /// The services that were kept last.
    kept: Vec<ServiceName>,
}

impl Notes {
    fn of<const N: usize>(&mut self, done: [&str; N]) {
        assert_eq!(std::mem::take(&mut self.done), done);
    }
}

impl Hands for Notes {
    type Receipt = &'static str;
    type Entry = &'static str;

    fn observed(&mut self, _: Moment, observation: &Observation) {
        self.done.push(format!("observed {}", observation.outcome.as_str()));
    }

    fn plan(&mut self, plan: &Arc<Plan>) {
        self.done.push(format!("plan {}", plan.generation.0));
    }

    fn pace(&mut self, _: &ServiceName, region: &RegionName, pace: Pace) {
        self.done.push(format!("pace of {region} {pace:?}"));
    }

    fn inquire(&mut self, _: &Arc<Inquiry>) {
        self.done.push("inquire".to_owned());
    }

    fn tell(&mut self, _: Moment, effect: Effect) {
        let what = match effect {
            Effect::Transition(transition) => format!("{}", transition.to),
            Effect::Apply(_) => "plan".to_owned(),
            Effect::Pace { .. } => "pace".to_owned(),
            Effect::Witness(_) => "inquiry".to_owned(),
            other @ (Effect::Held { .. }
            | Effect::Waiting { .. }
            | Effect::Said { .. }
            | Effect::Ended { .. }
            | Effect::Alarm(_)
            | Effect::Ledger { .. }) => format!("{other:?}"),
        };
        self.done.push(format!("tell {what}"));
    }

    fn remember(&mut self, _: Moment, _: &Core, services: &[ServiceName]) {
        self.kept = services.to_vec();
        self.done.push("remember".to_owned());
    }

    fn known_writes(&mut self, _: &ServiceName, _: KnownWrites) {
        self.done.push("known writes".to_owned());
    }

    fn reported(&mut self, _: Moment, _: &ServiceName, _: &Report, receipt: &'static str) -> &'static str {
        self.done.push("reported".to_owned());
        receipt
    }

    fn keep(&mut self, entry: &'static str) {
        self.done.push(format!("keep {entry}"));
    }
}

fn at(seconds: u64) -> Moment {
    Moment::START + Duration::from_secs(seconds)
}

fn look(service: &Service, place: usize, now: Moment, outcome: Outcome) -> Observation {
    observation(service, "web", place, now, outcome)
}

fn seen(places: &[usize]) -> Report {
    let values = places.iter().map(|place| address(*place)).collect();
    let (id, ttl, in_force) = ("1".to_owned(), Ttl::DEFAULT, InForce::Yes);
    Report::Seen { found: Some(Found { id, values, ttl, in_force, description: None, parts: Vec::new() }) }
}

/// An engine whose two regions pass, and serve.
fn serving() -> (Arc<Service>, Engine, Notes) {
    let service = Arc::new(service(2));
    let mut engine = Engine::new(std::slice::from_ref(&service), at(0));
    let mut notes = Notes::default();
    engine.reported(at(0), service.name.clone(), seen(&[0, 1]), "", &mut notes);
    for (second, place) in [(1, 0), (1, 1), (2, 0), (2, 1), (3, 0), (3, 1)] {
        engine.observed(at(second), look(&service, place, at(second), Outcome::Pass), &mut notes);
    }
    notes.done.clear();
    (service, engine, notes)
}

#[test]
fn explained_an_effect_is_carried_out_then_told_and_what_changed_is_kept_after_all_of_them() {
    let (service, mut engine, mut notes) = serving();
    let fail = Outcome::Fail(Reason::Refused);
    engine.observed(at(4), look(&service, 0, at(4), fail), &mut notes);
    notes.of([
        "observed fail",
        "tell suspect",
        "pace of r0 Fast",
        "tell pace",
        "pace of r1 Fast",
        "tell pace",
        "remember",
    ]);
    engine.observed(at(5), look(&service, 0, at(5), fail), &mut notes);
    notes.done.clear();
    engine.observed(at(6), look(&service, 0, at(6), fail), &mut notes);
    let done = notes.done.join(", ");
    assert!(done.starts_with("observed fail, tell down, "), "{done}");
    assert!(done.contains("plan 2, tell plan, ") && done.ends_with(", remember"), "{done}");
}

#[test]
fn no_jump_on_start_the_core_hears_of_a_write_and_is_kept_before_its_entry_is() {
    let (service, mut engine, mut notes) = serving();
    let memory = engine.core().memory(&service.name, at(3)).unwrap();
    let report = Report::Remember(memory.writes(&service.record).unwrap().clone());
    engine.reported(at(4), service.name.clone(), report, "the entry", &mut notes);
    let done = notes.done.join(", ");
    assert!(done.starts_with("known writes, reported"), "{done}");
    assert!(done.ends_with("keep the entry"), "{done}");
}

#[test]
fn reload_or_keep_probes_that_ended_are_judged_by_the_configuration_under_which_they_began() {
    let (service, mut engine, mut notes) = serving();
    let ended = [Outcome::Fail(Reason::Refused); 3].map(|outcome| look(&service, 0, at(4), outcome));
    let other = Arc::new(Service { regions: vec![service.regions[1].clone()], ..Service::clone(&service) });
    engine.change(at(4), ended, &[other], &mut notes, |notes| notes.done.push("take over".to_owned()));
    let place = |what: &str| notes.done.iter().position(|done| done == what);
    assert!(place("tell down") < place("take over") && place("tell down").is_some(), "{:?}", notes.done);
    assert_eq!(notes.done.last().map(String::as_str), Some("remember"), "{:?}", notes.done);
}

#[test]
fn no_jump_on_start_a_start_first_sets_up_what_carries_wishes_out_and_decides_nothing() {
    let (service, engine, _) = serving();
    let memory = engine.core().memory(&service.name, at(3)).unwrap();
    let recollection = Recollection::new(memory, Duration::from_secs(100), Duration::from_secs(103));
    let mut anew = Engine::new(std::slice::from_ref(&service), at(0));
    let mut notes = Notes::default();
    anew.begin(at(0), &[recollection], &mut notes, |notes| notes.done.push("take over".to_owned()));
    assert_eq!(notes.done.first().map(String::as_str), Some("take over"));
    assert!(!notes.done.iter().any(|done| done.starts_with("plan")), "{:?}", notes.done);
}

#[test]
fn a_wall_clock_that_went_back_makes_old_probes_no_evidence_and_old_writes_new() {
    let (service, engine, _) = serving();
    let memory: ServiceMemory = engine.core().memory(&service.name, at(3)).unwrap();
    let second = Duration::from_secs;
    let later = Recollection::new(memory.clone(), second(100), second(103));
    assert_eq!((later.gap.looks, later.gap.writes), (second(3), second(3)));
    let earlier = Recollection::new(memory, second(100), second(99));
    assert_eq!((earlier.gap.looks, earlier.gap.writes), (second(86_400), second(0)));
    assert_eq!(earlier.writes(&service.record, at(9)).map(|writes| writes.at), Some(at(9)));
    assert_eq!(later.writes(&service.record, at(9)).map(|writes| writes.at), Some(at(6)));
}

#[test]
fn one_event_among_thousands_of_services_is_kept_for_one_and_so_is_its_wait() {
    const SERVICES: usize = 2_000;
    const BATCH: usize = 100;
    let name = |number| ServiceName::parse(&format!("s{number}")).unwrap();
    let services: Vec<Arc<Service>> =
        (0..SERVICES).map(|number| Arc::new(Service { name: name(number), ..service(1) })).collect();
    let mut engine = Engine::new(&services, at(0));
    let mut notes = Notes::default();
    let one = &services[SERVICES / 2];
    let [pass, fail] = [Outcome::Pass, Outcome::Fail(Reason::Refused)];
    let mut now = 0;
    for outcome in [pass, fail, fail, fail, pass] {
        now += 1;
        engine.observed(at(now), look(one, 0, at(now), outcome), &mut notes);
        assert_eq!(notes.kept, std::slice::from_ref(&one.name));
    }
    // It recovers: that alone is kept every 5 s, and every service once in 5 min, some at a time.
    let (mut waits, mut kept) = (0, std::collections::BTreeMap::new());
    for _ in 0..320 {
        now += 1;
        notes.kept.clear();
        engine.keep_house(at(now), &mut notes);
        assert!(notes.kept.len() <= BATCH + 1, "{} of them in second {now}", notes.kept.len());
        for name in &notes.kept {
            *kept.entry(name.clone()).or_insert(0) += 1;
        }
        waits += usize::from(notes.kept.contains(&one.name));
        engine.step(at(now), &Input::Tick, &mut notes);
    }
    assert!((6..=65).contains(&waits), "its wait was kept {waits} times");
    assert_eq!(kept.len(), SERVICES, "each is kept");
    let others = kept.iter().filter(|(name, _)| **name != one.name);
    assert!(others.clone().all(|(_, times)| *times == 1), "each is kept once");
}

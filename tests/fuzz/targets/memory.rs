//! A row of the journal's memory: what makes no sense does not parse, and what does lets a service go on within its rules.
//!
//! Whatever it says, nobody leaves a record set by a restart alone (NO-JUMP-ON-START), no generation goes back
//! (NEWEST-PLAN-WINS), and no plan is for nothing (NEVER-EMPTY).

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use pointsman::config;
use pointsman::core::{
    Call, Core, Effect, Generation, Input, Reconciler, Report, ServiceMemory, Timing, WriteRules,
};
use pointsman::model::{CheckKey, Found, InForce, Moment, Observation, Outcome, Reason, Service, Ttl};
use serde_json::Value;

/// What the service is.
const CONFIGURATION: &str = r#"
[cloud.main]
region = "cn-north-4"
[dns.private]
kind = "huawei"
zone = "localdev.me."
zone_type = "private"
[[service]]
name = "demo"
domain = "demo.localdev.me."
[[service.check]]
name = "web"
kind = "tcp"
port = 80
[[service.region]]
name = "region1"
address = ["198.51.100.10"]
[[service.region]]
name = "region2"
address = ["203.0.113.20"]
"#;

static SERVICE: LazyLock<Arc<Service>> = LazyLock::new(|| {
    let loaded = config::parse(CONFIGURATION, Path::new("pointsman.toml")).expect("it is good");
    Arc::clone(&loaded.config.services[0])
});

const START: Duration = Duration::from_secs(400 * 86_400);

pub(super) fn run(input: &[u8]) {
    let Ok(memory) = serde_json::from_slice::<ServiceMemory>(input) else { return };
    let text = serde_json::to_string(&memory).unwrap();
    assert_eq!(serde_json::from_str::<ServiceMemory>(&text).expect("it was just written"), memory);
    assert_eq!(of_a_newer_version(&text), memory);
    for gap in [Duration::ZERO, Duration::from_secs(60), Duration::from_secs(100 * 86_400)] {
        goes_on(&memory, gap);
    }
}

/// The same with fields that this version does not know: a downgrade ignores them, and loses nothing else.
fn of_a_newer_version(text: &str) -> ServiceMemory {
    let mut state: Value = serde_json::from_str(text).unwrap();
    for place in
        ["", "/writes", "/writes/landing/0", "/writes/drift", "/overrides/0", "/regions/0", "/failover"]
    {
        if let Some(object) = state.pointer_mut(place).and_then(Value::as_object_mut) {
            object.insert("of_a_newer_version".to_owned(), Value::Bool(true));
        }
    }
    serde_json::from_value(state).expect("unknown fields are ignored")
}

fn goes_on(memory: &ServiceMemory, gap: Duration) {
    let service = &*SERVICE;
    // Who was out before the restart stays out, also of a set that somebody has put it back into.
    let text = serde_json::to_string(memory).unwrap();
    let is_out = text.contains("\"down\"") || text.contains("recovering");
    let start = Moment::after_start(START);
    let mut core = Core::new(std::slice::from_ref(service), start);
    let mut effects = Vec::new();
    core.restore(start, gap.into(), memory, &mut effects);
    let decides = |effect: &&Effect| matches!(effect, Effect::Apply(_) | Effect::Transition(_));
    assert!(effects.iter().find(decides).is_none(), "a restart decides nothing by itself: {effects:?}");

    let timing = Timing { resync: Duration::from_secs(60) };
    let rules = WriteRules { min_published: service.min_published, budget: service.write_budget };
    let mut reconciler = Reconciler::new(service.record.clone(), rules, timing, false, start);
    if let Some(writes) = memory.writes(&service.record) {
        reconciler.restore(start, gap, writes);
    }
    let mut zone: BTreeSet<IpAddr> =
        service.regions.iter().flat_map(|region| region.addresses.clone()).collect();
    let (all, mut newest) = (zone.clone(), Generation(0));
    for second in 0..40 {
        let now = start + Duration::from_secs(second);
        let mut told: Vec<Input> = Vec::new();
        // Blind at first: that alone changes nothing. Then the first region fails, and the second passes.
        let first = if second < 20 { Outcome::Unknown(Reason::Api) } else { Outcome::Fail(Reason::Refused) };
        let second_one = if second < 20 { Outcome::Unknown(Reason::Api) } else { Outcome::Pass };
        for (place, outcome) in [first, second_one].into_iter().enumerate() {
            told.push(Input::Observed(observation(service, place, now, outcome)));
        }
        told.push(Input::Tick);
        while let Some(call) = reconciler.poll_call(now) {
            match call {
                Call::Read => {
                    let found = Found {
                        id: "r1".to_owned(),
                        values: zone.clone(),
                        ttl: Ttl::DEFAULT,
                        in_force: InForce::Yes,
                        description: None,
                        parts: Vec::new(),
                    };
                    reconciler.handle_read(now, Ok(Some(found)));
                }
                Call::Replace { set, .. } | Call::Create { set } => {
                    assert!(second >= 20 || is_out, "blindness alone wrote {set:?}");
                    zone.clone_from(set.values());
                    reconciler.handle_written(now, Ok(()));
                }
            }
            while let Some(report) = reconciler.poll_report() {
                told.push(reported(service, report));
            }
        }
        assert!(!zone.is_empty() && zone.is_subset(&all), "{zone:?}");
        for input in told {
            let mut effects = Vec::new();
            core.step(now, &input, &mut effects);
            for effect in effects {
                if let Effect::Apply(plan) = effect {
                    assert!(plan.generation > newest, "a generation went back");
                    newest = plan.generation;
                    reconciler.handle_plan(now, plan);
                }
            }
        }
    }
    let kept = core.memory(&service.name, start + Duration::from_secs(40)).unwrap();
    let text = serde_json::to_string(&kept).unwrap();
    assert_eq!(serde_json::from_str::<ServiceMemory>(&text).expect("what is kept can be read"), kept);
}

fn reported(service: &Service, report: Report) -> Input {
    Input::Reported { service: service.name.clone(), report }
}

fn observation(service: &Service, place: usize, now: Moment, outcome: Outcome) -> Observation {
    let region = &service.regions[place];
    Observation {
        check: Arc::new(CheckKey {
            service: service.name.clone(),
            region: region.name.clone(),
            check: region.checks[0].name.clone(),
        }),
        started: now,
        late: Duration::ZERO,
        latency: Duration::from_millis(2),
        outcome,
        saw: "".into(),
        certificate: None,
    }
}

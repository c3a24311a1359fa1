//! Many services that are checked by `elb` alone, and the cloud they are in: made up, in virtual time.
//!
//! The cloud answers the lists of ELB v3 for as many ids as a request names, and has a `next_marker` on the last page
//! too. Each check runs on the daemon's own loop, and all regions of a service at the fast pace while
//! one of them is suspect. Nothing here judges: a test reads what each check saw, and when.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pointsman::clock::{Clock, instant_now};
use pointsman::config::{self, Config};
use pointsman::huawei::{Account, Answer, Outside, Request};
use pointsman::model::{CheckKey, CheckKind, Outcome, Pace, Service};
use pointsman::probe::schedule::{self, Scheduled, phase_of};
use pointsman::probe::{Addresses, CloudView, ElbLooker, Looker, Vantage};
use pointsman::pulse::Pulses;
use reqwest::Url;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// The cloud's regions that every service is in.
pub(crate) const PLACES: [&str; 2] = ["cn-north-4", "cn-east-3"];

/// What the cloud does.
#[derive(Default)]
pub(crate) struct Cloud {
    /// Cloud regions whose backends are all offline.
    pub(crate) dead: BTreeSet<String>,
    /// Ids that no list may be asked for: the whole request is refused as wrong.
    pub(crate) refused: BTreeSet<String>,
    /// The same, refused for want of a permission.
    pub(crate) denied: BTreeSet<String>,
    /// Paths whose second page is an error.
    pub(crate) broken_page: BTreeSet<&'static str>,
    /// Requests so far, by the last part of their path.
    pub(crate) asked: BTreeMap<String, u32>,
}

/// What one check saw: when each probe ended, and what it came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen(pub(crate) Vec<(Instant, Outcome)>);

impl Seen {
    /// The longest time without an answer from `since` to `until`.
    pub(crate) fn longest_blind(&self, since: Instant, until: Instant) -> Duration {
        let told = self.0.iter().filter(|(_, outcome)| !matches!(outcome, Outcome::Unknown(_)));
        let (mut last, mut longest) = (since, Duration::ZERO);
        for (ended, _) in told.filter(|(ended, _)| *ended >= since) {
            longest = longest.max(*ended - last);
            last = *ended;
        }
        longest.max(until - last)
    }

    /// When the third failure in a row ended.
    pub(crate) fn fell(&self) -> Option<Instant> {
        let mut row = 0;
        self.0.iter().find_map(|(ended, outcome)| {
            row = match outcome {
                Outcome::Fail(_) => row + 1,
                Outcome::Pass => 0,
                Outcome::Unknown(_) => row,
            };
            (row == 3).then_some(*ended)
        })
    }
}

/// The services, their checks running.
pub(crate) struct Crowd {
    pub(crate) cloud: Arc<Mutex<Cloud>>,
    seen: Arc<Mutex<BTreeMap<(String, String), Seen>>>,
    clock: Clock,
    pulses: Pulses,
    tasks: JoinSet<()>,
}

/// Where the listeners of services are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behind {
    /// Each behind a load balancer of its own in each of [`PLACES`].
    Own,
    /// All behind one load balancer in each of them, at ports of their own.
    One,
}

/// So many services with two regions each, checked by `elb` alone with that timing.
pub(crate) fn configured(services: usize, behind: Behind, timing: &str) -> Config {
    let mut text = "[cloud.main]\nregion = \"cn-north-4\"\ncredentials = \"environment\"\n\
        [dns.private]\nkind = \"huawei\"\ncloud = \"main\"\nzone = \"localdev.me.\"\nzone_type = \"private\"\n"
        .to_owned();
    for number in 0..services {
        write!(
            text,
            "[[service]]\nname = \"s{number}\"\ndomain = \"s{number}.localdev.me.\"\ndns = \"private\"\n{timing}\n\
             check = [{{ name = \"elb\", kind = \"elb\" }}]\n"
        )
        .unwrap();
        let (elb, port) = match behind {
            Behind::Own => (number, 80),
            Behind::One => (0, 1_000 + number),
        };
        for (index, place) in PLACES.iter().enumerate() {
            writeln!(
                text,
                "[[service.region]]\nname = \"r{index}\"\ncloud = \"main\"\ncloud_region = \"{place}\"\n\
                 elb = \"{}\"\nlistener_port = {port}\naddress = [\"198.51.100.{}\"]",
                elb_id(index, elb),
                index + 1
            )
            .unwrap();
        }
    }
    config::parse(&text, Path::new("crowd.toml")).unwrap_or_else(|problems| panic!("{problems}")).config
}

/// The id of a service's load balancer in the place of that index.
pub(crate) fn elb_id(place: usize, service: usize) -> String {
    format!("{service:08x}-0000-4000-8000-{place:012x}")
}

impl Crowd {
    /// Starts every check, as the daemon does.
    pub(crate) fn start(config: &Config) -> Self {
        let cloud = Arc::<Mutex<Cloud>>::default();
        let (name, settings) = config.clouds.iter().next().unwrap();
        let script = Arc::clone(&cloud);
        let world = Outside {
            variables: Arc::new(|name| match name {
                "HUAWEICLOUD_SDK_AK" | "HUAWEICLOUD_SDK_SK" => Some("made-up".to_owned()),
                _ => None,
            }),
            script: Arc::new(move |request| Some(script.lock().unwrap().answer(request))),
        };
        let account = Account::within(name.clone(), settings, Arc::new(|_| ()), world).unwrap();
        let views: BTreeMap<&str, _> =
            PLACES.iter().map(|place| (*place, CloudView::new(account.clone(), place))).collect();
        let clock = Clock::start();
        let pulses = Pulses::new(clock);
        let mut crowd = Self { cloud, seen: Arc::default(), clock, pulses, tasks: JoinSet::new() };
        for service in &config.services {
            crowd.watch(service, &views);
        }
        crowd
    }

    fn watch(&mut self, service: &Arc<Service>, views: &BTreeMap<&str, Arc<CloudView>>) {
        let (sender, mut observations) = mpsc::channel(8);
        let pace = watch::Sender::new(Pace::Normal);
        for region in &service.regions {
            for check in &region.checks {
                let CheckKind::Elb(elb) = &check.kind else { continue };
                let key = CheckKey {
                    service: service.name.clone(),
                    region: region.name.clone(),
                    check: check.name.clone(),
                };
                let scheduled = Scheduled {
                    phase: phase_of(&key.to_string()),
                    key: Arc::new(key),
                    check: check.clone(),
                    looker: Looker::Elb(ElbLooker::new(
                        &views[elb.elb.cloud_region.as_str()],
                        elb,
                        watch::channel(Addresses::NotKnown).1,
                    )),
                    pace: pace.subscribe(),
                    vantage: Vantage::default(),
                    observations: sender.clone(),
                    clock: self.clock,
                    pulse: self.pulses.register(""),
                };
                self.tasks.spawn(schedule::run(scheduled, CancellationToken::new()));
            }
        }
        let (seen, clock) = (Arc::clone(&self.seen), self.clock);
        self.tasks.spawn(async move {
            let mut failures: BTreeMap<String, u32> = BTreeMap::new();
            while let Some(observation) = observations.recv().await {
                let CheckKey { service, region, .. } = &*observation.check;
                let failures_of = failures.entry(region.to_string()).or_default();
                match observation.outcome {
                    Outcome::Pass => *failures_of = 0,
                    Outcome::Fail(_) => *failures_of += 1,
                    // The worst for the budget: a suspect that is blind stays one.
                    Outcome::Unknown(_) => {}
                }
                let is_suspect = failures.values().any(|failures| (1..3).contains(failures));
                pace.send_if_modified(|pace| {
                    let wanted = if is_suspect { Pace::Fast } else { Pace::Normal };
                    std::mem::replace(pace, wanted) != wanted
                });
                let ended = clock.instant(observation.started + observation.latency);
                let key = (service.to_string(), region.to_string());
                seen.lock().unwrap().entry(key).or_default().0.push((ended, observation.outcome));
            }
        });
    }

    /// Lets so much time pass.
    pub(crate) async fn run_for(&self, time: Duration) {
        sleep_until(instant_now() + time).await;
    }

    /// What the checks of the regions in the cloud's region of that index saw, by service.
    pub(crate) fn seen(&self, place: usize) -> BTreeMap<String, Seen> {
        let seen = self.seen.lock().unwrap();
        let of_place = seen.iter().filter(|((_, region), _)| *region == format!("r{place}"));
        of_place.map(|((service, _), seen)| (service.clone(), seen.clone())).collect()
    }
}

impl Cloud {
    fn answer(&mut self, request: &Request) -> Answer {
        let url = Url::parse(&request.url).unwrap();
        let host = url.host_str().unwrap().to_owned();
        let place = host.split('.').nth(1).unwrap().to_owned();
        let list = url.path().rsplit('/').next().unwrap().to_owned();
        *self.asked.entry(list.clone()).or_default() += 1;
        let all = |key: &str| -> Vec<String> {
            url.query_pairs().filter(|(name, _)| name == key).map(|(_, value)| value.into_owned()).collect()
        };
        if host.starts_with("iam.") {
            let name = all("name").pop().unwrap_or_default();
            return ok(&json!({"projects": [{"id": format!("p-{name}"), "name": name, "enabled": true}]}));
        }
        if url.query_pairs().any(|(_, value)| self.refused.contains(&*value)) {
            return Answer {
                status: 400,
                headers: Vec::new(),
                body: br#"{"error_code":"ELB.8902"}"#.to_vec(),
            };
        }
        if url.query_pairs().any(|(_, value)| self.denied.contains(&*value)) {
            return Answer {
                status: 403,
                headers: Vec::new(),
                body: br#"{"error_code":"PAP5.0011"}"#.to_vec(),
            };
        }
        // The published example has a marker on the last page too.
        if url.query_pairs().any(|(name, _)| name == "marker") {
            if self.broken_page.contains(list.as_str()) {
                return Answer {
                    status: 500,
                    headers: Vec::new(),
                    body: br#"{"error_code":"ELB.8906"}"#.to_vec(),
                };
            }
            return ok(&json!({list: [], "page_info": {"current_count": 0}}));
        }
        let of = |kind: &str, id: &str| format!("{kind}:{}", id.split_once(':').map_or(id, |(_, rest)| rest));
        let state = if self.dead.contains(&place) { "OFFLINE" } else { "ONLINE" };
        let items: Vec<Value> = match list.as_str() {
            "listeners" => all("loadbalancer_id")
                .iter()
                .flat_map(|elb| all("protocol_port").into_iter().map(move |port| (elb.clone(), port)))
                .map(|(elb, port)| {
                    let id = format!("listener:{elb}:{port}");
                    json!({"default_pool_id": of("pool", &id), "id": id, "protocol": "HTTP",
                        "protocol_port": port.parse::<u16>().unwrap(), "loadbalancers": [{"id": elb}]})
                })
                .collect(),
            "pools" => all("listener_id")
                .iter()
                .map(|id| {
                    let elb = id.split(':').nth(1).unwrap();
                    json!({"id": of("pool", id), "name": "web", "healthmonitor_id": "m",
                        "members": [{"id": of("member", id)}], "listeners": [{"id": id}],
                        "loadbalancers": [{"id": elb}]})
                })
                .collect(),
            "members" => all("pool_id")
                .iter()
                .map(|pool| json!({"id": of("member", pool), "address": "10.0.0.1", "operating_status": state}))
                .collect(),
            _ => return Answer { status: 404, ..Answer::default() },
        };
        let marker = items.last().map(|item| item["id"].clone());
        ok(&json!({list: items, "page_info": {"next_marker": marker}}))
    }
}

fn ok(body: &Value) -> Answer {
    Answer { status: 200, headers: Vec::new(), body: body.to_string().into_bytes() }
}

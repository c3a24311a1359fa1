//! Counts what happens, and shows it to Prometheus.
//!
//! [`Recorder`] belongs to the one task that feeds the core and keeps its counters at hand, so that a look
//! costs no lookup by label; [`Metrics`] is shared by all who read it or call the cloud. What is a fact of
//! the moment is not kept: it is taken from [`Status`] when asked for. Start at [`Recorder::observed`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry, TextEncoder,
};

use super::{moment, series};
use crate::core::WriteResult;
use crate::model::{
    CheckKey, CloudName, Liveness, Observation, Outcome, RegionName, Service, ServiceName, Status,
};

/// Everything counted since the start, ready to be shown. Cheap to clone; clones share.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    reload: IntGauge,
    cloud_requests: IntCounterVec,
    cloud_request_duration: HistogramVec,
}

/// A phase of a change of the record set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// From the start of the first failing look to the verdict.
    Detect,
    /// From the write being sent to its being accepted.
    Write,
    /// From its being accepted to its being in force.
    Activate,
    /// From its being in force to the last witness that showed it.
    Witness,
}

impl Phase {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Detect, Self::Write, Self::Activate, Self::Witness];

    /// As the label `phase` spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Detect => "detect",
            Self::Write => "write",
            Self::Activate => "activate",
            Self::Witness => "witness",
        }
    }
}

/// What a request to the cloud's API came to; the label `code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloudCode {
    /// An answer with this HTTP status.
    Status(u16),
    /// No answer, for a reason out of a closed list: `timeout`, `connect`.
    None(&'static str),
}

impl Metrics {
    /// Nothing counted yet, for a program of this version; and the one recorder that counts into it.
    ///
    /// # Errors
    /// When a series is defined twice, which would be a defect here.
    pub fn new(version: &str) -> Result<(Self, Recorder), prometheus::Error> {
        let no_labels: &[&str] = &[];
        let build = series::BUILD_INFO.int_gauges();
        build.with_label_values(&[version]).set(1);
        // Before a reload, the configuration in force is the newest tried; without a cluster, nobody else writes.
        let (reload, leader) = (series::RELOAD.int_gauges(), series::LEADER.int_gauges());
        reload.with_label_values(no_labels).set(1);
        leader.with_label_values(no_labels).set(1);

        let metrics = Self {
            registry: Registry::new(),
            reload: reload.with_label_values(no_labels),
            cloud_requests: series::CLOUD_REQUESTS.counters(),
            cloud_request_duration: series::CLOUD_REQUEST_DURATION.histograms(),
        };
        let lateness = series::PROBE_LATENESS.histograms();
        let recorder = Recorder {
            lateness: lateness.with_label_values(no_labels),
            probes: series::PROBES.counters(),
            durations: series::PROBE_DURATION.histograms(),
            certificates: series::CERTIFICATE_EXPIRES.int_gauges(),
            transitions: series::REGION_TRANSITIONS.counters(),
            writes: series::RECORD_SET_WRITES.counters(),
            failovers: series::FAILOVER.histograms(),
            checks: HashMap::new(),
            regions: BTreeMap::new(),
        };

        let registry = &metrics.registry;
        registry.register(Box::new(ProcessCollector::for_self()))?;
        for gauges in [build, reload, leader, recorder.certificates.clone()] {
            registry.register(Box::new(gauges))?;
        }
        let counted = [&recorder.probes, &recorder.transitions, &recorder.writes, &metrics.cloud_requests];
        for counters in counted {
            registry.register(Box::new(counters.clone()))?;
        }
        let timed = [&lateness, &recorder.durations, &recorder.failovers, &metrics.cloud_request_duration];
        for histograms in timed {
            registry.register(Box::new(histograms.clone()))?;
        }
        Ok((metrics, recorder))
    }

    /// Somebody asked for a reload; whether the new configuration is in force now.
    pub fn reloaded(&self, is_in_force: bool) {
        self.reload.set(i64::from(is_in_force));
    }

    /// A request to an API of this account ended, after so long. For any task to call.
    pub fn cloud_request(&self, cloud: &CloudName, api: &'static str, code: CloudCode, took: Duration) {
        let status;
        let code = match code {
            CloudCode::Status(number) => {
                status = number.to_string();
                status.as_str()
            }
            CloudCode::None(reason) => reason,
        };
        let labels = [cloud.as_str(), api, code];
        self.cloud_requests.with_label_values(&labels).inc();
        self.cloud_request_duration.with_label_values(&labels).observe(took.as_secs_f64());
    }

    /// Everything counted, and the facts of this moment, in Prometheus' text format.
    ///
    /// # Errors
    /// When a series is not fit for the format, which would be a defect here.
    pub fn render(&self, status: &Status) -> Result<String, prometheus::Error> {
        let mut families = self.registry.gather();
        families.extend(moment::gather(status)?);
        families.sort_by(|a, b| a.name().cmp(b.name()));
        TextEncoder::new().encode_to_string(&families)
    }
}

/// Counts what the core is told and what it decides. One task has it, so it locks nothing.
///
/// Knows only what [`Recorder::configured`] told it: what comes late for a service, region or check that is
/// gone is not counted, or its series would return from the dead.
#[derive(Debug)]
pub struct Recorder {
    lateness: Histogram,
    probes: IntCounterVec,
    durations: HistogramVec,
    certificates: IntGaugeVec,
    transitions: IntCounterVec,
    writes: IntCounterVec,
    failovers: HistogramVec,
    checks: HashMap<Arc<CheckKey>, CheckSeries>,
    regions: BTreeMap<ServiceName, BTreeSet<RegionName>>,
}

/// One check's own counters.
#[derive(Debug)]
struct CheckSeries {
    duration: Histogram,
    passes: IntCounter,
    /// A check that does not pass does so in one or two ways: a scan beats a map, and most never have any.
    others: Vec<(Outcome, IntCounter)>,
    certificate: Option<IntGauge>,
}

impl CheckSeries {
    fn count(&mut self, key: &CheckKey, outcome: Outcome, probes: &IntCounterVec) {
        if outcome == Outcome::Pass {
            self.passes.inc();
        } else if let Some((_, counter)) = self.others.iter().find(|(seen, _)| *seen == outcome) {
            counter.inc();
        } else {
            let counter = probes.with_label_values(&probe_labels(key, outcome));
            counter.inc();
            self.others.push((outcome, counter));
        }
    }
}

impl Recorder {
    /// These services, regions and checks are watched from now on, and no others.
    ///
    /// New ones start at zero, so that a first event is seen as a rise; what is gone loses its series.
    pub fn configured(&mut self, services: &[Arc<Service>]) {
        let mut regions: BTreeMap<ServiceName, BTreeSet<RegionName>> = BTreeMap::new();
        let mut checks = BTreeSet::new();
        for service in services {
            for region in &service.regions {
                regions.entry(service.name.clone()).or_default().insert(region.name.clone());
                checks.extend(region.checks.iter().map(|check| CheckKey {
                    service: service.name.clone(),
                    region: region.name.clone(),
                    check: check.name.clone(),
                }));
            }
        }
        self.forget(&checks, &regions);
        for key in checks {
            if !self.checks.contains_key(&key) {
                let series = self.first_series(&key);
                self.checks.insert(Arc::new(key), series);
            }
        }
        for (service, regions) in &regions {
            for region in regions {
                for to in Liveness::ALL {
                    self.transitions.with_label_values(&[service.as_str(), region.as_str(), to.as_str()]);
                }
            }
            for result in WriteResult::ALL {
                self.writes.with_label_values(&[service.as_str(), result.as_str()]);
            }
            for phase in Phase::ALL {
                self.failovers.with_label_values(&[service.as_str(), phase.as_str()]);
            }
        }
        self.regions = regions;
    }

    /// A look ended.
    pub fn observed(&mut self, observation: &Observation) {
        let Some(series) = self.checks.get_mut(observation.check.as_ref()) else { return };
        self.lateness.observe(observation.late.as_secs_f64());
        series.duration.observe(observation.latency.as_secs_f64());
        series.count(&observation.check, observation.outcome, &self.probes);
        if let Some(certificate) = observation.certificate {
            let labels = check_labels(&observation.check);
            series
                .certificate
                .get_or_insert_with(|| self.certificates.with_label_values(&labels))
                .set(certificate.expires);
        }
    }

    /// A region changed its liveness.
    pub fn transition(&self, service: &ServiceName, region: &RegionName, to: Liveness) {
        if self.regions.get(service).is_some_and(|regions| regions.contains(region)) {
            self.transitions.with_label_values(&[service.as_str(), region.as_str(), to.as_str()]).inc();
        }
    }

    /// A write of a service's record set ended.
    pub fn written(&self, service: &ServiceName, result: WriteResult) {
        if self.regions.contains_key(service) {
            self.writes.with_label_values(&[service.as_str(), result.as_str()]).inc();
        }
    }

    /// A phase of a change of a service's record set took so long.
    pub fn failover(&self, service: &ServiceName, phase: Phase, took: Duration) {
        if self.regions.contains_key(service) {
            self.failovers.with_label_values(&[service.as_str(), phase.as_str()]).observe(took.as_secs_f64());
        }
    }

    fn first_series(&self, key: &CheckKey) -> CheckSeries {
        CheckSeries {
            duration: self.durations.with_label_values(&check_labels(key)),
            passes: self.probes.with_label_values(&probe_labels(key, Outcome::Pass)),
            others: Vec::new(),
            certificate: None,
        }
    }

    /// Takes away the series of what is not among these. A series that never was is no mistake.
    fn forget(&mut self, checks: &BTreeSet<CheckKey>, regions: &BTreeMap<ServiceName, BTreeSet<RegionName>>) {
        let (probes, durations, certificates) = (&self.probes, &self.durations, &self.certificates);
        self.checks.retain(|key, series| {
            let stays = checks.contains(key.as_ref());
            if !stays {
                let others = series.others.iter().map(|(outcome, _)| *outcome);
                for outcome in others.chain([Outcome::Pass]) {
                    probes.remove_label_values(&probe_labels(key, outcome)).ok();
                }
                durations.remove_label_values(&check_labels(key)).ok();
                certificates.remove_label_values(&check_labels(key)).ok();
            }
            stays
        });
        for (service, had) in &self.regions {
            let has = regions.get(service);
            for region in had.iter().filter(|region| has.is_none_or(|has| !has.contains(*region))) {
                for to in Liveness::ALL {
                    let labels = [service.as_str(), region.as_str(), to.as_str()];
                    self.transitions.remove_label_values(&labels).ok();
                }
            }
            if has.is_none() {
                for result in WriteResult::ALL {
                    self.writes.remove_label_values(&[service.as_str(), result.as_str()]).ok();
                }
                for phase in Phase::ALL {
                    self.failovers.remove_label_values(&[service.as_str(), phase.as_str()]).ok();
                }
            }
        }
    }
}

fn check_labels(key: &CheckKey) -> [&str; 3] {
    [key.service.as_str(), key.region.as_str(), key.check.as_str()]
}

fn probe_labels(key: &CheckKey, outcome: Outcome) -> [&str; 5] {
    let [service, region, check] = check_labels(key);
    [service, region, check, outcome.as_str(), outcome.reason().map_or("none", |reason| reason.as_str())]
}

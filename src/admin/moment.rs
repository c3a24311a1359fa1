//! The series that are facts of the moment, made from a [`Status`] when they are asked for.
//!
//! Nothing is kept between two scrapes, so the series of what is gone from the configuration are gone too.

use prometheus::Registry;
use prometheus::proto::MetricFamily;

use super::series;
use crate::model::{Liveness, RegionName, ServiceStatus, Status};

/// The families of this status, sorted by name.
pub(super) fn gather(status: &Status) -> Result<Vec<MetricFamily>, prometheus::Error> {
    let gauges = Gauges::default();
    for service in &status.services {
        gauges.fill(service);
    }
    // What is the daemon's own has no service, which to Prometheus is the same as an empty one.
    for alarm in &status.alarms {
        gauges.alarms.with_label_values(&["", alarm.alarm.as_str()]).set(1);
    }
    gauges.journal.with_label_values::<&str>(&[]).set(i64::from(status.journal.writable));
    gauges.log_lines_dropped.with_label_values::<&str>(&[]).inc_by(status.log.lines_dropped);
    for cloud in &status.clouds {
        if let Some(end) = cloud.keys_expire.and_then(|end| i64::try_from(end).ok()) {
            gauges.keys.with_label_values(&[cloud.name.as_str()]).set(end);
        }
    }
    gauges.gather()
}

struct Gauges {
    passing: prometheus::IntGaugeVec,
    age: prometheus::GaugeVec,
    liveness: prometheus::IntGaugeVec,
    published: prometheus::IntGaugeVec,
    addresses: prometheus::IntGaugeVec,
    in_sync: prometheus::IntGaugeVec,
    held: prometheus::IntGaugeVec,
    alarms: prometheus::IntGaugeVec,
    overrides: prometheus::IntGaugeVec,
    waiting: prometheus::IntGaugeVec,
    journal: prometheus::IntGaugeVec,
    keys: prometheus::IntGaugeVec,
    /// Counted elsewhere; each of these is read once.
    log_lines_dropped: prometheus::IntCounterVec,
}

impl Default for Gauges {
    fn default() -> Self {
        Self {
            passing: series::SIGNAL_PASSING.int_gauges(),
            age: series::SIGNAL_AGE.gauges(),
            liveness: series::REGION_LIVENESS.int_gauges(),
            published: series::REGION_PUBLISHED.int_gauges(),
            addresses: series::RECORD_SET_ADDRESSES.int_gauges(),
            in_sync: series::RECORD_SET_IN_SYNC.int_gauges(),
            held: series::GUARD_HELD.int_gauges(),
            alarms: series::ALARM_ACTIVE.int_gauges(),
            overrides: series::OVERRIDE_ACTIVE.int_gauges(),
            waiting: series::WAITING.int_gauges(),
            journal: series::JOURNAL_WRITABLE.int_gauges(),
            keys: series::CREDENTIALS_EXPIRE.int_gauges(),
            log_lines_dropped: series::LOG_LINES_DROPPED.counters(),
        }
    }
}

impl Gauges {
    fn fill(&self, status: &ServiceStatus) {
        let service = status.name.as_str();
        if let Some(values) = &status.record_set.values {
            let count = i64::try_from(values.len()).unwrap_or(i64::MAX);
            self.addresses.with_label_values(&[service]).set(count);
        }
        self.in_sync.with_label_values(&[service]).set(i64::from(status.record_set.in_sync));
        for held in &status.held {
            self.held.with_label_values(&[service, held.rule]).set(1);
        }
        for alarm in &status.alarms {
            self.alarms.with_label_values(&[service, alarm.alarm.as_str()]).set(1);
        }
        let region_label =
            |region: &Option<RegionName>| region.as_ref().map_or("", RegionName::as_str).to_owned();
        for held in &status.overrides {
            self.overrides.with_label_values(&[service, &region_label(&held.region), held.kind]).set(1);
        }
        for waiting in &status.waiting {
            let kind = waiting.waits_for.as_str();
            self.waiting.with_label_values(&[service, &region_label(&waiting.region), kind]).set(1);
        }
        for region in &status.regions {
            let name = region.name.as_str();
            for state in Liveness::ALL {
                let here = i64::from(state == region.liveness);
                self.liveness.with_label_values(&[service, name, state.as_str()]).set(here);
            }
            self.published.with_label_values(&[service, name]).set(i64::from(region.published));
            for check in &region.checks {
                let labels = [service, name, check.name.as_str()];
                match check.signal {
                    "passing" => self.passing.with_label_values(&labels).set(1),
                    "failing" => self.passing.with_label_values(&labels).set(0),
                    _ => {}
                }
                if let Some(age) = check.age_s {
                    self.age.with_label_values(&labels).set(age);
                }
            }
        }
    }

    fn gather(self) -> Result<Vec<MetricFamily>, prometheus::Error> {
        let registry = Registry::new();
        registry.register(Box::new(self.age))?;
        registry.register(Box::new(self.log_lines_dropped))?;
        for gauges in [
            self.passing,
            self.liveness,
            self.published,
            self.addresses,
            self.in_sync,
            self.held,
            self.alarms,
            self.overrides,
            self.waiting,
            self.journal,
            self.keys,
        ] {
            registry.register(Box::new(gauges))?;
        }
        Ok(registry.gather())
    }
}

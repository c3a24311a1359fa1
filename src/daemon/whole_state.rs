//! The whole state, told to the log: what SIGUSR1 asks for when nothing else answers any more.

use tracing::info;

use crate::model::{
    CheckStatus, HeldStatus, RegionStatus, ServiceName, ServiceStatus, Status, addresses_in_words,
};

/// A line for each service, region, check, rule that holds and alarm.
pub(super) fn tell(status: &Status) {
    info!(
        version = status.version,
        uptime_s = status.uptime_s,
        dry_run = status.dry_run,
        journal_writable = status.journal.writable,
        services = status.services.len(),
        "state of the daemon"
    );
    for alarm in &status.alarms {
        info!(alarm = %alarm.alarm, "state: alarm: {}", alarm.message);
    }
    status.services.iter().for_each(tell_service);
}

fn tell_service(status: &ServiceStatus) {
    let (service, set) = (&status.name, &status.record_set);
    let values = set.values.as_ref().map_or_else(|| "what was not read yet".to_owned(), addresses_in_words);
    let wanted = set.wanted.as_ref().map_or_else(|| "nothing yet".to_owned(), addresses_in_words);
    info!(
        %service,
        generation = set.generation,
        in_sync = set.in_sync,
        phase = set.phase,
        "state of {} {}: holds {values}, wanted {wanted}",
        status.domain,
        status.record_type
    );
    status.regions.iter().for_each(|region| tell_region(service, region));
    for HeldStatus { rule, because, lifts_when } in &status.held {
        info!(%service, rule, "state: held back: {because}; lifts when {lifts_when}");
    }
    for alarm in &status.alarms {
        let region = alarm.region.as_ref().map(ToString::to_string);
        info!(%service, region, alarm = %alarm.alarm, "state: alarm: {}", alarm.message);
    }
}

fn tell_region(service: &ServiceName, status: &RegionStatus) {
    let RegionStatus { name: region, liveness, since_s, published, because, .. } = status;
    let since_s = since_s.round();
    info!(%service, %region, %liveness, since_s, published, "state of {region}: {because}");
    for CheckStatus { name: check, signal, last, saw, latency_ms, run, age_s, .. } in &status.checks {
        info!(%service, %region, %check, signal, last, run, age_s, latency_ms, "state of {region}/{check}: {saw}");
    }
}

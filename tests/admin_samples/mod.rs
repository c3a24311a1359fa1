//! A status to show.

use std::collections::BTreeSet;
use std::net::IpAddr;

use pointsman::model::{
    Alarm, AlarmStatus, CheckName, CheckStatus, CloudName, CloudStatus, FailoverStatus, Fqdn, HeldStatus,
    JournalStatus, Liveness, LogStatus, MoveStatus, OverrideStatus, Reason, RecordStatus, RecordType,
    RegionName, RegionStatus, ServiceName, ServiceStatus, Status, Ttl, WaitingStatus, WaitsFor,
    WitnessStatus,
};

/// Service `demo`: region1 is up and published, region2 is as told and is not.
pub(crate) fn status(region2: Liveness) -> Status {
    let all: BTreeSet<IpAddr> = ["198.51.100.10", "203.0.113.9"].map(|a| a.parse().unwrap()).into();
    let ours: BTreeSet<IpAddr> = ["198.51.100.10".parse().unwrap()].into();
    Status {
        version: "0.0.0",
        dry_run: false,
        uptime_s: 61,
        services: vec![ServiceStatus {
            name: ServiceName::parse("demo").unwrap(),
            domain: Fqdn::parse("demo.localdev.me.").unwrap(),
            record_type: RecordType::A,
            mode: "advise",
            record_set: RecordStatus {
                values: Some(all),
                foreign: ["203.0.113.9".parse().unwrap()].into(),
                wanted: Some(ours.clone()),
                ttl: Ttl::from_seconds(30),
                in_sync: true,
                generation: 4,
                read_age_s: Some(1.5),
                phase: "idle",
            },
            regions: vec![
                region_status("region1", Liveness::Up, true, "passing", ours.clone()),
                region_status("region2", region2, false, "unknown", BTreeSet::new()),
            ],
            held: vec![HeldStatus {
                rule: "bounded_blast",
                because: "2 of 2 regions fail, more than 50%".into(),
                lifts_when: "one of them passes".into(),
            }],
            overrides: vec![OverrideStatus {
                kind: "mute",
                region: None,
                check: Some(CheckName::parse("web").unwrap()),
                author: "ada".into(),
                reason: "it lies".into(),
                ends_in_s: Some(60.0),
            }],
            waiting: vec![WaitingStatus {
                waits_for: WaitsFor::Failback,
                region: Some(RegionName::parse("region2").unwrap()),
                because: "serves again".into(),
            }],
            alarms: vec![AlarmStatus {
                alarm: Alarm::NoAddress,
                region: Some(RegionName::parse("region2").unwrap()),
                subject: None,
                message: "region2 has no EIP".into(),
            }],
            failovers: vec![FailoverStatus {
                id: "demo-1".into(),
                course: "moved",
                moves: vec![MoveStatus {
                    region: Some(RegionName::parse("region2").unwrap()),
                    direction: "leaves",
                    cause: "checks",
                }],
                from: ours.clone(),
                to: ours.clone(),
                began_ago_s: 60.0,
                began: Some(1_800_000_000.0),
                first_look_ms: Some(0),
                verdict_ms: Some(2_010),
                sent_ms: 2_011,
                tries: 1,
                acknowledged_ms: Some(2_100),
                active_ms: Some(2_300),
                witnesses: vec![WitnessStatus { address: ([127, 0, 0, 1], 53).into(), at_ms: 2_500 }],
                moved_ms: Some(32_500),
                moved_is_reckoned: false,
                fetched: Some("status 200 from 198.51.100.10".into()),
            }],
        }],
        alarms: vec![AlarmStatus {
            alarm: Alarm::Journal,
            region: None,
            subject: None,
            message: "the disk is full".into(),
        }],
        journal: JournalStatus { writable: false, trouble: Some("the disk is full".into()), lost: 2 },
        log: LogStatus { lines_dropped: 3 },
        clouds: vec![
            CloudStatus { name: CloudName::parse("main").unwrap(), keys_expire: Some(1_800_000_000) },
            CloudStatus { name: CloudName::parse("other").unwrap(), keys_expire: None },
        ],
    }
}

fn region_status(
    name: &str,
    liveness: Liveness,
    published: bool,
    signal: &'static str,
    addresses: BTreeSet<IpAddr>,
) -> RegionStatus {
    let known = signal == "passing";
    RegionStatus {
        name: RegionName::parse(name).unwrap(),
        liveness,
        since_s: 60.0,
        published,
        addresses,
        because: "it is what it is".into(),
        recovers_in_s: None,
        checks: vec![CheckStatus {
            name: CheckName::parse("web").unwrap(),
            kind: "http",
            signal,
            votes: true,
            muted: false,
            last: Some(if known { "pass" } else { "unknown" }),
            reason: (!known).then_some(Reason::NoAddress),
            saw: "status 200".into(),
            latency_ms: Some(2.5),
            run: 3,
            age_s: known.then_some(0.25),
        }],
    }
}

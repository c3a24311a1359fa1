//! One check of one region: its keys laid over those of its service, and the rules between them.

use std::net::IpAddr;
use std::ops::Range;
use std::time::Duration;

use toml::de::DeTable;

use super::http;
use super::raw::{CheckKeys, ConnectKeys, ElbKeys, HttpKeys, TimingKeys, TlsKeys};
use super::report::{At, Mark, Place, Rank, Report};
use super::table::Table;
use super::timing::{Damping, Side, damping, looks, shorter};
use super::words::CheckKindWord;
use crate::model::{
    Check, CheckKind, CheckName, EipCheck, ElbCheck, ElbRef, Fqdn, MinHealthy, RecordType, ServiceName,
    TcpCheck, WhenUnknown,
};

/// A check as it is written.
#[derive(Clone, Debug)]
pub(super) struct RawCheck {
    /// What messages call it.
    pub(super) place: Place,
    /// What every kind has.
    pub(super) keys: CheckKeys,
    /// What the kinds that connect have.
    pub(super) connect: ConnectKeys,
    /// What `http` and `https` have.
    pub(super) http: HttpKeys,
    /// What `https` has.
    pub(super) tls: TlsKeys,
    elb: ElbKeys,
    timing: TimingKeys,
}

/// What a check must know of the region it looks at.
pub(super) struct Around<'a> {
    /// The service, when its name is good.
    pub(super) service: Option<&'a ServiceName>,
    /// The name that clients ask for, when it is good.
    pub(super) domain: Option<&'a Fqdn>,
    /// The family of addresses.
    pub(super) record_type: RecordType,
    /// The region's own place.
    pub(super) region: &'a Place,
    /// Whether a load balancer is written there.
    pub(super) has_elb: bool,
    /// The load balancer, when all about it is good.
    pub(super) elb: Option<&'a ElbRef>,
    /// The port its listener has, when written.
    pub(super) listener_port: Option<u16>,
    /// The region's timing, with all that it inherits.
    pub(super) timing: &'a TimingKeys,
}

/// Where checks are written: above all regions, or in one.
pub(super) fn read_list(
    tables: Vec<(Range<usize>, DeTable<'_>)>,
    parent: &Place,
    rank: Rank,
    report: &mut Report<'_>,
) -> Vec<RawCheck> {
    let mut checks: Vec<RawCheck> = Vec::with_capacity(tables.len());
    for (number, (head, entries)) in (1..).zip(tables) {
        let mut table = Table::new(entries, Place { name: parent.name.clone(), rank, head });
        let name = table.peek("name").map_or_else(|| number.to_string(), |name| format!("{name:?}"));
        table.place.name = format!("{}, check {name}", parent.name).into();
        let check = RawCheck {
            place: table.place.clone(),
            keys: CheckKeys::take(&mut table, report),
            connect: ConnectKeys::take(&mut table, report),
            http: HttpKeys::take(&mut table, report),
            tls: TlsKeys::take(&mut table, report),
            elb: ElbKeys::take(&mut table, report),
            timing: TimingKeys::take(&mut table, report),
        };
        table.finish(report);
        match &check.keys.name {
            None => report.missing(&check.place, "name", "give it a name: name = \"web\""),
            Some(name) => {
                if let Some(other) =
                    checks.iter().filter_map(|c| c.keys.name.as_ref()).find(|c| c.value == name.value)
                {
                    let message = format!(
                        "{} is the name of another check too ({})",
                        report.shown(&name.mark),
                        report.whence(other.mark.span.start, name.mark.span.start)
                    );
                    report.value(&name.mark, message, "give each check a name of its own");
                }
            }
        }
        checks.push(check);
    }
    checks
}

/// A region's checks: each of the service's, with the region's own keys laid over those of the same
/// name, then those that the region alone has.
pub(super) fn merge(general: &[RawCheck], own: Vec<RawCheck>, report: &mut Report<'_>) -> Vec<RawCheck> {
    let same = |a: &RawCheck, b: &RawCheck| match (&a.keys.name, &b.keys.name) {
        (Some(a), Some(b)) => a.value == b.value,
        (None, _) | (_, None) => false,
    };
    let mut own = own;
    let mut merged = Vec::with_capacity(general.len() + own.len());
    for check in general {
        match own.iter().position(|mine| same(mine, check)) {
            None => merged.push(check.clone()),
            Some(place) => merged.push(own.remove(place).over(check, report)),
        }
    }
    merged.append(&mut own);
    merged
}

impl RawCheck {
    fn over(self, general: &Self, report: &mut Report<'_>) -> Self {
        if let (Some(own), Some(other)) = (&self.keys.kind, &general.keys.kind)
            && own.value != other.value
        {
            let message = format!(
                "{}, and the service's check of that name is {} ({})",
                report.shown(&own.mark),
                report.shown(&other.mark),
                report.whence(other.mark.span.start, own.mark.span.start)
            );
            report.value(&own.mark, message, "give it a name of its own, or leave kind out");
        }
        Self {
            place: self.place,
            keys: self.keys.over(&general.keys),
            connect: self.connect.over(&general.connect),
            http: self.http.over(&general.http),
            tls: self.tls.over(&general.tls),
            elb: self.elb.over(&general.elb),
            timing: self.timing.over(&general.timing),
        }
    }

    /// Its name, when it is good.
    pub(super) fn name(&self) -> Option<&CheckName> {
        self.keys.name.as_ref().map(|at| &at.value)
    }

    /// Whether it has a part in the default `up_when`.
    pub(super) fn votes(&self) -> bool {
        self.keys.vote.as_ref().is_none_or(|at| at.value)
    }

    /// The check itself, and what it asks of its region's return.
    pub(super) fn checked(&self, around: &Around<'_>, report: &mut Report<'_>) -> (Option<Check>, Damping) {
        let timing = self.timing.clone().over(around.timing);
        let looks = looks(&timing, report);
        let damping = damping(&timing, report);
        let Some(kind) = self.keys.kind.as_ref() else {
            let hint = "write kind = \"http\", \"https\", \"tcp\", \"elb\" or \"eip\"";
            report.missing(&self.place, "kind", hint);
            return (None, damping);
        };
        self.refuse_strays(kind, report);
        let max_latency = self.max_latency(&timing, looks.timeout, report);
        let checked_kind = self.checked_kind(kind, around, report);
        let when_unknown = self.keys.when_unknown.as_ref().map(|at| at.value);
        let default_when_unknown = match kind.value {
            CheckKindWord::Elb | CheckKindWord::Eip => WhenUnknown::Ignore,
            CheckKindWord::Http | CheckKindWord::Https | CheckKindWord::Tcp => WhenUnknown::Keep,
        };
        let check = self.name().zip(checked_kind).map(|(name, kind)| Check {
            name: name.clone(),
            kind,
            interval: looks.interval,
            fast_interval: looks.fast_interval,
            timeout: looks.timeout,
            max_latency,
            fall: looks.fall,
            rise: looks.rise,
            vote: self.votes(),
            when_unknown: when_unknown.unwrap_or(default_when_unknown),
        });
        (check, damping)
    }

    fn checked_kind(
        &self,
        kind: &At<CheckKindWord>,
        around: &Around<'_>,
        report: &mut Report<'_>,
    ) -> Option<CheckKind> {
        match kind.value {
            CheckKindWord::Http | CheckKindWord::Https => {
                http::checked(self, kind, around, report).map(CheckKind::Http)
            }
            CheckKindWord::Tcp => Some(CheckKind::Tcp(TcpCheck {
                port: self.port(around, 80),
                source: self.source(around, report),
            })),
            CheckKindWord::Elb => Some(CheckKind::Elb(ElbCheck {
                elb: self.needs_elb(around, report)?,
                min_healthy: self.elb.min_healthy.as_ref().map_or(MinHealthy::Count(1), |at| at.value),
            })),
            CheckKindWord::Eip => Some(CheckKind::Eip(EipCheck {
                elb: self.needs_elb(around, report)?,
                record_type: around.record_type,
            })),
        }
    }

    fn needs_elb(&self, around: &Around<'_>, report: &mut Report<'_>) -> Option<ElbRef> {
        if !around.has_elb && !report.is_bad_in(around.region, "elb") {
            let name = self.name().map_or("", CheckName::as_str);
            let message = format!("elb is missing, and the check \"{name}\" looks at it");
            let hint = "add elb = \"ID\", or write that check under the regions that have one: [[service.region.check]]";
            report.head(around.region, message, hint);
        }
        around.elb.cloned()
    }

    /// The port to connect to: the check's own, else the listener's, else the scheme's.
    pub(super) fn port(&self, around: &Around<'_>, default: u16) -> u16 {
        self.connect.port.as_ref().map(|at| at.value.0).or(around.listener_port).unwrap_or(default)
    }

    /// The address to look from; one of the other family cannot reach the region's.
    pub(super) fn source(&self, around: &Around<'_>, report: &mut Report<'_>) -> Option<IpAddr> {
        let source = self.connect.source.as_ref()?;
        if !around.record_type.holds(source.value) {
            let message = format!(
                "{} cannot reach addresses of the type {}",
                report.shown(&source.mark),
                around.record_type
            );
            report.value(&source.mark, message, "write an address of the same family");
        }
        Some(source.value)
    }

    fn max_latency(
        &self,
        timing: &TimingKeys,
        timeout: Duration,
        report: &mut Report<'_>,
    ) -> Option<Duration> {
        let max = self.connect.max_latency.as_ref()?;
        let limit = Side::new("timeout", timing.timeout.as_ref(), timeout);
        shorter(&Side::new("max_latency", Some(max), max.value.0), &limit, report);
        Some(max.value.0)
    }

    /// Keys that other kinds have.
    fn refuse_strays(&self, kind: &At<CheckKindWord>, report: &mut Report<'_>) {
        let (connects, requests, elb) = match kind.value {
            CheckKindWord::Http | CheckKindWord::Https => (true, true, false),
            CheckKindWord::Tcp => (true, false, false),
            CheckKindWord::Elb => (false, false, true),
            CheckKindWord::Eip => (false, false, false),
        };
        let mut refuse = |mark: &Mark, kinds: &str| {
            let message = format!("{} is not a key of kind = \"{}\"", mark.key, kind.value.as_str());
            report.key(mark, message, format!("remove it; it is a key of {kinds}"));
        };
        if !connects {
            self.connect.marks().for_each(|mark| refuse(mark, "the kinds http, https and tcp"));
        }
        if !requests {
            self.http.marks().for_each(|mark| refuse(mark, "the kinds http and https"));
            self.tls.marks().for_each(|mark| refuse(mark, "the kind https"));
        }
        if !elb {
            self.elb.marks().for_each(|mark| refuse(mark, "the kind elb"));
        }
    }
}

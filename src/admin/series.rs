//! Every series that pointsman exposes: name, type, labels, buckets and help text, in one table.
//!
//! Names and labels are a promise to users. Label values come from the configuration or from a closed
//! enum, so the number of series is bounded by the configuration. Nothing is counted here; `metrics` and
//! `moment` make their vectors from these rows, and `docs/metrics.md` is written from [`ALL`].

use prometheus::{GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts};

/// One row of the table.
#[derive(Debug)]
pub(super) struct Series {
    /// With its unit last, as Prometheus wants it.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) labels: &'static [&'static str],
    /// One sentence: what it is, and what absence or a special value means.
    pub(super) help: &'static str,
}

/// What kind of series it is.
#[derive(Debug)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram(Buckets),
}

/// Where a histogram is cut.
#[derive(Debug)]
pub(super) struct Buckets {
    /// Upper bounds, in seconds, ascending.
    pub(super) bounds: &'static [f64],
    /// Why there.
    #[cfg_attr(not(test), expect(dead_code, reason = "read when docs/metrics.md is written and compared"))]
    pub(super) because: &'static str,
}

const CHECK: &[&str] = &["service", "region", "check"];

pub(super) const BUILD_INFO: Series = Series {
    name: "pointsman_build_info",
    kind: Kind::Gauge,
    labels: &["version"],
    help: "Always 1; the label says which version runs.",
};

pub(super) const RELOAD: Series = Series {
    name: "pointsman_config_last_reload_success",
    kind: Kind::Gauge,
    labels: &[],
    help: "1 when the newest configuration that was tried is the one in force, 0 when it was refused.",
};

pub(super) const LEADER: Series = Series {
    name: "pointsman_leader",
    kind: Kind::Gauge,
    labels: &[],
    help: "1 while this instance is the one that writes; an instance alone always is.",
};

pub(super) const PROBES: Series = Series {
    name: "pointsman_probes_total",
    kind: Kind::Counter,
    labels: &["service", "region", "check", "outcome", "reason"],
    help: "Looks made, by what they came to and why; the reason of a pass is none.",
};

pub(super) const PROBE_DURATION: Series = Series {
    name: "pointsman_probe_duration_seconds",
    kind: Kind::Histogram(Buckets {
        bounds: &[0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0],
        because: "the same room, the same city, across the country, across the sea; then slow, up to and \
                  past the default timeout of 2 s. Few, because there are so many for each check.",
    }),
    labels: CHECK,
    help: "How long looks took, from their start to their verdict.",
};

pub(super) const PROBE_LATENESS: Series = Series {
    name: "pointsman_probe_lateness_seconds",
    kind: Kind::Histogram(Buckets {
        bounds: &[0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0],
        because: "timers are rounded to a millisecond, so 1 to 2 ms is on time; above 100 ms the machine is \
                  overloaded; above 1 s, the fast interval, looks are being lost.",
    }),
    labels: &[],
    help: "How much later than planned looks started.",
};

pub(super) const SIGNAL_PASSING: Series = Series {
    name: "pointsman_signal_passing",
    kind: Kind::Gauge,
    labels: CHECK,
    help: "1 while the signal is passing, 0 while it is failing; absent while it is unknown.",
};

pub(super) const SIGNAL_AGE: Series = Series {
    name: "pointsman_signal_age_seconds",
    kind: Kind::Gauge,
    labels: CHECK,
    help: "Time since the last look that was not unknown; absent before the first.",
};

pub(super) const REGION_LIVENESS: Series = Series {
    name: "pointsman_region_liveness",
    kind: Kind::Gauge,
    labels: &["service", "region", "state"],
    help: "1 for the state that the region is in, 0 for the others.",
};

pub(super) const REGION_PUBLISHED: Series = Series {
    name: "pointsman_region_published",
    kind: Kind::Gauge,
    labels: &["service", "region"],
    help: "1 while an address of the region is in the record set, as last read.",
};

pub(super) const REGION_TRANSITIONS: Series = Series {
    name: "pointsman_region_transitions_total",
    kind: Kind::Counter,
    labels: &["service", "region", "to"],
    help: "Changes of the region's liveness, by the state it changed to.",
};

pub(super) const RECORD_SET_ADDRESSES: Series = Series {
    name: "pointsman_record_set_addresses",
    kind: Kind::Gauge,
    labels: &["service"],
    help: "Values in the record set as last read, ours and others'; absent until it was read.",
};

pub(super) const RECORD_SET_IN_SYNC: Series = Series {
    name: "pointsman_record_set_in_sync",
    kind: Kind::Gauge,
    labels: &["service"],
    help: "1 while the record set was last seen to hold, in force, what the newest plan wants.",
};

pub(super) const RECORD_SET_WRITES: Series = Series {
    name: "pointsman_record_set_writes_total",
    kind: Kind::Counter,
    labels: &["service", "result"],
    help: "Writes of the record set, by how they ended.",
};

pub(super) const GUARD_HELD: Series = Series {
    name: "pointsman_guard_held",
    kind: Kind::Gauge,
    labels: &["service", "rule"],
    help: "1 while the rule holds a plan back; absent otherwise.",
};

pub(super) const ALARM_ACTIVE: Series = Series {
    name: "pointsman_alarm_active",
    kind: Kind::Gauge,
    labels: &["service", "alarm"],
    help: "1 while the alarm lasts; absent otherwise. What is the daemon's own has an empty service.",
};

pub(super) const FAILOVER: Series = Series {
    name: "pointsman_failover_seconds",
    kind: Kind::Histogram(Buckets {
        bounds: &[0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0],
        because: "a write takes tenths of a second; with the defaults a verdict takes 2 to 10 s, depending \
                  on how the region fails; a minute is a long outage, two are an incident.",
    }),
    labels: &["service", "phase"],
    help: "How long the phases of changes took: first failing look to verdict (of what then leaves), write first \
           sent to accepted, accepted to in force, in force to the last witness that shows it.",
};

pub(super) const CLOUD_REQUESTS: Series = Series {
    name: "pointsman_cloud_requests_total",
    kind: Kind::Counter,
    labels: &["cloud", "api", "code"],
    help: "Requests to the cloud's API, retries included, by HTTP status or by what came instead.",
};

pub(super) const CLOUD_REQUEST_DURATION: Series = Series {
    name: "pointsman_cloud_request_duration_seconds",
    kind: Kind::Histogram(Buckets {
        bounds: &[0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0],
        because: "the API answers in tens to hundreds of milliseconds; past 10 s no deadline waits.",
    }),
    labels: &["cloud", "api", "code"],
    help: "How long requests to the cloud's API took.",
};

pub(super) const CERTIFICATE_EXPIRES: Series = Series {
    name: "pointsman_tls_certificate_expire_timestamp_seconds",
    kind: Kind::Gauge,
    labels: CHECK,
    help: "When the certificate that the endpoint showed last ends, in Unix time; absent without TLS.",
};

pub(super) const CREDENTIALS_EXPIRE: Series = Series {
    name: "pointsman_credentials_expire_timestamp_seconds",
    kind: Kind::Gauge,
    labels: &["cloud"],
    help: "When the account's temporary keys end, in Unix time; absent for keys that do not end.",
};

pub(super) const JOURNAL_WRITABLE: Series = Series {
    name: "pointsman_journal_writable",
    kind: Kind::Gauge,
    labels: &[],
    help: "1 while the journal keeps on disk what happens, 0 while it is in memory only.",
};

pub(super) const LOG_LINES_DROPPED: Series = Series {
    name: "pointsman_log_lines_dropped_total",
    kind: Kind::Counter,
    labels: &[],
    help: "Log lines that were dropped, because nobody read stderr in time.",
};

pub(super) const OVERRIDE_ACTIVE: Series = Series {
    name: "pointsman_override_active",
    kind: Kind::Gauge,
    labels: &["service", "region", "kind"],
    help: "1 while an operator's word holds; absent otherwise. What is about a whole service, or a check, has an empty region.",
};

pub(super) const WAITING: Series = Series {
    name: "pointsman_waiting",
    kind: Kind::Gauge,
    labels: &["service", "region", "kind"],
    help: "1 while something waits for a person to approve it or to order a failback; absent otherwise.",
};

/// All of them, in the order of `docs/metrics.md`.
#[cfg(test)]
pub(super) const ALL: [&Series; 25] = [
    &BUILD_INFO,
    &RELOAD,
    &LEADER,
    &PROBES,
    &PROBE_DURATION,
    &PROBE_LATENESS,
    &SIGNAL_PASSING,
    &SIGNAL_AGE,
    &REGION_LIVENESS,
    &REGION_PUBLISHED,
    &REGION_TRANSITIONS,
    &RECORD_SET_ADDRESSES,
    &RECORD_SET_IN_SYNC,
    &RECORD_SET_WRITES,
    &GUARD_HELD,
    &ALARM_ACTIVE,
    &OVERRIDE_ACTIVE,
    &WAITING,
    &FAILOVER,
    &CLOUD_REQUESTS,
    &CLOUD_REQUEST_DURATION,
    &CREDENTIALS_EXPIRE,
    &CERTIFICATE_EXPIRES,
    &JOURNAL_WRITABLE,
    &LOG_LINES_DROPPED,
];

#[expect(clippy::expect_used, reason = "a row is constant; a test makes a vector of each")]
impl Series {
    fn opts(&self) -> Opts {
        Opts::new(self.name, self.help)
    }

    /// Counters, one for each set of label values.
    pub(super) fn counters(&self) -> IntCounterVec {
        IntCounterVec::new(self.opts(), self.labels).expect("the row is well formed")
    }

    /// Gauges of whole numbers.
    pub(super) fn int_gauges(&self) -> IntGaugeVec {
        IntGaugeVec::new(self.opts(), self.labels).expect("the row is well formed")
    }

    /// Gauges of numbers with fractions.
    pub(super) fn gauges(&self) -> GaugeVec {
        GaugeVec::new(self.opts(), self.labels).expect("the row is well formed")
    }

    /// Histograms over the row's own buckets.
    pub(super) fn histograms(&self) -> HistogramVec {
        let mut opts = HistogramOpts::from(self.opts());
        if let Kind::Histogram(buckets) = &self.kind {
            opts.buckets = buckets.bounds.to_vec();
        }
        HistogramVec::new(opts, self.labels).expect("the row is well formed")
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::path::Path;

    use super::*;
    use crate::admin::metrics::Phase;
    use crate::core::WriteResult;
    use crate::model::{Alarm, Liveness, Outcome, Reason};

    const BEGIN: &str =
        "<!-- written from the code; `BLESS=1 cargo test --lib admin::series` renews it -->\n";
    const END: &str = "<!-- end of what is written from the code -->\n";

    #[test]
    fn every_row_makes_a_vector_of_its_own_type() {
        for row in ALL {
            match row.kind {
                Kind::Counter => drop(row.counters()),
                Kind::Gauge => drop((row.gauges(), row.int_gauges())),
                Kind::Histogram(_) => drop(row.histograms()),
            }
        }
    }

    #[test]
    fn docs_metrics_md_is_what_the_code_says() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
        let text = std::fs::read_to_string(&path).expect("docs/metrics.md is there");
        let (before, rest) = text.split_once(BEGIN).expect("docs/metrics.md has the begin mark");
        let (found, after) = rest.split_once(END).expect("docs/metrics.md has the end mark");
        let wanted = page();
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, format!("{before}{BEGIN}{wanted}{END}{after}")).unwrap();
            return;
        }
        assert!(
            found == wanted,
            "docs/metrics.md is not what the code says; run: BLESS=1 cargo test --lib admin::series"
        );
    }

    #[test]
    fn docs_metrics_md_says_what_to_do_about_every_alarm() {
        let text = include_str!("../../docs/metrics.md");
        for alarm in Alarm::ALL {
            assert!(
                text.contains(&format!("| `{alarm}` | ")),
                "docs/metrics.md has no row for alarm {alarm}"
            );
        }
    }

    fn page() -> String {
        let mut page =
            String::from("\n| metric | type | labels | what it says |\n| --- | --- | --- | --- |\n");
        for row in ALL {
            let kind = match row.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram(_) => "histogram",
            };
            let (name, labels, help) = (row.name, row.labels.join(", "), row.help);
            writeln!(page, "| `{name}` | {kind} | {labels} | {help} |").unwrap();
        }
        page.push_str(
            "\n## Buckets, in seconds\n\n| histogram | upper bounds | why there |\n| --- | --- | --- |\n",
        );
        for row in ALL {
            if let Kind::Histogram(buckets) = &row.kind {
                let bounds: Vec<String> = buckets.bounds.iter().map(f64::to_string).collect();
                writeln!(page, "| `{}` | {} | {} |", row.name, bounds.join(", "), buckets.because).unwrap();
            }
        }
        page.push_str("\n## Label values that are closed lists\n\n| label | values |\n| --- | --- |\n");
        let outcomes = [Outcome::Pass, Outcome::Fail(Reason::Status), Outcome::Unknown(Reason::Api)];
        let reasons = ["none"].into_iter().chain(Reason::ALL.iter().map(|r| r.as_str()));
        list(&mut page, "outcome", outcomes.iter().map(|o| o.as_str()));
        list(&mut page, "reason", reasons);
        list(&mut page, "state, to", Liveness::ALL.iter().map(|l| l.as_str()));
        list(&mut page, "result", WriteResult::ALL.iter().map(|r| r.as_str()));
        list(&mut page, "phase", Phase::ALL.iter().map(|p| p.as_str()));
        page.push('\n');
        page
    }

    fn list<'a>(page: &mut String, label: &str, values: impl Iterator<Item = &'a str>) {
        let values: Vec<String> = values.map(|v| format!("`{v}`")).collect();
        writeln!(page, "| {label} | {} |", values.join(", ")).unwrap();
    }
}

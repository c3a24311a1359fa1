use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{CheckName, CloudName, RecordType, Secret, Share, Threshold};

/// A configured way of looking at one region, with every default filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Its name within the region.
    pub name: CheckName,
    /// What is looked at, and what counts as right.
    pub kind: CheckKind,
    /// From the start of one look to the start of the next. Default 5 s.
    pub interval: Duration,
    /// The same while the region is suspect or recovering. Default 1 s, never longer than `interval`.
    pub fast_interval: Duration,
    /// Deadline of the whole look. Default 2 s.
    pub timeout: Duration,
    /// Slower than this is a failure (`slow`). Default: no limit but the timeout.
    pub max_latency: Option<Duration>,
    /// Failing looks until the signal is failing. Default 3 in a row.
    pub fall: Threshold,
    /// Passing looks until the signal is passing. Default 3 in a row.
    pub rise: Threshold,
    /// Whether it is part of the default `up_when`. Default yes.
    pub vote: bool,
    /// What its signal counts for while it is unknown. Default: ignore for `elb` and `eip`, keep otherwise.
    pub when_unknown: WhenUnknown,
}

impl Check {
    /// Whether a running look of the one need not be started anew to be the other's: they look at the same, as
    /// often and for as long. What becomes of the looks, `fall` and `rise`, may differ.
    #[must_use]
    pub fn looks_like(&self, other: &Self) -> bool {
        self.judges_like(other)
            && self.interval == other.interval
            && self.fast_interval == other.fast_interval
            && self.timeout == other.timeout
    }

    /// Whether what the one saw is evidence for the other: they look at the same and expect the same of it.
    #[must_use]
    pub fn judges_like(&self, other: &Self) -> bool {
        self.kind == other.kind && self.max_latency == other.max_latency
    }
}

/// How often a region is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Pace {
    /// Every `interval`.
    #[default]
    Normal,
    /// Every `fast_interval`.
    Fast,
}

/// What an unknown signal does to its region's `up_when`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenUnknown {
    /// It is unknown there too, so the region's liveness is kept unless the others decide it.
    Keep,
    /// It is left out of the expression, once somebody has looked.
    Ignore,
}

/// The kinds of checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckKind {
    /// An HTTP request to the region's own address.
    Http(Arc<HttpCheck>),
    /// A TCP connection to the region's own address.
    Tcp(TcpCheck),
    /// The health of the backends behind the listener of the region's load balancer.
    Elb(ElbCheck),
    /// Whether the region's load balancer still has its EIP.
    Eip(EipCheck),
}

impl CheckKind {
    /// `http`, `https`, `tcp`, `elb` or `eip`, as the configuration spells it.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Http(http) => http.scheme.as_str(),
            Self::Tcp(_) => "tcp",
            Self::Elb(_) => "elb",
            Self::Eip(_) => "eip",
        }
    }
}

/// Plain or encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

impl Scheme {
    /// `http` or `https`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// One HTTP request and what its answer must be.
#[derive(Clone, Debug)]
pub struct HttpCheck {
    /// Plain or over TLS.
    pub scheme: Scheme,
    /// Port at the region's address; the region's `listener_port` unless the check names one.
    pub port: u16,
    /// Request method in upper case. Default `GET`.
    pub method: String,
    /// Origin-form target: path and query. Default `/`.
    pub path: String,
    /// Host header, and without a port the default server name. Default: the service's domain without its final dot, and the
    /// port when that is not the scheme's own.
    pub host: String,
    /// Further headers, in the order configured; none of them `Host`, `User-Agent`, `Connection` or `Content-Length`. Any value
    /// may be what the region trusts us by.
    pub headers: Vec<(String, Secret)>,
    /// Says who looks. Default `pointsman/VERSION (SERVICE)`.
    pub user_agent: String,
    /// Statuses that pass. Default 200.
    pub expect_status: StatusSet,
    /// Text that the body must contain.
    pub expect_body: Option<String>,
    /// Expression that must match within the body.
    pub expect_body_regex: Option<regex::bytes::Regex>,
    /// How much of an expected body is read, in bytes. When what is expected is not in that much of a longer body, the probe
    /// is unknown. Default 65,536.
    pub max_body: usize,
    /// Whether the connection is kept for the next look. Default no: a fresh connection tells more.
    pub keep_alive: bool,
    /// Address to look from. Default: the system's choice.
    pub source: Option<IpAddr>,
    /// How the server's certificate is judged; for `https` only.
    pub tls: TlsSettings,
}

/// Expressions are equal when their texts are.
#[cfg(test)]
impl HttpCheck {
    /// `GET /` of port 80, expecting 200: what unit tests begin with.
    pub(crate) fn plain() -> Self {
        Self {
            scheme: Scheme::Http,
            port: 80,
            method: "GET".to_owned(),
            path: "/".to_owned(),
            host: "demo.localdev.me".to_owned(),
            headers: Vec::new(),
            user_agent: "pointsman/0 (demo)".to_owned(),
            expect_status: StatusSet(vec![200..=200]),
            expect_body: None,
            expect_body_regex: None,
            max_body: 65_536,
            keep_alive: false,
            source: None,
            tls: TlsSettings {
                verify: true,
                ca_file: None,
                server_name: None,
                client_cert: None,
                expires_within: Duration::from_secs(14 * 86_400),
            },
        }
    }
}

impl PartialEq for HttpCheck {
    fn eq(&self, other: &Self) -> bool {
        let Self {
            scheme,
            port,
            method,
            path,
            host,
            headers,
            user_agent,
            expect_status,
            expect_body,
            expect_body_regex,
            max_body,
            keep_alive,
            source,
            tls,
        } = self;
        let text = regex::bytes::Regex::as_str;
        (scheme, port, method, path, host)
            == (&other.scheme, &other.port, &other.method, &other.path, &other.host)
            && (headers, user_agent, source, tls)
                == (&other.headers, &other.user_agent, &other.source, &other.tls)
            && (expect_status, expect_body, max_body, keep_alive)
                == (&other.expect_status, &other.expect_body, &other.max_body, &other.keep_alive)
            && expect_body_regex.as_ref().map(text) == other.expect_body_regex.as_ref().map(text)
    }
}

impl Eq for HttpCheck {}

/// How a look over TLS judges the server and presents itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// Whether the certificate must be good. Default yes; when not, it is still read.
    pub verify: bool,
    /// Certificate authorities in PEM to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Name asked for (SNI) and verified. Default: the check's host.
    pub server_name: Option<String>,
    /// Our certificate and key in PEM, when the server asks for one: both or none.
    pub client_cert: Option<ClientCertificate>,
    /// Alarm when the certificate ends within this. Default 14 days.
    pub expires_within: Duration,
}

/// The files of a certificate that we present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The chain, in PEM.
    pub cert_file: PathBuf,
    /// Its private key, in PEM.
    pub key_file: PathBuf,
}

/// A set of HTTP statuses: `[200, "300-399"]`. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusSet(Vec<RangeInclusive<u16>>);

impl StatusSet {
    /// The statuses within the ranges; none when there is no range, or one is empty or leaves 100 to 599.
    #[must_use]
    pub fn new(ranges: Vec<RangeInclusive<u16>>) -> Option<Self> {
        let sane = |r: &RangeInclusive<u16>| !r.is_empty() && *r.start() >= 100 && *r.end() <= 599;
        (!ranges.is_empty() && ranges.iter().all(sane)).then_some(Self(ranges))
    }

    /// Whether `status` is one of them.
    #[must_use]
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|range| range.contains(&status))
    }
}

impl fmt::Display for StatusSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, range) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            if range.start() == range.end() {
                write!(f, "{comma}{}", range.start())?;
            } else {
                write!(f, "{comma}{}-{}", range.start(), range.end())?;
            }
        }
        Ok(())
    }
}

/// One TCP connection, opened and closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpCheck {
    /// Port at the region's address.
    pub port: u16,
    /// Address to look from. Default: the system's choice.
    pub source: Option<IpAddr>,
}

/// Backends behind a listener of a load balancer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElbCheck {
    /// Which load balancer and listener.
    pub elb: ElbRef,
    /// How many backends must be online. Default 1.
    pub min_healthy: MinHealthy,
}

/// The EIP of a load balancer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EipCheck {
    /// Which load balancer.
    pub elb: ElbRef,
    /// Of which record set the EIP is to be a value: IPv4 or IPv6.
    pub record_type: RecordType,
}

/// A listener of a load balancer in a cloud's region.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ElbRef {
    /// The account.
    pub cloud: CloudName,
    /// The cloud's region: `cn-north-4`.
    pub cloud_region: String,
    /// The load balancer's id.
    pub id: String,
    /// The listener's port. Default 80.
    pub listener_port: u16,
}

impl ElbRef {
    /// Whether a text can be the id of a load balancer: a UUID. The cloud refuses every list that is asked for by something
    /// else.
    #[must_use]
    pub fn is_id(text: &str) -> bool {
        let groups =
            text.split('-').map(|group| (group.len(), group.bytes().all(|it| it.is_ascii_hexdigit())));
        groups.eq([8, 4, 4, 4, 12].map(|length| (length, true)))
    }
}

/// How many of the backends that could serve must be online.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MinHealthy {
    /// At least this many.
    Count(u32),
    /// At least this share of all that could serve.
    Share(Share),
}

impl MinHealthy {
    /// Whether `online` out of `able` backends are enough. None able is never enough.
    #[must_use]
    pub fn is_met(self, online: u32, able: u32) -> bool {
        match self {
            Self::Count(least) => online >= least,
            Self::Share(share) => able > 0 && !share.exceeds(online, able),
        }
    }
}

impl fmt::Display for MinHealthy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Share(share) => write!(f, "{share}"),
        }
    }
}

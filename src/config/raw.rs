//! The configuration as it is written: every key that there is, each value good in itself.
//!
//! Keys are declared here, once, for the parser and for the schema that editors read; what is said of each is shown to
//! people. Nothing is inherited yet, and no key knows of another; that is `check`, `region`, `service` and their like.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;

use super::duration::{OrForever, Positive};
use super::endpoint::Endpoint;
use super::http_value::{Headers, HostHeader, Method, Pattern, Target, UserAgent};
use super::report::{At, Mark, Report};
use super::server::Server;
use super::table::Table;
use super::value::{ElbId, Factor, FromToml as _, Id, Port};
use super::vantage::Reference;
use super::words::{
    CheckKindWord, CredentialsWord, Labels, Level, ProviderKindWord, RecordText, WhenAllDownWord,
};
use super::{LogFormat, TsigAlgorithm, ZoneType};
use crate::model::{
    CheckName, CloudName, Expression, Failback, Fqdn, Line, MinHealthy, Mode, OnDrift, PolicyKind,
    ProviderName, RecordType, RegionName, Scheme, ServiceName, Share, StatusSet, Threshold, Ttl, Weight,
    WhenUnknown,
};

/// What is known of a key apart from its value.
pub(super) struct Key {
    /// Its name, dotted when it is within an inline table: `flap.window`.
    pub(super) name: &'static str,
    /// What it is for, with unit and default.
    pub(super) doc: String,
    /// The values it takes, as a JSON Schema.
    pub(super) values: serde_json::Value,
}

/// Declares a group of keys of one table. The key is the field's name, or what is given after `=`. An
/// `inherited` group is laid over that of a more general table; one `of_a_kind` is refused to other kinds.
macro_rules! keys {
    ($(#[$meta:meta])* $name:ident {
        $($(#[doc = $doc:literal])+ $field:ident $(= $key:literal)?: $type:ty,)+
    }) => {
        $(#[$meta])*
        #[derive(Clone, Debug)]
        pub(super) struct $name {
            $($(#[doc = $doc])+ pub(super) $field: Option<At<$type>>,)+
        }

        impl $name {
            /// Takes the keys out of a table.
            pub(super) fn take(table: &mut Table<'_>, report: &mut Report<'_>) -> Self {
                Self { $($field: table.take(keys!(@key $field $($key)?), report),)+ }
            }

            /// All of the group.
            pub(super) fn all() -> Vec<Key> {
                vec![$(Key {
                    name: keys!(@key $field $($key)?),
                    doc: [$($doc),+].map(str::trim).join(" "),
                    values: <$type>::schema(),
                },)+]
            }
        }
    };
    ($(#[$meta:meta])* inherited $name:ident {
        $($(#[doc = $doc:literal])+ $field:ident $(= $key:literal)?: $type:ty,)+
    }) => {
        keys! { $(#[$meta])* $name { $($(#[doc = $doc])+ $field $(= $key)?: $type,)+ } }

        impl $name {
            /// These keys; where one is not given, that of the more general table.
            pub(super) fn over(self, general: &Self) -> Self {
                Self { $($field: self.$field.or_else(|| general.$field.clone()),)+ }
            }

        }
    };
    ($(#[$meta:meta])* of_a_kind $name:ident {
        $($(#[doc = $doc:literal])+ $field:ident $(= $key:literal)?: $type:ty,)+
    }) => {
        keys! { $(#[$meta])* $name { $($(#[doc = $doc])+ $field $(= $key)?: $type,)+ } }
        keys! { @marks $name { $($field)+ } }
    };
    ($(#[$meta:meta])* inherited of_a_kind $name:ident {
        $($(#[doc = $doc:literal])+ $field:ident $(= $key:literal)?: $type:ty,)+
    }) => {
        keys! { $(#[$meta])* inherited $name { $($(#[doc = $doc])+ $field $(= $key)?: $type,)+ } }
        keys! { @marks $name { $($field)+ } }
    };
    (@marks $name:ident { $($field:ident)+ }) => {
        impl $name {
            /// Where those that are given stand.
            pub(super) fn marks(&self) -> impl Iterator<Item = &Mark> {
                [$(self.$field.as_ref().map(|at| &at.mark)),+].into_iter().flatten()
            }
        }
    };
    (@key $field:ident) => { stringify!($field) };
    (@key $field:ident $key:literal) => { $key };
}

/// Keys at the top that are taken and have no effect in this version, and what that means.
pub(super) const IDLE_ROOT_KEYS: [(&str, &str); 1] =
    [("notify", "nobody is told of anything; watch the log and the metrics")];

keys! {
    /// The top of the first file.
    RootKeys {
        /// Further files, which bring services, accounts and zones: relative to this one; * and ? may stand in a
        /// file's name, as in "conf.d/*.toml".
        include: Vec<Spanned<String>>,
    }
}

keys! {
    /// `[daemon]`.
    DaemonKeys {
        /// Where the read-only side listens: /metrics, /healthz, /readyz, /api/v1/status. Default "127.0.0.1:9753".
        listen: SocketAddr,
        /// The socket of operator commands. Default "/run/pointsman/control.sock".
        control: PathBuf,
        /// Where state is kept. Default "/var/lib/pointsman".
        state_dir: PathBuf,
        /// Look and decide, write nothing, whatever the services say. Default false.
        dry_run: bool,
        /// Every record set is read this often anyway. Default "60s".
        resync: Positive,
        /// error, warn, info, debug or trace; or a filter, `info,pointsman::probe=debug`. Default "info".
        log_level = "log.level": Level,
        /// One sentence a line, or one JSON object a line. Default "text".
        log_format = "log.format": LogFormat,
    }
}

keys! {
    /// `[cloud.NAME]`.
    CloudKeys {
        /// Where keys come from; auto: environment, then file, then the ECS's agency. Default "auto".
        credentials: CredentialsWord,
        /// The account's home region, asked where no other is named.
        region: Id,
        /// The project to work in; only with load balancers of one cloud region. Left out: looked up by region.
        project_id: Id,
        /// The account's id, sent to global services when it is given.
        domain_id: Id,
        /// The id of an access key; its secret is in `secret_key_file`.
        access_key: String,
        /// The file that holds the secret key, readable by pointsman alone.
        secret_key_file: PathBuf,
        /// The file that holds the security token of a temporary key.
        security_token_file: PathBuf,
        /// IAM's base URL in place of the vendor's; {region} in it is replaced.
        iam = "endpoints.iam": Endpoint,
        /// The ELB's base URL in place of the vendor's; {region} in it is replaced.
        elb = "endpoints.elb": Endpoint,
        /// The EIP service's base URL in place of the vendor's; {region} in it is replaced.
        eip = "endpoints.eip": Endpoint,
        /// DNS's base URL in place of the vendor's; {region} in it is replaced.
        dns = "endpoints.dns": Endpoint,
        /// The ECS metadata service's base URL in place of the vendor's.
        metadata = "endpoints.metadata": Endpoint,
    }
}

keys! {
    /// `[dns.NAME]`, whatever its kind.
    ProviderKeys {
        /// What kind of place it is. huawei: a zone of Huawei Cloud DNS; rfc2136: one of a server that takes dynamic
        /// updates; embedded: one that pointsman serves itself.
        kind: ProviderKindWord,
        /// The zone's name.
        zone: Fqdn,
        /// The resolvers that are asked what clients get, 8 at most, each as `ADDRESS:PORT`. Left out: nobody is asked.
        witnesses: Vec<Spanned<Server>>,
    }
}

keys! {
    /// `[dns.NAME]` of the kind `huawei`.
    of_a_kind HuaweiZoneKeys {
        /// The account, a section [cloud.NAME]. Left out: the only one there is.
        cloud: CloudName,
        /// The cloud's region whose DNS endpoint is asked. Left out: the account's home region.
        cloud_region: Id,
        /// Which of two zones that may have one name.
        zone_type: ZoneType,
    }
}

keys! {
    /// `[dns.NAME]` of the kind `rfc2136`.
    of_a_kind Rfc2136Keys {
        /// The zone's primary server as `ADDRESS:PORT`; asked and updated over TCP.
        server: Server,
        /// The name that the other side knows the key by.
        name = "tsig.name": Fqdn,
        /// Its algorithm.
        algorithm = "tsig.algorithm": TsigAlgorithm,
        /// The file that holds its secret in base64, readable by pointsman alone.
        secret_file = "tsig.secret_file": PathBuf,
    }
}

keys! {
    /// `[dns.NAME]` of the kind `embedded`.
    of_a_kind EmbeddedKeys {
        /// Where the zone is served, over UDP and TCP; 8 addresses at most, and of no other zone.
        listen: Vec<Spanned<SocketAddr>>,
        /// The zone's own name servers, as whole names; 16 at most.
        ns: Vec<Spanned<Fqdn>>,
        /// What stands in the zone beside the record sets of services, 1000 at most: "NAME TTL TYPE DATA", names relative
        /// to the zone unless they end in a dot, @ the zone itself.
        records: Vec<Spanned<RecordText>>,
    }
}

keys! {
    /// One of the `secondaries` of an embedded zone.
    SecondaryKeys {
        /// Where it is told of changes, as `ADDRESS:PORT`.
        address: Server,
        /// The name that the other side knows the key by.
        name = "tsig.name": Fqdn,
        /// Its algorithm.
        algorithm = "tsig.algorithm": TsigAlgorithm,
        /// The file that holds its secret in base64, readable by pointsman alone.
        secret_file = "tsig.secret_file": PathBuf,
    }
}

keys! {
    /// `[defaults]`, and the same keys on a service, a region or a check: the most specific is in force.
    inherited TimingKeys {
        /// From the start of one look to the start of the next. Default "5s".
        interval: Positive,
        /// The same while suspect or recovering; at most interval. Default "1s".
        fast_interval: Positive,
        /// Deadline of one look; at most interval. Default "2s".
        timeout: Positive,
        /// Failures in a row before failing, or "5 of 10": over a window; 64 at most. Default 3.
        fall: Threshold,
        /// Passes in a row before passing, or "5 of 10": over a window; 64 at most. Default 3.
        rise: Threshold,
        /// A region that was down is published again when it has been healthy for this long. Default "30s".
        recover_after: Duration,
        /// A fall this soon after a return is a flap. Default "10m".
        flap_window = "flap.window": Positive,
        /// Each flap multiplies `recover_after` by this, 1 to 1000. Default 2.
        flap_factor = "flap.factor": Factor,
        /// `recover_after` grows up to this. Default "30m".
        flap_max = "flap.max": Positive,
    }
}

keys! {
    /// `[[service]]`.
    ServiceKeys {
        /// What logs, metrics and commands call it.
        name: ServiceName,
        /// What becomes of its plans: act, they are written; advise, each change waits for a person's approval; observe, they
        /// are only shown. Default "act".
        mode: Mode,
        /// The name of the record set to keep, within the zone.
        domain: Fqdn,
        /// The type of the record set. Default "A".
        record_type = "type": RecordType,
        /// Where the record set lives, a section [dns.NAME]. Left out: the only one there is.
        dns: ProviderName,
        /// In seconds. Left out: the TTL that is there stays.
        ttl: Ttl,
        /// Make the record set when it is missing. Default false.
        create: bool,
        /// Which of several record sets of that name and type: the one for clients of this line, by the zone's own ids; for zones
        /// of kind "huawei". Left out: the only one that there is, or with policy = "weighted" those of everybody's
        /// line, `default_view`.
        line: Line,
        /// Which live regions are published: all of them, with priority those of the best tier, or with weighted all of them,
        /// each in a record set of its own that is answered by its weight. Default "all".
        policy: PolicyKind,
        /// No write leaves fewer addresses of ours than this. Default 1.
        min_published: NonZeroU32,
        /// What is published when every region is down. Default "keep-last".
        when_all_down: WhenAllDownWord,
        /// The addresses published with `when_all_down` = "fallback".
        fallback: Vec<Spanned<IpAddr>>,
        /// Regions out of the set at once because of checks, at least 1; one that has been out for `blast_window` does not
        /// count. Default 1.
        max_removed: u32,
        /// When more than this share of the regions fell within `blast_window`, hold and alarm. Default "50%".
        panic_threshold: Share,
        /// How long failures count as "together" for `max_removed` and `panic_threshold`; "forever" leaves the end of a hold
        /// to a person. Default "5m".
        blast_window: OrForever,
        /// So many writes at most within `write_budget.window`. Default 6.
        writes = "write_budget.writes": NonZeroU32,
        /// The window of `write_budget.writes`. Default "10m".
        write_window = "write_budget.window": Positive,
        /// What to do when somebody else changed our addresses. Default "mend".
        on_drift: OnDrift,
        /// How a region that was down returns. auto: after `recover_after`; manual: when a person says so after that, and at
        /// once while no other live region is published. Default "auto".
        failback: Failback,
        /// When a region is up: names of checks with && || ! ( ). Left out: all checks that vote.
        up_when: Expression,
    }
}

keys! {
    /// `[[service]]`: nothing uses these yet; what is written there must be right all the same.
    #[expect(dead_code, reason = "read to be judged only")]
    IdleServiceKeys {
        /// Names and texts of your own: { team = "shop" }.
        labels: Labels,
    }
}

keys! {
    /// `[[service.region]]`.
    RegionKeys {
        /// What logs, metrics and commands call it.
        name: RegionName,
        /// The account of its load balancer, a section [cloud.NAME]. Left out: the only one there is.
        cloud: CloudName,
        /// The cloud's region of its load balancer. Left out: the account's home region.
        cloud_region: Id,
        /// The load balancer's id.
        elb: ElbId,
        /// The port that its listener has, where connecting checks look too. Default 80.
        listener_port: Port,
        /// For policy = "priority"; 1 is best. Default 1.
        tier: NonZeroU32,
        /// For policy = "weighted", 1 to 1000: this in the sum of those that are published is its share of answers. Default 100.
        weight: Weight,
        /// Its addresses. Left out: the EIPs bound to its load balancer, followed when they change.
        address: Vec<Spanned<IpAddr>>,
    }
}

keys! {
    /// `[[service.check]]` and `[[service.region.check]]`: what every kind has.
    inherited CheckKeys {
        /// What logs, metrics and `up_when` call it.
        name: CheckName,
        /// How to look: http, https and tcp connect to the region; elb and eip ask the cloud.
        kind: CheckKindWord,
        /// Whether it has a part in the default `up_when`. Default true.
        vote: bool,
        /// keep: while it is unknown the region keeps its state; ignore: it is left out meanwhile, which is the
        /// default of elb and eip.
        when_unknown: WhenUnknown,
    }
}

keys! {
    /// What the kinds have that connect to the region: `http`, `https` and `tcp`.
    inherited of_a_kind ConnectKeys {
        /// The port to connect to. Left out: the region's `listener_port`, else 443 for https and 80.
        port: Port,
        /// The address to look from. Left out: the system chooses.
        source: IpAddr,
        /// Slower than this is a failure; less than timeout. Left out: only timeout counts.
        max_latency: Positive,
    }
}

keys! {
    /// What the kinds `http` and `https` have.
    inherited of_a_kind HttpKeys {
        /// https is the same as kind = "https". Default "http".
        scheme: Scheme,
        /// The request's method, in capitals. Default "GET".
        method: Method,
        /// What is asked for, from its first slash. Default "/".
        path: Target,
        /// The name that is asked for, sent as it is written. Left out: the service's domain, and the port unless it is the scheme's own.
        host: HostHeader,
        /// Further headers; not Host, User-Agent, Connection, Content-Length.
        headers: Headers,
        /// The statuses that pass: [200, "300-399"]. Default [200].
        expect_status: StatusSet,
        /// Must be within the body.
        expect_body: String,
        /// A regular expression that must match within the body.
        expect_body_regex: Pattern,
        /// Bytes that are read of an expected body, 1000000 at most. Default 65536.
        max_body: NonZeroU32,
        /// Keep the connection from look to look; a fresh one tells more. Default false.
        keep_alive: bool,
        /// What a look calls itself. Default "pointsman/VERSION (SERVICE)".
        user_agent: UserAgent,
    }
}

keys! {
    /// What `https` has.
    inherited of_a_kind TlsKeys {
        /// Whether the certificate must be good; false takes any. Default true.
        verify = "tls.verify": bool,
        /// The certificates trusted in place of the system's, in PEM: of authorities, or the server's own.
        ca_file = "tls.ca_file": PathBuf,
        /// The name that the certificate must have. Left out: the host.
        server_name = "tls.server_name": HostHeader,
        /// The certificate shown to the server, in PEM.
        client_cert_file = "tls.client_cert_file": PathBuf,
        /// Its key, in PEM.
        client_key_file = "tls.client_key_file": PathBuf,
        /// A certificate that ends this soon is alarmed; no failure. Default "14d".
        expires_within = "tls.expires_within": Duration,
    }
}

keys! {
    /// What the kind `elb` has.
    inherited of_a_kind ElbKeys {
        /// Backends that must be online: a number, or a share of those that could serve, "50%". Default 1.
        min_healthy: MinHealthy,
    }
}

keys! {
    /// `[vantage]`.
    VantageKeys {
        /// Addresses beyond this machine that answer whatever becomes of the regions, 8 at most, each as `tcp://ADDRESS:PORT`.
        /// While none of them answers, looks that fail are unknown. Left out: nobody is asked.
        references: Vec<Spanned<Reference>>,
    }
}

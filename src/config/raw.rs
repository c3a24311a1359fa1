//! The configuration as it is written: every key that there is, each value good in itself.
//!
//! Keys are declared here, once. Nothing is inherited yet, and no key knows of another; that is `check`,
//! `region`, `service` and their like.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;

use super::duration::Positive;
use super::endpoint::Endpoint;
use super::http_value::{Headers, HostHeader, Method, Pattern, Target, UserAgent};
use super::report::{At, Mark, Report};
use super::table::Table;
use super::value::{Factor, Id, Port};
use super::words::{CheckKindWord, CredentialsWord, Level, Mode, WhenAllDownWord};
use super::{LogFormat, ZoneType};
use crate::model::{
    CheckName, CloudName, Expression, Fqdn, MinHealthy, OnDrift, PolicyKind, ProviderName, RecordType,
    RegionName, Scheme, ServiceName, Share, StatusSet, Threshold, Ttl, WhenUnknown,
};

/// Declares a group of keys of one table. The key is the field's name, or what is given after `=`. An
/// `inherited` group is laid over that of a more general table; one `of_a_kind` is refused to other kinds.
macro_rules! keys {
    ($(#[$doc:meta])* $name:ident { $($field:ident $(= $key:literal)?: $type:ty,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub(super) struct $name {
            $(pub(super) $field: Option<At<$type>>,)+
        }

        impl $name {
            /// Takes the keys out of a table.
            pub(super) fn take(table: &mut Table<'_>, report: &mut Report<'_>) -> Self {
                Self { $($field: table.take(keys!(@key $field $($key)?), report),)+ }
            }
        }
    };
    ($(#[$doc:meta])* inherited $name:ident { $($field:ident $(= $key:literal)?: $type:ty,)+ }) => {
        keys! { $(#[$doc])* $name { $($field $(= $key)?: $type,)+ } }

        impl $name {
            /// These keys; where one is not given, that of the more general table.
            pub(super) fn over(self, general: &Self) -> Self {
                Self { $($field: self.$field.or_else(|| general.$field.clone()),)+ }
            }

        }
    };
    ($(#[$doc:meta])* of_a_kind $name:ident { $($field:ident $(= $key:literal)?: $type:ty,)+ }) => {
        keys! { $(#[$doc])* inherited $name { $($field $(= $key)?: $type,)+ } }

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

keys! {
    /// The top of the first file.
    RootKeys {
        include: Vec<Spanned<String>>,
    }
}

keys! {
    /// `[daemon]`.
    DaemonKeys {
        listen: SocketAddr,
        control: PathBuf,
        state_dir: PathBuf,
        dry_run: bool,
        resync: Positive,
        log_level = "log.level": Level,
        log_format = "log.format": LogFormat,
    }
}

keys! {
    /// `[cloud.NAME]`.
    CloudKeys {
        credentials: CredentialsWord,
        region: Id,
        project_id: Id,
        domain_id: Id,
        access_key: String,
        secret_key_file: PathBuf,
        security_token_file: PathBuf,
        iam = "endpoints.iam": Endpoint,
        elb = "endpoints.elb": Endpoint,
        eip = "endpoints.eip": Endpoint,
        dns = "endpoints.dns": Endpoint,
        metadata = "endpoints.metadata": Endpoint,
    }
}

keys! {
    /// `[dns.NAME]` of the kind `huawei`.
    HuaweiZoneKeys {
        cloud: CloudName,
        cloud_region: Id,
        zone: Fqdn,
        zone_type: ZoneType,
    }
}

keys! {
    /// `[defaults]`, and the same keys on a service, a region or a check: the most specific is in force.
    inherited TimingKeys {
        interval: Positive,
        fast_interval: Positive,
        timeout: Positive,
        fall: Threshold,
        rise: Threshold,
        recover_after: Duration,
        flap_window = "flap.window": Positive,
        flap_factor = "flap.factor": Factor,
        flap_max = "flap.max": Positive,
    }
}

keys! {
    /// `[[service]]`.
    ServiceKeys {
        name: ServiceName,
        mode: Mode,
        domain: Fqdn,
        record_type = "type": RecordType,
        dns: ProviderName,
        ttl: Ttl,
        create: bool,
        policy: PolicyKind,
        min_published: NonZeroU32,
        when_all_down: WhenAllDownWord,
        fallback: Vec<Spanned<IpAddr>>,
        max_removed: u32,
        panic_threshold: Share,
        writes = "write_budget.writes": NonZeroU32,
        write_window = "write_budget.window": Positive,
        on_drift: OnDrift,
        up_when: Expression,
    }
}

keys! {
    /// `[[service.region]]`.
    RegionKeys {
        name: RegionName,
        cloud: CloudName,
        cloud_region: Id,
        elb: Id,
        listener_port: Port,
        tier: NonZeroU32,
        address: Vec<Spanned<IpAddr>>,
    }
}

keys! {
    /// `[[service.check]]` and `[[service.region.check]]`: what every kind has.
    inherited CheckKeys {
        name: CheckName,
        kind: CheckKindWord,
        vote: bool,
        when_unknown: WhenUnknown,
    }
}

keys! {
    /// What the kinds have that connect to the region: `http`, `https` and `tcp`.
    of_a_kind ConnectKeys {
        port: Port,
        source: IpAddr,
        max_latency: Positive,
    }
}

keys! {
    /// What the kinds `http` and `https` have.
    of_a_kind HttpKeys {
        scheme: Scheme,
        method: Method,
        path: Target,
        host: HostHeader,
        headers: Headers,
        expect_status: StatusSet,
        expect_body: String,
        expect_body_regex: Pattern,
        max_body: NonZeroU32,
        keep_alive: bool,
        user_agent: UserAgent,
    }
}

keys! {
    /// What `https` has.
    of_a_kind TlsKeys {
        verify = "tls.verify": bool,
        ca_file = "tls.ca_file": PathBuf,
        server_name = "tls.server_name": HostHeader,
        client_cert_file = "tls.client_cert_file": PathBuf,
        client_key_file = "tls.client_key_file": PathBuf,
        expires_within = "tls.expires_within": Duration,
    }
}

keys! {
    /// What the kind `elb` has.
    of_a_kind ElbKeys {
        min_healthy: MinHealthy,
    }
}

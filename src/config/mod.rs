//! The configuration: TOML in, checked types out, every problem at once with its line.
//!
//! Text becomes `raw` keys, each value good in itself; those become a [`Config`] once defaults are
//! inherited and the rules between keys hold (`check`, `region`, `service`, `provider`). What is not good
//! is refused whole (RELOAD-OR-KEEP), and no line is shown with a secret on it (SECRETS-STAY). What is
//! promised and not built yet is refused or warned of, never ignored. Asks no network, looks at no clock,
//! and reads no file but those that `include` names; of files with secrets only who may read them. Start at [`parse`].

mod account;
mod check;
mod cloud;
mod daemon;
mod duration;
mod embedded;
mod endpoint;
mod expression;
mod http;
mod http_value;
mod include;
mod load;
mod named;
mod problem;
mod provider;
mod raw;
mod region;
mod report;
mod schema;
mod secret_file;
mod secrets;
mod server;
mod service;
mod source;
mod static_record;
mod suggest;
mod table;
mod timing;
mod tsig;
mod value;
mod vantage;
mod words;
mod zone;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use cloud::{Cloud, CredentialsFrom, Endpoints};
pub(crate) use endpoint::is_near;
pub use load::{LoadError, Loaded, load, parse, report};
pub use problem::{Problem, Problems, Severity};
pub use schema::schema;

pub use zone::{
    EmbeddedZone, HuaweiZone, Provider, ProviderKind, Rfc2136Zone, Secondary, StaticRecord, TsigAlgorithm,
    TsigKey, ZoneType,
};

use crate::model::{CloudName, ProviderName, Service};

/// A whole configuration, every value of it good and every default filled in.
#[derive(Clone, Debug)]
pub struct Config {
    /// The process itself.
    pub daemon: Daemon,
    /// Is it them or us?
    pub vantage: Vantage,
    /// Accounts by name.
    pub clouds: BTreeMap<CloudName, Cloud>,
    /// Where record sets live, by name.
    pub providers: BTreeMap<ProviderName, Provider>,
    /// What is kept alive, in the order written; at least one.
    pub services: Vec<Arc<Service>>,
}

/// The `[vantage]` section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vantage {
    /// What answers whatever becomes of the regions, each once, 8 at most. Default none: nothing is asked.
    pub references: Vec<SocketAddr>,
}

/// The `[daemon]` section.
#[derive(Clone, Debug)]
pub struct Daemon {
    /// Where the read-only side listens. Default `127.0.0.1:9753`.
    pub listen: SocketAddr,
    /// The socket of operator commands. Default `/run/pointsman/control.sock`.
    pub control: PathBuf,
    /// Where state is kept. Default `/var/lib/pointsman`.
    pub state_dir: PathBuf,
    /// Look and decide, write nothing. Default no.
    pub dry_run: bool,
    /// Every record set is read this often anyway. Default 60 s.
    pub resync: Duration,
    /// How much is logged, and how.
    pub log: Log,
}

/// The `log` key of `[daemon]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug` or `trace`, or a tracing filter directive. Default `info`.
    pub level: String,
    /// One sentence a line, or one JSON object a line. Default text.
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

impl LogFormat {
    /// `text` or `json`, as the configuration spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

//! The words that keys take, where the model has no type for them.

use serde_json::{Value, json};
use toml::Spanned;
use toml::de::DeValue;

use super::value::{FromToml, Wrong, choose, keep, text, texts, words};
use super::{LogFormat, TsigAlgorithm, ZoneType};
use crate::model::{Failback, Mode, OnDrift, PolicyKind, RecordType, Scheme, WhenUnknown};

/// `when_all_down`, without the addresses of `fallback`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WhenAllDownWord {
    /// `keep-last`.
    KeepLast,
    /// `publish-all`.
    PublishAll,
    /// `fallback`.
    Fallback,
}

/// `credentials`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CredentialsWord {
    /// Environment, then file, then agency.
    Auto,
    /// Environment.
    Environment,
    /// The SDK's file.
    File,
    /// The ECS's agency.
    Agency,
}

/// `kind` of a place where record sets live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProviderKindWord {
    /// Huawei Cloud DNS.
    Huawei,
    /// A server that takes dynamic updates.
    Rfc2136,
    /// A zone that is served here.
    Embedded,
}

impl ProviderKindWord {
    /// As it is written.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Huawei => "huawei",
            Self::Rfc2136 => "rfc2136",
            Self::Embedded => "embedded",
        }
    }
}

/// One record of an embedded zone as it is written, which only its zone gives a meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RecordText(pub(super) String);

texts! {
    RecordText: "\"www 300 CNAME demo\"" like "^\\s*\\S+\\s+[0-9]+\\s+[A-Za-z]+\\s+\\S" => |text| Ok(Self(text.to_owned()));
}

/// `kind` of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CheckKindWord {
    /// An HTTP request.
    Http,
    /// The same over TLS.
    Https,
    /// A TCP connection.
    Tcp,
    /// Backends behind a load balancer's listener.
    Elb,
    /// A load balancer's EIP.
    Eip,
}

impl CheckKindWord {
    /// As it is written.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Tcp => "tcp",
            Self::Elb => "elb",
            Self::Eip => "eip",
        }
    }
}

words! { Mode: "act" => Self::Act, "advise" => Self::Advise, "observe" => Self::Observe }
words! { Failback: "auto" => Self::Auto, "manual" => Self::Manual }
words! { PolicyKind: "all" => Self::All, "priority" => Self::Priority, "weighted" => Self::Weighted }
words! { WhenAllDownWord: "keep-last" => Self::KeepLast, "publish-all" => Self::PublishAll, "fallback" => Self::Fallback }
words! { OnDrift: "mend" => Self::Mend, "alarm" => Self::Alarm }
words! { CredentialsWord: "auto" => Self::Auto, "environment" => Self::Environment, "file" => Self::File, "agency" => Self::Agency }
words! { ProviderKindWord: "huawei" => Self::Huawei, "rfc2136" => Self::Rfc2136, "embedded" => Self::Embedded }
words! { TsigAlgorithm: "hmac-sha256" => Self::HmacSha256, "hmac-sha384" => Self::HmacSha384, "hmac-sha512" => Self::HmacSha512 }
words! { ZoneType: "private" => Self::Private, "public" => Self::Public }
words! { RecordType: "A" => Self::A, "AAAA" => Self::Aaaa }
words! { LogFormat: "text" => Self::Text, "json" => Self::Json }
words! { Scheme: "http" => Self::Http, "https" => Self::Https }
words! { WhenUnknown: "keep" => Self::Keep, "ignore" => Self::Ignore }
words! { CheckKindWord:
    "http" => Self::Http, "https" => Self::Https, "tcp" => Self::Tcp, "elb" => Self::Elb, "eip" => Self::Eip
}

const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// `log.level`: one of the levels, or directives for single modules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Level(pub(super) String);

impl FromToml for Level {
    fn from_toml(value: &Spanned<DeValue<'_>>, wrong: &mut Vec<Wrong>) -> Option<Self> {
        let levels = LEVELS.map(|level| (level, ()));
        let read = text(value, "\"info\"").and_then(|level| {
            // A single unknown word would be taken for a module's name, and switch the log off.
            if level.contains(['=', ',']) {
                let mistake = || Wrong::new("is not a log filter", "write \"info,pointsman::probe=debug\"");
                tracing_subscriber::EnvFilter::try_new(level).map_err(|_| mistake())?;
            } else {
                choose(value, &levels, &[])?;
            }
            Ok(Self(level.to_owned()))
        });
        keep(read, wrong)
    }

    fn schema() -> Value {
        json!({ "anyOf": [{ "enum": LEVELS }, { "type": "string", "pattern": "[=,]" }] })
    }
}

/// `labels`: a table of texts. Nothing uses them yet, so they are only looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Labels;

impl FromToml for Labels {
    fn from_toml(value: &Spanned<DeValue<'_>>, wrong: &mut Vec<Wrong>) -> Option<Self> {
        let hint = "write a table of texts: { team = \"shop\" }";
        let DeValue::Table(labels) = value.get_ref() else {
            wrong.push(Wrong::new("is not a table", hint));
            return None;
        };
        for label in labels.values().filter(|label| !label.get_ref().is_str()) {
            wrong.push(Wrong { span: Some(label.span()), ..Wrong::new("is not a text", hint) });
        }
        Some(Self)
    }

    fn schema() -> Value {
        json!({ "type": "object", "additionalProperties": { "type": "string" } })
    }
}

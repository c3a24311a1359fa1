//! The words of pointsman, as types.
//!
//! Everything else speaks in these: a [`Service`] has [`Region`]s, a region has [`Check`]s, a look
//! yields an [`Observation`], and what a zone holds is a [`Found`] record set that a [`RecordSet`]
//! replaces. Types here have no bad value, do no I/O, read no clock, and import no other module.
//! Carries NEVER-EMPTY as a type ([`RecordSet`] cannot be built empty) and SECRETS-STAY ([`Secret`]
//! cannot be printed). Start at [`Service`].

mod alarm;
mod check;
mod count;
mod expression;
mod name;
mod observation;
mod operator;
mod part;
mod quote;
mod record_set;
mod secret;
mod service;
mod status;
mod threshold;
mod time;
mod witness;

pub use alarm::Alarm;
pub use check::{
    Check, CheckKind, ClientCertificate, EipCheck, ElbCheck, ElbRef, HttpCheck, MinHealthy, Pace, Scheme,
    StatusSet, TcpCheck, TlsSettings, WhenUnknown,
};
pub use count::{count_in_words, first_in_words};
pub use expression::{Expression, Kleene};
pub use name::{
    CheckKey, CheckName, CloudName, Fqdn, Line, NameError, ProviderName, RegionName, ServiceName,
};
pub use observation::{Certificate, Observation, Outcome, Reason};
pub use operator::{Override, Ruling, Scope, Waiting, WaitsFor, Word};
pub use part::{FoundPart, Part, PartState, Weighed, Weight, is_split_as};
pub use quote::quoted;
pub use record_set::{
    Answer, EmptyRecordSet, Found, InForce, ProviderError, ProviderErrorKind, RecordKey, RecordSet,
    RecordType, Routing, Ttl, addresses_in_words,
};
pub use secret::Secret;
pub use service::{
    Failback, Flap, Mode, OnDrift, PolicyKind, Record, Region, Service, Share, WhenAllDown, WriteBudget,
};
pub use status::{
    AlarmStatus, CheckStatus, CloudStatus, FailoverStatus, HeldStatus, JournalStatus, Liveness, LogStatus,
    MoveStatus, OverrideStatus, RecordStatus, RegionStatus, ServiceStatus, Status, WaitingStatus,
    WitnessStatus,
};
pub use threshold::Threshold;
pub use time::Moment;
pub use witness::{Errand, Fetched, Inquiry, Statement, Testimony};

//! What an answer says, and what a failed call means for what comes next.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the protocol's lists grow, and what is not named is not clear"
)]

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, RecordType};

use super::answer::AnswerError;
use super::call::Failure;
use super::exchange::ExchangeError;
use crate::model::{Found, InForce, ProviderError, ProviderErrorKind, Ttl, quoted};

/// More values than any record set has. A set beyond it would be written back, logged and journalled whole.
const VALUES_MAX: usize = 1_000;

/// As many characters of an error are told; names in it may be the server's.
const MESSAGE_MAX: usize = 1_200;

/// One thing that was asked of a server, for the words that tell how it went.
#[derive(Clone, Debug)]
pub(super) struct Errand {
    /// What was to be done: "read demo.corp.example. A".
    pub(super) what: String,
    /// The provider.
    pub(super) of: String,
    /// The key's name.
    pub(super) key: String,
}

impl Errand {
    pub(super) fn failed(&self, kind: ProviderErrorKind, why: impl fmt::Display) -> ProviderError {
        let Self { what, of, .. } = self;
        ProviderError { kind, message: quoted(&format!("cannot {what} in {of}: {why}"), MESSAGE_MAX) }
    }

    /// A question that came to nothing. Nothing was changed by it.
    pub(super) fn unread(&self, failure: &Failure) -> ProviderError {
        use ProviderErrorKind::{Away, Refused, Unclear};
        match failure {
            Failure::Exchange(error) => self.failed(Away, error),
            // Who made it up could only make us wait.
            Failure::Answer(AnswerError::Unsigned(code)) if is_error(*code) => {
                let error = self.refusal(*code);
                ProviderError { message: format!("{} (the answer is not signed)", error.message), ..error }
            }
            Failure::Answer(error @ AnswerError::Key(_)) => {
                self.failed(Refused, format_args!("the key {} is not taken: {error}", self.key))
            }
            Failure::Answer(
                error @ (AnswerError::Garbage(_)
                | AnswerError::Foreign
                | AnswerError::Truncated
                | AnswerError::Unsigned(_)
                | AnswerError::Forged(_)),
            ) => self.failed(Unclear, error),
        }
    }

    /// An update that came to nothing, or of which nothing is known.
    pub(super) fn unwritten(&self, failure: &Failure) -> ProviderError {
        use ProviderErrorKind::{Away, Refused};
        match failure {
            Failure::Exchange(error @ (ExchangeError::Unsent(_) | ExchangeError::UnsentInTime)) => {
                self.failed(Away, error)
            }
            // Of all that is not signed this alone is told: the protocol has it so, and nothing is believed for it but that
            // the update was refused, which the next read tells.
            Failure::Answer(error @ AnswerError::Key(_)) => {
                self.failed(Refused, format_args!("the key {} is not taken: {error}", self.key))
            }
            Failure::Exchange(error @ (ExchangeError::Unanswered(_) | ExchangeError::UnansweredInTime)) => {
                self.lost(error)
            }
            Failure::Answer(error) => self.lost(error),
        }
    }

    fn lost(&self, why: impl fmt::Display) -> ProviderError {
        self.failed(ProviderErrorKind::Lost, format_args!("{why}; it may have been made all the same"))
    }

    /// Whether an answer to a question is the zone's own word.
    pub(super) fn believed(&self, answer: &Message) -> Result<(), ProviderError> {
        let code = answer.metadata.response_code;
        if is_error(code) {
            return Err(self.refusal(code));
        }
        if answer.metadata.authoritative {
            return Ok(());
        }
        let why = "the server answers without authority for the name: it does not serve the zone, or has given \
                   the name away to another; name the primary of the zone that holds it";
        Err(self.failed(ProviderErrorKind::Refused, why))
    }

    /// What the server's signed answer comes to, to an update that `required` something, in words.
    pub(super) fn made(&self, code: ResponseCode, required: &str) -> Result<(), ProviderError> {
        use ProviderErrorKind::{Conflict, Refused};
        let said = name_of(code);
        Err(match code {
            ResponseCode::NoError => return Ok(()),
            ResponseCode::NXRRSet => self.failed(
                Conflict,
                format_args!(
                    "it was changed since it was read, or a wildcard of the zone answers for it; the server says \
                     {said} to an update that requires {required}"
                ),
            ),
            ResponseCode::YXRRSet | ResponseCode::YXDomain | ResponseCode::NXDomain => self.failed(
                Conflict,
                format_args!(
                    "it was changed since it was read; the server says {said} to an update that requires {required}"
                ),
            ),
            ResponseCode::Refused => self.failed(
                Refused,
                format_args!(
                    "the server does not let the key {} change it (REFUSED); grant it that: update-policy in \
                     BIND, an acl in Knot; a secondary refuses everybody",
                    self.key
                ),
            ),
            ResponseCode::NotImp => {
                self.failed(Refused, "the server takes no dynamic updates (NOTIMP); is it the primary?")
            }
            ResponseCode::NotAuth | ResponseCode::NotZone | ResponseCode::FormErr => self.refusal(code),
            _ => self.lost(format_args!("the server says {said}")),
        })
    }

    /// An answer that is an error, to whatever was asked.
    fn refusal(&self, code: ResponseCode) -> ProviderError {
        use ProviderErrorKind::{Away, Refused, Unclear};
        match code {
            ResponseCode::Refused => self.failed(
                Refused,
                format_args!(
                    "the server does not answer (REFUSED): it does not serve the zone, or not to this machine or \
                     the key {}",
                    self.key
                ),
            ),
            ResponseCode::NotAuth => {
                self.failed(Refused, "the server is not the zone's primary (NOTAUTH); name that as `server`")
            }
            ResponseCode::NotZone => {
                self.failed(Refused, "the name is not in the zone (NOTZONE); `zone` must be the zone that holds it")
            }
            ResponseCode::FormErr | ResponseCode::NotImp => self.failed(
                Refused,
                format_args!("the server does not understand what it was sent ({})", name_of(code)),
            ),
            ResponseCode::ServFail => {
                self.failed(Away, "the server has a failure of its own (SERVFAIL); its log says which")
            }
            other => self.failed(Unclear, format_args!("the server says {}", name_of(other))),
        }
    }
}

fn is_error(code: ResponseCode) -> bool {
    !matches!(code, ResponseCode::NoError | ResponseCode::NXDomain)
}

/// As `dig` prints it.
fn name_of(code: ResponseCode) -> String {
    match code {
        ResponseCode::NoError => "NOERROR".to_owned(),
        ResponseCode::FormErr => "FORMERR".to_owned(),
        ResponseCode::ServFail => "SERVFAIL".to_owned(),
        ResponseCode::NXDomain => "NXDOMAIN".to_owned(),
        ResponseCode::NotImp => "NOTIMP".to_owned(),
        ResponseCode::YXDomain => "YXDOMAIN".to_owned(),
        ResponseCode::YXRRSet => "YXRRSET".to_owned(),
        ResponseCode::NXRRSet => "NXRRSET".to_owned(),
        other => format!("error {}", u16::from(other)),
    }
}

/// The record set in an answer that is the zone's own word; none only when it says so itself.
pub(super) fn record_set(
    id: String,
    name: &Name,
    zone: &Name,
    asked: RecordType,
    answer: &Message,
) -> Result<Option<Found>, (ProviderErrorKind, String)> {
    let unclear = |what: String| Err((ProviderErrorKind::Unclear, what));
    let mut values = BTreeSet::new();
    for record in &answer.answers {
        if let RData::CNAME(alias) = &record.data {
            let what = format!(
                "the name is an alias for {alias} (CNAME), which pointsman never writes over; remove it, or name \
                 another domain"
            );
            return Err((ProviderErrorKind::Refused, what));
        }
        let value: IpAddr = match &record.data {
            RData::A(value) => value.0.into(),
            RData::AAAA(value) => value.0.into(),
            _ => {
                return unclear(format!(
                    "the answer has a record that is no address: {}",
                    record.record_type()
                ));
            }
        };
        let is_asked =
            record.name == *name && record.record_type() == asked && record.dns_class == DNSClass::IN;
        if !is_asked {
            return unclear(format!("the answer has a record that was not asked for: {record}"));
        }
        values.insert(value);
    }
    let Some(ttl) = answer.answers.iter().map(|record| Ttl::found(record.ttl)).min() else {
        // Of a zone of its own below ours it would say nothing about ours.
        let of_zone =
            |soa: &hickory_proto::rr::Record| soa.name == *zone && soa.record_type() == RecordType::SOA;
        return if answer.authorities.iter().any(of_zone) {
            Ok(None)
        } else {
            unclear(format!("the answer has no record, and does not say that zone {zone} has none"))
        };
    };
    if answer.metadata.response_code != ResponseCode::NoError {
        return unclear("the answer has records, and says that there is no such name".to_owned());
    }
    if values.len() > VALUES_MAX {
        return unclear(format!("it has {} values, and none has more than {VALUES_MAX}", values.len()));
    }
    Ok(Some(Found { id, values, ttl, in_force: InForce::Yes, description: None, parts: Vec::new() }))
}

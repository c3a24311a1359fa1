//! Why a call has no usable answer, and what that means for what comes next.

use std::fmt;
use std::time::Duration;

use super::Api;
use super::class::Class;
use super::code::{SAID_OF_TIME, is_known, is_the_gateways};
use crate::model::quoted;

/// Why a call to the cloud's API has no usable answer.
///
/// The message carries the root cause as text, as the HTTP client's errors neither show theirs nor can be
/// cloned. It never holds a key or token (SECRETS-STAY).
#[derive(Clone, Debug)]
pub struct ApiError(Box<Parts>);

#[derive(Clone, Debug)]
struct Parts {
    api: Api,
    what: &'static str,
    region: String,
    effect: Effect,
    kind: ApiErrorKind,
    details: Details,
}

/// What an error knows beside its kind; empty by default.
#[derive(Clone, Debug, Default)]
pub(super) struct Details {
    pub(super) code: Option<String>,
    pub(super) message: String,
    pub(super) request_id: Option<String>,
    /// The class of the answer, when there was one with a status other than 2xx.
    pub(super) class: Option<Class>,
    pub(super) retry_after: Option<Duration>,
    /// A likely cause and what to do about it, for people.
    pub(super) hint: Option<String>,
    /// The answer's `Date`, since 1970.
    pub(super) server_time: Option<Duration>,
}

/// As many characters of a message as are kept; the longest of ours lists projects.
const MESSAGE_MAX: usize = 1_000;

/// The same of a request's id.
const ID_MAX: usize = 100;

/// Whether a request only reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Read,
    Write,
}

/// What happened to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiErrorKind {
    /// An answer with a status other than 2xx.
    Status(u16),
    /// Our own budget, or the pause after a throttle, lasts beyond the deadline: nothing was sent.
    Budget,
    /// No keys were found or they cannot be read: nothing was sent.
    Credentials,
    /// There is no project, or not exactly one, for the region: the call itself was not sent.
    Project,
    /// The endpoint or the request cannot be put into a URL or a header: nothing was sent.
    Request,
    /// No connection came about: nothing was sent.
    Connect,
    /// No answer before the deadline; the request may have been sent.
    Timeout,
    /// The connection broke before the whole answer had come.
    Broken,
    /// A 2xx whose body is not the object it must be: truncated, HTML, a key or list missing, too large.
    Malformed,
}

impl ApiError {
    pub(super) fn new(
        api: Api,
        what: &'static str,
        region: &str,
        effect: Effect,
        kind: ApiErrorKind,
        mut details: Details,
    ) -> Self {
        // Ids, names and parsers' complaints quote what a server sent.
        details.message = quoted(&details.message, MESSAGE_MAX);
        details.request_id = details.request_id.map(|id| quoted(&id, ID_MAX));
        Self(Box::new(Parts { api, what, region: region.to_owned(), effect, kind, details }))
    }

    /// Which service was asked.
    #[must_use]
    pub fn api(&self) -> Api {
        self.0.api
    }

    /// What happened.
    #[must_use]
    pub fn kind(&self) -> &ApiErrorKind {
        &self.0.kind
    }

    /// The answer's status, when there was an answer with a status other than 2xx.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self.0.kind {
            ApiErrorKind::Status(status) => Some(status),
            ApiErrorKind::Budget
            | ApiErrorKind::Credentials
            | ApiErrorKind::Project
            | ApiErrorKind::Request
            | ApiErrorKind::Connect
            | ApiErrorKind::Timeout
            | ApiErrorKind::Broken
            | ApiErrorKind::Malformed => None,
        }
    }

    /// The service's own code: `ELB.8904`, `401`.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.0.details.code.as_deref()
    }

    /// What the service said, or what went wrong on the way; on one line, may be empty.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.details.message
    }

    /// What the vendor's support asks for.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.0.details.request_id.as_deref()
    }

    /// The class of the answer, by its code first and its status second; none when there was no answer with an error.
    #[must_use]
    pub fn class(&self) -> Option<Class> {
        self.0.details.class
    }

    /// The service itself says that the object does not exist. A 404 of a gateway (HTML, an empty body, a code that is none of
    /// the service's own for that) says nothing about the object.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.class() == Some(Class::Missing)
    }

    /// A throttle of the cloud's, or our own budget. Nothing was changed.
    #[must_use]
    pub fn is_throttle(&self) -> bool {
        self.0.kind == ApiErrorKind::Budget || self.class() == Some(Class::Throttled)
    }

    /// Any other answer that says that the request was refused, a missing object and bad keys among them: nothing was changed.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        self.class().is_some_and(|class| !matches!(class, Class::Throttled | Class::Fault))
    }

    /// The service itself says that the request is wrong in itself, such as by an id that is none: 400 with one of its
    /// codes for that. Others of its 400s are about rights or about a service behind it.
    #[must_use]
    pub fn is_wrong_request(&self) -> bool {
        self.status() == Some(400) && self.is_the_services_own(Class::Malformed)
    }

    /// The service's own policy does not allow the request: a permission is missing, or what is asked for is in an
    /// enterprise project that the keys have none for, which may be true of one object among several.
    #[must_use]
    pub fn is_denied_by_policy(&self) -> bool {
        matches!(self.status(), Some(400 | 403)) && self.is_the_services_own(Class::Permission)
    }

    /// Returns true if it is of that class by a code of the service itself.
    fn is_the_services_own(&self, class: Class) -> bool {
        self.class() == Some(class) && self.code().is_some_and(|code| !is_the_gateways(code))
    }

    /// No keys were found, or the keys were not taken.
    #[must_use]
    pub fn is_credentials(&self) -> bool {
        self.0.kind == ApiErrorKind::Credentials
            || matches!(self.class(), Some(Class::Keys | Class::Locked | Class::Clock))
    }

    /// How long to wait before asking again, when the service said so or our budget knows.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.details.retry_after
    }

    /// A write was sent, or may have been, and no clear answer came: only a read can tell what it did.
    /// Never for a read. Exactly one of this, [`Self::is_throttle`], [`Self::is_refusal`] and "nothing was
    /// sent" holds for a write.
    #[must_use]
    pub fn outcome_unknown(&self) -> bool {
        if self.0.effect == Effect::Read {
            return false;
        }
        match self.0.kind {
            ApiErrorKind::Status(_) => self.class() == Some(Class::Fault),
            ApiErrorKind::Timeout | ApiErrorKind::Broken | ApiErrorKind::Malformed => true,
            ApiErrorKind::Budget
            | ApiErrorKind::Credentials
            | ApiErrorKind::Project
            | ApiErrorKind::Request
            | ApiErrorKind::Connect => false,
        }
    }

    /// Asking again may help, and does no harm: a read answered by a throttle, by a service that failed (with 500, 502, 503 or
    /// 504, or by a code that says so), or not at all because the connection broke or never came about.
    pub(super) fn is_worth_another_try(&self) -> bool {
        self.0.effect == Effect::Read
            && match self.0.kind {
                ApiErrorKind::Status(status) => match self.class() {
                    Some(Class::Throttled) => true,
                    Some(Class::Fault) => {
                        matches!(status, 500 | 502 | 503 | 504) || self.code().is_some_and(is_known)
                    }
                    Some(_) | None => false,
                },
                ApiErrorKind::Connect | ApiErrorKind::Broken => true,
                ApiErrorKind::Budget
                | ApiErrorKind::Credentials
                | ApiErrorKind::Project
                | ApiErrorKind::Request
                | ApiErrorKind::Timeout
                | ApiErrorKind::Malformed => false,
            }
    }

    /// It was refused in a way that a request is whose signature's date is not the cloud's: 401, by the gateway or without a code.
    /// A 403 is a permission, a throttle or a freeze, and a key that is locked is refused at any time.
    pub(super) fn may_be_for_its_time(&self) -> bool {
        // IAM's older answers repeat the status as their code.
        let is_said = self.code().is_none_or(|code| code == "401" || SAID_OF_TIME.contains(&code));
        self.status() == Some(401) && is_said && matches!(self.class(), Some(Class::Keys | Class::Clock))
    }

    /// There was an answer, and it is not about the signature.
    pub(super) fn tells_that_it_was_taken(&self) -> bool {
        self.status().is_some() && !self.is_credentials()
    }

    /// The cloud's time when it answered, since 1970, where it said so.
    pub(super) fn server_time(&self) -> Option<Duration> {
        self.0.details.server_time
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts { api, what, region, kind, details, .. } = &*self.0;
        write!(f, "{api} {what} in {region}: ")?;
        if let ApiErrorKind::Status(status) = kind {
            write!(f, "{status}")?;
            if let Some(code) = &details.code {
                write!(f, " {code}")?;
            }
            if !details.message.is_empty() {
                write!(f, " \"{}\"", details.message)?;
            }
        } else {
            f.write_str(&details.message)?;
        }
        if let Some(id) = &details.request_id {
            write!(f, " (request id {id})")?;
        }
        if let Some(hint) = &details.hint {
            write!(f, "; {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ApiError {}

#[cfg(test)]
mod tests {
    use super::super::code::classify;
    use super::*;

    fn error(effect: Effect, kind: ApiErrorKind, body: &str) -> ApiError {
        let body = super::super::error_body::ErrorBody::read(body.as_bytes(), &|text| text);
        let status = if let ApiErrorKind::Status(status) = kind { Some(status) } else { None };
        let class = status.map(|status| classify(Api::Elb, status, body.code.as_deref(), &body.message));
        let (code, message, request_id) = (body.code, body.message, body.request_id);
        let details = Details { code, message, request_id, class, ..Details::default() };
        ApiError::new(Api::Elb, "list members", "cn-north-4", effect, kind, details)
    }

    #[test]
    fn it_reads_as_what_where_and_why() {
        let body = r#"{"error_code": "ELB.8902", "error_msg": "busy", "request_id": "r1"}"#;
        assert_eq!(
            error(Effect::Read, ApiErrorKind::Status(503), body).to_string(),
            "ELB list members in cn-north-4: 503 ELB.8902 \"busy\" (request id r1)"
        );
        assert_eq!(
            error(Effect::Read, ApiErrorKind::Status(502), "").to_string(),
            "ELB list members in cn-north-4: 502"
        );
    }

    #[test]
    fn only_the_service_itself_can_say_that_an_object_is_not_there() {
        let not_found = |body| error(Effect::Read, ApiErrorKind::Status(404), body).is_not_found();
        assert!(not_found(r#"{"error_code": "ELB.8904", "error_msg": "could not be found"}"#));
        assert!(!not_found(""));
        assert!(!not_found("<html><title>404 Not Found</title></html>"));
        assert!(!not_found(r#"{"path": "/v3/x"}"#));
        assert!(!not_found(r#"{"error_code": "APIGW.0101", "error_msg": "The API does not exist"}"#));
    }

    #[test]
    fn a_write_without_a_clear_answer_is_unknown_and_never_a_refusal() {
        for status in 300..600 {
            let error = error(Effect::Write, ApiErrorKind::Status(status), "");
            let clear = u8::from(error.is_refusal()) + u8::from(error.is_throttle());
            assert_eq!(clear + u8::from(error.outcome_unknown()), 1, "{status}");
            assert_eq!(clear == 1, (400..500).contains(&status) && status != 408, "{status}");
        }
        for kind in [ApiErrorKind::Timeout, ApiErrorKind::Broken, ApiErrorKind::Malformed] {
            assert!(error(Effect::Write, kind, "").outcome_unknown());
            assert!(!error(Effect::Read, kind, "").outcome_unknown());
        }
        for kind in [ApiErrorKind::Connect, ApiErrorKind::Budget, ApiErrorKind::Credentials] {
            assert!(!error(Effect::Write, kind, "").outcome_unknown());
        }
    }

    #[test]
    fn writes_are_never_worth_another_try() {
        for status in [429, 500, 502, 503, 504] {
            assert!(error(Effect::Read, ApiErrorKind::Status(status), "").is_worth_another_try());
            assert!(!error(Effect::Write, ApiErrorKind::Status(status), "").is_worth_another_try());
        }
        assert!(!error(Effect::Read, ApiErrorKind::Status(501), "").is_worth_another_try());
        assert!(!error(Effect::Write, ApiErrorKind::Broken, "").is_worth_another_try());
    }
}

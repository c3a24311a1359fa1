//! Asks a machine's metadata service for the temporary keys of its agency.
//!
//! One request after the other, each with a time limit of its own; who asks when is not known here. What
//! the service says of keys is never shown, not even when it cannot be understood (SECRETS-STAY). Start at
//! [`Metadata::keys`].

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Method, Url};
use serde::{Deserialize, Deserializer};
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::client::{Failure, Incoming, Outgoing, exchange};
use super::cloud_clock::CloudClock;
use super::credentials::{Credentials, blot};
use super::error_body::ErrorBody;
use super::outside::Network;
use crate::clock::instant_now;
use crate::model::Secret;

/// Where every ECS finds its metadata service.
const BASE: &str = "http://169.254.169.254";

/// For one request, connecting included: the service is on the same host, and answers at once or not at all.
const REQUEST_MAX: Duration = Duration::from_secs(3);

/// How long a token is asked to be good for, in seconds: the most there is.
const TOKEN_TTL: &str = "21600";

/// The part of its answer by which the service says that the machine has no agency.
const NO_AGENCY: &str = "configure Cloud Service Agency first";

/// Why the metadata service gave no keys.
#[derive(Debug, thiserror::Error)]
pub(super) enum MetadataError {
    #[error("endpoints.metadata is not a URL: {0}")]
    Endpoint(String),
    #[error("the metadata service at {host} cannot be reached: {cause}; is this machine an ECS?")]
    Unreachable { host: String, cause: String },
    #[error("the metadata service at {host} gave no answer within 3 s")]
    Silent { host: String },
    #[error("the connection to the metadata service at {host} broke: {cause}")]
    Broken { host: String, cause: String },
    #[error(
        "this ECS has no agency: choose one in the console under Elastic Cloud Server, the server, Management \
         Information, Agency"
    )]
    NoAgency,
    #[error("the metadata service answered {status} to the request for {what}{}{text}", if text.is_empty() { "" } else { ": " })]
    Status { what: &'static str, status: u16, text: String },
    #[error("the metadata service's {what} cannot be understood")]
    Malformed { what: &'static str },
    #[error("the metadata service gave keys that ended at {ended}; is this machine's clock right?")]
    Ended { ended: Timestamp },
}

/// What is known of the service's tokens.
#[derive(Debug, Default)]
enum Token {
    #[default]
    Unasked,
    /// The machine has no token mode.
    None,
    Held(Secret),
}

/// The service, and the token it gave last.
pub(super) struct Metadata {
    network: Network,
    base: String,
    clock: Arc<CloudClock>,
    token: Mutex<Token>,
}

#[derive(Deserialize)]
struct Answer {
    credential: Credential,
}

#[derive(Deserialize)]
struct Credential {
    access: String,
    #[serde(deserialize_with = "secret")]
    secret: Secret,
    #[serde(deserialize_with = "secret")]
    securitytoken: Secret,
    expires_at: String,
}

/// Kept as a secret from the start, so that it is wiped even when what follows cannot be read.
fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<Secret, D::Error> {
    String::deserialize(from).map(Secret::new)
}

impl Metadata {
    /// The service at `base`, or where every ECS finds it.
    pub(super) fn new(network: Network, base: Option<&str>, clock: Arc<CloudClock>) -> Self {
        let base = base.unwrap_or(BASE).trim_end_matches('/').to_owned();
        Self { network, base, clock, token: Mutex::default() }
    }

    /// Keys, as the service has them now. Takes four requests and 12 s at most.
    pub(super) async fn keys(&self) -> Result<Credentials, MetadataError> {
        let mut token = self.token.lock().await;
        if matches!(*token, Token::Unasked) {
            *token = match self.new_token().await {
                Ok(token) => Token::Held(token),
                Err(MetadataError::Status { status: 404 | 405 | 503, .. }) => Token::None,
                Err(error) => return Err(error),
            };
        }
        let mut answer = self.security_key(&token).await?;
        if answer.status == 401 && !says_no_agency(&answer) {
            *token = Token::Held(self.new_token().await?);
            answer = self.security_key(&token).await?;
        }
        match answer.status {
            200..300 => read(answer, self.clock.now()),
            _ if says_no_agency(&answer) => Err(MetadataError::NoAgency),
            _ => Err(refused("keys", &answer, &token)),
        }
    }

    async fn new_token(&self) -> Result<Secret, MetadataError> {
        let ttl =
            (HeaderName::from_static("x-metadata-token-ttl-seconds"), HeaderValue::from_static(TOKEN_TTL));
        let answer = self.ask(Method::PUT, "/meta-data/latest/api/token", vec![ttl]).await?;
        if !(200..300).contains(&answer.status) {
            return Err(refused("a token", &answer, &Token::None));
        }
        let body = Zeroizing::new(answer.body);
        match std::str::from_utf8(&body).map(Secret::new) {
            Ok(token) if header(&token).is_some_and(|value| !value.is_empty()) => Ok(token),
            Ok(_) | Err(_) => Err(MetadataError::Malformed { what: "token" }),
        }
    }

    async fn security_key(&self, token: &Token) -> Result<Incoming, MetadataError> {
        let value = match token {
            Token::Held(token) => header(token),
            Token::Unasked | Token::None => None,
        };
        let headers = value.map(|value| (HeaderName::from_static("x-metadata-token"), value));
        self.ask(Method::GET, "/openstack/latest/securitykey", headers.into_iter().collect()).await
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: Vec<(HeaderName, HeaderValue)>,
    ) -> Result<Incoming, MetadataError> {
        let url = format!("{}{path}", self.base);
        let url = Url::parse(&url).map_err(|error| MetadataError::Endpoint(error.to_string()))?;
        let host = url.authority().to_owned();
        let outgoing = Outgoing { method, url, headers, body: None };
        let started = instant_now();
        let outcome = exchange(&self.network, outgoing, started + REQUEST_MAX).await;
        let answer = outcome.map_err(|failure| match failure {
            Failure::Connect { cause, .. } => MetadataError::Unreachable { host, cause },
            Failure::Timeout => MetadataError::Silent { host },
            Failure::Broken { cause } => MetadataError::Broken { host, cause },
            Failure::TooLarge { .. } => MetadataError::Malformed { what: "answer" },
        })?;
        if let Some(date) = answer.date() {
            self.clock.measured(instant_now().saturating_duration_since(started), date);
        }
        Ok(answer)
    }
}

fn header(secret: &Secret) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(secret.expose()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn says_no_agency(answer: &Incoming) -> bool {
    answer.status == 401 && String::from_utf8_lossy(&answer.body).contains(NO_AGENCY)
}

fn refused(what: &'static str, answer: &Incoming, token: &Token) -> MetadataError {
    // The service may say what it was sent.
    let redact = |text: String| match token {
        Token::Held(token) => blot(text, token),
        Token::Unasked | Token::None => text,
    };
    let body = ErrorBody::read(&answer.body, &redact);
    let mut text = body.message;
    if !body.from_service && text.contains('{') {
        text.clear(); // an odd status with keys below it, cut short perhaps
    }
    MetadataError::Status { what, status: answer.status, text }
}

fn read(answer: Incoming, cloud_time: Duration) -> Result<Credentials, MetadataError> {
    let body = Zeroizing::new(answer.body);
    let malformed = || MetadataError::Malformed { what: "answer about keys" };
    // The parser's own words are dropped: they can quote the answer.
    let Answer { credential } = serde_json::from_slice(&body).map_err(|_| malformed())?;
    let Credential { access, secret, securitytoken, expires_at } = credential;
    if access.is_empty() || secret.expose().is_empty() || securitytoken.expose().is_empty() {
        return Err(malformed());
    }
    let ends = time(&expires_at).ok_or_else(malformed)?;
    let expires = Duration::try_from(ends.as_duration()).unwrap_or_default();
    if expires <= cloud_time {
        return Err(MetadataError::Ended { ended: ends });
    }
    Ok(Credentials {
        access_key: access,
        secret_key: secret,
        security_token: Some(securitytoken),
        project_id: None,
        domain_id: None,
        iam_endpoint: None,
        expires: Some(expires),
        source: "the ECS's agency".to_owned(),
    })
}

/// RFC 3339; without a zone it is UTC.
fn time(text: &str) -> Option<Timestamp> {
    let without_zone = || TimeZone::UTC.to_timestamp(text.parse::<DateTime>().ok()?).ok();
    text.parse().ok().or_else(without_zone)
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderMap;

    use super::*;

    fn keys(body: &str) -> Result<Credentials, MetadataError> {
        read(
            Incoming { status: 200, headers: HeaderMap::new(), body: body.into() },
            crate::clock::wall_time(),
        )
    }

    #[test]
    fn keys_come_with_the_time_at_which_they_end() {
        let keys = keys(
            r#"{"credential": {"access": "AK", "secret": "sk", "securitytoken": "tok",
                "expires_at": "2126-11-24T08:15:00.000000Z"}}"#,
        )
        .unwrap();
        assert_eq!((keys.access_key.as_str(), keys.secret_key.expose()), ("AK", "sk"));
        assert_eq!(keys.security_token.unwrap().expose(), "tok");
        assert_eq!(keys.expires, Some(Duration::from_secs(4_951_181_700)));
    }

    #[test]
    fn an_answer_that_is_not_understood_is_not_quoted() {
        for body in [
            r#"{"credential": "MARKED"}"#,
            r#"{"credential": {"access": "MARKED", "secret": "MARKED", "securitytoken": "MARKED"}}"#,
            r#"{"credential": {"access": "MARKED", "secret": "", "securitytoken": "MARKED",
                "expires_at": "2126-11-24T08:15:00.000000Z"}}"#,
            r#"{"credential": {"access": "MARKED", "secret": "MARKED", "securitytoken": "MARKED",
                "expires_at": "MARKED"}}"#,
            "MARKED",
        ] {
            let error = keys(body).unwrap_err();
            assert!(matches!(error, MetadataError::Malformed { .. }), "{error}");
            assert!(!format!("{error} {error:?}").contains("MARKED"));
        }
    }

    #[test]
    fn the_end_may_be_written_with_any_fraction_and_zone() {
        let noon = "2026-11-24T12:00:00Z".parse::<Timestamp>().unwrap();
        for text in [
            "2026-11-24T12:00:00.000000Z",
            "2026-11-24T12:00:00Z",
            "2026-11-24T20:00:00+08:00",
            "2026-11-24T12:00:00.000",
            "2026-11-24 12:00:00",
        ] {
            assert_eq!(time(text), Some(noon), "{text}");
        }
        assert_eq!(time("tomorrow"), None);
    }

    #[test]
    fn what_comes_with_an_odd_status_is_told_only_when_it_cannot_be_keys() {
        let told = |body: &str| {
            let answer = Incoming { status: 500, headers: HeaderMap::new(), body: body.into() };
            refused("keys", &answer, &Token::Held(Secret::new("MARKED"))).to_string()
        };
        let plain = told("no such token: MARKED");
        assert!(plain.ends_with("answered 500 to the request for keys: no such token: …"), "{plain}");
        assert!(told(r#"{"error": {"code": 1, "message": "busy"}}"#).ends_with(": busy"));
        assert!(!told(r#"{"credential": {"access": "AK", "secret": "LEAKED", "#).contains("LEAKED"));
    }

    #[test]
    fn keys_that_have_ended_are_none() {
        let error = keys(
            r#"{"credential": {"access": "AK", "secret": "sk", "securitytoken": "tok",
                "expires_at": "2020-11-24T08:15:00.000000Z"}}"#,
        )
        .unwrap_err();
        assert!(error.to_string().contains("ended at 2020-11-24T08:15:00Z"), "{error}");
    }
}

//! One call of the API: signed, within the budget, retried when that is safe, its answer understood.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};

use super::account::Account;
use super::budget::{PAUSE_OBEYED, Share, Wanted};
use super::class::Class;
use super::client::{Failure, Incoming, exchange, http_date};
use super::cloud_clock::{in_words, other_time};
use super::code::{classify, is_the_gateways};
use super::credentials::Credentials;
use super::error::{Details, Effect};
use super::error_body::ErrorBody;
use super::line::Pacing;
use super::retry::{TRIES_MAX, backoff};
use super::{Api, ApiError, ApiErrorKind, Finished, sign};
use crate::clock::{instant_now, wall_time};

/// How far the cloud lets a signature's date be off.
const SKEW_MAX: Duration = Duration::from_secs(15 * 60);

/// A call, not yet sent.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) api: Api,
    pub(super) region: String,
    what: &'static str,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: Option<Vec<u8>>,
    pub(super) project: Option<Arc<str>>,
    /// Which of the requests for probes goes first while the budget is short.
    pub(super) pacing: Pacing,
}

/// A text as one segment of a path.
pub(super) fn segment(text: &str) -> String {
    sign::encode(text)
}

impl Call {
    /// A read. `what` it does is said as in "ELB list members"; the `path` is encoded by [`segment`].
    pub(super) fn get(
        api: Api,
        region: &str,
        what: &'static str,
        path: String,
        query: Vec<(&'static str, String)>,
    ) -> Self {
        let region = region.to_owned();
        let (method, pacing) = (Method::GET, Pacing::default());
        Self { query, api, region, what, method, path, body: None, project: None, pacing }
    }

    /// A write that makes something.
    pub(super) fn post(
        api: Api,
        region: &str,
        what: &'static str,
        path: String,
        body: &impl Serialize,
    ) -> Result<Self, ApiError> {
        Self::write(Method::POST, Self::get(api, region, what, path, Vec::new()), body)
    }

    /// A write that replaces something.
    pub(super) fn put(
        api: Api,
        region: &str,
        what: &'static str,
        path: String,
        body: &impl Serialize,
    ) -> Result<Self, ApiError> {
        Self::write(Method::PUT, Self::get(api, region, what, path, Vec::new()), body)
    }

    fn write(method: Method, call: Self, body: &impl Serialize) -> Result<Self, ApiError> {
        let call = Self { method, ..call };
        match serde_json::to_vec(body) {
            Ok(body) => Ok(Self { body: Some(body), ..call }),
            Err(error) => {
                Err(call.failed(ApiErrorKind::Request, format!("cannot write its body as JSON: {error}")))
            }
        }
    }

    /// In this project, as every call of a regional service.
    pub(super) fn in_project(self, project: Arc<str>) -> Self {
        Self { project: Some(project), ..self }
    }

    /// With this pacing; of a read for probes.
    pub(super) fn paced(self, pacing: Pacing) -> Self {
        Self { pacing, ..self }
    }

    /// The object that came must be the one asked for.
    pub(super) fn must_be(&self, asked: &str, came: &str) -> Result<(), ApiError> {
        if asked == came {
            Ok(())
        } else {
            Err(self.malformed(format!("asked for {asked}, but the answer is about {came}")))
        }
    }

    /// An answer that said 2xx and cannot be understood.
    pub(super) fn malformed(&self, why: impl Into<String>) -> ApiError {
        self.failed(ApiErrorKind::Malformed, format!("the answer cannot be understood: {}", why.into()))
    }

    /// This call failed so.
    pub(super) fn failed(&self, kind: ApiErrorKind, message: String) -> ApiError {
        self.error(kind, Details { message, ..Details::default() })
    }

    fn error(&self, kind: ApiErrorKind, details: Details) -> ApiError {
        ApiError::new(self.api, self.what, &self.region, self.effect(), kind, details)
    }

    fn effect(&self) -> Effect {
        if self.method == Method::GET { Effect::Read } else { Effect::Write }
    }
}

impl Account {
    /// Makes a call. A read is sent again while that may help and its deadline allows; a write is sent once.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        call: &Call,
        deadline: Instant,
    ) -> Result<T, ApiError> {
        let mut deadline = deadline;
        self.call_timed(call, &mut deadline).await.map(|(_, answer)| answer)
    }

    /// The same, and when the request that was answered was sent. The deadline comes nearer once one was sent, when its
    /// pacing says so.
    pub(super) async fn call_timed<T: DeserializeOwned>(
        &self,
        call: &Call,
        deadline: &mut Instant,
    ) -> Result<(Instant, T), ApiError> {
        let (mut tries, mut last) = (1, None);
        loop {
            let error = match self.attempt(call, deadline).await {
                Ok(answer) => return Ok(answer),
                // The deadline came during another try: what the one before it was told says more.
                Err(error) if matches!(error.kind(), ApiErrorKind::Timeout | ApiErrorKind::Budget) => {
                    return Err(last.unwrap_or(error));
                }
                Err(error) => error,
            };
            let wait = error.retry_after().unwrap_or_else(|| backoff(tries, rand::random()));
            let fits = deadline.saturating_duration_since(instant_now()) > wait;
            if tries >= TRIES_MAX || !fits || !error.is_worth_another_try() {
                return Err(error);
            }
            tracing::debug!(%error, tries, ?wait, "asks again");
            last = Some(error);
            sleep(wait).await;
            tries += 1;
        }
    }

    /// Sends it; and once more when it may have been refused for the time that it was signed at. A refusal
    /// changes nothing, so that is safe for a write too.
    async fn attempt<T: DeserializeOwned>(
        &self,
        call: &Call,
        deadline: &mut Instant,
    ) -> Result<(Instant, T), ApiError> {
        let keys = self.keys_for(call, *deadline).await?;
        let signed = self.clock().now();
        let mut outcome = self.send(call, &keys, signed, deadline).await;
        let refusal = outcome.as_ref().err().filter(|error| error.may_be_for_its_time());
        if let Some(time) = refusal.and_then(|error| other_time(signed, error.server_time())) {
            let again = self.send(call, &keys, time, deadline).await;
            if again.as_ref().map_or_else(ApiError::tells_that_it_was_taken, |_| true) {
                self.clock().taken(signed, time);
            }
            if again.as_ref().err().is_none_or(|error| *error.kind() != ApiErrorKind::Budget) {
                outcome = again; // else nothing was sent, and the refusal stands
            }
        }
        if outcome.as_ref().is_err_and(ApiError::is_credentials) {
            self.keys().forget(&keys);
        }
        outcome
    }

    /// The keys to sign a call with.
    pub(super) async fn keys_for(
        &self,
        call: &Call,
        deadline: Instant,
    ) -> Result<Arc<Credentials>, ApiError> {
        let keys = self.keys().get(deadline).await;
        keys.map_err(|error| call.failed(ApiErrorKind::Credentials, error.to_string()))
    }

    /// Sends it once, within the budget, signed as of `time`.
    async fn send<T: DeserializeOwned>(
        &self,
        call: &Call,
        keys: &Credentials,
        time: Duration,
        deadline: &mut Instant,
    ) -> Result<(Instant, T), ApiError> {
        let Call { api, region, path, pacing, .. } = call;
        let share = Share::of(*api, call.effect());
        let wanted = Wanted { share, api: *api, region, path, pacing: *pacing };
        let admitted = self.budget().admit(wanted, *deadline).await.map_err(|wait| {
            let message = format!(
                "not sent: our own request budget has no room for it for another {:.1} s, past its deadline",
                wait.as_secs_f64()
            );
            call.error(
                ApiErrorKind::Budget,
                Details { message, retry_after: Some(wait), ..Details::default() },
            )
        })?;
        if let Some(within) = pacing.answer_within {
            *deadline = (*deadline).min(admitted + within);
        }
        let outgoing = self.signed(call, keys, time)?;
        let host = outgoing.url.authority().to_owned();

        let started = instant_now();
        let outcome = exchange(self.network(), outgoing, *deadline).await;
        let took = instant_now().saturating_duration_since(started);
        self.observed(&Finished {
            cloud: self.name().clone(),
            api: *api,
            code: match &outcome {
                Ok(answer) => answer.status.to_string(),
                Err(failure) => failure.code().to_owned(),
            },
            duration: took,
        });

        let answer = outcome.map_err(|failure| match failure {
            Failure::Connect { cause, .. } => {
                call.failed(ApiErrorKind::Connect, format!("cannot connect to {host}: {cause}"))
            }
            Failure::Timeout => {
                call.failed(ApiErrorKind::Timeout, format!("no answer of {host} before the deadline"))
            }
            Failure::Broken { cause } => {
                call.failed(ApiErrorKind::Broken, format!("the connection to {host} broke: {cause}"))
            }
            Failure::TooLarge { limit } => call.malformed(format!("it is longer than {limit} bytes")),
        })?;
        if let Some(date) = answer.date() {
            self.clock().measured(took, date);
        }
        let outcome = read(call, &answer, keys);
        match &outcome {
            Err(error) if error.is_throttle() => self.budget().throttled(*api, region, error.retry_after()),
            Ok(_) | Err(_) => self.budget().answered(*api, region),
        }
        outcome.map(|answer| (admitted, answer))
    }
}

/// What an answer says: the object, or the error.
fn read<T: DeserializeOwned>(call: &Call, answer: &Incoming, keys: &Credentials) -> Result<T, ApiError> {
    let redact = |text| keys.redact(text);
    let request_id = answer.header("x-request-id").or_else(|| answer.header("x-iam-trace-id"));
    let request_id = request_id.map(|id| redact(id.to_owned()));
    if (200..300).contains(&answer.status) {
        // No object of the cloud's holds them; whatever is taken from this one could be shown.
        if keys.are_in(&answer.body) {
            return Err(call.malformed("it repeats the keys that it was asked with"));
        }
        return serde_json::from_slice(&answer.body).map_err(|error| {
            let message =
                redact(format!("{} with a body that is not what it must be: {error}", answer.status));
            call.error(ApiErrorKind::Malformed, Details { message, request_id, ..Details::default() })
        });
    }
    let body = ErrorBody::read(&answer.body, &redact);
    let server_time = answer.date();
    let class = classify(call.api, answer.status, body.code.as_deref(), &body.message);
    let apart = server_time.and_then(|server| skew(server, wall_time()));
    let may_be_apart = matches!(class, Class::Keys | Class::Clock | Class::Permission);
    let hint =
        apart.filter(|_| may_be_apart).or_else(|| hint(class, body.code.as_deref()).map(str::to_owned));
    let details = Details {
        code: body.code,
        message: body.message,
        request_id: request_id.or(body.request_id),
        class: Some(class),
        retry_after: answer.header("retry-after").and_then(|value| retry_after(value, server_time)),
        hint,
        server_time,
    };
    Err(call.error(ApiErrorKind::Status(answer.status), details))
}

/// A likely cause of a refusal, and what to do about it.
fn hint(class: Class, code: Option<&str>) -> Option<&'static str> {
    match (class, code) {
        (Class::Permission, Some("ELB.9801" | "ELB.9802" | "ELB.9803" | "ELB.9804" | "VPC.2201")) => Some(
            "give the keys' user the permission, also for the enterprise project that this is in, or set enterprise_project_id",
        ),
        (Class::Permission, Some(code)) if !is_the_gateways(code) => {
            Some("give the keys' user the permission, also for the enterprise project that this is in")
        }
        (Class::Locked, _) => Some(
            "the keys are locked for 5 minutes, since they were refused more than 5 times in a row: leave them as they are, and find \
             which tool uses them wrongly",
        ),
        (Class::Keys, Some("APIGW.0307" | "APIG.0307" | "APIC.0307")) => {
            Some("the token is too old, or the call was meant for another region")
        }
        (Class::Frozen, _) => Some("nothing works until that is settled with the vendor"),
        (_, Some("DNS.0302")) => Some(
            "an endpoint of one region may not know the zone: a public zone's is https://dns.myhuaweicloud.com, a private zone's that of \
             its own region",
        ),
        _ => None,
    }
}

/// A `Retry-After`: seconds, or a date, which is held against the server's own clock where it is told. What waits
/// for it waits no longer than [`PAUSE_OBEYED`], or one answer could keep a dead region in its set for good.
fn retry_after(value: &str, server_time: Option<Duration>) -> Option<Duration> {
    let after = match value.trim().parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => http_date(value)?.saturating_sub(server_time.unwrap_or_else(wall_time)),
    };
    Some(after.min(PAUSE_OBEYED))
}

/// What to say when the clocks are so far apart that no signature can be good.
fn skew(server: Duration, ours: Duration) -> Option<String> {
    let apart = server.abs_diff(ours);
    (apart > SKEW_MAX).then(|| {
        format!(
            "likely because this machine's clock is {} {} the server's, and signatures are good for 15 min \
             only: set the clock",
            in_words(apart),
            if ours > server { "ahead of" } else { "behind" }
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_may_be_seconds_or_a_date() {
        let server = http_date("Mon, 23 Nov 2026 08:41:17 GMT");
        assert_eq!(server, Some(Duration::from_secs(1_795_423_277)));
        assert_eq!(retry_after("7", server), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("Mon, 23 Nov 2026 08:41:29 GMT", server), Some(Duration::from_secs(12)));
        assert_eq!(retry_after("Mon, 23 Nov 2026 08:41:00 GMT", server), Some(Duration::ZERO));
        assert_eq!(retry_after("soon", server), None);
    }

    #[test]
    fn no_retry_after_holds_us_back_for_longer_than_ten_minutes() {
        let year_9998 = "Thu, 31 Dec 9998 23:59:59 GMT";
        for long in ["601", "18446744073709551615", year_9998] {
            assert_eq!(retry_after(long, None), Some(PAUSE_OBEYED), "{long}");
        }
        assert_eq!(retry_after("-1", None), None);
    }

    #[test]
    fn clock_skew_is_named_past_a_quarter_of_an_hour() {
        let noon = Duration::from_secs(1_795_500_000);
        assert_eq!(skew(noon, noon + SKEW_MAX), None);
        let hint = skew(noon, noon + SKEW_MAX + Duration::from_secs(1)).unwrap();
        assert!(hint.contains("15m 1s ahead of the server's"), "{hint}");
        assert!(skew(noon + Duration::from_secs(3600), noon).unwrap().contains("1h behind"));
    }
}

//! A call as the HTTP request that goes out: where to, with which headers, signed. No I/O.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};

use super::account::Account;
use super::call::Call;
use super::client::Outgoing;
use super::credentials::Credentials;
use super::{ApiError, ApiErrorKind, sign};

impl Account {
    /// The call as it goes out, signed as of `time`, wall time since 1970.
    pub(super) fn signed(
        &self,
        call: &Call,
        keys: &Credentials,
        time: Duration,
    ) -> Result<Outgoing, ApiError> {
        let unusable = |why: String| call.failed(ApiErrorKind::Request, why);
        let base =
            self.endpoint(call.api, &call.region, keys).map_err(|error| unusable(error.to_string()))?;
        let prefix = base.path().trim_end_matches('/');
        let path = format!("{prefix}{}", call.path);
        let query: Vec<(&str, &str)> = call.query.iter().map(|(key, value)| (*key, value.as_str())).collect();

        let mut headers: Vec<(&str, &str)> = Vec::new();
        if call.body.is_some() {
            headers.push(("Content-Type", "application/json"));
        }
        if let Some(project) = &call.project {
            headers.push(("X-Project-Id", project));
        } else if let Some(domain) = self.domain_id(keys) {
            headers.push(("X-Domain-Id", domain));
        }
        if let Some(token) = &keys.security_token {
            headers.push(("X-Security-Token", token.expose()));
        }
        let request = sign::Request {
            method: call.method.as_str(),
            host: base.authority(),
            path: &path,
            query: &query,
            headers: &headers,
            body: call.body.as_deref().unwrap_or_default(),
        };
        let signed = sign::sign(&request, &keys.access_key, &keys.secret_key, &date(time));

        let mut url = format!("{}://{}{path}", base.scheme(), base.authority());
        if !signed.query.is_empty() {
            url.extend(["?", &signed.query]);
        }
        let url = Url::parse(&url).map_err(|error| unusable(format!("cannot ask {url}: {error}")))?;
        let added = signed.headers.iter().map(|(name, value)| (*name, value.as_str()));
        let authorization = [(AUTHORIZATION.as_str(), signed.authorization.as_str())];
        let headers = headers
            .into_iter()
            .chain(added)
            .chain(authorization)
            .map(|(name, value)| header(name, value))
            .collect::<Option<_>>()
            // Which one is not said: it may be the token.
            .ok_or_else(|| {
                unusable("a key, token or id has characters that no header can hold".to_owned())
            })?;
        Ok(Outgoing { method: call.method.clone(), url, headers, body: call.body.clone() })
    }
}

fn header(name: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true); // its Debug shows nothing, whoever prints the request
    Some((HeaderName::from_bytes(name.as_bytes()).ok()?, value))
}

/// Wall time as a signature's date.
fn date(wall: Duration) -> String {
    timestamp(wall).strftime(sign::DATE_FORMAT).to_string()
}

fn timestamp(wall: Duration) -> Timestamp {
    i64::try_from(wall.as_secs()).ok().and_then(|s| Timestamp::from_second(s).ok()).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signatures_date_is_in_utc() {
        assert_eq!(date(Duration::from_secs(1_795_508_100)), "20261124T081500Z");
    }
}

//! How each service says no, and how all of them name a request.

use serde_json::json;

use super::fault::Api;
use super::http::{Query, Reply, Request};

/// What a service needs to know of the request it answers.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) request: &'a Request,
    pub(super) query: &'a Query,
    pub(super) request_id: &'a str,
    /// The access key that signed it.
    pub(super) caller: &'a str,
}

/// A request that is answered with an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    /// Left out: the service's usual code for the status.
    code: Option<&'static str>,
    pub(super) message: String,
}

impl Refusal {
    /// With a code of its own.
    pub(super) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code: Some(code), message: message.into() }
    }

    /// With the service's usual code for that status.
    pub(super) fn usual(status: u16, message: impl Into<String>) -> Self {
        Self { status, code: None, message: message.into() }
    }

    /// The request makes no sense.
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::usual(400, message)
    }

    /// The object is not there.
    pub(super) fn not_found(what: &str, id: &str) -> Self {
        Self::usual(404, format!("{what} {id} could not be found."))
    }

    /// No such call.
    pub(super) fn no_such_call() -> Self {
        Self::new(404, "APIGW.0101", "The API does not exist or has not been published in the environment")
    }

    /// Written the way `api` writes errors. What the gateway refuses looks alike everywhere but in IAM.
    pub(super) fn reply(&self, api: Api, request_id: &str) -> Reply {
        let code = self.code.unwrap_or_else(|| usual_code(api, self.status));
        let body = match api {
            Api::Iam => {
                return Reply::json(
                    self.status,
                    &json!({"error": {"code": self.status, "message": self.message, "title": title(self.status)}}),
                );
            }
            Api::Metadata => return Reply::text(self.status, "text/plain", self.message.clone()),
            Api::Dns if !code.starts_with("APIGW") => json!({"code": code, "message": self.message}),
            Api::Dns | Api::Elb | Api::Eip => {
                json!({"error_code": code, "error_msg": self.message, "request_id": request_id})
            }
        };
        Reply::json(self.status, &body)
    }
}

fn usual_code(api: Api, status: u16) -> &'static str {
    match (status, api) {
        (401, _) => "APIGW.0301",
        (403, _) => "PAP5.0011",
        (429, _) => "APIGW.0308",
        (404, Api::Elb) => "ELB.8904",
        (409, Api::Elb) => "ELB.8907",
        (500.., Api::Elb) => "ELB.0101",
        (_, Api::Elb) => "ELB.8902",
        (404, Api::Eip) => "EIP.8002",
        (409, Api::Eip) => "EIP.8025",
        (500.., Api::Eip) => "EIP.0001",
        (_, Api::Eip) => "EIP.8001",
        (404, _) => "DNS.0313",
        (409, _) => "DNS.0312",
        (500.., _) => "DNS.0999",
        _ => "DNS.0308",
    }
}

fn title(status: u16) -> &'static str {
    match status {
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        429 => "Too Many Requests",
        500.. => "Internal Server Error",
        _ => "Bad Request",
    }
}

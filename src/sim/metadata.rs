//! The metadata service of a machine: tokens, and the temporary keys of its agency.

use std::time::Duration;

use serde_json::json;

use super::http::{Reply, Request};
use super::setup::Setup;
use super::signature::KnownKey;
use super::{ids, stamp};
use crate::model::Secret;

/// Tokens and temporary keys handed out so far.
#[derive(Debug)]
pub(super) struct Agency {
    /// Whether the machine has one.
    offered: bool,
    gives_tokens: bool,
    keys_last: Duration,
    tokens: Vec<String>,
    issued_tokens: usize,
    keys: Vec<TemporaryKey>,
}

#[derive(Debug)]
struct TemporaryKey {
    access: String,
    key: KnownKey,
    /// Wall time since 1970.
    ends: Duration,
}

impl Agency {
    pub(super) fn new(setup: &Setup) -> Self {
        Self {
            offered: setup.agency,
            gives_tokens: setup.metadata_tokens,
            keys_last: setup.keys_last,
            tokens: Vec::new(),
            issued_tokens: 0,
            keys: Vec::new(),
        }
    }

    /// Answers `PUT /meta-data/latest/api/token` and `GET /openstack/latest/securitykey`.
    /// `now` is wall time since 1970.
    pub(super) fn answer(&mut self, request: &Request, now: Duration) -> Reply {
        match (request.method.as_str(), request.path.as_str()) {
            ("PUT", "/meta-data/latest/api/token") if self.gives_tokens => {
                self.issued_tokens += 1;
                let token = ids::sha256(format!("metadata token {}", self.issued_tokens).as_bytes());
                self.tokens.push(token.clone());
                Reply::text(200, "text/plain", token)
            }
            ("GET", "/openstack/latest/securitykey") => self.security_key(request, now),
            _ => Reply::text(404, "text/plain", "404 Not Found\n"),
        }
    }

    /// Every token handed out is worth nothing from now on.
    pub(super) fn forget_tokens(&mut self) {
        self.tokens.clear();
    }

    /// A temporary key that is still good at `now`, wall time since 1970.
    pub(super) fn find(&self, access: &str, now: Duration) -> Option<KnownKey> {
        let good = self.keys.iter().find(|key| key.access == access && now < key.ends)?;
        Some(good.key.clone())
    }

    fn security_key(&mut self, request: &Request, now: Duration) -> Reply {
        let token = request.header("x-metadata-token");
        if self.gives_tokens && !token.is_some_and(|sent| self.tokens.iter().any(|known| known == sent)) {
            return Reply::text(401, "text/plain", "401 Unauthorized: invalid metadata token");
        }
        if !self.offered {
            return Reply::text(401, "text/plain", "Please configure Cloud Service Agency first.");
        }
        // New keys are made when half of the time of the last ones is over, as the cloud does it: early.
        if self.keys.last().is_none_or(|key| key.ends < now + self.keys_last / 2) {
            let number = self.keys.len();
            self.keys.push(TemporaryKey {
                access: format!("TEMP{}", ids::plain(&format!("access {number}")).to_ascii_uppercase()),
                key: KnownKey {
                    secret: Secret::new(ids::sha256(format!("secret {number}").as_bytes())),
                    token: Some(Secret::new(format!("{}/+=", ids::plain(&format!("token {number}"))))),
                },
                ends: now + self.keys_last,
            });
        }
        let Some(TemporaryKey { access, key, ends }) = self.keys.last() else {
            return Reply::text(503, "text/plain", "no keys");
        };
        let token = key.token.as_ref().map(Secret::expose);
        let credential = json!({"access": access, "secret": key.secret.expose(), "securitytoken": token,
            "expires_at": stamp::micros(*ends)});
        Reply::json(200, &json!({"credential": credential}))
    }
}

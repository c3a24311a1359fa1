//! Errors of the cloud in all their forms, with the headers that matter: `Date`, `Retry-After`, request ids.
//!
//! Each is exactly one of what a caller can do something about, says so briefly, and repeats no key.

use std::time::Duration;

use pointsman::clock::instant_now;
use pointsman::huawei::{ApiError, ApiErrorKind, NewRecordSet};

use super::script::{REGION, Script, assert_tells_no_key, in_virtual_time};

const TIMEOUT: Duration = Duration::from_secs(30);

pub(super) fn run(input: &[u8]) {
    let script = Script::read(input);
    if !script.is_plain() {
        return;
    }
    in_virtual_time(async {
        let account = script.account();
        let started = instant_now();
        let read = account.members(REGION, &["p1".to_owned()], started + TIMEOUT).await;
        assert!(instant_now() <= started + TIMEOUT, "a deadline was passed");
        match &read {
            Ok(_) => assert!(script.lists("members", "members")),
            Err(error) => {
                assert_is_told(error, input);
                assert!(!error.outcome_unknown(), "a read changes nothing: {error}");
            }
        }
        let body = NewRecordSet {
            name: "demo.localdev.me.".to_owned(),
            record_type: "A".to_owned(),
            ttl: 30,
            records: vec!["198.51.100.10".to_owned()],
            description: None,
            line: None,
            weight: None,
        };
        let written = account.update_record_set(REGION, "z1", "r1", &body, instant_now() + TIMEOUT).await;
        if let Err(error) = &written {
            assert_is_told(error, input);
            assert_is_one_thing(error);
        }
        for (_, message) in account.alarms() {
            assert_tells_no_key(&message, input);
        }
    });
}

fn assert_is_told(error: &ApiError, input: &[u8]) {
    let text = error.to_string();
    assert_tells_no_key(&text, input);
    assert!(text.contains(REGION) && text.contains(": "), "no place in {text:?}");
    for part in [Some(error.message()), error.code(), error.request_id()].into_iter().flatten() {
        assert_tells_no_key(part, input);
    }
}

/// A write that failed was not sent, or was refused, or is to be waited with, or may have been made.
fn assert_is_one_thing(error: &ApiError) {
    let unsent = matches!(
        error.kind(),
        ApiErrorKind::Credentials | ApiErrorKind::Project | ApiErrorKind::Request | ApiErrorKind::Connect
    );
    let things = [unsent, error.is_refusal(), error.is_throttle(), error.outcome_unknown()];
    assert_eq!(things.iter().filter(|thing| **thing).count(), 1, "{things:?}: {error}");
}

//! The metadata service: what becomes of its answers about the keys of this machine's agency.
//!
//! Keys are taken from a whole answer or not at all, and nothing of one that tells of keys is ever shown (SECRETS-STAY).

use std::time::Duration;

use pointsman::clock::{instant_now, wall_time};
use pointsman::config::CredentialsFrom;
use serde_json::Value;

use super::script::{PROJECT, REGION, Script, cloud, in_virtual_time};
use super::sentence;

/// What stands for a secret in the inputs.
const MARKED: &str = "MARKEDsecretOFtheAGENCY";

pub(super) fn run(input: &[u8]) {
    let script = Script::read(input);
    if !script.is_plain() {
        return;
    }
    let account = script.account_of(&cloud(CredentialsFrom::Agency, Some(PROJECT)), |_| None);
    let called = in_virtual_time(async {
        let deadline = || instant_now() + Duration::from_secs(60);
        let first = account.members(REGION, &["p1".to_owned()], deadline()).await;
        tokio::time::sleep(Duration::from_secs(45)).await;
        let second = account.members(REGION, &["p1".to_owned()], deadline()).await;
        [first, second]
    });
    let alarms = account.alarms().into_iter().map(|(_, message)| message);
    let errors = called.into_iter().filter_map(Result::err).map(|error| error.to_string());
    // An answer that says that it went well is about keys, whatever is wrong with it.
    let is_of_keys = script.told("securitykey").all(|answer| (200..300).contains(&answer.status))
        && script.told("token").all(|answer| (200..300).contains(&answer.status))
        && !script.told("members").any(|answer| sentence::contains(&answer.body, MARKED.as_bytes()));
    for sentence in errors.chain(alarms) {
        sentence::assert_good(&sentence);
        assert!(!is_of_keys || !sentence.contains("MARKEDsecret"), "{sentence}");
    }
    if let Some(end) = account.keys_expire() {
        assert!(end > wall_time().saturating_sub(Duration::from_secs(3_600)), "keys that ended were taken");
        let whole = |answer: &Value| {
            ["access", "secret", "securitytoken", "expires_at"]
                .iter()
                .all(|key| answer["credential"][key].as_str().is_some_and(|text| !text.is_empty()))
        };
        assert!(script.understood("securitykey").iter().any(whole), "keys were taken from half an answer");
    }
}

//! The credentials file of the vendor's SDK. What is not in it is asked for by name, and nothing of it is shown.

use std::io::Write as _;
use std::time::Duration;

use pointsman::clock::instant_now;
use pointsman::config::CredentialsFrom;

use super::script::{PROJECT, REGION, Script, cloud, in_virtual_time};
use super::sentence;

pub(super) fn run(input: &[u8]) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(input).unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    let name = path.clone();
    let script = Script::read(b"members 200\n\n{\"members\": []}");
    let account = script.account_of(&cloud(CredentialsFrom::File, Some(PROJECT)), move |variable| {
        (variable == "HUAWEICLOUD_SDK_CREDENTIALS_FILE").then(|| name.clone())
    });
    let called = in_virtual_time(async {
        account.members(REGION, &["p1".to_owned()], instant_now() + Duration::from_secs(5)).await
    });
    match called {
        Ok(_) => assert_signed_by_what_it_says(&script, input),
        Err(error) => {
            let told = error.to_string().replace(&path, "");
            sentence::assert_good(&told);
            for word in words(input).filter(|word| word.len() >= 12) {
                assert!(!told.contains(word), "{word} of the file in {told}");
            }
        }
    }
}

fn assert_signed_by_what_it_says(script: &Script, input: &[u8]) {
    let last = script.last.lock().unwrap().clone().unwrap();
    let authorization = last.headers.iter().find(|(name, _)| name == "authorization").unwrap().1.clone();
    let access = authorization.split("Access=").nth(1).unwrap().split(", SignedHeaders").next().unwrap();
    let text = std::str::from_utf8(input).expect("only text is read");
    let is_it = |line: &str| {
        let (key, value) = line.split_once(['=', ':']).unwrap_or_default();
        key.trim().eq_ignore_ascii_case("ak") && value.trim() == access
    };
    assert!(text.lines().any(is_it), "signed with {access:?}, which the file does not have as ak");
}

/// What could be a secret.
fn words(input: &[u8]) -> impl Iterator<Item = &str> {
    std::str::from_utf8(input).unwrap_or_default().split(|c: char| !c.is_ascii_alphanumeric())
}

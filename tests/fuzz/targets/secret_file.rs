//! A file that holds one secret and nothing else: what is in it signs, or nothing is sent; it is never shown.

use std::io::Write as _;
use std::time::Duration;

use pointsman::clock::instant_now;
use pointsman::config::CredentialsFrom;

use super::script::{PROJECT, REGION, Script, cloud, in_virtual_time};
use super::sentence;

pub(super) fn run(input: &[u8]) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(input).unwrap();
    let path = file.path().to_owned();
    let from = CredentialsFrom::Keys {
        access_key: "AK".to_owned(),
        secret_key_file: path.clone(),
        security_token_file: Some(path.clone()),
    };
    let script = Script::read(b"members 200\n\n{\"members\": []}");
    let account = script.account_of(&cloud(from, Some(PROJECT)), |_| None);
    let called = in_virtual_time(async {
        account.members(REGION, &["p1".to_owned()], instant_now() + Duration::from_secs(5)).await
    });
    let text = std::str::from_utf8(input).map(str::trim).unwrap_or_default();
    match called {
        Ok(_) => {
            let last = script.last.lock().unwrap().clone().unwrap();
            let token = last.headers.iter().find(|(name, _)| name == "x-security-token");
            assert_eq!(token.map(|(_, value)| value.as_str()), Some(text), "sent as it stands in the file");
            assert!(!text.is_empty());
        }
        Err(error) => {
            let told = error.to_string().replace(&path.display().to_string(), "");
            sentence::assert_good(&told);
            assert!(text.len() < 12 || !told.contains(text), "{told}");
        }
    }
}

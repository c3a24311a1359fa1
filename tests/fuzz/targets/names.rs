//! Names, absolute DNS names among them: what is one prints and parses again as the same, and is bounded.

use pointsman::model::{CheckName, CloudName, Fqdn, NameError, ProviderName, RegionName, ServiceName};

pub(super) fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    macro_rules! name {
        ($($type:ty),+) => {$(
            let in_json = serde_json::to_string(text).unwrap();
            let read = serde_json::from_str::<$type>(&in_json);
            match <$type>::parse(text) {
                Ok(name) => {
                    assert_eq!((name.as_str(), name.to_string().as_str()), (text, text));
                    assert!((1..=63).contains(&text.len()));
                    assert!(!text.contains(['/', ' ', '"', '\n', '{']), "{text:?} is a name");
                    assert_eq!(read.unwrap(), name);
                    assert_eq!(serde_json::to_string(&name).unwrap(), in_json);
                }
                Err(error) => {
                    assert!(read.is_err(), "{text:?} is a name in JSON alone");
                    assert_says_what(&error);
                }
            }
        )+};
    }
    name!(ServiceName, RegionName, CheckName, CloudName, ProviderName);
    match Fqdn::parse(text) {
        Ok(name) => {
            assert_eq!(Fqdn::parse(name.as_str()).as_ref(), Ok(&name));
            assert_eq!(Fqdn::parse(name.host()).as_ref(), Ok(&name));
            assert!(name.as_str().ends_with('.') && name.as_str().len() <= 254 && name.is_within(&name));
            assert!(
                name.as_str().eq_ignore_ascii_case(&format!("{}.", text.strip_suffix('.').unwrap_or(text)))
            );
            let parent = name.as_str().split_once('.').and_then(|(_, parent)| Fqdn::parse(parent).ok());
            assert!(parent.is_none_or(|parent| name.is_within(&parent) && !parent.is_within(&name)));
        }
        Err(error) => assert_says_what(&error),
    }
}

fn assert_says_what(error: &NameError) {
    assert!(!error.problem.is_empty() && error.problem.len() < 200, "{}", error.problem);
    assert!(!error.problem.chars().any(char::is_control), "{:?}", error.problem);
}

//! Answers of the cloud, written down as one input, and an account whose calls they answer.
//!
//! ```text
//! members 200
//! X-Request-Id: 1234
//!
//! {"members": []}
//! ====
//! pools 404
//! ```
//!
//! Each answer says what it is to: the last word of the path, `loadbalancer` where that is followed by an id. Several
//! to the same are given in turn, the last of them again and again; one without a status closes the connection. In a
//! header or a body `{token}` and `{secret}` become the keys in use, as servers do tell what they were sent.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use pointsman::config::{Cloud, CredentialsFrom, Endpoints};
use pointsman::huawei::{Account, Answer, Outside, Request};
use pointsman::model::CloudName;
use serde_json::Value;

use super::sentence;

pub(super) const REGION: &str = "cn-north-4";
pub(super) const PROJECT: &str = "0123456789abcdef0123456789abcdef";
pub(super) const ACCESS_KEY: &str = "EXAMPLEACCESSKEY";
pub(super) const SECRET: &str = "qZ7wKx2vTg9pLr4mNc8bYd3fHj6sXe1u";

/// The words that paths end in, of which each is one thing to ask.
const WORDS: [&str; 10] = [
    "loadbalancers",
    "listeners",
    "pools",
    "members",
    "statuses",
    "healthmonitors",
    "publicips",
    "zones",
    "recordsets",
    "projects",
];

/// A security token, which is longer than any message is shown.
pub(super) fn token() -> &'static str {
    static TOKEN: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        // Of no pattern, so that a part of it is found where it should not be.
        let mut state = 7_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            char::from(LETTERS[(state >> 16) as usize % LETTERS.len()])
        };
        (0..700).map(|_| next()).collect()
    });
    &TOKEN
}

/// All answers of one input.
pub(super) struct Script {
    answers: BTreeMap<String, Vec<Option<Answer>>>,
    /// What was asked so far, in order.
    pub(super) asked: Mutex<Vec<String>>,
    /// The last request.
    pub(super) last: Mutex<Option<Request>>,
}

impl Script {
    pub(super) fn read(input: &[u8]) -> Arc<Self> {
        let mut answers: BTreeMap<String, Vec<Option<Answer>>> = BTreeMap::new();
        for part in split(input, b"\n====\n") {
            let (name, answer) = answer(part);
            answers.entry(name).or_default().push(answer);
        }
        Arc::new(Self { answers, asked: Mutex::default(), last: Mutex::default() })
    }

    fn reply(&self, request: &Request) -> Option<Answer> {
        let word = word_of(request.url.split('?').next().unwrap_or_default());
        let before = {
            let mut asked = self.asked.lock().unwrap();
            asked.push(word.clone());
            assert!(asked.len() < 1_000, "asked {} times: {asked:?}", asked.len());
            asked.iter().filter(|other| **other == word).count() - 1
        };
        *self.last.lock().unwrap() = Some(request.clone());
        let told = self.answers.get(&word)?;
        told.get(before).or(told.last())?.clone()
    }

    /// Every answer to this that there is.
    pub(super) fn told(&self, word: &str) -> impl Iterator<Item = &Answer> {
        self.answers.get(word).into_iter().flatten().flatten()
    }

    /// What some answer to this says with a 2xx, where that is JSON.
    pub(super) fn understood(&self, word: &str) -> Vec<Value> {
        let good = self.told(word).filter(|answer| (200..300).contains(&answer.status));
        good.filter_map(|answer| serde_json::from_slice(&answer.body).ok()).collect()
    }

    /// Whether some answer to this has a list under that key.
    pub(super) fn lists(&self, word: &str, key: &str) -> bool {
        self.understood(word).iter().any(|answer| answer[key].is_array())
    }

    /// Whether each answer is JSON to the parser of values when it is to that which passes over what nobody asks for:
    /// only the former minds numbers that are too large. Of others, [`Self::understood`] does not tell.
    pub(super) fn is_plain(&self) -> bool {
        let mut all = self.answers.values().flatten().flatten();
        all.all(|answer| {
            serde_json::from_slice::<Value>(&answer.body).is_ok()
                || serde_json::from_slice::<serde::de::IgnoredAny>(&answer.body).is_err()
        })
    }

    /// Whether some answer to this is the service's own word that it is not there.
    pub(super) fn denies(&self, word: &str) -> bool {
        let not_found = self.told(word).filter(|answer| answer.status == 404);
        not_found
            .into_iter()
            .any(|answer| serde_json::from_slice::<Value>(&answer.body).is_ok_and(|v| v.is_object()))
    }

    /// An account whose calls it answers, with keys of the environment.
    pub(super) fn account(self: &Arc<Self>) -> Account {
        let settings = cloud(CredentialsFrom::Environment, Some(PROJECT));
        self.account_of(&settings, |name| match name {
            "HUAWEICLOUD_SDK_AK" => Some(ACCESS_KEY.to_owned()),
            "HUAWEICLOUD_SDK_SK" => Some(SECRET.to_owned()),
            "HUAWEICLOUD_SDK_SECURITY_TOKEN" => Some(token().to_owned()),
            _ => None,
        })
    }

    pub(super) fn account_of(
        self: &Arc<Self>,
        settings: &Cloud,
        variables: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Account {
        let script = Arc::clone(self);
        let world = Outside {
            variables: Arc::new(variables),
            script: Arc::new(move |request| script.reply(request)),
        };
        Account::within(CloudName::parse("main").unwrap(), settings, Arc::new(|_| ()), world).unwrap()
    }
}

pub(super) fn cloud(credentials: CredentialsFrom, project: Option<&str>) -> Cloud {
    Cloud {
        credentials,
        region: REGION.to_owned(),
        project_id: project.map(str::to_owned),
        domain_id: None,
        endpoints: Endpoints { iam: None, elb: None, eip: None, dns: None, metadata: None },
    }
}

/// The sentence is fit to be shown, and tells nothing of the keys.
pub(super) fn assert_tells_no_key(text: &str, input: &[u8]) {
    sentence::assert_good(text);
    sentence::assert_lacks(text, SECRET, input);
    sentence::assert_lacks(text, token(), input);
}

/// Runs in virtual time: no wait takes any.
pub(super) fn in_virtual_time<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build().unwrap().block_on(future)
}

fn word_of(path: &str) -> String {
    let mut parts = path.rsplit('/');
    let (last, before) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    match WORDS.iter().find(|word| **word == before) {
        Some(word) if last != "statuses" && last != "recordsets" => word.trim_end_matches('s').to_owned(),
        Some(_) | None => last.to_owned(),
    }
}

fn answer(part: &[u8]) -> (String, Option<Answer>) {
    let (head, body) = match part.windows(2).position(|two| two == b"\n\n") {
        Some(end) => (&part[..end], &part[end + 2..]),
        None => (part, &b""[..]),
    };
    let head = filled(head);
    let head = String::from_utf8_lossy(&head);
    let mut lines = head.lines();
    let mut first = lines.next().unwrap_or_default().split_whitespace();
    let name = first.next().unwrap_or_default().to_owned();
    let status =
        first.next().and_then(|status| status.parse().ok()).filter(|status| (100..1000).contains(status));
    let header =
        |line: &str| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
    let headers = lines.filter_map(header).collect();
    (name, status.map(|status| Answer { status, headers, body: filled(body) }))
}

fn filled(bytes: &[u8]) -> Vec<u8> {
    let mut text = bytes.to_vec();
    for (mark, key) in [("{token}", token()), ("{secret}", SECRET)] {
        if sentence::contains(&text, mark.as_bytes()) {
            text = split(&text, mark.as_bytes()).join(key.as_bytes());
        }
    }
    text
}

pub(super) fn split<'b>(bytes: &'b [u8], separator: &[u8]) -> Vec<&'b [u8]> {
    let (mut parts, mut rest) = (Vec::new(), bytes);
    while let Some(at) = rest.windows(separator.len()).position(|window| window == separator) {
        parts.push(&rest[..at]);
        rest = &rest[at + separator.len()..];
    }
    parts.push(rest);
    parts
}

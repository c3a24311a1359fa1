//! What one question to the cloud, or to a name server, came to.

use std::time::Duration;

use anstyle::Style;
use tokio::time::Instant;

use crate::cli::style::{BAD, CARE, GOOD};
use crate::clock::instant_now;
use crate::huawei::{Api, ApiError};
use crate::model::CloudName;

/// One question's deadline, further tries of it included.
const QUESTION: Duration = Duration::from_secs(10);

/// Until when questions may be asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    end: Instant,
}

impl Patience {
    /// From now on for so long, all questions together.
    pub(super) fn of(whole: Duration) -> Self {
        Self { end: instant_now() + whole }
    }

    /// The deadline of a question that is asked now.
    pub(super) fn deadline(self) -> Instant {
        self.end.min(instant_now() + QUESTION)
    }
}

/// Whether something is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Found,
    Missing,
    /// The question was refused or not answered, or the answer fits nothing.
    Unclear,
}

impl Verdict {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Missing => "missing",
            Self::Unclear => "cannot tell",
        }
    }
}

/// What a question says of the account's keys.
#[derive(Clone, Debug)]
pub(super) enum Keys {
    /// The cloud took them: it answered, if only to refuse this one thing.
    Taken,
    /// There are none, or the cloud did not take them: its words.
    NotTaken(String),
    /// Nothing.
    NotTold,
}

/// A row of the table.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    /// The account that was asked through; none when no cloud was asked.
    pub(super) cloud: Option<CloudName>,
    /// Whose it is.
    pub(super) of: String,
    /// What was asked for.
    pub(super) what: String,
    pub(super) verdict: Verdict,
    /// What was seen, or the API's own words.
    pub(super) saw: String,
    /// What IAM must allow.
    pub(super) permission: &'static str,
    /// Whether the daemon can do its work without it.
    pub(super) needed: bool,
    pub(super) keys: Keys,
}

impl Finding {
    /// Of something that the daemon needs and no cloud was asked for.
    pub(super) fn of_no_cloud(of: &str, what: &str, verdict: Verdict, saw: String) -> Self {
        Self {
            cloud: None,
            of: of.to_owned(),
            what: what.to_owned(),
            verdict,
            saw,
            permission: "",
            needed: true,
            keys: Keys::NotTold,
        }
    }

    /// How its verdict looks.
    pub(super) fn style(&self) -> Style {
        match (self.verdict, self.needed) {
            (Verdict::Found, _) => GOOD,
            (Verdict::Missing | Verdict::Unclear, true) => BAD,
            (Verdict::Missing | Verdict::Unclear, false) => CARE,
        }
    }

    /// Something that the daemon needs is not known to be there.
    pub(super) fn is_lacking(&self) -> bool {
        self.needed && self.verdict != Verdict::Found
    }
}

/// A question, before it is answered.
#[derive(Clone, Debug)]
pub(super) struct Question<'a> {
    pub(super) cloud: &'a CloudName,
    pub(super) of: &'a str,
    pub(super) what: String,
    pub(super) permission: &'static str,
    pub(super) needed: bool,
}

impl Question<'_> {
    /// What an answer comes to, as `read` understands it.
    pub(super) fn answered<T>(
        self,
        answer: &Result<T, ApiError>,
        read: impl FnOnce(&T) -> (Verdict, String),
    ) -> Finding {
        let (verdict, saw, keys) = match answer {
            Ok(answer) => {
                let (verdict, saw) = read(answer);
                (verdict, saw, Keys::Taken)
            }
            Err(error) if error.is_credentials() => {
                let saw = "not asked without credentials that the cloud takes".to_owned();
                (Verdict::Unclear, saw, Keys::NotTaken(error.to_string()))
            }
            Err(error) if error.api() == Api::Iam && self.permission != PROJECTS => {
                (Verdict::Unclear, "not asked without the project's id".to_owned(), Keys::NotTold)
            }
            Err(error) => {
                let verdict = if error.is_not_found() { Verdict::Missing } else { Verdict::Unclear };
                let keys = if error.is_refusal() { Keys::Taken } else { Keys::NotTold };
                (verdict, error.to_string(), keys)
            }
        };
        let Self { cloud, of, what, permission, needed } = self;
        Finding {
            cloud: Some(cloud.clone()),
            of: of.to_owned(),
            what,
            verdict,
            saw,
            permission,
            needed,
            keys,
        }
    }
}

/// What looking up projects takes.
pub(super) const PROJECTS: &str = "iam:projects:list";

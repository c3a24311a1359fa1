//! Which keys an account uses: those of the source that is configured, or of the first that has any.
//!
//! Keys of this machine are read when first needed and kept until somebody says that they were not taken;
//! the agency ends and renews its own. That there are none is told in the log once, and is an alarm while
//! it lasts. Start at [`Keys::get`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::agency::{Agency, AgencyError};
use super::credentials::{Credentials, CredentialsError, Local, configured};
use crate::config::CredentialsFrom;

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeysError {
    #[error(transparent)]
    Local(CredentialsError),
    #[error(transparent)]
    Agency(AgencyError),
    #[error("no keys found: {environment}; {file}; {agency}")]
    Nowhere { environment: CredentialsError, file: CredentialsError, agency: AgencyError },
}

/// The keys of one account.
pub(super) struct Keys {
    from: CredentialsFrom,
    local: Local,
    agency: Agency,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    /// Keys of this machine.
    keys: Option<Arc<Credentials>>,
    /// The agency is the source, until it has no keys.
    of_agency: bool,
    /// The source last logged; keys that are read again from it are no news.
    logged: Option<String>,
    /// Why there were none when they were last needed.
    lack: Option<String>,
}

/// What the sources of this machine came to.
enum Read {
    Found(Arc<Credentials>),
    /// The agency is to be asked, since this is all there is, or since the others have nothing.
    AskAgency(Option<(CredentialsError, CredentialsError)>),
}

impl Keys {
    pub(super) fn new(from: CredentialsFrom, local: Local, agency: Agency) -> Self {
        Self { from, local, agency, held: Mutex::default() }
    }

    /// The keys. Small local files may be read; the agency is asked, until the deadline at most, only when
    /// they are to come from there. That there are none is not remembered.
    pub(super) async fn get(&self, deadline: Instant) -> Result<Arc<Credentials>, KeysError> {
        let passed_over = match self.read() {
            Ok(Read::Found(keys)) => return Ok(keys),
            Ok(Read::AskAgency(passed_over)) => passed_over,
            Err(error) => {
                let error = KeysError::Local(error);
                self.held().lacks(&error);
                return Err(error);
            }
        };
        let asked = self.agency.get(deadline).await;
        let mut held = self.held();
        held.of_agency = asked.is_ok();
        match (asked, passed_over) {
            (Ok(keys), passed_over) => {
                held.took(&keys, passed_over.as_ref());
                Ok(keys)
            }
            (Err(agency), passed_over) => {
                let no_answer_yet = matches!(agency, AgencyError::Waiting);
                let error = match passed_over {
                    Some((environment, file)) => KeysError::Nowhere { environment, file, agency },
                    None => KeysError::Agency(agency),
                };
                if !no_answer_yet {
                    held.lacks(&error);
                }
                Err(error)
            }
        }
    }

    /// These keys were not taken: look for others when next needed, as they may have been exchanged.
    pub(super) fn forget(&self, refused: &Arc<Credentials>) {
        self.agency.refused(refused);
        self.held().keys.take_if(|keys| Arc::ptr_eq(keys, refused));
    }

    /// The wall time since 1970 at which the keys end, where they do.
    pub(super) fn expire(&self) -> Option<Duration> {
        if self.held().of_agency { self.agency.expires() } else { None }
    }

    /// What somebody should know: there are no keys, or they end and cannot be renewed.
    pub(super) fn alarm(&self) -> Option<String> {
        let held = self.held();
        match &held.lack {
            Some(lack) => Some(format!(
                "no call can be made, and what is only seen through the cloud is unknown: {lack}"
            )),
            None if held.of_agency => self.agency.alarm(),
            None => None,
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the sources of this machine, as far as that is needed.
    fn read(&self) -> Result<Read, CredentialsError> {
        let mut held = self.held();
        if held.of_agency {
            return Ok(Read::AskAgency(None));
        }
        if let Some(keys) = &held.keys {
            return Ok(Read::Found(keys.clone()));
        }
        let read = match &self.from {
            CredentialsFrom::Agency => return Ok(Read::AskAgency(None)),
            CredentialsFrom::Auto => match self.local.in_environment() {
                Ok(keys) => keys,
                Err(environment) => match self.local.in_file() {
                    Ok(keys) => keys,
                    Err(file) => return Ok(Read::AskAgency(Some((environment, file)))),
                },
            },
            CredentialsFrom::Environment => self.local.in_environment()?,
            CredentialsFrom::File => self.local.in_file()?,
            CredentialsFrom::Keys { access_key, secret_key_file, security_token_file } => {
                configured(access_key, secret_key_file, security_token_file.as_deref())?
            }
        };
        let keys = Arc::new(read);
        held.took(&keys, None);
        held.keys = Some(keys.clone());
        Ok(Read::Found(keys))
    }
}

impl Held {
    /// Says where the keys come from, and why not from elsewhere, when that is news.
    fn took(&mut self, keys: &Credentials, passed_over: Option<&(CredentialsError, CredentialsError)>) {
        let lacked = self.lack.take().is_some();
        if self.logged.as_ref() == Some(&keys.source) && !lacked {
            return;
        }
        let passed_over = passed_over.map(|(environment, file)| format!("{environment}; {file}"));
        tracing::info!(
            source = keys.source,
            access_key = keys.access_key,
            passed_over,
            "took the account's keys"
        );
        self.logged = Some(keys.source.clone());
    }

    fn lacks(&mut self, error: &KeysError) {
        if self.lack.is_none() {
            tracing::warn!(%error, "has no keys; no call can be made until there are some");
        }
        self.lack = Some(error.to_string());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::*;
    use crate::clock::instant_now;
    use crate::huawei::cloud_clock::CloudClock;
    use crate::model::CloudName;

    const FILE: &str = "[basic]\nak = FILEAK\nsk = secret\n";

    fn write(path: &Path, text: &str) {
        std::fs::write(path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// With an agency that nobody finds anything at.
    fn keys_of(from: CredentialsFrom, variables: &[(&str, &str)]) -> Keys {
        let pairs: BTreeMap<String, String> =
            variables.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let http = super::super::outside::Network::sockets().unwrap();
        let clock = Arc::new(CloudClock::new(CloudName::parse("main").unwrap()));
        let local = Local::new(Box::new(move |name| pairs.get(name).cloned()));
        Keys::new(from, local, Agency::new(http, Some("http://127.0.0.1:0"), clock))
    }

    async fn access_key(keys: &Keys) -> String {
        keys.get(instant_now() + Duration::from_secs(10)).await.unwrap().access_key.clone()
    }

    #[tokio::test]
    async fn auto_takes_the_environment_before_the_file_and_the_file_before_the_agency() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("credentials");
        let file = ("HUAWEICLOUD_SDK_CREDENTIALS_FILE", path.to_str().unwrap());
        let all = [("HUAWEICLOUD_SDK_AK", "ENVAK"), ("HUAWEICLOUD_SDK_SK", "secret"), file];
        write(&path, FILE);
        assert_eq!(access_key(&keys_of(CredentialsFrom::Auto, &all)).await, "ENVAK");
        assert_eq!(access_key(&keys_of(CredentialsFrom::Auto, &[file])).await, "FILEAK");
    }

    #[tokio::test]
    async fn one_error_tells_all_that_was_tried_and_keys_that_appear_end_the_alarm() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("later");
        let file = ("HUAWEICLOUD_SDK_CREDENTIALS_FILE", path.to_str().unwrap());
        let keys = keys_of(CredentialsFrom::Auto, &[file]);
        assert_eq!(keys.alarm(), None, "nobody needed them yet");
        let error = keys.get(instant_now() + Duration::from_secs(10)).await.unwrap_err().to_string();
        for part in [
            "no keys found: the environment has no HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK; ",
            "cannot read the credentials file ",
            "the metadata service at 127.0.0.1:0 cannot be reached",
        ] {
            assert!(error.contains(part), "{error}");
        }
        assert!(keys.alarm().unwrap().contains(&error));
        write(&path, FILE);
        assert_eq!(access_key(&keys).await, "FILEAK");
        assert_eq!((keys.alarm(), keys.expire()), (None, None));
    }

    #[tokio::test]
    async fn keys_that_were_refused_are_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("credentials");
        let file = ("HUAWEICLOUD_SDK_CREDENTIALS_FILE", path.to_str().unwrap());
        let keys = keys_of(CredentialsFrom::File, &[file]);
        write(&path, FILE);
        let first = keys.get(instant_now()).await.unwrap();
        write(&path, &FILE.replace("FILEAK", "NEWAK"));
        assert_eq!(access_key(&keys).await, "FILEAK");
        for _ in 0..2 {
            keys.forget(&first);
            assert_eq!(access_key(&keys).await, "NEWAK");
        }
    }
}

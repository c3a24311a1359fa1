//! Where an account's keys come from: the configuration, the environment, or the file of the vendor's SDK,
//! with that SDK's names.
//!
//! Keys are held as [`Secret`]s (SECRETS-STAY). They are read when first needed and kept until somebody
//! says that they were not taken; a source of temporary keys would end them by itself.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::CredentialsFrom;
use crate::model::Secret;

/// An account's keys, and what its source said beside them.
#[derive(Clone, Debug)]
pub(super) struct Credentials {
    /// The access key's id; not a secret.
    pub(super) access_key: String,
    pub(super) secret_key: Secret,
    /// Of temporary keys.
    pub(super) security_token: Option<Secret>,
    /// The project of the account's home region.
    pub(super) project_id: Option<String>,
    pub(super) domain_id: Option<String>,
    pub(super) iam_endpoint: Option<String>,
    /// For a person: "the environment".
    source: String,
}

impl Credentials {
    /// The text with every secret of these keys blotted out; for what a server said, which may be what it
    /// was sent.
    pub(super) fn redact(&self, text: String) -> String {
        [Some(&self.secret_key), self.security_token.as_ref()]
            .into_iter()
            .flatten()
            .map(Secret::expose)
            .filter(|secret| !secret.is_empty())
            .fold(text, |text, secret| if text.contains(secret) { text.replace(secret, "…") } else { text })
    }
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub(super) enum CredentialsError {
    #[error("the environment has no {missing}")]
    NotInEnvironment { missing: String },
    #[error(
        "cannot tell where the credentials file is: neither HUAWEICLOUD_SDK_CREDENTIALS_FILE nor HOME is set"
    )]
    NoHome,
    #[error("cannot read the {what} file {}: {source}", path.display())]
    Read { what: &'static str, path: PathBuf, source: io::Error },
    #[error("the credentials file {} has no ak and sk in its section [basic]", path.display())]
    NotInFile { path: PathBuf },
    #[error("the {what} file {} is readable by others (mode {mode:03o}); run: chmod o-rwx {}", path.display(), path.display())]
    OpenToOthers { what: &'static str, path: PathBuf, mode: u32 },
    #[error("the {what} file {} is empty", path.display())]
    Empty { what: &'static str, path: PathBuf },
    #[error("no keys found: {environment}; {file}")]
    Nowhere { environment: Box<CredentialsError>, file: Box<CredentialsError> },
}

/// How a variable of the environment is looked up.
pub(super) type Environment = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// The keys of one account, read once.
pub(super) struct Keys {
    from: CredentialsFrom,
    environment: Environment,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    keys: Option<Arc<Credentials>>,
    /// The source last logged; keys that are read again from it are no news.
    logged: Option<String>,
}

impl Keys {
    pub(super) fn new(from: CredentialsFrom, environment: Environment) -> Self {
        Self { from, environment, held: Mutex::default() }
    }

    /// The keys. Small local files may be read, no network is used; a failure is not remembered.
    pub(super) fn get(&self) -> Result<Arc<Credentials>, CredentialsError> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(keys) = &held.keys {
            return Ok(keys.clone());
        }
        let keys = Arc::new(self.read()?);
        if held.logged.as_ref() != Some(&keys.source) {
            tracing::info!(source = keys.source, access_key = keys.access_key, "took the account's keys");
            held.logged = Some(keys.source.clone());
        }
        held.keys = Some(keys.clone());
        Ok(keys)
    }

    /// These keys were not taken: read them again when next needed, as they may have been exchanged.
    pub(super) fn forget(&self, refused: &Arc<Credentials>) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.keys.take_if(|keys| Arc::ptr_eq(keys, refused));
    }

    fn read(&self) -> Result<Credentials, CredentialsError> {
        match &self.from {
            CredentialsFrom::Auto => self.in_environment().or_else(|environment| {
                self.in_file().map_err(|file| CredentialsError::Nowhere {
                    environment: Box::new(environment),
                    file: Box::new(file),
                })
            }),
            CredentialsFrom::Environment => self.in_environment(),
            CredentialsFrom::File => self.in_file(),
            CredentialsFrom::Keys { access_key, secret_key_file, security_token_file } => Ok(Credentials {
                access_key: access_key.clone(),
                secret_key: secret_file("secret key", secret_key_file)?,
                security_token: security_token_file
                    .as_ref()
                    .map(|path| secret_file("security token", path))
                    .transpose()?,
                project_id: None,
                domain_id: None,
                iam_endpoint: None,
                source: format!("the configuration and {}", secret_key_file.display()),
            }),
        }
    }

    fn variable(&self, name: &str) -> Option<String> {
        (self.environment)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    fn in_environment(&self) -> Result<Credentials, CredentialsError> {
        const AK: &str = "HUAWEICLOUD_SDK_AK";
        const SK: &str = "HUAWEICLOUD_SDK_SK";
        let missing = |missing: &str| CredentialsError::NotInEnvironment { missing: missing.to_owned() };
        let (access_key, secret_key) = match (self.variable(AK), self.variable(SK)) {
            (Some(access_key), Some(secret_key)) => (access_key, secret_key),
            (None, Some(_)) => return Err(missing(AK)),
            (Some(_), None) => return Err(missing(SK)),
            (None, None) => return Err(missing(&format!("{AK} and {SK}"))),
        };
        Ok(Credentials {
            access_key,
            secret_key: Secret::new(secret_key),
            security_token: self.variable("HUAWEICLOUD_SDK_SECURITY_TOKEN").map(Secret::new),
            project_id: self.variable("HUAWEICLOUD_SDK_PROJECT_ID"),
            domain_id: self.variable("HUAWEICLOUD_SDK_DOMAIN_ID"),
            iam_endpoint: self.variable("HUAWEICLOUD_SDK_IAM_ENDPOINT"),
            source: "the environment".to_owned(),
        })
    }

    fn in_file(&self) -> Result<Credentials, CredentialsError> {
        let path = match (self.variable("HUAWEICLOUD_SDK_CREDENTIALS_FILE"), self.variable("HOME")) {
            (Some(path), _) => PathBuf::from(path),
            (None, Some(home)) => Path::new(&home).join(".huaweicloud/credentials"),
            (None, None) => return Err(CredentialsError::NoHome),
        };
        let text = read(CREDENTIALS, &path)?;
        let sections = sections(&text);
        let section = |name: &str| sections.get(name).cloned().unwrap_or_default();
        let (mut basic, mut global) = (section("basic"), section("global"));
        let (Some(access_key), Some(secret_key)) = (basic.remove("ak"), basic.remove("sk")) else {
            return Err(CredentialsError::NotInFile { path });
        };
        Ok(Credentials {
            access_key,
            secret_key: Secret::new(secret_key),
            security_token: basic.remove("security_token").map(Secret::new),
            project_id: basic.remove("project_id"),
            domain_id: basic.remove("domain_id").or_else(|| global.remove("domain_id")),
            iam_endpoint: basic.remove("iam_endpoint"),
            source: path.display().to_string(),
        })
    }
}

/// What a file of keys is called in errors.
const CREDENTIALS: &str = "credentials";

/// The secret in a file of its own.
fn secret_file(what: &'static str, path: &Path) -> Result<Secret, CredentialsError> {
    let secret = Secret::new(read(what, path)?);
    if secret.expose().is_empty() {
        return Err(CredentialsError::Empty { what, path: path.to_owned() });
    }
    Ok(secret)
}

/// The text of a file that nobody but its owner and group may read. A group is allowed: that is how a
/// service user is given a file of root's.
fn read(what: &'static str, path: &Path) -> Result<String, CredentialsError> {
    let cannot = |source| CredentialsError::Read { what, path: path.to_owned(), source };
    let mode = std::fs::metadata(path).map_err(cannot)?.permissions().mode() & 0o777;
    if mode & 0o007 != 0 {
        return Err(CredentialsError::OpenToOthers { what, path: path.to_owned(), mode });
    }
    std::fs::read_to_string(path).map_err(cannot)
}

type Section = BTreeMap<String, String>;

/// The sections of an INI file: `[name]`, `key = value` or `key: value`, comments after `#` or `;` at the
/// start of a line; empty values are left out.
fn sections(text: &str) -> BTreeMap<String, Section> {
    let mut sections: BTreeMap<String, Section> = BTreeMap::new();
    let mut name = String::new();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
        if let Some(inner) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            inner.trim().clone_into(&mut name);
        } else if let Some((key, value)) = line.split_once(['=', ':']) {
            let (key, value) = (key.trim().to_ascii_lowercase(), value.trim());
            if !value.is_empty() {
                sections.entry(name.clone()).or_default().insert(key, value.to_owned());
            }
        }
    }
    sections
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        let pairs: BTreeMap<String, String> =
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Box::new(move |name| pairs.get(name).cloned())
    }

    fn file(directory: &tempfile::TempDir, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    const FILE: &str = "# mine\n[basic]\nAK = FILEAK\nsk: file=secret\n; later\nproject_id =\nsecurity_token = tok\n\
        [global]\nak = OTHER\nsk = other\ndomain_id = dom\n";

    #[test]
    fn auto_takes_the_environment_before_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = file(&directory, "credentials", FILE, 0o600);
        let path = path.to_str().unwrap();
        let both = [
            ("HUAWEICLOUD_SDK_AK", "ENVAK"),
            ("HUAWEICLOUD_SDK_SK", "envsecret"),
            ("HUAWEICLOUD_SDK_DOMAIN_ID", "envdom"),
            ("HUAWEICLOUD_SDK_CREDENTIALS_FILE", path),
        ];
        let keys = Keys::new(CredentialsFrom::Auto, environment(&both)).get().unwrap();
        assert_eq!((keys.access_key.as_str(), keys.secret_key.expose()), ("ENVAK", "envsecret"));
        assert_eq!(keys.domain_id.as_deref(), Some("envdom"));

        let keys = Keys::new(CredentialsFrom::Auto, environment(&both[3..])).get().unwrap();
        assert_eq!((keys.access_key.as_str(), keys.secret_key.expose()), ("FILEAK", "file=secret"));
        assert_eq!(keys.security_token.as_ref().unwrap().expose(), "tok");
        assert_eq!((keys.project_id.as_deref(), keys.domain_id.as_deref()), (None, Some("dom")));
    }

    #[test]
    fn the_file_is_looked_for_at_home() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".huaweicloud")).unwrap();
        file(&home, ".huaweicloud/credentials", FILE, 0o640);
        let variables = [("HOME", home.path().to_str().unwrap())];
        let keys = Keys::new(CredentialsFrom::File, environment(&variables)).get().unwrap();
        assert_eq!(keys.access_key, "FILEAK");
    }

    #[test]
    fn what_is_missing_is_named_and_looked_for_again() {
        let error = Keys::new(CredentialsFrom::Auto, environment(&[("HUAWEICLOUD_SDK_AK", "x")])).get();
        let error = error.unwrap_err().to_string();
        assert!(error.contains("the environment has no HUAWEICLOUD_SDK_SK"), "{error}");
        assert!(error.contains("HOME"), "{error}");

        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("later");
        let variables = [("HUAWEICLOUD_SDK_CREDENTIALS_FILE", path.to_str().unwrap())];
        let keys = Keys::new(CredentialsFrom::Auto, environment(&variables));
        assert!(keys.get().unwrap_err().to_string().contains("No such file"));
        file(&directory, "later", FILE, 0o600);
        assert_eq!(keys.get().unwrap().access_key, "FILEAK");
    }

    #[test]
    fn a_secret_file_that_others_may_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let keys = |mode, text: &str| {
            let secret_key_file = file(&directory, "sk", text, mode);
            let from = CredentialsFrom::Keys {
                access_key: "AK".to_owned(),
                secret_key_file,
                security_token_file: None,
            };
            Keys::new(from, environment(&[])).get().map(|keys| keys.secret_key.expose().to_owned())
        };
        assert_eq!(keys(0o600, " s3cret\n").unwrap(), "s3cret");
        assert_eq!(keys(0o440, "s3cret").unwrap(), "s3cret");
        let error = keys(0o644, "s3cret").unwrap_err().to_string();
        assert!(error.contains("is readable by others (mode 644); run: chmod o-rwx"), "{error}");
        assert!(keys(0o600, "\n").unwrap_err().to_string().ends_with("is empty"));
    }

    #[test]
    fn keys_that_were_refused_are_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = file(&directory, "credentials", FILE, 0o600);
        let variables = [("HUAWEICLOUD_SDK_CREDENTIALS_FILE", path.to_str().unwrap())];
        let keys = Keys::new(CredentialsFrom::File, environment(&variables));
        let first = keys.get().unwrap();
        file(&directory, "credentials", &FILE.replace("FILEAK", "NEWAK"), 0o600);
        assert_eq!(keys.get().unwrap().access_key, "FILEAK");
        keys.forget(&first);
        assert_eq!(keys.get().unwrap().access_key, "NEWAK");
        keys.forget(&first);
        assert_eq!(keys.get().unwrap().access_key, "NEWAK");
    }

    #[test]
    fn secrets_are_blotted_out_of_what_a_server_said() {
        let directory = tempfile::tempdir().unwrap();
        let path = file(&directory, "credentials", FILE, 0o600);
        let variables = [("HUAWEICLOUD_SDK_CREDENTIALS_FILE", path.to_str().unwrap())];
        let keys = Keys::new(CredentialsFrom::File, environment(&variables)).get().unwrap();
        assert_eq!(keys.redact("got tok and file=secret".to_owned()), "got … and …");
        assert!(!format!("{keys:?}").contains("file=secret"));
    }
}

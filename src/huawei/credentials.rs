//! Keys, and where they are read from on this machine: files that the configuration names, the environment,
//! or the file of the vendor's SDK, with that SDK's names.
//!
//! Held as [`Secret`]s (SECRETS-STAY), never shown, wiped when dropped. No network here: which source is
//! asked when is for `keys`, temporary keys are for `agency`. Start at [`Local`].

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::sign;
use crate::config::CredentialsFrom;
use crate::file_access::{FileAccess, TooOpen};
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
    /// The wall time since 1970 at which temporary keys end, where their source says so.
    pub(super) expires: Option<Duration>,
    /// For a person: "the environment".
    pub(super) source: String,
}

impl Credentials {
    /// The text with every secret of these keys blotted out, and signatures made with them; for what a server
    /// said, which may be what it was sent.
    pub(super) fn redact(&self, text: String) -> String {
        blot_signatures(self.secrets().fold(text, blot))
    }

    /// Whether a secret of these keys stands in the bytes.
    pub(super) fn are_in(&self, bytes: &[u8]) -> bool {
        // JSON is UTF-8; what is not cannot be read as JSON anyway.
        let secrets = || self.secrets().map(Secret::expose).filter(|secret| !secret.is_empty());
        std::str::from_utf8(bytes).is_ok_and(|text| secrets().any(|secret| text.contains(secret)))
    }

    fn secrets(&self) -> impl Iterator<Item = &Secret> {
        [Some(&self.secret_key), self.security_token.as_ref()].into_iter().flatten()
    }
}

/// The text without the secret, also where it was written in another way.
pub(super) fn blot(text: String, secret: &Secret) -> String {
    let plain = secret.expose();
    let hex = |digit: &dyn Fn(u8) -> String| plain.bytes().map(digit).collect::<String>();
    let written = [
        plain.to_owned(),
        sign::encode(plain),
        plain.escape_debug().to_string(),
        STANDARD_NO_PAD.encode(plain),
        URL_SAFE_NO_PAD.encode(plain),
        hex(&|byte| format!("{byte:02x}")),
        hex(&|byte| format!("{byte:02X}")),
    ];
    written.map(Zeroizing::new).iter().filter(|form| !form.is_empty()).fold(text, |text, form| {
        if text.contains(form.as_str()) { text.replace(form.as_str(), "…") } else { text }
    })
}

/// The text without signatures: for a quarter of an hour whoever has one can send the same request again.
fn blot_signatures(text: String) -> String {
    let mut parts = text.split(SIGNATURE);
    let Some(first) = parts.next() else { return text };
    parts.fold(first.to_owned(), |text, part| {
        format!("{text}{SIGNATURE}…{}", part.trim_start_matches(|c: char| c.is_ascii_hexdigit()))
    })
}

/// What a signature stands behind in the header that carries it.
const SIGNATURE: &str = "Signature=";

/// How long a file of keys may be, in bytes: many times the longest token.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Why there are no keys in a source of this machine.
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
    #[error("the {what} file is refused: {open}")]
    Open { what: &'static str, open: TooOpen },
    #[error("the {what} file {} is longer than {FILE_BYTES_MAX} bytes, which no secret is", path.display())]
    TooLong { what: &'static str, path: PathBuf },
    #[error("the {what} file {} is empty", path.display())]
    Empty { what: &'static str, path: PathBuf },
}

/// How a variable of the environment is looked up.
pub(super) type Environment = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// The sources of this machine.
pub(super) struct Local {
    environment: Environment,
}

impl Local {
    pub(super) fn new(environment: Environment) -> Self {
        Self { environment }
    }

    fn variable(&self, name: &str) -> Option<String> {
        (self.environment)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// Of the environment.
    pub(super) fn in_environment(&self) -> Result<Credentials, CredentialsError> {
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
            expires: None,
            source: "the environment".to_owned(),
        })
    }

    /// The SDK's file, whether it is there or not.
    fn file(&self) -> Result<PathBuf, CredentialsError> {
        match (self.variable("HUAWEICLOUD_SDK_CREDENTIALS_FILE"), self.variable("HOME")) {
            (Some(path), _) => Ok(PathBuf::from(path)),
            (None, Some(home)) => Ok(Path::new(&home).join(".huaweicloud/credentials")),
            (None, None) => Err(CredentialsError::NoHome),
        }
    }

    /// Whether the SDK's file, where keys are to come from it and it is there, is closed to others.
    pub(super) fn judge_file(&self, from: &CredentialsFrom) -> Result<(), TooOpen> {
        let is_asked = match from {
            CredentialsFrom::File => true,
            CredentialsFrom::Auto => self.in_environment().is_err(),
            CredentialsFrom::Environment | CredentialsFrom::Agency | CredentialsFrom::Keys { .. } => false,
        };
        let found = self.file().ok().filter(|_| is_asked).and_then(|path| FileAccess::of(&path).ok());
        found.map_or(Ok(()), |access| access.is_secret())
    }

    /// Of the SDK's file.
    pub(super) fn in_file(&self) -> Result<Credentials, CredentialsError> {
        let path = self.file()?;
        let text = read(CREDENTIALS, &path)?;
        let sections = sections(&text);
        let value = |section: &str, key: &str| sections.get(section)?.get(key).copied();
        let text_of = |key: &str| value("basic", key).map(str::to_owned);
        let (Some(access_key), Some(secret_key)) = (text_of("ak"), value("basic", "sk")) else {
            return Err(CredentialsError::NotInFile { path });
        };
        Ok(Credentials {
            access_key,
            secret_key: Secret::new(secret_key),
            security_token: value("basic", "security_token").map(Secret::new),
            project_id: text_of("project_id"),
            domain_id: text_of("domain_id").or_else(|| value("global", "domain_id").map(str::to_owned)),
            iam_endpoint: text_of("iam_endpoint"),
            expires: None,
            source: path.display().to_string(),
        })
    }
}

/// The keys that the configuration names.
pub(super) fn configured(
    access_key: &str,
    secret_key_file: &Path,
    security_token_file: Option<&Path>,
) -> Result<Credentials, CredentialsError> {
    Ok(Credentials {
        access_key: access_key.to_owned(),
        secret_key: secret_file("secret key", secret_key_file)?,
        security_token: security_token_file.map(|path| secret_file("security token", path)).transpose()?,
        project_id: None,
        domain_id: None,
        iam_endpoint: None,
        expires: None,
        source: format!("the configuration and {}", secret_key_file.display()),
    })
}

/// What a file of keys is called in errors.
const CREDENTIALS: &str = "credentials";

/// The secret in a file of its own.
fn secret_file(what: &'static str, path: &Path) -> Result<Secret, CredentialsError> {
    let secret = Secret::new(read(what, path)?.as_str());
    if secret.expose().is_empty() {
        return Err(CredentialsError::Empty { what, path: path.to_owned() });
    }
    Ok(secret)
}

/// The text of a file that nobody but its owner and group may read. A group is allowed: that is how a
/// service user is given a file of root's.
fn read(what: &'static str, path: &Path) -> Result<Zeroizing<String>, CredentialsError> {
    let cannot = |source| CredentialsError::Read { what, path: path.to_owned(), source };
    let access = FileAccess::of(path).map_err(cannot)?;
    access.is_secret().map_err(|open| CredentialsError::Open { what, open })?;
    let mut text = Zeroizing::new(String::new());
    let file = File::open(path).map_err(cannot)?;
    let length = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(cannot)?;
    if u64::try_from(length).is_ok_and(|length| length <= FILE_BYTES_MAX) {
        Ok(text)
    } else {
        Err(CredentialsError::TooLong { what, path: path.to_owned() })
    }
}

/// Values by key. They are parts of the text, which is wiped when it is dropped.
type Section<'t> = BTreeMap<String, &'t str>;

/// The sections of an INI file: `[name]`, `key = value` or `key: value`, comments after `#` or `;` at the
/// start of a line; empty values are left out.
fn sections(text: &str) -> BTreeMap<&str, Section<'_>> {
    let mut sections: BTreeMap<&str, Section<'_>> = BTreeMap::new();
    let mut name = "";
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
        if let Some(inner) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            name = inner.trim();
        } else if let Some((key, value)) = line.split_once(['=', ':']) {
            let (key, value) = (key.trim().to_ascii_lowercase(), value.trim());
            if !value.is_empty() {
                sections.entry(name).or_default().insert(key, value);
            }
        }
    }
    sections
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Local {
        let pairs: BTreeMap<String, String> =
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Local::new(Box::new(move |name| pairs.get(name).cloned()))
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
    fn the_environment_and_the_file_say_what_the_sdk_says_they_do() {
        let directory = tempfile::tempdir().unwrap();
        let path = file(&directory, "credentials", FILE, 0o600);
        let both = environment(&[
            ("HUAWEICLOUD_SDK_AK", "ENVAK"),
            ("HUAWEICLOUD_SDK_SK", " envsecret\n"),
            ("HUAWEICLOUD_SDK_DOMAIN_ID", "envdom"),
            ("HUAWEICLOUD_SDK_PROJECT_ID", ""),
            ("HUAWEICLOUD_SDK_CREDENTIALS_FILE", path.to_str().unwrap()),
        ]);
        let keys = both.in_environment().unwrap();
        assert_eq!((keys.access_key.as_str(), keys.secret_key.expose()), ("ENVAK", "envsecret"));
        assert_eq!((keys.project_id.as_deref(), keys.domain_id.as_deref()), (None, Some("envdom")));

        let keys = both.in_file().unwrap();
        assert_eq!((keys.access_key.as_str(), keys.secret_key.expose()), ("FILEAK", "file=secret"));
        assert_eq!(keys.security_token.as_ref().unwrap().expose(), "tok");
        assert_eq!((keys.project_id.as_deref(), keys.domain_id.as_deref()), (None, Some("dom")));
    }

    #[test]
    fn the_file_is_looked_for_at_home() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".huaweicloud")).unwrap();
        file(&home, ".huaweicloud/credentials", FILE, 0o640);
        let keys = environment(&[("HOME", home.path().to_str().unwrap())]).in_file().unwrap();
        assert_eq!(keys.access_key, "FILEAK");
    }

    #[test]
    fn what_is_missing_is_named() {
        let half = environment(&[("HUAWEICLOUD_SDK_AK", "x")]);
        let error = half.in_environment().unwrap_err().to_string();
        assert_eq!(error, "the environment has no HUAWEICLOUD_SDK_SK");
        assert!(half.in_file().unwrap_err().to_string().contains("HOME"));
        let nowhere = environment(&[("HUAWEICLOUD_SDK_CREDENTIALS_FILE", "/nowhere")]);
        assert!(nowhere.in_file().unwrap_err().to_string().contains("No such file"));
    }

    #[test]
    fn a_secret_file_that_others_may_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let keys = |mode, text: &str| {
            let secret_key_file = file(&directory, "sk", text, mode);
            configured("AK", &secret_key_file, None).map(|keys| keys.secret_key.expose().to_owned())
        };
        assert_eq!(keys(0o600, " s3cret\n").unwrap(), "s3cret");
        assert_eq!(keys(0o440, "s3cret").unwrap(), "s3cret");
        let error = keys(0o644, "s3cret").unwrap_err().to_string();
        assert!(error.contains("is open to others (mode 0644, of user "), "{error}");
        assert!(error.contains("); run: chmod 600 "), "{error}");
        assert!(keys(0o600, "\n").unwrap_err().to_string().ends_with("is empty"));
    }

    #[test]
    fn the_file_is_judged_where_keys_are_to_come_from_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = file(&directory, "credentials", FILE, 0o644);
        let named = ("HUAWEICLOUD_SDK_CREDENTIALS_FILE", path.to_str().unwrap());
        let only = environment(&[named]);
        let both = environment(&[named, ("HUAWEICLOUD_SDK_AK", "x"), ("HUAWEICLOUD_SDK_SK", "y")]);
        assert!(only.judge_file(&CredentialsFrom::File).is_err());
        assert!(only.judge_file(&CredentialsFrom::Auto).is_err());
        assert!(both.judge_file(&CredentialsFrom::File).is_err());
        assert_eq!(both.judge_file(&CredentialsFrom::Auto), Ok(()));
        assert_eq!(only.judge_file(&CredentialsFrom::Agency), Ok(()));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(only.judge_file(&CredentialsFrom::File), Ok(()));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(only.judge_file(&CredentialsFrom::File), Ok(()), "that it is missing is an alarm");
    }

    #[test]
    fn secrets_are_blotted_out_of_what_a_server_said() {
        let directory = tempfile::tempdir().unwrap();
        let path = file(&directory, "credentials", FILE, 0o600);
        let keys = environment(&[("HUAWEICLOUD_SDK_CREDENTIALS_FILE", path.to_str().unwrap())]);
        let keys = keys.in_file().unwrap();
        assert_eq!(keys.redact("got tok and file=secret".to_owned()), "got … and …");
        for other_form in
            ["file%3Dsecret", "ZmlsZT1zZWNyZXQ=", "66696c653d736563726574", "66696C653D736563726574"]
        {
            assert_eq!(
                keys.redact(format!("got {other_form}")).trim_end_matches('='),
                "got …",
                "{other_form}"
            );
        }
        let echoed =
            "SDK-HMAC-SHA256 Access=FILEAK, SignedHeaders=host, Signature=0123456789abcdef0123; and so on";
        let shown = "SDK-HMAC-SHA256 Access=FILEAK, SignedHeaders=host, Signature=…; and so on";
        assert_eq!(keys.redact(echoed.to_owned()), shown);
        assert!(!format!("{keys:?}").contains("file=secret"));
    }

    #[test]
    fn a_file_of_keys_has_bounds() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "a".repeat(64 * 1024 + 1)).unwrap();
        let error = secret_file("secret key", file.path()).unwrap_err();
        assert!(matches!(error, CredentialsError::TooLong { .. }), "{error}");
        std::fs::write(file.path(), "a".repeat(64 * 1024)).unwrap();
        assert_eq!(secret_file("secret key", file.path()).unwrap().expose().len(), 64 * 1024);
    }
}

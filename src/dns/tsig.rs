//! Keys that sign messages of DNS (TSIG, RFC 8945), from their files to what hickory signs and verifies with.

use std::path::PathBuf;
use std::str::FromStr as _;
use std::{fmt, fs};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hickory_proto::rr::{Name, TSigner, rdata::tsig::TsigAlgorithm as Algorithm};
use zeroize::Zeroizing;

use crate::config::{TsigAlgorithm, TsigKey};
use crate::file_access::{FileAccess, TooOpen};

/// How far apart the clocks of the two sides may be, in seconds; what RFC 8945, section 10, recommends.
const FUDGE: u16 = 300;

/// As many bytes of a file are read: the longest secret that makes sense has 64, 88 in base64.
const FILE_MAX: u64 = 4_096;

/// A key that can sign; shows nothing of its secret (SECRETS-STAY).
#[derive(Clone)]
pub(super) struct Signer(TSigner);

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TsigKeyError {
    /// Its file.
    #[error("cannot read the TSIG secret in {path}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Others can read its file.
    #[error("the TSIG secret in {path} is not used")]
    TooOpen {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: TooOpen,
    },
    /// What stands in its file.
    #[error("{path} holds no TSIG secret: {problem}; `tsig-keygen` and `keymgr -t` print one in base64")]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What is wrong, without any of it.
        problem: &'static str,
    },
    /// Its name, or its algorithm, is none that the library takes.
    #[error("the TSIG key {name} cannot be used")]
    Refused {
        /// Its name.
        name: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Signer {
    /// Reads the key's secret.
    ///
    /// # Errors
    /// When its file cannot be read, others can read it, or it holds no secret in base64.
    pub(super) fn load(key: &TsigKey) -> Result<Self, TsigKeyError> {
        let path = &key.secret_file;
        let malformed = |problem| TsigKeyError::Malformed { path: path.clone(), problem };
        let unreadable = |source| TsigKeyError::Unreadable { path: path.clone(), source };
        let found = fs::metadata(path).map_err(unreadable)?;
        FileAccess::from_metadata(path, &found)
            .is_secret()
            .map_err(|source| TsigKeyError::TooOpen { path: path.clone(), source })?;
        if found.len() > FILE_MAX {
            return Err(malformed("it is too long"));
        }
        let text = Zeroizing::new(fs::read_to_string(path).map_err(unreadable)?);
        let secret = STANDARD.decode(text.trim()).map_err(|_| malformed("it is not base64"))?;
        if secret.is_empty() {
            return Err(malformed("it is empty"));
        }
        let refused = |source| TsigKeyError::Refused { name: key.name.to_string(), source };
        let name = Name::from_str(key.name.as_str()).map_err(|error| refused(error.into()))?;
        let algorithm = match key.algorithm {
            TsigAlgorithm::HmacSha256 => Algorithm::HmacSha256,
            TsigAlgorithm::HmacSha384 => Algorithm::HmacSha384,
            TsigAlgorithm::HmacSha512 => Algorithm::HmacSha512,
        };
        TSigner::new(secret, algorithm, name, FUDGE).map(Self).map_err(|error| refused(error.into()))
    }

    /// What hickory signs and verifies with.
    pub(super) fn get(&self) -> &TSigner {
        &self.0
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.0.signer_name())
    }
}

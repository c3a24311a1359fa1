//! Ids that look like the cloud's and are the same in every run: made from what they name.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Hexadecimal SHA-256.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// 32 digits, as projects, accounts and request ids have.
pub(super) fn plain(seed: &str) -> String {
    sha256(seed.as_bytes()).chars().take(32).collect()
}

/// Five groups, as load balancers, listeners, pools, members and public addresses have.
pub(super) fn uuid(seed: &str) -> String {
    let digits = plain(seed);
    let mut text = String::with_capacity(36);
    for (at, digit) in digits.chars().enumerate() {
        if matches!(at, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        text.push(match at {
            12 => '5',
            16 => 'a',
            _ => digit,
        });
    }
    text
}

/// 32 digits with the beginning that zones and record sets have.
pub(super) fn dns(seed: &str) -> String {
    plain(seed).chars().take(26).fold(String::from("ff8080"), |mut text, digit| {
        text.push(digit);
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_the_clouds_shape_and_stay_the_same() {
        let id = uuid("elb region1");
        assert_eq!(id.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
        assert_eq!(id, uuid("elb region1"));
        assert_ne!(id, uuid("elb region2"));
        assert_eq!((dns("zone").len(), plain("project").len()), (32, 32));
    }
}

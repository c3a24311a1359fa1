use std::net::IpAddr;

use toml::Spanned;
use toml::de::DeValue;

use super::value::{FromToml, Wrong, keep, text, texts};

/// The base URL of a cloud's service, without a final slash. `{region}` in it stands for the region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint(pub(super) String);

const HINT: &str = "write a base URL: \"https://elb.{region}.example.com\"";

texts! {
    Endpoint: "\"https://elb.{region}.example.com\"" like "^https?://[^@?#]+$" => parse;
}

fn parse(text: &str) -> Result<Endpoint, Wrong> {
    let (scheme, rest) = text.split_once("://").ok_or_else(|| Wrong::new("is not a URL", HINT))?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let filled = authority.replace("{region}", "region");
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    let plain_path = |c: char| c.is_ascii_alphanumeric() || "/-._~{}".contains(c);
    if filled.is_empty() || !filled.chars().all(plain) || !path.chars().all(plain_path) {
        return Err(Wrong::new("is not a base URL", format!("{HINT}, without a user, query or fragment")));
    }
    let host = host(&filled).ok_or_else(|| Wrong::new("has a port that is none", HINT))?;
    match scheme {
        "https" => {}
        "http" if is_near(host) => {}
        "http" => {
            let hint = "write https://; http:// is for loopback and link-local addresses only";
            return Err(Wrong::new("would send signed requests over a network unencrypted", hint));
        }
        _ => return Err(Wrong::new("is not an https:// URL", HINT)),
    }
    Ok(Endpoint(text.trim_end_matches('/').to_owned()))
}

/// The host of an authority; none when what follows it is no port.
fn host(authority: &str) -> Option<&str> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(bracketed) => {
            let (host, rest) = bracketed.split_once(']')?;
            (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let good =
        |port: &str| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|p| p > 0);
    (!host.is_empty() && port.is_none_or(good)).then_some(host)
}

/// Whether packets to the host, an address, stay on this machine or its link: as far as requests may go unencrypted.
pub(crate) fn is_near(host: &str) -> bool {
    match host.parse() {
        Ok(IpAddr::V4(v4)) => v4.is_loopback() || v4.is_link_local(),
        Ok(IpAddr::V6(v6)) => v6.is_loopback() || v6.is_unicast_link_local(),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_goes_anywhere_and_http_only_as_far_as_the_link() {
        for good in [
            "https://elb.{region}.example.com",
            "https://10.0.0.1:8443/prefix",
            "http://127.0.0.1:9000",
            "http://169.254.169.254",
            "http://[::1]:80",
            "http://[fe80::1]",
        ] {
            assert_eq!(parse(good), Ok(Endpoint(good.to_owned())), "{good}");
        }
        for (bad, what) in [
            ("http://10.0.0.1", "would send signed requests over a network unencrypted"),
            ("http://localhost", "would send signed requests over a network unencrypted"),
            ("http://127.0.0.1.example.com", "would send signed requests over a network unencrypted"),
            ("http://127.0.0.1@example.com", "is not a base URL"),
            ("https://user:password@example.com", "is not a base URL"),
            ("https://example.com?x", "is not a base URL"),
            ("https://example.com:0", "has a port that is none"),
            ("https://", "is not a base URL"),
            ("ftp://example.com", "is not an https:// URL"),
            ("example.com", "is not a URL"),
        ] {
            assert_eq!(parse(bad).unwrap_err().what, what, "{bad}");
        }
    }

    #[test]
    fn a_final_slash_is_dropped() {
        assert_eq!(parse("https://example.com/").unwrap().0, "https://example.com");
    }
}

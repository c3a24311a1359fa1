//! The address of a server with its port: whom to ask, and whom to tell.

use std::net::SocketAddr;

use serde_json::Value;
use toml::Spanned;
use toml::de::DeValue;

use super::value::{FromToml, Wrong, keep, parse_address, text, text_schema};

const EXAMPLE: &str = "\"10.0.0.53:53\"";
const HINT: &str = "write an IP address and a port: \"10.0.0.53:53\" or \"[2001:db8::53]:53\"";

/// `ADDRESS:PORT` of one machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Server(pub(super) SocketAddr);

impl FromToml for Server {
    fn from_toml(value: &Spanned<DeValue<'_>>, wrong: &mut Vec<Wrong>) -> Option<Self> {
        keep(text(value, EXAMPLE).and_then(|text| parse_server(text, HINT)).map(Self), wrong)
    }

    fn schema() -> Value {
        text_schema(Some(r"^[0-9A-Fa-f.:%\[\]]+:[0-9]+$"))
    }
}

/// The address and port of one machine. No name: the resolver that would have to find it may be what is broken.
pub(super) fn parse_server(text: &str, hint: &str) -> Result<SocketAddr, Wrong> {
    let Ok(at) = text.parse::<SocketAddr>() else {
        let host = text.rsplit_once(':').map_or(text, |(host, _)| host);
        return Err(if is_name(host) {
            let hint = "write its IP address: the resolver may be what is broken";
            Wrong::new("has a name, which a resolver would have to find", hint)
        } else {
            Wrong::new("is not an address with a port", hint)
        });
    };
    if at.port() == 0 {
        return Err(Wrong::new("has a port that is none", hint));
    }
    parse_address(&at.ip().to_string()).map_err(|wrong| Wrong { hint: hint.to_owned(), ..wrong })?;
    Ok(at)
}

fn is_name(host: &str) -> bool {
    host.contains(|c: char| c.is_ascii_alphabetic())
        && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'))
}

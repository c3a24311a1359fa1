//! `[vantage]`: what is asked whether it is this machine's own network that fails.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::Value;
use toml::Spanned;
use toml::de::DeValue;

use super::Vantage;
use super::raw::VantageKeys;
use super::report::{Place, Rank, Report};
use super::server::parse_server;
use super::table::Table;
use super::value::{FromToml, Wrong, keep, text, text_schema};
use crate::model::Service;

/// All of them are asked at once, and by every look that fails alone; two or three on different ways out tell
/// all that there is to know.
const REFERENCES_MAX: usize = 8;

const EXAMPLE: &str = "\"tcp://100.125.1.250:53\"";
const HINT: &str = "write \"tcp://ADDRESS:PORT\": \"tcp://100.125.1.250:53\" or \"tcp://[2001:db8::53]:53\"";

/// `tcp://ADDRESS:PORT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reference(pub(super) SocketAddr);

impl FromToml for Reference {
    fn from_toml(value: &Spanned<DeValue<'_>>, wrong: &mut Vec<Wrong>) -> Option<Self> {
        keep(text(value, EXAMPLE).and_then(parse), wrong)
    }

    fn schema() -> Value {
        text_schema(Some(r"^tcp://[0-9A-Fa-f.:%\[\]]+:[0-9]+$"))
    }
}

fn parse(text: &str) -> Result<Reference, Wrong> {
    let authority = text.strip_prefix("tcp://").ok_or_else(|| Wrong::new("is not a reference", HINT))?;
    parse_server(authority, HINT).map(Reference)
}

/// The section, or what holds without it. `services` are those of all files.
pub(super) fn vantage(root: &mut Table<'_>, services: &[Arc<Service>], report: &mut Report<'_>) -> Vantage {
    let (head, entries) = root.take_table("vantage", report).unwrap_or_default();
    let place = Place { name: "vantage".into(), rank: Rank::General, head };
    let mut table = Table::new(entries, place.clone());
    let keys = VantageKeys::take(&mut table, report);
    table.finish(report);
    let Some(given) = keys.references else { return Vantage::default() };
    if given.value.len() > REFERENCES_MAX {
        let message =
            format!("references names {} addresses; it takes {REFERENCES_MAX} at most", given.value.len());
        report.value(&given.mark, message, "keep those that are reached in different ways");
    }
    let mut references = BTreeSet::new();
    for reference in &given.value {
        let (span, at) = (reference.span(), reference.get_ref().0);
        if !references.insert(at) {
            report.error(&place, span, format_args!("references names {at} twice"), "remove it");
        } else if at.ip().is_loopback() {
            let message = format!("{at} is this machine itself, whatever becomes of its network");
            report.warning(&place, span, message, "name something beyond, such as the provider's resolver");
        } else if let Some(owner) = owner(at, services) {
            let message =
                format!("{at} is at {owner}: when that dies, it may look like this machine's network");
            report.warning(&place, span, message, "name something that no service depends on");
        }
    }
    Vantage { references: given.value.iter().map(|reference| reference.get_ref().0).collect() }
}

/// The region that has the address, as far as the configuration knows.
fn owner(at: SocketAddr, services: &[Arc<Service>]) -> Option<String> {
    services.iter().find_map(|service| {
        let region = service.regions.iter().find(|region| region.addresses.contains(&at.ip()))?;
        Some(format!("an address of {}/{}", service.name, region.name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_an_address_of_one_machine_with_a_port() {
        for good in ["100.125.1.250:53", "[2001:db8::53]:53"] {
            let reference = parse(&format!("tcp://{good}")).unwrap();
            assert_eq!(reference.0.to_string(), good);
        }
        for (bad, what) in [
            ("100.125.1.250:53", "is not a reference"),
            ("udp://100.125.1.250:53", "is not a reference"),
            ("tcp://dns.example.com:53", "has a name, which a resolver would have to find"),
            ("tcp://localhost", "has a name, which a resolver would have to find"),
            ("tcp://100.125.1.250", "is not an address with a port"),
            ("tcp://2001:db8::53:53", "is not an address with a port"),
            ("tcp://100.125.1.250:53/", "is not an address with a port"),
            ("tcp://100.125.1.250:0", "has a port that is none"),
            ("tcp://0.0.0.0:53", "is not the address of one machine"),
            ("tcp://224.0.0.1:53", "is not the address of one machine"),
        ] {
            assert_eq!(parse(bad).unwrap_err().what, what, "{bad}");
        }
    }
}

use std::net::IpAddr;

use serde::Deserialize;

use crate::huawei::wire::{Reference, ids, or_default};

/// A load balancer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "Wire")]
pub struct LoadBalancer {
    /// Its id.
    pub id: String,
    /// Its name; may be empty.
    pub name: String,
    /// `ONLINE` or `FROZEN`; says nothing about backends.
    pub operating_status: String,
    /// A dedicated one, not a shared one.
    pub guaranteed: bool,
    /// Every public address bound to it, each once. None when the answer does not tell: neither `eips` nor
    /// `publicips` is a list, or an entry has no address that can be read. An empty list says that none is.
    pub eips: Option<Vec<IpAddr>>,
    /// Its listeners.
    pub listener_ids: Vec<String>,
    /// Its pools.
    pub pool_ids: Vec<String>,
}

#[derive(Deserialize)]
struct Wire {
    id: String,
    #[serde(default, deserialize_with = "or_default")]
    name: String,
    operating_status: String,
    #[serde(default, deserialize_with = "or_default")]
    guaranteed: bool,
    eips: Option<Vec<Bound>>,
    publicips: Option<Vec<Bound>>,
    global_eips: Option<Vec<Bound>>,
    #[serde(default, deserialize_with = "or_default")]
    listeners: Vec<Reference>,
    #[serde(default, deserialize_with = "or_default")]
    pools: Vec<Reference>,
}

/// An entry of any of the three lists of addresses; each list has its own word for the same thing.
#[derive(Deserialize)]
struct Bound {
    #[serde(alias = "eip_address", alias = "publicip_address", alias = "global_eip_address")]
    address: Option<String>,
}

impl From<Wire> for LoadBalancer {
    fn from(wire: Wire) -> Self {
        let eips = if wire.eips.is_none() && wire.publicips.is_none() {
            None
        } else {
            union(wire.eips.into_iter().chain(wire.publicips).chain(wire.global_eips).flatten())
        };
        Self {
            id: wire.id,
            name: wire.name,
            operating_status: wire.operating_status,
            guaranteed: wire.guaranteed,
            eips,
            listener_ids: ids(wire.listeners),
            pool_ids: ids(wire.pools),
        }
    }
}

fn union(entries: impl Iterator<Item = Bound>) -> Option<Vec<IpAddr>> {
    let mut addresses = Vec::new();
    for entry in entries {
        let address = entry.address?.parse().ok()?;
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Some(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eips(lists: &str) -> Option<Vec<IpAddr>> {
        let text = format!(r#"{{"id": "lb", "operating_status": "ONLINE"{lists}}}"#);
        serde_json::from_str::<LoadBalancer>(&text).unwrap().eips
    }

    #[test]
    fn addresses_of_all_lists_are_joined_and_each_is_told_once() {
        let lists = r#", "eips": [{"eip_address": "198.51.100.1"}], "publicips": [{"publicip_address": "198.51.100.1"}],
            "global_eips": [{"global_eip_address": "2001:db8::1"}]"#;
        assert_eq!(
            eips(lists).unwrap(),
            ["198.51.100.1".parse::<IpAddr>().unwrap(), "2001:db8::1".parse().unwrap()]
        );
    }

    #[test]
    fn an_empty_list_says_none_and_a_missing_or_null_one_says_nothing() {
        assert_eq!(eips(r#", "eips": [], "publicips": null"#), Some(vec![]));
        assert_eq!(eips(r#", "eips": null, "publicips": null, "global_eips": []"#), None);
        assert_eq!(eips(""), None);
    }

    #[test]
    fn an_entry_without_a_readable_address_leaves_it_untold() {
        assert_eq!(eips(r#", "eips": [{"eip_id": "e"}]"#), None);
        assert_eq!(eips(r#", "eips": [{"eip_address": "198.51.100.1"}, {"eip_address": "soon"}]"#), None);
    }
}

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
    /// `publicips` is a list, or an entry has no address that can be read or that clients can be sent to. An empty list
    /// says that none is.
    pub eips: Option<Vec<IpAddr>>,
    /// Those of its addresses that are of global EIPs: the EIP API of a region does not have them.
    pub global_eips: Vec<IpAddr>,
    /// Why they are not told although the answer lists some, as what follows "load balancer X"; else none.
    pub untold: Option<String>,
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
        let global = wire.global_eips.iter().flatten().filter_map(|eip| eip.address.as_ref()?.parse().ok());
        let global_eips = global.collect();
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
            global_eips,
            untold: None,
            listener_ids: ids(wire.listeners),
            pool_ids: ids(wire.pools),
        }
    }
}

impl LoadBalancer {
    /// Without its addresses when there is one among them that clients could never be sent to, or when there are more
    /// than can be: such a list is not believed in any part.
    pub(super) fn judged(mut self, from: Origin) -> Self {
        let addresses = self.eips.as_deref().unwrap_or_default();
        self.untold = if addresses.len() > EIPS_MAX {
            Some(format!("is said to have {} EIPs, and none has more than {EIPS_MAX}", addresses.len()))
        } else {
            let bogus = addresses.iter().find(|address| !can_be_published(**address, from));
            bogus.map(|bogus| format!("is said to have the EIP {bogus}, which no client can be sent to"))
        };
        self.eips.take_if(|_| self.untold.is_some());
        self
    }
}

/// More public addresses than a load balancer has: one of each family and of each kind.
const EIPS_MAX: usize = 32;

/// Whose word an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A cloud's.
    Elsewhere,
    /// A simulated one's on this machine, whose regions are here too.
    ThisMachine,
}

/// Whether clients can be sent to an address. Private ones are the EIPs of clouds on somebody's own premises, and those
/// of documentation do no harm.
fn can_be_published(address: IpAddr, from: Origin) -> bool {
    match address {
        IpAddr::V4(v4) if v4.is_loopback() => from == Origin::ThisMachine,
        IpAddr::V4(v4) => {
            // 0.0.0.0/8 is "this network", and from 240.0.0.0 on nothing is in use.
            (1..240).contains(&v4.octets()[0]) && !v4.is_multicast() && !v4.is_link_local()
        }
        IpAddr::V6(v6) if v6.is_loopback() => from == Origin::ThisMachine,
        IpAddr::V6(v6) => {
            let is_v4_in_disguise = v6.to_ipv4().is_some();
            !v6.is_unspecified() && !v6.is_multicast() && !v6.is_unicast_link_local() && !is_v4_in_disguise
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
    fn a_list_with_an_address_that_no_client_can_be_sent_to_is_not_believed() {
        let judged = |address: &str, from| {
            let lists = format!(
                r#"{{"id": "lb", "operating_status": "ONLINE", "eips": [
                {{"eip_address": "198.51.100.1"}}, {{"eip_address": "{address}"}}]}}"#
            );
            serde_json::from_str::<LoadBalancer>(&lists).unwrap().judged(from)
        };
        let bogus = "0.0.0.0 0.1.2.3 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 169.254.169.254 \
            :: ff02::1 fe80::1 ::ffff:198.51.100.1 ::198.51.100.1";
        for address in bogus.split_whitespace() {
            let named: IpAddr = address.parse().unwrap();
            for from in [Origin::Elsewhere, Origin::ThisMachine] {
                let elb = judged(address, from);
                assert_eq!(elb.eips, None, "{address}");
                assert!(elb.untold.unwrap().contains(&format!("the EIP {named}, which")), "{address}");
            }
        }
        for address in ["127.0.0.1", "127.9.9.9", "::1"] {
            assert_eq!(judged(address, Origin::Elsewhere).eips, None, "{address}");
            assert_eq!(judged(address, Origin::ThisMachine).eips.unwrap().len(), 2, "{address}");
        }
        for address in ["203.0.113.1", "10.0.0.1", "192.168.1.1", "100.64.0.1", "2001:db8::1", "fd00::1"] {
            let elb = judged(address, Origin::Elsewhere);
            assert_eq!((elb.eips.unwrap().len(), elb.untold), (2, None), "{address}");
        }
    }

    #[test]
    fn more_addresses_than_there_can_be_are_not_believed() {
        let entries: Vec<String> =
            (0..=EIPS_MAX).map(|last| format!(r#"{{"eip_address": "198.51.100.{last}"}}"#)).collect();
        let of = |count: usize| {
            let lists = entries.get(..count).unwrap().join(",");
            let text = format!(r#"{{"id": "lb", "operating_status": "ONLINE", "eips": [{lists}]}}"#);
            serde_json::from_str::<LoadBalancer>(&text).unwrap().judged(Origin::Elsewhere)
        };
        assert_eq!(of(EIPS_MAX).eips.unwrap().len(), EIPS_MAX);
        let elb = of(EIPS_MAX + 1);
        assert_eq!((elb.eips, elb.untold.unwrap().contains("33 EIPs")), (None, true));
    }

    #[test]
    fn an_entry_without_a_readable_address_leaves_it_untold() {
        assert_eq!(eips(r#", "eips": [{"eip_id": "e"}]"#), None);
        assert_eq!(eips(r#", "eips": [{"eip_address": "198.51.100.1"}, {"eip_address": "soon"}]"#), None);
    }
}

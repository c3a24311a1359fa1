use serde::Deserialize;

use crate::huawei::wire::{Reference, ids, or_default, or_true, yes};

/// A listener: a port of a load balancer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "ListenerWire")]
pub struct Listener {
    /// Its id.
    pub id: String,
    /// `HTTP`, `HTTPS`, `TCP`, `UDP`, …
    pub protocol: String,
    /// Its port; 0 for one that listens on ranges.
    pub protocol_port: u16,
    /// The pool that serves what no policy forwards elsewhere.
    pub default_pool_id: Option<String>,
    /// Its load balancer; none when the answer does not tell.
    pub load_balancer_ids: Vec<String>,
}

#[derive(Deserialize)]
struct ListenerWire {
    id: String,
    protocol: String,
    protocol_port: u16,
    default_pool_id: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    loadbalancers: Vec<Reference>,
}

impl From<ListenerWire> for Listener {
    fn from(wire: ListenerWire) -> Self {
        Self {
            id: wire.id,
            protocol: wire.protocol,
            protocol_port: wire.protocol_port,
            default_pool_id: wire.default_pool_id,
            load_balancer_ids: ids(wire.loadbalancers),
        }
    }
}

/// A pool of backends.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "PoolWire")]
pub struct Pool {
    /// Its id.
    pub id: String,
    /// Its name; may be empty.
    pub name: String,
    /// Its health monitor; none when nobody checks its members.
    pub healthmonitor_id: Option<String>,
    /// Its members; none when the answer does not tell.
    pub member_ids: Option<Vec<String>>,
    /// The listeners whose default pool it is; one whose policies forward to it need not be among them.
    pub listener_ids: Vec<String>,
    /// The load balancers that it is used by; none when the answer does not tell.
    pub load_balancer_ids: Vec<String>,
}

#[derive(Deserialize)]
struct PoolWire {
    id: String,
    #[serde(default, deserialize_with = "or_default")]
    name: String,
    healthmonitor_id: Option<String>,
    members: Option<Vec<Reference>>,
    #[serde(default, deserialize_with = "or_default")]
    listeners: Vec<Reference>,
    #[serde(default, deserialize_with = "or_default")]
    loadbalancers: Vec<Reference>,
}

impl From<PoolWire> for Pool {
    fn from(wire: PoolWire) -> Self {
        Self {
            id: wire.id,
            name: wire.name,
            healthmonitor_id: wire.healthmonitor_id.filter(|id| !id.is_empty()),
            member_ids: wire.members.map(ids),
            listener_ids: ids(wire.listeners),
            load_balancer_ids: ids(wire.loadbalancers),
        }
    }
}

/// A backend.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "MemberWire")]
pub struct Member {
    /// Its id.
    pub id: String,
    /// Its address as told; may be empty.
    pub address: String,
    /// Its port; 0 where the pool takes any.
    pub protocol_port: u16,
    /// Its share of new requests; 0: it gets none. 1, the service's own default, where the answer has none.
    pub weight: u32,
    /// Switched on.
    pub admin_state_up: bool,
    /// Its state where no entry of [`Self::by_listener`] says otherwise; see [`Self::state_for`].
    pub operating_status: MemberState,
    /// What single listeners see.
    pub by_listener: Vec<ListenerEntry>,
    /// Why it is offline, in the service's words: `CONNECT_TIMEOUT`.
    pub reason_code: Option<String>,
}

/// What one listener sees of a member.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "EntryWire")]
pub struct ListenerEntry {
    /// The listener.
    pub listener_id: String,
    /// The member's state for it.
    pub operating_status: MemberState,
    /// Why it is offline.
    pub reason_code: Option<String>,
}

impl Member {
    /// The state that counts for a listener, and why it is offline: the listener's own entry outranks the
    /// outer state, which counts only where there is no such entry.
    #[must_use]
    pub fn state_for(&self, listener_id: &str) -> (MemberState, Option<&str>) {
        match self.by_listener.iter().find(|entry| entry.listener_id == listener_id) {
            Some(entry) => (entry.operating_status, entry.reason_code.as_deref()),
            None => (self.operating_status, self.reason_code.as_deref()),
        }
    }
}

#[derive(Deserialize)]
struct MemberWire {
    id: String,
    #[serde(default, deserialize_with = "or_default")]
    address: String,
    #[serde(default, deserialize_with = "or_default")]
    protocol_port: u16,
    weight: Option<u32>,
    #[serde(default = "yes", deserialize_with = "or_true")]
    admin_state_up: bool,
    #[serde(default, deserialize_with = "or_default")]
    operating_status: MemberState,
    #[serde(default, deserialize_with = "or_default")]
    status: Vec<ListenerEntry>,
    reason: Option<ReasonWire>,
}

#[derive(Deserialize)]
struct EntryWire {
    listener_id: String,
    #[serde(default, deserialize_with = "or_default")]
    operating_status: MemberState,
    reason: Option<ReasonWire>,
}

#[derive(Deserialize)]
struct ReasonWire {
    reason_code: Option<String>,
}

impl From<MemberWire> for Member {
    fn from(wire: MemberWire) -> Self {
        Self {
            id: wire.id,
            address: wire.address,
            protocol_port: wire.protocol_port,
            weight: wire.weight.unwrap_or(1),
            admin_state_up: wire.admin_state_up,
            operating_status: wire.operating_status,
            by_listener: wire.status,
            reason_code: wire.reason.and_then(|reason| reason.reason_code),
        }
    }
}

impl From<EntryWire> for ListenerEntry {
    fn from(wire: EntryWire) -> Self {
        Self {
            listener_id: wire.listener_id,
            operating_status: wire.operating_status,
            reason_code: wire.reason.and_then(|reason| reason.reason_code),
        }
    }
}

/// A member's state as the load balancer's own checks see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(from = "String")]
pub enum MemberState {
    /// Healthy.
    Online,
    /// Unhealthy, or its server is off or gone.
    Offline,
    /// Its pool has no health monitor: nothing is known of it.
    NoMonitor,
    /// Switched off, itself or what it belongs to.
    Disabled,
    /// Not checked yet.
    Initial,
    /// Not tied to a server or its pool not to a listener; also every word that is not known here.
    #[default]
    Unknown,
}

impl From<String> for MemberState {
    fn from(word: String) -> Self {
        match word.as_str() {
            "ONLINE" => Self::Online,
            "OFFLINE" => Self::Offline,
            "NO_MONITOR" => Self::NoMonitor,
            "DISABLED" => Self::Disabled,
            "INITIAL" => Self::Initial,
            _ => Self::Unknown,
        }
    }
}

/// How a load balancer checks the members of a pool.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct HealthMonitor {
    /// Its id.
    pub id: String,
    /// Seconds from one check to the next, 1 to 50.
    #[serde(rename = "delay")]
    pub delay_s: u32,
    /// Failures in a row that make a member offline, 1 to 10.
    pub max_retries_down: u32,
    /// Seconds that a check may take.
    #[serde(rename = "timeout")]
    pub timeout_s: u32,
    /// `HTTP`, `TCP`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// Switched on; when off nothing is checked.
    #[serde(default = "yes", deserialize_with = "or_true")]
    pub admin_state_up: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listeners_own_entry_outranks_the_outer_state() {
        let text = r#"{"id": "m", "weight": 1, "operating_status": "ONLINE", "reason": {"reason_code": "OUTER"},
            "status": [{"listener_id": "l", "operating_status": "OFFLINE", "reason": {"reason_code": "INNER"}}]}"#;
        let member: Member = serde_json::from_str(text).unwrap();
        assert_eq!(member.state_for("l"), (MemberState::Offline, Some("INNER")));
        assert_eq!(member.state_for("other"), (MemberState::Online, Some("OUTER")));
    }

    #[test]
    fn nulls_and_absent_fields_take_the_services_own_defaults() {
        let text = r#"{"id": "m", "weight": null, "admin_state_up": null, "status": null, "operating_status": null}"#;
        let member: Member = serde_json::from_str(text).unwrap();
        assert_eq!((member.weight, member.admin_state_up), (1, true));
        assert_eq!(member.operating_status, MemberState::Unknown);
        assert!(serde_json::from_str::<Member>(r#"{"weight": 1}"#).is_err(), "a member without an id");
    }

    #[test]
    fn a_pool_tells_no_members_apart_from_not_telling() {
        let pool = |text| serde_json::from_str::<Pool>(text).unwrap().member_ids;
        assert_eq!(pool(r#"{"id": "p", "members": []}"#), Some(vec![]));
        assert_eq!(pool(r#"{"id": "p", "members": null}"#), None);
        assert_eq!(pool(r#"{"id": "p"}"#), None);
    }
}

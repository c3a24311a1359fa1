use serde::Deserialize;

use super::MemberState;

/// A load balancer's states as a tree. Its listeners bear no ports: match them by id. A list that an answer
/// lacks fails the parse, since "no members" must be said, not be the consequence of a gap.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct StatusTree {
    /// `ONLINE`, `FROZEN`, `DEGRADED` or `DISABLED`. `DEGRADED` does not tell some from all.
    pub operating_status: String,
    /// Its listeners.
    pub listeners: Vec<StatusListener>,
}

/// A listener in the tree.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct StatusListener {
    /// Its id.
    pub id: String,
    /// Its pools, those of its policies among them.
    pub pools: Vec<StatusPool>,
}

/// A pool in the tree.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct StatusPool {
    /// Its id.
    pub id: String,
    /// Its members.
    pub members: Vec<StatusMember>,
}

/// A member in the tree.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct StatusMember {
    /// Its id.
    pub id: String,
    /// Its state.
    #[serde(rename = "operating_status")]
    pub state: MemberState,
}

//! A write that was sent, and how things stood before it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::Backoff;
use crate::core::plan::Generation;
use crate::model::{FoundPart, Moment, RecordSet};

/// The times that the pauses between tries are counted from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Pauses {
    pub(super) called_at: Moment,
    pub(super) written_at: Option<Moment>,
    pub(super) repairs: Backoff,
    pub(super) repair_again_at: Moment,
}

/// A write that was sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Write {
    pub(super) generation: Generation,
    pub(super) set: RecordSet,
    pub(super) before: BTreeSet<IpAddr>,
    /// The sets that it was made of.
    pub(super) parts_before: Vec<FoundPart>,
    pub(super) sent: Moment,
    /// True if it leaves just the values that were there, since their last change failed.
    pub(super) is_repair: bool,
    /// True if the settings have changed since it was called for.
    pub(super) outdated: bool,
    /// How many words of operators the set had followed before it.
    pub(super) words_before: u64,
    /// The pauses as they were before it: it is no try until it is sent.
    pub(super) pauses_before: Pauses,
    /// The provider's words, when it refused the write as a conflict with what somebody else did.
    pub(super) refused_with: Option<String>,
}

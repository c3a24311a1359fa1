use std::collections::VecDeque;
use std::sync::Arc;

use hickory_proto::rr::Record;

use super::content::Content;
use super::serial::Serial;
use crate::dns::tsig::Signer;

/// So many changes are remembered for secondaries that ask for what is new: an hour of one a minute. Who is further behind
/// gets the whole zone, which is small.
const HISTORY_MAX: usize = 64;

/// All that an answer is made of, swapped as one.
#[derive(Debug)]
pub(super) struct Served {
    content: Arc<Content>,
    history: VecDeque<Arc<Delta>>,
    keys: Arc<[Signer]>,
}

/// What one change took out of a zone and put into it.
#[derive(Debug)]
pub(super) struct Delta {
    pub(super) from: Record,
    pub(super) to: Record,
    pub(super) from_serial: Serial,
    pub(super) removed: Vec<Record>,
    pub(super) added: Vec<Record>,
}

impl Served {
    /// A zone without a past.
    pub(super) fn new(content: Content, keys: Arc<[Signer]>) -> Self {
        Self { content: Arc::new(content), history: VecDeque::new(), keys }
    }

    /// The same once it has changed to this; under its old serial when nothing but the serial differs.
    pub(super) fn changed_to(&self, content: Content, keys: Arc<[Signer]>) -> Self {
        let (removed, added) = (self.content.beyond(&content), content.beyond(&self.content));
        if removed.is_empty() && added.is_empty() && content.has_soa_like(&self.content) {
            return Self { content: Arc::clone(&self.content), history: self.history.clone(), keys };
        }
        let mut history = self.history.clone();
        if history.len() == HISTORY_MAX {
            history.pop_front();
        }
        history.push_back(Arc::new(Delta {
            from: self.content.soa().clone(),
            to: content.soa().clone(),
            from_serial: self.content.serial(),
            removed,
            added,
        }));
        Self { content: Arc::new(content), history, keys }
    }

    pub(super) fn content(&self) -> &Content {
        &self.content
    }

    /// The keys of the secondaries.
    pub(super) fn keys(&self) -> &[Signer] {
        &self.keys
    }

    /// All changes since the zone had that serial; none when it is not remembered.
    pub(super) fn since(&self, serial: Serial) -> Option<impl Iterator<Item = &Delta>> {
        let place = self.history.iter().position(|delta| delta.from_serial == serial)?;
        Some(self.history.iter().skip(place).map(Arc::as_ref))
    }
}

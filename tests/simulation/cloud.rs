//! A record set in the zone, as the API reads and writes it: it forgets, lags, and carries late writes out.

use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use pointsman::core::Call;
use pointsman::model::{
    Answer, Found, FoundPart, InForce, PartState, ProviderError, ProviderErrorKind, RecordSet, Ttl,
};

use super::account::{ReadFault, WriteFault};
use super::weighted::{HeldPart, found_in};
use super::witnesses::{ServedHistory, ServedSet};

/// What the zone holds under the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) id: u32,
    pub(crate) values: BTreeSet<IpAddr>,
    pub(crate) ttl: Ttl,
    pub(crate) description: String,
    pub(crate) pending_until: i64,
    pub(crate) failed: bool,
    pub(crate) withheld: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Cloud {
    pub(crate) held: Option<Held>,
    /// What it held before, each until then; the newest last.
    past: VecDeque<(i64, Option<Held>, Option<Vec<HeldPart>>)>,
    ids: u32,
    /// The sets that it is made of, where they are served by weight.
    pub(crate) parts: Option<Vec<HeldPart>>,
    pub(crate) part_ids: u32,
    /// What resolvers get of it.
    pub(crate) served: ServedHistory,
}

impl Cloud {
    pub(crate) fn new(values: BTreeSet<IpAddr>) -> Self {
        let mut new = Self {
            held: None,
            past: VecDeque::new(),
            ids: 0,
            parts: None,
            part_ids: 0,
            served: ServedHistory::default(),
        };
        new.make(values);
        new.is_served(0);
        new
    }

    /// Somebody makes the set.
    pub(crate) fn make(&mut self, values: BTreeSet<IpAddr>) {
        self.ids += 1;
        self.held = Some(Held {
            id: self.ids,
            values,
            ttl: Ttl::from_seconds(60).unwrap(),
            description: format!("made by hand, {}", self.ids),
            pending_until: 0,
            failed: false,
            withheld: false,
        });
    }

    /// Whatever changes it goes through here, so that a stale read finds the past.
    pub(crate) fn change(&mut self, now: i64, change: impl FnOnce(&mut Self)) {
        let (before, parts) = (self.held.clone(), self.parts.clone());
        change(self);
        if self.held == before {
            return;
        }
        self.carry_over(now, before.as_ref());
        self.note_past(now, before, parts);
        if self.parts.is_some() { self.parts_changed(now) } else { self.is_served(now) }
    }

    /// It held that until now.
    pub(crate) fn note_past(&mut self, now: i64, held: Option<Held>, parts: Option<Vec<HeldPart>>) {
        self.past.push_back((now, held, parts));
        while self.past.len() > 8 {
            self.past.pop_front();
        }
    }

    /// What a read finds when nothing is wrong.
    pub(crate) fn found(&self, now: i64) -> Option<Found> {
        found_of(self.held.as_ref(), self.parts.as_deref(), now)
    }

    /// Notes what is served from now on, or as soon as it is in force.
    fn is_served(&mut self, now: i64) {
        let (from, sets) = match &self.held {
            // Nobody can tell; so it is what was.
            Some(Held { failed: true, .. }) => return,
            Some(held @ Held { withheld: false, .. }) => {
                let (values, ttl_s) = (held.values.clone(), held.ttl.as_seconds());
                (held.pending_until.max(now), vec![ServedSet { values, ttl_s, weight: 1 }])
            }
            Some(_) | None => (now, Vec::new()),
        };
        self.served.serves(now, from, sets);
    }

    /// What a read finds that the API gets to now.
    pub(crate) fn read(&self, now: i64, fault: Option<ReadFault>) -> Answer {
        let error = |kind| Err(ProviderError { kind, message: format!("{kind:?}") });
        match fault {
            Some(ReadFault::Away | ReadFault::Silent) => error(ProviderErrorKind::Away),
            Some(ReadFault::Throttled(after_s)) => {
                error(ProviderErrorKind::Throttled(after_s.map(Duration::from_secs)))
            }
            Some(ReadFault::Refused) => error(ProviderErrorKind::Refused),
            Some(ReadFault::Unclear) => error(ProviderErrorKind::Unclear),
            Some(ReadFault::Forgets) => Ok(None),
            Some(ReadFault::Stale(ago_ms)) => Ok(self.found_ago(now, i64::try_from(ago_ms).unwrap_or(0))),
            Some(ReadFault::Status(in_force)) => {
                Ok(self.found(now).map(|found| with_status(found, in_force)))
            }
            Some(ReadFault::Slow(_)) | None => Ok(self.found(now)),
        }
    }

    fn found_ago(&self, now: i64, ago: i64) -> Option<Found> {
        let then = now - ago;
        match self.past.iter().find(|(until, ..)| *until > then) {
            Some((_, held, parts)) => found_of(held.as_ref(), parts.as_deref(), then),
            None => self.found(then),
        }
    }

    /// The API carries a write out now, unless what it is about is not there (any more).
    pub(crate) fn land(&mut self, now: i64, call: &Call, fault: Option<WriteFault>, quick_ms: i64) -> bool {
        let mut landed = false;
        self.change(now, |cloud| {
            landed = match (call, &mut cloud.held) {
                (Call::Replace { found, set }, Some(held)) if found.id == held.id.to_string() => {
                    *held = write(held, found.description.as_deref(), set);
                    true
                }
                (Call::Create { set }, None) => {
                    cloud.make(set.values().clone());
                    if let Some(held) = &mut cloud.held {
                        *held = write(held, None, set);
                    }
                    true
                }
                (Call::Replace { .. } | Call::Create { .. } | Call::Read, _) => false,
            };
            if let (true, Some(held)) = (landed, &mut cloud.held) {
                held.failed = fault == Some(WriteFault::Fails);
                held.pending_until = now
                    + match fault {
                        Some(WriteFault::Pending(ms)) => i64::try_from(ms).unwrap_or(0),
                        _ => 3 * quick_ms,
                    };
            }
        });
        landed
    }
}

/// A write leaves what it does not name, and the description as it was sent.
fn write(held: &Held, description: Option<&str>, set: &RecordSet) -> Held {
    Held {
        values: set.values().clone(),
        ttl: set.ttl(),
        description: description.unwrap_or_default().to_owned(),
        ..held.clone()
    }
}

/// The same with another status, of each of its sets if there are several.
fn with_status(found: Found, in_force: InForce) -> Found {
    let state = match in_force {
        InForce::Yes => return found,
        InForce::Pending => PartState::Coming,
        InForce::Failed => PartState::Failed,
        InForce::Withheld => PartState::Withheld,
    };
    // One that is not served is neither on its way nor has it failed.
    let is_about = |part: &FoundPart| state == PartState::Withheld || part.state.is_served();
    let change = |part| if is_about(&part) { FoundPart { state, ..part } } else { part };
    let parts: Vec<FoundPart> = found.parts.into_iter().map(change).collect();
    let is_out = state == PartState::Withheld && !parts.is_empty();
    let values = if is_out { BTreeSet::new() } else { found.values };
    Found { in_force, parts, values, ..found }
}

fn found_of(held: Option<&Held>, parts: Option<&[HeldPart]>, now: i64) -> Option<Found> {
    parts.map_or_else(|| found(held, now), |parts| found_in(parts, now))
}

fn found(held: Option<&Held>, now: i64) -> Option<Found> {
    held.map(|held| Found {
        id: held.id.to_string(),
        values: held.values.clone(),
        ttl: held.ttl,
        in_force: match held {
            Held { withheld: true, .. } => InForce::Withheld,
            Held { pending_until, .. } if *pending_until > now => InForce::Pending,
            Held { failed: true, .. } => InForce::Failed,
            _ => InForce::Yes,
        },
        description: Some(held.description.clone()),
        parts: Vec::new(),
    })
}

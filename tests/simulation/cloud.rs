//! The zone, and an API to it that is slow, loses answers, refuses, throttles, forgets and lags.

use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use pointsman::core::Call;
use pointsman::model::{Answer, Found, InForce, ProviderError, ProviderErrorKind, RecordSet, Ttl};

/// How the next reads are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadFault {
    Away,
    /// Nobody answers until the deadline.
    Silent,
    Throttled(Option<u64>),
    Refused,
    Unclear,
    /// The list lacks the set.
    Forgets,
    /// The answer takes so many milliseconds.
    Slow(u64),
    /// As it was so many milliseconds ago.
    Stale(u64),
    /// With another status than it has.
    Status(InForce),
}

/// How the next writes are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteFault {
    Away,
    Throttled(Option<u64>),
    Refused,
    Conflict,
    /// No answer comes; carried out after so many milliseconds, or never.
    Lost(Option<u64>),
    /// What is answered cannot be understood; carried out or not.
    Unclear(bool),
    /// The answer takes so many milliseconds.
    Slow(u64),
    /// Taken, and pending for so many milliseconds.
    Pending(u64),
    /// Taken, and then it fails.
    Fails,
    /// Nobody answers until the deadline, and nothing is carried out.
    Silent,
}

/// What is wrong with every call for a time. Then all is well at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outage {
    /// A brownout: each write is answered 503, or lost, and reads are well.
    WritesAway,
    WritesLost,
    /// Each call is answered 503.
    Away,
    Silent,
    /// Each call is refused, and is to be repeated after 30 s.
    Throttled,
}

/// How long a driver waits for a write, as `dns::driver` does. For a read the reconciler says it.
pub(crate) const WRITE_DEADLINE_MS: i64 = 10_000;

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
    past: VecDeque<(i64, Option<Held>)>,
    pub(crate) reads: Option<(ReadFault, u32)>,
    pub(crate) writes: Option<(WriteFault, u32)>,
    /// It lasts until then.
    pub(crate) outage: Option<(Outage, i64)>,
    ids: u32,
}

/// When the API gets to a write, and when and what it answers.
pub(crate) struct Course {
    pub(crate) lands_after_ms: Option<i64>,
    pub(crate) answers_after_ms: i64,
    pub(crate) answer: Result<(), ProviderErrorKind>,
    pub(crate) fault: Option<WriteFault>,
}

impl Cloud {
    pub(crate) fn new(values: BTreeSet<IpAddr>) -> Self {
        let mut new =
            Self { held: None, past: VecDeque::new(), reads: None, writes: None, outage: None, ids: 0 };
        new.make(values);
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
        let before = self.held.clone();
        change(self);
        if self.held != before {
            self.past.push_back((now, before));
            while self.past.len() > 8 {
                self.past.pop_front();
            }
        }
    }

    pub(crate) fn outage(&self, now: i64) -> Option<Outage> {
        self.outage.filter(|(_, until)| now < *until).map(|(outage, _)| outage)
    }

    pub(crate) fn take_read_fault(&mut self, now: i64) -> Option<ReadFault> {
        match self.outage(now) {
            Some(Outage::Away) => Some(ReadFault::Away),
            Some(Outage::Silent) => Some(ReadFault::Silent),
            Some(Outage::Throttled) => Some(ReadFault::Throttled(Some(30))),
            Some(Outage::WritesAway | Outage::WritesLost) | None => take(&mut self.reads),
        }
    }

    fn take_write_fault(&mut self, now: i64) -> Option<WriteFault> {
        match self.outage(now) {
            Some(Outage::WritesAway | Outage::Away) => Some(WriteFault::Away),
            Some(Outage::WritesLost) => Some(WriteFault::Lost(None)),
            Some(Outage::Silent) => Some(WriteFault::Silent),
            Some(Outage::Throttled) => Some(WriteFault::Throttled(Some(30))),
            None => take(&mut self.writes),
        }
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
                Ok(found(self.held.as_ref(), now).map(|found| Found { in_force, ..found }))
            }
            Some(ReadFault::Slow(_)) | None => Ok(found(self.held.as_ref(), now)),
        }
    }

    fn found_ago(&self, now: i64, ago: i64) -> Option<Found> {
        let then = now - ago;
        let past = self.past.iter().find(|(until, _)| *until > then);
        found(past.map_or(self.held.as_ref(), |(_, held)| held.as_ref()), then)
    }

    /// Decides what becomes of a write that is sent now; `quick_ms` is what it takes when all is well.
    pub(crate) fn course(&mut self, now: i64, quick_ms: i64) -> Course {
        let fault = self.take_write_fault(now);
        let (lands_after_ms, answers_after_ms, answer) = match fault {
            None | Some(WriteFault::Pending(_) | WriteFault::Fails) => (Some(quick_ms), 2 * quick_ms, Ok(())),
            Some(WriteFault::Away) => (None, quick_ms, Err(ProviderErrorKind::Away)),
            Some(WriteFault::Throttled(after_s)) => {
                (None, quick_ms, Err(ProviderErrorKind::Throttled(after_s.map(Duration::from_secs))))
            }
            Some(WriteFault::Refused) => (None, quick_ms, Err(ProviderErrorKind::Refused)),
            Some(WriteFault::Conflict) => (None, quick_ms, Err(ProviderErrorKind::Conflict)),
            Some(WriteFault::Lost(after_ms)) => {
                let lands = after_ms.map(|ms| i64::try_from(ms).unwrap_or(0));
                // A connection that breaks is noticed at once, silence at the deadline.
                let answers = if quick_ms % 2 == 0 { 2 * quick_ms } else { WRITE_DEADLINE_MS };
                (lands, answers, Err(ProviderErrorKind::Lost))
            }
            Some(WriteFault::Silent) => (None, WRITE_DEADLINE_MS, Err(ProviderErrorKind::Lost)),
            Some(WriteFault::Unclear(lands)) => {
                (lands.then_some(quick_ms), 2 * quick_ms, Err(ProviderErrorKind::Unclear))
            }
            Some(WriteFault::Slow(ms)) => {
                let ms = i64::try_from(ms).unwrap_or(0);
                let answer = if ms > WRITE_DEADLINE_MS { Err(ProviderErrorKind::Lost) } else { Ok(()) };
                (Some(ms - quick_ms), ms.min(WRITE_DEADLINE_MS), answer)
            }
        };
        Course { lands_after_ms, answers_after_ms, answer, fault }
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

fn take<F: Copy>(fault: &mut Option<(F, u32)>) -> Option<F> {
    let (kind, left) = (*fault)?;
    *fault = (left > 1).then_some((kind, left - 1));
    Some(kind)
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

pub(crate) fn found(held: Option<&Held>, now: i64) -> Option<Found> {
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

//! The account at the cloud, and its API that is slow, loses answers, refuses and throttles, whatever record set a call is
//! about.

use std::time::Duration;

use pointsman::model::{InForce, ProviderErrorKind};

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

/// When the API gets to a write, and when and what it answers.
pub(crate) struct Course {
    pub(crate) lands_after_ms: Option<i64>,
    pub(crate) answers_after_ms: i64,
    pub(crate) answer: Result<(), ProviderErrorKind>,
    pub(crate) fault: Option<WriteFault>,
}

/// What is wrong with the calls of an account.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    pub(crate) reads: Option<(ReadFault, u32)>,
    pub(crate) writes: Option<(WriteFault, u32)>,
    /// It lasts until then.
    pub(crate) outage: Option<(Outage, i64)>,
    /// How many calls are let through in a minute; none: as many as there are.
    calls_a_minute: Option<u64>,
    /// The minute of the latest call, and how many were let through in it.
    minute: i64,
    calls: u64,
}

const MINUTE_MS: i64 = 60_000;

impl Account {
    pub(crate) fn new(calls_a_minute: Option<u64>) -> Self {
        Self { calls_a_minute, ..Self::default() }
    }

    /// All becomes well, save that the account may no more than before.
    pub(crate) fn calm_down(&mut self) {
        (self.reads, self.writes, self.outage) = (None, None, None);
    }

    pub(crate) fn is_limited(&self) -> bool {
        self.calls_a_minute.is_some()
    }

    /// Whether a call now would be throttled for all the calls of this minute.
    pub(crate) fn is_used_up(&self, now: i64) -> bool {
        self.minute == now / MINUTE_MS && self.calls_a_minute.is_some_and(|most| self.calls >= most)
    }

    /// Lets a call through, or says for how many seconds none is.
    fn throttle(&mut self, now: i64) -> Option<u64> {
        if self.is_used_up(now) {
            let left_ms = MINUTE_MS - now % MINUTE_MS;
            return Some(left_ms.unsigned_abs().div_ceil(1000));
        }
        let before = if self.minute == now / MINUTE_MS { self.calls } else { 0 };
        (self.minute, self.calls) = (now / MINUTE_MS, before + 1);
        None
    }

    pub(crate) fn outage(&self, now: i64) -> Option<Outage> {
        self.outage.filter(|(_, until)| now < *until).map(|(outage, _)| outage)
    }

    pub(crate) fn take_read_fault(&mut self, now: i64) -> Option<ReadFault> {
        if let Some(wait_s) = self.throttle(now) {
            return Some(ReadFault::Throttled(Some(wait_s)));
        }
        match self.outage(now) {
            Some(Outage::Away) => Some(ReadFault::Away),
            Some(Outage::Silent) => Some(ReadFault::Silent),
            Some(Outage::Throttled) => Some(ReadFault::Throttled(Some(30))),
            Some(Outage::WritesAway | Outage::WritesLost) | None => take(&mut self.reads),
        }
    }

    fn take_write_fault(&mut self, now: i64) -> Option<WriteFault> {
        if let Some(wait_s) = self.throttle(now) {
            return Some(WriteFault::Throttled(Some(wait_s)));
        }
        match self.outage(now) {
            Some(Outage::WritesAway | Outage::Away) => Some(WriteFault::Away),
            Some(Outage::WritesLost) => Some(WriteFault::Lost(None)),
            Some(Outage::Silent) => Some(WriteFault::Silent),
            Some(Outage::Throttled) => Some(WriteFault::Throttled(Some(30))),
            None => take(&mut self.writes),
        }
    }

    /// The same of one call of a write of several, of which a fault hits one.
    pub(crate) fn course_of_one(&mut self, now: i64, quick_ms: i64, is_hit: bool) -> Course {
        if is_hit {
            return self.course(now, quick_ms);
        }
        let spared = self.writes.take();
        let course = self.course(now, quick_ms);
        self.writes = spared;
        course
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
}

fn take<F: Copy>(fault: &mut Option<(F, u32)>) -> Option<F> {
    let (kind, left) = (*fault)?;
    *fault = (left > 1).then_some((kind, left - 1));
    Some(kind)
}

//! What the core says of witnesses, held against what they said: a line of the ledger only of what one showed, the alarm
//! only after the old TTL and ten seconds, and until all agree; and nothing else ever comes of them.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use pointsman::core::{Course, Effect, Failover, Reached};
use pointsman::model::{Alarm, Inquiry, Moment, Statement, Testimony};

use super::{Judge, Judged, holds};

/// A resolver that rounds a TTL up, or fetches ahead of its end, may be so late.
const MARGIN_MS: i64 = 10_000;
/// No set of this world has a longer TTL.
const TTL_MAX_MS: i64 = 600_000;
/// So late may be noticed that a time is over.
const NOTICED_MS: i64 = 1_000;
/// So many of one failover are written down.
const WRITTEN_DOWN_MAX: usize = 32;

/// What is known of them.
#[derive(Debug, Default)]
pub(crate) struct Witnesses {
    inquiry: Option<Arc<Inquiry>>,
    /// Whether the set that they were asked for was heard to be gone, or not to be served.
    is_gone: bool,
    /// What was said last to the newest inquiry, and since when it was not what the zone holds, in every round.
    said: Option<Vec<Testimony>>,
    wrong_since: Option<i64>,
    /// For how long that may be: at least, and at most.
    patience_ms: (i64, i64),
    /// The TTLs that the set was seen to have since the newest inquiry: the least and the greatest; and the latest.
    ttls_ms: (i64, i64),
    ttl_ms: i64,
    /// The TTL that the set had before each change that was told, and what was made of it; also by processes before this one.
    old_ttls: Vec<(BTreeSet<IpAddr>, i64)>,
    /// The newest line, as it was told last, and when the first time.
    line: Option<Arc<Failover>>,
    /// Failovers of which a client's fetch was told.
    fetched: BTreeSet<u64>,
    /// What the step under way is about.
    step: About,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum About {
    #[default]
    Other,
    /// Witnesses have spoken, to the newest inquiry or to an older one.
    Witnesses {
        to_the_newest: bool,
    },
    Client,
}

impl Witnesses {
    /// Whether an answer shows what the newest inquiry is about: all of a set, or of several that are answered by weight a
    /// part and nothing else.
    fn shows(&self, said: &Statement, is_weighted: bool) -> bool {
        let Some(inquiry) = &self.inquiry else { return false };
        match said {
            Statement::Addresses { values, .. } if is_weighted => {
                !values.is_empty() && values.is_subset(&inquiry.wanted)
            }
            Statement::Addresses { values, .. } => *values == inquiry.wanted,
            Statement::Nothing(_) => false,
        }
    }

    fn said_by(&self, witness: SocketAddr) -> Option<&Testimony> {
        self.said.as_ref()?.iter().find(|testimony| testimony.witness == witness)
    }

    /// The newest line, while witnesses may still show it.
    fn awaiting(&self) -> Option<&Failover> {
        let awaits = |line: &&Failover| matches!(line.course, Course::Witnessing | Course::Unconfirmed);
        self.line.as_deref().filter(awaits)
    }

    fn all_show(&self, is_weighted: bool) -> bool {
        self.said.as_ref().is_some_and(|said| said.iter().all(|it| self.shows(&it.said, is_weighted)))
    }
}

impl Judge {
    /// Witnesses have said something, and the core hears it now.
    pub(crate) fn hears_witnesses(&mut self, now: i64, inquiry: u64, said: &[Testimony]) {
        let is_weighted = self.settings.weighted;
        let witnesses = &mut self.witnesses;
        let is_newest = witnesses.inquiry.as_ref().is_some_and(|newest| newest.number == inquiry);
        let to_the_newest = is_newest && !witnesses.is_gone;
        witnesses.step = About::Witnesses { to_the_newest };
        if !to_the_newest {
            return;
        }
        witnesses.said = Some(said.to_vec());
        if witnesses.all_show(is_weighted) {
            witnesses.wrong_since = None;
            let (least, most) = witnesses.ttls_ms;
            witnesses.patience_ms = (least + MARGIN_MS, most + MARGIN_MS);
        } else {
            witnesses.wrong_since.get_or_insert(now);
        }
    }

    /// A client has fetched the service, and the core hears of it now.
    pub(crate) fn hears_a_client(&mut self) {
        self.witnesses.step = About::Client;
    }

    /// The core hears which TTL the set has.
    pub(super) fn sees_ttl(&mut self, seconds: u32) {
        let ms = i64::from(seconds) * 1000;
        let (least, most) = self.witnesses.ttls_ms;
        self.witnesses.ttl_ms = ms;
        self.witnesses.ttls_ms = (least.min(ms), most.max(ms));
    }

    /// Whether the set is gone, or none of several is served.
    pub(super) fn serves_nothing(&self) -> bool {
        self.seen.as_ref().is_some_and(BTreeSet::is_empty)
    }

    /// The core hears that there is no set any more, or none that is served: what witnesses answer is neither right nor wrong.
    pub(super) fn hears_of_no_set(&mut self) {
        let witnesses = &mut self.witnesses;
        (witnesses.is_gone, witnesses.said, witnesses.wrong_since) = (true, None, None);
    }

    /// A process starts and has asked nobody yet.
    pub(super) fn forget_witnesses(&mut self) {
        let old_ttls = std::mem::take(&mut self.witnesses.old_ttls);
        self.witnesses = Witnesses { old_ttls, ..Witnesses::default() };
    }

    /// Judges what comes of a step as far as it is about witnesses, one effect after the other. `ms` reads the process's
    /// clock.
    pub(super) fn of_witnesses(&mut self, now: i64, effect: &Effect, ms: &dyn Fn(Moment) -> i64) -> Judged {
        let is_about_them = matches!(effect, Effect::Ledger { .. } | Effect::Witness(_))
            || matches!(effect, Effect::Alarm(raised) if raised.alarm == Alarm::Witness);
        holds!(
            self.witnesses.step == About::Other || is_about_them,
            "witnesses decide nothing",
            "what was heard of them did {effect:?}"
        );
        match effect {
            Effect::Ledger { failover, reached, .. } => self.line_of_witnesses(now, failover, *reached, ms),
            Effect::Witness(inquiry) => self.asks_of_witnesses(inquiry, ms),
            Effect::Alarm(raised) if raised.alarm == Alarm::Witness => {
                let witnesses = &self.witnesses;
                let waited = witnesses.wrong_since.map(|since| now - since);
                let is_late = waited.is_some_and(|ms| ms >= witnesses.patience_ms.0);
                holds!(
                    !raised.raised || is_late,
                    "EXPLAINED",
                    "witnesses are alarmed after {waited:?} of {:?} ms: {raised:?}",
                    witnesses.patience_ms
                );
                let is_over = witnesses.wrong_since.is_none() || witnesses.said.is_none();
                holds!(
                    raised.raised || is_over,
                    "EXPLAINED",
                    "the alarm of witnesses is over, and they said {:?}",
                    witnesses.said
                );
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn asks_of_witnesses(&mut self, inquiry: &Arc<Inquiry>, ms: &dyn Fn(Moment) -> i64) -> Judged {
        let witnesses = &mut self.witnesses;
        let before = witnesses.inquiry.replace(Arc::clone(inquiry));
        let number = before.as_ref().map_or(0, |before| before.number);
        // The same with an errand is the same inquiry.
        if number == inquiry.number {
            let is_same = before.is_some_and(|before| {
                before.fetch.is_none()
                    && Inquiry { fetch: inquiry.fetch.clone(), ..(*before).clone() } == **inquiry
            });
            holds!(is_same, "EXPLAINED", "another inquiry of the same number: {inquiry:?}");
            return Ok(());
        }
        holds!(inquiry.number > number, "EXPLAINED", "an inquiry after {number}: {inquiry:?}");
        let holds_that = |seen: &BTreeSet<IpAddr>| *seen == inquiry.wanted;
        holds!(
            self.seen.as_ref().is_some_and(holds_that),
            "EXPLAINED",
            "witnesses are asked for what the zone was not seen to hold: {inquiry:?}"
        );
        holds!(
            !inquiry.wanted.is_empty(),
            "EXPLAINED",
            "witnesses are asked for what is not served: {inquiry:?}"
        );
        (witnesses.said, witnesses.is_gone) = (None, false);
        witnesses.ttls_ms = (witnesses.ttl_ms, witnesses.ttl_ms);
        let of_line = witnesses.line.as_deref().filter(|line| {
            matches!(line.course, Course::Witnessing | Course::Unconfirmed) && line.to == inquiry.wanted
        });
        let known = of_line.and_then(|line| Some((line.active?, line.old_ttl)));
        let (since, patience) = if let Some((active, ttl)) = known {
            let ms = i64::from(ttl.as_seconds()) * 1000 + MARGIN_MS;
            (active, (ms, ms))
        } else {
            // What it had is not known, or it is a failover from before the start.
            let of_before = witnesses.old_ttls.iter().filter(|(to, _)| *to == inquiry.wanted);
            let least = of_before.map(|(_, ttl_ms)| *ttl_ms).fold(witnesses.ttl_ms, i64::min);
            (inquiry.since, (least + MARGIN_MS, TTL_MAX_MS + MARGIN_MS))
        };
        (witnesses.wrong_since, witnesses.patience_ms) = (Some(ms(since)), patience);
        Ok(())
    }

    fn line_of_witnesses(
        &mut self,
        now: i64,
        failover: &Arc<Failover>,
        reached: Reached,
        ms: &dyn Fn(Moment) -> i64,
    ) -> Judged {
        let is_weighted = self.settings.weighted;
        let witnesses = &mut self.witnesses;
        let newest = witnesses.line.as_ref().map_or(0, |line| line.number);
        if failover.number >= newest {
            witnesses.line = Some(Arc::clone(failover));
        }
        let old_ttl_ms = i64::from(failover.old_ttl.as_seconds()) * 1000;
        if reached == Reached::Sent {
            witnesses.old_ttls.push((failover.to.clone(), old_ttl_ms));
        }
        let is_asked = witnesses.inquiry.as_ref().is_some_and(|inquiry| inquiry.wanted == failover.to);
        let heard_now = witnesses.step == About::Witnesses { to_the_newest: true } && is_asked;
        match reached {
            Reached::Witness(witness) => {
                let said = witnesses.said_by(witness);
                let shows = said.is_some_and(|it| witnesses.shows(&it.said, is_weighted));
                holds!(
                    heard_now && shows,
                    "EXPLAINED",
                    "{witness} is told to show {:?}, and said {said:?}",
                    failover.to
                );
                let told = failover.witnesses.get(&witness).copied();
                let at = said.map(|it| failover.active.map_or(it.at, |active| active.max(it.at)));
                holds!(told == at, "EXPLAINED", "{witness} is told to have shown it at {told:?}, not {at:?}");
            }
            Reached::Moved => holds!(
                heard_now && witnesses.all_show(is_weighted),
                "EXPLAINED",
                "clients are told to have moved to {:?}, and witnesses said {:?}",
                failover.to,
                witnesses.said
            ),
            Reached::Unconfirmed => {
                let active = failover.active.map(ms);
                let ends = active.map(|at| at + old_ttl_ms + MARGIN_MS);
                let is_wrong = witnesses.said.is_some() && !witnesses.all_show(is_weighted);
                holds!(
                    is_asked && is_wrong && ends.is_some_and(|ends| ends <= now),
                    "EXPLAINED",
                    "a failover is unconfirmed before {ends:?}, and witnesses said {:?}",
                    witnesses.said
                );
            }
            Reached::Fetched => {
                let is_first = witnesses.fetched.insert(failover.number);
                holds!(
                    is_first && witnesses.step == About::Client,
                    "EXPLAINED",
                    "a client's fetch is told that nobody made, or twice: {failover:?}"
                );
            }
            Reached::Sent
            | Reached::Acknowledged
            | Reached::Active
            | Reached::CalledOff
            | Reached::Superseded => {}
        }
        Ok(())
    }

    /// After each step of the core: what they show was told, and so is it when they go on saying something else.
    pub(super) fn after_witnesses(&mut self, now: i64) -> Judged {
        let is_weighted = self.settings.weighted;
        let is_alarmed = self.alarms.contains_key(&(Alarm::Witness, None));
        let witnesses = &mut self.witnesses;
        let step = std::mem::take(&mut witnesses.step);
        let said = witnesses.said.as_deref().unwrap_or_default();
        if step == (About::Witnesses { to_the_newest: true }) {
            let wanted = witnesses.inquiry.as_ref().map(|inquiry| &inquiry.wanted);
            if let Some(line) = witnesses.awaiting().filter(|line| Some(&line.to) == wanted) {
                let untold = said.iter().find(|it| {
                    witnesses.shows(&it.said, is_weighted) && !line.witnesses.contains_key(&it.witness)
                });
                holds!(
                    untold.is_none() || line.witnesses.len() >= WRITTEN_DOWN_MAX,
                    "EXPLAINED",
                    "it shows {:?}, and that is not told: {untold:?}",
                    line.to
                );
                holds!(
                    !witnesses.all_show(is_weighted),
                    "EXPLAINED",
                    "all witnesses show it, and clients are not told to have moved: {line:?}"
                );
            }
        }
        let waits_ms = witnesses.wrong_since.map_or(0, |since| now - since);
        let is_wrong = || witnesses.said.is_some() && !witnesses.all_show(is_weighted);
        holds!(
            is_alarmed || waits_ms <= witnesses.patience_ms.1 + NOTICED_MS || !is_wrong(),
            "EXPLAINED",
            "no witness is alarmed after {waits_ms} ms: {said:?}"
        );
        holds!(!is_alarmed || is_wrong(), "EXPLAINED", "witnesses are alarmed, and said {said:?}");
        Ok(())
    }

    /// What is not over yet of the newest failover, in the end.
    pub(crate) fn unfinished(&self) -> Option<String> {
        let line = self.witnesses.line.as_deref()?;
        let is_over = match line.course {
            Course::Writing | Course::Witnessing | Course::Unconfirmed => false,
            Course::Moved | Course::CalledOff | Course::Superseded => true,
        };
        (!is_over).then(|| format!("the failover {} is {:?}", line.number, line.course))
    }
}

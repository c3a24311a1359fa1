//! Is it them or us? A failing look counts only while this machine's own network is seen to work.
//!
//! References are addresses beyond it that answer whatever becomes of the regions. Nobody looks at them while all is well:
//! a look that failed asks, and those that fail at about the same time share one look at all references. It stays a failure when
//! one answered after it had begun, and is unknown when none did, then or since it began (BLIND-IS-NOT-DOWN). While
//! none answers that is alarmed, and [`Vantage::watch`] finds the end of it. Never decides what becomes of a region.
//! Start at [`Vantage::judge`].

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::Look;
use super::connect::connect;
use super::trace::{Stage, Trace};
use crate::clock::instant_now;
use crate::model::{Outcome, Reason};
use crate::pulse::Pulse;

/// How long a reference may take to answer. After 1 s Linux sends the first packet again, so that the loss of one
/// does not pass for the loss of the network.
const ANSWER_WITHIN: Duration = Duration::from_millis(1_500);

/// From the start of one look at the references to the start of the next, at least: however many checks fail, each
/// reference sees 20 connections a second at most, and a failure is told this much later at most.
const APART: Duration = Duration::from_millis(50);

/// How long [`Vantage::judge`] takes at most: the look at the references that is under way, and one of its own.
pub const JUDGED_WITHIN: Duration = ANSWER_WITHIN.saturating_mul(2).saturating_add(APART);

/// How often the references are looked at while none answers, if nobody asks: soon enough for the end of an alarm.
const AGAIN_AFTER: Duration = Duration::from_secs(2);

/// Where this daemon looks from, with what it knows of its own network. Clones are the same; without references every
/// look counts as it is.
#[derive(Clone, Debug)]
pub struct Vantage {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    references: watch::Sender<Arc<[SocketAddr]>>,
    /// Held during a look at the references, so that the others wait for what it finds.
    found: Mutex<Found>,
    /// None while one answers, or nobody asked.
    darkness: watch::Sender<Option<Darkness>>,
}

/// A time without an answer from any reference.
#[derive(Clone, Debug)]
struct Darkness {
    /// When the first look that found none began.
    since: Instant,
    /// What the latest saw of each.
    saw: Arc<str>,
}

/// What looks at the references found.
#[derive(Debug, Default)]
struct Found {
    /// When the latest began.
    begun: Option<Instant>,
    /// The latest that one answered.
    answered: Option<Answered>,
    /// The latest that none answered.
    in_vain: Option<InVain>,
}

#[derive(Debug)]
struct Answered {
    by: SocketAddr,
    time: Span,
}

#[derive(Debug)]
struct InVain {
    saw: Arc<str>,
    ended: Instant,
}

/// From the start to the end of a look.
#[derive(Clone, Copy, Debug)]
struct Span {
    started: Instant,
    ended: Instant,
}

/// How this machine's network was while somebody looked at a region.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Network {
    /// This reference answered.
    Works(SocketAddr),
    /// None did; what was seen of each.
    Dark(Arc<str>),
}

impl Default for Vantage {
    fn default() -> Self {
        Self::new(&[])
    }
}

impl Vantage {
    /// One with these references; nobody has looked at them yet.
    #[must_use]
    pub fn new(references: &[SocketAddr]) -> Self {
        let (found, darkness) = (Mutex::default(), watch::Sender::new(None));
        Self {
            shared: Arc::new(Shared { references: watch::Sender::new(references.into()), found, darkness }),
        }
    }

    /// These are the references from now on. What was found by others before still holds: it was the same network.
    pub fn refer_to(&self, references: &[SocketAddr]) {
        self.shared.references.send_if_modified(|before| {
            let differ = **before != *references;
            if differ {
                *before = references.into();
            }
            differ
        });
    }

    /// What a look that started at `started` and ended now counts as. Passes and unknown ones are left as they are, at no
    /// cost; one that failed waits for a look at the references, [`JUDGED_WITHIN`] at most, a round trip while
    /// the network works. May be dropped half-way.
    pub async fn judge(&self, look: Look, started: Instant, trace: &mut Trace) -> Look {
        let references = Arc::clone(&self.shared.references.borrow());
        if !matches!(look.outcome, Outcome::Fail(_)) || references.is_empty() {
            return look;
        }
        trace.enter(Stage::Vantage);
        match self.network(Span { started, ended: instant_now() }, &references).await {
            Network::Works(by) => {
                trace.leave(format_args!("the reference {by} answered, so it is not our own network"));
                look
            }
            Network::Dark(saw) => {
                trace.leave(format_args!("no reference answered: {saw}"));
                let saw = "and none of the vantage's references answered, so it may be us";
                let saw = Cow::Owned(format!("{}; {saw}", look.saw));
                Look { outcome: Outcome::Unknown(Reason::Vantage), saw, ..look }
            }
        }
    }

    /// What is to be alarmed: none while a reference answers, or there is none.
    #[must_use]
    pub fn alarm(&self) -> Option<String> {
        let darkness = self.shared.darkness.borrow();
        let Darkness { since, saw } = darkness.as_ref().filter(|_| self.has_references())?;
        let seconds = instant_now().duration_since(*since).as_secs();
        Some(format!(
            "no reference of this vantage has answered for {seconds} s ({saw}): it may be our own network, so what fails \
             counts as unknown, and no region leaves for it"
        ))
    }

    /// Looks at the references while none answers, so that the end of that is found although nobody asks. For ever, and
    /// idle otherwise.
    pub async fn watch(self, pulse: Pulse) {
        let mut darkness = self.shared.darkness.subscribe();
        loop {
            pulse.rests();
            // Never an error: the sender is here.
            if darkness.wait_for(Option::is_some).await.is_err() {
                return;
            }
            pulse.turns_within(AGAIN_AFTER + JUDGED_WITHIN);
            sleep(AGAIN_AFTER).await;
            let references = Arc::clone(&self.shared.references.borrow());
            if references.is_empty() {
                self.shared.darkness.send_replace(None);
            } else {
                let now = instant_now();
                self.network(Span { started: now, ended: now }, &references).await;
            }
        }
    }

    fn has_references(&self) -> bool {
        !self.shared.references.borrow().is_empty()
    }

    /// How the network was during a look at a region, by what others found out or by a look at the references now.
    async fn network(&self, looked: Span, references: &[SocketAddr]) -> Network {
        let mut found = self.shared.found.lock().await;
        if let Some(network) = found.of(looked) {
            return network;
        }
        if let Some(begun) = found.begun {
            sleep_until(begun + APART).await;
        }
        let started = instant_now();
        found.begun = Some(started);
        let reached = reach_any(references).await;
        let ended = instant_now();
        match reached {
            Ok(by) => {
                found.answered = Some(Answered { by, time: Span { started, ended } });
                self.lightens();
                Network::Works(by)
            }
            Err(saw) => {
                found.in_vain = Some(InVain { saw: Arc::clone(&saw), ended });
                self.darkens(started, &saw);
                Network::Dark(saw)
            }
        }
    }

    fn darkens(&self, started: Instant, saw: &Arc<str>) {
        self.shared.darkness.send_modify(|darkness| {
            if darkness.is_none() {
                tracing::warn!(
                    "no reference of this vantage answered ({saw}); what fails counts as unknown now"
                );
            }
            let since = darkness.as_ref().map_or(started, |before| before.since);
            *darkness = Some(Darkness { since, saw: Arc::clone(saw) });
        });
    }

    fn lightens(&self) {
        self.shared.darkness.send_if_modified(|darkness| match darkness.take() {
            Some(Darkness { since, .. }) => {
                let dark_s = instant_now().duration_since(since).as_secs();
                tracing::info!(dark_s, "a reference of this vantage answers again; what fails counts");
                true
            }
            None => false,
        });
    }
}

impl Found {
    /// How the network was during a look at a region; none when that is not known yet. What ended in vain after the look
    /// began was dark for at least a part of it, whatever came later; an answer must have been asked for after the look
    /// began and have come after it ended.
    fn of(&self, looked: Span) -> Option<Network> {
        if let Some(in_vain) = self.in_vain.as_ref().filter(|it| it.ended >= looked.started) {
            return Some(Network::Dark(Arc::clone(&in_vain.saw)));
        }
        let spans = |it: &&Answered| it.time.started >= looked.started && it.time.ended >= looked.ended;
        self.answered.as_ref().filter(spans).map(|it| Network::Works(it.by))
    }
}

/// Looks at all of them at once: the first that answers, or what was seen of each.
async fn reach_any(references: &[SocketAddr]) -> Result<SocketAddr, Arc<str>> {
    let mut looks: FuturesUnordered<_> = references.iter().map(|&at| reach(at)).collect();
    let mut saw: Vec<Cow<'static, str>> = Vec::with_capacity(references.len());
    while let Some(look) = looks.next().await {
        match look {
            Ok(at) => return Ok(at),
            Err(why) => saw.push(why),
        }
    }
    Err(saw.join("; ").into())
}

/// A reference that refuses or resets has answered all the same, unless it is this machine itself. What a router on the way
/// says is no answer: that one may be our own, cut off from the rest.
async fn reach(at: SocketAddr) -> Result<SocketAddr, Cow<'static, str>> {
    match timeout(ANSWER_WITHIN, connect(at, None)).await {
        Ok(Ok(_connected)) => Ok(at),
        Ok(Err(fault)) if at.ip().is_loopback() => Err(fault.saw),
        Ok(Err(fault)) if fault.is(Reason::Refused) || fault.is(Reason::Closed) => Ok(at),
        Ok(Err(fault)) => Err(fault.saw),
        Err(_elapsed) => Err(Cow::Owned(format!("{at} did not answer within {ANSWER_WITHIN:?}"))),
    }
}

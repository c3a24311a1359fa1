//! Is it them or us? A failing look counts only while this machine's own network is seen to work.
//!
//! References are addresses beyond it that answer whatever becomes of the regions. A look that failed asks whether one
//! does, and those that fail at about the same time share one look at them all. It stays a failure when one
//! answered after it had begun, and is unknown when none did, then or since it began (BLIND-IS-NOT-DOWN). While
//! none answers that is alarmed; [`Vantage::watch`] finds that nobody would answer, and the end of it, when no look fails.
//! Never decides what becomes of a region. Start at [`Vantage::judge`].

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::Look;
use super::reference::{ANSWER_WITHIN, reach_any};
use super::trace::{Stage, Trace};
use crate::clock::instant_now;
use crate::model::{Outcome, Reason};
use crate::pulse::Pulse;

/// From the start of one look at the references to the start of the next, at least: however many checks fail, each
/// reference sees 20 connections a second at most, and a failure is told this much later at most.
const APART: Duration = Duration::from_millis(50);

/// How long [`Vantage::judge`] takes at most: the look at the references that is under way, and one of its own.
pub const JUDGED_WITHIN: Duration = ANSWER_WITHIN.saturating_mul(2).saturating_add(APART);

/// How often the references are looked at while none answers, if nobody asks: soon enough for the end of an alarm.
const AGAIN_AFTER: Duration = Duration::from_secs(2);

/// The same while one answers: seldom enough to cost nothing, and references that die are alarmed before a region does.
const SELDOM: Duration = Duration::from_secs(60);

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
        if !matches!(look.outcome, Outcome::Fail(_)) {
            return look;
        }
        let references = Arc::clone(&self.shared.references.borrow());
        if references.is_empty() {
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

    /// Looks at the references now and then, and often while none answers: one that has died unnoticed would be found only
    /// by the look at a region that needs it, and the end of a darkness by nobody once all looks pass. For ever.
    pub async fn watch(self, pulse: Pulse) {
        let mut references = self.shared.references.subscribe();
        let mut darkness = self.shared.darkness.subscribe();
        loop {
            let known = Arc::clone(&references.borrow_and_update());
            let is_dark = if known.is_empty() {
                self.shared.darkness.send_replace(None);
                false
            } else {
                pulse.turns_within(JUDGED_WITHIN);
                let now = instant_now();
                let network = self.network(Span { started: now, ended: now }, &known).await;
                matches!(network, Network::Dark(_))
            };
            let wait = if is_dark { AGAIN_AFTER } else { SELDOM };
            pulse.turns_within(wait);
            tokio::select! {
                () = sleep(wait) => {}
                // Neither is ever an error: the senders are here.
                Ok(_) = darkness.wait_for(Option::is_some), if !is_dark => {}
                Ok(()) = references.changed() => {}
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
                tracing::debug!("no reference of this vantage answered ({saw})");
            }
            let since = darkness.as_ref().map_or(started, |before| before.since);
            *darkness = Some(Darkness { since, saw: Arc::clone(saw) });
        });
    }

    fn lightens(&self) {
        self.shared.darkness.send_if_modified(|darkness| match darkness.take() {
            Some(Darkness { since, .. }) => {
                let dark_s = instant_now().duration_since(since).as_secs();
                tracing::debug!(dark_s, "a reference of this vantage answers again");
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

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use tokio::net::{TcpListener, TcpSocket, TcpStream};
    use tokio::task::JoinSet;
    use tokio::time::timeout;

    use super::*;
    use crate::clock::Clock;
    use crate::pulse::Pulses;

    const S: Duration = Duration::from_secs(1);

    fn look(outcome: Outcome) -> Look {
        Look { outcome, saw: Cow::Borrowed("as ordered"), certificate: None }
    }

    /// What becomes of a look that failed and took no time.
    async fn failing(vantage: &Vantage) -> Look {
        vantage.judge(look(Outcome::Fail(Reason::Refused)), instant_now(), &mut Trace::off()).await
    }

    async fn alive() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        (listener, at)
    }

    /// Refuses, and being loopback that is no answer. The socket keeps the port from others.
    fn dead() -> (TcpSocket, SocketAddr) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let at = socket.local_addr().unwrap();
        (socket, at)
    }

    /// Swallows what is sent to it: the one place in its queue is taken.
    async fn silent() -> ((TcpListener, TcpStream), SocketAddr) {
        let (socket, at) = dead();
        let listener = socket.listen(0).unwrap();
        let first = TcpStream::connect(at).await.unwrap();
        ((listener, first), at)
    }

    #[test]
    fn an_answer_must_span_the_look_s_end_and_none_may_have_been_missed_since_its_start() {
        let now = instant_now();
        let at = |ms: u64| now + Duration::from_millis(ms);
        let by = SocketAddr::from(([127, 0, 0, 1], 53));
        let looked = Span { started: at(100), ended: at(200) };
        let dark = || Some(Network::Dark("silence".into()));
        for (answered, in_vain, network) in [
            (None, None, None),
            (Some((150, 200)), None, Some(Network::Works(by))),
            (Some((100, 210)), None, Some(Network::Works(by))),
            // Older than the look, or over before it was.
            (Some((99, 210)), None, None),
            (Some((150, 199)), None, None),
            (None, Some(99), None),
            (None, Some(100), dark()),
            (None, Some(300), dark()),
            // The network came back in the look's last moment.
            (Some((150, 210)), Some(140), dark()),
            (Some((150, 210)), Some(90), Some(Network::Works(by))),
        ] {
            let span = |(started, ended)| Span { started: at(started), ended: at(ended) };
            let found = Found {
                begun: None,
                answered: answered.map(|time| Answered { by, time: span(time) }),
                in_vain: in_vain.map(|ended| InVain { saw: "silence".into(), ended: at(ended) }),
            };
            assert_eq!(found.of(looked), network, "{found:?}");
        }
    }

    #[tokio::test]
    async fn a_failing_look_counts_when_any_reference_answers() {
        let ((_dead, dead), (_silent, silent), (_alive, alive)) = (dead(), silent().await, alive().await);
        let vantage = Vantage::new(&[dead, silent, alive]);
        assert_eq!(failing(&vantage).await, look(Outcome::Fail(Reason::Refused)));
        assert_eq!(vantage.alarm(), None);
        assert_eq!(failing(&Vantage::default()).await, look(Outcome::Fail(Reason::Refused)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failing_look_is_unknown_when_no_reference_answers_within_the_time_they_have() {
        let ((_dead, dead), (_silent, silent)) = (dead(), silent().await);
        let (vantage, started) = (Vantage::new(&[dead, silent]), instant_now());
        let judged = failing(&vantage).await;
        assert_eq!(judged.outcome, Outcome::Unknown(Reason::Vantage));
        assert_eq!(judged.saw, "as ordered; and none of the vantage's references answered, so it may be us");
        assert_eq!(instant_now() - started, ANSWER_WITHIN);
        let alarm = vantage.alarm().unwrap();
        assert!(
            alarm.contains(&format!("refused by {dead}; {silent} did not answer within 1.5s")),
            "{alarm}"
        );
    }

    #[tokio::test]
    async fn a_look_that_does_not_fail_asks_nobody() {
        let (_dead, at) = dead();
        let vantage = Vantage::new(&[at]);
        for outcome in [Outcome::Pass, Outcome::Unknown(Reason::Api)] {
            let judged = vantage.judge(look(outcome), instant_now(), &mut Trace::off()).await;
            assert_eq!(judged, look(outcome));
        }
        assert!(vantage.shared.found.lock().await.begun.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn however_many_looks_fail_the_references_are_looked_at_every_so_often_only() {
        let (listener, at) = alive().await;
        let (vantage, mut checks) = (Vantage::new(&[at]), JoinSet::new());
        let taken = async {
            let mut taken = 0_u32;
            loop {
                listener.accept().await.unwrap();
                taken += 1;
                if taken > 30 {
                    return taken;
                }
            }
        };
        let started = instant_now();
        for place in 0..100 {
            let vantage = vantage.clone();
            checks.spawn(async move {
                sleep(Duration::from_millis(place)).await;
                loop {
                    failing(&vantage).await;
                    sleep(Duration::from_millis(10)).await;
                }
            });
        }
        taken.await;
        assert!(instant_now() - started >= 30 * APART, "30 looks within {:?}", instant_now() - started);
    }

    #[tokio::test(start_paused = true)]
    async fn looks_that_fail_together_wait_for_one_answer() {
        let (_silent, at) = silent().await;
        let (vantage, started) = (Vantage::new(&[at]), instant_now());
        let judged = join_all((0..100).map(|_| failing(&vantage))).await;
        assert!(judged.iter().all(|look| look.outcome == Outcome::Unknown(Reason::Vantage)));
        assert_eq!(instant_now() - started, ANSWER_WITHIN);
    }

    #[tokio::test(start_paused = true)]
    async fn references_that_die_and_return_are_found_though_nobody_asks() {
        let (socket, at) = dead();
        let (vantage, mut tasks) = (Vantage::new(&[at]), JoinSet::new());
        let pulses = Pulses::new(Clock::start());
        tasks.spawn(vantage.clone().watch(pulses.register("vantage")));
        sleep(20 * S).await;
        let alarm = vantage.alarm().unwrap();
        assert!(alarm.starts_with("no reference of this vantage has answered for 20 s"), "{alarm}");
        assert_eq!(pulses.stuck(), None);
        let until = async |alarmed| {
            while vantage.alarm().is_some() != alarmed {
                sleep(S / 10).await;
            }
        };
        let listener = socket.listen(8).unwrap();
        timeout(2 * SELDOM, until(false)).await.unwrap();
        drop(listener);
        timeout(2 * SELDOM, until(true)).await.unwrap();
        assert_eq!(pulses.stuck(), None);
        vantage.refer_to(&[]);
        sleep(2 * SELDOM).await;
        assert_eq!((vantage.alarm(), pulses.stuck()), (None, None));
    }

    #[tokio::test]
    async fn other_references_are_asked_from_the_next_look_on_and_without_any_nothing_is_alarmed() {
        let ((_dead, dead), (_alive, alive)) = (dead(), alive().await);
        let vantage = Vantage::new(&[dead]);
        assert_eq!(failing(&vantage).await.outcome, Outcome::Unknown(Reason::Vantage));
        vantage.refer_to(&[]);
        assert_eq!(vantage.alarm(), None);
        assert_eq!(failing(&vantage).await.outcome, Outcome::Fail(Reason::Refused));
        vantage.refer_to(&[alive]);
        assert_eq!(failing(&vantage).await.outcome, Outcome::Fail(Reason::Refused));
        assert_eq!(vantage.alarm(), None);
    }
}

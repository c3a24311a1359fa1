//! Asks the witnesses of one service what clients get, as long and as often as the core's inquiry calls for, and runs its
//! errand.
//!
//! An inquiry is replaced by a newer one, never queued, and one under way is dropped for it. What is heard goes to the
//! core, which makes of it what it likes; nothing is decided here. Start at [`Witnesses::run`].

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::errand::{FETCH_WITHIN, fetch};
use crate::clock::Clock;
use crate::core::Input;
use crate::dns::witness::{ANSWER_WITHIN, ask};
use crate::model::{Inquiry, Moment, Service, Testimony};
use crate::pulse::Pulse;

/// The first time between two rounds after a change; it grows with the time since, up to [`OFTEN_MOST`]: most caches are
/// short, and a change that is seen at once is worth knowing to a fraction of a second.
const OFTEN_FIRST: Duration = Duration::from_millis(200);
const OFTEN_MOST: Duration = Duration::from_secs(2);
/// While some disagree although caches are no excuse any more: soon enough to see the end of it.
const ALARMED: Duration = Duration::from_secs(30);
/// While all agree: a resolver that goes astray by itself is found, and nobody is bothered.
const AT_REST: Duration = Duration::from_secs(300);
/// So many are asked at once; more wait for these. A zone has a handful.
const AT_ONCE: usize = 8;

/// Who is asked, and whose service it is. It changes with the configuration alone.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Panel {
    pub(super) service: Arc<Service>,
    /// None when nothing is ever written, for then there is nothing to witness.
    pub(super) witnesses: Vec<SocketAddr>,
}

/// One service's witnesses.
#[derive(Debug)]
pub(super) struct Witnesses {
    pub(super) panel: watch::Receiver<Panel>,
    pub(super) inquiries: watch::Receiver<Option<Arc<Inquiry>>>,
    pub(super) heard: mpsc::Sender<Input>,
    pub(super) clock: Clock,
    pub(super) pulse: Pulse,
}

impl Witnesses {
    /// Asks until stopped, or until nobody listens any more.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        stop.run_until_cancelled(Box::pin(self.turn())).await;
    }

    async fn turn(&mut self) {
        let mut last_errand = None;
        loop {
            let panel = self.panel.borrow_and_update().clone();
            let inquiry = self.inquiries.borrow_and_update().clone();
            let Some(inquiry) = inquiry else {
                if self.wait(None).await.is_err() {
                    return;
                }
                continue;
            };
            // A failover has one, whatever comes of it.
            let errand = inquiry.fetch.as_ref().filter(|errand| last_errand != Some(errand.failover));
            if let Some(errand) = errand {
                last_errand = Some(errand.failover);
                self.pulse.turns_within(ANSWER_WITHIN + FETCH_WITHIN);
                let fetched = fetch(&panel.service, &inquiry, errand, self.clock).await;
                let (service, failover) = (inquiry.service.clone(), errand.failover);
                if self.tell(Input::Fetched { service, failover, fetched }).await.is_err() {
                    return;
                }
            }
            let has_witnesses = !panel.witnesses.is_empty();
            let rounds = u32::try_from(panel.witnesses.len().div_ceil(AT_ONCE)).unwrap_or(u32::MAX);
            self.pulse.turns_within(ANSWER_WITHIN.saturating_mul(rounds));
            let said = tokio::select! {
                said = ask_all(panel.witnesses, &inquiry, self.clock) => said,
                changed = self.inquiries.changed() => if changed.is_err() { return } else { continue },
                changed = self.panel.changed() => if changed.is_err() { return } else { continue },
            };
            let all_agree = said.iter().all(|testimony| inquiry.agrees(&testimony.said));
            let (service, number) = (inquiry.service.clone(), inquiry.number);
            if self.tell(Input::Witnessed { service, inquiry: number, said }).await.is_err() {
                return;
            }
            let next = has_witnesses.then(|| pause(self.clock.now(), &inquiry, all_agree));
            if self.wait(next).await.is_err() {
                return;
            }
        }
    }

    /// Waits for so long, or until there is something else to ask. Fails when nobody is left who could want it.
    async fn wait(&mut self, pause: Option<Duration>) -> Result<(), watch::error::RecvError> {
        match pause {
            Some(pause) => self.pulse.turns_within(pause),
            None => self.pulse.rests(),
        }
        let over = async {
            match pause {
                Some(pause) => tokio::time::sleep(pause).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = over => Ok(()),
            changed = self.inquiries.changed() => changed,
            changed = self.panel.changed() => changed,
        }
    }

    async fn tell(&mut self, heard: Input) -> Result<(), mpsc::error::SendError<Input>> {
        self.pulse.rests();
        self.heard.send(heard).await
    }
}

async fn ask_all(witnesses: Vec<SocketAddr>, inquiry: &Inquiry, clock: Clock) -> Vec<Testimony> {
    let each = witnesses.into_iter().map(|witness| {
        let key = inquiry.key.clone();
        async move {
            let said = ask(witness, &key).await;
            Testimony { witness, at: clock.now(), said }
        }
    });
    stream::iter(each).buffered(AT_ONCE).collect().await
}

/// How long to wait before they are asked again.
fn pause(now: Moment, inquiry: &Inquiry, all_agree: bool) -> Duration {
    if all_agree {
        return AT_REST;
    }
    let left = inquiry.patience_ends.since(now);
    if left == Duration::ZERO {
        return ALARMED;
    }
    // The last of them comes when caches are no excuse any more.
    now.since(inquiry.since).clamp(OFTEN_FIRST, OFTEN_MOST).min(left.max(OFTEN_FIRST))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::model::{Fqdn, RecordKey, RecordType, Routing, ServiceName};

    #[test]
    fn witnesses_are_asked_soon_after_a_change_then_less_often_and_once_more_when_patience_ends() {
        let since = Moment::after_start(Duration::from_secs(100));
        let inquiry = Inquiry {
            service: ServiceName::parse("demo").unwrap(),
            number: 1,
            key: RecordKey {
                name: Fqdn::parse("demo.localdev.me.").unwrap(),
                record_type: RecordType::A,
                routing: Routing::Only,
            },
            wanted: BTreeSet::from([[192, 0, 2, 1].into()]),
            since,
            patience_ends: since + Duration::from_secs(40),
            fetch: None,
        };
        let (mut now, mut asked) = (since, Vec::new());
        while now <= inquiry.patience_ends {
            asked.push(now.since(since).as_millis());
            now = now + pause(now, &inquiry, false);
        }
        assert_eq!(asked[..8], [0, 200, 400, 800, 1_600, 3_200, 5_200, 7_200]);
        assert_eq!(asked.last(), Some(&40_000));
        assert_eq!(pause(inquiry.patience_ends, &inquiry, false), ALARMED);
        assert_eq!(pause(since, &inquiry, true), AT_REST);
    }
}

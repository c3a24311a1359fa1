//! Makes addresses of the names of the cloud's endpoints: by the system's resolver, asked seldom for the same name.
//!
//! The system's call holds a thread and a descriptor for as long as it pleases, 10 s and more while no name server
//! answers, also when nobody waits any longer. Whoever needs a name that has just been asked for waits for that answer,
//! so a dead name server holds a few for each name and not one for each call (KEEP-WATCHING).

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::clock::instant_now;

/// After this without an answer the same is asked once more: the question may have been lost, or the name server may
/// be back, and the system would not notice for 5 s.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks for addresses; clones share what is under way.
#[derive(Clone)]
pub(super) struct Resolver {
    lookup: Arc<Lookup>,
    under_way: Arc<Mutex<BTreeMap<String, UnderWay>>>,
}

/// The latest question for a name.
struct UnderWay {
    since: Instant,
    answer: watch::Receiver<Option<Answer>>,
}

/// Blocks until it knows.
type Lookup = dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync;

type Answer = Result<Vec<SocketAddr>, Unresolved>;

/// Why a name has no address.
#[derive(Clone, Debug, thiserror::Error)]
enum Unresolved {
    /// The system says so.
    #[error("cannot resolve a name; see that the machine's name servers work and that the endpoint is right")]
    System(#[source] Arc<io::Error>),
    /// The thread that asked is gone.
    #[error("cannot resolve a name: nobody is asking any more")]
    Gone,
}

impl Resolver {
    /// The system's.
    pub(super) fn new() -> Self {
        // The port is nobody's: the caller puts in the endpoint's.
        Self::with(|name| (name, 0).to_socket_addrs().map(Iterator::collect))
    }

    fn with(lookup: impl Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static) -> Self {
        Self { lookup: Arc::new(lookup), under_way: Arc::default() }
    }

    /// Joins whoever asks for this name already, or asks.
    async fn addresses(self, name: String) -> Answer {
        let mut answer = self.ask(name);
        let told = answer.wait_for(Option::is_some).await;
        told.ok().and_then(|answer| answer.clone()).unwrap_or(Err(Unresolved::Gone))
    }

    fn ask(&self, name: String) -> watch::Receiver<Option<Answer>> {
        let mut under_way = self.under_way();
        let is_young = |latest: &&UnderWay| latest.since.elapsed() < PATIENCE;
        // One whose thread has panicked never answers.
        let is_asked = |latest: &&UnderWay| latest.answer.has_changed().is_ok();
        if let Some(latest) = under_way.get(&name).filter(is_young).filter(is_asked) {
            return latest.answer.clone();
        }
        let (tell, answer) = watch::channel(None);
        under_way.insert(name.clone(), UnderWay { since: instant_now(), answer: answer.clone() });
        let (this, own) = (self.clone(), answer.clone());
        tokio::task::spawn_blocking(move || {
            let found = (this.lookup)(&name).map_err(|error| Unresolved::System(Arc::new(error)));
            let mut under_way = this.under_way();
            if under_way.get(&name).is_some_and(|latest| latest.answer.same_channel(&own)) {
                under_way.remove(&name);
            }
            drop(under_way);
            tell.send_replace(Some(found));
        });
        answer
    }

    fn under_way(&self) -> MutexGuard<'_, BTreeMap<String, UnderWay>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let addresses = self.clone().addresses(name.as_str().to_owned());
        Box::pin(async { Ok(Box::new(addresses.await?.into_iter()) as Addrs) })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use futures_util::future::{FutureExt as _, join_all};
    use tokio::time::timeout;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_name_is_asked_for_once_however_many_need_it_and_whoever_stops_waiting() {
        let (release, held) = mpsc::channel::<()>();
        let (held, asked) = (Mutex::new(held), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&asked);
        let there = SocketAddr::from(([127, 0, 0, 1], 0));
        let resolver = Resolver::with(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
            held.lock().unwrap().recv().ok();
            Ok(vec![there])
        });
        let ask = || resolver.clone().addresses("api".to_owned());
        for _ in 0..100 {
            assert!(timeout(Duration::from_millis(1), ask()).await.is_err(), "it cannot know yet");
        }
        let waiting = timeout(DEADLINE, join_all([ask(), ask()]));
        // Only once they wait.
        let (answers, ()) = tokio::join!(waiting, async { release.send(()).unwrap() });
        for answer in answers.unwrap() {
            assert_eq!(answer.unwrap(), [there]);
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        // What was found is not kept: the next one asks anew.
        release.send(()).unwrap();
        assert_eq!(timeout(DEADLINE, ask()).await.unwrap().unwrap(), [there]);
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_without_an_answer_keeps_a_name_from_being_asked_for_no_longer_than_patience() {
        let (release, held) = mpsc::channel::<()>();
        let (held, asked) = (Mutex::new(held), AtomicUsize::new(0));
        let (tell_begun, begun) = mpsc::channel();
        let resolver = Resolver::with(move |_| match asked.fetch_add(1, Ordering::Relaxed) {
            0 => {
                tell_begun.send(()).unwrap();
                held.lock().unwrap().recv().map(|()| Vec::new()).map_err(io::Error::other)
            }
            _ => Ok(Vec::new()),
        });
        let ask = || resolver.clone().addresses("api".to_owned());
        assert!(ask().now_or_never().is_none(), "it cannot know yet");
        begun.recv_timeout(DEADLINE).unwrap();
        tokio::time::advance(PATIENCE / 2).await;
        assert!(ask().now_or_never().is_none(), "it is the same question");
        tokio::time::advance(PATIENCE / 2).await;
        assert!(ask().await.is_ok(), "the name server is back");
        release.send(()).unwrap();
    }

    #[tokio::test]
    async fn a_lookup_that_fails_or_panics_is_no_answer_and_the_next_one_asks_anew() {
        let asked = AtomicUsize::new(0);
        let resolver = Resolver::with(move |_| match asked.fetch_add(1, Ordering::Relaxed) {
            0 => panic!("on purpose"),
            1 => Err(io::Error::other("no server answers")),
            _ => Ok(Vec::new()),
        });
        let ask = || timeout(DEADLINE, resolver.clone().addresses("api".to_owned()));
        assert!(matches!(ask().await.unwrap(), Err(Unresolved::Gone)));
        let error = ask().await.unwrap().unwrap_err();
        assert_eq!(super::super::client::root_cause(&error), "no server answers");
        assert!(ask().await.unwrap().is_ok());
    }
}

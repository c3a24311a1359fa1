//! Makes addresses of the names of the cloud's endpoints: asks the system's resolver, once at a time for each name.
//!
//! The system's call holds a thread and a descriptor for as long as it pleases, 10 s and more while no name server
//! answers, also when nobody waits any longer. Whoever needs a name that is being asked for waits for that answer, so a
//! dead name server holds as much for each name and not for each call (KEEP-WATCHING).

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::watch;

/// Asks for addresses; clones share what is under way.
#[derive(Clone)]
pub(super) struct Resolver {
    lookup: Arc<Lookup>,
    under_way: Arc<Mutex<BTreeMap<String, watch::Receiver<Option<Answer>>>>>,
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
        // One whose thread has panicked never answers.
        if let Some(answer) = under_way.get(&name).filter(|answer| answer.has_changed().is_ok()) {
            return answer.clone();
        }
        let (tell, answer) = watch::channel(None);
        under_way.insert(name.clone(), answer.clone());
        let this = self.clone();
        tokio::task::spawn_blocking(move || {
            let found = (this.lookup)(&name).map_err(|error| Unresolved::System(Arc::new(error)));
            this.under_way().remove(&name);
            tell.send_replace(Some(found));
        });
        answer
    }

    fn under_way(&self) -> MutexGuard<'_, BTreeMap<String, watch::Receiver<Option<Answer>>>> {
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
    use std::time::Duration;

    use futures_util::future::join_all;
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

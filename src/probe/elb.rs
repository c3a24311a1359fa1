//! The `elb` check: the health of the backends behind a listener, as the load balancer sees it.
//!
//! One call while looks pass: the members of the listener's pools and of many others, shared by all who ask. What does
//! not pass is not believed of pools that may have been switched since: what is behind the listener is then asked again. What seems
//! not to be there (the members, the listener) fails only when a second, different call
//! says so too (BLIND-IS-NOT-DOWN); a load balancer that is not shown is `gone`'s business. The verdict itself is in `backends`.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::backends::{Verdict, verdict, verdict_on_none};
use super::cloud_view::{CloudView, Sight, Unseen};
use super::gone::gone;
use super::listeners::{Topology, WatchedListener};
use super::shared_answer::History;
use super::trace::Trace;
use super::{Addresses, Look};
use crate::huawei::{Rank, StatusTree};
use crate::model::{ElbCheck, MinHealthy, Outcome, Reason};

/// How old what is known of a listener's pools may be while their backends make a look pass: ids change
/// when people change them, seldom, and a backend that is new in a pool is seen at once.
pub(super) const TOPOLOGY_AGE_MAX: Duration = Duration::from_secs(300);

/// The same for a look that does not pass, or that finds members gone from a pool. A blue-green deployment
/// points the listener to other pools and then stops the backends in the old ones, which must not look
/// like a failure, so the first failing look asks anew. It bounds the cost of a region that stays down:
/// two further calls at most this often. A look that finds nothing where something was always asks anew.
pub(super) const TOPOLOGY_AGE_MAX_IN_DOUBT: Duration = Duration::from_secs(15);

/// Looks at the backends of one region for one check.
#[derive(Debug)]
pub struct ElbLooker {
    listener: Arc<WatchedListener>,
    min_healthy: MinHealthy,
    /// The listener's id when it was last seen, to be looked for in the status tree, which has no ports.
    known: Option<String>,
    /// The last look that saw backends did not pass.
    doubt: Doubt,
    addresses: watch::Receiver<Addresses>,
    history: History,
}

impl ElbLooker {
    /// A looker for `check`, whose load balancer must be of the view's account and cloud region. The view
    /// watches it from now until the looker is dropped. `addresses` are the region's: a load balancer that is not shown
    /// is judged by them.
    #[must_use]
    pub fn new(view: &Arc<CloudView>, check: &ElbCheck, addresses: watch::Receiver<Addresses>) -> Self {
        Self {
            listener: view.watch(&check.elb.id).watch(check.elb.listener_port),
            min_healthy: check.min_healthy,
            known: None,
            doubt: Doubt::None,
            addresses,
            history: History::default(),
        }
    }

    /// One look, for a check that looks every `interval` at present. Ends by `deadline`.
    pub async fn look(&mut self, interval: Duration, deadline: Instant, trace: &mut Trace) -> Look {
        let mut history = self.history;
        let mut sight = Sight::begin(&mut history, interval, deadline, trace);
        let look = self.see(&mut sight).await.unwrap_or_else(Look::from);
        self.history = history;
        look
    }

    async fn see(&mut self, sight: &mut Sight<'_>) -> Result<Look, Unseen> {
        let age_max = match self.doubt {
            Doubt::None => TOPOLOGY_AGE_MAX,
            Doubt::Settled | Doubt::Open => TOPOLOGY_AGE_MAX_IN_DOUBT,
        };
        let age_max = match self.judge(sight, age_max).await {
            Ok(Judged::Backends { verdict: Verdict { look, vanished: false }, .. })
                if look.outcome == Outcome::Pass =>
            {
                self.doubt = Doubt::None;
                return Ok(look);
            }
            Err(unseen) if !unseen.is_not_found() => return Err(unseen),
            Ok(Judged::Backends { verdict: Verdict { look, .. }, strays: false })
                if look.outcome != Outcome::Unknown(Reason::Api) =>
            {
                TOPOLOGY_AGE_MAX_IN_DOUBT
            }
            // Something was not where it was known to be, or a backend is new somewhere.
            Ok(_) | Err(_) => Duration::ZERO,
        };
        self.doubt = Doubt::Open;
        let judged = self.judge(sight, age_max).await?;
        let elb = self.listener.elb();
        let look = match judged {
            Judged::Backends { verdict, .. } => verdict.look,
            Judged::NoBackend(topology) => match elb.status_tree(sight).await? {
                Some(tree) => verdict_on_none(&topology.listener, &topology.pools, &tree),
                None => Box::pin(gone(elb, &self.addresses, sight)).await,
            },
            Judged::NoListener => match elb.status_tree(sight).await? {
                Some(tree) => self.verdict_on_no_listener(&tree),
                None => Box::pin(gone(elb, &self.addresses, sight)).await,
            },
        };
        self.doubt = Doubt::Settled;
        Ok(look)
    }

    /// What the members come to, with what is behind the listener by an answer no older than that.
    async fn judge(&mut self, sight: &mut Sight<'_>, age_max: Duration) -> Result<Judged, Unseen> {
        let topology = match self.listener.topology(sight, age_max).await {
            Err(unseen) if unseen.is_not_found() => return Ok(Judged::NoListener),
            other => other?,
        };
        let Some(topology) = topology else { return Ok(Judged::NoListener) };
        let Topology { listener, pools, pool_ids } = &*topology;
        if self.known.as_ref() != Some(&listener.id) {
            self.known = Some(listener.id.clone());
        }
        if pool_ids.is_empty() {
            // It may redirect all requests, by intent; the API does not say to us whether it does.
            let saw =
                format!("listener {} has no pool, so there are no backends to judge", listener.protocol_port);
            let look = Look::new(Outcome::Unknown(Reason::Unmonitored), saw);
            let verdict = Verdict { look, vanished: false };
            return Ok(Judged::Backends { verdict, strays: false });
        }
        let rank = match self.doubt {
            Doubt::None | Doubt::Settled => Rank::Begins,
            Doubt::Open => Rank::FinishesProbe,
        };
        let backends = self.listener.backends(sight, &topology, rank).await?;
        let members = backends.behind(&topology);
        let verdict = verdict(listener, pools, &members, self.min_healthy);
        if verdict.look.outcome == Outcome::Pass {
            Ok(Judged::Backends { verdict, strays: false })
        } else if let Some(unseen) = backends.lacks(&topology) {
            Err(unseen)
        } else if !topology.is_whole() {
            let saw = format!("the pools of listener {} lack its default pool", listener.protocol_port);
            Err(Unseen::Contradiction(saw))
        } else if members.is_empty() {
            Ok(Judged::NoBackend(topology))
        } else {
            Ok(Judged::Backends { verdict, strays: backends.has_strays })
        }
    }

    /// The list has no listener on the port. The status tree has no ports: it confirms that when it has no
    /// listener at all, or lacks the one that was there before.
    fn verdict_on_no_listener(&self, tree: &StatusTree) -> Look {
        let (port, elb) = (self.listener.port(), self.listener.elb().id());
        let gone = match &self.known {
            Some(known) => tree.listeners.iter().all(|listener| listener.id != *known),
            None => tree.listeners.is_empty(),
        };
        if gone {
            let saw = format!("load balancer {elb} has no listener on port {port}: its status tree agrees");
            Look::new(Outcome::Fail(Reason::Gone), saw)
        } else {
            let saw =
                format!("load balancer {elb} answers no listener on port {port}, its status tree has some");
            Look::new(Outcome::Unknown(Reason::Api), saw)
        }
    }
}

/// Whether the backends are known not to pass. While the budget is short a look may last for one question alone; the next
/// one then goes on with the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doubt {
    /// They passed.
    None,
    /// They did not, and there was a verdict.
    Settled,
    /// They did not, and what is behind the listener was not told in time.
    Open,
}

/// What one round of questions came to.
enum Judged {
    /// There are backends, and this is the verdict on them; strays: there are others that may be this listener's.
    Backends { verdict: Verdict, strays: bool },
    /// There are pools, and no member was answered for them.
    NoBackend(Arc<Topology>),
    /// No listener was answered for the port, or the load balancer was not found.
    NoListener,
}

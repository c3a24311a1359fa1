//! What the checks of one account and cloud region see of it, each thing asked once for all of them.
//!
//! A [`CloudView`] knows the load balancers that are watched and asks for all of them in one call; what is behind their
//! listeners is in `listeners`. It judges nothing: `elb`, `eip` and `addresses` do. An answer is
//! shared under the rules of `shared_answer`; an error is an answer too, so that an API in trouble is not
//! asked by each check in turn. A [`Sight`] is one look's way of asking. Start at [`CloudView::new`].

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::groups::Groups;
use super::listeners::{Memberships, Topologies, WatchedListener};
use super::refused_ids::RefusedIds;
use super::shared_answer::{Answered, DeadlinePassed, History, SharedAnswer, Window};
use super::shared_call::{SharedCall, Told};
use super::trace::{Stage, Trace};
use super::{Look, SAW_MAX};
use crate::clock::instant_now;
use crate::huawei::{Account, ApiError, Binding, Eip, LoadBalancer, StatusTree};
use crate::model::{Outcome, Reason, quoted};

/// How long it is believed that the EIP API has nothing bound: it only confirms what an answer of the ELB API says, which is
/// asked for by each look. It bounds the cost of many load balancers that are unbound at once.
pub(super) const AGREED_AGE_MAX: Duration = Duration::from_secs(15);

/// What is watched in one account and cloud region.
#[derive(Debug)]
pub struct CloudView {
    account: Account,
    cloud_region: String,
    /// By id. What nobody holds any more leaves when the list is next asked for.
    watched: Mutex<BTreeMap<String, Weak<WatchedElb>>>,
    /// The question is the ids.
    listed: SharedAnswer<Vec<String>, BTreeMap<String, Arc<LoadBalancer>>>,
    /// What is behind the listeners that are watched.
    pub(super) topologies: Topologies,
    /// Their members.
    pub(super) memberships: Memberships,
    /// How many listeners were watched so far.
    listeners: AtomicU64,
    refused: RefusedIds,
}

impl CloudView {
    /// The view of a cloud region through an account. One for each pair of them, shared by its lookers. No
    /// I/O here.
    #[must_use]
    pub fn new(account: Account, cloud_region: &str) -> Arc<Self> {
        Arc::new(Self {
            account,
            cloud_region: cloud_region.to_owned(),
            watched: Mutex::default(),
            listed: SharedAnswer::new(),
            topologies: Groups::new(),
            memberships: Groups::new(),
            listeners: AtomicU64::new(0),
            refused: RefusedIds::default(),
        })
    }

    /// The account that it asks through.
    pub(super) fn account(&self) -> &Account {
        &self.account
    }

    /// The cloud's region that it is of.
    pub(super) fn cloud_region(&self) -> &str {
        &self.cloud_region
    }

    /// Watches the load balancer for as long as what is returned is held.
    pub(super) fn watch(self: &Arc<Self>, id: &str) -> Arc<WatchedElb> {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(elb) = watched.get(id).and_then(Weak::upgrade) {
            return elb;
        }
        let elb = Arc::new(WatchedElb {
            view: Arc::clone(self),
            id: id.to_owned(),
            listeners: Mutex::default(),
            shown: SharedAnswer::new(),
            statuses: SharedAnswer::new(),
            eips: SharedAnswer::new(),
            eips_at: SharedAnswer::new(),
        });
        watched.insert(id.to_owned(), Arc::downgrade(&elb));
        elb
    }

    fn watched_ids(&self) -> Vec<String> {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|_, elb| elb.strong_count() > 0);
        watched.keys().cloned().collect()
    }

    /// Those of the load balancers that are there. One id that the list refuses does not hide the others.
    async fn list(
        &self,
        ids: &[String],
        deadline: Instant,
    ) -> Result<BTreeMap<String, Arc<LoadBalancer>>, ApiError> {
        let ids = self.refused.good_of(ids, instant_now());
        let listed = self.refused.list_without(&self.account, &self.cloud_region, &ids, deadline).await?;
        Ok(listed.into_iter().map(|elb| (elb.id.clone(), Arc::new(elb))).collect())
    }
}

/// A load balancer that is watched.
#[derive(Debug)]
pub(super) struct WatchedElb {
    view: Arc<CloudView>,
    id: String,
    listeners: Mutex<BTreeMap<u16, Weak<WatchedListener>>>,
    shown: SharedAnswer<(), LoadBalancer>,
    statuses: SharedAnswer<(), StatusTree>,
    eips: SharedAnswer<(), Vec<Eip>>,
    /// The question is the addresses.
    eips_at: SharedAnswer<Vec<IpAddr>, Vec<Eip>>,
}

impl WatchedElb {
    /// Its id.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// The view that it is of.
    pub(super) fn view(&self) -> &Arc<CloudView> {
        &self.view
    }

    /// Watches its listener on that port for as long as what is returned is held.
    pub(super) fn watch(self: &Arc<Self>, port: u16) -> Arc<WatchedListener> {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(listener) = listeners.get(&port).and_then(Weak::upgrade) {
            return listener;
        }
        let number = self.view.listeners.fetch_add(1, Ordering::Relaxed);
        let listener = WatchedListener::new(Arc::clone(self), port, number);
        listeners.insert(port, Arc::downgrade(&listener));
        listener
    }

    /// It, out of the list of all that are watched. `None`: the list was answered without it, which
    /// alone does not mean that it is gone.
    pub(super) async fn listed(&self, sight: &mut Sight<'_>) -> Result<Option<Arc<LoadBalancer>>, Unseen> {
        let (view, deadline) = (&self.view, sight.deadline);
        let call = async {
            let ids = view.watched_ids();
            let listed = view.list(&ids, deadline).await;
            (ids, listed)
        };
        let usable = |window: &Window, answered: &Answered<Vec<String>, _>| {
            window.admits(answered.started) && answered.question.binary_search(&self.id).is_ok()
        };
        let listed = sight.ask("list load balancers", &view.listed, usable, call).await?;
        match listed.get(&self.id) {
            Some(elb) => Ok(Some(Arc::clone(elb))),
            None => match view.refused.why(&self.id) {
                Some(error) => Err(Unseen::Refused { id: self.id.clone(), error }),
                None => Ok(None),
            },
        }
    }

    /// It, by its own call.
    pub(super) async fn shown(&self, sight: &mut Sight<'_>) -> Result<Arc<LoadBalancer>, Unseen> {
        let (view, deadline) = (&self.view, sight.deadline);
        let call = async { ((), view.account.load_balancer(&view.cloud_region, &self.id, deadline).await) };
        sight.ask("show load balancer", &self.shown, is_admitted, call).await
    }

    /// The EIPs that the EIP API associates with it. That there are none is believed of an answer up to `none_age_max` old.
    pub(super) async fn eips(
        &self,
        sight: &mut Sight<'_>,
        none_age_max: Duration,
    ) -> Result<Arc<Vec<Eip>>, Unseen> {
        let (view, deadline) = (&self.view, sight.deadline);
        let usable = |window: &Window, answered: &Answered<(), Vec<Eip>>| {
            let none = answered.result.as_ref().is_ok_and(|eips| eips.is_empty());
            window.admits(answered.started) || none && window.is_younger(answered.started, none_age_max)
        };
        let call = async { ((), view.account.eips_of_elb(&view.cloud_region, &self.id, deadline).await) };
        sight.ask("list its EIPs", &self.eips, usable, call).await
    }

    /// What the EIP API says of these addresses. That it has them and none is bound is believed for [`AGREED_AGE_MAX`].
    pub(super) async fn eips_at(
        &self,
        addresses: &[IpAddr],
        sight: &mut Sight<'_>,
    ) -> Result<Arc<Vec<Eip>>, Unseen> {
        let (view, deadline) = (&self.view, sight.deadline);
        let usable = |window: &Window, answered: &Answered<Vec<IpAddr>, Vec<Eip>>| {
            let unbound = |eip: &Eip| eip.binding() == Binding::Nothing;
            let unbound =
                answered.result.as_ref().is_ok_and(|eips| !eips.is_empty() && eips.iter().all(unbound));
            answered.question == addresses
                && (window.admits(answered.started)
                    || unbound && window.is_younger(answered.started, AGREED_AGE_MAX))
        };
        let call = async {
            let mut found = Vec::new();
            for address in addresses {
                match view.account.eips_by_address(&view.cloud_region, *address, deadline).await {
                    Ok(eips) => found.extend(eips),
                    Err(error) => return (addresses.to_vec(), Err(error)),
                }
            }
            (addresses.to_vec(), Ok(found))
        };
        sight.ask("list the EIPs of its addresses", &self.eips_at, usable, call).await
    }

    /// Its status tree: a second opinion, by a call that lists and members have no part in. `None`: neither
    /// the tree nor the list has it: it is gone or hidden from us, see [`gone`](super::gone::gone).
    pub(super) async fn status_tree(&self, sight: &mut Sight<'_>) -> Result<Option<Arc<StatusTree>>, Unseen> {
        let (view, deadline) = (&self.view, sight.deadline);
        let call =
            async { ((), view.account.load_balancer_statuses(&view.cloud_region, &self.id, deadline).await) };
        match sight.ask("show status tree", &self.statuses, is_admitted, call).await {
            Ok(tree) => Ok(Some(tree)),
            Err(unseen) if unseen.is_not_found() => match self.listed(sight).await? {
                None => Ok(None),
                Some(_) => Err(Unseen::Contradiction(format!(
                    "load balancer {} is listed, and yet its status tree is not found",
                    self.id
                ))),
            },
            Err(unseen) => Err(unseen),
        }
    }
}

fn is_admitted<T>(window: &Window, answered: &Answered<(), T>) -> bool {
    window.admits(answered.started)
}

/// One look's way of asking: until when, which answers it may count, and which it did.
#[derive(Debug)]
pub(super) struct Sight<'a> {
    interval: Duration,
    began: Instant,
    deadline: Instant,
    window: Window,
    history: &'a mut History,
    trace: &'a mut Trace,
}

impl<'a> Sight<'a> {
    /// The sight of a look that starts now, of a check that looks every `interval` at present.
    pub(super) fn begin(
        history: &'a mut History,
        interval: Duration,
        deadline: Instant,
        trace: &'a mut Trace,
    ) -> Self {
        let now = instant_now();
        let window = history.window(now, interval);
        history.note(now);
        Self { interval, began: now, deadline, window, history, trace }
    }

    /// How often the check looks at present.
    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    /// How long the look may take in all.
    pub(super) fn timeout(&self) -> Duration {
        self.deadline.saturating_duration_since(self.began)
    }

    async fn ask<Q, T>(
        &mut self,
        what: &'static str,
        shared: &SharedAnswer<Q, T>,
        usable: impl Fn(&Window, &Answered<Q, T>) -> bool,
        call: impl Future<Output = (Q, Result<T, ApiError>)>,
    ) -> Result<Arc<T>, Unseen> {
        let window = self.window;
        self.trace.enter(Stage::Api);
        let answered = shared.get(self.deadline, |answered| usable(&window, answered), call).await;
        self.heard(what, answered.map_err(|DeadlinePassed| Unseen::Deadline))
    }

    /// The answer about a group, by the call that its checks share.
    pub(super) async fn ask_for_group<Q, T, F>(
        &mut self,
        what: &'static str,
        view: &CloudView,
        shared: &Arc<SharedCall<Q, T>>,
        usable: impl Fn(&Window, &Answered<Q, T>) -> bool,
        call: impl FnOnce() -> F,
    ) -> Result<Arc<T>, Unseen>
    where
        Q: Send + Sync + 'static,
        T: Send + Sync + 'static,
        F: Future<Output = Told<Q, T>> + Send + 'static,
    {
        let window = self.window;
        self.trace.enter(Stage::Api);
        let answered = shared.get(self.deadline, |answered| usable(&window, answered), call).await;
        let is_short = || view.account.is_short_of_requests();
        let unseen = |DeadlinePassed| if is_short() { Unseen::NotItsTurn } else { Unseen::Deadline };
        self.heard(what, answered.map_err(unseen))
    }

    fn heard<Q, T>(
        &mut self,
        what: &'static str,
        answered: Result<Arc<Answered<Q, T>>, Unseen>,
    ) -> Result<Arc<T>, Unseen> {
        let result = answered.and_then(|answered| {
            self.history.note(answered.started);
            answered.result.clone().map_err(Unseen::Api)
        });
        match &result {
            Ok(_) => self.trace.leave(format_args!("{what}: answered")),
            Err(unseen) => self.trace.leave(format_args!("{what}: {unseen}")),
        }
        result
    }
}

/// Why a look saw nothing. Always unknown, never a failure (BLIND-IS-NOT-DOWN).
#[derive(Clone, Debug)]
pub(super) enum Unseen {
    /// The API has no usable answer.
    Api(Arc<ApiError>),
    /// The look's deadline passed while it waited for a call of another look.
    Deadline,
    /// The same, while the account's request budget was short.
    NotItsTurn,
    /// The API has no usable answer about these ids, asked for apart from all others.
    About {
        /// The ids.
        ids: String,
        /// How it was answered.
        error: Arc<ApiError>,
    },
    /// Two calls do not agree, or an answer does not tell: what was seen, as a sentence.
    Contradiction(String),
    /// The list of load balancers refuses its id.
    Refused {
        /// The id.
        id: String,
        /// How it was refused.
        error: Arc<ApiError>,
    },
}

impl Unseen {
    /// Whether the API says that what was asked for does not exist.
    pub(super) fn is_not_found(&self) -> bool {
        match self {
            Self::Api(error) | Self::About { error, .. } => error.is_not_found(),
            Self::Deadline | Self::NotItsTurn | Self::Contradiction(_) | Self::Refused { .. } => false,
        }
    }

    /// Whether a question about several ids may have been refused because of one of them, by the service itself.
    pub(super) fn may_be_for_one_id(&self) -> bool {
        let is_the_gateways = |error: &ApiError| error.code().is_none_or(|code| code.starts_with("API"));
        match self {
            Self::Api(error) => match error.status() {
                // Longer than a gateway takes, however short we keep it.
                Some(413 | 414) => true,
                Some(400 | 404) => !is_the_gateways(error),
                Some(_) | None => error.is_denied_by_policy(),
            },
            Self::Deadline
            | Self::NotItsTurn
            | Self::About { .. }
            | Self::Contradiction(_)
            | Self::Refused { .. } => false,
        }
    }

    /// The same of a question about nothing but these ids, which it names.
    pub(super) fn about(self, ids: String) -> Self {
        if let Self::Api(error) = self { Self::About { ids, error } } else { self }
    }

    fn reason(&self) -> Reason {
        match self {
            Self::Api(error) | Self::About { error, .. } if error.is_throttle() => Reason::Throttled,
            Self::NotItsTurn => Reason::Throttled,
            Self::Api(error) | Self::About { error, .. } if error.is_credentials() => Reason::Credentials,
            Self::Api(_)
            | Self::About { .. }
            | Self::Deadline
            | Self::Contradiction(_)
            | Self::Refused { .. } => Reason::Api,
        }
    }
}

impl fmt::Display for Unseen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Api(error) => error.fmt(f),
            Self::About { ids, error } => write!(f, "asked for {ids} alone: {error}"),
            Self::Deadline => f.write_str("the deadline passed while another look's call was under way"),
            Self::NotItsTurn => f.write_str(
                "no answer before the deadline: our own request budget is short, and others had waited for longer",
            ),
            Self::Contradiction(saw) => f.write_str(saw),
            Self::Refused { id, error } => {
                write!(
                    f,
                    "load balancer {id} is left out of the list, which is refused with it; correct elb, or let the keys \
                     see it: {error}"
                )
            }
        }
    }
}

impl Look {
    /// What a look at the cloud came to; it never meets a certificate. What was seen has names of the cloud's in it.
    pub(super) fn new(outcome: Outcome, saw: impl AsRef<str>) -> Self {
        Self { outcome, saw: quoted(saw.as_ref(), SAW_MAX).into(), certificate: None }
    }
}

impl From<Unseen> for Look {
    fn from(unseen: Unseen) -> Self {
        Self::new(Outcome::Unknown(unseen.reason()), unseen.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_was_asked_for_before_the_last_look_is_no_news_to_the_next() {
        let (mut history, mut trace) = (History::default(), Trace::off());
        let (minute, asked) = (Duration::from_secs(60), instant_now());
        let mut admits = |asked| {
            let now = instant_now();
            Sight::begin(&mut history, minute, now + minute, &mut trace).window.admits(asked)
        };
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(admits(asked), "it is shared with a look that starts later");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!admits(asked));
    }
}

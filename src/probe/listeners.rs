//! What is behind the listeners that the checks of one account and cloud region watch, asked for many at a time.
//!
//! Two questions, each for up to a hundred listeners in one request: which pools a listener has ([`Topology`]), and the
//! members of those pools ([`Backends`]). An answer about many is taken apart by the ids in it; what cannot be told
//! apart for sure is asked for alone. It judges nothing: `elb` does. Start at [`WatchedListener::topology`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::cloud_view::{CloudView, Sight, Unseen, WatchedElb};
use super::elb::TOPOLOGY_AGE_MAX_IN_DOUBT;
use super::groups::{Group, Groups, Thing};
use super::shared_answer::{Answered, Window};
use crate::clock::instant_now;
use crate::huawei::{ApiError, Listener, Member, Pacing, Pool, Rank};

/// The listeners of a cloud region whose pools are asked for together. No two of one load balancer are: a pool that a
/// policy forwards to names its load balancer, and not the listener.
pub(super) type Topologies = Groups<WatchedListener, (), Found>;

/// The listeners whose members are asked for together. The question is the ids of the pools, sorted.
pub(super) type Memberships = Groups<WatchedListener, Vec<String>, Backends>;

/// How long a question waits for its turn, as long as anybody waits for the answer. Longer than the budget needs for one
/// answer to every question that a configuration may have.
const TURN_WITHIN: Duration = Duration::from_secs(30);

/// How often a probe asks anew because its group was split: a hundred are down to one after seven.
const SPLITS_MAX: usize = 10;

/// A listener that is watched.
#[derive(Debug)]
pub(super) struct WatchedListener {
    elb: Arc<WatchedElb>,
    port: u16,
    number: u64,
    /// What was last found behind it.
    topology: Mutex<Option<Arc<Topology>>>,
}

/// What is behind each listener of a group, by number; none where there is no listener on the port. What cannot be told
/// apart is not among them.
pub(super) type Found = BTreeMap<u64, Option<Arc<Topology>>>;

/// What is behind a port of a load balancer.
#[derive(Debug)]
pub(super) struct Topology {
    /// The listener on that port.
    pub(super) listener: Listener,
    /// Its default pool and those that its policies forward to.
    pub(super) pools: Vec<Pool>,
    /// The ids of the pools, that of the default pool included even when `pools` lacks it.
    pub(super) pool_ids: Vec<String>,
}

impl Topology {
    fn new(listener: Listener, pools: Vec<Pool>) -> Self {
        let mut pool_ids: Vec<String> = pools.iter().map(|pool| pool.id.clone()).collect();
        pool_ids.extend(listener.default_pool_id.clone());
        pool_ids.sort_unstable();
        pool_ids.dedup();
        Self { listener, pools, pool_ids }
    }

    /// Whether every pool that the listener is known to have was described. If not, an answer lacked
    /// something, or a pool was switched between two calls.
    pub(super) fn is_whole(&self) -> bool {
        self.pools.len() == self.pool_ids.len()
    }

    /// Whether its members can be told from those of other listeners.
    fn tells_members(&self) -> bool {
        self.is_whole() && self.pools.iter().all(|pool| pool.member_ids.is_some())
    }

    fn member_ids(&self) -> impl Iterator<Item = &String> {
        self.pools.iter().flat_map(|pool| pool.member_ids.iter().flatten())
    }
}

impl Drop for WatchedListener {
    fn drop(&mut self) {
        let view = self.elb.view();
        view.topologies.forget(self.number);
        view.memberships.forget(self.number);
    }
}

impl WatchedListener {
    /// A listener that is watched from now on: others ask for it too.
    pub(super) fn new(elb: Arc<WatchedElb>, port: u16, number: u64) -> Arc<Self> {
        let listener = Arc::new(Self { elb, port, number, topology: Mutex::default() });
        listener.of_topologies();
        listener.of_memberships();
        listener
    }

    /// Its load balancer.
    pub(super) fn elb(&self) -> &WatchedElb {
        &self.elb
    }

    /// Its port.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// What is behind it, as it was at most `age_max` before the look; `None` when there is no listener on
    /// the port. That, or an answer that is not whole, is never taken from what an earlier look counted.
    pub(super) async fn topology(
        self: &Arc<Self>,
        sight: &mut Sight<'_>,
        age_max: Duration,
    ) -> Result<Option<Arc<Topology>>, Unseen> {
        let view = self.elb.view();
        let usable = |window: &Window, answered: &Answered<(), Found>| {
            let Ok(found) = answered.result.as_deref() else { return window.admits(answered.started) };
            found.get(&self.number).is_some_and(|found| {
                let is_whole = found.as_ref().is_some_and(|found| found.is_whole());
                window.admits(answered.started) || (is_whole && window.is_younger(answered.started, age_max))
            })
        };
        for _ in 0..SPLITS_MAX {
            let group = self.of_topologies();
            let rank = if age_max == TOPOLOGY_AGE_MAX_IN_DOUBT { Rank::FinishesProbe } else { Rank::Begins };
            let asking = Asking::new(&group, sight, rank);
            let call = || {
                let (view, group) = (Arc::clone(self.elb.view()), Arc::clone(&group));
                async move { ((), view.resolve(&group, asking).await) }
            };
            match sight.ask_for_group("find listener and pools", view, &group.answer, usable, call).await {
                Err(unseen) if unseen.may_be_for_one_id() => {
                    if !view.topologies.split(&group) {
                        return Err(unseen.about(format!("load balancer {}", self.elb.id())));
                    }
                }
                Err(unseen) => return Err(unseen),
                Ok(found) => {
                    if let Some(found) = found.get(&self.number) {
                        return Ok(found.clone());
                    }
                    // It was set apart.
                }
            }
        }
        Err(never_alone())
    }

    /// The members of those pools, and of many others.
    pub(super) async fn backends(
        self: &Arc<Self>,
        sight: &mut Sight<'_>,
        topology: &Arc<Topology>,
        rank: Rank,
    ) -> Result<Arc<Backends>, Unseen> {
        let view = self.elb.view();
        let usable = |window: &Window, answered: &Answered<Vec<String>, Backends>| {
            let asked = |id: &String| answered.question.binary_search(id).is_ok();
            window.admits(answered.started) && topology.pool_ids.iter().all(asked)
        };
        for _ in 0..SPLITS_MAX {
            let mut group = self.of_memberships();
            if !topology.tells_members() && group.watched().len() > 1 {
                view.memberships.set_apart(self.as_one(None));
                group = self.of_memberships();
            }
            let asking = Asking::new(&group, sight, rank);
            let call = || {
                let (view, group) = (Arc::clone(self.elb.view()), Arc::clone(&group));
                let topology = Arc::clone(topology);
                async move { view.members(&group, &topology, asking).await }
            };
            match sight.ask_for_group("list members", view, &group.answer, usable, call).await {
                Err(unseen) if unseen.may_be_for_one_id() => {
                    if !view.memberships.split(&group) {
                        return Err(unseen.about(format!("pool {}", topology.pool_ids.join(", "))));
                    }
                }
                told => return told,
            }
        }
        Err(never_alone())
    }

    fn of_topologies(self: &Arc<Self>) -> Arc<Group<Self, (), Found>> {
        let thing = || self.as_one(Some(self.elb.id()));
        self.elb.view().topologies.of(thing, self.number)
    }

    fn of_memberships(self: &Arc<Self>) -> Arc<Group<Self, Vec<String>, Backends>> {
        self.elb.view().memberships.of(|| self.as_one(None), self.number)
    }

    fn as_one(self: &Arc<Self>, apart: Option<&str>) -> Thing<Self> {
        Thing { number: self.number, apart: apart.map(Arc::from), watched: Arc::downgrade(self) }
    }

    fn found(&self) -> Option<Arc<Topology>> {
        self.topology.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn has_found(&self, topology: Option<Arc<Topology>>) {
        *self.topology.lock().unwrap_or_else(PoisonError::into_inner) = topology;
    }
}

/// How a group's question is asked.
#[derive(Clone, Copy, Debug)]
struct Asking {
    pacing: Pacing,
    /// When it gives up waiting for its turn.
    deadline: Instant,
    /// How long it takes at most, once it was its turn.
    within: Duration,
}

impl Asking {
    fn new<Q, T>(group: &Group<WatchedListener, Q, T>, sight: &Sight<'_>, rank: Rank) -> Self {
        let (now, every) = (instant_now(), group.pace(sight.interval()));
        let within = sight.timeout();
        let pacing = Pacing { every, group: group.number(), rank, answer_within: Some(within) };
        Self { pacing, deadline: now + TURN_WITHIN.max(within), within }
    }
}

fn never_alone() -> Unseen {
    Unseen::Contradiction("the listener cannot be asked for by a request of its own".to_owned())
}

impl CloudView {
    /// What is behind the listeners of a group.
    async fn resolve(
        &self,
        group: &Group<WatchedListener, (), Found>,
        asking: Asking,
    ) -> Result<(Instant, Found), ApiError> {
        let watched = group.watched();
        let of: Vec<(String, u16)> =
            watched.iter().map(|listener| (listener.elb.id().to_owned(), listener.port)).collect();
        let listed =
            self.account().listeners_of(self.cloud_region(), &of, asking.pacing, asking.deadline).await?;
        let told = ToldApart::new(of, &listed.items);
        let ids: Vec<String> = told.known().map(|listener| listener.id.clone()).collect();
        let deadline = listed.asked + asking.within;
        let pacing = Pacing { rank: Rank::FinishesList, ..asking.pacing };
        let pools = self.account().pools_of(self.cloud_region(), &ids, pacing, deadline).await?;
        let mut found = Found::new();
        for (watched, listener) in watched.iter().zip(&told.listeners) {
            let topology = match listener {
                OnPort::Nothing => Some(None),
                OnPort::Untold => None,
                OnPort::Listener(listener) => {
                    let pools = told.pools_of(listener, watched.elb.id(), &pools);
                    pools.map(|pools| Some(Arc::new(Topology::new(listener.clone(), pools))))
                }
            };
            let Some(topology) = topology else {
                self.topologies.set_apart(watched.as_one(Some(watched.elb.id())));
                continue;
            };
            watched.has_found(topology.clone());
            found.insert(watched.number, topology);
        }
        Ok((listed.asked, found))
    }

    /// The members of all that a group's listeners have, and of that topology, which one of them has.
    async fn members(
        &self,
        group: &Group<WatchedListener, Vec<String>, Backends>,
        topology: &Topology,
        asking: Asking,
    ) -> (Vec<String>, Result<(Instant, Backends), ApiError>) {
        let watched = group.watched();
        let found: Vec<Arc<Topology>> = watched.iter().filter_map(|listener| listener.found()).collect();
        let found: Vec<&Topology> =
            found.iter().map(Arc::as_ref).filter(|_| watched.len() > 1).chain([topology]).collect();
        let pools: BTreeSet<&String> = found.iter().flat_map(|topology| &topology.pool_ids).collect();
        let pools: Vec<String> = pools.into_iter().cloned().collect();
        let told =
            self.account().members_told(self.cloud_region(), &pools, asking.pacing, asking.deadline).await;
        let backends = told.map(|told| {
            let missing = told.missing.map(Arc::new);
            let alone = (watched.len() == 1).then(|| topology.listener.id.clone());
            (told.asked, Backends::new(told.items, missing, alone, &found))
        });
        (pools, backends)
    }
}

/// The listeners that were asked for in one request.
struct ToldApart {
    /// Load balancer and port of each.
    asked: Vec<(String, u16)>,
    /// What there is of each of those.
    listeners: Vec<OnPort>,
}

/// What there is on a port of a load balancer.
enum OnPort {
    /// This listener.
    Listener(Listener),
    /// No listener.
    Nothing,
    /// That cannot be told: the answer does not say whose its listeners are.
    Untold,
}

impl ToldApart {
    fn new(asked: Vec<(String, u16)>, told: &[Listener]) -> Self {
        let is_one = asked.len() == 1;
        let is_told = is_one || told.iter().all(|listener| !listener.load_balancer_ids.is_empty());
        let its = |elb: &String, port: u16| {
            told.iter()
                .filter(|listener| listener.protocol_port == port)
                .filter(|listener| is_one || listener.load_balancer_ids.contains(elb))
                // A port can have a TCP and a UDP listener (QUIC beside HTTPS); the other checks talk TCP.
                .min_by_key(|listener| matches!(listener.protocol.as_str(), "UDP" | "QUIC"))
                .cloned()
        };
        let on_port = |(elb, port): &(String, u16)| match its(elb, *port) {
            _ if !is_told => OnPort::Untold,
            Some(listener) => OnPort::Listener(listener),
            None => OnPort::Nothing,
        };
        let listeners = asked.iter().map(on_port).collect();
        Self { asked, listeners }
    }

    /// Those that there are.
    fn known(&self) -> impl Iterator<Item = &Listener> {
        self.listeners.iter().filter_map(|on_port| match on_port {
            OnPort::Listener(listener) => Some(listener),
            OnPort::Nothing | OnPort::Untold => None,
        })
    }

    /// Those of the pools behind all of them that are behind this one, of that load balancer; none when that cannot be
    /// told. The answer about one listener is all its own. Else a pool is a listener's when one of them says so, or when it
    /// can be nobody else's.
    fn pools_of(&self, listener: &Listener, elb: &str, pools: &[Pool]) -> Option<Vec<Pool>> {
        if self.known().count() == 1 {
            return Some(pools.to_vec());
        }
        let has = |listener: &Listener, pool: &Pool| {
            listener.default_pool_id.as_ref() == Some(&pool.id) || pool.listener_ids.contains(&listener.id)
        };
        let mut its = Vec::new();
        for pool in pools {
            let could_be = |elb: &str| pool.load_balancer_ids.iter().any(|id| id == elb);
            if has(listener, pool) {
                its.push(pool.clone());
            } else if self.known().any(|other| has(other, pool)) {
                // A pool of several load balancers, which a policy of this one may forward to.
                if could_be(elb) {
                    return None;
                }
            } else if pool.load_balancer_ids.is_empty() {
                return None;
            } else if could_be(elb) {
                if self.asked.iter().filter(|(elb, _)| could_be(elb)).count() > 1 {
                    return None;
                }
                its.push(pool.clone());
            }
        }
        Some(its)
    }
}

/// The members of the pools of many listeners.
#[derive(Debug)]
pub(super) struct Backends {
    members: Vec<Member>,
    by_id: BTreeMap<String, usize>,
    /// Of the listeners that members say they are behind.
    by_listener: BTreeMap<String, Vec<usize>>,
    /// The listener that was asked for alone: all are its own.
    alone: Option<String>,
    /// Some are of no pool that is known: what is known of pools is out of date.
    pub(super) has_strays: bool,
    /// Why some were not answered, when so.
    missing: Option<Arc<ApiError>>,
}

impl Backends {
    fn new(
        members: Vec<Member>,
        missing: Option<Arc<ApiError>>,
        alone: Option<String>,
        of: &[&Topology],
    ) -> Self {
        let by_id: BTreeMap<String, usize> =
            members.iter().enumerate().map(|(at, member)| (member.id.clone(), at)).collect();
        let mut by_listener: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (at, member) in members.iter().enumerate() {
            for entry in &member.by_listener {
                by_listener.entry(entry.listener_id.clone()).or_default().push(at);
            }
        }
        let listed: BTreeSet<&String> = of.iter().flat_map(|topology| topology.member_ids()).collect();
        let listeners: BTreeSet<&String> = of.iter().map(|topology| &topology.listener.id).collect();
        let is_stray = |member: &Member| {
            !listed.contains(&member.id)
                && !member.by_listener.iter().any(|entry| listeners.contains(&entry.listener_id))
        };
        let has_strays = alone.is_none() && members.iter().any(is_stray);
        Self { members, by_id, by_listener, alone, has_strays, missing }
    }

    /// The members behind a listener: those that its pools list, and those that say so themselves, as one does that is new
    /// in a pool.
    pub(super) fn behind(&self, topology: &Topology) -> Vec<&Member> {
        if self.alone.as_ref() == Some(&topology.listener.id) {
            return self.members.iter().collect();
        }
        let listed = topology.member_ids().filter_map(|id| self.by_id.get(id).copied());
        let say_so = self.by_listener.get(&topology.listener.id).into_iter().flatten().copied();
        let at: BTreeSet<usize> = listed.chain(say_so).collect();
        at.into_iter().filter_map(|at| self.members.get(at)).collect()
    }

    /// Why it is not known of all members behind a listener how they are, when some were not answered.
    pub(super) fn lacks(&self, topology: &Topology) -> Option<Unseen> {
        let missing = self.missing.as_ref()?;
        let mut listed = topology.member_ids().peekable();
        let knows_all = topology.tells_members()
            && listed.peek().is_some()
            && listed.all(|id| self.by_id.contains_key(id));
        (!knows_all).then(|| Unseen::Api(Arc::clone(missing)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::huawei::{ListenerEntry, MemberState};

    fn listener(id: &str, elb: &str, port: u16) -> Listener {
        Listener {
            id: id.to_owned(),
            protocol: "HTTP".to_owned(),
            protocol_port: port,
            default_pool_id: Some(format!("default-{id}")),
            load_balancer_ids: vec![elb.to_owned()],
        }
    }

    fn pool(id: &str, listeners: &[&str], elbs: &[&str], members: Option<&[&str]>) -> Pool {
        let owned = |ids: &[&str]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
        Pool {
            id: id.to_owned(),
            name: String::new(),
            healthmonitor_id: Some("m".to_owned()),
            member_ids: members.map(owned),
            listener_ids: owned(listeners),
            load_balancer_ids: owned(elbs),
        }
    }

    fn member(id: &str, listeners: &[&str]) -> Member {
        let entry = |id: &&str| ListenerEntry {
            listener_id: id.to_string(),
            operating_status: MemberState::Online,
            reason_code: None,
        };
        Member {
            id: id.to_owned(),
            address: String::new(),
            protocol_port: 80,
            weight: 1,
            admin_state_up: true,
            operating_status: MemberState::Online,
            by_listener: listeners.iter().map(entry).collect(),
            reason_code: None,
        }
    }

    /// The ids of the pools of listener `a`, on load balancer `A`, when it is asked for with `b` on `B`.
    fn of_a(pools: &[Pool]) -> Option<Vec<String>> {
        let asked = vec![("A".to_owned(), 80), ("B".to_owned(), 80)];
        let told = ToldApart::new(asked, &[listener("a", "A", 80), listener("b", "B", 80)]);
        let its = told.pools_of(&listener("a", "A", 80), "A", pools);
        its.map(|pools| pools.into_iter().map(|pool| pool.id).collect())
    }

    #[test]
    fn a_pool_is_a_listeners_when_it_says_so_or_can_be_nobody_elses() {
        let defaults = [pool("default-a", &[], &[], None), pool("default-b", &["b"], &["B"], None)];
        assert_eq!(of_a(&defaults).unwrap(), ["default-a"]);
        assert_eq!(of_a(&[pool("policy", &[], &["A"], None)]).unwrap(), ["policy"]);
        assert_eq!(of_a(&[pool("policy", &[], &["B"], None)]).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn what_cannot_be_told_apart_is_not_guessed() {
        assert_eq!(of_a(&[pool("of-both", &[], &["A", "B"], None)]), None);
        assert_eq!(of_a(&[pool("of-b-and-a-policy-perhaps", &["b"], &["A", "B"], None)]), None);
        assert_eq!(of_a(&[pool("of-nobody", &[], &[], None)]), None);
        let mut untold = listener("a", "A", 80);
        untold.load_balancer_ids.clear();
        let told = ToldApart::new(vec![("A".to_owned(), 80), ("B".to_owned(), 80)], &[untold]);
        assert_eq!(told.known().count(), 0);
    }

    #[test]
    fn members_are_a_listeners_when_its_pools_list_them_or_they_say_so() {
        let topology = |id: &str, members: &[&str]| {
            let default = pool(&format!("default-{id}"), &[id], &[], Some(members));
            Topology::new(listener(id, id, 80), vec![default])
        };
        let (a, b) = (topology("a", &["a1"]), topology("b", &["b1"]));
        let told = vec![member("a1", &[]), member("b1", &[]), member("new", &["a"])];
        let backends = Backends::new(told.clone(), None, None, &[&a, &b]);
        let behind =
            |topology| backends.behind(topology).into_iter().map(|member| member.id.as_str()).collect();
        let (of_a, of_b): (Vec<&str>, Vec<&str>) = (behind(&a), behind(&b));
        assert_eq!((of_a, of_b, backends.has_strays), (vec!["a1", "new"], vec!["b1"], false));
        let stray = [told, vec![member("whose", &[])]].concat();
        assert!(Backends::new(stray, None, None, &[&a, &b]).has_strays);
    }
}

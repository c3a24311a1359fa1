//! The verdict on the backends behind a listener, from what the cloud says of them. Pure.
//!
//! All pools of the listener count together against `min_healthy`: a region serves while enough of its
//! backends do. A pool with none online beside others that have some is a dead part of the region's paths;
//! that is said, and left to a check of such a path. Only a backend that is surely not online counts
//! against the region (BLIND-IS-NOT-DOWN). Start at [`verdict`].

use std::collections::BTreeSet;
use std::fmt;

use super::Look;
use crate::huawei::{Listener, Member, MemberState, Pool, StatusTree};
use crate::model::{MinHealthy, Outcome, Reason};

/// Offline backends that a sentence names: enough to start with, as they mostly share one reason.
const OFFLINE_NAMED: usize = 3;

/// What a look at members came to.
#[derive(Debug)]
pub(super) struct Verdict {
    /// The look.
    pub(super) look: Look,
    /// Whether members that a pool lists are not in the answer: then the list may be out of date.
    pub(super) vanished: bool,
}

/// What the members of the listener's pools come to. Passes when enough are online; fails when there were
/// too few even if all in doubt were online; else is unknown. In doubt are members without a health
/// monitor or a result of one (`unmonitored`), and those that a pool lists and the answer lacks (`api`).
/// Members that are switched off or have weight 0 get no requests and count for nothing. No member at all
/// is unknown here, since it takes a second opinion: [`verdict_on_none`].
pub(super) fn verdict(
    listener: &Listener,
    pools: &[Pool],
    members: &[&Member],
    least: MinHealthy,
) -> Verdict {
    let blind: BTreeSet<&str> =
        pools.iter().filter(|pool| pool.healthmonitor_id.is_none()).flat_map(listed).collect();
    let mut tally = Tally::of(listener, &blind, members.iter().copied());
    let answered: BTreeSet<&str> = members.iter().map(|member| member.id.as_str()).collect();
    tally.absent = pools.iter().flat_map(listed).filter(|id| !answered.contains(id)).count();

    let outcome = if tally.meets(least, tally.online) {
        Outcome::Pass
    } else if !members.is_empty() && !tally.meets(least, tally.able() - tally.offline.len()) {
        Outcome::Fail(Reason::Backends)
    } else if members.is_empty() || tally.absent > 0 {
        Outcome::Unknown(Reason::Api)
    } else {
        Outcome::Unknown(Reason::Unmonitored)
    };

    let detail = match outcome {
        Outcome::Pass if tally.offline.is_empty() => String::new(),
        Outcome::Pass => dead_paths(listener, pools, &blind, members),
        Outcome::Fail(_) | Outcome::Unknown(_) => tally.named_offline(),
    };
    let port = listener.protocol_port;
    let saw =
        format!("{} of {} backends online behind listener {port}{tally}{detail}", tally.online, tally.able());
    Verdict { look: Look::new(outcome, saw), vanished: tally.absent > 0 }
}

/// The pools that have no backend online while others have; empty when there is none.
fn dead_paths(listener: &Listener, pools: &[Pool], blind: &BTreeSet<&str>, members: &[&Member]) -> String {
    let of_pool = |pool: &Pool| {
        let ids: BTreeSet<&str> = listed(pool).collect();
        let of_pool = members.iter().copied().filter(|member| ids.contains(member.id.as_str()));
        Tally::of(listener, blind, of_pool)
    };
    let tallies = pools.iter().map(|pool| (pool, of_pool(pool)));
    let dead = tallies.filter(|(_, tally)| tally.able() > 0 && tally.offline.len() == tally.able());
    let said: Vec<String> = dead
        .map(|(pool, tally)| {
            let (name, offline) = (&pool.name, tally.named_offline());
            format!("; a part of its paths is dead: none of pool {name:?} is online{offline}")
        })
        .collect();
    said.concat()
}

/// What it comes to that the listener's pools answered with no member: a failure when the pools' own lists
/// and the status tree, a different call, say the same; else unknown.
pub(super) fn verdict_on_none(listener: &Listener, pools: &[Pool], tree: &StatusTree) -> Look {
    let port = listener.protocol_port;
    let listed_empty = pools.iter().all(|pool| pool.member_ids.as_ref().is_some_and(Vec::is_empty));
    let of_tree = tree.listeners.iter().find(|other| other.id == listener.id);
    let tree_empty = pools.iter().all(|pool| {
        of_tree
            .and_then(|listener| listener.pools.iter().find(|other| other.id == pool.id))
            .is_some_and(|pool| pool.members.is_empty())
    });
    let (outcome, saw) = if listed_empty && tree_empty {
        let saw = format!("no backend in any pool of listener {port}: the pools and the status tree agree");
        (Outcome::Fail(Reason::Backends), saw)
    } else {
        let who = if listed_empty { "the status tree does" } else { "the pools' own lists do" };
        let saw = format!("no backend was answered for the pools of listener {port}, but {who} not say so");
        (Outcome::Unknown(Reason::Api), saw)
    };
    Look::new(outcome, saw)
}

/// The ids of the members that a pool lists; none when it does not tell.
fn listed(pool: &Pool) -> impl Iterator<Item = &str> {
    pool.member_ids.iter().flatten().map(String::as_str)
}

/// Backends by what can be said of them.
#[derive(Debug, Default)]
struct Tally<'a> {
    online: usize,
    offline: Vec<(&'a Member, Option<&'a str>)>,
    /// No health monitor, or no result of one.
    unmonitored: usize,
    /// Listed by a pool, and not in the answer.
    absent: usize,
    /// Switched off, or of weight 0.
    idle: usize,
}

impl<'a> Tally<'a> {
    /// Counts the members as that listener sees them; those in `blind` have no health monitor, whatever
    /// else is said of them.
    fn of(listener: &Listener, blind: &BTreeSet<&str>, members: impl Iterator<Item = &'a Member>) -> Self {
        let mut tally = Self::default();
        for member in members {
            let (state, reason) = member.state_for(&listener.id);
            if member.weight == 0 || !member.admin_state_up {
                tally.idle += 1;
            } else if blind.contains(member.id.as_str()) {
                tally.unmonitored += 1;
            } else {
                match state {
                    MemberState::Online => tally.online += 1,
                    MemberState::Offline => tally.offline.push((member, reason)),
                    MemberState::NoMonitor | MemberState::Initial | MemberState::Unknown => {
                        tally.unmonitored += 1;
                    }
                    MemberState::Disabled => tally.idle += 1,
                }
            }
        }
        tally
    }

    /// All that could serve.
    fn able(&self) -> usize {
        self.online + self.offline.len() + self.unmonitored + self.absent
    }

    /// Whether so many online are enough.
    fn meets(&self, least: MinHealthy, online: usize) -> bool {
        let clamp = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        least.is_met(clamp(online), clamp(self.able()))
    }

    /// The first few that are offline, with the cloud's reasons; empty when none is.
    fn named_offline(&self) -> String {
        let name = |(member, reason): &(&Member, Option<&str>)| {
            let Member { address, protocol_port: port, .. } = member;
            let reason = reason.unwrap_or("OFFLINE");
            let v6 = address.contains(':');
            if v6 { format!("[{address}]:{port} {reason}") } else { format!("{address}:{port} {reason}") }
        };
        let names: Vec<String> = self.offline.iter().take(OFFLINE_NAMED).map(name).collect();
        match self.offline.len() - names.len() {
            0 if names.is_empty() => String::new(),
            0 => format!(": {}", names.join(", ")),
            more => format!(": {} and {more} more", names.join(", ")),
        }
    }
}

impl fmt::Display for Tally<'_> {
    /// What the sentence adds to "online of able".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, what) in [
            (self.unmonitored, "without a health result"),
            (self.absent, "listed but not answered"),
            (self.idle, "more switched off or of weight 0"),
        ] {
            if number > 0 {
                write!(f, ", {number} {what}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::huawei::{StatusListener, StatusMember, StatusPool};
    use crate::model::Share;

    const ONE: MinHealthy = MinHealthy::Count(1);

    fn listener() -> Listener {
        let (protocol, default_pool_id) = ("HTTP".to_owned(), Some("web".to_owned()));
        let id = "l".to_owned();
        Listener { id, protocol, protocol_port: 80, default_pool_id, load_balancer_ids: Vec::new() }
    }

    fn pool(id: &str, members: &[&str]) -> Pool {
        Pool {
            id: id.to_owned(),
            name: id.to_owned(),
            healthmonitor_id: Some("monitor".to_owned()),
            member_ids: Some(members.iter().map(ToString::to_string).collect()),
            listener_ids: vec!["l".to_owned()],
            load_balancer_ids: Vec::new(),
        }
    }

    fn member(id: &str, state: MemberState) -> Member {
        Member {
            id: id.to_owned(),
            address: format!("10.0.0.{}", id.len()),
            protocol_port: 8080,
            weight: 1,
            admin_state_up: true,
            operating_status: state,
            by_listener: Vec::new(),
            reason_code: (state == MemberState::Offline).then(|| "CONNECT_REFUSED".to_owned()),
        }
    }

    /// The verdict on members in those states, all of one pool that lists them.
    fn on(states: &[MemberState], least: MinHealthy) -> (Outcome, String) {
        let ids = ["a", "bb", "ccc", "dddd", "eeeee"];
        let members: Vec<Member> = states.iter().zip(ids).map(|(state, id)| member(id, *state)).collect();
        let members: Vec<&Member> = members.iter().collect();
        let look = verdict(&listener(), &[pool("web", &ids[..states.len()])], &members, least).look;
        (look.outcome, look.saw.into_owned())
    }

    #[test]
    fn enough_online_pass_whatever_the_others_are() {
        use MemberState::{Initial, NoMonitor, Offline, Online, Unknown};
        assert_eq!(on(&[Online, Offline, NoMonitor, Initial, Unknown], ONE).0, Outcome::Pass);
        assert_eq!(
            on(&[Online, Online], MinHealthy::Count(2)),
            (Outcome::Pass, "2 of 2 backends online behind listener 80".to_owned())
        );
    }

    #[test]
    fn all_offline_fail_and_the_sentence_names_the_first_with_their_reasons() {
        let (outcome, saw) = on(&[MemberState::Offline; 5], ONE);
        assert_eq!(outcome, Outcome::Fail(Reason::Backends));
        assert_eq!(
            saw,
            "0 of 5 backends online behind listener 80: 10.0.0.1:8080 CONNECT_REFUSED, \
             10.0.0.2:8080 CONNECT_REFUSED, 10.0.0.3:8080 CONNECT_REFUSED and 2 more"
        );
    }

    #[test]
    fn backends_without_a_result_are_unknown_while_they_could_be_enough() {
        use MemberState::{Initial, NoMonitor, Offline, Unknown};
        for state in [Initial, NoMonitor, Unknown] {
            assert_eq!(on(&[state, Offline], ONE).0, Outcome::Unknown(Reason::Unmonitored), "{state:?}");
        }
        assert_eq!(on(&[Initial, Offline], MinHealthy::Count(2)).0, Outcome::Fail(Reason::Backends));
    }

    #[test]
    fn a_share_is_of_all_that_could_serve() {
        use MemberState::{Disabled, Offline, Online};
        let half = MinHealthy::Share(Share::from_percent(50).unwrap());
        assert_eq!(on(&[Online, Offline], half).0, Outcome::Pass);
        assert_eq!(on(&[Online, Offline, Offline], half).0, Outcome::Fail(Reason::Backends));
        assert_eq!(on(&[Online, Offline, Disabled], half).0, Outcome::Pass);
    }

    #[test]
    fn what_is_switched_off_or_without_weight_cannot_serve() {
        let mut off = member("a", MemberState::Online);
        off.admin_state_up = false;
        let mut weightless = member("bb", MemberState::Online);
        weightless.weight = 0;
        let look = verdict(&listener(), &[pool("web", &["a", "bb"])], &[&off, &weightless], ONE).look;
        assert_eq!(look.outcome, Outcome::Fail(Reason::Backends));
        assert_eq!(look.saw, "0 of 0 backends online behind listener 80, 2 more switched off or of weight 0");
    }

    #[test]
    fn without_a_health_monitor_no_state_is_believed() {
        let mut blind = pool("web", &["a"]);
        blind.healthmonitor_id = None;
        for state in [MemberState::Online, MemberState::Offline] {
            let look = verdict(&listener(), &[blind.clone()], &[&member("a", state)], ONE).look;
            assert_eq!(look.outcome, Outcome::Unknown(Reason::Unmonitored), "{state:?}");
        }
    }

    #[test]
    fn a_member_that_a_pool_lists_and_the_answer_lacks_is_in_doubt() {
        let found =
            verdict(&listener(), &[pool("web", &["a", "bb"])], &[&member("a", MemberState::Offline)], ONE);
        assert_eq!((found.look.outcome, found.vanished), (Outcome::Unknown(Reason::Api), true));
    }

    #[test]
    fn pools_count_together_and_a_dead_one_is_said() {
        let pools = [pool("web", &["a", "bb"]), pool("api", &["ccc"])];
        let members = [
            member("a", MemberState::Online),
            member("bb", MemberState::Offline),
            member("ccc", MemberState::Offline),
        ];
        let look = verdict(&listener(), &pools, &members.iter().collect::<Vec<_>>(), ONE).look;
        assert_eq!(look.outcome, Outcome::Pass);
        assert_eq!(
            look.saw,
            "1 of 3 backends online behind listener 80; a part of its paths is dead: \
             none of pool \"api\" is online: 10.0.0.3:8080 CONNECT_REFUSED"
        );
    }

    #[test]
    fn no_member_at_all_is_a_failure_only_when_pools_and_tree_say_so() {
        let tree = |pools: &[(&str, &[&str])]| StatusTree {
            operating_status: "ONLINE".to_owned(),
            listeners: vec![StatusListener {
                id: "l".to_owned(),
                pools: pools.iter().map(|(id, members)| of_tree(id, members)).collect(),
            }],
        };
        let of_tree_outcome =
            |pools: &[Pool], tree: &StatusTree| verdict_on_none(&listener(), pools, tree).outcome;
        let empty = [pool("web", &[])];
        let not_told = [Pool { member_ids: None, ..pool("web", &[]) }];
        assert_eq!(of_tree_outcome(&empty, &tree(&[("web", &[])])), Outcome::Fail(Reason::Backends));
        assert_eq!(of_tree_outcome(&empty, &tree(&[("web", &["a"])])), Outcome::Unknown(Reason::Api));
        assert_eq!(of_tree_outcome(&empty, &tree(&[])), Outcome::Unknown(Reason::Api));
        assert_eq!(of_tree_outcome(&not_told, &tree(&[("web", &[])])), Outcome::Unknown(Reason::Api));
        assert_eq!(
            of_tree_outcome(&[pool("web", &["a"])], &tree(&[("web", &[])])),
            Outcome::Unknown(Reason::Api)
        );
        assert_eq!(verdict(&listener(), &empty, &[], ONE).look.outcome, Outcome::Unknown(Reason::Api));
    }

    fn of_tree(id: &str, members: &[&str]) -> StatusPool {
        let state = MemberState::Online;
        let members = members.iter().map(|id| StatusMember { id: id.to_string(), state }).collect();
        StatusPool { id: id.to_owned(), members }
    }
}

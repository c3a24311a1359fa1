//! What of the newest failover outlives the process, so that one under way goes on: its write may land, be in force or be
//! shown by witnesses while nobody runs. Older ones are the journal's alone.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::ledger::{Cause, Course, Direction, Failover, Move, Moved};
use super::memory::Age;
use crate::model::{Fetched, Moment, RegionName, Ttl};

/// A failover, with ages in place of moments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FailoverMemory {
    number: u64,
    from: BTreeSet<IpAddr>,
    to: BTreeSet<IpAddr>,
    moves: Vec<MoveMemory>,
    old_ttl_s: u32,
    first: Option<Age>,
    verdict: Option<Age>,
    sent: Age,
    tries: u32,
    acknowledged: Option<Age>,
    active: Option<Age>,
    witnesses: Vec<(SocketAddr, Age)>,
    fetched: Option<FetchedMemory>,
    course: Course,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct MoveMemory {
    region: Option<RegionName>,
    direction: Direction,
    cause: Cause,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct FetchedMemory {
    at: Age,
    address: Option<IpAddr>,
    served: bool,
    saw: String,
}

impl FailoverMemory {
    pub(super) fn of(line: &Failover, now: Moment) -> Self {
        let age = |at: Moment| Age::of(at, now);
        Self {
            number: line.number,
            from: line.from.clone(),
            to: line.to.clone(),
            moves: line
                .moves
                .iter()
                .map(|it| MoveMemory { region: it.region.clone(), direction: it.direction, cause: it.cause })
                .collect(),
            old_ttl_s: line.old_ttl.as_seconds(),
            first: line.first.map(age),
            verdict: line.verdict.map(age),
            sent: age(line.sent),
            tries: line.tries,
            acknowledged: line.acknowledged.map(age),
            active: line.active.map(age),
            witnesses: line.witnesses.iter().map(|(witness, at)| (*witness, age(*at))).collect(),
            fetched: line.fetched.as_ref().map(|it| FetchedMemory {
                at: age(it.at),
                address: it.address,
                served: it.served,
                saw: it.saw.clone(),
            }),
            course: line.course,
        }
    }

    /// As it was remembered at `saved`.
    pub(super) fn recall(&self, saved: Moment) -> Failover {
        let moment = |age: Age| age.before(saved);
        let old_ttl = Ttl::found(self.old_ttl_s);
        let mut line = Failover {
            number: self.number,
            from: self.from.clone(),
            to: self.to.clone(),
            moves: self
                .moves
                .iter()
                .map(|it| Move {
                    region: it.region.clone(),
                    direction: it.direction,
                    cause: it.cause,
                    first: None,
                    verdict: None,
                })
                .collect(),
            old_ttl,
            first: self.first.map(moment),
            verdict: self.verdict.map(moment),
            sent: moment(self.sent),
            tries: self.tries,
            acknowledged: self.acknowledged.map(moment),
            active: self.active.map(moment),
            witnesses: self.witnesses.iter().map(|(witness, age)| (*witness, moment(*age))).collect(),
            moved: None,
            fetched: self.fetched.as_ref().map(|it| Fetched {
                at: moment(it.at),
                address: it.address,
                served: it.served,
                saw: it.saw.clone(),
            }),
            course: self.course,
        };
        if line.course == Course::Moved {
            line.moved = line.last_client();
        }
        line
    }
}

impl Failover {
    /// When the last client has moved, if nobody shows the old set any more: the old TTL after the last witness that showed
    /// the new one, or after it was in force when nobody was asked.
    pub(super) fn last_client(&self) -> Option<Moved> {
        let ttl = self.old_ttl.as_duration();
        let last = self.witnesses.values().max().map(|last| Moved::Seen(*last + ttl));
        last.or_else(|| self.active.map(|active| Moved::Reckoned(active + ttl)))
    }
}

//! The ledger: one line of times for each change of the record set, from the first failing look to the last client.
//!
//! A failover begins with its write: what was seen before is looked up then, and what is held back or called off before a
//! write is told by plans and transitions. A write that has to be sent again, or is superseded by one of the same
//! addresses before it was taken, is the same failover. Pure, bounded, and decides nothing: it is told what happened
//! and says which step of which line that was. Start at [`Failover`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::{Fetched, Moment, RegionName, Testimony, Ttl};

/// So many lines of a service are kept at hand; the journal has them all. An incident with its return fits several times.
pub const FAILOVERS_MAX: usize = 16;
/// So many witnesses of one failover are written down; more are asked all the same. A zone has a handful.
const WITNESSES_MAX: usize = 32;

/// One change of a record set and how it got to the clients. Times are in the order of the fields, never backwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failover {
    /// Tells it from the service's others, also over restarts.
    pub number: u64,
    /// What the set held.
    pub from: BTreeSet<IpAddr>,
    /// What it was to hold.
    pub to: BTreeSet<IpAddr>,
    /// What leaves it and what returns.
    pub moves: Vec<Move>,
    /// The TTL that it had before: clients that had just asked hold the old answer for so long.
    pub old_ttl: Ttl,
    /// The start of the first failing look, or the first passing one when nothing leaves; none without a look of ours behind it.
    pub first: Option<Moment>,
    /// When the last of the regions that it is about went down, or up; of an operator's word, when it was planned.
    pub verdict: Option<Moment>,
    /// When it was first sent.
    pub sent: Moment,
    /// How many times it was sent.
    pub tries: u32,
    /// When the provider took it; none also when its answer is lost.
    pub acknowledged: Option<Moment>,
    /// When a read showed it in force.
    pub active: Option<Moment>,
    /// When each witness first showed it.
    pub witnesses: BTreeMap<SocketAddr, Moment>,
    /// When the last client has moved.
    pub moved: Option<Moved>,
    /// What a client got then.
    pub fetched: Option<Fetched>,
    /// What became of it.
    pub course: Course,
}

/// One region's part in a failover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// Which region; none for the addresses of `fallback` and those of nobody's.
    pub region: Option<RegionName>,
    /// Which way.
    pub direction: Direction,
    /// By whom.
    pub cause: Cause,
    /// The look that it began with, and the verdict.
    pub(super) first: Option<Moment>,
    pub(super) verdict: Option<Moment>,
}

/// What becomes of a region in the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// It is taken out.
    Leaves,
    /// It is put in.
    Returns,
    /// It stays, with other addresses.
    Changes,
}

/// Who made a region move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Its checks.
    Checks,
    /// An operator's word.
    Operator,
    /// Neither: policy, another address, somebody else's change that is mended.
    Other,
}

/// When the last client that had just asked before must ask anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// By what the last witness showed.
    Seen(Moment),
    /// Nobody is asked: reckoned from the zone alone.
    Reckoned(Moment),
}

/// How far a failover is, or how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Course {
    /// Sent, and not known to be in force.
    Writing,
    /// In force; witnesses are asked.
    Witnessing,
    /// Every witness showed it, or there is none.
    Moved,
    /// In force, and not every witness showed it in time. May still move.
    Unconfirmed,
    /// The set came to hold what is wanted without it.
    CalledOff,
    /// Another change of the set came before clients had moved.
    Superseded,
}

/// A step that a failover has just made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// Its write was sent for the first time.
    Sent,
    /// The provider took it.
    Acknowledged,
    /// It is in force.
    Active,
    /// This witness shows it.
    Witness(SocketAddr),
    /// Every witness does: clients have moved when the old TTL is over.
    Moved,
    /// Not every witness does, and caches are no excuse any more.
    Unconfirmed,
    /// A client fetched the service.
    Fetched,
    /// It came to nothing.
    CalledOff,
    /// Another one came.
    Superseded,
}

/// A write that is being sent.
#[derive(Clone, Debug)]
pub(super) struct Sending {
    pub(super) from: BTreeSet<IpAddr>,
    pub(super) to: BTreeSet<IpAddr>,
    pub(super) old_ttl: Ttl,
    pub(super) moves: Vec<Move>,
}

/// A service's latest failovers, oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    lines: VecDeque<Failover>,
    /// How many there have ever been, which numbers them.
    count: u64,
}

impl Failover {
    /// The first time that is known of it.
    #[must_use]
    pub fn began(&self) -> Moment {
        self.first.or(self.verdict).unwrap_or(self.sent)
    }

    /// Whether nothing more can become of it.
    fn is_over(&self) -> bool {
        match self.course {
            Course::Writing | Course::Witnessing | Course::Unconfirmed => false,
            Course::Moved | Course::CalledOff | Course::Superseded => true,
        }
    }
}

impl Moved {
    /// When.
    #[must_use]
    pub fn at(self) -> Moment {
        match self {
            Self::Seen(at) | Self::Reckoned(at) => at,
        }
    }
}

impl Ledger {
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Failover> {
        self.lines.iter()
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Goes on from `count` failovers, of which the newest may still be known.
    pub(super) fn recall(count: u64, newest: Option<Failover>) -> Self {
        let mut ledger = Self { lines: VecDeque::new(), count };
        if let Some(line) = newest {
            ledger.count = ledger.count.max(line.number);
            ledger.push(line);
        }
        ledger
    }

    /// The newest, while anything can still become of it.
    pub(super) fn newest(&mut self) -> Option<&mut Failover> {
        self.lines.back_mut().filter(|line| !line.is_over())
    }

    /// The newest if it is in force and its witnesses have not all spoken: what they are asked is about it.
    pub(super) fn awaiting(&mut self) -> Option<&mut Failover> {
        self.newest().filter(|line| match line.course {
            Course::Witnessing | Course::Unconfirmed => true,
            Course::Writing | Course::Moved | Course::CalledOff | Course::Superseded => false,
        })
    }

    pub(super) fn sent(&mut self, now: Moment, sending: Sending) -> Vec<(Failover, Reached)> {
        let mut steps = Vec::new();
        if let Some(line) = self.newest() {
            if line.course == Course::Writing && line.acknowledged.is_none() && line.to == sending.to {
                // What was taken back unsent has not begun.
                if line.tries == 0 {
                    line.sent = now;
                }
                line.tries = line.tries.saturating_add(1);
                return steps;
            }
            line.course = Course::Superseded;
            steps.push((line.clone(), Reached::Superseded));
        }
        let Sending { from, to, old_ttl, moves } = sending;
        let about = || {
            let leaves = |it: &&Move| it.direction == Direction::Leaves && it.cause != Cause::Other;
            let any_leaves = moves.iter().any(|it| leaves(&it));
            moves.iter().filter(move |it| !any_leaves || leaves(it))
        };
        let first = about().filter_map(|it| it.first).min().map(|at| at.min(now));
        let verdict = about().filter_map(|it| it.verdict).max().map(|at| at.min(now));
        self.count = self.count.saturating_add(1);
        let line = Failover {
            number: self.count,
            verdict: verdict.map(|at| first.map_or(at, |first| at.max(first))),
            first,
            from,
            to,
            moves,
            old_ttl,
            sent: now,
            tries: 1,
            acknowledged: None,
            active: None,
            witnesses: BTreeMap::new(),
            moved: None,
            fetched: None,
            course: Course::Writing,
        };
        steps.push((line.clone(), Reached::Sent));
        self.push(line);
        steps
    }

    fn push(&mut self, line: Failover) {
        if self.lines.len() >= FAILOVERS_MAX {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    /// The write that was told of is not made.
    pub(super) fn withdrawn(&mut self) {
        if let Some(line) = self.writing() {
            line.tries = line.tries.saturating_sub(1);
        }
    }

    pub(super) fn acknowledged(&mut self, now: Moment) -> Option<(Failover, Reached)> {
        let line = self.writing().filter(|line| line.acknowledged.is_none())?;
        line.acknowledged = Some(now.max(line.sent));
        Some((line.clone(), Reached::Acknowledged))
    }

    /// The set was read, and these values are in force.
    pub(super) fn in_force(&mut self, now: Moment, values: &BTreeSet<IpAddr>) -> Option<(Failover, Reached)> {
        let line = self.writing().filter(|line| line.to == *values && line.tries > 0)?;
        line.active = Some(now.max(line.acknowledged.unwrap_or(line.sent)));
        line.course = Course::Witnessing;
        Some((line.clone(), Reached::Active))
    }

    /// The set was read, and holds what is wanted now.
    pub(super) fn in_sync(&mut self) -> Option<(Failover, Reached)> {
        let line = self.writing()?;
        line.course = Course::CalledOff;
        Some((line.clone(), Reached::CalledOff))
    }

    /// Somebody else changed what the newest line brought into force.
    pub(super) fn overtaken(&mut self) -> Option<(Failover, Reached)> {
        let line = self.awaiting()?;
        line.course = Course::Superseded;
        Some((line.clone(), Reached::Superseded))
    }

    fn writing(&mut self) -> Option<&mut Failover> {
        self.newest().filter(|line| line.course == Course::Writing)
    }

    /// These witnesses show the newest line's set.
    pub(super) fn witnessed<'a>(
        &mut self,
        agreeing: impl Iterator<Item = &'a Testimony>,
    ) -> Vec<(Failover, Reached)> {
        let mut steps = Vec::new();
        let Some(line) = self.awaiting() else { return steps };
        for Testimony { witness, at, .. } in agreeing {
            if line.witnesses.contains_key(witness) || line.witnesses.len() >= WITNESSES_MAX {
                continue;
            }
            line.witnesses.insert(*witness, line.active.map_or(*at, |active| active.max(*at)));
            steps.push((line.clone(), Reached::Witness(*witness)));
        }
        steps
    }

    /// All of them show it, or there is none: the last client moves when the TTL from before is over.
    pub(super) fn moved(&mut self) -> Option<(Failover, Reached)> {
        let line = self.awaiting()?;
        line.moved = line.last_client();
        line.course = Course::Moved;
        Some((line.clone(), Reached::Moved))
    }

    /// Caches are no excuse any more for those that show something else.
    pub(super) fn unconfirmed(&mut self) -> Option<(Failover, Reached)> {
        let line = self.awaiting().filter(|line| line.course == Course::Witnessing)?;
        line.course = Course::Unconfirmed;
        Some((line.clone(), Reached::Unconfirmed))
    }

    pub(super) fn fetched(&mut self, number: u64, fetched: Fetched) -> Option<(Failover, Reached)> {
        let line = self.lines.iter_mut().find(|line| line.number == number && line.fetched.is_none())?;
        line.fetched = Some(fetched);
        Some((line.clone(), Reached::Fetched))
    }
}

/// How long after a change took force a witness may go on with what it had cached: the TTL from before, and a margin for
/// resolvers that round it up or fetch ahead of its end.
pub(super) fn patience(old_ttl: Ttl) -> Duration {
    old_ttl.as_duration() + Duration::from_secs(10)
}

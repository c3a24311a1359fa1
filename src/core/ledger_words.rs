//! A failover in words, and as the API shows it.

use std::fmt::Write as _;
use std::time::Duration;

use super::ledger::{Cause, Course, Direction, Failover, Moved, Reached};
use crate::model::{FailoverStatus, Moment, MoveStatus, ServiceName, WitnessStatus};

impl Failover {
    /// Its name, as logs, journal and API spell it.
    #[must_use]
    pub fn id(&self, service: &ServiceName) -> String {
        format!("{service}-{}", self.number)
    }

    /// What it does: "region1 leaves, region2 returns".
    #[must_use]
    pub fn moves_in_words(&self) -> String {
        let moves = self.moves.iter().map(|it| match &it.region {
            Some(region) => format!("{region} {}", it.direction.as_str()),
            None => format!("what is no region's {}", it.direction.as_str()),
        });
        let moves: Vec<String> = moves.collect();
        if moves.is_empty() { "no address moves".to_owned() } else { moves.join(", ") }
    }

    /// All its times in one line, in seconds since the first of them.
    #[must_use]
    pub fn times_in_words(&self) -> String {
        let mut words = String::new();
        let mut add = |what: &str, at: Option<Moment>| {
            if let Some(at) = at {
                let gap = if words.is_empty() { "" } else { ", " };
                let _ = write!(words, "{gap}{what} {}", Seconds(at.since(self.began())));
            }
        };
        let first = if self.leaves() { "first failing look" } else { "first passing look" };
        add(first, self.first);
        add("verdict", self.verdict);
        add("sent", Some(self.sent));
        add("acknowledged", self.acknowledged);
        add("active", self.active);
        for (witness, at) in &self.witnesses {
            add(&format!("witness {witness}"), Some(*at));
        }
        match self.moved {
            Some(Moved::Seen(at)) => add("clients moved", Some(at)),
            Some(Moved::Reckoned(at)) => add("clients moved (reckoned, nobody is asked)", Some(at)),
            None => {}
        }
        if self.tries > 1 {
            let _ = write!(words, ", sent {} times", self.tries);
        }
        if let Some(fetched) = &self.fetched {
            let _ = write!(words, "; a client got: {fetched}");
        }
        words
    }

    /// Whether a region leaves by it, and not only one returns.
    #[must_use]
    pub fn leaves(&self) -> bool {
        self.moves.iter().any(|it| it.direction == Direction::Leaves)
    }

    /// As the API shows it.
    #[must_use]
    pub fn status(&self, service: &ServiceName, now: Moment) -> FailoverStatus {
        let began = self.began();
        let ms = |at: Moment| u64::try_from(at.since(began).as_millis()).unwrap_or(u64::MAX);
        FailoverStatus {
            id: self.id(service),
            course: self.course.as_str(),
            moves: self
                .moves
                .iter()
                .map(|it| MoveStatus {
                    region: it.region.clone(),
                    direction: it.direction.as_str(),
                    cause: it.cause.as_str(),
                })
                .collect(),
            from: self.from.clone(),
            to: self.to.clone(),
            began_ago_s: now.since(began).as_secs_f64(),
            began: None,
            first_look_ms: self.first.map(ms),
            verdict_ms: self.verdict.map(ms),
            sent_ms: ms(self.sent),
            tries: self.tries,
            acknowledged_ms: self.acknowledged.map(ms),
            active_ms: self.active.map(ms),
            witnesses: self
                .witnesses
                .iter()
                .map(|(address, at)| WitnessStatus { address: *address, at_ms: ms(*at) })
                .collect(),
            moved_ms: self.moved.map(|moved| ms(moved.at())),
            moved_is_reckoned: matches!(self.moved, Some(Moved::Reckoned(_))),
            fetched: self.fetched.as_ref().map(ToString::to_string),
        }
    }
}

struct Seconds(Duration);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "+{:.2} s", self.0.as_secs_f64())
    }
}

impl Direction {
    /// As journal and API spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Leaves => "leaves",
            Self::Returns => "returns",
            Self::Changes => "changes",
        }
    }
}

impl Cause {
    /// As journal and API spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Checks => "checks",
            Self::Operator => "operator",
            Self::Other => "other",
        }
    }
}

impl Course {
    /// As the API spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Writing => "writing",
            Self::Witnessing => "witnessing",
            Self::Moved => "moved",
            Self::Unconfirmed => "unconfirmed",
            Self::CalledOff => "called_off",
            Self::Superseded => "superseded",
        }
    }
}

impl Reached {
    /// As journal and log spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Acknowledged => "acknowledged",
            Self::Active => "active",
            Self::Witness(_) => "witness",
            Self::Moved => "moved",
            Self::Unconfirmed => "unconfirmed",
            Self::Fetched => "fetched",
            Self::CalledOff => "called_off",
            Self::Superseded => "superseded",
        }
    }

    /// What the failover is now, for a sentence.
    #[must_use]
    pub fn in_words(self, failover: &Failover) -> String {
        match self {
            Self::Sent => "on its way".to_owned(),
            Self::Acknowledged => "taken by the provider".to_owned(),
            Self::Active => "in force".to_owned(),
            Self::Witness(witness) => format!("shown by {witness}"),
            Self::Moved if failover.witnesses.is_empty() => "in force, and no witness is asked".to_owned(),
            Self::Moved => "shown by every witness".to_owned(),
            Self::Unconfirmed => "not shown by every witness in time".to_owned(),
            Self::Fetched => "used by a client".to_owned(),
            Self::CalledOff => "called off: the set holds what is wanted without it".to_owned(),
            Self::Superseded => "superseded by another change of the set".to_owned(),
        }
    }
}

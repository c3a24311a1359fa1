//! The order in which requests for probes go while an account's budget is short.
//!
//! Pure. Each question is asked at an interval of its own. The next request goes to the question that is late by the
//! most of its own intervals: so the probes of suspects, at their fast pace, come before the others; those of one pace fall
//! behind evenly; and what was not asked for a while counts as fast, so that none waits for good. The requests that finish
//! a probe or a list under way go before all. Start at [`Line::is_first`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// How often a question is asked of which nothing is said; the default `interval`.
const EVERY: Duration = Duration::from_secs(5);

/// The shortest interval that counts, the default `fast_interval`: a shorter one gains nothing while the budget is short.
const FASTEST: Duration = Duration::from_secs(1);

/// What was not asked for so long counts as asked at [`FASTEST`], whatever its pace: a third of the 30 s for which a check
/// may be without an answer.
const OVERDUE: Duration = Duration::from_secs(10);

/// How long a question that nobody asks any more is remembered; longer than any that is asked is late.
const REMEMBERED: Duration = Duration::from_secs(120);

/// How soon a request is wanted, compared with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pacing {
    /// How often the question is asked at present. Default 5 s.
    pub every: Duration,
    /// Tells apart the questions that have one path. Default 0.
    pub group: u32,
    /// What it is for. Default [`Rank::Begins`].
    pub rank: Rank,
    /// How long an answer may take from when its request is sent; the rest of its list and other tries included. Default:
    /// until the deadline, which then is for the wait alone.
    pub answer_within: Option<Duration>,
}

/// What a request is for; later ones go before earlier ones, for they complete what was paid for already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// The first question of a probe.
    Begins,
    /// A further question of a probe, seldom asked, without which the answer to the first is in vain.
    FinishesProbe,
    /// A further page of a list, or a list that belongs to it.
    FinishesList,
}

impl Default for Pacing {
    fn default() -> Self {
        Self { every: EVERY, group: 0, rank: Rank::Begins, answer_within: None }
    }
}

/// Those who wait, at most one for each call under way, and when each question was last asked.
#[derive(Debug, Default)]
pub(super) struct Line {
    waiting: BTreeMap<Ticket, Waiter>,
    asked: BTreeMap<Question, Instant>,
    last: Ticket,
}

/// A place in the line; earlier ones are smaller.
pub(super) type Ticket = u64;

/// A region and path, and the group.
type Question = (String, u32);

#[derive(Debug)]
struct Waiter {
    question: Question,
    pacing: Pacing,
    /// Told when it may be this one's turn.
    wake: Arc<Notify>,
}

impl Line {
    /// Takes a place for a request to that region and path.
    pub(super) fn join(&mut self, question: &str, pacing: Pacing, now: Instant) -> (Ticket, Arc<Notify>) {
        self.last += 1;
        let question = (question.to_owned(), pacing.group);
        // A new question is as late as one that is due now: a crowd of new ones must not go before all others.
        let due = now.checked_sub(pacing.every).unwrap_or(now);
        self.asked.entry(question.clone()).or_insert(due);
        let wake = Arc::new(Notify::new());
        self.waiting.insert(self.last, Waiter { question, pacing, wake: Arc::clone(&wake) });
        (self.last, wake)
    }

    /// Whether nobody goes before that one. If somebody does, it is woken.
    pub(super) fn is_first(&self, ticket: Ticket, now: Instant) -> bool {
        match self.first(now) {
            Some((first, waiter)) if first != ticket => {
                waiter.wake.notify_one();
                false
            }
            Some(_) | None => true,
        }
    }

    /// That one's request is sent now.
    pub(super) fn sent(&mut self, ticket: Ticket, now: Instant) {
        if let Some(waiter) = self.waiting.remove(&ticket) {
            self.asked.insert(waiter.question, now);
            self.asked.retain(|_, asked| now.saturating_duration_since(*asked) < REMEMBERED);
        }
        self.wake_first(now);
    }

    /// That one gives up, unless its request was sent.
    pub(super) fn leave(&mut self, ticket: Ticket, now: Instant) {
        if self.waiting.remove(&ticket).is_some() {
            self.wake_first(now);
        }
    }

    fn wake_first(&self, now: Instant) {
        if let Some((_, waiter)) = self.first(now) {
            waiter.wake.notify_one();
        }
    }

    /// Whether anybody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn first(&self, now: Instant) -> Option<(Ticket, &Waiter)> {
        // Of equals the one that came first.
        let order = |(a_ticket, a): &(&Ticket, &Waiter), (b_ticket, b): &(&Ticket, &Waiter)| {
            let by_rank = a.pacing.rank.cmp(&b.pacing.rank);
            by_rank.then_with(|| self.late(a, now).total_cmp(&self.late(b, now))).then(b_ticket.cmp(a_ticket))
        };
        self.waiting.iter().max_by(order).map(|(ticket, waiter)| (*ticket, waiter))
    }

    /// The intervals since the question was last asked.
    fn late(&self, waiter: &Waiter, now: Instant) -> f64 {
        let asked = self.asked.get(&waiter.question).copied().unwrap_or(now);
        let since = now.saturating_duration_since(asked);
        let every = if since < OVERDUE { waiter.pacing.every.max(FASTEST) } else { FASTEST };
        since.as_secs_f64() / every.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::instant_now;

    const S: Duration = Duration::from_secs(1);

    fn paced(every: Duration, group: u32) -> Pacing {
        Pacing { every, group, ..Pacing::default() }
    }

    /// Asks in every second what is asked at those intervals, while only one request a second goes. How often each went.
    fn short(intervals: &[Duration], seconds: u32) -> Vec<u32> {
        let (mut line, start) = (Line::default(), instant_now());
        let mut sent = vec![0; intervals.len()];
        let mut places: Vec<Option<Ticket>> = vec![None; intervals.len()];
        for second in 1..=seconds {
            let now = start + S * second;
            for (group, every) in (0_u32..).zip(intervals) {
                let place = &mut places[group as usize];
                place.get_or_insert_with(|| line.join("members", paced(*every, group), now).0);
            }
            let first = places.iter().position(|place| line.is_first(place.unwrap(), now)).unwrap();
            line.sent(places[first].take().unwrap(), now);
            sent[first] += 1;
        }
        sent
    }

    #[test]
    fn what_is_probed_faster_goes_first_and_nobody_waits_for_good() {
        // Three at the fast pace, three at the normal one.
        let sent = short(&[S, S, S, 5 * S, 5 * S, 5 * S], 600);
        let (fast, normal) = sent.split_at(3);
        assert!(fast.iter().all(|sent| (130..150).contains(sent)), "{sent:?}");
        assert!(normal.iter().all(|sent| (50..70).contains(sent)), "{sent:?}");
        // Many more: all count as fast before it is their turn.
        let sent = short(&[[S; 20], [5 * S; 20]].concat(), 600);
        assert!(sent.iter().all(|sent| (14..=16).contains(sent)), "{sent:?}");
    }

    #[test]
    fn what_finishes_a_list_goes_before_what_begins_one() {
        let (mut line, now) = (Line::default(), instant_now());
        let (late, _) = line.join("members", paced(S, 1), now);
        let (finishes, _) = line.join("members", Pacing { rank: Rank::FinishesList, ..paced(5 * S, 2) }, now);
        assert!(!line.is_first(late, now + 60 * S) && line.is_first(finishes, now + 60 * S));
        line.leave(finishes, now);
        assert!(line.is_first(late, now));
    }

    #[test]
    fn a_crowd_of_new_questions_does_not_go_before_the_one_that_is_late() {
        let (mut line, start) = (Line::default(), instant_now());
        let (ticket, _) = line.join("members", paced(S, 0), start);
        let now = start + 2 * S;
        for group in 1..100 {
            line.join("statuses", paced(S, group), now);
        }
        assert!(line.is_first(ticket, now));
    }
}

//! The temporary keys of this machine's agency: taken when first needed, renewed before they end.
//!
//! A renewal runs beside the calls, one at a time; only a call that has no good keys waits for it. One that
//! fails leaves the old keys in use until they really end. Keys end by the cloud's clock;
//! pauses between requests are monotonic. Start at [`Agency::get`].

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::cloud_clock::CloudClock;
use super::credentials::Credentials;
use super::metadata::{Metadata, MetadataError};
use super::outside::Network;
use super::retry::{doubled, spread};
use crate::clock::instant_now;

/// With less than this left, keys are renewed; as the vendor's SDK.
const RENEW_BEFORE: Duration = Duration::from_secs(40 * 60);

/// Between two requests for keys while there are good ones. The service gives the same keys until it has
/// made new ones, which it does at a time of its own.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Between two requests for keys while there are none: calls fail meanwhile.
const PAUSE_WITHOUT_KEYS_MAX: Duration = Duration::from_secs(5);

/// Between two requests for keys in any case, so that keys the cloud refuses do not make a storm.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// How long what went wrong speaks for the service, so that calls fail at once while it stays away: longer
/// than a renewal and the pause before it take.
const PROBLEM_KEPT: Duration = Duration::from_secs(30);

/// How often a renewal that keeps failing is told.
const TELL_EVERY: Duration = Duration::from_secs(10 * 60);

/// Why there are no keys of the agency.
#[derive(Debug, thiserror::Error)]
pub(super) enum AgencyError {
    #[error("the agency's keys are still being asked for")]
    Waiting,
    #[error("{0}")]
    Refused(Arc<MetadataError>),
    #[error("the temporary keys ended at {ended}, and there are no new ones: {source}")]
    Ended { ended: Timestamp, source: Arc<MetadataError> },
}

/// The agency's keys. Dropping it ends a renewal under way.
pub(super) struct Agency {
    shared: Arc<Shared>,
    /// The renewal under way; at most one.
    renewal: Mutex<JoinSet<()>>,
}

struct Shared {
    metadata: Metadata,
    clock: Arc<CloudClock>,
    state: watch::Sender<State>,
}

#[derive(Default)]
struct State {
    keys: Option<Arc<Credentials>>,
    /// The cloud did not take these keys: others are wanted before their time.
    refused: bool,
    /// How many renewals in a row were made for that and brought the same keys.
    in_vain: u32,
    renewing: bool,
    /// When the last renewal was over, well or not.
    last: Option<Instant>,
    /// Where the next pause lies between half of it and all of it, from 0 to 1.
    chance: f64,
    /// Renewals that failed since the last that did not.
    failures: u32,
    problem: Option<Arc<MetadataError>>,
    told: Option<Instant>,
}

impl State {
    /// How long the keys are still good; none when there are none or they have ended.
    fn left(&self, cloud: Duration) -> Option<Duration> {
        let expires = self.keys.as_ref()?.expires?;
        expires.checked_sub(cloud).filter(|left| !left.is_zero())
    }

    /// A renewal is to begin.
    fn is_due(&self, now: Instant, cloud: Duration) -> bool {
        let left = self.left(cloud);
        let longest = left.map_or(PAUSE_WITHOUT_KEYS_MAX, |left| (left / 4).clamp(PAUSE_MIN, PAUSE_MAX));
        let pause = match (left, self.failures) {
            (_, 1..) => doubled(PAUSE_MIN, self.failures - 1, longest),
            (None, 0) => Duration::ZERO,
            (Some(_), 0) if self.refused => doubled(PAUSE_MIN, self.in_vain, PAUSE_MAX),
            (Some(left), 0) if left < RENEW_BEFORE => longest,
            (Some(_), 0) => return false,
        };
        let pause = spread(pause, self.chance);
        !self.renewing && self.last.is_none_or(|last| now.saturating_duration_since(last) >= pause)
    }

    /// Whether a call has no reason to wait for the renewal under way.
    fn is_settled(&self, now: Instant, cloud: Duration) -> bool {
        let speaks = |last| now.saturating_duration_since(last) < PROBLEM_KEPT;
        !self.renewing
            || !self.refused && self.left(cloud).is_some()
            || self.problem.is_some() && self.last.is_some_and(speaks)
    }

    /// What a call gets that does not wait any longer.
    fn outcome(&self, cloud: Duration) -> Result<Arc<Credentials>, AgencyError> {
        match (&self.keys, &self.problem) {
            (Some(keys), _) if self.left(cloud).is_some() => Ok(keys.clone()),
            (_, None) => Err(AgencyError::Waiting),
            (None, Some(problem)) => Err(AgencyError::Refused(problem.clone())),
            (Some(keys), Some(problem)) => {
                Err(AgencyError::Ended { ended: end_of(keys), source: problem.clone() })
            }
        }
    }

    fn renewed(&mut self, keys: Credentials) {
        if self.told.take().is_some() {
            tracing::info!(access_key = keys.access_key, "renewed the agency's keys again");
        } else {
            tracing::debug!(access_key = keys.access_key, "asked for the agency's keys");
        }
        let same = self.keys.as_ref().is_some_and(|held| held.access_key == keys.access_key);
        self.in_vain = if self.refused && same { self.in_vain.saturating_add(1) } else { 0 };
        self.keys = Some(Arc::new(keys));
        (self.refused, self.failures, self.problem) = (false, 0, None);
    }

    fn failed(&mut self, error: MetadataError, now: Instant, cloud: Duration) {
        self.failures = self.failures.saturating_add(1);
        self.problem = Some(Arc::new(error));
        let long_ago = self.told.is_none_or(|told| now.saturating_duration_since(told) >= TELL_EVERY);
        if let Some(trouble) = self.trouble(cloud).filter(|_| self.keys.is_some() && long_ago) {
            // The first time the alarm tells it.
            if self.told.replace(now).is_some() {
                tracing::warn!("{trouble}");
            }
        }
    }

    /// What somebody should know while renewals fail.
    fn trouble(&self, cloud: Duration) -> Option<String> {
        let problem = self.problem.as_ref()?;
        match self.outcome(cloud) {
            Err(error) => Some(error.to_string()),
            Ok(keys) => Some(format!(
                "cannot renew the agency's keys: {problem}; the present ones are good until {}, then no call \
                 can be made: see whether this machine still has its agency and reaches its metadata service",
                end_of(&keys)
            )),
        }
    }
}

/// To the second; keys that do not say have no end.
fn end_of(keys: &Credentials) -> Timestamp {
    let seconds = keys.expires.and_then(|ends| i64::try_from(ends.as_secs()).ok());
    seconds.and_then(|seconds| Timestamp::from_second(seconds).ok()).unwrap_or(Timestamp::MAX)
}

impl Agency {
    /// No I/O here. `base` replaces the metadata service's own address.
    pub(super) fn new(network: Network, base: Option<&str>, clock: Arc<CloudClock>) -> Self {
        let metadata = Metadata::new(network, base, clock.clone());
        let shared = Shared { metadata, clock, state: watch::Sender::default() };
        Self { shared: Arc::new(shared), renewal: Mutex::default() }
    }

    /// The keys. Waits for the metadata service, until the deadline at most, only while there are none that
    /// are good and taken, and nothing is known of why.
    pub(super) async fn get(&self, deadline: Instant) -> Result<Arc<Credentials>, AgencyError> {
        let mut watched = self.shared.state.subscribe();
        self.renew_when_due();
        let settled = |state: &State| state.is_settled(instant_now(), self.shared.clock.now());
        let _ = timeout_at(deadline, watched.wait_for(settled)).await; // what there is by then, is told
        self.shared.state.borrow().outcome(self.shared.clock.now())
    }

    /// The cloud did not take these keys. They stay in use until there are others: the refusal may be a
    /// passing fault of the cloud's.
    pub(super) fn refused(&self, keys: &Arc<Credentials>) {
        self.shared.state.send_if_modified(|state| {
            let held = state.keys.as_ref().is_some_and(|held| Arc::ptr_eq(held, keys));
            state.refused |= held;
            false
        });
    }

    /// The wall time since 1970 at which the keys end.
    pub(super) fn expires(&self) -> Option<Duration> {
        self.shared.state.borrow().keys.as_ref()?.expires
    }

    /// What somebody should know: the keys cannot be renewed.
    pub(super) fn alarm(&self) -> Option<String> {
        self.shared.state.borrow().trouble(self.shared.clock.now())
    }

    fn renew_when_due(&self) {
        let mut renewal = self.renewal.lock().unwrap_or_else(PoisonError::into_inner);
        while renewal.try_join_next().is_some() {}
        let begins = self.shared.state.send_if_modified(|state| {
            state.renewing &= !renewal.is_empty(); // one that panicked did not say that it is over
            let due = state.is_due(instant_now(), self.shared.clock.now());
            state.renewing |= due;
            due
        });
        if begins {
            let shared = self.shared.clone();
            renewal.spawn(async move { shared.renew().await });
        }
    }
}

impl Shared {
    async fn renew(&self) {
        let got = self.metadata.keys().await;
        let (now, cloud) = (instant_now(), self.clock.now());
        self.state.send_modify(|state| {
            state.renewing = false;
            (state.last, state.chance) = (Some(now), rand::random());
            match got {
                Ok(keys) => state.renewed(keys),
                Err(error) => state.failed(error, now, cloud),
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::wall_time;

    const HOUR: Duration = Duration::from_secs(3600);

    /// Keys that end after so long, asked for just now; pauses are whole.
    fn held(left: Duration, now: Instant, wall: Duration) -> State {
        let keys = Credentials {
            access_key: "AK".to_owned(),
            secret_key: crate::model::Secret::new("secret"),
            security_token: None,
            project_id: None,
            domain_id: None,
            iam_endpoint: None,
            expires: Some(wall + left),
            source: String::new(),
        };
        State { keys: Some(Arc::new(keys)), last: Some(now), chance: 1.0, ..State::default() }
    }

    /// After how many whole seconds the next renewal begins, of those in `within`.
    fn due_after(state: &State, now: Instant, wall: Duration, within: Duration) -> Option<u64> {
        let later = |after: &u64| {
            let after = Duration::from_secs(*after);
            state.is_due(now + after, wall + after)
        };
        (0..=within.as_secs()).find(later)
    }

    #[test]
    fn keys_are_renewed_forty_minutes_before_they_end_and_short_ones_after_a_quarter() {
        let (now, wall) = (instant_now(), wall_time());
        let due = |left| due_after(&held(left, now, wall), now, wall, left);
        assert_eq!(due(24 * HOUR), Some(24 * 3600 - 40 * 60 + 1));
        assert_eq!(
            due(HOUR / 2),
            Some(60),
            "the service gave them with less than that left: it has new ones soon"
        );
        assert_eq!(due(Duration::from_secs(20)), Some(4));
        assert_eq!(due(Duration::from_secs(3)), Some(1));
        assert_eq!(due(Duration::ZERO), Some(0));
    }

    #[test]
    fn pauses_double_while_renewals_fail_or_bring_what_was_refused() {
        let (now, wall) = (instant_now(), wall_time());
        let pauses = |state: &dyn Fn(u32) -> State| -> Vec<_> {
            (1..9).map(|times| due_after(&state(times), now, wall, HOUR).unwrap()).collect()
        };
        let failing = pauses(&|failures| State { failures, ..held(HOUR, now, wall) });
        assert_eq!(failing, [1, 2, 4, 8, 16, 32, 60, 60]);
        let without = pauses(&|failures| State { failures, ..held(Duration::ZERO, now, wall) });
        assert_eq!(without, [1, 2, 4, 5, 5, 5, 5, 5]);
        let in_vain =
            pauses(&|times| State { refused: true, in_vain: times - 1, ..held(24 * HOUR, now, wall) });
        assert_eq!(in_vain, [1, 2, 4, 8, 16, 32, 60, 60]);
        let spread = State { failures: 3, chance: 0.0, ..held(HOUR, now, wall) };
        assert_eq!(due_after(&spread, now, wall, HOUR), Some(2));
    }

    #[test]
    fn a_call_waits_for_a_renewal_only_without_keys_and_without_a_reason_why() {
        let (now, wall) = (instant_now(), wall_time());
        let waits = |state: State| !State { renewing: true, ..state }.is_settled(now, wall);
        let away = || Some(Arc::new(MetadataError::NoAgency));
        let long_ago = now.checked_sub(2 * PROBLEM_KEPT);
        assert!(waits(State::default()), "the first");
        assert!(!waits(held(HOUR, now, wall)));
        assert!(waits(State { refused: true, ..held(HOUR, now, wall) }), "others may be taken");
        assert!(waits(held(Duration::ZERO, now, wall)), "they ended while nobody called");
        assert!(!waits(State { problem: away(), ..held(Duration::ZERO, now, wall) }));
        assert!(!waits(State { problem: away(), refused: true, ..held(HOUR, now, wall) }));
        assert!(waits(State { problem: away(), last: long_ago, ..held(Duration::ZERO, now, wall) }));
        assert!(State::default().is_settled(now, wall), "there is nothing to wait for");
    }
}

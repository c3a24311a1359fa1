//! How many requests an account may send, and when.
//!
//! All regions of an account share one [`Budget`], since the cloud counts by account. It has three
//! shares that cannot take from each other, so that no number of looks keeps a record set from being
//! written. Requests for probes go in the order of `line`, the others as they come. A throttle pauses the API that sent
//! it, in its region alone. [`State`] is pure; [`Budget`] asks it and sleeps.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use super::Api;
use super::error::Effect;
use super::line::{Line, Pacing, Ticket};
use super::retry::{doubled, spread};
use crate::clock::instant_now;

/// The first pause after a throttle that names no time; doubles for each one in a row.
const PAUSE_FIRST: Duration = Duration::from_secs(1);

/// The longest pause that we choose ourselves.
const PAUSE_LONGEST: Duration = Duration::from_secs(30);

/// The longest pause that an answer can impose: past this a `Retry-After` is taken for a mistake.
pub(super) const PAUSE_OBEYED: Duration = Duration::from_secs(600);

/// However long the DNS API wants to be left alone, a request goes through this long after the last one that it throttled:
/// a dead region must leave, and the reconciler tries that every 15 s.
const RECORD_TRY_EVERY: Duration = Duration::from_secs(14);

/// How many requests a second an account may send for looks, in the long run.
pub const LOOKS_A_SECOND: u32 = 20;

/// A request that is to be sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) share: Share,
    pub(super) api: Api,
    pub(super) region: &'a str,
    /// Its path, which tells it apart from others of its region.
    pub(super) path: &'a str,
    pub(super) pacing: Pacing,
}

/// Who a request is sent for. The cloud's own limits are not published; these are far below what is
/// heard of (some 100 a second), and far above what a few hundred regions at 5 s need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Share {
    /// Looks: ELB, EIP and IAM. [`LOOKS_A_SECOND`], 40 at once.
    Looks,
    /// Reads of zones and record sets, before and after a write and every `resync`. 20 requests/s, 40 at once, so that
    /// hundreds of record sets are read soon after a start.
    RecordReads,
    /// Writes of record sets. 5 requests/s, 10 at once.
    RecordWrites,
}

impl Share {
    pub(super) fn of(api: Api, effect: Effect) -> Self {
        match (api, effect) {
            (Api::Iam | Api::Elb | Api::Eip, Effect::Read | Effect::Write) => Self::Looks,
            (Api::Dns, Effect::Read) => Self::RecordReads,
            (Api::Dns, Effect::Write) => Self::RecordWrites,
        }
    }

    /// From one request to the next, in the long run.
    fn interval(self) -> Duration {
        match self {
            Self::Looks => Duration::from_secs(1) / LOOKS_A_SECOND,
            Self::RecordReads => Duration::from_millis(50),
            Self::RecordWrites => Duration::from_millis(200),
        }
    }

    /// How many may go at once after a rest.
    fn burst(self) -> u32 {
        match self {
            Self::Looks | Self::RecordReads => 40,
            Self::RecordWrites => 10,
        }
    }
}

/// The budget as a value: who may go when. Never waits.
#[derive(Debug)]
struct State {
    looks: Bucket,
    record_reads: Bucket,
    record_writes: Bucket,
    line: Line,
    pauses: BTreeMap<(Api, String), Pause>,
}

/// What there is to be said of a place in the line.
#[derive(Debug)]
enum Turn {
    /// It is this one's, and the token is taken.
    Now,
    /// It is this one's then, unless somebody comes who goes before it.
    At(Instant),
    /// Others go before.
    Behind,
}

/// A token bucket, kept as the one moment at which it will be full again. Tokens are given out in the
/// order that they are asked for, also those that it will have only later.
#[derive(Debug)]
struct Bucket {
    full_at: Instant,
}

impl Bucket {
    /// When the next token is good.
    fn turn(&self, share: Share, now: Instant) -> Instant {
        let full = share.interval() * share.burst();
        self.after_next(share, now).checked_sub(full).map_or(now, |turn| turn.max(now))
    }

    fn take(&mut self, share: Share, now: Instant) {
        self.full_at = self.after_next(share, now);
    }

    /// When it will be full again, once the next token is taken.
    fn after_next(&self, share: Share, now: Instant) -> Instant {
        self.full_at.max(now) + share.interval()
    }
}

/// An API that throttled us, in one region.
#[derive(Debug)]
struct Pause {
    /// When it last throttled us.
    since: Instant,
    until: Instant,
    /// Throttles without an answer in between.
    in_a_row: u32,
}

impl State {
    fn new(now: Instant) -> Self {
        let full = || Bucket { full_at: now };
        Self {
            looks: full(),
            record_reads: full(),
            record_writes: full(),
            line: Line::default(),
            pauses: BTreeMap::new(),
        }
    }

    fn bucket(&mut self, share: Share) -> &mut Bucket {
        match share {
            Share::Looks => &mut self.looks,
            Share::RecordReads => &mut self.record_reads,
            Share::RecordWrites => &mut self.record_writes,
        }
    }

    /// Takes a token of the looks' share for that place in the line, when it is its turn.
    fn turn_of(&mut self, ticket: Ticket, now: Instant) -> Turn {
        if !self.line.is_first(ticket, now) {
            return Turn::Behind;
        }
        let at = self.looks.turn(Share::Looks, now);
        if at > now {
            return Turn::At(at);
        }
        self.looks.take(Share::Looks, now);
        self.line.sent(ticket, now);
        Turn::Now
    }

    /// Takes a token and says when it is good; or takes none and says when it would have been, because that
    /// is after `deadline`.
    fn take(
        &mut self,
        share: Share,
        api: Api,
        region: &str,
        now: Instant,
        deadline: Instant,
    ) -> Result<Instant, Instant> {
        let paused_until = self.paused_until(api, region, now);
        let bucket = self.bucket(share);
        let turn = bucket.turn(share, now);
        let turn = paused_until.map_or(turn, |until| turn.max(until));
        if turn > deadline {
            return Err(turn);
        }
        bucket.take(share, now);
        Ok(turn)
    }

    /// Until when an API is paused, when it is.
    fn paused_until(&self, api: Api, region: &str, now: Instant) -> Option<Instant> {
        let pause = self.pauses.get(&(api, region.to_owned()))?;
        let until = match api {
            // Who may wait for longer does so by the throttle that it was answered itself.
            Api::Dns => pause.until.min(pause.since + RECORD_TRY_EVERY),
            Api::Iam | Api::Elb | Api::Eip => pause.until,
        };
        Some(until).filter(|until| *until > now)
    }

    /// The API said that we ask too much: nothing is sent to it for as long as it says, or, when it does not
    /// say, for a while that grows with each throttle in a row. `chance` (0 to 1) spreads that while.
    fn throttled(
        &mut self,
        api: Api,
        region: &str,
        now: Instant,
        retry_after: Option<Duration>,
        chance: f64,
    ) {
        let none = Pause { since: now, until: now, in_a_row: 0 };
        let pause = self.pauses.entry((api, region.to_owned())).or_insert(none);
        let own = match retry_after {
            Some(after) => after.min(PAUSE_OBEYED),
            // Answers to requests that were under way together are one throttle, not many.
            None if pause.until > now => return,
            None => spread(doubled(PAUSE_FIRST, pause.in_a_row, PAUSE_LONGEST), chance),
        };
        if pause.until <= now {
            pause.in_a_row = pause.in_a_row.saturating_add(1);
        }
        pause.since = now;
        pause.until = pause.until.max(now + own);
    }

    /// The API answered something else: the next throttle is the first one again.
    fn answered(&mut self, api: Api, region: &str, now: Instant) {
        let key = (api, region.to_owned());
        if self.pauses.get(&key).is_some_and(|pause| pause.until <= now) {
            self.pauses.remove(&key);
        }
    }
}

/// The budget of one account.
#[derive(Debug)]
pub(super) struct Budget(Mutex<State>);

impl Budget {
    pub(super) fn new() -> Self {
        Self(Mutex::new(State::new(instant_now())))
    }

    /// Waits until a request may be sent; returns when that was.
    ///
    /// # Errors
    /// When that is past the deadline, with how long it would take; nothing is used up then. At once where that is certain,
    /// which it is not for a probe: others may give up before it.
    pub(super) async fn admit(&self, wanted: Wanted<'_>, deadline: Instant) -> Result<Instant, Duration> {
        let Wanted { share, api, region, .. } = wanted;
        let mut turn = match share {
            Share::Looks => {
                self.pause_over(api, region, deadline).await?;
                self.in_turn(wanted, deadline).await?;
                instant_now()
            }
            Share::RecordReads | Share::RecordWrites => {
                let now = instant_now();
                self.state(|state| state.take(share, api, region, now, deadline))
                    .map_err(|turn| turn - now)?
            }
        };
        loop {
            if turn > instant_now() {
                sleep_until(turn).await;
            }
            let now = instant_now();
            // A throttle that came while we waited holds for us too.
            match self.state(|state| state.paused_until(api, region, now)) {
                None => return Ok(now),
                Some(until) if until > deadline => return Err(until - now),
                Some(until) => turn = until,
            }
        }
    }

    /// Waits for the end of a pause, before a place in the line is taken.
    async fn pause_over(&self, api: Api, region: &str, deadline: Instant) -> Result<(), Duration> {
        let now = instant_now();
        match self.state(|state| state.paused_until(api, region, now)) {
            None => Ok(()),
            Some(until) if until > deadline => Err(until - now),
            Some(until) => {
                sleep_until(until).await;
                Ok(())
            }
        }
    }

    /// Waits in the line until a token is taken.
    async fn in_turn(&self, wanted: Wanted<'_>, deadline: Instant) -> Result<(), Duration> {
        let question = format!("{}{}", wanted.region, wanted.path);
        let (ticket, wake) = self.state(|state| state.line.join(&question, wanted.pacing, instant_now()));
        let place = Place { budget: self, ticket };
        loop {
            let now = instant_now();
            match self.state(|state| state.turn_of(place.ticket, now)) {
                Turn::Now => return Ok(()),
                Turn::At(at) if at > deadline => return Err(at - now),
                Turn::At(at) => sleep_until(at).await,
                Turn::Behind => {
                    let woken = timeout_at(deadline, wake.notified()).await;
                    woken.map_err(|_| Share::Looks.interval())?;
                }
            }
        }
    }

    /// Whether requests for probes wait for their turn.
    pub(super) fn is_short(&self) -> bool {
        self.state(|state| !state.line.is_empty())
    }

    /// The API throttled us.
    pub(super) fn throttled(&self, api: Api, region: &str, retry_after: Option<Duration>) {
        let chance = rand::random();
        self.state(|state| state.throttled(api, region, instant_now(), retry_after, chance));
    }

    /// The API answered something other than a throttle.
    pub(super) fn answered(&self, api: Api, region: &str) {
        self.state(|state| state.answered(api, region, instant_now()));
    }

    fn state<T>(&self, with: impl FnOnce(&mut State) -> T) -> T {
        // No code that holds the lock can leave the state half changed, so a panic elsewhere spoils nothing.
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A place in the line, left when dropped.
struct Place<'a> {
    budget: &'a Budget,
    ticket: Ticket,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.budget.state(|state| state.line.leave(self.ticket, instant_now()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAR: Duration = Duration::from_secs(3600);

    struct World {
        state: State,
        start: Instant,
    }

    impl World {
        fn new() -> Self {
            let start = instant_now();
            Self { state: State::new(start), start }
        }

        /// When a request asked for at `at` may go, in milliseconds after the start.
        fn take(&mut self, share: Share, region: &str, at: u64) -> u128 {
            let now = self.start + Duration::from_millis(at);
            let api = if share == Share::Looks { Api::Elb } else { Api::Dns };
            let turn = self.state.take(share, api, region, now, now + FAR).unwrap();
            (turn - self.start).as_millis()
        }
    }

    #[test]
    fn a_burst_goes_at_once_and_the_rest_at_the_rate() {
        let mut world = World::new();
        for _ in 0..40 {
            assert_eq!(world.take(Share::Looks, "a", 0), 0);
        }
        assert_eq!(world.take(Share::Looks, "a", 0), 50);
        assert_eq!(world.take(Share::Looks, "a", 0), 100);
        assert_eq!(
            world.take(Share::Looks, "a", 150),
            150,
            "the tokens of 150 ms are two taken and one left"
        );
        for _ in 0..40 {
            assert_eq!(world.take(Share::Looks, "a", 10_000), 10_000, "full again, and no fuller than full");
        }
        assert_eq!(world.take(Share::Looks, "a", 10_000), 10_050);
    }

    #[test]
    fn all_regions_of_an_account_share_the_budget() {
        let mut world = World::new();
        for turn in 0..40 {
            world.take(Share::Looks, if turn % 2 == 0 { "a" } else { "b" }, 0);
        }
        assert_eq!(world.take(Share::Looks, "a", 0), 50);
        assert_eq!(world.take(Share::Looks, "b", 0), 100);
    }

    #[test]
    fn looks_never_keep_a_write_or_its_reads_waiting() {
        let mut world = World::new();
        for api in [Api::Iam, Api::Elb, Api::Eip] {
            for _ in 0..1000 {
                world.take(Share::of(api, Effect::Read), "a", 0);
            }
        }
        let (reads, writes) = (Share::of(Api::Dns, Effect::Read), Share::of(Api::Dns, Effect::Write));
        assert_eq!(world.take(reads, "a", 0), 0);
        for _ in 0..1000 {
            world.take(reads, "a", 0);
        }
        assert_eq!(world.take(writes, "a", 0), 0);
    }

    #[test]
    fn a_turn_past_the_deadline_is_refused_and_uses_nothing_up() {
        let mut world = World::new();
        for _ in 0..40 {
            world.take(Share::Looks, "a", 0);
        }
        let deadline = world.start + Duration::from_millis(49);
        for _ in 0..100 {
            let refused = world.state.take(Share::Looks, Api::Elb, "a", world.start, deadline);
            assert_eq!(refused, Err(world.start + Duration::from_millis(50)));
        }
        assert_eq!(world.take(Share::Looks, "a", 0), 50);
    }

    #[test]
    fn a_throttle_pauses_that_api_in_that_region_alone() {
        let mut world = World::new();
        world.state.throttled(Api::Elb, "a", world.start, Some(Duration::from_secs(7)), 0.0);
        assert_eq!(world.take(Share::Looks, "a", 0), 7000);
        assert_eq!(world.take(Share::Looks, "b", 0), 0);
        assert_eq!(world.take(Share::RecordWrites, "a", 0), 0);
        assert_eq!(world.take(Share::Looks, "a", 7001), 7001);
    }

    #[test]
    fn a_throttle_without_a_time_pauses_longer_each_time_in_a_row() {
        let mut world = World::new();
        let mut at = 0;
        for expected in [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000] {
            let now = world.start + Duration::from_millis(at);
            for _ in 0..5 {
                world.state.throttled(Api::Elb, "a", now, None, 1.0);
            }
            let until = u64::try_from(world.take(Share::Looks, "a", at)).unwrap();
            assert_eq!(until - at, expected);
            at = until;
        }
        world.state.answered(Api::Elb, "a", world.start + Duration::from_millis(at));
        world.state.throttled(Api::Elb, "a", world.start + Duration::from_millis(at), None, 1.0);
        assert_eq!(
            world.take(Share::Looks, "a", at),
            u128::from(at) + 1000,
            "an answer makes it the first again"
        );
    }

    #[test]
    fn an_absurd_retry_after_is_not_obeyed_for_ever() {
        let mut world = World::new();
        world.state.throttled(Api::Elb, "a", world.start, Some(Duration::from_secs(u64::MAX)), 0.0);
        assert_eq!(world.take(Share::Looks, "a", 0), PAUSE_OBEYED.as_millis());
    }

    #[test]
    fn however_long_a_throttle_lasts_a_record_set_can_be_tried_within_fifteen_seconds() {
        for share in [Share::RecordReads, Share::RecordWrites] {
            let mut world = World::new();
            world.state.throttled(Api::Dns, "a", world.start, Some(Duration::from_secs(300)), 0.0);
            assert_eq!(world.take(share, "a", 0), 14_000);
            let again = world.start + Duration::from_secs(14);
            world.state.throttled(Api::Dns, "a", again, Some(Duration::from_secs(300)), 0.0);
            assert_eq!(world.take(share, "a", 14_001), 28_000);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_that_begins_while_a_request_waits_holds_it_too() {
        let budget = Budget::new();
        let deadline = instant_now() + Duration::from_secs(60);
        for _ in 0..40 {
            budget.admit(members(0), deadline).await.unwrap();
        }
        let start = instant_now();
        let waits = budget.admit(members(0), deadline);
        let throttles = async { budget.throttled(Api::Elb, "a", Some(Duration::from_secs(9))) };
        let (admitted, ()) = tokio::join!(waits, throttles);
        admitted.unwrap();
        assert_eq!((instant_now() - start).as_secs(), 9);
        let soon = instant_now() + Duration::from_secs(1);
        budget.throttled(Api::Elb, "a", Some(Duration::from_secs(5)));
        let refused = budget.admit(members(0), soon).await.unwrap_err();
        assert_eq!(refused.as_secs(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_leaves_the_turn_to_the_next() {
        let budget = Budget::new();
        let start = instant_now();
        for _ in 0..40 {
            budget.admit(members(0), start).await.unwrap();
        }
        let late = |group, ms| budget.admit(members(group), start + Duration::from_millis(ms));
        let told = tokio::join!(late(1, 40), late(2, 60), late(3, 90), late(4, 100), late(5, 1_000));
        let went =
            [told.0, told.1, told.2, told.3, told.4].map(|went| went.ok().map(|at| (at - start).as_millis()));
        assert_eq!(went, [None, Some(50), None, Some(100), Some(150)]);
    }

    fn members(group: u32) -> Wanted<'static> {
        let pacing = Pacing { group, ..Pacing::default() };
        Wanted { share: Share::Looks, api: Api::Elb, region: "a", path: "/members", pacing }
    }
}

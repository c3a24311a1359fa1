//! Carries one plan out, once: the daemon's own reconciler and driver, with a budget of a single write.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, instant_now};
use crate::core::{
    DriverSteps, Held, Orders, Plan, Reconciler, Report, Rule, Timing, WriteResult, WriteRules,
};
use crate::daemon::wiring::{Wiring, WiringError};
use crate::dns::Provider;
use crate::dns::driver::{Assignment, Driver, Inbox, Reported};
use crate::model::{RecordSet, Routing, Service, WriteBudget, addresses_in_words};
use crate::pulse::Pulses;

/// How long is waited for the set to be in force: a zone settles within a minute or never, and a write whose answer is
/// lost lands within one, too.
const IN_FORCE_WITHIN: Duration = Duration::from_secs(90);
/// So many writes and no more, however long it is waited for: one, or the few that one takes where each region has a set of
/// its own and some must be in force before others may leave.
fn budget(service: &Service) -> WriteBudget {
    let writes = match service.record.key.routing {
        Routing::Only | Routing::Line(_) => 1,
        Routing::Weighted(_) => 4,
    };
    WriteBudget { writes, window: Duration::from_secs(3_600) }
}
/// How many reports may wait; they are taken as they come.
const REPORTS_MAX: usize = 16;

/// How a record set came to hold, in force, what the plan wants.
#[derive(Clone, Debug)]
pub enum Applied {
    /// It held that already when it was read again.
    Already,
    /// It was written, and read back.
    Written {
        /// What it held before.
        from: BTreeSet<IpAddr>,
        /// What it holds.
        set: RecordSet,
        /// Whether the write's answer was lost, so that only the reading tells.
        answer_lost: bool,
        /// From the write to the read that showed it in force.
        took: Duration,
    },
}

/// Why a record set does not hold what the plan wants.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Its provider cannot be set up.
    #[error(transparent)]
    Wiring(#[from] WiringError),
    /// A rule held the write back.
    #[error("not written, held by {0}")]
    Held(Held),
    /// The provider refused the write.
    #[error("the write was refused and changed nothing: {0}")]
    Refused(String),
    /// Nothing was written, for another reason.
    #[error("not written: {0}")]
    NotWritten(String),
    /// A write was sent, and it is not known that it is in force.
    #[error("written, and not seen in force: {0}; see what it holds with: pointsman plan")]
    NotInForce(String),
}

/// Brings the record set of a service to what the plan wants, by one write at most or the few that one takes, and waits for it to be in force for
/// 90 s at most. It is read right before the write, so what is not ours stays as it is by then; when `stop` comes before
/// the write, nothing is changed.
///
/// # Errors
/// Why the set does not hold what is wanted.
pub async fn apply(
    wiring: &Wiring,
    service: &Service,
    plan: Arc<Plan>,
    clock: Clock,
    stop: &CancellationToken,
) -> Result<Applied, ApplyError> {
    carry_out(wiring.provider(&service.record.provider)?, service, plan, clock, stop).await
}

async fn carry_out(
    provider: Arc<dyn Provider>,
    service: &Service,
    plan: Arc<Plan>,
    clock: Clock,
    stop: &CancellationToken,
) -> Result<Applied, ApplyError> {
    let rules = WriteRules { min_published: service.min_published, budget: budget(service) };
    let timing = Timing { resync: IN_FORCE_WITHIN };
    let record = service.record.clone();
    let reconciler = Reconciler::new(record.clone(), rules, timing, false, clock.now()).writing_once();
    let orders = Orders { record, rules, timing, dry_run: false };
    let (_newer, plans) = watch::channel(Some(plan));
    let (_other, assignments) = watch::channel(Assignment { orders, provider });
    let (reports, mut reported) = mpsc::channel(REPORTS_MAX);
    let pulse = Pulses::new(clock).register("write");
    let inbox = Inbox { assignments, plans };
    let steps = DriverSteps::new(reconciler);
    let driver = Driver { service: service.name.clone(), steps, inbox, reports, clock, pulse };
    let mut story = Story::default();
    tokio::select! {
        () = driver.run(stop.clone()) => {
            while let Ok(Reported { report, .. }) = reported.try_recv() {
                if let Some(end) = story.told(report) {
                    return end;
                }
            }
            Err(story.unfinished("it was stopped"))
        }
        end = timeout(IN_FORCE_WITHIN, story.follow(&mut reported)) => match end {
            Ok(Some(end)) => end,
            Ok(None) | Err(_) => Err(story.unfinished(&format!("nothing came of it within {IN_FORCE_WITHIN:?}"))),
        }
    }
}

/// What was told of the record set so far.
#[derive(Default)]
struct Story {
    sent: Option<Sent>,
    answer_lost: bool,
    /// What was wrong last, once a write was sent: it may come right.
    trouble: Option<String>,
}

struct Sent {
    from: BTreeSet<IpAddr>,
    set: RecordSet,
    at: tokio::time::Instant,
}

impl Story {
    /// Listens until it ends; none when nobody tells any more.
    async fn follow(
        &mut self,
        reported: &mut mpsc::Receiver<Reported>,
    ) -> Option<Result<Applied, ApplyError>> {
        while let Some(Reported { report, .. }) = reported.recv().await {
            if let Some(end) = self.told(report) {
                return Some(end);
            }
        }
        None
    }

    /// How it ended, when this is the end.
    fn told(&mut self, report: Report) -> Option<Result<Applied, ApplyError>> {
        match report {
            Report::InSync => return Some(Ok(self.applied())),
            Report::Sent { from, set, .. } => match &mut self.sent {
                Some(sent) => sent.set = set,
                None => self.sent = Some(Sent { from, set, at: instant_now() }),
            },
            Report::Written { result: WriteResult::Refused, message, .. } => {
                return Some(Err(ApplyError::Refused(message)));
            }
            Report::Written { result: WriteResult::Lost, message, .. } => {
                self.answer_lost = true;
                self.trouble = Some(format!("its answer was lost ({message})"));
            }
            // The one write was sent, so this only says that there will be no other.
            Report::Held(Held { rule: Rule::BoundedWrites, .. }) if self.sent.is_some() => {}
            Report::Held(held) => return Some(Err(ApplyError::Held(held))),
            Report::Alarmed { message, .. } if self.sent.is_some() => self.trouble = Some(message),
            Report::Alarmed { message, .. } => return Some(Err(ApplyError::NotWritten(message))),
            Report::Written { result: WriteResult::Applied | WriteResult::Superseded, .. }
            | Report::Seen { .. }
            | Report::InForce { .. }
            | Report::Drifted { .. }
            | Report::Delayed { .. }
            | Report::Remember(_)
            | Report::DryRun { .. } => {}
        }
        None
    }

    fn applied(&mut self) -> Applied {
        match self.sent.take() {
            None => Applied::Already,
            Some(Sent { from, set, at }) => {
                Applied::Written { from, set, answer_lost: self.answer_lost, took: at.elapsed() }
            }
        }
    }

    fn unfinished(&self, why: &str) -> ApplyError {
        match (&self.sent, &self.trouble) {
            (None, _) => ApplyError::NotWritten(why.to_owned()),
            (Some(sent), trouble) => {
                let why = trouble.as_deref().unwrap_or(why);
                ApplyError::NotInForce(format!("{why}, sent was {}", addresses_in_words(sent.set.values())))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Mutex;

    use futures_util::FutureExt as _;
    use futures_util::future::BoxFuture;
    use tokio::time::Instant;

    use super::*;
    use crate::config;
    use crate::core::Generation;
    use crate::model::{Answer, Found, InForce, ProviderError, ProviderErrorKind, RecordKey, Ttl};

    const SERVICE: &str = r#"
        [cloud.main]
        region = "cn-north-4"
        [dns.private]
        kind = "huawei"
        zone = "localdev.me."
        zone_type = "private"
        [[service]]
        name = "demo"
        domain = "demo.localdev.me."
        check = [{ name = "port", kind = "tcp" }]
        region = [{ name = "a", address = ["192.0.2.1"] }, { name = "b", address = ["192.0.2.2"] }]
    "#;

    /// A place where every answer to a write is lost, and none was ever carried out.
    #[derive(Debug, Default)]
    struct Deaf {
        writes: Mutex<u32>,
    }

    impl Provider for Deaf {
        fn read<'a>(&'a self, _: &'a RecordKey, _: Instant) -> BoxFuture<'a, Answer> {
            let found = Found {
                id: "1".to_owned(),
                values: addresses(["192.0.2.1", "192.0.2.2"]),
                ttl: Ttl::DEFAULT,
                in_force: InForce::Yes,
                description: None,
                parts: Vec::new(),
            };
            async { Ok(Some(found)) }.boxed()
        }

        fn replace<'a>(
            &'a self,
            key: &'a RecordKey,
            _: &'a Found,
            set: &'a RecordSet,
            deadline: Instant,
        ) -> BoxFuture<'a, Result<(), ProviderError>> {
            self.create(key, set, deadline)
        }

        fn create<'a>(
            &'a self,
            _: &'a RecordKey,
            _: &'a RecordSet,
            _: Instant,
        ) -> BoxFuture<'a, Result<(), ProviderError>> {
            *self.writes.lock().unwrap() += 1;
            let lost = ProviderError { kind: ProviderErrorKind::Lost, message: "no answer".to_owned() };
            async { Err(lost) }.boxed()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_never_lands_is_sent_once_and_given_up_after_a_while() {
        let place = Arc::new(Deaf::default());
        let began = instant_now();
        let end = apply_to(&place, &CancellationToken::new()).await.unwrap_err();
        let told = "written, and not seen in force: its answer was lost (no answer), sent was 192.0.2.2; ";
        assert!(end.to_string().starts_with(told), "{end}");
        assert_eq!((*place.writes.lock().unwrap(), began.elapsed()), (1, IN_FORCE_WITHIN));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_before_the_write_changes_nothing() {
        let (place, stop) = (Arc::new(Deaf::default()), CancellationToken::new());
        stop.cancel();
        let end = apply_to(&place, &stop).await.unwrap_err();
        assert_eq!(end.to_string(), "not written: it was stopped");
        assert_eq!(*place.writes.lock().unwrap(), 0);
    }

    async fn apply_to(place: &Arc<Deaf>, stop: &CancellationToken) -> Result<Applied, ApplyError> {
        let config = config::parse(SERVICE, Path::new("c.toml")).unwrap().config;
        let service = &config.services[0];
        let plan = Plan {
            service: service.name.clone(),
            key: service.record.key.clone(),
            generation: Generation(1),
            wanted: addresses(["192.0.2.2"]),
            owned: addresses(["192.0.2.1", "192.0.2.2"]),
            parts: Vec::new(),
            ttl: None,
            may_write: true,
            only_from: None,
            is_rescue: false,
            words: 0,
            regions: Vec::new(),
            held: Vec::new(),
        };
        carry_out(Arc::clone(place) as _, service, Arc::new(plan), Clock::start(), stop).await
    }

    fn addresses<const N: usize>(of: [&str; N]) -> BTreeSet<IpAddr> {
        of.iter().map(|text| text.parse().unwrap()).collect()
    }
}

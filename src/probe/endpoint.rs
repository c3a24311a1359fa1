//! What all direct looks share: every address in turn, one deadline, one verdict.
//!
//! Start at [`look_at_each`]; carries BLIND-IS-NOT-DOWN for unknown addresses and for our own stalls.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::trace::{Stage, Trace};
use super::{Addresses, Look, SAW_MAX};
use crate::clock;
use crate::model::{Certificate, Outcome, Reason, quoted};

/// Why a look at one address is no pass.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Fail or unknown.
    pub(super) outcome: Outcome,
    /// What was seen, naming the address.
    pub(super) saw: Cow<'static, str>,
}

impl Fault {
    /// The region is not as it should be.
    pub(super) fn fail(reason: Reason, saw: impl Into<Cow<'static, str>>) -> Self {
        Self { outcome: Outcome::Fail(reason), saw: fit_to_be_told(saw.into()) }
    }

    /// What came is no evidence, or not enough of it was read (BLIND-IS-NOT-DOWN).
    pub(super) fn unknown(reason: Reason, saw: impl Into<Cow<'static, str>>) -> Self {
        Self { outcome: Outcome::Unknown(reason), saw: fit_to_be_told(saw.into()) }
    }

    /// This machine could not look (BLIND-IS-NOT-DOWN).
    pub(super) fn local(saw: impl Into<Cow<'static, str>>) -> Self {
        Self::unknown(Reason::Local, saw)
    }

    /// Whether it is a failure for this reason.
    pub(super) fn is(&self, reason: Reason) -> bool {
        self.outcome == Outcome::Fail(reason)
    }
}

/// What the endpoint itself said may be part of it.
fn fit_to_be_told(saw: Cow<'static, str>) -> Cow<'static, str> {
    match saw {
        Cow::Owned(saw) => quoted(&saw, SAW_MAX).into(),
        ours @ Cow::Borrowed(_) => ours,
    }
}

/// A way of looking at one address.
pub(super) trait Endpoint: Send {
    /// The port that is looked at.
    fn port(&self) -> u16;

    /// One look at `at`: what a pass saw, or why it is none. The certificate shown, if any, goes into
    /// `certificate`, so that it survives a failure and the deadline. The caller drops it at the deadline.
    fn look_at(
        &mut self,
        at: SocketAddr,
        trace: &mut Trace,
        certificate: &mut Option<Certificate>,
    ) -> impl Future<Output = Result<Cow<'static, str>, Fault>> + Send;

    /// The region's addresses are now those for which `known` holds: whatever is kept of others can go.
    fn forget_all_but(&mut self, known: impl Fn(SocketAddr) -> bool);
}

/// Looks at every address of a region in turn, within the one deadline. All must pass: the worst counts,
/// failing before unknown before passing, and a failure ends the look. `max_latency` holds for each address
/// by itself.
pub(super) async fn look_at_each(
    endpoint: &mut impl Endpoint,
    addresses: &watch::Receiver<Addresses>,
    max_latency: Option<Duration>,
    deadline: Instant,
    trace: &mut Trace,
) -> Look {
    let mut certificate = None;
    let result = worst_of_each(endpoint, addresses, max_latency, deadline, trace, &mut certificate).await;
    let look = match result {
        Ok(saw) => Look { outcome: Outcome::Pass, saw, certificate },
        Err(Fault { outcome, saw }) => Look { outcome, saw, certificate },
    };
    trace.enter(Stage::Verdict);
    match look.outcome.reason() {
        None => trace.leave(format_args!("pass: {}", look.saw)),
        Some(reason) => trace.leave(format_args!("{} ({reason}): {}", look.outcome.as_str(), look.saw)),
    }
    look
}

async fn worst_of_each(
    endpoint: &mut impl Endpoint,
    addresses: &watch::Receiver<Addresses>,
    max_latency: Option<Duration>,
    deadline: Instant,
    trace: &mut Trace,
    certificate: &mut Option<Certificate>,
) -> Result<Cow<'static, str>, Fault> {
    let addresses = known(addresses)?;
    let started = clock::instant_now();
    let port = endpoint.port();
    endpoint.forget_all_but(|at| addresses.contains(&at.ip()));
    let mut worst = Ok(Cow::Borrowed(""));
    let mut since = started;
    for &ip in addresses.iter() {
        let at = SocketAddr::new(ip, port);
        let mut shown = None;
        let look = timeout_at(deadline, endpoint.look_at(at, trace, &mut shown)).await;
        let now = clock::instant_now();
        let found = match look {
            Ok(Ok(saw)) => within(max_latency, now.duration_since(since), at).map(|()| saw),
            Ok(Err(fault)) => Err(fault),
            Err(_elapsed) => Err(overdue(trace.stage(), at, started, deadline, now)),
        };
        since = now;
        *certificate = first_to_end(*certificate, shown);
        match found {
            Ok(saw) if addresses.len() == 1 => return Ok(saw),
            Ok(saw) => {
                if worst.is_ok() {
                    worst = Ok(Cow::Owned(format!("{saw} from each of {} addresses", addresses.len())));
                }
            }
            Err(fault) => {
                trace.leave(format_args!("{}", fault.saw));
                if matches!(fault.outcome, Outcome::Fail(_)) {
                    return Err(fault);
                }
                worst = worst.and(Err(fault));
            }
        }
    }
    worst
}

fn known(addresses: &watch::Receiver<Addresses>) -> Result<Arc<[std::net::IpAddr]>, Fault> {
    match &*addresses.borrow() {
        Addresses::Known(addresses) if !addresses.is_empty() => Ok(Arc::clone(addresses)),
        Addresses::Known(_) | Addresses::NotKnown => Err(Fault {
            outcome: Outcome::Unknown(Reason::NoAddress),
            saw: Cow::Borrowed("the region's address is not known yet"),
        }),
    }
}

fn within(max_latency: Option<Duration>, took: Duration, at: SocketAddr) -> Result<(), Fault> {
    match max_latency {
        Some(most) if took > most => Err(Fault::fail(
            Reason::Slow,
            format!("{at} answered rightly, but after {:?}, allowed are {most:?}", whole_ms(took)),
        )),
        Some(_) | None => Ok(()),
    }
}

/// The deadline passed. When it was noticed only long after, this process did not run, so the answer may
/// have waited unread: that says nothing about the region (BLIND-IS-NOT-DOWN).
fn overdue(stage: Stage, at: SocketAddr, started: Instant, deadline: Instant, now: Instant) -> Fault {
    let allowed = deadline.duration_since(started);
    let stalled = now.duration_since(deadline);
    if stalled > allowed / 2 {
        return Fault::local(format!("this machine stood still for {:?} during the look", whole_ms(stalled)));
    }
    let what = match stage {
        Stage::Connect => "did not accept the connection",
        Stage::Tls => "did not finish the TLS handshake",
        Stage::Request => "did not take the request",
        Stage::Head => "did not answer",
        Stage::Body => "did not finish the answer's body",
        Stage::Api | Stage::Verdict | Stage::Vantage => "was not looked at to the end",
    };
    Fault::fail(Reason::Timeout, format!("{at} {what} within {:?}", whole_ms(allowed)))
}

fn first_to_end(one: Option<Certificate>, other: Option<Certificate>) -> Option<Certificate> {
    match (one, other) {
        (Some(one), Some(other)) => Some(if other.expires < one.expires { other } else { one }),
        (found, None) | (None, found) => found,
    }
}

/// Rounded to a millisecond: what a person reads.
fn whole_ms(duration: Duration) -> Duration {
    let ms = (duration + Duration::from_micros(500)).as_millis();
    Duration::from_millis(u64::try_from(ms).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_that_this_process_slept_through_says_nothing_about_the_region() {
        let started = clock::instant_now();
        let deadline = started + Duration::from_secs(2);
        let noticed = |late_ms| {
            let now = deadline + Duration::from_millis(late_ms);
            overdue(Stage::Head, SocketAddr::from(([127, 0, 0, 1], 80)), started, deadline, now)
        };
        let on_time = noticed(1_000);
        assert!(on_time.is(Reason::Timeout));
        assert_eq!(on_time.saw, "127.0.0.1:80 did not answer within 2s");
        assert_eq!(noticed(1_001).outcome, Outcome::Unknown(Reason::Local));
    }

    #[test]
    fn of_several_certificates_the_first_to_end_is_told() {
        let ends = |expires| Some(Certificate { expires, expires_soon: false });
        for (one, other, told) in [
            (None, None, None),
            (None, ends(5), ends(5)),
            (ends(5), None, ends(5)),
            (ends(5), ends(4), ends(4)),
        ] {
            assert_eq!(first_to_end(one, other), told);
        }
    }
}

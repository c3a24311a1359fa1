//! Looks at references: addresses beyond this machine that answer whatever becomes of the regions.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use tokio::time::timeout;

use super::connect::connect;
use super::endpoint::Fault;
use crate::model::Reason;

/// How long a reference may take to answer. After 1 s Linux sends the first packet again, so that the loss of one
/// does not pass for the loss of the network.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_millis(1_500);

/// Looks at all of them at once: the first that answers, or what was seen of each.
pub(super) async fn reach_any(references: &[SocketAddr]) -> Result<SocketAddr, Arc<str>> {
    let mut looks: FuturesUnordered<_> = references.iter().map(|&at| reach(at)).collect();
    let mut saw: Vec<Cow<'static, str>> = Vec::with_capacity(references.len());
    while let Some(look) = looks.next().await {
        match look {
            Ok(at) => return Ok(at),
            Err(why) => saw.push(why),
        }
    }
    Err(saw.join("; ").into())
}

async fn reach(at: SocketAddr) -> Result<SocketAddr, Cow<'static, str>> {
    match timeout(ANSWER_WITHIN, connect(at, None)).await {
        Ok(Ok(_connected)) => Ok(at),
        Ok(Err(fault)) if is_an_answer(&fault, at) => Ok(at),
        Ok(Err(fault)) => Err(fault.saw),
        Err(_elapsed) => Err(Cow::Owned(format!("{at} did not answer within {ANSWER_WITHIN:?}"))),
    }
}

/// A reference that refuses or resets has answered all the same, unless it is this machine itself. What a router on the way
/// says is no answer: that one may be our own, cut off from the rest.
fn is_an_answer(fault: &Fault, at: SocketAddr) -> bool {
    (fault.is(Reason::Refused) || fault.is(Reason::Closed)) && !at.ip().is_loopback()
}

/// What was seen of those that do not answer, for people who set them up.
pub async fn unreached(references: &[SocketAddr]) -> Vec<String> {
    let looks = join_all(references.iter().map(|&at| reach(at))).await;
    looks.into_iter().filter_map(Result::err).map(Cow::into_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_from_beyond_this_machine_is_an_answer_and_what_a_router_says_is_none() {
        let (beyond, here) = (SocketAddr::from(([192, 0, 2, 1], 53)), SocketAddr::from(([127, 0, 0, 1], 53)));
        for (reason, at, answers) in [
            (Reason::Refused, beyond, true),
            (Reason::Closed, beyond, true),
            (Reason::Refused, here, false),
            (Reason::Unreachable, beyond, false),
            (Reason::Timeout, beyond, false),
        ] {
            assert_eq!(is_an_answer(&Fault::fail(reason, ""), at), answers, "{reason} from {at}");
        }
        assert!(!is_an_answer(&Fault::local("no socket"), beyond));
    }
}

//! Whether a region would be up at an address that it was never seen at.
//!
//! Its direct checks probe the new address beside their probes of the known one, which they leave alone. Proved is what
//! `up_when` says of these probes alone. Start at [`proved`].

use futures_util::future::join_all;
use tokio::sync::watch;

use super::{Addresses, Looker, Trace};
use crate::clock::instant_now;
use crate::model::{Check, Kleene, Outcome, Region};

/// Probes `addresses` once with each direct check of the region; says whether they pass, or why not. A region that no
/// direct check decides about has nothing to probe with, and is taken at the cloud's word.
pub(super) async fn proved(region: &Region, addresses: Addresses) -> Result<(), String> {
    // The sender goes, and what it sent stays.
    let at = watch::channel(addresses).1;
    let mut probes = Vec::new();
    for check in region.checks.iter().filter(|check| region.up_when.names(&check.name)) {
        probes.push(probe(check, at.clone()));
    }
    let results: Vec<_> = join_all(probes).await.into_iter().flatten().collect();
    let says = region.up_when.evaluate(&mut |name| {
        results.iter().find(|(check, ..)| check.name == *name).map(|(_, says, _)| *says)
    });
    match says {
        None | Some(Kleene::True) => Ok(()),
        Some(Kleene::False | Kleene::Unknown) => {
            let words = results.iter().map(|(check, _, saw)| format!("{}: {saw}", check.name));
            Err(words.collect::<Vec<_>>().join("; "))
        }
    }
}

async fn probe(check: &Check, at: watch::Receiver<Addresses>) -> Option<(&Check, Kleene, String)> {
    let mut looker = match Looker::direct(&check.kind, check.max_latency, at) {
        Ok(looker) => looker?,
        Err(error) => return Some((check, Kleene::Unknown, error.to_string())),
    };
    let look = looker.look(check.interval, instant_now() + check.timeout, &mut Trace::off()).await;
    let says = match look.outcome {
        Outcome::Pass => Kleene::True,
        Outcome::Fail(_) => Kleene::False,
        Outcome::Unknown(_) => Kleene::Unknown,
    };
    Some((check, says, look.saw.into_owned()))
}

//! Ids that make the cloud refuse a whole list.
//!
//! The list of load balancers is asked for by all ids in one request, and one id that is none makes the cloud refuse it
//! with 400, and one that the keys may not see with 403 (BLIND-IS-NOT-DOWN for all the others). [`RefusedIds`] finds
//! such an id by asking for ever smaller parts of the list, leaves it out from then on, and tries it again now and then.
//! Start at [`RefusedIds::list_without`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::instant_now;
use crate::huawei::{Account, ApiError, LoadBalancer};

/// How long an id is left out before it is tried again. What is wrong with it is mended by a reload, which asks for
/// another id.
const LEFT_OUT: Duration = Duration::from_secs(10 * 60);

/// How long the list is asked for as a whole after a search that found nothing that is not refused.
const SEARCH_AGAIN: Duration = Duration::from_secs(60);

/// Requests of one search, so that it does not use up the account's budget. One bad id among a hundred takes 15; what a
/// search has found is left out of the next one.
const SEARCH_MAX: usize = 24;

/// The ids that are left out, and how each was refused.
#[derive(Debug, Default)]
pub(super) struct RefusedIds {
    found: Mutex<Found>,
}

#[derive(Debug, Default)]
struct Found {
    bad: BTreeMap<String, Refused>,
    /// When a search last found nothing that is not refused: then it is not about an id.
    in_vain: Option<Instant>,
}

#[derive(Debug)]
struct Refused {
    error: Arc<ApiError>,
    at: Instant,
}

impl RefusedIds {
    /// Those of the ids that are not left out at `now`.
    pub(super) fn good_of(&self, ids: &[String], now: Instant) -> Vec<String> {
        let mut found = self.lock();
        found.bad.retain(|id, refused| {
            ids.binary_search(id).is_ok() && now.saturating_duration_since(refused.at) < LEFT_OUT
        });
        ids.iter().filter(|id| !found.bad.contains_key(*id)).cloned().collect()
    }

    /// How the id was refused, if it is left out.
    pub(super) fn why(&self, id: &str) -> Option<Arc<ApiError>> {
        self.lock().bad.get(id).map(|refused| Arc::clone(&refused.error))
    }

    /// Lists the load balancers `ids`, without those that the cloud refuses. A refusal of all is told as it is: one id alone,
    /// or all of them, say nothing of an id.
    ///
    /// # Errors
    /// Those that are no refusal of an id, and the refusal when the search did not come to its end.
    pub(super) async fn list_without(
        &self,
        account: &Account,
        cloud_region: &str,
        ids: &[String],
        deadline: Instant,
    ) -> Result<Vec<LoadBalancer>, ApiError> {
        match account.load_balancers(cloud_region, ids, deadline).await {
            Err(whole) if may_be_for_one_id(&whole) && ids.len() > 1 && self.may_search() => {
                // Boxed, since it is seldom called, and thousands of looks would carry its state.
                Box::pin(self.search(account, cloud_region, ids, whole, deadline)).await
            }
            answer => answer,
        }
    }

    /// The same by parts, after the refusal of the `whole`.
    async fn search(
        &self,
        account: &Account,
        cloud_region: &str,
        ids: &[String],
        whole: ApiError,
        deadline: Instant,
    ) -> Result<Vec<LoadBalancer>, ApiError> {
        let (mut found, mut bad, mut answered) = (Vec::new(), Vec::new(), false);
        let mut parts = halves(ids);
        for _ in 0..SEARCH_MAX {
            let Some(part) = parts.pop() else { break };
            match account.load_balancers(cloud_region, part, deadline).await {
                Ok(listed) => {
                    found.extend(listed);
                    answered = true;
                }
                Err(error) if may_be_for_one_id(&error) => match part {
                    [id] => bad.push((id.clone(), error)),
                    several => parts.extend(halves(several)),
                },
                Err(error) => {
                    self.leave_out(bad, answered);
                    return Err(error);
                }
            }
        }
        self.leave_out(bad, answered);
        if answered && parts.is_empty() { Ok(found) } else { Err(whole) }
    }

    fn may_search(&self) -> bool {
        self.lock().in_vain.is_none_or(|at| instant_now().saturating_duration_since(at) >= SEARCH_AGAIN)
    }

    fn leave_out(&self, bad: Vec<(String, ApiError)>, answered: bool) {
        let (mut found, at) = (self.lock(), instant_now());
        if !answered {
            found.in_vain = Some(at);
            return;
        }
        found.in_vain = None;
        for (id, error) in bad {
            tracing::warn!(
                elb = id,
                "the list of load balancers is refused with this id, and asked for without: {error}"
            );
            found.bad.insert(id, Refused { error: Arc::new(error), at });
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a list may have been refused because of one of its ids.
fn may_be_for_one_id(error: &ApiError) -> bool {
    error.is_wrong_request() || error.is_denied_by_policy()
}

/// The two halves of a list, the first half last.
fn halves(ids: &[String]) -> Vec<&[String]> {
    let (first, second) = ids.split_at(ids.len().div_ceil(2));
    [second, first].into_iter().filter(|half| !half.is_empty()).collect()
}

//! What can be made to go wrong with the API's answers, and for whom.
//!
//! A [`Fault`] waits for the requests it is meant for, and says what becomes of them. When several are
//! meant for one request the newest speaks. Start at [`Fault`] and [`Effect`].

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::http::Request;

/// One of the cloud's services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Api {
    /// Projects.
    Iam,
    /// Load balancers.
    Elb,
    /// Public addresses.
    Eip,
    /// Zones and record sets.
    Dns,
    /// The metadata service of a machine: temporary keys.
    Metadata,
}

/// Which requests a fault is meant for, by what they do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum On {
    /// All.
    #[default]
    Any,
    /// GET.
    Reads,
    /// POST, PUT, DELETE.
    Writes,
}

/// On which side of a request's being carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// Before.
    Before,
    /// After.
    After,
}

/// Something that goes wrong, for the requests it is meant for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The service.
    pub api: Api,
    /// Only for requests of this region's project; requests that name no project (IAM, metadata) never match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Only for reads, or for writes.
    #[serde(default)]
    pub on: On,
    /// Only for paths that contain this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// So many of those requests go through first. Default none.
    #[serde(default, skip_serializing_if = "is_none")]
    pub after: u32,
    /// For this many requests, then it is over. Left out: until it is cleared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// What happens.
    pub effect: Effect,
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Effect {
    /// Not carried out; answered with this status, in the service's own way of writing errors. 401 and 403
    /// are what wrong keys and missing permissions look like, 404 an object that is gone, 429 a throttle.
    Error {
        /// The HTTP status.
        status: u16,
    },
    /// Not carried out; answered 429.
    Throttle {
        /// Seconds in `Retry-After`; left out: no such header.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<u32>,
    },
    /// Not carried out; a gateway answers with a page of HTML and no request id.
    Html {
        /// The HTTP status; 200 for a page that looks like success.
        status: u16,
    },
    /// Carried out; the answer's JSON stops in the middle, with the status it would have had.
    Truncated,
    /// Not carried out; answered 200 and `{}`.
    Empty,
    /// Carried out; lists lack the object, or every object, with nothing else wrong.
    Missing {
        /// The id of what is left out; left out itself: all of them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
    },
    /// A lie. Carried out; every load balancer in the answer is told with this EIP, or with none.
    OtherEip {
        /// The EIP; left out: none is bound.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        address: Option<IpAddr>,
    },
    /// A load balancer that the caller has no right to see, in one permission layer: lists lack it and what is listed by
    /// it, and calls that name it in their path are answered 404.
    Hidden {
        /// Its id.
        id: String,
    },
    /// Lists that are asked for by this id are answered 400, whatever else they are asked for by; others are carried out.
    RefusedId {
        /// The id.
        id: String,
    },
    /// Carried out at once; answered later.
    Slow {
        /// How much later.
        #[serde(with = "as_text")]
        delay: Duration,
    },
    /// The world stops for the request until the fault is cleared; then it goes on as if nothing had been, whether or not
    /// anybody still waits for the answer.
    Held {
        /// Before it is carried out, or after.
        when: When,
    },
    /// Not carried out; the connection closes instead of an answer.
    Closed,
    /// Carried out; the connection closes instead of an answer.
    AnswerLost,
    /// For writes of record sets: the connection closes, reads show the old set, and the write is taken up
    /// later, over whatever is there by then.
    AppliedLate {
        /// How much later.
        #[serde(with = "as_text")]
        delay: Duration,
    },
    /// For writes of record sets: accepted, and PENDING for this long.
    SlowToSettle {
        /// How long.
        #[serde(with = "as_text")]
        delay: Duration,
    },
    /// For writes of record sets: accepted, and PENDING until the fault is cleared.
    StuckPending {
        /// Whether the new values are served in the meantime.
        in_force: bool,
    },
    /// For writes of record sets: accepted, later in status ERROR, never in force.
    EndsInError,
}

impl Fault {
    /// For every request of `api`, until it is cleared.
    #[must_use]
    pub fn new(api: Api, effect: Effect) -> Self {
        Self { api, region: None, on: On::Any, path: None, after: 0, times: None, effect }
    }

    /// Only for requests of this region's project.
    #[must_use]
    pub fn region(mut self, name: &str) -> Self {
        self.region = Some(name.to_owned());
        self
    }

    /// Only for reads.
    #[must_use]
    pub fn reads(mut self) -> Self {
        self.on = On::Reads;
        self
    }

    /// Only for writes.
    #[must_use]
    pub fn writes(mut self) -> Self {
        self.on = On::Writes;
        self
    }

    /// Only for paths that contain `part`, such as `/members`.
    #[must_use]
    pub fn path(mut self, part: &str) -> Self {
        self.path = Some(part.to_owned());
        self
    }

    /// Only once `count` of those requests have gone through.
    #[must_use]
    pub fn after(mut self, count: u32) -> Self {
        self.after = count;
        self
    }

    /// For `count` requests, then it is over.
    #[must_use]
    pub fn times(mut self, count: u32) -> Self {
        self.times = Some(count);
        self
    }

    fn is_meant_for(&self, api: Api, regions: &[&str], request: &Request) -> bool {
        let by_method = match self.on {
            On::Any => true,
            On::Reads => !request.is_write(),
            On::Writes => request.is_write(),
        };
        self.api == api
            && by_method
            && (request.is_write() || !self.effect.is_for_writes())
            && self.region.as_deref().is_none_or(|name| regions.contains(&name))
            && self.path.as_deref().is_none_or(|part| request.path.contains(part))
    }
}

impl Effect {
    /// Whether it makes sense for writes of record sets alone.
    fn is_for_writes(&self) -> bool {
        matches!(
            self,
            Self::AppliedLate { .. }
                | Self::SlowToSettle { .. }
                | Self::StuckPending { .. }
                | Self::EndsInError
        )
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_none(count: &u32) -> bool {
    *count == 0
}

/// Names a fault that was switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FaultId(u64);

impl std::str::FromStr for FaultId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// The faults that are on.
#[derive(Debug, Default)]
pub(super) struct Faults {
    on: Vec<(FaultId, Fault)>,
    issued: u64,
}

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) -> FaultId {
        self.issued += 1;
        let id = FaultId(self.issued);
        self.on.push((id, fault));
        id
    }

    /// Whether it was on.
    pub(super) fn clear(&mut self, id: FaultId) -> bool {
        let before = self.on.len();
        self.on.retain(|(known, _)| *known != id);
        self.on.len() < before
    }

    pub(super) fn clear_all(&mut self) {
        self.on.clear();
    }

    pub(super) fn list(&self) -> &[(FaultId, Fault)] {
        &self.on
    }

    /// Whether a fault that holds requests is on.
    pub(super) fn hold(&self) -> bool {
        self.on.iter().any(|(_, fault)| matches!(fault.effect, Effect::Held { .. }))
    }

    /// What the newest fault meant for this request does; one of its times is used up.
    pub(super) fn strike(&mut self, api: Api, regions: &[&str], request: &Request) -> Option<Effect> {
        let passes = |fault: &mut Fault| {
            let waits = fault.after > 0;
            fault.after = fault.after.saturating_sub(1);
            waits
        };
        let mut strikes =
            |(_, fault): &mut (FaultId, Fault)| fault.is_meant_for(api, regions, request) && !passes(fault);
        let at = (0..self.on.len()).rev().find(|at| self.on.get_mut(*at).is_some_and(&mut strikes))?;
        let (_, fault) = self.on.get_mut(at)?;
        let effect = fault.effect.clone();
        if let Some(left) = &mut fault.times {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.on.remove(at);
            }
        }
        Some(effect)
    }
}

/// Durations as text with a unit, as in the configuration.
pub(super) mod as_text {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(in crate::sim) fn serialize<S: Serializer>(delay: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&humantime::format_duration(*delay))
    }

    pub(in crate::sim) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(from)?;
        humantime::parse_duration(&text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(path: &str) -> Request {
        Request { method: "GET".into(), path: path.into(), ..Request::default() }
    }

    #[test]
    fn the_newest_fault_meant_for_a_request_speaks_and_is_used_up() {
        let mut faults = Faults::default();
        faults.add(Fault::new(Api::Elb, Effect::Empty));
        faults.add(Fault::new(Api::Elb, Effect::Closed).region("region1").path("/members").reads().times(1));
        let members = get("/v3/p/elb/members");
        assert_eq!(faults.strike(Api::Elb, &["region2"], &members), Some(Effect::Empty));
        assert_eq!(faults.strike(Api::Elb, &["region1"], &get("/v3/p/elb/pools")), Some(Effect::Empty));
        assert_eq!(faults.strike(Api::Elb, &["region1"], &members), Some(Effect::Closed));
        assert_eq!(faults.strike(Api::Elb, &["region1"], &members), Some(Effect::Empty));
        assert_eq!(faults.strike(Api::Dns, &["region1"], &members), None);
    }

    #[test]
    fn a_fault_is_written_as_people_would() {
        let text =
            r#"{"api":"dns","on":"writes","times":2,"effect":{"kind":"applied-late","delay":"1s 500ms"}}"#;
        let fault: Fault = serde_json::from_str(text).unwrap();
        let late = Effect::AppliedLate { delay: Duration::from_millis(1500) };
        assert_eq!(fault, Fault::new(Api::Dns, late).writes().times(2));
        assert_eq!(serde_json::to_string(&fault).unwrap(), text);
    }
}

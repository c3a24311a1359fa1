//! The witnesses: resolvers that get what the zone served some time ago, keep it for as long as its TTL says, are silent or
//! lie for a time; and the task that asks them, when and as often as `daemon::witnesses` does.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use pointsman::core::Input;
use pointsman::model::{Fetched, Inquiry, Mode, Moment, Statement, Testimony};

use super::judge::Judged;
use super::play::{Simulation, Step};
use super::process::Message;
use super::service::{OneService, Tasks};
use super::settings::{Settings, service_name};

/// A resolver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Resolver {
    /// What it gets is what the zone served so long ago.
    pub(crate) lag_ms: i64,
    /// Whether it keeps what it got for as long as that may be cached.
    pub(crate) caches: bool,
}

/// What is wrong with a resolver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    Silent,
    /// It answers SERVFAIL.
    Fails,
    /// It answers with an address that the zone never held.
    Lies,
    /// It keeps what it has, however old that is.
    ServesStale,
}

/// How long a client may keep that there is no such name.
const NEGATIVE_MS: i64 = 10_000;
/// As in `daemon::witnesses` and `dns::witness`.
const ANSWER_WITHIN_MS: i64 = 2_000;
const OFTEN_FIRST: Duration = Duration::from_millis(200);
const OFTEN_MOST: Duration = Duration::from_secs(2);
const ALARMED: Duration = Duration::from_secs(30);
const AT_REST: Duration = Duration::from_secs(300);

/// One of the sets that are served under the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServedSet {
    pub(crate) values: BTreeSet<IpAddr>,
    pub(crate) ttl_s: u32,
    /// How often it is the answer, among all.
    pub(crate) weight: u64,
}

/// What the zone served, each from then on; the newest last. Nothing served is no such name.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServedHistory(Vec<(i64, Vec<ServedSet>)>);

impl ServedHistory {
    /// The zone serves that from then on, whatever was to come.
    pub(crate) fn serves(&mut self, now: i64, from: i64, sets: Vec<ServedSet>) {
        self.will_serve(now, [(from, sets)]);
    }

    /// The same of several, each from then on.
    pub(crate) fn will_serve(&mut self, now: i64, all: impl IntoIterator<Item = (i64, Vec<ServedSet>)>) {
        self.0.retain(|(at, _)| *at <= now);
        for (from, sets) in all {
            if self.0.last().is_none_or(|(_, before)| *before != sets) {
                self.0.push((from, sets));
            }
        }
        while self.0.len() > 64 {
            self.0.remove(0);
        }
    }

    fn at(&self, then: i64) -> &[ServedSet] {
        let sets = self.0.iter().rev().find(|(at, _)| *at <= then).or(self.0.first());
        sets.map_or(&[], |(_, sets)| sets.as_slice())
    }
}

/// What a resolver has got, and until when it may keep it.
#[derive(Clone, Debug)]
struct Got {
    until: i64,
    set: Option<ServedSet>,
}

/// The resolvers as they are now.
#[derive(Debug, Default)]
pub(crate) struct Resolvers {
    /// What is wrong with each, until then.
    pub(crate) manners: BTreeMap<usize, (Manner, i64)>,
    got: BTreeMap<usize, Got>,
}

impl Resolvers {
    /// All are well again, and keep what they have.
    pub(crate) fn calm_down(&mut self) {
        self.manners.clear();
    }

    /// What one answers, and after how long.
    fn answer(
        &mut self,
        (place, resolver): (usize, Resolver),
        now: i64,
        zone: &ServedHistory,
        drawn: u64,
    ) -> (i64, Statement) {
        let manner = self.manners.get(&place).filter(|(_, until)| now < *until).map(|(manner, _)| *manner);
        let quick_ms = 1 + i64::try_from(drawn % 40).unwrap_or(0);
        let nothing = |what: &str| Statement::Nothing(what.to_owned());
        match manner {
            Some(Manner::Silent) => return (ANSWER_WITHIN_MS, nothing("does not answer within 2 s")),
            Some(Manner::Fails) => return (quick_ms, nothing("answers SERVFAIL")),
            Some(Manner::Lies) => {
                let values = BTreeSet::from([[192, 0, 2, 77].into()]);
                return (quick_ms, Statement::Addresses { values, ttl_s: 9 });
            }
            Some(Manner::ServesStale) | None => {}
        }
        let keeps = |got: &&Got| manner.is_some() || (resolver.caches && now < got.until);
        let kept = self.got.get(&place).filter(keeps).cloned();
        let got = kept.unwrap_or_else(|| {
            let sets = zone.at(now - resolver.lag_ms);
            let total: u64 = sets.iter().map(|set| set.weight).sum();
            let mut left = if total == 0 { 0 } else { (drawn >> 8) % total };
            let hit = |set: &&ServedSet| {
                let hit = left < set.weight;
                left = left.saturating_sub(set.weight);
                hit
            };
            let set = sets.iter().find(hit).cloned();
            let keeps_ms = set.as_ref().map_or(NEGATIVE_MS, |set| i64::from(set.ttl_s) * 1000);
            let got = Got { until: now + keeps_ms, set };
            self.got.insert(place, got.clone());
            got
        });
        let left_s = u32::try_from((got.until - now).max(0) / 1000).unwrap_or(0);
        let said = got.set.map_or_else(
            || nothing("answers NXDOMAIN: no such name"),
            |set| Statement::Addresses { values: set.values, ttl_s: left_s },
        );
        (quick_ms, said)
    }
}

/// The task that asks.
#[derive(Debug, Default)]
pub(crate) struct Asking {
    token: u64,
    last_errand: Option<u64>,
    at: At,
}

#[derive(Debug, Default)]
enum At {
    #[default]
    Waiting,
    Fetching(u64, Fetched),
    Asking(Arc<Inquiry>, Vec<Testimony>),
}

pub(crate) fn resolver_address(place: usize) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1 + u8::try_from(place).unwrap_or(0)], 53))
}

/// Who is asked: nobody where nothing is written.
fn panel(settings: &Settings) -> &[Resolver] {
    let witnesses = settings.witnesses.as_deref().unwrap_or_default();
    if settings.mode == Mode::Observe { &[] } else { witnesses }
}

impl Simulation<'_> {
    /// There is something else to ask of a service, or somebody else to be asked: what is under way is dropped for it, save
    /// a fetch.
    pub(crate) fn ask_anew(&mut self, service: usize) {
        let is_asked = self.services[service].settings.witnesses.is_some();
        let Some(process) = self.process.as_mut().filter(|_| is_asked) else { return };
        let Tasks { inquiry, asking, .. } = &mut process.tasks[service];
        if inquiry.is_some() && !matches!(asking.at, At::Fetching(..)) {
            asking.at = At::Waiting;
            self.ask_in(service, 0);
        }
    }

    fn ask_in(&mut self, service: usize, ms: i64) {
        let Some(process) = &mut self.process else { return };
        let token = process.token();
        process.tasks[service].asking.token = token;
        let process = process.number;
        self.push(self.now + ms, Step::Asks { process, service, token });
    }

    /// The task comes to what it waited for.
    pub(crate) fn asks(&mut self, service: usize, token: u64) {
        let Some(process) = &mut self.process else { return };
        let Tasks { asking, settings, .. } = &mut process.tasks[service];
        if asking.token != token {
            return;
        }
        match std::mem::take(&mut asking.at) {
            At::Waiting => self.take_a_turn(service),
            At::Fetching(failover, fetched) => {
                self.send(3, service, Message::Fetched { failover, fetched });
                self.take_a_turn(service);
            }
            At::Asking(inquiry, said) => {
                let all_agree = said.iter().all(|testimony| inquiry.agrees(&testimony.said));
                let asks_again = !panel(settings).is_empty();
                let moment = process.moment(self.now);
                self.send(3, service, Message::Witnessed { inquiry: inquiry.number, said });
                if asks_again {
                    let pause = pause(moment, &inquiry, all_agree);
                    self.ask_in(service, i64::try_from(pause.as_millis()).unwrap_or(i64::MAX / 2));
                }
            }
        }
    }

    fn take_a_turn(&mut self, service: usize) {
        let (now, drawn) = (self.now, self.drawn(20));
        let OneService { cloud, resolvers, .. } = &mut self.services[service];
        let Some(process) = &mut self.process else { return };
        let moment = |after_ms: i64| process.moment(now + after_ms);
        let Tasks { inquiry, asking, settings, .. } = &process.tasks[service];
        let Some(inquiry) = inquiry.clone() else { return };
        let errand = inquiry.fetch.as_ref().map(|errand| errand.failover);
        let (at, takes_ms) = if let Some(failover) = errand.filter(|_| asking.last_errand != errand) {
            let takes_ms = 5 + i64::try_from(drawn % 200).unwrap_or(0);
            let (at, address) = (moment(takes_ms), inquiry.wanted.first().copied());
            let fetched = Fetched { at, address, served: drawn.is_multiple_of(4), saw: "it".to_owned() };
            (At::Fetching(failover, fetched), takes_ms)
        } else {
            let (mut said, mut takes_ms) = (Vec::new(), 1);
            for (place, resolver) in panel(settings).iter().enumerate() {
                let drawn = drawn.rotate_left(7 * u32::try_from(place).unwrap_or(0));
                let (after_ms, what) = resolvers.answer((place, *resolver), now, &cloud.served, drawn);
                takes_ms = takes_ms.max(after_ms);
                said.push(Testimony { witness: resolver_address(place), at: moment(after_ms), said: what });
            }
            (At::Asking(inquiry, said), takes_ms)
        };
        let asking = &mut process.tasks[service].asking;
        if let At::Fetching(failover, _) = at {
            asking.last_errand = Some(failover);
        }
        asking.at = at;
        self.ask_in(service, takes_ms);
    }

    /// The core hears what witnesses of a service said.
    pub(crate) fn witnessed(&mut self, service: usize, inquiry: u64, said: Vec<Testimony>) -> Judged {
        if self.services[service].settings.witnesses.is_some() {
            self.coverage.testimonies(&said);
        }
        self.services[service].judge.hears_witnesses(self.now, inquiry, &said);
        let name = service_name(service);
        self.step(Some(service), &Input::Witnessed { service: name, inquiry, said })
    }

    pub(crate) fn fetched(&mut self, service: usize, failover: u64, fetched: Fetched) -> Judged {
        self.services[service].judge.hears_a_client();
        let name = service_name(service);
        self.step(Some(service), &Input::Fetched { service: name, failover, fetched })
    }
}

/// How long to wait before they are asked again.
fn pause(now: Moment, inquiry: &Inquiry, all_agree: bool) -> Duration {
    if all_agree {
        return AT_REST;
    }
    let left = inquiry.patience_ends.since(now);
    if left == Duration::ZERO {
        return ALARMED;
    }
    now.since(inquiry.since).clamp(OFTEN_FIRST, OFTEN_MOST).min(left.max(OFTEN_FIRST))
}

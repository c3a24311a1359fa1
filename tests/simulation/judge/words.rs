//! What operators have ruled, by the judge's own account: a drain, pin or freeze outranks the checks, and only
//! NEVER-EMPTY outranks it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use pointsman::core::{Effect, Plan};
use pointsman::model::{Liveness, Mode, Waiting, WaitsFor};

use super::{Judge, Judged, holds};
use crate::simulation::event::{Rule, Said};
use crate::simulation::settings::place_of;

/// What is ruled of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    Region(usize),
    Service,
    Check(usize),
}

/// What holds, and until when.
#[derive(Clone, Debug, Default)]
pub(super) struct Words {
    held: BTreeMap<Subject, (Option<Rule>, Option<i64>)>,
    /// How many were heeded.
    pub(super) count: u64,
    /// How many of them the record set has followed; as the driver knows, and as the core has heard.
    pub(super) followed: u64,
    pub(super) followed_heard: u64,
    /// Whose change somebody has approved; none is the fallback's.
    approved: BTreeSet<Option<usize>>,
    asked: BTreeSet<Option<usize>>,
    /// Who waits for somebody to say that it may return.
    returns: BTreeSet<usize>,
    /// What was said in this step and has to be told.
    untold: bool,
}

impl Words {
    /// What is left of them after a restart.
    pub(super) fn later(&self, by: impl Fn(i64) -> i64) -> Self {
        let until = |until: &Option<i64>| until.map(&by);
        let held = self.held.iter().map(|(subject, (rule, end))| (*subject, (*rule, until(end))));
        Self { held: held.collect(), count: self.count, followed: self.followed_heard, ..Self::default() }
    }

    pub(super) fn leave_behind(&mut self, stays: impl Fn(Subject) -> bool) {
        self.held.retain(|subject, _| stays(*subject));
    }

    pub(super) fn muted(&self) -> BTreeSet<usize> {
        let check = |subject: &Subject| if let Subject::Check(check) = subject { Some(*check) } else { None };
        self.held.keys().filter_map(check).collect()
    }

    /// What holds for a region: of itself before of the whole service.
    fn of(&self, place: usize) -> Option<Rule> {
        let rule = |subject| self.held.get(&subject).and_then(|(rule, _)| *rule);
        rule(Subject::Region(place)).or(rule(Subject::Service).filter(|rule| *rule != Rule::Freeze))
    }

    pub(super) fn is_drained(&self, place: usize) -> bool {
        self.of(place) == Some(Rule::Drain)
    }

    pub(super) fn is_pinned(&self, place: usize) -> bool {
        self.of(place) == Some(Rule::Pin)
    }

    pub(super) fn is_frozen(&self, place: usize) -> bool {
        self.of(place) == Some(Rule::Freeze)
    }

    /// Whether nothing at all may be written.
    pub(super) fn is_all_frozen(&self) -> bool {
        self.held.get(&Subject::Service).is_some_and(|(rule, _)| *rule == Some(Rule::Freeze))
    }

    /// Whether its change waits for somebody's approval: a yes to another one's is to that one alone, also where this one
    /// is the reason for it.
    pub(super) fn asks(&self, place: usize) -> bool {
        self.asked.contains(&Some(place))
    }

    pub(super) fn are_none(&self) -> bool {
        self.held.is_empty()
    }
}

impl Judge {
    /// An operator says something; it has to be told in the same step.
    pub(crate) fn said(&mut self, now: i64, said: Said) {
        self.words.untold = true;
        let exists = |place: usize| self.views.contains_key(&place);
        let subject = |whose: Option<usize>| whose.map_or(Subject::Service, Subject::Region);
        let until = |seconds: Option<u64>| seconds.map(|s| now + i64::try_from(s * 1000).unwrap_or(0));
        let whose: Vec<Option<usize>> = match said {
            Said::Approve(None) => self.views.keys().map(|place| Some(*place)).chain([None]).collect(),
            Said::Approve(place) => vec![place],
            _ => Vec::new(),
        };
        let words = &mut self.words;
        let before = words.held.clone();
        match said {
            Said::Rule(rule, whose, seconds) => {
                if whose.is_none_or(exists) {
                    words.held.insert(subject(whose), (Some(rule), until(seconds)));
                    words.count += 1;
                }
            }
            Said::Mute(check, seconds) => {
                words.held.insert(Subject::Check(check), (None, until(seconds)));
                words.count += 1;
            }
            Said::Release(whose) => drop(words.held.remove(&subject(whose))),
            Said::Unmute(check) => drop(words.held.remove(&Subject::Check(check))),
            Said::Approve(_) => {
                words.count += u64::from(whose.iter().any(|whose| words.asked.contains(whose)));
                words.approved.extend(whose.iter().filter(|whose| words.asked.contains(*whose)));
            }
            // Heeded for those who wait for it; said before they do it is to nothing.
            Said::Failback(whose) => {
                let meant = |place: &&usize| whose.is_none_or(|it| it == **place);
                words.count += u64::from(words.returns.iter().any(|place| meant(&place)));
                for place in words.returns.iter().filter(meant) {
                    if let Some(view) = self.views.get_mut(place) {
                        view.has_to_ask = false;
                    }
                }
            }
        }
        if matches!(said, Said::Release(_) | Said::Unmute(_)) && before.len() != words.held.len() {
            words.count += 1;
        }
        self.reconsider(now);
    }

    /// Looks at all evidence anew: other checks have a vote.
    pub(super) fn reconsider(&mut self, now: i64) {
        let muted = self.words.muted();
        for view in self.views.values_mut() {
            view.weigh(now, &self.settings, &muted);
        }
    }

    /// What the core tells of words.
    pub(super) fn told_of_words(&mut self, now: i64, effect: &Effect) -> Judged {
        match effect {
            Effect::Said { .. } => {
                holds!(self.words.untold, "EXPLAINED", "told is a word that nobody said: {effect:?}");
                self.words.untold = false;
            }
            Effect::Ended { ended, .. } => {
                let subject = match (ended.ruling.scope(), ended.ruling.check()) {
                    (Some(scope), _) => {
                        scope.region().map_or(Subject::Service, |it| Subject::Region(place_of(it)))
                    }
                    (None, check) => {
                        let place = check.and_then(|name| name.as_str().trim_start_matches('c').parse().ok());
                        Subject::Check(place.unwrap_or_default())
                    }
                };
                // One about what a reload took away is gone already.
                if let Some((_, until)) = self.words.held.remove(&subject) {
                    let is_over = until.is_some_and(|until| until <= now);
                    holds!(is_over, "OPERATOR-RULES", "{ended} ended before its time: {until:?}");
                }
                if !self.starts {
                    self.reconsider(now);
                }
            }
            Effect::Waiting { waiting, .. } => {
                let whose = |waiting: &Waiting| waiting.region.as_ref().map(place_of);
                let who = |waits_for: WaitsFor| {
                    waiting.iter().filter(move |waiting| waiting.waits_for == waits_for).map(whose)
                };
                self.words.asked = who(WaitsFor::Approve).collect();
                self.words.returns = who(WaitsFor::Failback).flatten().collect();
                // What is asked again was not what was approved.
                let Self { words, .. } = self;
                words.approved.retain(|whose| !words.asked.contains(whose));
            }
            _ => {}
        }
        Ok(())
    }

    /// After each step of the core.
    pub(super) fn after_words(&self, now: i64) -> Judged {
        holds!(!self.words.untold, "EXPLAINED", "a word was not told");
        let over =
            self.words.held.iter().find(|(_, (_, until))| until.is_some_and(|until| until + 1_000 < now));
        holds!(over.is_none(), "OPERATOR-RULES", "it should have ended: {over:?} at {now}");
        Ok(())
    }

    /// What operators have ruled is in the plan, unless NEVER-EMPTY or somebody's approval is in the way.
    pub(super) fn plan_heeds_words(&self, plan: &Plan, seen: &BTreeSet<IpAddr>) -> Judged {
        if self.words.is_all_frozen() {
            holds!(
                !plan.may_write,
                "OPERATOR-RULES",
                "the service is frozen, and this may be written: {plan}"
            );
            return Ok(());
        }
        if self.settings.mode == Mode::Advise {
            return Ok(());
        }
        let least = self.settings.min_published.max(1) as usize;
        for (place, view) in &self.views {
            let place = *place;
            if self.words.is_drained(place) && self.is_surely_in(place, &plan.wanted) {
                let without = plan.wanted.difference(&view.owns).count();
                holds!(without < least, "OPERATOR-RULES", "r{place} is drained, and wanted: {plan}");
            }
            if self.words.is_pinned(place) && !view.current.is_empty() && !self.is_all_down() {
                holds!(
                    self.is_in(place, &plan.wanted),
                    "OPERATOR-RULES",
                    "r{place} is pinned, and not wanted: {plan}"
                );
            }
            if self.words.is_frozen(place) {
                let (was, is) = (self.is_surely_in(place, seen), self.is_in(place, &plan.wanted));
                holds!(!was || is, "OPERATOR-RULES", "r{place} is frozen, and leaves: {plan}");
                let (was, is) = (self.is_in(place, seen), self.is_surely_in(place, &plan.wanted));
                holds!(was || !is, "OPERATOR-RULES", "r{place} is frozen, and enters: {plan}");
            }
        }
        Ok(())
    }

    /// Each change that is written in `mode = "advise"` was approved.
    pub(super) fn write_is_approved(&self, before: &BTreeSet<IpAddr>, after: &BTreeSet<IpAddr>) -> Judged {
        if self.settings.mode != Mode::Advise {
            return Ok(());
        }
        for changed in before.symmetric_difference(after) {
            let mut whose = self.views.iter().filter(|(_, view)| view.owns.contains(changed)).peekable();
            let is_fallback = whose.peek().is_none();
            let approved = whose.any(|(place, _)| self.words.approved.contains(&Some(*place)))
                || (is_fallback && self.words.approved.contains(&None));
            holds!(approved, "OPERATOR-RULES", "nobody approved the change of {changed}");
        }
        Ok(())
    }

    /// A region that fell comes back by a person's word only, while another one serves that nobody has taken out
    /// (`failback = "manual"`).
    pub(super) fn may_return(&self, place: usize, seen: &BTreeSet<IpAddr>) -> bool {
        let serves = |(other, view): (&usize, &super::View)| {
            *other != place
                && !self.words.is_drained(*other)
                && self.is_surely_in(*other, seen)
                && matches!(view.told, Liveness::Up | Liveness::Suspect)
        };
        let waits = self.settings.manual_failback && self.views[&place].has_to_ask;
        !waits || !self.views.iter().any(serves)
    }
}

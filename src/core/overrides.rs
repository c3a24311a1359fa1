//! What operators have ruled of one service, and until when. Carries OPERATOR-RULES: who said it, why, and its end.

use std::collections::BTreeSet;

use super::memory::{Left, OverrideMemory};
use crate::model::{CheckName, Moment, Override, RegionName, Ruling, Scope, Service};

/// The overrides that hold, in the order given; at most one for each scope and for each check.
#[derive(Clone, Debug, Default)]
pub(super) struct Overrides(Vec<Override>);

impl Overrides {
    /// From now on; one about the same gives way.
    pub(super) fn put(&mut self, given: Override) {
        self.0.retain(|held| !given.ruling.replaces(&held.ruling));
        self.0.push(given);
    }

    /// Ends the drain, pin or freeze of exactly this scope; says whether there was one.
    pub(super) fn release(&mut self, scope: &Scope) -> bool {
        self.end(|ruling| ruling.scope() == Some(scope))
    }

    /// Ends the check's mute; says whether there was one.
    pub(super) fn unmute(&mut self, check: &CheckName) -> bool {
        self.end(|ruling| ruling.check() == Some(check))
    }

    fn end(&mut self, ends: impl Fn(&Ruling) -> bool) -> bool {
        let before = self.0.len();
        self.0.retain(|held| !ends(&held.ruling));
        self.0.len() < before
    }

    /// Takes those out whose time is over.
    pub(super) fn expire(&mut self, now: Moment) -> Vec<Override> {
        self.take(|held| held.until.is_some_and(|until| until <= now))
    }

    /// Takes those out that are about what the service does not have any more.
    pub(super) fn leave_behind(&mut self, service: &Service) -> Vec<Override> {
        self.take(|held| !is_about(&held.ruling, service))
    }

    fn take(&mut self, goes: impl Fn(&Override) -> bool) -> Vec<Override> {
        let (gone, stay) = std::mem::take(&mut self.0).into_iter().partition(goes);
        self.0 = stay;
        gone
    }

    /// When the next of them ends by itself.
    pub(super) fn next_end(&self) -> Option<Moment> {
        self.0.iter().filter_map(|held| held.until).min()
    }

    /// What holds for a region: what is said of itself before what is said of all. Not a freeze of the service, which
    /// is about what is written and not about what is wanted.
    pub(super) fn of(&self, region: &RegionName) -> Option<&Override> {
        let of_itself = |ruling: &Ruling| ruling.scope().and_then(Scope::region) == Some(region);
        let of_all =
            |ruling: &Ruling| matches!(ruling, Ruling::Drain(Scope::Service) | Ruling::Pin(Scope::Service));
        let find = |by: &dyn Fn(&Ruling) -> bool| self.0.iter().find(|held| by(&held.ruling));
        find(&of_itself).or_else(|| find(&of_all))
    }

    /// The freeze of the whole service, which outranks what is said of a region: nothing at all is written.
    pub(super) fn freeze(&self) -> Option<&Override> {
        self.0.iter().find(|held| held.ruling == Ruling::Freeze(Scope::Service))
    }

    /// The checks that have no vote.
    pub(super) fn muted(&self) -> BTreeSet<CheckName> {
        self.0.iter().filter_map(|held| held.ruling.check().cloned()).collect()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Override> {
        self.0.iter()
    }

    pub(super) fn memory(&self, now: Moment) -> Vec<OverrideMemory> {
        let kept = |held: &Override| OverrideMemory {
            ruling: held.ruling.clone(),
            author: held.author.clone(),
            reason: held.reason.clone(),
            left: held.until.map(|until| Left::of(until, now)),
        };
        self.0.iter().map(kept).collect()
    }

    /// Those that were remembered at `saved`: their time went on.
    pub(super) fn recall(memory: &[OverrideMemory], saved: Moment) -> Self {
        let held = |kept: &OverrideMemory| Override {
            ruling: kept.ruling.clone(),
            author: kept.author.clone(),
            reason: kept.reason.clone(),
            until: kept.left.map(|left| left.after(saved)),
        };
        Self(memory.iter().map(held).collect())
    }
}

/// Whether the service has what the ruling is about.
pub(super) fn is_about(ruling: &Ruling, service: &Service) -> bool {
    match (ruling.scope(), ruling.check()) {
        (Some(Scope::Region(name)), _) => service.regions.iter().any(|region| region.name == *name),
        (_, Some(name)) => {
            service.regions.iter().flat_map(|region| &region.checks).any(|check| check.name == *name)
        }
        (Some(Scope::Service) | None, None) => true,
    }
}

//! What an operator says of a service, taken in (OPERATOR-RULES). Every word is told, also one that changes nothing.

use super::service::ServiceState;
use super::{Effect, overrides};
use crate::model::{Moment, Override, Scope, WaitsFor, Word};

impl ServiceState {
    /// Takes in a word.
    pub(super) fn said(&mut self, now: Moment, word: &Word, effects: &mut Vec<Effect>) {
        let heeded = self.heed(now, word);
        effects.push(Effect::Said { service: self.service.name.clone(), word: word.clone(), heeded });
        if heeded {
            self.words = self.words.saturating_add(1);
            self.changed = true;
            self.mute_checks();
            self.advance(now, effects);
        }
    }

    /// Says whether there was anything to change.
    fn heed(&mut self, now: Moment, word: &Word) -> bool {
        match word {
            Word::Override(given) => {
                let over = given.until.is_some_and(|until| until <= now);
                if over || !overrides::is_about(&given.ruling, &self.service) {
                    return false;
                }
                self.overrides.put(given.clone());
                true
            }
            Word::Release { scope, .. } => self.overrides.release(scope),
            Word::Unmute { check, .. } => self.overrides.unmute(check),
            Word::Approve { scope, .. } => self.consent.approve(scope),
            Word::Failback { scope, .. } => self.let_return(scope),
        }
    }

    /// Lets the regions return that wait for it; says whether any does.
    fn let_return(&mut self, scope: &Scope) -> bool {
        let mut any = false;
        for waiting in self.waiting.iter().filter(|it| it.waits_for == WaitsFor::Failback) {
            let Some(name) = waiting.region.as_ref().filter(|name| scope.reaches(name)) else { continue };
            for region in self.regions.iter_mut().filter(|region| region.region.name == *name) {
                any |= region.let_return();
            }
        }
        any
    }

    /// Ends what has lasted as long as it was said to.
    pub(super) fn expire(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let over = self.overrides.expire(now);
        self.end(over, "its time is over", effects);
    }

    /// Ends what is about regions and checks that are not configured any more.
    pub(super) fn leave_behind(&mut self, effects: &mut Vec<Effect>) {
        let over = self.overrides.leave_behind(&self.service);
        self.end(over, "what it is about is not configured any more", effects);
    }

    fn end(&mut self, over: Vec<Override>, because: &'static str, effects: &mut Vec<Effect>) {
        if over.is_empty() {
            return;
        }
        self.changed = true;
        self.mute_checks();
        let service = &self.service.name;
        effects.extend(over.into_iter().map(|ended| Effect::Ended {
            service: service.clone(),
            ended,
            because,
        }));
    }

    /// Tells every region which of its checks have no vote.
    pub(super) fn mute_checks(&mut self) {
        let muted = self.overrides.muted();
        for region in &mut self.regions {
            region.muted.clone_from(&muted);
        }
    }
}

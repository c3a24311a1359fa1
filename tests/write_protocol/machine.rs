//! A world around the real reconciler: plans, answers of every kind, crashes, writes that land late, somebody else.
//!
//! What is assumed of it: a write that was not answered lands within a minute or never. Time passes only to when the
//! reconciler wakes, and by a crash. Each of [`Faults`] is used up by what it counts; a schedule is followed for so many steps.

use std::time::Duration;

use pointsman::core::{Call, Generation};
use pointsman::model::{Found, InForce, Moment, ProviderErrorKind, Ttl};
use stateright::{Model, Property};

use crate::driven::{Awaits, Driven, Habits, Rules, error};
use crate::values::Values;

/// A write that was not answered may land for so long, and no longer.
const LANDS_WITHIN: Duration = Duration::from_secs(60);
/// A read may be answered from so long ago.
const READS_LAG: Duration = Duration::from_secs(5);
/// A region that has had its write beyond the budget waits for so long after the latest write at most.
const URGENT_EVERY: Duration = Duration::from_secs(30);
/// Once nothing goes wrong any more the zone is as wanted after this beside two windows of the budget, of which the second
/// holds what is kept for removals: throttles and backoff are over.
const SETTLES_WITHIN: Duration = Duration::from_secs(70);

/// How much can happen in one schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Faults {
    pub(crate) plans: u8,
    pub(crate) crashes: u8,
    /// Answers that are not a plain yes.
    pub(crate) answers: u8,
    pub(crate) edits: u8,
}

/// The reconciler in its world.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    pub(crate) habits: Habits,
    pub(crate) faults: Faults,
    pub(crate) rules: Rules,
}

/// A write that was made and not refused, with the regions that left by it, and those that came to the rescue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Made {
    at: Moment,
    before: Values,
    leave: Values,
    rescue: Values,
    /// Whether its answer is lost, and no read has shown yet what became of it.
    is_lost: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    driven: Driven,
    /// What the zone holds; none when there is no such set.
    zone: Option<Values>,
    /// What it held before, and until when a read may find that.
    before: Option<(Option<Values>, Moment)>,
    /// What was answered to the write under way, once it was.
    reply: Option<Result<(), ProviderErrorKind>>,
    /// Writes that may still land, and until when.
    late: Vec<(Values, Moment)>,
    /// Every write within the window.
    written: Vec<Made>,
    left: Faults,
    broken: Option<&'static str>,
}

/// How a read is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadAnswer {
    Plain,
    Pending,
    Failed,
    /// As it was a moment ago.
    Stale,
    /// As if there were none.
    Forgotten,
    Error(ProviderErrorKind),
}

/// What becomes of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Taken,
    AnswerLost,
    AnswerUnclear,
    Vanishes,
    /// No answer, and it may land yet.
    Late,
    Error(ProviderErrorKind),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    MakePlan(Values),
    Read(ReadAnswer),
    Write(Fate),
    HearReply,
    Wait,
    /// All goes well until the driver has nothing to do for a while: what [`Action::Wait`] comes to, in one step.
    Rest,
    LandLate(usize),
    Crash,
    Edit(Option<Values>),
}

const NOT_DONE: [ProviderErrorKind; 3] = [
    ProviderErrorKind::Away,
    ProviderErrorKind::Throttled(Some(Duration::from_secs(5))),
    ProviderErrorKind::Refused,
];

impl Machine {
    fn read(&self, state: &mut State, answer: ReadAnswer) -> Option<()> {
        if answer != ReadAnswer::Plain {
            state.left.answers -= 1;
        }
        let before = state.before.map(|(before, _)| before);
        let found = |values: Option<Values>, in_force| Ok(values.map(|values| as_found(values, in_force)));
        let answer = match answer {
            ReadAnswer::Plain => found(state.zone, InForce::Yes),
            ReadAnswer::Pending => found(state.zone, InForce::Pending),
            ReadAnswer::Failed => found(state.zone, InForce::Failed),
            ReadAnswer::Stale => found(before?, InForce::Yes),
            ReadAnswer::Forgotten => Ok(None),
            ReadAnswer::Error(kind) => Err(error(kind)),
        };
        if let Ok(Some(found)) = &answer {
            state.finds(found);
        }
        state.driven.was_read(self.habits, answer);
        Some(())
    }

    /// Makes the write that was told of, unless it is taken back.
    fn write(&self, state: &mut State, fate: Fate) {
        let Some(call) = state.driven.send(self.habits) else { return };
        if fate != Fate::Taken {
            state.left.answers -= 1;
        }
        let made = state.judge(&call, self.rules);
        let (Call::Replace { set, .. } | Call::Create { set }) = &call else { return };
        let values = Values::of(set.values());
        let exists_already = matches!(call, Call::Create { .. }) && state.zone.is_some();
        let lost = ProviderErrorKind::Lost;
        let (lands, reply) = match fate {
            _ if exists_already => (false, Err(ProviderErrorKind::Conflict)),
            Fate::Taken => (true, Ok(())),
            Fate::AnswerLost => (true, Err(lost)),
            Fate::AnswerUnclear => (true, Err(ProviderErrorKind::Unclear)),
            Fate::Vanishes => (false, Err(lost)),
            Fate::Late => {
                state.late.push((values, state.driven.now + LANDS_WITHIN));
                (false, Err(lost))
            }
            Fate::Error(kind) => (false, Err(kind)),
        };
        if lands {
            state.change(Some(values));
        }
        if lands || reply == Err(lost) {
            state.written.extend(made.map(|made| Made { is_lost: reply == Err(lost), ..made }));
        }
        state.reply = Some(reply);
    }

    /// Whether the zone comes to be as wanted, and stays, once nothing goes wrong any more.
    ///
    /// Looked at where the driver waits: from elsewhere it gets there by steps that are searched too.
    fn settles(&self, state: &State) -> bool {
        if !matches!(state.driven.awaits, Awaits::Time(_)) {
            return true;
        }
        let Some(newest) = state.driven.newest else { return true };
        let mut calm = state.clone();
        let ends = calm.driven.now + self.rules.budget.window.saturating_mul(2) + SETTLES_WITHIN;
        let as_wanted = |calm: &State| {
            let ours = calm.zone.unwrap_or(Values::NONE).ours();
            newest.values.is_empty() || calm.driven.is_at_rest && ours == newest.values
        };
        while calm.driven.now <= ends {
            if as_wanted(&calm) {
                return true;
            }
            self.go_on(&mut calm);
        }
        false
    }

    /// The next thing happens, and it goes well.
    fn go_on(&self, state: &mut State) {
        if let Some(reply) = state.reply.take() {
            return state.driven.was_written(self.habits, reply);
        }
        match state.driven.awaits {
            Awaits::Time(_) => state.driven.wait(self.habits),
            Awaits::Read => self.read(state, ReadAnswer::Plain).unwrap_or_default(),
            Awaits::Write => self.write(state, Fate::Taken),
        }
    }
}

impl State {
    fn change(&mut self, zone: Option<Values>) {
        if zone != self.zone {
            self.before = Some((self.zone, self.driven.now + READS_LAG));
            self.zone = zone;
        }
    }

    /// A read shows what became of a write whose answer was lost. One that did not land does not count; of a set that failed
    /// nobody can tell.
    fn finds(&mut self, found: &Found) {
        let Some(latest) = self.written.last_mut().filter(|latest| latest.is_lost) else { return };
        latest.is_lost = false;
        if Values::of(&found.values) == latest.before && found.in_force != InForce::Failed {
            self.written.pop();
        }
    }

    /// What must hold of every write that is sent.
    fn judge(&mut self, call: &Call, rules: Rules) -> Option<Made> {
        let (set, found) = match call {
            Call::Read => return None,
            Call::Replace { found, set } => (set, Some(found)),
            Call::Create { set } => (set, None),
        };
        let values = Values::of(set.values());
        let seen = self.driven.seen.unwrap_or(Values::NONE);
        let newest = self.driven.newest;
        let failed = found.is_some_and(|found| found.in_force == InForce::Failed);
        let rescue =
            if newest.is_some_and(|plan| plan.is_rescue) { values.without(seen) } else { Values::NONE };
        let (leave, rescue) = (seen.without(values).ours(), rescue.ours());
        let made = Made { at: self.driven.now, before: seen, leave, rescue, is_lost: false };
        let broken = [
            ("NEVER-EMPTY", values.ours().is_empty()),
            ("ONLY-OURS", values.foreign() != seen.foreign()),
            ("ONLY-WHEN-DIFFERENT", values == seen && !failed),
            ("NEWEST-PLAN-WINS", self.driven.intent != newest.map(|plan| Generation(plan.generation))),
            ("NEWEST-PLAN-WINS", newest.is_none_or(|plan| plan.values != values.ours())),
            ("BOUNDED-WRITES", !self.is_within(made, rules)),
        ];
        self.broken = self.broken.or(broken.iter().find(|(_, is)| *is).map(|(name, _)| *name));
        Some(made)
    }

    /// Whether a write is within the budget, or one beyond it that a region has: one to leave and one to come to the rescue in
    /// a window, and else one in half a minute.
    fn is_within(&self, made: Made, rules: Rules) -> bool {
        let is_recent = |write: &&Made| write.at + rules.budget.window > made.at;
        let recent: Vec<&Made> = self.written.iter().filter(is_recent).chain([&made]).collect();
        let all = |of: fn(&Made) -> Values| recent.iter().fold(Values::NONE, |all, write| all.and(of(write)));
        let regions = all(|write| write.leave).count() + all(|write| write.rescue).count();
        let pairs = recent.iter().zip(recent.iter().skip(1));
        let paced = pairs.filter(|(one, next)| next.at.since(one.at) >= URGENT_EVERY).count();
        recent.len() <= rules.budget.writes as usize + regions + paced
    }

    /// Whether the newest plan waits for the budget although a region is to leave, or to come to the rescue, that has not done
    /// so within the window.
    fn waits_in_vain(&self, rules: Rules) -> bool {
        let (Some(plan), Some(seen)) = (self.driven.newest.filter(|_| self.driven.is_held), self.driven.seen)
        else {
            return false;
        };
        let now = self.driven.now;
        let is_recent = |write: &&Made| write.at + rules.budget.window > now;
        let had = |of: fn(&Made) -> Values| {
            self.written.iter().filter(is_recent).fold(Values::NONE, |all, write| all.and(of(write)))
        };
        let leaves = seen.ours().without(plan.values).without(had(|write| write.leave));
        let rescues = if plan.is_rescue { plan.values.without(seen) } else { Values::NONE };
        !leaves.is_empty() || !rescues.without(had(|write| write.rescue)).is_empty()
    }
}

fn as_found(values: Values, in_force: InForce) -> Found {
    Found {
        id: String::new(),
        values: values.addresses(),
        ttl: Ttl::DEFAULT,
        in_force,
        description: None,
        parts: Vec::new(),
    }
}

impl Model for Machine {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let state = |zone| State {
            driven: Driven::new(self.habits, self.rules),
            zone,
            before: None,
            reply: None,
            late: Vec::new(),
            written: Vec::new(),
            left: self.faults,
            broken: None,
        };
        vec![state(Some(Values::A.and(Values::FOREIGN))), state(Some(Values::FOREIGN))]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let State { driven, left, .. } = state;
        if state.broken.is_some() {
            return;
        }
        if let Some(seen) = driven.seen.filter(|_| left.plans > 0) {
            let mut wants = vec![Values::A, Values::B];
            // A core wants nothing only while it sees none of its addresses.
            if driven.newest.is_some() && seen.ours().is_empty() {
                wants.push(Values::NONE);
            }
            wants.retain(|wanted| driven.newest.is_none_or(|newest| newest.values != *wanted));
            actions.extend(wants.into_iter().map(Action::MakePlan));
        }
        let goes_wrong = left.answers > 0;
        match driven.awaits {
            _ if state.reply.is_some() => actions.push(Action::HearReply),
            Awaits::Time(_) => {
                actions.push(Action::Wait);
                if !driven.rests() {
                    actions.push(Action::Rest);
                }
            }
            Awaits::Read => {
                actions.push(Action::Read(ReadAnswer::Plain));
                if goes_wrong {
                    let kinds = [NOT_DONE[0], NOT_DONE[1], ProviderErrorKind::Unclear];
                    actions.extend(kinds.map(|kind| Action::Read(ReadAnswer::Error(kind))));
                    let odd = [ReadAnswer::Pending, ReadAnswer::Failed, ReadAnswer::Forgotten];
                    actions.extend(odd.map(Action::Read));
                    if state.before.is_some_and(|(_, until)| driven.now < until) {
                        actions.push(Action::Read(ReadAnswer::Stale));
                    }
                }
            }
            Awaits::Write => {
                actions.push(Action::Write(Fate::Taken));
                if goes_wrong {
                    let fates = [Fate::AnswerLost, Fate::AnswerUnclear, Fate::Vanishes, Fate::Late];
                    actions.extend(fates.map(Action::Write));
                    actions.extend(NOT_DONE.map(|kind| Action::Write(Fate::Error(kind))));
                    actions.push(Action::Write(Fate::Error(ProviderErrorKind::Conflict)));
                }
            }
        }
        let may_land = (0..).zip(&state.late).filter(|(_, (_, until))| driven.now < *until);
        actions.extend(may_land.map(|(place, _)| Action::LandLate(place)));
        if left.crashes > 0 {
            actions.push(Action::Crash);
        }
        if left.edits > 0 {
            let edits = [
                None,
                Some(Values::FOREIGN),
                Some(Values::A.and(Values::B)),
                Some(Values::B.and(Values::FOREIGN)),
            ];
            actions.extend(edits.into_iter().filter(|edit| *edit != state.zone).map(Action::Edit));
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::MakePlan(values) => {
                state.left.plans -= 1;
                state.driven.plan(self.habits, values);
            }
            Action::Read(answer) => self.read(&mut state, answer)?,
            Action::Write(fate) => self.write(&mut state, fate),
            Action::HearReply => {
                let reply = state.reply.take()?;
                state.driven.was_written(self.habits, reply);
            }
            Action::Wait => state.driven.wait(self.habits),
            Action::Rest => {
                while !state.driven.rests() {
                    self.go_on(&mut state);
                }
            }
            Action::LandLate(place) => {
                let (values, _) = state.late.remove(place);
                state.change(Some(values));
            }
            Action::Crash => {
                state.left.crashes -= 1;
                state.reply = None;
                state.driven.restart(self.habits, self.rules);
            }
            Action::Edit(values) => {
                state.left.edits -= 1;
                state.change(values);
            }
        }
        // What cannot matter any more is no difference between states.
        let now = state.driven.now;
        state.late.retain(|(_, until)| now < *until);
        state.before = state.before.filter(|(_, until)| now < *until);
        state.written.retain(|write| write.at + self.rules.budget.window > now);
        if state.waits_in_vain(self.rules) {
            state.broken = state.broken.or(Some("BOUNDED-WRITES"));
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("NEVER-EMPTY", |_, state: &State| state.broken != Some("NEVER-EMPTY")),
            Property::always("ONLY-OURS", |_, state: &State| state.broken != Some("ONLY-OURS")),
            Property::always("ONLY-WHEN-DIFFERENT", |_, state: &State| {
                state.broken != Some("ONLY-WHEN-DIFFERENT")
            }),
            Property::always("BOUNDED-WRITES", |_, state: &State| state.broken != Some("BOUNDED-WRITES")),
            Property::always("NEWEST-PLAN-WINS", |_, state: &State| state.broken != Some("NEWEST-PLAN-WINS")),
            Property::always("NEWEST-PLAN-WINS in the end", |model: &Self, state: &State| {
                model.settles(state)
            }),
            Property::sometimes("it writes after the last fault", |_, state: &State| {
                let Faults { plans, crashes, answers, edits } = state.left;
                plans + crashes + answers + edits == 0 && state.reply == Some(Ok(()))
            }),
        ]
    }
}

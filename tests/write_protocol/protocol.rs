//! How a record set is written, by one instance or by several: read, compare, write, be answered or not, crash,
//! restart, lose the lease, come back.
//!
//! What is assumed of the world: the lease is etcd's, and clocks run at the same speed (their readings need not agree). A
//! request lands at any time after it was sent, also after its deadline, its sender's death or a later request; it
//! vanishes or lands while its sender, or who comes after it, is still wary. A read that would find what the last one found
//! changes nothing and is left out, as is the time that passes between reads. Each of [`Bounds`] is used up by what it
//! counts, so every schedule ends.

use stateright::{Model, Property};

use crate::protections::Protections;
use crate::state::{
    Asked, Bounds, Broken, DEADLINE, Etcd, LEASE, Plan, Process, Request, State, Work, Writer,
};
use crate::values::Values;

/// The protocol, or what is left of it.
#[derive(Clone, Debug)]
pub(crate) struct Protocol {
    pub(crate) protections: Protections,
    pub(crate) bounds: Bounds,
    /// One writes alone and needs no lease.
    pub(crate) writers: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Start(u8),
    MakePlan(u8, Values),
    Read(u8),
    Send(u8),
    /// A request is carried out; its place among those on their way.
    Land(u8),
    Vanish(u8),
    TakeAnswer(u8),
    /// No answer comes, or none in time.
    GiveUp(u8),
    Crash(u8),
    AskForLease(u8),
    AskForRenewal(u8),
    TakeLease(u8),
    Tick,
    Edit(Values),
}

impl Protocol {
    fn alone(&self) -> bool {
        self.writers == 1
    }

    /// Whether this process takes itself for the one that writes.
    fn leads(&self, process: &Process) -> bool {
        self.alone() || process.lease > 0
    }

    fn holds(&self, state: &State, who: u8) -> bool {
        self.alone() || state.etcd.left > 0 && state.etcd.holder == who
    }

    /// Whether it takes itself for one that may write, and for so long that a request can end.
    fn may_write(&self, process: &Process) -> bool {
        let needed = if self.protections.ends_within_lease { DEADLINE } else { 1 };
        self.alone() || process.lease >= needed || !self.protections.lease
    }

    /// Whether a read would be made that finds something else than the last one.
    fn reads(&self, state: &State, process: &Process) -> bool {
        let of_itself = process.wary || self.protections.resync;
        process.plan.is_some()
            && process.work == Work::Idle
            && self.may_write(process)
            && (process.must_read || of_itself && process.seen != Some(state.zone))
    }

    /// Nothing is on its way, and who leads has nothing to do for the newest plan.
    pub(crate) fn is_quiet(&self, state: &State) -> bool {
        state.on_their_way.is_empty()
            && state
                .writers
                .iter()
                .all(|writer| writer.process.is_some_and(|p| p.work == Work::Idle && !self.reads(state, &p)))
            && state.processes().any(|(_, p)| self.may_write(p) && p.plan.is_some() && p.plan == state.newest)
    }

    /// The zone is as the newest plan wants it, if that wants anything.
    fn is_as_wanted(state: &State) -> bool {
        state.newest.is_some_and(|plan| plan.wanted.is_empty() || plan.wanted == state.zone.ours())
    }

    fn make_plan(&self, state: &mut State, who: u8, wanted: Values) -> Option<()> {
        let protections = self.protections;
        let process = state.process(who)?;
        if process.plan.is_some() {
            state.left.plans -= 1;
        }
        let process = state.process(who)?;
        process.generation += 1;
        let plan = Plan { generation: process.generation, wanted };
        process.plan = Some(plan);
        process.must_read = true;
        state.etcd.generation = state.etcd.generation.max(plan.generation);
        if protections.generation_kept {
            state.writer(who)?.generation_kept = plan.generation;
        }
        if state.newest.is_some_and(|newest| newest.generation >= plan.generation) {
            state.broken = Some(Broken::GenerationWentBack);
        }
        state.newest = Some(plan);
        Some(())
    }

    fn read(&self, state: &mut State, who: u8) -> Option<()> {
        let zone = state.zone;
        let process = state.process(who)?;
        let (plan, may_write) = (process.plan?, self.may_write(process));
        (process.seen, process.must_read) = (Some(zone), false);
        if zone.ours() != plan.wanted {
            process.work = Work::Ready { plan, found: zone, may_write };
        }
        Some(())
    }

    fn send(&self, state: &mut State, who: u8) -> Option<()> {
        let protections = self.protections;
        let process = state.process(who)?;
        let Work::Ready { plan, found, may_write } = process.work else { return None };
        process.work = Work::Idle;
        let newest = if protections.newest_at_write { process.plan } else { Some(plan) };
        let may_write = if protections.lease_at_write { self.may_write(process) } else { may_write };
        let (Some(plan), true) = (newest, may_write) else {
            process.must_read = true;
            return Some(());
        };
        let values = found.without(Values::A.and(Values::B)).and(plan.wanted);
        if protections.last_look && values.ours().is_empty() || values == found {
            return Some(());
        }
        let values = if protections.in_place { values } else { Values::NONE };
        process.work = Work::Sent { values };
        if protections.sent_kept {
            state.writer(who)?.sent_kept = true;
        }
        if state.newest.is_some_and(|newest| newest.generation > plan.generation) {
            state.broken = Some(Broken::SentOlder);
        }
        if !self.holds(state, who) {
            state.broken = Some(Broken::SentWithoutLease);
        }
        state.on_their_way.push(Request { by: who, values, deadline: DEADLINE, awaited: true });
        Some(())
    }

    fn land(state: &mut State, place: u8) -> Option<()> {
        let request = state.on_their_way.remove(place.into());
        state.zone = request.values;
        if request.values.ours().is_empty() {
            state.broken = Some(Broken::LeftEmpty);
        }
        if request.awaited {
            state.process(request.by)?.work = Work::Answered;
        }
        Some(())
    }

    fn take_answer(&self, state: &mut State, who: u8) -> Option<()> {
        let process = state.process(who)?;
        process.work = Work::Idle;
        process.must_read = self.protections.read_after_write;
        let may_land = process.wary;
        state.writer(who)?.sent_kept &= may_land;
        Some(())
    }

    fn give_up(&self, state: &mut State, who: u8) -> Option<()> {
        let protections = self.protections;
        state.left.losses = state.left.losses.saturating_sub(1);
        state.nobody_awaits(who);
        let process = state.process(who)?;
        if let (Work::Sent { values }, false) = (process.work, protections.read_after_loss) {
            process.seen = Some(values);
        } else {
            process.must_read = true;
            process.wary |= protections.wary_after_loss;
        }
        process.work = Work::Idle;
        Some(())
    }

    fn ask(state: &mut State, who: u8, is_renewal: bool) -> Option<()> {
        (state.etcd.holder, state.etcd.left) = (who, LEASE);
        let left = if is_renewal { &mut state.left.renewals } else { &mut state.left.elections };
        *left = left.saturating_sub(1);
        state.process(who)?.asked = Some(Asked { left: LEASE, is_renewal });
        Some(())
    }

    fn take_lease(&self, state: &mut State, who: u8) -> Option<()> {
        let protections = self.protections;
        let handed_over = state.etcd.generation;
        let process = state.process(who)?;
        let asked = process.asked.take()?;
        process.lease = if protections.lease_from_asking { asked.left } else { LEASE };
        if asked.is_renewal {
            return Some(());
        }
        process.must_read = true;
        process.wary |= protections.wary_after_election;
        if protections.generation_handed_over {
            process.generation = process.generation.max(handed_over);
        }
        if protections.plans_anew {
            process.plan = None;
        }
        Some(())
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let writer = Writer { process: None, generation_kept: 0, sent_kept: false };
        let state = |zone| State {
            zone,
            on_their_way: Vec::new(),
            writers: vec![writer.clone(); self.writers.into()],
            etcd: Etcd { holder: 0, left: 0, generation: 0 },
            left: self.bounds,
            newest: None,
            broken: None,
        };
        vec![state(Values::FOREIGN), state(Values::A)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.broken.is_some() {
            return;
        }
        for (who, writer) in (0..).zip(&state.writers) {
            let Some(process) = &writer.process else {
                actions.push(Action::Start(who));
                continue;
            };
            if self.leads(process) && (process.plan.is_none() || state.left.plans > 0) {
                actions.extend([Values::A, Values::B].map(|wanted| Action::MakePlan(who, wanted)));
                // A core wants nothing only while it sees none of its addresses.
                if process.plan.is_some() && process.seen.is_some_and(|seen| seen.ours().is_empty()) {
                    actions.push(Action::MakePlan(who, Values::NONE));
                }
            }
            if self.reads(state, process) {
                actions.push(Action::Read(who));
            }
            match process.work {
                Work::Ready { .. } => actions.push(Action::Send(who)),
                Work::Answered => {
                    actions.push(Action::TakeAnswer(who));
                    if state.left.losses > 0 {
                        actions.push(Action::GiveUp(who));
                    }
                }
                Work::Sent { .. } if state.left.losses > 0 || !state.awaits(who) => {
                    actions.push(Action::GiveUp(who));
                }
                Work::Idle | Work::Sent { .. } => {}
            }
            if state.left.crashes > 0 {
                actions.push(Action::Crash(who));
            }
            if process.asked.is_some() {
                actions.push(Action::TakeLease(who));
            }
            if !self.alone() && state.etcd.left == 0 {
                actions.push(Action::AskForLease(who));
            }
            let renews = state.left.renewals > 0 || state.left.elections == 0 && process.lease < LEASE;
            if renews && process.lease > 0 && process.asked.is_none() && self.holds(state, who) {
                actions.push(Action::AskForRenewal(who));
            }
        }
        for place in (0..).take(state.on_their_way.len()) {
            actions.push(Action::Land(place));
            if state.left.losses > 0 {
                actions.push(Action::Vanish(place));
            }
        }
        let holder_goes_on = state
            .processes()
            .any(|(who, process)| state.etcd.holder == who && (process.lease > 0 || process.asked.is_some()));
        if state.etcd.left > 0 && (state.left.elections > 0 || !holder_goes_on) {
            actions.push(Action::Tick);
        }
        if state.left.edits > 0 {
            let edits = [Values::NONE, Values::A, Values::B.and(Values::FOREIGN)];
            actions.extend(edits.into_iter().filter(|edit| *edit != state.zone).map(Action::Edit));
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Start(who) => {
                let writer = state.writer(who)?;
                writer.process = Some(Process::new(writer.generation_kept, writer.sent_kept));
            }
            Action::MakePlan(who, wanted) => self.make_plan(&mut state, who, wanted)?,
            Action::Read(who) => self.read(&mut state, who)?,
            Action::Send(who) => self.send(&mut state, who)?,
            Action::Land(place) => Self::land(&mut state, place)?,
            Action::Vanish(place) => {
                state.left.losses -= 1;
                state.on_their_way.remove(place.into());
            }
            Action::TakeAnswer(who) => self.take_answer(&mut state, who)?,
            Action::GiveUp(who) => self.give_up(&mut state, who)?,
            Action::Crash(who) => {
                state.left.crashes -= 1;
                state.nobody_awaits(who);
                state.writer(who)?.process = None;
            }
            Action::AskForLease(who) => Self::ask(&mut state, who, false)?,
            Action::AskForRenewal(who) => Self::ask(&mut state, who, true)?,
            Action::TakeLease(who) => self.take_lease(&mut state, who)?,
            Action::Tick => state.tick(),
            Action::Edit(values) => {
                state.left.edits -= 1;
                state.zone = values;
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("NEVER-EMPTY", |_, state: &State| state.broken != Some(Broken::LeftEmpty)),
            Property::always("NEWEST-PLAN-WINS", |model: &Self, state: &State| {
                !matches!(state.broken, Some(Broken::SentOlder | Broken::GenerationWentBack))
                    && (!model.is_quiet(state) || Self::is_as_wanted(state))
            }),
            Property::always("ONE-WRITER", |model: &Self, state: &State| {
                let overlaps = |request: &Request| {
                    request.deadline > 0 && state.etcd.left > 0 && state.etcd.holder != request.by
                };
                state.broken != Some(Broken::SentWithoutLease)
                    && (model.alone() || !state.on_their_way.iter().any(overlaps))
            }),
            Property::always("every schedule ends with nothing left to do", |model: &Self, state: &State| {
                let mut actions = Vec::new();
                model.actions(state, &mut actions);
                !actions.is_empty() || state.broken.is_some() || model.is_quiet(state)
            }),
            Property::sometimes("it finishes", |model: &Self, state: &State| {
                model.is_quiet(state) && Self::is_as_wanted(state) && state.left == Bounds::NOTHING
            }),
        ]
    }
}

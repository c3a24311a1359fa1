//! What there is in the protocol's model: the zone, what is on its way to it, the instances, and etcd.

use crate::values::Values;

/// A lease lasts for so many ticks from when it was asked for.
pub(crate) const LEASE: u8 = 3;
/// A request is given up so many ticks after it was sent.
pub(crate) const DEADLINE: u8 = 2;

/// How much can happen in one schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Bounds {
    /// Plans, beside the first one of each process that starts or is elected.
    pub(crate) plans: u8,
    /// Processes killed.
    pub(crate) crashes: u8,
    /// Requests and answers lost, or given up on.
    pub(crate) losses: u8,
    /// Changes by somebody else.
    pub(crate) edits: u8,
    /// Leases granted, beside those that follow a crash; after the last the holder renews in time for ever.
    pub(crate) elections: u8,
    /// Leases renewed while others may still be elected.
    pub(crate) renewals: u8,
}

impl Bounds {
    pub(crate) const NOTHING: Self =
        Self { plans: 0, crashes: 0, losses: 0, edits: 0, elections: 0, renewals: 0 };
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) zone: Values,
    /// Sent and neither landed nor vanished; in the order of sending.
    pub(crate) on_their_way: Vec<Request>,
    pub(crate) writers: Vec<Writer>,
    pub(crate) etcd: Etcd,
    pub(crate) left: Bounds,
    /// The plan with the greatest generation that anybody has made.
    pub(crate) newest: Option<Plan>,
    /// What was done against an invariant.
    pub(crate) broken: Option<Broken>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Broken {
    LeftEmpty,
    SentOlder,
    GenerationWentBack,
    SentWithoutLease,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Plan {
    pub(crate) generation: u8,
    pub(crate) wanted: Values,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Request {
    pub(crate) by: u8,
    pub(crate) values: Values,
    /// Ticks until its sender gives up on it.
    pub(crate) deadline: u8,
    /// Its sender still waits for the answer.
    pub(crate) awaited: bool,
}

/// What etcd knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Etcd {
    pub(crate) holder: u8,
    /// Ticks until the lease ends; nobody holds it at zero.
    pub(crate) left: u8,
    /// The greatest generation taken.
    pub(crate) generation: u8,
}

/// One instance: what its process knows, and what its disk does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Writer {
    /// None while it is down.
    pub(crate) process: Option<Process>,
    pub(crate) generation_kept: u8,
    pub(crate) sent_kept: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Process {
    pub(crate) generation: u8,
    pub(crate) plan: Option<Plan>,
    pub(crate) work: Work,
    /// Something happened since the set was last read.
    pub(crate) must_read: bool,
    /// A write may still land.
    pub(crate) wary: bool,
    /// What the last read found.
    pub(crate) seen: Option<Values>,
    /// Ticks that it believes to hold the lease.
    pub(crate) lease: u8,
    pub(crate) asked: Option<Asked>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Asked {
    /// Ticks until what was asked for has ended.
    pub(crate) left: u8,
    pub(crate) is_renewal: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Work {
    Idle,
    /// The set differs from the plan; to be written.
    Ready {
        plan: Plan,
        found: Values,
        may_write: bool,
    },
    Sent {
        values: Values,
    },
    Answered,
}

impl Process {
    pub(crate) fn new(generation: u8, wary: bool) -> Self {
        Self {
            generation,
            plan: None,
            work: Work::Idle,
            must_read: true,
            wary,
            seen: None,
            lease: 0,
            asked: None,
        }
    }
}

impl State {
    pub(crate) fn processes(&self) -> impl Iterator<Item = (u8, &Process)> {
        (0..).zip(&self.writers).filter_map(|(who, writer)| Some((who, writer.process.as_ref()?)))
    }

    pub(crate) fn writer(&mut self, who: u8) -> Option<&mut Writer> {
        self.writers.get_mut(usize::from(who))
    }

    pub(crate) fn process(&mut self, who: u8) -> Option<&mut Process> {
        self.writer(who)?.process.as_mut()
    }

    pub(crate) fn nobody_awaits(&mut self, who: u8) {
        self.on_their_way.iter_mut().filter(|request| request.by == who).for_each(|r| r.awaited = false);
    }

    pub(crate) fn awaits(&self, who: u8) -> bool {
        self.on_their_way.iter().any(|request| request.by == who && request.awaited)
    }

    pub(crate) fn tick(&mut self) {
        let tick = |ticks: &mut u8| *ticks = ticks.saturating_sub(1);
        tick(&mut self.etcd.left);
        self.on_their_way.iter_mut().for_each(|request| tick(&mut request.deadline));
        for process in self.writers.iter_mut().filter_map(|writer| writer.process.as_mut()) {
            tick(&mut process.lease);
            process.asked.iter_mut().for_each(|asked| tick(&mut asked.left));
        }
    }
}

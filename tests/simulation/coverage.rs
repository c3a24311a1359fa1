//! How often each kind of thing really happened: a fault that never occurs is a hole in the proof.

use std::collections::BTreeMap;

use pointsman::core::{Effect, Reached, Report, WriteResult};
use pointsman::model::{InForce, Liveness, Outcome, Statement, Testimony, WaitsFor};

use super::account::{Outage, ReadFault, WRITE_DEADLINE_MS, WriteFault};
use super::event::{Act, Binding, Change, Edit, JournalFault, Rule, Said};
use super::regions::{Health, Lie, Network};
use super::weighted::PartEdit;
use super::witnesses::Manner;

/// Counts by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Coverage(pub(crate) BTreeMap<&'static str, u64>);

impl Coverage {
    pub(crate) fn count(&mut self, what: &'static str) {
        self.add(what, 1);
    }

    pub(crate) fn add(&mut self, what: &'static str, times: u64) {
        *self.0.entry(what).or_default() += times;
    }

    pub(crate) fn join(&mut self, other: &Self) {
        for (what, times) in &other.0 {
            self.add(what, *times);
        }
    }

    /// What should have happened and did not.
    pub(crate) fn holes(&self) -> Vec<&'static str> {
        EVERYTHING.iter().filter(|what| !self.0.contains_key(**what)).copied().collect()
    }

    pub(crate) fn look(&mut self, outcome: Outcome) {
        self.count(match outcome {
            Outcome::Pass => "looks that passed",
            Outcome::Fail(_) => "looks that failed",
            Outcome::Unknown(_) => "looks in vain",
        });
    }

    pub(crate) fn effects(&mut self, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::Apply(_) => self.count("plans"),
                Effect::Transition(transition) => self.count(match transition.to {
                    Liveness::Unknown => "a region unknown again",
                    Liveness::Up => "regions up",
                    Liveness::Suspect => "regions suspect",
                    Liveness::Down => "regions down",
                    Liveness::Recovering => "regions recovering",
                }),
                Effect::Held { held, .. } => {
                    for held in held {
                        self.count(match held.rule {
                            pointsman::core::Rule::NeverEmpty => "plans held by NEVER-EMPTY",
                            pointsman::core::Rule::BoundedBlast => "plans held by BOUNDED-BLAST",
                            pointsman::core::Rule::BoundedWrites => "plans held by BOUNDED-WRITES",
                            pointsman::core::Rule::OperatorRules => "plans held by OPERATOR-RULES",
                        });
                    }
                }
                Effect::Alarm(raised) if raised.raised => self.count(raised.alarm.as_str()),
                Effect::Said { heeded: true, .. } => self.count("words heeded"),
                Effect::Said { heeded: false, .. } => self.count("words without effect"),
                Effect::Ended { .. } => self.count("overrides that ended"),
                Effect::Waiting { waiting, .. } => {
                    for waiting in waiting {
                        self.count(match waiting.waits_for {
                            WaitsFor::Approve => "changes that wait for approval",
                            WaitsFor::Failback => "returns that wait for failback",
                        });
                    }
                }
                Effect::Ledger { reached, .. } => self.count(match reached {
                    Reached::Sent => "failovers sent",
                    Reached::Acknowledged => "failovers acknowledged",
                    Reached::Active => "failovers in force",
                    Reached::Witness(_) => "witnesses that showed one",
                    Reached::Moved => "failovers after which clients moved",
                    Reached::Unconfirmed => "failovers that witnesses did not show",
                    Reached::Fetched => "clients that fetched",
                    Reached::CalledOff => "failovers called off",
                    Reached::Superseded => "failovers superseded",
                }),
                Effect::Alarm(_) | Effect::Pace { .. } | Effect::Witness(_) => {}
            }
        }
    }

    pub(crate) fn testimonies(&mut self, said: &[Testimony]) {
        if said.is_empty() {
            self.count("no resolver to ask");
        }
        for testimony in said {
            self.count(match testimony.said {
                Statement::Addresses { .. } => "resolvers that named addresses",
                Statement::Nothing(_) => "resolvers that named none",
            });
        }
    }

    pub(crate) fn report(&mut self, report: &Report) {
        match report {
            Report::Seen { .. } => self.count("reads"),
            Report::Sent { .. } => self.count("writes intended"),
            Report::Written { result, .. } => self.count(match result {
                WriteResult::Applied => "writes applied",
                WriteResult::Refused => "writes refused",
                WriteResult::Lost => "writes lost",
                WriteResult::Superseded => "writes superseded",
            }),
            Report::InForce { .. } => self.count("writes in force"),
            Report::DryRun { .. } => self.count("writes that a dry run would make"),
            Report::Drifted { .. } => self.count("drifts"),
            Report::Held(held) => self.count(match held.rule {
                pointsman::core::Rule::NeverEmpty => "writes held by NEVER-EMPTY",
                pointsman::core::Rule::BoundedBlast => "writes held by BOUNDED-BLAST",
                pointsman::core::Rule::BoundedWrites => "writes held by BOUNDED-WRITES",
                pointsman::core::Rule::OperatorRules => "writes held by OPERATOR-RULES",
            }),
            Report::InSync | Report::Delayed { .. } | Report::Alarmed { .. } | Report::Remember(_) => {}
        }
    }

    pub(crate) fn read_fault(&mut self, fault: Option<ReadFault>) {
        self.count(match fault {
            None => "reads as they should be",
            Some(ReadFault::Away) => "reads: away",
            Some(ReadFault::Silent) => "reads: silent",
            Some(ReadFault::Throttled(None)) => "reads: throttled",
            Some(ReadFault::Throttled(Some(_))) => "reads: throttled for a time",
            Some(ReadFault::Refused) => "reads: refused",
            Some(ReadFault::Unclear) => "reads: unclear",
            Some(ReadFault::Forgets) => "reads: the list lacks the set",
            Some(ReadFault::Slow(_)) => "reads: slow",
            Some(ReadFault::Stale(_)) => "reads: stale",
            Some(ReadFault::Status(InForce::Pending)) => "reads: always pending",
            Some(ReadFault::Status(InForce::Failed)) => "reads: always failed",
            Some(ReadFault::Status(InForce::Withheld | InForce::Yes)) => "reads: always withheld",
        });
    }

    pub(crate) fn write_fault(&mut self, fault: Option<WriteFault>) {
        self.count(match fault {
            None => "writes as they should be",
            Some(WriteFault::Away) => "writes: away",
            Some(WriteFault::Throttled(None)) => "writes: throttled",
            Some(WriteFault::Throttled(Some(_))) => "writes: throttled for a time",
            Some(WriteFault::Refused) => "writes: refused",
            Some(WriteFault::Conflict) => "writes: conflict",
            Some(WriteFault::Lost(None)) => "writes: lost before they were applied",
            Some(WriteFault::Lost(Some(0..5_000))) => "writes: lost after they were applied",
            Some(WriteFault::Lost(Some(_))) => "writes: lost, applied late",
            Some(WriteFault::Unclear(true)) => "writes: unclear, applied",
            Some(WriteFault::Unclear(false)) => "writes: unclear, not applied",
            Some(WriteFault::Slow(ms)) if ms <= WRITE_DEADLINE_MS.unsigned_abs() => "writes: slow",
            Some(WriteFault::Slow(_)) => "writes: slower than the deadline",
            Some(WriteFault::Silent) => "writes: silent",
            Some(WriteFault::Pending(_)) => "writes: pending",
            Some(WriteFault::Fails) => "writes: failed later",
        });
    }

    /// A region dies, and something else happens in the same moment.
    pub(crate) fn two_at_once(&mut self, first: &Act, second: &Act) {
        if !matches!(first, Act::Region(_, Health::Dead)) {
            return;
        }
        match second {
            Act::Glitch(_) => self.count("two at once: a look at another region fails"),
            Act::Outage(Outage::Silent, _) => self.count("two at once: the API is silent"),
            Act::Outage(Outage::Throttled, _) => self.count("two at once: the API throttles"),
            Act::Outage(..) => self.count("two at once: the API browns out"),
            Act::Kill { .. } => self.count("two at once: the process is killed"),
            Act::Region(_, Health::Flaps(_)) => self.count("two at once: another region flaps"),
            _ => {}
        }
    }

    pub(crate) fn act(&mut self, act: &Act) {
        self.count(match act {
            Act::Region(_, Health::Serves) => "a region serves",
            Act::Region(_, Health::Dead) => "a region dies",
            Act::Region(_, Health::Half(_)) => "a region half-works",
            Act::Region(_, Health::Flaps(_)) => "a region flaps",
            Act::Region(_, Health::Lacks(_)) => "a region fails one check",
            Act::Network(Network::Fine) => "our network is back",
            Act::Network(Network::Lost) => "our network is lost",
            Act::Network(Network::Local) => "this machine cannot look",
            Act::Blind { blind: true, .. } => "a check goes blind",
            Act::Blind { blind: false, .. } => "a check sees again",
            Act::Bind(_, Binding::Nothing) => "an EIP is unbound",
            Act::Bind(_, Binding::Own) => "an EIP is bound again",
            Act::Bind(_, Binding::Another | Binding::Both) => "another EIP is bound",
            Act::Bind(_, Binding::Of(_)) => "an EIP is moved",
            Act::Reads(..) => "reads go wrong",
            Act::Writes(..) => "writes go wrong",
            Act::Outage(Outage::WritesAway, _) => "a brownout: writes are refused",
            Act::Outage(Outage::WritesLost, _) => "a brownout: writes are lost",
            Act::Outage(Outage::Away, _) => "a brownout: nothing is answered",
            Act::Outage(Outage::Silent, _) => "a silent server",
            Act::Outage(Outage::Throttled, _) => "a throttle of everything",
            Act::Lie(_, Lie::NoEip) => "a list names no EIP",
            Act::Lie(_, Lie::AnotherEip) => "a list names another EIP",
            Act::Glitch(_) => "one look fails",
            Act::EditPart(_, PartEdit::Weight(_)) => "somebody sets a weight",
            Act::EditPart(_, PartEdit::Switch) => "somebody switches a set",
            Act::EditPart(_, PartEdit::Freeze) => "the provider freezes a set",
            Act::EditPart(_, PartEdit::Merge) => "somebody merges two sets",
            Act::EditPart(_, PartEdit::Delete) => "somebody deletes one of several sets",
            Act::Resolver(_, Manner::Silent, _) => "a resolver is silent",
            Act::Resolver(_, Manner::Fails, _) => "a resolver fails",
            Act::Resolver(_, Manner::Lies, _) => "a resolver lies",
            Act::Resolver(_, Manner::ServesStale, _) => "a resolver keeps what it has",
            Act::Edit(edit) => match edit {
                Edit::AddForeign(_) => "somebody adds a value",
                Edit::DropForeign => "somebody drops values of theirs",
                Edit::Add(_) => "somebody adds a region",
                Edit::Drop(_) => "somebody drops a region",
                Edit::OnlyForeign => "somebody drops everything of ours",
                Edit::Ttl => "somebody sets the TTL",
                Edit::Description => "somebody describes the set",
                Edit::Delete => "somebody deletes the set",
                Edit::MakeAnew => "somebody makes the set anew",
                Edit::Disable => "somebody disables the set",
                Edit::Enable => "somebody enables the set",
            },
            Act::Reload(change) => match change {
                Change::Nothing => "reload: nothing",
                Change::Fall(_) => "reload: fall",
                Change::Rise(_) => "reload: rise",
                Change::Region(_) => "reload: a region comes or goes",
                Change::Fixed(..) => "reload: addresses from elsewhere",
                Change::Tier(..) | Change::Tiers(_) => "reload: policy",
                Change::AllDown(_) => "reload: when_all_down",
                Change::Ttl(_) => "reload: ttl",
                Change::MinPublished(_) => "reload: min_published",
                Change::MaxRemoved(_) => "reload: max_removed",
                Change::Panic(_) => "reload: panic_threshold",
                Change::Blast(_) => "reload: blast_window",
                Change::Budget(..) => "reload: write_budget",
                Change::RecoverAfter(_) => "reload: recover_after",
                Change::OnDrift(_) => "reload: on_drift",
                Change::Create(_) => "reload: create",
                Change::Mode(_) => "reload: mode",
                Change::Failback(_) => "reload: failback",
                Change::Weight(..) => "reload: weight",
                Change::LooksAt(..) => "reload: a check looks at something else",
            },
            Act::Kill { .. } => "a process is to be killed",
            Act::Clock(seconds) if *seconds < 0 => "the wall clock goes back",
            Act::Clock(_) => "the wall clock goes forward",
            Act::Journal(JournalFault::Well) => "the journal is well",
            Act::Journal(JournalFault::Slow(_)) => "the journal is slow",
            Act::Journal(JournalFault::Away) => "the journal cannot be written",
            Act::Journal(JournalFault::Lost) => "the journal is lost",
            Act::Lag(_) => "messages take their time",
            Act::DriverDies => "the driver panics",
            Act::Quarrel { .. } => "another program changes our addresses again and again",
            Act::Says(said) => match said {
                Said::Rule(Rule::Drain, ..) => "somebody drains",
                Said::Rule(Rule::Pin, ..) => "somebody pins",
                Said::Rule(Rule::Freeze, ..) => "somebody freezes",
                Said::Mute(..) => "somebody mutes a check",
                Said::Release(_) => "somebody releases",
                Said::Unmute(_) => "somebody unmutes a check",
                Said::Approve(_) => "somebody approves",
                Said::Failback(_) => "somebody lets return",
            },
        });
    }
}

/// Everything that has to happen over the seeds of a run.
const EVERYTHING: &[&str] = &[
    "looks that passed",
    "looks that failed",
    "looks in vain",
    "plans",
    "regions up",
    "regions suspect",
    "regions down",
    "regions recovering",
    "plans held by NEVER-EMPTY",
    "plans held by BOUNDED-BLAST",
    "writes held by NEVER-EMPTY",
    "writes held by BOUNDED-WRITES",
    "reads",
    "writes intended",
    "writes applied",
    "writes refused",
    "writes lost",
    "writes superseded",
    "writes in force",
    "writes that a dry run would make",
    "drifts",
    "a write taken back",
    "reads as they should be",
    "reads: away",
    "reads: silent",
    "reads: throttled",
    "reads: throttled for a time",
    "reads: refused",
    "reads: unclear",
    "reads: the list lacks the set",
    "reads: slow",
    "reads: stale",
    "reads: always pending",
    "reads: always failed",
    "reads: always withheld",
    "writes as they should be",
    "writes: away",
    "writes: throttled",
    "writes: throttled for a time",
    "writes: refused",
    "writes: conflict",
    "writes: lost before they were applied",
    "writes: lost after they were applied",
    "writes: lost, applied late",
    "writes: unclear, applied",
    "writes: unclear, not applied",
    "writes: slow",
    "writes: slower than the deadline",
    "writes: pending",
    "writes: failed later",
    "a conflict of its own",
    "a write landed after its process was gone",
    "a region serves",
    "a region dies",
    "a region half-works",
    "a region flaps",
    "a region fails one check",
    "our network is back",
    "our network is lost",
    "this machine cannot look",
    "a check goes blind",
    "a check sees again",
    "an EIP is unbound",
    "an EIP is bound again",
    "another EIP is bound",
    "an EIP is moved",
    "somebody adds a value",
    "somebody drops values of theirs",
    "somebody adds a region",
    "somebody drops a region",
    "somebody drops everything of ours",
    "somebody sets the TTL",
    "somebody describes the set",
    "somebody deletes the set",
    "somebody makes the set anew",
    "somebody disables the set",
    "somebody enables the set",
    "reload: nothing",
    "reload: fall",
    "reload: rise",
    "reload: a region comes or goes",
    "reload: addresses from elsewhere",
    "reload: policy",
    "reload: when_all_down",
    "reload: ttl",
    "reload: min_published",
    "reload: max_removed",
    "reload: panic_threshold",
    "reload: write_budget",
    "reload: recover_after",
    "reload: on_drift",
    "reload: create",
    "reload: mode",
    "reload: a check looks at something else",
    "killed",
    "killed when planned",
    "killed when the intent was told",
    "killed when the intent was kept",
    "killed when the write was sent",
    "killed when the write had landed",
    "killed when the write was answered",
    "restarted from memory",
    "the wall clock goes back",
    "the wall clock goes forward",
    "the journal is well",
    "the journal is slow",
    "the journal cannot be written",
    "the journal is lost",
    "an intent on disk",
    "an intent that no journal takes",
    "an intent that was not on disk in time",
    "messages take their time",
    "the driver panics",
    "another program changes our addresses again and again",
    "reload: failback",
    "somebody drains",
    "somebody pins",
    "somebody freezes",
    "somebody mutes a check",
    "somebody releases",
    "somebody unmutes a check",
    "somebody approves",
    "somebody lets return",
    "words heeded",
    "words without effect",
    "overrides that ended",
    "changes that wait for approval",
    "returns that wait for failback",
    "plans held by OPERATOR-RULES",
    "all_down",
    "held",
    "provider_away",
    "write_refused",
    "not_in_force",
    "missing",
    "withheld",
    "drift",
    "fight",
    "gone",
    "blind",
    "writes: silent",
    "a brownout: writes are refused",
    "a brownout: writes are lost",
    "a brownout: nothing is answered",
    "a silent server",
    "a throttle of everything",
    "a list names no EIP",
    "a list names another EIP",
    "lies heard",
    "one look fails",
    "reload: blast_window",
    "two at once: a look at another region fails",
    "two at once: the API is silent",
    "two at once: the API throttles",
    "two at once: the API browns out",
    "two at once: the process is killed",
    "two at once: another region flaps",
    "removals that were due",
    "rescues that were due",
    "two services",
    "something happens to another service",
    "writes of another service",
    "a call beyond what the account may",
    "another program adds a value",
    "another program drops a value",
    "another program describes the set",
    "another program writes back what it read",
    "another program undoes a write of ours",
    "somebody sets a weight",
    "somebody switches a set",
    "the provider freezes a set",
    "somebody merges two sets",
    "somebody deletes one of several sets",
    "reload: weight",
    "a weighted write that has to wait",
    "a weighted write of one call",
    "a weighted write of several calls",
    "a weighted write that adds and takes away",
    "a later call of a weighted write goes wrong",
    "a call of a weighted write lands late",
    "both regions of one address are dead",
    "one of two regions of one address is dead",
    "a shared load balancer is dead",
    "a resolver is silent",
    "a resolver fails",
    "a resolver lies",
    "a resolver keeps what it has",
    "no resolver to ask",
    "resolvers that named addresses",
    "resolvers that named none",
    "witnesses that showed one",
    "failovers after which clients moved",
    "failovers that witnesses did not show",
    "clients that fetched",
    "witness",
];

//! What protects the write protocol, each part on its own so that a model can do without it.

/// A model with all of them is the protocol; one that lacks any must be found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Protections {
    /// A write is judged by what the set holds at the write, not by what it held when the plan was made.
    pub(crate) last_look: bool,
    /// A set is replaced in place, never deleted and made anew.
    pub(crate) in_place: bool,
    /// The plan is compared at the write, not at the start of the work.
    pub(crate) newest_at_write: bool,
    /// A plan's generation is on disk before the plan is used.
    pub(crate) generation_kept: bool,
    /// Who becomes the leader goes on from the greatest generation of any leader.
    pub(crate) generation_handed_over: bool,
    /// Who becomes the leader plans anew, whatever it wanted when it last was.
    pub(crate) plans_anew: bool,
    /// A write that was answered is read back and compared with the newest plan.
    pub(crate) read_after_write: bool,
    /// A lost answer is settled by reading; it is not taken for a yes.
    pub(crate) read_after_loss: bool,
    /// After a lost answer the set is read for as long as the write may still land.
    pub(crate) wary_after_loss: bool,
    /// That a write was sent is on disk before it is sent, and makes the next process wary.
    pub(crate) sent_kept: bool,
    /// Who becomes the leader is wary: a write of the one before may still land.
    pub(crate) wary_after_election: bool,
    /// Nobody writes without holding the lease.
    pub(crate) lease: bool,
    /// The lease is looked at at the write, not at the start of the work.
    pub(crate) lease_at_write: bool,
    /// A request ends before the lease can have.
    pub(crate) ends_within_lease: bool,
    /// The holder counts its lease from when it asked for it, not from when it was answered.
    pub(crate) lease_from_asking: bool,
    /// The set is read again and again although nothing has happened.
    pub(crate) resync: bool,
}

impl Protections {
    pub(crate) const ALL: Self = Self {
        last_look: true,
        in_place: true,
        newest_at_write: true,
        generation_kept: true,
        generation_handed_over: true,
        plans_anew: true,
        read_after_write: true,
        read_after_loss: true,
        wary_after_loss: true,
        sent_kept: true,
        wary_after_election: true,
        lease: true,
        lease_at_write: true,
        ends_within_lease: true,
        lease_from_asking: true,
        resync: true,
    };
}

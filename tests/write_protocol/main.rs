//! The write protocol, searched through: every schedule of plans, reads, writes, lost answers, late landings, crashes, edits
//! and changes of leader within stated bounds, for NEVER-EMPTY, NEWEST-PLAN-WINS and ONE-WRITER.
//!
//! `protocol` is the protocol as a model, to the end of every schedule, with each of its protections to be taken away.
//! `machine` is a world around the real reconciler, to so many steps, with some habits of its driver to be taken away.
//! Counts and counterexamples are printed; the large bounds take some minutes:
//!
//! ```sh
//! cargo test --test write_protocol -- --nocapture
//! POINTSMAN_MODEL=deep cargo test --test write_protocol -- --nocapture
//! ```

#![cfg(test)] // makes clippy take the helpers below for tests too

mod driven;
mod machine;
mod protections;
mod protocol;
mod search;
mod state;
mod values;

use std::time::Duration;

use driven::{Habits, Rules};
use machine::{Faults, Machine};
use pointsman::model::WriteBudget;
use protections::Protections;
use protocol::Protocol;
use state::Bounds;

/// One instance. What it does itself must come out right without [`Protections::resync`], and so within seconds.
fn alone() -> Protocol {
    let bounds = if search::is_deep() {
        Bounds { plans: 4, crashes: 2, losses: 4, ..Bounds::NOTHING }
    } else {
        Bounds { plans: 3, crashes: 2, losses: 2, ..Bounds::NOTHING }
    };
    Protocol { protections: Protections { resync: false, ..Protections::ALL }, bounds, writers: 1 }
}

/// One instance, and somebody else who changes the set.
fn edited() -> Protocol {
    let edits = if search::is_deep() { 2 } else { 1 };
    let bounds = Bounds { plans: 2, crashes: 1, losses: 2, edits, ..Bounds::NOTHING };
    Protocol { protections: Protections::ALL, bounds, writers: 1 }
}

/// Two instances under a lease.
fn cluster() -> Protocol {
    let bounds = if search::is_deep() {
        Bounds { plans: 2, crashes: 1, losses: 1, edits: 0, elections: 2, renewals: 1 }
    } else {
        Bounds { plans: 1, crashes: 0, losses: 1, edits: 0, elections: 2, renewals: 1 }
    };
    Protocol { writers: 2, bounds, ..alone() }
}

/// Two instances between which the lease goes to and fro.
fn re_elected() -> Protocol {
    let bounds = if search::is_deep() {
        Bounds { plans: 1, losses: 1, elections: 3, ..Bounds::NOTHING }
    } else {
        Bounds { losses: 1, elections: 3, ..Bounds::NOTHING }
    };
    Protocol { bounds, ..cluster() }
}

#[test]
fn alone_the_newest_plan_wins_and_no_write_empties_the_set() {
    search::holds("alone", &alone(), search::TO_THE_END);
}

#[test]
fn what_somebody_else_changes_is_mended_by_the_newest_plan() {
    search::holds("edited", &edited(), search::TO_THE_END);
}

#[test]
fn of_several_instances_one_writes_and_the_newest_plan_wins() {
    search::holds("cluster", &cluster(), search::TO_THE_END);
    search::holds("re-elected", &re_elected(), search::TO_THE_END);
}

#[test]
fn no_schedule_goes_on_for_ever() {
    let small = Bounds { plans: 1, crashes: 1, losses: 1, edits: 1, elections: 2, renewals: 1 };
    search::ends(&Protocol { bounds: Bounds { elections: 0, renewals: 0, ..small }, ..edited() });
    search::ends(&Protocol { bounds: Bounds { plans: 0, crashes: 0, edits: 0, ..small }, ..cluster() });
}

/// What takes a protection away.
type Removal = fn(&mut Protections);

#[test]
fn without_any_one_of_its_protections_the_protocol_breaks() {
    const ONE: &str = "ONE-WRITER";
    const NEWEST: &str = "NEWEST-PLAN-WINS";
    const EMPTY: &str = "NEVER-EMPTY";
    let removals: [(&str, Protocol, &str, Removal); 16] = [
        ("last_look", alone(), EMPTY, |p| p.last_look = false),
        ("in_place", alone(), EMPTY, |p| p.in_place = false),
        ("newest_at_write", alone(), NEWEST, |p| p.newest_at_write = false),
        ("generation_kept", alone(), NEWEST, |p| p.generation_kept = false),
        ("read_after_write", alone(), NEWEST, |p| p.read_after_write = false),
        ("read_after_loss", alone(), NEWEST, |p| p.read_after_loss = false),
        ("wary_after_loss", alone(), NEWEST, |p| p.wary_after_loss = false),
        ("sent_kept", alone(), NEWEST, |p| p.sent_kept = false),
        ("resync", edited(), NEWEST, |p| p.resync = false),
        ("generation_handed_over", cluster(), NEWEST, |p| p.generation_handed_over = false),
        ("plans_anew", re_elected(), NEWEST, |p| p.plans_anew = false),
        ("wary_after_election", cluster(), NEWEST, |p| p.wary_after_election = false),
        ("lease", cluster(), ONE, |p| p.lease = false),
        ("lease_at_write", cluster(), ONE, |p| p.lease_at_write = false),
        ("ends_within_lease", cluster(), ONE, |p| p.ends_within_lease = false),
        ("lease_from_asking", cluster(), ONE, |p| p.lease_from_asking = false),
    ];
    for (name, mut model, invariant, remove) in removals {
        remove(&mut model.protections);
        let (path, states) = search::shortest(&model, invariant)
            .unwrap_or_else(|| panic!("without {name}, {invariant} is not broken"));
        println!("without {name}, {invariant} is broken, found among {states} states:\n{path}");
    }
}

/// The real reconciler. What it does itself must come out right long before a resync.
fn machine() -> Machine {
    let faults = Faults { plans: 2, crashes: 1, answers: 2, edits: 0 };
    let budget = WriteBudget { writes: 3, window: Duration::from_secs(60) };
    Machine { habits: Habits::ALL, faults, rules: Rules { resync: Duration::from_secs(3_600), budget } }
}

/// The real reconciler, and somebody else who changes the set.
fn edited_machine() -> Machine {
    let faults = Faults { plans: 1, crashes: 0, answers: 1, edits: 2 };
    let rules = Rules { resync: Duration::from_secs(60), ..machine().rules };
    Machine { faults, rules, ..machine() }
}

/// The real reconciler, with more plans than its budget has writes.
fn hasty_machine() -> Machine {
    let faults = Faults { plans: 5, crashes: 0, answers: 1, edits: 0 };
    let budget = WriteBudget { writes: 1, window: Duration::from_secs(100) };
    Machine { faults, rules: Rules { budget, ..machine().rules }, ..machine() }
}

#[test]
fn the_real_reconciler_brings_the_newest_plan_about_whatever_it_is_answered() {
    let steps = if search::is_deep() { 12 } else { 8 };
    search::holds("the reconciler", &machine(), steps);
}

#[test]
fn the_real_reconciler_mends_what_somebody_else_changes() {
    let steps = if search::is_deep() { 12 } else { 9 };
    search::holds("the reconciler, edited", &edited_machine(), steps);
}

#[test]
fn the_real_reconciler_lets_no_removal_and_no_rescue_wait_for_what_another_region_used_up() {
    let steps = if search::is_deep() { 16 } else { 11 };
    search::holds("the reconciler, hasty", &hasty_machine(), steps);
}

#[test]
fn without_any_one_of_these_habits_of_its_driver_the_reconciler_breaks_a_promise() {
    type Removal = fn(&mut Habits);
    let removals: [(&str, &str, Removal); 4] = [
        ("withdraws", "NEWEST-PLAN-WINS", |habits| habits.withdraws = false),
        ("restores", "NEWEST-PLAN-WINS in the end", |habits| habits.restores = false),
        ("keeps_before", "NEWEST-PLAN-WINS in the end", |habits| habits.keeps_before = false),
        ("tells_of_losses", "NEWEST-PLAN-WINS in the end", |habits| habits.tells_of_losses = false),
    ];
    for (name, invariant, remove) in removals {
        let faults = Faults { plans: 2, crashes: 1, answers: 1, edits: 0 };
        let mut model = Machine { faults, ..machine() };
        remove(&mut model.habits);
        let (path, states) = search::shortest(&model, invariant)
            .unwrap_or_else(|| panic!("without {name}, {invariant} is not broken"));
        println!("without {name}, {invariant} is broken, found among {states} states:\n{path}");
    }
}

//! Whose doing a name's sets are that are served by weight, and which writes of them count, told read by read: a write of
//! several calls is half-way for a time.

#![expect(clippy::unwrap_used, clippy::panic, reason = "test code")]

mod weighted_story;

use std::time::Duration;

use pointsman::core::{Call, Report, Rule};
use pointsman::model::{Found, InForce, OnDrift, PartState};
use weighted_story::{Story, plan, zone};

#[test]
fn a_write_whose_first_call_changes_nothing_that_is_served_is_not_taken_for_somebody_elses_doing() {
    for on_drift in [OnDrift::Mend, OnDrift::Alarm] {
        let mut story = Story::new(on_drift, 6);
        story.wants(&plan(1, [(90, true), (10, false)]));
        assert!(!story.reads(&zone([(90, PartState::Served), (50, PartState::Off)])));
        story.wants(&plan(2, [(90, false), (10, true)]));
        assert!(story.reads(&zone([(90, PartState::Served), (50, PartState::Off)])));
        story.is_taken();
        // Its weight is right, and it is to be switched on.
        assert!(story.reads(&zone([(90, PartState::Served), (10, PartState::Off)])), "{on_drift:?}");
        story.is_taken();
        assert!(story.reads(&zone([(90, PartState::Served), (10, PartState::Served)])), "{on_drift:?}");
        assert!(!story.is_told_of_drift(), "{on_drift:?}: {:#?}", story.reports);
    }
}

#[test]
fn what_undoes_a_write_of_several_calls_once_it_is_in_force_is_somebody_elses_doing() {
    let mut story = Story::new(OnDrift::Alarm, 6);
    story.wants(&plan(1, [(90, true), (10, false)]));
    assert!(!story.reads(&zone([(90, PartState::Served), (10, PartState::Off)])));
    story.wants(&plan(2, [(90, false), (10, true)]));
    assert!(story.reads(&zone([(90, PartState::Served), (10, PartState::Off)])));
    story.is_taken();
    // Half-way: what takes away follows.
    assert!(story.reads(&zone([(90, PartState::Served), (10, PartState::Served)])));
    story.is_taken();
    assert!(!story.reads(&zone([(90, PartState::Off), (10, PartState::Served)])));
    assert!(!story.is_told_of_drift(), "{:#?}", story.reports);
    assert!(!story.reads(&zone([(90, PartState::Served), (10, PartState::Served)])));
    assert!(story.is_told_of_drift(), "{:#?}", story.reports);
}

#[test]
fn a_change_beside_a_set_that_the_provider_withholds_is_drift_like_any_other() {
    let mut story = Story::new(OnDrift::Alarm, 6);
    story.wants(&plan(1, [(90, true), (10, true)]));
    assert!(!story.reads(&zone([(90, PartState::Withheld), (10, PartState::Served)])));
    assert!(
        !story.reads(&zone([(90, PartState::Withheld), (50, PartState::Served)])),
        "{:#?}",
        story.reports
    );
    assert!(story.is_told_of_drift(), "{:#?}", story.reports);
    // Both at once.
    let mut story = Story::new(OnDrift::Alarm, 6);
    story.wants(&plan(1, [(90, true), (10, true)]));
    assert!(!story.reads(&zone([(90, PartState::Served), (10, PartState::Served)])));
    assert!(
        !story.reads(&zone([(90, PartState::Withheld), (50, PartState::Served)])),
        "{:#?}",
        story.reports
    );
}

#[test]
fn a_write_of_several_calls_of_a_killed_process_counts_whatever_a_read_shows() {
    let mut story = Story::new(OnDrift::Mend, 1);
    story.wants(&plan(1, [(90, true), (10, true)]));
    assert!(story.reads(&zone([(90, PartState::Served), (50, PartState::Off)])));
    let of_writes = |report: &Report| {
        if let Report::Remember(memory) = report { Some(memory.clone()) } else { None }
    };
    let memory = story.reports.iter().rev().find_map(of_writes);
    let (now, mut next) = (story.now, Story::new(OnDrift::Mend, 1));
    next.now = now + Duration::from_secs(2);
    next.reconciler.restore(next.now, Duration::from_secs(2), &memory.unwrap());
    next.wants(&plan(2, [(90, true), (10, true)]));
    assert!(!next.reads(&zone([(90, PartState::Served), (10, PartState::Off)])));
    let held =
        next.reports.iter().any(|it| matches!(it, Report::Held(held) if held.rule == Rule::BoundedWrites));
    assert!(held, "{:#?}", next.reports);
}

#[test]
fn what_somebody_switches_off_while_the_provider_keeps_it_from_being_served_is_a_drift() {
    let mut story = Story::new(OnDrift::Alarm, 3);
    story.wants(&plan(1, [(90, true), (10, true)]));
    for state in [PartState::Served, PartState::Withheld] {
        assert!(!story.reads(&zone([(90, state), (10, state)])));
    }
    story.reports.clear();
    assert!(!story.reads(&zone([(90, PartState::Off), (10, PartState::Off)])), "it is left as it is");
    assert!(story.is_told_of_drift(), "{:#?}", story.reports);
}

#[test]
fn what_somebody_switched_off_and_the_provider_then_kept_from_being_served_is_still_a_drift() {
    let mut story = Story::new(OnDrift::Alarm, 3);
    story.wants(&plan(1, [(90, true), (10, true)]));
    for state in [PartState::Served, PartState::Off, PartState::Withheld, PartState::Off] {
        assert!(!story.reads(&zone([(90, PartState::Served), (10, state)])), "{state:?}");
    }
    // Once it is as wanted, or another plan was carried out meanwhile, that is over.
    for state in [PartState::Served, PartState::Withheld] {
        assert!(!story.reads(&zone([(90, PartState::Served), (10, state)])), "{state:?}");
    }
    let mut other = Story::new(OnDrift::Alarm, 3);
    other.wants(&plan(1, [(90, true), (10, true)]));
    for state in [PartState::Served, PartState::Off] {
        assert!(!other.reads(&zone([(90, PartState::Served), (10, state)])), "{state:?}");
    }
    other.wants(&plan(2, [(80, true), (10, true)]));
    assert!(!other.reads(&zone([(80, PartState::Served), (10, PartState::Withheld)])));
    other.wants(&plan(3, [(90, true), (10, true)]));
    assert!(other.reads(&zone([(80, PartState::Served), (10, PartState::Withheld)])), "{:#?}", other.reports);
}

#[test]
fn what_was_as_a_plan_without_what_is_withheld_wants_is_so_when_that_plan_comes() {
    for restarts in [false, true] {
        let mut story = Story::new(OnDrift::Alarm, 3);
        story.wants(&plan(1, [(90, true), (10, true)]));
        let withheld = [PartState::Served, PartState::Withheld];
        assert!(!withheld.iter().any(|state| story.reads(&zone([(90, PartState::Served), (10, *state)]))));
        story = if restarts { story.restarted(Story::new(OnDrift::Alarm, 3)) } else { story };
        story.wants(&plan(2, [(90, true), (10, false)]));
        assert!(!story.reads(&zone([(50, PartState::Served), (10, PartState::Withheld)])), "{restarts}");
    }
}

#[test]
fn what_a_write_for_another_plan_has_replaced_is_nobody_elses_change_any_more() {
    let mut story = Story::new(OnDrift::Alarm, 6);
    story.wants(&plan(1, [(90, true), (10, true)]));
    for state in [PartState::Served, PartState::Off] {
        assert!(!story.reads(&zone([(90, PartState::Served), (10, state)])), "{state:?}");
    }
    story.wants(&plan(2, [(50, true), (10, true)]));
    assert!(story.reads(&zone([(90, PartState::Served), (10, PartState::Off)])));
    story.is_taken();
    story.wants(&plan(3, [(90, true), (10, true)]));
    assert!(story.reads(&zone([(50, PartState::Served), (10, PartState::Served)])), "{:#?}", story.reports);
}

#[test]
fn a_plan_that_comes_between_the_read_and_the_write_is_held_against_a_drift_too() {
    let mut story = Story::new(OnDrift::Alarm, 6);
    let holds = |second: PartState| zone([(90, PartState::Served), (10, second)]);
    story.wants(&plan(1, [(90, true), (10, true)]));
    assert!(!story.reads(&holds(PartState::Served)) && !story.reads(&holds(PartState::Off)));
    story.wants(&plan(2, [(50, true), (10, true)]));
    assert_eq!(story.reconciler.poll_call(story.now), Some(Call::Read));
    story.reconciler.handle_read(story.now, Ok(Some(holds(PartState::Off))));
    // It wants again what somebody has changed.
    story.wants(&plan(3, [(90, true), (10, true)]));
    for _ in 0..3 {
        assert!(!story.reads(&holds(PartState::Off)), "{:#?}", story.reports);
    }
}

#[test]
fn who_enters_does_not_wait_while_who_leaves_has_to() {
    let mut story = Story::new(OnDrift::Mend, 6);
    let both = zone([(90, PartState::Served), (10, PartState::Served)]);
    let without_1 = zone([(90, PartState::Off), (10, PartState::Served)]);
    story.wants(&plan(1, [(90, false), (10, true)]));
    for _ in 0..2 {
        assert!((0..9).any(|_| story.reads(&both)), "a try");
        story.is_lost();
    }
    assert!(!story.reads(&without_1), "the second has landed, the first may still");
    story.wants(&plan(2, [(90, true), (10, false)]));
    let since = story.now;
    assert!((0..2).any(|_| story.reads(&without_1)), "region 1 enters: {:#?}", story.reports);
    assert!(story.now.since(since) < Duration::from_secs(3));
    story.is_taken();
    assert!(!(0..20).any(|_| story.reads(&both)), "region 2 stays while region 1 may be switched off");
    assert!((0..60).any(|_| story.reads(&both)), "{:#?}", story.reports);
}

#[test]
fn a_change_of_somebody_elses_that_is_on_its_way_is_looked_for_soon_and_then_once_a_second() {
    let mut story = Story::new(OnDrift::Mend, 6);
    story.wants(&plan(1, [(90, true), (10, false)]));
    let mut waited = Vec::new();
    for _ in 0..5 {
        let last = story.now;
        assert!(!story.reads(&zone([(90, PartState::Served), (10, PartState::Coming)])));
        waited.push(story.now.since(last).as_millis());
    }
    assert_eq!(waited, [0, 500, 500, 1_000, 1_000]);
    assert!(story.reads(&zone([(90, PartState::Served), (10, PartState::Served)])));
}

#[test]
fn what_a_change_that_failed_left_is_nobodys_doing() {
    let mut story = Story::new(OnDrift::Mend, 6);
    let holds = |weight: u16| zone([(90, PartState::Served), (weight, PartState::Served)]);
    assert!(!story.reads(&holds(10)));
    assert!(!story.reads(&Found { in_force: InForce::Failed, ..holds(50) }));
    assert!(!story.reads(&holds(50)));
    assert!(!story.is_told_of_drift(), "{:#?}", story.reports);
}

//! What a write of several calls may still do to the sets when its answers were lost, and what counts on it, told read by read.

#![expect(clippy::unwrap_used, clippy::panic, reason = "test code")]

mod weighted_story;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use pointsman::core::{Plan, Report, Rule};
use pointsman::model::{Found, FoundPart, OnDrift, Part, PartState};
use weighted_story::{Story, address, plan, zone};

#[test]
fn what_a_late_write_switches_on_it_does_not_switch_off() {
    let mut story = Story::new(OnDrift::Alarm, 3);
    story.wants(&plan(1, [(90, true), (10, true)]));
    let (both, one) = ([PartState::Served; 2], [PartState::Served, PartState::Off]);
    let holds = |[first, second]: [PartState; 2]| zone([(90, first), (10, second)]);
    for _ in 0..2 {
        assert!((0..9).any(|_| story.reads(&holds(one))), "none has landed");
        story.is_lost();
    }
    assert!((0..9).any(|_| story.reads(&holds(one))));
    story.is_taken();
    assert!(!story.reads(&holds(both)) && !story.is_told_of_drift());
    assert!(!story.reads(&holds(one)), "the lost ones may land yet, and would leave it on");
    assert!(story.is_told_of_drift(), "{:#?}", story.reports);
}

#[test]
fn what_a_late_write_did_not_find_it_does_not_take_away() {
    let mut story = Story::new(OnDrift::Alarm, 3);
    let off = PartState::Off;
    story.wants(&plan(1, [(90, true), (10, false)]));
    assert!(!story.reads(&zone([(90, PartState::Served), (10, off)])));
    // Region 1 is to have another weight, and nobody knows whether it will.
    story.wants(&plan(2, [(50, true), (10, false)]));
    assert!(story.reads(&zone([(90, PartState::Served), (10, off)])));
    story.is_lost();
    story.wants(&plan(3, [(90, true), (10, true)]));
    assert!((0..9).any(|_| story.reads(&zone([(90, PartState::Served), (10, off)]))));
    story.is_taken();
    assert!(!story.reads(&zone([(90, PartState::Served), (10, PartState::Served)])));
    assert!(!story.is_told_of_drift(), "{:#?}", story.reports);
    assert!(!story.reads(&zone([(90, PartState::Served), (10, off)])), "the lost one found no region 2");
    assert!(story.is_told_of_drift(), "{:#?}", story.reports);
}

#[test]
fn what_a_late_write_leaves_as_it_found_it_is_not_brought_back_by_it() {
    let mut story = Story::new(OnDrift::Alarm, 3);
    let both = zone([(90, PartState::Served), (10, PartState::Served)]);
    story.wants(&plan(1, [(90, true), (10, true)]));
    assert!(!story.reads(&both));
    // Region 2 is to have another weight, and nobody knows whether it will.
    story.wants(&plan(2, [(90, true), (50, true)]));
    assert!(story.reads(&both));
    story.is_lost();
    story.wants(&plan(3, [(90, false), (10, true)]));
    assert!((0..9).any(|_| story.reads(&both)));
    story.is_taken();
    assert!(!story.reads(&zone([(90, PartState::Off), (10, PartState::Served)])));
    assert!(!story.is_told_of_drift(), "{:#?}", story.reports);
    assert!(!story.reads(&both), "the lost one does nothing to region 1");
    assert!(story.is_told_of_drift(), "{:#?}", story.reports);
}

#[test]
fn what_a_late_write_took_away_once_it_does_not_take_away_again() {
    let mut story = Story::new(OnDrift::Alarm, 6);
    let holds = |second: PartState| zone([(90, PartState::Served), (10, second)]);
    story.wants(&plan(1, [(90, true), (10, true)]));
    assert!(!story.reads(&holds(PartState::Served)));
    story.wants(&plan(2, [(50, true), (10, false)]));
    assert!(story.reads(&holds(PartState::Served)));
    story.is_lost();
    story.wants(&plan(3, [(90, true), (10, true)]));
    assert!(!story.reads(&holds(PartState::Served)));
    // Half of it has landed, as far as anybody can tell.
    assert!((0..9).any(|_| story.reads(&holds(PartState::Off))));
    story.is_taken();
    assert!(!story.reads(&holds(PartState::Served)) && !story.is_told_of_drift());
    assert!(!story.reads(&holds(PartState::Off)), "its switch-off is used up");
    assert!(story.is_told_of_drift(), "{:#?}", story.reports);
}

#[test]
fn two_late_writes_that_land_between_two_reads_are_nobody_elses_doing() {
    let mut story = Story::new(OnDrift::Alarm, 6);
    let holds = |first: u16, second: u16| zone([(first, PartState::Served), (second, PartState::Served)]);
    story.wants(&plan(1, [(90, true), (10, true)]));
    assert!(!story.reads(&holds(90, 10)));
    for wanted in [plan(2, [(50, true), (10, true)]), plan(3, [(90, true), (70, true)])] {
        story.wants(&wanted);
        assert!((0..9).any(|_| story.reads(&holds(90, 10))));
        story.is_lost();
    }
    assert!((0..9).any(|_| story.reads(&holds(50, 70))), "{:#?}", story.reports);
    assert!(!story.is_told_of_drift(), "{:#?}", story.reports);
}

#[test]
fn a_weight_that_no_late_write_brings_is_somebody_elses() {
    let mut story = Story::new(OnDrift::Alarm, 6);
    let holds = |first: u16, second: u16| zone([(first, PartState::Served), (second, PartState::Served)]);
    story.wants(&plan(1, [(90, true), (10, true)]));
    assert!(!story.reads(&holds(90, 10)));
    story.wants(&plan(2, [(50, true), (10, true)]));
    assert!(story.reads(&holds(90, 10)));
    story.is_lost();
    story.wants(&plan(3, [(90, true), (10, true)]));
    assert!(!story.reads(&holds(90, 10)));
    assert!(!story.reads(&holds(90, 70)), "the lost one changes the weight of region 1");
    assert!(story.is_told_of_drift(), "{:#?}", story.reports);
}

#[test]
fn what_a_late_write_took_away_stays_used_up_over_a_restart() {
    let mut story = Story::new(OnDrift::Alarm, 6);
    let holds = |second: PartState| zone([(90, PartState::Served), (10, second)]);
    story.wants(&plan(1, [(50, true), (10, false)]));
    assert!(story.reads(&holds(PartState::Served)));
    story.is_lost();
    story.wants(&plan(2, [(90, true), (10, true)]));
    assert!(!story.reads(&holds(PartState::Served)));
    assert!((0..9).any(|_| story.reads(&holds(PartState::Off))));
    story.is_taken();
    assert!(!story.reads(&holds(PartState::Served)) && !story.is_told_of_drift());
    let mut next = story.restarted(Story::new(OnDrift::Alarm, 6));
    next.wants(&plan(3, [(90, true), (10, true)]));
    assert!(!next.reads(&holds(PartState::Off)), "{:#?}", next.reports);
    assert!(next.is_told_of_drift(), "{:#?}", next.reports);
}

/// Region 1 was down, and its switch-off is lost; it is back, and now region 2 is down.
fn lost_then_the_other_dies() -> Story {
    let mut story = Story::new(OnDrift::Mend, 6);
    story.wants(&plan(1, [(90, false), (10, true)]));
    assert!(story.reads(&zone([(90, PartState::Served), (10, PartState::Served)])));
    story.is_lost();
    story.wants(&plan(2, [(90, true), (10, true)]));
    assert!(!story.reads(&zone([(90, PartState::Served), (10, PartState::Served)])));
    story.wants(&plan(3, [(90, true), (10, false)]));
    story
}

#[test]
fn never_empty_a_switch_off_that_may_still_land_counts_as_carried_out() {
    let mut story = lost_then_the_other_dies();
    let both = zone([(90, PartState::Served), (10, PartState::Served)]);
    let lost_at = story.now;
    let mut reads = 0;
    while !story.reads(&both) {
        reads += 1;
        assert!(reads < 100, "{:#?}", story.reports);
    }
    let waited = story.now.since(lost_at);
    assert!(waited >= Duration::from_secs(80) && waited <= Duration::from_secs(100), "{waited:?}");
    let of_held = |it: &Report| if let Report::Held(held) = it { Some(held.clone()) } else { None };
    let held = story.reports.iter().filter_map(of_held).find(|held| held.rule == Rule::NeverEmpty);
    let words = held.unwrap().because;
    assert!(words.contains("may still take 198.51.100.1 away, and then 0 of our addresses"), "{words}");
}

#[test]
fn a_switch_off_that_landed_late_holds_nothing_back_any_more() {
    let mut story = lost_then_the_other_dies();
    // It lands, is mended, and is over.
    story.wants(&plan(4, [(90, true), (10, true)]));
    assert!(story.reads(&zone([(90, PartState::Off), (10, PartState::Served)])));
    story.is_taken();
    let both = zone([(90, PartState::Served), (10, PartState::Served)]);
    assert!(!story.reads(&both));
    story.wants(&plan(5, [(90, true), (10, false)]));
    assert!(story.reads(&both), "{:#?}", story.reports);
}

#[test]
fn a_switch_off_that_may_still_land_is_sent_again_at_once() {
    let mut story = Story::new(OnDrift::Mend, 6);
    story.wants(&plan(1, [(90, false), (10, true)]));
    let both = zone([(90, PartState::Served), (10, PartState::Served)]);
    assert!(story.reads(&both));
    story.is_lost();
    assert!((0..9).any(|_| story.reads(&both)), "{:#?}", story.reports);
}

#[test]
fn bounded_writes_sets_that_are_gone_do_not_show_that_a_lost_write_did_not_land() {
    let mut story = Story::new(OnDrift::Mend, 1);
    story.wants(&plan(1, [(90, true), (10, true)]));
    let withheld = zone([(90, PartState::Withheld), (10, PartState::Withheld)]);
    let found = Found { values: BTreeSet::new(), ..withheld };
    assert!(!story.reads(&found));
    // Region 1 has moved to where nothing keeps it from being served.
    let both = plan(2, [(90, true), (10, true)]);
    let mut moved = Plan::clone(&both);
    moved.wanted = [address(2), address(3)].into();
    moved.owned.insert(address(3));
    let first = moved.parts.first_mut().unwrap();
    (first.values, first.owned) = ([address(3)].into(), [address(1), address(3)].into());
    story.wants(&Arc::new(moved));
    assert!(story.reads(&found));
    story.is_lost();
    story.finds(None);
    story.finds(None);
    assert!(!story.reads(&found), "the budget is used up: {:#?}", story.reports);
}

#[test]
fn what_comes_along_with_a_set_that_gets_another_weight_is_nobody_elses_doing() {
    let mut story = Story::new(OnDrift::Alarm, 6);
    // Both regions are in one set, of which region 1 makes its own.
    let shared = |number| Found {
        parts: vec![FoundPart {
            values: [address(1), address(2)].into(),
            ..zone([(number, PartState::Served); 2]).parts.remove(0)
        }],
        ..zone([(number, PartState::Served); 2])
    };
    story.wants(&plan(1, [(90, true), (10, true)]));
    assert!(story.reads(&shared(50)));
    story.is_lost();
    assert!((0..9).any(|_| story.reads(&shared(90))));
    story.is_lost();
    assert!(!story.is_told_of_drift(), "{:#?}", story.reports);
    // It comes along with nothing but that.
    story.reads(&shared(70));
    assert!(story.is_told_of_drift(), "{:#?}", story.reports);
}

#[test]
fn never_empty_a_switch_off_that_may_still_land_is_reckoned_with_though_another_try_of_it_was_taken() {
    let both = zone([(90, PartState::Served), (10, PartState::Served)]);
    let without_1 = zone([(90, PartState::Off), (10, PartState::Served)]);
    for on_drift in [OnDrift::Mend, OnDrift::Alarm] {
        let mut story = Story::new(on_drift, 6);
        story.wants(&plan(1, [(90, false), (10, true)]));
        assert!(story.reads(&both));
        story.is_lost();
        assert!((0..9).any(|_| story.reads(&both)), "another try");
        story.is_taken();
        story.reads(&without_1);
        // It is back, and the other one dies.
        story.wants(&plan(2, [(90, true), (10, true)]));
        assert!((0..9).any(|_| story.reads(&without_1)));
        story.is_taken();
        story.reads(&both);
        story.wants(&plan(3, [(90, true), (10, false)]));
        assert!(!(0..20).any(|_| story.reads(&both)), "the first try may still land");
        // It does, and is our own doing.
        story.reads(&without_1);
        assert!(!story.is_told_of_drift(), "{on_drift:?}: {:#?}", story.reports);
    }
}

/// Region 1 is out and its switch-off is lost; now its set serves both regions' addresses, and the other set is to go.
fn lost_then_both_in_one_set() -> (Story, Found) {
    let mut story = Story::new(OnDrift::Mend, 6);
    story.wants(&plan(1, [(90, false), (10, true)]));
    assert!(story.reads(&zone([(90, PartState::Served), (10, PartState::Served)])));
    story.is_lost();
    let back = Plan::clone(&plan(2, [(90, true), (10, false)]));
    let (all, none) = (BTreeSet::from([address(1), address(2)]), BTreeSet::new());
    let values = [(all.clone(), all.clone()), (none.clone(), none)];
    let parts =
        back.parts.into_iter().zip(values).map(|(part, (values, owned))| Part { values, owned, ..part });
    story.wants(&Arc::new(Plan { wanted: all.clone(), parts: parts.collect(), ..back }));
    let both = zone([(90, PartState::Served), (10, PartState::Served)]);
    let parts = both.parts.into_iter().zip([all, [address(2)].into()]);
    let parts = parts.map(|(part, values)| FoundPart { values, ..part }).collect();
    let shared = Found { parts, ..both };
    (story, shared)
}

#[test]
fn never_empty_a_switch_off_that_may_still_land_takes_whatever_is_in_its_set_by_then() {
    let (mut story, shared) = lost_then_both_in_one_set();
    assert!(!(0..20).any(|_| story.reads(&shared)), "all would be in the set that may still be switched off");
    let of_writes = |report: &Report| {
        if let Report::Remember(memory) = report { Some(memory.clone()) } else { None }
    };
    let memory = story.reports.iter().rev().find_map(of_writes).unwrap();
    // So it is after a restart.
    let (mut next, _) = lost_then_both_in_one_set();
    next.reconciler.restore(next.now, Duration::from_secs(2), &memory);
    assert!(!(0..10).any(|_| next.reads(&shared)), "{:#?}", next.reports);
    assert!((0..60).any(|_| story.reads(&shared)), "it lands no more: {:#?}", story.reports);
}

#[test]
fn a_weight_that_a_late_write_brought_is_not_taken_away_by_it() {
    let mut story = Story::new(OnDrift::Alarm, 3);
    story.wants(&plan(1, [(50, true), (10, true)]));
    assert!(story.reads(&zone([(90, PartState::Served), (10, PartState::Served)])));
    story.is_lost();
    assert!(!story.reads(&zone([(50, PartState::Served), (10, PartState::Served)])), "it has landed");
    assert!(!story.is_told_of_drift(), "{:#?}", story.reports);
    assert!(!story.reads(&zone([(50, PartState::Off), (10, PartState::Served)])));
    assert!(story.is_told_of_drift(), "{:#?}", story.reports);
}

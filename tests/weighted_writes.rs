//! Whose doing a name's sets are that are served by weight, and which writes of them count, told read by read: a write of
//! several calls is half-way for a time.

#![expect(clippy::unwrap_used, clippy::panic, reason = "test code")]

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use pointsman::core::{Call, Generation, Plan, Reconciler, Report, Rule, Timing, WriteRules};
use pointsman::model::{
    Alarm, Found, FoundPart, Fqdn, InForce, Line, Moment, OnDrift, Part, PartState, ProviderError,
    ProviderErrorKind, ProviderName, Record, RecordKey, RecordType, Routing, ServiceName, Ttl, Weight,
    WriteBudget,
};

fn address(last: u8) -> IpAddr {
    Ipv4Addr::new(198, 51, 100, last).into()
}

fn key() -> RecordKey {
    let name = Fqdn::parse("demo.localdev.me.").unwrap();
    RecordKey { name, record_type: RecordType::A, routing: Routing::Weighted(Line::everybody()) }
}

/// Two regions, `1` and `2`, each at its weight; in or out.
fn plan(generation: u64, regions: [(u16, bool); 2]) -> Arc<Plan> {
    let part = |(last, (weight, is_in)): (u8, (u16, bool))| Part {
        weight: Weight::from_number(weight).unwrap(),
        values: if is_in { [address(last)].into() } else { BTreeSet::new() },
        owned: [address(last)].into(),
    };
    let parts: Vec<Part> = (1..).zip(regions).map(part).collect();
    Arc::new(Plan {
        service: ServiceName::parse("demo").unwrap(),
        key: key(),
        generation: Generation(generation),
        wanted: parts.iter().flat_map(|part| part.values.clone()).collect(),
        owned: [address(1), address(2)].into(),
        parts,
        ttl: None,
        may_write: true,
        only_from: None,
        is_rescue: false,
        words: 0,
        regions: Vec::new(),
        held: Vec::new(),
    })
}

/// The sets of the two regions.
fn zone(sets: [(u16, PartState); 2]) -> Found {
    let part = |(last, (weight, state)): (u8, (u16, PartState))| FoundPart {
        id: last.to_string(),
        values: [address(last)].into(),
        weight: Weight::from_number(weight),
        ttl: Ttl::DEFAULT,
        description: None,
        state,
    };
    let parts: Vec<FoundPart> = (1..).zip(sets).map(part).collect();
    let served = parts.iter().filter(|part| part.state.is_served());
    Found {
        id: String::new(),
        values: served.flat_map(|part| part.values.clone()).collect(),
        ttl: Ttl::DEFAULT,
        in_force: InForce::Yes,
        description: None,
        parts,
    }
}

struct Story {
    reconciler: Reconciler,
    now: Moment,
    reports: Vec<Report>,
}

impl Story {
    fn new(on_drift: OnDrift, writes: u32) -> Self {
        let record = Record {
            key: key(),
            provider: ProviderName::parse("public").unwrap(),
            ttl: None,
            create: false,
            on_drift,
        };
        let budget = WriteBudget { writes, window: Duration::from_secs(600) };
        let rules = WriteRules { min_published: 1, budget };
        let timing = Timing { resync: Duration::from_secs(60) };
        let reconciler = Reconciler::new(record, rules, timing, false, Moment::START);
        Self { reconciler, now: Moment::START + Duration::from_secs(1_000), reports: Vec::new() }
    }

    /// The next read finds that; says whether a write follows.
    fn reads(&mut self, found: &Found) -> bool {
        self.finds(Some(found))
    }

    /// The same of a read that may find nothing.
    fn finds(&mut self, found: Option<&Found>) -> bool {
        loop {
            self.now = self.reconciler.next_wake().unwrap().max(self.now);
            match self.reconciler.poll_call(self.now) {
                Some(Call::Read) => break,
                Some(call) => panic!("no read: {call:?}"),
                None => {}
            }
        }
        self.reconciler.handle_read(self.now, Ok(found.cloned()));
        let call = self.reconciler.poll_call(self.now);
        while let Some(report) = self.reconciler.poll_report() {
            self.reports.push(report);
        }
        call.is_some()
    }

    fn is_taken(&mut self) {
        self.now = self.now + Duration::from_millis(20);
        self.reconciler.handle_written(self.now, Ok(()));
    }

    fn is_lost(&mut self) {
        self.now = self.now + Duration::from_millis(20);
        let lost = ProviderError { kind: ProviderErrorKind::Lost, message: String::new() };
        self.reconciler.handle_written(self.now, Err(lost));
    }

    fn wants(&mut self, plan: &Arc<Plan>) {
        self.reconciler.handle_plan(self.now, Arc::clone(plan));
    }

    /// The same 2 s later, in `next`, another process.
    fn restarted(&self, mut next: Self) -> Self {
        let of = |it: &Report| if let Report::Remember(it) = it { Some(it.clone()) } else { None };
        let memory = self.reports.iter().rev().find_map(of);
        next.now = self.now + Duration::from_secs(2);
        next.reconciler.restore(next.now, Duration::from_secs(2), &memory.unwrap());
        next
    }

    fn is_told_of_drift(&self) -> bool {
        let tells = |report: &Report| {
            matches!(report, Report::Drifted { .. } | Report::Alarmed { alarm: Alarm::Drift, .. })
        };
        self.reports.iter().any(tells)
    }
}

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

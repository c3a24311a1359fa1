//! How many regions leave, and which failures count as one event: `max_removed`, `panic_threshold`, `blast_window`.

mod world;

use std::sync::Arc;
use std::time::Duration;

use pointsman::core::Plan;
use pointsman::model::{Alarm, Liveness, Override, Ruling, Scope, Service, Share, Threshold, Word};
use world::Look::{Fail, Pass};
use world::{RECOVER_AFTER, Weather, World, address, region_name, service};
#[test]
fn bounded_blast_of_three_regions_two_that_die_one_after_the_other_both_leave() {
    let mut world = World::new(service(3), &[0, 1, 2]);
    world.run(10, &[Pass; 3]).run(400, &[Fail, Pass, Pass]).assert_published(&[1, 2]);
    world.run(3, &[Fail, Fail, Pass]).assert_published(&[2]);
}

#[test]
fn bounded_blast_a_hold_ends_with_the_window_if_one_region_has_passed_all_the_time() {
    let mut world = World::new(service(3), &[0, 1, 2]);
    world.run(10, &[Pass; 3]).run(290, &[Fail, Fail, Pass]).assert_published(&[0, 1, 2]).assert_writes(0);
    assert!(world.alarms[&(Alarm::Held, None)].contains("BOUNDED-BLAST"), "{:?}", world.alarms);
    // The window ends, and max_removed = 1 lets one go in each.
    world.run(20, &[Fail, Fail, Pass]).assert_published(&[1, 2]);
    world.run(280, &[Fail, Fail, Pass]).assert_published(&[1, 2]);
    world.run(30, &[Fail, Fail, Pass]).assert_published(&[2]);
    assert!(!world.alarms.contains_key(&(Alarm::Held, None)), "{:?}", world.alarms);
}

#[test]
fn bounded_blast_a_hold_lasts_while_no_region_has_passed_all_the_time() {
    let mut world = World::new(service(3), &[0, 1, 2]);
    world.run(10, &[Pass; 3]).run(200, &[Fail, Fail, Pass]).run(3, &[Fail, Fail, Fail]);
    world.run(200, &[Fail, Fail, Pass]).assert_published(&[0, 1, 2]);
    // It has been up again since its recovery for a whole window.
    world.run(200, &[Fail, Fail, Pass]).assert_published(&[1, 2]);
}

#[test]
fn bounded_blast_forever_leaves_the_end_of_a_hold_to_a_person() {
    let patient = Service { blast_window: None, ..service(3) };
    let mut world = World::new(patient, &[0, 1, 2]);
    world.run(10, &[Pass; 3]).run(3_000, &[Fail, Fail, Pass]).assert_published(&[0, 1, 2]).assert_writes(0);
}

#[test]
fn bounded_blast_windows_go_on_over_a_restart() {
    let mut world = World::new(service(3), &[0, 1, 2]);
    world.run(10, &[Pass; 3]).run(150, &[Fail, Fail, Pass]).save().restart(Duration::from_secs(2));
    world.run(140, &[Fail, Fail, Pass]).assert_published(&[0, 1, 2]);
    world.run(20, &[Fail, Fail, Pass]).assert_published(&[1, 2]);
}

#[test]
fn bounded_blast_each_region_that_falls_waits_for_suspects_whatever_was_waited_for_before() {
    let mut slow = Service { max_removed: 3, ..service(4) };
    for place in 1..4 {
        let mut region = world::region(place);
        region.checks[0].fall = Threshold::in_a_row(6).unwrap();
        slow.regions[place] = region.into();
    }
    let mut world = World::new(slow, &[0, 1, 2, 3]);
    world.run(5, &[Pass; 4]);
    // Nobody can write, so the first one stays and its wait for the suspects ends.
    world.weather = Weather::Away;
    world.run(10, &[Fail, Pass, Pass, Pass]).run(6, &[Fail, Fail, Fail, Pass]);
    assert_eq!(world.liveness(2), Liveness::Down);
    let gone = |plan: &Arc<Plan>| !plan.wanted.contains(&address(1));
    assert!(!world.plans.iter().any(gone), "{:?}", world.plans);
}

#[test]
fn a_removal_waits_while_a_second_region_is_suspect_and_goes_when_that_one_is_well() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(5, &[Pass, Pass]).run(2, &[Fail, Pass]);
    world.look(1, Fail).look(0, Fail).assert_writes(0);
    assert_eq!((world.liveness(0), world.liveness(1)), (Liveness::Down, Liveness::Suspect));
    world.look(1, Pass).assert_published(&[1]);
}

#[test]
fn a_suspect_that_does_not_settle_holds_a_removal_for_one_fast_look_at_most() {
    let mut world = World::new(service(2), &[0, 1]);
    world.run(5, &[Pass, Pass]).run(2, &[Fail, Pass]);
    world.look(1, Fail).look(0, Fail).assert_writes(0);
    // fast_interval + timeout.
    world.pass(Duration::from_millis(2_999)).assert_writes(0);
    world.pass(Duration::from_millis(1)).assert_published(&[1]);
}

#[test]
fn a_removal_waits_as_long_as_the_suspect_takes_to_settle_and_not_as_long_as_others_would() {
    let mut uneven = service(3);
    Arc::make_mut(&mut uneven.regions[2]).checks[0].timeout = Duration::from_secs(9);
    let mut world = World::new(uneven, &[0, 1, 2]);
    world.run(5, &[Pass; 3]).run(2, &[Fail, Pass, Pass]);
    world.look(1, Fail).look(0, Fail).assert_writes(0);
    world.pass(Duration::from_millis(2_999)).assert_writes(0);
    world.pass(Duration::from_millis(1)).assert_published(&[1, 2]);
}

#[test]
fn no_more_than_max_removed_regions_are_out_at_once() {
    let mut world = World::new(service(5), &[0, 1, 2, 3, 4]);
    world.run(5, &[Pass; 5]).run(60, &[Fail, Fail, Pass, Pass, Pass]).assert_published(&[1, 2, 3, 4]);
    assert!(world.alarms.contains_key(&(Alarm::Held, None)));
    world.run(RECOVER_AFTER.as_secs() + 2, &[Pass, Fail, Pass, Pass, Pass]).assert_published(&[0, 2, 3, 4]);
}

#[test]
fn no_more_than_max_removed_regions_leave_in_one_step() {
    let mut careful = service(5);
    careful.panic_threshold = Share::from_percent(20).unwrap();
    let bold = Service { panic_threshold: Share::from_percent(50).unwrap(), ..careful.clone() };
    let mut world = World::new(careful, &[0, 1, 2, 3, 4]);
    world.run(5, &[Pass; 5]).run(10, &[Fail, Fail, Pass, Pass, Pass]).assert_published(&[0, 1, 2, 3, 4]);
    world.reconfigure(bold);
    world.assert_published(&[1, 2, 3, 4]);
}

#[test]
fn past_the_panic_threshold_nothing_is_taken_out() {
    let mut calm = service(3);
    calm.max_removed = 3;
    let mut world = World::new(calm, &[0, 1, 2]);
    world.run(5, &[Pass; 3]).run(60, &[Fail, Fail, Pass]).assert_published(&[0, 1, 2]).assert_writes(0);
    let mut bold = service(3);
    bold.max_removed = 3;
    bold.panic_threshold = Share::from_percent(90).unwrap();
    let mut world = World::new(bold, &[0, 1, 2]);
    world.run(5, &[Pass; 3]).run(60, &[Fail, Fail, Pass]).assert_published(&[2]);
}

#[test]
fn bounded_blast_one_pass_of_a_region_that_fell_frees_no_other_one_of_the_same_event() {
    let mut calm = service(3);
    calm.max_removed = 3;
    let mut world = World::new(calm, &[0, 1, 2]);
    world.run(5, &[Pass; 3]).run(60, &[Fail, Fail, Pass]).assert_published(&[0, 1, 2]);
    world.run(1, &[Pass, Fail, Pass]).run(4, &[Fail, Fail, Pass]).assert_published(&[0, 1, 2]);
    world.run(2, &[Pass, Fail, Pass]).assert_published(&[0, 1, 2]);
    // With `rise` passes it has shown that it works again.
    world.run(1, &[Pass, Fail, Pass]).assert_published(&[0, 2]);
}

#[test]
fn bounded_blast_a_region_that_has_just_left_counts_as_failing_together_with_the_next() {
    let mut world = World::new(Service { max_removed: 4, ..service(5) }, &[0, 1, 2, 3, 4]);
    world.run(10, &[Pass; 5]).run(30, &[Fail, Pass, Pass, Pass, Pass]);
    world.run(30, &[Fail, Fail, Pass, Pass, Pass]).assert_published(&[2, 3, 4]);
    // With it three of five fail, which is more than half.
    world.run(30, &[Fail, Fail, Fail, Pass, Pass]).assert_published(&[2, 3, 4]);
}

#[test]
fn bounded_blast_a_region_that_was_kept_until_now_waits_for_the_suspects_of_now() {
    let mut world = World::new(service(3), &[0, 1, 2]);
    let frozen = Scope::Region(region_name(0));
    let (author, reason) = ("ada".to_owned(), "a test".to_owned());
    let freeze = Override { ruling: Ruling::Freeze(frozen.clone()), author, reason, until: None };
    world.run(10, &[Pass; 3]).say(Word::Override(freeze)).run(30, &[Fail, Pass, Pass]);
    world.run(1, &[Fail, Fail, Pass]).assert_published(&[0, 1, 2]);
    // It may leave from here on, and the other one is about to fall: then both stay.
    world.say(Word::Release { scope: frozen, author: "ada".to_owned() }).assert_published(&[0, 1, 2]);
    world.run(5, &[Fail, Fail, Pass]).assert_published(&[0, 1, 2]).assert_writes(0);
}

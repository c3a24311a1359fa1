//! The invariants, each over arbitrary sequences of looks, faults, edits, restarts and time. Each is checked by
//! a rule far simpler than the code that upholds it.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod world;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use pointsman::model::{Moment, PolicyKind, Share, WriteBudget};
use proptest::prelude::*;
use world::{FALL, Look, RECOVER_AFTER, Weather, World, address, foreign, service};

/// One thing that happens.
#[derive(Clone, Debug)]
enum Event {
    Look(usize, Look),
    /// Everybody looks, so many times, a second apart.
    Rounds(u8, [Look; REGIONS]),
    Pass(u16),
    Weather(Weather),
    /// The cloud says that nothing is bound to the region, or its own address.
    Bind(usize, bool),
    /// Somebody adds or removes a value that is not ours.
    ForeignEdit(bool),
    Restart,
}

const REGIONS: usize = 4;

fn look() -> impl Strategy<Value = Look> {
    prop_oneof![4 => Just(Look::Pass), 4 => Just(Look::Fail), 1 => Just(Look::Blind)]
}

fn weather() -> impl Strategy<Value = Weather> {
    prop_oneof![
        4 => Just(Weather::Fair),
        1 => Just(Weather::Away),
        1 => Just(Weather::Refuse),
        1 => Just(Weather::LoseAnswer),
        1 => Just(Weather::LoseWrite),
        1 => Just(Weather::Throttle),
        1 => Just(Weather::Garble),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (0..REGIONS, look()).prop_map(|(place, look)| Event::Look(place, look)),
        6 => (1..40_u8, [look(), look(), look(), look()]).prop_map(|(n, looks)| Event::Rounds(n, looks)),
        2 => (0..200_u16).prop_map(Event::Pass),
        2 => weather().prop_map(Event::Weather),
        1 => (0..REGIONS, any::<bool>()).prop_map(|(place, bound)| Event::Bind(place, bound)),
        1 => any::<bool>().prop_map(Event::ForeignEdit),
        1 => Just(Event::Restart),
    ]
}

/// The settings that the rules depend on, and what the zone holds at the start.
#[derive(Clone, Debug)]
struct Knobs {
    min_published: u32,
    max_removed: u32,
    panic_percent: u8,
    writes: u32,
    tiers: bool,
    published: Vec<usize>,
}

fn knobs() -> impl Strategy<Value = Knobs> {
    let numbers = (1..=2_u32, 1..=4_u32, 0..=100_u8, 1..=4_u32, any::<bool>());
    let published = proptest::sample::subsequence((0..REGIONS).collect::<Vec<_>>(), 1..=REGIONS);
    (numbers, published).prop_map(
        |((min_published, max_removed, panic_percent, writes, tiers), published)| Knobs {
            min_published,
            max_removed,
            panic_percent,
            writes,
            tiers,
            published,
        },
    )
}

impl Knobs {
    fn world(&self) -> World {
        let mut drawn = service(REGIONS);
        drawn.min_published = self.min_published;
        drawn.max_removed = self.max_removed;
        drawn.panic_threshold = Share::from_percent(self.panic_percent).unwrap();
        drawn.write_budget = WriteBudget { writes: self.writes, window: Duration::from_secs(120) };
        if self.tiers {
            drawn.policy = PolicyKind::Priority;
            for (place, region) in drawn.regions.iter_mut().enumerate() {
                let mut tiered = world::region(place);
                tiered.tier = u32::try_from(place / 2).unwrap() + 1;
                *region = tiered.into();
            }
        }
        World::new(drawn, &self.published)
    }
}

/// What is known of each region from the looks alone.
#[derive(Clone, Copy, Default)]
struct Seen {
    /// Looks in a row, not counting those that found nothing out.
    fails: u32,
    passes: u32,
    blind: u32,
    /// `FALL` failures in a row were seen, and neither as many passes nor as many blind looks since.
    failing: bool,
    /// Since when every look that found anything out passed.
    passing_since: Option<Moment>,
}

struct Judge {
    seen: [Seen; REGIONS],
    written: usize,
    /// How many writes were sent before the last restart: without a journal they are forgotten.
    sent: usize,
}

impl Judge {
    fn look(&mut self, at: Moment, place: usize, look: Look) {
        let seen = &mut self.seen[place];
        match look {
            Look::Pass => {
                *seen = Seen { fails: 0, blind: 0, passes: seen.passes + 1, ..*seen };
                seen.passing_since.get_or_insert(at);
            }
            Look::Fail => {
                *seen = Seen { passes: 0, blind: 0, fails: seen.fails + 1, passing_since: None, ..*seen };
            }
            Look::Blind => seen.blind += 1,
        }
        seen.failing = (seen.failing || seen.fails >= FALL) && seen.passes < FALL && seen.blind < FALL;
        if seen.blind >= FALL {
            (seen.fails, seen.passes) = (0, 0);
        }
    }

    /// Holds every write since the last call against every invariant.
    fn judge(&mut self, world: &World) {
        for write in &world.written[self.written..] {
            let own = |set: &BTreeSet<IpAddr>| (0..REGIONS).filter(|r| set.contains(&address(*r))).count();
            let others = |set: &BTreeSet<IpAddr>| {
                set.iter().filter(|a| (0..REGIONS).all(|r| address(r) != **a)).copied().collect::<Vec<_>>()
            };
            let (before, after) = (&write.before, &write.after);
            assert!(!after.is_empty(), "NEVER-EMPTY");
            let adds = after.is_superset(before) && own(after) > own(before);
            assert!(own(after) >= world.service.min_published as usize || adds, "NEVER-EMPTY: {write:?}");
            assert_eq!(others(before), others(after), "ONLY-OURS");
            assert_ne!(before, after, "ONLY-WHEN-DIFFERENT");
            for place in 0..REGIONS {
                let (was, is) = (before.contains(&address(place)), after.contains(&address(place)));
                let seen = self.seen[place];
                if was && !is && world.service.policy == PolicyKind::All {
                    assert!(seen.failing, "BLIND-IS-NOT-DOWN, NO-JUMP-ON-START: r{place} in {write:?}");
                }
                if !was && is && world.service.policy == PolicyKind::All {
                    let healthy = seen.passing_since.map(|since| write.at.since(since));
                    assert!(
                        healthy >= Some(RECOVER_AFTER),
                        "BOUNDED-WRITES: r{place} came back after {healthy:?}"
                    );
                }
            }
            // A region of the second tier may leave because the first one serves, whatever its own state.
            let by_checks = if world.service.policy == PolicyKind::All { REGIONS } else { REGIONS / 2 };
            let failed_out = (0..by_checks)
                .filter(|r| before.contains(&address(*r)) && !after.contains(&address(*r)))
                .filter(|r| self.seen[*r].failing)
                .count();
            assert!(failed_out <= world.service.max_removed as usize, "BOUNDED-BLAST: {write:?}");
        }
        self.written = world.written.len();
        let budget = world.service.write_budget;
        let since_start = &world.sent[self.sent..];
        for (first, last) in since_start.iter().zip(since_start.iter().skip(budget.writes as usize)) {
            assert!(last.since(*first) >= budget.window, "BOUNDED-WRITES: {since_start:?}");
        }
    }
}

fn play(world: &mut World, judge: &mut Judge, event: &Event) {
    match event {
        Event::Look(place, look) => {
            judge.look(world.now, *place, *look);
            world.look(*place, *look);
        }
        Event::Rounds(rounds, looks) => {
            for _ in 0..*rounds {
                for (place, look) in looks.iter().enumerate() {
                    judge.look(world.now, place, *look);
                    world.look(place, *look);
                    judge.judge(world);
                }
                world.pass(Duration::from_secs(1));
                judge.judge(world);
            }
        }
        Event::Pass(seconds) => drop(world.pass(Duration::from_secs(u64::from(*seconds)))),
        Event::Weather(weather) => world.weather = *weather,
        Event::Bind(place, bound) => {
            let addresses: &[IpAddr] = if *bound { &[address(*place)] } else { &[] };
            world.bind(*place, addresses);
        }
        Event::ForeignEdit(add) => {
            let second = "192.0.2.77".parse().unwrap();
            if *add {
                world.zone.values.insert(second)
            } else {
                world.zone.values.remove(&second)
            };
        }
        Event::Restart => {
            // What was counted before is forgotten, so that a removal needs all its evidence anew.
            judge.seen = [Seen::default(); REGIONS];
            judge.sent = world.sent.len();
            world.start_anew();
        }
    }
    judge.judge(world);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_events_breaks_an_invariant(
        knobs in knobs(),
        events in proptest::collection::vec(event(), 1..60),
    ) {
        let mut world = knobs.world();
        let mut judge = Judge { seen: [Seen::default(); REGIONS], written: 0, sent: 0 };
        for event in &events {
            play(&mut world, &mut judge, event);
        }
        prop_assert!(world.zone.values.contains(&foreign()), "ONLY-OURS");
    }

    #[test]
    fn when_the_faults_stop_every_region_is_published_again(
        knobs in knobs(),
        events in proptest::collection::vec(event(), 1..40),
    ) {
        let mut world = knobs.world();
        let mut judge = Judge { seen: [Seen::default(); REGIONS], written: 0, sent: 0 };
        for event in &events {
            play(&mut world, &mut judge, event);
        }
        play(&mut world, &mut judge, &Event::Weather(Weather::Fair));
        // Longer than the most damped region waits, and the write budget after it.
        for _ in 0..200 {
            for place in 0..REGIONS {
                play(&mut world, &mut judge, &Event::Look(place, Look::Pass));
            }
            play(&mut world, &mut judge, &Event::Pass(20));
        }
        let all: Vec<usize> = match world.service.policy {
            PolicyKind::All => (0..REGIONS).collect(),
            PolicyKind::Priority => vec![0, 1],
        };
        prop_assert_eq!(world.published(), all);
        prop_assert!(world.alarms.is_empty(), "{:?}", world.alarms);
    }

    #[test]
    fn looks_that_never_find_a_failure_never_change_a_set_that_holds_everybody(
        looks in proptest::collection::vec(
            (0..REGIONS, prop_oneof![Just(Look::Pass), Just(Look::Blind)], 0..20_u64), 1..200),
    ) {
        let mut world = World::new(service(REGIONS), &[0, 1, 2, 3]);
        for (place, look, seconds) in looks {
            world.look(place, look).pass(Duration::from_secs(seconds));
        }
        prop_assert_eq!(world.sent.len(), 0);
    }
}

//! The invariants, each over arbitrary sequences of looks, faults, edits, restarts, reloads and time. Each is checked
//! by a rule far simpler than the code that upholds it.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod world;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use pointsman::model::{Moment, PolicyKind, Service, Share, Threshold, WriteBudget};
use proptest::prelude::*;
use world::{Death, FALL, Look, RECOVER_AFTER, Weather, World, address, foreign, service};

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
    /// Somebody puts the region's address in or takes it out.
    OurEdit(usize, bool),
    /// The disk is brought up to date, as once in a while.
    Save,
    /// The process is killed and started again so many milliseconds later.
    Restart(u32),
    /// The same, while the next write is on its way, which lands or does not.
    Death(bool, u32),
    /// The disk is lost too.
    StartAnew,
    Reload(Reload),
}

/// What is different in a new configuration.
#[derive(Clone, Copy, Debug)]
enum Reload {
    Nothing,
    Fall(u32),
    /// The region comes, or goes.
    Region(usize, bool),
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
        1 => (0..REGIONS, any::<bool>()).prop_map(|(place, add)| Event::OurEdit(place, add)),
        1 => Just(Event::Save),
        2 => (0..40_000_u32).prop_map(Event::Restart),
        1 => (any::<bool>(), 0..40_000_u32).prop_map(|(lands, gap)| Event::Death(lands, gap)),
        1 => Just(Event::StartAnew),
        2 => reload().prop_map(Event::Reload),
    ]
}

fn reload() -> impl Strategy<Value = Reload> {
    prop_oneof![
        1 => Just(Reload::Nothing),
        1 => (1..=5_u32).prop_map(Reload::Fall),
        2 => (0..REGIONS, any::<bool>()).prop_map(|(place, there)| Reload::Region(place, there)),
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
        World::new(self.service(FALL, [true; REGIONS]), &self.published)
    }

    /// The service with this `fall` and the regions that are `there`.
    fn service(&self, fall: u32, there: [bool; REGIONS]) -> Service {
        let mut drawn = service(REGIONS);
        drawn.min_published = self.min_published;
        drawn.max_removed = self.max_removed;
        drawn.panic_threshold = Share::from_percent(self.panic_percent).unwrap();
        drawn.write_budget = WriteBudget { writes: self.writes, window: Duration::from_secs(120) };
        if self.tiers {
            drawn.policy = PolicyKind::Priority;
        }
        drawn.regions.clear();
        for place in (0..REGIONS).filter(|place| there[*place]) {
            let mut region = world::region(place);
            region.checks[0].fall = Threshold::in_a_row(fall).unwrap();
            if self.tiers {
                region.tier = u32::try_from(place / 2).unwrap() + 1;
            }
            drawn.regions.push(region.into());
        }
        drawn
    }
}

/// What is known of each region from the looks alone.
#[derive(Clone, Copy, Default)]
struct Seen {
    /// Looks in a row, not counting those that found nothing out.
    fails: u32,
    passes: u32,
    blind: u32,
    /// `fall` failures in a row were seen, and neither `FALL` passes nor `fall` blind looks since.
    failing: bool,
    /// Since when every look that found anything out passed.
    passing_since: Option<Moment>,
}

struct Judge {
    knobs: Knobs,
    fall: u32,
    there: [bool; REGIONS],
    seen: [Seen; REGIONS],
    written: usize,
    restarted: usize,
    /// How many writes were sent before the disk was lost: they are forgotten.
    sent: usize,
}

impl Judge {
    fn new(knobs: &Knobs) -> Self {
        Self {
            knobs: knobs.clone(),
            fall: FALL,
            there: [true; REGIONS],
            seen: [Seen::default(); REGIONS],
            written: 0,
            restarted: 0,
            sent: 0,
        }
    }

    /// Takes in the restarts until then. Each counts from when the disk was brought up to date: nobody looked, and as
    /// long as `fall` looks in vain take, what was seen is remembered.
    fn away_until(&mut self, world: &World, until: Moment) {
        for (at, gap) in &world.restarted[self.restarted..] {
            if *at <= until {
                self.restarted += 1;
                self.away(*at, *gap);
            }
        }
    }

    fn away(&mut self, now: Moment, gap: Duration) {
        for seen in &mut self.seen {
            *seen = if gap <= Duration::from_secs(5) * self.fall {
                Seen { passing_since: seen.passing_since.map(|since| since + gap), ..*seen }
            } else {
                Seen { passing_since: seen.passing_since.map(|_| now), ..Seen::default() }
            };
        }
    }

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
        seen.failing =
            (seen.failing || seen.fails >= self.fall) && seen.passes < FALL && seen.blind < self.fall;
        if seen.blind >= self.fall {
            (seen.fails, seen.passes) = (0, 0);
        }
    }

    /// Holds every write since the last call against every invariant.
    fn judge(&mut self, world: &World) {
        for write in &world.written[self.written..] {
            self.away_until(world, write.at);
            let ours: BTreeSet<IpAddr> = (0..REGIONS).filter(|r| self.there[*r]).map(address).collect();
            let own = |set: &BTreeSet<IpAddr>| set.intersection(&ours).count();
            let others = |set: &BTreeSet<IpAddr>| set.difference(&ours).copied().collect::<Vec<_>>();
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
        self.away_until(world, world.now);
        let budget = world.service.write_budget;
        let since_start = &world.sent[self.sent..];
        for (first, last) in since_start.iter().zip(since_start.iter().skip(budget.writes as usize)) {
            assert!(last.since(*first) >= budget.window, "BOUNDED-WRITES: {since_start:?}");
        }
    }
}

/// Whether all is as it should be, so that nothing is to be done.
fn is_calm(world: &World) -> bool {
    let status = world.core.service_status(&world.service.name, world.now).unwrap();
    let record = status.record_set;
    let is_known = record.values.as_ref() == Some(&world.zone.values);
    is_known && record.in_sync && status.held.is_empty() && status.alarms.is_empty()
}

fn look_at(world: &mut World, judge: &mut Judge, place: usize, look: Look) {
    if judge.there[place] {
        judge.look(world.now, place, look);
        world.look(place, look);
    }
}

/// Starts, restarts or reloads: that changes no record set by itself (NO-JUMP-ON-START).
fn without_a_jump(world: &mut World, does: impl FnOnce(&mut World)) {
    let calm = is_calm(world) && world.service.policy == PolicyKind::All;
    let before = world.zone.values.clone();
    does(world);
    assert!(!calm || world.zone.values == before, "NO-JUMP-ON-START: {before:?}");
}

fn play(world: &mut World, judge: &mut Judge, event: &Event) {
    match event {
        Event::Look(place, look) => look_at(world, judge, *place, *look),
        Event::Rounds(rounds, looks) => {
            for _ in 0..*rounds {
                for (place, look) in looks.iter().enumerate() {
                    look_at(world, judge, place, *look);
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
        Event::OurEdit(place, add) => {
            if *add {
                world.zone.values.insert(address(*place));
            } else {
                world.zone.values.remove(&address(*place));
            }
        }
        Event::Save => drop(world.save()),
        Event::Restart(gap) => {
            let gap = Duration::from_millis(u64::from(*gap));
            without_a_jump(world, |world| {
                world.restart(gap);
            });
        }
        Event::Death(lands, gap) => {
            let gap = Duration::from_millis(u64::from(*gap));
            world.death = Some(Death { lands: *lands, gap });
        }
        Event::StartAnew => {
            // What was counted before is forgotten, so that a removal needs all its evidence anew.
            judge.seen = [Seen::default(); REGIONS];
            judge.sent = world.sent.len();
            without_a_jump(world, |world| {
                world.start_anew();
            });
        }
        Event::Reload(reload) => {
            match reload {
                Reload::Nothing => {}
                Reload::Fall(fall) => judge.fall = *fall,
                Reload::Region(place, there) => {
                    if judge.there[*place] != *there && (*there || world.service.regions.len() > 1) {
                        judge.there[*place] = *there;
                        judge.seen[*place] = Seen::default();
                    }
                }
            }
            let service = judge.knobs.service(judge.fall, judge.there);
            let same = service == *world.service;
            without_a_jump(world, |world| {
                let effects = world.reconfigure(service);
                assert!(!same || effects.is_empty(), "{effects:?}");
            });
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
        let mut judge = Judge::new(&knobs);
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
        let mut judge = Judge::new(&knobs);
        for event in &events {
            play(&mut world, &mut judge, event);
        }
        play(&mut world, &mut judge, &Event::Weather(Weather::Fair));
        for place in 0..REGIONS {
            play(&mut world, &mut judge, &Event::Reload(Reload::Region(place, true)));
        }
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

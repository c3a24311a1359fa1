//! The worlds that a seed has beside the plain one. Each is drawn by dice of its own, so that one more changes no other.

use super::dice::{Dice, drawn_for};
use super::event::{self, Act, Change, Event};
use super::regions::Health;
use super::settings::{Settings, SharedPart};
use super::weighted::PartEdit;
use super::witnesses::{Manner, Resolver};
use super::writer::Writer;

/// Seeds from here on have worlds.
pub(crate) const WORLDS_FROM: u64 = 300_000;

/// Which worlds a schedule has.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Worlds {
    /// A second service of the same regions, in the same zone and account.
    pub(crate) other: Option<Configured>,
    /// How many calls of the account are let through in a minute.
    pub(crate) calls_a_minute: Option<u64>,
    /// Another program that changes every record set of ours all the time.
    pub(crate) writer: Option<Writer>,
}

/// A service at the start.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Configured {
    pub(crate) settings: Settings,
    /// The regions whose address its record set holds.
    pub(crate) published: Vec<usize>,
}

/// What dice are for.
#[derive(Clone, Copy, Debug)]
enum World {
    TwoServices = 300_001,
    OtherWriters = 300_002,
    SharedBalancer = 300_011,
    Witnesses = 300_012,
    Weights = 300_013,
}

impl World {
    fn dice(self, seed: u64) -> Dice {
        Dice::new(drawn_for(&[seed, self as u64]))
    }
}

/// Draws the worlds of a seed whose first service is configured so, and adds what happens in them.
pub(crate) fn draw(seed: u64, settings: &mut Settings, events: &mut Vec<Event>) -> Worlds {
    let mut worlds = Worlds::default();
    let mut dice = World::TwoServices.dice(seed);
    if dice.percent(33) {
        let other = Configured::draw(&mut dice, settings.regions.len());
        events.extend(event::draw_for(&mut dice, 1, &other.settings));
        worlds.calls_a_minute = Some(dice.pick(&[20, 30, 40, 60, 100, 1_000]));
        worlds.other = Some(other);
    }
    let mut dice = World::OtherWriters.dice(seed);
    if dice.percent(20) {
        worlds.writer = Some(Writer::draw(&mut dice));
    }
    let mut dice = World::SharedBalancer.dice(seed);
    if dice.percent(25) {
        share(&mut dice, settings, events);
    }
    let mut dice = World::Weights.dice(seed);
    if dice.percent(25) {
        weigh(&mut dice, 0, settings, events);
    }
    for other in worlds.settings() {
        if dice.percent(25) {
            weigh(&mut dice, 1, other, events);
        }
    }
    let mut dice = World::Witnesses.dice(seed);
    if dice.percent(50) {
        let resolvers = witness(&mut dice, events);
        for settings in worlds.settings().chain([&mut *settings]) {
            settings.witnesses = Some(resolvers.clone());
        }
    }
    events.sort_by_key(|event| event.at_ms);
    worlds
}

impl Worlds {
    /// What services are configured to be beside the first.
    fn settings(&mut self) -> impl Iterator<Item = &mut Settings> {
        self.other.iter_mut().map(|other| &mut other.settings)
    }
}

impl Configured {
    fn draw(dice: &mut Dice, regions: usize) -> Self {
        let settings = Settings::draw(dice).with_regions(dice, regions);
        let published = (0..regions).filter(|_| dice.percent(80)).collect();
        Self { settings, published }
    }
}

/// Two regions behind one load balancer. Each may die alone, and so does the load balancer, with both of them.
fn share(dice: &mut Dice, settings: &mut Settings, events: &mut Vec<Event>) {
    let count = settings.regions.len();
    let place = dice.place(count);
    let other = (place + 1 + dice.place(count - 1)) % count;
    let part = if dice.percent(75) { SharedPart::Address } else { SharedPart::Balancer };
    let followed = u8::from(part == SharedPart::Balancer);
    settings.regions[other].fixed = settings.regions[other].fixed.max(1) * followed;
    let regions = &mut settings.regions;
    regions[place].fixed = regions[place].fixed.max(1);
    regions[place].shares = Some((part, other));
    // What would undo it is not so often.
    if dice.percent(70) {
        events.retain(|event| {
            !matches!(event.act, Act::Reload(Change::Fixed(it, _)) | Act::Bind(it, _) if it == place || it == other)
        });
    }
    let ends_ms = events.last().map_or(0, |event| event.at_ms).unsigned_abs();
    for _ in 0..dice.between(1_u32, 4) {
        let at_ms = i64::try_from(dice.between(0, ends_ms + 60_000)).unwrap_or(0);
        let health = if dice.percent(60) { Health::Dead } else { Health::Serves };
        let whose = match dice.place(4) {
            0 => vec![place],
            1 => vec![other],
            2 => vec![place, other],
            _ => vec![dice.place(count)],
        };
        events.extend(whose.into_iter().map(|place| Event {
            at_ms,
            service: 0,
            act: Act::Region(place, health),
        }));
    }
}

/// Each region has a set of its own, at its weight; somebody edits one of them at times, and the weights are configured anew.
fn weigh(dice: &mut Dice, service: usize, settings: &mut Settings, events: &mut Vec<Event>) {
    const WEIGHTS: &[u16] = &[1, 10, 90, 100, 100, 300, 1000];
    (settings.weighted, settings.tiers, settings.starts_in_one) = (true, false, dice.percent(30));
    for region in &mut settings.regions {
        region.weight = dice.pick(WEIGHTS);
    }
    let ends_ms = events.last().map_or(0, |event| event.at_ms).unsigned_abs();
    for _ in 0..dice.between(0_u32, 4) {
        let at_ms = i64::try_from(dice.between(0, ends_ms)).unwrap_or(0);
        let (which, weight) = (dice.place(settings.regions.len()), dice.pick(WEIGHTS));
        let act = match dice.place(8) {
            0 | 1 => Act::EditPart(which, PartEdit::Weight(weight)),
            2 | 3 => Act::EditPart(which, PartEdit::Switch),
            4 => Act::EditPart(which, PartEdit::Freeze),
            5 => Act::EditPart(which, PartEdit::Merge),
            6 => Act::EditPart(which, PartEdit::Delete),
            _ => Act::Reload(Change::Weight(which, weight)),
        };
        events.push(Event { at_ms, service, act });
    }
}

/// Resolvers that are asked, and what is wrong with them for a time. With none it is reckoned when clients move.
fn witness(dice: &mut Dice, events: &mut Vec<Event>) -> Vec<Resolver> {
    let resolver = |dice: &mut Dice| Resolver {
        lag_ms: dice.pick(&[0, 0, 500, 4_000, 8_000, 25_000]),
        caches: dice.percent(75),
    };
    let count = dice.pick(&[0, 1, 1, 2, 2, 3]);
    let resolvers = (0..count).map(|_| resolver(dice)).collect();
    if count == 0 {
        return resolvers;
    }
    let ends_ms = events.last().map_or(0, |event| event.at_ms).unsigned_abs();
    for _ in 0..dice.between(0_u32, 4) {
        let at_ms = i64::try_from(dice.between(0, ends_ms)).unwrap_or(0);
        let manner = dice.pick(&[Manner::Silent, Manner::Fails, Manner::Lies, Manner::ServesStale]);
        let seconds = dice.pick(&[3, 20, 100, 700]);
        let act = Act::Resolver(dice.place(count), manner, seconds);
        events.push(Event { at_ms, service: 0, act });
    }
    resolvers
}

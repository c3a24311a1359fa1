//! The worlds that a seed has beside the plain one. Each is drawn by dice of its own, so that one more changes no other.

use super::dice::{Dice, drawn_for};
use super::event::{self, Event};
use super::settings::Settings;
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
}

impl World {
    fn dice(self, seed: u64) -> Dice {
        Dice::new(drawn_for(&[seed, self as u64]))
    }
}

/// Draws the worlds of a seed whose first service is configured so, and adds what happens in them.
pub(crate) fn draw(seed: u64, settings: &Settings, events: &mut Vec<Event>) -> Worlds {
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
    events.sort_by_key(|event| event.at_ms);
    worlds
}

impl Configured {
    fn draw(dice: &mut Dice, regions: usize) -> Self {
        let settings = Settings::draw(dice).with_regions(dice, regions);
        let published = (0..regions).filter(|_| dice.percent(80)).collect();
        Self { settings, published }
    }
}

//! Another program that changes our record sets all the time, as tools do that keep values of their own in a set of
//! several owners. It writes a whole set as it read it, save for its own change: what we wrote in between is undone.

use super::cloud::Held;
use super::dice::{Dice, drawn_for};
use super::play::{Simulation, Step};
use super::service::OneService;
use super::settings::foreign;

/// Keeps its chances apart from others of the seed.
const WRITER: u64 = 300_003;

/// How it goes about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Writer {
    /// It waits for so long at least, and at most, before it reads next.
    least_ms: u64,
    most_ms: u64,
    /// So many percent of its writes come 0.2 to 3 s after their read, the others at once.
    late_percent: u64,
}

/// What it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Adds(u8),
    Drops(u8),
    Describes,
    /// It writes what it read.
    WritesBack,
}

impl Writer {
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        let least_ms = dice.pick(&[1_000_u64, 3_000, 8_000]);
        let most_ms = dice.pick(&[least_ms, 2 * least_ms, 20_000]);
        Self { least_ms, most_ms, late_percent: dice.pick(&[10, 40, 80]) }
    }
}

impl Simulation<'_> {
    /// It reads the record set of a service for the `nth` time, and makes up its mind.
    pub(crate) fn writer_reads(&mut self, service: usize, nth: u64) {
        let Some(writer) = self.schedule.worlds.writer else { return };
        let mut dice = Dice::new(drawn_for(&[self.schedule.seed, WRITER, service as u64, nth]));
        let which = dice.between(70_u8, 74);
        let deed = dice.pick(&[Deed::Adds(which), Deed::Drops(which), Deed::Describes, Deed::WritesBack]);
        let takes_ms = if dice.percent(writer.late_percent) {
            dice.between(200_u64, 3_000)
        } else {
            dice.between(5_u64, 60)
        };
        let writes_at = self.now + ms(takes_ms);
        if let Some(read) = self.services[service].cloud.held.clone() {
            self.push(writes_at, Step::WriterWrites { service, read: Box::new(read), deed });
        }
        let again_at = writes_at + ms(dice.between(writer.least_ms, writer.most_ms));
        self.push(again_at, Step::WriterReads { service, nth: nth + 1 });
    }

    /// It writes the whole set, unless that is another one by now.
    pub(crate) fn writer_writes(&mut self, service: usize, read: &Held, deed: Deed) {
        let now = self.now;
        let OneService { cloud, judge, haste, undone_at, .. } = &mut self.services[service];
        let ours = judge.ours();
        let mut is_undone = false;
        let split = cloud.split_of(&ours);
        cloud.change(now, |cloud| {
            let Some(held) = cloud.held.as_mut().filter(|held| held.id == read.id) else { return };
            let mut new =
                Held { withheld: held.withheld, pending_until: now + 100, failed: false, ..read.clone() };
            match deed {
                Deed::Adds(which) => drop(new.values.insert(foreign(which))),
                // It leaves no set empty.
                Deed::Drops(which) if new.values.len() > 1 => drop(new.values.remove(&foreign(which))),
                Deed::Drops(_) | Deed::WritesBack => {}
                Deed::Describes => new.description = format!("kept by another program at {now}"),
            }
            is_undone = new.values.intersection(&ours).ne(held.values.intersection(&ours));
            *held = new;
        });
        judge.edited(now);
        // Its own value in a set of ours, too.
        if is_undone || cloud.split_of(&ours) != split {
            *undone_at = Some(now);
        }
        if is_undone {
            haste.is_undone();
            self.coverage.count("another program undoes a write of ours");
        }
        self.coverage.count(match deed {
            Deed::Adds(_) => "another program adds a value",
            Deed::Drops(_) => "another program drops a value",
            Deed::Describes => "another program describes the set",
            Deed::WritesBack => "another program writes back what it read",
        });
        self.tell_of(service, |it| {
            format!("  another program ({deed:?}) left the zone at {}", it.zone_in_words(service))
        });
    }
}

fn ms(of: u64) -> i64 {
    i64::try_from(of).unwrap_or(i64::MAX)
}

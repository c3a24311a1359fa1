//! What happens to the simulated world, as a list that comes from the seed and can be made shorter.

use pointsman::model::{InForce, Mode, Moment, Override, Ruling, Scope, Word};

use super::account::{Outage, ReadFault, WriteFault};
use super::dice::Dice;
use super::regions::{Health, Lie, Network};
use super::settings::{AllDown, Count, Settings, check_name, region_name};
use super::weighted::PartEdit;
use super::witnesses::Manner;

/// One thing that happens, and when.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) at_ms: i64,
    /// Which service it happens to, if it happens to one.
    pub(crate) service: usize,
    pub(crate) act: Act,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Act {
    Region(usize, Health),
    Network(Network),
    /// A check of a region can or cannot look.
    Blind {
        place: usize,
        check: usize,
        blind: bool,
    },
    Bind(usize, Binding),
    /// The next so many reads are answered so.
    Reads(ReadFault, u32),
    Writes(WriteFault, u32),
    /// Every call goes wrong for so many seconds.
    Outage(Outage, u64),
    /// One answer of the list of load balancers lies about the region.
    Lie(usize, Lie),
    /// Somebody does something to one of several sets.
    EditPart(usize, PartEdit),
    /// One look at the region fails.
    Glitch(usize),
    /// A resolver goes wrong, for so many seconds.
    Resolver(usize, Manner, i64),
    Edit(Edit),
    Reload(Change),
    /// The process is killed, now or a little later, and started so many milliseconds after that.
    Kill {
        when: Death,
        gap_ms: u64,
    },
    /// The wall clock is set, by so many seconds.
    Clock(i64),
    Journal(JournalFault),
    /// From now on each message between tasks takes up to so many milliseconds.
    Lag(u64),
    /// The driver's task panics and is started again.
    DriverDies,
    Says(Said),
    /// Another program takes the region out of the set, again and again: so many times, so many seconds apart.
    Quarrel {
        place: usize,
        times: u32,
        every_s: u64,
    },
}

/// What an operator says: of a region or of the whole service, for so many seconds or until it is taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Rule(Rule, Option<usize>, Option<u64>),
    Mute(usize, Option<u64>),
    Release(Option<usize>),
    Unmute(usize),
    Approve(Option<usize>),
    Failback(Option<usize>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    Drain,
    Pin,
    Freeze,
}

impl Said {
    /// As the core is told, by the clock of its process.
    pub(crate) fn word(self, after_s: impl Fn(u64) -> Moment) -> Word {
        let scope =
            |whose: Option<usize>| whose.map_or(Scope::Service, |place| Scope::Region(region_name(place)));
        let author = "ann".to_owned();
        let given = |ruling, seconds: Option<u64>| {
            let (author, reason) = ("ann".to_owned(), "a test".to_owned());
            Word::Override(Override { ruling, author, reason, until: seconds.map(&after_s) })
        };
        match self {
            Self::Rule(Rule::Drain, whose, seconds) => given(Ruling::Drain(scope(whose)), seconds),
            Self::Rule(Rule::Pin, whose, seconds) => given(Ruling::Pin(scope(whose)), seconds),
            Self::Rule(Rule::Freeze, whose, seconds) => given(Ruling::Freeze(scope(whose)), seconds),
            Self::Mute(check, seconds) => given(Ruling::Mute(check_name(check)), seconds),
            Self::Release(whose) => Word::Release { scope: scope(whose), author },
            Self::Unmute(check) => Word::Unmute { check: check_name(check), author },
            Self::Approve(whose) => Word::Approve { scope: scope(whose), author },
            Self::Failback(whose) => Word::Failback { scope: scope(whose), author },
        }
    }
}

/// What is bound to a region's load balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binding {
    Nothing,
    Own,
    Another,
    Both,
    /// What was bound to that region is bound to this one instead.
    Of(usize),
}

/// What a person does to the record set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edit {
    AddForeign(u8),
    DropForeign,
    Add(usize),
    Drop(usize),
    /// Nothing but a value of theirs is left.
    OnlyForeign,
    Ttl,
    Description,
    Delete,
    /// Deleted and made anew, under another id.
    MakeAnew,
    Disable,
    Enable,
}

/// What is different in a new configuration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Change {
    Nothing,
    Fall(Count),
    Rise(Count),
    Region(usize),
    Fixed(usize, u8),
    Tier(usize, u32),
    Tiers(bool),
    AllDown(AllDown),
    Ttl(Option<u32>),
    MinPublished(u32),
    MaxRemoved(u32),
    Panic(u8),
    Blast(Option<u64>),
    Budget(u32, u64),
    RecoverAfter(u64),
    OnDrift(bool),
    Create(bool),
    Mode(Mode),
    Failback(bool),
    LooksAt(usize, u16),
    Weight(usize, u16),
}

/// When a process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    /// After so many further steps of its tasks.
    Steps(u32),
    At(Stage),
}

/// A place on a write's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// The core has made a plan that nobody has heard of.
    Planned,
    /// The write's intent was told and is not on disk yet.
    IntentTold,
    /// It is on disk, and the call is not made yet.
    IntentKept,
    /// The call was sent, and the API has not got to it.
    Called,
    /// The API has carried it out, and the answer is on its way.
    Landed,
    /// The answer is there, and nobody but the driver knows.
    Answered,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JournalFault {
    Well,
    /// Each transaction takes so many milliseconds.
    Slow(u64),
    /// It cannot be written.
    Away,
    /// The file is lost, or makes no sense, when the process starts next.
    Lost,
}

impl Event {
    /// Whether it happens to one service, and not to what services share.
    pub(crate) fn is_of_a_service(&self) -> bool {
        matches!(
            self.act,
            Act::Edit(_)
                | Act::EditPart(..)
                | Act::Reload(_)
                | Act::Says(_)
                | Act::DriverDies
                | Act::Quarrel { .. }
        )
    }

    /// Whether it is about the region at that place.
    pub(crate) fn is_about(&self, region: usize) -> bool {
        match self.act {
            Act::Region(place, _)
            | Act::Lie(place, _)
            | Act::Glitch(place)
            | Act::Blind { place, .. }
            | Act::Quarrel { place, .. }
            | Act::Edit(Edit::Add(place) | Edit::Drop(place))
            | Act::Reload(
                Change::Region(place)
                | Change::Fixed(place, _)
                | Change::Tier(place, _)
                | Change::Weight(place, _),
            ) => place == region,
            Act::Says(
                Said::Rule(_, whose, _) | Said::Release(whose) | Said::Approve(whose) | Said::Failback(whose),
            ) => whose == Some(region),
            Act::Bind(place, binding) => place == region || binding == Binding::Of(region),
            _ => false,
        }
    }
}

/// Draws what happens: some kinds of faults in each schedule, so that a few can go deep.
pub(crate) fn draw(dice: &mut Dice, settings: &Settings) -> Vec<Event> {
    let weights: Vec<u64> = [10, 2, 2, 3, 4, 5, 4, 4, 4, 1, 2, 1, 1, 5, 1]
        .into_iter()
        .map(|weight| if dice.percent(55) { weight * dice.between(1_u64, 3) } else { 0 })
        .collect();
    let most = dice.pick(&[5_u32, 10, 20, 40]);
    let mut at_ms = 0;
    let mut events = Vec::new();
    for _ in 0..dice.between(2, most) {
        let longest = dice.pick(&[300_u64, 3_000, 10_000, 30_000, 30_000, 90_000]);
        at_ms += i64::try_from(dice.between(0, longest)).unwrap_or(0);
        events.push(Event { at_ms, service: 0, act: act(dice, settings, &weights) });
    }
    events
}

/// Draws what happens to one service alone.
pub(crate) fn draw_for(dice: &mut Dice, service: usize, settings: &Settings) -> Vec<Event> {
    let drawn = draw(dice, settings).into_iter().filter(Event::is_of_a_service);
    drawn.map(|event| Event { service, ..event }).collect()
}

/// Seeds from here on have scenes as well.
pub(crate) const SCENES_FROM: u64 = 200_000;

/// Adds scenes that a fault alone does not make, or leaves nothing but those.
pub(crate) fn add_scenes(dice: &mut Dice, settings: &Settings, events: &mut Vec<Event>) {
    if dice.percent(50) {
        events.clear();
    }
    let mut at_ms = 0;
    for _ in 0..dice.between(1_u32, 5) {
        at_ms += i64::try_from(dice.between(1_000_u64, 60_000)).unwrap_or(0);
        let acts = scene(dice, settings);
        events.extend(acts.into_iter().map(|(after_ms, act)| Event {
            at_ms: at_ms + after_ms,
            service: 0,
            act,
        }));
    }
    events.sort_by_key(|event| event.at_ms);
}

/// What happens, and how much later.
fn scene(dice: &mut Dice, settings: &Settings) -> Vec<(i64, Act)> {
    let count = settings.regions.len();
    let place = dice.place(count);
    let other = (place + 1 + dice.place(count - 1)) % count;
    let outages = [Outage::WritesAway, Outage::WritesLost, Outage::Away, Outage::Silent, Outage::Throttled];
    let outage = dice.pick(&outages);
    let beside = match dice.place(8) {
        0 => return vec![(0, Act::Outage(outage, dice.between(5_u64, 90)))],
        1 => return vec![(0, Act::Lie(place, dice.pick(&[Lie::NoEip, Lie::AnotherEip])))],
        2 => {
            let window_s = dice.pick(&[None, Some(20), Some(60), Some(300)]);
            return vec![(0, Act::Reload(Change::Blast(window_s)))];
        }
        3 => Act::Glitch(other),
        4 | 5 => Act::Outage(outage, 60),
        6 => Act::Kill { when: when(dice), gap_ms: dice.pick(&[0, 300, 2_000, 8_000]) },
        _ => Act::Region(other, Health::Flaps(dice.between(1_u64, 20))),
    };
    let mut acts = vec![(0, Act::Region(place, Health::Dead)), (0, beside)];
    let mut ends_ms = 0;
    for place in [place, other] {
        ends_ms += i64::try_from(dice.between(10_000_u64, 90_000)).unwrap_or(0);
        if dice.percent(70) {
            acts.push((ends_ms, Act::Region(place, Health::Serves)));
        }
    }
    acts
}

fn act(dice: &mut Dice, settings: &Settings, weights: &[u64]) -> Act {
    let total: u64 = weights.iter().sum();
    let mut left = if total == 0 { 0 } else { dice.roll() % total };
    let kind = weights.iter().position(|weight| {
        let hit = left < *weight;
        left = left.saturating_sub(*weight);
        hit
    });
    let place = dice.place(settings.regions.len());
    let check = dice.place(settings.checks.len());
    match kind.unwrap_or(0) {
        0 => Act::Region(place, health(dice, settings)),
        1 => Act::Network(dice.pick(&[Network::Lost, Network::Local, Network::Fine, Network::Fine])),
        2 => Act::Blind { place, check, blind: dice.percent(60) },
        3 => Act::Bind(
            place,
            match dice.place(6) {
                0 | 1 => Binding::Nothing,
                2 => Binding::Another,
                3 => Binding::Both,
                4 => Binding::Of(dice.place(settings.regions.len())),
                _ => Binding::Own,
            },
        ),
        4 => Act::Reads(read_fault(dice), dice.between(1_u32, 8)),
        5 => Act::Writes(write_fault(dice), dice.between(1_u32, 3)),
        6 => Act::Edit(edit(dice, place)),
        7 => Act::Reload(change(dice, settings, place, check)),
        8 => Act::Kill { when: when(dice), gap_ms: dice.pick(&[0, 300, 2_000, 8_000, 20_000, 90_000]) },
        9 => Act::Clock(dice.pick(&[-90, -7, 5, 40, 100_000])),
        10 => Act::Journal(match dice.place(5) {
            0 => JournalFault::Slow(dice.between(100_u64, 4_000)),
            1 => JournalFault::Away,
            2 => JournalFault::Lost,
            _ => JournalFault::Well,
        }),
        11 => Act::Lag(dice.pick(&[5, 5, 500, 2_500])),
        12 => Act::DriverDies,
        13 => Act::Says(said(dice, settings, place, check)),
        _ => Act::Quarrel { place, times: dice.between(2_u32, 6), every_s: dice.between(5_u64, 70) },
    }
}

fn said(dice: &mut Dice, settings: &Settings, place: usize, check: usize) -> Said {
    let whose = if dice.percent(75) { Some(place) } else { None };
    let seconds = if dice.percent(70) { Some(dice.between(1_u64, 120)) } else { None };
    let waits = settings.mode == Mode::Advise || settings.manual_failback;
    match dice.place(if waits { 14 } else { 10 }) {
        0..=2 => Said::Rule(Rule::Drain, whose, seconds),
        3 | 4 => Said::Rule(Rule::Pin, whose, seconds),
        5 => Said::Rule(Rule::Freeze, whose, seconds),
        6 => Said::Mute(check, seconds),
        7 => Said::Release(whose),
        8 => Said::Unmute(check),
        9 | 10 => Said::Approve(whose),
        11 => Said::Approve(None),
        _ => Said::Failback(whose),
    }
}

fn health(dice: &mut Dice, settings: &Settings) -> Health {
    match dice.place(10) {
        0..=3 => Health::Dead,
        4 => Health::Half(dice.pick(&[10, 30, 50, 70, 90])),
        5 => Health::Flaps(dice.between(1_u64, 40)),
        6 => Health::Lacks(dice.place(settings.checks.len())),
        _ => Health::Serves,
    }
}

fn read_fault(dice: &mut Dice) -> ReadFault {
    match dice.place(10) {
        0 => ReadFault::Away,
        1 => ReadFault::Silent,
        2 => ReadFault::Throttled(dice.pick(&[None, Some(3), Some(30)])),
        3 => ReadFault::Refused,
        4 => ReadFault::Unclear,
        5 => ReadFault::Forgets,
        6 => ReadFault::Slow(dice.between(1_000_u64, 9_000)),
        7 | 8 => ReadFault::Stale(dice.between(100_u64, 20_000)),
        _ => ReadFault::Status(dice.pick(&[InForce::Pending, InForce::Failed, InForce::Withheld])),
    }
}

fn write_fault(dice: &mut Dice) -> WriteFault {
    match dice.place(11) {
        0 => WriteFault::Away,
        1 => WriteFault::Throttled(dice.pick(&[None, Some(3), Some(30)])),
        2 => WriteFault::Refused,
        3 => WriteFault::Conflict,
        4 => WriteFault::Lost(None),
        5 => WriteFault::Lost(Some(dice.between(10_u64, 1_000))),
        6 => WriteFault::Lost(Some(dice.between(10_000_u64, 45_000))),
        7 => WriteFault::Unclear(dice.percent(50)),
        8 => WriteFault::Slow(dice.between(1_000_u64, 20_000)),
        9 => WriteFault::Pending(dice.between(500_u64, 90_000)),
        _ => WriteFault::Fails,
    }
}

fn edit(dice: &mut Dice, place: usize) -> Edit {
    match dice.place(14) {
        0 => Edit::AddForeign(dice.between(50_u32, 60).try_into().unwrap_or(50)),
        1 => Edit::DropForeign,
        2..=4 => Edit::Add(place),
        5..=7 => Edit::Drop(place),
        8 => Edit::OnlyForeign,
        9 => Edit::Ttl,
        10 => Edit::Description,
        11 => dice.pick(&[Edit::Delete, Edit::MakeAnew]),
        12 => Edit::Disable,
        _ => Edit::Enable,
    }
}

fn change(dice: &mut Dice, settings: &Settings, place: usize, check: usize) -> Change {
    let count = |dice: &mut Dice| {
        let count = dice.between(1_u32, 4);
        (count, count + dice.pick(&[0, 0, 1, 3]))
    };
    match dice.place(21) {
        0 => Change::Nothing,
        1 => Change::Fall(count(dice)),
        2 => Change::Rise(count(dice)),
        3..=5 => Change::Region(place),
        6 => Change::Fixed(place, dice.pick(&[0, 1, 2])),
        7 => Change::Tier(place, dice.between(1_u32, 2)),
        8 => Change::Tiers(dice.percent(50)),
        9 => Change::AllDown(dice.pick(&[AllDown::KeepLast, AllDown::PublishAll, AllDown::Fallback])),
        10 => Change::Ttl(dice.pick(&[None, Some(30), Some(120)])),
        11 => Change::MinPublished(if settings.regions.len() > 2 { dice.between(1_u32, 2) } else { 1 }),
        12 => Change::MaxRemoved(dice.between(1_u32, 3)),
        13 => Change::Panic(dice.pick(&[0, 34, 50, 100])),
        14 => Change::Budget(dice.between(1_u32, 6), dice.pick(&[20, 60, 120, 240])),
        15 => Change::RecoverAfter(dice.between(0_u64, 40)),
        16 => Change::OnDrift(dice.percent(50)),
        17 => Change::Create(dice.percent(50)),
        18 => Change::Mode(dice.pick(&[Mode::Act, Mode::Advise, Mode::Observe])),
        19 => Change::Failback(dice.percent(60)),
        _ => Change::LooksAt(check, dice.pick(&[80, 81])),
    }
}

fn when(dice: &mut Dice) -> Death {
    match dice.place(8) {
        0 => Death::At(Stage::Planned),
        1 => Death::At(Stage::IntentTold),
        2 => Death::At(Stage::IntentKept),
        3 => Death::At(Stage::Called),
        4 => Death::At(Stage::Landed),
        5 => Death::At(Stage::Answered),
        _ => Death::Steps(dice.between(0_u32, 60)),
    }
}

impl Settings {
    /// The settings after a reload.
    pub(crate) fn change(&mut self, change: Change) {
        match change {
            Change::Nothing => {}
            Change::Fall(fall) => self.checks.iter_mut().for_each(|check| check.fall = fall),
            Change::Rise(rise) => self.checks.iter_mut().for_each(|check| check.rise = rise),
            Change::Region(place) => {
                let others = self.places().filter(|other| *other != place).count();
                let there = !self.regions[place].there;
                if there || others >= 2.max(self.min_published as usize) {
                    self.regions[place].there = there;
                }
            }
            Change::Fixed(place, fixed) => self.regions[place].fixed = fixed,
            Change::Tier(place, tier) => self.regions[place].tier = tier,
            Change::Tiers(tiers) => self.tiers = tiers && !self.weighted,
            Change::AllDown(all_down) => self.when_all_down = all_down,
            Change::Ttl(ttl) => self.ttl = ttl,
            Change::MinPublished(least) => {
                self.min_published = least.min(u32::try_from(self.places().count()).unwrap_or(1));
            }
            Change::MaxRemoved(most) => self.max_removed = most,
            Change::Panic(percent) => self.panic_percent = percent,
            Change::Blast(seconds) => self.blast_s = seconds,
            Change::Budget(writes, window_s) => (self.writes, self.window_s) = (writes, window_s),
            Change::RecoverAfter(seconds) => self.recover_after_s = seconds,
            Change::OnDrift(alarm) => self.alarm_on_drift = alarm,
            Change::Create(create) => self.create = create,
            Change::Mode(mode) => self.mode = mode,
            Change::Failback(manual) => self.manual_failback = manual,
            Change::LooksAt(check, what) => self.checks[check].looks_at = what,
            Change::Weight(place, weight) => self.regions[place].weight = weight,
        }
    }
}

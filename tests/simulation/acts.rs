//! What is done to the world: the schedule's events, and the end of the faults.

use super::event::{Act, Binding, Change, Edit, Event, JournalFault, Said};
use super::play::{Simulation, Step};
use super::process::Message;
use super::regions::{Health, Regions};
use super::service::OneService;
use super::settings::{Settings, SharedPart, address, foreign, service_name};

impl Simulation<'_> {
    pub(crate) fn act(&mut self, place: usize) {
        let Event { service, act, .. } = self.schedule.events[place].clone();
        self.tell(|_| match service {
            0 => format!("* {act:?}"),
            service => format!("* {}: {act:?}", service_name(service)),
        });
        self.coverage.act(&act);
        if service > 0 {
            self.coverage.count("something happens to another service");
        }
        let before = place.checked_sub(1).and_then(|before| self.schedule.events.get(before));
        if let Some(before) = before.filter(|before| before.at_ms == self.schedule.events[place].at_ms) {
            self.coverage.two_at_once(&before.act, &act);
        }
        self.disturbed();
        match act {
            Act::Region(place, health) => {
                self.regions.health[place] = health;
                self.note_deaths_behind_one_balancer();
            }
            Act::Network(network) => self.regions.network = network,
            Act::Blind { place, check, blind } => {
                if blind {
                    self.regions.blind.insert((place, check));
                } else {
                    self.regions.blind.remove(&(place, check));
                }
            }
            Act::Bind(place, binding) => self.bind(place, binding),
            Act::Reads(fault, count) => self.account.reads = Some((fault, count)),
            Act::Writes(fault, count) => self.account.writes = Some((fault, count)),
            Act::Outage(outage, seconds) => {
                let until = self.now + i64::try_from(seconds * 1000).unwrap_or(0);
                self.account.outage = Some((outage, until));
            }
            Act::Lie(place, lie) => drop(self.regions.lies.insert(place, (lie, None))),
            Act::Glitch(place) => drop(self.regions.glitches.insert(place)),
            Act::Resolver(place, manner, seconds) => {
                let until = self.now + seconds * 1000;
                for service in &mut self.services {
                    service.resolvers.manners.insert(place, (manner, until));
                }
            }
            Act::EditPart(which, edit) => {
                let OneService { cloud, judge, .. } = &mut self.services[service];
                cloud.edit_part(self.now, which, edit);
                judge.edited(self.now);
                self.tell_of(service, |it| {
                    format!("  somebody left the zone at {}", it.zone_in_words(service))
                });
            }
            Act::Edit(edit) => self.edit(service, edit),
            Act::Reload(change) => self.reload(service, change),
            Act::Kill { when, gap_ms } => self.death = Some((when, gap_ms)),
            Act::Clock(seconds) => self.wall_ahead_ms += seconds * 1000,
            Act::Journal(fault) => {
                match fault {
                    JournalFault::Lost => self.disk.is_lost = true,
                    JournalFault::Well | JournalFault::Slow(_) | JournalFault::Away => {
                        self.disk.fault = fault;
                    }
                }
                self.write_journal();
            }
            Act::Lag(ms) => self.lag_ms = ms,
            Act::DriverDies => self.driver_dies(service),
            Act::Says(said) => self.send(2, service, Message::Said(said)),
            Act::Quarrel { place, times, every_s } => {
                for nth in 0..i64::from(times) {
                    let after = nth * i64::try_from(every_s * 1000).unwrap_or(0);
                    self.push(self.now + after, Step::Drops { service, place });
                }
            }
        }
    }

    fn disturbed(&mut self) {
        for service in &mut self.services {
            service.judge.disturbed();
        }
    }

    fn reload(&mut self, service: usize, change: Change) {
        self.services[service].settings.change(change);
        self.send_settings(service);
    }

    fn send_settings(&mut self, service: usize) {
        let settings = Box::new(self.services[service].settings.clone());
        self.send(2, service, Message::Reload(settings));
    }

    fn bind(&mut self, place: usize, binding: Binding) {
        let bound = match binding {
            Binding::Nothing => Vec::new(),
            Binding::Own => vec![address(place, 0)],
            Binding::Another => vec![address(place, 2)],
            Binding::Both => vec![address(place, 0), address(place, 1)],
            Binding::Of(other) => std::mem::take(&mut self.regions.bound[other]).into_iter().collect(),
        };
        for other in &mut self.regions.bound {
            other.retain(|address| !bound.contains(address));
        }
        self.regions.bound[place] = bound.into_iter().collect();
    }

    /// Counts what there is of regions that share something.
    fn note_deaths_behind_one_balancer(&mut self) {
        let Settings { regions, .. } = &self.services[0].settings;
        let is_dead = |place: usize| self.regions.health.get(place) == Some(&Health::Dead);
        let pairs =
            (0..regions.len()).filter_map(|place| Some((place, self.services[0].settings.shares(place)?)));
        for (place, (part, other)) in pairs {
            match (part, is_dead(place), is_dead(other)) {
                (SharedPart::Address, true, true) => {
                    self.coverage.count("both regions of one address are dead");
                }
                (SharedPart::Address, true, false) | (SharedPart::Address, false, true) => {
                    self.coverage.count("one of two regions of one address is dead");
                }
                (SharedPart::Balancer, true, true) => self.coverage.count("a shared load balancer is dead"),
                (SharedPart::Address, false, false) | (SharedPart::Balancer, _, _) => {}
            }
        }
    }

    pub(crate) fn edit(&mut self, service: usize, edit: Edit) {
        let (now, bound) = (self.now, &self.regions.bound);
        let OneService { settings, cloud, judge, .. } = &mut self.services[service];
        let addresses = |place: usize| {
            let fixed = settings.fixed_addresses(place);
            if fixed.is_empty() { bound[place].clone() } else { fixed }
        };
        cloud.change(now, |cloud| {
            if matches!(edit, Edit::MakeAnew) && cloud.held.is_some() {
                let values = cloud.held.take().map(|held| held.values).unwrap_or_default();
                cloud.make(values);
            }
            let Some(held) = &mut cloud.held else { return };
            match edit {
                Edit::AddForeign(which) => drop(held.values.insert(foreign(which))),
                Edit::DropForeign => {
                    held.values.retain(|value| (50..90).all(|which| foreign(which) != *value));
                }
                Edit::Add(place) => held.values.extend(addresses(place)),
                Edit::Drop(place) => {
                    let theirs = addresses(place);
                    held.values.retain(|value| !theirs.contains(value));
                }
                Edit::OnlyForeign => held.values = [foreign(99)].into(),
                Edit::Ttl => held.ttl = pointsman::model::Ttl::from_seconds(77).unwrap_or(held.ttl),
                Edit::Description => held.description = format!("noted at {now}"),
                Edit::Disable => held.withheld = true,
                Edit::Enable => held.withheld = false,
                Edit::Delete => cloud.held = None,
                Edit::MakeAnew => {}
            }
        });
        judge.edited(now);
        self.tell_of(service, |it| format!("  somebody left the zone at {}", it.zone_in_words(service)));
    }

    /// Everything becomes well again, save the regions that stay dead.
    pub(crate) fn calm_down(&mut self, dead: &[usize]) {
        self.tell(|_| format!("* the faults stop; dead stay {dead:?}"));
        self.disturbed();
        let count = self.regions.health.len();
        let keep = std::mem::replace(&mut self.regions, Regions::new(count));
        for place in 0..count {
            // An address that was moved stays where it is, if that leaves nobody without.
            self.regions.health[place] = if dead.contains(&place) { Health::Dead } else { Health::Serves };
        }
        if keep.bound.iter().all(|bound| !bound.is_empty()) {
            self.regions.bound = keep.bound;
        }
        self.account.calm_down();
        self.death = None;
        self.disk.fault = JournalFault::Well;
        self.lag_ms = 5;
        let now = self.now;
        for OneService { settings, cloud, resolvers, .. } in &mut self.services {
            settings.calm_down();
            resolvers.calm_down();
            let create = settings.create;
            cloud.change(now, |cloud| match &mut cloud.held {
                Some(held) => {
                    held.withheld = false;
                    held.pending_until = held.pending_until.min(now + 10_000);
                }
                None if create => {}
                None => cloud.make([foreign(99)].into()),
            });
        }
        self.write_journal();
        for service in 0..self.services.len() {
            self.send_settings(service);
        }
    }

    /// The operator takes back whatever was ruled of a service.
    pub(crate) fn release_all(&mut self, service: usize) {
        let Settings { regions, checks, .. } = &self.services[service].settings;
        let (regions, checks) = (regions.len(), checks.len());
        let scopes = (0..regions).map(Some).chain([None]).map(Said::Release);
        let mutes = (0..checks).map(Said::Unmute);
        for said in scopes.chain(mutes) {
            self.send(2, service, Message::Said(said));
        }
    }
}

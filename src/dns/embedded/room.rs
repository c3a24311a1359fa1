use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use super::rate::network;

/// So many connections are served at once; each is a file descriptor of the process that also probes.
const CONNECTIONS_MAX: usize = 128;
/// So many of one network of clients, so that it cannot take the room of the secondaries.
const CONNECTIONS_OF_ONE_MAX: usize = 32;

/// Who is connected. When there are too many, in all or of one network, the one that has been idle for longest gives way.
#[derive(Clone, Debug, Default)]
pub(super) struct Room(Arc<Mutex<Inside>>);

#[derive(Debug, Default)]
struct Inside {
    /// By the number of the last change of each, so in the order of these changes.
    seats: BTreeMap<u64, Seat>,
    changes: u64,
}

#[derive(Debug)]
struct Seat {
    network: [u8; 8],
    state: State,
    gives_way: CancellationToken,
}

/// What a connection does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    /// Its next request is not there as a whole.
    Idle,
    /// It is being answered.
    Busy,
}

/// A connection's place, given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    room: Room,
    number: u64,
    gives_way: CancellationToken,
}

impl Room {
    /// A place for one more connection; idle at first.
    pub(super) fn enter(&self, client: IpAddr) -> Place {
        let (network, gives_way) = (network(client), CancellationToken::new());
        let mut inside = self.inside();
        let of_this = |seat: &Seat| seat.network == network;
        if inside.seats.values().filter(|seat| of_this(seat)).count() >= CONNECTIONS_OF_ONE_MAX {
            inside.one_leaves(of_this);
        } else if inside.seats.len() >= CONNECTIONS_MAX {
            inside.one_leaves(|_| true);
        }
        let number = inside.seat(Seat { network, state: State::Idle, gives_way: gives_way.clone() });
        drop(inside);
        Place { room: self.clone(), number, gives_way }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    fn seat(&mut self, seat: Seat) -> u64 {
        self.changes += 1;
        self.seats.insert(self.changes, seat);
        self.changes
    }

    /// The one that has been idle for longest, or when nobody is idle the one that has been busy for longest.
    fn one_leaves(&mut self, among: impl Fn(&Seat) -> bool) {
        let all = self.seats.iter().filter(|(_, seat)| among(seat));
        let first = all.min_by_key(|(number, seat)| (seat.state, **number)).map(|(number, _)| *number);
        if let Some(seat) = first.and_then(|number| self.seats.remove(&number)) {
            seat.gives_way.cancel();
        }
    }
}

impl Place {
    /// Cancelled when the connection has to end.
    pub(super) fn gives_way(&self) -> CancellationToken {
        self.gives_way.clone()
    }

    /// From now on it does this.
    pub(super) fn is_now(&mut self, state: State) {
        let mut inside = self.room.inside();
        if let Some(seat) = inside.seats.remove(&self.number) {
            self.number = inside.seat(Seat { state, ..seat });
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.room.inside().seats.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has_to_leave(place: &Place) -> bool {
        place.gives_way.is_cancelled()
    }

    fn count(places: &[Place]) -> usize {
        places.iter().filter(|place| has_to_leave(place)).count()
    }

    #[test]
    fn one_network_cannot_take_all_connections_and_gives_its_own_back() {
        let room = Room::default();
        let places: Vec<_> = (0..=99).map(|last| room.enter(IpAddr::from([192, 0, 2, last]))).collect();
        assert_eq!(count(&places), 100 - CONNECTIONS_OF_ONE_MAX);
        assert_eq!(
            count(&places[..100 - CONNECTIONS_OF_ONE_MAX]),
            100 - CONNECTIONS_OF_ONE_MAX,
            "the oldest"
        );
        let others: Vec<_> = (0..=95).map(|net| room.enter(IpAddr::from([10, 0, net, 1]))).collect();
        assert_eq!(room.inside().seats.len(), CONNECTIONS_MAX);
        assert_eq!((count(&places), count(&others)), (100 - CONNECTIONS_OF_ONE_MAX, 0));
        drop((places, others));
        assert!(room.inside().seats.is_empty());
    }

    #[test]
    fn the_one_that_is_idle_for_longest_gives_way_and_a_busy_one_only_when_all_are() {
        let room = Room::default();
        let client = |net| IpAddr::from([10, 0, net, 1]);
        let mut places: Vec<_> = (0..128).map(|net| room.enter(client(net))).collect();
        places[0].is_now(State::Busy);
        places[1].is_now(State::Busy);
        places[1].is_now(State::Idle);
        let newer = room.enter(client(200));
        assert!(has_to_leave(&places[2]), "0 is busy, 1 was so just now");
        assert_eq!(count(&places), 1);
        // Who has to leave counts no more, and gives no other's place back.
        places[2].is_now(State::Busy);
        places.remove(2);
        assert_eq!(room.inside().seats.len(), CONNECTIONS_MAX);
        for place in &mut places {
            place.is_now(State::Busy);
        }
        let mut newest = room.enter(client(201));
        assert!(has_to_leave(&newer), "the only idle one");
        newest.is_now(State::Busy);
        let _last = room.enter(client(202));
        assert!(has_to_leave(&places[0]) && count(&places) == 1, "the one that is busy for longest");
    }
}

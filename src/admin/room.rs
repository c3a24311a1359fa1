//! Room for so many at once, where the oldest gives way: who comes anew is never kept out by who stays.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

/// Who is in. A token that is cancelled has left, or has to.
#[derive(Debug)]
pub(super) struct Room {
    most: usize,
    inside: Mutex<VecDeque<CancellationToken>>,
}

impl Room {
    /// An empty one.
    pub(super) fn of(most: usize) -> Self {
        Self { most, inside: Mutex::default() }
    }

    /// Lets somebody in; the oldest has to leave when there would be too many.
    pub(super) fn enter(&self, who: &CancellationToken) {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        inside.retain(|other| !other.is_cancelled());
        if inside.len() >= self.most
            && let Some(oldest) = inside.pop_front()
        {
            oldest.cancel();
        }
        inside.push_back(who.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_gives_way_and_who_has_left_counts_no_more() {
        let (room, who) = (Room::of(2), [(); 4].map(|()| CancellationToken::new()));
        let out = || who.iter().map(CancellationToken::is_cancelled).collect::<Vec<_>>();
        room.enter(&who[0]);
        room.enter(&who[1]);
        assert_eq!(out(), [false; 4]);
        room.enter(&who[2]);
        assert_eq!(out(), [true, false, false, false]);
        who[2].cancel();
        room.enter(&who[3]);
        assert_eq!(out(), [true, false, true, false]);
    }
}

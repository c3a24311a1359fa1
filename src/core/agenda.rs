//! When each service has something to decide although nothing happens: ordered, so that no event searches all services.

use std::collections::BTreeSet;

use crate::model::{Moment, ServiceName};

/// The services that wait for a time, by that time.
#[derive(Clone, Debug, Default)]
pub(super) struct Agenda(BTreeSet<(Moment, ServiceName)>);

impl Agenda {
    /// A service that was due at `was` is due at `is` now.
    pub(super) fn moved(&mut self, service: &ServiceName, was: Option<Moment>, is: Option<Moment>) {
        if was == is {
            return;
        }
        if let Some(was) = was {
            self.0.remove(&(was, service.clone()));
        }
        if let Some(is) = is {
            self.0.insert((is, service.clone()));
        }
    }

    /// The earliest time.
    pub(super) fn next(&self) -> Option<Moment> {
        self.0.first().map(|(due, _)| *due)
    }

    /// The services that are due by `now`, in the order of their times.
    pub(super) fn due_by(&self, now: Moment) -> Vec<ServiceName> {
        self.0.iter().take_while(|(due, _)| *due <= now).map(|(_, service)| service.clone()).collect()
    }

    /// Everybody who waits.
    pub(super) fn services(&self) -> impl Iterator<Item = &ServiceName> {
        self.0.iter().map(|(_, service)| service)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_hands_out_those_who_are_due_and_touches_nobody_else() {
        let at = |second| Moment::START + Duration::from_secs(second);
        let name = |number: u64| ServiceName::parse(&format!("s{number}")).unwrap();
        let mut agenda = Agenda::default();
        for number in 0..1_000 {
            agenda.moved(&name(number), None, Some(at(1_000 - number)));
        }
        assert_eq!(agenda.next(), Some(at(1)));
        assert_eq!(agenda.due_by(at(2)), [name(999), name(998)]);
        agenda.moved(&name(999), Some(at(1)), None);
        agenda.moved(&name(998), Some(at(2)), Some(at(5)));
        assert_eq!((agenda.next(), agenda.services().count()), (Some(at(3)), 999));
    }
}

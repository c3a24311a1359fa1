//! How the daemon itself is, beside its services: the journal, the accounts' keys, the clock, the network, its tasks.
//!
//! Looked at now and then, since none of it happens in the loop's sight; what begins or ends is told once. An alarm is known
//! by its name and its subject: each account, zone and task has its own.

use std::collections::BTreeMap;

use super::chronicle::Chronicle;
use super::supervise::Restarts;
use crate::dns::EmbeddedServer;
use crate::huawei::Account;
use crate::journal::{Health, Journal};
use crate::model::{Alarm, AlarmStatus, CloudStatus, JournalStatus, Moment};
use crate::probe::Vantage;

/// Every alarm with its subject, if it is about one of several, and its message.
type Alarms = BTreeMap<(Alarm, Option<String>), String>;

/// What is known of it.
#[derive(Debug)]
pub(super) struct OwnState {
    journal: Journal,
    vantage: Vantage,
    restarts: Restarts,
    accounts: Vec<Account>,
    zones: Vec<EmbeddedServer>,
    alarms: Alarms,
}

impl OwnState {
    pub(super) fn new(journal: Journal, vantage: Vantage, restarts: Restarts) -> Self {
        let (accounts, zones) = (Vec::new(), Vec::new());
        Self { journal, vantage, restarts, accounts, zones, alarms: Alarms::new() }
    }

    /// These accounts are used and these zones served from now on.
    pub(super) fn watch(&mut self, accounts: Vec<Account>, zones: Vec<EmbeddedServer>) {
        (self.accounts, self.zones) = (accounts, zones);
    }

    /// Finds out what is wrong now, and tells what began or ended.
    pub(super) fn look(&mut self, now: Moment, chronicle: &Chronicle) {
        self.become_of(self.find(), now, chronicle);
    }

    /// A changed message alone is kept and not told again.
    fn become_of(&mut self, alarms: Alarms, now: Moment, chronicle: &Chronicle) {
        let before = std::mem::replace(&mut self.alarms, alarms);
        for (key, message) in before.iter().filter(|(key, _)| !self.alarms.contains_key(key)) {
            chronicle.own_alarm(now, status(key, message), false);
        }
        for (key, message) in self.alarms.iter().filter(|(key, _)| !before.contains_key(key)) {
            chronicle.own_alarm(now, status(key, message), true);
        }
    }

    fn find(&self) -> Alarms {
        let journal = self.journal.health().trouble.map(|message| ((Alarm::Journal, None), message));
        let accounts = self.accounts.iter().flat_map(|account| {
            let about = move |alarm| (alarm, Some(account.name().to_string()));
            account.alarms().into_iter().map(move |(alarm, message)| (about(alarm), message))
        });
        let vantage = self.vantage.alarm().map(|message| ((Alarm::Vantage, None), message));
        let zones = self.zones.iter().filter_map(|server| {
            Some(((Alarm::ZoneState, Some(server.zone().to_string())), server.trouble()?))
        });
        let tasks = self.restarts.alarms().into_iter();
        let tasks = tasks.map(|(task, message)| ((Alarm::Task, Some(task)), message));
        journal.into_iter().chain(accounts).chain(vantage).chain(zones).chain(tasks).collect()
    }

    /// How many alarms there are now.
    pub(super) fn alarm_count(&self) -> usize {
        self.alarms.len()
    }

    /// What is alarmed now.
    pub(super) fn alarms(&self) -> Vec<AlarmStatus> {
        self.alarms.iter().map(|(key, message)| status(key, message)).collect()
    }

    /// The journal now.
    pub(super) fn journal(&self) -> JournalStatus {
        let Health { trouble, lost } = self.journal.health();
        JournalStatus { writable: trouble.is_none(), trouble, lost }
    }

    /// The accounts now.
    pub(super) fn clouds(&self) -> Vec<CloudStatus> {
        let status = |account: &Account| CloudStatus {
            name: account.name().clone(),
            keys_expire: account.keys_expire().map(|end| end.as_secs()),
        };
        self.accounts.iter().map(status).collect()
    }
}

fn status((alarm, subject): &(Alarm, Option<String>), message: &str) -> AlarmStatus {
    AlarmStatus { alarm: *alarm, region: None, subject: subject.clone(), message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use tokio::sync::broadcast;

    use super::*;
    use crate::admin::Metrics;
    use crate::daemon::{Event, OwnEvent};

    #[test]
    fn each_account_s_alarm_begins_and_ends_by_itself_and_a_changed_message_is_not_news() {
        let journal = Journal::nowhere();
        let (events, mut told) = broadcast::channel(10);
        let chronicle = Chronicle::new(Metrics::new("0").unwrap().1, events, journal.clone());
        let mut state = OwnState::new(journal, Vantage::default(), Restarts::default());
        let mut step = |alarmed: &[(&str, &str)]| -> Vec<String> {
            let key = |account: &str| (Alarm::Credentials, Some(account.to_owned()));
            let alarms = alarmed.iter().map(|(account, message)| (key(account), (*message).to_owned()));
            state.become_of(alarms.collect(), Moment::START, &chronicle);
            assert_eq!(state.alarms().len(), alarmed.len());
            let next = || told.try_recv().ok();
            std::iter::from_fn(next)
                .map(|(_, event)| {
                    let Event::Own(OwnEvent::Alarm { status, raised }) = event else { panic!("{event:?}") };
                    format!("{} {raised}: {}", status.subject.unwrap(), status.message)
                })
                .collect()
        };
        assert_eq!(step(&[("one", "no keys")]), ["one true: no keys"]);
        assert_eq!(step(&[("one", "no keys"), ("two", "no agency")]), ["two true: no agency"]);
        assert_eq!(step(&[("one", "still no keys"), ("two", "no agency")]), [""; 0]);
        assert_eq!(step(&[("two", "no agency")]), ["one false: still no keys"]);
        assert_eq!(step(&[]), ["two false: no agency"]);
    }
}

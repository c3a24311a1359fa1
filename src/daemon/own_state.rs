//! How the daemon itself is, beside its services: the journal, the accounts' keys, the clock, the network.
//!
//! Looked at now and then, since none of it happens in the loop's sight; what begins or ends is told once.

use crate::dns::EmbeddedServer;
use crate::huawei::Account;
use crate::journal::{Health, Journal};
use crate::model::{Alarm, AlarmStatus, CloudStatus, JournalStatus};
use crate::probe::Vantage;

use super::chronicle::Chronicle;

/// What is known of it.
#[derive(Debug)]
pub(super) struct OwnState {
    journal: Journal,
    vantage: Vantage,
    accounts: Vec<Account>,
    zones: Vec<EmbeddedServer>,
    alarms: Vec<AlarmStatus>,
}

impl OwnState {
    pub(super) fn new(journal: Journal, vantage: Vantage) -> Self {
        Self { journal, vantage, accounts: Vec::new(), zones: Vec::new(), alarms: Vec::new() }
    }

    /// These accounts are used and these zones served from now on.
    pub(super) fn watch(&mut self, accounts: Vec<Account>, zones: Vec<EmbeddedServer>) {
        (self.accounts, self.zones) = (accounts, zones);
    }

    /// Finds out what is wrong now, and tells what began or ended.
    pub(super) fn look(&mut self, chronicle: &mut Chronicle) {
        let alarms = self.find();
        let same = |one: &AlarmStatus, two: &AlarmStatus| one.alarm == two.alarm;
        for ended in self.alarms.iter().filter(|was| !alarms.iter().any(|is| same(is, was))) {
            chronicle.own_alarm(ended, false);
        }
        for begun in alarms.iter().filter(|is| !self.alarms.iter().any(|was| same(is, was))) {
            chronicle.own_alarm(begun, true);
        }
        self.alarms = alarms;
    }

    fn find(&self) -> Vec<AlarmStatus> {
        let journal = self.journal.health().trouble.map(|message| (Alarm::Journal, message));
        let accounts = self.accounts.iter().flat_map(Account::alarms);
        let vantage = self.vantage.alarm().map(|message| (Alarm::Vantage, message));
        let zones = self.zones.iter().filter_map(EmbeddedServer::trouble);
        let zones = zones.map(|message| (Alarm::ZoneState, message));
        let alarms = journal.into_iter().chain(accounts).chain(vantage).chain(zones);
        alarms.map(|(alarm, message)| AlarmStatus { alarm, region: None, message }).collect()
    }

    /// What is alarmed now.
    pub(super) fn alarms(&self) -> Vec<AlarmStatus> {
        self.alarms.clone()
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

//! What systemd is told: ready, reloading, stopping, a line of status, and that every loop still turns.
//!
//! The protocol of `sd_notify(3)`, in the words of crate `sd-notify`; the socket is our own, since that crate's
//! neither finds an abstract one nor gives up on one that is full. Without a service manager nothing is said and
//! nothing fails; a word that is lost is logged, and never stops what it was about (KEEP-WATCHING).
//! Start at [`ServiceManager::from_environment`] and [`ServiceManager::feed`].

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::MissedTickBehavior;

use crate::core::Tally;
use crate::model::{Liveness, count_in_words};
use crate::pulse::Pulses;

/// How long a word may wait for room in the service manager's queue. Only a service manager that stands still lets
/// it fill, and then a loop of ours must not.
const SEND_WITHIN: Duration = Duration::from_millis(100);

/// How often the watchdog is fed in the time that it waits. With three, one feed may fail to come because the
/// process stood still, and a loop that is stuck is named in the log before it costs the process its life.
const FEEDS: u32 = 3;

/// How often in a row the watchdog goes without before a person is told. Loops that only had to turn once, after
/// the process stood still, have done so by the second time.
const TELL_AFTER: u32 = 2;

/// The service manager that started this process, or nobody.
#[derive(Clone, Debug)]
pub struct ServiceManager {
    socket: Option<SocketAddr>,
    /// The watchdog ends a process from which it does not hear for so long.
    watchdog: Option<Duration>,
}

impl ServiceManager {
    /// The one that `NOTIFY_SOCKET` names, with the watchdog of `WATCHDOG_USEC` and `WATCHDOG_PID`; nobody when
    /// there is none, or when it cannot be understood, which is logged.
    #[must_use]
    pub fn from_environment() -> Self {
        let nobody = Self { socket: None, watchdog: None };
        let Some(socket) = std::env::var_os("NOTIFY_SOCKET") else { return nobody };
        Self::listening_at(&socket, sd_notify::watchdog_enabled()).unwrap_or_else(|error| {
            tracing::warn!(?socket, %error, "could not make out NOTIFY_SOCKET; the service manager is told nothing");
            nobody
        })
    }

    /// One that listens at that path, or in the abstract namespace after an `@`; `watchdog` as it waits between
    /// feeds, none for none or zero.
    ///
    /// # Errors
    /// When that is no address of a Unix socket.
    pub fn listening_at(socket: &OsStr, watchdog: Option<Duration>) -> io::Result<Self> {
        let socket = match socket.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            _ => SocketAddr::from_pathname(socket)?,
        };
        Ok(Self { socket: Some(socket), watchdog: watchdog.filter(|wait| !wait.is_zero()) })
    }

    /// The start is over, or the reload that [`ServiceManager::reloading`] began, whether it was taken or refused.
    pub fn ready(&self) {
        self.tell(&[NotifyState::Ready]);
    }

    /// A reload begins. [`ServiceManager::ready`] must follow, or `systemctl reload` fails after a while.
    pub fn reloading(&self) {
        // With `Type=notify-reload` systemd takes the word only together with its own clock's time, later than its
        // signal. That time is the kernel's since boot, which `clock.rs` has no need of and cannot tell.
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.tell(&[NotifyState::Reloading, now]),
            Err(error) => tracing::warn!(%error, "could not tell the service manager of the reload"),
        }
    }

    /// The stop begins; the watchdog waits for nothing any more.
    pub fn stopping(&self) {
        self.tell(&[NotifyState::Stopping]);
    }

    /// One line for people, shown by `systemctl status`, such as a [`Summary`].
    pub fn status(&self, line: &str) {
        self.tell(&[NotifyState::Status(&line.replace('\n', " "))]);
    }

    /// Feeds the watchdog as long as no loop is stuck. Never returns; without a watchdog it does nothing.
    pub async fn feed(&self, pulses: &Pulses) {
        let Some(wait) = self.watchdog else { return std::future::pending().await };
        let mut feeds = tokio::time::interval(wait / FEEDS);
        feeds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut withheld = 0_u32;
        loop {
            feeds.tick().await;
            let Some(stuck) = pulses.stuck() else {
                self.tell(&[NotifyState::Watchdog]);
                if withheld >= TELL_AFTER {
                    tracing::warn!("every loop turns again; the watchdog is fed again");
                }
                withheld = 0;
                continue;
            };
            withheld = withheld.saturating_add(1);
            if withheld == TELL_AFTER {
                tracing::error!(
                    stuck = stuck.name,
                    "a loop is stuck: {stuck}; the watchdog is not fed any more, and the service manager will end \
                     this process and start it again"
                );
            }
        }
    }

    fn tell(&self, words: &[NotifyState<'_>]) {
        let Some(socket) = &self.socket else { return };
        let text = words.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        if let Err(error) = send(socket, text.as_bytes()) {
            tracing::warn!(%error, said = text, "could not tell the service manager");
        }
    }
}

/// A socket for each word: what was connected once would not outlive the service manager's own restart.
fn send(to: &SocketAddr, text: &[u8]) -> io::Result<()> {
    let from = UnixDatagram::unbound()?;
    from.set_write_timeout(Some(SEND_WITHIN))?;
    from.send_to_addr(text, to)?;
    Ok(())
}

/// The whole state in a line: "2 services, 4 regions: 3 up, 1 down". What there is none of is left out.
#[derive(Debug)]
pub struct Summary<'t> {
    /// Of the services.
    pub tally: &'t Tally,
    /// How many alarms there are of the daemon itself.
    pub own_alarms: usize,
    /// Whether nothing is ever written.
    pub dry_run: bool,
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tally, own_alarms, dry_run } = self;
        let (services, regions) = (tally.services(), tally.regions());
        write!(f, "{}, {}", count_in_words(services, "service"), count_in_words(regions, "region"))?;
        let mut before = ": ";
        for liveness in Liveness::ALL {
            let alike = tally.regions_that_are(liveness);
            if alike > 0 {
                write!(f, "{before}{alike} {liveness}")?;
                before = ", ";
            }
        }
        let alarms = tally.alarms() + own_alarms;
        if alarms > 0 {
            write!(f, "; {}", count_in_words(alarms, "alarm"))?;
        }
        if *dry_run { f.write_str("; dry run") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_counts_what_there_is() {
        use Liveness::{Down, Recovering, Suspect, Unknown, Up};
        let of = |services, regions: &[Liveness], alarms, dry_run| {
            let tally = Tally::made_up(services, regions, alarms);
            Summary { tally: &tally, own_alarms: alarms, dry_run }.to_string()
        };
        assert_eq!(of(2, &[Up, Down, Up, Up], 0, false), "2 services, 4 regions: 3 up, 1 down");
        let summary = of(1, &[Recovering, Suspect, Down, Up, Unknown], 1, true);
        let states = "1 unknown, 1 up, 1 suspect, 1 down, 1 recovering";
        assert_eq!(summary, format!("1 service, 5 regions: {states}; 2 alarms; dry run"));
        assert_eq!(of(0, &[], 0, false), "0 services, 0 regions");
    }
}

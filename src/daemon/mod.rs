//! Wires everything together, supervises it, reloads it, and stops it.
//!
//! One loop owns the core and feeds it; nobody locks anything. Around it stand one task a check, one a record
//! set, one a region whose EIPs are followed, the admin side, and the watchdog's feeder, each of them supervised: one that
//! ends or panics is alarmed and started again, and never takes the others with it (KEEP-WATCHING). A reload is prepared
//! beside all that, and refused whole or applied whole (RELOAD-OR-KEEP). A stop ends them all within 5 s and leaves
//! every record set as it is (LEAVE-AS-IS). Start at [`Daemon::new`].

mod change;
mod chronicle;
mod core_loop;
mod errand;
mod handle;
mod memory;
pub mod once;
mod own_state;
mod readiness;
mod roster;
pub mod service_manager;
mod supervise;
mod whole_state;
mod wiring;
mod witnesses;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;

pub use change::ReloadError;
pub use handle::Handle;
pub use wiring::{RegionWiring, Wiring, WiringError};

use crate::admin::{self, CloudCode, Metrics, Recorder, StatusHandle, status_channel};
use crate::clock::Clock;
use crate::config::Config;
use crate::core::{Effect, Engine, Recollection, Report};
use crate::huawei::{Finished, Observe};
use crate::journal::{Configured, Entry, Journal};
use crate::log::DroppedLines;
use crate::model::{AlarmStatus, Moment, Observation, ServiceName};
use crate::probe::Vantage;
use crate::pulse::Pulses;
use change::{Change, Layout};
use chronicle::Chronicle;
use core_loop::{CoreLoop, Hands, Inbox};
use memory::{Memory, recollect};
use own_state::OwnState;
use readiness::Readiness;
use roster::{Outlets, Roster};
use service_manager::ServiceManager;
use supervise::Restarts;

/// How many looks may wait for the core: a second's worth at 10,000 checks. A look that finds no room waits, and
/// its next one is late, which is measured.
const OBSERVATIONS_MAX: usize = 10_000;
/// How many reports, address changes and answers of witnesses may wait for it; each comes from one task that waits for room.
const REPORTS_MAX: usize = 256;
/// How many orders may wait for it; each comes from a person.
const ORDERS_MAX: usize = 8;
/// How many events a listener may lag behind before it misses some; a demo or a page reads them at once.
const EVENTS_MAX: usize = 1_024;
/// How long the journal may take to open before the daemon starts without what was remembered. A healthy disk needs
/// some milliseconds; with one that hangs, watching is worth more than memory.
const OPEN_WITHIN: Duration = Duration::from_secs(2);
/// How long a stop waits for the journal after its tasks have ended; the two together stay below the 5 s of the promise.
const CLOSE_WITHIN: Duration = Duration::from_millis(700);
/// Where the daemon's clock starts: what is remembered from before the start has its place in front of it. Longer ago
/// than this makes no difference to any rule.
const REMEMBERED: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// Something that happened, for whoever listens.
#[derive(Clone, Debug)]
pub enum Event {
    /// A look ended.
    Looked(Observation),
    /// The core asked for this.
    Effect(Effect),
    /// A record set was read or written.
    Reported {
        /// Of which service.
        service: ServiceName,
        /// What.
        report: Report,
    },
    /// Something happened to the daemon itself.
    Own(OwnEvent),
}

/// What happens to the daemon itself.
#[derive(Clone, Debug)]
pub enum OwnEvent {
    /// It runs, by this configuration.
    Started(Configured),
    /// It ends because it was asked to.
    Stopped,
    /// Another configuration came into force.
    Reloaded(Configured),
    /// Another configuration was refused; the running one stays.
    ReloadRefused {
        /// Why, with the line that is wrong.
        message: String,
    },
    /// An alarm began or ended: of its keys, its clock, its journal, its tasks.
    Alarm {
        /// Which, about what, and what is or was wrong.
        status: AlarmStatus,
        /// Whether it began.
        raised: bool,
    },
}

impl OwnEvent {
    /// As the journal keeps it.
    fn entry(&self) -> Entry {
        match self.clone() {
            Self::Started(configured) => Entry::Started(configured),
            Self::Stopped => Entry::Stopped,
            Self::Reloaded(configured) => Entry::Reloaded(configured),
            Self::ReloadRefused { message } => Entry::ReloadRefused { message },
            Self::Alarm { status: AlarmStatus { alarm, subject, message, .. }, raised } => {
                Entry::OwnAlarm { alarm, subject, raised, message }
            }
        }
    }
}

/// Why a daemon cannot start.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The address of the read-only side is not to be had.
    #[error("cannot listen on {address}; stop what listens there, or change daemon.listen")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The configuration cannot be carried out.
    #[error(transparent)]
    Configuration(#[from] ReloadError),
    /// The metrics could not be registered.
    #[error("cannot set up the metrics")]
    Metrics(#[from] prometheus::Error),
}

/// A daemon that is ready to run.
#[derive(Debug)]
pub struct Daemon {
    clock: Clock,
    change: Change,
    inbox: Inbox,
    outlets: Outlets,
    status: StatusHandle,
    listener: TcpListener,
    metrics: Metrics,
    recorder: Recorder,
    events: broadcast::Sender<(Moment, Event)>,
    journal: Journal,
    recollections: Vec<Recollection>,
    manager: ServiceManager,
    handle: Handle,
    dropped_lines: DroppedLines,
}

impl Daemon {
    /// Binds the read-only side and sets up what is configured; looks at nothing yet. It shows how many log lines were dropped.
    ///
    /// # Errors
    /// When the address is taken, or something configured cannot be set up, such as a certificate's file.
    pub async fn new(config: Config, dropped_lines: DroppedLines) -> Result<Self, DaemonError> {
        let address = config.daemon.listen;
        let listen = |source| DaemonError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let (metrics, recorder) = Metrics::new(env!("CARGO_PKG_VERSION"))?;
        let counted = metrics.clone();
        let observe: Observe = Arc::new(move |done| count(&counted, done));

        let clock = Clock::start_at(Moment::START + REMEMBERED);
        let (observations, observed) = mpsc::channel(OBSERVATIONS_MAX);
        let (reports, reported) = mpsc::channel(REPORTS_MAX);
        let (addresses, bound) = mpsc::channel(REPORTS_MAX);
        let (hear, heard) = mpsc::channel(REPORTS_MAX);
        let (order, orders) = mpsc::channel(ORDERS_MAX);
        let (status, questions) = status_channel();
        let state_dir = config.daemon.state_dir.clone();
        // It bounds its own time, and never fails.
        let opened = tokio::task::spawn_blocking(move || Journal::open(&state_dir, OPEN_WITHIN)).await;
        let (journal, remembered) = opened.unwrap_or_else(|_| (Journal::nowhere(), Vec::new()));
        let recollections = recollect(remembered);
        let (layout, change) =
            Layout::default().change_to(Arc::new(config), &recollections, &observe, &addresses)?;
        let manager = ServiceManager::from_environment();
        let handle = Handle::new(layout, observe, addresses, order, metrics.clone(), manager.clone());
        let stop = CancellationToken::new();
        Ok(Self {
            clock,
            change,
            inbox: Inbox { observed, reported, bound, heard, questions, orders },
            outlets: Outlets {
                observations,
                reports,
                heard: hear,
                vantage: Vantage::default(),
                clock,
                pulses: Pulses::new(clock),
                restarts: Restarts::default(),
                stop,
            },
            status,
            listener,
            metrics,
            recorder,
            events: broadcast::Sender::new(EVENTS_MAX),
            journal,
            recollections,
            manager,
            handle,
            dropped_lines,
        })
    }

    /// Where the read-only side listens; of use when the configuration says port 0.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn admin_address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// The clock that its times are on.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// What happens from now on, with the time on this daemon's clock.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<(Moment, Event)> {
        self.events.subscribe()
    }

    /// What the daemon can be told while it runs.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Runs until stopped; then ends within 5 s.
    pub async fn run(self, stop: CancellationToken) {
        let Self { clock, change, outlets, journal, manager, .. } = self;
        // Tasks outlive the loop by what they need to end, and end when it ends for whatever reason.
        let ended = outlets.stop.clone();
        let (pulses, feeder) = (outlets.pulses.clone(), manager.clone());
        let pulse = pulses.register("core");
        let (vantage, restarts) = (outlets.vantage.clone(), outlets.restarts.clone());
        let mut roster = Roster::new(outlets);
        roster.watch_the_vantage();
        let (listener, ends) = (Arc::new(self.listener), ended.clone());
        let (status, metrics) = (self.status, self.metrics);
        roster.run_beside("admin side", move || {
            let (listener, ends) = (Arc::clone(&listener), ends.clone());
            let (status, metrics) = (status.clone(), metrics.clone());
            async move { admin::serve(&listener, status, metrics, ends).await }
        });
        roster.run_beside("watchdog feeder", move || {
            let (feeder, pulses, ended) = (feeder.clone(), pulses.clone(), ended.clone());
            async move {
                ended.run_until_cancelled(feeder.feed(&pulses)).await;
            }
        });
        let (services, now) = (&change.config.services, clock.now());
        let mut core_loop = CoreLoop {
            engine: Engine::new(services, now),
            hands: Hands {
                roster,
                chronicle: Chronicle::new(self.recorder, self.events, journal.clone()),
                memory: Memory::new(journal.clone(), services),
                moved: false,
            },
            clock,
            own_state: OwnState::new(journal.clone(), vantage, restarts),
            readiness: Readiness::new(manager, services, now),
            pulse,
            dry_run: false,
            dropped_lines: self.dropped_lines,
        };
        core_loop.begin(change, &self.recollections);
        core_loop.run(self.inbox, &stop).await;
        if !journal.close(CLOSE_WITHIN).await {
            tracing::warn!("stopped without waiting any longer for the journal");
        }
    }
}

fn count(metrics: &Metrics, done: &Finished) {
    let code = match done.code.parse() {
        Ok(status) => CloudCode::Status(status),
        Err(_) if done.code == "timeout" => CloudCode::None("timeout"),
        Err(_) if done.code == "refused" => CloudCode::None("refused"),
        Err(_) => CloudCode::None("error"),
    };
    metrics.cloud_request(&done.cloud, done.api.as_str(), code, done.duration);
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    use std::os::unix::net::UnixDatagram;
    use std::path::Path;

    use tokio::time::{sleep, timeout};

    use super::*;
    use crate::config::{self, LoadError};
    use crate::pulse::SLACK;

    const DEADLINE: Duration = Duration::from_secs(60);

    /// One check of a port that nobody serves, and a name server that is not there.
    fn configuration(folder: &Path, state_dir: &Path) -> String {
        let key = folder.join("tsig.key");
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&key).unwrap();
        file.write_all(b"bWFkZSB1cCBmb3IgYSB0ZXN0LCBhbmQgZm9yIG5vdGhpbmcgZWxzZQ==").unwrap();
        format!(
            "[daemon]\nlisten = \"127.0.0.1:0\"\nstate_dir = \"{}\"\n[dns.here]\nkind = \"rfc2136\"\n\
             server = \"127.0.0.1:1\"\nzone = \"localdev.me\"\ntsig = {{ name = \"key.\", algorithm = \
             \"hmac-sha256\", secret_file = \"{}\" }}\n[[service]]\nname = \"demo\"\ndomain = \"demo.localdev.me\"\n\
             [[service.check]]\nname = \"port\"\nkind = \"tcp\"\nport = 1\n\
             [[service.region]]\nname = \"here\"\naddress = [\"127.0.0.1\"]\n",
            state_dir.display(),
            key.display()
        )
    }

    fn load(text: &str) -> Result<Config, LoadError> {
        Ok(config::parse(text, Path::new("pointsman.toml"))?.config)
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_is_stuck_starves_the_watchdog() {
        const WATCHDOG: Duration = Duration::from_secs(30);
        let folder = tempfile::tempdir().unwrap();
        let text = configuration(folder.path(), &folder.path().join("state"));
        let mut daemon = Daemon::new(load(&text).unwrap(), DroppedLines::default()).await.unwrap();
        let notify = folder.path().join("notify");
        let socket = UnixDatagram::bind(&notify).unwrap();
        socket.set_nonblocking(true).unwrap();
        daemon.manager = ServiceManager::listening_at(notify.as_os_str(), Some(WATCHDOG)).unwrap();
        // Read now and then: the socket's queue holds few words.
        let feeds_in = async |wait: Duration| {
            let (mut buffer, mut feeds) = ([0; 4_096], 0);
            for _ in 0..wait.as_secs() {
                sleep(Duration::from_secs(1)).await;
                while let Ok(length) = socket.recv(&mut buffer) {
                    feeds += usize::from(buffer.starts_with(b"WATCHDOG=1") && length == 10);
                }
            }
            feeds
        };
        let (pulses, stop) = (daemon.outlets.pulses.clone(), CancellationToken::new());
        let mut running = tokio::task::JoinSet::new();
        running.spawn(daemon.run(stop.clone()));
        let feeds = feeds_in(WATCHDOG * 4).await;
        assert!(feeds >= 11, "it is fed three times in its wait, and was fed {feeds} times in four");
        // A loop of the daemon's that never turns again.
        let wedged = pulses.register("wedged");
        feeds_in(SLACK + WATCHDOG).await;
        assert_eq!(feeds_in(WATCHDOG * 4).await, 0);
        wedged.rests();
        assert!(feeds_in(WATCHDOG).await > 0, "every loop turns again");
        stop.cancel();
        running.join_all().await;
    }

    #[tokio::test]
    async fn what_happens_to_the_daemon_itself_is_told_to_listeners() {
        let folder = tempfile::tempdir().unwrap();
        let in_the_way = folder.path().join("file");
        std::fs::write(&in_the_way, "no folder").unwrap();
        let text = configuration(folder.path(), &in_the_way.join("state"));
        let daemon = Daemon::new(load(&text).unwrap(), DroppedLines::default()).await.unwrap();
        let (mut events, handle, stop) = (daemon.events(), daemon.handle(), CancellationToken::new());
        let mut running = tokio::task::JoinSet::new();
        running.spawn(daemon.run(stop.clone()));
        let mut next = async || {
            let own = async {
                loop {
                    if let (_, Event::Own(event)) = events.recv().await.unwrap() {
                        return event;
                    }
                }
            };
            timeout(DEADLINE, own).await.expect("in time")
        };
        assert!(matches!(next().await, OwnEvent::Started(_)));
        let alarm = next().await;
        let OwnEvent::Alarm { status, raised: true } = &alarm else { panic!("{alarm:?}") };
        assert_eq!((status.alarm, status.subject.as_deref()), (crate::model::Alarm::Journal, None));
        handle.reload(move || load(&text)).await.unwrap();
        assert!(matches!(next().await, OwnEvent::Reloaded(_)));
        let nowhere = || Ok(config::load(Path::new("no/such/file.toml"))?.config);
        let refused = handle.reload(nowhere).await.unwrap_err().in_words();
        let told = next().await;
        assert!(matches!(&told, OwnEvent::ReloadRefused { message } if *message == refused), "{told:?}");
        stop.cancel();
        assert!(matches!(next().await, OwnEvent::Stopped));
        timeout(DEADLINE, running.join_all()).await.expect("it ends");
    }
}

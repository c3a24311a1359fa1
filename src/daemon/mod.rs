//! Wires everything together, supervises it, and stops it.
//!
//! One loop owns the core and feeds it; nobody locks anything. Around it stand one task a check, one a record
//! set, one a region whose EIPs are followed, and the admin side, each of them supervised: one that ends or
//! panics is told of and started again, and never takes the others with it (KEEP-WATCHING). A stop ends them
//! all within 5 s and leaves every record set as it is (LEAVE-AS-IS). Start at [`Daemon::new`].

mod chronicle;
mod core_loop;
pub mod once;
pub mod service_manager;
mod supervise;
mod wiring;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use wiring::{RegionWiring, Wiring, WiringError};

use crate::admin::{self, CloudCode, Metrics, Recorder, status_channel};
use crate::clock::Clock;
use crate::config::Config;
use crate::core::{Core, Effect, Reconciler, Timing, WriteRules};
use crate::dns::driver::{Driver, Reported};
use crate::huawei::{Finished, Observe};
use crate::model::{Moment, Observation, Pace};
use crate::pulse::Pulses;
use chronicle::Chronicle;
use core_loop::{CoreLoop, Inbox, Levers};
use supervise::supervised;

/// How many looks may wait for the core: a second's worth at 10,000 checks. A look that finds no room waits, and
/// its next one is late, which is measured.
const OBSERVATIONS_MAX: usize = 10_000;
/// How many reports and address changes may wait for it; each comes from one task that waits for room.
const REPORTS_MAX: usize = 256;
/// How many events a listener may lag behind before it misses some; a demo or a page reads them at once.
const EVENTS_MAX: usize = 1_024;
/// How long a stop waits for tasks to end before it leaves them behind; well within the 5 s of the promise.
const STOP_WITHIN: Duration = Duration::from_secs(4);

/// Something that happened, for whoever listens.
#[derive(Clone, Debug)]
pub enum Event {
    /// A look ended.
    Looked(Observation),
    /// The core asked for this.
    Effect(Effect),
    /// A record set was read or written.
    Reported(Reported),
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
    /// Something that is configured cannot be set up.
    #[error(transparent)]
    Wiring(#[from] WiringError),
    /// The metrics could not be registered.
    #[error("cannot set up the metrics")]
    Metrics(#[from] prometheus::Error),
}

/// A daemon that is ready to run.
#[derive(Debug)]
pub struct Daemon {
    config: Config,
    clock: Clock,
    wiring: Arc<Wiring>,
    listener: TcpListener,
    metrics: Metrics,
    recorder: Recorder,
    events: broadcast::Sender<(Moment, Event)>,
}

impl Daemon {
    /// Binds the read-only side and sets up what is configured; looks at nothing yet.
    ///
    /// # Errors
    /// When the address is taken, or something configured cannot be set up, such as a certificate's file.
    pub async fn new(config: Config) -> Result<Self, DaemonError> {
        let address = config.daemon.listen;
        let listen = |source| DaemonError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let (metrics, mut recorder) = Metrics::new(env!("CARGO_PKG_VERSION"))?;
        recorder.configured(&config.services);
        let counted = metrics.clone();
        let observe: Observe = Arc::new(move |done| count(&counted, done));
        let wiring = Arc::new(Wiring::new(&config, &observe)?);
        let events = broadcast::Sender::new(EVENTS_MAX);
        Ok(Self { config, clock: Clock::start(), wiring, listener, metrics, recorder, events })
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

    /// Runs until stopped; then ends within 5 s.
    ///
    /// # Errors
    /// When something configured cannot be set up; nothing was looked at then.
    pub async fn run(self, stop: CancellationToken) -> Result<(), DaemonError> {
        let mut tasks = JoinSet::new();
        // Tasks outlive the loop by what they need to end, and end when it ends for whatever reason.
        let ended = stop.child_token();
        let (observations, observed) = mpsc::channel(OBSERVATIONS_MAX);
        let (reports, reported) = mpsc::channel(REPORTS_MAX);
        let (addresses, bound) = mpsc::channel(REPORTS_MAX);
        let (status, questions) = status_channel();
        let pulses = Pulses::new(self.clock);

        let mut levers = Levers::default();
        for service in &self.config.services {
            let (plan, plans) = watch::channel(None);
            levers.plans.insert(service.name.clone(), plan);
            let rules = WriteRules { min_published: service.min_published, budget: service.write_budget };
            let timing = Timing { resync: self.config.daemon.resync };
            let dry_run = self.config.daemon.dry_run || service.dry_run;
            let provider = self.wiring.provider(&service.record.provider)?;
            let (service_, reports, clock, stop) =
                (Arc::clone(service), reports.clone(), self.clock, ended.clone());
            let name = format!("record set of {}", service.name);
            let pulses_ = pulses.clone();
            tasks.spawn(supervised(name.clone(), ended.clone(), move || {
                let record = service_.record.clone();
                let driver = Driver {
                    service: service_.name.clone(),
                    key: record.key.clone(),
                    reconciler: Reconciler::new(record, rules, timing, dry_run, clock.now()),
                    provider: Arc::clone(&provider),
                    plans: plans.clone(),
                    reports: reports.clone(),
                    clock,
                    pulse: pulses_.register(name.clone()),
                };
                driver.run(stop.clone())
            }));
            for region in &service.regions {
                let (pace, paces) = watch::channel(Pace::Normal);
                levers.paces.insert((service.name.clone(), region.name.clone()), pace);
                self.wiring.watch_region(
                    &mut tasks,
                    service,
                    region,
                    &wiring::Watching {
                        paces,
                        observations: observations.clone(),
                        addresses: addresses.clone(),
                        clock: self.clock,
                        pulses: pulses.clone(),
                        stop: ended.clone(),
                    },
                )?;
            }
        }
        let (metrics, listener, status_) = (self.metrics.clone(), self.listener, status);
        tasks.spawn(admin::serve(listener, status_, metrics, ended.clone()));

        let core = Core::new(&self.config.services, self.clock.now());
        let chronicle = Chronicle::new(self.recorder, self.events);
        let core_loop = CoreLoop::new(core, self.clock, levers, chronicle, self.config.daemon.dry_run);
        core_loop.run(Inbox { observed, reported, bound, questions }, &stop).await;
        ended.cancel();
        let all_ended = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_WITHIN, all_ended).await.is_err() {
            tracing::warn!(
                left = tasks.len(),
                "stopped without waiting any longer for tasks that do not end"
            );
        }
        Ok(())
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

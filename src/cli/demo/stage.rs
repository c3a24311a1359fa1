//! The stage that a drill is played on: a simulated cloud, a zone, the real daemon against both, and a client.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::client::{Client, Sample};
use super::place::{Place, PlaceKind};
use super::timeline;
use crate::cli::style::{DIM, STRONG};
use crate::clock::Clock;
use crate::config;
use crate::core::{Effect, Failover, Report};
use crate::daemon::{Daemon, Event};
use crate::huawei::Account;
use crate::log::DroppedLines;
use crate::model::{Alarm, Liveness, Moment, RegionName};
use crate::sim::{Setup, SimulatedCloud};

/// How often a condition is looked at while nothing happens.
const BLINK: Duration = Duration::from_millis(5);
/// Room for what the client tells between two looks at it.
const SAMPLES_MAX: usize = 1_024;

/// How fast a drill goes: quicker than a default configuration, so that it fits in a minute.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    pub(super) interval: Duration,
    pub(super) fast_interval: Duration,
    pub(super) timeout: Duration,
    pub(super) fall: u32,
    pub(super) rise: u32,
    pub(super) recover_after: Duration,
}

/// Everything that is on.
pub(super) struct Stage {
    pub(super) cloud: SimulatedCloud,
    pub(super) timing: Timing,
    pub(super) client: Client,
    pub(super) clock: Clock,
    pub(super) account: Account,
    /// Everything that happened, with when.
    pub(super) past: Vec<(Moment, Event)>,
    pub(super) samples: Vec<Sample>,
    pub(super) liveness: BTreeMap<RegionName, Liveness>,
    pub(super) alarms: Vec<(Alarm, Option<RegionName>)>,
    /// Each as it was told last, by its number.
    pub(super) failovers: BTreeMap<u64, Arc<Failover>>,
    events: broadcast::Receiver<(Moment, Event)>,
    told: mpsc::Receiver<Sample>,
    /// What the zone answers for the name, sorted.
    zone: watch::Receiver<Vec<IpAddr>>,
    /// Goes last: it may be a server that runs.
    _place: Place,
    tasks: JoinSet<()>,
    stop: CancellationToken,
    scratch: PathBuf,
}

impl Stage {
    /// Builds it, and says how a person can look at it from outside.
    pub(super) async fn set(timing: Timing, kind: PlaceKind) -> anyhow::Result<Self> {
        let cloud =
            SimulatedCloud::start(Setup::two_regions()).await.context("cannot start the simulated cloud")?;
        let scratch = scratch_folder()?;
        let place = Place::set(kind, &cloud, &scratch).await?;
        let text = configuration(&cloud, &place, timing, &scratch)?;
        let loaded =
            config::parse(&text, Path::new("demo.toml")).context("the demo's configuration is not right")?;
        let (name, settings) = loaded.config.clouds.first_key_value().context("the demo has no account")?;
        let account = Account::new(name.clone(), settings, Arc::new(|_| {}))?;
        let port = cloud
            .setup()
            .regions
            .first()
            .map(|region| region.listener_port)
            .context("the demo has no region")?;
        let client = Client::new(place.address, &cloud.setup().record, port)?;

        let daemon = Daemon::new(loaded.config, DroppedLines::default()).await?;
        let admin = daemon.admin_address().context("cannot tell where the daemon listens")?;
        let (clock, events) = (daemon.clock(), daemon.events());
        let stop = CancellationToken::new();
        let (samples, told) = mpsc::channel(SAMPLES_MAX);
        let mut tasks = JoinSet::new();
        let (asking, stopping) = (client.clone(), stop.clone());
        tasks.spawn(async move {
            stopping.run_until_cancelled(asking.keep_asking(clock, samples)).await;
        });
        let (answered, zone) = watch::channel(Vec::new());
        let (asking, stopping) = (client.clone(), stop.clone());
        tasks.spawn(async move {
            stopping.run_until_cancelled(asking.keep_resolving(answered)).await;
        });
        let stopping = stop.clone();
        tasks.spawn(daemon.run(stopping));

        let name = cloud.setup().record.trim_end_matches('.');
        timeline::say(format_args!(
            "{STRONG}pointsman demo{STRONG:#}: two regions, one name in {}, and a bad day.",
            place.in_words()
        ))?;
        timeline::say(format_args!("  status   curl http://{admin}/api/v1/status"))?;
        timeline::say(format_args!("  metrics  curl http://{admin}/metrics"))?;
        timeline::say(format_args!(
            "  zone     dig @{} -p {} {name} A +short",
            place.address.ip(),
            place.address.port()
        ))?;
        timeline::say(format_args!(
            "  {DIM}interval {:?}, fast_interval {:?}, timeout {:?}, fall {}, rise {}, recover_after {:?}{DIM:#}\n",
            timing.interval,
            timing.fast_interval,
            timing.timeout,
            timing.fall,
            timing.rise,
            timing.recover_after
        ))?;
        Ok(Self {
            cloud,
            timing,
            client,
            clock,
            account,
            past: Vec::new(),
            samples: Vec::new(),
            liveness: BTreeMap::new(),
            alarms: Vec::new(),
            failovers: BTreeMap::new(),
            events,
            told,
            zone,
            _place: place,
            tasks,
            stop,
            scratch,
        })
    }

    /// Takes everything down again.
    pub(super) async fn strike(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
        self.cloud.stop().await;
        // It holds a made-up key of a cloud that is gone; a folder left behind does no harm.
        std::fs::remove_dir_all(&self.scratch).ok();
    }

    pub(super) fn now(&self) -> Moment {
        self.clock.now()
    }

    /// Waits until `holds`, telling what happens meanwhile. `None` when that took longer than `within`.
    pub(super) async fn until(
        &mut self,
        within: Duration,
        holds: impl Fn(&Self) -> bool,
    ) -> anyhow::Result<Option<Moment>> {
        let end = self.now() + within;
        loop {
            self.catch_up()?;
            if holds(self) {
                return Ok(Some(self.now()));
            }
            if self.now() >= end {
                return Ok(None);
            }
            if let Some(ended) = self.tasks.try_join_next() {
                ended.context("the daemon broke")?;
                anyhow::bail!("the daemon ended although nobody stopped it");
            }
            sleep(BLINK).await;
        }
    }

    /// Lets so much time go by.
    pub(super) async fn watch(&mut self, time: Duration) -> anyhow::Result<()> {
        self.until(time, |_| false).await.map(drop)
    }

    fn catch_up(&mut self) -> anyhow::Result<()> {
        while let Ok(sample) = self.told.try_recv() {
            self.samples.push(sample);
        }
        loop {
            match self.events.try_recv() {
                Ok((at, event)) => {
                    timeline::tell(self.clock.since_start(at), &event)?;
                    self.note(&event);
                    self.past.push((at, event));
                }
                Err(broadcast::error::TryRecvError::Lagged(missed)) => {
                    anyhow::bail!("the demo was too slow and missed {missed} events");
                }
                Err(broadcast::error::TryRecvError::Empty | broadcast::error::TryRecvError::Closed) => {
                    return Ok(());
                }
            }
        }
    }

    fn note(&mut self, event: &Event) {
        match event {
            Event::Effect(Effect::Transition(t)) => drop(self.liveness.insert(t.region.clone(), t.to)),
            Event::Effect(Effect::Alarm(alarm)) => {
                let key = (alarm.alarm, alarm.region.clone());
                self.alarms.retain(|known| *known != key);
                if alarm.raised {
                    self.alarms.push(key);
                }
            }
            Event::Effect(Effect::Ledger { failover, .. }) => {
                self.failovers.insert(failover.number, Arc::clone(failover));
            }
            Event::Effect(
                Effect::Apply(_)
                | Effect::Pace { .. }
                | Effect::Held { .. }
                | Effect::Waiting { .. }
                | Effect::Said { .. }
                | Effect::Ended { .. }
                | Effect::Witness(_),
            )
            | Event::Looked(_)
            | Event::Own(_)
            | Event::Reported { .. } => {}
        }
    }

    /// Says what the demo does to the world.
    pub(super) fn act(&self, at: Moment, text: &str) -> std::io::Result<()> {
        timeline::act(self.clock.since_start(at), text)
    }

    /// The region's state as last told.
    pub(super) fn liveness_of(&self, region: &str) -> Liveness {
        let found = self.liveness.iter().find(|(name, _)| name.as_str() == region);
        found.map_or(Liveness::Unknown, |(_, liveness)| *liveness)
    }

    /// How many writes were sent so far.
    pub(super) fn writes(&self) -> usize {
        let sent = |(_, event): &&(Moment, Event)| {
            matches!(event, Event::Reported { report: Report::Sent { .. }, .. })
        };
        self.past.iter().filter(sent).count()
    }

    /// Whether the zone answers with exactly these regions' EIPs.
    pub(super) fn zone_holds(&self, regions: &[&str]) -> bool {
        let mut wanted: Vec<IpAddr> = self.eips(regions);
        wanted.sort_unstable();
        wanted == self.zone_answers()
    }

    /// What the zone answers for the name, sorted.
    pub(super) fn zone_answers(&self) -> Vec<IpAddr> {
        self.zone.borrow().clone()
    }

    fn eips(&self, regions: &[&str]) -> Vec<IpAddr> {
        let setups = self.cloud.setup().regions.iter();
        setups
            .filter(|region| regions.contains(&region.name.as_str()))
            .map(|region| region.eip.into())
            .collect()
    }
}

/// A folder of our own for the secret key's file, which only we may read.
fn scratch_folder() -> anyhow::Result<PathBuf> {
    use std::os::unix::fs::DirBuilderExt as _;
    let unique = format!("pointsman-demo-{}-{:x}", std::process::id(), crate::clock::wall_time().as_nanos());
    let folder = std::env::temp_dir().join(unique);
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(&folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    Ok(folder)
}

/// What a person would write, with the simulated cloud's addresses in it.
fn configuration(
    cloud: &SimulatedCloud,
    place: &Place,
    timing: Timing,
    scratch: &Path,
) -> anyhow::Result<String> {
    use std::fmt::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let setup = cloud.setup();
    let key_file = scratch.join("secret.key");
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&key_file)?;
    std::io::Write::write_all(&mut file, setup.secret_key.expose().as_bytes())?;
    let endpoint = cloud.endpoint();
    let home = setup.regions.first().map_or("", |region| region.cloud_region.as_str());
    let mut text = format!(
        r#"
[daemon]
listen = "127.0.0.1:0"
state_dir = "{state}"
resync = "10s"

[cloud.main]
region = "{home}"
access_key = "{key}"
secret_key_file = "{file}"
endpoints = {{ iam = "{endpoint}", elb = "{endpoint}", eip = "{endpoint}", dns = "{endpoint}" }}

[dns.demo]
{section}

[defaults]
interval = "{interval}ms"
fast_interval = "{fast}ms"
timeout = "{timeout}ms"
fall = {fall}
rise = {rise}
recover_after = "{recover}ms"

[[service]]
name = "demo"
domain = "{record}"
type = "A"
dns = "demo"

[[service.check]]
name = "web"
kind = "http"

[[service.check]]
name = "elb"
kind = "elb"

[[service.check]]
name = "eip"
kind = "eip"
"#,
        key = setup.access_key,
        file = key_file.display(),
        state = scratch.join("state").display(),
        section = place.section,
        record = setup.record,
        interval = timing.interval.as_millis(),
        fast = timing.fast_interval.as_millis(),
        timeout = timing.timeout.as_millis(),
        fall = timing.fall,
        rise = timing.rise,
        recover = timing.recover_after.as_millis(),
    );
    for region in &setup.regions {
        writeln!(
            text,
            "\n[[service.region]]\nname = \"{}\"\ncloud_region = \"{}\"\nelb = \"{}\"\nlistener_port = {}",
            region.name, region.cloud_region, region.elb_id, region.listener_port
        )?;
        text.push_str(&place.address_key(region.eip.into()));
    }
    Ok(text)
}

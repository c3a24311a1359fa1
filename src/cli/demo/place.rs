//! Where the demo's record set lives: in the simulated cloud, on a BIND that the demo starts, or within the daemon itself.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::ValueEnum;
use tokio::net::TcpListener;

use crate::config::{TsigAlgorithm, TsigKey};
use crate::model::Fqdn;
use crate::sim::{NameServer, PrimaryZone, SimulatedCloud, Updates};

/// Bytes of the key that updates are signed with: as many as its hash has.
const KEY_BYTES: usize = 32;
/// The name of that key.
const KEY_NAME: &str = "pointsman.";

/// The kinds of places that the demo can be played on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum PlaceKind {
    /// A private zone of the simulated cloud
    Huawei,
    /// A zone of a name server that takes dynamic updates: BIND, which has to be installed
    Rfc2136,
    /// A zone that the daemon serves itself
    Embedded,
}

/// The zone of a demo.
pub(super) struct Place {
    kind: PlaceKind,
    /// Who answers for it.
    pub(super) address: SocketAddr,
    /// Its section in the configuration, `[dns.demo]`.
    pub(super) section: String,
    /// Held so that it runs.
    _bind: Option<NameServer>,
}

impl Place {
    /// Makes it hold every region's EIP, or says in the configuration what makes the daemon do so.
    pub(super) async fn set(kind: PlaceKind, cloud: &SimulatedCloud, scratch: &Path) -> anyhow::Result<Self> {
        match kind {
            PlaceKind::Huawei => Ok(Self::in_the_cloud(cloud)),
            PlaceKind::Rfc2136 => Self::on_bind(cloud, scratch).await,
            PlaceKind::Embedded => Self::within(cloud).await,
        }
    }

    fn in_the_cloud(cloud: &SimulatedCloud) -> Self {
        let (zone, address) = (&cloud.setup().zone, cloud.dns_address());
        let section = format!(
            r#"kind = "huawei"
cloud = "main"
zone = "{zone}"
zone_type = "private"
witnesses = ["{address}"]"#
        );
        Self { kind: PlaceKind::Huawei, address, section, _bind: None }
    }

    async fn on_bind(cloud: &SimulatedCloud, scratch: &Path) -> anyhow::Result<Self> {
        let setup = cloud.setup();
        let secret_file = scratch.join("tsig.key");
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&secret_file)?;
        file.write_all(STANDARD.encode(rand::random::<[u8; KEY_BYTES]>()).as_bytes())?;
        let key = TsigKey { name: Fqdn::parse(KEY_NAME)?, algorithm: TsigAlgorithm::HmacSha256, secret_file };
        let eips = setup.regions.iter().map(|region| format!("{} 30 A {}", setup.record, region.eip));
        let zone = PrimaryZone {
            zone: Fqdn::parse(&setup.zone)?,
            records: eips.collect(),
            updates: Updates::Signed,
        };
        let folder = scratch.join("bind");
        fs::create_dir(&folder)?;
        let bind = NameServer::start(&folder, &[zone], &key).await.context("cannot start a name server")?;
        let address = bind.address();
        let section = format!(
            r#"kind = "rfc2136"
server = "{address}"
zone = "{}"
tsig = {{ name = "{KEY_NAME}", algorithm = "hmac-sha256", secret_file = "{}" }}
witnesses = ["{address}"]"#,
            setup.zone,
            key.secret_file.display()
        );
        Ok(Self { kind: PlaceKind::Rfc2136, address, section, _bind: Some(bind) })
    }

    async fn within(cloud: &SimulatedCloud) -> anyhow::Result<Self> {
        // Somebody else may take the port before the daemon does; then the demo ends, and says so.
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("there is no free port")?;
        let address = free.local_addr()?;
        let zone = &cloud.setup().zone;
        let section = format!(
            r#"kind = "embedded"
listen = ["{address}"]
zone = "{zone}"
ns = ["ns1.{zone}"]
records = ["ns1 300 A {}"]
witnesses = ["{address}"]"#,
            address.ip()
        );
        Ok(Self { kind: PlaceKind::Embedded, address, section, _bind: None })
    }

    /// What a region's own part of the configuration must say beside its load balancer. A zone that begins with the daemon holds
    /// the addresses that are written.
    pub(super) fn address_key(&self, eip: IpAddr) -> String {
        match self.kind {
            PlaceKind::Huawei | PlaceKind::Rfc2136 => String::new(),
            PlaceKind::Embedded => format!("address = [\"{eip}\"]\n"),
        }
    }

    /// What the demo says of it.
    pub(super) fn in_words(&self) -> &'static str {
        match self.kind {
            PlaceKind::Huawei => "a private zone of the simulated cloud",
            PlaceKind::Rfc2136 => "a zone of BIND, which takes signed updates",
            PlaceKind::Embedded => "a zone that pointsman serves itself",
        }
    }
}

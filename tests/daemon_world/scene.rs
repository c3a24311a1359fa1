//! What a world starts with: the cloud's setup, and the configuration that goes with it.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use pointsman::sim::{Setup, SimulatedCloud, ZoneType};

use super::FOREIGN;

/// The three looks at a region behind a load balancer. At their fast pace the two through the cloud stay within
/// the account's request budget.
const CHECKS: &str = r#"
[[service.check]]
name = "web"
kind = "http"

[[service.check]]
name = "elb"
kind = "elb"
fast_interval = "400ms"

[[service.check]]
name = "eip"
kind = "eip"
fast_interval = "400ms"
"#;

/// Begin with [`Scene::new`] and change fields.
#[derive(Clone)]
pub(crate) struct Scene {
    pub(crate) cloud: Setup,
    /// Further lines of `[daemon]`.
    pub(crate) daemon: &'static str,
    /// How the account gets its keys; left out: from the configuration and a file.
    pub(crate) credentials: Option<&'static str>,
    /// Further lines of the service.
    pub(crate) service: &'static str,
    pub(crate) checks: &'static str,
    /// `[[service.region]]` tables; left out: the cloud's regions, by their load balancers.
    pub(crate) regions: Option<String>,
}

impl Scene {
    /// Two regions that serve, behind load balancers, in a zone that settles quickly.
    pub(crate) fn new() -> Self {
        let cloud = Setup { settle: Duration::from_millis(100), ..Setup::two_regions() };
        Self { cloud, daemon: "", credentials: None, service: "", checks: CHECKS, regions: None }
    }

    /// The same with somebody else's value in the record set.
    pub(crate) fn with_a_foreign_value() -> Self {
        let mut scene = Self::new();
        let eips = scene.cloud.regions.iter().map(|region| region.eip.into());
        scene.cloud.values = Some(eips.chain([FOREIGN]).collect());
        scene
    }

    /// Looks are frequent once something is amiss; their timeout is long, so that a busy machine is not taken for
    /// a dead region.
    pub(super) fn configuration(&self, cloud: &SimulatedCloud, key_file: &Path, state: &Path) -> String {
        let setup = cloud.setup();
        let Self { daemon, service, checks, .. } = self;
        let from_file =
            format!("access_key = \"{}\"\nsecret_key_file = \"{}\"", setup.access_key, key_file.display());
        let credentials = self.credentials.map_or(from_file, str::to_owned);
        let (at, home) = (cloud.endpoint(), &setup.regions[0].cloud_region);
        let (zone, record) = (&setup.zone, &setup.record);
        let state = state.display();
        let zone_type = match setup.zone_type {
            ZoneType::Private => "private",
            ZoneType::Public => "public",
        };
        let mut text = format!(
            r#"
[daemon]
listen = "127.0.0.1:0"
state_dir = "{state}"
resync = "1s"
{daemon}

[cloud.main]
region = "{home}"
{credentials}
endpoints = {{ iam = "{at}", elb = "{at}", eip = "{at}", dns = "{at}", metadata = "{at}" }}

[dns.private]
kind = "huawei"
cloud = "main"
zone = "{zone}"
zone_type = "{zone_type}"

[defaults]
interval = "1s"
fast_interval = "100ms"
timeout = "1s"
fall = 3
rise = 2
recover_after = "500ms"

[[service]]
name = "demo"
domain = "{record}"
type = "A"
dns = "private"
{service}
{checks}
"#
        );
        match &self.regions {
            Some(regions) => text.push_str(regions),
            None => {
                for region in &setup.regions {
                    let (name, place, elb) = (&region.name, &region.cloud_region, &region.elb_id);
                    let port = region.listener_port;
                    let table = format!(
                        "[[service.region]]\nname = \"{name}\"\ncloud_region = \"{place}\"\nelb = \"{elb}\"\n"
                    );
                    write!(text, "{table}listener_port = {port}\n\n").unwrap();
                }
            }
        }
        text
    }
}

//! The configuration that everything here is played by.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use pointsman::sim::{RegionSetup, Setup};

use super::REGIONS;
use super::cloud::Keys;

/// The write budget: tight enough to be met when regions flap, loose enough for a scene to end.
pub(crate) const BUDGET: (usize, Duration) = (6, Duration::from_secs(10));

/// Two looks of each region through the cloud and one at it; fast ones stay within the account's request budget.
/// Timeouts are long, so that a busy machine is not taken for a dead region.
pub(super) fn text(api: &str, port: u16, keys: &Keys, key_file: &Path, state: &Path) -> String {
    let Setup { zone, record, .. } = Setup::two_regions();
    let (writes, window) = (BUDGET.0, BUDGET.1.as_secs());
    let (access_key, key_file, state) = (&keys.access_key, key_file.display(), state.display());
    let home = REGIONS[0].1;
    let mut text = format!(
        r#"
[daemon]
listen = "127.0.0.1:0"
state_dir = "{state}"
resync = "1s"

[cloud.main]
region = "{home}"
access_key = "{access_key}"
secret_key_file = "{key_file}"
endpoints = {{ iam = "{api}", elb = "{api}", eip = "{api}", dns = "{api}", metadata = "http://127.0.0.1:9" }}

[dns.private]
kind = "huawei"
cloud = "main"
zone = "{zone}"
zone_type = "private"

[defaults]
interval = "1s"
fast_interval = "200ms"
timeout = "1s"
fall = 3
rise = 2
recover_after = "500ms"
flap = {{ window = "5s", factor = 2, max = "2s" }}

[[service]]
name = "demo"
domain = "{record}"
type = "A"
dns = "private"
write_budget = {{ writes = {writes}, window = "{window}s" }}

[[service.check]]
name = "web"
kind = "http"

[[service.check]]
name = "elb"
kind = "elb"
fast_interval = "700ms"

[[service.check]]
name = "eip"
kind = "eip"
fast_interval = "700ms"
"#
    );
    for (name, place, eip) in REGIONS {
        let elb = RegionSetup::new(name, place, eip).elb_id;
        let table = format!("name = \"{name}\"\ncloud_region = \"{place}\"\nelb = \"{elb}\"");
        write!(text, "\n[[service.region]]\n{table}\nlistener_port = {port}\n").unwrap();
    }
    text
}

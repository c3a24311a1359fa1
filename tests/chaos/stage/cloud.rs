//! The simulated cloud as a process of its own, and its switches.
//!
//! The process is this very program, started once more: an example would not be built with a single test, and what
//! stands beside it from an earlier build would be another cloud.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use pointsman::sim::{EndpointState, Fault, RegionSetup, Setup, SimulatedCloud};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{FOREIGN, REGIONS, http};

/// Tells a process that it is to be the cloud.
const ROLE: &str = "POINTSMAN_CHAOS_CLOUD";

/// A running simulated cloud; it ends with this, or with the process that this lives in.
pub(crate) struct Cloud {
    child: Child,
    /// The base address of its API and of its switches.
    pub(crate) api: SocketAddr,
    /// The listeners' port.
    pub(crate) port: u16,
    pub(crate) keys: Keys,
}

/// What signs requests to it.
#[derive(Clone, Deserialize)]
pub(crate) struct Keys {
    pub(crate) access_key: String,
    pub(crate) secret_key: String,
}

/// All that it tells of itself, as far as it matters here.
#[derive(Debug, Deserialize)]
pub(crate) struct About {
    /// Since its start.
    pub(crate) now_ms: u64,
    /// None once the record set was deleted.
    pub(crate) record_id: Option<String>,
    /// What clients get.
    pub(crate) zone_values: Vec<IpAddr>,
    /// Every version of the record set, oldest first.
    pub(crate) history: Vec<Version>,
}

/// One write that was accepted, by whomever; what was before it is the version before.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Version {
    pub(crate) values: Vec<IpAddr>,
    pub(crate) ttl: u32,
    pub(crate) written_by: String,
    pub(crate) accepted_ms: u64,
}

fn setup() -> Setup {
    let region = |(name, place, eip)| RegionSetup::new(name, place, eip);
    let regions: Vec<RegionSetup> = REGIONS.into_iter().map(region).collect();
    let values = regions.iter().map(|region| IpAddr::from(region.eip)).chain([FOREIGN]).collect();
    Setup { settle: Duration::from_millis(100), values: Some(values), regions, ..Setup::two_regions() }
}

/// Is the cloud until the end of the standard input, if this process was started for that.
pub(crate) async fn be_one_if_told() {
    if std::env::var_os(ROLE).is_none() {
        return;
    }
    let setup = setup();
    let keys = json!({"access_key": setup.access_key, "secret_key": setup.secret_key.expose()});
    let cloud = SimulatedCloud::start(setup).await.unwrap();
    let about = json!({"cloud": cloud.describe(), "keys": keys});
    writeln!(std::io::stdout(), "\n{about}").unwrap();
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()).ok()).await.unwrap();
    std::process::exit(0);
}

impl Cloud {
    /// Starts one. `arguments` make this program call [`be_one_if_told`].
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(arguments).env(ROLE, "1").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let told = lines.find(|line| line.starts_with('{')).expect("the cloud does not start");
        // It ends when nobody takes what else it says, such as that its test takes long.
        std::thread::spawn(move || lines.for_each(drop));
        let told: Value = serde_json::from_str(&told).unwrap();
        let endpoint = told["cloud"]["endpoint"].as_str().unwrap();
        Self {
            child,
            api: endpoint.trim_start_matches("http://").parse().unwrap(),
            port: serde_json::from_value(told["cloud"]["regions"][0]["listener_port"].clone()).unwrap(),
            keys: serde_json::from_value(told["keys"].clone()).unwrap(),
        }
    }

    pub(crate) async fn about(&self) -> About {
        serde_json::from_value(self.switch("GET", "", &Value::Null).await).unwrap()
    }

    /// How a region's application behaves from now on; returns the cloud's time.
    pub(crate) async fn endpoint(&self, region: &str, state: &EndpointState) -> u64 {
        let about = self.switch("POST", &format!("/regions/{region}"), &json!({"endpoint": state})).await;
        about["now_ms"].as_u64().unwrap()
    }

    pub(crate) async fn fault(&self, fault: &Fault) {
        self.switch("POST", "/faults", &serde_json::to_value(fault).unwrap()).await;
    }

    pub(crate) async fn clear_faults(&self) {
        self.switch("DELETE", "/faults", &Value::Null).await;
    }

    /// Writes the record set as somebody else would.
    pub(crate) async fn write_as(&self, by: &str, values: &[IpAddr]) {
        self.switch("POST", "/record", &json!({"by": by, "values": values})).await;
    }

    async fn switch(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = http::exchange(self.api, method, &format!("/sim{path}"), &body).await;
        let (status, answer) = answer.expect("the simulated cloud does not answer");
        assert_eq!(status, 200, "{method} /sim{path} {body}: {answer}");
        serde_json::from_str(&answer).unwrap()
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

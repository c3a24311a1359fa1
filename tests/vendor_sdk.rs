//! The simulated cloud answers the vendor's own SDK: `vendor_sdk.py`, where Python and the packages are there.
//!
//! `POINTSMAN_PYTHON` may name the interpreter of a virtual environment that has huaweicloudsdkcore, -elb, -dns,
//! -eip and -iam. Without them the test says so and checks nothing.

use std::process::{Command, Stdio};
use std::time::Duration;

use pointsman::clock::Clock;
use pointsman::sim::{Setup, SimulatedCloud};
use serde_json::json;

const PACKAGES: &str =
    "import huaweicloudsdkelb.v3, huaweicloudsdkdns.v2, huaweicloudsdkeip.v3, huaweicloudsdkiam.v3";
/// The script takes some seconds, most of them for importing; a hang must not last.
const DEADLINE: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_vendors_sdk_gets_the_answers_it_expects() {
    let named = std::env::var("POINTSMAN_PYTHON").ok();
    let python = named.clone().unwrap_or_else(|| "python3".to_owned());
    let probe = Command::new(&python).args(["-c", PACKAGES]).stderr(Stdio::piped()).output();
    let usable = probe.as_ref().is_ok_and(|output| output.status.success());
    assert!(usable || named.is_none(), "POINTSMAN_PYTHON={python} lacks the SDK: {probe:?}");
    if !usable {
        println!(
            "SKIPPED: {python} or the vendor's SDK is not installed; set POINTSMAN_PYTHON to one that has it"
        );
        return;
    }
    let setup = Setup::two_regions();
    let keys = json!({"access_key": setup.access_key, "secret_key": setup.secret_key.expose()});
    let cloud = SimulatedCloud::start(setup).await.unwrap();
    let mut about = cloud.describe();
    about.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());

    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vendor_sdk.py");
    let mut running = Command::new(&python)
        .arg(script)
        .env("POINTSMAN_SIMULATED_CLOUD_JSON", about.to_string())
        .spawn()
        .unwrap();
    let clock = Clock::start();
    let status = loop {
        if let Some(status) = running.try_wait().unwrap() {
            break status;
        }
        if clock.now().since_start() > DEADLINE {
            running.kill().unwrap();
            panic!("{script} took longer than {DEADLINE:?}");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(status.success(), "{script} says that something did not hold, see above");
    cloud.stop().await;
}

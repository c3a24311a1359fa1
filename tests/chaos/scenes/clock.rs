//! The wall clock jumps under a running daemon and while it is dead, with a region down and a write on its way.

use std::fs;
use std::path::{Path, PathBuf};

use pointsman::sim::EndpointState;

use crate::dice::Dice;
use crate::stage::{Launch, MORTAL, REGIONS, Stage};

/// By how much the wall clock jumps, in the words of libfaketime. Some are a mere nudge, which is measured by nothing.
const JUMPS: [&str; 10] = ["+0", "+1", "-1", "+40s", "-40s", "+1h", "-1h", "+400d", "-400d", "-10y"];

/// A launch whose wall clock [`jumps_about`] can set; the monotonic one stays true. None where libfaketime is missing.
pub(crate) fn settable(stage: &Stage) -> Launch {
    let times = stage.path("faketime");
    fs::write(&times, "+0").unwrap();
    let (library, times) = (libfaketime(), times.display().to_string());
    let environment = [
        ("LD_PRELOAD", library.to_str().unwrap()),
        ("FAKETIME_TIMESTAMP_FILE", &times),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        // The name of the same in older versions.
        ("DONT_FAKE_MONOTONIC", "1"),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Launch { environment: environment.into(), ..Launch::default() }
}

/// A region dies and leaves; the clock jumps, the daemon is killed, the clock jumps again; the region stays out and
/// returns when it is well.
pub(crate) async fn jumps_about(stage: &mut Stage, dice: &mut Dice) {
    let times = stage.path("faketime");
    let jump = |dice: &mut Dice| fs::write(&times, dice.pick(&JUMPS)).unwrap();
    let region = dice.pick(&MORTAL);
    jump(dice);
    stage.turn(region, EndpointState::Status { status: 503 }).await;
    stage.until_without(region).await;
    jump(dice);
    stage.kill().await;
    jump(dice);
    stage.start().await;
    stage.until("it looks again", |sight| sight.check(region, "web")["last"] == "fail").await;
    jump(dice);
    stage.until("it is down as before", |sight| sight.liveness(region) == "down").await;
    stage.turn(region, EndpointState::Serve).await;
    stage.until("it is back", |sight| sight.serves(&REGIONS.map(|it| it.0))).await;
    fs::write(&times, "+0").unwrap();
    stage.settle().await;
}

/// Debian's, whatever the architecture.
fn libfaketime() -> PathBuf {
    let installed = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let found =
        installed.map(|folder| folder.path().join("faketime/libfaketime.so.1")).find(|p| Path::exists(p));
    found.unwrap_or_else(|| panic!("this test needs libfaketime; please do: apt-get install faketime"))
}

//! What a running daemon may use and sees, changed from outside.

use std::process::Command;

use super::Stage;

/// How to start a program so that what it mounts is its own: as root, or as root of a user namespace of its own; none
/// where neither is allowed.
pub(crate) fn own_mounts() -> Option<Vec<String>> {
    let tries = ["unshare -m", "unshare -Urm"].map(|words| words.split(' ').map(str::to_owned).collect());
    tries.into_iter().find(|words: &Vec<String>| {
        let mut trial = Command::new(&words[0]);
        // Not only may it have mounts of its own, it can also make one.
        trial.args(&words[1..]).args(["mount", "-t", "tmpfs", "none", "/mnt"]);
        trial.output().is_ok_and(|output| output.status.success())
    })
}

impl Stage {
    /// Sets one of the running daemon's soft limits, such as `nofile`.
    pub(crate) fn limit(&self, what: &str, most: &str) {
        let limit = format!("--{what}={most}:");
        let done = Command::new("prlimit").args([&limit, "--pid", &self.process_id()]).status();
        assert!(done.unwrap().success(), "prlimit {limit}");
    }

    /// Lets a shell do something among the daemon's own mounts; `$0` is the `state_dir`.
    pub(crate) fn inside(&self, what: &str) {
        let id = self.process_id();
        let mut command = Command::new("nsenter");
        command.args(["-t", &id, "-m"]);
        if self.launch.within.iter().any(|word| word == "-Urm") {
            command.args(["-U", "--preserve-credentials"]);
        }
        let done = command.args(["sh", "-c", what]).arg(self.state_dir()).output().unwrap();
        assert!(done.status.success(), "{what}: {done:?}");
    }
}

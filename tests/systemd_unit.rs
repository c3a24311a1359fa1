//! The unit: what systemd's own tools say of it, and that it agrees with the program that it starts.
#![cfg(test)] // makes clippy take the helpers below for tests too

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use pointsman::config;

/// What `systemd-analyze security` may say at worst, of 10. A service that needs the network cannot come below 1.
const EXPOSURE_MAX: f64 = 1.5;
/// The first systemd that knows `Type=notify-reload`.
const NOTIFY_RELOAD_SINCE: u32 = 253;
/// What the program was seen to call in failovers, on x86-64 with glibc; and what `SQLite`, the name service and the
/// standard library call besides.
const CALLED: &str = "accept4 access arch_prctl bind brk clone clone3 close connect epoll_create1 epoll_ctl epoll_wait \
    eventfd2 execve exit exit_group fcntl fstat futex getdents64 getpeername getpid getrandom getsockname getsockopt \
    gettid ioctl listen lseek madvise mkdir mmap mprotect munmap newfstatat openat poll prctl pread64 prlimit64 read \
    readlinkat recvfrom rseq rt_sigaction rt_sigprocmask rt_sigreturn sched_getaffinity sendto set_robust_list \
    set_tid_address setsockopt shutdown sigaltstack socket socketpair statx unlinkat write writev \
    chmod clock_nanosleep fchmod fdatasync flock fsync ftruncate getcwd geteuid mremap pwrite64 recvmsg rename \
    sched_yield sendmmsg sendmsg tgkill unlink";

#[test]
fn systemd_has_nothing_to_say_against_it() {
    let Some(version) = systemd_analyze_version() else { return };
    let installed = Installed::new();
    let said = installed.analyze(&["verify", "--man=no"]).1;
    let objections: Vec<&str> = said.lines().filter(|line| !is_of_an_older_systemd(version, line)).collect();
    assert!(objections.is_empty(), "{objections:#?}");
}

#[test]
fn systemd_finds_it_less_exposed_than_most() {
    if systemd_analyze_version().is_none() {
        return;
    }
    let (status, said) = Installed::new().analyze(&["security", "--offline=true", "--no-pager"]);
    let overall =
        said.lines().find_map(|line| line.split_once("Overall exposure level for pointsman.service: "));
    let level = overall.and_then(|(_, level)| level.split(' ').next()?.parse::<f64>().ok());
    let Some(level) = level else { panic!("{status}, no level in:\n{said}") };
    assert!(level <= EXPOSURE_MAX, "{level} is more than {EXPOSURE_MAX}; ✗ marks what costs most:\n{said}");
}

#[test]
fn what_the_program_calls_is_let_through() {
    if systemd_analyze_version().is_none() {
        return;
    }
    let unit = Unit::read("pointsman.service");
    let mut allowed = BTreeSet::new();
    for filter in unit.all("SystemCallFilter") {
        match filter.strip_prefix('~') {
            Some(denied) => {
                let denied = system_calls(denied);
                allowed.retain(|call| !denied.contains(call));
            }
            None => allowed.extend(system_calls(filter)),
        }
    }
    assert!(!allowed.contains("mount") && !allowed.contains("ptrace"), "not a filter: {allowed:?}");
    let refused: Vec<&str> =
        CALLED.split(' ').filter(|call| !call.is_empty() && !allowed.contains(*call)).collect();
    assert!(refused.is_empty(), "{refused:?}");
}

#[test]
fn it_says_each_thing_once() {
    for file in ["pointsman.service", "pointsman-before-253.conf", "pointsman-port-53.conf"] {
        let mut said = BTreeSet::new();
        for (section, key, _) in Unit::read(file).entries {
            let again = !said.insert((section, key.clone()));
            // The second filter takes out of the first.
            assert!(!again || key == "SystemCallFilter", "{file}: {key} is given twice");
        }
    }
}

#[test]
fn port_53_takes_one_capability_and_costs_little() {
    let drop_in = Unit::read("pointsman-port-53.conf");
    for (key, value) in [
        ("CapabilityBoundingSet", "CAP_NET_BIND_SERVICE"),
        ("AmbientCapabilities", "CAP_NET_BIND_SERVICE"),
        ("PrivateUsers", "no"), // else it would hold for no port of the machine
    ] {
        assert_eq!(drop_in.one(key), value);
    }
    assert_eq!(drop_in.entries.len(), 3);
    if systemd_analyze_version().is_none() {
        return;
    }
    let installed = Installed::new();
    let unit = installed.directory.path().join("pointsman.service");
    let whole = fs::read_to_string(&unit).unwrap() + &read("pointsman-port-53.conf");
    fs::write(&unit, whole).unwrap();
    let (status, said) = installed.analyze(&["security", "--offline=true", "--no-pager"]);
    let level = said.split_once("Overall exposure level for pointsman.service: ");
    let level = level.and_then(|(_, level)| level.split(' ').next()?.parse::<f64>().ok());
    assert!(level.is_some_and(|level| level <= EXPOSURE_MAX + 0.5), "{status}: {said}");
}

#[test]
fn a_reload_is_one_signal_whatever_the_systemd() {
    let (unit, older) = (Unit::read("pointsman.service"), Unit::read("pointsman-before-253.conf"));
    assert_eq!((unit.one("Type"), unit.one("NotifyAccess")), ("notify-reload", "main"));
    assert_eq!(unit.all("ExecReload").count(), 0);
    assert_eq!((older.one("Type"), older.one("ExecReload")), ("notify", "/bin/sh -c 'kill -HUP $MAINPID'"));
}

#[test]
fn its_user_and_directories_are_those_that_are_set_up_and_those_that_the_program_expects() {
    let unit = Unit::read("pointsman.service");
    let user = unit.one("User");
    assert_eq!((user, unit.one("Group")), ("pointsman", "pointsman"));
    assert!(read("pointsman.sysusers").lines().any(|line| line.starts_with(&format!("u {user} - "))));

    // It has no word on the daemon.
    let example = PathBuf::from_iter([env!("CARGO_MANIFEST_DIR"), "config", "pointsman.toml"]);
    let daemon = config::load(&example).unwrap().config.daemon;
    assert_eq!(daemon.state_dir, Path::new("/var/lib").join(unit.one("StateDirectory")));
    assert_eq!(daemon.control, Path::new("/run").join(unit.one("RuntimeDirectory")).join("control.sock"));
    let starts: Vec<&str> = unit.one("ExecStart").split(' ').collect();
    let [program, "run", "--config", configuration] = *starts else { panic!("{starts:?}") };
    assert_eq!(program, "/usr/bin/pointsman");
    let directory = Path::new(configuration).parent().unwrap().to_str().unwrap();
    let set_up = format!("d {directory} 0750 root {user}");
    assert!(read("pointsman.tmpfiles").lines().any(|line| line == set_up), "no {set_up:?}");
    let help = Command::new(env!("CARGO_BIN_EXE_pointsman")).args(["run", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(help.contains(&format!("[default: {configuration}]")), "{help}");
}

#[test]
fn what_is_its_own_is_shown_to_nobody_else() {
    let unit = Unit::read("pointsman.service");
    for (key, value) in [
        ("LimitCORE", "0"),
        ("UMask", "0077"),
        ("StateDirectoryMode", "0700"),
        ("RuntimeDirectoryMode", "0750"),
        ("CapabilityBoundingSet", ""),
        ("NoNewPrivileges", "yes"),
        ("ProtectProc", "invisible"),
    ] {
        assert_eq!(unit.one(key), value, "{key}");
    }
}

#[test]
fn it_is_given_the_time_to_stop_and_never_given_up() {
    let unit = Unit::read("pointsman.service");
    let stop = Duration::from_secs(unit.one("TimeoutStopSec").parse().unwrap());
    assert!(Duration::from_secs(5) < stop && stop < Duration::from_secs(15), "{stop:?}");
    assert_eq!((unit.one("Restart"), unit.one("StartLimitIntervalSec")), ("on-failure", "0"));
}

/// The unit as it is once installed, save for the program's place, in a directory of its own.
struct Installed {
    directory: tempfile::TempDir,
}

impl Installed {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let program = env!("CARGO_BIN_EXE_pointsman");
        let unit = read("pointsman.service").replace("/usr/bin/pointsman", program);
        assert!(unit.contains(&format!("ExecStart={program} ")));
        fs::write(directory.path().join("pointsman.service"), unit).unwrap();
        Self { directory }
    }

    /// How a command of `systemd-analyze` ended on it, and all that it said.
    fn analyze(&self, arguments: &[&str]) -> (ExitStatus, String) {
        let unit = self.directory.path().join("pointsman.service");
        let output = Command::new("systemd-analyze").args(arguments).arg(unit).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status, String::from_utf8(said).unwrap())
    }
}

/// None when the tool is not here, which is said.
fn systemd_analyze_version() -> Option<u32> {
    let output = Command::new("systemd-analyze").arg("--version").output();
    let said = output.ok().filter(|output| output.status.success()).map(|output| output.stdout);
    let said = said.and_then(|said| String::from_utf8(said).ok());
    let version = said.and_then(|said| said.split_whitespace().nth(1)?.parse().ok());
    if version.is_none() {
        println!("not checked: systemd-analyze does not run here; it is in Debian's package systemd");
    }
    version
}

/// The one objection that an older systemd has, for which there is the drop-in.
fn is_of_an_older_systemd(version: u32, line: &str) -> bool {
    version < NOTIFY_RELOAD_SINCE && line.ends_with("Failed to parse service type, ignoring: notify-reload")
}

/// The system calls of a line of `SystemCallFilter`, groups taken apart.
fn system_calls(filter: &str) -> BTreeSet<String> {
    let (mut left, mut calls) = (vec![filter.to_owned()], BTreeSet::new());
    while let Some(words) = left.pop() {
        for word in words.split_whitespace() {
            if !word.starts_with('@') {
                calls.insert(word.to_owned());
                continue;
            }
            let output = Command::new("systemd-analyze").args(["syscall-filter", word]).output().unwrap();
            assert!(output.status.success(), "{word} is no group: {output:?}");
            let said = String::from_utf8(output.stdout).unwrap();
            let inside = said.lines().filter(|line| line.starts_with("    ") && !line.contains('#'));
            left.push(inside.collect::<Vec<_>>().join(" "));
        }
    }
    calls
}

/// A unit's lines.
struct Unit {
    file: String,
    entries: Vec<(String, String, String)>,
}

impl Unit {
    fn read(file: &str) -> Self {
        let (mut section, mut entries) = (String::new(), Vec::new());
        for line in
            read(file).lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            if let Some(name) = line.strip_prefix('[') {
                section = name.trim_end_matches(']').to_owned();
            } else {
                let (key, value) = line.split_once('=').unwrap();
                entries.push((section.clone(), key.to_owned(), value.to_owned()));
            }
        }
        Self { file: file.to_owned(), entries }
    }

    fn all(&self, key: &str) -> impl Iterator<Item = &str> {
        self.entries.iter().filter(move |entry| entry.1 == key).map(|entry| &*entry.2)
    }

    fn one(&self, key: &str) -> &str {
        self.all(key).next().unwrap_or_else(|| panic!("{} has no {key}", self.file))
    }
}

/// A file of the folder `systemd`.
fn read(file: &str) -> String {
    fs::read_to_string(PathBuf::from_iter([env!("CARGO_MANIFEST_DIR"), "systemd", file])).unwrap()
}

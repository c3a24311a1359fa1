use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use pointsman::clock::instant_now;

/// Past this a server does not come up.
const START_WITHIN: Duration = Duration::from_secs(20);
const BLINK: Duration = Duration::from_millis(10);

/// A zone of a [`Knot`].
pub(crate) enum KnotZone<'a> {
    /// Primary: lines of its file, and who may do what, as an `acl` of Knot's: `key`, `action` and the like, one a line.
    Primary { zone: &'a str, records: &'a [&'a str], acl: &'a [&'a str] },
    /// Copied from a primary with the key `pointsman.`, at each NOTIFY of it.
    Secondary { zone: &'a str, primary: SocketAddr },
}

/// A running `knotd` on a free port of loopback, in a folder of its own; killed when dropped.
pub(crate) struct Knot {
    pub(crate) address: SocketAddr,
    folder: tempfile::TempDir,
    child: Child,
}

impl Knot {
    /// Starts it; keys are names with their secrets, of hmac-sha256. A primary's zone is served when this returns, a
    /// secondary's soon after.
    pub(crate) async fn start(keys: &[(&str, &str)], zones: &[KnotZone<'_>]) -> Self {
        let deadline = instant_now() + START_WITHIN;
        loop {
            let folder = tempfile::tempdir().unwrap();
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let address = free.local_addr().unwrap();
            drop(free);
            fs::write(folder.path().join("knot.conf"), configuration(folder.path(), address, keys, zones))
                .unwrap();
            fs::create_dir(folder.path().join("db")).unwrap();
            let child = spawn(folder.path());
            let mut knot = Self { address, folder, child };
            if knot.is_up(deadline).await {
                return knot;
            }
        }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("knot.log")).unwrap()
    }

    pub(crate) fn kill(&mut self) {
        // It may have ended already.
        self.child.kill().ok();
        self.child.wait().unwrap();
    }

    /// After [`Knot::kill`]: at the same address, with the zones as they were.
    pub(crate) async fn start_again(&mut self) {
        self.child = spawn(self.folder.path());
        assert!(self.is_up(instant_now() + START_WITHIN).await, "{}", self.log());
    }

    /// False when somebody else has taken its port.
    async fn is_up(&mut self, deadline: tokio::time::Instant) -> bool {
        loop {
            let log = self.log();
            if log.contains("cannot bind address") {
                return false;
            }
            assert!(instant_now() < deadline && self.child.try_wait().unwrap().is_none(), "{log}");
            // Its sockets are open by then: nobody else can answer.
            if log.contains("server started") && TcpStream::connect(self.address).is_ok() {
                return true;
            }
            tokio::time::sleep(BLINK).await;
        }
    }
}

impl Drop for Knot {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(folder: &Path) -> Child {
    let log = File::create(folder.join("knot.log")).unwrap();
    let mut command = Command::new("/usr/sbin/knotd");
    command.arg("-c").arg(folder.join("knot.conf")).stdin(Stdio::null()).stdout(log.try_clone().unwrap());
    command.stderr(log).spawn().expect("this test needs knotd; please do: apt-get install knot")
}

fn configuration(
    folder: &Path,
    address: SocketAddr,
    keys: &[(&str, &str)],
    zones: &[KnotZone<'_>],
) -> String {
    let folder = folder.display();
    let mut text = format!(
        "server:
    rundir: {folder}
    listen: 127.0.0.1@{}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
control:
    listen: {folder}/knot.sock
log:
  - target: stderr
    any: info
database:
    storage: {folder}/db
    journal-db-max-size: 16M
    kasp-db-max-size: 16M
    timer-db-max-size: 16M
    catalog-db-max-size: 16M
key:
",
        address.port()
    );
    let line = |text: &mut String, line: std::fmt::Arguments<'_>| writeln!(text, "{line}").unwrap();
    for (name, secret) in keys {
        line(&mut text, format_args!("  - id: {name}\n    algorithm: hmac-sha256\n    secret: {secret}"));
    }
    let (mut remotes, mut acls, mut served) = (String::new(), String::new(), String::new());
    for (number, zone) in zones.iter().enumerate() {
        match zone {
            KnotZone::Primary { zone, records, acl } => {
                let file = format!("{folder}/zone{number}.db");
                let head = format!(
                    "$ORIGIN {zone}\n$TTL 300\n@ SOA ns1 hostmaster 1 3600 600 86400 30\n@ NS ns1\nns1 A 127.0.0.1\n"
                );
                fs::write(&file, head + &records.join("\n") + "\n").unwrap();
                line(&mut served, format_args!("  - domain: {zone}\n    file: {file}"));
                if !acl.is_empty() {
                    line(&mut acls, format_args!("  - id: acl{number}\n    {}", acl.join("\n    ")));
                    line(&mut served, format_args!("    acl: acl{number}"));
                }
            }
            KnotZone::Secondary { zone, primary } => {
                let at = format!("{}@{}", primary.ip(), primary.port());
                line(
                    &mut remotes,
                    format_args!("  - id: primary{number}\n    address: {at}\n    key: pointsman."),
                );
                line(&mut acls, format_args!("  - id: acl{number}\n    key: pointsman.\n    action: notify"));
                line(
                    &mut served,
                    format_args!(
                        "  - domain: {zone}\n    file: {folder}/zone{number}.db\n    \
                         master: primary{number}\n    acl: acl{number}"
                    ),
                );
            }
        }
    }
    for (section, entries) in [("remote", remotes), ("acl", acls), ("zone", served)] {
        if !entries.is_empty() {
            line(&mut text, format_args!("{section}:\n{}", entries.trim_end()));
        }
    }
    text
}

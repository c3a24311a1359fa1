//! A real name server, BIND's `named`, on loopback: primary of zones that take signed updates.
//!
//! For `pointsman demo --dns rfc2136` and for tests. All that it reads and writes lies in a folder given to it; it is
//! gone when it is dropped. Start at [`NameServer::start`].

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};

use crate::clock::instant_now;
use crate::config::{TsigAlgorithm, TsigKey};
use crate::model::{Fqdn, Secret};

/// Past this it does not come up; it needs a twentieth of a second.
const START_WITHIN: Duration = Duration::from_secs(20);
/// How often is looked whether it is up.
const BLINK: Duration = Duration::from_millis(10);
/// How often a port is looked for that nobody else takes before the server does.
const PORT_TRIES: usize = 5;
/// Where Debian has it; not on everybody's PATH.
const PROGRAM: &str = "/usr/sbin/named";

/// A zone of a [`NameServer`].
#[derive(Clone, Debug)]
pub struct PrimaryZone {
    /// Its name.
    pub zone: Fqdn,
    /// Lines of its file beside SOA, NS and the name server's address, such as `demo 30 A 127.0.2.10`.
    pub records: Vec<String>,
    /// Who may change it.
    pub updates: Updates,
}

/// Whose updates a [`PrimaryZone`] takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Updates {
    /// Those of A and AAAA anywhere in the zone, signed with the server's key.
    Signed,
    /// Nobody's.
    Refused,
}

/// Why there is no name server.
#[derive(Debug, thiserror::Error)]
pub enum NameServerError {
    /// The program is not installed.
    #[error("BIND's named is not at {PROGRAM}; install it with: apt-get install bind9")]
    Missing,
    /// Its folder, its files or its port.
    #[error("cannot start {PROGRAM} in {folder}")]
    Io {
        /// Where.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It ended, or never said that it runs.
    #[error("{PROGRAM} {what}; its log is {log}, which ends: {end}")]
    NotUp {
        /// What it did instead.
        what: String,
        /// Its log.
        log: PathBuf,
        /// The log's last line.
        end: String,
    },
}

/// A running `named`; killed when dropped.
#[derive(Debug)]
pub struct NameServer {
    folder: PathBuf,
    address: SocketAddr,
    child: Child,
}

impl NameServer {
    /// Starts it at a free port of 127.0.0.1, in an empty folder; when this returns, it answers. `key` is the one that
    /// updates are signed with; its secret is read from its file and copied into the folder, into a file that only its owner reads.
    ///
    /// # Errors
    /// When the program is not there, or does not come up within 20 s.
    pub async fn start(folder: &Path, zones: &[PrimaryZone], key: &TsigKey) -> Result<Self, NameServerError> {
        let at = |source| NameServerError::Io { folder: folder.to_owned(), source };
        if !Path::new(PROGRAM).exists() {
            return Err(NameServerError::Missing);
        }
        // Where Debian's AppArmor profile is in force it holds for the program under its own path, and forbids it
        // every folder but its own.
        fs::copy(PROGRAM, folder.join("named")).map_err(at)?;
        for (number, zone) in zones.iter().enumerate() {
            fs::write(folder.join(zone_file(number)), zone_text(zone)).map_err(at)?;
        }
        let secret = Secret::new(fs::read_to_string(&key.secret_file).map_err(at)?);
        let deadline = instant_now() + START_WITHIN;
        let mut tries = 0;
        loop {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(at)?;
            let address = free.local_addr().map_err(at)?;
            drop(free);
            write_closed(&folder.join("named.conf"), &configuration(folder, address, zones, key, &secret))
                .map_err(at)?;
            let child = spawn(folder, deadline).await.map_err(at)?;
            let mut server = Self { folder: folder.to_owned(), address, child };
            match server.until_up(deadline).await {
                Err(NameServerError::NotUp { .. }) if server.port_was_taken() && tries < PORT_TRIES => {
                    tries += 1;
                }
                other => return other.map(|()| server),
            }
        }
    }

    /// Where it answers, over UDP and TCP.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has logged.
    ///
    /// # Errors
    /// When its log cannot be read.
    pub fn log(&self) -> io::Result<String> {
        fs::read_to_string(self.log_file())
    }

    /// Ends it as a crash would; the zones stay as its folder holds them.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub fn kill(&mut self) -> io::Result<ExitStatus> {
        self.child.kill()?;
        self.child.wait()
    }

    /// Starts it anew after [`NameServer::kill`], at the same address and with the zones as they were.
    ///
    /// # Errors
    /// As [`NameServer::start`].
    pub async fn start_again(&mut self) -> Result<(), NameServerError> {
        let deadline = instant_now() + START_WITHIN;
        self.child = spawn(&self.folder, deadline)
            .await
            .map_err(|source| NameServerError::Io { folder: self.folder.clone(), source })?;
        self.until_up(deadline).await
    }

    async fn until_up(&mut self, deadline: Instant) -> Result<(), NameServerError> {
        loop {
            let ended = self.child.try_wait();
            let log = self.log().unwrap_or_default();
            let what = match ended {
                Ok(Some(status)) => format!("ended at once ({status})"),
                Ok(None) | Err(_) if port_was_taken(&log) => "found its port taken".to_owned(),
                Ok(None) | Err(_) if log.contains("not loaded due to errors") => {
                    "did not take a zone's file".to_owned()
                }
                Ok(None) | Err(_) if instant_now() > deadline => {
                    format!("was not up within {} s", START_WITHIN.as_secs())
                }
                Ok(None) | Err(_) => {
                    // Its sockets are open by then: nobody else can answer.
                    if log.contains(" running\n") && TcpStream::connect(self.address).await.is_ok() {
                        return Ok(());
                    }
                    sleep(BLINK).await;
                    continue;
                }
            };
            let end = log.lines().last().unwrap_or("(nothing)").to_owned();
            return Err(NameServerError::NotUp { what, log: self.log_file(), end });
        }
    }

    fn port_was_taken(&self) -> bool {
        self.log().is_ok_and(|log| port_was_taken(&log))
    }

    fn log_file(&self) -> PathBuf {
        self.folder.join("named.log")
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        // It may have ended already.
        self.kill().ok();
    }
}

fn port_was_taken(log: &str) -> bool {
    log.contains("address in use")
}

/// Starts the copy of the program. While another thread of this process forks, it may hold the copy open for writing.
async fn spawn(folder: &Path, deadline: Instant) -> io::Result<Child> {
    loop {
        let log = File::create(folder.join("named.log"))?;
        let mut command = Command::new(folder.join("named"));
        command.arg("-g").arg("-c").arg(folder.join("named.conf"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        match command.spawn() {
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy && instant_now() < deadline => {
                sleep(BLINK).await;
            }
            spawned => return spawned,
        }
    }
}

fn write_closed(path: &Path, text: &Secret) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.expose().as_bytes())
}

fn zone_file(number: usize) -> String {
    format!("zone{number}.db")
}

fn zone_text(zone: &PrimaryZone) -> String {
    let mut text = format!(
        "$ORIGIN {}\n$TTL 300\n@ SOA ns1 hostmaster 1 3600 600 86400 30\n@ NS ns1\nns1 A 127.0.0.1\n",
        zone.zone
    );
    for record in &zone.records {
        text.push_str(record);
        text.push('\n');
    }
    text
}

fn configuration(
    folder: &Path,
    address: SocketAddr,
    zones: &[PrimaryZone],
    key: &TsigKey,
    secret: &Secret,
) -> Secret {
    let algorithm = match key.algorithm {
        TsigAlgorithm::HmacSha256 => "hmac-sha256",
        TsigAlgorithm::HmacSha384 => "hmac-sha384",
        TsigAlgorithm::HmacSha512 => "hmac-sha512",
    };
    let mut text = format!(
        "options {{\n    directory \"{}\";\n    listen-on port {} {{ 127.0.0.1; }};\n    \
         listen-on-v6 {{ none; }};\n    recursion no;\n    dnssec-validation no;\n    notify no;\n    \
         allow-transfer {{ none; }};\n    pid-file none;\n    session-keyfile none;\n}};\n\
         controls {{ }};\nkey \"{}\" {{ algorithm {algorithm}; secret \"{}\"; }};\n",
        folder.display(),
        address.port(),
        key.name,
        secret.expose()
    );
    for (number, zone) in zones.iter().enumerate() {
        let grants = match zone.updates {
            Updates::Signed => format!("update-policy {{ grant {} zonesub A AAAA; }};", key.name),
            Updates::Refused => "allow-update { none; };".to_owned(),
        };
        writeln!(
            text,
            "zone \"{}\" {{ type primary; file \"{}\"; {grants} }};",
            zone.zone,
            zone_file(number)
        )
        .ok(); // A String takes all that is written.
    }
    Secret::new(text)
}

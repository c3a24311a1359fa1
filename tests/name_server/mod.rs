//! Real name servers on loopback: BIND's as the demo starts it, Knot's, and what `dig` gets from them; and one that refuses.
#![expect(dead_code, reason = "each test crate uses the part it needs")]

mod between;
mod contrary;
mod knot;
mod site;

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::Command;

use pointsman::config::{TsigAlgorithm, TsigKey};
use pointsman::model::Fqdn;
use pointsman::sim::{NameServer, PrimaryZone, Updates};

#[expect(unused_imports, reason = "each test crate uses the part it needs")]
pub(crate) use self::{
    between::{Between, Trouble},
    contrary::Contrary,
    knot::{Knot, KnotZone},
    site::{CLOSED, Site, WITHIN, ZONE, deadline, demo},
};

pub(crate) const SECRET: &str = "dGhpcyBrZXkgaXMgZm9yIHRlc3RzIG9uIGxvb3BiYWNrIQ==";

/// A key with its secret in a file of that folder.
pub(crate) fn key(folder: &Path, name: &str, secret: &str) -> TsigKey {
    let secret_file = folder.join(format!("{name}key"));
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&secret_file).unwrap();
    writeln!(file, "{secret}").unwrap();
    TsigKey { name: Fqdn::parse(name).unwrap(), algorithm: TsigAlgorithm::HmacSha256, secret_file }
}

/// A zone that takes updates, with these lines in its file.
pub(crate) fn primary(zone: &str, records: &[&str]) -> PrimaryZone {
    PrimaryZone {
        zone: Fqdn::parse(zone).unwrap(),
        records: records.iter().map(ToString::to_string).collect(),
        updates: Updates::Signed,
    }
}

/// BIND with one zone that takes updates, in its own folder.
pub(crate) struct Bind {
    pub(crate) server: NameServer,
    pub(crate) key: TsigKey,
    pub(crate) folder: tempfile::TempDir,
}

impl Bind {
    pub(crate) async fn start(zones: &[PrimaryZone]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = key(folder.path(), "pointsman.", SECRET);
        let server = NameServer::start(folder.path(), zones, &key).await.unwrap_or_else(|error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            panic!("{error} {cause}")
        });
        Self { server, key, folder }
    }
}

/// What `dig` prints, asked over TCP without recursion; fails when nobody answers within 5 s.
pub(crate) fn dig(server: SocketAddr, arguments: &[&str]) -> String {
    let mut command = Command::new("dig");
    command.arg(format!("@{}", server.ip())).args(["-p", &server.port().to_string()]);
    command.args(["+tcp", "+norecurse", "+time=5", "+tries=1"]).args(arguments);
    let output = command.output().expect("this test needs dig; please do: apt-get install bind9-dnsutils");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{command:?}: {text}");
    text
}

/// The addresses at a name, in order; none when there are none.
pub(crate) fn addresses(server: SocketAddr, name: &Fqdn, record_type: &str) -> Vec<IpAddr> {
    let text = dig(server, &["+short", name.as_str(), record_type]);
    let mut addresses: Vec<IpAddr> = text.lines().map(|line| line.parse().unwrap()).collect();
    addresses.sort_unstable();
    addresses
}

use std::net::SocketAddr;
use std::path::PathBuf;

use hickory_proto::rr::RData;

use crate::model::{CloudName, Fqdn, Ttl};

/// A `[dns.NAME]` section: where record sets live, and who is asked what clients get of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// What kind of place it is.
    pub kind: ProviderKind,
    /// The resolvers that are asked what clients get, each once. Default none: nobody is asked.
    pub witnesses: Vec<SocketAddr>,
}

impl Provider {
    /// The zone's name.
    #[must_use]
    pub fn zone(&self) -> &Fqdn {
        match &self.kind {
            ProviderKind::Huawei(HuaweiZone { zone, .. })
            | ProviderKind::Rfc2136(Rfc2136Zone { zone, .. })
            | ProviderKind::Embedded(EmbeddedZone { zone, .. }) => zone,
        }
    }
}

/// The kinds of places where record sets live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProviderKind {
    /// `kind = "huawei"`: a zone of Huawei Cloud DNS.
    Huawei(HuaweiZone),
    /// `kind = "rfc2136"`: a zone of a server that takes dynamic updates.
    Rfc2136(Rfc2136Zone),
    /// `kind = "embedded"`: a zone that the daemon serves itself.
    Embedded(EmbeddedZone),
}

/// A zone of Huawei Cloud DNS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HuaweiZone {
    /// The account.
    pub cloud: CloudName,
    /// The cloud's region whose DNS endpoint is asked. Default: the account's `region`.
    pub cloud_region: String,
    /// The zone's name.
    pub zone: Fqdn,
    /// Private or public.
    pub zone_type: ZoneType,
}

/// The types of zones that Huawei Cloud DNS has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZoneType {
    /// Seen within VPCs.
    Private,
    /// Seen by all.
    Public,
}

/// A zone of a server that takes dynamic updates (RFC 2136), signed (TSIG, RFC 8945).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rfc2136Zone {
    /// The zone's primary server; asked and updated over TCP.
    pub server: SocketAddr,
    /// The zone's name.
    pub zone: Fqdn,
    /// What requests are signed with.
    pub tsig: TsigKey,
}

/// A key that signs messages of DNS (TSIG).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TsigKey {
    /// Its name, which the other side knows it by.
    pub name: Fqdn,
    /// Its algorithm.
    pub algorithm: TsigAlgorithm,
    /// The file that holds its secret, in base64; closed to all but owner and group.
    pub secret_file: PathBuf,
}

/// The algorithms of TSIG that are taken: those that RFC 8945 has not given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TsigAlgorithm {
    /// `hmac-sha256`.
    HmacSha256,
    /// `hmac-sha384`.
    HmacSha384,
    /// `hmac-sha512`.
    HmacSha512,
}

/// A zone that the daemon serves itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbeddedZone {
    /// Where it is served, over UDP and TCP; at least one.
    pub listen: Vec<SocketAddr>,
    /// The zone's name.
    pub zone: Fqdn,
    /// The zone's own name servers; at least one.
    pub ns: Vec<Fqdn>,
    /// What stands in it beside the record sets of services.
    pub records: Vec<StaticRecord>,
    /// Who may copy the zone, and is told of every change.
    pub secondaries: Vec<Secondary>,
}

/// One of the records of an embedded zone that no service keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticRecord {
    /// Its name, within the zone. No service keeps a record set of that name and type; none that has a CNAME has anything else.
    pub name: Fqdn,
    /// Its TTL.
    pub ttl: Ttl,
    /// Its data; no SOA, and no NS of the zone itself.
    pub data: RData,
}

/// A name server that copies an embedded zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secondary {
    /// Where it is told of changes.
    pub address: SocketAddr,
    /// What it signs its requests with, and answers to it are.
    pub tsig: TsigKey,
}

//! What a simulated cloud is made of when it starts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::ids;
use crate::model::Secret;

/// A simulated cloud, before it starts. Begin with [`Setup::two_regions`] and change fields.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Where the API listens; port 0 takes a free one. Default 127.0.0.1:0.
    pub bind: SocketAddr,
    /// Where the private zone is served, UDP and TCP; port 0 takes a free one. Default 127.0.0.1:0.
    pub dns_bind: SocketAddr,
    /// The account's access key.
    pub access_key: String,
    /// The account's secret key.
    pub secret_key: Secret,
    /// Whether the machine has an agency, that is, whether the metadata service hands out temporary keys.
    pub agency: bool,
    /// Whether the metadata service hands out tokens. A machine without token mode answers 404.
    pub metadata_tokens: bool,
    /// How long temporary keys last. Default 24 h.
    pub keys_last: Duration,
    /// The name of the zone that matters, with its final dot.
    pub zone: String,
    /// Who sees that zone. Default private.
    pub zone_type: ZoneType,
    /// The name in it that the regions serve, with its final dot; its type is A.
    pub record: String,
    /// The record set's TTL, in seconds.
    pub ttl: u32,
    /// What the record set holds at first. Left out: every region's EIP. Empty: there is no such record set.
    pub values: Option<Vec<IpAddr>>,
    /// Further record sets of the name that matters, which line, weight or type tell apart.
    pub more_sets: Vec<MoreSet>,
    /// Record sets of other people in the same zone, among them names that a fuzzy search finds too.
    pub neighbours: Vec<Neighbour>,
    /// Further zones, among them names that a fuzzy search finds too.
    pub other_zones: Vec<OtherZone>,
    /// From an accepted write until it is in force and the record set ACTIVE. Default 300 ms.
    pub settle: Duration,
    /// What happens to a write while the last one is still PENDING.
    pub pending_writes: PendingWrites,
    /// How long the load balancers' health monitors take to notice a change. Default 1 s; whole seconds make
    /// the health monitors that the API shows agree.
    pub notice: Duration,
    /// The regions; all on loopback addresses of their own.
    pub regions: Vec<RegionSetup>,
}

/// One region of a [`Setup`]. Begin with [`RegionSetup::new`].
#[derive(Clone, Debug)]
pub struct RegionSetup {
    /// Our name for it, as in a configuration.
    pub name: String,
    /// The cloud's name for it, such as `cn-north-4`. Regions of one cloud region share a project.
    pub cloud_region: String,
    /// The project of that cloud region.
    pub project_id: String,
    /// The load balancer's id.
    pub elb_id: String,
    /// The EIP bound to it at first: a loopback address that no other region has.
    pub eip: Ipv4Addr,
    /// The IPv6 EIP bound to it, if it has one. One on loopback is served; of any other the load balancer only says that it
    /// is there.
    pub eip6: Option<Ipv6Addr>,
    /// The listener's port. 0 takes a free one, the same for all regions that say 0.
    pub listener_port: u16,
    /// How many members the listener's default pool has; the pool behind its forwarding policy has one more
    /// when this is not 0.
    pub members: usize,
    /// Whether the pools have health monitors. Without, members are `NO_MONITOR` whatever happens to them.
    pub health_monitor: bool,
    /// Whether its load balancer is a dedicated one, or a shared one.
    pub dedicated: bool,
}

/// Somebody else's record set.
#[derive(Clone, Debug)]
pub struct Neighbour {
    /// Its name, with the final dot.
    pub name: String,
    /// Its type.
    pub record_type: String,
    /// Its values.
    pub values: Vec<String>,
}

/// One of several record sets of the name that matters.
#[derive(Clone, Debug)]
pub struct MoreSet {
    /// `A` or `AAAA`.
    pub record_type: String,
    /// The id of its line; `default_view` is everybody's.
    pub line: String,
    /// Its weight, 0 to 1000, if it has one.
    pub weight: Option<u16>,
    /// Its values.
    pub values: Vec<IpAddr>,
}

/// A zone beside the one that matters; it holds its SOA and NS alone.
#[derive(Clone, Debug)]
pub struct OtherZone {
    /// Its name, with the final dot.
    pub name: String,
    /// Who sees it.
    pub zone_type: ZoneType,
}

/// Who sees a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZoneType {
    /// The VPCs it is tied to.
    Private,
    /// Everybody.
    Public,
}

/// What happens to a write to a record set that is PENDING.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PendingWrites {
    /// It is refused with 409.
    Refused,
    /// It replaces the write before it.
    Accepted,
}

impl Setup {
    /// Two regions that serve `demo.localdev.me.`, on 127.0.1.10 and 127.0.2.20, at one free port.
    #[must_use]
    pub fn two_regions() -> Self {
        Self {
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            dns_bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            access_key: "SIMULATEDACCESSKEY00".to_owned(),
            secret_key: Secret::new("SimulatedSecretKeyThatOpensNothing000000"),
            agency: true,
            metadata_tokens: true,
            keys_last: Duration::from_secs(24 * 3600),
            zone: "localdev.me.".to_owned(),
            zone_type: ZoneType::Private,
            more_sets: Vec::new(),
            record: "demo.localdev.me.".to_owned(),
            ttl: 30,
            values: None,
            neighbours: vec![
                Neighbour::new("my-demo.localdev.me.", "A", &["192.0.2.2"]),
                Neighbour::new("demo.localdev.me.", "TXT", &["\"not yours\""]),
            ],
            other_zones: vec![
                OtherZone { name: "staging.localdev.me.".to_owned(), zone_type: ZoneType::Private },
                OtherZone { name: "localdev.me.".to_owned(), zone_type: ZoneType::Public },
            ],
            settle: Duration::from_millis(300),
            pending_writes: PendingWrites::Refused,
            notice: Duration::from_secs(1),
            regions: vec![
                RegionSetup::new("region1", "cn-north-4", Ipv4Addr::new(127, 0, 1, 10)),
                RegionSetup::new("region2", "cn-east-3", Ipv4Addr::new(127, 0, 2, 20)),
            ],
        }
    }

    /// The same regions in a public zone of that name; the private one is beside it.
    #[must_use]
    pub fn in_a_public_zone(mut self) -> Self {
        self.zone_type = ZoneType::Public;
        for other in self.other_zones.iter_mut().filter(|other| other.name == self.zone) {
            other.zone_type = ZoneType::Private;
        }
        self
    }
}

impl RegionSetup {
    /// A region with two members and one, health monitors, a free port and ids made from its name.
    #[must_use]
    pub fn new(name: &str, cloud_region: &str, eip: Ipv4Addr) -> Self {
        Self {
            name: name.to_owned(),
            cloud_region: cloud_region.to_owned(),
            project_id: ids::plain(&format!("project {cloud_region}")),
            elb_id: ids::uuid(&format!("elb {name}")),
            eip,
            eip6: None,
            listener_port: 0,
            members: 2,
            health_monitor: true,
            dedicated: true,
        }
    }
}

impl Neighbour {
    /// Somebody else's record set.
    #[must_use]
    pub fn new(name: &str, record_type: &str, values: &[&str]) -> Self {
        let values = values.iter().map(|&value| value.to_owned()).collect();
        Self { name: name.to_owned(), record_type: record_type.to_owned(), values }
    }
}

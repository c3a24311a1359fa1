//! EIP v3: public addresses and what they are bound to.

use std::net::IpAddr;

use serde::Deserialize;
use tokio::time::Instant;

use super::account::Account;
use super::call::{Call, segment};
use super::page::marker_list;
use super::wire::or_default;
use super::{Api, ApiError};

/// How many addresses a page asks for. Its maximum differs from site to site; 200 is the lowest seen.
const PAGE_LIMIT: &str = "200";

/// A public address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Eip {
    /// Its id.
    pub id: String,
    /// The address: the one asked for, else the IPv4 one where it has both; none when none can be read.
    pub address: Option<IpAddr>,
    /// `ACTIVE` or `ELB` (bound), `DOWN` (not bound), `FREEZED`, `BINDING`, …
    pub status: String,
    /// `ELB`, `PORT`, `NATGW`, …; none when it is bound to nothing.
    pub associate_instance_type: Option<String>,
    /// The id of what it is bound to.
    pub associate_instance_id: Option<String>,
    /// `police` or `locked` when it has been locked.
    pub lock_status: Option<String>,
}

#[derive(Deserialize)]
struct Wire {
    id: String,
    public_ip_address: Option<String>,
    public_ipv6_address: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    status: String,
    associate_instance_type: Option<String>,
    associate_instance_id: Option<String>,
    lock_status: Option<String>,
}

impl Wire {
    /// Its addresses, IPv4 first.
    fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        [&self.public_ip_address, &self.public_ipv6_address]
            .into_iter()
            .flatten()
            .filter_map(|a| a.parse().ok())
    }

    fn with_address(self, address: Option<IpAddr>) -> Eip {
        let told = |text: Option<String>| text.filter(|text| !text.is_empty());
        Eip {
            id: self.id,
            address,
            status: self.status,
            associate_instance_type: told(self.associate_instance_type),
            associate_instance_id: told(self.associate_instance_id),
            lock_status: told(self.lock_status),
        }
    }
}

marker_list!(PublicIps { publicips: Wire });

impl Account {
    /// The EIPs with exactly this address; normally one or none.
    ///
    /// # Errors
    /// As every call.
    pub async fn eips_by_address(
        &self,
        region: &str,
        address: IpAddr,
        deadline: Instant,
    ) -> Result<Vec<Eip>, ApiError> {
        let key = if address.is_ipv4() { "public_ip_address" } else { "public_ipv6_address" };
        let listed = self.public_ips(region, vec![(key, address.to_string())], deadline).await?;
        Ok(listed
            .into_iter()
            .filter(|eip| eip.addresses().any(|one| one == address))
            .map(|eip| eip.with_address(Some(address)))
            .collect())
    }

    /// The EIPs that are bound to this load balancer.
    ///
    /// # Errors
    /// As every call.
    pub async fn eips_of_elb(
        &self,
        region: &str,
        load_balancer: &str,
        deadline: Instant,
    ) -> Result<Vec<Eip>, ApiError> {
        let query = vec![
            ("associate_instance_type", "ELB".to_owned()),
            ("associate_instance_id", load_balancer.to_owned()),
        ];
        let listed = self.public_ips(region, query, deadline).await?;
        Ok(listed
            .into_iter()
            .filter(|eip| eip.associate_instance_id.as_deref() == Some(load_balancer))
            .map(|eip| {
                let address = eip.addresses().next();
                eip.with_address(address)
            })
            .collect())
    }

    async fn public_ips(
        &self,
        region: &str,
        mut query: Vec<(&'static str, String)>,
        deadline: Instant,
    ) -> Result<Vec<Wire>, ApiError> {
        query.push(("limit", PAGE_LIMIT.to_owned()));
        let project = self.project_id(region, deadline).await?;
        let path = format!("/v3/{}/eip/publicips", segment(&project));
        let call = Call::get(Api::Eip, region, "list public addresses", path, query).in_project(project);
        self.pages::<PublicIps>(call, deadline).await
    }
}

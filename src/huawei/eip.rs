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
    /// The address; none when it cannot be read. An EIP with both an IPv4 and an IPv6 address is told as two.
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

/// What an EIP is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding<'a> {
    /// The object of this id.
    To(&'a str),
    /// Nothing.
    Nothing,
    /// The status is of a change under way or an unknown word, or does not go with the association.
    InDoubt,
}

impl Eip {
    /// What it is bound to, as far as its status and its association agree.
    #[must_use]
    pub fn binding(&self) -> Binding<'_> {
        match (self.status.as_str(), self.associate_instance_id.as_deref()) {
            ("ACTIVE" | "ELB", Some(id)) => Binding::To(id),
            ("DOWN", None) => Binding::Nothing,
            _ => Binding::InDoubt,
        }
    }
}

#[derive(Clone, Deserialize)]
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

    /// The EIP once for each of its addresses, and once without when it has none that can be read.
    fn for_each_address(self) -> Vec<Eip> {
        let addresses: Vec<IpAddr> = self.addresses().collect();
        if addresses.is_empty() {
            return vec![self.with_address(None)];
        }
        addresses.into_iter().map(|address| self.clone().with_address(Some(address))).collect()
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

    /// The EIPs that are associated with this load balancer, whatever their status.
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
            .flat_map(Wire::for_each_address)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_that_changes_or_is_unknown_leaves_the_binding_in_doubt() {
        let eip = |status: &str, id: Option<&str>| Eip {
            id: "e".to_owned(),
            address: None,
            status: status.to_owned(),
            associate_instance_type: None,
            associate_instance_id: id.map(str::to_owned),
            lock_status: None,
        };
        for status in ["ACTIVE", "ELB"] {
            assert_eq!(eip(status, Some("lb")).binding(), Binding::To("lb"));
            assert_eq!(eip(status, None).binding(), Binding::InDoubt, "{status}");
        }
        assert_eq!(eip("DOWN", None).binding(), Binding::Nothing);
        assert_eq!(eip("DOWN", Some("lb")).binding(), Binding::InDoubt);
        let others = "FREEZED BIND_ERROR BINDING PENDING_CREATE PENDING_UPDATE PENDING_DELETE NOTIFYING \
            NOTIFY_DELETE ERROR VPN SOMETHING_NEW";
        for status in others.split_whitespace().chain([""]) {
            for id in [None, Some("lb")] {
                assert_eq!(eip(status, id).binding(), Binding::InDoubt, "{status}");
            }
        }
    }
}

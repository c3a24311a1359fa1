//! Record sets in a zone of a name server that takes dynamic updates (RFC 2136), signed with TSIG (RFC 8945).
//!
//! Everything goes to one server, the zone's primary, over TCP, a connection a call. Questions are signed too, so that
//! nobody else can answer them. An update requires what was read to be there still: the server compares and sets in one
//! step, and a lost race changes nothing. What an answer does not say clearly is not known (BLIND-IS-NOT-DOWN); an alias
//! at the name is never written over (ONLY-OURS). Start at [`Rfc2136Provider`].

mod answer;
mod call;
mod exchange;
mod request;
mod understand;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr as _;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, RData, RecordType as DnsType};
use tokio::time::Instant;

pub use self::call::Rfc2136Call;
use self::request::Prerequisite;
use self::understand::Errand;
use super::Provider;
use super::tsig::{Signer, TsigKeyError};
use crate::clock::wall_time;
use crate::config::Rfc2136Zone;
use crate::model::{
    Answer, Found, Fqdn, ProviderError, ProviderErrorKind, RecordKey, RecordSet, RecordType,
    addresses_in_words,
};

/// One zone of a name server.
#[derive(Debug)]
pub struct Rfc2136Provider {
    zone: Rfc2136Zone,
    signer: Signer,
}

impl Rfc2136Provider {
    /// The zone, with its key's secret read from its file. Nothing is asked here.
    ///
    /// # Errors
    /// When the secret cannot be read, others can read it, or it is none.
    pub fn new(zone: Rfc2136Zone) -> Result<Self, TsigKeyError> {
        let signer = Signer::load(&zone.tsig)?;
        Ok(Self { zone, signer })
    }

    /// The serial number of the zone's SOA: the server serves it with authority, and takes the key.
    ///
    /// # Errors
    /// As [`Provider::read`].
    pub async fn serial(&self, deadline: Instant) -> Result<u32, ProviderError> {
        let errand = self.errand("read the SOA".to_owned());
        let apex = name_of(&self.zone.zone, &errand)?;
        let request = request::question(apex.clone(), DnsType::SOA, &self.signer, wall_time())
            .map_err(|error| errand.failed(ProviderErrorKind::Refused, error))?;
        let call = Rfc2136Call {
            request,
            read: Box::new(move |answer| {
                let answer = answer.map_err(|failure| errand.unread(&failure))?;
                errand.believed(&answer)?;
                let own = answer.answers.iter().filter(|record| record.name == apex);
                let mut serials =
                    own.filter_map(
                        |record| if let RData::SOA(soa) = &record.data { Some(soa.serial) } else { None },
                    );
                let why = "the server has no zone of that name; `zone` must be the zone's own";
                serials.next().ok_or_else(|| errand.failed(ProviderErrorKind::Refused, why))
            }),
        };
        call.make(self.zone.server, deadline).await
    }

    /// Whether the key may change the record set, by an update that cannot be made: it requires that the zone's own name
    /// has no records. Servers judge the key first.
    ///
    /// # Errors
    /// As [`Provider::replace`].
    pub async fn may_update(&self, key: &RecordKey, deadline: Instant) -> Result<(), ProviderError> {
        let errand = self.errand(format!("update {key}"));
        let (name, apex) = (name_of(&key.name, &errand)?, name_of(&self.zone.zone, &errand)?);
        let nobodys = match key.record_type {
            RecordType::A => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            RecordType::Aaaa => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let required = request::required(&apex, Prerequisite::Unused);
        let changes = vec![request::without(&name, nobodys)];
        let request = request::update(apex, required, changes, &self.signer, wall_time())
            .map_err(|error| errand.failed(ProviderErrorKind::Refused, error))?;
        let call = Rfc2136Call {
            request,
            read: Box::new(move |answer| {
                let answer = answer.map_err(|failure| errand.unwritten(&failure))?;
                let code = answer.metadata.response_code;
                if code == ResponseCode::YXDomain {
                    Ok(())
                } else {
                    errand.made(code, "no record at the zone's name")
                }
            }),
        };
        call.make(self.zone.server, deadline).await
    }

    /// The question for a record set, signed at `now` (since 1970), and what its answer comes to.
    ///
    /// # Errors
    /// When it cannot be put into a message.
    pub fn ask(&self, key: &RecordKey, now: Duration) -> Result<Rfc2136Call<'static, Answer>, ProviderError> {
        let errand = self.errand(format!("read {key}"));
        let (name, zone) = (name_of(&key.name, &errand)?, name_of(&self.zone.zone, &errand)?);
        let asked = request::dns_type(key.record_type);
        let request = request::question(name.clone(), asked, &self.signer, now)
            .map_err(|error| errand.failed(ProviderErrorKind::Refused, error))?;
        let id = key.to_string();
        Ok(Rfc2136Call {
            request,
            read: Box::new(move |answer| {
                let answer = answer.map_err(|failure| errand.unread(&failure))?;
                errand.believed(&answer)?;
                understand::record_set(id, &name, &zone, asked, &answer)
                    .map_err(|(kind, why)| errand.failed(kind, why))
            }),
        })
    }

    /// The update that puts `set` in the place of what was found, or of nothing, signed at `now` (since 1970), and what its
    /// answer comes to.
    ///
    /// # Errors
    /// When it cannot be put into a message.
    pub fn change(
        &self,
        key: &RecordKey,
        found: Option<&Found>,
        set: &RecordSet,
        now: Duration,
    ) -> Result<Rfc2136Call<'static, Result<(), ProviderError>>, ProviderError> {
        let errand = self.errand(format!("write {key}"));
        let (name, zone) = (name_of(&key.name, &errand)?, name_of(&self.zone.zone, &errand)?);
        let asked = request::dns_type(key.record_type);
        let required = match found {
            Some(found) => request::required(&name, Prerequisite::Holds(&found.values)),
            // An address beside an alias would be passed over without a word (RFC 2136, section 3.4.2.2).
            None => [asked, DnsType::CNAME]
                .into_iter()
                .flat_map(|lacking| request::required(&name, Prerequisite::Lacks(lacking)))
                .collect(),
        };
        let in_words = match found {
            Some(found) => format!("it to hold {}", addresses_in_words(&found.values)),
            None => format!("no {asked} and no CNAME record there"),
        };
        let request =
            request::update(zone, required, request::replaced(&name, asked, set), &self.signer, now)
                .map_err(|error| errand.failed(ProviderErrorKind::Refused, error))?;
        Ok(Rfc2136Call {
            request,
            read: Box::new(move |answer| {
                let answer = answer.map_err(|failure| errand.unwritten(&failure))?;
                errand.made(answer.metadata.response_code, &in_words)
            }),
        })
    }

    fn errand(&self, what: String) -> Errand {
        Errand { what, of: self.to_string(), key: self.zone.tsig.name.to_string() }
    }

    async fn find(&self, key: &RecordKey, deadline: Instant) -> Answer {
        self.ask(key, wall_time())?.make(self.zone.server, deadline).await
    }

    async fn write(
        &self,
        key: &RecordKey,
        found: Option<&Found>,
        set: &RecordSet,
        deadline: Instant,
    ) -> Result<(), ProviderError> {
        self.change(key, found, set, wall_time())?.make(self.zone.server, deadline).await
    }
}

impl fmt::Display for Rfc2136Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "zone {} at {}", self.zone.zone, self.zone.server)
    }
}

impl Provider for Rfc2136Provider {
    fn read<'a>(&'a self, key: &'a RecordKey, deadline: Instant) -> BoxFuture<'a, Answer> {
        self.find(key, deadline).boxed()
    }

    fn replace<'a>(
        &'a self,
        key: &'a RecordKey,
        found: &'a Found,
        set: &'a RecordSet,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        self.write(key, Some(found), set, deadline).boxed()
    }

    fn create<'a>(
        &'a self,
        key: &'a RecordKey,
        set: &'a RecordSet,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        self.write(key, None, set, deadline).boxed()
    }
}

fn name_of(name: &Fqdn, errand: &Errand) -> Result<Name, ProviderError> {
    Name::from_str(name.as_str()).map_err(|error| errand.failed(ProviderErrorKind::Refused, error))
}

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use hickory_proto::ProtoError;
use hickory_proto::op::{Message, OpCode, Query, UpdateMessage as _};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType as DnsType, TSigVerifier};

use crate::dns::tsig::Signer;
use crate::model::{RecordSet, RecordType};

/// A message that is ready to be sent, and what its answer is held against.
pub(super) struct Request {
    pub(super) bytes: Vec<u8>,
    pub(super) id: u16,
    pub(super) op_code: OpCode,
    /// The question, or the zone of an update.
    pub(super) query: Query,
    pub(super) verifier: TSigVerifier,
}

/// What must hold for an update to be made; the server looks and changes in one step.
#[derive(Clone, Copy)]
pub(super) enum Prerequisite<'a> {
    /// The record set has these values and no others.
    Holds(&'a BTreeSet<IpAddr>),
    /// There is no record set of this type.
    Lacks(DnsType),
    /// The name has no records at all.
    Unused,
}

/// Why a message cannot be sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum RequestError {
    /// It would lose a part of itself.
    #[error("what is there and what is wanted do not fit into one message of 65,535 bytes")]
    TooLong,
    /// It cannot be put into bytes or signed.
    #[error("it cannot be put into a message: {0}")]
    Unsaid(ProtoError),
}

impl From<ProtoError> for RequestError {
    fn from(error: ProtoError) -> Self {
        if matches!(error, ProtoError::MaxBufferSizeExceeded(_)) {
            Self::TooLong
        } else {
            Self::Unsaid(error)
        }
    }
}

/// Asks for a name's records of one type.
pub(super) fn question(
    name: Name,
    asked: DnsType,
    signer: &Signer,
    now: Duration,
) -> Result<Request, RequestError> {
    let mut message = Message::query();
    message.metadata.recursion_desired = false;
    let query = Query::query(name, asked);
    message.add_query(query.clone());
    signed(message, query, signer, now)
}

/// Changes the zone, when everything required of it holds.
pub(super) fn update(
    zone: Name,
    required: Vec<Record>,
    changes: Vec<Record>,
    signer: &Signer,
    now: Duration,
) -> Result<Request, RequestError> {
    let mut message = Message::query();
    message.metadata.op_code = OpCode::Update;
    message.metadata.recursion_desired = false;
    let query = Query::query(zone, DnsType::SOA);
    message.add_zone(query.clone());
    message.add_pre_requisites(required);
    message.add_updates(changes);
    signed(message, query, signer, now)
}

/// As records of the prerequisite section (RFC 2136, section 2.4).
pub(super) fn required(name: &Name, what: Prerequisite<'_>) -> Vec<Record> {
    let absent = |absent| {
        let mut record = Record::update0(name.clone(), 0, absent);
        record.dns_class = DNSClass::NONE;
        vec![record]
    };
    match what {
        Prerequisite::Holds(values) => {
            values.iter().map(|value| Record::from_rdata(name.clone(), 0, data(*value))).collect()
        }
        Prerequisite::Lacks(lacking) => absent(lacking),
        Prerequisite::Unused => absent(DnsType::ANY),
    }
}

/// Takes the whole record set away and puts this one in its place, as records of the update section.
pub(super) fn replaced(name: &Name, asked: DnsType, set: &RecordSet) -> Vec<Record> {
    let mut all = Record::update0(name.clone(), 0, asked);
    all.dns_class = DNSClass::ANY;
    let values = set.values().iter();
    let added = values.map(|value| Record::from_rdata(name.clone(), set.ttl().as_seconds(), data(*value)));
    std::iter::once(all).chain(added).collect()
}

/// Takes one value away, if it is there.
pub(super) fn without(name: &Name, value: IpAddr) -> Record {
    let mut record = Record::from_rdata(name.clone(), 0, data(value));
    record.dns_class = DNSClass::NONE;
    record
}

pub(super) fn dns_type(record_type: RecordType) -> DnsType {
    match record_type {
        RecordType::A => DnsType::A,
        RecordType::Aaaa => DnsType::AAAA,
    }
}

fn data(value: IpAddr) -> RData {
    match value {
        IpAddr::V4(value) => RData::A(value.into()),
        IpAddr::V6(value) => RData::AAAA(value.into()),
    }
}

fn signed(
    mut message: Message,
    query: Query,
    signer: &Signer,
    now: Duration,
) -> Result<Request, RequestError> {
    let (id, op_code) = (message.metadata.id, message.metadata.op_code);
    let verifier = message.finalize(signer.get(), now.as_secs())?.ok_or(RequestError::TooLong)?;
    let bytes = message.to_vec()?;
    // An update that lost values on the way would leave the set without them (NEVER-EMPTY).
    if Message::from_vec(&bytes).is_ok_and(|sent| sent.metadata.truncation) {
        return Err(RequestError::TooLong);
    }
    Ok(Request { bytes, id, op_code, query, verifier })
}

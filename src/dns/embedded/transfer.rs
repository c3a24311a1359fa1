//! Copies of the zone for its secondaries: whole (AXFR, RFC 5936), or what changed since theirs (IXFR, RFC 1995).
//!
//! Given to whoever signed with the key of a secondary, and to nobody else. Made of one version of the zone, so a copy is never of
//! two. Start at [`give`].

use hickory_proto::ProtoError;
use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{RData, Record, RecordType};

use super::answer::{Answer, Transport};
use super::serial::Serial;
use super::served::Served;
use super::signature::{Chain, Signature};

/// As many bytes of records go into one message where several are needed: below what any receiver has room for.
const MESSAGE_MAX: usize = 16_384;

/// The answer to a request for a copy of the zone.
pub(super) fn give(
    mut answer: Answer,
    request: &Message,
    query: &Query,
    served: &Served,
) -> Result<Vec<Vec<u8>>, ProtoError> {
    let content = served.content();
    let Signature::Good(chain) = &answer.signature else { return answer.refuse(ResponseCode::Refused) };
    if query.name() != content.origin() {
        return answer.refuse(ResponseCode::NotAuth);
    }
    let soa = content.soa();
    answer.message.metadata.authoritative = true;
    let whole = || [soa].into_iter().chain(content.records()).chain([soa]).collect::<Vec<_>>();
    let records = if query.query_type() == RecordType::AXFR {
        if answer.over == Transport::Udp {
            return answer.refuse(ResponseCode::Refused);
        }
        whole()
    } else {
        let Some(theirs) = serial_of(request) else { return answer.refuse(ResponseCode::FormErr) };
        let is_newest = !content.serial().is_after(theirs);
        if is_newest || answer.over == Transport::Udp {
            // Over UDP this says: come by TCP (RFC 1995, 2).
            answer.message.answers.push(soa.clone());
            return answer.finish();
        }
        let changes = served.since(theirs).map(|deltas| {
            let changes = deltas.flat_map(|delta| {
                let removed = [&delta.from].into_iter().chain(&delta.removed);
                removed.chain([&delta.to]).chain(&delta.added)
            });
            [soa].into_iter().chain(changes).chain([soa]).collect::<Vec<_>>()
        });
        let is_shorter = |changes: &Vec<&Record>| changes.len() < content.records().count() + 2;
        changes.filter(is_shorter).unwrap_or_else(whole)
    };
    let mut chain = chain.clone();
    let mut sent = Vec::new();
    pack(&answer.message, &records, &mut chain, &mut sent)?;
    Ok(sent)
}

/// Spreads the records over as many messages as they need.
fn pack(
    head: &Message,
    records: &[&Record],
    chain: &mut Chain,
    sent: &mut Vec<Vec<u8>>,
) -> Result<(), ProtoError> {
    let mut message = head.clone();
    message.answers = records.iter().copied().cloned().collect();
    let halves = records.split_at_checked(records.len() / 2).filter(|(first, _)| !first.is_empty());
    if let Some((first, second)) = halves
        && message.to_vec().map_or(true, |bytes| bytes.len() > MESSAGE_MAX)
    {
        pack(head, first, chain, sent)?;
        return pack(head, second, chain, sent);
    }
    sent.push(chain.sign(&mut message)?);
    Ok(())
}

/// The serial that the asker's copy has.
fn serial_of(request: &Message) -> Option<Serial> {
    request
        .authorities
        .iter()
        .find_map(|record| if let RData::SOA(soa) = &record.data { Some(Serial(soa.serial)) } else { None })
}

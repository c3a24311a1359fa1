//! From the bytes of a request to the bytes of its answers: what every socket uses, and what is fuzzed.
//!
//! Pure: sees one version of the zone, the request, the time and a number to turn addresses by. Never answers with
//! more than the asker can take, nor from another zone, nor to what is itself an answer. Start at [`answers`].

use hickory_proto::ProtoError;
use hickory_proto::op::{Edns, Header, Message, MessageType, Metadata, OpCode, ResponseCode};
use hickory_proto::rr::{DNSClass, RecordType};
use hickory_proto::serialize::binary::{BinDecodable as _, BinDecoder};

use super::lookup::{Found, look_up};
use super::served::Served;
use super::signature::{Signature, judge};
use super::transfer;

/// The most bytes that an answer over UDP has, whatever the asker would take: none of them is fragmented on its way.
pub(super) const UDP_MAX: u16 = 1_232;
/// What every asker takes over UDP (RFC 1035).
const UDP_LEAST: u16 = 512;
/// The most bytes of a request that is read; a signed one has some 300.
pub(super) const REQUEST_MAX: usize = 4_096;
/// The length of a message's header.
const HEADER: usize = 12;

/// How a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// In one datagram.
    Udp,
    /// Over a connection.
    Tcp,
}

/// The messages to answer this request with: none for what is no request, several only for a transfer. The time is in Unix seconds.
pub(super) fn answers(served: &Served, bytes: &[u8], over: Transport, now_s: u64, turn: u32) -> Vec<Vec<u8>> {
    let Some(head) = head(bytes) else { return Vec::new() };
    let answer = match request(bytes, &head) {
        Ok(request) => Answer::to(&request, bytes, served, over, now_s).give(&request, served, turn),
        Err(code) => refusal(&head, code).to_vec().map(|message| vec![message]),
    };
    // What cannot be written as a message is not answered: the asker tries elsewhere.
    answer.unwrap_or_default()
}

/// The same answer with nothing in it but that it was cut: it is smaller than any, and brings the asker to TCP.
pub(super) fn cut(answer: &[u8]) -> Option<Vec<u8>> {
    let mut message = Message::from_vec(answer).ok()?;
    message.answers.clear();
    message.authorities.clear();
    message.additionals.clear();
    message.signature = None;
    message.metadata.truncation = true;
    message.to_vec().ok()
}

/// The header of a request; none for what is shorter, or is an answer: to answer those could go on for ever.
fn head(bytes: &[u8]) -> Option<Metadata> {
    let mut header = BinDecoder::new(bytes.get(..HEADER)?);
    let head = Header::read(&mut header).ok()?.metadata;
    (head.message_type == MessageType::Query).then_some(head)
}

/// The request, or with what code it is refused.
fn request(bytes: &[u8], head: &Metadata) -> Result<Message, ResponseCode> {
    if head.op_code != OpCode::Query {
        return Err(ResponseCode::NotImp);
    }
    // Looked at before it is parsed: the parser makes room for as many questions as the header says there are.
    let [_, _, _, _, 0, 1, ..] = bytes else { return Err(ResponseCode::FormErr) };
    Message::from_vec(bytes).map_err(|_| ResponseCode::FormErr)
}

fn refusal(head: &Metadata, code: ResponseCode) -> Message {
    let mut message = Message::response(head.id, head.op_code);
    message.metadata = Metadata::response_from_request(head);
    message.metadata.response_code = code;
    message
}

/// An answer on its way.
pub(super) struct Answer {
    /// With the question, and the asker's EDNS answered.
    pub(super) message: Message,
    pub(super) signature: Signature,
    pub(super) over: Transport,
    /// The most bytes that the asker takes.
    most: usize,
}

impl Answer {
    fn to(request: &Message, bytes: &[u8], served: &Served, over: Transport, now_s: u64) -> Self {
        let mut message = refusal(&request.metadata, ResponseCode::NoError);
        message.queries.clone_from(&request.queries);
        if request.edns.is_some() {
            let mut edns = Edns::new();
            edns.set_max_payload(UDP_MAX);
            message.edns = Some(edns);
        }
        let most = match (over, &request.edns) {
            (Transport::Tcp, _) => u16::MAX,
            (Transport::Udp, None) => UDP_LEAST,
            (Transport::Udp, Some(edns)) => edns.max_payload().clamp(UDP_LEAST, UDP_MAX),
        };
        let signature = judge(request, bytes, served.keys(), now_s);
        Self { message, signature, over, most: most.into() }
    }

    fn give(mut self, request: &Message, served: &Served, turn: u32) -> Result<Vec<Vec<u8>>, ProtoError> {
        let [query] = request.queries.as_slice() else { return Ok(Vec::new()) };
        if matches!(self.signature, Signature::Bad(_)) {
            return self.refuse(ResponseCode::NotAuth);
        }
        if request.edns.as_ref().is_some_and(|edns| edns.version() != 0) {
            return self.refuse(ResponseCode::BADVERS);
        }
        let is_ours = query.query_class() == DNSClass::IN && served.content().origin().zone_of(query.name());
        if !is_ours {
            return self.refuse(ResponseCode::Refused);
        }
        if matches!(query.query_type(), RecordType::AXFR | RecordType::IXFR) {
            return transfer::give(self, request, query, served);
        }
        self.put(look_up(served.content(), query.name(), query.query_type(), turn));
        self.finish()
    }

    fn put(&mut self, found: Found) {
        let Found { code, authoritative, answers, authorities, additionals } = found;
        self.message.metadata.response_code = code;
        self.message.metadata.authoritative = authoritative;
        self.message.answers = answers;
        self.message.authorities = authorities;
        self.message.additionals = additionals;
    }

    pub(super) fn refuse(mut self, code: ResponseCode) -> Result<Vec<Vec<u8>>, ProtoError> {
        self.message.metadata.response_code = code;
        self.finish()
    }

    /// The one message, with all in it that the asker takes: else without what is there only to save a question, else with nothing
    /// but that it was cut.
    pub(super) fn finish(mut self) -> Result<Vec<Vec<u8>>, ProtoError> {
        let fits = |message: &Vec<u8>| message.len() <= self.most;
        let whole = sealed(&self.message, &self.signature)?;
        if fits(&whole) {
            return Ok(vec![whole]);
        }
        let is_referral = self.message.answers.is_empty() && !self.message.metadata.authoritative;
        if !is_referral && !self.message.additionals.is_empty() {
            self.message.additionals.clear();
            let lean = sealed(&self.message, &self.signature)?;
            if fits(&lean) {
                return Ok(vec![lean]);
            }
        }
        self.message.answers.clear();
        self.message.authorities.clear();
        self.message.additionals.clear();
        self.message.metadata.truncation = true;
        let cut = sealed(&self.message, &self.signature)?;
        Ok(if fits(&cut) { vec![cut] } else { Vec::new() })
    }
}

/// The message as it is sent, signed as the request's signature asks for.
fn sealed(message: &Message, signature: &Signature) -> Result<Vec<u8>, ProtoError> {
    match signature {
        Signature::None => message.to_vec(),
        Signature::Good(chain) => chain.clone().sign(&mut message.clone()),
        Signature::Bad(refusal) => refusal.clone().put_into(&mut message.clone()),
    }
}

//! Asks one resolver what it answers for a record set, as a client's machine would: straight, from a fresh socket, with no
//! cache of ours, over UDP, and over TCP when the answer does not fit.
//!
//! Decides nothing; whatever is no address becomes words. Start at [`ask`].

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr as _;
use std::time::Duration;

use hickory_net::NetError;
use hickory_net::client::{Client, ClientHandle as _};
use hickory_net::runtime::TokioRuntimeProvider;
use hickory_net::tcp::TcpClientStream;
use hickory_net::udp::UdpClientStream;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, RecordType as WireType};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::model::{RecordKey, RecordType, Statement, quoted};

/// How long one witness is waited for, with UDP and TCP together; a resolver's own clients wait as long before they ask
/// once more.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// As many characters are told of what went wrong.
const SAID_MAX: usize = 200;
/// The codes that resolvers really answer with, and what they mean.
const REFUSALS: [(ResponseCode, &str); 3] = [
    (ResponseCode::NXDomain, "NXDOMAIN: no such name"),
    (ResponseCode::ServFail, "SERVFAIL: it cannot find out"),
    (ResponseCode::Refused, "REFUSED: it does not serve us"),
];

/// What `witness` answers for `key` now; within [`ANSWER_WITHIN`]. May be dropped half-way.
pub async fn ask(witness: SocketAddr, key: &RecordKey) -> Statement {
    let Ok(name) = Name::from_str(key.name.as_str()) else {
        return Statement::Nothing(format!("cannot be asked for {}", key.name));
    };
    match timeout(ANSWER_WITHIN, exchange(witness, name, key.record_type)).await {
        Ok(Ok(answer)) => statement(&answer, key.record_type),
        Err(_) | Ok(Err(NetError::Timeout)) => {
            Statement::Nothing(format!("does not answer within {} s", ANSWER_WITHIN.as_secs()))
        }
        Ok(Err(error)) => {
            Statement::Nothing(format!("cannot be asked: {}", quoted(&error.to_string(), SAID_MAX)))
        }
    }
}

async fn exchange(witness: SocketAddr, name: Name, record_type: RecordType) -> Result<Message, NetError> {
    let wire_type = wire_type(record_type);
    // Exchanges run only while this set lives, and end with it.
    let mut running = JoinSet::new();
    let udp = UdpClientStream::builder(witness, TokioRuntimeProvider::new())
        .with_timeout(Some(ANSWER_WITHIN))
        .with_max_retries(0)
        .build();
    let (mut client, exchange) = Client::<TokioRuntimeProvider>::from_sender(udp);
    running.spawn(exchange);
    let answer = client.query(name.clone(), DNSClass::IN, wire_type).await?;
    if !answer.metadata.truncation {
        return Ok(answer.into_message());
    }
    let (stream, handle) =
        TcpClientStream::new(witness, None, Some(ANSWER_WITHIN), TokioRuntimeProvider::new());
    let (mut client, exchange) =
        Client::<TokioRuntimeProvider>::with_timeout(stream.await?, handle, ANSWER_WITHIN);
    running.spawn(exchange);
    Ok(client.query(name, DNSClass::IN, wire_type).await?.into_message())
}

/// What the bytes of an answer say to who asks for addresses of this type.
#[must_use]
pub fn read_answer(bytes: &[u8], record_type: RecordType) -> Statement {
    match Message::from_vec(bytes) {
        Ok(answer) => statement(&answer, record_type),
        Err(error) => {
            Statement::Nothing(format!("cannot be understood: {}", quoted(&error.to_string(), SAID_MAX)))
        }
    }
}

fn statement(answer: &Message, record_type: RecordType) -> Statement {
    let code = answer.metadata.response_code;
    if code != ResponseCode::NoError {
        let known = REFUSALS.iter().find(|(known, _)| *known == code);
        let words =
            known.map_or_else(|| format!("with code {}", u16::from(code)), |(_, words)| (*words).to_owned());
        return Statement::Nothing(format!("answers {words}"));
    }
    // Also at the end of a chain of aliases: that is where a client goes.
    let addresses = answer.answers.iter().filter_map(|record| match (&record.data, record_type) {
        (RData::A(a), RecordType::A) => Some((IpAddr::V4(a.0), record.ttl)),
        (RData::AAAA(aaaa), RecordType::Aaaa) => Some((IpAddr::V6(aaaa.0), record.ttl)),
        _ => None,
    });
    let (values, left): (BTreeSet<IpAddr>, Vec<u32>) = addresses.unzip();
    match left.into_iter().min() {
        Some(ttl_s) => Statement::Addresses { values, ttl_s },
        None => Statement::Nothing(format!("answers that there is no {record_type}")),
    }
}

fn wire_type(record_type: RecordType) -> WireType {
    match record_type {
        RecordType::A => WireType::A,
        RecordType::Aaaa => WireType::AAAA,
    }
}

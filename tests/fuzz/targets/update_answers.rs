//! A name server's answers to our questions and updates. The first byte says to what (1: an update, 2: AAAA) and whether the
//! rest comes from who has the key (4); the rest is the message.
//!
//! Nobody without the key can tell that a set is there, that it is not, or that an update was made. Who has it is believed what
//! a whole answer with authority says of the very question, and no more (BLIND-IS-NOT-DOWN).

use std::io::Write as _;
use std::net::IpAddr;
use std::sync::OnceLock;
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::tsig::TsigAlgorithm as Algorithm;
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType as DnsType, TSigResponseContext, TSigner};
use pointsman::config::{Rfc2136Zone, TsigAlgorithm, TsigKey};
use pointsman::dns::Rfc2136Provider;
use pointsman::model::{
    Found, Fqdn, InForce, ProviderError, ProviderErrorKind, RecordKey, RecordSet, RecordType, Routing, Ttl,
};

use super::sentence;

const SECRET: &[u8] = b"a key of thirty-two octets, made";
const SECRET_TEXT: &str = "YSBrZXkgb2YgdGhpcnR5LXR3byBvY3RldHMsIG1hZGU=";
const NOW: Duration = Duration::from_secs(1_800_000_000);

pub(super) fn run(input: &[u8]) {
    let Some((mode, message)) = input.split_first() else { return };
    let record_type = if mode & 2 == 0 { RecordType::A } else { RecordType::Aaaa };
    let key =
        RecordKey { name: Fqdn::parse("demo.corp.example.").unwrap(), record_type, routing: Routing::Only };
    let has_key = mode & 4 != 0;
    if mode & 1 == 0 { read(&key, message, has_key) } else { write(&key, message, has_key) }
}

fn read(key: &RecordKey, message: &[u8], has_key: bool) {
    let call = provider().ask(key, NOW).unwrap();
    let Some(bytes) = answer(call.request(), message, has_key) else { return };
    match call.answered(&bytes) {
        Ok(found) => {
            assert!(has_key, "believed from anybody: {found:?}");
            let answer = Message::from_vec(&bytes).unwrap();
            assert_is_told(key, &answer, found.as_ref());
        }
        Err(error) => {
            assert_tells_nothing(&error);
            let kind = error.kind;
            assert!(!matches!(kind, ProviderErrorKind::Lost | ProviderErrorKind::Conflict), "{error:?}");
        }
    }
}

fn assert_is_told(key: &RecordKey, answer: &Message, found: Option<&Found>) {
    let head = &answer.metadata;
    assert!(head.authoritative && !head.truncation, "{answer:?}");
    assert_eq!((head.message_type, head.op_code), (MessageType::Response, OpCode::Query));
    let name = Name::from_ascii(key.name.as_str()).unwrap();
    let asked = if key.record_type == RecordType::A { DnsType::A } else { DnsType::AAAA };
    let [query] = answer.queries.as_slice() else { panic!("{:?}", answer.queries) };
    assert_eq!((query.name(), query.query_type(), query.query_class()), (&name, asked, DNSClass::IN));
    let mut told = answer.answers.iter().map(|record| {
        assert_eq!((&record.name, record.dns_class), (&name, DNSClass::IN));
        let data = &record.data;
        if let RData::A(value) = data {
            return IpAddr::from(value.0);
        }
        let RData::AAAA(value) = data else { panic!("{data:?} is no address") };
        IpAddr::from(value.0)
    });
    if let Some(found) = found {
        assert_eq!(head.response_code, ResponseCode::NoError);
        assert!(!found.values.is_empty() && told.all(|value| found.values.contains(&value)));
        assert!(found.values.iter().all(|value| key.record_type.holds(*value)), "{found:?}");
        return;
    }
    assert!(matches!(head.response_code, ResponseCode::NoError | ResponseCode::NXDomain));
    assert_eq!(told.next(), None);
    let zone = Name::from_ascii("corp.example.").unwrap();
    let own = |record: &Record| record.name == zone && record.record_type() == DnsType::SOA;
    assert!(answer.authorities.iter().any(own), "{answer:?}");
}

fn write(key: &RecordKey, message: &[u8], has_key: bool) {
    let value: IpAddr = match key.record_type {
        RecordType::A => [192, 0, 2, 1].into(),
        RecordType::Aaaa => [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into(),
    };
    let set = RecordSet::new([value].into(), Ttl::DEFAULT).unwrap();
    let found = Found {
        id: String::new(),
        values: [value].into(),
        ttl: Ttl::DEFAULT,
        in_force: InForce::Yes,
        description: None,
        parts: Vec::new(),
    };
    let call = provider().change(key, Some(&found), &set, NOW).unwrap();
    let Some(bytes) = answer(call.request(), message, has_key) else { return };
    let code = Message::from_vec(&bytes).ok().map(|answer| answer.metadata.response_code);
    match call.answered(&bytes) {
        Ok(()) => assert!(has_key && code == Some(ResponseCode::NoError), "made by {code:?}"),
        Err(error) => {
            assert_tells_nothing(&error);
            match error.kind {
                ProviderErrorKind::Conflict => assert!(has_key, "{error:?}"),
                // Without the key only what the protocol has unsigned: an error of the signature.
                ProviderErrorKind::Refused => {
                    assert!(has_key || code == Some(ResponseCode::NotAuth), "{error:?}");
                }
                ProviderErrorKind::Lost => {}
                ProviderErrorKind::Away | ProviderErrorKind::Throttled(_) | ProviderErrorKind::Unclear => {
                    panic!("{error:?}")
                }
            }
        }
    }
}

fn assert_tells_nothing(error: &ProviderError) {
    sentence::assert_good(&error.message);
    assert!(!error.message.contains(SECRET_TEXT), "{error}");
}

/// The message as the answer to this request; signed, if its sender has the key and it is a message.
fn answer(request: &[u8], message: &[u8], has_key: bool) -> Option<Vec<u8>> {
    let asked = Message::from_vec(request).unwrap();
    if !has_key {
        let mut bytes = message.to_vec();
        bytes.get_mut(..2)?.copy_from_slice(&asked.metadata.id.to_be_bytes());
        return Some(bytes);
    }
    let mut message = Message::from_vec(message).ok()?;
    message.take_signature();
    message.metadata.id = asked.metadata.id;
    let mac = asked.signature.unwrap().data.mac;
    let name = Name::from_ascii("pointsman.").unwrap();
    let signer = TSigner::new(SECRET.to_vec(), Algorithm::HmacSha256, name, 300).unwrap();
    let context = TSigResponseContext::new(asked.metadata.id, NOW.as_secs(), signer, mac, None);
    message.set_signature(context.sign(&message.to_vec().ok()?).ok()?);
    message.to_vec().ok()
}

fn provider() -> &'static Rfc2136Provider {
    static PROVIDER: OnceLock<Rfc2136Provider> = OnceLock::new();
    PROVIDER.get_or_init(|| {
        // Only its owner reads it, as the provider wants it.
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(SECRET_TEXT.as_bytes()).unwrap();
        let tsig = TsigKey {
            name: Fqdn::parse("pointsman.").unwrap(),
            algorithm: TsigAlgorithm::HmacSha256,
            secret_file: file.path().to_owned(),
        };
        let zone = Fqdn::parse("corp.example.").unwrap();
        Rfc2136Provider::new(Rfc2136Zone { server: ([127, 0, 0, 1], 53).into(), zone, tsig }).unwrap()
    })
}

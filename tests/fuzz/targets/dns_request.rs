//! Requests to a zone that is served here, by the path that its sockets use: only what is a request is answered, with no more
//! than the asker takes, with nothing of another zone, and with a copy of the zone for nobody who did not sign.

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::OnceLock;

use hickory_proto::op::{Message, MessageType};
use hickory_proto::rr::rdata::{A, CNAME, NS, TXT};
use hickory_proto::rr::{Name, RData, RecordType};
use pointsman::config::{EmbeddedZone, Secondary, StaticRecord, TsigAlgorithm, TsigKey};
use pointsman::dns::{EmbeddedServer, Transport};
use pointsman::model::{Fqdn, Ttl};

pub(super) fn run(input: &[u8]) {
    static SERVER: OnceLock<EmbeddedServer> = OnceLock::new();
    let server = SERVER.get_or_init(serve);
    for over in [Transport::Udp, Transport::Tcp] {
        let answers = server.answers(input, over);
        assert!(answers.len() <= 1, "{} messages for nobody", answers.len());
        for bytes in answers {
            judge(input, over, &bytes);
        }
    }
}

fn judge(input: &[u8], over: Transport, bytes: &[u8]) {
    assert!(input.len() >= 12 && input[2] & 0x80 == 0, "no request, and answered");
    let answer = Message::from_vec(bytes).expect("what is sent can be read");
    assert_eq!(answer.metadata.message_type, MessageType::Response);
    assert_eq!(answer.metadata.id.to_be_bytes(), input[..2]);
    if over == Transport::Udp {
        let request = Message::from_vec(input).ok();
        let takes = request.and_then(|request| Some(request.edns?.max_payload()));
        let most = takes.unwrap_or(512).clamp(512, 1_232);
        assert!(bytes.len() <= most.into(), "{} bytes to who takes {most}", bytes.len());
    }
    let zone = Name::from_ascii("dev.test.").unwrap();
    for record in answer.all_sections() {
        assert!(zone.zone_of(&record.name), "{record}");
    }
    let versions = answer.answers.iter().filter(|record| record.record_type() == RecordType::SOA).count();
    assert!(versions <= 1, "a copy of the zone for nobody");
}

/// The zone, with a key that no input is signed with in time.
fn serve() -> EmbeddedServer {
    let secret_file = std::env::temp_dir().join(format!("pointsman-fuzz-{}.key", std::process::id()));
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&secret_file)
        .unwrap();
    file.write_all(b"dGhpcyBrZXkgaXMgZm9yIHRlc3RzIG9uIGxvb3BiYWNrIQ==").unwrap();
    let name = |text: &str| Name::from_ascii(text).unwrap();
    let fqdn = |text: &str| Fqdn::parse(text).unwrap();
    let record = |name, data| StaticRecord { name: fqdn(name), ttl: Ttl::DEFAULT, data };
    let address = |last| RData::A(A(Ipv4Addr::new(192, 0, 2, last)));
    let mut records = vec![
        record("ns1.dev.test.", address(53)),
        record("www.dev.test.", RData::CNAME(CNAME(name("demo.dev.test.")))),
        record("away.dev.test.", RData::CNAME(CNAME(name("www.elsewhere.test.")))),
        record("loop.dev.test.", RData::CNAME(CNAME(name("loop.dev.test.")))),
        record("*.apps.dev.test.", address(80)),
        record("child.dev.test.", RData::NS(NS(name("ns.child.dev.test.")))),
        record("ns.child.dev.test.", address(54)),
        record("big.dev.test.", RData::TXT(TXT::new(vec!["x".repeat(250); 8]))),
    ];
    records.extend((1..=60).map(|last| record("demo.dev.test.", address(last))));
    let tsig = TsigKey {
        name: fqdn("pointsman."),
        algorithm: TsigAlgorithm::HmacSha256,
        secret_file: secret_file.clone(),
    };
    let zone = EmbeddedZone {
        listen: Vec::new(),
        zone: fqdn("dev.test."),
        ns: vec![fqdn("ns1.dev.test.")],
        records,
        secondaries: vec![Secondary { address: "127.0.0.1:9".parse().unwrap(), tsig }],
    };
    // Nothing can be kept there, so nothing is.
    let server = EmbeddedServer::prepare(&zone, [].into(), Path::new("/dev/null/none"), &[], &[]).unwrap();
    std::fs::remove_file(secret_file).unwrap();
    server
}

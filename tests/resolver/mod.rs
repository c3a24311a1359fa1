//! A resolver on loopback that answers as it is told to, over UDP and TCP on one port.
#![expect(dead_code, reason = "each test crate uses the part it needs")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{RData, Record};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;

/// How often a port may be taken for one protocol and not for the other.
const TRIES: usize = 50;

/// How a question is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Script {
    /// By these addresses.
    Answer(Vec<IpAddr>),
    /// By this code and nothing else.
    Code(ResponseCode),
    /// Not at all.
    Silence,
    /// Under another id than the question's.
    WrongId(Vec<IpAddr>),
    /// By bytes that are no message.
    Garbage,
    /// Over UDP that it does not fit, over TCP by these addresses.
    Truncated(Vec<IpAddr>),
    /// Over UDP that it does not fit, over TCP not at all.
    TruncatedAndSilent,
}

pub(crate) struct Resolver {
    pub(crate) address: SocketAddr,
    script: Arc<Mutex<Script>>,
    asked: Arc<Mutex<usize>>,
    _tasks: JoinSet<()>,
}

impl Resolver {
    pub(crate) async fn start(script: Script) -> Self {
        let (udp, tcp, address) = both().await;
        let (script, asked) = (Arc::new(Mutex::new(script)), Arc::new(Mutex::new(0)));
        let mut tasks = JoinSet::new();
        let (now, count) = (Arc::clone(&script), Arc::clone(&asked));
        tasks.spawn(async move {
            let mut question = [0; 512];
            while let Ok((length, from)) = udp.recv_from(&mut question).await {
                *count.lock().unwrap() += 1;
                let script = now.lock().unwrap().clone();
                if let Some(answer) = answer(&question[..length], &script, false) {
                    udp.send_to(&answer, from).await.ok();
                }
            }
        });
        let now = Arc::clone(&script);
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((mut stream, _)) = tcp.accept().await {
                let script = now.lock().unwrap().clone();
                open.spawn(async move {
                    let length = stream.read_u16().await.unwrap_or_default();
                    let mut question = vec![0; length.into()];
                    stream.read_exact(&mut question).await.ok();
                    if let Some(answer) = answer(&question, &script, true) {
                        stream.write_u16(u16::try_from(answer.len()).unwrap()).await.ok();
                        stream.write_all(&answer).await.ok();
                    }
                    // It stays open: who asked ends it.
                    stream.read_u8().await.ok();
                });
            }
        });
        Self { address, script, asked, _tasks: tasks }
    }

    pub(crate) fn play(&self, script: Script) {
        *self.script.lock().unwrap() = script;
    }

    /// How many questions came over UDP.
    pub(crate) fn asked(&self) -> usize {
        *self.asked.lock().unwrap()
    }
}

async fn both() -> (UdpSocket, TcpListener, SocketAddr) {
    for _ in 0..TRIES {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = tcp.local_addr().unwrap();
        if let Ok(udp) = UdpSocket::bind(address).await {
            return (udp, tcp, address);
        }
    }
    panic!("no port is free for both UDP and TCP");
}

fn answer(question: &[u8], script: &Script, over_tcp: bool) -> Option<Vec<u8>> {
    let mut message = Message::from_vec(question).unwrap();
    message.metadata.message_type = MessageType::Response;
    message.metadata.recursion_available = true;
    message.edns = None;
    let name = message.queries[0].name().clone();
    let add = |message: &mut Message, addresses: &[IpAddr]| {
        for address in addresses {
            let IpAddr::V4(address) = address else { continue };
            message.answers.push(Record::from_rdata(name.clone(), 17, RData::A(A(*address))));
        }
    };
    match script {
        Script::Answer(addresses) => add(&mut message, addresses),
        Script::Truncated(addresses) if over_tcp => add(&mut message, addresses),
        Script::TruncatedAndSilent if over_tcp => return None,
        Script::Truncated(_) | Script::TruncatedAndSilent => message.metadata.truncation = true,
        Script::Code(code) => message.metadata.response_code = *code,
        Script::Silence => return None,
        Script::WrongId(addresses) => {
            add(&mut message, addresses);
            message.metadata.id = message.metadata.id.wrapping_add(1);
        }
        Script::Garbage => {
            let id = question.get(..2)?;
            return Some([id, &[0xff; 30]].concat());
        }
    }
    Some(message.to_vec().unwrap())
}

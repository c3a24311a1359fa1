use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hickory_proto::op::{Message, OpCode, ResponseCode};
use hickory_proto::rr::rdata::tsig::TsigAlgorithm;
use hickory_proto::rr::{Name, RData, Record, TSigResponseContext, TSigner};
use pointsman::clock::wall_time;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::SECRET;
use super::between::{receive, send};

/// A server that answers every question with the same addresses, and refuses every update with the same code; both signed with
/// the key `pointsman.`. Gone when it is dropped.
pub(crate) struct Contrary {
    pub(crate) address: SocketAddr,
    updates: Arc<AtomicU32>,
    _tasks: JoinSet<()>,
}

impl Contrary {
    pub(crate) async fn start(values: &[IpAddr], code: ResponseCode) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (values, updates) = (values.to_vec(), Arc::new(AtomicU32::new(0)));
        let counted = Arc::clone(&updates);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            // One call after the other; whoever closes first ends his own.
            while let Ok((client, _)) = listener.accept().await {
                converse(client, &values, code, &counted).await.ok();
            }
        });
        Self { address, updates, _tasks: tasks }
    }

    /// How many it has refused.
    pub(crate) fn updates(&self) -> u32 {
        self.updates.load(Ordering::Relaxed)
    }
}

async fn converse(
    mut client: TcpStream,
    values: &[IpAddr],
    code: ResponseCode,
    updates: &AtomicU32,
) -> std::io::Result<()> {
    let request = Message::from_vec(&receive(&mut client).await?).unwrap();
    let mut answer = Message::response(request.metadata.id, request.metadata.op_code);
    answer.metadata.authoritative = true;
    answer.queries.clone_from(&request.queries);
    if request.metadata.op_code == OpCode::Update {
        updates.fetch_add(1, Ordering::Relaxed);
        answer.metadata.response_code = code;
    } else {
        for value in values {
            let IpAddr::V4(value) = value else { panic!("{value} is no IPv4 address") };
            let name = request.queries[0].name().clone();
            answer.answers.push(Record::from_rdata(name, 30, RData::A((*value).into())));
        }
    }
    let mac = request.signature.unwrap().data.mac;
    let (secret, name) = (STANDARD.decode(SECRET).unwrap(), Name::from_ascii("pointsman.").unwrap());
    let signer = TSigner::new(secret, TsigAlgorithm::HmacSha256, name, 300).unwrap();
    let signing = TSigResponseContext::new(answer.metadata.id, wall_time().as_secs(), signer, mac, None);
    answer.set_signature(signing.sign(&answer.to_vec().unwrap()).unwrap());
    send(&mut client, &answer.to_vec().unwrap()).await
}
